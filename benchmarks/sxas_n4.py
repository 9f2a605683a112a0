"""The four-coordinate fraction N4 of boron on simulated B K spectra, beside a plain linear combination.

``python benchmarks/sxas_n4.py [N] [BLOCK ...]``: N spectra a block (100), N4 from 0 to 0.6, drawn by code of its own. A
BO3 reference with a pi* line and a BO4 reference without, alike per boron beyond 218 eV but for fine structure of 2 %,
while their totals differ by up to 15 %; a foreign absorption with a slope; a yield that loses a share of the signal at
the maximum of pi*. Blocks: `plain`; `saturated`, 30 % lost; `references`, at another resolution and 0.1 eV off; `both`.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from layerscope.spectra.sxas.n4 import Reference, fit_coordination
from scipy.special import erf, voigt_profile

FloatArray = np.ndarray
E = np.unique(
    np.round(np.concatenate([np.arange(180, 190, 0.5), np.arange(190, 206, 0.1), np.arange(206, 226, 0.5)]), 3)
)
NOISE = 0.001
RANGE, PRE, POST = (186.0, 215.0), (181.0, 190.0), (218.0, 225.0)


@dataclass(frozen=True)
class Block:
    """What is drawn: share lost at the maximum, and references of another resolution and place."""

    lost: float = 0.0
    other: bool = False


BLOCKS = {
    "plain": Block(),
    "saturated": Block(lost=0.30),
    "references": Block(other=True),
    "both": Block(lost=0.30, other=True),
}


def per_boron(x: FloatArray, four: bool, resolution: float, total: float, wave: float) -> FloatArray:
    """Return the absorption of one boron atom; `total` scales its bands, `wave` its fine structure."""
    rise = 0.5 * (1.0 + erf((x - 197.0) / 1.5)) * (1.0 + wave * np.cos((x - 210.0) / 5.0) * (x > 210.0))
    bands = (
        [(196.9, 1.4, 1.2), (199.3, 1.8, 4.6), (203.0, 5.0, 7.0), (209.0, 5.0, 2.0)]
        if four
        else [(202.4, 4.2, 7.5), (205.6, 6.0, 6.0)]
    )
    y = rise + sum(a * total * voigt_profile(x - c, w / 2.355, 0.03 * w) for c, w, a in bands)
    return y if four else y + 4.5 * voigt_profile(x - 194.0, np.hypot(0.33, resolution), 0.10)


def spectrum(rng: np.random.Generator, n4: float, block: Block, kinds: FloatArray) -> FloatArray:
    """Return a spectrum as a yield gives it."""
    x = E - rng.normal(0.0, 0.02)
    mu = (1 - n4) * per_boron(x, False, 0.10, *kinds[0]) + n4 * per_boron(x, True, 0.10, *kinds[1])
    foreign = rng.uniform(0.5, 2.0) * (1.0 + rng.normal(0.0, 0.03) * (x - 200.0) / 10.0)
    whole, top = mu + foreign, float((per_boron(E, False, 0.10, *kinds[0]) + foreign).max())
    s = block.lost / (1.0 - block.lost)
    y = whole / (1.0 + s * whole / top) * rng.uniform(0.5, 2.0)
    y = y + 0.02 * rng.normal() * (x - 200.0) / 20.0
    return y * (1.0 + NOISE * rng.normal(size=y.size))


def references(rng: np.random.Generator, block: Block, kinds: FloatArray) -> list[Reference]:
    """Return both references as measured."""
    resolution, off = (float(rng.uniform(0.0, 0.20)), 0.1) if block.other else (0.10, 0.0)
    found = []
    for k, name in enumerate(("BO3", "BO4")):
        y = 1.3 + 0.02 * rng.normal() * (E - 200.0) / 20.0 + per_boron(E - off, bool(k), resolution, *kinds[k])
        y = y * (1.0 + NOISE * rng.normal(size=E.size))
        found.append(Reference.of(name, float(k), E, y, (NOISE * y) ** 2, PRE, POST))
    return found


def plain_combination(y: FloatArray, both: list[Reference]) -> float:
    """Return N4 by least squares of two references, a constant and a slope, as programs do it."""
    use = (RANGE[0] <= E) & (RANGE[1] >= E)
    columns = np.stack([*(r.signal[use] for r in both), np.ones(use.sum()), E[use] - 200.0], axis=1)
    a = np.linalg.lstsq(columns, y[use], rcond=None)[0]
    return float(a[1] / (a[0] + a[1]))


def main() -> None:
    """Run the blocks asked for."""
    words = sys.argv[1:]
    number = int(words.pop(0)) if words and words[0].isdigit() else 100
    for name in words or BLOCKS:
        began, rows, flagged = time.process_time(), [], 0
        for seed in range(number):
            rng = np.random.default_rng([1729, seed])
            n4, totals = rng.uniform(0.0, 0.6), 1.0 + np.array([0.0, rng.uniform(-0.15, 0.15)])
            kinds = np.stack([totals, rng.normal(0.0, 0.02, 2)], axis=1)
            y, both = spectrum(rng, n4, BLOCKS[name], kinds), references(rng, BLOCKS[name], kinds)
            fit = fit_coordination((E, y, (NOISE * y) ** 2), both, RANGE)
            e = fit.n4
            flagged += any(f.startswith(("RESIDUAL_STRUCTURE", "OVERDISPERSED")) for f in fit.flags)
            rows.append((e.value - n4, e.sigma, e.budget["counting"], plain_combination(y, both) - n4))
        off, sigma, counting, plain = np.array(rows).T
        held = [np.mean(np.abs(off) < k * s) for k, s in ((1.0, sigma), (1.96, sigma), (1.0, counting))]
        spent = 1e3 * (time.process_time() - began) / number
        print(f"\n{name}: {number} spectra, {spent:.0f} CPU-ms each, flagged {flagged / number:.2f}")
        rms = [float(np.sqrt(np.mean(part**2))) for part in (off, plain)]
        print(f"  N4     bias {off.mean():+.4f}, rms {rms[0]:.4f}, median sigma {np.median(sigma):.4f}")
        print(f"         68 % {held[0]:.3f}, 95 % {held[1]:.3f}; counting alone 68 % {held[2]:.3f}")
        print(f"  plain  bias {plain.mean():+.4f}, rms {rms[1]:.4f}")


if __name__ == "__main__":
    main()
