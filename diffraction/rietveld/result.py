"""What a refinement returns, whichever engine ran it: values with two errors each, covariance, curves and flags."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from layerscope.crystals import CELL, Site
from layerscope.errors import RecipeError
from layerscope.fitting.discrepancy import Discrepancy

from .agreement import Agreement
from .model import FloatArray, PowderPhase, Problem

__all__ = ["Curves", "Estimate", "Linearised", "PhaseResult", "RietveldResult", "Role", "update_problem"]

Role = Literal["refined", "derived", "constrained", "fixed"]


@dataclass(frozen=True)
class Estimate:
    """One number with its errors.

    Attributes
    ----------
    value : float
    sigma : float or None
        Raw esd: square root of the diagonal of ``χ²_red (JᵀWJ)⁻¹``; None for a value that was not refined.
    sigma_serial : float or None
        ``sigma`` times the Bérar–Lelann factor of the residuals.
    model : float
        Part of ``sigma`` that wrong shapes of lines bring (`discrepancy`).
    geometry : float
        Part of ``sigma`` that a shift of all lines by axial divergence brings, alike in all of an instrument.
    role : {"refined", "derived", "constrained", "fixed"}
    initial, minimum, maximum : float
        Where it started and the bounds it was held in.
    """

    value: float
    sigma: float | None = None
    sigma_serial: float | None = None
    role: Role = "fixed"
    initial: float | None = None
    minimum: float = -math.inf
    maximum: float = math.inf
    model: float = 0.0
    geometry: float = 0.0

    @property
    def counting(self) -> float:
        """Raw esd, without what wrong shapes and shifts bring."""
        return math.sqrt(max((self.sigma or 0.0) ** 2 - self.model**2 - self.geometry**2, 0.0))

    @property
    def own(self) -> float:
        """Standard error without what is alike in patterns of one instrument."""
        return math.hypot(self.counting, self.model)

    @property
    def at_bound(self) -> bool:
        """Whether a refined value sits on one of its bounds."""
        if self.role != "refined":
            return False
        scale = max(abs(self.value), 1e-12)
        return any(math.isfinite(b) and abs(self.value - b) <= 1e-9 * scale for b in (self.minimum, self.maximum))


@dataclass(frozen=True)
class Curves:
    """Observed and calculated pattern over the fitted range, all of shape (n,); ticks are Kα1 positions in degrees."""

    two_theta: FloatArray
    observed: FloatArray
    calculated: FloatArray
    background: FloatArray
    sigma: FloatArray
    ticks: Mapping[str, FloatArray] = field(default_factory=dict)

    @property
    def residual(self) -> FloatArray:
        """(observed − calculated) / sigma, shape (n,)."""
        return (self.observed - self.calculated) / self.sigma


@dataclass(frozen=True)
class Linearised:
    """Derivatives at the solution: of calculated / sigma by the refined parameters, shape (n, q), with their names."""

    names: tuple[str, ...]
    jacobian: NDArray[np.float32]


@dataclass(frozen=True)
class PhaseResult:
    """One phase after refinement: cell (a … gamma, volume), fraction, widths, texture and sites by label."""

    name: str
    cell: Mapping[str, Estimate]
    scale: Estimate
    weight_fraction: Estimate
    size_nm: Estimate
    microstrain_ppm: Estimate
    march: Estimate
    sites: Mapping[str, Mapping[str, Estimate]]


@dataclass(frozen=True)
class RietveldResult(Agreement):
    """One refined pattern, and how well it agrees.

    ``names`` and ``covariance`` (shape (q, q), raw) belong to the refined
    parameters that the neutral model knows; ``weight_covariance`` (shape (p, p), raw) to the weight fractions in the
    order of ``phases``. ``linear`` is there until the discrepancy was taken from
    it. ``flags`` hold ``AT_BOUND:name``, ``CORRELATED:a~b 0.98``, ``NOT_CONVERGED`` and the engine's
    own warnings.
    """

    engine: str
    engine_version: str
    pattern: str
    phases: tuple[PhaseResult, ...]
    instrument: Mapping[str, Estimate]
    background: tuple[Estimate, ...]
    lines: tuple[Estimate, ...]
    names: tuple[str, ...]
    covariance: FloatArray
    weight_covariance: FloatArray
    serial_factor: float
    converged: bool
    correlations: tuple[tuple[str, str, float], ...]
    flags: tuple[str, ...]
    curves: Curves
    seconds: float
    log: Path | None = None
    project: Path | None = None
    linear: Linearised | None = None
    discrepancy: Discrepancy | None = None
    counting_weights: FloatArray | None = None

    def phase(self, name: str) -> PhaseResult:
        """Return the phase called ``name``."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise RecipeError(f"the result holds no phase {name!r}", hint=f"phases: {[p.name for p in self.phases]}")

    def has_phase(self, name: str) -> bool:
        """Whether the phase took part."""
        return any(p.name == name for p in self.phases)

    def estimates(self) -> dict[str, Estimate]:
        """All estimates by their canonical name (``O3/cell/a``, ``O3/site/Co/b_iso``, ``instrument/u``, ...)."""
        out: dict[str, Estimate] = {}
        for p in self.phases:
            out.update({f"{p.name}/cell/{k}": v for k, v in p.cell.items()})
            for key in ("scale", "weight_fraction", "size_nm", "microstrain_ppm", "march"):
                out[f"{p.name}/{key}"] = getattr(p, key)
            for label, site in p.sites.items():
                out.update({f"{p.name}/site/{label}/{k}": v for k, v in site.items()})
        out.update({f"instrument/{k}": v for k, v in self.instrument.items()})
        out.update({f"background/{k}": v for k, v in enumerate(self.background)})
        out.update({f"line/{k}": v for k, v in enumerate(self.lines)})
        return out

    def total_fraction(self, *names: str) -> Estimate:
        """Sum of the named weight fractions with the error of their covariance; absent phases count as zero."""
        index = [k for k, p in enumerate(self.phases) if p.name in names]
        value = sum(self.phases[k].weight_fraction.value for k in index)
        whole, raw = (
            math.sqrt(max(float(c[np.ix_(index, index)].sum()), 0.0)) if index else 0.0
            for c in (self.weight_covariance, self.raw_weight_covariance)
        )
        if not whole > 0:
            return Estimate(value)
        return Estimate(value, whole, role="derived", model=math.sqrt(max(whole**2 - raw**2, 0.0)))

    @property
    def raw_weight_covariance(self) -> FloatArray:
        """Of the weight fractions, without what wrong shapes bring, shape (p, p)."""
        return self.weight_covariance if self.counting_weights is None else self.counting_weights


