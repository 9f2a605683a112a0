"""Errors that know that the model may be wrong: residuals with a smooth part in proportion to the components.

Where a component's shape is wrong, the residuals of a pattern are no white noise: ``r ~ N(0, I + K)`` in units of the
noise. K is a smooth kernel in proportion to the component's counts c(x) whose net area is taken out, as a wrong shape
moves intensity about and does not make any,

    K = B B',   B = a diag(c / sigma) Phi (1 - w w'),   Phi Phi' = exp(-(x - x')^2 / (2 l^2)),   w ~ Phi' c.

Amplitude a and length l are those of highest restricted likelihood, that of what is left of the residuals beside all
that the pattern's own parameters can explain, pooled over patterns. One generalised least-squares step with I + K then
gives estimates and errors (a shape error that imitates another component leaves no trace in the residuals and is
covered as far as the same kernel reaches there).

References
----------
Kennedy, M. C. & O'Hagan, A. (2001). J. R. Stat. Soc. B 63, 425-464. doi:10.1111/1467-9868.00294 (discrepancy)
Patterson, H. D. & Thompson, R. (1971). Biometrika 58, 545-554. doi:10.1093/biomet/58.3.545 (restricted likelihood)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.covariance import SeriesCovariance, covariance_of, full_jacobian
from layerscope.fitting.series_fit import SeriesFit

__all__ = ["Discrepancy", "Linear", "estimate", "generalised", "linear"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

LENGTHS = 6
"""Lengths that are tried, from `SHORTEST` steps of the axis to a fourth of its range."""

SHORTEST = 2.0
AMPLITUDES = np.concatenate([[0.0], np.geomspace(1e-3, 1.0, 61)])
"""Relative errors of a component's counts that are tried."""

CHUNK = 64
"""Patterns whose noise is made white at a time."""

KEPT = 1e-6
"""Eigenvalues of a kernel, against the largest, below which a direction is left out."""


@dataclass(frozen=True)
class Linear:
    """A fit of L patterns about its solution, everything in units of the noise, priors as further points.

    Attributes
    ----------
    x : ndarray, shape (n,)
        Axis; points beyond n are priors.
    root_weight : ndarray, shape (L, n)
        1/sigma.
    residual : ndarray, shape (L, N)
    own : ndarray, shape (L, N, d)
        Derivatives of the model by each pattern's own parameters and coefficients.
    shared : ndarray, shape (L, N, S)
        By those that all share.
    white : ndarray, shape (L, n, n), optional
        What made the noise white.
    """

    x: FloatArray
    root_weight: FloatArray
    residual: FloatArray
    own: FloatArray
    shared: FloatArray
    white: FloatArray | None = None

    def whitened(self, roots: Sequence[FloatArray]) -> Linear:
        """Return the same with noise I + sum of B B' made white; `roots` are B of every component, each (L, n, m)."""
        n = self.x.size
        noise = np.broadcast_to(np.eye(n), (len(self.residual), n, n)).copy()
        for b in roots:
            noise += b @ b.transpose(0, 2, 1)
        white = np.linalg.inv(np.linalg.cholesky(noise))

        def seen(columns: FloatArray) -> FloatArray:
            result = columns.copy()
            result[:, :n] = white @ columns[:, :n]
            return result

        return replace(
            self,
            residual=seen(self.residual[..., None])[..., 0],
            own=seen(self.own),
            shared=seen(self.shared),
            white=white if self.white is None else white @ self.white,
        )


@dataclass(frozen=True)
class Discrepancy:
    """Relative error of a component's counts, and over which distance along the axis it keeps its sign."""

    amplitude: float
    length: float

    def roots(self, at: Linear, counts: FloatArray) -> FloatArray:
        """Return B of every pattern, shape (L, n, m), for a component's counts (L, n)."""
        return self.amplitude * _roots(_smooth(at.x, self.length), at.root_weight, counts)


def linear(fit: SeriesFit) -> Linear:
    """Return a fit of one series about its solution.

    Its patterns must have one axis.
    """
    batch, at = fit.batch, fit.group
    evaluator, layout = batch.evaluator, batch.evaluator.layout
    rows = np.arange(layout.n_patterns) + at * layout.n_patterns
    patterns = batch.patterns.part(rows)
    group = slice(at, at + 1)
    q, routes = evaluator.parameters(batch.solution.shared[group], batch.solution.local[group])
    basis = evaluator.basis(patterns, q)
    y, root_weight = patterns.with_priors()
    coefficients = batch.solution.coefficients[at]
    jacobian = full_jacobian(evaluator, basis, root_weight, coefficients, routes)
    count = len(layout.shared)
    own = np.concatenate([jacobian[:, count:], basis.columns * root_weight[:, None]], axis=1)
    model = np.einsum("lm,lmn->ln", coefficients, basis.columns)
    if basis.offset is not None:
        model = model + basis.offset
    return Linear(
        np.asarray(fit.x[0]),
        fit.root_weight,
        (y - model) * root_weight,
        own.transpose(0, 2, 1),
        np.einsum("lvs,lvn->lns", layout.spread, jacobian[:, :count]),
    )


