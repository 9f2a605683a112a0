"""Extra lines as GSAS-II takes them: a peak for each wavelength, with a Gaussian and a Lorentzian width."""

from __future__ import annotations

import math

import numpy as np

from ...radiation import lorentz_polarisation
from ...widths import tch_width_and_mixing
from ..model import ExtraLine, Problem

__all__ = ["line_images", "pseudo_voigt_widths"]


def pseudo_voigt_widths(fwhm: float, eta: float) -> tuple[float, float]:
    """Gaussian and Lorentzian FWHM that give a pseudo-Voigt of ``fwhm`` and ``eta``."""
    angle = np.linspace(0.0, 0.5 * np.pi, 20001)  # from all Gaussian to all Lorentzian
    gauss, lorentz = np.cos(angle), np.sin(angle)
    width, mixing, _ = tch_width_and_mixing(gauss, lorentz)
    sharp, broad = (fwhm * float(np.interp(eta, mixing, part / width)) for part in (gauss, lorentz))
    return sharp, broad


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
