"""Panels of the layers of a micrograph: map of phases, strain, profiles along the normal, what stands beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from layerscope.figures import GUIDE, PALETTE, Panel, Scale
from layerscope.figures.courses import Look, draw_course
from layerscope.figures.images import draw_grid, draw_scale_bar
from layerscope.figures.table import Column
from layerscope.figures.views import colours_apart
from layerscope.figures.words import printed
from layerscope.records import ResultRecord

from .arrays import MAP, PROFILES, STRAIN, VIEW
from .beside import Course
from .layers.model import AMORPHOUS, NONE, VACUUM

if TYPE_CHECKING:
    from layerscope.runs.nexus import LazyGrids

__all__ = ["EDGE_COLOUR", "STRAINS", "View", "draw_beside", "draw_map", "draw_profiles", "draw_strain"]

EDGE_COLOUR, UNKNOWN = "#E69F00", "#DDDDDD"
STRAINS = ("across", "along")
"""Parts of the strain that are drawn, each a panel."""
LEAST_STRAIN, MOST_STRAIN = 0.005, 0.1
"""Range of the colours of strain: at least and at most."""


@dataclass
class View:
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


def draw_map(panel: Panel, view: View) -> None:
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
    _whole(panel, view)
    edge: Mapping[str, Any] = {"edgecolor": "black", "linewidth": 0.3}
    handles = [Patch(facecolor=colours[name], label=printed(name), **edge) for name in classes]
    panel.axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.03), ncols=3, fontsize=5)


def draw_strain(panel: Panel, view: View, part: str) -> None:
    """Draw one part of the strain; hatched near a change of phase or a rim, where it may be false."""
    grid = view.grids[STRAIN]
    names = [str(name) for name in grid.axes[2].values]
    values = grid.values[..., names.index(part)].astype(np.float64)
    changes = grid.values[..., names.index("near a change")] > 0.5
    both = np.abs(grid.values[..., [names.index(one) for one in STRAINS]])
    shown = [some[np.isfinite(some)] for some in (both[~changes], both)]
    most = next((float(np.quantile(some, 0.98)) for some in shown if some.size), 0.0)
    most = float(np.clip(most, LEAST_STRAIN, MOST_STRAIN))
    label = f"{panel.letter}: {STRAIN} {part}"
    plane = replace(grid, values=100.0 * values, axes=grid.axes[:2])
    image = draw_grid(panel, label, plane, cmap="RdBu_r", vmin=-100.0 * most, vmax=100.0 * most)
    view.shown[label] = view.grids.reference(STRAIN)
    y, x = (np.asarray(axis.values) for axis in plane.axes)
    if changes.any():
        hatch = panel.axes.contourf(x, y, changes.astype(float), levels=[0.5, 1.5], colors="none", hatches=["//////"])
        hatch.set(edgecolor="#666666", linewidth=0.0, label=GUIDE)
        panel.axes.set_xlabel("hatched: a change of phase or a rim is near, strain may be false", fontsize=5)
    _whole(panel, view)
    bar = panel.page.figure.colorbar(image, ax=panel.axes, pad=0.02, aspect=25, fraction=0.04, extend="both")
    bar.ax.tick_params(labelsize=5)
    bar.set_label(f"Strain {part} the surface / %", fontsize=5)


def _whole(panel: Panel, view: View) -> None:
    """Show a map as large as its image, grey where nothing is known, with the image's scale bar."""
    panel.axes.set_facecolor(UNKNOWN)
    rows, columns = view.grids[VIEW].values.shape
    x, y = view.grids[VIEW].axes[1].values, view.grids[VIEW].axes[0].values
    panel.axes.set_xlim(0.0, float(x[-1]) * columns / (columns - 0.5))
    panel.axes.set_ylim(float(y[-1]) * rows / (rows - 0.5), 0.0)
    draw_scale_bar(panel, view.unit)


def draw_profiles(panel: Panel, view: View) -> None:
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


def draw_beside(panel: Panel, view: View) -> None:
    """Draw what other techniques say along the depth, each over its largest value."""
    scales = Scale("depth", "nm"), Scale("over its largest", "1")
    for number, course in enumerate(view.beside):
        look = Look(PALETTE[number % len(PALETTE)], size=2.0, line="-", width=0.5, bars=0.4, cap=1.0)
        draw_course(panel, course.depth_nm, course.points, course.label, scales, look)
    panel.axes.set_ylim(bottom=0.0)
    panel.axes.set_xlabel("Depth below the surface / nm")
    panel.axes.set_ylabel("Over its largest")
    panel.axes.legend(fontsize=5, loc="upper left", ncols=3)
