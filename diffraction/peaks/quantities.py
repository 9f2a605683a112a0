"""From an analysed (003) series to quantities of records: per frame, per series, and between samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from layerscope.flags import threshold
from layerscope.records import Alternative, Quantity
from layerscope.runs.build import held, measured, profiled, some

from ..events import quantities_of_events
from ..radiation import FloatArray
from .fractions import factor_covariance, spread_of_factors
from .line_series import factor_of
from .readings import IntergrowthReading
from .series import LineSeries
from .stages import CLEAR

__all__ = [
    "COUNTING",
    "MODEL",
    "STRUCTURE",
    "frame_alternatives",
    "frame_flags",
    "frame_quantities",
    "label_of",
    "misshapen",
    "name_alternatives",
    "name_is_uncertain",
    "namings",
    "row_labels",
    "series_flags",
    "series_quantities",
    "shape_flags",
    "total_label",
]

COUNTING, STRUCTURE, MODEL = "counting", "structure factor", "model"
"""Parts of an error: from counts, from calculated intensities per weight, and from wrong shapes of lines."""

MOST_NAMINGS, LEAST_NAMING = 5, 0.01
"""Labellings that are told, and the probability below which none is."""


def label_of(result: LineSeries, name: str) -> str:
    """Return what a component is called in records: ``O3'/H1-3``."""
    return result.options.components[name].label


def row_labels(result: LineSeries) -> tuple[str, ...]:
    """Return what each row is called in records: its phase where that is certain, and else where it lies."""
    labels: list[str] = []
    for k, (phase, sure) in enumerate(zip(result.phases, result.sure, strict=True)):
        place = float(np.nanmedian(result.position[k]))
        base = label_of(result, phase) if phase and sure else f"line at {place:.2f} deg"
        number = sum(label == base or label.startswith(f"{base} (") for label in labels)
        labels.append(base if number == 0 else f"{base} ({number + 1})")
    return tuple(labels)


def total_label(result: LineSeries, names: Sequence[str]) -> str:
    """Return what a sum of components is called in records: ``O3'/H1-3 + H1-3``."""
    return " + ".join(label_of(result, n) for n in names)


def namings(result: LineSeries) -> list[LineSeries]:
    """Return the series under each labelling that is worth a word, the most probable one first."""
    return [result.relabelled(one) for one in result.labellings[:MOST_NAMINGS] if one.probability >= LEAST_NAMING]


def name_is_uncertain(result: LineSeries, f: int) -> bool:
    """Return whether a line of frame `f` has no certain name."""
    return any(bool(there) and not sure for there, sure in zip(result.present[:, f], result.sure, strict=True))


def frame_quantities(
    result: LineSeries,
    f: int,
    total: Sequence[str],
    reading: IntergrowthReading | None,
    others: Sequence[LineSeries] = (),
) -> list[Quantity]:
    """Return all quantities of frame `f`: fractions, positions, spacings, areas; limits of what is absent.

    Parameters
    ----------
    result : LineSeries
    f : int
        Row.
    total : sequence of str
        Components whose weight fractions are summed.
    reading : IntergrowthReading or None
        The intergrowth as a mixture of layers.
    others : sequence of LineSeries
        The series under each labelling (`namings`). Where a name is uncertain fractions are those of each of them.
    """
    found: list[Quantity | None] = []
    if name_is_uncertain(result, f):
        for number, other in enumerate(others, start=1):
            found += _fractions(other, f, total, f", naming {number}")
    else:
        found += _fractions(result, f, total)
        found += _layers(result, reading, f, _structure_covariance(result, f))
        for k, phase in enumerate(result.phases):
            if phase and phase in result.phases[:k]:
                continue  # a second line has no amount of its own
            if phase and not result.present[result.rows_of([phase]), f].any():
                found += _absent(result, k, f, label_of(result, phase))
    fit = result.joint.fit
    for k, label in enumerate(row_labels(result)):
        if not result.present[k, f]:
            continue
        at, d = (result.position[k, f], result.position_sigma[k, f]), (result.d[k, f], result.d_sigma[k, f])
        area = result.area[k, f], _sd(result.area_covariance, f, k)
        line, counted = result.lines[k], result.counting
        place = None if counted is None else counted.position[k, f]
        amount = None if counted is None else _sd(counted.area, f, k)
        spacing = None if place is None else place * d[1] / at[1]
        found.append(
            measured("lattice.d_spacing", *d, "angstrom", label, kind=fit.sigma_kind, **_budget(d[1], spacing))
        )
        for what, (value, sigma), unit, fitted, part in (
            ("peak.position", at, "deg", f"{line}_center", place),
            ("peak.area", area, "counts*deg", f"{line}_area", amount),
        ):
            more = {**profiled(fit, fitted, f), **_budget(sigma, part)}
            found.append(measured(what, value, sigma, unit, label, role="refined", kind=fit.sigma_kind, **more))
    return list(some(found))


