"""What an electron beam sees of a crystal: the reflections of a zone axis, and the rings of a powder.

Amplitudes are kinematic |F| for electrons in Å. Reciprocal lengths are 1/d in 1/nm, as in images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from layerscope.errors import RecipeError

from .adapter import (
    FREE_CELL,
    crystal_system,
    equivalent_zones,
    equivalents,
    lattice_vectors,
    reflections,
    short_directions,
    z_contrast,
)
from .model import CELL, FloatArray, IntArray, Phase

__all__ = ["RingPattern", "ZonePattern", "rings", "zone_pattern", "zone_patterns"]

_SAME_POINT = 0.02
"""1/nm: nearer points of a zone are one (0.2 % of a reflection at 0.1 nm)."""
_SAME_RING = 1e-6
_WEAK_LAUE = 0.1
"""Amplitude, relative to the strongest of its Laue zone, from which a projected point counts."""
_LAUE_ZONES = 3
_STRONG = 0.03
"""Amplitude, relative to the strongest of the zone, from which a reflection gives the plane its x axis."""
_NEAR = 7.5
"""1/nm: reflections that most images still show; a zone needs two directions of them."""


@dataclass(frozen=True, eq=False)
class ZonePattern:
    """Reflections of one zone axis; of each Friedel pair that with gy > 0 (or gy = 0 < gx), shortest first.

    Attributes
    ----------
    phase : str
    zone : tuple of 3 ints
        Direction [uvw] of the beam in the axes of the phase's cell.
    hkl : ndarray of int, shape (n, 3)
    g : ndarray, shape (n, 2)
        1/nm; x along the shortest reflection of at least 3 % of the strongest, y to its left where [uvw] points to the
        viewer.
    amplitude : ndarray, shape (n,)
        |F| for electrons in Å; 1 for a phase without sites.
    contrast : ndarray, shape (n,)
        The same in an incoherent dark-field image, see `z_contrast`; up to a factor.
    strain_basis : ndarray, shape (3, n, 2)
        Change of ``g`` with ln(a), ln(b), ln(c), 1/nm. A length that follows from another one by symmetry moves with
        it, and its own row is zero. A rotation of the whole pattern is left out.
    log_range : ndarray, shape (3, 2)
        Range of ln(a), ln(b), ln(c) about this cell; zero where the row of ``strain_basis`` is.
    forbidden : ndarray, shape (m, 2)
        Points of the zone, of the cell that the indices refer to, whose reflection is absent or next to nothing:
        surfaces and double diffraction show them.
    forbidden_contrast : ndarray, shape (m,)
        Of those points, in units of ``contrast``: what cancels for electrons may be bright by its heavy atoms.
    laue : ndarray, shape (k, 2)
        Reflections of the next occupied Laue zone, projected along the beam, where none of the zone itself lies: thin
        crystals show them.
    """

    phase: str
    zone: tuple[int, int, int]
    hkl: IntArray
    g: FloatArray
    amplitude: FloatArray
    contrast: FloatArray
    strain_basis: FloatArray
    log_range: FloatArray
    forbidden: FloatArray
    forbidden_contrast: FloatArray
    laue: FloatArray


@dataclass(frozen=True, eq=False)
class RingPattern:
    """Rings of a powder of small crystals, innermost first.

    Attributes
    ----------
    phase : str
    g : ndarray, shape (n,)
        Radius in 1/nm.
    intensity : ndarray, shape (n,)
        Sum over the reflections of a ring of multiplicity times |F|², in Å²; of the multiplicity alone for a phase
        without sites.
    labels : tuple of str
        ``"111"``; ``"333+511"`` where several lie on one ring.
    strain_basis : ndarray, shape (3, n)
        Change of ln(g) with ln(a), ln(b), ln(c), as in `ZonePattern`.
    log_range : ndarray, shape (3, 2)
    """

    phase: str
    g: FloatArray
    intensity: FloatArray
    labels: tuple[str, ...]
    strain_basis: FloatArray
    log_range: FloatArray


@dataclass(frozen=True, eq=False)
class _Lattice:
    """All points of a reciprocal lattice up to a radius, with their amplitudes."""

    phase: Phase
    direct: FloatArray
    hkl: IntArray
    g: FloatArray
    amplitude: FloatArray
    ties: FloatArray

    @classmethod
    def of(cls, phase: Phase, g_max: float) -> _Lattice:
        direct = lattice_vectors(phase) / 10.0
        reciprocal = np.linalg.inv(direct)
        most = np.floor(g_max * np.linalg.norm(direct, axis=0)).astype(int) + 1  # one to spare for rounding
        amplitude = np.zeros(2 * most + 1)
        unique = reflections(phase, 10.0 / g_max, probe="electron")
        hkl, origin = equivalents(phase, unique.hkl)
        amplitude[tuple((hkl + most).T)] = np.sqrt(unique.f2)[origin]
        points = np.indices(amplitude.shape).reshape(3, -1).T - most
        g = points @ reciprocal
        inside = (np.linalg.norm(g, axis=1) <= g_max) & points.any(axis=1)
        return cls(phase, direct, points[inside], g[inside], amplitude.ravel()[inside], _ties(phase))

    def strain(self, hkl: IntArray) -> FloatArray:
        """Change of reciprocal vectors with ln(a), ln(b), ln(c), 1/nm, shape (3, n, 3)."""
        reciprocal = np.linalg.inv(self.direct)
        # a grows: a* shrinks, b* and c* stay
        own = -hkl.T[:, :, None] * reciprocal[:, None, :]
        change: FloatArray = np.einsum("ij,jnk->ink", self.ties, own)
        return change

    def log_range(self) -> FloatArray:
        return self.phase.log_range() * np.diag(self.ties)[:, None]


def _ties(phase: Phase) -> FloatArray:
    """Which lengths of the cell move with which: row i, column j is 1 where length j follows length i."""
    free, tied = FREE_CELL[crystal_system(phase)]
    ties = np.zeros((3, 3))
    for k, name in enumerate(CELL[:3]):
        ties[CELL.index(name if name in free else str(tied[name])), k] = 1.0
    return ties


def zone_pattern(
    phase: Phase, zone: Sequence[int], *, g_max: float = 10.0, min_amplitude: float = _STRONG
) -> ZonePattern:
    """Return the reflections of a zone axis with what else may show there.

    Parameters
    ----------
    phase : Phase
    zone : sequence of 3 ints
        [uvw] without a common factor.
    g_max : float
        Radius in 1/nm.
    min_amplitude : float
        Relative to the strongest reflection of the zone: weaker ones count as forbidden.

    Raises
    ------
    RecipeError
        The zone is no direction, or shows less than two directions of reflections within the radius; or the space group
        is unknown.
    """
    found = _pattern(_Lattice.of(phase, g_max), _direction(zone), min_amplitude)
    if found is None:
        raise RecipeError(f"{phase.name} shows less than two directions along {list(zone)} up to {g_max:g} 1/nm")
    return found


@lru_cache(maxsize=32)  # the images of a run are looked at with the same phases
def zone_patterns(
    phase: Phase, *, u_max: int = 2, g_max: float = 10.0, most: int = 8, min_amplitude: float = _STRONG
) -> tuple[ZonePattern, ...]:
    """Return the patterns of a phase's main zones: the axes of its cell, then along its shortest lattice vectors.

    Short vectors are near to more directions than others, and their zones show most reflections. Vectors of the
    centring count: [4 -4 -1] of a layered oxide is [001] of the rock salt that it resembles. Of the zones that symmetry
    makes equal one is there, that with the smallest indices; and only those that the phase itself names, if it names
    any. A zone needs two directions of reflections within 7.5 1/nm.

    Parameters
    ----------
    phase : Phase
    u_max : int
        Cells along a, b and c within which lattice vectors are looked for.
    g_max : float
        Radius in 1/nm.
    most : int
        Number of zones.
    min_amplitude : float
        See `zone_pattern`.
    """
    lattice = _Lattice.of(phase, g_max)
    found: list[tuple[bool, float, ZonePattern]] = []
    done: set[tuple[int, ...]] = set()
    every = short_directions(phase, u_max)
    for u, v, w in sorted(phase.zones or every, key=lambda u: (sum(map(abs, u)), [-v for v in u])):
        zone = (u, v, w)
        if zone in done:
            continue
        done |= equivalent_zones(phase, zone)
        pattern = _pattern(lattice, zone, min_amplitude)
        if pattern is None:
            continue
        strong = pattern.amplitude > _STRONG * pattern.amplitude.max()
        near = pattern.g[strong & (np.linalg.norm(pattern.g, axis=1) < _NEAR)]
        if len(near) > 1 and np.linalg.matrix_rank(near, tol=1e-3) == 2:
            length = every[zone] * float(np.linalg.norm(lattice.direct @ np.array(zone)))
            found.append((sum(map(abs, zone)) > 1, length, pattern))
    return tuple(pattern for *_, pattern in sorted(found, key=lambda row: row[:2])[:most])


def rings(phase: Phase, g_max: float = 10.0) -> RingPattern:
    """Return the rings of a powder up to a radius in 1/nm.

    Raises
    ------
    RecipeError
        The phase has no ring within the radius.
    """
    unique = reflections(phase, 10.0 / g_max, probe="electron")
    seen = unique.f2 > 1e-6 * unique.f2.max()
    if phase.reported and not phase.sites:
        seen &= np.array([_is_one_of(phase, hkl, phase.reported) for hkl in unique.hkl])
    if phase.zones:
        seen &= (unique.hkl @ np.array(phase.zones).T == 0.0).any(axis=1)
    hkl, d = unique.hkl[seen].astype(np.int64), unique.d[seen]
    strength = (unique.multiplicity * unique.f2)[seen]
    first = np.flatnonzero(np.diff(d, prepend=np.inf) < -_SAME_RING * d)
    g = 10.0 / d[first]
    lattice = _Lattice.of(phase, g_max)
    vectors = hkl[first] @ np.linalg.inv(lattice.direct)
    change = np.einsum("ink,nk->in", lattice.strain(hkl[first]), vectors) / g**2
    names = [label(phase, index) for index in hkl]
    ends = [*first[1:].tolist(), len(d)]
    labels = tuple("+".join(names[a:b]) for a, b in zip(first.tolist(), ends, strict=True))
    return RingPattern(phase.name, g, np.add.reduceat(strength, first), labels, change, lattice.log_range())


def _is_one_of(phase: Phase, hkl: IntArray, some: tuple[tuple[int, int, int], ...]) -> bool:
    """Whether symmetry makes a reflection equal to one of some."""
    orbit, _ = equivalents(phase, hkl.reshape(1, 3))
    return bool((orbit[:, None] == np.array(some)).all(axis=2).any())


def label(phase: Phase, hkl: IntArray) -> str:
    """Name a reflection by that of its equivalents with the fewest minus signs and the largest indices first."""
    orbit, _ = equivalents(phase, hkl.reshape(1, 3))
    best = max(orbit.tolist(), key=lambda index: (-sum(v < 0 for v in index), index))
    return ("" if max(map(abs, best)) < 10 else " ").join(map(str, best))


def _direction(zone: Sequence[int]) -> tuple[int, int, int]:
    u, v, w = (int(value) for value in zone)
    if math.gcd(u, v, w) != 1:
        raise RecipeError(f"{list(zone)} is no direction without a common factor", hint="[1, 1, 0] for [2, 2, 0]")
    return u, v, w


def _pattern(lattice: _Lattice, zone: tuple[int, int, int], min_amplitude: float) -> ZonePattern | None:
    layer = lattice.hkl @ np.array(zone)
    flat = layer == 0
    strongest = lattice.amplitude[flat].max(initial=0.0)
    seen, strong = (flat & (lattice.amplitude > least * strongest) for least in (min_amplitude, _STRONG))
    if strongest == 0.0 or np.linalg.matrix_rank(lattice.hkl[seen & strong]) < 2:
        return None
    lengths = np.linalg.norm(lattice.g, axis=1)
    x = lattice.g[strong][lengths[strong].argmin()]
    z = lattice.direct @ np.array(zone, dtype=float)
    frame = np.stack([x, np.cross(z, x)])
    frame /= np.linalg.norm(frame, axis=1)[:, None]
    plane = lattice.g @ frame.T
    plane[np.abs(plane) < 1e-9] = 0.0
    half = (plane[:, 1] > 0) | ((plane[:, 1] == 0) & (plane[:, 0] > 0))
    rows = np.flatnonzero(seen & half)
    rows = rows[np.lexsort((plane[rows, 0], np.round(lengths[rows], 6)))]
    g = plane[rows]
    laue = _folded(plane[_next_laue(layer, lattice.amplitude, strongest)])
    laue = laue[_apart(laue, g)]
    absent = np.flatnonzero(flat & half & ~seen)
    absent = absent[_apart(plane[absent], np.concatenate([g, laue]))]
    return ZonePattern(
        phase=lattice.phase.name,
        zone=zone,
        hkl=lattice.hkl[rows],
        g=g,
        amplitude=lattice.amplitude[rows],
        contrast=z_contrast(lattice.phase, lattice.hkl[rows]),
        strain_basis=lattice.strain(lattice.hkl[rows]) @ frame.T,
        log_range=lattice.log_range(),
        forbidden=plane[absent],
        forbidden_contrast=z_contrast(lattice.phase, lattice.hkl[absent]),
        laue=laue,
    )


def _next_laue(layer: IntArray, amplitude: FloatArray, strongest: float) -> IntArray:
    """Rows of the next Laue zone that holds reflections worth the name."""
    for n in range(1, _LAUE_ZONES + 1):
        rows = np.flatnonzero(layer == n)
        top = amplitude[rows].max(initial=0.0)
        if top > _WEAK_LAUE * strongest:
            kept: IntArray = rows[amplitude[rows] > _WEAK_LAUE * top]
            return kept
    return np.zeros(0, dtype=np.int64)


def _folded(points: FloatArray) -> FloatArray:
    """Return each point or its opposite, whichever lies in the half plane."""
    turned = (points[:, 1] < 0) | ((points[:, 1] == 0) & (points[:, 0] < 0))
    return np.where(turned[:, None], -points, points)


def _apart(points: FloatArray, others: FloatArray) -> IntArray:
    """Return the rows of those points that lie on no other one, each once, shortest first; the origin is none."""
    kept: list[int] = []
    for row in np.argsort(np.linalg.norm(points, axis=1), kind="stable").tolist():
        near = np.array([np.zeros(2), *others, *points[kept]])
        if np.linalg.norm(near - points[row], axis=1).min() > _SAME_POINT:
            kept.append(row)
    return np.array(kept, dtype=np.int64)
