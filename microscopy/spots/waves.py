"""Where spots are: on the tapered transform, and by joint least squares of all waves in the window without taper.

The maximum of a Hann-tapered transform cannot come nearer to the Cramér–Rao bound than 1.87 times. The least squares
of all waves together reaches it: waves are products of one factor along x and one along y, so that the normal
equations are products of sums along one side, and no matrix of the size of the window is ever made.
Places are in bins of the transform: orders (κx, κy), a wave being cos 2π (κx x/nx + κy y/ny).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .level import Level
from .transform import Transform, transform

__all__ = ["Places", "Waves", "hann_sigma", "joint_waves", "tapered_places"]

_REACH = 5  # bins on either side from which the tapered transform between bins is put together
_ROUNDS = 8
_FURTHEST = 1.0  # bins that the fit may move a wave from its place on the tapered transform
_LOW_MODES = 14  # smooth modes along each side at most
_LEFT_OVER = 2.0  # power over the level, mean of nine bins, from which on it is what waves leave over

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Waves:
    """Waves fitted to one window.

    Attributes
    ----------
    place : ndarray of float64, shape (m, 2)
        Orders (κx, κy), in bins.
    covariance : ndarray of float64, shape (m, 2, 2)
        Of each place, bins².
    amplitude : ndarray of float64, shape (m,)
        In the unit of the image.
    """

    place: FloatArray
    covariance: FloatArray
    amplitude: FloatArray


def hann_sigma(above: FloatArray) -> FloatArray:
    """Return the standard deviation of a place on the tapered transform, in bins, from power over its level.

    For the taper w, Σ w² x² Σ w² (y) over (Σ w x²)² (Σ w)² (y) of the unit square, times 1/(8 π² ρ) with the ratio ρ
    of the wave's power without taper.
    """
    x = (np.arange(4096) + 0.5) / 4096 - 0.5
    w = np.cos(np.pi * x) ** 2
    along = np.mean(w**2 * x**2) / np.mean(w * x**2) ** 2
    across = np.mean(w**2) / np.mean(w) ** 2
    sigma: FloatArray = np.sqrt(along * across / (8 * np.pi**2 * across**2 * np.maximum(above, 1e-9)))
    return sigma


@dataclass(frozen=True, eq=False)
class Places:
    """Spots on the tapered transform.

    Attributes
    ----------
    place : ndarray of float64, shape (m, 2)
        Orders (κx, κy) of the maxima of its modulus.
    amplitude : ndarray of float64, shape (m,)
        Of the wave that the maximum stands for, in the unit of the image.
    rest : ndarray of float64, shape (m,)
        Mean power of the bins around a spot without taper that one wave all over the window leaves over, over the
        variance of white noise of power 1: the noise where there is one wave, more where the lattice varies.
    share : ndarray of float64, shape (m,)
        Part of the power around a spot that is one wave's: about the part of the window that the lattice fills.
    axis : ndarray of float64, shape (m, 2)
        Unit vector along which the spot is longest, in bins.
    """

    place: FloatArray
    amplitude: FloatArray
    rest: FloatArray
    share: FloatArray
    axis: FloatArray

    def take(self, keep: NDArray[np.intp]) -> Places:
        """Return some of the spots."""
        return Places(self.place[keep], self.amplitude[keep], self.rest[keep], self.share[keep], self.axis[keep])


def tapered_places(seen: Transform, order: NDArray[np.intp]) -> Places:
    """Maximise the modulus of the Hann-tapered transform between its bins, near given orders.

    Parameters
    ----------
    seen : Transform
        Of the window.
    order : ndarray of int, shape (m, 2)
        Orders (kx, ky) of local maxima of the power.
    """
    near, offset = _patches(seen, order), np.arange(-_REACH, _REACH + 1)
    delta = np.zeros((len(order), 2))
    h, around = 0.1, np.array([-0.1, 0.0, 0.1])
    for _ in range(5):
        x, y = (_hann(delta[:, a, None] + around, offset) for a in (0, 1))
        q = np.log(np.abs(y @ near @ x.transpose(0, 2, 1)) + 1e-300)
        slope = np.stack([q[:, 1, 2] - q[:, 1, 0], q[:, 2, 1] - q[:, 0, 1]], axis=1) / (2 * h)
        bend = np.stack([q[:, 1, 2] + q[:, 1, 0], q[:, 2, 1] + q[:, 0, 1]], axis=1) - 2 * q[:, 1, 1, None]
        xx, yy = bend.T / h**2
        xy = (q[:, 2, 2] - q[:, 2, 0] - q[:, 0, 2] + q[:, 0, 0]) / (4 * h**2)
        det = xx * yy - xy**2
        good = ((det > 0) & (xx < 0))[:, None]
        newton = np.stack([xy * slope[:, 1] - yy * slope[:, 0], xy * slope[:, 0] - xx * slope[:, 1]], axis=1)
        step = np.where(good, newton / np.where(good, det[:, None], 1.0), h * np.sign(slope))
        delta = np.clip(delta + np.clip(step, -0.3, 0.3), -0.6, 0.6)
    x, y = (_hann(delta[:, a, None], offset)[:, 0] for a in (0, 1))
    peak = 4.0 * np.einsum("mp,mpq,mq->m", y, near, x)
    kernel_x, kernel_y = (_plain(offset - delta[:, a, None]).conj() for a in (0, 1))
    wave = peak[:, None, None] * kernel_y[:, :, None] * kernel_x[:, None]
    rest, both = np.abs(near - wave) ** 2, np.abs(near) ** 2
    core = slice(_REACH - 2, _REACH + 3)
    size = float(np.prod(seen.grid.shape))
    total = both.sum(axis=(1, 2))
    moments = [np.einsum("mpq,p,q->m", both, offset**a, offset**b) for a, b in ((0, 2), (2, 0), (1, 1))]
    angle = 0.5 * np.arctan2(2 * moments[2], moments[0] - moments[1])
    return Places(
        place=order + delta,
        amplitude=2.0 * np.abs(peak) / size,
        rest=rest[:, core, core].mean(axis=(1, 2)) / size,
        share=np.minimum(np.abs(peak) ** 2 / np.maximum(total, 1e-300), 1.0),
        axis=np.stack([np.cos(angle), np.sin(angle)], axis=1),
    )


def _patches(seen: Transform, order: NDArray[np.intp]) -> ComplexArray:
    """Bins without taper around given orders, zero outside the band: shape (m, 2 reach + 1, 2 reach + 1)."""
    grid, offset = seen.grid, np.arange(-_REACH, _REACH + 1)
    kx = (order[:, 0, None] + offset)[:, None]
    ky = (order[:, 1, None] + offset)[..., None]
    row, column = np.where(kx < 0, -ky, ky) + grid.top, np.abs(kx) + 0 * ky
    there = (row >= 0) & (row <= 2 * grid.top) & (column <= grid.right)
    near = seen.plain[np.clip(row, 0, 2 * grid.top), np.clip(column, 0, grid.right)]
    patches: ComplexArray = np.where(kx < 0, near.conj(), near).astype(complex) * there
    return patches


def _plain(u: FloatArray) -> ComplexArray:
    """Dirichlet kernel for many pixels: sinc, with the phase of the window's corner."""
    kernel: ComplexArray = np.sinc(u) * np.exp(1j * np.pi * u)
    return kernel


