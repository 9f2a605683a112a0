"""CasaXPS' Gaussian-Lorentzian product GL(p), normalised to unit area."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from scipy import special

from layerscope.fitting.shapes.base import FloatArray, Line, ParameterHint, ShapeValues, require_within
from layerscope.fitting.shapes.running_integral import (
    gauss_legendre_nodes,
    integral_jac,
    integrate,
    refined,
    tail_nodes,
)

__all__ = ["GLProduct"]

LN2 = math.log(2.0)
_FINEST_STEP = 0.2  # largest step of the running integral, in units of the width
_LIMIT = 1e-10  # the area has an infinite slope at mixing = 1; its derivative is taken this far inside


class GLProduct(Line):
    """Product of a Gaussian and a Lorentzian: exp(-4 ln2 (1 - m) t^2)/(1 + 4 m t^2)/(w A(m)), t = (x - c)/w.

    Parameters of the shape: ``center`` c and ``fwhm`` w in the unit of the axis, ``mixing`` m = p/100 of CasaXPS'
    GL(p). The width is *nominal*: at t = 1/2 the product is 2^(m-1)/(1 + m), which is 1/2 only for m = 0 and m = 1
    (0.471 at m = 0.5), so the curve is up to a few percent narrower than w.

    The area of the unit-height curve is w A(m), with A(m) = pi/sqrt(b) erfcx(sqrt(a/b)), a = 4 ln2 (1 - m), b = 4 m
    (Gradshteyn & Ryzhik 3.466.1). At m = 1 the slope of A is infinite (the product cuts the Lorentzian's tails however
    small 1 - m is); the derivative for m is then taken just inside, and moves nothing but the area. The running
    integral is a quadrature between the points of the axis, good to about 1e-12 of the area.

    References
    ----------
    G. H. Major et al., Surf. Interface Anal. 54 (2022) 262, compares the sum, the product and the Voigt function.
    """

    name = "gl_product"
    hints: ClassVar = {
        "center": ParameterHint(0.0),
        "fwhm": ParameterHint(1.0, 1e-3, 100.0),
        "mixing": ParameterHint(0.3, 0.0, 1.0, "1"),
    }

    def _check(self, par: FloatArray) -> None:
        super()._check(par)
        require_within(self.name, "mixing", par[:, 2], 0.0, 1.0)

    def _curves(self, axis: FloatArray, par: FloatArray, derivatives: bool, integral: bool) -> ShapeValues:
        center, width, mixing = par[:, :1], par[:, 1:2], par[:, 2:3]
        area, log_slope = _area(mixing)
        t = (axis - center) / width
        value = _unit_height(t, mixing)
        value /= width * area
        jac = np.empty((value.shape[0], 3 if derivatives else 0, value.shape[1]))
        if derivatives:
            square = t * t
            lorentz = 4.0 / (1.0 + 4.0 * mixing * square)
            d_center = value * t * (2.0 / width) * (4.0 * LN2 * (1.0 - mixing) + mixing * lorentz)
            jac[:, 0, :] = d_center
            jac[:, 1, :] = t * d_center - value / width
            jac[:, 2, :] = value * (square * (4.0 * LN2 - lorentz) - log_slope)
        if not integral:
            return ShapeValues(value, jac)
        running, d_mixing = _running(t, mixing, area, log_slope)
        running_jac = integral_jac(value, t, jac.shape[1])
        if derivatives:
            running_jac[:, 2, :] = d_mixing
        return ShapeValues(value, jac, running, running_jac)


def _unit_height(t: FloatArray, mixing: FloatArray) -> FloatArray:
    square = t * t
    curve = np.exp((-4.0 * LN2) * (1.0 - mixing) * square)
    curve /= 1.0 + 4.0 * mixing * square
    return curve


def _area(mixing: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return A(m), the area of the curve of unit height and unit width, and d ln A/dm; both of shape (B, 1)."""
    inside = np.minimum(mixing, 1.0 - _LIMIT)
    area = np.empty_like(mixing)
    slope = np.empty_like(mixing)
    small = mixing < 0.005  # erfcx' cancels here; the asymptotic series in y = b/a converges to 1e-15
    m = inside[small]
    y = m / (LN2 * (1.0 - m))
    series, series_slope = _erfcx_series(y)
    area[small] = np.sqrt(math.pi / (4.0 * LN2 * (1.0 - m))) * series
    slope[small] = 0.5 / (1.0 - m) + series_slope / series / (LN2 * (1.0 - m) ** 2)
    m = mixing[~small]
    area[~small] = math.pi / (2.0 * np.sqrt(m)) * special.erfcx(np.sqrt(LN2 * (1.0 - m) / m))
    m = inside[~small]
    z = np.sqrt(LN2 * (1.0 - m) / m)
    scaled = special.erfcx(z)
    slope[~small] = -0.5 / m - (z - 1.0 / (math.sqrt(math.pi) * scaled)) * LN2 / (z * m * m)
    return area, slope


