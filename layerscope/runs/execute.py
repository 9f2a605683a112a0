"""Running a recipe or a study into a folder: look up what is done, do the rest, rebuild the table, draw the figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any

from layerscope.errors import LayerscopeError, StoreError
from layerscope.measured.files import sync_folder
from layerscope.records import ResultRecord, file_sha256
from layerscope.records.model import now_iso
from layerscope.report.write import report_entries
from layerscope.runs.drawing import EarlyFigures, draw_figures, figures_are_current, kept_figures
from layerscope.runs.ledger import Ended, Job, Ledger
from layerscope.runs.load import Run
from layerscope.runs.log import RunLog
from layerscope.runs.outcome import ProgressEvent, Reporter, RunSummary
from layerscope.runs.pipeline import Pipeline, software_versions
from layerscope.runs.plan import Plan, Task, make_plan
from layerscope.runs.recipe import PipelineRecipe
from layerscope.runs.store import RunStore
from layerscope.runs.summary import sorted_records
from layerscope.runs.table import write_table
from layerscope.runs.work import TaskResult, do_tasks
from layerscope.version import __version__

__all__ = ["execute"]

BATCH_S = 0.5  # of ended tasks that are noted in the ledger together


def execute(
    recipe: Path | str | PipelineRecipe,
    out: Path | str,
    *,
    data: Path | None = None,
    jobs: int = 1,
    figures: bool = True,
    progress: Reporter | None = None,
    pipelines: Mapping[str, Pipeline] | None = None,
    debug: bool = False,
    retry_quarantined: bool = True,
    log: bool = False,
    scheduler: str | None = None,
) -> RunSummary:
    """Run a recipe or a study into a folder.

    A task whose recipe, inputs and versions are those of an earlier, successful run is not repeated; files that would
    not change keep their bytes. Whatever fails becomes a failed record, and the rest is done. A run that was stopped,
    by whatever and wherever, goes on from there when it is run again.

    Parameters
    ----------
    recipe : Path, str or PipelineRecipe
        The TOML file, or a recipe that was made in Python.
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
    retry_quarantined : bool, optional
        Whether tasks that failed before are tried again although nothing changed. One that missed a library always is.
    log : bool, optional
        Whether to add what is done to ``user.log`` and ``debug.log`` in the folder.
    scheduler : str, optional
        Address of a Dask scheduler that does the tasks, or ``local`` for one with `jobs` workers on this machine.

    Returns
    -------
    RunSummary
        With the exit code.

    Raises
    ------
    RecipeError
        If the recipe cannot be used.
    StoreError
        If the folder cannot be used, or another process writes to it.
    WriteError
        If the disk is full, or a file cannot be written for another reason.
    """
    plan = make_plan(recipe, data=data, pipelines=pipelines)
    with RunStore.writing(Path(out), plan.label) as store:
        execution = _Execution(plan, store, progress, RunLog(store.folder if log else None))
        execution.note_refused()
        waiting = execution.look_up(retry_quarantined)
        with execution.log:
            if figures and jobs > 1 and not debug and scheduler is None:
                execution.draw_early(waiting, jobs, pipelines or {})
            execution.do(waiting, jobs=jobs, pipelines=pipelines, debug=debug, scheduler=scheduler)
            return execution.finish(figures=figures, jobs=jobs, debug=debug)


class _Execution:
    """One run of a plan into a folder that is held for it, and what has been gathered so far."""

    def __init__(self, plan: Plan, store: RunStore, progress: Reporter | None, log: RunLog) -> None:
        self.plan, self.store, self.progress = plan, store, progress
        self.before = store.read_info()
        self.software = software_versions()
        self.ledger = Ledger(store.ledger_file)
        self.job_ids: dict[int, str] = {}  # of each task, by its place in the plan
        self.records: dict[str, ResultRecord | None] = {}  # None: written by this run, not read yet
        self.arrays: dict[str, str] = {}
        self.done = self.reused = self.failed = 0
        self.changed = False
        self.log = log
        self.ended: list[Ended] = []  # and not in the ledger yet
        self.unsettled: list[TaskResult] = []  # whose files may not be on the disk yet
        self.settler = ThreadPoolExecutor(1)
        self.settling: tuple[Future[None], list[Ended]] | None = None  # what is being brought there
        self.noted = monotonic()
        self.early: EarlyFigures | None = None

    def note_refused(self) -> None:
        """Write the failed records of recipes that cannot be used."""
        for refused in self.plan.refused:
            record = refused.record(self.software)
            self.changed |= self.store.write_record(record)
            self._add(refused.label, [record.record_id], {})

    def look_up(self, retry_quarantined: bool) -> list[int]:
        """Take over what an earlier run did, and return the places of the tasks that wait to be done."""
        known = {job.job_id: job for job in self.ledger.jobs()}
        waiting = []
        for place, task in enumerate(self.plan.tasks):
            job_id = task.job_id()
            if job_id is not None:
                self.job_ids[place] = job_id
            job = known.get(self.job_ids.get(place, ""))
            records = None if job is None else _whole(job, self.store, retry_quarantined)
            if job is None or records is None:
                waiting.append(place)
            else:
                self._add(task.label, job.records, job.arrays)
                self.records |= {record.record_id: record for record in records}
                self.reused += 1
                self.failed += job.state == "failed"
        return waiting

    def draw_early(self, waiting: Sequence[int], jobs: int, given: Mapping[str, Pipeline]) -> None:
        """Let the figures of a pipeline be drawn when its last task has ended, while tasks of others run."""
        tasks = [self.plan.tasks[place] for place in waiting]
        if not any(task.pipeline.name in given for task in tasks):
            found = [record for record in self.records.values() if record is not None]
            self.early = EarlyFigures(self.store, tasks, found, self.plan.figures, jobs)

    def do(
        self,
        waiting: Sequence[int],
        *,
        jobs: int,
        pipelines: Mapping[str, Pipeline] | None,
        debug: bool,
        scheduler: str | None = None,
    ) -> None:
        """Do the tasks at these places, and note each in the ledger when it is done."""
        if not waiting:
            return
        self.store.write_info({**self.before, "recipe": self.plan.label, "title": self.plan.title, "status": "running"})
        tasks = [self.plan.tasks[place] for place in waiting]
        places = {id(task): place for task, place in zip(tasks, waiting, strict=True)}
        self.log.say(
            f"layerscope {__version__}: {self.plan.label}: {len(tasks)} tasks to do, {self.reused} found done,"
            f" {jobs} process{'es' * (jobs != 1)}"
        )
        self.log.note(" ".join(f"{name} {number}" for name, number in self.software.items()))
        with self.ledger:
            self.ledger.start(
                {self.job_ids[k]: self.plan.tasks[k].label for k in waiting if k in self.job_ids}, now_iso()
            )
            self._tell(tasks[0].label, 0, 0, "starting")
            self.store.sync = False  # the files of tasks that end together are flushed together, see `_flush`
            results = do_tasks(
                tasks,
                self.store,
                self.software,
                jobs=jobs,
                progress=self._tell,
                debug=debug,
                given=pipelines,
                heartbeat=self._flush,
                scheduler=scheduler,
                following=self.early,
            )
            # closed whatever happens here: processes that wait for more would keep this one from ending
            with closing(results):
                try:
                    for task, result in results:
                        self._note(task, self.job_ids.get(places[id(task)]), result)
                finally:
                    self.store.sync = True
                    with self.settler:
                        self._note_settled()
                    self.store.settle(*self._files_left())
                    self.ledger.finish_all(self.ended)

    def _flush(self) -> None:
        """Bring to the disk what ended since the last time, while work goes on; note in the ledger what is there."""
        if self.settling is not None and not self.settling[0].done():
            return
        self._note_settled()
        if self.unsettled:
            self.settling = (self.settler.submit(self.store.settle, *self._files_left()), self.ended)
        self.ended, self.noted = [], monotonic()

    def _files_left(self) -> tuple[list[str], list[str]]:
        """Return the records and files of arrays that nobody brings to the disk yet."""
        results, self.unsettled = self.unsettled, []
        return [key for one in results for key in one.records], [file for one in results for file in one.arrays]

    def _note_settled(self) -> None:
        """Note in the ledger what was being brought to the disk, once it is there."""
        if self.settling is not None:
            (brought, ended), self.settling = self.settling, None
            brought.result()
            self.ledger.finish_all(ended)

    def _note(self, task: Task, job_id: str | None, result: TaskResult) -> None:
        failed = bool(result.failed)
        self.unsettled.append(result)
        if job_id is not None:
            # a killed run does again what ended since: no more than ended within a moment
            self.ended.append(Ended(job_id, failed, now_iso(), result.records, result.arrays, result.message))
        if monotonic() - self.noted > BATCH_S:
            self._flush()
        self.done += 1
        self.failed += failed
        self.log.note(f"{task.label}: {result.cpu_s:.2f} CPU-s, {len(result.records)} records\n{result.trace}".rstrip())
        if failed:
            self.log.say(f"{task.label}: quarantined: {result.message}")
        self.changed |= result.changed
        self._add(task.label, result.records, result.arrays)
        self._tell(task.label, 1, 1, "failed" if failed else "done")

    def finish(self, *, figures: bool, jobs: int, debug: bool) -> RunSummary:
        """Put aside what is not of this run, write all that is made from the records, and draw the figures."""
        store = self.store
        self.changed |= bool(store.supersede(self.records))
        # each record that was gathered must be there: nothing is left out without a word
        records = sorted_records(found or store.read_record(key) for key, found in self.records.items())
        store.write_quarantine(records)
        write_table(records, store.table_file)
        info = {**self._info(records), **kept_figures(self.before)}
        run = Run(store.folder, tuple(records), info)
        if figures and not figures_are_current(store, info):
            self._tell("figures", 0, 0, "drawing")
            pipelines = {planned.pipeline.name: planned.pipeline for planned in self.plan.recipes}
            info |= draw_figures(store, run, pipelines, jobs=jobs, debug=debug, early=self.early)
        self._tell("report", 0, 0, "writing")
        told, warnings = report_entries(Run(store.folder, run.records, info), self.before, debug=debug)
        if store.write_info(info | told):
            for folder in (store.records_folder, store.arrays_folder, store.figures_folder, store.folder):
                sync_folder(folder)
        run = Run(store.folder, run.records, info | told)
        return RunSummary(store.folder, run, self.done, self.reused, self.changed, (*info["warnings"], *warnings))

    def _info(self, records: Sequence[ResultRecord]) -> dict[str, Any]:
        plan, statuses = self.plan, [record.status for record in records]
        pipelines = [planned.pipeline for planned in plan.recipes]
        return {
            "layerscope": __version__,
            "recipe": plan.label,
            "title": plan.title,
            **({"story": plan.story.model_dump(mode="json")} if plan.story.samples else {}),
            "status": "finished",
            "created": self.before.get("created") or now_iso(),
            "recipes": [planned.label for planned in plan.recipes] + [refused.label for refused in plan.refused],
            "pipelines": {one.name: {"version": one.version, "technique": one.technique} for one in pipelines},
            "counts": {"records": len(records), **{key: statuses.count(key) for key in ("ok", "warning", "failed")}},
            "records": {one.record_id: file_sha256(self.store.record_path(one.record_id)) for one in records},
            "arrays": dict(sorted(self.arrays.items())),
            "tables": {file.name: file_sha256(file) for file in (self.store.table_file, self.store.quarantine_file)},
            "figure_options": plan.figures.model_dump(mode="json"),
        }

    def _add(self, label: str, records: Iterable[str], arrays: Mapping[str, str]) -> None:
        for file in arrays:
            if file in self.arrays:
                raise StoreError(
                    f"{file} is written by two tasks", source=label, hint="the pipeline must name its series apart"
                )
        self.records |= dict.fromkeys(records)
        self.arrays |= arrays

    def _tell(self, label: str, done: int, total: int, message: str) -> None:
        if self.progress is not None:
            tasks = len(self.plan.tasks)
            ended = self.done + self.reused
            self.progress(ProgressEvent(label, done, total, message, ended, tasks, self.failed, self.reused))


def _whole(job: Job, store: RunStore, retry_quarantined: bool) -> list[ResultRecord] | None:
    """Return the records of a job that ended, if everything that it left is still there and unharmed.

    One that failed counts as ended only where it is not to be tried again, and did not miss a library.
    """
    if job.state == "running" or not job.records or (job.state == "failed" and retry_quarantined):
        return None
    try:
        records = [store.read_record(record_id) for record_id in job.records]
        whole = all(file_sha256(store.folder / file) == sha256 for file, sha256 in job.arrays.items())
    except LayerscopeError:
        return None
    missed = any(record.problem is not None and record.problem.kind == "dependency" for record in records)
    return records if whole and not missed else None
