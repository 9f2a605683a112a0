"""Makers of what records are made of: measured and held values, limits, intervals, and how good a joint fit is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from layerscope.fitting.limits import feldman_cousins
from layerscope.fitting.quality import durbin_watson
from layerscope.fitting.series_fit import CONFIDENCE_68
from layerscope.flags import inherited_flags
from layerscope.records import FitQuality, Quantity
from layerscope.records.quantity import Role, SigmaKind

if TYPE_CHECKING:
    from layerscope.fitting import SeriesFit

__all__ = [
    "Bounds",
    "finite_bounds",
    "held",
    "interval",
    "measured",
    "profiled",
    "quality_of",
    "remarks",
    "some",
    "upper_limit",
]

Ends: TypeAlias = "tuple[float | None, float | None]"
SIGMAS_95 = 1.959964  # standard deviations of a normal distribution


class Bounds(Protocol):
    """An estimate with its 68.27 % and 95 % intervals; an end is None where the data set none."""

    @property
    def value(self) -> float | None:
        """Best estimate."""

    @property
    def low_68(self) -> float | None:
        """Lower end, 68.27 %."""

    @property
    def high_68(self) -> float | None:
        """Upper end, 68.27 %."""

    @property
    def low_95(self) -> float | None:
        """Lower end, 95 %."""

    @property
    def high_95(self) -> float | None:
        """Upper end, 95 %."""


def measured(
    name: str,
    value: float,
    sigma: float,
    unit: str,
    component: str | None = None,
    *,
    role: Role = "derived",
    kind: SigmaKind = "covariance",
    **more: Any,
) -> Quantity | None:
    """Return a value with its standard error, or None where either is no finite number or the error not positive.

    Parameters
    ----------
    name, unit : str
        Of the vocabulary.
    value, sigma : float
    component : str, optional
        Phase, species, element or plane.
    role : {"derived", "refined", "constrained"}, optional
    kind : {"covariance", "bootstrap", "sampling", "counting", "systematic"}, optional
        Where the error comes from.
    **more
        Further fields of the quantity: budget, bounds, limits.
    """
    if not (math.isfinite(value) and math.isfinite(sigma) and sigma > 0):
        return None
    return Quantity(
        name=name,
        value=float(value),
        sigma=float(sigma),
        sigma_kind=kind,
        unit=unit,
        component=component,
        role=role,
        **more,
    )


def held(name: str, value: float, unit: str, component: str | None = None, **more: Any) -> Quantity:
    """Return a value that was held, or is exact: it has no error."""
    return Quantity(name=name, value=float(value), unit=unit, component=component, role="fixed", **more)


def some(quantities: Iterable[Quantity | None]) -> tuple[Quantity, ...]:
    """Return those quantities that there are."""
    return tuple(quantity for quantity in quantities if quantity is not None)


def finite_bounds(low: float, high: float) -> dict[str, Any]:
    """Return the bounds of a fit as fields of a quantity; an open one is left out."""
    return {key: float(value) for key, value in (("min", low), ("max", high)) if math.isfinite(value)}


def upper_limit(value: float, sigma: float, confidence: float, *, always: bool = False) -> dict[str, Any]:
    """Return the upper limit to state beside an amount that is not above zero beyond its error, as fields.

    Parameters
    ----------
    value, sigma : float
        Unbiased estimate of an amount that cannot be negative, and its standard error.
    confidence : float
        Of the limit, 0 to 1.
    always : bool, optional
        State the upper end of the interval also where its lower end is above zero.

    Returns
    -------
    dict
        Empty where the amount is above zero, or so far below that it is no noise around nothing.
    """
    if not sigma > 0:
        return {}
    found = feldman_cousins(value, sigma, confidence)
    if not (always or bool(found.one_sided)) or not math.isfinite(float(found.high)):
        return {}
    return {"upper_limit": float(found.high), "limit_confidence": confidence}


def profiled(fit: SeriesFit, name: str, level: int, *, at: float | None = None, extra: float = 0.0) -> dict[str, Any]:
    """Return the interval of a fitted parameter as fields of a quantity; empty where the fit has none of it.

    Parameters
    ----------
    fit : SeriesFit
    name : str
        Of the parameter or amount in the fit.
    level : int
        Index.
    at : float, optional
        Value that is stated, if it is not that of the fit; the interval moves along.
    extra : float, optional
        A further standard error, independent of the fit, in the unit of the value.
    """
    found = fit.interval(name)
    if found is None:
        return {}
    value = float(fit.value(name)[level])
    stated = value if at is None else at
    below, above = value - float(found[0][level]), float(found[1][level]) - value
    fields = {"low": stated - math.hypot(below, extra)} if math.isfinite(below) else {}
    fields |= {"high": stated + math.hypot(above, extra)} if math.isfinite(above) else {}
    return {**fields, "confidence": CONFIDENCE_68} if fields else {}


def interval(
    name: str, found: Bounds, unit: str, component: str | None = None, *, part: str = "", extra: float = 0.0
) -> Quantity | None:
    """Return an estimate with its 68 and 95 % intervals; without a best value where its 95 % interval is open.

    A best value would then be the middle of a flat valley. None where the data set neither end. An end or a value that
    is no finite number is none.

    Parameters
    ----------
    name, unit : str
        Of the vocabulary.
    found : Bounds
    component : str, optional
    part : str, optional
        What the further error is of, for the budget.
    extra : float, optional
        A further standard error, independent of the interval, in `unit`.
    """
    value, low, high = (_finite(number) for number in (found.value, found.low_68, found.high_68))
    if low is None and high is None:
        return None
    outer = _finite(found.low_95), _finite(found.high_95)
    closed = None not in (value, low, high, *outer)
    (low, high), (low_95, high_95) = (
        _widened(value, ends, times * extra) for ends, times in (((low, high), 1.0), (outer, SIGMAS_95))
    )
    low_95, high_95 = _outside(low_95, low, min), _outside(high_95, high, max)
    sigma = 0.5 * (high - low) if low is not None and high is not None else 0.0
    usable = closed and sigma > 0
    budget = {"fit": math.sqrt(max(sigma**2 - extra**2, 0.0)), part: extra} if usable and extra > 0 else {}
    return Quantity(
        name=name,
        value=value if usable else None,
        sigma=sigma if usable else None,
        sigma_kind="covariance" if usable else "none",
        unit=unit,
        component=component,
        role="derived",
        low=low,
        high=high,
        confidence=CONFIDENCE_68,
        low_95=low_95,
        high_95=high_95,
        budget=budget,
    )


def _widened(value: float | None, ends: tuple[float | None, float | None], extra: float) -> Ends:
    """Return the ends of an interval about a value with a further error, the value inside."""
    low, high = ends
    if value is None:
        return low, high
    low, high = None if low is None else min(low, value), None if high is None else max(high, value)
    if extra > 0:
        low = None if low is None else value - math.hypot(value - low, extra)
        high = None if high is None else value + math.hypot(high - value, extra)
    return low, high


def _outside(outer: float | None, inner: float | None, choose: Callable[[float, float], float]) -> float | None:
    """Return an end of the wider interval, no nearer than that of the narrower one."""
    return outer if outer is None or inner is None else choose(outer, inner)


def _finite(number: float | None) -> float | None:
    return None if number is None or not math.isfinite(number) else number


def quality_of(
    fit: SeriesFit, flags: Sequence[str] = (), level: int | None = None, *, r_factors: bool = False
) -> FitQuality:
    """Return how good the joint fit of a series is, as a whole or at one level, with its flags.

    Parameters
    ----------
    fit : SeriesFit
    flags : sequence of str
        Further flags of the record, beside those of the fit.
    level : int, optional
        Place of the level. Flags of the fit that concern the whole series hold for it, those of other levels do not.
    r_factors : bool, optional
        State a level's weighted profile R factor and the expected one too, background included.

    Returns
    -------
    FitQuality
        Measured points and the parameters that they determine, priors not counted; of a level, the parameters that the
        series shares are spread over its levels. Durbin-Watson as the mean over the patterns.
    """
    if level is None:
        return FitQuality(
            chi2=fit.chi2,
            redchi=fit.redchi,
            aic=float(fit.aic),
            bic=float(fit.bic),
            n_data=fit.n_points,
            n_free=fit.n_estimated,
            durbin_watson=float(np.clip(fit.durbin_watson().mean(), 0.0, 4.0)),
            converged=fit.converged,
            flags=tuple(dict.fromkeys((*fit.flags(), *flags))),
        )
    root_weight, residual = fit.root_weight[level], fit.residual[level]
    n, chi2 = int((root_weight > 0).sum()), float((residual**2).sum())
    signal = float(((root_weight * fit.y[level]) ** 2).sum()) if r_factors else 0.0
    freedom = max(n - fit.n_estimated // fit.n_patterns, 1)
    return FitQuality(
        chi2=chi2,
        redchi=chi2 / freedom,
        n_data=n,
        rwp=math.sqrt(chi2 / signal) if signal > 0 else None,
        rexp=math.sqrt(freedom / signal) if signal > 0 else None,
        durbin_watson=float(np.clip(durbin_watson(residual[root_weight > 0]), 0.0, 4.0)),
        converged=fit.converged,
        flags=tuple(dict.fromkeys((*inherited_flags(fit.flags(), level), *flags))),
    )


def remarks(flags: Sequence[str]) -> FitQuality | None:
    """Return the quality of a record that rests on no fit of its own: its flags, if it has any."""
    return FitQuality(flags=tuple(dict.fromkeys(flags))) if flags else None
