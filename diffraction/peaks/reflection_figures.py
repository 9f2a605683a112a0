"""Figures of single reflections that were followed: spacing and half width against voltage and time, and maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from layerscope.figures import DATA_COLOUR, PALETTE, Curve, Page, save_figure, style
from layerscope.figures.words import figure_stem, formula_label

from ..figure_data import Event, Points, SeriesView, provenance, spoken_time
from ..figure_parts import draw_heat_map, draw_voltage, event_guides, phase_handles, thinned
from ..figure_series import axis_of, branches_of
from ..phase_table import FRACTION
from ..radiation import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_reflections"]

AT_ONCE = 3
"""Reflections of one figure."""
MARKED = 150
"""Frames up to which every point has a symbol."""
SPACING_COLOUR, WIDTH_COLOUR, TRACK_COLOUR = PALETTE[0], PALETTE[2], PALETTE[1]
_SPACING, _POSITION = "lattice.d_spacing", "peak.position"
_WIDTHS = (("peak.sample_fwhm", "FWHM, instrument removed / °"), ("peak.fwhm", "FWHM / °"))


def draw_reflections(
    every: Sequence[SeriesView], phases: Sequence[SeriesView], colours: Mapping[str, str], folder: Path
) -> list[Path]:
    """Draw the reflections of each sample.

    Parameters
    ----------
    every : sequence of SeriesView
        All series of a run; those without phases are single reflections.
    phases : sequence of SeriesView
        Series with phases: their onsets and ends are marked in the figures of the same sample.
    colours : mapping of str to str
        Of the phases.
    folder : Path

    Returns
    -------
    list of Path
        For each sample ``<series>_reflections`` and ``<series>_reflections_map``, further ones after every three
        reflections.
    """
    samples: dict[str, list[SeriesView]] = {}
    for view in every:
        if not view.series.components(FRACTION) and view.series.components(_SPACING):
            samples.setdefault(view.series.sample, []).append(view)
    files: list[Path] = []
    taken: set[str] = set()
    for sample, views in samples.items():
        own = [view for view in phases if view.series.sample == sample]
        for start in range(0, len(views), AT_ONCE):
            together = views[start : start + AT_ONCE]
            names = [view.series.name for view in together]
            files += _courses(together, own, colours, folder / figure_stem(names, "reflections", taken))
            files += _maps(together, own, colours, folder / figure_stem(names, "reflections_map", taken))
    return files


def _name(view: SeriesView) -> str:
    """Return what the reflection is called."""
    return view.series.components(_SPACING)[0]


def _events(views: Sequence[SeriesView], phases: Sequence[SeriesView], scale: str) -> tuple[Event, ...]:
    """Return onsets and ends of the phases of the sample, where both series count time in the same unit."""
    alike = [view for view in phases if scale == "voltage" or view.clock_unit == views[0].clock_unit]
    return tuple(event for view in alike for event in view.events("voltage" if scale == "voltage" else "time"))


def _width(view: SeriesView) -> tuple[Points, str] | None:
    """Return the half width along the frames, without the instrument's where that is known; None if it was shared."""
    for name, label in _WIDTHS:
        points = view.points(name, _name(view))
        known = points.value[np.isfinite(points.value)]
        if known.size and np.ptp(known) > 0:
            return points, label
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
    scales = (["voltage"] if all(view.voltage is not None for view in views) else []) + ["time"]
    widths = [_width(view) for view in views]
    rows = len(views) + sum(width is not None for width in widths)
    profile = 1 if "voltage" in scales else 0
    with style("double") as sheet:
        page = Page(sheet.figure(min(18.0 + 34.0 * rows + 22.0 * profile, 245.0)))
        heights = [0.62] * profile + [1.0] * rows
        grid = page.figure.add_gridspec(len(heights), len(scales), height_ratios=heights)
        lowest: list[Axes] = []
        shared: list[Axes | None] = [None] * len(scales)
        if profile:
            upper = shared[1] = page.figure.add_subplot(grid[0, 1])
            _voltage_panel(page, upper, views[0])
            event_guides(upper, _events(views, phases, "time"), colours)
            key = page.figure.add_subplot(grid[0, 0])
            _key(key, views, phases, colours)
        line = profile
        for view, width in zip(views, widths, strict=True):
            for kind in ("spacing", "width"):
                if kind == "width" and width is None:
                    continue
                for column, scale in enumerate(scales):
                    axes = page.figure.add_subplot(grid[line, column], sharex=shared[column])
                    shared[column] = shared[column] or axes
                    last = column == len(scales) - 1
                    if kind == "spacing":
                        _spacing_panel(page, axes, view, scale, named=column == 0, right=last)
                    elif width is not None:
                        _width_panel(page, axes, view, width, scale, named=column == 0)
                    event_guides(axes, _events(views, phases, scale), colours)
                    axes.tick_params(labelleft=column == 0, labelbottom=line == len(heights) - 1)
                    if line == len(heights) - 1:
                        axes.set_xlabel("Voltage / V" if scale == "voltage" else spoken_time(view))
                        lowest.append(axes)
                line += 1
        page.figure.align_ylabels()
        page.figure.suptitle(formula_label(views[0].series.sample))
        caption = (
            f"{views[0].series.sample}: lattice spacing d and full width at half maximum of "
            f"{', '.join(_name(view) for view in views)} with one standard error, against voltage and time. The scale "
            "to the right counts from the first frame, $d_0$."
        )
        if "voltage" in scales and any(view.turn < len(view.series.rows) - 1 for view in views):
            caption += " Against voltage: filled up to the highest one, open after it."
        if any(view.voltage is not None and not np.isfinite(view.voltage).all() for view in views):
            caption += " Frames without a voltage are shown against time only."
        if phases:
            caption += " Dotted: onsets and ends of phases of the same sample, in their colours."
        return save_figure(page.figure, stem, page.table, provenance([*views, *phases], caption))


