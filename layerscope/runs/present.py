"""Which tables a person sees for a run: those that each technique's pipeline makes, and what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from layerscope.errors import LayerscopeError
from layerscope.records import ResultRecord
from layerscope.runs.pipeline import Pipeline, find_pipeline
from layerscope.runs.summary import SummaryTable, failures_table, long_table

if TYPE_CHECKING:
    from layerscope.runs.load import Run

__all__ = ["filtered_table", "pipeline_of", "summary_tables"]


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
        tables += _tables_of(technique, name, records, pipelines)
    failures = failures_table(run.records)
    return tables if failures is None else [*tables, failures]


def pipeline_of(record: ResultRecord) -> str:
    """Return the name of the pipeline that made a record; two pipelines may share a technique."""
    return str(record.recipe.get("pipeline") or record.technique)


def _tables_of(
    technique: str, name: str, records: Sequence[ResultRecord], pipelines: Mapping[str, Pipeline] | None
) -> list[SummaryTable]:
    try:
        return list(find_pipeline(name, pipelines).summary(records))
    except (LayerscopeError, KeyError, ValueError) as error:
        table = long_table(records, title=technique)
        note = f"plain table, for the summary of pipeline {name!r} cannot be made: {error}"
        return [SummaryTable(table.title, table.columns, table.rows, note)]


def filtered_table(
    run: Run,
    *,
    component: str | None = None,
    quantity: str | None = None,
    region: str | None = None,
) -> SummaryTable:
    """Return the long table of chosen quantities.

    Parameters
    ----------
    run : Run
        The run.
    component, region : str, optional
        Keep only this component, this region; capitals and spaces do not matter.
    quantity : str, optional
        Keep only this name, or every name that begins with it, e.g. ``peak``.
    """

    def plain(text: str | None) -> str:
        return "".join((text or "").split()).casefold()

    chosen = []
    for record in run.records:
        if region is not None and plain(record.state.region) != plain(region):
            continue
        kept = tuple(
            item
            for item in record.quantities
            if (component is None or plain(item.component) == plain(component))
            and (quantity is None or item.name == quantity or item.name.startswith(f"{quantity}."))
        )
        if kept:
            chosen.append(record.model_copy(update={"quantities": kept}))
    return long_table(chosen)