def _fractions(result: LineSeries, f: int, total: Sequence[str], naming: str = "") -> list[Quantity | None]:
    """Return the fractions of the phases of a frame, and their total."""
    structure, fit = _structure_covariance(result, f), result.joint.fit
    there = [p for p in result.options.components.ids if result.present[result.rows_of([p]), f].any()]
    found: list[Quantity | None] = []
    for phase in there:
        label, own = label_of(result, phase) + naming, result.rows_of([phase])
        if len(there) == 1:  # all there is: one, by the set of phases that was chosen
            found += [held(what, 1.0, "1", label) for what in ("phase.fraction", "phase.area_fraction")]
            continue
        share = float(np.nansum(result.area_fraction[own, f]))
        sigma = math.sqrt(max(float(own @ result.area_fraction_covariance[f] @ own), 0.0))
        found.append(_weight("phase.fraction", result, f, own, structure, label))
        counted = None if result.counting is None else float(own @ result.counting.area_fraction[f] @ own)
        parts = _budget(sigma, None if counted is None else math.sqrt(max(counted, 0.0)))
        found.append(measured("phase.area_fraction", share, sigma, "1", label, kind=fit.sigma_kind, **parts))
    return [*found, _total(result, f, total, structure, naming)]


def _structure_covariance(result: LineSeries, f: int) -> FloatArray:
    """Return what the errors of the intensities per weight bring to the weight fractions of a frame, shape (K, K)."""
    components = result.options.components
    factors = {name: factor_of(result.options, name) for name in components.ids}
    counted = np.flatnonzero([bool(p) for p in result.phases])
    relative = np.zeros((len(result.phases),) * 2)
    relative[np.ix_(counted, counted)] = factor_covariance(components, [result.phases[k] for k in counted], factors)
    present = np.where(result.present[:, f], result.weight_fraction[:, f], 0.0)
    return np.asarray(spread_of_factors(present[:, None], relative)[0])


def _weight(
    name: str,
    result: LineSeries,
    f: int,
    chosen: ArrayLike,
    structure: FloatArray,
    component: str,
    *,
    extra: float = 0.0,
) -> Quantity | None:
    """Return a sum of weight fractions (`chosen`: how much of each) whose error holds counts and structures.

    `extra` is a further standard error from the counts.
    """
    part = np.asarray(chosen, float)
    here = np.nan_to_num(result.weight_fraction[:, f])
    whole = math.sqrt(max(float(part @ result.weight_fraction_covariance[f] @ part), 0.0) + extra**2)
    structural = math.sqrt(max(float(part @ structure @ part), 0.0))
    budget = {COUNTING: whole, STRUCTURE: structural}
    if result.counting is not None:
        counting = math.sqrt(max(float(part @ result.counting.weight_fraction[f] @ part), 0.0) + extra**2)
        budget |= _parts(whole, counting)
    return measured(name, float(part @ here), math.hypot(whole, structural), "1", component, budget=budget)


