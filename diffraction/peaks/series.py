"""The (003) series: which phases are there in each frame, how much of each, and when they come and go.

The course of an analysis: shape and lines of the cell from frames of a single phase; unnamed lines frame by frame;
tracks and their names; the set of phases of each frame; a joint fit for the shapes; the sets again with these shapes,
read both ways; onsets and ends as kinks of the amounts; the joint fit of the final sets, whose covariance the numbers
carry. Every step is linear in the number of frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.errors import DataError
from layerscope.fitting.errors import with_errors
from layerscope.fitting.limits import feldman_cousins

from ..events import find_kinks
from ..onset import PhaseEvent
from ..radiation import FloatArray, Radiation
from .bragg import d_from_two_theta
from .fractions import fractions_of
from .frames import first_data
from .joint import JointFit, fit_reference, with_variance
from .line_series import LineSeries, SeriesOptions, factor_of
from .lines import DiffractionLine
from .selection import PhaseSets
from .stages import (
    SHOULDER_WIDTHS,
    State,
    choose_again,
    first_sets,
    fit_final,
    fit_shapes,
    free_amounts,
    presence_from_kinks,
    refine_reference,
    search_lines,
)
from .tracks import Trajectory, label_tracks, link_lines, past_the_turn

__all__ = ["LineSeries", "SeriesOptions", "analyse_series"]

BoolArray = NDArray[np.bool_]


def analyse_series(
    two_theta: ArrayLike,
    intensity: ArrayLike,
    radiation: Radiation,
    *,
    variance: ArrayLike | None = None,
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
    variance : array-like, shape (F, n), optional
        Of the intensities, infinite where nothing was measured. Where there is a noise factor, only the infinite ones
        count.
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
    line = DiffractionLine(radiation, axial=options.fit.axial)
    window = options.window or (options.components.low_deg, options.components.high_deg)
    data = first_data(x, y, variance, options.noise_factor)
    reference = np.array([f for f in options.reference_frames if f < len(y)], dtype=np.intp)
    model = fit_reference(
        data.only(reference), line, options.hardware, polynomial=options.fit.background, window=window
    )
    state = State(data, model, options, window)
    refine_reference(state, reference.size)
    found, expected, state.dispersion = search_lines(state)
    state.data = with_variance(data, expected, options.noise_factor)
    tracks = link_lines(
        found, persistence=options.fit.guard.persistence, shoulder_deg=SHOULDER_WIDTHS * state.model.shape.width("line")
    )
    named, notes = label_tracks(tracks, options.components)
    if not named:
        raise DataError("no line is there in consecutive frames", hint="check the window and the counts")
    names = tuple(sorted(named, key=options.components.ids.index))
    sets, courses = first_sets(names, named, state)
    state.model = replace(state.model, shape=fit_shapes(state, courses, sets))
    sets, courses, agree = choose_again(state, sets)
    present = presence_from_kinks(state, sets, courses, time)
    joint = fit_final(state, names, present, courses, sets)
    joint = replace(joint, fit=with_errors(joint.fit, options.fit.errors))
    state.data = with_variance(state.data, joint.fit.expected, options.noise_factor)
    return _result(state, joint, courses, sets, agree, time, voltage, notes)


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
    if options.noise_factor is not None and not options.noise_factor > 0:
        raise DataError("the noise factor must be positive")
    time = np.arange(len(y), dtype=float) if time_s is None else np.asarray(time_s, float)
    if time.shape != (len(y),) or not np.isfinite(time).all() or (np.diff(time) <= 0).any():
        raise DataError(f"{len(y)} frames need as many ascending times, not {time.shape}")
    volts = None if voltage is None else np.asarray(voltage, float)
    if volts is not None and (volts.shape != time.shape or not np.isfinite(volts).all()):
        raise DataError(f"{len(y)} frames need as many voltages, not {volts.shape}")
    return x, y, time, volts


@dataclass(frozen=True)
class _Naming:
    """Which phase each fitted line is in each frame: P phases from K lines."""

    names: tuple[str, ...]
    line: NDArray[np.intp]  # (P,)
    valid: BoolArray  # (P, F)

    def spread(self, values: FloatArray, fill: float) -> FloatArray:
        """Return values of lines (K, F) as values of phases (P, F)."""
        return np.where(self.valid, values[self.line], fill)


def _naming(state: State, joint: JointFit, courses: Sequence[Trajectory], voltage: FloatArray | None) -> _Naming:
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
    state: State,
    joint: JointFit,
    courses: Sequence[Trajectory],
    sets: PhaseSets,
    agree: BoolArray,
    time: FloatArray,
    voltage: FloatArray | None,
    notes: tuple[str, ...],
) -> LineSeries:
    fit, lines = joint.fit, joint.names
    state = replace(state, model=replace(state.model, shape=joint.shape))
    naming = _naming(state, joint, courses, voltage)
    names, k = naming.names, naming.line
    present = joint.present[k] & naming.valid
    on = (present[:, None, :] & present[None]).transpose(2, 0, 1)
    areas = np.where(present, np.stack([fit.value(f"{n}_area") for n in lines])[k], 0.0)
    covariance = fit.covariance_within([f"{n}_area" for n in lines])[:, k][:, :, k] * on
    factors = np.array([factor_of(state.options, n) for n in names])
    area_fraction, area_covariance = fractions_of(areas, covariance, np.ones(len(names)))
    weight_fraction, weight_covariance = fractions_of(areas, covariance, factors)
    area_covariance, weight_covariance = area_covariance * on, weight_covariance * on
    position = np.stack([fit.value(f"{n}_center") for n in lines])
    smooth = np.stack([c.position for c in courses])
    free, free_sigma = free_amounts(state, lines, joint.present, np.where(joint.present, position, smooth))
    events = _line_events(joint, naming, free, free_sigma, time, voltage)
    free, free_sigma = naming.spread(free, np.nan), naming.spread(free_sigma, np.nan)
    known = np.isfinite(free)
    limit = np.full(free.shape, np.nan)
    limit[known] = feldman_cousins(free[known], free_sigma[known], 0.95).high
    shown = np.where(present, position[k], np.nan)
    shown_sigma = np.where(present, np.stack([fit.sigma(f"{n}_center") for n in lines])[k], np.nan)
    d, d_sigma = d_from_two_theta(shown, state.model.line.radiation.alpha1, shown_sigma)
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
        axial=_shared(joint, "axial") if state.options.fit.axial else (0.0, 0.0),
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
        hardware=state.model.held,
        joint=joint,
        flags=_flags(joint, notes),
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
    covariance = joint.fit.covariance_within([f"{n}_area" for n in lines]) * on
    fraction, spread = fractions_of(areas, covariance, np.ones(len(lines)))
    known = np.isfinite(free)
    merged = np.where(known, free, fraction)
    sigma = np.where(known, free_sigma, np.sqrt(np.einsum("fkk->kf", spread * on)))
    events = []
    for event, k, run in find_kinks(lines, present, merged, sigma, time, voltage):
        frame = run[0] if event.kind == "onset" else run[1] - 1
        label = next(
            n for n, i, ok in zip(naming.names, naming.line, naming.valid, strict=True) if i == k and ok[frame]
        )
        events.append(replace(event, phase=label))
    return tuple(events)


def _shared(joint: JointFit, name: str) -> tuple[float, float]:
    full = f"{joint.names[0]}_{name}"
    return float(joint.fit.value(full)[0]), float(joint.fit.sigma(full)[0])


def _flags(joint: JointFit, notes: tuple[str, ...]) -> tuple[str, ...]:
    """Return what a reader must know beyond the fit itself."""
    tied = [f"WIDTH_TIED:{name}" for name in joint.names if name not in joint.own_width]
    return (*tied, *(["UNNAMED_LINE"] if notes else []))
