"""The parts of figures that only diffraction has: the map with tracks beside the voltage, and amounts along frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from layerscope.figures import DATA_COLOUR, Column, Panel, Scale
from layerscope.figures.courses import DASHES, Look, draw_course, draw_limits, line_handles
from layerscope.figures.parts import draw_map, edges, slim, thinned
from layerscope.figures.views import Points
from layerscope.figures.words import primed, printed

from .figure_data import TWO_THETA, VOLTAGE, Against, SeriesView

if TYPE_CHECKING:
    from matplotlib.lines import Line2D

__all__ = ["AMOUNTS", "MOST_ROWS", "draw_amounts", "draw_branches", "draw_heat_map", "draw_voltage", "phase_handles"]

FloatArray = NDArray[np.float64]

MOST_ROWS = 300
"""Frames that a heat map shows; of longer series every second, third, ... is drawn."""
MARKED = 150
"""Frames up to which every point has a symbol."""
AMOUNTS = Look("", size=1.5, width=0.7, edge=0.3, band=0.3, limits="caret")


def draw_voltage(panel: Panel, view: SeriesView, *, upright: bool = False) -> None:
    """Draw the voltage of the cell, as the cycler recorded it, against time; `upright` with time upwards."""
    from matplotlib.ticker import MaxNLocator

    axes, (clock, voltage) = panel.axes, view.cell
    panel.add("voltage", clock, voltage, (view.time, VOLTAGE))
    axes.plot(*((voltage, clock) if upright else (clock, voltage)), color=DATA_COLOUR, linewidth=0.8)
    if upright:
        axes.set_xlabel(VOLTAGE.label)
        axes.set_ylabel(view.time.label)
        axes.margins(x=0.08)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=3, steps=[1, 2, 2.5, 5, 10]))
    else:
        axes.set_ylabel(VOLTAGE.label)


def draw_heat_map(
    panel: Panel, view: SeriesView, tracks: Mapping[str, str], limits: tuple[float, float], exponent: float = 0.5
) -> None:
    """Draw intensity against angle (to the right) and time (upwards), in grey on a compressed scale.

    Parameters
    ----------
    panel : Panel
    view : SeriesView
    tracks : mapping of str to str
        Components whose fitted positions are drawn on top, with their colours.
    limits : (float, float)
        Range of the angle in degrees.
    exponent : float
        Of the scale of grey; whole patterns are compressed further to show the weak lines.
    """
    from matplotlib.colors import PowerNorm

    axes, arrays = panel.axes, view.arrays
    inside = (arrays.axis >= limits[0]) & (arrays.axis <= limits[1])
    angle, rows = arrays.axis[inside], thinned(len(view.series.rows), MOST_ROWS)
    counts = arrays.counts[view.level[rows]][:, inside]
    low, high = float(np.quantile(counts, 0.01)), float(np.quantile(counts, 0.9995))
    norm = PowerNorm(exponent, vmin=max(low, 0.0), vmax=max(high, low + 1.0))
    mesh = draw_map(axes, edges(angle), edges(view.clock[rows]), counts, "Greys", norm)
    for row, intensity in zip(rows, counts, strict=True):
        panel.add(view.title_of(int(row)), angle, intensity, (TWO_THETA, Scale("intensity", arrays.intensity_unit)))
    clock = Column.numbers(f"{panel.letter}: {view.time.name} of the frames", view.time.unit, view.clock[rows])
    panel.page.columns.append(clock)
    for component, colour in tracks.items():
        _draw_track(replace(panel, letter=f"{panel.letter}, tracks"), view, component, colour)
    axes.set_xlim(*limits)
    axes.set_ylim(view.clock[0], view.clock[-1])
    axes.set_xlabel(TWO_THETA.label)
    bar = axes.figure.colorbar(mesh, ax=axes, pad=0.015, aspect=40, fraction=0.03)
    bar.set_label(arrays.intensity_unit.capitalize(), fontsize=6, labelpad=1)
    bar.outline.set_linewidth(0.3)
    slim(bar.ax)


def _draw_track(panel: Panel, view: SeriesView, component: str, colour: str) -> None:
    """Draw the fitted positions of a component, time upwards, with a white seam."""
    position = view.points("peak.position", component)
    if not position.known.any():
        return
    label = f"{primed(component)}: position"
    panel.add(label, view.clock, position.value, (view.time, TWO_THETA), position.low, position.high)
    for line, width in (("white", 1.5), (colour, 0.8)):
        panel.axes.plot(position.value, view.clock, color=line, linewidth=width, label=label)


def phase_handles(phases: Sequence[str], colours: Mapping[str, str]) -> list[Line2D]:
    """Return one legend entry a phase."""
    return line_handles({printed(phase): colours[phase] for phase in phases})


def draw_amounts(
    panel: Panel,
    x: FloatArray,
    points: Points,
    label: str,
    scales: tuple[Scale, Scale],
    look: Look,
    *,
    upright: bool = False,
) -> None:
    """Draw a quantity with its band of one standard error, and upper limits as small carets, as far as there are any.

    Parameters as those of `layerscope.figures.courses.draw_course`.
    """
    if x.size > MARKED:
        look = replace(look, marker="")
    if points.known.any():
        draw_course(panel, x, points, label, scales, look, upright=upright)
    low = points.limited
    if low.any():
        draw_limits(panel, x[low], points[low], f"{label}: upper limit (95 %)", scales, look, upright=upright)


def draw_branches(
    panel: Panel,
    view: SeriesView,
    against: Against,
    points: Points,
    label: str,
    scale: Scale,
    look: Look,
    own: str = "",
) -> None:
    """Draw a quantity along the frames, the discharge open and dashed; `own` precedes the name of x in the table."""
    x, words = view.axis(against)
    for rows, ending, back in view.branches(against):
        across = replace(words, name=f"{own}{words.name}{ending}")
        branch = replace(look, open=back, line=DASHES if back else look.line)
        draw_amounts(panel, x[rows], points[rows], f"{label}{ending}", (across, scale), branch)
