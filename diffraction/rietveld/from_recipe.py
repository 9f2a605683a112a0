"""From a recipe and its frames to what the engines take: patterns, phases, instrument, plan."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from layerscope.errors import LayerscopeError, RecipeError

from ..radiation import Radiation
from ..recipe import InstrumentTable, PhaseTable, PlanTable, RietveldRecipe
from ..series import Frame, read_text
from .library import available_phases, load_phase
from .model import Background, ExtraLine, Instrument, Phase, PowderPattern, Problem
from .plan import RefinementPlan, Stage, calibration_plan, full_plan, le_bail_plan, series_plan

__all__ = ["plan_of", "powder_pattern", "problem_of", "resolved_phase"]

SAME_WAVELENGTH = 2e-3


def powder_pattern(frame: Frame, factor: float, noise: str) -> PowderPattern:
    """Return a frame as the engines take it, with the errors that its noise has.

    Parameters
    ----------
    frame : Frame
    factor : float
        Variance over mean, for ``noise = "scaled"``.
    noise : {"poisson", "scaled"}

    Raises
    ------
    DataError
        If the pattern cannot be refined, see `PowderPattern.check`.
    """
    pattern = frame.pattern
    scaled = noise == "scaled"
    sigma = np.sqrt(factor * np.maximum(pattern.intensity, factor)) if scaled else pattern.sigma()
    measured = np.isfinite(sigma)  # an infinite error says that nothing was measured there
    return PowderPattern.from_counts(
        pattern.two_theta[measured], pattern.intensity[measured], sigma[measured], name=f"frame {frame.index}"
    )


def problem_of(recipe: RietveldRecipe, radiation: Radiation) -> Problem:
    """Return the refinement that a recipe asks for.

    Parameters
    ----------
    recipe : RietveldRecipe
        Located.
    radiation : Radiation
        Of the series.

    Raises
    ------
    RecipeError, DataError, ReaderError
        If a phase is not known or cannot be meant, or the instrument does not fit the radiation.
    """
    lines = tuple(ExtraLine(**line.model_dump()) for line in recipe.background.lines)
    return Problem(
        phases=tuple(resolved_phase(recipe, table) for table in recipe.phases),
        instrument=_instrument(recipe, recipe.instrument, radiation),
        background=Background(recipe.background.terms, lines),
        limits=recipe.range_2theta,
        le_bail=recipe.le_bail,
    )


def resolved_phase(recipe: RietveldRecipe, table: PhaseTable) -> Phase:
    """Return a phase from the library or from a file, with what the recipe changes.

    Raises
    ------
    RecipeError, DataError, ReaderError
        Naming the phase.
    """
    try:
        phase = _loaded(recipe, table)
    except LayerscopeError as error:
        error.source = table.file or f"phases.{table.name}"
        raise
    cell = {key: getattr(table, key) for key in ("a", "b", "c", "beta") if getattr(table, key) is not None}
    if cell:
        phase = phase.with_cell(**cell)
    sites = []
    for site in phase.sites:
        sites.append(replace(site, refine_occupancy=True) if site.label in table.refine_occupancy else site)
    for label in table.refine_occupancy:
        phase.site(label)  # refuses a label that is not there
    axis = table.texture_axis or (phase.texture_axis if table.texture else None)
    more: dict[str, float] = {}
    if table.size_nm is not None:
        more["size_nm"] = table.size_nm
    if table.microstrain_ppm is not None:
        more["microstrain_ppm"] = table.microstrain_ppm
    return replace(phase, sites=tuple(sites), texture_axis=axis, **more)  # type: ignore[arg-type]


def _loaded(recipe: RietveldRecipe, table: PhaseTable) -> Phase:
    if table.file is None:
        if table.library not in available_phases():  # a library name is no path
            hint = f"known: {', '.join(available_phases())}"
            raise RecipeError(f"phase {table.library!r} is not in the library", hint=hint)
        return load_phase(str(table.library), name=table.name)
    path = recipe.resolve(table.file)
    if table.member is None:
        return load_phase(str(path), name=table.name)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(table.member).name
        copy.write_text(read_text(recipe, table.file, table.member), encoding="utf-8")
        return load_phase(str(copy), name=table.name)


def _instrument(recipe: RietveldRecipe, table: InstrumentTable, radiation: Radiation) -> Instrument:
    start = Instrument()
    if table.instprm is not None:
        start = Instrument.from_instprm(read_text(recipe, table.instprm, table.instprm_member))
        if abs(start.wavelengths[0] / radiation.alpha1 - 1) > SAME_WAVELENGTH:
            raise RecipeError(
                f"the instrument's wavelength is {start.wavelengths[0]:g} Å, that of the series {radiation.alpha1:g} Å",
                source=table.instprm,
            )
    waves = (radiation.alpha1,) if radiation.alpha2 is None else (radiation.alpha1, radiation.alpha2)
    given = table.model_dump(exclude_none=True, exclude={"instprm", "instprm_member"})
    ratio = radiation.ratio if radiation.ratio is not None else start.ratio
    return replace(start, wavelengths=waves, ratio=ratio, **given)


def plan_of(table: PlanTable) -> RefinementPlan:
    """Return the plan that a table names.

    Raises
    ------
    RecipeError
        If a stage frees something that is not known.
    """
    if table.kind == "stages":
        return RefinementPlan(tuple(Stage(s.name, s.free) for s in table.stages))
    if table.kind == "calibration":
        return calibration_plan()
    if table.kind == "series":
        return series_plan(size=table.size, strain=table.strain, texture=table.texture)
    if table.kind == "le_bail":
        return le_bail_plan()
    return full_plan(texture=table.texture, atoms=table.atoms, occupancy=table.occupancy)
