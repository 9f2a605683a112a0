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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = ["SETTLED", "repeated_cheaply"]

SETTLED = 2e-4
"""Share of the page by which nothing moves any more: 0.04 mm on 183 mm."""
LAYOUT_TABLES = ("GDEF", "GPOS", "GSUB", "MATH", "kern")
"""Tables of a font that shape text. In a PDF the glyphs are placed and numbered already: no viewer reads them."""
USUAL = (
    *range(0x20, 0x180), *range(0x370, 0x400), *range(0x2010, 0x2060), *range(0x2070, 0x20A0), *range(0x2190, 0x2270),
    0x210F, 0x212B, *range(0xFB00, 0xFB05),
)  # fmt: skip
"""Letters, Greek ones, dashes and primes, raised and lowered signs, arrows, signs of mathematics, ħ, Å, ligatures."""


@contextmanager
def repeated_cheaply(figure: Figure) -> Iterator[None]:
    """Lay out and draw a figure repeatedly inside a ``with`` block, in which nothing is added to it.

    What is drawn is the same as without; a figure may be moved, resized and zoomed inside the block.

    Parameters
    ----------
    figure : Figure
        The finished figure.
    """
    panels: list[Any] = list(figure.get_axes())
    for panel in panels:
        panels += panel.child_axes  # of those inside others too
    axes = [axis for panel in panels for axis in (panel.xaxis, panel.yaxis)]
    for axis in axes:
        _keep_ticks(axis)
    for panel in panels:
        _keep_box(panel)
    try:
        with _kept_texts(), _small_fonts():
            yield
    finally:
        for axis in axes:
            del axis.__dict__["_update_ticks"], axis.__dict__["_get_ticklabel_bboxes"]
        for panel in panels:
            del panel.__dict__["get_tightbbox"]


def _keep_box(panel: Any) -> None:
    """Let a panel be measured for the layout only when it has moved visibly; else its labels move with it."""
    from matplotlib.transforms import Bbox

    measure = panel.get_tightbbox
    known: list[tuple[Any, Any, Any]] = []

    def kept(renderer: Any = None, *more: Any, for_layout_only: bool = False, **named: Any) -> Any:
        if more or named or not for_layout_only or panel.get_axes_locator() is not None:
            return measure(renderer, *more, for_layout_only=for_layout_only, **named)
        place = panel.get_position(original=True).get_points()
        for of, at, box in known:
            if of is renderer and np.abs(place - at).max() < SETTLED:
                to_pixels = panel.figure.transSubfigure.transform
                return Bbox(box.get_points() + to_pixels(place) - to_pixels(at))
        box = measure(renderer, for_layout_only=True)
        if box is not None:
            known[:] = [(renderer, place.copy(), box)]
        return box

    panel.get_tightbbox = kept


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
def _small_fonts() -> Iterator[None]:
    """Take the letters that a PDF embeds from a font of the usual ones, not from the whole of six thousand."""
    from matplotlib.backends import _backend_pdf_ps as fonts

    hidden: Any = fonts
    if not hasattr(hidden, "SubsetResults"):  # before 3.11 letters were asked for by their names
        yield
        return
    whole = hidden.get_glyphs_subset

    def small(file: Any, glyphs: Any) -> Any:
        content, places = _usual_letters(file)
        if not set(glyphs) <= places.keys():
            return whole(file, glyphs)
        font, among = _only(BytesIO(content), {places[glyph] for glyph in glyphs})
        return hidden.SubsetResults(font, {glyph: among[places[glyph]] for glyph in glyphs})._as_cm()

    hidden.get_glyphs_subset = small
    try:
        yield
    finally:
        hidden.get_glyphs_subset = whole


@cache
def _usual_letters(file: Any) -> tuple[bytes, dict[int, int]]:
    """Return a font of the usual letters, and where in it the glyphs of the whole font are."""
    from matplotlib.font_manager import get_font

    found = {int(get_font(file).get_char_index(letter)) for letter in USUAL}
    with Path(file).open("rb") as whole:
        font, places = _only(whole, found, file.face_index)
    target = BytesIO()
    font.save(target, reorderTables=False)
    return target.getvalue(), places


def _only(file: Any, glyphs: set[int], face: int = -1) -> tuple[Any, dict[int, int]]:
    """Return a font of some glyphs of another one, without what no viewer of a PDF reads, and where in it each is."""
    from fontTools import subset

    options = subset.Options(
        glyph_names=False, recommended_glyphs=True, layout_features=[], legacy_cmap=True, font_number=face
    )
    options.drop_tables += [*LAYOUT_TABLES, "FFTM"]
    font, chosen = subset.load_font(file, options), subset.Subsetter(options)
    for table in font["cmap"].tables:
        table.cmap = {}  # which letter has which glyph: a PDF says so itself
    chosen.populate(gids=glyphs)
    chosen.subset(font)
    return font, chosen.glyph_index_map
