"""The loops that numba compiles; only `kernels` imports this module, and only where they are asked for.

What stands here does for one pattern after the other, while its points lie in the processor's cache, what
`projection` and `common` do for a stack of patterns with numpy. Sums may be taken in another order; otherwise the
formulas are the same.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CACHED", "common", "lines", "project"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]

numba: Any = importlib.import_module("numba") if importlib.util.find_spec("numba") else None
GAUSSIAN, LORENTZIAN, PSEUDO_VOIGT = 0, 1, 2
GAUSS = 4.0 * math.log(2.0)  # exponent of a Gaussian at a distance of one full width
GAUSS_HEIGHT = 2.0 * math.sqrt(math.log(2.0) / math.pi)
LORENTZ_HEIGHT = 2.0 / math.pi
ERF = 2.0 * math.sqrt(math.log(2.0))
LANES = 8  # rows of scratch are filled up with zeros to a multiple of this: no loop over the last few points
HOW: dict[str, Any] = {"fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy"}


def _can_cache() -> bool:
    """Say whether compiled code can be kept on disk: beside this file, or in the user's folder for such things."""
    try:
        numba.njit(cache=True)(_can_cache)
    except RuntimeError:
        return False
    return True


CACHED = numba is not None and _can_cache()


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function compiled; as it is where numba is not installed."""
    kernel: Callable[..., Any] = function if numba is None else numba.njit(function, cache=CACHED, **HOW)
    return kernel


@_compiled
def _product(a: FloatArray, b: FloatArray) -> float:
    """Return the product of two rows."""
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@_compiled
def _block(rows: FloatArray, p: int, q: int, out: FloatArray) -> None:
    """Write the products of three rows with four: each value that is read serves three or four of them."""
    a0, a1, a2 = rows[p], rows[p + 1], rows[p + 2]
    b0, b1, b2, b3 = rows[q], rows[q + 1], rows[q + 2], rows[q + 3]
    s00, s01, s02, s03 = 0.0, 0.0, 0.0, 0.0
    s10, s11, s12, s13 = 0.0, 0.0, 0.0, 0.0
    s20, s21, s22, s23 = 0.0, 0.0, 0.0, 0.0
    for i in range(a0.size):
        x0, x1, x2 = a0[i], a1[i], a2[i]
        y0, y1, y2, y3 = b0[i], b1[i], b2[i], b3[i]
        s00, s01, s02, s03 = s00 + x0 * y0, s01 + x0 * y1, s02 + x0 * y2, s03 + x0 * y3
        s10, s11, s12, s13 = s10 + x1 * y0, s11 + x1 * y1, s12 + x1 * y2, s13 + x1 * y3
        s20, s21, s22, s23 = s20 + x2 * y0, s21 + x2 * y1, s22 + x2 * y2, s23 + x2 * y3
    out[p, q], out[p, q + 1], out[p, q + 2], out[p, q + 3] = s00, s01, s02, s03
    out[p + 1, q], out[p + 1, q + 1], out[p + 1, q + 2], out[p + 1, q + 3] = s10, s11, s12, s13
    out[p + 2, q], out[p + 2, q + 1], out[p + 2, q + 2], out[p + 2, q + 3] = s20, s21, s22, s23


@_compiled
def _products(rows: FloatArray, first: int, last: int, out: FloatArray) -> None:
    """Write the products of the rows from `first` to before `last` with all rows up to themselves."""
    for p in range(first // 3 * 3, last, 3):
        for q in range(0, min(p + 3, last), 4):
            _block(rows, p, q, out)


@_compiled
def _scratch(m: int, v: int, n: int) -> tuple[FloatArray, FloatArray]:
    """Return room for weighted columns, what they leave, and derivatives, as rows; and for all their products."""
    count = -(-(m + 1 + v) // 12) * 12  # blocks are of three and four rows
    return np.zeros((count, -(-n // LANES) * LANES)), np.empty((count, count))


@_compiled
def _inverted(gram: FloatArray, clear: float, low: FloatArray, scale: FloatArray, inverse: FloatArray) -> bool:
    """Invert a matrix of products by Cholesky's factor of the scaled one; False if columns are nearly alike."""
    m = len(gram)
    for p in range(m):
        if not (gram[p, p] > 0.0 and gram[p, p] < np.inf):
            return False
        scale[p] = 1.0 / np.sqrt(gram[p, p])
    for p in range(m):
        for q in range(p + 1):
            total = gram[p, q] * scale[p] * scale[q]
            for r in range(q):
                total -= low[p, r] * low[q, r]
            if p != q:
                low[p, q] = total / low[q, q]
            elif total > clear:
                low[p, p] = np.sqrt(total)
            else:
                return False
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
    return True


