"""Rank phases by the rings of a window: one phase, or two or three at one scale, or rings of something else.

Rings are a point process on the radius: each line of a phase is seen with a probability from its intensity, and what
no line explains is clutter. A ring may be of one phase of a mixture or of several. The scale of the image is one for
all phases and summed over its prior: what one phase says of it holds for the others. Cells are those of the library
(within the 0.2 % by which sources differ): crystals that make rings have grown on nothing. One ring alone therefore
leaves every phase that has a strong line there; of a phase without structure factors the reported lines are waited
for, all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from math import comb

import numpy as np
from numpy.typing import NDArray

from layerscope.crystals import RingPattern

from ..image import UNVERIFIED_SCALE, Scale
from ..spots.model import Rings
from .detection import log_sum
from .library import Library
from .model import NO_LATTICE, OTHER_LATTICE, Candidate, Ranking
from .remarks import SHARED_SCALE

__all__ = ["index_rings"]

FloatArray = NDArray[np.float64]

SYSTEMATIC = 0.0025
"""Relative error of a radius that is not counting: the cell, the centre of a broad ring."""
SHARES = {"no lattice": 0.1, "other lattice": 0.15}
"""Prior probabilities of rings by chance and of something else."""
ADDED = 0.5
"""Prior probability of two phases over that of one, and of three over that of two.

On lists with one, two and three phases in equal parts 0.2 states more than holds; with more than 0.6, two alike
phases come before one of them.
"""
MOST_PHASES = 3
CHANCE, FOREIGN = 0.02, 2.5
"""Expected number of rings by chance, and of something that is not in the library."""
VISIBLE = (0.5, 0.1, 0.02)
"""Share of the strongest intensity of a phase of which half of its lines are seen: few grains of it, some, many."""
BESIDES = (0.1, 1.0, 3.0)
"""Expected number of rings of something else besides: none to speak of, one, a phase that is not in the library."""
TEMPERATURE = 1.25
"""By which the logarithms of evidence and of the prior of a mixture are divided, not that of the prior of the scale.

