"""Take out of a refined cell what an engine's analytic profile has put into it.

Both engines draw lines as pseudo-Voigts of two sharp wavelengths, skewed by axial divergence at most. On a
divergent-beam diffractometer the flat specimen, transparency, Soller slits, tube tails and the skew natural lines shift
what such a profile calls its position, by amounts that depend on the angle and that the cell and the displacement
take up. Here the pattern that the instrument would give of the refined cell, noise-free and with fundamental
parameters, is refined by the same engine with the same plan and start. What comes back differs from what was put in
by the bias, and that is subtracted (indirect inference: Gouriéroux, Monfort & Renault 1993, J. Appl. Econometrics 8,
S85). It needs nothing of the engine but that it refines, and no certified value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from layerscope.crystals import CELL, cell_volume, reflections
from layerscope.errors import DataError, RecipeError

from ...radiation import lorentz_polarisation
from ..geometry import Geometry
from ..model import FloatArray, Instrument, PowderPattern, PowderPhase, Problem
from ..profile import texture_factor
from ..result import Estimate, RietveldResult, update_problem
from .aberrations import line_profile
from .geometry_fit import GeometryFit, fit_geometry

__all__ = ["Run", "Unbiased", "fundamental_pattern", "refine_unbiased"]

Run = Callable[[PowderPattern, Problem], RietveldResult]
"""Refines one pattern, always with the same engine, plan and options."""
_PASSES = 2
_WEAKEST = 1e-5


@dataclass(frozen=True)
class Unbiased:
    """A refinement before and after correction.

    Attributes
    ----------
    result : RietveldResult
        Corrected; its curves and agreement are those of the engine's own fit.
    raw, simulated : RietveldResult
        The engine's refinement of the pattern and of the last simulated one. Where geometry and instrument agree,
        their profile parameters do.
    bias : mapping of str to float
        What was subtracted, by canonical name (``LaB6/cell/a`` in Å, ``instrument/displacement_mm``).
    geometry : Geometry
        As used.
    calibration : GeometryFit or None
        The fit that the geometry came from, if part of it was to be refined.
    """

    result: RietveldResult
    raw: RietveldResult
    simulated: RietveldResult
    bias: Mapping[str, float]
    geometry: Geometry
    calibration: GeometryFit | None


def fundamental_pattern(
    two_theta: FloatArray, phase: PowderPhase, instrument: Instrument, geometry: Geometry, *, size_nm: float
) -> FloatArray:
    """Calculate the lines of a phase as a divergent-beam diffractometer shows them.

    Parameters
    ----------
    two_theta : ndarray, shape (n,)
        Degrees.
    phase : PowderPhase
        Cell, sites, texture and strain.
    instrument : Instrument
        Wavelengths for the range only; radius, displacement, zero and polarisation.
    geometry : Geometry
    size_nm : float
        Crystallite size, Lorentzian.

    Returns
    -------
    ndarray, shape (n,)
        In an arbitrary unit that all patterns of a phase share.
    """
    wave = instrument.wavelengths[0]
    top = min(float(two_theta[-1]) + 2.0, 179.0)
    listed = reflections(phase, wave / (2.0 * math.sin(math.radians(top) / 2.0)))
    power = listed.multiplicity * listed.f2 * texture_factor(phase, listed.hkl)
    out = np.zeros_like(two_theta)
    for d, strength in zip(listed.d, power, strict=True):
        if strength < _WEAKEST * power.max() or wave >= 2.0 * d:
            continue
        angle = 2.0 * math.degrees(math.asin(wave / (2.0 * d)))
        line = line_profile(
            two_theta, float(d), geometry, instrument, size_nm=size_nm, microstrain_ppm=phase.microstrain_ppm
        )
        out += strength * lorentz_polarisation(angle, instrument.polarisation) * line
    return out


def refine_unbiased(pattern: PowderPattern, problem: Problem, run: Run) -> Unbiased:
    """Refine, simulate, refine the simulation, subtract; twice, so that the simulation is of the corrected cell.

    Parameters
    ----------
    pattern : PowderPattern
        Cut to the fitted range.
    problem : Problem
        Its instrument has a geometry; the copper spectrum is known.
    run : callable
        The engine.

    Raises
    ------
    RecipeError
        No geometry, a radiation other than Cu Kα1,2, Le Bail, or a geometry to be refined on several phases.
    FitError, DataError
        The engine or the fit of the geometry failed.
    """
    geometry = _checked(problem)
    plain = replace(problem, instrument=problem.instrument.model_copy(update={"geometry": None}))
    raw = run(pattern, plain)
    found = update_problem(plain, raw)
    calibration = None
    if geometry.refine:
        calibration = fit_geometry(pattern, found.phases[0], found.instrument, geometry)
        geometry = calibration.geometry
    sizes = [calibration.size_nm] if calibration else [_size(raw, p) for p in plain.phases]
    truth, bias, simulated = found, dict[str, float](), raw
    for _ in range(_PASSES):
        simulated = run(_simulated(pattern, raw, truth, geometry, sizes), plain)
        bias = _bias(simulated, truth)
        truth = _moved(found, raw, bias)
    return Unbiased(_corrected(raw, bias, calibration), raw, simulated, bias, geometry, calibration)


def _checked(problem: Problem) -> Geometry:
    geometry, waves = problem.instrument.geometry, problem.instrument.wavelengths
    if geometry is None:
        raise RecipeError("the instrument has no geometry")
    if len(waves) != 2 or abs(waves[0] / 1.5406 - 1.0) > 1e-4:
        raise RecipeError(
            f"a geometry needs Cu Kα1,2, the wavelengths are {waves}", hint="leave out instrument.geometry"
        )
    if problem.le_bail:
        raise RecipeError("a geometry needs calculated intensities", hint="leave out le_bail or instrument.geometry")
    if geometry.refine and len(problem.phases) != 1:
        raise RecipeError(
            f"geometry.refine needs the pattern of one phase, here are {len(problem.phases)}",
            hint="refine it on a line-position standard and give the values here",
        )
    return geometry


def _size(raw: RietveldResult, phase: PowderPhase) -> float:
    """Crystallite size of a sample on a known instrument; a size the plan holds stays what it is."""
    return raw.phase(phase.name).size_nm.value if raw.has_phase(phase.name) else phase.size_nm


def _simulated(
    pattern: PowderPattern, raw: RietveldResult, truth: Problem, geometry: Geometry, sizes: list[float]
) -> PowderPattern:
    """Noise-free pattern of ``truth`` over the engine's background, each phase as strong as in the measured one."""
    from scipy.optimize import nnls

    x, background = pattern.two_theta, raw.curves.background
    columns = [
        fundamental_pattern(x, p, truth.instrument, geometry, size_nm=s)
        for p, s in zip(truth.phases, sizes, strict=True)
    ]
    shapes = np.stack(columns, axis=1) / pattern.sigma[:, None]
    scale, _ = nnls(shapes, (pattern.counts - background) / pattern.sigma)
    if not scale.any():
        raise DataError("no phase is seen in the pattern that is to be simulated", source=pattern.name)
    lines = np.stack(columns, axis=1) @ scale
    return PowderPattern(x, background + lines, pattern.sigma, f"{pattern.name}, simulated")


