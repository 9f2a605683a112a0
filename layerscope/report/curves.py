"""Measured and fitted curves of a run for a page: some levels of every series, in whole numbers of a small step.

Of a series of more levels than that all are shown as shades.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import LayerscopeError
from layerscope.runs.load import Run
from layerscope.runs.nexus import LazySeries

__all__ = ["fit_curves"]

_MOST_LEVELS = 8
_MOST_SERIES = 100  # a page of more is for nobody to read, and a batch of thousands would wait for it
_STEPS = 20_000
"""Steps that the highest intensity of a series is divided into: far finer than a page can show."""
_MOST_ROWS, _MOST_COLUMNS = 200, 300
"""Levels and points that are shown as shades."""
_MOST_NUMBERS = 600_000
"""Numbers in all: some 3 MB of the page."""


def fit_curves(run: Run) -> tuple[list[dict[str, Any]], int]:
    """Return the curves of the series of a run, ready for JSON, and how many series are left out for their size.

    Parameters
    ----------
    run : Run

    Returns
    -------
    list of dict, int
        Of each series: ``title``, ``axis`` (name and unit), ``x``, ``level`` (name and unit), ``step`` (intensity of
        one unit), ``unit``, ``parts`` (names of components), and ``levels``: value, counts, fit, background, residual
        in sigma times 10, and a curve a component. What was not measured is None. Where there are more levels,
        ``map``: ``levels``, ``span`` of the axis, ``columns``, and ``shades`` row by row, see `_shades`; else None.
    """
    found: list[dict[str, Any]] = []
    numbers, names = 0, tuple(run.arrays)
    for name in names:
        try:
            series = run.arrays[name]
            numbers += min(series.shape[0], _MOST_LEVELS) * series.shape[1] * (4 + len(series.components))
            numbers += (series.shape[0] > _MOST_LEVELS) * min(series.shape[0], _MOST_ROWS) * _MOST_COLUMNS // 4
            if numbers > _MOST_NUMBERS or len(found) >= _MOST_SERIES:
                break
            with series.held():
                found.append(_curves(series))
        except (LayerscopeError, ValueError):  # validate tells of a damaged file; the page goes without it
            continue
    return found, len(names) - len(found)


def _curves(series: LazySeries) -> dict[str, Any]:
    rows = np.unique(np.linspace(0, series.shape[0] - 1, min(series.shape[0], _MOST_LEVELS)).round().astype(int))
    stacks = [getattr(series, part)[rows] for part in ("counts", "fit", "background")]
    components = {label: _where_asked(series.components[label][rows]) for label in series.components}
    step = float(np.nanmax(np.abs(np.concatenate(stacks)), initial=0.0)) / _STEPS or 1.0
    title = series.title or series.name
    residual, levels = series.residual[rows], series.levels[rows]
    return {
        "title": title if series.sample in title else f"{series.sample}: {title}",
        "name": series.name,
        "axis": [series.axis_name.replace("_", " "), series.axis_unit],
        "x": [float(f"{x:.7g}") for x in series.axis],
        "level": [series.level_name.replace("_", " "), series.level_unit],
        "step": float(f"{step:.6g}"),
        "unit": series.intensity_unit,
        "parts": list(components),
        "map": _shades(series) if series.shape[0] > _MOST_LEVELS else None,
        "levels": [
            [
                float(f"{levels[n]:.6g}"),
                *(_whole(stack[n] / step) for stack in stacks),
                _whole(10.0 * residual[n]),
                *(_whole(curve[n] / step) for curve in components.values()),
            ]
            for n in range(len(rows))
        ],
    }


def _shades(series: LazySeries) -> dict[str, Any]:
    """Return the levels as bytes, 1 to 255 by the square root of the intensity, at even places of the axis; 0: none.

    Points that lie closer than a page can show are averaged; of more levels than it can show every nth is there.
    """
    rows = np.arange(0, series.shape[0], -(-series.shape[0] // _MOST_ROWS))
    every = -(-series.shape[1] // _MOST_COLUMNS)
    whole = series.shape[1] // every * every
    order = np.argsort(series.axis)[:whole]
    axis = np.asarray(series.axis)[order].reshape(-1, every).mean(axis=1)
    counts = series.counts[rows][:, order].reshape(len(rows), -1, every).mean(axis=2)
    places = np.linspace(axis[0], axis[-1], len(axis))
    heights = np.sqrt(np.maximum([np.interp(places, axis, row) for row in counts], 0.0))
    low, high = np.nanmin(heights), np.nanmax(heights)
    shades = np.where(np.isfinite(heights), 1.0 + 254.0 * (heights - low) / ((high - low) or 1.0), 0.0)
    return {
        "levels": [float(f"{level:.6g}") for level in series.levels[rows]],
        "span": [float(f"{axis[0]:.7g}"), float(f"{axis[-1]:.7g}")],
        "columns": len(places),
        "shades": b64encode(shades.round().astype(np.uint8).tobytes()).decode(),
    }


def _where_asked(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return curves that end where they are exactly zero up to an end: there they were not asked for."""
    own = np.logical_or.accumulate(curves != 0.0, axis=1)
    own &= np.logical_or.accumulate(curves[:, ::-1] != 0.0, axis=1)[:, ::-1]
    return np.where(own, curves, np.nan)


def _whole(values: NDArray[np.float64]) -> list[int | None]:
    rounded = np.where(np.isfinite(values), np.rint(values), 0.0).astype(np.int64).tolist()
    gaps = np.flatnonzero(~np.isfinite(values))
    for place in gaps.tolist():
        rounded[place] = None
    return list(rounded)
