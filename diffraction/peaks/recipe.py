"""The recipe of the pipeline ``xrd_peaks``: lines of the phases, single reflections, one sample against another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from layerscope.measured import options
from layerscope.options import Positive, RecipeModel, RecipePath, listed, not_empty, unique
from layerscope.runs.recipe import PipelineName

from ..recipe_series import DiffractionRecipe, Range, given_images
from .components import ComponentSet, component_set, read_set
from .line_series import FitOptions
from .shift import TrackOptions

__all__ = ["ComparisonTable", "PeaksRecipe", "ReflectionTable"]


class ReflectionTable(TrackOptions):
    """A single line to follow."""

    name: Annotated[str, Field(min_length=1, description="e.g. '(101)' or 'Al (111)'")]
    reference_frames: Annotated[tuple[int, ...], AfterValidator(not_empty)] = Field(
        default=(0,), description="frames that shifts count from"
    )
    d_to_a: Positive | None = Field(
        default=None, description="cubic cells: a = d times this number, the square root of h2 + k2 + l2"
    )
    known_d_A: Positive | None = Field(default=None, description="this line is a standard: its spacing is known")
    standard: str | None = Field(default=None, description="correct the displacement by this other reflection")


class ComparisonTable(RecipeModel):
    """Two samples whose total of some phases is compared."""

    samples: tuple[str, str] = Field(description="the first less the second")
    phases: tuple[str, ...] = Field(default=("IG", "H13"), description="components that are summed")
    voltage_V: Range | None = Field(default=None, description="range to compare in; all that both have by default")
    may_be_absent: tuple[str, ...] = Field(
        default=(), description="components that need not be found in both: where one is missing its amount is none"
    )
    branch: Literal["charge", "discharge"] = Field(default="charge", description="which half cycle is compared")


def _none(name: Any) -> Any:
    return None if name == "none" else name


class PeaksRecipe(FitOptions, DiffractionRecipe):
    """Recipe of the pipeline ``xrd_peaks``."""

    pipeline: PipelineName = "xrd_peaks"
    components: Annotated[str | None, BeforeValidator(_none)] = Field(
        default="lco_003",
        description="set of lines: lco_003, nmc_003, lno_003, lrmo_003; 'none': only reflections",
    )
    components_file: RecipePath | None = Field(
        default=None, description="TOML file with a set of your own, in place of components; see docs/xrd.md"
    )
    exclude: tuple[str, ...] = Field(default=(), description="components that cannot be there")
    window: Range | None = Field(default=None, description="where phases are looked for; that of the set by default")
    hardware: bool | tuple[str, ...] = Field(default=True, description="lines of the cell: all in range, or these")
    reference_frames: tuple[int, ...] = Field(default=(0, 1, 2, 3, 4), description="frames of a single phase")
    intensity_per_weight: dict[str, float] = Field(
        default_factory=dict, description="calculated intensity per weight of a component, over the library's"
    )
    intensity_from: Literal["library", "structures"] = Field(
        default="library", description="intensity per weight as declared, or calculated from the structures"
    )
    total: tuple[str, ...] = Field(default=("IG", "H13"), description="components summed in the table")
    stacking: bool = Field(
        default=False, description="read the lines also as stacks of filled and empty layers, where the set names them"
    )
    reflections: tuple[ReflectionTable, ...] = Field(default=(), description="single lines to follow")
    compare: ComparisonTable | None = Field(default=None, description="one sample against another at equal voltages")

    @model_validator(mode="before")
    @classmethod
    def _rings(cls, given: Any) -> Any:
        """Fit no axial divergence to rings, unless it is asked for."""
        if not given_images(given):
            return given
        lines = listed(given.get("reflections", ()))
        lines = [{"axial": False, **one} if isinstance(one, dict) else one for one in lines]
        return {"axial": False, **given, **({"reflections": lines} if lines else {})}

    def component_set(self) -> ComponentSet:
        """Return the set of lines: of the library or of the user's file, without the excluded components.

        Raises
        ------
        LayerscopeError
            If there is no such set, it is not as it must be, or a component to exclude is not in it.
        """
        if self.components_file is not None:
            found = read_set(self.resolve(self.components_file), self.components_file)
        else:
            found = component_set(str(self.components))
        return found.without(self.exclude) if self.exclude else found

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        unique([r.name for r in self.reflections], "reflections")
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

    def only(self, tables: Sequence[options.SeriesTable]) -> Self:
        """Return the recipe of some of the series; one alone is compared with nothing."""
        part = super().only(tables)
        return part if len(tables) > 1 else part.model_copy(update={"compare": None}).located(self.folder)
