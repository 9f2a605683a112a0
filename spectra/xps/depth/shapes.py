"""Shapes of a depth profile: three rises from 0 to 1, the levels on both sides, and the profile with its errors.

Every model is ``start * (1 - g(t)) + end * g(t)`` with a rise g from 0 to 1 and levels >= 0 before and behind it, of
which one may be held at zero. Three rises: a straight ramp between two kinks; an error function, the shape of an
interface that is blurred by roughness, mixing and the escape depth [1]_, given by its half time and its 16-84 % width;
an exponential approach from the first level on, given by its 1/e time.

References
----------
.. [1] S. Hofmann, Sputter depth profile analysis of interfaces, Rep. Prog. Phys. 61, 827 (1998),
   doi:10.1088/0034-4885/61/7/002: interface width between 16 % and 84 %.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import ndtr

from layerscope.errors import DataError
from layerscope.fitting.covariance import LevelCovariance

from ..dataset import FloatArray

__all__ = ["SPECS", "TINY", "Data", "FreeLevels", "Kind", "Spec", "boxes", "rise"]

Kind = Literal["ramp", "edge", "approach"]
FreeLevels = Literal["up", "down", "between"]

# Narrowest edge and shortest 1/e time looked for, as part of the smallest etch step; longest, as part of the profile
_NARROWEST, _LONGEST = 0.05, 10.0
TINY = 1e-12
_MOST_IN_A_MATRIX = 200  # levels whose covariance is made a matrix


@dataclass(frozen=True)
class Spec:
    """One model: which rise, and which levels are free.

    Attributes
    ----------
    kind : {"ramp", "edge", "approach"}
    levels : {"up", "down", "between"}
        From zero to a level, from a level to zero, or between two free levels.
    """

    kind: Kind
    levels: FreeLevels

    @property
    def n_free(self) -> int:
        """Number of free parameters: levels, and nonlinear ones."""
        return (2 if self.levels == "between" else 1) + (1 if self.kind == "approach" else 2)

    @property
    def smooth(self) -> bool:
        """Whether the model has no kinks."""
        return self.kind != "ramp"


SPECS: dict[str, Spec] = {
    "ramp_up": Spec("ramp", "up"),
    "ramp_down": Spec("ramp", "down"),
    "two_level": Spec("ramp", "between"),
    "edge_up": Spec("edge", "up"),
    "edge_down": Spec("edge", "down"),
    "two_level_edge": Spec("edge", "between"),
    "decay": Spec("approach", "down"),
    "approach": Spec("approach", "between"),
}


@dataclass(frozen=True)
class Data:
    """A profile whose errors are made independent and 1 by `whitener`, the inverse Cholesky factor.

    Attributes
    ----------
    time : ndarray, shape (L,)
        Etch times (s).
    target, ones : ndarray, shape (L,)
        Whitened values, and a whitened constant.
    whitener : ndarray, shape (L, L) or (L,)
        The latter for independent levels, and for those of `common`.
    common : tuple of ndarray, or None
        What many levels have in common, by its orthonormal directions, shape (L, S), and by how much each is to be made
        smaller, shape (S,).
    """

    time: FloatArray
    target: FloatArray
    ones: FloatArray
    whitener: FloatArray
    common: tuple[FloatArray, FloatArray] | None = None

    @classmethod
    def of(cls, time: FloatArray, values: FloatArray, covariance: FloatArray | LevelCovariance) -> Data:
        """Whiten a profile; the scales of the errors are split off first, so that huge ones beside small ones are fine.

        Errors of one dimension are those of independent levels.

        Raises
        ------
        DataError
            The covariance is not positive definite.
        """
        if isinstance(covariance, LevelCovariance):
            if time.size > _MOST_IN_A_MATRIX:
                return cls._in_parts(time, values, covariance)
            covariance = covariance.matrix()
        if covariance.ndim == 1:
            if not np.all(covariance > 0.0):
                raise DataError("the covariance of the fractions is not positive definite")
            return cls(time, values / covariance, 1.0 / covariance, 1.0 / covariance)
        sigma = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
        if not np.all(sigma > 0.0):
            raise DataError("the covariance of the fractions is not positive definite")
        correlation = covariance / sigma / sigma[:, None]
        if np.array_equal(correlation, np.diag(np.diagonal(correlation))):
            return cls(time, values / sigma, 1.0 / sigma, 1.0 / sigma)
        try:
            factor = np.linalg.cholesky(0.5 * (correlation + correlation.T))
        except np.linalg.LinAlgError as error:
            raise DataError("the covariance of the fractions is not positive definite") from error
        whitener = solve_triangular(factor, np.diag(1.0 / sigma), lower=True)
        return cls(time, whitener @ values, whitener @ np.ones(time.size), np.asarray(whitener))

    @classmethod
    def _in_parts(cls, time: FloatArray, values: FloatArray, covariance: LevelCovariance) -> Data:
        """Whiten many levels: with V = D + U U', the inverse root of 1 + D^-1/2 U U' D^-1/2 has as many parts as U."""
        if not np.all(covariance.own > 0.0):
            raise DataError("the covariance of the fractions is not positive definite")
        scale = 1.0 / np.sqrt(covariance.own)
        power, turn = np.linalg.eigh(covariance.between)
        root = turn * np.sqrt(np.maximum(power, 0.0))
        directions, sizes, _ = np.linalg.svd((covariance.slope * scale[:, None]) @ root, full_matrices=False)
        data = cls(time, values, np.ones(time.size), scale, (directions, 1.0 - 1.0 / np.sqrt(1.0 + sizes**2)))
        return replace(data, target=data.whiten(values), ones=data.whiten(data.ones))

    def whiten(self, rows: FloatArray) -> FloatArray:
        """Whiten vectors (..., L)."""
        if self.whitener.ndim > 1:
            return np.asarray(rows @ self.whitener.T)
        alone = rows * self.whitener
        if self.common is None:
            return alone
        directions, less = self.common
        return np.asarray(alone - ((alone @ directions) * less) @ directions.T)

    @property
    def span(self) -> float:
        """Length of the profile (s)."""
        return float(self.time[-1] - self.time[0])

    @property
    def step(self) -> float:
        """Smallest distance of two levels (s)."""
        return float(np.diff(self.time).min())


def rise(kind: Kind, time: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    """Return g(t), shape (G, L), at internal parameters of shape (G,)."""
    if kind == "ramp":
        scaled = (time - first[:, None]) / np.maximum(second - first, TINY)[:, None]
        return np.asarray(np.minimum(np.maximum(scaled, 0.0), 1.0))
    if kind == "edge":
        return np.asarray(ndtr((time - first[:, None]) * (2.0 * np.exp(-second))[:, None]))
    return np.asarray(-np.expm1((time[0] - time) * np.exp(-second)[:, None]))


def boxes(data: Data, spec: Spec) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the ranges of the internal parameters.

    The kinks of a ramp from or to zero reach one length of the profile beyond it: "before the start" and "after the
    end". Between two free levels the part outside is not measured; the levels are then those at the ends.
    """
    start, end, span = float(data.time[0]), float(data.time[-1]), data.span
    if spec.kind == "ramp":
        return ((start, end), (start, end)) if spec.levels == "between" else ((start - span, end), (start, end + span))
    widths = (float(np.log(_NARROWEST * data.step)), float(np.log((2.0 if spec.kind == "edge" else _LONGEST) * span)))
    return ((start, end), widths) if spec.kind == "edge" else ((0.0, 0.0), widths)
