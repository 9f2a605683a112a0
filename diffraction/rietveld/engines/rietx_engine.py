"""The embedded engine: rietx, the only file that imports it.

What the wrapper guards against: its file readers (one silently kept an eighth of the points) are never used; S/L and
H/L are tied; its presets are replaced by our plan; histories and telemetry folders are switched off; esds come out
inflated by the Bérar–Lelann factor and are reported both ways; widths and weight fractions are in our units.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.crystals import CELL, cell_content
from layerscope.errors import FitError, MissingDependencyError
from layerscope.runs.pool import one_blas_thread

from ..model import FloatArray, PowderPattern, PowderPhase, Problem
from ..plan import RefinementPlan
from ..result import RietveldResult, update_problem
from .interface import EngineStatus, RefineOptions
from .rietx_result import INSTRUMENT_PATHS, RietxAnswer

__all__ = ["RietxEngine", "simulate"]

SUPPORTED = "1.10."
_POLL_S = 0.1
_THREADS = "RIETX_COMPILED_THREADS"
_DEGREE = 180.0 / math.pi
_NEGLIGIBLE_SMEAR = 0.05  # of the step of the pattern
# Share of a line's area outside its window in a warm start. On the simulated series of 50 frames fractions differ by
# at most 0.04 esd from those at rietx's closing 0.001, cells by 0.004 esd, in half the time;
# at 0.02 fractions differ by 0.4 esd.
_WARM_WINDOW_TOL = 5e-3
_SYMMETRIC = "AT_BOUND:instrument/sh_l"
_NOT_REFINED = "INTENSITIES_NOT_REFINED"
_POINTS_PER_LINE = 3  # below it the intensities of a cell describe any pattern
_PASSES = 3  # of Le Bail, where the intensities cannot be refined


@dataclass(frozen=True)
class RietxEngine:
    """Adapter of rietx behind the common interface."""

    name: str = "rietx"

    def status(self) -> EngineStatus:
        """Say whether rietx is installed in a version the adapter knows."""
        found = util.find_spec("rietx") is not None
        version = metadata.version("rietx") if found else ""
        usable = found and version.startswith(SUPPORTED)
        place = "this environment" if found else ""
        return EngineStatus(self.name, usable, version, place, "pip install 'layerscope[xrd]'")

    def open(self, folder: Path) -> None:
        """Load rietx: a second that a process of a crew had better spend before its first frame."""
        if self.status().available:
            _load()

    def close(self) -> None:
        """Do nothing."""

    def refine(
        self, pattern: PowderPattern, problem: Problem, plan: RefinementPlan, options: RefineOptions
    ) -> RietveldResult:
        """Refine one pattern; see :func:`layerscope.diffraction.rietveld.refinement.refine`."""
        status = self.status()
        if not status.available:
            what = f"rietx {status.version} is not supported" if status.version else "rietx is not installed"
            raise MissingDependencyError(what, hint=status.hint)
        started = time.perf_counter()
        _load()
        from rietx.optimize.cancel import RefinementCancelled

        with warnings.catch_warnings(), one_blas_thread(), _deadline(options.time_limit_s) as cancel:
            warnings.simplefilter("ignore")
            try:
                found = _solve(pattern, problem, plan, status.version, cancel)
                if _SYMMETRIC in found.flags and plan.frees("sh_l"):
                    found = _without_axial(pattern, problem, plan, found, cancel)
            except RefinementCancelled as error:
                raise FitError(
                    f"rietx did not finish within {options.time_limit_s:g} s of CPU time",
                    source=pattern.name,
                    hint="raise time_limit_s, or refine a shorter range or fewer parameters",
                ) from error
            except (ValueError, RuntimeError, ArithmeticError, KeyError, np.linalg.LinAlgError) as error:
                raise FitError(f"rietx failed: {error}", source=pattern.name) from error
            return replace(found, seconds=time.perf_counter() - started)


def _load() -> None:
    """Load rietx with one thread for its kernels, which are short: more would only wait for each other."""
    os.environ.setdefault(_THREADS, "1")
    import rietx  # noqa: F401


@contextlib.contextmanager
def _deadline(seconds: float) -> Iterator[Any]:
    """Yield a token that cancels a refinement after so much CPU time (s), between two evaluations of its model."""
    from rietx.optimize.cancel import CancelToken

    token, done, last = CancelToken(), threading.Event(), time.process_time() + seconds

    def watch() -> None:
        while not done.wait(min(_POLL_S, seconds)):
            if time.process_time() > last:
                token.cancel()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield token
    finally:
        done.set()
        watcher.join()


def _solve(pattern: PowderPattern, problem: Problem, plan: RefinementPlan, version: str, cancel: Any) -> RietveldResult:
    if not problem.le_bail:
        return _run(_Job(pattern, problem, plan, cancel), version, "rietveld")
    return _extract(pattern, problem, plan, version, cancel)


def _run(job: _Job, version: str, mode: str, passes: int = 1) -> RietveldResult:
    job.run(mode, passes)
    return RietxAnswer(job.pattern, job.problem, job.refinement, job.answer).result(version, 0.0)


def _extract(
    pattern: PowderPattern, problem: Problem, plan: RefinementPlan, version: str, cancel: Any
) -> RietveldResult:
    """Refine the intensities of the lines with everything else (Pawley 1981, J. Appl. Cryst. 14, 357).

    Le Bail's partition holds them while the rest moves: lines and background trade area, the answer depends on the
    start, and the errors know nothing of the intensities. It is left for patterns that Pawley's method cannot do, and
    is flagged; where two phases share their lines and Pawley's errors are wide, Le Bail's would merely be too small.
    """
    if _POINTS_PER_LINE * _line_count(pattern, problem) <= pattern.two_theta.size:
        try:
            return _run(_Job(pattern, problem, plan, cancel), version, "pawley")
        except (RuntimeError, ArithmeticError, np.linalg.LinAlgError):
            pass
    found = _run(_Job(pattern, problem, plan, cancel), version, "lebail", _PASSES)
    return replace(found, flags=(*found.flags, _NOT_REFINED))


def _line_count(pattern: PowderPattern, problem: Problem) -> int:
    """Count the lines of all phases in the pattern, those of the first wavelength."""
    from rietx.crystallography.symmetry import generate_reflections

    low, high = (float(pattern.two_theta[k]) for k in (0, -1))
    wavelength = problem.instrument.wavelengths[0]
    return sum(len(generate_reflections(p.space_group, p.cell, wavelength, high, low).hkl) for p in problem.phases)


def _without_axial(
    pattern: PowderPattern, problem: Problem, plan: RefinementPlan, found: RietveldResult, cancel: Any
) -> RietveldResult:
    """Refine once more with S/L held at zero, where the refinement drove it.

    The profile does not depend on S/L there to first order: its error is without bound, and takes those of displacement
    and cell with it although the data determine both.
    """
    tokens = tuple(t for t in plan.tokens() if t != "sh_l")
    if not tokens:
        return found
    start = update_problem(problem, found)
    start = replace(start, instrument=start.instrument.model_copy(update={"sh_l": 0.0}))
    last = RefinementPlan.of(("without axial divergence", tokens))
    again = _solve(pattern, start, last, found.engine_version, cancel)
    return replace(again, flags=(*again.flags, _SYMMETRIC))


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
        job = _Job(dummy, scaled, RefinementPlan.of(("none", ("scale",))))
        shape = np.asarray(job.refinement.predict(two_theta), dtype=np.float64)
    return np.asarray(shape * (strongest / shape.max()) + level, dtype=np.float64)


class _Job:
    """One refinement: builds rietx's objects, runs the plan, reads the answer back."""

    def __init__(self, pattern: PowderPattern, problem: Problem, plan: RefinementPlan, cancel: Any = None) -> None:
        import rietx as rx

        self.cancel = cancel
        self.rx, self.pattern, self.problem, self.plan = rx, pattern, problem, plan
        structure = rx.Structure(phases=[self._phase(p, plan) for p in problem.phases])
        self.refinement = rx.Refinement(structure, self._instrument(), history=False)
        if plan.frees("sh_l"):  # where they are held they were set equal
            self.refinement.tie_equal(["instrument.geometry.axial_sl", "instrument.geometry.axial_hl"])
        if any(phase.mixing for phase in problem.phases):
            self.paths = {row.path for row in self.refinement.parameters()}
            for index, phase in enumerate(problem.phases):
                self._constrain(index, phase)

    # ---- translation into rietx ------------------------------------------------------------------------------------

    def _phase(self, phase: PowderPhase, plan: RefinementPlan) -> Any:
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
            cell=rx.Cell(**{k: p(value=v) for k, v in zip(CELL, phase.cell, strict=True)}),
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
        out.geometry.axial_sl.value = out.geometry.axial_hl.value = 0.5 * self._axial()
        out.geometry.sample_displacement.value = ours.displacement_mm
        out.zero_shift.value = ours.zero
        out.background = BackgroundChebyshev.with_terms(self.problem.background.terms)
        for coefficient, value in zip(out.background.coefficients, self.problem.background_start, strict=False):
            coefficient.value = value
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

    def _axial(self) -> float:
        """S/L + H/L, or 0 where it is held and its smear is far below the step: the smear is most of a fit's time.

        The smear at 2θ ends at ``(S/L + H/L)² / 2 · cot 2θ`` (radians; Finger, Cox & Jephcoat 1994).
        """
        value, x = self.problem.instrument.sh_l, self.pattern.two_theta
        if self.plan.frees("sh_l") or value == 0.0:
            return value
        lowest = math.radians(float(x[0]))
        smear = 0.5 * value**2 * _DEGREE * abs(math.cos(lowest) / math.sin(lowest))
        return 0.0 if smear < _NEGLIGIBLE_SMEAR * float(np.median(np.diff(x))) else value

    def _constrain(self, index: int, phase: PowderPhase) -> None:
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
            return [INSTRUMENT_PATHS["displacement_mm"]]
        if group in INSTRUMENT_PATHS:
            return [INSTRUMENT_PATHS[group]]
        found: list[str] = []
        for index, phase in enumerate(self.problem.phases):
            if not only or only == phase.name:
                found += _phase_globs(group, index, phase)
        return found

    def run(self, mode: str, passes: int = 1) -> None:
        """Run the plan in a mode of rietx; ``passes`` alternates Le Bail's partition with the rest."""
        rx = self.rx
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
        plan = _plan(rx, stages)
        plan.lebail_passes = passes
        self.answer = self.refinement.fit(data, mode=mode, plan=plan, cancel=self.cancel, telemetry=False)


def _plan(rx: Any, stages: list[Any]) -> Any:
    """Build the plan; a single stage (a warm start) runs once, at windows wide enough for the answer.

    rietx solves every plan a second time with wider windows. After a cold start that is right; for a frame that starts
    at its neighbour's answer it would double the time for nothing.
    """
    if len(stages) != 1:
        return rx.RefinementPlan(stages=stages)

    class WarmPlan(rx.RefinementPlan):  # type: ignore[misc,unused-ignore]
        def closing_stage(self) -> None:
            return None

        def stage_window_tols(self) -> list[float | None]:
            return [_WARM_WINDOW_TOL] * len(self.stages)

    return WarmPlan(stages=stages)


def _phase_globs(group: str, index: int, phase: PowderPhase) -> list[str]:
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
