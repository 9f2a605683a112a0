"""Panels of figures by specification: Rietveld plots, tables of what was refined, patterns over each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from layerscope.figures import SAMPLE_COLOURS, Column, Panel, Scale
from layerscope.figures.courses import line_handles
from layerscope.figures.parts import draw_residuals
from layerscope.figures.specified import PanelKind, PanelOptions, Place
from layerscope.figures.words import legible
from layerscope.records import ResultRecord

from ..figure_data import TWO_THETA, SeriesView
from ..panels import FrameOptions, frame_of, phases_of, view_of
from .figures import draw_profile, draw_ticks, profile_handles, table_words, write_merits
from .ticks import tick_positions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PANELS"]

PIPELINE = "rietveld"
ROW_PT = 9.5
"""Height of a row of a table."""


class PatternOptions(FrameOptions):
    """A Rietveld plot: observed, calculated, background, the reflections of each phase, the difference."""

    numbers: bool = Field(default=True, description="R factors, shares and cells in the panel")


class TableOptions(FrameOptions):
    """A table of what was refined of each phase: share of the weight, cell, R factors below."""


class PatternsOptions(PanelOptions):
    """Measured patterns of samples over each other, each over its largest intensity in the range; ticks of phases."""

    samples: tuple[str, ...] = Field(description="samples in their order, or parts of their names")
    ticks: bool = Field(default=True, description="the reflections of a phase, as each sample was refined")
    phase: str | None = Field(default=None, description="which phase; by default the first of each sample")


def _pattern(place: Place, options: PatternOptions) -> Sequence[ResultRecord]:
    view = view_of(place, PIPELINE, options.sample)
    row, colours = frame_of(view, options), phases_of(place, [view])
    frame = view.series.rows[row]
    ticks = tick_positions(frame.record, view.arrays, int(view.level[row]))
    title = place.word(view.series.sample if options.title is None else options.title)
    upper, strip, lower = place.stacked([10.0, 0.7 * max(len(ticks), 1) + 0.4, 2.6], title)
    draw_profile(upper, view, row)
    if options.numbers:
        write_merits(upper.axes, view, frame, colours)
    place.legend(profile_handles(), loc="upper right")
    draw_ticks(Panel(place.page, strip.axes, f"{upper.letter}, ticks"), ticks, colours)
    ends = float(view.arrays.axis[0]), float(view.arrays.axis[-1])
    draw_residuals(Panel(place.page, lower.axes, f"{upper.letter}, difference"), view.spectrum(row, ends), line=True)
    upper.axes.set_ylabel(f"(Intensity / {view.arrays.intensity_unit})$^{{1/2}}$")
    lower.axes.set_ylabel("Δ / σ")
    lower.axes.set_xlabel(TWO_THETA.label)
    return [frame.record]


def _table(place: Place, options: TableOptions) -> Sequence[ResultRecord]:
    view = view_of(place, PIPELINE, options.sample)
    frame, colours = view.series.rows[frame_of(view, options)], phases_of(place, [view])
    panel = place.panel(place.word(view.series.sample if options.title is None else options.title))
    head, rows, merits = table_words(frame, view.series.phases)
    axes = panel.axes
    axes.axis("off")
    places = np.concatenate([[0.0], 0.22 + 0.78 * np.arange(len(head) - 1) / max(len(head) - 1, 1)])
    for line, cells in enumerate([head, *rows]):
        for x, cell in zip(places, cells, strict=True):
            colour = legible(colours[view.series.phases[line - 1]]) if line and x == 0.0 else "black"
            weight = "bold" if line == 0 else "normal"
            _write(axes, x, line, cell, color=colour, fontweight=weight)
    _write(axes, 0.0, len(rows) + 1.2, merits)
    panel.page.columns += [
        Column.labels(f"{panel.letter}: {name}", column)
        for name, column in zip(head, zip(*rows, strict=True), strict=True)
    ]
    return [frame.record]


def _write(axes: Axes, x: float, line: float, text: str, **look: Any) -> None:
    """Write a cell of a table, `line` rows below the upper end of the panel."""
    at: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "baseline", "fontsize": 6}
    axes.annotate(text, (x, 1.0), (0.0, -ROW_PT * (line + 0.1) - 6.0), **at, **look)


def _patterns(place: Place, options: PatternsOptions) -> Sequence[ResultRecord]:
    views: list[SeriesView] = [view_of(place, PIPELINE, sample) for sample in options.samples]
    names = [view.series.sample for view in views]
    colours = place.colours.of(names, SAMPLE_COLOURS)
    panel = place.panel(place.word(options.title or ""))
    for number, (view, name) in enumerate(zip(views, names, strict=True)):
        axis, level = view.arrays.axis, int(view.level[0])
        low, high = sorted(options.x or (float(axis[0]), float(axis[-1])))
        inside = (axis >= low) & (axis <= high)
        shown = view.arrays.counts[level][inside] - view.arrays.background[level][inside]
        shown = shown / float(np.nanmax(shown))
        panel.add(name, axis[inside], shown, (TWO_THETA, Scale("intensity over its largest", "1")))
        panel.axes.plot(axis[inside], shown, color=colours[name], linewidth=0.7, label=place.word(name))
        ticks = tick_positions(view.series.rows[0].record, view.arrays, level) if options.ticks else {}
        phase = options.phase or view.series.phases[0]
        for angles in (angles for name_, angles in ticks.items() if name_ == phase):
            near = angles[(angles >= low) & (angles <= high)]
            rank = np.full(near.size, -0.06 * (number + 1))
            scales = Scale(f"{name}: reflections", TWO_THETA.unit), Scale("row", "1")
            panel.add(f"{name}: reflections", near, rank, scales)
            panel.axes.plot(near, rank, "|", color=colours[name], markersize=5, markeredgewidth=0.8)
    panel.axes.set_xlabel(TWO_THETA.label)
    panel.axes.set_ylabel("Intensity over its largest")
    place.legend(line_handles({place.word(name): colours[name] for name in names}))
    return [view.series.rows[0].record for view in views]


PANELS = (
    PanelKind("rietveld.pattern", PIPELINE, PatternOptions, _pattern, usual=True),
    PanelKind("rietveld.table", PIPELINE, TableOptions, _table),
    PanelKind("rietveld.patterns", PIPELINE, PatternsOptions, _patterns),
)
