"""EPICS ``.mda`` files of the scan record: XDR numbers (big-endian, four-byte units), one-dimensional scans.

Layout after the description of the format that is published with the saveData program (versions 1.3 and 1.4).
"""

from __future__ import annotations

import struct

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.measurement import FloatArray

from ..scan import Scan
from ._epics import ProcessVariable, epics_scan

__all__ = ["read", "read_columns", "sniff"]

_VERSIONS = tuple(struct.pack(">f", version) for version in (1.2, 1.3, 1.4))
_LONGEST_TEXT = 4096
_MOST_POINTS = 10_000_000


class _Xdr:
    """Numbers and texts of a file in their order."""

    def __init__(self, raw: RawFile, at: int = 0) -> None:
        self.raw, self.at = raw, at

    def integer(self) -> int:
        return int(struct.unpack(">i", self._take(4))[0])

    def text(self) -> str:
        """Return a counted string: its length, and if there is one the length again and the padded bytes."""
        if self.integer() == 0:
            return ""
        length = self.integer()
        if not 0 <= length <= _LONGEST_TEXT:
            raise self.raw.error(f"a text of {length} bytes is declared at byte {self.at}: the file is damaged")
        return self._take(length + (-length) % 4)[:length].decode("utf-8", errors="replace")

    def array(self, count: int, kind: str, used: int) -> FloatArray:
        """Return the first `used` of `count` numbers."""
        found = np.frombuffer(self._take(count * np.dtype(kind).itemsize), kind)
        return found[:used].astype(np.float64)

    def _take(self, count: int) -> bytes:
        if count < 0 or self.at + count > len(self.raw.data):
            raise self.raw.error(f"the file ends at byte {len(self.raw.data)}, more is declared: it is cut off")
        self.at += count
        return self.raw.data[self.at - count : self.at]


def sniff(raw: RawFile) -> bool:
    """Tell whether the file begins with a known version number and a one- or few-dimensional scan."""
    if raw.data[:4] not in _VERSIONS or len(raw.data) < 12:
        return False
    return 1 <= int(struct.unpack(">i", raw.data[8:12])[0]) <= 4


def read(raw: RawFile) -> list[Scan]:
    """Read the one scan of a file."""
    columns, start, declared = read_columns(raw)
    return [epics_scan(raw, columns, start=start, declared=declared, comments=_comments(raw))]


def read_columns(raw: RawFile) -> tuple[list[tuple[ProcessVariable, FloatArray]], str, int]:
    """Return every column of a one-dimensional scan, when it was begun, and how many points were asked for.

    Raises
    ------
    ReaderError
        If the scan has more dimensions, or the file is cut off or damaged.
    """
    xdr = _Xdr(raw, 8)
    rank = xdr.integer()
    if rank != 1:
        raise raw.error(f"the scan has {rank} dimensions: it is no energy scan of one sample")
    xdr.at += 12  # size, regularity, place of the extra variables
    if xdr.integer() != 1:
        raise raw.error("the scan does not begin where the header says: the file is damaged")
    points, done = xdr.integer(), xdr.integer()
    if not 0 <= done <= points <= _MOST_POINTS:
        raise raw.error(f"{done} of {points} points are declared: the file is damaged")
    xdr.text()
    start = xdr.text()
    counts = [xdr.integer() for _ in range(3)]
    if not all(0 <= count <= 200 for count in counts):
        raise raw.error(f"{counts[0]} positioners and {counts[1]} detectors are declared: the file is damaged")
    positioners = [_positioner(xdr) for _ in range(counts[0])]
    detectors = [_detector(xdr) for _ in range(counts[1])]
    for _ in range(counts[2]):
        xdr.integer()
        xdr.text()
        xdr.at += 4
    columns = [(pv, xdr.array(points, ">f8", done)) for pv in positioners]
    columns += [(pv, xdr.array(points, ">f4", done)) for pv in detectors]
    return columns, start, points


def _positioner(xdr: _Xdr) -> ProcessVariable:
    xdr.integer()
    name, description, _, unit, *_ = (xdr.text() for _ in range(7))
    return ProcessVariable(name, description, unit, moved=True)


def _detector(xdr: _Xdr) -> ProcessVariable:
    xdr.integer()
    name, description, unit = (xdr.text() for _ in range(3))
    return ProcessVariable(name, description, unit, moved=False)


def _comments(raw: RawFile) -> list[str]:
    """Return the comment lines among the extra variables, which are texts; nothing where they cannot be told."""
    place = struct.unpack(">i", raw.data[20:24])[0]
    found = []
    for mark in (b"saveData_comment1", b"saveData_comment2"):
        at = raw.data.find(mark, max(place, 0))
        if at < 0:
            continue
        xdr = _Xdr(raw, at + len(mark) + (-len(mark) - _before(raw, at)) % 4)
        xdr.text()
        found.append(xdr.text() if xdr.integer() == 0 else "")
    return found


def _before(raw: RawFile, at: int) -> int:
    """Return how many bytes of the name stand before a mark in it."""
    start = at
    while start > 4 and struct.unpack(">i", raw.data[start - 4 : start])[0] > 255:
        start -= 1
    return at - start
