"""The phase-fraction table: what the records of a diffraction run say frame by frame, one row a frame.

Both pipelines of this wing write one record a frame with ``phase.fraction`` of every phase; tables, figures and CIF
files are made from these rows, never from the analysis itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layerscope.records import Quantity, ResultRecord
from layerscope.runs.summary import sorted_records

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FrameRow", "PhaseSeries", "collect_series", "number_columns"]

FRACTION, TOTAL, LAYER_FRACTION = "phase.fraction", "phase.total_fraction", "phase.layer_fraction"
EMPTY_IN_ALL = "empty in all"
"""Component of the share of layers that is that of empty interlayers, and of no phase."""

_SHORT = {
    FRACTION: "fraction",
    TOTAL: "total",
    "phase.area_fraction": "area_fraction",
    LAYER_FRACTION: "layer_fraction",
    "lattice.a": "a",
    "lattice.b": "b",
    "lattice.c": "c",
    "lattice.alpha": "alpha",
    "lattice.beta": "beta",
    "lattice.gamma": "gamma",
    "lattice.volume": "volume",
    "lattice.d_spacing": "d",
    "peak.position": "two_theta",
    "peak.fwhm": "fwhm",
    "peak.sample_fwhm": "sample_fwhm",
    "phase.crystallite_size": "size",
    "phase.microstrain": "microstrain",
}
"""Quantities of the table in the order of its columns, and what the columns are called."""
_SHARED = ("peak.fwhm", "peak.sample_fwhm")


@dataclass(frozen=True, eq=False)
class FrameRow:
    """One frame of a series.

    Attributes
    ----------
    record : ResultRecord
    frame : int or None
        Number in the series, from 0.
    voltage_V, elapsed_s : float or None
    quantities : mapping of (str, str) to Quantity
        By name and component; the component of none is ``""``.
    """

    record: ResultRecord
    frame: int | None
    voltage_V: float | None
    elapsed_s: float | None
    quantities: Mapping[tuple[str, str], Quantity]

    @property
    def flags(self) -> tuple[str, ...]:
        """What is suspicious about the fit."""
        return self.record.flags

    def merit(self, name: str) -> float | None:
        """Return ``rwp``, ``rexp`` or ``gof``: the first two are shares of one, as the record has them."""
        value = getattr(self.record.quality, name) if self.record.quality else None
        return None if value is None else float(value)


@dataclass(frozen=True, eq=False)
class PhaseSeries:
    """The frames of one series by one method.

    Attributes
    ----------
    name : str
        Name of the series' arrays, the first where patterns of several ranges lie in several; the sample's where a run
        has none.
    stems : tuple of str
        Names of all its arrays.
    sample, method : str
    rows : tuple of FrameRow
        In the order of the frames.
    summaries : tuple of ResultRecord
        Records of the whole series: onsets, ends, comparisons.
    """

    name: str
    stems: tuple[str, ...]
    sample: str
    method: str
    rows: tuple[FrameRow, ...]
    summaries: tuple[ResultRecord, ...]

    def components(self, name: str) -> tuple[str, ...]:
        """Return the components of a quantity, in the order of their first appearance along the series."""
        return tuple(dict.fromkeys(c for row in self.rows for n, c in row.quantities if n == name))

    @property
    def phases(self) -> tuple[str, ...]:
        """Phases in the order of the records: those with fractions, or with cells where intensities were extracted."""
        return self.components(FRACTION) or self.components("lattice.a")

    @property
    def parts(self) -> tuple[str, ...]:
        """What there are amounts of: the phases, or the stacks of layers of a series that was read so."""
        return self.phases or tuple(c for c in self.components(LAYER_FRACTION) if c != EMPTY_IN_ALL)


def _stems(record: ResultRecord) -> tuple[str, ...]:
    """Return the names of the arrays that a record refers to."""
    return tuple(dict.fromkeys(r.file.rpartition("/")[2].removesuffix(".nxs") for r in record.arrays))


def collect_series(records: Iterable[ResultRecord]) -> tuple[PhaseSeries, ...]:
    """Sort the records of a run into series.

    Parameters
    ----------
    records : iterable of ResultRecord
        Failed ones are left out: they hold no numbers.

    Returns
    -------
    tuple of PhaseSeries
        One a set of arrays and method; frames are the records with phase fractions or cells, and a number or none;
        everything else of the same sample is a summary.
    """
    frames: dict[tuple[str, tuple[str, ...], str], list[ResultRecord]] = {}
    others: list[ResultRecord] = []
    for record in sorted_records(records):
        if record.status == "failed":
            continue
        if any(q.name == FRACTION or q.name.startswith("lattice.") for q in record.quantities) and _is_frame(record):
            frames.setdefault((record.state.sample, _stems(record), record.method), []).append(record)
        else:
            others.append(record)
    found = []
    for (sample, stems, method), members in frames.items():
        ids = {record.record_id for record in members}
        own = tuple(r for r in others if _belongs(r, sample, stems, ids))
        shared = [q for record in own for q in record.quantities if q.name in _SHARED]
        rows = tuple(_row(record, shared) for record in members)
        found.append(PhaseSeries(stems[0] if stems else _safe(sample), stems, sample, method, rows, own))
    return tuple(found)


def _is_frame(record: ResultRecord) -> bool:
    """Tell whether it is one pattern: numbered in its series, or refined alone."""
    if record.state.frame is not None:
        return True
    return record.quality is not None and record.quality.rwp is not None and not record.parents


def _belongs(record: ResultRecord, sample: str, stems: tuple[str, ...], ids: set[str]) -> bool:
    if record.parents:
        return bool(ids & set(record.parents))
    return record.state.sample == sample and _stems(record) == stems


def _row(record: ResultRecord, shared: Sequence[Quantity]) -> FrameRow:
    """Make a row; what the frames of a series share, such as widths, goes to each frame that has the phase."""
    state = record.state
    here = {q.component for q in record.quantities if q.name == FRACTION and q.upper_limit is None}
    quantities = {(q.name, q.component or ""): q for q in shared if q.component in here}
    quantities |= {(q.name, q.component or ""): q for q in record.quantities}
    return FrameRow(record, state.frame, state.voltage_V, state.elapsed_s, quantities)


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.\-]+", "_", text).strip("_.-") or "series"


def _columns(series: Sequence[PhaseSeries]) -> list[tuple[str, str, str]]:
    """Return name, component and unit of every column, in order."""
    found: dict[tuple[str, str], str] = {}
    for name in _SHORT:
        for one in series:
            for component in one.components(name):
                unit = next(r.quantities[name, component].unit for r in one.rows if (name, component) in r.quantities)
                found.setdefault((name, component), unit)
    return [(name, component, unit) for (name, component), unit in found.items()]


def _head(name: str, component: str, unit: str) -> str:
    parts = (_SHORT[name], component.replace("'", "p"), "" if unit == "1" else unit)
    return "_".join(re.sub(r"[^A-Za-z0-9]+", "_", part).strip("_") for part in parts if part)


def number_columns(series: Sequence[PhaseSeries]) -> pa.Table:
    """Return the table for programs: one row a frame of all series, one column a number and one its standard error.

    Parameters
    ----------
    series : sequence of PhaseSeries

    Returns
    -------
    pyarrow.Table
        ``series``, ``sample``, ``method``, ``frame``, ``voltage_V``, ``elapsed_s``; then by quantity and phase
        ``fraction_IG``, ``fraction_IG_sigma`` and, where a phase was not detected, ``fraction_IG_upper_limit``; cells,
        spacings and widths with the unit in their names; ``rwp``, ``rexp`` (shares of one), ``gof``, ``flags``,
        ``status`` and ``record_id``. The field of a column carries unit and quantity as metadata.
    """
    import pyarrow as pa

    rows = [(one, row) for one in series for row in one.rows]
    fields: list[tuple[Any, list[Any]]] = []

    def add(name: str, kind: Any, values: list[Any], **metadata: str) -> None:
        fields.append((pa.field(name, kind, metadata=metadata or None), values))

    add("series", pa.string(), [one.name for one, _ in rows])
    add("sample", pa.string(), [one.sample for one, _ in rows])
    add("method", pa.string(), [one.method for one, _ in rows])
    add("frame", pa.int64(), [row.frame for _, row in rows])
    add("voltage_V", pa.float64(), [row.voltage_V for _, row in rows], unit="V")
    add("elapsed_s", pa.float64(), [row.elapsed_s for _, row in rows], unit="s")
    for name, component, unit in _columns(series):
        head = _head(name, component, unit)
        cells = [row.quantities.get((name, component)) for _, row in rows]
        about = {"unit": unit, "quantity": name, "component": component}
        add(head, pa.float64(), [None if q is None else q.value for q in cells], **about)
        add(f"{head}_sigma", pa.float64(), [None if q is None else q.sigma for q in cells], **about)
        if any(q is not None and q.upper_limit is not None for q in cells):
            levels = {q.limit_confidence for q in cells if q is not None and q.limit_confidence}
            limits = [None if q is None else q.upper_limit for q in cells]
            add(f"{head}_upper_limit", pa.float64(), limits, **about, confidence=f"{max(levels):g}")
    for merit in ("rwp", "rexp", "gof"):
        add(merit, pa.float64(), [row.merit(merit) for _, row in rows], unit="1")
    add("flags", pa.string(), [" ".join(row.flags) for _, row in rows])
    add("status", pa.string(), [row.record.status for _, row in rows])
    add("record_id", pa.string(), [row.record.record_id for _, row in rows])
    table = pa.Table.from_arrays(
        [pa.array(values, type=field.type) for field, values in fields],
        schema=pa.schema([field for field, _ in fields]),
    )
    twice = [name for name in table.column_names if table.column_names.count(name) > 1]
    assert not twice, twice  # noqa: S101 - names differ by quantity and component
    return table
