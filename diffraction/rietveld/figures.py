"""Figures of refinements, from records and arrays alone: Rietveld plots, and what a sequence gives along the frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layerscope.figures import DATA_COLOUR, GUIDE, Drawing, Page, Panel, Scale, save_figure, style
from layerscope.figures.courses import bare, event_guides
from layerscope.figures.parts import BACKGROUND_COLOUR, BACKGROUND_DASHES, FIT_COLOUR, draw_residuals
from layerscope.figures.views import Points
from layerscope.figures.words import figure_stem, legible, minus, primed, printed, printed_unit

from ..figure_data import TWO_THETA, SeriesView, collect_views, phase_colours, provenance_of
from ..figure_parts import AMOUNTS, draw_amounts, draw_voltage, phase_handles
from ..figure_series import MAX_SAMPLES, amounts_figure, map_figure
from ..phase_table import FRACTION, FrameRow
from .comparison_figures import collect_comparisons, draw_comparisons
from .ticks import tick_positions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

    from layerscope.runs.load import Run

__all__ = ["chosen_patterns", "draw", "draw_profile", "draw_ticks", "profile_handles", "table_words", "write_merits"]

FloatArray = NDArray[np.float64]

CALCULATED_COLOUR = "#DC267F"
"""Magenta: no phase has it."""
_ENGINES = {"gsas2": "GSAS-II"}
PLOTS = 4
"""Rietveld plots of a sequence."""
SERIES_FROM = 4
"""Frames from which a sequence has figures along its frames."""


def draw(run: Run, folder: Path) -> Iterator[Drawing]:
    """Yield the figures of a run of the pipeline of refinements.

    Parameters
    ----------
    run : Run
        Only its records and arrays are used.
    folder : Path
        Where the figures go: for each series Rietveld plots ``<series>_<method>_rietveld``, those of a sequence ending
        in ``_frame_<number>``; for each sequence ``..._map`` and ``..._cells``; for up to three sequences of a method
        together ``<series>_fractions``; where two engines were compared ``<series>_engines``, see `draw_comparisons`.
        Each as pdf, svg, png, csv and json.

    Yields
    ------
    Drawing

    Raises
    ------
    StoreError
        If arrays of the run are missing or damaged.
    """
    views = list(collect_views(run))
    colours = phase_colours(views)
    for view in views:
        stem = _stem(folder, view, views)
        for row in chosen_patterns(view):
            ending = "rietveld" if len(view.series.rows) == 1 else f"rietveld_frame_{view.frames[row]:03.0f}"
            yield Drawing.by(_rietveld_plot, stem.with_name(f"{stem.name}_{ending}"), view, row, colours)
        if len(view.series.rows) >= SERIES_FROM:
            of_map = stem.with_name(f"{stem.name}_map")
            yield Drawing.by(map_figure, of_map, view, colours, limits=_ends(view), tracks=False)
            yield Drawing.by(_cells_figure, stem.with_name(f"{stem.name}_cells"), view, colours)
    taken: set[str] = set()
    for method in dict.fromkeys(view.series.method for view in views):
        own = [v for v in views if v.series.method == method and len(v.series.rows) >= SERIES_FROM]
        own = [v for v in own if len(v.series.components(FRACTION)) > 1]
        for start in range(0, len(own), MAX_SAMPLES):
            together = own[start : start + MAX_SAMPLES]
            name = figure_stem([_stem(folder, view, views).name for view in together], "fractions", taken)
            yield Drawing.by(amounts_figure, folder / name, together, colours)
    compared = collect_comparisons(run, views)
    chosen = {n: chosen_patterns(one.view) for n, one in enumerate(compared)}
    yield from draw_comparisons(compared, chosen, folder)


def _stem(folder: Path, view: SeriesView, views: Sequence[SeriesView]) -> Path:
    """Return the first part of a series' file names; the method tells two engines on the same arrays apart."""
    alike = [v for v in views if v.series.name == view.series.name]
    method = view.series.method.replace(".", "_")
    return folder / (view.series.name if len(alike) == 1 else f"{view.series.name}_{method}")


def _ends(view: SeriesView) -> tuple[float, float]:
    """Return the range of the whole pattern."""
    return float(view.arrays.axis[0]), float(view.arrays.axis[-1])


