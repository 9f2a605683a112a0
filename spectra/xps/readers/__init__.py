"""Readers of XPS files, one module a format; see `layerscope.measured.formats.Reader` for what a module holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from layerscope.measured.formats import Formats, OnError

from ..dataset import Spectrum, XpsDataset
from ..options import SpectrumColumnsTable

__all__ = ["FORMATS", "read"]

FORMATS = Formats(
    __name__,
    (
        "vamas",
        "phi",
        "vgd",
        "avantage",
        "kratos_kal",
        "kratos_dset",
        "specs",
        "specs_xml",
        "scienta",
        "igor",
        "casa_text",
        "columns",
    ),
    XpsDataset,
    one_kind=False,
)


def read(
    path: str | Path,
    *,
    format: str = "auto",
    columns: SpectrumColumnsTable | None = None,
    members: str | None = None,
    on_error: OnError = "raise",
) -> XpsDataset:
    """Read a file, a folder, a zip archive or all files that fit a pattern: spectra.

    Parameters
    ----------
    path, format, columns, members, on_error
        As of `Formats.read`.

    Returns
    -------
    XpsDataset
        Checked unless `on_error` is ``"keep"``; a few points that are no counts are masked, see `Spectrum.masked`.
        Spectra of one region and sample are its levels, in natural order of the files' names and in the order of each
        file.

    Raises
    ------
    ReaderError, DataError, MissingDependencyError
        As `Formats.read`.
    """
    levels: Counter[tuple[str, str]] = Counter()

    def numbered(spectrum: Spectrum) -> Spectrum:
        key = (spectrum.sample, spectrum.region)
        levels[key] += 1
        return replace(spectrum, level=levels[key] - 1).masked()

    return FORMATS.read(path, format=format, columns=columns, members=members, on_error=on_error, prepare=numbered)
