"""The recipe of soft X-ray absorption: which scans of which samples, at which edge, and what to make of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from layerscope.options import RecipePath, not_empty
from layerscope.runs.recipe import PipelineName, SeriesRecipe

from .edges import find_edge
from .options import CoordinationTable, EnergyTable, Mode, NormaliseTable, SeriesTable

__all__ = ["SxasRecipe"]


def _known_edge(name: str | None) -> str | None:
    return None if name is None else find_edge(name).name


class SxasRecipe(SeriesRecipe):
    """Recipe of the pipeline ``sxas``."""

    pipeline: PipelineName = "sxas"
    series: Annotated[tuple[SeriesTable, ...], AfterValidator(not_empty)] = Field(
        description="samples, each with its repeats; the first one is what others are compared with"
    )
    edge: Annotated[str | None, AfterValidator(_known_edge)] = Field(
        default=None, description="edge, e.g. 'O K' or 'Co L3'; the one that the scans run over if left out"
    )
    mode: Mode | None = Field(default=None, description="signal; the first that the files hold if left out")
    monitor: Literal["i0", "i0_other"] = Field(default="i0", description="what is taken for the incident flux")
    photodiode: RecipePath | None = Field(
        default=None, description="scan of a photodiode in place of the sample, by which every spectrum is divided"
    )
    repeats: Literal["tested", "merged"] = Field(
        default="tested", description="tested: with a trend only the first is used; merged: all are, whatever changes"
    )
    glitches: Literal["mask", "keep"] = Field(
        default="mask", description="single points far off their neighbours: left out and told, or kept and told"
    )
    normalise: NormaliseTable = Field(default=NormaliseTable(), description="what spectra are normalised by")
    energy: EnergyTable = Field(default=EnergyTable(), description="calibration of the energies")
    bands: Literal["auto", "always", "none"] = Field(
        default="auto",
        description="whole-edge fit of all samples: where a table knows the edge and the scans reach, always, or never",
    )
    saturation: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="share of the signal that saturation may take at the maximum, one standard deviation"
    )
    coordination: CoordinationTable | None = Field(
        default=None, description="share of four-coordinate boron, by references; none without this table"
    )
    engine: Literal["layerscope", "both"] = Field(
        default="layerscope", description="both: xraylarch, in a process of its own, is a second opinion on the step"
    )
