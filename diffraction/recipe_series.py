"""What all recipes of the diffraction wing share: series of frames, radiation, the cycler, times of the frames."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from layerscope.cycler.options import CyclerTable, FramesTable
from layerscope.measured import options
from layerscope.measured.delimited import Column, ColumnsTable
from layerscope.options import RecipeModel, RecipePath, listed, not_empty
from layerscope.runs.recipe import SeriesRecipe

from .area.options import IntegrateTable

__all__ = [
    "DiffractionRecipe",
    "PatternColumnsTable",
    "RadiationTable",
    "Range",
    "SeriesTable",
    "given_images",
]


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if not pair[0] < pair[1]:
        raise ValueError("a range is [low, high]")
    return pair


Range = Annotated[tuple[float, float], AfterValidator(_rising)]


class PatternColumnsTable(ColumnsTable):
    """What the columns of a plain text pattern mean, and how they are written."""

    axis: Column | None = Field(
        default=0,
        description="column of the axis: number from 0, or name in the header; none for intensities only",
    )
    intensity: Column = Field(default=1, description="column of the intensity")
    sigma: Column | None = Field(default=None, description="column of its standard deviation")
    axis_unit: Literal["two_theta_deg", "two_theta_rad", "q_per_angstrom", "q_per_nm", "d_angstrom", "d_nm"] | None = (
        Field(default=None, description="what the header says if not given, else degrees 2θ")
    )
    intensity_unit: Literal["counts", "counts/s", "arbitrary"] | None = Field(
        default=None, description="what the header says if not given, else counts if all are whole numbers"
    )
    start: float | None = Field(default=None, description="first position, for intensities only")
    step: float | None = Field(default=None, description="of the axis, for intensities only")


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


class SeriesTable(options.SeriesTable):
    """One series of frames, or one pattern: an archive, a file of several scans, or a file a frame."""

    files: Annotated[tuple[RecipePath, ...], AfterValidator(not_empty)] = Field(
        description="an archive, a folder, a pattern ('frames/*.xy'), a file of several scans, or a file a frame"
    )
    format: str = Field(
        default="auto",
        description="found by the content if 'auto'; else the reader's name, e.g. xrdml, bruker_raw, columns",
    )
    columns: PatternColumnsTable | None = Field(default=None, description="meaning of the columns of text files")
    radiation: RadiationTable | None = Field(default=None, description="over the recipe's and the files'")
    leave_out: tuple[int, ...] = Field(default=(), description="frames that are not to be used")
    cycler: CyclerTable | None = Field(default=None, description="record of the cycler")
    frames: FramesTable | None = Field(
        default=None, description="when the frames were measured, where their files do not say"
    )
    voltage_V: float | None = Field(default=None, description="of a single pattern")
    temperature_K: float | None = Field(default=None, description="for the records")
    integrate: IntegrateTable | None = Field(
        default=None, description="the files are images of an area detector, which pyFAI integrates (extra area)"
    )

    @model_serializer(mode="wrap")
    def _of_patterns(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave the integration out where there is none: records of patterns keep their identity."""
        written: dict[str, Any] = write(self)
        if self.integrate is None:
            written.pop("integrate", None)
        return written

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.cycler is not None and self.frames is not None and self.frames.voltage_V is not None:
            raise ValueError("the voltage comes from the cycler or from a table of frames, not from both")
        return self


class DiffractionRecipe(SeriesRecipe):
    """What the recipes of this wing share."""

    series: Annotated[tuple[SeriesTable, ...], AfterValidator(not_empty)] = Field(
        description="series of frames, or single patterns"
    )
    radiation: RadiationTable | None = Field(default=None, description="where the files do not say it")
    range_2theta: Range | None = Field(default=None, description="degrees; all of the pattern when not given")
    noise: Literal["poisson", "scaled"] = Field(
        default="poisson", description="scaled: the counts were multiplied; estimate the factor from flat regions"
    )

    @property
    def of_images(self) -> bool:
        """Whether all series are images, whose rings no slit cuts: nothing is smeared by axial divergence."""
        return all(table.integrate is not None for table in self.series)


def given_images(recipe: Any) -> bool:
    """Tell whether what was given for a recipe, before it is checked, integrates images in all of its series."""
    series = listed(recipe.get("series")) if isinstance(recipe, dict) else None
    tables = series if isinstance(series, list | tuple) else ()
    return bool(tables) and all(isinstance(one, dict) and one.get("integrate") is not None for one in tables)
