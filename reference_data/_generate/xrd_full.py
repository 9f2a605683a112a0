"""Full-range patterns at four voltages: O3 or O3', H1-3 and the aluminium collector, for Rietveld refinement.

Nothing here comes from layerscope. Expectation of one channel, in counts, at x = 2theta::

    mu(x) = Chebyshev(x) + T sum_p (w_p / (M_p V_p)) sum_hkl m |F|^2 LP(theta) P(hkl) L(x)

w: weight fraction, M: mass of the cell's content, V: its volume, P: March-Dollase along c. ``L`` is the K-alpha doublet
of Thompson-Cox-Hastings functions smeared by axial divergence, displaced by -2 s cos(theta) / R.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from _generate.simulation import CountArray, FloatArray, exact
from _generate.xrd_charge import REST_V, Sample, generator, layer_fraction, spacings, weight_fractions
from _generate.xrd_crystal import (
    ALUMINIUM,
    Structure,
    intensity_per_weight,
    layered,
    lorentz_polarisation,
    reflections,
)
from _generate.xrd_profile import ALPHA1_A, RADIATION, bragg_angle, smeared_line, tch

LOW, STEP, POINTS = 15.0, 0.025, 4201
VOLTAGES = (REST_V, 4.20, 4.55, 4.60)
U, V, W, X, Y = 1.109e-3, -1.109e-3, 2.7726e-3, 0.010, 0.010
"""Caglioti law of the Gaussian FWHM^2 = U tan^2 + V tan + W (degree^2), Lorentzian FWHM = X/cos + Y tan (degree)."""

AXIAL = 0.018
RADIUS_MM, DISPLACEMENT_MM = 200.0, 0.040
BACKGROUND = (420.0, -240.0, 120.0, -64.0, 35.0, -13.0)
"""Chebyshev coefficients over 15 to 120 degrees, counts."""

AL_WEIGHT = 0.06
SCALE = 110.0
"""Sets the (003) line of the pristine powder to about 25 000 counts."""


@dataclass(frozen=True)
class Part:
    """A phase of a pattern: its structure, weight fraction and what broadens its lines."""

    structure: Structure
    weight: float
    size_nm: float
    microstrain_ppm: float


@dataclass(frozen=True)
class FullPattern:
    """One simulated pattern; ``expected`` and ``counts`` have the shape (4201,) of the axis."""

    name: str
    voltage: float
    expected: FloatArray
    counts: CountArray
    truth: dict[str, Any]


def axis() -> FloatArray:
    """Return 2theta of the points (degrees), shape (4201,)."""
    return np.asarray(np.round(LOW + STEP * np.arange(POINTS), 6))


def parts_of(sample: Sample, voltage: float) -> tuple[Part, ...]:
    """Return the phases at a voltage; the layers of an intergrowth are counted to the phase that they are of."""
    broad = sample.fwhm["O3"] / 0.120
    if voltage < 3.5:
        pristine = layered("O3", "LiCoO2_O3", 2.8156, exact(3.0 * sample.spacing[0][1]))
        return _with_aluminium([Part(pristine, 1.0, exact(150.0 / broad), 500.0)])
    q = sample.charge_at(voltage) if voltage < 4.6 else sample.final_charge
    weights, places = weight_fractions(sample, q), spacings(sample, q)
    h13 = weights.get("H13", 0.0) + (layer_fraction(sample, q) * weights["IG"] if "IG" in weights else 0.0)
    # a shrinks to Li0.5 and grows again a little; c is three layers
    a = exact(2.8080 + 3e-5 * max(q - 146.0, 0.0))
    parent_c = exact(3.0 * places.get("O3p", places.get("O3", 0.0)))
    parent = layered("O3'", "LiCoO2_O3_delithiated", a, parent_c)
    found = [Part(parent, exact(1.0 - h13), exact(150.0 / broad), 900.0 if voltage < 4.4 else 1600.0)]
    if h13 > 0.0:
        spacing = places.get("H13", sample.h13_spacing[0])
        found.append(Part(layered("H1-3", "LiCoO2_H1-3", 2.8210, exact(6.0 * spacing)), exact(h13), 60.0, 1500.0))
    return _with_aluminium(found)


def _with_aluminium(parts: list[Part]) -> tuple[Part, ...]:
    active = [Part(p.structure, exact(p.weight * (1.0 - AL_WEIGHT)), p.size_nm, p.microstrain_ppm) for p in parts]
    return (*active, Part(ALUMINIUM, AL_WEIGHT, 200.0, 300.0))


def march_of(voltage: float) -> float:
    """Return the March coefficient: plates lie flat, a little more so as the charge goes on."""
    return {REST_V: 0.82, 4.20: 0.80, 4.55: 0.77, 4.60: 0.76}[voltage]


def pattern_of(part: Part, march: float) -> FloatArray:
    """Return the pattern of one phase, weight included, without the common scale, shape (4201,)."""
    x = axis()
    total = np.zeros_like(x)
    norm = part.weight / (part.structure.mass * part.structure.volume)
    degree = 180.0 / np.pi
    for line in reflections(part.structure, ALPHA1_A / (2.0 * np.sin(np.radians(61.5))), march):
        for wavelength, share in RADIATION:
            if wavelength >= 2.0 * line.d:
                continue
            two_theta = bragg_angle(line.d, wavelength)
            theta = np.radians(two_theta / 2.0)
            tan, cos = float(np.tan(theta)), float(np.cos(theta))
            gauss = float(np.sqrt(U * tan**2 + V * tan + W))
            lorentz = X / cos + Y * tan + degree * wavelength / (10.0 * part.size_nm * cos)
            lorentz += degree * 1e-6 * part.microstrain_ppm * tan
            fwhm, mixing = tch(gauss, lorentz)
            strength = norm * share * line.multiplicity * line.f_squared * line.texture
            strength *= lorentz_polarisation(two_theta)
            shift = -2.0 * DISPLACEMENT_MM / RADIUS_MM * cos * degree
            total += strength * smeared_line(x - shift, two_theta, fwhm, mixing, AXIAL, 16)
    return total


def simulate(sample: Sample, index: int) -> tuple[FullPattern, ...]:
    """Return the four patterns of a sample; `index` names its random streams."""
    found = []
    scaled = 2.0 * (axis() - LOW) / (STEP * (POINTS - 1)) - 1.0
    background = np.polynomial.chebyshev.chebval(scaled, BACKGROUND)
    for number, voltage in enumerate(VOLTAGES):
        parts, march = parts_of(sample, voltage), march_of(voltage)
        expected = np.round(background + SCALE * sum(pattern_of(part, march) for part in parts), 6)
        counts = generator(index, 2, number).poisson(expected).astype(np.int64)
        name = f"{sample.key}_full_{voltage:.2f}V.xye"
        truth = _truth(name, sample, voltage, parts, march, expected)
        found.append(FullPattern(name, voltage, expected, counts, truth))
    return tuple(found)


def _truth(
    name: str, sample: Sample, voltage: float, parts: tuple[Part, ...], march: float, expected: FloatArray
) -> dict[str, Any]:
    active = sum(p.weight for p in parts if not p.structure.cubic)
    return {
        "file": name,
        "sample": sample.name,
        "voltage_V": voltage,
        "march_coefficient": march,
        "expected_total_counts": exact(float(expected.sum())),
        "expected_peak_counts": exact(float(expected.max())),
        "phases": [_phase_truth(part, active) for part in parts],
    }


def _phase_truth(part: Part, active: float) -> dict[str, Any]:
    s = part.structure
    first = reflections(s, 1.9)[:6]
    return {
        "phase": s.name,
        "model": f"phases/{s.model}.toml",
        "weight_fraction": part.weight,
        "weight_fraction_without_Al": None if s.cubic else exact(part.weight / active),
        "a_A": s.a,
        "c_A": s.c,
        "volume_A3": exact(s.volume),
        "mass_g_mol": exact(s.mass),
        "size_nm": part.size_nm,
        "microstrain_ppm": part.microstrain_ppm,
        "sites": [
            {"label": x.label, "element": x.element, "z": x.z, "occupancy": x.occupancy, "b_iso_A2": x.b_iso}
            for x in s.sites
        ],
        "first_reflections": [
            {
                "hkl": list(line.hkl),
                "d_A": exact(line.d),
                "two_theta_deg": exact(bragg_angle(line.d, ALPHA1_A)),
                "multiplicity": line.multiplicity,
                "f_squared": exact(line.f_squared),
                "intensity_per_weight": exact(intensity_per_weight(s, line)),
            }
            for line in first
        ],
    }


def full_text(pattern: FullPattern, sample: Sample) -> bytes:
    """Return a pattern as three columns, 2theta, counts and standard deviation, with a header."""
    rows = [
        f"# SIMULATED: {sample.name} at {pattern.voltage:.2f} V; truth in truth.json",
        f"# anode: Cu; wavelength = {ALPHA1_A} Angstrom",
        "2theta_deg counts sigma",
    ]
    sigma = np.sqrt(np.maximum(pattern.counts, 1))
    rows += [f"{x:.3f} {y} {s:.3f}" for x, y, s in zip(axis(), pattern.counts, sigma, strict=True)]
    return ("\n".join(rows) + "\n").encode("ascii")
