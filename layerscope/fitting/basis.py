"""What a fit needs to know of a model: its linear columns and how they move with the nonlinear parameters.

A pattern is modelled as ``offset(x; q) + sum_j c_j * column_j(x; q)``. The coefficients ``c`` (areas, background terms)
are eliminated in closed form, the parameters ``q`` (positions, widths, ...) are iterated. All arrays are batched: the
first axis runs over patterns ("rows"), the last over points.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["BasisModel", "BasisValues", "Derivative"]

FloatArray = NDArray[np.float64]


class Derivative(NamedTuple):
    """Derivative of one column with respect to one parameter."""

    parameter: int
    column: int
    values: FloatArray  # shape (B, n), or (1, n) where it is the same in all rows


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
