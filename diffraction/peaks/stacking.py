"""Intensity of a stack of layers whose interlayers are filled or empty, in an order known by probabilities only.

Slabs lie one above the other; the interlayer above each is filled (spacing d_F, with guests half way up) or empty
(d_E), and no two empty ones meet. The order has a range of two: what follows a filled interlayer depends on what came
before it. The states are FF (filled after filled), EF (filled after empty) and E, and two probabilities rule them,
``p = P(E | FF)`` and ``r = P(E | EF)``; r = p is a range of one, a range of three tells FFF from EFF. With the
transitions P and the phases z_s = exp(i q d_s) a crystallite of N layers scatters, per layer,

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

from collections.abc import Sequence
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

POINTS = 8.0
"""Points of a table to the width of a peak."""

COHERENT = 1e-7
"""Coherence over a number of layers below which they are left out of a table."""

SPLIT = 1e-6
"""How far two probabilities are at least apart in a chain of range three."""

DESCENT = 40
"""Steps of the search for its eigenvalues."""

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

    @property
    def turns(self) -> int:
        """Points to a turn of the phase in tables, a power of two."""
        return int(2 ** np.ceil(np.log2(max(POINTS * self.layers * np.exp(self.spread), 256.0))))

    def reach(self, longest: int) -> int:
        """Return how many of the numbers 0 to `longest` - 1 of layers still interfere."""
        some = np.arange(0, longest, max(longest // 64, 1))
        there = np.flatnonzero(self.coherence(some.astype(float))[0] > COHERENT)
        return int(min(some[there[-1]] + longest // 32, longest)) if there.size else longest

    def coherence(self, n: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return <1 - n/N> (0 for n = 0, where nothing interferes) and its slopes by ln(layers) and `spread`."""
        from scipy.special import ndtr

        x = np.maximum(n, 1e-9) / self.layers
        edge = np.log(x) / self.spread
        lost = x * np.exp(0.5 * self.spread**2)
        above, shifted = ndtr(-edge), ndtr(-edge - self.spread)
        bell = np.exp(-0.5 * (edge + self.spread) ** 2) / np.sqrt(2.0 * np.pi)
        there = n > 0
        return (
            np.where(there, above - lost * shifted, 0.0),
            np.where(there, lost * shifted, 0.0),
            np.where(there, lost * (bell - self.spread * shifted), 0.0),
        )

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
        by_size, power = np.zeros((2, *damped.shape), complex), np.empty(damped.shape, complex)
        for node, w in zip(t, weights / weights.sum(), strict=True):
            n = self.layers * float(np.exp(self.spread * node))
            left, turned = np.exp(np.maximum(n * logarithm.real, FORGOTTEN)), n * logarithm.imag
            power.real, power.imag = left * np.cos(turned), left * np.sin(turned)
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
    by_after: FloatArray | None = None
    by_tail: FloatArray | None = None
    by_variance: FloatArray | None = None


def share_of_empty(p: float, r: float, after: float | None = None) -> float:
    """Return the share of empty interlayers of a mixed stack; see `mixed`."""
    return 1.0 / (2.0 + (1.0 - r) * block_length(p, r, after)[1])


def block_length(p: float, r: float, after: float | None = None) -> tuple[float, float]:
    """Return the mean number of layers of an alternating block, and of a filled one; see `mixed`.

    An alternating block is a row of pairs EF; it goes on with probability r. After it come filled layers until the
    next empty one, with probability `after` for the first and p for each further one.
    """
    return 2.0 / (1.0 - r), 1.0 + (1.0 - (p if after is None else after)) / p


@dataclass(frozen=True)
class Uneven:
    """How spacings differ from crystallite to crystallite, each of shape (B,).

    Attributes
    ----------
    tail : ndarray
        Mean of an exponential distribution of spacings below the largest one (Å): layers that were charged further.
    variance : ndarray
        Relative variance of all spacings (normal distribution); what is below zero sharpens as much as it would blur.
    """

    tail: FloatArray
    variance: FloatArray

    def dephasing(self, n: FloatArray, spacing: FloatArray) -> tuple[ComplexArray, ComplexArray, FloatArray]:
        """Return the mean of exp(i q (d - d_largest) n) over crystallites, (B, N), and its relative slopes.

        q is that at which layers of this spacing (B,) are in phase.
        """
        qn = (2.0 * np.pi / spacing)[:, None] * n
        below = np.asarray(1.0 / (1.0 + 1j * (qn * self.tail[:, None])), complex)
        variance = self.variance[:, None]
        turn = 0.5 * (2.0 * np.pi * n) ** 2
        blurred = np.exp(-turn * np.abs(variance))
        sharp = variance < 0
        factor = np.where(sharp, 2.0 - blurred, blurred)
        return (
            np.asarray(below * factor, complex),
            np.asarray(-1j * qn * below, complex),
            -turn * np.where(sharp, blurred / factor, 1.0),
        )


