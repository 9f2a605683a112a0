"""When a phase appears and when it is gone: the kink of its fraction, with an interval in time, frame and voltage.

Near its start the fraction is zero before a time t0 and grows after it. How it bends is not known, and where fractions
are known to a hundredth of themselves this decides on the error of t0: a parabola fitted far into the bend of a growth
that saturates sets the onset early by as much as its standard error. Two laws are therefore tried for every t0, the
parabola a u + b u^2 and the growth of first order a c (1 - exp(-u / c)), u = t - t0, both with a straight line as their
limit; chi2 is that of the one which fits better, so that the interval holds what either allows. Frames are used as far
as the laws cannot be told apart from others that slow down smoothly: farther into the bend the larger the noise.

Amounts are used with their sign, also in frames in which the phase was judged absent, so that neither a single noisy
frame nor the rule that decides on presence moves the kink. The interval is that of the profile likelihood: chi2 has
corners at the frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .radiation import FloatArray

__all__ = ["Interval", "PhaseEvent", "fit_kink"]

_RISE_68, _RISE_95 = 1.0, 3.841458820694124
_GRID, _STAGES, _NEAR = 101, 4, 12.0  # points, refinements, and the chi2 above the least that they resolve
_CONSTANTS = np.geomspace(0.12, 12.0, 28)  # of growth, in lengths of the stretch that is fitted

BEND = 0.6
"""Share of the largest fraction up to which frames tell of an onset where nothing is known of their errors."""

BEND_RANGE = (0.5, 0.85)
MISFIT, TOLERATED = 0.0165, 6.0
"""Up to a share r of the largest fraction the two laws err by `MISFIT` r^4 of it (rms, against tanh and a hyperbola),
and an onset by half its standard error where this is more than a `TOLERATED`-th of that of a fraction."""

CONVEX_PENALTY = 9.0
"""Chi2 that a fraction which speeds up after its onset must gain over one that does not."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its 68.27 % and 95 % intervals; an end is None where the series sets none."""

    value: float
    low_68: float | None
    high_68: float | None
    low_95: float | None
    high_95: float | None


@dataclass(frozen=True)
class PhaseEvent:
    """Appearance or end of a phase.

    Attributes
    ----------
    phase : str
    kind : {"onset", "end"}
    time_s, frame, voltage_V : Interval or None
        The same event on three scales; voltage None without a voltage profile.
    slope : float
        Fraction per second at the kink.
    chi2, n_free_data : float, int
        Of the kink's fit and its degrees of freedom; intervals are widened by sqrt(chi2/dof) where that exceeds 1.
    """

    phase: str
    kind: Literal["onset", "end"]
    time_s: Interval
    frame: Interval
    voltage_V: Interval | None
    slope: float
    chi2: float
    n_free_data: int


