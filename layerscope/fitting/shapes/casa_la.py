"""CasaXPS' asymmetric Lorentzian LA(alpha, beta, m): powers of a Lorentzian, convolved with a Gaussian."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import special

from layerscope.errors import FitError
from layerscope.fitting.shapes.base import FloatArray, ParameterHint, RowByRowLine, ShapeValues
from layerscope.fitting.shapes.running_integral import hermite_steps, integrate, legendre_nodes, refined, tail_nodes
from layerscope.fitting.shapes.voigt import SIGMA_PER_FWHM

__all__ = ["CasaLA"]

_REACH = 7.7  # half width of the convolution, in sigma: exp(-_REACH^2/2) is 1e-13
_COUNT = 32  # nodes in each of the two panels on either side of the center
_FINEST_STEP = 0.1  # largest step of the running integral, in units of the width
_LN2 = math.log(2.0)


@dataclass
class _Side:
    """Integrals over one side of the center, for a kernel of unit height; y = (distance to the point)/sigma.

    ``even`` and ``log`` hold three arrays each, the moments y^0, y^1 and y^2 of the kernel and of its derivative with
    respect to its exponent; ``width`` is its derivative with respect to the Lorentzian width.
    """

    even: tuple[FloatArray, FloatArray, FloatArray]
    log: tuple[FloatArray, FloatArray, FloatArray]
    width: FloatArray


class CasaLA(RowByRowLine):
    """Asymmetric Lorentzian of CasaXPS, LA(alpha, beta, m), of unit area.

    L(x)^alpha for x above the center and L(x)^beta below it (x = binding energy), L = 1/(1 + 4 ((x - c)/F)^2),
    convolved with a Gaussian. A small ``alpha`` is a long tail towards high binding energy.

    Parameters of the shape: ``center`` c, ``lorentzian_fwhm`` F, ``gaussian_fwhm`` in the unit of the axis; ``alpha``
    and ``beta`` above 1/2 (below, the tail has no finite area). F is the width of L, not of the curve, which is
    what CasaXPS stores.

    The convolution is a Gauss-Legendre sum over the kernel, with F/2 sinh(v) = x - c, on panels that follow each
    point; it does not depend on the axis. Derivatives are taken under the integral. The running integral is a
    Hermite quadrature along the axis (refined where its steps are coarse), good to about 1e-9 of the area.

    References
    ----------
    The powers and their sides: CasaXPS manual, and G. H. Major et al., Surf. Interface Anal. 53 (2021) 689 (read as
    quoted elsewhere). The Gaussian is continuous here; what CasaXPS' integer m stands for is a matter of reading its
    files.
    """

    name = "casa_la"
    hints: ClassVar = {
        "center": ParameterHint(0.0),
        "lorentzian_fwhm": ParameterHint(0.8, 1e-3, 100.0),
        "alpha": ParameterHint(1.0, 0.52, 50.0, "1"),
        "beta": ParameterHint(1.0, 0.52, 50.0, "1"),
        "gaussian_fwhm": ParameterHint(0.6, 1e-2, 100.0),
    }

    def _check(self, par: FloatArray) -> None:
        super()._check(par)
        if par.size and par[:, 2:4].min() <= 0.5:
            raise FitError("alpha and beta must be above 0.5: below, the tail has no finite area", source=self.name)

    def _row(self, distance: FloatArray, parameters: tuple[float, ...], integral: bool) -> ShapeValues:
        line = _Line(*parameters)
        value, jac = line.evaluate(distance)
        return ShapeValues(value, jac, *(line.integrate(distance, value, jac) if integral else ()))


@dataclass
class _Line:
    """One LA line; distances are taken from its center."""

    width: float
    alpha: float
    beta: float
    gauss: float

    def __post_init__(self) -> None:
        self.sigma = SIGMA_PER_FWHM * self.gauss
        self.halves = (_half_area(self.alpha), _half_area(self.beta))
        self.whole = self.halves[0] + self.halves[1]
        self.log_slopes = tuple(
            half / self.whole * float(special.psi(exponent - 0.5) - special.psi(exponent))
            for half, exponent in zip(self.halves, (self.alpha, self.beta), strict=True)
        )

    def evaluate(self, distance: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the value (n,) and its derivatives (5, n)."""
        high, low = self._sides(distance)
        norm = 1.0 / (self.width * self.whole)
        value = norm * (high.even[0] + low.even[0])
        jac = np.empty((5, distance.size))
        jac[0] = (norm / self.sigma) * (high.even[1] + low.even[1])
        jac[1] = norm * (high.width + low.width) - value / self.width
        jac[2] = norm * high.log[0] - self.log_slopes[0] * value
        jac[3] = norm * low.log[0] - self.log_slopes[1] * value
        jac[4] = (SIGMA_PER_FWHM * norm / self.sigma) * (high.even[2] + low.even[2] - high.even[0] - low.even[0])
        return value, jac

    def integrate(self, distance: FloatArray, value: FloatArray, jac: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the running integral (n,) and its derivatives (5, n)."""
        narrow = 0.5 * self.width * math.sqrt(2.0 ** (1.0 / max(self.alpha, self.beta)) - 1.0)
        total = integrate(
            distance[np.newaxis, :],
            np.array([_FINEST_STEP * math.hypot(self.gauss, narrow)]),
            lambda d, _, parts: self._along(refined(d, parts)),
            lambda d, _: np.stack([self._below(float(one)) for one in d[0]], axis=1)[np.newaxis],
        )[0]
        total /= self.width * self.whole
        running, by_alpha, by_beta = total
        out = np.empty((5, distance.size))
        out[0] = -value
        out[2] = by_alpha - self.log_slopes[0] * running
        out[3] = by_beta - self.log_slopes[1] * running
        out[4] = -SIGMA_PER_FWHM * self.sigma * jac[0]  # dI/dsigma = sigma f'
        # The integral does not change when all lengths are scaled together.
        out[1] = -(self.gauss * out[4] + distance * value) / self.width
        return running, out

    def _along(self, x: FloatArray) -> FloatArray:
        """Integrate the line of unit height and its exponent derivatives over each step of `x` (1, n): (1, 3, n-1)."""
        high, low = self._sides(x[0])
        sums = (tuple(h + v for h, v in zip(high.even, low.even, strict=True)), high.log, low.log)
        steps = []
        for f0, f1, f2 in sums:  # from the moments: f' = -f1/sigma, f'' = (f2 - f0)/sigma^2
            parts = (f0, -f1 / self.sigma, (f2 - f0) / self.sigma**2)
            steps.append(hermite_steps(x, tuple(part[np.newaxis, :] for part in parts)))
        return np.stack(steps, axis=1)

    def _below(self, first: float) -> FloatArray:
        """Return what lies below the first point: the line of unit height and its two exponent derivatives (3,)."""
        u, weight = tail_nodes()
        reach = abs(first) + self.width + self.gauss
        high, low = self._sides((1.0 if first > 0.0 else -1.0) * (abs(first) + reach * u))
        parts = (high.even[0] + low.even[0], high.log[0], low.log[0])
        outside = np.array([reach * float(weight @ part) for part in parts])
        exponent = self.alpha if first > 0.0 else self.beta
        far = (abs(first) + reach * 1e8) / self.width  # beyond, the tail is a power
        rest = self.width * 0.25**exponent * far ** (1.0 - 2.0 * exponent) / (2.0 * exponent - 1.0)
        log_rest = -rest * (2.0 * _LN2 + 2.0 * math.log(far) + 2.0 / (2.0 * exponent - 1.0))
        outside += np.array([rest, log_rest if first > 0.0 else 0.0, 0.0 if first > 0.0 else log_rest])
        if first <= 0.0:
            return outside
        whole = self.width * self.whole * np.array([1.0, *self.log_slopes])
        return np.asarray(whole - outside, dtype=np.float64)

    def _sides(self, distance: FloatArray) -> tuple[_Side, _Side]:
        """Return the integrals over the high and the low side; on the low one odd moments change sign."""
        high = _side(distance, self.width, self.alpha, self.sigma)
        low = _side(-distance, self.width, self.beta, self.sigma)
        mirrored = _Side((low.even[0], -low.even[1], low.even[2]), (low.log[0], -low.log[1], low.log[2]), low.width)
        return high, mirrored


def _half_area(exponent: float) -> float:
    """Return the integral of (1 + 4 s^2)^-exponent over s > 0."""
    return 0.25 * math.sqrt(math.pi) * math.exp(math.lgamma(exponent - 0.5) - math.lgamma(exponent))


def _side(distance: FloatArray, width: float, exponent: float, sigma: float) -> _Side:
    """Integrate kernel times Gaussian over the side u > 0 for points at `distance` (n,) from the center."""
    moments = np.zeros((7, distance.size))
    reached = distance > -_REACH * sigma
    if reached.any():
        moments[:, reached] = _side_moments(distance[reached], width, exponent, sigma)
    m = moments
    return _Side((m[0], m[1], m[2]), (m[3], m[4], m[5]), m[6])


def _side_moments(distance: FloatArray, width: float, exponent: float, sigma: float) -> FloatArray:
    low = np.maximum(distance - _REACH * sigma, 0.0)
    high = distance + _REACH * sigma
    # Two panels: the first holds the core of the kernel, the second the bulk of the Gaussian, so that neither is
    # narrow within its panel, whichever of the two widths is the smaller.
    middle = np.where(low < 0.5 * distance, np.maximum(0.5 * distance, sigma), np.maximum(distance, sigma))
    middle = np.clip(middle, low, high)
    edges = np.arcsinh((2.0 / width) * np.stack([low, middle, high]))
    node, weight = legendre_nodes(_COUNT)
    node, weight = 0.5 * (node + 1.0), 0.5 * weight
    v = (edges[:-1, :, np.newaxis] + np.diff(edges, axis=0)[:, :, np.newaxis] * node).transpose(1, 0, 2)
    dv = (np.diff(edges, axis=0)[:, :, np.newaxis] * weight).transpose(1, 0, 2)
    v, dv = v.reshape(distance.size, -1), dv.reshape(distance.size, -1)
    log_cosh = v + np.log1p(np.exp(-2.0 * v)) - _LN2
    y = (distance[:, np.newaxis] - 0.5 * width * np.sinh(v)) / sigma
    w = np.exp((1.0 - 2.0 * exponent) * log_cosh - 0.5 * y * y)
    w *= dv * (0.5 * width / (sigma * math.sqrt(2.0 * math.pi)))
    first = w * y
    second = first * y
    log = -2.0 * log_cosh  # d ln(kernel)/d exponent
    by_width = -(w * np.expm1(log)).sum(axis=1)  # 1 - 1/cosh^2 = tanh^2
    return np.stack(
        [
            w.sum(axis=1),
            first.sum(axis=1),
            second.sum(axis=1),
            (w * log).sum(axis=1),
            (first * log).sum(axis=1),
            (second * log).sum(axis=1),
            by_width * (2.0 * exponent / width),
        ]
    )
