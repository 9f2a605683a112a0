"""Compiled loops where numba is installed (the extra ``fast``) and loading it pays; plain numpy otherwise.

The loops (`loops`) do for one pattern after the other, while its points lie in the processor's cache, what `projection`
and `common` do for a stack of patterns step by step. Patterns whose columns or derivatives are nearly alike, or whose
amounts would be negative, are left to numpy: both ways give the same numbers but for rounding, to ten digits.

Loading numba and the loops takes some 0.6 CPU-s a process, once they are compiled on a machine. A notebook, a benchmark
or a script of many fits earns that soon, a task of a run does not. So fits use the loops wherever numba is installed,
but those of a run (``LAYERSCOPE_COMPILED=0``, which `layerscope.runs` sets while a task is done unless it is set) only
from `MANY_VALUES` points on. Which way a fit goes does not depend on what its process has done before: the same input
gives the same digits in any process.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.basis import BasisValues
from layerscope.fitting.projection import Routes, RowSums, eliminate, information, reduced

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["MANY_VALUES", "Known", "Terms", "common_sums", "compiled", "project", "use_compiled"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]

#: Points of a fit (patterns times points) from which the loops are loaded: fewer do not earn the time it takes.
MANY_VALUES = 100_000
CLEAR = 1e-5  # squared share of a column or derivative beside the others down to which the loops keep ten digits
VARIABLE = "LAYERSCOPE_COMPILED"


def use_compiled(on: bool = True) -> None:
    """Say whether fits of any size use compiled loops in this process and in those that it starts, or only large ones.

    Parameters
    ----------
    on : bool
        Where it is true and numba is not installed, numpy serves all the same.
    """
    os.environ[VARIABLE] = str(int(on))


def compiled(size: int) -> ModuleType | None:
    """Return the loops for a fit of `size` points (patterns times points), or None where numpy serves it."""
    return _loops() if size >= MANY_VALUES or os.environ.get(VARIABLE) != "0" else None


@cache
def _loops() -> ModuleType | None:
    """Return the loops where numba is installed and can keep machine code: compiling takes as long as many fits."""
    if importlib.util.find_spec("numba") is None:
        return None
    loops = importlib.import_module("layerscope.fitting.loops")
    return loops if loops.CACHED else None


@dataclass(frozen=True)
class Known:
    """Priors of R patterns that share their parameters.

    Attributes
    ----------
    root_weight, value : ndarray, shape (R, p)
        1/sigma (0: nothing is known in this pattern) and value.
    columns : tuple of (prior, coefficient)
    slopes : tuple of (prior, parameter now, slope by the free parameters of shape (V,))
    """

    root_weight: FloatArray
    value: FloatArray
    columns: tuple[tuple[int, int], ...]
    slopes: tuple[tuple[int, float, FloatArray], ...]

    def part(self, rows: slice) -> Known:
        """Return some of the patterns."""
        return Known(self.root_weight[rows], self.value[rows], self.columns, self.slopes)


@dataclass(frozen=True)
class Terms:
    """Derivatives in the order of the free parameters that they are by.

    Attributes
    ----------
    column : ndarray of int, shape (E,)
        Coefficient that scales each derivative; m for those that none scales.
    free : ndarray of int, shape (E,)
        Free parameter, ascending.
    slope : ndarray, shape (E,) or (B, E)
        Of the model's parameter by the free one.
    ends : ndarray of int, shape (V,)
        Where the terms of each free parameter end.
    unscaled : bool
        Whether there are derivatives that no coefficient scales.
    """

    column: IntArray
    free: IntArray
    slope: FloatArray
    ends: IntArray
    unscaled: bool

    @classmethod
    def of(cls, column: list[int], free: list[int], slope: FloatArray, n_free: int, m: int) -> tuple[Terms, IntArray]:
        """Sort terms, and return in which order they were."""
        order = np.argsort(np.array(free, dtype=np.intp), kind="stable")
        sorted_free = np.array(free, dtype=np.intp)[order]
        ends = np.searchsorted(sorted_free, np.arange(n_free), side="right").astype(np.intp)
        sorted_column = np.array(column, dtype=np.intp)[order]
        return cls(sorted_column, sorted_free, slope[..., order], ends, m in column), order


def common_sums(
    loops: ModuleType,
    rows: FloatArray,
    terms: Terms,
    target: FloatArray,
    root_weight: FloatArray,
    nonnegative: BoolArray | None,
    known: Known | None,
) -> RowSums | None:
    """Do what `layerscope.fitting.common.common_rows` does by compiled loops; None where numpy has to be asked.

    Parameters
    ----------
    loops : module
    rows : ndarray, shape (m + E, n)
        Columns, then derivatives in the order of `terms`.
    terms : Terms
    target, root_weight : ndarray, shape (R, n)
    nonnegative : ndarray of bool, shape (m,), optional
    known : Known, optional
    """
    m, v, count = len(rows) - terms.column.size, terms.ends.size, len(target)
    sums = RowSums.empty(count, m, v)
    bounded = np.zeros(m, dtype=bool) if nonnegative is None else nonnegative
    asked = (rows, terms.column, terms.slope, terms.ends, target, root_weight, bounded, CLEAR)
    good = m > 0 and loops.common(*asked, *_points(known, count, m, v), *sums.arrays())
    return sums if good else None


def _points(
    known: Known | None, count: int, m: int, v: int
) -> tuple[FloatArray, FloatArray, IntArray, FloatArray, Any]:
    """Return priors as arrays: 1/sigma, value, coefficient (m: none), parameter now and its slopes."""
    if known is None:
        none = np.zeros((count, 0))
        return none, none, np.zeros(0, dtype=np.intp), np.zeros(0), np.zeros((0, v))
    size = known.value.shape[1]
    column, now, slope = np.full(size, m, dtype=np.intp), np.zeros(size), np.zeros((size, v))
    for prior, j in known.columns:
        column[prior] = j
    for prior, value, by in known.slopes:
        now[prior], slope[prior] = value, by
    return known.root_weight, known.value, column, now, slope


def project(
    values: BasisValues,
    y: FloatArray,
    root_weight: FloatArray,
    nonnegative: BoolArray | None,
    routes: Routes,
    n_free: int,
    *,
    loops: ModuleType | None,
) -> RowSums:
    """Solve for the coefficients of B patterns, and project them out of the derivatives by the free parameters.

    Parameters
    ----------
    values, y, root_weight, nonnegative
        As for `layerscope.fitting.projection.eliminate`.
    routes, n_free
        As for `layerscope.fitting.projection.information`.
    loops : module, optional
        The compiled loops, if they are to be used.
    """
    rows, m, _ = values.columns.shape
    if loops is None or m == 0:
        solved = eliminate(values, y, root_weight, nonnegative)
        return reduced(information(values, solved, root_weight, routes, n_free), solved)
    sums = RowSums.empty(rows, m, n_free)
    bounded = np.zeros(m, dtype=bool) if nonnegative is None else nonnegative
    target = y if values.offset is None else y - values.offset
    stack, terms = _stacked(values, routes, n_free)
    asked = (values.columns, stack, terms.column, terms.slope, terms.ends, target, root_weight, bounded, CLEAR)
    poor = np.flatnonzero(loops.project(*asked, *sums.arrays()))
    if poor.size:
        cut = [[(t, None if s is None else s[poor]) for t, s in route] for route in routes]
        part = (y[poor], root_weight[poor], nonnegative, cut, n_free)
        sums.put(poor, project(_some(values, poor), *part, loops=None))
    return sums


def _stacked(values: BasisValues, routes: Routes, n_free: int) -> tuple[FloatArray, Terms]:
    """Return the derivatives (B, E, n), and what they are by."""
    rows, m, n = values.columns.shape
    found = [(d.parameter, d.column, d.values) for d in values.derivatives]
    found += [(i, m, d) for i, d in values.offset_derivatives]
    used = [(d, j, free, by) for i, j, d in found for free, by in routes[i]]
    slope = np.ones((rows, len(used)))
    for e, (_, _, _, by) in enumerate(used):
        if by is not None:
            slope[:, e] = by
    terms, order = Terms.of([j for _, j, _, _ in used], [free for _, _, free, _ in used], slope, n_free, m)
    stack = np.empty((rows, len(used), n))
    for place, e in enumerate(order):
        stack[:, place] = used[e][0]
    return stack, replace(terms, slope=np.ascontiguousarray(terms.slope))


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
