"""From a refinement to quantities of records: values with raw standard errors, agreement, differences of engines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from layerscope.crystals import CELL, cell_volume
from layerscope.fitting.quality import durbin_watson
from layerscope.flags import dispersion_flag, gross_flag, threshold
from layerscope.measured.series import times_of, voltages_of
from layerscope.records import FitQuality, Quantity
from layerscope.runs.build import finite_bounds, held, measured, some, upper_limit

from ..events import find_kinks, quantities_of_events, runs
from ..frames import Frame
from .absent import Tested
from .compare import Comparison, Difference
from .model import PowderPhase
from .result import Estimate, PhaseResult, RietveldResult
from .sequence import SeriesResult

__all__ = [
    "absent_phases",
    "comparison_quantities",
    "event_quantities",
    "held_phases",
    "poor_fit",
    "refinement_quality",
    "refinement_quantities",
]

_CELL_UNITS = {"alpha": "deg", "beta": "deg", "gamma": "deg", "volume": "angstrom^3"}
_INSTRUMENT = {
    "u": ("instrument.gaussian_width", "deg^2"),
    "v": ("instrument.gaussian_width", "deg^2"),
    "w": ("instrument.gaussian_width", "deg^2"),
    "x": ("instrument.lorentzian_width", "deg"),
    "y": ("instrument.lorentzian_width", "deg"),
    "sh_l": ("instrument.axial_divergence", "1"),
    "zero": ("instrument.zero_shift", "deg"),
    "displacement_mm": ("instrument.displacement", "mm"),
}
_EIGHT_PI2 = 8.0 * math.pi**2


def _quantity(
    name: str, found: Estimate, unit: str, component: str | None = None, *, factor: float = 1.0
) -> Quantity | None:
    """Return an estimate as a quantity; None where there is no number."""
    value = found.value * factor
    if not math.isfinite(value):
        return None
    if found.sigma is None or found.role == "fixed":
        return held(name, value, unit, component)
    more = finite_bounds(found.minimum * factor, found.maximum * factor) if found.role == "refined" else {}
    if found.initial is not None and math.isfinite(found.initial):
        more["initial"] = found.initial * factor
    parts = {"model": found.model * factor, "geometry": found.geometry * factor}
    if any(parts.values()):
        more["budget"] = {"counting": found.counting * factor} | {k: v for k, v in parts.items() if v > 0}
    known = measured(name, value, found.sigma * factor, unit, component, role=found.role, **more)
    return known or held(name, value, unit, component)


def refinement_quantities(
    result: RietveldResult, total: Sequence[str] = (), *, le_bail: bool = False
) -> list[Quantity]:
    """Return everything that a refinement found.

    Parameters
    ----------
    result : RietveldResult
    total : sequence of str
        Phases whose weight fractions are summed, with their covariance.
    le_bail : bool
        Intensities were extracted: neither amounts nor atoms mean anything.

    Returns
    -------
    list of Quantity
        Standard errors are the raw ones and, where residuals show that lines have another shape, a part ``model``;
        ``fit.serial_factor`` times the raw ones are those of Bérar and Lelann.
    """
    found: list[Quantity | None] = []
    for phase in result.phases:
        found += _phase(phase, le_bail=le_bail)
    if total and any(result.has_phase(n) for n in total):
        estimate = result.total_fraction(*total)
        found.append(_quantity("phase.total_fraction", estimate, "1", " + ".join(total)))
    elif total:
        found.append(_quantity("phase.total_fraction", Estimate(0.0), "1", " + ".join(total)))
    for key, estimate in result.instrument.items():
        if key in _INSTRUMENT:
            name, unit = _INSTRUMENT[key]
            found.append(_quantity(name, estimate, unit, key))
    found += [_quantity("background.coefficient", e, "counts", str(k)) for k, e in enumerate(result.background)]
    found += [_quantity("peak.area", e, "counts*deg", f"line {k}") for k, e in enumerate(result.lines)]
    found.append(_quantity("fit.serial_factor", Estimate(result.serial_factor), "1"))
    return [q for q in found if q is not None]


def _phase(phase: PhaseResult, *, le_bail: bool) -> list[Quantity | None]:
    name = phase.name
    found = [] if le_bail else [_quantity("phase.fraction", phase.weight_fraction, "1", name)]
    for key, estimate in phase.cell.items():
        found.append(_quantity(f"lattice.{key}", estimate, _CELL_UNITS.get(key, "angstrom"), name))
    found.append(_quantity("phase.crystallite_size", phase.size_nm, "nm", name))
    found.append(_quantity("phase.microstrain", phase.microstrain_ppm, "1", name, factor=1e-6))
    if le_bail:
        return found
    found.append(_quantity("phase.scale", phase.scale, "1", name))
    found.append(_quantity("phase.texture", phase.march, "1", name))
    for label, site in phase.sites.items():
        for axis in ("x", "y", "z"):
            if axis in site:
                found.append(_quantity("atom.coordinate", site[axis], "1", f"{name}/{label}/{axis}"))
        if "occupancy" in site:
            found.append(_quantity("atom.occupancy", site["occupancy"], "1", f"{name}/{label}"))
        if "b_iso" in site:
            factor = 1.0 / _EIGHT_PI2
            found.append(_quantity("atom.uiso", site["b_iso"], "angstrom^2", f"{name}/{label}", factor=factor))
    return found


def absent_phases(tested: Mapping[str, Tested], present: Sequence[str]) -> list[Quantity]:
    """Return the fraction that each absent phase would have, with its upper limit."""
    found: list[Quantity | None] = []
    for name, trial in tested.items():
        if name in present or trial.sigma is None or not (math.isfinite(trial.sigma) and trial.sigma > 0):
            continue
        more = upper_limit(trial.fraction, trial.sigma, 0.95, always=True) if math.isfinite(trial.fraction) else {}
        if not more:
            continue
        if trial.model > 0:
            counting = math.sqrt(max(trial.sigma**2 - trial.model**2, 0.0))
            more["budget"] = {"counting": counting, "model": trial.model}
        found.append(measured("phase.fraction", trial.fraction, trial.sigma, "1", name, **more))
    return list(some(found))


def held_phases(phases: Sequence[PowderPhase]) -> list[Quantity]:
    """Return cell, size and strain at which phases were held that are not in a pattern."""
    found = []
    for phase in phases:
        cell = dict(zip(CELL, phase.cell, strict=True)) | {"volume": cell_volume(phase.cell)}
        found += [held(f"lattice.{k}", value, _CELL_UNITS.get(k, "angstrom"), phase.name) for k, value in cell.items()]
        if math.isfinite(phase.size_nm):
            found.append(held("phase.crystallite_size", phase.size_nm, "nm", phase.name))
        found.append(held("phase.microstrain", 1e-6 * phase.microstrain_ppm, "1", phase.name))
    return found


def poor_fit(result: RietveldResult) -> float | None:
    """Return the weighted residual with the background taken off where it is so large that the model is wrong."""
    curves = result.curves
    signal = float((((curves.observed - curves.background) / curves.sigma) ** 2).sum())
    residual = float((curves.residual**2).sum())
    noise = float(curves.observed.size)
    if signal <= 2 * noise:  # hardly anything above the background: the residual is noise
        return None
    ratio = math.sqrt(max(residual - noise, 0.0) / signal)
    return ratio if ratio > threshold("POOR_FIT") else None


def refinement_quality(result: RietveldResult, flags: Sequence[str] = ()) -> FitQuality:
    """Return the agreement of a refinement with its flags."""
    own = [*result.flags]
    poor = poor_fit(result)
    freedom = max(result.n_data - result.n_free, 1)
    reduced = result.chi2 / freedom
    if poor is not None:
        own.append(f"POOR_FIT:{100 * poor:.0f} % of the signal is not described")
        own += gross_flag(poor, reduced, durbin_watson(result.curves.residual), least="POOR_FIT")
    own += dispersion_flag(reduced, freedom)
    return FitQuality(
        chi2=result.chi2,
        redchi=reduced,
        bic=result.chi2 + result.n_free * math.log(max(result.n_data, 2)),
        n_data=result.n_data,
        n_free=result.n_free,
        rwp=result.rwp,
        rexp=result.rexp,
        gof=result.gof,
        durbin_watson=min(durbin_watson(result.curves.residual), 4.0),
        converged=result.converged,
        flags=tuple(dict.fromkeys([*own, *flags])),
    )


def _unit(name: str) -> tuple[str, float]:
    """Return the unit of a parameter by its canonical name, and the factor that brings its value into it."""
    parts = name.split("/")
    last = parts[-1]
    if parts[0] == "instrument":
        return _INSTRUMENT.get(last, ("", "1"))[1], 1.0
    if parts[0] == "background":
        return "counts", 1.0
    if parts[0] == "line":
        return "counts*deg", 1.0
    if parts[-2] == "cell":
        return _CELL_UNITS.get(last, "angstrom"), 1.0
    special = {"size_nm": ("nm", 1.0), "microstrain_ppm": ("1", 1e-6), "b_iso": ("angstrom^2", 1.0)}
    return special.get(last, ("1", 1.0))


def comparison_quantities(found: Comparison) -> list[Quantity]:
    """Return the difference of every parameter, second engine less first, with the larger raw standard error."""
    rows = [_difference(d) for d in found.differences if not d.name.endswith("/scale")]  # each has its engine's unit
    return [q for q in rows if q is not None]


def _difference(row: Difference) -> Quantity | None:
    unit, factor = _unit(row.name)
    value, sigma = (row.second - row.first) * factor, row.sigma * factor
    return measured("comparison.difference", value, sigma, unit, row.name)


def event_quantities(
    frames: Sequence[Frame], found: SeriesResult, names: Sequence[str]
) -> tuple[list[Quantity], list[str]]:
    """Return onsets and ends of all phases of a refined series, and in words which frames hold them.

    Parameters
    ----------
    frames : sequence of Frame
    found : SeriesResult
        Of the same frames.
    names : sequence of str
        Phases.
    """
    good = [i for i, item in enumerate(found.frames) if item.result is not None]
    members = [frames[i] for i in good]
    times = times_of(members)
    time = times if times is not None else np.array([float(f.index) for f in members])
    voltage, voltage_sigma, _ = voltages_of(members)
    present = np.array([[n in found.frames[i].active for i in good] for n in names], bool)
    fraction, sigma = np.full(present.shape, np.nan), np.full(present.shape, np.nan)
    for k, name in enumerate(names):
        for j, i in enumerate(good):
            value, error = found.frames[i].fraction(name)
            trial = found.frames[i].tested.get(name)
            if not present[k, j] and trial is not None:
                value, error = trial.fraction, trial.sigma
            elif not present[k, j]:
                continue
            fraction[k, j], sigma[k, j] = value, error if error is not None else np.nan
    notes = []
    for k, name in enumerate(names):
        spans = [f"{members[a].index} to {members[b - 1].index}" for a, b in runs(present[k])]
        notes.append(f"{name}: in frames {', '.join(spans)}" if spans else f"{name}: in no frame")
    events = find_kinks(names, present, fraction, sigma, time, voltage) if len(good) > 4 else []
    labels = {name: name for name in names}
    timed = times is not None
    return quantities_of_events([event for event, _, _ in events], voltage_sigma, labels, timed=timed), notes
