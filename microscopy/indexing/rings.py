"""Rank phases by the rings of a window: all of them at one scale, one phase or two, or rings of something else.

Rings are a point process on the radius: each line of a phase is seen with a probability from its intensity, and what
no line explains is clutter. The scale of the image is summed over its prior. Cells are those of the library (within
the 0.2 % by which sources differ): crystals that make rings have grown on nothing. One ring alone therefore leaves
every phase that has a strong line there; of a phase without structure factors the reported lines are waited for, all
of them.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from layerscope.crystals import RingPattern

from ..image import Scale
from ..spots.model import Rings
from .detection import log_sum
from .library import Library
from .model import NO_LATTICE, OTHER_LATTICE, Candidate, Ranking
from .remarks import SHARED_SCALE

__all__ = ["index_rings"]

FloatArray = NDArray[np.float64]

SYSTEMATIC = 0.0025
"""Relative error of a radius that is not counting: the cell, the centre of a broad ring."""
SHARES = {"no lattice": 0.1, "other lattice": 0.15, "two": 0.15}
"""Prior probabilities of rings by chance, of something else, and of two phases of the library together."""
CHANCE, FOREIGN = 0.02, 2.5
"""Expected number of rings by chance, and of something that is not in the library."""
VISIBLE = (0.1, 0.02)
"""Share of the strongest intensity of which half of the lines are seen, in two kinds of images."""
CERTAIN = 0.9
REPORTED = 0.998
"""Probability that a reported line of a phase without structure factors is seen: it is named with all of them only."""
LEAST = 1e-4
_STEPS = 401


def index_rings(rings: Rings, library: Library, scale: Scale, *, band: tuple[float, float] | None = None) -> Ranking:
    """Rank explanations of the rings of one window.

    Parameters
    ----------
    rings : Rings
        Of the window.
    library : Library
        See `library_of`.
    scale : Scale
        Prior of the image's scale.
    band : tuple of 2 floats, optional
        Radii that were searched, 1/nm; those of the profile when not given.

    Returns
    -------
    Ranking
        Candidates of kind "rings"; the role of each ring is its phase and line, or "clutter".
    """
    low, high = band or _band(rings)
    sigma = np.hypot(rings.g_sigma, SYSTEMATIC * rings.g)
    factor = scale.factor * np.exp(scale.sd * np.linspace(-4, 4, _STEPS))
    weight = -0.5 * np.linspace(-4, 4, _STEPS) ** 2
    weight = weight - log_sum(weight, 0)
    known = {template.pattern.phase: template.known for template in library.bank.templates}
    single = [_lines(pattern, known[pattern.phase], rings, sigma, factor, low, high) for pattern in library.rings]
    rows = [_none(name, rings.g.size, high - low) for name in ("no lattice", "other lattice")]
    share = np.log((1 - sum(SHARES.values())) / len(single))
    for found, pattern in zip(single, library.rings, strict=True):
        rows.append(_explained((found,), (pattern,), rings, factor, weight, high - low, share))
    pairs = list(combinations(range(len(single)), 2)) if rings.g.size > 1 else []
    for i, j in pairs:
        parts, patterns = (single[i], single[j]), (library.rings[i], library.rings[j])
        rows.append(_explained(parts, patterns, rings, factor, weight, high - low, np.log(SHARES["two"] / len(pairs))))
    norm = float(log_sum(np.array([row[0] for row in rows]), 0))
    weighed = [replace(candidate, probability=float(np.exp(value - norm))) for value, candidate in rows]
    ranking = Ranking.ranked(weighed, scale)
    kept = tuple(one for one in ranking.candidates if one.probability > LEAST or one.in_set)
    if rings.g.size == 1:  # a single ring: whatever has a line there stays possible
        kept = tuple(replace(one, in_set=one.in_set or one.role != ("clutter",)) for one in ranking.candidates)
    return _said(replace(ranking, candidates=kept), rings.g.size)


def _band(rings: Rings) -> tuple[float, float]:
    return float(rings.radius.min()), float(rings.radius.max())


def _lines(
    pattern: RingPattern, known: bool, rings: Rings, sigma: FloatArray, factor: FloatArray, low: float, high: float
) -> tuple[FloatArray, FloatArray]:
    """Density (2, steps, rings) at each ring and cost (2, steps) of lines that are missing, in two kinds of images."""
    radius = factor[:, None] * pattern.g
    strength = pattern.intensity / pattern.intensity.max() * np.exp(-((pattern.g / 7.0) ** 2))
    inside = (radius > low) & (radius < high)
    density, cost = [], []
    for kind in (0, 1):
        seen = CERTAIN * strength / (strength + VISIBLE[kind]) if known else np.full(strength.shape, REPORTED)
        away = (rings.g - radius[..., None]) / sigma
        normal = np.exp(-0.5 * away**2) / (sigma * np.sqrt(2 * np.pi))
        density.append((np.where(inside, seen, 0.0)[..., None] * normal).sum(axis=1))
        missed = inside & ~(np.abs(away) < 3.0).any(axis=2)
        cost.append(np.where(missed, np.log1p(-seen), 0.0).sum(axis=1))
    return np.array(density), np.array(cost)


def _none(kind: str, count: int, span: float) -> tuple[float, Candidate]:
    """Rings by chance, or of something that is not in the library."""
    mean = CHANCE if kind == "no lattice" else FOREIGN
    value = count * np.log(mean / span) - mean
    name = NO_LATTICE if kind == "no lattice" else OTHER_LATTICE
    told = Candidate(name, "no lattice" if kind == "no lattice" else "other lattice", 0.0, value)
    return value + float(np.log(SHARES[kind])), replace(told, role=("clutter",) * count)


def _explained(
    parts: tuple[tuple[FloatArray, FloatArray], ...],
    patterns: tuple[RingPattern, ...],
    rings: Rings,
    factor: FloatArray,
    weight: FloatArray,
    span: float,
    share: float,
) -> tuple[float, Candidate]:
    """One phase, or two at one scale."""
    clutter = np.array([0.1, 1.0])[:, None, None, None]  # rings of something else besides: none to speak of, or one
    density = np.log(sum((part[0] for part in parts), np.zeros(1)) + clutter / span).sum(axis=3)
    curve = density + sum((part[1] for part in parts), np.zeros(1)) - clutter[..., 0] + weight
    curve = log_sum(curve, (0, 1)) - np.log(4.0)
    value = float(log_sum(curve, 0))
    mass = np.exp(curve - value)
    mean = float(mass @ np.log(factor))
    sd = float(np.sqrt(mass @ (np.log(factor) - mean) ** 2))
    names = [pattern.phase for pattern in patterns]
    told = Candidate(
        " + ".join(names),
        "rings",
        0.0,
        value,
        scale=float(np.exp(mean)),
        scale_sigma=float(np.exp(mean)) * sd,
        role=_roles(patterns, rings, float(np.exp(mean))),
        pattern_scale=float(np.exp(mean)),
    )
    return value + share, told


def _roles(patterns: tuple[RingPattern, ...], rings: Rings, factor: float) -> tuple[str, ...]:
    """Name what each ring is: the strongest line within its error, with its phase."""
    roles = []
    for g, sigma in zip(rings.g, np.hypot(rings.g_sigma, SYSTEMATIC * rings.g), strict=True):
        best, role = 0.0, "clutter"
        for pattern in patterns:
            near = np.abs(pattern.g * factor - g) < 3.0 * sigma
            strength = np.where(near, pattern.intensity / pattern.intensity.max(), 0.0)
            if strength.max(initial=0.0) > best:
                best, role = float(strength.max()), f"{pattern.phase} {pattern.labels[int(strength.argmax())]}"
        roles.append(role)
    return tuple(roles)


def _said(ranking: Ranking, count: int) -> Ranking:
    """Add reasons, flags and what would decide."""
    first = ranking.first
    several = {candidate.phase for candidate in ranking.ambiguity_set}
    reasons: tuple[str, ...] = ()
    if first.is_none:
        reasons = (f"{count} rings of nothing in the library" if count else "no ring",)
    decide: list[str] = []
    if len(several) > 1:
        scales = [c.scale for c in ranking.ambiguity_set if not c.is_none]
        if len(scales) > 1 and max(scales) / min(scales) - 1 > SHARED_SCALE:
            decide.append("calibration")
        if count < 2:
            decide.append("a second ring")
    flags = ("ONE_RING",) if count == 1 else ()
    return replace(ranking, reasons=reasons, would_decide=tuple(decide), flags=flags)
