"""The records of a series read as stacks: shares of layers frame by frame, order and block length of the series."""

from __future__ import annotations

import math

import numpy as np

from layerscope.flags import inherited_flags, threshold
from layerscope.measured.series import times_of, voltages_of
from layerscope.records import Alternative, Quantity, ResultRecord
from layerscope.runs.build import held, measured, quality_of, some
from layerscope.runs.pipeline import RunContext

from ..events import quantities_of_events
from ..phase_table import EMPTY_IN_ALL
from .quantities import COUNTING, label_of
from .sample_records import Analysed
from .stack_beside import STRANGE
from .stack_series import Reading, StackSeries

__all__ = ["stack_flags", "stack_records"]

MODEL = "model"
"""Part of an error that wrong shapes bring."""


def stack_flags(read: StackSeries) -> tuple[str, ...]:
    """Return what the stacks say about the lines of the same series."""
    gain = read.gain
    return (f"STACKS_FIT_BETTER:{gain:.0f}",) if gain > threshold("STACKS_FIT_BETTER") else ()


def stack_records(context: RunContext, found: Analysed, read: StackSeries) -> tuple[ResultRecord, ...]:
    """Return the records of a series read as stacks: one for each frame near several phases, one for the series.

    Parameters
    ----------
    context : RunContext
    found : Analysed
        The series after the analysis of its lines.
    read : StackSeries
    """
    series, result = found.series, found.result
    doubts = read.doubts
    region = result.options.components.reflection
    labels = {name: label_of(result, name) for name in read.stacking.names}
    fit, shared = read.fit.fit, tuple(f for f in inherited_flags(found.flags) if f not in stack_flags(read))
    frames = []
    for f in read.rows:
        frame = found.stack.levels[f]
        frames.append(
            context.record(
                state=series.state(frame, region),
                inputs=series.inputs(f"{region}@stacks", frame),
                method="xrd_peaks.stack_frame",
                quantities=_frame(read, int(f), labels),
                quality=quality_of(fit, (*shared, *doubts, *read.alike(int(f)), *frame.flags), int(f), r_factors=True),
            )
        )
    timed = times_of(found.stack.levels) is not None
    voltage_sigma = voltages_of(found.stack.levels)[1]
    events = quantities_of_events(read.events, voltage_sigma, labels, timed=timed)
    whole = context.record(
        state=series.state(None, region),
        inputs=series.inputs(f"{region}@stacks"),
        method="xrd_peaks.stacks",
        quantities=(*_series(read, labels), *events),
        quality=quality_of(fit, (*shared, *doubts)),
        alternatives=_alternatives(read),
        parents=tuple(r.record_id for r in frames),
        notes=_notes(read),
    )
    return (*frames, whole)


def _parts(name: str, reading: Reading, component: str) -> Quantity | None:
    """Return a number whose error holds the counts and the shapes."""
    model = math.sqrt(max(reading.sigma**2 - reading.counting**2, 0.0))
    budget = {COUNTING: reading.counting, MODEL: model}
    return measured(name, reading.value, math.hypot(*budget.values()), "1", component, budget=budget)


def _frame(read: StackSeries, f: int, labels: dict[str, str]) -> tuple[Quantity, ...]:
    found: list[Quantity | None] = []
    alone = int(read.present[:, f].sum()) == 1
    for k, label in enumerate(labels.values()):
        value, free = float(read.share[k, f]), (float(read.free[k, f]), float(read.free_sigma[k, f]))
        if not read.present[k, f]:
            limit = float(read.limit[k, f])
            found.append(measured("phase.layer_fraction", *free, "1", label, upper_limit=limit, limit_confidence=0.95))
        elif alone:
            found.append(held("phase.layer_fraction", 1.0, "1", label))
        else:
            counting, whole = (math.sqrt(max(float(c[f, k, k]), 0.0)) for c in (read.counting, read.covariance))
            found.append(_parts("phase.layer_fraction", Reading(value, counting, whole), label))
    found.append(_parts("phase.layer_fraction", read.empty_in_all(f), EMPTY_IN_ALL))
    d = (float(read.fit.fit.value("filled_spacing")[f]), float(read.fit.fit.sigma("filled_spacing")[f]))
    found.append(measured("lattice.d_spacing", *d, "angstrom", next(iter(labels.values())), role="refined"))
    return some(found)


def _series(read: StackSeries, labels: dict[str, str]) -> tuple[Quantity, ...]:
    fit, last = read.fit.fit, int(read.rows[-1])
    ordered, mixed, alternating = labels.values()
    found: list[Quantity | None] = []
    if read.mixed:
        blocks = zip(("alternating", "filled"), read.blocks, strict=True)
        found.append(_parts("phase.layer_fraction", read.empty, f"empty in {mixed}"))
        found += [_parts("phase.block_length", reading, f"{kind} in {mixed}") for kind, reading in blocks]
    tail = float(fit.value("tail")[last]), float(fit.sigma("tail")[last])
    found.append(measured("lattice.d_spacing_tail", *tail, "angstrom", ordered))
    variance, error = float(fit.value("variance")[last]), float(fit.sigma("variance")[last])
    strain = math.sqrt(max(variance, 0.0))  # its root has an error also where nothing is seen
    found.append(measured("phase.microstrain", strain, error / (strain + math.sqrt(strain**2 + error)), "1", ordered))
    mean = (float(fit.value("mean_spacing")[last]), float(fit.sigma("mean_spacing")[last]))
    found.append(measured("lattice.d_spacing", *mean, "angstrom", alternating, role="refined"))
    spacing = {ordered: float(fit.value("filled_spacing")[last]), mixed: mean[0], alternating: mean[0]}
    for name, label in zip(("ln_layers", "ln_layers_mixed", "ln_layers_alternating"), spacing, strict=True):
        if label == mixed and not read.mixed:
            continue
        size = math.exp(float(fit.value(name)[0])) * spacing[label]
        found.append(measured("phase.crystallite_size", size, size * float(fit.sigma(name)[0]), "angstrom", label))
    return some(found)


def _alternatives(read: StackSeries) -> tuple[Alternative, ...]:
    best = min(w.bic for w in read.compared if w.chosen)
    return tuple(
        Alternative(
            name=w.name,
            comparison="how the lines are made",
            bic=w.bic,
            delta_bic=w.bic - best,
            chi2=w.chi2,
            n_free=w.n_free,
            chosen=w.chosen,
        )
        for w in read.compared
    )


def _notes(read: StackSeries) -> tuple[str, ...]:
    names = {"line": "the instrument's line", "mixed": "the disordered stack"}
    wrong = [
        f"the shape of {names[key]} is known to {100 * d.amplitude:.2g} % over {d.length:.2g} degrees"
        for key, d in read.discrepancy.items()
    ]
    single = int((~np.isin(np.arange(read.present.shape[1]), read.rows)).sum())
    beside = [h for h in read.fit.model.held if h.startswith(STRANGE)]
    strange = [f"the line at {read.fit.values[f'{h}_center']:.2f} degrees belongs to no stack" for h in beside]
    missing = [] if single else ["no frames of one phase: instrument and disorder were told apart by their shape alone"]
    order = next(w.name for w in read.compared if w.chosen).removeprefix("stacks, ")
    return (
        f"shares are of layers; the order of filled and empty interlayers has a {order}",
        *wrong,
        *strange,
        *missing,
    )
