"""Is a line there? By how much chi2 falls with it, and how often it falls as much where it is not.

The places and widths of the *other* lines are free in both models, and so is the place of the line in question: minima
of their own let chi2 fall by more than any chi-square law says, and thresholds taken from one call a line that is not
there present in a quarter of profiles. So the fall is compared with what it is in measurements repeated on the computer
without the line, with the same freedom in both models (parametric bootstrap).

References
----------
Davies, R. B. (1987). Biometrika 74, 33-43. doi:10.1093/biomet/74.1.33 (a parameter that only the larger model has)
Besag, J., Clifford, P. (1991). Biometrika 78, 301-304. doi:10.1093/biomet/78.2.301 (stopping once enough is known)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layerscope.fitting.bootstrap import draw, known_priors, measured_again
from layerscope.fitting.measured import prepare
from layerscope.fitting.series import lowest_chi2
from layerscope.fitting.series_fit import SeriesFit
from layerscope.fitting.solver import Tolerances
from layerscope.fitting.start import smoothed_variance

__all__ = ["ROUGH", "Presence", "presence"]

FloatArray = NDArray[np.float64]
Priors = Mapping[str, tuple[FloatArray, FloatArray]]

FALSE_ALARMS = 0.05  # share of profiles without the line in which it may be called present
NEVER = 4.0  # fall of chi2 below which no line is called present: less than any threshold found
ALWAYS = 60.0  # and above which one is: three times the highest threshold found
CLEARLY = 120.0  # fall of chi2 from one start each above which no other start is tried
FIRST = 20  # repetitions after which it may be clear
#: A chi2 to a hundredth is enough.
ROUGH = Tolerances(reduction=1e-5, step=1e-3, max_iterations=40, weights=1e-3, retries=False)
ENOUGH = 8  # repetitions with a larger fall after which the line is called absent
PATTERNS_AT_ONCE = 20_000  # of repetitions that are fitted together: they take memory by the pattern
FAR = 10.0  # fall of chi2 above the largest of the first repetitions from which on it is called present


@dataclass(frozen=True)
class Presence:
    """Whether a line is there.

    Attributes
    ----------
    gain : float
        Fall of chi2 with the line, amounts at or above zero.
    p_value : float
        Share of repetitions without the line in which chi2 falls as much; 0 and 1 where the fall alone decided.
    draws : int
        Repetitions; 0 where the fall alone decided.
    """

    gain: float
    p_value: float
    draws: int

    @property
    def present(self) -> bool:
        """Whether the line is there, wrong in `FALSE_ALARMS` of profiles without it."""
        return self.p_value < FALSE_ALARMS

    def text(self) -> str:
        """Return how it was decided, for people."""
        if self.draws == 0:
            return f"chi2 falls by {self.gain:.3g}"
        return f"chi2 falls by {self.gain:.3g}, as much in {self.p_value:.2g} of {self.draws} repetitions without it"


def presence(
    larger: SeriesFit,
    smaller: SeriesFit,
    places: Sequence[Mapping[str, ArrayLike]],
    *,
    draws: int = 100,
    seed: int = 0,
) -> Presence:
    """Tell whether the line that `larger` has more than `smaller` is there.

    Parameters
    ----------
    larger, smaller : SeriesFit
        Of the same measurement, with and without the line.
    places : sequence of mapping of str to array-like, shape (L,)
        Where the line may start, beside where `larger` ended.
    draws : int, optional
        Repetitions at most; fewer where the answer is clear before.
    seed : int, optional
        The same seed gives the same repetitions.

    Returns
    -------
    Presence
    """
    if smaller.chi2 - larger.chi2 > CLEARLY:
        return Presence(smaller.chi2 - larger.chi2, 0.0, 0)
    own = known_priors(larger)
    gain = float(_gain(larger, smaller, places, smaller.y[None], own)[0])
    if gain < NEVER or gain > ALWAYS:
        return Presence(gain, float(gain < NEVER), 0)
    rng = np.random.default_rng(seed)
    falls: list[float] = []
    while len(falls) < draws:
        count = FIRST if not falls else draws - len(falls)
        at_once = max(PATTERNS_AT_ONCE // smaller.n_patterns, 1)
        for first in range(0, count, at_once):
            falls += _repeated(larger, smaller, places, min(at_once, count - first), rng)
        larger_falls = int(np.sum(np.array(falls) >= gain))
        if larger_falls >= ENOUGH or gain > max(falls) + FAR:
            break
    return Presence(gain, (larger_falls + 1) / (len(falls) + 1), len(falls))


def _repeated(
    larger: SeriesFit,
    smaller: SeriesFit,
    places: Sequence[Mapping[str, ArrayLike]],
    count: int,
    rng: np.random.Generator,
) -> list[float]:
    """Return the fall of chi2 in repetitions of the measurement without the line."""
    drawn = [draw(smaller, rng) for _ in range(count)]
    known = {name: np.stack([priors[name] for _, priors in drawn]) for name in known_priors(smaller)}
    own = known_priors(larger)
    priors = {name: (known.get(name, value[None]), sigma) for name, (value, sigma) in own.items()}
    return list(_gain(larger, smaller, places, np.stack([y for y, _ in drawn]), priors))


def _gain(
    larger: SeriesFit, smaller: SeriesFit, places: Sequence[Mapping[str, ArrayLike]], y: FloatArray, priors: Priors
) -> FloatArray:
    """Return the fall of chi2 of measurements of shape (G, L, n), each model from its own and from the other's end."""
    common = smaller.batch.evaluator.layout.free_names
    shared = {name: larger.value(name) for name in common if name in larger.names}
    back = {name: smaller.value(name) for name in shared if name in larger.batch.evaluator.layout.free_names}
    without = _lowest(smaller, y, priors, [{}, shared])
    with_ = _lowest(larger, y, priors, [{}, *({**back, **place} for place in places)])
    return np.asarray(np.maximum(without - with_, 0.0))


def _lowest(fit: SeriesFit, y: FloatArray, priors: Priors, starts: Sequence[Mapping[str, ArrayLike]]) -> FloatArray:
    """Return the lowest chi2 of each measurement over several starts, shape (G,), amounts at or above zero.

    Both models are weighed with the noise of the smoothed measurement, so that a fall of chi2 is that of one sum.
    """
    named = {name: value for name, value in priors.items() if name in (*fit.batch.names, *fit.batch.linear_names)}
    asked = measured_again(fit, y, named)
    if asked.series.variance is None:
        asked = replace(asked, series=replace(asked.series, variance=smoothed_variance(prepare(asked.series))))
    asked = replace(asked, weights="given", nonnegative=True, tolerances=ROUGH)
    found = [lowest_chi2(replace(asked, starts={**asked.starts, **start})) for start in starts]
    return np.asarray(np.min(np.where(np.isfinite(found), found, np.inf), axis=0))
