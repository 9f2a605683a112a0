"""From the files of a recipe to frames: read, checked, aligned with the cycler; `stack` puts them on one axis."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from layerscope.errors import DataError, LayerscopeError, MissingDependencyError, ReaderError
from layerscope.measured.files import fingerprint
from layerscope.records import InputFile

from .dataset import Pattern
from .frame_clock import aligned, by_clock, timed
from .frames import Frame, FrameFailure, FrameSeries, levels_of, times_of, voltages_of
from .radiation import Radiation, tube_radiation
from .recipe_series import DiffractionRecipe, RadiationTable, SeriesTable
from .stack import Stack, frames_failed, noise_factor, stack

__all__ = [
    "Frame",
    "FrameFailure",
    "FrameSeries",
    "Stack",
    "frames_failed",
    "levels_of",
    "load_series",
    "noise_factor",
    "side_files",
    "stack",
    "times_of",
    "voltages_of",
]

SAME_WAVELENGTH = 2e-3
"""Relative difference between the wavelength of a file and of the recipe beyond which one of them is wrong."""


def load_series(recipe: DiffractionRecipe, table: SeriesTable) -> FrameSeries:
    """Read the frames of a series and set them against time and voltage.

    Parameters
    ----------
    recipe : DiffractionRecipe
        Located.
    table : SeriesTable
        One of its series.

    Returns
    -------
    FrameSeries
        Frames that cannot be used are in ``failures``.

    Raises
    ------
    ReaderError, DataError
        If no frame can be used, the cycler's record is missing or cannot be aligned, or the wavelength is not known.
    MissingDependencyError
        If a format needs a library that is not installed.
    """
    frames, failures, files = _read_files(recipe, table)
    left_out = set(table.leave_out)
    frames = [f for f in frames if f.index not in left_out]
    failures = [f for f in failures if f.index not in left_out]
    if not frames:
        raise failures[0].error if failures else DataError("the series holds no frame", source=table.files[0])
    flags = [f"FRAMES_LEFT_OUT:{','.join(map(str, sorted(left_out)))}"] if left_out else []
    others: list[InputFile] = []
    notes: list[str] = []
    if table.frames is not None:
        others += side_files(recipe, table.frames.table, table.frames.log)
        frames = timed(recipe, table.frames, frames, len(frames) + len(failures) + len(left_out))
    if table.cycler is not None:
        frames, cycler, notes = aligned(recipe, table.cycler, frames)
        others.append(cycler)
    else:
        frames = by_clock(frames)
    sample = table.sample or recipe.sample
    return FrameSeries(
        table, sample, tuple(frames), tuple(failures), tuple(files), tuple(others), tuple(notes), tuple(flags)
    )


def side_files(recipe: DiffractionRecipe, *paths: str | None) -> list[InputFile]:
    """Return the entries of files that frames rest on besides their own; None stands for a file that is not given."""
    return [_unread(recipe, path) for path in dict.fromkeys(paths) if path is not None]


def _read_files(
    recipe: DiffractionRecipe, table: SeriesTable
) -> tuple[list[Frame], list[FrameFailure], list[InputFile]]:
    from .readers import read

    frames: list[Frame] = []
    failures: list[FrameFailure] = []
    files: list[InputFile] = []
    count = 0
    for number, path in enumerate(table.files):
        try:
            found = read(
                recipe.resolve(path),
                format=table.format,
                columns=table.columns,
                members=table.members,
                on_error="collect",
            )
        except MissingDependencyError:
            raise
        except LayerscopeError as error:
            error.source = path  # as the recipe names it, wherever the data lie
            files.append(_unread(recipe, path))
            failures.append(FrameFailure(count, number, error))
            count += 1
            continue
        files.append(found.input_file(path))
        items: list[Pattern | LayerscopeError] = []
        by_index = {p.index: p for p in found.frames}
        problems = {p.index: p for p in found.problems}
        for index in sorted({*by_index, *problems}):
            if index in by_index:
                items.append(by_index[index])
            else:
                problem = problems[index]
                message = problem.message.replace(str(recipe.resolve(path)), path)  # no path of this machine
                items.append(_error(problem.kind, message, problem.source or path))
        for item in items:
            if isinstance(item, LayerscopeError):
                failures.append(FrameFailure(count, number, item))
            else:
                _add_frame(recipe, table, replace(item, index=count), number, frames, failures)
            count += 1
    return frames, failures, files


def _add_frame(
    recipe: DiffractionRecipe,
    table: SeriesTable,
    pattern: Pattern,
    file: int,
    frames: list[Frame],
    failures: list[FrameFailure],
) -> None:
    try:
        radiation = _radiation(table.radiation or recipe.radiation, pattern)
        pattern = replace(pattern, radiation=radiation)
        if pattern.axis_kind != "two_theta":
            pattern = pattern.to("two_theta")
    except LayerscopeError as error:
        failures.append(FrameFailure(pattern.index, file, error))
    else:
        frames.append(Frame(pattern.index, file, pattern, radiation))


def _error(kind: str, message: str, source: str) -> LayerscopeError:
    cls = ReaderError if kind == "reader" else DataError
    return cls(message, source=source)


def _unread(recipe: DiffractionRecipe, path: str) -> InputFile:
    """Return the entry of a file that no reader opened; of one that is not there, the hash of nothing."""
    try:
        sha256, size = fingerprint(recipe.resolve(path))
    except LayerscopeError:
        sha256, size = hashlib.sha256(b"").hexdigest(), 0
    return InputFile(path=path, sha256=sha256, size=size, reader="none", reader_version="0")


def _radiation(given: RadiationTable | None, pattern: Pattern) -> Radiation:
    """Return the wavelengths: the recipe's if it has any, but not against what the file says."""
    own = pattern.radiation
    if given is None:
        if own is None:
            raise DataError(
                "the wavelength is not known: the file does not say it",
                source=pattern.source,
                hint="add a table [radiation] with anode or wavelength",
            )
        return own
    if given.anode is not None:
        radiation = tube_radiation(given.anode, lines=given.lines)
    else:
        assert given.wavelength is not None  # noqa: S101
        radiation = Radiation(given.wavelength, given.alpha2, given.ratio, source="given")
    radiation.check(pattern.source)
    if own is not None and not given.override and abs(own.alpha1 / radiation.alpha1 - 1) > SAME_WAVELENGTH:
        raise DataError(
            f"the recipe's wavelength is {radiation.alpha1:g} Å, the file says {own.alpha1:g} Å",
            source=pattern.source,
            hint="correct the recipe, or say radiation.override = true",
        )
    return radiation