def fit_kink(
    phase: str,
    kind: Literal["onset", "end"],
    time: FloatArray,
    fraction: FloatArray,
    sigma: FloatArray,
    *,
    bounds: tuple[float, float],
    frame_time: FloatArray,
    voltage: FloatArray | None = None,
    common: float = 0.0,
) -> PhaseEvent | None:
    """Locate the kink at which a fraction leaves zero (onset) or reaches it (end).

    Parameters
    ----------
    phase : str
    kind : {"onset", "end"}
    time : ndarray, shape (m,)
        Of the frames around the kink (s), ascending.
    fraction, sigma : ndarray, shape (m,)
        Amount of the phase, of either sign, and its standard error.
    bounds : (float, float)
        Where the kink can lie (s).
    frame_time, voltage : ndarray, shape (F,)
        Time and voltage of all frames, to translate.
    common : float
        Standard error of the fraction near the kink that frames of the phase have in common. It moves the kink by as
        much as the fraction takes to grow by it, however many frames there are.

    Returns
    -------
    PhaseEvent or None
        None if there are too few frames.
    """
    if time.size < 4 or np.count_nonzero((time > bounds[0]) & (time < bounds[1])) < 1:
        return None
    sign = 1.0 if kind == "onset" else -1.0
    scale = max(float(time[-1] - time[0]), 1e-9)
    grid = np.unique(np.concatenate([np.linspace(*bounds, _GRID), time[(time >= bounds[0]) & (time <= bounds[1])]]))
    for stage in range(_STAGES + 1):
        distance = np.clip(sign * (time[None] - grid[:, None]), 0.0, None) / scale
        chi2, slope = _profile(distance, fraction / sigma, 1.0 / sigma)
        near = np.flatnonzero(chi2 - chi2.min() < _NEAR)
        if stage == _STAGES or near.size > _GRID // 4:
            break
        low, high = grid[max(near[0] - 1, 0)], grid[min(near[-1] + 1, grid.size - 1)]
        grid = np.unique(np.concatenate([grid, np.linspace(low, high, _GRID)]))
    at = int(chi2.argmin())
    dof = max(time.size - 3, 1)
    inflation = max(1.0, float(chi2[at]) / dof)
    rise = (chi2 - chi2[at]) / inflation
    value = float(grid[at])
    _, rate = _one_term(np.clip(sign * (time - value), 0.0, None) / sigma, fraction / sigma, 0.0)
    moved = common / float(rate) if common > 0 and rate > 0 else 0.0
    ends: list[float | None] = []
    for limit in (_RISE_68, _RISE_95):
        low, high = _edges(grid, rise, at, limit)
        more = moved * limit**0.5
        ends += [None if low is None else value - float(np.hypot(value - low, more))]
        ends += [None if high is None else value + float(np.hypot(high - value, more))]
    in_time = Interval(value, *ends)
    frames = np.arange(frame_time.size, dtype=float)
    return PhaseEvent(
        phase,
        kind,
        in_time,
        _translated(in_time, frame_time, frames),
        None if voltage is None else _sorted(_translated(in_time, frame_time, voltage)),
        float(slope[at] / scale),
        float(chi2[at]),
        dof,
    )


