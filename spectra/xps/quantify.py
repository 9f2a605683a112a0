"""Atomic fractions from peak areas, with the full covariance and an error budget that keeps its parts apart.

For a homogeneous sample x_i = (A_i / S_i) / sum_j (A_j / S_j), where the sensitivity S_i is the product of sensitivity
factor, analyser transmission and attenuation length, as far as the factor does not contain them already. Fractions are
a composition: they sum to one, so their errors are correlated and every part of the covariance has rows that sum to
zero. Parts are kept: counting (from the fit), what could have been chosen as well in fitting (the background), the
choice of the RSF set, and the charge reference; where paths are those of TPP-2M, their error is one more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from layerscope.errors import DataError, RecipeError
from layerscope.fitting.limits import feldman_cousins
from layerscope.options import RecipeModel

from .attenuation import EXPONENT_SIGMA_PER_PATH_SIGMA, TPP2M_RELATIVE_SIGMA, Material, MaterialByName, imfp_tpp2m
from .dataset import FloatArray, normalise_region
from .options import BackgroundTable
from .rsf import RsfSet, get_rsf_set

__all__ = ["Alternatives", "Composition", "Lines", "QuantificationTable", "SensitivityTable", "atomic_fractions"]


_OF_PATHS = ("attenuation_exponent", "path_sigma", "emission_angle_deg")


class SensitivityTable(RecipeModel):
    """What areas are divided by: sensitivity factors, and how far electrons get."""

    rsf_set: str = Field(
        default="scofield", description="sensitivity factors: scofield, amrsf, wagner_1981, thermo_al, kratos"
    )
    alternative_sets: tuple[str, ...] = Field(
        default=(), description="sets whose spread is the error; all that have the lines when empty"
    )
    factors: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="factors (C 1s = 1) that the set lacks or that you measured, by line"
    )
    factors_source: str = Field(default="", description="where these factors come from")
    attenuation_exponent: float = Field(
        default=0.75, description="n of a mean free path ~ E^n, for sets that do not contain it; 0 for none"
    )

    @model_validator(mode="after")
    def _with_source(self) -> Self:
        if self.factors and not self.factors_source:
            raise ValueError("factors need factors_source: where do they come from?")
        return self

    def base_set(self) -> RsfSet:
        """Return the set that is named, without the factors of the recipe."""
        return get_rsf_set(self.rsf_set)

    def rsf(self) -> RsfSet:
        """Return the set, with the factors that the recipe adds or replaces.

        Raises
        ------
        RecipeError
            If the set is not known.
        """
        base = self.base_set()
        return base.extended(self.factors, self.factors_source) if self.factors else base


class QuantificationTable(SensitivityTable):
    """Atomic fractions."""

    material: MaterialByName | None = Field(
        default=None,
        description="solid whose mean free paths by TPP-2M take the place of the exponent and give probing depths: a "
        "formula of the library, or a table",
    )
    path_sigma: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=TPP2M_RELATIVE_SIGMA, description="relative standard error of a mean free path by TPP-2M"
    )
    emission_angle_deg: Annotated[float, Field(ge=0, lt=90)] | None = Field(
        default=None,
        description="angle between surface normal and analyser, for the probing depth; that of the file, or 0, when "
        "not given",
    )
    alternative_backgrounds: tuple[BackgroundTable, ...] = Field(
        default=(
            BackgroundTable(kind="shirley", mode="static"),
            BackgroundTable(kind="tougaard_u2", mode="active"),
            BackgroundTable(kind="polynomial"),
        ),
        description="backgrounds that regions are fitted with again, beside the recipe's own on a polynomial of one "
        "degree more; what those within reach of the data change is an error of areas and shares. [] tries none",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        told = {name: getattr(self, name) != type(self).model_fields[name].default for name in _OF_PATHS}
        if self.material is not None and told["attenuation_exponent"]:
            raise ValueError("paths follow either a material or attenuation_exponent")
        if self.material is None and (told["path_sigma"] or told["emission_angle_deg"]):
            raise ValueError("path_sigma and emission_angle_deg say something of mean free paths: name a material")
        return self

    @property
    def paths(self) -> float | Material:
        """What mean free paths follow: an exponent, or TPP-2M in a solid."""
        return self.attenuation_exponent if self.material is None else self.material


@dataclass(frozen=True)
class Lines:
    """The lines that elements are quantified by, and what the sample and the analyser do to their electrons.

    Attributes
    ----------
    names : tuple of str, length M
        Core levels; ``"Mn 2p"`` is the whole doublet, ``"Sn 3d5/2"`` one component.
    kinetic_energy_eV : ndarray, shape (M,)
        Kinetic energies (eV).
    attenuation : float or Material
        Exponent n of a mean free path ~ E^n, or the solid for TPP-2M; used only if a set does not contain it.
    transmission : ndarray, shape (M,), or None
        Transmission of the analyser, any scale. None: taken as constant, or as the set assumes it.
    """

    names: tuple[str, ...]
    kinetic_energy_eV: FloatArray
    attenuation: float | Material
    transmission: FloatArray | None = None

    def sensitivities(self, rsf: RsfSet, *, shift_eV: float = 0.0, slope: float = 0.0) -> FloatArray:
        """Return the sensitivity of every line, with the corrections that the set does not contain.

        Parameters
        ----------
        rsf : RsfSet
            Sensitivity factors and their conventions.
        shift_eV : float, default 0
            Added to all kinetic energies.
        slope : float, default 0
            Added to d ln(path) / d ln(E), where the set does not contain the attenuation.

        Returns
        -------
        ndarray, shape (M,)
            Sensitivities relative to the first line.

        Raises
        ------
        RecipeError
            If the set has no factor for a line.
        DataError
            If an energy or a transmission is not positive.
        """
        count = len(self.names)
        energy = np.asarray(self.kinetic_energy_eV, dtype=float) + shift_eV
        if energy.shape != (count,) or not np.all(np.isfinite(energy) & (energy > 0.0)):
            raise DataError(f"{count} positive kinetic energies are needed, one a line")
        result = np.array([rsf.factor(line).value for line in self.names])
        if not rsf.includes_attenuation:
            path = self.attenuation
            result *= imfp_tpp2m(energy, path) if isinstance(path, Material) else energy**path
            result *= energy**slope
        if self.transmission is not None and rsf.transmission != "instrument":
            values = np.asarray(self.transmission, dtype=float)
            if values.shape != energy.shape or not np.all(np.isfinite(values) & (values > 0.0)):
                raise DataError("the transmission must be positive, one value a line")
            # a set made for T ~ 1/E holds that factor already: only the ratio to it is missing
            result *= values * energy if rsf.transmission == "inverse-energy" else values
        return np.asarray(result / result[0])


@dataclass(frozen=True)
class Alternatives:
    """What could have been chosen as well; the spread of the results is an error.

    Attributes
    ----------
    area_errors : mapping of str to array-like, shape (L, M)
        Standard errors of the areas by what could have been chosen as well in fitting each: ``background``, ...
    rsf_sets : sequence of RsfSet
        Other defensible sets.
    """

    area_errors: Mapping[str, npt.ArrayLike] = field(default_factory=dict)
    rsf_sets: Sequence[RsfSet] = ()


NO_ALTERNATIVES = Alternatives()


@dataclass(frozen=True)
class Composition:
    """Atomic fractions of one or more levels (L levels, M elements).

    Attributes
    ----------
    elements, lines : tuple of str, length M
        Element symbols, and the core levels they were quantified by.
    fraction, sigma : ndarray, shape (L, M)
        Atomic fractions (1) and total standard errors. A fraction may come out slightly negative where nothing is.
    covariance : ndarray, shape (L, M, M)
        Total covariance; rows sum to zero.
    parts : mapping of str to ndarray, shape (L, M, M)
        Covariance by its causes, counting, background and other choices of the fit, rsf_set, charge_reference and, with
        TPP-2M, attenuation; they add up to `covariance`.
    detected : ndarray of bool, shape (L, M)
        Whether the interval from counting and the choices of the fit alone excludes zero.
    upper_limit : ndarray, shape (L, M)
        Feldman-Cousins upper end from the total error; what to quote where `detected` is False.
    confidence : float
        Of the limits.
    rsf_set : str
        Name of the set that gave `fraction`.
    notes : tuple of str
        What was assumed: derived factors, missing transmission.
    """

    elements: tuple[str, ...]
    lines: tuple[str, ...]
    fraction: FloatArray
    sigma: FloatArray
    covariance: FloatArray
    parts: Mapping[str, FloatArray]
    detected: npt.NDArray[np.bool_]
    upper_limit: FloatArray
    confidence: float
    rsf_set: str
    notes: tuple[str, ...]

    def budget(self, level: int, element: str) -> dict[str, float]:
        """Return the parts of one error, each as one standard deviation.

        Parameters
        ----------
        level : int
            Index of the level.
        element : str
            Symbol.

        Returns
        -------
        dict
            Part -> standard deviation (1), in the order of `parts`; their squares sum to sigma squared.
        """
        index = self.elements.index(element)
        return {part: float(np.sqrt(matrices[level, index, index])) for part, matrices in self.parts.items()}


def atomic_fractions(
    lines: Lines,
    area: npt.ArrayLike,
    covariance: npt.ArrayLike,
    rsf: RsfSet,
    alternatives: Alternatives = NO_ALTERNATIVES,
    *,
    charge_sigma_eV: float = 0.0,
    path_sigma: float = TPP2M_RELATIVE_SIGMA,
    confidence: float = 0.95,
) -> Composition:
    """Quantify a batch of levels.

    Parameters
    ----------
    lines : Lines
        One line per element.
    area : array-like, shape (L, M) or (M,)
        Peak areas, all in the same unit (counts*eV or counts/s*eV at equal dwell).
    covariance : array-like, shape (L, M, M) or (M, M)
        Covariance of the areas from the fit.
    rsf : RsfSet
        Set that gives the values.
    alternatives : Alternatives, optional
        Other backgrounds and sets, whose spread is an error.
    charge_sigma_eV : float, default 0
        Standard error of the charge reference (eV); it moves all kinetic energies together.
    path_sigma : float, default 0.11
        Relative standard error of mean free paths by TPP-2M.
    confidence : float, default 0.95
        Of the upper limits.

    Returns
    -------
    Composition
        Fractions, covariance, budget and limits.

    Raises
    ------
    DataError
        Shapes that do not fit, values that are not finite, an area without error, fewer than two elements, or no
        intensity at a level.
    RecipeError
        The same element twice, or a set without a factor for a line.
    """
    lines, elements = _elements(lines)
    areas, area_covariance = _checked(area, covariance, len(elements))

    def composition(areas: FloatArray, rsf: RsfSet = rsf, *, shift_eV: float = 0.0, slope: float = 0.0) -> FloatArray:
        return _close(areas / lines.sensitivities(rsf, shift_eV=shift_eV, slope=slope))

    fraction = composition(areas)
    jacobian = _jacobian(areas, lines.sensitivities(rsf), fraction)
    fitted = {"counting": area_covariance, "background": np.zeros_like(area_covariance)}
    fitted |= {
        name: _like(areas, error, name)[:, :, None] ** 2 * np.eye(len(elements))
        for name, error in alternatives.area_errors.items()
    }
    of_fit = {name: jacobian @ between @ np.swapaxes(jacobian, 1, 2) for name, between in fitted.items()}
    parts = {
        **of_fit,
        "rsf_set": _spread([fraction, *(composition(areas, other) for other in alternatives.rsf_sets)]),
        "charge_reference": _common(
            composition(areas, shift_eV=-charge_sigma_eV), composition(areas, shift_eV=charge_sigma_eV)
        ),
    }
    if isinstance(lines.attenuation, Material):
        slope = path_sigma * EXPONENT_SIGMA_PER_PATH_SIGMA
        parts["attenuation"] = _common(composition(areas, slope=-slope), composition(areas, slope=slope))
    total = sum(parts.values(), start=np.zeros_like(parts["counting"]))
    from_fit = sum(of_fit.values(), start=np.zeros_like(total))
    sigma, from_data = (np.sqrt(_diagonal(part)) for part in (total, from_fit))
    return Composition(
        elements=elements,
        lines=lines.names,
        fraction=fraction,
        sigma=sigma,
        covariance=total,
        parts=MappingProxyType(parts),
        detected=~feldman_cousins(np.maximum(fraction, 0.0), from_data, confidence).one_sided,
        upper_limit=feldman_cousins(fraction, sigma, confidence).high,
        confidence=confidence,
        rsf_set=rsf.name,
        notes=_notes(lines, rsf),
    )


def _elements(lines: Lines) -> tuple[Lines, tuple[str, ...]]:
    """Return the lines with their names normalised, and their elements, each element once."""
    names = tuple(normalise_region(line) for line in lines.names)
    elements = tuple(name.split()[0] for name in names)
    if len(elements) < 2:
        raise DataError("a composition needs at least two elements", hint="one element alone is always 100 %")
    if twice := sorted({element for element in elements if elements.count(element) > 1}):
        raise RecipeError(f"{', '.join(twice)} is quantified by two lines", hint="choose one line per element")
    return replace(lines, names=names), elements


def _checked(area: npt.ArrayLike, covariance: npt.ArrayLike, count: int) -> tuple[FloatArray, FloatArray]:
    """Return areas (L, M) and covariances (L, M, M) after the checks."""
    areas = np.atleast_2d(np.asarray(area, dtype=float))
    cov = np.asarray(covariance, dtype=float)
    cov = cov[None] if cov.ndim == 2 else cov
    if areas.shape[1] != count or cov.shape != (areas.shape[0], count, count):
        raise DataError(f"areas {areas.shape} and covariances {cov.shape} do not fit to {count} lines")
    if not (np.all(np.isfinite(areas)) and np.all(np.isfinite(cov))):
        raise DataError("an area or its covariance is not finite")
    if np.any(_diagonal(cov) <= 0.0):
        raise DataError("an area has no error", hint="every area needs a positive variance")
    return areas, cov


def _like(areas: FloatArray, errors: npt.ArrayLike, name: str) -> FloatArray:
    """Return errors of the areas if they fit to the areas."""
    values = np.atleast_2d(np.asarray(errors, dtype=float))
    if values.shape != areas.shape or not np.all(np.isfinite(values)):
        raise DataError(f"the errors of areas by {name!r} do not fit to the areas", source=name)
    return values


def _close(amount: FloatArray) -> FloatArray:
    """Divide amounts (L, M) by their sum."""
    total = amount.sum(axis=1, keepdims=True)
    if np.any(total <= 0.0):
        level = int(np.flatnonzero(total[:, 0] <= 0.0)[0])
        raise DataError(f"no intensity at level {level}: the areas sum to zero or less")
    return np.asarray(amount / total)


def _jacobian(areas: FloatArray, sensitivity: FloatArray, fraction: FloatArray) -> FloatArray:
    """Return the derivative of the fractions with respect to the areas, (L, M, M): (delta_ij - x_i) / (N S_j)."""
    total = (areas / sensitivity).sum(axis=1)
    identity = np.eye(areas.shape[1])
    return np.asarray((identity - fraction[:, :, None]) / (total[:, None, None] * sensitivity))


def _spread(compositions: list[FloatArray]) -> FloatArray:
    """Sample covariance (L, M, M) of alternative compositions; zero if there is no alternative."""
    stack = np.stack(compositions)
    deviation = stack - stack.mean(axis=0)
    return np.asarray(np.einsum("kli,klj->lij", deviation, deviation) / max(len(compositions) - 1, 1))


def _common(low: FloatArray, high: FloatArray) -> FloatArray:
    """Covariance (L, M, M) of an error that moves all fractions together, from one below to one above (both (L, M))."""
    half = 0.5 * (low - high)
    return np.asarray(half[:, :, None] * half[:, None, :])


def _diagonal(matrices: FloatArray) -> FloatArray:
    """Diagonals (L, M) of a stack of matrices."""
    return np.diagonal(matrices, axis1=1, axis2=2)


def _notes(lines: Lines, rsf: RsfSet) -> tuple[str, ...]:
    """Say what was assumed."""
    derived = [line for line in lines.names if rsf.factor(line).derived]
    notes = [f"RSF of {', '.join(derived)} derived by the statistical ratio of the doublet"] if derived else []
    if rsf.transmission == "instrument":
        notes.append(f"RSF set {rsf.name} holds the transmission of its analyser; none was applied")
    elif lines.transmission is None:
        notes.append(
            "transmission not known: taken as " + ("1/E" if rsf.transmission == "inverse-energy" else "constant")
        )
    if isinstance(lines.attenuation, Material):
        path = f"mean free paths by TPP-2M in {lines.attenuation.formula}; density and gap: {lines.attenuation.source}"
        held = f", not applied to the fractions: RSF set {rsf.name} holds the attenuation of an average solid"
        notes.append(path + (held if rsf.includes_attenuation else ""))
    return tuple(notes)
