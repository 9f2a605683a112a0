"""Thermo Avantage ``.avg``: the text that Avantage dumps of a data space, the twin of a ``.vgd``.

Lines ``DS_...: VT_... = ...`` hold the properties, ``$SPACEAXES`` the axes, ``$DATA=`` begins the values of a spectrum
and ``LIST@ n=`` a row of them, from the n-th on. Before each spectrum of a depth profile or of several points,
``$AXISVALUE=`` says where on the other axes it stands. Maps and images hold no spectra that could be levels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.text import decode, number, positive, whole

from ..dataset import FloatArray, Spectrum, normalise_region
from ._base import binding_energy

__all__ = ["read", "sniff"]

_MARK = ";Dump of DataSpace"
_PROPERTY = re.compile(r"(DS_\w+(?:\[\d+\])?)\s*:.*?VT_\w+\s*=\s*(.*)$")
_AXIS_VALUE = re.compile(r"SPACEAXIS=\s*(\d+)\s.*?POINT=\s*\d+\s+VALUE=\s*(?:'([^']*)'|([^;\s]+))")
_AXIS = re.compile(r"\d+\s*=\s*([^,]+),\s*([^,]+),\s*(\d+)\s*,\s*([^,]+),")
_ROW = re.compile(r"LIST@\s*(\d+)\s*=\s*(.*)$")
_KINETIC, _BINDING = "1", "2"
_LARGEST = 10_000_000  # points; what a file declares beyond it is damaged


@dataclass(frozen=True)
class _Axis:
    """An axis of the data space."""

    start: float
    step: float
    points: int
    kind: str


@dataclass
class _Data:
    """The values of a spectrum, as text, and where it stands on the other axes."""

    line: int
    places: dict[int, str]
    cells: list[str] = field(default_factory=list)


@dataclass
class _Space:
    """What a file holds."""

    properties: dict[str, str] = field(default_factory=dict)
    axes: list[_Axis] = field(default_factory=list)
    data: list[_Data] = field(default_factory=list)


def sniff(raw: RawFile) -> bool:
    """Tell whether the text begins as a dump does."""
    return _MARK in decode(raw.data[:1000])


def read(raw: RawFile) -> list[Spectrum]:
    """Read a dump, one spectrum an etch level or point."""
    if not sniff(raw):
        raise raw.error("the file does not begin as a dump of Avantage does")
    space = _parse(raw, decode(raw.data))
    kinds = [axis.kind for axis in space.axes]
    if not kinds or kinds[0] != "ENERGY":
        raise raw.error(f"the first axis of the data space is {kinds[0] if kinds else 'none'}, not ENERGY")
    if {"X", "Y"} & set(kinds) and "POSITION" not in kinds:
        raise raw.error("the data space is a map; its pixels are no levels")
    declared = max((axis.points for axis in space.axes[1:]), default=1)
    if len(space.data) != declared:
        raise raw.error(f"{len(space.data)} of {declared} spectra are there")
    energy = _energy(raw, space)
    return [_spectrum(raw, space, energy, data, block) for block, data in enumerate(space.data)]


def _parse(raw: RawFile, text: str) -> _Space:
    space, places, part = _Space(), dict[int, str](), ""
    for at, line in enumerate(text.splitlines(), start=1):
        content = line.strip()
        if not content or content.startswith(";"):
            continue
        if content.startswith("$AXISVALUE="):
            if found := _AXIS_VALUE.search(content):
                places[int(found[1])] = found[2] if found[2] is not None else found[3]
        elif content.startswith("$"):
            part = content[1:].partition("=")[0]
            if part == "DATA":
                space.data.append(_Data(at, places))
                places = {}
        elif stated := _PROPERTY.match(content):
            space.properties[stated[1]] = stated[2].strip().strip("'")
        elif part == "SPACEAXES" and (axis := _AXIS.match(content)):
            space.axes.append(_Axis(float(axis[1]), float(axis[2]), int(axis[3]), axis[4].strip().upper()))
        elif part == "DATA":
            _add_row(raw, space.data[-1], content, at)
    return space


def _add_row(raw: RawFile, data: _Data, content: str, at: int) -> None:
    row = _ROW.match(content)
    if row is not None and int(row[1]) != len(data.cells):
        raise raw.error(f"line {at} begins with value {row[1]}, {len(data.cells)} came before it")
    data.cells += [cell.strip() for cell in (content if row is None else row[2]).rstrip(",").split(",")]


def _energy(raw: RawFile, space: _Space) -> FloatArray:
    """Return the binding energies in eV, shape (n,)."""
    axis, scale = space.axes[0], space.properties.get("DS_ACPROPID_EV_SCALE", _KINETIC)
    if axis.step == 0 or not np.isfinite([axis.start, axis.step]).all() or not 0 < axis.points < _LARGEST:
        raise raw.error(f"the energies start at {axis.start!r} with {axis.points} steps of {axis.step!r}")
    label = {_KINETIC: "kinetic", _BINDING: "binding"}.get(scale, scale)
    energies = axis.start + axis.step * np.arange(axis.points, dtype=np.float64)
    return binding_energy(raw, "the energy axis", label, energies, positive(space.properties.get("DS_SOPROPID_ENERGY")))


def _spectrum(raw: RawFile, space: _Space, energy: FloatArray, data: _Data, block: int) -> Spectrum:
    if len(data.cells) != energy.size:
        raise raw.error(f"line {data.line}: {len(data.cells)} of {energy.size} values are there")
    about, where = space.properties, f"line {data.line}"
    title = about.get("DS_EXT_SUPROPID_TITLE", "")
    return Spectrum(
        region=normalise_region(title) or "unnamed",
        region_label=title,
        axis=energy,
        intensity=_values(raw, data, where),
        dwell_time_s=positive(about.get("DS_ACPROPID_ACQ_TIME")),
        scans=whole(about.get("DS_ACPROPID_PERIODS")) or None,
        pass_energy_eV=positive(about.get("DS_ANPROPID_PASS")),
        excitation_energy_eV=positive(about.get("DS_SOPROPID_ENERGY")),
        work_function_eV=positive(about.get("DS_ANPROPID_WORK_FTN")),
        etch_time_s=number(_place(space, data.places, "ETCHTIME")),
        sample=_place(space, data.places, "POSITION") or about.get("DS_EXT_SUPROPID_SUBJECT", ""),
        block=block,
        metadata={key: text for key, text in about.items() if text},
    )


def _values(raw: RawFile, data: _Data, where: str) -> FloatArray:
    """Return the values of a spectrum; what was not measured (``#empty#``) is no number."""
    values = [np.nan if cell == "#empty#" else number(cell) for cell in data.cells]
    if None in values:
        raise raw.error(f"{where}: value {values.index(None) + 1} is {data.cells[values.index(None)][:40]!r}")
    return np.array(values, dtype=np.float64)


def _place(space: _Space, places: Mapping[int, str], kind: str) -> str:
    """Return where a spectrum stands on the axis of a kind; nothing where there is none."""
    return next((places[i] for i, axis in enumerate(space.axes) if axis.kind == kind and i in places), "")
