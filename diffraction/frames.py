"""Frames of a series with the state of the cell, and what a record about them rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from layerscope.errors import DataError, LayerscopeError
from layerscope.records import InputFile, SampleState

from .dataset import Pattern
from .radiation import FloatArray, Radiation
from .recipe_series import SeriesTable

__all__ = ["Frame", "FrameFailure", "FrameSeries", "levels_of", "times_of", "voltages_of"]


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame with the state of the cell.

    Attributes
    ----------
    index : int
        Number in the series, from 0; frames that cannot be used keep theirs.
    file : int
        Which of the recipe's files it is from.
    pattern : Pattern
    radiation : Radiation
    time_s, voltage_V, voltage_sigma_V, capacity_mAh_g : float or None
        Since the start of the first frame or the cycler's first record.
    cycle, step : int or None
        As the cycler counts.
    flags : tuple of str
        Of the alignment.
    """

    index: int
    file: int
    pattern: Pattern
    radiation: Radiation
    time_s: float | None = None
    voltage_V: float | None = None
    voltage_sigma_V: float | None = None
    capacity_mAh_g: float | None = None
    cycle: int | None = None
    step: int | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class FrameFailure:
    """A frame that cannot be used, and why."""

    index: int
    file: int
    error: LayerscopeError


@dataclass(frozen=True, eq=False)
class FrameSeries:
    """All frames of one series.

    Attributes
    ----------
    table : SeriesTable
        Of the recipe.
    sample : str
    frames : tuple of Frame
        Those that can be used, in order.
    failures : tuple of FrameFailure
    files : tuple of InputFile
        What was read; the selector is empty.
    others : tuple of InputFile
        What frames rest on besides their own files: record of the cycler, times, structures, instrument.
    notes, flags : tuple of str
    """

    table: SeriesTable
    sample: str
    frames: tuple[Frame, ...]
    failures: tuple[FrameFailure, ...]
    files: tuple[InputFile, ...]
    others: tuple[InputFile, ...] = ()
    notes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    def state(self, frame: Frame | FrameFailure | None, region: str | None = None) -> SampleState:
        """Return the state that a record about a frame, or about the whole series, has."""
        whole = self.table.state(self.sample, temperature_K=self.table.temperature_K, region=region)
        if frame is None:
            return whole
        if isinstance(frame, FrameFailure):
            return whole.model_copy(update={"frame": frame.index})
        start = frame.pattern.start_time
        known = {
            "frame": frame.index if self.is_series else None,
            "elapsed_s": frame.time_s,
            "voltage_V": frame.voltage_V,
            "capacity_mAh_g": frame.capacity_mAh_g,
            "step": None if frame.step is None else str(frame.step),
            "temperature_K": frame.pattern.temperature_K,
            "time": None if start is None else start.isoformat(),
        }
        return whole.model_copy(update={k: v for k, v in known.items() if v is not None})

    @property
    def is_series(self) -> bool:
        """Whether there is more than one frame."""
        return len(self.frames) + len(self.failures) > 1

    def inputs(self, selector: str, frame: Frame | FrameFailure | None = None) -> list[InputFile]:
        """Return the files behind a record; a frame rests on its own file and on those that serve all frames."""
        chosen = self.files if frame is None else (self.files[frame.file],)
        if not isinstance(frame, FrameFailure):
            own = {item.path for item in chosen}
            chosen = (*chosen, *(item for item in self.others if item.path not in own))
        text = selector if frame is None else f"frame={frame.index};{selector}"
        return [item.model_copy(update={"selector": text}) for item in chosen]

    @cached_property
    def radiation(self) -> Radiation:
        """Wavelengths of all frames; a DataError if they differ."""
        first = self.frames[0].radiation
        for frame in self.frames[1:]:
            if abs(frame.radiation.alpha1 / first.alpha1 - 1) > 1e-6:
                raise DataError(
                    f"frames 0 and {frame.index} have different wavelengths: "
                    f"{first.alpha1:g} and {frame.radiation.alpha1:g} Å",
                    source=frame.pattern.source,
                )
        return first


def times_of(frames: Sequence[Frame]) -> FloatArray | None:
    """Return the time of every frame (s), or None unless all are known and rise."""
    times = [f.time_s for f in frames]
    if any(t is None for t in times):
        return None
    values = np.array(times, float)
    return values if (np.diff(values) > 0).all() else None


def voltages_of(frames: Sequence[Frame]) -> tuple[FloatArray | None, FloatArray | None, list[str]]:
    """Return voltage and its error, a gap at the ends of the record filled with the nearest value, and flags."""
    known = [i for i, f in enumerate(frames) if f.voltage_V is not None]
    if len(known) < 2:
        return None, None, []
    at = np.arange(len(frames))
    values = np.interp(at, known, [frames[i].voltage_V or 0.0 for i in known])
    errors = np.interp(at, known, [frames[i].voltage_sigma_V or 0.0 for i in known])
    missing = [f.index for f in frames if f.voltage_V is None]
    flags = [f"NO_VOLTAGE:{','.join(map(str, missing))}"] if missing else []
    return values, errors if errors.any() else None, flags


def levels_of(
    frames: Sequence[Frame], times: FloatArray | None, voltage: FloatArray | None
) -> tuple[FloatArray, str, str]:
    """Return the levels of a series: times, else rising or falling voltages, else the numbers of the frames."""
    if times is not None:
        return times, "time", "s"
    if voltage is not None and ((np.diff(voltage) > 0).all() or (np.diff(voltage) < 0).all()):
        return voltage, "voltage", "V"
    return np.array([float(f.index) for f in frames]), "frame", "1"
