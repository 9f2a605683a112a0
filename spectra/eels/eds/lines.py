"""Lines of X-rays: families of one element and shell with fixed ratios, and what a detector makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from layerscope.reference import find_entry, read_tables

__all__ = ["Detector", "Family", "atomic_weights", "family", "known_families"]

FloatArray = NDArray[np.float64]

MN_KA_EV = 5895.0
"""Where the resolution of a detector is stated."""
FANO_EV = 2.5
"""Rise of the squared width with the energy, eV² per eV (C. E. Fiori, D. E. Newbury, Scanning Electron Microscopy 1978,
I, 401)."""
LEAST_FWHM_EV = 25.0
_FWHM = 2.3548200450309493


@dataclass(frozen=True)
class Family:
    """Lines of one element and shell.

    Attributes
    ----------
    name, element : str
        ``"Co L"``, ``"Co"``.
    energies, weights : tuple of float
        eV, and intensities over that of the first line, the strongest.
    """

    name: str
    element: str
    energies: tuple[float, ...]
    weights: tuple[float, ...]

    @property
    def energy(self) -> float:
        """Energy of the strongest line in eV."""
        return self.energies[0]


@cache
def known_families() -> dict[str, Family]:
    """Return the families of lines by name."""
    found = {}
    for table in read_tables("eds").values():
        for name, lines in table["lines"].items():
            pairs = sorted(((float(e), float(w)) for e, w in lines.values()), key=lambda pair: -pair[1])
            found[name] = Family(name, name.split()[0], tuple(e for e, _ in pairs), tuple(w for _, w in pairs))
    return found


def family(name: str) -> Family:
    """Return a family by its name.

    Raises
    ------
    RecipeError
        If it is not known.
    """
    return find_entry(known_families(), name, "X-ray line", " (element and shell: 'O K', 'Co L')")


@cache
def atomic_weights() -> Mapping[str, float]:
    """Return atomic weights in g/mol by element."""
    return {element: float(value) for element, value in read_tables("elements")["masses"]["values"].items()}


@dataclass(frozen=True)
class Detector:
    """What a detector makes of a line.

    Attributes
    ----------
    fwhm_eV : float
        Full width at half maximum at 5895 eV.
    offset_eV, stretch : float
        Energies of the file less true ones at 0 eV, and their relative difference beyond that.
    tail : float
        Share of the counts of a line that fall off exponentially towards low energies, within one width: charge that
        was not collected.
    """

    fwhm_eV: float
    offset_eV: float = 0.0
    stretch: float = 0.0
    tail: float = 0.0

    def changed(self, width: float, offset: float, stretch: float, tail: float) -> Detector:
        """Return the detector with its four numbers changed by as much."""
        return Detector(self.fwhm_eV + width, self.offset_eV + offset, self.stretch + stretch, self.tail + tail)

    def fwhm(self, energy: FloatArray | float) -> FloatArray:
        """Return full widths at half maximum in eV."""
        squared = self.fwhm_eV**2 + FANO_EV * (np.asarray(energy, float) - MN_KA_EV)
        return np.asarray(np.sqrt(np.maximum(squared, LEAST_FWHM_EV**2)))

    def spectrum(self, borders: FloatArray, lines: Family) -> FloatArray:
        """Return the counts of each channel where the strongest line has one, shape (n,).

        Parameters
        ----------
        borders : ndarray, shape (n + 1,)
            Of the channels on the axis of the file, eV.
        lines : Family
        """
        energies = np.array(lines.energies)
        places = energies * (1.0 + self.stretch) + self.offset_eV
        z = np.clip((borders[:, None] - places) * (_FWHM / self.fwhm(energies)), -40.0, 40.0)
        below = ndtr(z)
        if self.tail:  # a Gaussian less an exponential time, whose mean is one width: 1 / _FWHM in units of it
            ratio = 1.0 / _FWHM
            below = below + self.tail * np.exp(z * ratio + 0.5 * ratio**2) * ndtr(-z - ratio)
        return np.asarray(np.diff(below, axis=0) @ np.array(lines.weights))
