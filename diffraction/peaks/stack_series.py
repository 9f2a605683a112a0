"""A finished series of lines read again as stacks of layers, with errors that allow for wrong shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.discrepancy import Discrepancy, estimate, generalised, linear
from layerscope.fitting.limits import feldman_cousins
from layerscope.flags import threshold

from ..events import find_kinks
from ..onset import PhaseEvent
from ..radiation import FloatArray
from .bragg import d_from_two_theta
from .components import Stacking
from .fractions import fractions_of, slope_of_share
from .frames import FrameData
from .line_series import LineSeries
from .model import HeldLine, LineModel
from .selection import keep_persistent
from .stack_beside import line_left_over, strange_line, strange_lines
from .stack_fit import ROUGH, Range, StackFit, StackTask, values_of_start
from .stack_model import StackModel
from .stacking import block_length, share_of_empty
from .tracks import trajectory

__all__ = ["LINES", "Reading", "StackSeries", "Weighed", "keep_likely", "read_stacks"]

BoolArray = NDArray[np.bool_]

BESIDE = 8
"""Most frames beside those of several phases in which other stacks are looked for: their ghosts are seen there."""

SIGNIFICANT = 3.0
"""Standard errors, wrong shapes included, above which a stack is there."""

LIKELY = 1.0
"""Standard errors above which it is there beside frames that hold it: stacks come and go, but seldom for one frame."""

LINES = "lines of their own"
"""The alternative to stacks."""

CLEARLY = 10.0
"""By how much an order of range three has to win by BIC: what is beside the formula does much of the same."""

EMPTY, EMPTY_SIGMA = 0.25, 0.065
"""Share of empty interlayers that a mixed stack may have: with none or with half it is one of the other two."""

LAW = 0.01
"""Error of the share of empty interlayers when the blocks follow another law, from simulated series of four laws."""


@dataclass(frozen=True)
class Reading:
    """A number with the error that counting alone gives it, and with its whole error."""

    value: float
    counting: float
    sigma: float


@dataclass(frozen=True)
class Weighed:
    """One of the models that were compared."""

    name: str
    chi2: float
    n_free: int
    bic: float
    chosen: bool


@dataclass(frozen=True)
class StackSeries:
    """A series as stacks; K = 3 stacks (ordered, mixed, alternating), F frames.

    Attributes
    ----------
    stacking : Stacking
    rows : ndarray of int
        Frames in which there may be more than ordered stacks.
    present : ndarray of bool, shape (3, F)
    share : ndarray, shape (3, F)
        Of the layers; 0 where a stack is absent.
    counting, covariance : ndarray, shape (F, 3, 3)
        Of the shares: from the counts alone, and with wrong shapes.
    free, free_sigma, limit : ndarray, shape (3, F)
        Share that a stack would have where it was judged absent (either sign), its error, and its 95 % upper limit.
    plain, fit : StackFit
        By least squares, and after a step with the discrepancies.
    discrepancy : dict of str to Discrepancy
        What the residuals say about the shapes: of the instrument's line, and of the mixed stack.
    compared : tuple of Weighed
        Models of the same frames.
    neighbour : (StackFit, float)
        Another order of range two or three, and the weight of what it says of the order.
    events : tuple of PhaseEvent
        Onsets and ends, above the ghosts.
    """

    stacking: Stacking
    rows: NDArray[np.intp]
    present: BoolArray
    share: FloatArray
    counting: FloatArray
    covariance: FloatArray
    free: FloatArray
    free_sigma: FloatArray
    limit: FloatArray
    plain: StackFit
    fit: StackFit
    discrepancy: dict[str, Discrepancy]
    compared: tuple[Weighed, ...]
    neighbour: tuple[StackFit, float]
    events: tuple[PhaseEvent, ...]

    def of_order(self, function: Callable[[float, float, float], float], law: float = 0.0) -> Reading:
        """Return a function of the probabilities, with errors; `law` is a further part of the whole one."""
        names = ["p", "r", "p_after"]
        at = np.array([self.fit.values[n] for n in names])
        step = 1e-5 * np.eye(3)
        slope = np.array([function(*(at + s)) - function(*(at - s)) for s in step]) / 2e-5
        sigmas = []
        for one in (self.plain, self.fit):
            covariance = one.fit.covariance_within(names)[-1]
            sigmas.append(float(np.sqrt(max(slope @ covariance @ slope, 0.0))))
        other, weight = self.neighbour
        apart = function(*(other.values[n] for n in names)) - function(*at)
        return Reading(function(*at), sigmas[0], float(np.sqrt(sigmas[1] ** 2 + law**2 + weight * apart**2)))

    def of_total(self, chosen: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return what counts and wrong shapes bring to the summed share of some stacks; `chosen` is 1 for these.

        Returns
        -------
        counting : ndarray, shape (F, F)
            Covariance between all frames from the counts, and from what they tell of shapes that all frames share.
        model : ndarray, shape (F, F)
            What is beyond that. Few crystallites make each frame's shape wrong in a way of its own; that makes shared
            shapes less well known, too, and that, like another law of the order, is alike in all frames.
        """
        parts = []
        for one in (self.plain, self.fit):
            slope = slope_of_share(one.amounts()[0], self.present, chosen)
            parts.append(one.fit.covariance_of_sum(one.areas, slope))
        counting, fitted = parts
        model = fitted - counting
        whole = np.einsum("k,fkl,l->f", chosen, self.covariance, chosen)
        alike = np.sqrt(np.maximum(whole - np.diag(fitted), 0.0))
        return counting, model + np.outer(alike, alike)

    @property
    def gain(self) -> float:
        """By how much the BIC of stacks is lower than that of lines."""
        of = {w.name == LINES: w.bic for w in self.compared if w.chosen or w.name == LINES}
        return of[True] - of[False]

    @property
    def mixed(self) -> bool:
        """Whether a frame holds mixed stacks; without one nothing is known of their order."""
        return bool(self.present[1].any())

    @property
    def doubts(self) -> tuple[str, ...]:
        """What a reader must know about the stacks beyond their fit, as flags."""
        away = self.fit.conflicts()
        if self.mixed:
            away["empty"] = (self.empty.value - EMPTY) / EMPTY_SIGMA
        pulled = {name: z for name, z in away.items() if abs(z) > threshold("PRIOR_CONFLICT")}
        found = [f"PRIOR_CONFLICT:{name} {z:+.1f}" for name, z in pulled.items()]
        found += [f"AT_BOUND:{name}" for name in ("p", "r") if self.mixed and name in self.fit.fit.at_bound()]
        if -self.gain > threshold("LINES_FIT_BETTER"):
            found.append(f"LINES_FIT_BETTER:{-self.gain:.0f}")
        return tuple(found)

    def alike(self, frame: int) -> tuple[str, ...]:
        """Return which stacks of a frame cannot be told apart well, as flags."""
        covariance = self.fit.fit.covariance_within(self.fit.areas)[frame]
        sigma = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
        correlation = covariance / sigma / sigma[:, None] * np.outer(self.present[:, frame], self.present[:, frame])
        names, limit = self.stacking.names, threshold("STACKS_ALIKE")
        pairs = [(a, b) for a in range(3) for b in range(a) if abs(correlation[a, b]) > limit]
        return tuple(f"STACKS_ALIKE:{names[b]}~{names[a]} {correlation[a, b]:.2f}" for a, b in pairs)

    @property
    def empty(self) -> Reading:
        """Share of empty interlayers in the mixed stacks."""
        return self.of_order(share_of_empty, LAW)

    @property
    def blocks(self) -> tuple[Reading, Reading]:
        """Mean layers of an alternating and of a filled block in the mixed stacks."""
        one, other = (self.of_order(lambda p, r, after, k=k: block_length(p, r, after)[k]) for k in (0, 1))  # type: ignore[misc]
        return one, other

    def empty_in_all(self, frame: int) -> Reading:
        """Return the share of empty interlayers among all in a frame."""
        inside = self.empty
        weights = np.array([0.0, inside.value, 0.5])
        mixed = float(self.share[1, frame])
        errors = [
            float(np.hypot(np.sqrt(max(weights @ c[frame] @ weights, 0.0)), mixed * e))
            for c, e in ((self.counting, inside.counting), (self.covariance, inside.sigma))
        ]
        return Reading(float(weights @ self.share[:, frame]), errors[0], errors[1])


