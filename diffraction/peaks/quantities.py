"""From an analysed (003) series to quantities of records: per frame, per series, and between samples."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from layerscope.records import Alternative, Quantity
from layerscope.runs.build import held, measured, profiled, some

from ..events import quantities_of_events
from ..radiation import FloatArray
from .fractions import factor_covariance, spread_of_factors
from .line_series import factor_of
from .readings import IntergrowthReading
from .series import LineSeries

__all__ = [
    "COUNTING",
    "STRUCTURE",
    "frame_alternatives",
    "frame_flags",
    "frame_quantities",
    "label_of",
    "series_flags",
    "series_quantities",
    "total_label",
]

COUNTING, STRUCTURE = "counting", "structure factor"
"""Parts of the error of a weight fraction: from the counts, and from the calculated intensities per weight."""


def label_of(result: LineSeries, name: str) -> str:
    """Return what a component is called in records: ``O3'/H1-3``."""
    return result.options.components[name].label


def total_label(result: LineSeries, names: Sequence[str]) -> str:
    """Return what a sum of components is called in records: ``O3'/H1-3 + H1-3``."""
    return " + ".join(label_of(result, n) for n in names)


def frame_quantities(
    result: LineSeries, f: int, total: Sequence[str], reading: IntergrowthReading | None
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
    """
    found: list[Quantity | None] = []
    alone = int(result.present[:, f].sum()) == 1
    structure = _structure_covariance(result, f)
    fit = result.joint.fit
    for k, name in enumerate(result.names):
        label = label_of(result, name)
        if not result.present[k, f]:
            found += _absent(result, k, f, label)
            continue
        only = np.arange(len(result.names)) == k
        share = float(result.area_fraction[k, f]), _sd(result.area_fraction_covariance, f, k)
        if alone:  # all there is: one, by the set of phases that was chosen
            found += [held(what, 1.0, "1", label) for what in ("phase.fraction", "phase.area_fraction")]
        else:
            found.append(_weight("phase.fraction", result, f, only, structure, label))
            found.append(measured("phase.area_fraction", *share, "1", label, kind=fit.sigma_kind))
        at, d = (result.position[k, f], result.position_sigma[k, f]), (result.d[k, f], result.d_sigma[k, f])
        area = result.area[k, f], _sd(result.area_covariance, f, k)
        line = result.fitted_line(name)
        found.append(measured("lattice.d_spacing", *d, "angstrom", label, kind=fit.sigma_kind))
        for what, (value, sigma), unit, fitted in (
            ("peak.position", at, "deg", f"{line}_center"),
            ("peak.area", area, "counts*deg", f"{line}_area"),
        ):
            ends = profiled(fit, fitted, f)
            found.append(measured(what, value, sigma, unit, label, role="refined", kind=fit.sigma_kind, **ends))
    found.append(_total(result, f, total, structure))
    found += _layers(result, reading, f, structure)
    return list(some(found))


def _structure_covariance(result: LineSeries, f: int) -> FloatArray:
    """Return what the errors of the intensities per weight bring to the weight fractions of a frame, shape (K, K)."""
    components = result.options.components
    factors = {name: factor_of(result.options, name) for name in components.ids}
    relative = factor_covariance(components, result.names, factors)
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
    counting = math.sqrt(max(float(part @ result.weight_fraction_covariance[f] @ part), 0.0) + extra**2)
    structural = math.sqrt(max(float(part @ structure @ part), 0.0))
    budget = {COUNTING: counting, STRUCTURE: structural}
    return measured(name, float(part @ here), math.hypot(counting, structural), "1", component, budget=budget)


def _sd(covariance: FloatArray, f: int, k: int) -> float:
    return math.sqrt(max(float(covariance[f, k, k]), 0.0))


def _absent(result: LineSeries, k: int, f: int, label: str) -> list[Quantity | None]:
    """Return the amount that an absent line would have, with its upper limit, near the frames in which it is there."""
    free, sigma, limit = (float(a[k, f]) for a in (result.free_fraction, result.free_sigma, result.upper_limit))
    if not math.isfinite(free) or not math.isfinite(limit):
        return []
    factors = result.factors
    here = result.present[:, f]
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
    relative = factor_covariance(components, result.names, {n: factor_of(result.options, n) for n in components.ids})
    against = np.where(result.present[:, f], -np.nan_to_num(result.weight_fraction[:, f]), 0.0)
    against[k] += 1.0
    return math.sqrt(max(float(against @ relative @ against), 0.0))


def _total(result: LineSeries, f: int, names: Sequence[str], structure: FloatArray) -> Quantity | None:
    if not any(n in result.names for n in names):
        return None
    label = total_label(result, names)
    here = [n for n in names if n in result.names and result.present[result.names.index(n), f]]
    if not here:
        return held("phase.total_fraction", 0.0, "1", label)
    values, sigmas = result.total(names)
    if not sigmas[f] > 0:
        return held("phase.total_fraction", float(values[f]), "1", label)
    chosen = [n in here for n in result.names]
    return _weight("phase.total_fraction", result, f, chosen, structure, label)


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
    mixed = np.array([n == reading.id for n in result.names], float)
    chosen = np.array([n == reading.parents[1] for n in result.names], float) + share[0] * mixed
    own = share[1] * float(mixed @ np.nan_to_num(result.weight_fraction[:, f]))
    return [
        measured("phase.layer_fraction", *share, "1", inner),
        _weight("phase.layer_fraction", result, f, chosen, structure, whole, extra=own),
    ]


def frame_alternatives(result: LineSeries, f: int) -> tuple[Alternative, ...]:
    """Return the chosen set of phases and by how much the next best is worse."""
    margin = float(result.margin[f])
    chosen = " + ".join(label_of(result, n) for k, n in enumerate(result.names) if result.present[k, f]) or "none"
    if not math.isfinite(margin):
        return ()
    best = Alternative(name=chosen, comparison="set of phases", delta_bic=max(0.0, -margin), chosen=True)
    other = Alternative(name="next best set", comparison="set of phases", delta_bic=max(0.0, margin))
    return (best, other)


def frame_flags(result: LineSeries, f: int) -> tuple[str, ...]:
    """Return what a reader must know of frame `f` beyond the fit."""
    found = [] if result.both_ways[f] else ["DIRECTION_DEPENDENT"]
    below = np.isfinite(result.free_fraction[:, f]) & ~np.isfinite(result.upper_limit[:, f]) & ~result.present[:, f]
    found += [f"NEGATIVE_FRACTION:{label_of(result, result.names[k])}" for k in np.flatnonzero(below)]
    return (*found, *(f"GHOST:{label_of(result, n)}" for n, frames in result.rejected.items() if f in frames))


def series_flags(result: LineSeries) -> tuple[str, ...]:
    """Return what a reader must know of the series beyond the fit."""
    unsure = int((~result.both_ways).sum())
    return (*result.flags, *([f"DIRECTION_DEPENDENT:{unsure} frames"] if unsure else []))


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
    fit, first = result.joint.fit, result.joint.names[0]
    shared: list[tuple[str, tuple[float, float], str, str | None, str]] = [
        ("peak.fwhm", (float(result.fwhm[k]), float(result.fwhm_sigma[k])), "deg", name, f"{line}_fwhm")
        for k, name in enumerate(result.names)
        for line in (result.fitted_line(name),)
    ]
    shared += [
        ("peak.mixing", result.mixing, "1", None, f"{first}_mixing"),
        ("instrument.axial_divergence", result.axial, "1", None, f"{first}_axial"),
    ]
    for what, known, unit, component, fitted in shared:
        label = None if component is None else label_of(result, component)
        ends = profiled(fit, fitted, 0)
        found.append(measured(what, *known, unit, label, role="refined", kind=fit.sigma_kind, **ends))
    for line in result.hardware:
        found.append(measured("peak.position", line.center, line.center_sigma, "deg", line.id, role="refined"))
        found.append(measured("peak.area", line.area, line.area_sigma, "counts*deg", line.id, role="refined"))
    labels = {name: label_of(result, name) for name in result.names}
    return [*some(found), *quantities_of_events(result.events, voltage_sigma, labels, timed=timed)]
