"""What ``layerscope export`` writes of a diffraction run: the phase-fraction table, powder CIF, and NXmonopd patterns.

The pipelines of this wing hand out `FORMATS` from their method ``exports()``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from layerscope.runs.store import write_atomic

from .figure_data import SeriesView, collect_views
from .phase_table import PhaseSeries, TextTable, collect_series, number_columns, text_table

if TYPE_CHECKING:
    from layerscope.runs.load import Run

__all__ = ["FORMATS", "export_latex", "export_markdown", "export_monopd", "export_pdcif", "export_phases"]

_LONG = 45
"""Rows beyond which a LaTeX table breaks over pages."""
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "′": r"$'$",
    "–": "--",
    "Å": r"\AA{}",
    "°": r"$^\circ$",
    "³": r"$^3$",
    "β": r"$\beta$",
}


def _with_phases(run: Run) -> dict[str, list[PhaseSeries]]:
    """Return the series that have phase fractions, by pipeline."""
    found: dict[str, list[PhaseSeries]] = {}
    for series in collect_series(run.records):
        if series.phases:
            found.setdefault(series.method.partition(".")[0], []).append(series)
    return found


def export_phases(run: Run, folder: Path) -> list[Path]:
    """Write ``phase_fractions_<pipeline>.parquet`` and ``.csv``: one row a frame, numbers with their standard errors.

    Parameters
    ----------
    run : Run
        Only its records are used.
    folder : Path
        Must exist.

    Returns
    -------
    list of Path
        Empty where no record has a phase fraction.
    """
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    written = []
    for pipeline, series in _with_phases(run).items():
        table = number_columns(series)
        stem = folder / f"phase_fractions_{pipeline}"
        parquet, text = io.BytesIO(), io.BytesIO()
        pq.write_table(table, parquet, compression="zstd")
        pc.write_csv(table, text, pc.WriteOptions(quoting_style="needed"))
        for ending, buffer in (("parquet", parquet), ("csv", text)):
            path = stem.with_name(f"{stem.name}.{ending}")
            write_atomic(path, buffer.getvalue())
            written.append(path)
    return written


def export_markdown(run: Run, folder: Path) -> list[Path]:
    """Write ``phase_fractions_<pipeline>.md``: a table a series, values as ``0.123(4)``; files as `export_phases`."""
    return _printed(run, folder, "md", _markdown, "\n\n")


def export_latex(run: Run, folder: Path) -> list[Path]:
    """Write ``phase_fractions_<pipeline>.tex``: a table a series with the rules of booktabs, for a paper's source."""
    return _printed(run, folder, "tex", _latex, "\n\n")


def _printed(run: Run, folder: Path, ending: str, write: Callable[[TextTable], str], between: str) -> list[Path]:
    written = []
    for pipeline, series in _with_phases(run).items():
        path = folder / f"phase_fractions_{pipeline}.{ending}"
        write_atomic(path, (between.join(write(text_table(one)) for one in series) + "\n").encode())
        written.append(path)
    return written


def _markdown(table: TextTable) -> str:
    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(cell.replace("\\", "\\\\").replace("|", "\\|") for cell in cells) + " |"

    rule = tuple("---" if head == "flags" else "---:" for head in table.columns)
    rows = [line(table.columns), line(rule), *(line(row) for row in table.rows)]
    title = table.title.replace("\n", " ")
    return "\n".join([f"**{title}**", "", *rows, "", table.note])


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)


def _latex(table: TextTable) -> str:
    """Return a table with the rules of booktabs; a long one breaks over pages (package longtable)."""
    columns = "".join("l" if head == "flags" else "r" for head in table.columns)
    head = " & ".join(map(_latex_text, table.columns)) + r" \\"
    rows = [" & ".join(map(_latex_text, row)) + r" \\" for row in table.rows]
    caption = f"{_latex_text(table.title)}. {_latex_text(table.note)}"
    if len(rows) > _LONG:
        start = [f"\\begin{{longtable}}{{{columns}}}", f"\\caption{{{caption}}}\\\\"]
        frame = [r"\toprule", head, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot"]
        return "\n".join([r"% needs \usepackage{booktabs,longtable}", *start, *frame, *rows, r"\end{longtable}"])
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            rf"\caption{{{caption}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            head,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def _views_by_stem(run: Run) -> dict[str, SeriesView]:
    """Return the views of a run by a file name that no two share: two methods may rest on the same arrays."""
    views = [view for view in collect_views(run) if view.series.phases]
    stems = [view.series.name for view in views]
    return {
        name if stems.count(name) == 1 else f"{name}_{view.series.method.replace('.', '_')}": view
        for name, view in zip(stems, views, strict=True)
    }


def export_pdcif(run: Run, folder: Path) -> list[Path]:
    """Write ``<series>.cif``: powder CIF, one data block a pattern.

    Raises
    ------
    StoreError
        If arrays of the run are missing or damaged.
    """
    from .pdcif_export import pdcif_text

    written = []
    for stem, view in _views_by_stem(run).items():
        path = folder / f"{stem}.cif"
        write_atomic(path, pdcif_text(view).encode("ascii"))
        written.append(path)
    return written


def export_monopd(run: Run, folder: Path) -> list[Path]:
    """Write ``<series>_monopd.nxs``: patterns with their fit as NXmonopd, one entry a pattern.

    Raises
    ------
    StoreError
        If arrays of the run are missing or damaged.
    """
    from layerscope.runs.nexus_monopd import write_monopd

    written: list[Path] = []
    for name in run.arrays:
        series = run.arrays[name].load()
        if series.axis_name == "two_theta":
            path = folder / f"{name}_monopd.nxs"
            write_monopd(path, series)
            written.append(path)
    return written


FORMATS: Mapping[str, Callable[[Run, Path], list[Path]]] = MappingProxyType(
    {
        "phases": export_phases,
        "markdown": export_markdown,
        "latex": export_latex,
        "pdcif": export_pdcif,
        "nxmonopd": export_monopd,
    }
)
"""Formats of this wing for ``layerscope export``."""
