"""Are these intensities counts? The noise of flat regions against their level, and errors corrected for it.

Instruments and programs rescale, smooth, and interpolate onto another axis. Scaling changes the variance; smoothing
and interpolation make neighbours alike, so that the points scatter less than what is fitted to them. The errors of
fitted parameters follow the variance of sums over many points: that of one point times one plus twice the
correlations. Both are estimated here, the one from differences of points that are far enough apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import erf, exp, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError
from layerscope.measured.measurement import FloatArray, Measurement

__all__ = ["PoissonScale", "mean_scale", "poisson_scale"]

CLIP_SIGMA = 3.0
"""Differences of neighbours beyond this many standard deviations belong to peaks."""

FAR_CLIP_SIGMA = 5.0
"""The same for distant points, which are taken far from lines only: noise that varies along the pattern has tails."""

PEAK_EXCESS = 1.3
"""A point whose surroundings exceed the local background by this factor belongs to a peak."""

LINE_SIGMA = 4.0
"""Excess of a mean over LINE_WIDTHS points, in its standard deviations, from which it belongs to a line."""

LINE_WIDTHS = (3, 7, 15)
"""Numbers of points over which lines are looked for."""

FOOT = 0.25
"""Second difference in the foot of a line, in standard deviations of a point, below which the foot is flat."""

PLATEAU = (4, 5, 6)
"""Distances at which points are taken for independent of each other."""

CERTAIN = 4.0
"""Standard errors of the correlation from which neighbours count as correlated."""

STEEPEST = 1.1
"""Second differences over the farthest of PLATEAU over those over the nearest, from which on they are of lines."""

LEAST_GAUSSIAN = 0.55
"""Noise of second differences by their median over that by their mean square, below which lines are among them."""

ALIKE = 3.0
"""Points of smoothed data that count as one."""

BLOCKS = 50
"""Parts of a pattern that are left out in turn to find errors (jackknife)."""

_DIFFERENCE = np.array([1.0, -4.0, 6.0, -4.0, 1.0])
_SECOND = np.array([1.0, -2.0, 1.0])
_MEDIAN = 0.45494  # of chi-square with one degree of freedom
_OVERLAP_SECOND = 35.0 / 18.0  # as `_overlap` of fourth differences
_MINIMUM_DIFFERENCES = 50
_MINIMUM_BLOCKS = 10


@dataclass(frozen=True)
class PoissonScale:
    """Noise of a pattern in units of the noise that counts would have.

    Parameters
    ----------
    factor : float
        Variance over mean intensity, of sums over many points, which is what errors of fitted parameters rest on:
        1 for counts, and also for smoothed counts; k for counts multiplied by k.
    sigma : float
        Standard deviation of `factor`.
    points : int
        Number of points that it rests on.
    variance : float
        Variance over mean intensity of single points, which is what residuals show: that of `factor` where neighbours
        are independent, less where the intensities were smoothed or interpolated.
    correlation, correlation_sigma : float
        Correlation of neighbouring points with its standard deviation; NaN where the pattern is too short to tell.
    alone, alone_sigma, summed, summed_sigma : float
        The two estimates of `factor`: for neighbours that are independent, and for any that are not.
    bound : bool
        Whether lines leave no points between them: the noise is then at most that, and what it is cannot be told.
    crowded : bool
        Whether lines leave no stretches between them that tell correlations: `summed` is then an upper bound.
    """

    factor: float
    sigma: float
    points: int
    variance: float
    correlation: float
    correlation_sigma: float
    alone: float
    alone_sigma: float
    summed: float
    summed_sigma: float
    bound: bool = False
    crowded: bool = False

    @property
    def is_correlated(self) -> bool:
        """Whether neighbouring points are correlated, with certainty (four standard deviations)."""
        return abs(self.correlation) > CERTAIN * self.correlation_sigma  # False for NaN

    @property
    def is_poisson(self) -> bool:
        """Whether the intensities are compatible with counts: scatter within three standard deviations, independent."""
        return abs(self.factor - 1.0) <= 3.0 * self.sigma and not self.is_correlated

    @property
    def note(self) -> str:
        """What a reader has to know, empty where neighbours are independent."""
        if not self.is_correlated:
            return ""
        return (
            f"neighbouring intensities are correlated ({self.correlation:.2f}): they were smoothed or interpolated; "
            f"points scatter with {self.variance:.2f} times their mean, errors rest on {self.factor:.2f} times it"
        )


def poisson_scale(pattern: Measurement, lines: FloatArray | None = None) -> PoissonScale:
    """Estimate the variance of intensities relative to their mean, from flat regions.

    Fourth differences of neighbouring points remove any background that is locally cubic; their squares over 70
    times the local mean (the sum of the squared coefficients) average to the variance of independent points.
    Differences beyond three standard deviations are left out, and the mean is corrected for the clipping.

    Points near lines are left out: as far as the curvature of a Lorentzian foot is seen in the differences below. Where
    this leaves fewer than 100, neighbours outside peaks tell the noise, and its correlation remains unknown.

    Fourth differences count where those over twice the distance are within the noise too: a line adds 16 times as much
    to these. Where lines leave too few such points, the noise is only bounded (`PoissonScale.bound`).

    Second differences of points L apart, squared, average to ``6 g0 - 8 gL + 2 g2L``, where ``gL`` is the covariance of
    points L apart. With ``gL = 0`` beyond three points those at L = 4 to 6 give the variance g0, and those at
    L = 1 to 3 the covariances; the variance of sums is ``g0 + 2 (g1 + g2 + g3)``. Where g1 differs from zero by more
    than four standard deviations (jackknife) this is the factor, otherwise the more precise fourth differences are.
    Noise is Gaussian and its differences are alike at L = 4 to 6; where they are not, they are those of lines, and
    nothing is said of correlations (`PoissonScale.crowded`).

    Parameters
    ----------
    pattern : Measurement
        Measured intensities.
    lines : ndarray of shape (n,), optional
        Intensities that show lines better than the pattern does, such as the mean over its series: points near lines
        of either are left out. A line below the noise of a frame is not below that of the mean over many.

    Returns
    -------
    PoissonScale
        Factor, its standard deviation, and the number of points; correlation of neighbours.

    Raises
    ------
    DataError
        If fewer than 50 flat points are left, they do not vary at all, or `lines` has another length.
    """
    if lines is not None and lines.shape != pattern.intensity.shape:
        raise DataError(
            f"lines has shape {lines.shape}, the pattern {pattern.intensity.shape}",
            source=pattern.source,
            hint="give both on the same axis",
        )
    flat = _flat(pattern.intensity)
    if lines is not None:
        flat &= _flat(lines)
    flat &= (measured := _measured(pattern))
    squares, kept, bound = _between_lines(pattern.intensity, flat, measured)
    if kept.sum() < _MINIMUM_DIFFERENCES:
        raise DataError(
            f"only {int(kept.sum())} flat points tell the noise; at least {_MINIMUM_DIFFERENCES} are needed",
            source=pattern.source,
        )
    alone = float(squares[kept].mean()) / _clipped_mean(CLIP_SIGMA)
    # Neighbouring differences share points, so that they count for fewer than there are.
    spread = float(alone * np.sqrt(2.0 * _overlap() / kept.sum()))
    variance, first, summed, errors, crowded = _covariances(pattern.intensity, flat)
    if crowded:  # the covariances are those of lines
        first, errors = float("nan"), (float("nan"), errors[1])
    found = _decided(int(kept.sum()), alone, spread, variance, first, summed, errors)
    return replace(found, bound=bound, crowded=crowded)


def _measured(pattern: Measurement) -> NDArray[np.bool_]:
    """Return which points have no masked one within the reach of a difference."""
    if pattern.use is None:
        return np.ones(pattern.intensity.size, bool)
    reach = 4 * PLATEAU[-1]
    return np.asarray(np.convolve(~pattern.use, np.ones(reach + 1), mode="same") < 0.5)


def _between_lines(
    intensity: FloatArray, flat: NDArray[np.bool_], everywhere: NDArray[np.bool_]
) -> tuple[FloatArray, NDArray[np.bool_], bool]:
    """Return squared fourth differences, which of them are noise, and whether even these may hold lines.

    A line adds 2^4 times as much to the difference of points twice as far apart: where that one is within the noise,
    that of neighbours is free of the line. Flat stretches come first, then all points.
    """
    for where, limited in ((flat, True), (everywhere, False)):
        near = _relative_squares(intensity, _DIFFERENCE, 1, where, limited=limited)
        far = _relative_squares(intensity, _DIFFERENCE, 2, where, limited=limited)
        around = np.full(near.size, np.nan)
        around[2:-2] = far
        kept = _clipped(near, CLIP_SIGMA, around)
        if kept.sum() >= 2 * _MINIMUM_DIFFERENCES:
            return near, kept, False
    near = _relative_squares(intensity, _DIFFERENCE, 1, everywhere)
    return near, _clipped(near, CLIP_SIGMA), True


def mean_scale(scales: Sequence[PoissonScale]) -> PoissonScale:
    """Return the mean over patterns of a series: it shows a weak correlation that one of them hides.

    Parameters
    ----------
    scales : sequence of PoissonScale
        At least one.
    """

    def mean(name: str) -> tuple[float, float]:
        values = np.array([getattr(s, name) for s in scales])
        errors = np.array([getattr(s, f"{name}_sigma") for s in scales])
        known = np.isfinite(values) & np.isfinite(errors)
        if not known.any():
            return float("nan"), float("nan")
        # weights by points, not by errors: a pattern that scatters low has a small error, and would count for more
        weight = np.array([s.points for s in scales], float)[known]
        weight /= weight.sum()
        return float(weight @ values[known]), float(np.sqrt(weight**2 @ errors[known] ** 2))

    correlation, alone, summed = mean("correlation"), mean("alone"), mean("summed")
    known = [s.variance for s in scales if np.isfinite(s.summed)]
    variance = float(np.mean(known)) if known else float("nan")
    points = sum(s.points for s in scales)
    errors = (correlation[1] * variance, summed[1])
    bound, crowded = (2 * sum(one) > len(scales) for one in zip(*((s.bound, s.crowded) for s in scales), strict=True))
    found = _decided(points, *alone, variance, correlation[0] * variance, summed[0], errors)
    return replace(found, bound=bound, crowded=crowded)


def _decided(
    points: int,
    alone: float,
    alone_sigma: float,
    variance: float,
    first: float,
    summed: float,
    errors: tuple[float, float],
) -> PoissonScale:
    """Choose between independent and correlated neighbours; `errors` are those of `first` and `summed`."""
    correlated = variance > 0 and summed > 0 and abs(first) > CERTAIN * errors[0]
    return PoissonScale(
        factor=summed if correlated else alone,
        sigma=errors[1] if correlated else alone_sigma,
        points=points,
        variance=variance if correlated else alone,
        correlation=first / variance if variance > 0 else float("nan"),
        correlation_sigma=errors[0] / variance if variance > 0 else float("nan"),
        alone=alone,
        alone_sigma=alone_sigma,
        summed=summed,
        summed_sigma=errors[1],
    )


def _relative_squares(
    intensity: FloatArray, difference: FloatArray, lag: int, flat: NDArray[np.bool_], *, limited: bool = True
) -> FloatArray:
    """Return squared differences over what independent counts would give, NaN where not `flat`, shape (n - span,).

    Where `limited`, points that exceed the background are left out as well.
    """
    span = (difference.size - 1) * lag
    if intensity.size < span + 1 + _MINIMUM_DIFFERENCES:
        raise DataError(f"{intensity.size} points are too few to tell the noise")
    kernel = np.zeros(span + 1)
    kernel[::lag] = difference
    differences = np.convolve(intensity, kernel, mode="valid")
    width = max(span + 1, _DIFFERENCE.size)
    inner = slice(span // 2, intensity.size - (span + 1) // 2)
    mean = np.convolve(intensity, np.full(width, 1 / width), mode="same")[inner]
    background = _background(mean)
    with np.errstate(all="ignore"):
        kept = (mean > 0) & ((mean <= PEAK_EXCESS * background) | (not limited)) & flat[inner]
        relative = differences**2 / (float((difference**2).sum()) * mean)
    return np.where(kept, relative, np.nan)


def _flat(intensity: FloatArray) -> NDArray[np.bool_]:
    """Return which points are far from every line, so that second differences over PLATEAU are noise, shape (n,).

    A Lorentzian foot E (h/x)^2 has the second difference 6 L^2 E h^2 / x^4 over L points at a distance x from the line.
    """
    if intensity.size < _MINIMUM_DIFFERENCES or not (intensity > 0).any():
        return np.ones(intensity.size, bool)
    least = 1e-6 * float(intensity.max())  # where nothing was counted there is no noise to tell
    background = np.maximum(_background(_mean(intensity, 5)), least)
    excess = (intensity - background) / np.sqrt(background)
    line, noise = np.zeros(intensity.size, bool), 0.0
    for width in LINE_WIDTHS:
        mean = _mean(excess, width)
        below = -mean[mean < 0]  # lines only add: what lies below the background is noise
        sigma = 1.4826 * float(np.median(below)) if below.size else 0.0
        if width == LINE_WIDTHS[0]:
            noise = sigma * sqrt(width)
        line |= mean > LINE_SIGMA * sigma
    edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(int), [0]])))
    ends = np.zeros(intensity.size + 1, int)
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        height = np.maximum(excess[start:stop], 0.0)
        half = max(1.0, 0.5 * _width_at_half(height))
        strength = height / noise if noise > 0 else np.full(height.size, np.inf)
        foot = (6.0 * PLATEAU[-1] ** 2 * strength * half**2 / FOOT) ** 0.25
        reach = PLATEAU[-1] + np.minimum(foot, intensity.size).astype(int)
        points = np.arange(start, stop)
        np.add.at(ends, np.maximum(points - reach, 0), 1)
        np.add.at(ends, np.minimum(points + reach + 1, intensity.size), -1)
    flat: NDArray[np.bool_] = np.cumsum(ends)[:-1] == 0
    return flat


def _width_at_half(height: FloatArray) -> int:
    """Return the number of points around the highest one that exceed half of it."""
    top = int(height.argmax())
    lower = np.flatnonzero(height < 0.5 * height[top])
    before, after = lower[lower < top], lower[lower > top]
    return int((after[0] if after.size else height.size) - (before[-1] if before.size else -1) - 1)


def _mean(values: FloatArray, width: int) -> FloatArray:
    """Return the mean over an odd number of points, at the ends over those there are."""
    padded = np.pad(values, width // 2, mode="edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


def _clipped_mean(sigma: float) -> float:
    """Return the mean of a squared standard normal variable that is below `sigma` squared."""
    return 1.0 - sqrt(2.0 / pi) * sigma * exp(-0.5 * sigma**2) / erf(sigma / sqrt(2.0))


def _clipped(squares: FloatArray, sigma: float, others: FloatArray | None = None) -> NDArray[np.bool_]:
    """Return which squares are not from peaks: they, and any `others`, lie below `sigma` standard deviations."""
    known = squares[np.isfinite(squares)]
    factor = float(np.median(known)) / _MEDIAN if known.size else 0.0
    kept = np.zeros(squares.shape, bool)
    for _ in range(50):
        with np.errstate(invalid="ignore"):
            kept = squares < sigma**2 * factor
            if others is not None:
                kept &= others < sigma**2 * factor
        if kept.sum() < _MINIMUM_DIFFERENCES:
            break
        updated = float(squares[kept].mean()) / _clipped_mean(sigma)
        if abs(updated - factor) <= 1e-9 * factor:
            break
        factor = updated
    return kept


def _covariances(
    intensity: FloatArray, flat: NDArray[np.bool_]
) -> tuple[float, float, float, tuple[float, float], bool]:
    """Return variance, covariance of neighbours and variance of sums over the mean, the errors of the last two.

    NaN where the pattern is too short for all distances. At last, whether it is lines that they tell of.
    """
    unknown = (float("nan"), float("nan"), float("nan"), (float("nan"), float("nan")), False)
    lags = range(1, PLATEAU[-1] + 1)
    if intensity.size < 2 * PLATEAU[-1] + 1 + 4 * _MINIMUM_DIFFERENCES:
        return unknown
    sums, counts = np.zeros((len(lags), BLOCKS)), np.zeros((len(lags), BLOCKS))
    gaussian = 1.0
    for row, lag in enumerate(lags):
        squares = _relative_squares(intensity, _SECOND, lag, flat)
        kept = _clipped(squares, FAR_CLIP_SIGMA)
        if kept.sum() < 2 * _MINIMUM_DIFFERENCES:
            return unknown
        block = (np.flatnonzero(kept) + lag) * BLOCKS // intensity.size  # by the middle of the difference
        counts[row] = np.bincount(block, minlength=BLOCKS)[:BLOCKS]
        sums[row] = np.bincount(block, weights=squares[kept], minlength=BLOCKS)[:BLOCKS]
        gaussian = min(gaussian, float(np.median(squares[kept]) / _MEDIAN / squares[kept].mean()))
    whole = _solved(sums.sum(axis=1) / counts.sum(axis=1))
    filled = np.flatnonzero(counts.any(axis=0))
    if filled.size < _MINIMUM_BLOCKS:  # the jackknife of a few parts is no error
        return unknown
    left = counts.sum(axis=1)[:, None] - counts[:, filled]
    if (left <= 0).any():
        return unknown
    parts = _solved((sums.sum(axis=1)[:, None] - sums[:, filled]) / left)
    n = filled.size
    # Noise is Gaussian, and alike at all distances beyond its reach; what lines add is neither.
    plateau = sums[PLATEAU[0] - 1 :].sum(axis=1) / counts[PLATEAU[0] - 1 :].sum(axis=1)
    steep = plateau[-1] / plateau[0] - STEEPEST
    crowded = gaussian < LEAST_GAUSSIAN or bool(steep > 2.0 * sqrt(2.0 * _OVERLAP_SECOND * ALIKE / counts[-1].sum()))
    spread = np.sqrt((n - 1) / n * ((parts - parts.mean(axis=1)[:, None]) ** 2).sum(axis=1))
    return float(whole[0]), float(whole[1]), float(whole[2]), (float(spread[1]), float(spread[2])), crowded


def _solved(levels: FloatArray) -> FloatArray:
    """Return (g0, g1, g0 + 2 sum of covariances) from mean squares at distances 1 to 6, shape (3,) or (3, n)."""
    level = levels / _clipped_mean(FAR_CLIP_SIGMA)
    g0 = level[PLATEAU[0] - 1 :].mean(axis=0)
    g3, g2 = 0.75 * (g0 - level[2]), 0.75 * (g0 - level[1])
    g1 = 0.75 * (g0 - level[0]) + 0.25 * g2
    return np.stack([g0, g1, g0 + 2.0 * (g1 + g2 + g3)])


def _background(mean: FloatArray) -> FloatArray:
    """Median over a hundredth to a twentieth of the pattern, interpolated: lines are narrower."""
    width = int(np.clip(mean.size // 40, 25, 400))
    centres = np.arange(width // 2, mean.size, width)
    medians = [float(np.median(mean[max(0, c - width) : c + width])) for c in centres]
    return np.asarray(np.interp(np.arange(mean.size), centres, medians))


def _overlap() -> float:
    correlation = np.correlate(_DIFFERENCE, _DIFFERENCE, mode="full") / float((_DIFFERENCE**2).sum())
    return float((correlation**2).sum())
