"""A log of frames: start and end of each measurement, kept apart from the patterns, as beamlines do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from layerscope.errors import DataError
from layerscope.measured.archive import one_member
from layerscope.measured.delimited import ColumnsTable, parse_table
from layerscope.measured.files import load
from layerscope.measured.measurement import Measurement
from layerscope.measured.text import moment

__all__ = ["FrameLog", "read_frame_log", "with_log"]

M = TypeVar("M", bound=Measurement)


@dataclass(frozen=True)
class FrameLog:
    """Times of frames by a key that stands in their file names.

    Parameters
    ----------
    source : Path
        The file.
    times : mapping of str to (datetime, datetime)
        Start and end.
    """

    source: Path
    times: Mapping[str, tuple[datetime, datetime]]


def read_frame_log(
    path: str | Path,
    *,
    key: str = "scan_number",
    start: str = "start_time",
    end: str = "end_time",
    member: str | None = None,
    columns: ColumnsTable | None = None,
) -> FrameLog:
    """Read start and end of frames from a table with a line of names.

    Parameters
    ----------
    path : str or Path
        The log, or a zip archive that holds it.
    key, start, end : str
        Names of its columns.
    member : str, optional
        Name or pattern of the one file in an archive.
    columns : ColumnsTable, optional
        How the table is written; found out without it.

    Returns
    -------
    FrameLog
        Times aware or naive as written.

    Raises
    ------
    ReaderError
        If a column is missing, a time cannot be read, a key is there twice, or a row is cut off.
    """
    raw = one_member(load(path), member)
    table = parse_table(raw, columns, cells="any")
    times: dict[str, tuple[datetime, datetime]] = {}
    cells = zip(table.lines, table.texts(key), table.texts(start), table.texts(end), strict=True)
    for (number, _), label, *moments in cells:
        begin, finish = map(moment, moments)
        if begin is None or finish is None or not label:
            raise raw.error(f"line {number} does not give {key}, {start} and {end}", hint="it may be cut off")
        if label in times:
            raise raw.error(f"{key} {label} is there twice")
        if (begin.tzinfo is None) != (finish.tzinfo is None) or finish < begin:
            raise raw.error(f"{key} {label} ends at {finish} and starts at {begin}")
        times[label] = (begin, finish)
    return FrameLog(raw.path, times)


def with_log(measurements: Sequence[M], log: FrameLog) -> list[M]:
    """Return measurements with the times of a log; the key must be one of the numbers in a file's name, or the name.

    Parameters
    ----------
    measurements : sequence of Measurement
    log : FrameLog
        Times.

    Raises
    ------
    DataError
        If a measurement is not in the log, or more than one of its keys fits.
    """
    timed = []
    for measurement in measurements:
        name = measurement.source.rsplit("/", 1)[-1]
        parts = dict.fromkeys([name, Path(name).stem, *re.findall(r"\d+", name)])
        keys = [part for part in parts if part in log.times]
        if len(keys) != 1:
            reason = "is not in the log" if not keys else f"fits {', '.join(keys)} of the log"
            raise DataError(f"frame {measurement.index} ({name}) {reason}", source=log.source)
        start, end = log.times[keys[0]]
        timed.append(replace(measurement, start_time=start, end_time=end))
    return timed
