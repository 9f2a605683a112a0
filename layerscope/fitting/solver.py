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

from layerscope.fitting.arrow import Normal, bounded_step, undamped_step
from layerscope.fitting.projection import gram_inverse
from layerscope.fitting.rows import Patterns, RowEvaluator, evaluate_rows

__all__ = ["Patterns", "RowEvaluator", "Solution", "Tolerances", "evaluate_rows", "minimise"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]

MEMORY = 0.9  # how much of a parameter's old scale a new one keeps: forgetting lets far starts come home
MINIMUM = 1e-9  # relative reduction of chi2 that an undamped step may still promise at a minimum
MERGED = (
    1e-12  # squared share of a derivative beside the columns that leaves no digit of the slope to judge a minimum by
)
ROUNDING = 1e-15  # relative rounding of the data: a misfit that only this makes cannot be reduced
FAST = 1e-3  # relative reduction of chi2 below which a step may turn out to be the last but one
#: Reduction of chi2 in units of the noise by a last step whose end is not evaluated any more, and by one left out.
LAST, LEFT = 2e-10, 3e-13
PLATEAU = 1e2  # damping at which a start from which no step has led down counts as a plateau
PLATEAU_PROMISE = 1e-6  # relative reduction that an undamped step promises on one, and not at a minimum
STUCK = 1e18  # damping at which a series is given up
ONLY = np.zeros(1, dtype=np.intp)  # place of the only series


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
    weights : float
        Relative change of every weight that follows the model.
    retries : bool
        Whether a series that has not converged, or is not determined, is tried again with other dampings.
    """

    reduction: float = 1e-15
    step: float = 1e-12
    max_iterations: int = 400
    weights: float = 1e-7
    retries: bool = True


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
    groups = shared.shape[0]
    now = _Descent(evaluator, data, shared, local, initial_damping)
    iterations, converged = np.zeros(groups, dtype=np.intp), np.zeros(groups, dtype=bool)
    if evaluator.layout.n_shared + evaluator.layout.n_local == 0:
        converged[:] = True
    else:
        active = np.flatnonzero(np.isfinite(now.state.chi2).all(axis=1))
        for _ in range(tolerances.max_iterations):
            if active.size == 0:
                break
            stuck = ~(now.damping[active] < STUCK)
            done = now.advance(active, tolerances) if groups > 1 else now.advance_one(tolerances)
            iterations[active] += 1
            converged[active[done]] = True
            active = active[~(done | stuck)]
    return Solution(now.shared, now.local, now.state.coefficients, now.state.chi2, iterations, converged, now.state)


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
        self.points = layout.n_patterns * data.y.shape[-1]
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

    def advance_one(self, tolerances: Tolerances) -> BoolArray:
        """Do what `advance` does where there is but one series: with numbers in place of arrays of one."""
        now, scale = self.state, (self.scale_shared, self.scale_local)
        step_s, step_l, promise = bounded_step(now, self.shared, self.local, self.damping, scale, self.bounds)
        trial_s, trial_l = self.shared + step_s, self.local + step_l
        trial = self.evaluator.normal(self.data, trial_s, trial_l)
        before, after, promised = float(now.chi2.sum()), float(trial.chi2.sum()), float(promise[0])
        gain = (before - after) / promised if promised > 0 else -1.0
        better = after <= before and 0 < gain < np.inf
        short = 0 <= promised <= tolerances.reduction * before
        short = short or bool(_within(tolerances.step, (step_s, step_l), (self.shared, self.local))[0])
        done = np.array([before == 0])
        if short:
            done |= self._at_minimum(ONLY, np.array([True]), tolerances)
        growth, damping = min(float(self.growth[0]), 1e6), float(self.damping[0])
        if not better:
            self.damping[0], self.growth[0] = damping * growth, 2.0 * growth
        else:
            relaxed = damping * max(1.0 / 3.0, 1.0 - (2.0 * min(gain, 1.0) - 1.0) ** 3)
            self.damping[0], self.growth[0] = max(relaxed, 1e-15), 2.0
            self.state, self.shared, self.local, self.at_start[0] = trial, trial_s, trial_l, False
            self.scale_shared = np.maximum(MEMORY * self.scale_shared, np.einsum("gss->gs", trial.shared))
            if self.scale_local.shape[-1]:
                self.scale_local = np.maximum(MEMORY * self.scale_local, np.einsum("gltt->glt", trial.local))
            if not done[0] and 0 < promised <= FAST * before and trial_l.shape[-1] == 0:
                done |= self._finished(promised)
        if self.at_start[0] and not done[0] and self.damping[0] > PLATEAU:
            self._leave_plateau(ONLY)
        return done

    def _finished(self, promised: float) -> bool:
        """Say whether the next step of the only series is the last, and take it, where all parameters are shared.

        Close to a minimum each step leaves the same share of what the one before promised. What is still promised after
        a step thus tells what the next will leave, and where that is nothing its end need not be evaluated: parameters
        and coefficients follow from the equations at hand.
        """
        now, layout, (low_s, high_s, _, _) = self.state, self.evaluator.layout, self.bounds
        step_s, _, promise = undamped_step(now, self.shared, self.local, self.bounds)
        noise, left = float(now.chi2.sum()) / self.points, float(promise[0])
        if not (0 <= left <= LAST * noise and left * left <= LEFT * noise * promised and now.apart.min() > MERGED):
            return False
        shared, amounts = self.shared + step_s, self.evaluator.nonnegative
        if (shared < low_s).any() or (shared > high_s).any():
            return False
        if amounts is not None and (now.coefficients[..., amounts] <= 0).any():
            return False
        self.shared = shared
        if self.evaluator.n_linear:
            moved = now.mixed[0] @ (layout.spread @ step_s[0])[..., None]
            now.coefficients[0] -= (gram_inverse(now.gram[0])[0] @ moved)[..., 0]
            if amounts is not None:
                now.coefficients[..., amounts] = np.maximum(now.coefficients[..., amounts], 0.0)
        return True

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
        size_s, size_l = _size(self.shared[at], low_s, high_s), _size(self.local[at], low_l, high_l)
        influence = (self.scale_shared[at] * size_s**2, self.scale_local[at] * size_l**2)
        top = np.maximum(influence[0].max(axis=1, initial=0.0), influence[1].max(axis=(1, 2), initial=0.0))
        self.scale_shared[at], self.scale_local[at] = top[:, None] / size_s**2, top[:, None, None] / size_l**2


def _size(values: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return what makes a large change of a parameter: the range between its bounds, or else its value."""
    size = np.where(np.isfinite(high - low), high - low, np.abs(values))
    return np.where(size > 0, size, 1.0)


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
