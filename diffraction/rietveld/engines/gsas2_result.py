"""Read what the GSAS-II worker wrote back into our result: units, names, errors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.crystals import CELL, FREE_CELL, Phase, Site, cell_content, crystal_system
from layerscope.errors import FitError

from ..agreement import agreement, serial_correlation_factor, strong_correlations
from ..model import EIGHT_LN2, FloatArray, PowderPattern, PowderPhase, Problem
from ..result import Curves, Estimate, Linearised, PhaseResult, RietveldResult, Role
from .gsas2_units import line_images

__all__ = ["read_result"]

_GAUSS = 1e-4 * EIGHT_LN2  # variance in centidegree² -> FWHM² in degree²
_U_TO_B = 8.0 * math.pi**2
# our name -> GSAS-II's key and the factor from its unit to ours
_INSTRUMENT = {
    "u": ("U", _GAUSS),
    "v": ("V", _GAUSS),
    "w": ("W", _GAUSS),
    "x": ("X", 0.01),
    "y": ("Y", 0.01),
    "sh_l": ("SH/L", 1.0),
    "zero": ("Zero", 1.0),
}
_LARGEST_UM = 9.999  # GSAS-II knows no larger size: it stands for none that could be seen
_AREA = 0.01  # a line's intensity over centidegrees -> area in counts·degree


@dataclass(frozen=True)
class _Sigmas:
    """Looks up raw esds and scales them by the serial-correlation factor."""

    values: Mapping[str, float]
    free: frozenset[str]
    factor: float

    def estimate(self, value: float, key: str, unit: float = 1.0, initial: float | None = None) -> Estimate:
        """Estimate of a GSAS-II variable, converted to our unit."""
        if key not in self.values:
            return Estimate(value * unit, initial=initial)
        raw = self.values[key] * unit
        role: Role = "refined" if key in self.free else "constrained"
        return Estimate(value * unit, raw, raw * self.factor, role, initial)


def read_result(folder: Path, pattern: PowderPattern, problem: Problem, version: str, seconds: float) -> RietveldResult:
    """Translate ``result.json`` and ``curves.npz`` of a finished job.

    Raises
    ------
    FitError
        The files are missing or do not belong to the pattern.
    """
    try:
        answer = json.loads((folder / "result.json").read_text())
        with np.load(folder / "curves.npz", allow_pickle=False) as stored:
            arrays = {k: np.asarray(stored[k], dtype=np.float64) for k in stored.files}
        missing = {"names", "sigmas", "phases", "rvals"} - set(answer if isinstance(answer, dict) else ())
        if missing or not {"x", "ycalc", "background", "covariance"} <= set(arrays):
            raise ValueError(f"without {', '.join(sorted(missing)) or 'curves'}")
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise FitError(f"GSAS-II left no readable answer: {error}", source=folder) from error
    if arrays["x"].shape != pattern.two_theta.shape:
        raise FitError(f"GSAS-II returned {arrays['x'].size} of {pattern.two_theta.size} points", source=folder)
    curves = Curves(
        pattern.two_theta,
        pattern.counts,
        arrays["ycalc"],
        arrays["background"],
        pattern.sigma,
        {p.name: arrays[f"ticks_{k}"] for k, p in enumerate(problem.phases)},
    )
    names = list(answer["names"])
    quality = agreement(curves.observed, curves.calculated, curves.sigma, len(names))
    factor = serial_correlation_factor(curves.residual)
    sigmas = _Sigmas(answer["sigmas"], frozenset(names), factor)
    weights, weight_covariance = _weights(answer, problem, arrays["covariance"], factor)
    phases = tuple(_phase(k, p, answer["phases"][k], sigmas, weights[k], problem) for k, p in enumerate(problem.phases))
    canonical = [_canonical(n, problem) for n in names]
    correlations = strong_correlations(canonical, arrays["covariance"])
    converged = _converged(answer["rvals"])
    flags = [f"CORRELATED:{a}~{b} {rho:.2f}" for a, b, rho in correlations]
    flags += [] if converged else ["NOT_CONVERGED"]
    flags += [f"ENGINE:STAGE_FAILED {stage}" for stage in answer.get("failed_stages", ())]
    flags += [f"HELD_MINOR_PHASE:{name}" for name in answer.get("held", ())]
    if answer.get("own_profile_chi2"):  # what the saved project shows in GSAS-II, whose axial integral is coarse
        own = quality.rwp * math.sqrt(float(answer["own_profile_chi2"]) / quality.chi2)
        flags.append(f"ENGINE:OWN_AXIAL_PROFILE Rwp {100 * own:.2f} %")
    # GSAS-II leaves a parameter out of the fit when it is singular or leaves its limits, and goes on
    flags += [f"ENGINE:DROPPED {_canonical(n, problem)}" for n in answer.get("dropped", ())]
    if answer["rvals"].get("msg"):
        flags.append(f"ENGINE:{str(answer['rvals']['msg']).strip().splitlines()[0][:120]}")
    flags += ["AT_BOUND:instrument/sh_l"] if answer.get("axial_at_floor") else []
    flags += [f"AT_BOUND:{k}" for p in phases for k, v in (("march", p.march),) if v.at_bound]
    return RietveldResult(
        engine="gsas2",
        engine_version=version,
        pattern=pattern.name,
        phases=phases,
        instrument=_instrument(answer, problem, sigmas),
        background=tuple(
            sigmas.estimate(v, f":0:Back;{k}") for k, v in enumerate(answer["background"][: problem.background.terms])
        ),
        lines=_lines(answer, problem, sigmas),
        names=tuple(canonical),
        covariance=arrays["covariance"],
        weight_covariance=weight_covariance,
        **vars(quality),
        serial_factor=factor,
        converged=converged,
        correlations=correlations,
        flags=tuple(flags),
        curves=curves,
        seconds=seconds,
        log=folder / "gsas2.log",
        project=folder / "job.gpx",
        linear=_linearised(arrays, canonical, problem),
    )


def _linearised(arrays: Mapping[str, FloatArray], names: list[str], problem: Problem) -> Linearised | None:
    """Return derivatives by our parameters: GSAS-II's strain terms become the free constants of the cells."""
    if "derivatives" not in arrays or not np.isfinite(arrays["derivatives"]).all():
        return None
    jacobian, named = arrays["derivatives"].T.copy(), list(names)
    for index, phase in enumerate(problem.phases):
        at = [k for k, name in enumerate(names) if name.startswith(f"{phase.name}/cell/")]
        free = FREE_CELL[crystal_system(phase)][0]
        slope = arrays[f"slope_{index}"][[CELL.index(k) for k in free]]
        if len(at) != len(free) or slope.shape[1] != len(free):
            continue
        jacobian[:, at] = np.linalg.solve(slope.T, jacobian[:, at].T).T
        for k, constant in zip(at, free, strict=True):
            named[k] = f"{phase.name}/cell/{constant}"
    return Linearised(tuple(named), jacobian.astype(np.float32))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _converged(rvals: Mapping[str, Any]) -> bool:
    if rvals.get("Aborted"):  # the least squares are stuck; the largest shift is then reported as zero
        return False
    shift = _number(rvals.get("Max shft/sig"))
    return bool(rvals.get("converged")) or (shift is not None and abs(shift) < 0.1)


