"""PANalytical .xrdml: one or several scans, counts or corrected intensities, attenuation, constant or listed steps."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.markup import local_name, parse_xml
from layerscope.measured.measurement import IntensityUnit
from layerscope.measured.text import moment, number, numbers_of

from ..dataset import Pattern
from ..radiation import FloatArray, Radiation
from ._base import regular_axis

__all__ = ["read", "sniff"]


def sniff(raw: RawFile) -> bool:
    """Tell whether the XML is a PANalytical measurement."""
    return b"<xrdMeasurements" in raw.data[:4096]


def read(raw: RawFile) -> list[Pattern]:
    """Read all completed scans over 2θ.

    Counts are multiplied by the attenuation factors, if there are any; ``intensities`` contain them already. Where
    the counting time varies over a scan, the pattern becomes a rate with its variance.
    """
    root = parse_xml(raw)
    if local_name(root) != "xrdMeasurements":
        raise raw.error(f"the XML is {local_name(root)!r}, not xrdMeasurements")
    sample = _path_text(root, "sample", "id") or _path_text(root, "sample", "name")
    patterns: list[Pattern] = []
    for measurement in _children(root, "xrdMeasurement"):
        radiation = _radiation(measurement)
        for scan in _children(measurement, "scan"):
            patterns.append(_scan(raw, scan, len(patterns), sample, radiation))
    return patterns


def _children(element: Element, name: str) -> list[Element]:
    return [child for child in element if local_name(child) == name]


def _child(element: Element | None, name: str) -> Element | None:
    found = [] if element is None else _children(element, name)
    return found[0] if found else None


def _path_text(element: Element, *names: str) -> str:
    node: Element | None = element
    for name in names:
        node = _child(node, name)
    return (node.text or "").strip() if node is not None else ""


def _radiation(measurement: Element) -> Radiation | None:
    used = _child(measurement, "usedWavelength")
    alpha1 = None if used is None else number(_path_text(used, "kAlpha1"))
    if used is None or alpha1 is None:
        return None
    anode = _path_text(measurement, "incidentBeamPath", "xRayTube", "anodeMaterial")
    ratio = number(_path_text(used, "ratioKAlpha2KAlpha1"))
    alpha2 = number(_path_text(used, "kAlpha2")) if ratio != 0 else None
    return Radiation(alpha1, alpha2, ratio or None, number(_path_text(used, "kBeta")), anode)


def _scan(raw: RawFile, scan: Element, index: int, sample: str, radiation: Radiation | None) -> Pattern:
    where = f"scan {index + 1}"
    points = _child(scan, "dataPoints")
    if points is None:
        raise raw.error(f"{where} has no data points")
    values, corrected, unit = _values(raw, points, where)
    axis = _positions(raw, points, where, values.size)
    factors = _list(raw, points, "beamAttenuationFactors", where, values.size)
    times = _list(raw, points, "countingTimes", where, values.size)
    common = number(_path_text(points, "commonCountingTime"))
    intensity, variance = _attenuated(values, factors, corrected)
    if times is not None and np.ptp(times) > 0:
        if (times <= 0).any():
            raise raw.error(f"{where} has a counting time that is not positive")
        variance = (np.maximum(intensity, 1.0) if variance is None else variance) / times**2
        intensity, unit, common = intensity / times, "counts/s", None
    elif times is not None:
        common = float(times[0])
    header = _child(scan, "header")
    return Pattern(
        axis=axis,
        intensity=intensity,
        intensity_unit=unit,
        variance=variance,
        time_per_step_s=common,
        radiation=radiation,
        start_time=moment(_path_text(header, "startTimeStamp") if header is not None else ""),
        end_time=moment(_path_text(header, "endTimeStamp") if header is not None else ""),
        sample=sample,
        metadata={
            "points_declared": "no",
            "scan_axis": scan.get("scanAxis", ""),
            "mode": scan.get("mode", ""),
            "status": scan.get("status", ""),
        },
    )


def _values(raw: RawFile, points: Element, where: str) -> tuple[FloatArray, bool, IntensityUnit]:
    for name, corrected in (("counts", False), ("intensities", True)):
        element = _child(points, name)
        if element is None:
            continue
        unit = element.get("unit", "counts").lower()
        if unit not in ("counts", "cps"):
            raise raw.error(f"{where} has intensities in {unit!r}", hint="counts or cps")
        return _numbers(raw, element, where), corrected, "counts/s" if unit == "cps" else "counts"
    raise raw.error(f"{where} has neither counts nor intensities")


def _numbers(raw: RawFile, element: Element, where: str) -> FloatArray:
    return numbers_of(raw, (element.text or "").split(), f"{where}, {local_name(element)}")


def _list(raw: RawFile, points: Element, name: str, where: str, expected: int) -> FloatArray | None:
    element = _child(points, name)
    if element is None:
        return None
    values = _numbers(raw, element, where)
    if values.size != expected:
        raise raw.error(f"{where} has {values.size} {name} for {expected} intensities", hint="the file may be cut off")
    return values


def _positions(raw: RawFile, points: Element, where: str, count: int) -> FloatArray:
    axes = {element.get("axis", ""): element for element in _children(points, "positions")}
    element = axes.get("2Theta")
    if element is None:
        raise raw.error(f"{where} has no 2Theta positions", hint=f"axes: {', '.join(axes) or 'none'}")
    if element.get("unit", "deg") != "deg":
        raise raw.error(f"{where} has 2Theta in {element.get('unit')!r}, not in degrees")
    listed = _list(raw, element, "listPositions", where, count)
    if listed is not None:
        return listed
    start, stop = number(_path_text(element, "startPosition")), number(_path_text(element, "endPosition"))
    if start is None or stop is None:
        moving = [name for name, e in axes.items() if _child(e, "commonPosition") is None]
        raise raw.error(f"2Theta does not move in {where}", hint=f"it is a scan of {', '.join(moving) or 'nothing'}")
    if count < 2:
        raise raw.error(f"{where} has {count} intensities")
    axis = regular_axis(raw, start, (stop - start) / (count - 1), count)
    axis[-1] = stop
    return axis


def _attenuated(
    values: FloatArray, factors: FloatArray | None, corrected: bool
) -> tuple[FloatArray, FloatArray | None]:
    """Intensities with the attenuation undone, and their variance where it matters."""
    if factors is None or not (factors != 1).any():
        return values, None
    counts = values / factors if corrected else values
    return counts * factors, np.maximum(counts, 1.0) * factors**2
