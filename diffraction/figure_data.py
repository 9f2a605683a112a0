"""What the figures of a diffraction run show: series of frames with their arrays, values with errors, and events."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import StoreError
from layerscope.figures import PALETTE, FigureProvenance
from layerscope.records import Quantity, ResultRecord
from layerscope.records.formatting import format_limit, format_value
from layerscope.runs.arrays import SeriesArrays

from .phase_table import TOTAL, FrameRow, PhaseSeries, collect_series

if TYPE_CHECKING:
    from layerscope.runs.load import Run

__all__ = ["Event", "Points", "SeriesView", "collect_views", "phase_colours", "provenance", "spoken_time"]

FloatArray = NDArray[np.float64]

_FIXED = {
    "O3": PALETTE[5],
    "O3'": PALETTE[0],
    "O3'/H1-3": PALETTE[4],
    "H1-3": PALETTE[1],
    "LiCoO2_H1-3": PALETTE[1],
    "O1": PALETTE[3],
}
"""The phases of the charged layered oxide have the same colour in every figure: O3 sky, O3' blue, H1-3 vermilion."""
_SPARE = (PALETTE[2], "#44AA99", "#999933", PALETTE[0], PALETTE[4], PALETTE[3], PALETTE[5])
_EVENTS = {"onset": "onset", "end": "end"}
_AGAIN = re.compile(r" \(\d+\)$")  # a phase that comes twice: "H1-3 (2)"


@dataclass(frozen=True, eq=False)
class Points:
    """One quantity along the frames.

    Attributes
    ----------
    value, sigma : ndarray, shape (R,)
        NaN where it was not found.
    limit : ndarray, shape (R,)
        Upper limit where the phase was not detected, else NaN.
    """

    value: FloatArray
    sigma: FloatArray
    limit: FloatArray


@dataclass(frozen=True)
class Event:
    """Appearance or end of a phase on one scale.

    Attributes
    ----------
    phase : str
    kind : {"onset", "end"}
    value : float or None
    low, high : float or None
        Ends of the interval; None where the series sets none.
    text : str
        As people write it, in the unit of the scale.
    """

    phase: str
    kind: Literal["onset", "end"]
    value: float | None
    low: float | None
    high: float | None
    text: str


@dataclass(frozen=True, eq=False)
class SeriesView:
    """A series with its arrays, R frames that have a record.

    Attributes
    ----------
    series : PhaseSeries
    arrays : SeriesArrays
    level : ndarray of int, shape (R,)
        Row of the arrays that belongs to each frame.
    clock : ndarray, shape (R,)
        Time since the first frame in `clock_unit`; the frame's number where no time is known.
    clock_unit : str
        ``h``, ``min``, ``s`` or ``""`` for frame numbers.
    voltage : ndarray, shape (R,), or None
    """

    series: PhaseSeries
    arrays: SeriesArrays
    level: NDArray[np.intp]
    clock: FloatArray
    clock_unit: str
    voltage: FloatArray | None

    @property
    def seconds_per_unit(self) -> float:
        """Seconds in one unit of the clock; 1 for frame numbers."""
        return {"h": 3600.0, "min": 60.0}.get(self.clock_unit, 1.0)

    @property
    def frames(self) -> FloatArray:
        """Numbers of the frames, shape (R,)."""
        return np.array([k if r.frame is None else r.frame for k, r in enumerate(self.series.rows)], dtype=np.float64)

    def points(self, name: str, component: str) -> Points:
        """Return a quantity of a component along the frames; what lies below its limit is not a value."""
        value, sigma, limit = (np.full(len(self.series.rows), np.nan) for _ in range(3))
        for k, row in enumerate(self.series.rows):
            quantity = row.quantities.get((name, component))
            if quantity is None:
                continue
            if quantity.upper_limit is not None:
                limit[k] = quantity.upper_limit
            elif quantity.value is not None:
                value[k], sigma[k] = quantity.value, quantity.sigma or 0.0
        return Points(value, sigma, limit)

    def events(self, scale: Literal["voltage", "time"]) -> tuple[Event, ...]:
        """Return onsets and ends of phases in volt, or in the unit of the clock."""
        wanted = scale if scale == "voltage" or self.clock_unit else "frame"
        factor = 1.0 if wanted != "time" else self.seconds_per_unit
        found = []
        for record in self.series.summaries:
            for quantity in record.quantities:
                for word, kind in _EVENTS.items():
                    if quantity.name == f"phase.{word}_{wanted}":
                        found.append(_event(quantity, kind, factor))  # type: ignore[arg-type]
        return tuple(found)

    @property
    def totals(self) -> tuple[str, ...]:
        """Components of the total fraction, e.g. ``IG+H13``."""
        return self.series.components(TOTAL)

    def title_of(self, row: int) -> str:
        """Return what a frame is called: number, voltage, time."""
        words = [f"frame {self.frames[row]:.0f}"]
        if self.voltage is not None and np.isfinite(self.voltage[row]):
            words.append(f"{self.voltage[row]:.3f} V")
        if self.clock_unit:
            words.append(f"{self.clock[row]:.2f} {self.clock_unit}")
        return ", ".join(words)

    @property
    def turn(self) -> int:
        """Row of the highest voltage: before it the cell is charged."""
        if self.voltage is None or not np.isfinite(self.voltage).any():
            return len(self.series.rows) - 1
        best = np.nanmax(self.voltage)
        return int(np.flatnonzero(np.abs(self.voltage - best) < 1e-9)[-1])