def _instrument(answer: Mapping[str, Any], problem: Problem, sigmas: _Sigmas) -> dict[str, Estimate]:
    start = problem.instrument
    out = {
        ours: sigmas.estimate(answer["instrument"][theirs], f":0:{theirs}", unit, getattr(start, ours))
        for ours, (theirs, unit) in _INSTRUMENT.items()
    }
    out["displacement_mm"] = sigmas.estimate(answer["shift_um"], ":0:Shift", 1e-3, start.displacement_mm)
    return out


def _lines(answer: Mapping[str, Any], problem: Problem, sigmas: _Sigmas) -> tuple[Estimate, ...]:
    out, position = [], 0
    for line in problem.background.lines:
        out.append(sigmas.estimate(answer["lines"][position], f":0:BkPkint;{position}", _AREA, line.area))
        position += len(line_images(line, problem))
    return tuple(out)


def _weights(
    answer: Mapping[str, Any], problem: Problem, covariance: FloatArray, factor: float
) -> tuple[list[Estimate], FloatArray]:
    """Weight fractions ``S_p M_p / Σ S M`` (M the mass of the cell) with their covariance from that of the scales."""
    count = len(problem.phases)
    if count == 1:
        return [Estimate(1.0)], np.zeros((1, 1))
    if problem.le_bail:  # extracted intensities hold no amounts
        return [Estimate(math.nan, role="derived")] * count, np.full((count, count), math.nan)
    mass = np.array([cell_content(_refined(p, answer["phases"][k]))[0] for k, p in enumerate(problem.phases)])
    scale = np.array([answer["phases"][k]["scale"] for k in range(count)])
    names = list(answer["names"])
    block = np.zeros((count, count))
    where = [(k, names.index(f"{k}:0:Scale")) for k in range(count) if f"{k}:0:Scale" in names]
    for k, i in where:
        for m, j in where:
            block[k, m] = covariance[i, j]
    total = float(mass @ scale)
    if total <= 0.0:
        return [Estimate(math.nan, role="derived")] * count, np.full((count, count), math.nan)
    w = mass * scale / total
    jacobian = (np.diag(mass) - np.outer(w, mass)) / total
    full = jacobian @ block @ jacobian.T
    sd = np.sqrt(np.maximum(np.diag(full), 0.0))
    return [
        Estimate(float(v), float(s), float(s) * factor, "derived", None, 0.0, 1.0) for v, s in zip(w, sd, strict=True)
    ], full


