"""A series of patterns: warm start, phases on and off per frame, forward against backward, parallel chunks."""

from __future__ import annotations

import contextlib
import itertools
import math
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from layerscope.errors import FitError, LayerscopeError

from .engine import Engine, get_engine
from .frame import FrameFit, SeriesOptions, SeriesState, Tested, fit_frame
from .model import PowderPattern, Problem
from .plan import RefinementPlan
from .result import RietveldResult, update_problem

__all__ = ["FrameResult", "OverlapCheck", "SeriesResult", "calibrate", "refine_series"]


@dataclass(frozen=True)
class FrameResult:
    """One frame of a refined series.

    ``result`` is None where the frame failed; ``problem`` then says why. ``direction_sigma`` is the largest difference
    of a weight fraction or a refined cell constant between the two sweeps, in raw esds.
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
    """Frame that two chunks refined: largest difference in sigma, and whether they found the same phases."""

    index: int
    sigma: float
    same_phases: bool


@dataclass(frozen=True)
class SeriesResult:
    """Frames in their order, and what the chunks' common frames say."""

    frames: tuple[FrameResult, ...]
    overlaps: tuple[OverlapCheck, ...] = ()

    def onset(self, phase: str) -> int | None:
        """First frame with the phase; None if it never appears."""
        return next((f.index for f in self.frames if phase in f.active), None)


