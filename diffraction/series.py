"""From the files of a recipe to frames: read, checked, aligned with the cycler, stacked on one axis."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from layerscope.errors import DataError, LayerscopeError, MissingDependencyError, ReaderError
from layerscope.records import InputFile, SampleState

from .dataset import Pattern
from .radiation import FloatArray, Radiation, tube_radiation
from .recipe import CyclerTable, DiffractionRecipe, FramesTable, RadiationTable, SeriesTable

__all__ = [
    "Frame",
    "FrameFailure",
    "FrameSeries",
    "Stack",
    "levels_of",
    "load_series",
    "noise_factor",
    "read_text",
    "stack",
    "times_of",
    "voltages_of",
]

SAME_WAVELENGTH = 2e-3
"""Relative difference between the wavelength of a file and of the recipe beyond which one of them is wrong."""


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
    cycler : InputFile or None
    notes, flags : tuple of str
    """

    table: SeriesTable
    sample: str
    frames: tuple[Frame, ...]
    failures: tuple[FrameFailure, ...]
    files: tuple[InputFile, ...]
    cycler: InputFile | None = None
    notes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    def state(self, frame: Frame | FrameFailure | None, region: str | None = None) -> SampleState:
        """Return the state that a record about a frame, or about the whole series, has."""
        whole = SampleState(
            sample=self.sample,
            cycle=self.table.cycle,
            step=self.table.step,
            voltage_V=self.table.voltage_V,
            temperature_K=self.table.temperature_K,
            region=region,
        )
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
        """Return the files behind a record; a frame rests on its own file and on the cycler's."""
        chosen = self.files if frame is None else (self.files[frame.file],)
        if self.cycler is not None and not isinstance(frame, FrameFailure):
            chosen = (*chosen, self.cycler)
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


def load_series(recipe: DiffractionRecipe, table: SeriesTable) -> FrameSeries:
    """Read the frames of a series and set them against time and voltage.

    Parameters
    ----------
    recipe : DiffractionRecipe
        Located.
    table : SeriesTable
        One of its series.

    Returns
    -------
    FrameSeries
        Frames that cannot be used are in ``failures``.

    Raises
    ------
    ReaderError, DataError
        If no frame can be used, the cycler's record is missing or cannot be aligned, or the wavelength is not known.
    MissingDependencyError
        If a format needs a library that is not installed.
    """
    frames, failures, files = _read_files(recipe, table)
    left_out = set(table.leave_out)
    frames = [f for f in frames if f.index not in left_out]
    failures = [f for f in failures if f.index not in left_out]
    if not frames:
        raise failures[0].error if failures else DataError("the series holds no frame", source=table.files[0])
    flags = [f"FRAMES_LEFT_OUT:{','.join(map(str, sorted(left_out)))}"] if left_out else []
    cycler = None
    notes: list[str] = []
    if table.frames is not None:
        frames = _timed(recipe, table.frames, frames, len(frames) + len(failures) + len(left_out))
    if table.cycler is not None:
        frames, cycler, notes = _aligned(recipe, table.cycler, frames)
    else:
        frames = _by_clock(frames)
    sample = table.sample or recipe.sample
    return FrameSeries(table, sample, tuple(frames), tuple(failures), tuple(files), cycler, tuple(notes), tuple(flags))


def _read_files(
    recipe: DiffractionRecipe, table: SeriesTable
) -> tuple[list[Frame], list[FrameFailure], list[InputFile]]:
    from .readers import ColumnMap, read

    columns = None
    if table.columns is not None:
        given = table.columns.model_dump(exclude_unset=True)
        columns = ColumnMap(**given)
    frames: list[Frame] = []
    failures: list[FrameFailure] = []
    files: list[InputFile] = []
    count = 0
    for number, path in enumerate(table.files):
        try:
            found = read(
                recipe.resolve(path), format=table.format, columns=columns, members=table.members, on_error="collect"
            )
        except MissingDependencyError:
            raise
        except LayerscopeError as error:
            error.source = path  # as the recipe names it, wherever the data lie
            files.append(_unread(recipe, path))
            failures.append(FrameFailure(count, number, error))
            count += 1
            continue
        files.append(
            InputFile(
                path=path,
                sha256=found.sha256,
                size=found.size,
                reader=f"{found.reader} {found.format}",
                reader_version=found.reader_version,
            )
        )
        items: list[Pattern | LayerscopeError] = []
        by_index = {p.index: p for p in found.frames}
        problems = {p.index: p for p in found.problems}
        for index in sorted({*by_index, *problems}):
            if index in by_index:
                items.append(by_index[index])
            else:
                problem = problems[index]
                message = problem.message.replace(str(recipe.resolve(path)), path)  # no path of this machine
                items.append(_error(problem.kind, message, problem.source or path))
        for item in items:
            if isinstance(item, LayerscopeError):
                failures.append(FrameFailure(count, number, item))
            else:
                _add_frame(recipe, table, replace(item, index=count), number, frames, failures)
            count += 1
    return frames, failures, files


