"""One call for one pattern: cells moved near, one engine run, and what its profile cannot draw taken out."""

from __future__ import annotations

from dataclasses import replace

from .contrast import contrast_warnings
from .divergent_beam import refine_unbiased
from .engines.interface import Engine, RefineOptions
from .engines.registry import get_engine
from .model import PowderPattern, Problem
from .plan import RefinementPlan, full_plan
from .prealign import prealign
from .result import RietveldResult

__all__ = ["refine"]


def refine(
    pattern: PowderPattern,
    problem: Problem,
    *,
    engine: str | Engine = "rietx",
    plan: RefinementPlan | None = None,
    options: RefineOptions | None = None,
) -> RietveldResult:
    """Refine one pattern with one engine.

    Parameters
    ----------
    pattern : PowderPattern
    problem : Problem
        Phases, instrument, background, range.
    engine : {"rietx", "gsas2"} or Engine
        One that is open is left so.
    plan : RefinementPlan, optional
        Default :func:`full_plan`.
    options : RefineOptions, optional

    Raises
    ------
    DataError, RecipeError
        The pattern or the model cannot be used.
    MissingDependencyError
        The engine is not installed.
    FitError
        The engine failed, was killed or ran into its time limit.
    """
    chosen = options or RefineOptions()
    cut = pattern.within(problem.limits)
    cut.check()
    start = prealign(cut, problem) if chosen.prealign and not problem.le_bail else problem
    wanted = plan or full_plan()
    found = _refined(engine, cut, start, wanted, chosen)
    return replace(found, flags=(*found.flags, *_contrast_flags(problem, wanted)))


def _refined(
    engine: str | Engine, pattern: PowderPattern, problem: Problem, plan: RefinementPlan, options: RefineOptions
) -> RietveldResult:
    """Run the engine, and again on simulated patterns where a geometry says what its profile cannot draw."""
    chosen = get_engine(engine) if isinstance(engine, str) else engine
    if problem.instrument.geometry is None:
        return chosen.refine(pattern, problem, plan, options)
    runs = 0

    def run(one: PowderPattern, asked: Problem) -> RietveldResult:
        nonlocal runs
        runs += 1
        where = options
        if options.folder is not None and runs > 1:  # the project that is kept is that of the measured pattern
            where = replace(options, folder=options.folder / f"simulated-{runs - 1}")
        return chosen.refine(one, asked, plan, where)

    return refine_unbiased(pattern, problem, run).result


def _contrast_flags(problem: Problem, plan: RefinementPlan) -> tuple[str, ...]:
    """Flag every refined occupancy that X-rays hardly see."""
    if not plan.frees("occupancy"):
        return ()
    return tuple(
        f"WEAK_CONTRAST:{w.phase}/site/{w.site}/occupancy {w.contrast:.3f}"
        for phase in problem.phases
        for w in contrast_warnings(phase)
    )
