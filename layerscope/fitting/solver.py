"""Bounded Levenberg-Marquardt for many independent series at once, each of many patterns that share parameters.

Patterns meet only in the shared parameters, so the normal equations have the shape of an arrow: a block for the shared
parameters, one small block for each pattern, and the border that couples them. Eliminating the small blocks (a Schur
complement) makes a step cost linear in the number of patterns. Independent series (simulations, bootstrap replicates,
spectra fitted one by one) go through the same code side by side, each with its own damping.

References
----------
Marquardt, D. W. (1963). J. SIAM 11, 431-441. doi:10.1137/0111030
Nielsen, H. B. (1999). Damping parameter in Marquardt's method. IMM-REP-1999-05, DTU.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.basis import BasisModel, BasisValues
from layerscope.fitting.layout import Layout
from layerscope.fitting.projection import Elimination, eliminate, information, reduced

__all__ = ["Patterns", "RowEvaluator", "Solution", "Tolerances", "evaluate_rows", "minimise"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]

MEMORY = 0.9  # how much of a parameter's old scale a new one keeps: forgetting lets far starts come home
CHUNK_VALUES = 1 << 15  # points handled at once: the work arrays stay in cache, and memory stays flat


@dataclass(frozen=True)
class Tolerances:
    """When a fit counts as converged.

    Attributes
    ----------
    reduction : float
        Relative reduction of chi2 that a further step promises.
    step : float
        Relative change of every parameter.
    max_iterations : int
    """

    reduction: float = 1e-15
    step: float = 1e-12
    max_iterations: int = 400


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


@dataclass
class Solution:
    """State of G series of L patterns after minimisation.

    Attributes
    ----------
    shared : ndarray, shape (G, S)
    local : ndarray, shape (G, L, T)
    coefficients : ndarray, shape (G, L, m)
    chi2 : ndarray, shape (G, L)
    iterations : ndarray of int, shape (G,)
    converged : ndarray of bool, shape (G,)
    """

    shared: FloatArray
    local: FloatArray
    coefficients: FloatArray
    chi2: FloatArray
    iterations: NDArray[np.intp]
    converged: BoolArray


@dataclass
class _Normal:
    """Normal equations of some series: arrow blocks, right-hand sides, chi2."""

    chi2: FloatArray  # (G, L)
    coefficients: FloatArray  # (G, L, m)
    shared: FloatArray  # (G, S, S)
    border: FloatArray  # (G, L, S, T)
    local: FloatArray  # (G, L, T, T)
    rhs_shared: FloatArray  # (G, S)
    rhs_local: FloatArray  # (G, L, T)

    def take(self, index: IntArray | BoolArray) -> _Normal:
        return _Normal(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def put(self, where: BoolArray, other: _Normal, which: BoolArray) -> None:
        for name in self.__dataclass_fields__:
            getattr(self, name)[where] = getattr(other, name)[which]


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

    def basis(self, chunk: Patterns, q: FloatArray, *, derivatives: bool = True) -> BasisValues:
        """Return the columns of some rows, those that come from the data last, priors as further points."""
        basis = self.model.basis(chunk.x, q, derivatives=derivatives)
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
                i = self.layout.model_names.index(name)
                offset[:, n + k] = q[:, i]
                slope = np.zeros((rows, n + p))
                slope[:, n + k] = 1.0
                slopes.append((i, slope))
        terms = [d._replace(values=longer(d.values)) for d in basis.derivatives]
        return BasisValues(columns, terms, offset, slopes)

    def parameters(
        self, shared: FloatArray, local: FloatArray
    ) -> tuple[FloatArray, list[list[tuple[int, FloatArray | None]]]]:
        """Return model parameters of every row (R, Q) and, for each, the free parameters behind it."""
        layout = self.layout
        values, slopes = layout.local_values(shared, local)
        rows = shared.shape[0] * layout.n_patterns
        q = np.empty((rows, len(layout.model_names)))
        index = {name: i for i, name in enumerate(layout.free_names)}
        routes: list[list[tuple[int, FloatArray | None]]] = []
        for i, name in enumerate(layout.model_names):
            q[:, i] = values[name].reshape(rows)
            if name in index:
                routes.append([(index[name], None)])
            else:
                routes.append([(index[k], s.reshape(rows)) for k, s in slopes.get(name, {}).items()])
        return q, routes

    def chunks(self, rows: int, n: int) -> list[slice]:
        """Return slices of rows that keep the work arrays small."""
        size = max(1, CHUNK_VALUES // max(n, 1))
        return [slice(i, min(i + size, rows)) for i in range(0, rows, size)]

    def normal(self, data: Patterns, shared: FloatArray, local: FloatArray) -> _Normal:
        """Return the normal equations of all series at the given free vectors."""
        layout = self.layout
        groups, n_patterns = shared.shape[0], layout.n_patterns
        rows, n_free, m = groups * n_patterns, len(layout.free_names), self.n_linear
        q, routes = self.parameters(shared, local)
        chi2, c = np.empty(rows), np.empty((rows, m))
        curvature, gradient = np.empty((rows, n_free, n_free)), np.empty((rows, n_free))
        with np.errstate(all="ignore"):
            for part in self.chunks(rows, data.y.shape[-1]):
                chunk = data.part(part)
                basis = self.basis(chunk, q[part])
                y, root_weight = chunk.with_priors()
                solved = eliminate(basis, y, root_weight, self.nonnegative)
                cut = [[(t, None if s is None else s[part]) for t, s in route] for route in routes]
                info = information(basis, solved, root_weight, cut, n_free)
                chi2[part], c[part] = solved.chi2, solved.coefficients
                curvature[part], gradient[part] = reduced(info, solved), info.gradient
        return self._arrow(chi2, c, curvature, gradient, groups)

    def _arrow(
        self, chi2: FloatArray, c: FloatArray, curvature: FloatArray, gradient: FloatArray, groups: int
    ) -> _Normal:
        layout, v = self.layout, len(self.layout.shared)
        shape = (groups, layout.n_patterns)
        h = curvature.reshape(*shape, *curvature.shape[1:])
        g = gradient.reshape(*shape, -1)
        if layout.is_plain:
            top, rhs, border = h[..., :v, :v].sum(axis=1), g[..., :v].sum(axis=1), h[..., :v, v:]
        else:
            p = layout.spread
            top = np.einsum("lvs,glvw,lwt->gst", p, h[..., :v, :v], p, optimize=True)
            rhs = np.einsum("lvs,glv->gs", p, g[..., :v])
            border = np.einsum("lvs,glvt->glst", p, h[..., :v, v:])
        bad = ~np.isfinite(chi2).reshape(shape)
        return _Normal(
            np.where(bad, np.inf, chi2.reshape(shape)),
            c.reshape(*shape, -1),
            top,
            border,
            h[..., v:, v:],
            rhs,
            g[..., v:],
        )


def evaluate_rows(
    evaluator: RowEvaluator, data: Patterns, shared: FloatArray, local: FloatArray, part: slice
) -> tuple[BasisValues, Elimination, FloatArray]:
    """Return basis, solved coefficients and model parameters of some rows."""
    q, _ = evaluator.parameters(shared, local)
    chunk = data.part(part)
    basis = evaluator.basis(chunk, q[part], derivatives=False)
    return basis, eliminate(basis, *chunk.with_priors(), evaluator.nonnegative), q[part]


def minimise(
    evaluator: RowEvaluator,
    data: Patterns,
    shared: FloatArray,
    local: FloatArray,
    tolerances: Tolerances,
    initial_damping: float = 1e-4,
) -> Solution:
    """Minimise chi2 of G series from the given start.

    Parameters
    ----------
    evaluator : RowEvaluator
    data : Patterns
        G * L rows, series after series.
    shared : ndarray, shape (G, S)
    local : ndarray, shape (G, L, T)
    tolerances : Tolerances
    initial_damping : float
        Of the first step, relative to the diagonal of the normal equations.
    """
    layout = evaluator.layout
    bounds = (*layout.bounds_shared(), *layout.bounds_local())
    shared, local = shared.copy(), local.copy()
    state = evaluator.normal(data, shared, local)
    groups = shared.shape[0]
    damping, growth = np.full(groups, initial_damping), np.full(groups, 2.0)
    scale_shared = np.einsum("gss->gs", state.shared).copy()
    scale_local = np.einsum("gltt->glt", state.local).copy()
    iterations = np.zeros(groups, dtype=np.intp)
    converged = np.zeros(groups, dtype=bool)
    if layout.n_shared + layout.n_local == 0:
        return Solution(shared, local, state.coefficients, state.chi2, iterations, ~converged)
    active = np.flatnonzero(np.isfinite(state.chi2).all(axis=1))
    rows = np.arange(groups * layout.n_patterns).reshape(groups, layout.n_patterns)
    for _ in range(tolerances.max_iterations):
        if active.size == 0:
            break
        now = state.take(active) if active.size < groups else state
        step_s, step_l, promised = _step(
            now, shared[active], local[active], damping[active], scale_shared[active], scale_local[active], bounds
        )
        trial_s, trial_l = shared[active] + step_s, local[active] + step_l
        trial = evaluator.normal(data if active.size == groups else data.part(rows[active].ravel()), trial_s, trial_l)
        before, after = now.chi2.sum(axis=1), trial.chi2.sum(axis=1)
        with np.errstate(all="ignore"):
            gain = np.where(promised > 0, (before - after) / promised, -1.0)
            gain = np.where(np.isfinite(gain), gain, -1.0)
        better = (after <= before) & (gain > 0)
        small = _relative(step_s, step_l, shared[active], local[active]) <= tolerances.step
        # a step that the bounds have cut may promise a rise: that asks for more damping and is no sign of a minimum
        settled = (promised >= 0) & (promised <= tolerances.reduction * before)
        done = settled | small | (before == 0)
        stuck = ~(damping[active] < 1e18)
        iterations[active] += 1
        accepted = active[better]
        state.put(_mask(accepted, groups), trial, better)
        shared[accepted], local[accepted] = trial_s[better], trial_l[better]
        for scale, blocks in ((scale_shared, state.shared), (scale_local, state.local)):
            scale[accepted] = np.maximum(MEMORY * scale[accepted], np.einsum("...ii->...i", blocks[accepted]))
        damping[active], growth[active] = _damping(damping[active], growth[active], gain, better)
        converged[active[done]] = True
        active = active[~(done | stuck)]
    return Solution(shared, local, state.coefficients, state.chi2, iterations, converged)


def _mask(index: IntArray, size: int) -> BoolArray:
    mask = np.zeros(size, dtype=bool)
    mask[index] = True
    return mask


def _damping(
    damping: FloatArray, growth: FloatArray, gain: FloatArray, better: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Nielsen's rule: relax smoothly after a good step, tighten ever faster after bad ones."""
    growth = np.minimum(growth, 1e6)
    relaxed = damping * np.maximum(1.0 / 3.0, 1.0 - (2.0 * np.clip(gain, 0, 1) - 1.0) ** 3)
    return np.where(better, np.maximum(relaxed, 1e-15), damping * growth), np.where(better, 2.0, 2.0 * growth)


