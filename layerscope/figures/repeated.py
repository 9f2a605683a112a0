"""A page is laid out and drawn several times over: what does not change in between is worked out once.

Matplotlib asks every axis for its ticks, and every tick label for its size, anew wherever it needs them: for the axis,
for each of its spines and for all axes whose labels are aligned with it. Every text is laid out anew for each of these
questions, and a font is taken apart for every file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = ["repeated_cheaply"]

LAYOUT_TABLES = ("GDEF", "GPOS", "GSUB", "MATH", "kern")
"""Tables of a font that shape text. In a PDF the glyphs are placed and numbered already: no viewer reads them."""


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
        with _kept_texts(), _lean_fonts():
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
def _kept_texts() -> Iterator[None]:
    """Lay out each text once a renderer and resolution, as long as it says the same."""
    from matplotlib.text import Text

    hidden: Any = Text
    laid_out, known = hidden._get_layout, {}

    def kept(text: Any, renderer: Any) -> Any:
        if text.get_wrap() or text.get_transform_rotates_text():  # it depends on the place as well
            return laid_out(text, renderer)
        key = (text, renderer, text.get_figure(root=True).dpi, text.get_text())
        if key not in known:
            known[key] = laid_out(text, renderer)
        return known[key]

    hidden._get_layout = kept
    try:
        yield
    finally:
        hidden._get_layout = laid_out


@contextmanager
def _lean_fonts() -> Iterator[None]:
    """Take fonts that are embedded from copies without the tables that shape text, which are taken apart in vain."""
    from fontTools import subset

    load = subset.load_font

    def lean(file: Any, options: Any, *more: Any, **named: Any) -> Any:
        return load(BytesIO(_lean_font(str(file), options.font_number)), options, *more, **named)

    subset.load_font = lean
    try:
        yield
    finally:
        subset.load_font = load


@cache
def _lean_font(file: str, number: int) -> bytes:
    """Return a font file without what no viewer of a PDF reads."""
    from fontTools.ttLib import TTFont

    with TTFont(file, fontNumber=number, lazy=True, recalcBBoxes=False, recalcTimestamp=False) as font:
        for table in LAYOUT_TABLES:
            if table in font:
                del font[table]
        font["post"].formatType = 3.0  # names of glyphs, and which letter has which: a PDF says so itself
        del font["cmap"].tables[1:]
        font["cmap"].tables[0].cmap = {}
        target = BytesIO()
        font.save(target, reorderTables=False)
    return target.getvalue()
