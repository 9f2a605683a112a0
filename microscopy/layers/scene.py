"""Where layers stand, roughly, and where one window places the edge of two of them.

A layer counts as seen where it shows reflections of its own; an edge is placed by those of the lattice on either side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..image import Image
from .model import VACUUM, FloatArray, Kernel, Lattice
from .profiles import Frame, Profile, Readers, lattice_profile, matter_profile, own_reflections, refined
from .stack import Coarse, coarse_layers
from .steps import Step, fit_step, steady_mean

__all__ = [
    "Scene",
    "clear_profiles",
    "combined",
    "inner_part",
    "look_for_layers",
    "matter_step",
    "own_profile",
    "own_step",
    "single_step",
]

ACROSS_NM = (0.3, 0.45, 0.6)
REACH_NM = (0.8, 1.2, 1.8)
FIRST_REACH_NM = 2.6
#: Power of a reflection over its background from which it takes part.
THRESHOLDS = (3.0, 10.0, 30.0)
#: Layers are looked for by waves up to this |g| in 1/nm: a lens displaces finer ones, by λ (C₁ g + Cₛ λ² g³).
SHARP = 6.0
#: Power of a layer's own reflection over that where its neighbours stand.
STANDS_OUT = 4.0
#: Waves up to this |g| in 1/nm are displaced by less than 0.2 nm by any lens at its usual focus.
UNDISPLACED = 5.6
THINNEST_NM = 0.35


@dataclass(frozen=True, eq=False)
class Scene:
    """What all measurements of one image share.

    Attributes
    ----------
    readers : Readers
        The image through its windows.
    lattices : dict of Lattice
        All that were named, turned to what the image shows.
    names : list of str
        Layers that are seen, from outside in.
    intervals : dict of tuples
        From which depth to which each reaches, nm along the normal from the middle of the image.
    normal_deg, along_nm, band
        See `measure_edges`.
    doubtful : tuple of str
        Layers that a map shows, but no reflection of their own.
    """

    readers: Readers
    lattices: dict[str, Lattice]
    names: list[str]
    intervals: dict[str, tuple[float, float]]
    normal_deg: float
    along_nm: float
    band: tuple[float, float]
    doubtful: tuple[str, ...] = ()

    def frame(self, spacing: float) -> Frame:
        """Lay stations along the surface, some nm apart."""
        return Frame.over(self.readers.image, self.normal_deg, spacing)

    def kernel(self, across: float, along: float | None = None) -> Kernel:
        """Return the window of a width across, nm, as long along the surface as all, or shorter."""
        return Kernel(across, along or self.along_nm, self.normal_deg)


def look_for_layers(
    image: Image,
    names: list[str],
    known: dict[str, Lattice],
    normal_deg: float,
    along_nm: float,
    band: tuple[float, float],
) -> Scene:
    """Find roughly where each layer reaches, turn lattices to what stands there, and place edges by one window.

    Layers are looked for by coarse waves; by all where these miss a lattice that all show.
    """
    width = Frame.over(image, normal_deg, 1.0).width_nm
    along_nm = min(along_nm, max(1.5, 0.75 * width))
    found: list[Scene] = []
    for top in (min(band[1], SHARP), band[1]):
        within = (band[0], top)
        coarse = coarse_layers(image, list(known.values()), normal_deg, min(along_nm, 0.45 * width), within)
        found.append(_confirmed(image, names, known, coarse, (normal_deg, along_nm, band)))
        if top == band[1] or set(known) <= set(found[0].names):
            break
    scene = max(found, key=lambda one: len(set(known) & set(one.names)))
    intervals = scene.intervals
    for reach in (FIRST_REACH_NM, REACH_NM[2], REACH_NM[1]):
        for a, b in pairwise(scene.names):
            step, _ = single_step(scene, a, b, scene.kernel(ACROSS_NM[1]), scene.frame(0.5 * along_nm), reach)
            at = steady_mean(step.position)
            if np.isfinite(at) and intervals[a][0] < at < intervals[b][1]:
                intervals[a], intervals[b] = (intervals[a][0], at), (at, intervals[b][1])
    return scene


def _confirmed(
    image: Image,
    names: list[str],
    known: dict[str, Lattice],
    coarse: Coarse,
    how: tuple[float, float, tuple[float, float]],
) -> Scene:
    """Give the layers that coarse windows show, without those that show nothing of their own."""
    wanted = names
    while True:
        intervals = coarse.layers(wanted)
        seen = [n for n in wanted if intervals[n][1] - intervals[n][0] > THINNEST_NM]
        for a, b in pairwise(seen):
            edge = 0.5 * (intervals[a][1] + intervals[b][0])
            intervals[a], intervals[b] = (intervals[a][0], edge), (edge, intervals[b][1])
        lattices = {
            n: refined(image, k, inner_part(intervals[n]), how[0]) if n in seen else k for n, k in known.items()
        }
        scene = Scene(Readers(image, list(lattices.values())), lattices, seen, intervals, *how)
        dropped = tuple(n for n in names if n not in wanted)
        doubtful = [n for n in seen[:-1] if n in known and not _stands_out(scene, n)]
        if not doubtful:
            return replace(scene, doubtful=dropped)
        # The thinnest first: what it took from its neighbours may make another one stand out.
        wanted = [n for n in wanted if n != min(doubtful, key=lambda n: intervals[n][1] - intervals[n][0])]


def _stands_out(scene: Scene, name: str) -> bool:
    """Whether a lattice shows a reflection of its own where it is thought to stand, and its neighbours do not.

    Where two lattices lie over each other, a third may fit to what both show; it has nothing of its own.
    """
    profile = own_profile(scene, name, scene.kernel(ACROSS_NM[1]), scene.frame(0.5 * scene.along_nm))
    if profile is None:
        return False
    own = profile.mean(inner_part(scene.intervals[name]))
    at = scene.names.index(name)
    neighbours = (*scene.names[at - 1 : at], *scene.names[at + 1 : at + 2])
    beside = [profile.mean(inner_part(scene.intervals[n])) for n in neighbours]
    return bool(np.any(own > STANDS_OUT * np.nan_to_num(np.max(beside, axis=0))))


def inner_part(interval: tuple[float, float]) -> tuple[float, float]:
    """Leave the rim of a layer out."""
    rim = min(0.5, 0.25 * (interval[1] - interval[0]))
    return interval[0] + rim, interval[1] - rim


def own_profile(scene: Scene, name: str, kernel: Kernel, frame: Frame, shared: bool = False) -> Profile | None:
    """Reflections of a lattice that stand out where it stands, its own or those it shares too; None where none does."""
    others = [scene.lattices[n] for n in scene.names if n != name and n in scene.lattices]
    g = own_reflections(scene.lattices[name], [] if shared else others, kernel, scene.band[1])
    if not len(g):
        return None
    profile = lattice_profile(scene.readers.waves(kernel), frame, g, [*others, scene.lattices[name]])
    keep = profile.mean(inner_part(scene.intervals[name])) > THRESHOLDS[0] * profile.noise
    return replace(profile, g=g[keep], power=profile.power[keep], noise=profile.noise[keep]) if keep.any() else None


def clear_profiles(scene: Scene, name: str, frame: Frame) -> dict[float, Profile]:
    """Read a lattice through windows of each width: only those that tell it by waves no lens displaces, if any does."""
    read = {across: own_profile(scene, name, scene.kernel(across), frame) for across in ACROSS_NM}
    found = {across: profile for across, profile in read.items() if profile is not None}
    clear = {across: profile for across, profile in found.items() if _undisplaced(profile).any()}
    return clear or found


def _clearest(scene: Scene, name: str, kernel: Kernel, frame: Frame, shared: bool) -> Profile | None:
    """Read a lattice through a window, or the next wider one that tells it by waves no lens displaces."""
    first: Profile | None = None
    for across in (kernel.across_nm, *(width for width in ACROSS_NM if width > kernel.across_nm)):
        profile = own_profile(scene, name, replace(kernel, across_nm=across), frame, shared)
        if profile is not None and _undisplaced(profile).any():
            return profile
        first = first or profile
    return first


def _undisplaced(profile: Profile) -> NDArray[np.bool_]:
    return np.asarray(np.hypot(*profile.g.T) < UNDISPLACED)


def combined(profile: Profile, inside: tuple[float, float], chosen: NDArray[np.intp]) -> tuple[FloatArray, float]:
    """Amplitude of several reflections over that in the layer, and the variance of it where it is a half."""
    plateau = profile.mean(inside)
    ratio = profile.noise[chosen] / plateau[chosen]
    weight = 1.0 / (ratio + 0.05)
    weight /= weight.sum()
    power = np.tensordot(weight / plateau[chosen], profile.power[chosen], axes=1)
    return np.sqrt(np.maximum(power, 0.0)), float(np.sum(weight**2 * (0.5 * ratio + ratio**2)))


def own_step(
    scene: Scene,
    name: str,
    amplitude: FloatArray,
    profile: Profile,
    reach: float,
    outer: bool,
    shared: bool = False,
) -> Step:
    """Fit the outer or inner edge of a layer to a profile of its own lattice, or of waves shared with the next."""
    first, last = scene.names[0] == name, scene.names[-1] == name
    guess, beyond = scene.intervals[name] if outer else scene.intervals[name][::-1]
    other = None if (last if outer else first) else beyond
    end, more = (None, other) if shared else (other, None)
    return fit_step(profile.depth, amplitude, guess, reach, profile.sigma_nm, falling=not outer, other=end, extra=more)


def single_step(
    scene: Scene, a: str, b: str, kernel: Kernel, frame: Frame, reach: float = REACH_NM[1]
) -> tuple[Step, Step | None]:
    """Place the edge of two layers with one window: at each station, and once more by half of what shows it.

    Waves that no lens displaces by much are preferred; all are taken where those see the edge at few stations. Where no
    lattice stands outside, a short window may read what the lattice shares with a deeper one: both begin at this edge.
    Speckle places the edge of vacuum alone: what it does between a film and a crystal is no step.
    """
    ways = [(b, True, False), (a, False, False), *([(b, True, True)] if a not in scene.lattices else [])]
    for name, outer, shared in ways:
        profile = _clearest(scene, name, kernel, frame, shared) if name in scene.lattices else None
        if profile is None:
            continue
        every = np.arange(len(profile.g))
        coarse = np.flatnonzero(_undisplaced(profile))
        for chosen in (coarse, every) if coarse.size > 1 else (every,):
            halves = [chosen[k::2] for k in (0, 1)] if chosen.size > 1 else []
            sums = [combined(profile, inner_part(scene.intervals[name]), k)[0] for k in (chosen, *halves)]
            step, *parts = (own_step(scene, name, one, profile, reach, outer, shared) for one in sums)
            if np.isfinite(step.position).sum() >= min(4, len(frame.along)):
                break
        return step, _difference(parts)
    if a != VACUUM:
        return Step(np.full(len(frame.along), np.nan), np.zeros(len(frame.along)), float("nan")), None
    bands = [scene.band, (scene.band[0], 3.0), (3.0, scene.band[1])]
    steps = [matter_step(scene, b, kernel, frame, reach, band) for band in bands]
    return steps[0], _difference(steps[1:])


def _difference(halves: list[Step]) -> Step | None:
    """Half the difference of two halves: noise of their mean."""
    if len(halves) < 2:
        return None
    return replace(halves[0], position=0.5 * (halves[0].position - halves[1].position))


def matter_step(scene: Scene, name: str, kernel: Kernel, frame: Frame, reach: float, band: tuple[float, float]) -> Step:
    """Place the edge of vacuum by the speckle beyond it."""
    profile = matter_profile(scene.readers.speckle(kernel, band), frame)
    start, end = scene.intervals[name]
    last = scene.names[-1] == name
    return fit_step(profile.depth, profile.power[0], start, reach, profile.sigma_nm, extra=None if last else end)
