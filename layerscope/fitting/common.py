"""Patterns that share every shape: columns and derivatives evaluated once, and multiplied once.

Where no parameter belongs to a pattern alone, and all patterns lie on one axis, the columns are the same in all of
them, and so are their derivatives; only weights and coefficients differ. Every sum over points that the normal
equations need is then a sum of weights times a product of two of these rows. All products with all weights are one
multiplication of matrices, and what follows works on a few numbers a pattern.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.basis import BasisValues
from layerscope.fitting.kernels import Known, Terms, common_sums
from layerscope.fitting.projection import (
    ALIKE,
    LOST,
    Routes,
    RowSums,
    bounded,
    definite_inverse,
    definite_inverse_of_few,
    gram_inverse,
    times,
)

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["CHUNK_VALUES", "Stack", "common_rows"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

FEW = 4  # patterns up to which weighting the rows costs less than multiplying all pairs of them
CHUNK_VALUES = 1 << 15  # points handled at once: the work arrays stay in cache, and memory stays flat


@dataclass(frozen=True)
class Stack:
    """Columns and derivatives as rows of one array.

    Attributes
    ----------
    rows : ndarray, shape (m + E, n)
    terms : Terms
        Of the derivatives.
    offset : ndarray, shape (1, n), optional
        Part of the model that no coefficient scales.
    """

    rows: FloatArray
    terms: Terms
    offset: FloatArray | None = None

    @classmethod
    def of(cls, values: BasisValues, routes: Routes, n_free: int) -> Stack:
        """Stack the first row of a basis."""
        m, n = values.columns.shape[1:]
        pieces, column, target, slope = [], [], [], []
        found = [(d.parameter, d.column, d.values) for d in values.derivatives]
        for parameter, j, d in [*found, *((i, m, d) for i, d in values.offset_derivatives)]:
            for free, by in routes[parameter]:
                pieces.append(d[0])
                column.append(j)
                target.append(free)
                slope.append(1.0 if by is None else by[0])
        terms, order = Terms.of(column, target, np.array(slope), n_free, m)
        rows = np.empty((m + len(pieces), n))
        rows[:m] = values.columns[0]
        for place, e in enumerate(order, m):
            rows[place] = pieces[e]
        return cls(rows, terms, values.offset)

    @cached_property
    def into(self) -> FloatArray:
        """What each derivative, scaled, adds to the derivative by each free parameter, shape (V, E)."""
        into = np.zeros((self.terms.ends.size, self.terms.free.size))
        into[self.terms.free, np.arange(self.terms.free.size)] = self.terms.slope
        return into

    @property
    def m(self) -> int:
        """Number of columns."""
        return len(self.rows) - self.terms.column.size


def common_rows(
    stack: Stack,
    y: FloatArray,
    root_weight: FloatArray,
    nonnegative: BoolArray | None,
    known: Known | None = None,
    loops: ModuleType | None = None,
) -> RowSums | None:
    """Return the sums of patterns whose columns and derivatives are the rows of one stack.

    Parameters
    ----------
    stack : Stack
    y, root_weight : ndarray, shape (R, n)
    nonnegative : ndarray of bool, shape (m,), optional
        Coefficients to keep at or above zero.
    known : Known, optional
    loops : module, optional
        The compiled loops, if they are to be used.

    Returns
    -------
    RowSums or None
        None where columns are so nearly alike, or derivatives so nearly absorbed by them, that sums of products have
        lost their digits: such patterns are projected one by one.
    """
    target = y if stack.offset is None else y - stack.offset
    if loops is not None:
        sums = common_sums(loops, stack.rows, stack.terms, target, root_weight, nonnegative, known)
        if sums is not None:
            return sums
    if len(y) == 1 and known is None:
        sums = _single(stack, target[0], root_weight[0], nonnegative)
        if sums is not None:
            return sums
    products = None if len(y) <= FEW else _products(stack.rows)
    size = max(1, CHUNK_VALUES // max(y.shape[1], 1))
    if len(y) <= size:
        return _sums(stack, products, target, root_weight, nonnegative, known)
    whole = RowSums.empty(len(y), stack.m, stack.terms.ends.size)
    for start in range(0, len(y), size):
        part = slice(start, start + size)
        asked = (target[part], root_weight[part], nonnegative, None if known is None else known.part(part))
        one = _sums(stack, products, *asked)
        if one is None:
            return None
        whole.put(part, one)
    return whole


def _single(stack: Stack, target: FloatArray, root_weight: FloatArray, nonnegative: BoolArray | None) -> RowSums | None:
    """Return the sums of one pattern with clear columns and no amount below zero: `_sums`, in fewer and flat steps."""
    m, terms, rows = stack.m, stack.terms, stack.rows
    weight = root_weight * root_weight
    gram = (rows * weight) @ rows.T
    inner, cross, columns = gram[:m, :m], gram[:m, m:], rows[:m]
    diagonal = inner.diagonal()
    if not (m and terms.free.size and diagonal.min() > 0):
        return None
    scale = 1.0 / np.sqrt(diagonal)
    inverse, pivots = definite_inverse_of_few((inner * scale[:, None] * scale)[None])
    if not pivots[0] >= ALIKE:
        return None
    inverse = inverse[0] * scale[:, None] * scale
    c = inverse @ (columns @ (weight * target))
    if nonnegative is not None and c[nonnegative].min(initial=0.0) < 0:
        return None
    rest = target - c @ columns
    weighted = weight * rest
    slope = rows @ weighted
    correction = inverse @ slope[:m]
    c += correction
    if nonnegative is not None:
        c[nonnegative] = np.maximum(c[nonnegative], 0.0)
    chi2 = weighted @ rest - slope[:m] @ correction
    factor = c if terms.unscaled is False else np.append(c, 1.0)
    into = stack.into * factor[terms.column]
    mixed = cross @ into.T
    whole = into @ gram[m:, m:] @ into.T
    curvature = whole - mixed.T @ (inverse @ mixed)
    apart = np.fmin.reduce(curvature.diagonal() / whole.diagonal(), initial=1.0)
    if not apart > LOST:
        return None
    gradient = into @ (slope[m:] - correction @ cross)
    found = (np.array(chi2), np.array(apart), c, gradient, curvature, whole, mixed, inner, inverse)
    return RowSums(*(part[None] for part in found))


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
    stack: Stack,
    products: FloatArray | None,
    target: FloatArray,
    root_weight: FloatArray,
    nonnegative: BoolArray | None,
    known: Known | None,
) -> RowSums | None:
    """Return the sums of some patterns, or None where they cannot be trusted."""
    m, weight = stack.m, root_weight * root_weight
    gram = _gram(stack.rows, products, weight)
    columns, moment = stack.rows[:m], (weight * target) @ stack.rows[:m].T
    inner = gram[:, :m, :m]
    if known is not None and known.columns:
        inner = inner.copy()
        for prior, j in known.columns:
            inner[:, j, j] += known.root_weight[:, prior] ** 2
            moment[:, j] += known.root_weight[:, prior] ** 2 * known.value[:, prior]
    inverse, alike = gram_inverse(inner, definite_inverse_of_few if len(target) <= FEW else definite_inverse)
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
            left[:, j] += known.root_weight[:, prior] ** 2 * gap
            chi2 += known.root_weight[:, prior] ** 2 * gap**2
    correction = times(inverse, left)
    c = c + correction
    if nonnegative is not None:  # where data are straight, what rounding leaves of an amount may be refined below zero
        c[:, nonnegative] = np.maximum(c[:, nonnegative], 0.0)
    chi2 = chi2 - np.einsum("rm,rm->r", left, correction)
    return _derived(stack, gram, inner, inverse, c, (chi2, slope, correction), known)


def _derived(
    stack: Stack,
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
    column = stack.terms.column
    if stack.terms.unscaled:
        c = np.concatenate([c, np.ones((rows, 1))], axis=1)
    into = stack.into * c[:, column][:, None, :]
    out = into.swapaxes(1, 2)
    mixed = cross @ out
    whole = into @ gram[:, m:, m:] @ out
    gradient = times(into, slope[:, m:] - (correction[:, None, :] @ cross)[:, 0])
    if known is not None:
        for prior, now, by in known.slopes:
            weight, gap = known.root_weight[:, prior] ** 2, known.value[:, prior] - now
            chi2 = chi2 + weight * gap**2
            gradient += (weight * gap)[:, None] * by
            whole += weight[:, None, None] * (by[:, None] * by)
    curvature = whole - mixed.transpose(0, 2, 1) @ (inverse @ mixed)
    share = np.einsum("rvv->rv", curvature) / np.einsum("rvv->rv", whole)
    apart = np.fmin.reduce(share, axis=1, initial=1.0)
    if (apart <= LOST).any():
        return None
    return RowSums(chi2, apart, c[:, :m], gradient, curvature, whole, mixed, inner, inverse)
