"""Case hrtem_cei_rings: nanocrystals of LiF and LiB6O9F in an amorphous layer.

The coordinates of LiB6O9F are not public. Its grains are waves of potential with the two spacings that were seen, (111)
and (212), in all their directions, of an amplitude as that of a borate; everything else of it is left out.
"""

from __future__ import annotations

import itertools
import json

import numpy as np
from _generate.hrtem_crystals import LIF, Orientation, amorphous, apart, fill
from _generate.hrtem_multislice import Atoms, FloatArray, Microscope
from _generate.hrtem_scenes import View, photograph, write_tiff
from numpy.typing import NDArray
from scipy.spatial import cKDTree

NAME = "hrtem_cei_rings"
SEED = 20261201
VIEW = View(shape=(700, 700), pixel_nm=0.028, thickness_nm=12.0, microscope=Microscope(defocus_nm=9.0), dose=3000.0)
GRAINS = 220
SHARES = {"LiF": 0.6, "LiB6O9F": 0.3}
BORATE_A = (7.6555, 8.5318, 10.7894)
"""Cell of LiB6O9F, Cakmak et al. 2009, doi 10.1002/zaac.200900056."""

LINES = ((1, 1, 1), (2, 1, 2))
AMPLITUDE = 0.0038
"""Of a wave, radians of phase per Å: a structure factor of 43 Å in a cell of 705 Å^3."""

NEAR = 0.05
"""Waves whose g leaves the plane by more than this, 1/Å, are left out: nothing of them is in the image."""

COARSE = 8
"""Pixels over which a grain's outline is one."""


def build() -> dict[str, bytes]:
    """Return the files of the case, hashes left out."""
    rng = np.random.default_rng(SEED)
    size = np.array(VIEW.size)
    seeds = rng.uniform(0.0, size, (GRAINS, 3))
    kinds = rng.choice([*SHARES, "amorphous"], GRAINS, p=[*SHARES.values(), 1.0 - sum(SHARES.values())])
    grains = cKDTree(seeds)
    atoms = Atoms(np.zeros((0, 3)), np.zeros(0, dtype="<U2"))
    for number in np.flatnonzero(kinds == "LiF"):
        low, high = np.maximum(seeds[number] - 50.0, 0.0), np.minimum(seeds[number] + 50.0, size)
        part = fill(LIF, Orientation.random(rng), low, high, rng.uniform(0.0, 5.0, 3))
        atoms = apart(atoms, part.where(grains.query(part.position)[1] == number))
    glass = amorphous(rng, (0, 0, 0), size)
    atoms = apart(atoms, glass.where(kinds[grains.query(glass.position)[1]] == "amorphous"))
    waves = {int(n): _waves(rng) for n in np.flatnonzero(kinds == "LiB6O9F")}
    more = _Borate(grains, waves)
    image = photograph(rng, VIEW, atoms, more, slice_nm=0.3)
    counts = {kind: int((kinds == kind).sum()) for kind in (*SHARES, "amorphous")}
    truth = {
        "seed": SEED,
        "pixel_nm": VIEW.pixel_nm,
        "thickness_nm": VIEW.thickness_nm,
        "dose_e_per_A2": VIEW.dose,
        "microscope": vars(VIEW.microscope),
        "grains": counts,
        "grain_nm": round(float((np.prod(size) / GRAINS) ** (1 / 3) / 10.0), 2),
        "rings_nm": {
            "LiF": {f"{h}{k}{m}": round(0.1 * LIF.a / np.sqrt(h * h + k * k + m * m), 5) for h, k, m in _LIF_LINES},
            "LiB6O9F": {"".join(map(str, hkl)): round(0.1 / float(_g(hkl)), 5) for hkl in LINES},
        },
    }
    return {
        "cei.tif": write_tiff(image, VIEW.pixel_nm),
        "truth.json": (json.dumps(truth, indent=1) + "\n").encode("ascii"),
    }


_LIF_LINES = ((1, 1, 1), (2, 0, 0), (2, 2, 0))


def _g(hkl: tuple[int, int, int]) -> float:
    return float(np.linalg.norm(np.array(hkl) / np.array(BORATE_A)))


def _waves(rng: np.random.Generator) -> list[tuple[FloatArray, float]]:
    """Return vector (1/Å) and phase of each wave of a grain that an image can show; of each pair one."""
    turn, found = Orientation.random(rng).matrix, []
    for hkl in LINES:
        for signs in itertools.product((1.0,), (1.0, -1.0), (1.0, -1.0)):
            g = turn @ (np.array(signs) * np.array(hkl) / np.array(BORATE_A))
            phase = rng.uniform(0.0, 2.0 * np.pi)
            if abs(g[2]) < NEAR:
                found.append((g, phase))
    return found


class _Borate:
    """Phase that the grains of the borate add in a slice."""

    def __init__(self, grains: cKDTree, waves: dict[int, list[tuple[FloatArray, float]]]) -> None:
        self.grains, self.waves = grains, waves
        grid = VIEW.grid
        self.x, self.y = grid.pixel * np.arange(grid.nx), grid.pixel * np.arange(grid.ny)
        self.coarse = np.meshgrid(self.y[::COARSE], self.x[::COARSE], indexing="ij")

    def __call__(self, low: float, high: float) -> FloatArray:
        y, x = self.coarse
        middle = 0.5 * (low + high)
        whose: NDArray[np.intp] = self.grains.query(np.stack([x, y, np.full_like(x, middle)], axis=-1))[1]
        whose = np.repeat(np.repeat(whose, COARSE, axis=0), COARSE, axis=1)[: self.y.size, : self.x.size]
        total = np.zeros(whose.shape)
        for number, waves in self.waves.items():
            rows, columns = np.nonzero(whose == number)
            for g, phase in waves if rows.size else ():
                turn = 2.0 * np.pi * (g[0] * self.x[columns] + g[1] * self.y[rows] + g[2] * middle) + phase
                total[rows, columns] += AMPLITUDE * (high - low) * np.sinc(g[2] * (high - low)) * np.cos(turn)
        return total
