"""The XPS dataset: what every reader returns and every analysis starts from."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError
from layerscope.measured.measurement import FloatArray, Measurement, Recording

__all__ = [
    "ELEMENTS",
    "FloatArray",
    "Spectrum",
    "XpsDataset",
    "is_core_level",
    "normalise_region",
    "require_etch_times",
]

ELEMENTS = frozenset(
    re.findall(
        r"\w+",
        """H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr
    Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt
    Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U""",
    )
)
_CORE_LEVEL = re.compile(r"([A-Za-z]{1,2})[\s_-]*([1-7])\s*([spdfSPDF])(\d?(?:/\d)?)(?![A-Za-z0-9])(.*)$", re.DOTALL)
_SURVEY = re.compile(
    r"(?:xps[\s_-]*)?(?:su1s|survey|wide|overview)(?:[\s_-]*(?:xps|survey|scans?|spectr(?:um|a)))*(?![A-Za-z])(.*)$",
    re.IGNORECASE | re.DOTALL,
)
_SCAN_WORD = re.compile(r"scans?$", re.IGNORECASE)


def is_core_level(label: str) -> bool:
    """Tell whether a name is that of a core level, in any spelling."""
    match = _CORE_LEVEL.match(" ".join(label.split()))
    return match is not None and match[1].capitalize() in ELEMENTS and not match[5].strip()


def normalise_region(label: str) -> str:
    """Write a region's name the way the field does.

    Parameters
    ----------
    label : str
        The name in the file, for instance ``"B1s"``, ``"b 1s"``, ``"Fe2p Scan"``, ``"Su1s"``, ``"XPS Survey"``.

    Returns
    -------
    str
        ``"B 1s"``, ``"Fe 2p"``, ``"Survey"``; a name that is not a core level comes back with single spaces.
    """
    text = " ".join(label.split())
    if survey := _SURVEY.match(text):
        return f"Survey{survey[1]}"
    match = _CORE_LEVEL.match(text)
    if match is None or match[1].capitalize() not in ELEMENTS:
        return text
    component = f"{match[4]}/2" if match[4] in ("1", "3", "5", "7") else match[4]  # PHI writes 3d5 for 3d5/2
    name = f"{match[1].capitalize()} {match[2]}{match[3].lower()}{component}"
    rest = match[5].rstrip()
    return name if not rest or _SCAN_WORD.match(rest.strip(" _-")) else name + rest


@dataclass(frozen=True, eq=False)
class Spectrum(Measurement):
    """One region at one level, as measured: a `Measurement` over the binding energy in eV.

    The binding energy is the photon energy minus the kinetic energy on the axis that the file gives. The analyser's
    work function is contained in the file's kinetic energy and is not subtracted again. Intensities are summed over all
    scans, or a rate, and not corrected for transmission.

    Parameters
    ----------
    region : str
        Normalised name, ``"B 1s"``.
    region_label : str
        The name as it stands in the file.
    level : int
        Depth-profile level from 0 (0 when there is only one).
    dwell_time_s : float, optional
        Time per point and scan in s.
    scans : int, optional
        Number of scans summed.
    transmission : ndarray of float64, shape (n,), optional
        Relative transmission of the analyser, if the file gives it.
    pass_energy_eV, excitation_energy_eV, work_function_eV : float, optional
        Settings of analyser and source in eV.
    etch_time_s, depth_nm, angle_deg : float, optional
        Total sputter time before this level, depth, and emission angle against the surface normal.
    block : int
        Index of the block or region in the file, from 0.
    comments : tuple of str
        Comment lines of the block.
    """

    region: str = ""
    region_label: str = ""
    level: int = 0
    dwell_time_s: float | None = None
    scans: int | None = None
    transmission: FloatArray | None = None
    pass_energy_eV: float | None = None
    excitation_energy_eV: float | None = None
    work_function_eV: float | None = None
    etch_time_s: float | None = None
    depth_nm: float | None = None
    angle_deg: float | None = None
    block: int = 0
    comments: tuple[str, ...] = ()

    AXIS_WORDS: ClassVar[tuple[str, str]] = ("an energy", "energies")
    INTENSITY_WORD: ClassVar[str] = "counts"

    @property
    def name(self) -> str:
        """What the messages call it."""
        return f"level {self.level} of {self.region_label!r}"

    @property
    def label(self) -> str:
        """The core level."""
        return self.region

    @property
    def axis_name(self) -> str:
        """What the axis is."""
        return "binding_energy"

    @property
    def axis_unit(self) -> str:
        """Unit of the axis."""
        return "eV"

    @property
    def binding_energy(self) -> FloatArray:
        """Binding energy in eV, shape (n,), ascending."""
        return self.axis

    @property
    def counts(self) -> FloatArray:
        """Intensity in `intensity_unit`, shape (n,)."""
        return self.intensity

    @property
    def exposure_s(self) -> float | None:
        """Dwell time times scans in s, or None if the file does not give both: counts per (count/s)."""
        if self.dwell_time_s is None or self.scans is None:
            return None
        return self.dwell_time_s * self.scans

    def ascending(self) -> Self:
        """Return it with its energies rising; irregular scans are sorted, and equal energies keep their order."""
        order = np.argsort(self.axis, kind="stable")
        return self if (np.diff(order) == 1).all() else self.reordered(order)

    def reordered(self, order: slice | NDArray[np.intp]) -> Self:
        """Return it with its points in another order."""
        transmission = None if self.transmission is None else self.transmission[order]
        return replace(super().reordered(order), transmission=transmission)

    def check(self, source: str | Path | None = None) -> None:
        """Refuse values that no analysis could use.

        Parameters
        ----------
        source : str or Path, optional
            The file, to be named in the error.

        Raises
        ------
        DataError
            As `Measurement.check`, or if the transmission does not match the energies or is not positive.
        """
        super().check(source)
        transmission = self.transmission
        if transmission is None:
            return
        if transmission.shape != self.axis.shape:
            raise DataError(f"{self.name} has a transmission that does not match its energies", source=source)
        if not (np.isfinite(transmission).all() and (transmission > 0).all()):
            raise DataError(f"{self.name} has a transmission that is not positive", source=source)


@dataclass(frozen=True, eq=False)
class XpsDataset(Recording[Spectrum]):
    """All spectra of one file, folder or archive, in order."""

    @property
    def spectra(self) -> tuple[Spectrum, ...]:
        """The spectra."""
        return self.measurements

    def regions(self) -> tuple[str, ...]:
        """Return the normalised region names in order of first appearance."""
        return tuple(dict.fromkeys(spectrum.region for spectrum in self.spectra))

    def levels(self, region: str, *, sample: str | None = None) -> tuple[Spectrum, ...]:
        """Return one region at all its levels, on whatever axes.

        Parameters
        ----------
        region : str
            Region, in any spelling.
        sample : str, optional
            Needed only if several samples in the file hold this region.

        Returns
        -------
        tuple of Spectrum
            Ordered by level.

        Raises
        ------
        DataError
            If the region is not in the file, or several samples hold it.
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
        return tuple(found)


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
