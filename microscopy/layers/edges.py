"""Edges between layers at a surface, their roughness, and how thick the layers are.

An edge stands where the lock-in amplitude of reflections that only one of two neighbours has comes to half; the edge of
vacuum where the speckle does. What one fit says of its own error means nothing: the error is the spread over windows,
ranges of depth, thresholds for reflections, the reflections themselves and the two sides of an edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from layerscope.errors import DataError

from ..image import Image
from .model import AMORPHOUS, VACUUM, FloatArray, Lattice
from .profiles import lattice_profile, own_reflections
from .result import Edge, Layer, Layers
from .scene import (
    ACROSS_NM,
    REACH_NM,
    SHARP,
    THINNEST_NM,
    THRESHOLDS,
    UNDISPLACED,
    Scene,
    clear_profiles,
    combined,
    inner_part,
    look_for_layers,
    matter_step,
    own_profile,
    own_step,
    single_step,
)
from .stack import find_normal
from .steps import Step, steady, steady_mean

__all__ = ["Edge", "Layer", "Layers", "measure_edges"]

#: An edge of a crystal is not defined better than this: it ends with a plane of atoms.
PLANE_NM = 0.02
#: An edge of speckle likewise: an atom's image is this wide.
ATOM_NM = 0.03
#: Ranges about the edge of speckle: in longer ones the film's own speckle and what is below it weigh more.
SPECKLE_REACH_NM = (0.6, 0.8, 1.2)
#: Scatter of that edge from station to station, and how many stations' worth that is known.
STATION_NM, USUAL = 0.15, 3.0
#: How far a lens displaces waves of 5 /nm at least; grows with the fourth power.
DISPLACED_NM = 0.012
#: How far kinds of reflections differ in where an edge is: waves that are squares of others see it deeper.
KIND_NM = 0.09
SHORT_NM = 2.0
#: Short windows that see an edge farther off than this see another one, or long ones do.
COURSE_OFF_NM = 0.4
#: Length along which an edge wanders, for the error of the normal.
CORRELATED_NM = 3.0
#: A film above this is no doubt.
THICK_NM = 1.2
#: An edge less sure than this says nothing against a film.
UNSURE_NM = 0.4


@dataclass(frozen=True, eq=False)
class _Side:
    """An edge as one lattice, or speckle, sees it."""

    position: float
    parts: dict[str, float]
    width: float
    reflections: int
    step: Step

    @property
    def sigma(self) -> float:
        return float(np.sqrt(sum(v**2 for v in self.parts.values())))


def measure_edges(
    image: Image,
    layers: Sequence[Lattice | str],
    *,
    normal_deg: float | None = None,
    along_nm: float = 5.0,
    band: tuple[float, float] = (1.6, 9.0),
) -> Layers:
    """Measure the edges of layers at a surface.

    Parameters
    ----------
    image : Image
        With the size of its pixels; one surface, nearly straight.
    layers : sequence of Lattice or str
        What may stand there from outside in: "vacuum", "amorphous", lattices at their orientation in this image. A
        layer that is not there gets a limit.
    normal_deg : float, optional
        Direction of the normal in degrees from x towards y, into the material; found unless given.
    along_nm : float
        Full width of the window along the surface; above 5 nm it separates 012 from 006 of a layered oxide.
    band : tuple of 2 floats
        Range of |g| in 1/nm.

    Returns
    -------
    Layers

    Raises
    ------
    DataError
        If there are fewer than two layers, the image shows no edge between them, or is smaller than the windows.
    """
    names = [k if isinstance(k, str) else k.name for k in layers]
    known = {k.name: k for k in layers if isinstance(k, Lattice)}
    if len(names) < 2 or len(set(names)) < len(names) or not set(names) <= {VACUUM, AMORPHOUS, *known}:
        raise DataError(f"layers are two or more of vacuum, amorphous and lattices, not {', '.join(names)}")
    py, px = image.pixel()
    band = (band[0], min(band[1], 0.46 / max(py, px)))
    flags: list[str] = []
    given = normal_deg is not None
    normal, sigma = (normal_deg or 0.0), 0.0
    if not given:
        normal = find_normal(image, names, list(known.values()), (band[0], min(band[1], SHARP)))
    scene = look_for_layers(image, names, known, normal, along_nm, band)
    if not given:
        for _ in range(2):
            tilt, sigma = _tilt(scene)
            if not np.isfinite(tilt):
                flags.append("NORMAL_UNCERTAIN")
                break
            scene = look_for_layers(image, names, known, scene.normal_deg - tilt, along_nm, band)
    scene, absent = _without_film(scene, flags)
    pairs = list(pairwise(scene.names))
    if not pairs:
        raise DataError("the image shows no edge: one layer fills it", source=image.source)
    edges = [_edge(scene, a, b, flags) for a, b in pairs]
    found = [e for e in edges if e is not None]
    if len(found) < len(edges):
        flags.append("EDGE_NOT_MEASURED")
    flags += [f"LAYER_DOUBTFUL:{name}" for name in scene.doubtful]
    results = [_layer(scene, n, found, absent) for n in names[1:-1]]
    middle = (0.5 * image.shape[1] * px, 0.5 * image.shape[0] * py)
    return Layers(scene.normal_deg, sigma, middle, tuple(found), tuple(results), tuple(dict.fromkeys(flags)))


def _side(scene: Scene, name: str, outer: bool) -> _Side | None:
    """Measure an edge by the lattice on one side of it, over windows, ranges, thresholds and kinds of reflections.

    Reflections of one length form a kind: what a lens and the thickness of the sample do to one of them they do to all.
    """
    frame = scene.frame(0.5 * scene.along_nm)
    inside = inner_part(scene.intervals[name])
    members: list[float] = []
    best: tuple[Step, FloatArray, FloatArray, FloatArray, FloatArray] | None = None
    profiles = clear_profiles(scene, name, frame)
    middle = min(profiles, key=lambda across: abs(across - ACROSS_NM[1]), default=0.0)
    for across, profile in profiles.items():
        contrast = profile.mean(inside) / profile.noise
        kind = np.rint(np.log(np.hypot(*profile.g.T)) / 0.02).astype(int)
        kinds = [np.flatnonzero(kind == k) for k in np.unique(kind)]
        read = [combined(profile, inside, k) for k in kinds]
        highest = np.array([contrast[k].max() for k in kinds])
        length = np.array([np.hypot(*profile.g[k[0]]) for k in kinds])
        for reach in REACH_NM:
            steps = [own_step(scene, name, amplitude, profile, reach, outer) for amplitude, _ in read]
            place = np.array([steady_mean(step.position) for step in steps])
            found = [max(1.0, np.isfinite(step.position).sum() / 1.5) for step in steps]
            variance = np.array([v for _, v in read]) / found
            noise = np.sqrt(2.0 * np.pi * variance) * [step.width for step in steps]
            displaced = _displaced(noise, length, place)
            for threshold in THRESHOLDS:
                used = np.isfinite(place) & (highest > threshold)
                if used.any():
                    members.append(float(place[used] @ _weights(noise, length, place, displaced, used)[used]))
            used = np.isfinite(place)
            if across == middle and reach == REACH_NM[1] and used.any():
                whole, _ = combined(profile, inside, np.arange(len(contrast)))
                step = own_step(scene, name, whole, profile, reach, outer)
                weight = _weights(noise, length, place, displaced, used)
                best = step, place[used], noise[used], weight[used], displaced[used]
    if best is None or len(members) < 3:
        return None
    step, place, noise, weight, displaced = best
    off = place - weight @ place
    scatter = (len(place) * float(weight @ off**2) + 2.0 * KIND_NM**2) / (len(place) + 1)
    parts = {
        "method": float(np.std(members)),
        # A lens displaces all the same way: that does not average out.
        "reflections": float(np.hypot(np.sqrt(scatter * np.sum(weight**2)), weight @ displaced)),
        "noise": float(np.linalg.norm(weight * noise)),
    }
    return _Side(float(np.median(members)), parts, _own_width(scene, step), len(place), step)


def _displaced(noise: FloatArray, length: FloatArray, place: FloatArray) -> FloatArray:
    """Give how far a lens may displace each kind of waves: by what finer ones see elsewhere than the coarsest do."""
    growth = (length / 5.0) ** 4
    known = np.flatnonzero(np.isfinite(place))
    strength = DISPLACED_NM
    if known.size > 1:
        first = known[np.argmin(length[known])]
        finer = known[growth[known] - growth[first] > 0.15]
        apart = np.abs(place[finer] - place[first]) - 2.0 * np.hypot(noise[finer], noise[first]) - KIND_NM
        if finer.size:
            strength = max(strength, float(np.median(apart / (growth[finer] - growth[first]))))
    return np.asarray(strength * growth)


def _weights(
    noise: FloatArray, length: FloatArray, place: FloatArray, displaced: FloatArray, used: NDArray[np.bool_]
) -> FloatArray:
    """Weights of kinds of reflections: by noise, by how far a lens may displace them, less where they disagree."""
    start = np.where(used, 1.0 / (noise**2 + (0.5 * KIND_NM) ** 2 + displaced**2), 0.0)
    place = np.where(used, place, 0.0)
    # Where others lie elsewhere than coarse waves say, the lens displaces them.
    coarse = used & (length < UNDISPLACED)
    first = start * coarse if coarse.any() else start
    middle = float(first @ place / first.sum())
    for _ in range(5):
        weight = start / np.maximum(1.0, np.abs(place - middle) / (1.5 * KIND_NM)) ** 2
        middle = float(weight @ place / weight.sum())
    return np.asarray(weight / weight.sum())


def _own_width(scene: Scene, step: Step) -> float:
    """Give the standard deviation of an edge without that of the window."""
    return float(np.sqrt(max(step.width**2 - scene.kernel(ACROSS_NM[1]).sigma[0] ** 2, 0.0)))


def _matter_side(scene: Scene, name: str) -> _Side | None:
    """Measure the edge of vacuum by speckle, over windows, ranges and bands, about where one of them places it."""
    frame = scene.frame(0.5 * scene.along_nm)
    first = matter_step(scene, name, scene.kernel(ACROSS_NM[1]), frame, REACH_NM[1], scene.band)
    end = scene.intervals[name][1]
    at = steady_mean(first.position)
    if np.isfinite(at) and at < end:
        scene = replace(scene, intervals={**scene.intervals, name: (at, end)})
    steps = {
        (across, reach, low): matter_step(scene, name, scene.kernel(across), frame, reach, (low, scene.band[1]))
        for across in ACROSS_NM
        for reach in SPECKLE_REACH_NM
        for low in (scene.band[0], 3.0)
    }
    values = np.array([steady_mean(s.position) for s in steps.values()])
    values = values[np.isfinite(values)]
    step = steps[ACROSS_NM[1], SPECKLE_REACH_NM[1], scene.band[0]]
    good = step.position[steady(step.position)]
    if values.size < 3 or not good.size:
        return None
    # Of few stations the scatter is hardly known: what is usual counts as three of them more.
    scatter = (USUAL * STATION_NM**2 + good.size * good.var()) / (USUAL + good.size - 1)
    parts = {"method": float(values.std()), "noise": float(np.sqrt(1.5 * scatter / good.size))}
    return _Side(float(np.median(values)), parts, _own_width(scene, step), 0, step)


def _sides(scene: Scene, a: str, b: str) -> list[_Side]:
    """All that sees the edge of two layers."""
    found = [_side(scene, n, outer) for n, outer in ((b, True), (a, False)) if n in scene.lattices]
    if VACUUM in (a, b) and AMORPHOUS in (a, b):
        found.append(_matter_side(scene, b))
    return [s for s in found if s is not None]


def _edge(scene: Scene, a: str, b: str, flags: list[str]) -> Edge | None:
    """Measure the edge of two layers."""
    sides = _sides(scene, a, b)
    if not sides:
        return None
    weight = np.array([1.0 / max(s.sigma, 1e-3) ** 2 for s in sides])
    weight /= weight.sum()
    position = float(weight @ [s.position for s in sides])
    parts = {
        k: float(np.linalg.norm([w * s.parts.get(k, 0.0) for w, s in zip(weight, sides, strict=True)]))
        for k in ("method", "reflections", "noise")
    }
    if len(sides) > 1:
        apart = abs(sides[0].position - sides[1].position)
        parts["sides"] = 0.5 * apart
        if apart > 3.0 * np.linalg.norm([s.sigma for s in sides]) and apart > 0.3:
            flags.append("SIDES_DISAGREE")
    parts["planes"] = ATOM_NM if sides[0].reflections == 0 else PLANE_NM
    frame = scene.frame(1.0)
    step, noise = single_step(scene, a, b, scene.kernel(ACROSS_NM[1], min(SHORT_NM, scene.along_nm)), frame)
    off = abs(steady_mean(step.position) - position)
    if off > COURSE_OFF_NM:
        parts["sides"] = max(parts.get("sides", 0.0), 0.5 * off)
        flags.append("SIDES_DISAGREE")
    rough, rough_sigma, station = _roughness(frame.along, step.position, noise)
    return Edge(
        a,
        b,
        position,
        float(np.sqrt(sum(v**2 for v in parts.values()))),
        parts,
        sides[0].width,
        max(s.reflections for s in sides),
        frame.along,
        step.position,
        rough,
        rough_sigma,
        station,
    )


def _roughness(along: FloatArray, positions: FloatArray, noise: Step | None) -> tuple[float, float, float]:
    """Give the standard deviation about a straight line without noise, its error, and the noise of a station."""
    good = steady(positions)
    count = int(good.sum())
    if count < 4 or noise is None or not np.isfinite(noise.position).any():
        return float("nan"), float("nan"), float("nan")
    rest = positions[good] - np.polyval(np.polyfit(along[good], positions[good], 1), along[good])
    # Halves may see an edge at two depths: that is no noise. Of a station far off a fit failed: the median bears it.
    own = 1.48 * float(np.nanmedian(np.abs(noise.position - np.nanmedian(noise.position))))
    return *_without_noise(float(rest @ rest) / (count - 2), own, count), own


def _without_noise(total: float, noise: float, count: int) -> tuple[float, float]:
    """Give the standard deviation that a variance leaves without noise, and its error; two stations are worth one."""
    variance = max(total - noise**2, 0.0)
    error = total * np.sqrt(4.0 / (count - 2))
    return float(np.sqrt(variance)), float(error / (2.0 * np.sqrt(max(variance, error, 1e-8))))


def _tilt(scene: Scene) -> tuple[float, float]:
    """Degrees by which edges lean against the frame, and the error of that."""
    frame = scene.frame(1.0)
    slopes, weights = [], []
    for a, b in pairwise(scene.names):
        step, _ = single_step(scene, a, b, scene.kernel(ACROSS_NM[1], SHORT_NM), frame)
        good = steady(step.position)
        if good.sum() < 4:
            continue
        v, u = frame.along[good], step.position[good]
        (slope, _), covariance = np.polyfit(v, u, 1, cov=True)
        slopes.append(slope)
        weights.append(1.0 / (covariance[0, 0] + 0.01**2))
    if not slopes:
        return float("nan"), float("nan")
    weight = np.array(weights)
    slope = float(weight @ slopes / weight.sum())
    # Roughness is alike on edges that lie on each other, and along one for some nanometres: neither averages it out.
    scatter = float(weight @ (np.array(slopes) - slope) ** 2 / weight.sum())
    error = np.sqrt(scatter + CORRELATED_NM / weight.max())
    return float(np.degrees(np.arctan(slope))), float(np.degrees(error))


def _without_film(scene: Scene, flags: list[str]) -> tuple[Scene, dict[str, float]]:
    """Take an amorphous film out that is no thicker than the edges of vacuum and of what is below it are sure of."""
    absent: dict[str, float] = {}
    names = scene.names
    if names[:1] != [VACUUM] or len(names) < 2:
        return scene, absent
    below = next((n for n in names if n in scene.lattices), None)
    film = scene.intervals[names[1]] if names[1] == AMORPHOUS else None
    if below is None or (film is None and names[1] != below) or (film is not None and film[1] - film[0] > THICK_NM):
        return scene, absent
    crystal, speckle = _side(scene, below, True), _matter_side(scene, names[1])
    if crystal is None or speckle is None:
        return scene, absent
    thick = crystal.position - speckle.position
    sigma = float(np.hypot(np.hypot(crystal.sigma, speckle.sigma), np.hypot(PLANE_NM, ATOM_NM)))
    # An edge that a lens displaces is too unsure to take out what a map shows.
    if film is not None and (thick > max(2.0 * sigma, THINNEST_NM) or sigma > UNSURE_NM):
        return scene, absent
    absent[AMORPHOUS] = max(thick, 0.0) + 1.645 * sigma
    intervals = dict(scene.intervals)
    intervals[below] = (crystal.position, intervals[below][1])
    intervals[VACUUM] = (intervals[VACUUM][0], crystal.position)
    return replace(scene, names=[n for n in names if n != AMORPHOUS], intervals=intervals), absent


def _layer(scene: Scene, name: str, edges: list[Edge], absent: dict[str, float]) -> Layer:
    """Thickness of one layer, or its limit."""
    outer = next((e for e in edges if e.inner == name), None)
    inner = next((e for e in edges if e.outer == name), None)
    nothing = np.zeros(0)
    if outer is None or inner is None:
        unlimited = name in scene.names or name in scene.doubtful
        limit = absent.get(name, float("nan") if unlimited else _limit(scene, name))
        return Layer(name, name in scene.names, float("nan"), float("nan"), limit, nothing, float("nan"), float("nan"))
    thick = inner.position_nm - outer.position_nm
    sigma = float(np.hypot(inner.sigma_nm, outer.sigma_nm))
    values = inner.positions - outer.positions
    good = values[np.isfinite(values)]
    noise, spread = float(np.hypot(inner.noise_nm, outer.noise_nm)), (float("nan"), float("nan"))
    if good.size > 3 and np.isfinite(noise):
        spread = _without_noise(float(good.var(ddof=1)), noise, good.size)
    return Layer(name, True, thick, sigma, thick + 1.645 * sigma, values, *spread)


def _limit(scene: Scene, name: str) -> float:
    """Thickness from which a lattice that is not seen would have been, were it as strong as the strongest seen."""
    if name not in scene.lattices:
        return float("nan")
    kernel, frame = scene.kernel(ACROSS_NM[1]), scene.frame(0.5 * scene.along_nm)
    strongest = 0.0
    for seen in (n for n in scene.names if n in scene.lattices):
        profile = own_profile(scene, seen, kernel, frame)
        if profile is not None:
            strongest = max(strongest, float(profile.mean(inner_part(scene.intervals[seen])).max()))
    others = [scene.lattices[n] for n in scene.names if n in scene.lattices]
    g = own_reflections(scene.lattices[name], others, kernel, scene.band[1])
    if not len(g) or strongest <= 0:
        return float("nan")
    profile = lattice_profile(scene.readers.waves(kernel), frame, g[:3], [*others, scene.lattices[name]])
    shown = float(np.nan_to_num(profile.along_surface()).max()) + 3.0 * float(profile.noise.max())
    part = min(0.98, np.sqrt(shown / strongest))
    return float(max(2.0 * kernel.sigma[0] * ndtri(0.5 * (1.0 + part)), THINNEST_NM))
