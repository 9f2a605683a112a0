"""What the peaks of a survey say of one element: a reading of them from one of its strong lines on.

From a peak that is taken for a strong line (the anchor) follow the places and areas of all other lines. Each line adds
the logarithm of how much likelier what is seen there is with the element than without it. A line that should stand out
and does not counts against it, one that another element covers counts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import log_ndtr

from ..dataset import FloatArray
from .lines import SurveyLine
from .losses import PER_EV, secondary_rate
from .peaks import LEAST, PeakSearch

__all__ = ["COMMON", "UNSEEN", "VALENCE_EV", "Element", "SurveyPeaks", "judge", "log_odds"]

COMMON = frozenset(re.findall("[A-Z][a-z]?", "LiBCNOFNaMgAlSiPSClArKCaTiVCrMnFeCoNiCuZnZrMoAgInSnIWPtAuPb"))
ALWAYS = ("C", "O")
PRIOR, PRIOR_RARE, PRIOR_ALWAYS = 0.1, 0.003, 0.8
"""Probability before the data that an element is there; of C and O, that no surface is free of, the last."""
SPREAD_DOUBLET, SPREAD_CORE, SPREAD_AUGER, SPREAD_PER_LOG_ENERGY = 0.35, 0.45, 0.9, 0.5
"""Standard deviation of ln(area) about what the factors say, and how it grows with the ratio of kinetic energies."""
SHAPED = 0.08
"""Share of lines whose area is anything: they lie on something else, or the factor is wrong."""
STRAY, STRAY_FALL, STRONGEST = 3.0, 1.3, 100.0
"""Peaks of a survey that come from nothing known: how many, as which power their number falls with their significance,
up to where."""
TOO_FAR = 3.0
"""Standard deviations from the expected area beyond which a peak does not speak for a line."""
DECADES = 7.0
"""Width of the distribution of ln(area) of a line before it was seen."""
TOGETHER_DOUBLET_EV, TOGETHER_EV, TOGETHER_AUGER_EV = 2.0, 3.0, 11.0
"""How far a line may lie from where the anchor puts it."""
SPLIT_EV = 0.5
"""How well a splitting is known and measured where both lines of a doublet are peaks."""
ANCHOR = 0.04
"""Least strength of an anchor against the strongest line of its element."""
MOST, MOST_AUGER, MISSING, MISSING_WEAK = 6.0, 5.0, -10.0, -2.5
"""Most that one core level and one Auger line can speak for their element, and that its strongest core level and any
other line can speak against it when it is missing."""
ANOTHER_STATE, ANOTHER_STATE_ALWAYS = 0.2, 0.5
"""Probability that a core level has a second chemical state that is resolved in a survey; of C and O, the last."""
BESIDE = 1.5
"""Widths of a stronger peak within which a line need not be a peak of its own."""
UNSEEN = 0.45
"""Most that the probability of an element can be whose lines lie under those of others."""
CLAIM_CORE, CLAIM_AUGER = 1.5, 0.7
"""Standard deviations above what is expected of a line up to which a peak is left to it alone."""
VALENCE_EV, INNER_VALENCE_EV, SHALLOW_EV = 13.0, 24.0, 40.0
"""Binding energies below which peaks are the valence band or its 2s part, and below which a level need be no peak."""


@dataclass(frozen=True)
class Element:
    """What a survey says of one element.

    Attributes
    ----------
    symbol : str
    probability : float
        That it is there.
    evidence : float
        Natural logarithm of how much likelier the peaks are with it than without.
    anchor : SurveyLine or None
        The line that the others are measured by; None if there is no peak that could be one.
    energy_eV, energy_sigma_eV : float
        Where that line was found; NaN without one.
    seen, missing : tuple of str
        Lines that were found, and those that should stand out and do not.
    rivals : tuple of str
        Elements that could stand for it at the anchor.
    peaks : tuple of int
        The peaks of `seen`.
    expected, hidden : mapping of int to float
        Most of the area of peaks that it accounts for: those of `seen`, and those that others have.
    gains : mapping of int to float
        What each of its peaks adds to the evidence.
    """

    symbol: str
    probability: float
    evidence: float
    anchor: SurveyLine | None = None
    energy_eV: float = np.nan
    energy_sigma_eV: float = np.nan
    seen: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()
    peaks: tuple[int, ...] = ()
    expected: Mapping[int, float] = field(default_factory=dict)
    hidden: Mapping[int, float] = field(default_factory=dict)
    gains: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SurveyPeaks:
    """Peaks as arrays, and what the analyser does to areas."""

    search: PeakSearch
    photon_eV: float
    energy: FloatArray
    area: FloatArray
    least: FloatArray
    fwhm: FloatArray
    stray: FloatArray  # peaks like each one that come from nothing known, per eV and ln(area)

    @classmethod
    def of(cls, search: PeakSearch, photon_eV: float) -> SurveyPeaks:
        """Return the peaks that were found, each with how many like it come from nothing known."""
        energy = np.array([p.energy_eV for p in search.peaks])
        area = np.array([p.area for p in search.peaks])
        least = np.array([LEAST * p.area_sigma for p in search.peaks])
        span = float(np.ptp(search.energy_eV))
        strong = np.array([min(p.significance, STRONGEST) for p in search.peaks])
        stray = STRAY / span * STRAY_FALL * (LEAST / strong) ** STRAY_FALL
        fwhm = np.array([p.fwhm_eV for p in search.peaks])
        stray = np.maximum(stray, secondary_rate(energy, area, fwhm))
        stray = np.where(energy < INNER_VALENCE_EV, np.maximum(stray, PER_EV), stray)
        return cls(search, photon_eV, energy, area, least, fwhm, stray)

    def strength(self, line: SurveyLine) -> float:
        """Return what its area is proportional to: factor, path ~ E^0.75, transmission taken as E^-0.5."""
        return float(line.factor * (self.photon_eV - line.energy_eV) ** 0.25)


def _prior(element: str) -> float:
    probability = PRIOR_ALWAYS if element in ALWAYS else PRIOR if element in COMMON else PRIOR_RARE
    return float(np.log(probability / (1.0 - probability)))


def log_odds(one: Element) -> float:
    """Return the logarithm of the odds that an element is there; minus infinity if no peak speaks for it."""
    return one.evidence + _prior(one.symbol) if one.anchor is not None else -np.inf


def judge(
    survey: SurveyPeaks, name: str, lines: Sequence[SurveyLine], shift: float, others: Mapping[str, Element]
) -> Element:
    """Return the best reading of the peaks as an element, beside those that explain some already.

    Parameters
    ----------
    survey : SurveyPeaks
    name : str
        Symbol.
    lines : sequence of SurveyLine
        All of the element.
    shift : float
        Of all lines, measured less true (eV).
    others : mapping of str to Element
        What they account for is taken off the peaks beforehand.

    Returns
    -------
    Element
        Without an anchor if no peak can be one; its probability is then 0, or what it was before the data where its
        strongest line may lie under another peak.
    """
    left = survey.area.copy()
    for other in others.values():
        for claims in (other.expected, other.hidden):
            for peak, area in claims.items():
                left[peak] -= area
    free = left > np.maximum(survey.least, 0.3 * survey.area)
    low, high = survey.search.energy_eV[0], survey.search.energy_eV[-1]
    inside = [line for line in lines if low + 8 < line.energy_eV + shift < high - 8]
    strengths = [survey.strength(line) for line in inside]
    best = Element(name, 0.0, -np.inf)
    if not inside or max(strengths) <= 0:
        return best
    top = max((s for s, line in zip(strengths, inside, strict=True) if not line.auger), default=0.0)
    for line, strength in zip(inside, strengths, strict=True):
        if line.auger or strength < ANCHOR * top:
            continue
        place = survey.energy - shift
        reach = (place > line.low_eV - 2) & (place < line.high_eV + 2) & free & (place > VALENCE_EV)
        for peak in np.flatnonzero(reach)[np.argsort(-left[reach])][:3]:
            tried = _reading(survey, name, inside, (line, int(peak)), shift, left, free)
            best = max(best, tried, key=lambda one: one.evidence)
    if best.anchor is None and _covered(survey, inside[int(np.argmax(strengths))], shift):
        return replace(best, probability=min(1.0 / (1.0 + np.exp(-_prior(name))), UNSEEN))
    return best


def _covered(survey: SurveyPeaks, line: SurveyLine, shift: float) -> bool:
    """Tell whether there is a peak, of whatever, where a line may lie: it says nothing then of its element."""
    place = survey.energy - shift
    return bool(((place > line.low_eV) & (place < line.high_eV)).any())


def _reading(
    survey: SurveyPeaks,
    name: str,
    lines: Sequence[SurveyLine],
    anchored: tuple[SurveyLine, int],
    shift: float,
    left: FloatArray,
    free: np.ndarray,
) -> Element:
    """Return the element with one line at one peak."""
    anchor, at = anchored
    place = survey.energy[at] - shift
    beyond = max(anchor.low_eV - place, place - anchor.high_eV, 0.0)
    width = anchor.high_eV - anchor.low_eV + 2.0
    evidence = float(-np.log(DECADES * survey.stray[at] * width) - 0.5 * beyond**2)
    amount = left[at] / survey.strength(anchor)
    main = max((line for line in lines if not line.auger), key=survey.strength).whole
    moved = place - anchor.energy_eV
    seen, missing, peaks = [anchor.name], [], [at]
    expected, gains = {at: float(left[at])}, {at: evidence}
    hidden: dict[int, float] = {}
    several = ANOTHER_STATE_ALWAYS if name in ALWAYS else ANOTHER_STATE
    for k in _other_states(survey, anchor, at, shift, left, free):
        gain = float(np.clip(np.log(several / (DECADES * survey.stray[k] * width)), 0.0, MOST / 2))
        evidence += gain
        seen.append(f"{anchor.name} (another state)")
        peaks.append(int(k))
        gains[int(k)], expected[int(k)] = gain, float(left[k])
    for line in lines:
        if line is anchor:
            continue
        area = amount * survey.strength(line)
        centre = line.energy_eV + shift + (moved if not line.auger else 0.0)
        reach = TOGETHER_AUGER_EV if line.auger else TOGETHER_EV + 0.003 * abs(line.energy_eV - anchor.energy_eV)
        reach = TOGETHER_DOUBLET_EV if line.whole == anchor.whole else reach
        near = np.flatnonzero(np.abs(survey.energy - centre) <= reach)
        near = near[[k not in peaks for k in near]] if near.size else near
        spread = _spread(survey, line, anchor)
        most = float(area * np.exp((CLAIM_AUGER if line.auger else CLAIM_CORE) * spread))
        apart = SPLIT_EV if line.whole == anchor.whole else reach / 2.5
        where = (centre, apart, shift)
        gain, peak = _weigh(survey, line, {main, anchor.whole}, area, near, (left, free), spread, where)
        evidence += gain
        if peak is not None:
            seen.append(line.name)
            peaks.append(peak)
            gains[peak] = gain
            expected[peak] = min(float(left[peak]), most) if area > 0 else float(left[peak])
            continue
        missing += [line.name] if gain < -1.0 else []
        hidden |= dict.fromkeys(near.tolist(), most)  # under what others explain
    probability = float(1.0 / (1.0 + np.exp(-np.clip(evidence + _prior(name), -50, 50))))
    sigma = survey.search.peaks[at].sigma_eV
    return Element(
        name,
        probability,
        evidence,
        anchor,
        float(survey.energy[at]),
        sigma,
        tuple(seen),
        tuple(missing),
        (),
        tuple(peaks),
        expected,
        hidden,
        gains,
    )


def _other_states(
    survey: SurveyPeaks, anchor: SurveyLine, at: int, shift: float, left: FloatArray, free: np.ndarray
) -> list[int]:
    """Return weaker peaks where further chemical states of the anchor may lie."""
    place = survey.energy - shift
    there = free & (place > anchor.low_eV) & (place < anchor.high_eV) & (left < left[at])
    apart = np.abs(survey.energy - survey.energy[at])
    return [
        int(k)
        for k in np.flatnonzero(there)
        if k != at and (anchor.doublet_eV == 0 or apart[k] < 0.7 * anchor.doublet_eV)
    ]


def _spread(survey: SurveyPeaks, line: SurveyLine, anchor: SurveyLine) -> float:
    ratio = (survey.photon_eV - line.energy_eV) / (survey.photon_eV - anchor.energy_eV)
    own = SPREAD_AUGER if line.auger or anchor.auger else SPREAD_DOUBLET if line.whole == anchor.whole else SPREAD_CORE
    return float(np.hypot(own, SPREAD_PER_LOG_ENERGY * np.log(ratio)))


def _weigh(
    survey: SurveyPeaks,
    line: SurveyLine,
    needed: Collection[str],
    area: float,
    near: np.ndarray,
    state: tuple[FloatArray, np.ndarray],
    spread: float,
    where: tuple[float, float, float],
) -> tuple[float, int | None]:
    """Return what a line says for its element, and the peak that it is seen as."""
    left, free = state
    centre, scatter, shift = where
    open_peaks = near[free[near]] if near.size else near
    if open_peaks.size and line.factor <= 0:
        return 0.0, int(open_peaks[np.argmax(left[open_peaks])])
    if open_peaks.size:
        off = np.log(np.maximum(left[open_peaks], 1e-300) / area) / spread
        like = (1 - SHAPED) * np.exp(-0.5 * off**2) / (spread * np.sqrt(2 * np.pi)) + SHAPED / DECADES
        place = survey.energy[open_peaks]
        beyond = np.maximum(np.maximum(line.low_eV + shift - place, place - shift - line.high_eV), 0.0)
        like *= np.exp(-0.5 * ((place - centre) / scatter) ** 2 - 0.5 * beyond**2) / (scatter * np.sqrt(2 * np.pi))
        gain = np.log(like / survey.stray[open_peaks])
        gain = np.where(np.abs(off) > TOO_FAR, np.minimum(gain, 0.0), gain)  # most of such a peak is something else
        best = int(np.argmax(gain))
        return float(np.clip(gain[best], -3.0, MOST_AUGER if line.auger else MOST)), int(open_peaks[best])
    if line.factor <= 0:
        return 0.0, None
    apart = np.abs(survey.energy - centre)
    covers = (apart <= np.maximum(scatter * 2.5, survey.fwhm)) & (survey.area > 0.5 * area)
    if (covers | ((apart <= BESIDE * survey.fwhm) & (survey.area > area))).any():
        return 0.0, None
    least = survey.search.least_area(line.energy_eV)
    if not np.isfinite(least) or least <= 0:
        return 0.0, None
    least *= 1.2 if line.whole in needed else 2.5  # broader than the lines that the limit is for
    unseen = float(log_ndtr((np.log(least) - np.log(area)) / spread))
    floor = 0.0 if line.energy_eV < SHALLOW_EV else MISSING if line.whole in needed else MISSING_WEAK
    return float(max(unseen, floor)), None
