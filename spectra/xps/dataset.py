"""The XPS dataset: what every reader returns and every analysis starts from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from layerscope.errors import DataError

__all__ = [
    "MINIMUM_POINTS",
    "FloatArray",
    "IntensityUnit",
    "Spectrum",
    "XpsDataset",
    "count_quantum",
    "normalise_region",
    "require_etch_times",
]

FloatArray = npt.NDArray[np.float64]
IntensityUnit = Literal["counts", "counts/s"]

MINIMUM_POINTS = 5
"""Fewer points than this cannot carry a peak and a background."""

MINIMUM_DISTINCT_COUNTS = 10
"""With fewer different counts a common divisor could be chance: ten of ten are even in one of 1000 spectra."""

AXIS_TOLERANCE = 1e-3
"""Two levels share an axis if no point differs by more than this fraction of the energy step."""

_NOTHING: Mapping[str, str] = MappingProxyType({})

_ELEMENTS = frozenset(
    re.findall(
        r"\w+",
        """H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr
    Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt
    Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U""",
    )
)
_CORE_LEVEL = re.compile(r"([A-Za-z]{1,2})[\s_-]*([1-7])\s*([spdfSPDF])(\d?(?:/\d)?)(?![A-Za-z0-9])(.*)$", re.DOTALL)
_SURVEY = re.compile(r"(su1s|survey|wide|wide\s*scan|survey\s*scan)$", re.IGNORECASE)
_SCAN_WORD = re.compile(r"scans?$", re.IGNORECASE)


def normalise_region(label: str) -> str:
    """Write a region's name the way the field does.

    Parameters
    ----------
    label : str
        The name in the file, for instance ``"B1s"``, ``"b 1s"``, ``"Fe2p Scan"``, ``"Su1s"``.

    Returns
    -------
    str
        ``"B 1s"``, ``"Fe 2p"``, ``"Survey"``; a name that is not a core level comes back with single spaces.
    """
    text = " ".join(label.split())
    if _SURVEY.match(text):
        return "Survey"
    match = _CORE_LEVEL.match(text)
    if match is None or match[1].capitalize() not in _ELEMENTS:
        return text
    component = f"{match[4]}/2" if match[4] in ("1", "3", "5", "7") else match[4]  # PHI writes 3d5 for 3d5/2
    name = f"{match[1].capitalize()} {match[2]}{match[3].lower()}{component}"
    rest = match[5].rstrip()
    return name if not rest or _SCAN_WORD.match(rest.strip(" _-")) else name + rest


@dataclass(frozen=True, eq=False)
class Spectrum:
    """One region at one level, as measured.

    Parameters
    ----------
    region : str
        Normalised name, ``"B 1s"``.
    region_label : str
        The name as it stands in the file.
    level : int
        Depth-profile level from 0 (0 when there is only one).
    binding_energy : ndarray of float64, shape (n,)
        Binding energy in eV, strictly ascending: photon energy minus kinetic energy, on the axis that the file gives.
        The analyser's work function is contained in the file's kinetic energy and is not subtracted again.
    counts : ndarray of float64, shape (n,)
        Intensity in `intensity_unit`, not corrected for transmission.
    intensity_unit : {"counts", "counts/s"}
        Counts summed over all scans, or a rate.
    dwell_time_s : float, optional
        Time per point and scan in s.
    scans : int, optional
        Number of scans summed.
    transmission : ndarray of float64, shape (n,), optional
        Relative transmission of the analyser, if the file gives it.
    pass_energy_eV, excitation_energy_eV, work_function_eV : float, optional
        Settings of analyser and source in eV.
    rsf : float, optional
        Relative sensitivity factor written in the file.
    etch_time_s, depth_nm, angle_deg : float, optional
        Total sputter time before this level, depth, and emission angle against the surface normal.
    sample : str
        Sample name in the file.
    block : int
        Index of the block or region in the file, from 0.
    comments : tuple of str
        Comment lines of the block.
    metadata : mapping of str to str
        Everything else worth keeping.
    """

    region: str
    region_label: str
    level: int
    binding_energy: FloatArray
    counts: FloatArray
    intensity_unit: IntensityUnit = "counts"
    dwell_time_s: float | None = None
    scans: int | None = None
    transmission: FloatArray | None = None
    pass_energy_eV: float | None = None
    excitation_energy_eV: float | None = None
    work_function_eV: float | None = None
    rsf: float | None = None
    etch_time_s: float | None = None
    depth_nm: float | None = None
    angle_deg: float | None = None
    sample: str = ""
    block: int = 0
    comments: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    @property
    def count_scale(self) -> float | None:
        """Counts per (count/s): dwell time times scans in s, or None if the file does not give both."""
        if self.dwell_time_s is None or self.scans is None:
            return None
        return self.dwell_time_s * self.scans

    @property
    def kinetic_energy(self) -> FloatArray | None:
        """Kinetic energy in eV on the file's axis, shape (n,), descending; None without a photon energy."""
        if self.excitation_energy_eV is None:
            return None
        return np.asarray(self.excitation_energy_eV - self.binding_energy)

    def real_counts(self) -> FloatArray:
        """Return the number of counted electrons, whose variance is their number.

        Returns
        -------
        ndarray of float64, shape (n,)
            Counts.

        Raises
        ------
        DataError
            If the intensity is a rate and dwell time or number of scans is unknown.
        """
        if self.intensity_unit == "counts":
            return self.counts
        scale = self.count_scale
        if scale is None:
            raise DataError(
                f"the intensity of {self._name()} is a rate, and dwell time and number of scans are not known",
                hint="give dwell_time_s and scans, or use given weights",
            )
        return np.asarray(self.counts * scale)

    def check(self, source: str | Path | None = None) -> None:
        """Refuse values that no analysis could use.

        Parameters
        ----------
        source : str or Path, optional
            The file, to be named in the error.

        Raises
        ------
        DataError
            If there are fewer than `MINIMUM_POINTS` points, arrays of unequal length, values that are not finite,
            negative counts, or energies that do not rise strictly.
        """
        energy, counts, name = self.binding_energy, self.counts, self._name()
        if energy.ndim != 1 or counts.shape != energy.shape:
            raise DataError(f"{name} has {counts.size} counts for {energy.size} energies", source=source)
        if energy.size < MINIMUM_POINTS:
            count = "1 point" if energy.size == 1 else f"{energy.size} points"
            raise DataError(f"{name} has only {count}; at least {MINIMUM_POINTS} are needed", source=source)
        if not np.isfinite(energy).all():
            raise DataError(f"{name} has an energy that is not finite", source=source)
        self._check_counts(name, source)
        if not (np.diff(energy) > 0).all():
            raise DataError(f"the energies of {name} do not rise strictly", source=source)
        if self.transmission is not None:
            self._check_transmission(name, source)

    def _check_counts(self, name: str, source: str | Path | None) -> None:
        bad = ~np.isfinite(self.counts)
        if bad.any():
            raise DataError(f"{name} has {int(bad.sum())} counts that are NaN or infinite", source=source)
        if (self.counts < 0).any():
            raise DataError(
                f"{name} has {int((self.counts < 0).sum())} negative counts (lowest {float(self.counts.min()):g})",
                source=source,
                hint="give the counts as measured, without a subtracted background",
            )

    def _check_transmission(self, name: str, source: str | Path | None) -> None:
        transmission = self.transmission
        if transmission is None or transmission.shape != self.binding_energy.shape:
            raise DataError(f"{name} has a transmission that does not match its energies", source=source)
        if not (np.isfinite(transmission).all() and (transmission > 0).all()):
            raise DataError(f"{name} has a transmission that is not positive", source=source)

    def _name(self) -> str:
        return f"region {self.region_label!r} at level {self.level}"