def _refined(phase: Phase, found: Mapping[str, Any]) -> Phase:
    sites = tuple(
        Site(s.label, s.element, s.x, s.y, s.z, float(a["occ"]), s.b_iso)
        for s, a in zip(phase.sites, found["atoms"], strict=True)
    )
    return Phase(phase.name, phase.space_group, tuple(found["cell"][:6]), sites)


def _phase(
    index: int, phase: PowderPhase, found: Mapping[str, Any], sigmas: _Sigmas, weight: Estimate, problem: Problem
) -> PhaseResult:
    cell: dict[str, Estimate] = {}
    for name, value, sigma, start in zip(
        (*CELL, "volume"), found["cell"], found["cell_esd"], (*phase.cell, None), strict=True
    ):
        free = sigma > 1e-9 * abs(value)  # below that it is the rounding of an angle fixed by symmetry
        role: Role = "derived" if name == "volume" else "refined" if free else "fixed"
        serial = sigma * sigmas.factor if free else None
        twin = cell.get("a") if name in "bc" else None
        if twin is not None and math.isclose(value, twin.value, rel_tol=1e-9):  # by symmetry, up to rounding
            cell[name] = replace(twin, initial=start)
            continue
        cell[name] = Estimate(value, sigma if free else None, serial, role, start)
    base = f"{index}:0:"
    limited = found["size_um"] < _LARGEST_UM
    size = sigmas.estimate(found["size_um"], f"{base}Size;i", 1e3) if limited else Estimate(math.inf)
    sites = {
        s.label: {
            "x": sigmas.estimate(a["x"], f"{index}::dAx:{k}", initial=s.x),
            "y": sigmas.estimate(a["y"], f"{index}::dAy:{k}", initial=s.y),
            "z": sigmas.estimate(a["z"], f"{index}::dAz:{k}", initial=s.z),
            "occupancy": sigmas.estimate(a["occ"], f"{index}::Afrac:{k}", initial=s.occupancy),
            "b_iso": sigmas.estimate(a["u"], f"{index}::AUiso:{k}", _U_TO_B, s.b_iso),
        }
        for k, (s, a) in enumerate(zip(phase.sites, found["atoms"], strict=True))
    }
    for rule in phase.mixing:  # GSAS-II refines a variable of its own for the site: the host's follows from the guests'
        for label in rule.labels[1:]:
            share = sites[label]["occupancy"]
            if share.sigma is not None:
                sites[label]["occupancy"] = replace(share, role="refined")
    return PhaseResult(
        name=phase.name,
        cell=cell,
        scale=sigmas.estimate(found["scale"], f"{base}Scale"),
        weight_fraction=weight,
        size_nm=size,
        microstrain_ppm=sigmas.estimate(found["mustrain"], f"{base}Mustrain;i"),
        march=sigmas.estimate(found["march"], f"{base}MD", initial=phase.march),
        sites=sites,
    )


def _canonical(name: str, problem: Problem) -> str:
    """Name of a GSAS-II variable in our vocabulary."""
    phase, _, rest = name.partition(":")
    _, _, variable = rest.partition(":")
    if phase == "":
        for ours, (theirs, _) in _INSTRUMENT.items():
            if variable == theirs:
                return f"instrument/{ours}"
        if variable == "Shift":
            return "instrument/displacement_mm"
        return variable.replace("Back;", "background/").replace("BkPkint;", "line/")
    owner = problem.phases[int(phase)]
    kind, _, atom = variable.partition(":")
    tails = {"dAx": "x", "dAy": "y", "dAz": "z", "Afrac": "occupancy", "AUiso": "b_iso"}
    if kind in tails and atom:
        return f"{owner.name}/site/{owner.sites[int(atom)].label}/{tails[kind]}"
    others = {"Scale": "scale", "Size;i": "size_nm", "Mustrain;i": "microstrain_ppm", "MD": "march"}
    return f"{owner.name}/{others.get(variable, f'cell/{variable}')}"
