"""Figures of single reflections that were followed: spacing and half width against voltage and time, and maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from layerscope.figures import PALETTE, Drawing, Page, Panel, Scale, save_figure, style
from layerscope.figures.courses import DASHES, Look, draw_course, event_guides, line_handles
from layerscope.figures.views import Event, Points
from layerscope.figures.words import figure_stem, printed

from ..figure_data import Against, SeriesView, provenance_of
from ..figure_parts import MARKED, MOST_ROWS, draw_heat_map, draw_voltage, phase_handles
from ..phase_table import FRACTION
from ..radiation import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_reflections"]

AT_ONCE = 3
"""Reflections of one figure."""
SPACING_COLOUR, WIDTH_COLOUR, TRACK_COLOUR = PALETTE[0], PALETTE[2], PALETTE[1]
_SPACING, _POSITION = "lattice.d_spacing", "peak.position"
_WIDTHS = (("peak.sample_fwhm", "FWHM, instrument removed / °"), ("peak.fwhm", "FWHM / °"))


def draw_reflections(
    every: Sequence[SeriesView], phases: Sequence[SeriesView], colours: Mapping[str, str], folder: Path
) -> Iterator[Drawing]:
    """Yield the reflections of each sample.

    Parameters
    ----------
    every : sequence of SeriesView
        All series of a run; those without phases are single reflections.
    phases : sequence of SeriesView
        Series with phases: their onsets and ends are marked in the figures of the same sample.
    colours : mapping of str to str
        Of the phases.
    folder : Path

    Yields
    ------
    Drawing
        For each sample ``<series>_reflections`` and ``<series>_reflections_map``, further ones after every three
        reflections.
    """
    samples: dict[str, list[SeriesView]] = {}
    for view in every:
        if not view.series.components(FRACTION) and view.series.components(_SPACING):
            samples.setdefault(view.series.sample, []).append(view)
    taken: set[str] = set()
    for sample, views in samples.items():
        own = [view for view in phases if view.series.sample == sample]
        for start in range(0, len(views), AT_ONCE):
            together = views[start : start + AT_ONCE]
            names = [view.series.name for view in together]
            for draw, kind in ((_courses, "reflections"), (_maps, "reflections_map")):
                yield Drawing.by(draw, folder / figure_stem(names, kind, taken), together, own, colours)


def _name(view: SeriesView) -> str:
    """Return what the reflection is called."""
    return view.series.components(_SPACING)[0]


def _events(view: SeriesView, phases: Sequence[SeriesView], against: Against) -> tuple[Event, ...]:
    """Return onsets and ends of the phases of the sample, where both series count time in the same unit."""
    alike = [other for other in phases if against == "voltage" or other.clock_unit == view.clock_unit]
    return tuple(event for other in alike for event in other.events(against))


def _width(view: SeriesView) -> tuple[Points, Scale] | None:
    """Return the half width along the frames, without the instrument's where that is known; None if it was shared."""
    for name, label in _WIDTHS:
        points = view.points(name, _name(view))
        known = points.value[points.known]
        if known.size and np.ptp(known) > 0:
            return points, Scale(label.partition(" /")[0], "deg", label)
    return None


def _shared_width(view: SeriesView) -> str:
    """Return the words for a width that all frames share."""
    quantity = view.series.rows[0].quantities.get(("peak.fwhm", _name(view)))
    if quantity is None or quantity.sigma is None or _width(view) is not None:
        return ""
    return f"FWHM of all frames {quantity.text()}°"


# --- courses -----------------------------------------------------------------------------------------------------


