"""Recipes of the diffraction wing: what both pipelines share, the (003) series, and Rietveld refinements."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from layerscope.runs.recipe import PipelineRecipe, RecipeModel, RecipePath

__all__ = [
    "BackgroundTable",
    "CalibrationTable",
    "ColumnsTable",
    "ComparisonTable",
    "CyclerColumnsTable",
    "CyclerTable",
    "DiffractionRecipe",
    "ExtraLineTable",
    "FramesTable",
    "GuardTable",
    "GuestTable",
    "InstrumentTable",
    "PeaksRecipe",
    "PhaseTable",
    "PlanTable",
    "RadiationTable",
    "ReflectionTable",
    "RietveldRecipe",
    "SequenceTable",
    "SeriesTable",
    "StageTable",
]

Column = int | str
Range = Annotated[tuple[float, float], AfterValidator(lambda pair: _rising(pair))]


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if not pair[0] < pair[1]:
        raise ValueError("a range is [low, high]")
    return pair


def _not_empty(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise ValueError("needs at least one entry")
    return values


def _unique(names: list[str], what: str) -> None:
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

    files: Annotated[tuple[RecipePath, ...], AfterValidator(_not_empty)]
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

    series: Annotated[tuple[SeriesTable, ...], AfterValidator(_not_empty)]
    radiation: RadiationTable | None = Field(default=None, description="where the files do not say it")
    range_2theta: Range | None = Field(default=None, description="degrees; all of the pattern when not given")
    noise: Literal["poisson", "scaled"] = Field(
        default="poisson", description="scaled: the counts were multiplied; estimate the factor from flat regions"
    )

    @model_validator(mode="after")
    def _series_apart(self) -> Self:
        _unique([s.name for s in self.series], "series")
        return self


class GuardTable(RecipeModel):
    """What a phase must show; see `layerscope.diffraction.peaks.selection.Guard`."""

    least_share: Annotated[float, Field(ge=0, lt=1)] = 0.004
    least_separation: Annotated[float, Field(ge=0)] = 0.5
    persistence: Annotated[int, Field(ge=1)] = 3
    switch_cost: Annotated[float, Field(ge=0)] = 6.0


class ReflectionTable(RecipeModel):
    """A single line to follow: where it is, how wide, how far it moves."""

    name: Annotated[str, Field(min_length=1, description="e.g. '(101)' or 'Al (111)'")]
    range_2theta: Range
    neighbours: tuple[float, ...] = Field(default=(), description="degrees; other lines there that do not move")
    width: Literal["frame", "shared"] = "frame"
    background: Annotated[int, Field(ge=0, le=6)] = 1
    axial: bool | float = Field(default=True, description="fitted, left out, or held at this S/L")
    reference_frames: Annotated[tuple[int, ...], AfterValidator(_not_empty)] = Field(
        default=(0,), description="frames that shifts count from"
    )
    instrument_fwhm: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="degrees; removed from the half width"
    )
    instrument_mixing: Annotated[float, Field(ge=0, le=1)] = 0.5
    d_to_a: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="cubic cells: a = d times this number, the square root of h2 + k2 + l2"
    )
    known_d_A: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="this line is a standard: its spacing is known"
    )
    standard: str | None = Field(default=None, description="correct the displacement by this other reflection")


class ComparisonTable(RecipeModel):
    """Two samples whose total of some phases is compared."""

    samples: tuple[str, str]
    phases: tuple[str, ...] = ("IG", "H13")
    voltage_V: Range | None = Field(default=None, description="range to compare in; all that both have by default")
    branch: Literal["charge", "discharge"] = "charge"


def _none(name: Any) -> Any:
    return None if name == "none" else name


class PeaksRecipe(DiffractionRecipe):
    """Recipe of the pipeline ``xrd_peaks``."""

    components: Annotated[str | None, BeforeValidator(_none)] = Field(
        default="lco_003", description="set of lines; 'none': only reflections"
    )
    window: Range | None = Field(default=None, description="where phases are looked for; that of the set by default")
    hardware: bool | tuple[str, ...] = Field(default=True, description="lines of the cell: all in range, or these")
    background: Annotated[int, Field(ge=0, le=8)] = Field(default=2, description="degree of the polynomial")
    axial: bool = Field(default=True, description="lines are smeared by axial divergence")
    reference_frames: tuple[int, ...] = Field(default=(0, 1, 2, 3, 4), description="frames of a single phase")
    guard: GuardTable = GuardTable()
    max_lines: Annotated[int, Field(ge=1, le=8)] = 4
    intensity_per_weight: dict[str, float] = Field(
        default_factory=dict, description="calculated intensity per weight of a component, over the library's"
    )
    intensity_from: Literal["library", "structures"] = Field(
        default="library", description="intensity per weight as declared, or calculated from the structures"
    )
    total: tuple[str, ...] = Field(default=("IG", "H13"), description="components summed in the table")
    reflections: tuple[ReflectionTable, ...] = Field(default=(), description="single lines to follow")
    compare: ComparisonTable | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _unique([r.name for r in self.reflections], "reflections")
        known = {r.name for r in self.reflections if r.known_d_A is not None}
        for r in self.reflections:
            if r.standard is not None and (r.standard not in known or r.standard == r.name):
                raise ValueError(f"{r.name}: standard {r.standard!r} is no other reflection with known_d_A")
        if self.components is None and not self.reflections:
            raise ValueError("neither components nor reflections: nothing to do")
        if self.compare is not None:
            samples = [s.sample or self.sample for s in self.series]
            for sample in self.compare.samples:
                if samples.count(sample) != 1:
                    raise ValueError(f"compare: {samples.count(sample)} series are of sample {sample!r}, not one")
            if self.components is None:
                raise ValueError("compare needs components")
        return self


class InstrumentTable(RecipeModel):
    """Instrument, as in `layerscope.diffraction.rietveld.model.Instrument`; wavelengths come from the radiation."""

    instprm: RecipePath | None = Field(default=None, description="GSAS-II parameters to start from")
    instprm_member: str | None = Field(default=None, description="the one file in an archive")
    polarisation: Annotated[float, Field(ge=0, le=1)] | None = None
    radius_mm: Annotated[float, Field(gt=0)] | None = None
    u: float | None = None
    v: float | None = None
    w: float | None = None
    x: float | None = None
    y: float | None = None
    sh_l: Annotated[float, Field(ge=0)] | None = None
    zero: float | None = None
    displacement_mm: float | None = None


class GuestTable(RecipeModel):
    """An element that shares a site with the one that is there; the site stays as full as it was."""

    site: Annotated[str, Field(min_length=1, description="label of the host's site, e.g. 'Li'")]
    element: Annotated[str, Field(min_length=1)]
    occupancy: Annotated[float, Field(ge=0, le=1)] = Field(default=0.01, description="to start from")
    label: str | None = Field(default=None, description="what the records call it; element and site when not given")


class PhaseTable(RecipeModel):
    """A phase: from the library, from a CIF or TOML file beside the recipe, or, for Le Bail, space group and cell."""

    name: Annotated[str, Field(min_length=1, description="what the records call it")]
    library: str | None = Field(default=None, description="name in reference_data/phases")
    file: RecipePath | None = Field(default=None, description=".cif or .toml, or an archive that holds it")
    member: str | None = Field(default=None, description="the one file in an archive, e.g. 'O3.cif'")
    space_group: str | None = Field(default=None, description="Hermann-Mauguin; atoms unknown, for le_bail only")
    a: Annotated[float, Field(gt=0)] | None = None
    b: Annotated[float, Field(gt=0)] | None = None
    c: Annotated[float, Field(gt=0)] | None = None
    alpha: Annotated[float, Field(gt=0, lt=180)] | None = None
    beta: Annotated[float, Field(gt=0, lt=180)] | None = None
    gamma: Annotated[float, Field(gt=0, lt=180)] | None = None
    size_nm: Annotated[float, Field(gt=0)] | None = None
    microstrain_ppm: Annotated[float, Field(ge=0)] | None = None
    broadening_like: str | None = Field(
        default=None, description="after the calibration of a series: size and strain of this phase"
    )
    texture: bool = Field(default=True, description="false switches the texture of the library off")
    texture_axis: tuple[int, int, int] | None = None
    refine_occupancy: tuple[str, ...] = Field(default=(), description="sites whose occupancy the plan may free")
    guests: tuple[GuestTable, ...] = Field(default=(), description="elements that share a site, e.g. B on the Li layer")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if sum(origin is not None for origin in (self.library, self.file, self.space_group)) != 1:
            raise ValueError(f"phase {self.name!r}: give either library or file (or space_group, for le_bail)")
        if self.member is not None and self.file is None:
            raise ValueError(f"phase {self.name!r}: member goes with file")
        if self.space_group is not None:
            if self.a is None:
                raise ValueError(f"phase {self.name!r}: space_group needs the cell: a, and b, c, alpha, beta, gamma")
            if self.guests or self.refine_occupancy:
                raise ValueError(f"phase {self.name!r}: without atoms there is no site to share or to refine")
        return self


class ExtraLineTable(RecipeModel):
    """A line that no phase explains; position and width are held."""

    two_theta: float
    fwhm: Annotated[float, Field(gt=0)]
    eta: Annotated[float, Field(ge=0, le=1)] = 0.5
    label: str = ""


class BackgroundTable(RecipeModel):
    """Chebyshev background."""

    terms: Annotated[int, Field(ge=1, le=36)] = 10
    lines: tuple[ExtraLineTable, ...] = ()


class StageTable(RecipeModel):
    """One stage of a plan."""

    name: str
    free: Annotated[tuple[str, ...], AfterValidator(_not_empty)]


class PlanTable(RecipeModel):
    """In which order parameters are freed."""

    kind: Literal["full", "calibration", "series", "le_bail", "stages"] = "full"
    texture: bool = True
    atoms: bool = True
    occupancy: bool = False
    size: bool = True
    strain: bool = False
    stages: tuple[StageTable, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.kind == "stages") != bool(self.stages):
            raise ValueError("stages go with kind = 'stages'")
        return self


class CalibrationTable(RecipeModel):
    """Refine one good frame first; its instrument is then held."""

    frame: Annotated[int, Field(ge=0)] = 0
    phases: tuple[str, ...] = Field(default=(), description="phases of that frame; all when empty")
    plan: PlanTable = PlanTable(atoms=False)


class SequenceTable(RecipeModel):
    """How a series is refined; see `layerscope.diffraction.rietveld.frame.SeriesOptions`."""

    always: tuple[str, ...] = ()
    free: tuple[str, ...] = ("background", "lines")
    free_when_strong: tuple[str, ...] = ("cell",)
    strong: Annotated[float, Field(gt=0)] = 12.0
    bic_margin: float = 6.0
    persistence: Annotated[int, Field(ge=1)] = 2
    min_intensity_share: Annotated[float, Field(ge=0, lt=1)] = 0.003
    both_directions: bool = True
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    chunk: Annotated[int, Field(ge=1, le=1000)] = 8
    calibrate: CalibrationTable | None = None


class RietveldRecipe(DiffractionRecipe):
    """Recipe of the pipeline ``rietveld``."""

    engine: Literal["rietx", "gsas2", "both"] = "rietx"
    phases: Annotated[tuple[PhaseTable, ...], AfterValidator(_not_empty)]
    instrument: InstrumentTable = InstrumentTable()
    background: BackgroundTable = BackgroundTable()
    plan: PlanTable = PlanTable()
    sequence: SequenceTable | None = Field(
        default=None, description="refine the frames as a series; each alone when not given"
    )
    total: tuple[str, ...] = Field(default=(), description="phases summed in the table, with their covariance")
    le_bail: bool = Field(default=False, description="extract intensities: cells without atoms")
    save_gpx: bool = Field(default=False, description="keep GSAS-II's project and log in the run folder")
    time_limit_s: Annotated[float, Field(gt=0)] = Field(default=300.0, description="of one refinement")
    agree_within: Annotated[float, Field(gt=0)] = Field(default=3.0, description="sigma, for engine = 'both'")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [p.name for p in self.phases]
        _unique(names, "phases")
        wanted = [("broadening_like", p.broadening_like) for p in self.phases if p.broadening_like is not None]
        wanted += [("total", n) for n in self.total]
        if self.sequence is not None:
            wanted += [("sequence.always", n) for n in self.sequence.always]
            if self.sequence.calibrate is not None:
                wanted += [("sequence.calibrate.phases", n) for n in self.sequence.calibrate.phases]
            if self.le_bail:
                raise ValueError("le_bail is for single patterns; leave out the table sequence")
        self._check_le_bail()
        for where, name in wanted:
            if name not in names:
                raise ValueError(f"{where}: no phase is called {name!r}; there are {', '.join(names)}")
        return self

    @model_validator(mode="before")
    @classmethod
    def _le_bail_plan(cls, data: Any) -> Any:
        """Give Le Bail its own plan where none is asked for."""
        if isinstance(data, dict) and data.get("le_bail") is True and "plan" not in data:
            return {**data, "plan": {"kind": "le_bail"}}
        return data

    def _check_le_bail(self) -> None:
        if not self.le_bail:
            if self.plan.kind == "le_bail":
                raise ValueError("plan.kind = 'le_bail' goes with le_bail = true")
            bare = [p.name for p in self.phases if p.space_group is not None]
            if bare:
                raise ValueError(f"phase {bare[0]!r} has no atoms: only le_bail = true can use it")
            return
        if self.total:
            raise ValueError("le_bail gives no fractions: leave out total")
        freed = {token.partition(":")[0] for stage in self.plan.stages for token in stage.free}
        atoms = sorted(freed & {"scale", "texture", "b_iso", "xyz", "occupancy"})
        if atoms or self.plan.kind not in ("le_bail", "stages"):
            what = ", ".join(atoms) if atoms else f"plan.kind = '{self.plan.kind}'"
            raise ValueError(f"le_bail extracts intensities, so it refines no scale, texture or atoms: drop {what}")
