"""Images of atoms in the electron microscope by the multislice method; nothing of layerscope.

Formulas: Kirkland, *Advanced Computing in Electron Microscopy*, 2nd ed. (2010), chapters 5 and 6. A slice advances the
phase of the wave by its projected potential, and the wave goes on to the next slice by the Fresnel propagator. Fourier
components of the phase are ``gamma lambda f(g)`` per area, f the electron form factor in Å: five Gaussians, Peng, Ren,
Dudarev & Whelan (1996), Acta Cryst. A52, 257.

An array is ``(y, x)``, y runs down, lengths are in Å, the beam goes along +z. Everything is in double precision, and
the expected image is rounded before counts are drawn, so that another machine draws the same counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

FORM_FACTORS = {
    "Li": ((0.0750, 0.2249, 0.5548, 1.4954, 0.9354), (0.3864, 2.9383, 15.3829, 53.5545, 138.7337)),
    "B": ((0.0909, 0.2551, 0.7738, 1.2136, 0.4606), (0.2995, 2.1155, 8.3816, 24.1292, 63.1314)),
    "C": ((0.0893, 0.2563, 0.7570, 1.0487, 0.3575), (0.2465, 1.7100, 6.4094, 18.6113, 50.2523)),
    "O": ((0.0974, 0.2921, 0.6910, 0.6990, 0.2039), (0.2067, 1.3815, 4.6943, 12.7105, 32.4726)),
    "F": ((0.1083, 0.3175, 0.6487, 0.5846, 0.1421), (0.2057, 1.3439, 4.2788, 11.3932, 28.7881)),
    "Co": ((0.4118, 1.3161, 1.6493, 2.1930, 1.2830), (0.2742, 2.0372, 7.7205, 29.9680, 84.9383)),
}
"""``a_i`` (Å) and ``b_i`` (Å^2) of f(s) = sum a_i exp(-b_i s^2), s = g/2 in 1/Å, neutral atoms."""

B_ISO = {"Li": 1.0, "B": 0.8, "C": 0.8, "O": 0.5, "F": 0.6, "Co": 0.3}
"""Displacement factors, Å^2."""

SPREAD = 6
"""Points in each direction over which an atom is spread: a spline of fifth degree, whose transform is divided out."""


@dataclass(frozen=True)
class Atoms:
    """Positions (x, y, z) in Å, shape (n, 3), and the element of each, shape (n,)."""

    position: FloatArray
    element: NDArray[np.str_]

    @staticmethod
    def join(parts: Sequence[Atoms]) -> Atoms:
        """Return all of them."""
        return Atoms(np.concatenate([p.position for p in parts]), np.concatenate([p.element for p in parts]))

    def where(self, keep: NDArray[np.bool_]) -> Atoms:
        """Return some of them."""
        return Atoms(self.position[keep], self.element[keep])


@dataclass(frozen=True)
class Microscope:
    """An aberration-corrected microscope: negative spherical aberration, over-focus, atoms bright.

    Attributes
    ----------
    kilovolt : float
    cs_mm, defocus_nm : float
        Spherical aberration; defocus, positive over focus.
    focal_spread_nm : float
        Standard deviation of the defocus.
    convergence_mrad : float
        Half angle of the illumination.
    astigmatism_nm, astigmatism_deg : float
        Two-fold: amplitude, and direction in which it adds to the defocus.
    """

    kilovolt: float = 300.0
    cs_mm: float = -0.008
    defocus_nm: float = 6.0
    focal_spread_nm: float = 3.5
    convergence_mrad: float = 0.1
    astigmatism_nm: float = 0.0
    astigmatism_deg: float = 0.0

    @property
    def wavelength(self) -> float:
        """In Å."""
        return float(12.2643 / np.sqrt(1e3 * self.kilovolt * (1.0 + 0.978459e-3 * self.kilovolt)))

    @property
    def gamma(self) -> float:
        """Mass over rest mass."""
        return 1.0 + self.kilovolt / 510.99895

    def transfer(self, gx: FloatArray, gy: FloatArray) -> NDArray[np.complex128]:
        """Return what the lens makes of waves at (gx, gy), 1/Å: phase, and envelopes of focal spread and source."""
        wave, cs = self.wavelength, 1e7 * self.cs_mm
        square, angle = gx**2 + gy**2, np.arctan2(gy, gx)
        stigma = self.astigmatism_nm * np.cos(2.0 * (angle - np.radians(self.astigmatism_deg)))
        focus = 10.0 * (self.defocus_nm + stigma)
        chi = np.pi * wave * focus * square + 0.5 * np.pi * cs * wave**3 * square**2
        temporal = 0.5 * (np.pi * wave * 10.0 * self.focal_spread_nm * square) ** 2
        slope = (focus * wave + cs * wave**3 * square) ** 2 * square
        spatial = (np.pi * 1e-3 * self.convergence_mrad / wave) ** 2 * slope
        return np.asarray(np.exp(-1j * chi - temporal - spatial))


@dataclass(frozen=True)
class Grid:
    """Pixels of the simulation: rows, columns, and their size in Å; periodic."""

    ny: int
    nx: int
    pixel: float

    def frequencies(self) -> tuple[FloatArray, FloatArray]:
        """Return gx, shape (1, nx), and gy, shape (ny, 1), in 1/Å."""
        return scipy.fft.fftfreq(self.nx, self.pixel)[None, :], scipy.fft.fftfreq(self.ny, self.pixel)[:, None]


def form_factor(element: str, g: FloatArray) -> FloatArray:
    """Return the electron form factor with the displacement factor at |g| in 1/Å, in Å."""
    a, b = FORM_FACTORS[element]
    s2 = 0.25 * g**2
    total = np.zeros_like(s2)
    for height, width in zip(a, b, strict=True):
        total += height * np.exp(-(width + B_ISO[element]) * s2)
    return total


def exit_wave(
    atoms: Atoms,
    grid: Grid,
    thickness: float,
    microscope: Microscope,
    slice_thickness: float = 2.0,
    more: Callable[[float, float], FloatArray] | None = None,
) -> NDArray[np.complex128]:
    """Return the wave behind the sample of an incident plane wave of amplitude 1, shape (ny, nx).

    Parameters
    ----------
    atoms : Atoms
        Positions with 0 <= z < thickness; x and y are taken modulo the grid.
    grid : Grid
    thickness, slice_thickness : float
        In Å.
    microscope : Microscope
    more : callable, optional
        Phase that a slice from z0 to z1 adds beyond its atoms, shape (ny, nx).
    """
    gx, gy = grid.frequencies()
    g = np.hypot(gx, gy)
    inside = g < 2.0 / 3.0 * 0.5 / grid.pixel
    count = max(1, round(thickness / slice_thickness))
    step = thickness / count
    propagate = np.where(inside, np.exp(-1j * np.pi * microscope.wavelength * step * g**2), 0.0)
    half = g[:, : grid.nx // 2 + 1]
    scale = microscope.gamma * microscope.wavelength / (grid.pixel**2 * _spline_transform(grid))
    factors = {str(e): scale * form_factor(str(e), half) * inside[:, : half.shape[1]] for e in np.unique(atoms.element)}
    layer = np.minimum((atoms.position[:, 2] / step).astype(int), count - 1)
    order = np.argsort(layer, kind="stable")
    bounds = np.searchsorted(layer[order], np.arange(count + 1))
    wave = np.ones((grid.ny, grid.nx), dtype=np.complex128)
    for number in range(count):
        here = atoms.where(order[bounds[number] : bounds[number + 1]])
        total = np.zeros(half.shape, dtype=np.complex128)
        for element, factor in factors.items():
            chosen = here.element == element
            if chosen.any():
                total += factor * scipy.fft.rfft2(_spread(here.position[chosen, :2], grid))
        phase = scipy.fft.irfft2(total, s=wave.shape)
        if more is not None:
            phase += more(number * step, (number + 1) * step)
        wave = scipy.fft.ifft2(propagate * scipy.fft.fft2(wave * np.exp(1j * phase)))
    return wave


def expected_image(wave: NDArray[np.complex128], grid: Grid, microscope: Microscope) -> FloatArray:
    """Return the intensity in the image plane, 1 where there is no sample."""
    gx, gy = grid.frequencies()
    return np.asarray(np.abs(scipy.fft.ifft2(scipy.fft.fft2(wave) * microscope.transfer(gx, gy))) ** 2)


def detect(
    rng: np.random.Generator, intensity: FloatArray, pixel: float, dose: float, gain: float = 20.0, dark: float = 100.0
) -> NDArray[np.uint16]:
    """Return what a camera writes of an image: Poisson counts of electrons, times a gain, above a dark level.

    Parameters
    ----------
    rng : Generator
    intensity : ndarray, shape (ny, nx)
        1 where there is no sample.
    pixel, dose : float
        Å; electrons per Å^2.
    gain, dark : float
        Numbers of the file per electron, and without any.
    """
    electrons = rng.poisson(np.round(intensity * dose * pixel**2, 4))
    return np.minimum(np.rint(dark + gain * electrons), 65535).astype(np.uint16)


def _spread(position: FloatArray, grid: Grid) -> FloatArray:
    """Return atoms as splines of fifth degree on the grid, each of sum 1, shape (ny, nx)."""
    place = position / grid.pixel
    first = np.floor(place).astype(int) - SPREAD // 2 + 1
    weights = [_spline(place[:, k : k + 1] - first[:, k : k + 1] - np.arange(SPREAD)) for k in (0, 1)]
    column = (first[:, :1] + np.arange(SPREAD)) % grid.nx
    row = (first[:, 1:] + np.arange(SPREAD)) % grid.ny
    flat = (row[:, :, None] * grid.nx + column[:, None, :]).ravel()
    share = (weights[1][:, :, None] * weights[0][:, None, :]).ravel()
    return np.bincount(flat, share, minlength=grid.ny * grid.nx).reshape(grid.ny, grid.nx)


def _spline(x: FloatArray) -> FloatArray:
    """Return the centred basis spline of fifth degree."""
    signs, total = (1, -6, 15, -20, 15, -6), np.zeros_like(x)
    for k, sign in enumerate(signs):
        total += sign * np.maximum(x + 3.0 - k, 0.0) ** 5
    return np.where(np.abs(x) < 3.0, total / 120.0, 0.0)


def _spline_transform(grid: Grid) -> FloatArray:
    gx, gy = grid.frequencies()
    return np.asarray((np.sinc(gx[:, : grid.nx // 2 + 1] * grid.pixel) * np.sinc(gy * grid.pixel)) ** SPREAD)
