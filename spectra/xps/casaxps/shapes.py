"""Line shapes and backgrounds in CasaXPS' conventions, to redraw a fit that CasaXPS stored.

GL(p), SGL(p) and U2/U3 Tougaard follow their published formulas. For LA and LF the manual leaves the width of the
Gaussian and the meaning of the stored width open; the conventions used here were found from curves that CasaXPS
exported (2.3.25) and reproduce them to 0.25 % of the height:

- With l(u) = 1/(1 + 4 u^2) and u = (E - E0)/f, the curve is l^alpha below the position and l^beta above it on the
  *kinetic* energy scale, convolved with a Gaussian of standard deviation f m/100 sqrt(n/12). n is 1 for LA; LF writes
  it as its last parameter.
- The stored width is twice the distance from the maximum to the half height on the side of high kinetic energy; f
  follows from that.
- LF raises alpha and beta with the distance: alpha + 2.6 u^2/(u^2 + (w/2)^2). The factor 2.6 was found at w = 80 only.
- Stored areas are those of the whole curve, not of the part within the region.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq

from layerscope.errors import DataError
from layerscope.fitting.tougaard import TougaardKernel

from ..dataset import FloatArray

__all__ = [
    "LineShape",
    "ReducedLine",
    "end_level",
    "gaussian_sigma",
    "half_width",
    "linear_background",
    "parse_line_shape",
    "reduced_line",
    "tougaard_background",
]

ShapeKind = Literal["GL", "SGL", "LA", "LF"]

_TEXT = re.compile(r"\s*(GL|SGL|LA|LF)\s*\(([^()]*)\)\s*$")
_TAIL_DAMPING = 2.6  # what LF adds to an exponent far from the line; found from one file, at w = 80
_STEP = 0.01  # of the grid, in units of f; the Gaussians in use are at least ten steps wide


@dataclass(frozen=True)
class LineShape:
    """A line shape as CasaXPS writes it.

    Parameters
    ----------
    kind : {"GL", "SGL", "LA", "LF"}
        Product, sum, asymmetric Lorentzian, the same with damped tails.
    mixing : float
        Lorentzian share p/100 of GL and SGL.
    alpha, beta : float
        Exponents of LA and LF below and above the position in kinetic energy.
    damping : float
        w of LF; infinite for LA.
    gauss : float
        m of LA and LF.
    passes : int
        How often the Gaussian is applied (LF).
    """

    kind: ShapeKind
    mixing: float = 0.0
    alpha: float = 1.0
    beta: float = 1.0
    damping: float = math.inf
    gauss: float = 0.0
    passes: int = 1


def parse_line_shape(text: str) -> LineShape:
    """Read a line shape such as ``GL(30)``, ``LA(1.4,1.7,100)`` or ``LF(0.54,10,80,100,6)``.

    Raises
    ------
    DataError
        If it is another shape, or its parameters are not in range.
    """
    match = _TEXT.match(text)
    if match is None:
        raise DataError(f"the CasaXPS line shape {text!r} is not supported", hint="supported: GL, SGL, LA, LF")
    try:
        values = [float(part) for part in match[2].split(",")]
    except ValueError as error:
        raise DataError(f"the CasaXPS line shape {text!r} has a parameter that is not a number") from error
    shape = _line_shape(match[1], values)
    if shape is None or not _in_range(shape):
        raise DataError(f"the parameters of the CasaXPS line shape {text!r} are not in range")
    return shape


def _line_shape(kind: str, values: list[float]) -> LineShape | None:
    count = len(values)
    if kind == "GL" and count == 1:
        return LineShape("GL", mixing=values[0] / 100.0)
    if kind == "SGL" and count == 1:
        return LineShape("SGL", mixing=values[0] / 100.0)
    if kind == "LA" and 1 <= count <= 3:
        alpha, beta = (1.0, 1.0) if count == 1 else (values[0], values[-2])
        return LineShape("LA", alpha=alpha, beta=beta, gauss=values[-1])
    if kind == "LF" and count in (4, 5):
        passes = int(values[4]) if count == 5 and math.isfinite(values[4]) else 1
        return LineShape("LF", alpha=values[0], beta=values[1], damping=values[2], gauss=values[3], passes=passes)
    return None


def _in_range(shape: LineShape) -> bool:
    values = (shape.mixing, shape.alpha, shape.beta, shape.gauss)
    return (
        all(math.isfinite(value) for value in values)
        and 0 <= shape.mixing <= 1
        and 0 <= shape.gauss <= 1000
        and min(shape.alpha, shape.beta) > (0.5 if shape.kind == "LA" else 0.0)
        and max(shape.alpha, shape.beta) <= 1000
        and (shape.damping == math.inf or 0 < shape.damping <= 1000)
        and 1 <= shape.passes <= 100
    )


def gaussian_sigma(shape: LineShape) -> float:
    """Return the standard deviation of the Gaussian in units of f."""
    return shape.gauss / 100.0 * math.sqrt(shape.passes / 12.0)


def _core_reach(shape: LineShape) -> int:
    """Return how far a grid must go for the core of a line, in units of f, in steps of 50."""
    return 50 * math.ceil((12.0 * gaussian_sigma(shape) + 10.0) / 50.0)


@lru_cache(maxsize=32)
def _asymmetric(shape: LineShape, reach: int) -> tuple[CubicSpline, FloatArray]:
    """Return the curve over u = (E - E0)/f on a grid from -reach to reach, and the grid."""
    points = 2 * round(reach / _STEP) + 1
    u = np.linspace(-reach, reach, points)
    raised = _TAIL_DAMPING * u**2 / (u**2 + (shape.damping / 2.0) ** 2) if math.isfinite(shape.damping) else 0.0
    exponent = np.where(u <= 0, shape.alpha, shape.beta) + raised
    values = np.exp(-exponent * np.log1p(4.0 * u**2))
    sigma = gaussian_sigma(shape)
    if sigma > 0:
        transfer = np.exp(-2.0 * (math.pi * np.fft.rfftfreq(points, _STEP) * sigma) ** 2)
        values = np.fft.irfft(np.fft.rfft(values) * transfer, points)
    return CubicSpline(u, values), u


@lru_cache(maxsize=128)
def half_width(shape: LineShape) -> float:
    """Return the distance from maximum to half height towards high kinetic energy, in units of f."""
    curve, u = _asymmetric(shape, _core_reach(shape))
    values = curve(u)
    top = int(np.argmax(values))
    peak = float(u[top])
    if gaussian_sigma(shape) > 0:
        slope = curve.derivative()
        peak = float(brentq(lambda at: float(slope(at)), u[top - 1], u[top + 1]))
    half = 0.5 * float(curve(peak))
    below = top + int(np.argmax(values[top:] < half))
    return float(brentq(lambda at: float(curve(at)) - half, u[below - 1], u[below])) - peak


@dataclass(frozen=True, eq=False)
class ReducedLine:
    """A damped line over u = (E - E0)/f in kinetic energy, of unit area, with slope and running integral.

    Parameters
    ----------
    value, slope, integral : CubicSpline
        The line, its derivative, and its integral from the low end of the grid, 0 to 1.
    reach : float
        The grid goes from -reach to reach; beyond, a damped line is below 1e-10 of its height.
    """

    value: CubicSpline
    slope: CubicSpline
    integral: CubicSpline
    reach: float


@lru_cache(maxsize=16)
def reduced_line(shape: LineShape) -> ReducedLine:
    """Return an LF line with what a fit needs of it.

    Parameters
    ----------
    shape : LineShape
        Of kind LF with finite damping.

    Raises
    ------
    DataError
        If its tails are not damped: they would not end within any grid.
    """
    if not math.isfinite(shape.damping):
        raise DataError("a line without damping has no end within a grid")
    reach = max(_damped_reach(shape), _core_reach(shape))
    curve, u = _asymmetric(shape, reach)
    integral = curve.antiderivative()
    area = float(integral(reach))
    unit = CubicSpline(u, curve(u) / area)
    return ReducedLine(unit, unit.derivative(), unit.antiderivative(), float(reach))


def _damped_reach(shape: LineShape) -> int:
    """Return how far the tails of an LF line are followed for its area, in units of f."""
    return 50 * math.ceil(10.0 * shape.damping / 50.0)


def end_level(counts: FloatArray, index: int, average_width: float) -> float:
    """Return the level at one end of a region: the mean over the nearest points, as CasaXPS averages them.

    Parameters
    ----------
    counts : ndarray, shape (n,)
        The whole spectrum.
    index : int
        The last point within the region.
    average_width : float
        CasaXPS' "Av. Width" a: the mean goes over the 2a - 1 points around the end, some of them outside the region.

    Returns
    -------
    float
        In the unit of the counts.
    """
    reach = max(int(average_width) - 1, 0) if math.isfinite(average_width) else 0
    return float(np.mean(counts[max(index - reach, 0) : index + reach + 1]))


def linear_background(energy: FloatArray, low: float, high: float) -> FloatArray:
    """Return a straight line from `low` to `high` over `energy`, shape (n,)."""
    return np.asarray(low + (high - low) * (energy - energy[0]) / (energy[-1] - energy[0]))


def tougaard_background(
    binding_energy: FloatArray, counts: FloatArray, low: float, b: float, c: float, d: float, gap: float
) -> FloatArray:
    """Return the Tougaard background with stored parameters.

    b(x) = low + B sum K(x - x') (y(x') - low) dx' over x - x' >= gap, K(T) = T/((C - T^2)^2 + D T^2).

    Parameters
    ----------
    binding_energy : ndarray, shape (n,)
        Ascending, within the region, in eV.
    counts : ndarray, shape (n,)
        Of the region.
    low : float
        Level at the end of low binding energy.
    b, c, d : float
        Parameters of the cross-section in eV^2; U2 is C below zero and D = 0.
    gap : float
        Losses smaller than this, in eV, do not occur.

    Returns
    -------
    ndarray, shape (n,)
        In the unit of the counts.
    """
    loss = binding_energy[:, np.newaxis] - binding_energy[np.newaxis, :]
    kernel, _, _ = TougaardKernel("U3", b, c, d).evaluate(loss)
    # An energy loss that equals the gap but for rounding counts, as it does in CasaXPS.
    kernel = np.where((loss > 0) & (loss >= gap - 1e-6), kernel, 0.0)
    return np.asarray(low + b * (kernel @ ((counts - low) * np.gradient(binding_energy))))
