"""Refined numbers whose errors know that the shapes of lines may be wrong.

An engine's errors hold for a model that is right. What the residuals show beyond the noise and beyond all that its
parameters can explain is taken for a smooth relative error of each phase's lines (`layerscope.fitting.discrepancy`).
One generalised least-squares step with it gives the errors. The step itself is a part of them: how far the answer
depends on how misfit is weighed. What is wrong alike in all lines of a phase does not average out over them: what the
numbers would change by if each phase had a further parameter of its lines' shape is a part of the errors as well.
Weight fractions are those after the step, which brought them nearer to the truth in simulations. Cells, sites, sizes
and the instrument keep the engine's values: there the step did not.

What shifts all lines alike leaves no residual. The profile of Finger, Cox & Jephcoat has parallel incident rays; where
axial divergence is on both sides, or cut by Soller slits, its S/L + H/L imitates the width of lines and gives them
another mean shift (Cheary & Coelho 1998, J. Appl. Cryst. 31, 851), which displacement and cells take up. That shift is
known to `AXIAL` of itself here; what it moves the cells by stands in their errors as the part ``geometry``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from layerscope.crystals import CELL, cell_volume
from layerscope.fitting.banded_discrepancy import LongPattern, pooled_discrepancy
from layerscope.fitting.discrepancy import Discrepancy

from .model import FloatArray
from .result import Estimate, PhaseResult, RietveldResult

__all__ = ["discrepancy_of", "linearised", "with_discrepancy"]

AXIAL = 0.4
"""Standard error of the mean shift of lines by axial divergence, relative to that of the refined profile."""

RESHAPED = 2.0
"""Width that lines are convolved with for that, in lengths of the discrepancy."""

_SHIFTS = ("displacement_mm", "zero")

POOLED = 4
"""Most patterns of a series that the discrepancy is taken from."""


def discrepancy_of(results: Sequence[RietveldResult]) -> Discrepancy | None:
    """Return the discrepancy of the patterns of a series; None where no engine told its derivatives.

    Parameters
    ----------
    results : sequence of RietveldResult
        In the order of the series; some, spread over it, are looked at.
    """
    usable = [one for r in results if (one := linearised(r)) is not None]
    if not usable:
        return None
    chosen = np.unique(np.linspace(0, len(usable) - 1, min(POOLED, len(usable))).round().astype(int))
    return pooled_discrepancy([usable[k][0] for k in chosen])


def with_discrepancy(result: RietveldResult, known: Discrepancy | None = None) -> RietveldResult:
    """Return a refinement after a generalised step with the discrepancy; its derivatives are dropped.

    Parameters
    ----------
    result : RietveldResult
        As the engine left it.
    known : Discrepancy, optional
        Of the series it belongs to; its own where nothing is given.

    Returns
    -------
    RietveldResult
        Its estimates have the whole error, and its parts ``model`` and ``geometry``. Unchanged where the engine told no
        derivatives.
    """
    found = linearised(result)
    plain = replace(result, linear=None)
    if found is None:
        return plain
    pattern, names = found
    if known is None:
        known = pooled_discrepancy([pattern])
    shared = _axial(result, pattern)
    if known.amplitude == 0.0:
        nothing = np.zeros_like(shared)
        return _Stated(plain, names, nothing, np.diag(nothing), shared).result(known)
    done = pattern.generalised(known)
    other = pattern.reshaped(RESHAPED * known.length).generalised(known).step[: done.step.size] - done.step
    total = done.covariance + np.outer(done.step, done.step) + np.outer(other, other)
    return _Stated(plain, names, done.step, total, shared).result(known)


def _axial(result: RietveldResult, pattern: LongPattern) -> FloatArray:
    """Return what the standard error of the axial shift moves the engine's parameters by, shape (q,).

    The mean shift of the profile is -(S^2 + H^2) / 6 L^2 cot 2theta, with S = H here.
    """
    curves = result.curves
    opening = max(result.instrument["sh_l"].value, 0.0)
    shift = -np.degrees(opening**2 / 12.0) / np.tan(np.radians(curves.two_theta))
    slope = np.gradient(curves.calculated - curves.background, curves.two_theta) / curves.sigma
    return AXIAL * np.asarray(np.linalg.lstsq(pattern.jacobian, slope * shift, rcond=None)[0])


def linearised(result: RietveldResult) -> tuple[LongPattern, tuple[str, ...]] | None:
    """Return a refinement in units of its noise, and the names of its columns; parameters at a bound are held."""
    if result.linear is None:
        return None
    bound = {flag.partition(":")[2] for flag in result.flags if flag.startswith("AT_BOUND:")}
    jacobian = np.asarray(result.linear.jacobian, dtype=np.float64)
    size = np.linalg.norm(jacobian, axis=0)
    keep = [k for k, name in enumerate(result.linear.names) if size[k] > 0 and name not in bound]
    names = tuple(result.linear.names[k] for k in keep)
    scales = [(k, result.phase(n.removesuffix("/scale")).scale.value) for k, n in enumerate(names) if "/scale" in n]
    if not scales or not np.isfinite(jacobian).all():
        return None
    used = jacobian[:, keep]
    counts = np.stack([used[:, k] * value for k, value in scales])
    counts = counts[(counts**2).sum(axis=1) > 0]
    if not len(counts):
        return None
    curves = result.curves
    return LongPattern(curves.two_theta, curves.residual, used, counts, curves.sigma), names


@dataclass(frozen=True)
class _Stated:
    """Puts a step and a covariance of the engine's parameters into a result."""

    plain: RietveldResult
    names: tuple[str, ...]
    step: FloatArray
    total: FloatArray
    shared: FloatArray

    def result(self, known: Discrepancy) -> RietveldResult:
        phases, weights = [self._phase(p) for p in self.plain.phases], self.plain.weight_covariance
        if known.amplitude > 0:
            phases, weights = self._weights(phases)
        instrument = {k: self._instrument(k, e) for k, e in self.plain.instrument.items()}
        return replace(
            self.plain,
            phases=tuple(phases),
            instrument=instrument,
            weight_covariance=weights,
            counting_weights=self.plain.weight_covariance,
            discrepancy=known,
        )

    def _at(self, name: str) -> int | None:
        return self.names.index(name) if name in self.names else None

    def _surer(self, estimate: Estimate, name: str) -> Estimate:
        k = self._at(name)
        if k is None or estimate.sigma is None:
            return estimate
        return _with(estimate, estimate.value, float(self.total[k, k]))

    def _instrument(self, key: str, estimate: Estimate) -> Estimate:
        name = f"instrument/{key}"
        wider, k = self._wider(estimate, name), self._at(name)
        return _shifted(wider, self.shared[k]) if k is not None and key in _SHIFTS else wider

    def _wider(self, estimate: Estimate, *names: str) -> Estimate:
        """Return an estimate in a unit of its own whose error grows as that of its parameter does."""
        at = [k for name in names if (k := self._at(name)) is not None]
        if not at or not estimate.sigma:
            return estimate
        position = [self.plain.names.index(self.names[k]) for k in at if self.names[k] in self.plain.names]
        raw = np.array([self.plain.covariance[p, p] for p in position])
        grown = np.array([self.total[k, k] for k in at[: len(position)]])
        if not raw.size or not (raw > 0).all():
            return estimate
        return _with(estimate, estimate.value, float(estimate.sigma**2 * (grown / raw).max()))

    def _phase(self, phase: PhaseResult) -> PhaseResult:
        sites = {}
        for label, site in phase.sites.items():
            base = f"{phase.name}/site/{label}"
            free = tuple(f"{base}/{key}" for key in ("x", "y", "z", "dof/0", "dof/1", "dof/2"))
            sites[label] = {
                key: self._surer(e, f"{base}/{key}") if key in ("occupancy", "b_iso") else self._wider(e, *free)
                for key, e in site.items()
            }
        return replace(
            phase,
            cell=self._cell(phase),
            scale=self._surer(phase.scale, f"{phase.name}/scale"),
            size_nm=self._wider(phase.size_nm, f"{phase.name}/size_nm"),
            microstrain_ppm=self._wider(phase.microstrain_ppm, f"{phase.name}/microstrain_ppm"),
            march=self._surer(phase.march, f"{phase.name}/march"),
            sites=_filled(sites),
        )

    def _cell(self, phase: PhaseResult) -> dict[str, Estimate]:
        old = [phase.cell[k].value for k in CELL]
        at = {k: i for k in CELL if (i := self._at(f"{phase.name}/cell/{k}")) is not None}
        if not at:
            return dict(phase.cell)
        twins = {k: next((m for m in at if m not in "bc" and k in "bc" and _alike(phase, k, m)), k) for k in CELL}

        def volume(change: FloatArray) -> float:
            move = [float(change[at[twins[k]]]) if twins[k] in at else 0.0 for k in CELL]
            return cell_volume([value + by for value, by in zip(old, move, strict=True)])

        found = dict(phase.cell)
        for k in CELL:
            if twins[k] in at:
                place = at[twins[k]]
                wider = _with(phase.cell[k], phase.cell[k].value, float(self.total[place, place]))
                found[k] = _shifted(wider, self.shared[place])
        slope = np.zeros(self.step.size)
        for i in at.values():
            unit = np.zeros(self.step.size)
            unit[i] = 1e-4
            slope[i] = (volume(unit) - volume(-unit)) / 2e-4
        whole = phase.cell["volume"]
        found["volume"] = _shifted(
            _with(whole, whole.value, float(slope @ self.total @ slope)), float(slope @ self.shared)
        )
        return found

    def _weights(self, phases: list[PhaseResult]) -> tuple[list[PhaseResult], FloatArray]:
        """Move the weight fractions with the scales; their covariance is that of the scales."""
        old = np.array([p.weight_fraction.value for p in self.plain.phases])
        if len(phases) == 1 or not np.isfinite(old).all():
            return phases, self.plain.weight_covariance
        before = np.array([p.scale.value for p in self.plain.phases])
        at = [self._at(f"{p.name}/scale") for p in phases]
        share, relative = old.copy(), np.zeros((len(phases), len(phases)))
        for k, i in enumerate(at):
            if i is None or not before[k] > 0:
                continue
            share[k] *= max(1.0 + self.step[i] / before[k], 0.0)
            for m, j in enumerate(at):
                if j is not None and before[m] > 0:
                    relative[k, m] = self.total[i, j] / (before[k] * before[m])
        share = share / share.sum()
        slope = np.diag(old) - np.outer(old, old)
        whole = slope @ relative @ slope.T
        moved = []
        for k, phase in enumerate(phases):
            raw = phase.weight_fraction
            moved.append(
                phase
                if raw.sigma is None
                else replace(phase, weight_fraction=_with(raw, float(share[k]), float(whole[k, k])))
            )
        grown = np.array([(p.weight_fraction.sigma or 0.0) for p in moved])
        size = np.sqrt(np.maximum(np.diag(whole), 0.0))
        ratio = np.where(size > 0, grown / np.where(size > 0, size, 1.0), 1.0)
        return moved, whole * np.outer(ratio, ratio)


