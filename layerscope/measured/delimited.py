"""Tables in text files, read alike by every technique, for the records of cyclers and for logs.

Delimiter, header, decimal mark and encoding are found out. What could be read in two ways is refused, and the error
names the key that says which it is: ``8.184`` beside ``293,00`` is 8.184 or 8184.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import zip_longest
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StringConstraints, model_validator

from layerscope.errors import ReaderError
from layerscope.measured.files import RawFile
from layerscope.measured.text import clock_seconds, decode, moment
from layerscope.options import RecipeModel

__all__ = ["COMMENT_MARKS", "Column", "ColumnsTable", "Table", "holds_rows", "parse_table"]

Column = int | str
FloatArray = NDArray[np.float64]
Splitter = Callable[[str], list[str]]
Line = tuple[int, str]

_QUOTES = ("'", '"')
_MARKS = ("#", "!", ";", "/*", "*/", "//", "*", "%")
COMMENT_MARKS = (*_MARKS, *_QUOTES)
"""Lines that begin with one of these are comments; quoted numbers are a row all the same."""

_DELIMITERS = ("\t", ";", ",", " ")  # a blank stands for any number of them
_SAMPLE = 400  # lines that tell the delimiter
_HEAD = 1 << 16  # bytes that tell whether there is a table
_BLANK = "[ \u00a0\u202f]"  # also those that do not break a line
_NUMBER = re.compile(
    r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:e[+-]?\d+)?"
    r"|[+-]?\d{1,3}(?:[.,' \u00a0\u202f]\d{3})+(?:[.,]\d*)?"
    r"|[+-]?(?:nan|inf|infinity)",
    re.IGNORECASE,
)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:[.,]\d{3})+")
_WORDS = re.compile(r'"[^"]*"|\S+')


class ColumnsTable(RecipeModel):
    """How a table in a text file is written; what its columns mean is added by the technique."""

    delimiter: Annotated[str, StringConstraints(strip_whitespace=False, min_length=1)] | None = Field(
        default=None, description="between columns, ' ' for any number of blanks; found out if not given"
    )
    decimal: Literal[".", ","] | None = Field(
        default=None, description="decimal mark; found out if not given, asked for where numbers read in two ways"
    )
    thousands: Literal[".", ",", " ", "'"] | None = Field(
        default=None, description="mark between thousands, e.g. '.' in 8.184,5; none if not given"
    )
    comment: str | None = Field(
        default=None, description="lines that begin with it are left out; #, !, %, ;, *, // if not given"
    )
    encoding: str | None = Field(default=None, description="of the text; found out if not given")
    skip_lines: Annotated[int, Field(ge=0)] = Field(default=0, description="lines to leave out at the top")
    points: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="rows that the file must have: shows one that was cut off"
    )

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.thousands is not None and self.thousands in (self.decimal, self.delimiter):
            raise ValueError(f"thousands = {self.thousands!r} is the decimal mark or the delimiter too")
        return self


@dataclass(frozen=True, eq=False)
class Table:
    """A table of text, whose columns are asked for as numbers or as they stand.

    Parameters
    ----------
    raw : RawFile
        Where it stands.
    header : tuple of str
        Lines before the first row, and comments, without their marks.
    names : tuple of str
        Names of the columns, from the last line of the header that has as many parts as the rows; or empty.
    rows : tuple of list of str
        Cells.
    lines : tuple of (int, str)
        Number of each row's line, from 1, and its text.
    decimal, thousands : str
        Marks of its numbers; no mark between thousands is an empty text.
    """

    raw: RawFile
    header: tuple[str, ...]
    names: tuple[str, ...]
    rows: tuple[list[str], ...]
    lines: tuple[Line, ...]
    decimal: str = "."
    thousands: str = ""

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.rows[0])

    def index(self, column: Column) -> int:
        """Return the number of a column, from 0.

        Parameters
        ----------
        column : int or str
            Number from 0, or name in the header in any case.

        Raises
        ------
        ReaderError
            If there is none, or more than one.
        """
        if isinstance(column, int):
            if not 0 <= column < self.width:
                raise self.raw.error(f"there is no column {column}: the file has {self.width}, counted from 0")
            return column
        matches = [i for i, name in enumerate(self.names) if name.lower() == column.strip().lower()]
        if len(matches) != 1:
            reason = "is there more than once" if matches else "is missing"
            known = ", ".join(self.names) or "none: the file has no line of names"
            raise self.raw.error(f"the column {column!r} {reason}", hint=f"columns: {known}")
        return matches[0]

    def texts(self, column: Column) -> list[str]:
        """Return the cells of a column as they stand; errors as `index`."""
        at = self.index(column)
        return [row[at] for row in self.rows]

    def numbers(self, column: Column) -> FloatArray:
        """Return a column as numbers, shape (rows,).

        Raises
        ------
        ReaderError
            As `index`, or if a cell is no number; the message names its row.
        """
        cells = self.texts(column)
        values = self._converted(cells)
        if values is None:
            row = next(i for i, cell in enumerate(cells) if self._converted([cell]) is None)
            what = f"row {row + 1} has {cells[row][:40]!r} in column {column!r}, not a number"
            raise self.raw.error(what, hint=self._hint(cells[row]))
        return values

    def values(self) -> FloatArray:
        """Return all cells as numbers, shape (rows, columns).

        Raises
        ------
        ReaderError
            If one of them is none; the message holds its line.
        """
        values = self._converted([cell for row in self.rows for cell in row])
        if values is None:
            bad = next(i for i, row in enumerate(self.rows) if self._converted(row) is None)
            cell = next(cell for cell in self.rows[bad] if self._converted([cell]) is None)
            number, text = self.lines[bad]
            raise self.raw.error(f"line {number} is not a row of numbers: {text[:60]!r}", hint=self._hint(cell))
        return values.reshape(len(self.rows), -1)

    def _converted(self, cells: Sequence[str]) -> FloatArray | None:
        """Return the cells as numbers; None if one of them is none."""
        if self.thousands:
            mark = _BLANK if self.thousands == " " else re.escape(self.thousands)
            whole = re.compile(rf"[+-]?\d{{1,3}}(?:{mark}\d{{3}})+(?:{re.escape(self.decimal)}\d*)?")
            cells = [re.sub(mark, "", cell) if whole.fullmatch(cell) else cell for cell in cells]
        if self.decimal == ",":
            if any("." in cell for cell in cells):
                return None
            cells = [cell.replace(",", ".") for cell in cells]
        try:
            return np.array(cells, dtype=np.float64)
        except ValueError:
            return None

    def _hint(self, cell: str) -> str | None:
        plain = re.sub(_BLANK, " ", cell)
        marks = [mark for mark in (".", ",", "'", " ") if mark in plain and mark != self.decimal]
        return f"say thousands = {marks[0]!r}, or another decimal" if marks and _is_number(cell) else None


def parse_table(
    raw: RawFile,
    columns: ColumnsTable | None = None,
    *,
    cells: Literal["numbers", "any"] = "numbers",
    least: int = 2,
    skip_lines: int = 0,
) -> Table:
    """Read a table of text with a free header.

    Parameters
    ----------
    raw : RawFile
        The file.
    columns : ColumnsTable, optional
        How it is written; found out without it.
    cells : {"numbers", "any"}
        Whether every cell has to be a number, or may be a time or a word.
    least : int, default 2
        Numbers (or times) that a row has at least.
    skip_lines : int, default 0
        Lines to leave out at the top, if `columns` says nothing of them.

    Returns
    -------
    Table
        At least one row, all of one length.

    Raises
    ------
    ReaderError
        If the file is binary, holds no row, rows differ in length (a row cut off), text stands between numbers, or
        numbers can be read in two ways; the message names the line, the hint the key that resolves it.
    """
    how = columns if columns is not None else ColumnsTable()
    try:
        found = _Parser(raw, how, how.skip_lines or skip_lines, cells == "numbers", least).table()
    except csv.Error as error:
        raise raw.error(f"the table cannot be read: {error}") from error
    if how.points is not None and len(found.rows) != how.points:
        raise raw.error(f"{len(found.rows)} rows are there, {how.points} were expected")
    return found


def holds_rows(raw: RawFile) -> bool:
    """Tell whether a file begins with rows of two or more numbers, after at most a header.

    Parameters
    ----------
    raw : RawFile
        The file, of which the first 64 KiB are looked at; their last line may be cut off.
    """
    try:
        parser = _Parser(replace(raw, data=raw.data[:_HEAD]), ColumnsTable(), 0, True, 2)
    except ReaderError:
        return False
    body = [line for _, line in parser.lines if not parser.is_comment(line)]
    body = (body[:-1] or body)[-60:]
    return bool(body) and all(parser.is_row(parser.cells(line)) for line in body[len(body) // 2 :])


@dataclass(frozen=True)
class _Kind:
    """What makes a row: nothing but numbers, or also times and words, and how many of the former at least."""

    numeric: bool
    least: int

    def closed(self, cells: list[str]) -> list[str]:
        """Take off what stands after the delimiter that closes a row of numbers: nothing."""
        return cells[:-1] if self.numeric and len(cells) > 1 and not cells[-1] else cells

    def known(self, cells: list[str]) -> int:
        """Return how many cells are numbers, or times among words."""
        if self.numeric:
            return sum(map(_is_number, cells))
        return sum(_is_number(cell) or _is_time(cell) for cell in cells)

    def is_row(self, cells: list[str]) -> bool:
        """Tell whether the parts of a line are a row."""
        return self.share(cells) > 0.0

    def share(self, cells: list[str]) -> float:
        """Return the share of numbers and times in a row; nothing if it is none."""
        known = self.known(cells)
        return known / len(cells) if known >= self.least and (known == len(cells) or not self.numeric) else 0.0


@lru_cache(maxsize=4)  # a file is looked at, and then read
def _delimiter(sample: tuple[str, ...], kind: _Kind) -> str:
    """Return the delimiter that makes rows of most lines; a row counts by the share of numbers and times in it."""

    def score(delimiter: str) -> float:
        lines = sample if delimiter == " " else [line for line in sample if delimiter in line]
        rows = (row for row in map(kind.closed, map(_splitter(delimiter), lines)) if len(row) > 1)
        return sum(map(kind.share, rows))

    best = max(_DELIMITERS, key=score)
    return best if score(best) else " "


class _Parser:
    """Lines to header and rows."""

    def __init__(self, raw: RawFile, how: ColumnsTable, skip: int, numeric: bool, least: int) -> None:
        self.raw, self.how, self.numeric, self.least = raw, how, numeric, least
        text = enumerate(self._text().splitlines(), start=1)
        self.lines = [(number, line) for number, line in text if number > skip and line.strip()]
        self.marks = _MARKS if how.comment is None else tuple(filter(None, [how.comment]))
        self.kind = _Kind(numeric, least)
        sample = (line for _, line in self.lines[:_SAMPLE] if not line.lstrip().startswith(self.marks))
        self.delimiter = how.delimiter or _delimiter(tuple(sample), self.kind)
        self.marks = tuple(mark for mark in self.marks if mark != self.delimiter)
        self.split = _splitter(self.delimiter)

    def table(self) -> Table:
        """Return the table; errors as `parse_table`."""
        first = self._first_row()
        before = [line for _, line in self.lines[:first]]
        comments = [line for _, line in self.lines[first:] if self.is_comment(line)]
        lines = tuple(item for item in self.lines[first:] if not self.is_comment(item[1]))
        rows = [self.cells(line) for _, line in lines]
        if all(len(row) > 1 and not row[-1] for row in rows):
            rows = [row[:-1] for row in rows]  # every row closes with its delimiter
        self._require_one_width(lines, rows)
        names = next((found for line in reversed(before) if (found := self._names(line, len(rows[0])))), ())
        if not names:
            self._require_one_role_of_commas(before, rows)
        header = tuple(line.strip().lstrip("#!;'\"/*% ") for line in (*before, *comments))
        return Table(self.raw, header, names, tuple(rows), lines, *self._number_marks(lines, rows))

    def _text(self) -> str:
        try:
            text = decode(self.raw.data, self.how.encoding)
        except LookupError:
            raise self.raw.error(f"the encoding {self.how.encoding!r} is not known") from None
        except UnicodeError:
            raise self.raw.error(f"the text is not {self.how.encoding}") from None
        if "\0" in text:
            raise self.raw.error("the file is binary, not text")
        return text

    def cells(self, line: str) -> list[str]:
        """Return the parts of a line."""
        return self.kind.closed(self.split(line))

    def is_row(self, cells: list[str]) -> bool:
        """Tell whether the parts of a line are a row."""
        return self.kind.is_row(cells)

    def is_comment(self, line: str) -> bool:
        """Tell whether a line is a comment; among numbers, quoted words are one."""
        text = line.lstrip()
        if self.numeric and self.how.comment is None and text.startswith(_QUOTES):
            return not self.is_row(self.cells(line))
        return text.startswith(self.marks)

    def _first_row(self) -> int:
        """Return the place of the first row; among words, the line after it has to be as long."""
        content = [i for i, (_, line) in enumerate(self.lines) if not self.is_comment(line)]
        for place, following in zip_longest(content, content[1:]):
            row = self.cells(self.lines[place][1])
            alike = self.numeric or following is None or len(self.cells(self.lines[following][1])) == len(row)
            if alike and self.is_row(row):
                return place
        least = {1: "one number", 2: "two numbers"}.get(self.least, f"{self.least} numbers")
        what = f"with at least {least}" if self.numeric else "of times and numbers"
        raise self.raw.error(f"there is no row {what}")

    def _require_one_width(self, lines: Sequence[Line], rows: Sequence[list[str]]) -> None:
        width = len(rows[0])
        for (number, line), row in zip(lines, rows, strict=True):
            if len(row) == width:
                continue
            if self.numeric and not self.is_row(row):
                raise self.raw.error(f"line {number} is not a row of numbers: {line.strip()[:60]!r}")
            raise self.raw.error(
                f"line {number} has {len(row)} columns, the rows before it have {width}",
                hint="the file may be cut off there",
            )

    def _names(self, line: str, width: int) -> tuple[str, ...]:
        """Return the names in a line of the header, if it has one for each column."""
        text = line.strip()
        bare = text if text.startswith(_QUOTES) else text.lstrip("#!;/*% ")
        parts = [part.strip(" \"'") for part in self.split(bare)]
        while len(parts) > width and not parts[-1]:
            parts.pop()
        if len(parts) != width or all(map(_is_number, parts)):
            return ()
        return () if "=" in parts or ":" in parts else tuple(parts)  # "Email = removed" says a setting, no names

    def _require_one_role_of_commas(self, before: Sequence[str], rows: Sequence[list[str]]) -> None:
        """Refuse rows that have twice as many parts as there are columns, since commas are decimal marks too."""
        if self.delimiter != "," or self.how.delimiter is not None:
            return
        named = next((len(self.cells(line)) for line in reversed(before)), 0)
        width = len(rows[0])
        halves = width == 2 and self.least == 1 and all(cell.isdecimal() for row in rows for cell in row)
        if halves or (named > 1 and 2 * named == width):
            raise self.raw.error(
                f"whether a row has {width} columns or {width // 2} with decimal commas is not certain",
                hint="say delimiter = ',', or decimal = ',' with another delimiter",
            )

    def _number_marks(self, lines: Sequence[Line], rows: Sequence[list[str]]) -> tuple[str, str]:
        """Return decimal mark and mark between thousands, or refuse numbers that can be read in two ways."""
        thousands = self.how.thousands or ""
        decimal = self.how.decimal or {".": ",", ",": "."}.get(thousands)
        if decimal:
            return decimal, thousands
        commas = next(_marked(",", lines, rows), None)
        points = next(_marked(".", lines, rows), None)
        if commas and points:
            raise self.raw.error(
                f"line {points[0]} has {points[1]!r}, line {commas[0]} {commas[1]!r}: which mark is the decimal one "
                "is not certain",
                hint="say decimal = ',' and thousands = '.', or decimal = '.' and thousands = ','",
            )
        if not commas and not points:
            return ".", thousands
        mark = "," if commas else "."
        if all(_THOUSANDS.fullmatch(cell) for _, cell in _marked(mark, lines, rows)):
            self._require_decimals(mark, lines, rows)
        return mark, thousands

    def _require_decimals(self, mark: str, lines: Sequence[Line], rows: Sequence[list[str]]) -> None:
        """Refuse a column of numbers such as 8.184 and 912: decimals would be written alike, thousands are not."""
        for column in zip(*rows, strict=True):
            marked = next((i for i, cell in enumerate(column) if mark in cell), None)
            plain = next((i for i, cell in enumerate(column) if cell.lstrip("+-").isdecimal()), None)
            if marked is not None and plain is not None:
                raise self.raw.error(
                    f"line {lines[marked][0]} has {column[marked]!r}, line {lines[plain][0]} {column[plain]!r}: "
                    f"whether {mark!r} parts thousands is not certain",
                    hint=f"say thousands = {mark!r}, or decimal = {mark!r}",
                )


def _splitter(delimiter: str) -> Splitter:
    """Return what cuts a line into cells; a quoted cell may hold the delimiter."""

    def words(line: str) -> list[str]:
        return [word.strip('"') for word in _WORDS.findall(line)] if '"' in line else line.split()

    def parts(line: str) -> list[str]:
        if '"' in line and len(delimiter) == 1:
            return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))]
        return [cell.strip() for cell in line.split(delimiter)]

    return parts if delimiter.strip(" ") else words


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None


def _is_time(cell: str) -> bool:
    return clock_seconds(cell) is not None or moment(cell) is not None


def _marked(mark: str, lines: Sequence[Line], rows: Sequence[list[str]]) -> Iterator[Line]:
    """Yield the numbers that hold a mark, each with the number of its line."""
    for (number, _), row in zip(lines, rows, strict=True):
        yield from ((number, cell) for cell in row if mark in cell and _is_number(cell))
