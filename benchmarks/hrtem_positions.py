"""Print how near places of spots are to the Cramér–Rao bound, and whether their errors hold.

    python benchmarks/hrtem_positions.py [N] [BLOCK ...]

Windows of 2 to 10 nm with three to eight waves; found, not given. Printed by extent: rms of the error over the bound
(white noise only, where it is known), for the joint fit and for the tapered transform; rms of the error over the
stated one; waves found. Blocks:

`white`      equal waves over white noise, the bound is √24 σ / (2π a √(nx ny) L)
`counts`     unequal waves through a transfer over speckle and counts: noise of a colour
`part`       a lattice that fills a part of the window, with a sharp edge: its spots are wider than a wave's
`bent`       a lattice whose phase wanders by 0.1 of a period; true is its straight part
"""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
from hrtem_windows_simulation import FloatArray, speckle
from layerscope.microscopy.image import Image
from layerscope.microscopy.spots import Spots, find_spots

BORDERS = (2.0, 4.0, 7.0, 10.0)
BLOCKS = ("white", "counts", "part", "bent")


def window(rng: np.random.Generator, name: str, n: int, pixel: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Draw one window: intensity, waves (m, 2), the bound of each place in 1/nm (NaN where it is not known)."""
    extent = n * pixel
    low = max(2.0, 6.0 / extent)
    waves: list[FloatArray] = []
    while len(waves) < rng.integers(3, 9) and len(waves) < 3 * extent:
        length, angle = rng.uniform(low, 7.0), rng.uniform(0.0, np.pi)
        g = length * np.array([np.cos(angle), np.sin(angle)])
        if all(min(np.hypot(*(g - h)), np.hypot(*(g + h))) > 3.5 / extent for h in waves):
            waves.append(g)
    y, x = np.arange(n)[:, None] * pixel, np.arange(n) * pixel
    drawn = np.zeros((n, n))
    contrast = 3.0 * 10.0 ** rng.uniform(0.7, 1.6) / n  # power over noise 25 to 1600
    truth = []
    for g in waves:
        true = g
        own = contrast * (1.0 if name == "white" else rng.uniform(0.7, 3.0))
        phase = 2 * np.pi * (g[0] * x + g[1] * y) + rng.uniform(0.0, 2 * np.pi)
        if name == "bent":
            wander = 0.2 * np.pi * np.sin(2 * np.pi * (x * rng.uniform(0.3, 1) + y * rng.uniform(0.3, 1)) / extent)
            phase, true = phase + wander, true + slope(wander, x, y)
        drawn += own * np.cos(phase)
        truth.append(true)
    if name == "part":
        drawn *= x + 0.3 * y < extent * rng.uniform(0.5, 0.9)
    noise = rng.normal(size=(n, n))
    if name == "counts":
        noise = speckle(rng, n, pixel)
        noise /= noise.std()
        drawn *= 2.0
    bound = np.sqrt(24.0) / (contrast * n) / (2 * np.pi * extent) if name == "white" else np.nan
    return drawn + noise, np.array(truth), np.full(len(waves), bound)


def slope(phase: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the mean reciprocal vector of a phase: its straight part."""
    parts = [((u - u.mean()) * phase).mean() / ((u - u.mean()) ** 2).mean() for u in (x + 0 * y, y + 0 * x)]
    return np.array(parts) / (2 * np.pi)


def errors(found: Spots, waves: FloatArray, extent: float) -> list[tuple[int, FloatArray, FloatArray]]:
    """Error and pull of each wave that was found."""
    result = []
    for k, g in enumerate(waves):
        apart = np.hypot(*(found.g - g).T) if found.size else np.array([np.inf])
        i = int(apart.argmin())
        if apart[i] < 1.0 / extent:
            error = found.g[i] - g
            result.append((k, error, error / np.sqrt(np.diag(found.covariance[i]))))
    return result


def block(name: str, windows: int) -> None:
    rng = np.random.default_rng([BLOCKS.index(name), 17])
    rows: list[tuple[float, bool, FloatArray, FloatArray]] = []  # extent, fitted, error over bound, pull
    shown: list[tuple[float, bool]] = []
    for _ in range(windows):
        pixel = rng.uniform(0.015, 0.025)
        n = int(rng.uniform(BORDERS[0], BORDERS[-1]) / pixel)
        data, waves, bound = window(rng, name, n, pixel)
        image = Image(data.astype(np.float32), (pixel, pixel))
        for refine in (True, False):
            matched = errors(find_spots(image, refine=refine), waves, n * pixel)
            rows += [(n * pixel, refine, e / bound[k], p) for k, e, p in matched]
            if refine:
                at = {k for k, _, _ in matched}
                shown += [(n * pixel, k in at) for k in range(len(waves))]
    for low, high in [*pairwise(BORDERS), (BORDERS[0], BORDERS[-1])]:
        seen = [there for extent, there in shown if low <= extent < high]
        text = f"{name:7s} {low:3.0f} to {high:2.0f} nm  {100 * np.mean(seen):5.1f} % of {len(seen):5d} found"
        for refine, label in ((True, "fit"), (False, "transform")):
            some = [(e, p) for extent, r, e, p in rows if r is refine and low <= extent < high]
            over, pull = (np.sqrt(np.mean(np.square(np.array(v)))) for v in zip(*some, strict=True))
            bounds = f" {over:4.2f}" if np.isfinite(over) else "  - "
            text += f"  {label}{bounds} pull {pull:4.2f}"
        print(text, flush=True)


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    for chosen in sys.argv[2:] or BLOCKS:
        block(chosen, number)