def _courses(
    views: Sequence[SeriesView], phases: Sequence[SeriesView], colours: Mapping[str, str], stem: Path
) -> tuple[Path, ...]:
    """Draw spacing and half width of each reflection, one above the other, against voltage and against time."""
    scales: list[Against] = ["voltage", "time"] if all(view.voltage is not None for view in views) else ["time"]
    lines: list[tuple[SeriesView, tuple[Points, Scale] | None]] = []
    for view in views:
        width = _width(view)
        lines += [(view, None)] + ([(view, width)] if width else [])
    profile = int("voltage" in scales)
    with style("double") as sheet:
        page = Page(sheet.figure(min(18.0 + 34.0 * len(lines) + 22.0 * profile, 245.0)))
        heights = [0.62] * profile + [1.0] * len(lines)
        grid = page.figure.add_gridspec(len(heights), len(scales), height_ratios=heights)
        shared: dict[Against, Axes] = {}
        if profile:
            shared["time"] = page.figure.add_subplot(grid[0, 1])
            _voltage_panel(page, shared["time"], views[0])
            event_guides(shared["time"], _events(views[0], phases, "time"), colours)
            _key(page.figure.add_subplot(grid[0, 0]), views, phases, colours)
        for line, (view, width) in enumerate(lines, start=profile):
            for column, against in enumerate(scales):
                axes = page.figure.add_subplot(grid[line, column], sharex=shared.get(against))
                shared.setdefault(against, axes)
                panel, first = page.panel(axes), column == 0
                if width is None:
                    _spacing_panel(panel, view, against, named=first, right=column == len(scales) - 1)
                else:
                    _width_panel(panel, view, against, width, named=first)
                event_guides(axes, _events(views[0], phases, against), colours)
                lowest = line == len(heights) - 1
                axes.tick_params(labelleft=first, labelbottom=lowest)
                if lowest:
                    axes.set_xlabel(view.axis(against)[1].label)
        page.figure.align_ylabels()
        page.figure.suptitle(printed(views[0].series.sample))
        caption = (
            f"{views[0].series.sample}: lattice spacing d and full width at half maximum of "
            f"{', '.join(_name(view) for view in views)} with one standard error, against voltage and time. The scale "
            "to the right counts from the first frame, $d_0$."
        )
        if any(len(view.branches(scales[0])) > 1 for view in views):
            caption += " Against voltage: filled up to the highest one, open after it."
        if any(view.voltage is not None and not np.isfinite(view.voltage).all() for view in views):
            caption += " Frames without a voltage are shown against time only."
        if phases:
            caption += " Dotted: onsets and ends of phases of the same sample, in their colours."
        return save_figure(page.figure, stem, page.table, provenance_of([*views, *phases], caption))


def _voltage_panel(page: Page, axes: Axes, view: SeriesView) -> None:
    """Draw the voltage against time, with the numbers of the frames above."""
    draw_voltage(page.panel(axes, pad=14.0 if view.clock_unit else 3.0), view)
    axes.tick_params(labelbottom=False)
    axes.margins(y=0.1)
    if view.clock_unit and len(view.series.rows) > 1:
        clock, frames = view.clock, view.frames
        upper = axes.secondary_xaxis("top", functions=(_Line(clock, frames), _Line(frames, clock)))
        upper.set_xlabel("Frame", labelpad=2)


class _Line:
    """Interpolation between points, continued in a straight line beyond them, as scales of axes need it."""

    def __init__(self, x: FloatArray, y: FloatArray) -> None:
        slope = (y[-1] - y[0]) / (x[-1] - x[0])
        reach = 10.0 * (x[-1] - x[0])
        self.x = np.concatenate([[x[0] - reach], x, [x[-1] + reach]])
        self.y = np.concatenate([[y[0] - reach * slope], y, [y[-1] + reach * slope]])

    def __call__(self, x: ArrayLike) -> FloatArray:
        return np.asarray(np.interp(np.asarray(x, dtype=np.float64), self.x, self.y))


def _key(axes: Axes, views: Sequence[SeriesView], phases: Sequence[SeriesView], colours: Mapping[str, str]) -> None:
    """Write the legend into a place of its own."""
    axes.axis("off")
    handles = []
    if any(len(view.branches("voltage")) > 1 for view in views):
        ways = dict.fromkeys(("charge", "discharge"), "#4D4D4D")
        handles += line_handles(ways, marker="o", markersize=2.0, linewidth=0.6)
        handles[1].set_markerfacecolor("white")
        handles[1].set_linestyle(DASHES)
    events = [e for against in ("voltage", "time") for e in _events(views[0], phases, against)]
    marked = [p for p in dict.fromkeys(e.component for e in events) if p in colours]
    for phase, handle in zip(marked, phase_handles(marked, colours), strict=True):
        kinds = dict.fromkeys(e.kind for e in events if e.component == phase)
        handle.set_linestyle((0, (1, 1.5)))
        handle.set_label(f"{' or '.join(kinds)} of {handle.get_label()}")
        handles.append(handle)
    if handles:
        axes.legend(handles=handles, loc="center left", fontsize=6)


