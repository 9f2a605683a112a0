"""Figures that both pipelines share: the map beside the voltage, and amounts against voltage and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from layerscope.figures import PALETTE, Page, save_figure, style
from layerscope.figures.words import formula_label

from .figure_data import Event, Points, SeriesView, provenance, spoken_time
from .figure_parts import (
    bare,
    draw_amounts,
    draw_event_strip,
    draw_heat_map,
    draw_voltage,
    event_guides,
    limit_handle,
    phase_handles,
    thinned,
)
from .phase_table import FRACTION, TOTAL, phase_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["amounts_figure", "axis_of", "branches_of", "map_figure"]

MAX_SAMPLES = 3
"""Samples beside each other in one figure."""
SAMPLE_COLOURS = ("#000000", PALETTE[2], PALETTE[3], "#882255", PALETTE[5])


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
            draw_voltage(page, panels[0], view, page.letter(panels[0]))
        heat = panels[-2] if shares else panels[-1]
        letter = page.letter(heat)
        draw_heat_map(page, heat, view, letter, colours, limits=limits, tracks=tracks)
        panels[0].set_ylabel(spoken_time(view))
        if shares:
            _upright_amounts(page, panels[-1], view, colours)
        for axes in panels:
            event_guides(axes, view.events("time"), colours, upright=True, above=axes is heat)
        page.figure.suptitle(formula_label(view.series.sample))
        exponent = 0.5 if tracks else 0.3
        shown = ["voltage"] * (view.voltage is not None) + [
            f"diffracted intensity (grey, to the power of {exponent:g})"
        ]
        shown += ["weight fractions with one standard error"] * shares
        caption = (
            f"{view.series.sample}: {', '.join(shown)}, against time. "
            "Dotted: onsets and ends of phases in their colours."
        )
        if tracks:
            caption += " Coloured lines on the map: fitted positions."
        step = int(np.diff(thinned(len(view.series.rows)))[0]) if len(view.series.rows) > 1 else 1
        if step > 1:
            caption += f" Every {step}th frame is drawn."
        return save_figure(page.figure, stem, page.table, provenance([view], caption))


def _upright_amounts(page: Page, axes: Axes, view: SeriesView, colours: Mapping[str, str]) -> None:
    letter = page.letter(axes)
    clock = ("time" if view.clock_unit else "frame", view.clock_unit or "1")
    for phase in view.series.phases:
        points = view.points(FRACTION, phase)
        draw_amounts(page, axes, letter, view.clock, clock, points, colours[phase], phase_label(phase), upright=True)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel("Weight fraction")
    axes.legend(handles=phase_handles(view.series.phases, colours), loc="best", fontsize=5.5)


def amounts_figure(views: Sequence[SeriesView], colours: Mapping[str, str], stem: Path) -> tuple[Path, ...]:
    """Draw the fractions of samples side by side, against voltage and time, and their totals over each other.

    Parameters
    ----------
    views : sequence of SeriesView
        Up to `MAX_SAMPLES` samples.
    colours : mapping of str to str
    stem : Path
    """
    scales = (["voltage"] if all(view.voltage is not None for view in views) else []) + ["time"]
    totals = [t for t in dict.fromkeys(t for v in views for t in v.totals) if len(views) > 1 or " + " in t]
    across = len(views) == 1 and not totals  # a single sample has its scales side by side, not above each other
    with style("double") as sheet:
        page = Page(sheet.figure(12.0 + 56.0 * (1 if across else len(scales))))
        if across:
            outer = page.figure.add_gridspec(1, len(scales))
        else:
            widths = [1.0] * len(views) + [0.9] * bool(totals)
            outer = page.figure.add_gridspec(len(scales), len(widths), width_ratios=widths)
        for line, scale in enumerate(scales):
            first: Axes | None = None
            for column, view in enumerate(views):
                cell = outer[0, line] if across else outer[line, column]
                inner = cell.subgridspec(2, 1, height_ratios=[_strip(views), 10.0], hspace=0.0)
                axes = page.figure.add_subplot(inner[1], sharey=first)
                strip = page.figure.add_subplot(inner[0], sharex=axes)
                first = first or axes
                title = formula_label(view.series.sample) if line == 0 or across else ""
                _amount_panel(page, axes, strip, view, scale, colours, title)
                axes.tick_params(labelleft=column == 0)
                if column == 0:
                    axes.set_ylabel("Weight fraction")
                    if line == 0:
                        axes.legend(handles=_kinds(views, colours, scale), loc="center left", fontsize=5.5)
            if totals:
                inner = outer[line, -1].subgridspec(2, 1, height_ratios=[_strip(views), 10.0], hspace=0.0)
                axes = page.figure.add_subplot(inner[1])
                strip = page.figure.add_subplot(inner[0], sharex=axes)
                bare(strip)
                _total_panel(page, axes, strip, views, scale, totals[0], named=line == 0)
        caption = (
            "Weight fractions with bands of one standard error, which where none is seen is narrower than the line; "
            "small triangles: upper limits (95 %) where a phase was not detected. Above the panels: onset (upward "
            "triangle) and end (downward triangle) of each phase with 68 % intervals. Solid: up to the highest "
            "voltage; dashed: after it."
        )
        return save_figure(page.figure, stem, page.table, provenance(views, caption))


def _strip(views: Sequence[SeriesView]) -> float:
    """Return the height of the strip of events against 10 of the panel below."""
    return 0.3 + 0.55 * max(len(view.events("time")) for view in views)


def _kinds(views: Sequence[SeriesView], colours: Mapping[str, str], scale: str) -> list[object]:
    from matplotlib.lines import Line2D

    phases = dict.fromkeys(phase for view in views for phase in view.series.phases)
    handles: list[object] = list(phase_handles(list(phases), colours))
    limited = (np.isfinite(v.points(FRACTION, phase).limit).any() for v in views for phase in v.series.phases)
    handles += [limit_handle()] if any(limited) else []
    if scale == "voltage" and any(view.turn < len(view.series.rows) - 1 for view in views):
        handles += [
            Line2D([], [], color="#4D4D4D", linewidth=0.8, label="charge"),
            Line2D([], [], color="#4D4D4D", linewidth=0.8, linestyle=(0, (2.2, 1.2)), label="discharge"),
        ]
    return handles


def branches_of(view: SeriesView, scale: str) -> list[tuple[slice, str, bool]]:
    """Return what is drawn as one curve each: rows, words for the table, whether dashed."""
    end = len(view.series.rows)
    if scale == "time" or view.turn >= end - 1:
        return [(slice(0, end), "", False)]
    return [(slice(0, view.turn + 1), ", charge", False), (slice(view.turn, end), ", discharge", True)]


def axis_of(view: SeriesView, scale: str) -> tuple[np.ndarray, tuple[str, str]]:
    """Return x of a series on a scale, with its name and unit."""
    if scale == "voltage":
        assert view.voltage is not None  # noqa: S101 - the caller looked
        return view.voltage, ("voltage", "V")
    return view.clock, ("time" if view.clock_unit else "frame", view.clock_unit or "1")


def _cut(points: Points, rows: slice) -> Points:
    return Points(points.value[rows], points.sigma[rows], points.limit[rows])


def _amount_panel(
    page: Page, axes: Axes, strip: Axes, view: SeriesView, scale: str, colours: Mapping[str, str], title: str
) -> None:
    letter = page.letter(strip, title)
    x, words = axis_of(view, scale)
    for phase in view.series.phases:
        points = view.points(FRACTION, phase)
        for rows, ending, dashed in branches_of(view, scale):
            label = f"{phase_label(phase)}{ending}"
            named = (f"{words[0]}{ending}", words[1])
            draw_amounts(page, axes, letter, x[rows], named, _cut(points, rows), colours[phase], label, dashed=dashed)
    events: tuple[Event, ...] = view.events("voltage" if scale == "voltage" else "time")
    known = x[np.isfinite(x)]
    draw_event_strip(page, strip, letter, events, colours, words, 0.5 * float(known.min() + known.max()))
    event_guides(axes, events, colours)
    axes.set_ylim(-0.03, 1.06)
    axes.set_xlabel("Voltage / V" if scale == "voltage" else spoken_time(view))


def _total_panel(
    page: Page, axes: Axes, strip: Axes, views: Sequence[SeriesView], scale: str, total: str, *, named: bool
) -> None:
    from matplotlib.lines import Line2D

    letter = page.letter(strip, phase_label(total) if named else "")
    handles = []
    for number, view in enumerate(views):
        colour = SAMPLE_COLOURS[number % len(SAMPLE_COLOURS)]
        x, words = axis_of(view, scale)
        points = view.points(TOTAL, total)
        for rows, ending, dashed in branches_of(view, scale):
            label = f"{view.series.sample}{ending}"
            its = (f"{view.series.sample}: {words[0]}{ending}", words[1])
            draw_amounts(
                page, axes, letter, x[rows], its, _cut(points, rows), colour, label,
                dashed=dashed, y_words=("total weight fraction", "1"),
            )  # fmt: skip
        handles.append(Line2D([], [], color=colour, linewidth=1.0, label=formula_label(view.series.sample)))
    axes.set_xlabel("Voltage / V" if scale == "voltage" else spoken_time(views[0]))
    axes.set_ylabel("Weight fraction, total")
    if named:
        axes.legend(handles=handles, loc="upper left", fontsize=5.5)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.01), high * 1.08)
