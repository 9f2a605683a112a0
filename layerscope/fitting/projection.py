"""Variable projection: the linear coefficients of many patterns at once, in closed form.

For given nonlinear parameters the best coefficients of a pattern solve a small linear least-squares problem. Putting
them back leaves a problem in the nonlinear parameters alone, whose Jacobian, in Kaufman's form, is the Jacobian of the
full model with the part that the columns can absorb projected out. Its gradient is exact, because the residual is
orthogonal to the columns.

References
----------
Golub, G. H. & Pereyra, V. (1973). SIAM J. Numer. Anal. 10, 413-432. doi:10.1137/0710036
Kaufman, L. (1975). BIT 15, 49-57. doi:10.1007/BF01932995
Portugal, L. F., Judice, J. J. & Vicente, L. N. (1994). Math. Comp. 63, 625-643. doi:10.1090/S0025-5718-1994-1250776-4
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri

from layerscope.fitting.basis import BasisValues

__all__ = [
    "ALIKE",
    "LOST",
    "Elimination",
    "Information",
    "Routes",
    "RowSums",
    "bounded",
    "definite_inverse",
    "definite_inverse_of_few",
    "eliminate",
    "gram_inverse",
    "information",
    "reduced",
    "times",
]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
#: For each model parameter the free parameters it depends on, with the slope (B,) or None for 1.
Routes = list[list[tuple[int, FloatArray | None]]]
Inverse = Callable[[FloatArray], tuple[FloatArray, FloatArray]]

RCOND = 1e-13  # relative eigenvalue of the scaled Gram matrix below which a direction counts as undetermined
ALIKE = 1e-5  # what is left of a unit column beside the others, below which the Gram matrix has lost too many digits
#: Share of a squared length that a projection may leave before the difference of products has lost its digits.
LOST = 1e-6
ROOT_RCOND = float(np.sqrt(RCOND))
EXCHANGES = 8  # rounds of exchange after which a pattern is solved alone


@dataclass(frozen=True)
class Elimination:
    """Linear coefficients of B patterns and what is left of the data.

    Attributes
    ----------
    columns : ndarray, shape (B, m, n)
        Weighted columns.
    coefficients : ndarray, shape (B, m)
    residual : ndarray, shape (B, n)
        Weighted residual, data minus model, in units of sigma.
    chi2 : ndarray, shape (B,)
    inverse : ndarray, shape (B, m, m)
        Inverse Gram matrix of the columns in use; zero for a coefficient held at its bound.
    alike : ndarray of bool, shape (B,)
        Patterns whose columns are so nearly alike that this inverse has lost its digits.
    gram : ndarray, shape (B, m, m)
        Products of the weighted columns.
    """

    columns: FloatArray
    coefficients: FloatArray
    residual: FloatArray
    chi2: FloatArray
    inverse: FloatArray
    alike: BoolArray
    gram: FloatArray


@dataclass(frozen=True)
class RowSums:
    """What R patterns give to the normal equations: m coefficients, V free parameters.

    Attributes
    ----------
    chi2, apart : ndarray, shape (R,)
        Sum of squared residuals; smallest share of a squared derivative that the columns do not absorb, 1 without any.
    coefficients : ndarray, shape (R, m)
    gradient : ndarray, shape (R, V)
    curvature : ndarray, shape (R, V, V)
        The coefficients projected out.
    whole : ndarray, shape (R, V, V)
        The coefficients held.
    mixed : ndarray, shape (R, m, V)
        Products of columns and derivatives.
    gram : ndarray, shape (R, m, m)
        Products of columns.
    inverse : ndarray, shape (R, m, m)
        Of these; zero for a coefficient held at its bound.
    """

    chi2: FloatArray
    apart: FloatArray
    coefficients: FloatArray
    gradient: FloatArray
    curvature: FloatArray
    whole: FloatArray
    mixed: FloatArray
    gram: FloatArray
    inverse: FloatArray

    @classmethod
    def empty(cls, rows: int, m: int, v: int) -> RowSums:
        """Return room for `rows` patterns."""
        sizes = ((), (), (m,), (v,), (v, v), (v, v), (m, v), (m, m), (m, m))
        return cls(*(np.empty((rows, *size)) for size in sizes))

    def arrays(self) -> tuple[FloatArray, ...]:
        """Return all arrays, in order."""
        return tuple(vars(self).values())

    def put(self, part: slice | NDArray[np.intp], other: RowSums) -> None:
        """Write some of the patterns."""
        for mine, its in zip(self.arrays(), other.arrays(), strict=True):
            mine[part] = its


def eliminate(
    values: BasisValues, y: FloatArray, root_weight: FloatArray, nonnegative: BoolArray | None
) -> Elimination:
    """Solve for the linear coefficients of every pattern.

    Parameters
    ----------
    values : BasisValues
        Columns of shape (B, m, n).
    y : ndarray, shape (B, n)
        Data.
    root_weight : ndarray, shape (B, n)
        1 / sigma of each point; 0 leaves a point out.
    nonnegative : ndarray of bool, shape (m,), optional
        Coefficients to keep at or above zero.
    """
    target = (y if values.offset is None else y - values.offset) * root_weight
    a = values.columns * root_weight[:, None, :]
    if a.shape[1] == 0:
        chi2 = np.einsum("bn,bn->b", target, target)
        none = np.zeros((a.shape[0], 0, 0))
        return Elimination(a, np.zeros((a.shape[0], 0)), target, chi2, none, np.zeros(a.shape[0], dtype=bool), none)
    a_t = a.transpose(0, 2, 1)
    gram = a @ a_t
    inverse, alike = gram_inverse(gram)
    c = times(inverse, times(a, target))
    residual = target - times(a_t, c)
    correction = times(inverse, times(a, residual))  # one step of refinement: normal equations lose half the digits
    c = c + correction
    residual = residual - times(a_t, correction)
    for row in np.flatnonzero(alike):
        back, span = _orthogonal(a[row])
        along = span.T @ target[row]
        c[row], residual[row], inverse[row] = back @ along, target[row] - span @ along, back @ back.T
    if nonnegative is not None and nonnegative.any():
        wrong = np.flatnonzero((c[:, nonnegative] < 0).any(axis=1))
        if wrong.size:
            used = a[wrong]
            c[wrong], inverse[wrong] = bounded(gram[wrong], times(used, target[wrong]), c[wrong], nonnegative)
            residual[wrong] = target[wrong] - times(used.transpose(0, 2, 1), c[wrong])
    return Elimination(a, c, residual, np.einsum("bn,bn->b", residual, residual), inverse, alike, gram)


def times(matrix: FloatArray, vector: FloatArray) -> FloatArray:
    """Multiply a stack of matrices (B, i, j) with a stack of vectors (B, j)."""
    result: FloatArray = (matrix @ vector[..., None])[..., 0]
    return result


def definite_inverse(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Invert stacked positive matrices (B, m, m), and return the smallest pivot of each, not a number if it is not one.

    The pivots of a matrix of unit diagonal say how near to singular it is: what is left of a unit column beside others.
    """
    try:
        pivots = np.einsum("bii->bi", np.linalg.cholesky(matrix)).min(axis=1, initial=1.0)
        return np.asarray(np.linalg.inv(matrix)), pivots
    except np.linalg.LinAlgError:
        return np.zeros_like(matrix), np.full(len(matrix), np.nan)