@dataclass(frozen=True)
class _Sums:
    """Sums over layers w_n exp(i m phase), tabulated over one turn of the phase.

    Attributes
    ----------
    tables : sequence of ndarray, each of shape (B, S)
        Value, slope by the phase, and further derivatives.
    """

    tables: Sequence[NDArray[np.complex128] | FloatArray]

    def at(self, phase: FloatArray) -> list[NDArray[np.complex128] | FloatArray]:
        """Return the tables at phases (B, G); the value by cubic Hermite interpolation, the others by parabolas."""
        rows, size = self.tables[0].shape
        along = phase * (size / (2.0 * np.pi))
        k = np.floor(along)
        t = along - k
        first = k.astype(np.intp) % size
        start = (np.arange(rows) * size)[:, None]
        places = [start + (first + m) % size for m in range(3)]
        (y0, y1, _), (s0, s1, _), *rest = (tuple(one.ravel()[place] for place in places) for one in self.tables)
        step = 2.0 * np.pi / size
        s0, s1 = s0 * step, s1 * step
        a, b = 2.0 * (y0 - y1) + s0 + s1, 3.0 * (y1 - y0) - 2.0 * s0 - s1
        value, slope = ((a * t + b) * t + s0) * t + y0, ((3.0 * a * t + 2.0 * b) * t + s0) / step
        half = 0.5 * t * (t - 1.0)
        return [value, slope, *(u + t * (v - u) + half * (u - 2.0 * v + w) for u, v, w in rest)]


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
    from scipy import fft

    uneven = uneven or Uneven(np.zeros(filled.size), np.zeros(filled.size))
    turns = sizes.turns
    n = np.arange(sizes.reach(turns // 2 + 1), dtype=float)
    weight, by_layers, by_spread = sizes.coherence(n)
    apart, by_tail, by_variance = uneven.dephasing(n, filled)
    whole = weight * apart
    kinds = (whole, 1j * n * whole, by_layers * apart, by_spread * apart, whole * by_tail, whole * by_variance)
    tables = [fft.irfft(kind, turns, norm="forward") for kind in kinds]
    f, by_phase, *rest = _Sums(tables).at(layer.q * filled[:, None])
    amplitude, slope = layer.filled(filled)
    square, by_square = np.abs(amplitude) ** 2, 2.0 * (np.conj(amplitude) * slope).real
    size_1, size_2, tail, blurred = (square * r for r in rest)
    by_filled = by_square * (1.0 + f) + square * layer.q * by_phase
    by_filled -= tail * (uneven.tail / filled)[:, None]  # the same tail is less of a turn
    return Stacked(
        square * (1.0 + f),
        by_filled,
        np.zeros(square.shape),
        np.stack([size_1, size_2]),
        by_tail=tail,
        by_variance=blurred,
    )


def alternating(
    layer: Layer, filled: FloatArray, empty: FloatArray, sizes: Sizes, variance: FloatArray | None = None
) -> Stacked:
    """Return the intensity of stacks whose interlayers are filled and empty in turn.

    Parameters
    ----------
    layer : Layer
    filled, empty : ndarray, shape (B,)
        Spacings (Å).
    sizes : Sizes
    variance : ndarray, shape (B,), optional
        Relative variance of all spacings.
    """
    from scipy import fft

    none = np.zeros(filled.size)
    uneven = Uneven(none, none if variance is None else variance)
    turns = sizes.turns // 2
    q, s, (a, b) = layer.q, layer.slab, layer.filled(filled)
    z_f, z_e = np.exp(1j * q * filled[:, None]), np.exp(1j * q * empty[:, None])
    m = np.arange((sizes.reach(2 * turns) + 1) // 2, dtype=float)
    sums = []
    for more in (0, 1):  # f(M) = even + odd M with M^2 = z_f z_e
        n = 2.0 * m + more
        weight, by_layers, by_spread = sizes.coherence(n)
        apart, _, by_variance = uneven.dephasing(n, filled)
        whole = weight * apart
        kinds = (whole, 1j * m * whole, by_layers * apart, by_spread * apart, whole * by_variance)
        tables = [fft.ifft(kind, turns, norm="forward") for kind in kinds]
        sums.append(_Sums(tables).at(q * (filled + empty)[:, None]))
    square = np.abs(a) ** 2 + s * s
    cross = s * (np.conj(a) * z_f + z_e * a)
    both = [first * square + second * cross for first, second in zip(*sums, strict=True)]
    even, odd = sums[0][0], sums[1][0]
    amplitude = even * 2.0 * (np.conj(a) * b).real + odd * s * (np.conj(b) * z_f + z_e * b)
    by_phase = q * both[1]
    return Stacked(
        0.5 * square + both[0].real,
        (np.conj(a) * b + by_phase + amplitude + odd * s * np.conj(a) * 1j * q * z_f).real.copy(),
        (by_phase + odd * s * a * 1j * q * z_e).real.copy(),
        np.stack([both[2].real, both[3].real]),
        by_variance=both[4].real.copy(),
    )


@dataclass(frozen=True)
class _Chain:
    """The order of interlayers: eigenvalues and eigenvectors of M, shares of the states, what a probability moves.

    The states are FFF, EFF, EF and E (range three), or FF, EF and E.

    Attributes
    ----------
    eigen : ndarray, shape (S, B, G)
    right, left : ndarray, shape (S, S, B, G)
        Component, eigenvalue; the last component is that of E.
    shares : ndarray, shape (S,)
    moves : dict of str to (int, int, ndarray)
        For each probability: the state that it leads on from, the state that it leads to if not to E, and the slopes of
        the shares.
    """

    eigen: ComplexArray
    right: ComplexArray
    left: ComplexArray
    shares: FloatArray
    moves: dict[str, tuple[int, int, FloatArray]]


def mixed(
    layer: Layer,
    filled: FloatArray,
    empty: FloatArray,
    p: float,
    r: float,
    sizes: Sizes,
    *,
    after: float | None = None,
) -> Stacked:
    """Return the intensity of stacks in the order that probabilities rule, each between 0 and 1.

    Parameters
    ----------
    layer : Layer
    filled, empty : ndarray, shape (B,)
        Spacings (Å).
    p, r : float
        P(E | FF) and P(E | EF).
    sizes : Sizes
    after : float, optional
        P(E | EFF) where the order has a range of three; p is then P(E | FFF).
    """
    q, slab, (amplitude, slope) = layer.q, layer.slab, layer.filled(filled)
    z_f, z_e = np.exp(1j * q * filled[:, None]), np.exp(1j * q * empty[:, None])
    chain = _range_two(z_f, z_e / z_f, p, r) if after is None else _range_three(z_f, z_e / z_f, (p, after, r))
    eigen, right, left = chain.eigen, chain.right, chain.left
    f, f_slope, f_size = sizes.decay(eigen)

    def onto(shares: FloatArray, above_filled: ComplexArray, above_empty: FloatArray | float) -> ComplexArray:
        """Return (shares * amplitudes) . right for every eigenvalue, shape (S, B, G)."""
        product: ComplexArray = above_filled * np.tensordot(shares[:-1], right[:-1], 1)
        product += (shares[-1] * above_empty) * right[-1]
        return product

    conj, of_filled = np.conj(amplitude), left[:-1].sum(axis=0)
    begin, end = onto(chain.shares, conj, slab), amplitude * of_filled + slab * left[-1]
    through = f * end
    pairs = _divided(eigen, f, f_slope)

    def moved(x: ComplexArray, y: ComplexArray) -> ComplexArray:
        """Return what a change x_i y_j of the matrix between its eigenvectors does to the sum."""
        total: ComplexArray = (begin * x * (pairs * (end * y)).sum(axis=1)).sum(axis=0)
        return total

    by_e = 1j * q * moved(left[-1], eigen * right[-1])
    by_f = 1j * q * (begin * f_slope * eigen * end).sum(axis=0) - by_e
    by_f += (onto(chain.shares, np.conj(slope), 0.0) * through + begin * f * slope * of_filled).sum(axis=0)
    square = np.abs(amplitude) ** 2

    def local(shares: FloatArray) -> FloatArray:
        return np.asarray(shares[:-1].sum() * square + shares[-1] * slab * slab)

    by = {}
    for name, (state, stays, change) in chain.moves.items():
        chained = (onto(change, conj, slab) * through).sum(axis=0)
        chained += moved(left[state], z_f * (right[-1] - right[stays]))
        by[name] = np.asarray(local(change) + 2.0 * chained.real)
    return Stacked(
        local(chain.shares) + 2.0 * (begin * through).sum(axis=0).real,
        (1.0 - chain.shares[-1]) * 2.0 * (conj * slope).real + 2.0 * by_f.real,
        2.0 * by_e.real,
        2.0 * (begin * f_size * end).sum(axis=1).real,
        **by,
    )


def _range_two(z_f: ComplexArray, ratio: ComplexArray, p: float, r: float) -> _Chain:
    """Return the chain of FF, EF and E.

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
    away = 2.0 * p + 1.0 - r
    shares = np.array([1.0 - r, p, p]) / away
    by_p, by_r = np.array([-2.0 * (1.0 - r), 1.0 - r, 1.0 - r]) / away**2, np.array([-2.0 * p, p, p]) / away**2
    moves = {"by_p": (0, 0, by_p), "by_r": (1, 0, by_r)}
    return _Chain(z_f * m, right, left / (left * right).sum(axis=0), shares, moves)


def _range_three(z_f: ComplexArray, ratio: ComplexArray, chances: tuple[float, float, float]) -> _Chain:
    """Return the chain of FFF, EFF, EF and E.

    The eigenvalues are those of a quartic, found by Durand's and Kerner's simultaneous iteration.
    """
    p, after, r = chances
    if abs(after - p) < SPLIT:  # the chain of range two has one eigenvalue less
        after = p + SPLIT
    go, goes, goes_1 = 1.0 - p, 1.0 - after, 1.0 - r
    terms = (
        -go + 0.0 * ratio,
        -r * ratio,
        -(goes_1 * after - r * go) * ratio,
        -goes_1 * (goes * p - after * go) * ratio,
    )
    small = -terms[3] / terms[2]
    m = np.concatenate([_range_two(np.ones_like(z_f), ratio, p, r).eigen, small[None]])
    for _ in range(DESCENT):
        value = (((m + terms[0]) * m + terms[1]) * m + terms[2]) * m + terms[3]
        others = np.stack([np.prod([m[k] - m[j] for j in range(4) if j != k], axis=0) for k in range(4)])
        change = value / np.where(np.abs(others) < 1e-14, 1e-14, others)
        m = m - change
        if np.abs(change).max() < 1e-13:
            break
    apart = m - go
    right = np.stack([p * m, goes * p + after * apart, m * m * apart / ratio, m * apart])
    ones = np.ones_like(m)
    left = np.stack([goes * goes_1 * ratio * ones, goes_1 * ratio * apart, ratio * m * apart, m * m * apart])
    runs = 2.0 + goes_1 * (1.0 + goes / p)
    each = np.array([goes_1 * goes / p, goes_1, 1.0, 1.0])

    def slope(of_each: list[float], of_runs: float) -> FloatArray:
        return np.asarray(np.array(of_each) / runs - each * (of_runs / runs**2))

    moves = {
        "by_p": (0, 0, slope([-goes_1 * goes / p**2, 0.0, 0.0, 0.0], -goes_1 * goes / p**2)),
        "by_after": (1, 0, slope([-goes_1 / p, 0.0, 0.0, 0.0], -goes_1 / p)),
        "by_r": (2, 1, slope([-goes / p, -1.0, 0.0, 0.0], -(1.0 + goes / p))),
    }
    return _Chain(z_f * m, right, left / (left * right).sum(axis=0), each / runs, moves)


def _divided(eigen: ComplexArray, f: ComplexArray, slope: ComplexArray) -> ComplexArray:
    """Return the divided differences of f between eigenvalues, its slope on the diagonal, shape (S, S, B, G)."""
    apart = eigen[:, None] - eigen[None]
    near = np.abs(apart) < 1e-7
    middle = np.broadcast_to(slope[:, None], apart.shape)
    return np.where(near, middle, (f[:, None] - f[None]) / np.where(near, 1.0, apart))