def _voltage_panel(page: Page, axes: Axes, view: SeriesView) -> None:
    """Draw the voltage against time, with the numbers of the frames above."""
    assert view.voltage is not None  # noqa: S101 - the caller looked
    letter = page.letter(axes, pad=14.0 if view.clock_unit else 3.0)
    words = ("time" if view.clock_unit else "frame", view.clock_unit or "1")
    page.curves.append(Curve(letter, "voltage", view.clock, view.voltage, *words, "voltage", "V"))
    axes.plot(view.clock, view.voltage, color=DATA_COLOUR)
    axes.set_ylabel("Voltage / V")
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
    from matplotlib.lines import Line2D

    axes.axis("off")
    handles: list[Line2D] = []
    if any(view.turn < len(view.series.rows) - 1 for view in views):
        plain = Line2D([], [], color="#4D4D4D", marker="o", markersize=2.0, linewidth=0.6, label="charge")
        back = Line2D([], [], color="#4D4D4D", marker="o", markersize=2.0, linewidth=0.6, label="discharge")
        back.set_markerfacecolor("white")
        back.set_linestyle((0, (2.2, 1.2)))
        handles += [plain, back]
    events = [e for scale in ("voltage", "time") for e in _events(views, phases, scale)]
    marked = list(dict.fromkeys(e.phase for e in events))
    known = [p for p in marked if p in colours]
    for phase, handle in zip(known, phase_handles(known, colours), strict=True):
        kinds = dict.fromkeys(e.kind for e in events if e.phase == phase)
        handle.set_linestyle((0, (1, 1.5)))
        handle.set_label(f"{' or '.join(kinds)} of {handle.get_label()}")
        handles.append(handle)
    if handles:
        axes.legend(handles=handles, loc="center left", fontsize=6)


