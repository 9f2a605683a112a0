"""The spectrum of a copper tube around Kα, as lines of natural width, and what a monochromator leaves of it.

A powder line is as wide at high angles as the spectrum makes it: the two wavelengths of Bragg's law are the peaks of
two skew lines 2.3 and 3 eV wide. Here each is a sum of Lorentzians in wavelength.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...radiation import HC_KEV_ANGSTROM, FloatArray

__all__ = ["CU_K_ALPHA", "EmissionLine", "spectral_density"]

_HC_EV_ANGSTROM = 1e3 * HC_KEV_ANGSTROM


@dataclass(frozen=True)
class EmissionLine:
    """One Lorentzian of a spectrum: position and FWHM in Å, share of the intensity, and the line it belongs to.

    ``member`` is 1 for what lies at Kα1 (satellites included) and 2 for Kα2: geometry smears the two differently.
    """

    wavelength: float
    fwhm: float
    weight: float
    member: int


CU_K_ALPHA: tuple[EmissionLine, ...] = (
    EmissionLine(1.5405925, 0.436e-3, 0.58384351, 1),
    EmissionLine(1.5410769, 0.558e-3, 0.07077796, 1),
    EmissionLine(1.5443873, 0.487e-3, 0.2284605, 2),
    EmissionLine(1.5446782, 0.630e-3, 0.11258773, 2),
    EmissionLine(1.53471, 2.93e-3, 0.0043303, 1),
    EmissionLine(1.53382, 2.93e-3, 0.00208613, 1),
)
"""Cu Kα1, Kα2 and the satellites Kα3,4: Mendenhall, Henins, Hudson, Szabo, Windover & Cline 2017, J. Phys. B 50,
115004, in the numbers of NIST's fundamental-parameters code (also the six-line spectrum of GSAS-II)."""


def spectral_density(
    wavelength: FloatArray,
    lines: Sequence[EmissionLine],
    *,
    width: float = 1.0,
    slope_per_ev: float = 0.0,
    about: float | None = None,
) -> FloatArray:
    """Intensity per ångström of a sum of Lorentzians behind a wide passband.

    Parameters
    ----------
    wavelength : ndarray, shape (n,)
        Å.
    lines : sequence of EmissionLine
    width : float
        Factor on every FWHM. A graphite monochromator was seen to narrow the lines (Cline et al. 2015, J. Res. NIST
        120, 173).
    slope_per_ev : float
        Relative slope of the passband, ``d ln T / dE`` in 1/eV. The passband of mosaic graphite is hundreds of eV
        wide; a doublet on its flank sees a slope.
    about : float, optional
        Wavelength in Å at which the passband is 1; default is that of the first line.

    Returns
    -------
    ndarray, shape (n,)
        In units of the weights.
    """
    total = np.zeros_like(wavelength)
    for line in lines:
        half = 0.5 * width * line.fwhm
        total += line.weight * (half / np.pi) / ((wavelength - line.wavelength) ** 2 + half**2)
    if slope_per_ev:
        energy = _HC_EV_ANGSTROM * (1.0 / wavelength - 1.0 / (about or lines[0].wavelength))
        total *= np.exp(np.clip(slope_per_ev * energy, -20.0, 20.0))
    return total
