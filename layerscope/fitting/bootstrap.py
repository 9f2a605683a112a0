"""Errors from repetitions: simulate the measurement anew from the fit, fit every repetition, look at the scatter.

Where the misfit is no parabola within a standard error (weak or overlapping lines, parameters near a bound), the
scatter of such repetitions says what the covariance, its curvature at the minimum, does not.

References
----------
Efron, B. & Tibshirani, R. (1993). An Introduction to the Bootstrap. Chapman & Hall.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import FitError
from layerscope.fitting.covariance import LevelCovariance
from layerscope.fitting.result import BatchFit, Setup
from layerscope.fitting.series import fit_setup
from layerscope.fitting.series_fit import CONFIDENCE_68, SeriesFit

__all__ = ["VALUES_AT_ONCE", "BootstrappedFit", "bootstrap", "draw", "known_priors", "measured_again", "refitted"]

FloatArray = NDArray[np.float64]

VALUES_AT_ONCE = 4_000_000  # points of repetitions that are in memory together
_CENTRAL = (50.0 * (1.0 - CONFIDENCE_68), 50.0 * (1.0 + CONFIDENCE_68))
LEAST_SHARE = 0.5  # of the repetitions that must converge for their scatter to mean anything


@dataclass(frozen=True)
class BootstrappedFit(SeriesFit):
    """A fit whose errors are the scatter of its repetitions.

    An error is half the width of the interval that holds the middle 68.27 % of the repetitions: a few that went astray
    do not make it. How errors go together is left to the covariance, because a few hundred repetitions cannot tell the
    correlations of thousands of numbers.

    Attributes
    ----------
    draws : mapping of str to ndarray, shape (R, L)
        Every parameter and amount, repetition by repetition.
    """

    draws: Mapping[str, FloatArray]

    @property
    def sigma_kind(self) -> Literal["bootstrap"]:
        """Where the errors come from."""
        return "bootstrap"

    def sigma(self, name: str) -> FloatArray:
        """Return the error of a parameter by the repetitions, shape (L,); 0 if it is held."""
        return np.asarray(super().sigma(name) * self._excess([name])[0])

    def covariance(self, names: Sequence[str]) -> FloatArray:
        """Return the covariance of some parameters between all patterns, shape (K, L, K, L)."""
        excess = self._excess(names)
        return super().covariance(names) * excess[:, :, None, None] * excess

    def covariance_within(self, names: Sequence[str]) -> FloatArray:
        """Return the covariance of some parameters within each pattern, shape (L, K, K)."""
        excess = self._excess(names).T
        return super().covariance_within(names) * excess[:, :, None] * excess[:, None, :]

    def fractions(self, names: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Return each amount over the sum of all, (K, L), with its covariance, (K, L, K, L)."""
        fractions, covariance = SeriesFit(self.batch, self.group).fractions(names)
        excess = self._share_excess(names, np.einsum("klkl->kl", covariance))
        return fractions, covariance * excess[:, :, None, None] * excess

    def fractions_within(self, names: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Return each amount over the sum of all, in every pattern, with its variance, each of shape (K, L)."""
        fractions, variance = super().fractions_within(names)
        return fractions, variance * self._share_excess(names, variance) ** 2

    def share_covariances(self, names: Sequence[str]) -> list[LevelCovariance]:
        """Return the covariance between all patterns of each amount over the sum of all, in its parts, K of them."""
        plain = super().share_covariances(names)
        excess = self._share_excess(names, np.stack([one.variance for one in plain]))
        return [one.times(more) for one, more in zip(plain, excess, strict=True)]

    def parts_of_sum(self, names: Sequence[str], slope: FloatArray) -> LevelCovariance:
        """Return the covariance between all patterns of a sum of parameters, in its two parts."""
        return super().parts_of_sum(names, slope * self._excess(names))

    def _share_excess(self, names: Sequence[str], variance: FloatArray) -> FloatArray:
        """Return the errors of shares by the repetitions in units of those by the covariance, shape (K, L)."""
        amounts = np.stack([self.draws[name] for name in names])
        with np.errstate(all="ignore"):
            return self._ratio(amounts / amounts.sum(axis=0), np.sqrt(variance))

    def _excess(self, names: Sequence[str]) -> FloatArray:
        """Return the errors by the repetitions in units of those by the covariance, shape (K, L)."""
        plain = np.stack([self.batch.sigma(name)[self.group] for name in names])
        return self._ratio(np.stack([self.draws[name] for name in names]), plain)

    def _ratio(self, drawn: FloatArray, sigma: FloatArray) -> FloatArray:
        # counts are drawn with their own noise; where that is known but for a factor, the scatter is too
        factor = np.sqrt(self.redchi) if self.batch.scaled and self.batch.weights != "none" else 1.0
        low, high = np.percentile(drawn, _CENTRAL, axis=1)
        spread = 0.5 * factor * (high - low)
        usable = (sigma > 0) & np.isfinite(spread)
        return np.where(usable, spread / np.where(usable, sigma, 1.0), 1.0)


def bootstrap(fit: SeriesFit, *, draws: int = 200, seed: int = 0) -> BootstrappedFit:
    """Repeat a measurement on the computer and fit every repetition.

    Counts are drawn from the fitted curve (Poisson), or the curve plus Gaussian noise of the weights' size; priors are
    drawn again too. Every repetition starts from the fit.

    Parameters
    ----------
    fit : SeriesFit
    draws : int
        Repetitions; 200 know an error to 7 %.
    seed : int
        The same seed gives the same repetitions.

    Raises
    ------
    FitError
        If fewer than ten repetitions are asked for, or most of them do not converge.
    """
    if draws < 10:
        raise FitError("a bootstrap needs at least 10 repetitions")
    at_once = max(1, VALUES_AT_ONCE // fit.y.size)
    parts = [
        _repetitions(fit, [np.random.default_rng([seed, k]) for k in range(first, min(first + at_once, draws))])
        for first in range(0, draws, at_once)
    ]
    good = np.concatenate([part.converged for part in parts])
    if good.sum() < max(LEAST_SHARE * draws, 10):
        raise FitError(
            f"only {int(good.sum())} of {draws} bootstrap repetitions converged",
            hint='hold what the data do not show, or take errors = "covariance"',
        )
    found = {name: np.concatenate([part.value(name) for part in parts])[good] for name in fit.names}
    return BootstrappedFit(fit.batch, fit.group, found)


def _repetitions(fit: SeriesFit, streams: Sequence[np.random.Generator]) -> BatchFit:
    drawn = [draw(fit, rng) for rng in streams]
    known = known_priors(fit)
    priors = {name: (np.stack([one[name] for _, one in drawn]), sigma) for name, (_, sigma) in known.items()}
    return refitted(fit, np.stack([y for y, _ in drawn]), priors)


def refitted(fit: SeriesFit, y: FloatArray, priors: Mapping[str, tuple[FloatArray, FloatArray]]) -> BatchFit:
    """Fit the model of a fit to other measurements, from where it ended; see `measured_again`."""
    return fit_setup(measured_again(fit, y, priors))


def measured_again(fit: SeriesFit, y: FloatArray, priors: Mapping[str, tuple[FloatArray, FloatArray]]) -> Setup:
    """Return what a fit asked for, asked of other measurements and from where it ended.

    Parameters
    ----------
    fit : SeriesFit
    y : ndarray, shape (G, L, n)
        Intensities, in the order of the fit's axis.
    priors : mapping of str to (value, sigma), each of a shape that broadcasts to (G, L)
        In place of those of the fit.
    """
    setup, data, layout = fit.batch.setup, fit.batch.data, fit.batch.evaluator.layout
    columns = None
    if data.columns is not None:
        columns = {name: data.columns[fit.group, :, i] for i, name in enumerate(data.column_names)}
    series = replace(
        setup.series,
        x=data.x[0] if data.x.shape[0] == 1 else fit.x,
        y=y,
        variance=None if data.variance is None else data.variance[fit.group],
        exposure=data.exposure[fit.group, :, 0],
        use=data.use[fit.group],
        offset=data.offset[fit.group],
        columns=columns,
        priors=priors or None,
    )
    starts = {base.name: fit.value(base.name) for base in (*layout.shared, *layout.local)}
    return replace(setup, series=series, starts={**setup.starts, **starts})


def draw(fit: SeriesFit, rng: np.random.Generator) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Draw intensities and what the priors would have measured, had the fitted values been true."""
    data = fit.batch.data
    if fit.batch.setup.weights == "poisson":
        exposure = data.exposure[fit.group]
        y = rng.poisson(np.maximum(fit.expected * exposure, 0.0)) / exposure
    else:
        sigma = np.sqrt(fit.variance * (fit.redchi if fit.batch.setup.weights == "none" else 1.0))
        y = fit.expected + sigma * rng.standard_normal(fit.y.shape)
    priors = {}
    for name, (_, sigma) in known_priors(fit).items():
        noise = rng.standard_normal(fit.n_patterns) * np.where(np.isfinite(sigma), sigma, 0.0)
        priors[name] = fit.value(name) + noise
    return y, priors


def known_priors(fit: SeriesFit) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Return the priors of a fit: values and errors, each of shape (L,), infinite where nothing is known."""
    data = fit.batch.data
    if data.prior is None or data.prior_root_weight is None:
        return {}
    with np.errstate(divide="ignore"):
        sigma = 1.0 / data.prior_root_weight[fit.group]
    return {name: (data.prior[fit.group, :, k], sigma[:, k]) for k, name in enumerate(data.prior_names)}
