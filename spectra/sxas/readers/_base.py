"""What readers of scans share: photon energies that are some, and channels taken from named columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from layerscope.measured.delimited import Table
from layerscope.measured.files import RawFile
from layerscope.measured.measurement import FloatArray

from ..scan import Scan

__all__ = ["ENERGY_UNITS", "first_of", "photon_energies", "scan_of"]

ENERGY_UNITS = {"ev": 1.0, "kev": 1000.0}
LEAST_EV, MOST_EV = 10.0, 2.0e5
"""Below are no core levels, above no beamlines."""


def photon_energies(raw: RawFile, label: str, values: FloatArray, unit: str = "eV") -> FloatArray:
    """Return photon energies in eV, or say why a column cannot hold them.

    Raises
    ------
    ReaderError
        If the unit is none of an energy, the values number the points, or lie where no photon energies are.
    """
    factor = ENERGY_UNITS.get(unit.strip().lower())
    if factor is None:
        raise raw.error(f"the scan moves {label!r} in {unit.strip() or 'no unit'}: that is no photon energy")
    if values.size > 1 and values[0] in (0.0, 1.0) and (np.diff(values) == 1).all():
        raise raw.error(
            f"the column {label!r} numbers the points, it holds no photon energies",
            hint="the header may stand one column off: give a column map",
        )
    energies = np.asarray(values * factor)
    if energies.size and not (float(energies.min()) >= LEAST_EV and float(energies.max()) <= MOST_EV):
        raise raw.error(
            f"the column {label!r} runs from {values.min():g} to {values.max():g} {unit}: those are no photon energies",
            hint="energies in keV need a column map with energy_unit = 'keV'" if energies.max() < LEAST_EV else None,
        )
    return energies


def first_of(names: Sequence[str], wanted: str) -> int | None:
    """Return where a name stands first, or None; a reader that knows of a second column of that name uses it."""
    return next((k for k, name in enumerate(names) if name == wanted), None)


def scan_of(table: Table, energy: FloatArray, roles: Mapping[str, int | str], **more: Any) -> Scan:
    """Return a scan whose channels are columns of a table.

    Parameters
    ----------
    table : Table
    energy : ndarray, shape (rows,)
        In eV.
    roles : mapping of str to int or str
        Number or name of the column of each role.
    **more
        Further fields of the scan.
    """
    at = {role: table.index(column) for role, column in roles.items()}
    labels = {role: table.names[k] if table.names else str(k) for role, k in at.items()}
    return Scan.of(energy, {role: table.numbers(k) for role, k in at.items()}, labels=labels, **more)
