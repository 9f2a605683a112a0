"""Parts of figures along a series: values with bands, bars and upper limits, events, and their legends.

Every function draws into a panel that it is given and puts what it drew into the table of its page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .coverage import GUIDE
from .page import Panel, Scale
from .style import DATA_COLOUR
from .views import Event, Points
from .words import legible, primed, printed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from matplotlib.path import Path

__all__ = [
    "DASHES",
    "Look",
    "bare",
    "draw_course",
    "draw_event_strip",
    "draw_intervals",
    "draw_limits",
    "event_guides",
    "limit_handle",
    "line_handles",
    "spread",
]

FloatArray = NDArray[np.float64]

DASHES = (0, (2.2, 1.2))
"""The way back, such as the discharge."""
_DOTS = (0, (1, 1.5))
_GREY = "#4D4D4D"
_ARROW_PT = 6.5


@dataclass(frozen=True)
class Look:
    """How a quantity along a series is drawn.

    Attributes
    ----------
    colour : str
    marker : str
        Empty for none.
    size : float
        Of the marker, in points.
    line : str or dashes
        Empty for none.
    width : float
        Of the line.
    open : bool
        Whether markers are white inside.
    edge : float
        Width of the markers' edge.
    band : float
        Opacity of the band of one standard error; 0 for none.
    bars : float
        Width of the error bars; 0 for none.
    cap : float
        Size of their caps.
    limits : {"arrow", "caret"}
        Bars with an arrow down, or small triangles where there are many.
    """

    colour: str
    marker: str = "o"
    size: float = 2.6
    line: str | tuple[float, tuple[float, ...]] = "-"
    width: float = 0.6
    open: bool = False
    edge: float = 0.0
    band: float = 0.0
    bars: float = 0.0
    cap: float = 1.0
    limits: Literal["arrow", "caret"] = "arrow"


def draw_course(
    panel: Panel,
    x: FloatArray,
    points: Points,
    label: str,
    scales: tuple[Scale, Scale],
    look: Look,
    *,
    upright: bool = False,
) -> None:
    """Draw a quantity against x with one standard error as band or bars.

    Parameters
    ----------
    panel : Panel
    x : ndarray, shape (L,)
    points : Points
    label : str
        In the table.
    scales : (Scale, Scale)
        Of x and of the quantity.
    look : Look
    upright : bool
        Draw x upwards and the quantity to the right, as beside a map.
    """
    axes = panel.axes
    panel.add(label, x, points.value, scales, points.low, points.high)
    order = 3 if look.open else 4
    style: dict[str, Any] = {
        "color": look.colour, "linestyle": look.line or "none", "linewidth": look.width, "marker": look.marker,
        "markersize": look.size, "markeredgewidth": look.edge, "zorder": order, "label": label,
        "markerfacecolor": "white" if look.open else look.colour,
    }  # fmt: skip
    if look.band:
        fill = axes.fill_betweenx if upright else axes.fill_between
        fill(x, points.low, points.high, color=look.colour, alpha=look.band, linewidth=0, zorder=2, label=label)
    if look.bars:
        bars: dict[str, Any] = {"elinewidth": look.bars, "capthick": look.bars, "capsize": look.cap}
        axes.errorbar(x, points.value, points.sigma, **style, **bars)
    else:
        axes.plot(*((points.value, x) if upright else (x, points.value)), **style)


def draw_limits(
    panel: Panel,
    x: FloatArray,
    points: Points,
    label: str,
    scales: tuple[Scale, Scale],
    look: Look,
    *,
    upright: bool = False,
) -> None:
    """Draw upper limits; parameters as those of `draw_course`."""
    panel.add(label, x, points.limit, scales)
    style: dict[str, Any] = {"color": look.colour, "linestyle": "", "zorder": 5, "label": label}
    if look.limits == "caret":
        style |= {"marker": "<" if upright else "v", "markersize": 1.6, "markeredgewidth": 0, "alpha": 0.6}
    else:
        style |= {"marker": _arrow(), "markersize": 2.0 * _ARROW_PT, "markeredgewidth": 0.5 if look.open else 0.8}
        style |= {"fillstyle": "none" if look.open else "full"}
    panel.axes.plot(*((points.limit, x) if upright else (x, points.limit)), **style)


@cache
def _arrow() -> Path:
    """Return a marker in points: a bar at the limit with an arrow down."""
    from matplotlib.path import Path

    tip, neck = -_ARROW_PT, -_ARROW_PT + 1.8
    line, move, close = Path.LINETO, Path.MOVETO, Path.CLOSEPOLY
    vertices = [(-2, 0), (2, 0), (0, 0), (0, neck), (-1, neck), (0, tip), (1, neck), (-1, neck)]
    return Path(vertices, [move, line, move, line, move, line, line, close])


# --- events ------------------------------------------------------------------------------------------------------


def draw_event_strip(
    panel: Panel, strip: Axes, events: Sequence[Event], colours: Mapping[str, str], scale: Scale
) -> None:
    """Draw events above a panel, a row each: a triangle (down for ends), its interval, its value.

    Parameters
    ----------
    panel : Panel
        The one below; its letter names the rows in the table.
    strip : Axes
        A flat one that shares the panel's x.
    events : sequence of Event
    colours : mapping of str to str
    scale : Scale
        Of x. Right of the middle of the panel, values are written to the left.
    """
    middle = float(np.mean(panel.axes.get_xlim()))
    counted: dict[str, int] = {}
    for number, event in enumerate(events):
        row = float(len(events) - number)
        colour = colours.get(event.component, DATA_COLOUR)
        where, (low, high) = event.where, event.span
        label = f"{primed(event.component)}: {event.kind}"
        counted[label] = counted.get(label, 0) + 1
        label += f" ({counted[label]})" if counted[label] > 1 else ""
        panel.add(
            label, [low, where, high], [row] * 3, (Scale(f"{label}: {scale.name}", scale.unit), Scale("row", "1"))
        )
        strip.plot([low, where, high], [row] * 3, color=colour, linewidth=1.6, solid_capstyle="butt", label=label)
        marker = "v" if event.kind == "end" else "^"
        strip.plot([where], [row], marker, color=colour, markersize=2.8, markeredgewidth=0, label=label)
        left = where > middle
        strip.annotate(
            f"{event.kind} {event.text} {scale.unit}".removesuffix(" 1"), (low if left else high, row),
            xytext=(-3 if left else 3, 0), textcoords="offset points", fontsize=5, va="center",
            ha="right" if left else "left", color=legible(colour),
        )  # fmt: skip
    strip.set_ylim(0.4, max(len(events), 1) + 0.6)
    bare(strip)


def bare(axes: Axes) -> None:
    """Take ticks and frame off a strip."""
    axes.set_yticks([])
    axes.tick_params(labelbottom=False, bottom=False)
    for side in ("top", "left", "right", "bottom"):
        axes.spines[side].set_visible(False)


def event_guides(
    axes: Axes, events: Sequence[Event], colours: Mapping[str, str], *, upright: bool = False, above: bool = False
) -> None:
    """Draw a dotted line at each event; `above` what is drawn already, as on a map, or behind it."""
    for event in events:
        line = axes.axhline if upright else axes.axvline
        colour, order = colours.get(event.component, DATA_COLOUR), 3.0 if above else 0.5
        line(event.where, color=colour, linewidth=0.5, linestyle=_DOTS, zorder=order, label=GUIDE)


def draw_intervals(axes: Axes, events: Sequence[Event], colours: Mapping[str, str], row: float, below: float) -> None:
    """Shade the intervals of events, and name each in a row of its own at the top of the panel.

    Parameters
    ----------
    axes : Axes
    events : sequence of Event
    colours : mapping of str to str
    row, below : float
        Height of a row, and what lies above the first one, in shares of the panel.
    """
    low, high = sorted(axes.get_xlim())
    for number, event in enumerate(events):
        colour, (start, end) = colours[event.component], event.span
        axes.axvspan(start, end, color=colour, alpha=0.13, linewidth=0, zorder=0, label=GUIDE)
        middle = 0.5 * (start + end)
        place = (middle - low) / (high - low)
        side, at = ("left", start) if place < 0.45 else ("right", end) if place > 0.55 else ("center", middle)
        axes.text(
            min(max((at - low) / (high - low), 0.02), 0.98), 1.0 - below - (number + 0.15) * row,
            f"{printed(event.component)} {event.kind} {event.text}", transform=axes.transAxes, fontsize=5.5,
            color=legible(colour), ha=side, va="top",
        )  # fmt: skip


# --- legends and labels ------------------------------------------------------------------------------------------


def line_handles(names: Mapping[str, str], **style: Any) -> list[Line2D]:
    """Return one legend entry a name: printed name to colour."""
    from matplotlib.lines import Line2D

    return [Line2D([], [], color=colour, label=name, **{"linewidth": 1.2, **style}) for name, colour in names.items()]


def limit_handle(label: str, *, caret: bool = False) -> Line2D:
    """Return the legend entry of upper limits."""
    from matplotlib.lines import Line2D

    look: dict[str, Any] = {"marker": "v", "markersize": 2} if caret else {"marker": r"$\downarrow$", "markersize": 4}
    return Line2D([], [], color=_GREY, linestyle="", markeredgewidth=0, label=label, **look)


def spread(places: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """Return the places moved apart to at least `least`, in the same order, within low and high where they fit.

    Parameters
    ----------
    places : sequence of float
        Wanted places, in any order.
    least : float
        Smallest distance between two.
    low, high : float
        Range to stay in.
    """
    order = sorted(range(len(places)), key=lambda k: places[k])
    moved = list(places)
    for before, k in zip([None, *order], order, strict=False):
        floor = low if before is None else moved[before] + least
        moved[k] = max(places[k], floor)
    ceiling = high
    for k in reversed(order):
        moved[k] = min(moved[k], ceiling)
        ceiling = moved[k] - least
    return moved
