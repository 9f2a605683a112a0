"""Spots of the transform of one window: found at a stated probability of false alarm, placed, and told from streaks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..image import Image
from .level import Level, noise_level, threshold
from .model import Spots
from .transform import Grid, Transform, grid_of, prepared, transform
from .waves import Places, hann_sigma, joint_waves, tapered_places

__all__ = ["find_spots"]

_INDEPENDENT = 0.75  # chance of a maximum among bins under a Hann taper over that among independent ones
_LARGEST = 2048 * 2048  # pixels up to which waves are fitted together
_FITTED = 48  # waves fitted together at most: what is left out leaks into the others
_NEAR = 1.8  # bins within which a spot hides another
_TAIL = 1.0  # power of the tail of a spot k bins away over (π s k)^−2
_PART, _SLAB = 0.7, 0.12  # part of the window below which a lattice counts as a slab, and the thinnest slab
_SIDE = 0.08  # power of the first side maximum of a slab, over the main one, at most
_ALONG = 0.9  # cosine of the angle to a spot's axis within which its tail lies
_LINE = 1.5  # bins to either side of a streak
_OWN = 5  # bins to either side that a spot itself may fill
_LOCAL = 24  # bins of the streak to either side of a spot
_STRONG = 400.0  # power over the level from which on a spot has lobes
_FEWEST = (16, 28)  # bins of a line from which on it can be judged: one of one bin, and one with a bin to either side
_STANDS_OUT = 30.0  # times the power of the streak around it, from which on a spot is no part of it
_ABOVE = 4.0  # standard deviations of a streak's mean power above the level
_LEAST_APART = 0.9  # 1/nm between spots of a lattice
_MAXIMUM, _OVER_VALLEY = 0.3, 8.0  # of a maximum on the streak of a spot: power over the spot's, over the valley's
_WEAKER = 0.03  # power of a spot on the streak of another, over the other's

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


def find_spots(
    image: Image,
    *,
    false_alarm: float = 0.01,
    band: tuple[float, float] | None = None,
    most: int = 24,
    refine: bool = True,
) -> Spots:
    """Find the spots of the transform of a window and place them.

    Parameters
    ----------
    image : Image
        The window; what is not valid in it is left out of the fit and filled smoothly for the transform.
    false_alarm : float
        Probability that speckle or counting noise without any lattice shows a spot at all.
    band : tuple of 2 floats, optional
        Lengths searched, 1/nm; 1.6 to 9, less where the window is too small or its pixels too coarse, when not given.
    most : int
        Largest number of spots, strongest first.
    refine : bool
        Fit all waves together in the window without taper (`joint_waves`); otherwise places are those of the tapered
        transform, whose errors are twice as large, as they are in windows of more than 4 million pixels.

    Returns
    -------
    Spots
        None found is an answer.

    Raises
    ------
    DataError
        If the pixel size is unknown, a value is not finite, or the window shows no lattice whatever is in it: fewer
        than 16 pixels along a side, pixels too coarse.
    """
    grid = grid_of(image, band)
    data = prepared(image)
    seen = transform(data, grid)
    level = noise_level(seen.power, grid)
    order = _maxima(seen, level, false_alarm)
    places = tapered_places(seen, order)
    places = places.take(_not_in_a_tail(places)[:_FITTED])
    place, modulus = places.place, places.amplitude
    step = np.array([grid.step[1], grid.step[0]])
    noise = np.maximum(level.at(*(place * step).T)[0], 1e-300)
    power = modulus**2 * (data.size / (4 * 1.5**2))
    above = power / noise
    streak = _on_streaks(seen, level, place, above) | _on_anothers(seen, place, power)
    if refine and len(place) and data.size <= _LARGEST:
        waves = joint_waves(data, place, image.valid, seen, level)
        place, modulus, spread = waves.place, waves.amplitude, waves.covariance
    else:
        # what one wave leaves over in a lattice that varies is not random: it counts twice
        rest = np.where(places.rest > 2.0 * noise, 2.0 * places.rest, noise)
        spread = np.eye(2) * (hann_sigma(power / rest) ** 2)[:, None, None]
    first = np.argsort(-modulus, kind="stable")[:most]
    place = np.where((place[:, 1] < 0)[:, None] | ((place[:, 1] == 0) & (place[:, 0] < 0))[:, None], -place, place)
    return Spots(
        g=(place * step)[first],
        covariance=(spread * np.outer(step, step))[first],
        amplitude=modulus[first],
        power=above[first],
        band=grid.band,
        window_nm=(1.0 / grid.step[0], 1.0 / grid.step[1]),
        false_alarm=false_alarm,
        on_streak=streak[first],
    )


def _maxima(seen: Transform, level: Level, false_alarm: float) -> IntArray:
    """Orders (kx, ky) of local maxima that exceed the threshold."""
    grid = seen.grid
    bins = _INDEPENDENT * float(np.count_nonzero(grid.inside))
    least = float(threshold(false_alarm, bins, np.array([1e9]))[0]) * 0.6
    cut = level.cells[grid.cell]
    y, x = np.nonzero(grid.inside & (seen.power > np.float32(least) * cut) & (seen.power > 0))
    # neighbours; left of column 0 stands column 1 upside down
    around = [
        np.where(x + j < 0, seen.power[np.clip(2 * grid.top - y - i, 0, 2 * grid.top), 1], seen.power[y + i, x + j])
        for i in (-1, 0, 1)
        for j in (-1, 0, 1)
    ]
    top = seen.power[y, x] >= np.max(around, axis=0, initial=0.0)
    y, x = y[top], x[top]
    order = np.stack([x, y - grid.top], axis=1)
    noise, support = level.at(order[:, 0] * grid.step[1], order[:, 1] * grid.step[0])
    above = seen.power[y, x] / np.maximum(noise, 1e-300)
    found = above > threshold(false_alarm, bins, support)
    return np.asarray(order[found])


def _not_in_a_tail(spots: Places) -> IntArray:
    """Spots, strongest first, without those that the tail of a stronger one explains.

    A lattice that fills the part s of the window, with an edge, has a tail (π s k)^−2 normal to the edge. The part is
    known only to be small, where the spot is wider than a wave's.
    """
    kept: list[int] = []
    power = spots.amplitude**2
    for i in np.argsort(-power, kind="stable"):
        explained = False
        for sign in (1.0, -1.0):
            offset = sign * spots.place[i] - spots.place[kept]
            apart = np.maximum(np.hypot(*offset.T), 1e-3)
            along = np.abs(np.einsum("ij,ij->i", offset, spots.axis[kept])) > _ALONG * apart
            tail = (
                _TAIL * power[kept] / (np.pi * apart * np.where(along & (spots.share[kept] < _PART), _SLAB, 1.0)) ** 2
            )
            explained |= bool(((apart < _NEAR) | (power[i] < np.minimum(tail, _SIDE * power[kept]))).any())
        if not explained:
            kept.append(int(i))
    return np.array(kept, dtype=np.intp)


def _on_streaks(seen: Transform, level: Level, place: FloatArray, above: FloatArray) -> NDArray[np.bool_]:
    """Tell which spots lie on a line of raised power: through the origin, or along gx or gy through a stronger spot.

    Edges of an image or in it, and lines of a scan that do not stand where they should, raise the power along a line.
    A spot on it is evidence of a lattice only if it stands out from the line as others do from the level.
    """
    grid = seen.grid
    relative = np.where(grid.inside, seen.power / level.cells[grid.cell], np.nan)
    # lobes of strong spots are no streak
    order = np.rint(np.where(place[:, :1] < 0, -place, place)).astype(int)
    for column, row in order[above > _STRONG]:
        rows = slice(max(0, row + grid.top - 3), row + grid.top + 4)
        relative[rows, max(0, column - 3) : column + 4] = np.nan
    hidden = np.zeros(len(place), bool)
    for i, own in enumerate(place):
        lines = [(own / np.hypot(*own), 1)]
        for axis in (0, 1):
            stronger = np.append(place[above * _WEAKER > above[i], axis], 0.0)
            if min(np.abs(stronger - own[axis]).min(), np.abs(stronger + own[axis]).min()) < _LINE:
                # a line of one bin, too: what scanning leaves is no wider, and its neighbours hold a quarter of it
                lines += [(np.eye(2)[1 - axis], 1), (np.eye(2)[1 - axis], 0)]
        hidden[i] = any(_hidden(_along(relative, grid, own, *line), above[i], _FEWEST[line[1]]) for line in lines)
    return hidden


def _on_anothers(seen: Transform, place: FloatArray, power: FloatArray) -> NDArray[np.bool_]:
    """Tell which spots are maxima on the streak of a stronger one: the power between them never falls far below.

    They are nearer to it than two spots of one lattice may be, whose difference is a spot's vector itself.
    """
    part = np.zeros(len(place), bool)
    step = np.array([seen.grid.step[1], seen.grid.step[0]])
    for i, strong in enumerate(place):
        for j in np.flatnonzero((power < _MAXIMUM * power[i]) & ~part):
            for to in (place[j], -place[j]):
                apart = float(np.hypot(*(to - strong)))
                if np.hypot(*((to - strong) * step)) < _LEAST_APART * seen.grid.unit:
                    way = np.arange(1.5, max(apart - 1.4, 1.6), 0.5)[:, None]
                    valley = _nearby(seen, strong + way * (to - strong) / apart).min()
                    part[j] |= power[j] < _OVER_VALLEY * valley
    return part


def _nearby(seen: Transform, place: FloatArray) -> FloatArray:
    """Largest power of the bins around places."""
    grid = seen.grid
    order = np.rint(np.where(place[:, :1] < 0, -place, place)).astype(int)
    column, row = np.clip(order[:, 0], 1, grid.right - 1), np.clip(order[:, 1] + grid.top, 1, 2 * grid.top - 1)
    around = [seen.power[row + i, column + j] for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return np.asarray(np.max(around, axis=0), dtype=float)


def _along(
    relative: NDArray[np.float32], grid: Grid, place: FloatArray, direction: FloatArray, beside: int
) -> NDArray[np.float32]:
    """Relative power on a line of some bins to either side through a place, without the place itself."""
    far = np.arange(_OWN + 1, _LOCAL + 1)[:, None]
    along = np.concatenate([-far, far]) * direction
    across = np.array([-direction[1], direction[0]])
    order = np.rint(np.concatenate([place + along + k * across for k in range(-beside, beside + 1)])).astype(int)
    order = np.unique(np.where(order[:, :1] < 0, -order, order), axis=0)
    there = (order[:, 0] <= grid.right) & (np.abs(order[:, 1]) <= grid.top)
    return np.asarray(relative[order[there, 1] + grid.top, order[there, 0]])


def _hidden(line: NDArray[np.float32], above: float, fewest: int) -> bool:
    """Whether a line is raised above the level, and a spot does not stand out from it; medians pass over spots."""
    values = line[np.isfinite(line)]
    if values.size < fewest:
        return False
    mean = float(np.median(values)) / np.log(2.0)
    return bool(mean > 1.0 + _ABOVE * np.sqrt(3.0 / values.size) and above < _STANDS_OUT * mean)
