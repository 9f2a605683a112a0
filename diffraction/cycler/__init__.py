"""Cycler data and their alignment with frames by clock."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from layerscope.errors import ReaderError
from layerscope.measured.archive import is_zip, member_names, open_archive, read_member
from layerscope.measured.files import RawFile, load

from .align import Alignment, FrameState, Measured, align
from .data import CyclerData, integrate_charge, signed_current
from .log import FrameLog, parse_frame_log, with_log
from .table import CyclerColumns

__all__ = [
    "FORMATS",
    "Alignment",
    "CyclerColumns",
    "CyclerData",
    "FrameLog",
    "FrameState",
    "Measured",
    "align",
    "integrate_charge",
    "read_cycler",
    "read_frame_log",
    "signed_current",
    "with_log",
]

FORMATS = ("biologic", "neware", "table")
"""Known formats of cyclers."""


def read_cycler(
    path: str | Path, *, format: str = "auto", columns: CyclerColumns | None = None, member: str | None = None
) -> CyclerData:
    """Read the record of a cycler.

    Parameters
    ----------
    path : str or Path
        CSV, TXT, .mpt, Biologic .mpr, Neware .nda or .ndax, or a zip archive that holds one of them.
    format : str, default "auto"
        ``"auto"`` looks at the content; or one of `FORMATS`.
    columns : CyclerColumns, optional
        What the columns of a text file mean. Giving it selects the format ``"table"``.
    member : str, optional
        Name or pattern of the one file in an archive, for instance ``"*.ndax"``.

    Returns
    -------
    CyclerData
        Checked.

    Raises
    ------
    ReaderError
        If the file is absent, empty, cut off or not what it claims to be, or the member is not one.
    DataError
        If it was read but its values cannot be used.
    MissingDependencyError
        If galvani or NewareNDA is needed and not installed.
    """
    if format != "auto" and format not in FORMATS:
        raise ReaderError(f"unknown format {format!r}", source=path, hint=f"known: auto, {', '.join(FORMATS)}")
    if columns is not None and format not in ("auto", "table"):
        raise ReaderError(f"a column map does not go with the format {format!r}", source=path)
    raw = _member(load(path), member)
    data = _read(raw, "table" if columns is not None else format if format != "auto" else _sniff(raw), columns)
    data.check()
    return data


def read_frame_log(
    path: str | Path,
    *,
    key: str = "scan_number",
    start: str = "start_time",
    end: str = "end_time",
    member: str | None = None,
) -> FrameLog:
    """Read start and end of frames from a CSV log.

    Parameters
    ----------
    path : str or Path
        The log, or a zip archive that holds it.
    key, start, end : str
        Names of its columns.
    member : str, optional
        Name or pattern of the one file in an archive.

    Returns
    -------
    FrameLog
        To be given to `with_log`.

    Raises
    ------
    ReaderError
        If it cannot be read; the message names line or column.
    """
    return parse_frame_log(_member(load(path), member), key=key, start=start, end=end)


def _member(raw: RawFile, member: str | None) -> RawFile:
    if member is None:
        return raw
    if not is_zip(raw):
        raise raw.error("a member only goes with a zip archive")
    with open_archive(raw) as archive:
        names = member_names(archive)
        found = [n for n in names if fnmatchcase(n, member) or fnmatchcase(n.rsplit("/", 1)[-1], member)]
        if len(found) != 1:
            raise raw.error(f"{len(found)} members fit {member!r}", hint=f"files: {', '.join(names[:8])}")
        return read_member(raw, archive, found[0])


def _sniff(raw: RawFile) -> str:
    from .biologic import MAGIC

    if raw.data.startswith(MAGIC):
        return "biologic"
    if raw.data.startswith(b"NEWARE") or (is_zip(raw) and b"data.ndc" in raw.data):
        return "neware"
    if is_zip(raw):
        raise raw.error("the archive is not a record itself", hint="give member, for instance member='*.ndax'")
    return "table"


def _read(raw: RawFile, format: str, columns: CyclerColumns | None) -> CyclerData:
    if format == "biologic":
        from .biologic import read_biologic

        return read_biologic(raw)
    if format == "neware":
        from .neware import read_neware

        return read_neware(raw)
    from .table import read_table

    return read_table(raw, columns)
