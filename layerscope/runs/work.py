"""Doing tasks: one after the other, or in a pool of processes; an error becomes a failed record where it happens."""

from __future__ import annotations

import ctypes
import os
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from layerscope.errors import LayerscopeError, LimitError, WriteError
from layerscope.measured.files import fingerprint
from layerscope.records import ArrayRef, InputFile, Problem, ResultRecord, file_sha256
from layerscope.runs.pipeline import Pipeline, PipelineOutput, RunContext, find_pipeline
from layerscope.runs.plan import Task
from layerscope.runs.pool import each_ended
from layerscope.runs.recipe import LimitsTable, PipelineRecipe
from layerscope.runs.store import RunStore

__all__ = ["Following", "TaskResult", "do_task", "do_tasks"]

#: Arrays that every record of an output refers to; the rest of the series is in the same file.
_REFERRED = ("axis", "levels", "counts", "counts_sigma", "fit", "background", "residual")

MANY_RECORDS = 1000  # of a task after which memory is given back
COMPILED = "LAYERSCOPE_COMPILED"  # see `layerscope.fitting.kernels`, which a task of another kind need not load

TaskProgress = Callable[[str, int, int, str], None]


@dataclass(frozen=True)
class TaskResult:
    """What a task left in the run folder.

    Attributes
    ----------
    records : tuple of str
        Ids of all its records.
    failed : tuple of str
        Ids of those that failed.
    arrays : mapping of str to str
        Array files relative to the run folder, with the SHA-256 of each.
    changed : bool
        Whether any file changed.
    message : str
        First problem; empty when there was none.
    trace : str
        Where errors arose, for ``debug.log``.
    cpu_s : float
        What it took (s).
    """

    records: tuple[str, ...]
    failed: tuple[str, ...]
    arrays: Mapping[str, str]
    changed: bool
    message: str = ""
    trace: str = ""
    cpu_s: float = 0.0


class _Collector:
    """Writes what a task yields, and keeps count."""

    def __init__(self, store: RunStore, pipeline: Pipeline) -> None:
        self.store = store
        self.pipeline = pipeline
        self.failed: dict[str, str | None] = {}  # by the id of each record, which the store holds
        self.arrays: dict[str, str] = {}
        self.references: dict[str, dict[str, ArrayRef]] = {}  # to the arrays of each name
        self.changed = False

    def add_output(self, output: PipelineOutput) -> None:
        for series in output.arrays.values():
            file = self.store.series_file(series)
            before = file_sha256(file) if file.is_file() else None
            self.references[series.name] = dict(self.store.write_series(series, self.pipeline.nexus_layout()))
            after = file_sha256(file)
            relative = file.relative_to(self.store.folder).as_posix()
            if relative in self.arrays:
                raise LayerscopeError("the series is given twice", source=series.name)
            self.arrays[relative] = after
            self.changed |= before != after
        referred = tuple(
            reference
            for name in (*(series.name for series in output.arrays.values()), *output.rests_on)
            for key, reference in self.references[name].items()
            if key in _REFERRED or key.startswith(("component:", "grid:"))
        )
        for record in output.records:
            # of failed records those that rest on a fit: its curves say why it was refused
            rests = record.status != "failed" or record.quality is not None
            needs_arrays = referred and not record.arrays and rests
            self.add_record(record.model_copy(update={"arrays": referred}) if needs_arrays else record)

    def add_record(self, record: ResultRecord) -> None:
        known = record.record_id in self.failed
        if known and record.status == "failed":
            return  # the same failure, told twice
        if known and self.store.read_record(record.record_id).content_json() != record.content_json():
            raise LayerscopeError(
                f"two different records have the id {record.record_id[:12]}...",
                source=f"{record.technique}/{record.method}",
                hint="give their inputs different selectors, or the records different methods",
            )
        self.changed |= self.store.write_record(record)
        problem = record.problem.message if record.problem else ""
        self.failed[record.record_id] = problem if record.status == "failed" else None

    def result(self) -> TaskResult:
        failed = {record: message for record, message in self.failed.items() if message is not None}
        return TaskResult(tuple(self.failed), tuple(failed), self.arrays, self.changed, next(iter(failed.values()), ""))


