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
from .line_discrepancy import LineErrors, with_line_discrepancy
from .line_series import Counting, LineSeries, SeriesOptions
from .lines import DiffractionLine
from .names import CERTAIN_NAME, OTHER, Labelling, LineCourse, name_lines
from .selection import PhaseSets, keep_persistent
from .stages import (
    SHOULDER_WIDTHS,
    State,
    choose_again,
    first_sets,
    fit_shapes,
    free_amounts,
    presence_from_kinks,
    refine_reference,
    search_lines,
    settled_fit,
)
from .tracks import Trajectory, link_lines, name_tracks, past_the_turn

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
    named = name_tracks(tracks, options.components, radiation.alpha1, voltage)
    if not named:
        raise DataError("no line is there in consecutive frames", hint="check the window and the counts")
    names = tuple(named)
    sets, courses = first_sets(names, named, state)
    state.model = replace(state.model, shape=fit_shapes(state, courses, sets))
    sets, courses, agree = choose_again(state, sets)
    present = presence_from_kinks(state, sets, courses, time)
    joint, merged = settled_fit(state, names, present, courses, sets)
    joint = replace(joint, fit=with_errors(joint.fit, options.fit.errors))
    state.data = with_variance(state.data, joint.fit.expected, options.noise_factor)
    return _result(state, with_line_discrepancy(joint), merged, courses, sets, agree, time, voltage)


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
class _Rows:
    """What the fitted lines are called: R rows from K lines, in the order of the charge."""

    names: tuple[str, ...]
    phases: tuple[str, ...]
    line: NDArray[np.intp]  # (R,)
    valid: BoolArray  # (R, F)
    sure: tuple[bool, ...]
    labellings: tuple[Labelling, ...]

    def spread(self, values: FloatArray, fill: float) -> FloatArray:
        """Return values of lines (K, F) as values of rows (R, F)."""
        return np.where(self.valid, values[self.line], fill)


def _rows(
    state: State, joint: JointFit, areas: FloatArray, courses: Sequence[Trajectory], voltage: FloatArray | None
) -> _Rows:
    """Name the lines; what the first one is called changes where its spacing has turned."""
    components, frames = state.options.components, state.data.n_frames
    first, turned = components.components[0], components.turned
    there = [k for k in range(len(joint.names)) if joint.present[k].any()]
    found = name_lines(_line_courses(state, joint, areas, there), components, voltage)
    labellings = tuple(_over_all(entry, there, len(joint.names)) for entry in found)
    best = labellings[0].phases
    sure = [sum(e.probability for e in labellings if e.phases[k] == best[k]) >= CERTAIN_NAME for k in range(len(best))]
    entries: list[tuple[int, str, int, BoolArray]] = []
    for k in there:
        order = components[best[k]].order if best[k] else len(components.ids)
        parts = [(order, best[k], np.ones(frames, bool))]
        if best[k] == first.id and turned is not None and turned.id not in best:
            past = past_the_turn(courses[k].position, voltage)
            parts = [(order, first.id, ~past), (turned.order, turned.id, past)]
            parts = [part for part in parts if (part[2] & joint.present[k]).any()]
        entries += [(rank, phase, k, mask) for rank, phase, mask in parts]
    entries.sort(key=lambda e: (e[0], -float(areas[e[2]].sum())))
    names: list[str] = []
    for _, phase, _, _ in entries:
        base = phase or "other"
        number = sum(n.partition("_")[0] == base for n in names)
        names.append(base if number == 0 else f"{base}_{number + 1}")
    return _Rows(
        tuple(names),
        tuple(e[1] for e in entries),
        np.array([e[2] for e in entries], dtype=np.intp),
        np.array([e[3] for e in entries]),
        tuple(sure[e[2]] for e in entries),
        labellings,
    )


def _over_all(found: Labelling, there: Sequence[int], count: int) -> Labelling:
    """Return a labelling of all fitted lines, those that are in no frame unnamed."""
    named = dict(zip(there, found.phases, strict=True))
    return Labelling(tuple(named.get(k, OTHER) for k in range(count)), found.probability)


def _line_courses(state: State, joint: JointFit, areas: FloatArray, there: Sequence[int]) -> list[LineCourse]:
    """Return spacings, shares of the intensity and widths of the fitted lines."""
    wavelength = state.model.line.radiation.alpha1
    with np.errstate(all="ignore"):
        share = np.where(areas.sum(axis=0) > 0, areas / areas.sum(axis=0), 0.0)
    courses = []
    for k in there:
        name, at = joint.names[k], np.flatnonzero(joint.present[k])
        d, _ = d_from_two_theta(joint.fit.value(f"{name}_center")[at], wavelength)
        ratio = joint.shape.width(name) / joint.shape.width(joint.names[0]) if name in joint.own_width else None
        courses.append(LineCourse(at, d, share[k, at], ratio))
    return courses


