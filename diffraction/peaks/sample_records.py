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
from .difference import SampleDifference, compare_totals
from .quantities import COUNTING, MODEL, STRUCTURE, label_of, namings, total_label
from .recipe import ComparisonTable
from .series import LineSeries

__all__ = ["Analysed", "difference_record"]


@dataclass(frozen=True)
class Analysed:
    """One series after analysis, with the flags of its record."""

    series: FrameSeries
    stack: FrameStack
    result: LineSeries
    flags: tuple[str, ...] = ()


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
    _same_components(table, first, second)
    found = _compared(table, first.result, second.result)
    label = total_label(first.result, table.phases)
    rows: list[Quantity | None] = [_mean(found, f"{label}, mean")]
    for k, volts in enumerate(found.voltage_V):
        parts = float(found.sigma[k]), float(found.structure_sigma[k]), float(found.model_sigma[k])
        rows.append(_difference(float(found.difference[k]), parts, f"{label} at {volts:.4f} V"))
    spread = math.hypot(found.mean_sigma, found.mean_structure_sigma, found.mean_model_sigma)
    largest = int(np.abs(found.difference).argmax())
    low, high = float(found.voltage_V.min()), float(found.voltage_V.max())
    p_value = "p < 1e-300" if found.p_value < 1e-300 else f"p = {found.p_value:.2g}"
    notes = (
        f"total of {label}, {_samples(first, second)}, {table.branch} from {low:.3f} to {high:.3f} V: "
        f"mean {found.mean:+.4f}({spread:.4f}), {found.significance:+.1f} sigma, {p_value}; "
        f"largest {found.difference[largest]:+.3f} at {found.voltage_V[largest]:.3f} V",
        "the mean's error holds the correlation between frames and the intensities per weight that the samples "
        "share; the spread between cells is not in it",
    )
    missing = _in_one_only(first, second)
    flags = tuple(f"COMPONENTS_DIFFER:{label_of(first.result, n)}" for n in missing)
    return _record(table, context, first, second, rows, notes, flags)


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


def _same_components(table: ComparisonTable, first: Analysed, second: Analysed) -> None:
    """Refuse samples that hold different phases, unless the recipe says that these may be absent.

    Raises
    ------
    DataError
        Naming the phases.
    """
    differ = [n for n in _in_one_only(first, second) if n not in table.may_be_absent]
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
) -> ResultRecord:
    quantities = {q.component: q for q in rows if q is not None}
    region = first.result.options.components.reflection
    inherited = derived_flags({one.series.sample: one.flags for one in (first, second)})
    return context.record(
        state=SampleState(sample=_samples(first, second), step=table.branch, region=region),
        inputs=[*first.series.inputs("difference:first"), *second.series.inputs("difference:second")],
        method="xrd_peaks.difference",
        quantities=tuple(quantities.values()),
        quality=remarks((*inherited, *flags)),
        notes=notes,
    )


def _mean(found: SampleDifference, component: str) -> Quantity | None:
    return _difference(found.mean, (found.mean_sigma, found.mean_structure_sigma, found.mean_model_sigma), component)


def _difference(value: float, parts: tuple[float, float, float], component: str) -> Quantity | None:
    budget = {n: part for n, part in zip((COUNTING, STRUCTURE, MODEL), parts, strict=True) if n != MODEL or part > 0}
    name = "phase.total_fraction_difference"
    return measured(name, value, math.hypot(*parts), "1", component, budget=budget)
