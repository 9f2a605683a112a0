"""Simulated (003) series of LiCoO2 charged to 4.6 V and partly discharged; shares no code with the package.

Truth: O3' moves, an intergrowth line and H1-3 appear on charge and leave on discharge; a PTFE line of the cell stands
still; the texture drifts. Lines are K-alpha doublets of pseudo-Voigts smeared by axial divergence, integrated here by
the midpoint rule over 300 strips of the slit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

ALPHA1, ALPHA2, RATIO = 1.5405929, 1.5444274, 0.5
MIXING, AXIAL = 0.45, 0.016
FWHM = {"O3p": 0.10, "IG": 0.15, "H13": 0.12}
PTFE = (18.07, 0.35, 0.06)  # position, width, area against the whole (003)
PER_WEIGHT = {"O3p": 1.20, "IG": 1.165, "H13": 1.13}
NAMES = ("O3p", "IG", "H13")
STRIPS = 300


@dataclass(frozen=True)
class Trajectory:
    """What a sample does: time (h) at which a line appears and leaves, its largest share, its time constant (h)."""

    appears: dict[str, float]
    leaves: dict[str, float]
    share: dict[str, float]
    rise: dict[str, float]
    stretch: float = 1.0


SAMPLES = {
    "P": Trajectory(
        {"IG": 4.83, "H13": 6.07}, {"IG": 11.4, "H13": 10.2}, {"IG": 0.42, "H13": 0.30}, {"IG": 2.0, "H13": 1.6}
    ),
    "B": Trajectory(
        {"IG": 5.91, "H13": 7.02}, {"IG": 10.7, "H13": 9.5}, {"IG": 0.24, "H13": 0.12}, {"IG": 2.0, "H13": 1.6}
    ),
}
TURN, END = 9.0, 12.0  # h: end of the charge, end of the series


def voltage_at(time_h: FloatArray) -> FloatArray:
    """Return the cell voltage: 4.30 to 4.60 V with a plateau near 4.5 V, then down to 4.42 V."""
    t = np.asarray(time_h, float)
    u = np.clip(t / TURN, 0, 1)
    up = 4.30 + 0.30 * (u + 0.06 * np.sin(2 * np.pi * u))
    down = 4.60 - 0.03 * (1 - np.exp(-(t - TURN) / 0.15)) - 0.05 * (t - TURN)
    return np.where(t <= TURN, up, down)


def shares_at(sample: str, time_h: FloatArray) -> FloatArray:
    """Return weight fractions, shape (3, F)."""
    s, t = SAMPLES[sample], np.asarray(time_h, float)
    out = np.zeros((3, t.size))
    for k, name in enumerate(NAMES[1:], start=1):
        t0, t1, tau = s.appears[name], s.leaves[name], s.rise[name]
        top = 1 - np.exp(-(TURN - t0) / tau)
        rise = (1 - np.exp(-np.clip(t - t0, 0, None) / tau)) / top
        fall = np.clip((t1 - t) / (t1 - TURN), 0, None)
        out[k] = s.share[name] * np.where(t <= TURN, rise, fall)
    out[0] = 1 - out[1:].sum(axis=0)
    return out


def positions_at(sample: str, time_h: FloatArray) -> FloatArray:
    """Return 2theta of every line, shape (3, F)."""
    t = np.asarray(time_h, float)
    u = np.clip(np.where(t <= TURN, t / TURN, 1 - 0.35 * (t - TURN) / (END - TURN)), 0, 1)
    extra = 0.0 if sample == "P" else -0.03
    return np.array([18.50 + 0.40 * u**2 + extra * u, 19.08 + 0.12 * u**2 + extra, 19.46 + 0.14 * u**2 + extra])


def line(x: FloatArray, center: float, width: float) -> FloatArray:
    """Return an axially smeared doublet of unit area."""
    out = np.zeros_like(x)
    for wavelength, share in ((ALPHA1, 1 / (1 + RATIO)), (ALPHA2, RATIO / (1 + RATIO))):
        b = 2 * np.arcsin(wavelength / ALPHA1 * np.sin(np.radians(center) / 2))
        u = 2 * AXIAL * (np.arange(STRIPS) + 0.5) / STRIPS
        c = np.cos(b) * np.sqrt(1 + u * u)
        w = (2 * AXIAL - u) / ((1 + u * u) * np.sqrt(1 - c * c))
        z = (x[:, None] - np.degrees(np.arccos(c))) / width
        g = np.sqrt(4 * np.log(2) / np.pi) / width * np.exp(-4 * np.log(2) * z * z)
        h = 2 / (np.pi * width) / (1 + 4 * z * z)
        out += share * ((1 - MIXING) * g + MIXING * h) @ (w / w.sum())
    return out


@dataclass(frozen=True)
class Simulated:
    """A series and its truth."""

    two_theta: FloatArray  # (n,)
    expected: FloatArray  # (F, n)
    time_h: FloatArray  # (F,)
    voltage_V: FloatArray  # (F,)
    weight: FloatArray  # (3, F)
    share: FloatArray  # (3, F), of the area
    area: FloatArray  # (3, F)
    position: FloatArray  # (3, F)

    def counts(self, seed: int) -> FloatArray:
        """Return counts of one repetition, shape (F, n)."""
        return np.random.default_rng(seed).poisson(self.expected).astype(float)


@lru_cache(maxsize=16)
def simulate(sample: str, counts: float, frames: int = 60, low: float = 17.0, high: float = 21.0) -> Simulated:
    """Return the expected counts of a series whose first frame is `counts` high above its background."""
    x = np.arange(low, high + 0.01, 0.02)
    time = np.linspace(0, END, frames)
    weight, position = shares_at(sample, time), positions_at(sample, time)
    raw = weight * np.array([PER_WEIGHT[n] for n in NAMES])[:, None]
    share = raw / raw.sum(axis=0)
    rng = np.random.default_rng(["PB".index(sample), 17])
    texture = 1 + 0.12 * np.sin(np.linspace(0, 3, frames)) + 0.03 * rng.standard_normal(frames)
    total = counts / line(x, position[0, 0], FWHM["O3p"]).max() * texture
    area = share * total
    expected = np.empty((frames, x.size))
    slope = (x - x.mean()) / (x[-1] - x[0])
    hardware = PTFE[2] * total[0] * line(x, PTFE[0], PTFE[1])
    for f in range(frames):
        background = counts * (0.05 - 0.02 * slope + 0.01 * slope**2)
        lines = sum(area[k, f] * line(x, position[k, f], FWHM[n]) for k, n in enumerate(NAMES) if area[k, f] > 0)
        expected[f] = background + lines + hardware
    return Simulated(x, expected, time, voltage_at(time), weight, share, area, position)


def truth_voltage(sample: str, name: str) -> float:
    """Return the voltage at which a line appears."""
    return float(voltage_at(np.array(SAMPLES[sample].appears[name])))
