"""Small helpers for writing NeXus: safe names, groups, fields, and the list of stored arrays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5p, h5s, h5t
from numpy.typing import NDArray

from layerscope.errors import as_text
from layerscope.records.model import ArrayRef
from layerscope.runs.arrays import SeriesArrays, array_sha256
from layerscope.version import __version__

__all__ = [
    "ArrayIndex",
    "SeriesNames",
    "Value",
    "add_field",
    "add_group",
    "add_link",
    "safe_name",
    "set_attribute",
    "unique_names",
]

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


_SCALAR = h5s.create(h5s.SCALAR)
_FLOAT, _INTEGER = h5t.IEEE_F64LE, h5t.STD_I64LE
_TEXT = h5t.C_S1.copy()
_TEXT.set_size(h5t.VARIABLE)
_TEXT.set_cset(h5t.CSET_UTF8)
_WORDS = h5py.string_dtype()
_TEXT_IN_MEMORY = h5t.py_create(_WORDS)  # made once: to make it takes longer than to write a text
_NO_CLOCK = h5p.create(h5p.DATASET_CREATE)
_NO_CLOCK.set_obj_track_times(False)
_UTF8_NAME = h5p.create(h5p.LINK_CREATE)
_UTF8_NAME.set_char_encoding(h5t.CSET_UTF8)


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
        """Note an array under its key; what it was stored as counts."""
        stored = np.asarray(values, dataset.dtype)
        self.refs[key] = ArrayRef(
            file=self.file, path=dataset.name, shape=stored.shape, unit=unit, sha256=array_sha256(stored)
        )


@lru_cache(maxsize=64)
def _space(shape: tuple[int, ...]) -> h5s.SpaceID:
    return h5s.create_simple(shape) if shape else _SCALAR


def _text(value: str) -> str:
    """Return a text as HDF5 can hold it: without NUL, and without bytes of file names that are no text."""
    return as_text(value).replace("\0", "\N{REPLACEMENT CHARACTER}")


def set_attribute(node: h5py.Group | h5py.Dataset, name: str, value: str | bool | int | float | list[str]) -> None:
    """Set an attribute that is not there yet: text as UTF-8 of variable length, numbers as they are."""
    at, field = node.id, name.encode()
    if isinstance(value, str):
        h5a.create(at, field, _TEXT, _SCALAR).write(np.array(_text(value), _WORDS), mtype=_TEXT_IN_MEMORY)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        kind = _FLOAT if isinstance(value, float) else _INTEGER
        h5a.create(at, field, kind, _SCALAR).write(np.array(value), mtype=kind)
    elif isinstance(value, list):
        words = np.array([_text(word) for word in value], _WORDS)
        h5a.create(at, field, _TEXT, _space(words.shape)).write(words, mtype=_TEXT_IN_MEMORY)
    else:
        node.attrs[name] = np.bool_(value)


def add_group(parent: h5py.Group, name: str, nx_class: str) -> h5py.Group:
    """Make a group of a NeXus class."""
    group = h5py.Group(h5g.create(parent.id, name.encode(), lcpl=_UTF8_NAME))
    set_attribute(group, "NX_class", nx_class)
    return group


def add_field(
    parent: h5py.Group, name: str, value: Value, unit: str | None = None, **attributes: str | bool | int | float
) -> h5py.Dataset:
    """Write one field: text as UTF-8, numbers as they are, with unit and further attributes.

    Arrays are stored contiguous and uncompressed: one level can be read without the rest, and the bytes do not depend
    on the version of a compression library. A file has dozens of small fields, and HDF5's own functions make one in a
    third of the time that h5py's shorter way takes.
    """
    kind, in_memory = _TEXT, _TEXT_IN_MEMORY
    if isinstance(value, str):
        values: NDArray[Any] = np.array(_text(value), _WORDS)
    elif isinstance(value, np.ndarray) and value.dtype == np.float64 and value.ndim:
        values, kind, in_memory = np.ascontiguousarray(value), _FLOAT, _FLOAT
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        kind = in_memory = _FLOAT if isinstance(value, float) else _INTEGER
        values = np.array(value)
    elif isinstance(value, (bool, np.ndarray)):
        values, kind, in_memory = np.asarray(value), None, None
    else:
        values = np.array([_text(word) for word in value], _WORDS)
    if kind is None:
        dataset = parent.create_dataset(name, data=value)
    else:
        made = h5d.create(parent.id, name.encode(), kind, _space(values.shape), _NO_CLOCK, _UTF8_NAME)
        if values.size:
            made.write(h5s.ALL, h5s.ALL, values, mtype=in_memory)
        dataset = h5py.Dataset(made)
    if unit is not None:
        set_attribute(dataset, "units", unit)
    for key, content in attributes.items():
        set_attribute(dataset, key, content)
    return dataset


def add_entry(file: h5py.File, title: str, sample: str, default: str) -> h5py.Group:
    """Begin a file: its root, and the entry with title and sample; `default` is the group of the default plot."""
    set_attribute(file, "NX_class", "NXroot")
    set_attribute(file, "default", "entry")
    set_attribute(file, "creator", "layerscope")
    set_attribute(file, "creator_version", __version__)
    entry = add_group(file, "entry", "NXentry")
    set_attribute(entry, "default", default)
    add_field(entry, "title", title)
    add_field(entry, "program_name", "layerscope", version=__version__)
    add_field(add_group(entry, "sample", "NXsample"), "name", sample)
    return entry


def add_metadata(parent: h5py.Group, settings: Mapping[str, str | int | float | bool | None]) -> None:
    """Write settings under their own names; those that are None are left out."""
    metadata = add_group(parent, "metadata", "NXcollection")
    known = {key: value for key, value in sorted(settings.items()) if value is not None}
    for key, name in unique_names(known).items():
        add_field(metadata, name, known[key], key=key)


def add_link(parent: h5py.Group, name: str, dataset: h5py.Dataset) -> h5py.Dataset:
    """Give a dataset a second name (a hard link, marked with ``@target`` as NeXus asks)."""
    parent[name] = dataset
    if not h5a.exists(dataset.id, b"target"):
        set_attribute(dataset, "target", dataset.name)
    return dataset
