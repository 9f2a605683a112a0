"""Bounded Levenberg-Marquardt for many independent series at once, each of many patterns that share parameters.

Patterns meet only in the shared parameters, so the normal equations have the shape of an arrow, and a step costs time
linear in the number of patterns (see `layerscope.fitting.arrow`). Independent series (simulations, bootstrap
replicates, spectra fitted one by one) go through the same code side by side, each with its own damping.

References
----------
Marquardt, D. W. (1963). J. SIAM 11, 431-441. doi:10.1137/0111030
Nielsen, H. B. (1999). Damping parameter in Marquardt's method. IMM-REP-1999-05, DTU.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.arrow import bounded_step
from layerscope.fitting.rows import Patterns, RowEvaluator, evaluate_rows

__all__ = ["Patterns", "RowEvaluator", "Solution", "Tolerances", "evaluate_rows", "minimise"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]

MEMORY = 0.9  # how much of a parameter's old scale a new one keeps: forgetting lets far starts come home


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
        step_s, step_l, promised = bounded_step(
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
