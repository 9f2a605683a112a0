"""Readers of beamline files, one module a format; see `layerscope.measured.formats.Reader` for what a module holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from layerscope.measured.formats import Formats, OnError

from ..options import ScanColumnsTable
from ..scan import Scan, ScanFile

__all__ = ["FORMATS", "read"]

FORMATS = Formats(
    __name__,
    ("bcs", "ssrl", "mda", "mda_ascii", "srs", "athena", "xdi", "nxxas", "columns"),
    ScanFile,
    one_kind=False,
)


def read(
    path: str | Path,
    *,
    format: str = "auto",
    columns: ScanColumnsTable | None = None,
    members: str | None = None,
    on_error: OnError = "raise",
) -> ScanFile:
    """Read a file, a folder, a zip archive or all files that fit a pattern: scans.

    Parameters
    ----------
    path, format, columns, members, on_error
        As of `Formats.read`.

    Returns
    -------
    ScanFile
        Checked unless `on_error` is ``"keep"``; a few points without beam are masked, see `Scan.without_dead_points`.

    Raises
    ------
    ReaderError, DataError, MissingDependencyError
        As `Formats.read`.
    """
    how: dict[str, Any] = {"format": format, "columns": columns, "members": members, "on_error": on_error}
    return FORMATS.read(path, prepare=Scan.without_dead_points, **how)
