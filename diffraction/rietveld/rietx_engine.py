"""The embedded engine: rietx, the only file that imports it.

What the wrapper guards against: its file readers (one silently kept an eighth of the points) are never used; S/L and
H/L are tied; its presets are replaced by our plan; histories and telemetry folders are switched off; esds come out
inflated by the Bérar–Lelann factor and are reported both ways; widths and weight fractions are in our units.
"""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.errors import FitError, MissingDependencyError

from .agreement import strong_correlations
from .crystal import cell_content
from .engine import EngineStatus, RefineOptions
from .model import FloatArray, Instrument, Phase, PowderPattern, Problem
from .plan import RefinementPlan, Stage
from .result import Curves, Estimate, PhaseResult, RietveldResult

__all__ = ["RietxEngine", "simulate"]

SUPPORTED = "1.10."
_THREADS = "RIETX_COMPILED_THREADS"
_CELL = ("a", "b", "c", "alpha", "beta", "gamma")
_INSTRUMENT_PATHS = {
    "u": "instrument.profile.u",
    "v": "instrument.profile.v",
    "w": "instrument.profile.w",
    "x": "instrument.profile.x",
    "y": "instrument.profile.y",
    "sh_l": "instrument.geometry.axial_sl",
    "zero": "instrument.zero_shift",
    "displacement_mm": "instrument.geometry.sample_displacement",
}
_DEGREE = 180.0 / math.pi


@dataclass(frozen=True)
class RietxEngine:
    """Adapter of rietx behind the common interface."""

    name: str = "rietx"

    def status(self) -> EngineStatus:
        """Say whether rietx is installed in a version the adapter knows."""
        found = util.find_spec("rietx") is not None
        version = metadata.version("rietx") if found else ""
        usable = found and version.startswith(SUPPORTED)
        return EngineStatus(self.name, usable, version, "this environment", "pip install 'layerscope[xrd]'")

    def open(self, folder: Path) -> None:
        """Hold rietx's kernels to one thread: a series is parallel over frames, and threads would only wait."""
        os.environ.setdefault(_THREADS, "1")

    def close(self) -> None:
        """Do nothing."""

    def refine(
        self, pattern: PowderPattern, problem: Problem, plan: RefinementPlan, options: RefineOptions
    ) -> RietveldResult:
        """Refine one pattern; see :func:`layerscope.diffraction.rietveld.engine.refine`."""
        del options  # nothing runs outside this process
        status = self.status()
        if not status.available:
            what = f"rietx {status.version} is not supported" if status.version else "rietx is not installed"
            raise MissingDependencyError(what, hint=status.hint)
        started = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                job = _Job(pattern, problem, plan)
                job.run()
            except (ValueError, RuntimeError, ArithmeticError, KeyError, np.linalg.LinAlgError) as error:
                raise FitError(f"rietx failed: {error}", source=pattern.name) from error
            return job.result(status.version, time.perf_counter() - started)


def simulate(
    problem: Problem, two_theta: FloatArray, *, fractions: Sequence[float], strongest: float, level: float = 0.0
) -> FloatArray:
    """Calculate a noise-free pattern.

    Parameters
    ----------
    problem : Problem
    two_theta : ndarray, shape (n,)
        Degrees.
    fractions : sequence of float
        Weight fraction of each phase.
    strongest : float
        Height of the strongest point above the background.
    level : float
        Constant background.

    Returns
    -------
    ndarray, shape (n,)
    """
    contents = np.array([cell_content(p) for p in problem.phases])
    amounts = np.asarray(fractions, dtype=np.float64) / (contents[:, 0] * contents[:, 1])
    amounts = np.maximum(amounts / amounts.max(), 1e-15)
    scaled = problem.with_phases(
        [replace(p, start_scale=float(a)) for p, a in zip(problem.phases, amounts, strict=True)]
    )
    dummy = PowderPattern(two_theta, np.ones_like(two_theta), np.ones_like(two_theta))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        job = _Job(dummy, scaled, RefinementPlan((Stage("none", ("scale",)),)))
        shape = np.asarray(job.refinement.predict(two_theta), dtype=np.float64)
    return np.asarray(shape * (strongest / shape.max()) + level, dtype=np.float64)


