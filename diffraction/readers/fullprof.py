"""FullProf's text formats: XYDATA (columns with errors) and "start step stop" followed by counts, several a line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from layerscope.measured.delimited import COMMENT_MARKS, ColumnsTable, parse_table
from layerscope.measured.files import RawFile
from layerscope.measured.text import decode, number, numbers_of

from ..dataset import Pattern
from ._base import regular_axis, variance_of_errors, whole_counts
from ._text import radiation_of_header

__all__ = ["read", "sniff"]

_NEUTRONS = re.compile(r"\b(D1A|D1B|D2B|D20|3T2|G4\.1|HRPT|DMC|SPODI|HB-?2A|ECHIDNA|WOMBAT|neutrons?)\b", re.IGNORECASE)
"""Neutron powder diffractometers with one wavelength: ILL, LLB, PSI, FRM II, ORNL, ANSTO."""

_RANGE_TOLERANCE = 0.02
"""(stop - start) / step may differ from a whole number by this much, since the header is rounded."""


def sniff(raw: RawFile) -> bool:
    """Tell whether the file starts with XYDATA, or with a line of start, step and stop that its counts fill."""
    head = decode(raw.data[:8192])
    if head.lstrip().upper().startswith("XYDATA"):
        return True
    lines = [line for line in head.splitlines() if line.strip() and not line.lstrip().startswith(COMMENT_MARKS)]
    if len(lines) < 2 or "\0" in head:
        return False
    declared = _range(lines[0])
    if declared is None:
        return False
    second = [number(part) for part in lines[1].split()]
    # Columns of position, intensity and error could be mistaken for it only if their second row went on the same way.
    return None not in second and _range(lines[1]) is None and len(second) != 2


def read(raw: RawFile) -> list[Pattern]:
    """Read XYDATA, or the counts that a line of start, step and stop declares."""
    text = decode(raw.data)
    if "\0" in text:
        raise raw.error("the file is binary, not text")
    if text.lstrip().upper().startswith("XYDATA"):
        return [_read_xydata(raw)]
    return [_read_range(raw, text)]


def _range(line: str) -> tuple[float, float, float, int] | None:
    """Start, step, stop and the number of points of a header line, or None if it is none."""
    values = [number(part) for part in line.split()[:3]]
    if len(values) < 3:
        return None
    start, step, stop = values
    if start is None or step is None or stop is None or not 0 < step < stop - start:
        return None
    points = (stop - start) / step + 1
    if points > 1e7 or abs(points - round(points)) > _RANGE_TOLERANCE:
        return None
    return start, step, stop, round(points)


def _read_range(raw: RawFile, text: str) -> Pattern:
    lines = text.splitlines()
    first = next((i for i, s in enumerate(lines) if s.strip() and not s.lstrip().startswith(COMMENT_MARKS)), None)
    declared = None if first is None else _range(lines[first])
    if first is None or declared is None:
        raise raw.error("the first line is not start, step and stop")
    start, step, stop, points = declared
    tokens = " ".join(s for s in lines[first + 1 :] if not s.lstrip().startswith(COMMENT_MARKS)).split()
    if len(tokens) != points:
        raise raw.error(
            f"{start:g} to {stop:g} in steps of {step:g} are {points} points, but {len(tokens)} counts are there",
            hint="the file may be cut off" if len(tokens) < points else None,
        )
    counts = numbers_of(raw, tokens)
    return Pattern(
        axis=regular_axis(raw, start, step, points),
        intensity=counts,
        intensity_unit="counts" if whole_counts(counts) else "arbitrary",
        sample=" ".join(lines[first].split()[3:]),
        metadata={"points_declared": "yes"},
    )


def _read_xydata(raw: RawFile) -> Pattern:
    table = parse_table(raw, ColumnsTable(delimiter=" "))
    values, header = table.values(), table.header
    if table.width > 3:
        raise raw.error(f"the rows have {table.width} columns, not position, intensity and error")
    scale_x, scale_y = _factors(raw, header)
    intensity = values[:, 1] * scale_y
    variance = variance_of_errors(intensity, values[:, 2] * scale_y) if table.width == 3 else None
    temperature = _keyword(header, "TEMP")
    neutrons = _NEUTRONS.search("\n".join(header))
    probe = {} if neutrons is None else {"probe": "neutron", "probe_from": neutrons.group()}
    return Pattern(
        axis=values[:, 0] * scale_x,
        intensity=intensity,
        intensity_unit="counts" if variance is None and whole_counts(intensity) else "arbitrary",
        variance=variance,
        radiation=radiation_of_header(header),
        temperature_K=temperature[0] if temperature and temperature[0] > 0 else None,
        sample=re.sub(r"^XYDATA\s*", "", header[0], flags=re.IGNORECASE) if header else "",
        metadata={"header": "\n".join(header)[:2000], "points_declared": "no", **probe},
    )


def _factors(raw: RawFile, header: Sequence[str]) -> tuple[float, float]:
    """Return the INTER line's factors for the positions, and for intensities and errors."""
    values = _keyword(header, "INTER")
    if not values:
        return 1.0, 1.0
    if len(values) < 2 or values[0] <= 0 or values[1] <= 0:
        raise raw.error("the INTER line does not start with two positive factors")
    return values[0], values[1]


def _keyword(header: Sequence[str], keyword: str) -> list[float]:
    for line in header:
        parts = line.split()
        if parts and parts[0].upper() == keyword:
            values = [number(part) for part in parts[1:]]
            return [value for value in values if value is not None]
    return []