def _add_frame(
    recipe: DiffractionRecipe,
    table: SeriesTable,
    pattern: Pattern,
    file: int,
    frames: list[Frame],
    failures: list[FrameFailure],
) -> None:
    try:
        radiation = _radiation(table.radiation or recipe.radiation, pattern)
        pattern = replace(pattern, radiation=radiation)
        if pattern.axis_kind != "two_theta":
            pattern = pattern.to("two_theta")
    except LayerscopeError as error:
        failures.append(FrameFailure(pattern.index, file, error))
    else:
        frames.append(Frame(pattern.index, file, pattern, radiation))


def _error(kind: str, message: str, source: str) -> LayerscopeError:
    cls = ReaderError if kind == "reader" else DataError
    return cls(message, source=source)


def _unread(recipe: DiffractionRecipe, path: str) -> InputFile:
    """Return the entry of a file that cannot be read; of one that is not there, the hash of nothing."""
    import hashlib

    try:
        data = recipe.resolve(path).read_bytes()
    except (LayerscopeError, OSError):
        data = b""
    return InputFile(
        path=path, sha256=hashlib.sha256(data).hexdigest(), size=len(data), reader="none", reader_version="0"
    )


def _radiation(given: RadiationTable | None, pattern: Pattern) -> Radiation:
    """Return the wavelengths: the recipe's if it has any, but not against what the file says."""
    own = pattern.radiation
    if given is None:
        if own is None:
            raise DataError(
                "the wavelength is not known: the file does not say it",
                source=pattern.source,
                hint="add a table [radiation] with anode or wavelength",
            )
        return own
    if given.anode is not None:
        radiation = tube_radiation(given.anode, lines=given.lines)
    else:
        assert given.wavelength is not None  # noqa: S101
        radiation = Radiation(given.wavelength, given.alpha2, given.ratio, source="given")
    radiation.check(pattern.source)
    if own is not None and not given.override and abs(own.alpha1 / radiation.alpha1 - 1) > SAME_WAVELENGTH:
        raise DataError(
            f"the recipe's wavelength is {radiation.alpha1:g} Å, the file says {own.alpha1:g} Å",
            source=pattern.source,
            hint="correct the recipe, or say radiation.override = true",
        )
    return radiation


def read_text(recipe: DiffractionRecipe, path: str, member: str | None) -> str:
    """Return a text file of a recipe, or the one file of that name in an archive.

    Raises
    ------
    ReaderError
        If it cannot be read, or the archive does not hold it.
    """
    from .readers._archive import member_names, open_archive, read_member
    from .readers._base import decode, load

    raw = load(recipe.resolve(path))
    if member is not None:
        with open_archive(raw) as archive:
            names = [n for n in member_names(archive) if n == member or n.rsplit("/", 1)[-1] == member]
            if len(names) != 1:
                raise ReaderError(f"{len(names)} members are called {member!r}", source=path)
            raw = read_member(raw, archive, names[0])
    return decode(raw.data)


def _timed(recipe: DiffractionRecipe, table: FramesTable, frames: list[Frame], total: int) -> list[Frame]:
    """Add times and voltages from a table, a log or a fixed period."""
    from datetime import timedelta

    if table.start is not None and table.period_s is not None:
        length = timedelta(seconds=table.duration_s or table.period_s)
        begins = [table.start + timedelta(seconds=f.index * table.period_s) for f in frames]
        frames = [
            replace(f, pattern=replace(f.pattern, start_time=begin, end_time=begin + length))
            for f, begin in zip(frames, begins, strict=True)
        ]
    if table.log is not None:
        frames = _logged(recipe, table, frames)
    if table.table is None:
        return frames
    rows = list(csv.DictReader(io.StringIO(read_text(recipe, table.table, table.member))))
    if len(rows) != total:
        raise DataError(f"the table has {len(rows)} rows for {total} frames", source=table.table)
    wanted = {"time_s": table.time_s, "voltage_V": table.voltage_V, "capacity_mAh_g": table.capacity_mAh_g}
    columns = {key: _column(rows, name, table.table) for key, name in wanted.items() if name is not None}
    return [replace(f, **{k: float(v[f.index]) for k, v in columns.items()}) for f in frames]  # type: ignore[arg-type]


