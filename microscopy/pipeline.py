"""The pipeline ``hrtem``: micrographs, from vendor file to ranked phases, spacings and layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from layerscope.errors import LayerscopeError
from layerscope.measured.series import Level, MeasuredSeries
from layerscope.records import ResultRecord
from layerscope.runs.levels import array_name, reject_levels
from layerscope.runs.pipeline import PipelineOutput, RunContext
from layerscope.runs.summary import SummaryTable
from layerscope.runs.technique import Part, SeriesPipeline, guarded

from .analyse import analyse_image, analyse_vectors, windows_of
from .arrays import image_arrays
from .image import Scale
from .kinds import IMAGE
from .readers import FORMATS, ready_image
from .readers.micrograph import Micrograph
from .readers.ready import one_a_file
from .recipe import HrtemRecipe, ImageTable
from .records import image_record, layer_record, region_record, series_record
from .tables import image_tables

if TYPE_CHECKING:
    from layerscope.figures import Drawing
    from layerscope.runs.load import Run

__all__ = ["PIPELINE", "HrtemPipeline"]

Series = MeasuredSeries[Micrograph]


class HrtemPipeline(SeriesPipeline[Series]):
    """Images of the transmission electron microscope."""

    name = "hrtem"
    effort_s = 4.0
    version = "3"
    technique = "hrtem"
    figures_of_the_whole_run = True  # what other techniques say of a sample stands beside its layers
    recipe_model = HrtemRecipe
    formats = FORMATS

    def read(self, recipe: HrtemRecipe, table: ImageTable) -> Series:
        """Return the images of a series, one a file."""
        return one_a_file(super().read(recipe, table), table)

    def tried(self, recipe: HrtemRecipe, series: Series) -> Sequence[LayerscopeError]:
        """Return what of a series cannot be used: images without a scale, regions outside them."""
        found = [one.error for one in series.rejected]
        for level in series.levels:
            try:
                if level.measurement.vectors is None:
                    windows_of(ready_image(level.measurement, recipe.series[0]), recipe.regions)
            except LayerscopeError as error:
                found.append(error)
        return found

    def faults(self, recipe: HrtemRecipe) -> Sequence[LayerscopeError]:
        """Return what is wrong with the phases of a recipe."""
        try:
            recipe.library()
        except LayerscopeError as error:
            return (error,)
        return ()

    def analyse(self, series: Series, context: RunContext) -> Iterator[PipelineOutput]:
        """Yield the records and arrays of every image."""
        recipe = cast("HrtemRecipe", context.recipe)
        phases = recipe.library()
        layers: list[ResultRecord] = []
        reject_levels(context, series, series.rejected, IMAGE)

        def about(level: Level[Micrograph]) -> Part:
            label = level.measurement.source or level.measurement.name
            return Part(label, series.state(level), series.inputs(IMAGE, level), IMAGE)

        def make(level: Level[Micrograph]) -> Iterator[PipelineOutput]:
            table = recipe.series[0]
            if level.measurement.vectors is not None:
                scale = Scale(sd=table.scale_sd, shear_sd=table.shear_sd, source="vectors as given")
                result = analyse_vectors(level.measurement.vectors, scale, recipe, phases)
            else:
                result = analyse_image(ready_image(level.measurement, table), recipe, phases)
            regions = tuple(region_record(context, series, level, result, region) for region in result.regions)
            surface = [] if result.surface is None else [layer_record(context, series, level, result, result.surface)]
            layers.extend(surface)
            whole = image_record(context, series, level, result, (*regions, *surface))
            name = array_name(context, series, f"{level.index}" if series.is_series else "")
            arrays = image_arrays(context, series, level, result, phases, name)
            yield PipelineOutput((*regions, *surface, whole), {one.name: one for one in arrays})

        yield from guarded(context, series.levels, about, make)
        together = series_record(context, series, layers)
        if together is not None:
            yield PipelineOutput((together,))

    def summary(self, records: Sequence[ResultRecord]) -> list[SummaryTable]:
        """Return what every region shows, with the ranked explanations, spacings and layers."""
        return image_tables(records)

    def figures(self, run: Run, folder: Path) -> Iterator[Drawing]:
        """Return every image with its regions."""
        from .figures import draw_images

        return draw_images(run, folder)


PIPELINE = HrtemPipeline()
