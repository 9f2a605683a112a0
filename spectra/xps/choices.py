"""What could have been chosen as well: other backgrounds, shapes, widths and minima, weighed by how well they fit.

Other backgrounds, lines with a tail, widths that change along the series as charging makes them, and widths that are
less alike are fitted from where the model stands. What leaves chi2 far higher after a few steps is out of reach and
makes no error. Those within reach, and the minima that the search for a start found beside the lowest, count by their
likelihood (Akaike weights); the variance is the mean of what they would change, and of how much less sure they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting.compare import dispersion_of, model_weights
from layerscope.fitting.expressions import Expression
from layerscope.fitting.result import SeriesFit
from layerscope.fitting.sampling import SampledFit
from layerscope.fitting.spreads import WIDER
from layerscope.flags import threshold

from .options import BackgroundTable, ParameterTable, RegionTable
from .quantify import QuantificationTable
from .regionfit import GLANCE, refit
from .regionresult import Choice, RegionData, RegionFit

__all__ = ["ambiguous", "shape_doubted", "spread_of", "widths_doubted", "with_choices"]

FloatArray = NDArray[np.float64]

WIDER_LABEL = f"widths alike within {WIDER:g} times the spread"
APART = 0.35  # by which the logarithm of a width starts off the others, where these are less alike
STEPS_APART = 10  # after which such a fit is near its minimum
SYMMETRIC = {"pseudo_voigt": "fwhm", "gl_product": "fwhm", "voigt": "gaussian_fwhm"}  # shapes, and their width
TAIL_LABEL = "lines with a tail to higher binding energy"
TAIL = 0.05, 0.0, 0.25  # singularity index: start and bounds
GAUSSIAN, LORENTZIAN = 0.85, 0.3  # of the width of a symmetric line, where the fit with tails starts
STEPS_TO_A_TAIL = 15  # after which a fit with tails is near its minimum
PLACES = ("_center", "_splitting", "_ratio", "shift")  # what lines of any shape have
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
        ("line_shape", _tables(TAIL_LABEL, _with_tails(result), result), 0.0),
        ("width_course", _tables("widths along the series", _changing_widths(result), result), 0.0),
        ("width_spread", _tables(WIDER_LABEL, wider, result), penalty),
    ):
        steps = {"line_shape": STEPS_TO_A_TAIL, "width_spread": STEPS_APART}.get(cause, GLANCE)
        moved = (
            [{name: by} for name in result.built.priors for by in (-APART, APART)] if cause == "width_spread" else []
        )
        found = {
            label: refit(result, data, *asked, reference, steps=steps, moved=moved) for label, asked in tables.items()
        }
        within = {label: other.fit for label, other in found.items() if other is not None}
        if found:
            beyond = [name for name in found if name not in within]
            unsure = cause != "width_spread" or not isinstance(
                result.fit, SampledFit
            )  # draws hold how unsure these are
            choices[cause] = spread_of(
                result, within, beyond, penalty=more, unsure=unsure, at_same_total=cause == "line_shape"
            )
    if result.minima:
        choices["alternatives"] = spread_of(result, {_places(result, fit): fit for fit in result.minima}, unsure=False)
    return replace(result, choices=choices)


def ambiguous(result: RegionFit) -> bool:
    """Tell whether another minimum within reach changes a share by more than its error without it."""
    alternatives = result.choices.get("alternatives")
    return _changed(result, result.minima, 0.0 if alternatives is None else alternatives.shares)


def shape_doubted(result: RegionFit) -> bool:
    """Tell whether lines with a tail fit so much better that shares of symmetric ones are to be doubted."""
    return _doubted(result, "line_shape", TAIL_LABEL, threshold("OTHER_SHAPE"))


def widths_doubted(result: RegionFit) -> bool:
    """Tell whether widths that are less alike fit so much better that shares of those alike are to be doubted."""
    return _doubted(result, "width_spread", WIDER_LABEL, threshold("OTHER_WIDTHS"))


def _doubted(result: RegionFit, cause: str, label: str, least: float) -> bool:
    """Tell whether a choice is likelier than `least` and changes a share by more than its error without it."""
    choice = result.choices.get(cause)
    if choice is None or label not in choice.fits:
        return False
    probability, fit = choice.fits[label]
    return probability > least and _changed(result, [fit], choice.shares)


def _changed(result: RegionFit, others: Sequence[SeriesFit], part: FloatArray | float) -> bool:
    """Tell whether a fit changes a share that is there by more than its error without a part of its variance."""
    own = [f"{c.name}_area" for c in result.own]
    if len(own) < 2:
        return False
    sigma = np.sqrt(np.maximum(result.share_sigma**2 - part, 0.0))
    stated = result.fit.batch[result.fit.group].fractions_within(own)[0]
    return any((np.abs(fit.fractions_within(own)[0] - stated) > sigma)[:, result.detected].any() for fit in others)


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


def _with_tails(result: RegionFit) -> RegionTable | None:
    """Return the table of a region with lines of Doniach and Sunjic in place of symmetric ones.

    None where a share does not rest on the shape: one line, none that stands out, shapes or ties of its own.
    """
    loose = [c for c in result.components if c.template is None and c.shape in SYMMETRIC]
    free = len(result.own) > 1 and bool(result.detected.any()) and len(result.held) < len(result.components)
    if not free or len(loose) < len(result.components):
        return None
    components = []
    for c in result.components:
        own = any(table.expr or table.scope != "shared" or not table.vary for table in c.parameters.values())
        if own or not _of_places(c.position_eV.expr):
            return None
        fwhm = float(np.mean(result.fit.value(f"{c.name}_{SYMMETRIC[c.shape]}")))
        kept = {name: table for name, table in c.parameters.items() if name in ("splitting", "ratio")}
        if c.like is None:
            start, low, high = TAIL
            kept["gaussian_fwhm"] = ParameterTable(value=GAUSSIAN * fwhm)
            kept["lorentzian_fwhm"] = ParameterTable(value=LORENTZIAN * fwhm)
            kept["alpha"] = ParameterTable(value=start, min=low, max=high)
        components.append(c.model_copy(update={"shape": "doniach_sunjic", "parameters": kept}))
    return result.region.model_copy(update={"components": tuple(components)})


def _of_places(expr: str | None) -> bool:
    """Tell whether an expression rests on parameters only that lines of any shape have."""
    return expr is None or all(name.endswith(PLACES) for name in Expression(expr).names)


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
    at_same_total: bool = False,
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
    at_same_total : bool, optional
        Whether areas are compared at the same total, where that of the others has no end: the tail of a line.
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

    shares = variance(lambda fit: fit.fractions_within(own))
    weighed = {n: (w, f) for n, w, f in zip(["", *others], weights.tolist(), fits, strict=True)}
    if at_same_total:
        whole = np.square(stated.stacked(own).sum(axis=0))
        of_all = variance(lambda fit: fit.fractions_within(every))
        return Choice(of_all * whole, shares, np.zeros_like(whole), weighed, tuple(beyond))
    areas = variance(lambda fit: (fit.stacked(every), np.stack([fit.sigma(name) ** 2 for name in every])))
    total = variance(lambda fit: (fit.stacked(own).sum(axis=0), fit.covariance_within(own).sum(axis=(1, 2))))
    return Choice(areas, shares, total, weighed, tuple(beyond))
