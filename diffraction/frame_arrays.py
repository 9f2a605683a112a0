"""What the arrays of every diffraction series share: frames as levels, with their clock and the voltage of the cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from layerscope.measured.series import levels_of, times_of, voltages_of
from layerscope.runs.arrays import SeriesParameter
from layerscope.runs.pipeline import RunContext

from .frames import Frame, FrameSeries

__all__ = ["array_name", "frame_fields"]


def array_name(context: RunContext, series: FrameSeries, *parts: str) -> str:
    """Return a name for arrays of a series: that of the series, or of its sample, and what tells them apart."""
    return context.series_name(*(part for part in (series.table.name or series.sample, *parts) if part))


def frame_fields(context: RunContext, series: FrameSeries, frames: Sequence[Frame]) -> dict[str, Any]:
    """Return the fields of `SeriesArrays` that follow from the frames.

    Parameters
    ----------
    context : RunContext
    series : FrameSeries
    frames : sequence of Frame
        Those of the arrays, L of them.

    Returns
    -------
    dict
        Levels, numbers, units, names; ``parameters`` holds the voltage of the cell (V) where it is known.
    """
    voltage, voltage_sigma, _ = voltages_of(frames)
    levels, level_name, level_unit = levels_of(frames, times_of(frames), voltage)
    parameters = {}
    if voltage is not None:
        sigma = voltage_sigma if voltage_sigma is not None else np.full(voltage.size, np.nan)
        parameters["cell_voltage"] = SeriesParameter(voltage, sigma, "V", scope="pattern")
    unit = frames[0].measurement.intensity_unit
    shown = "counts" if unit == "arbitrary" else unit
    return {
        "sample": series.sample,
        "axis_name": "two_theta",
        "axis_unit": "deg",
        "levels": levels,
        "level_name": level_name,
        "level_unit": level_unit,
        "parameters": parameters,
        "intensity_unit": shown,
        "area_unit": f"{shown}*deg",
        "base": context.base,
        "frames": np.array([frame.index for frame in frames]),
    }