def chosen_patterns(view: SeriesView, most: int = PLOTS) -> list[int]:
    """Return the rows that get a Rietveld plot: the first, the last, the one with most of the later phases, the worst.

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
    merits = [row.merit("gof") or 0.0 for row in view.series.rows]
    wanted.append(int(np.argmax(merits)))
    return sorted(list(dict.fromkeys(wanted))[:most])


def _rietveld_plot(view: SeriesView, row: int, colours: Mapping[str, str], stem: Path) -> tuple[Path, ...]:
    """Draw observed, calculated and background, ticks a phase, and the difference below."""
    record = view.series.rows[row]
    ticks = tick_positions(record.record, view.arrays, int(view.level[row]))
    ranks = max(len(ticks), 1)
    with style("double") as sheet:
        page = Page(sheet.figure(78.0 + 2.5 * ranks))
        grid = page.figure.add_gridspec(3, 1, height_ratios=[10.0, 0.55 * ranks + 0.25, 2.6])
        upper, strip, lower = (page.figure.add_subplot(grid[k]) for k in range(3))
        for axes in (strip, lower):
            axes.sharex(upper)
        words = _words(view, row)
        title = ", ".join([view.series.sample, *words])
        upper.set_title(", ".join([printed(view.series.sample), *words]))
        draw_profile(Panel(page, upper, "profile"), view, row)
        write_merits(upper, view, record, colours)
        draw_ticks(Panel(page, strip, "ticks"), ticks, colours)
        draw_residuals(Panel(page, lower, "difference"), view.spectrum(row, _ends(view)), line=True)
        upper.tick_params(labelbottom=False)
        lower.set_xlabel(TWO_THETA.label)
        lower.set_ylabel("Δ / σ")
        upper.set_ylabel(f"(Intensity / {view.arrays.intensity_unit})$^{{1/2}}$")
        page.figure.align_ylabels([upper, lower])
        caption = (
            f"{title}: observed (dots), calculated (line) and background (dashed) intensity on a square-root scale, "
            "Kα1 positions of the reflections of each phase, and the difference in units of its standard error; "
            "grey band: two sigma. Numbers in brackets are one standard error."
        )
        return save_figure(page.figure, stem, page.table, provenance_of([view], caption, [record.record]))


def _words(view: SeriesView, row: int) -> list[str]:
    """Return what tells a pattern from others: frame, voltage and time, and the engine."""
    engine = view.series.method.rpartition(".")[2]
    words = [_ENGINES.get(engine, engine)]
    if len(view.series.rows) > 1:
        return [view.title_of(row), *words]
    if view.voltage is not None and np.isfinite(view.voltage[row]):
        words.insert(0, f"{view.voltage[row]:.3f} V")
    return words


def _looks() -> dict[str, dict[str, Any]]:
    """Return how the curves of a profile are drawn."""
    return {
        "observed": {
            "color": DATA_COLOUR, "linestyle": "", "marker": "o", "markersize": 1.1, "markerfacecolor": "none",
            "markeredgewidth": 0.25,
        },
        "calculated": {"color": CALCULATED_COLOUR, "linewidth": 0.5},
        "background": {"color": BACKGROUND_COLOUR, "linewidth": 0.5, "linestyle": BACKGROUND_DASHES},
    }  # fmt: skip


def profile_handles() -> list[Line2D]:
    """Return the legend of a profile: its lines are wider there, so that their colours are seen."""
    from matplotlib.lines import Line2D

    looks = _looks()
    looks["calculated"]["linewidth"] = 1.2
    return [Line2D([], [], label=label, **look) for label, look in looks.items()]


def draw_profile(panel: Panel, view: SeriesView, row: int) -> None:
    """Draw observed and calculated intensity and the background on a square-root scale."""
    axes, arrays, level = panel.axes, view.arrays, int(view.level[row])
    intensity = Scale("square root of the intensity", f"sqrt({arrays.intensity_unit})")
    curves = {"observed": arrays.counts, "calculated": arrays.fit, "background": arrays.background}
    drawn = {label: np.sqrt(np.maximum(curve[level], 0.0)) for label, curve in curves.items()}
    looks = _looks()
    for label, y in drawn.items():
        panel.add(label, arrays.axis, y, (TWO_THETA, intensity))
        axes.plot(arrays.axis, y, label=label, **looks[label])
    axes.set_xlim(arrays.axis[0], arrays.axis[-1])
    low = min(float(drawn["background"].min()), float(drawn["observed"].min()))
    high = float(drawn["observed"].max())
    axes.set_ylim(max(0.0, low - 0.04 * (high - low)), high + 0.06 * (high - low))


def draw_ticks(panel: Panel, ticks: Mapping[str, FloatArray], colours: Mapping[str, str]) -> None:
    """Draw the places of the reflections of each phase, a row each."""
    axes = panel.axes
    for number, (phase, angle) in enumerate(ticks.items()):
        row = float(len(ticks) - number)
        colour, label = colours.get(phase, DATA_COLOUR), primed(phase)
        rank = np.full(angle.size, row)
        panel.add(label, angle, rank, (Scale(f"{label}: {TWO_THETA.name}", TWO_THETA.unit), Scale("row", "1")))
        axes.plot(angle, rank, "|", color=colour, markersize=5, markeredgewidth=0.5, label=label)
        axes.text(
            1.004, row, printed(phase), transform=axes.get_yaxis_transform(), fontsize=5.5, color=legible(colour),
            ha="left", va="center",
        )  # fmt: skip
    axes.set_ylim(0.3, max(len(ticks), 1) + 0.7)
    bare(axes)


def _merit_words(row: FrameRow) -> str:
    """Return the R factors and the goodness of fit in one line."""
    words = [
        f"{label} {100.0 * value:.2f} %"
        for label, value in (("$R_\\mathrm{wp}$", row.merit("rwp")), ("$R_\\mathrm{exp}$", row.merit("rexp")))
        if value is not None
    ]
    gof = row.merit("gof")
    return "   ".join([*words, *([] if gof is None else [f"GoF {gof:.2f}"])])


def table_words(row: FrameRow, phases: Sequence[str]) -> tuple[list[str], list[list[str]], str]:
    """Return the head and the rows of a table of phases, and the R factors: shares, cells, what is a limit."""
    constants = [name for name in ("a", "b", "c", "beta") if any(_shown(row, phase, name) for phase in phases)]
    head = ["Phase", "Weight fraction", *("β / °" if name == "beta" else f"{name} / Å" for name in constants)]
    rows = []
    for phase in phases:
        share = row.quantities.get((FRACTION, phase))
        if share is None or (share.sigma is None and share.upper_limit is None):
            said = "–"
        else:
            said = f"< {share.upper_limit:.2g}" if share.upper_limit is not None else minus(share.text())
        rows.append([printed(phase), said, *(_shown(row, phase, name) or "–" for name in constants)])
    return head, rows, _merit_words(row)


def _shown(row: FrameRow, phase: str, name: str) -> str:
    """Return a cell constant that was refined and that symmetry does not make equal to another."""
    words = dict(zip(("$a$", "$b$", "$c$", "$β$"), ("a", "b", "c", "beta"), strict=True))
    found = {words[w.split(" = ")[0]]: w.split(" = ")[1] for w in _cell_words(row, phase, ("refined", "derived"))}
    return found.get(name, "").removesuffix(" Å").removesuffix("°")


def write_merits(axes: Axes, view: SeriesView, row: FrameRow, colours: Mapping[str, str]) -> None:
    """Write the legend and the R factors into the upper right corner, where a pattern is weak."""
    look: dict[str, Any] = {"loc": "upper right", "fontsize": 5.5, "ncols": 3, "borderaxespad": 0.5}
    legend = axes.legend(handles=profile_handles(), title=_merit_words(row), **look)
    legend.get_title().set_fontsize(6)
    for number, phase in enumerate(view.series.phases):
        text = phase_words(row, phase)
        if text:
            axes.text(
                0.99, 0.835 - 0.055 * number, text, transform=axes.transAxes, fontsize=5.5, ha="right", va="top",
                color=legible(colours[phase]),
            )  # fmt: skip


def phase_words(row: FrameRow, phase: str) -> str:
    """Return a phase's share and cell in one line, without what symmetry makes equal."""
    share = row.quantities.get((FRACTION, phase))
    if share is not None and share.upper_limit is not None:
        held = _cell_words(row, phase, ("fixed",))
        return f"{printed(phase)}: not detected, $w$ < {share.upper_limit:.2g}" + (
            f" (cell held: {', '.join(held)})" if held else ""
        )
    parts = [] if share is None or share.sigma is None else [f"$w$ = {minus(share.text())}"]
    parts += _cell_words(row, phase, ("refined", "derived"))
    return f"{printed(phase)}: " + ", ".join(parts) if parts else ""