def _profile(distance: FloatArray, target: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return least chi2 and slope for every kink; the slope is not negative.

    Parameters
    ----------
    distance : ndarray, shape (G, m)
        Time since each of the kinks, zero before it.
    target, weight : ndarray, shape (m,)
        Fraction over its standard error; 1 over its standard error.
    """
    total = float(target @ target)
    chi2, slope = _one_term(distance * weight, target, total)
    for other, steep in (_parabola(distance, target, weight, total), _first_order(distance, target, weight, total)):
        better = other < chi2
        chi2, slope = np.where(better, other, chi2), np.where(better, steep, slope)
    return chi2, slope


def _one_term(basis: FloatArray, target: FloatArray, total: float) -> tuple[FloatArray, FloatArray]:
    """Return chi2 and coefficient, not negative, of one weighted curve (..., m)."""
    square, along = np.einsum("...m,...m->...", basis, basis), basis @ target
    c = np.where(square > 1e-12, np.maximum(along, 0.0) / np.maximum(square, 1e-12), 0.0)
    return np.asarray(total - c * (2.0 * along - c * square)), c


def _parabola(
    distance: FloatArray, target: FloatArray, weight: FloatArray, total: float
) -> tuple[FloatArray, FloatArray]:
    """Return chi2 and first slope of the best parabola of every kink that rises as far as it is fitted."""
    first, second = distance * weight, distance**2 * weight
    a11, a12, a22 = ((p * q).sum(axis=1) for p, q in ((first, first), (first, second), (second, second)))
    b1, b2 = first @ target, second @ target
    det = a11 * a22 - a12**2
    fine = det > 1e-9 * a11 * a22 + 1e-300
    safe = np.where(fine, det, 1.0)
    p, q = (a22 * b1 - a12 * b2) / safe, (a11 * b2 - a12 * b1) / safe
    fine &= (p > 0) & (p + 2 * q * distance.max(axis=1) > 0)
    # a fraction that speeds up can hide its start: it has to earn that
    chi2 = total - p * b1 - q * b2 + np.where(q > 0, CONVEX_PENALTY, 0.0)
    return np.where(fine, chi2, np.inf), p


def _first_order(
    distance: FloatArray, target: FloatArray, weight: FloatArray, total: float
) -> tuple[FloatArray, FloatArray]:
    """Return chi2 and first slope of the best exponential growth towards a limit, for every kink."""
    growth = -np.expm1(-distance[:, None] / _CONSTANTS[:, None]) * weight
    coarse, _ = _one_term(growth, target, total)
    row, best = np.arange(len(coarse)), coarse.argmin(axis=1)
    at = np.clip(best, 1, _CONSTANTS.size - 2)
    # between the constants chi2 runs about like a parabola, whose vertex is close to the best constant
    low, high = coarse[row, at - 1], coarse[row, at + 1]
    bend = low - 2.0 * coarse[row, at] + high
    inside = (best == at) & (bend > 0)
    offset = np.where(inside, 0.5 * (low - high) / np.where(inside, bend, 1.0), 0.0)
    constant = _CONSTANTS[best] * (_CONSTANTS[1] / _CONSTANTS[0]) ** offset
    chi2, height = _one_term(-np.expm1(-distance / constant[:, None]) * weight, target, total)
    return chi2, height / constant


def _edges(grid: FloatArray, rise: FloatArray, at: int, limit: float) -> tuple[float | None, float | None]:
    """Return where the rise of chi2 first exceeds a limit on both sides of the best point."""
    above = rise > limit
    left = np.flatnonzero(above[:at])
    right = np.flatnonzero(above[at:])

    def crossing(i: int, j: int) -> float:
        t = (limit - rise[i]) / (rise[j] - rise[i])
        return float(grid[i] + t * (grid[j] - grid[i]))

    low = crossing(int(left[-1]) + 1, int(left[-1])) if left.size else None
    high = crossing(at + int(right[0]) - 1, at + int(right[0])) if right.size else None
    return low, high


def _translated(interval: Interval, frame_time: FloatArray, scale: FloatArray) -> Interval:
    def move(value: float | None) -> float | None:
        return None if value is None else float(np.interp(value, frame_time, scale))

    moved = move(interval.value)
    assert moved is not None  # noqa: S101
    return Interval(moved, *(move(getattr(interval, n)) for n in ("low_68", "high_68", "low_95", "high_95")))


def _sorted(v: Interval) -> Interval:
    """Order the ends of an interval on a scale that runs backwards (a falling voltage)."""

    def pair(a: float | None, b: float | None) -> tuple[float | None, float | None]:
        if a is not None and b is not None:
            return (min(a, b), max(a, b))
        known = a if a is not None else b
        if known is None:
            return None, None
        return (known, None) if known <= v.value else (None, known)

    return Interval(v.value, *pair(v.low_68, v.high_68), *pair(v.low_95, v.high_95))


def interval_frames(
    run: tuple[int, int],
    total: int,
    fraction: FloatArray,
    kind: Literal["onset", "end"],
    *,
    before: int,
    after: int,
    sigma: FloatArray | None = None,
) -> NDArray[np.intp]:
    """Return the frames that decide on a kink of a run of presence.

    Outside the run `before` frames, as far as there are any; inside up to `after` frames, but no further than where the
    fraction has come to a share of its largest value in the run beyond which its bend is not described well enough.

    Parameters
    ----------
    run : (int, int)
        Start and stop.
    total : int
        Number of frames, F.
    fraction : ndarray, shape (F,)
    kind : {"onset", "end"}
    before, after : int
    sigma : ndarray, shape (F,), optional
        Standard errors of the fractions; without them that share is `BEND`.
    """
    start, stop = run
    inside = np.arange(start, stop)
    course = np.convolve(np.pad(fraction[inside], 1, mode="edge"), np.ones(3) / 3, mode="valid")
    share = BEND
    if sigma is not None and course.max() > 0:
        known = sigma[inside][np.isfinite(sigma[inside]) & (sigma[inside] > 0)]
        noise = float(np.median(known)) / float(course.max()) if known.size else 0.0
        share = float(np.clip((noise / (TOLERATED * MISFIT)) ** 0.25, *BEND_RANGE))
    if kind == "end":
        inside, course = inside[::-1], course[::-1]
    high = np.flatnonzero(course >= share * course.max())
    count = int(np.clip(high[0] + 1 if high.size else after, min(3, inside.size), after))
    chosen = inside[:count]
    outside = np.arange(start - before, start) if kind == "onset" else np.arange(stop, stop + before)
    both = np.concatenate([outside, chosen])
    return np.asarray(np.sort(both[(both >= 0) & (both < total)]), dtype=np.intp)
