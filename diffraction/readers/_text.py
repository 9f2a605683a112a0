"""Tables of numbers in text: delimiter, decimal comma, header and comments; and what header lines say."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.text import decode, number

from ..radiation import TUBE_LINES, AxisKind, FloatArray, Radiation

__all__ = ["COMMENT_MARKS", "AxisLabel", "Table", "axis_of_label", "radiation_of_header", "read_table", "split_row"]

COMMENT_MARKS = ("#", "!", ";", "'", '"', "/*", "*/", "//", "*", "%")

_DELIMITERS: tuple[str | None, ...] = (None, "\t", ";", ",")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?$")
_WAVELENGTH = re.compile(
    r"(?:wave\s*length|lambda)[\w\s]{0,12}?[\s:=(\[]+([0-9.]+(?:[eE][+-]?\d+)?)\s*(angstrom|nm|m|[aåÅ])?\b",
    re.IGNORECASE,
)
_ANODE = re.compile(r"(?:anode|target|tube)\W{1,4}(ag|co|cr|cu|fe|mo)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """A table of numbers.

    Parameters
    ----------
    header : tuple of str
        Lines before the first row, and comments.
    names : tuple of str
        Column names, if the last header line has as many parts as the rows.
    values : ndarray of float64, shape (rows, columns)
        The numbers.
    """

    header: tuple[str, ...]
    names: tuple[str, ...]
    values: FloatArray


@dataclass(frozen=True)
class AxisLabel:
    """What an axis label says: the kind, and the factor to degrees, 1/Å or Å."""

    kind: AxisKind
    factor: float


def axis_of_label(label: str) -> AxisLabel | None:
    """Read an axis label such as ``2-Theta Angle (Degrees)``, ``q_nm^-1`` or ``d-spacing (Angstroms)``.

    Parameters
    ----------
    label : str
        Label or column name.

    Returns
    -------
    AxisLabel or None
        None if it tells nothing.
    """
    text = label.lower().strip()
    inverse_nm = re.search(r"nm\s*\^?\s*[\(\{]?-1|inverse\s*nano|1\s*/\s*nm", text)
    if re.search(r"2[\s_-]*th|two[\s_-]*theta|2[\s_-]*θ|tth|\b2t\b", text):
        return AxisLabel("two_theta", float(np.degrees(1.0)) if re.search(r"rad(?!i?us)", text) else 1.0)
    if re.match(r"q\b|q[\s_(\[]|scattering vector|#?\s*q_", text) or inverse_nm:
        return AxisLabel("q", 0.1 if inverse_nm else 1.0)
    if re.match(r"d\b|d[\s_-]*spac|d[\s_(\[]", text):
        return AxisLabel("d", 10.0 if re.search(r"\bnm\b|nanom", text) else 1.0)
    return None


def radiation_of_header(lines: tuple[str, ...]) -> Radiation | None:
    """Return the wavelength that header lines state, in Å; None if they state none.

    A unit of m or nm is converted; without one the number is taken as Å and judged by `Radiation.check`.
    """
    text = "\n".join(lines)
    match = _WAVELENGTH.search(text)
    value = number(match[1]) if match else None
    if match is None or value is None:
        return None
    unit = (match[2] or "").lower()
    factor = 1e10 if unit == "m" else 10.0 if unit == "nm" else 1.0
    anode = _ANODE.search(text)
    symbol = anode[1].capitalize() if anode and anode[1].capitalize() in TUBE_LINES else ""
    return Radiation(value * factor, anode=symbol)


def split_row(line: str, delimiter: str | None) -> list[float] | None:
    """Return the numbers of a row, or None if it is no row of numbers."""
    parts = [part.strip() for part in line.split(delimiter)]
    if delimiter is not None and len(parts) > 1 and not parts[-1]:
        parts.pop()  # a row may close with its delimiter
    if delimiter != ",":
        parts = [part.replace(",", ".") if _DECIMAL_COMMA.match(part) else part for part in parts]
    try:
        return [float(part) for part in parts] if parts else None
    except ValueError:
        return None


def read_table(raw: RawFile, *, delimiter: str | bool | None = True, skip_lines: int = 0, least: int = 2) -> Table:
    """Read a table of numbers with a free header.

    Parameters
    ----------
    raw : RawFile
        The file.
    delimiter : str, None or True
        Character between columns, None for blanks, True to find out.
    skip_lines : int, default 0
        Lines to pass over at the top.
    least : int, default 2
        Columns that a row has at least.

    Returns
    -------
    Table
        Header, column names and numbers.

    Raises
    ------
    ReaderError
        If the file is binary, holds no rows, rows differ in length (a row cut off), or text stands between them; the
        message names the line.
    """
    text = decode(raw.data)
    if "\0" in text:
        raise raw.error("the file is binary, not text")
    lines = [(i, line.strip()) for i, line in enumerate(text.splitlines(), start=1) if i > skip_lines and line.strip()]
    chosen = _sniff(lines, least) if delimiter is True else (None if delimiter is False else delimiter)
    header: list[str] = []
    rows: list[list[float]] = []
    for position, line in lines:
        if line.startswith(COMMENT_MARKS):
            header.append(line.lstrip("#!;'\"/*% "))
            continue
        row = split_row(line, chosen)
        if row is None or (not rows and len(row) < least):
            if rows:
                raise raw.error(f"line {position} is not a row of numbers: {line[:60]!r}")
            header.append(line)
        elif rows and len(row) != len(rows[0]):
            raise raw.error(
                f"line {position} has {len(row)} columns, the rows before it have {len(rows[0])}",
                hint="the file may be cut off there",
            )
        else:
            rows.append(row)
    if not rows:
        raise raw.error(f"there is no row of at least {least} numbers")
    return Table(tuple(header), _names(header, len(rows[0]), chosen), np.array(rows, dtype=np.float64))


def _sniff(lines: list[tuple[int, str]], least: int) -> str | None:
    sample = [line for _, line in lines[:400] if not line.startswith(COMMENT_MARKS)]

    def rows(delimiter: str | None) -> int:
        return sum(row is not None and len(row) >= least for row in (split_row(line, delimiter) for line in sample))

    return max(_DELIMITERS, key=rows)


def _names(header: list[str], columns: int, delimiter: str | None) -> tuple[str, ...]:
    for line in reversed(header):
        parts = tuple(part.strip().strip("\"'") for part in line.split(delimiter) if part.strip())
        if len(parts) == columns and not all(number(part.replace(",", ".")) is not None for part in parts):
            return parts
    return ()
