"""Which phase stands where: the probability of vacuum, amorphous, each known lattice, or none of these, in windows.

In every window the power at each reciprocal vector is compared with its level among vectors of like length. Speckle of
an amorphous window is exponential about that level, and so is what a lattice leaves between its spots. A lattice is
judged by the places it predicts: there a spot is seen with a probability that grows with its weight, or missed; maxima
elsewhere are clutter, rare beside a known lattice and common beside an unknown one ("none"). Vacuum and amorphous
differ by the power over that of counting noise, which is read beyond anything the microscope passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from scipy.special import exp1, log_ndtr

from layerscope.errors import DataError

from ..image import Image, Window
from .lockin import LockIn
from .model import AMORPHOUS, NONE, VACUUM, FloatArray, Kernel, Lattice, PhaseMap, Region

__all__ = ["phase_map", "regions"]

Maps = NDArray[np.float32]
Places = list[tuple[NDArray[np.int64], float]]

#: Distance of the vectors that are read, over 1 / (standard deviation of the window): between four of them a spot
#: keeps half its power, and noise of neighbours correlates by exp(-0.35).
SPACING = 0.187
#: Independent values that the largest of the neighbours of a place stands for.
TRIALS = 3.0
#: Range of the power of a spot over the level, flat in its logarithm.
WEAKEST, STRONGEST = 4.0, 4000.0
#: Spots that no known lattice predicts, for each vector that is read: in an amorphous window, beside a known lattice,
#: and in a window of another one.
CLUTTER_AMORPHOUS, CLUTTER_KNOWN, CLUTTER_OTHER = 1e-5, 2e-3, 2e-2
#: What one spot can say at most (natural logarithm of its odds against speckle): beyond it nothing is speckle.
CAP = 24.0
#: Standard deviation of the logarithm of power over counting noise in vacuum, and the width of what is amorphous.
VACUUM_SPREAD, AMORPHOUS_RANGE = 0.2, 5.0
#: Vectors of a ring that share a level, and how many independent values that level is worth (three vectors one value,
#: whose logarithm scatters by π² / 6).
RING, LEVEL_VALUES = 120, 24.0
CLIP = 1.2
MOST_PLACES = 160


def phase_map(
    image: Image,
    lattices: Sequence[Lattice],
    *,
    kernel: Kernel | None = None,
    step_nm: float | None = None,
    band: tuple[float, float] = (1.6, 9.0),
    vacuum: Window | None = None,
    workers: int = 1,
) -> PhaseMap:
    """Give the probability of each phase in windows over an image.

    Parameters
    ----------
    image : Image
        With the size of its pixels.
    lattices : sequence of Lattice
        Known ones, at their orientation in this image.
    kernel : Kernel, optional
        The window; round, 1.5 nm, unless given. Along a surface: long along it, short across.
    step_nm : float, optional
        Largest distance of the windows; a quarter of the shorter width unless given.
    band : tuple of 2 floats
        Range of |g| in 1/nm that is read.
    vacuum : Window, optional
        Where nothing but vacuum is known to be: it states the power of counting noise. Without it that is read
        at the highest frequencies, where many cameras damp it, so that vacuum may be called amorphous.
    workers : int
        Threads.

    Returns
    -------
    PhaseMap

    Raises
    ------
    DataError
        If the image is smaller than the window, has no pixel size, or its pixels are too coarse for the band.
    """
    kernel = kernel or Kernel(1.5, 1.5)
    names = tuple(k.name for k in lattices)
    if len(set(names)) < len(names):
        raise DataError(f"lattices of a map need names of their own, not {', '.join(names)}", source=image.source)
    step = step_nm or 0.25 * min(kernel.across_nm, kernel.along_nm)
    step = max(step, max(image.shape) * max(image.pixel()) / MOST_PLACES)
    reader = LockIn(image, kernel, step, workers=workers)
    band = (band[0], min(band[1], 0.46 / max(image.pixel())))
    grid, core, bins, g = _vectors(reader, band)
    if core.sum() < 30:
        raise DataError("pixels are too coarse, or the window too small, for any lattice", source=image.source)
    inside = reader.weight > 0.9
    near = [_near(g, k, kernel) for k in lattices]

    def judge(log_power: Maps) -> tuple[Maps, list[FloatArray]]:
        counting = np.log(np.exp(log_power[len(bins) :]).mean(axis=0))
        level = _subtract_level(log_power[: len(bins)], np.hypot(*g.T), core)
        return level - counting, _evidence(log_power[: len(bins)], grid, core, near)

    log_power = _log_powers(reader, np.concatenate([bins, _beyond(reader)]), inside, workers)
    parts = np.array_split(np.arange(log_power.shape[1]), max(workers, log_power.shape[1] // 4096))
    with ThreadPoolExecutor(workers) as pool:
        judged = list(pool.map(lambda part: judge(log_power[:, part[0] : part[-1] + 1].copy()), parts))
    contrast = np.concatenate([c for c, _ in judged])
    evidence = [np.concatenate(e) for e in zip(*(e for _, e in judged), strict=True)]
    if vacuum is not None:
        chosen = reader.within(vacuum)[inside]
        if not chosen.any():
            raise DataError("the vacuum given holds no window", source=image.source, hint="give a larger one")
        contrast -= np.float32(np.median(contrast[chosen]))
    plain, dense = _by_contrast(contrast)
    crystal = np.logaddexp(plain, dense) - np.log(2.0)
    total = np.stack([plain + evidence[0], dense + evidence[0], *(e + crystal for e in evidence[1:])], axis=-1)
    total = np.exp(total - total.max(axis=-1, keepdims=True))
    out = np.full((*inside.shape, total.shape[-1]), np.nan, dtype=np.float32)
    out[inside] = total / total.sum(axis=-1, keepdims=True)
    shown = np.full(inside.shape, np.nan, dtype=np.float32)
    shown[inside] = contrast
    flags = () if vacuum is not None else ("VACUUM_BY_WHITE_NOISE",)
    return PhaseMap(reader.x, reader.y, (VACUUM, AMORPHOUS, *names, NONE), out, shown, kernel, flags)


def _vectors(
    reader: LockIn, band: tuple[float, float]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64], FloatArray]:
    """Lay a grid of vectors over half the band and their neighbours, which show what is a maximum.

    Returns
    -------
    grid : ndarray of int
        Number of the vector at each place of the grid; −1 where there is none.
    core : ndarray of bool
        Vectors that lie in the band.
    bins : ndarray of int, shape (n, 2)
        Of the whole transform.
    g : ndarray of float64, shape (n, 2)
        1/nm.
    """
    kernel = reader.kernel
    spacing = SPACING / kernel.sigma
    most = np.ceil(band[1] / spacing).astype(int)
    i, j = np.meshgrid(*(np.arange(-m - 1, m + 2) for m in most), indexing="ij")
    bins = reader.bins(np.stack([i * spacing[0], j * spacing[1]], axis=-1) @ kernel.axes)
    g = bins * reader.spacing
    length = np.hypot(g[..., 0], g[..., 1])
    half = (g[..., 1] > 0) | ((g[..., 1] == 0) & (g[..., 0] > 0))
    # What the window smears of the mean of the image and its slow drift is no wave.
    use = half & (length > band[0]) & (length < band[1]) & (kernel.decay(g) > 4.5)
    whole = np.all(np.abs(bins) * 2 < np.array(reader.shape[::-1]), axis=-1)
    read = binary_dilation(use, np.ones((3, 3), dtype=bool)) & (length > 0) & whole
    grid = np.full(use.shape, -1, dtype=np.int64)
    grid[read] = np.arange(np.count_nonzero(read))
    return grid, use[read], bins[read], g[read]


def _beyond(reader: LockIn) -> NDArray[np.int64]:
    """Choose bins at the corners of the transform, beyond what any lens passes: counting noise alone."""
    side = np.arange(0.32, 0.47, 0.028)
    f = np.array([(x, y) for y in side for x in (*-side, *side)])
    return np.asarray(np.rint(f * np.array(reader.shape[::-1])), dtype=np.int64)


def _log_powers(reader: LockIn, bins: NDArray[np.int64], inside: NDArray[np.bool_], workers: int) -> Maps:
    """Logarithm of the power at each bin, in every window."""
    out = np.empty((len(bins), np.count_nonzero(inside)), dtype=np.float32)

    def fill(start: int) -> None:
        for part, amplitude in reader.at_bins(bins[start : start + 64]):
            power = amplitude.real**2 + amplitude.imag**2
            target = out[start + part.start : start + part.stop]
            np.log(power[:, inside] + np.float32(1e-30), out=target)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(fill, range(0, len(bins), 64)))
    return out


def _clipped_mean() -> float:
    """Mean of the logarithm of Exp(1) below exp(CLIP) times its geometric mean."""
    top = np.exp(CLIP - np.euler_gamma)
    part = -np.exp(-top) * np.log(top) - exp1(top) - np.euler_gamma
    return float(part / (1.0 - np.exp(-top)))


def _subtract_level(log_power: Maps, length: FloatArray, core: NDArray[np.bool_]) -> Maps:
    """Subtract, in place, the level of speckle among vectors of like length; return its mean over the band.

    The level is the mean of the logarithm, once without what stands out; a spot cannot lift it. It runs linearly from
    ring to ring.
    """
    order = np.flatnonzero(core)[np.argsort(length[core], kind="stable")]
    rings = np.array_split(order, max(2, len(order) // RING))
    middle = np.array([length[r].mean() for r in rings])
    levels = np.empty((len(rings), log_power.shape[1]), dtype=np.float32)
    for n, ring in enumerate(rings):
        part = log_power[ring]
        mean = part.mean(axis=0)
        for _ in range(2):
            keep = part < mean + np.float32(CLIP)
            mean = np.where(keep, part, 0).sum(axis=0) / np.maximum(keep.sum(axis=0), 1)
            mean -= np.float32(_clipped_mean() + np.euler_gamma)
        levels[n] = mean + np.float32(np.euler_gamma)
    at = np.clip(np.searchsorted(middle, length) - 1, 0, len(rings) - 2)
    share = np.clip((length - middle[at]) / (middle[at + 1] - middle[at]), 0.0, 1.0).astype(np.float32)
    for n in range(len(length)):
        log_power[n] -= levels[at[n]] * (1 - share[n]) + levels[at[n] + 1] * share[n]
    return np.asarray(levels.mean(axis=0))


def _spot(log_power: Maps, trials: float = TRIALS) -> Maps:
    """Log of the odds of a spot of unknown strength against the largest of some trials of speckle.

    Power over a level that is itself the mean of n values falls off as (1 + P / n)^-(n + 1), not as exp(−P).
    """
    power = np.exp(np.clip(log_power, -20.0, 20.0))
    spot = (np.exp(-power / STRONGEST) - np.exp(-power / WEAKEST)) / (power * np.log(STRONGEST / WEAKEST))
    speckle = np.log(trials) - (LEVEL_VALUES + 1.0) * np.log1p(power / LEVEL_VALUES)
    speckle += (trials - 1.0) * np.log1p(-np.exp(-np.maximum(power, 1e-3)))
    return np.asarray(np.minimum(np.log(spot + 1e-30) - speckle, CAP))


def _evidence(
    log_power: Maps, grid: NDArray[np.int64], core: NDArray[np.bool_], lattices: Sequence[Places]
) -> list[FloatArray]:
    """Log likelihood in each window of: no lattice, each lattice, another lattice."""
    count = log_power.shape[1]
    top = _maxima(log_power, grid) & core[:, None]
    vector, place = np.nonzero(top)
    odds = np.full(log_power.shape, -np.inf, dtype=np.float32)
    odds[vector, place] = found = _spot(log_power[vector, place])
    known, other, none = (
        np.logaddexp(np.log1p(-e), np.log(e) + found) for e in (CLUTTER_KNOWN, CLUTTER_OTHER, CLUTTER_AMORPHOUS)
    )

    def sums(values: Maps, left_out: NDArray[np.bool_] | None = None) -> FloatArray:
        weights = values if left_out is None else np.where(left_out[vector], 0.0, values)
        return np.asarray(np.bincount(place, weights, minlength=count), dtype=float)

    out = [sums(none)]
    for lattice in lattices:
        predicted = np.zeros(len(log_power), dtype=bool)
        gained = np.zeros(count, dtype=np.float32)
        for near, seen in lattice:
            predicted[near] = True
            # The flank of a neighbour is no spot: only maxima count.
            gained += np.logaddexp(np.log1p(-seen), np.log(seen) + odds[near].max(axis=0))
        out.append(sums(known, predicted) + gained)
    out.append(sums(other))
    return out


def _near(g: FloatArray, lattice: Lattice, kernel: Kernel) -> Places:
    """Vectors where each reflection shows (a fifth of its power, with 1 % of slack), and how likely it is seen."""
    out = []
    for place, weight in zip(lattice.g, lattice.weight, strict=True):
        off = np.minimum(kernel.decay(g - place), kernel.decay(g + place))
        slack = 0.01 * np.hypot(*place) * 2.0 * np.pi * kernel.sigma.max()
        near = np.flatnonzero(np.sqrt(2.0 * off) < 1.3 + slack)
        if near.size and weight > 0.02:
            out.append((near, float(np.clip(0.9 * weight / (weight + 0.15), 0.02, 0.9))))
    return out


def _maxima(log_power: Maps, grid: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where the power is twice its level and larger than at the eight neighbours."""
    top = log_power > np.float32(np.log(2.0))
    padded = np.pad(grid, 1, constant_values=-1)
    for i, j in np.argwhere(grid >= 0):
        own = grid[i, j]
        for neighbour in padded[i : i + 3, j : j + 3].ravel():
            if neighbour >= 0 and neighbour != own:
                top[own] &= log_power[own] >= log_power[neighbour]
    return top


