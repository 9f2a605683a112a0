"""Processes side by side, one thread of linear algebra each; one that dies takes nothing but its own work with it."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from layerscope.errors import LimitError

__all__ = ["THREADS", "Crew", "Limits", "each_ended", "machine_memory_MB", "one_blas_thread", "usable_cores"]

Piece = TypeVar("Piece")
Answer = TypeVar("Answer")

#: Libraries read these variables when they load.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

HEARTBEAT_S = 0.25  # after which the caller is told that nothing ended
GRACE_S = 2.0  # that an idle process is given to end by itself
ATTEMPTS = 2  # at a piece whose process died


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
            with _one_thread_each(*THREADS, *self._variables):
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


@dataclass(frozen=True)
class Limits:
    """What a piece of work may take; None: as much as it likes.

    Attributes
    ----------
    time_s : float or None
        Longest time (s), by the clock.
    memory_MB : float or None
        Most memory that its process may hold, in units of 10^6 bytes; Windows and macOS do not know such a limit.
    """

    time_s: float | None = None
    memory_MB: float | None = None


def machine_memory_MB() -> float | None:
    """Return the memory of this machine in units of 10^6 bytes, if the system tells."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6)
    except (AttributeError, ValueError, OSError):
        return None


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each_ended(
    work: Callable[[Piece], Answer],
    pieces: Sequence[Piece],
    count: int,
    *,
    limits: Sequence[Limits] = (),
    heartbeat: Callable[[], None] | None = None,
) -> Generator[tuple[int, Answer | BaseException], None, None]:
    """Do pieces of work in processes, and yield the number and the answer of each, or its error, as it ends.

    Parameters
    ----------
    work : callable
        Does a piece: a function of a module.
    pieces : sequence
        What to do, in this order. Whoever goes through the answers may add to a list of them, and it is done too.
    count : int
        Number of processes.
    limits : sequence of Limits, optional
        Of each piece; those behind the last have none.
    heartbeat : callable, optional
        Called in this process now and then while nothing ends.

    Yields
    ------
    int, object
        The error is what `work` raised, a `LimitError` where a piece took too long, or a ``BrokenExecutor`` where its
        process died, and another one too. What the process had begun ends with it; other pieces are not disturbed.
    """
    workers: list[_Worker[Piece, Answer]] = [_Worker(work) for _ in range(min(count, len(pieces)))]
    left, known, attempts = deque[int](), 0, Counter[int]()

    def hand_out() -> None:
        for worker in workers:
            if worker.number is None and left:
                number = left.popleft()
                attempts[number] += 1
                worker.give(number, pieces[number], limits[number] if number < len(limits) else Limits())

    try:
        while known < len(pieces) or left or any(worker.number is not None for worker in workers):
            left.extend(range(known, len(pieces)))
            known = len(pieces)
            hand_out()
            busy = [worker for worker in workers if worker.number is not None]
            if all(worker.handles for worker in busy):
                wait([handle for worker in busy for handle in worker.handles], timeout=HEARTBEAT_S)
            ended = [found for worker in busy if (found := worker.ended()) is not None]
            if not ended and heartbeat is not None:
                heartbeat()
            again = [n for n, answer in ended if isinstance(answer, BrokenExecutor) and attempts[n] < ATTEMPTS]
            left += again  # it may have been another's fault
            hand_out()  # first: whoever is told of an answer may take long over it
            yield from ((number, answer) for number, answer in ended if number not in again)
    finally:
        for worker in workers:
            worker.end()