class _Job:
    """One refinement: builds rietx's objects, runs the plan, reads the answer back."""

    def __init__(self, pattern: PowderPattern, problem: Problem, plan: RefinementPlan) -> None:
        import rietx as rx

        self.rx, self.pattern, self.problem, self.plan = rx, pattern, problem, plan
        structure = rx.Structure(phases=[self._phase(p, plan) for p in problem.phases])
        self.refinement = rx.Refinement(structure, self._instrument(), history=False)
        self.paths = {row.path for row in self.refinement.parameters()}
        self.refinement.tie_equal(["instrument.geometry.axial_sl", "instrument.geometry.axial_hl"])
        for index, phase in enumerate(problem.phases):
            self._constrain(index, phase)

    # ---- translation into rietx ------------------------------------------------------------------------------------

    def _phase(self, phase: Phase, plan: RefinementPlan) -> Any:
        rx = self.rx
        p = rx.Parameter
        wavelength = self.problem.instrument.wavelengths[0]
        size = _DEGREE * wavelength / (10.0 * phase.size_nm) if math.isfinite(phase.size_nm) else 0.0
        if size == 0.0 and plan.frees("size", phase.name):
            size = 0.01  # off its floor, where the Lorentzian column is poorly scaled
        texture = None
        if phase.texture_axis is not None:
            texture = rx.PreferredOrientation(axis=phase.texture_axis, r=p(value=phase.march))
        return rx.Phase(
            name=phase.name,
            space_group=phase.space_group,
            cell=rx.Cell(**{k: p(value=v) for k, v in zip(_CELL, phase.cell, strict=True)}),
            atoms=[
                rx.Atom(
                    label=s.label,
                    species=s.element,
                    x=p(value=s.x),
                    y=p(value=s.y),
                    z=p(value=s.z),
                    occ=p(value=s.occupancy, min=0.0),
                    biso=p(value=s.b_iso),
                )
                for s in phase.sites
            ],
            scale=p(value=1e-3 if phase.start_scale is None else max(phase.start_scale, 1e-12), min=0.0),
            lor_size=p(value=size, min=0.0),
            lor_strain=p(value=_DEGREE * 1e-6 * phase.microstrain_ppm, min=0.0),
            preferred_orientation=texture,
        )

    def _instrument(self) -> Any:
        from rietx.schemas.instrument import BackgroundChebyshev, PeakComponent

        rx, ours = self.rx, self.problem.instrument
        p = rx.Parameter
        out = rx.Instrument.bragg_brentano(radiation="CuKa", goniometer_radius_mm=ours.radius_mm)
        line = type(out.source.lines[0])
        weights = (1.0, ours.ratio)
        out.source.lines = [
            line(wavelength=value, weight=p(value=weight, min=0.0))
            for value, weight in zip(ours.wavelengths, weights, strict=False)
        ]
        out.source.polarization.value = ours.polarisation
        for key in ("u", "v", "w", "x", "y"):
            getattr(out.profile, key).value = getattr(ours, key)
        out.geometry.axial_sl.value = out.geometry.axial_hl.value = 0.5 * ours.sh_l
        out.geometry.sample_displacement.value = ours.displacement_mm
        out.zero_shift.value = ours.zero
        out.background = BackgroundChebyshev.with_terms(self.problem.background.terms)
        out.extra_components = [
            PeakComponent(
                center=p(value=e.two_theta, min=e.two_theta - 0.5, max=e.two_theta + 0.5),
                area=p(value=e.area, min=0.0),
                fwhm=p(value=e.fwhm, min=min(0.01, e.fwhm), max=max(2.0, e.fwhm)),
                eta=p(value=e.eta, min=0.0, max=1.0),
                label=e.label or None,
            )
            for e in self.problem.background.lines
        ]
        return out

    def _constrain(self, index: int, phase: Phase) -> None:
        """Tie Biso, coordinates and occupancies of mixed sites."""
        number = {s.label: k for k, s in enumerate(phase.sites)}
        for rule in phase.mixing:
            host, *guests = (f"phases.{index}.atoms.{number[label]}" for label in rule.labels)
            for guest in guests:
                self.refinement.tie(f"{guest}.biso", f"{host}.biso")
                for k in range(3):
                    if f"{guest}.dof.{k}" in self.paths:
                        self.refinement.tie(f"{guest}.dof.{k}", f"{host}.dof.{k}")
            self.refinement.tie(f"{host}.occ", {f"{g}.occ": -1.0 for g in guests}, offset=rule.total)

    def _globs(self, token: str) -> list[str]:
        """Translate one group of the plan into rietx paths."""
        group, _, only = token.partition(":")
        if group == "background":
            return ["instrument.background.*"]
        if group == "lines":
            return [f"instrument.extra_components.{k}.area" for k in range(len(self.problem.background.lines))]
        if group == "displacement":
            return [_INSTRUMENT_PATHS["displacement_mm"]]
        if group in _INSTRUMENT_PATHS:
            return [_INSTRUMENT_PATHS[group]]
        found: list[str] = []
        for index, phase in enumerate(self.problem.phases):
            if not only or only == phase.name:
                found += _phase_globs(group, index, phase)
        return found

    def run(self) -> None:
        """Run the plan."""
        rx = self.rx
        mode = "lebail" if self.problem.le_bail else "rietveld"
        stages = [
            rx.Stage(stage.name, globs)
            for stage in self.plan.stages
            if (globs := [g for token in stage.free for g in self._globs(token)])
        ]
        data = rx.PatternData(
            two_theta=self.pattern.two_theta.tolist(),
            intensity=self.pattern.counts.tolist(),
            sigma=self.pattern.sigma.tolist(),
        )
        self.answer = self.refinement.fit(data, mode=mode, plan=rx.RefinementPlan(stages=stages), telemetry=False)

    # ---- reading the answer ----------------------------------------------------------------------------------------

    def result(self, version: str, seconds: float) -> RietveldResult:
        """Translate rietx's answer into ours."""
        answer = self.answer
        found = {p.path: p for p in answer.parameters}
        rows = {row.path: row for row in self.refinement.parameters()}
        factor = float(answer.statistics.esd_inflation or 1.0)
        reader = _Reader(found, rows, self._initial(), factor)
        instrument = self._read_instrument(reader)
        phases = tuple(self._read_phase(k, p, reader) for k, p in enumerate(self.problem.phases))
        names, covariance, weights = self._covariances(found, factor)
        correlations = strong_correlations(names, covariance)
        flags = [f"AT_BOUND:{self._canonical(p.path)}" for p in answer.parameters if p.at_bound]
        flags += [f"CORRELATED:{a}~{b} {rho:.2f}" for a, b, rho in correlations]
        flags += [] if answer.status == "converged" else ["NOT_CONVERGED"]
        flags += sorted({f"ENGINE:{d.code}" for d in answer.diagnostics if d.level in ("warning", "error")})
        st = answer.statistics
        ticks = {k: np.asarray(v, dtype=np.float64) for k, v in answer.ticks.items()}
        return RietveldResult(
            engine=self.name,
            engine_version=version,
            pattern=self.pattern.name,
            phases=phases,
            instrument=instrument,
            background=tuple(reader.get(f"instrument.background.c{k}") for k in range(self.problem.background.terms)),
            lines=tuple(
                reader.get(f"instrument.extra_components.{k}.area") for k in range(len(self.problem.background.lines))
            ),
            names=names,
            covariance=covariance,
            weight_covariance=weights,
            rwp=float(st.rwp),
            rexp=float(st.rexp),
            gof=float(st.gof),
            chi2=float(st.chi2) * max(st.n_points - st.n_free_parameters, 1),
            n_data=int(st.n_points),
            n_free=int(st.n_free_parameters),
            serial_factor=factor,
            converged=answer.status == "converged",
            max_shift_over_sigma=st.max_shift_over_esd,
            correlations=correlations,
            flags=tuple(flags),
            curves=Curves(
                np.asarray(answer.two_theta),
                np.asarray(answer.y_obs),
                np.asarray(answer.y_calc),
                np.asarray(answer.y_background),
                self.pattern.sigma,
                ticks,
            ),
            seconds=seconds,
        )

    name = "rietx"

    def _initial(self) -> dict[str, float]:
        start = _start_values(self.problem.instrument)
        for k, phase in enumerate(self.problem.phases):
            start.update({f"phases.{k}.cell.{n}": v for n, v in zip(_CELL, phase.cell, strict=True)})
            for j, site in enumerate(phase.sites):
                base = f"phases.{k}.atoms.{j}"
                start.update({f"{base}.x": site.x, f"{base}.y": site.y, f"{base}.z": site.z})
                start.update({f"{base}.occ": site.occupancy, f"{base}.biso": site.b_iso})
        return start

    def _read_instrument(self, reader: _Reader) -> dict[str, Estimate]:
        out = {key: reader.get(path) for key, path in _INSTRUMENT_PATHS.items()}
        out["sh_l"] = _scaled(out["sh_l"], 2.0)
        return out

    def _read_phase(self, index: int, phase: Phase, reader: _Reader) -> PhaseResult:
        base = f"phases.{index}"
        cell = {k: reader.get(f"{base}.cell.{k}") for k in _CELL}
        cell["volume"] = self._volume(index, cell, reader.factor)
        fixed = Estimate(phase.march)
        wavelength = self.problem.instrument.wavelengths[0]
        sites = {
            s.label: {
                ours: reader.get(f"{base}.atoms.{j}.{theirs}")
                for ours, theirs in (("x", "x"), ("y", "y"), ("z", "z"), ("occupancy", "occ"), ("b_iso", "biso"))
            }
            for j, s in enumerate(phase.sites)
        }
        return PhaseResult(
            name=phase.name,
            cell=cell,
            scale=reader.get(f"{base}.scale"),
            weight_fraction=self._weight(index, reader.factor),
            size_nm=_size(reader.get(f"{base}.lor_size"), wavelength),
            microstrain_ppm=_scaled(reader.get(f"{base}.lor_strain"), 1e6 / _DEGREE),
            march=fixed if phase.texture_axis is None else reader.get(f"{base}.preferred_orientation.r"),
            sites=sites,
        )

    def _volume(self, index: int, cell: Mapping[str, Estimate], factor: float) -> Estimate:
        for row in self.answer.cell_volumes or []:
            if row.phase_index == index:
                raw = None if row.stderr is None else row.stderr / factor
                return Estimate(row.volume, raw, row.stderr, "derived")
        return Estimate(cell_volume(np.array([cell[k].value for k in _CELL])), role="derived")

    def _weight(self, index: int, factor: float) -> Estimate:
        if len(self.problem.phases) == 1:
            return Estimate(1.0)
        qpa = self.answer.qpa
        if qpa is None or qpa.phases[index].weight_fraction is None:
            return Estimate(math.nan, None, None, "derived")
        row = qpa.phases[index]
        sigma = row.weight_fraction_stderr
        return Estimate(
            row.weight_fraction, None if sigma is None else sigma / factor, sigma, "derived", None, 0.0, 1.0
        )

    def _covariances(self, found: Mapping[str, Any], factor: float) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
        """Raw covariance of the free parameters, and of the weight fractions."""
        count = len(self.problem.phases)
        stored = self.refinement._answer_covariance
        if stored is None or stored[3] is None:
            return (), np.zeros((0, 0)), np.full((count, count), math.nan if count > 1 else 0.0)
        _, table, theta, stderr, correlation = stored
        free = [p.path for p in found.values() if p.vary]
        scales = [f"phases.{k}.scale" for k in range(count)]
        full = np.asarray(table.physical_covariance(theta, stderr, correlation, free)) / factor**2
        block = np.asarray(table.physical_covariance(theta, stderr, correlation, scales)) / factor**2
        weights = np.zeros((count, count))
        if count > 1 and self.answer.qpa is not None:
            zmv = np.array([row.zmv for row in self.answer.qpa.phases])
            amount = zmv * np.array([row.scale for row in self.answer.qpa.phases])
            w = amount / amount.sum()
            jacobian = (np.diag(zmv) - np.outer(w, zmv)) / amount.sum()
            weights = jacobian @ block @ jacobian.T
        return tuple(self._canonical(p) for p in free), full, weights

    def _canonical(self, path: str) -> str:
        """Name of a rietx path in our vocabulary."""
        parts = path.split(".")
        if parts[0] != "phases":
            for key, value in _INSTRUMENT_PATHS.items():
                if path == value:
                    return f"instrument/{key}"
            return path.removeprefix("instrument.").replace(".c", "/").replace(".", "/")
        phase = self.problem.phases[int(parts[1])]
        if parts[2] == "atoms":
            site = phase.sites[int(parts[3])].label
            tail = {"biso": "b_iso", "occ": "occupancy"}.get(parts[4], "/".join(parts[4:]))
            return f"{phase.name}/site/{site}/{tail}"
        tail = "/".join(parts[2:])
        names = {"lor_size": "size_nm", "lor_strain": "microstrain_ppm", "preferred_orientation/r": "march"}
        return f"{phase.name}/{names.get(tail, tail)}"


