"""What a run keeps of X-ray spectra: the sum with its fit, counts along the scan, and maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from layerscope.measured.series import MeasuredSeries
from layerscope.runs.arrays import SeriesArrays, SeriesParameter
from layerscope.runs.pipeline import RunContext

from ..spectrum import SpectrumImage
from .measure import LineScan

__all__ = ["MAP", "SUM", "map_arrays", "scan_arrays"]

MAP, SUM = "map of net counts", "sum of all places"
"""What the arrays say that they are."""

FloatArray = NDArray[np.float64]


def scan_arrays(
    context: RunContext, series: MeasuredSeries[SpectrumImage], result: LineScan, name: str
) -> SeriesArrays:
    """Return the sum of all places with its fit."""
    tuned, scan = result.tuned, result.scan
    inside = slice(*_range(result))
    total = scan.counts[:, inside].sum(axis=0)
    half = 0.5 * float(scan.energy[1] - scan.energy[0])
    borders = np.append(scan.energy[inside] - half, scan.energy[inside][-1] + half)
    curves = {
        one.name: result.total.value[0, k] * tuned.detector.spectrum(borders, one)[None]
        for k, one in enumerate(result.families)
    }
    parts = result.total.parts()
    sigma = np.sqrt(sum(part**2 for part in parts.values()))
    return SeriesArrays(
        name=f"{name}_sum",
        technique=context.pipeline.technique,
        title=f"{series.sample}: {SUM}",
        sample=series.sample,
        axis=scan.energy[inside],
        axis_name="energy",
        axis_unit="eV",
        levels=np.array([0.0]),
        level_name="sum",
        level_unit="1",
        counts=total[None],
        variance=np.maximum(tuned.expected, 0.0)[None],
        fit=tuned.expected[None],
        background=tuned.background[None],
        residual=tuned.residual[None],
        components=curves,
        component_area={one.name: result.total.value[:, k] for k, one in enumerate(result.families)},
        component_area_sigma={one.name: sigma[:, k] for k, one in enumerate(result.families)},
        parameters={"fwhm": SeriesParameter(np.array([tuned.detector.fwhm_eV]), np.array([np.nan]), "eV")},
        area_unit="counts",
        metadata={"fit": SUM, "beam_kV": scan.measured.beam_kV},
        base=context.base,
    )


def _range(result: LineScan) -> tuple[int, int]:
    """Return the first channel in use and the one after the last."""
    size = result.tuned.expected.size
    first = int(np.searchsorted(result.scan.energy, result.first_eV - 1e-9))
    return first, first + size


def map_arrays(
    context: RunContext, series: MeasuredSeries[SpectrumImage], result: LineScan, name: str
) -> list[SeriesArrays]:
    """Return the net counts of every place of an image, one map a line; errors are those of counting."""
    one = result.scan.measured
    if one.image is None or 1 in one.places:
        return []
    rows, columns = one.places
    first, last = _range(result)
    spectra = one.image.reshape(rows * columns, -1)[:, first:last]
    weights = result.counted.weights
    counts = np.asarray(spectra @ weights.T, float).reshape(rows, columns, -1)
    variance = np.asarray(spectra @ (weights**2).T, float).reshape(rows, columns, -1) + 1.0
    steps = [float(step) if np.isfinite(step) else 1.0 for step in one.step_nm]
    unit = "nm" if np.isfinite(one.step_nm).all() else "1"
    made = []
    for k, line in enumerate(result.families):
        values = counts[..., k]
        made.append(
            SeriesArrays(
                name=f"{name}_map_{line.name.replace(' ', '_')}",
                technique=context.pipeline.technique,
                title=f"{series.sample}: {line.name}",
                sample=series.sample,
                axis=steps[1] * np.arange(columns, dtype=float),
                axis_name="x",
                axis_unit=unit,
                levels=steps[0] * np.arange(rows, dtype=float),
                level_name="y",
                level_unit=unit,
                counts=values,
                variance=variance[..., k],
                fit=values.copy(),
                background=np.zeros_like(values),
                residual=np.zeros_like(values),
                area_unit="counts",
                metadata={"fit": MAP, "line": line.name},
                base=context.base,
            )
        )
    return made