Lines are not as independent as the likelihood holds them. Fitted on 250 lists of `benchmarks/hrtem_rings.py`, seed 101.
"""
CERTAIN = 0.9
REPORTED = 0.9995
"""Probability that a reported line of a phase without structure factors is seen: it is named with all of them only."""
RESOLVED = 0.3
"""1/nm: of rings nearer to each other `find_rings` finds one."""
TAIL = 0.1
"""Probability that a line is seen anywhere within `RESOLVED` of its place, run together with another ring."""
LEAST = 1e-4
_STEPS = 401
_GROWN = 12
"""Leading pairs that a third phase is added to."""
_SHARED = 0.3
"""Of the strongest line at a ring: weaker ones are not named."""


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
    view = _view(rings, library, scale, band or _band(rings))
    rows = [_none(name, rings.g.size, view.span) for name in ("no lattice", "other lattice")]
    rows += [_explained(view, parts, share) for parts, share in _mixtures(view)]
    norm = float(log_sum(np.array([row[0] for row in rows]), 0))
    weighed = [replace(candidate, probability=float(np.exp(value - norm))) for value, candidate in rows]
    ranking = Ranking.ranked(weighed, scale)
    kept = tuple(one for one in ranking.candidates if one.probability > LEAST or one.in_set)
    if rings.g.size == 1:  # a single ring: whatever has a line there stays possible
        kept = tuple(replace(one, in_set=one.in_set or one.role != ("clutter",)) for one in ranking.candidates)
    return _said(replace(ranking, candidates=kept), rings.g.size)


@dataclass(frozen=True, eq=False)
class _View:
    """What every explanation starts from: the rings, and what each phase says of them at each scale of the image."""

    rings: Rings
    sigma: FloatArray
    factor: FloatArray
    weight: FloatArray  # log prior of each factor
    span: float
    patterns: tuple[RingPattern, ...]
    lines: tuple[tuple[FloatArray, FloatArray, FloatArray], ...]
    cache: dict[tuple[tuple[int, int], ...], FloatArray] = field(default_factory=dict)

    def curve(self, parts: Sequence[int]) -> FloatArray:
        """Log likelihood of phases together at each scale, each of which left a ring: of many lines or of few."""
        every = []
        for shown in product(range(len(VISIBLE)), repeat=len(parts)):  # a phase of few grains shows fewer lines
            own = tuple(zip(parts, shown, strict=True))
            value = self._of(own)
            if len(own) > 1:  # a phase that left no ring is not one of the mixture
                none = [self.lines[k][2][kind] for k, kind in own]
                idle = [np.exp(self._of(own[:j] + own[j + 1 :]) + none[j] - value) for j in range(len(own))]
                value = value + np.log(np.maximum(1 - np.sum(idle, axis=0), LEAST))
                value = value - np.sum([np.log(-np.expm1(one)) for one in none], axis=0)
            every.append(value)
        everything = np.concatenate(every)
        return np.asarray(log_sum(everything, 0) - np.log(len(everything)))

    def _of(self, own: tuple[tuple[int, int], ...]) -> FloatArray:
        """Log likelihood of phases, each of a kind of `VISIBLE`, by `BESIDES`, at each scale."""
        if own not in self.cache:
            clutter = np.array(BESIDES)[:, None, None]
            density, seen, unseen = np.sum([self.lines[k][0][:, kind] for k, kind in own], axis=0)
            cost = np.sum([self.lines[k][1][kind] for k, kind in own], axis=0)
            # lines that run together are one ring: it is seen if any of them is, and counts once; what the transfer of
            # the image hides it hides for all of them
            density = density * -CERTAIN * np.expm1(unseen) / np.maximum(seen, 1e-12)
            self.cache[own] = np.log(density + clutter / self.span).sum(axis=2) + cost - clutter[..., 0]
        return self.cache[own]


def _view(rings: Rings, library: Library, scale: Scale, band: tuple[float, float]) -> _View:
    sigma = np.hypot(rings.g_sigma, SYSTEMATIC * rings.g)
    steps = np.linspace(-4, 4, _STEPS)
    factor, weight = scale.factor * np.exp(scale.sd * steps), -0.5 * steps**2
    known = {template.pattern.phase: template.known for template in library.bank.templates}
    lines = tuple(_lines(pattern, known[pattern.phase], rings, sigma, factor, *band) for pattern in library.rings)
    return _View(rings, sigma, factor, weight - log_sum(weight, 0), band[1] - band[0], library.rings, lines)


def _mixtures(view: _View) -> Iterator[tuple[tuple[int, ...], float]]:
    """Mixtures of one, two and three phases with the log of their prior; three only where two lead, and rings suffice.

    Each number of phases is `ADDED` times as probable as one less, shared by all mixtures of that number.
    """
    count = len(view.patterns)
    most = min(MOST_PHASES, max(view.rings.g.size, 1), count)
    share = (1 - sum(SHARES.values())) / sum(ADDED**k for k in range(most))
    pairs = list(combinations(range(count), 2)) if most > 1 else []
    for k in range(count):
        yield (k,), float(np.log(share / count))
    for pair in pairs:
        yield pair, float(np.log(share * ADDED / len(pairs)))
    if most > 2:
        leading = sorted(pairs, key=lambda pair: -float(log_sum(view.curve(pair) + view.weight, 0)))[:_GROWN]
        grown = {tuple(sorted((*pair, k))) for pair in leading for k in range(count) if k not in pair}
        for parts in sorted(grown):
            yield parts, float(np.log(share * ADDED**2 / comb(count, 3)))


def _band(rings: Rings) -> tuple[float, float]:
    return float(rings.radius.min()), float(rings.radius.max())


def _lines(
    pattern: RingPattern, known: bool, rings: Rings, sigma: FloatArray, factor: FloatArray, low: float, high: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return what lines say of each ring and the cost of missing ones, at each scale in each kind of `VISIBLE`.

    Of each ring, shape (3, kinds, steps, rings): the density of lines there, the sum of their probabilities to be seen,
    and the log of that of none being seen. The cost has the shape (kinds, steps).
    """
    radius = factor[:, None] * pattern.g
    strength = pattern.intensity / pattern.intensity.max() * np.exp(-((pattern.g / 7.0) ** 2))
    inside = (radius > low) & (radius < high)
    away = (rings.g - radius[..., None]) / sigma
    near = np.abs(away) < 3.0
    # a line beside a stronger ring cannot be told to be missing; what is reported is named by all of its lines, and one
    # beyond the band is not seen either
    hidden = near | (np.abs(away) * sigma < (RESOLVED if known else 0.0))
    missed = (inside | np.bool_(not known)) & ~hidden.any(axis=2)
    joined = np.where(hidden, 0.5 / RESOLVED, 0.0) if known else 0.0
    at_rings, cost, none = [], [], []
    for visible in VISIBLE:
        shown = strength / (strength + visible) if known else np.full(strength.shape, REPORTED)
        here = np.where(inside, shown, 0.0)[..., None]
        density = here * ((1 - TAIL) * np.exp(-0.5 * away**2) / (sigma * np.sqrt(2 * np.pi)) + TAIL * joined)
        parts = density, here * hidden, np.log1p(-here) * hidden
        at_rings.append([part.sum(axis=1) for part in parts])
        lost = np.log1p(-shown * (CERTAIN if known else 1.0))
        none.append(np.where(inside, lost, 0.0).sum(axis=1) - 1e-9)
        cost.append(np.where(missed, lost, 0.0).sum(axis=1))
    return np.array(at_rings).swapaxes(0, 1), np.array(cost), np.array(none)


