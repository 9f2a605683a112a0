"""The lines that CasaXPS writes into the comments of a VAMAS block: regions, components, calibrations.

CasaXPS writes positions as kinetic energies in the calibrated frame, in which every ``Calib`` line has shifted the
axis; areas are in counts per second times eV. A number that depends on another component carries its index and a
factor (area, width) or an offset in kinetic energy (position).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from layerscope.errors import DataError

from ..dataset import Spectrum

__all__ = [
    "CasaCalibration",
    "CasaComponent",
    "CasaFit",
    "CasaRegion",
    "CasaValue",
    "parse_casa_fit",
]

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_REGION = re.compile(r"CASA region \(\*(.*?)\*\) \(\*(.*?)\*\) (.*?)(?: \(\*(.*?)\*\)(.*))?$")
_COMPONENT = re.compile(
    r"CASA comp \(\*(?P<name>.*?)\*\) \(\*(?P<shape>.*?)\*\) Area (?P<area>.*?) MFWHM (?P<fwhm>.*?) "
    r"Position (?P<position>.*?) RSF (?P<rsf>\S+) MASS (?P<mass>\S+) INDEX (?P<index>\S+) \(\*(?P<tag>.*?)\*\)"
)
_CALIBRATION = re.compile(
    rf"Calib M = ({_NUMBER})(?:\s*,\s*({_NUMBER}))?(?: A = ({_NUMBER}))?(?: (BE|KE))?", re.IGNORECASE
)
_PROCESSING = re.compile(r"(?:KECalib|InCalib|TransmissionSet|Sm |Calib)")


@dataclass(frozen=True)
class CasaValue:
    """A number with its limits and its tie to another component.

    Parameters
    ----------
    value, lower, upper : float
        The number and its limits.
    link : int, optional
        Index from 0 of the component it depends on.
    factor : float
        Factor (area, width) or offset in eV of kinetic energy (position) of that tie.
    """

    value: float
    lower: float
    upper: float
    link: int | None
    factor: float


@dataclass(frozen=True)
class CasaRegion:
    """A quantification region: limits as kinetic energies in the calibrated frame, and its background."""

    name: str
    background: str
    start: float
    end: float
    rsf: float
    average_width: float
    offsets: tuple[float, float]
    cross_section: tuple[float, float, float, float]
    tag: str


@dataclass(frozen=True)
class CasaComponent:
    """A component: area in counts/s*eV, width in eV, position as kinetic energy in the calibrated frame."""

    name: str
    line_shape: str
    area: CasaValue
    fwhm: CasaValue
    position: CasaValue
    rsf: float
    mass: float
    index: int
    tag: str


@dataclass(frozen=True)
class CasaCalibration:
    """One ``Calib`` line.

    Parameters
    ----------
    text : str
        The line.
    measured : tuple of float
        One energy, or the two ends of a range in which CasaXPS looked for the maximum.
    assigned : float, optional
        The energy it was given; without it the line shifts nothing.
    scale : {"BE", "KE"}
        What the energies are.
    """

    text: str
    measured: tuple[float, ...]
    assigned: float | None
    scale: Literal["BE", "KE"]


@dataclass(frozen=True)
class CasaFit:
    """Everything that the comments of one block say about its fit.

    Parameters
    ----------
    regions, components, calibrations : tuple
        In the order of the file.
    processing : tuple of str
        Lines about other processing (smoothing, intensity calibration), which is already in the counts or unknown.
    unread : tuple of str
        Lines that look like the above and could not be read.
    """

    regions: tuple[CasaRegion, ...] = ()
    components: tuple[CasaComponent, ...] = ()
    calibrations: tuple[CasaCalibration, ...] = ()
    processing: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def shift(self, spectrum: Spectrum | None = None) -> float:
        """Return what the calibrations add to the binding energies of the file, in eV.

        Parameters
        ----------
        spectrum : Spectrum, optional
            Needed only for a calibration that gives a range: its maximum within the range is the measured energy.

        Returns
        -------
        float
            The sum over all calibrations.

        Raises
        ------
        DataError
            If a range is given and the spectrum has no point in it.
        """
        total = 0.0
        for calibration in self.calibrations:
            if calibration.assigned is None:
                continue
            measured = calibration.measured[0]
            if len(calibration.measured) > 1:
                measured = _maximum_within(calibration, spectrum, total)
            step = calibration.assigned - measured
            total += step if calibration.scale == "BE" else -step
        return total


def _maximum_within(calibration: CasaCalibration, spectrum: Spectrum | None, shift: float) -> float:
    low, high = sorted(calibration.measured)
    if spectrum is None:
        raise DataError(f"{calibration.text!r} gives a range: the spectrum is needed to find the maximum in it")
    energy = spectrum.binding_energy + shift
    if calibration.scale == "KE":
        if spectrum.excitation_energy_eV is None:
            raise DataError(f"{calibration.text!r} needs the photon energy")
        energy = spectrum.excitation_energy_eV - energy
    inside = np.nonzero((energy >= low) & (energy <= high))[0]
    if inside.size == 0:
        raise DataError(f"the spectrum has no point in the range of {calibration.text!r}")
    return float(energy[inside[np.argmax(spectrum.counts[inside])]])


def parse_casa_fit(comments: Sequence[str]) -> CasaFit:
    """Read the CasaXPS lines among the comments of a block.

    Parameters
    ----------
    comments : sequence of str
        `Spectrum.comments`.

    Returns
    -------
    CasaFit
        Empty if there are no such lines. A line that cannot be read is kept in ``unread`` and raises nothing.
    """
    regions: list[CasaRegion] = []
    components: list[CasaComponent] = []
    calibrations: list[CasaCalibration] = []
    processing: list[str] = []
    unread: list[str] = []
    for raw in comments:
        line = raw.strip()
        try:
            if line.startswith("CASA region"):
                regions.append(_region(line))
            elif line.startswith("CASA comp"):
                components.append(_component(line))
            elif line.startswith("Calib "):
                calibrations.append(_calibration(line))
            elif _PROCESSING.match(line):
                processing.append(line)
        except (ValueError, IndexError, OverflowError):
            unread.append(line)
    return CasaFit(tuple(regions), tuple(components), tuple(calibrations), tuple(processing), tuple(unread))


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _region(line: str) -> CasaRegion:
    match = _REGION.match(line)
    if match is None:
        raise ValueError(line)
    values = [_finite(part) for part in match[3].split()]
    start, end, rsf, width, offset_1, offset_2, *cross = values
    cross_section = (*cross, 0.0, 0.0, 0.0, 0.0)[:4]
    return CasaRegion(
        name=match[1],
        background=match[2],
        start=min(start, end),
        end=max(start, end),
        rsf=rsf,
        average_width=width,
        offsets=(offset_1, offset_2),
        cross_section=(cross_section[0], cross_section[1], cross_section[2], cross_section[3]),
        tag=match[4] or "",
    )


def _component(line: str) -> CasaComponent:
    match = _COMPONENT.match(line)
    if match is None:
        raise ValueError(line)
    return CasaComponent(
        name=match["name"],
        line_shape=match["shape"],
        area=_value(match["area"]),
        fwhm=_value(match["fwhm"]),
        position=_value(match["position"]),
        rsf=_finite(match["rsf"]),
        mass=_finite(match["mass"]),
        index=int(match["index"]),
        tag=match["tag"],
    )


def _value(text: str) -> CasaValue:
    value, lower, upper, link, factor = (_finite(part) for part in text.split())
    index = int(link)
    return CasaValue(value, lower, upper, index if index >= 0 else None, factor)


def _calibration(line: str) -> CasaCalibration:
    match = _CALIBRATION.match(line)
    if match is None:
        raise ValueError(line)
    measured = tuple(_finite(part) for part in (match[1], match[2]) if part is not None)
    scale: Literal["BE", "KE"] = "KE" if (match[4] or "").upper() == "KE" else "BE"
    return CasaCalibration(line, measured, None if match[3] is None else _finite(match[3]), scale)
