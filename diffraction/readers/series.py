"""A folder or a zip archive of frames as one series: which files are frames, and in what order."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from layerscope.errors import ReaderError
from layerscope.measured.archive import (
    LARGEST_ARCHIVE,
    LARGEST_MEMBER,
    fitting_names,
    member_names,
    natural_key,
    open_archive,
    read_member,
)
from layerscope.measured.files import RawFile, load

__all__ = ["Bundle", "bundle_of_archive", "bundle_of_folder"]

Knows = Callable[[RawFile], bool]
Getter = Callable[[str], RawFile]

_MOST_FILES = 200_000
_HIDDEN = re.compile(r"(^|/)(\.|__MACOSX)")
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class Bundle:
    """Frames of a folder or archive.

    Parameters
    ----------
    frames : tuple of RawFile or ReaderError
        In natural order of their names; the error where a frame cannot be loaded.
    names : tuple of str
        Their names.
    skipped : tuple of str
        Names of the files that are no frames.
    sha256 : str
        Hash of the archive, or of the names and hashes of the frames.
    size : int
        Bytes of the archive, or of the frames together.
    """

    frames: tuple[RawFile | ReaderError, ...]
    names: tuple[str, ...]
    skipped: tuple[str, ...]
    sha256: str
    size: int


def bundle_of_folder(folder: Path, members: str | None, knows: Knows) -> Bundle:
    """Collect the frames that lie directly in a folder.

    Parameters
    ----------
    folder : Path
        The folder.
    members : str, optional
        Pattern of file names such as ``"*.xye"``; without it the largest group of files whose names differ only in
        their digits and whose content is of a known format.
    knows : callable
        Tells whether a format is known for a file.

    Returns
    -------
    Bundle
        Frames and what was left out.

    Raises
    ------
    ReaderError
        If there are none, two groups are equally large, or the files are too many or too large.
    """
    try:
        names = [entry.name for entry in folder.iterdir() if entry.is_file()]
        total = sum((folder / name).stat().st_size for name in names)
    except OSError as error:
        raise ReaderError(f"the folder cannot be read: {error}", source=folder) from error
    if len(names) > _MOST_FILES or total > LARGEST_ARCHIVE:
        raise ReaderError(f"the folder has {len(names)} files of {total} bytes together", source=folder)
    names = sorted((n for n in names if not _HIDDEN.search(n)), key=natural_key)

    def get(name: str) -> RawFile:
        if (folder / name).stat().st_size > LARGEST_MEMBER:
            raise ReaderError("the file is larger than 256 MiB", source=folder / name)
        raw = load(folder / name)
        return RawFile(folder, raw.data, raw.sha256, name)

    chosen = _choose(folder, names, members, knows, get)
    frames = tuple(_collect(chosen, get))
    digest = hashlib.sha256()
    for name, frame in zip(chosen, frames, strict=True):
        digest.update(f"{name}\0{frame.sha256 if isinstance(frame, RawFile) else 'unreadable'}\n".encode())
    size = sum(frame.size for frame in frames if isinstance(frame, RawFile))
    skipped = tuple(n for n in names if n not in set(chosen))
    return Bundle(frames, tuple(chosen), skipped, digest.hexdigest(), size)


def bundle_of_archive(raw: RawFile, members: str | None, knows: Knows) -> Bundle:
    """Collect the frames of a zip archive, in whatever folder of it they lie.

    Parameters
    ----------
    raw : RawFile
        The archive.
    members, knows
        As for `bundle_of_folder`; a pattern is compared with the whole path and with the file name.

    Returns
    -------
    Bundle
        Frames and what was left out.

    Raises
    ------
    ReaderError
        As `bundle_of_folder`, or if the archive is damaged, escapes its folder or explodes.
    """
    with open_archive(raw) as archive:
        names = member_names(archive)
        chosen = _choose(raw.path, names, members, knows, lambda name: read_member(raw, archive, name))
        frames = tuple(_collect(chosen, lambda name: read_member(raw, archive, name)))
    kept = set(chosen)
    return Bundle(frames, tuple(chosen), tuple(n for n in names if n not in kept), raw.sha256, raw.size)


def _collect(names: Sequence[str], get: Getter) -> Iterator[RawFile | ReaderError]:
    for name in names:
        try:
            yield get(name)
        except ReaderError as error:
            yield error


def _choose(where: Path, names: list[str], members: str | None, knows: Knows, get: Getter) -> list[str]:
    if members is not None:
        chosen = fitting_names(names, members)
        if not chosen:
            raise ReaderError(f"no file fits {members!r}", source=where, hint=f"files: {', '.join(names[:8])}")
        return chosen
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_DIGITS.sub("#", name), []).append(name)
    readable = [group for group in groups.values() if _readable(group, knows, get)]
    if not readable:
        raise ReaderError("no file is a pattern of a known format", source=where, hint=f"files: {', '.join(names[:8])}")
    readable.sort(key=len, reverse=True)
    chosen = readable[0]
    # Other patterns with the same extension would vanish silently if the largest group were simply taken.
    rivals = [g for g in readable[1:] if len(g) == len(chosen) or _suffix(g[0]) == _suffix(chosen[0])]
    if rivals:
        raise ReaderError(
            f"it is not certain which files are the frames: {chosen[0]!r} or {rivals[0][0]!r}",
            source=where,
            hint="give members, for instance members='*.xye'",
        )
    return chosen


def _suffix(name: str) -> str:
    return name.rsplit("/", 1)[-1].rpartition(".")[2].lower()


def _readable(group: list[str], knows: Knows, get: Getter) -> bool:
    """Whether one of the first files of a group is of a known format; a damaged first frame hides no group."""
    for name in group[:3]:
        try:
            if knows(get(name)):
                return True
        except ReaderError:
            continue
    return False
