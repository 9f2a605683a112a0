"""Which elements explain the peaks of a survey: a probability each, from all lines that should be seen.

An element is tried by one of its strong lines (the anchor) at a peak: from there the places and areas of all its other
lines follow. Each line adds the logarithm of how much likelier what is seen there is with the element than without it.
A line that should stand out and does not counts against it, one that another element covers counts nothing. Elements
are accepted one by one, the best supported first; what an element explains is no evidence for the next. In the end
every element is judged again beside all others, against those that could stand for it at the same peak.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import log_ndtr

from ..dataset import FloatArray
from .lines import SurveyLine
from .peaks import LEAST, Peak, PeakSearch

__all__ = ["Element", "Identification", "Unexplained", "identify"]

COMMON = frozenset(re.findall("[A-Z][a-z]?", "LiBCNOFNaMgAlSiPSClArKCaTiVCrMnFeCoNiCuZnZrMoAgInSnIWPtAuPb"))
PRIOR, PRIOR_RARE, PRIOR_ALWAYS = 0.1, 0.01, 0.8
"""Probability before the data that an element is there; of C and O, that no surface is free of, the last."""
SPREAD_DOUBLET, SPREAD_CORE, SPREAD_AUGER, SPREAD_PER_LOG_ENERGY = 0.35, 0.45, 0.9, 0.5
"""Standard deviation of ln(area) about what the factors say, and how it grows with the ratio of kinetic energies."""
SHAPED = 0.08
"""Share of lines whose area is anything: they lie on something else, or the factor is wrong."""
STRAY, STRAY_FALL, STRONGEST, SECOND_PER_EV = 3.0, 1.3, 100.0, 0.015
"""Peaks of a survey that come from nothing known: how many, as which power their number falls with their significance,
up to where; and how many an eV there are where a stronger peak has its energy losses or satellites."""
DECADES = 7.0
"""Width of the distribution of ln(area) of a line before it was seen."""
TOGETHER_EV, TOGETHER_AUGER_EV = 3.0, 11.0
"""How far a line may lie from where the anchor puts it."""
ANCHOR = 0.04
"""Least strength of an anchor against the strongest line of its element."""
MAX_SHIFT_EV, PRIOR_SHIFT_EV, STATE_EV = 12.0, 3.0, 1.2
"""Charging that is tried, its standard deviation before the data, and that of positions by chemical states."""
MOST, MOST_AUGER, MISSING, MISSING_WEAK = 6.0, 5.0, -10.0, -2.5
"""Most that one core level and one Auger line can speak for their element, and that its strongest core level and any
other line can speak against it when it is missing."""
SURE = 0.5
UNSEEN = 0.45
"""Most that the probability of an element can be whose lines lie under those of others."""
MOST_SWAPS = 12
CLAIM_CORE, CLAIM_AUGER = 1.5, 0.7
"""Standard deviations above what is expected of a line up to which a peak is left to it alone."""
VALENCE_EV, SHALLOW_EV = 13.0, 40.0
"""Binding energies below which peaks are the valence band, and below which a level need not be a peak."""
LOSSES_EV, LOSS_SHARE, LOSS_WIDTH_EV = 32.0, 0.4, 5.0
SHAKE_UP_EV, SHAKE_UP_SHARE = 12.0, 0.7
SATELLITES = ((9.8, 0.12), (20.1, 0.015))


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
class Unexplained:
    """A peak that no accepted element explains, and what else it may be: a loss, a satellite; empty if nothing."""

    peak: Peak
    words: str


@dataclass(frozen=True)
class Identification:
    """All elements by their probability, what is left, and the shift common to all lines (measured less true, eV)."""

    elements: tuple[Element, ...]
    labels: tuple[tuple[int, str], ...]
    left: tuple[Unexplained, ...]
    shift_eV: float
    shift_sigma_eV: float
    score: float

    @property
    def present(self) -> tuple[Element, ...]:
        """Elements that are more probable than not."""
        return tuple(one for one in self.elements if one.probability >= SURE and one.anchor is not None)


@dataclass(frozen=True)
class _Survey:
    """Peaks as arrays, and what the analyser does to areas."""

    search: PeakSearch
    photon_eV: float
    energy: FloatArray
    area: FloatArray
    least: FloatArray
    stray: FloatArray  # peaks like each one that come from nothing known, per eV and ln(area)

    @classmethod
    def of(cls, search: PeakSearch, photon_eV: float) -> _Survey:
        energy = np.array([p.energy_eV for p in search.peaks])
        area = np.array([p.area for p in search.peaks])
        least = np.array([LEAST * p.area_sigma for p in search.peaks])
        span = float(np.ptp(search.energy_eV))
        strong = np.array([min(p.significance, STRONGEST) for p in search.peaks])
        stray = STRAY / span * STRAY_FALL * (LEAST / strong) ** STRAY_FALL
        bare = cls(search, photon_eV, energy, area, least, stray)
        second = np.array([_of_stronger(bare, k) is not None for k in range(area.size)], dtype=bool)
        return replace(bare, stray=np.where(second, SECOND_PER_EV, stray))

    def strength(self, line: SurveyLine) -> float:
        """Return what its area is proportional to: factor, path ~ E^0.75, transmission taken as E^-0.5."""
        return float(line.factor * (self.photon_eV - line.energy_eV) ** 0.25)


def identify(
    search: PeakSearch, lines: Mapping[str, Sequence[SurveyLine]], photon_eV: float, shift_eV: float | None = None
) -> Identification:
    """Return the elements that explain the peaks of a survey, with a shift common to all lines.

    Parameters
    ----------
    search : PeakSearch
    lines : mapping of str to sequence of SurveyLine
        Lines of every element that is thought of.
    photon_eV : float
        Energy of the X-rays (eV).
    shift_eV : float, optional
        The shift (measured less true binding energy), if it is known; else those within 12 eV are tried that put a
        strong peak where C 1s, O 1s or F 1s lies, and none.
    """
    survey = _Survey.of(search, photon_eV)
    tried = [shift_eV] if shift_eV is not None else _shifts(survey, lines)
    found = [_with_shift(survey, lines, shift, fixed=shift_eV is not None) for shift in tried]
    return max(found, key=lambda one: one.score)


def _shifts(survey: _Survey, lines: Mapping[str, Sequence[SurveyLine]]) -> list[float]:
    strong = np.argsort(-survey.area / np.maximum(survey.least, 1e-300))[:12]
    shifts = [0.0]
    for element in ("C", "O", "F"):
        line = next((one for one in lines.get(element, ()) if not one.auger), None)
        middle = None if line is None else {"C": 285.0, "O": 531.0, "F": 685.5}[element]
        shifts += [] if middle is None else [float(survey.energy[i] - middle) for i in strong]
    near = sorted((s for s in shifts if abs(s) <= MAX_SHIFT_EV), key=abs)
    kept: list[float] = []
    for shift in near:
        if all(abs(shift - other) > 0.7 for other in kept):
            kept.append(shift)
    return kept


def _with_shift(
    survey: _Survey, lines: Mapping[str, Sequence[SurveyLine]], shift: float, *, fixed: bool
) -> Identification:
    """Return what explains the peaks with a given shift."""
    accepted = _accepted(survey, lines, shift)
    judged = tuple(_by_strongest(survey, one, lines) for one in _rivalry(survey, lines, shift, accepted))
    score = sum(_log_odds(one) for one in accepted.values()) - 0.5 * (shift / PRIOR_SHIFT_EV) ** 2
    refined, sigma = _refined([one for one in judged if one.symbol in accepted], shift)
    labels, left = _explained(survey, accepted, shift)
    if fixed:
        refined, sigma = shift, 0.0
    return Identification(judged, labels, left, refined, sigma, score)


def _accepted(survey: _Survey, lines: Mapping[str, Sequence[SurveyLine]], shift: float) -> dict[str, Element]:
    """Return the elements that explain the peaks best together.

    Each is added that has the best support beside those before. Then every other with support of its own is put before
    all of them, and each of them is left out, to see whether peaks were given to the wrong one. What an element only
    would have under a peak counts against those after it, and not against those before.
    """

    def judge(name: str, others: Mapping[str, Element]) -> Element:
        return _judge(survey, name, lines[name], shift, {n: e for n, e in others.items() if n != name})

    def built(order: Sequence[str]) -> dict[str, Element]:
        kept: dict[str, Element] = {}
        for again in (False, True):
            for at, name in enumerate(order):
                if again and name not in kept:
                    continue
                kept.pop(name, None)
                later = {n: replace(kept[n], hidden={}) for n in order[at + 1 :] if n in kept}
                one = judge(name, {**kept, **later})
                if _log_odds(one) > 0:
                    kept[name] = one
        return {name: kept[name] for name in order if name in kept}

    def total(elements: Mapping[str, Element]) -> float:
        shared: dict[int, list[float]] = {}
        for one in elements.values():
            for peak, gain in one.gains.items():
                shared.setdefault(peak, []).append(max(gain, 0.0))
        twice = sum(sum(gains) - max(gains) for gains in shared.values())  # a peak speaks for one element
        return sum(map(_log_odds, elements.values())) - twice

    kept: dict[str, Element] = {}
    while True:
        best = max((judge(name, kept) for name in lines if name not in kept), key=_log_odds, default=None)
        if best is None or _log_odds(best) <= 0:
            break
        kept[best.symbol] = best
    kept = built(list(kept))
    alone = {name: judge(name, {}) for name in lines if name not in kept}
    for name in sorted((n for n in alone if _log_odds(alone[n]) > 0), key=lambda n: -_log_odds(alone[n]))[:MOST_SWAPS]:
        trial = built([name, *kept])
        kept = trial if total(trial) > total(kept) else kept
    for name in sorted(kept, key=lambda n: kept[n].evidence):
        trial = built([n for n in kept if n != name])
        kept = trial if total(trial) >= total(kept) else kept
    return kept


def _prior(element: str) -> float:
    probability = PRIOR_ALWAYS if element in ("C", "O") else PRIOR if element in COMMON else PRIOR_RARE
    return float(np.log(probability / (1.0 - probability)))


def _log_odds(one: Element) -> float:
    return one.evidence + _prior(one.symbol) if one.anchor is not None else -np.inf


def _judge(
    survey: _Survey, name: str, lines: Sequence[SurveyLine], shift: float, others: Mapping[str, Element]
) -> Element:
    """Return the best reading of the peaks as an element, beside those that explain some already."""
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


def _covered(survey: _Survey, line: SurveyLine, shift: float) -> bool:
    """Tell whether there is a peak, of whatever, where a line may lie: it says nothing then of its element."""
    place = survey.energy - shift
    return bool(((place > line.low_eV) & (place < line.high_eV)).any())


def _reading(
    survey: _Survey,
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
    expected, hidden, gains = {at: float(left[at])}, {}, {at: evidence}
    for line in lines:
        if line is anchor:
            continue
        area = amount * survey.strength(line)
        centre = line.energy_eV + shift + (moved if not line.auger else 0.0)
        reach = TOGETHER_AUGER_EV if line.auger else TOGETHER_EV + 0.003 * abs(line.energy_eV - anchor.energy_eV)
        near = np.flatnonzero(np.abs(survey.energy - centre) <= reach)
        near = near[[k not in peaks for k in near]] if near.size else near
        spread = _spread(survey, line, anchor)
        most = float(area * np.exp((CLAIM_AUGER if line.auger else CLAIM_CORE) * spread))
        gain, peak = _weigh(survey, line, {main, anchor.whole}, area, near, (left, free), spread, (centre, reach / 2.5))
        evidence += gain
        if peak is not None:
            seen.append(line.name)
            peaks.append(peak)
            gains[peak] = gain
            expected[peak] = min(float(left[peak]), most) if area > 0 else float(left[peak])
        else:
            if gain < -1.0:
                missing.append(line.name)
            for k in near:  # hidden under what others explain
                hidden[int(k)] = most
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


def _spread(survey: _Survey, line: SurveyLine, anchor: SurveyLine) -> float:
    ratio = (survey.photon_eV - line.energy_eV) / (survey.photon_eV - anchor.energy_eV)
    own = SPREAD_AUGER if line.auger or anchor.auger else SPREAD_DOUBLET if line.whole == anchor.whole else SPREAD_CORE
    return float(np.hypot(own, SPREAD_PER_LOG_ENERGY * np.log(ratio)))


def _weigh(
    survey: _Survey,
    line: SurveyLine,
    needed: Collection[str],
    area: float,
    near: np.ndarray,
    state: tuple[FloatArray, np.ndarray],
    spread: float,
    place: tuple[float, float],
) -> tuple[float, int | None]:
    """Return what a line says for its element, and the peak that it is seen as."""
    left, free = state
    centre, scatter = place
    open_peaks = near[free[near]] if near.size else near
    if open_peaks.size and line.factor <= 0:
        return 0.0, int(open_peaks[np.argmax(left[open_peaks])])
    if open_peaks.size:
        off = np.log(np.maximum(left[open_peaks], 1e-300) / area) / spread
        like = (1 - SHAPED) * np.exp(-0.5 * off**2) / (spread * np.sqrt(2 * np.pi)) + SHAPED / DECADES
        away = (survey.energy[open_peaks] - centre) / scatter
        like *= np.exp(-0.5 * away**2) / (scatter * np.sqrt(2 * np.pi))
        gain = np.log(like / survey.stray[open_peaks])
        best = int(np.argmax(gain))
        return float(np.clip(gain[best], -3.0, MOST_AUGER if line.auger else MOST)), int(open_peaks[best])
    if line.factor <= 0:
        return 0.0, None
    if near.size and float(survey.area[near].max()) > 0.5 * area:
        return 0.0, None  # something else covers it
    least = survey.search.least_area(line.energy_eV)
    if not np.isfinite(least) or least <= 0:
        return 0.0, None
    least *= 1.2 if line.whole in needed else 2.5  # broader than the lines that the limit is for
    unseen = float(log_ndtr((np.log(least) - np.log(area)) / spread))
    floor = 0.0 if line.energy_eV < SHALLOW_EV else MISSING if line.whole in needed else MISSING_WEAK
    return float(max(unseen, floor)), None


def _of_stronger(survey: _Survey, at: int, parents: Collection[int] | None = None) -> tuple[str, int] | None:
    """Return what a peak may be of a stronger one, and which: an energy loss or an X-ray satellite."""
    away = survey.energy[at] - survey.energy
    share = survey.area[at] / np.maximum(survey.area, 1e-300)
    if parents is not None:
        share[[k for k in range(share.size) if k not in parents]] = np.inf
    broad = survey.search.peaks[at].fwhm_eV > LOSS_WIDTH_EV
    loss = np.flatnonzero((away > 2.0) & (away < LOSSES_EV) & (share < LOSS_SHARE) & broad)
    if parents is not None and not loss.size:
        loss = np.flatnonzero((away > 2.0) & (away < SHAKE_UP_EV) & (share < SHAKE_UP_SHARE))
    if loss.size:
        return "energy loss or shake-up", int(loss[np.argmax(survey.area[loss])])
    for distance, most in SATELLITES:
        other = np.flatnonzero((np.abs(-away - distance) < 2.0) & (share < most))
        if other.size:
            return "X-ray satellite", int(other[np.argmax(survey.area[other])])
    return None


def _rivalry(
    survey: _Survey, lines: Mapping[str, Sequence[SurveyLine]], shift: float, accepted: Mapping[str, Element]
) -> tuple[Element, ...]:
    """Return all elements with the probability that they have against those that could stand for them."""
    judged: dict[str, Element] = {}
    for name, one in accepted.items():
        others = {n: e for n, e in accepted.items() if n != name}
        rivals = []
        for other in lines:
            if other in accepted:
                continue
            tried = _judge(survey, other, lines[other], shift, others)
            if tried.anchor is not None and set(tried.peaks[:1]) & set(one.peaks) and _log_odds(tried) > -4.0:
                rivals.append(tried)
        weights = np.exp(np.clip([_log_odds(one), *(_log_odds(r) for r in rivals)], -60, 60))
        shares = weights / (1.0 + weights.sum())
        near = tuple(r.symbol for r, s in zip(rivals, shares[1:], strict=True) if s > 0.05)
        judged[name] = _stated(one, float(shares[0]), near)
        for rival, share in zip(rivals, shares[1:], strict=True):
            if share > judged.get(rival.symbol, Element(rival.symbol, 0.0, 0.0)).probability:
                judged[rival.symbol] = _stated(rival, float(share), (name,))
    for name in lines:
        if name not in judged:
            one = _judge(survey, name, lines[name], shift, accepted)
            judged[name] = one
    return tuple(sorted(judged.values(), key=lambda one: -one.probability))


def _stated(one: Element, probability: float, rivals: tuple[str, ...]) -> Element:
    return replace(one, probability=probability, rivals=rivals)


def _by_strongest(survey: _Survey, one: Element, lines: Mapping[str, Sequence[SurveyLine]]) -> Element:
    """Return an element with the strongest core level that was seen of it in the place of the anchor."""
    seen = {line.name: line for line in lines[one.symbol] if not line.auger and line.name in one.seen}
    if not seen:
        return one
    best = max(seen.values(), key=survey.strength)
    peak = survey.search.peaks[one.peaks[one.seen.index(best.name)]]
    return replace(one, anchor=best, energy_eV=peak.energy_eV, energy_sigma_eV=peak.sigma_eV)


def _refined(accepted: Sequence[Element], shift: float) -> tuple[float, float]:
    """Return the shift common to all anchors, and its error: chemical states scatter them."""
    offsets = []
    for one in accepted:
        if one.anchor is not None:
            low, high = one.anchor.low_eV, one.anchor.high_eV
            spread = max(STATE_EV, (high - low) / np.sqrt(12.0))
            offsets.append((one.energy_eV - 0.5 * (low + high), spread**2 + one.energy_sigma_eV**2))
    if not offsets:
        return shift, PRIOR_SHIFT_EV
    values, variances = np.array(offsets).T
    weights = 1.0 / variances
    return float(weights @ values / weights.sum()), float(1.0 / np.sqrt(weights.sum()))


def _explained(
    survey: _Survey, accepted: Mapping[str, Element], shift: float
) -> tuple[tuple[tuple[int, str], ...], tuple[Unexplained, ...]]:
    """Return the labels of peaks that elements explain, and the other peaks."""
    labels: dict[int, list[str]] = {}
    for one in accepted.values():
        for at, name in zip(one.peaks, one.seen, strict=True):
            labels.setdefault(at, []).append(name)
    left = []
    for k, peak in enumerate(survey.search.peaks):
        if k in labels:
            continue
        covered = sum(one.hidden.get(k, 0.0) for one in accepted.values())
        of = _of_stronger(survey, k, labels)
        if survey.energy[k] - shift < VALENCE_EV:
            words = "valence band"
        elif covered > 0.5 * peak.area:
            words = "lines of accepted elements"
        elif of is not None:
            words = f"{of[0]} of the peak at {survey.energy[of[1]]:.0f} eV"
        else:
            words = ""
        left.append(Unexplained(peak, words))
    return tuple((k, " + ".join(names)) for k, names in sorted(labels.items())), tuple(left)
