"""The line profile of a divergent-beam diffractometer from its geometry: a fundamental-parameters model.

Rays are traced from points of the focus over points of the specimen to points of the receiving slit, and the angle
that each ray is really scattered by is compared with the angle that the instrument shows. That covers, without
approximation and with their correlations, axial divergence behind Soller slits, the flat specimen and transparency
(the aberrations of Cheary & Coelho 1992, J. Appl. Cryst. 25, 109; 1998, 31, 851). The widths of focus and slit, tube
tails, displacement and the sample's own Lorentzian broadening are convolved in Fourier space, and the emission
spectrum is mapped through Bragg's law (Cheary, Coelho & Cline 2004, J. Res. NIST 109, 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...radiation import FloatArray, lorentz_polarisation
from ..geometry import Geometry
from ..model import Diffractometer
from .emission import CU_K_ALPHA, EmissionLine, spectral_density

__all__ = ["line_profile", "ray_offsets"]

STEP = 0.002
"""Grid of the calculation in degrees 2θ: a fiftieth of the narrowest laboratory line."""
_RAYS = 14  # 2**14 rays: a mean shift is then stable to 1e-5 degrees
_SHIFT = np.sqrt([2.0, 3.0, 5.0, 7.0, 11.0])  # off the corners of the grid, the same in every version of scipy
_DEGREE = 180.0 / math.pi
_SPECTRUM = 0.02  # the spectrum is followed over this relative range of wavelength to either side
_LEAST_REACH, _MOST_REACH, _KERNEL_REACH = 1.2, 8.0, 0.8  # degrees
_LENGTHS = ("source_length_mm", "specimen_length_mm", "slit_length_mm")
_TRACED = (*_LENGTHS, "divergence_deg", "soller_deg", "attenuation_per_mm")
_FIRST_ANGLE, _LAST_ANGLE = 0.5, 179.5


@lru_cache(maxsize=1)
def _points() -> FloatArray:
    """Evenly spread points in the unit cube of five dimensions, shape (5, 2**14); always the same."""
    from scipy.stats import qmc

    even = qmc.Sobol(5, scramble=False).random_base2(_RAYS)
    return np.ascontiguousarray(((even + _SHIFT) % 1.0).T, dtype=np.float64)


def ray_offsets(
    geometry: Geometry, two_theta: float, radius_mm: float, height_mm: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Trace rays that are scattered into the receiving slit of an instrument set to ``two_theta``.

    The widths of focus and slit are left out, so that an ideal instrument gives zeros.

    Parameters
    ----------
    geometry : Geometry
    two_theta : float
        Degrees.
    radius_mm : float
        Of the goniometer.
    height_mm : float
        Of the specimen's surface over the axis, towards focus and slit: a displacement with the opposite sign.

    Returns
    -------
    offset : ndarray, shape (m,)
        Degrees 2θ from the true to the apparent position of a line, ray by ray.
    weight : ndarray, shape (m,)
        What the Soller slits let through.
    """
    theta = math.radians(two_theta) / 2.0
    unit = _points()
    angle = np.radians(geometry.divergence_deg) * (unit[0] - 0.5)
    source = geometry.source_length_mm * (unit[1] - 0.5)
    specimen = geometry.specimen_length_mm * (unit[2] - 0.5)
    slit = geometry.slit_length_mm * (unit[3] - 0.5)
    depth = np.zeros_like(angle)
    if geometry.attenuation_per_mm is not None:  # in and out under θ: exp(−2 μ t / sin θ)
        depth = -np.log1p(-unit[4]) * math.sin(theta) / (2.0 * geometry.attenuation_per_mm)
    # surface along x, its normal y, axis z; the focus stands left, the slit right, both at the radius
    far, high = radius_mm * math.cos(theta), radius_mm * math.sin(theta)
    y = height_mm - depth
    x = -far + (high - y) / np.tan(theta + angle)
    inward = (x + far, y - high, specimen - source)
    outward = (far - x, high - y, slit - specimen)
    weight = np.ones_like(angle)
    if geometry.soller_deg is not None:
        half = math.radians(geometry.soller_deg) / 2.0
        for ray in (inward, outward):
            weight *= np.maximum(1.0 - np.abs(ray[2]) / np.hypot(ray[0], ray[1]) / half, 0.0)
    across = np.cross(np.stack(inward, axis=1), np.stack(outward, axis=1))
    along = sum(p * q for p, q in zip(inward, outward, strict=True))
    scattered = np.arctan2(np.sqrt((across**2).sum(axis=1)), along)
    return _DEGREE * (2.0 * theta - scattered), weight


@lru_cache(maxsize=1024)
def _traced(geometry: Geometry, two_theta: float, radius_mm: float, size: int) -> NDArray[np.complex128]:
    """Fourier transform of the traced offsets on ``size`` points of the grid, offset 0 at index 0."""
    offset, weight = ray_offsets(geometry, two_theta, radius_mm)
    place = offset / STEP
    left = np.floor(place)
    part = place - left  # shared between the two neighbours, so that the mean is kept
    index = left.astype(np.int64)
    kernel = np.bincount(index % size, weight * (1.0 - part), size)
    kernel += np.bincount((index + 1) % size, weight * part, size)
    transform: NDArray[np.complex128] = np.fft.rfft(kernel / kernel.sum())
    return transform