def _parts(whole: float, counting: float) -> dict[str, float]:
    """Return an error as its part from counts and that from wrong shapes."""
    counting = min(counting, whole)
    return {COUNTING: counting, MODEL: math.sqrt(max(whole**2 - counting**2, 0.0))}


def _budget(whole: float, counting: float | None) -> dict[str, Any]:
    """Return the parts of an error as a field of a quantity; empty where nothing is known of wrong shapes."""
    return {} if counting is None or not whole > 0 else {"budget": _parts(float(whole), float(counting))}


def _sd(covariance: FloatArray, f: int, k: int) -> float:
    return math.sqrt(max(float(covariance[f, k, k]), 0.0))


def _absent(result: LineSeries, k: int, f: int, label: str) -> list[Quantity | None]:
    """Return the amount that an absent line would have, with its upper limit, near the frames in which it is there."""
    free, sigma, limit = (float(a[k, f]) for a in (result.free_fraction, result.free_sigma, result.upper_limit))
    if not math.isfinite(free) or not math.isfinite(limit):
        return []
    factors = result.factors
    here = result.present[:, f] & np.array([bool(p) for p in result.phases])
    others = float((result.area_fraction[here, f] / factors[here]).sum())
    scale = 1.0 / (factors[k] * others) if others > 0 else 1.0  # small amounts: area to weight against the rest
    relative = _relative_error(result, k, f)
    parts = {COUNTING: sigma * scale, STRUCTURE: abs(free) * scale * relative}
    # an error r of the factor widens a limit by some r^2 / 2 (Cousins & Highland 1992), 0.3 % here: left out
    spread = math.hypot(*parts.values())
    return [
        measured("phase.area_fraction", free, sigma, "1", label, upper_limit=limit, limit_confidence=0.95),
        measured(
            "phase.fraction",
            free * scale,
            spread,
            "1",
            label,
            budget=parts,
            upper_limit=limit * scale,
            limit_confidence=0.95,
        ),
    ]


def _relative_error(result: LineSeries, k: int, f: int) -> float:
    """Return the relative error of the factor of an absent line against those that are there."""
    components = result.options.components
    factors = {n: factor_of(result.options, n) for n in components.ids}
    relative = factor_covariance(components, components.ids, factors)
    against = np.zeros(len(components.ids))
    for row, phase in enumerate(result.phases):
        if phase and result.present[row, f]:
            against[components.ids.index(phase)] -= np.nan_to_num(result.weight_fraction[row, f])
    against[components.ids.index(result.phases[k])] += 1.0
    return math.sqrt(max(float(against @ relative @ against), 0.0))


def _total(
    result: LineSeries, f: int, names: Sequence[str], structure: FloatArray, naming: str = ""
) -> Quantity | None:
    label = total_label(result, [n for n in names if n in result.options.components.ids]) + naming
    chosen = result.rows_of(names)
    if not chosen.any():
        return None
    if not (result.present[:, f] & chosen).any():
        return held("phase.total_fraction", 0.0, "1", label)
    values, sigmas = result.total(names)
    if not sigmas[f] > 0:
        return held("phase.total_fraction", float(values[f]), "1", label)
    here = chosen & result.present[:, f]
    return _weight("phase.total_fraction", result, f, here, structure, label)


def _layers(
    result: LineSeries, reading: IntergrowthReading | None, f: int, structure: FloatArray
) -> list[Quantity | None]:
    """Return the other reading of the intergrowth: not a phase, but layers of its neighbours in random order."""
    if reading is None:
        return []
    inner = f"{label_of(result, reading.parents[1])} in {label_of(result, reading.id)}"
    whole = f"{label_of(result, reading.parents[1])} in all"
    share = float(reading.reading.fraction[f]), float(reading.reading.sigma[f])
    if not math.isfinite(share[0]):
        return []
    mixed = result.rows_of([reading.id]).astype(float)
    chosen = result.rows_of([reading.parents[1]]).astype(float) + share[0] * mixed
    own = share[1] * float(mixed @ np.nan_to_num(result.weight_fraction[:, f]))
    return [
        measured("phase.layer_fraction", *share, "1", inner),
        _weight("phase.layer_fraction", result, f, chosen, structure, whole, extra=own),
    ]


