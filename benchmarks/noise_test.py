"""Are counts called counts, and rescaled or smoothed ones found? Patterns with and without empty stretches.

The generator shares no code with the test: split pseudo-Voigt lines of 2.5 to 15 points with a second line beside
each, on a background that falls and has a hump, counted; then left alone, multiplied, smoothed or interpolated.

    python benchmarks/noise_test.py [PATTERNS]
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from layerscope.diffraction.dataset import Pattern

from layerscope.measured.noise import noise_factor

Change = Callable[[np.ndarray], np.ndarray]


def expected(rng: np.random.Generator, crowded: bool) -> np.ndarray:
    """Return the mean counts of a pattern: without empty stretches the lines are three to ten of their widths apart."""
    points = int(rng.integers(1500, 6000))
    x = np.arange(points, dtype=float)
    level = 10 ** rng.uniform(0.7, 3.0)
    mean = level * (1 + rng.uniform(0, 3) * np.exp(-x / (0.3 * points)) + rng.uniform(0, 0.6) * hump(x, rng, points))
    width = 10 ** rng.uniform(np.log10(2.5), np.log10(15))
    apart = width * (rng.uniform(3, 10) if crowded else rng.uniform(25, 80))
    count = int(points / apart)
    for centre in rng.uniform(0, points, count):
        height = level * 10 ** rng.uniform(-0.5, 2.3)
        left, right = width * rng.uniform(0.8, 1.3, 2)
        share = rng.uniform(0.2, 0.9)
        for shift, part in ((0.0, 1.0), (width * rng.uniform(0.5, 2.0), 0.5)):
            t = (x - centre - shift) / np.where(x < centre + shift, left, right)
            mean += part * height * (share / (1 + 4 * t**2) + (1 - share) * np.exp(-2.7726 * t**2))
    return mean


def hump(x: np.ndarray, rng: np.random.Generator, points: int) -> np.ndarray:
    """Return a broad maximum, as glass gives it."""
    return np.exp(-(((x / points - rng.uniform(0.2, 0.6)) / 0.12) ** 2))


def smoothed(*kernel: float) -> Change:
    """Return what convolves with a kernel."""
    return lambda y: np.convolve(np.pad(y, len(kernel) // 2, mode="edge"), kernel, mode="valid")[: y.size]


CHANGES: dict[str, Change] = {
    "counts": lambda y: y,
    "times 0.5": lambda y: 0.5 * y,
    "times 2": lambda y: 2.0 * y,
    "times 10": lambda y: 10.0 * y,
    "mean of 3": smoothed(1 / 3, 1 / 3, 1 / 3),
    "1-2-1": smoothed(0.25, 0.5, 0.25),
    "Savitzky-Golay 7": smoothed(*(np.array([-2, 3, 6, 7, 6, 3, -2]) / 21)),
    "half a step on": lambda y: np.interp(np.arange(y.size) + 0.5, np.arange(y.size), y),
}


def main(patterns: int = 100) -> None:
    """Print shares of patterns that are flagged, or tell nothing; exit with 1 if one is not as wanted."""
    print(f"{patterns} patterns each; flagged, cannot tell (%)")
    print(f"{'':20}{'empty stretches':>20}{'without':>20}")
    good = True
    for name, change in CHANGES.items():
        cells = []
        for crowded in (False, True):
            flagged = unknown = 0
            for seed in range(patterns):
                rng = np.random.default_rng([seed, crowded])
                y = change(rng.poisson(expected(rng, crowded)).astype(float))
                flags = [
                    f.split(":")[0] for f in noise_factor([Pattern(np.arange(y.size) * 0.02 + 10, y)], "poisson")[2]
                ]
                flagged += "NOT_COUNTS" in flags or "NOISE_CORRELATED" in flags
                unknown += "NOISE_UNKNOWN" in flags
            share = flagged / patterns
            good &= share <= 0.02 if name == "counts" else share >= 0.95
            cells.append(f"{100 * flagged / patterns:8.0f} {100 * unknown / patterns:8.0f}")
        print(f"{name:20}" + "".join(f"{cell:>20}" for cell in cells), flush=True)
    sys.exit(not good)


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:]))
