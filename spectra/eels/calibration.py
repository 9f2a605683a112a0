"""The energy axis: offset and dispersion by maxima whose energies are known, with their errors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError

from .background import fit_power_laws
from .estimates import Net, Spectra, maximum
from .options import CalibrationTable, KnownEdge

__all__ = ["Axis", "as_in_file", "calibrate"]

FloatArray = NDArray[np.float64]

DISPERSION_SIGMA = 0.01
"""Standard error of a dispersion that only the file states."""
GAP_EV, LENGTH_EV = 2.0, 20.0
"""Window of the background before a maximum: how far before the range in which it is looked for, and how long."""


@dataclass(frozen=True, eq=False)
class Axis:
    """True energies as pivot + offset + (1 + stretch) (E - pivot), E as in the file.

    Attributes
    ----------
    pivot, offset, stretch : float
        The first two in eV.
    covariance : ndarray, shape (2, 2)
        Of offset and stretch.
    calibrated : bool
    chi2, freedom : float, int
        Of known edges beyond what offset and stretch need.
    """

    pivot: float
    offset: float
    stretch: float
    covariance: FloatArray
    calibrated: bool
    chi2: float = 0.0
    freedom: int = 0

    def true(self, energy: FloatArray) -> FloatArray:
        """Return the true energies of the file's ones."""
        return np.asarray(self.pivot + self.offset + (1.0 + self.stretch) * (energy - self.pivot))

    def sigma(self, energy: float) -> float:
        """Return the standard error of a true energy (eV)."""
        u = np.array([1.0, (energy - self.pivot - self.offset) / (1.0 + self.stretch)])
        return float(np.sqrt(u @ self.covariance @ u))


def as_in_file(energy: FloatArray, sigma: float) -> Axis:
    """Return the axis of a file that nothing calibrates."""
    return Axis(float(energy.mean()), 0.0, 0.0, np.diag([sigma**2, DISPERSION_SIGMA**2]), False)


def calibrate(spectra: Spectra, table: CalibrationTable) -> Axis:
    """Return the axis by the maxima of the sum of all spectra.

    Parameters
    ----------
    spectra : Spectra
        On the axis of the file.
    table : CalibrationTable

    Raises
    ------
    DataError
        If a maximum is not found where the recipe says, or two known edges do not make an axis.
    """
    counts, variance = spectra.counts.sum(axis=0)[None], spectra.variance.sum(axis=0)[None]
    total = replace(spectra, counts=counts, variance=variance)
    found = np.array([_place(total, edge, table.smoothing_eV) for edge in table.edges])
    known = np.array([[edge.energy_eV, edge.sigma_eV] for edge in table.edges])
    pivot = float(found[:, 0].mean())
    weight = 1.0 / (known[:, 1] ** 2 + found[:, 1] ** 2)
    difference = known[:, 0] - found[:, 0]
    if len(found) == 1:
        return Axis(pivot, float(difference[0]), 0.0, np.diag([1.0 / weight[0], DISPERSION_SIGMA**2]), True)
    design = np.column_stack([np.ones(len(found)), found[:, 0] - pivot])
    if np.ptp(found[:, 0]) <= 0 or not np.isfinite(design).all():
        raise DataError("the known edges of the calibration lie at one energy", hint="give edges that are far apart")
    covariance = np.linalg.inv(design.T @ (weight[:, None] * design))
    offset, stretch = covariance @ (design.T @ (weight * difference))
    chi2 = float((weight * (difference - design @ np.array([offset, stretch])) ** 2).sum())
    freedom = len(found) - 2
    if freedom and chi2 > freedom:
        covariance = covariance * chi2 / freedom
    return Axis(pivot, float(offset), float(stretch), covariance, True, chi2, freedom)


def _place(total: Spectra, edge: KnownEdge, smoothing: float) -> tuple[float, float]:
    """Return where a maximum lies on the axis of the file, and its counting error."""
    energy, (low, high) = total.energy, edge.near_eV
    if low < energy[0] or high > energy[-1]:
        raise DataError(
            f"{edge.edge}: {low:g} to {high:g} eV lie outside the data ({energy[0]:.1f} to {energy[-1]:.1f} eV)",
            hint="near_eV is on the axis of the file",
        )
    end = low - GAP_EV
    window = np.array([[max(end - LENGTH_EV, float(energy[0])), end]])
    laws = fit_power_laws(energy, total.counts, window, total.alone)
    net = Net.of(laws, total, (low - 4 * smoothing, high + 4 * smoothing), 0.0)
    one = maximum(net, (low, high), smoothing, (0.0, 0.0))
    place, sigma = float(one.value[0, 0]), float(one.counting[0])
    if not (np.isfinite(place) and sigma < smoothing):
        raise DataError(f"{edge.edge}: no maximum stands out between {low:g} and {high:g} eV of the file's axis")
    return place, sigma
