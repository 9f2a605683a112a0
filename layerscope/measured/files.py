"""Files as bytes: measured ones are read whole and hashed, results are written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from layerscope.errors import ReaderError, WriteError

__all__ = ["LARGEST_FILE", "RawFile", "load", "replacing", "sync_folder", "write_atomic", "writing"]

LARGEST_FILE = 1 << 30
"""No file of a measurement is larger than 1 GiB; this guards against being handed a disk image."""


@dataclass(frozen=True)
class RawFile:
    """The bytes of a file, or of a member of an archive, and their fingerprint.

    Parameters
    ----------
    path : Path
        The file, or the archive.
    data : bytes
        Its content.
    sha256 : str
        Hash of `data`, hexadecimal.
    member : str
        Name within the archive, or nothing.
    """

    path: Path
    data: bytes
    sha256: str
    member: str = ""

    @property
    def size(self) -> int:
        """Size in bytes."""
        return len(self.data)

    @property
    def name(self) -> str:
        """Name of the member, or else of the file without its folder."""
        return self.member or self.path.name

    def error(self, message: str, *, hint: str | None = None) -> ReaderError:
        """Return a ReaderError that names this file."""
        return ReaderError(message, source=f"{self.path}: {self.member}" if self.member else self.path, hint=hint)


def load(path: str | Path) -> RawFile:
    """Read a file's bytes.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    RawFile
        Bytes and hash.

    Raises
    ------
    ReaderError
        If the file is absent, not a regular file, empty, too large or not readable.
    """
    path = Path(path)
    try:
        if not path.is_file():
            reason = "it is not a regular file" if path.exists() else "the file does not exist"
            raise ReaderError(reason, source=path)
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise ReaderError(f"the file has {size} bytes; no measurement is that large", source=path)
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise ReaderError(f"the file cannot be read: {error}", source=path) from error
    if not data:
        raise ReaderError("the file is empty", source=path)
    return RawFile(path, data, hashlib.sha256(data).hexdigest())


def write_atomic(path: Path, data: bytes) -> bool:
    """Write a file whole or not at all: temporary file, fsync, rename.

    Parameters
    ----------
    path : Path
        The file; its folder must exist.
    data : bytes
        Its content.

    Returns
    -------
    bool
        False when the file already held exactly this, in which case it is not touched.

    Raises
    ------
    WriteError
        If it cannot be written.
    """
    with writing(path):
        if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
            return False
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    return True


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file to write beside `path`; flush it to the disk and put it in place, or remove it on failure.

    Its name is its own (``.<name>.<process>.<random>.tmp``), so that two writers never share one; what a killed process
    left behind is removed when the run folder is written again.

    Parameters
    ----------
    path : Path
        The file; its folder must exist.

    Raises
    ------
    WriteError
        If it cannot be written; the older file, if there was one, is still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    with writing(path):
        try:
            yield temporary
            with temporary.open("rb+") as stream:
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system says against writing into an error that names the file or folder.

    Raises
    ------
    WriteError
        Full disk, missing rights, a name too long, ...
    """
    try:
        yield
    except OSError as error:
        raise WriteError(f"cannot be written: {error.strerror or error}", source=path) from error


def sync_folder(folder: Path) -> None:
    """Make the renames in a folder survive a power cut; this takes as long as writing a file, so once for many.

    Not every system can open a folder, and those that cannot do it themselves.
    """
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
