"""What is stated of a region: the fit's own errors, or those of draws where the misfit is no parabola within them.

Levels that shift by an unknown amount shift alike within a spread that is drawn with everything else: without any prior
the areas of overlapping lines soak up shifts, and a level's lines change places with each other. Where shifts are not
small beside the distance of the lines, no prior that knows nothing of the sample tells which line is which.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import FitError
from layerscope.fitting.quality import gross_misfit
from layerscope.fitting.sampling import SampledFit, central, normality, sample
from layerscope.fitting.series_fit import CONFIDENCE_68, SeriesFit
from layerscope.fitting.spreads import Alike, CommonWidth
from layerscope.flags import threshold

from .peakmodel import SPREAD_REACH_EV, BuiltModel, ShiftPolicy

__all__ = ["common_prior", "due_to", "posterior", "sampling_notes", "share_ends", "unidentified"]

FloatArray = NDArray[np.float64]

START_EV = 0.15  # spread of shifts that the fit assumes before it is drawn
SCALE_EV = 0.15  # of the prior of that spread
WIDTHS = ("fwhm", "gaussian_fwhm")
NORMAL = 0.8  # share of effective draws from the covariance above which means are within 0.15 sigma, sigma within 9 %
MATTERS = 0.1  # share of a variance that is due to widths from which on their prior is sampled


def common_prior(n_levels: int) -> tuple[FloatArray, FloatArray]:
    """Return what is known of levels that shift alike, before their spread is drawn: value and sigma (eV), (L,)."""
    return np.zeros(n_levels), np.full(n_levels, START_EV)


def posterior(fit: SeriesFit, built: BuiltModel, shift: ShiftPolicy) -> SeriesFit:
    """Return the fit, with means and scatter of draws in place of its values and errors where these do not hold.

    Parameters
    ----------
    fit : SeriesFit
    built : BuiltModel
    shift : {"charge", "free", "none", "spread"}
        What the levels' shifts rest on.
    """
    if len(built.components) < 2 or gross_misfit(fit):
        return fit
    common = CommonWidth("shift", SCALE_EV, SPREAD_REACH_EV) if shift == "spread" and "shift" in built.scopes else None
    if common is None and (shift == "free" or not _widths_matter(fit, built)):
        return fit
    alike = Alike({name: sigma for name, (_, sigma) in built.priors.items()})
    try:
        return fit if common is None and normality(fit, alike) > NORMAL else sample(fit, common, alike)
    except FitError:
        return fit


def _widths_matter(fit: SeriesFit, built: BuiltModel) -> bool:
    areas = [f"{c.name}_area" for c in built.components]
    return len(areas) > 1 and bool(fit.due_to(list(built.priors), areas, fractions=True).max() > MATTERS)


def share_ends(fit: SeriesFit, areas: Sequence[str]) -> tuple[FloatArray, FloatArray] | None:
    """Return the ends of the 68.27 % intervals of shares, each of shape (K, L), where draws tell them."""
    if not isinstance(fit, SampledFit):
        return None
    return central(fit.drawn_fractions(areas).swapaxes(0, 1), CONFIDENCE_68)


def due_to(
    fit: SeriesFit, widths: Sequence[str], shift: ShiftPolicy, areas: Sequence[str], *, fractions: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Return the parts of the variance of areas, or of their fractions, that widths and unknown shifts make, (K, L).

    Each would go if these were known; what both explain counts as of the widths.
    """
    by_widths = fit.due_to(widths, areas, fractions=fractions)
    if not isinstance(fit, SampledFit) or shift != "spread":
        return by_widths, np.zeros_like(by_widths)
    both = fit.due_to([*widths, "shift"], areas, fractions=fractions)
    return by_widths, np.maximum(both - by_widths, 0.0)


def sampling_notes(fit: SeriesFit) -> list[str]:
    """Return what a reader should know of draws, for the record of a series."""
    if not isinstance(fit, SampledFit):
        return []
    return [f"values and errors: means and scatter of draws, {fit.ess:.0f} of them effective"]


def unidentified(fit: SeriesFit, built: BuiltModel, shift: ShiftPolicy) -> bool:
    """Tell whether levels may shift by too much, beside the distance of their lines, for these to be told apart.

    Where their spread is drawn, it decides. Levels that shift freely have other minima near the best one, with other
    shares, as soon as two lines lie closer than they are wide.
    """
    places = np.sort([float(fit.value(f"{c.name}_center").mean()) for c in built.components])
    if len(places) < 2 or "shift" not in built.scopes or shift not in ("free", "spread"):
        return False
    distance = float(np.diff(places).min())
    if isinstance(fit, SampledFit) and fit.width is not None:
        return float(fit.width.mean()) > threshold("SHIFT_NOT_IDENTIFIED") * distance
    widths = [fit.value(f"{c.name}_{n}") for c in built.components for n in WIDTHS if f"{c.name}_{n}" in fit.names]
    return bool(widths) and float(np.mean(widths)) > distance