def _cell_words(row: FrameRow, phase: str, roles: Sequence[str]) -> list[str]:
    """Return the cell constants of a phase that have one of these roles, without angles that symmetry fixes."""
    parts = []
    for name in ("a", "b", "c", "beta"):
        quantity = row.quantities.get((f"lattice.{name}", phase))
        if quantity is not None and quantity.role in roles and not (name == "beta" and quantity.value in (90.0, 120.0)):
            symbol, unit = ("$β$", "°") if name == "beta" else (f"${name}$", " Å")
            first = row.quantities.get(("lattice.a", phase))
            if name == "b" and first is not None and first.value == quantity.value:
                continue
            parts.append(f"{symbol} = {quantity.text()}{unit}")
    return parts


def _cells_figure(view: SeriesView, colours: Mapping[str, str], stem: Path) -> tuple[Path, ...]:
    """Draw cells, sizes of the misfit and the voltage against time, one above the other."""
    kinds = [name for name in ("a", "b", "c", "beta", "volume") if _moves(view, f"lattice.{name}")]
    if "b" in kinds and all(_same(view, phase) for phase in view.series.phases):
        kinds.remove("b")
    rows = (["voltage"] if view.voltage is not None else []) + kinds + ["merit"]
    with style("single") as sheet:
        page = Page(sheet.figure(16.0 + 25.0 * len(rows)))
        panels = page.column(page.figure.add_gridspec(len(rows), 1), view.time.label)
        for axes, kind in zip(panels, rows, strict=True):
            panel = page.panel(axes)
            if kind == "voltage":
                draw_voltage(panel, view)
            elif kind == "merit":
                _draw_merits(panel, view)
            else:
                _draw_cells(panel, view, kind, colours)
            event_guides(axes, view.events("time"), colours)
        page.figure.legend(handles=phase_handles(view.series.phases, colours), loc="outside upper center", ncols=4)
        caption = (
            f"{view.series.sample} ({view.series.method}): change of the cell constants against the first frame of "
            f"each phase (given above the panels) in per cent, with bands of one standard error, and the R factors, "
            f"against {'time' if view.clock_unit else 'the number of the frame'}. Dotted: onsets and ends of phases."
        )
        return save_figure(page.figure, stem, page.table, provenance_of([view], caption))


