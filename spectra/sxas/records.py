"""What a record of a spectrum says: quantities with the parts of their errors, notes, and the arrays beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from layerscope.errors import DataError
from layerscope.measured.series import MeasuredSeries
from layerscope.records import InputFile, Quantity
from layerscope.runs.arrays import SeriesArrays
from layerscope.runs.build import measured, remarks, some
from layerscope.runs.levels import array_name
from layerscope.runs.pipeline import RunContext

from .align import Curve
from .assignments import assignments_at
from .edges import Edge
from .features import Estimate
from .normalise import Definition, Normalised, edge_step, normalise
from .options import EnergyTable
from .positions import centroid, highest_point
from .reduce import Reduced
from .scan import SIGNALS, Scan
from .second_opinion import BEYOND, Opinion

__all__ = [
    "Sample",
    "arrays_of",
    "comparison",
    "curve_of",
    "inputs_of",
    "notes_of",
    "quantities_of",
    "sample_of",
    "used_points",
]

_NAMES = {"area": ("edge.area", "eV"), "step": ("edge.step", "1"), "point": ("edge.level", "1")}
PARITY = 1e-4
"""Relative difference from another program's step, with its own ranges, beyond which it is told."""


@dataclass(frozen=True)
class Sample:
    """One sample as far as it was brought: its spectrum, what it is normalised by, where its maximum lies.

    Attributes
    ----------
    series : MeasuredSeries
    reduced : Reduced
    edge : Edge
    normalised : Normalised or None
    positions : mapping of str to Estimate
        By criterion.
    flags : tuple of str
    """

    series: MeasuredSeries[Scan]
    reduced: Reduced
    edge: Edge
    normalised: Normalised | None
    positions: Mapping[str, Estimate]
    flags: tuple[str, ...]


def inputs_of(sample: Sample) -> list[InputFile]:
    """Return the files behind the records of a sample."""
    return sample.series.inputs(f"{sample.edge.name};{sample.series.whole.series or sample.series.sample}")


def curve_of(reduced: Reduced) -> Curve:
    """Return energy, value and standard deviation of a sample's spectrum; infinite where a point is not used."""
    one = reduced.spectrum
    return one.energy, one.intensity, one.sigma()


def used_points(reduced: Reduced) -> Curve:
    """Return the same without the points that are not used."""
    energy, mu, sigma = curve_of(reduced)
    known = np.isfinite(sigma)
    return energy[known], mu[known], sigma[known]


def sample_of(series: MeasuredSeries[Scan], reduced: Reduced, edge: Edge, definition: Definition | None) -> Sample:
    """Normalise a spectrum and find its maximum; what cannot be done is flagged with the reason."""
    curve, flags = curve_of(reduced), list(reduced.spectrum.flags)
    used, known = used_points(reduced), np.isfinite(curve[2])
    normalised = None
    if definition is not None:
        try:
            normalised = normalise(used, definition)
        except DataError as error:
            flags.append(f"NOT_NORMALISED:{error.message}")
    common = reduced.spectrum.common_variance
    if normalised is not None and common is not None:
        normalised = normalised.with_shared(common[known])
    if normalised is not None and not known.all():
        normalised = _on_all(normalised, used[0], curve[0])
    positions: dict[str, Estimate] = {}
    criteria = {"maximum": highest_point} | ({"centroid": centroid} if edge.shell.startswith("L") else {})
    for name, criterion in criteria.items():
        try:
            positions[name] = criterion(used, edge)
        except DataError:
            continue
    return Sample(series, reduced, edge, normalised, positions, tuple(dict.fromkeys(flags)))


def _on_all(normalised: Normalised, used: np.ndarray, energy: np.ndarray) -> Normalised:
    """Return it with the line before the edge at all energies."""
    baseline = np.interp(energy, used, normalised.baseline)
    return replace(normalised, baseline=baseline)


