"""Levels against time, voltage and charge: from a log, a table, a fixed period, or the record of the cycler."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np

from layerscope.cycler import align, read_cycler, read_frame_log, with_log
from layerscope.cycler.align import zoned
from layerscope.cycler.options import CyclerTable, FramesTable, zone_of
from layerscope.errors import DataError, LayerscopeError
from layerscope.measured.archive import one_member
from layerscope.measured.delimited import parse_table
from layerscope.measured.files import fingerprint, load
from layerscope.measured.measurement import FloatArray, Measurement
from layerscope.measured.series import Level
from layerscope.records import InputFile

__all__ = ["aligned", "by_clock", "timed", "with_period"]

M = TypeVar("M", bound=Measurement)
Resolve = Callable[[str], Path]


def timed(levels: Sequence[Level[M]], table: FramesTable, resolve: Resolve, total: int) -> list[Level[M]]:
    """Add times and voltages from a table, a log or a fixed period.

    Parameters
    ----------
    levels : sequence of Level
        Those that can be used.
    table : FramesTable
    resolve : callable
        Gives the file that a path of the recipe means.
    total : int
        How many levels the files hold, usable or not: a table has a row for each.

    Raises
    ------
    ReaderError, DataError
        If table or log cannot be read or do not fit the levels.
    """
    measured = [level.measurement for level in levels]
    if table.start is not None and table.period_s is not None:
        measured = with_period(measured, table.start, table.period_s, table.duration_s)
    if table.log is not None:
        names = {"key": table.log_key, "start": table.log_start, "end": table.log_end}
        log = read_frame_log(resolve(table.log), **names, member=table.log_member, columns=table)
        measured = with_log(measured, log)
    known = [replace(level, measurement=m) for level, m in zip(levels, measured, strict=True)]
    if table.table is None:
        return known
    rows = parse_table(one_member(load(resolve(table.table)), table.member), table, cells="any", least=1)
    if len(rows.rows) != total:
        raise DataError(f"the table has {len(rows.rows)} rows for {total} frames", source=table.table)
    wanted = {"time_s": table.time_s, "voltage_V": table.voltage_V, "capacity_mAh_g": table.capacity_mAh_g}
    columns = {key: rows.numbers(name) for key, name in wanted.items() if name is not None}
    for key, values in columns.items():
        if not np.isfinite(values).all():
            raise DataError(f"column {wanted[key]!r} holds NaN or infinity", source=table.table)
    return [replace(f, **{k: float(v[f.index]) for k, v in columns.items()}) for f in known]  # type: ignore[arg-type]


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


def aligned(
    levels: Sequence[Level[M]], table: CyclerTable, resolve: Resolve
) -> tuple[list[Level[M]], InputFile, list[str], FloatArray]:
    """Add time, voltage and charge from the cycler's record, by the two clocks.

    Parameters
    ----------
    levels : sequence of Level
        With times of their own.
    table : CyclerTable
    resolve : callable
        Gives the file that a path of the recipe means.

    Returns
    -------
    levels : list of Level
    cycler : InputFile
        What was read.
    notes : list of str
    record : ndarray, shape (2, m)
        Time (s, as that of the levels) and voltage (V) that the cycler recorded from the first level to the last.

    Raises
    ------
    ReaderError, DataError
        If the record is missing, cannot be read or aligned; the error names it as the recipe does.
    """
    try:
        path = resolve(table.file)
        format = "auto" if table.columns is not None else table.format
        record = read_cycler(path, format=format, columns=table.columns, member=table.member)
        cell = record.measurements[0]
        found = align(
            [level.measurement for level in levels],
            cell,
            clock_offset_s=table.clock_offset_s,
            clock_sigma_s=table.clock_sigma_s,
            cycler_start=zoned(table.start or cell.start, None if table.zone is None else zone_of(table.zone)),
            frame_duration_s=table.frame_duration_s,
            frames_zone=None if table.frames_zone is None else zone_of(table.frames_zone),
            max_gap_s=table.max_gap_s,
        )
    except LayerscopeError as error:
        error.source = table.file
        raise
    scale = 1.0
    if cell.capacity_unit == "mAh":
        scale = float("nan") if table.mass_mg is None else 1e3 / table.mass_mg
    out = []
    for level, state in zip(levels, found, strict=True):
        volts, charge = state.voltage_V, state.capacity
        out.append(
            replace(
                level,
                time_s=(state.start_s + state.end_s) / 2,
                voltage_V=None if volts is None else volts.value,
                voltage_sigma_V=None if volts is None else volts.sigma,
                capacity_mAh_g=None if charge is None or not np.isfinite(scale) else charge.value * scale,
                cycle=state.cycle,
                step=state.step,
                flags=state.flags,
            )
        )
    sha256, size = fingerprint(path)  # of the archive, where the record is a member of one
    entry = record.input_file(table.file).model_copy(update={"sha256": sha256, "size": size})
    notes = [
        f"frames and cycler by clock: offset {table.clock_offset_s:g} s, standard error {table.clock_sigma_s:g} s; "
        "voltages are averages over the frame"
    ]
    first, last = np.searchsorted(cell.time_s, [min(s.start_s for s in found), max(s.end_s for s in found)])
    during = slice(max(int(first) - 1, 0), int(last) + 1)
    return out, entry, notes, np.stack([cell.time_s[during], cell.voltage_V[during]])


def by_clock(levels: list[Level[M]]) -> list[Level[M]]:
    """Give each level its time since the first one, if all know when they were measured."""
    starts = [level.measurement.start_time for level in levels]
    known = [start for start in starts if start is not None]
    if any(level.time_s is not None for level in levels) or len(known) < len(starts):
        return levels
    if len({start.tzinfo is None for start in known}) > 1:
        return levels
    halves = [0.5 * (level.measurement.duration_s or 0.0) for level in levels]
    times = [(start - known[0]).total_seconds() + half for start, half in zip(known, halves, strict=True)]
    if any(b <= a for a, b in itertools.pairwise(times)):
        return levels
    return [replace(level, time_s=t) for level, t in zip(levels, times, strict=True)]