def _none(kind: str, count: int, span: float) -> tuple[float, Candidate]:
    """Rings by chance, or of something that is not in the library."""
    mean = CHANCE if kind == "no lattice" else FOREIGN
    value = count * np.log(mean / span) - mean
    name = NO_LATTICE if kind == "no lattice" else OTHER_LATTICE
    told = Candidate(name, "no lattice" if kind == "no lattice" else "other lattice", 0.0, value)
    return (value + float(np.log(SHARES[kind]))) / TEMPERATURE, replace(told, role=("clutter",) * count)


def _explained(view: _View, parts: tuple[int, ...], share: float) -> tuple[float, Candidate]:
    """One phase, or several at one scale: the log of tempered evidence times prior, and what it says."""
    alone = view.curve(parts)
    value = float(log_sum(alone + view.weight, 0))
    mean, sd = _moments(np.exp(alone + view.weight - value), view.factor)
    by_rings = alone - log_sum(alone, 0)
    role = _roles(view, parts, mean)
    names = {view.patterns[k].phase: k for k in parts}
    explains = {name: sum(f"{name} " in one for one in role) for name in names}
    told = Candidate(
        " + ".join(sorted(names, key=lambda name: -explains[name])),
        "rings",
        0.0,
        value,
        scale=mean,
        scale_sigma=sd,
        role=role,
        pattern_scale=_moments(np.exp(by_rings), view.factor)[0],
    )
    return float(log_sum(alone / TEMPERATURE + view.weight, 0)) + share / TEMPERATURE, told


def _moments(mass: FloatArray, factor: FloatArray) -> tuple[float, float]:
    """Mean and standard deviation of a scale."""
    mean = float(mass @ np.log(factor))
    sd = float(np.sqrt(mass @ (np.log(factor) - mean) ** 2))
    return float(np.exp(mean)), float(np.exp(mean)) * sd


def _roles(view: _View, parts: tuple[int, ...], factor: float) -> tuple[str, ...]:
    """Name what each ring is: the strongest line within its error, with its phase; of several phases that of each."""
    roles = []
    for g, sigma in zip(view.rings.g, view.sigma, strict=True):
        found: list[tuple[float, str]] = []
        for pattern in (view.patterns[k] for k in parts):
            near = np.abs(pattern.g * factor - g) < 3.0 * sigma
            strength = np.where(near, pattern.intensity / pattern.intensity.max(), 0.0)
            if near.any():
                best = int(strength.argmax())
                found.append((float(strength[best]), f"{pattern.phase} {pattern.labels[best]}"))
        strongest = max((strength for strength, _ in found), default=0.0)
        roles.append(" and ".join(name for strength, name in found if strength >= _SHARED * strongest) or "clutter")
    return tuple(roles)


def _said(ranking: Ranking, count: int) -> Ranking:
    """Add reasons, flags and what would decide."""
    first = ranking.first
    named = [one for one in ranking.ambiguity_set if not one.is_none]
    reasons: tuple[str, ...] = ()
    if first.is_none:
        reasons = (f"{count} rings of nothing in the library" if count else "no ring",)
    decide: list[str] = []
    if len(ranking.ambiguity_set) > 1:
        scales = [one.pattern_scale for one in named]  # by the rings alone: a narrow prior hides it
        if len(scales) > 1 and max(scales) / min(scales) - 1 > SHARED_SCALE:
            decide.append("calibration")
        if count < 2 or any("clutter" in one.role for one in named):
            decide.append("a second ring")
        if not decide:  # the places of the rings limit, not the scale
            decide.append("rings of more grains")
    flags = ["ONE_RING"] if count == 1 else []
    off = first.scale / ranking.scale.factor - 1
    if not first.is_none and abs(off) > 2 * min(ranking.scale.sd, UNVERIFIED_SCALE / 3):
        flags.append(f"SCALE_OFF:{100 * off:+.2g} %")
    return replace(ranking, reasons=reasons, would_decide=tuple(decide), flags=tuple(flags))