def frame_alternatives(result: LineSeries, f: int) -> tuple[Alternative, ...]:
    """Return the chosen set of phases and by how much the next best is worse."""
    margin = float(result.margin[f])
    labels = row_labels(result)
    chosen = " + ".join(label for k, label in enumerate(labels) if result.present[k, f]) or "none"
    if not math.isfinite(margin):
        return ()
    best = Alternative(name=chosen, comparison="set of phases", delta_bic=max(0.0, -margin), chosen=True)
    other = Alternative(name="next best set", comparison="set of phases", delta_bic=max(0.0, margin))
    return (best, other)


def name_alternatives(result: LineSeries) -> tuple[Alternative, ...]:
    """Return the names that the lines can have together, each with its probability; the most probable one first."""
    shown = [one for one in result.labellings[:MOST_NAMINGS] if one.probability >= LEAST_NAMING]
    found = []
    for number, one in enumerate(shown, start=1):
        lines = []
        for name, phase in zip(result.joint.names, one.phases, strict=True):
            rows = [k for k, line in enumerate(result.lines) if line == name]
            if rows:
                place = float(np.nanmedian(np.concatenate([result.position[k] for k in rows])))
                lines.append(f"{place:.2f} deg {label_of(result, phase) if phase else 'another line'}")
        found.append(
            Alternative(
                name=f"naming {number}: {', '.join(lines)}",
                comparison="names of the lines",
                probability=one.probability,
                chosen=number == 1,
            )
        )
    return tuple(found)


def shape_flags(result: LineSeries) -> dict[int, str]:
    """Return the flag of every row whose line has not the shape of the model: two lines for one phase, or too broad."""
    found = {}
    labels, first = row_labels(result), float(result.fwhm[0])
    for k, phase in enumerate(result.phases):
        if not phase:
            continue
        second = [j for j, other in enumerate(result.phases) if other == phase and result.lines[j] != result.lines[k]]
        together = any((result.present[j] & result.present[k]).any() for j in second)
        broad = result.fwhm[k] - result.fwhm_sigma[k] > result.options.components[phase].broad * first
        if together or broad:
            found[k] = f"LINE_SHAPE:{labels[k]}"
    return found


def misshapen(result: LineSeries, f: int | None = None) -> list[str]:
    """Return the flag that lines have visibly another shape than the model's; of the lines of frame `f` if given."""
    shown = [
        (label, result.discrepancy[line])
        for k, (label, line) in enumerate(zip(row_labels(result), result.lines, strict=True))
        if line in result.discrepancy and (f is None or result.present[k, f])
    ]
    shared = result.discrepancy.get("")
    if shared is not None and (f is None or int(result.present[:, f].sum()) > 1):
        shown.append(("all lines", shared))
    wrong = [f"{label} {known.amplitude:.2f}" for label, known in shown if known.amplitude > threshold("SHAPE_MISFIT")]
    return [f"SHAPE_MISFIT:{', '.join(wrong)}"] if wrong else []


