"""One powder pattern as measured, its axis, its radiation, and what no analysis could use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Self, get_args

import numpy as np

from layerscope.errors import DataError
from layerscope.measured.measurement import Measurement

from .radiation import AxisKind, FloatArray, Radiation, convert_axis

__all__ = ["Pattern"]

RADIAN_LIMIT = 3.2
"""A scan of many points that ends below this many degrees was most likely written in radians (π = 3.14)."""

_UNITS: Mapping[AxisKind, str] = MappingProxyType({"two_theta": "deg", "q": "1/angstrom", "d": "angstrom"})


@dataclass(frozen=True, eq=False)
class Pattern(Measurement):
    """One powder pattern, as measured: a `Measurement` whose axis is 2θ in degrees, Q in 1/Å or d in Å.

    Parameters
    ----------
    axis_kind : {"two_theta", "q", "d"}
        What the axis is.
    time_per_step_s : float, optional
        Counting time of a point in s, if it is the same for all.
    radiation : Radiation, optional
        Wavelengths.
    small_angle : bool
        Whether it was said that the axis is in degrees although it ends below 3.2.

    Notes
    -----
    ``metadata["points_declared"]`` says whether the file states its own length.
    """

    axis_kind: AxisKind = "two_theta"
    time_per_step_s: float | None = None
    radiation: Radiation | None = None
    small_angle: bool = False

    MOST_MASKED: ClassVar[float] = 0.5
    """Gaps between modules, and modules that are dead, are as many points as they are; what is between is measured."""

    MASKS_NEGATIVE: ClassVar[bool] = False
    """Below zero a background was subtracted, all along the pattern."""

    @property
    def may_be_negative(self) -> bool:
        """Whether a background was subtracted: then the file's own errors still hold."""
        return self.variance is not None

    @property
    def axis_name(self) -> str:
        """What the axis is."""
        return self.axis_kind

    @property
    def axis_unit(self) -> str:
        """Unit of the axis: ``"deg"``, ``"1/angstrom"`` or ``"angstrom"``."""
        return _UNITS[self.axis_kind]

    @property
    def exposure_s(self) -> float | None:
        """Counting time behind every point in s, if it is known and the same for all."""
        return self.time_per_step_s

    @property
    def two_theta(self) -> FloatArray:
        """2θ in degrees, shape (n,); a DataError unless that is the axis."""
        if self.axis_kind != "two_theta":
            raise DataError(f"the axis is {self.axis_kind}, not 2θ", source=self.source, hint="use to('two_theta')")
        return self.axis

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
        if kind == self.axis_kind:
            return self
        own = None if self.radiation is None else self.radiation.alpha1
        axis = convert_axis(self.axis, self.axis_kind, kind, own if wavelength is None else wavelength)
        return replace(self, axis=axis, axis_kind=kind).ascending()

    def placed(self, index: int, source: str, scan: int) -> Self:
        """Return it with its place, its axis ascending, without zeros that were not counted, gaps masked."""
        return super(Pattern, self.without_zero_tail().masked()).placed(index, source, scan)

    def check(self, source: str | Path | None = None) -> None:
        """Refuse values that no analysis could use.

        Parameters
        ----------
        source : str or Path, optional
            The file, to be named in the error.

        Raises
        ------
        DataError
            As `Measurement.check`, or if an axis is outside its range or looks like radians, a
            wavelength or a counting time cannot be right.
        """
        where = source if source is not None else self.source or None
        if self.axis_kind not in get_args(AxisKind):
            raise DataError(f"the axis {self.axis_kind!r} of {self.name} is not known", source=where)
        super().check(where)
        self._check_range(where)
        if self.radiation is not None:
            self.radiation.check(where)
        if self.time_per_step_s is not None and not (np.isfinite(self.time_per_step_s) and self.time_per_step_s > 0):
            raise DataError(f"the time per step of {self.name} is {self.time_per_step_s:g} s", source=where)

    def _check_range(self, where: str | Path | None) -> None:
        axis, name = self.axis, self.name
        if self.axis_kind != "two_theta":
            if axis[0] < 0 or (axis[0] == 0 and self.axis_kind == "d"):
                raise DataError(f"{self.axis_kind} of {name} starts at {axis[0]:g}", source=where)
        elif axis[0] <= -180 or axis[-1] > 180:
            raise DataError(f"2θ of {name} runs from {axis[0]:g} to {axis[-1]:g} degrees", source=where)
        elif not self.small_angle and axis.size > 100 and axis[-1] < RADIAN_LIMIT:
            raise DataError(
                f"2θ of {name} ends at {axis[-1]:g} after {axis.size} points: these are radians, not degrees",
                source=where,
                hint="say axis_unit in columns: 'two_theta_rad', or 'two_theta_deg' of a small-angle scan",
            )
