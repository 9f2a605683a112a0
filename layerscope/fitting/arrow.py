"""Normal equations in the shape of an arrow: shared parameters, each pattern's own, and the border that couples them.

Patterns meet only in the shared parameters, so eliminating the patterns' own blocks (a Schur complement) makes a step
cost linear in the number of patterns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.tolerances import RIDGE

__all__ = ["Normal", "bounded_step", "undamped_step"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]
Bounds = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


@dataclass
class Normal:
    """Normal equations of some series: arrow blocks, right-hand sides, chi2."""

    chi2: FloatArray  # (G, L)
    coefficients: FloatArray  # (G, L, m)
    shared: FloatArray  # (G, S, S)
    border: FloatArray  # (G, L, S, T)
    local: FloatArray  # (G, L, T, T)
    rhs_shared: FloatArray  # (G, S)
    rhs_local: FloatArray  # (G, L, T)
    apart: FloatArray  # (G, L): smallest share of a squared derivative that the columns do not absorb
    whole: FloatArray  # (G, L, V, V): products of derivatives by shared and own parameters, coefficients held
    mixed: FloatArray  # (G, L, m, V): products of columns and derivatives
    gram: FloatArray  # (G, L, m, m): products of columns
    inverse: FloatArray  # (G, L, m, m): of these; zero for a coefficient held at its bound

    def take(self, index: IntArray | BoolArray) -> Normal:
        """Return some of the series."""
        return Normal(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def put(self, where: BoolArray, other: Normal, which: BoolArray) -> None:
        """Replace some series by some of another set of equations, in order."""
        for name in self.__dataclass_fields__:
            getattr(self, name)[where] = getattr(other, name)[which]


def bounded_step(
    now: Normal,
    shared: FloatArray,
    local: FloatArray,
    damping: FloatArray,
    scale: tuple[FloatArray, FloatArray],
    bounds: Bounds,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the bounded Levenberg-Marquardt step and the reduction of chi2 it promises.

    Parameters
    ----------
    now : Normal
    shared : ndarray, shape (G, S)
    local : ndarray, shape (G, L, T)
        Free parameters; one that is at a bound and would leave it is held.
    damping : ndarray, shape (G,)
    scale : tuple of ndarray, shapes (G, S) and (G, L, T)
        What the damping is relative to.
    bounds : tuple of ndarray
        Low and high of the shared parameters, low and high of the patterns' own.

    Returns
    -------
    step_shared, step_local : ndarray, shapes (G, S) and (G, L, T)
    promised : ndarray, shape (G,)
    """
    low_s, high_s, low_l, high_l = bounds
    free, held_s, held_l = _free(now, shared, local, bounds)
    damped_top = _damped(free.shared, damping[:, None] * scale[0], held_s)
    damped_blocks = _damped(free.local, damping[:, None, None] * scale[1], held_l)
    step_s, step_l = _solve_arrow(damped_top, free.border, damped_blocks, free.rhs_shared, free.rhs_local)
    step_s = np.minimum(np.maximum(shared + step_s, low_s), high_s) - shared
    if local.shape[-1]:
        step_l = np.minimum(np.maximum(local + step_l, low_l), high_l) - local
    return step_s, step_l, _promise(free, step_s, step_l)


def undamped_step(
    now: Normal, shared: FloatArray, local: FloatArray, bounds: Bounds
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return an undamped step, and by how much it would lower chi2, were the model linear, shape (G,).

    A damped step promises little wherever it is short; this does not, and tells a minimum from a place where the
    solver cannot move. Each direction is measured by its own curvature: on a plateau both the slope and the curvature
    have all but vanished, and their ratio has not.
    """
    free, held_s, held_l = _free(now, shared, local, bounds)
    top = _damped(free.shared, RIDGE * np.einsum("...ii->...i", free.shared), held_s)
    blocks = _damped(free.local, RIDGE * np.einsum("...ii->...i", free.local), held_l)
    step_s, step_l = _solve_arrow(top, free.border, blocks, free.rhs_shared, free.rhs_local)
    return step_s, step_l, _promise(free, step_s, step_l)


def _free(now: Normal, shared: FloatArray, local: FloatArray, bounds: Bounds) -> tuple[Normal, BoolArray, BoolArray]:
    """Return the equations of those parameters that may move, and which may not: at a bound that they would leave."""
    low_s, high_s, low_l, high_l = bounds
    held_s = _held(shared, now.rhs_shared, low_s, high_s)
    held_l = _held(local, now.rhs_local, low_l, high_l)
    if not (held_s.any() or held_l.any()):
        return now, held_s, held_l
    free_s, free_l = np.asarray(~held_s), np.asarray(~held_l)
    equations = replace(
        now,
        shared=now.shared * free_s[:, :, None] * free_s[:, None, :],
        border=now.border * free_s[:, None, :, None] * free_l[:, :, None, :],
        local=now.local * free_l[..., :, None] * free_l[..., None, :],
        rhs_shared=np.where(held_s, 0.0, now.rhs_shared),
        rhs_local=np.where(held_l, 0.0, now.rhs_local),
    )
    return equations, held_s, held_l


def _held(values: FloatArray, rhs: FloatArray, low: FloatArray, high: FloatArray) -> BoolArray:
    if values.shape[-1] == 0:
        return np.zeros(values.shape, dtype=bool)
    at_low, at_high = values <= low, values >= high
    if not (at_low.any() or at_high.any()):
        return at_low
    return np.asarray((at_low & (rhs <= 0)) | (at_high & (rhs >= 0)))


def _damped(matrix: FloatArray, amount: FloatArray, held: BoolArray) -> FloatArray:
    if matrix.shape[-1] == 0:
        return matrix
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
    if not diagonal.all():
        diagonal = np.where(diagonal > 0, diagonal, 1.0)
    scale = 1.0 / np.sqrt(diagonal)
    scaled = matrix * scale[..., :, None] * scale[..., None, :]
    scale, right = scale[..., :, None], right * scale[..., :, None]
    try:
        solution = np.linalg.solve(scaled, right)
    except np.linalg.LinAlgError:
        solution = np.full_like(right, np.nan)
    if not np.isfinite(solution).all():
        finite = np.asarray(np.isfinite(scaled).all(axis=(-2, -1)) & np.isfinite(right).all(axis=(-2, -1)))
        scaled = np.where(finite[..., None, None], scaled, np.eye(matrix.shape[-1]))
        right = np.where(finite[..., None, None], right, 0.0)
        try:
            solution = np.linalg.solve(scaled, right)
        except np.linalg.LinAlgError:
            solution = np.linalg.solve(scaled + 1e-12 * np.eye(matrix.shape[-1]), right)
    result: FloatArray = solution * scale
    return result


def _promise(free: Normal, step_s: FloatArray, step_l: FloatArray) -> FloatArray:
    """Return the reduction of chi2 that the quadratic model predicts for a step, shape (G,)."""
    linear = np.einsum("gs,gs->g", free.rhs_shared, step_s)
    square = np.einsum("gs,gst,gt->g", step_s, free.shared, step_s)
    if step_l.shape[-1] == 0:
        return np.asarray(2.0 * linear - square)
    linear += np.einsum("glt,glt->g", free.rhs_local, step_l)
    square += np.einsum("glt,gltu,glu->g", step_l, free.local, step_l)
    cross = 2.0 * np.einsum("gs,glst,glt->g", step_s, free.border, step_l)
    return np.asarray(2.0 * linear - square - cross)
