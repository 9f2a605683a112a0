"""The way through a series: milestones first, then the frames between them, side by side where processes are to be had.

A series is walked in two strides. The long one goes from milestone to milestone, every ``chunk``-th frame, each started
at the one before; where the fit gets worse the frame half-way is taken first. The short one refines the frames between
two milestones, from the first to the second, which is fitted again: that overlap shows whether the two ways meet.
Chunks know nothing of each other, so they may run in any order and in any number of processes: the result is the same.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import multiprocessing.util
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from layerscope.errors import LayerscopeError
from layerscope.runs.pool import Crew, one_blas_thread

from .engines.interface import Engine
from .engines.registry import get_engine
from .frame import FrameFit, SeriesState, fit_frame
from .model import PowderPattern, Problem
from .options import SeriesOptions

__all__ = ["Answer", "Direction", "Way", "opened", "walk"]

Answer = FrameFit | LayerscopeError
Direction = Literal["forward", "backward"]
_WORSE = 1.1  # goodness of fit over that of the milestone before, beyond which a stride was too long


@dataclass(frozen=True)
class Way:
    """What one direction found: an answer per frame, and the second answer for milestones that a chunk arrived at."""

    answers: dict[int, Answer]
    arrived: dict[int, FrameFit]


@dataclass(frozen=True)
class _Chunk:
    """Frames ``indices`` in the order of the sweep, started from ``state``."""

    patterns: tuple[PowderPattern, ...]
    indices: tuple[int, ...]
    state: SeriesState
    options: SeriesOptions
    direction: Direction

    def run(self, engine: Engine) -> dict[int, Answer]:
        """Refine frame after frame; after one that fails the next starts from the last good one."""
        state, out = _copy(self.state), dict[int, Answer]()
        for index, pattern in zip(self.indices, self.patterns, strict=True):
            out[index] = _refine(engine, pattern, state, self.options, f"{self.direction}_{index:04d}")
        return out


class _Milestones:
    """The walk in long strides; ``states`` holds what each good milestone hands on."""

    def __init__(
        self, engine: Engine, patterns: Sequence[PowderPattern], options: SeriesOptions, direction: Direction
    ) -> None:
        self.engine, self.patterns, self.options, self.direction = engine, patterns, options, direction
        self.answers: dict[int, Answer] = {}
        self.states: dict[int, SeriesState] = {}
        self._cut: set[int] = set()

    def begin(self, problem: Problem) -> Iterator[None]:
        """Walk from the first frame that can be refined, without knowing its phases, to the last; pause at each."""
        count, cold = len(self.patterns), SeriesState(problem)
        here = next((k for k in range(count) if self._fit(k, cold)), None)
        if here is None:
            return
        step = max(self.options.chunk, 1)
        for stop in (*range(here + step, count - 1, step), count - 1):
            if stop > here:
                here = self._reach(here, stop)
                yield

    def turn(self, way: _Milestones) -> Iterator[None]:
        """Walk the milestones of the other direction from its end, which is where this one starts; pause at each."""
        order = sorted(way.states, reverse=True)
        if not order:
            return
        here = order[0]
        self.answers[here], self.states[here] = way.answers[here], way.states[here]
        for stop in order[1:]:
            if self._fit(stop, self.states[here]):
                here = stop
            yield

    def chunks(self, *, finished: bool = False) -> list[_Chunk]:
        """Frames after each new milestone up to and with the next; behind the last one only when ``finished``."""
        forward = self.direction == "forward"
        good = sorted(self.states, reverse=not forward)
        pairs: list[tuple[int, int | None]] = list(itertools.pairwise(good))
        if finished and good:
            pairs.append((good[-1], None))
        out = []
        for start, stop in pairs:
            last = stop if stop is not None else (len(self.patterns) - 1 if forward else 0)
            indices = range(start + 1, last + 1) if forward else range(start - 1, last - 1, -1)
            fresh = [k for k in indices if k not in self.answers]
            if start not in self._cut and fresh:
                wanted = tuple(k for k in indices if k in fresh or k == stop)
                chosen = tuple(self.patterns[k] for k in wanted)
                out.append(_Chunk(chosen, wanted, self.states[start], self.options, self.direction))
            self._cut.add(start)
        return out

    def _fit(self, index: int, start: SeriesState) -> bool:
        state = _copy(start)
        tag = f"milestone_{self.direction}_{index:04d}"
        self.answers[index] = answer = _refine(self.engine, self.patterns[index], state, self.options, tag)
        good = isinstance(answer, FrameFit)
        if good:
            self.states[index] = state
        return good

    def _reach(self, start: int, stop: int) -> int:
        """Go from one milestone to the next, half-way first if the stride is too long; return where the walk stands."""
        good = self._fit(stop, self.states[start])
        middle = (start + stop) // 2
        if middle == start or (good and _gof(self.answers[stop]) <= _WORSE * max(_gof(self.answers[start]), 1.0)):
            return stop if good else start
        direct, state = self.answers[stop], self.states.get(stop)
        there = self._reach(start, middle)
        if there > start:
            there = self._reach(there, stop)
        other = self.answers[stop]
        if state is not None and isinstance(direct, FrameFit):
            if not isinstance(other, FrameFit) or direct.bic < other.bic:
                self.answers[stop], self.states[stop] = direct, state
            return stop
        return there


def _gof(answer: Answer) -> float:
    return answer.result.gof if isinstance(answer, FrameFit) else math.inf


def walk(patterns: Sequence[PowderPattern], problem: Problem, options: SeriesOptions) -> list[Way]:
    """Refine all frames forward and, if asked for, backward, with ``options.workers`` processes.

    Parameters
    ----------
    patterns : sequence of PowderPattern
        In the order of time.
    problem : Problem
        With every phase that may occur.
    options : SeriesOptions

    Returns
    -------
    list of Way
        Forward, then backward if asked for. The way back begins at the last milestone that was reached.

    Raises
    ------
    MissingDependencyError
        The engine is not installed.
    """
    crew = _crew(options, len(patterns))
    with one_blas_thread(), opened(options, options.folder) as engine, crew:
        forward = _Milestones(engine, patterns, options, "forward")
        jobs = [(forward, _follow(crew, forward, forward.begin(problem)))]
        if options.both_directions and len(patterns) > 1:
            backward = _Milestones(engine, patterns, options, "backward")
            jobs.append((backward, _follow(crew, backward, backward.turn(forward))))
        done = {}
        while (waiting := crew.pop()) is not None:  # nobody has begun it: it is done here
            done[waiting[0]] = waiting[1].run(engine)
        return [_way(milestones, [_result(crew, k, done, engine) for k in numbers]) for milestones, numbers in jobs]


def _crew(options: SeriesOptions, count: int) -> Crew[_Chunk, dict[int, Answer]]:
    """Return the processes that refine chunks while this one walks on; with one worker everything happens here."""
    return Crew(
        _elsewhere,
        min(options.workers - 1, count // 2),
        begin=_enlist,
        arguments=(options, Crew.context.Value("i", 0)),
        variables=("RIETX_COMPILED_THREADS",),
    )


def _follow(crew: Crew[_Chunk, dict[int, Answer]], milestones: _Milestones, stops: Iterator[None]) -> list[int]:
    """Hand on each chunk as soon as the walk has passed it; return the numbers of all."""
    numbers = []
    for _ in stops:
        numbers += crew.take(milestones.chunks())
    return numbers + crew.take(milestones.chunks(finished=True))


def _result(
    crew: Crew[_Chunk, dict[int, Answer]], number: int, done: Mapping[int, dict[int, Answer]], engine: Engine
) -> dict[int, Answer]:
    """Answers of a chunk; what a process took with it when it died is done again here."""
    if number in done:
        return done[number]
    try:
        return crew.answer(number)
    except BrokenExecutor:
        return crew.piece(number).run(engine)


def _way(milestones: _Milestones, results: Sequence[dict[int, Answer]]) -> Way:
    answers, arrived = dict(milestones.answers), dict[int, FrameFit]()
    for part in results:
        for index, answer in part.items():
            if index not in answers:
                answers[index] = answer
            elif isinstance(answer, FrameFit):
                arrived[index] = answer
    return Way(answers, arrived)


def _refine(engine: Engine, pattern: PowderPattern, state: SeriesState, options: SeriesOptions, tag: str) -> Answer:
    """Refine one frame and hand its answer on in ``state``; an error leaves the state as it was."""
    folder = None if options.folder is None else options.folder / tag
    try:
        fit = fit_frame(engine, pattern, state, options, folder)
    except LayerscopeError as error:
        return error
    state.accept(fit, options)
    return fit


def _copy(state: SeriesState) -> SeriesState:
    return replace(state, strength=dict(state.strength))


@contextlib.contextmanager
def opened(options: SeriesOptions, folder: Path | None) -> Iterator[Engine]:
    """Open the engine of a series, and close it whatever happens."""
    engine = get_engine(options.engine)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    try:
        engine.open(folder or Path.cwd())
        yield engine
    finally:
        engine.close()


_own: list[Engine] = []  # the engine of a process of the crew


def _enlist(options: SeriesOptions, counter: Any) -> None:
    """Open an engine in a process of the crew, in a folder of its own."""
    with counter.get_lock():
        counter.value += 1
        number = counter.value
    engine = get_engine(options.engine)
    folder = Path.cwd() if options.folder is None else options.folder / f"process_{number}"
    if options.folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    engine.open(folder)
    _own.append(engine)
    multiprocessing.util.Finalize(None, engine.close, exitpriority=10)


def _elsewhere(chunk: _Chunk) -> dict[int, Answer]:
    return chunk.run(_own[0])
