"""The pipeline ``eels``: line scans of energy losses, from vendor file to edges along the scan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from layerscope.errors import LayerscopeError
from layerscope.flags import threshold
from layerscope.measured.series import MeasuredSeries
from layerscope.records import Quantity, ResultRecord
from layerscope.runs.build import held, measured, remarks, some, upper_limit
from layerscope.runs.levels import array_name, reject_levels
from layerscope.runs.pipeline import PipelineOutput, RunContext
from layerscope.runs.summary import SummaryTable
from layerscope.runs.technique import SeriesPipeline

from .arrays import edge_arrays, edge_maps
from .estimates import Estimate
from .measure import AREA, MAXIMUM, RATIO, SEEN, SHARE, EdgeResult, ScanResult, measure, reference_rows
from .options import EelsRecipe
from .places import scan_of
from .readers import FORMATS
from .spectrum import SpectrumImage
from .tables import CHANGE, METHOD, edge_tables

if TYPE_CHECKING:
    from layerscope.figures import Drawing
    from layerscope.runs.load import Run

__all__ = ["PIPELINE", "EelsPipeline"]

Series = MeasuredSeries[SpectrumImage]
_UNITS = {AREA: "counts*eV", SHARE: "1", MAXIMUM: "eV", RATIO: "1"}


class EelsPipeline(SeriesPipeline[Series]):
    """Energy losses along a scan."""

    name = "eels"
    version = "1"
    technique = "eels"
    recipe_model = EelsRecipe
    formats = FORMATS

    def tried(self, recipe: EelsRecipe, series: Series) -> Sequence[LayerscopeError]:
        """Return what of a series cannot be used: measuring costs less than a second."""
        scan = scan_of(series, recipe.series[0], "EELS")
        return [one.error for one in measure(scan, recipe).scan.rejected]

    def analyse(self, series: Series, context: RunContext) -> Iterator[PipelineOutput]:
        """Yield the records of every place and of the scan, with the arrays of every edge."""
        recipe = cast("EelsRecipe", context.recipe)
        result = measure(scan_of(series, recipe.series[0], "EELS"), recipe)
        reject_levels(context, series, result.scan.rejected, METHOD)
        found = [_of_edge(result, edge, recipe) for edge in result.edges]
        places = []
        for row, place in enumerate(result.scan.places):
            own = [(q, f) for quantities in found for q, f in quantities.get(row, ())]
            flags = [flag for _, flags in own for flag in flags]
            if spoilt := result.glitches.get(place.index):
                flags.append(f"GLITCH:{', '.join(f'{energy:.1f}' for energy in spoilt[:5])} eV")
            places.append(
                context.record(
                    state=place.state(series),
                    inputs=place.inputs(series),
                    method=METHOD,
                    quantities=some(q for q, _ in own),
                    quality=remarks([*result.flags, *flags]),
                )
            )
        whole = context.record(
            state=series.state(None),
            inputs=series.inputs("scan"),
            method="eels.scan",
            quantities=some(_axis(result)),
            quality=remarks(result.flags),
            notes=_notes(result, recipe),
            parents=tuple(record.record_id for record in places),
        )
        name = array_name(context, series)
        arrays = {one.name: one for one in (edge_arrays(context, series, result, edge, name) for edge in result.edges)}
        if recipe.series[0].map:
            maps = (one for edge in result.edges for one in edge_maps(context, series, result, edge, recipe, name))
            arrays |= {one.name: one for one in maps}
        yield PipelineOutput((*places, whole), arrays)

    def summary(self, records: Sequence[ResultRecord]) -> list[SummaryTable]:
        """Return the edges along every scan."""
        return edge_tables(records)

    def figures(self, run: Run, folder: Path) -> Iterator[Drawing]:
        """Return every scan."""
        from .figures import draw_scans

        return draw_scans(run, folder)


Found = dict[int, list[tuple[Quantity | None, tuple[str, ...]]]]


def _of_edge(result: ScanResult, edge: EdgeResult, recipe: EelsRecipe) -> Found:
    """Return the quantities of an edge with their flags, by the row of the place."""
    found: Found = {int(row): [] for row in edge.rows}
    seen = edge.seen
    value, sigma, parts = edge.estimates[AREA].stated()
    bound = parts["ensemble"] > threshold("WINDOW_BOUND") * np.abs(value)
    for k, row in enumerate(edge.rows):
        limit = upper_limit(value[k], sigma[k], recipe.confidence, always=bool(value[k] < SEEN * sigma[k]))
        kinds = [name for name, is_so in (("WINDOW_BOUND", bound[k]), ("NOT_DETECTED", limit)) if is_so]
        flags = tuple(f"{name}:{edge.table.edge}" for name in kinds)
        found[int(row)].append((_quantity(AREA, edge, (value, sigma, parts), k, **limit), flags))
    for name, estimate in edge.estimates.items():
        if name == AREA:
            continue
        where = np.isfinite(estimate.value).all(axis=1) & (seen | (name == MAXIMUM))
        _add(found, edge, name, estimate, where, ("PLURAL_SCATTERING",) if name == RATIO else ())
        rows = reference_rows(result, edge, name, recipe.reference)
        if name in CHANGE and rows.size and len(edge.rows) > 1:
            alone = where & ~(np.isin(np.arange(len(seen)), rows) & (rows.size == 1))
            _add(found, edge, CHANGE[name], estimate.less(rows), alone, ())
    return found


def _add(
    found: Found, edge: EdgeResult, name: str, estimate: Estimate, where: np.ndarray, flags: tuple[str, ...]
) -> None:
    stated = estimate.stated()
    for k in np.flatnonzero(where & np.isfinite(stated[0]) & np.isfinite(stated[1])):
        found[int(edge.rows[k])].append((_quantity(name, edge, stated, int(k)), flags))


def _quantity(name: str, edge: EdgeResult, stated: Any, k: int, **more: Any) -> Quantity | None:
    value, sigma, parts = stated
    unit = next(unit for known, unit in _UNITS.items() if name in (known, CHANGE.get(known)))
    budget = {part: float(values[k]) for part, values in parts.items()}
    return measured(name, value[k], sigma[k], unit, edge.table.edge, kind="systematic", budget=budget, **more)


def _axis(result: ScanResult) -> list[Quantity | None]:
    """Return offset, dispersion and noise of a scan."""
    axis, energy = result.axis, result.scan.energy
    dispersion = float(energy[1] - energy[0])
    quantities = [measured("noise.factor", result.noise.factor, result.noise.sigma, "1")]
    if axis.calibrated:
        offset, stretch = np.sqrt(np.diag(axis.covariance))
        quantities.append(measured("instrument.zero_shift", axis.offset, float(offset), "eV", kind="systematic"))
        new = dispersion * (1.0 + axis.stretch), dispersion * float(stretch)
        quantities.append(measured("instrument.dispersion", *new, "eV", kind="systematic"))
    else:
        quantities.append(held("instrument.dispersion", dispersion, "eV"))
    return quantities


def _notes(result: ScanResult, recipe: EelsRecipe) -> tuple[str, ...]:
    """Return what went into the numbers: the members of the ensemble, the axis, the reference."""
    notes = list(result.scan.notes)
    for edge in result.edges:
        windows = ", ".join(f"{low:g}-{high:g}" for low, high in edge.members)
        notes.append(f"{edge.table.edge}: {len(edge.members)} windows of the background (eV): {windows}")
        for name in (name for name in CHANGE if name in edge.estimates):
            rows = reference_rows(result, edge, name, recipe.reference)
            if rows.size and len(edge.rows) > 1:
                indices = ", ".join(str(result.scan.places[edge.rows[k]].index) for k in rows)
                notes.append(f"{edge.table.edge}: {CHANGE[name]} is against place {indices}, inside every member")
    axis = result.axis
    if axis.calibrated:
        notes.append(
            f"energies: {axis.pivot:.3f} + {axis.offset:.3f} + {1 + axis.stretch:.6f} (E - {axis.pivot:.3f}) eV, "
            "E as in the file"
        )
    if axis.freedom:
        notes.append(f"known edges disagree by chi-square {axis.chi2:.2f} for {axis.freedom} degrees of freedom")
    if result.noise.is_correlated:
        notes.append(f"noise: {result.noise.note}")
    return tuple(notes)


PIPELINE = EelsPipeline()
