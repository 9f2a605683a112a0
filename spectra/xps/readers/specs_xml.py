"""SpecsLab 2 ``.xml`` (XMLSerializer 1.6): groups of regions, with the counts of every detector in every scan.

A scan holds the counts of all detectors side by side, detector running fastest, over the points of the curve and some
before and after it (``mcd_head``, ``mcd_tail``). A detector that is shifted by s sees electrons of s times the pass
energy more, so that its points are taken from as many steps away: whole steps, as they were counted. The counts of all
detectors and scans add up; cycles are levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from xml.etree.ElementTree import Element

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.markup import parse_xml
from layerscope.measured.text import decode, number, numbers_of, positive

from ..dataset import FloatArray, Spectrum, normalise_region

__all__ = ["read", "sniff"]

_MODE = "FixedAnalyzerTransmission"
_LARGEST = 10_000_000  # points; what a file declares beyond it is damaged


def sniff(raw: RawFile) -> bool:
    """Tell whether the bytes begin as the serializer's XML does."""
    head = decode(raw.data[:6000])
    return head.lstrip().startswith("<?xml") and "XMLSerializer" in head and "CORBA" in head


def read(raw: RawFile) -> list[Spectrum]:
    """Read all regions, one spectrum a cycle.

    Regions that were not measured at a fixed pass energy are named in ``metadata["skipped"]``.
    """
    if not sniff(raw):
        raise raw.error("the file does not begin as an XML of SpecsLab does")
    root = parse_xml(raw, document_type=True)
    _check_lengths(raw, root)
    regions = [
        (_text(group, "name"), region)
        for group in _structures(root, "RegionGroup")
        for region in _structures(group, "RegionData")
    ]
    used = [(block, *pair) for block, pair in enumerate(regions) if _is_spectrum(pair[1])]
    if not used:
        raise raw.error(f"of {len(regions)} regions none is a spectrum at a fixed pass energy")
    skipped = [_text(region, "name") for block, (_, region) in enumerate(regions) if block not in {u[0] for u in used}]
    more = {"skipped": ", ".join(skipped)} if skipped else {}
    return [spectrum for block, group, region in used for spectrum in _spectra(raw, group, region, block, more)]


def _structures(element: Element, kind: str) -> Iterator[Element]:
    return (found for found in element.iter("struct") if found.get("type_name") == kind)


def _named(element: Element, name: str) -> Element | None:
    """Return the first element of a name inside another, the nearest first."""
    own = next((child for child in element if child.get("name") == name), None)
    return own if own is not None else next((e for e in element.iter() if e.get("name") == name), None)


def _text(element: Element, name: str) -> str:
    found = _named(element, name)
    return "" if found is None or found.text is None else " ".join(found.text.split())


def _check_lengths(raw: RawFile, root: Element) -> None:
    """Refuse a sequence that does not hold what it declares."""
    for sequence in root.iter("sequence"):
        declared, children = number(sequence.get("length")), list(sequence)
        alone = len(children) == 1 and children[0].tag in ("ulong", "double", "long", "float")
        count = len((children[0].text or "").split()) if alone else len(children)
        if declared != count:
            name = sequence.get("name") or sequence.get("type_name")
            raise raw.error(f"the sequence {name!r} declares {sequence.get('length')} entries and holds {count}")


def _is_spectrum(region: Element) -> bool:
    mode = _named(region, "scan_mode")
    fixed = mode is not None and _text(mode, "name") == _MODE
    return fixed and _text(region, "analysis_method").upper() in ("XPS", "UPS", "")


def _spectra(raw: RawFile, group: str, region: Element, block: int, more: dict[str, str]) -> Iterator[Spectrum]:
    label = _text(region, "name")
    where = f"region {label!r}"
    plan = {
        name: _value(raw, region, name, where)
        for name in ("values_per_curve", "curves_per_scan", "kinetic_energy", "kinetic_energy_base", "scan_delta")
    }
    points, step = int(plan["values_per_curve"]), plan["scan_delta"]
    if not 0 < points < _LARGEST or step == 0 or plan["curves_per_scan"] != 1 or plan["kinetic_energy_base"] != 0:
        raise raw.error(f"{where}: only one curve a scan, over kinetic energies, is read; the file says {plan}")
    photon, pass_energy = positive(_text(region, "excitation_energy")), positive(_text(region, "pass_energy"))
    if photon is None or pass_energy is None:
        raise raw.error(f"{where}: excitation energy or pass energy is not given")
    at = _places(raw, region, points, pass_energy / step, where)
    cycles = list(_structures(region, "Cycle"))
    if not cycles:
        raise raw.error(f"{where} holds no cycle with its counts")
    for cycle in cycles:
        scans = [_detectors(raw, scan, at.shape[0], where) for scan in _structures(cycle, "ScanData")]
        if not scans or any(scan.shape != scans[0].shape for scan in scans) or at.max() >= scans[0].shape[1]:
            raise raw.error(f"{where}: the scans do not hold the counts of all points")
        started = positive(_text(cycle, "time"))
        yield Spectrum(
            region=normalise_region(label.lstrip("0123456789 ") or label),
            region_label=label,
            axis=photon - (plan["kinetic_energy"] + step * np.arange(points, dtype=np.float64)),
            intensity=np.take_along_axis(np.sum(scans, axis=0), at, axis=1).sum(axis=0),
            dwell_time_s=positive(_text(region, "dwell_time")),
            scans=len(scans),
            transmission=_transmission(raw, region, points, where),
            pass_energy_eV=pass_energy,
            excitation_energy_eV=photon,
            work_function_eV=positive(_text(region, "effective_workfunction")),
            start_time=None if started is None else datetime.fromtimestamp(started, UTC),
            sample=group,
            block=block,
            metadata={"detectors": str(at.shape[0]), "lens": _text(region, "analyzer_lens"), **more},
        )


def _value(raw: RawFile, region: Element, name: str, where: str) -> float:
    value = number(_text(region, name))
    if value is None:
        raise raw.error(f"{where} does not give {name}")
    return value


def _places(raw: RawFile, region: Element, points: int, steps: float, where: str) -> np.ndarray:
    """Return which point of each detector saw the energies of the curve, shape (detectors, points)."""
    shifts = [_value(raw, detector, "shift", where) for detector in _structures(region, "Detector")]
    if not shifts:
        raise raw.error(f"{where} names no detector")
    first = _value(raw, region, "mcd_head", where) - np.rint(np.array(shifts) * steps)
    at = first[:, None].astype(int) + np.arange(points)
    if at.min() < 0:
        raise raw.error(f"{where}: a detector is shifted by more than was measured before the curve")
    return at


def _detectors(raw: RawFile, scan: Element, detectors: int, where: str) -> FloatArray:
    """Return the counts of a scan, shape (detectors, points)."""
    counts = _named(scan, "counts")
    values = numbers_of(raw, "".join(counts.itertext()).split() if counts is not None else (), where)
    if not values.size or values.size % detectors:
        raise raw.error(f"{where}: {values.size} counts are not those of {detectors} detectors")
    return np.ascontiguousarray(values.reshape(-1, detectors).T)


def _transmission(raw: RawFile, region: Element, points: int, where: str) -> FloatArray | None:
    found = _named(region, "transmission")
    values = numbers_of(raw, "".join(found.itertext()).split() if found is not None else (), where)
    return values if values.size == points and bool((values > 0).all()) else None
