"""A run for other programs and for papers: its tables, its arrays, and what a technique adds of its own."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.errors import LayerscopeError, StoreError, printable
from layerscope.runs.inside import plain_folders
from layerscope.runs.load import Run
from layerscope.runs.pipeline import Pipeline, find_pipeline, pipeline_of
from layerscope.runs.store import write_atomic
from layerscope.runs.table import COLUMNS, table_rows
from layerscope.runs.table_formats import TABLE_FORMATS, no_formula

if TYPE_CHECKING:
    from openpyxl import Workbook

    from layerscope.runs.summary import SummaryTable

__all__ = [
    "FORMATS",
    "Writer",
    "export_csv",
    "export_html",
    "export_latex",
    "export_markdown",
    "export_nexus",
    "export_run",
    "export_xlsx",
    "formats_of",
]

_MEASURED = 200
"""Rows of a sheet whose longest word decides how wide a column is."""
#: Writes a run, or the records of one pipeline, into a folder and returns the files.
Writer = Callable[[Run, Path], list[Path]]


def export_run(run: Run, format_name: str, folder: Path, pipelines: Mapping[str, Pipeline] | None = None) -> list[Path]:
    """Write a run in another format.

    Parameters
    ----------
    run : Run
        What to write.
    format_name : str
        One of `FORMATS`, or a format of a pipeline of the run; see `formats_of`.
    folder : Path
        Where to; made when missing.
    pipelines : mapping, optional
        Pipelines that come before the installed ones.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    LayerscopeError
        If the format is unknown, or no record of the run can be written in it.
    StoreError
        If a file cannot be written.
    """
    formats = formats_of(run, pipelines)
    if format_name not in formats:
        raise LayerscopeError(
            f"unknown format {format_name!r} for this run", source="--format", hint=f"one of {', '.join(formats)}"
        )
    if folder.parent == run.folder:
        plain_folders([folder])
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot be made: {error.strerror or error}", source=folder) from error
    written = formats[format_name](run, folder)
    if not written:
        raise LayerscopeError(f"nothing in this run can be written as {format_name!r}", source=run.folder)
    return written


def formats_of(run: Run, pipelines: Mapping[str, Pipeline] | None = None) -> dict[str, Writer]:
    """Return the formats that a run can be written in.

    A pipeline adds its own by a method ``exports()`` that returns a mapping of names to writers; each is given the
    records of that pipeline that did not fail. Formats of the core come first and cannot be replaced.

    Parameters
    ----------
    run : Run
    pipelines : mapping, optional
        Pipelines that come before the installed ones.

    Returns
    -------
    dict of str to callable
        A pipeline that is not installed adds nothing.
    """
    own: dict[str, list[tuple[str, Writer]]] = {}
    for name in sorted({pipeline_of(record) for record in run.records}):
        try:
            pipeline = find_pipeline(name, pipelines)
        except LayerscopeError:
            continue
        offered = getattr(pipeline, "exports", None)
        for format_name, writer in (offered() if offered is not None else {}).items():
            if format_name not in FORMATS:
                own.setdefault(format_name, []).append((name, writer))
    return FORMATS | {format_name: _joined(writers) for format_name, writers in own.items()}


def _joined(writers: Sequence[tuple[str, Writer]]) -> Writer:
    """Return a writer that lets each pipeline write its own records."""

    def write(run: Run, folder: Path) -> list[Path]:
        files: list[Path] = []
        for name, writer in writers:
            chosen = run.of_pipeline(name)
            files += writer(chosen, folder) if chosen.records else []
        return files

    return write


def export_csv(run: Run, folder: Path) -> list[Path]:
    """Write ``quantities.csv``: UTF-8, comma, point, one row a quantity; numbers read back the same.

    A name that a spreadsheet would take for a formula begins with an apostrophe.
    """
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    for row in table_rows(run.records):
        writer.writerow({key: "" if value is None else no_formula(value) for key, value in row.items()})
    path = folder / "quantities.csv"
    write_atomic(path, stream.getvalue().encode())
    return [path]


def export_xlsx(run: Run, folder: Path) -> list[Path]:
    """Write ``quantities.xlsx``: the long table, then each table of the report, in numbers.

    The name of a sheet holds 31 signs: the last sheet lists them all with their whole titles and notes.
    """
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    _add_sheet(book, "quantities", list(COLUMNS), [list(row.values()) for row in table_rows(run.records)])
    names = {"quantities", "contents"}
    contents = [("quantities", "every quantity of every record", "")]
    for table in _tables(run):
        name = _sheet_name(table.title, names)
        names.add(name)
        contents.append((name, table.title, table.note))
        columns = list(table.numbers())
        rows = list(zip(*(values for _, values in columns), strict=True))
        _add_sheet(book, name, [heading for heading, _ in columns], rows)
    _add_sheet(book, "contents", ["sheet", "title", "note"], contents)
    buffer = io.BytesIO()
    book.save(buffer)
    path = folder / "quantities.xlsx"
    write_atomic(path, buffer.getvalue())
    return [path]


def export_markdown(run: Run, folder: Path) -> list[Path]:
    """Write ``tables.md``: each table of the report, whole."""
    return _written(run, folder / "tables.md", "markdown")


def export_latex(run: Run, folder: Path) -> list[Path]:
    """Write ``tables.tex``: each table of the report, with the rules of booktabs."""
    return _written(run, folder / "tables.tex", "latex")


def export_html(run: Run, folder: Path) -> list[Path]:
    """Write ``tables.html``: each table of the report, for a word processor to open."""
    tables = _tables(run)
    head = '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>Tables</title></head>\n<body>\n'
    path = folder / "tables.html"
    if tables:
        body = "\n".join(TABLE_FORMATS["html"](table) for table in tables)
        write_atomic(path, f"{head}{body}</body>\n</html>\n".encode())
    return [path] if tables else []


def _tables(run: Run) -> list[SummaryTable]:
    from layerscope.report import report_tables

    return report_tables(run)


def _written(run: Run, path: Path, form: str) -> list[Path]:
    tables = _tables(run)
    if tables:
        write_atomic(path, "\n".join(TABLE_FORMATS[form](table) for table in tables).encode())
    return [path] if tables else []


def _add_sheet(book: Workbook, name: str, columns: list[str], rows: Sequence[Sequence[str | float | None]]) -> None:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    sheet = book.create_sheet(name)
    sheet.freeze_panes = "A2"
    for place, column in enumerate(columns):
        longest = max((len(str(row[place])) for row in rows[:_MEASURED] if isinstance(row[place], str)), default=8)
        sheet.column_dimensions[get_column_letter(place + 1)].width = min(60, max(len(column), longest) + 2)
    heading = []
    for column in columns:
        cell = WriteOnlyCell(sheet, value=column)
        cell.font = Font(bold=True)
        heading.append(cell)
    sheet.append(heading)
    for row in rows:
        cells = []
        for value in row:
            cell = WriteOnlyCell(sheet, value=printable(value) if isinstance(value, str) else value)
            if isinstance(value, str):
                cell.data_type = "s"  # a name that begins with "=" is text, not a formula
            cells.append(cell)
        sheet.append(cells)


def _sheet_name(title: str, taken: set[str]) -> str:
    """Return a sheet name Excel accepts: no special signs, at most 31 characters, not taken."""
    base = "".join(" " if sign in r"[]:*?/\'" else sign for sign in title).strip()[:31] or "table"
    name, number = base, 2
    while name.casefold() in {other.casefold() for other in taken}:
        name = f"{base[: 31 - len(str(number)) - 1]} {number}"
        number += 1
    return name


def export_nexus(run: Run, folder: Path) -> list[Path]:
    """Copy the NeXus files of the run, of each series and of what is no series."""
    written = []
    for source in (*map(run.arrays.file, run.arrays), *map(run.grids.file, run.grids)):
        try:
            content = source.read_bytes()
        except OSError as error:
            raise StoreError(f"cannot be read: {error.strerror or error}", source=source) from error
        write_atomic(folder / source.name, content)
        written.append(folder / source.name)
    return written


def export_ro_crate(run: Run, folder: Path) -> list[Path]:
    """Write ``ro-crate/``, see `layerscope.runs.crate`."""
    from layerscope.runs.crate import export_crate

    return export_crate(run, folder)


FORMATS: dict[str, Writer] = {
    "csv": export_csv,
    "xlsx": export_xlsx,
    "nexus": export_nexus,
    "markdown": export_markdown,
    "latex": export_latex,
    "html": export_html,
    "ro-crate": export_ro_crate,
}
"""Formats that every run can be written in."""
