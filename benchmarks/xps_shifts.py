"""Whether intervals of shares hold where levels shift by an unknown amount and no line tells the charge.

``python benchmarks/xps_shifts.py [N] [SHIFT] [COUNTS]``: N simulated profiles a block (60) of three overlapping lines
at six levels, drawn by code of its own: pseudo-Voigts whose widths differ by 10 %, on a Shirley step, every level
shifted by a normal amount of 0, 0.15 and 0.5 eV rms, 400 and 3 000 counts high. They are fitted as a recipe without a
charge reference would: ``like`` the first, positions within 0.4 eV. A gross miss is a share off by more than 0.05 and
three sigma in a profile that no flag warns of.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from layerscope.spectra.xps.options import RegionTable
from layerscope.spectra.xps.regionfit import fit_region
from layerscope.spectra.xps.regionresult import RegionData, RegionFit

from layerscope.errors import LayerscopeError
from layerscope.fitting.sampling import SampledFit, central

X = np.arange(184.0, 200.0, 0.1)
PLACES = np.array([192.0, 191.1, 193.0])
LEVELS = 6
SHARES = np.stack([np.linspace(0.75, 0.35, LEVELS), np.linspace(0.1, 0.5, LEVELS), np.full(LEVELS, 0.15)])
AREAS = [f"line_{k}_area" for k in range(3)]


def line(u: np.ndarray, fwhm: float) -> np.ndarray:
    """Return a pseudo-Voigt of unit area with 30 % Lorentzian and the step below it."""
    gauss = np.exp(-4 * np.log(2) * (u / fwhm) ** 2) * np.sqrt(4 * np.log(2) / np.pi) / fwhm
    shape = 0.7 * gauss + 0.3 * fwhm / (2 * np.pi) / (u**2 + fwhm**2 / 4)
    return np.asarray(shape + 0.04 * np.cumsum(shape) * (X[1] - X[0]))


def profile(shift: float, top: float, rng: np.random.Generator) -> np.ndarray:
    """Draw the counts of six levels, `top` above the floor at the strongest point of each."""
    places, widths = PLACES + rng.normal(0.0, 0.1, 3), 1.25 * np.exp(rng.normal(0.0, 0.1, 3))
    levels = []
    for shares, moved in zip(SHARES.T, rng.normal(0.0, shift, LEVELS), strict=True):
        curve = sum(s * line(X - p - moved, w) for s, p, w in zip(shares, places, widths, strict=True))
        levels.append(rng.poisson(top * (curve / curve.max() + 0.15)))
    return np.array(levels, dtype=float)


def region() -> RegionTable:
    """Return what a recipe says of the region."""
    components: list[dict[str, object]] = []
    for number, place in enumerate(PLACES):
        at = {"value": place, "min": place - 0.4, "max": place + 0.4}
        one = {"species": f"line {number}", "custom": True, "position_eV": at}
        components.append(one | ({"like": "line 0"} if number else {}))
    return RegionTable.model_validate({"region": "B 1s", "components": components})


@dataclass
class Tally:
    """What was seen in the profiles of a block."""

    error: list[np.ndarray] = field(default_factory=list)
    sigma: list[np.ndarray] = field(default_factory=list)
    inside: list[np.ndarray] = field(default_factory=list)
    warned: list[bool] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, fit: RegionFit) -> None:
        """Take in one fit."""
        value, sigma = fit.shares[0], fit.share_sigma
        self.error.append(value - SHARES)
        self.sigma.append(sigma)
        if isinstance(fit.fit, SampledFit):
            drawn = fit.fit.drawn_fractions(AREAS).swapaxes(0, 1)
            ends = [central(drawn, confidence) for confidence in (0.6827, 0.95)]
            self.spread.append(float(np.median(fit.fit.width)) if fit.fit.width is not None else 0.0)
        else:
            ends = [(value - z * sigma, value + z * sigma) for z in (1.0, 1.96)]
        self.inside.append(np.stack([(low <= SHARES) & (high >= SHARES) for low, high in ends]))
        self.warned.append(fit.unidentified or any(flag.startswith("FEW_DRAWS") for flag in fit.fit.flags()))

    def text(self) -> str:
        """Return coverage by intervals and by sigma, mean sigma, gross misses, share of flagged profiles, cost."""
        error, sigma = np.abs(self.error), np.array(self.sigma)
        z, inside = error / sigma, np.mean(self.inside, axis=(0, 2, 3))
        gross = ((error > 0.05) & (z > 3.0) & ~np.array(self.warned)[:, None, None]).sum()
        return (
            f"{inside[0]:.2f} {inside[1]:.3f}   {(z < 1).mean():.2f} {(z < 1.96).mean():.3f}   {sigma.mean():.3f}   "
            f"{gross:3d} of {z.size:5d}   {np.mean(self.warned):.2f}   "
            f"{np.median(self.spread) if self.spread else 0.0:.2f}   {self.seconds / len(self.error):.2f}"
        )


def block(shift: float, top: float, n: int) -> Tally:
    """Fit N profiles."""
    tally = Tally()
    for seed in range(n):
        y = profile(shift, top, np.random.default_rng([seed, int(top), int(1000 * shift)]))
        clock = time.process_time()
        try:
            fit = fit_region(region(), RegionData(X, y, np.ones(LEVELS), np.arange(LEVELS, dtype=float)))
        except LayerscopeError as error:
            print(f"{shift} eV, {top:g} counts, profile {seed}: {error}")
            continue
        tally.seconds += time.process_time() - clock
        tally.add(fit)
    return tally


def main() -> None:
    """Print coverage, errors, gross misses, flags and cost."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    shifts = [float(sys.argv[2])] if len(sys.argv) > 2 else [0.0, 0.15, 0.5]
    heights = [float(sys.argv[3])] if len(sys.argv) > 3 else [400.0, 3000.0]
    print(f"{n} profiles a block: coverage at 68 and 95 % by intervals, and by sigma; mean sigma; gross misses without")
    print("a flag; share of profiles flagged; median spread (eV); CPU-s a fit")
    for shift in shifts:
        for top in heights:
            print(f"{shift:4.2f} eV {top:5.0f}   {block(shift, top, n).text()}", flush=True)


if __name__ == "__main__":
    main()
