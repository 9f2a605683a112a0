"""The parameter that each pattern has of its own, integrated on a grid of places or drawn, with the amounts there.

Where patterns are many, their places lie on a lattice: patterns whose parameters may lie in the same window have the
same columns there, which are worked out once for all of them, and amounts follow between the places as the likelihood
does. Time is then linear in the number of patterns, and memory that of a few draws.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.special import logsumexp, ndtr

from layerscope.fitting.marginal import Amounts, Marginal
from layerscope.fitting.series_fit import SeriesFit
from layerscope.fitting.spreads import Alike, CommonWidth

__all__ = ["LOWEST", "OwnParameter"]

FloatArray = NDArray[np.float64]

REACH = 5.0  # standard errors to either side within which a pattern's own parameter is looked for
PLACES = (3, 5, 7, 9, 11, 13, 17, 21, 25, 33)  # at which its likelihood is worked out, until the rest follows from them
DEEP = 100.0  # below the highest logarithm at a node: what lies lower does not count
FOLLOWS_TO = 5.0  # below the highest: common widths that do not count
FOLLOWS = 0.05  # error of the logarithm of its integral, for each pattern, that is good enough
LOWEST = -1e100  # logarithm of a likelihood that is no number
MANY_PATTERNS = 200  # above which the places of a pattern are those of others too
STEPS = 5  # of a window, on a lattice of these steps, in which such a pattern's own parameter is looked for
LATTICE_PLACES = (6, 11, 16, 21, 26, 31, 41)  # in a window, in which ends of steps are always among them
AT_ONCE = 64  # draws that are worked out together, of as many patterns as these:
PATTERNS_AT_ONCE = 100


def _lattice(low: FloatArray, high: FloatArray, lowest: float, highest: float) -> tuple[FloatArray, FloatArray] | None:
    """Return windows that hold what lies between `low` and `high`, their ends on a lattice that many patterns share.

    Patterns whose windows are the same have the same columns at all places, which then are worked out once.

    Returns
    -------
    first, step : ndarray, shape (L,)
        A window begins at ``first * step``, with a whole number, and is `STEPS` steps wide. None where one would reach
        beyond `lowest` or `highest`.
    """
    width = high - low
    step = width.max() * 2.0 ** -np.floor(np.log2(width.max() / width)) / (STEPS - 1)
    first = np.floor(low / step)
    inside = (first * step >= lowest).all() and ((first + STEPS) * step <= highest).all()
    return (first, step) if inside else None


class OwnParameter:
    """The parameter that each pattern has of its own, on a grid."""

    def __init__(self, fit: SeriesFit, common: CommonWidth | None, alike: Alike | None) -> None:
        self.fit, self.common, self.alike = fit, common, alike
        self.marginal = Marginal(fit, () if common is None else (common.name,))
        self.shared = fit.batch.solution.shared[fit.group]
        self.nodes: FloatArray | None = None
        self.many = fit.n_patterns > MANY_PATTERNS
        if fit.batch.evaluator.layout.local:
            self._place_nodes()

    def _place_nodes(self) -> None:
        fit, layout = self.fit, self.fit.batch.evaluator.layout
        name = layout.local[0].name
        value, sigma = fit.value(name), np.maximum(fit.sigma(name), 1e-9)
        low, high = value - REACH * sigma, value + REACH * sigma
        if self.common is not None:
            low, high = np.full_like(low, min(low.min(), 0.0)), np.full_like(high, max(high.max(), 0.0))
            low, high = np.maximum(low, -self.common.reach), np.minimum(high, self.common.reach)
        bounds = layout.bounds_local()
        low, high = np.maximum(low, bounds[0][0]), np.minimum(high, bounds[1][0])
        alone = np.maximum(np.sqrt(fit.batch.covariance.own[fit.group, :, 0, 0]), 1e-12)
        lattice = None
        if self.many and self.common is None:
            lattice = _lattice(low, high, float(bounds[0][0]), float(bounds[1][0]))
        if lattice is None:
            finest = (high - low).max() / alone.min()
        else:
            low, high = lattice[0] * lattice[1], (lattice[0] + STEPS) * lattice[1]
            finest = ((high - low) / alone).max()
        count = int(np.clip(finest / 0.6, 101, 1001)) | 1
        self.low, self.high = low, high
        self.fine = low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, count)
        before, follows = None, FOLLOWS * np.sqrt(fit.n_patterns)
        for places in PLACES if lattice is None else LATTICE_PLACES:  # the fewest from which those between them follow
            unit = np.linspace(0.0, 1.0, places)
            if lattice is None:
                self.nodes = low[:, None] + (high - low)[:, None] * unit
            else:
                finer = (places - 1) // STEPS
                self.nodes = (lattice[1] / finer)[:, None] * (lattice[0][:, None] * finer + np.arange(places))
            ends: Literal["natural", "not-a-knot"] = "not-a-knot" if self.common is None else "natural"
            self.spline = CubicSpline(unit, np.eye(places), bc_type=ends)
            self.between = np.asarray(self.spline(np.linspace(0.0, 1.0, count)))
            now = self._integrated(self.shared[None])[1]
            if before is not None and np.abs(now - before)[now > now.max() - FOLLOWS_TO].max() < follows:
                break
            before = now

    def _heights(self, shared: FloatArray) -> tuple[FloatArray, Amounts]:
        """Return the log-likelihood on the fine grid, shape (W, L, F), and the amounts at the places."""
        assert self.nodes is not None  # noqa: S101 - asked for only where there are some
        local = np.broadcast_to(self.nodes, (len(shared), *self.nodes.shape))
        at_nodes, amounts = self.marginal(shared, local)
        lowest = at_nodes.max(axis=-1, keepdims=True) - DEEP  # a spline through cliffs would swing elsewhere
        return np.asarray(np.maximum(at_nodes, lowest) @ self.between.T), amounts

    def parts(self, count: int) -> list[slice]:
        """Return which of many draws are worked out together: all, where patterns are few."""
        step = count if self.fit.n_patterns <= PATTERNS_AT_ONCE else self._at_once
        return [slice(first, first + step) for first in range(0, count, max(step, 1))]

    def amounts(self, shared: FloatArray, local: FloatArray | None, at: slice) -> Amounts:
        """Return the distribution of the amounts of some draws, given all else."""
        return self.marginal(shared[at], None if local is None else local[at, :, None])[1]

    @property
    def _at_once(self) -> int:
        """Draws that are worked out together: their heights take memory by the pattern."""
        return max(1, min(AT_ONCE, AT_ONCE * PATTERNS_AT_ONCE // self.fit.n_patterns))

    def log_likelihood(self, shared: FloatArray) -> FloatArray:
        """Return the log-likelihood of shared parameters (W, S), everything else integrated, shape (W,)."""
        if self.nodes is None:
            parts = [self.marginal(shared[at], None)[0].sum(axis=(1, 2)) for at in self.parts(len(shared))]
            height = np.concatenate(parts) if parts else np.zeros(0)
        else:
            step = self._at_once
            parts = [self._integrated(shared[k : k + step])[0] for k in range(0, len(shared), step)]
            height = np.concatenate(parts)
        if self.alike is not None:
            height = height + self.alike.log_ratio(self.fit, shared)
        return np.where(np.isfinite(height), height, LOWEST)

    def _integrated(self, shared: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, Amounts]:
        """Return what `log_likelihood` does, its parts by common width (W, T), heights (W, L, F), and amounts."""
        heights, amounts = self._heights(shared)
        top = heights.max(axis=-1, keepdims=True)
        over = np.exp(heights - top)
        if self.common is None:
            with np.errstate(divide="ignore"):
                each = np.log(over.sum(axis=-1, keepdims=True))
        else:
            with np.errstate(divide="ignore"):
                each = np.log(over @ self._prior)
        by_width = (each + top).sum(axis=1)
        if self.common is not None:
            by_width = by_width + self.common.log_prior
        return np.asarray(logsumexp(by_width, axis=1)), by_width, over, amounts

    @cached_property
    def _prior(self) -> FloatArray:
        """Prior on the fine grid for each common width, shape (F, T): its mass, however narrow it is."""
        assert self.common is not None  # noqa: S101
        widths = self.common.widths
        inside = ndtr(self.high[0] / widths) - ndtr(self.low[0] / widths)
        prior = np.exp(-0.5 * (self.fine[0][:, None] / widths) ** 2)
        at_zero = int(np.argmin(np.abs(self.fine[0])))  # where the step is wider than the prior, all of it is there
        prior[at_zero] = np.maximum(prior[at_zero], 1e-9)
        return np.asarray(prior * inside / prior.sum(axis=0))

    def draw(
        self, shared: FloatArray, rng: np.random.Generator
    ) -> tuple[FloatArray | None, FloatArray | None, FloatArray]:
        """Draw the patterns' own parameters (W, L), their common width (W,), and amounts (K, W, L), given the rest."""
        if self.nodes is None:
            return None, None, self._drawn_amounts(shared, None, rng)
        once, copies = np.unique(shared, axis=0, return_inverse=True)
        copies = copies.reshape(-1)
        local = np.empty((len(shared), self.fit.n_patterns))
        width = np.empty(len(shared)) if self.common is not None else None
        drawn = np.empty((len(self.marginal.names), *local.shape)) if self.many else None
        step = self._at_once
        for first in range(0, len(once), step):
            at = np.flatnonzero((copies >= first) & (copies < first + step))
            _, by_width, over, amounts = self._integrated(once[first : first + step])
            by_width, over = by_width[copies[at] - first], over[copies[at] - first]
            if self.common is not None and width is not None:
                chosen = (by_width + rng.gumbel(size=by_width.shape)).argmax(axis=1)
                width[at] = self.common.widths[chosen]
                over = over * self._prior.T[chosen][:, None, :]
            cumulated = over.cumsum(axis=-1)
            at_random = rng.random(cumulated.shape[:2]) * cumulated[..., -1]
            index = (cumulated < at_random[..., None]).sum(axis=-1)
            apart = (self.high - self.low) / (self.fine.shape[1] - 1)
            picked = np.take_along_axis(np.broadcast_to(self.fine, over.shape), index[..., None], axis=-1)[..., 0]
            spread = picked + apart * (rng.random(picked.shape) - 0.5)
            local[at] = np.clip(spread, self.low, self.high)
            if drawn is not None:
                for one, k in zip(at, copies[at] - first, strict=True):
                    drawn[:, one] = self._between(amounts, k, local[one]).draw(rng)
        return local, width, self._drawn_amounts(shared, local, rng) if drawn is None else drawn

    def _drawn_amounts(self, shared: FloatArray, local: FloatArray | None, rng: np.random.Generator) -> FloatArray:
        """Draw amounts (K, W, L) where the patterns' own parameters are."""
        parts = self.parts(len(shared))
        return np.concatenate([self.amounts(shared, local, at).draw(rng)[..., 0] for at in parts], axis=1)

    def _between(self, amounts: Amounts, draw: int, local: FloatArray) -> Amounts:
        """Return the distribution of the amounts of one draw between the places at which it is known."""
        share = self.spline((local - self.low) / (self.high - self.low))
        best = np.einsum("klp,lp->kl", amounts.best[:, draw], share)
        return Amounts(best, np.einsum("iklp,lp->ikl", amounts.factor[:, :, draw], share), amounts.bounded)
