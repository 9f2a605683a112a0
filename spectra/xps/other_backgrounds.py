"""What the choice of a background does to a region: its model fitted again on others, weighed by how well they fit.

Each refit starts where the model stands. A background that leaves chi2 far higher after a few steps is out of reach and
makes no error; those within reach count by their likelihood (Akaike weights), and the error is the root mean square of
what they would change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import LayerscopeError
from layerscope.fitting.compare import dispersion_of, model_weights
from layerscope.fitting.result import SeriesFit

from .options import BackgroundTable
from .quantify import QuantificationTable
from .regionfit import Choice, RegionData, RegionFit, refit_with_background

__all__ = ["spread_of", "with_other_backgrounds"]

FloatArray = NDArray[np.float64]

HIGHEST_DEGREE = 3  # of the polynomial below an inelastic background


def with_other_backgrounds(
    result: RegionFit,
    data: RegionData,
    table: QuantificationTable | None = None,
    reference: str | None = None,
) -> RegionFit:
    """Return a region's result with the error of areas and shares that the choice of its background makes.

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
    others = _others(result, (table or QuantificationTable()).alternative_backgrounds)
    if not others:
        return result
    within: dict[str, RegionFit] = {}
    beyond: list[str] = []
    for label, background in others.items():
        try:
            fit = refit_with_background(result, data, background, reference)
        except LayerscopeError:
            fit = None
        if fit is not None and fit.fit.converged and not fit.fit.batch.covariance.undetermined[0]:
            within[label] = fit
        else:
            beyond.append(label)
    spread = spread_of(result, {label: fit.fit for label, fit in within.items()}, beyond)
    return replace(result, choices={**result.choices, "background": spread})


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
