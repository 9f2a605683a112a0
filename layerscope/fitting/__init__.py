"""The fit engine: series of peak patterns that share shapes, solved jointly, with honest errors."""

from layerscope.fitting.layout import PER_PATTERN, SHARED, Smooth
from layerscope.fitting.model import Component, PatternModel
from layerscope.fitting.result import BatchFit, SeriesFit
from layerscope.fitting.series import Series, fit_batch, fit_series

__all__ = [
    "PER_PATTERN",
    "SHARED",
    "BatchFit",
    "Component",
    "PatternModel",
    "Series",
    "SeriesFit",
    "Smooth",
    "fit_batch",
    "fit_series",
]