def _hann(delta: FloatArray, offset: NDArray[np.intp]) -> ComplexArray:
    """Weights of plain bins for the Hann-tapered transform at fractions of a bin, shape (m, trials, offsets)."""
    u = offset - delta[..., None]
    return 0.5 * _plain(u) - 0.25 * (_plain(u + 1) + _plain(u - 1))


def joint_waves(
    data: NDArray[np.float32],
    start: FloatArray,
    valid: NDArray[np.bool_] | None,
    seen: Transform,
    level: Level,
) -> Waves:
    """Fit all waves of a window together, without taper, over a smooth background, by Gauss–Newton.

    Parameters
    ----------
    data : ndarray of float32, shape (ny, nx)
        Intensity less its mean.
    start : ndarray of float64, shape (m, 2)
        Orders (κx, κy) on the tapered transform.
    valid : ndarray of bool, shape (ny, nx), optional
        Pixels that count.
    seen, level : Transform, Level
        Of the window; the level is the noise of the places.

    Returns
    -------
    Waves
        A wave that the fit moves by more than a bin stays where it was, with an error of half a bin.

    Notes
    -----
    The covariance is that of least squares in noise of the power that is there: the level at the spot, weighted as the
    fit weighs it, and around the spot the power that the waves leave over where it is larger. So a lattice that is
    not the same all over the window, whose spot is wider than a wave's, has a larger error, not a wrong one.
    """
    window = _Sums(data, valid, seen.grid.band[0] * 0.5 / np.array(seen.grid.step[::-1]))
    place, coefficient = start.copy(), np.zeros(len(start), complex)
    for round_ in range(_ROUNDS):
        normal, right, _ = window.equations(place, coefficient)
        m = len(place)
        if round_ == 0:
            step = np.zeros(4 * m)
            step[: 2 * m] = _solve(normal[: 2 * m, : 2 * m], right[: 2 * m])
        else:
            step = _solve(normal, right - normal[:, : 2 * m] @ np.concatenate([coefficient.real, coefficient.imag]))
        coefficient = coefficient + step[:m] + 1j * step[m : 2 * m]
        move = np.clip(step[2 * m :].reshape(2, m).T, -0.3, 0.3)
        place = place + move
        if round_ > 1 and np.abs(move).max() < 1e-5:
            break
    normal, _, rest = window.equations(place, coefficient)
    inverse = np.linalg.pinv(normal, hermitian=True)
    at = 2 * m + np.stack([np.arange(m), m + np.arange(m)], axis=1)
    white = inverse[at[:, :, None], at[:, None, :]]
    noise = np.sqrt(_noise(rest, place, seen, level))
    covariance = white * noise[:, :, None] * noise[:, None, :]
    lost = (np.abs(place - start).max(axis=1) > _FURTHEST) | ~np.isfinite(covariance).all(axis=(1, 2))
    place = np.where(lost[:, None], start, place)
    covariance = np.where(lost[:, None, None], 0.25 * np.eye(2), covariance)
    return Waves(place, np.asarray(covariance, dtype=float), np.abs(coefficient))


