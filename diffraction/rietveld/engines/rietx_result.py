"""Read rietx's answer into our result: names, units, raw and serially corrected errors, covariances."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from layerscope.crystals import CELL, cell_volume

from ..agreement import strong_correlations
from ..model import FloatArray, Instrument, PowderPattern, PowderPhase, Problem
from ..result import Curves, Estimate, Linearised, PhaseResult, RietveldResult, Role

__all__ = ["INSTRUMENT_PATHS", "RietxAnswer"]

INSTRUMENT_PATHS = {
    "u": "instrument.profile.u",
    "v": "instrument.profile.v",
    "w": "instrument.profile.w",
    "x": "instrument.profile.x",
    "y": "instrument.profile.y",
    "sh_l": "instrument.geometry.axial_sl",
    "zero": "instrument.zero_shift",
    "displacement_mm": "instrument.geometry.sample_displacement",
}
_DEGREE = 180.0 / math.pi


@dataclass(frozen=True)
class RietxAnswer:
    """A finished refinement: the pattern and problem it ran on, rietx's refinement and its answer."""

    pattern: PowderPattern
    problem: Problem
    refinement: Any
    answer: Any
    name: str = "rietx"

    def result(self, version: str, seconds: float) -> RietveldResult:
        """Translate rietx's answer into ours."""
        answer = self.answer
        found = {p.path: p for p in answer.parameters}
        rows = {row.path: row for row in self.refinement.parameters()}
        factor = float(answer.statistics.esd_inflation or 1.0)
        reader = _Reader(found, rows, self._initial(), factor)
        instrument = self._read_instrument(reader)
        phases = tuple(self._read_phase(k, p, reader) for k, p in enumerate(self.problem.phases))
        names, covariance, weights = self._covariances(found, factor)
        correlations = strong_correlations(names, covariance)
        flags = [f"AT_BOUND:{self._canonical(p.path)}" for p in answer.parameters if p.at_bound]
        flags += [f"CORRELATED:{a}~{b} {rho:.2f}" for a, b, rho in correlations]
        flags += [] if answer.status == "converged" else ["NOT_CONVERGED"]
        flags += sorted({f"ENGINE:{d.code}" for d in answer.diagnostics if d.level in ("warning", "error")})
        st = answer.statistics
        ticks = {k: np.asarray(v, dtype=np.float64) for k, v in answer.ticks.items()}
        return RietveldResult(
            engine=self.name,
            engine_version=version,
            pattern=self.pattern.name,
            phases=phases,
            instrument=instrument,
            background=tuple(reader.get(f"instrument.background.c{k}") for k in range(self.problem.background.terms)),
            lines=tuple(
                reader.get(f"instrument.extra_components.{k}.area") for k in range(len(self.problem.background.lines))
            ),
            names=names,
            covariance=covariance,
            weight_covariance=weights,
            rwp=float(st.rwp),
            rexp=float(st.rexp),
            gof=float(st.gof),
            chi2=float(st.chi2) * max(st.n_points - st.n_free_parameters, 1),
            n_data=int(st.n_points),
            n_free=int(st.n_free_parameters),
            serial_factor=factor,
            converged=answer.status == "converged",
            correlations=correlations,
            flags=tuple(flags),
            curves=Curves(
                np.asarray(answer.two_theta),
                np.asarray(answer.y_obs),
                np.asarray(answer.y_calc),
                np.asarray(answer.y_background),
                self.pattern.sigma,
                ticks,
            ),
            seconds=seconds,
            linear=self._linearised([p.path for p in found.values() if p.vary]),
        )

    def _initial(self) -> dict[str, float]:
        start = _start_values(self.problem.instrument)
        for k, phase in enumerate(self.problem.phases):
            start.update({f"phases.{k}.cell.{n}": v for n, v in zip(CELL, phase.cell, strict=True)})
            for j, site in enumerate(phase.sites):
                base = f"phases.{k}.atoms.{j}"
                start.update({f"{base}.x": site.x, f"{base}.y": site.y, f"{base}.z": site.z})
                start.update({f"{base}.occ": site.occupancy, f"{base}.biso": site.b_iso})
        return start

    def _read_instrument(self, reader: _Reader) -> dict[str, Estimate]:
        out = {key: reader.get(path) for key, path in INSTRUMENT_PATHS.items()}
        out["sh_l"] = _scaled(out["sh_l"], 2.0)
        return out

    def _read_phase(self, index: int, phase: PowderPhase, reader: _Reader) -> PhaseResult:
        base = f"phases.{index}"
        cell = {k: reader.get(f"{base}.cell.{k}") for k in CELL}
        cell["volume"] = self._volume(index, cell, reader.factor)
        fixed = Estimate(phase.march)
        wavelength = self.problem.instrument.wavelengths[0]
        sites = {
            s.label: {
                ours: reader.get(f"{base}.atoms.{j}.{theirs}")
                for ours, theirs in (("x", "x"), ("y", "y"), ("z", "z"), ("occupancy", "occ"), ("b_iso", "biso"))
            }
            for j, s in enumerate(phase.sites)
        }
        return PhaseResult(
            name=phase.name,
            cell=cell,
            scale=reader.get(f"{base}.scale"),
            weight_fraction=self._weight(index, reader.factor),
            size_nm=_size(reader.get(f"{base}.lor_size"), wavelength),
            microstrain_ppm=_scaled(reader.get(f"{base}.lor_strain"), 1e6 / _DEGREE),
            march=fixed if phase.texture_axis is None else reader.get(f"{base}.preferred_orientation.r"),
            sites=sites,
        )

    def _volume(self, index: int, cell: Mapping[str, Estimate], factor: float) -> Estimate:
        for row in self.answer.cell_volumes or []:
            if row.phase_index == index:
                raw = None if row.stderr is None else row.stderr / factor
                return Estimate(row.volume, raw, row.stderr, "derived")
        return Estimate(cell_volume([cell[k].value for k in CELL]), role="derived")

    def _weight(self, index: int, factor: float) -> Estimate:
        if len(self.problem.phases) == 1:
            return Estimate(1.0)
        qpa = self.answer.qpa
        if qpa is None or qpa.phases[index].weight_fraction is None:
            return Estimate(math.nan, None, None, "derived")
        row = qpa.phases[index]
        sigma = row.weight_fraction_stderr
        return Estimate(
            row.weight_fraction, None if sigma is None else sigma / factor, sigma, "derived", None, 0.0, 1.0
        )

    def _covariances(self, found: Mapping[str, Any], factor: float) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
        """Raw covariance of the free parameters, and of the weight fractions."""
        count = len(self.problem.phases)
        stored = self.refinement._answer_covariance
        if stored is None or stored[3] is None:
            return (), np.zeros((0, 0)), np.full((count, count), math.nan if count > 1 else 0.0)
        _, table, theta, stderr, correlation = stored
        free = [p.path for p in found.values() if p.vary]
        scales = [f"phases.{k}.scale" for k in range(count)]
        full = np.asarray(table.physical_covariance(theta, stderr, correlation, free)) / factor**2
        block = np.asarray(table.physical_covariance(theta, stderr, correlation, scales)) / factor**2
        weights = np.full((count, count), math.nan if self.problem.le_bail and count > 1 else 0.0)
        if count > 1 and self.answer.qpa is not None:
            zmv = np.array([row.zmv for row in self.answer.qpa.phases])
            amount = zmv * np.array([row.scale for row in self.answer.qpa.phases])
            w = amount / amount.sum()
            jacobian = (np.diag(zmv) - np.outer(w, zmv)) / amount.sum()
            weights = jacobian @ block @ jacobian.T
        return tuple(self._canonical(p) for p in free), full, weights

    def _linearised(self, free: list[str]) -> Linearised | None:
        """Return derivatives of calculated / sigma, from rietx's own Jacobian of its residuals."""
        from rietx.optimize.least_squares import _make_jacobian

        stored, model = self.refinement._answer_covariance, self.refinement._model
        if stored is None or self.problem.le_bail:
            return None
        _, table, theta, *_ = stored
        own = np.asarray(_make_jacobian(model, table)(theta), dtype=np.float64)[: self.pattern.two_theta.size]
        rows = table.local_jacobian(theta)[[table._paths[p] for p in free], :].toarray()
        if rows.shape[0] != rows.shape[1] or own.shape[1] != rows.shape[1]:
            return None
        jacobian = np.linalg.solve(rows.T, own.T).T
        scale = [k for k, p in enumerate(free) if p.endswith(".scale")]
        if scale and jacobian[:, scale].sum() < 0:
            jacobian = -jacobian
        return Linearised(tuple(self._canonical(p) for p in free), jacobian.astype(np.float32))

    def _canonical(self, path: str) -> str:
        """Name of a rietx path in our vocabulary."""
        parts = path.split(".")
        if parts[0] != "phases":
            for key, value in INSTRUMENT_PATHS.items():
                if path == value:
                    return f"instrument/{key}"
            return path.removeprefix("instrument.").replace(".c", "/").replace(".", "/")
        phase = self.problem.phases[int(parts[1])]
        if parts[2] == "atoms":
            site = phase.sites[int(parts[3])].label
            tail = {"biso": "b_iso", "occ": "occupancy"}.get(parts[4], "/".join(parts[4:]))
            return f"{phase.name}/site/{site}/{tail}"
        tail = "/".join(parts[2:])
        names = {"lor_size": "size_nm", "lor_strain": "microstrain_ppm", "preferred_orientation/r": "march"}
        return f"{phase.name}/{names.get(tail, tail)}"


