"""Phases that appear and end along a series: kinks of their fractions, and the quantities that state them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from layerscope.records import Quantity
from layerscope.runs.build import interval

from .onset import PhaseEvent, fit_kink, interval_frames
from .radiation import FloatArray

__all__ = ["KINK_REACH", "find_kinks", "quantities_of_events", "runs"]

BoolArray = NDArray[np.bool_]

KINK_REACH = 6
"""Frames by which a kink may lie away from where a phase is first or last there."""

BEFORE, AFTER = 10, 14
"""Frames outside and inside a run of presence that decide on its kink."""

NEAR = 3
"""Frames beside a kink that tell of the error that all have in common."""

_KINDS: tuple[Literal["onset", "end"], ...] = ("onset", "end")
_SCALES = (("voltage", "V"), ("time", "s"), ("frame", "1"))


def runs(mask: BoolArray) -> list[tuple[int, int]]:
    """Return the stretches (start, stop) in which a mask is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def find_kinks(
    names: Sequence[str],
    present: BoolArray,
    fraction: FloatArray,
    sigma: FloatArray,
    time: FloatArray,
    voltage: FloatArray | None,
    common: FloatArray | None = None,
) -> list[tuple[PhaseEvent, int, tuple[int, int]]]:
    """Return onset and end of every run of presence, each with the index of its phase and the run (start, stop).

    Parameters
    ----------
    names : sequence of str
        K phases or lines.
    present : ndarray of bool, shape (K, F)
    fraction, sigma : ndarray, shape (K, F)
        Amounts of either sign, also where they were judged absent, and their errors; NaN where nothing is known.
    time : ndarray, shape (F,)
        Rising (s), or the numbers of the frames.
    voltage : ndarray, shape (F,), optional
        To translate (V).
    common : ndarray, shape (K, F), optional
        Part of the errors of the amounts that frames of the phase have in common.
    """
    events = []
    frames = time.size
    for k, name in enumerate(names):
        known = np.nan_to_num(fraction[k])
        usable = np.isfinite(fraction[k]) & np.isfinite(sigma[k]) & (sigma[k] > 0)
        for run in runs(present[k]):
            for kind in _KINDS:
                edge, end = (run[0], 0) if kind == "onset" else (run[1] - 1, frames - 1)
                if edge == end:
                    continue  # there from the first frame on, or to the last
                at = interval_frames(run, frames, known, kind, before=BEFORE, after=AFTER, sigma=sigma[k])
                at = at[usable[at]]
                low, high = max(edge - KINK_REACH, 0), min(edge + KINK_REACH, frames - 1)
                bounds = float(time[low]), float(time[high])
                beside = np.arange(*run)[:NEAR] if kind == "onset" else np.arange(*run)[-NEAR:]
                event = fit_kink(
                    name,
                    kind,
                    time[at],
                    fraction[k, at],
                    sigma[k, at],
                    bounds=bounds,
                    frame_time=time,
                    voltage=voltage,
                    common=0.0 if common is None else float(common[k, beside].mean()),
                )
                if event is not None:
                    events.append((event, k, run))
    return events


def quantities_of_events(
    events: Sequence[PhaseEvent], voltage_sigma: FloatArray | None, labels: Mapping[str, str], *, timed: bool
) -> list[Quantity]:
    """Return events on the scales of voltage, time and frame, with 68 % intervals.

    Parameters
    ----------
    events : sequence of PhaseEvent
        A phase that comes again is called ``H1-3 (2)``.
    voltage_sigma : ndarray, shape (F,), optional
        Standard error of each frame's voltage (V).
    labels : mapping of str to str
        What phases are called in records.
    timed : bool
        Whether times are known; without them the series ran over the numbers of the frames.
    """
    found: list[Quantity] = []
    seen: dict[tuple[str, str], int] = {}
    for event in events:
        key = (event.kind, event.phase)
        seen[key] = seen.get(key, 0) + 1
        label = labels[event.phase]
        component = label if seen[key] == 1 else f"{label} ({seen[key]})"
        for scale, unit in _SCALES:
            place = {"voltage": event.voltage_V, "time": event.time_s if timed else None, "frame": event.frame}[scale]
            if place is None:
                continue
            extra = _clock_error(event, voltage_sigma) if scale == "voltage" else 0.0
            name = f"phase.{event.kind}_{scale}"
            quantity = interval(name, place, unit, component, part="voltage", extra=extra)
            found += [] if quantity is None else [quantity]
    return found


def _clock_error(event: PhaseEvent, voltage_sigma: FloatArray | None) -> float:
    if voltage_sigma is None or not np.isfinite(voltage_sigma).any():
        return 0.0
    known = np.flatnonzero(np.isfinite(voltage_sigma))
    return float(np.interp(event.frame.value, known, voltage_sigma[known]))
