"""The (003) series: which phases are there in each frame, how much of each, and when they come and go.

The course of an analysis: shape and lines of the cell from frames of a single phase; unnamed lines frame by frame;
tracks and their names; the set of phases of each frame; a joint fit for the shapes; the sets again with these shapes,
read both ways; onsets and ends as kinks of the amounts; the joint fit of the final sets, whose covariance the numbers
carry. Every step is linear in the number of frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.errors import DataError
from layerscope.fitting.limits import feldman_cousins

from ..radiation import FloatArray, Radiation
from .bragg import d_from_two_theta
from .components import ComponentSet, HardwareLine, lco_003
from .fractions import fractions_of
from .frames import FrameData, fit_frames
from .joint import JointFit, fit_joint, fit_reference, frame_covariance, with_variance
from .lines import DiffractionLine
from .model import HeldLine, LineShape
from .onset import PhaseEvent, fit_kink, interval_frames
from .search import FoundLine, find_lines
from .selection import Guard, PhaseSets, choose_sets, keep_persistent, neighbours_agree, runs
from .tracks import Track, Trajectory, label_tracks, link_lines, past_the_turn, trajectory

__all__ = ["LineSeries", "SeriesOptions", "analyse_series"]

BoolArray = NDArray[np.bool_]

POINTS_A_WIDTH = 2.4
"""Points to a width that the search for lines needs."""

REFERENCE_FRAMES = 30
"""Frames of a single phase that are enough to know the shape and the lines of the cell."""

WEAK = 8.0
"""Standard errors of an area below which the course of the line over the frames helps to place it."""

SHOULDER_WIDTHS = 2.5
"""Distance, in widths, within which a weak companion of a strong line is taken for the misfit of its flank."""

KINK_REACH = 6
"""Frames by which a kink may lie away from where the sets of phases begin or end."""


@dataclass(frozen=True)
class SeriesOptions:
    """How a series is analysed.

    Attributes
    ----------
    components : ComponentSet
    hardware : tuple of HardwareLine
        Lines of the cell to look for.
    window : (float, float), optional
        Range of 2theta in which phases are looked for (degrees); that of the components where nothing is given.
    background : int
        Degree of the polynomial.
    axial : bool
        Whether lines are smeared by axial divergence.
    reference_frames : tuple of int
        Frames of a single phase that the first shape is taken from.
    guard : Guard
    max_lines : int
        Most lines of a frame.
    noise_factor : float
        Variance over mean of the intensities: 1 for counts, k for counts multiplied by k.
    intensity_per_weight : mapping of str to float, optional
        Overrides the declared factors.
    shape_frames : int
        Most frames that the intermediate joint fit of the shapes uses.
    """

    components: ComponentSet = field(default_factory=lco_003)
    hardware: tuple[HardwareLine, ...] = ()
    window: tuple[float, float] | None = None
    background: int = 2
    axial: bool = True
    reference_frames: tuple[int, ...] = (0, 1, 2, 3, 4)
    guard: Guard = field(default_factory=Guard)
    max_lines: int = 4
    noise_factor: float = 1.0
    intensity_per_weight: dict[str, float] | None = None
    shape_frames: int = 120


@dataclass(frozen=True)
class LineSeries:
    """Result of a series: K lines, F frames.

    Attributes
    ----------
    options : SeriesOptions
    names : tuple of str
        Identifiers of the components, in the order of the charge.
    two_theta : ndarray, shape (n,)
        Axis (degrees).
    time_s, voltage_V : ndarray, shape (F,), or None
    present : ndarray of bool, shape (K, F)
    position, position_sigma : ndarray, shape (K, F)
        Bragg angle of K-alpha-1 (degrees); NaN where absent.
    d, d_sigma : ndarray, shape (K, F)
        Spacing (Å).
    fwhm, fwhm_sigma : ndarray, shape (K,)
        Width of each line (degrees), shared by all frames.
    mixing, axial : (float, float)
        Shared shape with standard errors.
    area, area_covariance : ndarray, shape (K, F), (F, K, K)
        Zero where absent.
    area_fraction, area_fraction_covariance
        Fractions of the intensity.
    weight_fraction, weight_fraction_covariance
        Fractions of the weight.
    free_fraction, free_sigma : ndarray, shape (K, F)
        Area fraction a line would have in frames where it was judged absent (either sign); NaN elsewhere.
    upper_limit : ndarray, shape (K, F)
        95 % upper limit of the area fraction there.
    events : tuple of PhaseEvent
    margin : ndarray, shape (F,)
        BIC by which the next best set of phases is worse.
    both_ways : ndarray of bool, shape (F,)
        Whether the series read forward and backward gave the same set.
    rejected : dict of str to tuple of int
        Frames in which the guard refused a line.
    hardware : tuple of HeldLine
        Lines of the cell that were found.
    joint : JointFit
        The final fit with everything in it.
    flags, notes : tuple of str
    """

    options: SeriesOptions
    names: tuple[str, ...]
    two_theta: FloatArray
    time_s: FloatArray
    voltage_V: FloatArray | None
    present: BoolArray
    position: FloatArray
    position_sigma: FloatArray
    d: FloatArray
    d_sigma: FloatArray
    fwhm: FloatArray
    fwhm_sigma: FloatArray
    mixing: tuple[float, float]
    axial: tuple[float, float]
    area: FloatArray
    area_covariance: FloatArray
    area_fraction: FloatArray
    area_fraction_covariance: FloatArray
    weight_fraction: FloatArray
    weight_fraction_covariance: FloatArray
    free_fraction: FloatArray
    free_sigma: FloatArray
    upper_limit: FloatArray
    events: tuple[PhaseEvent, ...]
    margin: FloatArray
    both_ways: BoolArray
    rejected: dict[str, tuple[int, ...]]
    hardware: tuple[HeldLine, ...]
    joint: JointFit
    flags: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def factors(self) -> FloatArray:
        """Intensity per weight of every line, shape (K,)."""
        return np.array([_factor(self.options, n) for n in self.names])

    def fitted_line(self, name: str) -> str:
        """Return under which name a phase's line was fitted: O3' may be the line that began as O3."""
        return name if name in self.joint.names else self.joint.names[0]

    def total(self, names: Sequence[str], *, weight: bool = True) -> tuple[FloatArray, FloatArray]:
        """Return the summed fraction of some lines and its standard error, each of shape (F,)."""
        index = [self.names.index(n) for n in names if n in self.names]
        values = self.weight_fraction if weight else self.area_fraction
        c = self.weight_fraction_covariance if weight else self.area_fraction_covariance
        sigma = np.sqrt(np.maximum(c[:, index][:, :, index].sum(axis=(1, 2)), 0.0))
        return values[index].sum(axis=0), sigma


@dataclass
class _State:
    """What is known in the course of an analysis."""

    data: FrameData
    line: DiffractionLine
    shape: LineShape
    held: tuple[HeldLine, ...]
    options: SeriesOptions
    window: tuple[float, float]
    dispersion: float = 1.0


def analyse_series(
    two_theta: ArrayLike,
    intensity: ArrayLike,
    radiation: Radiation,
    *,
    time_s: ArrayLike | None = None,
    voltage_V: ArrayLike | None = None,
    options: SeriesOptions | None = None,
) -> LineSeries:
    """Analyse a series of frames.

    Parameters
    ----------
    two_theta : array-like, shape (n,)
        Degrees, ascending, the same for all frames.
    intensity : array-like, shape (F, n)
        Counts (or counts times a factor, see `SeriesOptions.noise_factor`).
    radiation : Radiation
    time_s : array-like, shape (F,), optional
        Time of each frame (s), ascending; the frame's number where nothing is given.
    voltage_V : array-like, shape (F,), optional
        Cell voltage of each frame.
    options : SeriesOptions, optional

    Returns
    -------
    LineSeries

    Raises
    ------
    DataError
        If arrays do not fit together, values are not finite, or time does not ascend.
    FitError
        If no line stands out in the reference frames.
    """
    options = options or SeriesOptions()
    x, y, time, voltage = _checked(two_theta, intensity, time_s, voltage_V, options)
    line = DiffractionLine(radiation, axial=options.axial)
    window = options.window or (options.components.low_deg, options.components.high_deg)
    start_variance = options.noise_factor * np.maximum(_smooth(y), 1.0 / max(options.noise_factor, 1e-9))
    data = FrameData(x, y, start_variance, np.ones(y.shape, bool))
    reference = np.array([f for f in options.reference_frames if f < len(y)], dtype=np.intp)
    shape, held = fit_reference(data, reference, line, options.hardware, polynomial=options.background, window=window)
    state = _State(data, line, shape, held, options, window)
    _refine_reference(state, reference.size)
    found, expected, state.dispersion = _search(state)
    state.data = with_variance(data, expected, options.noise_factor)
    tracks = link_lines(
        found, persistence=options.guard.persistence, shoulder_deg=SHOULDER_WIDTHS * state.shape.width("line")
    )
    named, notes = label_tracks(tracks, options.components)
    if not named:
        raise DataError("no line is there in consecutive frames", hint="check the window and the counts")
    names = tuple(sorted(named, key=options.components.ids.index))
    sets, courses = _first_sets(names, named, state)
    state.shape = _shapes(state, courses, sets)
    sets, courses, agree = _choose_again(state, sets)
    present = _from_kinks(state, sets, courses, time)
    joint = _joint(state, names, present, courses, sets)
    state.data = with_variance(state.data, joint.fit.expected, options.noise_factor)
    return _result(state, joint, courses, sets, agree, time, voltage, notes)


def _dispersion(data: FrameData, expected: FloatArray) -> float:
    """Return by how much the misfit of a typical frame exceeds the noise; 1 if it does not."""
    freedom = max(data.x.size - 8, 1)
    typical = float(np.median((((data.y - expected) * data.root_weight) ** 2).sum(axis=1))) / freedom
    return typical if typical > 1.0 + 4.0 * np.sqrt(2.0 / freedom) else 1.0


def _refine_reference(state: _State, few: int) -> None:
    """Take the shape, and the lines of the cell, from all over the series: from frames with a single line."""
    rows = np.arange(0, state.data.n_frames, max(1, state.data.n_frames // (2 * REFERENCE_FRAMES)))
    data = FrameData(state.data.x, state.data.y[rows], state.data.variance[rows], state.data.use[rows])
    found, expected, _ = _search(replace(state, data=data))
    single = np.array([i for i, lines in enumerate(found) if len(lines) == 1], dtype=np.intp)
    if single.size <= few:
        return
    options = state.options
    state.shape, state.held = fit_reference(
        with_variance(data, expected, options.noise_factor),
        single,
        state.line,
        options.hardware,
        polynomial=options.background,
        window=state.window,
    )


def _search(state: _State) -> tuple[list[list[FoundLine]], FloatArray, float]:
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
    together = int(np.clip(state.shape.width("line") / (POINTS_A_WIDTH * step), 1, 4))
    coarse = _binned(data, together)
    found, expected = find_lines(
        coarse,
        state.line,
        state.shape,
        state.held,
        polynomial=state.options.background,
        window=state.window,
        max_lines=state.options.max_lines,
    )
    dispersion = _dispersion(coarse, expected)
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


def _checked(
    two_theta: ArrayLike,
    intensity: ArrayLike,
    time_s: ArrayLike | None,
    voltage: ArrayLike | None,
    options: SeriesOptions,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray | None]:
    x, y = np.asarray(two_theta, float), np.asarray(intensity, float)
    if x.ndim != 1 or y.ndim != 2 or y.shape[1] != x.size:
        raise DataError(f"axis {x.shape} and intensities {y.shape} do not fit", hint="shapes (n,) and (F, n)")
    if not (np.isfinite(x).all() and np.isfinite(y).all()) or (np.diff(x) <= 0).any():
        raise DataError("the axis must ascend and all values must be numbers")
    dark = np.flatnonzero(y.max(axis=1) <= 0)
    if dark.size:
        raise DataError(f"frame {dark[0]} holds no counts", hint="leave such frames out of the series")
    if not options.noise_factor > 0:
        raise DataError("the noise factor must be positive")
    time = np.arange(len(y), dtype=float) if time_s is None else np.asarray(time_s, float)
    if time.shape != (len(y),) or not np.isfinite(time).all() or (np.diff(time) <= 0).any():
        raise DataError(f"{len(y)} frames need as many ascending times, not {time.shape}")
    volts = None if voltage is None else np.asarray(voltage, float)
    if volts is not None and (volts.shape != time.shape or not np.isfinite(volts).all()):
        raise DataError(f"{len(y)} frames need as many voltages, not {volts.shape}")
    return x, y, time, volts


def _smooth(y: FloatArray) -> FloatArray:
    padded = np.pad(y, ((0, 0), (2, 2)), mode="edge")
    return np.asarray(sum(padded[:, k : k + y.shape[1]] for k in range(5)) / 5.0)


def _first_sets(names: Sequence[str], named: dict[str, Track], state: _State) -> tuple[PhaseSets, list[Trajectory]]:
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
    present = keep_persistent(area_sigma > 0, state.options.guard.persistence)
    position = np.where(area_sigma > 0, position, np.stack([c.position for c in courses]))
    margin = np.full(size[1], np.inf)
    sets = PhaseSets(
        tuple(names), present, position, position_sigma, area, area_sigma, np.zeros_like(state.data.y), margin, {}
    )
    return sets, courses


def _choose(state: _State, courses: list[Trajectory], certain: BoolArray, *, only_doubt: bool = False) -> PhaseSets:
    sets = choose_sets(
        state.data,
        courses,
        state.line,
        state.shape,
        state.held,
        polynomial=state.options.background,
        guard=state.options.guard,
        certain=certain,
        dispersion=state.dispersion,
        only_doubt=only_doubt,
    )
    return replace(sets, present=keep_persistent(sets.present, state.options.guard.persistence))


def _shapes(state: _State, courses: list[Trajectory], sets: PhaseSets) -> LineShape:
    """Fit the shapes jointly, in a selection of frames if there are many."""
    frames = state.data.n_frames
    step = max(1, frames // state.options.shape_frames)
    rows = np.arange(0, frames, step)
    data = FrameData(state.data.x, state.data.y[rows], state.data.variance[rows], state.data.use[rows])
    thin = replace(
        sets,
        present=sets.present[:, rows],
        area=sets.area[:, rows],
        area_sigma=sets.area_sigma[:, rows],
        position=sets.position[:, rows],
    )
    parts = [Trajectory(c.id, c.position[rows], c.sigma[rows], c.seen[rows]) for c in courses]
    joint = _joint(replace(state, data=data), tuple(c.id for c in courses), thin.present, parts, thin)
    return joint.shape


def _choose_again(state: _State, sets: PhaseSets) -> tuple[PhaseSets, list[Trajectory], BoolArray]:
    """Choose the sets with fitted shapes; read the series forward and backward too, and tell where that differs."""
    frames = state.data.n_frames
    certain = sets.present & (sets.area > 12.0 * sets.area_sigma) & (sets.area_sigma > 0)

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
    forward, backward = (_choose(state, courses(side), certain, only_doubt=True) for side in ("before", "after"))
    return chosen, both, neighbours_agree(forward, backward)


def _joint(
    state: _State, names: Sequence[str], present: BoolArray, courses: Sequence[Trajectory], sets: PhaseSets
) -> JointFit:
    with np.errstate(all="ignore"):
        ratio = np.where(sets.area_sigma > 0, sets.area / sets.area_sigma, 0.0)
    significance = np.sqrt((np.maximum(ratio, 0.0) ** 2).sum(axis=1))
    # a prior on every position would fix what they have in common, which the axial divergence has to find
    weak = (ratio < WEAK) | ~present
    return fit_joint(
        state.data,
        names,
        present,
        np.where(weak, np.stack([c.position for c in courses]), sets.position),
        np.where(weak, np.stack([c.sigma for c in courses]), np.inf),
        significance,
        state.line,
        state.shape,
        state.held,
        polynomial=state.options.background,
    )


def _free_amounts(
    state: _State, names: Sequence[str], present: BoolArray, position: FloatArray, *, reach: int = 10
) -> tuple[FloatArray, FloatArray]:
    """Fit the area of absent lines around their runs, positions held; area fractions and errors, NaN elsewhere."""
    k, frames = present.shape
    wanted = np.zeros_like(present)
    for j in range(k):
        for start, stop in runs(present[j]):
            wanted[j, max(0, start - reach) : stop + reach] = True
    wanted &= ~present
    fraction, sigma = np.full((k, frames), np.nan), np.full((k, frames), np.nan)
    groups: dict[tuple[int, ...], list[int]] = {}
    for f in np.flatnonzero(wanted.any(axis=0)):
        groups.setdefault(tuple(int(j) for j in np.flatnonzero(wanted[:, f] | present[:, f])), []).append(int(f))
    for members, rows in groups.items():
        at = np.array(rows, dtype=np.intp)
        where = position[np.ix_(members, rows)]
        batch = fit_frames(
            state.data,
            at,
            [names[j] for j in members],
            state.line,
            state.shape,
            state.held,
            state.options.background,
            where,
            prior_sigma=np.full(where.shape, 1e-4),
        )
        total = np.where(present[np.ix_(members, rows)], batch.area, 0.0).sum(axis=0)
        for i, j in enumerate(members):
            new = wanted[j, at]
            fraction[j, at[new]] = (batch.area[i] / total)[new]
            sigma[j, at[new]] = (batch.area_sigma[i] / total)[new]
    return fraction, sigma


def _from_kinks(state: _State, sets: PhaseSets, courses: Sequence[Trajectory], time: FloatArray) -> BoolArray:
    """Return presence with every appearance and end moved to the kink of the amounts."""
    position = np.where(sets.present, sets.position, np.stack([c.position for c in courses]))
    free, free_sigma = _free_amounts(state, sets.names, sets.present, position)
    total = np.where(sets.present, sets.area, 0.0).sum(axis=0)
    with np.errstate(all="ignore"):
        fraction = np.where(sets.present, sets.area / total, free)
        sigma = np.where(sets.present & (sets.area_sigma > 0), sets.area_sigma / total, free_sigma)
    present = sets.present.copy()
    index = np.arange(time.size)
    for event, k, run in _kinks(sets.names, sets.present, fraction, sigma, time, time, None):
        edge = run[0] if event.kind == "onset" else run[1] - 1
        near = np.abs(index - edge) <= KINK_REACH
        inside = time >= event.time_s.value if event.kind == "onset" else time <= event.time_s.value
        # beyond the reach of the kink, and on the far side of the run, presence is what it was
        middle = (index < run[1]) if event.kind == "onset" else (index >= run[0])
        present[k, near & middle] = inside[near & middle]
    empty = ~present.any(axis=0)
    present[:, empty] = sets.present[:, empty]
    return present


def _kinks(
    names: Sequence[str],
    present: BoolArray,
    fraction: FloatArray,
    sigma: FloatArray,
    time: FloatArray,
    frame_time: FloatArray,
    voltage: FloatArray | None,
) -> list[tuple[PhaseEvent, int, tuple[int, int]]]:
    events = []
    frames = time.size
    for k, name in enumerate(names):
        for run in runs(present[k]):
            for kind, open_ in (("onset", run[0] > 0), ("end", run[1] < frames)):
                if not open_:
                    continue
                at = interval_frames(run, frames, fraction[k], kind, before=10, after=14)  # type: ignore[arg-type]
                at = at[np.isfinite(fraction[k, at]) & np.isfinite(sigma[k, at]) & (sigma[k, at] > 0)]
                edge = run[0] if kind == "onset" else run[1] - 1
                low, high = max(edge - KINK_REACH, 0), min(edge + KINK_REACH, frames - 1)
                event = fit_kink(
                    name,
                    kind,  # type: ignore[arg-type]
                    time[at],
                    fraction[k, at],
                    sigma[k, at],
                    bounds=(float(time[low]), float(time[high])),
                    frame_time=frame_time,
                    voltage=voltage,
                )
                if event is not None:
                    events.append((event, k, run))
    return events


@dataclass(frozen=True)
class _Naming:
    """Which phase each fitted line is in each frame: P phases from K lines."""

    names: tuple[str, ...]
    line: NDArray[np.intp]  # (P,)
    valid: BoolArray  # (P, F)

    def spread(self, values: FloatArray, fill: float) -> FloatArray:
        """Return values of lines (K, F) as values of phases (P, F)."""
        return np.where(self.valid, values[self.line], fill)


def _naming(state: _State, joint: JointFit, courses: Sequence[Trajectory], voltage: FloatArray | None) -> _Naming:
    """Name the first line by its run: what it is called changes where its spacing has turned."""
    first, turned = state.options.components.components[:2]
    frames = state.data.n_frames
    names, line, valid = [], [], []
    for k, name in enumerate(joint.names):
        if name == first.id and turned.side == "turn" and turned.id not in joint.names:
            past = past_the_turn(courses[k].position, voltage)
            for label, mask in ((first.id, ~past), (turned.id, past)):
                if (mask & joint.present[k]).any():
                    names.append(label)
                    line.append(k)
                    valid.append(mask)
        else:
            names.append(name)
            line.append(k)
            valid.append(np.ones(frames, bool))
    return _Naming(tuple(names), np.array(line, dtype=np.intp), np.array(valid))


def _result(
    state: _State,
    joint: JointFit,
    courses: Sequence[Trajectory],
    sets: PhaseSets,
    agree: BoolArray,
    time: FloatArray,
    voltage: FloatArray | None,
    notes: tuple[str, ...],
) -> LineSeries:
    fit, lines = joint.fit, joint.names
    state = replace(state, shape=joint.shape)
    naming = _naming(state, joint, courses, voltage)
    names, k = naming.names, naming.line
    present = joint.present[k] & naming.valid
    on = (present[:, None, :] & present[None]).transpose(2, 0, 1)
    areas = np.where(present, np.stack([fit.value(f"{n}_area") for n in lines])[k], 0.0)
    covariance = frame_covariance(fit, [f"{n}_area" for n in lines])[:, k][:, :, k] * on
    factors = np.array([_factor(state.options, n) for n in names])
    area_fraction, area_covariance = fractions_of(areas, covariance, np.ones(len(names)))
    weight_fraction, weight_covariance = fractions_of(areas, covariance, factors)
    area_covariance, weight_covariance = area_covariance * on, weight_covariance * on
    position = np.stack([fit.value(f"{n}_center") for n in lines])
    smooth = np.stack([c.position for c in courses])
    free, free_sigma = _free_amounts(state, lines, joint.present, np.where(joint.present, position, smooth))
    events = _line_events(joint, naming, free, free_sigma, time, voltage)
    free, free_sigma = naming.spread(free, np.nan), naming.spread(free_sigma, np.nan)
    known = np.isfinite(free)
    limit = np.full(free.shape, np.nan)
    limit[known] = feldman_cousins(free[known], free_sigma[known], 0.95).high
    shown = np.where(present, position[k], np.nan)
    shown_sigma = np.where(present, np.stack([fit.sigma(f"{n}_center") for n in lines])[k], np.nan)
    d, d_sigma = d_from_two_theta(shown, state.line.radiation.alpha1, shown_sigma)
    return LineSeries(
        options=state.options,
        names=names,
        two_theta=state.data.x,
        time_s=time,
        voltage_V=voltage,
        present=present,
        position=shown,
        position_sigma=shown_sigma,
        d=d,
        d_sigma=d_sigma,
        fwhm=np.array([fit.value(f"{lines[i]}_fwhm")[0] for i in k]),
        fwhm_sigma=np.array([fit.sigma(f"{lines[i]}_fwhm")[0] for i in k]),
        mixing=_shared(joint, "mixing"),
        axial=_shared(joint, "axial") if state.options.axial else (0.0, 0.0),
        area=areas,
        area_covariance=covariance,
        area_fraction=area_fraction,
        area_fraction_covariance=area_covariance,
        weight_fraction=weight_fraction,
        weight_fraction_covariance=weight_covariance,
        free_fraction=free,
        free_sigma=free_sigma,
        upper_limit=limit,
        events=events,
        margin=sets.margin,
        both_ways=agree,
        rejected=sets.rejected,
        hardware=state.held,
        joint=joint,
        flags=_flags(joint, agree, sets, notes),
        notes=notes,
    )


def _line_events(
    joint: JointFit,
    naming: _Naming,
    free: FloatArray,
    free_sigma: FloatArray,
    time: FloatArray,
    voltage: FloatArray | None,
) -> tuple[PhaseEvent, ...]:
    """Return onsets and ends of the fitted lines, called by what the line is then.

    That the line of O3 is called O3' once its spacing has turned is no event: nothing appears there.
    """
    lines, present = joint.names, joint.present
    on = (present[:, None, :] & present[None]).transpose(2, 0, 1)
    areas = np.where(present, np.stack([joint.fit.value(f"{n}_area") for n in lines]), 0.0)
    covariance = frame_covariance(joint.fit, [f"{n}_area" for n in lines]) * on
    fraction, spread = fractions_of(areas, covariance, np.ones(len(lines)))
    known = np.isfinite(free)
    merged = np.where(known, free, fraction)
    sigma = np.where(known, free_sigma, np.sqrt(np.einsum("fkk->kf", spread * on)))
    events = []
    for event, k, run in _kinks(lines, present, merged, sigma, time, time, voltage):
        frame = run[0] if event.kind == "onset" else run[1] - 1
        label = next(
            n for n, i, ok in zip(naming.names, naming.line, naming.valid, strict=True) if i == k and ok[frame]
        )
        events.append(replace(event, phase=label))
    return tuple(events)


def _shared(joint: JointFit, name: str) -> tuple[float, float]:
    full = f"{joint.names[0]}_{name}"
    return float(joint.fit.value(full)[0]), float(joint.fit.sigma(full)[0])


def _flags(joint: JointFit, agree: BoolArray, sets: PhaseSets, notes: tuple[str, ...]) -> tuple[str, ...]:
    flags = [] if joint.fit.converged else ["NOT_CONVERGED"]
    if joint.fit.batch.covariance.undetermined[joint.fit.group]:
        flags.append("UNDETERMINED")
    fit = joint.fit
    freedom = max(fit.n_data - fit.n_free, 1)
    spread = 4.0 * np.sqrt(2.0 / freedom)
    if abs(fit.redchi - 1.0) > spread:
        flags.append(f"{'OVER' if fit.redchi > 1 else 'UNDER'}DISPERSED {fit.redchi:.3g}")
    flags += [f"DIRECTION:{f}" for f in np.flatnonzero(~agree)]
    flags += [f"GHOST:{name}[{f}]" for name, frames in sets.rejected.items() for f in frames]
    flags += [f"WIDTH_TIED:{name}" for name in joint.names if name not in joint.own_width]
    return (*flags, *(["UNNAMED_LINE"] if notes else []))


def _factor(options: SeriesOptions, name: str) -> float:
    given = options.intensity_per_weight or {}
    return float(given.get(name, options.components[name].intensity_per_weight))
