"""Radiation: tube lines, wavelengths that cannot be right, and the ways from 2θ to Q to d."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from layerscope.errors import DataError

__all__ = [
    "TUBE_LINES",
    "AxisKind",
    "FloatArray",
    "Radiation",
    "TubeLine",
    "convert_axis",
    "lorentz_polarisation",
    "tube_radiation",
]

FloatArray = npt.NDArray[np.float64]
AxisKind = Literal["two_theta", "q", "d"]
RadiationSource = Literal["file", "anode", "given"]

HC_KEV_ANGSTROM = 12.398419843
"""Planck's constant times the speed of light in keV Å (exact in the SI of 2019, rounded)."""

ANODE_TOLERANCE = 2e-3
"""Relative distance from the anode's K-alpha-1; 0.08 % further lies the weighted mean of the doublet."""

DOUBLET_RATIO = 0.5
"""K-alpha-2 to K-alpha-1, from the number of 2p electrons; taken where a file names only the anode."""


@dataclass(frozen=True)
class TubeLine:
    """K lines of an anode in Å.

    Parameters
    ----------
    alpha1, alpha2, beta : float
        Wavelengths in Å.
    """

    alpha1: float
    alpha2: float
    beta: float


TUBE_LINES = {
    "Ag": TubeLine(0.55942, 0.56381, 0.49708),
    "Co": TubeLine(1.78900, 1.79284, 1.62083),
    "Cr": TubeLine(2.28973, 2.29365, 2.08488),
    "Cu": TubeLine(1.5405929, 1.5444274, 1.39223),
    "Fe": TubeLine(1.93604, 1.93997, 1.75660),
    "Mo": TubeLine(0.70932, 0.71361, 0.63230),
}
"""Cu from Hölzer et al., Phys. Rev. A 56, 4554 (1997); the others to 1e-5 Å after International Tables C, 4.2.2."""


@dataclass(frozen=True)
class Radiation:
    """What illuminated the sample.

    Parameters
    ----------
    alpha1 : float
        The wavelength, or that of K-alpha-1, in Å.
    alpha2 : float, optional
        K-alpha-2 in Å; absent for one line (synchrotron, neutrons, K-alpha-1 monochromator).
    ratio : float, optional
        Intensity of K-alpha-2 over K-alpha-1.
    beta : float, optional
        K-beta in Å, as the file gives it.
    anode : str
        Chemical symbol of the anode, or nothing.
    source : {"file", "anode", "given"}
        Whether the wavelengths stand in the file, follow from the named anode, or were given by the user.
    """

    alpha1: float
    alpha2: float | None = None
    ratio: float | None = None
    beta: float | None = None
    anode: str = ""
    source: RadiationSource = "file"

    def check(self, source: str | Path | None = None) -> None:
        """Refuse wavelengths that cannot be right.

        Parameters
        ----------
        source : str or Path, optional
            The file, to be named in the error.

        Raises
        ------
        DataError
            If a wavelength is not positive, lies outside 0.05–12 Å, is that of a tube in nm or an energy in keV,
            does not belong to the named anode, or the doublet is in the wrong order or too wide.
        """
        value = self.alpha1
        if not (math.isfinite(value) and value > 0):
            raise DataError(f"the wavelength {value:g} Å is not a positive number", source=source)
        for name, line in TUBE_LINES.items():
            if abs(10 * value / line.alpha1 - 1) < ANODE_TOLERANCE:
                raise DataError(
                    f"the wavelength {value:g} is that of {name} K-alpha in nm, not in Å", source=source, hint="give Å"
                )
            if value > 3 and abs(value * line.alpha1 / HC_KEV_ANGSTROM - 1) < ANODE_TOLERANCE:
                raise DataError(
                    f"{value:g} is the energy of {name} K-alpha in keV, not a wavelength", source=source, hint="give Å"
                )
        if not 0.05 <= value <= 12:
            raise DataError(f"the wavelength {value:g} Å lies outside 0.05 to 12 Å", source=source)
        expected = TUBE_LINES.get(self.anode)
        if expected is not None and abs(value / expected.alpha1 - 1) > ANODE_TOLERANCE:
            raise DataError(
                f"the wavelength {value:g} Å does not belong to the anode {self.anode} ({expected.alpha1:g} Å)",
                source=source,
                hint="correct the header, or give the wavelength explicitly",
            )
        self._check_doublet(source)

    def _check_doublet(self, source: str | Path | None) -> None:
        if self.alpha2 is not None and not 0 <= self.alpha2 / self.alpha1 - 1 < 0.02:
            raise DataError(
                f"K-alpha-2 at {self.alpha2:g} Å does not belong to K-alpha-1 at {self.alpha1:g} Å", source=source
            )
        if self.ratio is not None and not 0 <= self.ratio <= 1:
            raise DataError(f"K-alpha-2 over K-alpha-1 is {self.ratio:g}; it lies between 0 and 1", source=source)


