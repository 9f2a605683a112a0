"""Thickness of a closed layer from the ratio of its line to that of what lies below, at one emission angle or several.

Along straight lines, with attenuation lengths L_o of the layer's and L_s of the substrate's electrons in the layer, the
ratio of both intensities at an angle theta to the surface normal is

    R = R_inf (1 - exp(-d / (L_o cos theta))) exp(d / (L_s cos theta)),

with R_inf the ratio of two bulk samples; for equal lengths d = L cos(theta) ln(1 + R / R_inf) [1]_. Beyond some 60 to
65 degrees elastic scattering bends the way of the electrons and the lines are no longer straight [2]_.

References
----------
.. [1] M. P. Seah, S. J. Spencer, Surf. Interface Anal. 33, 640 (2002), doi:10.1002/sia.1433.
.. [2] P. J. Cumpson, M. P. Seah, Surf. Interface Anal. 25, 430 (1997).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from scipy.optimize import least_squares
from scipy.special import chdtrc

from layerscope.errors import DataError
from layerscope.flags import threshold
from layerscope.options import Positive, RecipeModel

from .attenuation import TPP2M_RELATIVE_SIGMA, Material, MaterialByName, atoms_of, imfp_tpp2m, molar_mass
from .dataset import FloatArray, normalise_region

__all__ = ["LayerModel", "OverlayerTable", "ThicknessFit", "fit_thickness", "layer_model", "thickness"]

_AVOGADRO = 602.214076  # atoms per mole, times 1e-21 cm3 per nm3
_STEPS = 60


class OverlayerTable(RecipeModel):
    """One layer."""

    name: str = Field(default="layer", description="what it is called")
    region: str = Field(description="region with the layer's line")
    species: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="components that are the layer's")
    substrate_region: str | None = Field(default=None, description="region with the substrate's line, if another one")
    substrate: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="components of what lies below")
    material: MaterialByName | None = Field(
        default=None, description="of the layer: lengths by TPP-2M; a formula of the library, or a table"
    )
    substrate_material: MaterialByName | None = Field(
        default=None,
        description="of what lies below: both give r_inf where the lines are of one level",
    )
    length_nm: Positive | None = Field(default=None, description="attenuation length of the layer's electrons in it")
    substrate_length_nm: Positive | None = Field(
        default=None, description="that of the substrate's electrons in the layer; the same if left out"
    )
    length_sigma: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=TPP2M_RELATIVE_SIGMA,
        description="relative standard error of the lengths, which move together; elastic scattering shortens them by "
        "10 to 20 % against mean free paths",
    )
    r_inf: Positive | Literal["fit"] | None = Field(
        default=None, description="ratio of bulk layer to bulk substrate; from both materials, or fitted to the angles"
    )
    r_inf_sigma: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.1, description="its relative standard error")
    emission_angle_deg: Annotated[float, Field(ge=0, lt=90)] | None = Field(
        default=None,
        description="to the surface normal, where levels do not differ in it and the file is silent",
    )
    max_angle_deg: Annotated[float, Field(gt=0, lt=90)] = Field(
        default=65.0, description="largest angle that takes part in the fit: beyond, electrons do not go straight"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.length_nm is None) == (self.material is None):
            raise ValueError("lengths follow either material or length_nm: give one")
        if self.length_nm is None and self.substrate_length_nm is not None:
            raise ValueError("substrate_length_nm goes with length_nm")
        if self.r_inf is None and (self.material is None or self.substrate_material is None):
            raise ValueError("give r_inf, or the materials of layer and substrate")
        if self.r_inf is None and self.other_region != normalise_region(self.region):
            raise ValueError("materials give r_inf only for lines of one core level: give it, or r_inf = 'fit'")
        return self

    @property
    def other_region(self) -> str:
        """Region of the substrate's line."""
        return normalise_region(self.substrate_region or self.region)


