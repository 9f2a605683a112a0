"""Plain columns (CSV, text) whose meaning is stated by the user: nothing is guessed but how they are written."""

from __future__ import annotations

from layerscope.measured.delimited import parse_table
from layerscope.measured.files import RawFile

from ..edges import normalise_edge
from ..options import ScanColumnsTable
from ..scan import SIGNALS, Scan
from ._base import photon_energies, scan_of

__all__ = ["read", "sniff"]


def sniff(raw: RawFile) -> bool:
    """Plain columns have no signature; they are read only on request."""
    return False


def read(raw: RawFile, columns: ScanColumnsTable | None = None) -> list[Scan]:
    """Read a table by its map; a column that the map names and the header holds twice is refused."""
    if columns is None:
        raise raw.error("plain columns need a column map", hint="say which column is the energy and which the signal")
    table = parse_table(raw, columns)
    at = table.index(columns.energy)
    used = {role: table.index(column) for role, column in columns.roles.items()}
    twice = [role for role, k in used.items() if k == at]
    if twice:
        raise raw.error(f"column {columns.energy!r} is both the energy and {twice[0]}")
    label = table.names[at] if table.names else str(columns.energy)
    if "kev" in label.lower() and columns.energy_unit == "eV":
        raise raw.error(f"the energy column is named {label!r}, the column map says eV")
    return [
        scan_of(
            table,
            photon_energies(raw, label, table.numbers(at), columns.energy_unit),
            used,
            ratios=frozenset(used) & frozenset(SIGNALS) if columns.divided else frozenset({"mu"} & set(used)),
            dwell_s=None if columns.dwell_s is None else table.numbers(columns.dwell_s),
            edge=normalise_edge(columns.edge) if columns.edge else "",
            convention="as the file has it",
        )
    ]
