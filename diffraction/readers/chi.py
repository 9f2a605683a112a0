"""FIT2D .chi: title, two axis labels, the number of points, then two columns."""

from __future__ import annotations

import numpy as np

from layerscope.measured.delimited import ColumnsTable, parse_table
from layerscope.measured.files import RawFile
from layerscope.measured.text import decode, number, whole

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
    count = whole((lines[3].split() or [""])[0])
    row = [number(part) for part in lines[4].replace(",", " ").split()]
    return count is not None and len(row) >= 2 and None not in row


def read(raw: RawFile) -> list[Pattern]:
    """Read one pattern, in 2θ, Q or d as the label says."""
    lines = decode(raw.data).splitlines()
    if len(lines) < 5:
        raise raw.error(f"the file has {len(lines)} lines; four of header and the data are needed")
    label = axis_of_label(lines[1])
    if label is None:
        raise raw.error(f"the axis {lines[1].strip()!r} is not 2θ, Q or d")
    declared = whole((lines[3].split() or [""])[0])
    if declared is None:
        raise raw.error(f"line 4 is {lines[3].strip()[:40]!r}, not the number of points")
    table = parse_table(raw, ColumnsTable(skip_lines=4))
    if len(table.rows) != declared or table.width != 2:
        raise raw.error(f"{declared} points are declared, {len(table.rows)} rows are there", hint="it may be cut off")
    axis, intensity = table.values().T
    return [
        Pattern(
            axis=label.factor * axis,
            intensity=intensity,
            axis_kind=label.kind,
            intensity_unit="counts" if whole_counts(intensity) and bool(np.any(intensity)) else "arbitrary",
            sample=lines[0].strip(),
            metadata={"points_declared": "yes", "axis_label": lines[1].strip(), "intensity_label": lines[2].strip()},
        )
    ]
