"""Is every point that a figure draws also in its table? Checked before saving, so that no figure loses its numbers."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .table import FigureTable

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["GUIDE", "unlisted_artists"]

GUIDE = "_guide"
"""Start of the label of an artist that shows no data (a leader line, a shaded reference range): not looked up."""

Points: TypeAlias = NDArray[np.float64]


def unlisted_artists(figure: Figure, table: FigureTable, arrays: Collection[str] = ()) -> tuple[str, ...]:
    """Name the lines, markers, bands and images of a figure that have points which the table does not hold.

    A point counts as listed when one row of the table holds its x and its y, exactly. Looked up are lines, scatter
    markers and filled bands in data coordinates; left out are artists whose label starts with :data:`GUIDE`, lines
    across the whole axes (``axhline``), error bars (they follow from the low and high columns) and text. Of an image
    every value must stand in the table, or its label must be that of one of `arrays`.

    Parameters
    ----------
    figure : Figure
        The finished figure.
    table : FigureTable
        The numbers that go beside it.
    arrays : collection of str, optional
        Labels of images that are arrays of the run.

    Returns
    -------
    tuple of str
        One entry per artist: panel number, label and the first missing point; empty when all is listed.
    """
    rows = _Rows([column.cells for column in table.columns if isinstance(column.cells, np.ndarray)])
    missing = []
    for number, axes in enumerate(figure.get_axes(), start=1):
        for label, points in _drawn(axes):
            finite = points[np.isfinite(points).all(axis=1)]
            listed = rows.hold(finite)
            if not listed.all():
                x, y = (float(value) for value in finite[np.argmin(listed)])
                missing.append(f"panel {number}, {label!r} at x = {x!r}, y = {y!r}")
        missing += [
            f"panel {number}, image {label!r} of {values.size} values that name no array of the run"
            for label, values in _images(axes)
            if label not in arrays and not rows.holds_all(values)
        ]
    return tuple(missing)


def _images(axes: Axes) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield label and finite values of every image that shows data; the scale of its colours does not."""
    from matplotlib.collections import QuadMesh

    if axes.get_label() == "<colorbar>":
        return
    meshes = [collection for collection in axes.collections if isinstance(collection, QuadMesh)]
    for image in (*axes.images, *meshes):
        label, values = str(image.get_label()), image.get_array()
        if values is not None and not label.startswith(GUIDE):
            numbers = np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan).ravel()
            yield label, numbers[np.isfinite(numbers)]


def _drawn(axes: Axes) -> Iterator[tuple[str, Points]]:
    """Yield label and points, shape (n, 2), of every artist of the axes that shows data."""
    from matplotlib.collections import LineCollection, PathCollection, PolyCollection

    bars, labels = _error_bars(axes)
    for line in axes.lines:
        if _shows_data(line, axes) and line not in bars:
            label = labels.get(line, str(line.get_label()))
            yield label, np.asarray(line.get_xydata(), dtype=np.float64)
    for collection in axes.collections:
        if str(collection.get_label()).startswith(GUIDE) or collection in bars:
            continue
        if isinstance(collection, PathCollection) and collection.get_offset_transform() == axes.transData:
            yield str(collection.get_label()), np.asarray(np.ma.filled(collection.get_offsets(), np.nan), np.float64)
        elif isinstance(collection, PolyCollection | LineCollection) and _shows_data(collection, axes):
            for path in collection.get_paths():
                yield str(collection.get_label()), np.asarray(path.vertices, dtype=np.float64)


def _error_bars(axes: Axes) -> tuple[set[Artist], dict[Artist, str]]:
    """Return caps and bars of all error bars, and the label that each error bar keeps from its data line."""
    from matplotlib.container import ErrorbarContainer

    bars = [container for container in axes.containers if isinstance(container, ErrorbarContainer)]
    parts: set[Artist] = {part for bar in bars for part in (*bar.lines[1], *bar.lines[2])}
    return parts, {bar.lines[0]: str(bar.get_label()) for bar in bars}


def _shows_data(artist: Artist, axes: Axes) -> bool:
    return not str(artist.get_label()).startswith(GUIDE) and artist.get_transform() == axes.transData


class _Rows:
    """The rows of a table, sorted by value: whether one of them holds two numbers is a look-up, whatever its columns.

    Every number of the table has a place in `values`; a cell is the pair (place, row), written as the one integer
    place * rows + row, so that all rows of a number stand beside each other in `cells`.
    """

    def __init__(self, columns: list[Points]) -> None:
        self.count = max((len(column) for column in columns), default=1)
        numbers = np.concatenate([np.empty(0), *columns])
        rows = np.concatenate([np.empty(0, dtype=np.int64), *(np.arange(len(column)) for column in columns)])
        self.values, places = np.unique(numbers, return_inverse=True)
        self.cells = np.unique(places * self.count + rows)

    def holds_all(self, numbers: Points) -> bool:
        """Tell whether every number stands anywhere in the table, shape (n,)."""
        return bool(np.isin(numbers, self.values).all())

    def hold(self, points: Points) -> NDArray[np.bool_]:
        """Return whether a row holds both numbers of each point, shape (n,), of points of shape (n, 2)."""
        if not self.values.size:
            return np.zeros(len(points), dtype=np.bool_)
        places = np.minimum(np.searchsorted(self.values, points), self.values.size - 1)
        known = (self.values[places] == points).all(axis=1)
        starts, ends = (np.searchsorted(self.cells, (places + k) * self.count) for k in (0, 1))
        fewer = np.argmin(ends - starts, axis=1)  # of the two numbers, the one that stands in fewer rows
        each = np.arange(len(points))
        start, end, other = starts[each, fewer], ends[each, fewer], places[each, 1 - fewer]
        found = np.zeros(len(points), dtype=np.bool_)
        open_ = np.flatnonzero(known)
        while open_.size:
            wanted = other[open_] * self.count + self.cells[start[open_]] % self.count
            at = np.minimum(np.searchsorted(self.cells, wanted), self.cells.size - 1)
            hit = self.cells[at] == wanted
            found[open_[hit]] = True
            start[open_] += 1
            open_ = open_[~hit & (start[open_] < end[open_])]
        return found
