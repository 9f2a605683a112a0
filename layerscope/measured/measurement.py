"""What is measured, whatever the technique: a curve with its errors and its clock, and the file that it stands in.

A technique inherits from `Measurement` what every curve has (the axis, the values, how sure they are, when they were
taken) and adds what only it knows: which line was measured, with which radiation. `Recording` is what a file, a folder
or an archive held; `layerscope.measured.series` sets measurements against the state of the sample.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError, LayerscopeError, ReaderError
from layerscope.measured.files import fingerprint
from layerscope.records import InputFile

__all__ = [
    "MINIMUM_POINTS",
    "NOTHING",
    "FloatArray",
    "IntensityUnit",
    "LeftOut",
    "Measurement",
    "Picture",
    "Recording",
    "most_usual",
    "same_axis",
    "zero_tail",
]

FloatArray = NDArray[np.float64]
IntensityUnit = Literal["counts", "counts/s", "arbitrary"]
M = TypeVar("M", bound="Measurement")

MINIMUM_POINTS = 5
"""Fewer points than this cannot carry a peak and a background."""

MOST_NAMED = 5
"""Masked points that a note names one by one."""

LEAST_TAIL, BEFORE_TAIL = 10, 20
"""So many zeros at the end, after so many points without one, were not counted: chance is e⁻³⁰ at 3 counts a point."""

LEAST_BEFORE, MANY_COUNTS = 3, 10.0
"""So few points are enough where they are all that there are, and each holds more counts than this."""

SMALLEST = 1e-30
"""What is nearer to zero are bits of a number that was written in half."""

AXIS_TOLERANCE = 1e-3
"""Two curves share an axis if no point differs by more than this fraction of the step."""

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Picture:
    """A measurement as an image.

    Attributes
    ----------
    values : ndarray, shape (rows, columns)
    step : (float, float)
        Distance of rows and of columns.
    unit : str
        Of the distances.
    """

    values: NDArray[Any]
    step: tuple[float, float]
    unit: str


@dataclass(frozen=True, eq=False)
class Measurement:
    """One curve as measured.

    Parameters
    ----------
    axis : ndarray of float64, shape (n,)
        Strictly ascending, in the technique's unit.
    intensity : ndarray of float64, shape (n,)
        In `intensity_unit`.
    intensity_unit : {"counts", "counts/s", "arbitrary"}
        What the file says, or what its numbers are: ``"arbitrary"`` where neither tells.
    variance : ndarray of float64, shape (n,), optional
        Variance in `intensity_unit` squared if the file gives an error; infinite where nothing was measured.
    start_time, end_time : datetime, optional
        Of the measurement, by the instrument's clock. Naive where the file gives no zone.
    temperature_K : float, optional
        Sample temperature in K.
    sample : str
        Sample name in the file.
    index : int
        Number in what was read, from 0.
    source : str
        File or archive member it comes from.
    scan : int
        Number within that file, from 0.
    metadata : mapping of str to str
        Everything else worth keeping.
    use : ndarray of bool, shape (n,), optional
        Points that were measured, see `masked`; all where it is None. The others carry the intensity of a neighbour.
    """

    axis: FloatArray
    intensity: FloatArray
    intensity_unit: IntensityUnit = "counts"
    variance: FloatArray | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    temperature_K: float | None = None
    sample: str = ""
    index: int = 0
    source: str = ""
    scan: int = 0
    metadata: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    use: NDArray[np.bool_] | None = None

    AXIS_WORDS: ClassVar[tuple[str, str]] = ("a position", "positions")
    """What the messages call points of the axis."""

    INTENSITY_WORD: ClassVar[str] = "intensities"

    MOST_MASKED: ClassVar[float] = 0.05
    """Share of the points above which points that are no counts mean that the values are not as measured."""

    MASKS_NEGATIVE: ClassVar[bool] = True
    """Whether a few points below zero are a fault of the detector, and not of the whole curve."""

    def __init_subclass__(cls, **keys: Any) -> None:
        """Let techniques' own kinds show themselves as short as this one, not with every point."""
        super().__init_subclass__(**keys)
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = Measurement.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        what = ", ".join(filter(None, (self.label or self.name, self.sample)))
        if self.picture is not None:
            rows, columns = self.picture.values.shape
            return f"<{type(self).__name__} {what}: {columns} × {rows} points>"
        span = f"{self.axis_name} {self.axis[0]:g} to {self.axis[-1]:g}" + f" {self.axis_unit}".removesuffix(" 1")
        return f"<{type(self).__name__} {what}: {span}, {self.axis.size} points in {self.intensity_unit}>"

    @property
    def name(self) -> str:
        """What the messages call it."""
        return f"frame {self.index}" + (f" ({self.source})" if self.source else "")

    @property
    def label(self) -> str:
        """What it is one of: the line, the edge; empty where its kind has no such name."""
        return ""

    @property
    def axis_name(self) -> str:
        """What the axis is: ``binding_energy``, ``two_theta``."""
        return "position"

    @property
    def axis_unit(self) -> str:
        """Unit of the axis."""
        return "1"

    @property
    def picture(self) -> Picture | None:
        """Itself as an image, where it is more than a curve."""
        return None

    @property
    def exposure_s(self) -> float | None:
        """Counting time behind every point in s, if it is known and the same for all."""
        return None

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

    @property
    def may_be_negative(self) -> bool:
        """Whether values below zero can be as measured."""
        return False

    def real_counts(self) -> FloatArray:
        """Return the number of counted events, whose variance is their number, shape (n,).

        Raises
        ------
        DataError
            If the intensity is a rate without a counting time, or in arbitrary units.
        """
        if self.intensity_unit == "counts":
            return self.intensity
        if self.intensity_unit == "arbitrary" or self.exposure_s is None:
            raise DataError(
                f"the intensity of {self.name} is {self.intensity_unit}, a rate or no count, without a counting time",
                source=self.source or None,
                hint="give the counting time, or use given weights",
            )
        return np.asarray(self.intensity * self.exposure_s)

    def sigma(self) -> FloatArray:
        """Return the standard deviation of each intensity, shape (n,).

        From the file's own errors if it gives them; else the square root of the counts, at least that of one count.
        Infinite where nothing was measured.

        Raises
        ------
        DataError
            If the intensity is a rate without a counting time, or in arbitrary units without errors.
        """
        sigma = self._sigma()
        return sigma if self.use is None else np.where(self.use, sigma, np.inf)

    def _sigma(self) -> FloatArray:
        if self.variance is not None:
            return np.asarray(np.sqrt(self.variance))
        try:
            counts = self.real_counts()
        except DataError as error:
            raise DataError(
                f"the error of the intensity is not known: its unit is {self.intensity_unit}, the file gives no errors",
                source=self.source,
                hint="give the counting time, or estimate the errors with measured.noise.poisson_scale",
            ) from error
        return np.asarray(np.sqrt(np.maximum(counts, 1.0)) / (1.0 if counts is self.intensity else self.exposure_s))

    def placed(self, index: int, source: str, scan: int) -> Self:
        """Return it with its place in what was read, and its axis ascending; zeros at its end are told before that.

        A few that were not counted are masked; of many, `check` refuses the measurement.
        """
        tail = zero_tail(self.intensity, counts=self.intensity_unit == "counts")
        one = self
        if tail >= LEAST_TAIL:
            one = replace(self, metadata={**self.metadata, "zero_tail": str(tail)})
        elif tail:
            one = self._without(np.arange(self.intensity.size) >= self.intensity.size - tail)
        return replace(one, index=index, source=source, scan=scan).ascending()

    def ascending(self) -> Self:
        """Return it with its axis ascending: turned round where it falls; nothing is sorted."""
        falls = self.axis.ndim == 1 and self.axis.size > 1 and self.axis[0] > self.axis[-1]
        return self.reordered(slice(None, None, -1)) if falls else self

    def reordered(self, order: slice | NDArray[np.intp]) -> Self:
        """Return it with its points in another order."""
        variance = None if self.variance is None else np.ascontiguousarray(self.variance[order])
        axis, intensity = np.ascontiguousarray(self.axis[order]), np.ascontiguousarray(self.intensity[order])
        use = None if self.use is None else self.use[order]
        return replace(self, axis=axis, intensity=intensity, variance=variance, use=use)

    def masked(self) -> Self:
        """Return it with `use` false where the intensity, or its error, is no number, or below zero (`MASKS_NEGATIVE`).

        Such points take the intensity of the point before them, so that what looks at the whole curve is not misled;
        ``metadata["masked"]`` says what stood there. More of them than `MOST_MASKED` are left as they are, and `check`
        refuses them: the values are then not what was measured.
        """
        if self.axis.shape != self.intensity.shape:
            return self
        use = np.isfinite(self.intensity) & ((self.intensity >= 0) | (not self.MASKS_NEGATIVE))
        variance = self.variance
        if variance is not None and variance.shape == use.shape:
            use &= ~np.isnan(variance)
            variance = np.where(use, variance, np.inf)
        one = self if variance is None else replace(self, variance=variance)
        return self if (~use).sum() > self.MOST_MASKED * use.size else one._without(~use)

    def _without(self, points: NDArray[np.bool_]) -> Self:
        """Return it with more points masked; itself where there are none."""
        use = ~points if self.use is None else self.use & ~points
        bad, good = np.flatnonzero(points), np.flatnonzero(use)
        if not bad.size or not good.size or self.axis.shape != use.shape:
            return self
        intensity = self.intensity.copy()
        intensity[bad] = intensity[good[np.maximum(np.searchsorted(good, bad) - 1, 0)]]
        said = [f"{self.axis[i]:.6g} {self.axis_unit} ({self.intensity[i]:g})" for i in bad[:MOST_NAMED]]
        text = ", ".join(said) + (", ..." if bad.size > MOST_NAMED else "")
        before = self.metadata.get("masked", "")
        metadata = {**self.metadata, "masked": f"{before}, {text}" if before else text}
        return replace(self, intensity=intensity, use=use, metadata=metadata)

    def without_zero_tail(self) -> Self:
        """Return it without zeros at its end that were not counted; ``metadata["cut"]`` says how many."""
        tail = zero_tail(self.intensity)
        if not tail or self.axis.shape != self.intensity.shape:
            return self
        kept = self.axis.size - tail
        text = f"{tail} zeros from {self.axis[kept]:.6g} {self.axis_unit} on, where counts stood before"
        return replace(self.reordered(slice(None, kept)), metadata={**self.metadata, "cut": text})

    def within(self, limits: tuple[float, float] | None) -> Self:
        """Return the part of it that lies in a range of its axis."""
        if limits is None:
            return self
        inside = (self.axis >= limits[0] - 1e-9) & (self.axis <= limits[1] + 1e-9)
        return self.reordered(np.flatnonzero(inside))

    def check(self, source: str | Path | None = None) -> None:
        """Refuse values that no analysis could use.

        Parameters
        ----------
        source : str or Path, optional
            The file, to be named in the error.

        Raises
        ------
        DataError
            If there are fewer than `MINIMUM_POINTS` points, arrays of unequal length, values that are not finite,
            negative intensities, nothing but zeros or a tail of zeros that were not counted, an axis that does not rise
            strictly, errors that are not positive, a temperature that cannot be right, or an end before the start.
        """
        where = source if source is not None else self.source or None
        self._check_axis(where)
        self._check_intensity(where)
        if self.variance is not None:
            self._check_variance(self.variance, where)
        self._check_state(where)

    def _check_axis(self, where: str | Path | None) -> None:
        axis, name, (point, points) = self.axis, self.name, self.AXIS_WORDS
        if axis.ndim != 1 or self.intensity.shape != axis.shape:
            raise DataError(
                f"{name} has {self.intensity.size} {self.INTENSITY_WORD} for {axis.size} {points}", source=where
            )
        if axis.size < MINIMUM_POINTS:
            count = "1 point" if axis.size == 1 else f"{axis.size} points"
            raise DataError(f"{name} has only {count}; at least {MINIMUM_POINTS} are needed", source=where)
        if not np.isfinite(axis).all():
            raise DataError(f"{name} has {point} that is not finite", source=where)
        rises = np.diff(axis) > 0
        if not rises.all():
            at = int(np.argmin(rises))
            raise DataError(
                f"the {points} of {name} do not rise strictly: {axis[at]:g} is followed by {axis[at + 1]:g}",
                source=where,
            )

    def _check_intensity(self, where: str | Path | None) -> None:
        values, name, word = self.intensity, self.name, self.INTENSITY_WORD
        bad = int((~np.isfinite(values)).sum())
        if bad:
            raise DataError(f"{name} has {bad} {word} that are NaN or infinite", source=where)
        if (values < 0).any() and not self.may_be_negative:
            raise DataError(
                f"{name} has {int((values < 0).sum())} negative {word} (lowest {float(values.min()):g})",
                source=where,
                hint=f"give the {word} as measured, without a subtracted background",
            )
        if not values.any():
            raise DataError(
                f"all {values.size} {word} of {name} are zero", source=where, hint="shutter closed, or copied in half?"
            )
        if tail := self.metadata.get("zero_tail"):
            raise DataError(
                f"the last {tail} {word} of {name} are zero, and counts stand before them",
                source=where,
                hint="the measurement was stopped, or the file was copied in half: copy it again",
            )
        if self.intensity_unit not in get_args(IntensityUnit):
            raise DataError(f"the unit {self.intensity_unit!r} of {name} is not known", source=where)

    def _check_variance(self, variance: FloatArray, where: str | Path | None) -> None:
        if variance.shape != self.axis.shape:
            raise DataError(f"{self.name} has {variance.size} errors for {self.axis.size} points", source=where)
        if np.isnan(variance).any() or not (variance > 0).all():
            raise DataError(f"{self.name} has an error that is not positive", source=where)
        if int(np.isfinite(variance).sum()) < MINIMUM_POINTS:
            raise DataError(f"{self.name} has fewer than {MINIMUM_POINTS} measured points", source=where)

    def _check_state(self, where: str | Path | None) -> None:
        if self.temperature_K is not None and not 0 < self.temperature_K < 5000:
            raise DataError(f"the temperature of {self.name} is {self.temperature_K:g} K", source=where)
        start, end = self.start_time, self.end_time
        if start is None or end is None:
            return
        if (start.tzinfo is None) != (end.tzinfo is None):
            raise DataError(f"only one of start and end of {self.name} has a time zone", source=where)
        if end < start:
            raise DataError(f"{self.name} ends at {end} before it starts at {start}", source=where)