def _moved(site: Site, found: Mapping[str, Estimate]) -> Site:
    values: dict[str, Any] = {k: v.value for k, v in found.items()}
    return replace(site, **values)


def update_problem(problem: Problem, result: RietveldResult) -> Problem:
    """Return the problem with every start value replaced by the refined one (the warm start of a series)."""
    phases: list[PowderPhase] = []
    for phase in problem.phases:
        if not result.has_phase(phase.name):
            phases.append(phase)
            continue
        found = result.phase(phase.name)
        cell = tuple(found.cell[k].value for k in CELL)
        sites = tuple(_moved(s, found.sites[s.label]) for s in phase.sites)
        phases.append(
            replace(
                phase,
                cell=cell,
                sites=sites,
                march=found.march.value,
                size_nm=found.size_nm.value,
                microstrain_ppm=found.microstrain_ppm.value,
                start_scale=found.scale.value,
            )
        )
    values: dict[str, Any] = {k: v.value for k, v in result.instrument.items()}
    lines = tuple(
        line.model_copy(update={"area": max(est.value, 0.0)})
        for line, est in zip(problem.background.lines, result.lines, strict=False)
    )
    return replace(
        problem,
        phases=tuple(phases),
        instrument=problem.instrument.model_copy(update=values),
        background=problem.background.model_copy(update={"lines": lines or problem.background.lines}),
        background_start=tuple(c.value for c in result.background[: problem.background.terms]),
    )
