"""A table in other forms: Markdown, LaTeX, and text that programs read."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from layerscope.runs.summary import SummaryTable
from layerscope.runs.table_text import is_numeric

__all__ = ["TABLE_FORMATS", "as_delimited", "as_latex", "as_markdown"]

_MISSING = "–"
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
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "σ": r"$\sigma$",
}


def as_markdown(table: SummaryTable) -> str:
    """Return a table in Markdown: title, table, note."""

    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("\\", "\\\\").replace("|", "\\|") for cell in cells) + " |"

    rule = ("---:" if numeric else "---" for numeric in _numeric(table))
    body = [line(table.columns), f"| {' | '.join(rule)} |", *(line(_printed(table, row)) for row in table.rows)]
    title = table.title.replace("\n", " ")
    return "\n".join([f"**{title}**", "", *body, "", table.note]).rstrip("\n") + "\n"


def as_latex(table: SummaryTable) -> str:
    """Return a table for the source of a paper, with the rules of booktabs; a long one breaks over pages."""
    columns = "".join("r" if numeric else "l" for numeric in _numeric(table))
    head = " & ".join(map(_latex, table.columns)) + r" \\"
    rows = [" & ".join(map(_latex, _printed(table, row))) + r" \\" for row in table.rows]
    caption = _latex(f"{table.title}. {table.note}".strip())
    if len(rows) > _LONG:
        start = [f"\\begin{{longtable}}{{{columns}}}", f"\\caption{{{caption}}}\\\\"]
        frame = [r"\toprule", head, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot"]
        return "\n".join([r"% needs \usepackage{booktabs,longtable}", *start, *frame, *rows, "\\end{longtable}\n"])
    start = [r"% needs \usepackage{booktabs}", r"\begin{table}", rf"\caption{{{caption}}}"]
    frame = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule"]
    return "\n".join([*start, *frame, *rows, r"\bottomrule", r"\end{tabular}", "\\end{table}\n"])


def as_delimited(table: SummaryTable, delimiter: Literal[",", "\t"] = ",") -> str:
    """Return a table for programs: a heading a column, numbers in full, errors and limits in columns of their own."""
    columns = list(table.numbers())
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    writer.writerow([heading for heading, _ in columns])
    writer.writerows(zip(*(values for _, values in columns), strict=True))
    return stream.getvalue()


def _numeric(table: SummaryTable) -> list[bool]:
    return [is_numeric(cells) for cells in zip(*table.rows, strict=True)] or [False] * len(table.fields)


def _printed(table: SummaryTable, row: Sequence[str]) -> list[str]:
    """Return the cells of a row with a dash where a value is missing."""
    return [cell or (_MISSING if c.kind == "value" else "") for c, cell in zip(table.fields, row, strict=True)]


def _latex(text: str) -> str:
    """Return a text for LaTeX: formulas and bonds as figures print them, every special sign harmless."""
    from layerscope.figures.words import HIGH, LOW, printed

    def mathematics(match: re.Match[str]) -> str:
        sign, back = ("_", LOW) if match[0][0] in LOW else ("^", HIGH)
        return f"${sign}{{{''.join(back[digit] for digit in match[0])}}}$"

    parts = re.split(r"((?<!\\)\$[^$]+\$)", printed(text))
    for place in range(0, len(parts), 2):  # what stands between pieces of mathematics
        plain = "".join(_LATEX.get(sign, sign) for sign in parts[place].replace(r"\$", "$"))
        parts[place] = re.sub(f"[{''.join(LOW)}]+|[{''.join(HIGH)}]+", mathematics, plain)
    return "".join(parts)


TABLE_FORMATS: Mapping[str, Callable[[SummaryTable], str]] = MappingProxyType(
    {
        "csv": as_delimited,
        "tsv": lambda table: as_delimited(table, "\t"),
        "markdown": as_markdown,
        "latex": as_latex,
    }
)
"""Forms of a table by name, each ending in a line feed."""