def zero_tail(values: FloatArray, *, counts: bool = False) -> int:
    """Return how many zeros at the end of a curve were not counted: what a stopped scan or half a copy leaves.

    Parameters
    ----------
    values : ndarray, shape (n,)
        In the order in which they were measured.
    counts : bool, optional
        Whether they are counts: then a few zeros are enough where hundreds stand before them.
    """
    counted = np.flatnonzero(~(np.abs(values) < SMALLEST))
    tail = int(values.size - 1 - counted[-1]) if counted.size else 0
    before = counted[-BEFORE_TAIL:]
    if not tail or before.size < LEAST_BEFORE or int(before[-1] - before[0]) != before.size - 1:
        return 0
    lowest = float(values[before].min())
    if counts and tail * lowest > LEAST_TAIL * LEAST_BEFORE:
        return tail
    enough = 0.0 if before.size == BEFORE_TAIL else MANY_COUNTS
    return tail if tail >= LEAST_TAIL and lowest > enough else 0


def same_axis(first: Measurement, other: Measurement) -> bool:
    """Tell whether two curves have the same axis, but for rounding."""
    a, b = first.axis, other.axis
    if first.axis_unit != other.axis_unit or a.shape != b.shape:
        return False
    tolerance = AXIS_TOLERANCE * float(np.ptp(a)) / max(a.size - 1, 1)
    return float(np.max(np.abs(a - b), initial=0.0)) <= tolerance


