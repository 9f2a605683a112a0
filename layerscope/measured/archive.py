"""Zip archives without their dangers: paths that escape, sizes that explode, members that lie about theirs."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from layerscope.errors import ReaderError
from layerscope.measured.files import RawFile, natural_key

__all__ = [
    "LARGEST_ARCHIVE",
    "LARGEST_MEMBER",
    "fitting_names",
    "is_zip",
    "member_names",
    "one_member",
    "open_archive",
    "read_member",
]

LARGEST_MEMBER = 1 << 28
"""256 MiB: no frame is larger."""

LARGEST_ARCHIVE = 1 << 31
"""2 GiB in all members together."""

MOST_MEMBERS = 200_000
MOST_COMPRESSION = 300
"""Text of patterns shrinks by 5 to 40; zeros shrink by 1000."""

_CHECKED_ABOVE = 1 << 20
"""A small member may shrink by any factor."""


def is_zip(raw: RawFile) -> bool:
    """Tell whether the bytes start like a zip archive."""
    return raw.data[:4] in (b"PK\x03\x04", b"PK\x05\x06")


@contextmanager
def open_archive(raw: RawFile) -> Iterator[zipfile.ZipFile]:
    """Open an archive after looking at the paths and sizes that it declares.

    Raises
    ------
    ReaderError
        If it is damaged or cut off, encrypted, has a path that leaves it, too many or too large members, or a member
        that shrinks by more than text can.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(raw.data)) as archive:
            _check(raw, archive)
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError, ValueError) as error:
        if isinstance(error, ReaderError):
            raise
        raise raw.error(f"the archive is damaged or cut off: {error}") from error


def _check(raw: RawFile, archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise raw.error(f"the archive has {len(members)} members")
    if sum(m.file_size for m in members) > LARGEST_ARCHIVE:
        raise raw.error("the members of the archive are larger than 2 GiB together")
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", member.filename):
            raise raw.error(f"the member {member.filename!r} leaves the archive")
        if member.flag_bits & 1:
            raise raw.error(f"the member {member.filename!r} is encrypted")
        if member.file_size > LARGEST_MEMBER:
            raise raw.error(f"the member {member.filename!r} has {member.file_size} bytes")
        if member.file_size > _CHECKED_ABOVE and member.file_size > MOST_COMPRESSION * max(member.compress_size, 1):
            raise raw.error(f"the member {member.filename!r} grows from {member.compress_size} to {member.file_size}")


def member_names(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the files in natural order, without folders and what macOS adds."""
    names = [m.filename for m in archive.infolist() if not m.is_dir()]
    kept = (n for n in names if "__MACOSX" not in n.split("/") and not n.rsplit("/", 1)[-1].startswith("."))
    return sorted(kept, key=natural_key)


def read_member(raw: RawFile, archive: zipfile.ZipFile, name: str) -> RawFile:
    """Read one member, never more than it declares.

    Raises
    ------
    ReaderError
        If it is absent, empty, damaged, or longer than declared.
    """
    try:
        declared = archive.getinfo(name).file_size
        with archive.open(name) as stream:
            data = stream.read(declared + 1)
    except KeyError:
        raise raw.error(f"the archive has no member {name!r}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError) as error:
        raise raw.error(f"the member {name!r} is damaged: {error}") from error
    if len(data) != declared:
        raise raw.error(f"the member {name!r} has not the {declared} bytes that it declares")
    label = f"{raw.member}!{name}" if raw.member else name
    if not data:
        raise ReaderError("the member is empty", source=f"{raw.path}: {label}")
    return RawFile(raw.path, data, hashlib.sha256(data).hexdigest(), label)


def fitting_names(names: list[str], pattern: str) -> list[str]:
    """Return the names that fit a pattern such as ``*.xye``, with or without their folders."""
    return [n for n in names if any(p == pattern or fnmatchcase(p, pattern) for p in (n, n.rsplit("/", 1)[-1]))]


def one_member(raw: RawFile, member: str | None) -> RawFile:
    """Return the one file of an archive that a name or pattern means; without one, the file itself.

    Raises
    ------
    ReaderError
        If the file is no archive, or not exactly one of its members fits.
    """
    if member is None:
        return raw
    if not is_zip(raw):
        raise raw.error("a member only goes with a zip archive")
    with open_archive(raw) as archive:
        names = member_names(archive)
        found = fitting_names(names, member)
        if len(found) != 1:
            raise raw.error(f"{len(found)} members fit {member!r}", hint=f"files: {', '.join(names[:8])}")
        return read_member(raw, archive, found[0])
