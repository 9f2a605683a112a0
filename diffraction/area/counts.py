"""What pixels say of their errors: means of rings, and whether they scatter around them as counts do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..radiation import FloatArray
from .options import IntegrateTable

__all__ = ["AS_COUNTS", "Bins", "flags", "grains", "means", "over_pixels", "scattered"]

AS_COUNTS = (0.8, 1.25)
"""Scatter around the rings over that of counts within which pixels are taken to count."""

EVEN, UNEVEN_PERCENTILE = 0.5, 75
"""Scatter of pixels along rings beyond that of counts, over their mean, from which on rings do not lie where the
geometry says. Of a quarter of the rings it is above 1 where an image is turned against its geometry, else near 0.1."""

GRAINY, LEAST_GRAINS = 5.0, 20
"""Standard deviations of the scatter of counts, and pixels of a bin, from which on a ring shows grains."""

STEEPER = 2.0
"""Within a bin a line may be so much steeper than from bin to bin: what that makes is no grain."""

LEAST_SCATTER = 5
"""Pixels of a bin whose scatter tells its error."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Bins:
    """What all images of one shape share: which pixels go where.

    Attributes
    ----------
    mask : ndarray of bool, shape (rows, columns)
        Pixels that are not used.
    number : int
        Bins, of which some are empty.
    kept : ndarray of bool, shape (number,)
        Bins that hold pixels.
    centre : ndarray, shape (n,)
        Where the pixels of a bin lie on average, degrees of 2θ, of bins that hold any; its middle where they are split.
    count, shares : ndarray, shape (n,)
        Pixels of a bin, and its summed shares of pixels over its summed squares of them: 1 where none is split.
    """

    mask: Mask
    number: int
    kept: Mask
    centre: FloatArray
    count: FloatArray
    shares: FloatArray


def over_pixels(angle: FloatArray) -> FloatArray:
    """Return the mean of an angle over the area of each pixel, given that at its centre: by how the angle curves.

    A pixel collects what falls on its area, whose mean lies farther out than its centre: by 1 / (24 r**2) of an angle
    that is r pixels wide, which at 80 pixels is as much as the error of a strong line.
    """
    mean: FloatArray = np.array(angle, np.float64)
    for axis in (0, 1):
        ends = [(1, 1) if axis == k else (0, 0) for k in (0, 1)]
        mean += np.pad(np.diff(angle, 2, axis=axis), ends, mode="edge") / 24
    return mean


def means(result: Any, bins: Bins, *, counts: bool) -> tuple[FloatArray, FloatArray]:
    """Return mean and variance of each bin, shape (n,), from a result of pyFAI; no number where all pixels are lost."""
    number, summed, weight = (
        np.asarray(one, float)[bins.kept] for one in (result.count, result.sum_variance, result.sum_normalization)
    )
    with np.errstate(all="ignore"):
        summed = summed * bins.shares
        if counts:
            summed = np.maximum(summed, 1.0)
        else:
            summed = np.where(number >= LEAST_SCATTER, summed * number / (number - 1), np.inf)
        values = np.where(number > 0, np.asarray(result.intensity, float)[bins.kept], np.nan)
        return values, np.where(summed > 0, summed / weight**2, np.inf)


def grains(counted: Any, spread: Any, bins: Bins) -> FloatArray:
    """Return the variance of bins along which pixels scatter beyond counts, shape (n,), 0 elsewhere.

    Few grains make a ring of spots: its mean then is known no better than spots differ. The scatter of counts has a
    standard deviation of sqrt(2 + 1 / mean) over the root of their number.
    """
    number, variance = np.asarray(counted.count, float), np.asarray(counted.sum_variance, float)
    with np.errstate(all="ignore"):
        excess = _around(counted, spread, STEEPER**2) / variance - 1
        clear = (number >= LEAST_GRAINS) & (excess > GRAINY * np.sqrt((2 + number / variance) / number))
        found = np.where(clear, (1 + excess) * variance / np.asarray(counted.sum_normalization, float) ** 2, 0.0)
    return np.asarray(found[bins.kept] * bins.shares)


def _around(counted: Any, spread: Any, steeper: float = 1.0) -> FloatArray:
    """Return the summed scatter of the pixels of each bin, without what the mean changes within it."""
    number, weight = np.asarray(counted.count, float), np.asarray(counted.sum_normalization2, float)
    mean = np.asarray(counted.intensity, float)
    with np.errstate(all="ignore"):
        steepest = np.maximum(np.abs(np.diff(mean, prepend=mean[:1])), np.abs(np.diff(mean, append=mean[-1:])))
        inside = steeper * steepest**2 / 12 * weight
        return np.asarray(np.asarray(spread.sum_variance, float) * number / (number - 1) - inside)


def scattered(counted: Any, spread: Any) -> tuple[float, float]:
    """Return the scatter of pixels around dim rings over that of counts, and by how much more a quarter of all have.

    What the mean changes within a bin is no scatter and is taken out. A median of bins is that of sound pixels.
    """
    number, variance = np.asarray(counted.count, float), np.asarray(counted.sum_variance, float)
    mean, weight = np.asarray(counted.intensity, float), np.asarray(counted.sum_normalization2, float)
    there = (number >= 3 * LEAST_SCATTER) & (variance > 0)
    if not there.any():
        return 1.0, 0.0  # nothing speaks against counts
    with np.errstate(all="ignore"):
        around = _around(counted, spread)
        uneven = np.percentile(((around - variance) / (weight * mean**2))[there], UNEVEN_PERCENTILE)
        ratio = np.median((around / variance)[there & (mean <= np.median(mean[there]))])
    return float(ratio), float(np.sqrt(max(uneven, 0.0)))


def flags(options: IntegrateTable, scatter: float | None, uneven: float, *, counts: bool) -> dict[str, str]:
    """Return what is to be said of the errors, and of rings along which pixels differ far more than counts do."""
    alike = scatter is not None and AS_COUNTS[0] <= scatter <= AS_COUNTS[1]
    said = {"flag rings": f"RINGS_UNEVEN:{uneven:.2f}"} if uneven > EVEN and not alike else {}
    if not counts and options.errors == "auto":
        return said | {"flag errors": "ERRORS_AZIMUTHAL" + ("" if scatter is None else f":{scatter:.2f}")}
    return said | ({"flag errors": f"NOT_COUNTS:{scatter:.2f}"} if counts and not alike else {})
