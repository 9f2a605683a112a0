"""Scans of the EPICS scan record, whatever file they come in: which process variable is which channel."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.measurement import FloatArray

from ..scan import Scan
from ._base import photon_energies

__all__ = ["ProcessVariable", "epics_scan"]

# Soft X-ray beamline of the Australian Synchrotron, as pyNexafs names its scalers (commit ed53795, SXR.py).
_ROLES: Mapping[str, str] = {
    "SR14ID01PGM_CALC_ENERGY_MONITOR.P": "encoder",
    "SR14ID01IOC68:scaler1.S20": "tey",
    "SR14ID01IOC68:scaler1.S18": "i0",
    "SR14ID01IOC68:scaler1.S19": "reference",
    "SR14ID01IOC68:scaler1.S17": "diode",
    "SR14ID01IOC68:scaler1.S21": "pey",
    "SR14ID01IOC68:scaler1.S22": "tfy",
    "SR14ID01IOC68:scaler1.S23": "aey",
    "SR14ID01DPP01:mca1.R0": "pfy",
}
_DWELL = re.compile(r"scaler\d*\.TP$|sample_time$")


@dataclass(frozen=True)
class ProcessVariable:
    """One column: a positioner or a detector of the scan record."""

    name: str
    description: str
    unit: str
    moved: bool


def epics_scan(
    raw: RawFile,
    columns: Sequence[tuple[ProcessVariable, FloatArray]],
    *,
    start: str,
    declared: int,
    comments: Sequence[str],
) -> Scan:
    """Return the scan that columns are, its energy the one that the monochromator read back, if it did.

    Raises
    ------
    ReaderError
        If what was moved is no energy, or no column is known as a channel.
    """
    moved = [(pv, values) for pv, values in columns if pv.moved and not _DWELL.search(pv.name)]
    if not moved:
        raise raw.error("the scan moves nothing: it is no energy scan")
    position, asked = moved[0]
    energy = photon_energies(raw, position.description or position.name, asked, position.unit)
    channels = {_ROLES[pv.name]: (pv, values) for pv, values in columns if pv.name in _ROLES}
    convention = f"{position.name}, what was asked for"
    if "encoder" in channels and (np.diff(channels["encoder"][1]) > 0).all():
        pv, values = channels.pop("encoder")
        channels["setpoint"] = (position, energy)
        energy, convention = photon_energies(raw, pv.name, values), f"{pv.name}, as read back"
    if not channels.keys() - {"encoder", "setpoint"}:
        held = ", ".join(pv.name for pv, _ in columns)
        raise raw.error("no column is known as a channel", hint=f"columns: {held}; give a column map")
    dwell = next((values for pv, values in columns if pv.moved and _DWELL.search(pv.name)), None)
    said = [text for text in comments if text.strip()]
    return Scan.of(
        energy,
        {role: values for role, (_, values) in channels.items()},
        labels={role: pv.name for role, (pv, _) in channels.items()},
        dwell_s=dwell,
        start_time=_time(start),
        sample=said[0].strip() if said else "",
        metadata={"endstation": position.name.partition(":")[0], "comment": "; ".join(said)},
        convention=convention,
        flags=(f"SCAN_STOPPED:{energy.size} of {declared} points",) if energy.size < declared else (),
    )


def _time(text: str) -> datetime | None:
    with suppress(ValueError):
        return datetime.strptime(text.strip()[:28].title(), "%b %d, %Y %H:%M:%S.%f")
    return None
