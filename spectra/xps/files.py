"""What the pipelines over XPS files share: how the files of a series are read, and where arrays go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from layerscope.errors import LayerscopeError, MissingDependencyError
from layerscope.runs.levels import read_as_named
from layerscope.runs.recipe import PipelineRecipe
from layerscope.runs.technique import SeriesPipeline

from .dataset import XpsDataset
from .options import SeriesTable
from .readers import FORMATS, read
from .series import unread_files

if TYPE_CHECKING:
    from layerscope.records import InputFile
    from layerscope.runs.hooks import NexusLayout

__all__ = ["Datasets", "FilesPipeline", "unread"]

Datasets: TypeAlias = tuple[XpsDataset, ...]


class FilesPipeline(SeriesPipeline[Datasets]):
    """A pipeline whose series are XPS files."""

    technique = "xps"
    formats = FORMATS

    def recording(self, path: str | Path, **how: Any) -> XpsDataset:
        """Return the spectra of a file, their levels numbered."""
        return read(path, **how)

    def read(self, recipe: PipelineRecipe, table: SeriesTable) -> Datasets:
        """Return what each file of a series holds: nothing of one that cannot be read, if there are others."""
        how = {"format": table.format, "columns": table.columns, "members": table.members, "on_error": "keep"}
        found: list[XpsDataset] = []
        errors: list[LayerscopeError] = []
        for path in table.files:
            try:
                found.append(read_as_named(recipe, path, read, **how))
            except MissingDependencyError:
                raise
            except LayerscopeError as error:
                errors.append(error)
                where: Path | None = None
                with suppress(LayerscopeError):  # of what lies outside not even the hash is taken
                    where = recipe.resolve(path)
                found.append(replace(XpsDataset.unread(where, error), source=Path(path)))
        if len(errors) == len(found):
            raise errors[0]
        return tuple(found)

    def nexus_layout(self) -> NexusLayout:
        """Return the layout of NXxps."""
        from .nexus import LAYOUT

        return LAYOUT


def unread(series: Datasets, files: Sequence[str]) -> Iterator[tuple[LayerscopeError, list[InputFile]]]:
    """Yield why each file could not be read, and the file as the input of a failed record.

    Parameters
    ----------
    series : tuple of XpsDataset
    files : sequence of str
        Paths of the recipe, one a dataset.
    """
    for file, number, error in unread_files(series):
        yield error, [series[file].input_file(str(files[file]), f"file={number}")]