def _bias(simulated: RietveldResult, truth: Problem) -> dict[str, float]:
    bias = {}
    for phase in truth.phases:
        for key, value in zip(CELL, phase.cell, strict=True):
            estimate = simulated.phase(phase.name).cell[key]
            if estimate.role != "fixed":
                bias[f"{phase.name}/cell/{key}"] = estimate.value - value
    for key in ("displacement_mm", "zero"):
        estimate = simulated.instrument[key]
        if estimate.role == "refined":
            bias[f"instrument/{key}"] = estimate.value - float(getattr(truth.instrument, key))
    return bias


def _moved(found: Problem, raw: RietveldResult, bias: Mapping[str, float]) -> Problem:
    """Return the refined problem with cell, displacement and zero corrected."""
    phases = []
    for phase in found.phases:
        cell = tuple(raw.phase(phase.name).cell[key].value - bias.get(f"{phase.name}/cell/{key}", 0.0) for key in CELL)
        phases.append(replace(phase, cell=cell))
    shifted: dict[str, Any] = {
        key: raw.instrument[key].value - bias[f"instrument/{key}"]
        for key in ("displacement_mm", "zero")
        if f"instrument/{key}" in bias
    }
    instrument = found.instrument.model_copy(update=shifted)
    return replace(found, phases=tuple(phases), instrument=instrument)


def _corrected(raw: RietveldResult, bias: Mapping[str, float], calibration: GeometryFit | None) -> RietveldResult:
    """Subtract the bias; errors stay, the volume follows; flags keep the raw values and what the geometry came to."""

    def moved(name: str, estimate: Estimate) -> Estimate:
        return replace(estimate, value=estimate.value - bias[name]) if name in bias else estimate

    phases = []
    for phase in raw.phases:
        cell: dict[str, Any] = {k: moved(f"{phase.name}/cell/{k}", v) for k, v in phase.cell.items()}
        if "volume" in cell:
            now, then = (cell_volume([c[k].value for k in CELL]) for c in (cell, phase.cell))
            cell["volume"] = replace(cell["volume"], value=cell["volume"].value * now / then)
        phases.append(replace(phase, cell=cell))
    instrument = {k: moved(f"instrument/{k}", v) for k, v in raw.instrument.items()}
    before = raw.estimates()
    distinct = {
        (before[name].value, value): name for name, value in reversed(list(bias.items()))
    }  # a of a cubic cell, once
    flags = [
        f"INSTRUMENT_BIAS:{name} {value:+.2e} taken from {before[name].value:#.7g}"
        for name, value in bias.items()
        if distinct[before[name].value, value] == name
    ]
    if calibration is not None:
        told = [n for n in calibration.values if hasattr(calibration.geometry, n)]
        flags += [f"GEOMETRY:{n} {calibration.values[n]:.5g} ± {calibration.sigmas[n]:.1g}" for n in told]
    return replace(raw, phases=tuple(phases), instrument=instrument, flags=(*raw.flags, *flags))
