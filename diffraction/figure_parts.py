"""The parts of diffraction figures: heat maps, stacked patterns, amounts with bands and events, single patterns.

Every function draws into axes that it is given, and adds what it drew to the page, so that the table beside the figure
holds every point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from layerscope.figures import DATA_COLOUR, GUIDE, Column, Curve, Page
from layerscope.figures.words import legible

from .figure_data import Event, Points, SeriesView, spoken_time
from .phase_table import phase_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

__all__ = [
    "BACKGROUND_COLOUR",
    "CELL_LINES",
    "FIT_COLOUR",
    "bare",
    "draw_amounts",
    "draw_event_strip",
    "draw_heat_map",
    "draw_pattern",
    "draw_residuals",
    "draw_voltage",
    "event_guides",
    "limit_handle",
    "phase_handles",
    "thinned",
]

FloatArray = NDArray[np.float64]

FIT_COLOUR = "#7F7F7F"
BACKGROUND_COLOUR = "#4D4D4D"
CELL_LINES = "lines of the cell"
_MARKS = [step * 10.0**power for power in range(1, 8) for step in (0.5, 1.0, 2.0)]
MOST_ROWS = 300
"""Frames that a heat map shows; of longer series every second, third, ... is drawn."""


def thinned(count: int, most: int = MOST_ROWS) -> NDArray[np.intp]:
    """Return evenly spaced row numbers, at most `most` of `count`."""
    return np.arange(0, count, max(1, -(-count // most)))


def _edges(centres: FloatArray) -> FloatArray:
    if centres.size == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middle = 0.5 * (centres[1:] + centres[:-1])
    return np.concatenate([[1.5 * centres[0] - 0.5 * centres[1]], middle, [1.5 * centres[-1] - 0.5 * centres[-2]]])


def draw_voltage(page: Page, axes: Axes, view: SeriesView, panel: str) -> None:
    """Draw the cell voltage to the right, time upwards."""
    assert view.voltage is not None  # noqa: S101 - the caller looked
    page.curves.append(
        Curve(panel, "voltage", view.clock, view.voltage, _clock_name(view), view.clock_unit or "1", "voltage", "V")
    )
    axes.plot(view.voltage, view.clock, color=DATA_COLOUR, linewidth=0.8)
    axes.set_xlabel("Voltage / V")
    axes.set_ylabel(spoken_time(view))
    axes.margins(x=0.08)
    _few_ticks(axes, "x", 4)


def _clock_name(view: SeriesView) -> str:
    return "time" if view.clock_unit else "frame"


def _few_ticks(axes: Axes, which: str, count: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(nbins=count, steps=[1, 2, 2.5, 5, 10]))


def draw_heat_map(
    page: Page,
    axes: Axes,
    view: SeriesView,
    panel: str,
    colours: Mapping[str, str],
    *,
    limits: tuple[float, float],
    tracks: bool,
) -> None:
    """Draw intensity against angle (to the right) and time (upwards), in grey on a compressed scale.

    Parameters
    ----------
    page : Page
    axes : Axes
    view : SeriesView
    panel : str
    colours : mapping of str to str
    limits : (float, float)
        Range of the angle in degrees.
    tracks : bool
        Whether the fitted positions of the phases are drawn on top; without, in whole patterns, the scale of grey is
        compressed further (exponent 0.3, not 0.5) to show the weak lines.
    """
    from matplotlib.colors import PowerNorm

    inside = (view.arrays.axis >= limits[0]) & (view.arrays.axis <= limits[1])
    angle = view.arrays.axis[inside]
    rows = thinned(len(view.series.rows))
    counts = view.arrays.counts[view.level[rows]][:, inside]
    low, high = float(np.quantile(counts, 0.01)), float(np.quantile(counts, 0.9995))
    mesh = axes.pcolormesh(
        _edges(angle),
        _edges(view.clock[rows]),
        counts,
        cmap="Greys",
        norm=PowerNorm(0.5 if tracks else 0.3, vmin=max(low, 0.0), vmax=max(high, low + 1.0)),
        rasterized=True,
    )
    unit = view.arrays.intensity_unit
    for row, intensity in zip(rows, counts, strict=True):
        page.curves.append(
            Curve(panel, view.title_of(int(row)), angle, intensity, "two_theta", "deg", "intensity", unit)
        )
    page.columns.append(
        Column.numbers(f"{panel}: {_clock_name(view)} of the frames", view.clock_unit or "1", view.clock[rows])
    )
    if tracks:
        _draw_tracks(page, axes, view, panel, colours)
    axes.set_xlim(*limits)
    axes.set_ylim(view.clock[0], view.clock[-1])
    axes.set_xlabel("2θ / °")
    bar = axes.figure.colorbar(mesh, ax=axes, pad=0.015, aspect=40, fraction=0.03)
    bar.outline.set_linewidth(0.3)
    bar.ax.tick_params(labelsize=5, length=1.5, width=0.3, pad=1)
    bar.set_label(unit.capitalize(), fontsize=6, labelpad=1)


def _draw_tracks(page: Page, axes: Axes, view: SeriesView, panel: str, colours: Mapping[str, str]) -> None:
    for phase in (p for p in view.series.phases if p in colours):
        position = view.points("peak.position", phase)
        if not np.isfinite(position.value).any():
            continue
        label = f"{phase_label(phase)}: position"
        page.curves.append(
            Curve(
                f"{panel}, tracks",
                label,
                view.clock,
                position.value,
                _clock_name(view),
                view.clock_unit or "1",
                "two_theta",
                "deg",
                position.value - position.sigma,
                position.value + position.sigma,
            )
        )
        axes.plot(position.value, view.clock, color="white", linewidth=1.5, label=label)
        axes.plot(position.value, view.clock, color=colours[phase], linewidth=0.8, label=label)


def limit_handle() -> Line2D:
    """Return the legend entry of upper limits."""
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], color="#4D4D4D", marker="v", markersize=2, markeredgewidth=0, linestyle="", label="limit (95 %)"
    )


def phase_handles(phases: Sequence[str], colours: Mapping[str, str]) -> list[Line2D]:
    """Return one legend entry a phase."""
    from matplotlib.lines import Line2D

    return [Line2D([], [], color=colours[p], linewidth=1.2, label=phase_label(p)) for p in phases]


def draw_amounts(
    page: Page,
    axes: Axes,
    panel: str,
    x: FloatArray,
    x_words: tuple[str, str],
    points: Points,
    colour: str,
    label: str,
    *,
    dashed: bool = False,
    upright: bool = False,
    y_words: tuple[str, str] = ("weight fraction", "1"),
) -> None:
    """Draw a quantity with its band of one standard error, and its upper limits as small carets.

    Parameters
    ----------
    page : Page
    axes : Axes
    panel : str
    x : ndarray, shape (R,)
    x_words : (str, str)
        Name and unit of x.
    points : Points
    colour, label : str
    dashed : bool
        For the discharge.
    upright : bool
        Draw x upwards and the quantity to the right, as beside a heat map.
    y_words : (str, str)
        Name and unit of the quantity.
    """
    low, high = points.value - points.sigma, points.value + points.sigma
    known = np.isfinite(points.value)
    style = (0, (2.2, 1.2)) if dashed else "-"
    if known.any():
        page.curves.append(Curve(panel, label, x, points.value, *x_words, *y_words, low, high))
        fill = axes.fill_betweenx if upright else axes.fill_between
        # the edges of an upright band stand in two columns (low, high) of the table, which the look-up does not see
        band = GUIDE if upright else label
        fill(x, low, high, where=known, color=colour, alpha=0.3, linewidth=0, label=band)
        at = (points.value, x) if upright else (x, points.value)
        axes.plot(*at, color=colour, linewidth=0.7, linestyle=style, label=label)
        if x.size <= 150:
            face = "white" if dashed else colour
            axes.plot(*at, "o", color=colour, markersize=1.5, markerfacecolor=face, markeredgewidth=0.3, label=label)
    limited = np.isfinite(points.limit)
    if limited.any():
        name = f"{label}: upper limit (95 %)"
        page.curves.append(Curve(panel, name, x[limited], points.limit[limited], *x_words, *y_words))
        at = (points.limit[limited], x[limited]) if upright else (x[limited], points.limit[limited])
        axes.plot(
            *at, marker="<" if upright else "v", linestyle="", color=colour, markersize=1.6, markeredgewidth=0,
            alpha=0.6, label=name,
        )  # fmt: skip


def draw_event_strip(
    page: Page,
    axes: Axes,
    panel: str,
    events: Sequence[Event],
    colours: Mapping[str, str],
    x_words: tuple[str, str],
    middle: float,
) -> None:
    """Draw onsets and ends above a panel, a row each: a triangle, its interval, its value.

    Parameters
    ----------
    page : Page
    axes : Axes
        A flat one that shares its x axis with the panel below.
    panel : str
    events : sequence of Event
    colours : mapping of str to str
    x_words : (str, str)
        Name and unit of x.
    middle : float
        Right of it, values are written to the left.
    """
    for number, event in enumerate(events):
        row = float(len(events) - number)
        colour = colours.get(event.phase, DATA_COLOUR)
        where = _place(event)
        low = where if event.low is None else event.low
        high = where if event.high is None else event.high
        label = f"{phase_label(event.phase)}: {event.kind}"
        taken = sum(curve.label.startswith(label) and curve.panel == panel for curve in page.curves)
        label += f" ({taken + 1})" if taken else ""
        name = f"{label}: {x_words[0]}"
        page.curves.append(Curve(panel, label, [low, where, high], [row] * 3, name, x_words[1], "row", "1"))
        axes.plot([low, where, high], [row] * 3, color=colour, linewidth=1.6, solid_capstyle="butt", label=label)
        marker = "^" if event.kind == "onset" else "v"
        axes.plot([where], [row], marker, color=colour, markersize=2.8, markeredgewidth=0, label=label)
        left = where > middle
        words = f"{event.kind} {event.text} {x_words[1]}".removesuffix(" 1")
        axes.annotate(
            words, (low if left else high, row), xytext=(-3 if left else 3, 0), textcoords="offset points",
            fontsize=5, va="center", ha="right" if left else "left", color=legible(colour),
        )  # fmt: skip
    axes.set_ylim(0.4, max(len(events), 1) + 0.6)
    bare(axes)


def bare(axes: Axes) -> None:
    """Take ticks and frame off a strip."""
    axes.set_yticks([])
    axes.tick_params(labelbottom=False, bottom=False)
    for side in ("top", "left", "right", "bottom"):
        axes.spines[side].set_visible(False)


def _place(event: Event) -> float:
    """Return where an event is drawn: its value, else the closed end of its interval."""
    where = next(v for v in (event.value, event.low, event.high) if v is not None)
    return float(where)


def event_guides(
    axes: Axes, events: Sequence[Event], colours: Mapping[str, str], *, upright: bool = False, above: bool = False
) -> None:
    """Draw a dotted line at each event; `above` what is drawn already, as on a map, or behind it."""
    for event in events:
        line = axes.axhline if upright else axes.axvline
        colour = colours.get(event.phase, DATA_COLOUR)
        line(
            _place(event),
            color=colour,
            linewidth=0.5,
            linestyle=(0, (1, 1.5)),
            zorder=3.0 if above else 0.5,
            label=GUIDE,
        )


def draw_pattern(
    page: Page,
    axes: Axes,
    view: SeriesView,
    row: int,
    panel: str,
    colours: Mapping[str, str],
    limits: tuple[float, float],
) -> list[Patch]:
    """Draw one frame with its components on its background; return the legend of what was drawn."""
    from matplotlib.patches import Patch

    arrays, level = view.arrays, int(view.level[row])
    inside = (arrays.axis >= limits[0]) & (arrays.axis <= limits[1])
    angle = arrays.axis[inside]
    background = arrays.background[level][inside]
    handles: list[Patch] = []
    drawn = {"data": arrays.counts[level][inside], "fit": arrays.fit[level][inside], "background": background}
    for name, curve in sorted(arrays.components.items(), key=lambda item: item[0] not in colours):  # phases first
        part = curve[level][inside]
        if not part.any():
            continue
        colour = colours.get(name, "#999999")
        axes.fill_between(angle, background, background + part, color=colour, alpha=0.45, linewidth=0)
        axes.plot(angle, background + part, color=colour, linewidth=0.5)
        drawn[phase_label(name)] = background + part
        words = phase_label(name) if name in colours else CELL_LINES
        handles.append(Patch(facecolor=colour, edgecolor=colour, alpha=0.6, label=words))
    axes.plot(angle, background, color=BACKGROUND_COLOUR, linewidth=0.4, linestyle=(0, (3, 2)))
    axes.plot(angle, drawn["data"], ".", color=DATA_COLOUR, markersize=1.5, markeredgewidth=0)
    axes.plot(angle, drawn["fit"], color=FIT_COLOUR, linewidth=0.6)
    unit = arrays.intensity_unit
    page.curves += [Curve(panel, label, angle, y, "two_theta", "deg", "intensity", unit) for label, y in drawn.items()]
    axes.set_xlim(*limits)
    return handles


def draw_residuals(
    page: Page, axes: Axes, view: SeriesView, row: int, panel: str, limits: tuple[float, float], *, line: bool = False
) -> None:
    """Draw counts minus fit in units of sigma, with a band of two sigma."""
    inside = (view.arrays.axis >= limits[0]) & (view.arrays.axis <= limits[1])
    angle = view.arrays.axis[inside]
    residual = view.arrays.residual[int(view.level[row])][inside]
    page.curves.append(Curve(panel, "residual", angle, residual, "two_theta", "deg", "residual / sigma", "1"))
    reach = max(4.0, float(np.abs(residual).max()) * 1.1)
    axes.axhspan(-2.0, 2.0, color="#DDDDDD", linewidth=0, label=GUIDE)
    axes.axhline(0.0, color=FIT_COLOUR, linewidth=0.5)
    if line:
        axes.plot(angle, residual, color=DATA_COLOUR, linewidth=0.35)
    else:
        axes.plot(angle, residual, ".", color=DATA_COLOUR, markersize=1.1, markeredgewidth=0)
    axes.set_ylim(-reach, reach)
    mark = 3.0 if reach < 9.0 else max(m for m in _MARKS if m < 0.85 * reach)
    axes.set_yticks([-mark, 0.0, mark], [f"−{mark:g}", "0", f"{mark:g}"])
    axes.set_xlim(*limits)