def calibrate(
    pattern: PowderPattern, problem: Problem, plan: RefinementPlan, *, engine: str = "rietx", folder: Path | None = None
) -> Problem:
    """Refine what the series will hold (instrument, sample broadening) on one good frame; return the updated problem.

    Sizes and strains found for the phases of ``problem`` are those the series starts with.
    """
    from .engine import RefineOptions, refine

    found = refine(pattern, problem, engine=engine, plan=plan, options=RefineOptions(folder=folder))
    return update_problem(problem, found)


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
    FitError
        No frame at all could be refined.
    """
    chosen = options or SeriesOptions()
    spans = _chunks(len(patterns), chosen.workers)
    jobs = []
    for number, (start, stop) in enumerate(spans):
        first, last = max(start - chosen.overlap, 0), min(stop + chosen.overlap, len(patterns))
        folder = None if chosen.folder is None else chosen.folder / f"chunk_{number}"
        jobs.append((tuple(patterns[first:last]), first, problem, replace(chosen, folder=folder)))
    if len(jobs) == 1:
        parts = [_run_chunk(jobs[0])]
    else:
        context = multiprocessing.get_context("spawn")
        with (
            _one_thread_each(),
            ProcessPoolExecutor(max_workers=chosen.workers, mp_context=context) as pool,
        ):
            parts = list(pool.map(_run_chunk, jobs))
    frames = [f for part, (start, stop) in zip(parts, spans, strict=True) for f in part if start <= f.index < stop]
    if all(f.result is None for f in frames):
        raise frames[0].problem or FitError("no frame could be refined")
    return SeriesResult(tuple(frames), tuple(_overlaps(parts)))


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let the processes started inside use one thread each: libraries read these variables when they load."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RIETX_COMPILED_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _chunks(count: int, workers: int) -> list[tuple[int, int]]:
    pieces = max(1, min(workers, count // 8 or 1))
    edges = [round(k * count / pieces) for k in range(pieces + 1)]
    return list(itertools.pairwise(edges))


def _run_chunk(job: tuple[tuple[PowderPattern, ...], int, Problem, SeriesOptions]) -> list[FrameResult]:
    """Refine consecutive frames in one process: forward, backward, merge, persistence."""
    patterns, offset, problem, options = job
    engine = get_engine(options.engine)
    folder = None if options.folder is None else options.folder
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    try:
        engine.open(folder or Path.cwd())
        order = range(len(patterns))
        state = SeriesState(problem)
        forward = _sweep(engine, patterns, order, state, options, "forward")
        found: dict[int, FrameFit | LayerscopeError] = dict(forward)
        origin = dict.fromkeys(found, "forward")
        differences: dict[int, float] = {}
        if options.both_directions and len(patterns) > 1:
            start = replace(state, strength=dict(state.strength))
            backward = _sweep(engine, patterns, reversed(order), start, options, "backward")
            for k, fit in backward.items():
                _choose(k, fit, found, origin, differences)
        changed = _persist(engine, patterns, problem, found, options)
    finally:
        engine.close()
    return [_frame(k, offset, patterns[k], found[k], origin[k], differences.get(k), changed.get(k, ())) for k in order]


def _choose(
    k: int,
    fit: FrameFit | LayerscopeError,
    found: dict[int, FrameFit | LayerscopeError],
    origin: dict[int, str],
    differences: dict[int, float],
) -> None:
    """Keep the better of two sweeps for one frame."""
    other = found[k]
    if isinstance(fit, FrameFit) and isinstance(other, FrameFit):
        differences[k] = largest_difference(other.result, fit.result)
        if fit.bic < other.bic:
            found[k], origin[k] = fit, "backward"
    elif isinstance(fit, FrameFit):
        found[k], origin[k] = fit, "backward"


def _sweep(
    engine: Engine,
    patterns: Sequence[PowderPattern],
    order: Iterable[int],
    state: SeriesState,
    options: SeriesOptions,
    tag: str,
) -> dict[int, FrameFit | LayerscopeError]:
    out: dict[int, FrameFit | LayerscopeError] = {}
    for k in order:
        folder = None if options.folder is None else options.folder / f"{tag}_{k:04d}"
        try:
            fit = fit_frame(engine, patterns[k], state, options, folder)
        except LayerscopeError as error:
            out[k] = error
            continue
        state.accept(fit, options)
        out[k] = fit
    return out


def _persist(
    engine: Engine,
    patterns: Sequence[PowderPattern],
    problem: Problem,
    found: dict[int, FrameFit | LayerscopeError],
    options: SeriesOptions,
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
    for k in changed:
        nearest = min((j for j in good if set(_fit(found, j).active) == wanted[k]), key=lambda j: abs(j - k), default=k)
        start = SeriesState(update_problem(problem, _fit(found, nearest).result))
        start.active = tuple(n for n in every if n in wanted[k])
        quiet = replace(options, always=start.active, bic_margin=math.inf)
        folder = None if options.folder is None else options.folder / f"persistent_{k:04d}"
        try:
            found[k] = fit_frame(
                engine, patterns[k], replace(start, problem=start.problem.only(start.active)), quiet, folder
            )
        except LayerscopeError as error:
            found[k] = error
    return {k: tuple(f"PHASE_BY_PERSISTENCE:{n}" for n in sorted(names)) for k, names in changed.items()}


def _fit(found: dict[int, FrameFit | LayerscopeError], k: int) -> FrameFit:
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


def _frame(
    k: int,
    offset: int,
    pattern: PowderPattern,
    found: FrameFit | LayerscopeError,
    direction: str,
    difference: float | None,
    flags: tuple[str, ...],
) -> FrameResult:
    if isinstance(found, LayerscopeError):
        return FrameResult(k + offset, pattern.name, None, (), direction=direction, problem=found, flags=("FAILED",))
    extra = ("DIRECTION_DEPENDENT",) if difference is not None and difference > 3.0 else ()
    return FrameResult(
        k + offset,
        pattern.name,
        found.result,
        found.active,
        dict(found.tested),
        direction,
        difference,
        (*found.result.flags, *flags, *extra),
    )


def _overlaps(parts: Sequence[Sequence[FrameResult]]) -> list[OverlapCheck]:
    seen: dict[int, FrameResult] = {}
    out = []
    for part in parts:
        for frame in part:
            other = seen.get(frame.index)
            if other is not None and other.result is not None and frame.result is not None:
                same = set(other.active) == set(frame.active)
                out.append(OverlapCheck(frame.index, largest_difference(other.result, frame.result), same))
            seen[frame.index] = frame
    return sorted(out, key=lambda c: c.index)
