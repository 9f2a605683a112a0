"""GSAS histograms (.raw, .gsa, .gss, .fxye): BANK records with CONST steps in centidegrees, or FXYE columns.

Layout after the GSAS technical manual (LAUR 86-748), "GSAS standard powder data file"; variances: counts divided by
the number of counters for STD, the square of the given error for ESD and FXYE. The declared number of channels counts:
programs fill the last record up with zeros. The title may hold any bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.text import decode, number, numbers_of

from ..dataset import Pattern
from ..radiation import FloatArray
from ._base import regular_axis, variance_of_errors, whole_counts
from ._text import radiation_of_header

__all__ = ["read", "sniff"]

_CENTIDEGREES = 100.0
_CELLS = {"STD": 10, "ESD": 5}
"""Points of a record of 80 characters; so many less one may be filling in the last."""

_BANK = re.compile(r"^BANK\s+\d+", re.IGNORECASE)
_RECORD = 80
_LINE_END = re.compile(r"\r\n|\r|\n")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffd]+")


@dataclass(frozen=True)
class _Bank:
    channels: int
    binning: str
    start: float
    step: float
    kind: str
    lines: tuple[str, ...]


def sniff(raw: RawFile) -> bool:
    """Tell whether one of the first lines is a BANK record."""
    return any(_BANK.match(line) for line in _lines(raw.data[:8192]))


def read(raw: RawFile) -> list[Pattern]:
    """Read all banks with constant wavelength; those from time of flight are refused."""
    lines = _lines(raw.data)
    starts = [i for i, line in enumerate(lines) if _BANK.match(line)]
    if not starts:
        raise raw.error("there is no BANK record")
    title = tuple(_UNPRINTABLE.sub("", line) for line in lines[: starts[0]])
    bounds = [*starts, len(lines)]
    banks = [_bank(raw, lines[a], lines[a + 1 : b]) for a, b in pairwise(bounds)]
    return [_pattern(raw, bank, scan, title) for scan, bank in enumerate(banks)]


def _lines(data: bytes) -> list[str]:
    """Lines, also of the UNIX form of these files: records of 80 characters without line ends."""
    # Bytes of a title that are no text must neither turn it into UTF-16 nor end its line.
    text = decode(data, "latin-1") if b"\0" in data[:8192] else decode(data)
    lines = _LINE_END.split(text)
    if len(lines) == 1 and len(text) > 2 * _RECORD:
        lines = [text[i : i + _RECORD] for i in range(0, len(text), _RECORD)]
    return lines


def _bank(raw: RawFile, record: str, lines: list[str]) -> _Bank:
    parts = record.split()
    channels = number(parts[2]) if len(parts) > 2 else None
    if channels is None or len(parts) < 5 or channels != int(channels) or channels < 1:
        raise raw.error(f"the record {record.strip()!r} does not give channels, records and binning")
    binning = parts[4].upper()
    numbers_after = [number(part) for part in parts[5:9]]
    coefficients = [value for value in numbers_after if value is not None]
    kind = parts[-1].upper() if number(parts[-1]) is None and len(parts) > 5 else "STD"
    if binning in ("SLOG", "RALF", "TIME_MAP", "LPSD", "LOG6"):
        raise raw.error(f"the binning {binning} belongs to time of flight", hint="constant wavelength is needed")
    if binning not in ("CONST", "CONS", "COND", "EDS"):
        raise raw.error(f"the binning {binning!r} is not known")
    if binning == "EDS" or len(coefficients) < 2:
        raise raw.error(f"the record {record.strip()!r} does not give start and step")
    body = tuple(line for line in lines if line.strip() and not line.startswith("#"))
    return _Bank(int(channels), binning, coefficients[0], coefficients[1], kind, body)


def _pattern(raw: RawFile, bank: _Bank, scan: int, title: tuple[str, ...]) -> Pattern:
    where = f"bank {scan + 1}"
    axis: FloatArray | None = None
    variance: FloatArray | None = None
    if bank.kind in ("FXYE", "FXY"):
        table = _free(raw, bank, where, 3 if bank.kind == "FXYE" else 2)
        axis, intensity = table[:, 0] / _CENTIDEGREES, table[:, 1]
        variance = variance_of_errors(intensity, table[:, 2]) if bank.kind == "FXYE" else None
    elif bank.kind == "ESD":
        table = _fixed(raw, bank, where, ((0, 8), (8, 16)), 16)
        intensity, variance = table[:, 0], variance_of_errors(table[:, 0], table[:, 1])
    elif bank.kind == "STD":
        table = _standard(raw, bank, where)
        intensity, counters = table[:, 1], np.maximum(table[:, 0], 1.0)
        variance = np.maximum(intensity, 1.0 / counters) / counters if (counters > 1).any() else None
    else:
        raise raw.error(f"the type {bank.kind!r} of {where} is not known", hint="STD, ESD, FXY or FXYE")
    if axis is None:
        axis = regular_axis(raw, bank.start / _CENTIDEGREES, bank.step / _CENTIDEGREES, bank.channels)
    unit_is_counts = variance is None or bank.kind == "STD"
    return Pattern(
        axis=np.ascontiguousarray(axis),
        intensity=np.ascontiguousarray(intensity),
        intensity_unit="counts" if unit_is_counts and whole_counts(intensity) else "arbitrary",
        variance=variance,
        radiation=radiation_of_header(title),
        sample=title[0].strip() if title else "",
        metadata={"points_declared": "yes", "type": bank.kind, "title": "\n".join(title)[:2000]},
    )


def _short(raw: RawFile, where: str, declared: int, found: float) -> Exception:
    return raw.error(
        f"{where} declares {declared} channels, {found:g} are there",
        hint="the file may be cut off" if found < declared else None,
    )


def _free(raw: RawFile, bank: _Bank, where: str, columns: int) -> FloatArray:
    tokens = " ".join(bank.lines).split()
    if len(tokens) != columns * bank.channels:
        raise _short(raw, where, bank.channels, len(tokens) / columns)
    return numbers_of(raw, tokens, where).reshape(-1, columns)


def _fixed(raw: RawFile, bank: _Bank, where: str, fields: tuple[tuple[int, int], ...], width: int) -> FloatArray:
    """Cut lines into cells of `width` characters; if that fails, blanks separate the numbers."""
    cells = [line[i : i + width] for line in bank.lines for i in range(0, len(line.rstrip()), width)]
    rows = [[number(cell[a:b].strip() or "0") for a, b in fields] for cell in cells if cell.strip()]
    fixed = _whole(bank, rows)
    tokens = [number(t) for t in " ".join(bank.lines).split()]
    free = None if len(tokens) % len(fields) else _whole(bank, list(zip(*[iter(tokens)] * len(fields), strict=True)))
    if fixed is None and free is None:
        raise _short(raw, where, bank.channels, len(rows) if rows else math.nan)
    return _one(raw, where, fixed, free)


def _standard(raw: RawFile, bank: _Bank, where: str) -> FloatArray:
    """STD cells: two characters for the number of counters, six for the counts; many files separate by blanks."""
    tokens = [number(t) for t in " ".join(bank.lines).split()]
    free = _whole(bank, [(1.0, token) for token in tokens])
    cells = [line[i : i + 8] for line in bank.lines for i in range(0, len(line.rstrip()), 8)]
    rows = [(number(cell[:2].strip() or "1"), number(cell[2:].strip())) for cell in cells if cell.strip()]
    fixed = _whole(bank, rows)
    if fixed is not None:
        fixed[:, 0] = np.maximum(fixed[:, 0], 1.0)
    if free is None and fixed is None:
        found = len(rows) if abs(len(rows) - bank.channels) < abs(len(tokens) - bank.channels) else len(tokens)
        raise _short(raw, where, bank.channels, found)
    return _one(raw, where, fixed, free)


def _whole(bank: _Bank, rows: Sequence[Sequence[float | None]]) -> FloatArray | None:
    """Return the rows of all channels, without the zeros that fill the last record; None if they are not these."""
    filling = rows[bank.channels :]
    known = rows[: bank.channels]
    if len(known) < bank.channels or len(filling) >= _CELLS[bank.kind] or any(row[-1] for row in filling):
        return None
    return None if any(value is None for row in rows for value in row) else np.array(known, dtype=np.float64)


def _one(raw: RawFile, where: str, fixed: FloatArray | None, free: FloatArray | None) -> FloatArray:
    """Return the numbers that cells of a fixed width or blanks between them give; both must give the same."""
    if fixed is not None and free is not None and not np.array_equal(free, fixed):
        raise raw.error(f"the cells of {where} can be read in two ways", hint="write it as FXYE")
    found = fixed if free is None else free
    assert found is not None  # noqa: S101
    return found
