"""A table in other forms: Markdown, LaTeX, HTML for word processors, and text that programs read."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal

from layerscope.runs.summary import SummaryTable
from layerscope.runs.table_text import is_numeric

__all__ = ["TABLE_FORMATS", "as_delimited", "as_html", "as_latex", "as_markdown", "no_formula"]

_MISSING = "–"
_LONG = 45
"""Rows beyond which a LaTeX table breaks over pages."""
_LONG_WORDS = 45
"""Signs beyond which the words of a LaTeX column break over lines."""
_WIDE = 9
"""Columns beyond which a LaTeX table goes on in further ones."""
_MOST_KEYS = 3
"""Columns that tell rows apart in these further ones."""
_FORMULA = re.compile(r"[=@\t\r]|[-+](?!\d|\.\d|$)")
"""How a text begins that a spreadsheet may take for a formula; a number with its error in brackets is none."""
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
    """Return a table for the source of a paper, with the rules of booktabs; a long one breaks over pages.

    What is the same in every row stands in the caption. A table too wide for a page goes on in further ones, which
    repeat what tells the rows apart.
    """
    return "\n".join(_one_latex(part) for part in _narrow(table))


def _narrow(table: SummaryTable) -> list[SummaryTable]:
    """Return a table as tables of few columns."""
    rows, many = table.rows, len(table.rows) > 1
    columns = list(enumerate(table.fields))
    same = [n for n, c in columns if many and c.kind == "key" and len({row[n] for row in rows}) == 1]
    idle = [n for n, c in columns if many and c.kind == "status" and {row[n] for row in rows} == {"ok"}]
    keys = [n for n, c in columns if c.kind == "key" and n not in same]
    rest = [n for n, c in columns if c.kind != "key" and n not in idle]
    told = ", ".join(f"{table.fields[n].head} {rows[0][n]} {table.fields[n].unit_sign}".strip() for n in same)
    title = f"{table.title} ({told})" if told else table.title
    if len(keys) + len(rest) <= _WIDE:
        return [_of_columns(table, [*keys, *rest], title, table.note)]
    first = max(1, _WIDE - len(keys))
    blocks = [rest[:first]]
    least = keys[:_MOST_KEYS]
    step = _WIDE - len(least)
    blocks += [rest[n : n + step] for n in range(first, len(rest), step)]
    return [
        _of_columns(table, [*(least if n else keys), *block], f"{title}, part {n + 1}", "" if n else table.note)
        for n, block in enumerate(blocks)
    ]


def _of_columns(table: SummaryTable, columns: Sequence[int], title: str, note: str) -> SummaryTable:
    fields = tuple(table.fields[n] for n in columns)
    return replace(
        table, title=title, note=note, fields=fields, cells=tuple(tuple(row[n] for n in columns) for row in table.cells)
    )


def _one_latex(table: SummaryTable) -> str:
    longest = [max((len(row[n]) for row in table.rows), default=0) for n in range(len(table.fields))]
    words = [length > _LONG_WORDS for length in longest]
    share = f"p{{{0.8 / max(sum(words), 1):.2f}\\textwidth}}"
    columns = "".join(
        "r" if numeric else share if long else "l" for numeric, long in zip(_numeric(table), words, strict=True)
    )
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


def as_html(table: SummaryTable) -> str:
    """Return a table that word processors open or take from the clipboard: its title as caption, its note below."""
    edge = 'style="border-bottom: 1px solid black; padding: 2px 6px"'
    sides = ["right" if numeric else "left" for numeric in _numeric(table)]

    def line(tag: str, cells: Iterable[str], style: str = 'style="padding: 2px 6px"') -> str:
        parts = (f'<{tag} align="{side}" {style}>{_escaped(c)}</{tag}>' for side, c in zip(sides, cells, strict=True))
        return f"<tr>{''.join(parts)}</tr>"

    return "\n".join(
        [
            '<table style="border-collapse: collapse">',
            f"<caption>{_escaped(table.title)}</caption>",
            f"<thead>{line('th', table.columns, edge)}</thead>",
            "<tbody>",
            *(line("td", _printed(table, row)) for row in table.rows),
            "</tbody>",
            "</table>",
            *(f"<p>{_escaped(note)}</p>" for note in table.note.splitlines()),
            "",
        ]
    )


def _escaped(text: str) -> str:
    from layerscope.figures.words import printed

    return html.escape(printed(text).replace(r"\$", "$"))


def no_formula(value: Any) -> Any:
    """Return a cell of a text table so that no spreadsheet computes it: what begins like a formula is quoted."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def as_delimited(table: SummaryTable, delimiter: Literal[",", "\t"] = ",") -> str:
    """Return a table for programs: a heading a column, numbers in full, errors and limits in columns of their own."""
    columns = list(table.numbers())
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    writer.writerow([no_formula(heading) for heading, _ in columns])
    writer.writerows(map(no_formula, row) for row in zip(*(values for _, values in columns), strict=True))
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
        "html": as_html,
    }
)
"""Forms of a table by name, each ending in a line feed."""
