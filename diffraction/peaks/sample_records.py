"""One sample against another as a record: the total of some phases at equal voltages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerscope.errors import DataError
from layerscope.flags import derived_flags
from layerscope.records import Quantity, ResultRecord, SampleState
from layerscope.runs.build import measured, remarks
from layerscope.runs.pipeline import RunContext

from ..frames import FrameSeries, FrameStack
from .difference import SampleDifference, compare_courses, compare_totals, course_of_stacks
from .quantities import COUNTING, MODEL, STRUCTURE, label_of, namings, total_label
from .recipe import ComparisonTable
from .series import LineSeries
from .stack_series import StackSeries

__all__ = ["Analysed", "difference_record", "stack_difference_record"]

WEIGHTS, LAYERS = "phase.total_fraction_difference", "phase.layer_fraction_difference"
"""What is compared: shares of the weight by lines, of the layers by stacks."""


@dataclass(frozen=True)
class Analysed:
    """One series after analysis, with the flags of its record; as stacks too where it was read so."""

    series: FrameSeries
    stack: FrameStack
    result: LineSeries
    flags: tuple[str, ...] = ()
    stacks: StackSeries | None = None
    stack_flags: tuple[str, ...] = ()


def difference_record(table: ComparisonTable, context: RunContext, first: Analysed, second: Analysed) -> ResultRecord:
    """Return the record of the first sample less the second: mean over the branch, and voltage by voltage.

    Where a name is uncertain there is no such result: the record holds the mean for each pair of namings.

    Parameters
    ----------
    table : ComparisonTable
    context : RunContext
    first, second : Analysed
        Both with voltages.

    Raises
    ------
    DataError
        If a voltage is missing, the ranges do not overlap, or the samples were not found to hold the same phases.
    """
    if not (first.result.names_certain and second.result.names_certain):
        return _for_each_naming(table, context, first, second)
    missing = _in_one_only(first, second)
    _same_components(table, first, second, missing)
    found = _compared(table, first.result, second.result)
    rows, told = _rows(table, first, second, found)
    error = (
        "the mean's error holds the correlation between frames and the intensities per weight that the samples "
        "share; the spread between cells is not in it"
    )
    flags = tuple(f"COMPONENTS_DIFFER:{label_of(first.result, n)}" for n in missing)
    return _record(table, context, first, second, rows, (told, error), flags)


def stack_difference_record(
    table: ComparisonTable, context: RunContext, first: Analysed, second: Analysed
) -> ResultRecord:
    """Return the record of the first sample less the second in shares of layers; parameters as `difference_record`.

    Raises
    ------
    DataError
        As `difference_record`, or if a sample was not read as stacks, or a component is no stack.
    """
    a, b = first.stacks, second.stacks
    if a is None or b is None:
        unread = (first if a is None else second).series.sample
        raise DataError(f"{unread} was not read as stacks: there are no shares of layers to compare", source="compare")
    there = [{n for n, on in zip(one.stacking.names, one.present, strict=True) if on.any()} for one in (a, b)]
    missing = [n for n in a.stacking.names[1:] if n in there[0] ^ there[1]]
    _same_components(table, first, second, missing)
    found = compare_courses(
        course_of_stacks(a, table.phases, first.result.voltage_V),
        course_of_stacks(b, table.phases, second.result.voltage_V),
        np.zeros((0, 0)),
        voltage=table.voltage_V,
        charge=table.branch == "charge",
    )
    rows, told = _rows(table, first, second, found, LAYERS)
    error = (
        "shares are of layers; the mean's error holds the correlation between frames, and wrong shapes as alike in all "
        "frames of a sample; the spread between cells is not in it"
    )
    flags = tuple(f"COMPONENTS_DIFFER:{label_of(first.result, n)}" for n in missing)
    return _record(table, context, first, second, rows, (told, error), flags, stacks=True)


def _rows(
    table: ComparisonTable, first: Analysed, second: Analysed, found: SampleDifference, name: str = WEIGHTS
) -> tuple[list[Quantity | None], str]:
    """Return the mean and the difference at every voltage, and the mean in words."""
    label = total_label(first.result, table.phases)
    rows: list[Quantity | None] = [_mean(found, f"{label}, mean", name)]
    for k, volts in enumerate(found.voltage_V):
        parts = float(found.sigma[k]), float(found.structure_sigma[k]), float(found.model_sigma[k])
        rows.append(_difference(float(found.difference[k]), parts, f"{label} at {volts:.4f} V", name))
    spread = math.hypot(found.mean_sigma, found.mean_structure_sigma, found.mean_model_sigma)
    largest = int(np.abs(found.difference).argmax())
    low, high = float(found.voltage_V.min()), float(found.voltage_V.max())
    p_value = "p < 1e-300" if found.p_value < 1e-300 else f"p = {found.p_value:.2g}"
    told = (
        f"total of {label}, {_samples(first, second)}, {table.branch} from {low:.3f} to {high:.3f} V: "
        f"mean {found.mean:+.4f}({spread:.4f}), {found.significance:+.1f} sigma, {p_value}; "
        f"largest {found.difference[largest]:+.3f} at {found.voltage_V[largest]:.3f} V"
    )
    return rows, told


def _compared(table: ComparisonTable, first: LineSeries, second: LineSeries) -> SampleDifference:
    return compare_totals(first, second, names=table.phases, voltage=table.voltage_V, charge=table.branch == "charge")


def _in_one_only(first: Analysed, second: Analysed) -> list[str]:
    """Return the components that were found in one of two samples only; the first one goes with its later part."""
    found = []
    for one in (first.result, second.result):
        components = one.options.components
        begins = {components.ids[0], *(c.id for c in (components.turned,) if c is not None)}
        found.append({p for p in one.phases if p not in begins})
    return [c for c in first.result.options.components.ids if c in found[0] ^ found[1]]


def _same_components(table: ComparisonTable, first: Analysed, second: Analysed, missing: Sequence[str]) -> None:
    """Refuse samples of which one lacks some phases, unless the recipe says that these may be absent.

    Raises
    ------
    DataError
        Naming the phases.
    """
    differ = [n for n in missing if n not in table.may_be_absent]
    if differ:
        labels = ", ".join(label_of(first.result, n) for n in differ)
        raise DataError(
            f"{_samples(first, second)}: {labels} was found in one of the samples only",
            source="compare",
            hint="look at both; name it in compare.may_be_absent if it is not there, or in exclude if it cannot be",
        )


def _for_each_naming(table: ComparisonTable, context: RunContext, first: Analysed, second: Analysed) -> ResultRecord:
    """Return the record of a comparison that rests on which phase a line is: the mean for each pair of namings."""
    label = total_label(first.result, table.phases)
    rows: list[Quantity | None] = []
    told: list[str] = []
    ours, theirs = namings(first.result), namings(second.result)
    for i, one in enumerate(ours, start=1):
        for j, other in enumerate(theirs, start=1):
            found = _compared(table, one, other)
            name = f"naming {i} of {first.series.sample}, {j} of {second.series.sample}"
            both = first.result.labellings[i - 1].probability * second.result.labellings[j - 1].probability
            spread = math.hypot(found.mean_sigma, found.mean_structure_sigma, found.mean_model_sigma)
            rows.append(_mean(found, f"{label}, mean, {name}"))
            told.append(f"{found.mean:+.3f}({spread:.3f}) with a probability of {both:.2f}")
    notes = (
        "which phase some lines are is not certain: there is one mean for each pair of namings, and none is the result",
        "; ".join(told),
    )
    return _record(table, context, first, second, rows, notes, ())


def _samples(first: Analysed, second: Analysed) -> str:
    return f"{first.series.sample} - {second.series.sample}"


def _record(
    table: ComparisonTable,
    context: RunContext,
    first: Analysed,
    second: Analysed,
    rows: Sequence[Quantity | None],
    notes: tuple[str, ...],
    flags: tuple[str, ...],
    *,
    stacks: bool = False,
) -> ResultRecord:
    kind = "stack_difference" if stacks else "difference"
    quantities = {q.component: q for q in rows if q is not None}
    region = first.result.options.components.reflection
    inherited = derived_flags({one.series.sample: one.stack_flags if stacks else one.flags for one in (first, second)})
    return context.record(
        state=SampleState(sample=_samples(first, second), step=table.branch, region=region),
        inputs=[*first.series.inputs(f"{kind}:first"), *second.series.inputs(f"{kind}:second")],
        method=f"xrd_peaks.{kind}",
        quantities=tuple(quantities.values()),
        quality=remarks((*inherited, *flags)),
        notes=notes,
    )


def _mean(found: SampleDifference, component: str, name: str = WEIGHTS) -> Quantity | None:
    parts = found.mean_sigma, found.mean_structure_sigma, found.mean_model_sigma
    return _difference(found.mean, parts, component, name)


def _difference(value: float, parts: tuple[float, float, float], component: str, name: str) -> Quantity | None:
    always = {COUNTING, STRUCTURE} if name == WEIGHTS else {COUNTING, MODEL}
    budget = {n: part for n, part in zip((COUNTING, STRUCTURE, MODEL), parts, strict=True) if n in always or part > 0}
    return measured(name, value, math.hypot(*parts), "1", component, budget=budget)
