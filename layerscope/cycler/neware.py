"""Neware .nda and .ndax through NewareNDA, which is imported here only and only when such a file is read.

NewareNDA turns some of the cycler's times into the zone of the machine that reads them. Those come back aware and are
kept as instants; the others are the cycler's own wall clock and stay naive, whatever the zone of this machine.
"""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.cycler.data import CyclerData
from layerscope.errors import MissingDependencyError
from layerscope.measured.archive import is_zip, member_names, open_archive, read_member
from layerscope.measured.files import RawFile
from layerscope.measured.measurement import FloatArray

__all__ = ["read", "sniff"]

_NEEDED = ("Timestamp", "Voltage", "Current(mA)", "Charge_Capacity(mAh)", "Discharge_Capacity(mAh)", "Step", "Cycle")
_MAGIC_NDA = b"NEWARE"
_PAGE = 4096


def sniff(raw: RawFile) -> bool:
    """Tell whether the bytes begin as a .nda file does, or the archive holds what a .ndax file does."""
    return raw.data.startswith(_MAGIC_NDA) or (is_zip(raw) and b"data.ndc" in raw.data)


def read(raw: RawFile) -> list[CyclerData]:
    """Read a Neware .nda or .ndax file, with the cycler's own coulomb counting summed up over the steps."""
    try:
        library = import_module("NewareNDA")
    except ImportError as error:
        raise MissingDependencyError(
            "Neware files need NewareNDA", source=raw.path, hint="pip install NewareNDA"
        ) from error
    suffix = ".ndax" if is_zip(raw) else ".nda"
    if suffix == ".nda" and not raw.data.startswith(_MAGIC_NDA):
        raise raw.error("the file does not start like a Neware file")
    if suffix == ".ndax":
        with open_archive(raw) as archive:  # paths and sizes are looked at before the library unpacks it
            for name in member_names(archive):
                _require_pages(read_member(raw, archive, name))
    frame = _table(raw, library, suffix)
    missing = [name for name in _NEEDED if name not in frame.columns]
    if missing or len(frame) == 0:
        raise raw.error(f"the file has no {', '.join(missing) or 'records'}")
    return [_data(raw, frame, str(getattr(library, "__version__", "")))]


def _require_pages(member: RawFile) -> None:
    """Refuse a table of records whose last pages are zeros: each page of a whole one begins with its number."""
    if not member.name.endswith(".ndc"):
        return
    pages, zeros = -(-member.size // _PAGE), member.size - len(member.data.rstrip(b"\0"))
    if zeros >= _PAGE:
        raise member.error(
            f"the last {zeros // _PAGE} of {pages} pages hold nothing but zeros",
            hint="the file was copied in half: copy it again",
        )


def _table(raw: RawFile, library: Any, suffix: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"record{suffix}"
        path.write_bytes(raw.data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return library.read(str(path), software_cycle_number=True, log_level="CRITICAL")


def _data(raw: RawFile, frame: Any, version: str) -> CyclerData:
    time_s, start = _times(raw, frame["Timestamp"])
    step = np.asarray(frame["Step"], dtype=np.int64)
    charged = np.asarray(frame["Charge_Capacity(mAh)"], dtype=np.float64)
    discharged = np.asarray(frame["Discharge_Capacity(mAh)"], dtype=np.float64)
    metadata = {"capacity_from": "file", "member": raw.member, "NewareNDA": version}
    with contextlib.suppress(KeyError):
        metadata["status"] = ", ".join(dict.fromkeys(str(s) for s in frame["Status"]))
    return CyclerData(
        time_s=time_s,
        voltage_V=np.asarray(frame["Voltage"], dtype=np.float64),
        current=np.asarray(frame["Current(mA)"], dtype=np.float64),
        capacity=_net_charge(step, charged - discharged),
        start=start,
        cycle=np.asarray(frame["Cycle"], dtype=np.int64),
        step=step,
        metadata=metadata,
    )


def _times(raw: RawFile, stamps: Any) -> tuple[FloatArray, datetime]:
    values = list(stamps)
    seconds = np.array([(value - values[0]).total_seconds() for value in values], dtype=np.float64)
    if not np.isfinite(seconds).all():
        raise raw.error(f"{int((~np.isfinite(seconds)).sum())} records have no time")
    first: datetime = values[0].to_pydatetime() if hasattr(values[0], "to_pydatetime") else values[0]
    return seconds, first.astimezone(UTC) if first.tzinfo is not None else first


def _net_charge(step: np.ndarray[Any, Any], within_step: FloatArray) -> FloatArray:
    """Net charge since the first record, from a capacity that restarts with each step."""
    starts = np.flatnonzero(np.diff(step)) + 1
    offset = np.zeros(step.size)
    total = 0.0
    for begin in starts:
        total += within_step[begin - 1]
        offset[begin:] = total
    net = within_step + offset
    return np.asarray(net - net[0])
