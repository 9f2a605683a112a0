"""Independent oracles for the fit engine: formulas written out anew, dense least squares, numerical derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import lmfit
import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.special import erf

from layerscope.fitting import Component, PatternModel

FloatArray = NDArray[np.float64]


def pseudo_voigt(x: FloatArray, centre: float, fwhm: float, mixing: float) -> FloatArray:
    t = (x - centre) / fwhm
    gauss = 2.0 * np.sqrt(np.log(2.0) / np.pi) / fwhm * np.exp(-4.0 * np.log(2.0) * t**2)
    return (1.0 - mixing) * gauss + mixing * 2.0 / (np.pi * fwhm * (1.0 + 4.0 * t**2))


def running_integral(x: FloatArray, centre: float, fwhm: float, mixing: float) -> FloatArray:
    t = (x - centre) / fwhm
    gauss = 0.5 * (1.0 + erf(2.0 * np.sqrt(np.log(2.0)) * t))
    return (1.0 - mixing) * gauss + mixing * (0.5 + np.arctan(2.0 * t) / np.pi)


def baseline(x: FloatArray, level: float, slope: float) -> FloatArray:
    """Return level + slope * u with u the axis scaled to -1..1."""
    return level + slope * (2.0 * x - x.min() - x.max()) / (x.max() - x.min())


@dataclass(frozen=True)
class Dense:
    """Solution of a least-squares problem without any structure."""

    values: FloatArray
    chi2: float
    covariance: FloatArray


def numerical_jacobian(
    function: Callable[[FloatArray], FloatArray], at: FloatArray, scale: FloatArray | float = 1.0
) -> FloatArray:
    """Return d function / d at, shape (n, k), by five-point differences."""
    columns = []
    for k in range(at.size):
        h = 1e-4 * np.broadcast_to(scale, at.shape)[k]
        step = np.zeros(at.size)
        step[k] = h
        columns.append(
            (8.0 * (function(at + step) - function(at - step)) - (function(at + 2 * step) - function(at - 2 * step)))
            / (12.0 * h)
        )
    return np.stack(columns, axis=1)


def dense_fit(
    residual: Callable[[FloatArray], FloatArray],
    start: Sequence[float] | FloatArray,
    bounds: tuple[FloatArray, FloatArray] = (np.array(-np.inf), np.array(np.inf)),
) -> Dense:
    """Minimise sum(residual**2) over all parameters at once; covariance from the dense Jacobian."""
    x0 = np.asarray(start, float)
    scale = np.maximum(np.abs(x0), 0.05)
    solution = optimize.least_squares(
        residual, x0, jac="3-point", bounds=bounds, x_scale=scale, ftol=1e-15, xtol=1e-15, gtol=1e-15, max_nfev=500
    )
    jacobian = numerical_jacobian(residual, solution.x, scale) * scale
    covariance = np.linalg.inv(jacobian.T @ jacobian) * np.outer(scale, scale)
    return Dense(solution.x, float(np.sum(solution.fun**2)), covariance)


NAMES = ("A", "B", "C")
CENTRES, FWHM, MIXING = (192.0, 191.0, 193.4), 1.5, 0.3


def b1s_model(names: Sequence[str] = NAMES, *, polynomial: int = 1, active: str = "none") -> PatternModel:
    return PatternModel([Component(n) for n in names], polynomial=polynomial, active=active)  # type: ignore[arg-type]


def b1s_parameters(model: PatternModel, names: Sequence[str] = NAMES) -> lmfit.Parameters:
    """Return declared parameters: own positions, one width and one mixing for all lines."""
    parameters = model.make_parameters()
    for name, centre in zip(names, CENTRES, strict=False):
        parameters[f"{name}_center"].set(value=centre + 0.08, min=centre - 0.8, max=centre + 0.8)
    parameters[f"{names[0]}_fwhm"].set(value=1.35, min=0.4, max=4.0)
    parameters[f"{names[0]}_mixing"].set(value=0.2, min=0.0, max=1.0)
    for name in names[1:]:
        parameters[f"{name}_fwhm"].set(expr=f"{names[0]}_fwhm")
        parameters[f"{name}_mixing"].set(expr=f"{names[0]}_mixing")
    return parameters


def axis(n: int = 90) -> FloatArray:
    return np.linspace(187.0, 197.0, n)


def b1s_counts(
    areas: FloatArray, shifts: FloatArray, *, step: float = 0.0, level: float = 200.0, x: FloatArray | None = None
) -> FloatArray:
    """Return expected counts (L, n) of three lines with areas (L, 3)."""
    x = axis() if x is None else x
    rows = []
    for row, shift in zip(areas, shifts, strict=True):
        y = baseline(x, level, 0.1 * level)
        for area, centre in zip(row, CENTRES, strict=False):
            y = y + area * pseudo_voigt(x, centre + shift, FWHM, MIXING)
            y = y + area * step * running_integral(x, centre + shift, FWHM, MIXING)
        rows.append(y)
    return np.array(rows)