def _solve(normal: FloatArray, right: FloatArray) -> FloatArray:
    """Solve normal equations that two close waves may leave nearly singular."""
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    scaled = normal / scale / scale[:, None]
    scaled[np.diag_indices_from(scaled)] += 1e-9
    solution: FloatArray = np.linalg.solve(scaled, right / scale) / scale
    return solution


def _noise(rest: FloatArray, place: FloatArray, seen: Transform, level: Level) -> FloatArray:
    """Variance of a pixel of white noise that would give each place the error that the power there gives, (m, 2).

    The place of a wave weighs the power of each bin with the squared modulus of the transform of x times the wave,
    which falls off slowly: strong power far away counts too.
    """
    grid = seen.grid
    left = transform(rest.astype(np.float32), grid).power
    smooth = sum(np.roll(left, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)) / 9.0
    noise = level.cells[grid.cell]
    power = np.where(grid.inside & (smooth < _LEFT_OVER * noise), noise, smooth)
    power[: grid.top + 1, 0] = power[grid.top :, 0][::-1]
    power = np.concatenate([power[::-1, :0:-1], power], axis=1)
    beyond = float(np.median(power[0]))
    weights = []
    for axis, most in ((0, grid.right), (1, grid.top)):
        n = grid.shape[1 - axis]
        u = (np.arange(n) - 0.5 * (n - 1)) / n
        wave = np.exp(2j * np.pi * place[:, axis, None] * u)
        bins = np.exp(-2j * np.pi * np.arange(-most, most + 1)[:, None] * u)
        weights.append([np.abs((wave * u**p) @ bins.T) ** 2 / (n * n * (1 / 12 if p else 1)) for p in (0, 1)])
    result = np.empty((len(place), 2))
    for axis in (0, 1):
        wx, wy = weights[0][1 - axis], weights[1][axis]
        held = wx.sum(axis=1) * wy.sum(axis=1)
        result[:, axis] = np.einsum("mr,rc,mc->m", wy, power, wx) + np.maximum(0.0, 1.0 - held) * beyond
    return result


