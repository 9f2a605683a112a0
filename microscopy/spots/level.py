"""Noise level of a transform: robust to spots, and unbiased where there are none.

The power of speckle is exponential over its level. The level is the mean of a generalized linear model with
logarithmic link, smooth along the radius and of low order in the angle (astigmatism), over all bins that are no spot.
It starts from a low quantile, which spots cannot hide behind; bins above `CUT` times the level and their neighbours
are left out and the fit is repeated. In speckle that cuts a known share of the largest values, for which the level is
corrected; what remains uncertain of it, much in a small window, widens the threshold (see `threshold`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from .transform import SECTORS, Grid

__all__ = ["Level", "noise_level", "threshold"]

CUT = 6.0
_CUT_BIAS = 0.955  # mean of what the cut leaves of speckle under a Hann taper, over its level
_CORRELATED = 2.75  # variance of a sum of neighbouring bins under a Hann taper over that of independent ones
_QUANTILE = 0.3
_SAMPLE = 30000
_ROUNDS = 6
_BINS_A_NODE = 150  # for each node of the dependence on the angle
_SETTLED = 1e-4  # share of the bins that change, below which the rounds end
_ASTIGMATISM = 0.35  # prior standard deviation of the coefficients of the angle, in the logarithm
_SMOOTH = 1.5  # prior standard deviation of the second differences along the radius, in the logarithm

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Level:
    """Noise level of the power of one transform.

    Attributes
    ----------
    grid : Grid
        Its bins.
    coefficients : ndarray of float64, shape (p,)
        Of the logarithm.
    covariance : ndarray of float64, shape (p, p)
        Of the coefficients.
    cells : ndarray of float32, shape (cells + 1,)
        Level of each cell of the grid, infinite outside the band.
    """

    grid: Grid
    coefficients: FloatArray
    covariance: FloatArray
    cells: NDArray[np.float32]

    def at(self, gx: FloatArray, gy: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the level at reciprocal vectors, and the number of independent bins it rests on there."""
        radius = np.hypot(gx, gy)
        square = np.maximum(radius**2, 1e-12)
        basis = _basis(self.grid, radius, (gx**2 - gy**2) / square, 2 * gx * gy / square)
        variance = ((basis @ self.covariance) * basis).sum(axis=1)
        return np.exp(basis @ self.coefficients), 1.0 / np.maximum(variance, 1e-9)


def threshold(false_alarm: float, bins: float, support: FloatArray) -> FloatArray:
    """Return the power over its level that one of `bins` bins exceeds by chance with the stated probability.

    Parameters
    ----------
    false_alarm : float
        Probability for the whole family of bins.
    bins : float
        Number of independent bins.
    support : ndarray of float64
        Independent bins M that the level rests on: exponential power over the mean of M others exceeds t with the
        probability (1 + t/M)^−M (the F distribution with 2 and 2M degrees of freedom).
    """
    excess: FloatArray = support * np.expm1(np.log(bins / false_alarm) / support)
    return excess


