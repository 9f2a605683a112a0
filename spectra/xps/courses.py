"""What amounts do along a profile, as quantities of a record: where they appear, saturate, fall and end."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from layerscope.errors import LayerscopeError
from layerscope.fitting.covariance import LevelCovariance
from layerscope.records import Alternative, Quantity
from layerscope.runs.build import interval, measured, some

from .dataset import FloatArray
from .depth import ChangePoint, DepthProfileFit, fit_depth_profile
from .profile import Profile

__all__ = ["Courses", "courses"]

Errors: TypeAlias = "FloatArray | LevelCovariance"


@dataclass
class Courses:
    """What was found of several amounts: quantities, models compared, flags, and what else is to be said."""

    quantities: list[Quantity] = field(default_factory=list)
    alternatives: list[Alternative] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def courses(profile: Profile, times: FloatArray, amounts: Iterable[tuple[str, FloatArray, Errors]]) -> Courses:
    """Fit the course of each amount over the etch times.

    Parameters
    ----------
    profile : Profile
        Its recipe gives confidence and etch rate.
    times : ndarray, shape (L,)
        Etch times (s).
    amounts : iterable of (str, ndarray, ndarray or LevelCovariance)
        Name, values (L,) and their covariance (L, L), or their errors (L,) where levels are independent.
    """
    table = profile.recipe.depth
    rate = None if table is None else (table.etch_rate_nm_s, table.sigma_nm_s)
    found = Courses()
    for name, values, covariance in amounts:
        try:
            fitted = fit_depth_profile(times, values, covariance, confidence=profile.recipe.confidence)
            more, models, flags = _quantities(fitted, name, rate)
        except (LayerscopeError, ValueError, ArithmeticError) as error:  # a course that fails costs itself alone
            found.notes.append(f"profile of {name}: {error}")
            continue
        found.quantities += more
        found.alternatives += models
        found.flags += flags
        if name == "LiF" and fitted.rising:  # the ion beam itself makes this finding (Yu et al. 2022)
            found.notes.append(
                "LiF grows with etch time: Ar+ sputtering is known to turn Li salts into LiF, so this may be no depth"
            )
    return found


def _times(prefix: str, point: ChangePoint | None, species: str, rate: tuple[float, float] | None) -> list[Quantity]:
    """Return a time of the profile (and the depth) with its 68 % interval."""
    time = None if point is None else interval(f"species.{prefix}_time", point, "s", species)
    if time is None or rate is None or time.value is None or time.sigma is None:
        return [] if time is None else [time]
    parts = {"fit": time.sigma * rate[0], "etch_rate": time.value * rate[1]}
    spread = math.hypot(*parts.values())
    depth = measured(f"species.{prefix}_depth", time.value * rate[0], spread, "nm", species, budget=parts)
    return [time, *some([depth])]


def _quantities(
    profile: DepthProfileFit, species: str, rate: tuple[float, float] | None = None
) -> tuple[list[Quantity], list[Alternative], list[str]]:
    """Return what a species does along the profile: quantities, models compared, flags."""
    found: list[Quantity] = []
    for prefix, point in (
        ("onset", profile.onset),
        ("rise", profile.rise_start),
        ("saturation", profile.saturation),
        ("fall", profile.fall),
        ("settled", profile.settled),
        ("gone", profile.gone),
        ("half", profile.half_time),
        ("edge", profile.edge_width),
        ("decay", profile.decay_time),
    ):
        found += _times(prefix, point, species, rate)
    levels: list[tuple[str, float | None, float | None, dict[str, Any]]] = [
        ("species.surface_level", profile.surface_level, profile.surface_level_sigma, {}),
        ("species.deep_level", profile.deep_level, profile.deep_level_sigma, {}),
    ]
    if profile.upper_limit is not None:
        limit = {"upper_limit": profile.upper_limit, "limit_confidence": profile.confidence}
        levels.append(("species.fraction", profile.mean, profile.mean_sigma, limit))
    else:
        levels.append(("species.plateau", profile.level, profile.level_sigma, {}))
    for name, level, sigma, more in levels:
        if level is not None and sigma is not None:
            found += some([measured(name, level, sigma, "1", species, **more)])
    models = [a.model_copy(update={"comparison": f"profile of {species}"}) for a in profile.alternatives]
    flags = [f.replace(":", f":{species} ", 1) if ":" in f else f"{f}:{species}" for f in profile.flags]
    return found, models, flags
