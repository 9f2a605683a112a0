"""The true Voigt function: a Lorentzian convolved with a Gaussian, by the Faddeeva function."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

from layerscope.fitting.shapes.base import FloatArray, Line, ParameterHint, ShapeValues
from layerscope.fitting.shapes.running_integral import hermite_steps, integrate, refined, tail_nodes

__all__ = ["SIGMA_PER_FWHM", "Voigt", "faddeeva_derivatives"]

ComplexArray = NDArray[np.complex128]

#: Standard deviation of a Gaussian of unit FWHM.
SIGMA_PER_FWHM = 1.0 / (2.0 * math.sqrt(2.0 * math.log(2.0)))
_ASYMPTOTIC = 12.0  # |z| beyond which the asymptotic series is exact to rounding
_FINEST_STEP = 0.1  # largest step of the running integral, in units of the width


def faddeeva_derivatives(z: ComplexArray) -> tuple[ComplexArray, ComplexArray, ComplexArray, ComplexArray]:
    """Return the Faddeeva function w(z) and its first three derivatives.

    Parameters
    ----------
    z : ndarray of complex
        Arguments in the upper half plane.

    Returns
    -------
    w, w1, w2, w3 : ndarray of complex
        Function and derivatives, the shape of `z`.

    Notes
    -----
    w' = -2 z w + 2i/sqrt(pi), w'' = -2 w - 2 z w', w''' = -4 w' - 2 z w'' (Abramowitz & Stegun 7.1.20). These
    differences lose a factor z^2 of precision at each order, so far from the origin (12) the asymptotic series is
    differentiated term by term instead.
    """
    w = special.wofz(z)
    w1 = -2.0 * z * w
    w1 += 2j / math.sqrt(math.pi)
    w2 = -2.0 * (w + z * w1)
    w3 = -4.0 * w1 - 2.0 * z * w2
    far = np.abs(z) > _ASYMPTOTIC
    if far.any():
        inverse = 1.0 / z[far]
        square = inverse * inverse
        term = (1j / math.sqrt(math.pi)) * inverse
        sums = [np.zeros_like(term) for _ in range(3)]
        for k in range(14):
            n = 2 * k + 1  # this term is proportional to z^-n
            sums[0] -= n * term
            sums[1] += n * (n + 1) * term
            sums[2] -= n * (n + 1) * (n + 2) * term
            term = term * (0.5 * n * square)
        w1[far], w2[far], w3[far] = sums[0] * inverse, sums[1] * square, sums[2] * square * inverse
    return w, w1, w2, w3


class Voigt(Line):
    """Voigt function of unit area: Re w(z)/(s sqrt(pi)), z = ((x - c) + i g)/s, s = sqrt(2) sigma.

    Parameters of the shape, all in the unit of the axis: ``center`` c, ``gaussian_fwhm`` (sigma = 0.42466 of it) and
    ``lorentzian_fwhm`` (g is half of it). Both widths must be above zero.

    Derivatives follow from w': the Gaussian one from the heat equation dV/dsigma = sigma V'', the Lorentzian one from
    V and Im w being conjugate, which also gives the derivatives of the running integral in closed form. The running
    integral itself is a Hermite quadrature on the axis (refined where its steps are coarse), about 1e-10 of the area.

    References
    ----------
    B. H. Armstrong, J. Quant. Spectrosc. Radiat. Transfer 7 (1967) 61, doi:10.1016/0022-4073(67)90057-X.
    """

    name = "voigt"
    hints: ClassVar = {
        "center": ParameterHint(0.0),
        "gaussian_fwhm": ParameterHint(1.0, 1e-3, 100.0),
        "lorentzian_fwhm": ParameterHint(0.3, 1e-3, 100.0),
    }

    def _curves(self, axis: FloatArray, par: FloatArray, derivatives: bool, integral: bool) -> ShapeValues:
        scale, height, z = _reduced(axis, par)
        if not (derivatives or integral):
            return ShapeValues(height * special.wofz(z).real, np.empty((z.shape[0], 0, z.shape[1])))
        w, w1, w2, _ = faddeeva_derivatives(z)
        value = height * w.real
        jac = np.empty((z.shape[0], 3 if derivatives else 0, z.shape[1]))
        slope = (height / scale) * w1
        if derivatives:
            jac[:, 0, :] = -slope.real
            # dV/dsigma = sigma V'' and sigma = s/sqrt2
            jac[:, 1, :] = (SIGMA_PER_FWHM / math.sqrt(2.0)) * (height / scale) * w2.real
            jac[:, 2, :] = -0.5 * slope.imag
        if not integral:
            return ShapeValues(value, jac)
        integral_jac = np.empty_like(jac)
        if derivatives:
            integral_jac[:, 0, :] = -value
            integral_jac[:, 1, :] = (SIGMA_PER_FWHM / math.sqrt(2.0)) * scale * slope.real
            integral_jac[:, 2, :] = -0.5 * height * w.imag
        return ShapeValues(value, jac, _running(np.broadcast_to(axis, value.shape), par), integral_jac)


def _reduced(x: FloatArray, par: FloatArray) -> tuple[FloatArray, FloatArray, ComplexArray]:
    """Return s = sqrt(2) sigma, the factor 1/(s sqrt(pi)) and z of each point."""
    scale = (math.sqrt(2.0) * SIGMA_PER_FWHM) * par[:, 1:2]
    z = np.empty(np.broadcast_shapes(x.shape, scale.shape), dtype=np.complex128)
    z.real = (x - par[:, :1]) / scale
    z.imag = 0.5 * par[:, 2:3] / scale
    return scale, 1.0 / (math.sqrt(math.pi) * scale), z


def _running(axis: FloatArray, par: FloatArray) -> FloatArray:
    """Return the running integral; rows with coarse steps are integrated on a finer grid, each row by its own need."""
    # Olivero & Longbothum's width of a Voigt function (JQSRT 17 (1977) 233), good to 0.02 %.
    width = 0.5346 * par[:, 2] + np.sqrt(0.2166 * par[:, 2] ** 2 + par[:, 1] ** 2)
    return integrate(
        axis,
        _FINEST_STEP * width,
        lambda x, rows, factor: _steps(refined(x, factor), par[rows]),
        lambda x, rows: _tail(x, par[rows]),
    )


def _steps(fine: FloatArray, par: FloatArray) -> FloatArray:
    scale, height, z = _reduced(fine, par)
    derivatives = faddeeva_derivatives(z)
    return hermite_steps(fine, tuple(height / scale**order * w.real for order, w in enumerate(derivatives)))


def _tail(x: FloatArray, par: FloatArray) -> FloatArray:
    """Return the integral from minus infinity to each point, (B, k)."""
    first, par = x.reshape(-1, 1), np.repeat(par, x.shape[1], axis=0)
    distance = np.abs(first - par[:, :1])
    reach = distance + 0.5 * (par[:, 1:2] + par[:, 2:3])
    u, weight = tail_nodes()
    centered = par.copy()
    centered[:, 0] = 0.0
    _, height, z = _reduced(distance + reach * u, centered)
    outside = (height * reach * special.wofz(z).real * weight).sum(axis=1)
    outside += 0.5 * par[:, 2] / (math.pi * (distance + reach * 1e8)[:, 0])
    tail: FloatArray = np.where(first[:, 0] > par[:, 0], 1.0 - outside, outside).reshape(x.shape)
    return tail
