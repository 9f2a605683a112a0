"""Cycler data and their alignment with frames by clock."""

from __future__ import annotations

from pathlib import Path

from layerscope.errors import ReaderError
from layerscope.measured.archive import is_zip, one_member
from layerscope.measured.files import RawFile, load

from ..recipe_series import CyclerColumnsTable
from .align import Alignment, FrameState, Measured, align
from .data import CyclerData, integrate_charge, signed_current
from .log import FrameLog, read_frame_log, with_log

__all__ = [
    "FORMATS",
    "Alignment",
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
    path: str | Path, *, format: str = "auto", columns: CyclerColumnsTable | None = None, member: str | None = None
) -> CyclerData:
    """Read the record of a cycler.

    Parameters
    ----------
    path : str or Path
        CSV, TXT, .mpt, Biologic .mpr, Neware .nda or .ndax, or a zip archive that holds one of them.
    format : str, default "auto"
        ``"auto"`` looks at the content; or one of `FORMATS`.
    columns : CyclerColumnsTable, optional
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
    raw = one_member(load(path), member)
    data = _read(raw, "table" if columns is not None else format if format != "auto" else _sniff(raw), columns)
    data.check()
    return data


def _sniff(raw: RawFile) -> str:
    from .biologic import MAGIC

    if raw.data.startswith(MAGIC):
        return "biologic"
    if raw.data.startswith(b"NEWARE") or (is_zip(raw) and b"data.ndc" in raw.data):
        return "neware"
    if is_zip(raw):
        raise raw.error("the archive is not a record itself", hint="give member, for instance member='*.ndax'")
    return "table"


def _read(raw: RawFile, format: str, columns: CyclerColumnsTable | None) -> CyclerData:
    if format == "biologic":
        from .biologic import read_biologic

        return read_biologic(raw)
    if format == "neware":
        from .neware import read_neware

        return read_neware(raw)
    from .table import read_table

    return read_table(raw, columns)
