"""A table on a page of a given width.

On a narrow page no value is ever cut or broken. A table of few rows is turned, so that its columns stand below each
other; a longer one goes on in blocks, each of which repeats what tells the rows apart, and their status.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest

from layerscope.flags import FLAGS
from layerscope.runs.summary import SummaryTable

__all__ = ["NO_BREAK", "as_text", "flag_names", "is_numeric", "wrapped"]

NO_BREAK = "\N{NO-BREAK SPACE}"
_GAP = 2
_MOST_TURNED = 4
"""Rows up to which a table that is too wide is turned rather than split."""
_LEAST_WORDS = 16
"""Width that a column of words is given at least, where it has so many."""
_MOST_DETAILS = 4
"""Places where a flag occurs that are named below a table."""
_MOST_KEY = 24
"""Width from which on a name of rows may break."""
#: Given the text of a cell and what the column is, returns it with colours, or as it is.
Paint = Callable[[str, str], str]


def as_text(
    table: SummaryTable, width: int, *, most_rows: int | None = None, paint: Paint = lambda text, kind: text
) -> list[str]:
    """Return the lines of a table, none wider than the page.

    Parameters
    ----------
    table : SummaryTable
    width : int
        Columns of the page.
    most_rows : int or None, optional
        Rows shown; None for all.
    paint : callable, optional
        Colours a cell: given its text, spaces included, and the kind of its column (``title`` for the title).

    Returns
    -------
    list of str
        Title, blocks, note.
    """
    rows = table.rows if most_rows is None else table.rows[:most_rows]
    strips = [_Strip.of(table, index, rows) for index in range(len(table.fields))]
    # what holds for every row is said once: keys above, flags below
    same = [s for s in strips if s.kind == "key" and len(rows) > 1 and len(set(s.cells)) == 1]
    strips = [s for s in strips if s not in same and (s.kind != "flags" or len(set(s.cells)) > 1)]
    strips = [s for s in strips if s.kind != "text" or any(s.cells)] or same
    above = ", ".join(f"{s.head} {s.cells[0]} {s.unit}".rstrip() for s in same)
    lines = [paint(line, "title") for line in wrapped(table.title, width)]
    lines += wrapped(above, width) if above else []
    if _width_of(strips) > width and len(rows) <= _MOST_TURNED and (turned := _turned(strips, width)):
        lines += _block(turned, width, paint, headed=False)
    else:
        for number, block in enumerate(_blocks(strips, width)):
            lines += ([""] if number else []) + _block(block, width, paint)
    if len(rows) < len(table.rows):
        lines.append(f"... and {len(table.rows) - len(rows)} rows more (layerscope show --all)")
    lines += [line for part in table.note.splitlines() for line in wrapped(part, width)]
    for part in _legend(table, len(rows)):
        first, *more = wrapped(part, width - 2)
        lines += [first, *(f"  {line}" for line in more)]
    return lines


def _legend(table: SummaryTable, rows: int) -> list[str]:
    """Return a line for each flag of the rows that are shown: what it is about and what it says, and what to do."""
    about: dict[str, dict[str, None]] = {}
    at = [number for number, column in enumerate(table.fields) if column.kind == "flags"]
    carried = [flags for row in table.cells[:rows] for n in at if isinstance(flags := row[n], tuple)]
    for text in (text for flags in carried for text in flags):
        name, _, detail = text.partition(":")
        about.setdefault(name, {}).update({detail: None} if detail else {})
    lines = ["Flags of every row:"] if about and rows > 1 and len(set(map(flag_names, carried))) == 1 else []
    for name, details in about.items():
        words = list(details)
        more = f", and {len(words) - _MOST_DETAILS} more" if len(words) > _MOST_DETAILS else ""
        detail = f" ({', '.join(words[:_MOST_DETAILS])}{more})" if words else ""
        flag = FLAGS.get(name)  # one of a package from outside says what it means in its own documentation
        says = "" if flag is None else f": {flag.meaning}"
        to_do = f". To do: {flag.do}" if flag is not None and flag.severity == "suspicious" else ""
        lines.append(f"{name}{detail}{says}{to_do}.")
    return lines


@dataclass(frozen=True)
class _Strip:
    """A column ready to be laid out."""

    head: str
    unit: str
    kind: str
    cells: tuple[str, ...]
    floor: int = 0  # width that some of its cells need, though others may break

    @classmethod
    def of(cls, table: SummaryTable, index: int, rows: Sequence[Sequence[str]]) -> _Strip:
        column = table.fields[index]
        if column.kind == "flags":  # what a flag is about stands below the table
            cells = tuple(", ".join(flag_names(table.cells[k][index])) for k in range(len(rows)))
        else:
            cells = tuple(row[index] for row in rows)
        return cls(column.head, column.unit_sign, column.kind, cells)

    @property
    def breaks(self) -> bool:
        """Whether cells may break over lines."""
        return self.kind in ("text", "flags")

    @cached_property
    def most(self) -> int:
        """Width at which nothing breaks, except the head between its words."""
        cells = max((_cells(cell) for cell in self.cells), default=0)
        return max(cells, *(_cells(word) for word in self.head.split() or [""]), _cells(self.unit))

    @cached_property
    def least(self) -> int:
        """Narrowest width at which no value breaks; long names of rows do."""
        if not self.breaks:
            return min(self.most, _MOST_KEY) if self.kind == "key" else self.most
        words = (word for text in (self.head, *self.cells) for word in text.split())
        return min(
            self.most, max(_LEAST_WORDS, self.floor, *(min(_cells(word), 2 * _LEAST_WORDS) for word in words), 0)
        )

    @property
    def right(self) -> bool:
        """Whether it stands flush right: its cells are numbers."""
        return not self.breaks and is_numeric(self.cells)


def is_numeric(cells: Iterable[str]) -> bool:
    """Tell whether all cells are numbers or limits, so that they are read from their last digit."""
    filled = [cell for cell in cells if cell]
    return bool(filled) and all(cell[0] in "-+<>(0123456789" for cell in filled)


def flag_names(flags: object) -> tuple[str, ...]:
    """Return the names of flags without what they are about, each once: ``OVERLAP``, ``AT_BOUND``."""
    return tuple(dict.fromkeys(str(flag).partition(":")[0] for flag in flags)) if isinstance(flags, tuple) else ()


def _width_of(strips: Sequence[_Strip]) -> int:
    return sum(strip.least for strip in strips) + _GAP * (len(strips) - 1)


def _turned(strips: Sequence[_Strip], width: int) -> list[_Strip] | None:
    """Return the table with a line for each column, or None where that is too wide as well."""
    heads = tuple(f"{strip.head} / {strip.unit}" if strip.unit else strip.head for strip in strips)
    used = [(head, strip) for head, strip in zip(heads, strips, strict=True) if any(strip.cells)]
    values = max((strip.most for _, strip in used if not strip.breaks), default=0)
    count = len(strips[0].cells)
    turned = [_Strip("", "", "key", tuple(head for head, _ in used))]
    for row in range(count):
        cells = tuple(strip.cells[row] for _, strip in used)
        turned.append(_Strip("", "", "text" if max(map(_cells, cells)) > values else "value", cells, floor=values))
    fits = turned[0].most + count * (_GAP + max(values, _LEAST_WORDS)) <= width
    return turned if fits else None


def _blocks(strips: Sequence[_Strip], width: int) -> list[list[_Strip]]:
    """Split a table that is too wide: what tells rows apart and the status stand in every block."""
    if _width_of(strips) <= width:
        return [list(strips)]
    keys = [strip for strip in strips if strip.kind == "key"]
    lead = _leading(keys)
    status = [strip for strip in strips if strip.kind == "status"]
    rest = [strip for strip in strips if strip.kind == "value"]
    rest += [strip for strip in keys if strip not in lead] + [strip for strip in strips if strip.breaks]
    blocks: list[list[_Strip]] = []
    for strip in rest:
        if not blocks or _width_of([*lead, *blocks[-1], strip, *status]) > width:
            blocks.append([])
        blocks[-1].append(strip)
    return [[*lead, *(s for s in block if not s.breaks), *status, *(s for s in block if s.breaks)] for block in blocks]


def _leading(keys: Sequence[_Strip]) -> list[_Strip]:
    """Return the first keys that tell the rows apart, two where there are two."""
    for count in range(min(2, len(keys)), len(keys)):
        told = set(zip(*(key.cells for key in keys[:count]), strict=True))
        if count and len(told) == len(keys[0].cells):
            return list(keys[:count])
    return list(keys)


def _block(strips: Sequence[_Strip], width: int, paint: Paint, *, headed: bool = True) -> list[str]:
    """Return the lines of columns that stand side by side."""
    widths = _widths(strips, width)
    lines = []
    if headed:
        heads = [_head(strip, w) for strip, w in zip(strips, widths, strict=True)]
        tallest = max(map(len, heads))
        lines += _side_by_side([[""] * (tallest - len(head)) + head for head in heads], strips, widths, None)
        lines.append((" " * _GAP).join("-" * w for w in widths))
    for row in range(len(strips[0].cells)):
        cells = [wrapped(strip.cells[row], w) for strip, w in zip(strips, widths, strict=True)]
        lines += _side_by_side(cells, strips, widths, paint)
    return [line.rstrip() for line in lines]


def _widths(strips: Sequence[_Strip], width: int) -> list[int]:
    """Share out the page: words take what the others leave, and names of rows give way first where it is too narrow."""
    widths = [strip.least for strip in strips]
    spare = width - _width_of(strips)
    while spare > 0 and (short := [n for n, strip in enumerate(strips) if widths[n] < strip.most]):
        widths[min(short, key=widths.__getitem__)] += 1
        spare -= 1
    while spare < 0 and max(widths) > 1:
        at = max(range(len(strips)), key=lambda n: (widths[n] > 1 and strips[n].kind != "value", widths[n]))
        widths[at] -= 1
        spare += 1
    return widths


def _head(strip: _Strip, width: int) -> list[str]:
    return [*wrapped(strip.head, width), *([strip.unit] if strip.unit else [])]


def _side_by_side(
    cells: Sequence[Sequence[str]], strips: Sequence[_Strip], widths: Sequence[int], paint: Paint | None
) -> list[str]:
    """Join the lines of the cells of one row."""
    lines = []
    for parts in zip_longest(*cells, fillvalue=""):
        padded = []
        for part, strip, width in zip(parts, strips, widths, strict=True):
            space = " " * (width - _cells(part))
            text = space + part if strip.right else part + space
            padded.append(text if paint is None else paint(text, strip.kind))
        lines.append((" " * _GAP).join(padded))
    return lines


def _cells(text: str) -> int:
    """Return the width of a text on a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def wrapped(text: str, width: int) -> list[str]:
    """Break a text at its spaces, a word only where it is wider than the page, and never at a `NO_BREAK`."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if _cells(joined) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for sign in word:
            if _cells(lines[-1] + sign) > width:
                lines.append("")
            lines[-1] += sign
    return [line.replace(NO_BREAK, " ") for line in lines]
