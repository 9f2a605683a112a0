"""Windows of images of known truth: waves, amorphous speckle through a contrast transfer, counts.

Nothing here is shared with what measures them. Lengths in nm, arrays (y, x).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

WAVELENGTH = {300: 0.00197, 200: 0.00251, 80: 0.00418}


def counting(rng: np.random.Generator, n: int, pixel: float) -> FloatArray:
    """Draw the counts of a bare detector: Poisson, gain 8, read-out noise 3."""
    dose = 10.0 ** rng.uniform(2.0, 3.5) * 100.0 * pixel**2
    return rng.poisson(dose, (n, n)) * 8.0 + rng.normal(0.0, 3.0, (n, n))


def speckle(rng: np.random.Generator, n: int, pixel: float) -> FloatArray:
    """Draw an amorphous film: white phase through a transfer with defocus, astigmatism and envelope, then counts.

    The field is larger than the window, which is cut from it: no edge of it meets the other.
    """
    large = int(1.3 * n) + 20
    fx, fy = np.fft.rfftfreq(large, pixel), np.fft.fftfreq(large, pixel)[:, None]
    g, angle = np.hypot(fx, fy), np.arctan2(fy, fx + 0.0 * fy)
    field = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(large, large))) * _transfer(rng, g, angle), s=(large, large))
    field = field[:n, :n] / field.std()
    dose = 10.0 ** rng.uniform(2.0, 3.5) * 100.0 * pixel**2
    seen = rng.poisson(np.clip(1.0 + 0.1 * rng.uniform(0.3, 1.5) * field, 0.02, None) * dose)
    return seen * 8.0 + rng.normal(0.0, 3.0, (n, n))


def _transfer(rng: np.random.Generator, g: FloatArray, angle: FloatArray) -> FloatArray:
    voltage = int(rng.choice(list(WAVELENGTH)))
    wave = WAVELENGTH[voltage]
    defocus = rng.normal() * (10.0 if voltage == 300 else 40.0)
    spherical = float(rng.choice([-0.01e6, 0.5e6, 1.0e6])) if voltage != 80 else -0.01e6
    twofold, at = rng.normal(0.0, 0.08) * defocus, rng.uniform(0.0, np.pi)
    phase = np.pi * wave * (defocus + twofold * np.cos(2.0 * (angle - at))) * g**2
    phase += 0.5 * np.pi * spherical * wave**3 * g**4 + 0.2
    envelope = np.exp(-((g / rng.uniform(4.5, 9.0)) ** 4) - (g / 8.0) ** 2)
    return np.abs(np.sin(phase)) * envelope + 0.02
