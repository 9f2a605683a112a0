"""What a fit needs to know of a model: its linear columns and how they move with the nonlinear parameters.

A pattern is modelled as ``offset(x; q) + sum_j c_j * column_j(x; q)``. The coefficients ``c`` (areas, background terms)
are eliminated in closed form, the parameters ``q`` (positions, widths, ...) are iterated. All arrays are batched: the
first axis runs over patterns ("rows"), the last over points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import FitError
from layerscope.fitting.expressions import Expression

__all__ = ["BasisModel", "BasisValues", "Derivative", "ExpressionModel"]

FloatArray = NDArray[np.float64]


class Derivative(NamedTuple):
    """Derivative of one column with respect to one parameter."""

    parameter: int
    column: int
    values: FloatArray  # shape (B, n)


@dataclass(frozen=True)
class BasisValues:
    """Columns of a model at given nonlinear parameters.

    Attributes
    ----------
    columns : ndarray, shape (B, m, n)
        One row of values for each linear coefficient.
    derivatives : list of Derivative
        Only the pairs (parameter, column) that depend on each other.
    offset : ndarray, shape (B, n), or None
        Part of the model that no coefficient scales.
    offset_derivatives : list of (parameter, ndarray of shape (B, n))
    """

    columns: FloatArray
    derivatives: list[Derivative]
    offset: FloatArray | None = None
    offset_derivatives: list[tuple[int, FloatArray]] = field(default_factory=list)


class BasisModel(Protocol):
    """A model that is linear in some of its parameters."""

    @property
    def nonlinear_names(self) -> tuple[str, ...]:
        """Names of the parameters to iterate, in the order of the last axis of `q`."""

    @property
    def linear_names(self) -> tuple[str, ...]:
        """Names of the coefficients that are eliminated, in the order of the columns."""

    @property
    def nonnegative(self) -> tuple[bool, ...]:
        """Which coefficients describe a quantity that cannot be negative."""

    def basis(self, x: FloatArray, q: FloatArray, *, derivatives: bool = True) -> BasisValues:
        """Return the columns at `x` of shape (B, n) or (1, n) for parameters `q` of shape (B, Q)."""


class ExpressionModel:
    """A model written as formulas of ``x``, one for each linear coefficient.

    Parameters
    ----------
    columns : mapping of str to str
        Coefficient name -> formula of ``x`` and nonlinear parameters, e.g. ``{"b1": "1 - exp(-b2 * x)"}``.
    offset : str, optional
        Formula of the part without a coefficient.
    variables : sequence of str
        Names of the independent variables; the points of several variables are passed as a stack, shape (B, v, n).

    Raises
    ------
    RecipeError
        If a formula is not in the checked grammar.
    FitError
        If there is neither a column nor an offset.
    """

    def __init__(
        self, columns: Mapping[str, str], *, offset: str | None = None, variables: Sequence[str] = ("x",)
    ) -> None:
        if not columns and offset is None:
            raise FitError("a model needs at least one column or an offset")
        self._columns = {name: Expression(text) for name, text in columns.items()}
        self._offset = None if offset is None else Expression(offset)
        self._variables = tuple(variables)
        used = set().union(*(c.names for c in self._columns.values()))
        if self._offset is not None:
            used |= set(self._offset.names)
        self._nonlinear = tuple(sorted(used - set(variables)))

    @property
    def nonlinear_names(self) -> tuple[str, ...]:
        """Names of the parameters to iterate."""
        return self._nonlinear

    @property
    def linear_names(self) -> tuple[str, ...]:
        """Names of the eliminated coefficients."""
        return tuple(self._columns)

    @property
    def nonnegative(self) -> tuple[bool, ...]:
        """No coefficient of a formula is taken to be a physical amount."""
        return (False,) * len(self._columns)

    def _values(self, x: FloatArray, q: FloatArray) -> dict[str, Any]:
        values: dict[str, Any] = {name: q[:, i, None] for i, name in enumerate(self._nonlinear)}
        if len(self._variables) == 1:
            values[self._variables[0]] = x
        else:
            values.update({name: x[:, i] for i, name in enumerate(self._variables)})
        return values

    def basis(self, x: FloatArray, q: FloatArray, *, derivatives: bool = True) -> BasisValues:
        """Evaluate all formulas and, unless switched off, their derivatives."""
        values = self._values(x, q)
        shape = (q.shape[0], x.shape[-1])
        wanted = frozenset(self._nonlinear) if derivatives else frozenset()
        index = {name: i for i, name in enumerate(self._nonlinear)}
        columns = np.empty((shape[0], len(self._columns), shape[1]))
        terms = []
        with np.errstate(all="ignore"):  # a trial step may leave the domain of a formula; the solver then shortens it
            for j, expression in enumerate(self._columns.values()):
                dual = expression.gradient(values, wanted)
                columns[:, j] = dual.value
                terms += [Derivative(index[k], j, np.broadcast_to(d, shape)) for k, d in dual.gradient.items()]
            if self._offset is None:
                return BasisValues(columns, terms)
            dual = self._offset.gradient(values, wanted)
        offset_terms = [(index[k], np.broadcast_to(d, shape)) for k, d in dual.gradient.items()]
        return BasisValues(columns, terms, np.broadcast_to(dual.value, shape), offset_terms)
