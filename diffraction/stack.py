"""Frames on one axis, and how much their intensities scatter."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from layerscope.errors import DataError

from .frames import Frame, FrameFailure, FrameSeries
from .radiation import FloatArray

if TYPE_CHECKING:
    from .counting import PoissonScale

__all__ = ["Stack", "frames_failed", "noise_factor", "stack"]


@dataclass(frozen=True, eq=False)
class Stack:
    """Frames on one axis.

    Attributes
    ----------
    frames : tuple of Frame
        F of them.
    two_theta : ndarray, shape (n,)
        Degrees.
    intensity : ndarray, shape (F, n)
    failures : tuple of FrameFailure
        Frames whose axis is another one.
    """

    frames: tuple[Frame, ...]
    two_theta: FloatArray
    intensity: FloatArray
    failures: tuple[FrameFailure, ...] = field(default=())


def stack(series: FrameSeries, limits: tuple[float, float] | None) -> Stack:
    """Cut the frames to a range and put them on one axis; those on another axis become failures.

    Parameters
    ----------
    series : FrameSeries
    limits : (float, float), optional
        Degrees.

    Returns
    -------
    Stack
        On the axis that most frames have.

    Raises
    ------
    DataError
        If no frame reaches into the range.
    """
    cut: list[tuple[Frame, FloatArray, FloatArray] | FrameFailure] = []
    for frame in series.frames:
        x, y = frame.pattern.two_theta, frame.pattern.intensity
        low, high = limits or (float(x[0]), float(x[-1]))
        keep = (x >= low - 1e-9) & (x <= high + 1e-9)
        if keep.sum() < 20:
            error = DataError(
                f"frame {frame.index} runs from {x[0]:g} to {x[-1]:g} degrees: nothing lies in {low:g} to {high:g}",
                source=frame.pattern.source,
                hint="check range_2theta and the wavelength",
            )
            cut.append(FrameFailure(frame.index, frame.file, error))
        else:
            cut.append((frame, x[keep], y[keep]))
    usable = [c for c in cut if not isinstance(c, FrameFailure)]
    if not usable:
        raise next(c.error for c in cut if isinstance(c, FrameFailure))
    axis = _usual_axis([x for _, x, _ in usable])
    frames, rows = [], []
    failures = [c for c in cut if isinstance(c, FrameFailure)]
    for frame, x, y in usable:
        problem = _unlike(frame, x, axis) or _dark(frame, y)
        if problem is None:
            frames.append(frame)
            rows.append(y)
        else:
            failures.append(FrameFailure(frame.index, frame.file, problem))
    if not frames:
        raise failures[0].error
    return Stack(tuple(frames), axis, np.stack(rows), tuple(sorted(failures, key=lambda f: f.index)))


def frames_failed(series: FrameSeries, stacked: Stack | None = None) -> tuple[str, ...]:
    """Return the flag that names the frames of a series that could not be used; none where all could."""
    failures = (*series.failures, *(stacked.failures if stacked is not None else ()))
    failed = sorted({failure.index for failure in failures})
    return (f"FRAMES_FAILED:{','.join(map(str, failed))}",) if failed else ()


def _usual_axis(axes: Sequence[FloatArray]) -> FloatArray:
    """Return the axis that most frames have; of equally frequent ones the first."""
    keys = [(x.size, round(float(x[0]), 4), round(float(x[-1]), 4)) for x in axes]
    best = max(dict.fromkeys(keys), key=keys.count)
    return axes[keys.index(best)]


def _unlike(frame: Frame, x: FloatArray, axis: FloatArray) -> DataError | None:
    step = float(np.ptp(axis)) / (axis.size - 1)
    if x.size == axis.size and float(np.abs(x - axis).max()) <= 1e-3 * step:
        return None
    return DataError(
        f"frame {frame.index} has another axis than the series: {x.size} points from {x[0]:g} to {x[-1]:g} degrees, "
        f"not {axis.size} from {axis[0]:g} to {axis[-1]:g}",
        source=frame.pattern.source,
        hint="a scan that was cut off? narrow range_2theta to what all frames have",
    )


def _dark(frame: Frame, y: FloatArray) -> DataError | None:
    if (y > 0).any():
        return None
    return DataError(f"all intensities of frame {frame.index} in the range are zero", source=frame.pattern.source)


def noise_factor(series: FrameSeries, noise: str) -> tuple[float, float | None, tuple[str, ...]]:
    """Return variance over mean of the intensities, its standard error if estimated, and flags.

    Parameters
    ----------
    series : FrameSeries
    noise : {"poisson", "scaled"}
        As in the recipe.

    Returns
    -------
    factor : float
        1 for counts, 1/t for counts per second, the estimate from flat regions for ``"scaled"``.
    sigma : float or None
    flags : tuple of str
        ``NOT_COUNTS:0.70`` where intensities are taken for counts and do not scatter as such; ``NOISE_CORRELATED``
        with what to know where neighbouring points are correlated.

    Raises
    ------
    DataError
        If the unit is arbitrary and `noise` is not ``"scaled"``, or a rate has no counting time.
    """
    found = _noise(series)
    flags = (f"NOISE_CORRELATED:{found.note}",) if found is not None and found.is_correlated else ()
    if noise == "scaled":
        if found is None or not found.factor > 0:
            raise DataError("too few flat points tell the noise", hint="give the full range, or noise = 'poisson'")
        return found.factor, found.sigma, flags
    pattern = series.frames[0].pattern
    expected = 1.0
    if pattern.intensity_unit == "counts/s":
        if pattern.time_per_step_s is None:
            raise DataError(
                "intensities are rates without a counting time", source=pattern.source, hint="noise = 'scaled'"
            )
        expected = 1.0 / pattern.time_per_step_s
    elif pattern.intensity_unit == "arbitrary":
        raise DataError(
            "the intensities are no counts, so their errors are not known",
            source=pattern.source,
            hint="noise = 'scaled' estimates them from flat regions",
        )
    if found is None:
        return expected, None, ()
    # a scatter of three times the counts' has three times the error: what counts is the error that counts would have
    error = found.sigma / max(expected, found.factor)
    unlike = abs(found.factor / expected - 1) > max(0.1, 5 * error)
    return expected, None, ((f"NOT_COUNTS:{found.factor / expected:.2f}",) if unlike else ()) + flags


def _noise(series: FrameSeries) -> PoissonScale | None:
    """Return the mean noise of about twenty frames, None where no frame has enough flat points to tell it."""
    from .counting import mean_scale, poisson_scale

    sampled = [frame.pattern for frame in series.frames[:: max(1, len(series.frames) // 20)]]
    sums: dict[int, FloatArray] = {}
    for pattern in sampled:  # lines too weak to be seen in one frame add up over frames, in the mean noise as here
        size = pattern.intensity.size
        sums[size] = sums.get(size, np.zeros(size)) + pattern.intensity
    estimates = []
    for pattern in sampled:
        with suppress(DataError):
            estimates.append(poisson_scale(pattern, lines=sums[pattern.intensity.size]))
    return mean_scale(estimates) if estimates else None
