"""Scans of beamline 8-2 of the Stanford synchrotron (SSRL), raw and processed.

A raw file numbers its points in a column of its own, whose name is ``#``: who takes that for a comment mark reads every
name one column to the left. Its readings have the electronics' dark level in them, which the file does not give. A
processed file has the signals without it (``sc``, ``cma``, ``ch``, ``fy``) and their ratios to ``i0`` beside them.
"""

from __future__ import annotations

import numpy as np

from layerscope.measured.delimited import ColumnsTable, Table, parse_table
from layerscope.measured.files import RawFile
from layerscope.measured.text import decode

from ..scan import Scan
from ._base import photon_energies, scan_of

__all__ = ["read", "sniff"]

_RAW = {"i0": "i0", "tey": "tey", "aey": "cmact", "tfy": "fy", "reference": "ref", "encoder": "Energy_encoder"}
_PROCESSED = {"i0": "i0", "tey": "sc", "aey": "cma", "pey": "ch", "tfy": "fy", "reference": "ref"}
_RATIOS = {"tey": "tey", "aey": "aey", "pey": "pey", "tfy": "tfy", "reference": "refy"}
RATIO_TOLERANCE = 1e-4
"""Relative difference from a ratio as printed, with six digits, beyond which it is another one."""


def sniff(raw: RawFile) -> bool:
    """Tell whether the first line names the columns of one of the two kinds."""
    names = _names(raw)
    return "mono" in names and ({"i0", "tey", "cmact"} <= names or {"i0", "sc", "refy"} <= names)


def _names(raw: RawFile) -> set[str]:
    first = decode(raw.data[:1000]).lstrip().partition("\n")[0]
    return set(first.replace(",", " ").lstrip("#").split())


def read(raw: RawFile) -> list[Scan]:
    """Read the one scan of a file; ratios that are not those of its columns are flagged."""
    processed = "refy" in _names(raw)
    table = parse_table(raw, ColumnsTable(delimiter=" " if processed else ",", decimal="."))
    if not table.names:
        raise raw.error(f"the first line has not as many names as the rows have columns ({table.width})")
    energy = photon_energies(raw, "mono", table.numbers("mono"))
    roles = {role: name for role, name in (_PROCESSED if processed else _RAW).items() if name in table.names}
    return [
        scan_of(
            table,
            energy,
            roles,
            dwell_s=table.numbers("Seconds") if "Seconds" in table.names else None,
            metadata={"endstation": "SSRL 8-2", "state": "processed" if processed else "raw"},
            convention="column 'mono' of SSRL 8-2: what was asked for, not the encoder",
            flags=tuple(_other_ratios(table)) if processed else (),
        )
    ]


def _other_ratios(table: Table) -> list[str]:
    i0 = table.numbers("i0")
    flags = []
    for role, name in _RATIOS.items():
        if name not in table.names or _PROCESSED[role] not in table.names:
            continue
        said, made = table.numbers(name), table.numbers(_PROCESSED[role]) / i0
        off = float(np.max(np.abs(said - made) / np.maximum(np.abs(made), 1e-9), initial=0.0))
        if off > RATIO_TOLERANCE:
            flags.append(f"OTHER_RATIO:{name} is not {_PROCESSED[role]}/i0, off by up to {off:.1e}")
    return flags
