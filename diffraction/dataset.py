"""The diffraction dataset: one pattern, and the series of patterns that every reader returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np

from layerscope.errors import DataError, LayerscopeError

from .radiation import AxisKind, FloatArray, Radiation, convert_axis

__all__ = ["MINIMUM_POINTS", "FrameProblem", "IntensityUnit", "Pattern", "PatternSeries"]

IntensityUnit = Literal["counts", "counts/s", "arbitrary"]

MINIMUM_POINTS = 5
"""Fewer points than this cannot carry a peak and a background."""

AXIS_TOLERANCE = 1e-3
"""Two frames share an axis if no point differs by more than this fraction of the step."""

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


@dataclass(frozen=True)
class FrameProblem:
    """A frame that could not be used.

    Parameters
    ----------
    index : int
        Number it would have had in the series.
    source : str
        File or archive member.
    kind, message : str
        Of the error.
    """

    index: int
    source: str
    kind: str
    message: str

    @classmethod
    def of(cls, index: int, source: str, error: LayerscopeError) -> FrameProblem:
        """Make it from the error that was raised."""
        return cls(index, source, error.kind, str(error))


@dataclass(frozen=True, eq=False)
class PatternSeries:
    """All patterns of one file, folder or archive, in order.

    Parameters
    ----------
    source : Path
        File or folder.
    format : str
        Reader format of the frames, for instance ``"xrdml"``.
    reader, reader_version : str
        What read it.
    sha256 : str
        Hash of the file's bytes; for a folder, of the names and hashes of its frames.
    size : int
        Size in bytes.
    frames : tuple of Pattern
        In order. Lengths may differ: see `equal_axes` and `flags`.
    problems : tuple of FrameProblem
        Frames left out because they could not be read or used, if the caller asked to go on.
    skipped : tuple of str
        Files of the folder or archive that are no frames.
    metadata : mapping of str to str
        What the file says about itself.
    """

    source: Path
    format: str
    reader: str
    reader_version: str
    sha256: str
    size: int
    frames: tuple[Pattern, ...]
    problems: tuple[FrameProblem, ...] = ()
    skipped: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def equal_axes(self) -> bool:
        """Whether all frames have the same axis."""
        return not self._unequal()

    @property
    def flags(self) -> tuple[str, ...]:
        """What a user should know: frames of other lengths or axes, wavelengths that differ, frames left out."""
        flags = []
        if unequal := self._unequal():
            flags.append(f"UNEQUAL_AXES:{','.join(str(self.frames[i].index) for i in unequal)}")
        if len({None if f.radiation is None else f.radiation.alpha1 for f in self.frames}) > 1:
            flags.append("UNEQUAL_WAVELENGTHS")
        if self.problems:
            flags.append(f"FRAMES_LEFT_OUT:{','.join(str(p.index) for p in self.problems)}")
        return tuple(flags)

    def _unequal(self) -> list[int]:
        return [i for i, frame in enumerate(self.frames) if i and not _same_axis(self.frames[0], frame)]

    def common_axis(self) -> FloatArray:
        """Return the axis of all frames, shape (n,).

        Raises
        ------
        DataError
            If two frames have different axes; the message names the first that differs.
        """
        unequal = self._unequal()
        if unequal:
            first, other = self.frames[0], self.frames[unequal[0]]
            raise DataError(
                f"frames {first.index} and {other.index} have different axes: {_describe(first)}, {_describe(other)}",
                source=self.source,
            )
        if not self.frames:
            raise DataError("the series holds no frame", source=self.source)
        return self.frames[0].axis

    def intensities(self) -> FloatArray:
        """Return the intensities of all frames, shape (frames, n); a DataError unless all axes are equal."""
        self.common_axis()
        return np.stack([frame.intensity for frame in self.frames])

    def sigmas(self) -> FloatArray:
        """Return the standard deviations of all frames, shape (frames, n); errors as `Pattern.sigma`."""
        self.common_axis()
        return np.stack([frame.sigma() for frame in self.frames])

    def check(self, *, small_angle: bool = False) -> None:
        """Check every frame; errors as `Pattern.check`, or a DataError if there is none."""
        if not self.frames:
            raise DataError("there is no usable frame", source=self.source)
        for frame in self.frames:
            frame.check(self._where(frame), small_angle=small_angle)

    def _where(self, frame: Pattern) -> str:
        name = str(self.source)
        return name if not frame.source or name.endswith(frame.source) else f"{name}: {frame.source}"

    def with_radiation(self, radiation: Radiation) -> PatternSeries:
        """Return the series with other wavelengths; a DataError if they cannot be right."""
        radiation.check(self.source)
        return replace(self, frames=tuple(replace(frame, radiation=radiation) for frame in self.frames))

    def with_period(self, start: datetime, period_s: float, *, duration_s: float | None = None) -> PatternSeries:
        """Return the series with times from a fixed period, for files that carry no time of measurement.

        Parameters
        ----------
        start : datetime
            Start of the frame with index 0.
        period_s : float
            From start to start in s.
        duration_s : float, optional
            Length of a frame in s; without it the period.

        Returns
        -------
        PatternSeries
            Frame i starts at ``start + i * period_s``, by its index, so that a frame left out leaves its gap.

        Raises
        ------
        DataError
            If period or duration is not positive, or the duration is longer than the period.
        """
        length = period_s if duration_s is None else duration_s
        if not (np.isfinite(period_s) and 0 < length <= period_s):
            raise DataError(f"frames of {length:g} s every {period_s:g} s are not possible", source=self.source)
        frames = []
        for frame in self.frames:
            begin = start + timedelta(seconds=frame.index * period_s)
            frames.append(replace(frame, start_time=begin, end_time=begin + timedelta(seconds=length)))
        return replace(self, frames=tuple(frames))


def _same_axis(first: Pattern, other: Pattern) -> bool:
    if first.axis_kind != other.axis_kind or first.axis.shape != other.axis.shape:
        return False
    tolerance = AXIS_TOLERANCE * float(np.ptp(first.axis)) / max(first.axis.size - 1, 1)
    return float(np.max(np.abs(first.axis - other.axis), initial=0.0)) <= tolerance


def _describe(frame: Pattern) -> str:
    if not frame.axis.size:
        return "no points"
    return f"{frame.axis.size} points from {frame.axis[0]:g} to {frame.axis[-1]:g} {frame.axis_unit}"
