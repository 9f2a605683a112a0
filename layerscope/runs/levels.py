"""Levels of a series between the files of a recipe and the arrays of a run: read, failed or usable, and laid out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from layerscope.errors import LayerscopeError, MissingDependencyError
from layerscope.measured.measurement import Measurement, Recording
from layerscope.measured.options import SeriesTable
from layerscope.measured.series import Level, MeasuredSeries, Rejected, levels_of, times_of, voltages_of
from layerscope.records import InputFile
from layerscope.runs.arrays import SeriesParameter
from layerscope.runs.pipeline import RunContext
from layerscope.runs.recipe import PipelineRecipe

__all__ = ["array_name", "level_fields", "read_as_named", "read_levels", "reject_levels", "side_files"]

M = TypeVar("M", bound=Measurement)
R = TypeVar("R", bound=Recording[Any])


def read_as_named(recipe: PipelineRecipe, path: str, read: Callable[..., R], **how: Any) -> R:
    """Return what a file holds; it and its errors are named as the recipe names it, wherever the data lie.

    Parameters
    ----------
    recipe : PipelineRecipe
        Located.
    path : str
        One of its paths.
    read : callable
        ``read(file, **how)``, as `Formats.read`.
    **how
        Format, columns, members, ...
    """
    where = recipe.folder / path
    try:
        found = read(recipe.resolve(path), **how)
        problems = tuple(replace(p, message=p.message.replace(str(where), path)) for p in found.problems)
        return replace(found, source=Path(path), problems=problems)
    except MissingDependencyError:
        raise
    except LayerscopeError as error:
        error.source, error.message = path, error.message.replace(str(where), path)
        raise


def read_levels(
    recipe: PipelineRecipe,
    table: SeriesTable,
    read: Callable[..., Recording[M]],
    prepare: Callable[[M], M] = lambda measurement: measurement,
) -> MeasuredSeries[M]:
    """Return the levels of a series from all its files; those that cannot be used are rejected, with the reason.

    Parameters
    ----------
    recipe : PipelineRecipe
        Located.
    table : SeriesTable
        One of its series.
    read : callable
        As `Formats.read`.
    prepare : callable, optional
        Brings a measurement into the form that is analysed; a LayerscopeError rejects it.

    Raises
    ------
    MissingDependencyError
        If a format needs a library that is not installed.
    """
    levels: list[Level[M]] = []
    rejected: list[Rejected] = []
    files: list[InputFile] = []
    how = {"format": table.format, "columns": getattr(table, "columns", None), "members": table.members}
    for number, path in enumerate(table.files):
        first = len(levels) + len(rejected)
        try:
            found = read_as_named(recipe, path, read, on_error="collect", **how)
        except MissingDependencyError:
            raise
        except LayerscopeError as error:
            files += side_files(recipe, path)
            rejected.append(Rejected(first, number, error))
            continue
        files.append(found.input_file(path))
        rejected += [Rejected(first + p.index, number, p.error(path)) for p in found.problems]
        for measurement in found.measurements:
            index = first + measurement.index
            try:
                levels.append(Level(index, number, prepare(replace(measurement, index=index))))
            except LayerscopeError as error:
                rejected.append(Rejected(index, number, error))
    rejected.sort(key=lambda one: one.index)
    return MeasuredSeries(
        whole=table.state(recipe.sample), levels=tuple(levels), rejected=tuple(rejected), files=tuple(files)
    )


def side_files(recipe: PipelineRecipe, *paths: str | None) -> list[InputFile]:
    """Return the entries of files that no reader opened, of those not there with the hash of nothing; None is none."""
    found = []
    for path in dict.fromkeys(paths):
        if path is None:
            continue
        where: Path | None = None
        with suppress(LayerscopeError):
            where = recipe.resolve(path)
        found.append(Recording[Any].unread(where).input_file(path))
    return found


def reject_levels(
    context: RunContext,
    series: MeasuredSeries[M],
    rejected: Iterable[Rejected],
    method: str,
    *,
    region: str | None = None,
) -> None:
    """Keep the failed record of every level that cannot be used.

    Parameters
    ----------
    context : RunContext
    series : MeasuredSeries
    rejected : iterable of Rejected
        Of this series.
    method : str
        That the records of the others have.
    region : str, optional
        Where the level cannot be used in one of its regions only.
    """
    for one in rejected:
        inputs, state = series.inputs(region or method, one), series.state(one, region)
        context.reject(one.error, state=state, inputs=inputs, method=method)


def array_name(context: RunContext, series: MeasuredSeries[M], *parts: str) -> str:
    """Return a name for arrays of a series: that of the series, or of its sample, and what tells them apart."""
    return context.series_name(*(part for part in (series.whole.series or series.sample, *parts) if part))


def level_fields(context: RunContext, series: MeasuredSeries[M], levels: Sequence[Level[M]]) -> dict[str, Any]:
    """Return the fields of `SeriesArrays` that follow from levels.

    Parameters
    ----------
    context : RunContext
    series : MeasuredSeries
    levels : sequence of Level
        Those of the arrays, L of them.

    Returns
    -------
    dict
        Values, numbers, units and names; ``parameters`` holds the voltage of the cell (V) where it is known.
    """
    voltage, voltage_sigma, _ = voltages_of(levels)
    values, name, unit = levels_of(levels, times_of(levels), voltage)
    parameters = {}
    if voltage is not None:
        sigma = voltage_sigma if voltage_sigma is not None else np.full(voltage.size, np.nan)
        parameters["cell_voltage"] = SeriesParameter(voltage, sigma, "V", scope="pattern")
    first = levels[0].measurement
    shown = "counts" if first.intensity_unit == "arbitrary" else first.intensity_unit
    return {
        "technique": context.pipeline.technique,
        "sample": series.sample,
        "axis_unit": first.axis_unit,
        "levels": values,
        "level_name": name,
        "level_unit": unit,
        "parameters": parameters,
        "intensity_unit": shown,
        "area_unit": f"{shown}*{first.axis_unit}",
        "base": context.base,
        "frames": np.array([level.index for level in levels]),
        "cell_record": series.cell,
    }
