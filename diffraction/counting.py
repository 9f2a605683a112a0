"""Are these intensities counts? The noise of flat regions against their level, and errors corrected for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from layerscope.errors import DataError

from .dataset import Pattern
from .radiation import FloatArray

__all__ = ["PoissonScale", "poisson_scale", "with_poisson_errors"]

CLIP_SIGMA = 3.0
"""Differences beyond this many standard deviations belong to peaks."""

PEAK_EXCESS = 1.3
"""A point whose surroundings exceed the local background by this factor belongs to a peak."""

_CLIPPED_MEAN = 0.97334
"""Mean of a squared standard normal below CLIP_SIGMA squared: chi2 CDF of 3 over that of 1 degree of freedom."""

_DIFFERENCE = np.array([1.0, -4.0, 6.0, -4.0, 1.0])
_MINIMUM_DIFFERENCES = 50


@dataclass(frozen=True)
class PoissonScale:
    """Noise of a pattern in units of the noise that counts would have.

    Parameters
    ----------
    factor : float
        Variance over mean intensity: 1 for counts, k for counts multiplied by k, below 1 for smoothed ones.
    sigma : float
        Standard deviation of `factor`.
    points : int
        Number of points that it rests on.
    """

    factor: float
    sigma: float
    points: int

    @property
    def is_poisson(self) -> bool:
        """Whether the intensities are compatible with counts, within three standard deviations."""
        return abs(self.factor - 1.0) <= 3.0 * self.sigma


def poisson_scale(pattern: Pattern) -> PoissonScale:
    """Estimate the variance of intensities relative to their mean, from flat regions.

    Fourth differences of neighbouring points remove any background that is locally cubic; their squares over 70
    times the local mean (the sum of the squared coefficients) average to the factor. Points in peaks and differences
    beyond three standard deviations are left out, and the mean is corrected for the clipping.

    Parameters
    ----------
    pattern : Pattern
        Measured intensities.

    Returns
    -------
    PoissonScale
        Factor, its standard deviation, and the number of points.

    Raises
    ------
    DataError
        If fewer than 50 flat points are left, or they do not vary at all.
    """
    squares = _relative_squares(pattern.intensity)
    factor = float(np.median(squares)) / 0.45494 if squares.size else 0.0  # median of chi2 with one degree of freedom
    kept = squares
    for _ in range(50):
        kept = squares[squares < CLIP_SIGMA**2 * factor]
        if kept.size < _MINIMUM_DIFFERENCES:
            raise DataError(
                f"only {kept.size} flat points tell the noise; at least {_MINIMUM_DIFFERENCES} are needed",
                source=pattern.source,
            )
        updated = float(kept.mean()) / _CLIPPED_MEAN
        if abs(updated - factor) <= 1e-9 * factor:
            break
        factor = updated
    # Neighbouring differences share points, so that they count for fewer than there are.
    spread = factor * np.sqrt(2.0 * _overlap() / kept.size)
    return PoissonScale(factor, float(spread), int(kept.size))


def with_poisson_errors(pattern: Pattern, scale: PoissonScale | None = None) -> Pattern:
    """Return the pattern with the variance that its noise has: factor times intensity.

    Parameters
    ----------
    pattern : Pattern
        Measured intensities.
    scale : PoissonScale, optional
        For instance the mean over a series; without it that of this pattern.

    Returns
    -------
    Pattern
        With `variance` set, at least that of one count.

    Raises
    ------
    DataError
        As `poisson_scale`.
    """
    factor = (poisson_scale(pattern) if scale is None else scale).factor
    metadata = {**pattern.metadata, "variance": f"{factor:.6g} times the intensity, from its noise"}
    return replace(pattern, variance=factor * np.maximum(pattern.intensity, factor), metadata=metadata)


def _relative_squares(intensity: FloatArray) -> FloatArray:
    if intensity.size < _DIFFERENCE.size + _MINIMUM_DIFFERENCES:
        raise DataError(f"{intensity.size} points are too few to tell the noise")
    differences = np.convolve(intensity, _DIFFERENCE, mode="valid")
    mean = np.convolve(intensity, np.full(_DIFFERENCE.size, 1 / _DIFFERENCE.size), mode="valid")
    flat = (mean > 0) & (mean <= PEAK_EXCESS * _background(mean))
    return np.asarray(differences[flat] ** 2 / (float((_DIFFERENCE**2).sum()) * mean[flat]))


def _background(mean: FloatArray) -> FloatArray:
    """Median over a hundredth to a twentieth of the pattern, interpolated: peaks of a powder pattern are narrower."""
    width = int(np.clip(mean.size // 40, 25, 400))
    centres = np.arange(width // 2, mean.size, width)
    medians = [float(np.median(mean[max(0, c - width) : c + width])) for c in centres]
    return np.asarray(np.interp(np.arange(mean.size), centres, medians))


def _overlap() -> float:
    correlation = np.correlate(_DIFFERENCE, _DIFFERENCE, mode="full") / float((_DIFFERENCE**2).sum())
    return float((correlation**2).sum())