def _moves(view: SeriesView, name: str) -> bool:
    """Tell whether a cell constant was refined in more than one frame."""
    found = [q for row in view.series.rows for (n, _), q in row.quantities.items() if n == name and q.sigma is not None]
    return len(found) > 1


def _same(view: SeriesView, phase: str) -> bool:
    a, b = view.points("lattice.a", phase).value, view.points("lattice.b", phase).value
    return bool(np.allclose(a, b, rtol=1e-9, equal_nan=True)) or not np.isfinite(b).any()


def _draw_cells(panel: Panel, view: SeriesView, kind: str, colours: Mapping[str, str]) -> None:
    axes = panel.axes
    symbol = {"beta": "β", "volume": "V"}.get(kind, kind)
    references: list[tuple[str, str]] = []
    for phase in view.series.phases:
        points = view.points(f"lattice.{kind}", phase)
        measured = np.flatnonzero(points.sigma > 0)
        if not measured.size:
            continue
        start = view.series.rows[int(measured[0])].quantities[f"lattice.{kind}", phase]
        first, unit = float(points.value[measured[0]]), printed_unit(start.unit)
        held = ~(points.sigma > 0)
        change = np.array([100.0 * (points.value / first - 1.0), 100.0 * points.sigma / first])
        value, sigma = np.where(held, np.nan, change)
        label = f"{primed(phase)} ({symbol}₀ = {first:.5g} {unit})"
        scales, look = (view.time, Scale(f"change of {kind}", "%")), replace(AMOUNTS, colour=colours[phase])
        draw_amounts(panel, view.clock, Points(value, sigma, np.full(value.size, np.nan)), label, scales, look)
        references.append((f"${symbol}_0$ = {start.text()} {unit}", legible(colours[phase])))
    for number, (text, colour) in enumerate(reversed(references)):
        axes.text(
            1.0 - 0.31 * number, 1.02, text, transform=axes.transAxes, fontsize=5.5, color=colour, ha="right",
            va="bottom",
        )  # fmt: skip
    axes.axhline(0.0, color="#BBBBBB", linewidth=0.4, zorder=0.5, label=GUIDE)
    axes.set_ylabel(f"$Δ{symbol}/{symbol}_0$ / %")


def _draw_merits(panel: Panel, view: SeriesView) -> None:
    axes = panel.axes
    for merit, label, colour in (("rwp", "$R_\\mathrm{wp}$", DATA_COLOUR), ("rexp", "$R_\\mathrm{exp}$", FIT_COLOUR)):
        found = [row.merit(merit) for row in view.series.rows]
        values = np.array([np.nan if v is None else 100.0 * v for v in found])
        if np.isfinite(values).any():
            panel.add(merit, view.clock, values, (view.time, Scale("R factor", "%")))
            axes.plot(view.clock, values, color=colour, label=label)
    axes.set_ylabel("$R$ / %")
    axes.legend(loc="best", ncols=2)
    axes.margins(y=0.25)
