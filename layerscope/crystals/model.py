"""What a crystal is here: symmetry, cell, sites, and where its numbers come from.

Lengths in ångström, angles in degrees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import RecipeError

__all__ = ["CELL", "Bond", "CellRange", "FloatArray", "IntArray", "Phase", "Site", "SiteMixing", "cell_volume"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
CELL = ("a", "b", "c", "alpha", "beta", "gamma")

UNSTATED_RANGE = 0.002
"""Relative half range of a cell that states none: by so much sources differ (CoO 4.2612 and 4.2667 Å)."""


def cell_volume(cell: Sequence[float]) -> float:
    """Volume in Å³ of a cell (a, b, c, alpha, beta, gamma)."""
    a, b, c = cell[:3]
    p, q, r = (math.cos(math.radians(angle)) for angle in cell[3:])
    return a * b * c * math.sqrt(1.0 - p * p - q * q - r * r + 2.0 * p * q * r)


@dataclass(frozen=True)
class Site:
    """One crystallographic site.

    ``b_iso`` is in Å². The ``refine_*`` switches say what the plan's groups ``xyz``, ``occupancy`` and ``b_iso`` free;
    coordinates fixed by symmetry stay fixed whatever the switch says.
    """

    label: str
    element: str
    x: float
    y: float
    z: float
    occupancy: float = 1.0
    b_iso: float = 0.5
    refine_xyz: bool = True
    refine_occupancy: bool = False
    refine_b_iso: bool = True

    @property
    def xyz(self) -> tuple[float, float, float]:
        """Fractional coordinates."""
        return (self.x, self.y, self.z)


@dataclass(frozen=True)
class SiteMixing:
    """Several species on one position: the occupancies add up to ``total``, Biso and coordinates are shared.

    The first label is the host; its occupancy is what the others leave.
    """

    labels: tuple[str, ...]
    total: float = 1.0


@dataclass(frozen=True)
class CellRange:
    """Where a length of the cell may lie, in Å, and why: charge, substitution, growth on another crystal."""

    constant: Literal["a", "b", "c"]
    low: float
    high: float
    reason: str

    def __post_init__(self) -> None:
        if self.constant not in CELL[:3] or not 0.0 < self.low < self.high or not self.reason.strip():
            raise ValueError(f"a range needs a constant a, b or c, low < high and a reason, not {self}")


@dataclass(frozen=True)
class Bond:
    """First-shell distances in Å between two sites, by their labels, shortest first."""

    first: str
    second: str
    lengths: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.lengths or min(self.lengths) <= 0.0:
            raise ValueError(f"{self.first}-{self.second} needs one length or more, in Å")


@dataclass(frozen=True)
class Phase:
    """One phase: symmetry, cell, sites, constraints and where its numbers come from.

    Parameters
    ----------
    name : str
        Label.
    space_group : str
        Hermann–Mauguin symbol, e.g. ``"R -3 m"`` (hexagonal axes), ``"C 2/m"``.
    cell : tuple of 6 floats
        a, b, c in Å; alpha, beta, gamma in degrees.
    sites : tuple of Site
        Empty where only symmetry and cell are known.
    mixing : tuple of SiteMixing
    texture_axis : tuple of 3 ints, optional
        Axis along which its grains like to lie (the normal of plates); None where they lie anyhow.
    source : str
        Citation of the numbers.
    cell_range : tuple of CellRange
        For the constants that its crystal system leaves free; those that follow from them follow here too.
    bonds : tuple of Bond
        What its bonds are known to be; `check_phase` holds the coordinates to them.
    reported : tuple of 3 ints each
        Of a phase without sites, whose intensities nobody can work out: the reflections that have been seen of it. Its
        rings are these alone.
    zones : tuple of 3 ints each
        The only zone axes that mean something (the normal of a single sheet); empty: all do.
    """

    name: str
    space_group: str
    cell: tuple[float, ...]
    sites: tuple[Site, ...]
    mixing: tuple[SiteMixing, ...] = ()
    texture_axis: tuple[int, int, int] | None = None
    source: str = ""
    cell_range: tuple[CellRange, ...] = ()
    bonds: tuple[Bond, ...] = ()
    reported: tuple[tuple[int, int, int], ...] = ()
    zones: tuple[tuple[int, int, int], ...] = ()

    def site(self, label: str) -> Site:
        """Return the site called ``label``."""
        for site in self.sites:
            if site.label == label:
                return site
        raise RecipeError(f"phase {self.name} has no site {label!r}", hint=f"sites: {[s.label for s in self.sites]}")

    def log_range(self) -> FloatArray:
        """Return the range of ln(a), ln(b), ln(c) about the phase's own cell, shape (3, 2): low and high.

        A length without a stated range has that by which sources differ.
        """
        found = np.tile([-UNSTATED_RANGE, UNSTATED_RANGE], (3, 1))
        for stated in self.cell_range:
            k = CELL.index(stated.constant)
            found[k] = np.log(np.array([stated.low, stated.high]) / self.cell[k])
        return found

    def with_cell(self, **values: float) -> Self:
        """Return a copy with some cell constants replaced (``a=2.82, c=14.1``); equal ones by symmetry follow."""
        unknown = set(values) - set(CELL)
        if unknown:
            raise RecipeError(f"unknown cell constant {sorted(unknown)}")
        cell = dict(zip(CELL, self.cell, strict=True))
        if "a" in values:
            for other in ("b", "c"):
                if other not in values and math.isclose(cell[other], cell["a"], rel_tol=1e-9):
                    cell[other] = values["a"]
        cell.update(values)
        return replace(self, cell=tuple(cell[n] for n in CELL))

    def check_mixing(self) -> None:
        """Refuse a mixed site whose members do not share it.

        Raises
        ------
        RecipeError
            Fewer than two labels, other coordinates, or occupancies that do not add up to the total.
        """
        for rule in self.mixing:
            if len(rule.labels) < 2:
                raise RecipeError(f"phase {self.name}: a mixed site needs at least two labels, got {rule.labels}")
            sites = [self.site(label) for label in rule.labels]
            for other in sites[1:]:
                if max(abs(p - q) for p, q in zip(sites[0].xyz, other.xyz, strict=True)) > 1e-6:
                    raise RecipeError(f"phase {self.name}: {rule.labels} share a site but not its coordinates")
            total = sum(s.occupancy for s in sites)
            if abs(total - rule.total) > 1e-6:
                raise RecipeError(
                    f"phase {self.name}: occupancies of {rule.labels} add up to {total:g}, not {rule.total:g}"
                )
