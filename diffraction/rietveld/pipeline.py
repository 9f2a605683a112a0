"""The pipeline ``rietveld``: patterns or series in, cells, sites and weight fractions of one or two engines out."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from layerscope.errors import DataError, LayerscopeError
from layerscope.fitting.discrepancy import Discrepancy
from layerscope.flags import derived_flags
from layerscope.records import FitQuality, ResultRecord
from layerscope.records import Problem as RecordProblem
from layerscope.runs.hooks import Finding
from layerscope.runs.pipeline import PipelineBase, PipelineOutput, RunContext
from layerscope.runs.summary import SummaryTable
from layerscope.runs.technique import Part, guarded

from ..frames import Frame, FrameSeries
from ..recipe_series import SeriesTable
from ..refused import refusal
from ..series import FramesPipeline, load_series
from ..tables import rietveld_tables
from .compare import compare
from .curves import refinement_arrays
from .diagnosis import broad_phases, contrast, wrong_wavelength
from .engines.interface import Engine, EngineStatus, RefineOptions
from .engines.registry import engine_statuses, get_engine
from .from_recipe import resolved_phase
from .job import ENGINE_NAMES, Job, engines_of, fail, hide_folders, make_job, missing_engine
from .model import Problem
from .options import SequenceTable, SeriesOptions
from .presence import refine_present
from .quantities import (
    absent_phases,
    comparison_quantities,
    event_quantities,
    held_phases,
    poor_fit,
    refinement_quality,
    refinement_quantities,
)
from .recipe import RietveldRecipe
from .result import RietveldResult
from .sequence import FrameResult, SeriesResult, calibrate, refine_series

if TYPE_CHECKING:
    from layerscope.figures import Drawing
    from layerscope.runs.load import Run
    from layerscope.runs.pipeline import Pipeline

__all__ = ["PIPELINE", "RietveldPipeline"]


@dataclass(frozen=True)
class Refined:
    """A refined frame of one engine with its record."""

    frame: Frame
    result: RietveldResult
    record: ResultRecord


class RietveldPipeline(FramesPipeline):
    """Rietveld refinement of patterns and series."""

    name = "rietveld"
    effort_s = 6.0
    version = "5"
    technique = "rietveld"
    recipe_model = RietveldRecipe

    def check(self, recipe: RietveldRecipe) -> list[RecordProblem]:
        """Return what is wrong with a recipe: files, phases, plan, engines that are not there."""
        problems: list[LayerscopeError] = []
        for table in recipe.phases:
            try:
                resolved_phase(recipe, table)
            except LayerscopeError as error:
                problems.append(error)
        problems += [missing for engine in engines_of(recipe) if (missing := missing_engine(engine)) is not None]
        if problems:
            return [*PipelineBase.check(self, recipe), *(RecordProblem.from_error(e) for e in problems)]
        return super().check(recipe)

    def read(self, recipe: RietveldRecipe, table: SeriesTable) -> FrameSeries:
        """Return the patterns of a series."""
        return load_series(recipe, table)

    def tried(self, recipe: RietveldRecipe, series: FrameSeries) -> list[LayerscopeError]:
        """Return what is wrong with frames, after making sure that some can be refined."""
        job = make_job(recipe, RunContext(cast("Pipeline", self), recipe, {}), series)
        return [failure.error for failure in job.series.rejected]

    def analyse(self, series: FrameSeries, context: RunContext) -> Iterator[PipelineOutput]:
        """Yield the records and arrays of one series, engine by engine, then their comparison."""
        by_engine: dict[str, list[Refined]] = {}
        with tempfile.TemporaryDirectory(prefix="layerscope-rietveld-") as scratch:
            job = make_job(cast("RietveldRecipe", context.recipe), series.told(context), series)
            job = replace(job, scratch=Path(scratch))

            def about(engine: str) -> Part:
                return Part(engine, series.state(None), series.inputs(engine), f"{self.name}.{engine}")

            def refined(engine: str) -> Iterator[PipelineOutput]:
                missing = missing_engine(engine)
                if missing is not None:
                    raise missing
                by_engine[engine], output = _sequence(job, engine) if job.recipe.sequence else _patterns(job, engine)
                if output.records:
                    yield output

            yield from guarded(job.context, engines_of(job.recipe), about, refined)
            if len(by_engine) == 2:
                records = _comparisons(job, by_engine["rietx"], by_engine["gsas2"])
                if records:
                    yield PipelineOutput(tuple(records))

    def summary(self, records: Sequence[ResultRecord]) -> list[SummaryTable]:
        """Return cells and fractions, onsets, and the comparison of engines."""
        return rietveld_tables(records)

    def figures(self, run: Run, folder: Path) -> Iterator[Drawing]:
        """Return Rietveld plots and courses of cells and fractions."""
        from .figures import draw

        return draw(run, folder)

    def doctor(self) -> list[Finding]:
        """Return which engines can be used, as they say themselves when a recipe asks for them."""
        return [_finding(engine) for engine in engine_statuses()]

    def exports(self) -> Mapping[str, Callable[[Run, Path], list[Path]]]:
        """Offer phase-fraction tables, powder CIF and NXmonopd."""
        from ..exports import FORMATS

        return FORMATS


def _finding(engine: EngineStatus) -> Finding:
    name, found = ENGINE_NAMES[engine.name], f"{engine.version} {engine.location}".strip()
    if engine.available:
        return Finding("engine", name, "ok", found)
    return Finding("engine", name, "broken" if found else "missing", found or "Rietveld refinement", engine.hint)


def _record(
    job: Job,
    engine: str,
    frame: Frame,
    result: RietveldResult,
    flags: Sequence[str],
    found: FrameResult,
) -> ResultRecord:
    result = job.keep(engine, frame, result)
    quantities = refinement_quantities(result, job.recipe.total, le_bail=job.recipe.le_bail)
    quantities += absent_phases(found.tested, found.active)
    quantities += held_phases(found.held)
    quality = refinement_quality(result, (*frame.flags, *flags, *broad_phases(job, result), *job.flags))
    files = [job.kept(p) for p in (result.project, result.log)]
    kept = [f"kept: {name}" for name in files if name is not None]
    notes = [f"engine {ENGINE_NAMES[engine]} {result.engine_version}", *kept, *contrast(job, result)]
    if result.discrepancy is not None and result.discrepancy.amplitude > 0:
        notes.append(_wrong_shape(result.discrepancy))
    if found.direction_sigma is not None:
        notes.append(_directions(found, found.direction_sigma))
    about: dict[str, Any] = {
        "state": job.series.state(frame),
        "inputs": job.series.inputs(engine, frame),
        "method": f"rietveld.{engine}",
        "quality": quality,
        "notes": tuple(notes),
    }
    for flag in (flag for flag in quality.flags if flag.startswith("GROSS_MISFIT")):
        curves = result.curves
        phases = " + ".join(phase.name for phase in result.phases)
        hint = "add the phase that is missing, or start the cell closer: the figure shows what is left"
        return job.context.failed(refusal(phases, flag, curves.two_theta, curves.residual, hint), **about)
    return job.context.record(
        quantities=tuple(quantities), software={ENGINE_NAMES[engine]: result.engine_version}, **about
    )


def _wrong_shape(known: Discrepancy) -> str:
    return (
        f"the shape of the lines is known to {100 * known.amplitude:.2g} % over {known.length:.2g} degrees: weight "
        "fractions are those of a generalised step after the engine, and errors have a part model"
    )


def _directions(found: FrameResult, sigma: float) -> str:
    if math.isinf(sigma):
        return f"forward and backward find different phases; those of the sweep {found.direction} fit better"
    return f"forward and backward differ by at most {sigma:.2g} sigma"


def _patterns(job: Job, engine: str) -> tuple[list[Refined], PipelineOutput]:
    """Refine every frame by itself."""
    with contextlib.closing(get_engine(engine)) as chosen:
        chosen.open(job.folder(engine))
        refined = _each_pattern(job, engine, chosen)
    return refined, _output(job, engine, refined, [])


def _each_pattern(job: Job, engine: str, chosen: Engine) -> list[Refined]:
    plan = job.recipe.refinement_plan(job.recipe.plan)
    refined = []
    for number, frame in enumerate(job.series.levels):
        job.context.progress(number, len(job.series.levels), f"{engine}: frame {frame.index}")
        folder = job.folder(engine, f"frame_{frame.index:04d}")
        folder.mkdir(parents=True, exist_ok=True)
        options = RefineOptions(prealign=not job.recipe.le_bail, folder=folder, time_limit_s=job.recipe.time_limit_s)
        try:
            pattern = job.patterns[frame.index]
            done = refine_present(pattern, job.problem, engine=chosen, plan=plan, options=options)
            result = done.result
            if poor_fit(result) is not None:
                wrong_wavelength(job, frame)
            active = tuple(phase.name for phase in result.phases)
            held = tuple(job.problem.phase(name) for name in done.absent)
            found = FrameResult(frame.index, pattern.name, result, active, dict(done.tested), held=held)
            record = _record(job, engine, frame, result, (), found)
        except Exception as error:
            if job.context.debug:
                raise
            fail(job, error, engine, frame)
            continue
        refined.append(Refined(frame, result, record))
    return refined


def _sequence(job: Job, engine: str) -> tuple[list[Refined], PipelineOutput]:
    """Refine the frames as a series: warm start, phases on and off, both directions."""
    table = job.recipe.sequence
    assert table is not None  # noqa: S101
    frames = job.series.levels
    if table.calibrate is not None:
        job = replace(job, problem=_calibrated(job, engine, table))
    options = _options(job, engine, table)
    job.context.progress(0, len(frames), f"{engine}: {len(frames)} frames")
    try:
        found = refine_series([job.patterns[f.index] for f in frames], job.problem, options)
    except LayerscopeError as error:
        wrong_wavelength(job, frames[0])
        hide_folders(job, error, engine, None)
        raise
    results = [item.result for item in found.frames if item.result is not None]
    if all(poor_fit(result) is not None for result in results):
        wrong_wavelength(job, frames[0])  # one cause, one record: that of the series
    refined = []
    for frame, item in zip(frames, found.frames, strict=True):
        if item.result is None:
            fail(job, item.problem or DataError("the frame could not be refined"), engine, frame)
            continue
        flags = [f for f in item.flags if f not in item.result.flags]
        if table.both_directions and len(frames) > 1 and item.direction_sigma is None:
            flags.append(f"ONE_DIRECTION:{item.direction}")  # the other sweep could not refine it
        record = _record(job, engine, frame, item.result, flags, item)
        refined.append(Refined(frame, item.result, record))
    job.context.progress(len(frames), len(frames), f"{engine}: done")
    whole = _series_record(job, engine, frames, found, refined)
    return refined, _output(job, engine, refined, [whole])


def _calibrated(job: Job, engine: str, table: SequenceTable) -> Problem:
    """Refine one frame with its instrument, which the series then holds."""
    wanted = table.calibrate
    assert wanted is not None  # noqa: S101
    if wanted.frame not in job.patterns:
        raise DataError(f"frame {wanted.frame}, by which the instrument is calibrated, cannot be used")
    names = wanted.phases or tuple(p.name for p in job.problem.phases)
    part = job.problem.only(names)
    folder = job.folder(engine, "calibration")
    options = RefineOptions(folder=folder, time_limit_s=job.recipe.time_limit_s)
    done = calibrate(
        job.patterns[wanted.frame], part, job.recipe.refinement_plan(wanted.plan), engine=engine, options=options
    )
    job.keep_calibration(engine, folder)
    phases = {p.name: p for p in done.phases}
    merged = []
    for phase, own in zip(job.problem.phases, job.recipe.phases, strict=True):
        like = phases.get(own.broadening_like or "")
        if like is not None:
            phase = replace(phase, size_nm=like.size_nm, microstrain_ppm=like.microstrain_ppm)
        merged.append(phases.get(phase.name, phase))
    return replace(done, phases=tuple(merged))


def _options(job: Job, engine: str, table: SequenceTable) -> SeriesOptions:
    return SeriesOptions(
        **dict(table), engine=engine, time_limit_s=job.recipe.time_limit_s, folder=job.folder(engine, "frames")
    )


def _series_record(
    job: Job, engine: str, frames: Sequence[Frame], found: SeriesResult, refined: Sequence[Refined]
) -> ResultRecord:
    quantities, notes = event_quantities(frames, found, [p.name for p in job.problem.phases])
    lost = [frame.index for frame, item in zip(frames, found.frames, strict=True) if item.result is None]
    lost += [one.frame.index for one in refined if one.record.status == "failed"]
    failed = sorted([*lost, *(one.index for one in job.series.rejected)])
    worst = max((o.sigma for o in found.overlaps), default=None)
    if worst is not None:
        notes.append(f"frames that two chunks share differ by at most {worst:.2g} sigma")
    merged = [r.result for r in refined]
    chi2, n_data = sum(r.chi2 for r in merged), sum(r.n_data for r in merged)
    flags = ([f"FRAMES_FAILED:{','.join(map(str, failed))}"] if failed else []) + list(job.series.flags)
    flags += [f"CHUNKS_DISAGREE:{o.index}" for o in found.overlaps if not o.same_phases]
    quality = FitQuality(
        chi2=chi2, n_data=n_data, converged=all(r.converged for r in merged), flags=tuple(dict.fromkeys(flags))
    )
    return job.context.record(
        state=job.series.state(None),
        inputs=job.series.inputs(f"{engine}@series"),
        method=f"rietveld.{engine}.series",
        quantities=tuple(quantities),
        quality=quality,
        parents=tuple(r.record.record_id for r in refined),
        notes=(*notes, *job.series.notes),
    )


def _output(job: Job, engine: str, refined: Sequence[Refined], more: Sequence[ResultRecord]) -> PipelineOutput:
    arrays = refinement_arrays(job.context, job.series, engine, [(r.frame, r.result) for r in refined])
    return PipelineOutput((*(r.record for r in refined), *more), {a.name: a for a in arrays})


def _comparisons(job: Job, first: Sequence[Refined], second: Sequence[Refined]) -> list[ResultRecord]:
    """Return one record a frame that both engines refined."""
    others = {r.frame.index: r for r in second}
    records = []
    for ours in first:
        theirs = others.get(ours.frame.index)
        if theirs is None or "failed" in (ours.record.status, theirs.record.status):
            continue
        found = compare(ours.result, theirs.result, limit=job.recipe.agree_within)
        alike = {p.name for p in ours.result.phases} == {p.name for p in theirs.result.phases}
        flags = [] if found.verdict == "agree" else [f"ENGINES_DIFFER:{found.verdict}"]
        flags += [] if alike else ["PHASES_DIFFER"]
        flags += derived_flags({"rietx": ours.record.flags, "gsas2": theirs.record.flags})
        records.append(
            job.context.record(
                state=job.series.state(ours.frame),
                inputs=job.series.inputs("comparison", ours.frame),
                method="rietveld.comparison",
                quantities=tuple(comparison_quantities(found)),
                quality=FitQuality(flags=tuple(flags)),
                parents=(ours.record.record_id, theirs.record.record_id),
                notes=(f"{found.verdict}: {found.message}", "GSAS-II less rietx, in the larger raw standard error"),
            )
        )
    return records


PIPELINE = RietveldPipeline()
