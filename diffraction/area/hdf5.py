"""Stacks of images in HDF5: files of Eiger detectors, and NeXus files of any detector."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.measured.files import RawFile, natural_key
from layerscope.measured.hdf import MAGIC, dataset, values

from ..readers._frame_times import frame_times
from .image import LARGEST_IMAGE, LEAST_SIDE, Image, called, image_of, library

__all__ = ["read", "sniff"]

_NO_IMAGES = re.compile(r"mask|flat|dark|gain|response|error|sigma|variance|thumbnail|distortion", re.IGNORECASE)
_SPECIFIC = "instrument/detector/detectorSpecific"
_CUTOFFS = tuple(
    f"{place}/{name}"
    for place in (_SPECIFIC, "instrument/detector")
    for name in ("countrate_correction_count_cutoff", "saturation_value")
)
_MASKS = (f"{_SPECIFIC}/pixel_mask", "instrument/detector/pixel_mask")
MOST_CHUNK = 8 * LARGEST_IMAGE
"""Bytes that have to be unpacked to read one frame."""


def sniff(raw: RawFile) -> bool:
    """Tell by the magic number of HDF5: what is in it is told when it is read."""
    return raw.data[:8] == MAGIC


def read(raw: RawFile) -> list[Image]:
    """Read the shapes of the images of a file, with what it says of times, dead and saturated pixels."""
    library("hdf5plugin")
    h5py = import_module("h5py")
    with called(raw, "the file cannot be read"):
        file = h5py.File(io.BytesIO(raw.data), "r")
        stacks = _found(raw, h5py, file)
        entry = file[stacks[0].name.strip("/").split("/")[0]]
        groups = [entry] if isinstance(entry, h5py.Group) else [file]
        frames = [(one, k) for one in stacks for k in range(one.shape[0] if one.ndim == 3 else 1)]
        times = frame_times(raw, groups, len(frames))
        shape = tuple(int(n) for n in stacks[0].shape[-2:])
        found = values(raw, groups[0], _CUTOFFS)
        cutoff = None if found is None or found[0].size != 1 else float(np.ravel(found[0])[0])
        node = next((n for p in _MASKS if (n := dataset(raw, groups[0], p)) is not None), None)
        dead = None if node is None or tuple(node.shape) != shape else partial(_dead, node)
    return [
        image_of(raw, shape, partial(_load, one, k), start_time=begin, saturated=cutoff or None, dead=dead)
        for (one, k), (begin, _) in zip(frames, times, strict=True)
    ]


def _load(node: Any, frame: int) -> np.ndarray:
    return np.asarray(node[frame] if node.ndim == 3 else node[()])


def _dead(node: Any) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.asarray(node[()]) != 0
    return found


def _images(raw: RawFile, file: Any, path: str) -> Any | None:
    """Return a dataset if it holds images, each of which can be read by itself."""
    node = file[path]
    if node.ndim not in (2, 3) or node.dtype.kind not in "iuf":
        return None
    if min(node.shape[-2:]) < LEAST_SIDE or node.shape[0] == 0:
        return None
    if node.external or node.is_virtual:
        raise raw.error(f"the images of {path!r} lie in other files", hint="name those files in the recipe")
    unpacked = float(np.prod([float(n) for n in node.chunks or node.shape[-2:]])) * node.dtype.itemsize
    if unpacked > MOST_CHUNK:
        raise raw.error(f"a frame of {path!r} lies in a block of {unpacked / 1e9:.1f} GB", hint="chunk it by frames")
    return node


def _found(raw: RawFile, h5py: Any, file: Any) -> Sequence[Any]:
    """Return the datasets that hold images: one, or several whose names differ in nothing but digits."""
    paths: list[str] = []
    elsewhere: list[str] = []

    def visit(path: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            paths.append(path)
        elif isinstance(node, h5py.Group):
            elsewhere.extend(f"{path}/{key}" for key in node if _leads_away(h5py, node, key))

    file.visititems(visit)
    paths = [path for path in sorted(paths, key=natural_key) if not _NO_IMAGES.search(path.rsplit("/", 1)[-1])]
    found = [node for path in paths if (node := _images(raw, file, path)) is not None]
    found = [node for node in found if node.ndim == 3] or found
    kinds = {(re.sub(r"\d+", "#", node.name), tuple(node.shape[-2:])) for node in found}
    if len(kinds) > 1:
        names = ", ".join(sorted(node.name for node in found)[:6])
        raise raw.error(f"it is not certain which images are meant: {names}", hint="keep those of one kind in a file")
    if not found and elsewhere:
        raise raw.error(f"its images lie in other files: {elsewhere[0]!r}", hint="name those files in the recipe")
    if not found:
        raise raw.error("the file holds no images")
    return found


def _leads_away(h5py: Any, group: Any, key: str) -> bool:
    return isinstance(group.get(key, getlink=True), h5py.ExternalLink)
