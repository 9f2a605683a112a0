"""Single reflections followed through a series, as records: shift, spacing, half width, cubic cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from layerscope.errors import DataError
from layerscope.fitting.errors import ErrorsTable
from layerscope.fitting.quality import gross_levels, gross_misfit, worst_levels
from layerscope.flags import derived_flags, inherited_flags
from layerscope.measured.noise import factor_or_errors
from layerscope.records import Quantity, ResultRecord
from layerscope.records.quantity import Role
from layerscope.runs.arrays import SeriesArrays, SeriesParameter
from layerscope.runs.build import measured, profiled, quality_of, some
from layerscope.runs.levels import array_name, level_fields, reject_levels
from layerscope.runs.pipeline import PipelineOutput, RunContext

from ..frames import FrameSeries, FrameStack, frames_failed, stack
from ..radiation import FloatArray
from ..refused import refused_record
from .recipe import PeaksRecipe, ReflectionTable
from .shift import ReflectionTrack, corrected_by_standard, track_reflection

__all__ = ["reflection_outputs"]


@dataclass(frozen=True, eq=False)
class _Followed:
    """One reflection, followed.

    Attributes
    ----------
    series, stack, table, track
        What was followed, and what came out.
    d, d_sigma : ndarray, shape (F,)
        Spacing, corrected by the standard if there is one (Å).
    flags : tuple of str
        Of the series as a whole, those of the fit and of the standard included.
    displacement : ndarray, shape (F,), or None
        By which the standard corrects.
    """

    series: FrameSeries
    stack: FrameStack
    table: ReflectionTable
    track: ReflectionTrack
    d: FloatArray
    d_sigma: FloatArray
    flags: tuple[str, ...]
    displacement: FloatArray | None = None


def reflection_outputs(recipe: PeaksRecipe, context: RunContext, series: FrameSeries) -> Iterator[PipelineOutput]:
    """Yield records and arrays of every reflection of a recipe; standards come first.

    Parameters
    ----------
    recipe : PeaksRecipe
    context : RunContext
    series : FrameSeries
    """
    factor, factor_sigma, flags = factor_or_errors(series.measurements, recipe.noise)
    scale = None if factor is None or factor_sigma is None else measured("noise.factor", factor, factor_sigma, "1")
    known: dict[str, _Followed] = {}
    for table in sorted(recipe.reflections, key=lambda r: r.known_d_A is None):
        with context.guard(
            state=series.state(None, table.name),
            inputs=series.inputs(f"{table.name}@all"),
            method="xrd_peaks.reflection",
        ):
            stacked = stack(series, table.range_2theta)
            reject_levels(context, series, stacked.rejected, "xrd_peaks.shift", region=table.name)
            track = _track(series, stacked, table, factor, recipe.errors)
            while bad := worst_levels(track.fit):  # they would bend the shape that all share
                bent = _Followed(series, stacked, table, track, track.d, track.d_sigma, ())
                stacked, lost = _left_out(context, bent, bad)
                yield lost
                track = _track(series, stacked, table, factor, recipe.errors)
            own = (*track.fit.flags(), *flags, *series.flags, *frames_failed(series, stacked))
            followed = _Followed(series, stacked, table, track, track.d, track.d_sigma, own)
            gross = [None, *gross_levels(track.fit)]
            refused = next((flag for level in gross for flag in gross_misfit(track.fit, level)), None)
            if refused is not None:
                yield _refused(context, followed, refused)
                continue
            if table.standard is not None:
                if table.standard not in known:
                    raise DataError(f"the standard {table.standard} could not be followed", source=table.name)
                followed = _corrected(followed, known[table.standard])
            known[table.name] = followed
            yield _output(context, followed, scale)


def _left_out(context: RunContext, one: _Followed, bad: Sequence[int]) -> tuple[FrameStack, PipelineOutput]:
    """Return the frames that remain, and the failed records, with curves, of those that the line does not describe."""
    fit, frames, name = one.track.fit, one.stack.levels, one.table.name
    records = tuple(
        refused_record(context, one.series, fit, gross_misfit(fit, f)[0], name, "xrd_peaks.shift", (f, frames[f]))
        for f in bad
    )
    arrays = _arrays(context, one)
    arrays = replace(arrays, name=f"{arrays.name}_left_out_{'_'.join(str(frames[f].index) for f in bad)}")
    problems = [r.problem for r in records if r.problem is not None]
    errors = {f: DataError(problem.message, hint=problem.hint) for f, problem in zip(bad, problems, strict=True)}
    return one.stack.without(errors), PipelineOutput(records, {arrays.name: arrays})


def _track(
    series: FrameSeries, stacked: FrameStack, table: ReflectionTable, factor: float | None, errors: ErrorsTable
) -> ReflectionTrack:
    row = {frame.index: k for k, frame in enumerate(stacked.levels)}
    reference = [row[i] for i in table.reference_frames if i in row]
    if not reference:
        raise DataError("none of the reference frames can be used", source=table.name)
    return track_reflection(
        stacked.axis,
        stacked.intensity,
        series.radiation,
        table,
        variance=stacked.variance,
        noise_factor=factor,
        reference=reference,
        errors=errors,
    )


def _corrected(one: _Followed, standard: _Followed) -> _Followed:
    """Return a reflection with its spacings corrected by a standard in the same frames."""
    name, known = one.table.name, standard.table.known_d_A
    assert known is not None  # noqa: S101 - the recipe sees to it
    if [f.index for f in standard.stack.levels] != [f.index for f in one.stack.levels]:
        raise DataError(f"{name} and its standard were not measured in the same frames", source=name)
    found = corrected_by_standard(one.track, standard.track, known, one.series.radiation.alpha1)
    flags = (*one.flags, *derived_flags({standard.table.name: standard.track.fit.flags()}))
    return _Followed(one.series, one.stack, one.table, one.track, found[0], found[1], flags, found[2])


def _refused(context: RunContext, one: _Followed, flag: str) -> PipelineOutput:
    """Return the failed record of a reflection that its line does not describe, with the curves that show why."""
    record = refused_record(context, one.series, one.track.fit, flag, one.table.name, "xrd_peaks.reflection", None)
    arrays = _arrays(context, one)
    return PipelineOutput((record,), {arrays.name: arrays})


def _output(context: RunContext, one: _Followed, scale: Quantity | None) -> PipelineOutput:
    shared = inherited_flags(one.flags)
    records = [
        context.record(
            state=one.series.state(frame, one.table.name),
            inputs=one.series.inputs(one.table.name, frame),
            method="xrd_peaks.shift",
            quantities=_quantities(one, f),
            quality=quality_of(one.track.fit, (*shared, *frame.flags), f, r_factors=True),
        )
        for f, frame in enumerate(one.stack.levels)
    ]
    whole = _whole(context, one, scale, tuple(r.record_id for r in records))
    arrays = _arrays(context, one)
    return PipelineOutput((*records, whole), {arrays.name: arrays})


def _quantities(one: _Followed, f: int) -> tuple[Quantity, ...]:
    track, table = one.track, one.table
    rows = [
        ("peak.position", track.position, track.position_sigma, "deg"),
        ("lattice.d_spacing", one.d, one.d_sigma, "angstrom"),
        ("peak.shift", track.shift, track.shift_sigma, "deg"),
        ("lattice.d_spacing_change", track.d_shift, track.d_shift_sigma, "angstrom"),
        ("peak.fwhm", track.fwhm, track.fwhm_sigma, "deg"),
        ("peak.area", track.area, track.area_sigma, "counts*deg"),
    ]
    if track.sample_fwhm is not None and track.sample_fwhm_sigma is not None:
        rows.append(("peak.sample_fwhm", track.sample_fwhm, track.sample_fwhm_sigma, "deg"))
    if table.d_to_a is not None:
        rows.append(("lattice.a", one.d * table.d_to_a, one.d_sigma * table.d_to_a, "angstrom"))
    refined = {"peak.position": "line_center", "peak.fwhm": "line_fwhm", "peak.area": "line_area"}
    found = []
    for name, values, sigmas, unit in rows:
        ends = profiled(track.fit, refined[name], f) if name in refined else {}
        role: Role = "refined" if name in refined else "derived"
        kind = track.fit.sigma_kind
        found.append(measured(name, float(values[f]), float(sigmas[f]), unit, table.name, role=role, kind=kind, **ends))
    return some(found)


def _whole(context: RunContext, one: _Followed, scale: Quantity | None, parents: tuple[str, ...]) -> ResultRecord:
    track, table, d = one.track, one.table, one.d
    fit, kind = track.fit, track.fit.sigma_kind
    found = [
        measured(what, *shared, "1", table.name, role="refined", kind=kind, **profiled(fit, f"line_{name}", 0))
        for what, name, shared in (
            ("peak.mixing", "mixing", track.mixing),
            ("instrument.axial_divergence", "axial", track.axial),
        )
    ]
    found.append(scale)
    spread = float(np.std(d, ddof=1)) if d.size > 1 else 0.0
    notes = [f"spacing {d.min():.5f} to {d.max():.5f} angstrom, standard deviation {spread:.5f}"]
    if table.known_d_A is not None:
        notes.append(f"standard of {table.known_d_A:g} angstrom: mean difference {d.mean() - table.known_d_A:+.5f}")
    if one.displacement is not None:
        moved = np.ptp(one.displacement)
        notes.append(f"spacings corrected by {table.standard}: displacement/radius {moved:.2g} in all")
    return context.record(
        state=one.series.state(None, table.name),
        inputs=one.series.inputs(f"{table.name}@series"),
        method="xrd_peaks.reflection",
        quantities=some(found),
        quality=quality_of(track.fit, one.flags),
        parents=parents,
        notes=(*notes, *one.series.notes),
    )


def _name_of(context: RunContext, table: ReflectionTable) -> tuple[str, ...]:
    """Return what the arrays are called: (003) followed alone must not take the name of the series of components."""
    recipe = context.recipe
    own = recipe.component_set() if isinstance(recipe, PeaksRecipe) and recipe.components is not None else None
    taken = own is not None and own.reflection == table.name.strip(" ()")
    return (table.name, "alone") if taken else (table.name,)


def _arrays(context: RunContext, one: _Followed) -> SeriesArrays:
    track, name = one.track, one.table.name
    curves, background = track.fit.component_curves()
    fields = level_fields(context, one.series, one.stack.levels)
    fields["parameters"] = {
        "position": SeriesParameter(track.position, track.position_sigma, "deg", scope="pattern"),
        "fwhm": SeriesParameter(track.fwhm, track.fwhm_sigma, "deg", scope="pattern"),
        **fields["parameters"],
    }
    return SeriesArrays.of_fit(
        track.fit,
        {},
        **fields,
        name=array_name(context, one.series, *_name_of(context, one.table)),
        axis_name="two_theta",
        title=f"{one.series.sample}: {name}",
        background=background,
        components={name if n == "line" else n: curve for n, curve in curves.items()},
        component_area={name: track.area},
        component_area_sigma={name: track.area_sigma},
        metadata={"wavelength_A": one.series.radiation.alpha1, "redchi": track.fit.redchi},
    )
