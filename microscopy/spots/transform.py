"""The transform of one window, cut to the band in which lattices are, tapered after the fact.

A periodic Hann taper in real space is a sum of three neighbours in the transform (−¼, ½, −¼), so it is applied to the
band alone; the transform without taper, whose noise is independent from bin to bin, comes for free.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from layerscope.errors import DataError

from ..image import Image

__all__ = ["BAND", "Grid", "Transform", "grid_of", "prepared", "transform"]

BAND = (1.6, 9.0)
"""Lengths of reciprocal vectors that are searched, 1/nm: spacings of 0.11 to 0.62 nm."""

_LEAST = 16  # pixels along each side
_LOWEST_BIN = 4.0  # below, the transform is the window's and the thickness', not the lattice's
_OF_NYQUIST = 0.92
SECTORS = 16
_NODES = 50  # of the noise level along the radius, at most
_TYPICAL = 0.025  # nm: a pixel, where vectors are in 1/pixel

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Grid:
    """Bins of a transform inside a band, the half plane gx >= 0: geometry alone, shared by windows of one shape.

    Attributes
    ----------
    shape : tuple of 2 ints
        Of the window.
    step : tuple of 2 floats
        Distance of bins along gy and gx, 1/nm.
    band : tuple of 2 floats
        Lengths searched, 1/nm.
    top, right : int
        Largest order of the rows, which run −top ... top, and of the columns, 0 ... right.
    radius : ndarray of float32, shape (rows, columns)
        Length of the reciprocal vector, 1/nm.
    inside : ndarray of bool
        Bins of the band; of column 0 its upper half only.
    cell : ndarray of int32
        Number of the cell, ring by ring of `SECTORS` sectors of the half turn; `cells` outside the band.
    spacing : float
        Distance of nodes of the noise level along the radius, 1/nm; rings are half as wide.
    cells : int
        Number of cells.
    members : ndarray of int, shape (cells,)
        Bins of each cell.
    centres : ndarray of float64, shape (3, cells)
        Mean over each cell of the radius, and of the cosine and the sine of twice the angle.
    """

    shape: tuple[int, int]
    step: tuple[float, float]
    band: tuple[float, float]
    top: int
    right: int
    radius: NDArray[np.float32]
    inside: NDArray[np.bool_]
    cell: NDArray[np.int32]
    spacing: float
    cells: int
    members: NDArray[np.intp]
    centres: FloatArray

    @property
    def unit(self) -> float:
        """What 1/nm is: 1, or a typical size of a pixel where lengths are in pixels, for nobody knows them."""
        return 1.0 if self.band[1] > 1.0 else _TYPICAL


def grid_of(image: Image, band: tuple[float, float] | None = None) -> Grid:
    """Return the bins of a window's transform inside a band, or inside what the window lets one search.

    Raises
    ------
    DataError
        If the size of a pixel is unknown or none, the window too small, or its pixels too coarse for any lattice.
    """
    pixel, shape = image.pixel(), image.shape
    if not (min(pixel) > 0 and np.isfinite(pixel).all()):
        raise DataError(f"a pixel of {pixel[0]} x {pixel[1]} nm", source=image.source, hint="give pixel_nm")
    if min(shape) < _LEAST:
        message = f"a window of {shape[0]} x {shape[1]} pixels is too small: at least {_LEAST} along each side"
        raise DataError(message, source=image.source)
    return _search_grid(shape, pixel, band or _default_band(shape, pixel, image.source))


def _default_band(shape: tuple[int, int], pixel: tuple[float, float], source: str) -> tuple[float, float]:
    extent = min(shape[0] * pixel[0], shape[1] * pixel[1])
    low, high = max(BAND[0], _LOWEST_BIN / extent), min(BAND[1], 0.5 * _OF_NYQUIST / max(pixel))
    if high < BAND[0] * 1.25:
        raise DataError(
            f"pixels of {max(pixel):.3g} nm are too coarse for any lattice: the finest spacing is {1 / high:.3g} nm",
            source=source,
            hint="check the size of a pixel",
        )
    if high - low < 4.0 / extent:
        message = f"a window of {extent:.2g} nm is too small for any lattice"
        raise DataError(message, source=source, hint="take one of 2 nm or more")
    return low, high


@lru_cache(maxsize=8)
def _search_grid(shape: tuple[int, int], pixel: tuple[float, float], band: tuple[float, float]) -> Grid:
    """Return the bins of a window's transform inside a band and the cells they belong to."""
    step = (1.0 / (shape[0] * pixel[0]), 1.0 / (shape[1] * pixel[1]))
    top = min(int(band[1] / step[0]) + 2, (shape[0] - 1) // 2 - 1)
    right = min(int(band[1] / step[1]) + 2, (shape[1] - 1) // 2 - 1)
    gy = (np.arange(-top, top + 1, dtype=np.float32) * np.float32(step[0]))[:, None]
    gx = (np.arange(right + 1, dtype=np.float32) * np.float32(step[1]))[None]
    radius = np.sqrt(gy * gy + gx * gx)
    inside = (radius >= band[0]) & (radius <= band[1])
    inside[: top + 1, 0] = False
    inside[0] = inside[-1] = False
    inside[:, -1] = False
    spacing = min(max(1.5 * max(step), (band[1] - band[0]) / _NODES), (band[1] - band[0]) / 3)
    ring = ((radius - np.float32(band[0])) * np.float32(2.0 / spacing)).astype(np.int32)
    cells = (int(ring[inside].max(initial=0)) + 1) * SECTORS
    cell = np.where(inside, ring * SECTORS + _sector(gx, gy), cells).astype(np.int32)
    square = np.maximum(radius * radius, np.float32(1e-12))
    flat = cell.ravel()
    members = np.bincount(flat, minlength=cells + 1)[:cells]
    sums = [
        np.bincount(flat, values.ravel(), cells + 1)[:cells]
        for values in (radius, (gx * gx - gy * gy) / square, 2.0 * gx * gy / square)
    ]
    centres = np.array(sums) / np.maximum(members, 1)
    return Grid(shape, step, band, top, right, radius, inside, cell, spacing, cells, members, centres)


def _sector(gx: NDArray[np.float32], gy: NDArray[np.float32]) -> NDArray[np.int32]:
    """Sector of the half turn by comparisons alone: the slope against the tangents of the borders."""
    sector = np.zeros((gy.shape[0], gx.shape[1]), np.int32)
    for border in np.tan(np.pi * (np.arange(1, SECTORS) / SECTORS - 0.5)):
        sector += gy > np.float32(border) * gx
    return sector


def prepared(image: Image) -> NDArray[np.float32]:
    """Return the intensity of an image less its mean, with what is no image filled smoothly.

    Raises
    ------
    DataError
        If a value is not finite, or nothing is valid.
    """
    data = np.asarray(image.intensity, np.float32)
    if image.valid is not None and not image.valid.all():
        return _filled(data, image.valid, image.source)
    mean = data.mean()
    if not np.isfinite(mean):
        raise DataError("the image has values that are not finite", source=image.source, hint="mark them as not valid")
    # the mean of equal values is not exactly their value
    return np.zeros_like(data) if data.min() == data.max() else data - mean


def _filled(data: NDArray[np.float32], valid: NDArray[np.bool_], source: str) -> NDArray[np.float32]:
    """Less the mean of what is valid; holes hold the local mean, whose edges are smooth."""
    if not valid.any() or not np.isfinite(data[valid]).all():
        raise DataError("the image has values that are not finite, or none that is valid", source=source)
    left = np.where(valid, data - data[valid].mean(dtype=np.float64), 0.0).astype(np.float32)
    weight = valid.astype(np.float32)
    width = max(2.0, 0.02 * max(data.shape))
    near, share = gaussian_filter(left, width), gaussian_filter(weight, width)
    # far inside a hole nothing is near: there the mean of all, 0
    return np.where(valid, left, near / np.maximum(share, 0.05)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Transform:
    """Transform of one window inside its band.

    Attributes
    ----------
    grid : Grid
        Its bins.
    plain : ndarray of complex64, shape (rows, columns)
        Without taper, from the corner of the window, sum over pixels.
    power : ndarray of float32, shape (rows, columns)
        Squared modulus with the Hann taper, over the sum of the squared taper: the mean of white noise is its variance.
    """

    grid: Grid
    plain: NDArray[np.complex64]
    power: NDArray[np.float32]


def transform(data: NDArray[np.float32], grid: Grid) -> Transform:
    """Transform a window inside the band of a grid.

    Columns beyond the band are dropped between the two passes, which saves most of the second.
    """
    rows = scipy.fft.rfft(data, axis=1)[:, : grid.right + 2]
    full = scipy.fft.fft(rows, axis=0)
    orders = np.arange(-grid.top - 1, grid.top + 2)
    wide = np.concatenate([full[orders[0] :], full[: orders[-1] + 1]])
    # left of column 0 stands the conjugate of column 1, upside down
    left = np.conj(wide[::-1, 1:2])
    part = np.concatenate([left, wide], axis=1)
    along = 0.5 * part[1:-1] - 0.25 * (part[:-2] + part[2:])
    tapered = 0.5 * along[:, 1:-1] - 0.25 * (along[:, :-2] + along[:, 2:])
    norm = np.float32(1.0 / (data.size * 0.375**2))
    power = (tapered.real**2 + tapered.imag**2) * norm
    return Transform(grid, wide[1:-1, :-1], power)
