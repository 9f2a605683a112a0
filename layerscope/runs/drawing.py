"""The figures of a run: drawn by its pipelines, kept as long as what they are drawn from does not change."""

from __future__ import annotations

import gc
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias
from warnings import catch_warnings, filterwarnings, warn_explicit

from layerscope.errors import LayerscopeError, StoreError, WriteError
from layerscope.figures import Drawing, FigureOptions, saved_as
from layerscope.measured.files import writing
from layerscope.records import ResultRecord, canonical_json, file_sha256
from layerscope.runs.load import Run, load_run
from layerscope.runs.lock import hold
from layerscope.runs.pipeline import Pipeline, find_pipeline, installed_pipelines, pipeline_of
from layerscope.runs.plan import Task
from layerscope.runs.pool import each_ended
from layerscope.runs.store import RunStore
from layerscope.runs.summary import sorted_records
from layerscope.runs.work import TaskResult

__all__ = ["EarlyFigures", "draw_figures", "figures_are_current", "kept_figures", "redraw"]


MOST_KEPT = 4
"""Pipelines of a run whose drawings a process keeps for its next share of them."""
NEW_OBJECTS = 50_000
"""Objects that come up before a search for garbage."""
_GLYPH, _NO_ROOM = r"Glyph (\d+) .*missing from", "constrained_layout not applied"
_OF_PIPELINE = " of pipeline "  # stands in what is said of a figure that failed


