"""What a fit returns: every parameter in every pattern, with the covariance of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.errors import FitError
from layerscope.fitting.covariance import SeriesCovariance
from layerscope.fitting.parameters import Parameters
from layerscope.fitting.rows import Patterns, RowEvaluator
from layerscope.fitting.series_fit import SeriesFit
from layerscope.fitting.solver import Solution, Tolerances

if TYPE_CHECKING:
    from layerscope.fitting.basis import BasisModel
    from layerscope.fitting.layout import Scope
    from layerscope.fitting.measured import Prepared, Series
    from layerscope.fitting.weighting import Weights

__all__ = ["BatchFit", "SeriesFit", "Setup"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Setup:
    """What was asked of a fit, so that it can be asked again: of simulated data, or with a parameter held."""

    model: BasisModel
    parameters: Parameters
    series: Series
    scopes: Mapping[str, Scope]
    starts: Mapping[str, ArrayLike]
    weights: Weights
    nonnegative: bool
    tolerances: Tolerances


@dataclass(frozen=True)
class BatchFit:
    """Results of G independent series of L patterns.

    Attributes
    ----------
    chi2 : ndarray, shape (G,)
        Sum of squared residuals in units of sigma.
    n_data : ndarray of int, shape (G,)
        Points in use.
    n_free : int
        Free parameters of a series, eliminated ones included.
    converged : ndarray of bool, shape (G,)
    """

    setup: Setup
    evaluator: RowEvaluator
    data: Prepared
    patterns: Patterns
    solution: Solution
    covariance: SeriesCovariance
    weights: Weights
    scaled: bool
    chi2: FloatArray
    n_data: NDArray[np.intp]
    n_free: int

    @classmethod
    def build(
        cls,
        setup: Setup,
        evaluator: RowEvaluator,
        data: Prepared,
        patterns: Patterns,
        solution: Solution,
        covariance: SeriesCovariance,
    ) -> BatchFit:
        """Put a solution together."""
        weights, relative = setup.weights, setup.series.relative
        layout = evaluator.layout
        chi2 = solution.chi2.sum(axis=1)
        n_data = data.use.sum(axis=(1, 2))
        if data.prior_root_weight is not None:  # each prior is one more measurement
            n_data = n_data + (data.prior_root_weight > 0).sum(axis=(1, 2))
        n_free = layout.n_shared + layout.n_patterns * (layout.n_local + evaluator.n_linear)
        scaled = weights == "none" if relative is None else relative
        if scaled:
            covariance = covariance.scaled(chi2 / np.maximum(n_data - n_free, 1))
        return cls(setup, evaluator, data, patterns, solution, covariance, weights, scaled, chi2, n_data, n_free)

    def __len__(self) -> int:
        return int(self.chi2.size)

    @property
    def converged(self) -> NDArray[np.bool_]:
        """Which series converged, shape (G,)."""
        return self.solution.converged

    @property
    def redchi(self) -> FloatArray:
        """Reduced chi2, shape (G,)."""
        return self.chi2 / np.maximum(self.n_data - self.n_free, 1)

    @property
    def linear_names(self) -> tuple[str, ...]:
        """Names of the eliminated coefficients."""
        return self.evaluator.linear_names

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all parameters: declared, tied and eliminated."""
        return (*self.evaluator.layout.all_names, *self.linear_names)

    @cached_property
    def _declared(self) -> tuple[dict[str, FloatArray], dict[str, dict[str, FloatArray]]]:
        return self.evaluator.layout.local_values(self.solution.shared, self.solution.local)

    @cached_property
    def _sigmas(self) -> dict[str, FloatArray]:
        """Errors already worked out: records ask for them level by level."""
        return {}

    def value(self, name: str) -> FloatArray:
        """Return a parameter in every pattern of every series, shape (G, L)."""
        if name in self.linear_names:
            return self.solution.coefficients[..., self.linear_names.index(name)]
        try:
            return self._declared[0][name]
        except KeyError:
            raise FitError(f"no parameter '{name}' in this fit", hint=", ".join(self.names)) from None

    def sigma(self, name: str) -> FloatArray:
        """Return the standard error of a parameter in every pattern of every series, shape (G, L); 0 if it is fixed."""
        if name in self._sigmas:
            return self._sigmas[name]
        if name in self.linear_names:
            return np.asarray(self._linear_sigmas[self.linear_names.index(name)])
        layout = self.evaluator.layout
        if layout.is_plain and name in layout.plain_routes and (at := layout.plain_routes[name]) < layout.n_shared:
            alone = np.sqrt(np.maximum(self.covariance.shared[:, at, at], 0.0))
            self._sigmas[name] = np.repeat(alone[:, None], layout.n_patterns, axis=1)
            return self._sigmas[name]
        shared, own = self.gradient(name)
        with np.errstate(over="ignore", invalid="ignore"):  # a fit that ran away says so in its flags
            variance = np.einsum("gls,gls->gl", shared @ self.covariance.shared, shared)
            if layout.n_local:
                variance += np.einsum("gld,glde,gle->gl", own, self.covariance.own, own)
        result: FloatArray = np.sqrt(np.maximum(variance, 0.0))
        result.setflags(write=False)
        self._sigmas[name] = result
        return result

    @cached_property
    def _linear_sigmas(self) -> FloatArray:
        """Standard errors of all coefficients, shape (m, G, L)."""
        first = self.evaluator.layout.n_local
        link = self.covariance.link[..., first:, :]
        with np.errstate(over="ignore", invalid="ignore"):
            variance = np.einsum("glms,glms->mgl", link @ self.covariance.shared[:, None], link)
            variance += np.einsum("gldd->dgl", self.covariance.own)[first:]
        result: FloatArray = np.sqrt(np.maximum(variance, 0.0))
        result.setflags(write=False)
        return result

    def gradient(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Return how a parameter moves with the independent errors of the fit.

        Returns
        -------
        shared : ndarray, shape (G, L, S)
            Response to the shared parameters, the other parameters of the pattern following.
        own : ndarray, shape (G, L, d)
            Response to the pattern's own parameters at fixed shared ones.
        """
        layout = self.evaluator.layout
        shape = self.solution.chi2.shape
        shared = np.zeros((*shape, layout.n_shared))
        own = np.zeros((*shape, layout.n_local + len(self.linear_names)))
        if name in self.linear_names:
            own[..., layout.n_local + self.linear_names.index(name)] = 1.0
        else:
            self.value(name)
            slopes: dict[str, Any] = self._declared[1].get(name, {name: 1.0})
            for v, base in enumerate(layout.shared):
                if base.name in slopes:
                    shared += np.multiply(slopes[base.name], np.ones(shape))[..., None] * layout.spread[:, v]
            for t, base in enumerate(layout.local):
                if base.name in slopes:
                    own[..., t] += slopes[base.name]
        return shared - np.einsum("gld,glds->gls", own, self.covariance.link), own

    def __getitem__(self, group: int) -> SeriesFit:
        return SeriesFit(self, range(len(self))[group])
