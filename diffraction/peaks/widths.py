"""Half-widths with the instrument's own taken out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..radiation import FloatArray
from .lines import tch_width_and_mixing

__all__ = ["gaussian_and_lorentzian", "without_instrument"]

_LORENTZ = (0.72928, 0.19289, 0.07783)
_GAUSS = (0.74417, 0.24781, 0.00810)


def gaussian_and_lorentzian(fwhm: ArrayLike, mixing: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return the Gaussian and the Lorentzian width whose Voigt function a pseudo-Voigt stands for.

    References
    ----------
    Thompson, P., Cox, D. E. & Hastings, J. B. (1987). J. Appl. Cryst. 20, 79-83; the inverse as in de Keijser, Th. H.,
    Mittemeijer, E. J. & Rozendaal, H. C. F. (1983). J. Appl. Cryst. 16, 309-316.
    """
    w, m = np.asarray(fwhm, float), np.asarray(mixing, float)
    a, b, c = _LORENTZ
    e, f, g = _GAUSS
    gauss = w * np.sqrt(np.maximum(1.0 - e * m - f * m**2 - g * m**3, 0.0))
    return np.asarray(gauss), np.asarray(w * (a * m + b * m**2 + c * m**3))


def without_instrument(
    fwhm: ArrayLike,
    mixing: ArrayLike,
    instrument_fwhm: float,
    instrument_mixing: float,
    *,
    sigma: ArrayLike | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Return the sample's own width: Gaussian parts subtract in squares, Lorentzian parts as they are.

    Parameters
    ----------
    fwhm, mixing : array-like
        Measured pseudo-Voigt (degrees, 1).
    instrument_fwhm, instrument_mixing : float
        That of a standard at the same angle.
    sigma : array-like, optional
        Standard error of `fwhm` (degrees).

    Returns
    -------
    width, sigma : ndarray
        Width of the sample's Voigt function (degrees) and its standard error; 0 where the line is not wider than the
        instrument's.
    """
    w, m = np.broadcast_arrays(np.asarray(fwhm, float), np.asarray(mixing, float))

    def own(width: FloatArray) -> FloatArray:
        g, h = gaussian_and_lorentzian(width, m)
        g0, h0 = gaussian_and_lorentzian(instrument_fwhm, instrument_mixing)
        gauss = np.sqrt(np.maximum(g**2 - g0**2, 0.0))
        lorentz = np.maximum(h - h0, 0.0)
        some = gauss + lorentz > 0
        value, _, _ = tch_width_and_mixing(np.where(some, gauss, 1.0).ravel(), np.where(some, lorentz, 0.0).ravel())
        return np.where(some, value.reshape(w.shape), 0.0)

    value = own(w)
    if sigma is None:
        return value, np.zeros_like(value)
    step = 1e-5 * np.maximum(w, 1e-6)
    slope = (own(w + step) - own(w - step)) / (2.0 * step)
    return value, np.abs(slope) * np.asarray(sigma, float)