@dataclass(frozen=True)
class LayerModel:
    """What turns a ratio into a thickness.

    Attributes
    ----------
    length_nm, substrate_length_nm : float
        Attenuation lengths in the layer (nm).
    length_sigma : float
        Their common relative standard error.
    r_inf, r_inf_sigma : float
        Ratio of the bulk, and its relative standard error; NaN where it is to be fitted.
    """

    length_nm: float
    substrate_length_nm: float
    length_sigma: float
    r_inf: float
    r_inf_sigma: float

    def log_ratio(self, thickness_nm: float, cosine: FloatArray, log_r_inf: float) -> FloatArray:
        """Return the logarithm of the ratio of intensities."""
        reach = thickness_nm / cosine
        return np.asarray(
            log_r_inf + np.log(-np.expm1(-reach / self.length_nm)) + reach / self.substrate_length_nm, dtype=float
        )


def layer_model(table: OverlayerTable, kinetic_eV: float, substrate_kinetic_eV: float) -> LayerModel:
    """Return lengths and bulk ratio of a recipe's layer for lines of given kinetic energies (eV).

    Raises
    ------
    DataError
        If a material does not hold the element of the lines.
    """
    if table.material is None:
        length = float(table.length_nm or np.nan)
        below = float(table.substrate_length_nm or length)
    else:
        length, below = (float(imfp_tpp2m(e, table.material)) for e in (kinetic_eV, substrate_kinetic_eV))
    ratio, sigma = np.nan, 0.0
    if isinstance(table.r_inf, float):
        ratio, sigma = table.r_inf, table.r_inf_sigma
    elif table.r_inf is None and table.material is not None and table.substrate_material is not None:
        element = normalise_region(table.region).split()[0]
        upper = _density(table.material, element) * length
        lower = _density(table.substrate_material, element) * float(
            imfp_tpp2m(substrate_kinetic_eV, table.substrate_material)
        )
        ratio, sigma = upper / lower, table.r_inf_sigma
    return LayerModel(length, below, table.length_sigma, ratio, sigma)


def _density(material: Material, element: str) -> float:
    """Return atoms of an element per cubic nanometre."""
    count = atoms_of(material.formula).get(element, 0.0)
    if count == 0.0:
        raise DataError(f"{material.formula} holds no {element}", hint="give r_inf, or r_inf = 'fit'")
    return _AVOGADRO * material.density_g_cm3 / molar_mass(material.formula) * count


def thickness(ratio: FloatArray, model: LayerModel, angle_deg: FloatArray) -> FloatArray:
    """Return the thickness (nm) that gives each ratio at its angle; slightly negative where the ratio is.

    Parameters
    ----------
    ratio : ndarray, shape (L,)
        Intensity of the layer's line over that of the substrate's.
    model : LayerModel
    angle_deg : ndarray, shape (L,)
        Emission angles to the surface normal (degrees).

    Returns
    -------
    ndarray, shape (L,)
        NaN where no thickness gives the ratio.
    """
    cosine = np.cos(np.deg2rad(angle_deg))
    upper, below = model.length_nm * cosine, model.substrate_length_nm * cosine
    relative = np.asarray(ratio, dtype=float) / model.r_inf
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        found = upper * np.log1p(relative)
        for _ in range(_STEPS):  # Newton: the ratio rises with the thickness, and is convex
            rise, gone = np.exp(found / below), np.exp(-found / upper)
            off = (1.0 - gone) * rise - relative
            found = found - off / (gone / upper * rise + (1.0 - gone) * rise / below)
    return np.asarray(np.where(np.isfinite(found), found, np.nan))


@dataclass(frozen=True)
class ThicknessFit:
    """One thickness for all angles.

    Attributes
    ----------
    value, sigma : float
        Thickness and its total standard error (nm).
    parts : mapping of str to float
        ``counting``, ``background``, ``angles`` (an error of each angle by itself, as large as they disagree beyond
        these), ``r_inf`` and ``attenuation_length``.
    r_inf, r_inf_sigma : float
        Ratio of the bulk as used or fitted, and its standard error.
    chi2, probability : float
        Of the angles' ratios about the fit, and how often it is larger by chance.
    freedom : int
        Angles less fitted values.
    """

    value: float
    sigma: float
    parts: Mapping[str, float]
    r_inf: float
    r_inf_sigma: float
    chi2: float
    probability: float
    freedom: int

    @property
    def agree(self) -> bool:
        """Whether the angles agree on one thickness."""
        return self.probability >= threshold("ANGLES_DISAGREE")


