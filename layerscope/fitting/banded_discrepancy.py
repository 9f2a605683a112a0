"""The discrepancy of long patterns: errors that know that shapes may be wrong, in time linear in the points.

The model is that of `layerscope.fitting.discrepancy`: residuals are N(0, s^2 (I + K)) in units of the noise, K a smooth
kernel in proportion to each component's counts whose net area is taken out. A whole powder pattern has thousands of
points and its errors a reach of some line widths, so K is a band: the kernel is Wendland's of compact support, as
curved at the origin as a Gaussian of the same length, and the band is factored by Cholesky. Amplitude and length are
those of highest restricted likelihood beside all that the model's parameters can explain, pooled over patterns, s is
each pattern's own. One generalised least-squares step gives what the parameters become, and their covariance.

References
----------
Kennedy, M. C. & O'Hagan, A. (2001). J. R. Stat. Soc. B 63, 425-464. doi:10.1111/1467-9868.00294 (discrepancy)
Patterson, H. D. & Thompson, R. (1971). Biometrika 58, 545-554. doi:10.1093/biomet/58.3.545 (restricted likelihood)
Wendland, H. (1995). Adv. Comput. Math. 4, 389-396. doi:10.1007/BF02123482 (kernel)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.ndimage import gaussian_filter1d

from layerscope.fitting.discrepancy import Discrepancy

__all__ = ["Beside", "Generalised", "LongPattern", "pooled_discrepancy"]

FloatArray = NDArray[np.float64]

SHORTEST, LONGEST, LENGTHS = 2.0, 0.03, 5
"""Lengths that are tried: from so many steps of the axis to a share of its range."""

AMPLITUDES = np.geomspace(2e-3, 1.0, 12)
"""Relative errors of the counts that are tried."""

WORTH = 2.0
"""Gain of the restricted log-likelihood below which there is no discrepancy: that of its two parameters by AIC."""

SUPPORT = math.sqrt(20.0)
"""Reach of Wendland's kernel in lengths of the Gaussian that is as curved at the origin."""


@dataclass(frozen=True)
class Generalised:
    """What one generalised least-squares step says of q parameters.

    Attributes
    ----------
    step : ndarray, shape (q,)
        Change of the parameters.
    covariance : ndarray, shape (q, q)
    """

    step: FloatArray
    covariance: FloatArray


@dataclass(frozen=True)
class Beside:
    """What a pattern says of further components, each alone beside its parameters.

    Attributes
    ----------
    amount : ndarray, shape (m,)
        Of every component.
    weight : ndarray, shape (m,)
        Inverse of its variance in units of `noise`.
    noise : float
        Variance of what is left without them.
    """

    amount: FloatArray
    weight: FloatArray
    noise: float


