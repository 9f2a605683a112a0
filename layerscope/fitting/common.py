"""Patterns that share every shape: columns and derivatives evaluated once, and multiplied once.

Where no parameter belongs to a pattern alone, and all patterns lie on one axis, the columns are the same in all of
them, and so are their derivatives; only weights and coefficients differ. Every sum over points that the normal
equations need is then a sum of weights times a product of two of these rows. All products with all weights are one
multiplication of matrices, and what follows works on a few numbers a pattern.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.basis import BasisValues
from layerscope.fitting.projection import (
    LOST,
    Routes,
    RowSums,
    bounded,
    definite_inverse,
    definite_inverse_of_few,
    gram_inverse,
    times,
)

__all__ = ["CHUNK_VALUES", "Known", "common_rows"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

FEW = 4  # patterns up to which weighting the rows costs less than multiplying all pairs of them
CHUNK_VALUES = 1 << 15  # points handled at once: the work arrays stay in cache, and memory stays flat


@dataclass(frozen=True)
class Known:
    """Priors of R patterns that share their parameters, as sums of squares.

    Attributes
    ----------
    weight, value : ndarray, shape (R, p)
        1/sigma^2 (0: nothing is known in this pattern) and value.
    columns : tuple of (prior, coefficient)
    slopes : tuple of (prior, parameter now, slope by the free parameters of shape (V,))
    """

    weight: FloatArray
    value: FloatArray
    columns: tuple[tuple[int, int], ...]
    slopes: tuple[tuple[int, float, FloatArray], ...]

    def part(self, rows: slice) -> Known:
        """Return some of the patterns."""
        return Known(self.weight[rows], self.value[rows], self.columns, self.slopes)


@dataclass(frozen=True)
class _Stack:
    """Columns and derivatives as rows of one array.

    Attributes
    ----------
    rows : ndarray, shape (m + E, n)
    column : ndarray of int, shape (E,)
        Coefficient that scales each derivative; m for those that none scales.
    into : ndarray, shape (V, E)
        What each derivative, scaled, adds to the derivative by each free parameter.
    unscaled : bool
        Whether there are derivatives that no coefficient scales.
    """

    rows: FloatArray
    column: IntArray
    into: FloatArray
    unscaled: bool

    @classmethod
    def of(cls, values: BasisValues, routes: Routes, n_free: int) -> _Stack:
        """Stack the first row of a basis."""
        m, n = values.columns.shape[1:]
        pieces, column, target, slope = [], [], [], []
        terms = [(d.parameter, d.column, d.values) for d in values.derivatives]
        for parameter, j, d in [*terms, *((i, m, d) for i, d in values.offset_derivatives)]:
            for free, by in routes[parameter]:
                pieces.append(d[0])
                column.append(j)
                target.append(free)
                slope.append(1.0 if by is None else by[0])
        rows = np.concatenate([values.columns[0], np.array(pieces).reshape(len(pieces), n)])
        into = np.zeros((n_free, len(pieces)))
        into[target, np.arange(len(pieces))] = slope
        return cls(rows, np.array(column, dtype=np.intp), into, bool(values.offset_derivatives))


def common_rows(
    values: BasisValues,
    routes: Routes,
    n_free: int,
    y: FloatArray,
    root_weight: FloatArray,
    nonnegative: BoolArray | None,
    known: Known | None = None,
) -> RowSums | None:
    """Return the sums of patterns whose columns are the first row of `values`.

    Parameters
    ----------
    values : BasisValues
        Columns of shape (1, m, n).
    routes : list
        For each model parameter the free parameters it depends on, with the slope (1,) or None for 1.
    n_free : int
        Number of free parameters, V.
    y, root_weight : ndarray, shape (R, n)
    nonnegative : ndarray of bool, shape (m,), optional
        Coefficients to keep at or above zero.
    known : Known, optional

    Returns
    -------
    RowSums or None
        None where columns are so nearly alike, or derivatives so nearly absorbed by them, that sums of products have
        lost their digits: such patterns are projected one by one.
    """
    stack = _Stack.of(values, routes, n_free)
    products = None if len(y) <= FEW else _products(stack.rows)
    size = max(1, CHUNK_VALUES // max(y.shape[1], 1))
    if len(y) <= size:
        return _sums(stack, products, values.offset, y, root_weight, nonnegative, known)
    whole = RowSums.empty(len(y), values.columns.shape[1], n_free)
    for start in range(0, len(y), size):
        part = slice(start, start + size)
        asked = (y[part], root_weight[part], nonnegative, None if known is None else known.part(part))
        one = _sums(stack, products, values.offset, *asked)
        if one is None:
            return None
        whole.put(part, one)
    return whole


@lru_cache(maxsize=64)
def _places(count: int) -> IntArray:
    """Return where the product of each two rows stands among those of all pairs, shape (count * count,)."""
    first, second = np.triu_indices(count)
    place = np.empty((count, count), dtype=np.intp)
    place[first, second] = place[second, first] = np.arange(first.size)
    return place.ravel()


def _products(rows: FloatArray) -> FloatArray:
    """Return the products of all pairs of rows, shape (pairs, n); row by row, as large copies would leave the cache."""
    count, n = rows.shape
    products, start = np.empty((count * (count + 1) // 2, n)), 0
    for k in range(count):
        np.multiply(rows[k:], rows[k], out=products[start : start + count - k])
        start += count - k
    return products


def _gram(rows: FloatArray, products: FloatArray | None, weight: FloatArray) -> FloatArray:
    """Return the weighted products of all rows in every pattern, shape (R, K, K)."""
    if products is None:
        return np.asarray((rows * weight[:, None, :]) @ rows.T)
    summed = weight @ products.T
    return summed.take(_places(len(rows)), axis=1).reshape(len(weight), len(rows), len(rows))


def _sums(
    stack: _Stack,
    products: FloatArray | None,
    offset: FloatArray | None,
    y: FloatArray,
    root_weight: FloatArray,
    nonnegative: BoolArray | None,
    known: Known | None,
) -> RowSums | None:
    """Return the sums of some patterns, or None where they cannot be trusted."""
    m = len(stack.rows) - len(stack.column)
    weight = root_weight * root_weight
    target = y if offset is None else y - offset
    gram = _gram(stack.rows, products, weight)
    columns, moment = stack.rows[:m], (weight * target) @ stack.rows[:m].T
    inner = gram[:, :m, :m]
    if known is not None and known.columns:
        inner = inner.copy()
        for prior, j in known.columns:
            inner[:, j, j] += known.weight[:, prior]
            moment[:, j] += known.weight[:, prior] * known.value[:, prior]
    inverse, alike = gram_inverse(inner, definite_inverse_of_few if len(y) <= FEW else definite_inverse)
    if alike.any():
        return None
    c = times(inverse, moment)
    held = nonnegative is not None and bool((c[:, nonnegative] < 0).any())
    if nonnegative is not None and held:
        wrong = np.flatnonzero((c[:, nonnegative] < 0).any(axis=1))
        c[wrong], inverse[wrong] = bounded(inner[wrong], moment[wrong], c[wrong], nonnegative)
    rest = target - c @ columns
    weighted = weight * rest
    slope = weighted @ stack.rows.T  # of half chi2 by each row's factor, to be refined for what the columns left
    chi2 = np.einsum("rn,rn->r", weighted, rest)
    left = slope[:, :m]
    if known is not None:
        left = left.copy()
        for prior, j in known.columns:
            gap = known.value[:, prior] - c[:, j]
            left[:, j] += known.weight[:, prior] * gap
            chi2 += known.weight[:, prior] * gap**2
    correction = times(inverse, left)
    c = c + correction
    if nonnegative is not None:  # where data are straight, what rounding leaves of an amount may be refined below zero
        c[:, nonnegative] = np.maximum(c[:, nonnegative], 0.0)
    chi2 = chi2 - np.einsum("rm,rm->r", left, correction)
    return _derived(stack, gram, inner, inverse, c, (chi2, slope, correction), known)


def _derived(
    stack: _Stack,
    gram: FloatArray,
    inner: FloatArray,
    inverse: FloatArray,
    c: FloatArray,
    left: tuple[FloatArray, FloatArray, FloatArray],
    known: Known | None,
) -> RowSums | None:
    """Contract the products with the coefficients, and project these out."""
    chi2, slope, correction = left
    rows, m = c.shape
    cross = gram[:, :m, m:]
    if stack.unscaled:
        c = np.concatenate([c, np.ones((rows, 1))], axis=1)
    into = stack.into * c[:, stack.column][:, None, :]
    out = into.swapaxes(1, 2)
    mixed = cross @ out
    whole = into @ gram[:, m:, m:] @ out
    gradient = times(into, slope[:, m:] - (correction[:, None, :] @ cross)[:, 0])
    if known is not None:
        for prior, now, by in known.slopes:
            gap = known.value[:, prior] - now
            chi2 = chi2 + known.weight[:, prior] * gap**2
            gradient += (known.weight[:, prior] * gap)[:, None] * by
            whole += known.weight[:, prior, None, None] * (by[:, None] * by)
    curvature = whole - mixed.transpose(0, 2, 1) @ (inverse @ mixed)
    share = np.einsum("rvv->rv", curvature) / np.einsum("rvv->rv", whole)
    apart = np.fmin.reduce(share, axis=1, initial=1.0)
    if (apart <= LOST).any():
        return None
    return RowSums(chi2, apart, c[:, :m], gradient, curvature, whole, mixed, inner)
