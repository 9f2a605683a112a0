"""Simulated (003) series of LiCoO2 whose truth is a count of layers; shares no code with the package.

Every crystallite is written down layer by layer: CoO2 slabs one above the other, between them interlayers that are
filled (F) or empty (E) of lithium. O3' is all F, H1-3 alternates, an intergrowth is a row of blocks of both kinds. Its
pattern is the squared sum over its layers, averaged over the crystallites of a frame, which are picked from 600; there
are no lines, no cells and no peak shapes. A frame holds the three in known shares of layers. Beside that
(`Cell.spread_A`, `strain`): a spread of lithium contents within the beam, which gives O3' a tail, and a strain that
grows with the charge.

Form factors: International Tables for Crystallography C (2004), table 6.1.1.4. Emission of the tube, a doublet with a
satellite at its short side: Berger (1986), X-Ray Spectrom. 15, 241. The instrument's profile is a Pearson VII of
unequal sides on a wide pedestal, a kind that no fit of the package has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

NAMES = ("O3p", "IG", "H13")
ALPHA1 = 1.5405929
TUBE = ((ALPHA1, 1.0), (1.5444274, 0.497), (1.534753, 0.016))  # wavelength (Å) and intensity
FORM = {
    "Co": ((12.2841, 7.3409, 4.0034, 2.2348), (4.2791, 0.2784, 13.5359, 71.1692), 1.0118),
    "O": ((3.0485, 2.2868, 1.5463, 0.867), (13.2771, 5.7011, 0.3239, 32.9089), 0.2508),
    "Li": ((0.6968, 0.7888, 0.3414, 0.1563), (4.6237, 1.9557, 0.6316, 10.0953), 0.0167),
}
OXYGEN_A = 0.99  # height of oxygen above and below cobalt
POOL = 600  # crystallites of an intergrowth from which those of a frame are picked
STEP, PAD = 0.0125, 1.0  # grid on which a pattern is made, and how far it goes beyond the axis (degrees)


@dataclass(frozen=True)
class Blocks:
    """How an intergrowth is stacked: mean layers of a block, share of alternating blocks, law of their length."""

    length: float = 4.0
    alternating: float = 0.5
    law: str = "geometric"  # or "even": all lengths from 1 to twice the mean alike


@dataclass(frozen=True)
class Cell:
    """What a series is made of.

    Attributes
    ----------
    blocks : Blocks
    stacks : int
        Crystallites of the intergrowth in one frame.
    layers : tuple of float
        Mean number of layers of a crystallite of O3', intergrowth and H1-3.
    size_spread : float
        Relative standard deviation of that number (gamma distribution).
    spread_A : float
        Mean of the exponential distribution of spacings of O3' below its largest one, at the end of the charge (Å).
    strain : float
        Relative standard deviation of all spacings at the end of the charge.
    lithium : float
        In a filled interlayer at the end of the charge.
    width : (float, float)
        Half widths at half height of the instrument at its low and its high side (degrees).
    foreign : float
        Height of a line that belongs to nothing, against the first frame, at 19.9 degrees.
    profile : {"pearson", "flat"}
        Kind of the instrument's line: Pearson VII on a wide pedestal, or a flat top on tails that differ.
    texture : float
        How far the intensity of all layers drifts.
    without : str
        A stack that never comes.
    """

    blocks: Blocks = field(default_factory=Blocks)
    stacks: int = 60
    layers: tuple[float, float, float] = (170.0, 150.0, 140.0)
    size_spread: float = 0.35
    spread_A: float = 0.0
    strain: float = 0.0
    lithium: float = 0.28
    width: tuple[float, float] = (0.048, 0.036)
    foreign: float = 0.0
    profile: str = "pearson"
    texture: float = 0.10
    without: str = ""


CELLS = {
    "blocks": Cell(),
    "even": Cell(blocks=Blocks(4.0, 0.5, "even"), stacks=1000),
    "long": Cell(blocks=Blocks(9.0), stacks=300),
    "rich": Cell(blocks=Blocks(4.0, 0.8)),
    "flat": Cell(profile="flat", width=(0.040, 0.034)),
    "turnless": Cell(without="H13"),
    "pure": Cell(without="IG"),
    "foreign": Cell(foreign=0.03),
    "spread": Cell(spread_A=0.012, strain=0.0015, texture=0.25),
}
ONSETS = {"P": {"IG": 4.44, "H13": 4.53}, "B": {"IG": 4.50, "H13": 4.57}}  # V
TOP = {"P": {"IG": 0.50, "H13": 0.40}, "B": {"IG": 0.42, "H13": 0.18}}


def shares_at(sample: str, voltage: FloatArray, without: str = "") -> FloatArray:
    """Return the share of layers of O3', intergrowth and H1-3, shape (3, F)."""
    out = np.zeros((3, len(voltage)))
    for k, name in enumerate(NAMES[1:], start=1):
        past = np.clip((voltage - ONSETS[sample][name]) / (4.62 - ONSETS[sample][name]), 0, 1)
        out[k] = TOP[sample][name] * past / (0.25 + 0.75 * past) * (name != without)
    out[1] -= 0.35 * out[2] * (out[1] > 0)  # the intergrowth is used up where H1-3 forms
    out[0] = 1 - out[1:].sum(axis=0)
    return out


