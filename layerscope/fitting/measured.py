"""A series as it was measured, and as the engine wants it: checked, sorted by the axis, padded to one length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.errors import FitError
from layerscope.fitting.rows import Patterns

__all__ = ["Prepared", "Series", "known_once", "prepare", "stacked"]

FloatArray = NDArray[np.float64]
T = TypeVar("T", np.float64, np.bool_)


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
        What other measurements say of a declared parameter (one of the model, or a helper of expressions) or a
        coefficient (an area), each a number or of shape (L,); an infinite sigma says nothing. A prior enters as one
        more measured point of its pattern: of a parameter that the patterns share, see `known_once`.
    relative : bool, optional
        Whether the noise is known but for a factor: the covariance is then multiplied by the reduced chi2. It is taken
        to be so where nothing is said and the weights are ``"none"``.

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
    relative: bool | None = None

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

    def only(self, rows: NDArray[np.intp]) -> Series:
        """Return some of the patterns."""
        patterns = len(np.atleast_2d(np.asarray(self.y)))

        def some(values: Any, axes: int = 2) -> Any:
            given = values is not None and np.ndim(values) >= axes and len(values) == patterns
            return np.asarray(values)[rows] if given else values

        return replace(
            self,
            **{name: some(getattr(self, name)) for name in ("x", "y", "variance", "use", "offset")},
            variable=some(self.variable, 1),
            exposure=some(self.exposure, 1),
            columns={name: some(column) for name, column in (self.columns or {}).items()} or None,
            priors={name: (some(v, 1), some(s, 1)) for name, (v, s) in (self.priors or {}).items()} or None,
        )


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

    @cached_property
    def no_offset(self) -> bool:
        """Whether the offset is zero everywhere."""
        return not self.offset.any()

    def groups(self, index: NDArray[np.intp]) -> Prepared:
        """Return some of the series."""
        n_patterns = self.y.shape[1]
        rows = (index[:, None] * n_patterns + np.arange(n_patterns)).ravel()
        return replace(
            self,
            x=self.x if self.x.shape[0] == 1 else self.x[rows],
            y=self.y[index],
            variance=None if self.variance is None else self.variance[index],
            offset=self.offset[index],
            use=self.use[index],
            exposure=self.exposure[index],
            columns=None if self.columns is None else self.columns[index],
            prior=None if self.prior is None else self.prior[index],
            prior_root_weight=None if self.prior_root_weight is None else self.prior_root_weight[index],
        )

    def rows(self, root_weight: FloatArray) -> Patterns:
        """Return all patterns as rows, series after series, with weights of shape (G, L, n)."""
        groups, n_patterns, n = self.y.shape
        rows = groups * n_patterns
        extra = None if self.columns is None else self.columns.reshape(rows, -1, n)
        return Patterns(
            self.x,
            (self.y if self.no_offset else self.y - self.offset).reshape(rows, n),
            root_weight.reshape(rows, n),
            extra,
            None if self.prior is None else self.prior.reshape(rows, -1),
            None if self.prior_root_weight is None else self.prior_root_weight.reshape(rows, -1),
        )


def known_once(value: float, sigma: float, n_patterns: int) -> tuple[FloatArray, FloatArray]:
    """Return a prior of a parameter that all patterns share: known once, and not once a pattern.

    Parameters
    ----------
    value, sigma : float
    n_patterns : int

    Returns
    -------
    value, sigma : ndarray, shape (L,)
        Sigma is infinite but in the first pattern.
    """
    sigmas = np.full(n_patterns, np.inf)
    sigmas[0] = sigma
    return np.full(n_patterns, value), sigmas


def stacked(series: Sequence[Series]) -> Series:
    """Return several series of one axis and of the same kind, with L patterns each, as one to be fitted side by side.

    Parameters
    ----------
    series : sequence of Series, length G
        Intensities, exposures, points to fit, columns and priors of each take the shape (G, L, ...).
    """
    first = series[0]

    def together(of: Callable[[Series], ArrayLike | None]) -> FloatArray | None:
        return None if of(first) is None else np.stack([np.asarray(of(one)) for one in series])

    return replace(
        first,
        y=np.stack([np.atleast_2d(np.asarray(one.y, float)) for one in series]),
        variance=together(lambda one: one.variance),
        exposure=np.stack([np.asarray(one.exposure, float) for one in series]),
        use=together(lambda one: one.use),
        offset=together(lambda one: one.offset),
        columns={n: np.stack([np.asarray((one.columns or {})[n]) for one in series]) for n in first.columns or ()},
        priors={
            n: (
                np.stack([np.asarray((one.priors or {})[n][0]) for one in series]),
                np.stack([np.asarray((one.priors or {})[n][1]) for one in series]),
            )
            for n in first.priors or ()
        },
    )


def prepare(series: Series) -> Prepared:
    """Check a series and bring it into the engine's form.

    Parameters
    ----------
    series : Series
        For G independent series, `y` (and `variance`, `offset`) may have the shape (G, L, n).
    """
    y = np.asarray(series.y, float)
    shape = y.shape if y.ndim > 2 else (1, *np.atleast_2d(y).shape)
    if len(shape) != 3 or shape[-1] == 0:
        raise FitError(f"intensities of shape {y.shape} are not a series")
    y = y.reshape(shape)
    n = shape[-1]

    def spread(values: ArrayLike, what: str) -> FloatArray:
        try:
            return _kept(np.asarray(values, float), shape)
        except ValueError as error:
            raise FitError(f"{what} of shape {np.shape(values)} does not fit intensities of shape {shape}") from error

    x = np.asarray(series.x, float)
    if x.shape[-1] != n:
        raise FitError(f"axis of {x.shape[-1]} points for patterns of {n}")
    use = _kept(np.asarray(True if series.use is None else series.use, bool), shape)
    variance = None if series.variance is None else spread(series.variance, "variance")
    offset = spread(0.0 if series.offset is None else series.offset, "offset")
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
    y = _kept(y, shape) if use.all() else np.where(use, y, 0.0)
    prepared = Prepared(x[None], y, variance, offset, use, exposure, columns, names, variable)
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


def _kept(values: NDArray[T], shape: tuple[int, ...]) -> NDArray[T]:
    """Return an array in this shape that nobody can change: itself where it is read-only, so that fits share it."""
    spread = np.broadcast_to(values, shape)
    return np.array(spread) if values.ndim and values.flags.writeable else spread


def _sorted(p: Prepared, x: FloatArray) -> Prepared:
    """Sort points by the axis (of one variable); equal axes are kept as a single one."""
    groups, n_patterns, n = p.y.shape
    if x.ndim == 1 and (np.diff(x) >= 0).all():
        return replace(p, x=x[None])
    if x.ndim == 1:
        if (x[1:] >= x[:-1]).all():
            return replace(p, x=x[None].copy())
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