class _Worker(Generic[Piece, Answer]):
    """A process that does one piece after the other, begun when it is given one and none is there."""

    def __init__(self, work: Callable[[Piece], Answer]) -> None:
        self._work = work
        self.number: int | None = None
        self._limits, self._until = Limits(), math.inf
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._error: BaseException | None = None

    def give(self, number: int, piece: Piece, limits: Limits) -> None:
        """Let the process do a piece; an error on the way there is its answer."""
        self.number, self._limits, self._error = number, limits, None
        try:
            if self._pipe is None:
                self._begin()
            assert self._pipe is not None  # noqa: S101
            self._pipe.send((piece, limits.memory_MB))
        except OSError as error:  # it died while it waited
            self._error = BrokenExecutor(str(error))
        except Exception as error:  # noqa: BLE001 - what cannot travel costs itself alone
            self._error = error
        self._until = math.inf if limits.time_s is None else time.monotonic() + limits.time_s

    def _begin(self) -> None:
        ours, theirs = Crew.context.Pipe()
        process = Crew.context.Process(target=_serve, args=(theirs, self._work))
        with _one_thread_each(*THREADS):
            process.start()
        theirs.close()
        self._process, self._pipe = process, ours

    @property
    def handles(self) -> list[Any]:
        """What to wait for."""
        return [] if self._process is None or self._pipe is None else [self._pipe, self._process.sentinel]

    def ended(self) -> tuple[int, Answer | BaseException] | None:
        """Return the number and the answer if there is one, and be free again; None while the piece is being done."""
        found, number = self._answer(), self.number
        if found is None or number is None:
            return None
        (answer,) = found
        if isinstance(answer, BrokenExecutor | LimitError):
            self.end()
        self.number = None
        return number, answer

    def _answer(self) -> tuple[Answer | BaseException] | None:
        if self._error is not None or self._pipe is None or self._process is None:
            return (self._error or BrokenExecutor("no process could begin"),)
        try:
            if self._pipe.poll():
                return (self._pipe.recv(),)
        except (EOFError, OSError):
            return (BrokenExecutor("the process died"),)
        except Exception as error:  # noqa: BLE001 - an answer that cannot be read costs itself alone
            return (error,)
        if wait([self._process.sentinel], timeout=0):
            return (BrokenExecutor("the process died"),)
        if time.monotonic() > self._until:
            return (
                LimitError(
                    f"took longer than the {self._limits.time_s:g} s that are allowed",
                    hint="raise limits.time_s in the recipe or study, and run with --retry-quarantined",
                ),
            )
        return None

    def end(self) -> None:
        """End the process and what it began: at once, or where it waits for more."""
        process, self._process = self._process, None
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()
        if process is not None:
            if self.number is None:
                wait([process.sentinel], timeout=GRACE_S)  # it ends by itself when nobody will ask it again
            if hasattr(os, "killpg") and process.pid:
                with suppress(OSError):  # nothing is left of its group
                    os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.join()
            process.close()


def _serve(pipe: Connection, work: Callable[[Any], Any]) -> None:
    """Do what comes through a pipe, in a group of processes of its own, until nobody sends any more."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    _end_with_parent()
    while True:
        try:
            piece, memory_MB = pipe.recv()
            _bound_memory(memory_MB)
            answer = work(piece)
        except EOFError:
            return
        except Exception as error:  # noqa: BLE001 - it is told to whoever asked
            answer = error
        try:
            pipe.send(answer)
        except (BrokenPipeError, ConnectionError):
            return
        except Exception as error:  # noqa: BLE001 - what cannot travel is told in words
            pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))


def _bound_memory(memory_MB: float | None) -> None:
    """Let this process hold no more than that; what would need more raises a MemoryError."""
    try:
        import resource
    except ImportError:  # Windows
        return
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = hard if memory_MB is None else int(memory_MB * 1e6)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))


def _end_with_parent() -> None:
    """End this process, and those that it began, when the one that started it ends, even if that is killed."""
    parent = multiprocessing.parent_process()

    def watch(sentinel: int) -> None:
        wait([sentinel])
        if hasattr(os, "killpg") and os.getpgid(0) == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    if parent is not None:
        threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()


def _start(begin: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    """Begin a process of a crew: it ends with the one that started it, even if that is killed."""
    _end_with_parent()
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
