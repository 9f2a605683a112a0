"""Repeats of a scan: whether they are the same, what drifts between them, and their mean.

The beam itself changes samples (Li2CO3 becomes Li2O), so repeats are not merged before a trend was looked for. What a
trend is not: another gain, a shift of the monochromator, an offset or a slope; these are fitted and taken off first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerscope.errors import DataError
from layerscope.measured.measurement import FloatArray

from .align import Curve
from .scan import Scan

__all__ = ["Merged", "merge_sweeps", "sums_among"]

WIDTHS_EV = (0.5, 1.5, 3.0)
"""Widths of the windows in which a trend is looked for."""

TREND_SIGMA = 6.0
"""Standard errors from which on a trend is one: chance among a thousand windows is 2e-6."""

LEAST_TREND = 0.005
"""Change over the whole series, over the height of the spectrum, below which a trend is of no account."""

LEAST_SHIFT_EV, MOST_SHIFT_EV, CERTAIN, PASSES = 0.01, 1.0, 4.0, 4
"""Shifts between sweeps that are taken out before they are merged: how large, how many standard errors, how often."""

GAIN = 0.001
"""Difference of gains from which on it is told: signals over the flux scatter by as much."""


@dataclass(frozen=True)
class Merged:
    """Repeats as one spectrum.

    Attributes
    ----------
    curve : Curve
        On the energies of the first, as shifted to the mean of all.
    used : tuple of int
        Which repeats are in it.
    gains, shifts_eV : tuple of float
        Of each repeat against the mean.
    energy_sigma_eV : float
        Standard error of the energies: that of the mean of the shifts.
    scatter : float or None
        Scatter of the repeats about their mean over what their noise says; None for one repeat.
    flags : tuple of str
    """

    curve: Curve
    used: tuple[int, ...]
    gains: tuple[float, ...] = (1.0,)
    shifts_eV: tuple[float, ...] = (0.0,)
    scatter: float | None = None
    flags: tuple[str, ...] = ()
    energy_sigma_eV: float = 0.0


def sums_among(scans: Sequence[Scan]) -> dict[int, str]:
    """Return which scans are sums of the others, each with a flag that says how many sweeps it holds, and where.

    Parameters
    ----------
    scans : sequence of Scan
        Of one series.
    """
    found: dict[int, str] = {}
    singles = [k for k, scan in enumerate(scans) if scan.sweeps == 1 and "i0" in scan.channels]
    for k, scan in enumerate(scans):
        same = [scans[j] for j in singles if scans[j].axis.shape == scan.axis.shape]
        if scan.sweeps == 1 or len(same) < 2 or "i0" not in scan.channels:
            continue
        ratio = scan.channels["i0"] / np.mean([one.channels["i0"] for one in same], axis=0)
        held = np.round(ratio)
        if np.median(np.abs(ratio - held)) > 0.05 or held.min() < 1:
            continue
        ends = np.flatnonzero(np.diff(held)) + 1
        parts = np.split(np.arange(held.size), ends)
        words = ", ".join(f"{int(held[p[0]])} from {scan.energy[p[0]]:.1f}" for p in parts)
        unequal = f"SUM_UNEQUAL:said to be {scan.sweeps} sweeps, holds {words} eV; left out, its sweeps are used"
        found[k] = unequal if len(parts) > 1 else f"SUM_LEFT_OUT:{scan.sweeps} sweeps that are used one by one"
    return found


def merge_sweeps(curves: Sequence[Curve], *, force: bool = False) -> Merged:
    """Test repeats for a trend and take their mean; with a trend only the first is taken.

    Parameters
    ----------
    curves : sequence of Curve
        In the order in which they were measured.
    force : bool, optional
        Merge them all the same.

    Raises
    ------
    DataError
        If they overlap in fewer than twelve points.
    """
    if len(curves) == 1:
        return Merged(curves[0], (0,))
    places, now = np.zeros(len(curves)), _compared(curves)
    for _ in range(PASSES):
        if not now.moves.any():
            break
        places = places + now.moves - now.moves.mean()  # so that the mean keeps its energies
        now = _compared([(energy - at, y, s) for (energy, y, s), at in zip(curves, places, strict=True)])
    x, rows, sigmas, gains, shifts = now.x, now.rows, now.sigmas, now.gains, places + now.shifts
    told: tuple[tuple[float, ...], tuple[float, ...]] = (tuple(gains.tolist()), tuple(shifts.tolist()))
    flags = _drift(gains)
    trend = _trend(x, now.rests, sigmas, float(np.ptp(rows.mean(axis=0))))
    if trend is not None:
        flags.append(f"DOSE:{trend}" + ("" if force else "; only the first sweep is used"))
        if not force:
            return Merged(curves[0], (0,), *told, flags=tuple(flags))
    count = len(rows)
    scatter = float(1.4826 * np.median(np.abs(now.rests / sigmas)) * np.sqrt(count / (count - 1)))
    merged, error = _mean(rows / gains[:, None], sigmas / gains[:, None])
    return Merged(
        (x, merged, error * max(scatter, 1.0)),
        tuple(range(count)),
        *told,
        scatter=scatter,
        energy_sigma_eV=float(shifts.std(ddof=1) / np.sqrt(count)),
        flags=tuple(flags),
    )


@dataclass(frozen=True)
class _Comparison:
    """Repeats on one axis: what is left of each after gain, shift, offset and slope, and the gains and shifts."""

    x: FloatArray
    rows: FloatArray
    sigmas: FloatArray
    rests: FloatArray
    gains: FloatArray
    shifts: FloatArray
    moves: FloatArray
    """Shifts that are certain and large enough to be taken out; zero elsewhere."""


def _compared(curves: Sequence[Curve]) -> _Comparison:
    x, rows, sigmas = _on_one_axis(curves)
    mean = np.average(rows, axis=0, weights=1.0 / sigmas**2)
    nuisance = np.stack([mean, np.gradient(mean, x), np.ones_like(x), (x - x.mean()) / np.ptp(x)], axis=1)
    rests, gains, shifts, errors = np.empty_like(rows), *np.zeros((3, len(rows)))
    for k, (row, sigma) in enumerate(zip(rows, sigmas, strict=True)):
        weighted = nuisance / sigma[:, None]
        inverse = np.linalg.pinv(weighted)
        found = inverse @ (row / sigma)
        rests[k] = row - nuisance @ found
        misfit = float(((rests[k] / sigma) ** 2).mean())
        gains[k], shifts[k] = found[0], -found[1] / found[0]
        errors[k] = np.sqrt((inverse[1] ** 2).sum() * max(misfit, 1.0)) / abs(found[0])
    certain = (np.abs(shifts) > np.maximum(CERTAIN * errors, LEAST_SHIFT_EV)) & (np.abs(shifts) < MOST_SHIFT_EV)
    return _Comparison(x, rows, sigmas, rests, gains, shifts, np.where(certain, shifts, 0.0))


def _mean(level: FloatArray, sigmas: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean of repeats and its standard error, each repeat counting alike where it is known.

    Sweeps lie some 0.05 eV apart, and a mean is where its weights put it: weights by noise would place the spectrum
    elsewhere than the reference channel that tells its energies (0.01 eV), and weights point by point, where noise
    goes with the value, would give the lower of two values the more (0.005 eV).
    """
    weight = np.isfinite(sigmas).astype(float)
    total = weight.sum(axis=0)
    none = total == 0
    share = np.where(none, 1.0 / len(level), weight / np.where(none, 1.0, total))
    error = np.sqrt((share**2 * np.where(weight > 0, sigmas, 0.0) ** 2).sum(axis=0))
    return (share * level).sum(axis=0), np.where(none, np.inf, error)


