"""An intergrowth read as a stack of two kinds of layers in random order (Hendricks and Teller).

A line that lies between those of two structures need not be a phase of its own. Layers of spacings d_a and d_b that
follow each other at random diffract like one lattice of spacing between the two: for layers of equal scattering power
the line lies where the mean phase factor ``C(q) = (1 - f) exp(i q d_a) + f exp(i q d_b)`` is real, so that its position
gives the share f of b layers,

    f = sin(q d_a) / (sin(q d_a) - sin(q d_b)),     q = 2 pi / d,

and the loss of coherence 1 - |C| a width that must be there as well.

References
----------
Hendricks, S. & Teller, E. (1942). J. Chem. Phys. 10, 147-167. doi:10.1063/1.1723678
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from layerscope.errors import DataError

from ..radiation import FloatArray

__all__ = ["LayerReading", "layer_fraction"]


@dataclass(frozen=True)
class LayerReading:
    """Reading of a line as a mixture of layers.

    Attributes
    ----------
    fraction, sigma : ndarray, shape (F,)
        Share of b layers, and its standard error; NaN where a position is missing. Outside 0 to 1 the reading is not
        possible: the line does not lie between the two others.
    fwhm_deg : ndarray, shape (F,)
        Width in 2theta that a random order itself gives (degrees); a narrower line is not a random mixture.
    """

    fraction: FloatArray
    sigma: FloatArray
    fwhm_deg: FloatArray


def layer_fraction(
    d_mixture: ArrayLike,
    d_a: ArrayLike,
    d_b: ArrayLike,
    wavelength: float,
    *,
    covariance: ArrayLike | None = None,
) -> LayerReading:
    """Read a line's position as the share of b layers.

    Parameters
    ----------
    d_mixture, d_a, d_b : array-like, shape (F,)
        Spacings per layer (Å) of the line and of its two parents.
    wavelength : float
        Å; only for the width in degrees.
    covariance : array-like, shape (F, 3, 3), optional
        Of the three spacings (Å^2), in that order.

    Raises
    ------
    DataError
        If the parents have the same spacing, or the arrays do not fit.
    """
    d, a, b = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, float)) for v in (d_mixture, d_a, d_b)))
    if (np.abs(a - b) < 1e-6).any():
        raise DataError("layers of the same spacing cannot be told apart")
    q = 2.0 * np.pi / d
    sine_a, sine_b, cosine_a, cosine_b = np.sin(q * a), np.sin(q * b), np.cos(q * a), np.cos(q * b)
    gap = sine_a - sine_b
    fraction = sine_a / gap
    by_a, by_b = -sine_b / gap**2, sine_a / gap**2  # by sin(q d_a), sin(q d_b)
    by_q = by_a * a * cosine_a + by_b * b * cosine_b
    slope = np.stack([-by_q * q / d, by_a * q * cosine_a, by_b * q * cosine_b], axis=-1)
    sigma = np.zeros_like(fraction)
    if covariance is not None:
        c = np.asarray(covariance, float)
        if c.shape != (d.size, 3, 3):
            raise DataError(f"covariance of shape {c.shape} for {d.size} triples")
        with np.errstate(invalid="ignore"):
            sigma = np.sqrt(np.maximum(np.einsum("fi,fij,fj->f", slope, c, slope), 0.0))
            sigma[np.isnan(fraction)] = np.nan
    f = np.clip(fraction, 0.0, 1.0)
    coherence = np.abs((1 - f) * np.exp(1j * q * a) + f * np.exp(1j * q * b))
    width_q = 2.0 * (1.0 - coherence) / (np.sqrt(coherence) * ((1 - f) * a + f * b))
    cosine_theta = np.sqrt(np.maximum(1.0 - (wavelength / (2.0 * d)) ** 2, 1e-12))
    return LayerReading(fraction, sigma, np.degrees(width_q * wavelength / (2.0 * np.pi * cosine_theta)))
