"""From areas of lines to fractions of intensity and of weight, with their covariance.

The area of a line is proportional to the weight of its phase times ``m |F|^2 LP / (M V)``: multiplicity, structure
factor, Lorentz and polarisation factor, mass and volume of the cell. Texture and absorption are common to the phases of
one electrode, whose layers all lie alike, and cancel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.errors import DataError

from ..radiation import FloatArray, lorentz_polarisation
from .components import ComponentSet

__all__ = ["factor_covariance", "fractions_of", "intensity_per_weight", "slope_of_share", "spread_of_factors"]


def intensity_per_weight(
    multiplicity: ArrayLike, f_squared: ArrayLike, cell_mass: ArrayLike, cell_volume: ArrayLike, two_theta: ArrayLike
) -> FloatArray:
    """Return m |F|^2 LP / (M V): calculated intensity of a line for equal weights, on an arbitrary common scale.

    Parameters
    ----------
    multiplicity, f_squared : array-like
        m, and |F|^2 of the cell (electron^2).
    cell_mass : array-like
        Mass of the cell's content (g/mol).
    cell_volume : array-like
        Å^3.
    two_theta : array-like
        Degrees.

    Raises
    ------
    DataError
        If a mass or a volume is not positive.
    """
    mass, volume = np.asarray(cell_mass, float), np.asarray(cell_volume, float)
    if not ((mass > 0).all() and (volume > 0).all()):
        raise DataError("mass and volume of a cell must be positive")
    lp = lorentz_polarisation(two_theta)
    return np.asarray(np.asarray(multiplicity, float) * np.asarray(f_squared, float) * lp / (mass * volume))


def fractions_of(areas: FloatArray, covariance: FloatArray, factor: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (area/factor) over the sum of (area/factor), with covariance.

    Parameters
    ----------
    areas : ndarray, shape (K, F)
    covariance : ndarray, shape (F, K, K)
        Within each frame.
    factor : ndarray, shape (K,) or (K, F)
        Intensity per weight; ones for fractions of the intensity.

    Returns
    -------
    fractions : ndarray, shape (K, F)
        NaN where all areas are zero.
    covariance : ndarray, shape (F, K, K)

    Raises
    ------
    DataError
        If a factor is not positive.
    """
    g = np.broadcast_to(factor if np.ndim(factor) == 2 else np.asarray(factor)[:, None], areas.shape)
    if not (g > 0).all():
        raise DataError("an intensity per weight must be positive")
    amount = areas / g
    total = amount.sum(axis=0)
    with np.errstate(all="ignore"):
        fraction = np.where(total > 0, amount / total, np.nan)
        k = len(areas)
        # d f_a / d area_b = (delta_ab - f_a) / (total g_b)
        jacobian = (np.eye(k)[None] - fraction.T[:, :, None]) / (total[:, None, None] * g.T[:, None, :])
    return fraction, np.asarray(jacobian @ covariance @ jacobian.transpose(0, 2, 1))


def slope_of_share(amount: FloatArray, there: NDArray[np.bool_], chosen: FloatArray) -> FloatArray:
    """Return how the share of some parts of a whole changes with the amount of each, shape (K, F).

    Parameters
    ----------
    amount : ndarray, shape (K, F)
    there : ndarray of bool, shape (K, F)
        Amounts that are not 0 by decision.
    chosen : ndarray, shape (K,)
        1 for the parts that are summed, 0 for the others.
    """
    total = amount.sum(axis=0)
    some = total > 0  # a frame can hold a line of no phase alone
    total = np.where(some, total, 1.0)
    share = chosen @ amount / total
    return np.asarray(np.where(there & some, (chosen[:, None] - share) / total, 0.0))


def factor_covariance(components: ComponentSet, names: Sequence[str], factors: Mapping[str, float]) -> FloatArray:
    """Return the relative covariance of the intensities per weight of some lines, from how well structures are known.

    Structures are independent of each other. A mixture takes the intensity of its parts, half of each give or take the
    error of the share, and so has what they have in common.

    Parameters
    ----------
    components : ComponentSet
        With their relative errors.
    names : sequence of str
        K identifiers.
    factors : mapping of str to float
        Intensity per weight of every component.

    Returns
    -------
    ndarray, shape (K, K)
        Covariance of the logarithms.
    """
    every = components.ids
    own_error = {c.id: math.hypot(c.intensity_error, c.texture_error) for c in components.components}
    sources = [*own_error.values(), *(c.share_error for c in components.components)]
    slope = np.zeros((len(names), len(sources)))
    for row, name in enumerate(names):
        component = components[name]
        if not component.mixture:
            slope[row, every.index(name)] = 1.0
            continue
        parts = np.array([factors[m] for m in component.mixture])
        for part, other in zip(parts / parts.sum(), component.mixture, strict=True):
            slope[row, every.index(other)] = part
        # the parts differ by more than their best values do: their own errors count in the square of the difference
        own = parts * [own_error[m] for m in component.mixture]
        apart = np.sqrt((parts[-1] - parts[0]) ** 2 + (own**2).sum())
        slope[row, len(every) + every.index(name)] = apart / parts.mean()
    return np.asarray((slope * np.square(sources)) @ slope.T)


def spread_of_factors(fractions: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return the covariance of weight fractions that the errors of the intensities per weight bring.

    Parameters
    ----------
    fractions : ndarray, shape (K, F)
        Weight fractions; 0 where a line is absent.
    covariance : ndarray, shape (K, K)
        Of the logarithms of the factors, `factor_covariance`.

    Returns
    -------
    ndarray, shape (F, K, K)
        With d f_a / d ln g_b = -f_a (delta_ab - f_b). The same errors hold in all frames: means over frames do not
        make them smaller.
    """
    f = np.nan_to_num(fractions.T)
    jacobian = f[:, :, None] * f[:, None, :] - f[:, :, None] * np.eye(f.shape[1])[None]
    return np.asarray(jacobian @ covariance @ jacobian.transpose(0, 2, 1))
