"""What could have been chosen as well: other backgrounds and other minima, weighed by how well they fit.

Every other background is fitted from where the model stands. One that leaves chi2 far higher after a few steps is out
of reach and makes no error. Those within reach, and the minima that the search for a start found beside the lowest,
count by their likelihood (Akaike weights); the error is the root mean square of what they would change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.compare import dispersion_of, model_weights
from layerscope.fitting.result import SeriesFit

from .options import BackgroundTable
from .quantify import QuantificationTable
from .regionfit import Choice, RegionData, RegionFit, refit_with_background

__all__ = ["ambiguous", "spread_of", "with_choices"]

FloatArray = NDArray[np.float64]

HIGHEST_DEGREE = 3  # of the polynomial below an inelastic background


def with_choices(
    result: RegionFit,
    data: RegionData,
    table: QuantificationTable | None = None,
    reference: str | None = None,
) -> RegionFit:
    """Return a region's result with the errors of areas and shares that its background and its minimum make.

    Parameters
    ----------
    result : RegionFit
    data : RegionData
        What was fitted.
    table : QuantificationTable, optional
        Names the other backgrounds; the defaults where nothing is said. None are tried where it names none.
    reference : str, optional
        Name of the component that is the charge reference, if it lies in the region.
    """
    named = _others(result, (table or QuantificationTable()).alternative_backgrounds)
    found = {label: refit_with_background(result, data, background, reference) for label, background in named.items()}
    within = {label: other.fit for label, other in found.items() if other is not None}
    choices = {"background": spread_of(result, within, [n for n in found if n not in within])} if found else {}
    if result.minima:
        choices["alternatives"] = spread_of(result, {_places(result, fit): fit for fit in result.minima})
    return replace(result, choices=choices)


def ambiguous(result: RegionFit) -> bool:
    """Tell whether another minimum within reach changes a share by more than its error without it."""
    own = [f"{c.name}_area" for c in result.own]
    if len(own) < 2:
        return False
    alternatives = result.choices.get("alternatives")
    apart = 0.0 if alternatives is None else alternatives.shares
    sigma = np.sqrt(np.maximum(result.share_sigma**2 - apart, 0.0))
    stated = result.fit.batch[result.fit.group].fractions(own)[0]
    there = result.detected
    return any((np.abs(fit.fractions(own)[0] - stated) > sigma)[:, there].any() for fit in result.minima)


def _places(result: RegionFit, fit: SeriesFit) -> str:
    """Return where the lines of a fit are, for people."""
    moved = fit.value("shift").mean()
    return (
        ", ".join(f"{c.species} {fit.value(f'{c.name}_center').mean() + moved:.2f}" for c in result.components) + " eV"
    )


def _others(result: RegionFit, named: Sequence[BackgroundTable]) -> dict[str, BackgroundTable]:
    """Return the backgrounds to try, and that of the recipe on a polynomial of one degree more."""
    if not named or result.background_held:  # nothing rises far enough to tell backgrounds apart
        return {}
    own = result.background
    found = {b.label: b for b in named if b.label != own.label}
    if own.polynomial < HIGHEST_DEGREE:
        degree = own.polynomial + 1
        found[f"{own.label}, degree {degree}"] = own.model_copy(update={"polynomial": degree})
    return found


def spread_of(result: RegionFit, others: Mapping[str, SeriesFit], beyond: Sequence[str] = ()) -> Choice:
    """Return what other fits of the same data, weighed by their likelihood, would change of areas and shares.

    Parameters
    ----------
    result : RegionFit
    others : mapping of str to SeriesFit
        With the same components and the same weights of points.
    beyond : sequence of str
        Names of those that were found to be out of reach.
    """
    stated = result.fit.batch[result.fit.group]  # the minimum, as the others are
    fits = [stated, *others.values()]
    weights = model_weights([f.chi2 for f in fits], [f.n_estimated for f in fits], dispersion_of(fits))
    every, own = ([f"{c.name}_area" for c in components] for components in (result.components, result.own))

    def variance(of: Callable[[SeriesFit], FloatArray]) -> FloatArray:
        return np.asarray(np.sum([w * (of(f) - of(stated)) ** 2 for w, f in zip(weights, fits, strict=True)], axis=0))

    areas = variance(lambda fit: fit.stacked(every))
    shares = variance(lambda fit: fit.fractions(own)[0])
    total = variance(lambda fit: fit.stacked(own).sum(axis=0))
    names = ["", *others]
    return Choice(
        areas, shares, total, {n: (w, f) for n, w, f in zip(names, weights, fits, strict=True)}, tuple(beyond)
    )
