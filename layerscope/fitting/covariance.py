"""Covariance of the whole problem: shared, per-pattern and eliminated linear parameters together.

The Jacobian of a series has the shape of an arrow (see `layerscope.fitting.solver`), and so has its square, which the
last step of a fit leaves behind: the covariance is had from it block by block. Where columns are so nearly alike that
their products lose digits the Jacobian is factored pattern by pattern with QR instead, so that the condition number
enters once and not squared. Either way memory and time grow linearly with the number of patterns, and correlations
between any two patterns remain available in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.arrow import Normal
from layerscope.fitting.basis import BasisValues
from layerscope.fitting.projection import Elimination, definite_inverse, information
from layerscope.fitting.solver import Patterns, RowEvaluator, Solution

__all__ = ["LevelCovariance", "SeriesCovariance", "covariance_of", "full_jacobian", "series_covariance"]

FloatArray = NDArray[np.float64]

#: Squared share of a unit column beside the others above which its inverse Gram matrix is good to ten digits.
CLEAR = 1e-5
SINGULAR = 1e-9  # diagonal of R of unit columns below which a direction counts as not determined by the data


@dataclass(frozen=True)
class LevelCovariance:
    """Covariance of one number a pattern between L patterns: what they share, and what each has of its own.

    It takes L * S numbers where the matrix takes L * L.

    Attributes
    ----------
    slope : ndarray, shape (L, S)
        By the shared parameters.
    between : ndarray, shape (S, S)
        Covariance of these.
    own : ndarray, shape (L,)
        Variance of each pattern alone.
    """

    slope: FloatArray
    between: FloatArray
    own: FloatArray

    @property
    def variance(self) -> FloatArray:
        """Diagonal of the matrix, shape (L,)."""
        return np.asarray(np.einsum("ls,st,lt->l", self.slope, self.between, self.slope) + self.own)

    def matrix(self) -> FloatArray:
        """Return the whole matrix, shape (L, L)."""
        result = self.slope @ self.between @ self.slope.T
        result[np.diag_indices(len(result))] += self.own
        return np.asarray(result)

    def total(self) -> float:
        """Return the sum of the matrix: the variance of the sum over the patterns."""
        slope = self.slope.sum(axis=0)
        return float(slope @ self.between @ slope + self.own.sum())

    def only(self, rows: NDArray[np.intp]) -> LevelCovariance:
        """Return the covariance of some of the patterns."""
        return LevelCovariance(self.slope[rows], self.between, self.own[rows])

    def times(self, factor: FloatArray) -> LevelCovariance:
        """Return the covariance with every pattern's number multiplied by a factor of shape (L,)."""
        return LevelCovariance(self.slope * factor[:, None], self.between, self.own * factor**2)


@dataclass(frozen=True)
class SeriesCovariance:
    """Covariance of G series of L patterns.

    The parameters of a pattern are ordered: its T own nonlinear parameters, then its m linear coefficients (d = T + m).

    Attributes
    ----------
    shared : ndarray, shape (G, S, S)
        Covariance of the shared parameters.
    own : ndarray, shape (G, L, d, d)
        Covariance of each pattern's parameters for fixed shared ones.
    link : ndarray, shape (G, L, d, S)
        Response K of a pattern's parameters to the shared ones: they move by -K times the shared parameters' error, so
        that cov(l, k) = K_l cov(shared) K_k' (+ own_l where l = k) and cov(l, shared) = -K_l cov(shared).
    undetermined : ndarray of bool, shape (G,)
        Whether some direction of the parameters is not determined by the data.
    """

    shared: FloatArray
    own: FloatArray
    link: FloatArray
    undetermined: NDArray[np.bool_]

    def scaled(self, factor: FloatArray) -> SeriesCovariance:
        """Multiply the covariance of each series by `factor` of shape (G,)."""
        return SeriesCovariance(
            self.shared * factor[:, None, None],
            self.own * factor[:, None, None, None],
            self.link,
            self.undetermined,
        )

    def part(self, group: int) -> SeriesCovariance:
        """Return one series, still with a leading axis of length 1."""
        at = slice(group, group + 1)
        return SeriesCovariance(self.shared[at], self.own[at], self.link[at], self.undetermined[at])


