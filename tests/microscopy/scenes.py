"""Images of known content, drawn as plain waves and filtered noise: they share nothing with the analysis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PIXEL = 0.025
#: Reflections (gx, gy) in 1/nm of three oblique lattices that share none.
FIRST = np.array([(2.1, 0.7), (-0.4, 4.1), (1.7, 4.8), (2.5, -3.4)])
SECOND = np.array([(4.0, 1.1), (1.2, 3.0), (5.2, 4.1), (2.8, -1.9)])
FOREIGN = np.array([(3.1, -0.3), (0.9, 2.2), (4.0, 1.9), (2.2, -2.5)])


def grid(ny: int, nx: int, pixel: float = PIXEL) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres (x, y) of pixels in nm."""
    y, x = np.mgrid[:ny, :nx]
    return (x + 0.5) * pixel, (y + 0.5) * pixel


def waves(g: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """Sum of cosines of amplitude 1 and arbitrary phase."""
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, len(g))
    return np.sum([np.cos(2 * np.pi * (a * x + b * y) + p) for (a, b), p in zip(g, phase, strict=True)], axis=0)


def speckle(shape: tuple[int, int], seed: int, pixel: float = PIXEL) -> NDArray[np.float64]:
    """Amorphous contrast of standard deviation 1."""
    fy, fx = np.fft.fftfreq(shape[0], pixel)[:, None], np.fft.rfftfreq(shape[1], pixel)
    noise = np.fft.rfft2(np.random.default_rng(seed).normal(size=shape))
    out = np.fft.irfft2(noise * np.exp(-(fx**2 + fy**2) / 5.0**2), s=shape)
    return out / out.std()
