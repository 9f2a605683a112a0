"""The pipeline ``xps``: files of a depth profile in, records and arrays out.

Order of work: the charge reference first, because every other region takes its levels' shifts from it; then P 2p,
because it foretells P 2s under B 1s; then the rest; then what needs several regions (atomic fractions, valence).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError, LayerscopeError, RecipeError
from layerscope.fitting.errors import with_errors
from layerscope.fitting.measured import known_once
from layerscope.fitting.quality import gross_levels, gross_misfit, worst_levels
from layerscope.measured.series import Rejected
from layerscope.records import ResultRecord
from layerscope.runs.build import quality_of
from layerscope.runs.pipeline import PipelineOutput, RunContext
from layerscope.runs.summary import SummaryTable
from layerscope.runs.technique import Part, guarded

from .choices import with_choices
from .dataset import normalise_region
from .energyscale import EnergyScale, align, fit_reference, matching_rows
from .files import Datasets, FilesPipeline, unread
from .misfit import refusal
from .options import RegionTable
from .overlap import P2S_FROM, P2S_MINUS_P2P3_SIGMA_EV, predict_p2s
from .profile import Profile
from .quantify import QuantificationTable
from .recipe import XpsRecipe
from .recipecheck import recipe_problems
from .region_arrays import region_arrays
from .region_records import level_records, refused_level, series_record
from .regionfit import REACH_EV, fit_region
from .regionresult import RegionData, RegionFit
from .rsf import sets_with
from .series import RegionSpectra, region_spectra, unread_files
from .tables import summary_tables
from .window import out_of_reach

if TYPE_CHECKING:
    from layerscope.figures import Drawing
    from layerscope.runs.load import Run

__all__ = ["PIPELINE", "XpsPipeline"]

FloatArray = NDArray[np.float64]

BLOCK = 500  # levels whose records are written together
NO_SCALE = "this region holds the charge reference, without which the series has no energy scale: see charge.kind"


class XpsPipeline(FilesPipeline):
    """XPS depth profiles from vendor file to record."""

    name = "xps"
    effort_s = 4.0
    version = "7"
    recipe_model = XpsRecipe

    def faults(self, recipe: XpsRecipe) -> Sequence[LayerscopeError]:
        """Return what is wrong with a recipe by itself: models that cannot be built, lines that are not known."""
        return recipe_problems(recipe)

    def tried(self, recipe: XpsRecipe, series: Datasets) -> list[LayerscopeError]:
        """Return what is wrong with files and regions: those that cannot be read, and that the files do not hold."""
        found: list[LayerscopeError] = [error for _, _, error in unread_files(series)]
        for region in recipe.regions:
            try:
                spectra = region_spectra(series, region, recipe.series[0])
            except LayerscopeError as error:
                found.append(error)
            else:
                found += [level.error for level in spectra.rejected]
                found += _out_of_reach(recipe, region, spectra)
        return found

    def analyse(self, series: Datasets, context: RunContext) -> Iterator[PipelineOutput]:
        """Yield the records and arrays of one series, region by region, and then what several of them say."""
        recipe = cast("XpsRecipe", context.recipe)
        profile = Profile(recipe, recipe.series[0], series, context)
        for error, inputs in unread(series, recipe.series[0].files):
            context.reject(error, state=profile.state(None, None), inputs=inputs, method=f"{self.name}.file")
        _require_some_region(profile)

        def about(region: RegionTable) -> Part:
            inputs = profile.inputs(f"{region.name}@all")
            return Part(region.name, profile.state(region.name, None), inputs, f"{self.name}.region")

        order = _strongest_first(profile)
        yield from guarded(context, order, about, lambda region: _region(profile, region))
        if not profile.unscaled:
            context.progress(len(order), len(order), "composition")
            yield from _derived(profile)

    def summary(self, records: Sequence[ResultRecord]) -> list[SummaryTable]:
        """Return composition, species and depth tables."""
        return summary_tables(records)

    def figures(self, run: Run, folder: Path) -> Iterator[Drawing]:
        """Return one figure a profile."""
        from .figures import draw_profiles

        return draw_profiles(run, folder)


def _order(recipe: XpsRecipe) -> list[RegionTable]:
    """Return the regions in the order in which they need each other."""
    first = [recipe.charge.region, recipe.overlap.from_region if recipe.overlap else None]
    leading = [r for name in first if name is not None and (r := recipe.region(name)) is not None]
    return list({r.name: r for r in (*leading, *recipe.regions)}.values())


def _strongest_first(profile: Profile) -> list[RegionTable]:
    """Return the regions in the order of work: what others rest on, then by signal.

    Charging shifts all lines of a level alike. A strong line knows its level's shift better than the reference line
    does, and the weak lines fitted after it profit.
    """
    order = _order(profile.recipe)
    leading = order[: len(order) - len(_trailing(profile.recipe))]

    def signal(region: RegionTable) -> tuple[float, str]:
        try:
            spectra = region_spectra(profile.datasets, region, profile.series)
        except DataError:
            return (0.0, region.name)
        counts = spectra.y * spectra.exposure[:, None]
        base = np.median(counts, axis=1)
        return (-float(((counts.max(axis=1) - base) / np.sqrt(base + 1.0)).max()), region.name)

    return [*leading, *sorted(_trailing(profile.recipe), key=signal)]


def _trailing(recipe: XpsRecipe) -> list[RegionTable]:
    """Return the regions that nothing else rests on."""
    needed = {normalise_region(n) for n in (recipe.charge.region, recipe.overlap and recipe.overlap.from_region) if n}
    return [r for r in recipe.regions if r.name not in needed]


def _require_some_region(profile: Profile) -> None:
    """Refuse a file of which no region can be used, once and not once a region."""
    errors: list[DataError] = []
    for region in _order(profile.recipe):
        try:
            region_spectra(profile.datasets, region, profile.series)
            return
        except DataError as error:
            errors.append(error)
    raise errors[0]


def _reference(profile: Profile, region: RegionTable) -> str | None:
    """Return the fit's name of the reference line, if it lies in this region."""
    charge = profile.recipe.charge
    if charge.kind != "line" or charge.region is None or profile.recipe.region(charge.region) != region:
        return None
    return next(c.name for c in region.components if c.species == charge.species)


