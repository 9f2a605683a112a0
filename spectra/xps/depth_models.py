"""Shapes of a depth profile, their least squares, and profile-likelihood intervals of their times.

Every model is ``start * (1 - g(t)) + end * g(t)`` with a rise g from 0 to 1 and levels >= 0 before and behind it, of
which one may be held at zero. Three rises: a straight ramp between two kinks; an error function, the shape of an
interface that is blurred by roughness, mixing and the escape depth [1]_, given by its half time and its 16-84 % width;
an exponential approach from the first level on, given by its 1/e time. The levels are linear and solved for; so a model
has at most two nonlinear parameters, and chi2 can be mapped on grids, which finds optimum and intervals in spite of
flat parts and corners (a kink between two levels has both). For all models that share a rise, one evaluation of g
serves: chi2 depends on three scalar products only.

An interval is where the least chi2 at a held time rises by less than a threshold. The threshold of a normal law is too
low for kinks, because chi2 is not a parabola. So the distribution of that rise at the true time is found by simulation
from the fitted model, and its quantile is the threshold, where it is above that of the normal law: the parametric
bootstrap of the likelihood ratio, of which Bartlett's correction [2]_ is the first moment.

References
----------
.. [1] S. Hofmann, Sputter depth profile analysis of interfaces, Rep. Prog. Phys. 61, 827 (1998),
   doi:10.1088/0034-4885/61/7/002: interface width between 16 % and 84 %.
.. [2] M. S. Bartlett, Properties of sufficiency and statistical tests, Proc. R. Soc. A 160, 268 (1937),
   doi:10.1098/rspa.1937.0109.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import ndtr

from layerscope.errors import DataError

from .dataset import FloatArray

__all__ = ["SPECS", "ChiMap", "Data", "Grid", "Optimum", "Spec", "Zoomed", "coarse", "fit_levels", "optimum", "zoom"]

Kind = Literal["ramp", "edge", "approach"]
Levels = Literal["up", "down", "between"]

# Points of a coarse axis besides the etch times; local minima followed, and steps of the search around each of them
_GRID = 41
_STARTS = 5
_STEPS = np.linspace(-1.0, 1.0, 7)
_SHRINK = 0.5
_ROUNDS = 13
# Zooms on the neighbourhood of the optimum
_STAGES = 4
# Narrowest edge and shortest 1/e time looked for, as part of the smallest etch step; longest, as part of the profile
_NARROWEST, _LONGEST = 0.05, 10.0
# Simulated profiles for the thresholds, and the largest factor on them believed
_SIMULATIONS = 200
_MAX_BARTLETT = 2.0
_TINY = 1e-12


@dataclass(frozen=True)
class Spec:
    """One model: which rise, and which levels are free.

    Attributes
    ----------
    kind : {"ramp", "edge", "approach"}
    levels : {"up", "down", "between"}
        From zero to a level, from a level to zero, or between two free levels.
    """

    kind: Kind
    levels: Levels

    @property
    def n_free(self) -> int:
        """Number of free parameters: levels, and nonlinear ones."""
        return (2 if self.levels == "between" else 1) + (1 if self.kind == "approach" else 2)

    @property
    def smooth(self) -> bool:
        """Whether the model has no kinks."""
        return self.kind != "ramp"


SPECS: dict[str, Spec] = {
    "ramp_up": Spec("ramp", "up"),
    "ramp_down": Spec("ramp", "down"),
    "two_level": Spec("ramp", "between"),
    "edge_up": Spec("edge", "up"),
    "edge_down": Spec("edge", "down"),
    "two_level_edge": Spec("edge", "between"),
    "decay": Spec("approach", "down"),
    "approach": Spec("approach", "between"),
}


@dataclass(frozen=True)
class Data:
    """A profile whose errors are made independent and 1 by `whitener`, the inverse Cholesky factor.

    Attributes
    ----------
    time : ndarray, shape (L,)
        Etch times (s).
    target, ones : ndarray, shape (L,)
        Whitened values, and a whitened constant.
    whitener : ndarray, shape (L, L) or (L,)
        The latter for independent levels.
    """

    time: FloatArray
    target: FloatArray
    ones: FloatArray
    whitener: FloatArray

    @classmethod
    def of(cls, time: FloatArray, values: FloatArray, covariance: FloatArray) -> Data:
        """Whiten a profile; the scales of the errors are split off first, so that huge ones beside small ones are fine.

        Raises
        ------
        DataError
            The covariance is not positive definite.
        """
        sigma = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
        if not np.all(sigma > 0.0):
            raise DataError("the covariance of the fractions is not positive definite")
        correlation = covariance / sigma / sigma[:, None]
        if np.array_equal(correlation, np.diag(np.diagonal(correlation))):
            return cls(time, values / sigma, 1.0 / sigma, 1.0 / sigma)
        try:
            factor = np.linalg.cholesky(0.5 * (correlation + correlation.T))
        except np.linalg.LinAlgError as error:
            raise DataError("the covariance of the fractions is not positive definite") from error
        whitener = solve_triangular(factor, np.diag(1.0 / sigma), lower=True)
        return cls(time, whitener @ values, whitener @ np.ones(time.size), np.asarray(whitener))

    def whiten(self, rows: FloatArray) -> FloatArray:
        """Whiten vectors (..., L)."""
        return rows * self.whitener if self.whitener.ndim == 1 else np.asarray(rows @ self.whitener.T)

    @property
    def span(self) -> float:
        """Length of the profile (s)."""
        return float(self.time[-1] - self.time[0])

    @property
    def step(self) -> float:
        """Smallest distance of two levels (s)."""
        return float(np.diff(self.time).min())


@dataclass(frozen=True)
class Grid:
    """Pairs of nonlinear parameters with the scalar products that chi2 is made of.

    Times are used as they are, widths and 1/e times as logarithms; an approach has no first parameter (0).

    Attributes
    ----------
    first, second : ndarray, shape (G,)
        Internal parameters of every point.
    shape : ndarray, shape (G, L)
        Whitened rise g.
    dd, du, dt : ndarray, shape (G,)
        Scalar products of g with itself, with the constant, and with the data.
    """

    first: FloatArray
    second: FloatArray
    shape: FloatArray
    dd: FloatArray
    du: FloatArray
    dt: FloatArray

    @classmethod
    def of(cls, data: Data, kind: Kind, first: FloatArray, second: FloatArray) -> Grid:
        """Evaluate the rise at pairs of parameters."""
        shape = data.whiten(rise(kind, data.time, first, second))
        dd = np.einsum("gl,gl->g", shape, shape)
        return cls(first, second, shape, dd, shape @ data.ones, shape @ data.target)


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


def rise(kind: Kind, time: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    """Return g(t), shape (G, L), at internal parameters of shape (G,)."""
    if kind == "ramp":
        scaled = (time - first[:, None]) / np.maximum(second - first, _TINY)[:, None]
        return np.asarray(np.minimum(np.maximum(scaled, 0.0), 1.0))
    if kind == "edge":
        return np.asarray(ndtr((time - first[:, None]) * (2.0 * np.exp(-second))[:, None]))
    return np.asarray(-np.expm1((time[0] - time) * np.exp(-second)[:, None]))


def boxes(data: Data, spec: Spec) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the ranges of the internal parameters.

    The kinks of a ramp from or to zero reach one length of the profile beyond it: "before the start" and "after the
    end". Between two free levels the part outside is not measured; the levels are then those at the ends.
    """
    start, end, span = float(data.time[0]), float(data.time[-1]), data.span
    if spec.kind == "ramp":
        return ((start, end), (start, end)) if spec.levels == "between" else ((start - span, end), (start, end + span))
    widths = (float(np.log(_NARROWEST * data.step)), float(np.log((2.0 if spec.kind == "edge" else _LONGEST) * span)))
    return ((start, end), widths) if spec.kind == "edge" else ((0.0, 0.0), widths)


