"""One NeXus file per series: stacked arrays, written whole or not at all, the same bytes every time.

The entry follows the application definition whose layout the technique hands in, and the base classes otherwise.
``/entry/data`` is the default plot: counts against the series variable and the axis, with errors. ``/entry/fit``
(NXfit) holds the curves and the parameters. ``/entry/series`` (NXcollection) holds what NeXus has no place for, so that
reading gives back every field.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from layerscope.errors import StoreError, WriteError
from layerscope.measured.files import write_atomic, writing
from layerscope.records.model import ArrayRef

from .arrays import SeriesArrays
from .grids import GRIDS, GridArrays
from .hooks import NexusLayout
from .nexus_fit import add_fit
from .nexus_grids import LazyGrids, read_grids, write_grids
from .nexus_image import Group, file_image
from .nexus_layout import (
    ArrayIndex,
    SeriesNames,
    add_entry,
    add_field,
    add_group,
    add_metadata,
    set_attribute,
    unique_names,
)
from .nexus_read import LazySeries, read_array, read_series

__all__ = ["LazyGrids", "LazySeries", "file_of", "read_array", "read_grids", "read_series", "write_series"]

FORMAT = 1
"""Version of the layout; raised when a reader of the old one would go wrong."""


def file_of(series: SeriesArrays | GridArrays) -> str:
    """Return the name of the file of a series or of grids."""
    return f"{series.name}{GRIDS if isinstance(series, GridArrays) else ''}.nxs"


def write_series(
    path: Path,
    series: SeriesArrays | GridArrays,
    *,
    layout: NexusLayout | None = None,
    run_folder: Path | None = None,
    sync: bool = True,
) -> dict[str, ArrayRef]:
    """Write a series, or grids, to one NeXus file, replacing an older one in a single step.

    The file is written beside its place, flushed to disk and renamed: a killed run leaves the old file or the new one.
    One that holds the same already is left as it is: it has no time stamp, and the same series gives the same bytes.

    Parameters
    ----------
    path : Path
        File to write, ``<run>/arrays/<series.name>.nxs``; its folder is made when it is missing.
    series : SeriesArrays or GridArrays
        What to store.
    layout : NexusLayout, optional
        What the application definition of the technique adds, see `layerscope.runs.pipeline.Pipeline`.
    run_folder : Path, optional
        The folder that the references are relative to; the folder above ``path``'s own when left out.
    sync : bool, optional
        As in `layerscope.measured.files.write_atomic`.

    Returns
    -------
    dict of str to ArrayRef
        ``counts``, ``counts_sigma``, ``axis``, ``levels``, ``fit``, ``background``, ``residual`` (in sigma), and per
        component or parameter ``component:<label>``, ``area:<label>``, ``area_sigma:<label>``, ``parameter:<name>``,
        ``parameter_sigma:<name>``; of grids ``grid:<name>``.

    Raises
    ------
    StoreError
        When the file cannot be written, or does not lie in the run folder.
    """
    path = Path(path)
    folder = path.parent.parent if run_folder is None else Path(run_folder)
    if not path.is_relative_to(folder) or ".." in path.relative_to(folder).parts:
        raise StoreError(f"the file does not lie in the run folder {folder}", source=path)
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    index = ArrayIndex(file=path.relative_to(folder).as_posix())
    write_atomic(path, _image(path, series, index, layout), sync=sync)
    return index.refs


def _image(path: Path, series: SeriesArrays | GridArrays, index: ArrayIndex, layout: NexusLayout | None) -> bytes:
    root = Group()
    with writing(path):
        try:
            if isinstance(series, GridArrays):
                write_grids(root, series, index)
            else:
                _write(root, series, index, layout)
            return file_image(root)
        except RuntimeError as error:
            raise WriteError(f"cannot be written: {error}", source=path) from error


def _write(file: Group, series: SeriesArrays, index: ArrayIndex, layout: NexusLayout | None) -> None:
    names = SeriesNames.of(series, None if layout is None else layout.axis_field)
    entry = add_entry(file, series.title, series.sample, "data")
    _add_data(entry, series, names, index)
    add_fit(entry, series, names, index)
    if layout is not None:
        layout.add(entry, series)
    _add_series(entry, series, names)


def _add_data(entry: Group, series: SeriesArrays, names: SeriesNames, index: ArrayIndex) -> None:
    """Write the default plot: counts with errors (the square root of the variance) and the two axes."""
    data = add_group(entry, "data", "NXdata")
    set_attribute(data, "signal", "data")
    set_attribute(data, "axes", [names.level, names.axis])
    set_attribute(data, f"{names.level}_indices", 0)
    set_attribute(data, f"{names.axis}_indices", 1)
    add_field(data, "title", series.title)
    unit = series.intensity_unit
    counts, sigma = np.asarray(series.counts, np.float64), np.sqrt(np.asarray(series.variance, np.float64))
    axis, levels = np.asarray(series.axis, np.float64), np.asarray(series.levels, np.float64)
    signal = add_field(data, "data", counts, unit, long_name=f"Intensity ({unit})")
    index.add("counts", signal, unit)
    index.add("counts_sigma", add_field(data, "data_errors", sigma, unit), unit)
    stored = add_field(data, names.axis, axis, series.axis_unit, long_name=_spoken(series.axis_name, series.axis_unit))
    index.add("axis", stored, series.axis_unit)
    stored = add_field(
        data, names.level, levels, series.level_unit, long_name=_spoken(series.level_name, series.level_unit)
    )
    index.add("levels", stored, series.level_unit)


def _spoken(name: str, unit: str) -> str:
    return f"{name.replace('_', ' ').capitalize()} ({unit})"


def _add_series(entry: Group, series: SeriesArrays, names: SeriesNames) -> None:
    """Write what the reader needs to give the series back: its own names, orders and settings."""
    group = add_group(entry, "series", "NXcollection")
    add_field(group, "format", FORMAT)
    for key in ("name", "base", "technique", "axis_name", "level_name", "area_unit"):
        add_field(group, key, getattr(series, key))
    add_field(group, "axis_field", names.axis)
    add_field(group, "level_field", names.level)
    for kind, mapping in (("component", names.components), ("parameter", names.parameters)):
        add_field(group, f"{kind}_names", list(mapping))
        add_field(group, f"{kind}_fields", list(mapping.values()))
    add_field(group, "parameter_scopes", [parameter.scope for parameter in series.parameters.values()])
    if series.frames is not None:
        add_field(group, "frames", np.asarray(series.frames, np.int64))
    if series.cell_record is not None:
        time, voltage = np.asarray(series.cell_record, np.float64)
        add_field(group, "cell_time", time, "s", description="elapsed time of what the cycler recorded")
        add_field(group, "cell_voltage", voltage, "V")
    marks = add_group(group, "marks", "NXcollection")
    for label, field in unique_names(sorted(series.marks)).items():
        one = add_group(marks, field, "NXcollection")
        set_attribute(one, "key", label)
        stated = [at for at in series.marks[label] if at is not None]
        add_field(one, "positions", np.concatenate(stated) if stated else np.empty(0), series.axis_unit)
        counts = [-1 if at is None else at.size for at in series.marks[label]]
        add_field(one, "counts", np.array(counts, np.int64), description="marks of each level; -1: nothing is stated")
    add_metadata(group, series.metadata)
