"""What a recipe of energy losses may say: the scan, its axis, windows before edges, and what is read off them."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from layerscope.measured.options import SeriesTable
from layerscope.options import Positive, RecipeModel, not_empty, unique
from layerscope.reference import nearest_names, read_tables
from layerscope.runs.recipe import PipelineName, SeriesRecipe

__all__ = [
    "CalibrationTable",
    "EdgeTable",
    "EelsRecipe",
    "EnsembleTable",
    "KnownEdge",
    "ScanTable",
    "WhiteLines",
    "known_onsets",
]

LEAST_MEMBERS = 25
Lengths = Annotated[tuple[Positive, ...], AfterValidator(not_empty)]


@cache
def known_onsets() -> dict[str, float]:
    """Return the onsets of edges by name, eV."""
    return {name: float(value) for table in read_tables("eels").values() for name, value in table["onsets"].items()}


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if not limits[0] < limits[1]:
        raise ValueError("a range is given as [low, high]")
    return limits


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]


class ScanTable(SeriesTable):
    """One series: spectra of a line scan in files of their own, or a spectrum image."""

    signal: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="number of the spectrum in its file, from 0, where it holds several"
    )
    along: Literal["longer", "x", "y"] = Field(
        default="longer", description="axis of an image that is the scan; places across it are summed"
    )
    map: bool = Field(default=False, description="whether net intensities at every place of an image are kept as maps")
    bin: Annotated[int, Field(ge=1, description="neighbouring places that are summed")] = 1
    step_nm: Positive | None = Field(
        default=None, description="distance of two places; that of the file if left out, and none of single spectra"
    )
    start_nm: float = Field(default=0.0, description="depth of the first place below the surface")


class KnownEdge(RecipeModel):
    """A maximum whose energy is known."""

    edge: str = Field(description="what it is, for people")
    near_eV: Range = Field(description="where it lies on the axis of the file")
    energy_eV: Positive = Field(description="its true energy")
    sigma_eV: Positive = Field(description="standard error of that")


class CalibrationTable(RecipeModel):
    """The energy axis by known edges: by one its offset, by two or more its dispersion too."""

    edges: Annotated[tuple[KnownEdge, ...], AfterValidator(not_empty)] = Field(description="maxima of known energy")
    smoothing_eV: Positive = Field(default=1.0, description="standard deviation of the Gaussian that smooths a maximum")


class EnsembleTable(RecipeModel):
    """The windows before an edge through which its background is fitted: every gap with every length."""

    gaps_eV: Lengths = Field(default=(6.0, 8.0, 10.0, 12.0, 14.0), description="from the end of a window to the onset")
    lengths_eV: Lengths = Field(default=(15.0, 20.0, 25.0, 30.0, 35.0), description="of the windows")

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if len(self.gaps_eV) * len(self.lengths_eV) < LEAST_MEMBERS:
            raise ValueError(f"gaps times lengths make fewer than {LEAST_MEMBERS} windows")
        return self


class WhiteLines(RecipeModel):
    """Where the ratio L3/L2 is taken."""

    l3_eV: Range = Field(description="of the first line")
    l2_eV: Range = Field(description="of the second line")
    step_eV: Range = Field(description="behind both, where the height of the step is read off")


class EdgeTable(RecipeModel):
    """An edge, and what is read off it."""

    edge: str = Field(description="element and shell, such as 'O K' or 'Co L3'")
    onset_eV: Positive | None = Field(default=None, description="where it begins; that of the table if left out")
    area_eV: Range | None = Field(default=None, description="limits of the area; from 2 below to 40 above the onset")
    prepeak_eV: Range | None = Field(
        default=None, description="limits of the pre-peak, whose share of the area is stated"
    )
    maximum_eV: Range | None = Field(default=None, description="where the highest point is looked for")
    smoothing_eV: Positive = Field(default=0.8, description="standard deviation of the Gaussian that smooths it")
    white_lines: WhiteLines | None = Field(default=None, description="where L3/L2 is taken")
    ensemble: EnsembleTable | None = Field(default=None, description="windows of this edge alone")

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.onset_eV is None and self.edge not in known_onsets():
            near = ", ".join(nearest_names(self.edge, known_onsets())[:3])
            raise ValueError(f"the onset of {self.edge!r} is not known (near it: {near}); give onset_eV")
        return self

    @property
    def onset(self) -> float:
        """Where the edge begins, eV."""
        return known_onsets()[self.edge] if self.onset_eV is None else self.onset_eV

    @property
    def limits(self) -> tuple[float, float]:
        """Limits of the area, eV."""
        return self.area_eV or (self.onset - 2.0, self.onset + 40.0)

    @property
    def reach(self) -> tuple[float, float]:
        """Lowest and highest energy that anything of it needs, eV; a maximum needs its smoothing on both sides."""
        ranges = [self.limits, *(one for one in (self.prepeak_eV,) if one)]
        if self.maximum_eV:
            ranges.append((self.maximum_eV[0] - 4 * self.smoothing_eV, self.maximum_eV[1] + 4 * self.smoothing_eV))
        if self.white_lines:
            ranges += [self.white_lines.l3_eV, self.white_lines.l2_eV, self.white_lines.step_eV]
        return min(low for low, _ in ranges), max(high for _, high in ranges)


class EelsRecipe(SeriesRecipe):
    """Recipe of the pipeline ``eels``."""

    pipeline: PipelineName = "eels"
    series: Annotated[tuple[ScanTable, ...], AfterValidator(not_empty)] = Field(description="line scans")
    edges: Annotated[tuple[EdgeTable, ...], AfterValidator(not_empty)] = Field(description="edges, and what of them")
    calibration: CalibrationTable | None = Field(
        default=None, description="the energy axis; as in the file if left out"
    )
    axis_sigma_eV: Positive = Field(default=1.0, description="standard error of an axis that is not calibrated")
    drift_eV: Annotated[float, Field(ge=0)] = Field(
        default=0.1,
        description="by which the axis may move from place to place; 0 where each was aligned on its zero loss",
    )
    background: Literal["power law", "taken off"] = Field(
        default="power law", description="before the edge; or another program took it off already"
    )
    ensemble: EnsembleTable = Field(default=EnsembleTable(), description="windows before the edges")
    bend_sigma: Annotated[float, Field(ge=0)] = Field(
        default=2.5, description="standard deviation of the bend of ln(background) over ln(energy), coefficient of x²"
    )
    reference: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(), description="places to which differences are taken, from 0; the last if left out"
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(default=0.95, description="of limits")

    @model_validator(mode="after")
    def _edges_apart(self) -> Self:
        unique([table.edge for table in self.edges], "edges")
        return self
