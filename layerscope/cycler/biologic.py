"""Biologic .mpr through galvani, which is imported here only and only when such a file is read."""

from __future__ import annotations

import io
import warnings
from datetime import datetime
from importlib import import_module
from typing import Any

import numpy as np

from layerscope.cycler.data import CyclerData, integrate_charge
from layerscope.errors import MissingDependencyError
from layerscope.measured.files import RawFile
from layerscope.measured.measurement import FloatArray

__all__ = ["read", "sniff"]

_MAGIC = b"BIO-LOGIC MODULAR FILE"

_VOLTAGES = ("Ewe/V", "<Ewe>/V", "Ewe-Ece/V", "|Ewe|/V")
_CURRENTS = ("I/mA", "<I>/mA", "control/mA")
_CHARGES = ("(Q-Qo)/mA.h",)


def sniff(raw: RawFile) -> bool:
    """Tell whether the bytes begin as a Biologic file does."""
    return raw.data.startswith(_MAGIC)


def read(raw: RawFile) -> list[CyclerData]:
    """Read a Biologic .mpr file; its start, from the log module, is naive: the clock of the machine that ran EC-Lab."""
    try:
        library: Any = import_module("galvani.BioLogic")
    except ImportError as error:
        raise MissingDependencyError(
            "Biologic files need galvani", source=raw.path, hint="pip install galvani"
        ) from error
    if not sniff(raw):
        raise raw.error("the file does not start like a Biologic .mpr file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [_data(raw, library.MPRfile(io.BytesIO(raw.data)))]


def _data(raw: RawFile, file: Any) -> CyclerData:
    table = file.data
    names = table.dtype.names or ()
    if "time/s" not in names or not len(table):
        raise raw.error("the file has no times" if len(table) else "the file has no records")
    voltage = _column(table, _VOLTAGES)
    if voltage is None:
        raise raw.error("the file has no voltage", hint=f"columns: {', '.join(names)}")
    seconds = np.asarray(table["time/s"], dtype=np.float64)
    current = _column(table, _CURRENTS)
    charge = _column(table, _CHARGES)
    origin = "file" if charge is not None else "integrated" if current is not None else ""
    if charge is None and current is not None:
        charge = integrate_charge(seconds, current)
    start = getattr(file, "timestamp", None)
    return CyclerData(
        time_s=seconds - seconds[0],
        voltage_V=voltage,
        current=current,
        capacity=None if charge is None else charge - charge[0],
        start=start if isinstance(start, datetime) else None,
        cycle=_integers(table, "cycle number"),
        step=_integers(table, "Ns"),
        metadata={"capacity_from": origin, "member": raw.member, "columns": ", ".join(names)},
    )


def _column(table: Any, names: tuple[str, ...]) -> FloatArray | None:
    for name in names:
        if name in (table.dtype.names or ()):
            return np.asarray(table[name], dtype=np.float64)
    return None


def _integers(table: Any, name: str) -> Any:
    values = _column(table, (name,))
    return None if values is None or not np.isfinite(values).all() else np.rint(values).astype(np.int64)