def _result(
    state: State,
    found: LineErrors,
    merged: BoolArray,
    courses: Sequence[Trajectory],
    sets: PhaseSets,
    agree: BoolArray,
    time: FloatArray,
    voltage: FloatArray | None,
) -> LineSeries:
    found = replace(found, joint=_positive(found.joint))
    joint = found.joint
    fit, lines = joint.fit, joint.names
    state = replace(state, model=replace(state.model, shape=joint.shape))
    line_areas = np.where(joint.present, np.stack([fit.value(f"{n}_area") for n in lines]), 0.0)
    rows = _rows(state, joint, line_areas, courses, voltage)
    k = rows.line
    present = joint.present[k] & rows.valid
    on = (present[:, None, :] & present[None]).transpose(2, 0, 1)
    position = np.stack([fit.value(f"{n}_center") for n in lines])
    smooth = np.stack([c.position for c in courses])
    free, free_sigma = free_amounts(state, lines, joint.present, np.where(joint.present, position, smooth))
    there = keep_persistent(joint.present | merged, state.options.fit.guard.persistence)
    events = _phase_events(found, rows, (free, free_sigma), there, time, voltage)
    free, free_sigma = rows.spread(free, np.nan), rows.spread(free_sigma, np.nan)
    known = np.isfinite(free) & (np.nan_to_num(free_sigma) > 0)  # a limit that cannot be had costs no more than itself
    free = np.where(known, free, np.nan)
    limit = np.full(free.shape, np.nan)
    limit[known] = feldman_cousins(free[known], free_sigma[known], 0.95).high
    shown = np.where(present, position[k], np.nan)
    errors = _errors(found, on=(joint.present[:, None, :] & joint.present[None]).transpose(2, 0, 1))
    shown_sigma = np.where(present, errors[0].position[k], np.nan)
    d, d_sigma = d_from_two_theta(shown, state.model.line.radiation.alpha1, shown_sigma)
    empty = np.zeros(present.shape)
    result = LineSeries(
        options=state.options,
        names=rows.names,
        phases=rows.phases,
        lines=tuple(lines[i] for i in k),
        sure=rows.sure,
        labellings=rows.labellings,
        two_theta=state.data.x,
        time_s=time,
        voltage_V=voltage,
        present=present,
        merged=merged[k] & rows.valid,
        position=shown,
        position_sigma=shown_sigma,
        d=d,
        d_sigma=d_sigma,
        fwhm=np.array([fit.value(f"{lines[i]}_fwhm")[0] for i in k]),
        fwhm_sigma=errors[0].fwhm[k],
        mixing=_shared(joint, "mixing"),
        axial=_shared(joint, "axial") if state.options.fit.axial else (0.0, 0.0),
        area=np.where(present, line_areas[k], 0.0),
        area_covariance=errors[0].area[:, k][:, :, k] * on,
        area_fraction=empty,
        area_fraction_covariance=empty,
        weight_fraction=empty,
        weight_fraction_covariance=empty,
        free_fraction=free,
        free_sigma=free_sigma,
        upper_limit=limit,
        events=events,
        margin=sets.margin,
        both_ways=agree,
        rejected=sets.rejected,
        hardware=state.model.held,
        joint=joint,
        flags=(),
        notes=(),
        discrepancy=found.found,
        counting=None if len(errors) == 1 else _rows_of(errors[1], k, on),
    )
    result = result.with_fractions()
    return replace(result, flags=_flags(result), notes=_notes(result))


def _errors(found: LineErrors, on: BoolArray) -> list[Counting]:
    """Return the errors of the fitted lines: the whole ones and, where shapes are wrong, those from counts alone."""
    lines = found.joint.names
    both = [found.joint.fit] if found.joint.fit is found.plain else [found.joint.fit, found.plain]
    errors = []
    for fit in both:
        moved = fit is not found.plain  # the step is an error of its own: how far misfit and how it is weighed matter
        area = fit.covariance_within([f"{n}_area" for n in lines])
        position = np.stack([fit.sigma(f"{n}_center") for n in lines])
        fwhm = np.array([fit.sigma(f"{n}_fwhm")[0] for n in lines])
        if moved:
            by = np.stack([found.moved(f"{n}_area") for n in lines])
            area = area + np.einsum("kf,lf->fkl", by, by)
            position = np.hypot(position, np.stack([found.moved(f"{n}_center") for n in lines]))
            fwhm = np.hypot(fwhm, [found.moved(f"{n}_fwhm")[0] for n in lines])
        errors.append(Counting(area * on, position, fwhm, area, area))
    return errors


