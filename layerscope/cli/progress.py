"""A progress bar on a terminal, silence elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from layerscope.errors import printable

if TYPE_CHECKING:
    from layerscope.runs.outcome import ProgressEvent

__all__ = ["reporter"]


@contextmanager
def reporter(*, quiet: bool = False) -> Iterator[Callable[[ProgressEvent], None] | None]:
    """Yield a function that shows progress events, or None where nobody watches.

    Parameters
    ----------
    quiet : bool, optional
        Show nothing.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        overall = bars.add_task("recipes", total=None)
        inner = bars.add_task("", total=None, visible=False)

        def report(event: ProgressEvent) -> None:
            bars.update(overall, completed=event.tasks_done, total=event.tasks_total)
            text = printable(f"{event.label}: {event.message}", keep="").replace("[", r"\[")
            bars.update(inner, description=text, completed=event.done, total=event.total or None, visible=True)

        yield report
