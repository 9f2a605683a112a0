"""The recipe of an XPS depth profile: what was measured, which lines, and what to make of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from layerscope.fitting.errors import Errors, ErrorsTable
from layerscope.options import RecipeModel, not_empty, unique
from layerscope.runs.recipe import PipelineName, SeriesRecipe

from .auger import AugerParameterTable
from .charge import ChargeTable
from .dataset import normalise_region
from .options import RegionTable, SeriesTable
from .overlap import OverlapTable
from .overlayer import OverlayerTable
from .quantify import QuantificationTable
from .valence import MnValenceTable

__all__ = ["DepthTable", "XpsRecipe"]


class DepthTable(RecipeModel):
    """Depth scale."""

    etch_rate_nm_s: Annotated[float, Field(gt=0)] = Field(description="turns etch times into depths, nm/s")
    sigma_nm_s: Annotated[float, Field(ge=0)] = Field(description="standard error of the rate, nm/s")


def _by_name(given: Any) -> Any:
    """Return regions as a list of tables where they are given by name: ``{"B 1s": ["B-O-B", "TM-O-B"]}``."""
    if not isinstance(given, Mapping):
        return given
    tables = {name: more if isinstance(more, Mapping) else {"components": more} for name, more in given.items()}
    return [{"region": name, **table} for name, table in tables.items()]


class XpsRecipe(SeriesRecipe):
    """Recipe of the pipeline ``xps``."""

    pipeline: PipelineName = "xps"
    series: Annotated[tuple[SeriesTable, ...], AfterValidator(not_empty)] = Field(
        description="depth profiles, or single levels"
    )
    regions: Annotated[tuple[RegionTable, ...], BeforeValidator(_by_name), AfterValidator(not_empty)] = Field(
        description="core levels to fit"
    )
    charge: ChargeTable = Field(default=ChargeTable(), description="charge reference")
    quantification: QuantificationTable | None = Field(
        default=None, description="atomic fractions; none without this table"
    )
    overlap: OverlapTable | None = Field(default=None, description="P 2s inside B 1s, foretold from P 2p")
    mn_valence: MnValenceTable | None = Field(
        default=None, description="oxidation state of Mn from the splitting of Mn 3s"
    )
    auger_parameter: tuple[AugerParameterTable, ...] = Field(
        default=(), description="modified Auger parameters from pairs of lines"
    )
    overlayer: tuple[OverlayerTable, ...] = Field(
        default=(), description="thicknesses of layers from ratios of lines, at one angle or over angles"
    )
    depth: DepthTable | None = Field(default=None, description="depth scale")
    single_level: bool = Field(default=False, description="fit every level alone as well, to show what joining gains")
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(default=0.95, description="of limits")
    errors: Errors = Field(
        default=ErrorsTable(), description="of what is fitted to a region: covariance, bootstrap or profile, or a table"
    )
    noise: Literal["poisson", "scaled"] = Field(
        default="poisson", description="scaled: multiply errors by the square root of the reduced chi2"
    )

    def region(self, name: str) -> RegionTable | None:
        """Return the table of a region, or None."""
        wanted = normalise_region(name)
        return next((r for r in self.regions if r.name == wanted), None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        unique([r.name for r in self.regions], "regions")
        if self.quantification is not None and sum(r.quantify for r in self.regions) < 2:
            raise ValueError("quantification: atomic fractions need two regions that count (regions.quantify = true)")
        self._check_component("charge", self.charge.region, self.charge.species)
        if self.overlap is not None:
            self._check_component("overlap", self.overlap.region, self.overlap.species)
            self._check_component("overlap", self.overlap.from_region, None)
        if self.mn_valence is not None:
            for species in (self.mn_valence.low, self.mn_valence.high):
                self._check_component("mn_valence", self.mn_valence.region, species)
        for pair in self.auger_parameter:
            self._check_component("auger_parameter", pair.core_region, pair.core)
            self._check_component("auger_parameter", pair.auger_region, pair.auger)
        unique([pair.label for pair in self.auger_parameter], "auger_parameter")
        unique([layer.name for layer in self.overlayer], "overlayer")
        for layer in self.overlayer:
            for species in layer.species:
                self._check_component("overlayer", layer.region, species)
            for species in layer.substrate:
                self._check_component("overlayer", layer.other_region, species)
        return self

    def _check_component(self, where: str, region: str | None, species: str | None) -> None:
        if region is None:
            return
        table = self.region(region)
        if table is None:
            raise ValueError(f"{where}: region {region!r} is not among the regions")
        if species is not None and species not in {c.species for c in table.components}:
            raise ValueError(f"{where}: region {table.name!r} has no component {species!r}")
