"""Errors by sampling: the distribution of parameters and amounts given the data and what is known beforehand.

Where lines overlap, amounts cannot be negative, or levels shift by an unknown amount, the misfit is no parabola within
a standard error, and errors from its curvature do not cover. Here shared parameters are drawn from t distributions that
adapt to what was found before, every draw weighted by the likelihood with amounts and the patterns' own parameter
integrated (`marginal.py`); own parameters and amounts follow given each draw. How alike parameters are may be drawn too
(`spreads.py`).

References
----------
Cappe, O. et al. (2004). J. Comput. Graph. Stat. 13, 907-929. doi:10.1198/106186004X12803 (population Monte Carlo)
Cornuet, J.-M. et al. (2012). Scand. J. Stat. 39, 798-812. doi:10.1111/j.1467-9469.2011.00756.x (weights of all rounds)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from layerscope.errors import FitError
from layerscope.fitting.covariance import LevelCovariance
from layerscope.fitting.own_parameter import LOWEST, OwnParameter
from layerscope.fitting.series_fit import CONFIDENCE_68, SeriesFit
from layerscope.fitting.spreads import Alike, CommonWidth
from layerscope.flags import threshold

__all__ = ["SampledFit", "central", "normality", "sample"]

FloatArray = NDArray[np.float64]

FIRST_WIDE = 60  # draws from a wide distribution, in which other places of the lines are seen
WIDE = 9.0  # its variance over that of the fit
ROUNDS = (200, 300, 400, 500, 600, 800, 1000)  # draws until the next adaptation
ENOUGH = 150.0  # effective draws after which no more are made
LEAST = threshold("FEW_DRAWS")  # effective draws below which errors are made wider
APART = 1.0  # standard deviations between the means of two halves of the draws that are too many
FREEDOM = 5.0  # of the t distributions
PATTERNS_TOGETHER = 1000  # whose errors are worked out together
TAIL = 0.99  # of draws that an interval of 2.58 errors to either side holds
IN_TAIL = 2.5758  # errors at which that interval of a normal distribution ends


@dataclass(frozen=True)
class SampledFit(SeriesFit):
    """A fit whose values are means of draws, and whose errors are their scatter.

    An error is the standard deviation; where draws have a tail to one side, what makes 2.58 errors reach as far as the
    central 99 % of them.

    Attributes
    ----------
    draws : mapping of str to ndarray, shape (M, L)
        Every parameter and amount, draw by draw.
    base : ndarray, shape (M, S)
        The shared parameters of each draw: what patterns have in common.
    ess : float
        Effective number of independent draws of the shared parameters.
    acceptance : float
        Its ratio to the number that was weighed.
    agreement : float
        Largest distance between means of the two halves of the draws, in standard deviations.
    width : ndarray, shape (M,), or None
        Common width of the patterns' own parameter.
    """

    draws: Mapping[str, FloatArray]
    base: FloatArray
    ess: float
    acceptance: float
    agreement: float
    width: FloatArray | None = None

    @property
    def sigma_kind(self) -> Literal["sampling"]:
        """Where the errors come from."""
        return "sampling"

    def flags(self) -> tuple[str, ...]:
        """Return the flags of the fit, and ``FEW_DRAWS`` where they are too few to go by: errors are then wider."""
        few = self.ess < threshold("FEW_DRAWS") or self.agreement > APART
        return (*super().flags(), *((f"FEW_DRAWS:{self.ess:.0f}",) if few else ()))

    @cached_property
    def _told(self) -> dict[tuple[str, str, float], FloatArray]:
        """What was worked out of draws: records ask for it level by level."""
        return {}

    def value(self, name: str) -> FloatArray:
        """Return the mean of a parameter or amount in every pattern, shape (L,)."""
        if name not in self.draws:
            return super().value(name)
        if ("value", name, 0.0) not in self._told:
            self._told["value", name, 0.0] = self.draws[name].mean(axis=0)
        return self._told["value", name, 0.0]

    def sigma(self, name: str) -> FloatArray:
        """Return its error in every pattern, shape (L,)."""
        if name not in self.draws:
            return super().sigma(name)
        if ("sigma", name, 0.0) not in self._told:
            self._told["sigma", name, 0.0] = self._errors(self.draws[name][None])[0]
        return self._told["sigma", name, 0.0]

    def interval(self, name: str, confidence: float = CONFIDENCE_68) -> tuple[FloatArray, FloatArray] | None:
        """Return the interval that leaves out as many draws on either side, each end of shape (L,)."""
        if name not in self.draws:
            return None
        if ("interval", name, confidence) not in self._told:
            self._told["interval", name, confidence] = np.stack(central(self.draws[name], confidence))
        low, high = self._told["interval", name, confidence]
        return low, high

    def covariance(self, names: Sequence[str]) -> FloatArray:
        """Return the covariance of some parameters between all patterns, shape (K, L, K, L)."""
        return self._covariance(self._drawn(names))

    def covariance_within(self, names: Sequence[str]) -> FloatArray:
        """Return the covariance of some parameters within each pattern, shape (L, K, K)."""
        away = self._away(self._drawn(names))
        return np.asarray(np.einsum("aml,bml->lab", away, away) / away.shape[1])

    def fractions(self, names: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Return each amount over the sum of all, (K, L), with its covariance, (K, L, K, L)."""
        drawn = self.drawn_fractions(names)
        return drawn.mean(axis=1), self._covariance(drawn)

    def drawn_fractions(self, names: Sequence[str]) -> FloatArray:
        """Return each amount over the sum of all, draw by draw, shape (K, M, L)."""
        amounts = self._drawn(names)
        return np.asarray(amounts / amounts.sum(axis=0))

    def due_to(self, causes: Sequence[str], names: Sequence[str], *, fractions: bool = False) -> FloatArray:
        """Return the share of each variance that would not be there if some parameters were known, shape (K, L).

        It is what a linear dependence on the causes explains, from 0 to 1.
        """
        drawn = self.drawn_fractions(names) if fractions else self._drawn(names)
        result = np.zeros((len(drawn), self.n_patterns))
        cause = np.stack([self.draws[name] for name in causes if name in self.draws] or [np.zeros(drawn.shape[1:])])
        for level in range(self.n_patterns):
            with np.errstate(all="ignore"):
                result[:, level] = explained(cause[:, :, level], drawn[:, :, level])
        return result

    def _drawn(self, names: Sequence[str]) -> FloatArray:
        held = (len(self.base), self.n_patterns)
        return np.stack([self.draws.get(n, np.broadcast_to(SeriesFit.value(self, n), held)) for n in names])

    def _errors(self, drawn: FloatArray) -> FloatArray:
        """Return the errors of (K, M, L) draws, shape (K, L)."""
        if drawn.strides[-1] == 0 and drawn.shape[-1] > 1:  # of what patterns share
            return np.broadcast_to(self._errors(drawn[..., :1]), (len(drawn), drawn.shape[-1]))
        result = np.empty((len(drawn), drawn.shape[-1]))
        for first in range(0, drawn.shape[-1], PATTERNS_TOGETHER):
            part = drawn[..., first : first + PATTERNS_TOGETHER]
            ends = np.percentile(part, [50.0 * (1.0 - TAIL), 50.0 * (1.0 + TAIL)], axis=1)
            reach = np.abs(ends - part.mean(axis=1)).max(axis=0) / IN_TAIL
            result[:, first : first + PATTERNS_TOGETHER] = np.maximum(part.std(axis=1), reach)
        return result

    def _away(self, drawn: FloatArray) -> FloatArray:
        """Return (K, M, L) draws less their means, stretched so that their standard deviations are the errors."""
        away, sd = drawn - drawn.mean(axis=1, keepdims=True), drawn.std(axis=1)
        stretch = np.where(sd > 0, self._errors(drawn) / np.where(sd > 0, sd, 1.0), 1.0)
        return np.asarray(away * stretch[:, None])

    def share_covariances(self, names: Sequence[str]) -> list[LevelCovariance]:
        """Return the covariance between all patterns of each amount over the sum of all, in its parts, K of them."""
        return [self._parts(drawn) for drawn in self.drawn_fractions(names)]

    def parts_of_sum(self, names: Sequence[str], slope: FloatArray) -> LevelCovariance:
        """Return the covariance between all patterns of a sum of parameters, in its two parts."""
        return self._parts(np.einsum("kl,kml->ml", slope, self._drawn(names)))

    def fractions_within(self, names: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Return each amount over the sum of all, in every pattern, with its variance, each of shape (K, L)."""
        drawn = self.drawn_fractions(names)
        return drawn.mean(axis=1), np.asarray(self._errors(drawn) ** 2)

    def _parts(self, drawn: FloatArray) -> LevelCovariance:
        """Return the covariance of (M, L) draws: patterns meet in what they share, the rest is each one's own."""
        away, base = self._away(drawn[None])[0], self.base - self.base.mean(axis=0)
        slope = np.linalg.lstsq(base, away, rcond=None)[0]
        rest = away - base @ slope
        return LevelCovariance(slope.T, base.T @ base / len(base), np.einsum("ml,ml->l", rest, rest) / len(base))

    def _covariance(self, drawn: FloatArray) -> FloatArray:
        """Return the covariance of (K, M, L) draws: patterns meet in what they share, the rest is each one's own."""
        away = self._away(drawn)
        base = self.base - self.base.mean(axis=0)
        slope = np.linalg.lstsq(base, away.transpose(1, 0, 2).reshape(len(base), -1), rcond=None)[0]
        common = (base @ slope).reshape(len(base), *away[:, 0].shape).transpose(1, 0, 2)
        rest = away - common
        result = np.einsum("aml,bmk->albk", common, common, optimize=True) / len(base)
        at = np.arange(self.n_patterns)
        result[:, at, :, at] += np.einsum("aml,bml->lab", rest, rest) / len(base)
        return np.asarray(result)


def central(drawn: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Return the ends of the central interval of draws (M, ...), which holds their mean."""
    low, high = np.percentile(drawn, [50.0 * (1.0 - confidence), 50.0 * (1.0 + confidence)], axis=0)
    mean = drawn.mean(axis=0)
    return np.minimum(low, mean), np.maximum(high, mean)


def explained(causes: FloatArray, drawn: FloatArray) -> FloatArray:
    """Return the share of the variance of (K, M) draws that a linear dependence on causes (C, M) explains."""
    x = causes - causes.mean(axis=1, keepdims=True)
    y = drawn - drawn.mean(axis=1, keepdims=True)
    fitted = np.linalg.lstsq(x.T, y.T, rcond=None)[0].T @ x
    whole = (y**2).sum(axis=1)
    return np.asarray(np.clip(np.where(whole > 0, (fitted**2).sum(axis=1) / whole, 0.0), 0.0, 1.0))


def normality(fit: SeriesFit, alike: Alike | None = None, *, draws: int = 60, seed: int = 0) -> float:
    """Return how nearly shared parameters are distributed as the covariance of a fit says, from 0 to 1.

    It is the share of effective draws when the normal distribution of that covariance is weighed by the likelihood.

    Raises
    ------
    FitError
        As `sample` does.
    """
    _require_determined(fit)
    own = OwnParameter(fit, None, alike)
    spread = fit.batch.covariance.shared[fit.group]
    if not len(spread):
        return 1.0
    part = _Part.of(fit.batch.solution.shared[fit.group], spread)
    z = np.random.default_rng(seed).standard_normal((draws, len(spread)))
    shared = part.center + z @ part.factor.T
    low, high = fit.batch.evaluator.layout.bounds_shared()
    inside = ((shared >= low) & (shared <= high)).all(axis=1)
    log_weight = np.full(draws, LOWEST)
    log_weight[inside] = own.log_likelihood(shared[inside]) + 0.5 * (z[inside] ** 2).sum(axis=1)
    return float(1.0 / (_tempered(log_weight, 0.0) ** 2).sum() / draws)


def _require_determined(fit: SeriesFit) -> None:
    covariance = fit.batch.covariance
    if covariance.undetermined[fit.group] or not np.isfinite(covariance.shared[fit.group]).all():
        raise FitError("the data do not determine every free parameter: there is nothing to draw from")


def sample(
    fit: SeriesFit, common: CommonWidth | None = None, alike: Alike | None = None, *, draws: int = 600, seed: int = 0
) -> SampledFit:
    """Draw parameters and amounts of a fit from their distribution given the data.

    Nonlinear parameters have a flat prior within their bounds, and what the fit knows of them; for amounts see
    `marginal.py`. Weights are those of the fit.

    Parameters
    ----------
    fit : SeriesFit
        Where the search starts.
    common : CommonWidth, optional
        The parameter of each pattern whose prior the patterns share, in place of what the fit knows of it.
    alike : Alike, optional
        Shared parameters that may be less alike than the fit knows.
    draws : int, optional
        Draws that are returned.
    seed : int, optional
        The same seed gives the same draws.

    Raises
    ------
    FitError
        If the problem is not of a kind that can be sampled, see `Marginal`, or the data do not determine it.
    """
    _require_determined(fit)
    rng = np.random.default_rng(seed)
    own = OwnParameter(fit, common, alike)
    shared, log_weight = _population(fit, own, rng)
    weight = _tempered(log_weight, 0.0)
    ess = float(1.0 / (weight**2).sum())
    weight = _tempered(log_weight, LEAST)  # where draws are few, errors are wider than they are
    picked = _systematic(weight, draws, rng)
    local, width, drawn = own.draw(shared[picked], rng)
    found = dict(zip(own.marginal.names, drawn, strict=True))
    layout = fit.batch.evaluator.layout
    values, _ = layout.local_values(
        shared[picked], np.zeros((draws, fit.n_patterns, 0)) if local is None else local[:, :, None]
    )
    moving = {*layout.free_names, *layout.expressions}
    found |= {name: _without_copies(v) for name, v in values.items() if name in moving and np.ptp(v, axis=0).any()}
    return SampledFit(
        fit.batch,
        fit.group,
        found,
        shared[picked],
        ess,
        ess / len(weight),
        _agreement(shared, weight),
        width,
    )


def _without_copies(drawn: FloatArray) -> FloatArray:
    """Return draws (M, L), those that all patterns share in the memory of one of them."""
    if (drawn == drawn[:, :1]).all():
        return np.broadcast_to(drawn[:, :1].copy(), drawn.shape)
    return np.array(drawn)


def _population(fit: SeriesFit, own: OwnParameter, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return draws of the shared parameters (N, S), with the logarithms of their weights (N,)."""
    low, high = fit.batch.evaluator.layout.bounds_shared()
    center = fit.batch.solution.shared[fit.group]
    spread = fit.batch.covariance.shared[fit.group]
    parts = [_Part.of(center, WIDE * spread), _Part.of(center, 1.2 * spread)]
    if center.size == 0:
        return np.zeros((int(ENOUGH), 0)), np.zeros(int(ENOUGH))
    shared = parts[0].draw(FIRST_WIDE, low, high, rng)
    height = own.log_likelihood(shared)
    for count in ROUNDS:
        new = parts[-1].draw(count, low, high, rng)
        shared = np.concatenate([shared, new])
        height = np.concatenate([height, own.log_likelihood(new)])
        total = sum(part.count for part in parts)
        density = logsumexp([part.log_density(shared) + np.log(part.count / total) for part in parts], axis=0)
        log_weight = height - density
        if 1.0 / (_tempered(log_weight, 0.0) ** 2).sum() >= ENOUGH:
            break
        tempered = _tempered(log_weight, max(4.0 * center.size, LEAST))
        mean = tempered @ shared
        away = shared - mean
        parts.append(_Part.of(mean, 1.1 * (away.T * tempered) @ away + 0.01 * spread))
    return shared, log_weight


@dataclass
class _Part:
    """A t distribution, cut off at the bounds of the parameters."""

    center: FloatArray
    factor: FloatArray
    count: int = 0
    inside: float = 1.0

    @classmethod
    def of(cls, center: FloatArray, spread: FloatArray) -> _Part:
        scale = np.sqrt(np.maximum(np.diag(spread), 1e-300))
        values, vectors = np.linalg.eigh(spread / scale[:, None] / scale)
        root = vectors * np.sqrt(np.maximum(values, 1e-8))
        return cls(center, scale[:, None] * root)

    def draw(self, count: int, low: FloatArray, high: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return draws inside the bounds, shape (count, S)."""
        found: list[FloatArray] = []
        tried = kept = 0
        while kept < count and tried < 1000 * count:
            z = rng.standard_normal((count, self.center.size)) @ self.factor.T
            new = self.center + z * np.sqrt(FREEDOM / rng.chisquare(FREEDOM, count))[:, None]
            good = ((new >= low) & (new <= high)).all(axis=1)
            tried, kept = tried + count, kept + int(good.sum())
            found.append(new[good])
        self.inside = max(kept, 1) / tried
        result = np.concatenate(found)[:count]
        self.count += len(result)
        return result

    def log_density(self, at: FloatArray) -> FloatArray:
        """Return the logarithm of the density up to a constant that all parts share, shape (N,)."""
        z = np.linalg.solve(self.factor, (at - self.center).T)
        size = self.center.size
        tail = -0.5 * (FREEDOM + size) * np.log1p((z**2).sum(axis=0) / FREEDOM)
        return np.asarray(tail - np.linalg.slogdet(self.factor)[1] - np.log(self.inside))


def _tempered(log_weight: FloatArray, least: float) -> FloatArray:
    """Return weights that sum to one, raised to a power at which they are of so many effective draws at least."""
    for power in (1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05):
        weight = np.exp(power * (log_weight - log_weight.max()))
        weight /= weight.sum()
        if 1.0 / (weight**2).sum() >= least:
            break
    return np.asarray(weight)


def _systematic(weight: FloatArray, count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return indices drawn by weight, as evenly as can be, in random order."""
    at = (np.arange(count) + rng.random()) / count
    picked = np.minimum(np.searchsorted(np.cumsum(weight), at), weight.size - 1)
    return rng.permutation(picked)


def _agreement(shared: FloatArray, weight: FloatArray) -> float:
    """Return the largest distance between means of the two halves of the draws, in standard deviations."""
    if shared.shape[1] == 0:
        return 0.0
    mean = weight @ shared
    sd = np.sqrt(weight @ (shared - mean) ** 2)
    halves = [weight[k::2] @ shared[k::2] / weight[k::2].sum() for k in (0, 1)]
    return float((np.abs(halves[0] - halves[1]) / np.maximum(sd, 1e-300)).max())
