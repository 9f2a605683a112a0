"""Plain columns (CSV, XY, text) whose meaning is stated by the user: nothing is guessed but the delimiter."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from layerscope.errors import ReaderError
from layerscope.measured.files import RawFile
from layerscope.measured.text import decode

from ..dataset import FloatArray, IntensityUnit, Spectrum, XpsDataset, normalise_region
from ._base import READER_VERSION, rising_order

__all__ = ["FORMAT", "ColumnMap", "read", "sniff"]

FORMAT = "columns"

Column = str | int
EnergyKind = Literal["binding", "kinetic"]

_DELIMITERS = ("\t", ";", ",", None)  # None: any blanks
_DECIMAL_COMMA = re.compile(r"^[+-]?\d+,\d+(?:[eE][+-]?\d+)?$")
_RATE = re.compile(r"counts?\s*/\s*s|\bcps\b|\bc/s\b", re.IGNORECASE)


@dataclass(frozen=True)
class ColumnMap:
    """What the columns of a text file mean.

    Parameters
    ----------
    region : str
        Region that was measured, ``"O 1s"``.
    energy : str or int, default 0
        Name in the header line, or number from 0, of the energy column.
    counts : str, int or tuple of them, default 1
        Column of the intensity; several make a depth profile, one a level.
    kind : {"binding", "kinetic"}, default "binding"
        What the energies are; kinetic ones need `excitation_energy_eV`.
    unit : {"counts", "counts/s"}, default "counts"
        Unit of the intensity.
    transmission : str or int, optional
        Column of the analyser's transmission.
    excitation_energy_eV, pass_energy_eV : float, optional
        In eV.
    dwell_time_s, scans : float and int, optional
        Time per point and scan in s, and number of scans.
    etch_time_s : float or tuple of float, optional
        Total etch time of each level in s.
    sample : str, default ""
        Name of the sample.
    points : int, optional
        Number of points that the file must have; shows a truncated file, which columns alone cannot.
    delimiter : str, optional
        Found by trial if not given.
    comment : str, default "#"
        Lines that begin with it are comments.
    skip_lines : int, default 0
        Lines to leave out at the beginning.
    """

    region: str
    energy: Column = 0
    counts: Column | tuple[Column, ...] = 1
    kind: EnergyKind = "binding"
    unit: IntensityUnit = "counts"
    transmission: Column | None = None
    excitation_energy_eV: float | None = None
    pass_energy_eV: float | None = None
    dwell_time_s: float | None = None
    scans: int | None = None
    etch_time_s: float | tuple[float, ...] | None = None
    sample: str = ""
    points: int | None = None
    delimiter: str | None = None
    comment: str = "#"
    skip_lines: int = 0

    @property
    def count_columns(self) -> tuple[Column, ...]:
        """The intensity columns as a tuple."""
        return self.counts if isinstance(self.counts, tuple) else (self.counts,)


@dataclass(frozen=True)
class _Table:
    """Numbers and, if there was a header line, names."""

    names: tuple[str, ...]
    values: FloatArray  # shape (rows, columns)


def sniff(raw: RawFile) -> bool:
    """Plain columns have no signature; they are read only on request."""
    return False


def read(raw: RawFile, columns: ColumnMap | None = None) -> XpsDataset:
    """Read a table of columns.

    Parameters
    ----------
    raw : RawFile
        The file's bytes.
    columns : ColumnMap
        What they mean.

    Returns
    -------
    XpsDataset
        One spectrum a column of counts.

    Raises
    ------
    ReaderError
        If no map is given, a column is missing, a unit is not known or contradicts the header, rows have different
        lengths, or something is not a number; the message names the line.
    """
    if columns is None:
        raise raw.error("plain columns need a column map", hint="say which column is the energy and which the counts")
    _check_map(raw, columns)
    table = _table(raw, columns)
    if columns.points is not None and len(table.values) != columns.points:
        raise raw.error(f"{len(table.values)} rows are there, {columns.points} were expected")
    return XpsDataset(
        source=raw.path,
        format=FORMAT,
        reader="layerscope.columns",
        reader_version=READER_VERSION,
        sha256=raw.sha256,
        size=raw.size,
        spectra=tuple(_spectra(raw, columns, table)),
    )


def _check_map(raw: RawFile, columns: ColumnMap) -> None:
    if columns.kind not in get_args(EnergyKind):
        raise raw.error(f"the energy kind {columns.kind!r} is not known", hint="binding or kinetic")
    if columns.unit not in get_args(IntensityUnit):
        raise raw.error(f"the unit {columns.unit!r} of the intensity is not known", hint="counts or counts/s")
    if columns.kind == "kinetic" and columns.excitation_energy_eV is None:
        raise raw.error("kinetic energies need excitation_energy_eV")
    if isinstance(columns.etch_time_s, tuple) and len(columns.etch_time_s) != len(columns.count_columns):
        raise raw.error(
            f"{len(columns.etch_time_s)} etch times are given for {len(columns.count_columns)} columns of counts"
        )
    if len(columns.count_columns) > 1 and isinstance(columns.etch_time_s, float | int):
        raise raw.error(f"one etch time is given for {len(columns.count_columns)} columns of counts")


def _table(raw: RawFile, columns: ColumnMap) -> _Table:
    if b"\0" in raw.data:
        raise raw.error("the file is binary, not text")
    lines = [
        (number, line.strip())
        for number, line in enumerate(decode(raw.data).splitlines(), start=1)
        if number > columns.skip_lines and _is_content(line.strip(), columns.comment)
    ]
    if not lines:
        raise raw.error("the file holds no row of data")
    candidates = _DELIMITERS if columns.delimiter is None else (columns.delimiter,)
    delimiter = max(candidates, key=lambda d: sum(_row(line, d) is not None for _, line in lines))
    names: tuple[str, ...] = ()
    rows: list[list[float]] = []
    for number, line in lines:
        row = _row(line, delimiter)
        if row is None:
            if rows:
                raise raw.error(f"line {number} is not a row of numbers: {line[:60]!r}")
            names = tuple(part.strip().strip("\"'") for part in _split(line, delimiter))
            continue
        if rows and len(row) != len(rows[0]):
            raise raw.error(f"line {number} has {len(row)} columns, the rows before it have {len(rows[0])}")
        rows.append(row)
    if not rows:
        raise raw.error("there is no row with at least two numbers")
    return _Table(names, np.array(rows, dtype=np.float64))


def _is_content(line: str, comment: str) -> bool:
    return bool(line) and not (comment and line.startswith(comment))


def _split(line: str, delimiter: str | None) -> list[str]:
    parts = line.split(delimiter)
    # A row may close with its delimiter.
    return parts[:-1] if delimiter is not None and len(parts) > 1 and not parts[-1].strip() else parts


def _row(line: str, delimiter: str | None) -> list[float] | None:
    """Return the numbers of a row, or None if it is no row of at least two numbers."""
    parts = [part.strip() for part in _split(line, delimiter)]
    if len(parts) < 2:
        return None
    if delimiter != ",":
        parts = [part.replace(",", ".") if _DECIMAL_COMMA.match(part) else part for part in parts]
    try:
        return [float(part) for part in parts]
    except ValueError:
        return None


def _index(raw: RawFile, table: _Table, column: Column) -> int:
    width = table.values.shape[1]
    if isinstance(column, int):
        if not 0 <= column < width:
            raise raw.error(f"there is no column {column}: the file has {width}, counted from 0")
        return column
    matches = [i for i, name in enumerate(table.names) if name.lower() == column.lower()]
    if len(matches) != 1 or len(table.names) != width:
        reason = "is there more than once" if len(matches) > 1 else "is missing"
        names = ", ".join(table.names) or "none: the file has no header line"
        raise raw.error(f"the column {column!r} {reason}", hint=f"columns: {names}")
    return matches[0]


def _check_names(raw: RawFile, columns: ColumnMap, name: str, counts_name: str) -> None:
    """Refuse a map that contradicts what the header line says."""
    text = name.lower()
    if "kev" in text or "nm" in re.findall(r"[a-z]+", text):
        raise raw.error(f"the energy column {name!r} is not in eV")
    other = "kinetic" if columns.kind == "binding" else "binding"
    if other in text and columns.kind not in text:
        raise raw.error(f"the energy column is named {name!r}, the column map says {columns.kind}")
    if columns.unit == "counts" and _RATE.search(counts_name):
        raise raw.error(f"the intensity column is named {counts_name!r}, the column map says counts")


def _spectra(raw: RawFile, columns: ColumnMap, table: _Table) -> list[Spectrum]:
    energy_index = _index(raw, table, columns.energy)
    named = len(table.names) == table.values.shape[1]
    axis = table.values[:, energy_index]
    if columns.kind == "kinetic":
        if columns.excitation_energy_eV is None:  # _check_map has refused it already
            raise ReaderError("kinetic energies need excitation_energy_eV", source=raw.path)
        axis = columns.excitation_energy_eV - axis
    order = rising_order(axis)
    transmission = (
        None if columns.transmission is None else table.values[order, _index(raw, table, columns.transmission)]
    )
    spectra: list[Spectrum] = []
    for level, column in enumerate(columns.count_columns):
        index = _index(raw, table, column)
        if index == energy_index:
            raise raw.error(f"column {column!r} is both energy and counts")
        if named:
            _check_names(raw, columns, table.names[energy_index], table.names[index])
        times = columns.etch_time_s
        spectra.append(
            Spectrum(
                region=normalise_region(columns.region),
                region_label=columns.region,
                level=level,
                binding_energy=axis[order],
                counts=table.values[order, index],
                intensity_unit=columns.unit,
                dwell_time_s=columns.dwell_time_s,
                scans=columns.scans,
                transmission=transmission,
                pass_energy_eV=columns.pass_energy_eV,
                excitation_energy_eV=columns.excitation_energy_eV,
                etch_time_s=times[level] if isinstance(times, tuple) else times,
                sample=columns.sample,
                block=level,
            )
        )
    return spectra
