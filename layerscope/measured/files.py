"""Files as bytes: measured ones are read whole and hashed, alone or many; results are written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from layerscope.errors import ReaderError, WriteError
from layerscope.records.identity import file_sha256

__all__ = [
    "LARGEST_FILE",
    "RawFile",
    "files_of",
    "fingerprint",
    "joint_fingerprint",
    "load",
    "natural_key",
    "sync_files",
    "sync_folder",
    "write_atomic",
    "writing",
]

LARGEST_FILE = 1 << 30
"""No file of a measurement is larger than 1 GiB; this guards against being handed a disk image."""

MOST_FILES = 200_000
_SYNCED_ALONE, _SYNCING = 4, 8
"""Files that are flushed to the disk one by one, and threads for more."""
_WILD = re.compile(r"[*?\[]")


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


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which ``2.txt`` comes before ``10.txt``."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part.lower()) for part in re.split(r"(\d{1,18})", name)]


def files_of(path: Path) -> tuple[Path, list[str]] | None:
    """Return what a folder, or a pattern such as ``frames/*.xy``, stands for; None for the path of one file.

    Parameters
    ----------
    path : Path
        A folder, a pattern, or a file, which need not be there.

    Returns
    -------
    folder : Path
    names : list of str
        Files in it, relative with forward slashes, in natural order; hidden ones are left out.

    Raises
    ------
    ReaderError
        If the folder cannot be read, or there are too many files.
    """
    wild = next((i for i, part in enumerate(path.parts) if _WILD.search(part)), None)
    try:
        if path.is_dir():
            folder, found = path, list(path.iterdir())
        elif wild is None or path.exists():
            return None
        else:
            folder = Path(*path.parts[:wild])
            found = list(folder.glob("/".join(path.parts[wild:])))
        names = [file.relative_to(folder).as_posix() for file in found if file.is_file()]
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name too long
        raise ReaderError(f"the path leads nowhere: {error}", source=path) from error
    if len(names) > MOST_FILES:
        raise ReaderError(f"{len(names)} files are too many for one series", source=path)
    return folder, sorted((n for n in names if not re.search(r"(^|/)\.", n)), key=natural_key)


def fingerprint(path: Path) -> tuple[str, int]:
    """Return hash and size of a file; of a folder or pattern, of the names and hashes of its files.

    Raises
    ------
    ReaderError
        If a file cannot be read.
    """
    many = files_of(path)
    if many is None:
        return file_sha256(path), path.stat().st_size
    folder, names = many
    return joint_fingerprint((n, file_sha256(folder / n), (folder / n).stat().st_size) for n in names)


def joint_fingerprint(files: Iterable[tuple[str, str, int]]) -> tuple[str, int]:
    """Return hash and size of several files, given name, hash and size of each: of the list, and of all together."""
    digest, total = hashlib.sha256(), 0
    for name, sha256, size in files:
        digest.update(f"{name}\0{sha256}\n".encode(errors="surrogateescape"))
        total += size
    return digest.hexdigest(), total


def write_atomic(path: Path, data: bytes, *, sync: bool = True) -> bool:
    """Write a file whole or not at all: temporary file, fsync, rename.

    The temporary file has a name of its own (``.<name>.<process>.<random>.tmp``), so that two writers never share one;
    what a killed process left behind is removed when the run folder is written again.

    Parameters
    ----------
    path : Path
        The file; its folder must exist.
    data : bytes
        Its content.
    sync : bool, optional
        Whether it must be on the disk when it takes its place. Without, a kill leaves the old file or the new one all
        the same; a power cut may leave less, until `sync_files` has made sure.

    Returns
    -------
    bool
        False when the file already held exactly this, in which case it is not touched.

    Raises
    ------
    WriteError
        If it cannot be written; the older file, if there was one, is still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    with writing(path):
        if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
            return False
        try:
            with temporary.open("wb") as stream:
                stream.write(data)
                if sync:
                    stream.flush()
                    os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    return True


def sync_files(paths: Sequence[Path]) -> None:
    """Make sure that files are on the disk, and so are their names; all at once, which takes a fraction of the time.

    Parameters
    ----------
    paths : sequence of Path
        Files that are there, and complete.

    Raises
    ------
    WriteError
        If one of them cannot be brought there.
    """
    if len(paths) <= _SYNCED_ALONE:
        for path in paths:
            _sync(path)
    else:
        with ThreadPoolExecutor(_SYNCING) as threads:
            list(threads.map(_sync, paths))
    for folder in {path.parent for path in paths}:
        sync_folder(folder)


def _sync(path: Path) -> None:
    with writing(path), path.open("rb+") as stream:  # some systems sync only what is open for writing
        os.fsync(stream.fileno())


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
