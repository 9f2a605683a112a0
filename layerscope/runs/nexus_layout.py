"""Small helpers for writing NeXus: safe names, groups, fields, and the list of stored arrays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import as_text
from layerscope.records.model import ArrayRef
from layerscope.runs.arrays import SeriesArrays, array_sha256
from layerscope.runs.nexus_image import Field, Group
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

    def add(self, key: str, one: Field, unit: str) -> None:
        """Note an array under its key."""
        values = np.asarray(one.values)
        self.refs[key] = ArrayRef(
            file=self.file, path=one.name, shape=one.shape, unit=unit, sha256=array_sha256(values)
        )


def _text(value: str) -> str:
    """Return a text as HDF5 can hold it: without NUL, and without bytes of file names that are no text."""
    return as_text(value).replace("\0", "\N{REPLACEMENT CHARACTER}")


def set_attribute(node: Group | Field, name: str, value: str | bool | int | float | list[str]) -> None:
    """Set an attribute: text as UTF-8 of variable length, numbers as they are."""
    if isinstance(value, str):
        node.attributes[name] = _text(value)
    elif isinstance(value, list):
        node.attributes[name] = tuple(map(_text, value))
    else:
        plain = next(kind for kind in (bool, float, int) if isinstance(value, kind))
        node.attributes[name] = plain(value)  # of numpy's float64 too, which is a float


def add_group(parent: Group, name: str, nx_class: str) -> Group:
    """Make a group of a NeXus class."""
    group = Group(f"{parent.name}/{name}", {"NX_class": nx_class})
    parent.add(name, group)
    return group


def add_field(
    parent: Group, name: str, value: Value, unit: str | None = None, **attributes: str | bool | int | float
) -> Field:
    """Write one field: text as UTF-8, numbers as they are, with unit and further attributes.

    Arrays are stored contiguous and uncompressed: one level can be read without the rest, and the bytes do not depend
    on the version of a compression library.
    """
    path = f"{parent.name}/{name}"
    if isinstance(value, str):
        made = Field(path, (_text(value).encode(),), ())
    elif isinstance(value, bool | int | float | np.ndarray):
        kind = np.int64 if isinstance(value, int) and not isinstance(value, bool) else None
        values = np.asarray(value, kind, order="C")
        made = Field(path, values, values.shape)
    else:
        texts = tuple(_text(word).encode() for word in value)
        made = Field(path, texts, (len(texts),))
    parent.add(name, made)
    if unit is not None:
        set_attribute(made, "units", unit)
    for key, content in attributes.items():
        set_attribute(made, key, content)
    return made


def add_entry(file: Group, title: str, sample: str, default: str) -> Group:
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


def add_metadata(parent: Group, settings: Mapping[str, str | int | float | bool | None]) -> None:
    """Write settings under their own names; those that are None are left out."""
    metadata = add_group(parent, "metadata", "NXcollection")
    known = {key: value for key, value in sorted(settings.items()) if value is not None}
    for key, name in unique_names(known).items():
        add_field(metadata, name, known[key], key=key)


def add_link(parent: Group, name: str, one: Field) -> Field:
    """Give a field a second name (a hard link, marked with ``@target`` as NeXus asks)."""
    parent.add(name, one)
    one.attributes.setdefault("target", one.name)
    return one
