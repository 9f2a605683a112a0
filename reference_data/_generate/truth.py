"""Write down what is true about a case, as plain JSON with units in the keys."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from _generate.simulation import EXCITATION_ENERGY_EV, SEED, Level, Line, Measured, exact

MODEL = (
    "expected counts per channel: mu(E) = baseline_counts + baseline_slope_counts_per_eV * (E - reference_eV) "
    "+ sum_i area_i * (s_i(E) + shirley_k_per_eV * I_i(E)); s_i unit-area pseudo-Voigt at position_measured_eV "
    "(sum form, mixing = Lorentzian share of the area, same FWHM for both parts), I_i its integral from low binding "
    "energy; counts are Poisson(mu), independent"
)
AREAS = (
    "area_counts_eV = atomic_fraction[element] * fraction * rsf * transmission * flux_counts_eV_per_s * live_time_s "
    "* share of the line in its doublet; transmission = (KE / 1000 eV) ** -transmission_exponent at the measured "
    "position; live_time_s = dwell_time_s * scans"
)


@dataclass(frozen=True)
class File:
    """A data file of a case: how it is called, what it holds and the numbers common to its levels."""

    name: str
    format: str
    sample: str
    levels: tuple[Level, ...]
    flux: float
    etch_rate_nm_s: float | None = None
    transmission_exponent: float = 0.0
    pass_energy_ev: float = 20.0
    work_function_ev: float = 4.2


def truth_json(
    case: str, summary: Mapping[str, Any], rsf: Mapping[str, float], files: Sequence[File], notes: Sequence[str]
) -> bytes:
    """Return ``truth.json`` of a case: summary first, then every file, level, region and line."""
    document = {
        "case": case,
        "simulated": True,
        "seed": SEED,
        "model": MODEL,
        "areas": AREAS,
        "notes": list(notes),
        "summary": dict(summary),
        "truth_rsf": dict(rsf),
        "files": {file.name: _file(file) for file in files},
    }
    return (json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii")


def _file(file: File) -> dict[str, Any]:
    return {
        "format": file.format,
        "sample": file.sample,
        "excitation_energy_eV": EXCITATION_ENERGY_EV,
        "pass_energy_eV": file.pass_energy_ev,
        "work_function_eV": file.work_function_ev,
        "flux_counts_eV_per_s": file.flux,
        "etch_rate_nm_per_s": file.etch_rate_nm_s,
        "transmission_exponent": file.transmission_exponent,
        "levels": [_level(number, level) for number, level in enumerate(file.levels)],
    }


def _level(number: int, level: Level) -> dict[str, Any]:
    return {
        "level": number,
        "etch_time_s": level.etch_time_s,
        "depth_nm": level.depth_nm,
        "charge_shift_eV": level.charge_shift_ev,
        "atomic_fraction": level.atomic_fraction,
        **level.extra,
        "species_fraction": {region.window.region: _fractions(region) for region in level.regions},
        "regions": {region.window.region: _region(region) for region in level.regions},
    }


def _fractions(region: Measured) -> dict[str, float]:
    return {line.species: line.fraction for line in region.lines if line.fraction is not None}


def _region(region: Measured) -> dict[str, Any]:
    energies, window = region.binding_energy, region.window
    return {
        "low_eV": float(energies[0]),
        "high_eV": float(energies[-1]),
        "points": int(energies.size),
        "step_eV": None if window.axis else window.step_ev,
        "dwell_time_s": window.dwell_s,
        "scans": window.scans,
        "live_time_s": exact(window.live_time_s),
        "background": {
            "shirley_k_per_eV": region.background.shirley_k,
            "baseline_counts": region.background.counts,
            "baseline_slope_counts_per_eV": region.background.slope,
            "reference_eV": region.background.reference_ev,
        },
        "area_counts_eV": exact(sum(line.area for line in region.lines)),
        "expected_total_counts": exact(float(region.expected.sum())),
        "lines": [_line(line, region.charge_shift_ev) for line in region.lines],
    }


def _line(line: Line, shift: float) -> dict[str, Any]:
    return {
        "species": line.species,
        "line": line.line,
        "position_eV": line.position_ev,
        "position_measured_eV": exact(line.position_ev + shift),
        "fwhm_eV": line.fwhm_ev,
        "mixing": line.mixing,
        "area_counts_eV": line.area,
        "fraction": line.fraction,
        "rsf": line.rsf,
    }