def _on_one_axis(curves: Sequence[Curve]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the curves on the energies of the first, where all of them were measured; nothing is extrapolated."""
    low, high = max(c[0][0] for c in curves), min(c[0][-1] for c in curves)
    first = curves[0][0]
    slack = 0.51 * float(np.median(np.diff(first)))  # read-back energies of one point differ by less
    inside = (first >= low - slack) & (first <= high + slack)
    x = first[inside]
    if x.size < 12:
        raise DataError(f"the repeats overlap in {x.size} points only: {low:g} to {high:g} eV")
    moved = [_moved(c, x) for c in curves]
    return x, np.stack([values for values, _ in moved]), np.stack([sigma for _, sigma in moved])


def _moved(curve: Curve, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return a curve and its noise at other energies: its own values, along the slope, where points lie close by."""
    own, values, sigma = curve
    nearest = np.clip(np.searchsorted(own, x), 1, own.size - 1)
    nearest -= (x - own[nearest - 1] < own[nearest] - x).astype(int)
    off = x - own[nearest]
    step = np.gradient(own)[nearest]
    if (np.abs(off) < 0.3 * step).all():
        return values[nearest] + np.gradient(values, own)[nearest] * off, sigma[nearest]
    return np.interp(x, own, values), sigma[nearest]


def _drift(gains: FloatArray) -> list[str]:
    spread = float(gains.max() / gains.min() - 1.0)
    return [f"GAIN_DRIFT:{100 * spread:.1f} % between sweeps"] if spread > GAIN else []


def _trend(x: FloatArray, rests: FloatArray, sigmas: FloatArray, height: float) -> str | None:
    """Return where the repeats change from one to the next, and by how much, or None.

    The projection of the residuals on the number of the repeat is averaged over windows and set against its noise.
    """
    t = np.arange(len(rests), dtype=float)
    t -= t.mean()
    t /= np.sqrt((t**2).sum())
    change, noise = t @ rests, np.sqrt((t**2) @ np.where(np.isfinite(sigmas), sigmas, 1e3 * height) ** 2)
    best: tuple[float, float, float] = (0.0, 0.0, 0.0)
    for width in WIDTHS_EV:
        for start in np.arange(x[0], x[-1] - width, width / 2):
            part = (x >= start) & (x < start + width)
            if part.sum() < 3:
                continue
            mean, error = float(change[part].mean()), float(np.sqrt((noise[part] ** 2).sum()) / part.sum())
            if abs(mean) / error > abs(best[0]):
                best = (mean / error, mean, start + width / 2)
    size = best[1] * float(np.ptp(t)) / height  # from the first to the last
    if abs(best[0]) < TREND_SIGMA or abs(size) < LEAST_TREND:
        return None
    return f"{100 * size:+.1f} % of the height from first to last at {best[2]:.1f} eV ({abs(best[0]):.0f} sigma)"
