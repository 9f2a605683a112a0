"""What a run keeps of X-ray spectra: the sum with its fit, counts along the scan, and maps."""

from __future__ import annotations

import numpy as np

from layerscope.measured.series import MeasuredSeries
from layerscope.runs.arrays import SeriesArrays, SeriesParameter
from layerscope.runs.pipeline import RunContext

from ..maps import one_map, rows_of_image
from ..spectrum import SpectrumImage
from .measure import LineScan

__all__ = ["SUM", "map_arrays", "scan_arrays"]

SUM = "sum of all places"
"""What the arrays say that they are."""


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
    spectra = rows_of_image(result.scan)
    if spectra is None:
        return []
    inside, weights = slice(*_range(result)), result.counted.weights
    counts = np.asarray(spectra[:, inside] @ weights.T, dtype=np.float64)
    variance = np.asarray(spectra[:, inside] @ (weights**2).T, dtype=np.float64) + 1.0
    return [
        one_map(context, series, result.scan, f"{name}_map", line.name, counts[:, k], variance[:, k], "counts")
        for k, line in enumerate(result.families)
    ]
