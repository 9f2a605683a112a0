"""Figures of micrographs: the image with its regions, their transforms with what answers predict, map and layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from layerscope.figures import GUIDE, PALETTE, Drawing, Page, Panel, Scale, save_figure, style
from layerscope.figures.images import draw_rim, draw_scale_bar
from layerscope.figures.table import Column
from layerscope.figures.views import provenance
from layerscope.figures.words import printed, printed_unit
from layerscope.records import Alternative, ResultRecord

from .arrays import BOXES, EDGE, MAP, PREDICTED, PROFILES, RINGS, SPOTS, STRAIN, TRANSFORM, VIEW
from .beside import Course, courses_along_depth
from .figures_layers import EDGE_COLOUR, STRAINS, View, draw_beside, draw_map, draw_profiles, draw_strain
from .kinds import IMAGE, LAYERS, REGION

if TYPE_CHECKING:
    from layerscope.runs.load import Run

__all__ = ["collect_images", "draw_image", "draw_images", "draw_transform"]

MOST_REGIONS = 6
WIDE = 1.8
PAGE_MM, GAP_MM, TITLE_MM, LEGEND_MM, LINE_MM, CURVE_MM = 183.0, 4.0, 7.0, 7.0, 2.8, 40.0
TALLEST_MM = 86.0
STRONG, MOST_RINGS, APART = 0.1, 12, 0.04
"""Rings that are drawn: least relative intensity, number of a phase, distance of labels over the reach of a panel."""
MOST_ANSWERS = 4
_MARKS = (("o", 6.0), ("s", 4.5))
"""Of the reflections that the first and the second answer predict."""
_GX, _GY = Scale("gx", "1/nm"), Scale("gy", "1/nm")
_X, _Y = Scale("x", "nm"), Scale("y", "nm")


def draw_images(run: Run, folder: Path) -> Iterator[Drawing]:
    """Yield every image of a run: a page an image."""
    for name, view in collect_images(run).items():
        yield Drawing.by(_draw_page, folder / name, view)


def collect_images(run: Run) -> dict[str, View]:
    """Return the images of a run by the names of their arrays."""
    found: dict[str, View] = {}
    for name, grids in run.grids.items():
        own = [r for r in run.records if any(Path(ref.file).stem.startswith(f"{name}.") for ref in r.arrays)]
        whole = next((r for r in own if r.method == IMAGE), None)
        if whole is not None and VIEW in grids:
            regions = [r for r in own if r.method == REGION]
            layers = [r for r in own if r.method == LAYERS]
            beside = _beside(run, whole) if PROFILES in grids else []
            found[name] = View(grids, whole, regions, layers, beside)
    return found


def _beside(run: Run, whole: ResultRecord) -> list[Course]:
    """Return what other techniques of the whole run say of the sample along its depth."""
    return courses_along_depth(run.whole.records, whole.state.sample, whole.technique)


def _draw_page(view: View, stem: Path) -> tuple[Path, ...]:
    """Draw a page: the image above, then the transforms of its regions."""
    by_name = {str(record.state.region): record for record in view.regions}
    names = [str(name) for name in view.grids[BOXES].axes[0].values if f"{TRANSFORM} {name}" in view.grids]
    regions = names[:MOST_REGIONS]
    colours = {name: PALETTE[number % len(PALETTE)] for number, name in enumerate(names)} if len(names) > 1 else {}
    rows = _rows(view, [by_name[name] for name in regions], colours)
    heights = [max(cell.height for cell in row) for row in rows]
    heights += [CURVE_MM] * ((PROFILES in view.grids) + bool(view.beside))
    with style("double") as sheet:
        page = Page(sheet.figure(min(sum(heights) + 4.0, 245.0)))
        grid = page.figure.add_gridspec(len(heights), 1, height_ratios=heights)
        for k, row in enumerate(rows):
            cells = grid[k].subgridspec(1, len(row), width_ratios=[cell.width for cell in row])
            for n, cell in enumerate(row):
                if cell.draw is not None:
                    cell.draw(page.panel(page.figure.add_subplot(cells[n]), cell.title))
        if PROFILES in view.grids:
            axes = page.figure.add_subplot(grid[len(rows)])
            draw_profiles(page.panel(axes), view)
            if view.beside:
                below = page.figure.add_subplot(grid[len(rows) + 1], sharex=axes)
                draw_beside(page.panel(below, ", ".join(dict.fromkeys(one.source for one in view.beside))), view)
        page.columns += _columns(view)
        caption = (
            "Image with its regions and the boundaries of its layers, and the logarithm of the power of each region's "
            "transform: crosses are the spots that were found, circles and squares the reflections that the first and "
            "the second answer predict; large circles are rings, dotted those that the first does not name. The map "
            "mixes the colours of the classes by their probabilities. Strain is that of the innermost lattice against "
            "its mean, and false where the phase changes. Profiles are amplitudes of waves that only one "
            "layer has; lines are the boundaries, bands their 95 % intervals."
        )
        others = [record for course in view.beside for record in course.records]
        came = provenance(view.grids.title, [view.whole, *view.regions, *view.layers, *others], caption)
        return save_figure(page.figure, stem, page.table, replace(came, arrays=view.shown))


def _columns(view: View) -> list[Column]:
    """Return the explanations of every region for the table of the figure."""
    rows = [(r, one) for r in view.regions for one in _answers(r) if one.probability is not None]
    return [
        Column.labels("region", [str(r.state.region) for r, _ in rows] or ["none"]),
        Column.labels("explanation", [one.name for _, one in rows]),
        Column.numbers("probability", "1", [one.probability or 0.0 for _, one in rows]),
    ]


@dataclass(frozen=True)
class _Cell:
    """One panel: how wide and high it is in mm with its title and what stands below, and who draws it, if any."""

    draw: Callable[[Panel], None] | None
    title: str
    width: float
    height: float


def _rows(view: View, regions: Sequence[ResultRecord], colours: Mapping[str, str]) -> list[list[_Cell]]:
    """Return the rows of images: those of a square image fill rows together; a wide one has its own, or one beside it.

    All images of a row are as high, so far as their shapes let them.
    """
    pictures: list[tuple[Callable[[Panel], None], str, float, float]] = []
    shape = view.grids[VIEW].values.shape
    title = printed(view.grids.sample)
    pictures.append((partial(draw_image, view=view, colours=colours), title, shape[0] / shape[1], 0.0))
    if MAP in view.grids:
        pictures.append((partial(draw_map, view=view), "", shape[0] / shape[1], LEGEND_MM))
    for record in regions:
        name = str(record.state.region)
        lines = LINE_MM * max(len(_answers(record)), 1)
        colour = colours.get(name, "black")
        pictures.append((partial(draw_transform, view=view, record=record, colour=colour), name, 1.0, lines))
    wide = len(pictures) - len(regions) if shape[1] > WIDE * shape[0] else 0
    if len(regions) == 1:  # beside a single transform there is room
        wide = max(wide - 1, 0)
    rows = [_row([picture]) for picture in pictures[:wide]]
    rest = pictures[wide:]
    columns = 2 if len(rest) == 4 else min(max(len(rest), 1), 3)
    rows += [_row(rest[k : k + columns], columns) for k in range(0, len(rest), columns)]
    if STRAIN in view.grids:  # both parts side by side
        ratio = shape[0] / shape[1]
        rows.append(_row([(partial(draw_strain, view=view, part=part), "", ratio, LINE_MM) for part in STRAINS]))
    return rows


def _row(pictures: Sequence[tuple[Callable[[Panel], None], str, float, float]], columns: int = 0) -> list[_Cell]:
    """Return pictures side by side; width is shared by their shapes, within limits, so that heights agree."""
    shares = [float(np.clip(1.0 / ratio, 0.5, 4.0)) for _, _, ratio, _ in pictures]
    empty = max(columns - len(pictures), 0)
    room = PAGE_MM - GAP_MM * (len(pictures) + empty)
    widths = [room * share / (sum(shares) + empty) for share in shares]
    cells = []
    for (draw, title, ratio, below), width in zip(pictures, widths, strict=True):
        cells.append(_Cell(draw, title, width, min(width * ratio, TALLEST_MM) + TITLE_MM + below))
    nothing = [_Cell(None, "", room / (sum(shares) + empty), 0.0)] * empty
    return cells + nothing


def draw_image(panel: Panel, view: View, colours: Mapping[str, str]) -> None:
    """Draw the image, with the boxes of its regions in their colours."""
    view.draw(panel, VIEW, cmap="gray")
    boxes = view.grids[BOXES]
    draw_scale_bar(panel, view.unit)
    for number, (name, box) in enumerate(zip(boxes.axes[0].values, boxes.values, strict=True)):
        if name not in colours:
            continue  # the whole image
        left, top, width, height = (float(v) for v in box)
        x = np.array([left, left + width, left + width, left, left])
        y = np.array([top, top, top + height, top + height, top])
        panel.add(f"region {name}", x, y, (_X, _Y))
        panel.axes.plot(x, y, color=colours[str(name)], linewidth=0.8, label=f"region {name}")
        lower = top + (number % 2) * 0.08 * height  # neighbours' names do not run into each other
        text = panel.axes.text(left, lower, f" {name}", color=colours[str(name)], va="top", fontsize=6, label=GUIDE)
        draw_rim(text)
    limits = panel.axes.get_xlim(), panel.axes.get_ylim()
    for name in (name for name in view.grids if name.startswith(f"{EDGE} ")):
        x, y = view.grids[name].values[:, 1:].T
        panel.add(name, x, y, (_X, _Y))
        panel.axes.plot(x, y, color="white", linewidth=1.6, label=GUIDE)
        panel.axes.plot(x, y, color=EDGE_COLOUR, linewidth=0.8, label=name)
    panel.axes.set_xlim(*limits[0])
    panel.axes.set_ylim(*limits[1])


def draw_transform(panel: Panel, view: View, record: ResultRecord, colour: str) -> None:
    """Draw a transform, the spots that were found in it, and the reflections that answers predict."""
    region = str(record.state.region)
    name = f"{TRANSFORM} {region}"
    values = view.grids[name].values
    low, high = np.quantile(values, (0.3, 0.9995))
    view.draw(panel, name, cmap="gray_r", vmin=float(low), vmax=float(high))
    axes = panel.axes
    limits = axes.get_xlim(), axes.get_ylim()
    for number, ((marker, size), one) in enumerate(zip(_MARKS, record.alternatives, strict=False), start=1):
        predicted = f"{PREDICTED} {region}: {number}"
        if predicted in view.grids and (number == 1 or one.in_set):
            grid = view.grids[predicted]
            if grid.axes[0].name == "ring":
                continue
            strong = grid.values[:, 2] > 0.02
            _scatter(panel, f"{region}: {one.name}", grid.values[strong, :2], marker, size, PALETTE[number - 1])
    _draw_rings(panel, view, region, record)
    if f"{SPOTS} {region}" in view.grids:
        _scatter(panel, f"{region}: spots", view.grids[f"{SPOTS} {region}"].values[:, :2], "+", 3.5, "#D00000")
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])
    draw_scale_bar(panel, printed_unit(f"1/{view.unit}"), colours=("black", "white"))
    axes.set_xlabel(_said(record), fontsize=6)
    for side in axes.spines.values():
        side.set_color(colour)


def _draw_rings(panel: Panel, view: View, region: str, record: ResultRecord) -> None:
    """Draw the rings of every phase that answers name: of the first answer with indices, of others dashed."""
    phases = list[str]()
    for number, _ in enumerate(_answers(record), start=1):
        name = f"{PREDICTED} {region}: {number}"
        if name not in view.grids or view.grids[name].axes[0].name != "ring":
            continue
        values = view.grids[name].values
        split = [str(one).partition(": ") for one in view.grids[name].axes[0].values]
        for phase in dict.fromkeys(one for one, _, _ in split if one not in phases):
            own = [k for k, one in enumerate(split) if one[0] == phase and values[k, 1] >= STRONG]
            kept = sorted(sorted(own, key=lambda k: -float(values[k, 1]))[:MOST_RINGS])
            _draw_circles(panel, len(phases), values[kept, 0], [split[k][2] for k in kept] if number == 1 else None)
            text = panel.axes.text(
                0.02, 0.98 - 0.05 * len(phases), printed(phase), transform=panel.axes.transAxes, va="top"
            )
            text.set(color=PALETTE[len(phases) % len(PALETTE)], fontsize=6)
            draw_rim(text)
            phases.append(phase)
            panel.page.columns += [
                Column.labels(f"{panel.letter}: rings of {phase}", [split[k][2] for k in kept]),
                Column.numbers(f"{panel.letter}: radius of rings of {phase}", "1/nm", values[kept, 0]),
                Column.numbers(f"{panel.letter}: relative intensity of rings of {phase}", "1", values[kept, 1]),
            ]
    if phases and f"{RINGS} {region}" in view.grids:
        found = view.grids[f"{RINGS} {region}"].values
        panel.page.columns += [
            Column.numbers(f"{panel.letter}: radius of found rings", "1/nm", found[:, 0]),
            Column.numbers(f"{panel.letter}: error of radius of found rings", "1/nm", found[:, 1]),
        ]


def _draw_circles(panel: Panel, number: int, radius: np.ndarray, labels: Sequence[str] | None) -> None:
    """Draw the rings of one phase; name those that have room."""
    from matplotlib.patches import Circle

    colour, angle = PALETTE[number % len(PALETTE)], np.radians(35.0 + 22.0 * number)
    reach = min(abs(limit) for limit in (*panel.axes.get_xlim(), *panel.axes.get_ylim()))
    last = -reach
    for k, g in enumerate(radius):
        line = ":" if labels is None else "-"
        panel.axes.add_patch(Circle((0.0, 0.0), g, fill=False, color=colour, linewidth=0.6, linestyle=line))
        if labels is not None and g < reach and g - last > APART * reach:
            at = angle + np.radians(12.0) * (k % 2)  # neighbours beside each other
            text = panel.axes.text(g * np.cos(at), -g * np.sin(at), labels[k], ha="center", va="center")
            text.set(color=colour, fontsize=5)
            draw_rim(text)
            last = float(g)


def _scatter(panel: Panel, label: str, g: np.ndarray, marker: str, size: float, colour: str) -> None:
    """Draw vectors and their Friedel mates."""
    both = np.concatenate([g, -g])
    panel.add(label, both[:, 0], both[:, 1], (_GX, _GY))
    style: Mapping[str, Any] = {"markerfacecolor": "none", "markeredgewidth": 0.5, "linestyle": ""}
    panel.axes.plot(both[:, 0], both[:, 1], marker=marker, markersize=size, color=colour, label=label, **style)


def _answers(record: ResultRecord) -> list[Alternative]:
    """Return the answers of a region that are in the set, and the first in any case."""
    return [one for one in record.alternatives if not one.comparison and (one.in_set or one.chosen)][:MOST_ANSWERS]


def _said(record: ResultRecord) -> str:
    """Return the answers of a region with their probabilities, a line each."""
    lines = [f"{printed(one.name)}: {one.probability:.3f}" for one in _answers(record) if one.probability is not None]
    reasons = [flag.partition(":")[2] for flag in record.flags if flag.startswith("NOT_INDEXABLE")]
    return "\n".join([*lines, *(f"not indexable: {reason}" for reason in reasons)]) or "-"
