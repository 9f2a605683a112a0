"""What a recipe of X-ray spectra may say: which lines, what the detector is like, and the factors of ratios."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from layerscope.errors import RecipeError
from layerscope.options import Positive, RecipeModel, not_empty, unique
from layerscope.runs.recipe import PipelineName, SeriesRecipe

from ..options import ScanTable
from .lines import Detector, family

__all__ = ["DetectorTable", "EdsRecipe", "FactorTable"]


def _line(name: str) -> str:
    """Return a name of the table of lines; pydantic says where in the recipe another one stands."""
    try:
        return family(name).name
    except RecipeError as error:
        raise ValueError(str(error)) from error


Line = Annotated[str, AfterValidator(_line)]


def _apart(names: tuple[str, ...]) -> tuple[str, ...]:
    unique(names, "lines")
    return names


class DetectorTable(RecipeModel):
    """What is known of the detector beforehand; the sum of all places tells the rest."""

    fwhm_eV: Positive = Field(default=130.0, description="full width at half maximum at Mn Kα (5895 eV)")
    fwhm_sigma_eV: Positive = Field(default=10.0, description="standard error of that")
    offset_sigma_eV: Positive = Field(default=10.0, description="by which the axis may be off at 0 eV")
    stretch_sigma: Positive = Field(default=0.002, description="relative error of the dispersion")
    tail_sigma: Positive = Field(
        default=0.02, description="share of a line that may tail off to low energies: charge that was not collected"
    )

    @property
    def start(self) -> Detector:
        """The detector as far as it is known."""
        return Detector(self.fwhm_eV)

    @property
    def sigmas(self) -> tuple[float, float, float, float]:
        """How well width, offset, stretch and tail are known."""
        return self.fwhm_sigma_eV, self.offset_sigma_eV, self.stretch_sigma, self.tail_sigma


class FactorTable(RecipeModel):
    """A factor of Cliff and Lorimer: the ratio of weights is the factor times the ratio of counts."""

    line: Line = Field(description="such as 'Co K'")
    k: Positive = Field(description="against the line that the ratios refer to; of the strongest lines of both")
    sigma: Positive = Field(description="its standard error: 10 to 20 % of a computed one")


class EdsRecipe(SeriesRecipe):
    """Recipe of the pipeline ``eds``."""

    pipeline: PipelineName = "eds"
    series: Annotated[tuple[ScanTable, ...], AfterValidator(not_empty)] = Field(description="line scans and maps")
    lines: Annotated[tuple[Line, ...], AfterValidator(not_empty), AfterValidator(_apart)] = Field(
        description="families of lines ('O K'): all that the spectra show, and those that are asked for"
    )
    range_eV: tuple[Positive, Positive] = Field(
        default=(100.0, 20000.0), description="energies that are fitted, as far as the data reach"
    )
    beam_kV: Positive | None = Field(
        default=None, description="energy of the beam; that of the file, or 200, if left out"
    )
    noise: Literal["poisson", "scaled"] = Field(
        default="poisson", description="counts, or errors scaled to what flat channels scatter by"
    )
    detector: DetectorTable = Field(default=DetectorTable(), description="what is known of the detector")
    relative_to: Line | None = Field(default=None, description="line that atomic ratios refer to")
    factors: tuple[FactorTable, ...] = Field(default=(), description="factors of the other lines against that one")
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(default=0.95, description="of limits")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.range_eV[0] >= self.range_eV[1]:
            raise ValueError("range_eV is given as [low, high]")
        names = [factor.line for factor in self.factors]
        unique(names, "factors")
        missing = {*names, *((self.relative_to,) if self.relative_to else ())} - set(self.lines)
        if missing:
            raise ValueError(f"{sorted(missing)[0]} is not among the lines")
        if self.factors and self.relative_to is None:
            raise ValueError("factors need relative_to, the line that they refer to")
        if self.relative_to in names:
            raise ValueError(f"{self.relative_to} is what the factors refer to")
        return self
