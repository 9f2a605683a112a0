"""The intergrowth of a finished series read as layers of its two neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .layers import LayerReading, layer_fraction
from .series import LineSeries

__all__ = ["IntergrowthReading", "read_intergrowth"]


@dataclass(frozen=True)
class IntergrowthReading:
    """The intergrowth line read as a random stack of the layers of its two neighbours.

    Attributes
    ----------
    id, parents : str, (str, str)
    reading : LayerReading
        Share of layers of the second parent, by frame.
    borrowed : ndarray of bool, shape (F,)
        Frames in which a parent is absent and its spacing was taken from the nearest frame that has it.
    """

    id: str
    parents: tuple[str, str]
    reading: LayerReading
    borrowed: NDArray[np.bool_]


def read_intergrowth(series: LineSeries) -> IntergrowthReading | None:
    """Read the intergrowth's position as a layer mixture; None if a line is missing, uncertain, or one of two."""
    mixed = next((c for c in series.options.components.components if c.mixture and c.id in series.names), None)
    if mixed is None or not set(mixed.mixture) <= set(series.names):
        return None
    involved = [row for row, phase in enumerate(series.phases) if phase in (mixed.id, *mixed.mixture)]
    if not all(series.sure[row] for row in involved) or len(involved) != len({series.phases[row] for row in involved}):
        return None  # which line it is is not known, or one line alone does not tell where the phase lies
    k = [series.names.index(n) for n in (mixed.id, *mixed.mixture)]
    frames = np.flatnonzero(series.present[k[0]])
    count = series.present.shape[1]
    lines = [series.fitted_line(series.names[i]) for i in k]
    covariance = series.joint.fit.covariance_within([f"{n}_center" for n in lines])
    slope = -series.d[k] / np.tan(np.radians(series.position[k]) / 2) * np.pi / 360
    d, borrowed = series.d[k].copy(), np.zeros(count, bool)
    c = np.einsum("if,fij,jf->fij", slope, covariance, slope)
    for i in (1, 2):
        known = np.flatnonzero(series.present[k[i]])
        for f in frames[~series.present[k[i], frames]]:
            near = int(known[np.abs(known - f).argmin()])
            d[i, f], borrowed[f] = d[i, near], True
            c[f, i, :] = c[f, :, i] = 0.0
            c[f, i, i] = series.d_sigma[k[i], near] ** 2
    full = np.full((count, 3, 3), np.nan)
    full[frames] = c[frames]
    values = [np.where(series.present[k[0]], v, np.nan) for v in d]
    reading = layer_fraction(values[0], values[1], values[2], series.joint.model.line.radiation.alpha1, covariance=full)
    return IntergrowthReading(mixed.id, (mixed.mixture[0], mixed.mixture[1]), reading, borrowed)