def spacings_at(sample: str, voltage: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the filled and the empty spacing (Å), each of shape (F,)."""
    u = (voltage - 4.30) / 0.32
    filled = 4.800 - 0.105 * u**1.5 + (0.006 if sample == "B" else 0.0)
    return filled, 9.056 - filled + 0.15 * (filled - 4.70)


def form(atom: str, q: FloatArray) -> FloatArray:
    s2 = (q / (4 * np.pi)) ** 2
    a, b, c = FORM[atom]
    return (np.exp(-np.outer(s2, b)) @ np.array(a) + c) * np.exp(-0.5 * s2)


def draw(blocks: Blocks, layers: int, rng: np.random.Generator) -> BoolArray:
    """Return which interlayers of one crystallite are empty, from the bottom."""
    out: list[bool] = []
    while len(out) < layers:
        mean = blocks.length
        length = int(rng.geometric(1 / mean)) if blocks.law == "geometric" else int(rng.integers(1, 2 * mean))
        out += [True, False] * max(1, round(length / 2)) if rng.random() < blocks.alternating else [False] * length
    start = int(rng.integers(0, max(1, len(out) - layers + 1)))
    return np.array(out[start : start + layers])


def crystallites(mean: float, spread: float, count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return numbers of layers."""
    return np.maximum(2, rng.gamma(spread**-2, mean * spread**2, count).round()).astype(int)


def each_stack(q: FloatArray, empty: list[BoolArray], filled_A: float, empty_A: float, lithium: float) -> FloatArray:
    """Return the intensity of some crystallites, each written as its interlayers, shape (crystallites, q)."""
    slab = form("Co", q) + 2 * form("O", q) * np.cos(q * OXYGEN_A)
    longest = max(len(e) for e in empty)
    there = np.array([np.arange(longest) < len(e) for e in empty])
    is_empty = np.array([np.pad(e, (0, longest - len(e))) for e in empty])
    step = {True: np.exp(1j * q * empty_A), False: np.exp(1j * q * filled_A)}
    layer = {True: slab + 0j, False: slab + lithium * form("Li", q) * np.exp(0.5j * q * filled_A)}
    total, phase = np.zeros((len(empty), q.size), complex), np.ones((len(empty), q.size), complex)
    for j in range(longest):
        for kind in (True, False):
            rows = np.flatnonzero(there[:, j] & (is_empty[:, j] == kind))
            total[rows] += phase[rows] * layer[kind]
            phase[rows] *= step[kind]
    return np.asarray(np.abs(total) ** 2)


def ordered(
    q: FloatArray, sizes: NDArray[np.intp], filled_A: float, empty_A: float, lithium: float, *, every_other: bool
) -> FloatArray:
    """Return the intensity per layer of crystallites whose interlayers are all filled, or every other one."""
    slab = form("Co", q) + 2 * form("O", q) * np.cos(q * OXYGEN_A)
    empty = (np.arange(sizes.max()) % 2 == 0) & every_other
    below = np.concatenate([[0.0], np.cumsum(np.where(empty, empty_A, filled_A))[:-1]])
    layer = np.where(empty[:, None], slab, slab + lithium * form("Li", q) * np.exp(0.5j * q * filled_A))
    partial = np.abs(np.cumsum(layer * np.exp(1j * np.outer(below, q)), axis=0)) ** 2
    return partial[sizes - 1].sum(axis=0) / sizes.sum()


@dataclass(frozen=True)
class Instrument:
    """From intensity per layer on a grid of angles to what is measured."""

    axis: tuple[float, ...]
    width: tuple[float, float]
    profile: str = "pearson"

    @property
    def grid(self) -> FloatArray:
        """Angles at which a pattern is made (degrees)."""
        return np.arange(self.axis[0] - PAD, self.axis[-1] + PAD, STEP)

    @property
    def q(self) -> FloatArray:
        """The same in 1/Å."""
        return 4 * np.pi * np.sin(np.radians(self.grid) / 2) / ALPHA1

    def measured(self, per_layer_q: FloatArray) -> FloatArray:
        """Return the pattern on the axis."""
        theta = np.radians(self.grid / 2)
        y = per_layer_q * (1 + np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
        out = np.zeros_like(y)
        for wavelength, share in TUBE:
            seen = 2 * np.degrees(np.arcsin(np.sin(theta) * ALPHA1 / wavelength))
            out += share * np.interp(seen, self.grid, y)
        x = STEP * np.arange(-160, 161)
        half = np.where(x < 0, *self.width)
        if self.profile == "pearson":
            m = np.where(x < 0, 1.6, 2.2)
            core = (1 + (2 ** (1 / m) - 1) * (x / half) ** 2) ** -m
            pedestal = np.exp(-np.abs(x + 0.05) / 0.35)
        else:  # a flat top with steep sides, and tails of another width on each side
            core = np.exp(-np.log(2) * np.abs(x / half) ** 2.6)
            pedestal = np.where(x < 0, 1.0, 0.4) / (1 + (x / (3.5 * half)) ** 2)
        kernel = core / core.sum() + (0.02 if self.profile == "pearson" else 0.25) * pedestal / pedestal.sum()
        smeared = np.convolve(np.pad(out, 160, mode="edge"), kernel, mode="valid")
        return np.interp(self.axis, self.grid, smeared)


def spacings_within(cell: Cell, charge: float, filled: float) -> tuple[FloatArray, FloatArray]:
    """Return spacings that O3' has within the beam, and their weights."""
    tail = cell.spread_A * charge
    weights = np.full(6 if tail > 0 else 1, 1.0)
    middles = (np.arange(weights.size) + 0.5) / weights.size
    below = -np.log1p(-middles) * tail if tail > 0 else np.zeros(1)
    t, w = np.polynomial.hermite_e.hermegauss(7 if cell.strain > 0 else 1)
    d = (filled - below[:, None]) * (1 + cell.strain * charge * t)
    return d.ravel(), (weights[:, None] * w / (w.sum() * weights.size)).ravel()


@dataclass(frozen=True)
class Simulated:
    """A series and its truth."""

    two_theta: FloatArray  # (n,)
    expected: FloatArray  # (F, n)
    voltage_V: FloatArray  # (F,)
    share: FloatArray  # (3, F), of layers
    empty: FloatArray  # (F,), empty interlayers among those of the intergrowth
    parts: FloatArray  # (F, 3, n): what a frame all of one kind would count, mean over many crystallites
    rest: FloatArray  # (F, n): background and lines of the cell
    onset_V: Mapping[str, float]

    def counts(self, seed: int) -> FloatArray:
        """Return counts of one repetition, shape (F, n)."""
        return np.random.default_rng([seed, 5]).poisson(self.expected).astype(float)

    @property
    def empty_in_all(self) -> FloatArray:
        """Empty interlayers among all, shape (F,)."""
        return self.share[1] * self.empty + 0.5 * self.share[2]


@lru_cache(maxsize=2)
def pool(cell: Cell, sample: str, instrument: Instrument, frames: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return what each crystallite of an intergrowth scatters in every frame, and what it is made of.

    Returns
    -------
    intensity : ndarray, shape (frames, POOL, q)
        Of all its layers together; nothing in frames without intergrowth.
    layers, empty : ndarray, shape (POOL,)
        Layers, and empty interlayers.
    """
    rng = np.random.default_rng(99)
    stacks = [draw(cell.blocks, int(n), rng) for n in crystallites(cell.layers[1], cell.size_spread, POOL, rng)]
    voltage = np.linspace(4.30, 4.62, frames)
    filled, empty = spacings_at(sample, voltage)
    there = shares_at(sample, voltage)[1] > 0
    out = np.zeros((frames, POOL, instrument.q.size), np.float32)
    for f in np.flatnonzero(there):
        charge = (voltage[f] - 4.30) / 0.32
        out[f] = each_stack(instrument.q, stacks, filled[f], empty[f], lithium_at(cell, charge))
    layers = np.array([len(s) for s in stacks], float)
    return out, layers, np.array([s.sum() for s in stacks], float)


def lithium_at(cell: Cell, charge: float) -> float:
    """Return the lithium in a filled interlayer."""
    return 0.5 - (0.5 - cell.lithium) * charge


def _instrument(cell: Cell, low: float, high: float) -> Instrument:
    return Instrument(tuple(np.arange(low, high + 0.01, 0.02).round(6).tolist()), cell.width, cell.profile)


def simulate(
    kind: str, sample: str, counts: float, seed: int = 1, *, frames: int = 60, low: float = 17.2, high: float = 20.6
) -> Simulated:
    """Return a series whose first frame is `counts` high; crystallites are picked anew for each frame.

    Parameters
    ----------
    kind : str
        One of `CELLS`.
    sample : {"P", "B"}
    counts : float
    seed : int
        Of the crystallites, the texture and the sizes; `Simulated.counts` has its own.
    frames : int
    low, high : float
        Range of 2theta (degrees).
    """
    cell = CELLS[kind]
    instrument = _instrument(cell, low, high)
    axis = np.array(instrument.axis)
    rng = np.random.default_rng([seed, "PB".index(sample), 3])
    voltage = np.linspace(4.30, 4.62, frames)
    share, (filled, empty) = shares_at(sample, voltage, cell.without), spacings_at(sample, voltage)
    each, layers, gaps = pool(cell, sample, instrument, frames)
    sizes = {k: crystallites(cell.layers[k], cell.size_spread, 40, rng) for k in (0, 2)}
    texture = 1 + cell.texture * np.sin(np.linspace(0.0, 2.5, frames)) + 0.02 * rng.standard_normal(frames)
    parts, real, empties = np.zeros((frames, 3, axis.size)), [], np.full(frames, gaps.sum() / layers.sum())
    for f in range(frames):
        charge = (voltage[f] - 4.30) / 0.32
        lithium = lithium_at(cell, charge)
        weighted = [0.0 * instrument.q, 0.0 * instrument.q]
        for d, w in zip(*spacings_within(cell, charge, filled[f]), strict=True):
            weighted[0] += w * ordered(instrument.q, sizes[0], d, empty[f], lithium, every_other=False)
        for e, w in zip(*spacings_within(replace(cell, spread_A=0.0), charge, 1.0), strict=True):
            if share[2, f] > 0:
                one = ordered(instrument.q, sizes[2], e * filled[f], e * empty[f], lithium, every_other=True)
                weighted[1] += w * one
        parts[f, 0], parts[f, 2] = (instrument.measured(one) for one in weighted)
        realised = parts[f].copy()
        if share[1, f] > 0:
            parts[f, 1] = instrument.measured(each[f].sum(axis=0) / layers.sum())
            picked = rng.choice(POOL, cell.stacks, replace=cell.stacks > POOL)
            realised[1] = instrument.measured(each[f, picked].sum(axis=0) / layers[picked].sum())
            empties[f] = gaps[picked].sum() / layers[picked].sum()
        real.append(share[:, f] @ realised)
    scale = counts / parts[0, 0].max() * texture[:, None]
    slope = (axis - axis.mean()) / np.ptp(axis)
    rest = counts * (0.05 - 0.02 * slope + 0.01 * slope**2)
    rest = rest + 0.05 * counts * np.exp(-4 * np.log(2) * ((axis - 18.07) / 0.30) ** 2)
    rest = rest + cell.foreign * counts * np.exp(-4 * np.log(2) * ((axis - 19.9) / 0.12) ** 2)
    expected = scale * np.array(real) + rest
    return Simulated(
        axis,
        expected,
        voltage,
        share,
        empties,
        parts * scale[:, None],
        np.broadcast_to(rest, expected.shape),
        ONSETS[sample],
    )


def oracle(truth: Simulated, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Fit amounts with the mean patterns known; shares (3, F) and their standard errors."""
    share, sigma = np.zeros(truth.share.shape), np.zeros(truth.share.shape)
    for f in range(len(counts)):
        on = np.flatnonzero(truth.share[:, f] > 0)
        columns = np.column_stack([truth.parts[f, on].T, truth.rest[f]])
        weight = 1 / np.sqrt(truth.expected[f])
        inverse = np.linalg.inv((columns * weight[:, None]).T @ (columns * weight[:, None]))
        amount = (inverse @ (columns * weight[:, None] ** 2).T @ counts[f])[: on.size]
        fraction = amount / amount.sum()
        slope = (np.eye(on.size) - fraction[:, None]) / amount.sum()
        share[on, f] = fraction
        sigma[on, f] = np.sqrt(np.diag(slope @ inverse[: on.size, : on.size] @ slope.T))
    return share, sigma
