"""Figures of a (003) series, from records and arrays alone: map, waterfall, deconvolution of frames, amounts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from layerscope.figures import DATA_COLOUR, GUIDE, Drawing, Page, Panel, Scale, save_figure, style
from layerscope.figures.courses import line_handles
from layerscope.figures.parts import (
    component_handles,
    draw_residuals,
    draw_spectra,
    in_powers_of_ten,
    kind_handles,
    thinned,
)
from layerscope.figures.words import figure_stem, legible, minus, primed, printed

from ..figure_data import TWO_THETA, SeriesView, collect_views, phase_colours, provenance_of
from ..figure_series import LAYERS, MAX_SAMPLES, WEIGHTS, amounts_figure, map_figure
from ..phase_table import FRACTION
from .reflection_figures import draw_reflections

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from layerscope.runs.load import Run

__all__ = ["CELL_LINES", "chosen_frames", "draw", "draw_frame", "limits_of"]

MARGIN_DEG = 0.55
"""What a figure shows beyond the outermost line, in degrees."""
MOST_CURVES = 30
"""Patterns of a waterfall."""
PANELS = 6
"""Frames whose deconvolution is shown."""
CELL_LINES, CELL_COLOUR = "lines of the cell", "#999999"


def draw(run: Run, folder: Path) -> Iterator[Drawing]:
    """Yield the figures of a run of the pipeline of (003) series.

    Parameters
    ----------
    run : Run
        Only its records and arrays are used.
    folder : Path
        Where the figures go: for each series ``<series>_map``, ``<series>_waterfall`` and ``<series>_frames``; for up
        to three samples together ``<series>_fractions``, and ``<series>_layers`` where they were read as stacks; of
        the reflections that were followed ``<series>_reflections`` and ``<series>_reflections_map``, see
        `draw_reflections`. Each as pdf, svg, png, csv and json.

    Yields
    ------
    Drawing
        None where the run has no series of frames.

    Raises
    ------
    StoreError
        If arrays of the run are missing or damaged.
    """
    every = [view for view in collect_views(run) if len(view.series.rows) > 1]
    views = [view for view in every if view.series.components(FRACTION)]
    stacks = [view for view in every if view.series.method == "xrd_peaks.stack_frame"]
    colours = phase_colours([*views, *stacks])
    for view in views:
        limits = limits_of(view)
        name = view.series.name
        yield Drawing.by(map_figure, folder / f"{name}_map", view, colours, limits=limits, tracks=True)
        yield Drawing.by(_waterfall, folder / f"{name}_waterfall", view, colours, limits=limits)
        yield Drawing.by(_deconvolution, folder / f"{name}_frames", view, colours, limits=limits)
    taken: set[str] = set()
    for what, of in ((WEIGHTS, views), (LAYERS, stacks)):
        kind = "fractions" if what is WEIGHTS else "layers"
        for start in range(0, len(of), MAX_SAMPLES):
            together = of[start : start + MAX_SAMPLES]
            name = figure_stem([view.series.name for view in together], kind, taken)
            yield Drawing.by(amounts_figure, folder / name, together, colours, what=what)
    yield from draw_reflections([view for view in every if view not in stacks], views, colours, folder)


def limits_of(view: SeriesView) -> tuple[float, float]:
    """Return the range that holds all lines of all frames."""
    found = [view.points("peak.position", phase).value for phase in view.series.phases]
    known = np.concatenate([values[np.isfinite(values)] for values in found])
    axis = view.arrays.axis
    if not known.size:
        return float(axis[0]), float(axis[-1])
    return max(float(axis[0]), float(known.min()) - MARGIN_DEG), min(float(axis[-1]), float(known.max()) + MARGIN_DEG)


def chosen_frames(view: SeriesView, most: int = PANELS) -> list[int]:
    """Return the rows whose deconvolution tells most: ends, onsets, the largest amounts of later phases, then fillers.

    Parameters
    ----------
    view : SeriesView
    most : int

    Returns
    -------
    list of int
        At most `most` rows, ascending.
    """
    last = len(view.series.rows) - 1
    wanted = [0, last]
    for phase in view.series.phases[1:]:
        values = view.points(FRACTION, phase).value
        if np.isfinite(values).any():
            wanted.append(int(np.nanargmax(values)))
            wanted.append(int(np.flatnonzero(np.isfinite(values))[0]))
    chosen = list(dict.fromkeys(wanted))[:most]
    while len(chosen) < min(most, last + 1):  # the middle of the widest gap
        chosen.sort()
        gaps = np.diff(chosen)
        k = int(np.argmax(gaps))
        if gaps[k] < 2:
            break
        chosen.append(chosen[k] + int(gaps[k]) // 2)
    return sorted(chosen)


def _deconvolution(
    view: SeriesView, colours: Mapping[str, str], stem: Path, limits: tuple[float, float]
) -> tuple[Path, ...]:
    rows = chosen_frames(view)
    across = min(3, len(rows))
    down = -(-len(rows) // across)
    with style("double") as sheet:
        page = Page(sheet.figure(14.0 + 52.0 * down))
        outer = page.figure.add_gridspec(down, across)
        legend: dict[str, str] = {}
        for number, row in enumerate(rows):
            inner = outer[number // across, number % across].subgridspec(2, 1, height_ratios=[3.4, 1.0], hspace=0.0)
            upper = page.figure.add_subplot(inner[0])
            lower = page.figure.add_subplot(inner[1], sharex=upper)
            panel = page.panel(upper, view.title_of(row))
            below = Panel(page, lower, panel.letter)
            legend |= draw_frame((panel, below), view, row, colours, limits)
            upper.tick_params(labelbottom=False)
            if number % across == 0:
                upper.set_ylabel(view.arrays.intensity_unit.capitalize())
                lower.set_ylabel("Residual / σ", fontsize=6)
            if number + across >= len(rows):
                lower.set_xlabel(TWO_THETA.label)
            page.figure.align_ylabels([upper, lower])
        named = sorted(legend.items(), key=lambda item: item[0] == CELL_LINES)  # last
        handles = [*kind_handles(), *component_handles(dict(named))]
        page.figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=6)
        page.figure.suptitle(printed(view.series.sample))
        caption = (
            f"{view.series.sample}: chosen frames with their fit: data (dots), fit (grey line), components (filled), "
            "background (dashed), and residuals; the grey band is two sigma. Weight fractions with one standard error."
        )
        records = [view.series.rows[row].record for row in rows]
        return save_figure(page.figure, stem, page.table, provenance_of([view], caption, records))


def draw_frame(
    panels: tuple[Panel, Panel | None],
    view: SeriesView,
    row: int,
    colours: Mapping[str, str],
    limits: tuple[float, float],
) -> dict[str, str]:
    """Draw a frame with its fit, its phases and their fractions, and below it the residuals.

    Parameters
    ----------
    panels : (Panel, Panel or None)
        Of the frame, and of the residuals.
    view : SeriesView
    row : int
    colours : mapping of str to str
    limits : (float, float)
        Range of the angle in degrees.

    Returns
    -------
    dict of str to str
        Printed names of what was drawn, to colours.
    """
    panel, below = panels
    spectrum = view.spectrum(row, limits, tuple(colours))
    own = {primed(phase): colour for phase, colour in colours.items()}
    looks = {label: own.get(label, CELL_COLOUR) for label in spectrum.components}
    draw_spectra(panel, [spectrum], [0.0], looks)
    if below is not None:
        draw_residuals(below, spectrum)
    panel.axes.set_xlim(*limits)
    _write_fractions(panel.axes, view, row, colours)
    in_powers_of_ten(panel.axes)
    return {printed(label) if label in own else CELL_LINES: colour for label, colour in looks.items()}


def _write_fractions(axes: Axes, view: SeriesView, row: int, colours: Mapping[str, str]) -> None:
    """Write the fractions of a frame into its panel, on the side where its lines leave room."""
    lines = []
    for phase in view.series.phases:
        quantity = view.series.rows[row].quantities.get((FRACTION, phase))
        if quantity is None:
            continue
        if quantity.upper_limit is not None:
            text = f"< {quantity.upper_limit:.2g}"
        else:  # alone it is all there is, by the set of phases that was chosen, and has no error
            text = minus(quantity.text()) if quantity.sigma is not None else "alone"
        lines.append((phase, f"{printed(phase)}  {text}"))
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + (0.085 * len(lines) - 0.02) * (high - low))
    for number, (phase, text) in enumerate(lines):
        axes.text(
            0.97, 0.95 - 0.085 * number, text, transform=axes.transAxes, fontsize=5.5, color=legible(colours[phase]),
            ha="right", va="top",
        )  # fmt: skip


def _waterfall(
    view: SeriesView, colours: Mapping[str, str], stem: Path, limits: tuple[float, float]
) -> tuple[Path, ...]:
    """Draw patterns above each other in the order of time, the first one below, with marks at the fitted positions."""
    rows = thinned(len(view.series.rows), MOST_CURVES)
    inside = (view.arrays.axis >= limits[0]) & (view.arrays.axis <= limits[1])
    angle = view.arrays.axis[inside]
    counts = view.arrays.counts[view.level[rows]][:, inside]
    step = 0.16 * float(np.ptp(counts, axis=1).max())
    with style("single") as sheet:
        page = Page(sheet.figure(min(60.0 + 2.6 * len(rows), 150.0)))
        panel = Panel(page, page.figure.add_subplot(), "")
        axes, unit = panel.axes, view.arrays.intensity_unit
        positions = {phase: view.points("peak.position", phase).value for phase in view.series.phases}
        offset = Scale("intensity, offset", unit)
        for number, row in enumerate(rows):
            shifted = counts[number] - counts[number].min() + number * step
            order = 3 * (len(rows) - number)
            axes.fill_between(angle, shifted, number * step, color="white", linewidth=0, zorder=order, label=GUIDE)
            axes.plot(angle, shifted, color=DATA_COLOUR, linewidth=0.45, zorder=order + 1)
            title = view.title_of(int(row))
            panel.add(title, angle, shifted, (TWO_THETA, offset))
            for phase, values in positions.items():
                position = float(values[row])
                if not angle[0] <= position <= angle[-1]:  # or there is none
                    continue
                label, height = f"{title}: {primed(phase)}", float(np.interp(position, angle, shifted))
                look: dict[str, Any] = {
                    "color": colours[phase],
                    "markersize": 1.8,
                    "markeredgewidth": 0,
                    "zorder": order + 2,
                }
                axes.plot([position], [height], "o", **look)
                scales = Scale(f"{label}: {TWO_THETA.name}", TWO_THETA.unit), Scale(offset.name, "1")
                panel.add(label, [position], [height], scales)
        _name_levels(axes, view, rows, step)
        axes.set_xlim(*limits)
        axes.set_ylim(-0.3 * step, None)
        axes.set_xlabel(TWO_THETA.label)
        axes.set_ylabel(f"{unit.capitalize()}, offset by frame")
        axes.set_yticks([])
        phases = {printed(phase): colours[phase] for phase in view.series.phases}
        dots = line_handles(phases, marker="o", markersize=2.5, markeredgewidth=0, linestyle="")
        axes.legend(handles=dots, loc="upper left", fontsize=5.5)
        axes.set_title(printed(view.series.sample))
        caption = (
            f"{view.series.sample}: patterns in the order of time, the first one below, offset by {step:.3g} {unit}; "
            "dots mark the fitted position of each phase."
        )
        records = [view.series.rows[int(row)].record for row in rows]
        return save_figure(page.figure, stem, page.table, provenance_of([view], caption, records))


def _name_levels(axes: Axes, view: SeriesView, rows: np.ndarray, step: float) -> None:
    """Write the voltage, or the time, of every third pattern beside it."""
    every = max(1, len(rows) // 10)
    for number in range((len(rows) - 1) % every, len(rows), every):  # the last one has its name
        row = int(rows[number])
        if view.voltage is not None and np.isfinite(view.voltage[row]):
            text = f"{view.voltage[row]:.3f} V"
        else:
            text = f"{view.clock[row]:.3g} {view.clock_unit}" if view.clock_unit else f"{view.clock[row]:.0f}"
        axes.text(
            1.01, number * step, text, transform=axes.get_yaxis_transform(), fontsize=5, ha="left", va="center"
        )  # fmt: skip