def most_usual(measurements: Sequence[M]) -> M:
    """Return the first measurement of those whose axis most of them have."""
    kinds: list[list[M]] = []
    for measurement in measurements:
        alike = next((kind for kind in kinds if same_axis(kind[0], measurement)), None)
        if alike is None:
            kinds.append([measurement])
        else:
            alike.append(measurement)
    return max(kinds, key=len)[0]


@dataclass(frozen=True)
class LeftOut:
    """A measurement that could not be used.

    Parameters
    ----------
    index : int
        Number it would have had in what was read.
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
    def of(cls, index: int, source: str, error: LayerscopeError) -> LeftOut:
        """Make it from the error that was raised."""
        return cls(index, source, error.kind, str(error))

    def error(self, named: str) -> LayerscopeError:
        """Return the error again, about its own source, or else about what is `named`."""
        cls = ReaderError if self.kind == "reader" else DataError
        return cls(self.message, source=self.source or named)


@dataclass(frozen=True, eq=False)
class Recording(Generic[M]):
    """All measurements of one file, folder or archive, in order.

    Parameters
    ----------
    source : Path
        File or folder.
    format : str
        Reader format; ``"mixed"`` where the files of a folder have several.
    reader, reader_version : str
        What read it.
    sha256 : str
        Hash of the file's bytes; for a folder, of the names and hashes of its files.
    size : int
        Size in bytes.
    measurements : tuple of Measurement
        In order; their axes may differ.
    problems : tuple of LeftOut
        Those left out because they could not be read or used, if the caller asked to go on.
    skipped : tuple of str
        Files of the folder or archive that hold none.
    """

    source: Path
    format: str
    reader: str
    reader_version: str
    sha256: str
    size: int
    measurements: tuple[M, ...]
    problems: tuple[LeftOut, ...] = ()
    skipped: tuple[str, ...] = ()

    @classmethod
    def unread(cls, where: Path | None, error: LayerscopeError | None = None) -> Self:
        """Return what stands for a file of which nothing could be read; of one that is not there, the hash of nothing.

        Parameters
        ----------
        where : Path or None
            The file, or the folder; None if the path leads nowhere.
        error : LayerscopeError, optional
            Why it could not be read.
        """
        sha256, size = hashlib.sha256(b"").hexdigest(), 0
        if where is not None:
            with suppress(LayerscopeError, OSError):
                sha256, size = fingerprint(where)
        path = where or Path()
        said = "" if error is None else error.message + (f" ({error.hint})" if error.hint else "")
        problems = () if error is None else (LeftOut(0, "", error.kind, said),)
        return cls(path, "", "none", "0", sha256, size, measurements=(), problems=problems)

    def __len__(self) -> int:
        return len(self.measurements)

    def input_file(self, path: str, selector: str = "") -> InputFile:
        """Return what a record says of it.

        Parameters
        ----------
        path : str
            As the recipe names it.
        selector : str, optional
            Which part the record is about.
        """
        return InputFile(
            path=path,
            sha256=self.sha256,
            size=self.size,
            reader=f"{self.reader} {self.format}".strip(),
            reader_version=self.reader_version,
            selector=selector,
        )