def quantities_of(sample: Sample, first: Sample, scale: EnergyTable) -> tuple[Quantity, ...]:
    """Return the quantities of a spectrum.

    Parameters
    ----------
    sample, first : Sample
        The first one is what shifts count from.
    scale : EnergyTable
    """
    one, edge = sample.reduced.spectrum, sample.edge
    found: list[Quantity | None] = []
    if sample.normalised is not None:
        name, unit = _NAMES[sample.normalised.definition.kind]
        budget, total = sample.normalised.budget, sample.normalised.sigma
        found.append(measured(name, sample.normalised.value, total, unit, edge.name, kind="counting", budget=budget))
    for criterion, position in sample.positions.items():
        whole = {**position.budget, "energy_scale": float(np.hypot(scale.sigma_eV, one.shift_sigma_eV))}
        label = f"{edge.name} {criterion}"
        energy = _energy("edge.position", position.value, whole, label)
        if energy is not None and energy.sigma is not None and criterion == "maximum":
            others = assignments_at(edge, position.value, energy.sigma)
            energy = energy.model_copy(update={"competing": others})
        found.append(energy)
        other = first.positions.get(criterion)
        if sample is not first and other is not None:
            parts = {key: float(np.hypot(position.budget[key], other.budget[key])) for key in position.budget}
            parts["energy_scale"] = one.shift_sigma_eV
            found.append(_energy("edge.shift", position.value - other.value, parts, label))
    if one.shift_sigma_eV > 0:
        found.append(measured("instrument.zero_shift", one.shift_eV, one.shift_sigma_eV, "eV", kind="systematic"))
    noise = sample.reduced.noise
    if noise.of_counts is not None and noise.of_counts_sigma is not None:
        error = 2.0 * noise.of_counts * noise.of_counts_sigma
        found.append(measured("noise.factor", noise.of_counts**2, error, "1", one.mode, kind="counting"))
    return some(found)


def _energy(name: str, value: float, budget: Mapping[str, float], component: str) -> Quantity | None:
    total = float(np.sqrt(sum(part**2 for part in budget.values())))
    return measured(name, value, total, "eV", component, kind="systematic", budget=dict(budget))


def notes_of(sample: Sample) -> tuple[str, ...]:
    """Return what a reader should know: signal, scans, noise, definition, scale, another program's step."""
    one, merged = sample.reduced.spectrum, sample.reduced.merged
    names = ", ".join(str(k) for k in one.scans)
    notes = [f"{SIGNALS[one.mode]} ({one.mode}); scans used: {names}", sample.reduced.noise.words()]
    if len(merged.gains) > 1:
        shifts = ", ".join(f"{value:+.3f}" for value in merged.shifts_eV)
        scatter = "" if merged.scatter is None else f"; they scatter {merged.scatter:.2f} times as their noise says"
        notes.append(f"repeats lie {shifts} eV from their mean{scatter}")
    notes += [f"scan {k} left out: {reason}" for k, reason in sample.reduced.left_out.items()]
    if one.metadata.get("masked"):
        notes.append(f"left out: {one.metadata['masked']}")
    if sample.normalised is not None:
        notes.append(f"normalised by the {sample.normalised.definition.words()}")
    notes.append(f"energies: {one.metadata.get('convention') or 'as in the file'}; {one.shift_eV:+.3f} eV added")
    if one.common:
        notes.append(f"divided by the photodiode scan {one.common}, whose error all samples share")
    return (*notes, *_parity(sample))


def _parity(sample: Sample) -> list[str]:
    """Return how the step by another program's ranges compares with what it states."""
    given, one = sample.reduced.given, sample.reduced.spectrum
    if not {"e0", "pre1", "pre2", "nor1", "nor2", "fitted_step"} <= given.keys() or not given["fitted_step"]:
        return []
    e0 = given["e0"]
    pre, post = ((e0 + given[a], e0 + given[b]) for a, b in (("pre1", "pre2"), ("nor1", "nor2")))
    step = edge_step(one.energy - one.shift_eV, one.intensity, e0, pre, post).value
    off = step / given["fitted_step"] - 1.0
    agree = "the same" if abs(off) < PARITY else f"{off:+.2%} off"
    return [f"the file's ranges give a step of {step:.6g}, the file says {given['fitted_step']:.6g}: {agree}"]


