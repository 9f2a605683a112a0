"""Bruker .brml: a zip archive of XML, whose RawData files hold one row of numbers a point and say what they mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np

from layerscope.measured.archive import is_zip, member_names, open_archive, read_member
from layerscope.measured.files import RawFile
from layerscope.measured.markup import local_name, parse_xml
from layerscope.measured.text import moment, number, positive

from ..dataset import Pattern
from ..radiation import FloatArray, Radiation

__all__ = ["read", "sniff"]

_RAW_DATA = re.compile(r"(^|/)RawData\d+\.xml$")
_TWO_THETA = ("TwoTheta", "2Theta")


@dataclass(frozen=True)
class _Columns:
    """Where the numbers stand in a row."""

    two_theta: int
    counts: int
    factor: int | None = None


def sniff(raw: RawFile) -> bool:
    """Tell whether the archive names a RawData file."""
    return is_zip(raw) and re.search(rb"RawData\d+\.xml", raw.data) is not None


def read(raw: RawFile) -> list[Pattern]:
    """Read all scans over 2θ, one a RawData file.

    The recorded counts are already multiplied by the absorber's factor, as its steps show no jump; the variance is
    that of the counts behind it.
    """
    patterns: list[Pattern] = []
    with open_archive(raw) as archive:
        for name in member_names(archive):
            if _RAW_DATA.search(name):
                member = read_member(raw, archive, name)
                patterns.append(_raw_data(member, parse_xml(member)))
    return patterns


def _all(element: Element, name: str) -> list[Element]:
    return [e for e in element.iter() if local_name(e) == name]


def _first(element: Element, name: str) -> Element | None:
    return next((e for e in element.iter() if local_name(e) == name), None)


def _text(element: Element, name: str) -> str:
    found = _first(element, name)
    return (found.text or "").strip() if found is not None else ""


def _value(element: Element, name: str) -> float | None:
    found = _first(element, name)
    return None if found is None else number(found.get("Value", found.text))


def _raw_data(raw: RawFile, root: Element) -> Pattern:
    routes = _all(root, "DataRoute")
    if not routes:
        raise raw.error("there is no route of data")
    route = next((r for r in routes if r.get("RouteFlag") == "Final"), routes[0])
    rows = _rows(raw, route)
    declared = _declared(route)
    if declared is not None and declared != len(rows):
        raise raw.error(f"{declared} points are declared, {len(rows)} are there", hint="the scan was cut off")
    columns = _columns(raw, route, rows.shape[1])
    two_theta, intensity = rows[:, columns.two_theta], rows[:, columns.counts]
    if np.ptp(two_theta) == 0:
        raise raw.error(f"2θ does not move: it is a scan of type {_scan_name(route)!r}")
    variance = None
    if columns.factor is not None and (rows[:, columns.factor] != 1).any():
        factor = rows[:, columns.factor]
        variance = np.maximum(intensity, factor) * factor
    return Pattern(
        axis=two_theta,
        intensity=intensity,
        intensity_unit="counts",
        variance=variance,
        time_per_step_s=positive(_text(route, "TimePerStep")),
        radiation=_radiation(root),
        start_time=moment(_text(root, "TimeStampStarted")),
        end_time=moment(_text(root, "TimeStampFinished")),
        sample=_sample(root),
        metadata={
            "points_declared": "no" if declared is None else "yes",
            "scan_type": _scan_name(route),
            "status": _text(root, "MeasurementStatus"),
        },
    )


def _scan_name(route: Element) -> str:
    information = _first(route, "ScanInformation")
    return "" if information is None else information.get("ScanName", "")


def _declared(route: Element) -> int | None:
    information = _first(route, "SubScanInfo")
    measured = None if information is None else number(information.get("MeasuredSteps"))
    if measured is None:
        measured = number(_text(route, "MeasurementPoints"))
    return None if measured is None else round(measured)


def _rows(raw: RawFile, route: Element) -> FloatArray:
    rows = [(element.text or "").split(",") for element in _all(route, "Datum")]
    if not rows:
        raise raw.error("the scan has no data")
    if len({len(row) for row in rows}) > 1:
        raise raw.error("the rows of the scan have different lengths", hint="the scan was cut off")
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise raw.error(f"a row is not made of numbers: {error}") from None


def _columns(raw: RawFile, route: Element, width: int) -> _Columns:
    two_theta = counts = factor = None
    for view in _all(route, "RawDataView"):
        start = number(view.get("Start"))
        if start is None:
            continue
        fields = [f.get("AxisId") or f.get("FieldName") for f in _all(view, "FieldDefinitions")]
        if view.get("LogicName") == "AbsorptionFactor":
            factor = int(start)
        for offset, name in enumerate(fields):
            if name in _TWO_THETA and two_theta is None:
                two_theta = int(start) + offset
        recording = _first(view, "Recording")
        if recording is not None and counts is None:
            if number(view.get("Length")) != 1:
                raise raw.error("each point records a whole detector frame, not one intensity")
            counts = int(start)
    if two_theta is None and not _all(route, "RawDataView") and width >= 4:
        two_theta, counts = 2, width - 1  # files of the first versions have no views: time, time, 2θ, θ, ..., counts
    if two_theta is None or counts is None or max(two_theta, counts) >= width:
        raise raw.error(f"2θ and counts cannot be found among {width} columns")
    return _Columns(two_theta, counts, factor)


def _radiation(root: Element) -> Radiation | None:
    alpha1 = _value(root, "WaveLengthAlpha1")
    if alpha1 is None or alpha1 <= 0:
        return None
    ratio, alpha2 = _value(root, "WaveLengthRatio"), _value(root, "WaveLengthAlpha2")
    beta = _value(root, "WaveLengthBeta")
    return Radiation(alpha1, alpha2 if ratio != 0 else None, ratio or None, beta, _text(root, "TubeMaterial"))


def _sample(root: Element) -> str:
    for item in _all(root, "InfoItem"):
        if item.get("Name") == "SampleName":
            return item.get("Value", "")
    return ""
