"""How good a fit is: information criteria and what is left in the residual."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from layerscope.flags import gross_flag, threshold

if TYPE_CHECKING:
    from layerscope.fitting.series_fit import SeriesFit

__all__ = [
    "durbin_watson",
    "gross_levels",
    "gross_misfit",
    "information_criteria",
    "left_over_at",
    "poisson_deviance",
    "structured",
    "worst_levels",
]

FloatArray = NDArray[np.float64]

COMPARABLE = 0.1  # share of the largest chi2 of a level above which another is as badly described


def poisson_deviance(counts: FloatArray, expected: FloatArray) -> FloatArray:
    """Return twice the log-likelihood ratio of the data to the model, summed over the last axis.

    ``2 sum[y ln(y/m) - (y - m)]``; comparable between models, unlike a chi2 whose weights come from the model.

    Parameters
    ----------
    counts, expected : ndarray, shape (..., n)
        Points with a non-positive expectation are taken at a tiny positive one.
    """
    m = np.maximum(expected, 1e-9)
    y = np.maximum(counts, 0.0)
    result: FloatArray = 2.0 * np.sum(special.xlogy(y, y / m) - (counts - m), axis=-1)
    return result


def information_criteria(
    misfit: FloatArray, n_data: FloatArray | int, n_free: int, *, known_noise: bool
) -> tuple[FloatArray, FloatArray]:
    """Return AIC and BIC (up to a constant of the data).

    Parameters
    ----------
    misfit : ndarray
        Chi2 or deviance.
    n_data, n_free : int
        Points and free parameters (linear ones included).
    known_noise : bool
        Whether the weights are absolute. If not, the noise level is one more thing estimated, and the criteria are
        built on ``n ln(chi2/n)``.

    References
    ----------
    Schwarz, G. (1978). Ann. Stat. 6, 461-464. doi:10.1214/aos/1176344136
    """
    n = np.asarray(n_data, float)
    with np.errstate(divide="ignore"):
        base = misfit if known_noise else n * np.log(misfit / n)
    return base + 2.0 * n_free, base + n_free * np.log(n)


def durbin_watson(residual: FloatArray) -> float:
    """Return the Durbin-Watson statistic of standardised residuals in order of the axis: 2 for white noise."""
    total = float(np.sum(residual**2))
    return float(np.sum(np.diff(residual) ** 2) / total) if total > 0 else 2.0


def structured(residual: FloatArray, *, level: float | None = None) -> bool:
    """Return whether residuals are serially correlated: neighbours agree too often to be noise.

    The lag-one test on the Durbin-Watson statistic: under white noise ``DW`` is near normal with mean 2 and variance
    ``4/n``. One-sided, because a missing component makes neighbours alike; at the level of ``RESIDUAL_STRUCTURE`` if
    none is given.
    """
    n = residual.size
    if n < 8:
        return False
    z = (2.0 - durbin_watson(residual)) / (2.0 / np.sqrt(n))
    return bool(special.ndtr(-z) < (threshold("RESIDUAL_STRUCTURE") if level is None else level))


def gross_misfit(fit: SeriesFit, level: int | None = None) -> tuple[str, ...]:
    """Return the flag of a joint fit, or of one of its levels, that does not describe the data; none where it does.

    Parameters
    ----------
    fit : SeriesFit
        Of a model with components and a background.
    level : int, optional
        Place of the level; the whole series when not given.
    """
    at = slice(None) if level is None else slice(level, level + 1)
    weight, residual = fit.root_weight[at], fit.residual[at]
    y, background = fit.y[at], fit.component_curves()[1][at]
    used, square = weight > 0, weight**2
    level_mean = (square * y).sum(axis=1, keepdims=True) / np.maximum(square.sum(axis=1, keepdims=True), 1e-300)
    # a background that runs away makes any signal above it: what the data vary by is the most that there can be
    signal = min(float((square * (y - base) ** 2).sum()) for base in (background, level_mean))
    chi2 = float((residual**2).sum())
    n_free = fit.n_estimated if level is None else fit.n_estimated // fit.n_patterns
    apart = float((np.diff(residual, axis=1) ** 2).sum())
    return gross_flag(
        math.sqrt(chi2 / signal) if signal > 0 else 0.0,
        chi2 / max(int(used.sum()) - n_free, 1),
        apart / chi2 if chi2 > 0 else 2.0,
        scaled=fit.batch.scaled,
    )


def gross_levels(fit: SeriesFit) -> frozenset[int]:
    """Return the places of the levels that a joint fit does not describe."""
    return frozenset(k for k in range(fit.n_patterns) if gross_misfit(fit, k))


def worst_levels(fit: SeriesFit) -> list[int]:
    """Return the places of the levels that a joint fit describes worst, if it describes most of the others.

    A level that the shapes of all follow makes others look bad: those with far less misfit than the worst are kept.
    """
    gross = sorted(gross_levels(fit))
    worst = [k for k in gross if fit.pattern_chi2[k] > COMPARABLE * fit.pattern_chi2[gross].max()]
    return worst if 2 * len(gross) < fit.n_patterns else []


def left_over_at(x: FloatArray, residual: FloatArray, width: float) -> float:
    """Return where data stand highest above a fit: the maximum of the residual averaged over a width.

    Parameters
    ----------
    x, residual : ndarray, shape (n,)
        Axis and (data - fit)/sigma.
    width : float
        In the unit of the axis.
    """
    points = max(round(width / float(np.median(np.abs(np.diff(x))))), 1)
    return float(x[int(np.convolve(residual, np.ones(points) / points, "same").argmax())])
