"""The tables of energy losses: every edge along its scan."""

from __future__ import annotations

from collections.abc import Sequence

from layerscope.records import ResultRecord
from layerscope.runs.summary import Shown, SummaryTable, table

__all__ = ["CHANGE", "METHOD", "edge_tables"]

METHOD = "eels.edges"
CHANGE = {"edge.share": "edge.share_change", "edge.maximum": "edge.maximum_change"}
"""Of which quantities the difference to the reference is stated, and what it is called."""
_COLUMNS = {
    "edge.share": "pre-peak",
    "edge.share_change": "its change",
    "edge.maximum": "maximum",
    "edge.maximum_change": "its shift",
    "edge.white_line_ratio": "L3/L2",
    "edge.area": "area",
}
_NOTE = "Values are means over the ensemble of windows; differences to the reference are taken inside every member."


def edge_tables(records: Sequence[ResultRecord]) -> list[SummaryTable]:
    """Return one table an edge and scan, a row a place."""
    good = [r for r in records if r.method == METHOD and r.status != "failed"]
    tables: list[SummaryTable] = []
    for sample, series in dict.fromkeys((r.state.sample, r.state.series) for r in good):
        own = [r for r in good if (r.state.sample, r.state.series) == (sample, series)]
        edges = dict.fromkeys(q.component for r in own for q in r.quantities if q.component)
        for number, edge in enumerate(edges):
            there = {q.name for r in own for q in r.quantities if q.component == edge}
            columns = [Shown(n, head, components=(edge,)) for n, head in _COLUMNS.items() if n in there]
            title = f"{', '.join(part for part in (sample, series) if part)}: {edge}"
            rows = ("frame", "depth_nm")
            tables.append(table(own, rows, columns, title=title, note=_NOTE, headline=number == 0))
    return [made for made in tables if made.rows]
