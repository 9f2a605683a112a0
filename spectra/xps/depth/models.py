"""Least squares of depth-profile models on grids: the levels at every point, and the best fit of each model.

The levels of a model are linear and solved for; so a model has at most two nonlinear parameters, and chi2 can be mapped
on grids, which finds the optimum in spite of flat parts and corners (a kink between two levels has both). For all
models that share a rise, one evaluation of it serves: chi2 depends on three scalar products only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..dataset import FloatArray
from .shapes import TINY, Data, FreeLevels, Kind, Spec, boxes, rise

__all__ = [
    "ChiMap",
    "Coarse",
    "Grid",
    "Optimum",
    "coarse",
    "fit_levels",
    "grid_axes",
    "optimum",
    "pairs",
    "solve_levels",
]

# Points of a coarse axis besides the etch times; local minima followed, and steps of the search around each of them
_GRID = 41
_MOST_TIMES = 60  # of levels on an axis: more make it no finer where it counts
_AT_ONCE = 500_000  # values of rises that are in memory together
_STARTS = 5
_STEPS = np.linspace(-1.0, 1.0, 7)
_SHRINK = 0.5
_ROUNDS = 13


@dataclass(frozen=True)
class Grid:
    """Pairs of nonlinear parameters with the scalar products that chi2 is made of.

    Times are used as they are, widths and 1/e times as logarithms; an approach has no first parameter (0).

    Attributes
    ----------
    first, second : ndarray, shape (G,)
        Internal parameters of every point.
    dd, du, dt : ndarray, shape (G,)
        Scalar products of the whitened rise g with itself, with the constant, and with the data.
    """

    first: FloatArray
    second: FloatArray
    dd: FloatArray
    du: FloatArray
    dt: FloatArray

    @classmethod
    def of(cls, data: Data, kind: Kind, first: FloatArray, second: FloatArray) -> Grid:
        """Evaluate the rise at pairs of parameters."""
        dd, du, dt = (np.empty(first.size) for _ in range(3))
        for at, shape in _rises(data, kind, first, second):
            dd[at], du[at], dt[at] = np.einsum("gl,gl->g", shape, shape), shape @ data.ones, shape @ data.target
        return cls(first, second, dd, du, dt)

    def onto(self, data: Data, kind: Kind, profiles: FloatArray) -> FloatArray:
        """Return the scalar products of the rises with whitened profiles (L, R), shape (G, R)."""
        result = np.empty((self.first.size, profiles.shape[1]))
        for at, shape in _rises(data, kind, self.first, self.second):
            result[at] = shape @ profiles
        return result


def _rises(data: Data, kind: Kind, first: FloatArray, second: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
    """Yield the whitened rises at pairs of parameters, as many at once as fit into the memory."""
    step = max(_AT_ONCE // data.time.size, 1)
    for begin in range(0, first.size, step):
        at = slice(begin, begin + step)
        yield at, data.whiten(rise(kind, data.time, first[at], second[at]))


@dataclass(frozen=True)
class ChiMap:
    """Least squares in the levels, at every point of a grid.

    Attributes
    ----------
    chi2, start, end : ndarray, shape (G,)
        Sum of squares, and the levels before and behind the rise.
    """

    chi2: FloatArray
    start: FloatArray
    end: FloatArray


@dataclass(frozen=True)
class Optimum:
    """Best fit of one model.

    Attributes
    ----------
    chi2 : float
    first, second : float
        Internal parameters, see `Grid`.
    start, end : float
        Levels before and behind the rise.
    """

    chi2: float
    first: float
    second: float
    start: float
    end: float


def _axis(data: Data, box: tuple[float, float], *, is_time: bool) -> FloatArray:
    """Grid over a box; times of levels are put in, because chi2 has its corners there, as long as they are few.

    Where there are many, the corners of chi2 are flat, and a smaller box will hold fewer.
    """
    if box[0] == box[1]:
        return np.array([box[0]])
    axis = np.linspace(*box, _GRID)
    if not is_time:
        return axis
    times = data.time[(data.time > box[0]) & (data.time < box[1])]
    return np.unique(np.concatenate([axis, times[:: max(-(-times.size // _MOST_TIMES), 1)]]))


def grid_axes(
    data: Data, spec: Spec, box: tuple[tuple[float, float], tuple[float, float]]
) -> tuple[FloatArray, FloatArray]:
    """Return the axes of a grid over a box of both internal parameters, shapes (A,) and (B,)."""
    return _axis(data, box[0], is_time=spec.kind != "approach"), _axis(data, box[1], is_time=spec.kind == "ramp")


def pairs(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return all pairs of two axes, the second running faster, each of shape (A * B,)."""
    return np.repeat(first, second.size), np.tile(second, first.size)


def fit_levels(data: Data, spec: Spec, grid: Grid) -> ChiMap:
    """Solve for the levels, none below zero, at every point of a grid.

    Returns
    -------
    ChiMap
        chi2 is infinite where the parameters are not allowed (second kink before the first, outside the ranges).
    """
    low, high = boxes(data, spec)
    ut, tt = float(data.ones @ data.target), float(data.target @ data.target)
    result = solve_levels(spec.levels, grid, float(data.ones @ data.ones), ut, grid.dt, tt)
    outside = (grid.first < low[0]) | (grid.first > low[1]) | (grid.second < high[0]) | (grid.second > high[1])
    if spec.kind == "ramp":
        outside |= grid.second < grid.first
    return replace(result, chi2=np.where(outside, np.inf, result.chi2))


