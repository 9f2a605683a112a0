"""Igor binary waves ``.ibw`` (version 5) that Scienta's SES writes; the slices of two-dimensional data are added up.

The format is that of WaveMetrics' Technical Note 003: a header of 64 bytes with the sizes of what follows; one of 320
bytes with type, dimensions and the scale of each; the values, the first dimension running fastest; then the note, the
units of the data and of every dimension as text. Both headers add up, as 16-bit numbers, to zero. The note holds the
entries that SES also writes into its text files.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.text import decode

from ..dataset import FloatArray, Spectrum
from ._ses import ses_spectrum

__all__ = ["read", "sniff"]

_VERSION = 5
_SIZES = "hHi15i"  # version, checksum, bytes of the wave, of formula, note, units, labels, ...
_TYPES_AT, _DIMENSIONS_AT, _SCALES_AT = 64 + 16, 64 + 68, 64 + 84
_DATA_AT = 64 + 320
_WAVE_HEADER = 320
_KINDS = {0x02: "f4", 0x04: "f8", 0x08: "i1", 0x10: "i2", 0x20: "i4", 0x48: "u1", 0x50: "u2", 0x60: "u4"}
_MARK = "[SES]"


@dataclass(frozen=True)
class _Wave:
    """A wave of one or two dimensions."""

    values: FloatArray
    start: float
    step: float
    note: str
    axis_unit: str


def sniff(raw: RawFile) -> bool:
    """Tell whether the bytes begin with the two headers of an Igor binary wave of version 5."""
    return _order(raw.data) is not None


def _order(data: bytes) -> str | None:
    """Return the order of bytes, or None if the bytes are no wave: the headers then do not add up to zero."""
    for order in "<>":
        if len(data) >= _DATA_AT and struct.unpack_from(f"{order}h", data)[0] == _VERSION:
            total = int(np.frombuffer(data, f"{order}i2", _DATA_AT // 2).astype(np.int64).sum())
            return order if total % 65536 == 0 else None
    return None


def read(raw: RawFile) -> list[Spectrum]:
    """Read the one spectrum of a wave that SES wrote; waves of other programs are refused."""
    order = _order(raw.data)
    if order is None:
        raise raw.error("the file does not begin with the headers of an Igor binary wave of version 5")
    wave = _wave(raw, order)
    if _MARK not in wave.note:
        raise raw.error("the note of the wave is not one of SES: what its axis means is not known")
    lines = (line.partition("=") for line in wave.note.splitlines())
    entries = {key.strip(): value.strip() for key, equals, value in lines if equals}
    points = wave.values.shape[0]
    axis = wave.start + wave.step * np.arange(points, dtype=np.float64)
    counts = wave.values.reshape(points, -1).sum(axis=1)
    return [ses_spectrum(raw, entries, axis, counts, axis_label=wave.axis_unit or entries.get("Energy Scale", ""))]


def _wave(raw: RawFile, order: str) -> _Wave:
    _, _, size, formula, note, data_unit, *dimension_units = struct.unpack_from(f"{order}{_SIZES}", raw.data)
    dimension_units = dimension_units[:4]
    kind = _KINDS.get(struct.unpack_from(f"{order}h", raw.data, _TYPES_AT)[0])
    if kind is None:
        raise raw.error("the wave holds complex numbers or text, no intensities")
    sizes = struct.unpack_from(f"{order}4i", raw.data, _DIMENSIONS_AT)
    shape = tuple(n for n in sizes if n != 0)
    steps, starts = (struct.unpack_from(f"{order}4d", raw.data, _SCALES_AT + at) for at in (0, 32))
    if not 1 <= len(shape) <= 2 or any(n < 0 for n in sizes):
        raise raw.error(f"the wave has the dimensions {shape}: one or two are read")
    if not (math.isfinite(starts[0]) and math.isfinite(steps[0])) or steps[0] == 0:
        raise raw.error(f"the energies start at {starts[0]!r} with a step of {steps[0]!r}")
    item = np.dtype(f"{order}{kind}")
    count = math.prod(shape)
    lengths = (formula, note, data_unit, *dimension_units)
    if size - _WAVE_HEADER != count * item.itemsize or any(length < 0 for length in lengths):
        raise raw.error(f"the wave declares {count} values, but {size - _WAVE_HEADER} bytes for them")
    end = _DATA_AT + count * item.itemsize
    if end + sum(lengths) > raw.size:
        raise raw.error(f"the file ends at {raw.size} of {end + sum(lengths)} bytes")
    values = np.frombuffer(raw.data, item, count, _DATA_AT).astype(np.float64).reshape(shape, order="F")
    texts = []
    for length in lengths:
        texts.append(decode(raw.data[end : end + length]))
        end += length
    return _Wave(values, starts[0], steps[0], texts[1], texts[3])
