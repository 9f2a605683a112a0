"""Gaussian, Lorentzian and their sum: the shapes whose running integrals have closed forms.

These three are the inner loop of nearly every fit, so each result is written in place and every exponential and
reciprocal is computed once. All are location-scale families, f(x) = h((x - c)/w)/w, for which

    df/dw = (t df/dc*w - f)/w = t df/dc - f/w,    dI/dc = -f,    dI/dw = -t f,    t = (x - c)/w,

so that only df/dc is worked out per shape.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import numpy as np
from scipy import special

from layerscope.fitting.shapes.base import FloatArray, Line, ParameterHint, ShapeValues
from layerscope.fitting.shapes.running_integral import integral_jac

__all__ = ["Gaussian", "Lorentzian", "PseudoVoigt", "sgl_to_mixing"]

LN2 = math.log(2.0)
_GAUSS_HEIGHT = 2.0 * math.sqrt(LN2 / math.pi)  # height of a Gaussian of unit area and unit FWHM
_LORENTZ_HEIGHT = 2.0 / math.pi
_ERF_SCALE = 2.0 * math.sqrt(LN2)


# Area over (height times FWHM) of the two curves.
_GAUSS_AREA = 1.0 / _GAUSS_HEIGHT
_LORENTZ_AREA = 1.0 / _LORENTZ_HEIGHT


def sgl_to_mixing(p: float) -> float:
    """Convert p of CasaXPS SGL(p), a share of the height in percent, to a Lorentzian share of the area (0 to 1)."""
    q = p / 100.0
    return q * _LORENTZ_AREA / (q * _LORENTZ_AREA + (1.0 - q) * _GAUSS_AREA)


def _reduced(x: FloatArray, center: FloatArray, width: FloatArray) -> FloatArray:
    """Return t = (x - center)/width with one temporary."""
    t = x - center
    t *= 1.0 / width
    return t


def _gauss_integral(t: FloatArray) -> FloatArray:
    z = t * _ERF_SCALE
    special.erf(z, out=z)
    z += 1.0
    z *= 0.5
    return z


def _lorentz_integral(t: FloatArray) -> FloatArray:
    z = t * 2.0
    np.arctan(z, out=z)
    z *= 1.0 / math.pi
    z += 0.5
    return z


class _SingleLine(Line):
    """A line with a centre and one width; a shape adds its height, slope and running integral."""

    hints: ClassVar = {"center": ParameterHint(0.0), "fwhm": ParameterHint(1.0, 1e-3, 100.0)}

    def _curves(self, axis: FloatArray, par: FloatArray, derivatives: bool, integral: bool) -> ShapeValues:
        center, width = par[:, :1], par[:, 1:2]
        inverse = 1.0 / width
        t = _reduced(axis, center, width)
        value = self._value(t, inverse)
        jac = np.empty((value.shape[0], 2 if derivatives else 0, value.shape[1]))
        if derivatives:
            d_center, d_width = jac[:, 0, :], jac[:, 1, :]
            self._slope(value, t, inverse, d_center)
            np.multiply(d_center, t, out=d_width)
            d_width -= value * inverse
        if not integral:
            return ShapeValues(value, jac)
        return ShapeValues(value, jac, self._integral(t), integral_jac(value, t, jac.shape[1]))

    @staticmethod
    @abstractmethod
    def _value(t: FloatArray, inverse: FloatArray) -> FloatArray:
        """Return the line at reduced positions t, (B, n), for reciprocal widths, (B, 1)."""

    @staticmethod
    @abstractmethod
    def _slope(value: FloatArray, t: FloatArray, inverse: FloatArray, out: FloatArray) -> None:
        """Write the derivative for the centre into `out`."""

    @staticmethod
    @abstractmethod
    def _integral(t: FloatArray) -> FloatArray:
        """Return the running integral."""


class Gaussian(_SingleLine):
    """Gaussian of unit area: g(x) = 2 sqrt(ln2/pi)/w exp(-4 ln2 ((x - c)/w)^2).

    Parameters of the shape: ``center`` c and full width at half maximum ``fwhm`` w, both in the unit of the axis.
    The running integral is (1 + erf(2 sqrt(ln2) (x - c)/w))/2.
    """

    name = "gaussian"

    @staticmethod
    def _value(t: FloatArray, inverse: FloatArray) -> FloatArray:
        g = t * t
        g *= -4.0 * LN2
        np.exp(g, out=g)
        g *= _GAUSS_HEIGHT * inverse
        return g

    @staticmethod
    def _slope(value: FloatArray, t: FloatArray, inverse: FloatArray, out: FloatArray) -> None:
        np.multiply(value, t, out=out)
        out *= 8.0 * LN2 * inverse

    @staticmethod
    def _integral(t: FloatArray) -> FloatArray:
        return _gauss_integral(t)


class Lorentzian(_SingleLine):
    """Lorentzian of unit area: l(x) = 2/(pi w) / (1 + 4 ((x - c)/w)^2).

    Parameters of the shape: ``center`` c and full width at half maximum ``fwhm`` w, both in the unit of the axis.
    The running integral is 1/2 + arctan(2 (x - c)/w)/pi.
    """

    name = "lorentzian"

    @staticmethod
    def _value(t: FloatArray, inverse: FloatArray) -> FloatArray:
        value = t * t
        value *= 4.0
        value += 1.0
        np.divide(_LORENTZ_HEIGHT * inverse, value, out=value)
        return value

    @staticmethod
    def _slope(value: FloatArray, t: FloatArray, inverse: FloatArray, out: FloatArray) -> None:
        # dl/dc = l * 8 t/(w (1 + 4 t^2)) = 4 pi t l^2
        np.multiply(value, value, out=out)
        out *= t
        out *= 4.0 * math.pi

    @staticmethod
    def _integral(t: FloatArray) -> FloatArray:
        return _lorentz_integral(t)


class PseudoVoigt(Line):
    """Sum of a Gaussian and a Lorentzian of the same width: (1 - m) g(x) + m l(x), unit area for every m.

    Parameters of the shape: ``center`` and ``fwhm`` in the unit of the axis and ``mixing`` m, the Lorentzian share of
    the *area*, 0 to 1. CasaXPS' SGL(p) mixes curves of equal *height* instead: (1 - q) exp(-4 ln2 t^2) + q/(1 + 4 t^2)
    with q = p/100. The family of curves is the same, the number is not: SGL(30) is m = 0.387 (seen on curves that
    CasaXPS exported). `sgl_to_mixing` converts.
    """

    name = "pseudo_voigt"
    hints: ClassVar = {
        "center": ParameterHint(0.0),
        "fwhm": ParameterHint(1.0, 1e-3, 100.0),
        "mixing": ParameterHint(0.3, 0.0, 1.0, "1"),
    }

    def _curves(self, axis: FloatArray, par: FloatArray, derivatives: bool, integral: bool) -> ShapeValues:
        center, width, mixing = par[:, :1], par[:, 1:2], par[:, 2:3]
        inverse = 1.0 / width
        t = _reduced(axis, center, width)
        gauss = t * t
        lorentz = gauss * 4.0
        lorentz += 1.0
        np.divide(_LORENTZ_HEIGHT * inverse, lorentz, out=lorentz)
        gauss *= -4.0 * LN2
        np.exp(gauss, out=gauss)
        gauss *= _GAUSS_HEIGHT * inverse
        difference = lorentz - gauss
        value = difference * mixing
        value += gauss
        jac = np.empty((value.shape[0], 3 if derivatives else 0, value.shape[1]))
        if derivatives:
            jac[:, 2, :] = difference
            self._location_scale_jac(jac, value, t, gauss, lorentz, mixing, inverse)
        if not integral:
            return ShapeValues(value, jac)
        running = _gauss_integral(t)
        running_difference = _lorentz_integral(t)
        running_difference -= running
        running_jac = integral_jac(value, t, jac.shape[1])
        if derivatives:
            running_jac[:, 2, :] = running_difference
        running_difference *= mixing
        running += running_difference
        return ShapeValues(value, jac, running, running_jac)

    @staticmethod
    def _location_scale_jac(
        jac: FloatArray,
        value: FloatArray,
        t: FloatArray,
        gauss: FloatArray,
        lorentz: FloatArray,
        mixing: FloatArray,
        inverse: FloatArray,
    ) -> None:
        """Fill jac[:, :2]; overwrites `gauss` and `lorentz`, which the caller needs no more."""
        d_center, d_width = jac[:, 0, :], jac[:, 1, :]
        gauss *= (8.0 * LN2) * (1.0 - mixing) * inverse
        lorentz *= lorentz
        lorentz *= (4.0 * math.pi) * mixing
        gauss += lorentz
        np.multiply(gauss, t, out=d_center)
        np.multiply(d_center, t, out=d_width)
        np.multiply(value, inverse, out=gauss)
        d_width -= gauss
