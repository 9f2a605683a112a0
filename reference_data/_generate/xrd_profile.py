"""Lines of a powder pattern, from their formulas: doublet, pseudo-Voigt, Thompson-Cox-Hastings, axial divergence.

Nothing here comes from layerscope. Angles are degrees 2theta, widths are full widths at half maximum in degrees.

Axial divergence after van Laar & Yelon (1984) and Finger, Cox & Jephcoat (1994), J. Appl. Cryst. 27, 892, for a sample
and a slit of the same half-height, A = S/L = H/L: intensity that leaves at 2theta arrives at 2phi with
``cos(2phi) = cos(2theta) sqrt(1 + u^2)`` and the weight ``(2 A - u) / ((1 + u^2) sin(2phi)) du``, 0 <= u <= 2 A.
"""

from __future__ import annotations

import numpy as np
from _generate.simulation import FloatArray

ALPHA1_A, ALPHA2_A, DOUBLET_RATIO = 1.5405929, 1.5444274, 0.5
"""Cu K-alpha-1 and K-alpha-2 (Å; Hölzer et al. 1997, Phys. Rev. A 56, 4554), and the ratio of their intensities."""

RADIATION = ((ALPHA1_A, 1.0 / (1.0 + DOUBLET_RATIO)), (ALPHA2_A, DOUBLET_RATIO / (1.0 + DOUBLET_RATIO)))

_LN2 = float(np.log(2.0))


def bragg_angle(d: float, wavelength: float) -> float:
    """Return 2theta (degrees) of the spacing `d` (Å)."""
    return float(2.0 * np.degrees(np.arcsin(wavelength / (2.0 * d))))


def spacing(two_theta: float, wavelength: float) -> float:
    """Return the spacing (Å) that diffracts at `two_theta` (degrees)."""
    return float(wavelength / (2.0 * np.sin(np.radians(two_theta / 2.0))))


def pseudo_voigt(x: FloatArray, center: FloatArray, fwhm: float, mixing: float) -> FloatArray:
    """Return unit-area pseudo-Voigts (1/degree), shape ``(n, len(center))``; `mixing` is the Lorentzian share."""
    t = (x[:, None] - center) / fwhm
    gauss = 2.0 / fwhm * np.sqrt(_LN2 / np.pi) * np.exp(-4.0 * _LN2 * t**2)
    lorentz = 2.0 / (np.pi * fwhm) / (1.0 + 4.0 * t**2)
    return np.asarray((1.0 - mixing) * gauss + mixing * lorentz)


def tch(gauss: float, lorentz: float) -> tuple[float, float]:
    """Return FWHM and mixing of the pseudo-Voigt for a Voigt of these two FWHM.

    Thompson, Cox & Hastings (1987), J. Appl. Cryst. 20, 79.
    """
    terms = (1.0, 2.69269, 2.42843, 4.47163, 0.07842, 1.0)
    fwhm = sum(c * gauss ** (5 - k) * lorentz**k for k, c in enumerate(terms)) ** 0.2
    q = lorentz / fwhm
    return float(fwhm), float(1.36603 * q - 0.47719 * q**2 + 0.11116 * q**3)


def axial_nodes(two_theta: float, axial: float, count: int) -> tuple[FloatArray, FloatArray]:
    """Return angles and weights (sum 1) of the lines that make up one axially smeared line, each of shape (count,)."""
    if axial == 0.0:
        return np.array([two_theta]), np.ones(1)
    node, weight = np.polynomial.legendre.leggauss(count)
    u = axial * (np.asarray(node) + 1.0)
    angle = np.arccos(np.cos(np.radians(two_theta)) * np.sqrt(1.0 + u**2))
    share = np.asarray(weight) * (2.0 * axial - u) / ((1.0 + u**2) * np.sin(angle))
    return np.asarray(np.degrees(angle)), np.asarray(share / share.sum())


def smeared_line(
    x: FloatArray, two_theta: float, fwhm: float, mixing: float, axial: float, count: int = 24
) -> FloatArray:
    """Return the unit-area line of one wavelength (1/degree), shape (n,); its Bragg angle is `two_theta`."""
    angle, weight = axial_nodes(two_theta, axial, count)
    return np.asarray(pseudo_voigt(x, angle, fwhm, mixing) @ weight)


def doublet(x: FloatArray, two_theta: float, fwhm: float, mixing: float, axial: float) -> FloatArray:
    """Return the unit-area K-alpha doublet (1/degree), shape (n,), both lines of one width.

    `two_theta` is the Bragg angle of K-alpha-1; the second line lies where the same spacing diffracts K-alpha-2.
    """
    d = spacing(two_theta, ALPHA1_A)
    total = np.zeros_like(x)
    for wavelength, share in RADIATION:
        total += share * smeared_line(x, bragg_angle(d, wavelength), fwhm, mixing, axial)
    return total
