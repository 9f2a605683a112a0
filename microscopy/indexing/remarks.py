"""What the reader of a ranking must know: whether the prior decided, what would decide, why nothing is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..image import UNVERIFIED_SCALE
from .model import OTHER_LATTICE, Candidate, Ranking

__all__ = ["SHARED_SCALE", "remarked"]

SHARED_SCALE = 0.004
"""Relative difference of the scales that two explanations ask for, from which on a calibration tells them apart."""
_FEW = 3


def remarked(ranking: Ranking, spots: int, leading: Mapping[float, str]) -> Ranking:
    """Add reasons, flags and what would decide.

    Parameters
    ----------
    ranking : Ranking
        Of one window.
    spots : int
        Number of its spots off streaks.
    leading : mapping of float to str
        First answer under narrower and wider priors of the scale, by their standard deviation.
    """
    flags: list[str] = []
    first = ranking.first
    ranking, strengths = _of_strengths(ranking)
    flags += strengths
    if spots == 1:  # a single spacing: whatever has one within the prior of the scale stays possible
        flags.append("ONE_FRINGE")
        ranking = replace(ranking, candidates=tuple(replace(one, in_set=True) for one in ranking.candidates))
    if len(set(leading.values())) > 1:
        said = ", ".join(f"{phase} with {100 * sd:.2g} %" for sd, phase in leading.items())
        flags.append(f"SCALE_PRIOR_DECIDES:{said}")
    off = first.scale / ranking.scale.factor - 1
    known = ranking.scale.sd < 0.5  # of an unknown pixel nothing can be off
    if known and first.kind == "phase" and abs(off) > 2 * min(ranking.scale.sd, UNVERIFIED_SCALE / 3):
        flags.append(f"SCALE_OFF:{100 * off:+.2g} %")
    deciding = _would_decide(ranking, spots, strengths=bool(strengths))
    return replace(ranking, reasons=_reasons(ranking, spots), would_decide=deciding, flags=tuple(flags))


def _of_strengths(ranking: Ranking) -> tuple[Ranking, list[str]]:
    """Widen the set by what places alone would keep in it; and say so, loudly if another phase would come first."""
    first = ranking.first
    stated = {one.phase for one in ranking.ambiguity_set}
    alone = Ranking.ranked([replace(one, probability=one.by_places) for one in ranking.candidates], ranking.scale)
    kept = {(one.phase, one.zone, one.kind) for one in alone.ambiguity_set if one.by_places > 0}
    wider = tuple(
        replace(one, in_set=one.in_set or (one.phase, one.zone, one.kind) in kept) for one in ranking.candidates
    )
    ranking = replace(ranking, candidates=wider)
    other = alone.first
    if other.by_places > 0 and other.phase != first.phase:
        said = f"{first.name} {first.probability:.2f} by strengths of spots, {other.name} {other.by_places:.2f} without"
        return ranking, [f"STRENGTHS_DECIDE:{said}"]
    more = [one for one in ranking.ambiguity_set if one.phase not in stated]
    if not more:
        return ranking, []
    named = ", ".join(dict.fromkeys(one.phase for one in more))
    return ranking, [f"STRENGTHS_NARROW:without strengths of spots also {named}"]


def _reasons(ranking: Ranking, spots: int) -> tuple[str, ...]:
    first = ranking.first
    if not first.is_none:
        return ()
    if first.phase == OTHER_LATTICE:
        return ("the spots form a lattice that is not in the library",)
    return (f"{spots} spots form no lattice" if spots else "no spot above the noise",)


def _would_decide(ranking: Ranking, spots: int, *, strengths: bool) -> tuple[str, ...]:
    named: dict[str, Candidate] = {}
    for candidate in ranking.ambiguity_set:
        named.setdefault(candidate.phase, candidate)
    if len(named) < 2:
        return ()
    scales = [candidate.scale for candidate in named.values() if not candidate.is_none]
    out = []
    if len(scales) > 1 and max(scales) / min(scales) - 1 > SHARED_SCALE:
        out.append("calibration")
    if spots < _FEW:
        out.append("a second fringe")
    if strengths:
        out += ["a thinner place", "a series of thickness or focus"]
    return (*out, "another zone axis")
