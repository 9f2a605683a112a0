"""Fit from wherever the lines may be: the declared start and the best places of a scan, the lowest minimum kept.

A scan (`layerscope.fitting.start`) tells where lines may be; a few steps from each place, side by side, tell which of
them are worth going to the end; only what arrives lowest, or within reach of that, is fitted with its errors.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.errors import FitError
from layerscope.fitting.layout import Layout, Scope
from layerscope.fitting.measured import Series, prepare
from layerscope.fitting.model import SHIFT, PatternModel
from layerscope.fitting.parameters import Parameters
from layerscope.fitting.rows import RowEvaluator
from layerscope.fitting.series_fit import SeriesFit
from layerscope.fitting.solver import Tolerances
from layerscope.fitting.start import WIDTHS, scan_starts, smoothed_variance
from layerscope.fitting.weighting import solve
from layerscope.flags import threshold

__all__ = ["WITHIN_REACH", "Arrival", "Found", "elsewhere", "fit_from_anywhere", "race"]

FloatArray = NDArray[np.float64]
Values = Mapping[str, ArrayLike]

STEPS = 8  # of the first heat, which compares all starts
FINALISTS = 3  # starts that go to the end
TO_THE_END = Tolerances(reduction=1e-6, step=1e-4, max_iterations=80)  # a chi2 to a hundredth ranks minima
ROUNDS = 3  # scans with the shape that the round before found
GAIN = 0.1  # of chi2 below which another minimum is the same
MOST_PATTERNS = 200  # among which starts are sought: more of them tell the places of lines no better
WITHIN_REACH = threshold("OTHER_MINIMUM")  # of chi2 above the best: two sigma of one parameter


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


@dataclass(frozen=True)
class Arrival:
    """Where a start of a race arrived.

    Attributes
    ----------
    chi2 : float
        Of all patterns, with the weights of the race.
    values : dict of ndarray, shape (L,)
        The free parameters.
    """

    chi2: float
    values: dict[str, FloatArray]


def race(
    model: PatternModel,
    parameters: Parameters,
    series: Series,
    starts: Sequence[Values],
    scopes: Mapping[str, Scope] | None = None,
    tolerances: Tolerances | None = None,
) -> list[Arrival]:
    """Take steps from every start side by side, with amounts at or above zero and the same weights for all.

    Parameters
    ----------
    model : PatternModel
    parameters : Parameters
    series : Series
    starts : sequence of mapping of str to array-like, shape (L,)
        Values of nonlinear parameters; the others start where they are declared.
    scopes : mapping of str to Scope, optional
    tolerances : Tolerances, optional
        When a start has arrived; by default after a few steps.

    Returns
    -------
    list of Arrival
        The lowest chi2 first.
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
    _, solution = solve(evaluator, copies, shared, local, "given", tolerances or Tolerances(max_iterations=STEPS))
    values, _ = layouts[0].local_values(solution.shared, solution.local)
    chi2 = np.where(np.isfinite(solution.chi2), solution.chi2, np.inf).sum(axis=1)
    order = np.argsort(chi2, kind="stable")
    return [Arrival(float(chi2[g]), {name: values[name][g] for name in layouts[0].free_names}) for g in order]


