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

from collections.abc import Iterable
from dataclasses import dataclass

from layerscope.errors import RecipeError

__all__ = ["GROUPS", "RefinementPlan", "Stage", "calibration_plan", "full_plan", "le_bail_plan", "series_plan"]

INSTRUMENT_GROUPS = ("u", "v", "w", "x", "y", "sh_l")
PHASE_GROUPS = ("scale", "cell", "size", "strain", "texture", "b_iso", "xyz", "occupancy")
GROUPS = ("background", "lines", "displacement", "zero", *INSTRUMENT_GROUPS, *PHASE_GROUPS)


@dataclass(frozen=True)
class Stage:
    """One step of a plan: a name and the groups it frees."""

    name: str
    free: tuple[str, ...]

    def __post_init__(self) -> None:
        for token in self.free:
            group, _, phase = token.partition(":")
            if group not in GROUPS or (phase and group not in PHASE_GROUPS):
                raise RecipeError(f"unknown parameter group {token!r} in stage {self.name!r}", hint=f"groups: {GROUPS}")


@dataclass(frozen=True)
class RefinementPlan:
    """Stages in order."""

    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        if not self.stages:
            raise RecipeError("a refinement plan needs at least one stage")

    def tokens(self) -> tuple[str, ...]:
        """All groups the plan frees, in order of appearance."""
        seen: dict[str, None] = {}
        for stage in self.stages:
            seen.update(dict.fromkeys(stage.free))
        return tuple(seen)

    def frees(self, group: str, phase: str | None = None) -> bool:
        """Whether the plan frees ``group`` (for ``phase``, if given)."""
        return any(t == group or (phase is not None and t == f"{group}:{phase}") for t in self.tokens())


def _stages(pairs: Iterable[tuple[str, tuple[str, ...]]]) -> RefinementPlan:
    return RefinementPlan(tuple(Stage(name, free) for name, free in pairs if free))


def full_plan(*, texture: bool = True, atoms: bool = True, occupancy: bool = False) -> RefinementPlan:
    """Plan for one good pattern with an unknown instrument: 25 parameters for one R-3m phase and 10 coefficients.

    The cell is freed before the widths because a wrong position looks like a wide line, and atoms come last because
    Biso and the background trade against each other while the profile is still wrong.
    """
    return _stages(
        [
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
        ]
    )


def calibration_plan() -> RefinementPlan:
    """Plan for a certified line-position standard: everything but atoms, texture and displacement parameters."""
    return full_plan(texture=False, atoms=False)


def series_plan(*, size: bool = True, strain: bool = False, texture: bool = False) -> RefinementPlan:
    """Plan for a frame of a series: the instrument is held, the sample moves."""
    return _stages(
        [
            ("scale and background", ("scale", "background", "lines")),
            ("displacement", ("displacement",)),
            ("cell", ("cell",)),
            ("size", ("size",) if size else ()),
            ("strain", ("strain",) if strain else ()),
            ("texture", ("texture",) if texture else ()),
        ]
    )


def le_bail_plan() -> RefinementPlan:
    """Plan for cells when the atoms are unknown: intensities are extracted, not calculated."""
    return _stages(
        [
            ("background", ("background", "lines")),
            ("displacement", ("displacement",)),
            ("cell", ("cell",)),
            ("width", ("w",)),
            ("resolution", ("x", "y")),
        ]
    )
