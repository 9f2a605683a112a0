"""The peak shapes of the fit engine: one protocol, what all lines share, and the lines themselves.

>>> shape = get_shape("pseudo_voigt")
>>> shape.parameters
('center', 'fwhm', 'mixing')
"""

from layerscope.fitting.shapes.base import (
    AXIS_UNIT,
    FloatArray,
    Line,
    ParameterHint,
    Shape,
    ShapeValues,
    as_batch,
    require_positive,
)
from layerscope.fitting.shapes.casa_la import CasaLA
from layerscope.fitting.shapes.doniach import DoniachSunjic
from layerscope.fitting.shapes.doublet import Doublet
from layerscope.fitting.shapes.edge_step import EdgeStep
from layerscope.fitting.shapes.gl_product import GLProduct
from layerscope.fitting.shapes.multiplet import Multiplet
from layerscope.fitting.shapes.registry import get_shape, shape_names
from layerscope.fitting.shapes.simple import Gaussian, Lorentzian, PseudoVoigt, sgl_to_mixing
from layerscope.fitting.shapes.voigt import Voigt

__all__ = [
    "AXIS_UNIT",
    "CasaLA",
    "DoniachSunjic",
    "Doublet",
    "EdgeStep",
    "FloatArray",
    "GLProduct",
    "Gaussian",
    "Line",
    "Lorentzian",
    "Multiplet",
    "ParameterHint",
    "PseudoVoigt",
    "Shape",
    "ShapeValues",
    "Voigt",
    "as_batch",
    "get_shape",
    "require_positive",
    "sgl_to_mixing",
    "shape_names",
]
