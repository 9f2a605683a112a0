"""Readers of powder patterns, one module a format; see `layerscope.measured.formats.Reader` for what a module holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from layerscope.measured.formats import Formats, OnError

from ..dataset import Pattern, PatternSeries
from ..radiation import Radiation
from ..recipe_series import PatternColumnsTable

__all__ = ["FORMATS", "read"]

FORMATS = Formats(
    __name__,
    (
        "xrdml",
        "brml",
        "rasx",
        "bruker_raw",
        "stoe",
        "nxmonopd",
        "pyfai",
        "uxd",
        "ras",
        "pdcif",
        "gsas",
        "result_vector",
        "chi",
        "fullprof",
        "columns",
    ),
    PatternSeries,
    version="3",
)


def read(
    path: str | Path,
    *,
    format: str = "auto",
    columns: PatternColumnsTable | None = None,
    members: str | None = None,
    radiation: Radiation | float | None = None,
    on_error: OnError = "raise",
) -> PatternSeries:
    """Read a file, a folder, a zip archive or all files that fit a pattern: powder patterns.

    Parameters
    ----------
    path, format, columns, members, on_error
        As of `Formats.read`.
    radiation : Radiation or float, optional
        Takes the place of what the files say; a number is one wavelength in Å.

    Returns
    -------
    PatternSeries
        Frames in natural order of their names, and in the order of the file. Each is checked.

    Raises
    ------
    ReaderError, DataError, MissingDependencyError
        As `Formats.read`; a DataError if the radiation cannot be right.
    """
    given = Radiation(float(radiation), source="given") if isinstance(radiation, int | float) else radiation
    if given is not None:
        given.check(path)

    def with_radiation(pattern: Pattern) -> Pattern:
        return pattern if given is None else replace(pattern, radiation=given)

    return FORMATS.read(
        path, format=format, columns=columns, members=members, on_error=on_error, prepare=with_radiation
    )
