"""What the commands print: tables, where things lie, and what went wrong."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.errors import LayerscopeError, printable
from layerscope.runs.present import overview, summary_tables
from layerscope.runs.summary import SummaryTable, failures_table, words_table
from layerscope.runs.table_text import as_text, wrapped

if TYPE_CHECKING:
    from layerscope.runs.hooks import Finding
    from layerscope.runs.load import Run
    from layerscope.runs.outcome import RunSummary

__all__ = ["print_failures", "print_figures", "print_findings", "print_run", "print_tables", "warn"]

MOST_ROWS = 60
MOST_LINES = 60
"""Lines that the end of a run may take; beyond them there is a summary instead of the tables."""
PIPED_WIDTH = 100
_COLOUR = re.compile(r"(\x1b\[\d+m)")
_STYLES = {"ok": "32", "warning": "33", "failed": "31", "missing": "33", "broken": "31", "title": "1"}


_COLOURS = {"\x1b[0m", *(f"\x1b[{style}m" for style in _STYLES.values())}


def _page_width() -> int:
    """Return the width of the terminal, or of ``COLUMNS``; a pipe or a file has none, and is given a readable one."""
    return shutil.get_terminal_size((PIPED_WIDTH, 24)).columns


def _paint(text: str, kind: str) -> str:
    """Colour titles and states on a terminal."""
    style = _STYLES.get("title" if kind == "title" else text.strip())
    if style is None or not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return text
    return f"\x1b[{style}m{text}\x1b[0m"


def _say(lines: Iterable[str]) -> None:
    """Print lines; a sign that the terminal cannot show becomes a question mark, one that steers it is written out."""
    encoding = sys.stdout.encoding or "utf-8"
    for line in lines:
        plain = "".join(part if part in _COLOURS else printable(part) for part in _COLOUR.split(line))
        sys.stdout.write(plain.encode(encoding, "replace").decode(encoding) + "\n")


def print_tables(tables: Iterable[SummaryTable], *, whole: bool = False, form: str = "text") -> None:
    """Print tables, none wider than the page.

    Parameters
    ----------
    tables : iterable of SummaryTable
        What to print; empty ones are left out.
    whole : bool, optional
        Print every row.
    form : str, optional
        ``text``, or one of `layerscope.runs.table_formats.TABLE_FORMATS`, which is always whole.

    Raises
    ------
    LayerscopeError
        If there is no such form.
    """
    if form == "text":
        _say(_lines(tables, None if whole else MOST_ROWS))
        return
    from layerscope.runs.table_formats import TABLE_FORMATS

    if form not in TABLE_FORMATS:
        known = ", ".join(("text", *TABLE_FORMATS))
        raise LayerscopeError(f"unknown format {form!r}", source="--format", hint=f"one of {known}")
    sys.stdout.write(printable("\n".join(TABLE_FORMATS[form](table) for table in tables if table.rows)))


def _lines(tables: Iterable[SummaryTable], most_rows: int | None = MOST_ROWS) -> list[str]:
    return [
        line
        for table in tables
        if table.rows
        for line in (*as_text(table, _page_width(), most_rows=most_rows, paint=_paint), "")
    ]


def print_failures(run: Run) -> None:
    """Print what was quarantined, if anything was."""
    table = failures_table(run.records)
    if table is not None:
        print_tables([table])


def print_run(summary: RunSummary, *, quiet: bool = False) -> None:
    """Print the end of a run: tables or their summary, where records and figures lie, and a line for each failure.

    Parameters
    ----------
    summary : RunSummary
        What `execute` gave.
    quiet : bool, optional
        Only the lines about failures.
    """
    if not quiet:
        places = _places(summary)
        tables = summary_tables(summary.run)
        lines = _lines(tables)
        if len(lines) + len(places) > MOST_LINES:
            more = (
                "Every table, and of a series (→) every row: layerscope show"
                f" {summary.folder} (--sample, --region, --technique, --status; --all for every number)"
            )
            width, rest = _page_width(), wrapped(more, _page_width())
            most = MOST_LINES - len(places) - len(rest) - 1
            lines = [*overview(summary.run, tables, width=width, most=most), "", *rest]
        _say([*lines, *places])
    for record in summary.failed:
        problem = record.problem
        assert problem is not None  # noqa: S101
        source = problem.source or (record.inputs[0].path if record.inputs else record.state.sample)
        hint = f" ({problem.hint})" if problem.hint else ""
        sys.stdout.flush()
        sys.stderr.write(f"{printable(f'error: {source}: {problem.message}{hint}', keep='')}\n")
    warn(summary.warnings)


def _places(summary: RunSummary) -> list[str]:
    """Say how many records there are, and where everything lies."""
    counts = summary.run.info["counts"]
    state = ", ".join(f"{counts[key]} {key}" for key in ("ok", "warning", "failed") if counts[key]) or "none"
    work = f"{summary.done} done now, {summary.reused} found done"
    folder = summary.folder
    places = [("records", folder / "records"), ("table", folder / "quantities.parquet")]
    if summary.run.info["arrays"]:
        places.append(("arrays", folder / "arrays"))
    if counts["failed"]:
        places.append(("failures", folder / "quarantine.json"))
    figures = _figures(summary.run)
    return [
        f"{counts['records']} records ({state}); tasks: {work}",
        *(f"  {name:<9}{path}" for name, path in places),
        *(figures if len(figures) <= 3 else [f"  {'figures':<9}{folder / 'figures'} ({len(figures)})"]),
        *(f"  {'report':<9}{folder / file}" for file in summary.run.info.get("report", ())),
    ]


def print_figures(run: Run) -> None:
    """Print each figure once, with the endings of its files."""
    _say(_figures(run))


def _figures(run: Run) -> list[str]:
    figures: dict[Path, list[str]] = {}
    for path in run.figures:
        figures.setdefault(path.with_suffix(""), []).append(path.suffix.removeprefix("."))
    return [
        f"  {'figure':<9}{stem}.{endings[0]}" if len(endings) == 1 else f"  {'figure':<9}{stem}.{{{','.join(endings)}}}"
        for stem, endings in figures.items()
    ]


def warn(warnings: Iterable[str]) -> None:
    """Print warnings to the error stream, one line each."""
    sys.stdout.flush()
    for warning in warnings:
        sys.stderr.write(f"warning: {printable(' '.join(warning.split()))}\n")


def print_findings(findings: Sequence[Finding]) -> None:
    """Print what ``doctor`` found."""
    rows = [(found.group, found.name, found.state, found.detail, found.hint) for found in findings]
    print_tables(
        [words_table("layerscope doctor", ("kind", "name", "state", "found", "how to get it"), rows)], whole=True
    )
