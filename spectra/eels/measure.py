"""From spectra of a scan to numbers of its edges: noise, axis, background in every member, and what is read off."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from layerscope.errors import DataError
from layerscope.measured.scatter import PoissonScale, mean_scale, poisson_scale

from .background import countable, fit_power_laws, nothing, windows
from .calibration import Axis, as_in_file, calibrate
from .estimates import Estimate, Net, Spectra, area, maximum, ratio, white_lines
from .naming import name_flags
from .options import EdgeTable, EelsRecipe
from .places import Scan, without
from .spikes import mend

__all__ = [
    "AREA",
    "MAXIMUM",
    "RATIO",
    "SEEN",
    "SHARE",
    "EdgeResult",
    "ScanResult",
    "map_of_edge",
    "measure",
    "reference_rows",
]

FloatArray = NDArray[np.float64]

AREA, SHARE, MAXIMUM, RATIO = "edge.area", "edge.share", "edge.maximum", "edge.white_line_ratio"
SEEN = 3.0
"""An edge has shares and ratios from this many standard errors of its area by counting."""
SMOOTH = 25
"""Channels over which counts are averaged to say by how much one may scatter."""
AT_ONCE = 500
"""Places of a map that are worked on at once, for the memory."""
MOST_SCATTER = 24
"""Places whose noise is estimated, evenly chosen."""


@dataclass(frozen=True, eq=False)
class EdgeResult:
    """One edge along the scan.

    Attributes
    ----------
    table : EdgeTable
    rows : ndarray of int, shape (l,)
        Places that have the counts for its background.
    spectra, net : Spectra, Net
        Of these places.
    members : ndarray, shape (m, 2)
        Windows in eV.
    estimates : mapping of str to Estimate
        By the name of the quantity; of l places.
    """

    table: EdgeTable
    rows: NDArray[np.intp]
    spectra: Spectra
    net: Net
    members: FloatArray
    estimates: dict[str, Estimate]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Return where the edge stands out of the counting noise, shape (l,)."""
        value, _, parts = self.estimates[AREA].stated()
        return np.asarray(value > SEEN * parts["counting"])


@dataclass(frozen=True, eq=False)
class ScanResult:
    """All edges of a scan.

    Attributes
    ----------
    scan : Scan
        With the places that can be used.
    axis : Axis
    noise : PoissonScale
    edges : tuple of EdgeResult
    flags : tuple of str
        Of the whole scan.
    glitches : mapping of int to tuple of float
        Where single channels were spoilt, in eV of the file, by the index of the place.
    """

    scan: Scan
    axis: Axis
    noise: PoissonScale
    edges: tuple[EdgeResult, ...]
    flags: tuple[str, ...]
    glitches: dict[int, tuple[float, ...]]


def measure(scan: Scan, recipe: EelsRecipe) -> ScanResult:
    """Return the numbers of every edge at every place.

    Raises
    ------
    DataError
        If no place has enough counts, a window or an edge lies outside the data, or the axis cannot be calibrated.
    """
    noise = _noise(scan)
    scan, glitches = _mended(scan, noise)
    spectra = _spectra(scan, noise, recipe.background == "taken off")
    axis = as_in_file(scan.energy, recipe.axis_sigma_eV)
    if recipe.calibration is not None:
        axis = calibrate(spectra, recipe.calibration)
    spectra = replace(spectra, energy=axis.true(scan.energy))
    usable = {table.edge: _usable(spectra, table, recipe) for table in recipe.edges}
    none = ~np.any(list(usable.values()), axis=0)
    if none.any():
        words = "too few counts before its edges for a background"
        errors = {
            int(k): DataError(f"place {scan.places[k].index}: {words}", hint="sum neighbours: bin")
            for k in np.flatnonzero(none)
        }
        scan, spectra = without(scan, errors), spectra.some(~none)
        if not scan.places:
            raise DataError(f"no place can be used: {words}", hint="sum neighbours: bin, or measure longer")
        usable = {name: rows[~none] for name, rows in usable.items()}
    edges = tuple(_edge(spectra, np.flatnonzero(usable[t.edge]), t, recipe, axis) for t in recipe.edges)
    flags = (() if axis.calibrated else (f"AXIS_UNCALIBRATED:{recipe.axis_sigma_eV:g} eV",)) + (
        ("BACKGROUND_TAKEN_OFF",) if recipe.background == "taken off" else ()
    )
    one = scan.measured
    named = name_flags(spectra.energy, scan.counts.sum(axis=0), one.title, one.source)
    return ScanResult(scan, axis, noise, edges, (*flags, *named), glitches)


