"""Frames against time, voltage and charge: from a log, a table, a fixed period, or the record of the cycler."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np

from layerscope.errors import DataError, LayerscopeError
from layerscope.measured.archive import one_member
from layerscope.measured.delimited import parse_table
from layerscope.measured.files import load
from layerscope.measured.series import Measurement
from layerscope.records import InputFile, file_sha256

from .frames import Frame
from .recipe_series import CyclerTable, DiffractionRecipe, FramesTable

__all__ = ["aligned", "by_clock", "timed", "with_period"]

M = TypeVar("M", bound=Measurement)


def timed(recipe: DiffractionRecipe, table: FramesTable, frames: list[Frame], total: int) -> list[Frame]:
    """Add times and voltages from a table, a log or a fixed period.

    Parameters
    ----------
    recipe : DiffractionRecipe
        Located.
    table : FramesTable
    frames : list of Frame
        Those that can be used.
    total : int
        How many frames the files hold, usable or not: a table has a row for each.

    Raises
    ------
    ReaderError, DataError
        If table or log cannot be read or do not fit the frames.
    """
    if table.start is not None and table.period_s is not None:
        patterns = with_period([f.pattern for f in frames], table.start, table.period_s, table.duration_s)
        frames = [replace(f, pattern=pattern) for f, pattern in zip(frames, patterns, strict=True)]
    if table.log is not None:
        frames = _logged(recipe, table, frames)
    if table.table is None:
        return frames
    rows = parse_table(one_member(load(recipe.resolve(table.table)), table.member), table, cells="any", least=1)
    if len(rows.rows) != total:
        raise DataError(f"the table has {len(rows.rows)} rows for {total} frames", source=table.table)
    wanted = {"time_s": table.time_s, "voltage_V": table.voltage_V, "capacity_mAh_g": table.capacity_mAh_g}
    columns = {key: rows.numbers(name) for key, name in wanted.items() if name is not None}
    for key, values in columns.items():
        if not np.isfinite(values).all():
            raise DataError(f"column {wanted[key]!r} holds NaN or infinity", source=table.table)
    return [replace(f, **{k: float(v[f.index]) for k, v in columns.items()}) for f in frames]  # type: ignore[arg-type]


def with_period(
    measurements: Sequence[M], start: datetime, period_s: float, duration_s: float | None = None
) -> list[M]:
    """Return measurements with times from a fixed period, for files that carry no time of measurement.

    Parameters
    ----------
    measurements : sequence of Measurement
    start : datetime
        Start of the one with index 0.
    period_s : float
        From start to start in s.
    duration_s : float, optional
        Length of one in s; without it the period.

    Returns
    -------
    list of Measurement
        Number i starts at ``start + i * period_s``, by its index, so that one left out leaves its gap.

    Raises
    ------
    DataError
        If period or duration is not positive, or the duration is longer than the period.
    """
    length = period_s if duration_s is None else duration_s
    if not (np.isfinite(period_s) and 0 < length <= period_s):
        raise DataError(f"frames of {length:g} s every {period_s:g} s are not possible")
    begins = [start + timedelta(seconds=m.index * period_s) for m in measurements]
    return [
        replace(m, start_time=begin, end_time=begin + timedelta(seconds=length))
        for m, begin in zip(measurements, begins, strict=True)
    ]


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
        columns=table,
    )
    patterns = tuple(f.pattern for f in frames)
    series = with_log(PatternSeries(Path(table.log), "", "", "", "", 0, patterns), log)
    return [replace(f, pattern=p) for f, p in zip(frames, series.frames, strict=True)]


def aligned(
    recipe: DiffractionRecipe, table: CyclerTable, frames: list[Frame]
) -> tuple[list[Frame], InputFile, list[str]]:
    """Add time, voltage and charge from the cycler's record, by the two clocks.

    Parameters
    ----------
    recipe : DiffractionRecipe
        Located.
    table : CyclerTable
    frames : list of Frame
        With times of their own.

    Returns
    -------
    frames : list of Frame
    cycler : InputFile
        What was read.
    notes : list of str

    Raises
    ------
    ReaderError, DataError
        If the record is missing, cannot be read or aligned; the error names it as the recipe does.
    """
    from .cycler import align, read_cycler

    try:
        cell = read_cycler(
            recipe.resolve(table.file),
            format="auto" if table.columns is not None else table.format,
            columns=table.columns,
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
        sha256=cell.sha256 if table.member is None else file_sha256(raw),
        size=raw.stat().st_size,
        reader=f"layerscope.diffraction.cycler {cell.format}",
        reader_version="1",
    )
    notes = [
        f"frames and cycler by clock: offset {table.clock_offset_s:g} s, standard error {table.clock_sigma_s:g} s; "
        "voltages are averages over the frame"
    ]
    return out, entry, notes


def by_clock(frames: list[Frame]) -> list[Frame]:
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
