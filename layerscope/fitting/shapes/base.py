"""What every peak shape has in common: the batch convention, the result and its checks.

A *shape* is a peak of unit area, so that the linear coefficient in front of it is the area of the line. Shapes are
evaluated for a batch of ``B`` rows (patterns) at once: ``x`` has shape (B, n), the parameters (B, q), values (B, n) and
derivatives (B, q, n).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.errors import FitError

__all__ = [
    "AXIS_UNIT",
    "FloatArray",
    "Line",
    "ParameterHint",
    "RowByRowLine",
    "Shape",
    "ShapeValues",
    "as_batch",
    "require_positive",
    "require_within",
]

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

    def rows(self, part: slice) -> ShapeValues:
        """Return some of the rows, as views."""
        return ShapeValues(
            self.value[part],
            self.jac[part],
            None if self.integral is None else self.integral[part],
            None if self.integral_jac is None else self.integral_jac[part],
        )


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


@cache
def _widths(parameters: tuple[str, ...]) -> tuple[tuple[int, str], ...]:
    return tuple((k, name) for k, name in enumerate(parameters) if name.endswith("fwhm"))


class Line(ABC):
    """What all lines share: parameters with their hints, the checks, and the one place where `evaluate` is written.

    A line declares ``name`` and ``hints``, in the order of its parameters, and says in `_curves` what it is; those of
    its parameters that end in ``fwhm`` are widths, which must be above zero.
    """

    hints: ClassVar[Mapping[str, ParameterHint]]

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the shape, for messages."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the nonlinear parameters, ``"center"`` first."""
        return tuple(self.defaults())

    def defaults(self) -> dict[str, ParameterHint]:
        """Return a start value and bounds for every parameter."""
        return dict(self.hints)

    def evaluate(self, x: ArrayLike, p: ArrayLike, *, derivatives: bool = True, integral: bool = False) -> ShapeValues:
        """Evaluate the shape, its derivatives and, on request, its running integral.

        Parameters
        ----------
        x : array-like, shape (n,), (1, n) or (B, n)
            Axis.
        p : array-like, shape (B, q)
            Parameters of each row, in the order of `parameters`.
        derivatives, integral : bool
            What to compute besides the value.

        Returns
        -------
        ShapeValues
            Value (B, n), derivatives (B, q, n), running integral and its derivatives.

        Raises
        ------
        FitError
            When the arrays do not fit, a parameter is not finite, a width is not above zero, or another parameter lies
            where the shape is not defined.
        """
        axis, par = as_batch(self.name, self.parameters, x, p)
        self._check(par)
        return self._curves(axis, par, derivatives, integral)

    def _check(self, par: FloatArray) -> None:
        """Raise FitError where a parameter lies where the shape is not defined."""
        for k, name in _widths(self.parameters):
            require_positive(self.name, name, par[:, k])

    @abstractmethod
    def _curves(self, axis: FloatArray, par: FloatArray, derivatives: bool, integral: bool) -> ShapeValues:
        """Return what was asked for on the checked axis (B or 1, n), with the checked parameters (B, q)."""


class RowByRowLine(Line):
    """A line that is worked out for one row at a time, on distances from its center."""

    @abstractmethod
    def _row(self, distance: FloatArray, parameters: tuple[float, ...], integral: bool) -> ShapeValues:
        """Return the line at `distance` (n,) from the center, its other parameters given; arrays without an axis B."""

    def _curves(self, axis: FloatArray, par: FloatArray, derivatives: bool, integral: bool) -> ShapeValues:
        value = np.empty((par.shape[0], axis.shape[1]))
        jac = np.empty((par.shape[0], par.shape[1] if derivatives else 0, axis.shape[1]))
        running, running_jac = (np.empty_like(value), np.empty_like(jac)) if integral else (None, None)
        for row, parameters in enumerate(par):
            distance = axis[row if axis.shape[0] > 1 else 0] - parameters[0]
            one = self._row(distance, tuple(float(v) for v in parameters[1:]), integral)
            value[row] = one.value
            if derivatives:
                jac[row] = one.jac
            if running is not None and running_jac is not None:
                running[row] = one.integral
                if derivatives:
                    running_jac[row] = one.integral_jac
        return ShapeValues(value, jac, running, running_jac)


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


def require_within(shape: str, name: str, values: FloatArray, low: float, high: float) -> None:
    """Raise FitError unless all `values` of the parameter `name` lie within its range."""
    if values.size and (values.min() < low or values.max() > high):
        raise FitError(f"{name} must lie within {low:g} and {high:g}", source=shape)