@dataclass(frozen=True, eq=False)
class XpsDataset:
    """All spectra of one file.

    Parameters
    ----------
    source : Path
        The file.
    format : str
        One of the reader formats, for instance ``"vamas"``.
    reader, reader_version : str
        What read it.
    sha256 : str
        Hash of the file's bytes, hexadecimal.
    size : int
        Size of the file in bytes.
    spectra : tuple of Spectrum
        In the order of the file.
    metadata : mapping of str to str
        What the file says about itself.
    """

    source: Path
    format: str
    reader: str
    reader_version: str
    sha256: str
    size: int
    spectra: tuple[Spectrum, ...]
    metadata: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    def regions(self) -> tuple[str, ...]:
        """Return the normalised region names in order of first appearance."""
        return tuple(dict.fromkeys(spectrum.region for spectrum in self.spectra))

    def samples(self) -> tuple[str, ...]:
        """Return the sample names in order of first appearance."""
        return tuple(dict.fromkeys(spectrum.sample for spectrum in self.spectra))

    def levels(
        self, region: str, *, sample: str | None = None, allow_unequal_axes: bool = False
    ) -> tuple[Spectrum, ...]:
        """Return one region at all its levels.

        Parameters
        ----------
        region : str
            Region, in any spelling.
        sample : str, optional
            Needed only if several samples in the file hold this region.
        allow_unequal_axes : bool, default False
            Accept levels measured on different energy axes.

        Returns
        -------
        tuple of Spectrum
            Ordered by level.

        Raises
        ------
        DataError
            If the region is not in the file, several samples hold it, or two levels have different axes.
        """
        name = normalise_region(region)
        found = [s for s in self.spectra if s.region == name and (sample is None or s.sample == sample)]
        if not found:
            where = "" if sample is None else f" of sample {sample!r}"
            raise DataError(
                f"there is no region {name!r}{where}", source=self.source, hint=f"it holds {', '.join(self.regions())}"
            )
        found.sort(key=lambda s: s.level)
        if len({s.level for s in found}) < len(found):
            samples = ", ".join(repr(s) for s in dict.fromkeys(s.sample for s in found))
            raise DataError(
                f"region {name!r} was measured on several samples", source=self.source, hint=f"choose one of {samples}"
            )
        if not allow_unequal_axes:
            self._require_equal_axes(found)
        return tuple(found)

    def _require_equal_axes(self, levels: list[Spectrum]) -> None:
        first = levels[0].binding_energy
        for spectrum in levels[1:]:
            axis = spectrum.binding_energy
            tolerance = AXIS_TOLERANCE * float(np.ptp(first)) / max(first.size - 1, 1)
            if axis.shape != first.shape or float(np.max(np.abs(axis - first), initial=0.0)) > tolerance:
                raise DataError(
                    f"levels {levels[0].level} and {spectrum.level} of {spectrum.region!r} have different energy axes: "
                    f"{_describe_axis(first)} and {_describe_axis(axis)}",
                    source=self.source,
                )

    def check(self) -> None:
        """Check every spectrum.

        Raises
        ------
        DataError
            As `Spectrum.check`, or if there is no spectrum at all.
        """
        if not self.spectra:
            raise DataError("the file holds no spectrum", source=self.source)
        for spectrum in self.spectra:
            spectrum.check(self.source)


