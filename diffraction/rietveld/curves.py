"""Refined patterns as arrays: one stack a range and engine, with observed, calculated and background curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layerscope.runs.arrays import Marks, SeriesArrays
from layerscope.runs.levels import array_name, level_fields
from layerscope.runs.pipeline import RunContext

from ..frames import Frame, FrameSeries
from ..radiation import FloatArray
from .result import RietveldResult

__all__ = ["refinement_arrays"]

Refined = tuple[Frame, RietveldResult]


def refinement_arrays(
    context: RunContext, series: FrameSeries, engine: str, refined: Sequence[Refined]
) -> list[SeriesArrays]:
    """Return the curves of all refined frames, those of one axis together.

    Parameters
    ----------
    context : RunContext
    series : FrameSeries
    engine : str
    refined : sequence of (Frame, RietveldResult)
    """
    groups: dict[tuple[int, float, float], list[Refined]] = {}
    for frame, result in refined:
        x = result.curves.two_theta
        groups.setdefault((x.size, round(float(x[0]), 4), round(float(x[-1]), 4)), []).append((frame, result))
    arrays = []
    for number, members in enumerate(groups.values()):
        parts = [engine]
        if number:
            parts.append(f"axis{number + 1}")
        arrays.append(_stacked(context, array_name(context, series, *parts), series, engine, members))
    return arrays


def _marks(members: Sequence[Refined]) -> dict[str, Marks]:
    """Return the reflections of each phase within the range of each pattern (degrees, to 0.001)."""
    phases = sorted({phase for _, result in members for phase in result.curves.ticks})
    found: dict[str, list[FloatArray | None]] = {phase: [] for phase in phases}
    for _, result in members:
        low, high = result.curves.two_theta[0], result.curves.two_theta[-1]
        for phase in phases:
            angles = result.curves.ticks.get(phase)
            inside = None if angles is None else angles[(angles >= low) & (angles <= high)]
            found[phase].append(None if inside is None else np.unique(np.round(inside, 3)))
    return {phase: tuple(angles) for phase, angles in found.items()}


def _stacked(
    context: RunContext, name: str, series: FrameSeries, engine: str, members: Sequence[Refined]
) -> SeriesArrays:
    frames = [frame for frame, _ in members]
    curves = [result.curves for _, result in members]
    return SeriesArrays(
        name=name,
        axis_name="two_theta",
        title=f"{series.sample}: refined with {engine}",
        **level_fields(context, series, frames),
        axis=np.array(curves[0].two_theta, dtype=float),
        counts=np.stack([c.observed for c in curves]),
        variance=np.stack([c.sigma**2 for c in curves]),
        fit=np.stack([c.calculated for c in curves]),
        background=np.stack([c.background for c in curves]),
        residual=np.stack([c.residual for c in curves]),
        metadata={
            "engine": engine,
            "engine_version": members[0][1].engine_version,
            "wavelength_A": series.radiation.alpha1,
            "wavelength2_A": series.radiation.alpha2,
            "ratio": series.radiation.ratio,
        },
        marks=_marks(members),
    )
