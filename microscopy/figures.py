"""Figures of micrographs: the image with its regions, their transforms with what answers predict, map and layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from layerscope.figures import GUIDE, PALETTE, Page, Panel, Scale, save_figure, style
from layerscope.figures.courses import Look, draw_course
from layerscope.figures.images import draw_grid, draw_scale_bar
from layerscope.figures.table import Column
from layerscope.figures.views import colours_apart, provenance
from layerscope.figures.words import printed
from layerscope.records import Alternative, ResultRecord

from .arrays import BOXES, EDGE, MAP, PREDICTED, PROFILES, RINGS, SPOTS, TRANSFORM, VIEW
from .beside import Course, courses_along_depth
from .layers.model import AMORPHOUS, NONE, VACUUM
from .records import IMAGE, LAYERS, REGION

if TYPE_CHECKING:
    from layerscope.runs.load import Run
    from layerscope.runs.nexus import LazyGrids

__all__ = ["draw_images"]

MOST_REGIONS = 6
WIDE = 1.8
PAGE_MM, GAP_MM, TITLE_MM, LEGEND_MM, LINE_MM, CURVE_MM = 183.0, 4.0, 7.0, 7.0, 2.8, 40.0
TALLEST_MM = 86.0
STRONG, MOST_RINGS, APART = 0.1, 12, 0.04
"""Rings that are drawn: least relative intensity, number of a phase, distance of labels over the reach of a panel."""
EDGE_COLOUR = "#E69F00"
MOST_ANSWERS = 4
_MARKS = (("o", 6.0), ("s", 4.5))
"""Of the reflections that the first and the second answer predict."""
_GX, _GY = Scale("gx", "1/nm"), Scale("gy", "1/nm")
_X, _Y = Scale("x", "nm"), Scale("y", "nm")


@dataclass
class _View:
    """One image of a run while it is drawn: its arrays, its records, and which arrays were shown."""

    grids: LazyGrids
    whole: ResultRecord
    regions: Sequence[ResultRecord]
    layers: Sequence[ResultRecord]
    beside: Sequence[Course] = ()
    shown: dict[str, str] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """Unit of lengths in the image."""
        return self.grids[VIEW].axes[0].unit

    @property
    def colours(self) -> dict[str, str]:
        """Colour of each class of the map and each profile: vacuum white, amorphous grey, none black."""
        of_map = self.grids[MAP].axes[2].values if MAP in self.grids else ()
        of_profiles = self.grids[PROFILES].axes[0].values if PROFILES in self.grids else ()
        names = list(dict.fromkeys(str(name) for name in (*of_map, *of_profiles)))
        return colours_apart([names], PALETTE, {VACUUM: "#FFFFFF", AMORPHOUS: "#9A9A9A", NONE: "#000000"})

    def draw(self, panel: Panel, name: str, **style: Any) -> None:
        """Draw one of the arrays as an image."""
        label = f"{panel.letter}: {name}"
        draw_grid(panel, label, self.grids[name], **style)
        self.shown[label] = self.grids.reference(name)


def draw_images(run: Run, folder: Path) -> list[Path]:
    """Draw every image of a run: a page an image."""
    files: list[Path] = []
    for name, grids in run.grids.items():
        own = [r for r in run.records if any(Path(ref.file).stem.startswith(f"{name}.") for ref in r.arrays)]
        whole = next((r for r in own if r.method == IMAGE), None)
        if whole is not None and VIEW in grids:
            regions = [r for r in own if r.method == REGION]
            layers = [r for r in own if r.method == LAYERS]
            beside = _beside(run, whole) if PROFILES in grids else []
            files += _draw_page(_View(grids, whole, regions, layers, beside), folder / name)
    return files


def _beside(run: Run, whole: ResultRecord) -> list[Course]:
    """Return what other techniques of the whole run say of the sample along its depth."""
    from layerscope.runs.load import load_run

    return courses_along_depth(load_run(run.folder).records, whole.state.sample, whole.technique)


def _draw_page(view: _View, stem: Path) -> list[Path]:
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
            _draw_profiles(page.panel(axes), view)
            if view.beside:
                below = page.figure.add_subplot(grid[len(rows) + 1], sharex=axes)
                _draw_beside(page.panel(below, ", ".join(dict.fromkeys(one.source for one in view.beside))), view)
        page.columns += _columns(view)
        caption = (
            "Image with its regions and the boundaries of its layers, and the logarithm of the power of each region's "
            "transform: crosses are the spots that were found, circles and squares the reflections that the first and "
            "the second answer predict; large circles are rings, dotted those that the first does not name. The map "
            "mixes the colours of the classes by their probabilities. Profiles are amplitudes of waves that only one "
            "layer has; lines are the boundaries, bands their 95 % intervals."
        )
        others = [record for course in view.beside for record in course.records]
        came = provenance(view.grids.title, [view.whole, *view.regions, *view.layers, *others], caption)
        return list(save_figure(page.figure, stem, page.table, replace(came, arrays=view.shown)))


def _columns(view: _View) -> list[Column]:
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


def _rows(view: _View, regions: Sequence[ResultRecord], colours: Mapping[str, str]) -> list[list[_Cell]]:
    """Return the rows of images: those of a square image fill rows together; a wide one has its own, or one beside it.

    All images of a row are as high, so far as their shapes let them.
    """
    pictures: list[tuple[Callable[[Panel], None], str, float, float]] = []
    shape = view.grids[VIEW].values.shape
    title = printed(view.grids.sample)
    pictures.append((lambda panel: _draw_image(panel, view, colours), title, shape[0] / shape[1], 0.0))
    if MAP in view.grids:
        pictures.append((lambda panel: _draw_map(panel, view), "", shape[0] / shape[1], LEGEND_MM))
    for record in regions:
        name = str(record.state.region)
        lines = LINE_MM * max(len(_answers(record)), 1)
        pictures.append((_transform_of(view, record, colours.get(name, "black")), name, 1.0, lines))
    wide = len(pictures) - len(regions) if shape[1] > WIDE * shape[0] else 0
    if len(regions) == 1:  # beside a single transform there is room
        wide = max(wide - 1, 0)
    rows = [_row([picture]) for picture in pictures[:wide]]
    rest = pictures[wide:]
    columns = 2 if len(rest) == 4 else min(max(len(rest), 1), 3)
    return rows + [_row(rest[k : k + columns], columns) for k in range(0, len(rest), columns)]


def _transform_of(view: _View, record: ResultRecord, colour: str) -> Callable[[Panel], None]:
    return lambda panel: _draw_transform(panel, view, record, colour)


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


def _draw_image(panel: Panel, view: _View, colours: Mapping[str, str]) -> None:
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
        text.set_path_effects(_halo())
    limits = panel.axes.get_xlim(), panel.axes.get_ylim()
    for name in (name for name in view.grids if name.startswith(f"{EDGE} ")):
        x, y = view.grids[name].values[:, 1:].T
        panel.add(name, x, y, (_X, _Y))
        panel.axes.plot(x, y, color="white", linewidth=1.6, label=GUIDE)
        panel.axes.plot(x, y, color=EDGE_COLOUR, linewidth=0.8, label=name)
    panel.axes.set_xlim(*limits[0])
    panel.axes.set_ylim(*limits[1])


def _draw_map(panel: Panel, view: _View) -> None:
    """Draw the map of phases: colours of the classes mixed by their probabilities; what was not assessed is hatched."""
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch

    grid = view.grids[MAP]
    classes = tuple(str(name) for name in grid.axes[2].values)
    colours = view.colours
    mixed = np.nan_to_num(grid.values, nan=0.0) @ np.array([to_rgb(colours[name]) for name in classes])
    label = f"{panel.letter}: {MAP}"
    seen = np.isfinite(grid.values).all(axis=2)
    shown = np.concatenate([np.clip(mixed, 0.0, 1.0), seen[..., None].astype(float)], axis=2)
    draw_grid(panel, label, replace(grid, values=shown))
    view.shown[label] = view.grids.reference(MAP)
    panel.axes.set_facecolor("#DDDDDD")
    rows, columns = view.grids[VIEW].values.shape
    x, y = view.grids[VIEW].axes[1].values, view.grids[VIEW].axes[0].values
    panel.axes.set_xlim(0.0, float(x[-1]) * columns / (columns - 0.5))
    panel.axes.set_ylim(float(y[-1]) * rows / (rows - 0.5), 0.0)
    draw_scale_bar(panel, view.unit)
    edge: Mapping[str, Any] = {"edgecolor": "black", "linewidth": 0.3}
    handles = [Patch(facecolor=colours[name], label=printed(name), **edge) for name in classes]
    panel.axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.03), ncols=3, fontsize=5)


def _draw_profiles(panel: Panel, view: _View) -> None:
    """Draw amplitudes along the normal, and the boundaries with their 95 % intervals."""
    grid = view.grids[PROFILES]
    boundaries = [q for record in view.layers for q in record.quantities if q.name == "layer.boundary"]
    surface = min((q.value for q in boundaries if q.value is not None), default=0.0)
    depth = np.asarray(grid.axes[1].values) - surface
    names = [str(name) for name in grid.axes[0].values]
    colours = view.colours
    for name, curve in zip(names, grid.values, strict=True):
        panel.add(name, depth, curve, (Scale("depth", "nm"), Scale("relative amplitude", "1")))
        panel.axes.plot(depth, curve, color=colours[name], linewidth=0.8, label=printed(name))
    for quantity in boundaries:
        if quantity.value is None or quantity.sigma is None:
            continue
        place, reach = quantity.value - surface, 1.96 * quantity.sigma
        panel.axes.axvspan(place - reach, place + reach, color=EDGE_COLOUR, alpha=0.3, linewidth=0, label=GUIDE)
        panel.axes.axvline(place, color=EDGE_COLOUR, linewidth=0.6)
        text = " | ".join(printed(name) for name in str(quantity.component).split("|"))
        panel.axes.text(place, 1.02, text, fontsize=5, ha="center", transform=panel.axes.get_xaxis_transform())
        panel.page.columns += [
            Column.labels(f"{panel.letter}: boundary {quantity.component}", [text]),
            Column.numbers(f"{panel.letter}: depth of {quantity.component}", "nm", [place]),
            Column.numbers(f"{panel.letter}: 95 % of {quantity.component}", "nm", [reach]),
        ]
    known = depth[np.isfinite(grid.values).any(axis=0)]
    panel.axes.set_xlim(float(known[0]), float(known[-1]))
    panel.axes.set_ylim(0.0, 1.05)
    panel.axes.set_xlabel("Depth below the outermost boundary / nm")
    panel.axes.set_ylabel("Relative amplitude")
    panel.axes.legend(fontsize=5, loc="upper left")


def _draw_beside(panel: Panel, view: _View) -> None:
    """Draw what other techniques say along the depth, each over its largest value."""
    scales = Scale("depth", "nm"), Scale("over its largest", "1")
    for number, course in enumerate(view.beside):
        look = Look(PALETTE[number % len(PALETTE)], size=2.0, line="-", width=0.5, bars=0.4, cap=1.0)
        draw_course(panel, course.depth_nm, course.points, course.label, scales, look)
    panel.axes.set_ylim(bottom=0.0)
    panel.axes.set_xlabel("Depth below the surface / nm")
    panel.axes.set_ylabel("Over its largest")
    panel.axes.legend(fontsize=5, loc="upper left", ncols=3)


def _draw_transform(panel: Panel, view: _View, record: ResultRecord, colour: str) -> None:
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
    draw_scale_bar(panel, f"{view.unit}$^{{-1}}$", colours=("black", "white"))
    axes.set_xlabel(_said(record), fontsize=6)
    for side in axes.spines.values():
        side.set_color(colour)


def _draw_rings(panel: Panel, view: _View, region: str, record: ResultRecord) -> None:
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
            text.set(color=PALETTE[len(phases) % len(PALETTE)], fontsize=6, path_effects=_halo())
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
            text.set(color=colour, fontsize=5, path_effects=_halo())
            last = float(g)


def _halo() -> list[Any]:
    """Return a white rim of text, so that it stands out from an image."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=1.2, foreground="white")]


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
