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
from .image import NOBODY_KNOWS, Scale
from .indexing import Ranking
from .kinds import IMAGE, LAYERS, REGION, SERIES
from .layers.maps import regions as map_regions
from .layers.model import NONE, PhaseMap
from .layers.result import Edge, Layer
from .layers.strain import Strain
from .readers.micrograph import Micrograph
from .spacings import reference_of, region_quantities, scale_of
from .spots import Spots
from .surface import LayerResult, course_of

__all__ = ["image_record", "layer_record", "region_record", "series_record"]

Series = MeasuredSeries[Micrograph]
THICKNESS, SPREAD = "layer.thickness", "layer.thickness_spread"
_KINDS = {"twin": " twins", "overlap": " on top of each other", "rings": " rings"}
LEAST_TOLD = 0.005
"""Probability from which on notes tell that a phase may be present."""
LEAST_PART, MOST_PARTS = 1.0, 8
"""Parts of a map that are told: least area in nm², and number."""


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
        stated = zip("yx", image.pixel(), strict=True) if image.scale_known else ()
        quantities += [held("image.pixel", size, "nm", axis) for axis, size in stated]
        if image.drift is not None and image.scale_known:
            drift, sigma = (math.sqrt(math.prod(image.pixel())) * part for part in image.drift)
            quantities.append(measured("image.drift", drift, sigma, "nm", kind="sampling"))
    kind: SigmaKind = "covariance" if result.locked else "systematic"
    if scale.sd < NOBODY_KNOWS:
        quantities.append(measured("image.scale", scale.factor, scale.sd, "1", role="constrained", kind=kind))
    if result.locked:
        for name, value in zip(("image.anisotropy", "image.shear"), scale.shear, strict=True):
            quantities.append(measured(name, value, scale.shear_sd, "1"))
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
        quantities += region_quantities(region, scale_of(ranking, result.scale))
        found, notes = _said(region, spots, ranking)
        flags += found
    return context.record(
        state=series.state(level, region.name).model_copy(update={"region": region.name}),
        inputs=series.inputs(f"{REGION}={region.name}", level),
        method=REGION,
        quantities=some(quantities),
        alternatives=(
            *_alternatives(ranking),
            *_alternatives(region.other, "rings" if region.by == "spots" else "spots"),
            *_present(ranking),
        ),
        quality=remarks(flags),
        notes=tuple(notes),
    )


def _said(region: RegionResult, spots: Spots, ranking: Ranking) -> tuple[list[str], list[str]]:
    """Return flags and notes of a ranking."""
    known = ranking.scale.sd < NOBODY_KNOWS
    flags, notes = [flag for flag in ranking.flags if known or not flag.startswith("SCALE_OFF")], []
    several = ranking.ambiguity_set
    if not ranking.indexable:
        reasons = "; ".join(ranking.reasons) or f"{ranking.first.phase} is the most probable"
        flags.append(f"NOT_INDEXABLE:{reasons}")
    elif len({candidate.phase for candidate in several}) > 1:
        flags.append(f"PHASE_AMBIGUOUS:{', '.join(dict.fromkeys(c.phase for c in several))}")
    if _mixed(ranking):
        present = (f"{name} {value:.3f}" for name, value in ranking.present().items() if value >= LEAST_TOLD)
        notes.append(f"present, alone or with others: {', '.join(present)}")
    if ranking.would_decide:
        notes.append(f"would decide: {', '.join(ranking.would_decide)}")
    streaks = int(spots.on_streak.sum())
    notes.append(f"{spots.size} spots at {spots.band[0]:.3g} to {spots.band[1]:.3g} 1/nm, {streaks} of them on streaks")
    if region.rings is not None and region.rings.g.size:
        notes.append(f"{region.rings.g.size} rings; the answer rests on the {region.by}")
    if reference := reference_of(region):
        notes.append(f"angles are between planes, to those of {reference}")
    notes.append(f"scale: {ranking.scale.source}, standard error {100 * ranking.scale.sd:.2g} %")
    return flags, notes


def _alternatives(ranking: Ranking | None, comparison: str = "") -> tuple[Alternative, ...]:
    """Return every explanation; names that stand twice are numbered."""
    if ranking is None:
        return ()
    seen: dict[str, int] = {}
    found = []
    for number, candidate in enumerate(ranking.candidates):
        name = candidate.name + _KINDS.get(candidate.kind, "")
        seen[name] = seen.get(name, 0) + 1
        again = f" ({seen[name]})" if seen[name] > 1 else ""
        evidence = candidate.log_evidence
        found.append(
            Alternative(
                name=name + again,
                comparison=comparison,
                bic=-2.0 * evidence if math.isfinite(evidence) else None,
                probability=float(np.clip(candidate.probability, 0.0, 1.0)),
                in_set=candidate.in_set,
                chosen=number == 0,
            )
        )
    return tuple(found)


def _mixed(ranking: Ranking | None) -> bool:
    """Tell whether an explanation of several phases is in the set."""
    return ranking is not None and any(len(set(c.phase.split(" + "))) > 1 for c in ranking.ambiguity_set)


def _present(ranking: Ranking | None) -> tuple[Alternative, ...]:
    """Return how probable each phase is to be among those present, where explanations are of several phases."""
    if ranking is None or not _mixed(ranking):
        return ()
    members = {name for one in ranking.ambiguity_set for name in one.phase.split(" + ")}
    return tuple(
        Alternative(
            name=name, comparison="present", probability=min(value, 1.0), in_set=name in members, chosen=number == 0
        )
        for number, (name, value) in enumerate(ranking.present().items())
    )


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
        if surface.strain is not None:
            flags += surface.strain.flags
            quantities += _strain(surface.strain)
        for edge in found.edges:
            quantities += _edge(edge, result.scale)
        unknown = [edge for edge in found.edges if course_of(edge) is None]
        flags += [f"COURSE_UNKNOWN:{edge.outer}|{edge.inner}" for edge in unknown]
        apart = {name for edge in unknown for name in (edge.outer, edge.inner)}
        for layer in found.layers:
            stated = some(_layer(layer, result.scale))
            quantities += [q for q in stated if q.name != SPREAD or layer.name not in apart]
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


def _strain(one: Strain) -> list[Quantity | None]:
    """Return the mean strain of the innermost lattice against its own mean, with its spread from place to place.

    By its making the mean is near zero; what it tells is how far places scatter.
    """
    found = []
    for name, values in (("across", one.exx), ("along", one.eyy)):
        good = values[np.isfinite(values) & ~one.changes]
        if good.size > 1:
            budget = {"places": float(good.std(ddof=1))}
            found.append(measured("lattice.strain", float(good.mean()), budget["places"], "1", name, budget=budget))
    return found


def _edge(edge: Edge, scale: Scale) -> list[Quantity | None]:
    name, factor = f"{edge.outer}|{edge.inner}", scale.factor
    budget = {part: factor * abs(value) for part, value in edge.parts.items()}
    rough, sigma = factor * edge.roughness_nm, factor * edge.roughness_sigma_nm
    place = factor * edge.position_nm, factor * edge.sigma_nm
    found = [measured("layer.boundary", *place, "nm", name, kind="systematic", budget=budget)]
    if course_of(edge) is not None:
        found.append(measured("layer.roughness", rough, sigma, "nm", name, kind="sampling"))
    return found


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
    spread, of_spread = factor * layer.spread_nm, factor * layer.spread_sigma_nm
    return [
        measured(THICKNESS, value, sigma, "nm", layer.name, kind="systematic", budget=budget),
        measured(SPREAD, spread, of_spread, "nm", layer.name, kind="sampling"),
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
