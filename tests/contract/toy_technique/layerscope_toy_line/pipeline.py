"""From files to records: one Gaussian on a line, its position and width shared, its area a level."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from layerscope.fitting import Component, PatternModel, Series, SeriesFit, fit_series
from layerscope.measured.measurement import Measurement
from layerscope.measured.series import MeasuredSeries, stack_levels
from layerscope.options import Positive
from layerscope.records import Quantity, ResultRecord
from layerscope.runs.arrays import SeriesArrays
from layerscope.runs.build import measured, quality_of, some
from layerscope.runs.levels import array_name, level_fields, reject_levels
from layerscope.runs.pipeline import PipelineOutput, RunContext
from layerscope.runs.recipe import SeriesRecipe
from layerscope.runs.summary import SummaryTable, table
from layerscope.runs.technique import SeriesPipeline

from .readers import FORMATS


class LineRecipe(SeriesRecipe):
    """Recipe of the pipeline ``toy_line``."""

    fwhm_eV: Positive = Field(default=1.0, description="start width of the line")


class LinePipeline(SeriesPipeline[MeasuredSeries[Measurement]]):
    """One line through a series."""

    name, version, technique, recipe_model = "toy_line", "1", "toy", LineRecipe
    formats = FORMATS

    def analyse(self, series: MeasuredSeries[Measurement], context: RunContext) -> Iterator[PipelineOutput]:
        """Yield the records of the levels and of the series, and their arrays."""
        stack = stack_levels(series.levels, least=5)
        reject_levels(context, series, (*series.rejected, *stack.rejected), "toy_line")
        fit = _fit(stack.axis, stack.intensity, context.recipe.fwhm_eV)
        records = [
            context.record(
                state=series.state(level),
                inputs=series.inputs("line", level),
                quantities=_amount(fit, k),
                quality=quality_of(fit, (), k),
            )
            for k, level in enumerate(stack.levels)
        ]
        whole = context.record(
            state=series.state(None),
            inputs=series.inputs("line"),
            method="toy_line.series",
            quantities=_shape(fit),
            quality=quality_of(fit),
        )
        fields = level_fields(context, series, stack.levels)
        words = {"name": array_name(context, series), "title": context.recipe.title, "axis_name": "energy"}
        arrays = SeriesArrays.of_fit(fit, {"line": "line"}, **words, **fields)
        yield PipelineOutput((*records, whole), {arrays.name: arrays})

    def summary(self, records: Sequence[ResultRecord]) -> list[SummaryTable]:
        """Return the areas along the series."""
        return [table(records, ["elapsed_s"], ["peak.area"], title="The line")]

    def figures(self, run: Any, folder: Path) -> Iterator[Any]:
        """Return every series."""
        from .figures import draw

        return draw(run, folder)


def _fit(axis: Any, intensity: Any, fwhm: float) -> SeriesFit:
    model = PatternModel([Component("line", "gaussian")])
    parameters = model.make_parameters()
    parameters["line_fwhm"].set(value=fwhm)
    parameters["line_center"].set(value=float(axis.mean()))
    return fit_series(model, parameters, Series(axis, intensity))


def _amount(fit: SeriesFit, level: int) -> tuple[Quantity, ...]:
    area = float(fit.value("line_area")[level]), float(fit.sigma("line_area")[level])
    return some([measured("peak.area", *area, "counts*eV", "line", role="refined")])


def _shape(fit: SeriesFit) -> tuple[Quantity, ...]:
    names = {"line_center": "peak.position", "line_fwhm": "peak.fwhm"}
    values = ((n, float(fit.value(p)[0]), float(fit.sigma(p)[0])) for p, n in names.items())
    return some(measured(n, value, sigma, "eV", "line", role="refined") for n, value, sigma in values)


PIPELINE = LinePipeline()
