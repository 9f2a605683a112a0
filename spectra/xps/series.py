"""Bring the spectra of one depth profile together: every region at all levels, with times and exposures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError
from layerscope.measured.series import most_usual, same_axis

from .dataset import Spectrum, XpsDataset, count_quantum, normalise_region, require_etch_times
from .options import RegionTable, SeriesTable

__all__ = ["RegionSpectra", "RejectedLevel", "merge_levels", "metadata", "region_spectra"]

FloatArray = NDArray[np.float64]

MAX_COUNTS = 2.0**53


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
    rejected : tuple of RejectedLevel
        Levels that could not be used.
    notes : tuple of str
        What else was left out, and why.
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
    rejected: tuple[RejectedLevel, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[float, ...]:
        """What tells that levels of two regions are the same: their times, or their numbers where there are none."""
        values = [s.level for s in self.spectra] if self.times is None else self.times
        return tuple(float(v) for v in values)

    def only(self, rows: Sequence[int]) -> RegionSpectra:
        """Return some of the levels, by their place."""
        at = list(rows)
        return replace(
            self,
            spectra=tuple(self.spectra[i] for i in at),
            files=tuple(self.files[i] for i in at),
            y=self.y[at],
            exposure=self.exposure[at],
            live_time_s=self.live_time_s[at],
            times=None if self.times is None else self.times[at],
        )


@dataclass(frozen=True)
class RejectedLevel:
    """A level that cannot take part in the series.

    Attributes
    ----------
    level : int
        Its number.
    file : int
        Which file of the series it comes from.
    time : float or None
        Its etch time or moment (s).
    error : DataError
        Why.
    """

    level: int
    file: int
    time: float | None
    error: DataError


def merge_levels(datasets: Sequence[XpsDataset], region: str, sample: str | None) -> tuple[tuple[Spectrum, int], ...]:
    """Return the levels of a region over all files of a series, each with the index of its file.

    Raises
    ------
    DataError
        If a file does not hold the region.
    """
    found: list[tuple[Spectrum, int]] = []
    name = normalise_region(region)
    for index, dataset in enumerate(datasets):
        if len(datasets) > 1 and name not in dataset.regions():
            raise DataError(f"there is no region {name!r}", source=dataset.source)
        levels = dataset.levels(region, sample=sample, allow_unequal_axes=True)
        found += [(replace(s, level=len(found) + k), index) for k, s in enumerate(levels)]
    return tuple(found)


def _usable(
    pairs: tuple[tuple[Spectrum, int], ...], times: Sequence[float | None], datasets: Sequence[XpsDataset]
) -> tuple[tuple[tuple[Spectrum, int], ...], tuple[RejectedLevel, ...]]:
    """Part the levels that can be fitted together from those that cannot: bad values, or an axis of their own."""
    rejected: list[RejectedLevel] = []
    sound: list[tuple[Spectrum, int]] = []
    for (spectrum, index), time in zip(pairs, times, strict=True):
        try:
            spectrum.check(datasets[index].source.name)
            _check_size(spectrum, datasets[index].source.name)
            sound.append((spectrum, index))
        except DataError as error:
            rejected.append(RejectedLevel(spectrum.level, index, time, error))
    if not sound:
        raise rejected[0].error
    usual = most_usual([s for s, _ in sound])
    common = usual.binding_energy
    kept = []
    for spectrum, index in sound:
        if same_axis(usual, spectrum):
            kept.append((spectrum, index))
            continue
        axis = spectrum.binding_energy
        unlike = DataError(
            f"level {spectrum.level} of {spectrum.region!r} has {axis.size} points from {axis[0]:g} to {axis[-1]:g} eV,"
            f" the series {common.size} from {common[0]:g} to {common[-1]:g} eV: it is left out",
            source=datasets[index].source.name,
        )
        rejected.append(RejectedLevel(spectrum.level, index, times[spectrum.level], unlike))
    if 2 * len(kept) <= len(pairs) and len(pairs) > 1:
        raise rejected[-1].error
    return tuple(kept), tuple(rejected)


def _check_size(spectrum: Spectrum, source: str) -> None:
    """Refuse numbers that no counter can show: beyond 2^53 neighbouring whole numbers cannot be told apart."""
    if float(spectrum.counts.max(initial=0.0)) > MAX_COUNTS:
        raise DataError(
            f"region {spectrum.region!r} at level {spectrum.level} has counts of up to "
            f"{float(spectrum.counts.max()):g}, which no detector gives",
            source=source,
            hint="the file is damaged, or a column is not what it is said to be",
        )


def region_spectra(datasets: Sequence[XpsDataset], table: RegionTable, series: SeriesTable) -> RegionSpectra:
    """Return one region of a series as arrays, checked.

    Raises
    ------
    DataError
        If the region is missing, its levels do not fit together, counts cannot be told from rates, times are missing,
        or the recipe's range leaves too few points.
    """
    source = datasets[0].source.name
    merged = merge_levels(datasets, table.name, series.select_sample)
    merged = _with_times(merged, series, source)
    pairs, rejected = _usable(merged, [s.etch_time_s for s, _ in merged], datasets)
    spectra = tuple(s for s, _ in pairs)
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
        None if len(merged) == 1 and spectra[0].etch_time_s is None else require_etch_times(spectra, source),
        transmission,
        rejected,
    )


def _exposures(spectra: tuple[Spectrum, ...], series: SeriesTable, source: str) -> tuple[FloatArray, FloatArray]:
    units = {s.intensity_unit for s in spectra}
    quantum = _quanta(spectra)
    if len(units) > 1:
        raise DataError(f"region {spectra[0].region!r} mixes counts and rates", source=source)
    times = [s.exposure_s for s in spectra]
    if units == {"counts"}:
        exposure = np.full(len(spectra), series.exposure) if series.exposure else 1.0 / quantum
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
    return np.array([float(t or 1.0) for t in times]) / quantum, np.ones(len(spectra))


def _quanta(spectra: tuple[Spectrum, ...]) -> FloatArray:
    """Return the step of the counts of each level: counts divided down by the instrument are noisier than they look."""
    known = [s for s in spectra if s.intensity_unit == "counts" or s.exposure_s is not None]
    if len(known) < len(spectra):
        return np.ones(len(spectra))
    return np.full(len(spectra), min(count_quantum(s) for s in spectra))


def _with_times(
    pairs: tuple[tuple[Spectrum, int], ...], series: SeriesTable, source: str
) -> tuple[tuple[Spectrum, int], ...]:
    """Put the recipe's times in place of the files'."""
    given = series.etch_times_s or series.times_s
    if given is None:
        return pairs
    if len(given) != len(pairs):
        raise DataError(
            f"the recipe gives {len(given)} times for {len(pairs)} levels of {pairs[0][0].region!r}", source=source
        )
    return tuple((replace(s, etch_time_s=t), i) for (s, i), t in zip(pairs, given, strict=True))


def metadata(spectra: Sequence[Spectrum]) -> dict[str, str | int | float | bool | None]:
    """Return the instrument settings that the arrays of a region carry."""
    first = spectra[0]
    found: Mapping[str, str | int | float | bool | None] = {
        "region": first.region,
        "excitation_energy_eV": first.excitation_energy_eV,
        "pass_energy_eV": first.pass_energy_eV,
        "work_function_eV": first.work_function_eV,
        "dwell_time_s": first.dwell_time_s,
        "scans": first.scans,
        "instrument": first.metadata.get("instrument"),
    }
    return dict(found)
