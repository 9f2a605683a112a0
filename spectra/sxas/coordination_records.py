"""The share of four-coordinate boron as records: by a mixture of references, and by pi* over the total."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from layerscope.errors import DataError
from layerscope.flags import derived_flags
from layerscope.records import InputFile, Quantity, ResultRecord
from layerscope.runs.arrays import SeriesArrays
from layerscope.runs.build import measured, quality_of, some
from layerscope.runs.levels import array_name
from layerscope.runs.pipeline import PipelineOutput, RunContext

from .align import Curve
from .edges import Edge, Range
from .features import Estimate
from .n4 import CoordinationFit, Measured, Reference, fit_coordination, ratio_n4
from .normalise import Definition, normalise
from .options import CoordinationTable
from .records import Sample, inputs_of, used_points
from .tables import COORDINATION

__all__ = ["KnownReference", "coordination_outputs", "known_reference"]

ELECTRON_YIELDS = ("tey", "aey", "pey")
FOUR = "four-coordinate"
SEEN = 3.0
"""Standard errors by which saturation must be above zero for pi* over the total to be left out."""


@dataclass(frozen=True)
class KnownReference:
    """A reference with the spectrum that it is made of.

    Attributes
    ----------
    reference : Reference
        Per boron atom.
    curve : Curve
        As measured.
    inputs : sequence of InputFile
    """

    reference: Reference
    curve: Curve
    inputs: Sequence[InputFile]


def known_reference(name: str, four: float, sample: Sample, table: CoordinationTable) -> KnownReference:
    """Return a reference, made from the reduced scans of its sample.

    Raises
    ------
    DataError
        If it has no points before or beyond the edge, or does not rise there.
    """
    pre, post = table.ranges(sample.edge)
    curve = used_points(sample.reduced)
    reference = Reference.of(name, four, curve[0], curve[1], curve[2] ** 2, pre, post)
    return KnownReference(reference, curve, inputs_of(sample))


def coordination_outputs(
    samples: Sequence[Sample], references: Sequence[KnownReference], table: CoordinationTable, context: RunContext
) -> Iterator[PipelineOutput]:
    """Yield the share of four-coordinate atoms of every sample, with the curves of its best mixture.

    Parameters
    ----------
    samples : sequence of Sample
    references : sequence of KnownReference
    table : CoordinationTable
    context : RunContext
    """
    others = list(itertools.chain.from_iterable(one.inputs for one in references))
    for sample in samples:
        state, inputs = sample.series.state(None, sample.edge.name), [*inputs_of(sample), *others]
        with context.guard(state=state, inputs=inputs, method=COORDINATION):
            energy, mu, sigma = used_points(sample.reduced)
            fit = fit_coordination(
                (energy, mu, sigma**2),
                [one.reference for one in references],
                table.range_eV,
                per_boron_sigma=table.per_boron_sigma,
            )
            arrays = _arrays(fit, sample, context)
            yield PipelineOutput((_record(fit, sample, references, table, inputs, context),), {arrays.name: arrays})


def _record(
    fit: CoordinationFit,
    sample: Sample,
    references: Sequence[KnownReference],
    table: CoordinationTable,
    inputs: Sequence[InputFile],
    context: RunContext,
) -> ResultRecord:
    electron = sample.reduced.spectrum.mode in ELECTRON_YIELDS
    flags = (*fit.flags, *derived_flags({"": sample.flags}), *(("SURFACE_ONLY",) if electron else ()))
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in fit.weights.items())
    saturates = fit.lost.value > SEEN * fit.lost.sigma
    notes = [f"mixtures of references by AICc: {weights}"]
    if saturates:
        notes.append("the signal saturates: pi* over the total, which saturation bends, is not stated")
    quantities = [
        _quantity("coordination.fraction", fit.n4, FOUR),
        _quantity("coordination.saturation", fit.lost, None),
        None if saturates else _by_ratio(sample, references, table),
    ]
    found = quality_of(fit.best, ())
    return context.record(
        state=sample.series.state(None, sample.edge.name),
        inputs=inputs,
        method=COORDINATION,
        quantities=some(quantities),
        quality=found.model_copy(update={"flags": tuple(dict.fromkeys(flags))}),
        notes=tuple(notes),
    )


def _quantity(name: str, one: Estimate, component: str | None) -> Quantity | None:
    return measured(name, one.value, one.sigma, "1", component, kind="systematic", budget=one.budget)


def _by_ratio(sample: Sample, references: Sequence[KnownReference], table: CoordinationTable) -> Quantity | None:
    """Return the share by pi* over the total, from one reference each with three and four neighbours."""
    pure = {one.reference.four: one for one in references if one.reference.four in (0.0, 1.0)}
    if len(pure) < 2:
        return None
    pre, post = table.ranges(sample.edge)
    try:
        found, three, four = (
            _ratio(curve, sample.edge, pre, post)
            for curve in (used_points(sample.reduced), pure[0.0].curve, pure[1.0].curve)
        )
    except DataError:
        return None
    value, sigma = ratio_n4(found, three, four, _totals(pure, sample.edge, table.per_boron_sigma))
    return measured("coordination.fraction", value, sigma, "1", f"{FOUR} by pi* over total", kind="systematic")


def _ratio(curve: Curve, edge: Edge, pre: Range, post: Range) -> Measured:
    """Return the area where the first maximum is over that of the whole edge."""
    part, whole = (
        normalise(curve, Definition("area", pre, post, area, edge.search_eV[1]))
        for area in (edge.search_eV, edge.area_eV)
    )
    value = part.value / whole.value
    return value, value * float(np.hypot(part.sigma / part.value, whole.sigma / whole.value))


def _totals(pure: Mapping[float, KnownReference], edge: Edge, per_boron_sigma: float) -> Measured:
    """Return the total of the three-coordinate reference over that of the other, per boron atom."""
    sums, relative = [], [per_boron_sigma]
    for four in (0.0, 1.0):
        one = pure[four].reference
        inside = (one.energy >= edge.area_eV[0]) & (one.energy <= edge.area_eV[1])
        sums.append(float(np.trapezoid(one.signal[inside], one.energy[inside])))
        relative.append(one.step_sigma)
    value = sums[0] / sums[1]
    return value, value * float(np.sqrt(sum(part**2 for part in relative)))


def _arrays(fit: CoordinationFit, sample: Sample, context: RunContext) -> SeriesArrays:
    """Return the spectrum above its constant, the mixture, and what each reference is of it."""
    curves = dict(fit.curves)
    energy, data, whole = (curves.pop(name) for name in ("energy", "data", "fit"))
    root = fit.best.root_weight[0]
    residual = fit.best.residual[0]
    scale = float(np.ptp(data)) / float(np.ptp(fit.best.y[0]))
    return SeriesArrays(
        name=array_name(context, sample.series, sample.edge.name, "coordination"),
        technique=context.pipeline.technique,
        title=f"{context.recipe.title or sample.series.sample}: {sample.edge.name}, references",
        sample=sample.series.sample,
        axis=energy,
        axis_name="energy",
        axis_unit="eV",
        levels=np.zeros(1),
        level_name="sample",
        level_unit="1",
        counts=data[None],
        variance=((scale / root) ** 2)[None],
        fit=whole[None],
        background=np.zeros_like(whole)[None],
        residual=residual[None],
        components={name: curve[None] for name, curve in curves.items()},
        intensity_unit="1",
        area_unit="eV",
        metadata={"edge": sample.edge.name, "n4": fit.n4.value, "n4_sigma": fit.n4.sigma},
        base=context.base,
    )
