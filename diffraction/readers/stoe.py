"""STOE WinXPOW .raw: records of 512 bytes, little-endian; a header, and for each range a header and its counts.

Layout of versions 1.05 and 1.06 after the declarations of STOE's records in the source of DASH (ccdc-opensource/dash,
PolyLoadFiles.f90). Places of wavelengths, points, angles, counts and their range are those that chemotion-converter-app
(readers/stoe_raw.py) found in files of real instruments. Only read from files written from that description.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.measurement import IntensityUnit
from layerscope.measured.text import moment, positive

from ..dataset import Pattern
from ..radiation import FloatArray, Radiation
from ._base import regular_axis
from ._binary import field, rounded, text

__all__ = ["read", "sniff"]

_RECORD = 512
_VERSIONS = (b"RAW_1.05", b"RAW_1.06")
_ANODES = {1: "Ag", 2: "Mo", 3: "Cu", 4: "Co", 5: "Fe", 6: "Cr"}
_ALPHA1_ALONE = (2, 4, 6, 7, 8)
"""Monochromators before the sample that let K-alpha-1 through alone: germanium, quartz, gallium arsenide."""

_OMEGA = 2
"""Type of a scan of omega at a fixed 2θ."""

_MOST_RANGES = 8
_CHANGED = {5: "smoothed", 6: "background subtracted", 7: "K-alpha-2 stripped", 8: "modified"}
"""Bits of the history of a range that make its numbers no counts."""


def sniff(raw: RawFile) -> bool:
    """Tell whether the first bytes are those of a STOE file."""
    return raw.data[:8] in _VERSIONS


def read(raw: RawFile) -> list[Pattern]:
    """Read all ranges that were measured; scans of omega, and records that are not there, are refused."""
    if not sniff(raw):
        raise raw.error("the file does not start like a STOE RAW file")
    measured = int(field(raw, "h", 378, "number of ranges"))
    if not 0 < measured <= _MOST_RANGES:
        raise raw.error(f"{measured} measured ranges are declared; 1 to {_MOST_RANGES} are possible")
    if int(field(raw, "h", 360, "scan type")) == _OMEGA:
        raise raw.error("it is a scan of omega, not of 2θ")
    return [_range(raw, scan) for scan in range(measured)]


def _range(raw: RawFile, scan: int) -> Pattern:
    what = f"range {scan + 1}"
    record = int(field(raw, "h", 480 + 2 * scan, what))
    if record < 2:
        raise raw.error(f"the header of {what} is in record {record}")
    at = (record - 1) * _RECORD
    points, form = int(field(raw, "H", at + 34, what)), int(field(raw, "h", at + 38, what))
    start, step = (rounded(field(raw, "f", at + offset, what)) for offset in (44, 60))
    factor = max(float(field(raw, "f", at + 40, what)), 1.0)
    history = int(field(raw, "H", at + 118, what))
    changes = [word for bit, word in _CHANGED.items() if history >> bit & 1]
    unit: IntensityUnit = "arbitrary" if changes or factor != 1.0 else "counts"
    counts = _counts(raw, at + _RECORD, points, form, what)
    lowest, highest = (int(field(raw, "i", at + offset, what)) for offset in (120, 124))
    if highest > 0 and (counts.min() != lowest or counts.max() != highest):
        raise raw.error(
            f"{what} declares counts of {lowest} to {highest}, its numbers are {counts.min():g} to {counts.max():g}",
            hint="the file is damaged",
        )
    return Pattern(
        axis=regular_axis(raw, start, step, points),
        intensity=counts / factor,
        intensity_unit=unit,
        time_per_step_s=positive(rounded(field(raw, "f", at + 68, what))),
        radiation=_radiation(raw),
        start_time=_time(raw, at, what),
        end_time=_time(raw, at + 16, what),
        sample=text(raw, 32, 80, "title"),
        metadata={
            "points_declared": "yes",
            "version": raw.data[4:8].decode("ascii"),
            "comment": text(raw, 112, 192, "comment"),
            "changes": ", ".join(changes),
        },
    )


def _counts(raw: RawFile, at: int, points: int, form: int, what: str) -> FloatArray:
    if form not in (0, 1):
        raise raw.error(f"the counts of {what} have the unknown form {form}")
    if points < 1:
        raise raw.error(f"{what} has no points", hint="the scan was not begun")
    kind = np.dtype("<i4" if form == 0 else "<i2")
    there = max(raw.size - at, 0) // kind.itemsize
    if points > there:
        raise raw.error(f"{what} declares {points} points, but only {there} are there", hint="it is cut off")
    return np.frombuffer(raw.data, dtype=kind, count=points, offset=at).astype(np.float64)


def _radiation(raw: RawFile) -> Radiation | None:
    alpha1, alpha2 = (positive(rounded(field(raw, "f", at, "wavelength"))) for at in (322, 326))
    if alpha1 is None:
        return None
    anode = _ANODES.get(int(field(raw, "h", 310, "anode")), "")
    single = int(field(raw, "h", 308, "monochromator")) % 100 in _ALPHA1_ALONE  # 100 more where it is motorised
    return Radiation(alpha1, None if single or alpha2 == alpha1 else alpha2, anode=anode)


def _time(raw: RawFile, at: int, what: str) -> datetime | None:
    return moment(f"{text(raw, at, 16, what)}:00")
