"""What all readers share: the bytes of a file, its hash, numbers that are never guessed, errors of intensities."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from layerscope.errors import ReaderError

from ..radiation import FloatArray

__all__ = [
    "LARGEST_FILE",
    "READER_VERSION",
    "RawFile",
    "ascending",
    "decode",
    "iso_time",
    "load",
    "local_name",
    "number",
    "numbers",
    "parse_xml",
    "regular_axis",
    "variance_of_errors",
    "whole_counts",
]

READER_VERSION = "1"
"""Raised whenever a reader returns something else for the same bytes, so that old records stay distinguishable."""

LARGEST_FILE = 1 << 30
"""No file of powder patterns is larger than 1 GiB; this guards against being handed a disk image."""

LARGEST_SCAN = 50_000_000
"""No scan has more points."""


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
            raise ReaderError(f"the file has {size} bytes; no file of patterns is that large", source=path)
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise ReaderError(f"the file cannot be read: {error}", source=path) from error
    if not data:
        raise ReaderError("the file is empty", source=path)
    return RawFile(path, data, hashlib.sha256(data).hexdigest())


def decode(data: bytes) -> str:
    """Decode text as UTF-8 or UTF-16 by its mark, as plain UTF-8, or else as Windows-1252, which vendors write."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def number(text: str | None) -> float | None:
    """Return a finite number, or None if the text is none."""
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def numbers(texts: Sequence[str]) -> FloatArray:
    """Convert texts to float64, shape (n,).

    Raises
    ------
    ValueError
        If one of them is not a number; ``nan`` and ``inf`` are numbers here and are refused by `Pattern.check`.
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


def ascending(axis: FloatArray, *others: FloatArray | None) -> tuple[FloatArray, ...]:
    """Turn arrays round together if the axis falls; a None becomes an empty array. Nothing is sorted."""
    step = -1 if axis.size > 1 and axis[0] > axis[-1] else 1
    return tuple(np.ascontiguousarray(a[::step]) if a is not None else np.empty(0) for a in (axis, *others))


def regular_axis(raw: RawFile, start: float, step: float, points: int) -> FloatArray:
    """Return start, start + step, ..., shape (points,).

    Raises
    ------
    ReaderError
        If start or step is not a number, the step is zero, or there are too many points.
    """
    if not (math.isfinite(start) and math.isfinite(step)) or step == 0:
        raise raw.error(f"the scan starts at {start!r} with a step of {step!r}")
    if not 0 < points <= LARGEST_SCAN:
        raise raw.error(f"{points} points are declared")
    return np.asarray(start + step * np.arange(points, dtype=np.float64))


def whole_counts(values: FloatArray) -> bool:
    """Tell whether all values are whole numbers, as counts are."""
    return bool(values.size and np.isfinite(values).all() and (values == np.rint(values)).all())


def variance_of_errors(intensity: FloatArray, sigma: FloatArray) -> FloatArray:
    """Return variances from the standard deviations in a file, shape (n,).

    Programs write an error of zero in two senses. Where the other errors are the square roots of the intensities,
    it is the square root of no count: its variance is set to that of one. Elsewhere it marks a point that was not
    measured: its variance is infinite, so that its weight is zero.
    """
    measured = sigma > 0
    poisson = measured.any() and np.allclose(sigma[measured] ** 2, intensity[measured], rtol=0.02, atol=0.02)
    filler = 1.0 if poisson else np.inf
    empty = (sigma == 0) & (intensity == 0)
    return np.asarray(np.where(empty, filler, sigma.astype(np.float64) ** 2))


def iso_time(text: str | None) -> datetime | None:
    """Return an ISO 8601 time, aware if it names a zone; None if it is none or the year 1 (unset in .NET)."""
    if not text:
        return None
    # .NET writes seven digits of a second, which Python 3.11 cuts itself.
    try:
        value = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.strip()))
    except ValueError:
        return None
    return value if value.year > 1900 else None


def parse_xml(raw: RawFile, data: bytes | None = None) -> ElementTree.Element:
    """Parse XML that declares no entities.

    Raises
    ------
    ReaderError
        If it is not well-formed (for instance cut off), or has a document type, whose entities could grow.
    """
    content = raw.data if data is None else data
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise raw.error("the XML declares a document type, which no diffractometer writes")
    try:
        return ElementTree.fromstring(content)  # noqa: S314  (entities are refused above)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise raw.error(f"the XML is cut off or damaged: {error}") from error


def local_name(element: ElementTree.Element) -> str:
    """Name of an element without its namespace."""
    return str(element.tag).rsplit("}", 1)[-1]
