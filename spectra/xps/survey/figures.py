"""Figures of surveys: the spectrum with its lines named, and below it the low binding energies larger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from layerscope.figures import DATA_COLOUR, GUIDE, PALETTE, Drawing, Page, Panel, Scale, save_figure, style
from layerscope.figures.views import provenance

if TYPE_CHECKING:
    from layerscope.records import ResultRecord
    from layerscope.runs.arrays import SeriesArrays
    from layerscope.runs.load import Run

__all__ = ["NO_FIT", "UNKNOWN", "draw_surveys"]

NO_FIT = "none: regions are integrated"
"""What the arrays of a survey say of their fit."""
UNKNOWN = "explained by nothing"
"""What marks peaks that no element explains."""

DETAIL_EV = 320.0
"""Binding energy up to which the second panel reaches: the shallow levels of most elements."""
APART = 0.017
"""Least distance of two labels, in widths of the panel."""
MOST = 8
"""Figures of a run: of longer profiles, evenly chosen levels."""


def draw_surveys(run: Run, folder: Path) -> Iterator[Drawing]:
    """Yield the surveys of a run, at most eight of them."""
    names = [name for name, lazy in run.arrays.items() if lazy.load().metadata.get("fit") == NO_FIT]
    for at in np.unique(np.linspace(0, len(names) - 1, min(len(names), MOST)).round().astype(int)):
        name = names[int(at)]
        arrays = run.arrays[name].load()
        own = [r for r in run.records if any(ref.file.endswith(f"{name}.nxs") for ref in r.arrays)]
        yield Drawing.by(_survey_figure, folder / name, arrays, own or run.records)


def _survey_figure(arrays: SeriesArrays, records: Sequence[ResultRecord], stem: Path) -> tuple[Path, ...]:
    with style("double") as sheet:
        page = Page(sheet.figure(120.0))
        axes = page.figure.subplots(2, 1)
        _draw(page.panel(axes[0], arrays.title), arrays, np.inf)
        _draw(page.panel(axes[1]), arrays, DETAIL_EV)
        caption = "Survey with the lines of the elements that were found."
        return save_figure(page.figure, stem, page.table, provenance(arrays.title, records, caption))


def _draw(panel: Panel, arrays: SeriesArrays, upto: float) -> None:
    """Draw a survey up to a binding energy, with regions filled and the names of lines above it."""
    axes = panel.axes
    inside = arrays.axis <= upto
    x, y = arrays.axis[inside], arrays.counts[0][inside]
    scales = Scale(arrays.axis_name, arrays.axis_unit), Scale("intensity", arrays.intensity_unit)
    panel.add("survey", x, y, scales)
    axes.plot(x, y, color=DATA_COLOUR, linewidth=0.5, label="survey")
    for colour, name in zip([*PALETTE] * 12, arrays.components, strict=False):
        rows = inside & (arrays.components[name][0] != 0)
        if rows.any():
            base = arrays.counts[0][rows] - arrays.components[name][0][rows]
            panel.add(f"{name}: background", arrays.axis[rows], base, scales)
            axes.plot(arrays.axis[rows], base, color=colour, linewidth=0.6, label=name)
    low, high = float(np.nanmin(y)), float(np.nanmax(y))
    axes.set_xlim(float(x[-1]), float(x[0]))
    axes.set_ylim(min(0.0, low), high + 0.55 * (high - min(0.0, low)))
    axes.set_xlabel("Binding energy as measured / eV")
    axes.set_ylabel(f"Intensity / {arrays.intensity_unit}")
    _names(panel, arrays, x, y)


def _names(panel: Panel, arrays: SeriesArrays, x: np.ndarray, y: np.ndarray) -> None:
    """Write the names of lines above their peaks, moved apart where they would overlap."""
    found = [(float(e), name) for name, (places,) in arrays.marks.items() if places is not None for e in places]
    shown = sorted((e, "?" if name == UNKNOWN else name) for e, name in found if x[0] <= e <= x[-1])
    if not shown:
        return
    width = float(x[-1] - x[0])
    top = panel.axes.get_ylim()[1]
    at = np.array([e for e, _ in shown])
    for _ in range(200):  # a few steps suffice: labels push their neighbours away
        gaps = np.diff(at)
        close = np.maximum(APART * width - gaps, 0.0)
        if not close.any():
            break
        at[:-1] -= 0.5 * close
        at[1:] += 0.5 * close
    at = np.clip(at, x[0], x[-1])
    for place, (energy, name) in zip(at, shown, strict=True):
        height = float(np.interp(energy, x, y))
        panel.axes.plot(
            [energy, place], [height + 0.02 * top, 0.80 * top], color="#AAAAAA", linewidth=0.3, label=f"{GUIDE} {name}"
        )
        panel.axes.text(place, 0.81 * top, name, rotation=90, fontsize=4.5, ha="center", va="bottom")
