"""Where a profile steps: an error function with a floor, fitted to each station along the surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from .model import FloatArray

__all__ = ["Step", "fit_step", "steady", "steady_mean"]

#: Standard deviations of the edge itself that are tried, beside the window's, nm.
WIDTHS = (0.0, 0.1, 0.2, 0.3, 0.45, 0.65, 0.9)
GRID_NM = 0.02


@dataclass(frozen=True, eq=False)
class Step:
    """A step at each station.

    Attributes
    ----------
    position : ndarray of float64, shape (stations,)
        Depth in nm; NaN where no step is seen.
    height : ndarray of float64, shape (stations,)
        Of the step, in the unit of the profile.
    width : float
        Median standard deviation of the edge with the window, nm.
    """

    position: FloatArray
    height: FloatArray
    width: float


def fit_step(
    depth: FloatArray,
    profile: FloatArray,
    guess: float,
    reach: float,
    sigma: float,
    *,
    falling: bool = False,
    other: float | None = None,
    extra: float | None = None,
) -> Step:
    """Fit ``floor + height Φ((u − u₀) / s)`` by least squares; u₀ and s are tried on a grid, the rest is linear.

    Parameters
    ----------
    depth : ndarray of float64, shape (m,)
        Evenly spaced depths in nm.
    profile : ndarray of float64, shape (stations, m)
        Amplitude; NaN where there is none.
    guess, reach : float
        The edge is searched within `reach` of `guess`, and the profile is used there, nm.
    sigma : float
        Standard deviation of the window, nm.
    falling : bool
        Whether the profile falls with depth.
    other : float, optional
        Depth where the profile ends again (a thin layer).
    extra : float, optional
        Depth of a second step of unknown height and sign.

    Returns
    -------
    Step
    """
    sign = -1.0 if falling else 1.0
    # Near the rim of the image the range is what most stations have of it.
    chosen = (np.abs(depth - guess) <= reach) & (np.isfinite(profile).mean(axis=0) > 0.5)
    u = depth[chosen]
    y = profile[:, chosen]
    positions = guess + np.arange(-0.75 * reach, 0.75 * reach + 1e-9, GRID_NM)
    widths = np.hypot(sigma, np.array(WIDTHS))
    model = ndtr(sign * (u - positions[:, None, None]) / widths[:, None])
    if other is not None:
        model = model * ndtr(sign * (other - u) / np.hypot(sigma, 0.15))
    nuisance = [np.ones_like(u)]
    if extra is not None and np.abs(extra - guess) < reach:
        nuisance.append(ndtr((u - extra) / np.hypot(sigma, 0.2)))
    base = np.linalg.qr(np.array(nuisance).T)[0]
    usable = np.isfinite(y).all(axis=1) & (u.size >= 8)
    position, height = np.full(len(y), np.nan), np.zeros(len(y))
    if not usable.any():
        return Step(position, height, float("nan"))
    model = model - (model @ base) @ base.T
    y = y[usable] - (y[usable] @ base) @ base.T
    norm = np.sum(model**2, axis=-1)
    cross = np.einsum("vm,gsm->vgs", y, model)
    gain = np.where((cross > 0) & (norm > 1e-6 * u.size), cross**2 / np.maximum(norm, 1e-12), 0.0)
    best = gain.max(axis=1)
    narrow = np.argmax(best, axis=1)
    curve = np.take_along_axis(gain, narrow[:, None, None], axis=2)[..., 0]
    at = np.argmax(curve, axis=1)
    index = np.arange(len(at))
    good = (best.max(axis=1) > 0) & (at > 0) & (at < len(positions) - 1)
    at = np.clip(at, 1, len(positions) - 2)
    left, middle, right = (curve[index, at + d] for d in (-1, 0, 1))
    bend = left - 2.0 * middle + right
    shift = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, -1.0), 0.0)
    position[usable] = np.where(good, positions[at] + np.clip(shift, -1, 1) * GRID_NM, np.nan)
    height[usable] = cross[index, at, narrow] / np.maximum(norm[at, narrow], 1e-12)
    return Step(position, height, float(np.median(widths[narrow])))


def steady(positions: FloatArray) -> NDArray[np.bool_]:
    """Stations where an edge was found, without those where another was taken for it."""
    good = np.isfinite(positions)
    if good.sum() < 4:
        return good
    middle = np.median(positions[good])
    spread = 1.48 * np.median(np.abs(positions[good] - middle))
    return np.asarray(good & (np.abs(positions - middle) < 3.5 * spread + 0.1))


def steady_mean(positions: FloatArray) -> float:
    """Mean over the stations that agree; NaN where no step was found."""
    good = positions[steady(positions)]
    return float(good.mean()) if good.size else float("nan")
