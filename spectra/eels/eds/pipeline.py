"""The pipeline ``eds``: line scans and maps of X-ray spectra, from vendor file to elements along the scan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from layerscope.errors import LayerscopeError
from layerscope.measured.series import MeasuredSeries
from layerscope.records import FitQuality, Quantity, ResultRecord
from layerscope.runs.build import measured, remarks, some, upper_limit
from layerscope.runs.levels import array_name, reject_levels
from layerscope.runs.pipeline import PipelineOutput, RunContext
from layerscope.runs.summary import SummaryTable
from layerscope.runs.technique import SeriesPipeline

from ..places import scan_of
from ..readers import FORMATS
from ..spectrum import SpectrumImage
from .arrays import map_arrays, scan_arrays
from .fit import PHASES, SPACINGS, Counted
from .measure import SEEN, LineScan, measure
from .options import EdsRecipe
from .tables import COUNTS, METHOD, RATIO, line_tables

if TYPE_CHECKING:
    from layerscope.figures import Drawing
    from layerscope.runs.load import Run

__all__ = ["PIPELINE", "EdsPipeline"]

Series = MeasuredSeries[SpectrumImage]
Found = list[tuple[Quantity | None, str]]


class EdsPipeline(SeriesPipeline[Series]):
    """X-ray spectra along a scan."""

    name = "eds"
    version = "1"
    technique = "eds"
    recipe_model = EdsRecipe
    formats = FORMATS

    def tried(self, recipe: EdsRecipe, series: Series) -> Sequence[LayerscopeError]:
        """Return what of a series cannot be used."""
        return [one.error for one in measure(scan_of(series, recipe.series[0], "EDS"), recipe).scan.rejected]

    def analyse(self, series: Series, context: RunContext) -> Iterator[PipelineOutput]:
        """Yield the records of every place and of the scan, with their arrays."""
        recipe = cast("EdsRecipe", context.recipe)
        result = measure(scan_of(series, recipe.series[0], "EDS"), recipe)
        reject_levels(context, series, result.scan.rejected, METHOD)
        places = []
        for row, place in enumerate(result.scan.places):
            found = [*_counts(result, result.counted, row, recipe), *_ratios(result, row, recipe)]
            places.append(
                context.record(
                    state=place.state(series),
                    inputs=place.inputs(series),
                    method=METHOD,
                    quantities=some(quantity for quantity, _ in found),
                    quality=remarks([*result.flags, *(flag for _, flag in found if flag)]),
                )
            )
        found = _counts(result, result.total, 0, recipe)
        whole = context.record(
            state=series.state(None),
            inputs=series.inputs("scan"),
            method="eds.scan",
            quantities=some([*(quantity for quantity, _ in found), *_detector(result)]),
            quality=_quality(result, [flag for _, flag in found if flag]),
            notes=_notes(result),
            parents=tuple(record.record_id for record in places),
        )
        name = array_name(context, series)
        arrays = [scan_arrays(context, series, result, name)]
        if recipe.series[0].map:
            arrays += map_arrays(context, series, result, name)
        yield PipelineOutput((*places, whole), {one.name: one for one in arrays})

    def summary(self, records: Sequence[ResultRecord]) -> list[SummaryTable]:
        """Return the lines along every scan."""
        return line_tables(records)

    def figures(self, run: Run, folder: Path) -> Iterator[Drawing]:
        """Return every scan and map."""
        from .figures import draw_lines

        return draw_lines(run, folder)


def _counts(result: LineScan, counted: Counted, row: int, recipe: EdsRecipe) -> Found:
    """Return the net counts of every line at one place; a limit where it is not seen."""
    parts, found = counted.parts(), []
    for k, one in enumerate(result.families):
        budget = {name: float(part[row, k]) for name, part in parts.items()}
        found.append(_stated(COUNTS, counted.value[row, k], budget, "counts", one.name, recipe.confidence))
    return found


def _ratios(result: LineScan, row: int, recipe: EdsRecipe) -> Found:
    found = []
    for one in result.ratios:
        if np.isfinite(one.value[row]):
            budget = {name: float(part[row]) for name, part in one.parts.items()}
            found.append(_stated(RATIO, one.value[row], budget, "1", one.name, recipe.confidence))
    return found


def _stated(
    name: str, value: float, budget: dict[str, float], unit: str, component: str, confidence: float
) -> tuple[Quantity | None, str]:
    """Return a number with its error; one that does not stand out has an upper limit, and its flag.

    At 95 % every twentieth place would show an element that is nowhere: it takes three standard errors to be seen.
    """
    value, sigma = float(value), float(np.sqrt(sum(part**2 for part in budget.values())))
    more: dict[str, Any] = upper_limit(value, sigma, confidence, always=value < SEEN * sigma)
    if more and name == COUNTS:  # if as many are there as the limit says, they scatter too
        wider = float(np.sqrt(sigma**2 + max(more["upper_limit"], 0.0)))
        more = upper_limit(value, wider, confidence, always=True)
    quantity = measured(name, float(value), sigma, unit, component, kind="systematic", budget=budget, **more)
    return quantity, f"NOT_DETECTED:{component}" if more else ""


def _detector(result: LineScan) -> list[Quantity | None]:
    """Return what the sum of all places says of the detector."""
    one, sigma = result.tuned.detector, np.sqrt(np.diag(result.tuned.covariance))
    return [
        measured("peak.fwhm", one.fwhm_eV, float(sigma[0]), "eV", "Mn Kα", role="refined"),
        measured("instrument.zero_shift", one.offset_eV, float(sigma[1]), "eV", role="refined"),
    ]


def _quality(result: LineScan, flags: Sequence[str]) -> FitQuality:
    tuned = result.tuned
    return FitQuality(
        chi2=tuned.redchi * tuned.freedom,
        redchi=tuned.redchi,
        n_data=int(tuned.residual.size),
        n_free=int(tuned.residual.size - tuned.freedom),
        converged=True,
        flags=tuple(dict.fromkeys((*result.flags, *flags))),
    )


def _notes(result: LineScan) -> tuple[str, ...]:
    """Return what went into the numbers: the members of the ensemble, and the response."""
    spacings, phases = ("/".join(f"{x:g}" for x in one) for one in (SPACINGS, PHASES))
    one = result.tuned.detector
    return (
        *result.scan.notes,
        f"background: {len(SPACINGS) * len(PHASES)} members, spacings {spacings}, phases {phases}, each with two laws",
        f"axis: file = true x {1 + one.stretch:.5f} + {one.offset_eV:.2f} eV; {100 * one.tail:.1f} % of lines in tails",
    )


PIPELINE = EdsPipeline()
