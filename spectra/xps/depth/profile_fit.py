"""At which etch time a species appears, saturates, falls or is gone: models of a fraction against etch time.

Compared by BIC, and all kept: the species is absent; constant; linear in time; a ramp with two kinks from zero, to zero
or between two levels; a smooth edge (error function) from zero, to zero or between two levels; an exponential decay to
zero, or an approach to a level. Where a smooth model is not better by 2 than the best other one, the data cannot tell
them apart, and the one with kinks is taken, because it states the times that are asked for; a flag names the other.

Kinks have no regular standard error, because chi2 is flat between two levels and has corners; so all times come with
profile-likelihood intervals with simulated thresholds (see `zoom`; `benchmarks/depth_profile_coverage.py`
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

from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from layerscope.errors import DataError
from layerscope.fitting.covariance import LevelCovariance
from layerscope.fitting.limits import feldman_cousins

from .choice import (
    UNDECIDED,
    Candidate,
    Line,
    alternatives,
    bic_of,
    choose,
    fit_candidates,
    improbable,
    straight_line,
)
from .intervals import ChangePoint, Levels, describe
from .profile import DepthProfileFit
from .shapes import SPECS, Data

__all__ = ["fit_depth_profile"]

# Rise of chi2 at the ends of a 68.27 % and a 95 % interval of one parameter with known errors
_RISES = (1.0, 3.841458820694124)
_PROBABILITIES = (0.8413447460685429, 0.975)
# chi2 / (n - k) of an improbable model beyond which no time is stated
_GROSS = 25.0
_OPEN_END = {"saturation": "SATURATION_OPEN", "gone": "GONE_OPEN", "settled": "SETTLED_OPEN"}
# Weighted mean further below zero (in stated errors) than this contradicts its errors: no limit can be stated
_MOST_NEGATIVE = 8.0


def fit_depth_profile(
    etch_time_s: npt.ArrayLike,
    fraction: npt.ArrayLike,
    covariance: npt.ArrayLike | LevelCovariance,
    *,
    confidence: float = 0.95,
) -> DepthProfileFit:
    """Choose and fit the model of a species' fraction against etch time.

    Parameters
    ----------
    etch_time_s : array-like, shape (L,)
        Etch time of each level (s), strictly ascending, at least three.
    fraction : array-like, shape (L,)
        Fraction (or area) of the species; not cut at zero.
    covariance : array-like, shape (L, L) or (L,), or LevelCovariance
        Its covariance over the levels, whole or in parts, or standard errors of independent levels.
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
    constant, line = straight_line(data, 0), straight_line(data, 1)
    candidates = fit_candidates(data, constant, line)
    bic = bic_of(candidates, n, 1.0)
    chosen = choose(candidates, bic)
    inflation = 1.0
    if improbable(chosen, n):
        best_fit = min((c for c in candidates.values() if c.allowed), key=lambda c: c.chi2 / (n - c.n_free))
        bic = bic_of(candidates, n, max(best_fit.chi2 / (n - best_fit.n_free), 1.0))
        chosen = choose(candidates, bic)
        inflation = max(chosen.chi2 / (n - chosen.n_free), 1.0)
    dof = n - chosen.n_free
    poor = inflation > 1.0 and improbable(chosen, n)
    rises = tuple(float(stdtrit(dof, p)) ** 2 for p in _PROBABILITIES) if inflation > 1.0 else _RISES
    levels = (
        describe(data, chosen.key, chosen.best, candidates, inflation, (rises[0], rises[1])) if chosen.best else None
    )
    times, flags = _times(data, chosen, candidates, levels, line, inflation, (rises[0], rises[1]))
    mean, mean_sigma = float(constant.parameters[0]), sqrt(inflation * float(constant.covariance[0, 0]))
    limited = chosen.name == "absent" and mean >= -_MOST_NEGATIVE * mean_sigma / sqrt(inflation)
    limit = float(feldman_cousins(mean, mean_sigma, confidence).high) if limited else np.nan
    if chosen.name == "absent":
        flags.insert(0, "NOT_DETECTED" if limited else "NEGATIVE_FRACTION")
    if poor:
        flags.append(f"POOR_PROFILE_MODEL:{chosen.chi2 / dof:.3g}")
    flags += [f"AMBIGUOUS_MODEL:{k}" for k in bic if k != chosen.name and bic[k] - bic[chosen.name] < UNDECIDED]
    linear = chosen.name == "linear"
    level, level_sigma = _level(chosen, constant, levels, inflation)
    return DepthProfileFit(
        model=chosen.name,
        alternatives=alternatives(candidates, bic, chosen.name),
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
        upper_limit=limit if np.isfinite(limit) else None,
        confidence=confidence,
        flags=tuple(flags),
        **{name: times.get(name) if chosen.chi2 <= _GROSS * dof or not poor else None for name in _TIME_NAMES},
    )


_TIME_NAMES = (
    "onset", "rise_start", "saturation", "fall", "gone", "settled", "half_time", "edge_width", "decay_time",
)  # fmt: skip


def _checked(etch_time_s: npt.ArrayLike, fraction: npt.ArrayLike, covariance: npt.ArrayLike | LevelCovariance) -> Data:
    """Return the whitened profile after the checks."""
    time, values = (np.asarray(entry, dtype=float) for entry in (etch_time_s, fraction))
    cov = covariance.variance if isinstance(covariance, LevelCovariance) else np.asarray(covariance, dtype=float)
    if time.ndim != 1 or time.size < 3:
        raise DataError(f"a depth profile needs at least three levels, not {time.size}")
    if values.shape != time.shape or cov.shape not in {time.shape, 2 * time.shape}:
        raise DataError(f"{time.size} etch times, but fractions {values.shape} and covariance {cov.shape}")
    if not (np.all(np.isfinite(time)) and np.all(np.isfinite(values)) and np.all(np.isfinite(cov))):
        raise DataError("an etch time, a fraction or its covariance is not finite")
    if np.any(np.diff(time) <= 0.0):
        raise DataError("etch times must ascend strictly", hint="merge levels of equal etch time first")
    return Data.of(time, values, covariance if isinstance(covariance, LevelCovariance) else cov)


def _rising(chosen: Candidate, line: Line) -> bool | None:
    if chosen.name == "linear":
        return bool(line.parameters[1] > 0.0)
    return chosen.best.end >= chosen.best.start if chosen.best else None


def _level(
    chosen: Candidate, constant: Line, levels: Levels | None, inflation: float
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
    chosen: Candidate,
    candidates: dict[str, Candidate],
    levels: Levels | None,
    line: Line,
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
            flags.append(_OPEN_END[names[1]])
    return dict(zip(names, (levels.first, levels.second), strict=True)), flags
