"""Readers of powder patterns, one module a format, and the registry that finds the right one by a file's content."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol, cast

import numpy as np

from layerscope.errors import DataError, LayerscopeError, MissingDependencyError, ReaderError
from layerscope.measured.archive import is_zip
from layerscope.measured.files import RawFile, load

from ..dataset import FrameProblem, Pattern, PatternSeries
from ..radiation import Radiation
from ..recipe_series import PatternColumnsTable
from ._base import READER_VERSION
from .series import Bundle, bundle_of_archive, bundle_of_folder

__all__ = ["FORMATS", "read"]

FORMATS = (
    "xrdml",
    "brml",
    "rasx",
    "bruker_raw",
    "nxmonopd",
    "uxd",
    "ras",
    "pdcif",
    "gsas",
    "result_vector",
    "chi",
    "fullprof",
    "columns",
)
"""Known formats, in the order in which their signatures are tried."""

OnError = Literal["raise", "collect"]


class _Reader(Protocol):
    def sniff(self, raw: RawFile) -> bool: ...

    def read(self, raw: RawFile) -> list[Pattern]: ...


def read(
    path: str | Path,
    *,
    format: str = "auto",
    columns: PatternColumnsTable | None = None,
    members: str | None = None,
    radiation: Radiation | float | None = None,
    on_error: OnError = "raise",
    small_angle: bool = False,
) -> PatternSeries:
    """Read a file, a folder or a zip archive of powder patterns.

    Parameters
    ----------
    path : str or Path
        A file with one or several scans, a folder of frames, or a zip archive of frames.
    format : str, default "auto"
        ``"auto"`` looks at the content, whatever the extension; or one of `FORMATS`.
    columns : PatternColumnsTable, optional
        What the columns of a CSV, XY or text file mean. Giving it selects the format ``"columns"``.
    members : str, optional
        Which files of a folder or archive are frames, for instance ``"*.xye"``. Without it those of the largest group
        whose names differ only in their digits.
    radiation : Radiation or float, optional
        Takes the place of what the files say; a number is one wavelength in Å.
    on_error : {"raise", "collect"}
        Whether a frame that cannot be read or used ends the reading, or is left out and listed in ``problems``.
    small_angle : bool, default False
        Accept scans of more than 100 points that end below 3.2 degrees, which otherwise are taken for radians.

    Returns
    -------
    PatternSeries
        Frames in natural order of their names, and in the order of the file. Each is checked.

    Raises
    ------
    ReaderError
        If the file is absent, empty, cut off or not what it claims to be; the message names file and reason.
    DataError
        If it was read but its values cannot be used.
    MissingDependencyError
        If the format needs a library that is not installed.
    """
    path = Path(path)
    if format != "auto" and format not in FORMATS:
        raise ReaderError(f"unknown format {format!r}", source=path, hint=f"known: auto, {', '.join(FORMATS)}")
    if columns is not None and format not in ("auto", "columns"):
        raise ReaderError(f"a column map does not go with the format {format!r}", source=path)
    if on_error not in ("raise", "collect"):
        raise ReaderError(f"on_error is {on_error!r}", source=path, hint="raise or collect")
    wanted = "columns" if columns is not None else format
    given = Radiation(float(radiation), source="given") if isinstance(radiation, int | float) else radiation
    if given is not None:
        given.check(path)
    task = _Task(wanted, columns, given, on_error, small_angle)
    bundle = _bundle(path, wanted, members)
    series = task.series(path, bundle)
    if not series.frames:
        first = series.problems[0].message if series.problems else "there is none"
        raise DataError(f"no frame can be used: {first}", source=path)
    return series


def _bundle(path: Path, format: str, members: str | None) -> Bundle:
    def knows(raw: RawFile) -> bool:
        return format != "auto" or _sniff(raw) is not None

    if path.is_dir():
        return bundle_of_folder(path, members, knows)
    raw = load(path)
    if is_zip(raw) and _sniff(raw) is None and format in ("auto", *_TEXT_FORMATS):
        return bundle_of_archive(raw, members, knows)
    if members is not None:
        raise raw.error("members only goes with a folder or a zip archive")
    return Bundle((raw,), (raw.name,), (), raw.sha256, raw.size)


_TEXT_FORMATS = tuple(name for name in FORMATS if name not in ("brml", "rasx"))


class _Task:
    """Reads frames one by one with the same choices."""

    def __init__(
        self,
        format: str,
        columns: PatternColumnsTable | None,
        radiation: Radiation | None,
        on_error: OnError,
        small_angle: bool,
    ) -> None:
        self._format = format
        self._columns = columns
        self._radiation = radiation
        self._collect = on_error == "collect"
        self._small_angle = small_angle

    def series(self, path: Path, bundle: Bundle) -> PatternSeries:
        frames: list[Pattern] = []
        problems: list[FrameProblem] = []
        formats: dict[str, None] = {}
        index = 0
        for name, item in zip(bundle.names, bundle.frames, strict=True):
            try:
                if isinstance(item, ReaderError):
                    raise item
                format, patterns = self._patterns(item)
                formats[format] = None
            except MissingDependencyError:
                raise  # it is not the frame's fault, and every frame would fail alike
            except LayerscopeError as error:
                if not self._collect:
                    raise
                problems.append(FrameProblem.of(index, name, error))
                index += 1
                continue
            for pattern in patterns:
                self._add(path, replace(pattern, index=index), frames, problems)
                index += 1
        return PatternSeries(
            source=path,
            format=next(iter(formats)) if len(formats) == 1 else "mixed",
            reader="layerscope.diffraction",
            reader_version=READER_VERSION,
            sha256=bundle.sha256,
            size=bundle.size,
            frames=tuple(frames),
            problems=tuple(problems),
            skipped=bundle.skipped,
        )

    def _add(self, path: Path, pattern: Pattern, frames: list[Pattern], problems: list[FrameProblem]) -> None:
        if self._radiation is not None:
            pattern = replace(pattern, radiation=self._radiation)
        where = str(path) if pattern.source in ("", path.name) else f"{path}: {pattern.source}"
        try:
            with np.errstate(all="ignore"):
                pattern.check(where, small_angle=self._small_angle)
        except DataError as error:
            if not self._collect:
                raise
            problems.append(FrameProblem.of(pattern.index, pattern.source, error))
        else:
            frames.append(pattern)

    def _patterns(self, raw: RawFile) -> tuple[str, list[Pattern]]:
        format = self._format if self._format != "auto" else _sniff(raw)
        if format is None:
            raise raw.error(
                "the content is of no known format",
                hint=f"known: {', '.join(FORMATS)}; columns may need a column map",
            )
        try:
            # Damaged bytes may hold any number; the checks that follow refuse those that are not finite.
            with np.errstate(all="ignore"):
                if format == "columns":
                    from .columns import read as read_columns

                    return format, read_columns(raw, self._columns)
                return format, _reader(format).read(raw)
        except (ArithmeticError, LookupError, ValueError, MemoryError, RecursionError) as error:
            # Readers name what is wrong; this is the net under them for bytes that no format allows.
            raise raw.error(f"the content is damaged ({format}): {error}") from error


def _sniff(raw: RawFile) -> str | None:
    return next((name for name in FORMATS if _reader(name).sniff(raw)), None)


def _reader(name: str) -> _Reader:
    return cast("_Reader", import_module(f"{__name__}.{name}"))
