"""Simulate XPS regions from their formula, with Poisson noise that is the same on every run.

Nothing here comes from layerscope: the formulas are written again, so that the truth of a case does not rest on the
code it tests.

Expectation of one channel, in counts, at binding energy ``E`` (eV)::

    mu(E) = b0 + b1 (E - E_ref) + sum_i area_i [ s_i(E) + k I_i(E) ]

with ``s_i`` a unit-area pseudo-Voigt in its sum form and ``I_i`` its integral from the low-binding-energy side, so that
``k`` (1/eV) is the strength of an *active* Shirley background: it rises with the peaks of the region themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

FloatArray = NDArray[np.float64]
CountArray = NDArray[np.int64]

EXCITATION_ENERGY_EV = 1486.6
"""Al K-alpha, eV."""

SEED = 20250917
"""First word of every random stream; the others are case, file, level and region."""

_LN2 = float(np.log(2.0))


def pseudo_voigt(x: FloatArray, center: float, fwhm: float, mixing: float) -> FloatArray:
    """Return the unit-area pseudo-Voigt, shape ``(n,)``, 1/eV; ``mixing`` is the Lorentzian share of the area."""
    gauss = 2.0 / fwhm * np.sqrt(_LN2 / np.pi) * np.exp(-4.0 * _LN2 * ((x - center) / fwhm) ** 2)
    lorentz = 0.5 * fwhm / np.pi / ((x - center) ** 2 + 0.25 * fwhm**2)
    return np.asarray((1.0 - mixing) * gauss + mixing * lorentz)


def pseudo_voigt_integral(x: FloatArray, center: float, fwhm: float, mixing: float) -> FloatArray:
    """Return the integral of :func:`pseudo_voigt` from minus infinity to ``x``, shape ``(n,)``, between 0 and 1."""
    gauss = 0.5 * (1.0 + erf(2.0 * np.sqrt(_LN2) * (x - center) / fwhm))
    lorentz = 0.5 + np.arctan(2.0 * (x - center) / fwhm) / np.pi
    return np.asarray((1.0 - mixing) * gauss + mixing * lorentz)


@dataclass(frozen=True)
class Line:
    """One photoemission line as it is simulated: position without charging (eV), FWHM (eV), area (counts*eV)."""

    species: str
    line: str
    position_ev: float
    fwhm_ev: float
    mixing: float
    area: float
    fraction: float | None
    rsf: float


@dataclass(frozen=True)
class Background:
    """Active Shirley strength (1/eV) and straight baseline ``counts + slope * (E - reference)``."""

    shirley_k: float
    counts: float
    slope: float
    reference_ev: float


@dataclass(frozen=True)
class Window:
    """How a region is measured: axis from ``low_ev`` to ``high_ev`` in ``step_ev``, dwell and scans, background shape.

    ``baseline_rate`` is in counts/s at the middle of the window, ``slope`` its relative change per eV.
    ``axis`` overrules the even axis where a region is scanned with unequal steps.
    """

    region: str
    low_ev: float
    high_ev: float
    step_ev: float
    dwell_s: float
    scans: int
    shirley_k: float
    baseline_rate: float
    slope: float
    axis: tuple[float, ...] = ()

    @property
    def live_time_s(self) -> float:
        """Time spent on each point over all scans, s."""
        return self.dwell_s * self.scans

    def energies(self) -> FloatArray:
        """Return the binding energies, ascending, shape ``(n,)``, eV."""
        if self.axis:
            return np.asarray(self.axis, dtype=np.float64)
        points = round((self.high_ev - self.low_ev) / self.step_ev) + 1
        return np.round(self.low_ev + self.step_ev * np.arange(points), 6)

    def background(self, baseline_factor: float = 1.0) -> Background:
        """Return the background in counts, the baseline scaled by ``baseline_factor``."""
        counts = exact(self.baseline_rate * self.live_time_s * baseline_factor)
        return Background(self.shirley_k, counts, exact(counts * self.slope), 0.5 * (self.low_ev + self.high_ev))


@dataclass(frozen=True)
class Species:
    """A chemical state and the lines it puts into one region.

    ``lines`` holds (label, offset from ``position_ev`` in eV, share of the species' area); a singlet has one entry.
    """

    species: str
    element: str
    position_ev: float
    fwhm_ev: float
    mixing: float
    lines: tuple[tuple[str, float, float], ...]
    fwhm_factors: tuple[float, ...] = ()


@dataclass(frozen=True)
class Measured:
    """One simulated region at one level; ``expected`` and ``counts`` have the shape ``(n,)`` of the axis."""

    window: Window
    lines: tuple[Line, ...]
    background: Background
    charge_shift_ev: float
    binding_energy: FloatArray
    expected: FloatArray
    counts: CountArray
    transmission: FloatArray


@dataclass(frozen=True)
class Level:
    """One etch level (or one spectrum set) with what is true about it."""

    etch_time_s: float | None
    depth_nm: float | None
    charge_shift_ev: float
    atomic_fraction: dict[str, float]
    regions: tuple[Measured, ...]
    extra: dict[str, float] = field(default_factory=dict)


def exact(value: float) -> float:
    """Round to nine significant digits, so that ``truth.json`` holds exactly what was simulated."""
    return float(f"{value:.9g}")


def transmission_function(binding_energy: FloatArray, exponent: float) -> FloatArray:
    """Return ``(KE / 1000 eV) ** -exponent``, shape of the axis, rounded to the six digits that the file carries."""
    kinetic = EXCITATION_ENERGY_EV - binding_energy
    return np.asarray(np.round((kinetic / 1000.0) ** -exponent, 6))


def lines_of(
    content: list[tuple[Species, float]],
    atomic_fraction: dict[str, float],
    rsf: dict[str, float],
    *,
    exposure: float,
    shift: float,
    transmission_exponent: float = 0.0,
    overlaps: tuple[str, ...] = (),
) -> tuple[Line, ...]:
    """Turn a composition into lines: ``area = atomic fraction * share * RSF * transmission * exposure``.

    Parameters
    ----------
    content
        Species of one region, each with its share of its element (the shares of an element add up to 1).
    atomic_fraction
        Of each element, 0 to 1.
    rsf
        Sensitivity factor of each ``element`` key used by the species (``"B 1s"``, ``"P 2s"``, ...).
    exposure
        Flux times live time, counts*eV for a sensitivity factor of 1.
    shift
        Charging shift of the level, eV; only the transmission needs it here.
    transmission_exponent
        See :func:`transmission_function`; 0 is a flat analyser.
    overlaps
        Keys of lines that lie in this region but belong to another element's analysis: they get no fraction.
    """
    lines: list[Line] = []
    for species, share in content:
        element = species.element.split()[0]
        factors = species.fwhm_factors or (1.0,) * len(species.lines)
        for (label, offset, weight), width in zip(species.lines, factors, strict=True):
            position = exact(species.position_ev + offset)
            kinetic = EXCITATION_ENERGY_EV - position - shift
            transmission = (kinetic / 1000.0) ** -transmission_exponent
            area = atomic_fraction[element] * share * rsf[species.element] * transmission * exposure * weight
            fraction = None if species.element in overlaps else exact(share)
            fwhm = exact(species.fwhm_ev * width)
            lines.append(
                Line(
                    species.species, label, position, fwhm, species.mixing, exact(area), fraction, rsf[species.element]
                )
            )
    return tuple(lines)


def expectation(
    binding_energy: FloatArray, lines: tuple[Line, ...], background: Background, shift: float
) -> FloatArray:
    """Return the expected counts of each channel (formula in the module's docstring), shape ``(n,)``."""
    mu = background.counts + background.slope * (binding_energy - background.reference_ev)
    for line in lines:
        shape = (line.position_ev + shift, line.fwhm_ev, line.mixing)
        step = background.shirley_k * pseudo_voigt_integral(binding_energy, *shape)
        mu = mu + line.area * (pseudo_voigt(binding_energy, *shape) + step)
    return np.asarray(mu)


def measure(
    window: Window,
    lines: tuple[Line, ...],
    *,
    shift: float,
    stream: tuple[int, ...],
    baseline_factor: float = 1.0,
    transmission_exponent: float = 0.0,
) -> Measured:
    """Simulate one region: expectation, then Poisson counts from the random stream named by ``stream``.

    The expectation is rounded to 1e-6 counts before the draw, so that the last bit of a platform's ``exp`` does not
    reach the files.
    """
    energies = window.energies()
    background = window.background(baseline_factor)
    expected = np.round(expectation(energies, lines, background, shift), 6)
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence((SEED, *stream))))
    counts = generator.poisson(expected).astype(np.int64)
    transmission = transmission_function(energies, transmission_exponent)
    return Measured(window, lines, background, shift, energies, expected, counts, transmission)
