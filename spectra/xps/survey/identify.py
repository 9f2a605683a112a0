"""Which elements explain the peaks of a survey: a probability each, from all lines that should be seen.

Elements are accepted one by one, the best supported first (`evidence`); what an element explains is no evidence for the
next. Then it is tried whether peaks were given to the wrong one. In the end every element is judged again beside all
others, against those that could stand for it at the same peak, and averaged over the shifts that explain the peaks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .evidence import COMMON, UNSEEN, VALENCE_EV, Element, SurveyPeaks, judge, log_odds
from .lines import SurveyLine
from .losses import of_stronger
from .peaks import Peak, PeakSearch

__all__ = ["SURE", "Element", "Identification", "Unexplained", "identify"]

MAX_SHIFT_EV, PRIOR_SHIFT_EV, STATE_EV = 12.0, 3.0, 1.2
"""Charging that is tried, its standard deviation before the data, and that of positions by chemical states."""
UNLIKELY = 10.0
"""How much worse the peaks may be explained with one shift than with another for it to count still (ln)."""
SURE = 0.5
"""Probability from which an element counts as there."""
UNSHARED = 0.3
"""Share of a peak that others may have while it still is an element's own."""
LEAST_SHARE = 0.05
"""Probability from which an element is named beside the one that it could be."""
MOST_SWAPS = 12
"""Elements that are tried before those that were accepted, at most."""


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
    survey = SurveyPeaks.of(search, photon_eV)
    shifts = [shift_eV] if shift_eV is not None else _shifts(survey, lines)
    tried = [(shift, _accepted(survey, lines, shift)) for shift in shifts]
    scores = [_together(accepted) - 0.5 * (shift / PRIOR_SHIFT_EV) ** 2 for shift, accepted in tried]
    found = [
        _with_shift(survey, lines, shift, accepted, score, fixed=shift_eV is not None)
        for (shift, accepted), score in zip(tried, scores, strict=True)
        if score > max(scores) - UNLIKELY
    ]
    return _averaged(found)


def _averaged(found: Sequence[Identification]) -> Identification:
    """Return the best of several shifts, with probabilities over all of them by how well each explains the peaks."""
    best = max(found, key=lambda one: one.score)
    weights = np.exp([one.score - best.score for one in found])
    weights /= weights.sum()
    sums: dict[str, float] = {}
    shown = {one.symbol: one for one in best.elements}
    for other, weight in zip(found, weights, strict=True):
        for one in other.elements:
            sums[one.symbol] = sums.get(one.symbol, 0.0) + float(weight) * one.probability
            if shown[one.symbol].anchor is None and one.anchor is not None:
                shown[one.symbol] = one
    elements = [replace(one, probability=min(sums[name], 1.0)) for name, one in shown.items()]
    return replace(best, elements=tuple(sorted(elements, key=lambda one: -one.probability)))


def _shifts(survey: SurveyPeaks, lines: Mapping[str, Sequence[SurveyLine]]) -> list[float]:
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
    survey: SurveyPeaks,
    lines: Mapping[str, Sequence[SurveyLine]],
    shift: float,
    accepted: Mapping[str, Element],
    score: float,
    *,
    fixed: bool,
) -> Identification:
    """Return what explains the peaks with a given shift, and how well."""
    judged = tuple(_by_strongest(survey, one, lines) for one in _rivalry(survey, lines, shift, accepted))
    refined, sigma = _refined([one for one in judged if one.symbol in accepted], shift)
    labels, left = _explained(survey, accepted, shift)
    if fixed:
        refined, sigma = shift, 0.0
    return Identification(judged, labels, left, refined, sigma, score)


def _accepted(survey: SurveyPeaks, lines: Mapping[str, Sequence[SurveyLine]], shift: float) -> dict[str, Element]:
    """Return the elements that explain the peaks best together.

    Each is added that has the best support beside those before. Then every other with support of its own is put before
    all of them, and each of them is left out, to see whether peaks were given to the wrong one. What an element only
    would have under a peak counts against those after it, and not against those before.
    """
    return _best(survey, lines, shift, swaps=MOST_SWAPS)