def _by_contrast(contrast: Maps) -> tuple[Maps, Maps]:
    """Log likelihood of vacuum and of matter by the power over counting noise."""
    vacuum = -0.5 * (contrast / VACUUM_SPREAD) ** 2 - np.log(VACUUM_SPREAD * np.sqrt(2.0 * np.pi))
    matter = log_ndtr((contrast - 2.0 * VACUUM_SPREAD) / VACUUM_SPREAD) - np.log(AMORPHOUS_RANGE)
    return vacuum, matter


def regions(phases: PhaseMap, *, least_nm2: float = 0.0) -> tuple[Region, ...]:
    """Give the connected parts of a map where one phase is the most probable, largest first.

    Parameters
    ----------
    phases : PhaseMap
        The map.
    least_nm2 : float
        Smaller ones are left out.

    Returns
    -------
    tuple of Region
    """
    from skimage import measure

    best = phases.best()
    step_x, step_y = (float(np.diff(a).mean()) if a.size > 1 else 0.0 for a in (phases.x, phases.y))
    assessed = np.count_nonzero(best >= 0)
    probable = np.take_along_axis(phases.probability, np.maximum(best, 0)[..., None], axis=-1)[..., 0]
    out = []
    labels = measure.label(best + 1, background=0, connectivity=1)  # type: ignore[no-untyped-call]
    for part in measure.regionprops(labels, intensity_image=probable):  # type: ignore[no-untyped-call]
        row, column = part.coords[0]
        y, x = part.centroid
        top, left, bottom, right = part.bbox
        out.append(
            Region(
                phases.classes[int(best[row, column])],
                float(part.area * step_x * step_y),
                float(part.area / assessed),
                (float(phases.x[0] + x * step_x), float(phases.y[0] + y * step_y)),
                (
                    float(phases.x[left] - 0.5 * step_x),
                    float(phases.y[top] - 0.5 * step_y),
                    float(phases.x[right - 1] + 0.5 * step_x),
                    float(phases.y[bottom - 1] + 0.5 * step_y),
                ),
                float(part.intensity_mean),
            )
        )
    return tuple(sorted((r for r in out if r.area_nm2 >= least_nm2), key=lambda r: -r.area_nm2))
