"""Images among what rosettasciio finds in a file of the microscope: `Micrograph`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.measured.files import RawFile
from layerscope.measured.rosetta import LENGTHS, loaded, node, require_room, signals, unit_of

from .micrograph import Micrograph

__all__ = ["load_images"]

_ENERGIES = ("ev", "kev")
_ANGLES = ("mrad", "rad", "deg", "µrad", "μrad")
_EQUAL = 1e-3
"""Pixel sizes along y and x that differ by less are one: the rounding of the extent by a pixel makes as much."""


def load_images(raw: RawFile, reader: str) -> list[Micrograph]:
    """Return the images of a file; spectra, transforms and diffraction patterns beside them are left out.

    Parameters
    ----------
    raw : RawFile
    reader : str
        Module of rosettasciio.

    Raises
    ------
    ReaderError
        If the file is damaged, holds no image of places, or is too large for the memory that is free.
    MissingDependencyError
        If rosettasciio, or what it needs for this file, is not installed.
    """
    with signals(raw, reader) as (found, _):
        kinds = [_kind(signal) for signal in found]
        shapes = ["x".join(map(str, np.shape(signal["data"]))) for signal in found]
        images = [
            replace(_micrograph(raw, signal), scan=number)
            for number, (signal, kind) in enumerate(zip(found, kinds, strict=True))
            if not kind
        ]
    if not images:
        words = "; ".join(f"{shape}: {kind}" for shape, kind in zip(shapes, kinds, strict=True))
        raise raw.error(f"the file holds no image of places ({words or 'nothing'})")
    return images


def _kind(signal: Mapping[str, Any]) -> str:
    """Return what a signal is, where it is no image of places; nothing where it is one."""
    data, units = signal["data"], [unit_of(axis) for axis in signal["axes"]]
    if any(unit in _ENERGIES for unit in units):
        return "a spectrum, an axis is an energy"
    if any(_is_reciprocal(unit) for unit in units):
        return f"a diffraction pattern or a transform, its axes are in {units[-1]}"
    if data.dtype.kind == "c":
        return "complex values, a transform"
    if data.dtype.kind == "O" or (data.dtype.names is None and data.dtype.kind not in "biuf"):
        return f"values that are no numbers ({data.dtype})"
    if data.ndim < 2:
        return "a curve"
    return ""


def _is_reciprocal(unit: str) -> bool:
    bare = unit.replace(" ", "")
    return bare.startswith(("1/", "/")) or bare.endswith(("^-1", "-1", "⁻¹")) or bare in _ANGLES


def _micrograph(raw: RawFile, signal: Mapping[str, Any]) -> Micrograph:
    data = signal["data"]
    pixels = float(np.prod(data.shape, dtype=float))
    frame = float(np.prod(data.shape[-2:], dtype=float))
    require_room(raw, data.shape, pixels * data.dtype.itemsize + 24.0 * frame)  # the transform, and room to work
    values, is_grey = _grey(loaded(data))
    frames = values.reshape(-1, *values.shape[-2:])
    pixel, unsaid = _pixel([axis for axis in signal["axes"] if not axis.get("navigate")][-2:] or signal["axes"][-2:])
    title = str(node(signal, "General").get("title") or "")
    return Micrograph.of(frames, pixel_nm=pixel, unsaid=unsaid, title=title, is_grey=is_grey)


def _grey(values: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    """Return an image without colours: the mean of red, green and blue, whatever opacity says."""
    names = [name for name in values.dtype.names or () if name in "RGB"]
    if values.dtype.names is None:
        return values.astype(np.uint8) if values.dtype.kind == "b" else values, True
    colours = [values[name].astype(np.float32) for name in names or values.dtype.names]
    grey: NDArray[Any] = np.stack(colours).mean(axis=0)
    return grey, False


def _pixel(axes: list[Mapping[str, Any]]) -> tuple[tuple[float, float] | None, str]:
    """Return the size of a pixel along y and x (nm), each by its own unit; or why it is not known."""
    scales = [abs(float(axis.get("scale", math.nan))) for axis in axes]
    units = [unit_of(axis) for axis in axes]
    for scale, unit in zip(scales, units, strict=True):
        if not (math.isfinite(scale) and scale > 0):
            return None, f"the file gives {scale:g}"
        if not unit:
            return None, "the file does not say" if scale == 1.0 else f"the file gives {scale:.6g} without a unit"
        if unit not in LENGTHS:
            return None, f"the file gives {scale:.6g} in {unit!r}"
    y, x = (scale * LENGTHS[unit] for scale, unit in zip(scales, units, strict=True))
    if not (min(x, y) > 1e-5 and max(x, y) < 1e6):
        return None, f"the file gives {x:g} nm"
    if abs(y - x) <= _EQUAL * x:
        y = x = math.sqrt(x * y)
    return (y, x), ""
