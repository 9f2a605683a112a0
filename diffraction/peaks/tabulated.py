"""The same line at many places: its shape tabulated once, then read off.

Frames of a series share the shape of a line and differ in where it lies. Seen from its own centre a line hardly changes
while it moves: only the splitting of the doublet and the axial divergence follow the angle, slowly and smoothly. A line
is therefore tabulated at a few centres (Chebyshev's) of a block of angles, each table a cubic spline on a fraction of
the axis' step; a line between them is their polynomial. On an axis of equal steps all points of a line share one place
between the knots, so that reading a line off is a sum of a few stretches of the tables.

The tables reproduce the sum over the nodes to 1e-6 of the height or better, less than what the quadrature of the axial
divergence itself leaves (`layerscope.diffraction.peaks.lines.NODES`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.errors import FitError
from layerscope.fitting.shapes import ShapeValues, as_batch

from ..radiation import FloatArray, Radiation
from .lines import DiffractionLine, Profile

__all__ = ["TabulatedLine"]

IntArray = NDArray[np.intp]

KNOTS_A_WIDTH = 40.0
"""Knots to a width: cubic splines then err by some 1e-7 of the height."""

BLOCK_DEG, LEAST_BLOCK_DEG = 0.5, 0.1
"""Width of a block of angles; halved until a line changes by less than `MOVES` widths within it."""

MOVES = 0.04

CENTERS = 3
DEGREE = 3
TERMS = CENTERS * (DEGREE + 1)
_ROOTS = 0.5 * (1.0 - np.cos(np.pi * (np.arange(CENTERS) + 0.5) / CENTERS))
MARGIN = 24  # knots beyond the ends of the axis: what the spline's end conditions can be felt at

EVEN = 1e-6
"""Deviation from equal steps, in widths, that is but rounding of the axis."""

VALUES = 100_000
"""Of one work array that stay in the processor's cache."""


@dataclass(frozen=True)
class _Axis:
    """Equal steps: first point, step (degrees) and number of points."""

    first: float
    step: float
    size: int


@dataclass(frozen=True)
class _Drawn:
    """How a line is drawn, whatever its place and shape."""

    radiation: Radiation
    profile: Profile
    axial: bool
    nodes: int


class TabulatedLine(DiffractionLine):
    """A Bragg line that is read from tables wherever all rows share one shape and the axis has equal steps.

    Anything else is evaluated point by point, so that this line can stand for a `DiffractionLine` everywhere.
    """

    @classmethod
    def of(cls, line: DiffractionLine) -> TabulatedLine:
        """Return a tabulated line in place of a line."""
        return cls(
            line.radiation, profile=line.profile, axial=line.axial, nodes=line.nodes, only_position=line.only_position
        )

    def evaluate(self, x: ArrayLike, p: ArrayLike, *, derivatives: bool = True, integral: bool = False) -> ShapeValues:
        """Evaluate the line and its derivatives; see `DiffractionLine.evaluate`."""
        axis, par = as_batch(self.name, self.parameters, x, p)
        width = float(self._widths(par[:1])[0][0]) if len(par) else 0.0
        even = _even(axis, width) if len(par) and not integral and (par[:, 1:] == par[0, 1:]).all() else None
        if even is None:
            return super().evaluate(axis, par, derivatives=derivatives, integral=integral)
        if not ((par[:, 0] > 0) & (par[:, 0] < 180)).all():
            raise FitError("a line lies outside 0 to 180 degrees", hint="bound its position")
        shape = tuple(float(v) for v in par[0, 1:])
        span = self._block_widths(par[:, 0], width, shape)
        if (span < LEAST_BLOCK_DEG).any():
            return super().evaluate(axis, par, derivatives=derivatives)
        value = np.empty((len(par), even.size))
        # parameter by parameter in memory: derivatives that nobody wants are then pages of zeros never touched
        jac = np.zeros((len(self.parameters) if derivatives else 0, len(par), even.size)).transpose(1, 0, 2)
        kinds = 1 if self.only_position or not derivatives else len(self.parameters)
        together = max(1, math.ceil(KNOTS_A_WIDTH * even.step / width))
        places = _places(par[:, 0], span, even.step / together, together, derivatives)
        for where in dict.fromkeys(zip(places.block.tolist(), span.tolist(), strict=True)):
            drawn = _Drawn(self.radiation, self.profile, self.axial, self.nodes)
            tables = _tables(drawn, shape, even, together, *where, kinds=kinds)
            rows = np.flatnonzero((places.block == where[0]) & (span == where[1]))
            _read(tables, places, rows, value, jac if derivatives else None)
        return ShapeValues(value, jac)

    def _block_widths(self, center: FloatArray, width: float, shape: tuple[float, ...]) -> FloatArray:
        """Return, for each centre, a width of blocks (degrees) within which the line keeps its shape well enough."""
        axial = shape[-1] if self.axial else 0.0
        b = np.radians(np.maximum(np.floor(center), 0.5))
        # what a degree does to the distances 2 A^2 / tan(2theta) of the last node and 2 tan(theta) (ratio - 1) of the
        # second line
        slope = 2.0 * axial**2 / np.sin(b) ** 2 + (self._lines[-1][1] - 1.0) / np.cos(b / 2.0) ** 2
        halvings = np.ceil(np.log2(np.maximum(BLOCK_DEG * slope / (MOVES * width), 1.0)))
        return np.asarray(BLOCK_DEG / 2.0**halvings)


def _even(axis: FloatArray, width: float) -> _Axis | None:
    """Return an axis of equal steps, or None if it is not one."""
    if axis.shape[0] != 1 or axis.shape[1] < 3:
        return None
    x = axis[0]
    step = float(x[-1] - x[0]) / (x.size - 1)
    if step <= 0 or np.abs(x - (x[0] + step * np.arange(x.size))).max() > EVEN * width:
        return None
    return _Axis(float(x[0]), step, x.size)


