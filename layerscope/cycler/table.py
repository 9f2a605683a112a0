"""Cycler records in text: CSV, TXT and EC-Lab's .mpt, by a map of columns or by the names in the header."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TypeVar

import numpy as np

from layerscope.cycler.data import CapacityUnit, CurrentUnit, CyclerData, IntArray, integrate_charge, signed_current
from layerscope.cycler.options import CyclerColumnsTable
from layerscope.measured.archive import is_zip
from layerscope.measured.delimited import Column, Table, parse_table
from layerscope.measured.files import RawFile
from layerscope.measured.measurement import FloatArray
from layerscope.measured.text import clock_seconds, decode, moment, number

__all__ = ["read", "sniff"]

T = TypeVar("T")

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
_HEADER_LINES = re.compile(r"Nb header lines\s*:\s*(\d+)")


def sniff(raw: RawFile) -> bool:
    """Take what no other format does, unless it is an archive."""
    return not is_zip(raw)


def read(raw: RawFile, columns: CyclerColumnsTable | None = None) -> list[CyclerData]:
    """Read a cycler's text file; without a map the names in the header must tell time and voltage."""
    declared = _HEADER_LINES.search(decode(raw.data[:800]))
    skip = max(int(declared[1]) - 1, 0) if declared is not None else 0
    table = parse_table(raw, columns, cells="any", skip_lines=skip)
    plan = columns if columns is not None else _plan(table)
    time_s, start = _times(table, plan)
    voltage = _factor(table, plan.voltage, plan.voltage_unit, _VOLTAGE_FACTORS, "V") * table.numbers(plan.voltage)
    current: FloatArray | None = None
    current_unit: CurrentUnit = "mA"
    if plan.current is not None:
        factor, current_unit = _factor(table, plan.current, plan.current_unit, _CURRENT_FACTORS, "mA")
        current = factor * table.numbers(plan.current)
        current = current if plan.signed else signed_current(voltage, current)
    capacity_unit: CapacityUnit = "mAh" if current_unit == "mA" else "mAh/g"
    capacity, origin = None, ""
    if plan.capacity is not None and plan.capacity_is_net:
        factor, capacity_unit = _factor(table, plan.capacity, plan.capacity_unit, _CAPACITY_FACTORS, "mAh")
        capacity, origin = factor * table.numbers(plan.capacity), "file"
        capacity = capacity - capacity[0]
    elif current is not None:
        capacity, origin = integrate_charge(time_s, current), "integrated"
    data = CyclerData(
        time_s=time_s,
        voltage_V=voltage,
        current=current,
        capacity=capacity,
        start=start,
        cycle=_integers(table, plan.cycle),
        step=_integers(table, plan.step),
        current_unit=current_unit,
        capacity_unit=capacity_unit,
        metadata={"capacity_from": origin, "member": raw.member, "sign_from": "file" if plan.signed else "voltage"},
    )
    return [data]


def _plan(table: Table) -> CyclerColumnsTable:
    """Tell the columns by their names."""
    found: dict[str, int] = {}
    for role, pattern in _NAMES.items():
        matches = [i for i, name in enumerate(table.names) if pattern.search(name.strip())]
        if len(matches) == 1 or (matches and role in ("time", "voltage", "current")):
            found[role] = matches[0]
    missing = [role for role in ("time", "voltage") if role not in found]
    if missing:
        listing = ", ".join(table.names) or "the file has no line of names"
        raise table.raw.error(
            f"the columns of {' and '.join(missing)} cannot be told", hint=f"columns: {listing}; say which they are"
        )
    net = "capacity" in found and table.names[found["capacity"]].strip().lower().startswith(("(q-qo)", "net"))
    return CyclerColumnsTable(**found, capacity_is_net=net)  # type: ignore[arg-type]


def _integers(table: Table, column: Column | None) -> IntArray | None:
    if column is None:
        return None
    values = table.numbers(column)
    if not np.isfinite(values).all():
        raise table.raw.error(f"column {column!r} has values that are NaN or infinite")
    return np.rint(values).astype(np.int64)


def _unit_of_name(table: Table, column: Column) -> str | None:
    match = _UNIT.search(table.names[table.index(column)]) if table.names else None
    return None if match is None else match[1].replace("µ", "u").replace("μ", "u").replace(".", "").replace("Ahr", "Ah")


def _factor(table: Table, column: Column, unit: str | None, known: dict[str, T], default: str) -> T:
    name = _unit_of_name(table, column)
    if unit is not None and name in known and name != unit:
        raise table.raw.error(f"column {column!r} is in {name}, the column map says {unit}")
    return known[unit or (name if name in known else default)]


def _times(table: Table, plan: CyclerColumnsTable) -> tuple[FloatArray, datetime | None]:
    """Return the times since the first record in s, and the moment of the first record where it is written."""
    cells = table.texts(plan.time)
    unit = plan.time_unit if plan.time_unit != "auto" else _time_unit(table, plan.time, cells[0])
    if unit == "datetime":
        stamps = [moment(cell) for cell in cells]
        known = [stamp for stamp in stamps if stamp is not None]
        if len(known) != len(stamps) or len({stamp.tzinfo is None for stamp in known}) > 1:
            row = stamps.index(None) + 1 if None in stamps else 1
            raise table.raw.error(f"row {row} has no time with its date")
        return np.array([(stamp - known[0]).total_seconds() for stamp in known]), known[0]
    seconds = _clock_times(table, cells) if unit == "hms" else _TIME_FACTORS[unit] * table.numbers(plan.time)
    return seconds - seconds[0], None


def _time_unit(table: Table, column: Column, first: str) -> str:
    if clock_seconds(first) is not None:
        return "hms"
    if number(first.replace(",", ".")) is None:
        return "datetime"
    name = (_unit_of_name(table, column) or "s").lower()
    return name if name in _TIME_FACTORS else "s"


def _clock_times(table: Table, cells: list[str]) -> FloatArray:
    seconds = [clock_seconds(cell) for cell in cells]
    if None in seconds:
        row = seconds.index(None)
        raise table.raw.error(f"row {row + 1} has the time {cells[row][:40]!r}, not hours, minutes and seconds")
    return np.array(seconds, dtype=np.float64)
