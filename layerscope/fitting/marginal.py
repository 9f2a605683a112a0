"""The likelihood of a series with its amounts, and one parameter of each pattern, integrated out.

For given nonlinear parameters the amounts of a pattern have a Gaussian likelihood, cut off at zero where an amount
cannot be negative. Its integral is exp(-chi2/2) |G|^(-1/2) P, with the Gram matrix G of the weighted columns and the
probability P of that Gaussian that no amount is negative. The prior of the amounts is Jeffreys', |G|^(1/2) at and above
zero: with a flat one, places and widths at which lines overlap more would be likelier, for leaving amounts more room.
Patterns are independent for given shared parameters, so that one further parameter of each (a shift) is integrated on a
grid.

References
----------
Jeffreys, H. (1946). Proc. R. Soc. A 186, 453-461. doi:10.1098/rspa.1946.0056 (the prior)
Genz, A. (1992). J. Comput. Graph. Stat. 1, 141-149. doi:10.1080/10618600.1992.10477010 (the probability P)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr, ndtri

from layerscope.errors import FitError
from layerscope.fitting.series_fit import SeriesFit

__all__ = ["Amounts", "Marginal"]

FloatArray = NDArray[np.float64]

ROWS = 1 << 15  # points of columns that are worked out together: they stay in cache
FLAT = 1e-11  # share of a squared column, beside the others, below which it is taken to be undetermined
CLEAR = 5.0  # standard deviations above zero from which on an amount is not cut off
POINTS = 8  # at which the probability that no amount is negative is worked out
CANDIDATES = 16  # of which one set of amounts is drawn


@dataclass(frozen=True)
class Amounts:
    """Gaussian likelihood of the amounts of many patterns, each at some nonlinear parameters.

    Attributes
    ----------
    best : ndarray, shape (K, ...)
        Most likely amounts, negative ones included.
    factor : ndarray, shape (K, K, ...)
        Lower triangle R; the inverse of their covariance is R R'.
    bounded : ndarray of bool, shape (K,)
        Which cannot be negative.
    """

    best: FloatArray
    factor: FloatArray
    bounded: NDArray[np.bool_]

    def log_positive(self) -> FloatArray:
        """Return the logarithm of the probability that no bounded amount is negative, shape (...,)."""
        result = np.zeros(self.best.shape[1:])
        near = self._near()
        if near.any():
            cut = Amounts(self.best[:, near], self.factor[:, :, near], self.bounded)
            _, weight = cut.candidates(_uniform(POINTS, len(self.best))[:, :, None])
            top = weight.max(axis=0)
            result[near] = top + np.log(np.exp(weight - top).mean(axis=0))
        return result

    def _near(self) -> NDArray[np.bool_]:
        """Tell where some bounded amount may be negative."""
        count = len(self.best)
        inverse = np.zeros_like(self.factor)
        variance = np.zeros_like(self.best)
        for j in range(count):
            inverse[j, j] = 1.0 / self.factor[j, j]
            for i in range(j + 1, count):
                inverse[i, j] = -(self.factor[i, j:i] * inverse[j:i, j]).sum(axis=0) / self.factor[i, i]
            variance[j] = (inverse[j:, j] ** 2).sum(axis=0)
        return np.asarray((self.best < CLEAR * np.sqrt(variance))[self.bounded].any(axis=0))

    def candidates(self, uniform: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return amounts at or above zero, (K, Q, ...), and the logarithm of their weights, (Q, ...), from the last on.

        `uniform`, of a shape that broadcasts to (Q, K, ...), holds numbers between 0 and 1.
        """
        size = np.broadcast_shapes(uniform[:, 0].shape, (uniform.shape[0], *self.best.shape[1:]))
        away = np.empty((len(self.best), *size))
        weight = np.zeros(size)
        for j in reversed(range(len(self.best))):
            spread = 1.0 / self.factor[j, j]
            mean = self.best[j] - spread * (self.factor[j + 1 :, j, None] * away[j + 1 :]).sum(axis=0)
            z = mean / spread
            part = np.maximum(ndtr(z), 1e-300) if self.bounded[j] else np.ones(size)
            if self.bounded[j]:
                weight += log_ndtr(z)
            away[j] = mean - spread * ndtri(uniform[:, j] * part) - self.best[j]
        return self.best[:, None] + away, weight

    def draw(self, rng: np.random.Generator) -> FloatArray:
        """Return one set of amounts at each place, shape (K, ...)."""
        shape = self.best.shape[1:]
        drawn, weight = self.candidates(1.0 - rng.random((CANDIDATES, len(self.best), *shape)))
        keys = weight + rng.gumbel(size=weight.shape)  # the largest is one of them, drawn by weight
        return np.asarray(np.take_along_axis(drawn, keys.argmax(axis=0)[None, None], axis=1)[:, 0])


