"""One image from its pixels to what is known of it: spots and rings of its regions, phases, scale, map and layers.

This composes the rooms of the wing; it knows neither files nor records.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from layerscope.crystals import Phase
from layerscope.errors import DataError

from .image import NOBODY_KNOWS, Image, Scale, Window
from .indexing import Candidate, Library, Ranking, index_grains, index_rings, index_spots, library_of, lock_scale
from .layers.model import PhaseMap
from .recipe import HrtemRecipe, RegionTable
from .spots import Rings, Speckle, Spots, SpotShapes, crystallinity, find_rings, find_spots, spot_shapes
from .surface import LayerResult, band_of, lattices_of, map_of, surface_of

__all__ = ["ImageResult", "RegionResult", "analyse_image", "analyse_vectors", "windows_of"]

FloatArray = NDArray[np.float64]
MOST_OF_SPOTS = 0.6
"""Share of the spots that a single lattice must explain to be the answer where there are several rings."""
LEAST_OVER = 3
"""Spots that the first answer must leave over for a second grain to be looked for."""
PIXEL_BAND = (0.02, 0.45)
"""Lengths of reciprocal vectors that are looked for where nobody knows the size of a pixel, 1/pixel."""
WHOLE = "image"
"""What the region is called that is the whole image."""


@dataclass(frozen=True, eq=False)
class RegionResult:
    """What one region shows.

    Attributes
    ----------
    name : str
    window : Window or None
        Its pixels; None where vectors were given instead of an image.
    spots : Spots or None
        None where nothing could be looked for, see `reason`.
    rings : Rings or None
    ranking : Ranking or None
        The answer: that of the spots, or of the rings where spots name no phase and rings do.
    other : Ranking or None
        Of the rings, or of the spots, where both were ranked.
    by : {"spots", "rings"}
        What the answer rests on.
    grains : tuple of Candidate
        One after the other, where the answer leaves spots over or is a union; empty else.
    shapes : SpotShapes or None
    speckle : Speckle or None
    reason : str
        Why nothing could be looked for.
    """

    name: str
    window: Window | None
    spots: Spots | None
    rings: Rings | None
    ranking: Ranking | None = None
    other: Ranking | None = None
    by: Literal["spots", "rings"] = "spots"
    grains: tuple[Candidate, ...] = ()
    shapes: SpotShapes | None = None
    speckle: Speckle | None = None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class ImageResult:
    """What one image shows.

    Attributes
    ----------
    image : Image or None
        None where vectors were given.
    scale : Scale
        After the internal standard, where there is one.
    locked : bool
        Whether an internal standard told it.
    regions : tuple of RegionResult
    map : PhaseMap or None
    surface : LayerResult or None
    """

    image: Image | None
    scale: Scale
    locked: bool
    regions: tuple[RegionResult, ...]
    map: PhaseMap | None = None
    surface: LayerResult | None = None


def windows_of(image: Image, tables: tuple[RegionTable, ...]) -> tuple[Window, ...]:
    """Return the pixels of every region; of the whole image where none is named.

    Raises
    ------
    DataError
        If a region does not lie within the image.
    """
    if not tables:
        return (Window(0, 0, *image.shape, WHOLE),)
    return tuple(_window(image, table) for table in tables)


def _window(image: Image, table: RegionTable) -> Window:
    per_y, per_x = image.pixel() if table.unit == "nm" else (1.0, 1.0)
    left, top, width, height = table.box
    x, y, nx, ny = (round(v) for v in (left / per_x, top / per_y, width / per_x, height / per_y))
    rows, columns = image.shape
    if x + nx > columns + 1 or y + ny > rows + 1:
        size = f"{columns * per_x:.4g} x {rows * per_y:.4g} {table.unit}"
        raise DataError(f"region {table.name!r} ends outside the image of {size}", source=image.source or None)
    return Window(y, x, min(ny, rows - y), min(nx, columns - x), table.name)


def spots_of(vectors: FloatArray) -> Spots:
    """Return a list of vectors (gx, gy, sigma; 1/nm) as spots of which only the places are known."""
    g = vectors[:, :2].copy()
    below = (g[:, 1] < 0) | ((g[:, 1] == 0) & (g[:, 0] < 0))
    g[below] *= -1.0
    length = np.hypot(*g.T)
    ones = np.ones(len(g))
    return Spots(
        g=g,
        covariance=np.eye(2) * (vectors[:, 2] ** 2)[:, None, None],
        amplitude=ones,
        power=ones * 100.0,
        band=(0.8 * float(length.min()), 1.05 * float(length.max())),
        window_nm=(np.nan, np.nan),
        false_alarm=1e-6,
        on_streak=np.zeros(len(g), bool),
    )


def analyse_vectors(vectors: FloatArray, scale: Scale, recipe: HrtemRecipe, phases: tuple[Phase, ...]) -> ImageResult:
    """Return what a list of reciprocal vectors shows, as if it were that of one region."""
    library = library_of(phases, zones=recipe.zones)
    spots = spots_of(vectors)
    region = RegionResult("vectors", None, spots, None, ranking=index_spots(spots, library, scale))
    return ImageResult(None, scale, False, (region,))


def analyse_image(image: Image, recipe: HrtemRecipe, phases: tuple[Phase, ...]) -> ImageResult:
    """Return what an image shows.

    Parameters
    ----------
    image : Image
    recipe : HrtemRecipe
    phases : tuple of Phase
        That may be seen, see `HrtemRecipe.library`.

    Raises
    ------
    DataError
        If a region lies outside the image, or the internal standard does not show its lattice.
    """
    library = library_of(phases, zones=recipe.zones)
    looked = [_look(image, window, recipe.false_alarm) for window in windows_of(image, recipe.regions)]
    scale = image.scale
    standard = recipe.internal_standard
    if standard is not None and image.scale_known:
        known = tuple(phase for phase in phases if phase.name == standard.phase)
        zones = {standard.phase: (standard.zone,)} if standard.zone is not None else recipe.zones
        scale = _locked({one.name: one for one in looked}[standard.region], library_of(known, zones=zones), scale)
    regions = tuple(_named(one, library, scale) for one in looked)
    answers = [one.ranking for one in regions if one.ranking is not None]
    lattices = lattices_of(answers, {phase.name: phase for phase in phases})
    measurable = image.scale_known
    band = band_of([one.spots for one in regions if one.spots is not None])
    return ImageResult(
        image,
        scale,
        standard is not None and image.scale_known,
        regions,
        map=map_of(image, lattices, band, recipe.map, recipe.layers) if recipe.map and measurable else None,
        surface=surface_of(image, _part(image, recipe), lattices, band, recipe.layers)
        if recipe.layers and measurable
        else None,
    )


def _locked(region: RegionResult, standard: Library, scale: Scale) -> Scale:
    """Return the scale by a region of known lattice.

    Raises
    ------
    DataError
        If the region does not show it.
    """
    if region.spots is None:
        raise DataError(f"the region of the internal standard, {region.name!r}, cannot be used: {region.reason}")
    return lock_scale(region.spots, standard, scale)


def _look(image: Image, window: Window, false_alarm: float) -> RegionResult:
    """Return spots and rings of a region; the reason where it is too small, or its pixels too coarse."""
    part = image.cut(window)
    band = None if image.scale_known else PIXEL_BAND
    try:
        spots = find_spots(part, false_alarm=false_alarm, band=band)
        rings = find_rings(part, false_alarm=false_alarm, band=band)
        shapes, speckle = spot_shapes(part, spots), crystallinity(part, band)
    except DataError as error:
        return RegionResult(window.name, window, None, None, reason=error.message)
    return RegionResult(window.name, window, spots, rings, shapes=shapes, speckle=speckle)


def _grains(spots: Spots, ranking: Ranking, library: Library, scale: Scale | None) -> tuple[Candidate, ...]:
    """Return the grains of a region whose first answer does not explain all; none where it does, or names none."""
    first = ranking.first
    over = sum(role == "clutter" for role in first.role)
    if first.kind not in ("phase", "twin", "overlap") or (first.kind == "phase" and over < LEAST_OVER):
        return ()
    return index_grains(spots, library, scale)


def _explained(spots: Spots, candidate: Candidate) -> float:
    """Return the share of the spots off streaks that an answer explains."""
    own = [role in ("reflection", "forbidden") for role in candidate.role]
    used = ~spots.on_streak[: len(own)]
    return float(np.mean(np.array(own)[used])) if used.any() else 0.0


def _named(one: RegionResult, library: Library, scale: Scale) -> RegionResult:
    """Rank what a region shows: by its spots, and by its rings where it has some."""
    if one.spots is None:
        return one
    known = scale if scale.sd < NOBODY_KNOWS else None
    spots = one.spots
    by_spots = index_spots(spots, library, known)
    one = replace(one, grains=_grains(spots, by_spots, library, known))
    if one.rings is None or not one.rings.g.size or known is None:
        return replace(one, ranking=by_spots)
    by_rings = index_rings(one.rings, library, known)
    least = MOST_OF_SPOTS if one.rings.g.size > 1 else 0.0
    single = by_spots.first.kind in ("phase", "twin", "overlap") and _explained(spots, by_spots.first) > least
    if single or not by_rings.indexable:
        return replace(one, ranking=by_spots, other=by_rings)
    return replace(one, ranking=by_rings, other=by_spots, by="rings")


def _part(image: Image, recipe: HrtemRecipe) -> Window:
    """Return the part of the image in which layers are measured."""
    wanted = recipe.layers.region if recipe.layers else None
    named = {window.name: window for window in windows_of(image, recipe.regions)}
    return named[wanted] if wanted else Window(0, 0, *image.shape, WHOLE)