def tube_radiation(anode: str, *, lines: Literal["doublet", "alpha1"] = "doublet") -> Radiation:
    """Return the radiation of a tube whose file gives the anode only.

    Parameters
    ----------
    anode : str
        Chemical symbol.
    lines : {"doublet", "alpha1"}
        Whether a monochromator takes K-alpha-2 away.

    Returns
    -------
    Radiation
        With ``source="anode"``.

    Raises
    ------
    DataError
        If the anode is not known.
    """
    symbol = anode.strip().capitalize()
    line = TUBE_LINES.get(symbol)
    if line is None:
        raise DataError(f"the anode {anode!r} is not known", hint=f"known: {', '.join(TUBE_LINES)}")
    if lines == "alpha1":
        return Radiation(line.alpha1, anode=symbol, source="anode")
    return Radiation(line.alpha1, line.alpha2, DOUBLET_RATIO, line.beta, symbol, "anode")


def lorentz_polarisation(two_theta: npt.ArrayLike, polarisation: float = 0.5) -> FloatArray:
    """Return (K + (1 − K) cos² 2θ) / (sin² θ cos θ), the factor of a Bragg–Brentano powder line.

    Parameters
    ----------
    two_theta : array_like of float
        Degrees.
    polarisation : float
        K: 0.5 without a monochromator, ``1 / (1 + cos² 2θ_M)`` with one.
    """
    theta = np.radians(np.asarray(two_theta, dtype=np.float64) / 2.0)
    polarised = polarisation + (1.0 - polarisation) * np.cos(2.0 * theta) ** 2
    return np.asarray(polarised / (np.sin(theta) ** 2 * np.cos(theta)))


def convert_axis(values: npt.ArrayLike, kind: AxisKind, to: AxisKind, wavelength: float | None = None) -> FloatArray:
    """Convert between 2θ, Q and d, point by point and without re-ordering.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        2θ in degrees, Q in 1/Å or d in Å.
    kind, to : {"two_theta", "q", "d"}
        What they are, and what is wanted.
    wavelength : float, optional
        Wavelength in Å; only needed from or to 2θ.

    Returns
    -------
    ndarray of float64, shape (n,)
        Q = 4π sin(θ) / λ, d = 2π / Q (Bragg's law).

    Raises
    ------
    DataError
        If the wavelength is missing, or a Q or d lies beyond 2θ = 180°, or d is asked for at 2θ = 0.
    """
    array = np.asarray(values, dtype=np.float64)
    if kind == to:
        return array.copy()
    if "two_theta" in (kind, to) and wavelength is None:
        raise DataError(f"{kind} cannot be turned into {to} without a wavelength", hint="give the wavelength in Å")
    if kind == "two_theta":
        q = 4 * np.pi * np.sin(np.radians(array) / 2) / float(wavelength or np.nan)
    elif kind == "q":
        q = array
    else:
        q = _reciprocal(array)
    if to == "q":
        return np.asarray(q, dtype=np.float64).copy()
    if to == "d":
        return _reciprocal(q)
    sine = q * float(wavelength or np.nan) / (4 * np.pi)
    if (np.abs(sine) > 1).any():
        raise DataError(
            f"{int((np.abs(sine) > 1).sum())} points lie beyond 2θ = 180° at a wavelength of {wavelength} Å"
        )
    return np.asarray(2 * np.degrees(np.arcsin(sine)))


def _reciprocal(values: FloatArray) -> FloatArray:
    if (values <= 0).any():
        raise DataError("d is not defined where 2θ, Q or d is not positive")
    return np.asarray(2 * np.pi / values)
