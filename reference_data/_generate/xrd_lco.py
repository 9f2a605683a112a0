"""Case insitu_lco_003: two LiCoO2 cells charged to 4.6 V, the (003) region in 60 frames and full patterns."""

from __future__ import annotations

import json
from typing import Any

from _generate import xrd_charge as charge
from _generate import xrd_full as full
from _generate import xrd_profile as profile
from _generate import xrd_samples
from _generate import xrd_series as series
from _generate.simulation import SEED, exact

NAME = "insitu_lco_003"
PHASES = {"O3": "O3", "O3p": "O3'", "IG": "O3'/H1-3 intergrowth", "H13": "H1-3"}


def _events(sample: charge.Sample) -> dict[str, Any]:
    turn = charge.event(sample, sample.turn_charge)
    found: dict[str, Any] = {
        "O3": {"onset": None, "end": turn},
        "O3p": {"onset": turn, "end": None},
    }
    for phase, voltage in sample.onset_v.items():
        found[phase] = {"onset": charge.event(sample, sample.charge_at(voltage)), "end": None}
    return found


def _summary(sample: charge.Sample, frames: tuple[series.Frame, ...], patterns: tuple[Any, ...]) -> dict[str, Any]:
    last = frames[-1].truth
    weights = {line["phase"]: line["weight_fraction"] for line in last["lines"]}
    return {
        "events": _events(sample),
        "fwhm_deg_at_19": {"O3": sample.fwhm["O3"], "O3p": sample.fwhm["O3"], **_other_widths(sample)},
        "last_frame": {
            "voltage_V": last["voltage_V"],
            "weight_fraction": weights,
            "intergrowth_plus_h13": exact(weights["IG"] + weights["H13"]),
            "two_theta_deg": {line["phase"]: line["two_theta_deg"] for line in last["lines"]},
        },
        "smallest_angle_deg": min(line["two_theta_deg"] for frame in frames for line in frame.truth["lines"]),
        "h13_weight_fraction_without_Al": {
            f"{p.voltage:.2f} V": next(
                (x["weight_fraction_without_Al"] for x in p.truth["phases"] if x["phase"] == "H1-3"), 0.0
            )
            for p in patterns
        },
    }


def _other_widths(sample: charge.Sample) -> dict[str, float]:
    return {phase: sample.fwhm[phase] for phase in ("IG", "H13")}


def _common() -> dict[str, Any]:
    return {
        "wavelengths_A": [profile.ALPHA1_A, profile.ALPHA2_A],
        "alpha2_over_alpha1": profile.DOUBLET_RATIO,
        "monochromator": None,
        "polarisation_K": 0.5,
    }


def _series_model() -> dict[str, Any]:
    return {
        "expectation": (
            "mu(x) = background_factor * sum_k b_k ((x - 20) / 5)^k + sum_lines area * L + sum_hardware area * L; "
            "L: K-alpha doublet of unit area, second line where the same d diffracts alpha-2, both of one width"
        ),
        "low_deg": series.LOW,
        "step_deg": series.STEP,
        "points": series.POINTS,
        "background_counts": list(series.BACKGROUND),
        "mixing": series.MIXING,
        "axial_S_over_L": series.AXIAL,
        "axial_H_over_L": series.AXIAL,
        "width_law": "fwhm(2theta) = fwhm(19 deg) * cos(9.5 deg) / cos(theta)",
        "scale_counts_deg": series.SCALE,
        "area_counts_deg": "scale * texture_factor * weight_fraction * intensity_per_weight[phase]",
        "intensity_per_weight": series.intensity_factors(),
        "intergrowth_d_A": "(1 - h13_layer_fraction) * o3p_layer_spacing_A + h13_layer_fraction * h13_layer_spacing_A",
        "phase_labels": PHASES,
    }


def _full_model() -> dict[str, Any]:
    return {
        "expectation": (
            "mu(x) = sum_k c_k T_k + scale * sum_phases w / (M V) sum_hkl m |F|^2 LP P L; "
            "P March-Dollase along c; L displaced by -2 s cos(theta) / R"
        ),
        "low_deg": full.LOW,
        "step_deg": full.STEP,
        "points": full.POINTS,
        "background_chebyshev_counts": list(full.BACKGROUND),
        "gaussian_fwhm_u_v_w_deg2": [full.U, full.V, full.W],
        "lorentzian_fwhm_x_y_deg": [full.X, full.Y],
        "axial_S_over_L": full.AXIAL,
        "axial_H_over_L": full.AXIAL,
        "goniometer_radius_mm": full.RADIUS_MM,
        "displacement_mm": full.DISPLACEMENT_MM,
        "scale": full.SCALE,
    }


def _clocks() -> dict[str, Any]:
    return {
        "clock_offset_s": charge.CLOCK_OFFSET_S,
        "clock_sigma_s": charge.CLOCK_SIGMA_S,
        "meaning": "the cycler's clock is ahead of the diffractometer's by clock_offset_s",
        "cycler_start": {name: start.isoformat() for name, start in charge.CYCLER_START.items()},
        "charge_starts_after_s": charge.REST_S,
        "frame_period_s": charge.PERIOD_S,
        "frame_duration_s": charge.DURATION_S,
    }


NOTES = (
    "time_s counts from the start of the charge; frame numbers of events count from the middle of frame 0",
    "a frame holds the state at its middle; voltage_mean_V is the average over the frame, which an alignment gives",
    "O3 and O3' are one line: it is called O3' from its smallest angle on, where a change of name is not sharp",
    "weight fractions of a frame are of the phases with a line in the region; Al, PTFE and PE are left out of them",
    "full patterns: relaxed separately, without intergrowth lines; its layers are counted to O3' and H1-3",
)


def build() -> dict[str, bytes]:
    """Return the files of the case, name to bytes."""
    files: dict[str, bytes] = {}
    samples: dict[str, Any] = {}
    for index, sample in enumerate(xrd_samples.SAMPLES):
        frames = series.simulate(sample, index)
        patterns = full.simulate(sample, index)
        files[f"{sample.key}_frames.zip"] = series.frames_zip(sample, frames)
        files[f"{sample.key}_frames.csv"] = series.frames_csv(sample)
        files[f"{sample.key}_cycler.csv"] = charge.cycler_csv(sample)
        for pattern in patterns:
            files[pattern.name] = full.full_text(pattern, sample)
        hardware = {
            name: {"d_A": d, "two_theta_deg": charge.angle(d), "fwhm_deg": fwhm, "area_counts_deg": area}
            for (name, (d, fwhm)), area in zip(series.HARDWARE.items(), sample.hardware_area.values(), strict=True)
        }
        samples[sample.name] = {
            "files": [name for name in files if name.startswith(sample.key)],
            "active_mass_mg": sample.mass_mg,
            "summary": _summary(sample, frames, patterns),
            "hardware": hardware,
            "frames": [frame.truth for frame in frames],
            "full_patterns": [pattern.truth for pattern in patterns],
        }
    document = {
        "case": NAME,
        "simulated": True,
        "seed": SEED,
        "notes": list(NOTES),
        "radiation": _common(),
        "clocks": _clocks(),
        "series_model": _series_model(),
        "full_model": _full_model(),
        "samples": samples,
    }
    text = json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False)
    files["truth.json"] = (text + "\n").encode("ascii")
    return files
