"""What pipelines of measured series share: reading, checking, one task a series, a guard for every part.

A technique that measures series inherits from `SeriesPipeline` and names its `formats`. It writes `analyse`, from what
was read to records and arrays, and `read` where it works on something else than a `MeasuredSeries`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from layerscope.cycler.clock import by_clock
from layerscope.errors import LayerscopeError, RecipeError
from layerscope.measured.formats import Formats
from layerscope.measured.measurement import Recording
from layerscope.measured.options import SeriesTable
from layerscope.measured.series import MeasuredSeries
from layerscope.records import InputFile, Problem, SampleState
from layerscope.runs.levels import read_levels
from layerscope.runs.pipeline import PipelineBase, PipelineOutput, RunContext
from layerscope.runs.recipe import PipelineRecipe

__all__ = ["Part", "SeriesPipeline", "guarded"]

S = TypeVar("S")
P = TypeVar("P")


@dataclass(frozen=True)
class Part:
    """What a part of a series is about, for its failed record and the progress bar.

    Attributes
    ----------
    label : str
        For people.
    state : SampleState
    inputs : sequence of InputFile
        As far as they are known.
    method : str
        Of the records that it gives.
    """

    label: str
    state: SampleState
    inputs: Sequence[InputFile]
    method: str


def guarded(
    context: RunContext,
    parts: Sequence[P],
    about: Callable[[P], Part],
    make: Callable[[P], Iterable[PipelineOutput]],
) -> Iterator[PipelineOutput]:
    """Yield the outputs of every part of a series; one that fails becomes a failed record, and the rest goes on.

    Parameters
    ----------
    context : RunContext
    parts : sequence
        Regions, blocks, engines, ...
    about, make : callable
        What a part is about, and what it gives.
    """
    for done, part in enumerate(parts):
        what = about(part)
        context.progress(done, len(parts), what.label)
        with context.guard(state=what.state, inputs=what.inputs, method=what.method):
            yield from make(part)


class SeriesPipeline(PipelineBase, Generic[S]):
    """A pipeline whose recipe lists series: each is read, checked and analysed by itself, in a task of its own.

    Attributes
    ----------
    formats : Formats
        The file formats of the technique.
    """

    formats: Formats[Any]

    def tables(self, recipe: Any) -> Sequence[Any]:
        """Return what of a recipe is read one by one: its tables of series."""
        tables: Sequence[SeriesTable] = recipe.series
        return tables

    def recording(self, path: str | Path, **how: Any) -> Recording[Any]:
        """Return what a file, a folder, an archive or all files of a pattern hold; as `Formats.read`."""
        found: Recording[Any] = self.formats.read(path, **how)
        return found

    def read(self, recipe: Any, table: Any) -> S:
        """Return what the files of one series hold, ready to be analysed: by default its levels with their times.

        Parameters
        ----------
        recipe : PipelineRecipe
            Located, and of `recipe_model`.
        table : SeriesTable
            One of its series.

        Raises
        ------
        LayerscopeError
            If nothing of it can be used.
        """
        found = read_levels(recipe, table, self.formats.read)
        if not found.levels:
            raise found.rejected[0].error
        return cast("S", replace(found, levels=tuple(by_clock(list(found.levels)))))

    def analyse(self, series: S, context: RunContext) -> Iterator[PipelineOutput]:
        """Yield records and arrays of a series; an error that escapes becomes the failed record of the whole task."""
        raise NotImplementedError

    def faults(self, recipe: Any) -> Sequence[LayerscopeError]:
        """Return what is wrong with a recipe by itself, without its files; nothing by default."""
        return ()

    def tried(self, recipe: Any, series: S) -> Sequence[LayerscopeError]:
        """Return what of a series cannot be used, as far as it can be told without analysing it."""
        return [one.error for one in series.rejected] if isinstance(series, MeasuredSeries) else ()

    def groups(self, recipe: Any) -> Sequence[Sequence[Any]]:
        """Return the series by tasks; each alone by default."""
        return [(table,) for table in self.tables(recipe)]

    def check(self, recipe: Any) -> list[Problem]:
        """Return what is wrong with a recipe and its files, without running it."""
        problems = [*super().check(recipe), *(Problem.from_error(error) for error in self.faults(recipe))]
        if problems:
            return problems
        for part in self.split(recipe):
            for table in self.tables(part):
                try:
                    problems += [Problem.from_error(e) for e in self.tried(part, self.read(part, table))]
                except LayerscopeError as error:
                    problems.append(Problem.from_error(error))
        return problems

    def split(self, recipe: Any) -> Sequence[PipelineRecipe]:
        """Return a recipe a task, after making sure that the recipe means something; one error holds all faults."""
        faults = self.faults(recipe)
        if faults:
            raise faults[0] if len(faults) == 1 else RecipeError("; ".join(str(fault) for fault in faults))
        return tuple(recipe.only(tables) for tables in self.groups(recipe))

    def run(self, recipe: Any, context: RunContext) -> Iterator[PipelineOutput]:
        """Yield the records and arrays of the series of a task, which is one unless `groups` says otherwise."""
        tables = self.tables(recipe)
        if len(tables) == 1:
            yield from self.analyse(self.read(recipe, tables[0]), context)
            return

        def about(table: SeriesTable) -> Part:
            return Part(table.name, table.state(recipe.sample), (), f"{self.name}.series")

        yield from guarded(context, tables, about, lambda t: self.analyse(self.read(recipe, t), context))
