"""Parts of figures that show images: arrays of a run with their axes, and a bar for their scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from layerscope.runs.grids import Grid, GridAxis

from .coverage import GUIDE
from .page import Panel
from .parts import edges

if TYPE_CHECKING:
    from matplotlib.image import AxesImage
    from matplotlib.text import Text

__all__ = ["draw_grid", "draw_rim", "draw_scale_bar"]

_ROUND = tuple(step * 10.0**power for power in range(-3, 6) for step in (1.0, 2.0, 5.0))
BAR_SHARE = 0.3
"""Length of a scale bar over the width of its image at most."""


def draw_grid(panel: Panel, label: str, grid: Grid, **style: Any) -> AxesImage:
    """Draw an array of two dimensions, rows downwards, in the units of its axes.

    Parameters
    ----------
    panel : Panel
    label : str
        What `FigureProvenance.arrays` calls it.
    grid : Grid
        With axes of numbers, y first.
    **style
        Of `matplotlib.axes.Axes.imshow`: colours, limits.
    """
    top, bottom, left, right = (*_ends(grid.axes[0]), *_ends(grid.axes[1]))
    image = panel.axes.imshow(
        grid.values, extent=(left, right, bottom, top), interpolation="nearest", aspect="equal", **style
    )
    image.set_label(label)
    return image


def _ends(axis: GridAxis) -> tuple[float, float]:
    borders = edges(np.asarray(axis.values, np.float64))
    return float(borders[0]), float(borders[-1])


def draw_rim(text: Text, colour: str = "white", width: float = 1.0) -> None:
    """Draw a rim below a finished text, so that it stands out from an image; the text itself stays text in SVG.

    Parameters
    ----------
    text : Text
    colour : str
    width : float
        In points.
    """
    from matplotlib.patheffects import Stroke

    assert text.axes is not None  # noqa: S101 - texts of a figure alone have no image below
    rim = text.axes.text(*text.get_position(), text.get_text(), transform=text.get_transform(), label=GUIDE)  # type: ignore[attr-defined]
    rim.update_from(text)
    rim.set(zorder=text.get_zorder() - 0.01, path_effects=[Stroke(linewidth=width, foreground=colour)])


def draw_scale_bar(panel: Panel, unit: str, *, colours: Sequence[str] = ("white", "black")) -> None:
    """Draw a bar of a round length into the lower left corner of an image, with its length; instead of ticks."""
    axes = panel.axes
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    most = BAR_SHARE * abs(right - left)
    length = max(value for value in _ROUND if value <= most)
    x, y = left + 0.05 * (right - left), bottom + 0.06 * (top - bottom)
    for colour, width in zip(reversed(colours), (3.0, 1.6), strict=True):
        axes.plot([x, x + length], [y, y], color=colour, linewidth=width, solid_capstyle="butt", label=GUIDE)
    text = axes.text(
        x + 0.5 * length, y + 0.03 * (top - bottom), f"{length:g} {unit}", color=colours[0], ha="center", va="bottom"
    )
    draw_rim(text, colours[1])
    axes.set_xticks([])
    axes.set_yticks([])
