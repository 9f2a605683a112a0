"""Tasks on a cluster: the same pieces of work as those of processes side by side, handed to Dask distributed.

The one module that imports Dask. A worker that dies has its pieces done by another; what they gave is the same, because
every piece writes the same files whoever does it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from layerscope.errors import LayerscopeError, MissingDependencyError
from layerscope.runs.pool import HEARTBEAT_S, THREADS, Limits, each_ended, one_blas_thread

__all__ = ["LOCAL", "each_ended_on"]

Piece = TypeVar("Piece")
Answer = TypeVar("Answer")

CONNECT = "20s"  # that a scheduler is given to answer
LOCAL = "local"
"""Name of a cluster that is started on this machine and ends with the run."""


@dataclass(frozen=True)
class _Job(Generic[Piece, Answer]):
    """A piece as it travels; with limits it is done in a process of its own beside the worker."""

    work: Callable[[Piece], Answer]
    piece: Piece
    limits: Limits | None

    def __call__(self) -> Answer:
        if self.limits is None:
            with one_blas_thread():
                return self.work(self.piece)
        ((_, answer),) = each_ended(self.work, [self.piece], 1, limits=[self.limits])
        if isinstance(answer, BaseException):
            raise answer
        return answer


def each_ended_on(
    scheduler: str,
    work: Callable[[Piece], Answer],
    pieces: Sequence[Piece],
    count: int,
    *,
    limits: Sequence[Limits | None],
    heartbeat: Callable[[], None] | None = None,
) -> Generator[tuple[int, Answer | BaseException], None, None]:
    """Do pieces of work on a cluster, and yield the number and the answer of each, or its error, as it ends.

    Parameters
    ----------
    scheduler : str
        Address of a Dask scheduler, ``tcp://host:8786``, or ``local`` for a cluster of `count` workers on this machine.
    work, pieces, count, heartbeat
        See `layerscope.runs.pool.each_ended`.
    limits : sequence of Limits or None
        Of each piece; None: those that the cluster's workers have.

    Raises
    ------
    MissingDependencyError
        If Dask distributed is not installed.
    LayerscopeError
        If there is no scheduler at this address.
    """
    with ExitStack() as stack:
        client = _client(scheduler, count, stack)
        ended: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        waiting = set(range(len(pieces)))
        for number, (piece, limit) in enumerate(zip(pieces, limits, strict=True)):
            job = _Job(work, piece, limit)
            future = client.submit(job, pure=False, key=f"layerscope-{id(ended)}-{number}", priority=-number)
            future.add_done_callback(partial(_put, ended, number))
        while waiting:
            try:
                number, future = ended.get(timeout=HEARTBEAT_S)
            except Empty:
                if heartbeat is not None:
                    heartbeat()
                continue
            waiting.discard(number)
            yield number, _answer(future)


def _put(ended: SimpleQueue[tuple[int, Any]], number: int, future: Any) -> None:
    ended.put((number, future))


def _answer(future: Any) -> Any:
    """Return what a future gives; a piece that took several workers with it died."""
    from distributed.scheduler import KilledWorker

    if future.cancelled():
        return BrokenExecutor("the cluster dropped it")
    error = future.exception()
    if error is None:
        return future.result()
    return BrokenExecutor(str(error)) if isinstance(error, KilledWorker) else error


def _client(scheduler: str, count: int, stack: ExitStack) -> Any:
    """Return a client of the cluster; both are closed with the stack."""
    try:
        import dask

        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise MissingDependencyError(
            "clusters need Dask distributed", source="--scheduler", hint='pip install "layerscope[cluster]"'
        ) from error
    # a worker may have processes of its own, and its threads of linear algebra would only wait for each other
    settings = {"distributed.worker.daemon": False, "distributed.comm.timeouts.connect": CONNECT}
    stack.enter_context(dask.config.set(settings))
    try:
        if scheduler == LOCAL:
            cluster = distributed.LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                dashboard_address=None,
                memory_limit=0,
                env=dict.fromkeys(THREADS, "1"),
            )
            scheduler = stack.enter_context(cluster).scheduler_address
        return stack.enter_context(distributed.Client(scheduler))
    except (OSError, TimeoutError, ValueError) as error:
        raise LayerscopeError(
            f"there is no scheduler at {scheduler}: {error}",
            source="--scheduler",
            hint='give the address that "dask scheduler" prints, such as tcp://host:8786, or "local"',
        ) from error
