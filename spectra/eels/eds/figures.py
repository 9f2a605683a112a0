"""Figures of X-ray spectra: the sum with its lines named, net counts along the scan, and maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from layerscope.figures import DATA_COLOUR, GUIDE, PALETTE, Drawing, Page, Panel, Scale, save_figure, style
from layerscope.figures.courses import Look, draw_course, draw_limits, limit_handle, line_handles, spread
from layerscope.figures.parts import BACKGROUND_COLOUR, BACKGROUND_DASHES, FIT_COLOUR
from layerscope.figures.views import Points, provenance
from layerscope.figures.words import printed
from layerscope.records import ResultRecord
from layerscope.runs.arrays import SeriesArrays

from ..figures import ALONG
from ..maps import draw_maps
from .arrays import SUM
from .tables import COUNTS, METHOD

if TYPE_CHECKING:
    from layerscope.runs.load import Run

__all__ = ["draw_lines"]

HEIGHT_MM = 62.0
_KEV = Scale("energy", "keV")


def draw_lines(run: Run, folder: Path) -> Iterator[Drawing]:
    """Yield every scan of a run, and its maps."""
    loaded = [lazy.load() for lazy in run.arrays.values()]
    for one in (one for one in loaded if one.metadata.get("fit") == SUM):
        stem = one.name.removesuffix("_sum")
        own = [r for r in run.records if any(Path(ref.file).stem == one.name for ref in r.arrays)]
        yield Drawing.by(_scan_figure, folder / f"{stem}_lines", one, own, stem)
        yield from draw_maps(loaded, own, stem, folder)


def _scan_figure(one: SeriesArrays, own: Sequence[ResultRecord], name: str, stem: Path) -> tuple[Path, ...]:
    with style("double") as sheet:
        page = Page(sheet.figure(HEIGHT_MM))
        left, right = page.figure.subplots(1, 2)
        _draw_sum(page.panel(left, f"{printed(one.sample)}: sum"), one)
        _draw_profiles(page.panel(right), list(one.components), [r for r in own if r.method == METHOD])
        caption = "Sum of all places with its lines, and net counts along the scan; bars are one standard error."
        return save_figure(page.figure, stem, page.table, provenance(name, own, caption))


def _draw_sum(panel: Panel, arrays: SeriesArrays) -> None:
    """Draw the sum of all places over a logarithmic scale, with fit, background and the names of its lines."""
    axes, x = panel.axes, arrays.axis / 1000.0
    scales = _KEV, Scale("intensity", "counts")
    lowest = max(0.3 * float(arrays.background[0].min()), 0.5)
    looks: tuple[tuple[str, np.ndarray, dict[str, Any]], ...] = (
        ("sum", arrays.counts[0], {"color": DATA_COLOUR, "marker": ".", "markersize": 1.0, "linestyle": "none"}),
        ("fit", arrays.fit[0], {"color": FIT_COLOUR, "linewidth": 0.6}),
        ("background", arrays.background[0], {"color": BACKGROUND_COLOUR, "lw": 0.5, "ls": BACKGROUND_DASHES}),
    )
    for label, y, look in looks:
        shown = np.maximum(y, lowest)
        panel.add(label, x, shown, scales)
        axes.plot(x, shown, label=label, **look)
    axes.set_yscale("log")
    highest = float(np.nanmax(arrays.counts[0]))
    axes.set_ylim(lowest, highest**1.25 / lowest**0.25)
    places = {name: float(x[int(np.argmax(np.abs(curve[0])))]) for name, curve in arrays.components.items()}
    high = min(float(x[-1]), 1.15 * max(places.values()) + 0.5)
    axes.set_xlim(float(x[0]), high)
    wanted = list(places.values())
    at = spread(wanted, 0.035 * high, float(x[0]) + 0.02 * high, 0.98 * high)
    for place, name in zip(at, places, strict=True):
        axes.text(place, highest**1.08 / lowest**0.08, name, rotation=90, fontsize=4.5, ha="center", va="bottom")
        axes.axvline(places[name], color="#CCCCCC", linewidth=0.3, zorder=0, label=GUIDE)
    axes.set_xlabel("Energy / keV")
    axes.set_ylabel("Counts")
    axes.legend(fontsize=5, loc="upper center", bbox_to_anchor=(0.5, 0.85))


def _draw_profiles(panel: Panel, names: list[str], records: list[ResultRecord]) -> None:
    """Draw the net counts of every line along the scan, with limits where it was not seen."""
    known = all(r.state.depth_nm is not None for r in records)
    name, unit, label = ALONG["depth" if known else "place"]
    where = np.array([float(r.state.depth_nm or 0.0) if known else float(r.state.frame or 0) for r in records])
    colours = {one: PALETTE[k % len(PALETTE)] for k, one in enumerate(names)}
    limit = np.nan
    for one, colour in colours.items():
        found = [next((q for q in r.quantities if q.name == COUNTS and q.component == one), None) for r in records]
        points = Points.of(found)
        scales = Scale(name, unit), Scale("net counts", "counts")
        draw_course(panel, where, points, one, scales, Look(colour, size=2.2, width=0.4, bars=0.5, cap=1.0))
        if points.limited.any():
            limit = points.confidence
            draw_limits(panel, where, points, f"{one}: limit", scales, Look(colour, limits="caret"))
    panel.axes.set_yscale("symlog", linthresh=10.0)
    panel.axes.set_ylim(bottom=0.0)
    panel.axes.set_xlabel(label)
    panel.axes.set_ylabel("Net counts")
    handles = line_handles(colours)
    if np.isfinite(limit):
        handles.append(limit_handle(f"limit, {100 * limit:g} %", caret=True))
    panel.axes.legend(handles=handles, fontsize=5, ncols=2)
