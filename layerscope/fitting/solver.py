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

from layerscope.fitting.alone import Alone, size_of
from layerscope.fitting.arrow import Normal, bounded_step, undamped_step
from layerscope.fitting.rows import Patterns, RowEvaluator, evaluate_rows
from layerscope.fitting.tolerances import (
    MEMORY,
    MERGED,
    MINIMUM,
    PLATEAU,
    PLATEAU_PROMISE,
    ROUNDING,
    STUCK,
    Tolerances,
)

__all__ = ["Patterns", "RowEvaluator", "Solution", "Tolerances", "evaluate_rows", "minimise"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]


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
    normal : Normal, optional
        The equations at the solution, where they are at hand.
    """

    shared: FloatArray
    local: FloatArray
    coefficients: FloatArray
    chi2: FloatArray
    iterations: NDArray[np.intp]
    converged: BoolArray
    normal: Normal | None = None


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
    groups, layout = shared.shape[0], evaluator.layout
    if groups == 1 and layout.n_local == 0 and layout.n_shared:
        return _alone(Alone(evaluator, data, shared[0], initial_damping), local, tolerances)
    now = _Descent(evaluator, data, shared, local, initial_damping)
    iterations, converged = np.zeros(groups, dtype=np.intp), np.zeros(groups, dtype=bool)
    if layout.n_shared + layout.n_local == 0:
        converged[:] = True
    else:
        active = np.flatnonzero(np.isfinite(now.state.chi2).all(axis=1))
        for _ in range(tolerances.max_iterations):
            if active.size == 0:
                break
            stuck = ~(now.damping[active] < STUCK)
            done = now.advance(active, tolerances)
            iterations[active] += 1
            converged[active[done]] = True
            active = active[~(done | stuck)]
    return Solution(now.shared, now.local, now.state.coefficients, now.state.chi2, iterations, converged, now.state)


def _alone(now: Alone, local: FloatArray, tolerances: Tolerances) -> Solution:
    """Minimise the chi2 of one series whose patterns share all parameters."""
    with np.errstate(all="ignore"):
        now.run(tolerances)
    normal = now.evaluator.arranged(now.sums, (1, len(now.data.y)))
    state = (now.shared[None], local.copy(), normal.coefficients, normal.chi2)
    return Solution(*state, np.array([now.iterations]), np.array([now.converged]), normal)


class _Descent:
    """Where each series stands, and how it steps."""

    def __init__(
        self, evaluator: RowEvaluator, data: Patterns, shared: FloatArray, local: FloatArray, damping: float
    ) -> None:
        layout, groups = evaluator.layout, shared.shape[0]
        self.evaluator, self.data = evaluator, data
        self.bounds = (*layout.bounds_shared(), *layout.bounds_local())
        self.rows = np.arange(groups * layout.n_patterns).reshape(groups, layout.n_patterns)
        self.shared, self.local = shared.copy(), local.copy()
        self.state = evaluator.normal(data, shared, local)
        self.damping, self.growth = np.full(groups, damping), np.full(groups, 2.0)
        self.scale_shared = np.einsum("gss->gs", self.state.shared).copy()
        self.scale_local = np.einsum("gltt->glt", self.state.local).copy()
        self.at_start = np.ones(groups, dtype=bool)
        self.rounding = ROUNDING**2 * np.square(data.y * data.root_weight).reshape(groups, -1).sum(axis=1)

    def advance(self, active: IntArray, tolerances: Tolerances) -> BoolArray:
        """Try one step in the series `active`, and say which of them were at their minimum before it."""
        groups = self.shared.shape[0]
        everything = active.size == groups
        if everything:
            now, shared, local, damping = self.state, self.shared, self.local, self.damping
            data, scale = self.data, (self.scale_shared, self.scale_local)
        else:
            now, shared, local, damping = (
                self.state.take(active),
                self.shared[active],
                self.local[active],
                self.damping[active],
            )
            data, scale = (
                self.data.part(self.rows[active].ravel()),
                (self.scale_shared[active], self.scale_local[active]),
            )
        step_s, step_l, promised = bounded_step(now, shared, local, damping, scale, self.bounds)
        trial_s, trial_l = shared + step_s, local + step_l
        trial = self.evaluator.normal(data, trial_s, trial_l)
        before, after = now.chi2.sum(axis=1), trial.chi2.sum(axis=1)
        with np.errstate(all="ignore"):
            gain = (before - after) / promised
        gain[~((promised > 0) & np.isfinite(gain))] = -1.0
        better = (after <= before) & (gain > 0)
        # a step that the bounds have cut may promise a rise: that asks for more damping and is no sign of a minimum
        settled = (promised >= 0) & (promised <= tolerances.reduction * before)
        short = settled | _within(tolerances.step, (step_s, step_l), (shared, local))
        done: BoolArray = before == 0
        if short.any():
            done |= self._at_minimum(active, short, tolerances)
        self.damping[active], self.growth[active] = _damping(damping, self.growth[active], gain, better)
        if everything and better.all():
            self.state, self.shared, self.local = trial, trial_s, trial_l
        else:
            accepted = active[better]
            self.state.put(_mask(accepted, groups), trial, better)
            self.shared[accepted], self.local[accepted] = trial_s[better], trial_l[better]
        accepted = active[better]
        for scale, blocks in ((self.scale_shared, self.state.shared), (self.scale_local, self.state.local)):
            if scale.shape[-1]:
                scale[accepted] = np.maximum(MEMORY * scale[accepted], np.einsum("...ii->...i", blocks[accepted]))
        self.at_start[accepted] = False
        if self.at_start.any():
            self._leave_plateau(active[self.at_start[active] & ~done & (self.damping[active] > PLATEAU)])
        return done

    def _promise(self, at: IntArray) -> FloatArray:
        """Return the relative reduction of chi2 that an undamped step promises in the series `at`."""
        now = self.state if at.size == len(self.shared) else self.state.take(at)
        with np.errstate(all="ignore"):
            left = np.abs(undamped_step(now, self.shared[at], self.local[at], self.bounds)[2])
            return np.asarray((left - self.rounding[at]) / now.chi2.sum(axis=1))

    def _at_minimum(self, active: IntArray, short: BoolArray, tolerances: Tolerances) -> BoolArray:
        """Say which of the series whose step is short are at a minimum.

        A damped step is short on a plateau too: what makes a minimum is that an undamped one would change nothing
        either. Where columns have merged, with huge coefficients that cancel, the slope is rounding and tells nothing.
        """
        at = active[short]
        minimum = short.copy()
        if at.size:
            minimum[short] = self._promise(at) <= max(tolerances.reduction, MINIMUM)
            minimum[short] &= self.state.apart[at].min(axis=1) > MERGED
        return minimum

    def _leave_plateau(self, at: IntArray) -> None:
        """Start afresh from plateaus, with steps in proportion to the parameters.

        Where the misfit hardly depends on some parameter, steps in proportion to the influence of each would send just
        that one farthest, to anywhere.
        """
        if at.size:
            at = at[self._promise(at) > PLATEAU_PROMISE]
        if at.size == 0:
            return
        self.at_start[at] = False
        self.damping[at], self.growth[at] = 1.0, 2.0
        low_s, high_s, low_l, high_l = self.bounds
        size_s, size_l = size_of(self.shared[at], low_s, high_s), size_of(self.local[at], low_l, high_l)
        influence = (self.scale_shared[at] * size_s**2, self.scale_local[at] * size_l**2)
        top = np.maximum(influence[0].max(axis=1, initial=0.0), influence[1].max(axis=(1, 2), initial=0.0))
        self.scale_shared[at], self.scale_local[at] = top[:, None] / size_s**2, top[:, None, None] / size_l**2


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


def _within(share: float, steps: tuple[FloatArray, FloatArray], values: tuple[FloatArray, FloatArray]) -> BoolArray:
    """Say in which series every parameter changes by no more than a share of itself."""
    inside = np.ones(len(steps[0]), dtype=bool)
    for step, value in zip(steps, values, strict=True):
        if step.shape[-1]:
            small = np.abs(step) <= share * (np.abs(value) + 1e-300)
            inside &= small.reshape(len(step), -1).all(axis=1)
    return inside
