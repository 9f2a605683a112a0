"""A fit that CasaXPS stored, weighed as it stands: areas of its curves, and how well they meet the counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from layerscope.errors import DataError
from layerscope.fitting.quality import durbin_watson, poisson_deviance, structured
from layerscope.flags import dispersion_flag
from layerscope.measured.noise import count_quantum

from ..dataset import FloatArray, Spectrum
from .lines import CasaLine
from .model import tied_areas
from .stored_fit import CasaFitCurves, SeriesProblem, redraw, unit_curve
from .text import CasaFit

__all__ = ["StoredFit", "electrons_per_unit", "weigh_stored"]


@dataclass(frozen=True, eq=False)
class StoredFit:
    """A stored fit as it stands.

    Parameters
    ----------
    curves : CasaFitCurves
        Its parameters, bounds and ties, and its curves over the whole spectrum.
    areas : mapping of int to (float, float)
        Area of each drawn curve and the standard error that counting alone gives it at held shapes, in the unit of the
        spectrum times eV. What a line has beyond the ends of the spectrum is added by its running integral.
    outside : tuple of float
        That share of each component.
    variance : ndarray, shape (n,)
        Expected variance of the counts in the region (the envelope's), in the square of their unit.
    chi2, deviance : float
        Misfit of the stored envelope to the counts in the region.
    n_free : int
        Parameters that CasaXPS left free.
    """

    curves: CasaFitCurves
    areas: Mapping[int, tuple[float, float]]
    outside: tuple[float, ...]
    variance: FloatArray
    chi2: float
    deviance: float
    n_free: int

    @property
    def problem(self) -> SeriesProblem:
        """Parameters, bounds and ties."""
        return self.curves.problem

    @property
    def n_data(self) -> int:
        """Points of the region."""
        return int(self.variance.size)

    @property
    def redchi(self) -> float:
        """Chi2 over the points less the parameters that CasaXPS left free."""
        return self.chi2 / max(self.n_data - self.n_free, 1)

    @property
    def residual(self) -> FloatArray:
        """(counts - envelope)/sigma in the region, shape (n,)."""
        inside = self.curves.inside
        return np.asarray((self.curves.counts - self.curves.envelope)[inside] / np.sqrt(self.variance))

    @property
    def net_area(self) -> tuple[float, float]:
        """Area of the counts above the background in the region, and its counting error."""
        inside = self.curves.inside
        width = np.gradient(self.curves.binding_energy[inside])
        above = (self.curves.counts - self.curves.background)[inside]
        return float(width @ above), math.sqrt(float(width**2 @ self.variance))

    @property
    def net_area_drawn(self) -> float:
        """Area of all stored curves in the region."""
        inside = self.curves.inside
        return float(np.gradient(self.curves.binding_energy[inside]) @ self.curves.components[:, inside].sum(axis=0))

    @property
    def durbin_watson(self) -> float:
        """Durbin-Watson statistic of the residual."""
        return durbin_watson(self.residual)

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader must know: a residual that is not noise."""
        found = ("RESIDUAL_STRUCTURE",) if structured(self.residual) else ()
        return (*found, *dispersion_flag(self.redchi, self.n_data - self.n_free))


def weigh_stored(spectrum: Spectrum, fit: CasaFit | None = None, *, region: int = 0) -> StoredFit:
    """Draw a stored fit, take its areas and compare it with the counts.

    Parameters
    ----------
    spectrum : Spectrum
        With its comments, photon energy, dwell time and scans.
    fit : CasaFit, optional
        Read from the comments if not given.
    region : int, default 0
        Which region.

    Returns
    -------
    StoredFit

    Raises
    ------
    DataError
        As `redraw`; or if the region has no component.
    """
    curves = redraw(spectrum, fit, region=region)
    problem = curves.problem
    if not problem.components:
        raise DataError(f"the CasaXPS region {curves.region.name!r} has no components")
    axis, inside, exposure = spectrum.binding_energy, curves.inside, electrons_per_unit(spectrum)
    shares = [
        CasaLine(c.shape).inside(axis[0], axis[-1], c.parameters["center"].value, c.parameters["fwhm"].value)
        for c in problem.components
    ]
    expected = np.maximum(curves.envelope[inside], 0.5 / exposure)
    variance = expected / exposure
    sigmas = _counting_sigmas(problem, axis[inside], variance)
    drawn = [float(np.trapezoid(c, axis)) / s for c, s in zip(curves.components, shares, strict=True)]
    counts = curves.counts[inside]
    return StoredFit(
        curves=curves,
        areas=dict(enumerate(zip(drawn, sigmas, strict=True))),
        outside=tuple(1.0 - share for share in shares),
        variance=variance,
        chi2=float(np.sum((counts - curves.envelope[inside]) ** 2 / variance)),
        deviance=float(poisson_deviance(counts * exposure, expected * exposure)),
        n_free=sum(p.vary for c in problem.components for p in c.parameters.values()),
    )


def electrons_per_unit(spectrum: Spectrum) -> float:
    """Return counted electrons per unit of the intensity.

    Raises
    ------
    DataError
        If the intensity is a rate and dwell time or number of scans is unknown.
    """
    scale = spectrum.exposure_s if spectrum.intensity_unit == "counts/s" else 1.0
    if scale is None:
        raise DataError("the counts behind the rates are not known: dwell time and number of scans are needed")
    return scale / count_quantum(spectrum)


def _counting_sigmas(problem: SeriesProblem, axis: FloatArray, variance: FloatArray) -> list[float]:
    """Return the error of each area in a linear fit of the areas alone, those that are tied moving together.

    Curves of unit area: a stored area of zero has an error as any other. Tied lines move as they are stored; where the
    leader is zero, as they are tied.
    """
    groups = tied_areas(problem)

    def moving(root: int, members: list[tuple[int, float]]) -> FloatArray:
        leader = problem.components[root].parameters["area"].value
        column = np.zeros(axis.size)
        for i, factor in members:
            c = problem.components[i]
            column += (c.parameters["area"].value / leader if leader else factor) * unit_curve(c, axis)
        return column

    columns = np.array([moving(root, members) for root, members in groups.items()])
    weighted = columns / np.sqrt(variance)
    covariance = np.linalg.pinv(weighted @ weighted.T)
    sigmas = [math.nan] * len(problem.components)
    for k, members in enumerate(groups.values()):
        for i, factor in members:
            sigmas[i] = factor * math.sqrt(max(float(covariance[k, k]), 0.0))
    return sigmas
