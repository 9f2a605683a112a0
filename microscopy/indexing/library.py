"""The library of an indexing: phases with their zone axes, laid side by side once for all windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layerscope.crystals import Phase, RingPattern, rings, zone_pattern, zone_patterns
from layerscope.crystals.adapter import lattice_vectors, short_directions
from layerscope.errors import RecipeError

from .templates import WEAKEST, Bank, Template, bank_of, cell_priors

__all__ = ["Library", "library_of"]

Zone = tuple[int, int, int]
MOST_ZONES = 16
LEAST_SHARE = 0.015
"""Prior probability within its phase below which a zone is left out, unless it is an axis of the cell."""
REACH = 10.5
"""1/nm: templates reach beyond any band by the prior of the scale, or spots at its edge look foreign."""


@dataclass(frozen=True, eq=False)
class Library:
    """Phases with the patterns of their zones and rings.

    Attributes
    ----------
    phases : tuple of str
    bank : Bank
        All zones of all phases; the prior of a zone is its share among those of its phase.
    rings : tuple of RingPattern
        Of each phase.
    """

    phases: tuple[str, ...]
    bank: Bank
    rings: tuple[RingPattern, ...]


def _periods(phase: Phase, zones: Sequence[Zone]) -> NDArray[np.float64]:
    """Length in Å of the shortest vector of the lattice along each zone axis.

    Reflections of a zone lie as densely as one over it, and they show within a tilt of as much in both directions: the
    prior probability of meeting a zone goes as one over its square.
    """
    factors = short_directions(phase, max(max(map(abs, zone)) for zone in zones))
    lengths = np.linalg.norm(np.array(zones, dtype=float) @ lattice_vectors(phase).T, axis=1)
    return np.asarray(lengths * [factors.get(zone, 1.0) for zone in zones])


def library_of(
    phases: Sequence[Phase], *, most_zones: int = MOST_ZONES, zones: Mapping[str, Sequence[Zone]] | None = None
) -> Library:
    """Prepare a library.

    Parameters
    ----------
    phases : sequence of Phase
        Each equally probable before the image is seen.
    most_zones : int
        Zone axes of each phase, the richest.
    zones : mapping of str to sequence of (u, v, w), optional
        Of some phases the zone axes that alone are looked for.

    Raises
    ------
    RecipeError
        No phase, or two of one name.
    """
    names = tuple(phase.name for phase in phases)
    if not names:
        raise RecipeError("indexing needs at least one phase", hint="name phases of the library in the recipe")
    if len(set(names)) < len(names):
        raise RecipeError("two phases have one name", hint=f"phases: {', '.join(names)}")
    templates: list[Template] = []
    for phase in phases:
        named = (zones or {}).get(phase.name)
        patterns = (
            tuple(zone_pattern(phase, zone, g_max=REACH, min_amplitude=WEAKEST) for zone in named)
            if named
            else zone_patterns(phase, most=most_zones, g_max=REACH, min_amplitude=WEAKEST)
        )
        given = bool(named or phase.zones)
        weight = np.ones(len(patterns)) if given else _periods(phase, [one.zone for one in patterns]) ** -2.0
        share: NDArray[np.float64] = weight / weight.sum()
        templates += [
            Template(pattern, float(np.log(part / len(names))), bool(phase.sites), cell_priors(pattern))
            for pattern, part in zip(patterns, share, strict=True)
            if part > LEAST_SHARE or sum(map(abs, pattern.zone)) == 1
        ]
    return Library(names, bank_of(tuple(templates)), tuple(rings(phase, REACH) for phase in phases))
