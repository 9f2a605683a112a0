"""What is found out about a species' fraction along a depth profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from layerscope.records import Alternative

from ..dataset import FloatArray
from .intervals import ChangePoint

__all__ = ["DepthProfileFit", "ModelName"]

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