def _upper_inverse(r: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Invert stacked upper triangles whose columns have unit norm; report which were singular."""
    size = r.shape[-1]
    if size == 0:
        return r, np.zeros(r.shape[:-2], dtype=bool)
    diagonal = np.einsum("...ii->...i", r)
    weak = ~(np.abs(diagonal) > SINGULAR)
    if weak.any():
        r = np.where(np.isfinite(r), r, 0.0)
        diagonal = np.einsum("...ii->...i", r)
        diagonal[weak] = SINGULAR
    return np.asarray(np.linalg.inv(r), dtype=np.float64), np.asarray(weak.any(axis=-1))


def series_covariance(evaluator: RowEvaluator, data: Patterns, solution: Solution) -> SeriesCovariance:
    """Return the covariance at a solution, for weights that are 1/sigma.

    Parameters
    ----------
    evaluator : RowEvaluator
    data : Patterns
        G * L rows.
    solution : Solution
        Of `minimise` on the same data.

    Notes
    -----
    A coefficient that is held at zero still counts as a parameter here, so that the covariance describes the estimate
    that would be free to go below zero; intervals that respect the bound are built from it afterwards.
    """
    normal = solution.normal
    if normal is None:
        normal = evaluator.normal(data, solution.shared, solution.local)
    with np.errstate(all="ignore"):
        result, clear = _from_products(evaluator, normal)
    if clear.all():
        return result
    at, n_patterns = np.flatnonzero(~clear), evaluator.layout.n_patterns
    rows = (at[:, None] * n_patterns + np.arange(n_patterns)).ravel()
    part = (solution.shared[at], solution.local[at], solution.coefficients[at])
    factored = _from_factors(evaluator, data.part(rows), *part)
    for name in SeriesCovariance.__dataclass_fields__:
        getattr(result, name)[at] = getattr(factored, name)
    return result


def _from_products(evaluator: RowEvaluator, normal: Normal) -> tuple[SeriesCovariance, NDArray[np.bool_]]:
    """Return the covariance from sums of products, and in which series these have kept their digits."""
    layout = evaluator.layout
    v, groups = len(layout.shared), normal.whole.shape[0]
    cross = normal.mixed[..., :v]
    if layout.n_local:
        cross = np.concatenate([normal.whole[..., v:, :v], cross], axis=-2)
    top = normal.whole[..., :v, :v]
    if not layout.is_plain:
        cross = cross @ layout.spread
        top = layout.spread.swapaxes(-1, -2) @ top @ layout.spread
    inverse, clear_rows = _own_inverse(normal, v)
    link = inverse @ cross
    rest = normal.shared  # what the coefficients leave
    if layout.n_local:
        rest = top.sum(axis=1) - np.einsum("glds,gldt->gst", cross, link, optimize=True)
    absorbed = np.einsum("gss->gs", rest) / np.einsum("glss->gs", top)
    shared, clear = _spd_inverse(rest)
    clear = clear & clear_rows.all(axis=1) & (absorbed > CLEAR).all(axis=1)
    return SeriesCovariance(shared, inverse, link, np.zeros(groups, dtype=bool)), np.asarray(clear)


def _own_inverse(normal: Normal, v: int) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Invert the blocks of each pattern's own parameters; say in which patterns they are far enough from singular."""
    if normal.local.shape[-1]:
        top = np.concatenate([normal.whole[..., v:, v:], normal.mixed[..., v:].swapaxes(-1, -2)], axis=-1)
        return _spd_inverse(
            np.concatenate([top, np.concatenate([normal.mixed[..., v:], normal.gram], axis=-1)], axis=-2)
        )
    left = np.einsum("...ii->...i", normal.gram) * np.einsum("...ii->...i", normal.inverse)
    if not (left >= 1.0 - CLEAR).all():  # one is held at its bound, and its inverse zero
        return _spd_inverse(normal.gram)
    return normal.inverse, np.asarray((left * CLEAR < 1.0).all(axis=-1))


def _spd_inverse(matrix: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Invert stacked positive matrices, scaled to a unit diagonal; say which are far enough from singular."""
    if matrix.shape[-1] == 0:
        return matrix, np.ones(matrix.shape[:-2], dtype=bool)
    scale = 1.0 / np.sqrt(np.einsum("...ii->...i", matrix))
    scaled = matrix * scale[..., :, None] * scale[..., None, :]
    clear = np.asarray(np.isfinite(scaled).all(axis=(-2, -1)))
    if not clear.all():
        scaled = np.where(clear[..., None, None], scaled, np.eye(matrix.shape[-1]))
    shape = matrix.shape
    inverse, pivots = definite_inverse(scaled.reshape(-1, *shape[-2:]))
    clear &= (pivots**2 > CLEAR).reshape(shape[:-2])
    return inverse.reshape(shape) * scale[..., :, None] * scale[..., None, :], clear


def _from_factors(
    evaluator: RowEvaluator, data: Patterns, shared: FloatArray, local: FloatArray, coefficients: FloatArray
) -> SeriesCovariance:
    """Return the covariance by QR, which sums of products are not good enough for where columns are nearly alike."""
    layout = evaluator.layout
    groups, n_patterns = shared.shape[0], layout.n_patterns
    rows, n = groups * n_patterns, data.y.shape[-1]
    n_v, n_s = len(layout.shared), layout.n_shared
    q, routes = evaluator.parameters(shared, local)
    factors = _Factors.empty((groups, n_patterns), layout.n_local + evaluator.n_linear, n_s)
    fixed_c = coefficients.reshape(rows, -1)
    spread = np.broadcast_to(layout.spread, (groups, *layout.spread.shape)).reshape(rows, n_v, n_s)
    for part in evaluator.chunks(rows, n):
        chunk = data.part(part)
        basis = evaluator.basis(chunk, q[part])
        _, root_weight = chunk.with_priors()
        cut = [[(t, None if s is None else s[part]) for t, s in route] for route in routes]
        jacobian = full_jacobian(evaluator, basis, root_weight, fixed_c[part], cut)
        shared_block = np.einsum("rvs,rvn->rns", spread[part], jacobian[:, :n_v])
        own = np.concatenate([jacobian[:, n_v:], basis.columns * root_weight[:, None, :]], axis=1)
        factors.add(part, shared_block, own)
    return factors.covariance()


def covariance_of(shared: FloatArray, own: FloatArray) -> SeriesCovariance:
    """Return the covariance that weighted derivatives give.

    Parameters
    ----------
    shared : ndarray, shape (G, L, S, N)
        Derivatives of the model in units of the noise by the parameters that the patterns of a series share.
    own : ndarray, shape (G, L, d, N)
        By each pattern's own.
    """
    groups, n_patterns, d, n = own.shape
    rows = groups * n_patterns
    factors = _Factors.empty((groups, n_patterns), d, shared.shape[2])
    factors.add(slice(0, rows), shared.reshape(rows, -1, n).transpose(0, 2, 1), own.reshape(rows, d, n))
    return factors.covariance()


@dataclass(frozen=True)
class _Factors:
    """The Jacobian of many patterns, factored pattern by pattern."""

    shape: tuple[int, int]  # series, patterns
    triangle: FloatArray  # (R, d, d)
    link: FloatArray  # (R, d, S)
    rest: FloatArray  # (R, S, S)
    scale: FloatArray  # (R, d)
    size_shared: FloatArray  # (R, S)

    @classmethod
    def empty(cls, shape: tuple[int, int], d: int, n_shared: int) -> _Factors:
        rows = shape[0] * shape[1]
        sizes = ((d, d), (d, n_shared), (n_shared, n_shared), (d,), (n_shared,))
        return cls(shape, *(np.empty((rows, *size)) for size in sizes))

    def add(self, part: slice, shared: FloatArray, own: FloatArray) -> None:
        """Factor some rows: derivatives by shared parameters (B, N, S) and by the rows' own (B, d, N)."""
        self.size_shared[part] = np.einsum("rns,rns->rs", shared, shared)
        norm = np.sqrt(np.einsum("rdn,rdn->rd", own, own))
        self.scale[part] = np.where(norm > 0, norm, 1.0)
        own_q, self.triangle[part] = _qr((own / self.scale[part][..., None]).transpose(0, 2, 1))
        moment = own_q.transpose(0, 2, 1) @ shared
        self.link[part] = moment
        self.rest[part] = _triangle(shared - own_q @ moment, shared.shape[2])

    def covariance(self) -> SeriesCovariance:
        """Put the patterns of each series together."""
        (groups, n_patterns), (d, n_s) = self.shape, self.link.shape[1:]
        inverse, weak_rows = _upper_inverse(self.triangle)
        inverse = inverse / self.scale[..., :, None]
        link = (inverse @ self.link).reshape(*self.shape, d, n_s)
        size = np.sqrt(self.size_shared.reshape(*self.shape, n_s).sum(axis=1))
        shared, weak_shared = _shared_covariance(self.rest.reshape(groups, n_patterns * n_s, n_s), size)
        own = (inverse @ inverse.transpose(0, 2, 1)).reshape(*self.shape, d, d)
        return SeriesCovariance(shared, own, link, weak_rows.reshape(self.shape).any(axis=1) | weak_shared)


def full_jacobian(
    evaluator: RowEvaluator,
    basis: BasisValues,
    root_weight: FloatArray,
    coefficients: FloatArray,
    routes: list[list[tuple[int, FloatArray | None]]],
) -> FloatArray:
    """Return the weighted derivatives of some rows with respect to the free parameters, shape (B, V, n).

    Parameters
    ----------
    evaluator : RowEvaluator
    basis : BasisValues
        Of these rows.
    root_weight : ndarray, shape (B, n)
    coefficients : ndarray, shape (B, m)
    routes : list
        For each model parameter the free parameters behind it, with the slope (B,) or None for 1.
    """
    rows, n = root_weight.shape
    held = Elimination(
        np.zeros((rows, 0, n)),
        coefficients,
        np.zeros((rows, n)),
        np.zeros(rows),
        np.zeros((rows, 0, 0)),
        np.zeros(rows, dtype=bool),
        np.zeros((rows, 0, 0)),
    )
    return information(basis, held, root_weight, routes, len(evaluator.layout.free_names)).jacobian


def _qr(a: FloatArray) -> tuple[FloatArray, FloatArray]:
    n, d = a.shape[1:]
    if d == 0:
        return np.zeros((a.shape[0], n, 0)), np.zeros((a.shape[0], 0, 0))
    if n < d:  # fewer points than parameters: pad, the missing directions come out as undetermined
        a = np.concatenate([a, np.zeros((a.shape[0], d - n, d))], axis=1)
        q, r = np.linalg.qr(a)
        return q[:, :n], r
    q, r = np.linalg.qr(a)
    return q, r


def _triangle(a: FloatArray, size: int) -> FloatArray:
    """Return R of each (n, S) block, padded to (S, S)."""
    if size == 0:
        return np.zeros((a.shape[0], 0, 0))
    r: FloatArray = np.asarray(np.linalg.qr(a, mode="r"))
    if r.shape[1] < size:
        r = np.concatenate([r, np.zeros((r.shape[0], size - r.shape[1], size))], axis=1)
    return r


def _shared_covariance(stacked: FloatArray, full_norm: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the covariance of the shared parameters from what the patterns' own ones leave of their columns.

    `full_norm` (G, S) is the length of the columns before: one of which nothing but rounding is left is undetermined.
    """
    groups, size = full_norm.shape
    if size == 0:
        return np.zeros((groups, 0, 0)), np.zeros(groups, dtype=bool)
    norm = np.sqrt(np.einsum("gns,gns->gs", stacked, stacked))
    absorbed = ~(norm > SINGULAR * full_norm)
    norm = np.where(norm > 0, norm, 1.0)
    r = _triangle(stacked / norm[:, None, :], size)
    inverse, weak = _upper_inverse(r)
    inverse = inverse / norm[..., :, None]
    return inverse @ inverse.transpose(0, 2, 1), weak | absorbed.any(axis=1)
