"""The descent of one series whose patterns share all parameters: plain vectors, and the last step not evaluated.

It steps as `solver` does with many series side by side, of which this is by far the most frequent case and the one in
which the number of small calls decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dgesv

from layerscope.fitting.tolerances import (
    FAST,
    LAST,
    LEFT,
    MEMORY,
    MERGED,
    MINIMUM,
    PLATEAU,
    PLATEAU_PROMISE,
    RIDGE,
    ROUNDING,
    STUCK,
    Tolerances,
)

if TYPE_CHECKING:
    from layerscope.fitting.projection import RowSums
    from layerscope.fitting.rows import Patterns, RowEvaluator

__all__ = ["Alone", "size_of"]

FloatArray = NDArray[np.float64]


class Alone:
    """Where the series stands, and how it steps.

    Parameters
    ----------
    evaluator : RowEvaluator
        Of a layout without parameters of a pattern's own.
    data : Patterns
    shared : ndarray, shape (S,)
        Start.
    damping : float
        Of the first step, relative to the diagonal of the normal equations.

    Attributes
    ----------
    shared : ndarray, shape (S,)
    sums : RowSums
        At the last place that was evaluated.
    iterations : int
    converged : bool
    """

    def __init__(self, evaluator: RowEvaluator, data: Patterns, shared: FloatArray, damping: float) -> None:
        self.evaluator, self.data, self.shared = evaluator, data, shared.copy()
        self.low, self.high = evaluator.layout.bounds_shared()
        self.sums = evaluator.sums(data, shared[None], np.zeros((1, len(data.y), 0)))
        self.chi2, self.rhs, self.curvature = self._equations(self.sums)
        self.damping, self.growth = damping, 2.0
        self.scale = self.curvature.diagonal().copy()
        self.at_start, self.iterations, self.converged = True, 0, False
        weighted = (data.y * data.root_weight).ravel()
        self.rounding = ROUNDING**2 * float(weighted @ weighted)

    def _equations(self, sums: RowSums) -> tuple[float, FloatArray, FloatArray]:
        chi2, layout = float(sums.chi2.sum()), self.evaluator.layout
        if len(sums.chi2) == 1 and layout.is_plain:
            rhs, curvature = sums.gradient[0], sums.curvature[0]
        elif layout.is_plain:
            rhs, curvature = sums.gradient.sum(axis=0), sums.curvature.sum(axis=0)
        else:
            p = layout.spread
            rhs = np.einsum("lvs,lv->s", p, sums.gradient)
            curvature = np.einsum("lvs,lvw,lwt->st", p, sums.curvature, p, optimize=True)
        return (chi2 if np.isfinite(chi2) else np.inf), rhs, curvature

    def run(self, tolerances: Tolerances) -> None:
        """Step until the minimum is reached, nothing leads down any more, or the iterations are spent."""
        if not np.isfinite(self.chi2):
            return
        for _ in range(tolerances.max_iterations):
            stuck = not self.damping < STUCK
            self.converged = self._advance(tolerances)
            self.iterations += 1
            if self.converged or stuck:
                break

    def _advance(self, tolerances: Tolerances) -> bool:
        """Try one step, and say whether the series was at its minimum before it, or is at it now."""
        step, promised = self._step(self.damping * self.scale)
        shared = np.minimum(np.maximum(self.shared + step, self.low), self.high)
        if (shared != self.shared + step).any():  # cut by a bound
            step = shared - self.shared
            promised = self._promised(step)
        trial = self.evaluator.sums(self.data, shared[None], np.zeros((1, len(self.data.y), 0)))
        chi2, rhs, curvature = self._equations(trial)
        gain = (self.chi2 - chi2) / promised if promised > 0 else -1.0
        better = chi2 <= self.chi2 and 0 < gain < np.inf
        # a step that the bounds have cut may promise a rise: that asks for more damping and is no sign of a minimum
        short = 0 <= promised <= tolerances.reduction * self.chi2
        short = short or bool((np.abs(step) <= tolerances.step * (np.abs(self.shared) + 1e-300)).all())
        done = self.chi2 == 0 or (short and self._at_minimum(tolerances))
        if better:
            close = 0 < promised <= FAST * self.chi2
            self.damping = max(self.damping * max(1.0 / 3.0, 1.0 - (2.0 * min(gain, 1.0) - 1.0) ** 3), 1e-15)
            self.growth, self.at_start, self.shared = 2.0, False, shared
            self.sums, self.chi2, self.rhs, self.curvature = trial, chi2, rhs, curvature
            self.scale = np.maximum(MEMORY * self.scale, curvature.diagonal())
            return done or (close and self._finished(promised))
        growth = min(self.growth, 1e6)
        self.damping, self.growth = self.damping * growth, 2.0 * growth
        if self.at_start and not done and self.damping > PLATEAU:
            self._leave_plateau()
        return done

    def _held(self) -> NDArray[np.bool_] | None:
        """Return which parameters are at a bound that they would leave; None where there are none."""
        low, high = self.shared <= self.low, self.shared >= self.high
        if not (low.any() or high.any()):
            return None
        held = (low & (self.rhs <= 0)) | (high & (self.rhs >= 0))
        return held if held.any() else None

    def _step(self, amount: FloatArray) -> tuple[FloatArray, float]:
        """Return the step with something added to the diagonal, not yet cut by bounds, and what it promises."""
        held, rhs = self._held(), self.rhs
        matrix = self.curvature.copy()
        if held is not None:
            rhs = np.where(held, 0.0, rhs)
            matrix[held], matrix[:, held] = 0.0, 0.0
        diagonal = matrix.ravel()[:: len(rhs) + 1]  # a view
        diagonal += amount
        if held is not None or not diagonal.min() > 0:  # without any information a step is zero, and not undefined
            diagonal[~(diagonal > 0) | (False if held is None else held)] = 1.0
        scale = 1.0 / np.sqrt(diagonal)
        matrix *= scale[:, None]
        matrix *= scale
        _, _, step, singular = dgesv(matrix, rhs * scale)
        step = step * scale
        if singular or not np.isfinite(step).all():
            step = self._nearly(matrix, rhs * scale) * scale
        return step, self._promised(step)

    @staticmethod
    def _nearly(matrix: FloatArray, rhs: FloatArray) -> FloatArray:
        """Solve equations that are singular, or not finite."""
        if not (np.isfinite(matrix).all() and np.isfinite(rhs).all()):
            return np.zeros_like(rhs)
        return np.asarray(np.linalg.solve(matrix + 1e-12 * np.eye(len(rhs)), rhs))

    def _promised(self, step: FloatArray) -> float:
        """Return the reduction of chi2 that the quadratic model predicts for a step that moves nothing that is held."""
        return float(2.0 * (self.rhs @ step) - step @ self.curvature @ step)

    def _undamped(self) -> tuple[FloatArray, float]:
        """Return an undamped step, and what it promises: little at a minimum, and not on a plateau."""
        return self._step(RIDGE * self.curvature.diagonal())

    def _promise(self) -> float:
        """Return the relative reduction of chi2 that an undamped step promises."""
        return float((abs(self._undamped()[1]) - self.rounding) / self.chi2)

    def _at_minimum(self, tolerances: Tolerances) -> bool:
        """Say whether an undamped step would change nothing, and columns have not merged (see `solver`)."""
        return self._promise() <= max(tolerances.reduction, MINIMUM) and float(self.sums.apart.min()) > MERGED

    def _finished(self, promised: float) -> bool:
        """Say whether the next step is the last, and take it.

        Close to a minimum each step leaves the same share of what the one before promised. What is still promised after
        a step thus tells what the next will leave, and where that is nothing its end need not be evaluated: parameters
        and coefficients follow from the equations at hand.
        """
        step, left = self._undamped()
        noise, now, amounts = self.chi2 / self.data.y.size, self.sums, self.evaluator.nonnegative
        if not (0 <= left <= LAST * noise and left * left <= LEFT * noise * promised and now.apart.min() > MERGED):
            return False
        shared = self.shared + step
        if (shared < self.low).any() or (shared > self.high).any():
            return False
        if amounts is not None and (now.coefficients[:, amounts] <= 0).any():
            return False
        self.shared = shared
        if self.evaluator.n_linear:
            layout = self.evaluator.layout
            moved = now.mixed @ (step if layout.is_plain else layout.spread @ step)[..., None]
            now.coefficients[...] -= (now.inverse @ moved)[..., 0]
            if amounts is not None:
                now.coefficients[:, amounts] = np.maximum(now.coefficients[:, amounts], 0.0)
        return True

    def _leave_plateau(self) -> None:
        """Start afresh from a plateau, with steps in proportion to the parameters (see `solver`)."""
        if self._promise() > PLATEAU_PROMISE:
            self.at_start, self.damping, self.growth = False, 1.0, 2.0
            size = size_of(self.shared, self.low, self.high)
            self.scale = (self.scale * size**2).max(initial=0.0) / size**2


def size_of(values: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return what makes a large change of a parameter: the range between its bounds, or else its value."""
    size = np.where(np.isfinite(high - low), high - low, np.abs(values))
    return np.where(size > 0, size, 1.0)