def read_stacks(series: LineSeries) -> StackSeries | None:
    """Read a finished series as stacks; None where its set of lines names no stacks or no frame holds several phases.

    Parameters
    ----------
    series : LineSeries
        Whose first line gives the course of the filled spacing, and whose lines tell where several phases are.
    """
    stacking, joint = series.options.components.stacking, series.joint
    strange = strange_lines(series)
    late = _beside(np.asarray(joint.present[1:][~strange[1:]].any(axis=0)))
    if stacking is None or not late.any():
        return None
    every = np.stack([np.ones(late.size, bool), late, late])
    beside = [strange_line(series, int(k)) for k in np.flatnonzero(strange)]
    task, start, ends = _task(series, stacking, beside)
    asked = task.staged(start, every, 2)
    found = line_left_over(asked, start["fwhm"], ends)
    if found is not None:
        task, start, _ = _task(series, stacking, [*beside, found])
        asked = task.staged(start, every, 2)
    asked_gls, _ = _with_discrepancies(asked)
    free, covariance = fractions_of(*asked_gls.amounts(), np.ones(3))
    sigma = np.sqrt(np.maximum(np.einsum("fkk->kf", covariance), 0.0))
    present = keep_likely(every, free / np.maximum(sigma, 1e-12), series.options.fit.guard.persistence)
    present[0] |= ~present.any(axis=0)
    fits = _orders(task, asked, present)
    compared = _compared(series, task.data, fits)
    other = fits[2 if compared[2].chosen else 3]
    chosen = next(n for n, w in zip(fits, compared, strict=False) if w.chosen)
    result, discrepancy = _with_discrepancies(fits[chosen])
    share, whole = fractions_of(*result.amounts(), np.ones(3))
    whole = whole + _of_other_orders(fits, compared, chosen)
    absent = ~present & late
    free = np.where(absent, free, np.nan)
    limit = np.full(free.shape, np.nan)
    limit[absent] = feldman_cousins(np.maximum(free[absent], -5 * sigma[absent]), sigma[absent], 0.95).high
    merged = np.where(absent, free, share)
    read = StackSeries(
        stacking=stacking,
        rows=np.flatnonzero(late),
        present=present,
        share=share,
        counting=fractions_of(*fits[chosen].amounts(), np.ones(3))[1],
        covariance=whole,
        free=free,
        free_sigma=np.where(absent, sigma, np.nan),
        limit=limit,
        plain=fits[chosen],
        fit=result,
        discrepancy=discrepancy,
        compared=compared,
        neighbour=(other, 1.0 if compared[2].chosen else _weight(compared)),
        events=(),
    )
    return replace(read, events=_events(series, read, late, merged, np.where(absent, sigma, _sd(whole))))