def _erfcx_series(y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return S(y) = sqrt(pi) z erfcx(z) with y = 1/z^2, and dS/dy, from the asymptotic series (DLMF 7.12.1)."""
    term = np.ones_like(y)
    total, slope = np.ones_like(y), np.zeros_like(y)
    for k in range(1, 16):
        factor = -(2 * k - 1) / 2.0
        slope += k * factor * term
        term = term * factor * y
        total += term
    return total, slope


def _running(
    t: FloatArray, mixing: FloatArray, area: FloatArray, log_slope: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the running integral I and dI/dm at fixed t, both (B, n)."""
    whole = np.stack([area, area * log_slope], axis=1)
    both = integrate(
        t,
        np.full(t.shape[0], _FINEST_STEP),
        lambda x, rows, parts: _weighted(*gauss_legendre_nodes(refined(x, parts), 5), mixing[rows][:, :, np.newaxis]),
        lambda x, rows: _below(x, mixing[rows], whole[rows]),
    )
    running = both[:, 0, :] / area
    return running, both[:, 1, :] / area - running * log_slope


def _below(t: FloatArray, mixing: FloatArray, whole: FloatArray) -> FloatArray:
    """Integrate the unit-height curve and its derivative for m from minus infinity to each t (B, n): (B, 2, n).

    The integral is taken away from the center, so that the long side never hides the short one; `whole` (B, 2, 1) is
    the integral over everything.
    """
    u, w = tail_nodes()
    distance = np.abs(t)
    scale = 0.5 + distance
    nodes = distance[:, :, np.newaxis] + scale[:, :, np.newaxis] * u
    outside = _weighted(nodes, scale[:, :, np.newaxis] * w, mixing[:, :, np.newaxis])
    far = distance + scale * 1e8  # beyond: exp(-a u^2)/(b u^2) of a nearly pure Lorentzian
    with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
        rest = np.exp(-4.0 * LN2 * (1.0 - mixing) * far**2) / (4.0 * mixing * far)
    outside[:, 0, :] += np.where(mixing > 0.5, rest, 0.0)
    below: FloatArray = np.where(t[:, np.newaxis, :] > 0.0, whole - outside, outside)
    return below


def _weighted(nodes: FloatArray, weights: FloatArray, m: FloatArray) -> FloatArray:
    """Integrate the unit-height curve and its derivative for m over the last axis: (B, s, k) to (B, 2, s)."""
    square = nodes * nodes
    curve = np.exp((-4.0 * LN2) * (1.0 - m) * square)
    curve /= 1.0 + 4.0 * m * square
    curve *= weights
    slope = curve * square * (4.0 * LN2 - 4.0 / (1.0 + 4.0 * m * square))
    return np.stack([curve.sum(axis=-1), slope.sum(axis=-1)], axis=1)
