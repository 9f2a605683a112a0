"""Choose between models of the same data, and keep every alternative."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import FitError
from layerscope.fitting.result import SeriesFit

__all__ = ["Comparison", "ModelAlternative", "compare", "dispersion_of", "model_weights"]


@dataclass(frozen=True)
class ModelAlternative:
    """One model of a comparison.

    Attributes
    ----------
    name : str
    bic : float
        On the common noise scale of the comparison.
    delta_bic : float
        Difference to the best usable model; above 10 is decisive against it.
    chi2, redchi : float
        With the fit's own weights.
    n_free : int
    usable : bool
        Converged, and every parameter determined by the data.
    chosen : bool
    """

    name: str
    bic: float
    delta_bic: float
    chi2: float
    redchi: float
    n_free: int
    usable: bool
    chosen: bool


@dataclass(frozen=True)
class Comparison:
    """Models of the same data side by side.

    Attributes
    ----------
    chosen : str
    alternatives : tuple of ModelAlternative
        All of them, best first.
    dispersion : float
        Factor by which the noise exceeds the stated one, estimated from the largest model; 1 if it does not.
    """

    chosen: str
    alternatives: tuple[ModelAlternative, ...]
    dispersion: float


def compare(fits: Mapping[str, SeriesFit]) -> Comparison:
    """Rank fits of the same data by the Bayesian information criterion.

    If even the largest model leaves more scatter than the stated noise, the misfit of all is divided by that model's
    reduced chi2 (a quasi-likelihood), so that a systematic misfit does not buy ever more components.

    Parameters
    ----------
    fits : mapping of str to SeriesFit
        At least one; nested or not. Between equals the model with fewer parameters wins.

    Raises
    ------
    FitError
        If there is no fit, or the fits do not describe the same number of points.

    References
    ----------
    Burnham, K. P. & Anderson, D. R. (2002). Model Selection and Multimodel Inference, 2nd ed., section 2.5.
    """
    if not fits:
        raise FitError("nothing to compare")
    sizes = {fit.n_points for fit in fits.values()}
    if len(sizes) > 1:
        raise FitError(f"the fits use different numbers of points: {sorted(sizes)}")
    usable = {name: fit.converged and not fit.batch.covariance.undetermined[fit.group] for name, fit in fits.items()}
    candidates = [name for name in fits if usable[name]] or list(fits)
    dispersion = dispersion_of(fits[name] for name in candidates)
    bic = {
        name: fit.bic if dispersion == 1.0 else fit.misfit / dispersion + fit.n_estimated * np.log(fit.n_points)
        for name, fit in fits.items()
    }
    chosen = min(candidates, key=lambda name: (round(bic[name], 9), fits[name].n_estimated, name))
    ranked = sorted(fits, key=lambda name: (not usable[name], bic[name]))
    alternatives = tuple(
        ModelAlternative(
            name,
            float(bic[name]),
            float(bic[name] - bic[chosen]),
            fits[name].chi2,
            fits[name].redchi,
            fits[name].n_estimated,
            usable[name],
            name == chosen,
        )
        for name in ranked
    )
    return Comparison(chosen, alternatives, dispersion)


def dispersion_of(fits: Iterable[SeriesFit]) -> float:
    """Return the factor by which the noise exceeds the stated one, from the largest of some models; 1 if it does not.

    Where the stated noise is only relative it is what that model leaves.
    """
    largest = max(fits, key=lambda fit: fit.n_estimated)
    freedom = max(largest.n_data - largest.n_free, 1)
    excess = largest.batch.scaled or largest.redchi > 1.0 + 4.0 * np.sqrt(2.0 / freedom)
    return largest.redchi if excess and largest.batch.weights != "none" else 1.0


def model_weights(misfit: Sequence[float], n_estimated: Sequence[int], dispersion: float = 1.0) -> NDArray[np.float64]:
    """Return how likely each of some models is beside the others, by Akaike's criterion; they add up to one.

    Parameters
    ----------
    misfit : sequence of float, length K
        Chi2 or deviance of each, by the same weights of the same points.
    n_estimated : sequence of int, length K
        Parameters that the points determine.
    dispersion : float, optional
        Factor by which the noise exceeds the stated one.

    References
    ----------
    Burnham, K. P. & Anderson, D. R. (2002). Model Selection and Multimodel Inference, 2nd ed., section 2.9.
    """
    criterion = np.asarray(misfit, float) / dispersion + 2.0 * np.asarray(n_estimated, float)
    likelihood = np.exp(-0.5 * (criterion - criterion.min()))
    return np.asarray(likelihood / likelihood.sum())
