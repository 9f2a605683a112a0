"""What a pipeline hands over beside series: named arrays of any number of dimensions, each with its own axes.

Transforms, maps and profiles of images are such arrays. They keep their type: an image in float32 is not doubled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError
from layerscope.runs.arrays import check_file_name

__all__ = ["GRIDS", "Grid", "GridArrays", "GridAxis"]

GRIDS = ".grids"
"""End of the name of a file of grids, before ``.nxs``, by which it is told from that of a series."""


@dataclass(frozen=True, eq=False)
class GridAxis:
    """One axis of a grid.

    Attributes
    ----------
    name, unit : str
        ``x``, ``nm``; ``1`` for mere numbers.
    values : ndarray, shape (n,), or tuple of n str
        Centres of the cells, or what each is called.
    """

    name: str
    unit: str
    values: NDArray[Any] | tuple[str, ...]

    @classmethod
    def even(cls, name: str, unit: str, size: int, step: float, start: float = 0.0) -> GridAxis:
        """Return an axis of `size` centres, `step` apart from `start` on."""
        return cls(name, unit, start + step * np.arange(size))


@dataclass(frozen=True, eq=False)
class Grid:
    """One array.

    Attributes
    ----------
    values : ndarray
        Of real numbers or truth values, in a type that is kept; NaN where nothing is known.
    unit : str
    axes : tuple of GridAxis
        One a dimension.
    says : str
        What it holds, for people.
    sigma : ndarray, optional
        Standard error of every value, of the same shape.
    """

    values: NDArray[Any]
    unit: str
    axes: tuple[GridAxis, ...]
    says: str = ""
    sigma: NDArray[Any] | None = None


@dataclass(frozen=True, eq=False)
class GridArrays:
    """Arrays that belong together, those of one image for instance; one file.

    Attributes
    ----------
    name : str
        File-name safe and unique in the run; the file is ``arrays/<name>.grids.nxs``.
    technique, title, sample : str
        As of `SeriesArrays`.
    grids : mapping of str to Grid
        The first one is the default plot.
    metadata : mapping
        What must be known to read them: the file of a raw image, settings.
    base : str
        The part of the name that all of one recipe share.

    Raises
    ------
    DataError
        If axes do not fit, a type cannot be stored, or the name cannot be a file name.
    """

    name: str
    technique: str
    title: str
    sample: str
    grids: Mapping[str, Grid]
    metadata: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    base: str = ""

    def __post_init__(self) -> None:
        check_file_name(self.name)
        if not self.grids:
            raise DataError("there is no array", source=self.name)
        for key, grid in self.grids.items():
            where = f"{self.name}: {key}"
            if grid.values.dtype.kind not in "biuf":
                raise DataError(f"values of type {grid.values.dtype} cannot be stored", source=where)
            if tuple(len(axis.values) for axis in grid.axes) != grid.values.shape:
                sizes = " x ".join(str(len(axis.values)) for axis in grid.axes)
                raise DataError(f"shape {grid.values.shape} on axes of {sizes}", source=where)
            if grid.sigma is not None and grid.sigma.shape != grid.values.shape:
                raise DataError(f"errors of shape {grid.sigma.shape}, values {grid.values.shape}", source=where)
            if grid.values.dtype.kind == "f" and np.isinf(grid.values).any():
                raise DataError("an infinite value", source=where)

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return sum(math.prod(grid.values.shape) * grid.values.dtype.itemsize for grid in self.grids.values())
