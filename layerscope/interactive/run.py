"""Recipes run from Python, and what a notebook has of a run: its fits, their pictures, and fits done again."""

from __future__ import annotations

import html
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from layerscope.errors import DataError, RecipeError
from layerscope.records import FitQuality, ResultRecord
from layerscope.runs import load
from layerscope.runs.execute import execute
from layerscope.runs.pipeline import find_pipeline, installed_pipelines
from layerscope.runs.present import narrowed, summary_tables
from layerscope.runs.recipe import PipelineRecipe, parse_recipe

from .changes import changed
from .tables import html_of, rows_of, text_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from layerscope.runs.nexus import LazySeries

    from .figure import Drawn

__all__ = ["Fit", "Origin", "Run", "load_run", "recipe_from", "recipe_models", "run"]


class _Kept:
    """A folder that is removed with the last run that lies in it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="layerscope_"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)


@dataclass(frozen=True)
class Origin:
    """Where a run was made from, as far as this process knows.

    Attributes
    ----------
    data : Path or None
        Folder that the paths of its inputs are relative to.
    kept : object
        What keeps the run folder alive, where it is a temporary one.
    """

    data: Path | None = None
    kept: object = None


NOWHERE = Origin()


class Run(load.Run):
    """The records of a run folder, or a selection of them.

    Parameters
    ----------
    folder, records, info
        As of `layerscope.runs.load.Run`.
    origin : Origin, optional
        Where it was made from.
    """

    def __init__(
        self, folder: Path, records: tuple[ResultRecord, ...], info: Mapping[str, Any], origin: Origin = NOWHERE
    ) -> None:
        super().__init__(folder, records, info)
        self.origin = origin

    def _of(self, records: tuple[ResultRecord, ...]) -> Self:
        return type(self)(self.folder, records, self.info, self.origin)

    @property
    def fits(self) -> dict[str, Fit]:
        """Its fitted series by name: a region of a profile, a line of an in-situ series, ..."""
        found: dict[str, list[ResultRecord]] = {name: [] for name in self.arrays}
        for record in self.records:
            for name in dict.fromkeys(Path(reference.file).stem for reference in record.arrays):
                if name in found:
                    found[name].append(record)
        return {name: Fit(self._of(tuple(records)), name) for name, records in found.items() if records}

    def fit(self, region: str | None = None, *, sample: str | None = None) -> Fit:
        """Return one fitted series.

        Parameters
        ----------
        region : str, optional
            Its region, as ``layerscope show --region`` takes it, or its name in `fits`. Not needed where there is one.
        sample : str, optional
            Name of its sample, or part of it.

        Raises
        ------
        DataError
            If there is none, or more than one; the message says what there is, and what failed.
        """
        named = self.fits
        if region in named:
            return named[region]
        found = narrowed(self, sample=sample, region=region).fits
        if len(found) == 1:
            return next(iter(found.values()))
        reasons = [str(record.problem.message) for record in self.failed if record.problem]
        hint = f"failed: {reasons[0]}" if reasons and not found else f"one of {', '.join(found or named) or 'none'}"
        asked = ", ".join(filter(None, (region, sample))) or "this run"
        raise DataError(f"{len(found) or 'no'} fits are of {asked}", source=self.title, hint=hint)

    def figure(
        self,
        spec: str | Path | None = None,
        *,
        region: str | None = None,
        sample: str | None = None,
        level: int | None = None,
        out: str | Path | None = None,
        **page: Any,
    ) -> Drawn:
        """Draw a figure for a paper, of a specification or of what is chosen, as ``layerscope figure`` does.

        Parameters
        ----------
        spec : str or Path, optional
            Specification in TOML.
        region, sample : str, optional
            Without one: only this region, and samples whose names hold this word, sample beside sample.
        level : int, optional
            One level of each series, from 0.
        out : str or Path, optional
            Folder and name of the files, without ending. Without it they lie in a temporary folder.
        **page
            ``width`` such as ``"85mm"``, ``formats``, and further keys of the figure.

        Returns
        -------
        Drawn
            A notebook shows it; ``.files`` are its files.

        Raises
        ------
        DataError
            If nothing of the run matches.
        RecipeError
            If a key is wrong.
        """
        from .figure import draw_figure

        kept = _Kept() if out is None else None
        stem = Path(out or "") if kept is None else kept.folder / "figure"
        choice = {"region": region, "sample": sample, "level": level}
        return draw_figure(self, None if spec is None else Path(spec), stem, kept, choice, page)

    def report(self, path: str | Path | None = None) -> Path:
        """Write all results as one page for the browser, and return the file.

        Parameters
        ----------
        path : str or Path, optional
            Where to; ``report.html`` in the run folder by default.

        Raises
        ------
        WriteError
            If it cannot be written.
        """
        from layerscope.report import write_report

        return write_report(self, None if path is None else Path(path))

    def __str__(self) -> str:
        return text_of(*summary_tables(self))

    def _repr_html_(self) -> str:
        return f"<h4>{html.escape(self.title)}</h4>{rows_of(self._facts())}{html_of(*summary_tables(self))}"


class Fit:
    """The records of one fitted series, and its arrays.

    Parameters
    ----------
    run : Run
        With the records of this series.
    name : str
        Of the series.
    """

    def __init__(self, run: Run, name: str) -> None:
        self.run = run
        self.name = name

    @property
    def records(self) -> tuple[ResultRecord, ...]:
        """Of the series as a whole, and of its levels."""
        return self.run.records

    @property
    def arrays(self) -> LazySeries:
        """Data, fit, background and components, read when they are asked for."""
        return self.run.arrays[self.name]

    @property
    def table(self) -> pd.DataFrame:
        """Every quantity with its error, a row each."""
        return self.run.table

    @property
    def quality(self) -> FitQuality | None:
        """How good the fit is as a whole."""
        found = [record.quality for record in self.records if record.quality is not None]
        return max(found, key=lambda quality: (quality.n_data or 0, quality.bic is not None), default=None)

    @property
    def flags(self) -> tuple[str, ...]:
        """What its records warn of, each once; `layerscope.flags` says what each means."""
        return tuple(dict.fromkeys(flag for record in self.records for flag in record.flags))

    def plot(self) -> Figure:
        """Draw data, fit, components, background and residuals; levels above each other, the first on top.

        Returns
        -------
        matplotlib.figure.Figure
            A notebook shows it; ``.savefig(...)`` keeps it.
        """
        from .drawing import draw_fit

        return draw_fit(self.arrays)

    def to_recipe(self) -> PipelineRecipe:
        """Return the recipe that the fit follows from, every default written out.

        ``print(recipe.to_toml())`` shows what differs from the defaults, as a file for the command line.
        """
        recipe = recipe_from(self.records[0].recipe)
        return recipe if self.run.origin.data is None else recipe.located(self.run.origin.data)

    def refit(self, only: str | None = None, **changes: Any) -> Fit:
        """Fit again with other settings.

        Parameters
        ----------
        only : str, optional
            Change the settings of this component, species or phase alone.
        **changes
            Keys of the recipe, wherever in the tables of this series they stand: ``shape="voigt"``,
            ``range_eV=(186, 197)``, ``noise="scaled"``. The unit may be left out; parameters of a line (``fwhm``) are
            keys as well. A number is a start value, ``{"value": 1.4, "vary": False}`` holds it.

        Returns
        -------
        Fit
            Of a new run in a temporary folder; the old one stays as it is.

        Raises
        ------
        RecipeError
            If no table of this series has such a key, or its value cannot be.
        """
        if self.run.origin.data is None:
            raise RecipeError("it is not known where the data are", source=self.name, hint="load_run(..., data=FOLDER)")
        names = {record.state.region for record in self.records if record.state.region}
        tables = changed(self.records[0].recipe, names, only, changes)
        again = run(recipe_from(tables), data=self.run.origin.data)
        region = next(iter(names), None)
        return again.fit(region)

    def __repr__(self) -> str:
        quality = self.quality
        redchi = "" if quality is None or quality.redchi is None else f", reduced chi-square {quality.redchi:.3g}"
        head = f"<Fit {self.name}: {len(self.records)} records{redchi}>"
        return "\n".join([head, text_of(*summary_tables(self.run))])

    def _repr_html_(self) -> str:
        return html_of(*summary_tables(self.run))


def load_run(folder: str | Path, *, data: str | Path | None = None) -> Run:
    """Return the run in a folder.

    Parameters
    ----------
    folder : str or Path
        What ``layerscope run --out`` wrote.
    data : str or Path, optional
        Folder of the input files: needed to fit again.

    Returns
    -------
    Run
        With ``.records``, ``.table`` (a DataFrame), ``.arrays`` (loaded on demand) and ``.fits``.

    Raises
    ------
    StoreError
        If the folder is no run folder, or a record is damaged; the error names the file.
    """
    found = load.load_run(folder)
    return Run(found.folder, found.records, found.info, Origin(None if data is None else Path(data).absolute()))


def run(
    recipe: PipelineRecipe | Mapping[str, Any] | str | Path,
    *,
    out: str | Path | None = None,
    data: str | Path | None = None,
    jobs: int = 1,
    figures: bool | None = None,
) -> Run:
    """Run a recipe or a study, and return its records, arrays and table.

    Parameters
    ----------
    recipe : PipelineRecipe, mapping, str or Path
        A recipe such as `layerscope.XpsRecipe`, the same as a dictionary, or the path of a recipe or a study in TOML.
    out : str or Path, optional
        The run folder: new, or of an earlier run of the same recipe, whose work is not repeated. Without it the run
        lies in a temporary folder, which goes with the last object that was taken from it.
    data : str or Path, optional
        Folder that the paths of the recipe are relative to. By default that of the recipe file; of a recipe that was
        made in Python the working directory.
    jobs : int, optional
        Number of processes.
    figures : bool, optional
        Draw the figures of the technique. By default where there is a folder to keep them.

    Returns
    -------
    Run
        What could not be done is in ``run.failed``, each with its reason.

    Raises
    ------
    RecipeError
        If the recipe cannot be used.
    StoreError
        If the folder cannot be used.
    """
    wanted = recipe if isinstance(recipe, PipelineRecipe | str | Path) else recipe_from(recipe)
    kept = _Kept() if out is None else None
    folder = Path(out or "") if kept is None else kept.folder / "run"
    where = None if data is None else Path(data)
    drawn = out is not None if figures is None else figures
    found = execute(wanted, folder, data=where, jobs=jobs, figures=drawn).run
    if where is None:
        where = wanted.folder if isinstance(wanted, PipelineRecipe) else Path(wanted).parent
    return Run(found.folder, found.records, found.info, Origin(where.absolute(), kept))


def recipe_from(tables: Mapping[str, Any], source: str = "recipe") -> PipelineRecipe:
    """Return the recipe that a dictionary holds, checked against the model of its pipeline.

    Raises
    ------
    RecipeError
        Naming each wrong key, and for an unknown key the nearest known one.
    """
    name = tables.get("pipeline")
    if not isinstance(name, str):
        raise RecipeError("pipeline: is missing", source=source, hint=f"one of {', '.join(installed_pipelines())}")
    return parse_recipe(find_pipeline(name).recipe_model, {"layerscope": 1, **tables}, source)


def recipe_models() -> Mapping[str, type[PipelineRecipe]]:
    """Return the models of the recipes of every installed technique, by the name of its pipeline."""
    return {name: find_pipeline(name).recipe_model for name in sorted(installed_pipelines())}
