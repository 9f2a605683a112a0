"""A model of formulas, for problems whose answer is known: NIST's sets, decays, straight lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import FitError
from layerscope.fitting.basis import BasisValues, Derivative
from layerscope.fitting.expressions import Expression

FloatArray = NDArray[np.float64]


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
