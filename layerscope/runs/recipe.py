"""Recipes: TOML files that say what to analyse and how, checked before anything is computed."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, Field, PrivateAttr, ValidationError, model_validator

from layerscope.claims.tables import StoryTables
from layerscope.errors import ReaderError, RecipeError
from layerscope.measured.files import files_of
from layerscope.measured.options import SeriesTable
from layerscope.options import FigureOptions, RecipeModel, RecipePath, listed, not_empty, unique
from layerscope.records import InputFile
from layerscope.runs.pool import Limits, machine_memory_MB
from layerscope.runs.recipe_errors import describe

__all__ = [
    "MAX_RECIPE_BYTES",
    "LimitsTable",
    "PipelineName",
    "PipelineRecipe",
    "SeriesRecipe",
    "StudyRecipe",
    "parse_recipe",
    "read_toml",
    "resolve_inside",
]

MAX_RECIPE_BYTES = 1_000_000
ModelT = TypeVar("ModelT", bound=BaseModel)
PipelineName = Annotated[str, Field(min_length=1, description="name of the pipeline, e.g. 'xps'")]
"""Type of `PipelineRecipe.pipeline`; a technique's model gives it the technique's own name as default."""


LONGEST_TASK_S = 14400.0
MOST_LISTED = 100  # files of a series that the record of a single level repeats


class LimitsTable(RecipeModel):
    """What one task may take; beyond it the task ends in a failed record, and its process is free for the next.

    They hold for tasks that are done in processes of their own: with more than one process, and always where a recipe
    or study states them. They change no result, and so stand outside the records.
    """

    time_s: Annotated[float, Field(gt=0, description="longest time, s")] = LONGEST_TASK_S
    memory_MB: Annotated[
        float | None, Field(gt=0, description="most memory, 10^6 bytes; that of the machine when it is not given")
    ] = None

    def bounds(self) -> Limits:
        """Return the limits of a process on this machine."""
        return Limits(self.time_s, machine_memory_MB() if self.memory_MB is None else self.memory_MB)


class PipelineRecipe(RecipeModel):
    """Base of the recipe of one pipeline; a pipeline's own model adds its tables to it.

    Paths of input files must be declared as `RecipePath` (also inside lists and nested tables): the machinery finds
    them, hashes the files, and keeps the paths out of the record's identity.
    """

    layerscope: Annotated[Literal[1], Field(description="version of the recipe format")] = 1
    pipeline: PipelineName
    title: Annotated[str, Field(description="for people")] = ""
    sample: Annotated[str, Field(min_length=1, description="name of the sample")]
    # says nothing of what is measured: it stands in no record and no identity
    figures: FigureOptions = Field(default=FigureOptions(), exclude=True, description="how the figures are saved")
    limits: Annotated[LimitsTable | None, Field(exclude=True, description="what one task may take")] = None

    _folder: Path = PrivateAttr(default=Path())

    @property
    def folder(self) -> Path:
        """Folder that the recipe's input paths are relative to."""
        return self._folder

    def located(self, folder: Path) -> Self:
        """Return the same recipe with its paths relative to `folder`."""
        copy = self.model_copy()
        copy._folder = folder
        return copy

    def resolve(self, relative: str) -> Path:
        """Return the file that a path of the recipe means.

        Parameters
        ----------
        relative : str
            A path of this recipe.

        Raises
        ------
        ReaderError
            If there is no such file.
        RecipeError
            If the path leaves the recipe's folder, for instance through a symbolic link.
        """
        return resolve_inside(self._folder, relative)

    def input_paths(self) -> tuple[str, ...]:
        """Return every path that the recipe names, in the order of its fields, each once."""
        collected: list[str] = []
        self.model_dump(mode="json", context={"collect": collected})
        return tuple(dict.fromkeys(collected))

    def resolved(self) -> dict[str, Any]:
        """Return the fully resolved recipe, defaults included, as plain JSON values."""
        return self.model_dump(mode="json")

    def to_toml(self) -> str:
        """Return the recipe as a file for the command line: what differs from the defaults."""
        from layerscope.init.text import toml_text

        given = self.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        head = {"layerscope": self.layerscope, "pipeline": self.pipeline, "sample": self.sample}
        return toml_text({**head, **given})

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.to_toml())}</pre>"

    def resolved_for(self, inputs: Sequence[InputFile]) -> dict[str, Any]:
        """Return the resolved recipe as a record that rests on some of its files holds it: all of it."""
        return self.resolved()

    def identity(self) -> dict[str, Any]:
        """Return the fully resolved recipe with its paths blanked: what enters a record_id."""
        return self.model_dump(mode="json", context={"identity": True})


class SeriesRecipe(PipelineRecipe):
    """Base of the recipe of a pipeline that measures series; a technique declares `series` with a table of its own."""

    series: Annotated[tuple[SeriesTable, ...], AfterValidator(not_empty)] = Field(description="series of levels")

    @model_validator(mode="before")
    @classmethod
    def _one_series(cls, given: Any) -> Any:
        return {**given, "series": listed(given["series"])} if isinstance(given, dict) and "series" in given else given

    @model_validator(mode="after")
    def _series_apart(self) -> Self:
        unique([table.name for table in self.series], "series")
        return self

    def resolved_for(self, inputs: Sequence[InputFile]) -> dict[str, Any]:
        """Return the resolved recipe as a record that rests on some of its files holds it.

        Of a list of very many files it holds those of the record: thousands of levels would each repeat the list.
        """
        resolved = self.resolved()
        own = {item.path for item in inputs}
        for table in resolved.get("series", ()):
            files = table.get("files", ())
            if len(files) > MOST_LISTED and own and not own.issuperset(files):
                table["files"] = [file for file in files if file in own]
        return resolved

    def only(self, tables: Sequence[SeriesTable]) -> Self:
        """Return the recipe of some of the series; of one alone, with the sample of that one."""
        sample = tables[0].sample if len(tables) == 1 else None
        update = {"series": tuple(tables), "sample": sample or self.sample}
        return self.model_copy(update=update).located(self.folder)


