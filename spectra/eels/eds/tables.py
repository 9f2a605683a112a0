"""The tables of X-ray spectra: counts of lines, and ratios of elements, along their scan."""

from __future__ import annotations

from collections.abc import Sequence

from layerscope.records import ResultRecord
from layerscope.runs.summary import Shown, SummaryTable, table

__all__ = ["COUNTS", "METHOD", "RATIO", "line_tables"]

METHOD = "eds.lines"
COUNTS, RATIO = "peak.net_area", "composition.atomic_ratio"
_NOTE = "Counts are those of the strongest line of each shell; ratios are those of a thin sample, without absorption."


def line_tables(records: Sequence[ResultRecord]) -> list[SummaryTable]:
    """Return the counts along every scan, the ratios, and what all places give together."""
    good = [r for r in records if r.method in (METHOD, "eds.scan") and r.status != "failed"]
    tables: list[SummaryTable] = []
    for sample, series in dict.fromkeys((r.state.sample, r.state.series) for r in good):
        own = [r for r in good if (r.state.sample, r.state.series) == (sample, series)]
        places, whole = [r for r in own if r.method == METHOD], [r for r in own if r.method != METHOD]
        name, rows = ", ".join(part for part in (sample, series) if part), ("frame", "depth_nm")
        for what, title in ((COUNTS, "net counts"), (RATIO, "atomic ratios")):
            tables.append(table(places, rows, (Shown(what),), title=f"{name}: {title}", note=_NOTE))
        total = (Shown(COUNTS, "net counts"),)
        tables.append(table(whole, ("component",), total, title=f"{name}: all places together", headline=True))
    return [made for made in tables if made.rows]
