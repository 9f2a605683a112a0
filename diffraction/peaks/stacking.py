"""Intensity of a stack of layers whose interlayers are filled or empty, in an order known by probabilities only.

Slabs lie one above the other; the interlayer above each is filled (spacing d_F, with guests half way up) or empty
(d_E), and no two empty ones meet. The order has a range of two: what follows a filled interlayer depends on what came
before it. The states are FF (filled after filled), EF (filled after empty) and E, and two probabilities rule them,
``p = P(E | FF)`` and ``r = P(E | EF)``; r = p is a range of one. With the transitions P and the phases z_s = exp(i q
d_s) a crystallite of N layers scatters, per layer,

    I(q) = sum_s pi_s |A_s|^2 + 2 Re sum_n w_n  (pi A*) M^n A,     M = diag(z) P,     w_n = <1 - n/N>,

where pi are the shares of the states and A_s is the amplitude of a slab with the guests above it. For each eigenvalue
of M the sum over n is closed (`decay`), so that sizes of crystallites cost nothing. All filled (p = 0) and strictly
alternating (p = r = 1) stacks follow from the same formula, and therefore their intensities per layer as well.

References
----------
Hendricks, S. & Teller, E. (1942). J. Chem. Phys. 10, 147-167. doi:10.1063/1.1723678
Kakinoki, J. & Komura, Y. (1965). Acta Cryst. 19, 137-147. doi:10.1107/S0365110X65002888
Treacy, M. M. J., Newsam, J. M. & Deem, M. W. (1991). Proc. R. Soc. Lond. A 433, 499-520. doi:10.1098/rspa.1991.0062
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..radiation import FloatArray

__all__ = [
    "Layer",
    "Sizes",
    "Stacked",
    "Uneven",
    "alternating",
    "block_length",
    "filled_only",
    "mixed",
    "share_of_empty",
]

ComplexArray = NDArray[np.complex128]

FORGOTTEN = -25.0
"""Logarithm of what is left of the coherence over a crystallite below which it is nothing."""

PHASE_STEP = 0.001
"""Of the phase from layer to layer (radians) in tables."""

NODES = 5
"""Sizes that stand for the log-normal distribution."""

LOSS = 1e-5
"""Coherence lost from layer to layer by itself: keeps sums finite where all layers are in phase."""


@dataclass(frozen=True)
class Layer:
    """What scatters in one layer, on a grid of q.

    Attributes
    ----------
    q : ndarray, shape (G,)
        1/Å.
    slab, guest : ndarray, shape (G,)
        Amplitude of a slab about its middle, and of all guests of a filled interlayer (electrons).
    """

    q: FloatArray
    slab: FloatArray
    guest: FloatArray

    def filled(self, spacing: FloatArray) -> tuple[ComplexArray, ComplexArray]:
        """Return the amplitude of a slab with guests half of `spacing` (B,) above it, and its derivative, (B, G)."""
        above = self.guest * np.exp(0.5j * self.q * spacing[:, None])
        return self.slab + above, 0.5j * self.q * above


@dataclass(frozen=True)
class Sizes:
    """Layers of a crystallite: log-normal by volume, median `layers`, standard deviation `spread` of its logarithm."""

    layers: float
    spread: float

    def decay(self, eigenvalue: ComplexArray) -> tuple[ComplexArray, ComplexArray, ComplexArray]:
        """Return sum over n >= 1 of <1 - n/N> eigenvalue^n and its derivatives.

        Parameters
        ----------
        eigenvalue : ndarray

        Returns
        -------
        value, by_eigenvalue : ndarray, of the shape of `eigenvalue`
        by_size : ndarray, shape (2, ...)
            By ln(layers) and by `spread`.
        """
        t, weights = np.polynomial.hermite_e.hermegauss(NODES)
        damped: ComplexArray = np.where(
            np.abs(eigenvalue) < 1e-9, 1e-9, eigenvalue * (1.0 - LOSS)
        )  # log(0) is of no use
        rest = 1.0 / (1.0 - damped)
        logarithm, geometric = np.log(damped), damped * rest
        value, slope = np.zeros(damped.shape, complex), np.zeros(damped.shape, complex)
        by_size = np.zeros((2, *damped.shape), complex)
        for node, w in zip(t, weights / weights.sum(), strict=True):
            n = self.layers * float(np.exp(self.spread * node))
            power = np.zeros(damped.shape, complex)
            np.exp(n * logarithm, out=power, where=n * logarithm.real > FORGOTTEN)
            lost = (1.0 - power) * (rest / n)
            value += w * (1.0 - lost)
            # of geometric * (1 - lost): d geometric = rest^2
            slope += w * (rest * (1.0 - lost) - geometric * (lost - power / damped))
            by_n = w * (lost + power * logarithm * rest)
            by_size[0] += by_n
            by_size[1] += node * by_n
        return geometric * value, (1.0 - LOSS) * rest * slope, geometric * by_size


@dataclass(frozen=True)
class Stacked:
    """Intensity per layer and its derivatives by d_F, d_E, ln(layers) and spread (2, B, G), p and r, else (B, G)."""

    value: FloatArray
    by_filled: FloatArray
    by_empty: FloatArray
    by_size: FloatArray
    by_p: FloatArray | None = None
    by_r: FloatArray | None = None
    by_tail: FloatArray | None = None
    by_strain: FloatArray | None = None


def share_of_empty(p: float, r: float) -> float:
    """Return the share of empty interlayers of a mixed stack."""
    return p / (2.0 * p + 1.0 - r)


def block_length(p: float, r: float) -> tuple[float, float]:
    """Return the mean number of layers of an alternating block, and of a filled one.

    An alternating block is a row of pairs EF; it goes on with probability r. After it come filled layers until the
    next empty one, with probability p each.
    """
    return 2.0 / (1.0 - r), 1.0 / p


@dataclass(frozen=True)
class _Interference:
    """Sums over equal layers on a grid of the phase from one to the next: value, slope by the phase, by the size."""

    first: float
    value: ComplexArray
    slope: ComplexArray
    by_size: ComplexArray

    @classmethod
    def of(cls, layer: Layer, spacing: FloatArray, sizes: Sizes, ahead: float = 0.0) -> _Interference:
        """Tabulate for some spacings; `ahead` is added to the phase."""
        low, high = float(layer.q[0] * spacing.min()) + ahead, float(layer.q[-1] * spacing.max()) + ahead
        phase = low + PHASE_STEP * np.arange(-1, int((high - low) / PHASE_STEP) + 3)
        z = np.exp(1j * phase)
        value, by_z, by_size = sizes.decay(z)
        return cls(float(phase[0]), value, by_z * 1j * z, by_size)

    def at(self, phase: FloatArray) -> tuple[ComplexArray, ComplexArray, ComplexArray]:
        """Return value (cubic Hermite), slope, and derivatives by size (2, ...) at some phases."""
        along = (phase - self.first) / PHASE_STEP
        k = along.astype(np.intp)
        t = along - k
        y0, y1 = self.value[k], self.value[k + 1]
        s0, s1 = self.slope[k] * PHASE_STEP, self.slope[k + 1] * PHASE_STEP
        a, b = 2.0 * (y0 - y1) + s0 + s1, 3.0 * (y1 - y0) - 2.0 * s0 - s1
        size = self.by_size[:, k] * (1.0 - t) + self.by_size[:, k + 1] * t
        return ((a * t + b) * t + s0) * t + y0, ((3.0 * a * t + 2.0 * b) * t + s0) / PHASE_STEP, size


def filled_only(layer: Layer, filled: FloatArray, sizes: Sizes, uneven: Uneven | None = None) -> Stacked:
    """Return the intensity of stacks without empty interlayers.

    Parameters
    ----------
    layer : Layer
    filled : ndarray, shape (B,)
        Their largest spacing (Å), before strain.
    sizes : Sizes
    uneven : Uneven, optional
        How spacings differ from crystallite to crystallite.
    """
    uneven = uneven or Uneven(np.zeros(filled.size), np.zeros(filled.size))
    parts = uneven.parts(filled)
    table = _Interference.of(layer, np.concatenate([part.spacing for part in parts]), sizes)
    shape = (filled.size, layer.q.size)
    value, by_filled, by_tail, by_strain = (np.zeros(shape) for _ in range(4))
    by_size = np.zeros((2, *shape))
    for part in parts:
        amplitude, slope = layer.filled(part.spacing)
        square, by_square = np.abs(amplitude) ** 2, 2.0 * (np.conj(amplitude) * slope).real
        f, by_phase, sized = (2.0 * v.real for v in table.at(layer.q * part.spacing[:, None]))
        together = 1.0 + f
        by_spacing = part.weight * (by_square * together + square * layer.q * by_phase)
        value += part.weight * square * together
        by_size += part.weight * square * sized
        by_filled += by_spacing * part.by_filled[:, None]
        by_tail += by_spacing * part.by_tail[:, None]
        by_strain += by_spacing * part.by_strain[:, None]
    return Stacked(value, by_filled, np.zeros(shape), by_size, by_tail=by_tail, by_strain=by_strain)


@dataclass(frozen=True)
class _Part:
    """Crystallites of one spacing (B,): their weight, and how the spacing follows the others."""

    weight: float
    spacing: FloatArray
    by_filled: FloatArray
    by_tail: FloatArray
    by_strain: FloatArray


@dataclass(frozen=True)
class Uneven:
    """How spacings differ from crystallite to crystallite, each of shape (B,).

    Attributes
    ----------
    tail : ndarray
        Mean of an exponential distribution of spacings below the largest one (Å): layers that were charged further.
    strain : ndarray
        Relative standard deviation of all spacings (normal distribution).
    """

    tail: FloatArray
    strain: FloatArray

    def parts(self, filled: FloatArray) -> list[_Part]:
        """Return the spacings that stand for the distribution (Gauss' nodes)."""
        x, u = np.polynomial.laguerre.laggauss(4) if self.tail.any() else (np.zeros(1), np.ones(1))
        t, v = np.polynomial.hermite_e.hermegauss(3) if self.strain.any() else (np.zeros(1), np.ones(1))
        return [
            _Part(
                float(a * b / v.sum()),
                (filled - self.tail * y) * (1.0 + self.strain * s),
                1.0 + self.strain * s,
                -y * (1.0 + self.strain * s),
                (filled - self.tail * y) * s,
            )
            for y, a in zip(x, u, strict=True)
            for s, b in zip(t, v, strict=True)
        ]


def alternating(layer: Layer, filled: FloatArray, empty: FloatArray, sizes: Sizes) -> Stacked:
    """Return the intensity of stacks whose interlayers are filled and empty in turn.

    Parameters
    ----------
    layer : Layer
    filled, empty : ndarray, shape (B,)
        Spacings (Å).
    sizes : Sizes
    """
    q, s, (a, b) = layer.q, layer.slab, layer.filled(filled)
    z_f, z_e = np.exp(1j * q * filled[:, None]), np.exp(1j * q * empty[:, None])
    root = np.exp(0.5j * q * (filled + empty)[:, None])
    mean = 0.5 * (filled + empty)
    (f1, d1, n1), (f2, d2, n2) = (
        _Interference.of(layer, mean, sizes, ahead).at(q * mean[:, None] + ahead) for ahead in (0.0, np.pi)
    )
    d1, d2 = d1 / (1j * root), -d2 / (1j * root)  # by the eigenvalues root and -root
    # f(M) = even + odd M with M^2 = z_f z_e
    even, odd = 0.5 * (f1 + f2), 0.5 * (f1 - f2) / root
    d_even, d_odd = 0.5 * (d1 - d2), (0.5 * (d1 + d2) - odd) / root
    n_even, n_odd = 0.5 * (n1 + n2), 0.5 * (n1 - n2) / root
    square = np.abs(a) ** 2 + s * s
    cross = s * (np.conj(a) * z_f + z_e * a)
    by_root = d_even * square + d_odd * cross
    by_amplitude = even * 2.0 * (np.conj(a) * b).real + odd * s * (np.conj(b) * z_f + z_e * b)
    half = 0.5j * q * root
    value = 0.5 * square + (even * square + odd * cross).real
    by_filled = (np.conj(a) * b + by_root * half + by_amplitude + odd * s * np.conj(a) * 1j * q * z_f).real.copy()
    by_empty = (by_root * half + odd * s * a * 1j * q * z_e).real.copy()
    by_size = (n_even * square + n_odd * cross).real.copy()
    return Stacked(value, by_filled, by_empty, by_size)


def strained(layer: Layer, filled: FloatArray, empty: FloatArray, sizes: Sizes, strain: FloatArray) -> Stacked:
    """Return the intensity of alternating stacks whose spacings differ by a relative strain (B,); see `alternating`."""
    if not strain.any():
        return alternating(layer, filled, empty, sizes)
    t, v = np.polynomial.hermite_e.hermegauss(3)
    sums: list[FloatArray] = []
    for s, w in zip(t, v / v.sum(), strict=True):
        scale = 1.0 + strain * s
        one = alternating(layer, filled * scale, empty * scale, sizes)
        by_scale = one.by_filled * filled[:, None] + one.by_empty * empty[:, None]
        new = (one.value, one.by_filled * scale[:, None], one.by_empty * scale[:, None], one.by_size, s * by_scale)
        sums = [w * b if not sums else sums[k] + w * b for k, b in enumerate(new)]
    value, by_filled, by_empty, by_size, by_strain = sums
    return Stacked(value, by_filled, by_empty, by_size, by_strain=by_strain)


def mixed(layer: Layer, filled: FloatArray, empty: FloatArray, p: float, r: float, sizes: Sizes) -> Stacked:
    """Return the intensity of stacks in the order that `p` and `r` (both between 0 and 1) rule.

    Parameters
    ----------
    layer : Layer
    filled, empty : ndarray, shape (B,)
        Spacings (Å).
    p, r : float
        P(E | FF) and P(E | EF).
    sizes : Sizes
    """
    q, slab, (amplitude, slope) = layer.q, layer.slab, layer.filled(filled)
    z_f, z_e = np.exp(1j * q * filled[:, None]), np.exp(1j * q * empty[:, None])
    eigen, right, left = _eigen(z_f, z_e / z_f, p, r)
    f, f_slope, f_size = sizes.decay(eigen)
    away = 2.0 * p + 1.0 - r
    states = np.array([1.0 - r, p, p]) / away  # shares of FF, EF and E
    by_p, by_r = np.array([-2.0 * (1.0 - r), 1.0 - r, 1.0 - r]) / away**2, np.array([-2.0 * p, p, p]) / away**2

    def onto(shares: FloatArray, above_filled: ComplexArray, above_empty: FloatArray | float) -> ComplexArray:
        """Return (shares * amplitudes) . right for every eigenvalue, shape (3, B, G)."""
        product: ComplexArray = above_filled * (shares[0] * right[0] + shares[1] * right[1])
        product += (shares[2] * above_empty) * right[2]
        return product

    conj = np.conj(amplitude)
    begin, end = onto(states, conj, slab), amplitude * (left[0] + left[1]) + slab * left[2]
    through = f * end
    pairs = _divided(eigen, f, f_slope)

    def moved(x: ComplexArray, y: ComplexArray) -> ComplexArray:
        """Return what a change x_i y_j of the matrix between its eigenvectors does to the sum."""
        total: ComplexArray = (begin * x * (pairs * (end * y)).sum(axis=1)).sum(axis=0)
        return total

    by_e = 1j * q * moved(left[2], eigen * right[2])
    by_f = 1j * q * (begin * f_slope * eigen * end).sum(axis=0) - by_e
    by_f += (onto(states, np.conj(slope), 0.0) * through + begin * f * slope * (left[0] + left[1])).sum(axis=0)
    step = z_f * (right[2] - right[0])
    square = np.abs(amplitude) ** 2
    both = (square, square, np.broadcast_to(slab * slab, square.shape))

    def local(shares: FloatArray) -> FloatArray:
        return np.asarray(sum(c * v for c, v in zip(shares, both, strict=True)))

    def with_shares(change: FloatArray, x: ComplexArray) -> FloatArray:
        chained = (onto(change, conj, slab) * through).sum(axis=0) + moved(x, step)
        return np.asarray(local(change) + 2.0 * chained.real)

    return Stacked(
        local(states) + 2.0 * (begin * through).sum(axis=0).real,
        (1.0 - states[2]) * 2.0 * (conj * slope).real + 2.0 * by_f.real,
        2.0 * by_e.real,
        2.0 * (begin * f_size * end).sum(axis=1).real,
        with_shares(by_p, left[0]),
        with_shares(by_r, left[1]),
    )


def _eigen(
    z_f: ComplexArray, ratio: ComplexArray, p: float, r: float
) -> tuple[ComplexArray, ComplexArray, ComplexArray]:
    """Return eigenvalues (3, B, G), right and left eigenvectors (component, eigenvalue, B, G) of the chain's matrix.

    In units of z_f the eigenvalues m solve m^3 - (1 - p) m^2 - r t m + t (r - p) = 0 with t = z_e / z_f (Cardano).
    """
    a, b, c = p - 1.0, -r * ratio, (r - p) * ratio
    d0, d1 = a * a - 3.0 * b, 2.0 * a**3 - 9.0 * a * b + 27.0 * c
    root = np.sqrt(d1 * d1 - 4.0 * d0**3)
    cube = (0.5 * np.where(np.abs(d1 + root) > np.abs(d1 - root), d1 + root, d1 - root)) ** (1.0 / 3.0)
    cube = np.stack([cube * np.exp(2j * np.pi * k / 3.0) for k in range(3)])
    m = -(a + cube + d0 / cube) / 3.0
    m -= (((m + a) * m + b) * m + c) / ((3.0 * m + 2.0 * a) * m + b)  # one step of Newton's takes the rounding out
    apart = m + a
    right = np.stack([np.full_like(m, p), m * apart / ratio, apart])
    left = np.stack([np.broadcast_to((1.0 - r) * ratio, m.shape), ratio * apart, m * apart])
    return z_f * m, right, left / (left * right).sum(axis=0)


def _divided(eigen: ComplexArray, f: ComplexArray, slope: ComplexArray) -> ComplexArray:
    """Return the divided differences of f between eigenvalues, its slope on the diagonal, shape (3, 3, B, G)."""
    apart = eigen[:, None] - eigen[None]
    near = np.abs(apart) < 1e-7
    middle = np.broadcast_to(slope[:, None], apart.shape)
    return np.where(near, middle, (f[:, None] - f[None]) / np.where(near, 1.0, apart))
