"""Shapes of spots: how much longer and wider they are than those of a perfect lattice in the same window.

The second moments of the power of a spot under the Hann taper, less those of a wave at the same place in the same
aperture, are the variance of the local reciprocal vector (and of the gradient of the amplitude) over the window. Slabs
slipped against each other lengthen spots normal to the slabs; grains turned against each other spread them into arcs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..image import Image
from .level import noise_level
from .model import Spots
from .transform import Transform, grid_of, prepared, transform

__all__ = ["SpotShapes", "spot_shapes"]

_REACH = 0.45  # 1/nm around a spot that count as its own
_BINS = (2.6, 9.0)  # the same in bins, at least and at most
_CORRELATED = 0.8  # variance of a moment of neighbouring bins, weighed with both signs, over that of independent ones

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SpotShapes:
    """Shapes of the spots of one window, in the order of the spots.

    Attributes
    ----------
    excess : ndarray of float64, shape (n, 2, 2)
        Second moment of each spot beyond that of a wave in the window, over (gx, gy), 1/nm².
    excess_sigma : ndarray of float64, shape (n,)
        Standard deviation of its components by noise, 1/nm².
    elongation, elongation_sigma : ndarray of float64, shape (n,)
        Length over width, that of the wave in the window included; 1 for a perfect lattice.
    direction_deg : ndarray of float64, shape (n,)
        Of the longer axis, from gx to gy, −90 to 90.
    arc_deg, arc_sigma_deg : ndarray of float64, shape (n,)
        Standard deviation of the angle of the reciprocal vector over the window.
    radial, radial_sigma : ndarray of float64, shape (n,)
        Standard deviation of its length, relative.
    """

    excess: FloatArray
    excess_sigma: FloatArray
    elongation: FloatArray
    elongation_sigma: FloatArray
    direction_deg: FloatArray
    arc_deg: FloatArray
    arc_sigma_deg: FloatArray
    radial: FloatArray
    radial_sigma: FloatArray

    def mean_elongation(self) -> tuple[float, float]:
        """Return the mean elongation of all spots, each by the weight of its error, and its error by noise."""
        weight = 1.0 / np.maximum(self.elongation_sigma, 1e-6) ** 2
        if not weight.size:
            return 1.0, np.inf
        return float((weight * self.elongation).sum() / weight.sum()), float(weight.sum() ** -0.5)


def spot_shapes(image: Image, spots: Spots) -> SpotShapes:
    """Measure the shapes of spots.

    Parameters
    ----------
    image : Image
        The window in which the spots were found.
    spots : Spots
        See `find_spots`.

    Raises
    ------
    DataError
        If a value of the image is not finite.
    """
    grid = grid_of(image, spots.band)
    seen = transform(prepared(image), grid)
    level, _ = noise_level(seen.power, grid).at(*spots.g.T)
    step = np.array([grid.step[1], grid.step[0]])
    moments = np.empty((spots.size, 2, 2))
    sigmas = np.empty(spots.size)
    for k, g in enumerate(spots.g):
        others = np.concatenate([np.delete(spots.g, k, axis=0), -spots.g, np.zeros((1, 2))]) - g
        apart = 0.5 * np.hypot(*(others / step).T).min()
        reach = float(np.clip(min(_REACH * grid.unit / step.max(), apart), *_BINS))
        moments[k], sigmas[k] = _moments(seen, g / step, reach, float(level[k]))
    return _shapes(spots.g, moments, sigmas, step)


def _moments(seen: Transform, place: FloatArray, reach: float, level: float) -> tuple[FloatArray, float]:
    """Second moment beyond a wave's inside a circle, (x, y) in bins², and the standard deviation of its components."""
    grid = seen.grid
    half = int(reach) + 1
    centre = np.rint(place).astype(int)
    kx, ky = (centre[a] + np.arange(-half, half + 1) for a in (0, 1))
    column, row = np.broadcast_arrays(kx[None], ky[:, None])
    row, column = np.where(column < 0, -row, row) + grid.top, np.abs(column)
    there = (row >= 0) & (row <= 2 * grid.top) & (column <= grid.right)
    dx, dy = np.broadcast_arrays((kx - place[0])[None], (ky - place[1])[:, None])
    inside = there & (np.hypot(dx, dy) <= reach)
    power = np.where(there, seen.power[np.clip(row, 0, 2 * grid.top), np.clip(column, 0, grid.right)], 0.0)[inside]
    offset = np.stack([dx[inside], dy[inside]])
    signal = power.astype(float) - level
    found, total = _second(offset, signal)
    # a wave's own, at the same place and in the same circle
    expected, _ = _second(offset, _wave_power(offset[0]) * _wave_power(offset[1]))
    spread = np.array([(offset[0] ** 2 - found[0, 0]), (offset[1] ** 2 - found[1, 1])])
    noise = _CORRELATED * level * np.maximum(2.0 * power - level, level)
    variance = (spread**2 * noise).sum(axis=1) / total**2
    return found - expected, float(np.sqrt(variance.max()))


def _second(offset: FloatArray, weight: FloatArray) -> tuple[FloatArray, float]:
    """Second central moment of weights and their sum."""
    total = max(float(weight.sum()), 1e-300)
    centred = offset - (offset * weight).sum(axis=1, keepdims=True) / total
    return (centred * weight) @ centred.T / total, total


def _wave_power(u: FloatArray) -> FloatArray:
    """Power of a wave u bins from its place under the Hann taper, along one side."""
    sinc = np.sinc(u) - 0.5 * (np.sinc(u + 1) * -1.0 + np.sinc(u - 1) * -1.0)
    return np.asarray(sinc**2)


def _shapes(g: FloatArray, moments: FloatArray, sigmas: FloatArray, step: FloatArray) -> SpotShapes:
    """Turn moments in bins into shapes."""
    whole = np.eye(2) / 3 + moments  # a third of a bin² along each side is the wave's under the Hann taper
    mean = np.maximum(0.5 * np.trace(whole, axis1=1, axis2=2), 1e-6)
    half, cross = 0.5 * (whole[:, 0, 0] - whole[:, 1, 1]), whole[:, 0, 1]
    apart = np.minimum(np.hypot(half, cross), 0.98 * mean)
    elongation = np.sqrt((mean + apart) / (mean - apart))
    slope = mean / ((mean - apart) ** 2 * elongation)
    physical = moments * np.outer(step, step)
    direction = 0.5 * np.degrees(np.arctan2(2 * physical[:, 0, 1], physical[:, 0, 0] - physical[:, 1, 1]))
    length = np.hypot(*g.T)
    along = g / length[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    sigma = sigmas * step.max() ** 2
    radial, arc = (_spread(np.einsum("ni,nij,nj->n", u, physical, u), sigma) for u in (along, across))
    return SpotShapes(
        excess=physical,
        excess_sigma=sigma,
        elongation=elongation,
        elongation_sigma=slope * sigmas / np.sqrt(2.0),
        direction_deg=direction,
        arc_deg=np.degrees(arc[0] / length),
        arc_sigma_deg=np.degrees(arc[1] / length),
        radial=radial[0] / length,
        radial_sigma=radial[1] / length,
    )


def _spread(variance: FloatArray, sigma: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the root of a variance that noise may make negative, and how far it may be off."""
    value = np.sqrt(np.maximum(variance, 0.0))
    return value, np.sqrt(np.maximum(variance, 0.0) + sigma) - value
