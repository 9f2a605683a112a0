"""How deep the electrons come from: inelastic mean free path by TPP-2M, attenuation, and depth from etch time.

References
----------
.. [1] S. Tanuma, C. J. Powell, D. R. Penn, Calculations of electron inelastic mean free paths V, Surf. Interface
   Anal. 21, 165 (1994), doi:10.1002/sia.740210302 (TPP-2M).
.. [2] S. Tanuma, C. J. Powell, D. R. Penn, Surf. Interface Anal. 43, 689 (2011) (relativistic factor).
.. [3] A. Jablonski, C. J. Powell, Surf. Sci. Rep. 47, 33 (2002) (effective attenuation length; formula from memory,
   status unverified).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, log, sqrt
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from layerscope.errors import DataError, RecipeError

from .dataset import FloatArray

__all__ = [
    "MATERIALS",
    "TPP2M_RELATIVE_SIGMA",
    "Depth",
    "Material",
    "attenuation_factor",
    "depth_from_etch_time",
    "effective_attenuation_length",
    "get_material",
    "imfp_tpp2m",
    "information_depth",
]

TPP2M_RELATIVE_SIGMA = 0.15
"""Relative error given to a TPP-2M path: about 10 % for elements and up to twice that for inorganic compounds."""

# h-bar omega of free electrons at one valence electron per gram-mole and cubic centimetre, eV
_PLASMON_EV = 28.816
_REST_ENERGY_EV = 510998.9


@dataclass(frozen=True)
class Material:
    """What TPP-2M needs to know of a solid.

    Attributes
    ----------
    name : str
        Formula unit.
    density_g_cm3 : float
        Density (g/cm3).
    molar_mass_g_mol : float
        Molar mass of the formula unit (g/mol).
    valence_electrons : int
        Valence electrons of the formula unit.
    band_gap_eV : float
        Band gap (eV); 0 for metals.
    status : str
        ``unverified`` where density and gap are customary values without an opened source; TPP-2M changes by less
        than 2 % for 1 eV of gap and by about half of a relative change of density.
    """

    name: str
    density_g_cm3: float
    molar_mass_g_mol: float
    valence_electrons: int
    band_gap_eV: float
    status: str = "unverified"

    def __post_init__(self) -> None:
        values = (self.density_g_cm3, self.molar_mass_g_mol, float(self.valence_electrons))
        if not all(isfinite(value) and value > 0.0 for value in values):
            raise DataError("density, molar mass and valence electrons must be positive", source=self.name)
        if not (isfinite(self.band_gap_eV) and self.band_gap_eV >= 0.0):
            raise DataError("the band gap must not be negative", source=self.name)

    @property
    def plasmon_energy_eV(self) -> float:
        """Free-electron plasmon energy (eV)."""
        return _PLASMON_EV * sqrt(self.valence_electrons * self.density_g_cm3 / self.molar_mass_g_mol)


_TABLE = (
    Material("Al2O3", 3.97, 101.961, 24, 8.8),
    Material("Au", 19.32, 196.967, 11, 0.0),
    Material("B2O3", 2.46, 69.62, 24, 8.0),
    Material("C", 2.25, 12.011, 4, 0.0),
    Material("Co3O4", 6.11, 240.797, 51, 1.6),
    Material("Li2B4O7", 2.44, 169.11, 56, 8.0),
    Material("Li2CO3", 2.11, 73.89, 24, 7.5),
    Material("Li2MnO3", 3.89, 116.82, 27, 2.1),
    Material("Li3InCl6", 2.59, 348.36, 48, 4.0),
    Material("Li3PO4", 2.54, 115.79, 32, 8.0),
    Material("LiCoO2", 5.05, 97.87, 22, 2.7),
    Material("LiF", 2.64, 25.94, 8, 13.6),
    Material("Si", 2.33, 28.085, 4, 1.1),
    Material("SiO2", 2.19, 60.084, 16, 9.1),
    Material("SnO2", 6.95, 150.71, 16, 3.6),
)
MATERIALS: Mapping[str, Material] = MappingProxyType({material.name: material for material in _TABLE})


def get_material(name: str) -> Material:
    """Return a material of the table.

    Parameters
    ----------
    name : str
        Formula, e.g. ``"LiCoO2"``.

    Returns
    -------
    Material
        The entry.

    Raises
    ------
    RecipeError
        Unknown name; the message names the nearest ones.
    """
    if name in MATERIALS:
        return MATERIALS[name]
    nearest = difflib.get_close_matches(name, MATERIALS, n=3, cutoff=0.3) or list(MATERIALS)
    raise RecipeError(f"unknown material {name!r}", hint="known: " + ", ".join(nearest))


def imfp_tpp2m(kinetic_energy_eV: npt.ArrayLike, material: Material) -> FloatArray:
    """Return the inelastic mean free path by TPP-2M [1]_, with the relativistic factor of [2]_.

    Parameters
    ----------
    kinetic_energy_eV : array-like, shape (...)
        Kinetic energy of the electrons (eV), 50 to 30 000.
    material : Material
        The solid they pass.

    Returns
    -------
    ndarray
        Mean free path (angstrom), same shape.

    Raises
    ------
    DataError
        If an energy is outside the range that the formula was made for.
    """
    energy = np.asarray(kinetic_energy_eV, dtype=float)
    if not np.all((energy >= 50.0) & (energy <= 30_000.0)):
        raise DataError("TPP-2M holds for kinetic energies from 50 eV to 30 keV only", source=material.name)
    density, u = material.density_g_cm3, (material.plasmon_energy_eV / _PLASMON_EV) ** 2
    plasmon = material.plasmon_energy_eV
    beta = -0.10 + 0.944 / np.hypot(plasmon, material.band_gap_eV) + 0.069 * density**0.1
    gamma = 0.191 / density**0.5
    c, d = 1.97 - 0.91 * u, 53.4 - 20.8 * u
    relativistic = (1.0 + energy / (2.0 * _REST_ENERGY_EV)) / (1.0 + energy / _REST_ENERGY_EV) ** 2
    loss = beta * np.log(gamma * relativistic * energy) - c / energy + d / energy**2
    return np.asarray(relativistic * energy / (plasmon**2 * loss))


def effective_attenuation_length(imfp_angstrom: npt.ArrayLike, single_scattering_albedo: float) -> FloatArray:
    """Return the effective attenuation length, which holds elastic scattering: L = imfp (1 - 0.735 albedo) [3]_.

    Parameters
    ----------
    imfp_angstrom : array-like
        Inelastic mean free path (angstrom).
    single_scattering_albedo : float
        imfp / (imfp + transport mean free path), 0 <= albedo < 1; 0.1 to 0.4 for XPS.

    Returns
    -------
    ndarray
        Effective attenuation length (angstrom) for emission angles up to about 60 degrees.

    Raises
    ------
    DataError
        If the albedo is outside [0, 1).
    """
    if not 0.0 <= single_scattering_albedo < 1.0:
        raise DataError(f"single-scattering albedo must lie in [0, 1), not {single_scattering_albedo}")
    return np.asarray(imfp_angstrom, dtype=float) * (1.0 - 0.735 * single_scattering_albedo)


def attenuation_factor(
    thickness_angstrom: npt.ArrayLike, length_angstrom: npt.ArrayLike, emission_angle_deg: float = 0.0
) -> FloatArray:
    """Return the share of electrons that pass an overlayer: exp(-d / (L cos theta)).

    Parameters
    ----------
    thickness_angstrom, length_angstrom : array-like
        Thickness and attenuation length (angstrom).
    emission_angle_deg : float, default 0
        Angle to the surface normal (degrees), below 90.

    Returns
    -------
    ndarray
        Transmitted share, 0 to 1.

    Raises
    ------
    DataError
        If the angle is not below 90 degrees.
    """
    thickness, length = np.asarray(thickness_angstrom, dtype=float), np.asarray(length_angstrom, dtype=float)
    return np.asarray(np.exp(-thickness / (length * _cosine(emission_angle_deg))))


def information_depth(
    length_angstrom: npt.ArrayLike, share: float = 0.95, emission_angle_deg: float = 0.0
) -> FloatArray:
    """Return the depth from which a share of the signal of a uniform solid comes: -L cos(theta) ln(1 - share).

    Parameters
    ----------
    length_angstrom : array-like
        Attenuation length (angstrom).
    share : float, default 0.95
        Share of the signal, between 0 and 1.
    emission_angle_deg : float, default 0
        Angle to the surface normal (degrees), below 90.

    Returns
    -------
    ndarray
        Depth (angstrom).

    Raises
    ------
    DataError
        If the share is outside (0, 1) or the angle not below 90 degrees.
    """
    if not 0.0 < share < 1.0:
        raise DataError(f"share of the signal must lie between 0 and 1, not {share}")
    return -np.asarray(length_angstrom, dtype=float) * _cosine(emission_angle_deg) * log(1.0 - share)


@dataclass(frozen=True)
class Depth:
    """Etch depth of every level.

    Attributes
    ----------
    depth_nm, sigma_nm : ndarray, shape (L,)
        Depth and its standard error (nm).
    covariance : ndarray, shape (L, L)
        Covariance (nm^2); the error of the rate is common to all levels.
    """

    depth_nm: FloatArray
    sigma_nm: FloatArray
    covariance: FloatArray


def depth_from_etch_time(
    etch_time_s: npt.ArrayLike, rate_nm_s: float, rate_sigma_nm_s: float, time_sigma_s: float = 0.0
) -> Depth:
    """Turn etch times into depths at a constant rate.

    Parameters
    ----------
    etch_time_s : array-like, shape (L,)
        Etch time of each level (s).
    rate_nm_s, rate_sigma_nm_s : float
        Etch rate and its standard error (nm/s). A rate taken over from another material (SiO2, Ta2O5) needs an error
        of tens of per cent.
    time_sigma_s : float, default 0
        Standard error of a single etch time (s).

    Returns
    -------
    Depth
        Depths with errors.

    Raises
    ------
    DataError
        If a time or an error is negative or not finite, or the rate not positive.
    """
    time = np.atleast_1d(np.asarray(etch_time_s, dtype=float))
    if not (np.all(np.isfinite(time)) and np.all(time >= 0.0)):
        raise DataError("etch times must be finite and not negative")
    if not (isfinite(rate_nm_s) and rate_nm_s > 0.0 and rate_sigma_nm_s >= 0.0 and time_sigma_s >= 0.0):
        raise DataError("the etch rate must be positive and the errors not negative", hint="rate in nm/s")
    independent = np.where(time > 0.0, rate_nm_s * time_sigma_s, 0.0) ** 2
    covariance = np.outer(time, time) * rate_sigma_nm_s**2 + np.diag(independent)
    return Depth(rate_nm_s * time, np.sqrt(np.diag(covariance)), covariance)


def _cosine(emission_angle_deg: float) -> float:
    """Cosine of the emission angle, refused at grazing emission."""
    if not 0.0 <= emission_angle_deg < 90.0:
        raise DataError(f"emission angle must lie in [0, 90) degrees, not {emission_angle_deg}")
    return float(np.cos(np.deg2rad(emission_angle_deg)))
