"""Scienta SES text: ``[Region n]``, ``[Info n]``, ``[Data n]``; the slices of two-dimensional data are added up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.text import decode, numbers_of, whole

from ..dataset import FloatArray, Spectrum
from ._ses import ses_spectrum

__all__ = ["read", "sniff"]

_SECTION = re.compile(r"\[([A-Za-z ]+?)(?:\s+(\d+)(?::(\d+))?)?\]$")
_AXIS_TOLERANCE = 1e-6  # relative; the scale is printed with fewer digits than the data


@dataclass
class _Section:
    """The entries of one region and its rows of numbers, as text."""

    entries: dict[str, str] = field(default_factory=dict)
    rows: list[list[str]] = field(default_factory=list)
    has_data: bool = False


def sniff(raw: RawFile) -> bool:
    """Tell whether the bytes begin with the ``[Info]`` section of an SES file."""
    head = decode(raw.data[:400]).lstrip()
    return head.startswith("[Info]") and "Number of Regions" in head


def read(raw: RawFile) -> list[Spectrum]:
    """Read an SES text file, one spectrum a region."""
    if not sniff(raw):
        raise raw.error("the file does not begin as a Scienta SES text does")
    text = decode(raw.data)
    if not text.endswith(("\n", "\r")):
        raise raw.error("the file ends within its last line")
    general, sections = _parse(raw, text)
    declared = whole(general.get("Number of Regions"))
    if declared is None or declared != len(sections) or sorted(sections) != list(range(1, declared + 1)):
        raise raw.error(f"{general.get('Number of Regions')} regions are declared, {len(sections)} are there")
    return [_spectrum(raw, general, sections[number], number) for number in sorted(sections)]


def _parse(raw: RawFile, text: str) -> tuple[dict[str, str], dict[int, _Section]]:
    general: dict[str, str] = {}
    sections: dict[int, _Section] = {}
    kind, current = "info", None
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped:
            continue
        if match := _SECTION.match(stripped):
            kind = match[1].lower()
            if match[3] is not None:
                raise raw.error(f"line {number}: {stripped} belongs to three-dimensional data, which are not supported")
            current = None if match[2] is None else sections.setdefault(int(match[2]), _Section())
            if kind == "data" and current is not None:
                current.has_data = True
        elif kind == "data" and current is not None:
            current.rows.append(stripped.split())
        else:
            key, equals, value = stripped.partition("=")
            if equals:
                (general if current is None else current.entries)[key.strip()] = value.strip()
    return general, sections


def _spectrum(raw: RawFile, general: Mapping[str, str], section: _Section, number: int) -> Spectrum:
    entries = section.entries
    axis, counts = _columns(raw, section, f"region {number} ({entries.get('Region Name', '')})")
    label = entries.get("Dimension 1 name", "") or entries.get("Energy Scale", "")
    return ses_spectrum(raw, entries, axis, counts, axis_label=label, region=number, general=general)


def _columns(raw: RawFile, section: _Section, name: str) -> tuple[FloatArray, FloatArray]:
    """Return axis and intensity added up over the slices, each shape (points,)."""
    if not section.has_data:
        raise raw.error(f"{name} has no data")
    points = whole(section.entries.get("Dimension 1 size"))
    if points is None or points == 0:
        raise raw.error(f"{name} does not declare the size of its energy axis")
    if len(section.rows) != points:
        raise raw.error(f"{name}: {len(section.rows)} of {points} rows are there")
    slices = whole(section.entries.get("Dimension 2 size")) or 1
    if any(len(row) != slices + 1 for row in section.rows):
        raise raw.error(f"{name}: a row does not hold an energy and {slices} values")
    scale = numbers_of(raw, section.entries.get("Dimension 1 scale", "").split(), name)
    table = numbers_of(raw, [text for row in section.rows for text in row], name).reshape(points, slices + 1)
    axis = table[:, 0]
    if scale.size:
        if scale.size != points:
            raise raw.error(f"{name}: the scale has {scale.size} of {points} energies")
        if not np.allclose(scale, axis, rtol=_AXIS_TOLERANCE, atol=1e-4):
            raise raw.error(f"{name}: the energies in the data are not those of the scale")
    return axis, table[:, 1:].sum(axis=1)