_WAVELENGTH_OF_SETS = 1.5405929
"""Å; for which the sets of lines give angles."""


def _task(
    series: LineSeries, stacking: Stacking, beside: Sequence[HeldLine]
) -> tuple[StackTask, dict[str, float], tuple[float, float]]:
    """Return what is to be fitted beside some lines, its start, and the ends of the stacks (degrees)."""
    joint = series.joint
    fit, factor = joint.fit, series.options.noise_factor
    use = fit.root_weight > 0
    given = 1.0 / np.square(np.where(use, fit.root_weight, 1.0))
    variance = given if factor is None else factor * np.maximum(fit.expected, 0.5)
    data = FrameData(series.two_theta, fit.y, variance, use)
    lines = LineModel(joint.model.line, joint.shape, (*series.hardware, *beside), joint.model.polynomial)
    typical = series.options.components[stacking.alternating].two_theta_deg
    mean_spacing = float(d_from_two_theta([typical], _WAVELENGTH_OF_SETS)[0][0])
    start, course = values_of_start(lines, mean_spacing), _course(series)
    spacings = np.array([course.max(), course.min(), mean_spacing])
    first, last, alternating = np.degrees(2.0 * np.arcsin(lines.line.radiation.alpha1 / (2.0 * spacings)))
    model = StackModel(
        stacking,
        lines.line,
        data.x,
        held=lines.held,
        axial=lines.shape.axial,
        polynomial=lines.polynomial,
        width=start["fwhm"],
        mixing=start["mixing"],
        alternating=float(alternating),
    )
    return StackTask(data, model, course), start, (float(min(first, alternating)), float(max(last, alternating)))


def _sd(covariance: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt(np.maximum(np.einsum("fkk->kf", covariance), 0.0)))


def _orders(task: StackTask, asked: StackFit, present: BoolArray) -> dict[Range, StackFit]:
    """Return the fits of orders of range one, two and three; each is a special case of the next."""
    everything = np.arange(present.shape[1])
    two = task.fit(everything, asked.values, present, task.free, 2)
    one = task.staged(two.values, present, 1, again=False)
    if two.fit.chi2 > one.fit.chi2:  # another minimum was found
        two = task.fit(everything, one.values, present, task.free, 2)
    apart = {**two.values, "p_after": 0.8 * two.values["p"]}
    three = task.fit(everything, apart, present, task.free, 3, tolerances=ROUGH)
    return {1: one, 2: two, 3: three}


def _weight(compared: tuple[Weighed, ...]) -> float:
    """Return the weight of an order of range three beside that of range two."""
    return float(np.exp(-0.5 * max(compared[2].bic - compared[1].bic, 0.0)))


def _of_other_orders(fits: dict[Range, StackFit], compared: tuple[Weighed, ...], chosen: Range) -> FloatArray:
    """Return what other orders change in the shares of each frame, as a covariance (F, 3, 3).

    Longer ranges count in full, as no order of a finite range is the true one; shorter ones by their weight.
    """
    shares = {n: fractions_of(*one.amounts(), np.ones(3))[0] for n, one in fits.items()}
    lost = {n: w.bic for n, w in zip(fits, compared, strict=False)}
    total = np.zeros((shares[chosen].shape[1], 3, 3))
    for n, share in shares.items():
        weight = 1.0 if n > chosen else float(np.exp(-0.5 * (lost[n] - lost[chosen])))
        change = (share - shares[chosen]).T
        total += weight * change[:, :, None] * change[:, None] * (n != chosen)
    return total


