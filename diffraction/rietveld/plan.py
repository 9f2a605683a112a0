"""Refinement plans: in which order the groups of parameters are freed, the same words for every engine.

A stage frees groups and keeps what earlier stages freed. A group may be restricted to one phase (``"size:H1-3"``).

=========================  =======================================================================
group                      parameters
=========================  =======================================================================
scale                      scale of every phase
background, lines          Chebyshev coefficients; areas of the extra lines
displacement, zero         sample displacement; zero shift
cell                       free cell constants of every phase
u, v, w, x, y, sh_l        resolution; ``sh_l`` is S/L + H/L with S/L = H/L
size, strain               Lorentzian sample broadening of every phase
texture                    March coefficient of the phases that declare an axis
b_iso, xyz, occupancy      of the sites that allow it
=========================  =======================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from layerscope.errors import RecipeError
from layerscope.options import RecipeModel, not_empty

__all__ = [
    "GROUPS",
    "Groups",
    "PhaseGroups",
    "PlanTable",
    "RefinementPlan",
    "Stage",
    "calibration_plan",
    "full_plan",
    "le_bail_plan",
    "series_plan",
]

INSTRUMENT_GROUPS = ("u", "v", "w", "x", "y", "sh_l")
PHASE_GROUPS = ("scale", "cell", "size", "strain", "texture", "b_iso", "xyz", "occupancy")
GROUPS = ("background", "lines", "displacement", "zero", *INSTRUMENT_GROUPS, *PHASE_GROUPS)


def _known(free: tuple[str, ...]) -> tuple[str, ...]:
    for token in free:
        group, _, phase = token.partition(":")
        if group not in GROUPS or (phase and group not in PHASE_GROUPS):
            raise ValueError(f"unknown parameter group {token!r}; groups: {', '.join(GROUPS)}")
    return free


def _of_a_phase(free: tuple[str, ...]) -> tuple[str, ...]:
    for group in free:
        if group not in PHASE_GROUPS:
            raise ValueError(f"{group!r} is no parameter group of a phase; groups: {', '.join(PHASE_GROUPS)}")
    return free


Groups = Annotated[tuple[str, ...], AfterValidator(_known)]
PhaseGroups = Annotated[tuple[str, ...], AfterValidator(_of_a_phase)]


class Stage(RecipeModel):
    """One stage of a plan."""

    name: str = Field(description="for messages")
    free: Annotated[Groups, AfterValidator(not_empty)] = Field(
        description="groups of parameters, e.g. 'cell' or 'size:H1-3'; they stay free"
    )


class PlanTable(RecipeModel):
    """In which order parameters are freed."""

    kind: Literal["full", "calibration", "series", "le_bail", "stages"] = Field(
        default="full", description="series holds the instrument; stages: your own"
    )
    texture: bool = Field(default=True, description="free the texture of the phases that declare an axis")
    atoms: bool = Field(default=True, description="free Biso and coordinates")
    occupancy: bool = Field(default=False, description="free the occupancies that the phases allow")
    size: bool = Field(default=True, description="free sizes, in a series")
    strain: bool = Field(default=False, description="free strains, in a series")
    stages: tuple[Stage, ...] = Field(default=(), description="what is freed, in this order")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.kind == "stages") != bool(self.stages):
            raise ValueError("stages go with kind = 'stages'")
        return self

    def plan(self) -> RefinementPlan:
        """Return the plan that the table names."""
        if self.kind == "stages":
            return RefinementPlan(self.stages)
        if self.kind == "calibration":
            return calibration_plan()
        if self.kind == "series":
            return series_plan(size=self.size, strain=self.strain, texture=self.texture)
        if self.kind == "le_bail":
            return le_bail_plan()
        return full_plan(texture=self.texture, atoms=self.atoms, occupancy=self.occupancy)


@dataclass(frozen=True)
class RefinementPlan:
    """Stages in order."""

    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        if not self.stages:
            raise RecipeError("a refinement plan needs at least one stage")

    @classmethod
    def of(cls, *stages: tuple[str, tuple[str, ...]]) -> RefinementPlan:
        """Return the plan of these stages, name and groups of each; one that frees nothing is left out."""
        return cls(tuple(Stage(name=name, free=free) for name, free in stages if free))

    def tokens(self) -> tuple[str, ...]:
        """All groups the plan frees, in order of appearance."""
        seen: dict[str, None] = {}
        for stage in self.stages:
            seen.update(dict.fromkeys(stage.free))
        return tuple(seen)

    def without(self, *groups: str) -> RefinementPlan:
        """Return the plan without some groups, and without the stages that they leave empty."""
        return RefinementPlan.of(*((s.name, tuple(t for t in s.free if t not in groups)) for s in self.stages))

    def frees(self, group: str, phase: str | None = None) -> bool:
        """Whether the plan frees ``group`` (for ``phase``, if given)."""
        return any(t == group or (phase is not None and t == f"{group}:{phase}") for t in self.tokens())


def full_plan(*, texture: bool = True, atoms: bool = True, occupancy: bool = False) -> RefinementPlan:
    """Plan for one good pattern with an unknown instrument: 25 parameters for one R-3m phase and 10 coefficients.

    The cell is freed before the widths because a wrong position looks like a wide line, and atoms come last because
    Biso and the background trade against each other while the profile is still wrong.
    """
    return RefinementPlan.of(
        ("scale and background", ("scale", "background", "lines")),
        ("displacement", ("displacement",)),
        ("cell", ("cell",)),
        ("width", ("w",)),
        ("resolution", ("u", "v", "x", "y")),
        ("axial divergence", ("sh_l",)),
        ("texture", ("texture",) if texture else ()),
        ("displacement parameters", ("b_iso",) if atoms else ()),
        ("coordinates", ("xyz",) if atoms else ()),
        ("occupancies", ("occupancy",) if occupancy else ()),
    )


def calibration_plan() -> RefinementPlan:
    """Plan for a certified line-position standard: everything but atoms, texture and displacement parameters."""
    return full_plan(texture=False, atoms=False)


def series_plan(*, size: bool = True, strain: bool = False, texture: bool = False) -> RefinementPlan:
    """Plan for a frame of a series: the instrument is held, the sample moves."""
    return RefinementPlan.of(
        ("scale and background", ("scale", "background", "lines")),
        ("displacement", ("displacement",)),
        ("cell", ("cell",)),
        ("size", ("size",) if size else ()),
        ("strain", ("strain",) if strain else ()),
        ("texture", ("texture",) if texture else ()),
    )


def le_bail_plan() -> RefinementPlan:
    """Plan for cells when the atoms are unknown: intensities are extracted, not calculated."""
    return RefinementPlan.of(
        ("background", ("background", "lines")),
        ("displacement", ("displacement",)),
        ("cell", ("cell",)),
        ("width", ("w",)),
        ("resolution", ("x", "y")),
    )