def _with_reference_energy(region: RegionTable, reference: str, energy_eV: float) -> RegionTable:
    """Put the reference line at its defined energy."""
    components = tuple(
        c.model_copy(update={"position_eV": c.position_eV.model_copy(update={"value": energy_eV})})
        if c.name == reference
        else c
        for c in region.components
    )
    return region.model_copy(update={"components": components})


def _region(profile: Profile, region: RegionTable) -> Iterator[PipelineOutput]:
    """Yield what a region gives: nothing where the series has no energy scale, of which one failed record tells."""
    if profile.unscaled:
        return
    reference = _reference(profile, region)
    try:
        yield from _region_outputs(profile, region)
    except DataError as error:
        if reference is not None:
            error.hint = "; ".join(h for h in (error.hint, NO_SCALE) if h)
        raise
    finally:
        profile.unscaled = reference is not None and profile.scale is None


def _region_outputs(profile: Profile, region: RegionTable) -> Iterator[PipelineOutput]:
    spectra = region_spectra(profile.datasets, region, profile.series)
    for level in spectra.rejected:
        profile.context.reject(
            level.error,
            state=profile.state(region.name, level.time_s),
            inputs=profile.inputs(f"{region.name}@level={level.index}", [level.file]),
            method="xps.region",
        )
    for error in _out_of_reach(profile.recipe, region, spectra):
        raise error
    reference = _reference(profile, region)
    charge = profile.recipe.charge
    if reference is not None and charge.energy_eV is not None:
        region = _with_reference_energy(region, reference, charge.energy_eV)
    yield from _fitted_outputs(profile, region, spectra, reference)


