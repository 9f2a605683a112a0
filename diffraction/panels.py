"""What panels of both pipelines of diffraction share: which series, which frame, which colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from layerscope.errors import DataError
from layerscope.figures.specified import PanelOptions, Place
from layerscope.figures.specified.place import one_of
from layerscope.runs.load import Run

from .figure_data import SeriesView, collect_views, phase_colours

__all__ = ["FrameOptions", "SampleOptions", "frame_of", "phases_of", "view_of", "views_of"]


class SampleOptions(PanelOptions):
    """A series of patterns."""

    sample: str | None = Field(default=None, description="sample, or part of its name or of that of its arrays")


class FrameOptions(SampleOptions):
    """One pattern of a series."""

    level: Annotated[int, Field(ge=0)] | None = Field(default=None, description="the frame by its number, from 0")
    voltage: float | None = Field(default=None, description="else the frame at this voltage, on the way up (V)")


def _collect(run: Run) -> dict[str, SeriesView]:
    views = collect_views(run)
    twice = [view.series.name for view in views]
    return {
        f"{v.series.sample} ({v.series.name}{', ' + v.series.method if twice.count(v.series.name) > 1 else ''})": v
        for v in views
    }


def views_of(place: Place, pipeline: str) -> dict[str, SeriesView]:
    """Return the series of a pipeline by their names."""
    return place.source.collect(pipeline, _collect)


def view_of(place: Place, pipeline: str, sample: str | None) -> SeriesView:
    """Return the series of a sample."""
    return one_of(views_of(place, pipeline), sample, "series")


def phases_of(place: Place, views: Sequence[SeriesView]) -> dict[str, str]:
    """Return the colours of the phases of some series."""
    fixed = phase_colours(views)
    return place.colours.of(fixed, tuple(fixed.values()) or ("#000000",), fixed)


def frame_of(view: SeriesView, options: FrameOptions) -> int:
    """Return the row of a frame; without a choice the one at the highest voltage, or the first."""
    count = len(view.series.rows)
    if options.level is not None:
        if options.level >= count:
            raise DataError(f"there is no frame {options.level}", source=view.series.name, hint=f"{count}, from 0")
        return options.level
    if view.voltage is None or not np.isfinite(view.voltage).any():
        return 0
    if options.voltage is None:
        return view.turn
    return int(np.nanargmin(np.abs(view.voltage[: view.turn + 1] - options.voltage)))
