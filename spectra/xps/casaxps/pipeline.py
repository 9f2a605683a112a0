"""The pipeline ``casaxps``: fits that CasaXPS stored in VAMAS files, redrawn and refitted, as records beside their own.

Every record holds our numbers with their errors and CasaXPS' as ``x.casaxps_position``, ``x.casaxps_fwhm`` and
``x.casaxps_area``; the table of a run sets them side by side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import numpy as np
from pydantic import Field

from layerscope.errors import DataError, LayerscopeError
from layerscope.options import RecipePath
from layerscope.records import FitQuality, InputFile, Quantity, ResultRecord, SampleState
from layerscope.runs.arrays import SeriesArrays
from layerscope.runs.build import measured, quality_of, some
from layerscope.runs.hooks import NexusLayout
from layerscope.runs.levels import read_as_named
from layerscope.runs.pipeline import PipelineOutput, RunContext
from layerscope.runs.recipe import PipelineName, PipelineRecipe
from layerscope.runs.summary import SummaryTable
from layerscope.runs.technique import Part, SeriesPipeline, guarded

from ..dataset import FloatArray, Spectrum, XpsDataset, normalise_region
from ..readers import FORMATS, read
from .quantities import (
    NAMES,
    array_parameters,
    calibration,
    drawn_areas,
    net_areas,
    refined,
    shape_notes,
    stored_quantities,
)
from .refitted import CasaRefit, refit
from .stored_fit import SeriesProblem
from .tables import REDRAW, REFIT, parity_tables
from .text import CasaFit, parse_casa_fit
from .weigh import StoredFit, weigh_stored

__all__ = ["PIPELINE", "CasaPipeline", "CasaRecipe"]

_BACKGROUND = {
    "shirley_k": ("background.shirley_strength", "1/eV"),
    "tougaard_b": ("background.tougaard_b", "eV^2"),
}


class CasaRecipe(PipelineRecipe):
    """Recipe of the pipeline ``casaxps``."""

    pipeline: PipelineName = "casaxps"
    files: Annotated[tuple[RecipePath, ...], Field(min_length=1, description="VAMAS files with fits of CasaXPS")]
    blocks: Annotated[tuple[int | str, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="numbers of blocks, from 0, or regions such as 'C 1s'; all with a stored fit if left out",
    )
    mode: Literal["redraw", "refit"] = Field(
        default="redraw", description="redraw: the stored fit as it stands; refit: that, and fitted again"
    )
    background: Literal["as stored", "active"] = Field(
        default="as stored", description="of the refit: CasaXPS' curve, or one of its kind fitted with the peaks"
    )
    weights: Literal["poisson", "equal"] = Field(
        default="poisson", description="of the refit: counting statistics, or every point the same as CasaXPS does"
    )
    noise: Literal["poisson", "scaled"] = Field(
        default="poisson", description="scaled: multiply errors by the square root of the reduced chi2"
    )

    def only(self, tables: Sequence[RecipePath]) -> Self:
        """Return the recipe of some of the files."""
        return self.model_copy(update={"files": tuple(tables)}).located(self.folder)


class CasaPipeline(SeriesPipeline[XpsDataset]):
    """Fits of CasaXPS from VAMAS file to record."""

    name = "casaxps"
    version = "2"
    technique = "xps"
    recipe_model = CasaRecipe
    formats = FORMATS

    def tables(self, recipe: CasaRecipe) -> Sequence[RecipePath]:
        """Return the files: each is a task."""
        return recipe.files

    def read(self, recipe: CasaRecipe, table: RecipePath) -> XpsDataset:
        """Return what a file holds."""
        return read_as_named(recipe, table, read, format="vamas")

    def tried(self, recipe: CasaRecipe, series: XpsDataset) -> Sequence[LayerscopeError]:
        """Return nothing, after making sure that the file holds the stored fits that are asked for."""
        _chosen(series, recipe)
        return ()

    def analyse(self, series: XpsDataset, context: RunContext) -> Iterator[PipelineOutput]:
        """Yield the records and arrays of one file, region by region of CasaXPS."""
        recipe = cast("CasaRecipe", context.recipe)
        regions = [
            _Region(recipe, context, series, spectrum, fit, k)
            for spectrum, fit in _chosen(series, recipe)
            for k in range(len(fit.regions))
        ]
        yield from guarded(context, regions, _Region.about, _Region.outputs)

    def nexus_layout(self) -> NexusLayout:
        """Return the layout of NXxps."""
        from ..nexus import LAYOUT

        return LAYOUT

    def summary(self, records: Sequence[ResultRecord]) -> list[SummaryTable]:
        """Return the tables of parity."""
        return parity_tables(records)


def _chosen(dataset: XpsDataset, recipe: CasaRecipe) -> list[tuple[Spectrum, CasaFit]]:
    """Return the spectra that the recipe asks for, each with its stored fit."""
    fits = [(s, parse_casa_fit(s.comments)) for s in dataset.spectra]
    fitted = [(s, fit) for s, fit in fits if fit.regions and fit.components]
    if not fitted:
        raise DataError(
            "there is no fit of CasaXPS in the comments of any block",
            source=dataset.source,
            hint="save the file from CasaXPS with regions and components",
        )
    if recipe.blocks is None:
        return fitted
    chosen: list[tuple[Spectrum, CasaFit]] = []
    for wanted in recipe.blocks:
        own = [(s, fit) for s, fit in fitted if _is(s, wanted)]
        if not own:
            known = ", ".join(f"{s.block} ({s.region})" for s, _ in fitted)
            raise DataError(
                f"block {wanted!r} holds no fit of CasaXPS", source=dataset.source, hint=f"blocks with a fit: {known}"
            )
        chosen += [pair for pair in own if pair not in chosen]
    return chosen


def _is(spectrum: Spectrum, wanted: int | str) -> bool:
    return spectrum.block == wanted if isinstance(wanted, int) else spectrum.region == normalise_region(wanted)


@dataclass(frozen=True, eq=False)
class _Region:
    """One region of CasaXPS in one block, while it is being worked on."""

    recipe: CasaRecipe
    context: RunContext
    dataset: XpsDataset
    spectrum: Spectrum
    fit: CasaFit
    region: int

    @property
    def state(self) -> SampleState:
        """State that its records are about."""
        one, sample = self.spectrum, self.recipe.sample
        return SampleState(sample=sample, region=one.region, etch_time_s=one.etch_time_s, depth_nm=one.depth_nm)

    def about(self) -> Part:
        """Return what its failed record is about."""
        return Part(self.spectrum.region, self.state, self.inputs(REDRAW), REDRAW)

    def inputs(self, method: str) -> list[InputFile]:
        """Return the file behind a record, with the part of it that was used."""
        selector = f"block={self.spectrum.block};casaxps={self.region};{method.rpartition('_')[2]}"
        return [self.dataset.input_file(str(self.recipe.files[0]), selector)]

    def outputs(self) -> Iterator[PipelineOutput]:
        """Yield the stored fit and, if asked for, the refit."""
        stored = weigh_stored(self.spectrum, self.fit, region=self.region)
        first = self._redraw_record(stored)
        arrays = self._stored_arrays(stored)
        yield PipelineOutput((first,), {arrays.name: arrays})
        if self.recipe.mode == "redraw":
            return
        with self.context.guard(state=self.state, inputs=self.inputs(REFIT), method=REFIT):
            again = refit(
                self.spectrum,
                self.fit,
                region=self.region,
                background=self.recipe.background,
                weights=self.recipe.weights,
                scale_errors=self.recipe.noise == "scaled",
            )
            arrays = self._refit_arrays(again)
            yield PipelineOutput((self._refit_record(again, first),), {arrays.name: arrays})

    def _redraw_record(self, stored: StoredFit) -> ResultRecord:
        problem = stored.problem
        noise = math.sqrt(stored.redchi) if self.recipe.noise == "scaled" else 1.0
        areas = (*net_areas(stored, noise), *drawn_areas(stored, noise))
        outside = [f"{label}: {100 * s:.2f} %" for label, s in zip(problem.labels, stored.outside, strict=True)]
        return self.context.record(
            state=self.state,
            inputs=self.inputs(REDRAW),
            method=REDRAW,
            quantities=(*stored_quantities(problem), *calibration(problem), *areas),
            quality=FitQuality(
                chi2=stored.chi2,
                redchi=stored.redchi,
                n_data=stored.n_data,
                n_free=stored.n_free,
                durbin_watson=float(np.clip(stored.durbin_watson, 0.0, 4.0)),
                flags=stored.flags,
            ),
            notes=(
                "nothing was fitted: areas are those of the curves drawn from the stored numbers, their errors what "
                "counting alone gives at held shapes",
                "net area: of the counts above the stored background, beside that of all stored curves in the region",
                "of these areas lies beyond the ends of the spectrum: " + ", ".join(outside),
                f"background: stored {problem.background}; Poisson deviance {stored.deviance:.1f}",
                *shape_notes(problem),
                *stored.curves.notes,
            ),
        )

    def _refit_record(self, again: CasaRefit, parent: ResultRecord) -> ResultRecord:
        problem, fit = again.model.problem, again.fit
        quantities: list[Quantity | None] = [*stored_quantities(problem), *calibration(problem)]
        quantities += [refined(again, i, p) for i in range(len(problem.components)) for p in NAMES]
        for name, (vocabulary, unit) in _BACKGROUND.items():
            if name in fit.names:
                value, sigma = float(fit.value(name)[0]), float(fit.sigma(name)[0])
                quantities.append(measured(vocabulary, value, sigma, unit, role="refined"))
        equal = self.recipe.weights == "equal"
        unknown = {"chi2": None, "redchi": None} if equal else {}  # of points without a noise of their own
        weighing = "all points weigh the same, as in the fits of CasaXPS seen so far" if equal else "Poisson weights"
        notes = [f"background: {again.model.background}; {weighing}", *shape_notes(problem)]
        if not equal:
            notes.append(f"Poisson deviance {fit.misfit:.1f}, of the stored fit {again.stored.deviance:.1f}")
        return self.context.record(
            state=self.state,
            inputs=self.inputs(REFIT),
            method=REFIT,
            quantities=some(quantities),
            quality=quality_of(fit).model_copy(update={"flags": again.flags, **unknown}),
            parents=(parent.record_id,),
            notes=(*notes, *again.model.notes, *again.stored.curves.notes),
        )

    def _stored_arrays(self, stored: StoredFit) -> SeriesArrays:
        curves, inside = stored.curves, stored.curves.inside
        values = {
            (i, p): (c.parameters[p].value, math.nan)
            for i, c in enumerate(stored.problem.components)
            for p in ("center", "fwhm")
        }
        return self._arrays(
            "stored",
            stored.problem,
            curves.binding_energy[inside],
            {
                "counts": curves.counts[inside],
                "variance": stored.variance,
                "background": curves.background[inside],
                "residual": stored.residual,
            },
            curves.components[:, inside],
            values=values | {(i, "area"): a for i, a in stored.areas.items()},
            label=f"stored {stored.problem.background}",
        )

    def _refit_arrays(self, again: CasaRefit) -> SeriesArrays:
        fit = again.fit
        weight = fit.root_weight[0]
        sigma = 1.0 / weight
        if self.recipe.weights == "equal":  # the engine counts in units of the data then
            sigma = np.full_like(weight, math.sqrt(fit.redchi))
        return self._arrays(
            "refit",
            again.model.problem,
            again.binding_energy.copy(),
            {
                "counts": fit.y[0].copy(),
                "variance": sigma**2,
                "background": again.background,
                "residual": (fit.y[0] - fit.expected[0]) / sigma,
            },
            again.components,
            values=dict(again.values),
            label=again.model.background,
        )

    def _arrays(
        self,
        kind: str,
        problem: SeriesProblem,
        axis: FloatArray,
        curves: Mapping[str, FloatArray],
        components: FloatArray,
        *,
        values: Mapping[tuple[int, str], tuple[float, float]],
        label: str,
    ) -> SeriesArrays:
        spectrum, labels = self.spectrum, problem.labels
        path = Path(str(self.recipe.files[0]))
        parts = (path.stem, str(spectrum.block), *((str(self.region),) if len(self.fit.regions) > 1 else ()), kind)
        stacked: dict[str, Any] = {name: curve[np.newaxis] for name, curve in curves.items()}
        shapes = {f"shape:{name}": c.line_shape for name, c in zip(labels, problem.components, strict=True)}
        return SeriesArrays(
            name=self.context.series_name(*parts),
            technique="xps",
            title=f"{self.recipe.sample}: {spectrum.region}, CasaXPS, {kind}",
            sample=self.recipe.sample,
            axis=axis,
            axis_name="binding_energy",
            axis_unit="eV",
            levels=np.array([spectrum.etch_time_s or 0.0]),
            level_name="etch_time",
            level_unit="s",
            **stacked,
            fit=(curves["background"] + components.sum(axis=0))[np.newaxis],
            components={name: components[i][np.newaxis] for i, name in enumerate(labels)},
            component_area={name: np.array([values[i, "area"][0]]) for i, name in enumerate(labels)},
            component_area_sigma={name: np.array([values[i, "area"][1]]) for i, name in enumerate(labels)},
            parameters=array_parameters(problem, values),
            intensity_unit=spectrum.intensity_unit,
            area_unit=f"{spectrum.intensity_unit}*eV",
            metadata={
                "region": spectrum.region,
                "excitation_energy_eV": spectrum.excitation_energy_eV,
                "pass_energy_eV": spectrum.pass_energy_eV,
                "work_function_eV": spectrum.work_function_eV,
                "dwell_time_s": spectrum.dwell_time_s,
                "scans": spectrum.scans,
                "instrument": spectrum.metadata.get("instrument"),
                "background": label,
                "calibration_shift_eV": problem.shift_eV,
                **shapes,
            },
            base=self.context.base,
        )


PIPELINE = CasaPipeline()