def noise_level(power: NDArray[np.float32], grid: Grid) -> Level:
    """Estimate the noise level of the power inside a band.

    Parameters
    ----------
    power : ndarray of float32, shape (rows, columns)
        See `Transform`.
    grid : Grid
        Its bins.
    """
    used = grid.members > 0
    basis = _basis(grid, *grid.centres)
    logarithm = _start(power, grid)[np.arange(grid.cells) // SECTORS]
    penalty = _penalty(grid, basis.shape[1])
    coefficients, fisher = _smoothed(basis, grid.members, logarithm, penalty)
    spots = ~grid.inside
    for _ in range(_ROUNDS):
        before, spots = spots, _spots(power, _cells(basis @ coefficients, used), grid)
        if np.count_nonzero(before != spots) <= _SETTLED * power.size:
            break
        at = np.where(spots, grid.cells, grid.cell).ravel()
        count = np.bincount(at, minlength=grid.cells + 1)[:-1].astype(float)
        total = np.bincount(at, power.ravel(), grid.cells + 1)[:-1] / _CUT_BIAS
        coefficients, fisher = _fit(basis, count, total, coefficients, penalty)
    covariance: FloatArray = np.asarray(np.linalg.inv(fisher), dtype=float)
    return Level(grid, coefficients, covariance, _cells(basis @ coefficients, used))


def _cells(logarithm: FloatArray, used: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Level of each cell, and of what belongs to none: nothing exceeds it."""
    return np.append(np.where(used, np.exp(logarithm), np.inf), np.inf).astype(np.float32)


def _start(power: NDArray[np.float32], grid: Grid) -> FloatArray:
    """Logarithm of the level of each ring from a low quantile of its bins."""
    every = max(1, power.size // _SAMPLE)
    rings = grid.cells // SECTORS
    sample, ring = power.ravel()[::every], grid.cell.ravel()[::every] // SECTORS
    sample, ring = sample[ring < rings], ring[ring < rings]
    order = np.lexsort((sample, ring))
    count = np.bincount(ring, minlength=rings)
    place = np.cumsum(count) - count + (_QUANTILE * count).astype(int)
    quantile = sample[order][np.minimum(place, sample.size - 1)].astype(float)
    good = (count >= 6) & (quantile > 0)
    if not good.any():
        return np.full(rings, -np.inf)
    level = np.log(quantile[good] / -np.log1p(-_QUANTILE))
    return np.asarray(np.interp(np.arange(rings), np.flatnonzero(good), level), dtype=float)


def _spots(power: NDArray[np.float32], cells: NDArray[np.float32], grid: Grid) -> NDArray[np.bool_]:
    """Bins that exceed the cut or touch one that does."""
    high = power > np.float32(CUT) * cells[grid.cell]
    wide = high.copy()
    wide[:, 1:] |= high[:, :-1]
    wide[:, :-1] |= high[:, 1:]
    high = wide.copy()
    high[1:] |= wide[:-1]
    high[:-1] |= wide[1:]
    return high


def _nodes(grid: Grid) -> tuple[FloatArray, FloatArray]:
    """Nodes along the radius, of the level and of its dependence on the angle."""
    low, high = grid.band
    fine = max(2, round((high - low) / grid.spacing) + 1)
    # strongly astigmatic rings are as fine along the angle as along the radius; a small window has no bins to tell
    coarse = min(max(2, int(grid.members.sum()) // _BINS_A_NODE), fine)
    return np.linspace(low, high, fine), np.linspace(low, high, coarse)


def _basis(grid: Grid, radius: FloatArray, cos: FloatArray, sin: FloatArray) -> FloatArray:
    """Linear interpolation between nodes, times one and the cosine and sine of twice the angle."""
    fine, coarse = _nodes(grid)
    along, across = (_hats(nodes, radius) for nodes in (fine, coarse))
    return np.concatenate([along, across * cos[:, None], across * sin[:, None]], axis=1)


def _hats(nodes: FloatArray, radius: FloatArray) -> FloatArray:
    place = np.clip((radius - nodes[0]) / (nodes[1] - nodes[0]), 0.0, nodes.size - 1.0)
    hats: FloatArray = np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(nodes.size)))
    return hats


def _penalty(grid: Grid, size: int) -> FloatArray:
    """Information that is there before the data: the level is smooth, the angle matters little."""
    fine, _ = _nodes(grid)
    penalty = np.zeros((size, size))
    second = np.diff(np.eye(fine.size), 2, axis=0) / _SMOOTH
    penalty[: fine.size, : fine.size] = second.T @ second + 1e-6 * np.eye(fine.size)
    penalty[fine.size :, fine.size :] = np.eye(size - fine.size) / _ASTIGMATISM**2
    return penalty


def _smoothed(
    basis: FloatArray, count: NDArray[np.intp], logarithm: FloatArray, penalty: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Fit the start by least squares of the logarithm; return coefficients and information."""
    weight = np.where(np.isfinite(logarithm), count, 0) / _CORRELATED
    fisher: FloatArray = (basis * weight[:, None]).T @ basis + penalty
    known = np.where(np.isfinite(logarithm), logarithm, 0.0)
    return np.asarray(np.linalg.solve(fisher, basis.T @ (weight * known)), dtype=float), fisher


def _fit(
    basis: FloatArray, count: FloatArray, total: FloatArray, start: FloatArray, penalty: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Maximise the likelihood of exponential power by Fisher scoring; return coefficients and information."""
    fisher = (basis * (count / _CORRELATED)[:, None]).T @ basis + penalty
    coefficients, factor = start, cho_factor(fisher)
    for _ in range(15):
        mean = np.exp(-basis @ coefficients)
        step = cho_solve(factor, basis.T @ ((total * mean - count) / _CORRELATED) - penalty @ coefficients)
        coefficients = coefficients + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-3:
            break
    return coefficients, fisher