class StudyRecipe(StoryTables):
    """A list of recipes that are run into one folder, and what is claimed of their samples."""

    layerscope: Annotated[Literal[1], Field(description="version of the recipe format")]
    title: Annotated[str, Field(description="for people")] = ""
    recipes: Annotated[tuple[RecipePath, ...], Field(min_length=1, description="paths of the recipes")]
    figures: FigureOptions = Field(
        default=FigureOptions(), description="how the figures of all recipes are saved; theirs do not count"
    )
    limits: Annotated[
        LimitsTable | None, Field(description="what one task may take, where its recipe does not say")
    ] = None


def resolve_inside(folder: Path, relative: str) -> Path:
    """Return `folder` / `relative`, after checking that it is a file, a folder or a pattern of files inside `folder`.

    Parameters
    ----------
    folder : Path
        The folder that may not be left.
    relative : str
        Relative path with forward slashes.

    Raises
    ------
    ReaderError
        If there is no such file, or the path cannot be followed.
    RecipeError
        If a symbolic link, or ``..``, leads out of the folder.
    """
    path = folder / relative
    try:
        many = files_of(path)
        there = bool(many[1]) if many is not None else path.is_file()
        leaves = _leaves(folder, relative)
        if many is not None and not leaves:
            head = many[0].relative_to(folder).as_posix()
            leaves = any(_leaves(folder, name if head == "." else f"{head}/{name}") for name in many[1])
    except ReaderError as error:
        error.source = relative
        raise
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links
        raise ReaderError(f"the path leads nowhere: {error}", source=relative, hint=f"looked in {folder}") from error
    if leaves:
        raise RecipeError(
            "the path leads out of the recipe's folder",
            source=relative,
            hint="copy the file, or run with --data DIR",
        )
    if not there:
        raise ReaderError("there is no such file", source=relative, hint=f"looked in {folder}; see --data DIR")
    return path


def _leaves(folder: Path, relative: str) -> bool:
    """Tell whether a path that exists, or a pattern, leads out of a folder; one that goes down by names does not."""
    parts = relative.split("/")
    if not any(part in ("", "..") or "\\" in part or ":" in part for part in parts):
        ways = ("/".join((str(folder), *parts[:end])) for end in range(1, len(parts) + 1))
        if not any(map(os.path.islink, ways)):
            return False
    return not (folder / relative).resolve().is_relative_to(folder.resolve())


def _with_nul(value: object, place: str = "") -> str | None:
    """Return where a text holds NUL, which no file name and no HDF5 file can; None if nowhere."""
    if isinstance(value, str):
        return place or "recipe" if "\0" in value else None
    if isinstance(value, Mapping):
        parts = [(f"{place}.{key}".lstrip("."), one) for key, one in value.items()]
    elif isinstance(value, list | tuple):
        parts = [(f"{place}[{number}]", one) for number, one in enumerate(value)]
    else:
        return None
    return next((found for name, one in parts if (found := _with_nul(one, name)) is not None), None)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Parameters
    ----------
    path : Path
        The recipe.

    Raises
    ------
    RecipeError
        If the file is missing, too large, not UTF-8, or not TOML.
    """
    try:
        if path.stat().st_size > MAX_RECIPE_BYTES:
            raise RecipeError(f"is larger than {MAX_RECIPE_BYTES} bytes: this is no recipe", source=path)
        text = path.read_bytes().decode("utf-8-sig")  # Windows editors begin a file with a byte order mark
    except OSError as error:
        raise RecipeError(f"cannot be read: {error.strerror or error}", source=path) from error
    except UnicodeDecodeError as error:
        raise RecipeError("is not UTF-8 text", source=path, hint="a recipe is a TOML file") from error
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = "is nested too deeply" if isinstance(error, RecursionError) else f"is not valid TOML: {error}"
        raise RecipeError(reason, source=path) from error


def parse_recipe(model: type[ModelT], raw: Mapping[str, Any], source: str | Path) -> ModelT:
    """Return a recipe checked against its model.

    Parameters
    ----------
    model : type of pydantic model
        `StudyRecipe` or the recipe model of a pipeline.
    raw : mapping
        What `read_toml` gave.
    source : str or Path
        The recipe's name, for the message.

    Raises
    ------
    RecipeError
        Naming each wrong key by its full path, and for an unknown key the nearest known one.
    """
    if issubclass(model, PipelineRecipe) and "layerscope" not in raw:  # made in Python it is of this version
        raise RecipeError("layerscope: is missing", source=source, hint="layerscope = 1")
    if (place := _with_nul(raw)) is not None:
        raise RecipeError(f"{place}: a text holds the character NUL", source=source)
    try:
        return model.model_validate(dict(raw))
    except ValidationError as error:
        raise RecipeError("; ".join(describe(error, model, raw)), source=source) from error
