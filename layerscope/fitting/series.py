"""Fit a series of patterns, or many independent series side by side.

This is the entrance of the fit engine: data in, declared parameters in, a result with the full covariance out.

>>> model = PatternModel([Component("BO"), Component("TMOB")], active="shirley")
>>> parameters = model.make_parameters()
>>> parameters["TMOB_fwhm"].set(expr="BO_fwhm")
>>> fit = fit_series(model, parameters, Series(x, counts, variable=etch_time), scopes={"shift": "per_pattern"})
>>> fit.value("TMOB_area"), fit.sigma("TMOB_area")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.errors import FitError
from layerscope.fitting.basis import BasisModel
from layerscope.fitting.covariance import SeriesCovariance, series_covariance
from layerscope.fitting.layout import Layout, Scope
from layerscope.fitting.result import BatchFit, SeriesFit, Setup
from layerscope.fitting.solver import Patterns, RowEvaluator, Solution, Tolerances, evaluate_rows, minimise

if TYPE_CHECKING:
    import lmfit

__all__ = ["Series", "Weights", "fit_batch", "fit_series"]

FloatArray = NDArray[np.float64]
Weights = Literal["poisson", "given", "none"]

#: Counts below which the variance of a point is not lowered further: a point with no counts still says something.
VARIANCE_FLOOR = 0.5
MAX_REWEIGHTINGS = 30
REWEIGHTING_TOLERANCE = 1e-7
#: Start dampings that are tried in turn while a result is not determined by the data or has not converged.
RESCUE_DAMPINGS = (1e-2, 1e-6, 1.0)


@dataclass(frozen=True)
class Series:
    """Patterns that belong together, as measured.

    Parameters
    ----------
    x : array-like, shape (n,), (L, n), or (v, n) for a model of v variables
        Axis; sorted internally, so that the order of points does not matter.
    y : array-like, shape (n,) or (L, n)
        Intensities. For Poisson weights they are counts, or counts divided by `exposure`.
    variable : array-like, shape (L,), optional
        Series variable (etch time, voltage, ...).
    variance : array-like, shape (n,) or (L, n), optional
        Variance of `y`, for ``weights="given"``.
    exposure : float or array-like, shape (L,), optional
        Counts per unit of `y`: 1 for counts, dwell time times scans for counts per second.
    use : array-like of bool, shape (n,) or (L, n), optional
        Points to fit; the rest is left out.
    offset : array-like, shape (n,) or (L, n), optional
        Background determined beforehand: it is part of the counts (and of their noise), not of the model.
    columns : mapping of str to array-like, shape (n,) or (L, n), optional
        Further linear terms whose shape comes from the data (a static background with a free height).
    priors : mapping of str to (value, sigma), optional
        What other measurements say of a model parameter or a coefficient (an area), each a number or of shape (L,); an
        infinite sigma says nothing. A prior enters as one more measured point of its pattern.

    Raises
    ------
    FitError
        If shapes disagree or a value in use is not finite.
    """

    x: ArrayLike
    y: ArrayLike
    variable: ArrayLike | None = None
    variance: ArrayLike | None = None
    exposure: ArrayLike = 1.0
    use: ArrayLike | None = None
    offset: ArrayLike | None = None
    columns: Mapping[str, ArrayLike] | None = None
    priors: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None

    @classmethod
    def from_patterns(
        cls,
        patterns: Sequence[tuple[ArrayLike, ArrayLike]],
        *,
        variable: ArrayLike | None = None,
        exposure: ArrayLike = 1.0,
    ) -> Series:
        """Stack patterns of different lengths; the shorter ones are padded with points that are not used."""
        longest = max(np.asarray(y).size for _, y in patterns)
        x, y = np.empty((len(patterns), longest)), np.zeros((len(patterns), longest))
        use = np.zeros((len(patterns), longest), dtype=bool)
        for i, (px, py) in enumerate(patterns):
            axis, values = np.asarray(px, float), np.asarray(py, float)
            if axis.shape != values.shape or axis.ndim != 1 or axis.size == 0:
                raise FitError(f"pattern {i}: axis {axis.shape} and intensities {values.shape} do not match")
            x[i, : axis.size], x[i, axis.size :] = axis, axis.max()
            y[i, : axis.size], use[i, : axis.size] = values, True
        return cls(x, y, variable=variable, exposure=exposure, use=use)


@dataclass(frozen=True)
class Prepared:
    """Series as arrays: G series of L patterns of n points, the axis ascending.

    Attributes
    ----------
    x : ndarray, shape (1 or G * L, n) or (1, v, n)
    y, variance, offset : ndarray, shape (G, L, n)
    use : ndarray of bool, shape (G, L, n)
    exposure : ndarray, shape (G, L, 1)
    columns : ndarray, shape (G, L, e, n), or None
    """

    x: FloatArray
    y: FloatArray
    variance: FloatArray | None
    offset: FloatArray
    use: NDArray[np.bool_]
    exposure: FloatArray
    columns: FloatArray | None
    column_names: tuple[str, ...]
    variable: FloatArray | None
    prior_names: tuple[str, ...] = ()
    prior: FloatArray | None = None
    prior_root_weight: FloatArray | None = None


def prepare(series: Series, *, groups: int | None = None) -> Prepared:
    """Check a series and bring it into the engine's form.

    Parameters
    ----------
    series : Series
        For G independent series, `y` (and `variance`, `offset`) may have the shape (G, L, n).
    groups : int, optional
        G, when `y` has three axes.
    """
    y = np.asarray(series.y, float)
    shape = (1, *np.atleast_2d(y).shape) if groups is None else y.shape
    if len(shape) != 3 or shape[-1] == 0:
        raise FitError(f"intensities of shape {y.shape} are not a series")
    y = y.reshape(shape)
    n = shape[-1]

    def spread(values: ArrayLike, what: str) -> FloatArray:
        try:
            return np.array(np.broadcast_to(np.asarray(values, float), shape))
        except ValueError as error:
            raise FitError(f"{what} of shape {np.shape(values)} does not fit intensities of shape {shape}") from error

    x = np.asarray(series.x, float)
    if x.shape[-1] != n:
        raise FitError(f"axis of {x.shape[-1]} points for patterns of {n}")
    use = np.ones(shape, bool) if series.use is None else np.array(np.broadcast_to(np.asarray(series.use, bool), shape))
    variance = None if series.variance is None else spread(series.variance, "variance")
    offset = np.zeros(shape) if series.offset is None else spread(series.offset, "offset")
    for name, values in (("axis", x), ("intensity", np.where(use, y, 0.0)), ("offset", np.where(use, offset, 0.0))):
        if not np.isfinite(values).all():
            raise FitError(f"a value of the {name} is not a number", hint="leave such points out with `use`")
    if variance is not None and not (variance[use] > 0).all():
        raise FitError("a variance is not positive")
    exposure = np.asarray(series.exposure, float)
    exposure = np.broadcast_to(exposure[..., None] if exposure.ndim else exposure, (*shape[:2], 1))
    if not (exposure > 0).all():
        raise FitError("the exposure must be positive")
    names = tuple(series.columns or ())
    columns = None
    if series.columns:
        columns = np.stack([spread(v, f"column '{k}'") for k, v in series.columns.items()], axis=2)
    variable = None if series.variable is None else np.asarray(series.variable, float)
    if variable is not None and variable.shape != (shape[1],):
        raise FitError(f"series variable of shape {variable.shape} for {shape[1]} patterns")
    prepared = Prepared(x[None], np.where(use, y, 0.0), variance, offset, use, exposure, columns, names, variable)
    if series.priors:
        centres = [np.broadcast_to(np.asarray(v, float), shape[:2]) for v, _ in series.priors.values()]
        sigmas = [np.broadcast_to(np.asarray(s, float), shape[:2]) for _, s in series.priors.values()]
        if not all((s > 0).all() and np.isfinite(v).all() for v, s in zip(centres, sigmas, strict=True)):
            raise FitError("a prior needs a finite value and a positive sigma", source=", ".join(series.priors))
        prepared = replace(
            prepared,
            prior_names=tuple(series.priors),
            prior=np.stack(centres, axis=-1),
            prior_root_weight=1.0 / np.stack(sigmas, axis=-1),
        )
    return _sorted(prepared, x)


def _sorted(p: Prepared, x: FloatArray) -> Prepared:
    """Sort points by the axis (of one variable); equal axes are kept as a single one."""
    groups, n_patterns, n = p.y.shape
    if x.ndim == 1:
        order = np.argsort(x, kind="stable")
        axis = x[order][None]

        def pick(a: FloatArray) -> FloatArray:
            return np.take(a, order, axis=-1)

    elif x.ndim == 2 and x.shape[0] == n_patterns:
        orders = np.argsort(x, axis=1, kind="stable")
        axis = np.tile(np.take_along_axis(x, orders, axis=1), (groups, 1))

        def pick(a: FloatArray) -> FloatArray:
            index = orders[None, :, None] if a.ndim == 4 else orders[None]
            return np.take_along_axis(a, np.broadcast_to(index, a.shape), axis=-1)

    elif x.ndim == 2:
        return replace(p, x=x[None])
    else:
        raise FitError(f"axis of shape {x.shape} for {n_patterns} patterns of {n} points")
    return replace(
        p,
        x=axis,
        y=pick(p.y),
        variance=None if p.variance is None else pick(p.variance),
        offset=pick(p.offset),
        use=pick(p.use.astype(float)) > 0,
        columns=None if p.columns is None else pick(p.columns),
    )


def fit_series(
    model: BasisModel,
    parameters: lmfit.Parameters,
    series: Series,
    *,
    scopes: Mapping[str, Scope] | None = None,
    starts: Mapping[str, ArrayLike] | None = None,
    weights: Weights = "poisson",
    nonnegative: bool = False,
    scale_covariance: bool | None = None,
    tolerances: Tolerances | None = None,
) -> SeriesFit:
    """Fit one series of patterns jointly.

    Parameters
    ----------
    model : BasisModel
        For spectra a `PatternModel`.
    parameters : lmfit.Parameters
        Value, bounds, ``vary`` and ``expr`` of every nonlinear parameter, per pattern.
    series : Series
    scopes : mapping of str to Scope, optional
        ``"shared"`` (default), ``"per_pattern"`` or `Smooth` for each free parameter.
    starts : mapping of str to array-like, shape (L,), optional
        Start values pattern by pattern.
    weights : {"poisson", "given", "none"}
        Poisson: the variance of a point is the model's expected counts, iterated to self-consistency, which makes the
        estimate the maximum-likelihood one. Given: ``series.variance``. None: equal and unknown.
    nonnegative : bool
        Keep amounts at or above zero. The covariance is that of the unbounded estimate either way.
    scale_covariance : bool, optional
        Multiply the covariance by the reduced chi2; default only for ``weights="none"``.
    tolerances : Tolerances, optional

    Returns
    -------
    SeriesFit

    Raises
    ------
    FitError
        If the problem cannot be posed, or the model is not finite at the start.
    """
    setup = _setup(model, parameters, series, scopes, starts, weights, nonnegative, scale_covariance, tolerances)
    return _fit(setup, prepare(series))[0]


def fit_batch(
    model: BasisModel,
    parameters: lmfit.Parameters,
    series: Series,
    *,
    scopes: Mapping[str, Scope] | None = None,
    starts: Mapping[str, ArrayLike] | None = None,
    weights: Weights = "poisson",
    nonnegative: bool = False,
    scale_covariance: bool | None = None,
    tolerances: Tolerances | None = None,
) -> BatchFit:
    """Fit G independent series of the same layout side by side; ``series.y`` has the shape (G, L, n).

    Parameters are as for `fit_series`. A single spectrum is a series of one pattern, so G spectra on one axis are
    ``Series(x, y[:, None, :])``.
    """
    y = np.asarray(series.y, float)
    if y.ndim != 3:
        raise FitError(f"a batch needs intensities of shape (G, L, n), not {y.shape}")
    setup = _setup(model, parameters, series, scopes, starts, weights, nonnegative, scale_covariance, tolerances)
    return _fit(setup, prepare(series, groups=y.shape[0]))


def _setup(
    model: BasisModel,
    parameters: lmfit.Parameters,
    series: Series,
    scopes: Mapping[str, Scope] | None,
    starts: Mapping[str, ArrayLike] | None,
    weights: Weights,
    nonnegative: bool,
    scale_covariance: bool | None,
    tolerances: Tolerances | None,
) -> Setup:
    if weights == "given" and series.variance is None:
        raise FitError("weights='given' needs a variance")
    first = {k: np.asarray(v, float) for k, v in (starts or {}).items()}
    return Setup(
        model, parameters, series, dict(scopes or {}), first, weights, nonnegative, scale_covariance, tolerances
    )


def _fit(setup: Setup, data: Prepared) -> BatchFit:
    model, weights = setup.model, setup.weights
    layout = Layout(
        setup.parameters,
        tuple(model.nonlinear_names),
        data.y.shape[1],
        scopes=setup.scopes,
        variable=data.variable,
        starts=setup.starts,
    )
    bounded = np.array([*model.nonnegative, *(False,) * len(data.column_names)])
    evaluator = RowEvaluator(model, layout, bounded if setup.nonnegative else None, data.column_names, data.prior_names)
    for name in data.prior_names:
        if name not in (*model.nonlinear_names, *evaluator.linear_names):
            raise FitError(f"a prior names '{name}', which the model does not have")
    first_s, first_l = layout.start()
    groups = data.y.shape[0]
    shared, local = np.tile(first_s, (groups, 1)), np.tile(first_l, (groups, 1, 1))
    tolerances = setup.tolerances or Tolerances()
    patterns, solution = _solve(evaluator, data, shared, local, weights, tolerances)
    covariance = series_covariance(evaluator, patterns, solution)
    for damping in RESCUE_DAMPINGS:
        poor = np.flatnonzero(covariance.undetermined | ~solution.converged)
        if poor.size == 0:
            break
        part = _groups(data, poor)
        again_patterns, again = _solve(evaluator, part, shared[poor], local[poor], weights, tolerances, damping)
        again_covariance = series_covariance(evaluator, again_patterns, again)
        sound = again.converged & ~again_covariance.undetermined
        with np.errstate(invalid="ignore"):
            better = sound | (again.chi2.sum(axis=1) < solution.chi2[poor].sum(axis=1) * (1 - 1e-9))
        _adopt((patterns, solution, covariance), (again_patterns, again, again_covariance), poor, better)
    return BatchFit.build(setup, evaluator, data, patterns, solution, covariance)


def _groups(data: Prepared, index: NDArray[np.intp]) -> Prepared:
    n_patterns = data.y.shape[1]
    rows = (index[:, None] * n_patterns + np.arange(n_patterns)).ravel()
    return replace(
        data,
        x=data.x if data.x.shape[0] == 1 else data.x[rows],
        y=data.y[index],
        variance=None if data.variance is None else data.variance[index],
        offset=data.offset[index],
        use=data.use[index],
        exposure=data.exposure[index],
        columns=None if data.columns is None else data.columns[index],
        prior=None if data.prior is None else data.prior[index],
        prior_root_weight=None if data.prior_root_weight is None else data.prior_root_weight[index],
    )


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
    for name in Solution.__dataclass_fields__:
        getattr(solution, name)[into] = getattr(again_solution, name)[better]
    for name in type(covariance).__dataclass_fields__:
        getattr(covariance, name)[into] = getattr(again_covariance, name)[better]
    target = (into[:, None] * n_patterns + np.arange(n_patterns)).ravel()
    source = (np.flatnonzero(better)[:, None] * n_patterns + np.arange(n_patterns)).ravel()
    patterns.root_weight[target] = again_patterns.root_weight[source]


def _rows(data: Prepared, root_weight: FloatArray) -> Patterns:
    groups, n_patterns, n = data.y.shape
    rows = groups * n_patterns
    extra = None if data.columns is None else data.columns.reshape(rows, -1, n)
    return Patterns(
        data.x,
        (data.y - data.offset).reshape(rows, n),
        root_weight.reshape(rows, n),
        extra,
        None if data.prior is None else data.prior.reshape(rows, -1),
        None if data.prior_root_weight is None else data.prior_root_weight.reshape(rows, -1),
    )


def _solve(
    evaluator: RowEvaluator,
    data: Prepared,
    shared: FloatArray,
    local: FloatArray,
    weights: Weights,
    tolerances: Tolerances,
    damping: float = 1e-4,
) -> tuple[Patterns, Solution]:
    """Minimise; for Poisson weights repeat until the weights agree with the model."""
    if weights == "none":
        patterns = _rows(data, data.use.astype(float))
        return patterns, _checked(minimise(evaluator, patterns, shared, local, tolerances, damping))
    if weights == "given":
        assert data.variance is not None  # noqa: S101 - checked by the caller
        patterns = _rows(data, np.where(data.use, 1.0 / np.sqrt(np.where(data.use, data.variance, 1.0)), 0.0))
        return patterns, _checked(minimise(evaluator, patterns, shared, local, tolerances, damping))
    return _solve_poisson(evaluator, data, shared, local, tolerances, damping)


def _checked(solution: Solution) -> Solution:
    if not np.isfinite(solution.chi2).any():
        raise FitError("the model is not finite at the start values", hint="check the start values and bounds")
    return solution


def _poisson_root_weight(data: Prepared, expected: FloatArray) -> FloatArray:
    """Return 1/sigma for expected intensities (G, L, n), in the unit of y."""
    counts = np.maximum(expected * data.exposure, VARIANCE_FLOOR)
    return np.where(data.use, data.exposure / np.sqrt(counts), 0.0)


def _smoothed(y: FloatArray) -> FloatArray:
    """Return a running mean over five points: start weights that do not follow the noise."""
    padded = np.concatenate([y[..., :1], y[..., :1], y, y[..., -1:], y[..., -1:]], axis=-1)
    n = y.shape[-1]
    return sum((padded[..., i : i + n] for i in range(5)), np.zeros_like(y)) / 5.0


def _solve_poisson(
    evaluator: RowEvaluator,
    data: Prepared,
    shared: FloatArray,
    local: FloatArray,
    tolerances: Tolerances,
    damping: float,
) -> tuple[Patterns, Solution]:
    n_patterns, n = data.y.shape[1:]
    root = _poisson_root_weight(data, np.maximum(_smoothed(data.y), 1.0 / data.exposure))
    patterns = _rows(data, root)
    rough = replace(tolerances, reduction=max(tolerances.reduction, 1e-5))
    solution = _checked(minimise(evaluator, patterns, shared, local, rough, damping))
    open_groups = np.arange(data.y.shape[0])
    for round_ in range(MAX_REWEIGHTINGS):
        rows = (open_groups[:, None] * n_patterns + np.arange(n_patterns)).ravel()
        part = patterns.part(rows)
        state_s, state_l = solution.shared[open_groups], solution.local[open_groups]
        sub = _groups(data, open_groups)
        expected = _model_rows(evaluator, part, state_s, state_l).reshape(sub.y.shape) + sub.offset
        root = _poisson_root_weight(sub, expected)
        old = part.root_weight.reshape(root.shape)
        change = np.abs(np.where(old > 0, root / np.where(old > 0, old, 1.0), 1.0) - 1.0).max(axis=(1, 2))
        patterns.root_weight[rows] = root.reshape(-1, n)
        fine = tolerances if round_ else replace(tolerances, reduction=max(tolerances.reduction, 1e-8))
        step = minimise(evaluator, patterns.part(rows), state_s, state_l, fine, 1e-6)
        for name in ("shared", "local", "coefficients", "chi2", "converged"):
            getattr(solution, name)[open_groups] = getattr(step, name)
        solution.iterations[open_groups] += step.iterations
        open_groups = open_groups[~(change < REWEIGHTING_TOLERANCE)]
        if open_groups.size == 0:
            break
    solution.converged[open_groups] = False  # weights and model never agreed
    return patterns, solution


def _model_rows(evaluator: RowEvaluator, data: Patterns, shared: FloatArray, local: FloatArray) -> FloatArray:
    """Return the fitted model in every row, shape (R, n)."""
    model = np.empty_like(data.y)
    for part in evaluator.chunks(*data.y.shape):
        basis, solved, _ = evaluate_rows(evaluator, data, shared, local, part)
        curve = np.einsum("bm,bmn->bn", solved.coefficients, basis.columns)
        model[part] = (curve if basis.offset is None else curve + basis.offset)[:, : data.y.shape[1]]
    return model
