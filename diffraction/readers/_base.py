"""What readers of powder patterns share: axes, errors of intensities, times."""

from __future__ import annotations

import math

import numpy as np

from layerscope.measured.files import RawFile

from ..radiation import FloatArray

__all__ = [
    "regular_axis",
    "variance_of_errors",
    "whole_counts",
]

LARGEST_SCAN = 50_000_000
"""No scan has more points."""


def regular_axis(raw: RawFile, start: float, step: float, points: int) -> FloatArray:
    """Return start, start + step, ..., shape (points,).

    Raises
    ------
    ReaderError
        If start or step is not a number, the step is zero, or there are too many points.
    """
    if not (math.isfinite(start) and math.isfinite(step)) or step == 0:
        raise raw.error(f"the scan starts at {start!r} with a step of {step!r}")
    if not 0 < points <= LARGEST_SCAN:
        raise raw.error(f"{points} points are declared")
    return np.asarray(start + step * np.arange(points, dtype=np.float64))


def whole_counts(values: FloatArray) -> bool:
    """Tell whether all values are whole numbers, as counts are, but for gaps (NaN)."""
    there = values[~np.isnan(values)]
    return bool(there.size and np.isfinite(there).all() and (there == np.rint(there)).all())


def variance_of_errors(intensity: FloatArray, sigma: FloatArray) -> FloatArray:
    """Return variances from the standard deviations in a file, shape (n,).

    Programs write an error of zero in two senses. Where the other errors are the square roots of the intensities,
    it is the square root of no count: its variance is set to that of one. Elsewhere it marks a point that was not
    measured: its variance is infinite, so that its weight is zero.
    """
    measured = sigma > 0
    poisson = measured.any() and np.allclose(sigma[measured] ** 2, intensity[measured], rtol=0.02, atol=0.02)
    filler = 1.0 if poisson else np.inf
    empty = (sigma == 0) & (intensity == 0)
    return np.asarray(np.where(empty, filler, sigma.astype(np.float64) ** 2))
