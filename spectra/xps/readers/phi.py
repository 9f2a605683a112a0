"""PHI (ULVAC-PHI) ``.spe`` spectra and ``.pro`` depth profiles.

A text header ends with ``EOFH``. Then, little-endian: a block of 16 bytes whose second and third uint32 are the number
of data sets and the bytes of their table; the table, 96 bytes a data set; and the data. A data set whose region number
is not zero is a spectrum at all its cycles; one that is counted in cycles and regions holds, in s, the total sputter
time of each cycle.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.measurement import IntensityUnit
from layerscope.measured.text import decode, positive

from ..dataset import FloatArray, Spectrum, normalise_region

__all__ = ["read", "sniff"]

_MAGIC = b"SOFH"
_HEADER_END = b"EOFH"
_ENTRY = struct.Struct("<24I")
_PREAMBLE = struct.Struct("<4I")
_ItemType = np.dtype[np.float32] | np.dtype[np.float64]
_ITEM_TYPES: dict[bytes, _ItemType] = {b"f4": np.dtype("<f4"), b"f8": np.dtype("<f8")}
_UNITS: dict[str, IntensityUnit] = {"c/s": "counts/s", "cps": "counts/s", "c": "counts", "counts": "counts"}
_SECONDS = {"s": 1.0, "sec": 1.0, "min": 60.0}


@dataclass(frozen=True)
class _RegionDefinition:
    """One ``SpectralRegDef`` line with its ``SpectralRegDef2``."""

    number: int
    label: str
    points: int
    step: float
    start: float
    end: float
    time: float
    pass_energy: float
    sweeps: int


@dataclass(frozen=True)
class _DataSet:
    """One row of the binary table."""

    region: int
    area: int
    points: int
    cycles: int
    axes: tuple[str, str]
    unit: str
    item: _ItemType
    size: int
    offset: int


def sniff(raw: RawFile) -> bool:
    """Tell whether the bytes begin as a PHI file does."""
    return raw.data.startswith(_MAGIC)


def read(raw: RawFile) -> list[Spectrum]:
    """Read a PHI file, one spectrum a region and cycle, with the sputter time of the cycle if the file holds it.

    Counts are those of the file, in the file's unit, not corrected for transmission; dwell time is the time per point
    and sweep. Files that were not measured with X-rays are refused.
    """
    if not sniff(raw):
        raise raw.error("the file does not begin with SOFH, as PHI files do")
    header, body = _split(raw)
    technique = header.get("Technique", ["XPS"])[0]
    if technique.upper() != "XPS":
        raise raw.error(f"the technique is {technique!r}, not XPS")
    return _spectra(raw, header, _definitions(raw, header), _table(raw, body), body)


def _split(raw: RawFile) -> tuple[Mapping[str, list[str]], memoryview]:
    end = raw.data.find(_HEADER_END)
    if end < 0:
        raise raw.error("the file ends within its header: EOFH is missing")
    header: dict[str, list[str]] = {}
    for line in decode(raw.data[:end]).splitlines():
        key, colon, value = line.partition(":")
        if colon:
            header.setdefault(key.strip(), []).append(value.strip())
    start = end + len(_HEADER_END)
    for newline in (b"\r\n", b"\n"):
        if raw.data.startswith(newline, start):
            start += len(newline)
            break
    return header, memoryview(raw.data)[start:]


def _definitions(raw: RawFile, header: Mapping[str, list[str]]) -> dict[int, _RegionDefinition]:
    """Return the measured regions by number; the ``...Full`` lines hold the plan, not what was measured."""
    try:
        sweeps = {int(line.split()[0]): int(line.split()[2]) for line in header.get("SpectralRegDef2", [])}
        rows = [_definition(line, sweeps) for line in header.get("SpectralRegDef", [])]
        declared = int(header["NoSpectralReg"][0]) if "NoSpectralReg" in header else len(rows)
    except (ValueError, IndexError, OverflowError) as error:
        raise raw.error(f"a region definition in the header cannot be read: {error}") from error
    if not rows:
        raise raw.error("the header defines no spectral region")
    if declared != len(rows) or len({row.number for row in rows}) != len(rows):
        raise raw.error(f"the header declares {declared} regions and defines {len(rows)}")
    return {row.number: row for row in rows}


def _definition(line: str, sweeps: Mapping[int, int]) -> _RegionDefinition:
    fields = line.split()
    number = int(fields[0])
    values = [float(field) for field in (*fields[5:8], fields[10], fields[11])]
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"region {number} has a value that is not finite")
    step, start, end, time, pass_energy = values
    return _RegionDefinition(
        number=number,
        label=fields[2],
        points=int(fields[4]),
        step=step,
        start=start,
        end=end,
        time=time,
        pass_energy=pass_energy,
        sweeps=sweeps.get(number, 0),
    )


def _table(raw: RawFile, body: memoryview) -> list[_DataSet]:
    if len(body) < _PREAMBLE.size:
        raise raw.error("the file ends before its binary table")
    _, count, size, start = _PREAMBLE.unpack_from(body, 0)
    if count == 0 or size != count * _ENTRY.size or start != _PREAMBLE.size:
        raise raw.error(f"the binary table is not that of a PHI file: {count} data sets in {size} bytes from {start}")
    if start + size > len(body):
        raise raw.error(f"the file ends within its binary table of {count} data sets")
    table = [_data_set(raw, body, start + _ENTRY.size * index, index) for index in range(count)]
    end = start + size
    for data in sorted(table, key=lambda data: data.offset):
        if data.offset < end:
            raise raw.error(f"the data of region {data.region} begin within those of another region or in the table")
        end = data.offset + data.size
    return table


def _data_set(raw: RawFile, body: memoryview, at: int, index: int) -> _DataSet:
    values = _ENTRY.unpack_from(body, at)
    chunk = bytes(body[at : at + _ENTRY.size])
    item = _ITEM_TYPES.get(chunk[72:76].partition(b"\0")[0])  # a byte behind the name is a flag of the program's own
    if item is None:
        raise raw.error(f"data set {index + 1} is of the unknown type {chunk[72:76]!r}")
    data = _DataSet(
        region=values[3],
        area=values[1],
        points=values[5],
        cycles=values[6],
        axes=(_text(chunk[32:36]), _text(chunk[40:44])),
        unit=_text(chunk[56:72]),
        item=item,
        size=values[19],
        offset=values[20],
    )
    if data.points * data.cycles * item.itemsize != data.size:
        raise raw.error(
            f"data set {index + 1} declares {data.cycles} cycles of {data.points} points, but {data.size} bytes"
        )
    if data.offset + data.size > len(body):
        raise raw.error(
            f"the file ends within data set {index + 1} (region {data.region}): "
            f"{max(len(body) - data.offset, 0)} of {data.size} bytes are there"
        )
    return data


def _text(chunk: bytes) -> str:
    return chunk.partition(b"\0")[0].decode("ascii", errors="replace").strip()


def _values(body: memoryview, data: _DataSet) -> FloatArray:
    """Return the values of a data set, shape (cycles, points)."""
    array = np.frombuffer(body, dtype=data.item, count=data.cycles * data.points, offset=data.offset)
    with np.errstate(invalid="ignore"):  # a signalling NaN stays a NaN, which Spectrum.check refuses by name
        return array.astype(np.float64).reshape(data.cycles, data.points)


def _spectra(
    raw: RawFile,
    header: Mapping[str, list[str]],
    definitions: Mapping[int, _RegionDefinition],
    table: list[_DataSet],
    body: memoryview,
) -> list[Spectrum]:
    measured = [data for data in table if data.region != 0]
    missing = sorted(set(definitions) - {data.region for data in measured})
    if missing:
        raise raw.error(f"there are no data for region {', '.join(map(str, missing))} of the header")
    areas = sorted({data.area for data in measured})
    spectra: list[Spectrum] = []
    for block, data in enumerate(measured):
        definition = definitions.get(data.region)
        if definition is None:
            raise raw.error(f"data set {block + 1} belongs to region {data.region}, which the header does not define")
        _check_axis(raw, definition, data)
        times = _sputter_times(table, body, data, list(definitions).index(data.region))
        sample = _sample(header, data.area, len(areas))
        spectra += _levels(raw, header, definition, data, _values(body, data), times, sample, block)
    return spectra


def _check_axis(raw: RawFile, definition: _RegionDefinition, data: _DataSet) -> None:
    name = f"region {definition.number} ({definition.label})"
    if data.points != definition.points:
        raise raw.error(f"{name} has {data.points} points in the data and {definition.points} in the header")
    if definition.step == 0:
        raise raw.error(f"{name} has an energy step of zero")
    last = definition.start + (definition.points - 1) * definition.step
    # The end is the one that was asked for, which the last whole step within it need not reach; a point more or less
    # than the header says is still seen.
    if abs(last - definition.end) > 0.99 * abs(definition.step):
        raise raw.error(f"{name}: {definition.points} points from {definition.start:g} eV end at {last:g} eV, "
                        f"not at {definition.end:g} eV")  # fmt: skip
    if data.unit not in _UNITS:
        raise raw.error(f"{name} is in the unknown unit {data.unit!r}")


def _sputter_times(table: list[_DataSet], body: memoryview, data: _DataSet, index: int) -> FloatArray | None:
    """Return the total sputter time before each cycle in s, shape (cycles,), if the file has a table of it."""
    for other in table:
        is_time = other.region == 0 and other.unit in _SECONDS and other.axes == ("cyc", "reg")
        # This table turns the two numbers round: `points` counts the cycles and `cycles` the regions.
        if is_time and other.points == data.cycles and other.cycles > index:
            return np.asarray(np.abs(_values(body, other)[index]) * _SECONDS[other.unit])
    return None


def _sample(header: Mapping[str, list[str]], area: int, areas: int) -> str:
    name = header.get("FileDesc", [""])[0]
    return name if areas <= 1 else f"{name} area {area}".strip()


def _levels(
    raw: RawFile,
    header: Mapping[str, list[str]],
    definition: _RegionDefinition,
    data: _DataSet,
    values: FloatArray,
    times: FloatArray | None,
    sample: str,
    block: int,
) -> list[Spectrum]:
    energy = definition.start + definition.step * np.arange(definition.points, dtype=np.float64)
    scans = definition.sweeps if definition.sweeps > 0 else 1
    return [
        Spectrum(
            region=normalise_region(definition.label),
            region_label=definition.label,
            axis=energy,
            intensity=row,
            intensity_unit=_UNITS[data.unit],
            dwell_time_s=definition.time / scans if definition.time > 0 else None,
            scans=scans if definition.time > 0 else None,
            pass_energy_eV=positive(definition.pass_energy),
            excitation_energy_eV=_number(header, "XraySource", 1),
            work_function_eV=_number(header, "AnalyserWorkFcn", 0),
            etch_time_s=None if times is None else float(times[level]),
            sample=sample,
            block=block,
            metadata=_metadata(header),
        )
        for level, row in enumerate(values)
    ]


def _number(header: Mapping[str, list[str]], key: str, position: int) -> float | None:
    """Return one number of a header line, for instance the 1486.6 of ``XraySource: Al 1486.6 mono``."""
    words = header.get(key, [""])[0].split()
    return positive(words[position]) if len(words) > position else None


def _metadata(header: Mapping[str, list[str]]) -> dict[str, str]:
    keys = {
        "AcqFileDate": "date",
        "InstrumentModel": "instrument",
        "AnalyserMode": "analyser_mode",
        "IntensityCalCoeff": "transmission_coefficients",
        "SourceAnalyserAngle": "source_analyser_angle",
        "XraySource": "source",
    }
    general = {key: "\n".join(lines) for key, lines in header.items() if not key.startswith("Spectral")}
    return general | {name: header[key][0] for key, name in keys.items() if key in header}
