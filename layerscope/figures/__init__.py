"""Publication figures: style sheets, the table behind each figure, and saving that gives the same bytes every time.

No technique is known here; a pipeline draws, this package gives it the page and keeps the numbers with the picture.
"""

from __future__ import annotations

from layerscope.options import FigureOptions

from .coverage import GUIDE, unlisted_artists
from .drawing import Drawing
from .page import Page, Panel, Scale
from .save import FigureProvenance, save_figure, saved_as
from .style import DATA_COLOUR, PALETTE, SAMPLE_COLOURS, Sheet, Width, millimetres, style
from .table import Column, Curve, FigureTable

__all__ = [
    "DATA_COLOUR",
    "GUIDE",
    "PALETTE",
    "SAMPLE_COLOURS",
    "Column",
    "Curve",
    "Drawing",
    "FigureOptions",
    "FigureProvenance",
    "FigureTable",
    "Page",
    "Panel",
    "Scale",
    "Sheet",
    "Width",
    "millimetres",
    "save_figure",
    "saved_as",
    "style",
    "unlisted_artists",
]
