"""Bring the spectra of one depth profile together: every region at all levels, with times and exposures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError, LayerscopeError
from layerscope.measured.noise import count_quantum
from layerscope.measured.series import Level, Rejected, stack_levels

from .dataset import Spectrum, XpsDataset, normalise_region, require_etch_times
from .options import RegionTable, SeriesTable

__all__ = [
    "LEVEL_UNITS",
    "LevelKind",
    "RegionSpectra",
    "level_kind",
    "merge_levels",
    "metadata",
    "region_spectra",
    "unread_files",
]

FloatArray = NDArray[np.float64]

MAX_COUNTS = 2.0**53

LevelKind = Literal["etch_time", "time", "angle"]
LEVEL_UNITS: Mapping[LevelKind, str] = {"etch_time": "s", "time": "s", "angle": "deg"}


@dataclass(frozen=True)
class RegionSpectra:
    """One region at all its levels, as arrays.

    Attributes
    ----------
    levels : tuple of Level
        L of them, each with its spectrum and the file that it comes from.
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
        Etch times (s), moments (s) or emission angles (deg), see `level_kind`; None for a single level without one.
    transmission : ndarray, shape (n,), or None
        Of the analyser, mean over the levels.
    use : ndarray of bool, shape (L, n), or None
        Points that hold counts; None: all.
    rejected : tuple of Rejected
        Levels that could not be used.
    notes : tuple of str
        What else was left out, and why: files that could not be read, levels without a charge reference.
    """

    levels: tuple[Level[Spectrum], ...]
    x: FloatArray
    y: FloatArray
    unit: str
    exposure: FloatArray
    live_time_s: FloatArray
    times: FloatArray | None
    transmission: FloatArray | None
    use: NDArray[np.bool_] | None = None
    rejected: tuple[Rejected, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def spectra(self) -> tuple[Spectrum, ...]:
        """The spectra, one a level."""
        return tuple(level.measurement for level in self.levels)

    @property
    def keys(self) -> tuple[float, ...]:
        """What tells that levels of two regions are the same: their times, or their numbers where there are none."""
        values = [level.index for level in self.levels] if self.times is None else self.times
        return tuple(float(v) for v in values)

    def only(self, rows: Sequence[int]) -> RegionSpectra:
        """Return some of the levels, by their place."""
        at = list(rows)
        return replace(
            self,
            levels=tuple(self.levels[i] for i in at),
            y=self.y[at],
            exposure=self.exposure[at],
            live_time_s=self.live_time_s[at],
            times=None if self.times is None else self.times[at],
            use=None if self.use is None else self.use[at],
        )


def merge_levels(
    datasets: Sequence[XpsDataset],
    region: str,
    sample: str | None,
    times: Sequence[float] | None = None,
    kind: LevelKind = "etch_time",
) -> tuple[Level[Spectrum], ...]:
    """Return the levels of a region over all files of a series; `times` take the place of the files'.

    Levels at several angles come in the order of their angles.

    A file of which nothing could be read counts as one level, so that the others keep their numbers and times.

    Raises
    ------
    DataError
        If a file does not hold the region, or there are other times than levels.
    """
    found: list[tuple[int, int, Spectrum]] = []
    count, name = 0, normalise_region(region)
    for file, dataset in enumerate(datasets):
        if dataset.spectra and len(datasets) > 1 and name not in dataset.regions():
            raise DataError(f"there is no region {name!r}", source=dataset.source)
        levels = dataset.levels(region, sample=sample) if dataset.spectra else ()
        lost = _lost(dataset)
        for number in range(len(levels) + len(lost)):
            if number not in lost:
                found.append((count + number, file, levels[number - sum(at < number for at in lost)]))
        count += len(levels) + len(lost)
    if times is not None and len(times) != count:
        raise DataError(
            f"the recipe gives {len(times)} {'angles' if kind == 'angle' else 'times'} for {count} levels of {name!r}",
            source=datasets[0].source.name,
        )
    if kind == "angle":
        turned = [(n, file, s if times is None else replace(s, angle_deg=times[n])) for n, file, s in found]
        turned.sort(key=lambda level: (level[2].angle_deg or 0.0, level[0]))
        return tuple(Level(number, file, replace(s, level=number)) for number, file, s in turned)
    known = {n: s.etch_time_s if times is None else times[n] for n, _, s in found}
    return tuple(
        Level(number, file, replace(s, level=number, etch_time_s=known[number]), time_s=known[number])
        for number, file, s in found
    )


def level_kind(datasets: Sequence[XpsDataset], series: SeriesTable) -> LevelKind:
    """Return what the levels of a series differ in: what the recipe names, else etch times, else the files' angles."""
    if series.times_s is not None:
        return "time"
    if series.angles_deg is not None:
        return "angle"
    spectra = [s for dataset in datasets for s in dataset.spectra]
    if series.etch_times_s is not None or any(s.etch_time_s is not None for s in spectra):
        return "etch_time"
    angles: dict[tuple[str, str], set[float | None]] = {}
    for s in spectra:
        angles.setdefault((s.region, s.sample), set()).add(s.angle_deg)
    return "angle" if any(len(found) > 1 for found in angles.values()) else "etch_time"


