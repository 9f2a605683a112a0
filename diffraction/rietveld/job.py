"""One series and what it is refined with: patterns, phases, where engines work, what is kept, what has failed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from layerscope.errors import FitError, LayerscopeError, MissingDependencyError
from layerscope.measured.noise import noise_factor
from layerscope.measured.series import Rejected
from layerscope.runs.levels import reject_levels, side_files
from layerscope.runs.pipeline import RunContext

from ..frames import Frame, FrameSeries
from .engines.registry import get_engine
from .from_recipe import check_probe, powder_pattern, problem_of, with_instrument
from .model import PowderPattern, Problem
from .recipe import RietveldRecipe
from .result import RietveldResult

__all__ = ["ENGINE_NAMES", "Job", "engines_of", "fail", "hide_folders", "make_job", "missing_engine"]

ENGINE_NAMES = {"rietx": "rietx", "gsas2": "GSAS-II"}
_KEPT = ("job.gpx", "gsas2.log", "job.lst")


@dataclass(frozen=True)
class Job:
    """One series and what it is refined with."""

    recipe: RietveldRecipe
    context: RunContext
    series: FrameSeries
    patterns: Mapping[int, PowderPattern]
    problem: Problem
    flags: tuple[str, ...]
    scratch: Path = Path()

    def folder(self, engine: str, *parts: str) -> Path:
        """Return where an engine works; it is gone after the run."""
        return self.scratch.resolve().joinpath(engine, *parts)

    def keep(self, engine: str, frame: Frame | None, result: RietveldResult) -> RietveldResult:
        """Copy project and log of a refinement into the run folder, if they are to be kept; trials are not."""
        if result.project is None:
            return result
        target = self.copied(engine, frame, result.project.parent)
        if target is None:
            return result
        return replace(result, project=target / "job.gpx", log=target / "gsas2.log")

    def keep_calibration(self, engine: str, folder: Path) -> None:
        """Copy project and log of the frame that the instrument is from, if they are to be kept."""
        if (folder / "job.gpx").is_file():
            self.copied(engine, None, folder)

    def copied(self, engine: str, frame: Frame | None, source: Path) -> Path | None:
        """Copy what GSAS-II wrote for a frame, or for the calibration; None if nothing is to be kept."""
        base = self.context.attachments
        if not self.recipe.save_gpx or engine != "gsas2" or base is None:
            return None
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", self.series.table.name).strip("_.-") or "series"
        target = base.resolve() / name / ("calibration" if frame is None else f"frame_{frame.index:04d}")
        target.mkdir(parents=True, exist_ok=True)
        for file in _KEPT:
            if (source / file).is_file():
                shutil.copyfile(source / file, target / file)
        return target

    def kept(self, path: Path | None) -> str | None:
        """Return a kept file relative to the run folder."""
        base = self.context.attachments
        if path is None or base is None or not path.is_relative_to(base.resolve()):
            return None
        return path.relative_to(base.resolve().parents[1]).as_posix()


def engines_of(recipe: RietveldRecipe) -> tuple[str, ...]:
    """Return the engines that a recipe asks for."""
    return ("rietx", "gsas2") if recipe.engine == "both" else (recipe.engine,)


def missing_engine(engine: str) -> MissingDependencyError | None:
    """Return the error that says how to get an engine, or None where it is there."""
    status = get_engine(engine).status()
    if status.available:
        return None
    return MissingDependencyError(
        f"the engine {ENGINE_NAMES[engine]} is not installed", source=f"engine = '{engine}'", hint=status.hint
    )


def make_job(recipe: RietveldRecipe, context: RunContext, series: FrameSeries) -> Job:
    """Return a series with all that it is refined with; frames that cannot be refined become failed records.

    Raises
    ------
    LayerscopeError
        If none can: then it is one cause, and one record, that of the series.
    """
    check_probe(recipe, series)
    structures = side_files(recipe, *(phase.file for phase in recipe.phases), recipe.instrument.instprm)
    series = replace(series, others=(*series.others, *structures))
    recipe = with_instrument(recipe, series.radiation)
    context = replace(context, recipe=recipe)  # records say which values were used
    problem = problem_of(recipe, series.radiation)
    factor = 1.0
    flags: tuple[str, ...] = ()
    if _needs_factor(recipe, series):
        factor, _, flags = noise_factor(series.measurements, recipe.noise)
    patterns = {}
    failures = [*series.rejected]
    for frame in series.levels:
        try:
            pattern = powder_pattern(frame, factor, recipe.noise)
            pattern.within(recipe.range_2theta)
            patterns[frame.index] = pattern
        except LayerscopeError as error:
            failures.append(Rejected(frame.index, frame.file, error))
    if not patterns:
        raise failures[0].error
    usable = tuple(frame for frame in series.levels if frame.index in patterns)
    series = replace(series, levels=usable, rejected=tuple(failures))
    for engine in engines_of(recipe):
        reject_levels(context, series, failures, f"rietveld.{engine}")
    return Job(recipe, context, series, patterns, problem, flags)


def _needs_factor(recipe: RietveldRecipe, series: FrameSeries) -> bool:
    """Return whether errors have to come from the noise: the files give none."""
    return recipe.noise == "scaled" or series.levels[0].measurement.variance is None


def fail(job: Job, error: Exception, engine: str, frame: Frame | None) -> None:
    """Add a failed record of a frame, or of the series; what the engine wrote is kept if it is to be."""
    if isinstance(error, LayerscopeError):
        hide_folders(job, error, engine, frame)
    state, inputs = job.series.state(frame), job.series.inputs(engine, frame)
    job.context.reject(error, state=state, inputs=inputs, method=f"rietveld.{engine}")


def hide_folders(job: Job, error: LayerscopeError, engine: str, frame: Frame | None) -> None:
    """Name the file or the frame instead of a folder of this machine, which says nothing elsewhere."""
    if error.source is None or not Path(error.source).is_absolute():
        return
    source = Path(error.source)
    kept = job.copied(engine, frame, source if source.is_dir() else source.parent)
    name = job.kept(kept / "gsas2.log") if kept is not None and (kept / "gsas2.log").is_file() else None
    error.source = name or (job.series.files[0].path if frame is None else f"frame {frame.index}")
    if isinstance(error, FitError):
        error.hint = f"see {name}" if name else "save_gpx = true keeps what the engine wrote"
