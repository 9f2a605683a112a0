"""X-ray spectra of a coated oxide in the microscope: lines on bremsstrahlung; nothing of layerscope.

Lines and their ratios are typed in from X-ray Data Booklet values, not from the tables that the analysis uses.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import erf

LINES: Mapping[str, tuple[tuple[float, float], ...]] = {
    "B K": ((183.3, 1.0),),
    "C K": ((277.0, 1.0),),
    "O K": ((524.9, 1.0),),
    "Co L": ((776.2, 1.0), (677.8, 0.2), (694.0, 0.08), (868.0, 0.02)),
    "Al K": ((1486.7, 1.0), (1557.4, 0.013)),
    "Mn K": ((5895.1, 1.0), (6490.4, 0.134)),
    "Co K": ((6925.7, 1.0), (7649.4, 0.129)),
    "Cu K": ((8041.0, 1.0), (8905.3, 0.131)),
}
"""Energy (eV) and intensity over the first."""
BEAM_EV = 200000.0


def widths(energy: np.ndarray, fwhm_mn: float) -> np.ndarray:
    """Return standard deviations of lines (eV): electronic noise, and Fano's law for silicon (3.66 eV, F = 0.12)."""
    noise = (fwhm_mn / 2.3548) ** 2 - 0.12 * 3.66 * 5895.1
    return np.sqrt(noise + 0.12 * 3.66 * energy)


def bremsstrahlung(energy: np.ndarray, thickness: float = 1.0) -> np.ndarray:
    """Return the background, near 1 at 2 keV: Kramers' law through a window and a dead layer with their edges."""
    energy = np.maximum(energy, 20.0)  # channels about zero hold no X-rays, see `low`
    law = (BEAM_EV - energy) / energy
    window = 0.25 * thickness * (energy / 284.0) ** -2.8 * np.where(energy > 284.0, 6.0, 1.0)
    dead = 0.01 * (energy / 1839.0) ** -2.8 * np.where(energy > 1839.0, 10.0, 1.0)
    low = 0.5 * (1.0 + erf((energy - 120.0) / 40.0))
    return 2000.0 / BEAM_EV * law * np.exp(-window - dead) * low


def expected(
    borders: np.ndarray, lines: Mapping[str, float], background: float, fwhm: float, tail: float = 0.0
) -> np.ndarray:
    """Return expected counts of channels.

    Parameters
    ----------
    borders : ndarray, shape (n + 1,)
        True energies in eV.
    lines : mapping of str to float
        Counts of the first line of each family.
    background : float
        Counts per eV of the background at 2 keV.
    fwhm : float
        At Mn K alpha, eV.
    tail : float
        Share of the counts of a line at 1 keV that charge lost near the surface of the detector takes away: they fall
        off with 35 eV below the line. The share goes as one over the energy, to four times as much.
    """
    middle = 0.5 * (borders[1:] + borders[:-1])
    mean = background * np.diff(borders) * bremsstrahlung(middle)
    for name, counts in lines.items():
        for energy, ratio in LINES[name]:
            sigma = float(widths(np.array(energy), fwhm))
            own = np.diff(0.5 * (1.0 + erf((borders - energy) / (np.sqrt(2.0) * sigma))))
            lost = tail * min(1000.0 / energy, 4.0)
            if lost:
                below = np.linspace(0.5, 199.5, 200)
                share = np.exp(-below / 35.0)
                places = energy - below
                spread = 0.5 * (1.0 + erf((borders[:, None] - places) / (np.sqrt(2.0) * sigma)))
                own = (1.0 - lost) * own + lost * np.diff(spread @ (share / share.sum()))
            mean = mean + counts * ratio * own
    return mean
