"""Fits stored by CasaXPS in VAMAS comments: read, drawn again, and refined again by the engine.

`redraw` draws a stored fit, `weigh_stored` takes its areas with their counting errors, `refit` fits it again. Behind
them: `text` (the comments), `shapes` and `lines` (CasaXPS' line shapes and backgrounds), `stored_fit` (a stored fit in
the frame of the file), `model` (the same for the fit engine).
"""

from __future__ import annotations

from .refitted import CasaRefit, refit
from .stored_fit import redraw
from .text import CasaFit, parse_casa_fit
from .weigh import StoredFit, weigh_stored

__all__ = ["CasaFit", "CasaRefit", "StoredFit", "parse_casa_fit", "redraw", "refit", "weigh_stored"]
