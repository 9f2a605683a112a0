"""Absorption edges as a beamline writes them: bands, steps, saturation, flux, tables; nothing of layerscope."""

from __future__ import annotations

import numpy as np
from scipy.special import erf

Array = np.ndarray


def line(x: Array, center: float, fwhm: float, area: float, lorentzian: float = 0.2) -> Array:
    """Return a pseudo-Voigt line of a given area."""
    u = (x - center) / fwhm
    gauss = 2.0 * np.sqrt(np.log(2.0) / np.pi) / fwhm * np.exp(-4.0 * np.log(2.0) * u**2)
    return area * ((1.0 - lorentzian) * gauss + lorentzian * 2.0 / (np.pi * fwhm) / (1.0 + 4.0 * u**2))


def step(x: Array, center: float, width: float) -> Array:
    """Return an edge step of unit height."""
    return 0.5 * (1.0 + erf((x - center) / width))


def saturated(absorption: Array, top: float, lost: float) -> Array:
    """Return what a yield shows of an absorption, `lost` of it taken where the absorption is `top`."""
    return absorption / (1.0 + lost / (1.0 - lost) * absorption / top)


def flux(x: Array, at: float, dip: float, drift: float) -> Array:
    """Return the incident flux: a slope, a drift of the ring, and a dip where the optics absorb."""
    span = (x - x[0]) / (x[-1] - x[0])
    return (1.0 + 0.08 * span - drift * span) * (1.0 - dip * np.exp(-(((x - at) / 1.8) ** 2)))


def rows(names: str, columns: list[Array], formats: list[str], separator: str) -> str:
    """Return a table as text."""
    body = [
        separator.join(f.format(v) for f, v in zip(formats, row, strict=True)) for row in zip(*columns, strict=True)
    ]
    return "\n".join([names, *body]) + "\n"
