"""Running integrals of smooth functions on irregular grids, for shapes without a closed form.

Two rules, both exact for the polynomials they claim and both blind to the order of the points (rows are sorted inside):

- `hermite_steps`: from values and three derivatives at the ends of each step; no further evaluation of the function.
- `gauss_legendre_nodes`: nodes inside each step, for functions that are cheap to evaluate.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.shapes.base import FloatArray

__all__ = [
    "gauss_legendre_nodes",
    "hermite_steps",
    "integral_jac",
    "integrate",
    "legendre_nodes",
    "refined",
    "tail_nodes",
]

IntArray = NDArray[np.intp]

#: Parts into which a step is cut at most; on coarser axes every point gets its own tail integral.
_MOST_PARTS = 32


def _ascending(x: FloatArray) -> tuple[FloatArray, IntArray | None]:
    """Return the rows of `x` (B, n) in ascending order and what undoes that (None when already sorted)."""
    if x.shape[1] < 2 or bool((np.diff(x, axis=1) >= 0.0).all()):
        return x, None
    order = np.argsort(x, axis=1, kind="stable")
    inverse = np.empty_like(order)
    np.put_along_axis(inverse, order, np.arange(x.shape[1])[np.newaxis, :].repeat(x.shape[0], axis=0), axis=1)
    return np.take_along_axis(x, order, axis=1), inverse


def _cumulate(steps: FloatArray, start: FloatArray, undo: IntArray | None) -> FloatArray:
    """Add up `steps` (..., n-1) from `start` (...,) and put the points back into the order given by `undo` (B, n).

    The first axis is the row; axes between row and point are allowed.
    """
    total = np.concatenate([start[..., np.newaxis], steps], axis=-1)
    np.cumsum(total, axis=-1, out=total)
    if undo is None:
        return total
    shaped = undo.reshape(undo.shape[0], *([1] * (total.ndim - 2)), undo.shape[1])
    return np.take_along_axis(total, np.broadcast_to(shaped, total.shape), axis=-1)


def integrate(
    x: FloatArray,
    resolution: FloatArray,
    steps: Callable[[FloatArray, NDArray[np.bool_], int], FloatArray],
    below: Callable[[FloatArray, slice | NDArray[np.intp]], FloatArray],
) -> FloatArray:
    """Return running integrals along each row, every row on steps as fine as it needs.

    Parameters
    ----------
    x : ndarray, shape (B, n)
        Axes, in any order.
    resolution : ndarray, shape (B,)
        Largest step that the quadrature can take in each row.
    steps : callable
        Ascending axes (R, n), which rows they are, and the parts of each step: the integrals over the parts
        (R, ..., (n-1)*parts).
    below : callable
        Points (R, k) and which rows they belong to: the integrals from minus infinity to them (R, ..., k).

    Returns
    -------
    ndarray, shape (B, ..., n)
    """
    ordered, undo = _ascending(x)
    refine = _refinement(ordered, resolution)
    start = below(ordered[:, :1], slice(None))
    over = np.zeros((*start.shape[:-1], x.shape[1] - 1))
    for factor in np.unique(refine[refine <= _MOST_PARTS]):
        rows = refine == factor
        fine = steps(ordered[rows], rows, int(factor))
        over[rows] = fine.reshape(*fine.shape[:-1], x.shape[1] - 1, int(factor)).sum(axis=-1)
    total = _cumulate(over, start[..., 0], undo)
    for row in np.nonzero(refine > _MOST_PARTS)[0]:
        total[row] = below(x[row : row + 1], slice(row, row + 1))[0]
    return total


def integral_jac(value: FloatArray, t: FloatArray, q: int) -> FloatArray:
    """Return an array (B, q, n) for the derivatives of a running integral, those for center and width filled in.

    With t = (x - center)/width they are -f and -t f, whatever the shape; nothing is filled in for q = 0.
    """
    jac = np.empty((value.shape[0], q, value.shape[1]))
    if q:
        np.negative(value, out=jac[:, 0, :])
        np.multiply(jac[:, 0, :], t, out=jac[:, 1, :])
    return jac


def hermite_steps(x: FloatArray, derivatives: tuple[FloatArray, ...]) -> FloatArray:
    """Integrate over each step from the function and its derivatives at both ends.

    Parameters
    ----------
    x : ndarray, shape (B, n)
        Ascending axis.
    derivatives : tuple of ndarray, shape (B, n)
        f, f', f'' and, if there, f'''.

    Returns
    -------
    ndarray, shape (B, n-1)
        Integrals of the two-point Hermite interpolant; error per step h^7 f^(6)/100800 with three, h^9 f^(8)/25401600
        with four arrays.

    Notes
    -----
    Lanczos' end-point formula (C. Lanczos, Applied Analysis, 1956, ch. VI): with K arrays the weight of h^(j+1) f^(j)
    is K! (2K - j - 1)!/((j + 1)! (K - j - 1)! (2K)!), alternating in sign at the far end.
    """
    weights = {3: (1 / 2, 1 / 10, 1 / 120), 4: (1 / 2, 3 / 28, 1 / 84, 1 / 1680)}[len(derivatives)]
    step = np.diff(x, axis=1)
    power = step.copy()
    total = np.zeros_like(step)
    for order, (weight, f) in enumerate(zip(weights, derivatives, strict=True)):
        ends = f[:, :-1] + f[:, 1:] if order % 2 == 0 else f[:, :-1] - f[:, 1:]
        total += weight * power * ends
        power *= step
    return total


@lru_cache(maxsize=16)
def legendre_nodes(count: int) -> tuple[FloatArray, FloatArray]:
    """Return Gauss-Legendre nodes and weights on [-1, 1], shape (count,): worked out once, so not to be written to."""
    node, weight = np.polynomial.legendre.leggauss(count)
    node.flags.writeable = weight.flags.writeable = False
    return node, weight


def gauss_legendre_nodes(x: FloatArray, count: int) -> tuple[FloatArray, FloatArray]:
    """Return Gauss-Legendre nodes and weights inside each step of an ascending axis.

    Parameters
    ----------
    x : ndarray, shape (B, n)
        Ascending axis.
    count : int
        Nodes in each step.

    Returns
    -------
    nodes, weights : ndarray, shape (B, n-1, count)
        Sum over the last axis of ``weights * f(nodes)`` gives the integral over each step.
    """
    node, weight = legendre_nodes(count)
    half = 0.5 * np.diff(x, axis=1)[:, :, np.newaxis]
    middle = 0.5 * (x[:, 1:] + x[:, :-1])[:, :, np.newaxis]
    return middle + half * node, half * weight


def refined(x: FloatArray, factor: int) -> FloatArray:
    """Cut each step of the ascending `x` (B, n) into `factor` equal ones: (B, (n-1)*factor + 1)."""
    if factor == 1 or x.shape[1] < 2:
        return x
    share = np.arange(factor) / factor
    fine = (x[:, :-1, np.newaxis] + np.diff(x, axis=1)[:, :, np.newaxis] * share).reshape(x.shape[0], -1)
    return np.concatenate([fine, x[:, -1:]], axis=1)


def _refinement(x: FloatArray, resolution: FloatArray) -> IntArray:
    """Return, for each row of the ascending `x` (B, n), into how many parts its steps must be cut.

    Parameters
    ----------
    x : ndarray, shape (B, n)
        Ascending axis.
    resolution : ndarray, shape (B,)
        Largest step that the quadrature can take.

    Returns
    -------
    ndarray of int, shape (B,)
        At least 1; depends on nothing but the row itself. Callers treat rows with more than `_MOST_PARTS` otherwise.
    """
    widest = np.diff(x, axis=1).max(axis=1, initial=0.0)
    parts: IntArray = np.maximum(1, np.ceil(widest / resolution * (1.0 - 1e-12))).astype(np.intp)
    return parts


def tail_nodes(panels: int = 24, count: int = 10, reach: float = 1e8) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights on [0, reach] in the variable u, geometrically spaced: u = exp(y) - 1.

    Meant for the part of an integral beyond the end of a grid, with u in units of the distance over which the function
    falls off; what lies beyond `reach` is left to the caller.

    Returns
    -------
    nodes, weights : ndarray, shape (panels*count,)
        Positions u and their quadrature weights.
    """
    edges = np.linspace(0.0, np.log1p(reach), panels + 1)[np.newaxis, :]
    y, weight = gauss_legendre_nodes(edges, count)
    return np.expm1(y).ravel(), (weight * np.exp(y)).ravel()
