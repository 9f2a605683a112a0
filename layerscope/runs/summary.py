"""Tables for people: made from records, shown by ``layerscope show`` and at the end of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from layerscope.records import Quantity, ResultRecord
from layerscope.records.formatting import format_limit

__all__ = ["SummaryTable", "failures_table", "long_table", "pivot_table", "record_sort_key", "sorted_records"]

_STATE_COLUMNS = {
    "sample": "sample",
    "region": "region",
    "cycle": "cycle",
    "step": "step",
    "frame": "frame",
    "voltage_V": "voltage / V",
    "capacity_mAh_g": "capacity / mAh/g",
    "elapsed_s": "time / s",
    "etch_time_s": "etch time / s",
    "depth_nm": "depth / nm",
    "temperature_K": "temperature / K",
}


@dataclass(frozen=True)
class SummaryTable:
    """A table of text: every cell is formatted as people write it.

    Attributes
    ----------
    title : str
        Shown above.
    columns : tuple of str
        Headings, with units.
    rows : tuple of tuple of str
        As many cells a row as there are columns.
    note : str
        Shown below; empty for none.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"table {self.title!r}: every row needs {len(self.columns)} cells")


def record_sort_key(record: ResultRecord) -> tuple[object, ...]:
    """Return the key that puts records into the order of an experiment: sample, region, cycle, frame, time, voltage."""
    state = record.state
    numbers = (
        state.cycle,
        state.frame,
        state.elapsed_s,
        state.voltage_V,
        state.etch_time_s,
        state.depth_nm,
        state.temperature_K,
    )
    ordered = tuple((value is not None, value or 0.0) for value in numbers)
    return (record.technique, state.sample, state.region or "", record.method, *ordered, record.record_id)


def sorted_records(records: Iterable[ResultRecord]) -> list[ResultRecord]:
    """Return the records in the order of an experiment."""
    return sorted(records, key=record_sort_key)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _used_columns(records: Sequence[ResultRecord]) -> list[str]:
    return [key for key in _STATE_COLUMNS if any(getattr(record.state, key) is not None for record in records)]


def long_table(records: Iterable[ResultRecord], title: str = "Quantities") -> SummaryTable:
    """Return a table with one row a quantity.

    Parameters
    ----------
    records : iterable of ResultRecord
        What to show; state columns that no record uses are left out.
    title : str, optional
        Title of the table.
    """
    ordered = sorted_records(records)
    state = _used_columns(ordered)
    rows = [
        (
            *(_cell(getattr(record.state, key)) for key in state),
            quantity.component or "",
            quantity.name,
            quantity.text(),
            quantity.unit,
            "fixed" if quantity.role == "fixed" else quantity.sigma_kind,
            record.status,
        )
        for record in ordered
        for quantity in record.quantities
    ]
    headings = (*(_STATE_COLUMNS[key] for key in state), "component", "quantity", "value", "unit", "error", "status")
    return SummaryTable(title, headings, tuple(rows))


def pivot_table(
    records: Iterable[ResultRecord],
    quantity: str,
    *,
    rows: str = "etch_time_s",
    title: str | None = None,
    components: Sequence[str] | None = None,
    note: str = "",
) -> SummaryTable:
    """Return a table of one quantity: a row for each value of a state variable, a column for each component.

    Parameters
    ----------
    records : iterable of ResultRecord
        Only those that hold the quantity are used.
    quantity : str
        Name in the vocabulary, e.g. ``species.fraction``.
    rows : str, optional
        Field of the sample state that numbers the rows, e.g. ``etch_time_s`` or ``voltage_V``.
    title : str, optional
        Title; the quantity's name when not given.
    components : sequence of str, optional
        Columns and their order; by default every component in the order of its first appearance.
    note : str, optional
        Shown below the table.

    Returns
    -------
    SummaryTable
        Empty where no record holds the quantity. Further state columns (sample, region, cycle, ...) appear where the
        records differ in them.
    """
    chosen = [record for record in sorted_records(records) if any(q.name == quantity for q in record.quantities)]
    found = dict.fromkeys(q.component or "" for record in chosen for q in record.quantities if q.name == quantity)
    columns = list(found) if components is None else list(components)
    apart = [key for key in _STATE_COLUMNS if key != rows and len({getattr(r.state, key) for r in chosen}) > 1]
    body = []
    for record in chosen:
        by_component = {q.component or "": q for q in record.quantities if q.name == quantity}
        state = (_cell(getattr(record.state, key)) for key in (*apart, rows))
        cells = (_short(by_component.get(column)) for column in columns)
        body.append((*state, *cells, record.status))
    if chosen and all(getattr(r.state, rows) is None for r in chosen):  # a single state needs no number for its row
        body = [(*row[: len(apart)], *row[len(apart) + 1 :]) for row in body]
        numbered: tuple[str, ...] = ()
    else:
        numbered = (rows,)
    headings = (
        *(_STATE_COLUMNS.get(key, key) for key in (*apart, *numbered)),
        *(_heading(column or quantity, column, quantity, chosen) for column in columns),
        "status",
    )
    return SummaryTable(
        title or quantity, headings, tuple(body), " ".join(filter(None, (note, _limit_note(chosen, quantity))))
    )


def _heading(text: str, component: str, quantity: str, records: Sequence[ResultRecord]) -> str:
    """Return a column's heading with the unit that its values have."""
    own = (q for r in records for q in r.quantities if q.name == quantity and (q.component or "") == component)
    unit = next((q.unit for q in own), "1")
    return text if unit == "1" else f"{text} / {unit}"


def _limit_note(records: Sequence[ResultRecord], quantity: str) -> str:
    """Say what the limits in a table mean."""
    levels = {q.limit_confidence for r in records for q in r.quantities if q.name == quantity and q.limit_confidence}
    return f"< is an upper limit at {100 * max(levels):g} % confidence: not detected." if levels else ""


def _short(quantity: Quantity | None) -> str:
    """Return a cell of a pivot: the value with its error, or the limit alone where nothing was detected."""
    if quantity is None:
        return ""
    if quantity.upper_limit is not None:
        limit = format_limit(upper_limit=quantity.upper_limit, limit_confidence=quantity.limit_confidence)
        return limit.partition(" (")[0]  # the confidence stands below the table
    return quantity.text()


def failures_table(records: Iterable[ResultRecord]) -> SummaryTable | None:
    """Return a table of what failed and why, or None when nothing did.

    Parameters
    ----------
    records : iterable of ResultRecord
        All records of a run.
    """
    failed = [record for record in sorted_records(records) if record.problem is not None and record.status == "failed"]
    if not failed:
        return None
    rows = []
    for record in failed:
        problem = record.problem
        assert problem is not None  # noqa: S101
        source = problem.source or (record.inputs[0].path if record.inputs else record.state.sample)
        rows.append((source, problem.kind, problem.message, problem.hint or ""))
    return SummaryTable("Quarantined", ("file", "kind", "reason", "hint"), tuple(rows))