@dataclass(frozen=True)
class LongPattern:
    """A fit of one pattern about its solution, in units of the noise.

    Attributes
    ----------
    x : ndarray, shape (n,)
        Axis, ascending.
    residual : ndarray, shape (n,)
        (measured - calculated) / sigma.
    jacobian : ndarray, shape (n, q)
        Derivatives of calculated / sigma; no column may be zero.
    counts : ndarray, shape (p, n)
        Of every component over sigma.
    sigma : ndarray, shape (n,)
        Noise.
    """

    x: FloatArray
    residual: FloatArray
    jacobian: FloatArray
    counts: FloatArray
    sigma: FloatArray

    @cached_property
    def _size(self) -> FloatArray:
        size = np.linalg.norm(self.jacobian, axis=0)
        return np.where(size > 0, size, 1.0)

    @cached_property
    def _columns(self) -> FloatArray:
        return np.column_stack([self.jacobian / self._size, self.residual])

    def likelihoods(self, lengths: FloatArray) -> FloatArray:
        """Return the gain of the restricted log-likelihood, shape (lengths, `AMPLITUDES`), over no discrepancy."""
        none = self._likelihood(self._columns.T @ self._columns, 0.0)[0]
        found = np.empty((len(lengths), AMPLITUDES.size))
        for row, length in zip(found, lengths, strict=True):
            kernel = self._kernel(float(length))
            row[:] = [self._likelihood(*self._product(float(a), *kernel))[0] - none for a in AMPLITUDES]
        return found

    def generalised(self, known: Discrepancy) -> Generalised:
        """Take one generalised least-squares step."""
        product, determinant = self._product_of(known)
        noise = self._likelihood(product, determinant)[1]
        inverse = np.linalg.pinv(product[:-1, :-1], hermitian=True)
        return Generalised(inverse @ product[:-1, -1] / self._size, noise * inverse / np.outer(self._size, self._size))

    def reshaped(self, width: float) -> LongPattern:
        """Return the pattern with a further parameter for each component, which widens its lines and keeps their area.

        Parameters
        ----------
        width : float
            Standard deviation of the Gaussian that the lines are convolved with, unit of `x`.
        """
        step = float(np.median(np.diff(self.x)))
        even = np.arange(self.x[0], self.x[-1] + step, step)
        curves = [np.interp(even, self.x, counts * self.sigma) for counts in self.counts]
        wider = [gaussian_filter1d(curve, width / step, mode="constant") - curve for curve in curves]
        columns = [np.interp(self.x, even, curve) / self.sigma for curve in wider]
        return replace(self, jacobian=np.column_stack([self.jacobian, *columns]))

    def beside(self, known: Discrepancy, columns: FloatArray) -> Beside:
        """Return the amounts of further components in units of the noise, shape (n, m), each alone."""
        more = replace(self, jacobian=np.column_stack([self.jacobian, columns]))
        q, size = self.jacobian.shape[1], more._size
        product = more._product_of(known)[0]
        own, cross = product[:q, :q], product[:q, q:]
        left = product[q:, q:] - cross.T @ np.linalg.pinv(own, hermitian=True) @ cross
        weight = np.maximum(np.diag(left)[:-1], 1e-300)
        noise = max(float(left[-1, -1]) / (self.x.size - q), 1e-12)
        return Beside(left[:-1, -1] / weight / size[q:], weight * size[q:] ** 2, noise)

    def _product_of(self, known: Discrepancy) -> tuple[FloatArray, float]:
        if known.amplitude > 0:
            return self._product(known.amplitude, *self._kernel(known.length))
        return self._columns.T @ self._columns, 0.0

    def _kernel(self, length: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return K of amplitude one as an upper band (b + 1, n), K u of every component (n, p) and u' K u.

        u adds up the counts of a component.
        """
        reach, n = SUPPORT * length, self.x.size
        width = max(int(np.max(np.searchsorted(self.x, self.x + reach) - np.arange(n))), 1)
        band, area = np.zeros((width, n)), self.counts * self.sigma
        spread = np.zeros_like(area)
        for k in range(width):
            r = np.minimum((self.x[k:] - self.x[: n - k]) / reach, 1.0)
            weight = (1.0 - r) ** 4 * (4.0 * r + 1.0)
            both = np.einsum("pi,pi->i", self.counts[:, k:], self.counts[:, : n - k])
            band[width - 1 - k, k:] = weight * both
            spread[:, k:] += weight * area[:, : n - k]
            if k:
                spread[:, : n - k] += weight * area[:, k:]
        return band, (self.counts * spread).T, np.einsum("pi,pi->p", area, spread)

    def _product(
        self, amplitude: float, band: FloatArray, column: FloatArray, size: FloatArray
    ) -> tuple[FloatArray, float]:
        """Return [J r]' (I + K)^-1 [J r] and the logarithm of the determinant of I + K."""
        whole = amplitude**2 * band
        whole[-1] += 1.0
        factor = cholesky_banded(whole, check_finite=False)
        right = np.concatenate([self._columns, column], axis=1)
        product = right.T @ cho_solve_banded((factor, False), right, check_finite=False)
        q = self._columns.shape[1]
        size = size / amplitude**2
        inner = np.diag(size) - product[q:, q:]  # the net area, taken out of the kernel of each component
        value = product[:q, :q] + product[:q, q:] @ np.linalg.solve(inner, product[q:, :q])
        determinant = 2.0 * float(np.log(factor[-1]).sum())
        determinant += float(np.linalg.slogdet(inner)[1]) - float(np.log(size).sum())
        return 0.5 * (value + value.T), determinant

    def _likelihood(self, product: FloatArray, determinant: float) -> tuple[float, float]:
        """Return the restricted log-likelihood and the variance of the noise that is left."""
        normal, right = product[:-1, :-1], product[:-1, -1]
        freedom = self.x.size - right.size
        left = float(product[-1, -1] - right @ np.linalg.lstsq(normal, right, rcond=None)[0])
        noise = max(left / freedom, 1e-12)
        determinant += float(np.linalg.slogdet(normal)[1])
        return -0.5 * (determinant + freedom * math.log(noise)), noise


def pooled_discrepancy(patterns: Sequence[LongPattern]) -> Discrepancy:
    """Return the discrepancy of highest restricted likelihood over some patterns of one measurement.

    Parameters
    ----------
    patterns : sequence of LongPattern

    Returns
    -------
    Discrepancy
        Of amplitude zero where there is none to be seen.
    """
    first = patterns[0].x
    step, span = float(np.median(np.diff(first))), float(np.ptp(first))
    lengths = np.geomspace(SHORTEST * step, max(LONGEST * span, 2.0 * SHORTEST * step), LENGTHS)
    gain = np.sum([pattern.likelihoods(lengths) for pattern in patterns], axis=0)
    row, k = np.unravel_index(int(gain.argmax()), gain.shape)
    if not gain[row, k] > WORTH:
        return Discrepancy(0.0, span)
    shift = 0.0
    if 0 < k < AMPLITUDES.size - 1:  # the top of the parabola through the best three
        before, at, after = gain[row, k - 1 : k + 2]
        bend = before - 2.0 * at + after
        shift = float(0.5 * (before - after) / bend) if bend < 0 else 0.0
    ratio = float(AMPLITUDES[1] / AMPLITUDES[0])
    return Discrepancy(float(AMPLITUDES[k]) * ratio**shift, float(lengths[row]))
