"""A page is laid out and drawn several times over: what does not change in between is worked out once.

Matplotlib asks every axis for its ticks, and every tick label for its size, anew wherever it needs them: for the axis,
for each of its spines and for all axes whose labels are aligned with it. A font is taken apart for every file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = ["repeated_cheaply"]

LAYOUT_TABLES = ("GDEF", "GPOS", "GSUB", "MATH")
"""Tables of a font that shape text. In a PDF the glyphs are placed already: no viewer reads them."""


@contextmanager
def repeated_cheaply(figure: Figure) -> Iterator[None]:
    """Lay out and draw a figure repeatedly inside a ``with`` block, in which nothing is added to it.

    What is drawn is the same as without; a figure may be moved, resized and zoomed inside the block.

    Parameters
    ----------
    figure : Figure
        The finished figure.
    """
    axes = list(_axes_of(figure))
    for axis in axes:
        _keep_ticks(axis)
    try:
        with _lean_fonts():
            yield
    finally:
        for axis in axes:
            del axis.__dict__["_update_ticks"], axis.__dict__["_get_ticklabel_bboxes"]


def _axes_of(figure: Figure) -> Iterator[Axis]:
    """Yield x and y of all panels, of those inside others too."""
    panels: list[Any] = list(figure.get_axes())
    for panel in panels:
        panels += panel.child_axes
        yield from (panel.xaxis, panel.yaxis)


def _keep_ticks(axis: Axis) -> None:
    """Let an axis work out ticks, and the boxes of their labels, only when its place, range or renderer has changed."""
    hidden: Any = axis
    update, measure = hidden._update_ticks, hidden._get_ticklabel_bboxes
    ticks: dict[tuple[Any, ...], Any] = {}
    boxes: dict[tuple[Any, ...], Any] = {}

    def place() -> tuple[Any, ...]:
        return (*axis.axes.bbox.bounds, *axis.get_view_interval())

    def kept_ticks() -> Any:
        key = place()
        if key not in ticks:
            ticks.clear()  # the ticks are the same objects, moved: only the last answer holds
            boxes.clear()
            ticks[key] = update()
        return ticks[key]

    def kept_boxes(of: Any, renderer: Any) -> Any:
        key = (*place(), renderer)
        if of is not ticks.get(key[:-1]):
            return measure(of, renderer)
        if key not in boxes:
            boxes[key] = measure(of, renderer)
        return boxes[key]

    hidden._update_ticks, hidden._get_ticklabel_bboxes = kept_ticks, kept_boxes


@contextmanager
def _lean_fonts() -> Iterator[None]:
    """Leave tables for shaping text out of the fonts that are embedded: taking these apart costs most of embedding."""
    dropped: list[str] = []
    with suppress(ImportError, AttributeError):
        from fontTools.subset import Options

        dropped = Options._drop_tables_default
    before = list(dropped)
    dropped += LAYOUT_TABLES
    try:
        yield
    finally:
        dropped[:] = before
