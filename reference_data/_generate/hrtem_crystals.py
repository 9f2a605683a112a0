"""Atoms of crystals, amorphous layers and their boundaries for simulated images; nothing of layerscope.

Cells and positions are those of ``phases/``, written out. LiCo2O4 has lithium on the tetrahedral site.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from _generate.hrtem_multislice import Atoms, FloatArray, Grid
from numpy.typing import NDArray
from scipy.spatial import cKDTree

_FACES = ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))
_RHOMBOHEDRAL = ((0.0, 0.0, 0.0), (2.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0), (1.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0))


@dataclass(frozen=True)
class Crystal:
    """A crystal with a cell a, a, c: cubic, or hexagonal where `hexagonal` (gamma 120 degrees).

    ``atoms`` are (element, x, y, z) of the whole cell.
    """

    name: str
    a: float
    c: float
    hexagonal: bool
    atoms: tuple[tuple[str, float, float, float], ...]

    @property
    def axes(self) -> FloatArray:
        """Rows a, b, c in Å."""
        b = (-0.5 * self.a, np.sqrt(0.75) * self.a, 0.0) if self.hexagonal else (0.0, self.a, 0.0)
        return np.array([(self.a, 0.0, 0.0), b, (0.0, 0.0, self.c)])

    def with_cell(self, a: float, c: float | None = None) -> Crystal:
        """Return it with another cell, in Å."""
        return replace(self, a=a, c=a if c is None else c)


def _centred(sites: Sequence[tuple[str, Sequence[float]]], centring: Sequence[Sequence[float]]) -> tuple[
    tuple[str, float, float, float], ...
]:  # fmt: skip
    found = []
    for element, place in sites:
        for shift in centring:
            x, y, z = (np.array(place) + np.array(shift)) % 1.0
            found.append((element, float(x), float(y), float(z)))
    return tuple(found)


def _layered(a: float, c: float, z: float) -> Crystal:
    sites = [("Co", (0, 0, 0)), ("Li", (0, 0, 0.5)), ("O", (0, 0, z)), ("O", (0, 0, -z))]
    return Crystal("LiCoO2", a, c, True, _centred(sites, _RHOMBOHEDRAL))


def _rocksalt(name: str, first: str, second: str, a: float) -> Crystal:
    return Crystal(name, a, a, False, _centred([(first, (0, 0, 0)), (second, (0.5, 0.5, 0.5))], _FACES))


def _spinel(name: str, eight: str, a: float, u: float) -> Crystal:
    """Fd-3m, origin at the centre: 8a, 16d and 32e without the centring of the faces."""
    sites: list[tuple[str, Sequence[float]]] = [(eight, (0.125, 0.125, 0.125)), (eight, (0.875, 0.875, 0.875))]
    sites += [("Co", p) for p in ((0.5, 0.5, 0.5), (0.25, 0.25, 0.5), (0.25, 0.5, 0.25), (0.5, 0.25, 0.25))]
    v = 0.25 - u
    for sign in (1.0, -1.0):
        sites += [("O", tuple(sign * q for q in p)) for p in ((u, u, u), (u, v, v), (v, u, v), (v, v, u))]
    return Crystal(name, a, a, False, _centred(sites, _FACES))


LICOO2 = _layered(2.8156, 14.0542, 0.2602)
COO = _rocksalt("CoO", "Co", "O", 4.2612)
LIF = _rocksalt("LiF", "Li", "F", 4.0270)
CO3O4 = _spinel("Co3O4", "Co", 8.0837, 0.2631)
LICO2O4 = _spinel("LiCo2O4", "Li", 7.998, 0.2625)


@dataclass(frozen=True)
class Orientation:
    """Rows x, y, z of the image in the crystal's axes, shape (3, 3)."""

    matrix: FloatArray

    @staticmethod
    def of(crystal: Crystal, zone: Sequence[int], along: Sequence[int], degrees: float) -> Orientation:
        """Return the one with a zone along the beam and a reflection of it at an angle from x towards y (down)."""
        z = np.array(zone, dtype=float) @ crystal.axes
        z /= np.linalg.norm(z)
        g = np.linalg.inv(crystal.axes) @ np.array(along, dtype=float)
        u = g / np.linalg.norm(g)
        v = np.cross(z, u)
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        return Orientation(np.array([c * u - s * v, s * u + c * v, z]))

    @staticmethod
    def random(rng: np.random.Generator) -> Orientation:
        """Return any, all alike."""
        q, r = np.linalg.qr(rng.normal(size=(3, 3)))
        q = q * np.sign(np.diag(r))
        return Orientation(q * np.sign(np.linalg.det(q)))

    def mirrored(self, degrees: float) -> Orientation:
        """Return that of the crystal mirrored across the line whose normal is at an angle in the image."""
        n = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees)), 0.0])
        return Orientation((np.eye(3) - 2.0 * np.outer(n, n)) @ self.matrix)

    def reflection(self, crystal: Crystal, hkl: Sequence[int]) -> FloatArray:
        """Return (gx, gy, gz) of a reflection, 1/nm."""
        return np.asarray(10.0 * self.matrix @ np.linalg.inv(crystal.axes) @ np.array(hkl, dtype=float))


