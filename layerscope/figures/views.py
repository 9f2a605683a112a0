"""What figures draw from: quantities along a series, events, measured curves with their fits, and where it all is from.

A technique's own views are made of these; its records and arrays are the only source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from layerscope.records import Quantity, ResultRecord
from layerscope.runs.arrays import SeriesArrays

from .page import Scale
from .save import FigureProvenance

__all__ = ["Event", "Points", "Spectrum", "colours_apart", "provenance"]

FloatArray: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Points:
    """One quantity along the levels or frames of a series.

    Attributes
    ----------
    value, sigma : ndarray, shape (L,)
        Value and standard error; NaN where it was not found.
    limit : ndarray, shape (L,)
        Upper limit where it was not detected, else NaN.
    confidence : float
        Of the limits; NaN when there is none.
    """

    value: FloatArray
    sigma: FloatArray
    limit: FloatArray
    confidence: float = np.nan

    @classmethod
    def of(cls, quantities: Iterable[Quantity | None]) -> Points:
        """Return the quantity of each level; what lies below its limit is not a value."""
        rows, confidence = [], np.nan
        for quantity in quantities:
            if quantity is None:
                rows.append((np.nan, np.nan, np.nan))
            elif quantity.upper_limit is not None:
                rows.append((np.nan, np.nan, quantity.upper_limit))
                confidence = quantity.limit_confidence or np.nan
            else:
                value, sigma = quantity.value, quantity.sigma or 0.0
                rows.append((np.nan, np.nan, np.nan) if value is None else (value, sigma, np.nan))
        columns = np.array(rows, dtype=np.float64).reshape(-1, 3).T
        return cls(columns[0], columns[1], columns[2], float(confidence))

    def __getitem__(self, rows: slice | NDArray[np.bool_]) -> Points:
        """Return some of the levels."""
        return Points(self.value[rows], self.sigma[rows], self.limit[rows], self.confidence)

    @property
    def low(self) -> FloatArray:
        """One standard error below the value."""
        return self.value - self.sigma

    @property
    def high(self) -> FloatArray:
        """One standard error above the value."""
        return self.value + self.sigma

    @property
    def known(self) -> NDArray[np.bool_]:
        """Levels with a value."""
        return np.isfinite(self.value)

    @property
    def limited(self) -> NDArray[np.bool_]:
        """Levels with a limit."""
        return np.isfinite(self.limit)


@dataclass(frozen=True)
class Event:
    """What happens to a phase or species at one place of a series: it appears, saturates, falls or ends.

    Attributes
    ----------
    component : str
        Phase or species.
    kind : str
        ``onset``, ``saturation``, ``end``, ...
    value : float or None
    low, high : float or None
        Ends of the interval; None where the series sets none.
    text : str
        As people write it.
    """

    component: str
    kind: str
    value: float | None
    low: float | None
    high: float | None
    text: str

    @property
    def where(self) -> float:
        """Where it is drawn: its value, else the closed end of its interval."""
        return float(next(v for v in (self.value, self.low, self.high) if v is not None))

    @property
    def span(self) -> tuple[float, float]:
        """Its interval as it is drawn: up to `where` on an open side."""
        return self.where if self.low is None else self.low, self.where if self.high is None else self.high


@dataclass(frozen=True, eq=False)
class Spectrum:
    """One measured curve of n points with its fit: a level of a profile, a frame of a series.

    Attributes
    ----------
    name : str
        What it is called beside others; empty where it stands alone.
    x : ndarray, shape (n,)
    scale : Scale
        What x is.
    data, fit, background, residual : ndarray, shape (n,)
        Measured intensity, fitted curve and its background, and (data - fit) / sigma.
    components : mapping of str to ndarray, shape (n,)
        Curves without the background by label, in the order in which they are drawn.
    unit : str
        Of the intensity.
    """

    name: str
    x: FloatArray
    scale: Scale
    data: FloatArray
    fit: FloatArray
    background: FloatArray
    residual: FloatArray
    components: Mapping[str, FloatArray]
    unit: str

    @classmethod
    def of(
        cls,
        arrays: SeriesArrays,
        row: int,
        components: Mapping[str, str],
        *,
        scale: Scale | None = None,
        name: str = "",
        shift: float = 0.0,
        limits: tuple[float, float] = (-np.inf, np.inf),
    ) -> Spectrum:
        """Return one row of the arrays of a series, from and to given ends of the axis.

        `components` names what is drawn of the components, label to name in the arrays; `shift` is added to the axis.
        """
        inside = (arrays.axis >= limits[0]) & (arrays.axis <= limits[1])
        return cls(
            name=name,
            x=arrays.axis[inside] + shift,
            scale=scale or Scale(arrays.axis_name, arrays.axis_unit),
            data=arrays.counts[row][inside],
            fit=arrays.fit[row][inside],
            background=arrays.background[row][inside],
            residual=arrays.residual[row][inside],
            components={label: arrays.components[key][row][inside] for label, key in components.items()},
            unit=arrays.intensity_unit,
        )

    @property
    def floor(self) -> float:
        """The intensity that it stands on."""
        return float(min(self.background.min(), self.fit.min()))

    @property
    def top(self) -> float:
        """Its highest intensity."""
        return float(max(np.nanmax(self.data), self.fit.max()))


def provenance(
    title: str, records: Sequence[ResultRecord], caption: str, notes: Iterable[str] = ()
) -> FigureProvenance:
    """Return where a figure comes from: its records in their order, their inputs, and the pipeline's version."""
    return FigureProvenance(
        title=title,
        record_ids=tuple(dict.fromkeys(record.record_id for record in records)),
        inputs={item.path: item.sha256 for record in records for item in record.inputs},
        software={f"pipeline {r.method.split('.')[0]}": r.method_version for r in records[:1]},
        caption=caption,
        notes=tuple(notes),
    )


def colours_apart(
    figures: Iterable[Sequence[str]], palette: Sequence[str], fixed: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return one colour a name for all figures of a run; names of one figure differ as long as colours last.

    Parameters
    ----------
    figures : iterable of sequence of str
        Names that stand in one figure.
    palette : sequence of str
        Colours, the preferred ones first.
    fixed : mapping of str to str, optional
        Colours that some names have in every run.
    """
    together = [list(dict.fromkeys(names)) for names in figures]
    names = list(dict.fromkeys(name for group in together for name in group))
    colours = {name: colour for name, colour in (fixed or {}).items() if name in names}
    for name in (name for name in names if name not in colours):
        beside = {other for group in together if name in group for other in group}
        near = [colours[other] for other in beside if other in colours]
        colours[name] = min(palette, key=near.count)  # the first of those that are rarest beside it
    return {name: colours[name] for name in names}
