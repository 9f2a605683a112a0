"""From a fitted region to quantities of the record: values with errors, limits, competing assignments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.limits import feldman_cousins
from layerscope.records import Alternative, FitQuality, Quantity
from layerscope.runs.fitted import fit_quality, record_flag

from .depth import ChangePoint, DepthProfileFit
from .recipe import ComponentTable
from .regionfit import RegionFit
from .species import competing

__all__ = [
    "EnergyScale",
    "fractions",
    "level_quality",
    "level_quantities",
    "limit",
    "profile_quantities",
    "quality",
    "shared_quantities",
]

FloatArray = NDArray[np.float64]

NAMES = {
    "fwhm": "peak.fwhm",
    "gaussian_fwhm": "peak.gaussian_fwhm",
    "lorentzian_fwhm": "peak.lorentzian_fwhm",
    "mixing": "peak.mixing",
    "asymmetry": "peak.asymmetry",
    "alpha": "peak.asymmetry",
    "beta": "peak.tail_exponent",
    "splitting": "peak.splitting",
    "ratio": "peak.ratio",
}
UNITS = {"peak.fwhm": "eV", "peak.gaussian_fwhm": "eV", "peak.lorentzian_fwhm": "eV", "peak.splitting": "eV"}
BACKGROUND_NAMES = {
    "shirley_k": ("background.shirley_strength", "1/eV"),
    "tougaard_b": ("background.tougaard_b", "eV^2"),
    "tougaard_c": ("background.tougaard_c", "eV^2"),
    "tougaard_d": ("background.tougaard_d", "eV^2"),
}
DETECTED = 5.0  # sigma of a region's whole area below which its shares are not stated
MAX_BELOW = 8.0  # sigma below zero beyond which no limit can be stated


@dataclass(frozen=True)
class EnergyScale:
    """How measured energies become charge-corrected ones.

    Attributes
    ----------
    line_shift : ndarray, shape (L,)
        Shift of the lines of each level against the reference scale (eV); 0 without a reference.
    statistical : ndarray, shape (L,)
        Its standard error, from the fit of the reference line (eV).
    systematic : float
        Standard error of the reference energy (eV).
    known : bool
        Whether there is a charge reference at all.
    lost : frozenset of int
        Levels at which the reference line is lost in the noise and the shift is guessed from the others.
    defined_here : bool
        Whether the region at hand holds the reference line: its positions are then fitted against that line, and the
        error of the shift is none of theirs.
    """

    line_shift: FloatArray
    statistical: FloatArray
    systematic: float
    known: bool
    lost: frozenset[int] = frozenset()
    defined_here: bool = False

    def only(self, rows: Sequence[int]) -> EnergyScale:
        """Return the scale of some of the levels, by their place."""
        at = list(rows)
        lost = frozenset(new for new, old in enumerate(at) if old in self.lost)
        return replace(self, line_shift=self.line_shift[at], statistical=self.statistical[at], lost=lost)


def limit(value: float, sigma: float, confidence: float) -> dict[str, float]:
    """Return the upper limit to state beside a value that is not significantly above zero."""
    if not sigma > 0 or value < -MAX_BELOW * sigma:
        return {}
    interval = feldman_cousins(value, sigma, confidence)
    if not bool(interval.one_sided):
        return {}
    return {"upper_limit": float(interval.high), "limit_confidence": confidence}


def _bounds(low: float, high: float) -> dict[str, float]:
    return {k: v for k, v in (("min", low), ("max", high)) if math.isfinite(v)}


def _parameter(result: RegionFit, name: str, level: int, vocabulary: str, unit: str, component: str | None) -> Quantity:
    parameter = result.built.parameters[name]
    value, sigma = float(result.fit.value(name)[level]), float(result.fit.sigma(name)[level])
    extra = _bounds(float(parameter.min), float(parameter.max))
    if parameter.expr:
        role, extra = "constrained", {}
    else:
        role = "refined" if sigma > 0 else "fixed"
    if not sigma > 0:
        return Quantity(name=vocabulary, value=value, unit=unit, component=component, role="fixed", expr=parameter.expr)
    return Quantity(
        name=vocabulary,
        value=value,
        sigma=sigma,
        sigma_kind="covariance",
        unit=unit,
        component=component,
        role=role,  # type: ignore[arg-type]
        initial=None if parameter.expr else float(parameter.init_value),
        expr=parameter.expr,
        **extra,  # type: ignore[arg-type]
    )


def position(result: RegionFit, c: ComponentTable, level: int, scale: EnergyScale) -> Quantity:
    """Return the charge-corrected binding energy of a component at a level, with every competing assignment."""
    center, shift = f"{c.name}_center", result.fit.value("shift")[level]
    value = float(result.fit.value(center)[level])
    if result.shift == "charge" or scale.defined_here:  # the fit already speaks in corrected energies
        sigma = float(result.fit.sigma(center)[level])
    else:
        value += float(shift)
        names = [center, "shift"] if result.fit.sigma("shift")[level] > 0 else [center]
        block = result.fit.covariance(names)[:, level, :, level]
        sigma = math.sqrt(max(float(block.sum()), 0.0))
        if scale.known:
            value -= float(scale.line_shift[level])
            sigma = math.hypot(sigma, float(scale.statistical[level]))
    total = math.hypot(sigma, scale.systematic)
    region = result.region.name
    others = competing(c.line or region, value, sigma, exclude=c.species, charge_sigma_eV=scale.systematic)
    if not total > 0:
        return Quantity(
            name="peak.position", value=value, unit="eV", component=c.species, role="fixed", competing=others
        )
    p = result.built.parameters[center]
    return Quantity(
        name="peak.position",
        value=value,
        sigma=total,
        sigma_kind="covariance" if sigma > 0 else "systematic",
        unit="eV",
        component=c.species,
        role="constrained" if p.expr else "refined" if p.vary else "derived",
        initial=None if p.expr else float(p.init_value),
        expr=p.expr,
        budget={"fit": sigma, "charge_reference": scale.systematic},
        competing=others,
    )


def level_quantities(
    result: RegionFit,
    level: int,
    scale: EnergyScale,
    *,
    intensity_unit: str,
    confidence: float,
    single: tuple[FloatArray, FloatArray] | None = None,
) -> list[Quantity]:
    """Return all quantities of a region at one level.

    Parameters
    ----------
    result : RegionFit
    level : int
        Index.
    scale : EnergyScale
    intensity_unit : str
        Unit of the data, ``counts`` or ``counts/s``.
    confidence : float
        Of upper limits.
    single : tuple of ndarray, optional
        Fractions (K,) and their errors from a fit of this level alone, beside the joint ones.
    """
    found: list[Quantity] = []
    for c in result.components:
        found.append(position(result, c, level, scale))
        name = f"{c.name}_area"
        value, sigma = float(result.fit.value(name)[level]), float(result.fit.sigma(name)[level])
        found.append(
            Quantity(
                name="overlap.area" if c.foreign else "peak.area",
                value=value,
                sigma=sigma,
                sigma_kind="covariance",
                unit=f"{intensity_unit}*eV",
                component=c.species,
                **limit(value, sigma, confidence),  # type: ignore[arg-type]
            )
        )
    own = result.own
    total, covariance = result.total_area()
    present = total[level] > DETECTED * math.sqrt(max(float(covariance[level, level]), 1e-300))
    if len(own) > 1 and present:  # shares of nothing would be noise over noise
        values, covariance = fractions(result)
        for k, c in enumerate(own):
            value, sigma = float(values[k, level]), math.sqrt(max(float(covariance[k, level, k, level]), 0.0))
            if math.isfinite(value) and 0 < sigma < 10.0:
                found.append(_fraction("species.fraction", c, value, sigma, confidence))
            if single is not None and math.isfinite(single[0][k]) and 0 < single[1][k] < 10.0:
                alone = float(single[0][k]), float(single[1][k])
                found.append(_fraction("species.fraction_single_level", c, *alone, confidence))
    return found


def _fraction(name: str, c: ComponentTable, value: float, sigma: float, confidence: float) -> Quantity:
    return Quantity(
        name=name,
        value=value,
        sigma=sigma,
        sigma_kind="covariance",
        unit="1",
        component=c.species,
        role="derived",
        **limit(value, sigma, confidence),  # type: ignore[arg-type]
    )


def fractions(result: RegionFit) -> tuple[FloatArray, FloatArray]:
    """Return the share of every own component, shape (K, L), with its covariance, shape (K, L, K, L)."""
    return result.fit.fractions([f"{c.name}_area" for c in result.own])


def shared_quantities(result: RegionFit) -> list[Quantity]:
    """Return the parameters of shape and background that the series shares."""
    found: list[Quantity] = []
    for c in result.components:
        line = next(x for x in result.built.model.components if x.name == c.name).line
        for parameter in line.parameters:
            name = f"{c.name}_{parameter}"
            vocabulary = NAMES.get(parameter)
            if vocabulary is None or name in result.built.scopes:
                continue
            found.append(_parameter(result, name, 0, vocabulary, UNITS.get(vocabulary, "1"), c.species))
    for name, (vocabulary, unit) in BACKGROUND_NAMES.items():
        if name in result.built.parameters:
            found.append(_parameter(result, name, 0, vocabulary, unit, None))
    return found


def _times(prefix: str, point: ChangePoint | None, species: str, rate: tuple[float, float] | None) -> list[Quantity]:
    """Return a time of the profile (and the depth) with its 68 % interval.

    The interval alone is stated where the data leave the 95 % interval open: a best value would then be the middle of a
    flat valley.
    """
    if point is None or (point.value is None and point.low_68 is None and point.high_68 is None):
        return []
    low, high = point.low_68, point.high_68
    closed = all(end is not None for end in (low, high, point.low_95, point.high_95))
    value = point.value if closed else None
    sigma = 0.5 * (high - low) if value is not None and low is not None and high is not None else None
    if value is not None and low is not None and high is not None:
        low, high = min(low, value), max(high, value)
    usable = sigma is not None and sigma > 0
    found = [
        Quantity(
            name=f"species.{prefix}_time",
            value=value if usable else None,
            sigma=sigma if usable else None,
            sigma_kind="covariance" if usable else "none",
            unit="s",
            component=species,
            role="derived",
            low=low,
            high=high,
            confidence=0.6827,
        )
    ]
    if rate is not None and usable and value is not None and sigma is not None:
        depth = value * rate[0]
        found.append(
            Quantity(
                name=f"species.{prefix}_depth",
                value=depth,
                sigma=math.hypot(sigma * rate[0], value * rate[1]),
                sigma_kind="covariance",
                unit="nm",
                component=species,
                role="derived",
                budget={"fit": sigma * rate[0], "etch_rate": value * rate[1]},
            )
        )
    return found


def profile_quantities(
    profile: DepthProfileFit, species: str, rate: tuple[float, float] | None = None
) -> tuple[list[Quantity], list[Alternative], list[str]]:
    """Return what a species does along the profile: quantities, models compared, flags."""
    found: list[Quantity] = []
    for prefix, point in (
        ("onset", profile.onset),
        ("rise", profile.rise_start),
        ("saturation", profile.saturation),
        ("fall", profile.fall),
        ("settled", profile.settled),
        ("gone", profile.gone),
        ("half", profile.half_time),
        ("edge", profile.edge_width),
        ("decay", profile.decay_time),
    ):
        found += _times(prefix, point, species, rate)
    for name, level, sigma in (
        ("species.surface_level", profile.surface_level, profile.surface_level_sigma),
        ("species.deep_level", profile.deep_level, profile.deep_level_sigma),
    ):
        if level is not None and sigma:
            found.append(
                Quantity(
                    name=name,
                    value=level,
                    sigma=sigma,
                    sigma_kind="covariance",
                    unit="1",
                    component=species,
                    role="derived",
                )
            )
    if profile.upper_limit is not None:
        found.append(
            Quantity(
                name="species.fraction",
                value=profile.mean,
                sigma=profile.mean_sigma,
                sigma_kind="covariance",
                unit="1",
                component=species,
                role="derived",
                upper_limit=profile.upper_limit,
                limit_confidence=profile.confidence,
            )
        )
    elif profile.level is not None and profile.level_sigma:
        found.append(
            Quantity(
                name="species.plateau",
                value=profile.level,
                sigma=profile.level_sigma,
                sigma_kind="covariance",
                unit="1",
                component=species,
                role="derived",
            )
        )
    models = [a.model_copy(update={"comparison": f"profile of {species}"}) for a in profile.alternatives]
    flags = [f.replace(":", f":{species} ", 1) if ":" in f else f"{f}:{species}" for f in profile.flags]
    return found, models, flags


def quality(result: RegionFit) -> FitQuality:
    """Return how good the joint fit of a region is."""
    flags = [record_flag(f) for f in result.fit.flags()]
    flags += [f"NOT_DETECTED_SHAPE_HELD:{name}" for name in result.held]
    return fit_quality(result.fit, flags)


def level_quality(result: RegionFit, level: int, extra: tuple[str, ...] = ()) -> FitQuality:
    """Return how good the joint fit is at one level."""
    fit = result.fit
    n = int((fit.root_weight[level] > 0).sum())
    own = max(n - fit.n_estimated // fit.n_patterns, 1)
    chi2 = float((fit.residual[level] ** 2).sum())
    structured = f"RESIDUAL_STRUCTURE:{level}" in fit.flags()
    return FitQuality(
        chi2=chi2,
        redchi=chi2 / own,
        n_data=n,
        durbin_watson=float(np.clip(fit.durbin_watson()[level], 0.0, 4.0)),
        converged=fit.converged,
        flags=("RESIDUAL_STRUCTURE",) * structured + extra,
    )
