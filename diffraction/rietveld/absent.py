"""What the phases that are not in a pattern could amount to, each at the cell that it is held at."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

from layerscope.fitting.discrepancy import Discrepancy

from .model import PowderPhase, Problem
from .profile import absent_phase_test
from .result import RietveldResult

__all__ = ["Tested", "absent_amounts"]


STRETCH = 2e-3
"""How far a cell that nobody measured may be from that of the recipe, relative."""

SMALL = 20.0
"""Crystallite size in nm that makes the lines of an unseen phase as broad as can be told from a background."""


@dataclass(frozen=True)
class Tested:
    """A phase tried in a frame: its fraction, raw esd, what wrong shapes add to it, and the BIC that it would gain."""

    fraction: float
    sigma: float | None
    delta_bic: float
    model: float = 0.0


def absent_amounts(
    result: RietveldResult, problem: Problem, known: Discrepancy | None = None, unseen: Collection[str] = ()
) -> dict[str, Tested]:
    """Return what every phase of a problem that a refinement lacks could amount to.

    Parameters
    ----------
    result : RietveldResult
        As the engine left it.
    problem : Problem
        Phases of the result where they were found, the others where they are held.
    known : Discrepancy, optional
        Of the shapes of lines.
    unseen : collection of str
        Phases that were found nowhere: what allows most of them at cells `STRETCH` off and crystallites of `SMALL` nm
        is stated.
    """
    found = {}
    for phase in problem.phases:
        if not result.has_phase(phase.name):
            test = absent_phase_test(result, problem, phase.name, known, _others(phase) if phase.name in unseen else ())
            delta = math.copysign(test.z**2, test.z) - math.log(result.n_data)
            found[phase.name] = Tested(test.fraction, test.sigma, delta, test.model)
    return found


def _others(phase: PowderPhase) -> list[PowderPhase]:
    """Return a phase with other cells and smaller crystallites."""
    found = []
    for size in {phase.size_nm, min(SMALL, phase.size_nm)}:
        for factor in (1.0 - STRETCH, 1.0, 1.0 + STRETCH):
            lengths = {key: factor * value for key, value in zip("abc", phase.cell[:3], strict=True)}
            found.append(replace(phase.with_cell(**lengths), size_nm=size))
    return found
