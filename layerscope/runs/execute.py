"""Running a recipe or a study into a folder: look up what is done, do the rest, rebuild the table, draw the figures."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layerscope import __version__
from layerscope.errors import LayerscopeError, StoreError
from layerscope.records import ResultRecord, canonical_json, file_sha256
from layerscope.records.model import now_iso
from layerscope.runs.ledger import Job, Ledger
from layerscope.runs.load import Run, load_run
from layerscope.runs.pipeline import Pipeline, find_pipeline, software_versions
from layerscope.runs.plan import Plan, Task, make_plan
from layerscope.runs.present import pipeline_of
from layerscope.runs.store import RunStore
from layerscope.runs.table import write_table
from layerscope.runs.work import TaskResult, do_tasks

__all__ = ["ExitCode", "ProgressEvent", "RunSummary", "draw_figures", "execute", "redraw"]

_STALE_AFTER_S = 3600


class ExitCode:
    """What the command line returns."""

    OK = 0
    USAGE = 1
    QUARANTINED = 2
    NOTHING = 3


@dataclass(frozen=True)
class ProgressEvent:
    """A sign of life.

    Attributes
    ----------
    label : str
        Task, or step at the end.
    done, total : int
        Work done and in all, inside the task; 0 and 0 when unknown.
    message : str
        What is being done.
    tasks_done, tasks_total : int
        Tasks that ended, and all of them.
    """

    label: str
    done: int
    total: int
    message: str
    tasks_done: int
    tasks_total: int


Reporter = Callable[[ProgressEvent], None]


@dataclass(frozen=True)
class RunSummary:
    """How a run ended.

    Attributes
    ----------
    folder : Path
        The run folder.
    run : Run
        Its records.
    done, reused : int
        Tasks that were done now, and that were found done.
    changed : bool
        Whether any record or array changed.
    warnings : tuple of str
        What went wrong without spoiling a record, such as a figure.
    """

    folder: Path
    run: Run
    done: int
    reused: int
    changed: bool
    warnings: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[ResultRecord, ...]:
        """Records of what could not be done."""
        return self.run.failed

    @property
    def exit_code(self) -> int:
        """0 all ok, 1 nothing but recipe errors, 2 some quarantined, 3 nothing could be processed."""
        failed = self.failed
        if len(failed) < len(self.run.records):
            return ExitCode.QUARANTINED if failed else ExitCode.OK
        if failed and all(record.problem is not None and record.problem.kind == "recipe" for record in failed):
            return ExitCode.USAGE
        return ExitCode.NOTHING


@dataclass
class _Tally:
    """What has been gathered so far."""

    records: list[str] = field(default_factory=list)
    arrays: dict[str, str] = field(default_factory=dict)
    done: int = 0
    reused: int = 0
    changed: bool = False

    def add(self, label: str, records: Sequence[str], arrays: Mapping[str, str]) -> None:
        for file in arrays:
            if file in self.arrays:
                raise StoreError(
                    f"{file} is written by two tasks", source=label, hint="the pipeline must name its series apart"
                )
        self.records += records
        self.arrays |= arrays


def execute(
    recipe: Path | str,
    out: Path | str,
    *,
    data: Path | None = None,
    jobs: int = 1,
    figures: bool = True,
    progress: Reporter | None = None,
    pipelines: Mapping[str, Pipeline] | None = None,
    debug: bool = False,
) -> RunSummary:
    """Run a recipe or a study into a folder.

    A task whose recipe, inputs and versions are those of an earlier, successful run is not repeated; files that would
    not change keep their bytes. Whatever fails becomes a failed record, and the rest is done.

    Parameters
    ----------
    recipe : Path or str
        The TOML file.
    out : Path or str
        The run folder: missing, empty, or of an earlier run of the same recipe.
    data : Path, optional
        Folder of the input files, instead of the recipe's own.
    jobs : int, optional
        Number of processes.
    figures : bool, optional
        Whether to draw the figures.
    progress : callable, optional
        Called with a `ProgressEvent`, in this process.
    pipelines : mapping, optional
        Pipelines that come before the installed ones.
    debug : bool, optional
        Let the first error through.

    Returns
    -------
    RunSummary
        With the exit code.

    Raises
    ------
    RecipeError
        If the recipe cannot be used.
    StoreError
        If the folder cannot be used.
    """
    plan = make_plan(Path(recipe), data=data, pipelines=pipelines)
    store = RunStore.create(Path(out), plan.label)
    _remove_stale(store)
    before = store.read_info()
    tally = _Tally()
    software = software_versions()
    for refused in plan.refused:
        record = refused.record(software)
        tally.changed |= store.write_record(record)
        tally.add(refused.label, [record.record_id], {})
    _do_all(plan, store, tally, software, jobs=jobs, progress=progress, pipelines=pipelines, debug=debug)
    tally.changed |= bool(store.supersede(tally.records))
    records = store.read_records()
    store.write_quarantine(records)
    write_table(records, store.table_file)
    info = {**_run_info(plan, store, tally, records, before), **_kept_figures(before)}
    if figures and not _figures_are_current(store, info):
        _tell(progress, ProgressEvent("figures", 0, 0, "drawing", len(plan.tasks), len(plan.tasks)))
        run = Run(store.folder, tuple(records), info)
        info |= draw_figures(store, run, plan_pipelines(plan), debug=debug)
    store.write_info(info)
    return RunSummary(
        folder=store.folder,
        run=Run(store.folder, tuple(records), info),
        done=tally.done,
        reused=tally.reused,
        changed=tally.changed,
        warnings=tuple(info["warnings"]),
    )


def plan_pipelines(plan: Plan) -> dict[str, Pipeline]:
    """Return the pipelines of a plan by name."""
    return {planned.pipeline.name: planned.pipeline for planned in plan.recipes}


def _do_all(
    plan: Plan,
    store: RunStore,
    tally: _Tally,
    software: dict[str, str],
    *,
    jobs: int,
    progress: Reporter | None,
    pipelines: Mapping[str, Pipeline] | None,
    debug: bool,
) -> None:
    ledger = Ledger(store.ledger_file)
    known = {job.job_id: job for job in ledger.jobs()}
    identities: dict[int, str] = {}
    waiting: list[Task] = []
    for task in plan.tasks:
        job_id = task.job_id()
        job = known.get(job_id) if job_id is not None else None
        if job is not None and _is_done(job, store):
            tally.add(task.label, job.records, job.arrays)
            tally.reused += 1
            continue
        waiting.append(task)
        if job_id is not None:
            identities[id(task)] = job_id
            ledger.start(job_id, task.label, now_iso())
    if waiting:
        store.write_info({**store.read_info(), "recipe": plan.label, "title": plan.title, "status": "running"})
    total = len(plan.tasks)

    def inner(label: str, done: int, of: int, message: str) -> None:
        _tell(progress, ProgressEvent(label, done, of, message, tally.done + tally.reused, total))

    if waiting:
        inner(waiting[0].label, 0, 0, "starting")
    for task, result in do_tasks(waiting, store, software, jobs=jobs, progress=inner, debug=debug, given=pipelines):
        _note(ledger, identities.get(id(task)), result)
        tally.done += 1
        tally.changed |= result.changed
        tally.add(task.label, result.records, result.arrays)
        inner(task.label, 1, 1, "failed" if result.failed else "done")


def _note(ledger: Ledger, job_id: str | None, result: TaskResult) -> None:
    if job_id is not None:
        ledger.finish(
            job_id,
            failed=bool(result.failed),
            now=now_iso(),
            records=result.records,
            arrays=result.arrays,
            message=result.message,
        )


def _is_done(job: Job, store: RunStore) -> bool:
    """Tell whether a job was done and everything it left is still there and unharmed."""
    if job.state != "done" or not job.records:
        return False
    try:
        for record_id in job.records:
            store.read_record(record_id)
        return all(file_sha256(store.folder / file) == sha256 for file, sha256 in job.arrays.items())
    except LayerscopeError:
        return False


def _kept_figures(before: Mapping[str, Any]) -> dict[str, Any]:
    return {"figures": {}, "figures_of": "", "warnings": []} | {
        key: before[key] for key in ("figures", "figures_of", "warnings") if key in before
    }


def _figures_key(info: Mapping[str, Any]) -> str:
    """Return a hash of all that the figures are drawn from."""
    drawn_from = {key: info[key] for key in ("layerscope", "pipelines", "records", "arrays")}
    return hashlib.sha256(canonical_json(drawn_from).encode()).hexdigest()


def _figures_are_current(store: RunStore, info: Mapping[str, Any]) -> bool:
    if info["figures_of"] != _figures_key(info) or info["warnings"]:
        return False
    try:
        return all(file_sha256(store.folder / file) == sha256 for file, sha256 in info["figures"].items())
    except LayerscopeError:
        return False


def _remove_stale(store: RunStore) -> None:
    for path in store.stale_temporaries():
        if time.time() - path.stat().st_mtime > _STALE_AFTER_S:
            path.unlink(missing_ok=True)


def _tell(progress: Reporter | None, event: ProgressEvent) -> None:
    if progress is not None:
        progress(event)


def _run_info(
    plan: Plan, store: RunStore, tally: _Tally, records: Sequence[ResultRecord], before: Mapping[str, Any]
) -> dict[str, Any]:
    statuses = [record.status for record in records]
    return {
        "format": "layerscope-run",
        "format_version": 1,
        "layerscope": __version__,
        "recipe": plan.label,
        "title": plan.title,
        "status": "finished",
        "created": before.get("created") or now_iso(),
        "recipes": [planned.label for planned in plan.recipes] + [refused.label for refused in plan.refused],
        "pipelines": {
            name: {"version": pipeline.version, "technique": pipeline.technique}
            for name, pipeline in plan_pipelines(plan).items()
        },
        "counts": {"records": len(records), **{key: statuses.count(key) for key in ("ok", "warning", "failed")}},
        "records": {record.record_id: file_sha256(store.record_path(record.record_id)) for record in records},
        "arrays": dict(sorted(tally.arrays.items())),
    }


def draw_figures(
    store: RunStore, run: Run, pipelines: Mapping[str, Pipeline], *, debug: bool = False
) -> dict[str, Any]:
    """Let each pipeline draw its figures into ``figures/``.

    Parameters
    ----------
    store : RunStore
        The run folder.
    run : Run
        Its records.
    pipelines : mapping
        Pipelines by name.
    debug : bool, optional
        Let errors through.

    Returns
    -------
    dict
        Entries of ``run.json``: ``figures`` (SHA-256 of each file), ``figures_of`` (what they were drawn from) and
        ``warnings`` (what went wrong: a figure that fails spoils no record).
    """
    drawn: dict[str, str] = {}
    warnings: list[str] = []
    for name, pipeline in sorted(pipelines.items()):
        chosen = run.select(
            lambda record, name=name: record.status != "failed" and pipeline_of(record) == name,  # type: ignore[misc]
            technique=pipeline.technique,
        )
        if not chosen.records:
            continue
        try:
            store.figures_folder.mkdir(exist_ok=True)
            for file in pipeline.figures(chosen, store.figures_folder):
                drawn[Path(file).relative_to(store.folder).as_posix()] = file_sha256(Path(file))
        except Exception as error:
            if debug:
                raise
            warnings.append(f"figures of pipeline {name!r}: {type(error).__name__}: {error}")
    return {"figures": dict(sorted(drawn.items())), "figures_of": _figures_key(run.info), "warnings": warnings}


def redraw(folder: Path, *, debug: bool = False) -> tuple[Run, tuple[str, ...]]:
    """Draw the figures of a finished run again.

    Parameters
    ----------
    folder : Path
        The run folder.
    debug : bool, optional
        Let errors through.

    Returns
    -------
    Run, tuple of str
        The run with its new figures, and what went wrong.

    Raises
    ------
    StoreError
        If the folder is no finished run.
    RecipeError, MissingDependencyError
        If a pipeline of the run is not installed.
    """
    store = RunStore.open(folder)
    run = load_run(folder)
    if run.info.get("status") != "finished":
        raise StoreError("the run was not finished", source=folder, hint="run the recipe again")
    pipelines = {name: find_pipeline(name) for name in run.info["pipelines"]}
    info = {**run.info, **draw_figures(store, run, pipelines, debug=debug)}
    store.write_info(info)
    return Run(store.folder, run.records, info), tuple(info["warnings"])
