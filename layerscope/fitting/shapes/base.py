"""What every peak shape has in common: the batch convention, the result and its checks.

A *shape* is a peak of unit area, so that the linear coefficient in front of it is the area of the line. Shapes are
evaluated for a batch of ``B`` rows (patterns) at once: ``x`` has shape (B, n), the parameters (B, q), values (B, n) and
derivatives (B, q, n).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.errors import FitError

__all__ = ["AXIS_UNIT", "FloatArray", "ParameterHint", "Shape", "ShapeValues", "as_batch", "require_positive"]

FloatArray = NDArray[np.float64]

#: Unit of a parameter that is measured along the axis, whatever the axis is (eV for XPS, degrees for XRD).
AXIS_UNIT = "axis"


@dataclass(frozen=True)
class ParameterHint:
    """Where a shape parameter may start and how far it may go.

    Parameters
    ----------
    value : float
        Start value used when the user gives none.
    min, max : float
        Bounds within which the shape is defined and makes sense; infinite when there is none.
    unit : str
        ``"axis"`` for a quantity in the unit of the axis, ``"1"`` for a dimensionless one.
    """

    value: float
    min: float = -np.inf
    max: float = np.inf
    unit: str = AXIS_UNIT


@dataclass(frozen=True)
class ShapeValues:
    """A shape and its derivatives on a batch of axes.

    Parameters
    ----------
    value : ndarray, shape (B, n)
        The shape, in 1/(unit of the axis): unit area unless the shape says otherwise.
    jac : ndarray, shape (B, q, n)
        Derivatives of ``value`` with respect to the parameters, in the order of ``shape.parameters``; q = 0 when not
        asked for.
    integral : ndarray, shape (B, n), or None
        Running integral from minus infinity to x, i.e. from low to high binding energy; only when asked for.
    integral_jac : ndarray, shape (B, q, n), or None
        Derivatives of ``integral`` with respect to the parameters.
    """

    value: FloatArray
    jac: FloatArray
    integral: FloatArray | None = None
    integral_jac: FloatArray | None = None


@runtime_checkable
class Shape(Protocol):
    """A peak shape; ``parameters[0]`` is always ``"center"``."""

    @property
    def name(self) -> str:
        """Name under which `layerscope.fitting.shapes.get_shape` knows it."""
        ...

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the nonlinear parameters, ``"center"`` first."""
        ...

    def defaults(self) -> dict[str, ParameterHint]:
        """Return a start value and bounds for every parameter."""
        ...

    def evaluate(self, x: ArrayLike, p: ArrayLike, *, derivatives: bool = True, integral: bool = False) -> ShapeValues:
        """Evaluate the shape on the axes `x` (B, n) with parameters `p` (B, q)."""
        ...


def as_batch(shape: str, parameters: tuple[str, ...], x: ArrayLike, p: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Check and broadcast the two arguments of a shape.

    Parameters
    ----------
    shape : str
        Name of the shape, for the message of an error.
    parameters : tuple of str
        Names of its parameters.
    x : array-like, shape (n,), (1, n) or (B, n)
        Axis; a single axis serves all rows.
    p : array-like, shape (q,) or (B, q)
        Parameters of each row.

    Returns
    -------
    x : ndarray, shape (1, n) or (B, n)
        The axis, never a copy if it already is a float64 array.
    p : ndarray, shape (B, q)
        The parameters.

    Raises
    ------
    FitError
        When the shapes do not agree or a parameter is not finite.
    """
    axis = np.asarray(x, dtype=np.float64)
    values = np.asarray(p, dtype=np.float64)
    if axis.ndim == 1:
        axis = axis[np.newaxis, :]
    if values.ndim == 1:
        values = values[np.newaxis, :]
    if axis.ndim != 2 or values.ndim != 2:
        raise FitError(
            f"the axis must be (B, n) and the parameters (B, q), not {axis.shape} and {values.shape}", source=shape
        )
    if values.shape[1] != len(parameters):
        raise FitError(
            f"{len(parameters)} parameters expected ({', '.join(parameters)}), {values.shape[1]} given", source=shape
        )
    if axis.shape[0] != values.shape[0]:
        if values.shape[0] == 1:
            values = np.broadcast_to(values, (axis.shape[0], values.shape[1]))
        elif axis.shape[0] != 1:
            raise FitError(f"{axis.shape[0]} axes but {values.shape[0]} rows of parameters", source=shape)
    if not np.isfinite(values).all():
        column = int(np.nonzero(~np.isfinite(values).all(axis=0))[0][0])
        raise FitError(f"parameter {parameters[column]} is not finite", source=shape)
    return axis, values


def require_positive(shape: str, name: str, values: FloatArray) -> None:
    """Raise FitError unless all `values` of the parameter `name` are above zero."""
    if values.size and values.min() <= 0.0:
        raise FitError(
            f"{name} must be above zero, not {values.min():g}", source=shape, hint="set a lower bound above zero"
        )
