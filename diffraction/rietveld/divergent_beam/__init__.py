"""The bias of a cell by the geometry of a divergent beam, traced by simulation and taken out.

It stands around an engine, not in it: `refine_unbiased` is given the engine as a function and needs nothing else of it.
"""

from .geometry_fit import GeometryFit, fit_geometry
from .unbias import Run, Unbiased, fundamental_pattern, refine_unbiased

__all__ = ["GeometryFit", "Run", "Unbiased", "fit_geometry", "fundamental_pattern", "refine_unbiased"]
