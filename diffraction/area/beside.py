"""Images of a folder with the geometry that lies beside them: what a first recipe takes for granted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from layerscope.errors import ReaderError
from layerscope.measured.files import load

from ..dataset import PatternSeries
from .integration import IMAGES, Integration
from .options import IntegrateTable

__all__ = ["Beside", "beside", "read_beside"]

_NO_FRAME = re.compile(r"mask|dark|flat", re.IGNORECASE)


@dataclass(frozen=True)
class Beside:
    """The geometry beside images, and a mask if there is one.

    Attributes
    ----------
    poni : Path
    mask : Path or None
    """

    poni: Path
    mask: Path | None


def beside(path: Path) -> Beside | None:
    """Return the geometry beside an image; None if the file is none, or no geometry lies there.

    Raises
    ------
    ReaderError
        If there are several, none of which is called as the image is.
    """
    found = sorted(path.parent.glob("*.poni"))
    if not found or path.suffix.lower() == ".poni" or not IMAGES.sniffed(path):
        return None
    own = [one for one in found if one.stem == path.stem] or found
    if len(own) > 1:
        names = ", ".join(one.name for one in own[:4])
        raise ReaderError(f"it is not certain which geometry is meant: {names}", source=path)
    masks = [one for one in sorted(path.parent.glob("*")) if re.search("mask", one.name, re.IGNORECASE)]
    masks = [one for one in masks if one.is_file() and (one.suffix.lower() == ".npy" or IMAGES.sniffed(one))]
    return Beside(own[0], masks[0] if len(masks) == 1 else None)


def read_beside(path: Path, known: Beside) -> PatternSeries:
    """Return the patterns of images, by the geometry beside them.

    Raises
    ------
    ReaderError, DataError
        If it is a mask, a dark or a flat, or cannot be integrated.
    MissingDependencyError
        If pyFAI is not installed.
    """
    if _NO_FRAME.search(path.name):
        raise ReaderError("it is called a mask, a dark or a flat", source=path, hint="name it in [series.integrate]")
    return IMAGES.read(load(path), on_error="collect", prepare=_integration(known).pattern)


@lru_cache(maxsize=2)
def _integration(known: Beside) -> Integration:
    mask = None if known.mask is None else known.mask.name
    table = IntegrateTable.model_validate({"poni": known.poni.name, "mask": mask})
    return Integration.of(table, lambda name: known.poni.parent / name)
