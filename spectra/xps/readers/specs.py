"""SPECS Prodigy (SpecsLab) text export ``.xy``.

Comment lines describe a region; every ``# Cycle: c, Curve: k, Scan: s`` begins a block of columns. The scans of one
cycle and curve are joined: counts add up, rates are averaged. Each cycle and curve is a level. The format declares the
number of values and curves, but not of regions and cycles: a file cut exactly between two of them cannot be told from
a whole one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.measurement import IntensityUnit
from layerscope.measured.text import decode, numbers_of, positive, whole

from ..dataset import FloatArray, Spectrum, normalise_region
from ._base import binding_energy

__all__ = ["read", "sniff"]

_MARK = re.compile(r"SpecsLab|XY-Serializer", re.IGNORECASE)
_BLOCK = re.compile(r"Cycle:\s*(\d+)\s*,\s*Curve:\s*(\d+)(?:\s*,\s*Scan:\s*(\d+))?(?:\s*,\s*Channel:\s*(\d+))?\s*$")
_OTHER_BLOCK = re.compile(r"Cycle:\s*\d+\s*,")
_ENTRY = re.compile(r"(?:\s*)([^:]+?)\s*:\s?(.*)$")
_UNITS: dict[str, IntensityUnit] = {"counts/s": "counts/s", "cps": "counts/s", "counts": "counts"}


@dataclass
class _Block:
    """The columns of one scan, as text."""

    cycle: int
    curve: int
    scan: int | None
    line: int
    labels: tuple[str, ...] = ()
    rows: list[list[str]] = field(default_factory=list)
    external: bool = False


@dataclass
class _Region:
    """One measured region: what is said about it, and its blocks."""

    group: str
    about: dict[str, str] = field(default_factory=dict)
    blocks: list[_Block] = field(default_factory=list)
    scans: dict[int, int] = field(default_factory=dict)
    announced: set[int] = field(default_factory=set)

    @property
    def label(self) -> str:
        return self.about.get("Region", "")


def sniff(raw: RawFile) -> bool:
    """Tell whether the bytes begin with the comment that the export writes."""
    head = decode(raw.data[:4000]).lstrip()
    return head.startswith("#") and _MARK.search(head) is not None


def read(raw: RawFile) -> list[Spectrum]:
    """Read an XY export, one spectrum a region, cycle and curve.

    Regions measured at fixed energies are no spectra, and named in ``metadata["skipped"]``.
    """
    if not sniff(raw):
        raise raw.error("the file does not begin as a SPECS XY export does")
    text = decode(raw.data)
    if not text.endswith(("\n", "\r")):
        raise raw.error("the file ends within its last line")
    settings, regions = _parse(raw, text)
    if not regions:
        raise raw.error("there is no region in the file")
    for region in regions:
        if not region.blocks or region.announced - {part.cycle for part in region.blocks}:
            raise raw.error(f"region {region.label!r} has no data, or a cycle without data")
    skipped = [region.label for region in regions if region.blocks[0].labels[:1] == ("index",)]
    settings |= {"skipped": ", ".join(skipped)} if skipped else {}
    return [
        spectrum
        for block, region in enumerate(regions)
        if region.blocks[0].labels[:1] != ("index",)
        for spectrum in _spectra(raw, settings, region, block)
    ]


def _parse(raw: RawFile, text: str) -> tuple[dict[str, str], list[_Region]]:
    settings: dict[str, str] = {}
    regions: list[_Region] = []
    group = ""
    block: _Block | None = None
    for number, line in _lines(text):
        if not line.startswith("#"):
            if block is None or not block.labels:
                raise raw.error(f"line {number} holds {line[:40]!r} outside a block of data")
            block.rows.append(line.split())
            continue
        content = line[1:].strip()
        match = _ENTRY.match(content)
        if started := _BLOCK.match(content):
            if not regions:
                raise raw.error(f"line {number}: data before the first region")
            scan = None if started[3] is None else int(started[3])
            block = _Block(int(started[1]), int(started[2]), scan, number)
            regions[-1].blocks.append(block)
        elif _OTHER_BLOCK.match(content):
            block = _Block(0, 0, None, number, external=True)  # an external channel: read past, not kept
        elif match is None:
            continue
        elif match[1] == "Group":
            group = match[2].strip()
        elif match[1] == "Region":
            block = None
            regions.append(_Region(group, {"Region": match[2].strip()}))
        elif match[1] == "ColumnLabels" and block is not None:
            block.labels = tuple(match[2].split())
        elif match[1].startswith("Parameter"):
            continue  # the loop variable of a cycle: the cycle's number says as much
        elif match[1] == "Cycle" and regions:
            if match[2].strip().isdecimal():
                regions[-1].announced.add(int(match[2]))
        elif match[1] == "Number of Scans" and regions:
            regions[-1].scans[len(regions[-1].blocks)] = int(match[2]) if match[2].strip().isdecimal() else 0
        elif not regions:
            settings[match[1]] = match[2].strip()
        elif block is None:
            regions[-1].about[match[1]] = match[2].strip()
    return settings, regions


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


def _spectra(raw: RawFile, settings: Mapping[str, str], region: _Region, block: int) -> list[Spectrum]:
    groups: dict[tuple[int, int], list[_Block]] = {}
    for part in region.blocks:
        groups.setdefault((part.cycle, part.curve), []).append(part)
    _check_curves(raw, region, groups)
    declared = _declared_scans(region)
    return [_spectrum(raw, settings, region, scans, declared[key], block) for key, scans in groups.items()]


def _check_curves(raw: RawFile, region: _Region, groups: Mapping[tuple[int, int], list[_Block]]) -> None:
    curves = whole(region.about.get("Curves/Scan", ""))
    if curves is None:
        return
    for cycle in {key[0] for key in groups}:
        found = sum(1 for key in groups if key[0] == cycle)
        if found != curves:
            raise raw.error(f"region {region.label!r}, cycle {cycle}: {found} of {curves} curves are there")


def _declared_scans(region: _Region) -> dict[tuple[int, int], int | None]:
    """Return the number of scans that stands before the first block of each cycle and curve."""
    declared: dict[tuple[int, int], int | None] = {}
    latest: int | None = None
    for index, part in enumerate(region.blocks):
        latest = region.scans.get(index, latest)
        declared.setdefault((part.cycle, part.curve), latest)
    return declared


def _spectrum(
    raw: RawFile, settings: Mapping[str, str], region: _Region, parts: list[_Block], scans: int | None, block: int
) -> Spectrum:
    name = f"region {region.label!r}, cycle {parts[0].cycle}"
    separate = parts[0].scan is not None
    if separate and ([part.scan for part in parts] != list(range(len(parts))) or len(parts) < (scans or 0)):
        raise raw.error(f"{name}: of its {scans or len(parts)} scans not all are there")
    tables = [_table(raw, region, name, part) for part in parts]
    if any(part.labels != parts[0].labels for part in parts) or any(
        not np.array_equal(table[0], tables[0][0]) for table in tables
    ):
        raise raw.error(f"{name}: its scans have different energies or columns")
    unit = _unit(raw, name, settings, parts[0].labels)
    columns = [table[1] for table in tables]
    counts = np.sum(columns, axis=0) if unit == "counts" else np.mean(columns, axis=0)
    photon = positive(region.about.get("Excitation Energy"))
    kind = settings.get("Energy Axis", "")
    transmission = _transmission(parts[0].labels, tables[0])
    return Spectrum(
        region=normalise_region(region.label),
        region_label=region.label,
        axis=binding_energy(raw, name, kind, tables[0][0], photon),
        intensity=counts,
        intensity_unit=unit,
        dwell_time_s=positive(region.about.get("Dwell Time")),
        scans=len(parts) if separate else scans,
        transmission=transmission,
        pass_energy_eV=positive(region.about.get("Pass Energy")),
        excitation_energy_eV=photon,
        work_function_eV=positive(region.about.get("Eff. Workfunction")),
        sample=region.group,
        block=block,
        comments=tuple(filter(None, [region.about.get("Comment", "")])),
        metadata={**settings, **region.about, "cycle": str(parts[0].cycle), "curve": str(parts[0].curve)},
    )


def _table(raw: RawFile, region: _Region, name: str, part: _Block) -> FloatArray:
    """Return the columns of a block, shape (columns, points)."""
    declared = whole(region.about.get("Values/Curve", ""))
    if declared is not None and len(part.rows) != declared:
        raise raw.error(f"{name}, line {part.line}: {len(part.rows)} of {declared} values are there")
    width = len(part.labels)
    if width < 2 or not part.rows:
        raise raw.error(f"{name}, line {part.line}: the block has no columns or no values")
    if any(len(row) != width for row in part.rows):
        raise raw.error(f"{name}, line {part.line}: a row does not have {width} columns")
    texts = [text for row in part.rows for text in row]
    return numbers_of(raw, texts, f"{name}, line {part.line}").reshape(-1, width).T


def _unit(raw: RawFile, name: str, settings: Mapping[str, str], labels: tuple[str, ...]) -> IntensityUnit:
    unit = _UNITS.get(labels[1].lower())
    if unit is None:
        raise raw.error(f"{name}: the unit {labels[1]!r} of the intensity is not known")
    declared = settings.get("Count Rate", "").lower()
    if declared and ("second" in declared) != (unit == "counts/s"):
        raise raw.error(f"{name}: the intensity is in {labels[1]!r}, the header says {settings['Count Rate']!r}")
    return unit


def _transmission(labels: tuple[str, ...], table: FloatArray) -> FloatArray | None:
    column = next((i for i, label in enumerate(labels) if "transmission" in label.lower()), None)
    if column is None or not (table[column] > 0).all():
        return None
    return np.array(table[column])
