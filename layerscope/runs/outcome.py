"""What a run tells: signs of life on the way, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from layerscope.records import ResultRecord
from layerscope.runs.load import Run

__all__ = ["ExitCode", "ProgressEvent", "Reporter", "RunSummary"]


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
    failed, found : int
        Of those that ended: how many are quarantined, and how many an earlier run had done.
    """

    label: str
    done: int
    total: int
    message: str
    tasks_done: int
    tasks_total: int
    failed: int = 0
    found: int = 0


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
        """0 all ok, 1 nothing but recipe errors, 2 some quarantined, 3 nothing could be processed.

        A fit that was refused was processed: its curves are there.
        """
        failed = self.failed
        if len(failed) < len(self.run.records) or any(record.arrays for record in failed):
            return ExitCode.QUARANTINED if failed else ExitCode.OK
        if failed and all(record.problem is not None and record.problem.kind == "recipe" for record in failed):
            return ExitCode.USAGE
        return ExitCode.NOTHING
