"""Roughly: where the normal of the surface points, and from where to where each layer reaches.

Both come from maps of phases, which are for seeing and not for measuring; edges are measured from here on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from layerscope.errors import DataError

from ..image import Image
from .maps import phase_map
from .model import FloatArray, Kernel, Lattice

__all__ = ["Coarse", "coarse_layers", "find_normal"]

#: What a depth costs at most that shows nothing of the layer it is given to.
FLOOR = 0.02
#: Width of the window across: shorter ones take lattices with like spacings along the surface for each other.
COARSE_NM = 0.9


def find_normal(image: Image, names: Sequence[str], lattices: Sequence[Lattice], band: tuple[float, float]) -> float:
    """Find the direction of the normal, in degrees from x towards y, from vacuum (or what is outermost) to bulk.

    Each place of a map gets the mean rank of the layers that may stand there; the structure tensor of the ranks says
    along which line they change, and their gradient which way they grow.

    Raises
    ------
    DataError
        If the map shows the same everywhere.
    """
    from skimage.feature import structure_tensor

    phases = phase_map(image, lattices, kernel=Kernel(1.2, 1.2), step_nm=0.3, band=band)
    probability = np.nan_to_num(phases.probability)
    ordered = [phases.classes.index(n) for n in names]
    weight = probability[..., ordered].sum(axis=-1) + 1e-3
    rank = probability[..., ordered] @ np.arange(len(names), dtype=float)
    known = np.isfinite(phases.contrast)
    rows, columns = np.flatnonzero(known.any(axis=1)), np.flatnonzero(known.any(axis=0))
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    smooth = gaussian_filter(rank[part], 2.0) / gaussian_filter(weight[part], 2.0)
    step = np.array([np.diff(phases.x).mean(), np.diff(phases.y).mean()])
    tensor = structure_tensor(smooth, sigma=0.1, mode="nearest", order="xy")  # type: ignore[no-untyped-call]
    xx, xy, yy = (float(np.mean(t[1:-1, 1:-1])) for t in tensor)
    xx, xy, yy = xx / step[0] ** 2, xy / step.prod(), yy / step[1] ** 2
    if xx + yy < 1e-6:
        raise DataError(
            "the image shows no edge: the same phase everywhere",
            source=image.source,
            hint="give layers that stand in the image, or no layers",
        )
    angle = 0.5 * np.arctan2(2.0 * xy, xx - yy)
    slope_y, slope_x = (float(g.mean()) for g in np.gradient(smooth, step[1], step[0]))
    if np.cos(angle) * slope_x + np.sin(angle) * slope_y < 0:
        angle += np.pi
    return float(np.degrees(angle))


@dataclass(frozen=True, eq=False)
class Coarse:
    """Mean probability of each class along the normal.

    Attributes
    ----------
    bounds : ndarray of float64, shape (m + 1,)
        Depths between which the means are taken, nm from the middle of the image.
    classes : tuple of str
        Of the map.
    probability : ndarray of float64, shape (m, classes)
        Mean along the surface.
    """

    bounds: FloatArray
    classes: tuple[str, ...]
    probability: FloatArray

    def layers(self, names: Sequence[str]) -> dict[str, tuple[float, float]]:
        """Say from which depth to which each layer reaches, given their order; both alike where one is not seen."""
        cuts = _cut(np.log(self.probability[:, [self.classes.index(n) for n in names]] + FLOOR))
        return {n: (float(self.bounds[a]), float(self.bounds[b])) for n, (a, b) in zip(names, cuts, strict=True)}


def coarse_layers(
    image: Image, lattices: Sequence[Lattice], normal_deg: float, along_nm: float, band: tuple[float, float]
) -> Coarse:
    """Map an image through windows along its surface, and average along it."""
    phases = phase_map(image, lattices, kernel=Kernel(COARSE_NM, along_nm, normal_deg), step_nm=0.2, band=band)
    py, px = image.pixel()
    normal = phases.kernel.axes[0]
    x, y = np.meshgrid(phases.x - 0.5 * image.shape[1] * px, phases.y - 0.5 * image.shape[0] * py)
    known = np.isfinite(phases.contrast)
    if not known.any():
        raise DataError(
            "no window long enough along the surface fits into the image", source=image.source, hint="lower along_nm"
        )
    depth = (x * normal[0] + y * normal[1])[known]
    probability = phases.probability[known].astype(float)
    edges = np.arange(depth.min(), depth.max() + 0.1, 0.1)
    index = np.clip(np.digitize(depth, edges) - 1, 0, len(edges) - 1)
    count = np.bincount(index, minlength=len(edges))
    mean = np.array([np.bincount(index, p, minlength=len(edges)) for p in probability.T]).T
    mean = mean[count > 0] / count[count > 0, None]
    after = edges[count > 0] + 0.1
    return Coarse(np.concatenate([[after[0] - 0.1], after]), phases.classes, mean)


def _cut(gain: FloatArray) -> list[tuple[int, int]]:
    """Cut depths into layers of a given order, each perhaps of no depth, so that the sum of their gain is largest."""
    depths, layers = gain.shape
    total = np.concatenate([np.zeros((1, layers)), np.cumsum(gain, axis=0)])
    best = total[:, 0].copy()
    back = [np.zeros(depths + 1, dtype=int)]
    for k in range(1, layers):
        rest = best - total[:, k]
        start = np.array([int(np.argmax(rest[: n + 1])) for n in range(depths + 1)])
        best = rest[start] + total[:, k]
        back.append(start)
    cuts, end = [], depths
    for k in range(layers - 1, -1, -1):
        cuts.append((int(back[k][end]), end))
        end = int(back[k][end])
    return cuts[::-1]
