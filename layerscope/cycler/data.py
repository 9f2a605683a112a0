"""What a cycler recorded: voltage, current and charge against its own clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from layerscope.errors import DataError
from layerscope.measured.measurement import FloatArray

__all__ = ["CapacityUnit", "CurrentUnit", "CyclerData", "IntArray", "integrate_charge", "signed_current"]

IntArray = npt.NDArray[np.int64]
CurrentUnit = Literal["mA", "mA/g"]
CapacityUnit = Literal["mAh", "mAh/g"]

SECONDS_PER_HOUR = 3600.0
VOLTAGE_RANGE = (-10.0, 10.0)
"""A single cell lies within; a file in mV that was read as V does not."""

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class CyclerData:
    """The record of a cycler.

    Parameters
    ----------
    time_s : ndarray of float64, shape (n,)
        Time since the first record in s, never falling (two records may share a time where a step ends).
    voltage_V : ndarray of float64, shape (n,)
        Cell voltage in V.
    current : ndarray of float64, shape (n,), optional
        In `current_unit`; positive when the cell is charged.
    capacity : ndarray of float64, shape (n,), optional
        Net charge passed since the first record in `capacity_unit`; charging raises it.
    start : datetime, optional
        Time of the first record by the cycler's clock; naive where the file gives no zone.
    cycle, step : ndarray of int64, shape (n,), optional
        Numbers that the cycler counts.
    current_unit, capacity_unit : str
        mA and mAh, or per gram.
    source : str
        The file, or the member of an archive.
    metadata : mapping of str to str
        What the file says, and where the capacity comes from (``capacity_from``: file or integrated).
    """

    time_s: FloatArray
    voltage_V: FloatArray
    current: FloatArray | None = None
    capacity: FloatArray | None = None
    start: datetime | None = None
    cycle: IntArray | None = None
    step: IntArray | None = None
    current_unit: CurrentUnit = "mA"
    capacity_unit: CapacityUnit = "mAh"
    source: str = ""
    metadata: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    @property
    def clock(self) -> Literal["aware", "naive", "none"]:
        """Whether the start has a time zone, has none, or is not known."""
        if self.start is None:
            return "none"
        return "naive" if self.start.tzinfo is None else "aware"

    def placed(self, index: int, source: str, scan: int) -> Self:
        """Return it with the name of the file that it is from."""
        return replace(self, source=source)

    def check(self, source: str | Path | None = None) -> None:
        """Refuse values that no alignment could use.

        Parameters
        ----------
        source : str or Path, optional
            The file, to be named in the error.

        Raises
        ------
        DataError
            If there are fewer than two records, arrays of unequal length, values that are not finite, a clock that
            goes backwards, or voltages outside -10 to 10 V.
        """
        where, time = source if source is not None else self.source or None, self.time_s
        if time.ndim != 1 or time.size < 2:
            raise DataError(f"the cycler has {time.size} records; at least 2 are needed", source=where)
        for name in ("voltage_V", "current", "capacity", "cycle", "step"):
            values = getattr(self, name)
            if values is not None and values.shape != time.shape:
                raise DataError(f"{name} has {values.size} values for {time.size} times", source=where)
        for name, array in (("time_s", time), ("voltage_V", self.voltage_V), ("current", self.current)):
            if array is not None and not np.isfinite(array).all():
                raise DataError(f"{name} has values that are NaN or infinite", source=where)
        if self.capacity is not None and not np.isfinite(self.capacity).all():
            raise DataError("capacity has values that are NaN or infinite", source=where)
        if (np.diff(time) < 0).any():
            at = int(np.argmax(np.diff(time) < 0))
            raise DataError(
                f"the cycler's clock goes back after record {at + 1}, from {time[at]:g} to {time[at + 1]:g} s",
                source=where,
                hint="a change to winter time, or a time that restarts with each step",
            )
        low, high = float(self.voltage_V.min()), float(self.voltage_V.max())
        if low < VOLTAGE_RANGE[0] or high > VOLTAGE_RANGE[1]:
            raise DataError(f"the voltage runs from {low:g} to {high:g} V", source=where, hint="is the column in mV?")


def integrate_charge(time_s: npt.ArrayLike, current: npt.ArrayLike) -> FloatArray:
    """Return the net charge since the first record by the trapezoidal rule.

    Parameters
    ----------
    time_s : array_like of float, shape (n,)
        Time in s.
    current : array_like of float, shape (n,)
        Signed current, in mA or mA/g.

    Returns
    -------
    ndarray of float64, shape (n,)
        In mAh or mAh/g.
    """
    time, amperes = np.asarray(time_s, dtype=np.float64), np.asarray(current, dtype=np.float64)
    pieces = np.diff(time) * (amperes[1:] + amperes[:-1]) / 2
    return np.concatenate([[0.0], np.cumsum(pieces)]) / SECONDS_PER_HOUR


def signed_current(voltage_V: npt.ArrayLike, current: npt.ArrayLike) -> FloatArray:
    """Give a current without sign the sign of each half cycle: positive while the voltage rises.

    Half cycles are the stretches of constant magnitude between changes of the current by more than one per cent. Their
    sign is that of the voltage's change from the second to the last of their records, since the first still holds the
    jump of the resistance.

    Parameters
    ----------
    voltage_V : array_like of float, shape (n,)
        Voltage in V.
    current : array_like of float, shape (n,)
        Magnitude of the current.

    Returns
    -------
    ndarray of float64, shape (n,)
        Signed current.

    Raises
    ------
    DataError
        If the current already has signs.
    """
    voltage, magnitude = np.asarray(voltage_V, dtype=np.float64), np.asarray(current, dtype=np.float64)
    if (magnitude < 0).any():
        raise DataError("the current has signs already", hint="say signed=True")
    scale = max(float(magnitude.max(initial=0.0)), np.finfo(float).tiny)
    breaks = np.flatnonzero(np.abs(np.diff(magnitude)) > 0.01 * scale) + 1
    signed = magnitude.copy()
    for part in np.split(np.arange(magnitude.size), breaks):
        inner = part[1:] if part.size > 2 else part
        if inner.size and voltage[inner[-1]] < voltage[inner[0]]:
            signed[part] = -magnitude[part]
    return signed
