"""Simulated (003) series of an electrode that is charged unevenly; shares no code with the package.

Within the beam the lithium content is spread: a gamma distribution of what is missing, whose width grows with the
charge, so that O3' becomes broad and leans to one side. Layers of one lithium content have one spacing (a straight line
through the spacings of Reimers & Dahn (1992), J. Electrochem. Soc. 139, 2091, between x = 0.5 and 0.25). Strain grows
with the square of the charge and widens all lines in proportion to tan(theta); the texture drifts, so that a frame at
the end holds a third fewer counts. The intergrowth is a row of blocks, written down layer by layer as in
`xrd_stacks.py`; crystallites of O3' and H1-3 have a Gaussian spread of sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import xrd_stacks as sim

FloatArray = sim.FloatArray
BINS = 24  # lithium contents that stand for the distribution


@dataclass(frozen=True)
class Spread:
    """How uneven an electrode is.

    Attributes
    ----------
    width : float
        Standard deviation of the lithium content at the end of the charge.
    shape : float
        Of the gamma distribution: 1 is an exponential one, large is symmetric.
    strain : float
        Relative standard deviation of all spacings at the end of the charge.
    drift : float
        Share of the intensity that is lost until the end.
    """

    width: float = 0.020
    shape: float = 2.0
    strain: float = 0.0015
    drift: float = 0.35


CELLS = {"uneven": Spread(), "broad": Spread(width=0.035, shape=1.3, strain=0.0025, drift=0.5)}
BY_LITHIUM = 0.42  # Å of spacing for one lithium more


def contents(spread: Spread, charge: float) -> tuple[FloatArray, FloatArray]:
    """Return how much lithium is missing against the fullest layers, and the weights."""
    if charge <= 0:
        return np.zeros(1), np.ones(1)
    scale = spread.width * charge / np.sqrt(spread.shape)
    edges = np.linspace(0.0, scale * (spread.shape + 6 * np.sqrt(spread.shape)), BINS + 1)
    missing = 0.5 * (edges[1:] + edges[:-1])
    weight = missing ** (spread.shape - 1) * np.exp(-missing / scale)
    return missing, weight / weight.sum()


def strained(intensity: FloatArray, q: FloatArray, strain: float) -> FloatArray:
    """Return an intensity whose q are spread in proportion."""
    if strain <= 0:
        return intensity
    x = np.arange(-60, 61) * float(np.gradient(q).mean())
    kernel = np.exp(-0.5 * (x / (strain * float(q.mean()))) ** 2)
    return np.convolve(np.pad(intensity, 60, mode="edge"), kernel / kernel.sum(), mode="valid")


@lru_cache(maxsize=2)
def pool(sample: str, frames: int, instrument: sim.Instrument) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return crystallites of the intergrowth, as `xrd_stacks.pool`."""
    return sim.pool(sim.Cell(), sample, instrument, frames)


def simulate(
    kind: str, sample: str, counts: float, seed: int = 1, *, frames: int = 60, low: float = 17.2, high: float = 20.6
) -> sim.Simulated:
    """Return a series whose first frame is `counts` high; see `xrd_stacks.simulate`."""
    spread, cell = CELLS[kind], sim.Cell()
    axis = np.arange(low, high + 0.01, 0.02).round(6)
    instrument = sim.Instrument(tuple(axis.tolist()), (0.045, 0.038), "flat")
    rng = np.random.default_rng([seed, "PB".index(sample), 11])
    voltage = np.linspace(4.30, 4.62, frames)
    share, (filled, empty) = sim.shares_at(sample, voltage), sim.spacings_at(sample, voltage)
    each, layers, gaps = pool(sample, frames, instrument)
    sizes = [np.maximum(rng.normal(n, 0.3 * n, 40), 20).astype(int) for n in (150.0, 130.0)]
    parts, real = np.zeros((frames, 3, axis.size)), []
    empties = np.full(frames, gaps.sum() / layers.sum())
    q = instrument.q
    for f in range(frames):
        charge = (voltage[f] - 4.30) / 0.32
        lithium, strain = 0.5 - 0.22 * charge, spread.strain * charge**2
        first = np.zeros(q.size)
        for missing, weight in zip(*contents(spread, charge), strict=True):
            d = filled[f] - BY_LITHIUM * missing
            first += weight * sim.ordered(q, sizes[0], d, empty[f], max(lithium - missing, 0.05), every_other=False)
        parts[f, 0] = instrument.measured(strained(first, q, strain))
        if share[2, f] > 0:
            third = sim.ordered(q, sizes[1], filled[f], empty[f], lithium, every_other=True)
            parts[f, 2] = instrument.measured(strained(third, q, strain))
        realised = parts[f].copy()
        if share[1, f] > 0:
            parts[f, 1] = instrument.measured(strained(each[f].sum(axis=0) / layers.sum(), q, strain))
            picked = rng.choice(sim.POOL, cell.stacks, replace=False)
            mixed = each[f, picked].sum(axis=0) / layers[picked].sum()
            realised[1] = instrument.measured(strained(mixed, q, strain))
            empties[f] = gaps[picked].sum() / layers[picked].sum()
        real.append(share[:, f] @ realised)
    drift = 1.0 - spread.drift * np.linspace(0.0, 1.0, frames) ** 1.5 + 0.015 * rng.standard_normal(frames)
    scale = counts / parts[0, 0].max() * drift[:, None]
    slope = (axis - axis.mean()) / np.ptp(axis)
    rest = counts * (0.06 - 0.03 * slope + 0.01 * slope**2)
    rest = rest + 0.05 * counts * np.exp(-4 * np.log(2) * ((axis - 18.07) / 0.30) ** 2)
    expected = scale * np.array(real) + rest
    return sim.Simulated(
        axis,
        expected,
        voltage,
        share,
        empties,
        parts * scale[:, None],
        np.broadcast_to(rest, expected.shape),
        sim.ONSETS[sample],
    )
