"""Doniach-Sunjic line convolved with a Gaussian: the asymmetric line of conducting samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

from layerscope.fitting.shapes.base import FloatArray, ParameterHint, RowByRowLine, ShapeValues, require_within
from layerscope.fitting.shapes.voigt import SIGMA_PER_FWHM

__all__ = ["DoniachSunjic"]

ComplexArray = NDArray[np.complex128]

_FAR = 12.0  # |b| beyond which the asymptotic series is exact to rounding
_TERMS = 14  # of that series; its smallest term lies near k = |b|^2/2 = 72
_FIRST = 0.2  # end of the panel that holds the singularity
_END = 8.8  # exp(-t^2/2) is below 2e-17 here
_MIN_ALPHA, _MAX_ALPHA = -0.5, 0.75


@dataclass
class _Moments:
    """What the line and its derivatives are made of, for one row: F_j, the integrals of t^(j - alpha) exp(-t^2/2 - bt).

    ``f0, f1, f2`` are F_0, F_1, F_2, ``log0`` is -dF_0/dalpha. ``run`` and ``run_slope`` are the real quantity R of the
    running integral and dR/dalpha, see `DoniachSunjic`.
    """

    f0: ComplexArray
    f1: ComplexArray
    f2: ComplexArray
    log0: ComplexArray
    run: FloatArray
    run_slope: FloatArray


class DoniachSunjic(RowByRowLine):
    """Doniach-Sunjic line with its tail towards higher x (binding energy), convolved with a Gaussian.

    Parameters of the shape: ``center``, ``lorentzian_fwhm`` (2 gamma) and ``gaussian_fwhm`` (sigma = 0.42466 of it) in
    the unit of the axis, ``alpha`` the singularity index (0 to 0.75; 0 is a Voigt function). Without the Gaussian, and
    with e = x - center, the line is

        cos(pi alpha/2 - (1 - alpha) arctan(e/gamma)) / (pi gamma (1 + e^2/gamma^2)^((1 - alpha)/2)).

    The area of this line is infinite for alpha > 0: the tail falls as e^(alpha - 1). It is therefore normalised such
    that alpha = 0 gives unit area; the area within a window is the difference of the running integral, which is finite
    on the side of low x. ``center`` is the position of the singularity, not of the maximum.

    Notes
    -----
    With b = (gamma + i e)/sigma and rho = sigma/gamma the convolution is exactly

        rho^alpha/(pi sigma Gamma(1 - alpha)) Re[exp(i pi alpha/2) F_0(b)],
        F_j = int_0^inf t^(j-alpha) exp(-t^2/2 - bt) dt,

    its derivatives need F_1 and F_2, and the running integral is rho^alpha/(pi Gamma(1 - alpha)) R with
    R = sin(pi alpha/2)/alpha + Im[exp(i pi alpha/2) P], P = -int phi(t) (t + b) exp(-t^2/2 - bt) dt,
    phi = (1 - t^-alpha)/alpha (from integrating by parts; no cancellation at alpha = 0). Below abs(b) = 12 the
    integrals are Gauss-Legendre sums, near t = 0 with t as v^16, which removes the singularity; above, asymptotic
    series.

    References
    ----------
    S. Doniach and M. Sunjic, J. Phys. C 3 (1970) 285, doi:10.1088/0022-3719/3/2/010.
    """

    name = "doniach_sunjic"
    hints: ClassVar = {
        "center": ParameterHint(0.0),
        "lorentzian_fwhm": ParameterHint(0.4, 1e-3, 100.0),
        "alpha": ParameterHint(0.1, 0.0, 0.5, "1"),
        "gaussian_fwhm": ParameterHint(0.6, 1e-3, 100.0),
    }

    def _check(self, par: FloatArray) -> None:
        super()._check(par)
        require_within(self.name, "alpha", par[:, 2], _MIN_ALPHA, _MAX_ALPHA)

    def _row(self, distance: FloatArray, parameters: tuple[float, ...], integral: bool) -> ShapeValues:
        return _one_row(distance, *parameters, integral=integral)

    def _curves(self, axis: FloatArray, par: FloatArray, derivatives: bool, integral: bool) -> ShapeValues:
        """Work out together rows that differ in their center alone, as the levels of a series do."""
        if axis.shape[0] > 1 or len(par) == 1 or (par[:, 1:] != par[0, 1:]).any():
            return super()._curves(axis, par, derivatives, integral)
        e = axis - par[:, :1]
        flat = _one_row(e.ravel(), *(float(v) for v in par[0, 1:]), integral=integral, rows=len(par))

        def split(jac: FloatArray) -> FloatArray:
            return jac.reshape(-1, *e.shape).swapaxes(0, 1)[:, : par.shape[1] if derivatives else 0]

        if flat.integral is None or flat.integral_jac is None:
            return ShapeValues(flat.value.reshape(e.shape), split(flat.jac))
        running = flat.integral.reshape(e.shape)
        return ShapeValues(flat.value.reshape(e.shape), split(flat.jac), running, split(flat.integral_jac))


def _one_row(
    e: FloatArray, lorentz: float, alpha: float, gauss: float, *, integral: bool, rows: int = 1
) -> ShapeValues:
    """Evaluate one row, or several on one axis; `e` (rows * n,) is the distance from the center."""
    gamma, sigma = 0.5 * lorentz, SIGMA_PER_FWHM * gauss
    b = np.empty(e.size, dtype=np.complex128)
    b.real, b.imag = gamma / sigma, e / sigma
    m = _moments(b, alpha, rows)
    phase = complex(math.cos(0.5 * math.pi * alpha), math.sin(0.5 * math.pi * alpha))
    ratio = sigma / gamma
    scale = ratio**alpha / (math.pi * math.gamma(1.0 - alpha))
    log_slope = math.log(ratio) + float(special.psi(1.0 - alpha))  # d ln(scale)/d alpha
    f0, f1, f2 = phase * m.f0, phase * m.f1, phase * m.f2
    value = (scale / sigma) * f0.real
    slope = (scale / sigma**2) * f1.imag  # d value/dx
    jac = np.empty((4, e.size))
    jac[0] = -slope
    jac[1] = -0.5 * ((scale / sigma**2) * f1.real + (alpha / gamma) * value)
    jac[2] = log_slope * value + (scale / sigma) * (0.5j * math.pi * f0 - phase * m.log0).real
    jac[3] = (-SIGMA_PER_FWHM * scale / sigma**2) * f2.real  # d/dsigma = sigma d2/dx2
    if not integral:
        return ShapeValues(value, jac)
    running = scale * m.run
    running_jac = np.empty_like(jac)
    running_jac[0] = -value
    running_jac[1] = 0.5 * ((scale / sigma) * f0.imag - (alpha / gamma) * running)
    running_jac[2] = log_slope * running + scale * m.run_slope
    running_jac[3] = SIGMA_PER_FWHM * sigma * slope
    return ShapeValues(value, jac, running, running_jac)


def _moments(b: ComplexArray, alpha: float, rows: int = 1) -> _Moments:
    """Return the integrals at each point, by quadrature near the center and by series far from it."""
    far = np.abs(b) > _FAR
    if far.all():
        return _series_moments(b, alpha)
    near = slice(None) if not far.any() else ~far
    sums = _sums(b[near], alpha) if rows == 1 else _sums_of_rows(b.reshape(rows, -1), alpha)[near]
    if not far.any():
        return _quadrature_moments(b, alpha, sums)
    outer, inner = _series_moments(b[far], alpha), _quadrature_moments(b[near], alpha, sums)
    merged = {}
    for name in ("f0", "f1", "f2", "log0", "run", "run_slope"):
        whole = np.empty(b.size, dtype=getattr(outer, name).dtype)
        whole[far], whole[~far] = getattr(outer, name), getattr(inner, name)
        merged[name] = whole
    return _Moments(**merged)


@cache
def _nodes() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return nodes t, ln t and weights on 0.._END; in the first panel t is proportional to v^16, and dt is included."""
    v, w = np.polynomial.legendre.leggauss(44)
    v, w = 0.5 * (v + 1.0), 0.5 * w
    log_inner = 16.0 * np.log(v) + math.log(_FIRST)
    panels = [(np.exp(log_inner), log_inner, 16.0 * w * np.exp(log_inner) / v)]
    # The integrands have a branch point at 0, so the panels grow with the distance from it.
    for low, high, count in ((_FIRST, 1.0, 30), (1.0, _END, 72)):
        u, w = np.polynomial.legendre.leggauss(count)
        t = low + 0.5 * (u + 1.0) * (high - low)
        panels.append((t, np.log(t), 0.5 * (high - low) * w))
    nodes, logs, weights = (np.concatenate(part) for part in zip(*panels, strict=True))
    return nodes, logs, weights


