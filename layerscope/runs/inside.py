"""The files of a run folder that others may have made: plain files and folders, reached without following a link."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from layerscope.errors import StoreError

__all__ = ["inside", "plain_file", "plain_folders"]

HINT = "a run folder holds plain files and folders; a link, a pipe or a device in it is not followed"


def plain_file(path: Path) -> Path:
    """Return the path of a file, after making sure that it is one and no link to one.

    Raises
    ------
    StoreError
        If it is missing, or a link, a folder, a pipe or a device.
    """
    _check(path, stat.S_ISREG, "is no file")
    return path


def inside(folder: Path, file: str | Path) -> Path:
    """Return the path of a file of a run folder, of which no part leads out of it.

    Parameters
    ----------
    folder : Path
        The run folder, which may itself be reached by a link.
    file : str or Path
        As the run names it, relative to its folder.

    Raises
    ------
    StoreError
        If the path leaves the folder, a part of it is a link, or it is no plain file.
    """
    relative = PurePosixPath(Path(file).as_posix())
    if relative.is_absolute() or not relative.parts or ".." in relative.parts or "\0" in str(relative):
        raise StoreError("the path leads out of the run folder", source=str(file), hint=HINT)
    path = folder
    for part in relative.parts[:-1]:
        path = path / part
        _check(path, stat.S_ISDIR, "is no folder")
    return plain_file(path / relative.parts[-1])


def plain_folders(folders: Iterable[Path]) -> None:
    """Make sure that folders that are there are folders and no links to others.

    Raises
    ------
    StoreError
    """
    for folder in folders:
        if folder.is_symlink() or folder.exists():
            _check(folder, stat.S_ISDIR, "is no folder")


def _check(path: Path, kind: Callable[[int], bool], otherwise: str) -> None:
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StoreError(f"cannot be read: {reason}", source=path) from error
    if not kind(mode):
        raise StoreError("is a link" if stat.S_ISLNK(mode) else otherwise, source=path, hint=HINT)
