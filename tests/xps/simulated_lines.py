"""Lines drawn from their formulas, nothing of layerscope."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

FloatArray = NDArray[np.float64]
Line = tuple[float, float, float, float]  # center, fwhm, mixing, area
LN2 = math.log(2.0)


def lines_with_step(x: FloatArray, lines: Sequence[Line], k: float) -> FloatArray:
    """Return pseudo-Voigts with k times their running integrals, from the formula."""
    y = np.zeros_like(x)
    for center, fwhm, mixing, area in lines:
        t = (x - center) / fwhm
        gauss = 2.0 * math.sqrt(LN2 / math.pi) / fwhm * np.exp(-4.0 * LN2 * t**2)
        lorentz = 2.0 / (math.pi * fwhm * (1.0 + 4.0 * t**2))
        step = (1 - mixing) * 0.5 * (1.0 + erf(2.0 * math.sqrt(LN2) * t)) + mixing * (0.5 + np.arctan(2 * t) / math.pi)
        y += area * ((1 - mixing) * gauss + mixing * lorentz + k * step)
    return y
