"""The interface of the engines, finding them, and ``refine``: one call for one pattern."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from layerscope.errors import RecipeError

from ..model import PowderPattern, Problem
from ..plan import RefinementPlan, full_plan
from ..result import RietveldResult

__all__ = ["ENGINES", "Engine", "EngineStatus", "RefineOptions", "engine_statuses", "get_engine", "refine"]


@dataclass(frozen=True)
class RefineOptions:
    """How an engine runs: cell pre-search, folder for its files (GSAS-II), time limit in seconds."""

    prealign: bool = True
    folder: Path | None = None
    time_limit_s: float = 300.0


@dataclass(frozen=True)
class EngineStatus:
    """Whether an engine can be used, which one it is, and how to get it."""

    name: str
    available: bool
    version: str
    location: str
    hint: str


class Engine(Protocol):
    """What every engine offers."""

    @property
    def name(self) -> str:
        """Name in recipes."""

    def status(self) -> EngineStatus:
        """Say whether the engine can be used, without starting a refinement."""

    def refine(
        self, pattern: PowderPattern, problem: Problem, plan: RefinementPlan, options: RefineOptions
    ) -> RietveldResult:
        """Refine one pattern."""

    def open(self, folder: Path) -> None:
        """Get ready for many patterns; whatever the engine starts writes to ``folder``."""

    def close(self) -> None:
        """Release what :meth:`open` started."""


def _rietx() -> Engine:
    from .rietx_engine import RietxEngine

    return RietxEngine()


def _gsas2() -> Engine:
    from .gsas2_engine import Gsas2Engine

    return Gsas2Engine()


ENGINES: dict[str, Callable[[], Engine]] = {"rietx": _rietx, "gsas2": _gsas2}


def get_engine(name: str) -> Engine:
    """Return an engine by name.

    Raises
    ------
    RecipeError
        Unknown name.
    """
    if name not in ENGINES:
        raise RecipeError(f"unknown Rietveld engine {name!r}", hint=f"engines: {sorted(ENGINES)} or 'both'")
    return ENGINES[name]()


def engine_statuses() -> tuple[EngineStatus, ...]:
    """Status of every engine, for ``layerscope doctor``."""
    return tuple(make().status() for make in ENGINES.values())


def refine(
    pattern: PowderPattern,
    problem: Problem,
    *,
    engine: str = "rietx",
    plan: RefinementPlan | None = None,
    options: RefineOptions | None = None,
) -> RietveldResult:
    """Refine one pattern with one engine.

    Parameters
    ----------
    pattern : PowderPattern
    problem : Problem
        Phases, instrument, background, range.
    engine : {"rietx", "gsas2"}
        For ``"both"`` use :func:`layerscope.diffraction.rietveld.compare.refine_both`.
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
    start = problem
    if chosen.prealign and not problem.le_bail:
        from ..prealign import prealign

        start = prealign(cut, problem)
    wanted = plan or full_plan()
    found = _refined(engine, cut, start, wanted, chosen)
    return replace(found, flags=(*found.flags, *_contrast_flags(problem, wanted)))


def _refined(
    engine: str, pattern: PowderPattern, problem: Problem, plan: RefinementPlan, options: RefineOptions
) -> RietveldResult:
    """Run the engine, and again on simulated patterns where a geometry says what its profile cannot draw."""
    chosen = get_engine(engine)
    if problem.instrument.geometry is None:
        return chosen.refine(pattern, problem, plan, options)
    from ..divergent_beam.unbias import refine_unbiased

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
    from ..checks import contrast_warnings

    return tuple(
        f"WEAK_CONTRAST:{w.phase}/site/{w.site}/occupancy {w.contrast:.3f}"
        for phase in problem.phases
        for w in contrast_warnings(phase)
    )
