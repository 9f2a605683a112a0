"""What the commands print: tables, where things lie, and what went wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from layerscope.runs.present import summary_tables
from layerscope.runs.summary import SummaryTable, failures_table

if TYPE_CHECKING:
    from layerscope.runs.doctor import Finding
    from layerscope.runs.execute import RunSummary
    from layerscope.runs.load import Run

__all__ = ["print_failures", "print_figures", "print_findings", "print_run", "print_tables", "warn"]

MOST_ROWS = 60
_WIDEST_UNBROKEN = 24
_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "missing": "yellow", "broken": "red"}


def _console() -> Console:
    # a pipe or a file has no width: never break a table for it
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=10_000)


def print_tables(tables: Iterable[SummaryTable], *, most_rows: int | None = MOST_ROWS) -> None:
    """Print tables.

    Parameters
    ----------
    tables : iterable of SummaryTable
        What to print; empty ones are left out.
    most_rows : int or None, optional
        Rows shown of each table; None for all.
    """
    console = _console()
    for table in tables:
        if not table.rows:
            continue
        shown = table.rows if most_rows is None else table.rows[:most_rows]
        console.print(Text(table.title, style="bold"))
        console.print(_rich_table(table, shown))
        if len(shown) < len(table.rows):
            console.print(f"... and {len(table.rows) - len(shown)} rows more (layerscope show --all)")
        if table.note:
            console.print(Text(table.note))
        console.print()


def _rich_table(table: SummaryTable, rows: Sequence[tuple[str, ...]]) -> Table:
    grid = Table(header_style="bold")
    for index, heading in enumerate(table.columns):
        cells = [row[index] for row in rows]
        # a number is never broken over two lines; long reasons are
        unbroken = min(max(map(len, [heading, *cells])), _WIDEST_UNBROKEN)
        grid.add_column(Text(heading), overflow="fold", min_width=unbroken, justify=_justify(cells))
    for row in rows:
        grid.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
    return grid


def _justify(cells: Sequence[str]) -> Literal["left", "right"]:
    numeric = [cell for cell in cells if cell]
    return "right" if numeric and all(cell[0] in "-+<>0123456789" for cell in numeric) else "left"


def print_failures(run: Run) -> None:
    """Print what was quarantined, if anything was."""
    table = failures_table(run.records)
    if table is not None:
        print_tables([table])


def print_run(summary: RunSummary, *, quiet: bool = False) -> None:
    """Print the end of a run: tables, where records and figures lie, and one line for each thing that failed.

    Parameters
    ----------
    summary : RunSummary
        What `execute` gave.
    quiet : bool, optional
        Only the lines about failures.
    """
    run = summary.run
    if not quiet:
        print_tables(summary_tables(run))
        print_places(summary)
    for record in summary.failed:
        problem = record.problem
        assert problem is not None  # noqa: S101
        source = problem.source or (record.inputs[0].path if record.inputs else record.state.sample)
        hint = f" ({problem.hint})" if problem.hint else ""
        sys.stdout.flush()
        sys.stderr.write(f"error: {source}: {problem.message}{hint}\n")
    warn(summary.warnings)


def print_places(summary: RunSummary) -> None:
    """Print how many records there are, and where everything lies."""
    counts = summary.run.info["counts"]
    console = _console()
    state = ", ".join(f"{counts[key]} {key}" for key in ("ok", "warning", "failed") if counts[key]) or "none"
    work = f"{summary.done} done now, {summary.reused} found done"
    console.print(Text(f"{counts['records']} records ({state}); tasks: {work}"))
    folder = summary.folder
    places = [("records", folder / "records"), ("table", folder / "quantities.parquet")]
    if summary.run.info["arrays"]:
        places.append(("arrays", folder / "arrays"))
    if counts["failed"]:
        places.append(("failures", folder / "quarantine.json"))
    for name, path in places:
        console.print(Text(f"  {name:<9}{path}"))
    print_figures(summary.run)


def print_figures(run: Run) -> None:
    """Print each figure once, with the endings of its files."""
    console = _console()
    figures: dict[Path, list[str]] = {}
    for path in run.figures:
        figures.setdefault(path.with_suffix(""), []).append(path.suffix.removeprefix("."))
    for stem, endings in figures.items():
        names = f"{stem}.{endings[0]}" if len(endings) == 1 else f"{stem}.{{{','.join(endings)}}}"
        console.print(Text(f"  {'figure':<9}{names}"))


def warn(warnings: Iterable[str]) -> None:
    """Print warnings to the error stream, one line each."""
    sys.stdout.flush()
    for warning in warnings:
        sys.stderr.write(f"warning: {' '.join(warning.split())}\n")


def print_findings(findings: Iterable[Finding]) -> None:
    """Print what ``doctor`` found."""
    rows = tuple((found.group, found.name, found.state, found.detail, found.hint) for found in findings)
    table = SummaryTable("layerscope doctor", ("kind", "name", "state", "found", "how to get it"), rows)
    print_tables([table], most_rows=None)
