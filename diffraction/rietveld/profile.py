"""A quick powder pattern of one phase per unit weight, and the linear test whether a residual asks for that phase.

This is a screen, not an engine: pseudo-Voigt lines without axial divergence and without dispersion. It decides which
trial refinements are worth running, and it estimates the fraction of a phase that is *not* in the accepted model,
free of the bound at zero that a refined scale has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerscope.crystals import cell_content, reflections
from layerscope.fitting.banded_discrepancy import LongPattern
from layerscope.fitting.discrepancy import Discrepancy

from ..radiation import lorentz_polarisation
from ..widths import tch_width_and_mixing
from .discrepancy import linearised
from .model import FloatArray, Instrument, PowderPhase, Problem
from .result import RietveldResult

__all__ = ["LinearTest", "absent_phase_test", "texture_factor", "unit_weight_pattern"]

_DEGREE = 180.0 / math.pi
_TAIL = 25.0  # half-widths of a line that are drawn


@dataclass(frozen=True)
class LinearTest:
    """Amount of an absent phase in a residual: weight fraction (may be negative), its esd, and z = amount / esd.

    ``model`` is the part of ``sigma`` that wrong shapes of the lines of present phases bring.
    """

    fraction: float
    sigma: float
    z: float
    model: float = 0.0


def _widths(phase: PowderPhase, instrument: Instrument, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """FWHM and mixing of the pseudo-Voigt at θ (radian)."""
    tan, cos = np.tan(theta), np.cos(theta)
    gauss = np.sqrt(np.maximum(instrument.u * tan**2 + instrument.v * tan + instrument.w, 1e-8))
    size = _DEGREE * instrument.wavelengths[0] / (10.0 * phase.size_nm) if math.isfinite(phase.size_nm) else 0.0
    lorentz = np.maximum((instrument.x + size) / cos + (instrument.y + _DEGREE * 1e-6 * phase.microstrain_ppm) * tan, 0)
    return tch_width_and_mixing(gauss, lorentz)[:2]


def unit_weight_pattern(phase: PowderPhase, instrument: Instrument, two_theta: FloatArray) -> FloatArray:
    """Intensity of one unit of weight, shape (n,), in an arbitrary unit common to all phases."""
    wave = instrument.wavelengths[0]
    lines = reflections(phase, 0.999 * wave / (2.0 * math.sin(math.radians(float(two_theta[-1]) / 2.0))))
    mass, volume = cell_content(phase)
    out = np.zeros_like(two_theta)
    for wavelength, share in zip(instrument.wavelengths, (1.0, instrument.ratio), strict=False):
        angle = lines.two_theta(wavelength)
        use = np.isfinite(angle) & (lines.f2 > 1e-6 * lines.f2.max())
        theta = np.radians(angle[use] / 2.0)
        lorentz = lorentz_polarisation(angle[use], instrument.polarisation)
        area = share * lines.multiplicity[use] * lines.f2[use] * lorentz / (mass * volume)
        area *= texture_factor(phase, lines.hkl[use])
        shift = -2.0 * instrument.displacement_mm / instrument.radius_mm * np.cos(theta) * _DEGREE + instrument.zero
        fwhm, eta = _widths(phase, instrument, theta)
        for centre, strength, width, mix in zip(angle[use] + shift, area, fwhm, eta, strict=True):
            first, last = np.searchsorted(two_theta, [centre - _TAIL * width, centre + _TAIL * width])
            t = (two_theta[first:last] - centre) / width
            gauss = math.sqrt(4.0 * math.log(2.0) / math.pi) * np.exp(-4.0 * math.log(2.0) * t**2)
            out[first:last] += strength / width * (mix * 2.0 / math.pi / (1.0 + 4.0 * t**2) + (1.0 - mix) * gauss)
    return out


def texture_factor(phase: PowderPhase, hkl: FloatArray) -> FloatArray:
    """Return the March–Dollase factor, shape (n,), for basal textures of uniaxial cells; 1 where it does not apply."""
    axis = phase.texture_axis
    if axis is None or phase.march == 1.0 or axis[:2] != (0, 0):
        return np.ones(len(hkl))
    a, c = phase.cell[0], phase.cell[2]
    h, k, m = hkl.T
    mixed = h * k if abs(phase.cell[5] - 120.0) < 1e-6 else 0.0
    scale = 4.0 / 3.0 if abs(phase.cell[5] - 120.0) < 1e-6 else 1.0
    across, along = scale * (h * h + k * k + mixed) / a**2, (m / c) ** 2
    cos2 = along / np.maximum(across + along, 1e-30)
    r = phase.march
    return np.asarray((r * r * cos2 + (1.0 - cos2) / r) ** -1.5, dtype=np.float64)


def absent_phase_test(
    result: RietveldResult,
    problem: Problem,
    name: str,
    known: Discrepancy | None = None,
    others: Sequence[PowderPhase] = (),
) -> LinearTest:
    """Regress the residual on the phase's pattern beside the background and the intensity of what is there.

    The weighted least squares of ``residual = p·pattern + q·(calculated − background) + Chebyshev`` gives the amount
    of the phase at its last known cell; the amounts of the present phases come from the same patterns, so that
    constants of the quick model cancel in the fraction. Where a discrepancy is known, the pattern stands beside all
    that the engine refined, in one generalised step.

    Parameters
    ----------
    result : RietveldResult
        A fit without the phase.
    problem : Problem
        Holds the phase ``name`` and those of the result.
    known : Discrepancy, optional
        Of the shapes of lines; it needs the derivatives of the engine.
    others : sequence of PowderPhase
        Other cells and sizes that the phase may have: the test that allows most of it is returned.
    """
    curves = result.curves
    x, signal = curves.two_theta, curves.calculated - curves.background
    phases = (problem.phase(name), *others)
    units = np.stack([unit_weight_pattern(phase, problem.instrument, x) for phase in phases])
    present = _amount_present(result, problem, signal, x)
    linear = None if known is None or known.amplitude == 0.0 else linearised(result)
    if known is not None and linear is not None:
        amounts = _generalised(linear[0], units, known)
    else:
        amounts = [_regressed(result, problem, unit, signal) for unit in units]
    tests = [_test(present, *amount) for amount in amounts]
    return max(tests, key=lambda test: max(test.fraction, 0.0) + 2.0 * test.sigma)


def _test(present: float, amount: float, counting: float, model: float) -> LinearTest:
    sigma, total = math.hypot(counting, model), present + max(amount, 0.0)
    if total <= 0.0 or sigma <= 0.0:
        return LinearTest(0.0, math.inf, 0.0)
    return LinearTest(amount / total, sigma / total, amount / sigma, model / total)


def _regressed(
    result: RietveldResult, problem: Problem, unit: FloatArray, signal: FloatArray
) -> tuple[float, float, float]:
    """Return the amount and its esd, and 0, beside the background and the intensity of what is there."""
    x, sigma = result.curves.two_theta, result.curves.sigma
    scaled = 2.0 * (x - x[0]) / (x[-1] - x[0]) - 1.0
    nuisance = np.polynomial.chebyshev.chebvander(scaled, problem.background.terms - 1).T
    design = np.vstack([unit, signal, nuisance]) / sigma
    norm = np.linalg.norm(design, axis=1)
    norm[norm == 0.0] = 1.0
    design = (design.T / norm).astype(np.float64)
    solution, *_ = np.linalg.lstsq(design, result.curves.residual, rcond=None)
    covariance = np.linalg.pinv(design.T @ design)
    noise = max(result.gof, 1.0)
    return float(solution[0] / norm[0]), noise * math.sqrt(max(covariance[0, 0], 0.0)) / float(norm[0]), 0.0


def _generalised(pattern: LongPattern, units: FloatArray, known: Discrepancy) -> list[tuple[float, float, float]]:
    """Return the amount by each pattern after a generalised step, its raw esd, and what shapes and step add to it."""
    columns = (units / pattern.sigma).T
    plain = pattern.beside(Discrepancy(0.0, known.length), columns)
    found = pattern.beside(known, columns)
    counting = 1.0 / np.sqrt(plain.weight)
    whole = np.maximum(found.noise / found.weight + (found.amount - plain.amount) ** 2, counting**2)
    return list(zip(found.amount.tolist(), counting.tolist(), np.sqrt(whole - counting**2).tolist(), strict=True))


def _amount_present(result: RietveldResult, problem: Problem, signal: FloatArray, x: FloatArray) -> float:
    """Total weight of the fitted phases in the quick model's unit, from the total calculated intensity."""
    mixture = np.zeros_like(x)
    for phase in result.phases:
        share = 1.0 if len(result.phases) == 1 else max(phase.weight_fraction.value, 0.0)
        mixture += share * unit_weight_pattern(problem.phase(phase.name), problem.instrument, x)
    return float(signal.sum() / mixture.sum()) if mixture.sum() > 0 else 0.0
