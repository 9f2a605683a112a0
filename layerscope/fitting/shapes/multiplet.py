"""A multiplet: copies of one shape, at fixed distances and in fixed ratios of areas and widths, that move as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layerscope.errors import FitError
from layerscope.fitting.shapes.base import FloatArray, Line, ParameterHint, Shape, ShapeValues

__all__ = ["Multiplet"]


class Multiplet(Line):
    """Peaks of one shape whose coefficient is the area of all: sum of a_i s(x; c + d_i, r_i w), the a_i of sum one.

    Parameters of the shape: those of the base shape. ``center`` c is that of the first peak, and so is every width w:
    the other peaks follow at their distances d_i, with r_i times its widths.

    Parameters
    ----------
    base : Shape
        Shape of each peak.
    offsets : sequence of float, shape (P,)
        Distance of each peak from the first one (unit of the axis); the first is 0.
    areas : sequence of float, shape (P,)
        Areas on any common scale, above zero.
    widths : sequence of float, shape (P,)
        Widths over those of the first peak, above zero; the first is 1.

    Raises
    ------
    FitError
        If the lists differ in length or are empty, or a number lies where a multiplet is not defined.
    """

    def __init__(self, base: Shape, offsets: Sequence[float], areas: Sequence[float], widths: Sequence[float]) -> None:
        self.base = base
        if not 0 < len(offsets) == len(areas) == len(widths):
            raise FitError("a multiplet needs as many offsets as areas and widths, and at least one", source=self.name)
        peaks = np.array([offsets, areas, widths], dtype=np.float64)
        if not np.isfinite(peaks).all() or peaks[1:].min() <= 0.0:
            raise FitError("areas and widths of a multiplet must be finite and above zero", source=self.name)
        if (peaks[0, 0], peaks[2, 0]) != (0.0, 1.0):
            raise FitError("the first peak of a multiplet has the offset 0 and the width 1", source=self.name)
        self.offsets, self.areas = peaks[0], peaks[1] / peaks[1].sum()
        # What each parameter of the first peak is multiplied by for the others: the widths follow, the rest is common.
        are_widths = np.array([name.endswith("fwhm") for name in base.parameters])
        self._factors = np.where(are_widths, peaks[2][:, np.newaxis], 1.0)

    @property
    def name(self) -> str:
        """Name of the shape, with that of its base."""
        return f"multiplet({self.base.name})"

    def defaults(self) -> dict[str, ParameterHint]:
        """Return a start value and bounds for every parameter."""
        return self.base.defaults()

    def _curves(self, axis: FloatArray, par: FloatArray, derivatives: bool, integral: bool) -> ShapeValues:
        value = np.zeros((par.shape[0], axis.shape[1]))
        jac = np.zeros((par.shape[0], par.shape[1] if derivatives else 0, axis.shape[1]))
        running, running_jac = (np.zeros_like(value), np.zeros_like(jac)) if integral else (None, None)
        for offset, area, factors in zip(self.offsets, self.areas, self._factors, strict=True):
            own = par * factors
            own[:, 0] += offset
            peak = self.base.evaluate(axis, own, derivatives=derivatives, integral=integral)
            chain = area * factors[: jac.shape[1], np.newaxis]
            value += area * peak.value
            jac += chain * peak.jac
            if running is not None and running_jac is not None and peak.integral is not None:
                running += area * peak.integral
                running_jac += chain * peak.integral_jac
        return ShapeValues(value, jac, running, running_jac)
