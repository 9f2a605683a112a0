"""How far two spectra are apart in energy, with an error; refused where the answer is ambiguous."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import UnivariateSpline
from scipy.optimize import minimize_scalar

from layerscope.errors import DataError
from layerscope.measured.measurement import FloatArray

__all__ = ["Curve", "Shift", "shift_between"]

Curve = tuple[FloatArray, FloatArray, FloatArray]
"""Energy in eV, value and standard deviation, each of shape (n,)."""

RIVAL = 25.0
"""Chi-square by which another minimum must be higher, errors scaled by the misfit of the best: five standard errors."""

LEAST_POINTS = 12


@dataclass(frozen=True)
class Shift:
    """What is to be added to the energies of one spectrum to lie on those of another.

    Attributes
    ----------
    value, sigma : float
        In eV, the error scaled by the misfit.
    gain : float
        Height of the spectrum over that of the other.
    redchi : float
        Reduced chi-square at the best shift.
    """

    value: float
    sigma: float
    gain: float
    redchi: float


def shift_between(reference: Curve, other: Curve, reach_eV: float = 1.5, what: str = "the reference channel") -> Shift:
    """Find the shift of a spectrum against another by least squares, height, offset and slope free.

    The reference is smoothed within its noise, so that its scatter does not move what is compared with it; both noises
    count in the error. The chi-square is looked at over the whole reach, so that a second minimum is seen.

    Parameters
    ----------
    reference, other : Curve
        Steps may differ; the reference is never extrapolated.
    reach_eV : float
        Largest shift, up and down.
    what : str
        For messages.

    Raises
    ------
    DataError
        If the two overlap too little, show no structure that tells a shift, agree best at the end of the reach, or
        agree hardly worse at another shift.
    """
    one, back = _one_way(reference, other, reach_eV, what), _one_way(other, reference, reach_eV, what)
    # what smoothing does to one of them it does to the other on the way back
    value, sigma = (one.value - back.value) / 2, max(one.sigma, back.sigma)
    return Shift(value, sigma, one.gain, max(one.redchi, back.redchi))


def _one_way(reference: Curve, other: Curve, reach_eV: float, what: str) -> Shift:
    x, y, sigma = other
    spline, noise = _smooth(reference), reference[2]
    use = (x - reach_eV >= reference[0][0]) & (x + reach_eV <= reference[0][-1])
    if use.sum() < LEAST_POINTS:
        raise DataError(f"{what}: only {int(use.sum())} points overlap within {reach_eV:g} eV")
    x, y, sigma = x[use], y[use], sigma[use]
    straight = np.stack([np.ones_like(x), (x - x.mean()) / np.ptp(x)], axis=1)

    def fitted(shift: float) -> tuple[float, float]:
        at = x + shift
        total = np.sqrt(sigma**2 + np.interp(at, reference[0], noise) ** 2)
        columns = np.column_stack([spline(at), straight]) / total[:, None]
        found, *_ = np.linalg.lstsq(columns, y / total, rcond=None)
        return float((((y / total) - columns @ found) ** 2).sum()), float(found[0])

    step = float(min(0.05, np.median(np.diff(x)) / 2))
    places = np.arange(-reach_eV, reach_eV + step / 2, step)
    chi2 = np.array([fitted(place)[0] for place in places])
    k = int(chi2.argmin())
    if k in (0, places.size - 1):
        raise DataError(f"{what}: the spectra agree best at the end of the reach of {reach_eV:g} eV", hint="widen it")
    best = minimize_scalar(lambda s: fitted(s)[0], bounds=(places[k - 1], places[k + 1]), method="bounded")
    at, lowest = float(best.x), float(best.fun)
    redchi = lowest / (x.size - 4)
    scale = max(redchi, 1.0)
    dips = np.flatnonzero((chi2[1:-1] < chi2[:-2]) & (chi2[1:-1] < chi2[2:])) + 1
    for place in places[[d for d in dips if abs(places[d] - at) > 2 * step]]:
        rival = minimize_scalar(lambda s: fitted(s)[0], bounds=(place - step, place + step), method="bounded")
        if float(rival.fun) - lowest < RIVAL * scale:
            raise DataError(f"{what}: a shift of {float(rival.x):+.2f} eV is hardly worse than {at:+.2f} eV")
    width = max(step, 1e-3)
    bend = (fitted(at + width)[0] - 2 * lowest + fitted(at - width)[0]) / width**2
    error = float(np.sqrt(2.0 * scale / bend)) if bend > 0 else np.inf
    if error > reach_eV / 5:
        raise DataError(f"{what}: no structure tells a shift (error {error:.2g} eV)")
    return Shift(at, error, fitted(at)[1], redchi)


def _smooth(curve: Curve) -> UnivariateSpline:
    """Return a cubic spline that deviates from the points as their noise lets them."""
    x, y, sigma = curve
    known = np.isfinite(sigma) & (sigma > 0)
    return UnivariateSpline(x[known], y[known], w=1.0 / sigma[known], s=float(known.sum()))
