"""Where an edge has its maximum, with an error that knows noise, steps and the flatness of the top.

Parts of the error: ``counting``, from draws or propagated; ``sampling``, steps of the scan and how flat the top is.
"""

from __future__ import annotations

import numpy as np

from layerscope.errors import DataError

from .align import Curve
from .edges import Edge
from .features import Estimate

__all__ = ["centroid", "highest_point"]

DRAWS = 200
SEED = 11
HALF = 0.5


def highest_point(curve: Curve, edge: Edge) -> Estimate:
    """Return the highest point where the edge's first strong maximum is looked for.

    Parabolas through three and five points about it say how far the true maximum may lie from it.

    Raises
    ------
    DataError
        If fewer than five points lie there, or the highest one is the first or last of them.
    """
    energy, mu, sigma = curve
    inside = np.flatnonzero((energy >= edge.search_eV[0]) & (energy <= edge.search_eV[1]))
    if inside.size < 5:
        raise DataError(f"{inside.size} points lie in {edge.search_eV[0]:g} to {edge.search_eV[1]:g} eV")
    k = int(inside[mu[inside].argmax()])
    if k in (int(inside[0]), int(inside[-1])):
        raise DataError(f"the spectrum has no maximum in {edge.search_eV[0]:g} to {edge.search_eV[1]:g} eV")
    known = np.where(np.isfinite(sigma), sigma, 0.0)
    noise = np.random.default_rng(SEED).normal(size=(DRAWS, inside.size)) * known[inside]
    drawn = energy[inside][(mu[inside] + noise).argmax(axis=1)]
    tops = [top for half in (1, 2) if (top := _vertex(curve, k, half)) is not None]
    step = float(energy[min(k + 1, energy.size - 1)] - energy[k - 1]) / 2
    off = float(np.sqrt(np.mean((np.array(tops) - energy[k]) ** 2))) if tops else step
    return Estimate(
        float(energy[k]), {"counting": float(drawn.std()), "sampling": float(np.hypot(step / 12**0.5, off))}
    )


def _vertex(curve: Curve, k: int, half: int) -> float | None:
    low, high = max(k - half, 0), min(k + half + 1, curve[0].size)
    x, y = curve[0][low:high] - curve[0][k], curve[1][low:high]
    if x.size < 3:
        return None
    bend, slope, _ = np.polyfit(x, y, 2)
    top = -slope / (2 * bend) if bend < 0 else np.inf
    return float(curve[0][k] + top) if abs(top) <= np.ptp(x) else None


def centroid(curve: Curve, edge: Edge) -> Estimate:
    """Return the centroid of what rises above half the height, counted from the level before the edge.

    Only points of the maximum itself count: those beside the highest one that lie above half the height without a gap.

    Raises
    ------
    DataError
        As `highest_point`, or if nothing lies before the edge.
    """
    energy, mu, sigma = curve
    top = int(np.argmin(np.abs(energy - highest_point(curve, edge).value)))
    before = mu[energy < edge.search_eV[0]]
    if before.size < 2:
        raise DataError(f"no points lie before {edge.search_eV[0]:g} eV")
    rise = mu - float(np.median(before))
    above = rise > HALF * rise[top]
    low = top - int(np.argmin(above[top::-1])) + 1 if not above[: top + 1].all() else 0
    high = top + int(np.argmin(above[top:])) if not above[top:].all() else energy.size
    part = slice(low, high)
    weight = np.gradient(energy)[part] * rise[part]
    value = float(weight @ energy[part] / weight.sum())
    slope = np.gradient(energy)[part] * (energy[part] - value) / weight.sum()
    known = np.where(np.isfinite(sigma), sigma, 0.0)[part]
    # one step more or less on either side
    ends = np.array([rise[part][0] * (energy[part][0] - value), rise[part][-1] * (energy[part][-1] - value)])
    sampling = float(np.sqrt((ends**2).sum()) * np.median(np.diff(energy[part])) / weight.sum() / 12**0.5)
    return Estimate(value, {"counting": float(np.sqrt((slope**2) @ (known**2))), "sampling": sampling})
