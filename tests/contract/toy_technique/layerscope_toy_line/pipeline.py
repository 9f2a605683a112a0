"""From files to records: one Gaussian on a line, its position and width shared, its area a level."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from layerscope.fitting import Component, PatternModel, Series, SeriesFit, fit_series
from layerscope.measured.measurement import Recording
from layerscope.options import Positive
from layerscope.records import Quantity, ResultRecord
from layerscope.runs.arrays import SeriesArrays
from layerscope.runs.build import measured, quality_of, some
from layerscope.runs.pipeline import PipelineOutput, RunContext
from layerscope.runs.recipe import SeriesRecipe
from layerscope.runs.summary import SummaryTable, table
from layerscope.runs.technique import SeriesPipeline

from .readers import FORMATS


class LineRecipe(SeriesRecipe):
    """Recipe of the pipeline ``toy_line``."""

    fwhm_eV: Positive = Field(default=1.0, description="start width of the line")


class LinePipeline(SeriesPipeline[tuple[Recording, ...]]):
    """One line through a series."""

    name, version, technique, recipe_model = "toy_line", "1", "toy", LineRecipe
    formats = FORMATS

    def read(self, recipe: LineRecipe, table: Any) -> tuple[Recording, ...]:
        """Return what each file of a series holds."""
        return tuple(FORMATS.read(recipe.resolve(path), format=table.format) for path in table.files)

    def analyse(self, series: tuple[Recording, ...], context: RunContext) -> Iterator[PipelineOutput]:
        """Yield the records of the levels and of the series, and their arrays."""
        recipe, declared = context.recipe, context.recipe.series[0]
        levels = [level for file in series for level in file.measurements]
        times = np.array([float(level.metadata["time_s"]) for level in levels])
        model = PatternModel([Component("line", "gaussian")])
        parameters = model.make_parameters()
        parameters["line_fwhm"].set(value=recipe.fwhm_eV)
        parameters["line_center"].set(value=float(np.mean(levels[0].axis)))
        intensity = np.stack([level.intensity for level in levels])
        fit = fit_series(model, parameters, Series(levels[0].axis, intensity, variable=times))

        def record(region: str, time: float | None, files: Sequence[Recording], **content: Any) -> ResultRecord:
            inputs = [f.input_file(p, region) for f, p in zip(series, declared.files, strict=True) if f in files]
            state = declared.state(recipe.sample, elapsed_s=time)
            return context.record(state=state, inputs=inputs, **content)

        records = [
            record(f"level={k}", times[k], [series[k]], quantities=_amount(fit, k), quality=quality_of(fit, (), k))
            for k in range(len(levels))
        ]
        whole = record(
            "series", None, series, method="toy_line.series", quantities=_shape(fit), quality=quality_of(fit)
        )
        words = {"technique": self.technique, "sample": recipe.sample, "title": recipe.title, "axis_name": "energy"}
        units = {"axis_unit": "eV", "level_name": "time", "level_unit": "s"}
        name = context.series_name(declared.name)
        arrays = SeriesArrays.of_fit(fit, {"line": "line"}, name=name, levels=times, **words, **units)
        yield PipelineOutput((*records, whole), {arrays.name: arrays})

    def summary(self, records: Sequence[ResultRecord]) -> list[SummaryTable]:
        """Return the areas along the series."""
        return [table(records, ["elapsed_s"], ["peak.area"], title="The line")]

    def figures(self, run: Any, folder: Path) -> list[Path]:
        """Draw every series."""
        from .figures import draw

        return draw(run, folder)


def _amount(fit: SeriesFit, level: int) -> tuple[Quantity, ...]:
    area = float(fit.value("line_area")[level]), float(fit.sigma("line_area")[level])
    return some([measured("peak.area", *area, "counts*eV", "line", role="refined")])


def _shape(fit: SeriesFit) -> tuple[Quantity, ...]:
    names = {"line_center": "peak.position", "line_fwhm": "peak.fwhm"}
    values = ((n, float(fit.value(p)[0]), float(fit.sigma(p)[0])) for p, n in names.items())
    return some(measured(n, value, sigma, "eV", "line", role="refined") for n, value, sigma in values)


PIPELINE = LinePipeline()