def _fitted_outputs(
    profile: Profile, region: RegionTable, spectra: RegionSpectra, reference: str | None
) -> Iterator[PipelineOutput]:
    """Yield what the fit of a region gives; a few levels that it does not describe cost themselves: it is repeated.

    Levels without their reference line are no misfit of the region that holds it: their shift is guessed.
    """
    charge = profile.recipe.charge
    source = profile.datasets[0].source
    scale: EnergyScale | None = None
    prior: EnergyScale | None = None
    if reference is not None:
        data = _region_data(profile, region, spectra, None)
        data, result, profile.scale = fit_reference(region, data, reference, charge, source)
        scale = None if profile.scale is None else replace(profile.scale, defined_here=True)
    else:
        if profile.scale is not None and charge.region is not None:
            known = profile.spectra[normalise_region(charge.region)]
            refined = profile.refined or profile.scale
            _, prior = align(spectra, known, refined, source)
            spectra, scale = align(spectra, known, profile.scale, source)
        data = _region_data(profile, region, spectra, prior)
        result = fit_region(region, data)
    refused, bad = gross_misfit(result.fit), worst_levels(result.fit)
    if bad and (refused or reference is None):
        yield _left_out(profile, result, spectra, bad)
        yield from _fitted_outputs(profile, region, _without_levels(profile, result, spectra, bad), reference)
        return
    if refused:
        yield _refused(profile, result, spectra, refused[0], NO_SCALE if reference is not None else "")
        return
    given = profile.scale if reference is None and result.shift == "charge" else None
    if given is not None and data.n_levels == given.line_shift.size:
        shift, sigma = result.fit.value("shift").copy(), result.fit.sigma("shift").copy()
        profile.refined = replace(given, line_shift=shift, statistical=sigma)
    result = with_choices(result, data, profile.recipe.quantification, reference)
    result = replace(result, fit=with_errors(result.fit, profile.recipe.errors))
    profile.spectra[region.name], profile.data[region.name] = spectra, data
    profile.fits[region.name], profile.gross[region.name] = result, gross_levels(result.fit)
    _foretell_p2s(profile, region, result, spectra)
    scale = scale or EnergyScale(np.zeros(data.n_levels), np.zeros(data.n_levels), 0.0, known=False)
    yield from _recorded(profile, result, spectra, scale)
    if not profile.recipe.overlayer:  # nothing asks for the other choices any more
        profile.fits[region.name] = result.settled()


def _recorded(
    profile: Profile, result: RegionFit, spectra: RegionSpectra, scale: EnergyScale
) -> Iterator[PipelineOutput]:
    """Yield arrays and records of a region; those of many levels in blocks, so that not all are in memory together."""
    arrays = region_arrays(profile, result, spectra)
    name, given = arrays.name, {arrays.name: arrays}
    rests_on: tuple[str, ...] = ()
    del arrays
    ids: list[str] = []
    block: list[ResultRecord] = []
    for record in level_records(profile, result, spectra, scale):
        ids.append(record.record_id)
        block.append(record)
        if len(block) == BLOCK:
            yield PipelineOutput(tuple(block), given, rests_on)
            given, rests_on, block = {}, (name,), []
    whole = series_record(profile, result, spectra, scale, ids)
    yield PipelineOutput((*block, whole), given, rests_on)


def _left_out(profile: Profile, result: RegionFit, spectra: RegionSpectra, bad: list[int]) -> PipelineOutput:
    """Return the failed records of levels that the model of the others does not describe, with its curves."""
    arrays = region_arrays(profile, result, spectra)
    arrays = replace(arrays, name=f"{arrays.name}_left_out_{'_'.join(str(spectra.levels[k].index) for k in bad)}")
    records = tuple(refused_level(profile, result, spectra, level) for level in bad)
    return PipelineOutput(records, {arrays.name: arrays})


def _without_levels(profile: Profile, result: RegionFit, spectra: RegionSpectra, bad: list[int]) -> RegionSpectra:
    """Return the spectra of the levels that remain."""
    kept = spectra.only([row for row in range(len(spectra.levels)) if row not in bad])
    left = []
    for row in bad:
        level = spectra.levels[row]
        error = refusal(result, gross_misfit(result.fit, row)[0], profile.datasets[level.file].source, row)
        left.append(Rejected(level.index, level.file, error, level.time_s))
    return replace(kept, rejected=(*spectra.rejected, *left))


