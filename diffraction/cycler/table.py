"""Cycler records in text: CSV, TXT and EC-Lab's .mpt, by a map of columns or by the names in the header."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, TypeVar, get_args

import numpy as np

from layerscope.measured.files import RawFile

from ..radiation import FloatArray
from .data import CapacityUnit, CurrentUnit, CyclerData, IntArray, integrate_charge, signed_current

__all__ = ["CyclerColumns", "read_table"]

Column = int | str
T = TypeVar("T")
TimeUnit = Literal["auto", "s", "ms", "min", "h", "hms", "datetime"]

_TIME_FACTORS = {"s": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0}
_VOLTAGE_FACTORS = {"V": 1.0, "mV": 1e-3}
_CURRENT_FACTORS: dict[str, tuple[float, CurrentUnit]] = {
    "mA": (1.0, "mA"),
    "A": (1e3, "mA"),
    "uA": (1e-3, "mA"),
    "mA/g": (1.0, "mA/g"),
    "A/g": (1e3, "mA/g"),
}
_CAPACITY_FACTORS: dict[str, tuple[float, CapacityUnit]] = {
    "mAh": (1.0, "mAh"),
    "Ah": (1e3, "mAh"),
    "uAh": (1e-3, "mAh"),
    "mAh/g": (1.0, "mAh/g"),
    "Ah/g": (1e3, "mAh/g"),
}
_NAMES = {
    "time": re.compile(r"^(test|total|elapsed|absolute)?[\s_]*(time|date|timestamp|zeit)", re.IGNORECASE),
    "voltage": re.compile(
        r"^(<?ewe>?|cell)?[\s_/-]*(voltage|potential|spannung|ewe|ecell|u|e)\b|^<?ewe", re.IGNORECASE
    ),
    "current": re.compile(r"^(current|strom|<?i>?)\b|^<i>", re.IGNORECASE),
    "capacity": re.compile(r"^(\(q-qo\)|net[\s_]*capacity|capacity|kapazit)", re.IGNORECASE),
    "cycle": re.compile(r"^cycle([\s_]*(number|index|no\.?))?$", re.IGNORECASE),
    "step": re.compile(r"^(step([\s_]*(number|index|no\.?))?|ns)$", re.IGNORECASE),
}
_UNIT = re.compile(r"[\(\[/]\s*([A-Za-zµμ.]+(?:/g)?)\s*[\)\]]?\s*$")
_CLOCK = re.compile(r"(?:(\d+)[d\s-]+)?(\d+):([0-5]?\d)(?::([0-5]?\d(?:[.,]\d+)?))?$")
_HEADER_LINES = re.compile(r"Nb header lines\s*:\s*(\d+)")
_ENCODINGS = ("utf-8-sig", "cp1252")


@dataclass(frozen=True)
class CyclerColumns:
    """What the columns of a cycler's text file mean.

    Parameters
    ----------
    time, voltage : int or str
        Columns by number from 0 or by name.
    current, capacity, cycle, step : int, str or None
        The others, if there are any.
    time_unit : {"auto", "s", "ms", "min", "h", "hms", "datetime"}
        ``"hms"`` is hours, minutes and seconds since the start (hours may exceed 24); ``"datetime"`` a time of day
        with its date.
    voltage_unit, current_unit, capacity_unit : str, optional
        V or mV; A, mA, uA, A/g, mA/g; Ah, mAh, uAh, Ah/g, mAh/g. Without them what the header says, else V, mA, mAh.
    signed : bool
        False where discharge has the same sign as charge; then the voltage's trend gives it.
    capacity_is_net : bool
        Whether the capacity column is the net charge since the first record. Otherwise it is ignored, and the current
        is integrated, since most files restart it with each half cycle.
    start : datetime, optional
        Time of the first record, if the file does not tell.
    encoding, delimiter : str, optional
        Found out without them.
    skip_lines : int
        Lines before the header or the first row.
    """

    time: Column = 0
    voltage: Column = 1
    current: Column | None = None
    capacity: Column | None = None
    cycle: Column | None = None
    step: Column | None = None
    time_unit: TimeUnit = "auto"
    voltage_unit: str | None = None
    current_unit: str | None = None
    capacity_unit: str | None = None
    signed: bool = True
    capacity_is_net: bool = False
    start: datetime | None = None
    encoding: str | None = None
    delimiter: str | None = None
    skip_lines: int = 0


@dataclass(frozen=True)
class _Rows:
    names: tuple[str, ...]
    cells: list[list[str]]
    first_line: int


def read_table(raw: RawFile, columns: CyclerColumns | None = None) -> CyclerData:
    """Read a cycler's text file.

    Parameters
    ----------
    raw : RawFile
        The file's bytes.
    columns : CyclerColumns, optional
        What the columns mean; without it the names in the header must tell time and voltage.

    Returns
    -------
    CyclerData
        Not yet checked.

    Raises
    ------
    ReaderError
        If the text cannot be decoded, a column is missing or not certain, a row is cut off, or a cell is no number.
    """
    text = _decode(raw, columns.encoding if columns else None)
    skip = columns.skip_lines if columns else 0
    declared = _HEADER_LINES.search(text[:400])
    if declared is not None and not skip:
        skip = max(int(declared[1]) - 1, 0)
    rows = _rows(raw, text, skip, columns.delimiter if columns else None)
    plan = columns if columns is not None else _plan(raw, rows.names)
    time_s, start = _times(raw, rows, plan)
    voltage = _scaled(raw, rows, plan.voltage, plan.voltage_unit, _VOLTAGE_FACTORS, "V")
    current: FloatArray | None = None
    current_unit: CurrentUnit = "mA"
    if plan.current is not None:
        factor, current_unit = _factor(raw, rows, plan.current, plan.current_unit, _CURRENT_FACTORS, "mA")
        current = factor * _numbers(raw, rows, plan.current)
        current = current if plan.signed else signed_current(voltage, current)
    capacity_unit: CapacityUnit = "mAh" if current_unit == "mA" else "mAh/g"
    capacity, origin = None, ""
    if plan.capacity is not None and plan.capacity_is_net:
        factor, capacity_unit = _factor(raw, rows, plan.capacity, plan.capacity_unit, _CAPACITY_FACTORS, "mAh")
        capacity, origin = factor * _numbers(raw, rows, plan.capacity), "file"
        capacity = capacity - capacity[0]
    elif current is not None:
        capacity, origin = integrate_charge(time_s, current), "integrated"
    return CyclerData(
        time_s=time_s,
        voltage_V=voltage,
        current=current,
        capacity=capacity,
        start=start,
        cycle=_integers(raw, rows, plan.cycle),
        step=_integers(raw, rows, plan.step),
        current_unit=current_unit,
        capacity_unit=capacity_unit,
        source=raw.path,
        format="table",
        sha256=raw.sha256,
        size=raw.size,
        metadata={"capacity_from": origin, "member": raw.member, "sign_from": "file" if plan.signed else "voltage"},
    )


def _decode(raw: RawFile, encoding: str | None) -> str:
    if raw.data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = encoding or "utf-16"
    if b"\0" in raw.data and not (encoding or "").lower().startswith("utf-16"):
        raise raw.error("the file is binary, not text")
    for name in (encoding,) if encoding else _ENCODINGS:
        try:
            return raw.data.decode(name)
        except UnicodeDecodeError:
            continue
        except LookupError:
            raise raw.error(f"the encoding {name!r} is not known") from None
    if encoding:
        raise raw.error(f"the text is not {encoding}")
    return raw.data.decode("latin-1")


def _rows(raw: RawFile, text: str, skip: int, delimiter: str | None) -> _Rows:
    lines = [(i, line) for i, line in enumerate(text.splitlines()) if i >= skip and line.strip()]
    if not lines:
        raise raw.error("the file holds no row")
    chosen = delimiter or _delimiter([line for _, line in lines[:50]])
    split: Callable[[str], list[str]]
    split = (lambda s: s.split()) if chosen == " " else (lambda s: [p.strip().strip('"') for p in s.split(chosen)])
    start = next((k for k, (_, line) in enumerate(lines) if _is_data(split(line), chosen)), None)
    if start is None:
        raise raw.error("there is no row of times and numbers")
    names = tuple(split(lines[start - 1][1])) if start else ()
    cells = [split(line) for _, line in lines[start:]]
    width = len(cells[0])
    for (position, _), row in zip(lines[start:], cells, strict=True):
        if len(row) != width:
            raise raw.error(
                f"line {position + 1} has {len(row)} columns, the rows before it have {width}", hint="it may be cut off"
            )
    return _Rows(names if len(names) == width else (), cells, lines[start][0] + 1)


def _delimiter(lines: list[str]) -> str:
    for candidate in ("\t", ";"):
        if sum(candidate in line for line in lines) > len(lines) / 2:
            return candidate
    blanks = sum(len(line.split()) for line in lines)
    commas = sum(line.count(",") + 1 for line in lines)
    return "," if commas >= max(blanks, 2 * len(lines)) or commas > 1.5 * len(lines) else " "


def _is_data(cells: list[str], delimiter: str) -> bool:
    """Whether a line is a row: at least two numbers or times, and the first cell one of them."""
    values = [_value(cell, delimiter) is not None or _looks_like_time(cell) for cell in cells]
    return len(values) >= 2 and values[0] and sum(values) >= 2


def _looks_like_time(cell: str) -> bool:
    return bool(_CLOCK.match(cell)) or _datetime(cell) is not None


def _value(cell: str, delimiter: str = " ") -> float | None:
    try:
        return float(cell.replace(",", ".") if delimiter != "," and cell.count(",") == 1 else cell)
    except ValueError:
        return None


def _datetime(cell: str) -> datetime | None:
    if len(cell) < 8 or not cell[0].isdigit():
        return None
    try:
        return datetime.fromisoformat(cell.replace("/", "-"))
    except ValueError:
        pass
    for layout in ("%m/%d/%Y %H:%M:%S.%f", "%m/%d/%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S"):
        try:
            return datetime.strptime(cell, layout)
        except ValueError:
            continue
    return None


def _plan(raw: RawFile, names: tuple[str, ...]) -> CyclerColumns:
    found: dict[str, int] = {}
    for role, pattern in _NAMES.items():
        matches = [i for i, name in enumerate(names) if pattern.search(name.strip())]
        if len(matches) == 1 or (matches and role in ("time", "voltage", "current")):
            found[role] = matches[0]
    missing = [role for role in ("time", "voltage") if role not in found]
    if missing:
        listing = ", ".join(names) or "the file has no header line"
        raise raw.error(
            f"the columns of {' and '.join(missing)} cannot be told", hint=f"columns: {listing}; give a CyclerColumns"
        )
    net = "capacity" in found and names[found["capacity"]].strip().lower().startswith(("(q-qo)", "net"))
    return replace(CyclerColumns(**found), capacity_is_net=net)  # type: ignore[arg-type]


def _index(raw: RawFile, rows: _Rows, column: Column) -> int:
    width = len(rows.cells[0])
    if isinstance(column, int):
        if not 0 <= column < width:
            raise raw.error(f"there is no column {column}: the file has {width}, counted from 0")
        return column
    matches = [i for i, name in enumerate(rows.names) if name.strip().lower() == column.strip().lower()]
    if len(matches) != 1:
        reason = "is there more than once" if matches else "is missing"
        raise raw.error(f"the column {column!r} {reason}", hint=f"columns: {', '.join(rows.names) or 'without names'}")
    return matches[0]


def _numbers(raw: RawFile, rows: _Rows, column: Column) -> FloatArray:
    index = _index(raw, rows, column)
    values = [_value(row[index]) for row in rows.cells]
    bad = next((i for i, value in enumerate(values) if value is None), None)
    if bad is not None:
        cell = rows.cells[bad][index][:40]
        raise raw.error(f"row {bad + 1} has {cell!r} in column {column!r}, not a number")
    return np.array(values, dtype=np.float64)


def _integers(raw: RawFile, rows: _Rows, column: Column | None) -> IntArray | None:
    if column is None:
        return None
    values = _numbers(raw, rows, column)
    if not np.isfinite(values).all():
        raise raw.error(f"column {column!r} has values that are NaN or infinite")
    return np.rint(values).astype(np.int64)


def _unit_of_name(rows: _Rows, index: int) -> str | None:
    match = _UNIT.search(rows.names[index]) if rows.names else None
    return None if match is None else match[1].replace("µ", "u").replace("μ", "u").replace(".", "").replace("Ahr", "Ah")


def _factor(raw: RawFile, rows: _Rows, column: Column, unit: str | None, known: dict[str, T], default: str) -> T:
    name = _unit_of_name(rows, _index(raw, rows, column))
    if unit is not None and name in known and name != unit:
        raise raw.error(f"column {column!r} is in {name}, the column map says {unit}")
    chosen = unit or (name if name in known else default)
    if chosen not in known:
        raise raw.error(f"the unit {chosen!r} is not known", hint=f"known: {', '.join(known)}")
    return known[chosen]


def _scaled(
    raw: RawFile, rows: _Rows, column: Column, unit: str | None, known: dict[str, float], default: str
) -> FloatArray:
    return _factor(raw, rows, column, unit, known, default) * _numbers(raw, rows, column)


def _times(raw: RawFile, rows: _Rows, plan: CyclerColumns) -> tuple[FloatArray, datetime | None]:
    if plan.time_unit not in get_args(TimeUnit):
        raise raw.error(f"the time unit {plan.time_unit!r} is not known", hint=", ".join(get_args(TimeUnit)))
    index = _index(raw, rows, plan.time)
    cells = [row[index] for row in rows.cells]
    unit = plan.time_unit if plan.time_unit != "auto" else _time_unit(rows, index, cells[0])
    if unit == "datetime":
        stamps = [_datetime(cell) for cell in cells]
        known = [stamp for stamp in stamps if stamp is not None]
        if len(known) != len(stamps) or len({stamp.tzinfo is None for stamp in known}) > 1:
            raise raw.error(f"row {stamps.index(None) + 1 if None in stamps else 1} has no time with its date")
        return np.array([(stamp - known[0]).total_seconds() for stamp in known]), plan.start or known[0]
    seconds = np.array(_clock_times(raw, cells)) if unit == "hms" else _TIME_FACTORS[unit] * _numbers(raw, rows, index)
    return seconds - seconds[0], plan.start


def _time_unit(rows: _Rows, index: int, first: str) -> str:
    if _CLOCK.match(first):
        return "hms"
    if _value(first) is None:
        return "datetime"
    name = (_unit_of_name(rows, index) or "s").lower()
    return name if name in _TIME_FACTORS else "s"


def _clock_times(raw: RawFile, cells: list[str]) -> list[float]:
    seconds = []
    for row, cell in enumerate(cells, start=1):
        match = _CLOCK.match(cell)
        if match is None:
            raise raw.error(f"row {row} has the time {cell[:40]!r}, not hours, minutes and seconds")
        days, hours, minutes = int(match[1] or 0), int(match[2]), int(match[3])
        rest = float((match[4] or "0").replace(",", "."))
        seconds.append(86400.0 * days + 3600.0 * hours + 60.0 * minutes + rest)
    return seconds