def _uniform(count: int, dimension: int) -> FloatArray:
    """Return evenly spread numbers between 0 and 1, (count, dimension), always the same; the last are the most even."""
    steps = np.sqrt([1.25, 3.0, 5.0, 7.0, 11.0, 13.0]) - 0.5  # no two of them in a ratio of small numbers
    index = np.arange(count)[:, None]
    others = (0.5 + index * np.resize(steps, max(dimension - 1, 0))) % 1.0
    return np.concatenate([others[:, ::-1], (index + 0.5) / count], axis=1)[:, -dimension:]


class Marginal:
    """Likelihood of the shared parameters of a fit, patterns side by side.

    Parameters
    ----------
    fit : SeriesFit
        Gives data, weights, model and what is known beforehand.
    forget : collection of str
        Parameters whose prior in the fit does not count.

    Raises
    ------
    FitError
        If the patterns have no common axis, the model a part without amount, or a pattern more than one parameter of
        its own.
    """

    def __init__(self, fit: SeriesFit, forget: tuple[str, ...] = ()) -> None:
        self.fit, self.evaluator = fit, fit.batch.evaluator
        layout, data = self.evaluator.layout, fit.batch.data
        if data.x.shape[0] > 1 or len(layout.local) > 1:
            raise FitError("only patterns with one axis, and with one parameter of their own at most, can be sampled")
        self.axis = data.x
        noise = fit.redchi if fit.batch.scaled else 1.0
        self.weight = fit.root_weight**2 / noise
        self.target = data.y[fit.group] - data.offset[fit.group]
        self.extra = None if data.columns is None else data.columns[fit.group]
        model = self.evaluator.model
        amount = np.array([*model.nonnegative, *(False,) * len(data.column_names)])
        areas = np.array([name.endswith("_area") for name in self.evaluator.linear_names])
        # what cannot be negative comes last, so that the lower corner of the factor belongs to it
        self.kept = np.flatnonzero(amount | areas)
        self.order = np.concatenate([np.flatnonzero(~(amount | areas)), self.kept])
        self.bounded = amount[self.kept]
        self.names = tuple(self.evaluator.linear_names[j] for j in self.kept)
        self._take_priors(forget)

    def _take_priors(self, forget: tuple[str, ...]) -> None:
        data, group = self.fit.batch.data, self.fit.group
        self.known: list[tuple[int, FloatArray, FloatArray]] = []
        self.known_amounts: list[tuple[int, FloatArray, FloatArray]] = []
        if data.prior is None or data.prior_root_weight is None:
            return
        for k, name in enumerate(data.prior_names):
            value, root = data.prior[group, :, k], data.prior_root_weight[group, :, k]
            if name in self.evaluator.linear_names:
                self.known_amounts.append((self.evaluator.linear_names.index(name), value, root))
            elif name not in forget:
                self.known.append((self.evaluator.names.index(name), value, root))

    def __call__(self, shared: FloatArray, local: FloatArray | None) -> tuple[FloatArray, Amounts]:
        """Return the log-likelihood of each pattern, shape (W, L, D), and its amounts.

        Parameters
        ----------
        shared : ndarray, shape (W, S)
        local : ndarray, shape (W, L, D), or None
            The patterns' own parameter at D places; D is 1 if they have none.
        """
        walkers, patterns = shared.shape[0], self.fit.n_patterns
        places = 1 if local is None else local.shape[2]
        q = self._parameters(shared, local)
        gram = np.empty((self.order.size + 1, self.order.size + 1, walkers, patterns, places))
        for members in self._alike(q):
            self._fill(gram, q, members)
        self._fill_priors(gram)
        chi2 = _factorise(gram)
        corner = self.order.size - self.kept.size
        factor = gram[corner:-1, corner:-1]
        amounts = Amounts(_back(factor, gram[-1, corner:-1]), factor, self.bounded)
        result = amounts.log_positive() - 0.5 * chi2
        for k, value, root in self.known:
            result -= 0.5 * ((q[..., k] - value[:, None]) * root[:, None]) ** 2
        return result, amounts

    def _parameters(self, shared: FloatArray, local: FloatArray | None) -> FloatArray:
        """Return the model's parameters, shape (W, L, D, Q)."""
        walkers, patterns = shared.shape[0], self.fit.n_patterns
        if local is None:
            q, _ = self.evaluator.parameters(shared, np.zeros((walkers, patterns, 0)))
            return q.reshape(walkers, patterns, 1, -1)
        places = local.shape[2]
        own = local.transpose(0, 2, 1).reshape(walkers * places, patterns, 1)
        q, _ = self.evaluator.parameters(np.repeat(shared, places, axis=0), own)
        return q.reshape(walkers, places, patterns, -1).transpose(0, 2, 1, 3)

    def _alike(self, q: FloatArray) -> list[list[int]]:
        """Return the patterns, those together that have the same columns."""
        groups: dict[bytes, list[int]] = {}
        for k in range(q.shape[1]):
            groups.setdefault(np.ascontiguousarray(q[:, k]).tobytes(), []).append(k)
        return list(groups.values())

    def _fill(self, gram: FloatArray, q: FloatArray, members: list[int]) -> None:
        """Fill in the products of the columns, and of columns with the data, of patterns whose columns are the same."""
        size, walkers, places = self.order.size, q.shape[0], q.shape[2]
        rows = q[:, members[0], :, : len(self.evaluator.layout.model_names)].reshape(walkers * places, -1)
        weight, target = self.weight[members], self.target[members]
        extra = None if self.extra is None else self.extra[members]
        step = max(1, ROWS // self.axis.shape[-1] // places) * places
        for first in range(0, len(rows), step):
            columns = self.evaluator.model.basis(self.axis, rows[first : first + step], derivatives=False).columns
            products = _products(columns, weight, target, extra, self.order)
            at = slice(first // places, (first + step) // places)
            gram[:, :, at, members] = products.reshape(size + 1, size + 1, -1, places, len(members)).swapaxes(3, 4)

    def _fill_priors(self, gram: FloatArray) -> None:
        last = self.order.size
        for j, value, root in self.known_amounts:
            k = int(np.flatnonzero(self.order == j)[0])
            gram[k, k] += root[:, None] ** 2
            gram[last, k] += (root**2 * value)[:, None]
            gram[last, last] += ((root * value) ** 2)[:, None]


def _products(
    columns: FloatArray, weight: FloatArray, target: FloatArray, extra: FloatArray | None, order: NDArray[np.intp]
) -> FloatArray:
    """Return the Gram matrix of columns and data, lower triangle, shape (m + 1, m + 1, R, L).

    Columns (R, m, n) are common to the patterns, weights and data (L, n) and further columns (L, e, n) their own.
    """
    rows, own, n = columns.shape
    more = 0 if extra is None else extra.shape[1]
    full = np.zeros((own + more + 1, own + more + 1, rows, len(weight)))
    last = own + more
    for i in range(own):
        pairs = columns[:, i, None] * columns[:, : i + 1]
        full[i, : i + 1] = (pairs.reshape(-1, n) @ weight.T).reshape(rows, i + 1, -1).swapaxes(0, 1)
    full[last, :own] = (columns.reshape(-1, n) @ (weight * target).T).reshape(rows, own, -1).swapaxes(0, 1)
    full[last, last] = (weight * target**2).sum(axis=1)
    if extra is not None:
        for e in range(more):
            crossed = columns.reshape(-1, n) @ (weight * extra[:, e]).T
            full[own + e, :own] = crossed.reshape(rows, own, -1).swapaxes(0, 1)
            full[own + e, own : own + e + 1] = (
                (extra[:, e, None] * extra[:, : e + 1] * weight[:, None]).sum(-1).T[:, None]
            )
            full[last, own + e] = (weight * target * extra[:, e]).sum(axis=1)
    index = np.append(order, last)
    high, low = np.maximum(index[:, None], index), np.minimum(index[:, None], index)
    return np.asarray(full[high, low])


def _factorise(gram: FloatArray) -> FloatArray:
    """Put the Cholesky factor of (m + 1, m + 1, ...) matrices in their place; return chi2.

    The last row is that of the data: what is left of its square is chi2.
    """
    last = len(gram) - 1
    for j in range(last):
        square = gram[j, j]
        root = np.sqrt(np.maximum(square - (gram[j, :j] ** 2).sum(axis=0), FLAT * square + 1e-300))
        gram[j, j] = root
        for i in range(j + 1, last + 1):
            gram[i, j] = (gram[i, j] - (gram[i, :j] * gram[j, :j]).sum(axis=0)) / root
    return np.asarray(gram[last, last] - (gram[last, :last] ** 2).sum(axis=0))


def _back(factor: FloatArray, right: FloatArray) -> FloatArray:
    """Solve R' a = right for lower triangles R (K, K, ...)."""
    solved = np.empty_like(right)
    for j in reversed(range(len(right))):
        solved[j] = (right[j] - (factor[j + 1 :, j] * solved[j + 1 :]).sum(axis=0)) / factor[j, j]
    return solved