@lru_cache(maxsize=64)
def _columns(ratio: float, alpha: float) -> FloatArray:
    """Return what the phase is multiplied by at each node, shape (nodes, 8)."""
    t, log_t, weight = _nodes()
    damped = weight * np.exp(-0.5 * t * t - ratio * t)
    power = damped * np.exp(-alpha * log_t)
    phi, phi_slope = _phi(alpha, log_t)
    return np.stack(
        [power, power * t, power * t * t, power * log_t, damped * phi, damped * phi * t, damped * phi_slope,
         damped * phi_slope * t], axis=1,
    )  # fmt: skip


def _sums(b: ComplexArray, alpha: float) -> ComplexArray:
    """Return the sums over the nodes, shape (points, 8)."""
    # gamma/sigma, the real part of b, is the same at every point of a row, and often in all rows.
    columns = _columns(float(b[0].real), float(alpha))
    angle = np.multiply.outer(b.imag, _nodes()[0])
    return np.asarray((np.cos(angle) @ columns) - 1j * (np.sin(angle) @ columns))


def _sums_of_rows(b: ComplexArray, alpha: float) -> ComplexArray:
    """Return the sums of rows (R, n) of one axis that is moved, shape (R * n, 8): a move multiplies by a phase."""
    columns, t = _columns(float(b[0, 0].real), float(alpha)), _nodes()[0]
    waves = np.exp(-1j * np.multiply.outer(b[0].imag, t))
    moves = np.exp(-1j * np.multiply.outer(b[:, 0].imag - b[0, 0].imag, t))
    turned = (moves.T[:, :, None] * columns[:, None]).reshape(t.size, -1)
    return np.asarray((waves @ turned).reshape(b.shape[1], len(b), -1).swapaxes(0, 1).reshape(b.size, -1))


