"""At which etch time a species appears, saturates, falls or is gone: models of a fraction against etch time.

Compared by BIC, and all kept: the species is absent; constant; linear in time; a ramp with two kinks from zero, to zero
or between two levels; a smooth edge (error function) from zero, to zero or between two levels; an exponential decay to
zero, or an approach to a level. Where a smooth model is not better by 2 than the best other one, the data cannot tell
them apart, and the one with kinks is taken, because it states the times that are asked for; a flag names the other.

Kinks have no regular standard error, because chi2 is flat between two levels and has corners; so all times come with
profile-likelihood intervals with simulated thresholds (see `depth_models`; `benchmarks/depth_profile_coverage.py`
measures the coverage). A time outside the measured range is not a number: the end of the interval is then open (None).

Where no model describes the profile (its chi2 has a probability below 1e-3), the errors are too small or the shape is
another one. All variances are then multiplied by the chosen model's chi2 / (n - k), thresholds follow Student's law,
and BIC differences are taken over the chi2 / (n - k) of the best-fitting model, as quasi-likelihood has it [1]_.

References
----------
.. [1] R. W. M. Wedderburn, Quasi-likelihood functions, generalized linear models, and the Gauss-Newton method,
   Biometrika 61, 439 (1974), doi:10.1093/biomet/61.3.439.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincc, stdtrit

from layerscope.errors import DataError
from layerscope.fitting.limits import feldman_cousins
from layerscope.records import Alternative

from .dataset import FloatArray
from .depth_intervals import ChangePoint, Levels, describe
from .depth_models import SPECS, Data, Optimum, coarse, optimum, rise

__all__ = ["ChangePoint", "DepthProfileFit", "ModelName", "RampFit", "fit_depth_profile", "fit_ramp"]

ModelName = Literal[
    "absent",
    "constant",
    "linear",
    "ramp_up",
    "ramp_down",
    "two_level_rise",
    "two_level_fall",
    "edge_up",
    "edge_down",
    "two_level_edge_rise",
    "two_level_edge_fall",
    "decay",
    "approach_rise",
    "approach_fall",
]

# Rise of chi2 at the ends of a 68.27 % and a 95 % interval of one parameter with known errors
_RISES = (1.0, 3.841458820694124)
_PROBABILITIES = (0.8413447460685429, 0.975)
# chi2 of lower probability says that the model does not describe the data; beyond this chi2 / (n - k) no time is stated
_IMPROBABLE = 1e-3
_GROSS = 25.0
# Difference in BIC below which the data do not tell two models apart
_UNDECIDED = 2.0
# Weighted mean further below zero (in stated errors) than this contradicts its errors: no limit can be stated
_MOST_NEGATIVE = 8.0


@dataclass(frozen=True)
class RampFit:
    """Least-squares fit of a ramp between zero and a plateau.

    Attributes
    ----------
    plateau, plateau_sigma : float
        Level of the plateau, >= 0, and half its 68 % interval.
    first, second : ChangePoint
        Start and end of the ramp: onset and saturation, or start of the fall and gone.
    chi2 : float
        Weighted sum of squares at the optimum.
    curve : ndarray, shape (L,)
        Fitted fraction at the measured times.
    """

    plateau: float
    plateau_sigma: float
    first: ChangePoint
    second: ChangePoint
    chi2: float
    curve: FloatArray


@dataclass(frozen=True)
class DepthProfileFit:
    """What a fraction does along the profile.

    Attributes
    ----------
    model : str
        Chosen model.
    alternatives : tuple of Alternative
        All models with chi2, number of parameters, BIC and its distance to the chosen one. Of the two directions of a
        model between two levels only the better one is listed. No BIC: as many parameters as levels, or not allowed.
    chi2 : float
        Of the chosen model.
    dof : int
        Its degrees of freedom, n - k.
    inflation : float
        Factor on all variances, 1 unless the model is poor.
    curve : ndarray, shape (L,)
        Fraction by the chosen model at the measured times.
    rising : bool or None
        Whether the fraction rises or falls with etch time; None for a constant and for nothing.
    level, level_sigma : float or None
        Where the species stays: the plateau of a ramp or edge from or to zero, the deep level of other transitions,
        the constant; None for the linear model, a decay and nothing.
    surface_level, surface_level_sigma, deep_level, deep_level_sigma : float or None
        Levels before and behind the transition (of an approach: at the first level, and far below); sigma 0 and value
        0 where the model holds one at zero. None where there is no transition.
    slope, slope_sigma : float or None
        Slope of the linear model (1/s).
    onset, saturation : ChangePoint or None
        Kinks of a rising species; onset only if its level before is zero or compatible with zero (95 %).
    rise_start : ChangePoint or None
        First kink of a rising species that is there before.
    fall, gone : ChangePoint or None
        Kinks of a falling species; gone only if its level behind is zero or compatible with zero (95 %).
    settled : ChangePoint or None
        Second kink of a falling species that is there still.
    half_time, edge_width : ChangePoint or None
        Time of half the change, and time between 16 and 84 % of it, of a smooth edge.
    decay_time : ChangePoint or None
        1/e time of an exponential.
    mean, mean_sigma : float
        Weighted mean over all levels, whatever the model.
    upper_limit : float or None
        Feldman-Cousins limit on that mean, if the chosen model is "absent".
    confidence : float
        Of that limit.
    flags : tuple of str
        ``NOT_DETECTED``; ``PRESENT_FROM_START``, ``NEVER_GONE`` where the level there is not compatible with zero;
        ``NEVER_SATURATES`` where the fraction rises to the end; ``ONSET_OPEN``, ``SATURATION_OPEN``, ``SETTLED_OPEN``,
        ``GONE_OPEN`` where the best estimate lies inside the measured range, but its 95 % interval does not end there;
        ``AMBIGUOUS_MODEL:<name>`` for every other model within 2 of the BIC of the chosen one, or better;
        ``POOR_PROFILE_MODEL:<chi2/(n-k)>`` where no model describes the profile, beyond 25 without times;
        ``NEGATIVE_FRACTION`` where the mean is further below zero than its error allows.
    """

    model: ModelName
    alternatives: tuple[Alternative, ...]
    chi2: float
    curve: FloatArray
    level: float | None
    level_sigma: float | None
    slope: float | None
    slope_sigma: float | None
    onset: ChangePoint | None
    saturation: ChangePoint | None
    fall: ChangePoint | None
    gone: ChangePoint | None
    mean: float
    mean_sigma: float
    upper_limit: float | None
    confidence: float
    flags: tuple[str, ...]
    dof: int = 0
    inflation: float = 1.0
    rising: bool | None = None
    rise_start: ChangePoint | None = None
    settled: ChangePoint | None = None
    half_time: ChangePoint | None = None
    edge_width: ChangePoint | None = None
    decay_time: ChangePoint | None = None
    surface_level: float | None = None
    surface_level_sigma: float | None = None
    deep_level: float | None = None
    deep_level_sigma: float | None = None


@dataclass(frozen=True)
class _Candidate:
    """One model that was fitted."""

    name: ModelName
    n_free: int
    chi2: float
    curve: FloatArray
    key: str = ""
    best: Optimum | None = None
    allowed: bool = True


@dataclass(frozen=True)
class _Line:
    """Straight-line fits of the data: parameters, covariance."""

    parameters: FloatArray
    covariance: FloatArray


def fit_depth_profile(
    etch_time_s: npt.ArrayLike, fraction: npt.ArrayLike, covariance: npt.ArrayLike, *, confidence: float = 0.95
) -> DepthProfileFit:
    """Choose and fit the model of a species' fraction against etch time.

    Parameters
    ----------
    etch_time_s : array-like, shape (L,)
        Etch time of each level (s), strictly ascending, at least three.
    fraction : array-like, shape (L,)
        Fraction (or area) of the species; not cut at zero.
    covariance : array-like, shape (L, L) or (L,)
        Its covariance over the levels, or standard errors of independent levels.
    confidence : float, default 0.95
        Of the upper limit for a species that is not detected.

    Returns
    -------
    DepthProfileFit
        The chosen model, its times with intervals, every alternative, and flags.

    Raises
    ------
    DataError
        Fewer than three levels, times not ascending, values not finite, or a covariance that is not positive definite.
    """
    data = _checked(etch_time_s, fraction, covariance)
    n = data.time.size
    constant, line = _line(data, 0), _line(data, 1)
    candidates = _candidates(data, constant, line)
    bic = _bic(candidates, n, 1.0)
    chosen = _choose(candidates, bic)
    inflation = 1.0
    if _improbable(chosen, n):
        best_fit = min((c for c in candidates.values() if c.allowed), key=lambda c: c.chi2 / (n - c.n_free))
        bic = _bic(candidates, n, max(best_fit.chi2 / (n - best_fit.n_free), 1.0))
        chosen = _choose(candidates, bic)
        inflation = max(chosen.chi2 / (n - chosen.n_free), 1.0)
    dof = n - chosen.n_free
    poor = inflation > 1.0 and _improbable(chosen, n)
    rises = tuple(float(stdtrit(dof, p)) ** 2 for p in _PROBABILITIES) if inflation > 1.0 else _RISES
    levels = (
        describe(data, chosen.key, chosen.best, candidates, inflation, (rises[0], rises[1])) if chosen.best else None
    )
    times, flags = _times(data, chosen, candidates, levels, line, inflation, (rises[0], rises[1]))
    mean, mean_sigma = float(constant.parameters[0]), sqrt(inflation * float(constant.covariance[0, 0]))
    limited = chosen.name == "absent" and mean >= -_MOST_NEGATIVE * mean_sigma / sqrt(inflation)
    if chosen.name == "absent":
        flags.insert(0, "NOT_DETECTED" if limited else "NEGATIVE_FRACTION")
    if poor:
        flags.append(f"POOR_PROFILE_MODEL:{chosen.chi2 / dof:.3g}")
    flags += [f"AMBIGUOUS_MODEL:{k}" for k in bic if k != chosen.name and bic[k] - bic[chosen.name] < _UNDECIDED]
    linear = chosen.name == "linear"
    level, level_sigma = _level(chosen, constant, levels, inflation)
    return DepthProfileFit(
        model=chosen.name,
        alternatives=_alternatives(candidates, bic, chosen.name),
        chi2=chosen.chi2,
        dof=dof,
        inflation=inflation,
        curve=chosen.curve,
        rising=_rising(chosen, line),
        level=level,
        level_sigma=level_sigma,
        surface_level=levels.start if levels else None,
        surface_level_sigma=levels.start_sigma if levels else None,
        deep_level=levels.end if levels else None,
        deep_level_sigma=levels.end_sigma if levels else None,
        slope=float(line.parameters[1]) if linear else None,
        slope_sigma=sqrt(inflation * float(line.covariance[1, 1])) if linear else None,
        mean=mean,
        mean_sigma=mean_sigma,
        upper_limit=float(feldman_cousins(mean, mean_sigma, confidence).high) if limited else None,
        confidence=confidence,
        flags=tuple(flags),
        **{name: times.get(name) if chosen.chi2 <= _GROSS * dof or not poor else None for name in _TIME_NAMES},
    )


_TIME_NAMES = (
    "onset", "rise_start", "saturation", "fall", "gone", "settled", "half_time", "edge_width", "decay_time",
)  # fmt: skip


def fit_ramp(
    etch_time_s: npt.ArrayLike,
    fraction: npt.ArrayLike,
    covariance: npt.ArrayLike,
    *,
    falling: bool = False,
    bartlett: bool = True,
) -> RampFit:
    """Fit a ramp from zero to a plateau (or from a plateau to zero) and profile its two kinks.

    Parameters
    ----------
    etch_time_s, fraction, covariance : array-like
        See `fit_depth_profile`.
    falling : bool, default False
        True for a species that falls from a plateau to zero.
    bartlett : bool, default True
        False for thresholds of the normal law, not raised by simulation.

    Returns
    -------
    RampFit
        Plateau, kinks with intervals, chi2 and curve.

    Raises
    ------
    DataError
        See `fit_depth_profile`.
    """
    data = _checked(etch_time_s, fraction, covariance)
    key = "ramp_down" if falling else "ramp_up"
    best = optimum(data, SPECS[key], coarse(data, "ramp"))
    found = describe(data, key, best, {}, 1.0, _RISES, bartlett=bartlett)
    plateau = (found.start, found.start_sigma) if falling else (found.end, found.end_sigma)
    return RampFit(*plateau, found.first, found.second, best.chi2, _curve(data, key, best))


def _checked(etch_time_s: npt.ArrayLike, fraction: npt.ArrayLike, covariance: npt.ArrayLike) -> Data:
    """Return the whitened profile after the checks."""
    time, values, cov = (np.asarray(entry, dtype=float) for entry in (etch_time_s, fraction, covariance))
    cov = np.diag(cov**2) if cov.ndim == 1 else cov
    if time.ndim != 1 or time.size < 3:
        raise DataError(f"a depth profile needs at least three levels, not {time.size}")
    if values.shape != time.shape or cov.shape != (time.size, time.size):
        raise DataError(f"{time.size} etch times, but fractions {values.shape} and covariance {cov.shape}")
    if not (np.all(np.isfinite(time)) and np.all(np.isfinite(values)) and np.all(np.isfinite(cov))):
        raise DataError("an etch time, a fraction or its covariance is not finite")
    if np.any(np.diff(time) <= 0.0):
        raise DataError("etch times must ascend strictly", hint="merge levels of equal etch time first")
    return Data.of(time, values, cov)


def _line(data: Data, degree: int) -> _Line:
    """Generalised least squares of a constant (0) or a line (1), about the middle of the profile against rounding."""
    design = data.whiten(np.stack([np.ones(data.time.size), data.time - data.time.mean()])[: degree + 1])
    covariance = np.linalg.inv(design @ design.T)
    return _Line(covariance @ (design @ data.target), np.asarray(covariance))


def _curve(data: Data, key: str, best: Optimum) -> FloatArray:
    shape = rise(SPECS[key].kind, data.time, np.array([best.first]), np.array([best.second]))[0]
    return np.asarray(best.start * (1.0 - shape) + best.end * shape)


def _candidates(data: Data, constant: _Line, line: _Line) -> dict[str, _Candidate]:
    """Fit every model."""
    n = data.time.size

    def simple(name: ModelName, n_free: int, curve: FloatArray, *, allowed: bool = True) -> _Candidate:
        return _Candidate(name, n_free, float(np.sum((data.target - data.whiten(curve)) ** 2)), curve, allowed=allowed)

    level = float(constant.parameters[0])
    straight = line.parameters[0] + line.parameters[1] * (data.time - data.time.mean())
    # a constant or a line below zero is no species: "absent" says the same with fewer parameters
    found = [
        simple("absent", 0, np.zeros(n)),
        simple("constant", 1, np.full(n, level), allowed=level > 0.0),
        simple("linear", 2, straight, allowed=level > 0.0),
    ]
    maps = {kind: coarse(data, kind) for kind in ("ramp", "edge", "approach")}
    for key, spec in SPECS.items():
        best = optimum(data, spec, maps[spec.kind])
        name = key if spec.levels != "between" else f"{key}_{'rise' if best.end >= best.start else 'fall'}"
        curve = _curve(data, key, best)
        found.append(_Candidate(name, spec.n_free, best.chi2, curve, key, best, spec.n_free < n))  # type: ignore[arg-type]
    return {c.name: c for c in found}


def _bic(candidates: dict[str, _Candidate], n: int, dispersion: float) -> dict[str, float]:
    """Return BIC of all models that are allowed; of the quasi-likelihood, if the dispersion is not 1."""
    return {k: c.chi2 / dispersion + c.n_free * log(n) for k, c in candidates.items() if c.allowed}


def _choose(candidates: dict[str, _Candidate], bic: dict[str, float]) -> _Candidate:
    """Take the lowest BIC; a smooth model only where it is better than all others by more than data can leave open."""

    def lowest(names: list[str]) -> str:
        return min(names, key=lambda name: (bic[name], candidates[name].n_free))

    smooth = {name for name in bic if candidates[name].key and SPECS[candidates[name].key].smooth}
    plain, best = lowest([name for name in bic if name not in smooth]), lowest(list(bic))
    return candidates[best if bic[best] < bic[plain] - _UNDECIDED else plain]


def _improbable(candidate: _Candidate, n: int) -> bool:
    dof = n - candidate.n_free
    return float(gammaincc(0.5 * dof, 0.5 * candidate.chi2)) < _IMPROBABLE


def _rising(chosen: _Candidate, line: _Line) -> bool | None:
    if chosen.name == "linear":
        return bool(line.parameters[1] > 0.0)
    return chosen.best.end >= chosen.best.start if chosen.best else None


def _level(
    chosen: _Candidate, constant: _Line, levels: Levels | None, inflation: float
) -> tuple[float | None, float | None]:
    """Return where the species stays."""
    if chosen.name == "constant":
        return float(constant.parameters[0]), sqrt(inflation * float(constant.covariance[0, 0]))
    if levels is None or chosen.name == "decay":
        return None, None
    if SPECS[chosen.key].levels == "down":
        return levels.start, levels.start_sigma
    return levels.end, levels.end_sigma


def _times(
    data: Data,
    chosen: _Candidate,
    candidates: dict[str, _Candidate],
    levels: Levels | None,
    line: _Line,
    inflation: float,
    rises: tuple[float, float],
) -> tuple[dict[str, ChangePoint], list[str]]:
    """Name the times of the chosen model, and say what they alone do not."""
    flags: list[str] = []
    if chosen.name == "constant":
        return {}, ["PRESENT_FROM_START"]
    if chosen.name == "linear":
        # a line that runs through the whole profile has its second kink behind the end: what the ramp has to say
        key = "ramp_up" if line.parameters[1] > 0.0 else "ramp_down"
        ramp = candidates[key].best
        levels = describe(data, key, ramp, candidates, inflation, rises) if ramp else None
    if levels is None:
        return {}, flags
    rising = bool(_rising(chosen, line))
    if not levels.zero_at_start:
        flags.append("PRESENT_FROM_START")
    if not rising and not levels.zero_at_end:
        flags.append("NEVER_GONE")
    spec = SPECS[chosen.key] if chosen.key else SPECS["ramp_up"]
    if spec.kind == "edge":
        return {"half_time": levels.first, "edge_width": levels.second}, flags
    if spec.kind == "approach":
        return {"decay_time": levels.second}, flags
    if rising:
        names = "onset" if levels.zero_at_start else "rise_start", "saturation"
    else:
        names = "fall", "gone" if levels.zero_at_end else "settled"
    if names[0] == "onset" and levels.first.low_95 is None:
        flags.append("ONSET_OPEN")
    if levels.second.high_95 is None:
        if rising and (chosen.name == "linear" or levels.second.value is None):
            flags.append("NEVER_SATURATES")
        elif levels.second.value is not None:
            flags.append(f"{names[1].upper()}_OPEN")
    return dict(zip(names, (levels.first, levels.second), strict=True)), flags


def _alternatives(
    candidates: dict[str, _Candidate], bic: dict[str, float], chosen: ModelName
) -> tuple[Alternative, ...]:
    """List every model; one that is not allowed has no BIC."""
    return tuple(
        Alternative(
            name=name,
            bic=bic.get(name),
            delta_bic=bic[name] - min(bic.values()) if name in bic else None,
            chi2=max(c.chi2, 0.0),
            n_free=c.n_free,
            chosen=name == chosen,
        )
        for name, c in candidates.items()
    )