def _refused(profile: Profile, result: RegionFit, spectra: RegionSpectra, flag: str, follows: str) -> PipelineOutput:
    """Return the failed record of a region that its model does not describe, with the curves that show why."""
    name = result.region.name
    error = refusal(result, flag, profile.datasets[0].source)
    error.hint = "; ".join(h for h in (error.hint, follows) if h)
    record = profile.context.failed(
        error,
        state=profile.state(name, None),
        inputs=profile.inputs(f"{name}@series"),
        method="xps.series",
        quality=quality_of(result.fit, [flag]),
    )
    arrays = region_arrays(profile, result, spectra)
    return PipelineOutput((record,), {arrays.name: arrays})


def _out_of_reach(recipe: XpsRecipe, region: RegionTable, spectra: RegionSpectra) -> list[RecipeError]:
    index = [r.name for r in recipe.regions].index(region.name)
    reach = REACH_EV if recipe.charge.kind == "line" else 0.0
    return out_of_reach(region, spectra.x, reach, f"regions[{index}]")


def _region_data(
    profile: Profile, region: RegionTable, spectra: RegionSpectra, scale: EnergyScale | None
) -> RegionData:
    overlap = profile.recipe.overlap
    n = spectra.y.shape[0]
    priors: dict[str, tuple[FloatArray, FloatArray]] = {}
    if overlap is not None and profile.p2s is not None and profile.recipe.region(overlap.region) == region:
        name = next(c.name for c in region.components if c.species == overlap.species)
        p2s = profile.p2s
        area, sigma = np.zeros(n), np.full(n, np.inf)  # nothing is known where P 2p was not measured
        for row, other in matching_rows(spectra, profile.spectra[normalise_region(overlap.from_region)]).items():
            area[row], sigma[row] = p2s.area[other], p2s.sigma[other]
        priors[f"{name}_area"] = (area * spectra.live_time_s, sigma * spectra.live_time_s)
        priors[f"{name}_center"] = known_once(float(p2s.position_eV[0]), P2S_MINUS_P2P3_SIGMA_EV, n)
    return RegionData(
        spectra.x,
        spectra.y,
        spectra.exposure,
        spectra.times if spectra.times is not None else np.arange(n, dtype=float),
        None if scale is None else scale.line_shift,
        None if scale is None else scale.statistical,
        priors or None,
        profile.recipe.noise == "scaled",
        spectra.use,
    )


def _foretell_p2s(profile: Profile, region: RegionTable, result: RegionFit, spectra: RegionSpectra) -> None:
    overlap = profile.recipe.overlap
    if overlap is None or profile.recipe.region(overlap.from_region) != region:
        return
    area, covariance = result.total_area()
    per_time = 1.0 / spectra.live_time_s
    first = result.own[0].name
    table = profile.recipe.quantification or QuantificationTable()
    rsf = table.rsf()
    energy = spectra.spectra[0].excitation_energy_eV
    if energy is None:
        raise DataError("the excitation energy is not known", source=profile.datasets[0].source)
    center = float(result.fit.value(f"{first}_center")[0])
    profile.p2s = predict_p2s(
        area * per_time,
        covariance * np.outer(per_time, per_time),
        np.full(area.size, center),
        np.full(area.size, float(result.fit.sigma(f"{first}_center")[0])),
        rsf,
        table.paths,
        excitation_energy_eV=energy,
        alternative_sets=[other for other in sets_with(P2S_FROM, table.alternative_sets) if other.name != rsf.name],
    )


def _derived(profile: Profile) -> Iterator[PipelineOutput]:
    """Yield what several regions together say."""
    from .derived import composition_records, valence_records
    from .two_regions import auger_records, layer_records

    for make in (composition_records, valence_records, auger_records, layer_records):
        with profile.context.guard(
            state=profile.state(None, None), inputs=profile.inputs("all"), method=f"xps.{make.__name__.split('_')[0]}"
        ):
            records = make(profile)
            if records:
                yield PipelineOutput(tuple(records))


PIPELINE = XpsPipeline()
