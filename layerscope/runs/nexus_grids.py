"""Grids in NeXus: one file for those that belong together, a NXdata group each, in the type that they have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from layerscope.errors import StoreError
from layerscope.records.model import ArrayRef

from .grids import Grid, GridArrays, GridAxis
from .nexus_image import Group
from .nexus_layout import ArrayIndex, add_entry, add_field, add_group, add_metadata, set_attribute, unique_names
from .nexus_read import metadata_of, names_of, opened, stored, text_of, unit_of, words_of

__all__ = ["LazyGrids", "read_grids", "write_grids"]

FORMAT = 1
"""Version of the layout."""
_HEAD = ("name", "base", "technique")


def write_grids(file: Group, arrays: GridArrays, index: ArrayIndex) -> Mapping[str, ArrayRef]:
    """Write grids into a new file and return references to them, ``grid:<name>``."""
    names = unique_names(arrays.grids)
    entry = add_entry(file, arrays.title, arrays.sample, next(iter(names.values())))
    for key, field in names.items():
        _add_grid(add_group(entry, field, "NXdata"), key, arrays.grids[key], index)
    about = add_group(entry, "grids", "NXcollection")
    add_field(about, "format", FORMAT)
    for key in _HEAD:
        add_field(about, key, getattr(arrays, key))
    add_field(about, "grid_names", list(names))
    add_field(about, "grid_fields", list(names.values()))
    add_metadata(about, arrays.metadata)
    return index.refs


def _add_grid(group: Group, key: str, grid: Grid, index: ArrayIndex) -> None:
    axes = unique_names(axis.name for axis in grid.axes)
    fields = [f"{field}_axis" if field in ("data", "title") else field for field in axes.values()]
    set_attribute(group, "signal", "data")
    set_attribute(group, "axes", fields)
    add_field(group, "title", grid.says or key)
    values = np.ascontiguousarray(grid.values)
    index.add(f"grid:{key}", add_field(group, "data", values, grid.unit), grid.unit)
    if grid.sigma is not None:
        add_field(group, "data_errors", np.ascontiguousarray(grid.sigma), grid.unit)
    for number, (axis, field) in enumerate(zip(grid.axes, fields, strict=True)):
        set_attribute(group, f"{field}_indices", number)
        shown = axis.values if isinstance(axis.values, np.ndarray) else list(axis.values)
        add_field(group, field, shown, axis.unit, long_name=axis.name)


def read_grids(path: Path) -> LazyGrids:
    """Open a file of grids that layerscope wrote; arrays come from it when they are asked for.

    Parameters
    ----------
    path : Path
        The ``.grids.nxs`` file.

    Raises
    ------
    StoreError
        When the file is missing, is not HDF5, or is of a layout that is not known here.
    """
    return LazyGrids(Path(path))


class LazyGrids(Mapping[str, Grid]):
    """Grids on disk by name; each is read when it is looked up.

    Attributes
    ----------
    path : Path
    name, technique, title, sample, base : str
        As in `GridArrays`.
    metadata : dict
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with opened(path) as file:
            if text_of(file, "entry/grids/format", path, kind="int") != str(FORMAT):
                raise StoreError("the file has a newer layout", source=path, hint="update layerscope")
            self.name, self.base, self.technique = (text_of(file, f"entry/grids/{key}", path) for key in _HEAD)
            self.title = text_of(file, "entry/title", path)
            self.sample = text_of(file, "entry/sample/name", path)
            self._fields = names_of(file, "entry/grids/grid", path)
            self.metadata = metadata_of(file, "entry/grids/metadata", path)

    def __getitem__(self, name: str) -> Grid:
        group = f"entry/{self._fields[name]}"
        with opened(self.path) as file:
            values = stored(file, f"{group}/data", self.path)
            fields = file[group].attrs.get("axes")
            if fields is None or len(fields) != values.ndim:
                raise StoreError(f"{name} has not as many axes as dimensions", source=self.path)
            axes = tuple(self._axis(file, f"{group}/{field}") for field in fields)
            has_sigma = f"{group}/data_errors" in file
            sigma = stored(file, f"{group}/data_errors", self.path) if has_sigma else None
            says = text_of(file, f"{group}/title", self.path)
            return Grid(values, unit_of(file, f"{group}/data", self.path), axes, says, sigma)

    def reference(self, name: str) -> str:
        """Return where a grid lies, as figures name it: ``arrays/a.grids.nxs#/entry/map/data``."""
        return f"{self.path.parent.name}/{self.path.name}#/entry/{self._fields[name]}/data"

    def _axis(self, file: h5py.File, path: str) -> GridAxis:
        dataset: Any = file.get(path)
        words = dataset is not None and h5py.check_string_dtype(dataset.dtype) is not None
        values = tuple(words_of(file, path, self.path)) if words else stored(file, path, self.path)
        name = str(dataset.attrs.get("long_name", path.rpartition("/")[2]))
        return GridAxis(name, unit_of(file, path, self.path), values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"<LazyGrids {self.name}: {', '.join(self)}>"

    def load(self) -> GridArrays:
        """Read everything into memory.

        Raises
        ------
        StoreError
            When an array is missing or damaged.
        """
        return GridArrays(
            self.name, self.technique, self.title, self.sample, dict(self), dict(self.metadata), self.base
        )