@dataclass(frozen=True)
class _Reader:
    """Reads rietx's parameters by path into estimates."""

    found: Mapping[str, Any]
    rows: Mapping[str, Any]
    initial: Mapping[str, float]
    factor: float

    def get(self, path: str) -> Estimate:
        row = self.rows[path]
        bounds = (float(row.lo), float(row.hi))
        answer = self.found.get(path)
        start = self.initial.get(path)
        if answer is None or answer.stderr is None:
            return Estimate(float(row.value), None, None, "fixed", start, *bounds)
        raw = answer.stderr_uncorrected
        raw = answer.stderr / self.factor if raw is None else raw
        # a coordinate is tied to a degree of freedom of its site: symmetry, not a constraint of the user
        role = "refined" if answer.vary or path[-2:] in (".x", ".y", ".z") else "constrained"
        return Estimate(float(answer.value), float(raw), float(answer.stderr), role, start, *bounds)  # type: ignore[arg-type]


def cell_volume(cell: FloatArray) -> float:
    """Volume in Å³ of a cell (a, b, c, alpha, beta, gamma), shape (6,)."""
    a, b, c = cell[:3]
    ca, cb, cg = np.cos(np.radians(cell[3:]))
    return float(a * b * c * math.sqrt(1 - ca**2 - cb**2 - cg**2 + 2 * ca * cb * cg))