def _axis(data: Data, box: tuple[float, float], *, is_time: bool) -> FloatArray:
    """Grid over a box; times of levels are put in, because chi2 has its corners there."""
    if box[0] == box[1]:
        return np.array([box[0]])
    axis = np.linspace(*box, _GRID)
    return (
        np.unique(np.concatenate([axis, data.time[(data.time > box[0]) & (data.time < box[1])]])) if is_time else axis
    )


def _axes(
    data: Data, spec: Spec, box: tuple[tuple[float, float], tuple[float, float]]
) -> tuple[FloatArray, FloatArray]:
    return _axis(data, box[0], is_time=spec.kind != "approach"), _axis(data, box[1], is_time=spec.kind == "ramp")


def _pairs(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray]:
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
    result = _solve(spec.levels, grid, float(data.ones @ data.ones), ut, grid.dt, tt)
    outside = (grid.first < low[0]) | (grid.first > low[1]) | (grid.second < high[0]) | (grid.second > high[1])
    if spec.kind == "ramp":
        outside |= grid.second < grid.first
    return replace(result, chi2=np.where(outside, np.inf, result.chi2))


def _solve(
    levels: Levels, grid: Grid, uu: float, ut: FloatArray | float, dt: FloatArray, tt: FloatArray | float
) -> ChiMap:
    """Least squares in the levels; data may have a second axis, (G, R), for R simulated profiles."""
    dd, du = (a[(...,) + (None,) * (dt.ndim - 1)] for a in (grid.dd, grid.du))
    ee, ed, et = uu - 2.0 * du + dd, du - dd, ut - dt
    only_end = np.maximum(dt, 0.0) / np.maximum(dd, _TINY) * (dd > _TINY)
    only_start = np.maximum(et, 0.0) / np.maximum(ee, _TINY) * (ee > _TINY)
    zero = np.zeros(np.broadcast(dt, et).shape)
    if levels == "up":
        return ChiMap(tt - only_end * (2.0 * dt - only_end * dd), zero, only_end)
    if levels == "down":
        return ChiMap(tt - only_start * (2.0 * et - only_start * ee), only_start, zero)
    determinant = ee * dd - ed**2
    regular = determinant > 1e-10 * np.maximum(ee * dd, _TINY)
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
    axes = _axes(data, spec, boxes(data, spec))
    return Coarse(axes, Grid.of(data, kind, *_pairs(*axes)))


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
    moves = _pairs(_STEPS if scale[0] > 0.0 else np.zeros(1), _STEPS)
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


