"""What a run keeps of an image: a reduced view, the transform of every region with its spots, what answers predict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from layerscope.crystals import Phase, rings, zone_pattern
from layerscope.measured.series import Level, MeasuredSeries
from layerscope.runs.grids import Grid, GridArrays, GridAxis
from layerscope.runs.pipeline import RunContext

from .analyse import ImageResult
from .image import Image
from .indexing import Candidate
from .layers.model import PhaseMap
from .readers.micrograph import Micrograph
from .spots import Rings, Spots
from .surface import LayerResult, course_of

__all__ = [
    "BOXES",
    "EDGE",
    "MAP",
    "PREDICTED",
    "PROFILES",
    "RINGS",
    "SPOTS",
    "STRAIN",
    "TRANSFORM",
    "VIEW",
    "image_arrays",
]

VIEW, BOXES, MAP, PROFILES, EDGE, STRAIN, FILTERED = "view", "boxes", "map", "profiles", "edge", "strain", "filtered"
TRANSFORM, SPOTS, PREDICTED, RINGS = "transform", "spots", "predicted", "rings"
MOST_PIXELS = 512
"""Of the longer side of the view: the raw image itself stays in its file."""
MOST_BINS = 256
"""Of a transform along each side."""
REACH = 9.5
"""1/nm that a transform shows at most."""
SHOWN = 3
"""Answers whose reflections are kept."""


def image_arrays(
    context: RunContext,
    series: MeasuredSeries[Micrograph],
    level: Level[Micrograph],
    result: ImageResult,
    phases: tuple[Phase, ...],
    name: str,
) -> list[GridArrays]:
    """Return the arrays of one image; its raw pixels are not among them: path and hash stand in the records."""
    grids: dict[str, Grid] = {}
    if result.image is not None:
        grids[VIEW] = _view(result.image)
        grids[BOXES] = _boxes(result)
    by_name = {phase.name: phase for phase in phases}
    for region in result.regions:
        if result.image is not None and region.window is not None and region.spots is not None:
            grids[f"{TRANSFORM} {region.name}"] = _transform(result.image.cut(region.window))
        if region.spots is not None and region.spots.size:
            grids[f"{SPOTS} {region.name}"] = _spots(region.spots)
        if region.rings is not None and region.rings.g.size:
            grids[f"{RINGS} {region.name}"] = _rings(region.rings)
        for number, candidate in enumerate(region.ranking.candidates[:SHOWN] if region.ranking else ()):
            predicted = _predicted(candidate, by_name)
            if predicted is not None:
                grids[f"{PREDICTED} {region.name}: {number + 1}"] = predicted
    if result.map is not None:
        grids[MAP] = _map(result.map)
    if result.surface is not None:
        grids |= _surface(result.surface)
    if result.surface is not None and result.image is not None:
        part = result.image.cut(result.surface.window)
        for phase, values in result.surface.filtered.items():
            shown = _view(replace(part, intensity=values))
            corner = result.surface.corner_nm[::-1]
            moved = (replace(a, values=np.asarray(a.values) + c) for a, c in zip(shown.axes, corner, strict=True))
            grids[f"{FILTERED} {phase}"] = replace(shown, axes=tuple(moved), says=f"waves of {phase} alone, 8 bits")
    if not grids:
        return []
    return [
        GridArrays(
            name=name,
            technique=context.pipeline.technique,
            title=f"{series.sample}: {level.measurement.source or level.measurement.name}",
            sample=series.sample,
            grids=grids,
            metadata={"file": level.measurement.source, "frame": level.index},
            base=context.base,
        )
    ]


def _axes(shape: tuple[int, int], step: tuple[float, float], unit: str) -> tuple[GridAxis, GridAxis]:
    return tuple(
        GridAxis.even(axis, unit, size, each, 0.5 * each) for axis, size, each in zip("yx", shape, step, strict=True)
    )  # type: ignore[return-value]


def _view(image: Image) -> Grid:
    """Return an image in 8 bits, binned to `MOST_PIXELS` at most, between its 0.5 and 99.5 % quantiles."""
    times = max(1, -(-max(image.shape) // MOST_PIXELS))
    small = _binned(image.intensity, times)
    low, high = np.quantile(small, (0.005, 0.995))
    shown = np.clip(255.0 * (small - low) / max(float(high - low), 1e-30), 0.0, 255.0).astype(np.uint8)
    y, x = image.pixel()
    says = f"the image, {times} x {times} pixels averaged, 0 to 255 from {low:.6g} to {high:.6g} of its values"
    return Grid(shown, "1", _axes(shown.shape, (times * y, times * x), _unit(image)), says)


def _unit(image: Image) -> str:
    """Return the unit of lengths in an image: pixels where nobody knows their size."""
    return "nm" if image.scale_known else "px"


def _binned(values: NDArray[np.float32], times: int) -> NDArray[np.float32]:
    rows, columns = (size // times for size in values.shape)
    cut = values[: rows * times, : columns * times]
    found: NDArray[np.float32] = cut.reshape(rows, times, columns, times).mean(axis=(1, 3), dtype=np.float32)
    return found


def _boxes(result: ImageResult) -> Grid:
    """Return the rectangles of regions in nm."""
    y, x = result.image.pixel() if result.image else (1.0, 1.0)
    rows = [(w.x * x, w.y * y, w.nx * x, w.ny * y) for region in result.regions if (w := region.window)]
    names = tuple(region.name for region in result.regions if region.window)
    columns = ("left", "top", "width", "height")
    return Grid(np.array(rows).reshape(-1, 4), "nm", (GridAxis("region", "1", names), GridAxis("side", "1", columns)))


def _transform(part: Image) -> Grid:
    """Return the logarithm of the power of a window under a Hann taper, the origin in the middle."""
    rows, columns = part.shape
    taper = np.hanning(rows)[:, None] * np.hanning(columns)[None]
    data = (part.intensity - part.intensity.mean(dtype=np.float64)) * taper
    power = np.fft.fftshift(np.abs(np.fft.fft2(data.astype(np.float32))) ** 2)
    steps = [1.0 / (size * pixel) for size, pixel in zip(part.shape, part.pixel(), strict=True)]
    cut, axes = [], []
    for size, step, name in zip(part.shape, steps, ("gy", "gx"), strict=True):
        middle = size // 2
        reach = min(middle - 1, int(REACH / step)) if part.scale_known else middle - 1
        times = max(1, -(-(2 * reach + 1) // MOST_BINS))
        count = (2 * reach + 1) // times
        first = middle - reach
        cut.append((slice(first, first + count * times), count, times))
        start = step * (-reach + 0.5 * (times - 1))
        axes.append(GridAxis.even(name, f"1/{_unit(part)}", count, step * times, start))
    (ys, ny, ty), (xs, nx, tx) = cut
    most = power[ys, xs].reshape(ny, ty, nx, tx).max(axis=(1, 3))  # a spot is one bin: a mean would hide it
    shown = np.log10(np.maximum(most, 1e-12 * max(float(most.max()), 1e-30))).astype(np.float32)
    return Grid(shown, "1", (axes[0], axes[1]), "log10 of the power, strongest of the bins put together")


def _spots(spots: Spots) -> Grid:
    """Return places and strengths of spots."""
    sigma = np.sqrt(np.stack([spots.covariance[:, 0, 0], spots.covariance[:, 1, 1]], axis=1))
    values = np.column_stack([spots.g, sigma, spots.amplitude, spots.power, spots.on_streak])
    columns = ("gx / (1/nm)", "gy / (1/nm)", "sigma gx / (1/nm)", "sigma gy / (1/nm)", "amplitude", "power", "streak")
    axes = GridAxis.even("spot", "1", spots.size, 1.0, 1.0), GridAxis("column", "1", columns)
    return Grid(values, "1", axes, "spots, of each Friedel pair one, strongest first")


def _rings(found: Rings) -> Grid:
    """Return radii, heights over the level and full widths of rings."""
    values = np.column_stack([found.g, found.g_sigma, found.height, found.width])
    columns = GridAxis("column", "1", ("g / (1/nm)", "sigma g / (1/nm)", "height over level", "width / (1/nm)"))
    return Grid(values, "1", (GridAxis.even("ring", "1", found.g.size, 1.0, 1.0), columns), "rings, innermost first")


def _predicted_rings(candidate: Candidate, phases: dict[str, Phase]) -> Grid | None:
    """Return where phases of an answer have their rings, by the stated pixel size; None if one is not known."""
    names = candidate.phase.split(" + ")
    if not all(name in phases for name in names):
        return None
    labels, rows = list[str](), list[tuple[float, float]]()
    for name in names:
        pattern = rings(phases[name], REACH)
        labels += [f"{name}: {label}" for label in pattern.labels]
        strength = pattern.intensity / pattern.intensity.max()
        rows += zip((pattern.g * candidate.scale).tolist(), strength.tolist(), strict=True)
    columns = GridAxis("column", "1", ("g / (1/nm)", "relative intensity"))
    return Grid(np.array(rows), "1", (GridAxis("ring", "1", tuple(labels)), columns), f"rings of {candidate.name}")


def _predicted(candidate: Candidate, phases: dict[str, Phase]) -> Grid | None:
    """Return where an answer predicts reflections, in the frame of the image; None of what predicts none."""
    if candidate.kind == "rings":
        return _predicted_rings(candidate, phases)
    phase = phases.get(candidate.phase)
    if phase is None or candidate.zone is None or candidate.matrix is None:
        return None
    pattern = zone_pattern(phase, candidate.zone, g_max=REACH)
    places = pattern.g @ candidate.matrix.T
    inside = np.hypot(*places.T) <= REACH
    relative = pattern.amplitude / max(float(pattern.amplitude.max()), math.ulp(1.0))
    values = np.column_stack([places, relative])[inside]
    if not len(values):
        return None
    labels: Sequence[str] = [" ".join(str(int(h)) for h in hkl) for hkl in pattern.hkl[inside]]
    columns = GridAxis("column", "1", ("gx / (1/nm)", "gy / (1/nm)", "relative amplitude"))
    return Grid(values, "1", (GridAxis("reflection", "1", tuple(labels)), columns), f"reflections of {candidate.name}")


def _map(phases: PhaseMap) -> Grid:
    """Return the probability of every class in windows over the image."""
    axes = GridAxis("y", "nm", phases.y), GridAxis("x", "nm", phases.x), GridAxis("class", "1", phases.classes)
    across, along = phases.kernel.across_nm, phases.kernel.along_nm
    says = f"probability in windows of {across:.3g} by {along:.3g} nm, full widths at half maximum"
    return Grid(phases.probability, "1", axes, says)


def _strain(surface: LayerResult) -> Grid:
    """Return the maps of strain in the coordinates of the image."""
    one = surface.strain
    assert one is not None  # noqa: S101 - the caller has looked
    x, y = (values + corner for values, corner in zip((one.x, one.y), surface.corner_nm, strict=True))
    parts = {
        "across": one.exx,
        "along": one.eyy,
        "shear": one.exy,
        "sigma": one.sigma,
        "rotation / deg": one.rotation_deg,
    }
    parts["near a change"] = one.changes.astype(np.float64)  # of phase, or the rim: strain may be false there
    values = np.stack(list(parts.values()), axis=-1).astype(np.float32)
    axes = GridAxis("y", "nm", y), GridAxis("x", "nm", x), GridAxis("part", "1", tuple(parts))
    says = f"strain of the innermost lattice in windows of {one.width_nm:.3g} nm, across and along the surface"
    return Grid(values, "1", axes, says)


def _surface(surface: LayerResult) -> dict[str, Grid]:
    """Return profiles along the normal, and the course of every boundary along the surface in image coordinates."""
    grids: dict[str, Grid] = {}
    if surface.profiles:
        names = tuple(surface.profiles)
        axes = GridAxis("layer", "1", names), GridAxis("depth", "nm", surface.depth)
        says = "amplitude of the waves that only this layer has, over its largest"
        grids[PROFILES] = Grid(np.stack([surface.profiles[name] for name in names]), "1", axes, says)
    if surface.strain is not None:
        grids[STRAIN] = _strain(surface)
    found = surface.layers
    for edge in found.edges if found is not None else ():
        axes = GridAxis("along", "nm", edge.along), GridAxis("column", "1", ("depth / nm", "x / nm", "y / nm"))
        course = course_of(edge)
        says = "course along the surface" if course is not None else "mean place; the course is not known"
        depth = np.full(edge.along.shape, edge.position_nm) if course is None else course
        values = np.column_stack([depth, surface.places(edge.along, depth)])
        grids[f"{EDGE} {edge.outer}|{edge.inner}"] = Grid(values, "nm", axes, says)
    return grids
