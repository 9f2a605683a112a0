"""The pipeline ``xps_survey``: which elements a survey shows, with a probability each, and how much of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from layerscope.errors import DataError, LayerscopeError, RecipeError
from layerscope.measured.noise import noise_factor
from layerscope.records import InputFile, Quantity, ResultRecord, SampleState
from layerscope.runs.arrays import Marks, SeriesArrays
from layerscope.runs.build import held, measured, remarks, some
from layerscope.runs.pipeline import PipelineOutput, RunContext
from layerscope.runs.summary import SummaryTable
from layerscope.runs.technique import Part, guarded

from ..dataset import FloatArray, Spectrum, normalise_region
from ..files import Datasets, FilesPipeline, unread
from ..options import ComponentTable, RegionTable, SeriesTable
from ..rsf import sets_with
from ..series import LEVEL_UNITS, RegionSpectra, level_kind, metadata, region_spectra, unread_files
from .amounts import Amounts, amounts
from .figures import NO_FIT, UNKNOWN
from .identify import SURE, Element, Identification, identify
from .lines import element_lines, known_elements, library_source
from .peaks import PeakSearch, find_peaks
from .recipe import SurveyRecipe
from .tables import METHOD, survey_tables

if TYPE_CHECKING:
    from layerscope.figures import Drawing
    from layerscope.runs.load import Run

__all__ = ["PIPELINE", "SurveyPipeline"]

WIDE_EV = 300.0
"""Width from which a spectrum is taken for a survey whatever it is called."""
SURELY = 0.95
WORTH_SAYING = 0.05
UNEXPLAINED, UNEXPLAINED_BROAD, BROAD_EV = 10.0, 30.0, 8.0
"""Significance from which an unexplained peak warns; broad ones are more often Auger or loss structures."""


class SurveyPipeline(FilesPipeline):
    """Surveys from vendor file to elements and composition."""

    name = "xps_survey"
    effort_s = 2.0
    version = "2"
    recipe_model = SurveyRecipe

    def faults(self, recipe: SurveyRecipe) -> Sequence[LayerscopeError]:
        """Return what is wrong with a recipe by itself: sets of factors that are not known."""
        table = recipe.quantification
        if table is None:
            return ()
        try:
            table.rsf()
            sets_with((), table.alternative_sets)
        except RecipeError as error:
            return (error,)
        return ()

    def tried(self, recipe: SurveyRecipe, series: Datasets) -> Sequence[LayerscopeError]:
        """Return what of a series cannot be used."""
        spectra = _spectra(series, recipe)
        _photon_energy(spectra.spectra[0], recipe, str(series[0].source))
        return [*(error for _, _, error in unread_files(series)), *(level.error for level in spectra.rejected)]

    def analyse(self, series: Datasets, context: RunContext) -> Iterator[PipelineOutput]:
        """Yield the record and the arrays of every survey of a series."""
        recipe = cast("SurveyRecipe", context.recipe)
        table = recipe.series[0]
        for error, inputs in unread(series, table.files):
            context.reject(error, state=table.state(recipe.sample), inputs=inputs, method=METHOD)
        spectra = _spectra(series, recipe)
        surveys = [_Survey(recipe, context, series, spectra, row) for row in range(len(spectra.levels))]
        for level in spectra.rejected:
            inputs = [series[level.file].input_file(str(table.files[level.file]), f"level={level.index}")]
            context.reject(level.error, state=table.state(recipe.sample), inputs=inputs, method=METHOD)
        yield from guarded(context, surveys, _Survey.about, _Survey.outputs)

    def summary(self, records: Sequence[ResultRecord]) -> list[SummaryTable]:
        """Return the elements of every survey."""
        return survey_tables(records)

    def figures(self, run: Run, folder: Path) -> Iterator[Drawing]:
        """Return every survey with its lines named."""
        from .figures import draw_surveys

        return draw_surveys(run, folder)


def _spectra(series: Datasets, recipe: SurveyRecipe) -> RegionSpectra:
    """Return the surveys of a series: the region that the recipe names, that is called so, or the only wide one."""
    regions = dict.fromkeys(s.region for dataset in series for s in dataset.spectra)
    wide = dict.fromkeys(s.region for d in series for s in d.spectra if s.axis.size and np.ptp(s.axis) >= WIDE_EV)
    called = [name for name in regions if name.startswith("Survey")]
    found = [normalise_region(recipe.region)] if recipe.region else called or list(wide)
    if len(found) != 1:
        words = f"several spectra could be the survey: {', '.join(found)}" if found else "there is no survey"
        hint = "name it in the recipe: region" if found else f"it holds {', '.join(regions)}"
        raise DataError(words, source=series[0].source, hint=hint)
    table = RegionTable(region=found[0], components=(ComponentTable(species="survey", custom=True),))
    return region_spectra(series, table, recipe.series[0])


def _photon_energy(spectrum: Spectrum, recipe: SurveyRecipe, source: str) -> float:
    energy = recipe.excitation_energy_eV or spectrum.excitation_energy_eV
    if energy is None:
        raise DataError("the photon energy is not known", source=source, hint="give excitation_energy_eV in the recipe")
    return energy


@dataclass(frozen=True, eq=False)
class _Survey:
    """One survey of a series while it is being worked on."""

    recipe: SurveyRecipe
    context: RunContext
    series: Datasets
    spectra: RegionSpectra
    row: int

    @property
    def table(self) -> SeriesTable:
        return self.recipe.series[0]

    @property
    def state(self) -> SampleState:
        value = None if self.spectra.times is None else float(self.spectra.times[self.row])
        kind = level_kind(self.series, self.table)
        name = {"time": "elapsed_s", "angle": "angle_deg", "etch_time": "etch_time_s"}[kind]
        return self.table.state(self.recipe.sample, **{name: value}, region=self.spectra.spectra[0].region)

    @property
    def inputs(self) -> list[InputFile]:
        level = self.spectra.levels[self.row]
        selector = f"{self.spectra.spectra[0].region}@level={level.index}"
        return [self.series[level.file].input_file(str(self.table.files[level.file]), selector)]

    def about(self) -> Part:
        return Part(f"survey {self.row + 1}", self.state, self.inputs, METHOD)

    def outputs(self) -> Iterator[PipelineOutput]:
        """Yield the record of the survey, with its arrays."""
        one = self.spectra.spectra[self.row]
        photon = _photon_energy(one, self.recipe, str(self.series[0].source))
        energy, intensity = self.spectra.x, self.spectra.y[self.row]
        variance, noted, flags = self._variance()
        search = find_peaks(energy, intensity, variance)
        lines = {e: element_lines(e, photon) for e in known_elements() if e not in self.recipe.exclude}
        found = identify(search, lines, photon, self.recipe.shift_eV)
        if not search.peaks or not found.present:
            raise DataError(
                "no element could be found in the survey",
                source=self.series[0].source,
                hint="look at its counts and axis",
            )
        wanted = list(dict.fromkeys([*(e.symbol for e in found.present), *self.recipe.elements]))
        how = self._amounts((energy, intensity, variance), search, found, wanted, photon)
        record = self.context.record(
            state=self.state,
            inputs=self.inputs,
            method=METHOD,
            quantities=some([*_found(found, wanted), *_areas(how, self.spectra.unit), *_fractions(how, found)]),
            quality=remarks([*flags, *_flags(found, how)]),
            notes=(*noted, *_notes(found, how, search, photon)),
        )
        arrays = self._arrays(variance, search, found, how)
        yield PipelineOutput((record,), {arrays.name: arrays})

    def _variance(self) -> tuple[FloatArray, tuple[str, ...], tuple[str, ...]]:
        """Return the variance of the intensities: of counts, or what flat regions scatter by if that is more."""
        one, exposure = self.spectra.spectra[self.row], float(self.spectra.exposure[self.row])
        factor = 1.0 / exposure
        noted: tuple[str, ...] = ()
        flags: tuple[str, ...] = ()
        try:
            seen, _, flags = noise_factor([one], "scaled")
        except LayerscopeError:
            seen = factor
        if seen > 1.1 * factor:
            noted = (f"noise: {seen * exposure:.2g} times that of counts, from flat regions",)
            factor = seen
        return factor * np.maximum(self.spectra.y[self.row], 1.0 / exposure), noted, flags

    def _amounts(
        self,
        spectrum: tuple[FloatArray, FloatArray, FloatArray],
        search: PeakSearch,
        found: Identification,
        wanted: Sequence[str],
        photon: float,
    ) -> Amounts:
        table = self.recipe.quantification
        if table is None:
            return Amounts((), None, ())
        return amounts(
            spectrum,
            found,
            search.peaks,
            wanted,
            photon_eV=photon,
            transmission=self.spectra.transmission,
            table=table,
            confidence=self.recipe.confidence,
        )

    def _arrays(self, variance: FloatArray, search: PeakSearch, found: Identification, how: Amounts) -> SeriesArrays:
        """Return the survey with its integrated regions and the places of named lines; nothing was fitted to it."""
        counts, info = self.spectra.y[self.row], metadata(self.spectra.spectra)
        background = counts.copy()
        net: dict[str, Any] = {}
        for region in how.regions:
            background[region.inside] = np.minimum(background, region.background)[region.inside]
            net[region.line] = np.where(region.inside, counts - region.background, 0.0)[np.newaxis]
        named: dict[str, list[float]] = {}
        for k, name in found.labels:
            named.setdefault(name, []).append(search.peaks[k].energy_eV)
        for left in found.left:
            if not left.words:
                named.setdefault(UNKNOWN, []).append(left.peak.energy_eV)
        marks: dict[str, Marks] = {name: (np.sort(places),) for name, places in named.items()}
        kind = level_kind(self.series, self.table)
        value = 0.0 if self.spectra.times is None else float(self.spectra.times[self.row])
        several = (str(self.spectra.levels[self.row].index),) if len(self.spectra.levels) > 1 else ()
        parts = (*((self.table.name,) if self.table.name else ()), "survey", *several)
        return SeriesArrays(
            name=self.context.series_name(*parts),
            technique="xps",
            title=f"{self.table.sample or self.recipe.sample}: survey",
            sample=self.table.sample or self.recipe.sample,
            axis=self.spectra.x,
            axis_name="binding_energy",
            axis_unit="eV",
            levels=np.array([value]),
            level_name=kind,
            level_unit=LEVEL_UNITS[kind],
            counts=counts[np.newaxis],
            variance=variance[np.newaxis],
            fit=counts[np.newaxis].copy(),
            background=background[np.newaxis],
            residual=np.zeros((1, counts.size)),
            components=net,
            component_area={r.line: np.array([r.area]) for r in how.regions},
            component_area_sigma={r.line: np.array([r.sigma]) for r in how.regions},
            intensity_unit=self.spectra.unit,
            area_unit=f"{self.spectra.unit}*eV",
            metadata={**info, "fit": NO_FIT, "shift_eV": found.shift_eV},
            base=self.context.base,
            marks=marks,
        )


def _found(found: Identification, wanted: Sequence[str]) -> list[Quantity | None]:
    """Return shift, probabilities and positions."""
    shown = [one for one in found.elements if one.probability >= WORTH_SAYING and one.anchor is not None]
    shown += [one for one in found.elements if one.symbol in wanted and one not in shown]
    quantities: list[Quantity | None] = []
    if found.shift_sigma_eV > 0:
        quantities.append(measured("charge.shift", -found.shift_eV, found.shift_sigma_eV, "eV", kind="systematic"))
    else:
        quantities.append(held("charge.shift", -found.shift_eV, "eV"))
    for one in shown:
        quantities.append(held("element.probability", round(one.probability, 4), "1", one.symbol))
        if one.anchor is not None and one.probability >= SURE:
            own, common = one.energy_sigma_eV, found.shift_sigma_eV
            place, sigma = one.energy_eV - found.shift_eV, math.hypot(own, common)
            parts = {"counting": own, "charge_reference": common}
            more: dict[str, Any] = {"kind": "systematic", "budget": parts}
            quantities.append(measured("peak.position", place, sigma, "eV", one.symbol, **more))
    return quantities


def _areas(how: Amounts, unit: str) -> list[Quantity | None]:
    return [measured("peak.net_area", r.area, r.sigma, f"{unit}*eV", r.element, kind="counting") for r in how.regions]


def _fractions(how: Amounts, found: Identification) -> list[Quantity | None]:
    """Return atomic fractions in per cent; with their limits where an element was not seen, or too little of it."""
    made = how.composition
    if made is None:
        return []
    quantities, present = [], {one.symbol for one in found.present}
    for m, element in enumerate(made.elements):
        limit: dict[str, Any] = {
            "upper_limit": 100.0 * float(made.upper_limit[0, m]),
            "limit_confidence": made.confidence,
        }
        quantities.append(
            measured(
                "composition.atomic_fraction",
                100.0 * float(made.fraction[0, m]),
                100.0 * float(made.sigma[0, m]),
                "%",
                element,
                kind="systematic",
                budget={part: 100.0 * sigma for part, sigma in made.budget(0, element).items()},
                **({} if made.detected[0, m] and element in present else limit),
            )
        )
    return quantities


def _flags(found: Identification, how: Amounts) -> list[str]:
    """Return what a reader should know of the elements."""
    flags = []
    for left in found.left:
        least = UNEXPLAINED_BROAD if left.peak.fwhm_eV >= BROAD_EV else UNEXPLAINED
        if not left.words and left.peak.significance >= least:
            flags.append(f"UNEXPLAINED_LINE:{left.peak.energy_eV:.1f} eV")
    flags += [
        f"ELEMENT_UNCERTAIN:{one.symbol} {one.probability:.2f}"
        for one in found.elements
        if 1 - SURELY < one.probability < SURELY and one.anchor is not None
    ]
    flags += [f"OVERLAP:{r.line}~{','.join(r.disturbed_by)}" for r in how.regions if r.disturbed_by]
    flags += [f"ELEMENT_LEFT_OUT:{element}" for element, _ in how.left_out]
    return flags


def _notes(found: Identification, how: Amounts, search: PeakSearch, photon: float) -> list[str]:
    """Return what speaks for each element, what each was quantified by, and what every other peak may be."""
    notes = [f"photon energy {photon:g} eV; lines: {library_source()}"]
    notes.append(f"lines lie {found.shift_eV:+.1f} eV from their table values, within {found.shift_sigma_eV:.1f} eV")
    notes += [_reasons(one) for one in found.elements if one.probability >= WORTH_SAYING and one.anchor is not None]
    notes += [
        f"{r.element} by {r.line}, {r.low_eV:.1f} to {r.high_eV:.1f} eV as measured"
        + (
            f"; half of what {', '.join(r.disturbed_by)} may have there is taken off, and its error"
            if r.disturbed_by
            else ""
        )
        for r in how.regions
    ]
    notes += [f"{element} left out: {why}" for element, why in how.left_out]
    for left in found.left:
        what = left.words or "explained by nothing"
        notes.append(f"a line at {left.peak.energy_eV:.1f} eV (significance {left.peak.significance:.0f}): {what}")
    if how.composition is not None:
        notes += [f"RSF set {how.composition.rsf_set}", *how.composition.notes]
    return notes


def _reasons(one: Element) -> str:
    text = f"{one.symbol}: probability {one.probability:.3f}; seen: {', '.join(one.seen)}"
    text += f"; missing: {', '.join(one.missing)}" if one.missing else ""
    return text + (f"; it could be {' or '.join(one.rivals)}" if one.rivals else "")


PIPELINE = SurveyPipeline()
