"""Fit a series of patterns, or many independent series side by side.

This is the entrance of the fit engine: data in, declared parameters in, a result with the full covariance out.

>>> model = PatternModel([Component("BO"), Component("TMOB")], active="shirley")
>>> parameters = model.make_parameters()
>>> parameters["TMOB_fwhm"].set(expr="BO_fwhm")
>>> fit = fit_series(model, parameters, Series(x, counts, variable=etch_time), scopes={"shift": "per_pattern"})
>>> fit.value("TMOB_area"), fit.sigma("TMOB_area")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.errors import FitError
from layerscope.fitting.basis import BasisModel
from layerscope.fitting.covariance import SeriesCovariance, series_covariance
from layerscope.fitting.layout import Layout, Scope
from layerscope.fitting.measured import Prepared, Series, prepare
from layerscope.fitting.parameters import Parameters
from layerscope.fitting.result import BatchFit, SeriesFit, Setup
from layerscope.fitting.solver import Patterns, RowEvaluator, Solution, Tolerances
from layerscope.fitting.weighting import Weights, solve

__all__ = ["Series", "Weights", "fit_batch", "fit_series", "fit_setup", "lowest_chi2"]

FloatArray = NDArray[np.float64]

#: Start dampings that are tried in turn while a result is not determined by the data or has not converged.
RESCUE_DAMPINGS = (1e-2, 1e-6, 1.0)
ALIKE = 10.0  # rise of the misfit, in units of the noise, for which a sound result takes the place of a doubtful one


def fit_series(
    model: BasisModel,
    parameters: Parameters,
    series: Series,
    *,
    scopes: Mapping[str, Scope] | None = None,
    starts: Mapping[str, ArrayLike] | None = None,
    weights: Weights = "poisson",
    nonnegative: bool = False,
    tolerances: Tolerances | None = None,
) -> SeriesFit:
    """Fit one series of patterns jointly.

    Parameters
    ----------
    model : BasisModel
        For spectra a `PatternModel`.
    parameters : Parameters
        Value, bounds, ``vary`` and ``expr`` of every nonlinear parameter, per pattern.
    series : Series
    scopes : mapping of str to Scope, optional
        ``"shared"`` (default), ``"per_pattern"`` or `Smooth` for each free parameter.
    starts : mapping of str to array-like, shape (L,), optional
        Start values pattern by pattern; of several series, `fit_batch`, also of shape (G, L).
    weights : {"poisson", "given", "none"}
        Poisson: the variance of a point is the model's expected counts, iterated to self-consistency, which makes the
        estimate the maximum-likelihood one. Given: ``series.variance``. None: equal and unknown.
    nonnegative : bool
        Keep amounts at or above zero. The covariance is that of the unbounded estimate either way.
    tolerances : Tolerances, optional

    Returns
    -------
    SeriesFit

    Raises
    ------
    FitError
        If the problem cannot be posed, or the model is not finite at the start.
    """
    if np.ndim(series.y) > 2:
        raise FitError(f"intensities of shape {np.shape(series.y)} are not one series", hint="fit_batch takes several")
    asked = (scopes or {}, starts or {}, weights, nonnegative, tolerances or Tolerances())
    return fit_setup(Setup(model, parameters, series, *asked))[0]


def fit_batch(
    model: BasisModel,
    parameters: Parameters,
    series: Series,
    *,
    scopes: Mapping[str, Scope] | None = None,
    starts: Mapping[str, ArrayLike] | None = None,
    weights: Weights = "poisson",
    nonnegative: bool = False,
    tolerances: Tolerances | None = None,
) -> BatchFit:
    """Fit G independent series of the same layout side by side; ``series.y`` has the shape (G, L, n).

    Parameters are as for `fit_series`. A single spectrum is a series of one pattern, so G spectra on one axis are
    ``Series(x, y[:, None, :])``.
    """
    if np.ndim(series.y) != 3:
        raise FitError(f"a batch needs intensities of shape (G, L, n), not {np.shape(series.y)}")
    asked = (scopes or {}, starts or {}, weights, nonnegative, tolerances or Tolerances())
    return fit_setup(Setup(model, parameters, series, *asked))


def fit_setup(setup: Setup) -> BatchFit:
    """Fit what a setup asks for: one series, or several side by side if its intensities have three axes."""
    if setup.weights == "given" and setup.series.variance is None:
        raise FitError("weights='given' needs a variance")
    data = prepare(setup.series)
    evaluator = _posed(setup, data)
    with np.errstate(all="ignore"):  # numbers of a fit that runs away may overflow: its flags say so, not a warning
        return BatchFit.build(setup, evaluator, data, *_solved(setup, evaluator, data))


def lowest_chi2(setup: Setup) -> FloatArray:
    """Return the chi2 of each series at its minimum, shape (G,), without errors: for comparing many simulations."""
    data = prepare(setup.series)
    evaluator = _posed(setup, data)
    shared, local = _started(setup, evaluator.layout, data.y.shape[0])
    with np.errstate(all="ignore"):
        _, solution = solve(evaluator, data, shared, local, setup.weights, setup.tolerances)
    return np.asarray(solution.chi2.sum(axis=1))


def _posed(setup: Setup, data: Prepared) -> RowEvaluator:
    """Return the model with its parameters laid out over the patterns."""
    model = setup.model
    layout = Layout(
        setup.parameters,
        tuple(model.nonlinear_names),
        data.y.shape[1],
        scopes=setup.scopes,
        variable=data.variable,
        starts={name: values[0] if values.ndim > 1 else values for name, values in _as_arrays(setup.starts).items()},
    )
    bounded = np.array([*model.nonnegative, *(False,) * len(data.column_names)])
    evaluator = RowEvaluator(model, layout, bounded if setup.nonnegative else None, data.column_names, data.prior_names)
    for name in data.prior_names:
        if name not in (*evaluator.names, *evaluator.linear_names):
            raise FitError(f"a prior names '{name}', which the model does not have")
    return evaluator


def _as_arrays(starts: Mapping[str, ArrayLike]) -> dict[str, FloatArray]:
    return {name: np.asarray(values, float) for name, values in starts.items()}


def _started(setup: Setup, layout: Layout, groups: int) -> tuple[FloatArray, FloatArray]:
    """Return where each of the series starts: shared part (G, S) and local part (G, L, T)."""
    shared, local = (np.repeat(part[None], groups, axis=0) for part in layout.start())
    own = {name: values for name, values in _as_arrays(setup.starts).items() if values.ndim > 1}
    for v, base in enumerate(layout.shared):
        if base.name in own and layout.is_plain:
            shared[:, v] = np.clip(own[base.name].mean(axis=1), base.low, base.high)
    for t, base in enumerate(layout.local):
        if base.name in own:
            local[..., t] = np.clip(own[base.name], base.low, base.high)
    return shared, local


def _solved(setup: Setup, evaluator: RowEvaluator, data: Prepared) -> tuple[Patterns, Solution, SeriesCovariance]:
    """Solve, and try series that are not determined or have not converged again with other dampings."""
    weights = setup.weights
    shared, local = _started(setup, evaluator.layout, data.y.shape[0])
    patterns, solution = solve(evaluator, data, shared, local, weights, setup.tolerances)
    covariance = series_covariance(evaluator, patterns, solution)
    for damping in RESCUE_DAMPINGS if setup.tolerances.retries else ():
        poor = np.flatnonzero(covariance.undetermined | ~solution.converged)
        if poor.size == 0:
            break
        part = data.groups(poor)
        again_patterns, again = solve(evaluator, part, shared[poor], local[poor], weights, setup.tolerances, damping)
        again_covariance = series_covariance(evaluator, again_patterns, again)
        before, after = solution.chi2[poor].sum(axis=1), again.chi2.sum(axis=1)
        sound = again.converged & ~again_covariance.undetermined
        # sound, but far above a misfit that was seen before, is another minimum and not what was looked for
        sound &= after <= before * (1.0 + ALIKE / np.maximum(part.use.sum(axis=(1, 2)), ALIKE))
        better = sound | (after < before * (1 - 1e-9))
        _adopt((patterns, solution, covariance), (again_patterns, again, again_covariance), poor, better)
    return patterns, replace(solution, normal=None), covariance


def _adopt(
    now: tuple[Patterns, Solution, SeriesCovariance],
    again: tuple[Patterns, Solution, SeriesCovariance],
    poor: NDArray[np.intp],
    better: NDArray[np.bool_],
) -> None:
    """Put better results in place."""
    patterns, solution, covariance = now
    again_patterns, again_solution, again_covariance = again
    into, n_patterns = poor[better], solution.local.shape[1]
    for name in ("shared", "local", "coefficients", "chi2", "iterations", "converged"):
        getattr(solution, name)[into] = getattr(again_solution, name)[better]
    for name in type(covariance).__dataclass_fields__:
        getattr(covariance, name)[into] = getattr(again_covariance, name)[better]
    target = (into[:, None] * n_patterns + np.arange(n_patterns)).ravel()
    source = (np.flatnonzero(better)[:, None] * n_patterns + np.arange(n_patterns)).ravel()
    patterns.root_weight[target] = again_patterns.root_weight[source]