def solve_levels(
    levels: FreeLevels, grid: Grid, uu: float, ut: FloatArray | float, dt: FloatArray, tt: FloatArray | float
) -> ChiMap:
    """Least squares in the levels; data may have a second axis, (G, R), for R simulated profiles."""
    dd, du = (a[(...,) + (None,) * (dt.ndim - 1)] for a in (grid.dd, grid.du))
    ee, ed, et = uu - 2.0 * du + dd, du - dd, ut - dt
    only_end = np.maximum(dt, 0.0) / np.maximum(dd, TINY) * (dd > TINY)
    only_start = np.maximum(et, 0.0) / np.maximum(ee, TINY) * (ee > TINY)
    zero = np.zeros(np.broadcast(dt, et).shape)
    if levels == "up":
        return ChiMap(tt - only_end * (2.0 * dt - only_end * dd), zero, only_end)
    if levels == "down":
        return ChiMap(tt - only_start * (2.0 * et - only_start * ee), only_start, zero)
    determinant = ee * dd - ed**2
    regular = determinant > 1e-10 * np.maximum(ee * dd, TINY)
    safe = np.where(regular, determinant, 1.0)
    start, end = (dd * et - ed * dt) / safe, (ee * dt - ed * et) / safe
    flat = np.maximum(ut, 0.0) / uu + zero  # a rise that no level sees: one level for all
    start, end = np.where(regular, start, flat), np.where(regular, end, flat)
    below_start, below_end = start < 0.0, end < 0.0
    start, end = (
        np.where(below_start, 0.0, np.where(below_end, only_start, start)),
        np.where(below_end & ~below_start, 0.0, np.where(below_start, only_end, end)),
    )
    chi2 = tt - 2.0 * (start * et + end * dt) + start * (start * ee + 2.0 * end * ed) + end**2 * dd
    return ChiMap(chi2, start, end)


@dataclass(frozen=True)
class Coarse:
    """Coarse map of a kind of rise, which serves all its models."""

    axes: tuple[FloatArray, FloatArray]
    grid: Grid


def coarse(data: Data, kind: Kind) -> Coarse:
    """Evaluate a rise over the whole range of its parameters.

    Parameters
    ----------
    data : Data
    kind : {"ramp", "edge", "approach"}

    Returns
    -------
    Coarse
    """
    spec = Spec(kind, "up")
    axes = grid_axes(data, spec, boxes(data, spec))
    return Coarse(axes, Grid.of(data, kind, *pairs(*axes)))


def optimum(data: Data, spec: Spec, start: Coarse) -> Optimum:
    """Find the best fit: the lowest local minima of the coarse map, followed on ever finer grids.

    Parameters
    ----------
    data : Data
    spec : Spec
    start : Coarse
        Of the same kind.

    Returns
    -------
    Optimum
    """
    shape = (start.axes[0].size, start.axes[1].size)
    chi2 = fit_levels(data, spec, start.grid).chi2
    index = _local_minima(chi2.reshape(shape))
    centre = start.grid.first[index], start.grid.second[index]
    scale = [float(np.max(np.diff(axis), initial=0.0)) for axis in start.axes]
    low, high = boxes(data, spec)
    moves = pairs(_STEPS if scale[0] > 0.0 else np.zeros(1), _STEPS)
    for _ in range(_ROUNDS):
        first = np.clip(centre[0][:, None] + scale[0] * moves[0], *low)
        second = np.clip(centre[1][:, None] + scale[1] * moves[1], *high)
        found = fit_levels(data, spec, Grid.of(data, spec.kind, first.ravel(), second.ravel()))
        table = found.chi2.reshape(first.shape)
        best = np.argmin(table, axis=1)
        rows = np.arange(best.size)
        centre = first[rows, best], second[rows, best]
        scale = [_SHRINK * s for s in scale]
    winner = int(np.argmin(table[rows, best]))
    flat = int(winner * first.shape[1] + best[winner])
    return Optimum(
        max(float(found.chi2[flat]), 0.0),
        float(centre[0][winner]),
        float(centre[1][winner]),
        float(found.start[flat]),
        float(found.end[flat]),
    )


def _local_minima(table: FloatArray) -> np.ndarray:
    """Return flat indices of the lowest points that none of their neighbours lies below."""
    padded = np.pad(table, 1, constant_values=np.inf)
    rows, columns = table.shape
    around = [padded[1 + i : 1 + i + rows, 1 + j : 1 + j + columns] for i, j in ((-1, 0), (1, 0), (0, -1), (0, 1))]
    low = np.isfinite(table) & np.all([table <= other for other in around], axis=0)
    index = np.flatnonzero(low.ravel())
    return np.asarray(index[np.argsort(table.ravel()[index], kind="stable")[:_STARTS]])
