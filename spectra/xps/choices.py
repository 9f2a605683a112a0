"""What could have been chosen as well: other backgrounds, widths and minima, weighed by how well they fit.

Other backgrounds, widths that change along the series as charging makes them, and widths that are less alike are fitted
from where the model stands. What leaves chi2 far higher after a few steps is out of reach and makes no error. Those
within reach, and the minima that the search for a start found beside the lowest, count by their likelihood (Akaike
weights); the variance is the mean of what they would change, and of how much less sure they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.compare import dispersion_of, model_weights
from layerscope.fitting.result import SeriesFit

from .options import BackgroundTable, ParameterTable, RegionTable
from .quantify import QuantificationTable
from .regionfit import Choice, RegionData, RegionFit, refit

__all__ = ["ambiguous", "spread_of", "with_choices"]

FloatArray = NDArray[np.float64]

WIDER = 2.5  # times the spread that the recipe states: widths may be less alike than is thought
LEAST_LEVELS = 3  # of which widths can be asked whether they change
HIGHEST_DEGREE = 3  # of the polynomial below an inelastic background


def with_choices(
    result: RegionFit,
    data: RegionData,
    table: QuantificationTable | None = None,
    reference: str | None = None,
) -> RegionFit:
    """Return a region's result with the errors of areas and shares that these choices make.

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
    choices: dict[str, Choice] = {}
    named = _others(result, (table or QuantificationTable()).alternative_backgrounds)
    wider, penalty = _wider_spread(result)
    for cause, tables, more in (
        ("background", {label: (result.region, background) for label, background in named.items()}, 0.0),
        ("width_course", _tables("widths along the series", _changing_widths(result), result), 0.0),
        ("width_spread", _tables(f"widths alike within {WIDER:g} times the spread", wider, result), penalty),
    ):
        found = {label: refit(result, data, *asked, reference) for label, asked in tables.items()}
        within = {label: other.fit for label, other in found.items() if other is not None}
        if found:
            choices[cause] = spread_of(result, within, [name for name in found if name not in within], penalty=more)
    if result.minima:
        choices["alternatives"] = spread_of(result, {_places(result, fit): fit for fit in result.minima}, unsure=False)
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


def _changing_widths(result: RegionFit) -> RegionTable | None:
    """Return the table of a region whose widths may change along the series, as charging broadens lines."""
    if result.fit.n_patterns < LEAST_LEVELS:
        return None
    components, changed = [], False
    for c in result.region.components:
        name = "fwhm" if "fwhm" in c.parameters or f"{c.name}_fwhm" in result.built.parameters else "gaussian_fwhm"
        table = c.parameters.get(name, ParameterTable())
        if (
            c.like is None
            and c.name not in result.held
            and table.vary
            and table.expr is None
            and table.scope == "shared"
        ):
            smooth = table.model_copy(update={"scope": "smooth", "knots": 2})
            c, changed = c.model_copy(update={"parameters": {**c.parameters, name: smooth}}), True
        components.append(c)
    return result.region.model_copy(update={"components": tuple(components)}) if changed else None


def _tables(
    label: str, region: RegionTable | None, result: RegionFit
) -> dict[str, tuple[RegionTable, BackgroundTable]]:
    return {} if region is None else {label: (region, result.background)}


def _wider_spread(result: RegionFit) -> tuple[RegionTable | None, float]:
    """Return the table of a region whose widths are less alike, and by how much chi2 has to fall to make up for it.

    The logarithm of each width has a Gaussian prior about a common one; a wider one is lower everywhere near it.
    """
    tied = [c for c in result.components if c.like is not None and c.like_spread > 0]
    if not result.built.priors or not tied:
        return None, 0.0
    spread = {c.name: min(WIDER * c.like_spread, 1.0) for c in tied}
    components = tuple(
        c.model_copy(update={"like_spread": spread[c.name]}) if c.name in spread else c
        for c in result.region.components
    )
    ratios = max(len(result.built.priors) - len({c.like for c in tied}), 0)
    flatter = np.mean([math.log(math.log1p(spread[c.name]) / math.log1p(c.like_spread)) for c in tied])
    return result.region.model_copy(update={"components": components}), 2.0 * ratios * float(flatter)


def spread_of(
    result: RegionFit,
    others: Mapping[str, SeriesFit],
    beyond: Sequence[str] = (),
    *,
    penalty: float = 0.0,
    unsure: bool = True,
) -> Choice:
    """Return what other fits of the same data, weighed by their likelihood, would change of areas and shares.

    Parameters
    ----------
    result : RegionFit
    others : mapping of str to SeriesFit
        With the same components and the same weights of points.
    beyond : sequence of str
        Names of those that were found to be out of reach.
    penalty : float, optional
        Added to the chi2 of the others.
    unsure : bool, optional
        Whether their own variance counts where it is larger; that of lines which have met says nothing.
    """
    stated = result.fit.batch[result.fit.group]  # the minimum, as the others are
    fits = [stated, *others.values()]
    chi2 = [stated.chi2, *(fit.chi2 + penalty for fit in others.values())]
    weights = model_weights(chi2, [f.n_estimated for f in fits], dispersion_of(fits))
    every, own = ([f"{c.name}_area" for c in components] for components in (result.components, result.own))

    def variance(of: Callable[[SeriesFit], tuple[FloatArray, FloatArray]]) -> FloatArray:
        """Add up by how much each differs, and by how much less sure it is of itself."""
        value, known = of(stated)
        parts = [(w, *of(fit)) for w, fit in zip(weights[1:], others.values(), strict=True)]
        terms = [w * ((there - value) ** 2 + unsure * np.maximum(own - known, 0.0)) for w, there, own in parts]
        return np.asarray(sum(terms, start=np.zeros_like(value)))

    areas = variance(lambda fit: (fit.stacked(every), np.stack([fit.sigma(name) ** 2 for name in every])))
    shares = variance(lambda fit: _with_variance(*fit.fractions(own)))
    total = variance(lambda fit: (fit.stacked(own).sum(axis=0), np.diag(fit.covariance(own).sum(axis=(0, 2)))))
    weighed = zip(["", *others], weights.tolist(), fits, strict=True)
    return Choice(areas, shares, total, {name: (w, fit) for name, w, fit in weighed}, tuple(beyond))


def _with_variance(values: FloatArray, covariance: FloatArray) -> tuple[FloatArray, FloatArray]:
    return values, np.asarray(np.einsum("klkl->kl", covariance))
