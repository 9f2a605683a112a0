"""Is every point that a figure draws also in its table? Checked before saving, so that no figure loses its numbers."""

from __future__ import annotations

from collections.abc import Iterator
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


def unlisted_artists(figure: Figure, table: FigureTable) -> tuple[str, ...]:
    """Name the lines, markers and bands of a figure that have points which the table does not hold.

    A point counts as listed when one row of the table holds its x and its y, exactly. Looked up are lines, scatter
    markers and filled bands in data coordinates; left out are artists whose label starts with :data:`GUIDE`, lines
    across the whole axes (``axhline``), error bars (their caps follow from the low and high columns), images and text.

    Parameters
    ----------
    figure : Figure
        The finished figure.
    table : FigureTable
        The numbers that go beside it.

    Returns
    -------
    tuple of str
        One entry per artist: panel number, label and the first missing point; empty when all is listed.
    """
    grids = [column.cells for column in table.columns if isinstance(column.cells, np.ndarray)]
    missing = []
    for number, axes in enumerate(figure.get_axes(), start=1):
        for label, points in _drawn(axes):
            finite = points[np.isfinite(points).all(axis=1)]
            lost = _first_unlisted(finite, grids)
            if lost is not None:
                missing.append(f"panel {number}, {label!r} at x = {lost[0]!r}, y = {lost[1]!r}")
    return tuple(missing)


def _drawn(axes: Axes) -> Iterator[tuple[str, Points]]:
    """Yield label and points, shape (n, 2), of every artist of the axes that shows data."""
    from matplotlib.collections import PathCollection, PolyCollection

    caps, labels = _error_bars(axes)
    for line in axes.lines:
        if _shows_data(line, axes) and line not in caps:
            label = labels.get(line, str(line.get_label()))
            yield label, np.asarray(line.get_xydata(), dtype=np.float64)
    for collection in axes.collections:
        if str(collection.get_label()).startswith(GUIDE):
            continue
        if isinstance(collection, PathCollection) and collection.get_offset_transform() == axes.transData:
            yield str(collection.get_label()), np.asarray(np.ma.filled(collection.get_offsets(), np.nan), np.float64)
        elif isinstance(collection, PolyCollection) and _shows_data(collection, axes):
            for path in collection.get_paths():
                yield str(collection.get_label()), np.asarray(path.vertices, dtype=np.float64)


def _error_bars(axes: Axes) -> tuple[set[Artist], dict[Artist, str]]:
    """Return the cap lines of all error bars, and the label that each error bar keeps from its data line."""
    from matplotlib.container import ErrorbarContainer

    bars = [container for container in axes.containers if isinstance(container, ErrorbarContainer)]
    caps: set[Artist] = {cap for bar in bars for cap in bar.lines[1]}
    return caps, {bar.lines[0]: str(bar.get_label()) for bar in bars}


def _shows_data(artist: Artist, axes: Axes) -> bool:
    return not str(artist.get_label()).startswith(GUIDE) and artist.get_transform() == axes.transData


def _first_unlisted(points: Points, grids: list[Points]) -> tuple[float, float] | None:
    """Return the first point that no row holds, or None."""
    whole = [any(np.array_equal(points[:, axis], column) for column in grids) for axis in (0, 1)]
    if all(whole):  # the usual case, without looking at single points: one column is all of x, another all of y
        return None
    found: set[tuple[float, float]] = set()
    xs = np.unique(points[:, 0])
    for x in grids:
        if not np.isin(xs, x).all():
            continue
        for y in grids:
            shared = min(len(x), len(y))
            found.update(zip(x[:shared].tolist(), y[:shared].tolist(), strict=True))
    return next(((float(x), float(y)) for x, y in points if (float(x), float(y)) not in found), None)
