"""A page while it is drawn: the figure, the letters of its panels, and every point that was plotted."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .table import Column, Curve, FigureTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Page"]


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

    def letter(self, axes: Axes, title: str = "", pad: float = 3.0) -> str:
        """Give a panel the next letter, bold at its upper left corner, `pad` points above it."""
        letter = next(self.letters)
        axes.set_title(letter, loc="left", fontweight="bold", fontsize=7, y=1.0, pad=pad)
        if title:
            axes.set_title(title, fontsize=7, y=1.0, pad=pad)
        return letter

    @property
    def table(self) -> FigureTable:
        """Every plotted point so far."""
        return FigureTable((*FigureTable.from_curves(self.curves).columns, *self.columns))
