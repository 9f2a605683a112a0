"""Energy losses of an oxide near its surface: edges on a background that is no power law; nothing of layerscope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

O_MAIN_EV, MN_L3_EV, CO_L3_EV = 541.0, 642.0, 780.2
PREPEAK, TOTAL = (527.0, 533.0), (526.0, 566.0)
CO_RANGE, SMOOTHING = (775.0, 785.0), 0.8
FINE_EV = 0.05


@dataclass(frozen=True)
class Sample:
    """What a place looks like.

    Attributes
    ----------
    surface : float
        0 in the bulk, 1 where the surface is reduced all through.
    thickness : float
        Intensity of everything.
    """

    surface: float
    thickness: float = 1.0

    @property
    def prepeak(self) -> float:
        """Height of the O pre-peak."""
        return 0.62 * (1.0 - 0.7 * self.surface)

    @property
    def co_l3(self) -> float:
        """Place of Co L3, eV."""
        return CO_L3_EV - 1.3 * self.surface


@dataclass(frozen=True)
class Background:
    """A bent power law, or the sum of two.

    Attributes
    ----------
    r, bend : float
        Exponent and bend at 500 eV.
    second : float
        Share at 500 eV of a second power law with an exponent of 1.2.
    """

    r: float = 2.9
    bend: float = 0.0
    second: float = 0.0

    def __call__(self, energy: np.ndarray) -> np.ndarray:
        """Return the background, 1 at 500 eV."""
        x = np.log(energy / 500.0)
        first = np.exp(-self.r * x + self.bend * x**2)
        return (1.0 - self.second) * first + self.second * np.exp(-1.2 * x)


def _line(energy: np.ndarray, place: float, fwhm: float) -> np.ndarray:
    return 1.0 / (1.0 + (2.0 * (energy - place) / fwhm) ** 2)


def _step(energy: np.ndarray, place: float, width: float, decay: float) -> np.ndarray:
    rise = 0.5 + np.arctan((energy - place) / width) / np.pi
    begun = 1.0 / (1.0 + np.exp(-(energy - place + 6.0) / 0.7))  # an arctangent alone has a foot before the edge
    return rise * begun * (np.maximum(energy, place) / place) ** -decay


def _bell(energy: np.ndarray, place: float, sigma: float) -> np.ndarray:
    return np.exp(-0.5 * ((energy - place) / sigma) ** 2)


def oxygen(energy: np.ndarray, sample: Sample) -> np.ndarray:
    """Return the O K edge, about 1 above its step."""
    edge = _step(energy, 537.0, 1.5, 2.2) + sample.prepeak * _bell(energy, 530.2, 1.0)
    edge += 0.75 * _bell(energy, O_MAIN_EV, 2.6) + 0.25 * _bell(energy, 563.0, 6.0)
    return edge


def metal(energy: np.ndarray, third: float, apart: float, ratio: float) -> np.ndarray:
    """Return an L edge, 1 above its step, with both white lines."""
    lines = _bell(energy, third, 1.4) + _bell(energy, third + apart, 1.7) / ratio
    steps = _step(energy, third + 1.0, 1.0, 2.0) * 2.0 / 3.0 + _step(energy, third + apart + 1.0, 1.0, 2.0) / 3.0
    return 3.2 * lines + steps


EDGES: Mapping[str, float] = {"O K": 0.35, "Mn L": 0.08, "Co L": 0.12}
"""Heights of the edges, in units of the background at 500 eV."""


def expected(energy: np.ndarray, sample: Sample, background: Background) -> dict[str, np.ndarray]:
    """Return the parts of a spectrum, in units of the background at 500 eV of a place of thickness 1.

    Parameters
    ----------
    energy : ndarray, shape (n,)
        True energies in eV.
    sample : Sample
    background : Background
    """
    parts = {
        "background": background(energy),
        "O K": EDGES["O K"] * oxygen(energy, sample),
        "Mn L": EDGES["Mn L"] * metal(energy, MN_L3_EV, 11.0, 2.3),
        "Co L": EDGES["Co L"] * metal(energy, sample.co_l3, 15.0, 3.0),
    }
    return {name: sample.thickness * part for name, part in parts.items()}


def truth(sample: Sample) -> dict[str, float]:
    """Return the numbers of a place by their definitions: share of the pre-peak, and maximum of the smoothed Co L3."""
    fine = np.arange(500.0, 860.0, FINE_EV)
    net = oxygen(fine, sample)
    inside = [(fine >= low) & (fine < high) for low, high in (PREPEAK, TOTAL)]
    share = float(net[inside[0]].sum() / net[inside[1]].sum())
    cobalt = metal(fine, sample.co_l3, 15.0, 3.0)
    kernel = _bell(np.arange(-5 * SMOOTHING, 5 * SMOOTHING + FINE_EV / 2, FINE_EV), 0.0, SMOOTHING)
    smooth = np.convolve(cobalt, kernel, mode="same")
    search = np.flatnonzero((fine > CO_RANGE[0]) & (fine < CO_RANGE[1]))
    top = search[np.argmax(smooth[search])]
    a, b, c = smooth[top - 1 : top + 2]
    return {"share": share, "maximum_eV": float(fine[top] + 0.5 * FINE_EV * (a - c) / (a - 2 * b + c))}


def spread_counts(rng: np.random.Generator, mean: np.ndarray, blur: float) -> np.ndarray:
    """Return counts of an expected spectrum; with blur > 0 each electron is spread over channels (Gaussian, sigma)."""
    counts = rng.poisson(mean).astype(float)
    if blur > 0:
        reach = np.arange(-int(4 * blur) - 1, int(4 * blur) + 2)
        kernel = np.exp(-0.5 * (reach / blur) ** 2)
        counts = np.apply_along_axis(np.convolve, -1, counts, kernel / kernel.sum(), mode="same")
    return counts
