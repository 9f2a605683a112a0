"""Errors beyond the covariance: parametric bootstrap and profile likelihood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from layerscope.errors import FitError
from layerscope.fitting.result import BatchFit, SeriesFit
from layerscope.fitting.series import fit_batch, fit_series

__all__ = ["Bootstrap", "Profile", "bootstrap", "profile_likelihood"]

FloatArray = NDArray[np.float64]

PIN = 1e-5  # a pinned parameter's prior, in units of its standard error
REACH = 30.0  # how far a profile is followed, in standard errors


@dataclass(frozen=True)
class Bootstrap:
    """Refits of simulated repetitions of a measurement.

    Attributes
    ----------
    fits : BatchFit
        The R replicates.
    """

    fits: BatchFit

    def sigma(self, name: str) -> FloatArray:
        """Return the standard deviation of a parameter over the replicates, shape (L,)."""
        return np.asarray(self._good(self.fits.value(name)).std(axis=0, ddof=1))

    def interval(self, name: str, confidence: float = 0.68) -> tuple[FloatArray, FloatArray]:
        """Return the percentile interval of a parameter, each end of shape (L,)."""
        tail = 50.0 * (1.0 - confidence)
        low, high = np.percentile(self._good(self.fits.value(name)), [tail, 100.0 - tail], axis=0)
        return low, high

    def _good(self, values: FloatArray) -> FloatArray:
        good = self.fits.converged
        if good.sum() < 10:
            raise FitError(f"only {int(good.sum())} of {good.size} bootstrap replicates converged")
        return np.asarray(values[good])


def bootstrap(fit: SeriesFit, *, replicates: int = 200, seed: int = 0) -> Bootstrap:
    """Repeat a measurement on the computer and fit every repetition.

    Counts are drawn from the fitted curve (Poisson), or the curve plus Gaussian noise of the weights' size; priors are
    drawn again too. Replicates start from the fit's own start values.

    Parameters
    ----------
    fit : SeriesFit
    replicates : int
    seed : int
        The same seed gives the same replicates.

    References
    ----------
    Efron, B. & Tibshirani, R. (1993). An Introduction to the Bootstrap. Chapman & Hall.
    """
    if replicates < 10:
        raise FitError("a bootstrap needs at least 10 replicates")
    setup, data = fit.batch.setup, fit.batch.data
    rng = np.random.default_rng(seed)
    shape = (replicates, *fit.expected.shape)
    if setup.weights == "poisson":
        exposure = data.exposure[fit.group]
        y = rng.poisson(np.broadcast_to(np.maximum(fit.expected * exposure, 0.0), shape)) / exposure
    else:
        weight = fit.root_weight
        with np.errstate(divide="ignore"):
            sigma = np.where(weight > 0, 1.0 / weight, 0.0)
        if setup.weights == "none":
            sigma = sigma * np.sqrt(fit.redchi)
        y = fit.expected + sigma * rng.standard_normal(shape)
    series = replace(
        setup.series,
        x=fit.x,
        y=y,
        variance=None if data.variance is None else data.variance[fit.group],
        use=data.use[fit.group],
        offset=data.offset[fit.group],
        columns=None
        if data.columns is None
        else {name: data.columns[fit.group, :, i] for i, name in enumerate(data.column_names)},
        priors=_redrawn(fit, replicates, rng),
    )
    fits = fit_batch(
        setup.model,
        setup.parameters,
        series,
        scopes=setup.scopes,
        starts=setup.starts,
        weights=setup.weights,
        nonnegative=setup.nonnegative,
        scale_covariance=setup.scale_covariance,
        tolerances=setup.tolerances,
    )
    return Bootstrap(fits)


def _redrawn(
    fit: SeriesFit, replicates: int, rng: np.random.Generator
) -> dict[str, tuple[FloatArray, FloatArray]] | None:
    """Draw what the priors would have measured, had the fitted values been true."""
    data = fit.batch.data
    if data.prior_root_weight is None:
        return None
    drawn = {}
    for k, name in enumerate(data.prior_names):
        root = data.prior_root_weight[fit.group, :, k]
        with np.errstate(divide="ignore"):
            sigma = np.where(root > 0, 1.0 / root, np.inf)
        noise = rng.standard_normal((replicates, fit.n_patterns)) * np.where(root > 0, sigma, 0.0)
        drawn[name] = (fit.value(name) + noise, sigma)
    return drawn


@dataclass(frozen=True)
class Profile:
    """Misfit along one parameter, all others refitted.

    Attributes
    ----------
    name : str
    pattern : int
    value : float
        Estimate.
    low, high : float
        Interval; infinite where the misfit never rises enough.
    confidence : float
    curve : ndarray, shape (K, 2)
        Values tried and the rise of the misfit there, in order.
    """

    name: str
    pattern: int
    value: float
    low: float
    high: float
    confidence: float
    curve: FloatArray


def profile_likelihood(fit: SeriesFit, name: str, *, pattern: int = 0, confidence: float = 0.68) -> Profile:
    """Return the profile-likelihood interval of one parameter or amount.

    The parameter is pinned to a value and everything else is refitted; the interval holds the values whose misfit rises
    by no more than the quantile of chi2 with one degree of freedom.

    Parameters
    ----------
    fit : SeriesFit
    name : str
        A model parameter (shared or per pattern) or an amount.
    pattern : int
        Which pattern, if the parameter differs between them.
    confidence : float

    Raises
    ------
    FitError
        If the parameter is fixed or unknown.

    References
    ----------
    Venzon, D. J. & Moolgavkar, S. H. (1988). Appl. Stat. 37, 87-94. doi:10.2307/2347496
    """
    value, sigma = float(fit.value(name)[pattern]), float(fit.sigma(name)[pattern])
    if not sigma > 0:
        raise FitError(f"'{name}' is fixed: it has no profile")
    threshold = float(stats.chi2.ppf(confidence, 1))
    scale = fit.redchi if fit.batch.scaled else 1.0
    tried: dict[float, float] = {value: 0.0}

    def rise(at: float) -> float:
        if at not in tried:
            tried[at] = (_pinned(fit, name, pattern, at, sigma) - fit.misfit) / scale
        return tried[at]

    low, high = _limits(fit, name)
    ends = [_follow(rise, value, step * sigma, threshold, low, high) for step in (-1.0, 1.0)]
    curve = np.array(sorted(tried.items()))
    return Profile(name, pattern, value, ends[0], ends[1], confidence, curve)


def _limits(fit: SeriesFit, name: str) -> tuple[float, float]:
    parameters = fit.batch.setup.parameters
    if name in parameters:
        return float(parameters[name].min), float(parameters[name].max)
    return (0.0, np.inf) if fit.batch.setup.nonnegative else (-np.inf, np.inf)


def _pinned(fit: SeriesFit, name: str, pattern: int, at: float, sigma: float) -> float:
    """Return the misfit with a parameter held at a value in one pattern (in all, if it is shared)."""
    setup = fit.batch.setup
    spread = np.full(fit.n_patterns, np.inf)
    spread[pattern] = PIN * sigma
    layout = fit.batch.evaluator.layout
    starts = {base.name: fit.value(base.name) for base in (*layout.shared, *layout.local)}
    priors = dict(setup.series.priors or {})
    if name in priors:
        raise FitError(f"'{name}' has a prior: its profile is not defined by the data alone")
    priors[name] = (at, spread)
    again = fit_series(
        setup.model,
        setup.parameters,
        replace(setup.series, priors=priors),
        scopes=setup.scopes,
        starts={**setup.starts, **starts},
        weights=setup.weights,
        nonnegative=setup.nonnegative,
        scale_covariance=False,
        tolerances=setup.tolerances,
    )
    return again.misfit


def _follow(
    rise: Callable[[float], float], value: float, step: float, threshold: float, low: float, high: float
) -> float:
    """Walk outwards until the misfit has risen enough, then close in on the crossing."""
    inner, outer = value, value
    for _ in range(12):
        outer = float(np.clip(outer + step, low, high))
        if rise(outer) >= threshold:
            return float(optimize.brentq(lambda v: rise(float(v)) - threshold, inner, outer, xtol=1e-3 * abs(step)))
        if outer in (low, high):
            return outer
        inner, step = outer, 1.5 * step
        if abs(outer - value) > REACH * abs(step):
            break
    return float(np.copysign(np.inf, step))