def _smooth(x: FloatArray, length: float) -> FloatArray:
    """Return Phi (n, m) with Phi Phi' = exp(-(x - x')^2 / (2 length^2))."""
    value, vector = np.linalg.eigh(np.exp(-0.5 * ((x[:, None] - x) / length) ** 2))
    keep = value > KEPT * value[-1]
    result: FloatArray = vector[:, keep] * np.sqrt(value[keep])
    return result


def _roots(smooth: FloatArray, root_weight: FloatArray, counts: FloatArray) -> FloatArray:
    b = (counts * root_weight)[:, :, None] * smooth
    net = np.where(root_weight > 0, counts, 0.0) @ smooth
    size = np.sqrt((net**2).sum(axis=1, keepdims=True))
    net = net / np.where(size > 0, size, 1.0)
    return b - (b @ net[:, :, None]) * net[:, None]


def estimate(at: Linear, counts: FloatArray, rows: IntArray) -> Discrepancy:
    """Return the discrepancy of a component that some patterns show.

    Parameters
    ----------
    at : Linear
    counts : ndarray, shape (L, n)
        Of the component, in the unit of the data.
    rows : ndarray of int
        Patterns to take it from.
    """
    own, residual, n = at.own[rows], at.residual[rows], at.x.size
    norm = np.sqrt(np.einsum("lnd,lnd->ld", own, own))
    span, _ = np.linalg.qr(own / np.where(norm > 0, norm, 1.0)[:, None])
    left = (residual - (span @ (span.transpose(0, 2, 1) @ residual[..., None]))[..., 0])[:, :n]
    best = (0.0, 0.0, float(np.ptp(at.x)))
    step = float(np.ptp(at.x)) / max(n - 1, 1)
    for length in np.geomspace(SHORTEST * step, np.ptp(at.x) / 4.0, LENGTHS):
        b = _roots(_smooth(at.x, float(length)), at.root_weight[rows], counts[rows])
        b = b if at.white is None else at.white[rows] @ b
        inside = span[:, :n].transpose(0, 2, 1) @ b
        gram = b.transpose(0, 2, 1) @ b - inside.transpose(0, 2, 1) @ inside
        value, vector = np.linalg.eigh(gram)
        seen = (vector.transpose(0, 2, 1) @ (b.transpose(0, 2, 1) @ left[..., None]))[..., 0] ** 2
        square = AMPLITUDES[:, None, None] ** 2
        grown = 1.0 + square * np.maximum(value, 0.0)
        gain = 0.5 * (square * seen / grown - np.log(grown)).sum(axis=(1, 2))
        k = int(gain.argmax())
        if gain[k] > best[0]:
            best = (float(gain[k]), float(AMPLITUDES[k]), float(length))
    return Discrepancy(best[1], best[2])


def generalised(fit: SeriesFit, at: Linear, roots: Sequence[FloatArray]) -> SeriesFit:
    """Return a fit after one generalised least-squares step with noise I + sum of B B', and with its covariance.

    Parameters
    ----------
    fit : SeriesFit
    at : Linear
        Of this fit.
    roots : sequence of ndarray, shape (L, n, m)
        B of every component.

    Notes
    -----
    ``chi2`` stays that of the fit: it is what the discrepancy was taken from.
    """
    white = _by_chunks(at, roots)
    layout, batch = fit.batch.evaluator.layout, fit.batch
    covariance = covariance_of(white.shared.transpose(0, 2, 1)[None], white.own.transpose(0, 2, 1)[None])
    rest = (white.residual[:, None] @ white.own)[:, 0]
    pull = np.einsum("lns,ln->s", white.shared, white.residual) - np.einsum("lds,ld->s", covariance.link[0], rest)
    step = covariance.shared[0] @ pull
    own = (covariance.own[0] @ rest[..., None])[..., 0] - covariance.link[0] @ step
    shared, local = fit.batch.solution.shared.copy(), fit.batch.solution.local.copy()
    coefficients = fit.batch.solution.coefficients.copy()
    shared[fit.group] = np.clip(shared[fit.group] + step, *layout.bounds_shared())
    local[fit.group] = np.clip(local[fit.group] + own[:, : layout.n_local], *layout.bounds_local())
    coefficients[fit.group] += own[:, layout.n_local :]
    solution = replace(batch.solution, shared=shared, local=local, coefficients=coefficients)
    return SeriesFit(
        replace(batch, solution=solution, covariance=_put(batch.covariance, covariance, fit.group)), fit.group
    )


def _by_chunks(at: Linear, roots: Sequence[FloatArray]) -> Linear:
    """Return the fit with its noise made white, few patterns at a time: what does that is n x n for each."""
    parts = []
    for first in range(0, len(at.residual), CHUNK):
        rows = slice(first, first + CHUNK)
        cut = Linear(at.x, at.root_weight[rows], at.residual[rows], at.own[rows], at.shared[rows])
        parts.append(cut.whitened([b[rows] for b in roots]))
    whole = {name: np.concatenate([getattr(p, name) for p in parts]) for name in ("residual", "own", "shared")}
    return replace(at, **whole)


def _put(all_series: SeriesCovariance, one: SeriesCovariance, group: int) -> SeriesCovariance:
    """Return the covariances of a batch with that of one series in its place."""
    fields = {name: getattr(all_series, name).copy() for name in SeriesCovariance.__dataclass_fields__}
    for name, values in fields.items():
        values[group] = getattr(one, name)[0]
    return SeriesCovariance(**fields)
