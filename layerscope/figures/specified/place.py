"""What a panel is given: its place on the page, its run, and what it shares with the other panels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from layerscope.errors import DataError
from layerscope.runs.load import Run

from ..page import Page, Panel
from ..views import colours_apart
from ..words import printed

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.gridspec import SubplotSpec

__all__ = ["Colours", "Place", "Source", "one_of"]

T = TypeVar("T")


class Colours:
    """Colours of names in one figure: a name has one colour in all panels, and two names have two as long as they last.

    Parameters
    ----------
    given : mapping of str to str
        What the specification says.
    """

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given, self._known = dict(given), dict[str, str]()

    def of(
        self, names: Iterable[str], palette: Sequence[str], fixed: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Return the colours of names; new ones get the first colour of the palette that no other name has.

        Parameters
        ----------
        names : iterable of str
        palette : sequence of str
        fixed : mapping of str to str, optional
            Colours that the technique gives to some names in every figure.
        """
        names = list(dict.fromkeys(names))
        known = {**(fixed or {}), **self._given, **self._known}
        self._known |= colours_apart([[*self._known, *names]], palette, known)
        return {name: self._known[name] for name in names}


@dataclass
class Source:
    """A run, and what panels collected from it: a second panel of the same run does not collect anew."""

    run: Run
    _kept: dict[Any, Any] = field(default_factory=dict)

    def collect(self, pipeline: str, collect: Callable[[Run], T]) -> T:
        """Return what `collect` makes of the records of a pipeline."""
        key = pipeline, collect
        if key not in self._kept:
            self._kept[key] = collect(self.run.of_pipeline(pipeline))
        found: T = self._kept[key]
        return found


@dataclass
class Place:
    """Where a panel is drawn, and what it shares with others.

    Attributes
    ----------
    page : Page
    cell : SubplotSpec
    source : Source
        Its run.
    colours : Colours
    labels : mapping of str to str
        What is printed for a name.
    height_mm : float
        About, with its labels.
    arrays : dict of str to str
        Labels of images to arrays of the run, see `FigureProvenance`.
    axes : list of Axes
        What was made, the main ones first.
    handles : list
        Entries of its legend.
    """

    page: Page
    cell: SubplotSpec
    source: Source
    colours: Colours
    labels: Mapping[str, str]
    height_mm: float
    arrays: dict[str, str] = field(default_factory=dict)
    axes: list[Axes] = field(default_factory=list)
    handles: list[Artist] = field(default_factory=list)
    legend_look: Mapping[str, Any] = field(default_factory=dict)

    def word(self, name: str) -> str:
        """Return what is printed for a name."""
        return self.labels.get(name) or printed(name)

    def panel(self, title: str = "", pad: float = 3.0) -> Panel:
        """Return the whole place as one panel."""
        self.axes.append(self.page.figure.add_subplot(self.cell))
        return self.page.panel(self.axes[-1], title, pad)

    def stacked(self, heights: Sequence[float], title: str = "", pad: float = 3.0) -> list[Panel]:
        """Return panels above each other without a gap, on one axis; the first has the letter."""
        cells = self.cell.subgridspec(len(heights), 1, height_ratios=list(heights), hspace=0.0)
        for row in range(len(heights)):
            self.axes.append(self.page.figure.add_subplot(cells[row], sharex=self.axes[0] if row else None))
            self.axes[-1].tick_params(labelbottom=row == len(heights) - 1)
        first = self.page.panel(self.axes[0], title, pad)
        return [first, *(Panel(self.page, axes, first.letter) for axes in self.axes[1:])]

    def legend(self, handles: Sequence[Artist], **look: Any) -> None:
        """Explain curves, where the specification wants it."""
        self.handles += handles
        self.legend_look = look


def one_of(found: Mapping[str, T], wanted: str | None, what: str) -> T:
    """Return what is called so, or is the only one whose name holds the words.

    Raises
    ------
    DataError
        If there is none, or more than one; the message lists them.
    """
    if wanted in found:
        return found[wanted]  # type: ignore[index]
    close = [name for name in found if wanted is None or wanted.casefold() in name.casefold()]
    if len(close) == 1:
        return found[close[0]]
    asked = "" if wanted is None else f" {wanted!r}"
    listed = ", ".join(close or found) or "none"
    raise DataError(f"{len(close) or 'no'} {what}{asked} in the run", hint=f"one of: {listed}")
