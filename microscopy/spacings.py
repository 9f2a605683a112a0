"""Spacings, angles and shapes of what a region shows, with errors that hold place, scale and shear."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from layerscope.records import Quantity
from layerscope.runs.build import measured

from .analyse import RegionResult
from .image import NOBODY_KNOWS, UNVERIFIED_SHEAR, Scale
from .indexing import Candidate, Ranking
from .spots import Rings, Spots, SpotShapes

__all__ = ["reference_of", "region_quantities", "scale_of"]

MOST_SPOTS, MOST_SHAPES = 24, 12
SAFE_POWER = 1e-12


def scale_of(ranking: Ranking, scale: Scale) -> Scale | None:
    """Return the scale by which spacings are stated: that of the image; where nobody knows it that of the first answer.

    None where that tells none either.
    """
    if scale.sd < NOBODY_KNOWS:
        return scale
    first = ranking.first
    if first.is_none or not math.isfinite(first.scale_sigma):
        return None
    return replace(scale, factor=first.scale, sd=first.scale_sigma / first.scale, source=f"as {first.name} asks for")


def region_quantities(region: RegionResult, scale: Scale | None) -> list[Quantity | None]:
    """Return spacings and angles of the spots or rings that the answer rests on, shapes of spots, and crystallinity."""
    ranking, spots = region.ranking, region.spots
    if ranking is None or spots is None:
        return []
    first = ranking.first
    found = [measured("image.scale", first.scale, first.scale_sigma, "1", first.name)]
    if region.speckle is not None:
        value, sigma = region.speckle.crystallinity, region.speckle.crystallinity_sigma
        found.append(measured("image.crystallinity", value, sigma, "1"))
    if scale is not None and region.by == "rings" and region.rings is not None:
        found += _of_rings(region.rings, first, scale)
    elif scale is not None:
        found += _of_spots(_undistorted(spots, scale), ranking, scale)
    found += _grains(region.grains, spots, scale)
    if region.shapes is not None and spots.size:
        found += _shapes(region.shapes, spots, ranking)
    return found


def reference_of(region: RegionResult) -> str:
    """Return the spot that angles are taken to; nothing where none are stated."""
    if region.ranking is None or region.spots is None or region.by == "rings":
        return ""
    _, labels = _used(region.spots, region.ranking)
    return labels[_reference(labels)] if labels else ""


def _undistorted(spots: Spots, scale: Scale) -> Spots:
    """Return spots without the known distortion of the image: ``z − (e1 + i e2) z*``, z = gx + i gy."""
    e1, e2 = scale.shear
    back = np.eye(2) - np.array([[e1, e2], [e2, -e1]])
    return replace(spots, g=spots.g @ back.T, covariance=back @ spots.covariance @ back.T)


def _of_rings(rings: Rings, first: Candidate, scale: Scale) -> list[Quantity | None]:
    """Return the spacing of every ring; of a ring shear broadens, and does not move, the radius."""
    found = []
    for k, (g, own) in enumerate(zip(rings.g, rings.g_sigma, strict=True)):
        d = scale.factor / float(g)
        budget = {"position": d * float(own / g), "scale": d * scale.sd}
        sigma = math.sqrt(sum(part**2 for part in budget.values()))
        role = first.role[k] if k < len(first.role) else "clutter"
        label = f"ring {k + 1}" if role in ("clutter", "ring") else f"ring {k + 1}: {role}"
        found.append(measured("lattice.d_spacing", d, sigma, "nm", label, kind="systematic", budget=budget))
    return found


def _grains(grains: Sequence[Candidate], spots: Spots, scale: Scale | None) -> list[Quantity | None]:
    """Return the direction of the first axis of every grain's pattern, with the errors of its spots and of shear."""
    found: list[Quantity | None] = []
    for number, grain in enumerate(grains, start=1):
        own = [k for k, role in enumerate(grain.role) if role == "reflection" and k < spots.size]
        if not own or not math.isfinite(grain.rotation_deg):
            continue
        budget = {"position": math.degrees(sum(1.0 / _turn(spots, k) for k in own) ** -0.5)}
        budget["shear"] = math.degrees(scale.shear_sd if scale is not None else UNVERIFIED_SHEAR)
        sigma = math.sqrt(sum(part**2 for part in budget.values()))
        label = f"grain {number}: {grain.name}"
        found.append(measured("lattice.rotation", grain.rotation_deg, sigma, "deg", label, budget=budget))
    return found


