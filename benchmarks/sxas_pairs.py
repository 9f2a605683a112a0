"""Coverage of intervals of O K features on simulated pairs of scans.

``python benchmarks/sxas_pairs.py [N] [BLOCK ...]``: N pairs a block (200). Spectra are drawn by code of its own, with
all that a scan hides: slope and curvature of what lies under the edge, bands that differ from where the table of bands
starts, fine structure at the end of the range, an energy error that a reference channel finds to 0.02 eV. Truths are
integrals of the drawn edge without noise and background. Blocks: `pairs`; `missing`, with a band of 3 % of the edge
that the table lacks; `arctan` and `voigt`, a step and bands of another shape than the default member's.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from layerscope.spectra.sxas.features import EdgeFit, fit_edge
from layerscope.spectra.sxas.model import EdgeData, find_bands
from scipy.special import erf, voigt_profile

FloatArray = np.ndarray
AREA = (525.0, 550.0)
ENERGY = np.concatenate([np.arange(515.0, 527.0), np.arange(5270, 5520) / 10.0, np.arange(552.0, 575.0)])
SHIFT, NOISE, MONO = 0.12, 0.001, 0.02
EG, CARBONATE = (1.00, 0.80), (0.60, 0.15)
GROWTH = ((1.0, 1.0, 1.0), (1.1, 1.15, 1.0))


@dataclass(frozen=True)
class Block:
    """What is drawn: area of a band that the table lacks, the step, the bands."""

    extra: float = 0.0
    arctan: bool = False
    voigt: bool = False


BLOCKS = {"pairs": Block(), "missing": Block(extra=0.8), "arctan": Block(arctan=True), "voigt": Block(voigt=True)}
ASKED = {
    "shift": ("shift", "eg", 1),
    "eg 0": ("amount", "eg", 0),
    "eg 1": ("amount", "eg", 1),
    "eg ratio": ("ratio", "eg", 1),
    "carbonate 0": ("amount", "carbonate", 0),
    "carbonate 1": ("amount", "carbonate", 1),
    "carbonate ratio": ("ratio", "carbonate", 1),
}


@dataclass(frozen=True)
class Edge:
    """One drawn edge, what lies under it left out."""

    block: Block
    number: int
    places: FloatArray
    widths: FloatArray
    areas: FloatArray
    step_at: float
    post: float

    def line(self, x: FloatArray, center: float, width: float, lorentzian: float) -> FloatArray:
        """Return a line of unit area: a sum of two curves, or their convolution of about the same width."""
        if self.block.voigt:
            part = 0.55 * lorentzian * width
            gauss = np.sqrt(max((width - 0.5346 * part) ** 2 - 0.2166 * part**2, 1e-6))
            return voigt_profile(x - center, gauss / 2.354820045, part / 2.0)
        u = 2.0 * (x - center) / width
        gauss = np.exp(-np.log(2.0) * u**2) * 2.0 * np.sqrt(np.log(2.0) / np.pi) / width
        return (1.0 - lorentzian) * gauss + lorentzian * 2.0 / (np.pi * width) / (1.0 + u**2)

    def at(self, grid: FloatArray, off: float) -> FloatArray:
        """Return the absorption where the scan says `grid` and the photons had `off` less."""
        x, k = grid - off, self.number
        u = (x - self.step_at) / (0.9 if self.block.arctan else 1.5)
        rise = 0.5 + np.arctan(u) / np.pi if self.block.arctan else 0.5 * (1.0 + erf(u))
        y = rise * (1.0 + self.post * np.clip((grid - 530.0) / 20.0, 0.0, None))
        for c, w, a in zip(self.places, self.widths, self.areas, strict=True):
            y = y + a * self.line(x, c, w, 0.15)
        y = y + self.block.extra * self.line(x, 539.2, 2.5, 0.15)
        y = y + 0.02 * np.clip((grid - 546.0) / 10.0, 0.0, 1.0) * np.sin((grid - 546.0) / 3.1)
        y = y + EG[k] * self.line(x, 530.5 + SHIFT * k, 1.35, 0.3)
        return y + CARBONATE[k] * self.line(x, 533.9, 1.3, 0.3)


def drawn_pair(seed: int, block: Block) -> tuple[list[FloatArray], FloatArray, dict[str, float]]:
    """Return two scans, the energy errors that the reference channel finds, and the truth."""
    rng = np.random.default_rng([20261129, seed])
    error = rng.normal(0.0, MONO, 2)
    places = np.array([537.2, 541.0, 545.0]) + rng.normal(0.0, 0.25, 3)
    widths = np.array([4.4, 5.0, 7.0]) * (1.0 + rng.normal(0.0, 0.06, 3))
    step_at, u = 536.5 + rng.normal(0.0, 0.3), (ENERGY - 530.0) / 20.0
    fine = np.linspace(*AREA, 2501)
    scans, whole = [], []
    for k in (0, 1):
        areas = np.array([4.0, 6.0, 4.0]) * (1.0 + rng.normal(0.0, 0.08, 3)) * GROWTH[k]
        tilt, bow, post = rng.normal(0.0, 0.05), rng.normal(0.0, 0.02), rng.normal(0.0, 0.03)
        edge = Edge(block, k, places, widths, areas, step_at, post)
        mu = 1.1 + tilt * u + bow * u**2 + edge.at(ENERGY, error[k])
        whole.append(np.trapezoid(edge.at(fine, 0.0), fine))
        scans.append(mu * (1.0 + rng.normal(0.0, NOISE, mu.size)))
    truth = {"shift": SHIFT}
    for name, amounts in (("eg", EG), ("carbonate", CARBONATE)):
        one, two = amounts[0] / whole[0], amounts[1] / whole[1]
        truth |= {f"{name} 0": one, f"{name} 1": two, f"{name} ratio": two / one}
    return scans, error + rng.normal(0.0, MONO, 2), truth


def data_of(scans: list[FloatArray], found: FloatArray) -> EdgeData:
    """Return the scans on the energies that the reference channel finds."""
    curves = [(ENERGY - e, y, (NOISE * y) ** 2, None) for y, e in zip(scans, found, strict=True)]
    return EdgeData.of(curves, find_bands("O K"), [MONO] * len(scans))


def fitted(seed: int, block: Block) -> tuple[EdgeFit, dict[str, float]]:
    """Fit one pair."""
    scans, found, truth = drawn_pair(seed, block)
    return fit_edge(data_of(scans, found), find_bands("O K"), AREA), truth


def run(name: str, number: int) -> None:
    """Print one block."""
    began = time.process_time()
    rows: dict[str, list[tuple[float, float, float]]] = {key: [] for key in ASKED}
    flagged = added = either = 0
    for seed in range(number):
        fit, truth = fitted(seed, BLOCKS[name])
        structure = any(flag.startswith("RESIDUAL_STRUCTURE") for flag in fit.flags)
        more = any(flag.startswith("FURTHER_BAND") for flag in fit.flags)
        flagged, added, either = flagged + structure, added + more, either + (structure or more)
        for key, asked in ASKED.items():
            e, unit = fit.find(*asked), 1.0 if key == "shift" else truth[key]
            rows[key].append(((e.value - truth[key]) / unit, e.sigma / unit, e.budget["counting"] / unit))
    spent = 1e3 * (time.process_time() - began) / number / 2.0
    print(f"\n{name}: {number} pairs, {len(fit.members)} members, {spent:.0f} CPU-ms a scan")
    print(f"band added {added / number:.3f}, residual structure {flagged / number:.3f}, either {either / number:.3f}")
    print("                   bias     rms   sigma   68 %   95 %   counting alone 68 %")
    for key, values in rows.items():
        off, sigma, counting = np.array(values).T
        held = [np.mean(np.abs(off) < k * s) for k, s in ((1.0, sigma), (1.96, sigma), (1.0, counting))]
        figures = f"{off.mean():+.4f}  {np.sqrt(np.mean(off**2)):.4f}  {np.median(sigma):.4f}"
        print(f"{key:16s}{figures}   {held[0]:.3f}  {held[1]:.3f}  {held[2]:.3f}")
    print("(all but the shift, eV, relative to the truth)")


def main() -> None:
    """Run the blocks asked for."""
    words = sys.argv[1:]
    number = int(words.pop(0)) if words and words[0].isdigit() else 200
    for name in words or BLOCKS:
        run(name, number)


if __name__ == "__main__":
    main()
