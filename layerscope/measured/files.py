"""Files as bytes: measured ones are read whole and hashed, results are written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from layerscope.errors import ReaderError, StoreError

__all__ = ["LARGEST_FILE", "RawFile", "load", "write_atomic"]

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
    StoreError
        If it cannot be written.
    """
    try:
        if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
            return False
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        try:
            with temporary.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"cannot be written: {error.strerror or error}", source=path) from error
    return True


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; not every system can open a folder, and those that cannot do it themselves."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
