"""One powder pattern as measured, its axis, its errors, and what no analysis could use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np

from layerscope.errors import DataError

from .radiation import AxisKind, FloatArray, Radiation, convert_axis

__all__ = ["MINIMUM_POINTS", "IntensityUnit", "Pattern"]

IntensityUnit = Literal["counts", "counts/s", "arbitrary"]

MINIMUM_POINTS = 5
"""Fewer points than this cannot carry a peak and a background."""

RADIAN_LIMIT = 3.2
"""A scan of many points that ends below this many degrees was most likely written in radians (π = 3.14)."""

_NOTHING: Mapping[str, str] = MappingProxyType({})
_UNITS: Mapping[AxisKind, str] = MappingProxyType({"two_theta": "deg", "q": "1/angstrom", "d": "angstrom"})


@dataclass(frozen=True, eq=False)
class Pattern:
    """One powder pattern, as measured.

    Parameters
    ----------
    axis : ndarray of float64, shape (n,)
        2θ in degrees, Q in 1/Å or d in Å, strictly ascending.
    intensity : ndarray of float64, shape (n,)
        In `intensity_unit`.
    axis_kind : {"two_theta", "q", "d"}
        What the axis is.
    intensity_unit : {"counts", "counts/s", "arbitrary"}
        What the file says, or what its numbers are: ``"arbitrary"`` where neither tells.
    variance : ndarray of float64, shape (n,), optional
        Variance in `intensity_unit` squared if the file gives an error; infinite where nothing was measured.
    time_per_step_s : float, optional
        Counting time of a point in s, if it is the same for all.
    radiation : Radiation, optional
        Wavelengths.
    start_time, end_time : datetime, optional
        Of the measurement, by the diffractometer's clock. Naive where the file gives no zone.
    temperature_K : float, optional
        Sample temperature in K.
    sample : str
        Sample name in the file.
    index : int
        Number of the frame in its series, from 0.
    source : str
        File or archive member it comes from.
    scan : int
        Number of the scan within that file, from 0.
    metadata : mapping of str to str
        Everything else worth keeping. ``points_declared`` says whether the file states its own length.
    """

    axis: FloatArray
    intensity: FloatArray
    axis_kind: AxisKind = "two_theta"
    intensity_unit: IntensityUnit = "counts"
    variance: FloatArray | None = None
    time_per_step_s: float | None = None
    radiation: Radiation | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    temperature_K: float | None = None
    sample: str = ""
    index: int = 0
    source: str = ""
    scan: int = 0
    metadata: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    @property
    def axis_unit(self) -> str:
        """Unit of the axis: ``"deg"``, ``"1/angstrom"`` or ``"angstrom"``."""
        return _UNITS[self.axis_kind]

    @property
    def two_theta(self) -> FloatArray:
        """2θ in degrees, shape (n,); a DataError unless that is the axis."""
        if self.axis_kind != "two_theta":
            raise DataError(f"the axis is {self.axis_kind}, not 2θ", source=self.source, hint="use to('two_theta')")
        return self.axis

    @property
    def clock(self) -> Literal["aware", "naive", "none"]:
        """Whether the start time has a time zone, has none, or is not known."""
        if self.start_time is None:
            return "none"
        return "naive" if self.start_time.tzinfo is None else "aware"

    @property
    def duration_s(self) -> float | None:
        """Time from start to end in s, if both are known."""
        if self.start_time is None or self.end_time is None:
            return None
        return (self.end_time - self.start_time).total_seconds()

    def sigma(self) -> FloatArray:
        """Return the standard deviation of each intensity.

        Returns
        -------
        ndarray of float64, shape (n,)
            From the file's own errors if it gives them; else the square root of the counts, at least that of one
            count. Infinite where nothing was measured.

        Raises
        ------
        DataError
            If the intensity is a rate without a counting time, or in arbitrary units without errors.
        """
        if self.variance is not None:
            return np.asarray(np.sqrt(self.variance))
        if self.intensity_unit == "counts":
            return np.asarray(np.sqrt(np.maximum(self.intensity, 1.0)))
        if self.intensity_unit == "counts/s" and self.time_per_step_s is not None:
            time = self.time_per_step_s
            return np.asarray(np.sqrt(np.maximum(self.intensity * time, 1.0)) / time)
        raise DataError(
            f"the error of the intensity is not known: its unit is {self.intensity_unit}, and the file gives no errors",
            source=self.source,
            hint="give time_per_step_s, or estimate the errors with counting.poisson_scale",
        )

    def to(self, kind: AxisKind, *, wavelength: float | None = None) -> Pattern:
        """Return the pattern on another axis, ascending; intensities stay with their points (no Jacobian).

        Parameters
        ----------
        kind : {"two_theta", "q", "d"}
            The axis wanted.
        wavelength : float, optional
            In Å; without it that of the pattern (K-alpha-1).

        Returns
        -------
        Pattern
            With axis, intensity and variance in the order of the new axis.

        Raises
        ------
        DataError
            As `convert_axis`.
        """
        own = None if self.radiation is None else self.radiation.alpha1
        axis = convert_axis(self.axis, self.axis_kind, kind, own if wavelength is None else wavelength)
        order = slice(None, None, -1) if axis.size > 1 and axis[0] > axis[-1] else slice(None)
        return replace(
            self,
            axis=np.ascontiguousarray(axis[order]),
            intensity=np.ascontiguousarray(self.intensity[order]),
            variance=None if self.variance is None else np.ascontiguousarray(self.variance[order]),
            axis_kind=kind,
        )

    def check(self, source: str | Path | None = None, *, small_angle: bool = False) -> None:
        """Refuse values that no analysis could use.

        Parameters
        ----------
        source : str or Path, optional
            The file, to be named in the error.
        small_angle : bool, default False
            Accept a scan of more than 100 points that ends below 3.2 degrees.

        Raises
        ------
        DataError
            If there are fewer than `MINIMUM_POINTS` points, arrays of unequal length, values that are not finite,
            negative intensities or only zeros, an axis that does not rise strictly, is outside its range or looks
            like radians, errors that are not positive, a wavelength that cannot be right, or an end before the start.
        """
        where = source if source is not None else self.source or None
        self._check_axis(where, small_angle)
        self._check_intensity(where)
        if self.variance is not None:
            self._check_variance(self.variance, where)
        if self.radiation is not None:
            self.radiation.check(where)
        if self.time_per_step_s is not None and not (np.isfinite(self.time_per_step_s) and self.time_per_step_s > 0):
            raise DataError(f"the time per step of {self._name()} is {self.time_per_step_s:g} s", source=where)
        if self.temperature_K is not None and not 0 < self.temperature_K < 5000:
            raise DataError(f"the temperature of {self._name()} is {self.temperature_K:g} K", source=where)
        self._check_times(where)

    def _check_axis(self, where: str | Path | None, small_angle: bool) -> None:
        axis, name = self.axis, self._name()
        if self.axis_kind not in get_args(AxisKind):
            raise DataError(f"the axis {self.axis_kind!r} of {name} is not known", source=where)
        if axis.ndim != 1 or self.intensity.shape != axis.shape:
            raise DataError(f"{name} has {self.intensity.size} intensities for {axis.size} positions", source=where)
        if axis.size < MINIMUM_POINTS:
            count = "1 point" if axis.size == 1 else f"{axis.size} points"
            raise DataError(f"{name} has only {count}; at least {MINIMUM_POINTS} are needed", source=where)
        if not np.isfinite(axis).all():
            raise DataError(f"{name} has a position that is not finite", source=where)
        step = np.diff(axis)
        if not (step > 0).all():
            at = int(np.argmin(step > 0))
            raise DataError(
                f"the positions of {name} do not rise strictly: {axis[at]:g} is followed by {axis[at + 1]:g}",
                source=where,
            )
        if self.axis_kind != "two_theta":
            if axis[0] < 0 or (axis[0] == 0 and self.axis_kind == "d"):
                raise DataError(f"{self.axis_kind} of {name} starts at {axis[0]:g}", source=where)
        elif axis[0] <= -180 or axis[-1] > 180:
            raise DataError(f"2θ of {name} runs from {axis[0]:g} to {axis[-1]:g} degrees", source=where)
        elif not small_angle and axis.size > 100 and axis[-1] < RADIAN_LIMIT:
            raise DataError(
                f"2θ of {name} ends at {axis[-1]:g} after {axis.size} points: these are radians, not degrees",
                source=where,
                hint="convert to degrees, or say small_angle=True if it is a small-angle scan",
            )

    def _check_intensity(self, where: str | Path | None) -> None:
        values, name = self.intensity, self._name()
        bad = ~np.isfinite(values)
        if bad.any():
            raise DataError(f"{name} has {int(bad.sum())} intensities that are NaN or infinite", source=where)
        if (values < 0).any():
            raise DataError(
                f"{name} has {int((values < 0).sum())} negative intensities (lowest {float(values.min()):g})",
                source=where,
                hint="give the intensities as measured, without a subtracted background",
            )
        if not (values > 0).any():
            raise DataError(f"all {values.size} intensities of {name} are zero", source=where, hint="shutter closed?")
        if self.intensity_unit not in get_args(IntensityUnit):
            raise DataError(f"the unit {self.intensity_unit!r} of {name} is not known", source=where)

    def _check_variance(self, variance: FloatArray, where: str | Path | None) -> None:
        if variance.shape != self.axis.shape:
            raise DataError(f"{self._name()} has {variance.size} errors for {self.axis.size} points", source=where)
        if np.isnan(variance).any() or not (variance > 0).all():
            raise DataError(f"{self._name()} has an error that is not positive", source=where)
        if int(np.isfinite(variance).sum()) < MINIMUM_POINTS:
            raise DataError(f"{self._name()} has fewer than {MINIMUM_POINTS} measured points", source=where)

    def _check_times(self, where: str | Path | None) -> None:
        start, end = self.start_time, self.end_time
        if start is None or end is None:
            return
        if (start.tzinfo is None) != (end.tzinfo is None):
            raise DataError(f"only one of start and end of {self._name()} has a time zone", source=where)
        if end < start:
            raise DataError(f"{self._name()} ends at {end} before it starts at {start}", source=where)

    def _name(self) -> str:
        return f"frame {self.index}" + (f" ({self.source})" if self.source else "")
