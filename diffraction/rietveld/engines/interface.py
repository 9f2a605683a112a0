"""What every engine offers, and how it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..model import PowderPattern, Problem
from ..plan import RefinementPlan
from ..result import RietveldResult

__all__ = ["Engine", "EngineStatus", "RefineOptions"]


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
