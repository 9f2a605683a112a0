"""Sixty frames of the (003) region of one cell, with Poisson noise that is the same on every run.

Nothing here comes from layerscope. Expectation of one channel, in counts, at x = 2theta::

    mu(x) = background(x) + sum_phases area_p L(x; position_p, fwhm_p) + sum_hardware area_h L(x; position_h, fwhm_h)

``L`` is the unit-area K-alpha doublet of pseudo-Voigts, smeared by axial divergence (``xrd_profile``). The state of the
cell is that at the middle of the frame; area_p = scale * weight fraction * intensity per weight.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from _generate.simulation import CountArray, FloatArray, exact
from _generate.xrd_charge import (
    DURATION_S,
    FRAMES,
    Sample,
    angle,
    charge_of_time,
    frame_clock,
    frame_times,
    generator,
    h13_spacing,
    layer_fraction,
    spacings,
    voltage_of_time,
    weight_fractions,
)
from _generate.xrd_crystal import intensity_per_weight, layered, reflections
from _generate.xrd_profile import ALPHA1_A, doublet

LOW, STEP, POINTS = 15.0, 0.02, 501
MIXING, AXIAL = 0.45, 0.018
"""Lorentzian share of the area, and S/L = H/L, of all lines."""

REFERENCE_ANGLE = 19.0
"""Where the widths of the samples hold (degrees); elsewhere they go as 1/cos(theta): a size effect."""

HARDWARE = {"PTFE_100": (4.905, 0.30), "PE_110": (4.118, 0.38), "PE_200": (3.712, 0.45)}
"""Gasket and separator: d (Å) and FWHM (degrees); they stay put and do not share the texture of the electrode."""

SCALE = 545.0
"""Area (counts * degree) of unit weight of O3 in the first frame: a peak of 3 000 counts."""

BACKGROUND = (235.0, -55.0, 12.0)
"""Counts: b0 + b1 t + b2 t^2, t = (2theta - 20) / 5."""


def intensity_factors() -> dict[str, float]:
    """Return the calculated intensity per weight against O3, rounded to 1e-4: m |F|^2 LP / (M V) of each line.

    Cells: those of the pristine powder and of 4.6 V; atoms of the models in ``phases/``. The intergrowth has the mean.
    """
    lines = {
        "O3": (layered("O3", "LiCoO2_O3", 2.8156, 14.0542), (0, 0, 3)),
        "O3p": (layered("O3p", "LiCoO2_O3_delithiated", 2.811, 14.09), (0, 0, 3)),
        "H13": (layered("H13", "LiCoO2_H1-3", 2.823, 27.16), (0, 0, 6)),
    }
    found = {}
    for phase, (structure, hkl) in lines.items():
        line = next(r for r in reflections(structure, 4.0) if r.hkl == hkl)
        found[phase] = intensity_per_weight(structure, line)
    unit = found["O3"]
    factors = {phase: round(value / unit, 4) for phase, value in found.items()}
    factors["IG"] = round(0.5 * (factors["O3p"] + factors["H13"]), 4)
    return factors


@dataclass(frozen=True)
class Frame:
    """One simulated frame; ``expected`` and ``counts`` have the shape (501,) of the axis, ``truth`` is plain JSON."""

    number: int
    expected: FloatArray
    counts: CountArray
    truth: dict[str, Any]


def axis() -> FloatArray:
    """Return 2theta of the points (degrees), shape (501,)."""
    return np.asarray(np.round(LOW + STEP * np.arange(POINTS), 6))


def width_at(fwhm: float, two_theta: float) -> float:
    """Return the width law: `fwhm` holds at 19 degrees and goes as 1/cos(theta)."""
    return exact(fwhm * np.cos(np.radians(REFERENCE_ANGLE / 2.0)) / np.cos(np.radians(two_theta / 2.0)))


def simulate(sample: Sample, index: int) -> tuple[Frame, ...]:
    """Return all frames of a sample; `index` names its random streams."""
    factors = intensity_factors()
    x = axis()
    base = np.zeros_like(x)
    for name, (d, fwhm) in HARDWARE.items():
        base += sample.hardware_area[name] * doublet(x, angle(d), fwhm, MIXING, AXIAL)
    wobble = generator(index, 0).normal(size=FRAMES)
    return tuple(_frame(sample, index, number, base, float(wobble[number]), factors) for number in range(FRAMES))


def _frame(
    sample: Sample, index: int, number: int, base: FloatArray, wobble: float, factors: dict[str, float]
) -> Frame:
    x = axis()
    start, end = frame_times(number)
    q = float(charge_of_time(sample, 0.5 * (start + end)))
    along = number / (FRAMES - 1.0)
    # Texture: plates turn as the electrode breathes (slow), the tube and the mounting wander by one per cent (wobble).
    drift = exact((1.0 - 0.22 * along + 0.06 * np.sin(9.0 * along)) * (1.0 + 0.01 * wobble))
    level = exact(1.0 + 0.06 * along)
    t = (x - 20.0) / 5.0
    mu = level * np.polynomial.polynomial.polyval(t, BACKGROUND) + base
    weights, places = weight_fractions(sample, q), spacings(sample, q)
    areas = {phase: SCALE * drift * weight * factors[phase] for phase, weight in weights.items()}
    total = sum(areas.values())
    lines = []
    for phase, area in areas.items():
        position = angle(places[phase])
        fwhm = width_at(sample.fwhm["O3" if phase == "O3p" else phase], position)
        mu = mu + area * doublet(x, position, fwhm, MIXING, AXIAL)
        lines.append(
            {
                "phase": phase,
                "two_theta_deg": position,
                "d_A": places[phase],
                "fwhm_deg": fwhm,
                "area_counts_deg": exact(area),
                "area_fraction": exact(area / total),
                "weight_fraction": weights[phase],
            }
        )
    expected = np.round(mu, 6)
    counts = generator(index, 1, number).poisson(expected).astype(np.int64)
    truth: dict[str, Any] = {
        "frame": number,
        **_state(sample, number, q),
        "phases": list(weights),
        "texture_factor": drift,
        "background_factor": level,
        "expected_total_counts": exact(float(expected.sum())),
        "lines": lines,
    }
    if "IG" in weights:
        truth["intergrowth"] = {
            "h13_layer_fraction": layer_fraction(sample, q),
            "o3p_layer_spacing_A": places["O3p"],
            "h13_layer_spacing_A": h13_spacing(sample, q),
        }
    return Frame(number, expected, counts, truth)


def _state(sample: Sample, number: int, q: float) -> dict[str, Any]:
    start, end = frame_times(number)
    inside = np.linspace(start, end, 2001)
    clock = frame_clock(sample, number)
    return {
        "start_clock": clock[0].isoformat(timespec="milliseconds"),
        "time_s": exact(0.5 * (start + end)),
        "voltage_V": exact(float(voltage_of_time(sample, 0.5 * (start + end)))),
        "voltage_mean_V": exact(float(np.trapezoid(voltage_of_time(sample, inside), inside)) / (end - start)),
        "capacity_mAh_g": exact(q),
    }


def frame_text(sample: Sample, frame: Frame) -> bytes:
    """Return a frame as two columns with a header."""
    start, end = frame_clock(sample, frame.number)
    rows = [
        f"# SIMULATED: {sample.name}, in situ, frame {frame.number}; truth in truth.json",
        f"# start {start.isoformat(timespec='milliseconds')}, end {end.isoformat(timespec='milliseconds')}",
        f"# anode: Cu; wavelength = {ALPHA1_A} Angstrom; {DURATION_S / POINTS:g} s per point",
        "2theta_deg counts",
    ]
    rows += [f"{x:.2f} {y}" for x, y in zip(axis(), frame.counts, strict=True)]
    return ("\n".join(rows) + "\n").encode("ascii")


def frames_zip(sample: Sample, frames: tuple[Frame, ...]) -> bytes:
    """Return the archive of all frames; stored, not compressed, so that its bytes depend on no zlib."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for frame in frames:
            member = zipfile.ZipInfo(f"frame_{frame.number:03d}.xy", (2025, 9, 17, 0, 0, 0))
            member.create_system = 3
            member.external_attr = 0o644 << 16
            archive.writestr(member, frame_text(sample, frame))
    return buffer.getvalue()


def frames_csv(sample: Sample) -> bytes:
    """Return the log of the frames: number as in the file name, start and end by the diffractometer's clock."""
    rows = ["scan_number,start_time,end_time"]
    for number in range(FRAMES):
        start, end = (t.isoformat(timespec="milliseconds") for t in frame_clock(sample, number))
        rows.append(f"{number:03d},{start},{end}")
    return ("\n".join(rows) + "\n").encode("ascii")
