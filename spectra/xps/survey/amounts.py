"""Atomic fractions of a survey: the regions of all elements through the engine of quantification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from ..dataset import FloatArray
from ..quantify import Alternatives, Composition, Lines, SensitivityTable, atomic_fractions
from ..rsf import RsfSet, sets_with
from .identify import Identification
from .lines import element_lines, level_factors, library_source
from .peaks import Peak
from .regions import IntegratedRegion, integrate, main_region

__all__ = ["Amounts", "SurveyQuantificationTable", "amounts"]

FAR_BELOW = 3.0
"""Standard errors below zero beyond which a net area says that its background is wrong: its error is made as large."""


class SurveyQuantificationTable(SensitivityTable):
    """Atomic fractions from integrated regions."""

    factor_sigma: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.15,
        description="relative standard error of each sensitivity: published factors of one line differ by as much, "
        "transmission and what lies on the sample come on top",
    )

    def base_set(self) -> RsfSet:
        """Return the set that is named, Scofield's completed by the table of survey lines."""
        base = super().base_set()
        if base.name != "scofield":
            return base
        missing = {line: factor for line, factor in level_factors().items() if not base.has(line)}
        source = f"{base.source}; {library_source()}"
        return base.model_copy(update={"values": {**base.values, **missing}, "source": source})


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
    *,
    photon_eV: float,
    transmission: FloatArray | None,
    table: SurveyQuantificationTable,
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
    photon_eV : float
        Energy of the X-rays (eV).
    transmission : ndarray, shape (n,), optional
        Of the analyser.
    table : SurveyQuantificationTable
        How areas become amounts.
    confidence : float
        Of limits.
    """
    energy, rsf, present = spectrum[0], table.rsf(), {one.symbol for one in found.present}
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
        elif element in present and region.area < -FAR_BELOW * region.sigma:
            left.append((element, f"the net area of {region.line} is negative: it stands on the flank of another line"))
        else:
            regions.append(region)
    if len(regions) < 2:
        return Amounts(tuple(regions), None, tuple(left))
    at = np.array([region.energy_eV for region in regions])
    through = None if transmission is None else np.interp(at, energy, transmission)
    lines_of = Lines(tuple(r.line for r in regions), photon_eV - at, table.attenuation_exponent, through)
    area = np.array([r.area for r in regions])
    sigma = np.array([max(r.sigma, -r.area / FAR_BELOW) for r in regions])
    by_background = np.array([np.std([r.area, *r.others.values()], ddof=1) for r in regions])
    sets = [one for one in sets_with(lines_of.names, table.alternative_sets) if one.name != rsf.name]
    errors = {"background": by_background, "sensitivity": table.factor_sigma * np.abs(area)}
    among = Alternatives(errors, sets)
    composition = atomic_fractions(lines_of, area, np.diag(sigma**2), rsf, among, confidence=confidence)
    return Amounts(tuple(regions), composition, tuple(left))
