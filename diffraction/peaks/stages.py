"""The stages of the analysis of a series, one after the other; `analyse_series` composes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.solver import Tolerances

from ..events import KINK_REACH, find_kinks
from ..radiation import FloatArray
from .frames import FrameData, fit_frames
from .joint import JointFit, fit_joint, fit_reference, with_variance
from .line_series import SeriesOptions
from .model import LineModel, LineShape
from .search import FoundLine, find_lines
from .selection import CERTAIN, PhaseSets, choose_sets, keep_persistent, neighbours_agree, runs
from .tracks import Track, Trajectory, trajectory

__all__ = [
    "SHOULDER_WIDTHS",
    "State",
    "choose_again",
    "first_sets",
    "fit_final",
    "fit_shapes",
    "free_amounts",
    "presence_from_kinks",
    "refine_reference",
    "search_lines",
    "settled_fit",
]

BoolArray = NDArray[np.bool_]

POINTS_A_WIDTH = 2.4
"""Points to a width that the search for lines needs."""

REFERENCE_FRAMES = 30
"""Frames of a single phase that are enough to know the shape and the lines of the cell."""

WEAK = 8.0
"""Standard errors of an area below which the course of the line over the frames helps to place it."""

SHOULDER_WIDTHS = 2.5
"""Distance, in widths, within which a weak companion of a strong line is taken for the misfit of its flank."""

ROUNDS = 3
"""How often presence is brought into line with the amounts."""

TWINS, TIED, CLEAR = 0.15, 0.95, 5.0
"""Distance in widths, and correlation of the areas, from which on two lines are one; standard errors of a clear one."""

SETTLED = Tolerances(reduction=1e-8, step=1e-7, max_iterations=100)


@dataclass
class State:
    """What is known in the course of an analysis."""

    data: FrameData
    model: LineModel
    options: SeriesOptions
    window: tuple[float, float]
    dispersion: float = 1.0


def typical_misfit(data: FrameData, expected: FloatArray) -> float:
    """Return by how much the misfit of a typical frame exceeds the noise; 1 if it does not."""
    freedom = max(data.x.size - 8, 1)
    typical = float(np.median((((data.y - expected) * data.root_weight) ** 2).sum(axis=1))) / freedom
    return typical if typical > 1.0 + 4.0 * np.sqrt(2.0 / freedom) else 1.0


def refine_reference(state: State, few: int) -> None:
    """Take the shape, and the lines of the cell, from all over the series: from frames with a single line."""
    rows = np.arange(0, state.data.n_frames, max(1, state.data.n_frames // (2 * REFERENCE_FRAMES)))
    data = state.data.only(rows)
    found, expected, _ = search_lines(replace(state, data=data))
    single = np.array([i for i, lines in enumerate(found) if len(lines) == 1], dtype=np.intp)
    if single.size <= few:
        return
    options = state.options
    state.model = fit_reference(
        with_variance(data, expected, options.noise_factor).only(single),
        state.model.line,
        options.hardware,
        polynomial=options.fit.background,
        window=state.window,
    )


def search_lines(state: State) -> tuple[list[list[FoundLine]], FloatArray, float]:
    """Find lines; fine steps are taken together, as many as leave some points to a width.

    Returns
    -------
    found : list of list of FoundLine
    expected : ndarray, shape (F, n)
        Fitted curves on the full axis, good enough for weights.
    dispersion : float
        By how much the misfit of a typical frame exceeds the noise.
    """
    data = state.data
    step = float(np.median(np.diff(data.x)))
    together = int(np.clip(state.model.shape.width("line") / (POINTS_A_WIDTH * step), 1, 4))
    coarse = _binned(data, together)
    found, expected = find_lines(coarse, state.model, window=state.window, max_lines=state.options.fit.max_lines)
    dispersion = typical_misfit(coarse, expected)
    if together > 1:
        expected = np.stack([np.interp(data.x, coarse.x, row) for row in expected])
    return found, expected, dispersion


def _binned(data: FrameData, together: int) -> FrameData:
    """Average neighbouring points."""
    if together == 1:
        return data
    size = data.x.size // together
    shape = (data.n_frames, size, together)
    cut = size * together
    return FrameData(
        data.x[:cut].reshape(size, together).mean(axis=1),
        data.y[:, :cut].reshape(shape).mean(axis=2),
        data.variance[:, :cut].reshape(shape).mean(axis=2) / together,
        np.asarray(data.use[:, :cut].reshape(shape).all(axis=2)),
    )


def first_sets(names: Sequence[str], named: dict[str, Track], state: State) -> tuple[PhaseSets, list[Trajectory]]:
    """Return the sets of phases as the search found them, to fit the shapes with."""
    size = (len(names), state.data.n_frames)
    position, position_sigma, area, area_sigma = (np.zeros(size) for _ in range(4))
    courses = []
    for k, name in enumerate(names):
        lines: list[FoundLine] = named[name].lines
        at = np.array([f.frame for f in lines], dtype=np.intp)
        position[k, at] = [f.position for f in lines]
        position_sigma[k, at] = [f.position_sigma for f in lines]
        area[k, at], area_sigma[k, at] = [f.area for f in lines], [f.area_sigma for f in lines]
        courses.append(trajectory(name, at, position[k, at], position_sigma[k, at], size[1]))
    present = keep_persistent(area_sigma > 0, state.options.fit.guard.persistence)
    position = np.where(area_sigma > 0, position, np.stack([c.position for c in courses]))
    margin = np.full(size[1], np.inf)
    sets = PhaseSets(
        tuple(names), present, position, position_sigma, area, area_sigma, np.zeros_like(state.data.y), margin, {}
    )
    return sets, courses


def _choose(state: State, courses: list[Trajectory], certain: BoolArray, *, only_presence: bool = False) -> PhaseSets:
    sets = choose_sets(
        state.data,
        courses,
        state.model,
        guard=state.options.fit.guard,
        certain=certain,
        dispersion=state.dispersion,
        only_presence=only_presence,
    )
    return replace(sets, present=keep_persistent(sets.present, state.options.fit.guard.persistence))


def fit_shapes(state: State, courses: list[Trajectory], sets: PhaseSets) -> LineShape:
    """Fit the shapes jointly, in a selection of frames if there are many."""
    frames = state.data.n_frames
    step = max(1, frames // state.options.shape_frames)
    rows = np.arange(0, frames, step)
    data = state.data.only(rows)
    thin = replace(
        sets,
        present=sets.present[:, rows],
        area=sets.area[:, rows],
        area_sigma=sets.area_sigma[:, rows],
        position=sets.position[:, rows],
    )
    parts = [Trajectory(c.id, c.position[rows], c.sigma[rows], c.seen[rows]) for c in courses]
    joint = fit_final(replace(state, data=data), tuple(c.id for c in courses), thin.present, parts, thin)
    return joint.shape


def choose_again(state: State, sets: PhaseSets) -> tuple[PhaseSets, list[Trajectory], BoolArray]:
    """Choose the sets with fitted shapes; read the series forward and backward too, and tell where that differs."""
    frames = state.data.n_frames
    certain = sets.present & (sets.area > CERTAIN * sets.area_sigma) & (sets.area_sigma > 0)

    def courses(side: str) -> list[Trajectory]:
        result = []
        for k, name in enumerate(sets.names):
            at = np.flatnonzero(sets.present[k] & (sets.area_sigma[k] > 0) & (sets.area[k] > 3 * sets.area_sigma[k]))
            if at.size < 2:
                at = np.flatnonzero(sets.present[k] & (sets.area_sigma[k] > 0))
            sigma = np.maximum(sets.position_sigma[k, at], 1e-4)
            result.append(trajectory(name, at, sets.position[k, at], sigma, frames, side=side))  # type: ignore[arg-type]
        return result

    both = courses("both")
    chosen = _choose(state, both, certain)
    forward, backward = (_choose(state, courses(side), certain, only_presence=True) for side in ("before", "after"))
    return chosen, both, neighbours_agree(forward, backward)


def fit_final(
    state: State, names: Sequence[str], present: BoolArray, courses: Sequence[Trajectory], sets: PhaseSets
) -> JointFit:
    """Fit a selection of phases jointly; only lines at the limit of detection feel a prior on their place."""
    with np.errstate(all="ignore"):
        ratio = np.where(sets.area_sigma > 0, sets.area / sets.area_sigma, 0.0)
    significance = np.sqrt((np.maximum(ratio, 0.0) ** 2).sum(axis=1))
    # a prior on every position would fix what they have in common, which the axial divergence has to find
    weak = (ratio < WEAK) | ~present
    place = np.where(weak, np.stack([c.position for c in courses]), sets.position)
    spread = np.where(weak, np.stack([c.sigma for c in courses]), np.inf)
    return fit_joint(
        state.data,
        names,
        present,
        place,
        spread,
        significance,
        state.model,
        start=_settle(state, names, present, place, spread),
    )


def settled_fit(
    state: State, names: Sequence[str], present: BoolArray, courses: Sequence[Trajectory], sets: PhaseSets
) -> tuple[JointFit, BoolArray]:
    """Fit jointly until what is there and what is not agree with the amounts.

    A line whose amount is not positive, or that cannot be told from a stronger one, is given up in that frame; one that
    was judged absent comes back where its amount is beyond doubt in frames in a row.

    Returns
    -------
    joint : JointFit
    merged : ndarray of bool, shape (K, F)
        Where a line was given up.
    """
    merged = np.zeros_like(present)
    joint = fit_final(state, names, present, courses, sets)
    for again in range(ROUNDS):
        none, twins = _indistinct(joint)
        lost = none | twins
        found = _overlooked(state, joint, courses) if again == 0 else np.zeros_like(present)
        found &= ~(merged | lost)
        if not (lost.any() or found.any()):
            break
        merged |= twins
        present = (joint.present & ~lost) | found
        empty = ~present.any(axis=0)
        present[:, empty] = joint.present[:, empty]
        joint = fit_final(state, names, present, courses, sets)
    return joint, merged & ~joint.present


def _indistinct(joint: JointFit) -> tuple[BoolArray, BoolArray]:
    """Return which lines have no amount at all, and which one that only a sum of two has, each of shape (K, F)."""
    names, fit, present = joint.names, joint.fit, joint.present
    area = np.stack([fit.value(f"{n}_area") for n in names])
    place = np.stack([fit.value(f"{n}_center") for n in names])
    covariance = fit.covariance_within([f"{n}_area" for n in names])
    sigma = np.sqrt(np.maximum(np.einsum("fkk->kf", covariance), 0.0))
    none, lost = present & (area <= 0), np.zeros_like(present)
    for i, a in enumerate(names):
        for j in range(i + 1, len(names)):
            both = present[i] & present[j]
            reach = TWINS * min(joint.shape.width(a), joint.shape.width(names[j]))
            with np.errstate(all="ignore"):
                r = covariance[:, i, j] / (sigma[i] * sigma[j])
            weaker = np.where(area[i] < area[j], i, j)
            doubtful = np.take_along_axis(area / np.maximum(sigma, 1e-300), weaker[None], axis=0)[0] < CLEAR
            twins = both & ((np.abs(place[i] - place[j]) < reach) | ((r < -TIED) & doubtful))
            for k in (i, j):
                lost[k] |= twins & (weaker == k)
    alone = (present & ~(lost | none)).sum(axis=0) < 1
    none[:, alone] = lost[:, alone] = False
    return none, lost


def _overlooked(state: State, joint: JointFit, courses: Sequence[Trajectory]) -> BoolArray:
    """Return where lines that were judged absent are beyond doubt in frames in a row, shape (K, F)."""
    smooth = np.stack([c.position for c in courses])
    place = np.where(joint.present, np.stack([joint.fit.value(f"{n}_center") for n in joint.names]), smooth)
    model = replace(state.model, shape=joint.shape)
    free, sigma = free_amounts(replace(state, model=model), joint.names, joint.present, place)
    clear = np.nan_to_num(free) > CLEAR * np.where(np.isfinite(sigma), sigma, np.inf)
    clear &= np.nan_to_num(free) > state.options.fit.guard.least_share
    found = np.zeros_like(clear)
    for k, row in enumerate(clear):
        for start, stop in runs(row | joint.present[k]):
            if row[start:stop].sum() >= state.options.fit.guard.persistence:
                found[k, start:stop] = row[start:stop]
    return found


def _settle(
    state: State, names: Sequence[str], present: BoolArray, place: FloatArray, spread: FloatArray
) -> FloatArray:
    """Return positions to start a joint fit from: in frames with a faint line those of a fit of the frame by itself.

    A faint line swings about its place from step to step. By itself it is damped as it needs; in a joint fit, where one
    damping serves all frames, it would be the last to come to rest while all others wait.
    """
    start = place.copy()
    for members, rows in _groups(present, np.flatnonzero((np.isfinite(spread) & present).any(axis=0))):
        index = np.ix_(members, rows)
        alone = fit_frames(
            state.data.only(rows),
            [names[j] for j in members],
            state.model,
            place[index],
            prior_sigma=spread[index],
            errors=False,
            tolerances=SETTLED,
        )
        start[index] = alone.position
    return start


def _groups(members: BoolArray, rows: NDArray[np.intp]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Group some frames by their set of lines, from a table (K, F)."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for f in rows:
        groups.setdefault(tuple(int(j) for j in np.flatnonzero(members[:, f])), []).append(int(f))
    return [(np.array(k, dtype=np.intp), np.array(f, dtype=np.intp)) for k, f in groups.items()]


def free_amounts(
    state: State, names: Sequence[str], present: BoolArray, position: FloatArray, *, reach: int = 10
) -> tuple[FloatArray, FloatArray]:
    """Fit the area of absent lines around their runs, positions held; area fractions and errors, NaN elsewhere."""
    k, frames = present.shape
    wanted = np.zeros_like(present)
    for j in range(k):
        for start, stop in runs(present[j]):
            wanted[j, max(0, start - reach) : stop + reach] = True
    wanted &= ~present
    fraction, sigma = np.full((k, frames), np.nan), np.full((k, frames), np.nan)
    for members, at in _groups(wanted | present, np.flatnonzero(wanted.any(axis=0))):
        where = position[np.ix_(members, at)]
        batch = fit_frames(
            state.data.only(at),
            [names[j] for j in members],
            state.model,
            where,
            prior_sigma=np.full(where.shape, 1e-4),
        )
        total = np.where(present[np.ix_(members, at)], batch.area, 0.0).sum(axis=0)
        for i, j in enumerate(members):
            new = wanted[j, at]
            fraction[j, at[new]] = (batch.area[i] / total)[new]
            sigma[j, at[new]] = (batch.area_sigma[i] / total)[new]
    return fraction, sigma


def presence_from_kinks(state: State, sets: PhaseSets, courses: Sequence[Trajectory], time: FloatArray) -> BoolArray:
    """Return presence with every appearance and end moved to the kink of the amounts."""
    position = np.where(sets.present, sets.position, np.stack([c.position for c in courses]))
    free, free_sigma = free_amounts(state, sets.names, sets.present, position)
    total = np.where(sets.present, sets.area, 0.0).sum(axis=0)
    with np.errstate(all="ignore"):
        fraction = np.where(sets.present, sets.area / total, free)
        sigma = np.where(sets.present & (sets.area_sigma > 0), sets.area_sigma / total, free_sigma)
    present = sets.present.copy()
    index = np.arange(time.size)
    for event, k, run in find_kinks(sets.names, sets.present, fraction, sigma, time, None):
        edge = run[0] if event.kind == "onset" else run[1] - 1
        near = np.abs(index - edge) <= KINK_REACH
        inside = time >= event.time_s.value if event.kind == "onset" else time <= event.time_s.value
        # beyond the reach of the kink, and on the far side of the run, presence is what it was
        middle = (index < run[1]) if event.kind == "onset" else (index >= run[0])
        present[k, near & middle] = inside[near & middle]
    empty = ~present.any(axis=0)
    present[:, empty] = sets.present[:, empty]
    return present
