"""What the figures of a diffraction run show: series of frames with their arrays, values with errors, and events."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import StoreError
from layerscope.figures import PALETTE, FigureProvenance, Scale
from layerscope.figures.views import Event, Points, Spectrum, colours_apart, provenance
from layerscope.figures.words import primed
from layerscope.records import Quantity, ResultRecord
from layerscope.records.formatting import format_limit, format_value
from layerscope.runs.arrays import SeriesArrays

from .phase_table import TOTAL, FrameRow, PhaseSeries, collect_series

if TYPE_CHECKING:
    from layerscope.runs.load import Run

__all__ = ["Against", "SeriesView", "collect_views", "phase_colours", "provenance_of"]

FloatArray = NDArray[np.float64]
Against: TypeAlias = Literal["voltage", "time"]

_FIXED = {
    "O3": PALETTE[5],
    "O3'": PALETTE[0],
    "O3'/H1-3": PALETTE[2],
    "H1-3": PALETTE[1],
    "LiCoO2_H1-3": PALETTE[1],
    "O1": PALETTE[3],
}
"""Phases of the charged layered oxide have the same colour in every figure: O3 sky, O3' blue, H1-3 vermilion,
stacks of O3' and H1-3 green."""
_SPARE = (PALETTE[2], PALETTE[4], PALETTE[3], "#999933", "#44AA99", PALETTE[0], PALETTE[5])
_SECONDS = {"h": 3600.0, "min": 60.0}
_AGAIN = re.compile(r" \(\d+\)$")  # a phase that comes twice: "H1-3 (2)"
VOLTAGE = Scale("voltage", "V", "Voltage / V")
TWO_THETA = Scale("two_theta", "deg", "2θ / °")


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
        Of the frames.
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
        return _SECONDS.get(self.clock_unit, 1.0)

    @property
    def frames(self) -> FloatArray:
        """Numbers of the frames, shape (R,)."""
        return np.array([k if r.frame is None else r.frame for k, r in enumerate(self.series.rows)], dtype=np.float64)

    @property
    def time(self) -> Scale:
        """The axis of the clock."""
        unit = self.clock_unit
        return Scale("time", unit, f"Time / {unit}") if unit else Scale("frame", "1", "Frame")

    def axis(self, against: Against) -> tuple[FloatArray, Scale]:
        """Return x along the frames."""
        if against == "time" or self.voltage is None:
            return self.clock, self.time
        return self.voltage, VOLTAGE

    @property
    def cell(self) -> tuple[FloatArray, FloatArray]:
        """Clock and voltage from the first frame to the last as the cycler recorded them; else those of the frames."""
        record = self.arrays.cell_record
        if record is None or not self.clock_unit:
            return self.clock, self.axis("voltage")[0]
        clock = record[0] / self.seconds_per_unit
        shown = (clock >= self.clock[0]) & (clock <= self.clock[-1])
        return clock[shown], record[1][shown]

    def branches(self, against: Against) -> list[tuple[slice, str, bool]]:
        """Return what is drawn as one curve each: rows, words for the table, whether it is the way back."""
        end = len(self.series.rows)
        if against == "time" or self.turn >= end - 1:
            return [(slice(0, end), "", False)]
        return [(slice(0, self.turn + 1), ", charge", False), (slice(self.turn, end), ", discharge", True)]

    def points(self, name: str, component: str) -> Points:
        """Return a quantity of a component along the frames."""
        return Points.of(row.quantities.get((name, component)) for row in self.series.rows)

    def spectrum(self, row: int, limits: tuple[float, float], first: Sequence[str] = ()) -> Spectrum:
        """Return a frame between two angles, without components that are nothing there; `first` are drawn first."""
        curves = {k: c[self.level[row]] for k, c in self.arrays.components.items()}
        inside = (self.arrays.axis >= limits[0]) & (self.arrays.axis <= limits[1])
        drawn = sorted((k for k, c in curves.items() if c[inside].any()), key=lambda name: name not in first)
        labels = {primed(name): name for name in drawn}
        return Spectrum.of(self.arrays, int(self.level[row]), labels, scale=TWO_THETA, limits=limits)

    def events(self, against: Against) -> tuple[Event, ...]:
        """Return onsets and ends of phases in volt, or in the unit of the clock."""
        wanted = against if against == "voltage" or self.clock_unit else "frame"
        factor = self.seconds_per_unit if wanted == "time" else 1.0
        kinds = {f"phase.{kind}_{wanted}": kind for kind in ("onset", "end")}
        quantities = (quantity for record in self.series.summaries for quantity in record.quantities)
        return tuple(_event(q, kinds[q.name], factor) for q in quantities if q.name in kinds)

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


def _event(quantity: Quantity, kind: str, factor: float) -> Event:
    value, low, high = (None if v is None else v / factor for v in (quantity.value, quantity.low, quantity.high))
    sigma = None if quantity.sigma is None else quantity.sigma / factor
    text = format_limit(low=low, high=high) if value is None else format_value(value, sigma)
    return Event(_AGAIN.sub("", quantity.component or ""), kind, value, low, high, text)


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
        clock = elapsed / _SECONDS.get(unit, 1.0)
    else:
        unit = ""
        clock = np.array([k if r.frame is None else r.frame for k, r in enumerate(series.rows)], dtype=np.float64)
    return SeriesView(series, arrays, level, clock, unit, voltage if np.isfinite(voltage).any() else None)


def _levels(series: PhaseSeries, arrays: SeriesArrays) -> NDArray[np.intp]:
    """Find the row of the arrays of each record: by the number of its frame, or by order where there are no numbers."""
    stated = [] if arrays.frames is None else arrays.frames.tolist()
    frames = [row.frame for row in series.rows]
    if stated and all(frame in stated for frame in frames):
        return np.array([stated.index(frame) for frame in frames], dtype=np.intp)
    if len(frames) == arrays.levels.size:
        return np.arange(len(frames))
    raise StoreError("a frame of the records is not in the arrays", source=series.name, hint="run the recipe again")


def phase_colours(views: Sequence[SeriesView]) -> dict[str, str]:
    """Return a colour for each phase or stack of a run: the one that its set of lines gives it, where there is one."""
    given = {
        key.partition(":")[2]: str(value)
        for view in views
        for key, value in view.arrays.metadata.items()
        if key.startswith("color:")
    }
    return colours_apart([[phase for view in views for phase in view.series.parts]], _SPARE, {**_FIXED, **given})


def provenance_of(
    views: Sequence[SeriesView], caption: str, rows: Sequence[ResultRecord] | None = None
) -> FigureProvenance:
    """Return where a figure of some series comes from; `rows` names the records where it shows only some."""
    records = list(rows) if rows is not None else [row.record for view in views for row in view.series.rows]
    if rows is None:
        records += [record for view in views for record in view.series.summaries]
    note = "bands and error bars are one standard error; below its upper limit (95 %) a phase has a limit and no value"
    title = "; ".join(dict.fromkeys(view.series.sample for view in views))
    return provenance(title, records, caption, [note])
