"""Files that somebody pointed at: found in folders, opened by whichever technique reads them, and set side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from layerscope.errors import LayerscopeError, MissingDependencyError, ReaderError, RecipeError
from layerscope.measured.files import files_of
from layerscope.measured.measurement import Measurement, Recording

__all__ = ["Opened", "common_folder", "common_start", "listed", "named_alike", "open_files", "relative_name"]

_DIGITS = re.compile(r"\d+")
LOOKED_AT = 24
"""Of files whose names differ in nothing but digits, so many are opened: the others are taken to be like these."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A file that a technique read.

    Attributes
    ----------
    path : Path
        The file.
    name : str
        As the recipe calls it, relative with forward slashes.
    recording : Recording
        What it holds.
    alike : tuple of str
        Names of further files of the same kind that were not opened.
    namesakes : int
        How many files, itself included, have names that differ from its own in digits alone.
    """

    path: Path
    name: str
    recording: Recording[Any]
    alike: tuple[str, ...] = ()
    namesakes: int = 1

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """What was measured."""
        return self.recording.measurements

    @property
    def first(self) -> Any:
        """The first measurement."""
        return self.recording.measurements[0]

    @property
    def stem(self) -> str:
        """Name of the file without folder and ending, for people."""
        return self.path.stem or self.path.name


def listed(given: Sequence[Path]) -> list[Path]:
    """Return the files that folders, patterns and files stand for, each once; folders are not entered deeper.

    Raises
    ------
    ReaderError
        If one is not there.
    RecipeError
        If a name cannot stand in a recipe.
    """
    found: dict[Path, None] = {}
    for path in given:
        many = files_of(path)
        if many is None and not path.is_file():
            raise ReaderError("there is no such file", source=path)
        folder, names = (path.parent, [path.name]) if many is None else many
        if not names:
            raise ReaderError("there are no files in it", source=path)
        found |= {folder / name: None for name in names}
    for path in found:
        if "\\" in path.name or not str(path).isprintable():
            raise RecipeError("the name cannot stand in a recipe", source=path, hint="rename the file")
    return list(found)


def common_folder(files: Iterable[Path]) -> Path:
    """Return the innermost folder that holds all files."""
    folders = [file.absolute().parent for file in files]
    common = folders[0]
    while not all(folder.is_relative_to(common) for folder in folders):
        common = common.parent
    return common


def common_start(names: Sequence[str]) -> str:
    """Return the letters that all names begin with."""
    return "".join(letters[0] for letters in takewhile(lambda some: len(set(some)) == 1, zip(*names, strict=False)))


def relative_name(path: Path, folder: Path) -> str:
    """Return what a recipe in a folder calls a file."""
    return path.absolute().relative_to(folder.absolute()).as_posix()


def open_files(
    files: Sequence[Path], folder: Path, read: Callable[[Path], Recording[Any]]
) -> tuple[list[Opened], dict[Path, LayerscopeError]]:
    """Open what a technique can read, and keep why it cannot read the others.

    Parameters
    ----------
    files : sequence of Path
    folder : Path
        That the recipe names files from.
    read : callable
        Of the technique.

    Raises
    ------
    MissingDependencyError
        If a library is missing that a file needs, and nothing else could be opened.
    """
    opened: list[Opened] = []
    refused: dict[Path, LayerscopeError] = {}
    for chosen, others in _samples(files):
        read_now: list[Opened] = []
        for path in chosen:
            try:
                recording = read(path)
            except LayerscopeError as error:
                refused[path] = error
                continue
            namesakes = len(chosen) + len(others)
            read_now.append(Opened(path, relative_name(path, folder), recording, namesakes=namesakes))
        if read_now and others:
            rest = tuple(relative_name(path, folder) for path in others)
            read_now[-1] = replace(read_now[-1], alike=rest)
        elif others:
            refused |= dict.fromkeys(others, refused[chosen[0]])
        opened += read_now
    missing = [error for error in refused.values() if isinstance(error, MissingDependencyError)]
    if missing and not opened:
        raise missing[0]
    return opened, refused


def _samples(files: Sequence[Path]) -> list[tuple[list[Path], list[Path]]]:
    """Return files by kinds of names: those to open, spread over each kind, and the rest."""
    kinds: dict[tuple[Path, str], list[Path]] = {}
    for path in files:
        kinds.setdefault((path.parent, _DIGITS.sub("#", path.name)), []).append(path)
    found = []
    for kind in kinds.values():
        step = max(len(kind) // LOOKED_AT, 1)
        chosen = kind[::step]
        found.append((chosen, [path for path in kind if path not in set(chosen)]))
    return found


def named_alike(opened: Sequence[Opened], least: int = 3) -> list[list[Opened]]:
    """Return files in groups: those whose names differ in nothing but digits together, if there are enough; else alone.

    Parameters
    ----------
    opened : sequence of Opened
    least : int
        Fewer files are no series.
    """
    kinds: dict[str, list[Opened]] = {}
    for one in opened:
        kinds.setdefault(_DIGITS.sub("#", one.name), []).append(one)
    groups: list[list[Opened]] = []
    for kind in kinds.values():
        together = sum(1 + len(one.alike) for one in kind) >= least
        groups += [kind] if together else [[one] for one in kind]
    return groups
