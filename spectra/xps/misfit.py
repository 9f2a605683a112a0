"""Why a fit is refused: what of the data it leaves over, where that stands, and what would mend it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from layerscope.errors import FitError
from layerscope.fitting.quality import gross_levels, left_over_at
from layerscope.fitting.start import scan_starts

from .regionfit import REACH_EV
from .regionresult import RegionFit

__all__ = ["refusal"]

LEAST_GAIN = 0.5  # share of chi2 that a common shift has to leave at most, to be worth telling
SMOOTHED_EV = 0.5  # over which a residual is averaged before its place is named


def refusal(result: RegionFit, flag: str, source: str | Path, level: int | None = None) -> FitError:
    """Return the error of a fit that does not describe the data.

    Parameters
    ----------
    result : RegionFit
    flag : str
        Its ``GROSS_MISFIT``, with the detail.
    source : str or Path
        For the message.
    level : int, optional
        Place of the level, where the others are described.
    """
    name = result.region.name if level is None else f"level {level} of {result.region.name}"
    detail = flag.partition(":")[2]
    if "%" not in detail:
        return FitError(
            f"{name}: the intensities scatter far more than counts do, {detail}: the errors would mean nothing",
            source=source,
            hint='noise = "scaled" where the intensities are no counts',
        )
    at, distance = _where(result, level)
    inside = f"at {at:.1f} eV as measured"
    place = f"the most stands {inside}" + (", where no component may be" if distance > 0.0 else "")
    moved = _common_shift(result) if level is None else None
    words = [f"{name} is not described: {detail}; {place}"]
    remedies = []
    if moved is not None:
        by, times = moved
        way = "higher" if by > 0 else "lower"
        words.append(f"with all lines {abs(by):.1f} eV {way} chi2 is {times:.0f} times less")
        remedies.append("give the charge reference (charge.kind)")
    rows = sorted(gross_levels(result.fit)) if level is None else []
    if 0 < 2 * len(rows) < result.fit.n_patterns:  # the others may be as they should
        words.append(f"the others are better described than level {', '.join(str(k) for k in rows)}")
        remedies.append("leave that level out")
    remedies += ["correct position_eV and its bounds", f"add a component {inside}"]
    return FitError("; ".join(words), source=source, hint=", ".join(remedies[:-1]) + f", or {remedies[-1]}")


def _where(result: RegionFit, level: int | None) -> tuple[float, float]:
    """Return where the data stand highest above the fit (eV as measured), and how far from where a line may be (eV)."""
    fit = result.fit
    row = int(fit.pattern_chi2.argmax()) if level is None else level
    at = left_over_at(fit.x[row], fit.residual[row], SMOOTHED_EV)
    shift = float(fit.value("shift")[row])
    distances = []
    for c in result.components:
        center = result.built.parameters[f"{c.name}_center"]
        value = float(fit.value(center.name)[row])
        low, high = (float(center.min), float(center.max)) if center.vary and not center.expr else (value, value)
        partner = float(fit.value(f"{c.name}_splitting")[row]) if c.doublet else 0.0
        for moved in {shift, shift + partner}:
            distances.append(max(low + moved - at, at - high - moved) - SMOOTHED_EV)
    return at, max(min(distances), 0.0)


def _common_shift(result: RegionFit) -> tuple[float, float] | None:
    """Return by how much all lines together would have to move (eV), and how many times less chi2 is then."""
    setup = result.fit.batch.setup
    model, parameters = result.built.model, result.built.parameters
    found = [scan_starts(model, parameters, setup.series, reach=reach) for reach in (0.0, REACH_EV)]
    if not found[1]:
        return None
    least = min((start.chi2 for start in found[0]), default=np.inf)
    best = found[1][0]
    shift = best.values.get("shift", 0.0)
    if not (best.chi2 < LEAST_GAIN * min(least, result.fit.chi2) and abs(shift) > SMOOTHED_EV):
        return None
    return shift, min(least, result.fit.chi2) / max(best.chi2, 1e-300)