def frame_flags(result: LineSeries, f: int) -> tuple[str, ...]:
    """Return what a reader must know of frame `f` beyond the fit."""
    labels = row_labels(result)
    found = [] if result.both_ways[f] else ["DIRECTION_DEPENDENT"]
    below = np.isfinite(result.free_fraction[:, f]) & ~np.isfinite(result.upper_limit[:, f]) & ~result.present[:, f]
    found += [f"NEGATIVE_FRACTION:{labels[k]}" for k in np.flatnonzero(below)]
    unsure = [labels[k] for k in np.flatnonzero(result.present[:, f]) if not result.sure[k]]
    found += [f"NAME_UNCERTAIN:{', '.join(unsure)}"] if unsure else []
    found += [flag for k, flag in shape_flags(result).items() if result.present[k, f]]
    found += [f"LINES_MERGED:{labels[k]}" for k in np.flatnonzero(result.merged[:, f])]
    clear = ~result.present[:, f] & (np.nan_to_num(result.free_fraction[:, f]) > CLEAR * result.free_sigma[:, f])
    found += [f"PHASE_BY_PERSISTENCE:{labels[k]}" for k in np.flatnonzero(clear & ~result.merged[:, f])]
    found += misshapen(result, f)
    return (*found, *(f"GHOST:{_line_label(result, n)}" for n, frames in result.rejected.items() if f in frames))


def _line_label(result: LineSeries, line: str) -> str:
    """Return what a fitted line is called."""
    labels = row_labels(result)
    return next((label for label, own in zip(labels, result.lines, strict=True) if own == line), "a line")


def series_flags(result: LineSeries) -> tuple[str, ...]:
    """Return what a reader must know of the series beyond the fit."""
    unsure = int((~result.both_ways).sum())
    unnamed = [label for label, sure in zip(row_labels(result), result.sure, strict=True) if not sure]
    named = [f"NAME_UNCERTAIN:{', '.join(unnamed)}"] if unnamed else []
    merged = [f"LINES_MERGED:{int(result.merged.any(axis=0).sum())} frames"] if result.merged.any() else []
    found = (*result.flags, *named, *shape_flags(result).values(), *misshapen(result), *merged)
    return (*found, *([f"DIRECTION_DEPENDENT:{unsure} frames"] if unsure else []))


def series_quantities(
    result: LineSeries, voltage_sigma: FloatArray | None = None, *, timed: bool = True
) -> list[Quantity]:
    """Return what the series as a whole tells: shared shapes, lines of the cell, onsets and ends.

    Parameters
    ----------
    result : LineSeries
    voltage_sigma : ndarray, shape (F,), optional
        Standard error of each frame's voltage (V), from the clocks and from averaging over the frame.
    timed : bool, optional
        Whether the times of the frames are known.
    """
    found: list[Quantity | None] = []
    fit, first, rows = result.joint.fit, result.joint.names[0], row_labels(result)
    shared: list[tuple[str, tuple[float, float], str, str | None, str]] = [
        ("peak.fwhm", (float(result.fwhm[k]), float(result.fwhm_sigma[k])), "deg", rows[k], f"{line}_fwhm")
        for k, line in enumerate(result.lines)
    ]
    shared += [
        ("peak.mixing", result.mixing, "1", None, f"{first}_mixing"),
        ("instrument.axial_divergence", result.axial, "1", None, f"{first}_axial"),
    ]
    for what, known, unit, label, fitted in shared:
        ends = profiled(fit, fitted, 0)
        found.append(measured(what, *known, unit, label, role="refined", kind=fit.sigma_kind, **ends))
    for line in result.hardware:
        found.append(measured("peak.position", line.center, line.center_sigma, "deg", line.id, role="refined"))
        found.append(measured("peak.area", line.area, line.area_sigma, "counts*deg", line.id, role="refined"))
    # an event belongs to all lines of a phase: it has its name where all of them are certain
    labels = {}
    for name in dict.fromkeys(e.phase for e in result.events):
        own = result.rows_of([name])
        sure = all(s for s, mine in zip(result.sure, own, strict=True) if mine)
        labels[name] = label_of(result, name) if sure else f"{label_of(result, name)}, naming 1"
    return [*some(found), *quantities_of_events(result.events, voltage_sigma, labels, timed=timed)]