def _rows_of(errors: Counting, k: NDArray[np.intp], on: BoolArray) -> Counting:
    area = errors.area[:, k][:, :, k] * on
    return Counting(area, errors.position[k], errors.fwhm[k], area, area)


def _positive(joint: JointFit) -> JointFit:
    """Return a fit without the lines whose amount is not positive in a frame that holds others."""
    amount = np.stack([joint.fit.value(f"{n}_area") for n in joint.names])
    present = joint.present & (amount > 0)
    return replace(joint, present=np.where(present.any(axis=0), present, joint.present))


def _phase_events(
    found: LineErrors,
    rows: _Rows,
    absent: tuple[FloatArray, FloatArray],
    there: BoolArray,
    time: FloatArray,
    voltage: FloatArray | None,
) -> tuple[PhaseEvent, ...]:
    """Return onsets and ends of the phases: their lines together, called by what the line is then.

    That the line of O3 is called O3' once its spacing has turned is no event: nothing appears there.
    """
    joint = found.joint
    lines, present = joint.names, joint.present
    on = (present[:, None, :] & present[None]).transpose(2, 0, 1)
    areas = np.where(present, np.stack([joint.fit.value(f"{n}_area") for n in lines]), 0.0)
    covariance = joint.fit.covariance_within([f"{n}_area" for n in lines]) * on
    fraction, spread = fractions_of(areas, covariance, np.ones(len(lines)))
    by = np.stack([found.moved(f"{n}_area") for n in lines]) / np.maximum(areas.sum(axis=0), 1e-300)
    spread = (spread + np.einsum("kf,lf->fkl", by, by)) * on
    best = rows.labellings[0].phases
    phases = [p for p in dict.fromkeys(best) if p != OTHER]
    own = np.array([[float(p == name) for p in best] for name in phases])
    amount = own @ np.nan_to_num(fraction)
    # lines that are nearly one another's twin have variances that rounding makes negative
    sigma = np.sqrt(np.maximum(np.einsum("pk,fkl,pl->pf", own, spread, own), 0.0))
    for p, members in enumerate(own > 0):
        known = np.isfinite(absent[0]) & members[:, None]
        gone = ~(present & members[:, None]).any(axis=0) & known.any(axis=0)
        amount[p, gone] = np.where(known, absent[0], 0.0)[:, gone].sum(axis=0)
        sigma[p, gone] = np.sqrt((np.where(known, absent[1], 0.0)[:, gone] ** 2).sum(axis=0))
    runs = np.array([(there & (members > 0)[:, None]).any(axis=0) for members in own])
    events = []
    for event, p, run in find_kinks(phases, runs, amount, sigma, time, voltage):
        frame = run[0] if event.kind == "onset" else run[1] - 1
        of_line = [best[i] == phases[p] for i in rows.line]
        named = zip(rows.phases, of_line, rows.valid, strict=True)
        label = next((n for n, mine, ok in named if mine and ok[frame]), phases[p])
        events.append(replace(event, phase=label))
    return tuple(events)


def _shared(joint: JointFit, name: str) -> tuple[float, float]:
    full = f"{joint.names[0]}_{name}"
    return float(joint.fit.value(full)[0]), float(joint.fit.sigma(full)[0])


def _flags(result: LineSeries) -> tuple[str, ...]:
    """Return what a reader must know beyond the fit itself."""
    tied = [f"WIDTH_TIED:{n}" for n, line in _shown(result) if line not in result.joint.own_width]
    unnamed = [n for n, p, ok in zip(result.names, result.phases, result.sure, strict=True) if not p and ok]
    return (*tied, *(["UNNAMED_LINE"] if unnamed else []))


def _shown(result: LineSeries) -> list[tuple[str, str]]:
    return list(zip(result.names, result.lines, strict=True))


def _notes(result: LineSeries) -> tuple[str, ...]:
    """Return where the lines lie that are none of the set."""
    found = []
    for k, (phase, sure) in enumerate(zip(result.phases, result.sure, strict=True)):
        if not phase and sure:
            start = int(np.flatnonzero(result.present[k])[0])
            place = float(np.nanmedian(result.position[k]))
            found.append(f"a line at {place:.2f} degrees from frame {start} is none of the set: it is in no fraction")
    return tuple(found)
