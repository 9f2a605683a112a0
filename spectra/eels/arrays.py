"""What a run keeps of an edge: its spectra along the scan, the background, and the net counts inside the limits."""

from __future__ import annotations

import numpy as np

from layerscope.measured.series import MeasuredSeries
from layerscope.runs.arrays import SeriesArrays
from layerscope.runs.pipeline import RunContext

from .maps import one_map, rows_of_image
from .measure import AREA, EdgeResult, ScanResult, map_of_edge
from .options import EelsRecipe
from .spectrum import SpectrumImage

__all__ = ["NET", "NO_FIT", "edge_arrays", "edge_maps"]

NO_FIT = "none: the edge is integrated above its background"
"""What the arrays of an edge say of their fit."""
NET = "net"


def edge_arrays(
    context: RunContext, series: MeasuredSeries[SpectrumImage], result: ScanResult, edge: EdgeResult, name: str
) -> SeriesArrays:
    """Return the arrays of one edge, from the lowest window to its upper end; the background is that of all members."""
    low = min(float(edge.members.min()), edge.table.reach[0])
    first, last = np.searchsorted(edge.spectra.energy, (low, edge.table.reach[1]))
    rows = slice(int(first), int(last) + 1)
    energy, counts = edge.spectra.energy[rows], edge.spectra.counts[:, rows]
    background = edge.net.laws.values(rows).mean(axis=1)
    inside = (energy >= edge.table.limits[0]) & (energy <= edge.table.limits[1])
    along, along_name, unit = result.scan.along
    area, sigma, _ = edge.estimates[AREA].stated()
    return SeriesArrays(
        name=f"{name}_{edge.table.edge.replace(' ', '_')}",
        technique=context.pipeline.technique,
        title=f"{series.sample}: {edge.table.edge}",
        sample=series.sample,
        axis=energy,
        axis_name="energy_loss",
        axis_unit="eV",
        levels=along[edge.rows],
        level_name=along_name,
        level_unit=unit,
        counts=counts,
        variance=edge.spectra.variance[:, rows],
        fit=counts.copy(),
        background=background,
        residual=np.zeros_like(counts),
        components={NET: np.where(inside, counts - background, 0.0)},
        component_area={NET: area},
        component_area_sigma={NET: sigma},
        metadata={"fit": NO_FIT, "edge": edge.table.edge, "beam_kV": result.scan.measured.beam_kV},
        base=context.base,
        frames=np.array([result.scan.places[k].index for k in edge.rows]),
    )


def edge_maps(
    context: RunContext,
    series: MeasuredSeries[SpectrumImage],
    result: ScanResult,
    edge: EdgeResult,
    recipe: EelsRecipe,
    name: str,
) -> list[SeriesArrays]:
    """Return the map of the area of an edge, where the scan is an image; errors are those of counting."""
    spectra = rows_of_image(result.scan)
    if spectra is None:
        return []
    value, variance = map_of_edge(spectra, result, edge, recipe)
    return [one_map(context, series, result.scan, f"{name}_map", edge.table.edge, value, variance, "counts*eV")]
