"""The lock of a run folder: one process writes at a time, and its file says which.

The operating system holds the lock and lets go of it when the process ends, however it ends, so that none is ever left
behind. What the file says is for people; where a file system knows no locks, it decides.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from layerscope.errors import StoreError
from layerscope.measured.files import writing
from layerscope.records.model import now_iso
from layerscope.runs.inside import plain_file

__all__ = ["hold"]

_HELD = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock of a run folder for as long as the context lasts.

    Parameters
    ----------
    path : Path
        The lock file, made when missing. It holds process, host and time while the lock is held, and nothing after.

    Raises
    ------
    StoreError
        If another process holds it; the error says which, where and since when.
    WriteError
        If the file cannot be written.
    """
    with _claimed(path) as stream:
        try:
            yield
        finally:
            with suppress(OSError):
                stream.truncate(0)


def _claimed(path: Path) -> BinaryIO:
    """Open the file, take the lock, and say who holds it."""
    if path.is_symlink() or path.exists():
        plain_file(path)  # to open a pipe would wait for ever
    with ExitStack() as stack, writing(path):
        stream = stack.enter_context(path.open("a+b", buffering=0))
        if not _taken(stream):
            raise StoreError(
                f"is being written by another process ({_holder(stream)})",
                source=path.parent,
                hint="wait for it to end, or choose another --out",
            )
        stream.truncate(0)
        stream.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now_iso()}).encode())
        stack.pop_all()
    return stream


def _taken(stream: BinaryIO) -> bool:
    """Take the lock if nobody holds it; closing the file, or the end of the process, lets go of it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            stream.seek(1 << 30)  # what is locked there cannot be read by others
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _HELD and not _lives(stream)
    return True


def _claim(stream: BinaryIO) -> dict[str, object]:
    stream.seek(0)
    try:
        claim = json.loads(stream.read(1000))
    except ValueError:  # empty, or just being written
        return {}
    return claim if isinstance(claim, dict) else {}


def _holder(stream: BinaryIO) -> str:
    claim = _claim(stream)
    return f"{claim.get('pid', '?')} on {claim.get('host', 'unknown host')}, since {claim.get('since', 'just now')}"


def _lives(stream: BinaryIO) -> bool:
    """Tell from what the file says whether its writer may still be at work; one on another host may."""
    claim = _claim(stream)
    pid = claim.get("pid")
    if not isinstance(pid, int) or claim.get("host") != socket.gethostname():
        return bool(claim)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
