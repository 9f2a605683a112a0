"""Frames of a series of powder patterns: what their records rest on, their wavelengths, and one axis for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

from layerscope.errors import DataError
from layerscope.measured.measurement import NOTHING
from layerscope.measured.series import Level, MeasuredSeries, Stack, stack_levels
from layerscope.runs.pipeline import RunContext

from .dataset import Pattern
from .radiation import Radiation
from .recipe_series import SeriesTable

__all__ = ["Frame", "FrameSeries", "FrameStack", "frames_failed", "stack"]

Frame: TypeAlias = Level[Pattern]
FrameStack: TypeAlias = Stack[Pattern]

CALIBRATION = "errors hold none of the calibration: a distance that is off moves cells by as much, relatively"

LEAST_POINTS = 20
"""Points of a frame that have to lie in the range."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FrameSeries(MeasuredSeries[Pattern]):
    """All frames of one series.

    Attributes
    ----------
    table : SeriesTable
        Of the recipe.
    integration : mapping of str to str
        How its images became patterns, see `Integration.settings`; empty where the files hold patterns.
    """

    table: SeriesTable
    integration: Mapping[str, str] = field(default_factory=lambda: NOTHING)

    def told(self, context: RunContext) -> RunContext:
        """Return a context whose records say how images became patterns."""
        if not self.integration:
            return context
        said = "; ".join(f"{name} {value}" for name, value in self.integration.items() if name != "pyFAI")
        software = {**context.software, "pyFAI": self.integration["pyFAI"]}
        return replace(context, software=software, notes=(*context.notes, f"integrated by pyFAI: {said}", CALIBRATION))

    @cached_property
    def radiation(self) -> Radiation:
        """Wavelengths of all frames; a DataError if they differ or are not known."""
        found = [(frame, frame.measurement.radiation) for frame in self.levels]
        first = found[0][1]
        if first is None:
            raise DataError("the wavelength is not known", source=found[0][0].measurement.source)
        for frame, radiation in found[1:]:
            if radiation is None or abs(radiation.alpha1 / first.alpha1 - 1) > 1e-6:
                other = "none" if radiation is None else f"{radiation.alpha1:g} Å"
                raise DataError(
                    f"frames 0 and {frame.index} have different wavelengths: {first.alpha1:g} and {other}",
                    source=frame.measurement.source,
                )
        return first


def stack(series: FrameSeries, limits: tuple[float, float] | None) -> FrameStack:
    """Cut the frames to a range of 2θ (degrees) and put them on one axis; see `stack_levels`.

    Raises
    ------
    DataError
        If no frame can be used.
    """
    hint = "check range_2theta and the wavelength"
    return stack_levels(series.levels, limits, least=LEAST_POINTS, hint=hint, unusable=_dark)


def frames_failed(series: FrameSeries, stacked: FrameStack | None = None) -> tuple[str, ...]:
    """Return the flag that names the frames of a series that could not be used; none where all could."""
    rejected = (*series.rejected, *(stacked.rejected if stacked is not None else ()))
    failed = sorted({one.index for one in rejected})
    return (f"FRAMES_FAILED:{','.join(map(str, failed))}",) if failed else ()


def _dark(pattern: Pattern) -> DataError | None:
    if (pattern.intensity > 0).any():
        return None
    return DataError(f"all intensities of {pattern.name} in the range are zero", source=pattern.source)