def _beside(several: BoolArray) -> BoolArray:
    """Return frames of several phases and those beside them, but no more than a third of those of one phase."""
    by = min(BESIDE, int((~several).sum()) // 3)
    return np.asarray(np.convolve(several, np.ones(2 * by + 1))[by : by + several.size] > 0.5)


def keep_likely(every: BoolArray, significance: FloatArray, persistence: int) -> BoolArray:
    """Return where stacks are: beyond doubt in some frames that follow each other, and likely in those beside."""
    sure = keep_persistent(every & (significance > SIGNIFICANT), persistence)
    likely = every & (significance > LIKELY)
    for k, row in enumerate(sure):
        for f in (*range(1, row.size), *range(row.size - 2, -1, -1)):
            row[f] |= likely[k, f] and (row[f - 1] or row[min(f + 1, row.size - 1)])
    return sure


def _course(series: LineSeries) -> FloatArray:
    """Return the smooth course of the filled spacing (Å), from the first line of the series."""
    joint, name = series.joint, series.joint.names[0]
    seen = np.flatnonzero(joint.present[0])
    position, sigma = joint.fit.value(f"{name}_center"), joint.fit.sigma(f"{name}_center")
    course = trajectory(name, seen, position[seen], np.maximum(sigma[seen], 1e-4), joint.present.shape[1])
    return d_from_two_theta(course.position, joint.model.line.radiation.alpha1)[0]


def _with_discrepancies(fitted: StackFit) -> tuple[StackFit, dict[str, Discrepancy]]:
    """Return the fit after a step with what the residuals say about its shapes.

    Frames of one phase tell about the instrument's line, which all stacks share; frames of several, what is then left,
    about the mixed stack.
    """
    at, curves = linear(fitted.fit), fitted.curves()
    several = fitted.present[1:].any(axis=0)
    found, roots = {}, []
    if (~several).any():
        found["line"] = estimate(at, curves[0], np.flatnonzero(~several))
        if found["line"].amplitude:
            roots = [found["line"].roots(at, curve) for curve in curves]
    if several.any():
        seen = at.whitened(roots) if roots else at
        found["mixed"] = estimate(seen, curves[1], np.flatnonzero(several))
        roots.append(found["mixed"].roots(at, curves[1]))
    return replace(fitted, fit=generalised(fitted.fit, at, roots)), found


def _compared(series: LineSeries, data: FrameData, fits: dict[Range, StackFit]) -> tuple[Weighed, ...]:
    """Return orders of range one to three, and the lines, by BIC on the same points with the same weights."""
    count = int(data.use.sum())
    line = series.joint.fit
    rows = [(f"stacks, range {n}", fits[n].fit.chi2, fits[n].fit.n_estimated) for n in fits]
    misfit = float((((data.y - line.expected) * data.root_weight) ** 2).sum())
    rows.append((LINES, misfit, line.n_estimated))
    bic = [chi2 + free * float(np.log(count)) for _, chi2, free in rows]
    best = int(np.argmin(bic[: len(fits)]))
    if best == 2 and bic[2] > bic[1] - CLEARLY:
        best = 1
    return tuple(Weighed(*row, bic[k], k == best) for k, row in enumerate(rows))


def _events(
    series: LineSeries,
    read: StackSeries,
    late: BoolArray,
    share: FloatArray,
    sigma: FloatArray,
) -> tuple[PhaseEvent, ...]:
    """Return onsets and ends of mixed and alternating stacks.

    A wrong shape of the instrument's line leaves a ghost of them in frames of one phase. It is taken off, and its
    scatter is part of the errors. What is wrong alike in the other frames moves a kink however many they are.
    """
    present = read.present
    alone = late & ~present[1:].any(axis=0)
    share, sigma = np.where(late, share, np.nan)[1:], sigma[1:].copy()
    if alone.sum() >= 3:
        ghost = share[:, alone]
        weight = 1.0 / sigma[:, alone] ** 2
        mean = (ghost * weight).sum(axis=1) / weight.sum(axis=1)
        more = np.maximum(ghost.var(axis=1, ddof=1) - 1.0 / weight.mean(axis=1), 0.0)
        share, sigma = share - mean[:, None], np.sqrt(sigma**2 + more[:, None])
    common = np.stack([np.sqrt(np.maximum(np.diag(read.of_total(chosen)[1]), 0.0)) for chosen in np.eye(3)[1:]])
    names = read.stacking.names[1:]
    events = find_kinks(names, present[1:], share, sigma, series.time_s, series.voltage_V, common)
    return tuple(event for event, _, _ in events)
