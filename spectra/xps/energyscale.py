"""From the fitted reference line to the energy scale of a series, also where the line is lost or a level is missing.

Sputtering removes the very carbon that defines the scale. At a level whose reference line does not rise above the
noise, the shift that a fit would find is that of a bump in the noise; such a level gets the mean shift of the others,
with their spread as its error, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import DataError
from layerscope.fitting.quality import gross_levels, gross_misfit
from layerscope.flags import inherited_flags, name_of

from .charge import ChargeTable
from .options import RegionTable
from .regionfit import fit_region
from .regionresult import DETECTED, RegionData, RegionFit
from .series import RegionSpectra

__all__ = ["EnergyScale", "align", "fit_reference", "matching_rows"]

FloatArray = NDArray[np.float64]

VISIBLE_MISFIT = {"OVERDISPERSED", "RESIDUAL_STRUCTURE"}
LEAST_SPREAD_EV = 0.1  # error of a shift that is only guessed from other levels, at least
SPREAD_OF_ONE_EV = 0.5  # and if there is only one other level to guess from


@dataclass(frozen=True)
class EnergyScale:
    """How measured energies become charge-corrected ones.

    Attributes
    ----------
    line_shift : ndarray, shape (L,)
        Shift of the lines of each level against the reference scale (eV); 0 without a reference.
    statistical : ndarray, shape (L,)
        Its standard error, from the fit of the reference line (eV).
    systematic : float
        Standard error of the reference energy (eV).
    known : bool
        Whether there is a charge reference at all.
    lost : frozenset of int
        Levels at which the reference line is lost in the noise and the shift is guessed from the others.
    doubted : frozenset of int
        Levels at which the fit of the region with the reference line visibly misses the data.
    defined_here : bool
        Whether the region at hand holds the reference line: its positions are then fitted against that line, and the
        error of the shift is none of theirs.
    """

    line_shift: FloatArray
    statistical: FloatArray
    systematic: float
    known: bool
    lost: frozenset[int] = frozenset()
    doubted: frozenset[int] = frozenset()
    defined_here: bool = False

    def only(self, rows: Sequence[int]) -> EnergyScale:
        """Return the scale of some of the levels, by their place."""
        at = list(rows)
        lost, doubted = (frozenset(n for n, old in enumerate(at) if old in rows) for rows in (self.lost, self.doubted))
        return replace(
            self, line_shift=self.line_shift[at], statistical=self.statistical[at], lost=lost, doubted=doubted
        )


def fit_reference(
    region: RegionTable, data: RegionData, reference: str, charge: ChargeTable, source: str | Path
) -> tuple[RegionData, RegionFit, EnergyScale | None]:
    """Fit the region of the reference line and return the energy scale that follows.

    Parameters
    ----------
    region : RegionTable
    data : RegionData
        Without a charge shift: this region makes it.
    reference : str
        Name of the reference line in the fit.
    charge : ChargeTable
    source : str or Path
        For the message.

    Returns
    -------
    RegionData, RegionFit, EnergyScale or None
        The data with what was assumed of levels without the line, the fit, and the scale; none where the model does not
        describe the region. A level that it does not describe has no line either.

    Raises
    ------
    DataError
        If the line rises above the noise at no level.
    """
    result = fit_region(region, data, reference=reference)
    if gross_misfit(result.fit):
        return data, result, None
    lost, best = _lost(result, reference)
    if lost.all():
        raise DataError(
            f"the charge reference {charge.species!r} is not detected in {region.name!r}: at best {best:.1f} sigma "
            "above the noise",
            source=source,
        )
    if lost.any():
        data = _with_guess(data, result.fit.value("shift"), lost)
        result = fit_region(region, data, reference=reference)
    shift, sigma = result.fit.value("shift").copy(), result.fit.sigma("shift").copy()
    scale = EnergyScale(
        shift,
        sigma,
        charge.sigma_eV,
        known=True,
        lost=frozenset(np.flatnonzero(lost).tolist()),
        doubted=_misfitted(result),
    )
    return data, result, scale


def _misfitted(result: RegionFit) -> frozenset[int]:
    """Return the levels at which the residual shows that the model is wrong."""
    found = result.fit.flags()
    return frozenset(
        level
        for level in range(result.fit.n_patterns)
        if {name_of(flag) for flag in inherited_flags(found, level)} & VISIBLE_MISFIT
    )


def _lost(result: RegionFit, reference: str) -> tuple[NDArray[np.bool_], float]:
    name = f"{reference}_area"
    sigma = result.fit.sigma(name)
    level = result.fit.value(name) / np.where(sigma > 0, sigma, np.inf)
    gross = np.isin(np.arange(level.size), list(gross_levels(result.fit)))
    return np.asarray(~(level > DETECTED) | gross), float(level.max())


def _with_guess(data: RegionData, shift: FloatArray, lost: NDArray[np.bool_]) -> RegionData:
    known = shift[~lost]
    spread = max(float(known.std(ddof=1)), LEAST_SPREAD_EV) if known.size > 1 else SPREAD_OF_ONE_EV
    return replace(
        data,
        charge_shift=np.where(lost, float(known.mean()), 0.0),
        charge_sigma=np.where(lost, spread, np.inf),
    )


def matching_rows(levels: RegionSpectra, others: RegionSpectra) -> dict[int, int]:
    """Return which level of another region belongs to each level of a region, by place; unmatched levels are left out.

    Regions with equally many levels go together one by one, others by their etch times.
    """
    if len(levels.keys) == len(others.keys) and not levels.rejected and not others.rejected:
        return {k: k for k in range(len(levels.keys))}
    place = {key: row for row, key in enumerate(others.keys)}
    return {row: place[key] for row, key in enumerate(levels.keys) if key in place}


def align(
    spectra: RegionSpectra, reference: RegionSpectra, scale: EnergyScale, source: str | Path
) -> tuple[RegionSpectra, EnergyScale]:
    """Keep the levels of a region that have a charge reference, and the scale of just these.

    Raises
    ------
    DataError
        If there is no such level.
    """
    rows = matching_rows(spectra, reference)
    region = spectra.spectra[0].region
    if not rows:
        raise DataError(
            f"no level of {region!r} was measured with the charge reference, {reference.spectra[0].region!r}",
            source=source,
            hint="the etch times of the two regions differ",
        )
    left = [row for row in range(len(spectra.keys)) if row not in rows]
    if not left and list(rows.values()) == list(range(scale.line_shift.size)):
        return spectra, scale
    kept = spectra.only(list(rows)) if left else spectra
    if left:
        names = ", ".join(str(spectra.levels[row].index) for row in left)
        note = f"left out, because the charge reference was not measured there: level {names}"
        kept = replace(kept, notes=(*kept.notes, note))
    return kept, scale.only(list(rows.values()))