def do_task(
    task: Task,
    store: RunStore,
    software: Mapping[str, str],
    *,
    progress: TaskProgress | None = None,
    debug: bool = False,
) -> TaskResult:
    """Run one task and store what it gives.

    Parameters
    ----------
    task : Task
        What to do.
    store : RunStore
        Where the records and arrays go.
    software : mapping of str
        Versions for the records.
    progress : callable, optional
        ``progress(label, done, total, message)``.
    debug : bool, optional
        Let errors through.

    Returns
    -------
    TaskResult
        An error of the pipeline is a failed record in it; what was yielded before it stays.

    Raises
    ------
    WriteError
        If the run folder cannot be written.
    """
    report = progress or (lambda label, done, total, message: None)
    context = RunContext(
        pipeline=task.pipeline,
        recipe=task.recipe,
        software=software,
        base=task.base,
        progress=lambda done, total, message: report(task.label, done, total, message),
        debug=debug,
        attachments=store.folder / "attachments" / task.base,
    )
    collector, begun = _Collector(store, task.pipeline), time.process_time()
    try:
        with _small_fits_by_numpy():
            for output in task.pipeline.run(task.recipe, context):
                collector.add_output(output)
                del output  # its records and arrays are written: they need not fill the memory during the next
    except WriteError:  # a full disk is no fault of the data: the run stops, and can be resumed
        raise
    except Exception as error:
        if debug:
            raise
        context.traces.append(traceback.format_exc())
        told = _too_large(task) if isinstance(error, MemoryError) else error
        collector.add_record(context.failed(told, inputs=readable_inputs(task.recipe)))
    for record in context.failures:
        collector.add_record(record)
    if len(collector.failed) > MANY_RECORDS:
        _give_back_memory()
    return replace(collector.result(), trace="\n".join(context.traces), cpu_s=time.process_time() - begun)


