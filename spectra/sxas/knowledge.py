"""What this technique can look up: edges with the ranges that define numbers at them, and lines with sources."""

from __future__ import annotations

from collections.abc import Sequence

from layerscope.runs.summary import Column, SummaryTable, words_table

from .assignments import known_lines
from .edges import Range, load_edges

__all__ = ["edges"]


def edges(words: Sequence[str]) -> SummaryTable:
    """Return edges and the lines that are known at them.

    Parameters
    ----------
    words : sequence of str
        Words that all occur in a row: ``O K``, ``carbonate``, ...
    """
    rows = []
    for edge in load_edges().values():
        ranges = f"before {_span(edge.pre_eV)}, area {_span(edge.area_eV)}, after {_span(edge.post_eV)}"
        rows.append((edge.name, f"{edge.edge_eV:g}", f"edge; {ranges}", f"{edge.source}; ranges: {edge.ranges}"))
        lines = [line for line in known_lines() if line.edge == edge.name]
        rows += [(one.edge, _span(one.range_eV), one.species, f"{one.source} ({one.status})") for one in lines]
    chosen = [row for row in rows if all(word.casefold() in " ".join(row).casefold() for word in words)]
    columns = (
        Column("edge", kind="key"),
        Column("energy", "eV"),
        Column("what it is", kind="text"),
        Column("source", kind="text"),
    )
    return words_table("Edges", columns, chosen, note="Ranges are definitions; a recipe can state others.")


def _span(limits: Range) -> str:
    return f"{limits[0]:g}–{limits[1]:g}"
