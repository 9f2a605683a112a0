"""From a recipe or a study to the list of tasks: everything that can be refused is refused here, before any work."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from layerscope.claims.tables import StoryTables
from layerscope.errors import DataError, LayerscopeError, RecipeError, as_text
from layerscope.measured.files import files_of, fingerprint
from layerscope.options import FigureOptions
from layerscope.records import Problem, ResultRecord, SampleState, canonical_json, failed_record
from layerscope.runs.pipeline import Pipeline, find_pipeline, installed_pipelines
from layerscope.runs.recipe import LimitsTable, PipelineRecipe, StudyRecipe, parse_recipe, read_toml, resolve_inside
from layerscope.version import __version__

__all__ = ["Plan", "PlannedRecipe", "RefusedRecipe", "Task", "check_plan", "make_plan", "recipe_label"]


@dataclass(frozen=True)
class Task:
    """One unit of work: it succeeds, fails and resumes as a whole.

    Attributes
    ----------
    label : str
        Name for people: the recipe's, with the files of the part where the pipeline split it.
    base : str
        First part of the names of its series: the recipe's folder, and its stem unless that is "recipe".
    pipeline : Pipeline
        What does it.
    recipe : PipelineRecipe
        What it does, located in its data folder.
    """

    label: str
    base: str
    pipeline: Pipeline
    recipe: PipelineRecipe

    @property
    def limits(self) -> LimitsTable | None:
        """What it may take, where its recipe or study says."""
        return self.recipe.limits

    def cost(self) -> tuple[float, int]:
        """Return what tells tasks that take long from others: what the pipeline usually takes, and bytes to read."""
        size = 0
        for path in self.recipe.input_paths():
            with suppress(LayerscopeError, OSError):
                whole = self.recipe.folder / path
                many = files_of(whole)
                files = [whole] if many is None else [many[0] / name for name in many[1]]
                size += sum(file.stat().st_size for file in files)
        return getattr(self.pipeline, "effort_s", 1.0), size

    def job_id(self) -> str | None:
        """Return the content address of the work, or None when an input file cannot be read."""
        try:
            hashes = [fingerprint(self.recipe.resolve(path))[0] for path in self.recipe.input_paths()]
        except LayerscopeError:
            return None
        text = canonical_json(
            {
                "pipeline": f"{self.pipeline.name}@{self.pipeline.version}",
                "layerscope": __version__,
                "base": self.base,  # a twin in another folder of a study has arrays of its own
                "recipe": self.recipe.resolved(),
                "inputs": hashes,
            }
        )
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class PlannedRecipe:
    """A recipe that was understood, and its tasks."""

    label: str
    pipeline: Pipeline
    recipe: PipelineRecipe
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class RefusedRecipe:
    """A recipe of a study that cannot be used, and why; the other recipes go on."""

    label: str
    raw: Mapping[str, Any]
    error: Exception

    def record(self, software: dict[str, str]) -> ResultRecord:
        """Return its failed record."""
        name, sample = self.raw.get("pipeline"), self.raw.get("sample")
        technique = name if isinstance(name, str) and name else "unknown"
        try:
            canonical_json(dict(self.raw))
            recipe = dict(self.raw)
        except DataError:  # dates and NaN are valid TOML, but not JSON
            recipe = {}
        problem = Problem.from_error(self.error)
        return failed_record(
            problem.model_copy(update={"source": self.label}),
            SampleState(sample=sample if isinstance(sample, str) and sample else "unknown"),
            technique=technique,
            method=technique,
            method_version="0",
            recipe=recipe,
            software=software,
        )


@dataclass(frozen=True)
class Plan:
    """What a recipe file asks for.

    Attributes
    ----------
    label : str
        Name of the recipe file with its folder: what a run folder belongs to.
    title : str
        For people.
    recipes : tuple of PlannedRecipe
        What will be done.
    refused : tuple of RefusedRecipe
        What cannot be done; always empty for a single recipe, which raises instead.
    figures : FigureOptions
        How figures are saved.
    story : StoryTables
        What a study says of its samples.
    """

    label: str
    title: str
    recipes: tuple[PlannedRecipe, ...]
    refused: tuple[RefusedRecipe, ...] = ()
    figures: FigureOptions = FigureOptions()  # noqa: RUF009 - frozen
    story: StoryTables = StoryTables()  # noqa: RUF009 - frozen

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """Every task of every recipe."""
        return tuple(task for recipe in self.recipes for task in recipe.tasks)


def recipe_label(path: Path) -> str:
    """Return the name of a recipe file with its folder, e.g. ``xps_b1s_li_rich/recipe.toml``."""
    whole = path.resolve()
    return as_text(f"{whole.parent.name}/{whole.name}" if whole.parent.name else whole.name)


def _base(path: Path, taken: Container[str] = ()) -> str:
    """Return the first part of the names of a recipe's series; a number sets it apart from one that is taken."""
    folder, stem = as_text(path.resolve().parent.name), as_text(path.stem)
    base = folder if stem == "recipe" and folder else f"{folder}_{stem}"
    numbered = (f"{base}_{number}" for number in itertools.count(2))
    return next(one for one in itertools.chain([base], numbered) if one not in taken)


def _plain(name: str) -> str:
    """Return a sample's name as the first part of the names of files."""
    return re.sub(r"[^A-Za-z0-9.\-]+", "_", name).strip("_.-") or "run"


def _check_folder(data: Path) -> None:
    try:
        there = data.is_dir()
    except OSError:  # a name too long
        there = False
    if not there:
        raise RecipeError("there is no such folder", source=data, hint="give --data the folder of the input files")


