"""One sample against another as a record: the total of some phases at equal voltages."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from layerscope.flags import derived_flags
from layerscope.records import Quantity, ResultRecord, SampleState
from layerscope.runs.build import measured, remarks
from layerscope.runs.pipeline import RunContext

from ..frames import FrameSeries, FrameStack
from .difference import compare_totals
from .quantities import COUNTING, STRUCTURE, total_label
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

    Parameters
    ----------
    table : ComparisonTable
    context : RunContext
    first, second : Analysed
        Both with voltages.

    Raises
    ------
    DataError
        If a voltage is missing or the ranges do not overlap.
    """
    found = compare_totals(
        first.result,
        second.result,
        names=table.phases,
        voltage=table.voltage_V,
        charge=table.branch == "charge",
    )
    label = total_label(first.result, table.phases)
    name = "phase.total_fraction_difference"
    rows: list[Quantity | None] = [
        _difference(name, found.mean, found.mean_sigma, found.mean_structure_sigma, f"{label}, mean")
    ]
    for k, volts in enumerate(found.voltage_V):
        parts = float(found.difference[k]), float(found.sigma[k]), float(found.structure_sigma[k])
        rows.append(_difference(name, *parts, f"{label} at {volts:.4f} V"))
    quantities = {q.component: q for q in rows if q is not None}
    spread = math.hypot(found.mean_sigma, found.mean_structure_sigma)
    largest = int(np.abs(found.difference).argmax())
    samples = f"{first.series.sample} - {second.series.sample}"
    low, high = float(found.voltage_V.min()), float(found.voltage_V.max())
    p_value = "p < 1e-300" if found.p_value < 1e-300 else f"p = {found.p_value:.2g}"
    return context.record(
        state=SampleState(sample=samples, step=table.branch, region=first.result.options.components.reflection),
        inputs=[*first.series.inputs("difference:first"), *second.series.inputs("difference:second")],
        method="xrd_peaks.difference",
        quantities=tuple(quantities.values()),
        quality=remarks(derived_flags({one.series.sample: one.flags for one in (first, second)})),
        notes=(
            f"total of {label}, {samples}, {table.branch} from {low:.3f} to {high:.3f} V: "
            f"mean {found.mean:+.4f}({spread:.4f}), {found.significance:+.1f} sigma, {p_value}; "
            f"largest {found.difference[largest]:+.3f} at {found.voltage_V[largest]:.3f} V",
            "the mean's error holds the correlation between frames and the intensities per weight that the samples "
            "share; the spread between cells is not in it",
        ),
    )


def _difference(name: str, value: float, counting: float, structure: float, component: str) -> Quantity | None:
    budget = {COUNTING: counting, STRUCTURE: structure}
    return measured(name, value, math.hypot(counting, structure), "1", component, budget=budget)
