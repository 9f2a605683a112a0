"""Map and layers of one image, from the lattices that its regions show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from layerscope.crystals import Phase, zone_pattern
from layerscope.errors import DataError

from .image import Image, Window
from .indexing import Candidate, Ranking
from .layers.edges import measure_edges
from .layers.lockin import LockIn
from .layers.maps import phase_map
from .layers.model import AMORPHOUS, VACUUM, Kernel, Lattice, PhaseMap
from .layers.profiles import FINER, Frame, lattice_profile, own_reflections
from .layers.result import Edge, Layers
from .layers.strain import Strain, bragg_filtered, strain
from .recipe import LayersTable, MapTable
from .spots import Spots

__all__ = ["LayerResult", "band_of", "course_of", "lattices_of", "map_of", "surface_of"]

FloatArray = NDArray[np.float64]
ACROSS_NM, ALONG_NM, SHORT_NM = 0.45, 5.0, 3.0
"""Window of the profiles that are shown; those that are measured have windows of several widths."""
STEP_NM = 0.1
COURSE_OFF = 0.2
"""nm by which the middle of a course may be off the boundary."""
STRAIN_NM, NOT_ONE_LINE = 2.0, 0.5
"""Resolution of strain, and sine of the angle of two reflections at least."""
LOWEST, LEAST_REACH, BEYOND = 1.6, 4.5, 1.05
"""Band of map and layers: from here, at least to there, and over the longest spot that any region shows (1/nm)."""
HIGHEST, WEAKEST, MOST = 9.0, 0.05, 8
"""Of the reflections that are shown: largest length (1/nm), least weight, and number."""


@dataclass(frozen=True, eq=False)
class LayerResult:
    """What was measured of the layers at the surface.

    Attributes
    ----------
    window : Window
        Part of the image that was used.
    layers : Layers or None
        None where they could not be measured, see `reason`.
    depth : ndarray, shape (m,)
        Along the normal from the middle of the window, nm.
    profiles : dict of str to ndarray, shape (m,)
        Amplitude of each lattice's own waves over its largest; NaN outside the image.
    corner_nm : tuple of 2 floats
        Where the window begins in the image (x, y).
    strain : Strain or None
        Of the innermost lattice, across and along the surface, where it was asked for.
    filtered : dict of str to ndarray
        Image of each lattice alone, where it was asked for.
    unseen : tuple of str
        Layers of the order that no region shows, so that nobody knows how their lattice lies.
    reason : str
    """

    window: Window
    layers: Layers | None
    depth: FloatArray
    profiles: dict[str, FloatArray]
    corner_nm: tuple[float, float] = (0.0, 0.0)
    strain: Strain | None = None
    filtered: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()
    reason: str = ""

    def places(self, along: FloatArray, depth: FloatArray) -> FloatArray:
        """Return where depths at places along the surface are in the image, (x, y) in nm, shape (n, 2)."""
        if self.layers is None:
            return np.zeros((0, 2))
        angle = np.radians(self.layers.normal_deg)
        inwards, aside = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        middle = np.add(self.corner_nm, self.layers.middle_nm)
        return np.asarray(middle + depth[:, None] * inwards + along[:, None] * aside)


def lattices_of(answers: Sequence[Ranking], phases: Mapping[str, Phase]) -> dict[str, Lattice]:
    """Return the lattice of each phase that is the first answer of a region, as it lies there; the surest of several.

    Parameters
    ----------
    answers : sequence of Ranking
        Of the regions.
    phases : mapping of str to Phase
    """
    best: dict[str, Candidate] = {}
    for first in (ranking.first for ranking in answers):
        usable = first.kind == "phase" and first.matrix is not None and first.zone is not None
        if usable and first.phase in phases:
            known = best.get(first.phase)
            if known is None or first.probability > known.probability:
                best[first.phase] = first
    found = {}
    for name, candidate in best.items():
        if candidate.zone is not None:
            pattern = zone_pattern(phases[name], candidate.zone)
            found[name] = Lattice.of(name, pattern.g, pattern.amplitude, candidate.matrix)
    return found


def course_of(edge: Edge) -> FloatArray | None:
    """Return the depths of a boundary along the surface; None where their middle is not where the boundary is.

    Short windows, in which a course is followed, see less than long ones, and may follow something else.
    """
    known = edge.positions[np.isfinite(edge.positions)]
    off = abs(float(np.median(known)) - edge.position_nm) if known.size else np.inf
    return edge.positions if off <= max(3.0 * edge.sigma_nm, COURSE_OFF) else None


def band_of(spots: Sequence[Spots]) -> tuple[float, float]:
    """Return the range of |g| (1/nm) in which an image shows waves: beyond it a missing reflection is no evidence."""
    lengths = [np.hypot(*one.g[~one.on_streak].T).max(initial=0.0) for one in spots]
    return LOWEST, float(np.clip(BEYOND * max(lengths, default=HIGHEST), LEAST_REACH, HIGHEST))


def map_of(
    image: Image,
    lattices: Mapping[str, Lattice],
    band: tuple[float, float],
    table: MapTable,
    layers: LayersTable | None,
) -> PhaseMap:
    """Return the map of the lattices; windows are long along the surface where its normal is given, else round."""
    normal = None if layers is None else layers.normal_deg
    along = table.across_nm if normal is None else table.along_nm
    kernel = Kernel(table.across_nm, along, normal or 0.0)
    return phase_map(image, tuple(lattices.values()), kernel=kernel, step_nm=table.step_nm, band=band)


def surface_of(
    image: Image, window: Window, lattices: Mapping[str, Lattice], band: tuple[float, float], table: LayersTable
) -> LayerResult:
    """Return the layers at the surface; the reason where the image does not show them."""
    part, (per_y, per_x) = image.cut(window), image.pixel()
    corner = window.x * per_x, window.y * per_y
    known = [name for name in table.order if name in (VACUUM, AMORPHOUS) or name in lattices]
    unseen = tuple(name for name in table.order if name not in known)
    order = [name if name in (VACUUM, AMORPHOUS) else lattices[name] for name in known]
    try:
        layers = _measured(part, order, table, band)
    except DataError as error:
        return LayerResult(window, None, np.zeros(0), {}, corner, unseen=unseen, reason=error.message)
    crystals = [one for one in order if isinstance(one, Lattice)]
    strained = _strain(part, crystals, layers.normal_deg, band) if table.strain and crystals else None
    depth, profiles = _profiles(part, crystals, layers.normal_deg)
    filtered = {
        one.name: bragg_filtered(part, one.g[(np.hypot(*one.g.T) < band[1]) & (one.weight > WEAKEST)])
        for one in (crystals if table.filtered else ())
    }
    return LayerResult(window, layers, depth, profiles, corner, strained, filtered, unseen)


def _strain(image: Image, crystals: Sequence[Lattice], normal_deg: float, band: tuple[float, float]) -> Strain | None:
    """Return the strain of the innermost lattice by two strong reflections that do not lie on one line; None without.

    Other phases are told by a map of all lattices: across a change of structure strain means nothing.
    """
    own = crystals[-1]
    inside = [g for g, weight in zip(own.g, own.weight, strict=True) if np.hypot(*g) < band[1] and weight > WEAKEST]
    pairs = [(a, b) for k, a in enumerate(inside[:MOST]) for b in inside[k + 1 : MOST]]
    apart = [abs(a[0] * b[1] - a[1] * b[0]) / np.hypot(*a) / np.hypot(*b) for a, b in pairs]
    chosen = next((pair for pair, sine in zip(pairs, apart, strict=True) if sine > NOT_ONE_LINE), None)
    if chosen is None:
        return None
    phases = phase_map(image, tuple(crystals), kernel=Kernel(STRAIN_NM, STRAIN_NM), band=band)
    try:
        return strain(image, np.array(chosen), width_nm=STRAIN_NM, phases=phases, axis_deg=normal_deg)
    except DataError:
        return None


def _measured(image: Image, order: Sequence[Lattice | str], table: LayersTable, band: tuple[float, float]) -> Layers:
    """Return the layers; in shorter windows once more where one is missed that a region shows, and if that finds it."""
    first = measure_edges(image, order, normal_deg=table.normal_deg, along_nm=ALONG_NM, band=band)
    if all(layer.present or layer.name == AMORPHOUS for layer in first.layers):
        return first
    again = measure_edges(image, order, normal_deg=table.normal_deg, along_nm=SHORT_NM, band=band)
    return again if sum(a.present for a in again.layers) > sum(b.present for b in first.layers) else first


def _profiles(image: Image, lattices: Sequence[Lattice], normal_deg: float) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Return depths, and the amplitude of the waves that only one lattice has, mean along the surface."""
    kernel = Kernel(ACROSS_NM, min(ALONG_NM, max(1.5, 0.5 * min(image.shape) * min(image.pixel()))), normal_deg)
    reader, frame = LockIn(image, kernel, finer=FINER), Frame.over(image, normal_deg, 0.5 * ALONG_NM, STEP_NM)
    found: dict[str, FloatArray] = {}
    for lattice in lattices:
        others = [one for one in lattices if one is not lattice]
        g = own_reflections(lattice, others, kernel, min(HIGHEST, 0.46 / max(image.pixel())))
        if len(g):
            power = lattice_profile(reader, frame, g, lattices).along_surface().sum(axis=0)
            curve = np.sqrt(np.maximum(power, 0.0))
            found[lattice.name] = curve / float(np.nanmax(curve))
    return frame.depth, found
