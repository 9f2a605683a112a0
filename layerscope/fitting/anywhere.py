"""Fit from wherever the lines may be: the declared start and the best places of a scan, the lowest minimum kept.

A scan (`layerscope.fitting.start`) tells where lines may be; a few steps from each place, side by side, tell which of
them are worth a fit; the fits tell the minimum, and what else lies within reach of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.errors import FitError
from layerscope.fitting.layout import Layout, Scope
from layerscope.fitting.measured import Series, prepare
from layerscope.fitting.model import SHIFT, PatternModel
from layerscope.fitting.rows import RowEvaluator
from layerscope.fitting.series_fit import SeriesFit
from layerscope.fitting.solver import Tolerances
from layerscope.fitting.start import scan_starts, smoothed_variance
from layerscope.fitting.weighting import solve

if TYPE_CHECKING:
    import lmfit

__all__ = ["Found", "fit_from_anywhere", "race"]

FloatArray = NDArray[np.float64]
Values = Mapping[str, ArrayLike]

STEPS = 8  # of the short fits that compare starts
FINALISTS = 3  # starts that are fitted to the end
ROUNDS = 3  # scans with the shape that the fit before found
GAIN = 0.1  # of chi2 below which another minimum is the same
WITHIN_REACH = 4.0  # of chi2 above the best: two sigma of one parameter


@dataclass(frozen=True)
class Found:
    """The best fit from all starts, and other minima within reach.

    Attributes
    ----------
    fit : SeriesFit
    others : tuple of SeriesFit
        Minima whose chi2 lies at most `WITHIN_REACH` above the best, each elsewhere.
    """

    fit: SeriesFit
    others: tuple[SeriesFit, ...] = ()


def race(
    model: PatternModel,
    parameters: lmfit.Parameters,
    series: Series,
    starts: Sequence[Values],
    scopes: Mapping[str, Scope] | None = None,
) -> list[dict[str, FloatArray]]:
    """Take a few steps from every start side by side, with amounts at or above zero and the same weights for all.

    Parameters
    ----------
    model : PatternModel
    parameters : lmfit.Parameters
    series : Series
    starts : sequence of mapping of str to array-like, shape (L,)
        Values of nonlinear parameters; the others start where they are declared.
    scopes : mapping of str to Scope, optional

    Returns
    -------
    list of dict of ndarray, shape (L,)
        Where the free parameters of each start arrived, the lowest chi2 first.
    """
    data = prepare(series)
    given = data if data.variance is not None else replace(data, variance=smoothed_variance(data))
    copies = given.groups(np.zeros(len(starts), np.intp))
    names, patterns = tuple(model.nonlinear_names), data.y.shape[1]

    def layout(start: Values) -> Layout:
        values = {name: np.asarray(value, float) for name, value in start.items()}
        return Layout(parameters, names, patterns, scopes=scopes, variable=data.variable, starts=values)

    layouts = [layout(start) for start in starts]
    bounded = np.array([*model.nonnegative, *(False,) * len(data.column_names)])
    evaluator = RowEvaluator(model, layouts[0], bounded, data.column_names, data.prior_names)
    shared, local = (np.stack(parts) for parts in zip(*(each.start() for each in layouts), strict=True))
    _, solution = solve(evaluator, copies, shared, local, "given", Tolerances(max_iterations=STEPS))
    values, _ = layouts[0].local_values(solution.shared, solution.local)
    chi2 = np.where(np.isfinite(solution.chi2), solution.chi2, np.inf).sum(axis=1)
    return [{name: values[name][g] for name in layouts[0].free_names} for g in np.argsort(chi2, kind="stable")]


def fit_from_anywhere(
    model: PatternModel,
    parameters: lmfit.Parameters,
    series: Series,
    fit: Callable[[Values], SeriesFit],
    *,
    scopes: Mapping[str, Scope] | None = None,
    reach: float = 0.0,
) -> Found:
    """Fit from the declared start and from the best of all places, again with the shape found while chi2 falls.

    Parameters
    ----------
    model : PatternModel
    parameters : lmfit.Parameters
    series : Series
    fit : callable
        Makes the fit from given start values, ``fit({"a_center": ..., ...})``.
    scopes : mapping of str to Scope, optional
        As in `fit`.
    reach : float, optional
        How far all lines that shift may have shifted together.

    Returns
    -------
    Found

    Raises
    ------
    FitError
        If no start can be fitted; the error of the declared start.
    """
    ends: list[SeriesFit] = []
    first: list[Values] = [{}]
    shape, lowest = parameters, np.inf
    for _ in range(ROUNDS):
        scanned = [start.values for start in scan_starts(model, shape, series, reach=reach)]
        finalists = race(model, shape, series, [{}, *scanned], scopes)[:FINALISTS]
        ends += _ends(fit, [*first, *_apart(finalists)])
        best = min(ends, key=lambda end: end.chi2)
        if not best.chi2 < lowest - GAIN:
            break
        first, lowest, shape = [], best.chi2, _with_shape(parameters, best)
    best = min(ends, key=lambda end: end.chi2)
    others: list[SeriesFit] = []
    for end in sorted(ends, key=lambda end: end.chi2):
        if end.chi2 <= best.chi2 + WITHIN_REACH and all(_elsewhere(end, other) for other in (best, *others)):
            others.append(end)
    return Found(best, tuple(others))


def _ends(fit: Callable[[Values], SeriesFit], starts: Sequence[Values]) -> list[SeriesFit]:
    ends, errors = [], []
    for start in starts:
        try:
            ends.append(fit(start))
        except FitError as error:
            errors.append(error)
    if not ends:
        raise errors[0]
    return ends


def _apart(finalists: list[dict[str, FloatArray]]) -> list[dict[str, FloatArray]]:
    """Leave out what arrived where a better one did."""
    kept: list[dict[str, FloatArray]] = []
    for end in finalists:
        if not any(all(np.allclose(end[n], other[n], rtol=1e-3, atol=1e-3) for n in end) for other in kept):
            kept.append(end)
    return kept


def _with_shape(parameters: lmfit.Parameters, fit: SeriesFit) -> lmfit.Parameters:
    """Return a copy of the parameters that starts with the widths, shapes and background of a fit."""
    copy = parameters.copy()
    for name in fit.names:
        if name in copy and copy[name].vary and not copy[name].expr and not name.endswith("_center") and name != SHIFT:
            copy[name].set(value=float(np.clip(np.mean(fit.value(name)), copy[name].min, copy[name].max)))
    return copy


def _elsewhere(fit: SeriesFit, other: SeriesFit) -> bool:
    """Tell whether a position or the shift of two fits differs by more than its error."""
    for name in fit.names:
        if name.endswith("_center") or name == SHIFT:
            sigma = np.maximum(np.minimum(fit.sigma(name), other.sigma(name)), 1e-12)
            if (np.abs(fit.value(name) - other.value(name)) > sigma).any():
                return True
    return False
