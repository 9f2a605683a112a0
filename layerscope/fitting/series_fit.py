"""The result of one series: parameters, amounts and fractions with their covariance, curves, criteria, and doubts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import FitError
from layerscope.fitting.covariance import LevelCovariance
from layerscope.fitting.model import PatternModel
from layerscope.fitting.quality import durbin_watson, information_criteria, poisson_deviance, structured
from layerscope.fitting.rows import Patterns
from layerscope.flags import dispersion_flag, threshold

if TYPE_CHECKING:
    from layerscope.fitting.result import BatchFit

__all__ = ["CONFIDENCE_68", "SeriesFit"]

FloatArray = NDArray[np.float64]

CONFIDENCE_68 = 0.6827  # one standard error to either side


@dataclass(frozen=True)
class SeriesFit:
    """Result of one series of L patterns.

    Values and errors are asked for by name: declared parameters (``B_center``), tied ones, areas (``B_area``) and
    background coefficients alike, each as an array over the patterns.
    """

    batch: BatchFit
    group: int

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all parameters: declared, tied and eliminated."""
        return self.batch.names

    @property
    def n_patterns(self) -> int:
        """Number of patterns, L."""
        return self.batch.evaluator.layout.n_patterns

    @property
    def chi2(self) -> float:
        """Sum of squared residuals in units of sigma."""
        return float(self.batch.chi2[self.group])

    @property
    def n_data(self) -> int:
        """Points in use."""
        return int(self.batch.n_data[self.group])

    @property
    def n_free(self) -> int:
        """Free parameters, eliminated ones included."""
        return self.batch.n_free

    @cached_property
    def n_points(self) -> int:
        """Measured points in use, priors not counted."""
        return int(self.batch.data.use[self.group].sum())

    @property
    def n_estimated(self) -> int:
        """Parameters that these points have to determine: those free, less one for each prior."""
        return self.n_free - (self.n_data - self.n_points)

    @property
    def redchi(self) -> float:
        """Reduced chi2."""
        return float(self.batch.redchi[self.group])

    @property
    def converged(self) -> bool:
        """Whether the minimum was reached."""
        return bool(self.batch.converged[self.group])

    @property
    def pattern_chi2(self) -> FloatArray:
        """Chi2 of each pattern, shape (L,)."""
        return np.asarray(self.batch.solution.chi2[self.group])

    def value(self, name: str) -> FloatArray:
        """Return a parameter in every pattern, shape (L,)."""
        return np.asarray(self.batch.value(name)[self.group])

    def stacked(self, names: Sequence[str]) -> FloatArray:
        """Return some parameters in every pattern, shape (K, L)."""
        return np.stack([self.value(name) for name in names])

    @property
    def sigma_kind(self) -> Literal["covariance", "bootstrap", "sampling"]:
        """Where the errors come from."""
        return "covariance"

    def interval(self, name: str) -> tuple[FloatArray, FloatArray] | None:
        """Return the 68.27 % interval of a parameter in every pattern, each end of shape (L,), if it has one."""
        return None

    def sigma(self, name: str) -> FloatArray:
        """Return its standard error in every pattern, shape (L,)."""
        return np.asarray(self.batch.sigma(name)[self.group])

    def covariance(self, names: Sequence[str]) -> FloatArray:
        """Return the covariance of some parameters between all patterns.

        Parameters
        ----------
        names : sequence of str, length K

        Returns
        -------
        ndarray, shape (K, L, K, L)
        """
        shared, own = self._gradients(names)
        between = self.batch.covariance.shared[self.group]
        result = np.einsum("als,st,bkt->albk", shared, between, shared, optimize=True)
        within = np.einsum("ald,lde,ble->alb", own, self.batch.covariance.own[self.group], own, optimize=True)
        at = np.arange(self.n_patterns)
        result[:, at, :, at] += within.transpose(1, 0, 2)
        return np.asarray(result)

    def covariance_within(self, names: Sequence[str]) -> FloatArray:
        """Return the covariance of some parameters within each pattern, shape (L, K, K)."""
        shared, own = self._gradients(names)
        c = self.batch.covariance
        result = np.einsum("als,st,blt->lab", shared, c.shared[self.group], shared, optimize=True)
        return np.asarray(result + np.einsum("ald,lde,ble->lab", own, c.own[self.group], own, optimize=True))

    def covariance_of_sum(self, names: Sequence[str], slope: FloatArray) -> FloatArray:
        """Return the covariance between all patterns of a sum of parameters.

        Parameters
        ----------
        names : sequence of str, length K
        slope : ndarray, shape (K, L)
            Of the sum by each parameter.

        Returns
        -------
        ndarray, shape (L, L)
        """
        return self.parts_of_sum(names, slope).matrix()

    def share_covariances(self, names: Sequence[str]) -> list[LevelCovariance]:
        """Return the covariance between all patterns of each amount over the sum of all, in its parts, K of them."""
        jacobian = self._fractions(names)[1]
        return [self.parts_of_sum(names, slope) for slope in jacobian]

    def parts_of_sum(self, names: Sequence[str], slope: FloatArray) -> LevelCovariance:
        """Return the covariance between all patterns of a sum of parameters, see `covariance_of_sum`, in its parts."""
        shared, own = (np.einsum("kl,kld->ld", slope, part) for part in self._gradients(names))
        c = self.batch.covariance
        alone = np.einsum("ld,lde,le->l", own, c.own[self.group], own)
        return LevelCovariance(shared, c.shared[self.group], alone)

    def _gradients(self, names: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Return the responses of `BatchFit.gradient` for some parameters, (K, L, S) and (K, L, d)."""
        gradients = [tuple(part[self.group] for part in self.batch.gradient(name)) for name in names]
        return np.stack([g[0] for g in gradients]), np.stack([g[1] for g in gradients])

    def fractions(self, names: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Return each amount over the sum of all, in every pattern, with the full covariance.

        Parameters
        ----------
        names : sequence of str, length K
            Amounts, e.g. areas.

        Returns
        -------
        fractions : ndarray, shape (K, L)
        covariance : ndarray, shape (K, L, K, L)
        """
        fractions, jacobian = self._fractions(names)
        covariance = np.einsum("acl,clbk,dbk->aldk", jacobian, self.covariance(names), jacobian, optimize=True)
        return fractions, np.asarray(covariance)

    def fractions_within(self, names: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Return each amount over the sum of all, in every pattern, with its variance alone, each of shape (K, L)."""
        fractions, jacobian = self._fractions(names)
        variance = np.einsum("acl,lcd,adl->al", jacobian, self.covariance_within(names), jacobian, optimize=True)
        return fractions, np.asarray(variance)

    def _fractions(self, names: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Return fractions (K, L) and d fraction_a / d amount_b in every pattern, (K, K, L)."""
        amounts = self.stacked(names)
        total = amounts.sum(axis=0)
        with np.errstate(all="ignore"):
            fractions = amounts / total
            return fractions, (np.eye(len(names))[:, :, None] - fractions[:, None, :]) / total

    def due_to(self, causes: Sequence[str], names: Sequence[str], *, fractions: bool = False) -> FloatArray:
        """Return the share of each variance that would not be there if some shared parameters were known.

        Parameters
        ----------
        causes : sequence of str
            Parameters that are one number for the whole series.
        names : sequence of str, length K
            Amounts or parameters that are asked for.
        fractions : bool
            Ask for the fractions of these amounts instead of the amounts themselves.

        Returns
        -------
        ndarray, shape (K, L)
            From 0 to 1; 0 where there is no cause or no variance.
        """
        k = len(names)
        jacobian = self._fractions(names)[1] if fractions else np.eye(k)[:, :, None] * np.ones(self.n_patterns)
        own = np.einsum("acl,lcd,adl->al", jacobian, self.covariance_within(names), jacobian, optimize=True)
        whole = self.covariance_within([*names, *causes])
        cross = np.einsum("acl,lcr->alr", jacobian, whole[:, :k, k:])
        due = np.einsum("alr,rs,als->al", cross, np.linalg.pinv(whole[0, k:, k:], hermitian=True), cross)
        with np.errstate(all="ignore"):
            return np.clip(np.where(own > 0, due / own, 0.0), 0.0, 1.0)

    @cached_property
    def expected(self) -> FloatArray:
        """Fitted curve with every background, in the unit of the data, shape (L, n)."""
        evaluator, rows, q = self.batch.evaluator, self._rows(), self._parameters()
        coefficients, result = self.batch.solution.coefficients[self.group], np.empty(self.y.shape)
        for part in evaluator.chunks(*self.y.shape):
            basis = evaluator.basis(rows.part(part), q[part], derivatives=False)
            curve = np.einsum("bm,bmn->bn", coefficients[part], basis.columns)
            if basis.offset is not None:
                curve = curve + basis.offset
            result[part] = curve[:, : self.y.shape[1]] + self.batch.data.offset[self.group, part]
        return result

    def columns(self) -> FloatArray:
        """Return what the coefficients multiply, data-borne columns last, shape (L, m, n)."""
        basis = self.batch.evaluator.basis(self._rows(), self._parameters(), derivatives=False)
        return basis.columns[..., : self.y.shape[1]]

    def _parameters(self) -> FloatArray:
        """Return the model's nonlinear parameters in every pattern, shape (L, Q)."""
        solution, at = self.batch.solution, [self.group]
        return self.batch.evaluator.parameters(solution.shared[at], solution.local[at])[0]

    def _rows(self) -> Patterns:
        at = np.arange(self.n_patterns) + self.group * self.n_patterns
        return self.batch.patterns.part(at)

    @property
    def x(self) -> FloatArray:
        """Axis, ascending, shape (L, n)."""
        x = self._rows().x
        return np.broadcast_to(x, (self.n_patterns, x.shape[-1]))

    @property
    def y(self) -> FloatArray:
        """Data in the order of `x`, shape (L, n)."""
        return np.asarray(self.batch.data.y[self.group])

    @cached_property
    def root_weight(self) -> FloatArray:
        """1/sigma of each point (0: not in use), shape (L, n)."""
        return self._rows().root_weight

    @cached_property
    def variance(self) -> FloatArray:
        """Variance of each point by the weights of the fit (0: not in use), in the unit of the data squared, (L, n)."""
        weight = self.root_weight
        variance = np.where(weight > 0, 1.0 / np.where(weight > 0, weight, 1.0) ** 2, 0.0)
        variance.setflags(write=False)  # other fits with these weights share it
        return variance

    @cached_property
    def residual(self) -> FloatArray:
        """(data - fit)/sigma, shape (L, n); 0 where a point is not in use."""
        return (self.y - self.expected) * self.root_weight

    def component_curves(self) -> tuple[dict[str, FloatArray], FloatArray]:
        """Return the bare line of each component and the background, each of shape (L, n), in the unit of the data."""
        return self._curves

    @cached_property
    def _curves(self) -> tuple[dict[str, FloatArray], FloatArray]:
        model = self.batch.evaluator.model
        if not isinstance(model, PatternModel):
            raise FitError("only a PatternModel has components")
        coefficients, q, x = self.batch.solution.coefficients[self.group], self._parameters(), self._rows().x
        lines = {c.name: np.empty(self.y.shape) for c in model.components}
        for part in self.batch.evaluator.chunks(*self.y.shape):
            found, _ = model.component_curves(x if len(x) == 1 else x[part], q[part], coefficients[part])
            for name, curve in found.items():
                lines[name][part] = curve
        return lines, self.expected - sum(lines.values(), np.zeros_like(self.expected))

    @cached_property
    def misfit(self) -> float:
        """Twice the negative log-likelihood up to a constant of the data: Poisson deviance, or chi2."""
        if self.batch.weights != "poisson":
            return self.chi2
        exposure, use = self.batch.data.exposure[self.group], self.batch.data.use[self.group]
        counts, expected = self.y * exposure, self.expected * exposure
        deviance = poisson_deviance(np.where(use, counts, 1e-9), np.where(use, expected, 1e-9)).sum()
        return float(deviance + self._prior_misfit())

    def _prior_misfit(self) -> float:
        data = self.batch.data
        if data.prior is None or data.prior_root_weight is None:
            return 0.0
        now = np.stack([self.value(name) for name in data.prior_names], axis=-1)
        return float((((now - data.prior[self.group]) * data.prior_root_weight[self.group]) ** 2).sum())

    @property
    def aic(self) -> float:
        """Akaike's information criterion."""
        return float(self._criteria()[0])

    @property
    def bic(self) -> float:
        """Bayesian (Schwarz) information criterion."""
        return float(self._criteria()[1])

    def _criteria(self) -> tuple[FloatArray, FloatArray]:
        known = self.batch.weights != "none"
        return information_criteria(np.asarray(self.misfit), self.n_points, self.n_estimated, known_noise=known)

    def durbin_watson(self) -> FloatArray:
        """Return the Durbin-Watson statistic of each pattern, shape (L,)."""
        used = self.root_weight > 0
        return np.array([durbin_watson(r[u]) for r, u in zip(self.residual, used, strict=True)])

    def at_bound(self) -> list[str]:
        """Return names of free parameters and amounts that ended at a bound."""
        layout, solution = self.batch.evaluator.layout, self.batch.solution
        found = []
        low, high = layout.bounds_shared()
        for label, value, a, b in zip(layout.shared_labels, solution.shared[self.group], low, high, strict=True):
            if value <= a or value >= b:
                found.append(label.split("@")[0])
        low, high = layout.bounds_local()
        for t, base in enumerate(layout.local):
            values = solution.local[self.group, :, t]
            found += [f"{base.name}[{k}]" for k in np.flatnonzero((values <= low[t]) | (values >= high[t]))]
        if self.batch.evaluator.nonnegative is not None:
            for j in np.flatnonzero(self.batch.evaluator.nonnegative):
                zero = np.flatnonzero(solution.coefficients[self.group, :, j] <= 0)
                found += [f"{self.batch.linear_names[j]}[{k}]" for k in zero]
        return list(dict.fromkeys(found))

    def flags(self) -> tuple[str, ...]:
        """Return what a reader must know before trusting the numbers, see `layerscope.flags`.

        ``NOT_CONVERGED``, ``UNDETERMINED``, ``AT_BOUND:name``, ``CORRELATED:a~b 0.98``, ``RESIDUAL_STRUCTURE:pattern``,
        ``RESIDUAL_STRUCTURE:all together``, ``OVERDISPERSED:2.3``, ``OVERDISPERSED:4.1[pattern]``,
        ``UNDERDISPERSED:0.2``.
        """
        return self._flags

    @cached_property
    def _flags(self) -> tuple[str, ...]:
        flags = [] if self.converged else ["NOT_CONVERGED"]
        if self.batch.covariance.undetermined[self.group]:
            flags.append("UNDETERMINED")
        flags += [f"AT_BOUND:{name}" for name in self.at_bound()]
        flags += [f"CORRELATED:{a}~{b} {r:.2f}" for a, b, r in self.correlated()]
        used = self.root_weight > 0
        alone = [k for k, (r, u) in enumerate(zip(self.residual, used, strict=True)) if structured(r[u])]
        flags += [f"RESIDUAL_STRUCTURE:{k}" for k in alone]
        alike = self.n_patterns > 1 and np.ptp(self.x, axis=0).max() == 0.0
        if alike and 2 * len(alone) < self.n_patterns and structured(self._stack()):
            flags.append("RESIDUAL_STRUCTURE:all together")
        if self.batch.weights != "none":
            whole = dispersion_flag(self.redchi, self.n_data - self.n_free)
            flags += whole or (self._dispersed_levels() if self.n_patterns > 1 else ())
        return tuple(flags)

    def _stack(self) -> FloatArray:
        """Return the sum of the residuals of all patterns: what a wrong shape leaves is alike in each, noise is not."""
        used = (self.root_weight > 0).sum(axis=0)
        return np.asarray(self.residual.sum(axis=0)[used > 0] / np.sqrt(used[used > 0]))

    def _dispersed_levels(self) -> list[str]:
        """Return the flags of patterns that alone scatter more than the stated noise explains."""
        found = []
        scale = max(self.redchi, 1e-300) if self.batch.scaled else 1.0
        for k, points in enumerate((self.root_weight > 0).sum(axis=1)):
            freedom = max(int(points) - self.n_estimated // self.n_patterns, 1)
            flags = dispersion_flag(float((self.residual[k] ** 2).sum()) / scale / freedom, freedom)
            found += [f"{flag}[{k}]" for flag in flags if flag.startswith("OVERDISPERSED")]
        return found

    def correlated(self) -> list[tuple[str, str, float]]:
        """Return pairs of free parameters whose largest correlation in a pattern is flagged, strongest first."""
        limit = threshold("CORRELATED")
        names = [*self.batch.evaluator.layout.free_names, *self.batch.linear_names]
        names = [n for n in names if not n.startswith("background_")]
        with np.errstate(all="ignore"):  # a fit that ran away: it has other flags
            block = self.covariance_within(names)
            sigma = np.sqrt(np.maximum(np.einsum("lkk->lk", block), 0.0))
            r = np.nan_to_num(block / (sigma[:, :, None] * sigma[:, None, :]))
        strongest = np.take_along_axis(r, np.abs(r).argmax(axis=0)[None], axis=0)[0]
        pairs = [
            (names[i], names[j], float(strongest[i, j]))
            for i in range(len(names))
            for j in range(i + 1, len(names))
            if abs(strongest[i, j]) > limit
        ]
        return sorted(pairs, key=lambda pair: -abs(pair[2]))
