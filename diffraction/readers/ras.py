"""Rigaku .ras (text) and .rasx (the same in a zip archive): position, intensity, attenuation factor a row."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree.ElementTree import Element

import numpy as np

from layerscope.measured.archive import is_zip, member_names, open_archive, read_member
from layerscope.measured.files import RawFile, natural_key
from layerscope.measured.markup import local_name, parse_xml
from layerscope.measured.measurement import IntensityUnit
from layerscope.measured.text import decode, moment, number

from ..dataset import Pattern
from ..radiation import Radiation

__all__ = ["read", "read_rasx", "sniff", "sniff_rasx"]

_PROFILE = re.compile(r"(^|/)Profile\d*\.txt$")
_HEADER_LINE = re.compile(r'\*([A-Z0-9_.-]+)\s+"(.*)"\s*$')
_UNITS: Mapping[str, IntensityUnit] = {"counts": "counts", "count": "counts", "cps": "counts/s"}


def sniff(raw: RawFile) -> bool:
    """Tell whether the text has the mark of a Rigaku file."""
    return b"*RAS_DATA_START" in raw.data[:256]


def sniff_rasx(raw: RawFile) -> bool:
    """Tell whether the archive names a Rigaku profile and its conditions."""
    return is_zip(raw) and b"MesurementConditions" in raw.data and re.search(rb"Profile\d*\.txt", raw.data) is not None


def read(raw: RawFile) -> list[Pattern]:
    """Read all scans of a .ras file; intensities are multiplied by the attenuation factor."""
    if not sniff(raw):
        raise raw.error("the file does not start with *RAS_DATA_START")
    header: dict[str, str] = {}
    rows: list[str] | None = None
    patterns: list[Pattern] = []
    closed = False
    for line in (text.strip() for text in decode(raw.data).splitlines()):
        if line == "*RAS_HEADER_START":
            header = {}
        elif line == "*RAS_INT_START":
            rows = []
        elif line == "*RAS_INT_END":
            if rows is None:
                raise raw.error("a scan ends that has not started")
            patterns.append(_pattern(raw, header, "\n".join(rows), len(patterns)))
            rows = None
        elif line == "*RAS_DATA_END":
            closed = True
        elif rows is not None and line:
            rows.append(line)
        elif match := _HEADER_LINE.match(line):
            header[match[1]] = match[2]
    if rows is not None or not closed:
        raise raw.error("the file ends before *RAS_DATA_END", hint="it is cut off")
    return patterns


def read_rasx(raw: RawFile) -> list[Pattern]:
    """Read all profiles of a .rasx archive, each with its conditions."""
    patterns: list[Pattern] = []
    with open_archive(raw) as archive:
        names = member_names(archive)
        for name in sorted((n for n in names if _PROFILE.search(n)), key=natural_key):
            folder = name.rsplit("/", 1)[0] + "/" if "/" in name else ""
            conditions = [n for n in names if n.startswith(f"{folder}MesurementConditions") and n.endswith(".xml")]
            if len(conditions) != 1:
                raise raw.error(f"{len(conditions)} files of conditions belong to {name!r}", hint="one is needed")
            condition_file = read_member(raw, archive, conditions[0])
            header = _conditions(parse_xml(condition_file))
            text = decode(read_member(raw, archive, name).data)
            patterns.append(_pattern(raw, header, text, len(patterns)))
    return patterns


def _conditions(root: Element) -> dict[str, str]:
    """Conditions of a .rasx profile under the names that they have in .ras."""
    header: dict[str, str] = {}
    for pair in (e for e in root.iter() if local_name(e) == "Pair"):
        texts = [(child.text or "").strip() for child in pair]
        if len(texts) == 2:
            header[texts[0].lstrip("*")] = texts[1]
    names = {
        "AxisName": "MEAS_SCAN_AXIS_X_INTERNAL",
        "IntensityUnit": "MEAS_SCAN_UNIT_Y",
        "PositionUnit": "MEAS_SCAN_UNIT_X",
        "DataCount": "MEAS_DATA_COUNT",
        "StartTime": "MEAS_SCAN_START_TIME",
        "EndTime": "MEAS_SCAN_END_TIME",
        "WavelengthKalpha1": "HW_XG_WAVE_LENGTH_ALPHA1",
        "WavelengthKalpha2": "HW_XG_WAVE_LENGTH_ALPHA2",
        "WavelengthKbeta": "HW_XG_WAVE_LENGTH_BETA",
        "WaveType": "MEAS_COND_XG_WAVE_TYPE",
        "TargetName": "HW_XG_TARGET_NAME",
        "SampleName": "FILE_SAMPLE",
        "Step": "MEAS_SCAN_STEP",
        "Speed": "MEAS_SCAN_SPEED",
        "SpeedUnit": "MEAS_SCAN_SPEED_UNIT",
    }
    seen: set[str] = set()
    for element in root.iter():
        name = local_name(element)
        if name in names and name not in seen:
            seen.add(name)
            header[names[name]] = (element.text or "").strip()
    return header


def _pattern(raw: RawFile, header: Mapping[str, str], text: str, scan: int) -> Pattern:
    where = f"scan {scan + 1}"
    rows = [line.split() for line in text.splitlines() if line.strip()]
    declared = number(header.get("MEAS_DATA_COUNT"))
    if declared is not None and round(declared) != len(rows):
        raise raw.error(f"{where} declares {round(declared)} points, {len(rows)} are there", hint="it is cut off")
    if not rows or {len(row) for row in rows} - {2, 3} or len({len(row) for row in rows}) > 1:
        raise raw.error(f"the rows of {where} are not position, intensity and attenuation", hint="it may be cut off")
    try:
        table = np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise raw.error(f"{where}: {error}") from None
    _require_two_theta(raw, header, where)
    factor = table[:, 2] if table.shape[1] == 3 else np.ones(len(table))
    attenuated = bool((factor != 1).any())
    unit = _UNITS.get(header.get("MEAS_SCAN_UNIT_Y", "counts").lower(), "arbitrary")
    intensity = table[:, 1] * factor
    variance = np.maximum(table[:, 1], 1.0) * factor**2 if attenuated and unit == "counts" else None
    return Pattern(
        axis=table[:, 0],
        intensity=intensity,
        intensity_unit=unit,
        variance=variance,
        radiation=_radiation(header),
        start_time=moment(header.get("MEAS_SCAN_START_TIME")),
        end_time=moment(header.get("MEAS_SCAN_END_TIME")),
        sample=header.get("FILE_SAMPLE", ""),
        metadata={
            "points_declared": "no" if declared is None else "yes",
            "scan_axis": header.get("MEAS_SCAN_AXIS_X_INTERNAL", header.get("MEAS_SCAN_AXIS_X", "")),
            "speed": f"{header.get('MEAS_SCAN_SPEED', '')} {header.get('MEAS_SCAN_SPEED_UNIT', '')}".strip(),
        },
    )


def _require_two_theta(raw: RawFile, header: Mapping[str, str], where: str) -> None:
    axis = header.get("MEAS_SCAN_AXIS_X_INTERNAL") or header.get("MEAS_SCAN_AXIS_X") or "TwoTheta"
    plain = axis.replace("-", "").replace(" ", "").lower()
    if "twotheta" not in plain and "2theta" not in plain and "2θ" not in plain:
        raise raw.error(f"{where} is a scan of {axis}, not of 2θ")
    if header.get("MEAS_SCAN_UNIT_X", "deg") not in ("deg", ""):
        raise raw.error(f"{where} has positions in {header['MEAS_SCAN_UNIT_X']!r}, not in degrees")


def _radiation(header: Mapping[str, str]) -> Radiation | None:
    alpha1 = number(header.get("HW_XG_WAVE_LENGTH_ALPHA1"))
    if alpha1 is None:
        return None
    single = header.get("MEAS_COND_XG_WAVE_TYPE", "").lower() == "ka1"
    alpha2 = None if single else number(header.get("HW_XG_WAVE_LENGTH_ALPHA2"))
    beta = number(header.get("HW_XG_WAVE_LENGTH_BETA"))
    return Radiation(alpha1, alpha2, None, beta, header.get("HW_XG_TARGET_NAME", "").capitalize())
