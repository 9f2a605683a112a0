"""What a line-position standard tells about its diffractometer: a whole-pattern fit with fundamental parameters.

Every reflection has a free intensity (Pawley), so that neither structure nor texture matter; intensities and
background are eliminated in closed form, and cell, displacement, crystallite size and the chosen parts of the geometry
are refined. Certified values do not enter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from layerscope.crystals import Phase, crystal_system, reflections
from layerscope.errors import DataError, FitError, RecipeError

from ..agreement import agreement
from ..geometry import REFINABLE, Geometry
from ..model import FloatArray, Instrument, PowderPattern
from ..prealign import FREE_LENGTHS, inverse_d_squared
from .aberrations import line_profile

__all__ = ["GeometryFit", "fit_geometry", "reflection_spacings"]

_SAME_D = 1e-6
_WEAKEST = 1e-4  # calculated intensity against the strongest line; weaker ones are left out
_DEGREES_PER_TERM = 2.5  # of background
_GAP = 5.0  # median steps; wider ones end a segment


@dataclass(frozen=True)
class GeometryFit:
    """A refined geometry and what came with it.

    Attributes
    ----------
    geometry : Geometry
        With the refined values, nothing left to refine.
    values, sigmas : mapping of str to float
        Refined parameters (cell lengths in Å, ``displacement_mm``, ``inverse_size`` in 1/nm, parts of the geometry)
        and their raw esds, ``χ²_red (JᵀWJ)⁻¹``.
    size_nm : float
    rwp, gof : float
        Rwp as a fraction; goodness of fit.
    calculated : ndarray, shape (n,)
    """

    geometry: Geometry
    values: Mapping[str, float]
    sigmas: Mapping[str, float]
    size_nm: float
    rwp: float
    gof: float
    calculated: FloatArray


def fit_geometry(
    pattern: PowderPattern,
    phase: Phase,
    instrument: Instrument,
    geometry: Geometry | None = None,
    *,
    zero: bool = False,
) -> GeometryFit:
    """Refine the geometry's ``refine`` list, with cell, displacement and size, on the pattern of a standard.

    Parameters
    ----------
    pattern : PowderPattern
        Of one phase with sharp lines.
    phase : Phase
        Symmetry and a cell to start from, within a tenth of a line's width.
    instrument : Instrument
        Radius, polarisation, zero and displacement.
    geometry : Geometry, optional
        Default is the instrument's.
    zero : bool
        Refine the zero shift too; over a usual range it can hardly be told from displacement and transparency.

    Raises
    ------
    RecipeError
        No geometry.
    DataError
        Fewer than three reflections lie in the range.
    FitError
        The fit did not converge or is singular.
    """
    start = geometry or instrument.geometry
    if start is None:
        raise RecipeError("the instrument has no geometry to refine")
    return _Model(pattern, phase, instrument, start, zero).solve()


def reflection_spacings(phase: Phase, wavelength: float, limits: tuple[float, float]) -> FloatArray:
    """Return hkl of one reflection of each spacing that lies within ``limits`` (degrees), shape (n, 3)."""
    listed = reflections(phase, 0.995 * wavelength / (2.0 * math.sin(math.radians(limits[1]) / 2.0)))
    angle = listed.two_theta(wavelength)
    power = listed.multiplicity * listed.f2
    keep = np.isfinite(angle) & (angle > limits[0]) & (angle < limits[1]) & (power > _WEAKEST * power.max())
    hkl, d = listed.hkl[keep], listed.d[keep]
    first = np.ones(d.size, dtype=bool)
    first[1:] = np.abs(np.diff(d)) > _SAME_D * d[1:]
    return np.asarray(hkl[first], dtype=np.float64)


class _Model:
    """Residuals of the fit as a function of its scaled parameters."""

    def __init__(
        self, pattern: PowderPattern, phase: Phase, instrument: Instrument, geometry: Geometry, zero: bool
    ) -> None:
        self.pattern, self.phase, self.instrument, self.geometry = pattern, phase, instrument, geometry
        limits = (float(pattern.two_theta[0]), float(pattern.two_theta[-1]))
        self.hkl = reflection_spacings(phase, instrument.wavelengths[0], limits)
        if len(self.hkl) < 3:
            raise DataError(f"{len(self.hkl)} reflections are too few for a geometry", source=pattern.name)
        self.lengths = FREE_LENGTHS[crystal_system(phase)]
        self.names = (*self.lengths, "displacement_mm", "inverse_size", *geometry.refine, *(("zero",) if zero else ()))
        cell = dict(zip(("a", "b", "c"), phase.cell[:3], strict=True))
        begin = [cell[n] for n in self.lengths] + [instrument.displacement_mm, 1e-4]
        limit = [(1e-4, 0.98 * cell[n], 1.02 * cell[n]) for n in self.lengths]
        limit += [(1e-2, -2.0, 2.0), (1e-3, 0.0, 1.0)]
        limit += [REFINABLE[n] for n in geometry.refine]
        begin += [getattr(geometry, n) for n in geometry.refine]
        if zero:
            begin.append(instrument.zero)
            limit.append((2e-3, -0.5, 0.5))
        self.start = np.array(begin, dtype=np.float64)
        self.unit = np.array([row[0] for row in limit])
        self.low, self.high = np.array([row[1] for row in limit]), np.array([row[2] for row in limit])
        self.traced = self._spacings(self.start)
        self.background = _background(pattern.two_theta)

    def _spacings(self, p: FloatArray) -> FloatArray:
        value = dict(zip(self.names, p, strict=True))
        cell = np.array(self.phase.cell, dtype=np.float64)
        for k, name in enumerate(("a", "b", "c")):
            cell[k] = value.get(name, value["a"])
        return np.asarray(1.0 / np.sqrt(inverse_d_squared(self.hkl, cell[None, :])[0]), dtype=np.float64)

    def design(self, p: FloatArray) -> FloatArray:
        """Lines of unit intensity and background terms, shape (n, m)."""
        value = dict(zip(self.names, p, strict=True))
        geometry = self.geometry.with_values(value)
        size = 1.0 / value["inverse_size"] if value["inverse_size"] > 1e-9 else math.inf
        moved = {key: float(value[key]) for key in ("displacement_mm", "zero") if key in value}
        instrument, x = self.instrument.model_copy(update=moved), self.pattern.two_theta
        columns = [
            line_profile(x, float(d), geometry, instrument, size_nm=float(size), traced_at=float(t))
            for d, t in zip(self._spacings(p), self.traced, strict=True)
        ]
        return np.concatenate([np.stack(columns, axis=1), self.background], axis=1)

    def residual(self, p: FloatArray) -> FloatArray:
        """(observed − calculated) / sigma at the best intensities and background, shape (n,)."""
        weighted = self.design(p) / self.pattern.sigma[:, None]
        target = self.pattern.counts / self.pattern.sigma
        basis = np.linalg.qr(weighted)[0]  # variable projection: what no intensity or background can explain
        return np.asarray(target - basis @ (basis.T @ target), dtype=np.float64)

    def _scaled_residual(self, u: FloatArray) -> FloatArray:
        return self.residual(self.start + u * self.unit)

    def jacobian(self, u: FloatArray) -> FloatArray:
        """Differences over a hundredth of each parameter's typical change, away from its nearer bound."""
        p = self.start + u * self.unit
        here = self.residual(p)
        columns = []
        for k in range(p.size):
            moved = p.copy()
            moved[k] += 0.01 * self.unit[k] * (1.0 if self.high[k] - p[k] > p[k] - self.low[k] else -1.0)
            columns.append((self.residual(moved) - here) / ((moved[k] - p[k]) / self.unit[k]))
        return np.stack(columns, axis=1)

    def solve(self) -> GeometryFit:
        """Minimise, and read values, errors and agreement off."""
        from scipy.optimize import least_squares

        bounds = ((self.low - self.start) / self.unit, (self.high - self.start) / self.unit)
        answer = least_squares(
            self._scaled_residual,
            np.clip(np.zeros_like(self.start), *bounds),
            self.jacobian,
            bounds=bounds,
            ftol=1e-6,
            xtol=1e-6,
            max_nfev=60,
        )
        p = self.start + answer.x * self.unit
        if not answer.success:
            raise FitError("the fit of the geometry did not converge", source=self.pattern.name)
        columns = len(self.hkl) + self.background.shape[1]
        calculated = self.pattern.counts - answer.fun * self.pattern.sigma
        quality = agreement(self.pattern.counts, calculated, self.pattern.sigma, p.size + columns)
        free = ~((np.abs(p - self.low) < 1e-9) | (np.abs(p - self.high) < 1e-9))
        sigma = np.full(p.size, math.nan)
        jacobian = np.asarray(answer.jac, dtype=np.float64)[:, free]
        try:
            inverse = np.linalg.inv(jacobian.T @ jacobian)
        except np.linalg.LinAlgError as error:
            raise FitError("the fit of the geometry is singular", source=self.pattern.name) from error
        sigma[free] = quality.gof * np.sqrt(np.diag(inverse)) * self.unit[free]
        value = dict(zip(self.names, p.tolist(), strict=True))
        inverse_size = value["inverse_size"]
        return GeometryFit(
            self.geometry.with_values(value),
            value,
            dict(zip(self.names, sigma.tolist(), strict=True)),
            1.0 / inverse_size if inverse_size > 1e-9 else math.inf,
            quality.rwp,
            quality.gof,
            calculated,
        )


def _background(x: FloatArray) -> FloatArray:
    """Chebyshev terms for each unbroken stretch of the scan, shape (n, m)."""
    steps = np.diff(x)
    ends = np.flatnonzero(steps > _GAP * np.median(steps)) + 1
    columns = []
    for part in np.split(np.arange(x.size), ends):
        span = float(x[part[-1]] - x[part[0]])
        terms = min(2 + int(span / _DEGREES_PER_TERM), 25) if part.size > 2 else 1
        scaled = 2.0 * (x[part] - x[part[0]]) / max(span, 1e-9) - 1.0
        block = np.zeros((x.size, terms))
        block[part] = np.polynomial.chebyshev.chebvander(scaled, terms - 1)
        columns.append(block)
    return np.concatenate(columns, axis=1)
