"""Atomic fractions of a survey: the regions of all elements through the engine of quantification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..dataset import FloatArray
from ..quantify import Alternatives, Composition, Lines, atomic_fractions
from ..rsf import RsfSet, sets_with
from .identify import Identification
from .lines import element_lines
from .peaks import Peak
from .regions import IntegratedRegion, integrate, main_region

__all__ = ["Amounts", "amounts"]

FAR_BELOW = 3.0
"""Standard errors below zero beyond which a net area says that its background is wrong: its error is made as large."""


@dataclass(frozen=True, eq=False)
class Amounts:
    """Regions by which elements were quantified, the composition (None: fewer than two), and what was left out."""

    regions: tuple[IntegratedRegion, ...]
    composition: Composition | None
    left_out: tuple[tuple[str, str], ...]


def amounts(
    spectrum: tuple[FloatArray, FloatArray, FloatArray],
    found: Identification,
    peaks: Sequence[Peak],
    wanted: Sequence[str],
    rsf: RsfSet,
    *,
    photon_eV: float,
    transmission: FloatArray | None,
    attenuation_exponent: float,
    alternative_sets: Sequence[str],
    confidence: float,
) -> Amounts:
    """Return how much there is of the elements of a survey.

    Parameters
    ----------
    spectrum : tuple of ndarray, shape (n,)
        Energy as measured (eV), intensity and its variance.
    found : Identification
    peaks : sequence of Peak
    wanted : sequence of str
        Elements, present or asked for.
    rsf : RsfSet
    photon_eV : float
        Energy of the X-rays (eV).
    transmission : ndarray, shape (n,), optional
        Of the analyser.
    attenuation_exponent : float
    alternative_sets : sequence of str
        Whose spread is an error; all that have the lines if empty.
    confidence : float
        Of limits.
    """
    energy = spectrum[0]
    span = float(energy[0]), float(energy[-1])
    regions: list[IntegratedRegion] = []
    left: list[tuple[str, str]] = []
    for element in wanted:
        lines = element_lines(element, photon_eV)
        known = {line.whole for line in lines if not line.auger and rsf.has(line.whole)}
        chosen = main_region(element, lines, found, peaks, known, span)
        region = None if chosen is None else integrate(spectrum, *chosen)
        if region is None:
            left.append((element, f"no core level of it with a factor of {rsf.name} lies well inside the survey"))
        else:
            regions.append(region)
    if len(regions) < 2:
        return Amounts(tuple(regions), None, tuple(left))
    at = np.array([region.energy_eV for region in regions])
    through = None if transmission is None else np.interp(at, energy, transmission)
    lines_of = Lines(tuple(r.line for r in regions), photon_eV - at, attenuation_exponent, through)
    area = np.array([r.area for r in regions])
    sigma = np.array([max(r.sigma, -r.area / FAR_BELOW) for r in regions])
    by_background = np.array([np.std([r.area, *r.others.values()], ddof=1) for r in regions])
    sets = [one for one in sets_with(lines_of.names, alternative_sets) if one.name != rsf.name]
    composition = atomic_fractions(
        lines_of, area, np.diag(sigma**2), rsf, Alternatives({"background": by_background}, sets), confidence=confidence
    )
    return Amounts(tuple(regions), composition, tuple(left))
