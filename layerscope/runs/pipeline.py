"""What a pipeline is, how it is found by name, and what it is given to work with."""

from __future__ import annotations

import hashlib
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import EntryPoint, PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from layerscope.errors import LayerscopeError, MissingDependencyError, RecipeError
from layerscope.flags import Flag, status_of
from layerscope.installed import installed
from layerscope.records import (
    FitQuality,
    InputFile,
    Problem,
    ResultRecord,
    SampleState,
    failed_record,
    make_record_id,
)
from layerscope.records.sharing import Sharing
from layerscope.records.vocabulary import nearest
from layerscope.runs.recipe import PipelineRecipe
from layerscope.runs.summary import SummaryTable, long_table

if TYPE_CHECKING:
    from layerscope.figures import Drawing
    from layerscope.runs.arrays import SeriesArrays
    from layerscope.runs.grids import GridArrays
    from layerscope.runs.hooks import Finding, NexusLayout
    from layerscope.runs.load import Run

__all__ = [
    "ENTRY_POINT_GROUP",
    "Pipeline",
    "PipelineBase",
    "PipelineOutput",
    "Progress",
    "RunContext",
    "find_pipeline",
    "installed_pipelines",
    "pipeline_of",
    "software_versions",
]

ENTRY_POINT_GROUP = "layerscope.pipelines"
LONGEST_NAME = 120  # of a file of arrays, without its suffix
_PARTS = ("name", "version", "technique", "recipe_model", "check", "split", "run", "summary", "figures")
#: Called with the work done, the work in all, and what is being done.
Progress = Callable[[int, int, str], None]
#: Writes a run into a folder in a format, and returns the files.
Exporter: TypeAlias = "Callable[[Run, Path], list[Path]]"


@dataclass(frozen=True)
class PipelineOutput:
    """What a pipeline yields: records, and the arrays of the series that they rest on.

    The arrays are written to ``arrays/<series>.nxs``, grids to ``arrays/<name>.grids.nxs``, and every record of the
    same output that has no arrays of its own gets references to them. Yield one output for each series; the records of
    a long one may follow in further outputs, which name the arrays that were given before and that they rest on.
    """

    records: tuple[ResultRecord, ...] = ()
    arrays: Mapping[str, SeriesArrays | GridArrays] = field(default_factory=dict)
    rests_on: tuple[str, ...] = ()


class Pipeline(Protocol):
    """One technique's way from files to records. Inherit from `PipelineBase` and write `run` and `check`.

    Attributes
    ----------
    name : str
        What recipes call it; the name of its entry point.
    version : str
        Enters the identity of its records: change it when the numbers change.
    technique : str
        Technique of its records.
    recipe_model : type of PipelineRecipe
        Model of its recipes.
    flags : sequence of Flag
        Flags of its own, beside those of `layerscope.flags`; their names begin with ``X_``.

    Notes
    -----
    `exports`, `nexus_layout` and `doctor` are hooks by which the core learns what only the technique knows; those of
    `PipelineBase` add nothing.
    """

    name: str
    version: str
    technique: str
    recipe_model: type[PipelineRecipe]
    flags: Sequence[Flag]

    def check(self, recipe: Any) -> list[Problem]:
        """Return what is wrong with a recipe and its files, without running it."""

    def split(self, recipe: Any) -> Sequence[PipelineRecipe]:
        """Return independent recipes, each with its own input; they fail, resume and run in parallel one by one."""

    def run(self, recipe: Any, context: RunContext) -> Iterator[PipelineOutput]:
        """Yield records and arrays; an error that escapes becomes the failed record of the whole recipe."""

    def summary(self, records: Sequence[ResultRecord]) -> list[SummaryTable]:
        """Return the tables that ``layerscope show`` prints."""

    def figures(self, run: Run, folder: Path) -> Iterable[Drawing | Path]:
        """Return the figures of a run that go into a folder: to be drawn, or files that are there already."""

    def exports(self) -> Mapping[str, Exporter]:
        """Return writers of further formats by name, see `layerscope.runs.export`."""

    def nexus_layout(self) -> NexusLayout | None:
        """Return what the technique's application definition adds to the NeXus files of its series; None: nothing."""

    def doctor(self) -> Sequence[Finding]:
        """Return what the pipeline found of its own parts: engines and programs that it would call."""