def _with(estimate: Estimate, value: float, variance: float) -> Estimate:
    """Return an estimate with another value and error, at least that of the engine; what is added is ``model``."""
    raw = estimate.sigma or 0.0
    whole = max(math.sqrt(max(variance, 0.0)), raw)
    if estimate.minimum <= estimate.maximum:
        value = min(max(value, estimate.minimum), estimate.maximum)
    model = math.sqrt(max(whole**2 - raw**2, 0.0))
    serial = None if estimate.sigma_serial is None else math.hypot(estimate.sigma_serial, model)
    return replace(estimate, value=float(value), sigma=whole, sigma_serial=serial, model=model)


def _shifted(estimate: Estimate, by: float) -> Estimate:
    """Return an estimate whose error holds what a shift of all lines moves it by."""
    if not estimate.sigma:
        return estimate
    serial = None if estimate.sigma_serial is None else math.hypot(estimate.sigma_serial, by)
    return replace(estimate, sigma=math.hypot(estimate.sigma, by), sigma_serial=serial, geometry=abs(float(by)))


def _alike(phase: PhaseResult, first: str, second: str) -> bool:
    return math.isclose(phase.cell[first].value, phase.cell[second].value, rel_tol=1e-9)


def _filled(sites: dict[str, dict[str, Estimate]]) -> dict[str, dict[str, Estimate]]:
    """Give hosts of shared sites, whose occupancy is what their guests leave, the errors of these."""
    for label, site in sites.items():
        host = site.get("occupancy")
        if host is None or host.role != "constrained" or host.sigma is None:
            continue
        where = [site[k].value for k in ("x", "y", "z")]
        guests = [
            found["occupancy"]
            for other, found in sites.items()
            if other != label
            and found["occupancy"].role == "refined"
            and all(math.isclose(found[k].value, w, abs_tol=1e-6) for k, w in zip("xyz", where, strict=True))
        ]
        if guests:
            site["occupancy"] = _with(host, host.value, host.sigma**2 + sum(guest.model**2 for guest in guests))
    return sites
