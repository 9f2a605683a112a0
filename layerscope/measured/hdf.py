"""Datasets of HDF5 files: numbers with their units, none from another file, none larger than a measurement."""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any

import numpy as np

from layerscope.measured.files import RawFile
from layerscope.measured.measurement import FloatArray

__all__ = ["MAGIC", "dataset", "factor", "only_own", "text", "values"]

MAGIC = b"\x89HDF\r\n\x1a\n"
LARGEST_DATASET = 50_000_000
"""Numbers in one dataset; compressed zeros could be far more."""


def only_own(raw: RawFile) -> None:
    """Refuse a file any part of which lies in another one; for libraries that follow such links unasked.

    Raises
    ------
    ReaderError
        If there is a link to another file, or a dataset whose numbers are stored in one.
    """
    h5py = import_module("h5py")
    found: list[str] = []

    def link(path: str, what: Any) -> None:
        if not isinstance(what, h5py.HardLink | h5py.SoftLink):
            found.append(f"{path!r} is a link to another file")

    def node(path: str, what: Any) -> None:
        if isinstance(what, h5py.Dataset) and (what.external or what.is_virtual):
            found.append(f"the numbers of {path!r} lie in another file")

    try:
        with h5py.File(io.BytesIO(raw.data), "r") as file:
            file.visititems_links(link)
            file.visititems(node)
    except (OSError, RuntimeError, KeyError, ValueError):  # damaged: the library that reads it says how
        return
    if found:
        raise raw.error(found[0])


def dataset(raw: RawFile, group: Any, path: str) -> Any | None:
    """Return a dataset of this file; links to other files are refused, so that no path escapes."""
    h5py = import_module("h5py")
    node = group
    for part in path.split("/"):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            return None
        if isinstance(link, h5py.ExternalLink):
            raise raw.error(f"{path!r} is a link to another file")
        node = node[part]
        if node.file.filename != group.file.filename:  # by way of another link
            raise raw.error(f"{path!r} leads to another file")
    if not isinstance(node, h5py.Dataset):
        return None
    if node.external or node.is_virtual:
        raise raw.error(f"the numbers of {path!r} lie in another file")
    if node.size is None or node.size > LARGEST_DATASET:
        raise raw.error(f"the dataset {path!r} declares {node.size} numbers")
    return node


def text(raw: RawFile, group: Any, path: str) -> str:
    """Return the one text of a dataset, or nothing."""
    node = dataset(raw, group, path)
    if node is None or node.size != 1:
        return ""
    value = np.ravel(node[()])[0] if node.shape else node[()]
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def values(raw: RawFile, group: Any, paths: tuple[str, ...]) -> tuple[FloatArray, str] | None:
    """Return the numbers of the first dataset that is there, and their unit in small letters; None if none is."""
    for path in paths:
        node = dataset(raw, group, path)
        if node is None:
            continue
        if node.dtype.kind not in "iuf":
            raise raw.error(f"the dataset {path!r} holds no numbers")
        unit = node.attrs.get("units", "")
        return np.asarray(node[()], dtype=np.float64), str(unit.decode() if isinstance(unit, bytes) else unit).lower()
    return None


def factor(raw: RawFile, what: str, unit: str, known: dict[str, float]) -> float:
    """Return what a unit is worth; a ReaderError if it is not known."""
    if unit not in known:
        raise raw.error(f"the unit {unit!r} of the {what} is not known")
    return known[unit]