class PipelineBase:
    """What most pipelines share: one task a recipe, files that must exist, a long table, no figures."""

    name: str
    version: str
    technique: str
    recipe_model: type[PipelineRecipe] = PipelineRecipe
    flags: Sequence[Flag] = ()
    effort_s: float = 1.0
    """Processor time that a task usually takes (s): where there are several processes, the longest begin first."""

    def check(self, recipe: Any) -> list[Problem]:
        """Return a problem for each input file that is not there."""
        problems = []
        for path in recipe.input_paths():
            try:
                recipe.resolve(path)
            except LayerscopeError as error:
                problems.append(Problem.from_error(error))
        return problems

    def split(self, recipe: Any) -> Sequence[PipelineRecipe]:
        """Return the recipe as the only task."""
        return (recipe,)

    def summary(self, records: Sequence[ResultRecord]) -> list[SummaryTable]:
        """Return one table with a row for each quantity."""
        return [long_table(records, title=self.technique)]

    def figures(self, run: Run, folder: Path) -> Iterable[Drawing | Path]:
        """Draw nothing."""
        return ()

    def exports(self) -> Mapping[str, Exporter]:
        """Offer no format of its own."""
        return {}

    def nexus_layout(self) -> NexusLayout | None:
        """Add nothing to the common layout."""
        return None

    def doctor(self) -> Sequence[Finding]:
        """Need nothing that pip does not install."""
        return ()


@dataclass
class RunContext:
    """What a pipeline is given while it runs: makers of records, a guard for parts that may fail, a progress bar.

    Attributes
    ----------
    pipeline : Pipeline
        The pipeline that runs.
    recipe : PipelineRecipe
        The recipe of this task.
    software : mapping of str
        Versions that every record carries.
    base : str
        First part of the names of this task's series.
    progress : callable
        ``progress(done, total, message)``.
    debug : bool
        Let errors through instead of turning them into failed records.
    attachments : Path or None
        Folder of the run for files of other programs that stand beside the records, such as a GSAS-II project; the
        pipeline makes it when it needs it.
    notes : tuple of str
        What every record says after its own notes.
    failures : list of ResultRecord
        Failed records that `guard` collected; the machinery stores them.
    traces : list of str
        Where the errors behind them arose.
    """

    pipeline: Pipeline
    recipe: PipelineRecipe
    software: Mapping[str, str]
    base: str = "series"
    progress: Progress = lambda done, total, message: None
    debug: bool = False
    attachments: Path | None = None
    notes: tuple[str, ...] = ()
    failures: list[ResultRecord] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)
    _hashes: dict[str, tuple[str, int]] = field(default_factory=dict, repr=False)
    _sharing: Sharing = field(default_factory=Sharing, repr=False)
    _named: dict[str, str] = field(default_factory=dict, repr=False)

    @cached_property
    def _identity(self) -> dict[str, Any]:
        """The recipe as it enters the record_id: the same for every record of the task."""
        return self.recipe.identity()

    def series_name(self, *parts: str) -> str:
        """Return a name for a series that no other recipe of the study uses: ``xps_b1s_li_rich_B_1s``.

        Parameters
        ----------
        *parts : str
            What tells the series of this recipe apart, e.g. the region. Where it is too long, holds other letters than
            English ones, or gives a name that another has, the name ends with a part of a hash.
        """
        whole = "_".join((self.base, *parts))
        name = re.sub(r"[^A-Za-z0-9.\-]+", "_", whole).strip("_.-")
        plain = name and len(name) <= LONGEST_NAME and whole.isascii() and whole.isprintable()
        if plain and self._named.setdefault(name, whole) == whole:
            return name
        return f"{name[: LONGEST_NAME - 9]}_{hashlib.sha256(whole.encode(errors='surrogateescape')).hexdigest()[:8]}"

    def record_id(self, inputs: Sequence[InputFile], method: str | None = None) -> str:
        """Return the record_id that `record` gives for these inputs and this method."""
        return make_record_id(
            self.pipeline.technique,
            method or self.pipeline.name,
            self.pipeline.version,
            [(item.sha256, item.selector) for item in inputs],
            self._identity,
        )

    def record(
        self, *, state: SampleState, inputs: Sequence[InputFile], method: str | None = None, **content: Any
    ) -> ResultRecord:
        """Return a record of this run: identity, recipe, versions and technique filled in.

        Parameters
        ----------
        state : SampleState
            What the record is about.
        inputs : sequence of InputFile
            What it rests on, see `layerscope.runs.levels`.
        method : str, optional
            Name of the analysis; the pipeline's name when not given.
        **content
            Further fields of the record: quantities, quality, alternatives, problem, notes, parents, ... Its status
            follows from the flags of its quality.
        """
        software = {**self.software, **content.pop("software", {})}
        quality: FitQuality | None = content.get("quality")
        content.setdefault("status", status_of(quality.flags if quality else (), self.pipeline.flags))
        content["notes"] = (*content.get("notes", ()), *self.notes)
        record = ResultRecord(
            record_id=self.record_id(inputs, method),
            technique=self.pipeline.technique,
            method=method or self.pipeline.name,
            method_version=self.pipeline.version,
            state=state,
            inputs=tuple(inputs),
            recipe=self.recipe.resolved_for(inputs),
            software=software,
            **content,
        )
        return self._sharing(record)

    def failed(
        self,
        error: Exception | Problem,
        *,
        state: SampleState | None = None,
        inputs: Sequence[InputFile] = (),
        method: str | None = None,
        **content: Any,
    ) -> ResultRecord:
        """Return the failed record of a part of this run; a source inside the data folder is named relative to it.

        Parameters
        ----------
        error : Exception or Problem
        state, inputs, method
            As far as they are known.
        **content
            What else is known: the quality of a fit that is refused. Yield such a record with the arrays of its fit.
        """
        problem = error if isinstance(error, Problem) else Problem.from_error(error)
        source = Path(problem.source) if problem.source else None
        if source is not None and source.is_absolute() and source.is_relative_to(self.recipe.folder.absolute()):
            relative = source.relative_to(self.recipe.folder.absolute()).as_posix()
            problem = problem.model_copy(update={"source": relative})
        return failed_record(
            problem,
            state or SampleState(sample=self.recipe.sample),
            technique=self.pipeline.technique,
            method=method or self.pipeline.name,
            method_version=self.pipeline.version,
            inputs=tuple(inputs),
            recipe=self.recipe.resolved_for(inputs),
            identity=self._identity,
            software=dict(self.software),
            **content,
        )

    def reject(
        self,
        error: Exception | Problem,
        *,
        state: SampleState | None = None,
        inputs: Sequence[InputFile] = (),
        method: str | None = None,
    ) -> None:
        """Keep the failed record of a part that cannot be used; see `failed`."""
        self.failures.append(self.failed(error, state=state, inputs=inputs, method=method))

    @contextmanager
    def guard(
        self, *, state: SampleState | None = None, inputs: Sequence[InputFile] = (), method: str | None = None
    ) -> Iterator[None]:
        """Turn an error in the block into a failed record, so that the rest of the recipe goes on.

        Parameters
        ----------
        state, inputs, method
            As far as they are known; they describe the failed record.
        """
        try:
            yield
        except Exception as error:
            if self.debug or isinstance(error, MemoryError):  # which is the whole task's
                raise
            self.traces.append(traceback.format_exc())
            self.reject(error, state=state, inputs=inputs, method=method)


