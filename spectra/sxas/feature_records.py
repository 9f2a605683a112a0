"""The whole-edge fit of all samples as records: bands of each sample, and what was chosen for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from layerscope.errors import RecipeError
from layerscope.flags import derived_flags
from layerscope.records import Alternative, Quantity, ResultRecord
from layerscope.runs.arrays import SeriesArrays
from layerscope.runs.build import measured, quality_of, some
from layerscope.runs.levels import array_name
from layerscope.runs.pipeline import PipelineOutput, RunContext

from .assignments import assignments_at
from .edges import Edge
from .features import EdgeFit, Feature, fit_edge
from .model import EdgeData, find_bands
from .options import EnergyTable
from .records import Sample, curve_of, inputs_of
from .tables import BANDS, SERIES

__all__ = ["feature_outputs", "range_of"]

LEAST_SIGMA = 3.0
"""Standard errors by which a band must be there in a sample that another one's is compared with."""
_NAMES = {
    "position": ("peak.position", "eV"),
    "shift": ("edge.shift", "eV"),
    "amount": ("edge.share", "1"),
    "share": ("edge.share", "1"),
    "share_change": ("edge.share_change", "1"),
    "ratio": ("edge.share_ratio", "1"),
}


def range_of(edge: Edge) -> tuple[float, float] | None:
    """Return the range over which scans of an edge must reach to be fitted; None where no table knows its bands."""
    try:
        bands = find_bands(edge.name)
    except RecipeError:
        return None
    return max(bands.low_eV), min(bands.high_eV)


def feature_outputs(
    samples: Sequence[Sample], area_eV: tuple[float, float], scale: EnergyTable, lost: float, context: RunContext
) -> Iterator[PipelineOutput]:
    """Fit an edge in all samples at once, and yield a record a sample, their arrays, and one record of the whole.

    Parameters
    ----------
    samples : sequence of Sample
        Of one edge.
    area_eV : (float, float)
        Range of the area that amounts are shares of.
    scale : EnergyTable
    lost : float
        Standard deviation of the share of the signal that saturation may take.
    context : RunContext

    Raises
    ------
    DataError
        If a scan does not reach over the range of the fit.
    FitError
        If the fit cannot be posed.
    """
    edge = samples[0].edge
    bands = find_bands(edge.name)
    curves = []
    for sample in samples:
        energy, mu, sigma = curve_of(sample.reduced)
        use = np.isfinite(sigma)
        curves.append((energy, mu, np.where(use, sigma, 1.0) ** 2, use))
    own = [sample.reduced.spectrum.shift_sigma_eV for sample in samples]
    fit = fit_edge(EdgeData.of(curves, bands, own, scale.sigma_eV), bands, area_eV, lost=lost)
    words = (
        f"shares of the area from {area_eV[0]:g} to {area_eV[1]:g} eV above the fitted background",
        f"mean of {len(fit.members)} fits that differ in range, order, priors and step; the same for all samples",
    )
    records = []
    for k, sample in enumerate(samples):
        further = [flag for flag in fit.flags if flag not in fit.central.flags()]
        found = quality_of(fit.central, (*further, *derived_flags({"": sample.flags})), k)
        record = context.record(
            state=sample.series.state(None, edge.name),
            inputs=inputs_of(sample),
            method=BANDS,
            quantities=_quantities(fit, k, edge),
            quality=found,
            notes=words,
        )
        records.append(record)
        arrays = _arrays(fit, k, sample, context)
        yield PipelineOutput((record,), {arrays.name: arrays})
    yield PipelineOutput((_whole(fit, samples, records, words, context),))


def _quantities(fit: EdgeFit, sample: int, edge: Edge) -> tuple[Quantity, ...]:
    return some(
        _quantity(feature, edge) for feature in fit.features if feature.sample == sample and _meant(fit, feature)
    )


def _meant(fit: EdgeFit, feature: Feature) -> bool:
    """Tell whether a number means something: a ratio to a band that the other sample does not show does not."""
    if feature.kind not in ("ratio", "shift") or feature.against is None:
        return True
    amounts = [fit.find("amount", feature.component, k) for k in (feature.sample, feature.against)]
    needed = amounts if feature.kind == "shift" else amounts[1:]
    return all(one.value > LEAST_SIGMA * one.sigma for one in needed)


def _quantity(feature: Feature, edge: Edge) -> Quantity | None:
    name, unit = _NAMES[feature.kind]
    one = feature.estimate
    more: dict[str, Any] = {}
    if feature.kind == "position" and one.sigma > 0:
        more["competing"] = assignments_at(edge, one.value, one.sigma)
    return measured(name, one.value, one.sigma, unit, feature.component, kind="systematic", budget=one.budget, **more)


def _arrays(fit: EdgeFit, k: int, sample: Sample, context: RunContext) -> SeriesArrays:
    """Return the curves of one sample over the area of its edge."""
    curves = fit.curves(k)
    energy, data, whole, residual = (curves.pop(name) for name in ("energy", "data", "fit", "residual"))
    use = fit.central.root_weight[k] > 0
    scale = fit.area[k] / fit.data.scale[k]
    return SeriesArrays(
        name=array_name(context, sample.series, sample.edge.name, "bands"),
        technique=context.pipeline.technique,
        title=f"{context.recipe.title or sample.series.sample}: {sample.edge.name}, bands",
        sample=sample.series.sample,
        axis=energy,
        axis_name="energy",
        axis_unit="eV",
        levels=np.zeros(1),
        level_name="sample",
        level_unit="1",
        counts=data[None],
        variance=(1.0 / (fit.central.root_weight[k][use] * scale) ** 2)[None],
        fit=whole[None],
        background=np.zeros_like(whole)[None],
        residual=residual[None],
        components={name: curve[None] for name, curve in curves.items()},
        intensity_unit="1",
        area_unit="eV",
        metadata={"edge": sample.edge.name, "area_of_edge": float(fit.area[k])},
        base=context.base,
    )


def _whole(
    fit: EdgeFit, samples: Sequence[Sample], records: Sequence[ResultRecord], words: Sequence[str], context: RunContext
) -> ResultRecord:
    """Return the record of all samples: which bands, how good, which members of the ensemble count how much."""
    edge = samples[0].edge
    inputs = {item.path: item for sample in samples for item in inputs_of(sample)}
    alternatives = tuple(
        Alternative(
            name=one.name,
            comparison="bands",
            bic=one.bic,
            delta_bic=one.delta_bic,
            chi2=one.chi2,
            n_free=max(one.n_free, 0),
            chosen=one.chosen,
        )
        for one in fit.choice.alternatives
    )
    weights = ", ".join(f"{weight:.2f}" for weight in fit.weight)
    return context.record(
        state=samples[0].series.state(None, edge.name).model_copy(update={"series": None}),
        inputs=tuple(inputs.values()),
        method=SERIES,
        quality=quality_of(fit.central, fit.flags),
        alternatives=alternatives,
        notes=(*words, f"weights of the fits: {weights}"),
        parents=tuple(record.record_id for record in records),
    )