@dataclass(frozen=True)
class _Reader:
    """Reads rietx's parameters by path into estimates."""

    found: Mapping[str, Any]
    rows: Mapping[str, Any]
    initial: Mapping[str, float]
    factor: float

    def get(self, path: str) -> Estimate:
        row = self.rows[path]
        bounds = (float(row.lo), float(row.hi))
        answer = self.found.get(path)
        start = self.initial.get(path)
        if answer is None or answer.stderr is None:
            return Estimate(float(row.value), None, None, "fixed", start, *bounds)
        raw = answer.stderr_uncorrected
        raw = answer.stderr / self.factor if raw is None else raw
        # a coordinate is tied to a degree of freedom of its site: symmetry, not a constraint of the user
        role: Role = "refined" if answer.vary or path[-2:] in (".x", ".y", ".z") else "constrained"
        return Estimate(float(answer.value), float(raw), float(answer.stderr), role, start, *bounds)


def _start_values(instrument: Instrument) -> dict[str, float]:
    out = {path: float(getattr(instrument, key)) for key, path in INSTRUMENT_PATHS.items()}
    out[INSTRUMENT_PATHS["sh_l"]] = 0.5 * instrument.sh_l
    return out


def _scaled(value: Estimate, factor: float) -> Estimate:
    def times(number: float | None) -> float | None:
        return None if number is None else number * factor

    return Estimate(
        value.value * factor,
        times(value.sigma),
        times(value.sigma_serial),
        value.role,
        times(value.initial),
        value.minimum * factor,
        value.maximum * factor,
    )


def _size(width: Estimate, wavelength: float) -> Estimate:
    """Size in nm from the 1/cosθ coefficient in degree: ``L = (180/π) λ / x``."""
    if width.value <= 0.0:
        return Estimate(math.inf, None, None, width.role)
    size = 0.1 * _DEGREE * wavelength / width.value
    relative = None if width.sigma is None else width.sigma / width.value
    serial = None if width.sigma_serial is None else width.sigma_serial / width.value
    return Estimate(
        size,
        None if relative is None else size * relative,
        None if serial is None else size * serial,
        width.role,
        minimum=0.0,
    )
