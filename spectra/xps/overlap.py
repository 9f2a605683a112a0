"""P 2s inside the B 1s region: foretold from P 2p, with its error.

Phosphates and LiPF6 put their P 2s at 189 to 195 eV, on top of B 1s. P 2p is measured apart, so the area of P 2s
follows from the ratio of the sensitivities, and its position from the distance of the two lines, which hardly depends
on the chemical state. The sets of sensitivity factors disagree on that ratio; their spread is part of the error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field

from layerscope.errors import DataError
from layerscope.options import RecipeModel

from .attenuation import Material
from .dataset import FloatArray
from .quantify import Lines
from .rsf import RsfSet

__all__ = [
    "P2S_FROM",
    "P2S_MINUS_P2P3_EV",
    "P2S_MINUS_P2P3_SIGMA_EV",
    "OverlapTable",
    "P2sPrediction",
    "predict_p2s",
]

P2S_FROM = ("P 2p", "P 2s")
"""The line that foretells, and the one that is foretold."""

P2S_MINUS_P2P3_EV = 57.45
"""P 2s minus P 2p3/2 (eV): mean of the 42 pairs of one compound and one author in NIST SRD 20."""
P2S_MINUS_P2P3_SIGMA_EV = 0.22
"""Standard deviation of these pairs (eV)."""


class OverlapTable(RecipeModel):
    """P 2s inside B 1s, from P 2p."""

    region: str = Field(default="B 1s", description="where P 2s lies")
    species: str = Field(default="P 2s", description="the foreign component of that region")
    from_region: str = Field(default="P 2p", description="region that foretells it")


@dataclass(frozen=True)
class P2sPrediction:
    """P 2s as it follows from P 2p, per level.

    Attributes
    ----------
    area, sigma : ndarray, shape (L,)
        Area of P 2s and its standard error, in the unit of the P 2p area.
    covariance : ndarray, shape (L, L)
        Covariance between levels; the error of the ratio is common to all.
    counting, ratio : ndarray, shape (L,)
        Parts of `sigma`: from the P 2p area, and from the ratio of the sensitivities.
    area_ratio, area_ratio_sigma : float
        P 2s over P 2p area and its standard error.
    position_eV, position_sigma_eV : ndarray, shape (L,)
        Where P 2s lies (eV), on the scale of the P 2p position.
    """

    area: FloatArray
    sigma: FloatArray
    covariance: FloatArray
    counting: FloatArray
    ratio: FloatArray
    area_ratio: float
    area_ratio_sigma: float
    position_eV: FloatArray
    position_sigma_eV: FloatArray


def predict_p2s(
    p2p_area: npt.ArrayLike,
    p2p_covariance: npt.ArrayLike,
    p2p3_position_eV: npt.ArrayLike,
    p2p3_position_sigma_eV: npt.ArrayLike,
    rsf: RsfSet,
    attenuation: float | Material,
    *,
    excitation_energy_eV: float = 1486.6,
    alternative_sets: Sequence[RsfSet] = (),
) -> P2sPrediction:
    """Foretell area and position of P 2s from a fitted P 2p doublet.

    Parameters
    ----------
    p2p_area : array-like, shape (L,)
        Area of the whole P 2p doublet.
    p2p_covariance : array-like, shape (L, L) or (L,)
        Its covariance, or the standard errors of independent levels.
    p2p3_position_eV, p2p3_position_sigma_eV : array-like, shape (L,) or scalar
        Position of P 2p3/2 and its standard error (eV).
    rsf : RsfSet
        Set that gives the ratio.
    attenuation : float or Material
        See `quantify.Lines`.
    excitation_energy_eV : float, default 1486.6
        Photon energy (eV).
    alternative_sets : sequence of RsfSet, optional
        Other sets; the standard deviation of all ratios is the error of the ratio.

    Returns
    -------
    P2sPrediction
        Area, position and errors.

    Raises
    ------
    DataError
        Shapes that do not fit, values that are not finite, or a P 2p without error.
    """
    area = np.atleast_1d(np.asarray(p2p_area, dtype=float))
    covariance = _as_covariance(p2p_covariance, area.size)
    position = np.broadcast_to(np.asarray(p2p3_position_eV, dtype=float), area.shape)
    position_sigma = np.broadcast_to(np.asarray(p2p3_position_sigma_eV, dtype=float), area.shape)
    if not all(np.all(np.isfinite(values)) for values in (area, covariance, position, position_sigma)):
        raise DataError("a P 2p area, position or error is not finite", source="P 2p")
    p2s_position = position + P2S_MINUS_P2P3_EV
    # one ratio for the series: a shift of a few eV changes it by less than 0.3 %
    energy = excitation_energy_eV - np.array([position.mean(), p2s_position.mean()])
    lines = Lines(P2S_FROM, energy, attenuation=attenuation)
    ratios = [float(lines.sensitivities(entry)[1]) for entry in (rsf, *alternative_sets)]
    ratio, ratio_sigma = ratios[0], float(np.std(ratios, ddof=1)) if len(ratios) > 1 else 0.0
    total = ratio**2 * covariance + ratio_sigma**2 * np.outer(area, area)
    return P2sPrediction(
        area=ratio * area,
        sigma=np.sqrt(np.diag(total)),
        covariance=total,
        counting=ratio * np.sqrt(np.diag(covariance)),
        ratio=ratio_sigma * np.abs(area),
        area_ratio=ratio,
        area_ratio_sigma=ratio_sigma,
        position_eV=p2s_position,
        position_sigma_eV=np.hypot(position_sigma, P2S_MINUS_P2P3_SIGMA_EV),
    )


def _as_covariance(values: npt.ArrayLike, levels: int) -> FloatArray:
    """Return a covariance (L, L) from one, or from standard errors (L,)."""
    array = np.asarray(values, dtype=float)
    matrix = np.diag(np.atleast_1d(array) ** 2) if array.ndim < 2 else array
    if matrix.shape != (levels, levels) or np.any(np.diag(matrix) <= 0.0):
        raise DataError(f"a positive variance is needed for each of {levels} levels")
    return np.asarray(matrix)
