"""Agreement indices, serial correlation of residuals and correlations: pure numerics, the same for both engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerscope.flags import threshold

from .model import FloatArray

__all__ = ["Agreement", "agreement", "serial_correlation_factor", "strong_correlations"]


@dataclass(frozen=True)
class Agreement:
    """Profile agreement: ``rwp`` and ``rexp`` as fractions, ``gof`` their ratio, ``chi2`` the weighted sum."""

    rwp: float
    rexp: float
    gof: float
    chi2: float
    n_data: int
    n_free: int


def agreement(observed: FloatArray, calculated: FloatArray, sigma: FloatArray, n_free: int) -> Agreement:
    """Compute Rwp, Rexp and goodness of fit.

    ``Rwp² = Σ w (o − c)² / Σ w o²`` and ``Rexp² = (N − P) / Σ w o²`` with ``w = 1/σ²``
    (Toby 2006, Powder Diffr. 21, 67).

    Parameters
    ----------
    observed, calculated, sigma : ndarray, shape (n,)
    n_free : int
        Number of refined parameters.
    """
    delta = (observed - calculated) / sigma
    norm = float(np.sum((observed / sigma) ** 2))
    chi2 = float(delta @ delta)
    freedom = max(observed.size - n_free, 1)
    rwp, rexp = np.sqrt(chi2 / norm), np.sqrt(freedom / norm)
    return Agreement(float(rwp), float(rexp), float(rwp / rexp), chi2, int(observed.size), int(n_free))


def serial_correlation_factor(residual: FloatArray) -> float:
    """Factor by which esds grow when neighbouring residuals are correlated.

    Bérar & Lelann 1991, J. Appl. Cryst. 24, 1, section IV, equations 10–12: a residual ``a_i`` with the sign of its
    predecessor is correlated with probability ``z_i = q/(2 + q)``, ``q² = 2π(a_i² + a_{i−1}²)``; it is added
    quadratically with weight ``1 − z²`` and linearly, within its run of equal signs, with weight ``z``. White
    residuals give 1.13, not 1.

    Parameters
    ----------
    residual : ndarray, shape (n,)
        Residuals in units of sigma, in the order of the scan.
    """
    a = np.asarray(residual, dtype=np.float64)
    total = float(a @ a)
    if a.size < 2 or total <= 0.0:
        return 1.0
    same = a[1:] * a[:-1] > 0.0
    q = np.sqrt(2.0 * np.pi * (a[1:] ** 2 + a[:-1] ** 2))
    z = np.zeros_like(a)
    z[1:][same] = (q / (2.0 + q))[same]
    quadratic = float(np.sum((1.0 - z**2) * a**2))
    # every index where a new run starts gets a new number; the points with z = 0 add nothing to their run's sum
    run = np.cumsum(np.concatenate([[True], ~same]))
    linear = np.bincount(run, weights=z * a)
    return max(1.0, float(np.sqrt((quadratic + float(linear @ linear)) / total)))


def strong_correlations(names: Sequence[str], covariance: FloatArray) -> tuple[tuple[str, str, float], ...]:
    """List the pairs whose correlation is so large that they are flagged ``CORRELATED``, strongest first.

    Parameters
    ----------
    names : sequence of str, length q
    covariance : ndarray, shape (q, q)
    """
    sd = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    sd[sd == 0.0] = np.inf
    rho = covariance / np.outer(sd, sd)
    first, second = np.where(np.triu(np.abs(rho) > threshold("CORRELATED"), 1))
    pairs = [(names[i], names[j], float(rho[i, j])) for i, j in zip(first, second, strict=True)]
    return tuple(sorted(pairs, key=lambda p: -abs(p[2])))
