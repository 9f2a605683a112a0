"""How tables look in a terminal and in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable

from layerscope.runs.summary import SummaryTable
from layerscope.runs.table_text import as_text

__all__ = ["html_of", "rows_of", "text_of"]

WIDTH = 100
MOST_ROWS = 24


def text_of(*tables: SummaryTable) -> str:
    """Return tables as text, long ones cut."""
    return "\n\n".join("\n".join(as_text(table, WIDTH, most_rows=MOST_ROWS)) for table in tables)


def html_of(*tables: SummaryTable) -> str:
    """Return tables as HTML, whole."""
    return "\n".join(map(_table, tables))


def rows_of(facts: Iterable[tuple[str, str]]) -> str:
    """Return names and what they stand for as a table of HTML."""
    rows = (f"<tr><th style='text-align:left'>{html.escape(k)}</th><td>{html.escape(v)}</td></tr>" for k, v in facts)
    return f"<table>{''.join(rows)}</table>"


def _table(table: SummaryTable) -> str:
    head = _row("th", table.columns)
    body = "".join(_row("td", row) for row in table.rows)
    note = f"<p>{html.escape(table.note)}</p>" if table.note else ""
    return f"<h5>{html.escape(table.title)}</h5><table><thead>{head}</thead><tbody>{body}</tbody></table>{note}"


def _row(tag: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
