"""How far a run is: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from layerscope.errors import printable

if TYPE_CHECKING:
    from layerscope.runs.outcome import ProgressEvent

__all__ = ["pace", "reporter"]

LINE_EVERY_S = 10.0  # where nobody sees a bar


@contextmanager
def reporter(*, quiet: bool = False) -> Iterator[Callable[[ProgressEvent], None] | None]:
    """Yield a function that shows progress events, or None where nobody watches.

    Parameters
    ----------
    quiet : bool, optional
        Show nothing.
    """
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _lines()


def pace(event: ProgressEvent, elapsed_s: float) -> str:
    """Return how many tasks ended and failed, at what rate, and what remains.

    Parameters
    ----------
    event : ProgressEvent
    elapsed_s : float
        Since the first task began (s).
    """
    done, left = event.tasks_done - event.found, event.tasks_total - event.tasks_done
    parts = [f"{event.tasks_done}/{event.tasks_total} tasks"]
    parts += [f"{event.failed} quarantined"] if event.failed else []
    if done and elapsed_s > 0:
        rate = done / elapsed_s
        parts.append(f"{rate:.3g}/s" if rate >= 0.1 else f"{60.0 * rate:.3g}/min")
        parts += [f"{_clock(left / rate)} left"] if left else []
    return ", ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _lines() -> Callable[[ProgressEvent], None]:
    """Return a reporter that writes a line to the error stream every few seconds, none where a run is short."""
    begun = last = monotonic()

    def report(event: ProgressEvent) -> None:
        nonlocal last
        now = monotonic()
        if now - last >= LINE_EVERY_S:
            last = now
            doing = printable(f"{event.label}: {event.message}", keep="")
            sys.stderr.write(f"{pace(event, now - begun)}; {doing}\n")
            sys.stderr.flush()

    return report


@contextmanager
def _bars() -> Iterator[Callable[[ProgressEvent], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[pace]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        overall = bars.add_task("recipes", total=None, pace="")
        inner = bars.add_task("", total=None, visible=False, pace="")
        begun = monotonic()

        def report(event: ProgressEvent) -> None:
            told = pace(event, monotonic() - begun)
            bars.update(overall, completed=event.tasks_done, total=event.tasks_total, pace=told)
            text = printable(f"{event.label}: {event.message}", keep="").replace("[", r"\[")
            bars.update(inner, description=text, completed=event.done, total=event.total or None, visible=True)

        yield report