def _event(quantity: Quantity, kind: Literal["onset", "end"], factor: float) -> Event:
    value, low, high = (None if v is None else v / factor for v in (quantity.value, quantity.low, quantity.high))
    phase = _AGAIN.sub("", quantity.component or "")
    sigma = None if quantity.sigma is None else quantity.sigma / factor
    text = format_limit(low=low, high=high) if value is None else format_value(value, sigma)
    return Event(phase, kind, value, low, high, text)


def collect_views(run: Run) -> tuple[SeriesView, ...]:
    """Return every series of a run that has frames and arrays.

    Raises
    ------
    StoreError
        If the arrays are damaged, or records and arrays do not belong together.
    """
    views = []
    for series in collect_series(run.records):
        for stem in series.stems:
            if stem not in run.arrays:
                continue
            arrays = run.arrays[stem].load()
            rows = series.rows if len(series.stems) == 1 else _rows_of(series, arrays)
            if rows:
                views.append(_view(replace(series, name=stem, stems=(stem,), rows=rows), arrays))
    return tuple(sorted(views, key=_place))


def _rows_of(series: PhaseSeries, arrays: SeriesArrays) -> tuple[FrameRow, ...]:
    """Return the frames that lie in these arrays, where a series has several (patterns of different ranges)."""
    stated = () if arrays.frames is None else arrays.frames
    return tuple(row for row in series.rows if row.frame in stated)


def _place(view: SeriesView) -> int:
    """Return where the recipe names the sample: figures keep the order of the recipe."""
    declared = view.series.rows[0].record.recipe.get("series")
    samples = [one.get("sample") for one in declared if isinstance(one, dict)] if isinstance(declared, list) else []
    return samples.index(view.series.sample) if view.series.sample in samples else len(samples)


def _view(series: PhaseSeries, arrays: SeriesArrays) -> SeriesView:
    level = _levels(series, arrays)
    elapsed = np.array([np.nan if r.elapsed_s is None else r.elapsed_s for r in series.rows])
    voltage = np.array([np.nan if r.voltage_V is None else r.voltage_V for r in series.rows])
    if np.isfinite(elapsed).all() and elapsed.size > 1 and (np.diff(elapsed) > 0).all():
        span = float(np.ptp(elapsed))
        unit = "h" if span > 7200.0 else "min" if span > 300.0 else "s"
        clock = elapsed / {"h": 3600.0, "min": 60.0, "s": 1.0}[unit]
    else:
        unit = ""
        clock = np.array([k if r.frame is None else r.frame for k, r in enumerate(series.rows)], dtype=np.float64)
    return SeriesView(series, arrays, level, clock, unit, voltage if np.isfinite(voltage).any() else None)


def _levels(series: PhaseSeries, arrays: SeriesArrays) -> NDArray[np.intp]:
    """Find the row of the arrays of each record: by frame number, by time, or by order where all frames are there."""
    count = arrays.levels.size
    frames = [row.frame for row in series.rows]
    stated = [] if arrays.frames is None else arrays.frames.tolist()
    if stated and all(frame in stated for frame in frames):
        return np.array([stated.index(frame) for frame in frames], dtype=np.intp)
    if arrays.level_name == "frame" and all(frame is not None for frame in frames):
        wanted = np.array(frames, dtype=np.float64)
    elif arrays.level_unit == "s" and all(row.elapsed_s is not None for row in series.rows):
        wanted = np.array([row.elapsed_s for row in series.rows], dtype=np.float64)
    elif len(frames) == count:
        return np.arange(count)
    else:
        raise StoreError(f"{len(frames)} frames and arrays of {count} do not belong together", source=series.name)
    nearest: NDArray[np.intp] = np.argmin(np.abs(wanted[:, None] - arrays.levels[None, :]), axis=1)
    scale = float(np.ptp(arrays.levels)) / max(count - 1, 1) or 1.0
    if (np.abs(arrays.levels[nearest] - wanted) > 0.01 * scale).any():
        if len(frames) == count:
            return np.arange(count)
        raise StoreError("a frame of the records is not in the arrays", source=series.name, hint="run the recipe again")
    return nearest


def phase_colours(views: Sequence[SeriesView]) -> dict[str, str]:
    """Return a colour for each phase of a run."""
    names = dict.fromkeys(phase for view in views for phase in view.series.phases)
    colours = {name: _FIXED[name] for name in names if name in _FIXED}
    spare = iter([c for c in _SPARE if c not in colours.values()] * 4)
    return {name: colours.get(name) or next(spare) for name in names}


def provenance(
    views: Sequence[SeriesView], caption: str, rows: Sequence[ResultRecord] | None = None
) -> FigureProvenance:
    """Return where a figure of some series comes from; `rows` names the records where it shows only some."""
    records = list(rows) if rows is not None else [row.record for view in views for row in view.series.rows]
    if rows is None:
        records += [record for view in views for record in view.series.summaries]
    notes = (
        "bands and error bars are one standard error; below its upper limit (95 %) a phase has a limit and no value",
    )
    return FigureProvenance(
        title="; ".join(dict.fromkeys(view.series.sample for view in views)),
        record_ids=tuple(dict.fromkeys(record.record_id for record in records)),
        inputs={item.path: item.sha256 for record in records for item in record.inputs},
        software={f"pipeline {r.method.split('.')[0]}": r.method_version for r in records[:1]},
        caption=caption,
        notes=notes,
    )


def spoken_time(view: SeriesView) -> str:
    """Return the label of the time axis."""
    return f"Time / {view.clock_unit}" if view.clock_unit else "Frame"
