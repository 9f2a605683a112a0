"""Which phases of a recipe are in a single pattern: those that improve the fit by more than their freedom buys.

A phase that is not there moves its cell to whatever the others leave over, and its size makes it as wide as that. So a
weak phase is refined three ways: free, with its scale alone (cell, size and atoms held where the recipe has them), and
left out. The lowest BIC decides, by the margin and the least share of the intensity that a series asks for too. What
an absent phase could amount to at its held cell is the linear test of `absent`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from layerscope.errors import DataError, FitError

from .absent import Tested, absent_amounts
from .discrepancy import discrepancy_of, with_discrepancy
from .engines.interface import Engine, RefineOptions
from .frame import CERTAIN, bic, intensity_shares, strength
from .model import PowderPattern, Problem
from .options import SequenceTable
from .plan import PHASE_GROUPS, RefinementPlan
from .refinement import refine
from .result import RietveldResult, update_problem

__all__ = ["PatternFit", "refine_present"]

_RULES = SequenceTable()


@dataclass(frozen=True)
class PatternFit:
    """Refinement of a pattern with the phases that are in it.

    Attributes
    ----------
    result : RietveldResult
        With the flags of what was held or could not be tried, and errors that hold a wrong shape of the lines.
    absent : tuple of str
        Phases of the recipe that are not in the pattern.
    tested : mapping
        What each of them could amount to.
    """

    result: RietveldResult
    absent: tuple[str, ...] = ()
    tested: Mapping[str, Tested] = field(default_factory=dict)


def refine_present(
    pattern: PowderPattern, problem: Problem, *, engine: Engine, plan: RefinementPlan, options: RefineOptions
) -> PatternFit:
    """Refine one pattern and ask of every weak phase whether it is there.

    Parameters
    ----------
    pattern : PowderPattern
    problem : Problem
    engine : Engine
        Open: several refinements may be needed.
    plan : RefinementPlan
    options : RefineOptions

    Raises
    ------
    DataError, RecipeError, MissingDependencyError, FitError
        As `refine`.
    """
    asked = _Asked(pattern, problem, engine, plan, options)
    found = asked.fit(problem, plan, "")
    if problem.le_bail or len(problem.phases) == 1:
        return _stated(found, problem)
    names, held, absent, flags = [p.name for p in problem.phases], list[str](), list[str](), list[str]()
    weak = sorted((n for n in names if not strength(found, n) > CERTAIN), key=lambda n: strength(found, n))
    for name in weak:
        present = [n for n in names if n not in absent]
        if len(present) == 1:
            break
        try:
            better, state = asked.about(name, present, held, found)
        except (FitError, DataError):
            flags.append(f"TRIAL_FAILED:{name}")
            continue
        if state == "absent":
            absent.append(name)
        elif state == "held":
            held.append(name)
        found = better
    flags += [f"NOT_DETECTED:{name}" for name in absent]
    flags += [f"HELD_MINOR_PHASE:{name}/cell" for name in (*held, *absent) if asked.moves(name)]
    found = replace(found, flags=tuple(dict.fromkeys((*found.flags, *flags))))
    return _stated(found, problem, tuple(absent))


def _stated(found: RietveldResult, problem: Problem, absent: tuple[str, ...] = ()) -> PatternFit:
    """Return what is stated; where a geometry took the bias of a wrong profile out, it is not asked for again."""
    known = None if problem.instrument.geometry is not None else discrepancy_of([found])
    stated = replace(found, linear=None) if known is None else with_discrepancy(found, known)
    return PatternFit(stated, absent, absent_amounts(found, update_problem(problem, found), known, absent))


@dataclass(frozen=True)
class _Asked:
    """One pattern and how it is refined."""

    pattern: PowderPattern
    problem: Problem
    engine: Engine
    plan: RefinementPlan
    options: RefineOptions

    def fit(self, problem: Problem, plan: RefinementPlan, tag: str) -> RietveldResult:
        options = self.options
        if tag:  # cells are where they were found, and those of weak phases where the recipe has them
            folder = None if options.folder is None else options.folder / tag
            options = replace(options, prealign=False, folder=folder)
        return refine(self.pattern, problem, engine=self.engine, plan=plan, options=options)

    def moves(self, name: str) -> bool:
        """Tell whether the plan frees more of a phase than its scale."""
        return any(self.plan.frees(group, name) for group in PHASE_GROUPS if group != "scale")

    def about(
        self, name: str, present: Sequence[str], held: Sequence[str], found: RietveldResult
    ) -> tuple[RietveldResult, str]:
        """Return the best of the three refinements, and which it is: free, held or absent."""
        others = [n for n in present if n != name]
        start = update_problem(self.problem, found)
        without = self.fit(start.only(others), _holding(self.plan, others, held), f"without_{present.index(name)}")
        if self._gain(found, without, name) > _RULES.bic_margin:
            return found, "free"
        if self.moves(name):
            start = update_problem(self.problem, without)  # the phase is where the recipe has it
            strongest = max((p.start_scale or 0.0) for p in start.only(others).phases)
            phases = [replace(p, start_scale=0.02 * strongest) if p.name == name else p for p in start.phases]
            plan = _holding(self.plan, present, (*held, name))
            tried = self.fit(start.with_phases(phases).only(present), plan, f"held_{present.index(name)}")
            if self._gain(tried, without, name) > _RULES.bic_margin:
                return tried, "held"
        return without, "absent"

    def _gain(self, found: RietveldResult, without: RietveldResult, name: str) -> float:
        """Return the BIC that a phase gains; less than any margin for a ghost."""
        share = intensity_shares(found, self.problem)[name]
        if not share >= _RULES.min_intensity_share:
            return float("-inf")
        noise = max(1.0, min(found.gof, without.gof))
        return bic(without, noise) - bic(found, noise)


def _holding(plan: RefinementPlan, present: Sequence[str], held: Sequence[str]) -> RefinementPlan:
    """Return the plan for these phases, of which some have nothing but their scale free."""
    free = [n for n in present if n not in held]
    stages = []
    for stage in plan.stages:
        tokens: list[str] = []
        for token in stage.free:
            group, _, only = token.partition(":")
            if only:
                tokens += [token] if only in (free if group != "scale" else present) else []
            elif held and group in PHASE_GROUPS and group != "scale":
                tokens += [f"{group}:{name}" for name in free]
            else:
                tokens.append(token)
        stages.append((stage.name, tuple(tokens)))
    return RefinementPlan.of(*stages)
