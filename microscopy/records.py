"""Records of an image: its scale, what each region shows with d-spacings and angles, and what would decide."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from layerscope.measured.series import Level, MeasuredSeries
from layerscope.records import Alternative, Quantity, ResultRecord
from layerscope.records.quantity import SigmaKind
from layerscope.runs.build import held, measured, remarks, some
from layerscope.runs.pipeline import RunContext

from .analyse import ImageResult, RegionResult
from .image import Scale
from .indexing import Candidate, Ranking
from .layers.edges import Edge, Layer
from .layers.maps import regions as map_regions
from .layers.model import NONE, PhaseMap
from .readers.micrograph import Micrograph
from .spots import Spots
from .surface import LayerResult

__all__ = ["IMAGE", "LAYERS", "REGION", "SERIES", "image_record", "layer_record", "region_record", "series_record"]

IMAGE, REGION, LAYERS, SERIES = "hrtem.image", "hrtem.region", "hrtem.layers", "hrtem.series"
Series = MeasuredSeries[Micrograph]
THICKNESS, SPREAD = "layer.thickness", "layer.thickness_spread"
MOST_SPOTS = 24
LEAST_PART, MOST_PARTS = 1.0, 8
"""Parts of a map that are told: least area in nm², and number."""
SAFE_POWER = 1e-12


def image_record(
    context: RunContext, series: Series, level: Level[Micrograph], result: ImageResult, parents: Sequence[ResultRecord]
) -> ResultRecord:
    """Return what is known of the image as a whole: the size of its pixels, its scale, and how sure that is."""
    image, scale = result.image, result.scale
    quantities: list[Quantity | None] = []
    flags: list[str] = []
    if image is not None:
        flags += image.flags
        flags += result.map.flags if result.map is not None else ()
        quantities += [held("image.pixel", size, "nm", axis) for axis, size in zip("yx", image.pixel(), strict=True)]
    kind: SigmaKind = "covariance" if result.locked else "systematic"
    quantities.append(measured("image.scale", scale.factor, scale.sd, "1", role="constrained", kind=kind))
    for region in result.regions:
        rings = region.rings
        if rings is not None:
            value, sigma = rings.speckle, rings.speckle_sigma
            quantities.append(measured("image.crystallinity", value, sigma, "1", region.name))
    return context.record(
        state=series.state(level),
        inputs=series.inputs(IMAGE, level),
        method=IMAGE,
        quantities=some(quantities),
        quality=remarks(flags),
        notes=(f"scale: {scale.source}", *(_map_notes(result.map) if result.map is not None else ())),
        parents=tuple(record.record_id for record in parents),
    )


def _map_notes(phases: PhaseMap) -> list[str]:
    """Return where the map shows what, the largest parts first."""
    parts = [part for part in map_regions(phases, least_nm2=LEAST_PART) if part.phase != NONE][:MOST_PARTS]
    return [
        f"map: {part.phase}, {part.area_nm2:.3g} nm^2 about ({part.centre_nm[0]:.2f}, {part.centre_nm[1]:.2f}) nm, "
        f"{100 * part.share:.2g} % of what was assessed, mean probability {part.probability:.2f}"
        for part in parts
    ]


def region_record(
    context: RunContext, series: Series, level: Level[Micrograph], result: ImageResult, region: RegionResult
) -> ResultRecord:
    """Return what one region shows: explanations with their probabilities, spacings, angles; or why it shows none."""
    ranking, spots = region.ranking, region.spots
    quantities: list[Quantity | None] = []
    flags, notes = list(result.image.flags if result.image else ()), list[str]()
    if spots is None or ranking is None:
        flags.append(f"NOT_INDEXABLE:{region.reason}")
    else:
        quantities += spacings(spots, ranking, result.scale)
        found, notes = _said(spots, ranking)
        flags += found
        first = ranking.first
        quantities.append(measured("image.scale", first.scale, first.scale_sigma, "1", first.name))
    return context.record(
        state=series.state(level, region.name).model_copy(update={"region": region.name}),
        inputs=series.inputs(f"{REGION}={region.name}", level),
        method=REGION,
        quantities=some(quantities),
        alternatives=() if ranking is None else _alternatives(ranking),
        quality=remarks(flags),
        notes=tuple(notes),
    )


def _said(spots: Spots, ranking: Ranking) -> tuple[list[str], list[str]]:
    """Return flags and notes of a ranking."""
    flags, notes = list(ranking.flags), []
    several = ranking.ambiguity_set
    if not ranking.indexable:
        reasons = "; ".join(ranking.reasons) or f"{ranking.first.phase} is the most probable"
        flags.append(f"NOT_INDEXABLE:{reasons}")
    elif len({candidate.phase for candidate in several}) > 1:
        flags.append(f"PHASE_AMBIGUOUS:{', '.join(dict.fromkeys(c.phase for c in several))}")
    if ranking.would_decide:
        notes.append(f"would decide: {', '.join(ranking.would_decide)}")
    streaks = int(spots.on_streak.sum())
    notes.append(f"{spots.size} spots at {spots.band[0]:.3g} to {spots.band[1]:.3g} 1/nm, {streaks} of them on streaks")
    _, labels = _used(spots, ranking)
    if labels:
        notes.append(f"angles are between planes, to those of {labels[_reference(labels)]}")
    notes.append(f"scale: {ranking.scale.source}, standard error {100 * ranking.scale.sd:.2g} %")
    return flags, notes


def _alternatives(ranking: Ranking) -> tuple[Alternative, ...]:
    """Return every explanation; names that stand twice are numbered."""
    seen: dict[str, int] = {}
    found = []
    for number, candidate in enumerate(ranking.candidates):
        seen[candidate.name] = seen.get(candidate.name, 0) + 1
        again = f" ({seen[candidate.name]})" if seen[candidate.name] > 1 else ""
        evidence = candidate.log_evidence
        found.append(
            Alternative(
                name=candidate.name + again,
                bic=-2.0 * evidence if math.isfinite(evidence) else None,
                probability=float(np.clip(candidate.probability, 0.0, 1.0)),
                in_set=candidate.in_set,
                chosen=number == 0,
            )
        )
    return tuple(found)


def spacings(spots: Spots, ranking: Ranking, scale: Scale) -> list[Quantity | None]:
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


# --- layers


def layer_record(
    context: RunContext, series: Series, level: Level[Micrograph], result: ImageResult, surface: LayerResult
) -> ResultRecord:
    """Return boundaries, roughness and thicknesses of the layers at the surface; or why they were not measured."""
    quantities: list[Quantity | None] = []
    flags = list(result.image.flags if result.image else ())
    flags += [f"LAYER_UNSEEN:{name}" for name in surface.unseen]
    notes = []
    found = surface.layers
    if found is None:
        flags.append(f"NO_LAYERS:{surface.reason}")
    else:
        flags += found.flags
        shown = {region.ranking.first.phase for region in result.regions if region.ranking is not None}
        missed = [layer.name for layer in found.layers if not layer.present and layer.name in shown]
        flags += [f"LAYER_DISAGREES:{name}" for name in missed]
        normal = found.normal_deg, found.normal_sigma_deg
        quantities.append(
            measured("layer.normal", *normal, "deg") if normal[1] > 0 else held("layer.normal", normal[0], "deg")
        )
        for edge in found.edges:
            quantities += _edge(edge, result.scale)
        for layer in found.layers:
            quantities += _layer(layer, result.scale)
        x, y = found.middle_nm
        notes.append(f"depths are along the normal from ({x:.2f}, {y:.2f}) nm of {surface.window.name}, inwards")
    return context.record(
        state=series.state(level),
        inputs=series.inputs(LAYERS, level),
        method=LAYERS,
        quantities=some(quantities),
        quality=remarks(flags),
        notes=tuple(notes),
    )


def _edge(edge: Edge, scale: Scale) -> list[Quantity | None]:
    name, factor = f"{edge.outer}|{edge.inner}", scale.factor
    budget = {part: factor * abs(value) for part, value in edge.parts.items()}
    rough, sigma = factor * edge.roughness_nm, factor * edge.roughness_sigma_nm
    place = factor * edge.position_nm, factor * edge.sigma_nm
    return [
        measured("layer.boundary", *place, "nm", name, kind="systematic", budget=budget),
        measured("layer.roughness", rough, sigma, "nm", name, kind="sampling"),
    ]


def _layer(layer: Layer, scale: Scale) -> list[Quantity | None]:
    """Return the thickness of a layer with the error of the scale; the limit of one that is not seen."""
    factor = scale.factor
    if not layer.present:
        if not layer.limit_nm > 0:
            return []
        limit = factor * layer.limit_nm * (1.0 + 2.0 * scale.sd)
        return [Quantity(name=THICKNESS, unit="nm", component=layer.name, upper_limit=limit, limit_confidence=0.95)]
    value = factor * layer.thickness_nm
    budget = {"boundaries": factor * layer.sigma_nm, "scale": abs(value) * scale.sd}
    sigma = math.sqrt(sum(part**2 for part in budget.values()))
    count = int(np.isfinite(layer.values).sum())
    spread = factor * layer.spread_nm
    return [
        measured(THICKNESS, value, sigma, "nm", layer.name, kind="systematic", budget=budget),
        measured(SPREAD, spread, _of_spread(spread, count), "nm", layer.name, kind="sampling"),
    ]


def _of_spread(spread: float, count: int) -> float:
    """Return the standard error of a standard deviation of `count` independent values."""
    return max(spread, 1e-3) / math.sqrt(2.0 * max(count - 1, 1))


def series_record(context: RunContext, series: Series, layers: Sequence[ResultRecord]) -> ResultRecord | None:
    """Return the thicknesses of a sample over its images: mean and spread; None where no layer was seen twice.

    The spread of places is part of the error of the mean, beside what all images have in common: the largest error of
    a scale among them.
    """
    quantities: list[Quantity | None] = []
    names = dict.fromkeys(q.component for r in layers for q in r.quantities if q.name == THICKNESS and q.component)
    flags = []
    for name in names:
        found = [q for r in layers for q in r.quantities if (q.name, q.component) == (THICKNESS, name)]
        seen = [q for q in found if q.value is not None and q.sigma is not None]
        if len(seen) < 2:
            continue
        if len(seen) < len(layers):
            flags.append(f"LAYER_MISSED:{name} in {len(layers) - len(seen)} of {len(layers)} images")
        values = np.array([q.value for q in seen], float)
        spread, mean = float(values.std(ddof=1)), float(values.mean())
        common = max(q.budget.get("scale", 0.0) / (q.value or 1.0) for q in seen) * mean
        own = math.sqrt(sum(q.budget.get("boundaries", 0.0) ** 2 for q in seen)) / len(seen)
        budget = {"places": spread / math.sqrt(len(seen)), "boundaries": own, "scale": common}
        sigma = math.sqrt(sum(part**2 for part in budget.values()))
        quantities.append(measured(THICKNESS, mean, sigma, "nm", name, kind="sampling", budget=budget))
        quantities.append(measured(SPREAD, spread, _of_spread(spread, len(seen)), "nm", name, kind="sampling"))
    if not some(quantities):
        return None
    return context.record(
        state=series.state(None),
        inputs=series.inputs(SERIES),
        method=SERIES,
        quantities=some(quantities),
        quality=remarks(flags),
        notes=(f"means over {len(layers)} images; the spread is that between images",),
        parents=tuple(record.record_id for record in layers),
    )
