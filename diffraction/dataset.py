"""The diffraction dataset: the series of patterns that every reader returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import numpy as np

from layerscope.errors import DataError, LayerscopeError

from .pattern import MINIMUM_POINTS, IntensityUnit, Pattern
from .radiation import FloatArray, Radiation

__all__ = ["MINIMUM_POINTS", "FrameProblem", "IntensityUnit", "Pattern", "PatternSeries"]

AXIS_TOLERANCE = 1e-3
"""Two frames share an axis if no point differs by more than this fraction of the step."""

_NOTHING: Mapping[str, str] = MappingProxyType({})


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
