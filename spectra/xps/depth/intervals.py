"""Intervals of the times and levels of a depth-profile model, read off its mapped chi2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..dataset import FloatArray
from .models import Grid, Optimum, fit_levels
from .shapes import SPECS, Data, Spec, boxes
from .zoom import Zoomed, zoom

__all__ = ["ChangePoint", "Levels", "describe"]

# Steps of the search for the other parameter along a profile, and its rounds
_STEPS = np.linspace(-1.0, 1.0, 9)
_ROUNDS = 4
# Parameters whose chi2 differs by less than this cannot be told apart
_FLAT = 1e-3


class _Fitted(Protocol):
    """What is needed of the other models."""

    @property
    def chi2(self) -> float: ...


@dataclass(frozen=True)
class ChangePoint:
    """Time with its profile-likelihood intervals (s).

    Attributes
    ----------
    value : float or None
        Best estimate; None if it lies outside the measured range, or if the levels are too coarse to see it.
    low_68, high_68, low_95, high_95 : float or None
        Ends of the 68.27 % and 95 % intervals; None where the data set no end within the measured range.
    """

    value: float | None
    low_68: float | None
    high_68: float | None
    low_95: float | None
    high_95: float | None


@dataclass(frozen=True)
class Levels:
    """Times and levels of one model with their intervals.

    Attributes
    ----------
    first, second : ChangePoint
        Kinks of a ramp; half time and width of an edge; nothing and the 1/e time of an approach.
    start, end : float
        Levels before and behind the transition.
    start_sigma, end_sigma : float
        Half of their 68 % intervals; 0 where a level is held at zero.
    zero_at_start, zero_at_end : bool
        Whether zero lies in the 95 % interval of the level there, within the measured range.
    """

    first: ChangePoint
    second: ChangePoint
    start: float
    start_sigma: float
    end: float
    end_sigma: float
    zero_at_start: bool
    zero_at_end: bool


def describe(
    data: Data,
    key: str,
    best: Optimum,
    others: Mapping[str, _Fitted],
    inflation: float,
    rises: tuple[float, float],
) -> Levels:
    """Find all intervals of one model.

    Parameters
    ----------
    data : Data
    key : str
        Model, a key of `SPECS`.
    best : Optimum
        Its best fit.
    others : mapping of str to fitted models
        For the question whether a free level could be zero: chi2 of the models with that level held there.
    inflation : float
        Factor on all variances.
    rises : tuple of float
        Rise of chi2 at the ends of 68.27 % and 95 % intervals, before inflation and simulation.

    Returns
    -------
    Levels
    """
    spec = SPECS[key]
    limits = inflation * rises[0], inflation * rises[1]
    area = zoom(data, spec, best, 2.0 * max(limits[1], 4.0 * inflation), inflation)
    points = []
    for k in (0, 1):
        factor = area.bartlett[k]
        points.append(_point(data, spec, best, area, k, (limits[0] * factor[0], limits[1] * factor[1])))
    zeros = [_compatible(data, spec, best, others, points, side, limits[1]) for side in ("start", "end")]
    start, end = (_level_sigma(area, side, limits[0]) for side in ("start", "end"))
    return Levels(points[0], points[1], best.start, start, best.end, end, *zeros)


def _point(data: Data, spec: Spec, best: Optimum, area: Zoomed, k: int, limits: tuple[float, float]) -> ChangePoint:
    """Profile one parameter over the other, and read off its estimate and intervals."""
    axis = area.axes[k]
    if axis.size == 1:
        return ChangePoint(None, None, None, None, None)
    rise = _profile(data, spec, best, area, k)
    flat = axis[rise <= _FLAT]
    value = float(0.5 * (flat[0] + flat[-1]))
    is_time = spec.kind == "ramp" or (spec.kind == "edge" and k == 0)
    low, high = (float(data.time[0]), float(data.time[-1])) if is_time else boxes(data, spec)[k]
    inside = low <= value <= high if is_time else bool(flat[0] > low and flat[-1] < high)
    ends: list[float | None] = []
    for limit in limits:
        near = np.flatnonzero(rise <= limit)
        left, right = _crossing(axis, rise, limit, int(near[0]), -1), _crossing(axis, rise, limit, int(near[-1]), +1)
        ends += [min(left, high) if left > low else None, max(right, low) if right < high else None]
    if not is_time:
        value, ends = float(np.exp(value)), [None if e is None else float(np.exp(e)) for e in ends]
    return ChangePoint(value if inside else None, *ends)


def _profile(data: Data, spec: Spec, best: Optimum, area: Zoomed, k: int) -> FloatArray:
    """Least rise of chi2 at every point of an axis: the best point of the map, then ever finer steps around it."""
    table, axis, other_axis = (area.rise if k == 0 else area.rise.T), area.axes[k], area.axes[1 - k]
    other = other_axis[np.argmin(table, axis=1)]
    rise = table.min(axis=1)
    step = float(np.max(np.diff(other_axis), initial=0.0))
    low, high = boxes(data, spec)[1 - k]
    rows = np.arange(axis.size)
    for _ in range(_ROUNDS if step > 0.0 else 0):
        candidates = np.clip(other[:, None] + step * _STEPS, low, high)
        own = np.broadcast_to(axis[:, None], candidates.shape).ravel()
        pair = (own, candidates.ravel()) if k == 0 else (candidates.ravel(), own)
        chi2 = fit_levels(data, spec, Grid.of(data, spec.kind, *pair)).chi2.reshape(candidates.shape)
        index = np.argmin(chi2, axis=1)
        other, rise = candidates[rows, index], np.minimum(rise, chi2[rows, index] - best.chi2)
        step *= 2.0 / _STEPS.size
    return np.asarray(rise - min(float(rise.min()), 0.0))


def _crossing(axis: FloatArray, rise: FloatArray, limit: float, index: int, step: int) -> float:
    """Interpolate where the profile crosses the limit beyond the last grid point inside."""
    neighbour = index + step
    if not 0 <= neighbour < axis.size or not np.isfinite(rise[neighbour]):
        return float(axis[index])
    share = (limit - rise[index]) / (rise[neighbour] - rise[index])
    return float(axis[index] + share * (axis[neighbour] - axis[index]))


def _level_sigma(area: Zoomed, side: str, limit: float) -> float:
    """Half the 68 % interval of a level.

    Where the other parameters are free, the interval of a level is the hull of its intervals with those held: at a
    rise r of chi2 what is left for the level is its standard error times the root of (limit - r).
    """
    value, sigma = (area.start, area.start_sigma) if side == "start" else (area.end, area.end_sigma)
    inside = area.rise <= limit
    half = sigma[inside] * np.sqrt(limit - area.rise[inside])
    high, low = np.max(value[inside] + half), np.min(value[inside] - half)
    return float(0.5 * (high - low))


def _compatible(
    data: Data,
    spec: Spec,
    best: Optimum,
    others: Mapping[str, _Fitted],
    points: list[ChangePoint],
    side: str,
    limit: float,
) -> bool:
    """Whether the level at one end of the profile could be zero."""
    held = {"up": "start", "down": "end"}.get(spec.levels)
    if held is None:
        if spec.kind == "approach":
            name = "decay" if side == "end" else "none: zero at the first level is the level itself"
        else:
            name = f"{spec.kind}_{'up' if side == 'start' else 'down'}"
        if name in others:
            return others[name].chi2 - best.chi2 <= limit
        return best.start <= 0.0
    if held != side:
        return False
    if spec.kind != "ramp":
        return True
    # a ramp from or to zero whose kink lies outside the measured range does not reach zero inside it
    if side == "start":
        return points[0].high_95 is None or points[0].high_95 > float(data.time[0])
    return points[1].low_95 is None or points[1].low_95 < float(data.time[-1])