def _start_values(instrument: Instrument) -> dict[str, float]:
    out = {path: float(getattr(instrument, key)) for key, path in _INSTRUMENT_PATHS.items()}
    out[_INSTRUMENT_PATHS["sh_l"]] = 0.5 * instrument.sh_l
    return out


def _phase_globs(group: str, index: int, phase: Phase) -> list[str]:
    base = f"phases.{index}"
    if group == "texture":
        return [] if phase.texture_axis is None else [f"{base}.preferred_orientation.r"]
    single = {"scale": "scale", "cell": "cell.*", "size": "lor_size", "strain": "lor_strain"}
    if group in single:
        return [f"{base}.{single[group]}"]
    guests = {label for rule in phase.mixing for label in rule.labels[1:]}
    hosts = {rule.labels[0] for rule in phase.mixing}
    out = []
    for j, site in enumerate(phase.sites):
        atom = f"{base}.atoms.{j}"
        if group == "b_iso" and site.refine_b_iso and site.label not in guests:
            out.append(f"{atom}.biso")
        if group == "xyz" and site.refine_xyz and site.label not in guests:
            out.append(f"{atom}.dof.*")
        if group == "occupancy" and site.label not in hosts and (site.refine_occupancy or site.label in guests):
            out.append(f"{atom}.occ")
    return out


def _scaled(value: Estimate, factor: float) -> Estimate:
    def times(number: float | None) -> float | None:
        return None if number is None else number * factor

    return Estimate(
        value.value * factor,
        times(value.sigma),
        times(value.sigma_serial),
        value.role,
        times(value.initial),
        value.minimum * factor,
        value.maximum * factor,
    )


def _size(width: Estimate, wavelength: float) -> Estimate:
    """Size in nm from the 1/cosθ coefficient in degree: ``L = (180/π) λ / x``."""
    if width.value <= 0.0:
        return Estimate(math.inf, None, None, width.role)
    size = 0.1 * _DEGREE * wavelength / width.value
    relative = None if width.sigma is None else width.sigma / width.value
    serial = None if width.sigma_serial is None else width.sigma_serial / width.value
    return Estimate(
        size,
        None if relative is None else size * relative,
        None if serial is None else size * serial,
        width.role,
        minimum=0.0,
    )
