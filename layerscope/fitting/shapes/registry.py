"""Which shapes there are, by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from layerscope.errors import FitError
from layerscope.fitting.shapes.base import Shape
from layerscope.fitting.shapes.casa_la import CasaLA
from layerscope.fitting.shapes.doniach import DoniachSunjic
from layerscope.fitting.shapes.gl_product import GLProduct
from layerscope.fitting.shapes.simple import Gaussian, Lorentzian, PseudoVoigt
from layerscope.fitting.shapes.voigt import Voigt

__all__ = ["get_shape", "shape_names"]

_SHAPES: dict[str, Callable[[], Shape]] = {
    "casa_la": CasaLA,
    "doniach_sunjic": DoniachSunjic,
    "gaussian": Gaussian,
    "gl_product": GLProduct,
    "lorentzian": Lorentzian,
    "pseudo_voigt": PseudoVoigt,
    "voigt": Voigt,
}


def shape_names() -> tuple[str, ...]:
    """Return the names that `get_shape` knows, sorted."""
    return tuple(sorted(_SHAPES))


def get_shape(name: str) -> Shape:
    """Return the shape of that name.

    Parameters
    ----------
    name : str
        One of `shape_names()`.

    Returns
    -------
    Shape
        A fresh instance.

    Raises
    ------
    FitError
        When there is no such shape; the message names the nearest known one.
    """
    try:
        return _SHAPES[name]()
    except KeyError:
        near = difflib.get_close_matches(name.lower().replace("-", "_").replace(" ", "_"), _SHAPES, n=1, cutoff=0.4)
        known = ", ".join(shape_names())
        hint = f"did you mean {near[0]!r}? known shapes: {known}" if near else f"known shapes: {known}"
        raise FitError(f"unknown peak shape {name!r}", hint=hint) from None
