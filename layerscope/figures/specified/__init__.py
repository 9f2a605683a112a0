"""Figures by specification: panels of any technique, composed on one page as a short table says.

A technique offers its panels by an entry point of the group ``layerscope.panels``; here none is known.
"""

from __future__ import annotations

from .choose import draw_chosen, usual_panels
from .compose import draw_specified
from .kinds import PanelKind, installed_kinds
from .place import Colours, Place, Source
from .spec import FigureSpec, PanelOptions, read_spec, spec_for

__all__ = [
    "Colours",
    "FigureSpec",
    "PanelKind",
    "PanelOptions",
    "Place",
    "Source",
    "draw_chosen",
    "draw_specified",
    "installed_kinds",
    "read_spec",
    "spec_for",
    "usual_panels",
]