def _noise(scan: Scan) -> PoissonScale:
    """Return the noise of the places, in units of that of counts."""
    curves, found = scan.curves(), []
    total = scan.counts.sum(axis=0)
    for one in curves[:: max(1, len(curves) // MOST_SCATTER)]:
        with suppress(DataError):
            found.append(poisson_scale(one, lines=total))
    if not found:
        raise DataError(
            "no place has enough flat channels to tell its noise", hint="give the full range of the spectrum"
        )
    return mean_scale(found)


def _mended(scan: Scan, noise: PoissonScale) -> tuple[Scan, dict[int, tuple[float, ...]]]:
    """Return the scan without spikes, and where they were."""
    smooth = uniform_filter1d(np.maximum(scan.counts, 0.0), SMOOTH, axis=1)
    counts, spikes = mend(scan.counts, max(noise.variance, 0.0) * smooth)
    where = {p.index: tuple(scan.energy[row]) for p, row in zip(scan.places, spikes, strict=True) if row.any()}
    return replace(scan, counts=counts), where


def _spectra(scan: Scan, noise: PoissonScale, taken_off: bool) -> Spectra:
    """Return the spectra with the variance of their channels; without a background it is that of differences."""
    factor = max(noise.factor, 0.0)
    if not taken_off:
        return Spectra(
            scan.energy, scan.counts, factor * np.maximum(scan.counts, 0.0), factor, max(noise.variance, 0.0)
        )
    apart = scan.counts[:, 5:] - scan.counts[:, :-5]
    single = 0.5 * np.median(apart**2, axis=1) / 0.455
    alike = max(noise.factor / noise.variance, 1.0) if noise.variance > 0 else 1.0
    return Spectra(scan.energy, scan.counts, np.broadcast_to((alike * single)[:, None], scan.counts.shape), factor, 0.0)


def _members(table: EdgeTable, recipe: EelsRecipe) -> FloatArray:
    how = table.ensemble or recipe.ensemble
    return windows(table.onset, how.gaps_eV, how.lengths_eV)


def _usable(spectra: Spectra, table: EdgeTable, recipe: EelsRecipe) -> NDArray[np.bool_]:
    """Return which places have the counts for the background of an edge; refuse an edge that the data do not reach."""
    low, high = table.reach
    energy = spectra.energy
    if low < energy[0] or high > energy[-1]:
        raise DataError(
            f"{table.edge}: what is asked for reaches from {low:.1f} to {high:.1f} eV, "
            f"the data from {energy[0]:.1f} to {energy[-1]:.1f} eV",
            hint="give area_eV, or leave the edge out",
        )
    if recipe.background == "taken off":
        return np.ones(len(spectra.counts), dtype=bool)
    try:
        return countable(energy, spectra.counts, _members(table, recipe), spectra.alone)
    except DataError as error:
        raise DataError(f"{table.edge}: {error.message}", hint=error.hint) from error


def _edge(spectra: Spectra, rows: NDArray[np.intp], table: EdgeTable, recipe: EelsRecipe, axis: Axis) -> EdgeResult:
    """Return one edge at the places of some rows."""
    own = replace(spectra, counts=spectra.counts[rows], variance=spectra.variance[rows])
    members = _members(table, recipe)
    if recipe.background == "taken off":
        members, laws = members[:1], nothing(own.energy, len(rows))
    else:
        laws = fit_power_laws(own.energy, own.counts, members, own.alone)
    low, high = table.reach
    net = Net.of(laws, own, (low - 2.0, high + 2.0), recipe.bend_sigma)
    scale = axis.sigma(table.onset), recipe.drift_eV
    estimates = {AREA: area(net, table.limits, scale)}
    if table.prepeak_eV is not None:
        estimates[SHARE] = ratio(net, table.prepeak_eV, table.limits, scale)
    if table.maximum_eV is not None:
        estimates[MAXIMUM] = maximum(net, table.maximum_eV, table.smoothing_eV, scale)
    if table.white_lines is not None:
        lines = table.white_lines
        estimates[RATIO] = white_lines(net, lines.l3_eV, lines.l2_eV, lines.step_eV, scale)
    return EdgeResult(table, rows, own, net, members, estimates)


def reference_rows(result: ScanResult, edge: EdgeResult, name: str, wanted: Sequence[int]) -> NDArray[np.intp]:
    """Return the rows of an edge to which differences of a number are taken: of the wanted places, or the last.

    Only places that have the number count.
    """
    indices = np.array([result.scan.places[k].index for k in edge.rows])
    known = np.isfinite(edge.estimates[name].value).all(axis=1) & (edge.seen | (name == MAXIMUM))
    if wanted:
        return np.flatnonzero(np.isin(indices, wanted) & known)
    return np.flatnonzero(known)[-1:]


def map_of_edge(
    image: np.ndarray, result: ScanResult, edge: EdgeResult, recipe: EelsRecipe
) -> tuple[FloatArray, FloatArray]:
    """Return the area of an edge at many places, and its variance by counting, shape (p,).

    Parameters
    ----------
    image : ndarray, shape (p, n)
        Counts, in the type of the file.
    result : ScanResult
        Of the scan that the places make.
    edge : EdgeResult
    recipe : EelsRecipe

    Returns
    -------
    area, variance : ndarray, shape (p,)
        In counts times eV; places with too few counts for a background have an area of zero, with the variance of
        their counts.
    """
    values, variances, noise = np.zeros(len(image)), np.zeros(len(image)), result.noise
    energy, limits = edge.spectra.energy, edge.table.limits
    inside = (energy >= limits[0]) & (energy <= limits[1])
    step = float(energy[1] - energy[0])
    for first in range(0, len(image), AT_ONCE):
        counts = np.asarray(image[first : first + AT_ONCE], dtype=np.float64)
        rows = slice(first, first + len(counts))
        part = Spectra(energy, counts, noise.factor * np.maximum(counts, 0.0), noise.factor, max(noise.variance, 0.0))
        variances[rows] = step**2 * part.variance[:, inside].sum(axis=1)
        use = np.ones(len(counts), dtype=bool)
        if recipe.background != "taken off":
            use = countable(energy, counts, edge.members, part.alone)
        if not use.any():
            continue
        own = part.some(use)
        laws = nothing(energy, len(own.counts))
        if recipe.background != "taken off":
            laws = fit_power_laws(energy, own.counts, edge.members, own.alone)
        found = area(Net.of(laws, own, limits, recipe.bend_sigma), limits, (0.0, 0.0))
        values[rows][use], variances[rows][use] = found.value.mean(axis=1), found.counting**2
    return values, variances
