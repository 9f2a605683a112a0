"""One frame of a series: which phases are in it, decided by BIC, and its refinement from a warm start."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from layerscope.crystals import Phase, cell_content, reflections
from layerscope.errors import DataError, FitError

from ..radiation import lorentz_polarisation
from .absent import Tested
from .engines.interface import Engine, RefineOptions
from .model import Instrument, PowderPattern, Problem
from .options import SeriesOptions
from .plan import RefinementPlan
from .prealign import prealign
from .profile import absent_phase_test
from .result import RietveldResult, update_problem

__all__ = [
    "CERTAIN",
    "FrameFit",
    "SeriesState",
    "bic",
    "fit_frame",
    "intensity_per_weight",
    "intensity_shares",
    "strength",
]

CERTAIN = 8.0
"""Scale over esd beyond which leaving a phase out is not tried: 8² is far above any ln N."""
_WORTH_A_TRIAL = 2.0


@dataclass(frozen=True)
class FrameFit:
    """Accepted fit of one frame: result, its BIC, what was tried, and phases whose trial the engine did not finish."""

    result: RietveldResult
    bic: float
    active: tuple[str, ...]
    tested: Mapping[str, Tested]
    untried: tuple[str, ...] = ()


@dataclass
class SeriesState:
    """What one frame hands to the next: every phase at its last believed values, and how strong it was."""

    problem: Problem
    active: tuple[str, ...] | None = None
    strength: dict[str, float] = field(default_factory=dict)

    def accept(self, fit: FrameFit, options: SeriesOptions) -> None:
        """Take over a frame's result; phases that were too weak keep the cell they had."""
        self.active = fit.active
        self.problem = update_problem(self.problem, fit.result)
        for phase in self.problem.phases:
            self.strength[phase.name] = strength(fit.result, phase.name)


def strength(result: RietveldResult, name: str) -> float:
    """Scale over its raw esd; 0 for an absent phase."""
    if not result.has_phase(name):
        return 0.0
    scale = result.phase(name).scale
    if scale.sigma is None or scale.sigma <= 0.0 or not math.isfinite(scale.value):
        return 0.0
    return scale.value / scale.sigma


def intensity_per_weight(phase: Phase, instrument: Instrument, limits: tuple[float, float]) -> float:
    """Integrated intensity per weight within ``limits``: ``Σ m |F|² Lp / (V M)``, arbitrary common unit."""
    wavelength = instrument.wavelengths[0]
    lines = reflections(phase, wavelength / (2.0 * math.sin(math.radians(limits[1] / 2.0))))
    angle = lines.two_theta(wavelength)
    inside = (angle >= limits[0]) & (angle <= limits[1])
    factor = lorentz_polarisation(angle[inside], instrument.polarisation)
    mass, volume = cell_content(phase)
    return float(np.sum(lines.multiplicity[inside] * lines.f2[inside] * factor) / (mass * volume))


def intensity_shares(result: RietveldResult, problem: Problem) -> dict[str, float]:
    """Share of the calculated intensity of every phase in the result."""
    limits = (float(result.curves.two_theta[0]), float(result.curves.two_theta[-1]))
    power = {
        p.name: max(p.weight_fraction.value, 0.0)
        * intensity_per_weight(problem.phase(p.name), problem.instrument, limits)
        for p in result.phases
    }
    total = sum(power.values()) or 1.0
    return {name: value / total for name, value in power.items()}


def bic(result: RietveldResult, noise: float = 1.0) -> float:
    """``χ²/noise² + k ln N``; ``noise`` is the goodness of fit of the best model where counts were rescaled."""
    return result.chi2 / noise**2 + result.n_free * math.log(result.n_data)


def _plan(state: SeriesState, names: tuple[str, ...], options: SeriesOptions, strong: set[str]) -> RefinementPlan:
    tokens = ["scale", *options.free]
    tokens += [f"{group}:{name}" for name in names if name in strong for group in options.free_when_strong]
    return RefinementPlan.of(("frame", tuple(tokens)))


def _run(
    engine: Engine,
    pattern: PowderPattern,
    state: SeriesState,
    names: tuple[str, ...],
    options: SeriesOptions,
    where: Path | None,
    *,
    strong: set[str],
) -> RietveldResult:
    problem = state.problem.only(names)
    phases = [p if (p.start_scale or 0.0) > 0.0 else replace(p, start_scale=None) for p in problem.phases]
    known = [p.start_scale for p in phases if p.start_scale]
    if known:  # an unseen phase starts weak beside those that are known
        phases = [p if p.start_scale else replace(p, start_scale=0.02 * max(known)) for p in phases]
    run = RefineOptions(prealign=False, folder=where, time_limit_s=options.time_limit_s)
    return engine.refine(pattern, problem.with_phases(phases), _plan(state, names, options, strong), run)


def fit_frame(
    engine: Engine, pattern: PowderPattern, state: SeriesState, options: SeriesOptions, folder: Path | None = None
) -> FrameFit:
    """Refine one frame and decide its phases; ``state`` is not changed.

    From the phases of the frame before, each absent one is tried (scale only, its last known cell) and each weak one
    left out; the set with the lowest BIC stays. Only then do the cells of the strong phases move.

    Raises
    ------
    FitError, DataError
        The frame cannot be refined.
    """
    limits = state.problem.limits
    cut = pattern.within(limits)
    cut.check()
    every = tuple(p.name for p in state.problem.phases)
    search = _Search(engine, cut, state, options, folder)
    if state.active is None:
        return _cold(search, every)
    current = state.active
    base = search.fit(current)
    for name in every:
        if name not in current and search.promising(name, base):
            trial = _ordered(every, {*current, name})
            if search.gain(trial, name, base) > options.bic_margin:
                base, current = search.fits[trial], trial
    for name in current:
        if name in options.always or len(current) == 1 or strength(base, name) > CERTAIN:
            continue
        trial = _ordered(every, set(current) - {name})
        search.fit(trial)
        if search.gain(current, name, search.fits[trial]) <= options.bic_margin:
            base, current = search.fits[trial], trial
    return search.accept(current)


