"""Text that ``mda2ascii`` makes of EPICS ``.mda`` files: its columns are described in the header, by number."""

from __future__ import annotations

import re

import numpy as np

from layerscope.measured.delimited import ColumnsTable, parse_table
from layerscope.measured.files import RawFile
from layerscope.measured.measurement import FloatArray
from layerscope.measured.text import decode

from ..scan import Scan
from ._epics import ProcessVariable, epics_scan

__all__ = ["read", "read_columns", "sniff"]

_COLUMN = re.compile(r"^#\s+(\d+)\s+\[\s*(?:1-D )?(Index|Positioner|Detector)\s*\d*\s*\][ \t]*(.*)$", re.MULTILINE)
_POINTS = re.compile(r"^# Points completed = (\d+) of (\d+)", re.MULTILINE)
_TIME = re.compile(r"^# Scan time = (.*)$", re.MULTILINE)
_COMMENT = re.compile(r'^# Extra PV \d+: \S*saveData_comment\d, [^,]*, "(.*)"', re.MULTILINE)
_DIMENSION = re.compile(r"^# Overall scan dimension = (\d+)-D", re.MULTILINE)


def sniff(raw: RawFile) -> bool:
    """Tell whether the first line is the program's."""
    return raw.data[:40].lstrip().startswith(b"## mda2ascii")


def read(raw: RawFile) -> list[Scan]:
    """Read the one scan of a file."""
    text = _text(raw)
    columns = read_columns(raw)
    points, time = _POINTS.search(text), _TIME.search(text)
    return [
        epics_scan(
            raw,
            columns,
            start=time[1] if time else "",
            declared=int(points[2]) if points else columns[0][1].size,
            comments=_COMMENT.findall(text),
        )
    ]


def read_columns(raw: RawFile) -> list[tuple[ProcessVariable, FloatArray]]:
    """Return every described column but that of the point's number.

    Raises
    ------
    ReaderError
        If columns are described that are not there, or the scan has more than one dimension.
    """
    text = _text(raw)
    if (dimension := _DIMENSION.search(text)) and dimension[1] != "1":
        raise raw.error(f"the scan has {dimension[1]} dimensions: it is no energy scan of one sample")
    described = [(int(n), kind, rest) for n, kind, rest in _COLUMN.findall(text)]
    if [n for n, _, _ in described] != list(range(1, len(described) + 1)) or len(described) < 3:
        raise raw.error("the header does not describe the columns one by one")
    table = parse_table(raw, ColumnsTable(delimiter=" ", decimal="."))
    if table.width != len(described):
        raise raw.error(f"{len(described)} columns are described, {table.width} are there")
    points = _POINTS.search(text)
    if points and len(table.rows) != int(points[1]):
        raise raw.error(f"{len(table.rows)} rows are there, {points[1]} points were completed", hint="is it cut off?")
    if described[0][1] == "Index" and (np.diff(table.numbers(0)) != 1).any():
        raise raw.error("the column of the index does not count the points")
    return [(_variable(kind, rest), table.numbers(n - 1)) for n, kind, rest in described if kind != "Index"]


def _text(raw: RawFile) -> str:
    return "\n".join(decode(raw.data).splitlines())


def _variable(kind: str, text: str) -> ProcessVariable:
    """Return what a description says: of a positioner name, description, step mode, unit, ...; of a detector three."""
    parts = [part.strip() for part in text.split(",")]
    moved = kind == "Positioner"
    unit = parts[3] if moved and len(parts) > 3 else parts[-1] if not moved and len(parts) > 2 else ""
    return ProcessVariable(parts[0], parts[1] if len(parts) > 1 else "", unit, moved)
