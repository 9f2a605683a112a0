"""A log of frames: start and end of each measurement, kept apart from the patterns, as beamlines do."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from layerscope.errors import DataError
from layerscope.measured.files import RawFile
from layerscope.measured.text import decode

from ..dataset import PatternSeries
from ..readers._base import iso_time

__all__ = ["FrameLog", "parse_frame_log", "with_log"]


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


def parse_frame_log(
    raw: RawFile, *, key: str = "scan_number", start: str = "start_time", end: str = "end_time"
) -> FrameLog:
    """Read a log in CSV with a header line.

    Parameters
    ----------
    raw : RawFile
        The file's bytes.
    key, start, end : str
        Names of the columns.

    Returns
    -------
    FrameLog
        Times in ISO 8601, aware or naive as written.

    Raises
    ------
    ReaderError
        If a column is missing, a time cannot be read, a key is there twice, or a row is cut off.
    """
    text = decode(raw.data)
    if "\0" in text:
        raise raw.error("the file is binary, not text")
    try:
        rows = list(csv.DictReader(io.StringIO(text)))
    except csv.Error as error:
        raise raw.error(f"the log cannot be read: {error}") from error
    names = list(rows[0]) if rows else []
    missing = [name for name in (key, start, end) if name not in names]
    if missing:
        raise raw.error(f"the log has no column {', '.join(missing)}", hint=f"columns: {', '.join(map(str, names))}")
    times: dict[str, tuple[datetime, datetime]] = {}
    for number, row in enumerate(rows, start=2):
        begin, finish = iso_time(row[start]), iso_time(row[end])
        label = (row[key] or "").strip()
        if begin is None or finish is None or not label:
            raise raw.error(f"line {number} does not give {key}, {start} and {end}", hint="it may be cut off")
        if label in times:
            raise raw.error(f"{key} {label} is there twice")
        if (begin.tzinfo is None) != (finish.tzinfo is None) or finish < begin:
            raise raw.error(f"{key} {label} ends at {finish} and starts at {begin}")
        times[label] = (begin, finish)
    return FrameLog(raw.path, times)


def with_log(series: PatternSeries, log: FrameLog) -> PatternSeries:
    """Return the series with the times of a log; the key must be one of the numbers in the frame's file name.

    Parameters
    ----------
    series : PatternSeries
        Frames.
    log : FrameLog
        Times.

    Returns
    -------
    PatternSeries
        With start and end of each frame.

    Raises
    ------
    DataError
        If a frame is not in the log, or more than one of its keys fits.
    """
    frames = []
    for frame in series.frames:
        name = frame.source.rsplit("/", 1)[-1]
        parts = dict.fromkeys([name, Path(name).stem, *re.findall(r"\d+", name)])
        keys = [part for part in parts if part in log.times]
        if len(keys) != 1:
            reason = "is not in the log" if not keys else f"fits {', '.join(keys)} of the log"
            raise DataError(f"frame {frame.index} ({name}) {reason}", source=log.source)
        start, end = log.times[keys[0]]
        frames.append(replace(frame, start_time=start, end_time=end))
    return replace(series, frames=tuple(frames))
