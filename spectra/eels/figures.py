"""Figures of energy losses: net edges along a scan, and the courses of pre-peak and maximum beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from layerscope.figures import GUIDE, PALETTE, Drawing, Page, Panel, Scale, save_figure, style
from layerscope.figures.courses import Look, draw_course, draw_limits, spread
from layerscope.figures.parts import thinned
from layerscope.figures.views import Points, provenance
from layerscope.figures.words import printed
from layerscope.records import Quantity, ResultRecord
from layerscope.runs.arrays import SeriesArrays

from .arrays import NO_FIT
from .maps import draw_maps
from .tables import METHOD

if TYPE_CHECKING:
    from layerscope.runs.load import Run

__all__ = ["draw_courses", "draw_net", "draw_scans", "positions"]

MOST_CURVES = 9
ROW_MM = 46.0
_COURSES = {
    "edge.share": "Pre-peak share",
    "edge.maximum_change": "Shift of the maximum / eV",
    "edge.white_line_ratio": "L₃/L₂",
}
_AREA = "edge.area"
ALONG = {"depth": ("depth", "nm", "Depth / nm"), "place": ("place", "1", "Place")}


def draw_scans(run: Run, folder: Path) -> Iterator[Drawing]:
    """Yield every scan of a run: a row an edge, its net spectra to the left and what was read off them to the right."""
    loaded = [lazy.load() for lazy in run.arrays.values()]
    edges = [one for one in loaded if one.metadata.get("fit") == NO_FIT]
    groups: dict[str, list[SeriesArrays]] = {}
    for one in edges:
        stem = one.name.removesuffix(f"_{str(one.metadata['edge']).replace(' ', '_')}")
        groups.setdefault(stem, []).append(one)
    for stem, group in groups.items():
        own = sorted(group, key=lambda one: float(one.axis[0]))
        names = {f"{one.name}.nxs" for one in own}
        records = [r for r in run.records if any(Path(ref.file).name in names for ref in r.arrays)]
        yield Drawing.by(_scan_figure, folder / f"{stem}_edges", own, records, stem)
        yield from draw_maps(loaded, records, stem, folder)


def _scan_figure(
    own: Sequence[SeriesArrays], records: Sequence[ResultRecord], name: str, stem: Path
) -> tuple[Path, ...]:
    with style("double") as sheet:
        page = Page(sheet.figure(min(ROW_MM * len(own) + 8.0, 240.0)))
        cells = page.figure.add_gridspec(len(own), 2, width_ratios=(1.25, 1.0))
        for row, arrays in enumerate(own):
            edge = str(arrays.metadata["edge"])
            left = page.panel(page.figure.add_subplot(cells[row, 0]), f"{printed(arrays.sample)}: {edge}")
            draw_net(left, arrays)
            right = page.panel(page.figure.add_subplot(cells[row, 1]))
            draw_courses(right, arrays, [r for r in records if r.method == METHOD], edge)
        caption = "Net edges along the scan, with what was read off them; bars are one standard error."
        return save_figure(page.figure, stem, page.table, provenance(name, records, caption))


def positions(arrays: SeriesArrays) -> tuple[Scale, str]:
    """Return the scale along which the places of a scan stand, and its label."""
    name, unit, label = ALONG.get(arrays.level_name, ALONG["place"])
    return Scale(name, unit, label), label


def draw_net(panel: Panel, arrays: SeriesArrays) -> None:
    """Draw net spectra above each other, the first on top, from before the edge on."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    inside = np.flatnonzero(arrays.components["net"].any(axis=0))
    first = max(int(inside[0]) - int(0.25 * len(inside)), 0)
    rows = slice(first, int(inside[-1]) + 1)
    shown = thinned(len(arrays.levels), MOST_CURVES)
    x = arrays.axis[rows]
    net = arrays.counts[shown][:, rows] - arrays.background[shown][:, rows]
    step = 0.35 * float(np.quantile(net, 0.99)) if net.size else 1.0
    scales = Scale("energy_loss", "eV"), Scale("net intensity, offset", arrays.intensity_unit)
    low, high = arrays.axis[inside[0]], arrays.axis[inside[-1]]
    panel.axes.axvspan(low, high, color="#EEEEEE", linewidth=0, zorder=0, label=GUIDE)
    unit = f" {arrays.level_unit}".removesuffix(" 1")
    offsets = step * np.arange(len(shown))[::-1]
    heights = net[:, -1] + offsets
    bottom, top = float((net + offsets[:, None]).min()), float((net + offsets[:, None]).max())
    places = spread(heights.tolist(), 0.055 * (top - bottom), bottom, top)
    for number, row in enumerate(shown):
        colour = to_hex(colormaps["viridis"](0.85 * number / max(len(shown) - 1, 1)))
        y = net[number] + offsets[number]
        name = f"{arrays.levels[row]:.4g}{unit}"
        panel.add(f"{arrays.metadata['edge']} at {name}", x, y, scales)
        panel.axes.plot(x, y, color=colour, linewidth=0.5, label=name)
        panel.axes.text(
            1.01,
            places[number],
            name,
            fontsize=4.5,
            color=colour,
            va="center",
            transform=panel.axes.get_yaxis_transform(),
        )
    panel.axes.set_yticks([])
    panel.axes.set_xlim(float(x[0]), float(x[-1]))
    panel.axes.set_xlabel("Energy loss / eV")
    panel.axes.set_ylabel("Net intensity, offset")


def draw_courses(panel: Panel, arrays: SeriesArrays, records: Sequence[ResultRecord], edge: str) -> None:
    """Draw what was read off an edge along the scan: at most two courses, on axes of their own."""
    by_frame = {r.state.frame: r for r in records}
    own = [by_frame.get(int(frame)) for frame in (arrays.frames if arrays.frames is not None else ())]
    courses = []
    for name, label in {**_COURSES, _AREA: "Area"}.items():
        found = [_of(record, name, edge) for record in own]
        if any(found):
            unit = next(q.unit for q in found if q)
            courses.append((name, label, unit, Points.of(found)))
    scale, label = positions(arrays)
    panel.axes.set_xlabel(label)
    single = [one for one in courses if one[0] != _AREA] or courses
    for number, (name, word, unit, points) in enumerate(single[:2]):
        axes = panel.axes if number == 0 else panel.axes.twinx()
        here = Panel(panel.page, axes, panel.letter)
        colour = PALETTE[number]
        look = Look(colour, marker="os"[number], size=2.4, line="-", width=0.4, bars=0.5, cap=1.0)
        scales = scale, Scale(name.replace(".", "_"), unit)
        draw_course(here, arrays.levels, points, f"{edge}: {name.split('.')[1]}", scales, look)
        if points.limited.any():
            draw_limits(here, arrays.levels, points, f"{edge}: limit", scales, look)
        suffix = f" / {unit.replace('*', ' ')}" if name == _AREA else ""
        axes.set_ylabel(word + suffix, color=colour)
        axes.tick_params(axis="y", colors=colour)
        axes.ticklabel_format(axis="y", useOffset=False)


def _of(record: ResultRecord | None, name: str, edge: str) -> Quantity | None:
    if record is None:
        return None
    return next((q for q in record.quantities if q.name == name and q.component == edge), None)