def fill(
    crystal: Crystal, orientation: Orientation, low: Sequence[float], high: Sequence[float], origin: Sequence[float]
) -> Atoms:
    """Return the atoms of a crystal inside a box from `low` to `high` (x, y, z; Å), a cell at `origin`."""
    low, high = np.array(low, dtype=float), np.array(high, dtype=float)
    rows = crystal.axes @ orientation.matrix.T
    corners = np.array([[(low, high)[k >> i & 1][i] for i in range(3)] for k in range(8)]) - np.array(origin)
    cells = corners @ np.linalg.inv(rows)
    spans = [np.arange(np.floor(a) - 1, np.ceil(b) + 1) for a, b in zip(cells.min(0), cells.max(0), strict=True)]
    corner = np.stack(np.meshgrid(*spans, indexing="ij"), axis=-1).reshape(-1, 3) @ rows + np.array(origin)
    reach = np.abs(rows).sum(0)
    corner = corner[((corner > low - reach) & (corner < high + reach)).all(1)]
    found = []
    for element, *place in crystal.atoms:
        position = corner + np.array(place) @ rows
        position = position[((position >= low) & (position < high)).all(1)]
        found.append(Atoms(position, np.full(len(position), element)))
    return Atoms.join(found)


def amorphous(rng: np.random.Generator, low: Sequence[float], high: Sequence[float], density: float = 0.085) -> Atoms:
    """Return atoms packed at random, B and O as in B2O3, none nearer to another than 1.4 Å.

    ``density`` is in atoms per Å^3; B2O3 of 2.0 g/cm^3 has 0.086.
    """
    low, high = np.array(low, dtype=float), np.array(high, dtype=float)
    wanted = round(float(np.prod(high - low)) * density)
    placed = np.zeros((0, 3))
    while len(placed) < wanted:
        tried = rng.uniform(low, high, (max(100, 2 * (wanted - len(placed))), 3))
        if len(placed):
            tried = tried[cKDTree(placed).query(tried)[0] > 1.4]
        pairs = cKDTree(tried).query_pairs(1.4, output_type="ndarray")
        keep = np.ones(len(tried), dtype=bool)
        keep[pairs.max(axis=1) if len(pairs) else []] = False
        placed = np.concatenate([placed, tried[keep]])[:wanted]
    return Atoms(placed, np.where(rng.random(wanted) < 0.4, "B", "O"))


@dataclass(frozen=True)
class Boundary:
    """A rough boundary x(y, z) in Å: mean, and deviations on a periodic grid over y and z."""

    mean: float
    deviation: FloatArray
    extent: tuple[float, float]

    @staticmethod
    def draw(
        rng: np.random.Generator, mean: float, rms: float, lengths: tuple[float, float], extent: tuple[float, float]
    ) -> Boundary:
        """Return one with deviations of a given rms and correlation lengths (Å) over an extent in y and z (Å)."""
        shape = (max(8, int(extent[0] / 2.0)), max(8, int(extent[1] / 2.0)))
        fy, fz = (np.fft.fftfreq(n, e / n) for n, e in zip(shape, extent, strict=True))
        smooth = np.exp(-(np.pi**2) * ((lengths[0] * fy[:, None]) ** 2 + (lengths[1] * fz[None, :]) ** 2))
        field = np.fft.ifft2(np.fft.fft2(rng.normal(size=shape)) * smooth).real
        field -= field.mean()
        spread = field.std()
        return Boundary(mean, field * (rms / spread if spread > 0 else 0.0), extent)

    def at(self, y: FloatArray, z: FloatArray) -> FloatArray:
        """Return x at places, Å; nearest point of the grid."""
        ny, nz = self.deviation.shape
        row = np.floor(y / self.extent[0] * ny).astype(int) % ny
        column = np.floor(z / self.extent[1] * nz).astype(int) % nz
        return np.asarray(self.mean + self.deviation[row, column])

    def profile(self, y: FloatArray) -> FloatArray:
        """Return x along y, the mean over the thickness: what an image can show."""
        row = np.floor(y / self.extent[0] * len(self.deviation)).astype(int) % len(self.deviation)
        return np.asarray(self.mean + self.deviation.mean(axis=1)[row])


def between(atoms: Atoms, left: Boundary | None, right: Boundary | None) -> Atoms:
    """Return the atoms between two boundaries."""
    x, y, z = atoms.position.T
    keep: NDArray[np.bool_] = np.ones(len(x), dtype=bool)
    if left is not None:
        keep &= x >= left.at(y, z)
    if right is not None:
        keep &= x < right.at(y, z)
    return atoms.where(keep)


def apart(kept: Atoms, added: Atoms, nearest: float = 1.4) -> Atoms:
    """Return both, without those of the second that lie too near to one of the first (Å)."""
    if not len(kept.position) or not len(added.position):
        return Atoms.join([kept, added])
    return Atoms.join([kept, added.where(cKDTree(kept.position).query(added.position)[0] > nearest)])


def window(grid: Grid, margin: float, low: float, high: float) -> tuple[list[float], list[float]]:
    """Return the corners of a box over the grid, x and y cut back by a margin at all sides, z from low to high; Å."""
    return [margin, margin, low], [grid.nx * grid.pixel - margin, grid.ny * grid.pixel - margin, high]
