"""The pipeline ``xrd_peaks``: frames of an in-situ series in, phases, fractions, onsets and shifts out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from layerscope.errors import DataError, LayerscopeError
from layerscope.fitting.quality import gross_levels, gross_misfit
from layerscope.flags import inherited_flags
from layerscope.measured.noise import factor_or_errors
from layerscope.measured.series import times_of, voltages_of
from layerscope.records import ResultRecord
from layerscope.runs.arrays import SeriesArrays, SeriesParameter
from layerscope.runs.build import measured, quality_of, some
from layerscope.runs.levels import array_name, level_fields, reject_levels, side_files
from layerscope.runs.pipeline import PipelineOutput, RunContext
from layerscope.runs.summary import SummaryTable

from ..frames import FrameSeries, FrameStack, frames_failed, stack
from ..radiation import Radiation
from ..recipe_series import SeriesTable
from ..refused import refused_record
from ..series import FramesPipeline, load_series
from ..tables import peaks_tables
from .bragg import d_from_two_theta, two_theta_from_d
from .components import ComponentSet, hardware_lines
from .follow import reflection_outputs
from .quantities import (
    frame_alternatives,
    frame_flags,
    frame_quantities,
    name_alternatives,
    name_is_uncertain,
    namings,
    row_labels,
    series_flags,
    series_quantities,
)
from .readings import read_intergrowth
from .recipe import PeaksRecipe
from .sample_records import Analysed, difference_record, stack_difference_record
from .series import LineSeries, SeriesOptions, analyse_series
from .stack_records import stack_flags, stack_records
from .stack_series import read_stacks

if TYPE_CHECKING:
    from layerscope.figures import Drawing
    from layerscope.runs.load import Run

__all__ = ["PIPELINE", "PeaksPipeline"]

CU_ALPHA1 = 1.5405929
"""Wavelength (Å) for which the reference data give angles."""

MARGIN_BELOW, MARGIN_ABOVE = 1.2, 0.6
"""Degrees of background fitted beside the window of the components; PTFE lies below."""


class PeaksPipeline(FramesPipeline):
    """In-situ series by single lines."""

    name = "xrd_peaks"
    effort_s = 4.0
    version = "4"
    technique = "xrd"
    recipe_model = PeaksRecipe

    def faults(self, recipe: PeaksRecipe) -> list[LayerscopeError]:
        """Return what is wrong with the names in a recipe."""
        return _recipe_errors(recipe)

    def tried(self, recipe: PeaksRecipe, series: FrameSeries) -> list[LayerscopeError]:
        """Return what is wrong with frames, after making sure that they hold the lines of the components."""
        if recipe.components is not None:
            _stacked(recipe, series)
        factor_or_errors(series.measurements, recipe.noise)
        return [failure.error for failure in series.rejected]

    def groups(self, recipe: PeaksRecipe) -> list[tuple[SeriesTable, ...]]:
        """Return each series alone; two that are compared stay together."""
        together = set(recipe.compare.samples) if recipe.compare is not None else set()
        pair = tuple(s for s in recipe.series if (s.sample or recipe.sample) in together)
        return [*([pair] if pair else []), *((s,) for s in recipe.series if s not in pair)]

    def read(self, recipe: PeaksRecipe, table: SeriesTable) -> FrameSeries:
        """Return the frames of a series with the state of the cell."""
        series = load_series(recipe, table)
        if recipe.components_file is None:
            return series
        return replace(series, others=(*series.others, *side_files(recipe, recipe.components_file)))

    def run(self, recipe: PeaksRecipe, context: RunContext) -> Iterator[PipelineOutput]:
        """Yield the records and arrays of each series, then what comparing them gives."""
        analysed: list[Analysed] = []
        for output in super().run(recipe, context):
            analysed += [output.analysed] if isinstance(output, _Output) else []
            yield output
        comparison = recipe.compare
        if comparison is not None and len(analysed) == 2:
            first, second = sorted(analysed, key=lambda a: comparison.samples.index(a.series.sample))
            with context.guard(method=f"{self.name}.difference"):
                yield PipelineOutput((difference_record(comparison, context, first, second),))
            if recipe.stacking:
                with context.guard(method=f"{self.name}.stack_difference"):
                    yield PipelineOutput((stack_difference_record(comparison, context, first, second),))

    def analyse(self, series: FrameSeries, context: RunContext) -> Iterator[PipelineOutput]:
        """Yield the records and arrays of the lines of the components, and of every reflection."""
        recipe, context = cast("PeaksRecipe", context.recipe), series.told(context)
        stacked = None if recipe.components is None else _stacked(recipe, series)
        reject_levels(context, series, series.rejected, f"{self.name}.frame")
        if stacked is not None:
            reject_levels(context, series, stacked.rejected, f"{self.name}.frame")
            yield _analyse(recipe, context, series, stacked)
        if recipe.reflections:
            yield from reflection_outputs(recipe, context, series)

    def summary(self, records: Sequence[ResultRecord]) -> list[SummaryTable]:
        """Return the phase-fraction table, onsets, reflections and differences."""
        return peaks_tables(records)

    def figures(self, run: Run, folder: Path) -> Iterator[Drawing]:
        """Return contour, waterfall, deconvolution and fractions."""
        from .figures import draw

        return draw(run, folder)

    def exports(self) -> Mapping[str, Callable[[Run, Path], list[Path]]]:
        """Offer phase-fraction tables, powder CIF and NXmonopd."""
        from ..exports import FORMATS

        return FORMATS


def _recipe_errors(recipe: PeaksRecipe) -> list[LayerscopeError]:
    """Return what is wrong with the names in a recipe."""
    from layerscope.errors import RecipeError

    errors: list[LayerscopeError] = []
    if recipe.components is None:
        return errors
    try:
        components = recipe.component_set()
    except LayerscopeError as error:
        where = recipe.components_file or "components"
        return [RecipeError(f"components: {error.message}", source=where, hint=error.hint)]
    wanted = [("intensity_per_weight", n) for n in recipe.intensity_per_weight]
    wanted += [("total", n) for n in recipe.total] if "total" in recipe.model_fields_set else []
    if recipe.compare:
        wanted += [("compare.phases", n) for n in recipe.compare.phases]
        wanted += [("compare.may_be_absent", n) for n in recipe.compare.may_be_absent]
    for where, name in wanted:
        if name not in components.ids:
            known = ", ".join(components.ids)
            errors.append(RecipeError(f"{where}: no component {name!r}", source=where, hint=f"known: {known}"))
    if recipe.stacking and components.stacking is None:
        errors.append(RecipeError(f"stacking: {components.name} names no stacks", source="stacking"))
    if isinstance(recipe.hardware, tuple):
        ids = {h.id for h in hardware_lines()}
        for name in recipe.hardware:
            if name not in ids:
                hint = f"known: {', '.join(sorted(ids))}"
                errors.append(RecipeError(f"hardware: no line {name!r}", source="hardware", hint=hint))
    return errors


def _window(recipe: PeaksRecipe, components: ComponentSet, radiation: Radiation) -> tuple[float, float]:
    """Return where the components lie at this wavelength (degrees)."""
    if recipe.window is not None:
        return recipe.window
    if abs(radiation.alpha1 / CU_ALPHA1 - 1) < 1e-3:
        return components.low_deg, components.high_deg
    d, _ = d_from_two_theta([components.high_deg, components.low_deg], CU_ALPHA1)
    high, low = (float(v) for v in two_theta_from_d(d, radiation.alpha1))
    return low, high


def _stacked(recipe: PeaksRecipe, series: FrameSeries) -> FrameStack:
    """Put the frames on one axis around the window of the components."""
    assert recipe.components is not None  # noqa: S101
    radiation = series.radiation
    components = recipe.component_set()
    window = _window(recipe, components, radiation)
    limits = recipe.range_2theta or (window[0] - MARGIN_BELOW, window[1] + MARGIN_ABOVE)
    stacked = stack(series, limits)
    axis = stacked.axis
    step = float(np.ptp(axis)) / (axis.size - 1)
    if axis[0] > window[0] + step or axis[-1] < window[1] - max(step, 0.5):
        raise DataError(
            f"the lines of {components.name} lie in {window[0]:.2f} to {window[1]:.2f} degrees at "
            f"{radiation.alpha1:g} Å, but the frames run from {axis[0]:.2f} to {axis[-1]:.2f}",
            source=series.files[0].path,
            hint="is the wavelength right? otherwise give the window",
        )
    return stacked


def _completed(recipe: PeaksRecipe, stacked: FrameStack, radiation: Radiation) -> PeaksRecipe:
    """Return the recipe with every value that the library, the axis and the wavelength gave it."""
    components = recipe.component_set()
    ends, _ = d_from_two_theta([stacked.axis[-1], stacked.axis[0]], radiation.alpha1)
    there = tuple(h.id for h in hardware_lines(float(ends[0]), float(ends[1])))
    asked = recipe.hardware if isinstance(recipe.hardware, tuple) else there
    factors = {c.id: c.intensity_per_weight * c.texture for c in components.components}
    if recipe.intensity_from == "structures":
        from .structure import calculated_factors

        factors = calculated_factors(components, radiation.alpha1)
    found = {
        "window": _window(recipe, components, radiation),
        "hardware": recipe.hardware and tuple(name for name in there if name in asked),
        "intensity_per_weight": factors | recipe.intensity_per_weight,
    }
    return recipe.model_copy(update=found).located(recipe.folder)


def _options(recipe: PeaksRecipe, stacked: FrameStack, factor: float | None) -> SeriesOptions:
    """Return what the numerics are asked for by a recipe that is complete."""
    index = {frame.index: row for row, frame in enumerate(stacked.levels)}
    reference = tuple(index[i] for i in recipe.reference_frames if i in index)
    if not reference:
        raise DataError("none of the reference frames can be used", hint="choose others: reference_frames")
    chosen = recipe.hardware if isinstance(recipe.hardware, tuple) else ()
    return SeriesOptions(
        fit=recipe,
        components=recipe.component_set(),
        hardware=tuple(line for line in hardware_lines() if line.id in chosen),
        window=recipe.window,
        reference_frames=reference,
        noise_factor=factor,
        intensity_per_weight=recipe.intensity_per_weight,
    )


@dataclass(frozen=True)
class _Output(PipelineOutput):
    """Records and arrays of the components, with the analysis that they are from."""

    analysed: Analysed = field(kw_only=True)


def _analyse(recipe: PeaksRecipe, context: RunContext, series: FrameSeries, stacked: FrameStack) -> PipelineOutput:
    recipe = _completed(recipe, stacked, series.radiation)
    context = replace(context, recipe=recipe)  # records say which values were used
    factor, factor_sigma, noise = factor_or_errors(series.measurements, recipe.noise)
    times = times_of(stacked.levels)
    voltage, voltage_sigma, missing = voltages_of(stacked.levels)
    result = analyse_series(
        stacked.axis,
        stacked.intensity,
        series.radiation,
        variance=stacked.variance,
        time_s=times,
        voltage_V=voltage,
        options=_options(recipe, stacked, factor),
    )
    region = recipe.component_set().reflection
    refused = gross_misfit(result.joint.fit)
    if refused:
        failed = refused_record(context, series, result.joint.fit, refused[0], region, "xrd_peaks.series", None)
        arrays = _arrays(context, Analysed(series, stacked, result, refused), region, factor)
        return PipelineOutput((failed,), {arrays.name: arrays})
    stacks, inputs = None, series.inputs(f"{region}@stacks")
    untold: tuple[str, ...] = ()
    if recipe.stacking:  # where it fails, a failed record says so, and the lines stay
        with context.guard(state=series.state(None, region), inputs=inputs, method="xrd_peaks.stacks"):
            stacks = read_stacks(result)
            untold = () if stacks else ("no frame holds several phases: nothing to read as stacks",)
    better = stack_flags(stacks) if stacks is not None else ()
    lost = [stacked.levels[f].index for f in sorted(gross_levels(result.joint.fit))]
    flags = (*series_flags(result), *better, *noise, *missing, *series.flags, *frames_failed(series, stacked))
    flags += (f"FRAMES_FAILED:{','.join(map(str, lost))}",) if lost else ()
    quality = quality_of(result.joint.fit, flags)
    found = Analysed(series, stacked, result, quality.flags)
    frames = _frame_records(recipe, context, found, region)
    scale = None if factor is None or factor_sigma is None else measured("noise.factor", factor, factor_sigma, "1")
    whole = context.record(
        state=series.state(None, region),
        inputs=series.inputs(f"{region}@series"),
        method="xrd_peaks.series",
        quantities=some((*series_quantities(result, voltage_sigma, timed=times is not None), scale)),
        quality=quality,
        alternatives=name_alternatives(result),
        parents=tuple(r.record_id for r in frames),
        notes=(*_notes(result), *untold, *series.notes, *result.notes),
    )
    arrays = _arrays(context, found, region, factor)
    read = () if stacks is None else stack_records(context, found, stacks)
    if read and read[-1].quality is not None:
        found = replace(found, stacks=stacks, stack_flags=read[-1].quality.flags)
    return _Output((*frames, whole, *read), {arrays.name: arrays}, analysed=found)


def _notes(result: LineSeries) -> list[str]:
    notes = ["lines are named by angle, order, width, amount and voltage together; see the alternatives"]
    tied = [f.split(":", 1)[1] for f in result.flags if f.startswith("WIDTH_TIED:")]
    if tied:
        notes.append(f"too weak for a width of their own: {', '.join(tied)}")
    return notes


def _frame_records(recipe: PeaksRecipe, context: RunContext, found: Analysed, region: str) -> list[ResultRecord]:
    records = []
    series, result = found.series, found.result
    reading, others, names = read_intergrowth(result), namings(result), name_alternatives(result)
    shared = inherited_flags(found.flags)
    for f, frame in enumerate(found.stack.levels):
        if f % 20 == 0:
            context.progress(f, len(found.stack.levels), f"{series.sample}: frame {frame.index}")
        flags = (*shared, *frame.flags, *frame_flags(result, f))
        gross = gross_misfit(result.joint.fit, f)
        if gross:
            at = (f, frame)
            refused = refused_record(context, series, result.joint.fit, gross[0], region, "xrd_peaks.frame", at)
            records.append(refused)
            continue
        records.append(
            context.record(
                state=series.state(frame, region),
                inputs=series.inputs(region, frame),
                method="xrd_peaks.frame",
                quantities=tuple(frame_quantities(result, f, recipe.total, reading, others)),
                quality=quality_of(result.joint.fit, flags, f, r_factors=True),
                alternatives=(*frame_alternatives(result, f), *(names if name_is_uncertain(result, f) else ())),
            )
        )
    return records


def _arrays(context: RunContext, found: Analysed, region: str, factor: float | None) -> SeriesArrays:
    result, fit = found.result, found.result.joint.fit
    curves, background = fit.component_curves()
    components = {}
    labels = row_labels(result)
    for k, line in enumerate(result.lines):  # O3' may be the later part of the line of O3
        components[labels[k]] = curves[line] * result.present[k][:, None]
    components |= {line.id: curves[line.id] for line in result.hardware if line.id in curves}
    area_sigma = np.sqrt(np.maximum(np.einsum("fkk->kf", result.area_covariance), 0.0))
    fields = level_fields(context, found.series, found.stack.levels)
    shape = np.ones(len(found.stack.levels))
    for k, label in enumerate(labels):
        width = SeriesParameter(shape * result.fwhm[k], shape * result.fwhm_sigma[k], "deg")
        fields["parameters"][f"{label} fwhm"] = width
    radiation = found.series.radiation
    return SeriesArrays.of_fit(
        fit,
        {},
        **fields,
        name=array_name(context, found.series, region),
        axis_name="two_theta",
        title=f"{found.series.sample}: ({region})",
        axis=found.stack.axis.copy(),
        background=background,
        components=components,
        component_area={label: result.area[k] for k, label in enumerate(labels)},
        component_area_sigma={label: area_sigma[k] for k, label in enumerate(labels)},
        metadata={
            "wavelength_A": radiation.alpha1,
            "wavelength2_A": radiation.alpha2,
            "ratio": radiation.ratio,
            "anode": radiation.anode or None,
            "noise_factor": factor,
            "redchi": fit.redchi,
            **{f"color_order:{label}": k for k, label in enumerate(labels)},
            **{f"color:{c.label}": c.colour for c in result.options.components.components if c.colour},
        },
    )


PIPELINE = PeaksPipeline()