@dataclass(frozen=True)
class _Places:
    """Where lines are found in the tables.

    Attributes
    ----------
    block : ndarray of int, shape (B,)
        Block of angles.
    phase, whole : ndarray of int, shape (B, 1, 4)
        Of the first knot of each stretch: its place within a step of the axis, and the number of whole steps.
    weights : ndarray, shape (B, 1 or 2, terms)
        Of the stretches in the line and, if asked for, in its derivative by the centre.
    """

    block: IntArray
    phase: IntArray
    whole: IntArray
    weights: FloatArray


def _places(center: FloatArray, span: FloatArray, step: float, together: int, derivatives: bool) -> _Places:
    """Find lines at some centres (B,) in tables of blocks `span` (B,) wide with knots `step` apart (degrees)."""
    along = center / span
    block = np.floor(along)
    along -= block
    place = (1.0 - along) * (span / step) + MARGIN
    knot = np.floor(place)
    by_place, slope = _spline_weights(place - knot)
    by_center, center_slope = _lagrange(along)
    index = knot.astype(np.intp)[:, None] + (np.arange(DEGREE + 1) - DEGREE // 2)
    whole, phase = np.divmod(index[:, None], together)
    weights = np.empty((center.size, 2 if derivatives else 1, CENTERS, DEGREE + 1))
    np.multiply(by_center[:, :, None], by_place[:, None], out=weights[:, 0])
    if derivatives:
        np.multiply(center_slope[:, :, None], by_place[:, None] / span[:, None, None], out=weights[:, 1])
        weights[:, 1] -= by_center[:, :, None] * (slope[:, None] / step)
    return _Places(block.astype(np.intp), phase, whole, weights.reshape(center.size, -1, TERMS))


def _read(windows: FloatArray, places: _Places, rows: IntArray, value: FloatArray, jac: FloatArray | None) -> None:
    """Write some lines into rows of `value` (B, n) and `jac` (B, q, n)."""
    points = windows.shape[-1]
    size = max(1, VALUES // (TERMS * points))
    node = np.arange(CENTERS)[None, :, None]
    for i in range(0, rows.size, size):
        at = rows[i : i + size]
        phase, whole, weights = places.phase[at], places.whole[at], places.weights[at]
        result = weights @ windows[0][node, phase, whole].reshape(-1, TERMS, points)
        value[at] = result[:, 0]
        if jac is None:
            continue
        jac[at, 0] = result[:, 1]
        for kind in range(1, len(windows)):
            jac[at, kind] = (weights[:, :1] @ windows[kind][node, phase, whole].reshape(-1, TERMS, points))[:, 0]


@lru_cache(maxsize=48)
def _tables(
    drawn: _Drawn,
    shape: tuple[float, ...],
    axis: _Axis,
    together: int,
    block: int,
    span: float,
    *,
    kinds: int,
) -> FloatArray:
    """Tabulate a line for centres in ``[block * span, (block + 1) * span]``.

    Returns
    -------
    ndarray, shape (kinds, CENTERS, together, k, n)
        Spline coefficient of knot ``k * together + phase`` and of all that follow it at whole steps of the axis; of
        the line's value and, where there are more kinds, of its derivatives by the parameters of its shape.
    """
    from scipy.ndimage import spline_filter1d

    line = DiffractionLine(drawn.radiation, profile=drawn.profile, axial=drawn.axial, nodes=drawn.nodes)
    step = axis.step / together
    high = (block + 1) * span
    size = math.ceil((axis.size * axis.step + span) / step) + 2 * MARGIN
    whole = -(-size // together)
    offset = axis.first - high - MARGIN * step + step * np.arange(whole * together)
    curves = np.empty((kinds, CENTERS, offset.size))
    for j, c in enumerate((block + _ROOTS) * span):
        v = line.evaluate(offset + c, np.array([[c, *shape]]), derivatives=kinds > 1)
        curves[0, j] = v.value[0]
        if kinds > 1:
            curves[1:, j] = v.jac[0, 1:]
    coefficients = np.empty_like(curves)
    spline_filter1d(curves, 3, axis=-1, output=coefficients, mode="mirror")
    arranged = np.ascontiguousarray(coefficients.reshape(kinds, CENTERS, whole, together).transpose(0, 1, 3, 2))
    return np.lib.stride_tricks.sliding_window_view(arranged, axis.size, axis=-1)


def _spline_weights(t: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the cubic B-splines at places `t` in [0, 1) between knots, and their derivatives, each (B, 4)."""
    u = 1.0 - t
    value = [u**3, 4.0 - 6.0 * t**2 + 3.0 * t**3, 4.0 - 6.0 * u**2 + 3.0 * u**3, t**3]
    slope = [-(u**2), t * (3.0 * t - 4.0), u * (4.0 - 3.0 * u), t**2]
    return np.stack(value, axis=1) / 6.0, np.stack(slope, axis=1) / 2.0


def _lagrange(t: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return Lagrange's polynomials of the centres of a block at places `t` in [0, 1], and their derivatives."""
    apart = t[:, None] - _ROOTS
    value, slope = np.empty_like(apart), np.empty_like(apart)
    for j in range(CENTERS):
        i, k = (n for n in range(CENTERS) if n != j)
        scale = 1.0 / ((_ROOTS[j] - _ROOTS[i]) * (_ROOTS[j] - _ROOTS[k]))
        value[:, j] = apart[:, i] * apart[:, k] * scale
        slope[:, j] = (apart[:, i] + apart[:, k]) * scale
    return value, slope
