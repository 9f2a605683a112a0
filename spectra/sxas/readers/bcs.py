"""SigScan files of the beamline control system of the Advanced Light Source (ALS), with a map for each endstation.

A free header names the scanned motor, then follows a line of names and one line a point, all parted by tabs. Three
things in these files mislead: a name may stand twice (of two columns "Mono Energy" the second is empty), a scan "From
File" carries the range of some earlier scan, and the first time is left over from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from layerscope.measured.delimited import ColumnsTable, Table, parse_table
from layerscope.measured.files import RawFile
from layerscope.measured.text import decode, moment, number, whole

from ..scan import Scan
from ._base import first_of, photon_energies, scan_of

__all__ = ["read", "sniff"]

_HEAD = re.compile(r"^(?:Time of Day|Time \(s\))\t", re.MULTILINE)
_MARK = "Delay After Move (s):"
_SUM = re.compile(r"Sum of (\d+) scans?", re.IGNORECASE)


@dataclass(frozen=True)
class _Endstation:
    """What the columns of an endstation mean."""

    name: str
    energy: str
    roles: Mapping[str, str]


_ENDSTATIONS = (
    _Endstation(
        "ALS 6.3.1",
        "Energy",
        {"i0": "Izero", "tey": "TEY_up", "tfy": "Channeltron", "ring_current": "Beam Current"},
    ),
    _Endstation(
        "ALS 8.0.1",
        "Mono Energy",
        {
            "i0": "Counter 0",
            "tey": "Counter 1",
            "tfy": "Counter 2",
            "i0_other": "Counter 3",
            "ring_current": "Beam Current",
        },
    ),
)


def sniff(raw: RawFile) -> bool:
    """Tell whether the header of a single-motor scan stands at the top."""
    head = decode(raw.data[:4000])
    return head.startswith("Date:") and _MARK in head


def read(raw: RawFile) -> list[Scan]:
    """Read the one scan of a file; what misleads in its header is flagged by name."""
    text = decode(raw.data)
    head = _HEAD.search(text)
    if head is None:
        raise raw.error("the line of column names is missing", hint="it begins with 'Time (s)' or 'Time of Day'")
    before = text[: head.start()].splitlines()
    motor = _motor(raw, before)
    table = parse_table(raw, ColumnsTable(delimiter="\t", decimal=".", skip_lines=len(before)), cells="any")
    station = _endstation(raw, table, motor)
    at = first_of(table.names, station.energy)
    if at is None:
        raise raw.error(f"the scan moves {motor!r}: there is no column {station.energy!r}")
    energy = photon_energies(raw, motor, table.numbers(at))
    roles = {role: k for role, name in station.roles.items() if (k := first_of(table.names, name)) is not None}
    entries = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in before)}
    summed = _SUM.search(entries.get("Scan Number", ""))
    dwell = number(entries.get("Count Time (s)"))
    first = table.texts(0)[0] if table.names[0] == "Time of Day" else ""
    return [
        scan_of(
            table,
            energy,
            roles,
            dwell_s=None if dwell is None else np.full(energy.size, dwell),
            sweeps=(whole(summed[1]) or 1) if summed else 1,
            start_time=moment(f"{entries.get('Date', '')} {first}") if first else None,
            metadata={"endstation": station.name, "date": entries.get("Date", ""), "scan": entries["Scan Number"]}
            if "Scan Number" in entries
            else {"endstation": station.name},
            convention=f"column {at} ({station.energy!r}) of {station.name}, as read back",
            flags=(*_twice(table, station, at), *_stale(before, energy)),
        )
    ]


def _motor(raw: RawFile, before: list[str]) -> str:
    """Return what the scan moves: the line before those of its file and its range, which begin with a colon."""
    ranges = [k for k, line in enumerate(before) if re.match(r":\s*[-+\d.]", line)]
    named = [line.strip() for line in before[: ranges[0] if ranges else 0] if line.strip()]
    motors = [line for line in named if not re.match(r"(Date|From File)|.*[\\/]", line)]
    if not motors:
        raise raw.error("the header does not name the motor that was scanned")
    return motors[-1]


def _endstation(raw: RawFile, table: Table, motor: str) -> _Endstation:
    known = [one for one in _ENDSTATIONS if one.energy == motor]
    if not known:
        raise raw.error(f"the scan moves {motor!r}: it is no energy scan", hint="known: Energy, Mono Energy")
    fitting = [one for one in known if {one.roles["i0"], one.roles["tey"]} <= set(table.names)]
    if not fitting:
        wanted = " and ".join(repr(known[0].roles[role]) for role in ("i0", "tey"))
        hint = f"columns: {', '.join(table.names)}; give a column map"
        raise raw.error(f"the columns {wanted} of {known[0].name} are missing", hint=hint)
    return fitting[0]


def _twice(table: Table, station: _Endstation, at: int) -> list[str]:
    """Return a flag for each column in use whose name stands a second time."""
    used = (station.energy, *station.roles.values())
    found = {name: [k for k, other in enumerate(table.names) if other == name] for name in dict.fromkeys(used)}
    return [f"COLUMN_TWICE:{name}, column {places[0]} used" for name, places in found.items() if len(places) > 1]


def _stale(before: list[str], energy: np.ndarray) -> list[str]:
    """Return a flag if the range in the header is not the one that was scanned."""
    said = [number(line[1:]) for line in before if line.startswith(":")]
    if len(said) < 2 or said[0] is None or said[1] is None:
        return []
    low, high = said[0], said[1]
    step = float(np.median(np.diff(energy))) if energy.size > 1 else 0.0
    if abs(energy.min() - low) <= 2 * abs(step) and abs(energy.max() - high) <= 2 * abs(step):
        return []
    return [f"STALE_RANGE:header {low:g} to {high:g}, data {energy.min():.5g} to {energy.max():.5g} eV"]
