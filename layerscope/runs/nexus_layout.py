"""Small helpers for writing NeXus: safe names, groups, fields, and the list of stored arrays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import h5py
import numpy as np
from numpy.typing import NDArray

from layerscope.records.model import ArrayRef
from layerscope.runs.arrays import SeriesArrays, array_sha256

__all__ = ["ArrayIndex", "SeriesNames", "Value", "add_field", "add_group", "add_link", "safe_name", "unique_names"]

Value: TypeAlias = str | bool | int | float | NDArray[Any] | Iterable[str]

# NeXus reserves these endings for companions of another field, and these beginnings for other projects
# (https://manual.nexusformat.org/datarules.html, "Reserved prefixes" and "Reserved suffixes").
_RESERVED_ENDS = (
    "_end",
    "_errors",
    "_increment_set",
    "_indices",
    "_mask",
    "_offset",
    "_scaling_factor",
    "_set",
    "_weights",
)
# The other fields of the NXdata groups that the two axes stand in.
_TAKEN = {
    "background",
    "data",
    "fit_sum",
    "input_dependent",
    "input_independent",
    "intensity",
    "position",
    "residual",
    "residual_in_sigma",
    "title",
}
_RESERVED_STARTS = ("BLUESKY_", "DECTRIS_", "IDF_", "NDAttr", "NX", "PDBX_", "SAS_", "SILX_")


def safe_name(name: str) -> str:
    """Return a name that NeXus allows for a group or field: letters, digits and underscores, nothing reserved."""
    safe = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "unnamed"
    if safe.endswith(_RESERVED_ENDS):
        safe += "_value"
    return f"x_{safe}" if safe.startswith(_RESERVED_STARTS) else safe


def unique_names(names: Iterable[str]) -> dict[str, str]:
    """Map each name to its own safe name; two that become alike (``B-O`` and ``B/O``) are numbered in their order."""
    chosen: dict[str, str] = {}
    for name in names:
        safe, number = safe_name(name), 2
        while safe in chosen.values():
            safe, number = f"{safe_name(name)}_{number}", number + 1
        chosen[name] = safe
    return chosen


@dataclass(frozen=True)
class SeriesNames:
    """The names that a series gets in its file.

    Attributes
    ----------
    axis, level : str
        Fields of the two axes.
    components : mapping
        Component label to the end of its group name ``peak_...``.
    parameters : mapping
        Parameter name to field name.
    """

    axis: str
    level: str
    components: Mapping[str, str]
    parameters: Mapping[str, str]

    @classmethod
    def of(cls, series: SeriesArrays, axis_field: str | None = None) -> SeriesNames:
        """Choose the names for a series; ``axis_field`` is what its application definition calls the axis."""
        axis = axis_field or safe_name(series.axis_name)
        axis = f"{axis}_axis" if axis in _TAKEN else axis
        level = safe_name(series.level_name)
        return cls(
            axis=axis,
            level=f"{level}_level" if level in {axis, *_TAKEN} else level,
            components=unique_names(series.components),
            parameters=unique_names(series.parameters),
        )


@dataclass
class ArrayIndex:
    """Collects what was stored where, for the references in the result records.

    Attributes
    ----------
    file : str
        Path of the file relative to the run folder.
    refs : dict of str to ArrayRef
        One entry per stored array of the series.
    """

    file: str
    refs: dict[str, ArrayRef] = field(default_factory=dict)

    def add(self, key: str, dataset: h5py.Dataset, values: NDArray[Any], unit: str) -> None:
        """Note an array under its key."""
        self.refs[key] = ArrayRef(
            file=self.file, path=dataset.name, shape=np.shape(values), unit=unit, sha256=array_sha256(values)
        )


def add_group(parent: h5py.Group, name: str, nx_class: str) -> h5py.Group:
    """Make a group of a NeXus class."""
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    return group


def add_field(
    parent: h5py.Group, name: str, value: Value, unit: str | None = None, **attributes: str | bool | int | float
) -> h5py.Dataset:
    """Write one field: text as UTF-8, numbers as they are, with unit and further attributes.

    Arrays are stored contiguous and uncompressed: one level can be read without the rest, and the bytes do not depend
    on the version of a compression library.
    """
    if isinstance(value, str):
        dataset = parent.create_dataset(name, data=value, dtype=h5py.string_dtype())
    elif isinstance(value, (bool, int, float, np.ndarray)):
        dataset = parent.create_dataset(name, data=value)
    else:
        words = list(value)
        dataset = parent.create_dataset(name, shape=(len(words),), data=words or None, dtype=h5py.string_dtype())
    if unit is not None:
        dataset.attrs["units"] = unit
    for key, content in attributes.items():
        dataset.attrs[key] = np.bool_(content) if isinstance(content, bool) else content
    return dataset


def add_link(parent: h5py.Group, name: str, dataset: h5py.Dataset) -> h5py.Dataset:
    """Give a dataset a second name (a hard link, marked with ``@target`` as NeXus asks)."""
    parent[name] = dataset
    dataset.attrs["target"] = dataset.attrs.get("target", dataset.name)
    return dataset
