"""Bruker and Siemens binary .RAW of all four versions, by the four bytes they start with.

Layouts: versions 1 and 2 after the DIFFRAC-AT manual, appendix B, version 3 ("RAW1.01") after the XCH manual, appendix
A, version 4 ("RAW4.00", undocumented) after what xylib and GSAS-II found; all as described in xylib's source. All
numbers are little-endian. Version 1 is tested against the same scan as .UXD, 3 and 4 against real files, 2 only against
files written from the description.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.text import moment, positive

from ..dataset import Pattern
from ..radiation import FloatArray, Radiation
from ._base import regular_axis
from ._binary import field, rounded, text

__all__ = ["read", "sniff"]

_UNKNOWN = -1e6
"""Version 1 writes it for an angle that is not known."""

_NO_KELVIN = 0xFFFF
"""Version 2 writes it where no temperature was measured."""

_HEADER_3, _RANGE_3 = 712, 304
_HEADER_4, _RANGE_4 = 61, 160
_COUPLED_4 = ("Locked Coupled", "Unlocked Coupled", "Detector Scan", "2Theta")
_STATUS_3 = {1: "done", 2: "active", 3: "aborted", 4: "interrupted"}


def sniff(raw: RawFile) -> bool:
    """Tell whether the first bytes are those of a Bruker RAW file."""
    head = raw.data[:8]
    return head[:4] in (b"RAW ", b"RAW2") or head[:7] in (b"RAW1.01", b"RAW4.00")


def read(raw: RawFile) -> list[Pattern]:
    """Read all ranges; bytes that are left over, and scans of other axes than 2θ, are refused."""
    if not sniff(raw):
        raise raw.error("the file does not start like a Bruker RAW file")
    version = raw.data[:4]
    reader = {b"RAW ": _read_1, b"RAW2": _read_2, b"RAW1": _read_3}.get(version, _read_4)
    return reader(raw)


def _floats(raw: RawFile, offset: int, points: int, what: str, *, stride: int = 4) -> FloatArray:
    left = raw.size - offset
    if points * stride > left:
        raise raw.error(
            f"{what} declares {points} points, but only {max(left, 0) // stride} are there", hint="it is cut off"
        )
    data = np.frombuffer(raw.data, dtype=np.uint8, count=points * stride, offset=offset).reshape(points, stride)
    return np.asarray(np.ascontiguousarray(data[:, :4]).view("<f4")[:, 0], dtype=np.float64)


def _radiation(alpha1: float, alpha2: float, ratio: float, beta: float, anode: str) -> Radiation | None:
    first = positive(alpha1)
    if first is None:
        return None
    second, share = positive(alpha2), positive(ratio)
    return Radiation(first, second, share, positive(beta), anode.strip().capitalize())


def _rest(raw: RawFile, position: int) -> None:
    if raw.data[position:].strip(b"\0"):
        raise raw.error(f"{raw.size - position} bytes are left over after the last range")


def _read_1(raw: RawFile) -> list[Pattern]:
    patterns: list[Pattern] = []
    position, following = 0, 1
    while following > 0:
        what = f"header of range {len(patterns) + 1}"
        # Early programs did not repeat the magic before further ranges.
        if raw.data[position : position + 4] != b"RAW ":
            position -= 4
        points = int(field(raw, "I", position + 4, what))
        step, start = (rounded(field(raw, "f", position + at, what)) for at in (12, 24))
        alpha1, alpha2 = (rounded(field(raw, "f", position + at, what)) for at in (72, 76))
        following = int(field(raw, "I", position + 152, what))
        position += 156
        counts = _floats(raw, position, points, f"range {len(patterns) + 1}")
        position += 4 * points
        header = position - 4 * points - 156
        theta = float(field(raw, "f", header + 28, what))
        patterns.append(
            Pattern(
                axis=regular_axis(raw, start, step, points),
                intensity=counts,
                time_per_step_s=positive(rounded(field(raw, "f", header + 8, what))),
                radiation=_radiation(alpha1, alpha2, 0.0, 0.0, ""),
                sample=text(raw, header + 40, 32, what),
                metadata={
                    "version": "1",
                    "points_declared": "yes",
                    "theta_start": "" if theta == _UNKNOWN else f"{theta:g}",
                },
            )
        )
        if len(patterns) > 10_000:
            raise raw.error("the file declares more than 10000 ranges")
    _rest(raw, position)
    return patterns


def _read_2(raw: RawFile) -> list[Pattern]:
    ranges = int(field(raw, "H", 4, "number of ranges"))
    anode = text(raw, 188, 2, "anode")
    alpha1, alpha2, ratio = (rounded(field(raw, "f", at, "wavelengths")) for at in (190, 194, 198))
    date = moment(text(raw, 168, 20, "date"))
    patterns: list[Pattern] = []
    position = 256
    for scan in range(ranges):
        what = f"header of range {scan + 1}"
        length, points = int(field(raw, "H", position, what)), int(field(raw, "H", position + 2, what))
        if length < 48:
            raise raw.error(f"the {what} has {length} bytes; it has at least 48")
        time, step, start = (rounded(field(raw, "f", position + at, what)) for at in (8, 12, 16))
        kelvin = int(field(raw, "H", position + 46, what))
        counts = _floats(raw, position + length, points, f"range {scan + 1}")
        position += length + 4 * points
        patterns.append(
            Pattern(
                axis=regular_axis(raw, start, step, points),
                intensity=counts,
                time_per_step_s=positive(time),
                radiation=_radiation(alpha1, alpha2, ratio, 0.0, anode),
                start_time=date if scan == 0 else None,
                temperature_K=None if kelvin == _NO_KELVIN else positive(kelvin),
                metadata={"version": "2", "points_declared": "yes"},
            )
        )
    _rest(raw, position)
    return patterns


def _read_3(raw: RawFile) -> list[Pattern]:
    status = _STATUS_3.get(int(field(raw, "I", 8, "status")), "unknown")
    ranges = int(field(raw, "I", 12, "number of ranges"))
    if ranges * _RANGE_3 > raw.size:
        raise raw.error(f"{ranges} ranges are declared, for which {raw.size} bytes are too few", hint="it is cut off")
    date = moment(f"{text(raw, 16, 10, 'date')} {text(raw, 26, 10, 'time')}")
    alpha1, alpha2, beta, ratio = (float(field(raw, "d", at, "wavelengths")) for at in (624, 632, 640, 648))
    radiation = _radiation(alpha1, alpha2, ratio, beta, text(raw, 608, 4, "anode"))
    sample = text(raw, 326, 60, "sample")
    patterns: list[Pattern] = []
    position = _HEADER_3
    for scan in range(ranges):
        what = f"header of range {scan + 1}"
        length, points = int(field(raw, "I", position, what)), int(field(raw, "I", position + 4, what))
        if length != _RANGE_3:
            raise raw.error(f"the {what} has {length} bytes instead of {_RANGE_3}")
        start, step = (float(field(raw, "d", position + at, what)) for at in (16, 176))
        used = float(field(raw, "d", position + 240, what))
        extra = int(field(raw, "I", position + 256, what))
        counts = _floats(raw, position + length + extra, points, f"range {scan + 1}")
        patterns.append(
            Pattern(
                axis=regular_axis(raw, start, step, points),
                intensity=counts,
                time_per_step_s=positive(rounded(field(raw, "f", position + 192, what))),
                radiation=radiation,
                start_time=date if scan == 0 else None,
                sample=sample,
                metadata={
                    "version": "3",
                    "points_declared": "yes",
                    "status": status,
                    "comment": text(raw, 386, 160, "comment"),
                    "used_wavelength": f"{used:g}",
                },
            )
        )
        position += length + extra + 4 * points
    _rest(raw, position)
    return patterns


def _read_4(raw: RawFile) -> list[Pattern]:
    date = moment(f"{text(raw, 12, 12, 'date')} {text(raw, 24, 10, 'time')}")
    tags: dict[str, str] = {}
    radiation: Radiation | None = None
    position = _HEADER_4
    while (kind := int(field(raw, "I", position, "segment"))) not in (0, 160):
        length = int(field(raw, "I", position + 4, "segment"))
        if length < 8 or position + length > raw.size:
            raise raw.error(f"a segment of {length} bytes at byte {position} does not fit", hint="it is cut off")
        if kind == 10 and length >= 36:
            tags[text(raw, position + 12, 24, "tag")] = text(raw, position + 36, length - 36, "tag")
        elif kind == 30 and length >= 120:
            alpha1, alpha2, beta, ratio = (float(field(raw, "d", position + at, "tube")) for at in (80, 88, 96, 104))
            radiation = _radiation(alpha1, alpha2, ratio, beta, text(raw, position + 116, 4, "anode"))
        position += length
    patterns: list[Pattern] = []
    while position + 4 <= raw.size and int(field(raw, "I", position, "range")) in (0, 160):
        if patterns and not raw.data[position:].strip(b"\0"):
            break
        pattern, position = _range_4(raw, position, len(patterns), tags, radiation)
        patterns.append(pattern if patterns else replace(pattern, start_time=date))
    _rest(raw, position)
    return patterns


def _range_4(
    raw: RawFile, position: int, scan: int, tags: dict[str, str], radiation: Radiation | None
) -> tuple[Pattern, int]:
    what = f"header of range {scan + 1}"
    scan_type = text(raw, position + 32, 24, what)
    if scan_type not in _COUPLED_4:
        raise raw.error(f"range {scan + 1} is a scan of type {scan_type!r}, not of 2θ")
    start, step = (float(field(raw, "d", position + at, what)) for at in (72, 80))
    points, stride, extra = (int(field(raw, "I", position + at, what)) for at in (88, 136, 140))
    if stride < 4 or stride > 1024:
        raise raw.error(f"a point of range {scan + 1} has {stride} bytes")
    data = position + _RANGE_4 + extra
    counts = _floats(raw, data, points, f"range {scan + 1}", stride=stride)
    pattern = Pattern(
        axis=regular_axis(raw, start, step, points),
        intensity=counts,
        time_per_step_s=positive(rounded(field(raw, "f", position + 92, what))),
        radiation=radiation,
        sample=tags.get("SAMPLEID", ""),
        metadata={**tags, "version": "4", "points_declared": "yes", "scan_type": scan_type},
    )
    return pattern, data + points * stride
