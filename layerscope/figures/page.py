"""A page while it is drawn: the figure, its panels with their letters, and every point that was plotted."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from .table import Column, Curve, FigureTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpecBase

__all__ = ["Page", "Panel", "Scale"]


@dataclass(frozen=True)
class Scale:
    """What an axis holds.

    Attributes
    ----------
    name, unit : str
        As the table has them: ``etch_time``, ``s``.
    label : str
        As it is printed: ``Etch time / s``.
    """

    name: str
    unit: str
    label: str = ""


@dataclass
class Page:
    """One figure while it is drawn.

    Attributes
    ----------
    figure : Figure
    curves : list of Curve
        What was plotted so far; whoever draws adds to it.
    columns : list of Column
        Other columns of the table, such as what the curves leave unsaid.
    letters : iterator of str
        Letters of the panels to come.
    """

    figure: Figure
    curves: list[Curve] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    letters: Iterator[str] = field(default_factory=lambda: iter(string.ascii_lowercase))

    def panel(self, axes: Axes, title: str = "", pad: float = 3.0, above: Axes | None = None) -> Panel:
        """Give a panel the next letter, bold at its upper left corner, `pad` points above it or above `above`."""
        letter = next(self.letters)
        at = above or axes
        at.set_title(letter, loc="left", fontweight="bold", fontsize=7, y=1.0, pad=pad)
        if title:
            at.set_title(title, fontsize=7, y=1.0, pad=pad)
        return Panel(self, axes, letter)

    def column(self, cells: GridSpecBase, label: str) -> list[Axes]:
        """Return panels above each other, one a row of the grid, on one x axis that is labelled below the lowest."""
        panels: list[Axes] = []
        for row in range(cells.nrows):
            panels.append(self.figure.add_subplot(cells[row, 0], sharex=panels[0] if panels else None))
            panels[-1].tick_params(labelbottom=row == cells.nrows - 1)
        panels[-1].set_xlabel(label)
        self.figure.align_ylabels(panels)
        return panels

    @property
    def table(self) -> FigureTable:
        """Every plotted point so far."""
        curves = FigureTable.from_curves(self.curves).columns if self.curves else ()
        return FigureTable((*curves, *self.columns))


@dataclass(frozen=True)
class Panel:
    """One panel of a page.

    Attributes
    ----------
    page : Page
    axes : Axes
    letter : str
        What the table calls it; a letter, or a word where panels have none.
    """

    page: Page
    axes: Axes
    letter: str

    def add(
        self,
        label: str,
        x: ArrayLike,
        y: ArrayLike,
        scales: tuple[Scale, Scale],
        low: ArrayLike | None = None,
        high: ArrayLike | None = None,
    ) -> None:
        """Put a drawn curve into the table of the page, with the ends of its band or bars where it has some."""
        across, up = scales
        self.page.curves.append(Curve(self.letter, label, x, y, across.name, across.unit, up.name, up.unit, low, high))
