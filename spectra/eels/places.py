"""The places of a scan: spectra of single files, or what a spectrum image holds along one of its axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError
from layerscope.measured.measurement import Measurement, most_usual, same_axis
from layerscope.measured.series import Level, MeasuredSeries, Rejected
from layerscope.records import InputFile, SampleState

from .options import ScanTable
from .spectrum import SpectrumImage

__all__ = ["Place", "Scan", "scan_of", "without"]

FloatArray = NDArray[np.float64]

MOST_PLACES = 2000
"""Places of one scan at most: each has a record of its own."""


@dataclass(frozen=True, eq=False)
class Place:
    """One place of a scan.

    Attributes
    ----------
    index : int
        Number in the scan, from 0.
    level : Level
        File that it is from.
    depth_nm : float or None
    """

    index: int
    level: Level[SpectrumImage]
    depth_nm: float | None

    def state(self, series: MeasuredSeries[SpectrumImage]) -> SampleState:
        """Return what a record of it is about."""
        update = {"frame": self.index, "depth_nm": self.depth_nm}
        return series.state(self.level).model_copy(update=update)

    def inputs(self, series: MeasuredSeries[SpectrumImage]) -> list[InputFile]:
        """Return what a record of it rests on."""
        return series.inputs(f"place={self.index}", self.level)


@dataclass(frozen=True, eq=False)
class Scan:
    """All places of a series on one axis.

    Attributes
    ----------
    energy : ndarray, shape (n,)
        eV, as in the file.
    counts : ndarray, shape (L, n)
    places : tuple of Place
        L of them.
    rejected : tuple of Rejected
    measured : SpectrumImage
        One of the files, for its words.
    notes : tuple of str
        What of the files was left out.
    """

    energy: FloatArray
    counts: FloatArray
    places: tuple[Place, ...]
    rejected: tuple[Rejected, ...]
    measured: SpectrumImage
    notes: tuple[str, ...] = ()

    @property
    def along(self) -> tuple[FloatArray, str, str]:
        """Where the places are, with name and unit: their depth, or their number."""
        depths = [place.depth_nm for place in self.places]
        if all(depth is not None for depth in depths):
            return np.array(depths, float), "depth", "nm"
        return np.array([float(place.index) for place in self.places]), "place", "1"

    def curves(self) -> list[Measurement]:
        """Return the places as curves, for their noise."""
        return [Measurement(self.energy, row, self.measured.intensity_unit) for row in self.counts]


def scan_of(series: MeasuredSeries[SpectrumImage], table: ScanTable, kind: str) -> Scan:
    """Unfold the files of a series into places.

    Parameters
    ----------
    series : MeasuredSeries
    table : ScanTable
    kind : {"EELS", "EDS"}
        Spectra that say that they are of another kind are rejected.

    Raises
    ------
    DataError
        If nothing can be used, or there are too many places.
    """
    used, rejected, notes = _chosen(series, table, kind)
    usual = most_usual([level.measurement for level in used])
    places: list[Place] = []
    rows: list[FloatArray] = []
    for level in used:
        if not same_axis(usual, level.measurement):
            axis = level.measurement.axis
            error = DataError(
                f"{level.measurement.name} runs from {axis[0]:g} to {axis[-1]:g} eV ({axis.size} channels), others not",
                source=level.measurement.source or None,
                hint="series of their own for other axes",
            )
            rejected.append(Rejected(level.index, level.file, error))
            continue
        profile, step = _profile(level.measurement, table)
        step = table.step_nm or step
        for spectrum in profile:
            index = len(places)
            known = np.isfinite(step) and (len(profile) > 1 or table.step_nm is not None)
            places.append(Place(index, level, float(table.start_nm + index * step * table.bin) if known else None))
            rows.append(spectrum)
    if len(places) > MOST_PLACES:
        raise DataError(
            f"{len(places)} places are too many for a line scan (at most {MOST_PLACES})", hint="sum neighbours: bin"
        )
    return Scan(usual.axis, np.stack(rows), tuple(places), tuple(rejected), usual, notes)


def _chosen(
    series: MeasuredSeries[SpectrumImage], table: ScanTable, kind: str
) -> tuple[list[Level[SpectrumImage]], list[Rejected], tuple[str, ...]]:
    """Return what of each file is meant, what cannot be used, and what was left out.

    Of a file with several spectra it is those of the kind, and the image where single spectra, such as those of every
    detector, stand beside it.

    Raises
    ------
    DataError
        If a file holds several images, or nothing can be used.
    """
    files: dict[tuple[int, str], list[Level[SpectrumImage]]] = {}
    for level in series.levels:
        files.setdefault((level.file, level.measurement.source), []).append(level)
    kept: list[Level[SpectrumImage]] = []
    rejected, notes = list(series.rejected), []
    for (_, source), levels in files.items():
        right = [level for level in levels if level.measurement.kind in ("", kind)]
        right = [level for level in right if table.signal in (None, level.measurement.scan)]
        if not right:
            kinds = ", ".join(f"{level.measurement.scan}: {level.measurement.kind}" for level in levels)
            error = DataError(f"{levels[0].measurement.name} holds no {kind} that is meant ({kinds})", source=source)
            rejected.append(Rejected(levels[0].index, levels[0].file, error))
            continue
        images = [level for level in right if level.measurement.image is not None]
        if len(images) > 1:
            numbers = ", ".join(str(level.measurement.scan) for level in images)
            raise DataError(f"it holds {len(images)} images: {numbers}", source=source, hint="name one: signal")
        chosen = images or right
        if len(chosen) < len(levels):
            notes.append(f"{source}: {len(levels) - len(chosen)} other spectra of the file are left out")
        kept += chosen
    if not kept:
        raise rejected[0].error if rejected else DataError("there is no spectrum")
    return kept, rejected, tuple(notes)


def _profile(one: SpectrumImage, table: ScanTable) -> tuple[FloatArray, float]:
    """Return the spectra along the scan, shape (places, n), and the distance of two of them (nm)."""
    if one.image is None:
        return one.intensity[None], float("nan")
    rows, columns = one.places
    along_rows = table.along == "y" or (table.along == "longer" and rows > columns)
    image: NDArray[Any] = one.image
    profile = image.sum(axis=1 if along_rows else 0, dtype=float)
    whole = len(profile) // table.bin
    if not whole:
        raise DataError(f"{one.name} has {len(profile)} places, fewer than bin", source=one.source or None)
    binned = profile[: whole * table.bin].reshape(whole, table.bin, -1).sum(axis=1)
    return binned, one.step_nm[0 if along_rows else 1]


def without(scan: Scan, errors: dict[int, DataError]) -> Scan:
    """Return the scan without some places, named by their row, each with the reason."""
    kept = [k for k in range(len(scan.places)) if k not in errors]
    lost: Sequence[Rejected] = [
        Rejected(scan.places[k].index, scan.places[k].level.file, error) for k, error in errors.items()
    ]
    return replace(
        scan, counts=scan.counts[kept], places=tuple(scan.places[k] for k in kept), rejected=(*scan.rejected, *lost)
    )
