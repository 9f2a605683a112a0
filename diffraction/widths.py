"""Widths of a pseudo-Voigt that stands for a Voigt function, and half-widths with the instrument's own taken out.

References
----------
Thompson, P., Cox, D. E. & Hastings, J. B. (1987). J. Appl. Cryst. 20, 79-83. doi:10.1107/S0021889887087090
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .radiation import FloatArray

__all__ = ["gaussian_and_lorentzian", "tch_width_and_mixing", "without_instrument"]

_LORENTZ = (0.72928, 0.19289, 0.07783)
_GAUSS = (0.74417, 0.24781, 0.00810)
_TCH_WIDTH = (2.69269, 2.42843, 4.47163, 0.07842)
_TCH_MIXING = (1.36603, -0.47719, 0.11116)


def tch_width_and_mixing(
    gaussian_fwhm: FloatArray, lorentzian_fwhm: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return FWHM and mixing of the pseudo-Voigt that stands for a Voigt function.

    Parameters
    ----------
    gaussian_fwhm, lorentzian_fwhm : ndarray, shape (B,)

    Returns
    -------
    fwhm, mixing : ndarray, shape (B,)
    chain : ndarray, shape (B, 2, 2)
        ``chain[:, i, j]``: derivative of (fwhm, mixing)[j] by (gaussian_fwhm, lorentzian_fwhm)[i].
    """
    g, h = gaussian_fwhm, lorentzian_fwhm
    a, b, c, d = _TCH_WIDTH
    fifth = g**5 + a * g**4 * h + b * g**3 * h**2 + c * g**2 * h**3 + d * g * h**4 + h**5
    width = fifth**0.2
    scale = 0.2 * width / fifth
    by_g = scale * (5 * g**4 + 4 * a * g**3 * h + 3 * b * g**2 * h**2 + 2 * c * g * h**3 + d * h**4)
    by_h = scale * (a * g**4 + 2 * b * g**3 * h + 3 * c * g**2 * h**2 + 4 * d * g * h**3 + 5 * h**4)
    q = h / width
    e, f, k = _TCH_MIXING
    mixing = e * q + f * q**2 + k * q**3
    slope = e + 2 * f * q + 3 * k * q**2
    q_by_g, q_by_h = -q / width * by_g, (1.0 - q * by_h) / width
    chain = np.stack([np.stack([by_g, slope * q_by_g], -1), np.stack([by_h, slope * q_by_h], -1)], axis=1)
    return width, mixing, chain


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
