"""Intervals from the misfit itself: how far a parameter can go, all others following, before the data object.

References
----------
Venzon, D. J. & Moolgavkar, S. H. (1988). Appl. Stat. 37, 87-94. doi:10.2307/2347496
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from layerscope.errors import FitError
from layerscope.fitting.bootstrap import VALUES_AT_ONCE, known_priors, refitted
from layerscope.fitting.series_fit import CONFIDENCE_68, SeriesFit

__all__ = ["ProfiledFit", "profile_likelihood"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

PIN = 1e-5  # a pinned parameter's prior, in units of its standard error
REACH = 30.0  # how far a profile is followed, in standard errors
CLOSE = 1e-3  # how well an end is found, in standard errors
ROUNDS = 25


@dataclass(frozen=True)
class ProfiledFit(SeriesFit):
    """A fit that states an interval of every profiled parameter beside its standard error.

    Attributes
    ----------
    ends : mapping of str to (low, high), each of shape (L,)
        Infinite where the misfit never rises enough; at a bound where it does not rise enough before.
    """

    ends: Mapping[str, tuple[FloatArray, FloatArray]]

    def interval(self, name: str) -> tuple[FloatArray, FloatArray] | None:
        """Return the profile-likelihood interval (68.27 %) of a parameter in every pattern, if it was profiled."""
        return self.ends.get(name)


@dataclass
class _Search:
    """The ends that are looked for: one entry for each parameter, pattern and side. Distances are in sigma."""

    name: NDArray[np.str_]
    pattern: NDArray[np.intp]
    value: FloatArray
    sigma: FloatArray  # with the sign of the side
    limit: FloatArray  # distance of the bound
    inner: FloatArray  # farthest distance at which the misfit is still low, and the root of its rise there
    inner_root: FloatArray
    outer: FloatArray  # nearest at which it is high
    outer_root: FloatArray
    done: BoolArray


def profile_likelihood(
    fit: SeriesFit, names: Sequence[str] | None = None, *, confidence: float = CONFIDENCE_68
) -> ProfiledFit:
    """Return a fit with profile-likelihood intervals of its parameters and amounts.

    Each is pinned to a value, in one pattern or in all if it is the same there, and everything else is refitted; the
    interval holds the values whose misfit rises by no more than the quantile of chi2 with one degree of freedom. All
    ends are searched side by side.

    Parameters
    ----------
    fit : SeriesFit
    names : sequence of str, optional
        Parameters or amounts; all that were fitted, polynomials of the background left out.
    confidence : float

    Raises
    ------
    FitError
        If a named parameter is held or unknown.
    """
    if names is None:
        names = [n for n in fit.names if not n.startswith("background_") and (fit.sigma(n) > 0).any()]
    for name in names:
        if not (fit.sigma(name) > 0).any():
            raise FitError(f"'{name}' is held: it has no profile")
    root = float(np.sqrt(2.0 * special.gammaincinv(0.5, confidence)))  # of chi2 with one degree of freedom
    search = _begun(fit, names)
    for _ in range(ROUNDS):
        open_ = np.flatnonzero(~search.done)
        if open_.size == 0:
            break
        _advance(fit, search, open_, root)
    return ProfiledFit(fit.batch, fit.group, _ends(fit, search))


def _begun(fit: SeriesFit, names: Sequence[str]) -> _Search:
    rows: list[tuple[str, int, float, float, float]] = []
    for name in names:
        value, sigma = fit.value(name), fit.sigma(name)
        low, high = _limits(fit, name)
        patterns = [0] if _common(fit, name) else np.flatnonzero(sigma > 0).tolist()
        for k in patterns:
            for side, bound in ((-1.0, low), (1.0, high)):
                rows.append((name, k, value[k], side * sigma[k], max(side * (bound - value[k]), 0.0) / sigma[k]))
    limit = np.array([row[4] for row in rows])
    return _Search(
        np.array([row[0] for row in rows], dtype=np.str_),
        np.array([row[1] for row in rows], dtype=np.intp),
        np.array([row[2] for row in rows]),
        np.array([row[3] for row in rows]),
        limit,
        inner=np.zeros(len(rows)),
        inner_root=np.zeros(len(rows)),
        outer=np.full(len(rows), np.inf),
        outer_root=np.full(len(rows), np.inf),
        done=limit <= 0,
    )


def _limits(fit: SeriesFit, name: str) -> tuple[float, float]:
    parameters = fit.batch.setup.parameters
    if name in parameters:
        tied = bool(parameters[name].expr)
        return (-np.inf, np.inf) if tied else (float(parameters[name].min), float(parameters[name].max))
    return (0.0, np.inf) if fit.batch.setup.nonnegative else (-np.inf, np.inf)


def _common(fit: SeriesFit, name: str) -> bool:
    """Return whether a parameter is one number for the whole series."""
    shared, own = (part[fit.group] for part in fit.batch.gradient(name))
    return not own.any() and bool((shared == shared[0]).all() and (fit.value(name) == fit.value(name)[0]).all())


def _advance(fit: SeriesFit, search: _Search, at: NDArray[np.intp], root: float) -> None:
    """Try one more distance for each open end: outwards until the misfit has risen enough, then between."""
    inner, outer = search.inner[at], search.outer[at]
    slope = np.where(inner > 0, search.inner_root[at] / np.where(inner > 0, inner, 1.0), 1.0)
    reach = inner + np.clip((root - search.inner_root[at]) / np.maximum(slope, 1e-3), 0.3 * root, 2.0 * inner + root)
    with np.errstate(invalid="ignore"):
        share = (root - search.inner_root[at]) / (search.outer_root[at] - search.inner_root[at])
        between = inner + np.clip(share, 0.05, 0.95) * (outer - inner)
    distance = np.minimum(np.where(np.isfinite(outer), between, reach), search.limit[at])
    found = np.sqrt(np.maximum(_rise(fit, search, at, distance), 0.0))
    high = found >= root
    search.outer[at[high]], search.outer_root[at[high]] = distance[high], found[high]
    search.inner[at[~high]], search.inner_root[at[~high]] = distance[~high], found[~high]
    bound = ~high & (distance >= search.limit[at])
    near = (search.outer[at] - search.inner[at] < CLOSE) | (np.abs(found - root) < CLOSE)
    search.inner[at[np.abs(found - root) < CLOSE]] = distance[np.abs(found - root) < CLOSE]
    lost = ~high & (distance > REACH)
    search.inner[at[lost & ~bound]] = np.inf
    search.done[at] = bound | near | lost


def _rise(fit: SeriesFit, search: _Search, at: NDArray[np.intp], distance: FloatArray) -> FloatArray:
    """Return how much the misfit rises with each parameter pinned at its distance, in units of the noise."""
    misfit = np.empty(at.size)
    step = max(1, VALUES_AT_ONCE // fit.y.size)
    for first in range(0, at.size, step):
        part = slice(first, first + step)
        rows, pinned_at = at[part], search.value[at[part]] + distance[part] * search.sigma[at[part]]
        known, own = known_priors(fit), np.zeros(rows.size)
        priors = dict(known)
        for name in dict.fromkeys(search.name[rows].tolist()):
            mine = np.flatnonzero(search.name[rows] == name)
            where = (mine, search.pattern[rows[mine]])
            center, spread = known.get(name, (np.zeros(fit.n_patterns), np.full(fit.n_patterns, np.inf)))
            # the pin takes the place of the parameter's own prior, whose misfit is known: the value is
            own[mine] = ((pinned_at[mine] - center[where[1]]) / spread[where[1]]) ** 2
            center, spread = (np.tile(one, (rows.size, 1)) for one in (center, spread))
            center[where], spread[where] = pinned_at[mine], PIN * np.abs(search.sigma[rows[mine]])
            priors[name] = center, spread
        fits = refitted(fit, np.broadcast_to(fit.y, (rows.size, *fit.y.shape)), priors)
        misfit[part] = own + np.array([fits[g].misfit for g in range(len(fits))])
    return (misfit - fit.misfit) / (fit.redchi if fit.batch.scaled else 1.0)


def _ends(fit: SeriesFit, search: _Search) -> dict[str, tuple[FloatArray, FloatArray]]:
    found = {}
    end = search.value + search.inner * search.sigma
    for name in dict.fromkeys(search.name.tolist()):
        ends = np.full(fit.n_patterns, -np.inf), np.full(fit.n_patterns, np.inf)
        for side, array in zip((-1.0, 1.0), ends, strict=True):
            mine = np.flatnonzero((search.name == name) & (np.sign(search.sigma) == side))
            if _common(fit, name):
                array[:] = end[mine[0]]
            else:
                array[search.pattern[mine]] = end[mine]
        found[name] = ends
    return found
