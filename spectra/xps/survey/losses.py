"""Peaks of a survey that a stronger one brings along: plasmons and other losses, shake-up lines, X-ray satellites.

They compete with elements for every peak. A plasmon has the energy of the solid, so the same distance from several
strong lines tells it from a line that lies there by chance.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from ..dataset import FloatArray

__all__ = ["PER_EV", "of_stronger", "secondary_rate"]

LOSSES_EV, LOSS_SHARE, LOSS_WIDTH_EV = (2.0, 32.0), 0.4, 7.0
PLASMONS_EV, PLASMON_SHARE = (12.0, 28.0), 0.3
SHAKE_UP_EV, SHAKE_UP_SHARE = 12.0, 0.7
SATELLITES = ((9.8, 0.12), (20.1, 0.015))
"""How far and how strong what a stronger peak brings along may be: losses of broad peaks, of any, shake-up lines, and
lines of the X-rays' satellites (distance below, share)."""
PER_EV = 0.015
"""Peaks an eV and ln(area) where a stronger peak has its losses or satellites."""
COMMON_EV, COMMON_SIGMA_EV, COMMON_SHARE = (9.0, 32.0), 1.5, 0.75
"""Energies of plasmons, how well they agree between lines, and the largest share of a line that one has."""
FIRST, SECOND = (0.15, 0.9), (0.04, 0.9)
"""Usual share of the first and of the second plasmon of a line, and the standard deviation of its logarithm."""
ALONE = 2.0
"""Lines without a plasmon that are added to those of a survey: a distance found once only is no plasmon."""


def secondary_rate(energy: FloatArray, area: FloatArray, fwhm: FloatArray) -> FloatArray:
    """Return how many peaks like each one stronger peaks bring along, per eV and ln(area).

    Parameters
    ----------
    energy, area, fwhm : ndarray, shape (n,)
        Of the peaks: binding energy (eV), area and full width (eV).

    Returns
    -------
    ndarray, shape (n,)
        At least 0.015 where losses and satellites may lie. More at a distance at which other peaks lie from other
        stronger ones, or at twice that distance: a plasmon.
    """
    rate = np.array([0.0 if of_stronger(energy, area, fwhm, k) is None else PER_EV for k in range(energy.size)])
    away = energy[:, np.newaxis] - energy[np.newaxis, :]
    share = area[:, np.newaxis] / np.maximum(area[np.newaxis, :], 1e-300)
    low, high = COMMON_EV
    children, parents = np.nonzero((away > low) & (away < high) & (share < COMMON_SHARE))
    found = away[children, parents]
    for order, (usual, spread) in ((1, FIRST), (2, SECOND)):
        for child, parent in np.argwhere((away > order * low) & (away < order * high) & (share < COMMON_SHARE)):
            apart = (found - away[child, parent] / order) / COMMON_SIGMA_EV
            apart = apart[(children != child) & (parents != parent)]
            common = float(np.exp(-0.5 * apart**2).sum()) / (COMMON_SIGMA_EV * np.sqrt(2 * np.pi) * order)
            like = np.exp(-0.5 * (np.log(share[child, parent] / usual) / spread) ** 2) / (spread * np.sqrt(2 * np.pi))
            rate[child] = max(rate[child], like * common / (np.unique(parents).size + ALONE))
    return rate


def of_stronger(
    energy: FloatArray, area: FloatArray, fwhm: FloatArray, at: int, parents: Collection[int] | None = None
) -> tuple[str, int] | None:
    """Return what a peak may be of a stronger one, and which: an energy loss or an X-ray satellite.

    Parameters
    ----------
    energy, area, fwhm : ndarray, shape (n,)
        Of the peaks: binding energy (eV), area and full width (eV).
    at : int
        Number of the peak.
    parents : collection of int, optional
        Peaks that the stronger one must be among; shake-up lines are then known as well. All if left out.
    """
    away = energy[at] - energy
    share = area[at] / np.maximum(area, 1e-300)
    if parents is not None:
        share[[k for k in range(share.size) if k not in parents]] = np.inf
    (low, high), most = (LOSSES_EV, LOSS_SHARE) if fwhm[at] > LOSS_WIDTH_EV else (PLASMONS_EV, PLASMON_SHARE)
    loss = np.flatnonzero((away > low) & (away < high) & (share < most))
    if parents is not None and not loss.size:
        loss = np.flatnonzero((away > 2.0) & (away < SHAKE_UP_EV) & (share < SHAKE_UP_SHARE))
    if loss.size:
        return "energy loss or shake-up", int(loss[np.argmax(area[loss])])
    for distance, most in SATELLITES:
        other = np.flatnonzero((np.abs(-away - distance) < 2.0) & (share < most))
        if other.size:
            return "X-ray satellite", int(other[np.argmax(area[other])])
    return None