def _column(rows: Sequence[dict[str, str]], name: str, source: str) -> FloatArray:
    if name not in rows[0]:
        raise DataError(f"the table has no column {name!r}", source=source, hint=f"columns: {', '.join(rows[0])}")
    try:
        values = np.array([float(row[name]) for row in rows])
    except (TypeError, ValueError) as error:
        raise DataError(f"column {name!r} holds something that is no number: {error}", source=source) from error
    if not np.isfinite(values).all():
        raise DataError(f"column {name!r} holds NaN or infinity", source=source)
    return values


def _logged(recipe: DiffractionRecipe, table: FramesTable, frames: list[Frame]) -> list[Frame]:
    from .cycler import read_frame_log, with_log
    from .dataset import PatternSeries

    assert table.log is not None  # noqa: S101
    log = read_frame_log(
        recipe.resolve(table.log),
        key=table.log_key,
        start=table.log_start,
        end=table.log_end,
        member=table.log_member,
    )
    patterns = tuple(f.pattern for f in frames)
    series = with_log(PatternSeries(Path(table.log), "", "", "", "", 0, patterns), log)
    return [replace(f, pattern=p) for f, p in zip(frames, series.frames, strict=True)]


def _aligned(
    recipe: DiffractionRecipe, table: CyclerTable, frames: list[Frame]
) -> tuple[list[Frame], InputFile, list[str]]:
    from .cycler import CyclerColumns, align, read_cycler

    columns = None if table.columns is None else CyclerColumns(**table.columns.model_dump(exclude_unset=True))
    try:
        cell = read_cycler(
            recipe.resolve(table.file),
            format="auto" if columns is not None else table.format,
            columns=columns,
            member=table.member,
        )
        found = align(
            [f.pattern for f in frames],
            cell,
            clock_offset_s=table.clock_offset_s,
            clock_sigma_s=table.clock_sigma_s,
            cycler_start=table.start,
            frame_duration_s=table.frame_duration_s,
            max_gap_s=table.max_gap_s,
        )
    except LayerscopeError as error:
        error.source = table.file
        raise
    scale = 1.0
    if cell.capacity_unit == "mAh":
        scale = float("nan") if table.mass_mg is None else 1e3 / table.mass_mg
    out = []
    for frame, state in zip(frames, found.states, strict=True):
        volts, charge = state.voltage_V, state.capacity
        known = None if charge is None or not np.isfinite(scale) else charge.value * scale
        out.append(
            replace(
                frame,
                time_s=(state.start_s + state.end_s) / 2,
                voltage_V=None if volts is None else volts.value,
                voltage_sigma_V=None if volts is None else volts.sigma,
                capacity_mAh_g=known,
                cycle=state.cycle,
                step=state.step,
                flags=state.flags,
            )
        )
    raw = recipe.resolve(table.file)
    entry = InputFile(
        path=table.file,
        sha256=cell.sha256 if table.member is None else _sha256(raw),
        size=raw.stat().st_size,
        reader=f"layerscope.diffraction.cycler {cell.format}",
        reader_version="1",
    )
    notes = [
        f"frames and cycler by clock: offset {table.clock_offset_s:g} s, standard error {table.clock_sigma_s:g} s; "
        "voltages are averages over the frame"
    ]
    return out, entry, notes


def _sha256(path: Path) -> str:
    from layerscope.records import file_sha256

    return file_sha256(path)


def _by_clock(frames: list[Frame]) -> list[Frame]:
    """Give each frame its time since the first one, if all know when they were measured."""
    if any(f.time_s is not None for f in frames) or any(f.pattern.start_time is None for f in frames):
        return frames
    middles = []
    for f in frames:
        start = f.pattern.start_time
        assert start is not None  # noqa: S101
        middles.append((start, 0.5 * (f.pattern.duration_s or 0.0)))
    if len({start.tzinfo is None for start, _ in middles}) > 1:
        return frames
    first = middles[0][0]
    times = [(start - first).total_seconds() + half for start, half in middles]
    if any(b <= a for a, b in itertools.pairwise(times)):
        return frames
    return [replace(f, time_s=t) for f, t in zip(frames, times, strict=True)]


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
    from .counting import mean_scale, poisson_scale

    sampled = series.frames[:: max(1, len(series.frames) // 20)]
    estimates = []
    for frame in sampled:
        try:
            estimates.append(poisson_scale(frame.pattern))
        except DataError:
            continue
    found = mean_scale(estimates) if estimates else None
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
    unlike = abs(found.factor / expected - 1) > max(0.1, 5 * found.sigma / expected)
    return expected, None, ((f"NOT_COUNTS:{found.factor / expected:.2f}",) if unlike else ()) + flags


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
