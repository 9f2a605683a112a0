"""The pipeline ``sxas``: scans of one edge of several samples in, records and arrays out.

All samples of a recipe go together: their energies are put on those of the first, and what is fitted is fitted at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerscope.errors import DataError, LayerscopeError
from layerscope.measured.series import MeasuredSeries
from layerscope.records import ResultRecord
from layerscope.runs.build import remarks
from layerscope.runs.levels import read_as_named, read_levels, reject_levels, side_files
from layerscope.runs.pipeline import Exporter, PipelineOutput, RunContext
from layerscope.runs.summary import SummaryTable
from layerscope.runs.technique import SeriesPipeline

from .edges import Edge, find_edge
from .options import CoordinationTable, SeriesTable
from .readers import FORMATS, read
from .recipe import SxasRecipe
from .records import Sample, arrays_of, comparison, inputs_of, notes_of, quantities_of, sample_of, used_points
from .reduce import Diode, Reduced, Reduction, aligned, diode_of, edge_of, reduce_scans
from .scan import Scan, ScanFile
from .tables import COORDINATION, METHOD, SERIES, summary_tables

if TYPE_CHECKING:
    from layerscope.figures import Drawing
    from layerscope.runs.load import Run

__all__ = ["PIPELINE", "SxasPipeline"]

Scans = MeasuredSeries[Scan]


class SxasPipeline(SeriesPipeline[Scans]):
    """Soft X-ray absorption from beamline file to record."""

    name = "sxas"
    effort_s = 8.0
    version = "3"
    technique = "sxas"
    recipe_model = SxasRecipe
    formats = FORMATS

    def recording(self, path: str | Path, **how: Any) -> ScanFile:
        """Return the scans of a file, points without beam masked."""
        return read(path, **how)

    def read(self, recipe: SxasRecipe, table: SeriesTable) -> Scans:
        """Return the scans of one sample, those named in the table if it names some."""
        found = read_levels(recipe, table, read)
        if not found.levels:
            raise found.rejected[0].error
        others = tuple(side_files(recipe, recipe.photodiode))
        if table.scan is None:
            return replace(found, others=others)
        levels = tuple(level for level in found.levels if level.measurement.sample.strip() == table.scan)
        if not levels:
            known = ", ".join(dict.fromkeys(repr(level.measurement.sample) for level in found.levels))
            raise DataError(f"there is no scan {table.scan!r}", source=table.files[0], hint=f"the files hold {known}")
        return replace(found, levels=levels, others=others)

    def tried(self, recipe: SxasRecipe, series: Scans) -> Sequence[LayerscopeError]:
        """Return what of a sample's scans cannot be used."""
        edge_of(series.levels[0].measurement, None if recipe.edge is None else find_edge(recipe.edge))
        return [one.error for one in series.rejected]

    def groups(self, recipe: SxasRecipe) -> Sequence[Sequence[SeriesTable]]:
        """Return all samples as one task."""
        return (recipe.series,)

    def run(self, recipe: SxasRecipe, context: RunContext) -> Iterator[PipelineOutput]:
        """Yield the records and arrays of every sample."""
        reduced: list[tuple[Scans, Reduced, Edge]] = []
        diode = self._diode(recipe)
        for done, table in enumerate(recipe.series):
            context.progress(done, len(recipe.series), table.sample or table.name or recipe.sample)
            state, inputs = table.state(recipe.sample), side_files(recipe, *table.files)
            with context.guard(state=state, inputs=inputs, method=METHOD):
                series = self.read(recipe, table)
                reject_levels(context, series, series.rejected, METHOD)
                edge = _edge(series, recipe, [one for _, _, one in reduced])
                how = _reduction(recipe, table, edge, diode)
                scans = [level.measurement for level in series.levels]
                reduced.append((series, reduce_scans(scans, how), edge))
        if reduced:
            yield from _outputs(reduced, recipe, context)

    def _diode(self, recipe: SxasRecipe) -> Diode | None:
        if recipe.photodiode is None:
            return None
        scan = read_as_named(recipe, recipe.photodiode, read).scans[0]
        return diode_of(replace(scan, source=recipe.photodiode), recipe.monitor)

    def summary(self, records: Sequence[ResultRecord]) -> list[SummaryTable]:
        """Return the edges of all samples."""
        return summary_tables(records)

    def figures(self, run: Run, folder: Path) -> Iterator[Drawing]:
        """Return every edge of a run."""
        from .figures import draw_edges

        return draw_edges(run, folder)

    def exports(self) -> Mapping[str, Exporter]:
        """Return the writers of NXxasproc, Athena projects and XDI."""
        from .exports import FORMATS as WRITERS

        return WRITERS


