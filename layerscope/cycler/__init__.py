"""Records of cyclers, and their alignment with measurements by clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from layerscope.cycler.align import FrameState, Measured, align
from layerscope.cycler.data import CyclerData, integrate_charge, signed_current
from layerscope.cycler.log import FrameLog, read_frame_log, with_log
from layerscope.cycler.options import CyclerColumnsTable, CyclerTable, FramesTable
from layerscope.measured.archive import is_zip, one_member
from layerscope.measured.files import load
from layerscope.measured.formats import Formats
from layerscope.measured.measurement import Recording

__all__ = [
    "FORMATS",
    "CyclerColumnsTable",
    "CyclerData",
    "CyclerTable",
    "FrameLog",
    "FrameState",
    "FramesTable",
    "Measured",
    "align",
    "integrate_charge",
    "read_cycler",
    "read_frame_log",
    "signed_current",
    "with_log",
]

FORMATS: Formats[Recording[Any]] = Formats(__name__, ("biologic", "neware", "table"), Recording, plain="table")


def read_cycler(
    path: str | Path, *, format: str = "auto", columns: CyclerColumnsTable | None = None, member: str | None = None
) -> Recording[Any]:
    """Read the record of a cycler: CSV, TXT, .mpt, Biologic .mpr, Neware .nda or .ndax, or an archive that holds one.

    Parameters
    ----------
    path, format, columns
        As of `Formats.read`.
    member : str, optional
        Name or pattern of the one file in an archive, for instance ``"*.ndax"``.

    Returns
    -------
    Recording
        Of one `CyclerData`, checked.

    Raises
    ------
    ReaderError, DataError, MissingDependencyError
        As `Formats.read`; a ReaderError if not exactly one member fits.
    """
    raw = one_member(load(path), member)
    if is_zip(raw) and member is None and not FORMATS.sniffed(raw):
        raise raw.error("the archive is not a record itself", hint="give member, for instance member='*.ndax'")
    return FORMATS.read(raw, format=format, columns=columns)
