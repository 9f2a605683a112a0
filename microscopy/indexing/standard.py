"""Internal standard: lock the scale of an image on a region whose lattice is known, for all other regions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from layerscope.errors import DataError

from ..image import Scale
from ..spots.model import Spots
from .index import index_spots
from .library import Library
from .templates import turned_distortion

__all__ = ["lock_scale"]

LEAST_PROBABILITY = 0.5
LEAST_SPOTS = 3


def lock_scale(spots: Spots, standard: Library, scale: Scale) -> Scale:
    """Return scale and distortion of an image from a region of known lattice.

    Parameters
    ----------
    spots : Spots
        Of the region.
    standard : Library
        The phase that the region is known to be (one phase, as a rule), with the range of its own cell: what that cell
        may be is no knowledge of the image.
    scale : Scale
        Prior before.

    Returns
    -------
    Scale
        Posterior: factor, distortion (in the frame of the image) and their joint covariance, averaged over every zone
        axis and cell that may be. Along a direction where the standard's cell is known, lengths are surer than the
        factor is.

    Raises
    ------
    DataError
        If the region does not show the lattice: fewer than three spots, or something else is more probable.
    """
    ranking = index_spots(spots, standard, scale)
    phase = [one for one in ranking.candidates if one.kind == "phase" and one.distortion is not None]
    total = sum(one.probability for one in phase)
    names = ", ".join(standard.phases)
    found = int((~spots.on_streak).sum())
    if total < LEAST_PROBABILITY or found < LEAST_SPOTS:
        raise DataError(
            f"the region of the internal standard does not show {names}: {ranking.first.name} is more probable"
            if found >= LEAST_SPOTS
            else f"the region of the internal standard shows {found} spots: too few to lock the scale on {names}",
            hint="choose a larger region of the known lattice, or another standard",
        )
    means, covariances, weights = [], [], []
    for one in phase:
        if one.distortion is None:
            continue
        mean, covariance, angle = one.distortion
        turn = turned_distortion(np.array([angle]))[0]
        means.append(turn @ mean)
        covariances.append(turn @ covariance @ turn.T)
        weights.append(one.probability / total)
    weight, mean = np.array(weights), np.zeros(3)
    mean = weight @ np.array(means)
    off = np.array(means) - mean
    covariance = np.einsum("k,kij->ij", weight, np.array(covariances) + off[:, :, None] * off[:, None, :])
    e1, e2 = scale.shear
    return replace(
        scale,
        factor=float(np.exp(mean[0])),
        sd=float(np.sqrt(covariance[0, 0])),
        shear=(float(e1 + mean[1]), float(e2 + mean[2])),
        shear_sd=float(np.sqrt((covariance[1, 1] + covariance[2, 2]) / 2)),
        joint=tuple((float(a), float(b), float(c)) for a, b, c in covariance),
        source=f"internal standard {names}, {found} spots",
    )
