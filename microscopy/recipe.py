"""What a recipe of micrographs may say: the images, the phases that may be seen, regions, the scale, layers, a map."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from layerscope.crystals import Phase, available_phases, load_phase
from layerscope.measured.options import SeriesTable
from layerscope.options import Positive, RecipeModel, RecipePath, not_empty, unique
from layerscope.reference import nearest_names
from layerscope.runs.recipe import PipelineName, SeriesRecipe

from .readers import ImageOptions

__all__ = [
    "DEFAULT_PHASES",
    "HrtemRecipe",
    "ImageTable",
    "LayersTable",
    "MapTable",
    "PhaseFile",
    "RegionTable",
    "StandardTable",
]

DEFAULT_PHASES = (
    *("LiCoO2_O3", "Co3O4", "LiCo2O4", "Li2Co2O4", "CoO", "Li2MnO3"),
    *("LiF", "Li2CO3", "LiB6O9F", "Al"),
)
"""What a cathode's grain, its skin and its surface layer may show."""
Zone = tuple[int, int, int]


class ImageTable(SeriesTable, ImageOptions):
    """Images of one sample; each gives records of its own, and all together the thicknesses of the sample."""


class PhaseFile(RecipeModel):
    """A phase of one's own."""

    name: Annotated[str, Field(min_length=1, description="what the records call it")]
    file: RecipePath = Field(description=".cif or .toml")


class RegionTable(RecipeModel):
    """A rectangle of the image that is transformed by itself."""

    name: Annotated[str, Field(min_length=1, description="what the records call it")]
    box: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)], Positive, Positive] = Field(
        description="left, top, width, height from the image's upper left corner"
    )
    unit: Literal["nm", "px"] = Field(default="nm", description="of the box, nm by the stated pixel size")


class StandardTable(RecipeModel):
    """A region of known lattice that tells the scale of the image for all others."""

    region: str = Field(description="name of a region")
    phase: str = Field(description="what is known to be there")
    zone: Zone | None = Field(default=None, description="its zone axis; found if left out")


class LayersTable(RecipeModel):
    """Layers at a surface, whose boundaries are measured."""

    order: Annotated[tuple[str, ...], Field(min_length=2)] = Field(
        description="from outside in: 'vacuum', 'amorphous', and names of phases that a region shows"
    )
    normal_deg: float | None = Field(
        default=None, description="direction into the material, from x towards y (down); found if left out"
    )
    region: str | None = Field(default=None, description="part of the image that is used; all of it if left out")
    strain: bool = Field(default=False, description="whether strain of the innermost lattice is mapped too")
    filtered: bool = Field(
        default=False, description="whether images of each lattice alone are kept: for seeing, not for measuring"
    )


class MapTable(RecipeModel):
    """Phases in windows over the whole image, long along the surface and short across it."""

    across_nm: Positive = Field(default=1.5, description="full width at half maximum across the surface")
    along_nm: Positive = Field(default=3.0, description="along it")
    step_nm: Positive | None = Field(default=None, description="distance of windows; a quarter of the shorter width")


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in available_phases():
            near = ", ".join(nearest_names(name, available_phases())[:3])
            raise ValueError(f"the library has no phase {name!r} (near it: {near}); files go under phase_files")
    return names


class HrtemRecipe(SeriesRecipe):
    """Recipe of the pipeline ``hrtem``."""

    pipeline: PipelineName = "hrtem"
    series: Annotated[tuple[ImageTable, ...], AfterValidator(not_empty)] = Field(description="images, or vectors")
    phases: Annotated[tuple[str, ...], AfterValidator(_known)] = Field(
        default=DEFAULT_PHASES, description="of the library, that may be seen; see `layerscope phases`"
    )
    phase_files: tuple[PhaseFile, ...] = Field(default=(), description="further phases, each from a file")
    zones: dict[str, tuple[Zone, ...]] = Field(
        default={}, description="zone axes that are looked for, by phase; the richest ones of others"
    )
    regions: tuple[RegionTable, ...] = Field(default=(), description="rectangles; the whole image if there is none")
    internal_standard: StandardTable | None = Field(default=None, description="region that tells the scale")
    layers: LayersTable | None = Field(default=None, description="boundaries to measure")
    map: MapTable | None = Field(default=None, description="windows over the whole image")
    false_alarm: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        default=0.01, description="probability that a region without any lattice shows a spot"
    )

    @property
    def phase_names(self) -> tuple[str, ...]:
        """Names of all phases that may be seen."""
        return (*self.phases, *(one.name for one in self.phase_files))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        unique(self.phase_names, "phases")
        if not self.phase_names:
            raise ValueError("phases: name at least one that may be seen")
        regions = [region.name for region in self.regions]
        unique(regions, "regions")
        named = {"internal_standard": self.internal_standard, "layers": self.layers}
        for key, table in named.items():
            if table is not None and table.region is not None and table.region not in regions:
                raise ValueError(f"{key}: there is no region {table.region!r}; regions: {', '.join(regions) or 'none'}")
        wanted = {*self.zones, *([self.internal_standard.phase] if self.internal_standard else [])}
        wanted |= {name for name in (self.layers.order if self.layers else ()) if name not in ("vacuum", "amorphous")}
        for name in sorted(wanted - {*self.phase_names}):
            near = ", ".join(nearest_names(name, self.phase_names)[:3])
            raise ValueError(f"{name!r} is none of the phases of this recipe (near it: {near})")
        return self

    def library(self) -> tuple[Phase, ...]:
        """Return the phases that may be seen.

        Raises
        ------
        LayerscopeError
            If a file cannot be read, or does not hold a sound structure.
        """
        files = (load_phase(str(self.resolve(one.file)), name=one.name) for one in self.phase_files)
        return (*(load_phase(name, name=name) for name in self.phases), *files)
