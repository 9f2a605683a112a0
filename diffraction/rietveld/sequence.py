"""A series of patterns: warm start, phases on and off per frame, forward against backward, persistence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from layerscope.errors import DataError, FitError, LayerscopeError
from layerscope.fitting.discrepancy import Discrepancy
from layerscope.flags import threshold

from .absent import Tested, absent_amounts
from .discrepancy import discrepancy_of, with_discrepancy
from .engines.interface import Engine, RefineOptions
from .frame import FrameFit, SeriesState, fit_frame
from .model import PowderPattern, PowderPhase, Problem
from .options import SeriesOptions
from .plan import RefinementPlan
from .refinement import refine
from .result import RietveldResult, update_problem
from .sweeps import Answer, Direction, Way, opened, walk

__all__ = ["FrameResult", "OverlapCheck", "SeriesResult", "calibrate", "refine_series"]


@dataclass(frozen=True)
class FrameResult:
    """One frame of a refined series.

    ``result`` is None where the frame failed; ``problem`` then says why. ``direction_sigma`` is the largest difference
    of a weight fraction or a refined cell constant between the two sweeps, in raw esds. ``held`` are the phases that
    the frame lacks, each as in the nearest frame that has it.
    """

    index: int
    name: str
    result: RietveldResult | None
    active: tuple[str, ...]
    tested: dict[str, Tested] = field(default_factory=dict)
    direction: str = "forward"
    direction_sigma: float | None = None
    flags: tuple[str, ...] = ()
    problem: LayerscopeError | None = None
    held: tuple[PowderPhase, ...] = ()

    def fraction(self, phase: str) -> tuple[float, float | None]:
        """Weight fraction and raw esd; (0, None) for an absent phase, NaN for a failed frame."""
        if self.result is None:
            return math.nan, None
        if not self.result.has_phase(phase):
            return 0.0, None
        found = self.result.phase(phase).weight_fraction
        return found.value, found.sigma


@dataclass(frozen=True)
class OverlapCheck:
    """Milestone that a chunk arrived at: largest difference in sigma, and whether both have the same phases."""

    index: int
    sigma: float
    same_phases: bool


@dataclass(frozen=True)
class SeriesResult:
    """Frames in their order, and how well the chunks meet the milestones."""

    frames: tuple[FrameResult, ...]
    overlaps: tuple[OverlapCheck, ...] = ()

    def onset(self, phase: str) -> int | None:
        """First frame with the phase; None if it never appears."""
        return next((f.index for f in self.frames if phase in f.active), None)


def calibrate(
    pattern: PowderPattern,
    problem: Problem,
    plan: RefinementPlan,
    *,
    engine: str = "rietx",
    options: RefineOptions | None = None,
) -> Problem:
    """Refine what the series will hold (instrument, sample broadening) on one good frame; return the updated problem.

    Sizes and strains found for the phases of ``problem`` are those the series starts with.
    """
    return update_problem(problem, refine(pattern, problem, engine=engine, plan=plan, options=options))


def refine_series(
    patterns: Sequence[PowderPattern], problem: Problem, options: SeriesOptions | None = None
) -> SeriesResult:
    """Refine all frames; a frame that fails is reported and never stops the rest.

    Parameters
    ----------
    patterns : sequence of PowderPattern
        In the order of time.
    problem : Problem
        With every phase that may occur; the instrument is taken as it is.
    options : SeriesOptions, optional

    Raises
    ------
    MissingDependencyError
        The engine is not installed.
    DataError
        The series holds no frame.
    FitError
        No frame at all could be refined.
    """
    if not patterns:
        raise DataError("the series holds no frame to refine", hint="check which files the recipe's series names")
    chosen = options or SeriesOptions()
    ways = walk(patterns, problem, chosen)
    series = _Merged(dict(ways[0].answers))
    for backward in ways[1:]:
        series.add(backward.answers)
    changed = _persist(patterns, problem, series.found, chosen)
    known = discrepancy_of([fit.result for fit in series.found.values() if isinstance(fit, FrameFit)])
    frames = tuple(
        _frame(k, pattern, series, changed.get(k, ()), known, _held(problem, series.found, k))
        for k, pattern in enumerate(patterns)
    )
    if all(f.result is None for f in frames):
        raise frames[0].problem or FitError("no frame could be refined")
    return SeriesResult(frames, tuple(check for way in ways for check in _overlaps(way)))


@dataclass
class _Merged:
    """Answers of one or two directions: the better one of each frame, whose it is, and how far they differ in sigma."""

    found: dict[int, Answer]
    origin: dict[int, Direction] = field(default_factory=dict)
    differences: dict[int, float] = field(default_factory=dict)

    def add(self, backward: Mapping[int, Answer]) -> None:
        """Compare with the other direction and keep the better fit of each frame."""
        for k, fit in backward.items():
            other = self.found[k]
            if not isinstance(fit, FrameFit):
                continue
            if isinstance(other, FrameFit):
                self.differences[k] = largest_difference(other.result, fit.result)
            if not isinstance(other, FrameFit) or fit.bic < other.bic:
                self.found[k], self.origin[k] = fit, "backward"


def _persist(
    patterns: Sequence[PowderPattern], problem: Problem, found: dict[int, Answer], options: SeriesOptions
) -> dict[int, tuple[str, ...]]:
    """Remove phases seen, and fill gaps left, for fewer than ``persistence`` frames; refit those frames."""
    good = [k for k in sorted(found) if isinstance(found[k], FrameFit)]
    changed: dict[int, set[str]] = {}
    every = [p.name for p in problem.phases]
    wanted: dict[int, set[str]] = {k: set(_fit(found, k).active) for k in good}
    for name in every:
        series = persistent([name in wanted[k] for k in good], options.persistence)
        for k, present in zip(good, series, strict=True):
            if present != (name in wanted[k]):
                changed.setdefault(k, set()).add(name)
                wanted[k].symmetric_difference_update({name})
    if changed:
        believed = {k: _ordered(every, wanted[k]) for k in changed}
        starts = {k: _start(problem, found, good, k, wanted) for k in changed}
        with opened(options, options.folder) as engine:
            for k, names in believed.items():
                found[k] = _with_phases(engine, patterns[k], starts[k], names, options, k)
    return {k: tuple(f"PHASE_BY_PERSISTENCE:{n}" for n in sorted(names)) for k, names in changed.items()}


def _start(
    problem: Problem, found: dict[int, Answer], good: Sequence[int], k: int, wanted: dict[int, set[str]]
) -> Problem:
    """Start values for frame ``k`` from the nearest frame in which its believed phases were found."""
    same = (j for j in good if set(_fit(found, j).active) == wanted[k])
    nearest = min(same, key=lambda j: abs(j - k), default=k)
    return update_problem(problem, _fit(found, nearest).result)


def _with_phases(
    engine: Engine, pattern: PowderPattern, start: Problem, names: tuple[str, ...], options: SeriesOptions, k: int
) -> Answer:
    """Refine one frame with exactly these phases."""
    state = SeriesState(start.only(names), active=names)
    quiet = options.model_copy(update={"always": names, "bic_margin": math.inf})
    folder = None if options.folder is None else options.folder / f"persistent_{k:04d}"
    try:
        return fit_frame(engine, pattern, state, quiet, folder)
    except LayerscopeError as error:
        return error


def _ordered(every: Sequence[str], chosen: set[str]) -> tuple[str, ...]:
    return tuple(n for n in every if n in chosen)


def _fit(found: dict[int, Answer], k: int) -> FrameFit:
    fit = found[k]
    if not isinstance(fit, FrameFit):
        raise FitError(f"frame {k} was not refined")
    return fit


def persistent(present: Sequence[bool], least: int) -> list[bool]:
    """Smooth a presence series: runs shorter than ``least`` frames take the value around them.

    Runs at either end are kept: there is no frame beyond to contradict them.
    """
    out = list(present)
    if least < 2:
        return out
    runs: list[list[int]] = []
    for k, value in enumerate(out):
        if runs and out[runs[-1][0]] == value:
            runs[-1][1] = k + 1
        else:
            runs.append([k, k + 1])
    for start, stop in runs[1:-1]:
        if stop - start < least:
            out[start:stop] = [not present[start]] * (stop - start)
    return out


def largest_difference(first: RietveldResult, second: RietveldResult) -> float:
    """Largest difference of a weight fraction or refined cell constant in raw esds; inf if the phases differ."""
    if {p.name for p in first.phases} != {p.name for p in second.phases}:
        return math.inf
    worst = 0.0
    for phase in first.phases:
        other = second.phase(phase.name)
        pairs = [(phase.weight_fraction, other.weight_fraction)]
        pairs += [(phase.cell[k], other.cell[k]) for k in ("a", "b", "c", "beta")]
        for a, b in pairs:
            if a.sigma and b.sigma:
                worst = max(worst, abs(a.value - b.value) / max(a.sigma, b.sigma))
    return worst


def _held(problem: Problem, found: Mapping[int, Answer], k: int) -> Problem:
    """Return the problem as frame ``k`` has it, the phases that it lacks as in the nearest frame that has them."""
    here = found[k]
    if not isinstance(here, FrameFit):
        return problem
    for name in (p.name for p in problem.phases if not here.result.has_phase(p.name)):
        there = [(abs(j - k), fit) for j, fit in found.items() if isinstance(fit, FrameFit) and name in fit.active]
        if there:
            nearest = min(there, key=lambda pair: pair[0])[1]
            known = update_problem(problem, nearest.result).phase(name)
            problem = problem.with_phases([known if p.name == name else p for p in problem.phases])
    return update_problem(problem, here.result)


def _frame(
    k: int,
    pattern: PowderPattern,
    series: _Merged,
    flags: tuple[str, ...],
    known: Discrepancy | None,
    problem: Problem,
) -> FrameResult:
    found, direction, difference = series.found[k], series.origin.get(k, "forward"), series.differences.get(k)
    if isinstance(found, LayerscopeError):
        return FrameResult(k, pattern.name, None, (), direction=direction, problem=found, flags=("FAILED",))
    extra = ["DIRECTION_DEPENDENT"] if difference is not None and difference > threshold("DIRECTION_DEPENDENT") else []
    extra += [f"TRIAL_FAILED:{name}" for name in found.untried]
    seen = {name for fit in series.found.values() if isinstance(fit, FrameFit) for name in fit.active}
    unseen = {p.name for p in problem.phases} - seen
    held = tuple(p for p in problem.phases if not found.result.has_phase(p.name))
    extra += [f"NOT_DETECTED:{p.name}" for p in held if p.name not in found.untried]
    return FrameResult(
        k,
        pattern.name,
        with_discrepancy(found.result, known),
        found.active,
        absent_amounts(found.result, problem, known, unseen),
        direction,
        difference,
        (*found.result.flags, *flags, *extra),
        held=held,
    )


def _overlaps(way: Way) -> list[OverlapCheck]:
    """Compare the milestones with what the chunks found that arrived at them."""
    out = []
    for k, fit in sorted(way.arrived.items()):
        other = way.answers[k]
        if isinstance(other, FrameFit):
            same = set(other.active) == set(fit.active)
            out.append(OverlapCheck(k, largest_difference(other.result, fit.result), same))
    return out