@_compiled
def _solved(
    rows: FloatArray,
    m: int,
    clear: float,
    products: FloatArray,
    low: FloatArray,
    scale: FloatArray,
    gram: FloatArray,
    inverse: FloatArray,
    c: FloatArray,
    moment: FloatArray,
) -> float:
    """Take the weighted columns off the row behind them; chi2, or -1 where columns are nearly alike.

    The coefficients are refined once, as normal equations lose half the digits. What that changes of the row is second
    order: `moment` is left as the correction of the coefficients, for those who use the row.
    """
    _products(rows, 0, m + 1, products)
    for p in range(m):
        for q in range(p + 1):
            gram[p, q] = gram[q, p] = products[p, q]
    if not _inverted(gram, clear, low, scale, inverse):
        return -1.0
    rest = rows[m]
    for p in range(m):
        total = 0.0
        for q in range(m):
            total += inverse[p, q] * products[m, q]
        c[p] = total
        column = rows[p]
        for i in range(rest.size):
            rest[i] -= total * column[i]
    chi2 = _product(rest, rest)
    for p in range(m):
        scale[p] = _product(rest, rows[p])
    for p in range(m):
        total = 0.0
        for q in range(m):
            total += inverse[p, q] * scale[q]
        moment[p] = total
        c[p] += total
        chi2 -= total * scale[p]
    return chi2 if chi2 < np.inf else -1.0


@_compiled
def _projected(
    rows: FloatArray,
    m: int,
    clear: float,
    products: FloatArray,
    inverse: FloatArray,
    correction: FloatArray,
    link: FloatArray,
    gradient: FloatArray,
    curvature: FloatArray,
    whole: FloatArray,
    mixed: FloatArray,
) -> float:
    """Write the products of the derivatives, without and with what the columns absorb; smallest share that is left."""
    v = gradient.size
    first, smallest = m + 1, 1.0
    _products(rows, first, first + v, products)
    for s in range(v):
        found = products[first + s]
        total = found[m]
        for p in range(m):
            mixed[p, s] = found[p]
            total -= correction[p] * found[p]
        gradient[s] = total
    for s in range(v):
        for p in range(m):
            total = 0.0
            for q in range(m):
                total += inverse[p, q] * mixed[q, s]
            link[p, s] = total
        for t in range(s + 1):
            total = products[first + s, first + t]
            whole[s, t] = whole[t, s] = total
            for p in range(m):
                total -= mixed[p, t] * link[p, s]
            curvature[s, t] = curvature[t, s] = total
        if whole[s, s] != 0.0:
            share = curvature[s, s] / whole[s, s]
            if not share > clear:
                return -1.0
            smallest = min(smallest, share)
    return smallest