def fit_from_anywhere(
    model: PatternModel,
    parameters: Parameters,
    series: Series,
    fit: Callable[[Values], SeriesFit],
    *,
    scopes: Mapping[str, Scope] | None = None,
    reach: float = 0.0,
) -> Found:
    """Fit from the best of all places and of the declared start, sought again with the shape found while chi2 falls.

    Of many patterns, starts are sought in some that lie evenly among them; those between start where these lead to.

    Parameters
    ----------
    model : PatternModel
    parameters : Parameters
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
    arrived: list[Arrival] = []
    shape, lowest = parameters, np.inf
    whole = len(np.atleast_2d(np.asarray(series.y)))
    rows = np.unique(np.linspace(0, whole - 1, min(whole, MOST_PATTERNS)).astype(np.intp))
    series = series if rows.size == whole else series.only(rows)
    for number in range(ROUNDS):
        scanned = scan_starts(model, shape, series, reach=reach, widths=(1.0,) if number else WIDTHS)
        heat = race(model, shape, series, [{}, *(start.values for start in scanned)], scopes)
        declared: list[Values] = [] if number else [{}]
        finalists = [end.values for end in _apart(heat[:FINALISTS])]
        arrived += race(model, parameters, series, [*declared, *finalists], scopes, TO_THE_END)
        arrived.sort(key=lambda end: end.chi2)
        if not arrived[0].chi2 < lowest - GAIN:
            break
        lowest, shape = arrived[0].chi2, _with_shape(parameters, arrived[0])
    near = [end for end in arrived if end.chi2 <= 2.0 * WITHIN_REACH + arrived[0].chi2]
    best_starts = [_between(end.values, rows, whole) for end in _apart(near)[:FINALISTS]]
    ends = sorted(_ends(fit, best_starts), key=lambda end: end.chi2)
    lowest = ends[0].chi2
    best = min((end for end in ends if end.chi2 <= lowest + GAIN), key=lambda end: _disorder(end, parameters))
    others: list[SeriesFit] = []
    for end in ends:
        if end.chi2 <= lowest + WITHIN_REACH and all(elsewhere(end, other) for other in (best, *others)):
            others.append(end)
    return Found(best, tuple(end for end in others if not _renamed(end, best)))


def _between(values: Values, rows: NDArray[np.intp], whole: int) -> Values:
    """Return values of all patterns from those of some of them."""
    if rows.size == whole:
        return values
    return {name: np.interp(np.arange(whole), rows, np.asarray(value, float)) for name, value in values.items()}


def _ends(fit: Callable[[Values], SeriesFit], starts: Sequence[Values]) -> list[SeriesFit]:
    """Fit from every start, from the declared one where none of them can be fitted."""
    ends = []
    for start in starts:
        with suppress(FitError):
            ends.append(fit(start))
    return ends or [fit({})]


def _apart(ends: Sequence[Arrival]) -> list[Arrival]:
    """Leave out what arrived where a better one did."""
    kept: list[Arrival] = []
    for end in ends:
        if not any(_same(end.values, other.values) for other in kept):
            kept.append(end)
    return kept


def _same(one: Mapping[str, FloatArray], other: Mapping[str, FloatArray]) -> bool:
    return all(np.allclose(one[name], other[name], rtol=1e-3, atol=1e-3) for name in one)


def _with_shape(parameters: Parameters, end: Arrival) -> Parameters:
    """Return a copy of the parameters that starts with the widths, shapes and background found."""
    copy = parameters.copy()
    for name, values in end.values.items():
        if not copy[name].expr and not name.endswith("_center") and name != SHIFT:
            copy[name].set(value=float(np.clip(np.mean(values), copy[name].min, copy[name].max)))
    return copy


def _places(fit: SeriesFit) -> dict[str, float]:
    """Return the mean place of every line."""
    return {name: float(np.mean(fit.value(name))) for name in fit.names if name.endswith("_center")}


def _disorder(fit: SeriesFit, parameters: Parameters) -> int:
    """Return how many pairs of lines stand the other way round than where they start."""
    places = _places(fit)
    pairs = itertools.combinations(places, 2)
    return sum((places[a] - places[b]) * (parameters[a].value - parameters[b].value) < 0 for a, b in pairs)


def _renamed(fit: SeriesFit, other: SeriesFit) -> bool:
    """Tell whether two fits are one, of which lines have changed their names."""
    one, two = (np.sort(list(_places(each).values())) for each in (fit, other))
    return abs(fit.chi2 - other.chi2) < GAIN and np.allclose(one, two, atol=1e-2)


def elsewhere(fit: SeriesFit, other: SeriesFit) -> bool:
    """Tell whether a position or the shift of two fits differs by more than its error."""
    for name in fit.names:
        if name.endswith("_center") or name == SHIFT:
            sigma = np.maximum(np.minimum(fit.sigma(name), other.sigma(name)), 1e-12)
            if (np.abs(fit.value(name) - other.value(name)) > sigma).any():
                return True
    return False