def _give_back_memory() -> None:
    """Return to the system what the C library keeps of a large task: table and report come after it."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # other C libraries than glibc have no such function
            ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def _small_fits_by_numpy() -> Iterator[None]:
    """Let small fits of a task not load compiled loops, which it does not earn back; what the user has set stands."""
    given = os.environ.get(COMPILED)
    os.environ.setdefault(COMPILED, "0")
    try:
        yield
    finally:
        if given is None:
            del os.environ[COMPILED]


def _too_large(task: Task) -> LimitError:
    allowed = (task.limits or LimitsTable()).bounds().memory_MB
    return LimitError(
        "needs more memory than there is" if allowed is None else f"needs more than the {allowed:.0f} MB it may take",
        hint="raise limits.memory_MB in the recipe or study, and run with --retry-quarantined",
    )


def readable_inputs(recipe: PipelineRecipe) -> tuple[InputFile, ...]:
    """Return the inputs of a recipe that can be hashed, for the failed record of the whole recipe."""
    found = []
    for path in recipe.input_paths():
        try:
            sha256, size = fingerprint(recipe.resolve(path))
            found.append(InputFile(path=path, sha256=sha256, size=size, reader="none", reader_version="0"))
        except (LayerscopeError, OSError):
            continue
    return tuple(found)


class Following(Protocol):
    """What can be done with the results of tasks while others still run, in the same processes."""

    def after(self, task: Task, result: TaskResult) -> Sequence[Callable[[], Any]]:
        """Return what can be done now that a task has ended."""

    def take(self, piece: Callable[[], Any], answer: Any) -> None:
        """Take what came of a piece of it: an error where it failed."""


@dataclass(frozen=True)
class _Parcel:
    """A task as it travels to another process: an installed pipeline travels as its name."""

    label: str
    base: str
    name: str
    given: Pipeline | None
    recipe: PipelineRecipe
    folder: Path
    software: Mapping[str, str]
    sync: bool


def _do_piece(piece: _Parcel | Callable[[], Any]) -> Any:
    return _do_parcel(piece) if isinstance(piece, _Parcel) else piece()


def _do_parcel(parcel: _Parcel) -> TaskResult:
    pipeline = parcel.given or find_pipeline(parcel.name)
    store = RunStore(parcel.folder, sync=parcel.sync)
    return do_task(Task(parcel.label, parcel.base, pipeline, parcel.recipe), store, parcel.software)


def do_tasks(
    tasks: Sequence[Task],
    store: RunStore,
    software: Mapping[str, str],
    *,
    jobs: int = 1,
    progress: TaskProgress | None = None,
    debug: bool = False,
    given: Mapping[str, Pipeline] | None = None,
    heartbeat: Callable[[], None] | None = None,
    scheduler: str | None = None,
    following: Following | None = None,
) -> Generator[tuple[Task, TaskResult], None, None]:
    """Run tasks and yield each with its result as it ends; in several processes the longest begin first.

    Parameters
    ----------
    tasks : sequence of Task
        What to do.
    store : RunStore
        Where it goes.
    software : mapping of str
        Versions for the records.
    jobs : int, optional
        Processes; 1 works in this one, unless a task has limits.
    progress : callable, optional
        Called inside this process only.
    debug : bool, optional
        Let errors through; implies one process.
    given : mapping, optional
        Pipelines that are not installed and must travel with the task.
    heartbeat : callable, optional
        Called now and then while processes work and nothing ends.
    scheduler : str, optional
        Cluster that does the tasks instead of processes of this one, see `layerscope.runs.cluster`.
    following : Following, optional
        What processes of this machine do with results while other tasks still run.
    """
    in_here = min(jobs, len(tasks)) <= 1 and all(task.limits is None for task in tasks)
    if debug or (scheduler is None and in_here):
        for task in tasks:
            yield task, do_task(task, store, software, progress=progress, debug=debug)
        return
    tasks = sorted(tasks, key=Task.cost, reverse=True)
    parcels: list[Any] = [
        _Parcel(
            task.label,
            task.base,
            task.pipeline.name,
            (given or {}).get(task.pipeline.name),
            task.recipe.located(task.recipe.folder.absolute()),
            store.folder.resolve(),
            software,
            store.sync or scheduler is not None,  # another computer's files can be flushed there alone
        )
        for task in tasks
    ]
    ended: Generator[tuple[int, TaskResult | BaseException], None, None]
    if scheduler is None:
        limits = [(task.limits or LimitsTable()).bounds() for task in tasks]
        ended = each_ended(_do_piece, parcels, min(jobs, len(tasks)), limits=limits, heartbeat=heartbeat)
    else:
        from layerscope.runs.cluster import each_ended_on

        stated = [None if task.limits is None else task.limits.bounds() for task in tasks]
        ended = each_ended_on(scheduler, _do_parcel, parcels, jobs, limits=stated, heartbeat=heartbeat)
    with closing(ended):  # an error that is on its way up holds it: its processes would never end
        for number, answer in ended:
            if isinstance(answer, WriteError):
                raise answer
            if number >= len(tasks):
                assert following is not None  # noqa: S101 - who else asked for it?
                following.take(parcels[number], answer)
                continue
            task = tasks[number]
            if isinstance(answer, BaseException):
                answer = _failed_in_pool(task, store, software, answer)
            yield task, answer
            if following is not None and scheduler is None:
                parcels += following.after(task, answer)


def _failed_in_pool(task: Task, store: RunStore, software: Mapping[str, str], error: BaseException) -> TaskResult:
    context = RunContext(pipeline=task.pipeline, recipe=task.recipe, software=software)
    if isinstance(error, BrokenExecutor):
        problem = Problem(kind="internal", message="the process that worked on it died", hint="too little memory?")
    else:
        problem = Problem.from_error(error if isinstance(error, Exception) else RuntimeError(str(error)))
    collector = _Collector(store, task.pipeline)
    collector.add_record(context.failed(problem, inputs=readable_inputs(task.recipe)))
    return collector.result()
