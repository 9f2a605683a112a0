"""What all readers share: the bytes of a file, its hash, number parsing that never guesses, and the sorted axis."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import ReaderError

from ..dataset import FloatArray

__all__ = ["READER_VERSION", "UNKNOWN_VALUE", "RawFile", "decode", "known", "load", "numbers", "rising_order"]

READER_VERSION = "1"
"""Raised whenever a reader returns something else for the same bytes, so that old records stay distinguishable."""

UNKNOWN_VALUE = 1e37
"""ISO 14976 writes 1E37 for a value that is not known."""

LARGEST_FILE = 1 << 30
"""No XPS file is larger than 1 GiB; this guards against being handed a disk image."""


@dataclass(frozen=True)
class RawFile:
    """The bytes of a file and their fingerprint.

    Parameters
    ----------
    path : Path
        Where it lies.
    data : bytes
        Its content.
    sha256 : str
        Hash of `data`, hexadecimal.
    """

    path: Path
    data: bytes
    sha256: str

    @property
    def size(self) -> int:
        """Size in bytes."""
        return len(self.data)

    def error(self, message: str, *, hint: str | None = None) -> ReaderError:
        """Return a ReaderError that names this file."""
        return ReaderError(message, source=self.path, hint=hint)


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
            raise ReaderError(f"the file has {size} bytes; no XPS file is that large", source=path)
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise ReaderError(f"the file cannot be read: {error}", source=path) from error
    if not data:
        raise ReaderError("the file is empty", source=path)
    return RawFile(path, data, hashlib.sha256(data).hexdigest())


def decode(data: bytes) -> str:
    """Decode text as UTF-8 (with or without mark), or else as Windows-1252, which vendors write."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def known(value: float) -> float | None:
    """Return the value, or None where the file says that it does not know it (1E37, NaN, infinite)."""
    return value if math.isfinite(value) and abs(value) < UNKNOWN_VALUE * 0.999 else None


def numbers(texts: Sequence[str]) -> FloatArray:
    """Convert texts to float64, shape (n,).

    Raises
    ------
    ValueError
        If one of them is not a number; ``nan`` and ``inf`` are numbers here and are refused by `Spectrum.check`.
    """
    try:
        return np.array(texts, dtype=np.float64)
    except ValueError:
        for index, text in enumerate(texts):
            try:
                float(text)
            except ValueError:
                raise ValueError(f"value {index + 1} is {text.strip()[:40]!r}, not a number") from None
        raise


def rising_order(energy: FloatArray) -> NDArray[np.intp]:
    """Return the indices that order an axis by rising energy, shape (n,); equal energies keep their order."""
    return np.argsort(energy, kind="stable")