def arrays_of(sample: Sample, context: RunContext) -> SeriesArrays:
    """Return the arrays of a spectrum: over the flux, the line before the edge, and normalised."""
    energy, mu, sigma = curve_of(sample.reduced)
    one, edge, series = sample.reduced.spectrum, sample.edge, sample.series
    known = np.isfinite(sigma)
    baseline = np.zeros_like(mu) if sample.normalised is None else sample.normalised.baseline
    components = {}
    about: dict[str, str | int | float | bool | None] = {
        "edge": edge.name,
        "element": edge.element,
        "shell": edge.shell,
        "mode": one.mode,
        "shift_eV": one.shift_eV,
        "shift_sigma_eV": one.shift_sigma_eV,
        "convention": one.metadata.get("convention", ""),
        "start_time": None if one.start_time is None else one.start_time.isoformat(),
        "raw_files": "\n".join(f"{item.sha256} {item.path}" for item in series.files),
    }
    if sample.normalised is not None:
        how = sample.normalised.definition
        components[f"normalised by {how.kind}"] = (mu - baseline)[None] / sample.normalised.value
        about |= {"normalised_by": how.words(), "normalisation": sample.normalised.value, "at_eV": how.at_eV}
        about |= {f"{key}_{end}_eV": limits[k] for key, limits in _limits(how) for k, end in enumerate(("low", "high"))}
    gap = np.where(known, 1.0, np.nan)
    return SeriesArrays(
        name=array_name(context, series, edge.name, one.mode),
        technique=context.pipeline.technique,
        title=f"{context.recipe.title or series.sample}: {edge.name}, {SIGNALS[one.mode]}",
        sample=series.sample,
        axis=energy,
        axis_name="energy",
        axis_unit="eV",
        levels=np.zeros(1),
        level_name="sample",
        level_unit="1",
        counts=(mu * gap)[None],
        variance=(np.where(known, sigma, 0.0) ** 2 * gap)[None],
        fit=baseline[None],
        background=baseline[None],
        residual=((mu - baseline) / np.where(known, sigma, 1.0) * gap)[None],
        components=components,
        intensity_unit="1",
        area_unit="eV",
        metadata=about,
        base=context.base,
    )


def comparison(opinion: Opinion) -> dict[str, Any]:
    """Return the fields of a record of two programs: differences of the step, with the error of ours, and a verdict."""
    ours, quantities, notes = opinion.ours, [], []
    for name, value in opinion.theirs.items():
        label, away = f"edge.step, xraylarch {name}", opinion.in_sigma(name)
        quantities.append(measured("comparison.difference", value - ours.value, ours.sigma, "1", label))
        notes.append(f"{name} of xraylarch {opinion.version}: {value:.6g}, here {ours.value:.6g}: {away:+.2g} sigma")
    apart = abs(opinion.in_sigma("pre_edge"))
    flags = (f"ENGINES_DIFFER:step, {apart:.1f} sigma",) if apart > BEYOND else ()
    if "mback" in opinion.theirs:
        notes.append("mback rests on calculated absorption and a polynomial: it is no judge of the straight lines")
    return {
        "quantities": some(quantities),
        "quality": remarks(flags),
        "notes": (f"{ours.definition.words()}, over the same points", *notes),
        "software": {"xraylarch": opinion.version},
    }


def _limits(how: Definition) -> tuple[tuple[str, tuple[float, float]], ...]:
    return (("pre", how.pre_eV), ("post", how.post_eV), ("area", how.area_eV))
