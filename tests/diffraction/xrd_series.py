"""Puts what a reader gave on one axis, as the pipelines do."""

from __future__ import annotations

from layerscope.diffraction.dataset import Pattern, PatternSeries

from layerscope.measured.series import Level, Stack, stack_levels


def on_one_axis(series: PatternSeries) -> Stack[Pattern]:
    """Return the frames on the axis that most of them have; the others are in ``rejected``."""
    return stack_levels([Level(frame.index, 0, frame) for frame in series.frames], least=1)


def left_out(series: PatternSeries) -> list[int]:
    """Return the numbers of the frames that have another axis."""
    return [frame.index for frame in on_one_axis(series).rejected]