def _shapes(shapes: SpotShapes, spots: Spots, ranking: Ranking) -> list[Quantity | None]:
    """Return elongation and arc spread of the strongest spots, and the mean elongation of all."""
    rows, labels = _used(spots, ranking)
    found: list[Quantity | None] = []
    for row, label in list(zip(rows, labels, strict=True))[:MOST_SHAPES]:
        long, arc = float(shapes.elongation[row]), float(shapes.arc_deg[row])
        found.append(measured("spot.elongation", long, float(shapes.elongation_sigma[row]), "1", label))
        found.append(measured("spot.arc_spread", arc, float(shapes.arc_sigma_deg[row]), "deg", label))
    found.append(measured("spot.elongation", *shapes.mean_elongation(), "1", "mean"))
    return found


def _of_spots(spots: Spots, ranking: Ranking, scale: Scale) -> list[Quantity | None]:
    """Return the spacing of every spot, and the angle of its planes to those of the first reflection.

    A spacing is ``factor / |g|``; its relative error is that of the place, of the scale and of the shear together. The
    angle of two directions that are Δ apart has the error ``2 shear |sin Δ|`` of a shear, and none of the scale.
    """
    rows, labels = _used(spots, ranking)
    found: list[Quantity | None] = []
    for row, label in zip(rows, labels, strict=True):
        g, own = _length(spots, int(row))
        d = scale.factor / g
        budget = {"position": d * own / g, "scale": d * scale.sd, "shear": d * scale.shear_sd}
        sigma = math.sqrt(sum(part**2 for part in budget.values()))
        found.append(measured("lattice.d_spacing", d, sigma, "nm", label, kind="systematic", budget=budget))
    first = _reference(labels)
    for k, row in enumerate(rows):
        if k != first:
            angle, budget = _angle(spots, int(rows[first]), int(row), scale.shear_sd)
            sigma = math.sqrt(sum(part**2 for part in budget.values()))
            found.append(measured("lattice.angle", angle, sigma, "deg", labels[k], kind="systematic", budget=budget))
    return found


def _used(spots: Spots, ranking: Ranking) -> tuple[np.ndarray, list[str]]:
    """Return the rows of the spots that are no streaks, and what each is called."""
    rows = np.flatnonzero(~spots.on_streak)[:MOST_SPOTS]
    return rows, _labels(ranking.first, rows)


def _reference(labels: Sequence[str]) -> int:
    """Return which spot angles are taken to: the first with indices, else the strongest."""
    return next((k for k, label in enumerate(labels) if not label.startswith("spot")), 0)


def _labels(first: Candidate, rows: np.ndarray) -> list[str]:
    """Return what spots are called: by the indices that the first answer gives them, or by their numbers."""
    labels: list[str] = []
    for row in rows:
        label = f"spot {row + 1}"
        known = first.hkl is not None and row < len(first.hkl) and not first.is_none and bool(np.any(first.hkl[row]))
        if known and first.hkl is not None:
            named = f"{first.phase} ({' '.join(str(int(h)) for h in first.hkl[row])})"
            label = label if named in labels else named
        labels.append(label)
    return labels


def _length(spots: Spots, row: int) -> tuple[float, float]:
    g = spots.g[row]
    length = float(np.hypot(*g))
    along = g / length
    return length, math.sqrt(max(float(along @ spots.covariance[row] @ along), SAFE_POWER * length**2))


def _angle(spots: Spots, a: int, b: int, shear_sd: float) -> tuple[float, dict[str, float]]:
    """Return the angle between two spots, from 0 to 90 degrees for rows, and the parts of its error (degrees)."""
    one, two = spots.g[a], spots.g[b]
    cosine = abs(float(one @ two)) / float(np.hypot(*one) * np.hypot(*two))
    angle = math.degrees(math.acos(min(cosine, 1.0)))
    own = math.sqrt(sum(_turn(spots, row) for row in (a, b)))
    return angle, {
        "position": math.degrees(own),
        "shear": math.degrees(2.0 * shear_sd * abs(math.sin(math.radians(angle)))),
    }


def _turn(spots: Spots, row: int) -> float:
    """Return the variance of the direction of a spot, radians squared."""
    g = spots.g[row]
    square = float(g @ g)
    across = np.array([-g[1], g[0]]) / math.sqrt(square)
    return max(float(across @ spots.covariance[row] @ across) / square, SAFE_POWER)
