"""Text that CasaXPS exports, "columns of tables": each block is counted again as rates, with the curves of its fit.

A block begins with ``Cycle n:sample:region`` and the photon energy and acquisition time of a point; a table of
components follows, and the columns over kinetic and over binding energy. Energies are photon less kinetic energy, as in
VAMAS files; what CasaXPS has added to them is kept apart. Fitted curves are not read, the table of components is kept
among the metadata. A file cut exactly between two blocks cannot be told from a whole one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.measurement import IntensityUnit
from layerscope.measured.text import decode, number, numbers_of, positive

from ..dataset import FloatArray, Spectrum, normalise_region

__all__ = ["read", "sniff"]

_START = re.compile(r"Cycle (\d+):([^\t]*)")
_SETTINGS = ("Characteristic Energy eV", "Acquisition Time s")
_KINETIC, _COUNTS, _BINDING, _RATE = "K.E.", "Counts", "B.E.", "CPS"
_COMPONENTS = ("Name", "Position", "FWHM", "Area", "Lineshape")
_ROUNDING = 1e-6  # relative; numbers are written with seven digits


@dataclass
class _Block:
    """One spectrum, as text."""

    cycle: int
    title: str
    line: int
    settings: dict[str, float | None] = field(default_factory=dict)
    components: dict[str, list[str]] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)


def sniff(raw: RawFile) -> bool:
    """Tell whether the text begins as a block does."""
    lines = decode(raw.data[:2000]).splitlines()
    return len(lines) > 1 and _START.match(lines[0]) is not None and _SETTINGS[0] in lines[1]


def read(raw: RawFile) -> list[Spectrum]:
    """Read an export, one spectrum a block; counts are those over the kinetic energy."""
    if not sniff(raw):
        raise raw.error("the file does not begin as an export of CasaXPS does")
    text = decode(raw.data)
    if not text.endswith(("\n", "\r")):
        raise raw.error("the file ends within its last line")
    return [_spectrum(raw, block, number) for number, block in enumerate(_blocks(raw, text))]


def _blocks(raw: RawFile, text: str) -> list[_Block]:
    blocks: list[_Block] = []
    for at, line in enumerate(text.splitlines(), start=1):
        cells = [cell.strip() for cell in line.split("\t")]
        if started := _START.match(line):
            blocks.append(_Block(int(started[1]), started[2].strip(), at))
        elif not any(cells):
            continue
        elif blocks[-1].labels:
            blocks[-1].rows.append(cells)
        elif cells[0] in (_KINETIC, _BINDING):
            blocks[-1].labels = cells
        elif cells[0] in _COMPONENTS:
            blocks[-1].components[cells[0]] = [cell for cell in cells[1:] if cell]
        else:
            blocks[-1].settings |= {key: number(value) for key, value in pairwise(cells) if key in _SETTINGS}
    return blocks


def _spectrum(raw: RawFile, block: _Block, number: int) -> Spectrum:
    where = f"block {number + 1} ({block.title}), line {block.line}"
    sample, _, label = block.title.rpartition(":")
    photon, time = (positive(block.settings.get(key)) for key in _SETTINGS)
    table = _table(raw, block, where)
    kinetic, binding = table.get(_KINETIC), table.get(_BINDING)
    if kinetic is not None and photon is not None:
        axis = np.asarray(photon - kinetic)
    elif binding is not None:
        axis = binding
    else:
        raise raw.error(f"{where}: the energies are kinetic, and the excitation energy is not given")
    unit: IntensityUnit = "counts" if _COUNTS in table else "counts/s"
    intensity = table.get(_COUNTS, table.get(_RATE))
    if intensity is None:
        raise raw.error(f"{where}: there is no column of counts")
    return Spectrum(
        region=normalise_region(label),
        region_label=label,
        axis=axis,
        intensity=intensity,
        intensity_unit=unit,
        dwell_time_s=time,
        scans=None if time is None else 1,  # the time is that of a point in all scans
        excitation_energy_eV=photon,
        sample=sample,
        block=number,
        metadata={"cycle": str(block.cycle), **_calibration(axis, binding), **_fit(block)},
    )


def _table(raw: RawFile, block: _Block, where: str) -> dict[str, FloatArray]:
    """Return the measured columns by their labels; columns of curves have names of their own."""
    width = len(block.labels)
    if not block.rows:
        raise raw.error(f"{where}: there are no values")
    for row in block.rows:
        if len(row) < width:
            raise raw.error(f"{where}: a row has {len(row)} of {width} columns", hint="the file may be cut off there")
    found = {}
    for label in (_KINETIC, _COUNTS, _BINDING, _RATE):
        if label in block.labels:
            at = block.labels.index(label)
            found[label] = numbers_of(raw, [row[at] for row in block.rows], where)
    return found


def _calibration(axis: FloatArray, binding: FloatArray | None) -> dict[str, str]:
    if binding is None or np.allclose(axis, binding, rtol=_ROUNDING, atol=2e-3):
        return {}
    return {"shift_in_casaxps_eV": f"{float(np.mean(binding - axis)):.4f}"}


def _fit(block: _Block) -> dict[str, str]:
    """Return the components of the stored fit, one entry each."""
    names = block.components.get("Name", [])
    others = [(key, values) for key, values in block.components.items() if key != "Name" and len(values) == len(names)]
    return {
        f"component {index}": ", ".join([name, *(f"{key} {values[index - 1]}" for key, values in others)])
        for index, name in enumerate(names, start=1)
    }