@dataclass(frozen=True)
class Zoomed:
    """Neighbourhood of the optimum, mapped: all that intervals need.

    Attributes
    ----------
    axes : tuple of ndarray
        Internal parameters, shapes (A,) and (B,).
    rise : ndarray, shape (A, B)
        chi2 less its least value.
    start, end : ndarray, shape (A, B)
        Levels.
    start_sigma, end_sigma : ndarray, shape (A, B)
        Their standard errors with the parameters held; 0 where a level is held at zero.
    bartlett : tuple of tuple of float
        For each parameter the 68.27 % and the 95 % quantile of the rise of chi2 at its true value, by simulation, over
        those of the normal law; between 1 and 2.
    """

    axes: tuple[FloatArray, FloatArray]
    rise: FloatArray
    start: FloatArray
    end: FloatArray
    start_sigma: FloatArray
    end_sigma: FloatArray
    bartlett: tuple[tuple[float, float], tuple[float, float]]


def zoom(
    data: Data, spec: Spec, best: Optimum, reach: float, *, bartlett: bool = True, dispersion: float = 1.0
) -> Zoomed:
    """Map where chi2 is within `reach` of its optimum.

    Parameters
    ----------
    data : Data
    spec : Spec
    best : Optimum
    reach : float
        Rise of chi2 that the map must contain.
    bartlett : bool, default True
        Simulate the thresholds; all factors are 1 otherwise.
    dispersion : float, default 1
        Factor on the variances, for the simulation.

    Returns
    -------
    Zoomed
    """
    box = boxes(data, spec)
    for stage in range(_STAGES + 1):
        axes = tuple(
            np.unique(np.append(axis, q))
            for axis, q in zip(_axes(data, spec, box), (best.first, best.second), strict=True)
        )
        grid = Grid.of(data, spec.kind, *_pairs(axes[0], axes[1]))
        found = fit_levels(data, spec, grid)
        table = found.chi2.reshape(axes[0].size, axes[1].size)
        near = table - min(float(table.min()), best.chi2) <= reach
        smaller = tuple(_shrunk(axis, np.asarray(near.any(axis=1 - k))) for k, axis in enumerate(axes))
        done = all(s[1] - s[0] >= 0.8 * (b[1] - b[0]) for s, b in zip(smaller, box, strict=True))
        if done or stage == _STAGES:
            break
        box = (smaller[0], smaller[1])
    factors = ((1.0, 1.0), (1.0, 1.0))
    if bartlett:
        factors = _bartlett(data, spec, best, grid, (axes[0], axes[1]), dispersion, np.isfinite(found.chi2))
    low = min(float(table.min()), best.chi2)
    sigmas = _level_sigma(data, spec, grid)
    start, end, start_sigma, end_sigma = (a.reshape(table.shape) for a in (found.start, found.end, *sigmas))
    return Zoomed((axes[0], axes[1]), np.maximum(table - low, 0.0), start, end, start_sigma, end_sigma, factors)


