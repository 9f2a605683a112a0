"""Backgrounds of photoelectron spectra: Shirley and Tougaard; static from data, active as linear operators.

Pure numerics on ascending binding energy. Electrons that have lost energy appear at higher binding energy, so every
background here grows with x by what the spectrum has shown at lower x.

*Static* backgrounds are computed from the data once and subtracted. *Active* ones belong to the model: a line s(x)
stands on k * integral(s) (Shirley) or on B * T[s] (Tougaard), both linear in s, so that areas and backgrounds are
fitted together. Tougaard's are in `layerscope.fitting.tougaard`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from layerscope.errors import FitError
from layerscope.fitting.shapes import FloatArray

__all__ = [
    "ShirleyBackground",
    "cumulative_matrix",
    "end_averages",
    "static_shirley",
]


@dataclass(frozen=True)
class ShirleyBackground:
    """A static Shirley background.

    Parameters
    ----------
    background : ndarray, shape (B, n)
        The background, in the unit of the counts.
    strength : ndarray, shape (B,)
        k of background' = k (counts - background), in 1/(unit of the axis).
    iterations : ndarray of int, shape (B,)
        Iterations that each row took.
    """

    background: FloatArray
    strength: FloatArray
    iterations: np.ndarray[tuple[int], np.dtype[np.intp]]


def _rows(x: ArrayLike, y: ArrayLike, name: str) -> tuple[FloatArray, FloatArray]:
    """Return x and y as (B, n), broadcast against each other, after checking order and finiteness."""
    axis = np.atleast_2d(np.asarray(x, dtype=np.float64))
    values = np.atleast_2d(np.asarray(y, dtype=np.float64))
    if axis.ndim != 2 or values.ndim != 2 or axis.shape[1] != values.shape[1] or axis.shape[0] not in {1, len(values)}:
        raise FitError(f"the axis {np.shape(x)} does not fit the values {np.shape(y)}", source=name)
    if not (np.isfinite(axis).all() and np.isfinite(values).all()):
        raise FitError("axis or values are not finite", source=name)
    _require_ascending(axis, name)
    return np.broadcast_to(axis, values.shape), values


def _require_ascending(axis: FloatArray, name: str) -> None:
    if axis.shape[-1] < 2 or not (np.diff(axis, axis=-1) > 0.0).all():
        raise FitError("the axis must ascend strictly and have at least two points", source=name)


def _panel_weights(x: FloatArray) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.intp]], FloatArray]:
    """Return, for each step of one axis (n,), the points and weights that integrate a local cubic over it.

    The cubic runs through the four points around the step (fewer when the axis is shorter); two Gauss nodes integrate
    it exactly, and the Lagrange basis at these nodes turns them into weights of the points.
    """
    n = x.size
    size = min(4, n)
    first = np.clip(np.arange(n - 1) - 1, 0, n - size)
    points = first[:, np.newaxis] + np.arange(size)
    half = 0.5 * np.diff(x)
    middle = 0.5 * (x[1:] + x[:-1])
    weights = np.zeros((n - 1, size))
    stencil = x[points]
    for sign in (-1.0, 1.0):
        node = middle + sign * half / np.sqrt(3.0)
        for k in range(size):
            others = [j for j in range(size) if j != k]
            up = np.prod(node[:, np.newaxis] - stencil[:, others], axis=1)
            down = np.prod(stencil[:, k : k + 1] - stencil[:, others], axis=1)
            weights[:, k] += half * up / down
    return points, weights


def cumulative_matrix(x: ArrayLike) -> FloatArray:
    """Return the matrix W that integrates sampled functions: W @ y is the running integral, with an error of order h^4.

    Parameters
    ----------
    x : array-like, shape (n,)
        Strictly ascending axis, even or not.

    Returns
    -------
    ndarray, shape (n, n)
        Row i integrates from the first point to point i; its entries reach one or two points beyond i, because the
        local cubics do.

    Raises
    ------
    FitError
        When the axis does not ascend.
    """
    axis = np.asarray(x, dtype=np.float64)
    if axis.ndim != 1:
        raise FitError(f"one axis (n,) expected, not {axis.shape}", source="cumulative_matrix")
    _require_ascending(axis, "cumulative_matrix")
    points, weights = _panel_weights(axis)
    matrix = np.zeros((axis.size, axis.size))
    np.put_along_axis(matrix[1:], points, weights, axis=1)
    np.cumsum(matrix, axis=0, out=matrix)
    return matrix


def end_averages(values: FloatArray, end_points: int, name: str) -> tuple[FloatArray, FloatArray]:
    """Return the means (B, 1) of the first and of the last `end_points` values (B, n).

    Raises
    ------
    FitError
        When there are fewer than one, or more than half of the points.
    """
    if not 1 <= end_points <= values.shape[1] // 2:
        raise FitError(
            f"cannot average {end_points} points at each end of {values.shape[1]}",
            source=name,
            hint="use between one and half of the points",
        )
    return values[:, :end_points].mean(axis=1, keepdims=True), values[:, -end_points:].mean(axis=1, keepdims=True)


def static_shirley(
    x: ArrayLike,
    counts: ArrayLike,
    *,
    end_points: int = 5,
    ends: tuple[float, float] | None = None,
    tolerance: float = 1e-9,
    max_iterations: int = 200,
) -> ShirleyBackground:
    """Return the iterated Shirley background of measured spectra.

    The background b runs from the mean of the first to the mean of the last points and rises (or falls: either sign
    of the step will do) in proportion to the integral of what stands above it:

        b(x) = y_low + (y_high - y_low) int_{x_0}^{x} (y - b) / int_{x_0}^{x_n} (y - b).

    Parameters
    ----------
    x : array-like, shape (n,) or (B, n)
        Strictly ascending binding energy.
    counts : array-like, shape (n,) or (B, n)
        Spectra.
    end_points : int
        Points averaged at each end; one-point ends scatter the area of a weak line.
    ends : tuple of float, optional
        Levels at both ends, in the place of averages.
    tolerance : float
        Largest change of the background in the last iteration, relative to the height of the step (or to the largest
        count, if there is no step).
    max_iterations : int
        Iterations after which the search is given up.

    Returns
    -------
    ShirleyBackground
        Background (B, n), its strength (B,) and the iterations taken (B,).

    Raises
    ------
    FitError
        When a spectrum does not stand above its background, or the iteration does not settle.

    Notes
    -----
    D. A. Shirley, Phys. Rev. B 5 (1972) 4709, doi:10.1103/PhysRevB.5.4709; iterated after A. Proctor and
    P. M. A. Sherwood, Anal. Chem. 54 (1982) 13, doi:10.1021/ac00238a008. In the limit the background obeys
    b' = k (y - b), which is how the tests check it.
    """
    axis, y = _rows(x, counts, "static_shirley")
    if ends is None:
        low, high = end_averages(y, end_points, "static_shirley")
    else:
        low, high = (np.full((y.shape[0], 1), level) for level in ends)
    step = high - low
    scale = np.maximum(np.abs(step), 1e-12 * np.maximum(np.abs(y).max(axis=1, keepdims=True), 1e-300))
    half_steps = 0.5 * np.diff(axis, axis=1)
    extent = axis[:, -1] - axis[:, 0]
    background = low + step * (axis - axis[:, :1]) / extent[:, np.newaxis]
    strength = np.zeros(y.shape[0])
    iterations = np.zeros(y.shape[0], dtype=np.intp)
    active = np.arange(y.shape[0])
    for iteration in range(1, max_iterations + 1):
        above = y[active] - background[active]
        running = np.zeros_like(above)
        np.cumsum((above[:, 1:] + above[:, :-1]) * half_steps[active], axis=1, out=running[:, 1:])
        total = running[:, -1:]
        # A flat or sunken spectrum has no area to share the step out by.
        noise = 1e-9 * np.abs(above).max(axis=1, keepdims=True) * extent[active, np.newaxis]
        if (total <= noise).any():
            row = int(active[np.nonzero((total <= noise)[:, 0])[0][0]])
            raise FitError(
                f"spectrum {row} does not stand above its background: a Shirley background cannot be found",
                source="static_shirley",
                hint="widen the range, or use a polynomial background",
            )
        new = low[active] + step[active] * running / total
        change = np.abs(new - background[active]).max(axis=1)
        background[active] = new
        strength[active] = (step[active] / total)[:, 0]
        iterations[active] = iteration
        active = active[change > tolerance * scale[active, 0]]
        if active.size == 0:
            return ShirleyBackground(background, strength, iterations)
    raise FitError(
        f"the Shirley background of spectrum {int(active[0])} has not settled after {max_iterations} iterations",
        source="static_shirley",
        hint="widen the range so that both ends are flat, or use an active background",
    )