def _ordered(every: tuple[str, ...], chosen: set[str]) -> tuple[str, ...]:
    return tuple(n for n in every if n in chosen)


def _cold(search: _Search, every: tuple[str, ...]) -> FrameFit:
    """First frame: no set is known, so all sets that hold the permanent phases are compared."""
    options, state = search.options, search.state
    always = [n for n in every if n in options.always]
    others = [n for n in every if n not in options.always]
    best: FrameFit | None = None
    for size in range(len(others) + 1):
        for chosen in itertools.combinations(others, size):
            names = _ordered(every, {*always, *chosen})
            if not names:
                continue
            aligned = prealign(search.pattern, state.problem.only(names))
            search.begin(replace(state, problem=_merge(state.problem, aligned)))
            try:
                fit = search.accept(names)  # with the cells of strong phases free: a wrong cell asks for ghosts
            except FitError:
                continue
            noise = 1.0 if best is None else max(1.0, min(fit.result.gof, best.result.gof))
            if best is None or bic(fit.result, noise) + options.bic_margin < bic(best.result, noise):
                best = fit
    if best is None:
        raise FitError("no set of phases could be refined in the first frame", source=search.pattern.name)
    for name in every:
        if name not in best.active:
            search.promising(name, best.result)  # says how much of it could be there
    return replace(best, tested=dict(search.tested))


def _merge(problem: Problem, part: Problem) -> Problem:
    known = {p.name: p for p in part.phases}
    return problem.with_phases([known.get(p.name, p) for p in problem.phases])


class _Search:
    """Fits of one frame by phase set, each run once."""

    def __init__(
        self, engine: Engine, pattern: PowderPattern, state: SeriesState, options: SeriesOptions, folder: Path | None
    ) -> None:
        self.engine, self.pattern, self.state, self.options, self.folder = engine, pattern, state, options, folder
        self.fits: dict[tuple[str, ...], RietveldResult] = {}
        self.tested: dict[str, Tested] = {}
        self.untried: set[str] = set()
        self.strong = {n for n, z in state.strength.items() if z > options.strong}

    def begin(self, state: SeriesState) -> None:
        """Fit from another start."""
        self.state = state
        self.strong = {n for n, z in state.strength.items() if z > self.options.strong}

    def _where(self, tag: str) -> Path | None:
        return None if self.folder is None else self.folder / tag

    def fit(self, names: tuple[str, ...]) -> RietveldResult:
        """Fit with these phases; only those that were strong in the frame before move their cell."""
        if names not in self.fits:
            tag = "trial_" + "_".join(str(k) for k, p in enumerate(self.state.problem.phases) if p.name in names)
            self.fits[names] = _run(
                self.engine, self.pattern, self.state, names, self.options, self._where(tag), strong=self.strong
            )
        return self.fits[names]

    def promising(self, name: str, without: RietveldResult) -> bool:
        """Whether the residual asks for an absent phase loudly enough to refine it."""
        problem = update_problem(self.state.problem, without)
        test = absent_phase_test(without, problem, name)
        delta = math.copysign(test.z**2, test.z) - math.log(without.n_data)
        self.tested[name] = Tested(test.fraction, test.sigma, delta)
        return test.z > _WORTH_A_TRIAL

    def gain(self, names: tuple[str, ...], name: str, without: RietveldResult) -> float:
        """BIC gained by phase ``name`` in the set ``names``; −inf for a ghost or a failed fit."""
        try:
            found = self.fit(names)
        except (FitError, DataError):
            self.untried.add(name)  # its absence is not a finding
            return -math.inf
        noise = max(1.0, min(found.gof, without.gof))
        delta = bic(without, noise) - bic(found, noise)
        weight = found.phase(name).weight_fraction
        if weight.sigma is not None:  # at its bound of zero a fraction has no esd; the linear test's stays
            self.tested[name] = Tested(weight.value, weight.sigma, delta)
        if not math.isfinite(weight.value):
            return -math.inf
        if intensity_shares(found, self.state.problem)[name] < self.options.min_intensity_share:
            return -math.inf
        return delta

    def accept(self, names: tuple[str, ...]) -> FrameFit:
        """Return the fit of a set; once more if a phase has become strong or weak with respect to the frame before."""
        found = self.fit(names) if names in self.fits else None
        for _ in range(2):
            strong = self.strong if found is None else {n for n in names if strength(found, n) > self.options.strong}
            if found is not None and strong & set(names) == self.strong & set(names):
                break
            self.strong = strong
            start = (
                self.state if found is None else replace(self.state, problem=update_problem(self.state.problem, found))
            )
            found = _run(self.engine, self.pattern, start, names, self.options, self._where("accepted"), strong=strong)
        if found is None:
            raise FitError("the frame could not be refined", source=self.pattern.name)
        untried = tuple(sorted(self.untried - set(names)))
        return FrameFit(found, bic(found), names, dict(self.tested), untried)
