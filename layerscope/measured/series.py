"""Series of measurements: each is a level with the state of the sample; put on one axis, they can be fitted together.

What a record about a level, or about the whole series, says of the sample and of its files follows from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from layerscope.errors import DataError, LayerscopeError
from layerscope.measured.measurement import FloatArray, Measurement, most_usual, same_axis
from layerscope.records import InputFile, SampleState

__all__ = ["Level", "MeasuredSeries", "Rejected", "Stack", "levels_of", "stack_levels", "times_of", "voltages_of"]

M = TypeVar("M", bound=Measurement)


@dataclass(frozen=True, eq=False)
class Level(Generic[M]):
    """One measurement of a series with the state of the sample.

    Attributes
    ----------
    index : int
        Number in the series, from 0; levels that cannot be used keep theirs.
    file : int
        Which of the series' files it is from.
    measurement : Measurement
    time_s, voltage_V, voltage_sigma_V, capacity_mAh_g : float or None
        Time since the start of the first level or of the cycler's first record, and what the cycler says.
    cycle, step : int or None
        As the cycler counts.
    flags : tuple of str
        Of the alignment with the cycler.
    """

    index: int
    file: int
    measurement: M
    time_s: float | None = None
    voltage_V: float | None = None
    voltage_sigma_V: float | None = None
    capacity_mAh_g: float | None = None
    cycle: int | None = None
    step: int | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rejected:
    """A level that cannot take part in the series, and why."""

    index: int
    file: int
    error: LayerscopeError
    time_s: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class MeasuredSeries(Generic[M]):
    """All levels of one series, on whatever axes.

    Attributes
    ----------
    whole : SampleState
        What a record about the whole series is about.
    levels : tuple of Level
        Those that can be used, in order.
    rejected : tuple of Rejected
    files : tuple of InputFile
        What was read; the selector is empty.
    others : tuple of InputFile
        What every level rests on besides its own file: the record of the cycler, times, structures.
    notes, flags : tuple of str
    cell : ndarray, shape (2, m), or None
        What the cycler recorded from the first level to the last: time on the clock of the levels (s), voltage (V).
    """

    whole: SampleState
    levels: tuple[Level[M], ...] = ()
    rejected: tuple[Rejected, ...] = ()
    files: tuple[InputFile, ...] = ()
    others: tuple[InputFile, ...] = ()
    notes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    cell: FloatArray | None = None

    @property
    def sample(self) -> str:
        """Name of the sample."""
        return self.whole.sample

    @property
    def measurements(self) -> tuple[M, ...]:
        """What was measured at each level."""
        return tuple(level.measurement for level in self.levels)

    @property
    def is_series(self) -> bool:
        """Whether there is more than one level."""
        return len(self.levels) + len(self.rejected) > 1

    def state(self, level: Level[M] | Rejected | None, region: str | None = None) -> SampleState:
        """Return the state that a record about a level, or about the whole series, has."""
        whole = self.whole.model_copy(update={"region": region})
        if level is None:
            return whole
        if isinstance(level, Rejected):
            return whole.model_copy(update={"frame": level.index})
        start = level.measurement.start_time
        known = {
            "frame": level.index if self.is_series else None,
            "elapsed_s": level.time_s,
            "voltage_V": level.voltage_V,
            "capacity_mAh_g": level.capacity_mAh_g,
            "step": None if level.step is None else str(level.step),
            "temperature_K": level.measurement.temperature_K,
            "time": None if start is None else start.isoformat(),
        }
        return whole.model_copy(update={k: v for k, v in known.items() if v is not None})

    def inputs(self, selector: str, level: Level[M] | Rejected | None = None) -> list[InputFile]:
        """Return the files behind a record; a level rests on its own file and on those that serve all levels."""
        chosen = self.files if level is None else (self.files[level.file],)
        if not isinstance(level, Rejected):
            own = {item.path for item in chosen}
            chosen = (*chosen, *(item for item in self.others if item.path not in own))
        text = selector if level is None else f"frame={level.index};{selector}"
        return [item.model_copy(update={"selector": text}) for item in chosen]


@dataclass(frozen=True, eq=False)
class Stack(Generic[M]):
    """Levels on one axis.

    Attributes
    ----------
    levels : tuple of Level
        L of them.
    axis : ndarray, shape (n,)
    intensity : ndarray, shape (L, n)
    variance : ndarray, shape (L, n), or None
        Of the intensities, infinite where nothing was measured; None where the files give no errors and nothing is
        masked. Of levels without errors only the infinite ones count.
    rejected : tuple of Rejected
        Levels that do not reach into the range, or whose axis is another one.
    """

    levels: tuple[Level[M], ...]
    axis: FloatArray
    intensity: FloatArray
    variance: FloatArray | None = None
    rejected: tuple[Rejected, ...] = ()

    def without(self, errors: Mapping[int, LayerscopeError]) -> Stack[M]:
        """Return the stack without some levels, named by their place, each with the reason."""
        kept = [k for k in range(len(self.levels)) if k not in errors]
        lost = ((self.levels[k], error) for k, error in errors.items())
        return replace(
            self,
            levels=tuple(self.levels[k] for k in kept),
            intensity=self.intensity[kept],
            variance=None if self.variance is None else self.variance[kept],
            rejected=(*self.rejected, *(Rejected(one.index, one.file, error, one.time_s) for one, error in lost)),
        )


def stack_levels(
    levels: Sequence[Level[M]],
    limits: tuple[float, float] | None = None,
    *,
    least: int,
    hint: str | None = None,
    unusable: Callable[[M], DataError | None] = lambda measurement: None,
) -> Stack[M]:
    """Cut levels to a range and put them on one axis; those on another axis are rejected.

    Parameters
    ----------
    levels : sequence of Level
    limits : (float, float), optional
        On the axis.
    least : int
        Points that a level has in the range at least.
    hint : str, optional
        What to do where nothing lies in the range.
    unusable : callable, optional
        Says what else is wrong with a measurement that was cut to the range.

    Returns
    -------
    Stack
        On the axis that most levels have; measurements are not cut.

    Raises
    ------
    DataError
        If no level can be used.
    """
    rejected: list[Rejected] = []
    cut: list[tuple[Level[M], M]] = []
    for level in levels:
        found = level.measurement.within(limits)
        if found.axis.size >= least:
            cut.append((level, found))
            continue
        axis, unit = level.measurement.axis, level.measurement.axis_unit
        low, high = limits or (float(axis[0]), float(axis[-1]))
        error = DataError(
            f"{level.measurement.name} runs from {axis[0]:g} to {axis[-1]:g} {unit}: "
            f"{found.axis.size} points lie in {low:g} to {high:g}",
            source=level.measurement.source or None,
            hint=hint,
        )
        rejected.append(Rejected(level.index, level.file, error, level.time_s))
    usual = most_usual([found for _, found in cut]) if cut else None
    kept: list[tuple[Level[M], M]] = []
    for level, found in cut:
        problem = _unlike(found, usual) or unusable(found)
        if problem is None:
            kept.append((level, found))
        else:
            rejected.append(Rejected(level.index, level.file, problem, level.time_s))
    rejected.sort(key=lambda r: r.index)
    if usual is None or not kept:
        raise rejected[0].error if rejected else DataError("there is no level")
    rows = np.stack([found.intensity for _, found in kept])
    variance = _variances([found for _, found in kept])
    return Stack(tuple(level for level, _ in kept), usual.axis, rows, variance, tuple(rejected))


def _variances(measurements: Sequence[Measurement]) -> FloatArray | None:
    if all(one.variance is None and one.use is None for one in measurements):
        return None
    rows = []
    for one in measurements:
        row = np.maximum(one.intensity, 1.0) if one.variance is None else one.variance
        rows.append(row if one.use is None else np.where(one.use, row, np.inf))
    return np.stack(rows)


def _unlike(found: M, usual: M | None) -> DataError | None:
    if usual is None or same_axis(usual, found):
        return None
    axis, common, unit = found.axis, usual.axis, found.axis_unit
    return DataError(
        f"{found.name} has {axis.size} points from {axis[0]:g} to {axis[-1]:g} {unit}, the series {common.size} from "
        f"{common[0]:g} to {common[-1]:g} {unit}: it is left out",
        source=found.source or None,
        hint="a scan that was cut off? narrow the range to what all have",
    )


def times_of(levels: Sequence[Level[M]]) -> FloatArray | None:
    """Return the time of every level (s), or None unless all are known and rise."""
    times = [level.time_s for level in levels]
    if any(t is None for t in times):
        return None
    values = np.array(times, float)
    return values if (np.diff(values) > 0).all() else None


def voltages_of(levels: Sequence[Level[M]]) -> tuple[FloatArray | None, FloatArray | None, list[str]]:
    """Return voltage and its error, a gap at the ends of the record filled with the nearest value, and flags."""
    known = [i for i, level in enumerate(levels) if level.voltage_V is not None]
    if len(known) < 2:
        return None, None, []
    at = np.arange(len(levels))
    values = np.interp(at, known, [levels[i].voltage_V or 0.0 for i in known])
    errors = np.interp(at, known, [levels[i].voltage_sigma_V or 0.0 for i in known])
    missing = [level.index for level in levels if level.voltage_V is None]
    flags = [f"NO_VOLTAGE:{','.join(map(str, missing))}"] if missing else []
    return values, errors if errors.any() else None, flags


def levels_of(
    levels: Sequence[Level[M]], times: FloatArray | None, voltage: FloatArray | None
) -> tuple[FloatArray, str, str]:
    """Return the levels of a series: times, else rising or falling voltages, else their numbers; with name and unit."""
    if times is not None:
        return times, "time", "s"
    if voltage is not None and ((np.diff(voltage) > 0).all() or (np.diff(voltage) < 0).all()):
        return voltage, "voltage", "V"
    return np.array([float(level.index) for level in levels]), "frame", "1"
