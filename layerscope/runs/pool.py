"""Processes side by side, one thread of linear algebra each; one that dies takes nothing but its own work with it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import wait
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

__all__ = ["Crew", "each_ended", "one_blas_thread"]

Piece = TypeVar("Piece")
Answer = TypeVar("Answer")

#: Libraries read these variables when they load.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Crew(Generic[Piece, Answer]):
    """Processes for pieces of work that may come one after the other, while this process does something of its own.

    A process is handed its next piece when it has finished one, never before: what waits is for whoever is free, this
    process included (`pop`). Used as a context manager; leaving it drops what nobody has begun.

    Parameters
    ----------
    work : callable
        Does a piece in a process: a function of a module.
    count : int
        Number of processes; with none, all pieces wait for `pop`.
    begin : callable, optional
        Called once in each process, with `arguments`, before its first piece.
    arguments : tuple, optional
        May hold what `multiprocessing` hands on to a new process only, such as a shared counter; see `context`.
    variables : sequence of str, optional
        Further environment variables that hold a number of threads.
    """

    #: A forked child of a process with threads (BLAS, HDF5) may hang, so each starts anew.
    context = multiprocessing.get_context("spawn")

    def __init__(
        self,
        work: Callable[[Piece], Answer],
        count: int,
        *,
        begin: Callable[..., None] | None = None,
        arguments: tuple[Any, ...] = (),
        variables: Sequence[str] = (),
    ) -> None:
        self._work, self._count, self._variables = work, max(count, 0), variables
        self._begin = (begin, arguments)
        self._pool: ProcessPoolExecutor | None = None
        self._idle = 0
        self._pieces: list[Piece] = []
        self._waiting: deque[int] = deque()
        self._given: dict[int, Future[Answer]] = {}
        self._ended: SimpleQueue[int] = SimpleQueue()
        self._lock = threading.RLock()

    def __enter__(self) -> Crew[Piece, Answer]:
        if self._count:
            self._pool = ProcessPoolExecutor(
                self._count, mp_context=self.context, initializer=_start, initargs=self._begin
            )
            with _one_thread_each(*_THREADS, *self._variables):
                for _ in range(self._count):  # all start now: what they import loads while this process goes on
                    self._pool.submit(os.getpid)
            self._idle = self._count
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            with self._lock:
                self._waiting.clear()
            self._pool.shutdown(cancel_futures=True)

    def take(self, pieces: Sequence[Piece]) -> list[int]:
        """Take pieces on; return their numbers."""
        with self._lock:
            numbers = list(range(len(self._pieces), len(self._pieces) + len(pieces)))
            self._pieces += pieces
            self._waiting += numbers
        self._give()
        return numbers

    def pop(self) -> tuple[int, Piece] | None:
        """Return the next piece that waits, with its number, to be done in this process; None when none waits."""
        with self._lock:
            if not self._waiting:
                return None
            number = self._waiting.popleft()
            return number, self._pieces[number]

    def ended(self) -> Iterator[int]:
        """Yield the number of each piece that a process ended or took with it when it died, until none is at work."""
        seen = 0
        while seen < len(self._given):
            yield self._ended.get()
            seen += 1

    def answer(self, number: int) -> Answer:
        """Return what came of a piece that does not wait any more, see `ended` and `pop`, once it is there.

        Raises
        ------
        BrokenExecutor
            If the process died, or no process was left to do it.
        Exception
            What `work` raised.
        """
        if (error := self.error(number)) is not None:
            raise error
        return self._given[number].result()

    def error(self, number: int) -> BaseException | None:
        """Return what `answer` would raise, if anything."""
        return self._given[number].exception() if number in self._given else BrokenExecutor("no process is left")

    def piece(self, number: int) -> Piece:
        """Return the piece of this number."""
        return self._pieces[number]

    def _give(self) -> None:
        """Hand the next pieces to processes that are idle."""
        with self._lock:
            while self._pool is not None and self._idle > 0 and self._waiting:
                try:
                    future = self._pool.submit(self._work, self._pieces[self._waiting[0]])
                except RuntimeError:  # the processes are gone: what waits goes on waiting
                    self._idle = 0
                    return
                number = self._waiting.popleft()
                self._given[number] = future
                self._idle -= 1
                future.add_done_callback(partial(self._freed, number))

    def _freed(self, number: int, future: Future[Answer]) -> None:
        # a pool that breaks tells so from inside its lock: to hand it more would wait for that lock for ever
        if not future.cancelled() and not isinstance(future.exception(), BrokenExecutor):
            with self._lock:
                self._idle += 1
            self._give()  # first, so that `ended` knows of what is at work
        self._ended.put(number)


def each_ended(
    work: Callable[[Piece], Answer], pieces: Sequence[Piece], count: int
) -> Iterator[tuple[int, Answer | BaseException]]:
    """Do pieces of work in processes, and yield the number and the answer of each, or its error, as it ends.

    Parameters
    ----------
    work : callable
        Does a piece: a function of a module.
    pieces : sequence
        What to do.
    count : int
        Number of processes.

    Yields
    ------
    int, object
        The error is a ``BrokenExecutor`` where the process that worked on the piece died. The others that were at work
        then end with it, for a pool breaks as a whole; each of them is done again in a process of its own.
    """
    left = list(range(len(pieces)))
    while left:
        suspects, rest = list[int](), list[int]()
        with Crew(work, min(count, len(left))) as crew:
            crew.take([pieces[k] for k in left])
            for number in crew.ended():
                error = crew.error(number)
                if isinstance(error, BrokenExecutor):
                    suspects.append(left[number])
                else:
                    yield left[number], error or crew.answer(number)
            while (waiting := crew.pop()) is not None:
                rest.append(left[waiting[0]])
        if len(rest) == len(left):  # not one could be begun
            suspects, rest = rest, []
        for k in suspects:
            with Crew(work, 1) as alone:
                (number,) = alone.take([pieces[k]])
                yield k, alone.error(number) or alone.answer(number)
        left = rest


def _start(begin: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    """Begin a process of a crew: it ends with the one that started it, even if that is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
    if begin is not None:
        begin(*arguments)


@contextmanager
def _one_thread_each(*names: str) -> Iterator[None]:
    """Let the processes started inside use one thread each, so that they do not fight for the cores."""
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold the BLAS libraries that this process has loaded to one thread, for as long as the context lasts.

    Threads of BLAS only wait for each other where the matrices are small: on two cores a refinement of a powder pattern
    takes three times as long without.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:  # an optional library
        yield
        return
    with threadpool_limits(limits=1, user_api="blas"):
        yield
