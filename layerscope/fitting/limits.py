"""Intervals and upper limits for a Gaussian estimate of a quantity that cannot be negative.

A fraction, an area or a thickness is never below zero, but its least-squares estimate may be. Cutting the estimate at
zero, or choosing between "value with error" and "upper limit" after having looked at the data, spoils the coverage.
The unified construction of Feldman and Cousins [1]_ gives one interval for every estimate, two-sided when there is a
signal and one-sided when there is none, with the stated coverage.

For a Gaussian the construction needs no table and no grid. With the estimate x and the true value mu >= 0 in units of
sigma, the ordering ratio is exp(-(x - mu)^2 / 2) for x >= 0 and exp(x mu - mu^2 / 2) for x < 0, so the acceptance
region [x1, x2] of a given mu ends where both are equal, and each end of the confidence interval is the root of one
monotonic equation.

References
----------
.. [1] G. J. Feldman and R. D. Cousins, Unified approach to the classical statistical analysis of small signals,
   Phys. Rev. D 57, 3873 (1998), doi:10.1103/PhysRevD.57.3873, section IV.B.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from layerscope.errors import DataError

__all__ = ["BoundedInterval", "feldman_cousins"]

FloatArray = NDArray[np.float64]

# Bisection halves the bracket each time: 60 steps take any bracket of a few sigma below the double precision.
_BISECTION_STEPS = 60
# Below this estimate (in sigma) the upper end is beyond double precision; it is also a sign that the error is wrong.
_LOWEST_ESTIMATE = -8.0


@dataclass(frozen=True)
class BoundedInterval:
    """Confidence interval of a quantity that is known to be at least zero.

    Attributes
    ----------
    low, high : ndarray
        Ends of the interval, in the unit of the estimate; same shape as the estimate. The upper end is NaN where the
        estimate lies so far below zero that its error is wrong, and no limit can be stated.
    confidence : float
        Coverage of the interval, e.g. 0.95.
    """

    low: FloatArray
    high: FloatArray
    confidence: float

    @property
    def one_sided(self) -> NDArray[np.bool_]:
        """True where the interval begins at zero, i.e. where the result is an upper limit."""
        return self.low <= 0.0


def feldman_cousins(value: ArrayLike, sigma: ArrayLike, confidence: float = 0.95) -> BoundedInterval:
    """Return the unified (Feldman-Cousins) interval for a Gaussian estimate of a non-negative quantity.

    Parameters
    ----------
    value : array-like, shape (...)
        Estimate; may be negative.
    sigma : array-like, broadcastable to `value`
        Its standard error, > 0, same unit.
    confidence : float, default 0.95
        Coverage of the interval, between 0.5 and 1 (below, the interval of a negative estimate would be empty).

    Returns
    -------
    BoundedInterval
        Ends with the broadcast shape of the input; where the estimate lies more than 8 sigma below zero the upper one
        is NaN.

    Raises
    ------
    DataError
        If a value is not finite, a sigma not positive, or the confidence outside (0.5, 1).
    """
    x, scale = _checked(value, sigma, confidence)
    two_sided = float(ndtri(0.5 * (1.0 + confidence)))
    one_sided = float(ndtri(confidence))
    low, high = _lower_end(x, confidence, two_sided, one_sided), _upper_end(x, confidence, two_sided)
    high = np.where(x < _LOWEST_ESTIMATE, np.nan, high)
    return BoundedInterval(low * scale, high * scale, confidence)


def _checked(value: ArrayLike, sigma: ArrayLike, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Return the estimate in units of sigma, and sigma, after the checks."""
    if not 0.5 < confidence < 1.0:
        raise DataError(f"confidence must lie between 0.5 and 1, not {confidence}", hint="0.95 means 95 %")
    estimate, scale = np.broadcast_arrays(np.asarray(value, dtype=float), np.asarray(sigma, dtype=float))
    if not (np.all(np.isfinite(estimate)) and np.all(np.isfinite(scale))):
        raise DataError("an estimate or its error is not finite")
    if np.any(scale <= 0.0):
        raise DataError("an error must be positive to give an interval", hint="a value without error has no limit")
    return estimate / scale, scale


def _upper_end(x: FloatArray, confidence: float, two_sided: float) -> FloatArray:
    """Root of Phi(sqrt(mu^2 - 2 mu x)) + Phi(mu - x) - 1 = confidence for x < 0; x + z otherwise."""
    negative = np.minimum(x, 0.0)

    def excess(mu: FloatArray) -> FloatArray:
        distance = np.sqrt(mu * (mu - 2.0 * negative))
        # Phi(d) - Phi(x - mu) written with the small tail only, so that nothing cancels far below zero
        return np.asarray(ndtr(distance) - ndtr(negative - mu) - confidence)

    if (x >= 0.0).all():
        return x + two_sided
    root = _bisect(excess, np.zeros_like(x), np.full_like(x, two_sided))
    return np.where(x >= 0.0, x + two_sided, root)


def _lower_end(x: FloatArray, confidence: float, two_sided: float, one_sided: float) -> FloatArray:
    """Root of Phi(d) - Phi(-(mu^2 + d^2) / (2 mu)) = confidence with d = x - mu; 0 below, x - z above."""
    between = (x > one_sided) & (x < 2.0 * two_sided)
    if not between.any():
        return np.where(x >= 2.0 * two_sided, x - two_sided, 0.0)
    safe = np.where(between, x, one_sided + 0.5 * (2.0 * two_sided - one_sided))
    left, right = np.maximum(safe - two_sided, 1e-300), np.minimum(safe - one_sided, two_sided)

    def deficit(mu: FloatArray) -> FloatArray:
        distance = safe - mu
        tail = 0.5 * mu + 0.5 * distance * (distance / mu)
        return np.asarray(confidence - ndtr(distance) + ndtr(-tail))

    with np.errstate(over="ignore"):  # distance / mu overflows at mu -> 0, where the tail is exactly zero
        root = _bisect(deficit, left, right)
    return np.where(between, root, np.where(x >= 2.0 * two_sided, x - two_sided, 0.0))


def _bisect(rising: Callable[[FloatArray], FloatArray], left: FloatArray, right: FloatArray) -> FloatArray:
    """Return the sign change of a function that rises from `left` to `right`, all elements at once."""
    for _ in range(_BISECTION_STEPS):
        middle = 0.5 * (left + right)
        below = rising(middle) < 0.0
        left, right = np.where(below, middle, left), np.where(below, right, middle)
    return 0.5 * (left + right)