@_compiled
def _contracted(
    stack: FloatArray,
    column: IntArray,
    slope: FloatArray,
    ends: IntArray,
    c: FloatArray,
    w: FloatArray,
    rows: FloatArray,
) -> None:
    """Write the weighted derivative by each free parameter: the terms up to its end, two at a time."""
    m, n, e = c.size, w.size, 0
    for s in range(ends.size):
        into, first = rows[s], True
        if e == ends[s]:
            into[:n] = 0.0
        while e < ends[s]:
            a = slope[e] * (c[column[e]] if column[e] < m else 1.0)
            one, other, b = stack[e], stack[e], 0.0
            if e + 1 < ends[s]:
                other, b = stack[e + 1], slope[e + 1] * (c[column[e + 1]] if column[e + 1] < m else 1.0)
            if first:
                for i in range(n):
                    into[i] = (a * one[i] + b * other[i]) * w[i]
            else:
                for i in range(n):
                    into[i] += (a * one[i] + b * other[i]) * w[i]
            first = False
            e = min(e + 2, ends[s])


@_compiled
def _weighted(values: FloatArray, w: FloatArray, into: FloatArray) -> None:
    for i in range(w.size):
        into[i] = values[i] * w[i]


@_compiled
def project(
    columns: FloatArray,
    stack: FloatArray,
    column: IntArray,
    slope: FloatArray,
    ends: IntArray,
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
    inverse: FloatArray,
) -> BoolArray:
    """Fill in the sums of each pattern, with columns of its own; say which patterns have to be done otherwise."""
    count, m, n = columns.shape
    v = gradient.shape[1]
    poor = np.zeros(count, np.bool_)
    rows, products = _scratch(m, v, n)
    low, link = np.empty((m, m)), np.empty((m, v))
    moment, scale = np.empty(m), np.empty(m)
    for r in range(count):
        w, c = root_weight[r], coefficients[r]
        for p in range(m):
            _weighted(columns[r, p], w, rows[p])
        _weighted(target[r], w, rows[m])
        chi2[r] = _solved(rows, m, clear, products, low, scale, gram[r], inverse[r], c, moment)
        good = chi2[r] >= 0.0
        for p in range(m if good else 0):
            good = good and not (nonnegative[p] and c[p] < 0.0)
        if good:
            _contracted(stack[r], column, slope[r], ends, c, w, rows[m + 1 :])
            out = (gradient[r], curvature[r], whole[r], mixed[r])
            apart[r] = _projected(rows, m, clear, products, inverse[r], moment, link, *out)
        poor[r] = not (good and apart[r] > 0.0)
    return poor


@_compiled
def common(
    stack: FloatArray,
    column: IntArray,
    slope: FloatArray,
    ends: IntArray,
    target: FloatArray,
    root_weight: FloatArray,
    nonnegative: BoolArray,
    clear: float,
    prior_root: FloatArray,
    prior_value: FloatArray,
    prior_column: IntArray,
    prior_now: FloatArray,
    prior_slope: FloatArray,
    chi2: FloatArray,
    apart: FloatArray,
    coefficients: FloatArray,
    gradient: FloatArray,
    curvature: FloatArray,
    whole: FloatArray,
    mixed: FloatArray,
    gram: FloatArray,
    inverse: FloatArray,
) -> bool:
    """Fill in the sums of patterns whose columns, and then derivatives, are the rows of one stack; False if one fails.

    A prior (1/sigma, value; of a coefficient or of a parameter that is `now` and has slopes) is one more point behind
    those measured, in which but one column or some derivatives are not zero.
    """
    count, n = target.shape
    m, v, known = coefficients.shape[1], gradient.shape[1], prior_column.size
    rows, products = _scratch(m, v, n + known)
    low, link = np.empty((m, m)), np.empty((m, v))
    moment, scale = np.empty(m), np.empty(m)
    for r in range(count):
        w, c = root_weight[r], coefficients[r]
        for p in range(m):
            _weighted(stack[p], w, rows[p])
        rest = rows[m]
        _weighted(target[r], w, rest)
        for k in range(known):
            if prior_column[k] < m:
                rows[prior_column[k], n + k] = prior_root[r, k]
                rest[n + k] = prior_value[r, k] * prior_root[r, k]
            else:
                rest[n + k] = (prior_value[r, k] - prior_now[k]) * prior_root[r, k]
        chi2[r] = _solved(rows, m, clear, products, low, scale, gram[r], inverse[r], c, moment)
        if not chi2[r] >= 0.0:
            return False
        for p in range(m):
            if nonnegative[p] and c[p] < 0.0:
                return False
        _contracted(stack[m:], column, slope, ends, c, w, rows[m + 1 :])
        for k in range(known):
            for s in range(v):
                rows[m + 1 + s, n + k] = prior_slope[k, s] * prior_root[r, k]
        out = (gradient[r], curvature[r], whole[r], mixed[r])
        apart[r] = _projected(rows, m, clear, products, inverse[r], moment, link, *out)
        if not apart[r] > 0.0:
            return False
    return True


