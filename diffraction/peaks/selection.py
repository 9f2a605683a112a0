"""The set of phases of every frame: BIC frame by frame, persistence over frames, no ghosts.

Every frame is fitted with every set of lines that is in doubt there. The series of sets is the cheapest path through
the table of BICs when each appearance or disappearance costs something as well (Viterbi's algorithm): a single frame
cannot switch a phase on or off, and the answer does not depend on the direction in which the series is read. What does
depend on it are the start values; the caller therefore fits from both neighbours and keeps the better fit.

References
----------
Viterbi, A. J. (1967). IEEE Trans. Inf. Theory 13, 260-269. doi:10.1109/TIT.1967.1054010
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from layerscope.options import RecipeModel

from ..events import runs
from ..radiation import FloatArray
from .frames import FrameBatch, FrameData, fit_frames
from .model import LineModel, LineShape
from .tracks import Trajectory

__all__ = ["Guard", "PhaseSets", "choose_sets", "keep_persistent", "neighbours_agree", "runs"]

BoolArray = NDArray[np.bool_]

CERTAIN = 12.0
"""Standard errors of an area above which nobody asks whether the line is there."""

REACH_FRAMES = 10
"""Frames beyond its sightings in which a line is still looked for."""

IMPOSSIBLE = 1e12


class Guard(RecipeModel):
    """What a phase must show in a frame, besides a lower BIC."""

    least_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.004, description="share of the intensity of all phases below which a line is a ripple of another one"
    )
    least_separation: Annotated[float, Field(ge=0)] = Field(default=0.5, description="from any other line, in widths")
    persistence: Annotated[int, Field(ge=1)] = Field(default=3, description="frames in a row")
    switch_cost: Annotated[float, Field(ge=0)] = Field(
        default=6.0, description="BIC that each appearance and disappearance must earn on top"
    )


@dataclass(frozen=True)
class PhaseSets:
    """Chosen sets.

    Attributes
    ----------
    names : tuple of str
        Lines, K.
    present : ndarray of bool, shape (K, F)
    position, position_sigma, area, area_sigma : ndarray, shape (K, F)
        Of the chosen fits; the trajectory and zero where a line is absent.
    expected : ndarray, shape (F, n)
    margin : ndarray, shape (F,)
        BIC of the best other set less that of the chosen one; infinite where no other was in question.
    rejected : dict of str to tuple of int
        Frames in which the guard refused a line that the BIC wanted.
    """

    names: tuple[str, ...]
    present: BoolArray
    position: FloatArray
    position_sigma: FloatArray
    area: FloatArray
    area_sigma: FloatArray
    expected: FloatArray
    margin: FloatArray
    rejected: dict[str, tuple[int, ...]]


def choose_sets(
    data: FrameData,
    courses: Sequence[Trajectory],
    model: LineModel,
    *,
    guard: Guard,
    certain: BoolArray,
    dispersion: float = 1.0,
    only_presence: bool = False,
) -> PhaseSets:
    """Choose the set of lines of every frame.

    Parameters
    ----------
    data : FrameData
    courses : sequence of Trajectory
        Named lines, K.
    model : LineModel
    guard : Guard
    certain : ndarray of bool, shape (K, F)
        Lines that are beyond doubt.
    dispersion : float
        Factor by which misfits exceed the noise; they are divided by it, so that a systematic misfit buys no phases.
    only_presence : bool
        Fit only frames in which there is a choice, and without standard errors: what is asked for is
        `PhaseSets.present`.
    """
    names = tuple(c.id for c in courses)
    frames = data.n_frames
    doubt = _in_doubt(courses, frames) & ~certain
    sets, table = _candidate_sets(certain, doubt)
    bic = np.full((len(sets), frames), IMPOSSIBLE)
    wanted: dict[str, list[int]] = {n: [] for n in names}
    fits: list[tuple[NDArray[np.intp], FrameBatch] | None] = []
    settled = table.sum(axis=0) == 1
    if only_presence:
        bic[table & settled] = 0.0
    for s, members in enumerate(sets):
        rows = np.flatnonzero(table[s] & ~settled) if only_presence else np.flatnonzero(table[s])
        if rows.size == 0 or not members:
            fits.append(None)
            continue
        start = np.array([courses[k].position[rows] for k in members])
        prior = np.array([courses[k].sigma[rows] for k in members])
        chosen = [names[k] for k in members]
        batch = fit_frames(data.only(rows), chosen, model, start, prior_sigma=prior, errors=not only_presence)
        free = np.where(certain[list(members)][:, rows], 0.0, 2.0).sum(axis=0)
        bic[s, rows] = batch.chi2 / dispersion + np.log(data.x.size) * free
        fits.append((rows, batch))
    best_free = bic.min(axis=0)
    for s, members in enumerate(sets):
        entry = fits[s]
        if entry is None:
            continue
        rows, batch = entry
        ghost = _ghosts(batch, members, certain[:, rows], model.shape, guard)
        for i, k in enumerate(members):
            bad = ghost[i] & (bic[s, rows] <= best_free[rows])
            wanted[names[k]] += [int(f) for f in rows[bad]]
        if len(members) > 1:
            bic[s, rows[ghost.any(axis=0)]] += IMPOSSIBLE / 2
    path = _cheapest_path(bic, sets, len(names), guard)
    rejected = {n: tuple(sorted(set(f))) for n, f in wanted.items() if f}
    return _collect(data, courses, sets, fits, path, bic, rejected)


def _in_doubt(courses: Sequence[Trajectory], frames: int) -> BoolArray:
    doubt = np.zeros((len(courses), frames), bool)
    for k, c in enumerate(courses):
        for f in np.flatnonzero(c.seen):
            doubt[k, max(0, f - REACH_FRAMES) : f + REACH_FRAMES + 1] = True
    return doubt


def _candidate_sets(certain: BoolArray, doubt: BoolArray) -> tuple[list[tuple[int, ...]], BoolArray]:
    """Return all sets in question and in which frames each one is, as a table (S, F)."""
    pairs, which = np.unique(np.concatenate([certain, doubt]), axis=1, return_inverse=True)
    size = len(certain)
    where: dict[tuple[int, ...], list[int]] = {}
    for kind, column in enumerate(pairs.T):
        sure, open_ = np.flatnonzero(column[:size]), np.flatnonzero(column[size:])
        for count in range(len(open_) + 1):
            for extra in combinations(open_, count):
                where.setdefault(tuple(sorted(int(k) for k in (*sure, *extra))), []).append(kind)
    sets = sorted(where, key=lambda m: (len(m), m))
    return sets, np.array([np.isin(which.ravel(), where[members]) for members in sets])


def _ghosts(
    batch: FrameBatch, members: tuple[int, ...], certain: BoolArray, shape: LineShape, guard: Guard
) -> BoolArray:
    """Return which lines of a fit do not deserve to be called a phase, shape (K, G)."""
    total = np.maximum(batch.area, 0.0).sum(axis=0)
    with np.errstate(all="ignore"):
        weak = batch.area < guard.least_share * total
    close = np.zeros_like(weak)
    for i in range(len(members)):
        for j in range(len(members)):
            if i != j:
                width = max(shape.width(batch.names[i]), shape.width(batch.names[j]))
                near = np.abs(batch.position[i] - batch.position[j]) < guard.least_separation * width
                close[i] |= near & (batch.area[i] <= batch.area[j])
    return np.asarray((weak | close) & ~certain[list(members)])


def _cheapest_path(bic: FloatArray, sets: list[tuple[int, ...]], n_lines: int, guard: Guard) -> NDArray[np.intp]:
    member = np.zeros((len(sets), n_lines), bool)
    for s, m in enumerate(sets):
        member[s, list(m)] = True
    switch = guard.switch_cost * (member[:, None] ^ member[None]).sum(axis=2)
    frames = bic.shape[1]
    cost, back = bic[:, 0].copy(), np.zeros((frames, len(sets)), dtype=np.intp)
    for f in range(1, frames):
        total = cost[:, None] + switch
        back[f] = total.argmin(axis=0)
        cost = total[back[f], np.arange(len(sets))] + bic[:, f]
    path = np.empty(frames, dtype=np.intp)
    path[-1] = int(cost.argmin())
    for f in range(frames - 1, 0, -1):
        path[f - 1] = back[f, path[f]]
    return path


def _collect(
    data: FrameData,
    courses: Sequence[Trajectory],
    sets: list[tuple[int, ...]],
    fits: Sequence[tuple[NDArray[np.intp], FrameBatch] | None],
    path: NDArray[np.intp],
    bic: FloatArray,
    rejected: dict[str, tuple[int, ...]],
) -> PhaseSets:
    k, frames = len(courses), data.n_frames
    position = np.stack([c.position for c in courses])
    values = [np.zeros((k, frames)) for _ in range(3)]
    present, expected = np.zeros((k, frames), bool), np.zeros_like(data.y)
    for s, entry in enumerate(fits):
        present[np.ix_(sets[s], path == s)] = True
        if entry is None:
            continue
        rows, batch = entry
        at = np.flatnonzero(path[rows] == s)
        f = rows[at]
        for i, member in enumerate(sets[s]):
            position[member, f] = batch.position[i, at]
            for target, source in zip(values, (batch.position_sigma, batch.area, batch.area_sigma), strict=True):
                target[member, f] = source[i, at]
        expected[f] = batch.expected[at]
    others = bic.copy()
    others[path, np.arange(frames)] = np.inf
    margin = others.min(axis=0, initial=np.inf) - bic[path, np.arange(frames)]
    margin[margin > IMPOSSIBLE / 10] = np.inf
    names = tuple(c.id for c in courses)
    return PhaseSets(names, present, position, values[0], values[1], values[2], expected, margin, rejected)


def keep_persistent(present: BoolArray, persistence: int) -> BoolArray:
    """Take out runs of frames shorter than `persistence`, and fill gaps that short, shape (K, F).

    A run that touches an end of the series is kept: it may go on outside.
    """
    result = present.copy()
    for row in result:
        for value in (False, True):  # first close gaps, then drop short runs
            for start, stop in runs(row == value):
                if stop - start < persistence and start > 0 and stop < row.size:
                    row[start:stop] = not value
    return result


def neighbours_agree(forward: PhaseSets, backward: PhaseSets) -> BoolArray:
    """Return in which frames two readings of a series found the same set, shape (F,)."""
    return np.asarray((forward.present == backward.present).all(axis=0))