def _quadrature_moments(b: ComplexArray, alpha: float, sums: ComplexArray) -> _Moments:
    p = -(sums[:, 5] + b * sums[:, 4])
    p_slope = -(sums[:, 7] + b * sums[:, 6])
    half = 0.5 * math.pi
    phase = complex(math.cos(half * alpha), math.sin(half * alpha))
    run = half * _sinc(half * alpha)[0] + (phase * p).imag
    run_slope = half**2 * _sinc(half * alpha)[1] + (phase * (1j * half * p + p_slope)).imag
    return _Moments(sums[:, 0], sums[:, 1], sums[:, 2], sums[:, 3], run, run_slope)


def _phi(alpha: float, log_t: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return phi = (1 - t^-alpha)/alpha and dphi/dalpha, by series where alpha ln t is small."""
    y = alpha * log_t
    small = np.abs(y) < 0.3
    safe = np.where(small, 1.0, y)
    decay = np.exp(-safe)
    mean = np.where(small, 0.0, -np.expm1(-safe) / safe)
    slope = np.where(small, 0.0, (decay * (1.0 + safe) - 1.0) / (safe * safe))
    tiny = np.where(small, y, 0.0)
    for k in range(14, -1, -1):  # (1 - e^-y)/y = sum (-y)^k/(k+1)!
        mean = np.where(small, mean + (-tiny) ** k / math.factorial(k + 1), mean)
        slope = np.where(small, slope - (k + 1) * (-tiny) ** k / math.factorial(k + 2), slope)
    return log_t * mean, log_t * log_t * slope


def _sinc(y: float) -> tuple[float, float]:
    """Return sin(y)/y and its derivative."""
    if abs(y) < 1e-2:
        return 1.0 - y * y / 6.0 + y**4 / 120.0, -y / 3.0 + y**3 / 30.0 - y**5 / 840.0
    return math.sin(y) / y, (y * math.cos(y) - math.sin(y)) / (y * y)


def _series_moments(b: ComplexArray, alpha: float) -> _Moments:
    """Evaluate the integrals by Watson's lemma: sum_k (-1/2)^k/k! Gamma(2k + 1 + j - alpha) b^(alpha - 2k - 1 - j)."""
    log_b = np.log(b)
    square = 1.0 / (b * b)
    base = np.exp((alpha - 1.0) * log_b)
    half = 0.5 * math.pi
    f0, f1, f2, log0 = (np.zeros_like(b) for _ in range(4))
    rest, rest_slope = np.zeros_like(b), np.zeros_like(b)
    power = base
    factor = 1.0
    for k in range(_TERMS):
        order = 2.0 * k + 1.0 - alpha
        weight = factor * math.gamma(order)
        f0 += weight * power
        f1 += weight * order * power / b
        f2 += weight * order * (order + 1.0) * power * square
        log0 -= weight * power * (log_b - float(special.psi(order)))
        if k > 0:
            term = (factor * math.gamma(order - 1.0)) * power * b
            rest += term
            rest_slope += term * (log_b - float(special.psi(order - 1.0)))
        power = power * square
        factor *= -0.5 / (k + 1.0)
    # The term k = 0 of the running integral, Gamma(-alpha) b^alpha, is singular at alpha = 0 but for its phase.
    gamma = math.gamma(1.0 - alpha)
    theta, length = half + np.angle(b), np.log(np.abs(b))
    lead = gamma * np.exp(alpha * length)
    mean, mean_slope = _sinc_array(alpha * theta)
    turn = 1j * complex(math.cos(half * alpha), math.sin(half * alpha))
    run = lead * theta * mean + (turn * rest).real
    run_slope = lead * theta * ((length - float(special.psi(1.0 - alpha))) * mean + theta * mean_slope)
    run_slope += (turn * (1j * half * rest + rest_slope)).real
    return _Moments(f0, f1, f2, log0, run, run_slope)


def _sinc_array(y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return sin(y)/y and its derivative."""
    small = np.abs(y) < 1e-2
    safe = np.where(small, 1.0, y)
    mean = np.where(small, 1.0 - y**2 / 6.0 + y**4 / 120.0, np.sin(safe) / safe)
    slope = np.where(small, -y / 3.0 + y**3 / 30.0, (safe * np.cos(safe) - np.sin(safe)) / (safe * safe))
    return mean, slope
