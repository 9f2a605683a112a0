"""Axial divergence: how the height of sample and receiving slit smears a Bragg cone towards low angles.

The model is that of van Laar and Yelon in the form of Finger, Cox and Jephcoat, for a sample and a slit of the same
height (S/L = H/L = A, the tie that laboratory data support). Its weight diverges at the Bragg angle itself; written in
the height u on the slit it does not: with cos(2phi) = cos(2theta) sqrt(1 + u^2) the intensity that arrives at 2phi is

    (2A - u) / ((1 + u^2) sin(2phi)) du,   0 <= u <= 2A,

a smooth function times a linear weight, so that a Gauss-Jacobi rule of a few nodes is exact to rounding of any data.

References
----------
van Laar, B. & Yelon, W. B. (1984). J. Appl. Cryst. 17, 47-54. doi:10.1107/S0021889884011006
Finger, L. W., Cox, D. E. & Jephcoat, A. P. (1994). J. Appl. Cryst. 27, 892-900. doi:10.1107/S0021889894004218
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

from layerscope.errors import FitError

from ..radiation import FloatArray

__all__ = ["AxialRule", "axial_rule"]


@dataclass(frozen=True)
class AxialRule:
    """Lines that stand for one axially smeared line, and how they move.

    Attributes
    ----------
    position : ndarray, shape (B, K)
        Degrees 2theta; at most the Bragg angle below 90 degrees.
    weight : ndarray, shape (B, K)
        Sums to 1.
    position_by_angle, weight_by_angle : ndarray, shape (B, K)
        Derivatives by the Bragg angle (per degree).
    position_by_axial, weight_by_axial : ndarray, shape (B, K)
        Derivatives by A.
    """

    position: FloatArray
    weight: FloatArray
    position_by_angle: FloatArray
    weight_by_angle: FloatArray
    position_by_axial: FloatArray
    weight_by_axial: FloatArray


@lru_cache(maxsize=16)
def _jacobi(nodes: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights of integrals over s in [0, 1] with weight 1 - s."""
    t, w = special.roots_jacobi(nodes, 1.0, 0.0)
    return 0.5 * (np.asarray(t) + 1.0), np.asarray(w) / 4.0


def axial_rule(two_theta: FloatArray, axial: FloatArray, nodes: int) -> AxialRule:
    """Return the quadrature of an axially smeared line.

    Parameters
    ----------
    two_theta : ndarray, shape (B,)
        Bragg angle (degrees), between 0 and 180.
    axial : ndarray, shape (B,)
        Half-height of sample and slit over the diffractometer's radius, S/L = H/L.
    nodes : int
        Number of lines, K.

    Raises
    ------
    FitError
        If an angle is not between 0 and 180 degrees, or so low that the cone misses the slit.
    """
    s, jacobi = _jacobi(nodes)
    b = np.radians(two_theta)[:, None]
    if not ((b > 0) & (b < np.pi)).all():
        raise FitError("a line lies outside 0 to 180 degrees", hint="bound its position")
    u = 2.0 * axial[:, None] * s
    square = 1.0 + u * u
    root = np.sqrt(square)
    cosine = np.cos(b) * root
    if not (np.abs(cosine) < 1.0).all():
        raise FitError("a line lies so low that its cone misses the slit", hint="lower the axial divergence")
    sine = np.sqrt((1.0 - cosine) * (1.0 + cosine))
    position = np.arccos(cosine)
    by_angle = np.sin(b) * root / sine
    by_height = -np.cos(b) * u / (root * sine)
    cotangent = cosine / sine
    raw = jacobi / (square * sine)
    weight = raw / raw.sum(axis=1, keepdims=True)
    log_by_angle = -cotangent * by_angle
    log_by_height = -2.0 * u / square - cotangent * by_height
    degree = 180.0 / np.pi
    return AxialRule(
        position * degree,
        weight,
        by_angle,
        _normalised(weight, log_by_angle) / degree,
        by_height * 2.0 * s * degree,
        _normalised(weight, log_by_height * 2.0 * s),
    )


def _normalised(weight: FloatArray, slope: FloatArray) -> FloatArray:
    """Return the derivative of weights that sum to 1 from that of the logarithm of the raw ones."""
    mean = (weight * slope).sum(axis=1, keepdims=True)
    return np.asarray(weight * (slope - mean))