def _relative(step_s: FloatArray, step_l: FloatArray, shared: FloatArray, local: FloatArray) -> FloatArray:
    """Return the largest relative change of a parameter in each series."""
    flat_step = np.concatenate([step_s, step_l.reshape(len(step_s), -1)], axis=1)
    flat = np.concatenate([shared, local.reshape(len(shared), -1)], axis=1)
    result: FloatArray = (np.abs(flat_step) / (np.abs(flat) + 1e-300)).max(axis=1)
    return result


def _step(
    now: _Normal,
    shared: FloatArray,
    local: FloatArray,
    damping: FloatArray,
    scale_s: FloatArray,
    scale_l: FloatArray,
    bounds: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the bounded step and the reduction of chi2 it promises."""
    low_s, high_s, low_l, high_l = bounds
    held_s = ((shared <= low_s) & (now.rhs_shared <= 0)) | ((shared >= high_s) & (now.rhs_shared >= 0))
    held_l = ((local <= low_l) & (now.rhs_local <= 0)) | ((local >= high_l) & (now.rhs_local >= 0))
    free_s, free_l = np.asarray(~held_s), np.asarray(~held_l)
    rhs_s, rhs_l = np.where(held_s, 0.0, now.rhs_shared), np.where(held_l, 0.0, now.rhs_local)
    top = now.shared * free_s[:, :, None] * free_s[:, None, :]
    border = now.border * free_s[:, None, :, None] * free_l[:, :, None, :]
    blocks = now.local * free_l[..., :, None] * free_l[..., None, :]
    damped_top = _damped(top, damping[:, None] * scale_s, held_s)
    damped_blocks = _damped(blocks, damping[:, None, None] * scale_l, held_l)
    step_s, step_l = _solve_arrow(damped_top, border, damped_blocks, rhs_s, rhs_l)
    step_s = np.clip(shared + step_s, low_s, high_s) - shared
    step_l = np.clip(local + step_l, low_l, high_l) - local
    return step_s, step_l, _promise(top, border, blocks, rhs_s, rhs_l, step_s, step_l)


def _damped(matrix: FloatArray, amount: FloatArray, held: BoolArray) -> FloatArray:
    result = matrix.copy()
    diagonal = np.einsum("...ii->...i", result)
    # a direction without any information gets a unit diagonal, so that its step is zero rather than undefined
    diagonal += np.where(held | (diagonal + amount <= 0), 1.0, amount)
    return result


def _solve_arrow(
    top: FloatArray, border: FloatArray, blocks: FloatArray, rhs_s: FloatArray, rhs_l: FloatArray
) -> tuple[FloatArray, FloatArray]:
    if blocks.shape[-1] == 0:
        return _solve(top, rhs_s), rhs_l
    if top.shape[-1] == 0:
        return rhs_s, _solve(blocks, rhs_l)
    both = np.concatenate([border.transpose(0, 1, 3, 2), rhs_l[..., None]], axis=-1)
    solved = _solve_matrix(blocks, both)
    schur = top - np.einsum("glst,gltr->gsr", border, solved[..., :-1])
    step_s = _solve(schur, rhs_s - np.einsum("glst,glt->gs", border, solved[..., -1]))
    return step_s, solved[..., -1] - np.einsum("glts,gs->glt", solved[..., :-1], step_s)


def _solve(matrix: FloatArray, vector: FloatArray) -> FloatArray:
    return _solve_matrix(matrix, vector[..., None])[..., 0]


def _solve_matrix(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """Solve stacked symmetric systems after scaling the diagonal to one (units must not matter)."""
    diagonal = np.abs(np.einsum("...ii->...i", matrix))
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = matrix * scale[..., :, None] * scale[..., None, :]
    right = right * scale[..., :, None]
    finite = np.asarray(np.isfinite(scaled).all(axis=(-2, -1)) & np.isfinite(right).all(axis=(-2, -1)))
    if not finite.all():
        scaled = np.where(finite[..., None, None], scaled, np.eye(matrix.shape[-1]))
        right = np.where(finite[..., None, None], right, 0.0)
    try:
        solution = np.linalg.solve(scaled, right)
    except np.linalg.LinAlgError:
        solution = np.linalg.solve(scaled + 1e-12 * np.eye(matrix.shape[-1]), right)
    result: FloatArray = solution * scale[..., :, None]
    return result


def _promise(
    top: FloatArray,
    border: FloatArray,
    blocks: FloatArray,
    rhs_s: FloatArray,
    rhs_l: FloatArray,
    step_s: FloatArray,
    step_l: FloatArray,
) -> FloatArray:
    """Return the reduction of chi2 that the quadratic model predicts for a step, shape (G,)."""
    linear = np.einsum("gs,gs->g", rhs_s, step_s) + np.einsum("glt,glt->g", rhs_l, step_l)
    square = np.einsum("gs,gst,gt->g", step_s, top, step_s) + np.einsum("glt,gltu,glu->g", step_l, blocks, step_l)
    cross = 2.0 * np.einsum("gs,glst,glt->g", step_s, border, step_l)
    result: FloatArray = 2.0 * linear - square - cross
    return result