def fit_thickness(
    log_ratio: FloatArray,
    covariance: FloatArray,
    model: LayerModel,
    angle_deg: FloatArray,
    *,
    background: FloatArray | None = None,
) -> ThicknessFit:
    """Fit one thickness, and the ratio of the bulk where it is not known, to the ratios at several angles.

    Parameters
    ----------
    log_ratio : ndarray, shape (L,)
        Logarithms of the ratios.
    covariance : ndarray, shape (L, L)
        Of their counting errors.
    model : LayerModel
    angle_deg : ndarray, shape (L,)
        Emission angles (degrees).
    background : ndarray, shape (L, L), optional
        Covariance of the logarithms by the choice of background.

    Raises
    ------
    DataError
        If there are fewer angles than values to fit.
    """
    free = not np.isfinite(model.r_inf)
    count = 2 if free else 1
    if log_ratio.size < count:
        raise DataError(f"{log_ratio.size} angles do not set {count} values", hint="measure more angles, or give r_inf")
    cosine, freedom = np.cos(np.deg2rad(angle_deg)), log_ratio.size - count
    known = covariance if background is None else covariance + background
    log_r_inf = None if free else float(np.log(model.r_inf))
    solve = _Solver(log_ratio, cosine, model)
    _, _, misfit = solve(known, log_r_inf)
    probability = float(chdtrc(freedom, misfit)) if freedom else 1.0
    scatter = 0.0
    if probability < threshold("ANGLES_DISAGREE"):  # then each angle has an error of its own that makes up for it
        low, high = 0.0, 1.0
        for _ in range(_STEPS):
            scatter = 0.5 * (low + high)
            more = solve(known + scatter * np.eye(log_ratio.size), log_r_inf)[2]
            low, high = (scatter, high) if more > freedom else (low, scatter)
    whole = known + scatter * np.eye(log_ratio.size)
    at, answer, _ = solve(whole, log_r_inf)
    value = float(np.exp(at[0]))

    def by(part: FloatArray, row: int = 0) -> float:
        return float(np.sqrt(max((answer @ part @ answer.T)[row, row], 0.0)))

    by_bulk = 0.0
    if log_r_inf is not None and model.r_inf_sigma > 0:
        ends = [float(np.exp(solve(whole, log_r_inf + s * model.r_inf_sigma)[0][0])) for s in (-1.0, 1.0)]
        by_bulk = 0.5 * abs(ends[1] - ends[0])
    parts = {
        "counting": value * by(covariance),
        "background": 0.0 if background is None else value * by(background),
        "angles": value * by(scatter * np.eye(log_ratio.size)),
        "r_inf": by_bulk,
        "attenuation_length": value * model.length_sigma,
    }
    sigma = float(np.sqrt(sum(part**2 for part in parts.values())))
    bulk = float(np.exp(at[1])) if free else model.r_inf
    bulk_sigma = bulk * (by(whole, 1) if free else model.r_inf_sigma)
    return ThicknessFit(value, sigma, parts, bulk, bulk_sigma, misfit, probability, freedom)


@dataclass(frozen=True, eq=False)
class _Solver:
    """The least squares behind `fit_thickness`."""

    log_ratio: FloatArray
    cosine: FloatArray
    model: LayerModel

    def __call__(self, covariance: FloatArray, log_r_inf: float | None) -> tuple[FloatArray, FloatArray, float]:
        """Return ln(thickness) and, if it is not given, ln(r_inf); what they answer to the ratios; the chi-square."""
        white = np.linalg.inv(np.linalg.cholesky(covariance))

        def residual(at: FloatArray) -> FloatArray:
            bulk = at[1] if log_r_inf is None else log_r_inf
            return np.asarray(
                white @ (self.log_ratio - self.model.log_ratio(float(np.exp(at[0])), self.cosine, float(bulk)))
            )

        best = None
        for start in (0.3, 1.0, 3.0):  # several: far off, a thick layer looks like a large bulk ratio
            begin = [np.log(start * self.model.length_nm)] + ([0.0] if log_r_inf is None else [])
            found = least_squares(residual, begin, method="lm")
            best = found if best is None or found.cost < best.cost else best
        assert best is not None  # noqa: S101 - three starts
        return best.x, -np.linalg.pinv(np.asarray(best.jac, dtype=float)) @ white, 2.0 * float(best.cost)