def _spacing_panel(panel: Panel, view: SeriesView, against: Against, *, named: bool, right: bool) -> None:
    axes, points = panel.axes, view.points(_SPACING, _name(view))
    first = view.series.rows[0].quantities
    title = ""
    d, angle = first.get((_SPACING, _name(view))), first.get((_POSITION, _name(view)))
    if named and d is not None and angle is not None:
        title = f"{_name(view)}: $d_0$ = {d.text()} Å, $2θ_0$ = {angle.text()}°"
    elif not named:
        title = _shared_width(view)
    axes.set_title(title, fontsize=6, y=1.0, pad=3.0, loc="right")
    _draw_bars(panel, view, against, points, Scale("spacing", "angstrom"), SPACING_COLOUR)
    axes.ticklabel_format(axis="y", useOffset=False)
    if named:
        axes.set_ylabel("$d$ / Å")
    known = points.value[points.known]
    if right and known.size:
        reach = 1000.0 * np.array([-0.5, 0.5])
        ends = float(known[0]) + reach / 1000.0
        change = axes.secondary_yaxis("right", functions=(_Line(ends, reach), _Line(reach, ends)))
        change.set_ylabel("Δ$d$ / 10$^{-3}$ Å")


def _width_panel(panel: Panel, view: SeriesView, against: Against, width: tuple[Points, Scale], *, named: bool) -> None:
    points, scale = width
    axes = panel.axes
    if named:
        axes.set_title(_name(view), fontsize=6, y=1.0, pad=3.0, loc="right")
        axes.set_ylabel(scale.label.replace(", instrument", ",\ninstrument"))
    _draw_bars(panel, view, against, points, scale, WIDTH_COLOUR)
    low, high = axes.get_ylim()
    axes.set_ylim(max(0.0, low), high)


def _draw_bars(panel: Panel, view: SeriesView, against: Against, points: Points, scale: Scale, colour: str) -> None:
    """Draw a quantity with error bars, the discharge open and dashed."""
    x, words = view.axis(against)
    marker = "o" if x.size <= MARKED else ""
    for rows, ending, back in view.branches(against):
        label = f"{_name(view)}{ending}"
        across = Scale(f"{label}: {words.name}", words.unit)
        look = Look(colour, marker, 1.8, DASHES if back else "-", 0.5, open=back, edge=0.4, bars=0.5, cap=0.0)
        draw_course(panel, x[rows], points[rows], label, (across, scale), look)


# --- maps --------------------------------------------------------------------------------------------------------


def _maps(
    views: Sequence[SeriesView], phases: Sequence[SeriesView], colours: Mapping[str, str], stem: Path
) -> tuple[Path, ...]:
    """Draw the intensity around each reflection beside the voltage, with the fitted positions on top."""
    first = views[0]
    with style("double") as sheet:
        page = Page(sheet.figure(84.0))
        profile = int(first.voltage is not None)
        grid = page.figure.add_gridspec(
            1, profile + len(views), width_ratios=[0.3 * min(len(views), 2)] * profile + [1.0] * len(views)
        )
        panels = [page.figure.add_subplot(grid[0, k]) for k in range(profile + len(views))]
        for axes in panels[1:]:
            axes.tick_params(labelleft=False)
        if profile:
            draw_voltage(page.panel(panels[0]), first, upright=True)
            panels[0].set_ylim(first.clock[0], first.clock[-1])
        for axes, view in zip(panels[profile:], views, strict=True):
            limits = float(view.arrays.axis[0]), float(view.arrays.axis[-1])
            draw_heat_map(page.panel(axes, _name(view)), view, {_name(view): TRACK_COLOUR}, limits)
        panels[0].set_ylabel(first.time.label)
        for axes in panels:
            events = _events(first, phases, "time")
            event_guides(axes, events, colours, upright=True, above=axes in panels[profile:])
        page.figure.suptitle(printed(first.series.sample))
        caption = (
            f"{first.series.sample}: voltage and diffracted intensity (grey, to the power of 0.5) around "
            f"{', '.join(_name(view) for view in views)}, against time; coloured lines: fitted positions."
        )
        if any(len(view.series.rows) > MOST_ROWS for view in views):
            caption += " Not every frame is drawn."
        return save_figure(page.figure, stem, page.table, provenance_of(views, caption))
