"""Extra lines as GSAS-II takes them: a peak for each wavelength, with a Gaussian and a Lorentzian width."""

from __future__ import annotations

import math

import numpy as np

from ...radiation import lorentz_polarisation
from ..model import ExtraLine, Problem

__all__ = ["line_images", "pseudo_voigt_widths"]


def pseudo_voigt_widths(fwhm: float, eta: float) -> tuple[float, float]:
    """Gaussian and Lorentzian FWHM that give a pseudo-Voigt of ``fwhm`` and ``eta``.

    Inverts Thompson, Cox & Hastings 1987, J. Appl. Cryst. 20, 79, equations (8) and (9).
    """
    q = np.linspace(0.0, 1.0, 2001)
    mixing = 1.36603 * q - 0.47719 * q**2 + 0.11116 * q**3
    lorentz = float(np.interp(eta, mixing, q)) * fwhm
    gauss = np.linspace(0.0, fwhm, 4001)
    total = gauss**5 + 2.69269 * gauss**4 * lorentz + 2.42843 * gauss**3 * lorentz**2
    total += 4.47163 * gauss**2 * lorentz**3 + 0.07842 * gauss * lorentz**4 + lorentz**5
    return float(np.interp(fwhm, total**0.2, gauss)), lorentz


def line_images(line: ExtraLine, problem: Problem) -> list[tuple[float, float]]:
    """Angles of an extra line for each wavelength and its share of the Kα1 area (ratio × Lorentz-polarisation)."""
    instrument = problem.instrument
    out = [(line.two_theta, 1.0)]
    if len(instrument.wavelengths) == 2:
        s = math.sin(math.radians(line.two_theta / 2)) * instrument.wavelengths[1] / instrument.wavelengths[0]
        if s < 1.0:
            angle = 2.0 * math.degrees(math.asin(s))
            first, second = lorentz_polarisation([line.two_theta, angle], instrument.polarisation)
            out.append((angle, float(instrument.ratio * second / first)))
    return out
