"""How good a fit is: information criteria and what is left in the residual."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from layerscope.flags import threshold

__all__ = ["durbin_watson", "information_criteria", "poisson_deviance", "structured"]

FloatArray = NDArray[np.float64]


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
    return bool(stats.norm.sf(z) < (threshold("RESIDUAL_STRUCTURE") if level is None else level))
