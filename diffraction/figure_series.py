"""Figures that both pipelines share: the map beside the voltage, and amounts against voltage and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from layerscope.figures import SAMPLE_COLOURS, Page, Panel, Scale, save_figure, style
from layerscope.figures.courses import (
    DASHES,
    bare,
    draw_event_strip,
    event_guides,
    limit_handle,
    line_handles,
)
from layerscope.figures.parts import thinned
from layerscope.figures.words import ordinal, primed, printed

from .figure_data import Against, SeriesView, provenance_of
from .figure_parts import (
    AMOUNTS,
    MOST_ROWS,
    draw_amounts,
    draw_branches,
    draw_heat_map,
    draw_voltage,
    phase_handles,
)
from .phase_table import EMPTY_IN_ALL, FRACTION, LAYER_FRACTION, TOTAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.gridspec import SubplotSpec
    from matplotlib.lines import Line2D

__all__ = ["LAYERS", "MAX_SAMPLES", "WEIGHT", "WEIGHTS", "amounts_figure", "map_figure", "upright_amounts"]

MAX_SAMPLES = 3
"""Samples beside each other in one figure."""
WEIGHT = Scale("weight fraction", "1", "Weight fraction")


@dataclass(frozen=True)
class Amount:
    """What is drawn along the frames.

    Attributes
    ----------
    name, total : str
        Quantities: of the phases, and of what is drawn of all samples over each other.
    scale, total_scale : Scale
    whole : str
        Component of the total, where it is a component of `name` too.
    """

    name: str
    total: str
    scale: Scale
    total_scale: Scale
    whole: str = ""

    def totals(self, views: Sequence[SeriesView]) -> list[str]:
        """Return the totals of some series that tell more than their parts."""
        if self.whole:
            return [self.whole] if len(views) > 1 else []
        return [t for t in dict.fromkeys(t for v in views for t in v.totals) if len(views) > 1 or " + " in t]


WEIGHTS = Amount(FRACTION, TOTAL, WEIGHT, Scale("total weight fraction", "1", "Weight fraction, total"))
LAYERS = Amount(
    LAYER_FRACTION,
    LAYER_FRACTION,
    Scale("share of layers", "1", "Shares of layers"),
    Scale("share of interlayers", "1", "Share of empty interlayers"),
    EMPTY_IN_ALL,
)


def map_figure(
    view: SeriesView, colours: Mapping[str, str], stem: Path, limits: tuple[float, float], *, tracks: bool
) -> tuple[Path, ...]:
    """Draw voltage, intensity and fractions of a series side by side, time upwards.

    Parameters
    ----------
    view : SeriesView
    colours : mapping of str to str
    stem : Path
    limits : (float, float)
        Range of the angle in degrees.
    tracks : bool
        Whether the fitted positions are drawn on the map.
    """
    with style("double") as sheet:
        page = Page(sheet.figure(84.0))
        shares = bool(view.series.components(FRACTION))
        widths = [0.6] * (view.voltage is not None) + [1.65] + [0.85] * shares
        grid = page.figure.add_gridspec(1, len(widths), width_ratios=widths)
        panels = [page.figure.add_subplot(grid[0, k]) for k in range(len(widths))]
        for axes in panels[1:]:
            axes.sharey(panels[0])
            axes.tick_params(labelleft=False)
        if view.voltage is not None:
            draw_voltage(page.panel(panels[0]), view, upright=True)
        heat = panels[-2] if shares else panels[-1]
        exponent = 0.5 if tracks else 0.3
        shown = {p: colours[p] for p in view.series.phases if p in colours} if tracks else {}
        draw_heat_map(page.panel(heat), view, shown, limits, exponent)
        panels[0].set_ylabel(view.time.label)
        if shares:
            upright_amounts(page.panel(panels[-1]), view, colours)
        for axes in panels:
            event_guides(axes, view.events("time"), colours, upright=True, above=axes is heat)
        page.figure.suptitle(printed(view.series.sample))
        words = ["voltage"] * (view.voltage is not None)
        words += [f"diffracted intensity (grey, to the power of {exponent:g})"]
        words += ["weight fractions with one standard error"] * shares
        caption = (
            f"{view.series.sample}: {', '.join(words)}, against time. "
            "Dotted: onsets and ends of phases in their colours."
        )
        if tracks:
            caption += " Coloured lines on the map: fitted positions."
        step = int(np.diff(thinned(len(view.series.rows), MOST_ROWS))[0]) if len(view.series.rows) > 1 else 1
        if step > 1:
            caption += f" Every {ordinal(step)} frame is drawn."
        return save_figure(page.figure, stem, page.table, provenance_of([view], caption))


def upright_amounts(panel: Panel, view: SeriesView, colours: Mapping[str, str]) -> None:
    """Draw the weight fractions to the right against time upwards, as beside a map."""
    for phase in view.series.phases:
        points, look = view.points(FRACTION, phase), replace(AMOUNTS, colour=colours[phase])
        draw_amounts(panel, view.clock, points, primed(phase), (view.time, WEIGHT), look, upright=True)
    panel.axes.set_xlim(-0.03, 1.03)
    panel.axes.set_xlabel(WEIGHT.label)
    panel.axes.legend(handles=phase_handles(view.series.phases, colours), loc="best", fontsize=5.5)


def amounts_figure(
    views: Sequence[SeriesView], colours: Mapping[str, str], stem: Path, what: Amount = WEIGHTS
) -> tuple[Path, ...]:
    """Draw the fractions of samples side by side, against voltage and time, and their totals over each other.

    Parameters
    ----------
    views : sequence of SeriesView
        Up to `MAX_SAMPLES` samples.
    colours : mapping of str to str
    stem : Path
    what : Amount, optional
        Fractions of the weight, or shares of layers.
    """
    scales: list[Against] = ["voltage", "time"] if all(view.voltage is not None for view in views) else ["time"]
    totals = what.totals(views)
    across = len(views) == 1 and not totals  # a single sample has its scales side by side, not above each other
    strip_height = 0.3 + 0.55 * max(len(view.events("time")) for view in views)
    with style("double") as sheet:
        page = Page(sheet.figure(12.0 + 56.0 * (1 if across else len(scales))))
        if across:
            outer = page.figure.add_gridspec(1, len(scales))
        else:
            widths = [1.0] * len(views) + [0.9] * bool(totals)
            outer = page.figure.add_gridspec(len(scales), len(widths), width_ratios=widths)
        for line, against in enumerate(scales):
            first: Axes | None = None
            for column, view in enumerate(views):
                cell = outer[0, line] if across else outer[line, column]
                title = printed(view.series.sample) if line == 0 or across else ""
                panel, strip = _strip_and_panel(page, cell, strip_height, title, first)
                first = first or panel.axes
                _amount_panel(panel, strip, view, against, colours, what)
                panel.axes.tick_params(labelleft=column == 0)
                if column == 0:
                    panel.axes.set_ylabel(what.scale.label)
                    if line == 0:
                        panel.axes.legend(
                            handles=_kinds(views, colours, against, what), loc="center left", fontsize=5.5
                        )
            if totals:
                title = printed(totals[0]) if line == 0 else ""
                panel, strip = _strip_and_panel(page, outer[line, -1], strip_height, title)
                bare(strip)
                _total_panel(panel, views, against, totals[0], what, named=line == 0)
        caption = (
            f"{what.scale.label} with bands of one standard error, which where none is seen is narrower than the line; "
            "small triangles: upper limits (95 %) where a phase was not detected. Above the panels: onset (upward "
            "triangle) and end (downward triangle) of each phase with 68 % intervals. Solid: up to the highest "
            "voltage; dashed: after it."
        )
        return save_figure(page.figure, stem, page.table, provenance_of(views, caption))


def _strip_and_panel(
    page: Page, cell: SubplotSpec, height: float, title: str, beside: Axes | None = None
) -> tuple[Panel, Axes]:
    """Return a panel below a flat strip of the given height against 10, which has the letter."""
    inner = cell.subgridspec(2, 1, height_ratios=[height, 10.0], hspace=0.0)
    axes = page.figure.add_subplot(inner[1], sharey=beside)
    strip = page.figure.add_subplot(inner[0], sharex=axes)
    return page.panel(axes, title, above=strip), strip


def _kinds(views: Sequence[SeriesView], colours: Mapping[str, str], against: Against, what: Amount) -> list[Line2D]:
    phases = dict.fromkeys(phase for view in views for phase in view.series.parts)
    handles = phase_handles(list(phases), colours)
    if any(v.points(what.name, phase).limited.any() for v in views for phase in v.series.parts):
        handles.append(limit_handle("limit (95 %)", caret=True))
    if any(len(view.branches(against)) > 1 for view in views):
        ways = line_handles({"charge": "#4D4D4D", "discharge": "#4D4D4D"}, linewidth=0.8)
        ways[1].set_linestyle(DASHES)
        handles += ways
    return handles


def _amount_panel(
    panel: Panel, strip: Axes, view: SeriesView, against: Against, colours: Mapping[str, str], what: Amount
) -> None:
    for phase in view.series.parts:
        look = replace(AMOUNTS, colour=colours[phase])
        draw_branches(panel, view, against, view.points(what.name, phase), primed(phase), what.scale, look)
    events, scale = view.events(against), view.axis(against)[1]
    draw_event_strip(panel, strip, events, colours, scale)
    event_guides(panel.axes, events, colours)
    panel.axes.set_ylim(-0.03, 1.06)
    panel.axes.set_xlabel(scale.label)


def _total_panel(
    panel: Panel, views: Sequence[SeriesView], against: Against, total: str, what: Amount, *, named: bool
) -> None:
    axes, words = panel.axes, what.total_scale
    samples = {view.series.sample: SAMPLE_COLOURS[k % len(SAMPLE_COLOURS)] for k, view in enumerate(views)}
    for view in views:
        sample = view.series.sample
        look = replace(AMOUNTS, colour=samples[sample])
        draw_branches(panel, view, against, view.points(what.total, total), sample, words, look, f"{sample}: ")
    axes.set_xlabel(views[0].axis(against)[1].label)
    axes.set_ylabel(words.label)
    if named:
        handles = line_handles({printed(sample): colour for sample, colour in samples.items()}, linewidth=1.0)
        axes.legend(handles=handles, loc="upper left", fontsize=5.5)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.01), high * 1.08)
