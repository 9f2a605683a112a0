"""Cross-sections, drawn and imaged: layers with rough boundaries, twins, slipped slabs; nothing of layerscope.

A position is (x, y) in nm from the corner of the image's first pixel, x from the vacuum inwards, y down.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.fft
from _generate.hrtem_crystals import (
    LICOO2,
    Boundary,
    Crystal,
    Orientation,
    amorphous,
    apart,
    between,
    fill,
)
from _generate.hrtem_multislice import Atoms, FloatArray, Grid, Microscope, detect, exit_wave, expected_image
from numpy.typing import NDArray

PADDING_NM = 1.0
"""Of the simulation around the image, so that what is continued periodically stays outside."""

ROUGH_NM = (1.5, 2.5)
"""Correlation lengths of boundaries along the surface and along the beam.

Along the beam they are long: where crystals interleave within the thickness, each reflection has another edge.
"""


@dataclass(frozen=True)
class Layer:
    """A layer from the one before to `end_nm`: vacuum, amorphous, or a crystal with its orientation.

    ``rough_nm`` is the rms deviation of its far boundary over surface and thickness.
    """

    kind: str
    end_nm: float = np.inf
    rough_nm: float = 0.15
    crystal: Crystal | None = None
    orientation: Orientation | None = None


@dataclass(frozen=True)
class View:
    """Image and sample: shape in pixels, true size of a pixel, thickness, films on both faces, lens, dose."""

    shape: tuple[int, int] = (448, 1024)
    pixel_nm: float = 0.02
    thickness_nm: float = 5.0
    film_nm: float = 0.6
    microscope: Microscope = field(default_factory=Microscope)
    dose: float = 2500.0

    @property
    def margin(self) -> int:
        """Pixels of padding on each side."""
        return round(PADDING_NM / self.pixel_nm)

    @property
    def grid(self) -> Grid:
        """Of the simulation."""
        ny, nx = (scipy.fft.next_fast_len(n + 2 * self.margin) for n in self.shape)
        return Grid(ny, nx, 10.0 * self.pixel_nm)

    @property
    def size(self) -> tuple[float, float, float]:
        """Of the simulation along x, y, z in Å."""
        return self.grid.nx * self.grid.pixel, self.grid.ny * self.grid.pixel, 10.0 * self.thickness_nm

    def inside(self, x_nm: float) -> float:
        """Return the place in Å in the simulation of a place in the image: pixels have their middle half a pixel in."""
        return 10.0 * (x_nm + (self.margin - 0.5) * self.pixel_nm)

    def image(self, intensity: FloatArray) -> FloatArray:
        """Cut the padding off."""
        ny, nx = self.shape
        return intensity[self.margin : self.margin + ny, self.margin : self.margin + nx]


def photograph(
    rng: np.random.Generator,
    view: View,
    atoms: Atoms,
    more: Callable[[float, float], FloatArray] | None = None,
    slice_nm: float = 0.2,
) -> NDArray[np.uint16]:
    """Return the image of a sample, in the numbers of the file; `more` is as in ``exit_wave``."""
    wave = exit_wave(atoms, view.grid, view.size[2], view.microscope, 10.0 * slice_nm, more)
    intensity = view.image(expected_image(wave, view.grid, view.microscope))
    return detect(rng, intensity, view.grid.pixel, view.dose)


def stack(rng: np.random.Generator, view: View, layers: Sequence[Layer]) -> tuple[Atoms, list[dict[str, Any]]]:
    """Return the atoms of layers between rough boundaries, and what is true of each layer."""
    width, height, depth = view.size
    film = 10.0 * view.film_nm
    lengths = (10.0 * ROUGH_NM[0], 10.0 * ROUGH_NM[1])
    bounds: list[Boundary | None] = [None]
    for layer in layers:
        last = not np.isfinite(layer.end_nm)
        mean = 0.0 if last else view.inside(layer.end_nm)
        rough = 10.0 * layer.rough_nm
        bounds.append(None if last else Boundary.draw(rng, mean, rough, lengths, (height, depth)))
    total, truth = Atoms(np.zeros((0, 3)), np.zeros(0, dtype="<U2")), []
    rows = (np.arange(view.shape[0]) + view.margin) * view.grid.pixel
    for layer, left, right in zip(layers, bounds[:-1], bounds[1:], strict=True):
        truth.append(_about(view, layer, left, right, rows))
        low = [0.0 if left is None else max(left.mean - 10.0, 0.0), 0.0, film]
        high = [width if right is None else right.mean + 10.0, height, depth - film]
        if layer.kind == "amorphous":
            part = amorphous(rng, [low[0], 0.0, 0.0], [high[0], height, depth])
        elif layer.crystal is not None and layer.orientation is not None:
            part = fill(layer.crystal, layer.orientation, low, high, rng.uniform(0.0, 5.0, 3))
        else:
            continue
        total = apart(total, between(part, left, right))
    return with_films(rng, view, total, bounds[1] if layers[0].kind == "vacuum" else None), truth


def with_films(rng: np.random.Generator, view: View, atoms: Atoms, surface: Boundary | None = None) -> Atoms:
    """Return a sample with amorphous films on its faces, as a focused ion beam leaves them."""
    width, height, depth = view.size
    film = 10.0 * view.film_nm
    if film <= 0:
        return atoms
    for low, high in ((0.0, film), (depth - film, depth)):
        atoms = apart(atoms, between(amorphous(rng, [0.0, 0.0, low], [width, height, high]), surface, None))
    return atoms


def _about(view: View, layer: Layer, left: Boundary | None, right: Boundary | None, rows: FloatArray) -> dict[str, Any]:
    about: dict[str, Any] = {"kind": layer.kind}
    here = view.inside(0.0)
    profiles = [None if b is None else (b.profile(rows) - here) / 10.0 for b in (left, right)]
    for name, profile in zip(("from", "to"), profiles, strict=True):
        if profile is not None:
            about[f"{name}_nm"] = round(float(profile.mean()), 4)
            about[f"{name}_rms_nm"] = round(float(profile.std()), 4)
    if profiles[0] is not None and profiles[1] is not None:
        about["thickness_nm"] = round(float((profiles[1] - profiles[0]).mean()), 4)
    if layer.crystal is not None and layer.orientation is not None:
        about |= crystal_truth(layer.crystal, layer.orientation)
    return about


def crystal_truth(crystal: Crystal, orientation: Orientation) -> dict[str, Any]:
    """Return phase, cell and orientation for a truth file."""
    zone = np.linalg.solve(crystal.axes.T, orientation.matrix[2])
    zone = np.rint(zone / np.abs(zone).max() * 6) / 6
    smallest = np.abs(zone[np.abs(zone) > 0]).min()
    return {
        "phase": crystal.name,
        "cell_A": [crystal.a, crystal.c],
        "zone": [round(float(u)) for u in zone / smallest],
        "orientation": np.round(orientation.matrix, 7).tolist(),
    }


def layered_along(degrees: float, crystal: Crystal = LICOO2) -> Orientation:
    """Return the orientation of a layered oxide seen along [100], (003) at an angle from x towards y."""
    return Orientation.of(crystal, (1, 0, 0), (0, 0, 3), degrees)


def cubic_along(degrees: float, crystal: Crystal) -> Orientation:
    """Return that of a cubic oxide seen along [110], (1-1-1) at an angle: as it grows on the layered one.

    The close-packed layers go on: (00-2), or (00-4), stands beside (0-14) of ``layered_along`` at the same angle.
    """
    return Orientation.of(crystal, (1, 1, 0), (1, -1, -1), degrees)


def single(rng: np.random.Generator, view: View, crystal: Crystal, orientation: Orientation) -> Atoms:
    """Return a crystal all over the image, with films on its faces."""
    width, height, depth = view.size
    film = 10.0 * view.film_nm
    part = fill(crystal, orientation, (0, 0, film), (width, height, depth - film), rng.uniform(0.0, 5.0, 3))
    return with_films(rng, view, part)


def twins(rng: np.random.Generator, view: View, degrees: float, crystal: Crystal = LICOO2) -> Atoms:
    """Return two layered crystals on top of each other, twins across (01-4), (003) of the first at an angle."""
    width, height, depth = view.size
    film = 10.0 * view.film_nm
    first = layered_along(degrees, crystal)
    gx, gy, _ = first.reflection(crystal, (0, 1, -4))
    second = first.mirrored(float(np.degrees(np.arctan2(gy, gx))))
    upper = fill(crystal, first, (0, 0, film), (width, height, depth / 2), rng.uniform(0.0, 5.0, 3))
    lower = fill(crystal, second, (0, 0, depth / 2), (width, height, depth - film), rng.uniform(0.0, 5.0, 3))
    return with_films(rng, view, apart(upper, lower, 1.2))


def slipped(rng: np.random.Generator, view: View, degrees: float, slip_nm: float) -> tuple[Atoms, list[float]]:
    """Return a layered crystal whose slabs slip against each other, and how far each lies from the one before, nm.

    A slab is a layer of CoO6 with the lithium on one side of it; slips go along the slab in the image and are Gaussian.
    """
    width, height, depth = view.size
    film = 10.0 * view.film_nm
    orientation = layered_along(degrees)
    reach = (-40.0, -40.0, film), (width + 40.0, height + 40.0, depth - film)
    part = fill(LICOO2, orientation, *reach, rng.uniform(0.0, 5.0, 3))
    normal = orientation.matrix[:, 2]
    along = np.cross(orientation.matrix[:, 0], normal)
    heights = part.position @ normal
    spacing = LICOO2.c / 3.0
    metal = part.element == "Co"
    start = float(heights[metal].min())
    slab = np.floor((heights - start) / spacing + 0.3).astype(int)
    slab -= slab.min()
    slips = rng.normal(0.0, slip_nm, int(slab.max()) + 1)
    moved = part.position + 10.0 * np.cumsum(slips)[slab][:, None] * along
    inside = ((moved >= 0.0) & (moved < view.size)).all(axis=1)
    return with_films(rng, view, Atoms(moved, part.element).where(inside)), [round(float(s), 5) for s in slips]


def write_mrc(image: NDArray[np.uint16], pixel_nm: float) -> bytes:
    """Return an MRC2014 file of one image in 16-bit unsigned integers, its cell in Å."""
    ny, nx = image.shape
    length = 10.0 * pixel_nm
    head = struct.pack("<10i", nx, ny, 1, 6, 0, 0, 0, nx, ny, 1)
    head += struct.pack("<6f", nx * length, ny * length, length, 90.0, 90.0, 90.0) + struct.pack("<3i", 1, 2, 3)
    head += struct.pack("<3f2i", image.min(), image.max(), image.mean(), 0, 0)
    head = head.ljust(208, b"\0") + b"MAP \x44\x44\0\0" + struct.pack("<fi", image.std(), 0)
    return head.ljust(1024, b"\0") + image.astype("<u2").tobytes()


def write_tiff(image: NDArray[np.uint16], pixel_nm: float) -> bytes:
    """Return a TIFF of one strip of 16-bit integers that says the size of a pixel as ImageJ does: pixels per nm."""
    ny, nx = image.shape
    words = b"ImageJ=1.53\nunit=nm\n\0"
    data = 8 + 2 + 12 * 13 + 4
    text, ratio = data, data + len(words) + len(words) % 2
    start = ratio + 16
    resolution = struct.pack("<2I", 10_000_000, round(10_000_000 * pixel_nm))
    entries = [(256, 4, 1, nx), (257, 4, 1, ny), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1)]
    entries += [(270, 2, len(words), text), (273, 4, 1, start), (277, 3, 1, 1), (278, 4, 1, ny)]
    entries += [(279, 4, 1, 2 * nx * ny), (282, 5, 1, ratio), (283, 5, 1, ratio + 8), (296, 3, 1, 1)]
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    for entry in entries:
        head += struct.pack("<HHII", *entry)
    head += struct.pack("<I", 0) + words.ljust(ratio - text, b"\0") + resolution + resolution
    return head + image.astype("<u2").tobytes()
