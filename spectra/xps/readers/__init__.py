"""Readers of XPS files, one module a format, and the registry that finds the right one by a file's content."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from layerscope.errors import ReaderError
from layerscope.measured.files import RawFile, load

from ..dataset import XpsDataset
from ..options import SpectrumColumnsTable

__all__ = ["FORMATS", "read"]

FORMATS = ("vamas", "phi", "vgd", "specs", "scienta", "columns")
"""Known formats, in the order in which their signatures are tried."""


class _Reader(Protocol):
    def sniff(self, raw: RawFile) -> bool: ...

    def read(self, raw: RawFile) -> XpsDataset: ...


def read(path: str | Path, *, format: str = "auto", columns: SpectrumColumnsTable | None = None) -> XpsDataset:
    """Read an XPS file.

    Parameters
    ----------
    path : str or Path
        A file; for Thermo ``.vgd``, also a folder with one file a level.
    format : str, default "auto"
        ``"auto"`` looks at the content, whatever the extension; or one of `FORMATS`.
    columns : SpectrumColumnsTable, optional
        What the columns of a CSV, XY or text file mean. Giving it selects the format ``"columns"``.

    Returns
    -------
    XpsDataset
        Checked: no spectrum has NaN or negative counts, too few points or an axis that does not rise.

    Raises
    ------
    ReaderError
        If the file is absent, empty, truncated or not what it claims to be; the message names file and reason.
    DataError
        If it was read but its values cannot be used.
    """
    if format != "auto" and format not in FORMATS:
        raise ReaderError(f"unknown format {format!r}", source=path, hint=f"known: auto, {', '.join(FORMATS)}")
    if columns is not None and format not in ("auto", "columns"):
        raise ReaderError(f"a column map does not go with the format {format!r}", source=path)
    dataset = _read(Path(path), "columns" if columns is not None else format, columns)
    dataset.check()
    return dataset


def _read(path: Path, format: str, columns: SpectrumColumnsTable | None) -> XpsDataset:
    if path.is_dir() and format in ("auto", "vgd"):
        from .vgd import read_folder

        return read_folder(path)
    raw = load(path)
    if format == "columns":
        from .columns import read as read_columns

        return read_columns(raw, columns)
    if format != "auto":
        return _reader(format).read(raw)
    for name in FORMATS:
        if name != "columns" and _reader(name).sniff(raw):
            return _reader(name).read(raw)
    raise raw.error(
        "the content is of no known format",
        hint=f"known: {', '.join(FORMATS)}; plain columns need a column map",
    )


def _reader(name: str) -> _Reader:
    return cast("_Reader", import_module(f"{__name__}.{name}"))