def software_versions(*packages: str) -> dict[str, str]:
    """Return the versions of layerscope, Python, numpy, scipy and further packages, as records carry them.

    Parameters
    ----------
    *packages : str
        Names of further distributions; what is not installed is left out.
    """
    import platform

    versions = {"python": platform.python_version()}
    for package in ("layerscope", "numpy", "scipy", "lmfit", *packages):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def installed_pipelines() -> dict[str, EntryPoint]:
    """Return the entry points of every installed pipeline by name; nothing is imported."""
    return installed(ENTRY_POINT_GROUP)


def find_pipeline(name: str, pipelines: Mapping[str, Pipeline] | None = None) -> Pipeline:
    """Return the pipeline of this name.

    Parameters
    ----------
    name : str
        What the recipe asks for.
    pipelines : mapping, optional
        Pipelines that come before the installed ones.

    Raises
    ------
    RecipeError
        If there is none of this name.
    MissingDependencyError
        If it is installed but cannot be imported.
    """
    if pipelines and name in pipelines:
        return pipelines[name]
    points = installed_pipelines()
    known = sorted({*points, *(pipelines or {})})
    if name not in points:
        near = nearest(name, known)
        hint = f"did you mean {near!r}?" if near else f"installed: {', '.join(known) or 'none'}"
        raise RecipeError(f"pipeline {name!r} is not installed", source="pipeline", hint=hint)
    try:
        pipeline: Pipeline = points[name].load()
    except (ImportError, AttributeError) as error:
        raise MissingDependencyError(
            f"pipeline {name!r} cannot be imported: {error}", source=points[name].value, hint="see: layerscope doctor"
        ) from error
    missing = [part for part in _PARTS if not hasattr(pipeline, part)]
    if missing:
        raise MissingDependencyError(f"pipeline {name!r} has no {', '.join(missing)}", source=points[name].value)
    return pipeline


def pipeline_of(record: ResultRecord) -> str:
    """Return the name of the pipeline that made a record; two pipelines may share a technique."""
    return str(record.recipe.get("pipeline") or record.technique)
