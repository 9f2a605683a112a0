"""Onset and end of phases in a refined series: kinks of their weight fractions, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from layerscope.records import Quantity

from ..peaks.onset import PhaseEvent, fit_kink, interval_frames
from ..peaks.quantities import quantities_of_events
from ..peaks.selection import runs
from ..radiation import FloatArray
from ..series import Frame, times_of, voltages_of
from .sequence import SeriesResult

__all__ = ["event_quantities", "phase_events"]

REACH = 6
"""Frames by which a kink may lie away from where the phase is first or last accepted."""


def phase_events(
    names: Sequence[str],
    present: np.ndarray,
    fraction: FloatArray,
    sigma: FloatArray,
    time: FloatArray,
    voltage: FloatArray | None,
) -> list[PhaseEvent]:
    """Return the kinks at which fractions leave zero or reach it.

    Parameters
    ----------
    names : sequence of str
        K phases.
    present : ndarray of bool, shape (K, F)
    fraction, sigma : ndarray, shape (K, F)
        Of either sign; NaN where nothing is known.
    time : ndarray, shape (F,)
        Rising.
    voltage : ndarray, shape (F,), optional
    """
    events: list[PhaseEvent] = []
    frames = time.size
    edges: tuple[tuple[Literal["onset", "end"], int], ...] = (("onset", 0), ("end", 1))
    for k, name in enumerate(names):
        for run in runs(present[k]):
            for kind, side in edges:
                if run[0] == 0 if side == 0 else run[1] == frames:
                    continue
                at = interval_frames(run, frames, np.nan_to_num(fraction[k]), kind, before=10, after=14, sigma=sigma[k])
                at = at[np.isfinite(fraction[k, at]) & np.isfinite(sigma[k, at]) & (sigma[k, at] > 0)]
                edge = run[0] if kind == "onset" else run[1] - 1
                low, high = max(edge - REACH, 0), min(edge + REACH, frames - 1)
                bounds = float(time[low]), float(time[high])
                event = fit_kink(
                    name,
                    kind,
                    time[at],
                    fraction[k, at],
                    sigma[k, at],
                    bounds=bounds,
                    frame_time=time,
                    voltage=voltage,
                )
                events += [] if event is None else [event]
    return events


def event_quantities(
    frames: Sequence[Frame], found: SeriesResult, names: Sequence[str]
) -> tuple[list[Quantity], list[str]]:
    """Return onsets and ends of all phases of a refined series, and in words which frames hold them.

    Parameters
    ----------
    frames : sequence of Frame
    found : SeriesResult
        Of the same frames.
    names : sequence of str
        Phases.
    """
    good = [i for i, item in enumerate(found.frames) if item.result is not None]
    members = [frames[i] for i in good]
    times = times_of(members)
    time = times if times is not None else np.array([float(f.index) for f in members])
    voltage, voltage_sigma, _ = voltages_of(members)
    present = np.array([[n in found.frames[i].active for i in good] for n in names], bool)
    fraction, sigma = np.full(present.shape, np.nan), np.full(present.shape, np.nan)
    for k, name in enumerate(names):
        for j, i in enumerate(good):
            value, error = found.frames[i].fraction(name)
            trial = found.frames[i].tested.get(name)
            if not present[k, j] and trial is not None:
                value, error = trial.fraction, trial.sigma
            elif not present[k, j]:
                continue
            fraction[k, j], sigma[k, j] = value, error if error is not None else np.nan
    notes = []
    for k, name in enumerate(names):
        spans = [f"{members[a].index} to {members[b - 1].index}" for a, b in runs(present[k])]
        notes.append(f"{name}: in frames {', '.join(spans)}" if spans else f"{name}: in no frame")
    events = phase_events(names, present, fraction, sigma, time, voltage) if len(good) > 4 else []
    quantities = quantities_of_events(events, voltage_sigma, {n: n for n in names})
    if times is None:
        quantities = [q for q in quantities if not q.name.endswith("_time")]
    return quantities, notes
