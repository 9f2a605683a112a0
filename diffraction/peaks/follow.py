"""Single reflections followed through a series, as records: shift, spacing, half width, cubic cell."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from layerscope.errors import DataError
from layerscope.records import FitQuality, Quantity, ResultRecord
from layerscope.runs.arrays import SeriesArrays, SeriesParameter
from layerscope.runs.pipeline import PipelineOutput, RunContext

from ..radiation import FloatArray
from ..series import FrameSeries, Stack, levels_of, noise_factor, stack, times_of, voltages_of
from .components import component_set
from .quantities import derived
from .recipe import PeaksRecipe, ReflectionTable
from .shift import ReflectionTrack, corrected_by_standard, track_reflection

__all__ = ["reflection_outputs"]


def reflection_outputs(recipe: PeaksRecipe, context: RunContext, series: FrameSeries) -> Iterator[PipelineOutput]:
    """Yield records and arrays of every reflection of a recipe; standards come first.

    Parameters
    ----------
    recipe : PeaksRecipe
    context : RunContext
    series : FrameSeries
    """
    factor, factor_sigma, flags = noise_factor(series, recipe.noise)
    tracks: dict[str, tuple[ReflectionTrack, Stack, ReflectionTable]] = {}
    for table in sorted(recipe.reflections, key=lambda r: r.known_d_A is None):
        with context.guard(
            state=series.state(None, table.name),
            inputs=series.inputs(f"{table.name}@all"),
            method="xrd_peaks.reflection",
        ):
            stacked = stack(series, table.range_2theta)
            reported = {f.index for f in series.failures}
            for failure in stacked.failures:
                if failure.index not in reported:
                    method = "xrd_peaks.shift"
                    inputs = series.inputs(table.name, failure)
                    state = series.state(failure, table.name)
                    context.failures.append(context.failed(failure.error, state=state, inputs=inputs, method=method))
            track = _track(series, stacked, table, factor)
            tracks[table.name] = (track, stacked, table)
            standard = tracks.get(table.standard) if table.standard is not None else None
            if table.standard is not None and standard is None:
                raise DataError(f"the standard {table.standard} could not be followed", source=table.name)
            scale = None if factor_sigma is None else derived("noise.factor", factor, factor_sigma, "1")
            yield _output(context, series, stacked, table, track, standard, scale, flags)


def _track(series: FrameSeries, stacked: Stack, table: ReflectionTable, factor: float) -> ReflectionTrack:
    row = {frame.index: k for k, frame in enumerate(stacked.frames)}
    reference = [row[i] for i in table.reference_frames if i in row]
    if not reference:
        raise DataError("none of the reference frames can be used", source=table.name)
    return track_reflection(
        stacked.two_theta,
        stacked.intensity,
        series.radiation,
        table,
        noise_factor=factor,
        reference=reference,
    )


def _output(
    context: RunContext,
    series: FrameSeries,
    stacked: Stack,
    table: ReflectionTable,
    track: ReflectionTrack,
    standard: tuple[ReflectionTrack, Stack, ReflectionTable] | None,
    scale: Quantity | None,
    flags: tuple[str, ...],
) -> PipelineOutput:
    d, d_sigma = track.d, track.d_sigma
    displacement: FloatArray | None = None
    if standard is not None:
        known = standard[2].known_d_A
        assert known is not None  # noqa: S101
        if [f.index for f in standard[1].frames] != [f.index for f in stacked.frames]:
            raise DataError(f"{table.name} and its standard were not measured in the same frames", source=table.name)
        d, d_sigma, displacement = corrected_by_standard(track, standard[0], known, series.radiation.alpha1)
    records = []
    for f, frame in enumerate(stacked.frames):
        records.append(
            context.record(
                state=series.state(frame, table.name),
                inputs=series.inputs(table.name, frame),
                method="xrd_peaks.shift",
                quantities=tuple(_quantities(table, track, d, d_sigma, f)),
                quality=_quality(track, f, frame.flags),
            )
        )
    whole = _whole(context, series, table, track, d, scale, flags, displacement, [r.record_id for r in records])
    arrays = _arrays(context, series, stacked, table, track)
    return PipelineOutput((*records, whole), {arrays.name: arrays})


def _quantities(
    table: ReflectionTable, track: ReflectionTrack, d: FloatArray, d_sigma: FloatArray, f: int
) -> list[Quantity]:
    name = table.name
    rows = [
        ("peak.position", track.position, track.position_sigma, "deg", "refined"),
        ("lattice.d_spacing", d, d_sigma, "angstrom", "derived"),
        ("peak.shift", track.shift, track.shift_sigma, "deg", "derived"),
        ("lattice.d_spacing_change", track.d_shift, track.d_shift_sigma, "angstrom", "derived"),
        ("peak.fwhm", track.fwhm, track.fwhm_sigma, "deg", "refined"),
        ("peak.area", track.area, track.area_sigma, "counts*deg", "refined"),
    ]
    if track.sample_fwhm is not None and track.sample_fwhm_sigma is not None:
        rows.append(("peak.sample_fwhm", track.sample_fwhm, track.sample_fwhm_sigma, "deg", "derived"))
    if table.d_to_a is not None:
        rows.append(("lattice.a", d * table.d_to_a, d_sigma * table.d_to_a, "angstrom", "derived"))
    found = [derived(q, float(v[f]), float(s[f]), unit, name, role=role) for q, v, s, unit, role in rows]
    return [q for q in found if q is not None]


def _quality(track: ReflectionTrack, f: int, flags: tuple[str, ...]) -> FitQuality:
    n = int((track.fit.root_weight[f] > 0).sum())
    chi2 = float(track.fit.pattern_chi2[f])
    return FitQuality(chi2=chi2, redchi=chi2 / max(n, 1), n_data=n, flags=flags)


def _whole(
    context: RunContext,
    series: FrameSeries,
    table: ReflectionTable,
    track: ReflectionTrack,
    d: FloatArray,
    scale: Quantity | None,
    flags: tuple[str, ...],
    displacement: FloatArray | None,
    parents: list[str],
) -> ResultRecord:
    fit = track.fit
    found = [
        derived("peak.mixing", *track.mixing, "1", table.name, role="refined"),
        derived("instrument.axial_divergence", *track.axial, "1", table.name, role="refined"),
        scale,
    ]
    spread = float(np.std(d, ddof=1)) if d.size > 1 else 0.0
    notes = [f"spacing {d.min():.5f} to {d.max():.5f} angstrom, standard deviation {spread:.5f}"]
    if table.known_d_A is not None:
        notes.append(f"standard of {table.known_d_A:g} angstrom: mean difference {d.mean() - table.known_d_A:+.5f}")
    if displacement is not None:
        notes.append(f"spacings corrected by {table.standard}: displacement/radius {np.ptp(displacement):.2g} in all")
    own = [] if fit.converged else ["NOT_CONVERGED"]
    quality = FitQuality(
        chi2=fit.chi2,
        redchi=fit.redchi,
        aic=fit.aic,
        bic=fit.bic,
        n_data=fit.n_points,
        n_free=fit.n_estimated,
        converged=fit.converged,
        flags=(*own, *flags, *series.flags),
    )
    return context.record(
        state=series.state(None, table.name),
        inputs=series.inputs(f"{table.name}@series"),
        method="xrd_peaks.reflection",
        quantities=tuple(q for q in found if q is not None),
        quality=quality,
        parents=tuple(parents),
        status="warning" if own or any(f.startswith("NOT_COUNTS") for f in flags) else "ok",
        notes=(*notes, *series.notes),
    )


def _name_of(context: RunContext, table: ReflectionTable) -> tuple[str, ...]:
    """Return what the arrays are called: (003) followed alone must not take the name of the series of components."""
    components = getattr(context.recipe, "components", None)
    taken = components is not None and component_set(components).reflection == table.name.strip(" ()")
    return (table.name, "alone") if taken else (table.name,)


def _arrays(
    context: RunContext, series: FrameSeries, stacked: Stack, table: ReflectionTable, track: ReflectionTrack
) -> SeriesArrays:
    fit = track.fit
    voltage, voltage_sigma, _ = voltages_of(stacked.frames)
    levels, level_name, level_unit = levels_of(stacked.frames, times_of(stacked.frames), voltage)
    curves, background = fit.component_curves()
    label = {"line": table.name}
    parameters = {
        "position": SeriesParameter(track.position, track.position_sigma, "deg", scope="pattern"),
        "fwhm": SeriesParameter(track.fwhm, track.fwhm_sigma, "deg", scope="pattern"),
    }
    if voltage is not None:
        sigma = voltage_sigma if voltage_sigma is not None else np.full(voltage.size, np.nan)
        parameters["cell_voltage"] = SeriesParameter(voltage, sigma, "V", scope="pattern")
    return SeriesArrays(
        name=context.series_name(*(p for p in (series.table.name or series.sample, *_name_of(context, table)) if p)),
        technique="xrd",
        title=f"{series.sample}: {table.name}",
        sample=series.sample,
        axis=fit.x[0].copy(),
        axis_name="two_theta",
        axis_unit="deg",
        levels=levels,
        level_name=level_name,
        level_unit=level_unit,
        counts=fit.y.copy(),
        variance=fit.variance,
        fit=fit.expected.copy(),
        background=background,
        residual=fit.residual.copy(),
        components={label.get(n, n): v for n, v in curves.items()},
        component_area={table.name: track.area},
        component_area_sigma={table.name: track.area_sigma},
        parameters=parameters,
        intensity_unit="counts",
        area_unit="counts*deg",
        metadata={"wavelength_A": series.radiation.alpha1, "redchi": fit.redchi},
        base=context.base,
        frames=np.array([f.index for f in stacked.frames]),
    )