class _Sums:
    """Sums over the pixels of one window, as products of sums along its sides.

    Parameters
    ----------
    data : ndarray of float32, shape (ny, nx)
        Intensity less its mean.
    valid : ndarray of bool, optional
        Pixels that count.
    lowest : ndarray of float64, shape (2,)
        Orders along x and y below which all is background: cosine modes that the fit leaves free.
    """

    def __init__(self, data: NDArray[np.float32], valid: NDArray[np.bool_] | None, lowest: FloatArray) -> None:
        self.data = data.astype(float) if valid is None else np.where(valid, data, 0.0).astype(float)
        self.valid = valid
        self.uy, self.ux = ((np.arange(n) - 0.5 * (n - 1)) / n for n in data.shape)
        self.holes = np.zeros((2, 0), np.intp) if valid is None else np.array(np.nonzero(~valid))
        most = np.minimum(2.0 * lowest, _LOW_MODES)  # a cosine mode is half a bin
        kx, ky = np.meshgrid(np.arange(int(most[0]) + 1), np.arange(int(most[1]) + 1))
        low = np.hypot(kx / max(most[0], 1e-9), ky / max(most[1], 1e-9)) < 1.0
        self.mode_x, self.mode_y = (_modes(u, int(m) + 1) for u, m in zip((self.ux, self.uy), most, strict=True))
        self.kx, self.ky = kx[low], ky[low]
        self.smooth = np.einsum("ky,yx,jx->kj", self.mode_y, self.data, self.mode_x, optimize=True)[self.ky, self.kx]
        gram = np.eye(self.kx.size)
        for iy, ix in self._blocks():
            q = self.mode_y[self.ky][:, iy] * self.mode_x[self.kx][:, ix]
            gram -= q @ q.T
        self.inverse = np.linalg.pinv(gram, hermitian=True)

    def _blocks(self) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Pixels that do not count, in parts that fit into memory."""
        count = -(-self.holes.shape[1] // 4096)
        return [(part[0], part[1]) for part in np.array_split(self.holes, count, axis=1)] if count else []

    def equations(self, place: FloatArray, coefficient: ComplexArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the normal matrix and right side, (4m, 4m) and (4m,), and the residual, (ny, nx).

        Unknowns: real parts, imaginary parts of the coefficients, steps of κx, steps of κy. All are real parts of
        w f, f one of e^iφ, x e^iφ, y e^iφ, so that every sum of two is ½ Re(w v* Σ f g* + w v Σ f g).
        """
        m = len(place)
        ex, ey = (np.exp(2j * np.pi * place[:, a, None] * u) for a, u in ((0, self.ux), (1, self.uy)))
        function = np.repeat(np.array([0, 0, 1, 2]), m) * m + np.tile(np.arange(m), 4)
        turn = 2j * np.pi * coefficient
        weight = np.concatenate([np.ones(m), 1j * np.ones(m), turn, turn])
        minus, plus, with_data, with_modes = self._products(ex, ey)
        take = np.ix_(function, function)
        normal = 0.5 * np.real(np.outer(weight, weight.conj()) * minus[take] + np.outer(weight, weight) * plus[take])
        right = np.real(weight * with_data[function])
        shared = np.real(weight[:, None] * with_modes[function])
        normal -= shared @ self.inverse @ shared.T
        right -= shared @ self.inverse @ self.smooth
        waves = np.real(np.einsum("m,my,mx->yx", coefficient, ey, ex, optimize=True))
        left = self.smooth - shared[: 2 * m].T @ np.concatenate([coefficient.real, coefficient.imag])
        background = np.zeros((self.mode_y.shape[0], self.mode_x.shape[0]))
        background[self.ky, self.kx] = self.inverse @ left
        rest = self.data - waves - self.mode_y.T @ background @ self.mode_x
        return normal, right, rest if self.valid is None else np.where(self.valid, rest, 0.0)

    def _products(
        self, ex: ComplexArray, ey: ComplexArray
    ) -> tuple[ComplexArray, ComplexArray, ComplexArray, ComplexArray]:
        """Return sums of f g*, of f g, of f with the data and with the smooth modes; f is wave, x wave, y wave."""
        m = len(ex)
        powers = [(0, 0), (1, 0), (0, 1)]
        x = [ex * self.ux**p for p in range(3)]
        y = [ey * self.uy**p for p in range(3)]
        sums = []
        for other_x, other_y in ((ex.conj(), ey.conj()), (ex, ey)):
            along, across = [a @ other_x.T for a in x], [a @ other_y.T for a in y]
            blocks = [[along[a + c] * across[b + d] for c, d in powers] for a, b in powers]
            sums.append(np.block(blocks))
        minus, plus = sums
        columns = np.concatenate([x[0], x[1]]).T
        part = self.data @ columns.real + 1j * (self.data @ columns.imag)
        with_data = np.concatenate([np.einsum("my,ym->m", y[b], part[:, a * m : (a + 1) * m]) for a, b in powers])
        modes = [(y[b] @ self.mode_y.T)[:, self.ky] * (x[a] @ self.mode_x.T)[:, self.kx] for a, b in powers]
        with_modes = np.concatenate(modes)
        for iy, ix in self._blocks():
            f = np.concatenate([y[b][:, iy] * x[a][:, ix] for a, b in powers])
            minus -= f @ f.conj().T
            plus -= f @ f.T
            with_modes -= f @ (self.mode_y[self.ky][:, iy] * self.mode_x[self.kx][:, ix]).T
        return minus, plus, with_data, with_modes


def _modes(u: FloatArray, count: int) -> FloatArray:
    """Orthonormal cosine modes along one side, shape (count, n)."""
    n = u.size
    modes = np.cos(np.pi * np.arange(count)[:, None] * (u + 0.5)) * np.sqrt(2.0 / n)
    modes[0] = np.sqrt(1.0 / n)
    return np.asarray(modes, dtype=float)
