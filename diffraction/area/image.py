"""One image of an area detector: its size first, its pixels only when they are integrated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import LayerscopeError, MissingDependencyError
from layerscope.measured.files import RawFile
from layerscope.measured.measurement import NOTHING
from layerscope.measured.rosetta import require_room, undisturbed

__all__ = ["Image", "called", "image_of", "library"]

Pixels = NDArray[Any]

LARGEST_IMAGE = 1 << 26
"""Pixels: four times those of the largest detector that there is."""

LEAST_SIDE = 8
"""Pixels; what is narrower is no image."""

BYTES_A_PIXEL = 300
"""That integrating takes at its peak: 116 by default, 172 with polarisation, 249 with pixels split by their corners."""


@dataclass(frozen=True, eq=False)
class Image:
    """One image, whose pixels are read by ``load()``.

    Attributes
    ----------
    raw : RawFile
    shape : (int, int)
        Rows and columns, from the header.
    load : callable
        Returns the pixels, shape (rows, columns).
    start_time : datetime or None
    exposure_s : float or None
    saturated : float or None
        Count from which the file says that a pixel is saturated.
    dead : callable or None
        Returns the pixels that the file says are not to be used, shape (rows, columns) of bool.
    index, source, scan
        Its place in what was read.
    metadata : mapping of str to str
    """

    raw: RawFile
    shape: tuple[int, int]
    load: Callable[[], Pixels]
    start_time: datetime | None = None
    exposure_s: float | None = None
    saturated: float | None = None
    dead: Callable[[], NDArray[np.bool_]] | None = None
    index: int = 0
    source: str = ""
    scan: int = 0
    metadata: Mapping[str, str] = field(default_factory=lambda: NOTHING)

    def placed(self, index: int, source: str, scan: int) -> Self:
        """Return it with its place in what was read."""
        return replace(self, index=index, source=source, scan=scan)

    def check(self, source: str | Path | None = None) -> None:
        """Accept it: what can be wrong is told when it is read and integrated."""

    def pixels(self) -> Pixels:
        """Return its pixels, after making sure that they are numbers and as many as the header says.

        Raises
        ------
        ReaderError
        """
        with called(self.raw, "the image cannot be read"):
            found = np.asarray(self.load())
        if found.shape != self.shape or found.dtype.kind not in "iuf":
            words = f"frame {self.scan} holds {found.dtype} of shape {found.shape}, its header says {self.shape}"
            raise self.raw.error(words)
        return found


def image_of(raw: RawFile, shape: tuple[int, ...], load: Callable[[], Pixels], **more: Any) -> Image:
    """Return an image, after making sure from its header that it is one and would fit into memory.

    Raises
    ------
    ReaderError
    """
    if len(shape) != 2 or min(shape) < LEAST_SIDE:
        raise raw.error(f"an image has rows and columns, this has the shape {shape}")
    if shape[0] * shape[1] > LARGEST_IMAGE:
        raise raw.error(f"the image declares {shape[0]} x {shape[1]} pixels; no detector is that large")
    require_room(raw, shape, float(BYTES_A_PIXEL * shape[0] * shape[1]))
    return Image(raw, (shape[0], shape[1]), load, **more)


def library(name: str) -> Any:
    """Return a module of the extra ``area``.

    Raises
    ------
    MissingDependencyError
    """
    try:
        with undisturbed():
            return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        words = f"{package}, which images of area detectors need, is not installed"
        raise MissingDependencyError(words, hint="pip install layerscope[area]") from error


@contextmanager
def called(raw: RawFile, what: str) -> Iterator[None]:
    """Turn whatever a library raises into an error about a file, and leave its warnings and log lines out.

    Raises
    ------
    ReaderError
    """
    try:
        with undisturbed():
            yield
    except LayerscopeError:
        raise
    except Exception as error:  # libraries raise whatever their parsing stumbles over
        words = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise raw.error(f"{what} ({words})", hint="is it damaged, or cut short?") from error
