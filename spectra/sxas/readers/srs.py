"""Text files of Diamond Light Source in the SRS layout: ``&SRS``, metadata, ``&END``, names, one line a point.

Signals of I06-1 as its own columns of ratios state them: ``idio`` is C1/C2 and ``ifio`` is C3/C2.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime

from layerscope.measured.delimited import ColumnsTable, parse_table
from layerscope.measured.files import RawFile
from layerscope.measured.text import decode

from ..scan import Scan
from ._base import photon_energies, scan_of

__all__ = ["read", "sniff"]

_ENERGIES = ("fastEnergy", "pgmenergy", "energy", "denergy", "egy_g_idu_circ_energy", "idd_energy")
_SIGNALS = ({"tey": "C1", "i0": "C2", "tfy": "C3"}, {"tey": "msc19", "i0": "msc17", "tfy": "msc18"})
_ENTRY = re.compile(r"^\s*(\w+)=(.*)$", re.MULTILINE)


def sniff(raw: RawFile) -> bool:
    """Tell whether the file begins with its mark."""
    return raw.data[:200].lstrip().startswith(b"&SRS")


def read(raw: RawFile) -> list[Scan]:
    """Read the one scan of a file; one that moves something else than the energy is refused by name."""
    text = decode(raw.data)
    head, mark, rows = text.partition("&END")
    if not mark:
        raise raw.error("the header has no &END", hint="the file may be cut off")
    names = rows.strip().partition("\n")[0].split()
    if not names:
        raise raw.error("there is nothing after &END", hint="the file may be cut off")
    if names[0] not in _ENERGIES:
        raise raw.error(f"the scan moves {names[0]!r}: it is no energy scan", hint=f"known: {', '.join(_ENERGIES)}")
    table = parse_table(raw, ColumnsTable(delimiter="\t", decimal=".", skip_lines=len(head.splitlines())))
    if not table.names:
        raise raw.error(f"{len(names)} names stand over {table.width} columns")
    roles = next((r for r in _SIGNALS if set(r.values()) <= set(names)), None)
    if roles is None:
        raise raw.error("the columns of the signals are not known", hint=f"columns: {', '.join(names)}; give a map")
    about = dict(_ENTRY.findall(head))
    station = re.search(r"SRSPRJ='([^']*)'", head)
    start = None
    with suppress(ValueError):
        start = datetime.strptime(about.get("date", "").strip("'\" "), "%a %b %d %H:%M:%S %Y")
    kept = ("command", "Tsample_mag", "magz", "grating", "cff")
    return [
        scan_of(
            table,
            photon_energies(raw, names[0], table.numbers(0)),
            roles,
            start_time=start,
            metadata={
                "endstation": f"Diamond {station[1].strip()}" if station else "Diamond",
                **{key: about[key].strip() for key in kept if key in about},
            },
            convention=f"column {names[0]!r}, as read back",
        )
    ]
