"""The neighbourhood of a depth-profile model's optimum, mapped for intervals, with thresholds by simulation.

An interval is where the least chi2 at a held time rises by less than a threshold. The threshold of a normal law is too
low for kinks, because chi2 is not a parabola. So the distribution of that rise at the true time is found by simulation
from the fitted model, and its quantile is the threshold, where it is above that of the normal law: the parametric
bootstrap of the likelihood ratio, of which Bartlett's correction [1]_ is the first moment.

References
----------
.. [1] M. S. Bartlett, Properties of sufficiency and statistical tests, Proc. R. Soc. A 160, 268 (1937),
   doi:10.1098/rspa.1937.0109.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..dataset import FloatArray
from .models import Grid, Optimum, fit_levels, grid_axes, pairs, solve_levels
from .shapes import TINY, Data, Spec, boxes, rise

__all__ = ["Zoomed", "zoom"]

# Zooms on the neighbourhood of the optimum
_STAGES = 4
# Simulated profiles for the thresholds, and the largest factor on them believed
_SIMULATIONS = 200
_MAX_BARTLETT = 2.0


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


def zoom(data: Data, spec: Spec, best: Optimum, reach: float, dispersion: float = 1.0) -> Zoomed:
    """Map where chi2 is within `reach` of its optimum.

    Parameters
    ----------
    data : Data
    spec : Spec
    best : Optimum
    reach : float
        Rise of chi2 that the map must contain.
    dispersion : float, default 1
        Factor on the variances, for the simulation of the thresholds.

    Returns
    -------
    Zoomed
    """
    box = boxes(data, spec)
    for stage in range(_STAGES + 1):
        axes = tuple(
            np.unique(np.append(axis, q))
            for axis, q in zip(grid_axes(data, spec, box), (best.first, best.second), strict=True)
        )
        grid = Grid.of(data, spec.kind, *pairs(axes[0], axes[1]))
        found = fit_levels(data, spec, grid)
        table = found.chi2.reshape(axes[0].size, axes[1].size)
        near = table - min(float(table.min()), best.chi2) <= reach
        smaller = tuple(_shrunk(axis, np.asarray(near.any(axis=1 - k))) for k, axis in enumerate(axes))
        done = all(s[1] - s[0] >= 0.8 * (b[1] - b[0]) for s, b in zip(smaller, box, strict=True))
        if done or stage == _STAGES:
            break
        box = (smaller[0], smaller[1])
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
        return zero, 1.0 / np.sqrt(np.maximum(grid.dd, TINY))
    if spec.levels == "down":
        return 1.0 / np.sqrt(np.maximum(ee, TINY)), zero
    determinant = ee * grid.dd - ed**2
    safe = np.maximum(determinant, 1e-10 * np.maximum(ee * grid.dd, TINY))
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
    result = solve_levels(
        spec.levels, grid, float(data.ones @ data.ones), ut, grid.onto(data, spec.kind, simulated), tt
    )
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