def _best(
    survey: SurveyPeaks,
    lines: Mapping[str, Sequence[SurveyLine]],
    shift: float,
    start: Sequence[str] = (),
    *,
    swaps: int = 0,
) -> dict[str, Element]:
    """Return the elements that explain the peaks best together, from some on, with so many swaps."""

    def beside(name: str, others: Mapping[str, Element]) -> Element:
        return judge(survey, name, lines[name], shift, {n: e for n, e in others.items() if n != name})

    def built(order: Sequence[str]) -> dict[str, Element]:
        kept: dict[str, Element] = {}
        for again in (False, True):
            for at, name in enumerate(order):
                if again and name not in kept:
                    continue
                kept.pop(name, None)
                later = {n: replace(kept[n], hidden={}) for n in order[at + 1 :] if n in kept}
                one = beside(name, {**kept, **later})
                if log_odds(one) > 0:
                    kept[name] = one
        return {name: kept[name] for name in order if name in kept}

    kept = built(start)
    while True:
        best = max((beside(name, kept) for name in lines if name not in kept), key=log_odds, default=None)
        if best is None or log_odds(best) <= 0:
            break
        kept[best.symbol] = best
    kept = built(list(kept))
    if not swaps:
        return kept
    alone = {name: beside(name, {}) for name in lines if name not in kept}
    for name in sorted((n for n in alone if log_odds(alone[n]) > 0), key=lambda n: -log_odds(alone[n]))[:swaps]:
        trial = built([name, *kept])
        kept = trial if _together(trial) > _together(kept) else kept
    for name in sorted(kept, key=lambda n: kept[n].evidence):
        trial = built([n for n in kept if n != name])
        kept = trial if _together(trial) >= _together(kept) else kept
    return kept


def _together(elements: Mapping[str, Element]) -> float:
    """Return what speaks for some elements together, where a peak speaks for one of them only."""
    shared: dict[int, list[float]] = {}
    for one in elements.values():
        for peak, gain in one.gains.items():
            shared.setdefault(peak, []).append(max(gain, 0.0))
    twice = sum(sum(gains) - max(gains) for gains in shared.values())
    return sum(map(log_odds, elements.values())) - twice


def _rivalry(
    survey: SurveyPeaks, lines: Mapping[str, Sequence[SurveyLine]], shift: float, accepted: Mapping[str, Element]
) -> tuple[Element, ...]:
    """Return all elements with the probability that they have against those that could stand for them."""
    judged: dict[str, Element] = {}
    together = _together(accepted)
    for name, one in accepted.items():
        others = {n: e for n, e in accepted.items() if n != name}
        rivals = []
        for other in lines:
            if other in accepted:
                continue
            tried = judge(survey, other, lines[other], shift, others)
            if tried.anchor is not None and set(tried.peaks[:1]) & set(one.peaks) and log_odds(tried) > -4.0:
                rivals.append(tried)
        weights = np.exp(np.clip([log_odds(one), *(log_odds(r) for r in rivals)], -60, 60))
        shares = weights / (1.0 + weights.sum())
        near = tuple(r.symbol for r, s in zip(rivals, shares[1:], strict=True) if s > LEAST_SHARE)
        swaps = 0 if name in COMMON else MOST_SWAPS
        without = _best(survey, {n: o for n, o in lines.items() if n != name}, shift, list(others), swaps=swaps)
        odds = float(np.clip(together - _together(without), -60, 60))
        share = min(float(shares[0]), 1.0 / (1.0 + np.exp(-odds)))
        instead = {n: (e, 1.0 - share) for n, e in without.items() if n not in accepted and share < 1.0 - LEAST_SHARE}
        near += tuple(n for n in instead if n not in near)
        own = [k for k in one.peaks if _claimed(others, k) < UNSHARED * survey.area[k]]
        judged[name] = _stated(one, share if own else min(share, UNSEEN), near)
        for rival, share in [*zip(rivals, shares[1:], strict=True), *instead.values()]:
            if share > judged.get(rival.symbol, Element(rival.symbol, 0.0, 0.0)).probability:
                judged[rival.symbol] = _stated(rival, float(share), (name,))
    for name in lines:
        if name not in judged:
            one = judge(survey, name, lines[name], shift, accepted)
            judged[name] = one
    return tuple(sorted(judged.values(), key=lambda one: -one.probability))


def _claimed(elements: Mapping[str, Element], peak: int) -> float:
    """Return most of the area of a peak that some elements account for."""
    return sum(one.expected.get(peak, 0.0) + one.hidden.get(peak, 0.0) for one in elements.values())


def _stated(one: Element, probability: float, rivals: tuple[str, ...]) -> Element:
    return replace(one, probability=probability, rivals=rivals)


def _by_strongest(survey: SurveyPeaks, one: Element, lines: Mapping[str, Sequence[SurveyLine]]) -> Element:
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
    survey: SurveyPeaks, accepted: Mapping[str, Element], shift: float
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
        of = of_stronger(survey.energy, survey.area, survey.fwhm, k, labels)
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
