"""FIT2D .chi: title, two axis labels, the number of points, then two columns."""

from __future__ import annotations

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.text import decode, number, numbers

from ..dataset import Pattern
from ._base import whole_counts
from ._text import axis_of_label

__all__ = ["read", "sniff"]


def sniff(raw: RawFile) -> bool:
    """Tell whether three lines of text, a number of points and a row of two numbers follow each other."""
    head = raw.data[:8192]
    if b"\0" in head:
        return False
    lines = decode(head).splitlines()
    if len(lines) < 5 or axis_of_label(lines[1]) is None:
        return False
    count = number((lines[3].split() or [""])[0])
    row = [number(part) for part in lines[4].replace(",", " ").split()]
    return count is not None and count == int(count) and len(row) >= 2 and None not in row


def read(raw: RawFile) -> list[Pattern]:
    """Read one pattern, in 2θ, Q or d as the label says."""
    lines = decode(raw.data).splitlines()
    if len(lines) < 5:
        raise raw.error(f"the file has {len(lines)} lines; four of header and the data are needed")
    label = axis_of_label(lines[1])
    if label is None:
        raise raw.error(f"the axis {lines[1].strip()!r} is not 2θ, Q or d")
    declared = number((lines[3].split() or [""])[0])
    if declared is None or declared != int(declared):
        raise raw.error(f"line 4 is {lines[3].strip()[:40]!r}, not the number of points")
    rows = [line.replace(",", " ").split() for line in lines[4:] if line.strip()]
    if len(rows) != int(declared) or {len(row) for row in rows} != {2}:
        raise raw.error(f"{int(declared)} points are declared, {len(rows)} rows are there", hint="it may be cut off")
    try:
        table = numbers([part for row in rows for part in row]).reshape(-1, 2)
    except ValueError as error:
        raise raw.error(str(error)) from None
    intensity = table[:, 1]
    return [
        Pattern(
            axis=label.factor * table[:, 0],
            intensity=intensity,
            axis_kind=label.kind,
            intensity_unit="counts" if whole_counts(intensity) and bool(np.any(intensity)) else "arbitrary",
            sample=lines[0].strip(),
            metadata={"points_declared": "yes", "axis_label": lines[1].strip(), "intensity_label": lines[2].strip()},
        )
    ]
