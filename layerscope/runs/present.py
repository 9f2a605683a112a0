"""Which tables a person sees for a run: those that each technique declares, a summary of them, and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from layerscope.errors import LayerscopeError
from layerscope.flags import FLAGS
from layerscope.installed import installed
from layerscope.records import ResultRecord
from layerscope.runs.pipeline import Pipeline, find_pipeline, pipeline_of
from layerscope.runs.summary import NUMBERS, Shown, SummaryTable, failures_table, long_table, sorted_records, table
from layerscope.runs.table_text import NO_BREAK, flag_names, wrapped

if TYPE_CHECKING:
    from layerscope.runs.load import Run

R = TypeVar("R", bound="Run")

__all__ = ["element_table", "narrowed", "overview", "quantity_tables", "summary_tables"]

_SHARES = ("species.fraction", "coordination.fraction")
TABLES_GROUP = "layerscope.tables"
"""Entry points of pipelines' tables by the pipeline's name: to show a run, what made it need not be loaded."""


def summary_tables(run: Run, pipelines: Mapping[str, Pipeline] | None = None) -> list[SummaryTable]:
    """Return the tables of a run.

    Parameters
    ----------
    run : Run
        The run, or a selection of it.
    pipelines : mapping, optional
        Pipelines that come before the installed ones.

    Returns
    -------
    list of SummaryTable
        Those of each technique's pipeline; a plain long table where the pipeline is not installed or its table fails.
        Last, what was quarantined.
    """
    by_pipeline: dict[tuple[str, str], list[ResultRecord]] = {}
    for record in run.records:
        if record.status != "failed":
            by_pipeline.setdefault((pipeline_of(record), record.technique), []).append(record)
    tables = []
    for (name, technique), records in by_pipeline.items():
        try:
            tables += list(_maker(name, pipelines)(records))
        except (LayerscopeError, KeyError, ValueError) as error:
            note = f"plain table, for the summary of pipeline {name!r} cannot be made: {error}"
            tables.append(replace(long_table(records, title=technique), note=note))
    failures = failures_table(run.records)
    return tables if failures is None else [*tables, failures]


def _maker(
    name: str, pipelines: Mapping[str, Pipeline] | None
) -> Callable[[Sequence[ResultRecord]], Sequence[SummaryTable]]:
    """Return what makes the tables of a pipeline: its entry point for tables where it has one, else the pipeline."""
    if name not in (pipelines or {}):
        point = installed(TABLES_GROUP).get(name)
        if point is not None:
            maker: Callable[[Sequence[ResultRecord]], Sequence[SummaryTable]] = point.load()
            return maker
    return find_pipeline(name, pipelines).summary


def narrowed(
    run: R,
    *,
    sample: str | None = None,
    region: str | None = None,
    kinds: Iterable[str] = (),
) -> R:
    """Return the run with fewer records; capitals and spaces do not matter.

    Parameters
    ----------
    run : Run
    sample, region : str, optional
        Name of the sample or region; a part of the name, where none is called so.
    kinds : iterable of str, optional
        Each the technique, the pipeline, the method or the status of the records.
    """
    for field, wanted in (("sample", sample), ("region", region)):
        if wanted is not None:
            names = {getattr(record.state, field) for record in run.records}
            called = {name for name in names if _plain(name) == _plain(wanted)}
            kept = called or {name for name in names if _plain(wanted) in _plain(name)}
            run = run.select(lambda r, field=field, kept=kept: getattr(r.state, field) in kept)  # type: ignore[misc]
    for kind in map(_plain, kinds):
        run = run.select(lambda r, k=kind: k in map(_plain, (r.technique, pipeline_of(r), r.method, r.status)))  # type: ignore[misc]
    return run


def _plain(text: str | None) -> str:
    return "".join((text or "").split()).casefold()


def quantity_tables(run: Run, *, component: str | None = None, quantity: str | None = None) -> list[SummaryTable]:
    """Return tables of chosen quantities for each sample, region and method, whatever the technique.

    Parameters
    ----------
    run : Run
        The run.
    component : str, optional
        Keep only this component; capitals and spaces do not matter.
    quantity : str, optional
        Keep only this name, or every name that begins with it, e.g. ``peak``.

    Returns
    -------
    list of SummaryTable
        Of a series a table a quantity, with a column a component; with a column a quantity where one component is
        chosen. Of a single record one table with a row a quantity.
    """
    chosen: dict[tuple[str, str, str], list[ResultRecord]] = {}
    for record in run.records:
        kept = tuple(
            item
            for item in record.quantities
            if (component is None or _plain(item.component) == _plain(component))
            and (quantity is None or item.name == quantity or item.name.startswith(f"{quantity}."))
        )
        if kept:
            group = (record.state.sample, record.state.region or "", record.method)
            chosen.setdefault(group, []).append(record.model_copy(update={"quantities": kept}))
    tables = []
    for group, records in chosen.items():
        title = ", ".join(filter(None, group))
        names = list(dict.fromkeys(q.name for record in records for q in record.quantities))
        if len(records) == 1:
            tables.append(long_table(records, title=title))
        elif component is not None:
            tables.append(table(records, NUMBERS, [Shown(name, name) for name in names], title=title))
        else:
            tables += [table(records, NUMBERS, [name], title=f"{title}: {name}") for name in names]
    return tables


def element_table(records: Iterable[ResultRecord], element: str) -> list[SummaryTable]:
    """Return what all techniques say of an element's atoms: one table, a row a technique and state of a sample.

    Parameters
    ----------
    records : iterable of ResultRecord
    element : str
        Symbol, with which the names of its regions begin: ``B`` of ``B 1s`` and ``B K``.

    Returns
    -------
    list of SummaryTable
        Shares of its species and coordinations; of a series of levels or frames the first one. Empty if there are none.
    """
    chosen: dict[tuple[object, ...], ResultRecord] = {}
    for record in sorted_records(records):
        shares = tuple(q for q in record.quantities if q.name in _SHARES)
        if shares and _plain((record.state.region or "").partition(" ")[0]) == _plain(element):
            key = (record.technique, record.state.sample, record.state.series, record.state.cycle, record.state.region)
            chosen.setdefault(key, record.model_copy(update={"quantities": shares}))
    if not chosen:
        return []
    columns = (Shown(lambda record: record.technique, "technique", kind="text"), *_SHARES)
    made = table(chosen.values(), ("sample", "region"), columns, title=f"{element} by technique")
    heads = [column.head for column in made.fields]
    for head in ("sample", "cycle"):  # rows of one state stand together
        at = heads.index(head) if head in heads else -1
        if at >= 0:
            made = made.in_order(lambda row, k=at: _ordered(row[k]))  # type: ignore[misc]
    return [made]


def _ordered(cell: object) -> tuple[float, str]:
    return (float(cell), "") if isinstance(cell, int | float) else (0.0, str(cell))


# --- the short summary -------------------------------------------------------------------------------------------


def overview(run: Run, tables: Sequence[SummaryTable], *, width: int, most: int) -> list[str]:
    """Return a short summary of a run: for each sample how its records stand, and what its headlines say.

    Parameters
    ----------
    run : Run
    tables : sequence of SummaryTable
        Its tables; those that are the headline of a sample are told by their first and last row.
    width, most : int
        Columns of the page, and lines that there may be.

    Returns
    -------
    list of str
        Where there are too many samples for their headlines, a line a sample, and how many are left out.
    """
    groups: dict[tuple[str, str], list[ResultRecord]] = {}
    for record in run.records:
        groups.setdefault((record.technique, record.state.sample), []).append(record)
    heads, lines = [], []
    for (technique, sample), records in groups.items():
        head = wrapped(f"{sample} ({technique}): {_states(records)}", width)
        gists = (gist for made in tables if made.headline == (technique, sample) for gist in _gists(made))
        heads += head
        lines += [*head, *(f"  {line}" for gist in gists for line in wrapped(gist, width - 2))]
    if len(lines) > most:
        lines = heads
    if len(lines) > most:
        lines = [*heads[: most - 1], f"... and {len(heads) - most + 1} more"]
    return lines


def _states(records: Sequence[ResultRecord]) -> str:
    """Say how many records are ok, and why others are not: ``40 ok, 1 warning (RESIDUAL_STRUCTURE)``."""
    states = Counter(record.status for record in records)
    warning = [record.flags for record in records if record.status == "warning"]
    names = dict.fromkeys(name for flags in warning for name in flag_names(flags))
    why = [name for name in names if name not in FLAGS or FLAGS[name].severity == "suspicious"]
    words = {"warning": f"warning ({', '.join(why)})"} if why else {}
    return ", ".join(f"{states[key]} {words.get(key, key)}" for key in ("ok", "warning", "failed") if states[key])


def _gists(table: SummaryTable) -> list[str]:
    """Return in words, for each series of a table, its first and last row, or the first value of each component."""
    key_of = {column.head: n for n, column in enumerate(table.fields) if column.kind == "key"}
    values = [n for n, column in enumerate(table.fields) if column.kind == "value" and column.quantity]
    series = next((key_of[head] for head in ("series", "file", "record") if head in key_of), None)
    names = dict.fromkeys("" if series is None else row[series] for row in table.rows)
    title = table.title.rpartition(": ")[2]
    gists = []
    for name in names if values else ():
        rows = [row for row in table.rows if series is None or row[series] == name]
        if "component" in key_of:
            told = [(row[key_of["component"]], values[0], [row[values[0]]]) for row in rows if row[values[0]]]
        else:
            ends = ((n, [row[n] for row in rows if row[n]]) for n in values)
            told = [(table.fields[n].head, n, [cells[0], *cells[1:][-1:]]) for n, cells in ends if cells]
        items = (f"{head} {' → '.join(cells)} {table.fields[n].unit_sign}".rstrip() for head, n, cells in told)
        what = ", ".join(filter(None, (name, title, table.fields[values[0]].head if "component" in key_of else "")))
        # what belongs together stays on one line
        gists.append(f"{what}: {', '.join(item.replace(' ', NO_BREAK) for item in items)}")
    return gists