def _values(levels: tuple[Spectrum, ...], kind: LevelKind, source: str) -> FloatArray:
    """Return what the levels differ in, shape (L,), rising.

    Raises
    ------
    DataError
        If it is not known of all, or the same for two.
    """
    if kind != "angle":
        return require_etch_times(levels, source)
    angles = np.array([np.nan if s.angle_deg is None else s.angle_deg for s in levels], float)
    if not np.isfinite(angles).all() or (np.diff(angles) <= 0).any():
        raise DataError(
            f"the levels of {levels[0].region!r} do not differ in their emission angles: {angles.tolist()}",
            source=source,
            hint="give angles_deg, etch_times_s or times_s in the recipe",
        )
    return angles


def unread_files(datasets: Sequence[XpsDataset]) -> list[tuple[int, int, LayerscopeError]]:
    """Return the files of which nothing could be read: the series' entry, the number in it, and why."""
    return [
        (file, p.index, p.error(str(dataset.source))) for file, dataset in enumerate(datasets) for p in dataset.problems
    ]


def _lost(dataset: XpsDataset) -> list[int]:
    """Return the numbers of levels that a file or folder lost with files that could not be read.

    They are known where every other file is a level of one region; what a file of several regions held, nobody knows.
    """
    one_each = len({(s.region, s.sample) for s in dataset.spectra}) <= 1
    return [p.index for p in dataset.problems] if one_each else []


def _sound(
    levels: Sequence[Level[Spectrum]], datasets: Sequence[XpsDataset]
) -> tuple[list[Level[Spectrum]], list[Rejected]]:
    """Part the levels whose values can be used from those whose cannot."""
    sound: list[Level[Spectrum]] = []
    rejected: list[Rejected] = []
    for level in levels:
        try:
            level.measurement.check(datasets[level.file].source.name)
            _check_size(level.measurement, datasets[level.file].source.name)
            sound.append(level)
        except DataError as error:
            rejected.append(Rejected(level.index, level.file, error, level.time_s))
    if not sound:
        raise rejected[0].error
    return sound, rejected


def _check_size(spectrum: Spectrum, source: str) -> None:
    """Refuse numbers that no counter can show: beyond 2^53 neighbouring whole numbers cannot be told apart."""
    if float(spectrum.counts.max(initial=0.0)) > MAX_COUNTS:
        raise DataError(
            f"{spectrum.name} has counts of up to {float(spectrum.counts.max()):g}, which no detector gives",
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
    kind = level_kind(datasets, series)
    given = series.angles_deg or series.etch_times_s or series.times_s
    merged = merge_levels(datasets, table.name, series.select_sample, given, kind)
    sound, rejected = _sound(merged, datasets)
    stacked = stack_levels(sound, least=1)
    rejected += stacked.rejected
    if 2 * len(stacked.levels) <= len(merged) and len(merged) > 1:
        raise rejected[-1].error
    spectra, x = tuple(level.measurement for level in stacked.levels), stacked.axis
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
    exposure, live = _exposures(spectra, series, source)
    transmission = None
    if all(s.transmission is not None for s in spectra):
        transmission = np.mean([s.transmission for s in spectra if s.transmission is not None], axis=0)[inside]
    return RegionSpectra(
        stacked.levels,
        x[inside],
        stacked.intensity[:, inside],
        spectra[0].intensity_unit,
        exposure,
        live,
        None if len(merged) == 1 and spectra[0].etch_time_s is None else _values(spectra, kind, source),
        transmission,
        _in_use(spectra, inside),
        tuple(rejected),
        tuple(f"left out: {error}" for _, _, error in unread_files(datasets)),
    )


def _in_use(spectra: Sequence[Spectrum], inside: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return which points of a range hold counts, shape (L, n); None if all do."""
    rows = np.stack([np.ones(inside.size, bool) if s.use is None else s.use for s in spectra])[:, inside]
    return None if rows.all() else rows


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
