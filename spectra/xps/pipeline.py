"""The pipeline ``xps``: files of a depth profile in, records and arrays out.

Order of work: the charge reference first, because every other region takes its levels' shifts from it; then P 2p,
because it foretells P 2s under B 1s; then the rest; then what needs several regions (atomic fractions, valence).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError, LayerscopeError
from layerscope.records import Alternative, InputFile, Problem, Quantity, ResultRecord, SampleState
from layerscope.runs.arrays import SeriesArrays, SeriesParameter
from layerscope.runs.pipeline import PipelineBase, PipelineOutput, RunContext
from layerscope.runs.summary import SummaryTable

from .dataset import XpsDataset, normalise_region
from .depth import fit_depth_profile
from .energyscale import align, fit_reference, matching_rows
from .overlap import P2S_MINUS_P2P3_SIGMA_EV, P2sPrediction, predict_p2s
from .quantities import (
    DETECTED,
    EnergyScale,
    fractions,
    level_quality,
    level_quantities,
    profile_quantities,
    quality,
    shared_quantities,
)
from .recipe import RegionTable, SeriesTable, XpsRecipe
from .recipecheck import recipe_problems, require_sound
from .regionfit import RegionData, RegionFit, fit_region, single_level_fits
from .rsf import get_rsf_set
from .series import RegionSpectra, metadata, region_spectra
from .species import overlaps
from .tables import summary_tables

if TYPE_CHECKING:
    from layerscope.runs.load import Run

__all__ = ["PIPELINE", "XpsPipeline"]

FloatArray = NDArray[np.float64]

NO_SCALE = "this region holds the charge reference, without which the series has no energy scale: see charge.kind"
MINIMUM_LEVELS = 3  # that a profile's shape can be asked of
OUTLIER_FACTOR = 3.0  # a level whose signal is this much below or above both neighbours is no smooth profile


@dataclass
class Profile:
    """What is known of one series while it is being worked on."""

    recipe: XpsRecipe
    series: SeriesTable
    datasets: tuple[XpsDataset, ...]
    context: RunContext
    spectra: dict[str, RegionSpectra] = field(default_factory=dict)
    fits: dict[str, RegionFit] = field(default_factory=dict)
    data: dict[str, RegionData] = field(default_factory=dict)
    record_ids: dict[tuple[str, int], str] = field(default_factory=dict)
    scale: EnergyScale | None = None
    refined: EnergyScale | None = None  # the shifts as all regions so far know them
    p2s: P2sPrediction | None = None

    @property
    def sample(self) -> str:
        """Name of the sample."""
        return self.series.sample or self.recipe.sample

    def state(self, region: str | None, time: float | None) -> SampleState:
        """Return the state that a record of this series is about."""
        moments = self.series.times_s is not None
        rate = self.recipe.depth.etch_rate_nm_s if self.recipe.depth else None
        return SampleState(
            sample=self.sample,
            cycle=self.series.cycle,
            voltage_V=self.series.voltage_V,
            step=self.series.step,
            elapsed_s=time if moments else None,
            etch_time_s=None if moments else time,
            depth_nm=None if moments or time is None or rate is None else rate * time,
            region=region,
        )

    def inputs(self, selector: str, files: Sequence[int] | None = None) -> list[InputFile]:
        """Return the files behind a record."""
        chosen = range(len(self.datasets)) if files is None else sorted(set(files))
        return [
            InputFile(
                path=str(self.series.files[i]),
                sha256=self.datasets[i].sha256,
                size=self.datasets[i].size,
                reader=self.datasets[i].reader,
                reader_version=self.datasets[i].reader_version,
                selector=selector,
            )
            for i in chosen
        ]


class XpsPipeline(PipelineBase):
    """XPS depth profiles from vendor file to record."""

    name = "xps"
    version = "1"
    technique = "xps"
    recipe_model = XpsRecipe

    def check(self, recipe: XpsRecipe) -> list[Problem]:
        """Return what is wrong with a recipe and its files: models that cannot be built, files that cannot be read."""
        problems = [*super().check(recipe), *(Problem.from_error(error) for error in recipe_problems(recipe))]
        if not problems:
            problems += [p for part in self.split(recipe) for p in _check_files(part)]
        return problems

    def split(self, recipe: XpsRecipe) -> Sequence[XpsRecipe]:
        """Return one recipe a series, after making sure that the recipe means something."""
        require_sound(recipe)
        parts = (
            recipe.model_copy(update={"series": (series,), "sample": series.sample or recipe.sample})
            for series in recipe.series
        )
        return tuple(part.located(recipe.folder) for part in parts)

    def run(self, recipe: XpsRecipe, context: RunContext) -> Iterator[PipelineOutput]:
        """Yield the records and arrays of one series, region by region."""
        series = recipe.series[0]
        datasets = tuple(_read(recipe, series, path) for path in series.files)
        profile = Profile(recipe, series, datasets, context)
        _require_some_region(profile)
        order = _strongest_first(profile)
        for done, region in enumerate(order):
            context.progress(done, len(order) + 1, region.name)
            method = f"{self.name}.region"
            with context.guard(
                state=profile.state(region.name, None), inputs=profile.inputs(f"{region.name}@all"), method=method
            ):
                try:
                    yield _region_output(profile, region)
                except DataError as error:
                    if _reference(profile, region) is not None:
                        error.hint = "; ".join(h for h in (error.hint, NO_SCALE) if h)
                    raise
            if _reference(profile, region) is not None and profile.scale is None:
                return  # its failed record says why: without an energy scale nothing else can be said of the series
        context.progress(len(order), len(order) + 1, "composition")
        yield from _derived(profile)

    def summary(self, records: Sequence[ResultRecord]) -> list[SummaryTable]:
        """Return composition, species and depth tables."""
        return summary_tables(records)

    def figures(self, run: Run, folder: Path) -> list[Path]:
        """Draw one figure a profile."""
        from .figures import draw_profiles

        return draw_profiles(run, folder)


def _read(recipe: XpsRecipe, series: SeriesTable, path: str) -> XpsDataset:
    from .readers import read
    from .readers.columns import ColumnMap

    columns = None
    if series.columns is not None:
        columns = ColumnMap(**series.columns.model_dump(exclude_none=True))
    try:
        dataset = read(recipe.resolve(path), format=series.format, columns=columns)
    except LayerscopeError as error:
        error.source = path  # the record names the file as the recipe does, wherever the data lie
        raise
    return replace(dataset, source=Path(path))


def _check_files(recipe: XpsRecipe) -> list[Problem]:
    series = recipe.series[0]
    try:
        datasets = tuple(_read(recipe, series, path) for path in series.files)
    except LayerscopeError as error:
        return [Problem.from_error(error)]
    problems = []
    for region in recipe.regions:
        try:
            region_spectra(datasets, region, series)
        except LayerscopeError as error:
            problems.append(Problem.from_error(error))
    return problems


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


def _region_output(profile: Profile, region: RegionTable) -> PipelineOutput:
    spectra = region_spectra(profile.datasets, region, profile.series)
    for level in spectra.rejected:
        failed = profile.context.failed(
            level.error,
            state=profile.state(region.name, level.time),
            inputs=profile.inputs(f"{region.name}@level={level.level}", [level.file]),
            method="xps.region",
        )
        profile.context.failures.append(failed)
    reference = _reference(profile, region)
    charge = profile.recipe.charge
    if reference is not None and charge.energy_eV is not None:
        region = _with_reference_energy(region, reference, charge.energy_eV)
    source = profile.datasets[0].source
    scale: EnergyScale | None = None
    prior: EnergyScale | None = None
    if reference is not None:
        data = _region_data(profile, region, spectra, None)
        data, result, profile.scale = fit_reference(region, data, reference, charge, source)
        scale = replace(profile.scale, defined_here=True)
    else:
        if profile.scale is not None and charge.region is not None:
            known = profile.spectra[normalise_region(charge.region)]
            refined = profile.refined or profile.scale
            _, prior = align(spectra, known, refined, source)
            spectra, scale = align(spectra, known, profile.scale, source)
        data = _region_data(profile, region, spectra, prior)
        result = fit_region(region, data)
        if profile.scale is not None and result.shift == "charge" and data.n_levels == profile.scale.line_shift.size:
            shift, sigma = result.fit.value("shift").copy(), result.fit.sigma("shift").copy()
            profile.refined = replace(profile.scale, line_shift=shift, statistical=sigma)
    profile.spectra[region.name], profile.data[region.name] = spectra, data
    profile.fits[region.name] = result
    _foretell_p2s(profile, region, result, spectra)
    scale = scale or EnergyScale(np.zeros(data.n_levels), np.zeros(data.n_levels), 0.0, known=False)
    levels = _level_records(profile, result, spectra, scale)
    whole = _series_record(profile, result, spectra, [r.record_id for r in levels])
    arrays = _arrays(profile, result, spectra)
    return PipelineOutput((*levels, whole), {arrays.name: arrays})


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
        once = np.full(n, np.inf)  # one position for the series: known once, not once a level
        once[0] = P2S_MINUS_P2P3_SIGMA_EV
        priors[f"{name}_center"] = (np.full(n, p2s.position_eV[0]), once)
    return RegionData(
        spectra.x,
        spectra.y,
        spectra.exposure,
        spectra.times if spectra.times is not None else np.arange(n, dtype=float),
        None if scale is None else scale.line_shift,
        None if scale is None else scale.statistical,
        priors or None,
        profile.recipe.noise == "scaled",
    )


def _foretell_p2s(profile: Profile, region: RegionTable, result: RegionFit, spectra: RegionSpectra) -> None:
    overlap = profile.recipe.overlap
    if overlap is None or profile.recipe.region(overlap.from_region) != region:
        return
    area, covariance = result.total_area()
    per_time = 1.0 / spectra.live_time_s
    first = result.own[0].name
    quantification = profile.recipe.quantification
    rsf = get_rsf_set(quantification.rsf_set if quantification else "scofield")
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
        excitation_energy_eV=energy,
        alternative_sets=tuple(s for s in _other_sets(profile, ("P 2p", "P 2s")) if s.name != rsf.name),
    )


def _other_sets(profile: Profile, lines: Sequence[str]) -> list[Any]:
    """Return the sets whose spread is the error of the sensitivities."""
    from .rsf import load_rsf_sets

    q = profile.recipe.quantification
    named = [get_rsf_set(n) for n in q.alternative_sets] if q and q.alternative_sets else list(load_rsf_sets().values())
    return [s for s in named if all(s.has(line) for line in lines)]


def _level_time(spectra: RegionSpectra, level: int) -> float | None:
    return None if spectra.times is None else float(spectra.times[level])


def _outliers(result: RegionFit) -> dict[int, str]:
    """Find levels whose signal jumps out and back: something other than the profile happened there."""
    area, covariance = result.total_area()
    sigma = np.sqrt(np.diag(covariance))
    found = {}
    for k in range(area.size):
        sides = [area[j] for j in (k - 1, k + 1) if 0 <= j < area.size]
        if len(sides) < 2 or min(*sides, area[k]) <= 5.0 * sigma[k]:
            continue
        ratios = np.log(area[k] / np.array(sides))
        if np.all(np.abs(ratios) > np.log(OUTLIER_FACTOR)) and np.all(np.sign(ratios) == np.sign(ratios[0])):
            found[k] = f"OUTLIER:area {np.exp(ratios.mean()):.2g} of its neighbours'"
    return found


def _level_records(
    profile: Profile, result: RegionFit, spectra: RegionSpectra, scale: EnergyScale
) -> list[ResultRecord]:
    name, recipe = result.region.name, profile.recipe
    singles: list[Any] = [None] * spectra.y.shape[0]
    if recipe.single_level and len(result.own) > 1 and spectra.y.shape[0] > 1:
        singles = single_level_fits(result, profile.data[name])
    outliers = _outliers(result)
    records = []
    for level in range(spectra.y.shape[0]):
        quantities = level_quantities(
            result,
            level,
            scale,
            intensity_unit=spectra.unit,
            confidence=recipe.confidence,
            single=_single(singles[level], result),
        )
        if scale.known:
            quantities.append(_charge_quantity(profile, scale, level))
        flags, notes = _level_flags(result, level, quantities)
        if level in scale.lost:
            flags.append("CHARGE_REFERENCE_LOST")
            notes.append("the reference line is lost in the noise here: the shift is guessed from the other levels")
        if level in outliers:
            flags.append(outliers[level])
        inputs = profile.inputs(f"{name}@level={spectra.spectra[level].level}", [spectra.files[level]])
        suspicious = [f for f in flags if f.startswith(("OUTLIER", "RESIDUAL", "CHARGE"))]
        quality_ = level_quality(result, level, tuple(flags))
        record = profile.context.record(
            state=profile.state(name, _level_time(spectra, level)),
            inputs=inputs,
            method="xps.region",
            quantities=tuple(quantities),
            quality=quality_,
            status="warning" if suspicious or "RESIDUAL_STRUCTURE" in quality_.flags else "ok",
            notes=tuple(notes),
        )
        profile.record_ids[name, level] = record.record_id
        records.append(record)
    return records


def _single(fit: Any, result: RegionFit) -> tuple[FloatArray, FloatArray] | None:
    if fit is None:
        return None
    values, covariance = fit.fractions([f"{c.name}_area" for c in result.own])
    at = np.arange(values.shape[0])
    return values[:, 0], np.sqrt(np.maximum(covariance[at, 0, at, 0], 0.0))


def _charge_quantity(profile: Profile, scale: EnergyScale, level: int) -> Quantity:
    fitted = float(scale.statistical[level])
    return Quantity(
        name="charge.shift",
        value=-float(scale.line_shift[level]),
        sigma=float(np.hypot(fitted, scale.systematic)),
        sigma_kind="covariance",
        unit="eV",
        component=profile.recipe.charge.species,
        role="derived",
        budget={"fit": fitted, "charge_reference": scale.systematic},
    )


def _level_flags(result: RegionFit, level: int, quantities: list[Quantity]) -> tuple[list[str], list[str]]:
    flags = [f"NOT_DETECTED:{q.component}" for q in quantities if q.name == "peak.area" and q.upper_limit is not None]
    notes = []
    foreign = {c.species for c in result.components if c.foreign}
    for q in quantities:
        if q.name != "peak.position" or not q.competing:
            continue
        for line in () if q.component in foreign else overlaps(result.region.name, q.competing):
            flags.append(f"OVERLAP:{line} with {q.component}")
        others = dict.fromkeys(f"{a.species} ({a.line}, {a.source})" for a in q.competing)
        notes.append(f"{q.component} at {q.text()} eV could also be: " + "; ".join(others))
    return list(dict.fromkeys(flags)), notes


def _series_record(profile: Profile, result: RegionFit, spectra: RegionSpectra, parents: list[str]) -> ResultRecord:
    quantities = shared_quantities(result)
    alternatives = [
        Alternative(
            comparison=question,
            name=a.name,
            bic=a.bic,
            delta_bic=a.delta_bic,
            chi2=a.chi2,
            n_free=max(a.n_free, 0),
            chosen=a.chosen,
        )
        for question, a in result.alternatives
    ]
    missing = len(spectra.rejected) + len(spectra.notes)
    flags = [f"LEVELS_LEFT_OUT:{missing}"] if missing else []
    notes = [f"levels shift: {result.shift}", f"background: {result.background.label}", *spectra.notes]
    notes += [f"left out: {level.error.message}" for level in spectra.rejected]
    if profile.recipe.charge.kind == "line":
        contested = " (contested for alkali-bearing samples)" if profile.recipe.charge.region == "C 1s" else ""
        notes.append(
            f"energies refer to {profile.recipe.charge.species} at {profile.recipe.charge.energy_eV} eV{contested}"
        )
    total, total_covariance = result.total_area()
    seen = int((total > DETECTED * np.sqrt(np.maximum(np.diag(total_covariance), 1e-300))).sum())
    if spectra.times is not None and len(result.own) > 1 and seen < MINIMUM_LEVELS <= spectra.times.size:
        notes.append(f"{result.region.name} was detected at {seen} levels, too few for the profile of its species")
    elif spectra.times is not None and len(result.own) > 1 and seen >= MINIMUM_LEVELS:
        values, covariance = fractions(result)
        rate = profile.recipe.depth
        for k, c in enumerate(result.own):
            try:
                fitted = fit_depth_profile(
                    spectra.times, values[k], covariance[k, :, k, :], confidence=profile.recipe.confidence
                )
            except LayerscopeError as error:
                notes.append(f"profile of {c.species}: {error}")
                continue
            more, models, found = profile_quantities(
                fitted, c.species, None if rate is None else (rate.etch_rate_nm_s, rate.sigma_nm_s)
            )
            quantities += more
            alternatives += models
            flags += found
            notes += _etching_notes(c.species, bool(fitted.rising))
    quality_ = quality(result)
    quality_ = quality_.model_copy(update={"flags": (*quality_.flags, *flags)})
    bad = [
        f
        for f in quality_.flags
        if f.startswith(("NOT_CONVERGED", "UNDETERMINED", "OVERDISPERSED", "AT_BOUND", "LEVELS"))
    ]
    return profile.context.record(
        state=profile.state(result.region.name, None),
        inputs=profile.inputs(f"{result.region.name}@series"),
        method="xps.series",
        quantities=tuple(quantities),
        quality=quality_,
        alternatives=tuple(alternatives),
        parents=tuple(parents),
        status="warning" if bad else "ok",
        notes=tuple(notes),
    )


def _etching_notes(species: str, rising: bool) -> list[str]:
    """Warn where the ion beam itself makes the finding (Yu et al. 2022: Ar+ turns Li salts into LiF)."""
    if species == "LiF" and rising:
        return ["LiF grows with etch time: Ar+ sputtering is known to turn Li salts into LiF, so this may be no depth"]
    return []


def _arrays(profile: Profile, result: RegionFit, spectra: RegionSpectra) -> SeriesArrays:
    fit = result.fit
    lines, background = fit.component_curves()
    label = {c.name: c.species for c in result.components}
    weight = fit.root_weight
    unit = f"{spectra.unit}*eV"
    parameters = {}
    for name in (*fit.batch.evaluator.layout.all_names,):
        p = result.built.parameters[name]
        sigma = fit.sigma(name)
        scope = result.built.scopes.get(name, "shared")
        fixed = not (sigma > 0).any()
        parameters[name] = SeriesParameter(
            fit.value(name),
            np.where(sigma > 0, sigma, np.nan),
            _unit(name),
            float(p.init_value) if p.init_value is not None else None,
            float(p.min) if np.isfinite(p.min) else None,
            float(p.max) if np.isfinite(p.max) else None,
            "fixed" if fixed else "shared" if scope == "shared" else "pattern" if scope == "per_pattern" else "smooth",
        )
    times = spectra.times if spectra.times is not None else np.zeros(spectra.y.shape[0])
    moments = profile.series.times_s is not None
    info = metadata(spectra.spectra, profile.datasets)
    info |= {
        "background": result.background.label,
        "redchi": fit.redchi,
        "aic": fit.aic,
        "bic": fit.bic,
        "charge_reference": profile.recipe.charge.species,
        "charge_reference_energy_eV": profile.recipe.charge.energy_eV,
        **{f"shape:{c.species}": c.shape for c in result.components},
        **{f"color_order:{c.species}": i for i, c in enumerate(result.components)},
    }
    return SeriesArrays(
        name=profile.context.series_name(*((profile.series.name,) if profile.series.name else ()), result.region.name),
        technique="xps",
        title=f"{profile.sample}: {result.region.name}",
        sample=profile.sample,
        axis=fit.x[0].copy(),
        axis_name="binding_energy",
        axis_unit="eV",
        levels=times,
        level_name="time" if moments else "etch_time",
        level_unit="s",
        counts=fit.y.copy(),
        variance=np.where(weight > 0, 1.0 / np.where(weight > 0, weight, 1.0) ** 2, 0.0),
        fit=fit.expected.copy(),
        background=background,
        residual=fit.residual.copy(),
        components={label[n]: v for n, v in lines.items()},
        component_area={c.species: fit.value(f"{c.name}_area") for c in result.components},
        component_area_sigma={c.species: fit.sigma(f"{c.name}_area") for c in result.components},
        parameters=parameters,
        intensity_unit=spectra.unit,
        area_unit=unit,
        metadata=info,
    )


def _unit(name: str) -> str:
    if name.endswith(("_center", "_fwhm", "_splitting")) or name == "shift":
        return "eV"
    return {"shirley_k": "1/eV", "tougaard_b": "eV^2", "tougaard_c": "eV^2", "tougaard_d": "eV^2"}.get(name, "1")


def _derived(profile: Profile) -> Iterator[PipelineOutput]:
    """Yield what several regions together say."""
    from .derived import composition_records, valence_records

    for make in (composition_records, valence_records):
        with profile.context.guard(
            state=profile.state(None, None), inputs=profile.inputs("all"), method=f"xps.{make.__name__.split('_')[0]}"
        ):
            records = make(profile)
            if records:
                yield PipelineOutput(tuple(records))


PIPELINE = XpsPipeline()
