"""Compiled loops for fits of many patterns, where numba is installed (the extra ``fast``); plain numpy otherwise.

The kernel does for one pattern after the other, while its points lie in the processor's cache, what `projection` does
for a stack of patterns step by step. Patterns whose columns or derivatives are nearly alike, or whose amounts would be
negative, are left to `projection`: both ways give the same numbers but for rounding, to ten digits.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.basis import BasisValues
from layerscope.fitting.projection import Routes, RowSums, eliminate, information, reduced

__all__ = ["MANY_VALUES", "compiled", "project"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]

#: Points of a fit (patterns times points) from which the kernel is used: fewer do not earn the second it takes to load.
MANY_VALUES = 100_000
CLEAR = 1e-5  # squared share of a column or derivative beside the others down to which the kernel keeps ten digits


def project(
    values: BasisValues,
    y: FloatArray,
    root_weight: FloatArray,
    nonnegative: BoolArray | None,
    routes: Routes,
    n_free: int,
    *,
    fast: bool,
) -> RowSums:
    """Solve for the coefficients of B patterns, and project them out of the derivatives by the free parameters.

    Parameters
    ----------
    values, y, root_weight, nonnegative
        As for `layerscope.fitting.projection.eliminate`.
    routes, n_free
        As for `layerscope.fitting.projection.information`.
    fast : bool
        Whether to use the kernel, if it is there.
    """
    kernel = compiled() if fast and values.columns.shape[1] else None
    if kernel is None:
        solved = eliminate(values, y, root_weight, nonnegative)
        return reduced(information(values, solved, root_weight, routes, n_free), solved)
    rows, m, _ = values.columns.shape
    sums = RowSums.empty(rows, m, n_free)
    bounded = np.zeros(m, dtype=bool) if nonnegative is None else nonnegative
    target = y if values.offset is None else y - values.offset
    results = tuple(getattr(sums, name) for name in RowSums.__dataclass_fields__)
    poor = np.flatnonzero(
        kernel(values.columns, *_stacked(values, routes, rows), target, root_weight, bounded, CLEAR, *results)
    )
    if poor.size:
        cut = [[(t, None if s is None else s[poor]) for t, s in route] for route in routes]
        asked = (y[poor], root_weight[poor], nonnegative, cut, n_free)
        sums.put(poor, project(_some(values, poor), *asked, fast=False))
    return sums


def _stacked(values: BasisValues, routes: Routes, rows: int) -> tuple[FloatArray, IntArray, IntArray, FloatArray]:
    """Return derivatives (B, E, n), the coefficient that scales each (m: none), the parameter it is by, its slope."""
    m, n = values.columns.shape[1:]
    terms = [(d.parameter, d.column, d.values) for d in values.derivatives]
    terms += [(i, m, d) for i, d in values.offset_derivatives]
    used = [(d, j, free, by) for i, j, d in terms for free, by in routes[i]]
    stack, slope = np.empty((rows, len(used), n)), np.ones((rows, len(used)))
    for e, (d, _, _, by) in enumerate(used):
        stack[:, e] = d
        if by is not None:
            slope[:, e] = by
    column, free = (np.array([term[k] for term in used], dtype=np.intp) for k in (1, 2))
    return stack, column, free, slope


def _some(values: BasisValues, at: IntArray) -> BasisValues:
    """Return some of the patterns."""

    def part(d: FloatArray) -> FloatArray:
        return d if len(d) == 1 else d[at]

    return replace(
        values,
        columns=values.columns[at],
        derivatives=[d._replace(values=part(d.values)) for d in values.derivatives],
        offset=None if values.offset is None else part(values.offset),
        offset_derivatives=[(i, part(d)) for i, d in values.offset_derivatives],
    )


@cache
def compiled() -> Callable[..., Any] | None:
    """Return the kernel, compiled or from the cache on disk; None where numba is not installed."""
    if importlib.util.find_spec("numba") is None:
        return None
    numba: Any = importlib.import_module("numba")
    how = {"fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy"}
    kernel: Callable[..., Any]
    try:
        kernel = numba.njit(_project, cache=True, **how)
    except RuntimeError:  # no folder that a cache could be written to
        kernel = numba.njit(_project, **how)
    return kernel


def _project(
    columns: FloatArray,
    stack: FloatArray,
    column: IntArray,
    free: IntArray,
    slope: FloatArray,
    target: FloatArray,
    root_weight: FloatArray,
    nonnegative: BoolArray,
    clear: float,
    chi2: FloatArray,
    apart: FloatArray,
    coefficients: FloatArray,
    gradient: FloatArray,
    curvature: FloatArray,
    whole: FloatArray,
    mixed: FloatArray,
    gram: FloatArray,
) -> BoolArray:
    """Fill in the sums of each pattern, and say which patterns have to be done otherwise."""
    rows, m, n = columns.shape
    v = gradient.shape[1]
    poor = np.zeros(rows, np.bool_)
    a, j, rest = np.empty((m, n)), np.empty((v, n)), np.empty(n)
    low, inverse, link = np.empty((m, m)), np.empty((m, m)), np.empty((m, v))
    moment, c, scale = np.empty(m), np.empty(m), np.empty(m)
    for row in range(rows):
        for i in range(n):
            rest[i] = target[row, i] * root_weight[row, i]
        for p in range(m):
            for i in range(n):
                a[p, i] = columns[row, p, i] * root_weight[row, i]
        for p in range(m):
            for q in range(p + 1):
                total = 0.0
                for i in range(n):
                    total += a[p, i] * a[q, i]
                gram[row, p, q] = gram[row, q, p] = total
            c[p] = 0.0
        good = True
        for p in range(m):
            good = good and gram[row, p, p] > 0.0 and gram[row, p, p] < np.inf
            scale[p] = 1.0 / np.sqrt(gram[row, p, p])
        for p in range(m):  # Cholesky's factor of the scaled matrix, then its inverse in the same place
            for q in range(p + 1):
                total = gram[row, p, q] * scale[p] * scale[q]
                for r in range(q):
                    total -= low[p, r] * low[q, r]
                if p != q:
                    low[p, q] = total / low[q, q]
                else:
                    good = good and total > clear
                    low[p, p] = np.sqrt(total)
        if not good:
            poor[row] = True
            continue
        for p in range(m):
            low[p, p] = 1.0 / low[p, p]
            for q in range(p):
                total = 0.0
                for r in range(q, p):
                    total -= low[p, r] * low[r, q]
                low[p, q] = total * low[p, p]
        for p in range(m):
            for q in range(p + 1):
                total = 0.0
                for r in range(p, m):
                    total += low[r, p] * low[r, q]
                inverse[p, q] = inverse[q, p] = total * scale[p] * scale[q]
        for _ in range(2):  # normal equations lose half the digits: refined once
            for p in range(m):
                total = 0.0
                for i in range(n):
                    total += a[p, i] * rest[i]
                moment[p] = total
            for p in range(m):
                total = 0.0
                for q in range(m):
                    total += inverse[p, q] * moment[q]
                c[p] += total
                for i in range(n):
                    rest[i] -= total * a[p, i]
        total = 0.0
        for i in range(n):
            total += rest[i] * rest[i]
        chi2[row] = total
        good = total < np.inf
        for p in range(m):
            coefficients[row, p] = c[p]
            good = good and not (nonnegative[p] and c[p] < 0.0)
        j[:] = 0.0
        for e in range(column.size):
            factor = slope[row, e] * (c[column[e]] if column[e] < m else 1.0)
            for i in range(n):
                j[free[e], i] += factor * stack[row, e, i]
        smallest = 1.0
        for s in range(v):
            total = 0.0
            for i in range(n):
                j[s, i] *= root_weight[row, i]
                total += j[s, i] * rest[i]
            gradient[row, s] = total
            for p in range(m):
                total = 0.0
                for i in range(n):
                    total += a[p, i] * j[s, i]
                mixed[row, p, s] = total
            for p in range(m):
                total = 0.0
                for q in range(m):
                    total += inverse[p, q] * mixed[row, q, s]
                link[p, s] = total
            for t in range(s + 1):
                total = 0.0
                for i in range(n):
                    total += j[s, i] * j[t, i]
                whole[row, s, t] = whole[row, t, s] = total
                for p in range(m):
                    total -= mixed[row, p, t] * link[p, s]
                curvature[row, s, t] = curvature[row, t, s] = total
            if whole[row, s, s] != 0.0:
                share = curvature[row, s, s] / whole[row, s, s]
                good = good and share > clear
                smallest = min(smallest, share)
        apart[row] = smallest
        poor[row] = not good
    return poor
