"""An image as its file has it: frames, the size of a pixel as far as the file says, and what stood beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError
from layerscope.measured.measurement import Measurement, Picture, Recording

__all__ = ["LEAST_SIDE", "Micrograph", "MicrographRecording"]

LEAST_SIDE = 32
"""Pixels along the shorter side below which no lattice can be told from noise."""


@dataclass(frozen=True, eq=False)
class Micrograph(Measurement):
    """What a file holds of one image; `axis` counts its columns, and `intensity` is the mean of each.

    Parameters
    ----------
    frames : ndarray, shape (n, ny, nx)
        In the type of the file; one frame unless it is a stack.
    pixel_nm : (float, float), optional
        Size of a pixel along y and x; None where the file does not say, see `unsaid`.
    unsaid : str
        Why the size is not known, in words.
    title : str
        As the file has it.
    is_grey : bool
        False where colours were averaged.
    vectors : ndarray of float64, shape (n, 3), optional
        Instead of an image: gx, gy and the standard error of each, 1/nm.
    """

    frames: NDArray[Any] | None = None
    pixel_nm: tuple[float, float] | None = None
    unsaid: str = ""
    title: str = ""
    is_grey: bool = True
    vectors: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, frames: NDArray[Any], **fields: Any) -> Self:
        """Return the micrograph of frames, shape (n, ny, nx)."""
        columns = frames.mean(axis=(0, 1), dtype=np.float64)
        return cls(np.arange(columns.size, dtype=np.float64), columns, "arbitrary", frames=frames, **fields)

    @classmethod
    def of_vectors(cls, vectors: NDArray[np.float64]) -> Self:
        """Return what stands for a list of reciprocal vectors, shape (n, 3)."""
        return cls(np.arange(len(vectors), dtype=np.float64), np.hypot(*vectors[:, :2].T), vectors=vectors)

    @property
    def stack(self) -> NDArray[Any]:
        """The frames, shape (n, ny, nx)."""
        return np.empty((0, 0, 0), np.float32) if self.frames is None else self.frames

    @property
    def name(self) -> str:
        """What the messages call it."""
        return f"image {self.index}" + (f" ({self.source})" if self.source else "")

    @property
    def axis_name(self) -> str:
        """What the axis is."""
        return "column"

    @property
    def picture(self) -> Picture | None:
        """The first frame."""
        if self.frames is None:
            return None
        return Picture(self.frames[0], self.pixel_nm or (1.0, 1.0), "pixel" if self.pixel_nm is None else "nm")

    def placed(self, index: int, source: str, scan: int) -> Self:
        """Return it with its place in what was read; nothing of an image is reordered."""
        return replace(self, index=index, source=source, scan=scan)

    def check(self, source: str | Path | None = None) -> None:
        """Refuse what no analysis could use.

        Raises
        ------
        DataError
            If it is too small, all of one value, or hardly any value is a number.
        """
        if self.vectors is not None:
            return
        _, ny, nx = self.stack.shape
        if min(ny, nx) < LEAST_SIDE:
            words = f"{self.name} has {ny} x {nx} pixels, which shows no lattice: {LEAST_SIDE} a side are needed"
            raise DataError(words, source=source)
        first = self.stack[0]
        good = first[np.isfinite(first)]
        if good.size < first.size / 2:
            raise DataError(f"{self.name} is NaN or infinite at {first.size - good.size} pixels", source=source)
        if good.min() == good.max():
            raise DataError(f"{self.name} has the same value at every pixel, {good[0]:g}", source=source)


@dataclass(frozen=True, eq=False)
class MicrographRecording(Recording[Micrograph]):
    """The images of a file, a folder or an archive."""
