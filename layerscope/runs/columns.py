"""What a table is: columns that say what their cells are, and cells that hold what they mean.

A cell holds a quantity, a number, words or flags, not how they look: a person sees ``1.234(5)``, a spreadsheet a number
and its error. How a table is laid out on a page is the business of `layerscope.runs.table_text`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

from layerscope.records import Quantity
from layerscope.records.formatting import format_limit

__all__ = ["Cell", "Column", "SummaryTable", "words_table"]

#: What stands in one place of a table; flags are a tuple.
Cell: TypeAlias = Quantity | str | float | int | tuple[str, ...] | None

_UNIT_SIGNS = {"angstrom": "Å", "angstrom^3": "Å³", "deg": "°"}


@dataclass(frozen=True)
class Column:
    """What the cells of one column are.

    Attributes
    ----------
    head : str
        What they are called, without the unit.
    unit : str
        Unit of all cells; empty for words and plain numbers.
    kind : {"key", "value", "text", "status", "flags"}
        ``key``: tells rows apart; ``text``: words that may break over lines.
    quantity, component : str
        What the column shows, where it shows a quantity.
    digits : int or None
        Decimals of plain numbers; six digits in all where None.
    """

    head: str
    unit: str = ""
    kind: Literal["key", "value", "text", "status", "flags"] = "value"
    quantity: str = ""
    component: str = ""
    digits: int | None = None

    @property
    def unit_sign(self) -> str:
        """The unit as it is printed: ``Å`` for angstrom."""
        return _UNIT_SIGNS.get(self.unit, self.unit)

    @property
    def heading(self) -> str:
        """Head and unit on one line: ``etch time / s``."""
        return f"{self.head} / {self.unit_sign}" if self.unit else self.head

    def text(self, cell: Cell) -> str:
        """Return a cell as people write it: ``1.234(5)``, ``< 0.018``, ``0.35``; nothing for None."""
        if cell is None:
            return ""
        if isinstance(cell, Quantity):
            return _quantity_text(cell)
        if isinstance(cell, tuple):
            return ", ".join(cell)
        if isinstance(cell, float):
            return f"{cell:.6g}" if self.digits is None else f"{cell:.{self.digits}f}"
        return str(cell)


@dataclass(frozen=True)
class SummaryTable:
    """A table of results.

    Attributes
    ----------
    title : str
        Shown above.
    fields : tuple of Column
        What the columns are.
    cells : tuple of tuple
        As many a row as there are columns.
    note : str
        Shown below; empty for none.
    headline : tuple of (str, str), optional
        Technique and sample that it stands for in the short summary of a run.
    records : tuple of str
        The id of the record that each row is of; empty where rows are of none.
    """

    title: str
    fields: tuple[Column, ...]
    cells: tuple[tuple[Cell, ...], ...]
    note: str = ""
    headline: tuple[str, str] | None = None
    records: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if any(len(row) != len(self.fields) for row in self.cells):
            raise ValueError(f"table {self.title!r}: every row needs {len(self.fields)} cells")
        if self.records and len(self.records) != len(self.cells):
            raise ValueError(f"table {self.title!r}: every row needs its record")

    def in_order(self, key: Callable[[tuple[Cell, ...]], Any]) -> SummaryTable:
        """Return the table with its rows sorted by what a function says of their cells; equal ones keep their order."""
        order = sorted(range(len(self.cells)), key=lambda n: key(self.cells[n]))
        records = tuple(self.records[n] for n in order) if self.records else ()
        return replace(self, cells=tuple(self.cells[n] for n in order), records=records)

    @property
    def columns(self) -> tuple[str, ...]:
        """Headings, with units."""
        return tuple(column.heading for column in self.fields)

    @cached_property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """Cells as people write them."""
        return tuple(
            tuple(column.text(cell) for column, cell in zip(self.fields, row, strict=True)) for row in self.cells
        )

    def numbers(self) -> Iterator[tuple[str, list[str | float | int | None]]]:
        """Yield the columns for programs: values as numbers, and beside them their errors and limits as columns.

        Yields
        ------
        (str, list)
            Heading, such as ``B / %``, ``B sigma / %`` or ``B upper limit / %``, and a cell a row. An interval
            without a value stays text, and so do words and flags.
        """
        for index, column in enumerate(self.fields):
            cells = [row[index] for row in self.cells]
            yield column.heading, [_plain(column, cell) for cell in cells]
            for part in ("sigma", "upper_limit"):
                values = [getattr(cell, part) if isinstance(cell, Quantity) else None for cell in cells]
                if any(value is not None for value in values):
                    yield replace(column, head=f"{column.head} {part.replace('_', ' ')}").heading, values


def _plain(column: Column, cell: Cell) -> str | float | int | None:
    if isinstance(cell, Quantity):
        return column.text(cell) if cell.value is None and cell.upper_limit is None else cell.value
    return column.text(cell) if isinstance(cell, tuple) else cell


def _quantity_text(quantity: Quantity) -> str:
    """Return the value with its error, or the limit alone where nothing was detected."""
    if quantity.upper_limit is not None:
        limit = format_limit(upper_limit=quantity.upper_limit, limit_confidence=quantity.limit_confidence)
        return limit.partition(" (")[0]  # the confidence stands below the table
    return quantity.text()


def words_table(
    title: str, columns: Sequence[str | Column], rows: Iterable[Sequence[Cell]], *, note: str = ""
) -> SummaryTable:
    """Return a table that rests on no records, such as what the doctor found.

    Parameters
    ----------
    title : str
    columns : sequence of str or Column
        A bare heading is a column of words; the first is the key.
    rows : iterable of sequences
    note : str, optional
    """
    fields = [
        Column(c, kind="text" if number else "key") if isinstance(c, str) else c for number, c in enumerate(columns)
    ]
    return SummaryTable(title, tuple(fields), tuple(tuple(row) for row in rows), note)