def definite_inverse_of_few(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Do the same without the detours of numpy, which cost more than a small matrix; few of them one by one."""
    inverse, left = np.zeros_like(matrix), np.full(len(matrix), np.nan)
    for row, one in enumerate(matrix):
        factor, failed = dpotrf(one, lower=1)
        if not failed:
            left[row] = factor.diagonal().min(initial=1.0)
            lower, _ = dpotri(factor, lower=1)
            inverse[row] = lower + lower.T
            inverse[row].ravel()[:: len(one) + 1] *= 0.5
    return inverse, left


def gram_inverse(gram: FloatArray, invert: Inverse = definite_inverse) -> tuple[FloatArray, BoolArray]:
    """Invert a stack of Gram matrices, leaving out undetermined directions; say which are too close to singular."""
    diagonal = np.einsum("bii->bi", gram)
    if (diagonal > 0).all():  # nearly always: columns that are not alike
        scale = 1.0 / np.sqrt(diagonal)
        inverse, left = invert(gram * scale[:, :, None] * scale[:, None, :])
        if (left >= ROOT_RCOND).all():
            return inverse * scale[:, :, None] * scale[:, None, :], left < ALIKE
    with np.errstate(all="ignore"):
        scale = np.where(diagonal > 0, 1.0 / np.sqrt(diagonal), 0.0)
    scaled = gram * scale[:, :, None] * scale[:, None, :]
    bad = ~np.isfinite(scaled).all(axis=(1, 2))
    scaled[bad] = 0.0
    eigenvalues, vectors = np.linalg.eigh(scaled)
    keep = eigenvalues > RCOND * np.maximum(eigenvalues[:, -1:], 1e-300)
    with np.errstate(all="ignore"):
        weights = np.where(keep, 1.0 / eigenvalues, 0.0)
    inverse = (vectors * weights[:, None, :]) @ vectors.transpose(0, 2, 1)
    alike = ~bad & ((eigenvalues < ALIKE**2).sum(axis=1) > (scale == 0).sum(axis=1))
    return np.asarray(inverse * scale[:, :, None] * scale[:, None, :]), alike


def _orthogonal(columns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Solve one pattern by singular values, so that the condition number of its columns (m, n) enters only once.

    Returns
    -------
    back : ndarray, shape (m, rank)
        Coefficients of the columns that make each vector of the span.
    span : ndarray, shape (n, rank)
        Orthonormal basis of the columns.
    """
    norm = np.sqrt(np.einsum("mn,mn->m", columns, columns))
    scale = 1.0 / np.where(norm > 0, norm, 1.0)
    left, singular, right = np.linalg.svd((columns * scale[:, None]).T, full_matrices=False)
    keep = singular > RCOND * singular.max(initial=1e-300)
    return right[keep].T * scale[:, None] / singular[keep], left[:, keep]


def bounded(
    gram: FloatArray, moment: FloatArray, free: FloatArray, nonnegative: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Least squares of B patterns with some coefficients >= 0, from their unbounded solution `free` (B, m).

    Which coefficients are at zero is found for all patterns at once by exchanging every one that has the wrong sign
    (Portugal, Judice & Vicente 1994), pattern by pattern where that does not end soon.
    """
    passive = ~nonnegative | (free > 0)
    c, inverse = np.zeros_like(moment), np.zeros_like(gram)
    tolerance = 1e-12 * np.abs(moment).max(axis=1, initial=0.0)
    left = np.arange(len(moment))
    for _ in range(EXCHANGES):
        g, b, at = gram[left], moment[left], passive[left]
        c[left], inverse[left] = _on(g, b, at)
        slope = b - times(g, c[left])
        negative = at & nonnegative & (c[left] <= 0)
        wrong = negative | (~at & (slope > tolerance[left, None]))
        passive[left] ^= wrong
        left = left[wrong.any(axis=1)]
        if left.size == 0:
            return c, inverse
    for row in left:
        c[row], inverse[row] = _one_bounded(gram[row], moment[row], nonnegative)
    return c, inverse


def _on(gram: FloatArray, moment: FloatArray, passive: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Solve B patterns for the coefficients `passive`, shape (B, m); the others, and their inverse, are zero."""
    both = passive[:, :, None] & passive[:, None, :]
    inverse = np.where(both, gram_inverse(np.where(both | np.eye(passive.shape[1], dtype=bool), gram, 0.0))[0], 0.0)
    c = times(inverse, moment)
    return c + np.where(passive, times(inverse, moment - times(gram, c)), 0.0), inverse


def _one_bounded(gram: FloatArray, moment: FloatArray, nonnegative: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Solve one pattern by Lawson and Hanson's active-set method on the Gram matrix."""
    m = moment.size
    passive = ~nonnegative
    c = np.zeros(m)
    if passive.any():
        c[passive] = np.linalg.lstsq(gram[np.ix_(passive, passive)], moment[passive], rcond=None)[0]
    tolerance = 1e-12 * np.abs(moment).max(initial=0.0)
    for _ in range(3 * m):
        slope = moment - gram @ c
        candidates = np.where(~passive & (slope > tolerance), slope, -np.inf)
        if not np.isfinite(candidates).any():
            break
        passive[int(np.argmax(candidates))] = True
        while True:
            trial = np.zeros(m)
            trial[passive] = np.linalg.lstsq(gram[np.ix_(passive, passive)], moment[passive], rcond=None)[0]
            blocked = passive & nonnegative & (trial <= 0)
            if not blocked.any():
                c = trial
                break
            ratio = c[blocked] / (c[blocked] - trial[blocked])
            c = c + ratio.min() * (trial - c)
            passive &= ~(nonnegative & (c <= 1e-300 + 1e-15 * np.abs(c).max()))
    inverse = np.zeros((m, m))
    index = np.ix_(passive, passive)
    inverse[index] = gram_inverse(gram[index][None])[0][0]
    return c, inverse


@dataclass(frozen=True)
class Information:
    """Second-order information of B patterns about the free parameters.

    Attributes
    ----------
    jacobian : ndarray, shape (B, V, n)
        Weighted derivative of the model with respect to each free parameter, coefficients held.
    gradient : ndarray, shape (B, V)
        jacobian @ residual: minus half the gradient of chi2.
    curvature : ndarray, shape (B, V, V)
        jacobian @ jacobian.T, not yet projected.
    mixed : ndarray, shape (B, m, V)
        columns @ jacobian.T
    """

    jacobian: FloatArray
    gradient: FloatArray
    curvature: FloatArray
    mixed: FloatArray


def information(
    values: BasisValues,
    solved: Elimination,
    root_weight: FloatArray,
    routes: Routes,
    n_free: int,
) -> Information:
    """Contract the derivatives of the columns with the coefficients, for each free parameter.

    Parameters
    ----------
    values, solved, root_weight
        As given to and returned by `eliminate`.
    routes : list
        For each model parameter, the free parameters it depends on, with the slope (B,) or None for 1.
    n_free : int
        Number of free parameters, V.
    """
    rows, n = solved.residual.shape
    jacobian = np.zeros((rows, n_free, n))
    c = solved.coefficients
    for parameter, column, d in values.derivatives:
        for target, slope in routes[parameter]:
            factor = c[:, column] if slope is None else c[:, column] * slope
            jacobian[:, target] += factor[:, None] * d
    for parameter, d in values.offset_derivatives:
        for target, slope in routes[parameter]:
            jacobian[:, target] += d if slope is None else slope[:, None] * d
    jacobian *= root_weight[:, None, :]
    transposed = jacobian.transpose(0, 2, 1)
    return Information(
        jacobian,
        times(jacobian, solved.residual),
        jacobian @ transposed,
        solved.columns @ transposed,
    )


def reduced(info: Information, solved: Elimination) -> RowSums:
    """Project the coefficients out."""
    gradient: FloatArray = info.gradient
    curvature: FloatArray = info.curvature - info.mixed.transpose(0, 2, 1) @ solved.inverse @ info.mixed
    whole, left = np.einsum("bvv->bv", info.curvature), np.einsum("bvv->bv", curvature)
    with np.errstate(all="ignore"):
        share = np.fmin.reduce(left / whole, axis=1, initial=1.0)
    for row in np.flatnonzero((share <= LOST) | solved.alike):
        # Columns that are nearly alike have huge coefficients, and then the difference above is rounding, not even
        # positive, and so is the slope. Projected first and multiplied afterwards, they are right.
        used = np.diagonal(solved.inverse[row]) > 0
        rest = _apart(info.jacobian[row], solved.columns[row][used])
        gradient[row], curvature[row] = rest @ solved.residual[row], rest @ rest.T
        with np.errstate(all="ignore"):
            share[row] = np.fmin.reduce(left[row] / whole[row], initial=1.0)
    found = (solved.chi2, share, solved.coefficients, gradient, curvature, info.curvature, info.mixed)
    return RowSums(*found, solved.gram, solved.inverse)


def _apart(rows: FloatArray, columns: FloatArray) -> FloatArray:
    """Return what is left of `rows` (V, n) beside the span of `columns` (m, n); not a number if one is not finite."""
    if not (np.isfinite(columns).all() and np.isfinite(rows).all()):
        return np.full(rows.shape, np.nan)
    _, span = _orthogonal(columns)
    rest: FloatArray = rows - (rows @ span) @ span.T
    return rest