def _traced_part(geometry: Geometry) -> Geometry:
    """Keep what rays depend on, so that a change of anything else finds the traced kernel again."""
    return Geometry(**{name: getattr(geometry, name) for name in _TRACED})


def _widths(geometry: Geometry, frequency: FloatArray, radius_mm: float) -> NDArray[np.complex128]:
    """Transform of focus, tails and slit: boxes whose width in 2θ is their width over the radius."""
    unit = _DEGREE / radius_mm
    focus = np.sinc(frequency * geometry.source_width_mm * unit).astype(np.complex128)
    if geometry.tail_share > 0.0:
        low, high = geometry.tail_low_mm * unit, geometry.tail_high_mm * unit
        box = np.sinc(frequency * (low + high)) * np.exp(-1j * math.pi * frequency * (high - low))
        focus = (1.0 - geometry.tail_share) * focus + geometry.tail_share * box
    slit = np.sinc(frequency * geometry.slit_width_mm * unit)
    share = np.maximum(np.sinc(frequency * STEP), 0.3) ** 2  # undoes the sharing between neighbours of the grid
    out: NDArray[np.complex128] = focus * slit / share
    return out


def line_profile(
    two_theta: FloatArray,
    d: float,
    geometry: Geometry,
    instrument: Diffractometer,
    *,
    size_nm: float = math.inf,
    microstrain_ppm: float = 0.0,
    lines: Sequence[EmissionLine] = CU_K_ALPHA,
    traced_at: float | None = None,
) -> FloatArray:
    """Profile of one reflection, Kα1 and Kα2 together.

    Parameters
    ----------
    two_theta : ndarray, shape (n,)
        Degrees.
    d : float
        Lattice spacing in Å.
    geometry : Geometry
    instrument : Diffractometer
        Radius, displacement, zero and polarisation.
    size_nm, microstrain_ppm : float
        In the conventions of `layerscope.diffraction.rietveld.model`.
    lines : sequence of EmissionLine
    traced_at : float, optional
        Lattice spacing in Å at which rays are traced; near ``d``, so that a refined cell does not trace anew.

    Returns
    -------
    ndarray, shape (n,)
        Per degree; the area is that of the spectrum, weighted with Lorentz and polarisation factor relative to the
        first line, and zero beyond 2 % of the wavelength.
    """
    first = lines[0].wavelength
    if first >= 2.0 * d:
        return np.zeros_like(two_theta)
    theta0 = math.asin(first / (2.0 * d))
    reach = min(max(2.0 * _DEGREE * math.tan(theta0) * _SPECTRUM, _LEAST_REACH), _MOST_REACH)
    size = 1 << math.ceil(math.log2((2.0 * reach + _KERNEL_REACH) / STEP))
    grid: FloatArray = 2.0 * _DEGREE * theta0 + STEP * (np.arange(size, dtype=np.float64) - size // 2)
    frequency = np.asarray(np.fft.rfftfreq(size, STEP), dtype=np.float64)
    still, total = _traced_part(geometry), np.zeros(frequency.size, dtype=np.complex128)
    for member in (1, 2):  # far apart at high angles, where each has its own aberrations
        chosen = [line for line in lines if line.member == member]
        sine = chosen[0].wavelength / (2.0 * (traced_at or d)) if chosen else 1.0
        if sine < 1.0:
            kernel = _traced(still, round(2.0 * _DEGREE * math.asin(sine), 6), instrument.radius_mm, size)
            total += np.fft.rfft(_mapped(grid, d, chosen, first, geometry, instrument.polarisation)) * kernel
    lorentz = microstrain_ppm * 1e-6 * _DEGREE * math.tan(theta0)
    lorentz += _DEGREE * first / (10.0 * size_nm * math.cos(theta0)) if math.isfinite(size_nm) else 0.0
    shift = instrument.zero - 2.0 * _DEGREE * instrument.displacement_mm / instrument.radius_mm * math.cos(theta0)
    total *= _widths(geometry, frequency, instrument.radius_mm)
    total *= np.exp(-math.pi * lorentz * frequency - 2j * math.pi * shift * frequency)
    return np.asarray(np.interp(two_theta, grid, np.fft.irfft(total, size), left=0.0, right=0.0), dtype=np.float64)


def _mapped(
    grid: FloatArray, d: float, lines: Sequence[EmissionLine], about: float, geometry: Geometry, polarisation: float
) -> FloatArray:
    """Spectrum per degree of true 2θ, with the Lorentz and polarisation factor relative to the middle of the grid."""
    angle = np.clip(grid, _FIRST_ANGLE, _LAST_ANGLE)
    theta = np.radians(angle) / 2.0
    factor = lorentz_polarisation(angle, polarisation)
    factor /= factor[grid.size // 2]
    factor *= (grid > _FIRST_ANGLE) & (grid < _LAST_ANGLE)
    density = spectral_density(
        2.0 * d * np.sin(theta),
        lines,
        width=geometry.emission_width,
        slope_per_ev=geometry.passband_per_ev,
        about=about,
    )
    return np.asarray(density * factor * d * np.cos(theta) / _DEGREE, dtype=np.float64)  # dλ/d(2θ) = d cos θ
