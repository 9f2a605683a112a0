"""From a fitted region to quantities of the record: values with errors, limits, competing assignments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.sampling import SampledFit, central
from layerscope.fitting.series_fit import CONFIDENCE_68
from layerscope.records import Quantity
from layerscope.records.quantity import SigmaKind
from layerscope.runs.build import finite_bounds, held, measured, profiled, some, upper_limit

from .energyscale import EnergyScale
from .options import ComponentTable
from .peakmodel import library_template
from .regionresult import LeftOut, RegionFit
from .species import competing

__all__ = [
    "level_quantities",
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
LARGEST_SHARE_SIGMA = 10.0  # standard error of a share beyond which it says nothing


def _parameter(result: RegionFit, name: str, vocabulary: str, unit: str, component: str | None) -> Quantity:
    """Return a parameter that the levels share."""
    parameter = result.built.parameters[name]
    value, sigma = float(result.fit.value(name)[0]), float(result.fit.sigma(name)[0])
    if parameter.expr:
        more = {"role": "constrained", "expr": parameter.expr}
    else:
        bounds = finite_bounds(float(parameter.min), float(parameter.max))
        more = {"role": "refined", "initial": float(parameter.init_value), **bounds}
    more |= profiled(result.fit, name, 0)
    found = measured(vocabulary, value, sigma, unit, component, kind=result.fit.sigma_kind, **more)
    return found or held(vocabulary, value, unit, component, expr=parameter.expr)


def position(result: RegionFit, c: ComponentTable, level: int, scale: EnergyScale) -> Quantity:
    """Return the charge-corrected binding energy of a component at a level, with every competing assignment."""
    center, shift = f"{c.name}_center", result.fit.value("shift")[level]
    value, fitted = float(result.fit.value(center)[level]), float(result.fit.sigma(center)[level])
    moved = False
    if result.shift == "charge" or scale.defined_here:  # the fit already speaks in corrected energies
        sigma = fitted
    else:
        value += float(shift)
        moved = bool(result.fit.sigma("shift")[level] > 0)
        sigma = float(result.with_shift_sigma[c.name][level])
        if scale.known:
            value -= float(scale.line_shift[level])
            sigma = math.hypot(sigma, float(scale.statistical[level]))
    total = math.hypot(sigma, scale.systematic)
    beside = math.sqrt(max(total**2 - fitted**2, 0.0))
    ends = profiled(result.fit, center, level, at=value, extra=beside) if not moved else {}
    region = result.region.name
    template = library_template(c, region)
    at = value if template is None else value + template.crest_eV  # where the library's ranges put a group of peaks
    others = competing(c.line or region, at, sigma, exclude=c.species, charge_sigma_eV=scale.systematic)
    p = result.built.parameters[center]
    found = measured(
        "peak.position",
        value,
        total,
        "eV",
        c.species,
        kind=result.fit.sigma_kind if sigma > 0 else "systematic",
        role="constrained" if p.expr else "refined" if p.vary else "derived",
        initial=None if p.expr else float(p.init_value),
        expr=p.expr,
        budget={"fit": sigma, "charge_reference": scale.systematic},
        competing=others,
        **ends,
    )
    return found or held("peak.position", value, "eV", c.species, competing=others)


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
    for k, c in enumerate(result.components):
        found.append(position(result, c, level, scale))
        value, sigma = float(result.fit.value(f"{c.name}_area")[level]), float(result.area_sigma[k, level])
        what = "overlap.area" if c.foreign else "peak.area", f"{intensity_unit}*eV", c.species
        limit = upper_limit(value, sigma, confidence, always=c.name in result.absent)
        beside = _beside({cause: float(choice.areas[k, level]) for cause, choice in result.choices.items()})
        more = limit | profiled(result.fit, f"{c.name}_area", level, extra=math.hypot(*beside.values()))
        more |= _budget(sigma, [float(part[k, level]) for part in result.by_cause[0]], beside)
        area = measured(what[0], value, sigma, *what[1:], role="refined", kind=result.fit.sigma_kind, **more)
        found.append(area or held(what[0], value, *what[1:]))
    if len(result.own) > 1 and result.detected[level]:  # shares of nothing would be noise over noise
        values, sigmas = result.shares_within[0][:, level], result.share_sigma[:, level]
        for k, c in enumerate(result.own):
            kind = result.fit.sigma_kind
            beside = _beside({cause: float(choice.shares[k, level]) for cause, choice in result.choices.items()})
            more = _budget(float(sigmas[k]), [float(part[k, level]) for part in result.by_cause[1]], beside)
            if result.share_ends is not None:
                away = math.hypot(*beside.values())
                low, high = (math.hypot(float(end[k, level]) - values[k], away) for end in result.share_ends)
                more |= {"low": values[k] - low, "high": values[k] + high, "confidence": CONFIDENCE_68}
            share = Share(c, float(values[k]), float(sigmas[k]), absent=c.name in result.absent)
            found += share.quantities("species.fraction", confidence, kind, **more)
            if single is not None:
                alone = float(single[0][k]), float(single[1][k])
                found += Share(c, *alone).quantities("species.fraction_single_level", confidence)
    for left in result.left_out:
        found += _limits(result, left, level, f"{intensity_unit}*eV", confidence)
    return found


def _beside(variances: dict[str, float]) -> dict[str, float]:
    """Return the errors that choices make; shapes that the data rule out make none, and need no mention."""
    return {
        cause: math.sqrt(variance) for cause, variance in variances.items() if variance > 0 or cause == "background"
    }


def _budget(sigma: float, of_fit: Sequence[float], beside: Mapping[str, float]) -> dict[str, Any]:
    """Return what an error is made of as a field of a quantity; empty where it is all counting.

    Parameters
    ----------
    sigma : float
        The whole.
    of_fit : sequence of float
        Shares of the fit's variance that widths make which are alike and not equal, and unknown shifts.
    beside : mapping of str to float
        Parts that the fit does not know of.
    """
    if not any(of_fit) and not beside:
        return {}
    fitted = math.sqrt(max(sigma**2 - sum(part**2 for part in beside.values()), 0.0))
    causes = {n: fitted * math.sqrt(part) for n, part in zip(("shape", "shift"), of_fit, strict=True) if part > 0}
    return {"budget": {"counting": fitted * math.sqrt(max(1.0 - sum(of_fit), 0.0)), **causes, **beside}}


def _limits(result: RegionFit, left: LeftOut, level: int, unit: str, confidence: float) -> list[Quantity]:
    """Return how much there could be of a component that is not in the fit, by the fit that had it."""
    name = f"{left.component.name}_area"
    value, sigma = float(left.fit.value(name)[level]), float(left.fit.sigma(name)[level])
    stated = [("peak.area", unit, upper_limit(value, sigma, confidence, always=True))]
    if result.detected[level] and name in result.left_shares:
        share, share_sigma = (float(part[level]) for part in result.left_shares[name])
        if share_sigma < LARGEST_SHARE_SIGMA:
            stated.append(("species.fraction", "1", upper_limit(share, share_sigma, confidence, always=True)))
    return [
        Quantity(name=what, unit=its, component=left.component.species, role="derived", **limit)
        for what, its, limit in stated
        if limit
    ]


@dataclass(frozen=True)
class Share:
    """A share of a region with its error, and whether the component is absent as far as the series can tell."""

    component: ComponentTable
    value: float
    sigma: float
    absent: bool = False

    def quantities(
        self, name: str, confidence: float, kind: SigmaKind = "covariance", /, **more: Any
    ) -> tuple[Quantity, ...]:
        """Return the share, if it is known to better than `LARGEST_SHARE_SIGMA`."""
        if not self.sigma < LARGEST_SHARE_SIGMA:
            return ()
        more |= upper_limit(self.value, self.sigma, confidence, always=self.absent)
        return some([measured(name, self.value, self.sigma, "1", self.component.species, kind=kind, **more)])


def shared_quantities(result: RegionFit) -> list[Quantity]:
    """Return what the series shares: parameters of shape and background, and the spread of shifts if it was drawn."""
    found: list[Quantity] = []
    for c in result.components:
        line = next(x for x in result.built.model.components if x.name == c.name).line
        for parameter in line.parameters:
            name = f"{c.name}_{parameter}"
            vocabulary = NAMES.get(parameter)
            if vocabulary is None or name in result.built.scopes:
                continue
            found.append(_parameter(result, name, vocabulary, UNITS.get(vocabulary, "1"), c.species))
    for name, (vocabulary, unit) in BACKGROUND_NAMES.items():
        if name in result.built.parameters:
            found.append(_parameter(result, name, vocabulary, unit, None))
    if isinstance(result.fit, SampledFit) and result.fit.width is not None:
        low, high = (float(end) for end in central(result.fit.width, CONFIDENCE_68))
        value, sigma = float(result.fit.width.mean()), float(result.fit.width.std())
        ends: dict[str, Any] = {"low": low, "high": high, "confidence": CONFIDENCE_68}
        found += some([measured("charge.shift_spread", value, sigma, "eV", kind="sampling", **ends)])
    return found
