"""Profiles across a surface: how much of one lattice, or of anything but vacuum, stands at each depth.

A reflection that only one of two neighbours has is read through a window long along the surface and short across it.
The length along the surface tells it from what the neighbour has beside it, the shortness across makes the edge sharp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import map_coordinates

from ..image import Image
from .lockin import LockIn
from .model import FloatArray, Kernel, Lattice

__all__ = ["Frame", "Profile", "Readers", "lattice_profile", "matter_profile", "own_reflections", "refined"]

#: Amplitude that other lattices may leak into a reflection, relative to it.
LEAK = 0.05
#: −ln of what the window passes of the mean of the image, at least.
FROM_MEAN = 4.0
MOST = 8
#: Speckle is read farther than this from every reflection, 1/nm.
NOTCH = 0.25
#: Places over those that a window resolves, between which profiles are interpolated.
FINER = 1.8


@dataclass(frozen=True, eq=False)
class Frame:
    """Places along the normal and along the surface, from the middle of the image.

    Attributes
    ----------
    normal_deg : float
        Direction of the normal, from x towards y, into the material.
    middle : ndarray of float64, shape (2,)
        Middle of the image (x, y) in nm.
    depth, along : ndarray of float64
        Where profiles are read, nm.
    width_nm : float
        Extent of the image along the surface.
    """

    normal_deg: float
    middle: FloatArray
    depth: FloatArray
    along: FloatArray
    width_nm: float

    @classmethod
    def over(cls, image: Image, normal_deg: float, spacing_nm: float, step_nm: float = 0.05) -> Frame:
        """Lay a frame over an image, with stations along the surface some distance apart."""
        py, px = image.pixel()
        size = np.array([image.shape[1] * px, image.shape[0] * py])
        half = 0.5 * np.abs(Kernel(1, 1, normal_deg).axes) @ size
        count = int(half[0] / step_nm)
        stations = max(1, int(2.0 * half[1] / spacing_nm))
        along = np.asarray((np.arange(stations) - 0.5 * (stations - 1)) * spacing_nm, dtype=float)
        depth = np.asarray(np.arange(-count, count + 1) * step_nm, dtype=float)
        return cls(normal_deg, 0.5 * size, depth, along, float(2.0 * half[1]))

    def read(self, reader: LockIn, maps: NDArray[np.float32]) -> FloatArray:
        """Interpolate maps (n, y, x) of a reader at the places (n, along, depth)."""
        axes = Kernel(1, 1, self.normal_deg).axes
        place = self.middle + self.depth[:, None] * axes[0] + self.along[:, None, None] * axes[1]
        step = np.array([reader.x[1] - reader.x[0], reader.y[1] - reader.y[0]])
        index = ((place - np.array([reader.x[0], reader.y[0]])) / step)[..., ::-1]
        at = np.moveaxis(index, -1, 0)
        return np.array([map_coordinates(m, at, order=3, mode="nearest") for m in maps], dtype=float)

    def covered(self, reader: LockIn) -> NDArray[np.bool_]:
        """Where most of the window lies on the image (along, depth)."""
        return np.asarray(self.read(reader, reader.weight[None])[0] > 0.6)


@dataclass(frozen=True, eq=False)
class Profile:
    """Power of waves at each station along the surface and each depth.

    Attributes
    ----------
    depth : ndarray of float64, shape (m,)
        In nm along the normal from the middle of the image.
    g : ndarray of float64, shape (n, 2)
        The waves, 1/nm.
    power : ndarray of float64, shape (n, stations, m)
        Of each wave less its background; NaN where the window leaves the image.
    noise : ndarray of float64, shape (n,)
        Power of the background, mean over the places.
    sigma_nm : float
        Standard deviation of the window across.
    """

    depth: FloatArray
    g: FloatArray
    power: FloatArray
    noise: FloatArray
    sigma_nm: float

    def mean(self, inside: tuple[float, float]) -> FloatArray:
        """Mean power of each wave between two depths."""
        chosen = (self.depth >= inside[0]) & (self.depth <= inside[1])
        if not chosen.any():
            chosen[np.argmin(np.abs(self.depth - 0.5 * (inside[0] + inside[1])))] = True
        return _mean(self.power[:, :, chosen], (1, 2))

    def along_surface(self) -> FloatArray:
        """Mean of each wave over the stations; NaN where none is."""
        return _mean(self.power, (1,))


def _mean(values: FloatArray, axis: tuple[int, ...]) -> FloatArray:
    """Mean of what is finite; NaN of nothing."""
    good = np.isfinite(values)
    count = good.sum(axis=axis)
    return np.where(count > 0, np.where(good, values, 0.0).sum(axis=axis) / np.maximum(count, 1), np.nan)


class Readers:
    """An image, and its speckle, through windows: each is transformed once.

    Parameters
    ----------
    image : Image
        The image.
    lattices : sequence of Lattice
        Whose reflections are no speckle.
    """

    def __init__(self, image: Image, lattices: Sequence[Lattice]) -> None:
        self.image, self.lattices = image, lattices
        self._waves: dict[Kernel, LockIn] = {}
        self._speckle: dict[tuple[Kernel, tuple[float, float]], LockIn] = {}
        self._squares: dict[tuple[float, float], Image] = {}

    def waves(self, kernel: Kernel) -> LockIn:
        """Return a reader of waves, fine enough for interpolation."""
        if kernel not in self._waves:
            self._waves[kernel] = LockIn(self.image, kernel, finer=FINER)
        return self._waves[kernel]

    def speckle(self, kernel: Kernel, band: tuple[float, float]) -> LockIn:
        """Return a reader of the square of the image in a band, without what known lattices add to it."""
        if (kernel, band) not in self._speckle:
            if band not in self._squares:
                self._squares[band] = self._filtered(band)
            squares = self._squares[band]
            self._speckle[kernel, band] = LockIn(squares, kernel, finer=FINER)
        return self._speckle[kernel, band]

    def _filtered(self, band: tuple[float, float]) -> Image:
        py, px = self.image.pixel()
        fy = np.fft.fftfreq(self.image.shape[0], py)[:, None].astype(np.float32)
        fx = np.fft.rfftfreq(self.image.shape[1], px)[None].astype(np.float32)
        keep = (np.hypot(fx, fy) > band[0]) & (np.hypot(fx, fy) < band[1])
        for lattice in self.lattices:
            for x, y in lattice.g[lattice.weight > 0.05]:
                for sign in (1, -1):
                    near_y = np.flatnonzero(np.abs(fy[:, 0] - sign * y) < NOTCH)[:, None]
                    near_x = np.flatnonzero(np.abs(fx[0] - sign * x) < NOTCH)
                    keep[near_y, near_x] &= np.hypot(fx[0, near_x] - sign * x, fy[near_y, 0] - sign * y) > NOTCH
        transform = fft.rfft2(self.image.intensity - self.image.intensity.mean())
        smooth = fft.irfft2(transform * keep, s=self.image.shape)
        return replace(self.image, intensity=(smooth**2).astype(np.float32))


def own_reflections(lattice: Lattice, others: Sequence[Lattice], kernel: Kernel, top: float) -> FloatArray:
    """Choose reflections that the window tells from those of other lattices and from the mean, strongest first."""
    leak = np.zeros(len(lattice.g))
    for other in others:
        off = lattice.g[:, None] + np.array([1.0, -1.0])[:, None, None, None] * other.g
        leak += np.exp(-kernel.decay(off).min(axis=0)) @ other.weight
    chosen = lattice.g[
        (leak < LEAK * lattice.weight)
        & (kernel.decay(lattice.g) > FROM_MEAN)
        & (np.hypot(*lattice.g.T) < top)
        & (lattice.weight > 0.05)
    ]
    return np.asarray(chosen[:MOST])


def refined(image: Image, lattice: Lattice, inside: tuple[float, float], normal_deg: float) -> Lattice:
    """Turn and stretch a lattice to the waves that stand between two depths.

    Each wave is read where the lattice stands; how its phase runs there is what its vector is off by. One affine
    correction is fitted to all, weighted by their power; it is given up where it is larger than 3 %.
    """
    width = float(np.clip(0.6 * (inside[1] - inside[0]), 0.6, 2.5))
    reader = LockIn(image, Kernel(width, max(width, 2.0), normal_deg), step_nm=0.3)
    axes = reader.kernel.axes
    x, y = np.meshgrid(reader.x, reader.y)
    py, px = image.pixel()
    depth = (x - 0.5 * image.shape[1] * px) * axes[0, 0] + (y - 0.5 * image.shape[0] * py) * axes[0, 1]
    chosen = (depth > inside[0]) & (depth < inside[1]) & (reader.weight > 0.8)
    strong = lattice.weight > 0.15
    if np.count_nonzero(chosen) < 4:
        return lattice
    change = np.eye(2)
    for _ in range(2):
        g = lattice.g[strong] @ change
        waves = reader.amplitude(g, phase=True)
        slope = [
            np.imag(np.conj(waves) * np.gradient(waves, places, axis=n))
            for n, places in enumerate((reader.y, reader.x), start=1)
        ]
        power = np.sum(np.abs(waves[:, chosen]) ** 2, axis=1)
        off = np.array([s[:, chosen].sum(axis=1) for s in slope[::-1]]).T / (2.0 * np.pi * power[:, None])
        root = np.sqrt(power / power.max())[:, None]
        change = change @ (np.eye(2) + np.linalg.lstsq(root * g, root * off, rcond=None)[0])
    if np.abs(change - np.eye(2)).max() > 0.03:
        return lattice
    return replace(lattice, g=lattice.g @ change)


def lattice_profile(reader: LockIn, frame: Frame, g: FloatArray, lattices: Sequence[Lattice]) -> Profile:
    """Read reflections across a surface; the background is read beside them along the surface.

    Parameters
    ----------
    reader : LockIn
        The image through a window that is long along the surface.
    frame : Frame
        Where to read.
    g : ndarray of float64, shape (n, 2)
        Reflections in 1/nm.
    lattices : sequence of Lattice
        All that may stand in the image: the background is read away from their reflections.
    """
    kernel = reader.kernel
    tangent, unit = kernel.axes[1], 1.0 / float(kernel.sigma[1])
    every = np.concatenate([sign * k.g for k in lattices for sign in (1, -1)])
    powers, noises = [], []
    for vector in g:
        beside = np.array([vector + s * d * unit * tangent for d in (0.6, 0.75, 0.9, 1.1, 1.3) for s in (-1, 1)])
        apart = kernel.decay(beside[:, None] - every).min(axis=1)
        quiet = beside[np.argsort(-np.minimum(apart, 6.0), kind="stable")[:4]]
        maps = np.abs(reader.amplitude(np.concatenate([vector[None], quiet]))) ** 2
        read = frame.read(reader, maps)
        background = np.broadcast_to(read[1:].mean(axis=(0, 1)), read[0].shape)
        powers.append(read[0] - background)
        noises.append(background.mean())
    covered = frame.covered(reader)
    power = np.where(covered, np.array(powers), np.nan)
    return Profile(frame.depth, g, power, np.array(noises), float(kernel.sigma[0]))


def matter_profile(reader: LockIn, frame: Frame) -> Profile:
    """Read the variance of an image across a surface, from a reader of its speckle."""
    read = frame.read(reader, reader.amplitude(np.zeros((1, 2))).real)
    power = np.where(frame.covered(reader), read, np.nan)
    return Profile(frame.depth, np.zeros((1, 2)), power, np.zeros(1), float(reader.kernel.sigma[0]))
