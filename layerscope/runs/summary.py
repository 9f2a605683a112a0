"""Tables of results: `table` turns records into rows and columns; every table of a run is declared with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from layerscope.records import Quantity, ResultRecord
from layerscope.records.formatting import format_confidence
from layerscope.runs.columns import Cell, Column, SummaryTable, words_table

__all__ = [
    "NUMBERS",
    "Cell",
    "Column",
    "Shown",
    "SummaryTable",
    "failures_table",
    "long_table",
    "merits",
    "record_sort_key",
    "records_table",
    "sorted_records",
    "table",
    "words_table",
]

#: Fields of the sample state that may number rows: how they are called, and their unit.
_STATE = {
    "sample": ("sample", ""),
    "series": ("series", ""),
    "region": ("region", ""),
    "cycle": ("cycle", ""),
    "step": ("step", ""),
    "frame": ("frame", ""),
    "voltage_V": ("voltage", "V"),
    "capacity_mAh_g": ("capacity", "mAh/g"),
    "elapsed_s": ("time", "s"),
    "etch_time_s": ("etch time", "s"),
    "depth_nm": ("depth", "nm"),
    "angle_deg": ("angle", "deg"),
    "temperature_K": ("temperature", "K"),
}
_NAMES = ("sample", "series", "region", "cycle", "step")
"""Fields that say which series a row is of."""
NUMBERS = tuple(name for name in _STATE if name not in _NAMES)
"""Fields that say where in its series a row stands."""
ANY = "*"
"""The quantity of a row, whatever its name, in a table with a row a quantity."""


# --- the order of records ----------------------------------------------------------------------------------------


def record_sort_key(record: ResultRecord) -> tuple[object, ...]:
    """Return the key that puts records into the order of an experiment.

    Technique, sample, series, region and method come first, then cycle, frame, time, voltage, etching and depth.
    """
    state = record.state
    numbers = (
        state.cycle,
        state.frame,
        state.elapsed_s,
        state.voltage_V,
        state.etch_time_s,
        state.depth_nm,
        state.angle_deg,
        state.temperature_K,
    )
    ordered = tuple((value is not None, value or 0.0) for value in numbers)
    names = (state.sample, state.series or "", state.region or "")
    return (record.technique, *names, record.method, *ordered, record.record_id)


def sorted_records(records: Iterable[ResultRecord]) -> list[ResultRecord]:
    """Return the records in the order of an experiment."""
    return sorted(records, key=record_sort_key)


# --- the one maker of tables -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """A column as it is asked for: a quantity, one column a component, or something of the record itself.

    Attributes
    ----------
    what : str or callable
        Name of a quantity, or what to show of a record.
    head : str
        What the column is called; ``{}`` stands for the component.
    held : bool
        Whether to show it although every value was held at a number.
    components : tuple of str, optional
        Columns and their order; by default every component in the order of its first appearance.
    cell : callable, optional
        What to show of the quantity; the quantity itself by default.
    kind, unit, digits
        As in `Column`; the unit of a quantity is its own.
    """

    what: str | Callable[[ResultRecord], Cell]
    head: str = "{}"
    held: bool = True
    components: tuple[str, ...] | None = None
    cell: Callable[[Quantity], Cell] | None = None
    kind: Literal["value", "text"] = "value"
    unit: str = ""
    digits: int | None = None


@dataclass(frozen=True)
class _Row:
    """A row in the making: its record, and the quantities that may stand in it by name and component."""

    record: ResultRecord
    quantities: Mapping[tuple[str, str], Quantity]
    component: str = ""
    quantity: str = ""


def table(
    records: Iterable[ResultRecord],
    rows: Sequence[str],
    columns: Iterable[str | Shown],
    *,
    title: str,
    note: str = "",
    by_component: bool = False,
    headline: bool = False,
) -> SummaryTable:
    """Return a table of records.

    Parameters
    ----------
    records : iterable of ResultRecord
        A record that holds nothing of what is asked for gives no row.
    rows : sequence of str
        What tells rows apart: fields of the sample state, such as ``etch_time_s``; with ``component`` among them there
        is a row for each component of a record, with ``quantity`` one for each of its quantities. What no record has
        is left out. Sample, series, region, cycle and step appear by themselves where they differ, and so does the
        file where rows would look alike without it.
    columns : iterable of str or Shown
        Names of quantities, or columns described in full. What no record has is left out; components go across
        unless they number the rows. Values of different units never share a column.
    title, note : str
        Shown above and below. What a limit means is said below by itself.
    by_component : bool, optional
        Put all columns of one component side by side.
    headline : bool, optional
        Whether the table stands for its sample in the short summary of a run.

    Returns
    -------
    SummaryTable
        Status and flags stand at the end of every row.
    """
    shown = [Shown(column) if isinstance(column, str) else column for column in columns]
    parts = [part for record in sorted_records(records) for part in _rows(record, rows, shown)]
    values = [made for one in shown for made in _values(one, parts)]
    if any(column.quantity for column, _ in values):
        kept = [
            n for n in range(len(parts)) if any(column.quantity and cells[n] is not None for column, cells in values)
        ]
        parts = [parts[n] for n in kept]
        values = [(column, [cells[n] for n in kept]) for column, cells in values]
    keys = _keys(parts, rows)
    if by_component:
        order = list(dict.fromkeys(column.component for column, _ in values if column.component))
        values.sort(key=lambda made: order.index(made[0].component) if made[0].component else len(order))
    both = [*keys, *values]
    body = [(part.record, tuple(cells[number] for _, cells in both)) for number, part in enumerate(parts)]
    return records_table(title, [column for column, _ in both], body, note=note, headline=headline)


def records_table(
    title: str,
    columns: Sequence[Column],
    rows: Sequence[tuple[ResultRecord, tuple[Cell, ...]]],
    *,
    note: str = "",
    headline: bool = False,
) -> SummaryTable:
    """Return a table of cells that are made already, with names that tell rows apart, status and flags.

    Parameters
    ----------
    title : str
    columns : sequence of Column
    rows : sequence of (ResultRecord, tuple of cells)
        What a row is about, and its cells.
    note : str, optional
    headline : bool, optional
        As in `table`; of the first row's sample.
    """
    columns, rows = _named_apart(list(columns), rows)
    flagged = any(record.flags for record, _ in rows)
    end = [Column("status", kind="status"), *([Column("flags", kind="flags")] if flagged else [])]
    body = []
    for record, cells in rows:
        flags = (record.flags,) if flagged else ()
        body.append((*cells, record.status, *flags))
    limits = {c.limit_confidence for row in body for c in row if isinstance(c, Quantity) and c.limit_confidence}
    meaning = f"< is an upper limit at {format_confidence(max(limits))} confidence: not detected." if limits else ""
    below = " ".join(filter(None, (note, meaning)))
    first = rows[0][0] if rows and headline else None
    stands_for = None if first is None else (first.technique, first.state.sample)
    return SummaryTable(title, (*columns, *end), tuple(body), below, stands_for, tuple(r.record_id for r, _ in rows))


def _rows(record: ResultRecord, rows: Sequence[str], shown: Sequence[Shown]) -> list[_Row]:
    """Return the rows of a record: one, one a component, or one a quantity."""
    names = {one.what for one in shown if isinstance(one.what, str)}
    wanted = [q for q in record.quantities if ANY in names or q.name in names]
    if not wanted and names:
        return []
    if "quantity" in rows:
        return [_Row(record, {(ANY, ""): q}, q.component or "", q.name) for q in wanted]
    if "component" in rows:
        parts: dict[str, dict[tuple[str, str], Quantity]] = {}
        for q in wanted:
            parts.setdefault(q.component or "", {})[q.name, ""] = q
        return [_Row(record, quantities, component) for component, quantities in parts.items()]
    return [_Row(record, {(q.name, q.component or ""): q for q in wanted})]


def _keys(parts: Sequence[_Row], rows: Sequence[str]) -> list[tuple[Column, list[Cell]]]:
    """Return the columns that number the rows, those first that say which series a row is of."""
    apart = [
        name for name in _NAMES if name not in rows and len({getattr(part.record.state, name) for part in parts}) > 1
    ]
    found = []
    for name in (*apart, *rows):
        if name in _STATE:
            cells: list[Cell] = [getattr(part.record.state, name) for part in parts]
            head, unit = _STATE[name]
        else:
            cells, head, unit = [getattr(part, name) for part in parts], name, ""
        if any(cell not in (None, "") for cell in cells):
            found.append((Column(head, unit, "key"), cells))
    return found


def _values(one: Shown, parts: Sequence[_Row]) -> list[tuple[Column, list[Cell]]]:
    """Return the columns of what is asked for: one for each component and unit, or one of the records."""
    if not isinstance(one.what, str):
        cells = [one.what(part.record) for part in parts]
        column = Column(one.head, one.unit, one.kind, digits=one.digits)
        return [(column, cells)] if any(cell is not None for cell in cells) else []
    found: dict[str, dict[str, list[Quantity | None]]] = {component: {} for component in one.components or ()}
    for number, part in enumerate(parts):
        for (name, component), quantity in part.quantities.items():
            if name == one.what and (one.components is None or component in one.components):
                unit = "" if quantity.unit == "1" or name == ANY or one.cell is not None else quantity.unit
                units = found.setdefault(component, {})
                units.setdefault(unit, [None] * len(parts))[number] = quantity
    return [
        _quantity_column(one, component, unit, quantities)
        for component, units in found.items()
        for unit, quantities in (units or {"": [None] * len(parts)}).items()
        if one.held or any(q is not None and q.role != "fixed" for q in quantities)
    ]


def _quantity_column(
    one: Shown, component: str, unit: str, quantities: Sequence[Quantity | None]
) -> tuple[Column, list[Cell]]:
    assert isinstance(one.what, str)  # noqa: S101 - a function of the record has no components
    head = one.head.replace("{}", component) if component else one.head.replace("{}", "").strip(" :()")
    column = Column(head or one.what, unit or one.unit, one.kind, one.what, component, one.digits)
    return column, [q if one.cell is None or q is None else one.cell(q) for q in quantities]


def _named_apart(
    columns: list[Column], rows: Sequence[tuple[ResultRecord, tuple[Cell, ...]]]
) -> tuple[list[Column], Sequence[tuple[ResultRecord, tuple[Cell, ...]]]]:
    """Put the name of the file, the series or the record before rows that would look alike without it."""
    keys = [number for number, column in enumerate(columns) if column.kind == "key"]

    def alike(names: Sequence[str]) -> bool:
        seen = {(name, *(cells[k] for k in keys)) for name, (_, cells) in zip(names, rows, strict=True)}
        return len(seen) < len(rows)

    if not alike([""] * len(rows)):
        return columns, rows
    ways: tuple[tuple[str, Callable[[ResultRecord], str]], ...] = (
        ("file", _file),
        ("series", _series),
        ("record", lambda record: record.record_id[:8]),
    )
    telling = [(head, names) for head, name_of in ways if not alike(names := [name_of(record) for record, _ in rows])]
    if not telling:
        return columns, rows
    # a file of its own for each frame says less than the name of their series
    head, names = next((way for way in telling if len(set(way[1])) < len(rows)), telling[0])
    named = sorted(zip(names, rows, strict=True), key=lambda pair: pair[0])
    return [Column(head, kind="key"), *columns], [(record, (name, *cells)) for name, (record, cells) in named]


def _file(record: ResultRecord) -> str:
    return record.inputs[0].path if record.inputs else ""


def _series(record: ResultRecord) -> str:
    return PurePosixPath(record.arrays[0].file).stem if record.arrays else ""


def merits() -> tuple[Shown, ...]:
    """Return the columns of the agreement of a profile: Rwp and Rexp in per cent, and their ratio."""

    def merit(name: str, scale: float) -> Callable[[ResultRecord], Cell]:
        def value(record: ResultRecord) -> Cell:
            found = getattr(record.quality, name) if record.quality else None
            return None if found is None else scale * float(found)

        return value

    return (
        Shown(merit("rwp", 100.0), "Rwp", unit="%", digits=2),
        Shown(merit("rexp", 100.0), "Rexp", unit="%", digits=2),
        Shown(merit("gof", 1.0), "gof", digits=2),
    )


def long_table(records: Iterable[ResultRecord], title: str = "Quantities") -> SummaryTable:
    """Return a table with one row a quantity.

    Parameters
    ----------
    records : iterable of ResultRecord
        What to show; fields of the state that no record has are left out.
    title : str, optional
        Title of the table.
    """
    records = list(records)
    columns = [Shown(ANY, "value"), Shown(ANY, "unit", cell=lambda q: q.unit)]
    if any(q.intervals() for record in records for q in record.quantities):
        columns.append(Shown(ANY, "intervals", cell=lambda q: q.intervals()))
    return table(records, (*NUMBERS, "component", "quantity"), columns, title=title)


def failures_table(records: Iterable[ResultRecord]) -> SummaryTable | None:
    """Return a table of what failed and why, or None when nothing did.

    Parameters
    ----------
    records : iterable of ResultRecord
        All records of a run.
    """
    rows = []
    for record in sorted_records(records):
        problem = record.problem
        if problem is not None and record.status == "failed":
            source = problem.source or _file(record) or record.state.sample
            rows.append((source, problem.kind, problem.message, problem.hint or ""))
    return words_table("Quarantined", ("file", "kind", "reason", "hint"), rows) if rows else None
