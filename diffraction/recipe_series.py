"""What all recipes of the diffraction wing share: series of frames, radiation, the cycler, times of the frames."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from layerscope.runs.recipe import PipelineRecipe, RecipeModel, RecipePath, not_empty

__all__ = [
    "ColumnsTable",
    "CyclerColumnsTable",
    "CyclerTable",
    "DiffractionRecipe",
    "FramesTable",
    "RadiationTable",
    "Range",
    "SeriesTable",
    "unique",
]

Column = int | str


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if not pair[0] < pair[1]:
        raise ValueError("a range is [low, high]")
    return pair


Range = Annotated[tuple[float, float], AfterValidator(_rising)]


def unique(names: list[str], what: str) -> None:
    """Refuse names that stand twice.

    Raises
    ------
    ValueError
        With the first of them.
    """
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ValueError(f"two {what} are called {twice[0]!r}")


class ColumnsTable(RecipeModel):
    """What the columns of a plain text pattern mean; see `layerscope.diffraction.readers.ColumnMap`."""

    axis: Column | None = 0
    intensity: Column = 1
    sigma: Column | None = None
    axis_unit: Literal["two_theta_deg", "two_theta_rad", "q_per_angstrom", "q_per_nm", "d_angstrom", "d_nm"] | None = (
        None
    )
    intensity_unit: Literal["counts", "counts/s", "arbitrary"] | None = None
    start: float | None = None
    step: float | None = None
    delimiter: str | None = None
    skip_lines: Annotated[int, Field(ge=0)] = 0
    points: int | None = None


class RadiationTable(RecipeModel):
    """Wavelengths in Å, or the anode alone."""

    anode: str | None = Field(default=None, description="Cu, Co, Mo, ...: wavelengths of its K lines")
    lines: Literal["doublet", "alpha1"] = Field(default="doublet", description="whether K-alpha-2 is there")
    wavelength: float | None = Field(default=None, description="Å; K-alpha-1 of a doublet")
    alpha2: float | None = Field(default=None, description="Å")
    ratio: Annotated[float, Field(gt=0, le=1)] | None = Field(default=None, description="K-alpha-2 over K-alpha-1")
    override: bool = Field(default=False, description="use it although the files say something else")
    probe: Literal["x-ray", "neutron"] | None = Field(default=None, description="where the files mislead or do not say")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.anode is None) == (self.wavelength is None):
            raise ValueError("give either the anode or the wavelength")
        if (self.alpha2 is None) != (self.ratio is None):
            raise ValueError("alpha2 and ratio go together")
        if self.anode is not None and self.alpha2 is not None:
            raise ValueError("alpha2 goes with a wavelength, not with an anode")
        return self


class CyclerColumnsTable(RecipeModel):
    """What the columns of a cycler's text file mean; see `layerscope.diffraction.cycler.CyclerColumns`."""

    time: Column = 0
    voltage: Column = 1
    current: Column | None = None
    capacity: Column | None = None
    cycle: Column | None = None
    step: Column | None = None
    time_unit: Literal["auto", "s", "ms", "min", "h", "hms", "datetime"] = "auto"
    voltage_unit: Literal["V", "mV"] | None = None
    current_unit: Literal["A", "mA", "uA", "A/g", "mA/g"] | None = None
    capacity_unit: Literal["Ah", "mAh", "uAh", "Ah/g", "mAh/g"] | None = None
    signed: bool = True
    capacity_is_net: bool = False
    encoding: str | None = None
    delimiter: str | None = None
    skip_lines: Annotated[int, Field(ge=0)] = 0


class CyclerTable(RecipeModel):
    """Record of the cycler and how its clock stands to that of the diffractometer."""

    file: RecipePath
    member: str | None = Field(default=None, description="the one file in an archive, e.g. '*.ndax'")
    format: Literal["auto", "biologic", "neware", "table"] = "auto"
    columns: CyclerColumnsTable | None = None
    clock_offset_s: float = Field(default=0.0, description="by how much the cycler's clock is ahead")
    clock_sigma_s: Annotated[float, Field(ge=0)] = Field(description="standard error of that offset")
    start: datetime | None = Field(default=None, description="time of the first record, if the file has none")
    frame_duration_s: Annotated[float, Field(gt=0)] | None = None
    max_gap_s: Annotated[float, Field(gt=0)] | None = None
    mass_mg: Annotated[float, Field(gt=0)] | None = Field(default=None, description="active mass: mAh become mAh/g")


class FramesTable(RecipeModel):
    """When the frames were measured and at which voltage, where their files do not say."""

    table: RecipePath | None = Field(default=None, description="CSV with a header and one row a frame, in order")
    member: str | None = Field(default=None, description="the one file in an archive, e.g. 'truth.csv'")
    time_s: str | None = Field(default=None, description="column of the time, s")
    voltage_V: str | None = Field(default=None, description="column of the voltage, V")
    capacity_mAh_g: str | None = Field(default=None, description="column of the specific capacity, mAh/g")
    log: RecipePath | None = Field(default=None, description="CSV with start and end of each frame")
    log_member: str | None = None
    log_key: str = "scan_number"
    log_start: str = "start_time"
    log_end: str = "end_time"
    start: datetime | None = Field(default=None, description="start of the first frame, for a fixed period")
    period_s: Annotated[float, Field(gt=0)] | None = None
    duration_s: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.table is not None and not (self.time_s or self.voltage_V or self.capacity_mAh_g):
            raise ValueError("a table of frames needs the name of at least one column: time_s or voltage_V")
        if (self.start is None) != (self.period_s is None):
            raise ValueError("start and period_s go together")
        if self.log is not None and self.start is not None:
            raise ValueError("times come from a log or from a period, not from both")
        return self


class SeriesTable(RecipeModel):
    """One series of frames, or one pattern: an archive, a file of several scans, or a file a frame."""

    files: Annotated[tuple[RecipePath, ...], AfterValidator(not_empty)]
    name: Annotated[str, Field(description="tells the series of a recipe apart")] = ""
    sample: str | None = Field(default=None, description="sample's name, if other than the recipe's")
    members: str | None = Field(default=None, description="which files of an archive are frames, e.g. '*.xye'")
    format: str = "auto"
    columns: ColumnsTable | None = None
    radiation: RadiationTable | None = Field(default=None, description="over the recipe's and the files'")
    leave_out: tuple[int, ...] = Field(default=(), description="frames that are not to be used")
    cycler: CyclerTable | None = None
    frames: FramesTable | None = None
    cycle: float | None = None
    step: str | None = None
    voltage_V: float | None = Field(default=None, description="of a single pattern")
    temperature_K: float | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.cycler is not None and self.frames is not None and self.frames.voltage_V is not None:
            raise ValueError("the voltage comes from the cycler or from a table of frames, not from both")
        return self


class DiffractionRecipe(PipelineRecipe):
    """What the recipes of this wing share."""

    series: Annotated[tuple[SeriesTable, ...], AfterValidator(not_empty)]
    radiation: RadiationTable | None = Field(default=None, description="where the files do not say it")
    range_2theta: Range | None = Field(default=None, description="degrees; all of the pattern when not given")
    noise: Literal["poisson", "scaled"] = Field(
        default="poisson", description="scaled: the counts were multiplied; estimate the factor from flat regions"
    )

    @model_validator(mode="after")
    def _series_apart(self) -> Self:
        unique([s.name for s in self.series], "series")
        return self
