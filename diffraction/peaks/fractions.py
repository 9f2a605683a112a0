"""From areas of lines to fractions of intensity and of weight, with their covariance.

The area of a line is proportional to the weight of its phase times ``m |F|^2 LP / (M V)``: multiplicity, structure
factor, Lorentz and polarisation factor, mass and volume of the cell. Texture and absorption are common to the phases of
one electrode, whose layers all lie alike, and cancel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from layerscope.errors import DataError

from ..radiation import FloatArray

__all__ = ["fractions_of", "intensity_per_weight", "lorentz_polarisation"]


def lorentz_polarisation(two_theta: ArrayLike, *, monochromator_deg: float | None = None) -> FloatArray:
    """Return (1 + P cos^2 2theta) / (sin^2 theta cos theta), the factor of a Bragg-Brentano powder line.

    Parameters
    ----------
    two_theta : array-like
        Degrees.
    monochromator_deg : float, optional
        2theta of a monochromator crystal: P = cos^2 of it; 1 without.
    """
    angle = np.radians(np.asarray(two_theta, float))
    p = 1.0 if monochromator_deg is None else float(np.cos(np.radians(monochromator_deg)) ** 2)
    result = (1 + p * np.cos(angle) ** 2) / (np.sin(angle / 2) ** 2 * np.cos(angle / 2))
    return np.asarray(result)


def intensity_per_weight(
    multiplicity: ArrayLike, f_squared: ArrayLike, cell_mass: ArrayLike, cell_volume: ArrayLike, two_theta: ArrayLike
) -> FloatArray:
    """Return m |F|^2 LP / (M V): calculated intensity of a line for equal weights, on an arbitrary common scale.

    Parameters
    ----------
    multiplicity, f_squared : array-like
        m, and |F|^2 of the cell (electron^2).
    cell_mass : array-like
        Mass of the cell's content (g/mol).
    cell_volume : array-like
        Å^3.
    two_theta : array-like
        Degrees.

    Raises
    ------
    DataError
        If a mass or a volume is not positive.
    """
    mass, volume = np.asarray(cell_mass, float), np.asarray(cell_volume, float)
    if not ((mass > 0).all() and (volume > 0).all()):
        raise DataError("mass and volume of a cell must be positive")
    lp = lorentz_polarisation(two_theta)
    return np.asarray(np.asarray(multiplicity, float) * np.asarray(f_squared, float) * lp / (mass * volume))


def fractions_of(areas: FloatArray, covariance: FloatArray, factor: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (area/factor) over the sum of (area/factor), with covariance.

    Parameters
    ----------
    areas : ndarray, shape (K, F)
    covariance : ndarray, shape (F, K, K)
        Within each frame.
    factor : ndarray, shape (K,) or (K, F)
        Intensity per weight; ones for fractions of the intensity.

    Returns
    -------
    fractions : ndarray, shape (K, F)
        NaN where all areas are zero.
    covariance : ndarray, shape (F, K, K)

    Raises
    ------
    DataError
        If a factor is not positive.
    """
    g = np.broadcast_to(factor if np.ndim(factor) == 2 else np.asarray(factor)[:, None], areas.shape)
    if not (g > 0).all():
        raise DataError("an intensity per weight must be positive")
    amount = areas / g
    total = amount.sum(axis=0)
    with np.errstate(all="ignore"):
        fraction = np.where(total > 0, amount / total, np.nan)
        k = len(areas)
        # d f_a / d area_b = (delta_ab - f_a) / (total g_b)
        jacobian = (np.eye(k)[None] - fraction.T[:, :, None]) / (total[:, None, None] * g.T[:, None, :])
    return fraction, np.asarray(jacobian @ covariance @ jacobian.transpose(0, 2, 1))
