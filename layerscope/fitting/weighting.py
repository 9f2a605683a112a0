"""The minimum at given weights, and at weights that agree with the model: Poisson likelihood by reweighting."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import FitError
from layerscope.fitting.measured import Prepared
from layerscope.fitting.rows import Patterns, RowEvaluator, evaluate_rows
from layerscope.fitting.solver import Solution, Tolerances, minimise

__all__ = ["Weights", "solve"]

FloatArray = NDArray[np.float64]
Weights = Literal["poisson", "given", "none"]

#: Counts below which the variance of a point is not lowered further: a point with no counts still says something.
VARIANCE_FLOOR = 0.5
MAX_REWEIGHTINGS = 30
#: Iterations of a series over all reweightings, in those of one: a series that needs more never settles.
BUDGET = 4


def solve(
    evaluator: RowEvaluator,
    data: Prepared,
    shared: FloatArray,
    local: FloatArray,
    weights: Weights,
    tolerances: Tolerances,
    damping: float = 1e-4,
) -> tuple[Patterns, Solution]:
    """Minimise chi2 of G series; for Poisson weights repeat until the weights agree with the model.

    Parameters
    ----------
    evaluator : RowEvaluator
    data : Prepared
    shared : ndarray, shape (G, S)
    local : ndarray, shape (G, L, T)
        Start values.
    weights : {"poisson", "given", "none"}
    tolerances : Tolerances
    damping : float
        Of the first step.

    Returns
    -------
    patterns : Patterns
        With the weights at the end.
    solution : Solution
        A series whose weights and model never agreed, or only after many iterations, has not converged.

    Raises
    ------
    FitError
        If the model is finite nowhere at the start.
    """
    if weights == "none":
        patterns = data.rows(data.use.astype(float))
        return patterns, _checked(minimise(evaluator, patterns, shared, local, tolerances, damping))
    if weights == "given":
        assert data.variance is not None  # noqa: S101 - checked by the caller
        patterns = data.rows(np.where(data.use, 1.0 / np.sqrt(np.where(data.use, data.variance, 1.0)), 0.0))
        return patterns, _checked(minimise(evaluator, patterns, shared, local, tolerances, damping))
    return _solve_poisson(evaluator, data, shared, local, tolerances, damping)


def _checked(solution: Solution) -> Solution:
    if not np.isfinite(solution.chi2).any():
        raise FitError("the model is not finite at the start values", hint="check the start values and bounds")
    return solution


def _poisson_root_weight(data: Prepared, expected: FloatArray) -> FloatArray:
    """Return 1/sigma for expected intensities (G, L, n), in the unit of y."""
    counts = np.maximum(expected * data.exposure, VARIANCE_FLOOR)
    return np.where(data.use, data.exposure / np.sqrt(counts), 0.0)


def _smoothed(y: FloatArray) -> FloatArray:
    """Return a running mean over five points: start weights that do not follow the noise."""
    padded = np.concatenate([y[..., :1], y[..., :1], y, y[..., -1:], y[..., -1:]], axis=-1)
    n = y.shape[-1]
    return sum((padded[..., i : i + n] for i in range(5)), np.zeros_like(y)) / 5.0


def _solve_poisson(
    evaluator: RowEvaluator,
    data: Prepared,
    shared: FloatArray,
    local: FloatArray,
    tolerances: Tolerances,
    damping: float,
) -> tuple[Patterns, Solution]:
    n_patterns, n = data.y.shape[1:]
    root = _poisson_root_weight(data, np.maximum(_smoothed(data.y), 1.0 / data.exposure))
    patterns = data.rows(root)
    rough = replace(tolerances, reduction=max(tolerances.reduction, 1e-5))
    solution = _checked(minimise(evaluator, patterns, shared, local, rough, damping))
    open_groups = np.arange(data.y.shape[0])
    for round_ in range(MAX_REWEIGHTINGS):
        rows = (open_groups[:, None] * n_patterns + np.arange(n_patterns)).ravel()
        part = patterns.part(rows)
        state_s, state_l = solution.shared[open_groups], solution.local[open_groups]
        sub = data.groups(open_groups)
        expected = _model_rows(evaluator, part, state_s, state_l).reshape(sub.y.shape) + sub.offset
        root = _poisson_root_weight(sub, expected)
        old = part.root_weight.reshape(root.shape)
        change = np.abs(np.where(old > 0, root / np.where(old > 0, old, 1.0), 1.0) - 1.0).max(axis=(1, 2))
        patterns.root_weight[rows] = root.reshape(-1, n)
        fine = tolerances if round_ else replace(tolerances, reduction=max(tolerances.reduction, 1e-8))
        step = minimise(evaluator, patterns.part(rows), state_s, state_l, fine, 1e-6)
        for name in ("shared", "local", "coefficients", "chi2", "converged"):
            getattr(solution, name)[open_groups] = getattr(step, name)
        solution.iterations[open_groups] += step.iterations
        solution.normal = step.normal if open_groups.size == len(data.y) else None
        unsettled = ~(change < tolerances.weights)
        spent = solution.iterations[open_groups] > BUDGET * tolerances.max_iterations
        solution.converged[open_groups[unsettled & spent]] = False
        open_groups = open_groups[unsettled & ~spent]
        if open_groups.size == 0:
            break
    solution.converged[open_groups] = False  # weights and model never agreed
    return patterns, solution


def _model_rows(evaluator: RowEvaluator, data: Patterns, shared: FloatArray, local: FloatArray) -> FloatArray:
    """Return the fitted model in every row, shape (R, n)."""
    model = np.empty_like(data.y)
    for part in evaluator.chunks(*data.y.shape):
        basis, solved, _ = evaluate_rows(evaluator, data, shared, local, part)
        curve = np.einsum("bm,bmn->bn", solved.coefficients, basis.columns)
        model[part] = (curve if basis.offset is None else curve + basis.offset)[:, : data.y.shape[1]]
    return model