def _edge(series: Scans, recipe: SxasRecipe, before: Sequence[Edge]) -> Edge:
    """Return the edge of a sample, which is that of all of them."""
    found = edge_of(series.levels[0].measurement, None if recipe.edge is None else find_edge(recipe.edge))
    if before and before[0] != found:
        raise DataError(
            f"the scans are of {found.name}, those of the first sample of {before[0].name}",
            source=series.files[0].path,
            hint="one recipe holds one edge; say which: edge = 'O K'",
        )
    return found


def _reduction(recipe: SxasRecipe, table: SeriesTable, edge: Edge, diode: Diode | None) -> Reduction:
    dark: Mapping[str, float] = table.dark
    return Reduction(edge, recipe.mode, recipe.monitor, dark, diode, recipe.repeats, recipe.glitches)


def _outputs(
    reduced: Sequence[tuple[Scans, Reduced, Edge]], recipe: SxasRecipe, context: RunContext
) -> Iterator[PipelineOutput]:
    """Yield what is to be said of every sample, energies aligned on the first one's."""
    placed, _ = aligned([one for _, one, _ in reduced], recipe.energy)
    definition = recipe.normalise.definition(reduced[0][2])
    samples = [sample_of(series, one, edge, definition) for (series, _, edge), one in zip(reduced, placed, strict=True)]
    records = []
    for sample in samples:
        arrays = arrays_of(sample, context)
        records.append(_record(sample, samples[0], recipe, context))
        yield PipelineOutput((records[-1],), {arrays.name: arrays})
    if recipe.engine == "both":
        yield from _compared(samples, records, recipe, context)
    if recipe.coordination is not None:
        yield from _coordination(samples, recipe, recipe.coordination, context)
    if recipe.bands != "none" and (recipe.bands == "always" or _reach(samples)):
        yield from _bands(samples, recipe, context)


def _coordination(
    samples: Sequence[Sample], recipe: SxasRecipe, table: CoordinationTable, context: RunContext
) -> Iterator[PipelineOutput]:
    """Yield the shares of four-coordinate atoms; references are reduced as samples are."""
    from .coordination_records import coordination_outputs, known_reference

    edge, pipeline = samples[0].edge, SxasPipeline()
    inputs = [item for sample in samples for item in inputs_of(sample)]
    with context.guard(state=samples[0].series.state(None, edge.name), inputs=inputs, method=COORDINATION):
        references = []
        for one in table.reference:
            series = pipeline.read(recipe, one)
            scans = [level.measurement for level in series.levels]
            reduced = reduce_scans(scans, _reduction(recipe, one, edge, None))
            references.append(known_reference(one.name, one.four, sample_of(series, reduced, edge, None), table))
        yield from coordination_outputs(samples, references, table, context)


def _reach(samples: Sequence[Sample]) -> bool:
    """Tell whether a table knows the bands of the edge, and every scan reaches over the range of the fit."""
    from .feature_records import range_of

    limits = range_of(samples[0].edge)
    if limits is None:
        return False
    return all(
        one.reduced.spectrum.energy[0] <= limits[0] and one.reduced.spectrum.energy[-1] >= limits[1] for one in samples
    )


def _bands(samples: Sequence[Sample], recipe: SxasRecipe, context: RunContext) -> Iterator[PipelineOutput]:
    from .feature_records import feature_outputs

    edge = samples[0].edge
    area = recipe.normalise.of(edge, "area").area_eV
    inputs = [item for sample in samples for item in inputs_of(sample)]
    with context.guard(state=samples[0].series.state(None, edge.name), inputs=inputs, method=SERIES):
        yield from feature_outputs(samples, area, recipe.energy, recipe.saturation, context)


def _compared(
    samples: Sequence[Sample], records: Sequence[ResultRecord], recipe: SxasRecipe, context: RunContext
) -> Iterator[PipelineOutput]:
    """Yield what xraylarch says of the step of every sample, over the same points."""
    from .second_opinion import second_opinions

    edge = samples[0].edge
    method, definition = "sxas.comparison", recipe.normalise.of(edge, "step")
    with context.guard(state=samples[0].series.state(None, edge.name), inputs=records[0].inputs, method=method):
        opinions = second_opinions([used_points(sample.reduced) for sample in samples], edge, definition)
        for sample, record, opinion in zip(samples, records, opinions, strict=True):
            state = sample.series.state(None, edge.name)
            if isinstance(opinion, Exception):
                context.reject(opinion, state=state, inputs=record.inputs, method=method)
                continue
            made = context.record(
                state=state, inputs=record.inputs, method=method, parents=(record.record_id,), **comparison(opinion)
            )
            yield PipelineOutput((made,))


def _record(sample: Sample, first: Sample, recipe: SxasRecipe, context: RunContext) -> ResultRecord:
    return context.record(
        state=sample.series.state(None, sample.edge.name),
        inputs=inputs_of(sample),
        method=METHOD,
        quantities=quantities_of(sample, first, recipe.energy),
        quality=remarks(sample.flags),
        notes=notes_of(sample),
    )


PIPELINE = SxasPipeline()
