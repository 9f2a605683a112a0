"""Peaks of a survey by their significance above a local background, in counting statistics.

At every energy a line of known width on a straight background is fitted to the points around it, with equal weights: a
weighted sum of the counts whose weights sum to zero, so that its variance follows from those of the counts alone. It is
done for a few widths; the most significant one stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerscope.errors import DataError

from ..dataset import FloatArray

__all__ = ["Peak", "PeakSearch", "find_peaks"]

WIDTHS_EV = (1.6, 2.4, 3.6, 5.4, 8.0)
"""Full widths of the lines that are looked for."""
REACH = 2.2
"""Half the window around a line, in its widths."""
LEAST = 5.0
"""Significance from which a maximum is a peak: by chance it is one in some thousand surveys."""
BACKGROUND_SHARE = 0.004
"""Error of a straight background over the window, as a share of it: no survey is straight to less."""
_AREA = float(np.sqrt(np.pi / (4.0 * np.log(2.0))))  # of a Gaussian of height and full width 1


@dataclass(frozen=True)
class Peak:
    """One peak: position and its error, area and its error, full width (eV), significance."""

    energy_eV: float
    sigma_eV: float
    area: float
    area_sigma: float
    fwhm_eV: float
    significance: float


@dataclass(frozen=True, eq=False)
class PeakSearch:
    """What was found in one survey.

    Attributes
    ----------
    energy_eV : ndarray, shape (n,)
        Even axis.
    area, sigma : ndarray, shape (n,)
        Area of a line of a survey's usual width centred there, and its standard error; NaN too close to the ends.
    peaks : tuple of Peak
        By energy.
    """

    energy_eV: FloatArray
    area: FloatArray
    sigma: FloatArray
    peaks: tuple[Peak, ...]

    def least_area(self, energy_eV: float) -> float:
        """Return the area from which a line would be a peak at an energy; NaN beyond the data."""
        return float(LEAST * np.interp(energy_eV, self.energy_eV, self.sigma, left=np.nan, right=np.nan))


def find_peaks(energy: FloatArray, intensity: FloatArray, variance: FloatArray) -> PeakSearch:
    """Find the peaks of a survey.

    Parameters
    ----------
    energy : ndarray, shape (n,)
        Binding energies (eV), rising.
    intensity, variance : ndarray, shape (n,)
        Any unit, and its square.

    Returns
    -------
    PeakSearch

    Raises
    ------
    DataError
        If it is shorter than the window of the broadest line.
    """
    step = float(np.median(np.diff(energy)))
    if np.ptp(np.diff(energy)) > 0.01 * step:  # an irregular scan
        even = np.arange(energy[0], energy[-1], step)
        intensity, variance = (np.interp(even, energy, values) for values in (intensity, variance))
        energy = even
    found = [_at_width(intensity, variance, step, width) for width in WIDTHS_EV if width >= 1.2 * step]
    widths = [width for width in WIDTHS_EV if width >= 1.2 * step]
    if not found or energy.size < 2 * REACH * WIDTHS_EV[-1] / step + 3:
        raise DataError("the spectrum is too short, or its steps are too wide, for the lines of a survey")
    peaks = [_peak(energy, heights, errors, at, width) for at, width, heights, errors in _resolved(found, widths, step)]
    usual = min(range(len(widths)), key=lambda k: abs(widths[k] - 2.4))
    scale = widths[usual] * _AREA
    return PeakSearch(energy, found[usual][0] * scale, found[usual][1] * scale, tuple(peaks))


def _at_width(intensity: FloatArray, variance: FloatArray, step: float, width: float) -> tuple[FloatArray, FloatArray]:
    """Return height and standard error of a Gaussian line of a width at every point; NaN near the ends."""
    half = int(np.ceil(REACH * width / step))
    offsets = np.arange(-half, half + 1) * step
    line = np.exp(-4.0 * np.log(2.0) * (offsets / width) ** 2)
    weights = line - line.mean()
    weights /= float(weights @ line)
    height = np.convolve(intensity, weights, mode="same")
    spread = np.convolve(variance, weights**2, mode="same")
    level = np.convolve(intensity, np.full(weights.size, 1.0 / weights.size), mode="same")
    error = np.sqrt(spread + (BACKGROUND_SHARE * level) ** 2)
    height[:half] = height[intensity.size - half :] = np.nan
    error[:half] = error[intensity.size - half :] = np.nan
    return height, np.where(error > 0, error, np.nan)


def _resolved(
    found: Sequence[tuple[FloatArray, FloatArray]], widths: Sequence[float], step: float
) -> list[tuple[int, float, FloatArray, FloatArray]]:
    """Return places and widths of peaks, narrow ones first: a broader line takes the place of what stands out less."""
    kept: list[tuple[int, float, float, int]] = []  # place, width, significance, number of the width
    for k, ((heights, errors), width) in enumerate(zip(found, widths, strict=True)):
        top = np.nan_to_num(heights / errors, nan=-1.0)
        inner = np.flatnonzero((top[1:-1] >= top[:-2]) & (top[1:-1] > top[2:]) & (top[1:-1] >= LEAST)) + 1
        for at in inner[np.argsort(-top[inner], kind="stable")]:
            near = [one for one in kept if abs(one[0] - at) * step < 0.8 * width]
            if float(np.sqrt(sum(one[2] ** 2 for one in near))) < top[at]:
                kept = [one for one in kept if one not in near] + [(int(at), width, float(top[at]), k)]
    return [(at, width, *found[k]) for at, width, _, k in sorted(kept)]


def _peak(energy: FloatArray, heights: FloatArray, errors: FloatArray, at: int, width: float) -> Peak:
    height, error = float(heights[at]), float(errors[at])
    step = float(energy[1] - energy[0])
    place = float(energy[at]) + step * _vertex(heights[at - 1 : at + 2])
    sigma = float(np.hypot(width * error / (1.5 * height), 0.3 * step))
    return Peak(place, sigma, height * width * _AREA, error * width * _AREA, width, height / error)


def _vertex(three: FloatArray) -> float:
    """Return the place of the maximum of a parabola through three values, in steps from the middle one."""
    left, middle, right = (float(v) for v in three)
    curvature = left - 2.0 * middle + right
    return float(np.clip(0.5 * (left - right) / curvature, -0.5, 0.5)) if curvature < 0 else 0.0