def kept_figures(before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``run.json`` said of figures before this run."""
    return {"figures": {}, "figures_of": "", "warnings": []} | {
        key: before[key] for key in ("figures", "figures_of", "warnings") if key in before
    }


def _figures_key(info: Mapping[str, Any]) -> str:
    """Return a hash of all that the figures are drawn from, and of how they are saved."""
    drawn_from = {key: info[key] for key in ("layerscope", "pipelines", "records", "arrays")}
    drawn_from |= {"saved_as": info.get("figure_options", {})}
    return hashlib.sha256(canonical_json(drawn_from).encode()).hexdigest()


def figures_are_current(store: RunStore, info: Mapping[str, Any]) -> bool:
    """Tell whether the figures are there, unharmed, and drawn from what the run holds now."""
    if info["figures_of"] != _figures_key(info) or any(_OF_PIPELINE in said for said in info["warnings"]):
        return False
    try:
        return all(file_sha256(store.folder / file) == sha256 for file, sha256 in info["figures"].items())
    except LayerscopeError:
        return False


def draw_figures(
    store: RunStore,
    run: Run,
    pipelines: Mapping[str, Pipeline],
    *,
    jobs: int = 1,
    debug: bool = False,
    early: EarlyFigures | None = None,
) -> dict[str, Any]:
    """Draw the figures of each pipeline into ``figures/``; one that fails takes no other with it.

    Parameters
    ----------
    store : RunStore
        The run folder.
    run : Run
        Its records.
    pipelines : mapping
        Pipelines by name.
    jobs : int, optional
        Processes; 1 draws in this one, as do pipelines that are not installed.
    debug : bool, optional
        Let errors through; implies one process.
    early : EarlyFigures, optional
        What was drawn while the tasks ran.

    Returns
    -------
    dict
        Entries of ``run.json``: ``figures`` (SHA-256 of each file), ``figures_of`` (what they were drawn from) and
        ``warnings`` (what went wrong: a figure that fails spoils no record).
    """
    with writing(store.figures_folder):
        store.figures_folder.mkdir(exist_ok=True)
    options = FigureOptions(**run.info.get("figure_options", {}))
    known = {} if early is None else early.done
    names = sorted(name for name in pipelines if name not in known and run.of_pipeline(name).records)
    if jobs > 1 and not debug and set(names) <= set(installed_pipelines()):
        folder, count = store.folder.resolve(), 2 * jobs
        shares = [_Share(folder, name, k, count, options) for k in range(count) for name in names]
        done = [_share_of(shares[number], answer) for number, answer in each_ended(_draw_share, shares, jobs)]
    else:
        done = [_draw(store, run, pipelines[name], options, debug=debug) for name in names]
    done += [one for found in known.values() for one in found]
    drawn = {file: sha256 for files, _ in done for file, sha256 in files.items()}
    warnings = sorted({warning for _, found in done for warning in found})
    return {"figures": dict(sorted(drawn.items())), "figures_of": _figures_key(run.info), "warnings": warnings}


_Done: TypeAlias = tuple[dict[str, str], list[str]]  # files with their SHA-256, and what went wrong


@dataclass(frozen=True)
class _Share:
    """Every `count`-th figure of a pipeline, from the `first` on, for a process of its own.

    Drawn are the records of these ids; without, those of the folder.
    """

    folder: Path
    name: str
    first: int
    count: int
    options: FigureOptions
    records: tuple[str, ...] = ()

    def __call__(self) -> _Done:
        return _draw_share(self)


class EarlyFigures:
    """Figures that are drawn while other tasks run: those of a pipeline as soon as all its records are there.

    Parameters
    ----------
    store : RunStore
        The run folder.
    tasks : sequence of Task
        What is still to be done.
    found : iterable of ResultRecord
        Records of tasks that an earlier run did.
    options : FigureOptions
        How figures are saved.
    jobs : int
        Processes.

    Attributes
    ----------
    done : mapping
        Pipelines that were drawn, with what came of them.
    """

    def __init__(
        self, store: RunStore, tasks: Sequence[Task], found: Iterable[ResultRecord], options: FigureOptions, jobs: int
    ) -> None:
        self._store, self._options, self._jobs = store, options, jobs
        self._left = Counter(task.pipeline.name for task in tasks)
        self._records: dict[str, list[str]] = {name: [] for name in self._left}
        for record in found:
            self._records.get(pipeline_of(record), []).append(record.record_id)
        self.done: dict[str, list[_Done]] = {}

    def after(self, task: Task, result: TaskResult) -> list[_Share]:
        """Return the figures that can be drawn now that a task has ended."""
        name = task.pipeline.name
        self._left[name] -= 1
        self._records[name] += result.records
        if self._left[name] or not self._records[name] or name not in installed_pipelines():
            return []
        if getattr(task.pipeline, "figures_of_the_whole_run", False):  # drawn when all tasks have ended
            return []
        with writing(self._store.figures_folder):
            self._store.figures_folder.mkdir(exist_ok=True)
        last = not any(self._left.values())  # then nothing else keeps the other processes busy
        count = 2 * self._jobs if last else self._jobs
        self.done[name] = []
        folder, records = self._store.folder.resolve(), tuple(sorted(self._records[name]))
        return [_Share(folder, name, k, count, self._options, records) for k in range(count)]

    def take(self, piece: Any, answer: Any) -> None:
        """Take what came of figures; one that failed is a warning."""
        self.done[piece.name].append(_share_of(piece, answer))


def _draw_share(share: _Share) -> _Done:
    store, drawings = RunStore(share.folder), _drawings(share.folder, share.name, share.records)
    return _draw_all(store, share.name, drawings[share.first :: share.count], share.options)


@lru_cache(MOST_KEPT)
def _drawings(folder: Path, name: str, records: tuple[str, ...]) -> tuple[Drawing | Path, ...]:
    store = RunStore(folder)
    run = Run(folder, tuple(sorted_records(map(store.read_record, records))), {}) if records else _whole(folder)
    return tuple(find_pipeline(name).figures(run.of_pipeline(name), store.figures_folder))


@lru_cache(1)
def _whole(folder: Path) -> Run:
    return load_run(folder)


def _share_of(share: _Share, answer: _Done | BaseException) -> _Done:
    if isinstance(answer, WriteError):
        raise answer
    return ({}, [_warning(share.name, answer)]) if isinstance(answer, BaseException) else answer


def _warning(name: str, error: BaseException, figure: str = "") -> str:
    what = f"figure {figure!r}" if figure else "figures"
    return f"{what}{_OF_PIPELINE}{name!r}: {type(error).__name__}: {error}"


def _draw(store: RunStore, run: Run, pipeline: Pipeline, options: FigureOptions, *, debug: bool) -> _Done:
    try:
        drawings = tuple(pipeline.figures(run.of_pipeline(pipeline.name), store.figures_folder))
    except Exception as error:
        if debug:
            raise
        return {}, [_warning(pipeline.name, error)]
    return _draw_all(store, pipeline.name, drawings, options, debug=debug)


def _draw_all(
    store: RunStore, name: str, drawings: Iterable[Drawing | Path], options: FigureOptions, *, debug: bool = False
) -> _Done:
    """Draw figures one after the other, each by itself."""
    drawn: dict[str, str] = {}
    warnings: list[str] = []
    with _only_new_garbage(), saved_as(options):
        for drawing in drawings:
            try:
                with _said(drawing.stem if isinstance(drawing, Path) else drawing.stem.name, warnings):
                    files = [drawing] if isinstance(drawing, Path) else drawing.draw()
                drawn |= {file.relative_to(store.folder).as_posix(): file_sha256(file) for file in files}
            except WriteError:  # a full disk is no fault of the figure
                raise
            except Exception as error:
                if debug:
                    raise
                warnings.append(_warning(name, error, drawing.stem if isinstance(drawing, Path) else drawing.stem.name))
    return drawn, warnings


@contextmanager
def _said(figure: str, told: list[str]) -> Iterator[None]:
    """Add to `told` what matplotlib says of names in a figure: of letters that no font of it has, or of no room."""
    with catch_warnings(record=True) as caught:
        for pattern in (_GLYPH, _NO_ROOM):
            filterwarnings("always", message=pattern)
        yield
    letters: set[str] = set()
    for one in caught:
        said = str(one.message)
        if found := re.match(_GLYPH, said):
            letters.add(chr(int(found[1])))
        elif re.match(_NO_ROOM, said):
            told.append(f"figure {figure!r}: its names leave no room for its panels: shorten them")
        else:
            warn_explicit(one.message, one.category, one.filename, one.lineno)
    if letters:
        told.append(f"figure {figure!r}: no font of figures has {' '.join(sorted(letters))}: drawn as boxes")


@contextmanager
def _only_new_garbage() -> Iterator[None]:
    """Search only what comes up inside the block for garbage, and not often.

    A figure is a hundred thousand small objects: again and again all modules and records would be looked through, and
    all of the figure that is being drawn.
    """
    often = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, *often[1:])
    try:
        yield
    finally:
        gc.set_threshold(*often)
        gc.unfreeze()


def redraw(folder: Path, *, jobs: int = 1, debug: bool = False) -> tuple[Run, tuple[str, ...]]:
    """Draw the figures of a finished run again.

    Parameters
    ----------
    folder : Path
        The run folder.
    jobs : int, optional
        Processes.
    debug : bool, optional
        Let errors through.

    Returns
    -------
    Run, tuple of str
        The run with its new figures, and what went wrong.

    Raises
    ------
    StoreError
        If the folder is no finished run, or another process writes to it.
    RecipeError, MissingDependencyError
        If a pipeline of the run is not installed.
    """
    store = RunStore.open(folder)
    with hold(store.lock_file):
        run = load_run(folder)
        if run.info.get("status") != "finished":
            raise StoreError("the run was not finished", source=folder, hint="run the recipe again")
        pipelines = {name: find_pipeline(name) for name in run.info["pipelines"]}
        info = {**run.info, **draw_figures(store, run, pipelines, jobs=jobs, debug=debug)}
        store.write_info(info)
    return Run(store.folder, run.records, info), tuple(info["warnings"])
