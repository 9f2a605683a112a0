"""Bragg's law between angles and spacings, with errors, and the exact place of the second line of a doublet."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from layerscope.errors import DataError

from ..radiation import FloatArray

__all__ = ["d_from_two_theta", "second_line", "two_theta_from_d"]


def second_line(two_theta: FloatArray, wavelength_ratio: float) -> tuple[FloatArray, FloatArray]:
    """Return where the second wavelength diffracts, and the slope against the first.

    Parameters
    ----------
    two_theta : ndarray
        Position of the first line (degrees).
    wavelength_ratio : float
        Second wavelength over the first.

    Returns
    -------
    position : ndarray
        2 asin(ratio sin(theta)) in degrees; NaN where the second wavelength does not diffract.
    slope : ndarray
        Its derivative by the first position.
    """
    theta = np.radians(two_theta) / 2.0
    sine = wavelength_ratio * np.sin(theta)
    with np.errstate(invalid="ignore", divide="ignore"):
        position = 2.0 * np.degrees(np.arcsin(sine))
        slope = wavelength_ratio * np.cos(theta) / np.sqrt(1.0 - sine * sine)
    return position, slope


def d_from_two_theta(
    two_theta: ArrayLike, wavelength: float, sigma: ArrayLike | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return the spacing d = lambda / (2 sin theta) in Å and its standard error.

    Parameters
    ----------
    two_theta : array-like
        Degrees, above 0 and below 180.
    wavelength : float
        Å.
    sigma : array-like, optional
        Standard error of `two_theta` (degrees); 0 where nothing is given.

    Raises
    ------
    DataError
        If an angle is out of range or the wavelength is not positive.
    """
    angle = np.asarray(two_theta, float)
    inside = np.isnan(angle) | ((angle > 0) & (angle < 180))
    if not inside.all() or not wavelength > 0:
        raise DataError("Bragg's law needs 0 < 2theta < 180 degrees and a positive wavelength")
    theta = np.radians(angle) / 2.0
    d = wavelength / (2.0 * np.sin(theta))
    error = np.zeros_like(d) if sigma is None else np.asarray(sigma, float)
    return d, np.abs(d / np.tan(theta)) * np.radians(error) / 2.0


def two_theta_from_d(d: ArrayLike, wavelength: float) -> FloatArray:
    """Return 2theta in degrees of spacings `d` in Å.

    Raises
    ------
    DataError
        If a spacing is below half the wavelength.
    """
    sine = wavelength / (2.0 * np.asarray(d, float))
    if not ((sine > 0) & (sine <= 1)).all():
        raise DataError("a spacing does not diffract at this wavelength")
    return np.asarray(2.0 * np.degrees(np.arcsin(sine)))
