"""Bruker .UXD: text with keywords, one or several ranges, counts alone (several a line) or positions with counts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from layerscope.measured.files import RawFile
from layerscope.measured.measurement import IntensityUnit
from layerscope.measured.text import decode, moment, number, numbers_of, positive

from ..dataset import Pattern
from ..radiation import Radiation
from ._base import regular_axis

__all__ = ["read", "sniff"]

_COLUMNS = {"_COUNTS": 1, "_CPS": 1, "_2THETACOUNTS": 2, "_2THETACPS": 2, "_2THETACOUNTSTIME": 3}
"""Numbers a point has under each data keyword."""

_COUPLED_AXES = ("COUPLED", "2THETA", "DETECTOR")
_CELSIUS_ZERO = 273.15


@dataclass
class _Range:
    keyword: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)


def sniff(raw: RawFile) -> bool:
    """Tell whether the text has the keyword that starts a UXD file, or a data keyword of one."""
    head = raw.data[:4096]
    return b"\0" not in head and (b"_FILEVERSION" in head or any(f"{k}\n".encode() in head for k in _COLUMNS))


def read(raw: RawFile) -> list[Pattern]:
    """Read all ranges; many files declare no number of counts, and then a cut at a line's end stays unseen."""
    common: dict[str, str] = {}
    text = decode(raw.data)
    ranges = list(_ranges(raw, text.splitlines(), common))
    if not ranges:
        raise raw.error("there is no range of counts", hint="the file may be cut off")
    patterns = [_pattern(raw, scan, common, part) for scan, part in enumerate(ranges)]
    if not text.endswith(("\n", "\r")) and patterns[-1].metadata["points_declared"] == "no":
        raise raw.error(
            f"the last line does not end, and no number of counts is declared: {ranges[-1].tokens[-1]!r} may be a part "
            "of a number",
            hint="it is cut off, or was edited: end its last line if it is whole",
        )
    return patterns


def _ranges(raw: RawFile, lines: list[str], common: dict[str, str]) -> Iterator[_Range]:
    """Yield the ranges; a keyword after counts begins the next one, with or without a comment between them."""
    current = _Range()
    in_range = False
    for position, text in enumerate(lines, start=1):
        line = text.strip()
        if not line or line.startswith(";"):
            continue
        if not line.startswith("_"):
            if not current.keyword:
                raise raw.error(f"line {position} stands outside a range: {line[:60]!r}")
            current.tokens.extend(line.replace(",", " ").split())
            continue
        if current.keyword:
            yield current
            current = _Range()
        key, _, value = line.partition("=")
        key = key.strip().upper()
        in_range = in_range or key == "_DRIVE" or key in _COLUMNS
        if key in _COLUMNS:
            current.keyword = key
        else:
            (current.settings if in_range else common)[key] = value.strip().strip("'")
    if current.settings and not current.keyword:
        raise raw.error("the last range has no counts", hint="the file is cut off")
    if current.keyword:
        yield current


def _pattern(raw: RawFile, scan: int, common: dict[str, str], part: _Range) -> Pattern:
    settings = {**common, **part.settings}
    where = f"range {scan + 1}"
    columns = _COLUMNS[part.keyword]
    if len(part.tokens) % columns or not part.tokens:
        raise raw.error(
            f"{where} has {len(part.tokens)} numbers, which are not {columns} a point", hint="the file may be cut off"
        )
    values = numbers_of(raw, part.tokens, where).reshape(-1, columns)
    declared = _declared(settings)
    if declared is not None and declared != len(values):
        raise raw.error(f"{where} declares {declared} points, {len(values)} are there", hint="the file may be cut off")
    if columns == 1:
        start, step = _setting(raw, where, settings, "_START", "_2THETA"), _setting(raw, where, settings, "_STEPSIZE")
        axis = regular_axis(raw, start, step, len(values))
    else:
        axis = values[:, 0]
    drive = settings.get("_DRIVE", "COUPLED").upper()
    if drive not in _COUPLED_AXES:
        raise raw.error(f"{where} is a scan of {drive}, not of 2θ")
    unit: IntensityUnit = "counts/s" if "CPS" in part.keyword else "counts"
    return Pattern(
        axis=axis,
        intensity=values[:, 0 if columns == 1 else 1].copy(),
        intensity_unit=unit,
        time_per_step_s=positive(settings.get("_STEPTIME")),
        radiation=_radiation(settings),
        start_time=moment(settings.get("_DATEMEASURED")),
        temperature_K=_temperature(settings.get("_TEMPERATURE")),
        sample=settings.get("_SAMPLE", ""),
        metadata={**settings, "points_declared": "no" if declared is None else "yes"},
    )


def _declared(settings: dict[str, str]) -> int | None:
    count = number(settings.get("_STEPCOUNT"))
    if count is not None:
        return round(count)
    start, stop, step = (number(settings.get(key)) for key in ("_START", "_STOP", "_STEPSIZE"))
    if start is None or stop is None or not step:
        return None
    points = (stop - start) / step + 1
    return round(points) if math.isfinite(points) else None


def _setting(raw: RawFile, where: str, settings: dict[str, str], *keys: str) -> float:
    for key in keys:
        value = number(settings.get(key))
        if value is not None:
            return value
    raise raw.error(f"{where} has no {keys[0]}")


def _temperature(text: str | None) -> float | None:
    value = number(text)
    return None if value is None or value <= -_CELSIUS_ZERO else value + _CELSIUS_ZERO


def _radiation(settings: dict[str, str]) -> Radiation | None:
    alpha1 = positive(settings.get("_WL1"))
    if alpha1 is None or settings.get("_WL_UNIT", "A").upper() not in ("A", "ANGSTROM", ""):
        return None
    return Radiation(
        alpha1,
        positive(settings.get("_WL2")),
        number(settings.get("_WLRATIO")),
        positive(settings.get("_WL3")),
        settings.get("_ANODE", "").strip().capitalize(),
    )
