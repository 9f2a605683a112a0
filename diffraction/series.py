"""From the files of a recipe to frames: read, checked, and set against time and voltage."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from layerscope.cycler.clock import aligned, by_clock, timed
from layerscope.errors import DataError, LayerscopeError, MissingDependencyError, ReaderError
from layerscope.measured.files import fingerprint
from layerscope.measured.measurement import LeftOut
from layerscope.measured.series import Rejected
from layerscope.records import InputFile

from .dataset import Pattern
from .frames import Frame, FrameSeries
from .radiation import Radiation, tube_radiation
from .recipe_series import DiffractionRecipe, RadiationTable, SeriesTable

__all__ = ["load_series", "side_files"]

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
        Frames that cannot be used are in ``rejected``.

    Raises
    ------
    ReaderError, DataError
        If no frame can be used, the cycler's record is missing or cannot be aligned, or the wavelength is not known.
    MissingDependencyError
        If a format needs a library that is not installed.
    """
    frames, rejected, files = _read_files(recipe, table)
    total = len(frames) + len(rejected)
    left_out = set(table.leave_out)
    frames = [f for f in frames if f.index not in left_out]
    rejected = [r for r in rejected if r.index not in left_out]
    if not frames:
        raise rejected[0].error if rejected else DataError("the series holds no frame", source=table.files[0])
    others: list[InputFile] = []
    notes: list[str] = []
    if table.frames is not None:
        others += side_files(recipe, table.frames.table, table.frames.log)
        frames = timed(frames, table.frames, recipe.resolve, total)
    if table.cycler is not None:
        frames, cycler, notes = aligned(frames, table.cycler, recipe.resolve)
        others.append(cycler)
    else:
        frames = by_clock(frames)
    return FrameSeries(
        table=table,
        whole=table.state(recipe.sample, temperature_K=table.temperature_K),
        levels=tuple(frames),
        rejected=tuple(rejected),
        files=tuple(files),
        others=tuple(others),
        notes=tuple(notes),
        flags=(f"FRAMES_LEFT_OUT:{','.join(map(str, sorted(left_out)))}",) if left_out else (),
    )


def side_files(recipe: DiffractionRecipe, *paths: str | None) -> list[InputFile]:
    """Return the entries of files that frames rest on besides their own; None stands for a file that is not given."""
    return [_unread(recipe, path) for path in dict.fromkeys(paths) if path is not None]


def _read_files(recipe: DiffractionRecipe, table: SeriesTable) -> tuple[list[Frame], list[Rejected], list[InputFile]]:
    from .readers import read

    frames: list[Frame] = []
    rejected: list[Rejected] = []
    files: list[InputFile] = []
    for number, path in enumerate(table.files):
        first = len(frames) + len(rejected)
        try:
            where = recipe.resolve(path)
            found = read(where, format=table.format, columns=table.columns, members=table.members, on_error="collect")
        except MissingDependencyError:
            raise
        except LayerscopeError as error:
            error.source = path  # as the recipe names it, wherever the data lie
            files.append(_unread(recipe, path))
            rejected.append(Rejected(first, number, error))
            continue
        files.append(found.input_file(path))
        rejected += [Rejected(first + p.index, number, _error(p, where, path)) for p in found.problems]
        for pattern in found.frames:
            index = first + pattern.index
            try:
                frames.append(Frame(index, number, _in_two_theta(recipe, table, replace(pattern, index=index))))
            except LayerscopeError as error:
                rejected.append(Rejected(index, number, error))
    return frames, sorted(rejected, key=lambda r: r.index), files


def _in_two_theta(recipe: DiffractionRecipe, table: SeriesTable, pattern: Pattern) -> Pattern:
    radiation = _radiation(table.radiation or recipe.radiation, pattern)
    return replace(pattern, radiation=radiation).to("two_theta")


def _error(problem: LeftOut, where: Path, path: str) -> LayerscopeError:
    """Return the error of a frame that could not be read, without the path of this machine."""
    cls = ReaderError if problem.kind == "reader" else DataError
    return cls(problem.message.replace(str(where), path), source=problem.source or path)


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
