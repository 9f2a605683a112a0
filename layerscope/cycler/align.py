"""Voltage, current and charge of each frame, by the clocks of instrument and cycler, with their errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

import numpy as np

from layerscope.cycler.data import CyclerData, IntArray
from layerscope.errors import DataError
from layerscope.measured.measurement import FloatArray, Measurement

__all__ = ["FrameState", "Measured", "align", "zoned"]

_GAP_FACTOR = 20.0
"""A pause of the record that is longer than this many median intervals is a gap."""

_LEAST_GAP_S = 120.0


@dataclass(frozen=True)
class Measured:
    """A quantity of the cell, averaged over a frame.

    Parameters
    ----------
    value : float
        Time average over the frame.
    clock : float
        Error from the uncertainty of the clocks: how much the average changes when the frame is moved by it.
    spread : float
        Standard deviation within the frame: how well one number stands for it.
    resolution : float
        Step of the record over the square root of 12.
    low, high : float
        Least and greatest value within the frame.
    """

    value: float
    clock: float
    spread: float
    resolution: float
    low: float
    high: float

    @property
    def sigma(self) -> float:
        """All three errors in quadrature."""
        return float(np.sqrt(self.clock**2 + self.spread**2 + self.resolution**2))


@dataclass(frozen=True)
class FrameState:
    """The cell during one frame.

    Parameters
    ----------
    index : int
        Number of the frame.
    start_s, end_s : float
        Of the frame, in s since the cycler's first record.
    coverage : float
        Share of the frame that the record covers.
    voltage_V, current, capacity : Measured or None
        In the units of the record; None where the record does not cover the frame, or has no such column.
    cycle, step : int or None
        That of the cycler at the middle of the frame.
    flags : tuple of str
        ``BEFORE_RECORD``, ``AFTER_RECORD``, ``PARTIAL:0.43``, ``GAP:600 s``, ``STEP_CHANGE``.
    """

    index: int
    start_s: float
    end_s: float
    coverage: float
    voltage_V: Measured | None
    current: Measured | None
    capacity: Measured | None
    cycle: int | None
    step: int | None
    flags: tuple[str, ...]


def align(
    frames: Sequence[Measurement],
    cycler: CyclerData,
    *,
    clock_offset_s: float = 0.0,
    clock_sigma_s: float,
    cycler_start: datetime | None = None,
    frame_duration_s: float | None = None,
    frames_zone: tzinfo | None = None,
    max_gap_s: float | None = None,
) -> tuple[FrameState, ...]:
    """Average the cycler's record over each frame.

    The record is joined linearly between its points. The error from the clocks is the root mean square change of the
    average when the frame moves by plus and minus `clock_sigma_s`, which is the slope times that uncertainty where the
    record is straight, and stays right at a turning point, where the slope is zero.

    Parameters
    ----------
    frames : sequence of Measurement
        With a start time.
    cycler : CyclerData
        The record.
    clock_offset_s : float, default 0
        By how many seconds the cycler's clock is ahead of the instrument's.
    clock_sigma_s : float
        Standard deviation of that offset in s. There is no default: two clocks that nobody compared differ by a minute.
    cycler_start : datetime, optional
        Time of the first record, in place of what the file gives.
    frame_duration_s : float, optional
        Length of the frames that have no end time.
    frames_zone : tzinfo, optional
        Zone of naive times of frames; needed only where the cycler's clock gives one.
    max_gap_s : float, optional
        Longest pause of the record that may be joined; by default 20 median intervals, at least 120 s.

    Returns
    -------
    tuple of FrameState
        One a frame. Frames outside the record have no values and say so.

    Raises
    ------
    DataError
        If a frame has no start or no end, the record no start, only one of both clocks a zone, or no frame at all lies
        within the record.
    """
    if not (np.isfinite(clock_offset_s) and np.isfinite(clock_sigma_s) and clock_sigma_s >= 0):
        raise DataError(f"the clock offset is {clock_offset_s} s with an error of {clock_sigma_s} s")
    cycler.check()
    if not frames:
        raise DataError("there is no frame to align")
    origin = cycler_start or cycler.start
    if origin is None:
        raise DataError("the time of the cycler's first record is not known", source=cycler.source, hint="cycler_start")
    spans = [_span(frame, origin, clock_offset_s, frame_duration_s, frames_zone) for frame in frames]
    gap = max_gap_s if max_gap_s is not None else _usual_gap(cycler.time_s)
    states = tuple(_state(f.index, *span, cycler, clock_sigma_s, gap) for f, span in zip(frames, spans, strict=True))
    if not any(state.coverage > 0 for state in states):
        first, last = spans[0], spans[-1]
        raise DataError(
            f"no frame lies within the record of {cycler.time_s[-1]:g} s: they run from {first[0]:g} to {last[1]:g} s",
            source=cycler.source,
            hint="check the clock offset, the time zones and the date",
        )
    return states


def zoned(time: datetime | None, zone: tzinfo | None) -> datetime | None:
    """Return a time with this zone where it has none of its own."""
    return time.replace(tzinfo=zone) if time is not None and time.tzinfo is None and zone is not None else time


def _span(
    frame: Measurement, origin: datetime, offset: float, duration: float | None, zone: tzinfo | None
) -> tuple[float, float]:
    start, end = zoned(frame.start_time, zone), zoned(frame.end_time, zone)
    if start is None:
        raise DataError(
            f"frame {frame.index} has no start time", source=frame.source, hint="give a period, or a log of the frames"
        )
    if (start.tzinfo is None) != (origin.tzinfo is None):
        which, key = ("frames", "frames_zone") if start.tzinfo is None else ("cycler", "zone")
        raise DataError(f"only one of both clocks has a time zone; that of the {which} has none", hint=f"give {key}")
    begin = (start - origin).total_seconds() + offset
    if end is not None:
        return begin, begin + (end - start).total_seconds()
    if duration is None:
        raise DataError(f"frame {frame.index} has no end time", source=frame.source, hint="give frame_duration_s")
    return begin, begin + duration


def _usual_gap(time_s: FloatArray) -> float:
    steps = np.diff(time_s)
    steps = steps[steps > 0]
    return max(_LEAST_GAP_S, _GAP_FACTOR * float(np.median(steps))) if steps.size else _LEAST_GAP_S


def _state(index: int, start: float, end: float, cycler: CyclerData, clock_sigma: float, max_gap: float) -> FrameState:
    time = cycler.time_s
    low, high = max(start, float(time[0])), min(end, float(time[-1]))
    inside = high > low or (end == start and low == high)
    coverage = 0.0 if not inside else 1.0 if end == start else (high - low) / (end - start)
    flags = _flags(start, end, coverage, low, high, cycler, max_gap)
    if not inside:
        return FrameState(index, start, end, 0.0, None, None, None, None, None, flags)
    quantities = [
        None if values is None else _measured(time, values, low, high, clock_sigma)
        for values in (cycler.voltage_V, cycler.current, cycler.capacity)
    ]
    middle = (low + high) / 2
    cycle, step = (_at(time, values, middle) for values in (cycler.cycle, cycler.step))
    return FrameState(index, start, end, coverage, quantities[0], quantities[1], quantities[2], cycle, step, flags)


def _flags(
    start: float, end: float, coverage: float, low: float, high: float, cycler: CyclerData, max_gap: float
) -> tuple[str, ...]:
    time = cycler.time_s
    if coverage == 0.0:
        return ("BEFORE_RECORD",) if start < time[0] else ("AFTER_RECORD",)
    flags = [] if coverage >= 1.0 else [f"PARTIAL:{coverage:.2f}"]
    first = max(int(np.searchsorted(time, low, side="right")) - 1, 0)
    last = min(int(np.searchsorted(time, high, side="left")), time.size - 1)
    pause = float(np.diff(time[first : last + 1]).max(initial=0.0))
    if pause > max_gap:
        flags.append(f"GAP:{pause:.0f} s")
    if (cycler.step is not None and np.ptp(cycler.step[first : last + 1]) > 0) or (
        cycler.step is None and cycler.current is not None and np.ptp(np.sign(cycler.current[first : last + 1])) > 0
    ):
        flags.append("STEP_CHANGE")
    return tuple(flags)


def _at(time: FloatArray, values: IntArray | None, moment: float) -> int | None:
    return None if values is None else int(values[max(int(np.searchsorted(time, moment, side="right")) - 1, 0)])


def _measured(time: FloatArray, values: FloatArray, low: float, high: float, clock_sigma: float) -> Measured:
    x, y = _cut(time, values, low, high)
    mean, square = _averages(x, y)
    changes = []
    for shift in (-clock_sigma, clock_sigma):
        begin, finish = np.clip([low + shift, high + shift], time[0], time[-1])
        changes.append(_averages(*_cut(time, values, float(begin), float(finish)))[0] - mean)
    clock = float(np.sqrt(np.mean(np.square(changes))))
    spread = float(np.sqrt(max(square - mean**2, 0.0))) if y.max() > y.min() else 0.0
    return Measured(mean, clock, spread, _resolution(values), float(y.min()), float(y.max()))


def _cut(time: FloatArray, values: FloatArray, low: float, high: float) -> tuple[FloatArray, FloatArray]:
    """Cut the record between two times, with its values there."""
    inside = slice(int(np.searchsorted(time, low, side="right")), int(np.searchsorted(time, high, side="left")))
    ends = np.interp([low, high], time, values)
    x = np.concatenate([[low], time[inside], [high]])
    return x, np.concatenate([ends[:1], values[inside], ends[1:]])


def _averages(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Time averages of a broken line and of its square."""
    length = float(x[-1] - x[0])
    if length <= 0:
        return float(y[0]), float(y[0]) ** 2
    steps, a, b = np.diff(x), y[:-1], y[1:]
    return float((steps * (a + b)).sum() / (2 * length)), float((steps * (a * a + a * b + b * b)).sum() / (3 * length))


def _resolution(values: FloatArray) -> float:
    steps = np.diff(np.unique(values))
    return float(steps.min()) / np.sqrt(12.0) if steps.size else 0.0
