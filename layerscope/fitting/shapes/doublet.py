"""A spin-orbit doublet: two copies of one shape, a splitting apart and in a given ratio of areas."""

from __future__ import annotations

import numpy as np

from layerscope.errors import FitError
from layerscope.fitting.shapes.base import FloatArray, Line, ParameterHint, Shape, ShapeValues

__all__ = ["Doublet"]


class Doublet(Line):
    """Two lines of one shape whose coefficient is the area of both: (s(x; c) + r s(x; c + splitting))/(1 + r).

    Parameters of the shape: those of the base shape (``center`` is that of the first line), then ``splitting`` in the
    unit of the axis and ``ratio`` r, the area of the second line over that of the first (1/2 for p, 2/3 for d, 3/4 for
    f levels when the second line is the one at higher binding energy).

    Parameters
    ----------
    base : Shape
        Shape of each of the two lines.
    """

    def __init__(self, base: Shape) -> None:
        self.base = base

    @property
    def name(self) -> str:
        """Name of the shape, with that of its base."""
        return f"doublet({self.base.name})"

    def defaults(self) -> dict[str, ParameterHint]:
        """Return a start value and bounds for every parameter."""
        return {
            **self.base.defaults(),
            "splitting": ParameterHint(1.0, 0.0, 100.0),
            "ratio": ParameterHint(0.5, 0.0, 10.0, "1"),
        }

    def _check(self, par: FloatArray) -> None:
        super()._check(par)
        if par.size and par[:, -1].min() <= -1.0:
            raise FitError("the ratio of a doublet must be above -1", source=self.name)

    def _curves(self, axis: FloatArray, par: FloatArray, derivatives: bool, integral: bool) -> ShapeValues:
        splitting, ratio = par[:, -2], par[:, -1:]
        first_par = np.ascontiguousarray(par[:, :-2])
        second_par = first_par.copy()
        second_par[:, 0] += splitting
        first = self.base.evaluate(axis, first_par, derivatives=derivatives, integral=integral)
        second = self.base.evaluate(axis, second_par, derivatives=derivatives, integral=integral)
        value, jac = _combine(first.value, first.jac, second.value, second.jac, ratio)
        if (
            first.integral is None
            or first.integral_jac is None
            or second.integral is None
            or second.integral_jac is None
        ):
            return ShapeValues(value, jac)
        running, running_jac = _combine(first.integral, first.integral_jac, second.integral, second.integral_jac, ratio)
        return ShapeValues(value, jac, running, running_jac)


def _combine(
    first: FloatArray, first_jac: FloatArray, second: FloatArray, second_jac: FloatArray, ratio: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mix two lines with weights 1/(1 + r) and r/(1 + r); also the derivatives for splitting and ratio."""
    w1 = 1.0 / (1.0 + ratio)
    w2 = ratio * w1
    value = first * w1
    value += second * w2
    q = first_jac.shape[1]
    if q == 0:
        return value, np.empty_like(first_jac)
    jac = np.empty((value.shape[0], q + 2, value.shape[1]))
    base = jac[:, :q, :]
    np.multiply(first_jac, w1[:, :, np.newaxis], out=base)
    shifted = second_jac * w2[:, :, np.newaxis]
    base += shifted
    jac[:, q, :] = shifted[:, 0, :]
    # d/dr of (s1 + r s2)/(1 + r) = (s2 - s1)/(1 + r)^2
    np.subtract(second, first, out=jac[:, q + 1, :])
    jac[:, q + 1, :] *= w1 * w1
    return value, jac