def make_plan(
    path: Path | str | PipelineRecipe, *, data: Path | None = None, pipelines: Mapping[str, Pipeline] | None = None
) -> Plan:
    """Return what a recipe or a study asks for.

    Parameters
    ----------
    path : Path, str or PipelineRecipe
        The TOML file; or a recipe that was made in Python, whose run folder belongs to its sample.
    data : Path, optional
        Folder that input paths are relative to, instead of the recipe's own; for a study, each recipe's subfolder of
        it.
    pipelines : mapping, optional
        Pipelines that come before the installed ones.

    Raises
    ------
    RecipeError
        If the file, or the only recipe, cannot be used. A recipe of a study that cannot be used is in `Plan.refused`.
    MissingDependencyError
        If the only recipe's pipeline cannot be imported.
    """
    if data is not None:
        _check_folder(data)
    if isinstance(path, PipelineRecipe):
        recipe = path if data is None else path.located(data)
        label = f"{recipe.sample} ({recipe.pipeline})"
        planned = _planned(label, _plain(recipe.sample), find_pipeline(recipe.pipeline, pipelines), recipe)
        return Plan(label, recipe.title or label, (planned,))
    path = Path(path)
    raw = read_toml(path)
    label = recipe_label(path)
    if "recipes" not in raw or "pipeline" in raw:
        planned = _plan_recipe(as_text(path.name), _base(path), raw, path.parent if data is None else data, pipelines)
        return Plan(label, planned.recipe.title or label, (planned,), figures=planned.recipe.figures)
    study = parse_recipe(StudyRecipe, raw, path.name)
    recipes: list[PlannedRecipe] = []
    refused: list[RefusedRecipe] = []
    known = dict(pipelines or {})
    for relative in dict.fromkeys(study.recipes):
        member: Mapping[str, Any] = {}
        try:
            file = resolve_inside(path.parent, relative)
            member = read_toml(file)
            folder = file.parent if data is None else (data / relative).parent
            base = _base(file, {task.base for planned in recipes for task in planned.tasks})
            found = _plan_recipe(str(relative), base, member, folder, known)
            recipes.append(_limited(found, study.limits))
            known[recipes[-1].pipeline.name] = recipes[-1].pipeline  # looked for once
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one member, the others are done
            refused.append(RefusedRecipe(str(relative), member, error))
    story = StoryTables(samples=study.samples, pairs=study.pairs, claims=study.claims)
    return Plan(label, study.title or label, tuple(recipes), tuple(refused), study.figures, story)


def _limited(planned: PlannedRecipe, limits: LimitsTable | None) -> PlannedRecipe:
    """Give the limits of a study to the tasks of a recipe that has none."""

    def with_limits(task: Task) -> Task:
        return replace(task, recipe=task.recipe.model_copy(update={"limits": limits}).located(task.recipe.folder))

    if limits is None or planned.recipe.limits is not None:
        return planned
    return replace(planned, tasks=tuple(map(with_limits, planned.tasks)))


def _plan_recipe(
    label: str, base: str, raw: Mapping[str, Any], folder: Path, pipelines: Mapping[str, Pipeline] | None
) -> PlannedRecipe:
    name = raw.get("pipeline")
    if not isinstance(name, str):
        known = ", ".join(sorted({*installed_pipelines(), *(pipelines or {})})) or "none"
        raise RecipeError("pipeline: is missing", source=label, hint=f"installed: {known}")
    try:
        pipeline = find_pipeline(name, pipelines)
    except RecipeError as error:
        raise RecipeError(f"pipeline: {error.message}", source=label, hint=error.hint) from error
    return _planned(label, base, pipeline, parse_recipe(pipeline.recipe_model, raw, label).located(folder))


def _bases(base: str, parts: Sequence[PipelineRecipe]) -> Iterator[str]:
    """Yield the first part of the names of the series of each part of a recipe.

    A hash sets those apart whose names differ in nothing but signs that stand in no name of a file: LCO and LCO*.
    """
    taken: dict[str, str] = {}
    for part in parts:
        name = "_".join(str(table.name or table.sample or "") for table in getattr(part, "series", ()))
        first = taken.setdefault(_plain(name), name)
        yield base if name == first else f"{base}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _planned(label: str, base: str, pipeline: Pipeline, recipe: PipelineRecipe) -> PlannedRecipe:
    try:
        parts = tuple(pipeline.split(recipe))
    except RecipeError as error:  # the pipeline names the key, this names the file
        error.source = error.source or label
        raise
    if len(parts) == 1:
        labels = [label]
    else:
        labels = [f"{label}[{', '.join(part.input_paths()) or index}]" for index, part in enumerate(parts)]
    tasks = tuple(
        Task(name, own, pipeline, part.located(recipe.folder))
        for name, own, part in zip(labels, _bases(base, parts), parts, strict=True)
    )
    return PlannedRecipe(label, pipeline, recipe, tasks)


def check_plan(plan: Plan) -> list[tuple[str, Problem]]:
    """Return what is wrong with the recipes and their files, by recipe, without running anything.

    Parameters
    ----------
    plan : Plan
        See `make_plan`.
    """
    problems = [(refused.label, Problem.from_error(refused.error)) for refused in plan.refused]
    for planned in plan.recipes:
        try:
            found = planned.pipeline.check(planned.recipe)
        except LayerscopeError as error:
            found = [Problem.from_error(error)]
        problems += [(planned.label, problem) for problem in found]
    return problems