def count_quantum(spectrum: Spectrum) -> float:
    """Return the step in which the counts of a spectrum come.

    Some instruments divide a strong signal down and multiply it up again: the counts then are multiples of, say, 10,
    and their variance is not their number but 10 times it. Weights that overlook this are too strong by that factor.

    Parameters
    ----------
    spectrum : Spectrum
        With counts, or a rate whose dwell time and scans are known.

    Returns
    -------
    float
        The largest whole number that divides all counts (variance = quantum * counts); 1 if the counts are not whole,
        or too few differ to tell.

    Raises
    ------
    DataError
        If the intensity is a rate and dwell time or number of scans is unknown.
    """
    counts = spectrum.real_counts()
    whole = np.round(counts)
    # A rate stored as a 32-bit float leaves 1e-7 of the value.
    if (np.abs(counts - whole) > 0.01 + 2e-7 * np.abs(counts)).any() or np.unique(whole).size < MINIMUM_DISTINCT_COUNTS:
        return 1.0
    return float(max(int(np.gcd.reduce(whole.astype(np.int64))), 1))


def require_etch_times(levels: tuple[Spectrum, ...], source: str | Path | None = None) -> FloatArray:
    """Return the etch times of a depth profile, or refuse it.

    Parameters
    ----------
    levels : tuple of Spectrum
        One region at all levels.
    source : str or Path, optional
        The file, to be named in the error.

    Returns
    -------
    ndarray of float64, shape (levels,)
        Total etch time before each level in s.

    Raises
    ------
    DataError
        If a level has no etch time, or the times are negative, not finite or do not rise strictly.
    """
    missing = [s.level for s in levels if s.etch_time_s is None]
    if missing:
        raise DataError(
            f"no etch time for level {', '.join(map(str, missing))} of {levels[0].region!r}",
            source=source,
            hint="give etch_times_s in the recipe",
        )
    times = np.array([s.etch_time_s for s in levels], dtype=np.float64)
    if not np.isfinite(times).all() or (times < 0).any():
        raise DataError("an etch time is negative or not finite", source=source)
    if (np.diff(times) <= 0).any():
        raise DataError(f"the etch times do not rise from level to level: {times.tolist()}", source=source)
    return times


def _describe_axis(axis: FloatArray) -> str:
    if not axis.size:
        return "no points"
    return f"{axis.size} points from {axis[0]:g} to {axis[-1]:g} eV"
