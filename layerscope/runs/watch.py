"""Following a folder that an instrument writes: whatever is settled and complete is run, again whenever it changes."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from layerscope.errors import DataError, LayerscopeError, MissingDependencyError, WriteError
from layerscope.measured.files import files_of
from layerscope.runs.execute import execute
from layerscope.runs.outcome import RunSummary
from layerscope.runs.pipeline import Pipeline
from layerscope.runs.plan import make_plan
from layerscope.runs.store import RunStore

__all__ = ["Seen", "Watch", "WatchedFile"]

State = Literal["writing", "incomplete", "taken", "broken"]
QUIET_S = 1.0
"""A file whose size and time have not changed for so long is settled."""
BROKEN_AFTER_S = 20.0
"""A settled file that no reader takes may still be written to; after so long it is taken as it is, and quarantined."""


@dataclass(frozen=True)
class WatchedFile:
    """A file that the recipe means.

    Attributes
    ----------
    name : str
        Relative to the folder.
    state : {"writing", "incomplete", "taken", "broken"}
        Whether it still changes, is not whole yet, is in the run, or is in it as a failure.
    detail : str
        Why.
    """

    name: str
    state: State
    detail: str = ""


@dataclass(frozen=True)
class Seen:
    """What a look at the folder found.

    Attributes
    ----------
    files : tuple of WatchedFile
    version : int
        Counts the updates of the run.
    message : str
        How the last update ended, for people.
    """

    files: tuple[WatchedFile, ...] = ()
    version: int = 0
    message: str = "waiting for files"


@dataclass
class _Known:
    stamp: tuple[int, int]
    since: float
    state: State = "writing"
    detail: str = ""


class Watch:
    """A recipe, or a study, that follows a folder.

    The run is made from copies of files that are settled and whole, so that none is ever read while it is written; it
    is what a run on the folder would give. Series that did not change are looked up.

    Parameters
    ----------
    folder : Path
        That input paths are relative to; for a study, each recipe's subfolder of it.
    recipe : Path
    out : Path
        The run folder.
    quiet_s, broken_after_s : float, optional
        See `QUIET_S`, `BROKEN_AFTER_S`.
    pipelines : mapping, optional
        Pipelines that come before the installed ones.
    told : callable, optional
        Given a line for people after each update.

    Raises
    ------
    RecipeError
        If the folder is missing, or the recipe or one of the study's cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Path,
        out: Path,
        *,
        quiet_s: float = QUIET_S,
        broken_after_s: float = BROKEN_AFTER_S,
        pipelines: dict[str, Pipeline] | None = None,
        told: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.folder, self.recipe, self.out = folder, recipe, out
        self.quiet_s, self.broken_after_s = quiet_s, broken_after_s
        self.seen = Seen()
        self._pipelines, self._told = pipelines, told
        self._known: dict[str, _Known] = {}
        self._meant: dict[str, list[Pipeline]] = {}
        plan = make_plan(recipe, data=folder, pipelines=pipelines)
        if plan.refused:
            raise plan.refused[0].error
        self._plans = plan.recipes

    def follow(self, stop: threading.Event, *, poll_s: float = 1.0, events: bool = True) -> RunSummary | None:
        """Look at the folder, and run what changed, until it is told to stop; return how the last run ended.

        Parameters
        ----------
        stop : threading.Event
        poll_s : float, optional
            Longest time between two looks.
        events : bool, optional
            Whether the system tells of changes too, if watchdog is installed; network drives do not.
        """
        summary: RunSummary | None = None
        with tempfile.TemporaryDirectory(prefix="layerscope-watch-") as copies, _woken(self.folder, events) as woken:
            while not stop.is_set():
                if self.look(Path(copies)):
                    summary = self._update(Path(copies)) or summary
                woken.wait(min(poll_s, self.quiet_s))
                woken.clear()
        return summary

    def look(self, copies: Path) -> bool:
        """Bring the copies up to what is settled and whole in the folder; return whether that changed anything."""
        now, changed = time.monotonic(), False
        names = self._names()
        for name in [name for name in self._known if name not in names]:
            changed |= self._known.pop(name).state in ("taken", "broken")
            (copies / name).unlink(missing_ok=True)
        for name in names:
            try:
                status = (self.folder / name).stat()
            except OSError:  # gone since it was listed
                continue
            stamp = (status.st_size, status.st_mtime_ns)
            known = self._known.get(name)
            if known is None or known.stamp != stamp:
                changed |= known is not None and known.state in ("taken", "broken")
                (copies / name).unlink(missing_ok=True)
                self._known[name] = _Known(stamp, now)
            elif known.state not in ("taken", "broken") and now - known.since >= self.quiet_s:
                changed |= self._take(name, known, copies, now)
        found = tuple(WatchedFile(name, one.state, one.detail) for name, one in sorted(self._known.items()))
        self.seen = replace(self.seen, files=found)
        return changed

    def _names(self) -> list[str]:
        """Return the files that are meant, relative to the folder; those that are not there yet are none."""
        self._meant = {}
        for planned in self._plans:
            for path in planned.recipe.input_paths():
                whole = planned.recipe.folder / path
                try:
                    many = files_of(whole)
                except LayerscopeError:
                    continue
                found = [whole] if many is None else [many[0] / name for name in many[1]]
                for file in filter(Path.is_file, found):
                    self._meant.setdefault(file.relative_to(self.folder).as_posix(), []).append(planned.pipeline)
        return [name for name in self._meant if self._inside(name)]

    def _inside(self, name: str) -> bool:
        """Tell whether no link leads a file out of the folder: one that does is refused by a run, and never copied."""
        try:
            return (self.folder / name).resolve().is_relative_to(self.folder.resolve())
        except (OSError, RuntimeError):  # a loop of links
            return False

    def _take(self, name: str, known: _Known, copies: Path, now: float) -> bool:
        """Copy a settled file if it is whole, or if it has been broken for long."""
        copy = copies / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(self.folder / name, copy)
            status = (self.folder / name).stat()
        except OSError as error:
            known.detail = str(error)
            return False
        if (status.st_size, status.st_mtime_ns) != known.stamp:  # written to while it was copied
            copy.unlink(missing_ok=True)
            return False
        problems = [self._incomplete(copy, pipeline) for pipeline in self._meant[name]]
        problem = "" if "" in problems else problems[0]
        if problem and now - known.since < self.broken_after_s:
            copy.unlink(missing_ok=True)
            known.state, known.detail = "incomplete", problem
            return False
        known.state, known.detail = ("broken", problem) if problem else ("taken", "")
        return True

    @staticmethod
    def _incomplete(copy: Path, pipeline: Pipeline) -> str:
        """Return why the technique's readers do not take a file; nothing where they do, or do not know its kind."""
        read: Any = getattr(pipeline, "recording", None)
        if read is None:
            return "" if copy.stat().st_size else "the file is empty"
        try:
            read(copy)
        except (MissingDependencyError, DataError):
            return ""  # it is whole; what its values are worth, the run says
        except LayerscopeError as error:
            return "" if "column map" in f"{error.message} {error.hint}" else error.message
        return ""

    def _update(self, copies: Path) -> RunSummary | None:
        """Run the recipe on the copies; an error is told, and the next change tries again."""
        before = _records(self.out)
        start = time.monotonic()
        try:
            summary = execute(self.recipe, self.out, data=copies, figures=False, pipelines=self._pipelines)
        except WriteError:
            raise
        except LayerscopeError as error:
            self._say(f"not run: {error}")
            return None
        self._forget(before)
        counts = summary.run.info["counts"]
        taken = sum(one.state in ("taken", "broken") for one in self._known.values())
        self._say(
            f"{taken} files, {counts['records']} records ({counts['failed']} failed), {time.monotonic() - start:.1f} s"
        )
        return summary

    def _forget(self, before: set[str]) -> None:
        """Remove what the last update made and this one replaced: of a series that grows only the last is a result."""
        folder = RunStore(self.out).superseded_folder
        for record_id in before - _records(self.out):
            (folder / f"{record_id}.json").unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()

    def _say(self, message: str) -> None:
        self.seen = replace(self.seen, version=self.seen.version + 1, message=message)
        self._told(message)


def _records(out: Path) -> set[str]:
    return set(RunStore(out).record_ids()) if (out / "records").is_dir() else set()


@contextmanager
def _woken(folder: Path, events: bool) -> Iterator[threading.Event]:
    """Yield an event that is set when the system says that something changed in a folder; never where it cannot."""
    woken = threading.Event()
    observer: Any = None
    if events:
        with suppress(ImportError, OSError):
            from watchdog.events import FileSystemEventHandler
            from watchdog.observers import Observer

            class Handler(FileSystemEventHandler):
                def on_any_event(self, event: Any) -> None:
                    woken.set()

            observer = Observer()
            observer.schedule(Handler(), str(folder), recursive=True)
            observer.start()
    try:
        yield woken
    finally:
        if observer is not None:
            observer.stop()
            observer.join(timeout=5)
