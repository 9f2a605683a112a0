"""Rows of patterns, and the model evaluated in them chunk by chunk, down to the normal equations of their series."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.arrow import Normal
from layerscope.fitting.basis import BasisModel, BasisValues
from layerscope.fitting.common import CHUNK_VALUES, Stack, common_rows
from layerscope.fitting.kernels import Known, compiled, project
from layerscope.fitting.layout import Layout
from layerscope.fitting.lines import Lines, SharedLines
from layerscope.fitting.projection import Elimination, Routes, RowSums, eliminate

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["Patterns", "RowEvaluator", "evaluate_rows"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]
Arrow = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]


@dataclass(frozen=True)
class Patterns:
    """Measured patterns as the solver wants them: R = G * L rows.

    Attributes
    ----------
    x : ndarray, shape (R, n), (1, n), or (R or 1, v, n) for several variables
    y, root_weight : ndarray, shape (R, n)
    extra : ndarray, shape (R, e, n), optional
        Further linear columns that come from the data and not from the model (a static background's shape).
    prior, prior_root_weight : ndarray, shape (R, p), optional
        What is known of some parameters beforehand: value and 1/sigma (0: nothing is known in this row). A prior is a
        measurement of the parameter itself, and enters as one more point.
    """

    x: FloatArray
    y: FloatArray
    root_weight: FloatArray
    extra: FloatArray | None = None
    prior: FloatArray | None = None
    prior_root_weight: FloatArray | None = None

    def part(self, rows: slice | IntArray) -> Patterns:
        """Return some of the rows."""
        return Patterns(
            self.x if self.x.shape[0] == 1 else self.x[rows],
            self.y[rows],
            self.root_weight[rows],
            None if self.extra is None else self.extra[rows],
            None if self.prior is None else self.prior[rows],
            None if self.prior_root_weight is None else self.prior_root_weight[rows],
        )

    def with_priors(self) -> tuple[FloatArray, FloatArray]:
        """Return intensities and weights with the priors as further points, each of shape (R, n + p)."""
        if self.prior is None or self.prior_root_weight is None:
            return self.y, self.root_weight
        return (
            np.concatenate([self.y, self.prior], axis=1),
            np.concatenate([self.root_weight, self.prior_root_weight], axis=1),
        )


class RowEvaluator:
    """Evaluate a model in rows, chunk by chunk, for given free vectors."""

    def __init__(
        self,
        model: BasisModel,
        layout: Layout,
        nonnegative: BoolArray | None,
        extra_names: tuple[str, ...] = (),
        prior_names: tuple[str, ...] = (),
    ) -> None:
        self.model, self.layout, self.nonnegative = model, layout, nonnegative
        self.linear_names = (*model.linear_names, *extra_names)
        self.n_linear = len(self.linear_names)
        self.prior_names = prior_names
        # a prior may also be of a helper that only expressions use: it then stands behind the model's own parameters
        self.names = tuple(dict.fromkeys((*layout.model_names, *(n for n in prior_names if n in layout.all_names))))
        self._loops: tuple[ModuleType | None] | None = None

    def basis(self, chunk: Patterns, q: FloatArray, *, derivatives: bool = True) -> BasisValues:
        """Return the columns of some rows, those that come from the data last, priors as further points."""
        basis = self.model.basis(chunk.x, q[:, : len(self.layout.model_names)], derivatives=derivatives)
        if chunk.extra is not None:
            basis = replace(basis, columns=np.concatenate([basis.columns, chunk.extra], axis=1))
        return self._with_priors(basis, q) if self.prior_names else basis

    def _with_priors(self, basis: BasisValues, q: FloatArray) -> BasisValues:
        rows, _, n = basis.columns.shape
        p = len(self.prior_names)

        def longer(values: FloatArray) -> FloatArray:
            result = np.zeros((*values.shape[:-1], n + p))
            result[..., :n] = values
            return result

        columns = longer(basis.columns)
        offset = longer(np.zeros((rows, n)) if basis.offset is None else basis.offset)
        slopes = [(i, longer(d)) for i, d in basis.offset_derivatives]
        for k, name in enumerate(self.prior_names):
            if name in self.linear_names:
                columns[:, self.linear_names.index(name), n + k] = 1.0
            else:
                i = self.names.index(name)
                offset[:, n + k] = q[:, i]
                slope = np.zeros((rows, n + p))
                slope[:, n + k] = 1.0
                slopes.append((i, slope))
        terms = [d._replace(values=longer(d.values)) for d in basis.derivatives if d.parameter in self._moving]
        return BasisValues(columns, terms, offset, slopes)

    @cached_property
    def _moving(self) -> frozenset[int]:
        """Places of the parameters that are not held: derivatives by the others are no one's."""
        held = {base.name for base in self.layout.fixed}
        return frozenset(i for i, name in enumerate(self.names) if name not in held)

    def parameters(self, shared: FloatArray, local: FloatArray) -> tuple[FloatArray, Routes]:
        """Return the parameters `names` of every row (R, Q) and, for each, the free parameters behind it."""
        layout = self.layout
        values, slopes = layout.local_values(shared, local)
        rows = shared.shape[0] * layout.n_patterns
        q = np.empty((rows, len(self.names)))
        index = layout.plain_routes
        routes: Routes = []
        for i, name in enumerate(self.names):
            q[:, i] = values[name].reshape(rows)
            if name in index:
                routes.append([(index[name], None)])
            else:
                routes.append([(index[k], s.reshape(rows)) for k, s in slopes.get(name, {}).items()])
        return q, routes

    def _common_parameters(self, shared: FloatArray) -> tuple[FloatArray, Routes]:
        """Return what `parameters` returns for the first pattern of one series, which is like all others."""
        if self._plain is not None:
            template, to, source, routes = self._plain
            q = template.copy()
            q[0, to] = shared[0, source]
            return q, routes
        q, routes = self.parameters(shared, np.zeros((1, self.layout.n_patterns, 0)))
        return q[:1], [[(t, None if s is None else s[:1]) for t, s in route] for route in routes]

    @cached_property
    def _plain(self) -> tuple[FloatArray, IntArray, IntArray, Routes] | None:
        """Parameters that are fixed, and where those that are free stand; None where expressions are to be reckoned."""
        index, fixed = self.layout.plain_routes, {b.name: float(b.start[0]) for b in self.layout.fixed}
        for name, expression in self.layout.expressions.items():
            if expression.same_as in fixed:
                fixed[name] = fixed[expression.same_as]
        if any(name not in index and name not in fixed for name in self.names):
            return None
        free = [i for i, name in enumerate(self.names) if name in index]
        return (
            np.array([[fixed.get(name, 0.0) for name in self.names]]),
            np.array(free, dtype=np.intp),
            np.array([index[self.names[i]] for i in free], dtype=np.intp),
            [[(index[name], None)] if name in index else [] for name in self.names],
        )

    def chunks(self, rows: int, n: int) -> list[slice]:
        """Return slices of rows that keep the work arrays small."""
        size = max(1, CHUNK_VALUES // max(n, 1))
        return [slice(i, min(i + size, rows)) for i in range(0, rows, size)]

    def normal(self, data: Patterns, shared: FloatArray, local: FloatArray) -> Normal:
        """Return the normal equations of all series at the given free vectors."""
        return self.arranged(self.sums(data, shared, local), (shared.shape[0], self.layout.n_patterns))

    def sums(self, data: Patterns, shared: FloatArray, local: FloatArray) -> RowSums:
        """Return what each pattern gives to the normal equations."""
        with np.errstate(all="ignore"):
            if len(shared) == 1 and self.layout.alike and data.x.shape[0] == 1 and data.extra is None:
                sums = self._common(data, shared)
                if sums is not None:
                    return sums
            return self._apart(data, shared, local)

    def arranged(self, sums: RowSums, shape: tuple[int, int]) -> Normal:
        """Return the normal equations of G series of L patterns from what these give."""
        return Normal(
            np.where(np.isfinite(sums.chi2), sums.chi2, np.inf).reshape(shape),
            sums.coefficients.reshape(*shape, -1),
            *self._arrow(sums.curvature, sums.gradient, shape),
            sums.apart.reshape(shape),
            *(
                blocks.reshape(*shape, *blocks.shape[1:])
                for blocks in (sums.whole, sums.mixed, sums.gram, sums.inverse)
            ),
        )

    def loops(self, size: int) -> ModuleType | None:
        """Return the compiled loops, if they serve a fit of this size; once said, it holds to the end of the fit."""
        if self._loops is None:
            self._loops = (compiled(size),)
        return self._loops[0]

    def _common(self, data: Patterns, shared: FloatArray) -> RowSums | None:
        """Return the sums of one series whose patterns share all parameters, if they can be had from common columns."""
        q, routes = self._common_parameters(shared)
        loops = self.loops(data.y.size)
        if self._lines is not None:
            stack = self._lines.stack(data.x, q[0], loops)
        else:
            basis = self.model.basis(data.x, q[:, : len(self.layout.model_names)])
            stack = Stack.of(basis, routes, len(self.layout.free_names))
        known = None
        if data.prior is not None and data.prior_root_weight is not None:
            known = self._known(data.prior, data.prior_root_weight, q[0], routes)
        return common_rows(stack, data.y, data.root_weight, self.nonnegative, known, loops)

    @cached_property
    def _lines(self) -> SharedLines | None:
        """What is wanted of the lines of a model that is made of them, where no expressions are to be reckoned."""
        places = getattr(self.model, "places", None)
        found = None if places is None or self._plain is None else places()
        if found is None or self._plain is None:
            return None
        return SharedLines(cast(Lines, self.model), found, self._plain[3], len(self.layout.free_names))

    def _known(self, prior: FloatArray, root_weight: FloatArray, q: FloatArray, routes: Routes) -> Known:
        columns, slopes = [], []
        for k, name in enumerate(self.prior_names):
            if name in self.linear_names:
                columns.append((k, self.linear_names.index(name)))
                continue
            i = self.names.index(name)
            slope = np.zeros(len(self.layout.free_names))
            for target, by in routes[i]:
                slope[target] += 1.0 if by is None else by[0]
            slopes.append((k, float(q[i]), slope))
        return Known(root_weight, prior, tuple(columns), tuple(slopes))

    def _apart(self, data: Patterns, shared: FloatArray, local: FloatArray) -> RowSums:
        """Return the sums of all patterns, each with columns of its own, chunk by chunk."""
        rows, n_free = len(data.y), len(self.layout.free_names)
        q, routes = self.parameters(shared, local)
        sums, loops = RowSums.empty(rows, self.n_linear, n_free), self.loops(data.y.size)
        for part in self.chunks(rows, data.y.shape[-1]):
            chunk = data.part(part)
            basis = self.basis(chunk, q[part])
            y, root_weight = chunk.with_priors()
            cut = [[(t, None if s is None else s[part]) for t, s in route] for route in routes]
            sums.put(part, project(basis, y, root_weight, self.nonnegative, cut, n_free, loops=loops))
        return sums

    def _arrow(self, curvature: FloatArray, gradient: FloatArray, shape: tuple[int, int]) -> Arrow:
        """Return what is shared, the border, what is each pattern's own, and the right-hand sides of both."""
        layout, v = self.layout, len(self.layout.shared)
        h = curvature.reshape(*shape, *curvature.shape[1:])
        g = gradient.reshape(*shape, -1)
        if layout.is_plain:
            top, rhs, border = h[..., :v, :v].sum(axis=1), g[..., :v].sum(axis=1), h[..., :v, v:]
        else:
            p = layout.spread
            top = np.einsum("lvs,glvw,lwt->gst", p, h[..., :v, :v], p, optimize=True)
            rhs = np.einsum("lvs,glv->gs", p, g[..., :v])
            border = np.einsum("lvs,glvt->glst", p, h[..., :v, v:])
        return top, border, h[..., v:, v:], rhs, g[..., v:]


def evaluate_rows(
    evaluator: RowEvaluator, data: Patterns, shared: FloatArray, local: FloatArray, part: slice
) -> tuple[BasisValues, Elimination, FloatArray]:
    """Return basis, solved coefficients and model parameters of some rows."""
    q, _ = evaluator.parameters(shared, local)
    chunk = data.part(part)
    basis = evaluator.basis(chunk, q[part], derivatives=False)
    return basis, eliminate(basis, *chunk.with_priors(), evaluator.nonnegative), q[part]
