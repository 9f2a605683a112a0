"""The fit engine: series of peak patterns that share shapes, solved jointly, with honest errors.

The way through the modules: `shapes` and `backgrounds` make the columns of a `model`; `layout` says which parameters
are shared; `measured` brings data into form, and `series` fits them: `weighting` finds the weights, `solver` the
minimum, from `rows`, `projection` and `arrow`; `covariance` and `result` (`series_fit`) say what came out, `errors`
(`bootstrap`, `profile`) how well it is known where no covariance tells, `compare` and `limits` what to make of it.
"""

from layerscope.fitting.kernels import use_compiled
from layerscope.fitting.layout import PER_PATTERN, SHARED, Smooth
from layerscope.fitting.model import Component, PatternModel
from layerscope.fitting.parameters import Parameters
from layerscope.fitting.result import BatchFit, SeriesFit
from layerscope.fitting.series import Series, fit_batch, fit_series

__all__ = [
    "PER_PATTERN",
    "SHARED",
    "BatchFit",
    "Component",
    "Parameters",
    "PatternModel",
    "Series",
    "SeriesFit",
    "Smooth",
    "fit_batch",
    "fit_series",
    "use_compiled",
]
