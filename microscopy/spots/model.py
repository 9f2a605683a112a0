"""What the numerics of spots hand on: spots, rings and speckle of one window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rings", "Spots"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spots:
    """Spots of the transform of one window, strongest first; of each Friedel pair that with gy > 0 (or gy = 0 < gx).

    Attributes
    ----------
    g : ndarray of float64, shape (n, 2)
        Reciprocal vectors (gx, gy) in 1/nm, by the stated pixel size.
    covariance : ndarray of float64, shape (n, 2, 2)
        Of each vector, 1/nm², from the fit of all waves together.
    amplitude : ndarray of float64, shape (n,)
        Of the wave, in the unit of the image.
    power : ndarray of float64, shape (n,)
        Power over its noise level, whose mean without a spot is 1 (exponential).
    band : tuple of 2 floats
        Range of the length in 1/nm that was searched.
    window_nm : tuple of 2 floats
        Extent of the window along y and x.
    false_alarm : float
        Probability, stated, that a window without any lattice shows a spot at all.
    on_streak : ndarray of bool, shape (n,)
        Spots on a streak of scanning or of the image's edge: no evidence for a lattice.
    """

    g: FloatArray
    covariance: FloatArray
    amplitude: FloatArray
    power: FloatArray
    band: tuple[float, float]
    window_nm: tuple[float, float]
    false_alarm: float
    on_streak: NDArray[np.bool_]

    @property
    def size(self) -> int:
        """Number of spots."""
        return int(self.amplitude.size)


@dataclass(frozen=True, eq=False)
class Rings:
    """Rings of the transform of one window: maxima of the whole radial profile.

    Attributes
    ----------
    g, g_sigma : ndarray of float64, shape (n,)
        Radius and its standard deviation, 1/nm, by the stated pixel size.
    height : ndarray of float64, shape (n,)
        Of the profile over its smooth level, relative.
    width : ndarray of float64, shape (n,)
        Full width at half maximum, 1/nm.
    radius, profile, level : ndarray of float64, shape (m,)
        The radial profile of the power, and the smooth level below the rings.
    """

    g: FloatArray
    g_sigma: FloatArray
    height: FloatArray
    width: FloatArray
    radius: FloatArray
    profile: FloatArray
    level: FloatArray
