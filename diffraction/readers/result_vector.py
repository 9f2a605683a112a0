"""Text of a diffractometer that writes each scan and then its "Result vector" (cp1251; Lambda1, Lambda2, R)."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.text import number

from ..dataset import Pattern
from ..radiation import FloatArray, Radiation
from ._base import whole_counts

__all__ = ["read", "sniff"]

_MARK = "Result vector"
_BLOCK = re.compile(r"line\W{0,3}\s*(\d+)\s*;\s*repeat", re.IGNORECASE)
_SETTING = re.compile(r"(Lambda1|Lambda2|Lambdam|R)\s*=\s*([0-9.]+)\s*$")


def sniff(raw: RawFile) -> bool:
    """Tell whether the header has Lambda1 and the marks of this format."""
    head = raw.data[:2048]
    return b"Lambda1" in head and (b"repeat" in head or _MARK.encode() in head) and b"2Theta" in head


def read(raw: RawFile) -> list[Pattern]:
    """Read one scan; the "Result vector" repeats it and only serves as a check that the file is whole.

    The date in the header is that of saving (one second for a hundred scans): it is metadata, no start time.
    """
    lines = raw.data.decode("cp1251", errors="replace").splitlines()
    marks = [i for i, line in enumerate(lines) if line.strip() == _MARK]
    starts = [i for i, line in enumerate(lines) if _BLOCK.search(line)]
    if len(marks) != 1 or not starts:
        raise raw.error(f"{len(marks)} times {_MARK!r} and {len(starts)} scans are there", hint="it may be cut off")
    bounds = [*starts, marks[0]]
    blocks = [_rows(raw, lines, first + 1, last) for first, last in pairwise(bounds)]
    result = _rows(raw, lines, marks[0] + 1, len(lines))
    if any(len(block) != len(result) for block in blocks):
        raise raw.error(
            f"the scan has {len(blocks[0])} points, its result vector {len(result)}", hint="the file may be cut off"
        )
    # Several repeats are summed up by the instrument in the result vector; a single one is the same numbers twice.
    rows = blocks[0] if len(blocks) == 1 else result
    if len(blocks) == 1 and not np.array_equal(blocks[0], result):
        raise raw.error("the result vector differs from the only scan")
    settings = {m[1]: number(m[2]) for line in lines[: starts[0]] if (m := _SETTING.match(line.strip()))}
    return [
        Pattern(
            axis=rows[:, 0],
            intensity=rows[:, 1],
            intensity_unit="counts" if whole_counts(rows[:, 1]) else "arbitrary",
            radiation=_radiation(settings),
            sample=_sample(lines[: starts[0]]),
            metadata={"saved": lines[0].strip(), "repeats": str(len(blocks)), "points_declared": "yes"},
        )
    ]


def _rows(raw: RawFile, lines: list[str], first: int, last: int) -> FloatArray:
    positions = [i for i in range(first, last) if lines[i].strip()]
    rows = [lines[i].replace(",", ".").split() for i in positions]
    for position, row in zip(positions, rows, strict=True):
        if len(row) != 2 or number(row[0]) is None or number(row[1]) is None:
            raise raw.error(f"line {position + 1} is not position and intensity: {lines[position].strip()[:60]!r}")
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def _radiation(settings: dict[str, float | None]) -> Radiation | None:
    first = settings.get("Lambda1")
    return None if first is None else Radiation(first, settings.get("Lambda2"), settings.get("R"))


def _sample(header: list[str]) -> str:
    for line in header[1:]:
        name, mark, value = line.partition(":")
        if mark and not _SETTING.match(line.strip()) and name.strip().isalpha():
            return value.strip()
    return ""
