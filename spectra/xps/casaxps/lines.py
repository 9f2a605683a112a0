"""CasaXPS' line shapes as shapes of the fit engine, in CasaXPS' own parameters: position and stored width.

GL, SGL and LA are the engine's shapes with their other parameters held; LF, which the engine does not have, is a
tabulated line. Components whose areas CasaXPS ties become one shape, because the engine eliminates areas and so cannot
tie them by an expression.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from layerscope.errors import DataError
from layerscope.fitting.shapes import Line, ParameterHint, Shape, ShapeValues, get_shape, sgl_to_mixing

from ..dataset import FloatArray
from .shapes import LineShape, gaussian_sigma, half_width, reduced_line

__all__ = ["CasaLine", "TiedLines"]

_FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
_NARROWEST = 0.01  # Gaussian over Lorentzian width that stands for m = 0: the engine's LA needs some Gaussian


@dataclass(frozen=True)
class CasaLine(Line):
    """A line of unit area with the parameters ``center`` and ``fwhm`` as CasaXPS states them.

    ``center`` is a binding energy; ``fwhm`` is the number that CasaXPS stores, which for LA and LF is twice the half
    width on the side of low binding energy.

    Parameters
    ----------
    shape : LineShape
        The shape; its other parameters are held.

    Raises
    ------
    DataError
        If an LA or undamped LF line has an exponent of 1/2 or less, so that it has no area.
    """

    hints: ClassVar = {"center": ParameterHint(0.0), "fwhm": ParameterHint(1.0, 1e-3, 100.0)}

    shape: LineShape
    _engine: Shape | None = field(init=False, repr=False, compare=False)
    _fixed: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        engine, fixed = _engine_shape(self.shape)
        object.__setattr__(self, "_engine", engine)
        object.__setattr__(self, "_fixed", fixed)

    @property
    def name(self) -> str:
        """Kind of the shape in small letters, ``casaxps_lf``."""
        return f"casaxps_{self.shape.kind.lower()}"

    def _curves(self, axis: FloatArray, par: FloatArray, derivatives: bool, integral: bool) -> ShapeValues:
        if self._engine is None:
            return self._tabulated(axis, par, derivatives, integral)
        if self.shape.kind in ("GL", "SGL"):
            scales = np.array([1.0])
            inner = np.column_stack([par, np.full(len(par), self._fixed[0])])
        else:
            f, gauss, alpha, beta = self._fixed
            scales = np.array([f, gauss])
            exponents = np.tile([alpha, beta], (len(par), 1))
            inner = np.column_stack([par[:, 0], f * par[:, 1], exponents, gauss * par[:, 1]])
        values = self._engine.evaluate(axis, inner, derivatives=derivatives, integral=integral)
        slopes = None if values.integral_jac is None else _reduce(values.integral_jac, scales)
        return ShapeValues(values.value, _reduce(values.jac, scales), values.integral, slopes)

    def _tabulated(self, axis: FloatArray, par: FloatArray, derivatives: bool, integral: bool) -> ShapeValues:
        line = reduced_line(self.shape)
        core = par[:, 1:2] / (2.0 * half_width(self.shape))
        u = (par[:, :1] - axis) / core  # kinetic energy rises where binding energy falls
        inside = np.abs(u) <= line.reach
        held = np.clip(u, -line.reach, line.reach)
        value = np.where(inside, line.value(held), 0.0) / core
        jac = np.empty((value.shape[0], 2 if derivatives else 0, value.shape[1]))
        if derivatives:
            slope = np.where(inside, line.slope(held), 0.0) / core
            jac[:, 0] = slope / core
            jac[:, 1] = -(value + u * slope) / par[:, 1:2]
        if not integral:
            return ShapeValues(value, jac)
        integral_jac = np.empty_like(jac)
        if derivatives:
            integral_jac[:, 0] = -value
            integral_jac[:, 1] = u * core * value / par[:, 1:2]
        return ShapeValues(value, jac, np.asarray(1.0 - line.integral(held)), integral_jac)

    def inside(self, low: float, high: float, center: float, fwhm: float) -> float:
        """Return the share of the line's area between two binding energies in eV."""
        integral = self.evaluate([low, high], [center, fwhm], derivatives=False, integral=True).integral
        assert integral is not None  # noqa: S101 - asked for
        return float(integral[0, 1] - integral[0, 0])


def _engine_shape(shape: LineShape) -> tuple[Shape | None, tuple[float, ...]]:
    """Return the engine's shape, if it has one, and what is held: mixing, or widths per stored width and exponents."""
    if shape.kind == "GL":
        return get_shape("gl_product"), (shape.mixing,)
    if shape.kind == "SGL":
        return get_shape("pseudo_voigt"), (sgl_to_mixing(100.0 * shape.mixing),)
    if math.isfinite(shape.damping):
        return None, ()
    if min(shape.alpha, shape.beta) <= 0.5:
        raise DataError(f"{shape.kind}({shape.alpha:g},{shape.beta:g}) without damping has no finite area")
    f = 1.0 / (2.0 * half_width(shape))
    gauss = max(_FWHM_PER_SIGMA * gaussian_sigma(shape), _NARROWEST)
    return get_shape("casa_la"), (f, gauss * f, shape.alpha, shape.beta)


def _reduce(jac: FloatArray, scales: FloatArray) -> FloatArray:
    """Bring derivatives of the engine's shape to center and stored width, which scales all its widths."""
    if jac.shape[1] == 0:  # not asked for
        return jac
    by_width = scales[0] * jac[:, 1]
    if scales.size > 1:
        by_width = by_width + scales[1] * jac[:, -1]
    return np.stack([jac[:, 0], by_width], axis=1)


@dataclass(frozen=True)
class TiedLines(Line):
    """Lines whose areas are in fixed proportion: one coefficient, the area of the first.

    Parameters
    ----------
    lines : tuple of CasaLine
        The lines; positions and widths stay apart: ``center``, ``fwhm``, ``center_1``, ``fwhm_1``, ...
    factors : tuple of float
        Area of each over that of the first, which is 1.
    """

    lines: tuple[CasaLine, ...]
    factors: tuple[float, ...]

    @property
    def name(self) -> str:
        """Name of the shape."""
        return "casaxps_tied"

    @staticmethod
    def parameter(line: int, name: str) -> str:
        """Return the name of a parameter of one line."""
        return name if line == 0 else f"{name}_{line}"

    def defaults(self) -> dict[str, ParameterHint]:
        """Return a start value and bounds for every parameter."""
        return {self.parameter(k, p): hint for k in range(len(self.lines)) for p, hint in CasaLine.hints.items()}

    def _curves(self, axis: FloatArray, par: FloatArray, derivatives: bool, integral: bool) -> ShapeValues:
        parts = [
            line.evaluate(axis, par[:, 2 * k : 2 * k + 2], derivatives=derivatives, integral=integral)
            for k, line in enumerate(self.lines)
        ]

        def joined(arrays: list[FloatArray]) -> FloatArray:
            return np.concatenate([f * a for f, a in zip(self.factors, arrays, strict=True)], axis=1)

        def total(arrays: list[FloatArray]) -> FloatArray:
            return np.asarray(sum(f * a for f, a in zip(self.factors, arrays, strict=True)))

        value, jac = total([part.value for part in parts]), joined([part.jac for part in parts])
        if not integral:
            return ShapeValues(value, jac)
        running = [part.integral for part in parts if part.integral is not None]
        slopes = [part.integral_jac for part in parts if part.integral_jac is not None]
        return ShapeValues(value, jac, total(running), joined(slopes))