def _spacing_panel(page: Page, axes: Axes, view: SeriesView, scale: str, *, named: bool, right: bool) -> None:
    points = view.points(_SPACING, _name(view))
    first = view.series.rows[0].quantities
    title = ""
    d, angle = first.get((_SPACING, _name(view))), first.get((_POSITION, _name(view)))
    if named and d is not None and angle is not None:
        title = f"{_name(view)}: $d_0$ = {d.text()} Å, $2θ_0$ = {angle.text()}°"
    elif not named:
        title = _shared_width(view)
    letter = page.letter(axes)
    axes.set_title(title, fontsize=6, y=1.0, pad=3.0, loc="right")
    _draw_bars(page, axes, view, scale, letter, points, SPACING_COLOUR, ("spacing", "angstrom"))
    axes.ticklabel_format(axis="y", useOffset=False)
    if named:
        axes.set_ylabel("$d$ / Å")
    known = points.value[np.isfinite(points.value)]
    if right and known.size:
        start = float(known[0])
        reach = 1000.0 * np.array([-0.5, 0.5])
        ends = start + reach / 1000.0
        change = axes.secondary_yaxis("right", functions=(_Line(ends, reach), _Line(reach, ends)))
        change.set_ylabel("Δ$d$ / 10$^{-3}$ Å")


def _width_panel(
    page: Page, axes: Axes, view: SeriesView, width: tuple[Points, str], scale: str, *, named: bool
) -> None:
    points, label = width
    letter = page.letter(axes)
    if named:
        axes.set_title(_name(view), fontsize=6, y=1.0, pad=3.0, loc="right")
        axes.set_ylabel(label.replace(", instrument", ",\ninstrument"))
    _draw_bars(page, axes, view, scale, letter, points, WIDTH_COLOUR, (label.partition(" /")[0], "deg"))
    low, high = axes.get_ylim()
    axes.set_ylim(max(0.0, low), high)


def _draw_bars(
    page: Page,
    axes: Axes,
    view: SeriesView,
    scale: str,
    letter: str,
    points: Points,
    colour: str,
    y_words: tuple[str, str],
) -> None:
    """Draw a quantity with error bars, the discharge open and dashed."""
    x, words = axis_of(view, scale)
    for rows, ending, dashed in branches_of(view, scale):
        label = f"{_name(view)}{ending}"
        value, sigma = points.value[rows], points.sigma[rows]
        named = f"{label}: {words[0]}", words[1]
        page.curves.append(Curve(letter, label, x[rows], value, *named, *y_words, value - sigma, value + sigma))
        axes.errorbar(
            x[rows], value, sigma, color=colour, ecolor=colour, linewidth=0.5, elinewidth=0.5, capsize=0.0,
            linestyle=(0, (2.2, 1.2)) if dashed else "-", marker="o" if x.size <= MARKED else "",
            markersize=1.8, markerfacecolor="white" if dashed else colour, markeredgewidth=0.4, label=label,
        )  # fmt: skip


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
            draw_voltage(page, panels[0], first, page.letter(panels[0]))
            panels[0].set_ylim(first.clock[0], first.clock[-1])
        for axes, view in zip(panels[profile:], views, strict=True):
            letter = page.letter(axes, _name(view))
            limits = float(view.arrays.axis[0]), float(view.arrays.axis[-1])
            draw_heat_map(page, axes, view, letter, colours, limits=limits, tracks=True)
            _draw_track(page, axes, view, letter)
        panels[0].set_ylabel(spoken_time(first))
        for axes in panels:
            event_guides(axes, _events(views, phases, "time"), colours, upright=True, above=axes in panels[profile:])
        page.figure.suptitle(formula_label(first.series.sample))
        caption = (
            f"{first.series.sample}: voltage and diffracted intensity (grey, to the power of 0.5) around "
            f"{', '.join(_name(view) for view in views)}, against time; coloured lines: fitted positions."
        )
        if any(len(thinned(len(view.series.rows))) < len(view.series.rows) for view in views):
            caption += " Not every frame is drawn."
        return save_figure(page.figure, stem, page.table, provenance(views, caption))


def _draw_track(page: Page, axes: Axes, view: SeriesView, letter: str) -> None:
    points = view.points(_POSITION, _name(view))
    label = f"{_name(view)}: position"
    words = ("time" if view.clock_unit else "frame", view.clock_unit or "1")
    low, high = points.value - points.sigma, points.value + points.sigma
    page.curves.append(
        Curve(f"{letter}, tracks", label, view.clock, points.value, *words, "two_theta", "deg", low, high)
    )
    axes.plot(points.value, view.clock, color="white", linewidth=1.5, label=label)
    axes.plot(points.value, view.clock, color=TRACK_COLOUR, linewidth=0.8, label=label)