def _shrunk(axis: FloatArray, near: np.ndarray) -> tuple[float, float]:
    """Return the ends of the part of an axis that is near the optimum, one step wider."""
    index = np.flatnonzero(near)
    return float(axis[max(index[0] - 1, 0)]), float(axis[min(index[-1] + 1, axis.size - 1)])


def _level_sigma(data: Data, spec: Spec, grid: Grid) -> tuple[FloatArray, FloatArray]:
    """Return standard errors of the levels with the nonlinear parameters held."""
    uu = float(data.ones @ data.ones)
    ee, ed = uu - 2.0 * grid.du + grid.dd, grid.du - grid.dd
    zero = np.zeros(grid.dd.size)
    if spec.levels == "up":
        return zero, 1.0 / np.sqrt(np.maximum(grid.dd, _TINY))
    if spec.levels == "down":
        return 1.0 / np.sqrt(np.maximum(ee, _TINY)), zero
    determinant = ee * grid.dd - ed**2
    safe = np.maximum(determinant, 1e-10 * np.maximum(ee * grid.dd, _TINY))
    return np.sqrt(grid.dd / safe), np.sqrt(np.maximum(ee, 0.0) / safe)


@lru_cache(maxsize=8)
def _draws(levels: int) -> FloatArray:
    """Return standard normal draws, shape (L, R), the same in every run."""
    return np.random.default_rng(19370).standard_normal((levels, _SIMULATIONS))


def _bartlett(
    data: Data,
    spec: Spec,
    best: Optimum,
    grid: Grid,
    axes: tuple[FloatArray, FloatArray],
    dispersion: float,
    allowed: np.ndarray,
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Quantiles of the rise of chi2 at the true parameter, over profiles simulated from the best fit."""
    shape = rise(spec.kind, data.time, np.array([best.first]), np.array([best.second]))[0]
    truth = data.whiten(best.start * (1.0 - shape) + best.end * shape)
    simulated = truth[:, None] + np.sqrt(dispersion) * _draws(data.time.size)
    ut, tt = data.ones @ simulated, np.einsum("lr,lr->r", simulated, simulated)
    result = _solve(spec.levels, grid, float(data.ones @ data.ones), ut, grid.shape @ simulated, tt)
    chi2 = np.where(allowed[:, None], result.chi2, np.inf).reshape(axes[0].size, axes[1].size, -1)
    lowest = chi2.min(axis=(0, 1))
    held = (
        chi2[int(np.argmin(np.abs(axes[0] - best.first)))].min(axis=0),
        chi2[:, int(np.argmin(np.abs(axes[1] - best.second)))].min(axis=0),
    )
    factors = []
    for rise_there in ((h - lowest) / dispersion for h in held):
        ratio = np.quantile(rise_there, [0.6826894921370859, 0.95]) / [1.0, 3.841458820694124]
        factors.append(np.clip(ratio, 1.0, _MAX_BARTLETT))
    return (float(factors[0][0]), float(factors[0][1])), (float(factors[1][0]), float(factors[1][1]))
