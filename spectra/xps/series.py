"""Bring the spectra of one depth profile together: every region at all levels, with times and exposures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError

from .dataset import Spectrum, XpsDataset, normalise_region, require_etch_times
from .recipe import RegionTable, SeriesTable

__all__ = ["RegionSpectra", "merge_levels", "region_spectra"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class RegionSpectra:
    """One region at all its levels, as arrays.

    Attributes
    ----------
    spectra : tuple of Spectrum
        One a level.
    files : tuple of int
        Which file of the series each level comes from.
    x : ndarray, shape (n,)
        Binding energy (eV), ascending, inside the recipe's range.
    y : ndarray, shape (L, n)
        Intensities.
    unit : str
        ``counts`` or ``counts/s``.
    exposure : ndarray, shape (L,)
        Counts per unit of intensity.
    live_time_s : ndarray, shape (L,)
        Seconds behind each unit of counts: what makes areas of regions comparable (1 where intensities are rates).
    times : ndarray, shape (L,), or None
        Etch times (s); None for a single level without one.
    transmission : ndarray, shape (n,), or None
        Of the analyser, mean over the levels.
    """

    spectra: tuple[Spectrum, ...]
    files: tuple[int, ...]
    x: FloatArray
    y: FloatArray
    unit: str
    exposure: FloatArray
    live_time_s: FloatArray
    times: FloatArray | None
    transmission: FloatArray | None


def merge_levels(datasets: Sequence[XpsDataset], region: str, sample: str | None) -> tuple[tuple[Spectrum, int], ...]:
    """Return the levels of a region over all files of a series, each with the index of its file.

    Raises
    ------
    DataError
        If no file holds the region, or axes differ between levels.
    """
    found: list[tuple[Spectrum, int]] = []
    name = normalise_region(region)
    for index, dataset in enumerate(datasets):
        if len(datasets) > 1 and name not in dataset.regions():
            raise DataError(f"there is no region {name!r}", source=dataset.source)
        levels = dataset.levels(region, sample=sample)
        found += [(replace(s, level=len(found) + k), index) for k, s in enumerate(levels)]
    whole = replace(datasets[0], spectra=tuple(replace(s, sample="") for s, _ in found))
    whole.levels(region)  # checks that all files share one axis
    return tuple(found)


def region_spectra(datasets: Sequence[XpsDataset], table: RegionTable, series: SeriesTable) -> RegionSpectra:
    """Return one region of a series as arrays, checked.

    Raises
    ------
    DataError
        If the region is missing, its levels do not fit together, counts cannot be told from rates, times are missing,
        or the recipe's range leaves too few points.
    """
    pairs = merge_levels(datasets, table.name, series.select_sample)
    spectra = tuple(s for s, _ in pairs)
    source = datasets[0].source.name
    for spectrum, index in pairs:
        spectrum.check(datasets[index].source.name)
    x = spectra[0].binding_energy
    inside = np.ones(x.size, bool)
    if table.range_eV is not None:
        inside = (x >= table.range_eV[0]) & (x <= table.range_eV[1])
    if inside.sum() < 5 + 3 * len(table.components):
        raise DataError(
            f"region {table.name!r} has {int(inside.sum())} points in the range to fit, too few for "
            f"{len(table.components)} components",
            source=source,
            hint=f"measured: {x[0]:g} to {x[-1]:g} eV",
        )
    y = np.stack([s.counts for s in spectra])[:, inside]
    exposure, live = _exposures(spectra, series, source)
    transmission = None
    if all(s.transmission is not None for s in spectra):
        transmission = np.mean([s.transmission for s in spectra if s.transmission is not None], axis=0)[inside]
    return RegionSpectra(
        spectra,
        tuple(i for _, i in pairs),
        x[inside],
        y,
        spectra[0].intensity_unit,
        exposure,
        live,
        _times(spectra, series, source),
        transmission,
    )


def _exposures(spectra: tuple[Spectrum, ...], series: SeriesTable, source: str) -> tuple[FloatArray, FloatArray]:
    units = {s.intensity_unit for s in spectra}
    if len(units) > 1:
        raise DataError(f"region {spectra[0].region!r} mixes counts and rates", source=source)
    times = [s.count_scale for s in spectra]
    if units == {"counts"}:
        exposure = np.full(len(spectra), series.exposure or 1.0)
        live = np.array([t if t is not None else 1.0 for t in times])
        if any(t is None for t in times):
            live = np.ones(len(spectra))
        return exposure, live
    if series.exposure is not None:
        return np.full(len(spectra), series.exposure), np.ones(len(spectra))
    if any(t is None for t in times):
        raise DataError(
            f"region {spectra[0].region!r} holds counts per second without dwell time and scans: its counting error is "
            "unknown",
            source=source,
            hint="give series.exposure, the counts behind one count per second",
        )
    return np.array([float(t or 1.0) for t in times]), np.ones(len(spectra))


def _times(spectra: tuple[Spectrum, ...], series: SeriesTable, source: str) -> FloatArray | None:
    given = series.etch_times_s or series.times_s
    if given is not None:
        if len(given) != len(spectra):
            raise DataError(
                f"the recipe gives {len(given)} times for {len(spectra)} levels of {spectra[0].region!r}", source=source
            )
        spectra = tuple(replace(s, etch_time_s=t) for s, t in zip(spectra, given, strict=True))
    if len(spectra) == 1 and spectra[0].etch_time_s is None:
        return None
    return require_etch_times(spectra, source)


def metadata(spectra: Sequence[Spectrum], datasets: Sequence[XpsDataset]) -> dict[str, str | int | float | bool | None]:
    """Return the instrument settings that the arrays of a region carry."""
    first = spectra[0]
    found: Mapping[str, str | int | float | bool | None] = {
        "region": first.region,
        "excitation_energy_eV": first.excitation_energy_eV,
        "pass_energy_eV": first.pass_energy_eV,
        "work_function_eV": first.work_function_eV,
        "dwell_time_s": first.dwell_time_s,
        "scans": first.scans,
        "instrument": datasets[0].metadata.get("instrument"),
    }
    return dict(found)