@_compiled
def lines(
    x: FloatArray,
    q: FloatArray,
    kind: IntArray,
    place: IntArray,
    strength: int,
    of_line: IntArray,
    by: IntArray,
    rows: FloatArray,
    m: int,
) -> bool:
    """Write the lines, each with what lies under it, and derivatives behind m columns; False if one is out of range.

    Parameters
    ----------
    x : ndarray, shape (n,)
    q : ndarray, shape (Q,)
    kind : ndarray of int, shape (K,)
        `GAUSSIAN`, `LORENTZIAN` or `PSEUDO_VOIGT`.
    place : ndarray of int, shape (K, 4)
        Where centre, width, mixing and shift stand in `q`; -1 where there is none.
    strength : int
        Where the strength of the step stands; -1 without one.
    of_line, by : ndarray of int, shape (E,)
        Line of each derivative, and what it is by: 0 centre, 1 width, 2 mixing, 3 strength of the step.
    rows : ndarray, shape (m + E, n)
    """
    n = x.size
    t, gauss, lorentz, total = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    gauss_sum, lorentz_sum = np.empty(n), np.empty(n)
    slopes = np.empty((4, n))
    step = q[strength] if strength >= 0 else 0.0
    for k in range(kind.size):
        center = q[place[k, 0]] + (q[place[k, 3]] if place[k, 3] >= 0 else 0.0)
        width = q[place[k, 1]]
        if not (width > 0.0 and np.isfinite(center + width + step)):
            return False
        inverse = 1.0 / width
        mix = q[place[k, 2]] if kind[k] == PSEUDO_VOIGT else (1.0 if kind[k] == LORENTZIAN else 0.0)
        for i in range(n):
            t[i] = (x[i] - center) * inverse
        for i in range(n):
            gauss[i] = np.exp(-GAUSS * t[i] * t[i]) * (GAUSS_HEIGHT * inverse)
        for i in range(n):
            lorentz[i] = LORENTZ_HEIGHT * inverse / (1.0 + 4.0 * t[i] * t[i])
        if strength >= 0:
            for i in range(n):
                gauss_sum[i] = 0.5 + 0.5 * math.erf(ERF * t[i])
            for i in range(n):
                lorentz_sum[i] = 0.5 + math.atan(2.0 * t[i]) / math.pi
        else:
            gauss_sum[:] = 0.0
            lorentz_sum[:] = 0.0
        out = rows[k]
        for i in range(n):
            value = gauss[i] + mix * (lorentz[i] - gauss[i])
            total[i] = gauss_sum[i] + mix * (lorentz_sum[i] - gauss_sum[i])
            along = 2.0 * GAUSS * (1.0 - mix) * inverse * gauss[i] + 4.0 * math.pi * mix * lorentz[i] * lorentz[i]
            out[i] = value + step * total[i]
            slopes[0, i] = along * t[i] - step * value
            slopes[1, i] = (along * t[i] - step * value) * t[i] - value * inverse
            slopes[2, i] = lorentz[i] - gauss[i] + step * (lorentz_sum[i] - gauss_sum[i])
            slopes[3, i] = total[i]
        for e in range(by.size):
            if of_line[e] == k:
                rows[m + e] = slopes[by[e]]
    return True
