"""How far the power of a transform is from speckle: the share of it that stands in spots.

The power of speckle is exponential about its level x = P/L, so that ln⟨x⟩ − ⟨ln x⟩ is Euler's constant γ. Where the
share s of the power stands in few bins, the mean is larger by 1/(1 − s) and the mean logarithm is not:
κ = ln⟨x⟩ − ⟨ln x⟩ − γ = −ln(1 − s). Independent bins give κ the variance (π²/6 − 1)/N.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..image import Image
from .level import noise_level
from .transform import SECTORS, grid_of, prepared, transform

__all__ = ["Speckle", "crystallinity", "excess"]

_OF_MEAN = 2.6  # variance of the mean of bins of a ring under a Hann taper over that of independent ones
_CORRELATED = 1.8  # variance of κ of bins under a Hann taper over that of independent ones
_LOG_BELOW = np.pi**2 / 6.0 - 1.0

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Speckle:
    """Statistics of the power of one window.

    Attributes
    ----------
    crystallinity, crystallinity_sigma : float
        Share of the power of the band, relative to its level, that stands in spots, 0 for speckle; and the standard
        deviation that speckle gives it.
    """

    crystallinity: float
    crystallinity_sigma: float


def crystallinity(image: Image, band: tuple[float, float] | None = None) -> Speckle:
    """Measure how far the transform of a window is from amorphous speckle.

    Parameters
    ----------
    image : Image
        The window.
    band : tuple of 2 floats, optional
        Lengths of reciprocal vectors, 1/nm; that of `find_spots` when not given.

    Raises
    ------
    DataError
        As `find_spots`.
    """
    grid = grid_of(image, band)
    power = transform(prepared(image), grid).power
    values = (power / noise_level(power, grid).cells[grid.cell])[grid.inside].astype(float)
    if not values.max(initial=0.0) > 0:
        return Speckle(0.0, np.inf)
    kappa, sigma = excess(values, (grid.cell // SECTORS)[grid.inside])
    share = -float(np.expm1(-kappa))
    return Speckle(share, (1.0 - share) * sigma)


def excess(relative: FloatArray, ring: NDArray[np.intp] | NDArray[np.int32]) -> tuple[float, float]:
    """Return κ of power over its level, and the standard deviation that speckle gives it.

    The mean is taken ring by ring, so that a level that is off along the radius does not count; that it is the mean of
    few bins is made up for.
    """
    count = np.bincount(ring)
    mean = np.bincount(ring, relative) / np.maximum(count, 1)
    few = 0.5 * _OF_MEAN / np.maximum(count, 1)
    logarithm = np.log(np.maximum(relative, 1e-12 * float(relative.max())))
    kappa = float((np.log(np.maximum(mean, 1e-300)) + few)[ring].mean() - logarithm.mean() - np.euler_gamma)
    return kappa, float(np.sqrt(_LOG_BELOW * _CORRELATED / relative.size))
