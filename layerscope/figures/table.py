"""The numbers behind a figure: every plotted point, with its unit in the header."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.errors import DataError

__all__ = ["Column", "Curve", "FigureTable"]

Cells: TypeAlias = NDArray[np.float64] | tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Column:
    """One column of numbers or of labels.

    Attributes
    ----------
    name : str
        What the column holds, e.g. ``"binding_energy"`` or ``"0 s: fit"``.
    unit : str
        Its unit as printed in the header; ``"1"`` for a plain number, ``""`` for a label column.
    cells : ndarray of float, shape (n,), or tuple of str
        The values.
    """

    name: str
    unit: str
    cells: Cells

    @classmethod
    def numbers(cls, name: str, unit: str, values: ArrayLike) -> Self:
        """Make a numeric column from anything array-like of shape (n,); DataError for another shape or no unit."""
        cells = np.array(values, dtype=np.float64)
        if cells.ndim != 1:
            raise DataError(f"a table column needs shape (n,), not {cells.shape}", source=name)
        if not unit:
            raise DataError("a numeric table column needs a unit", source=name, hint='use "1" for a plain number')
        cells.flags.writeable = False
        return cls(name, unit, cells)

    @classmethod
    def labels(cls, name: str, values: Iterable[str]) -> Self:
        """Make a column of words, such as sample or species names."""
        return cls(name, "", tuple(values))

    @property
    def header(self) -> str:
        """Name and unit as in the first line of the CSV: ``binding_energy [eV]``."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name

    def text(self, row: int) -> str:
        """Return one cell as text that reads back to the same number; empty below the end of the column."""
        if row >= len(self.cells):
            return ""
        cell = self.cells[row]
        return cell if isinstance(cell, str) else repr(float(cell))


@dataclass(frozen=True, eq=False)
class Curve:
    """One drawn curve, for :meth:`FigureTable.from_curves`.

    Attributes
    ----------
    panel, label : str
        Which panel (``"a"``; empty when there is one only) and which curve in it.
    x, y : ndarray, shape (n,)
        The points as plotted, offsets included.
    x_name, x_unit, y_name, y_unit : str
        What the axes hold.
    low, high : ndarray, shape (n,), optional
        Lower and upper edge of the error bars or band, in the unit of y.
    """

    panel: str
    label: str
    x: ArrayLike
    y: ArrayLike
    x_name: str
    x_unit: str
    y_name: str
    y_unit: str
    low: ArrayLike | None = None
    high: ArrayLike | None = None


@dataclass(frozen=True, eq=False)
class FigureTable:
    """A wide table; columns may differ in length, the shorter ones end in empty cells.

    Attributes
    ----------
    columns : tuple of Column
        At least one; no two with the same header.
    """

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        headers = [column.header for column in self.columns]
        if not headers:
            raise DataError("a figure table needs at least one column")
        twice = sorted({header for header in headers if headers.count(header) > 1})
        if twice:
            raise DataError(f"the figure table has two columns {twice[0]!r}", hint="name panel or curve in the header")

    @classmethod
    def from_curves(cls, curves: Sequence[Curve]) -> Self:
        """Build the table of a line figure; curves of a panel on the same x share its column.

        Parameters
        ----------
        curves : sequence of Curve
            Every curve of the figure, in the order in which the columns shall stand.

        Returns
        -------
        FigureTable
            Columns ``panel: x``, ``panel: label: y`` and, when given, ``... low`` and ``... high``.

        Raises
        ------
        DataError
            When x, y, low and high of a curve differ in length, or two curves have the same name.
        """
        columns: list[Column] = []
        shared: dict[tuple[str, str, str], Column] = {}
        for curve in curves:
            x = Column.numbers(_join(curve.panel, curve.x_name), curve.x_unit, curve.x)
            key = (curve.panel, curve.x_name, curve.x_unit)
            known = shared.get(key)
            if known is None or not np.array_equal(known.cells, x.cells, equal_nan=True):
                if known is not None:  # a second grid in the same panel: its x column is named after the curve
                    x = Column(_join(curve.panel, curve.label, curve.x_name), curve.x_unit, x.cells)
                else:
                    shared[key] = x
                columns.append(x)
            columns.extend(_dependent(curve, len(x.cells)))
        return cls(tuple(columns))

    @property
    def rows(self) -> int:
        """Number of rows below the header: the length of the longest column."""
        return max(len(column.cells) for column in self.columns)

    def to_csv(self) -> str:
        r"""Return the table as CSV text with ``\n`` line ends; floats in the shortest form that reads back exactly."""
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow([column.header for column in self.columns])
        writer.writerows([column.text(row) for column in self.columns] for row in range(self.rows))
        return buffer.getvalue()


def _dependent(curve: Curve, length: int) -> list[Column]:
    """Return the y column of a curve and the edges of its error band, checked against the length of x."""
    parts = (("", curve.y), (" low", curve.low), (" high", curve.high))
    name = _join(curve.panel, curve.label, curve.y_name)
    columns = [Column.numbers(f"{name}{end}", curve.y_unit, cells) for end, cells in parts if cells is not None]
    for column in columns:
        if len(column.cells) != length:
            raise DataError(f"{len(column.cells)} values on {length} points", source=column.name)
    return columns


def _join(*words: str) -> str:
    return ": ".join(word for word in words if word)
