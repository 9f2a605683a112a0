"""Rank the phases of a library, and what is none of them, by their probability given the spots of one window."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..image import Scale
from ..spots.model import Spots
from .detection import Marks, log_sum, marks_of
from .library import Library
from .matching import Matches, by_places, evidence, match, place, posterior
from .model import NO_LATTICE, OTHER_LATTICE, Candidate, Ranking
from .nulls import no_lattice, other_lattice, reduced, ring_of_spots
from .remarks import remarked
from .templates import Prior, image_prior

__all__ = ["UNKNOWN_SCALE", "index_grains", "index_spots"]

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

SYSTEMATIC = 0.0015
"""Relative error of a place that is not counting: bending, distortion of higher order."""
SHARES = {"no lattice": 0.15, "other lattice": 0.12, "rings": 0.06, "second": 0.05}
"""Prior probabilities; what is left is shared by the phases. "second": of a second grain beside a first one."""
UNKNOWN_SCALE = Scale(0.02, 1.33, source="no pixel size: flat in the logarithm over 0.002 to 0.2 nm")
"""For vectors in 1/pixel: only ratios and angles count."""
TEMPERATURE = 1.3
"""What log probabilities of phases are divided by, fitted on simulated windows kept for this alone
(`benchmarks/hrtem_recalibration.py 1000 21 22`, 1693 windows with spots): the calibration error of the first answer is
0.053 at 1, 0.023 at 1.2, 0.014 at 1.3, 0.024 at 1.4, 0.037 at 1.7, the loss 0.713, 0.691, 0.687, 0.685, 0.691."""
SEARCH_SD = 0.03
LEAST = 1e-4
_TELLING = 60.0  # log evidence below the best phase from which on nothing can lift a zone axis any more
_SECOND_FOR = 5  # leading explanations, and leading phases, that a second grain is tried for
_SECOND_SPOTS = 3  # spots that the first must leave


@dataclass(frozen=True, eq=False)
class Found:
    """Explanations before their probabilities: log of evidence times prior, and what they say.

    `by_places` is the weight where strengths of reflections tell nothing.
    """

    weight: float
    by_places: float
    candidate: Candidate
    row: int = -1
    free: NDArray[np.bool_] | None = None


def index_spots(spots: Spots, library: Library, scale: Scale | None) -> Ranking:
    """Rank explanations of the spots of one window.

    Parameters
    ----------
    spots : Spots
        Of the window, or a list of vectors; those on streaks are no evidence.
    library : Library
        See `library_of`.
    scale : Scale or None
        Prior of scale and distortion of the image. None: the size of a pixel is unknown and the vectors are in
        1/pixel; then ratios and angles alone decide.

    Returns
    -------
    Ranking
        With flags such as that the prior on the scale decided, and what would tell the members of the set apart.
    """
    known = scale or UNKNOWN_SCALE
    marks = _undistorted(marks_of(spots, SYSTEMATIC), known)
    matches = match(library.bank, marks, _search(known)) if marks.size else None
    found = _explanations(marks, matches, library, known, scale_free=scale is None)
    ranking = _ranked(found, known)
    leading = _other_priors(found, matches, library, known) if scale is not None and matches is not None else {}
    ranking = remarked(ranking, marks.size, leading)
    told = tuple(one for one in ranking.candidates if one.in_set or one.probability >= LEAST)
    ranking = replace(ranking, candidates=told)
    return _over_all_spots(ranking, ~spots.on_streak)


def index_grains(spots: Spots, library: Library, scale: Scale | None, *, most: int = 4) -> tuple[Candidate, ...]:
    """Index one grain after the other: each takes the spots away that it explains.

    Parameters
    ----------
    spots, library, scale
        See `index_spots`. Without a pixel size the first grain tells it for the next.
    most : int
        Number of grains, at most.

    Returns
    -------
    tuple of Candidate
        One for each grain, with indices and roles for all spots of the window; none where the spots are no phase of the
        library. A grain has its probability, or that of the pair that it was found with, given those before it.
    """
    left = ~spots.on_streak
    grains: list[Candidate] = []
    while len(grains) < most and left.sum() >= _SECOND_SPOTS:
        first = index_spots(replace(spots, on_streak=~left), library, scale).first
        if first.kind not in ("phase", "twin", "overlap"):
            break
        grains += first.grains or (first,)
        left = left & ~np.array([role in ("reflection", "forbidden") for role in first.role], dtype=bool)
        if scale is None:
            scale = Scale(first.scale, max(first.scale_sigma / first.scale, 0.003), source=f"first grain: {first.name}")
    return tuple(grains[:most])


def _undistorted(marks: Marks, scale: Scale) -> Marks:
    """Take a known distortion of the image back."""
    e1, e2 = scale.shear
    return replace(marks, z=marks.z - (e1 + 1j * e2) * marks.z.conj()) if e1 or e2 else marks


def _search(scale: Scale) -> Prior:
    """Prior for the search: somewhat wider than a narrow prior, so that what it excludes can be told."""
    return image_prior(replace(scale, sd=max(scale.sd, min(SEARCH_SD, 3 * scale.sd))))


def _explanations(
    marks: Marks, matches: Matches | None, library: Library, scale: Scale, *, scale_free: bool
) -> list[Found]:
    """All explanations with the log of their evidence times their prior."""
    image = image_prior(scale)
    base = no_lattice(marks)
    empty = np.zeros((marks.size, 3), dtype=np.int64)
    clutter = ("clutter",) * marks.size
    found = [
        Found(
            base + np.log(SHARES["no lattice"]),
            base + np.log(SHARES["no lattice"]),
            Candidate(NO_LATTICE, "no lattice", 0.0, 0.0, hkl=empty, role=clutter),
        )
    ]
    if matches is None:
        return found
    share = np.log(1 - SHARES["no lattice"] - SHARES["other lattice"] - SHARES["rings"])
    single = _phases(marks, matches, library, image, share, base)
    found += single
    net = other_lattice(marks, scale.shear_sd, scale_free=scale_free)
    if net is not None:
        found.append(
            Found(
                net.log_evidence + np.log(SHARES["other lattice"]),
                net.log_evidence + np.log(SHARES["other lattice"]),
                Candidate(
                    OTHER_LATTICE,
                    "other lattice",
                    0.0,
                    net.log_evidence - base,
                    lattice=net.basis,
                    hkl=empty,
                    role=net.role,
                ),
            )
        )
    if not scale_free and marks.size >= 4:
        for name, rings in zip(library.phases, library.rings, strict=True):
            strong = np.sqrt(rings.intensity)
            value, evened = (
                ring_of_spots(marks, rings.g, share, scale.factor, scale.sd) for share in (strong, np.ones_like(strong))
            )
            one = Candidate(name, "rings", 0.0, value - base, hkl=empty, role=("ring",) * marks.size)
            prior = np.log(SHARES["rings"] / len(library.phases))
            found.append(Found(value + prior, evened + prior, one))
    return found + _second_grains(marks, library, image, scale, single, base)


def _phases(marks: Marks, matches: Matches, library: Library, image: Prior, share: float, base: float) -> list[Found]:
    """Every zone axis of every phase that explains the spots at all."""
    bank = library.bank
    each, even = (
        evidence(one, bank, image) + bank.log_prior[matches.row] for one in (matches, by_places(matches, bank, marks))
    )
    source = bank.source[matches.row]
    zones = np.unique(source)
    totals, evened = (np.array([float(log_sum(some[source == t], 0)) for t in zones]) for some in (each, even))
    found = []
    for t, total, places in zip(zones, totals, evened, strict=True):
        if total < totals.max() - _TELLING and places < evened.max() - _TELLING:
            continue
        mine = np.flatnonzero(source == t)
        best = int(mine[each[mine].argmax()])
        candidate = _candidate(matches, best, library, marks, image, total - bank.templates[t].log_prior - base)
        free = np.array([role != "reflection" for role in candidate.role])
        found.append(Found(total + share, places + share, candidate, int(matches.row[best]), free))
    return found


def _candidate(
    matches: Matches, k: int, library: Library, marks: Marks, image: Prior, log_evidence: float
) -> Candidate:
    """Return what one match says."""
    bank = library.bank
    pattern, mean, covariance = posterior(matches, k, bank, image)
    row = matches.row[k]
    template = bank.templates[bank.source[row]]
    hkl = np.zeros((marks.size, 3), dtype=np.int64)
    hit = np.flatnonzero(matches.assigned[k] >= 0)
    spot = matches.assigned[k][hit]
    hkl[spot] = template.pattern.hkl[bank.index[row, hit]]
    role = np.where(matches.ghostly[k], "forbidden", "clutter").astype(object)
    role[spot] = "reflection"
    mirror = bool(bank.mirror[row])
    axes = np.array([1.0, 1j])
    moved = place(pattern[None], (axes.conj() if mirror else axes)[None])[0]
    shown = place(pattern[None], bank.z[row][None, bank.index[row] >= 0])[0]
    return Candidate(
        template.pattern.phase,
        "phase",
        0.0,
        log_evidence,
        zone=template.pattern.zone,
        scale=float(np.exp(mean[0])),
        scale_sigma=float(np.exp(mean[0]) * np.sqrt(max(covariance[0, 0], 0.0))),
        rotation_deg=float(np.degrees(np.mod(pattern[0], np.pi))),
        mirror=mirror,
        matrix=np.array([moved.real, moved.imag]),
        lattice=_lattice(shown),
        hkl=hkl,
        role=tuple(role),
        pattern_scale=float(np.exp(pattern[1])),
        distortion=(mean, covariance, float(pattern[0])),
    )


def _lattice(shown: ComplexArray) -> FloatArray:
    """Reduced basis of the lattice that reflections span: the shortest one, and the shortest beside it."""
    order = np.argsort(np.abs(shown))
    first = shown[order[0]]
    beside = np.abs((first.conj() * shown[order]).imag) > 0.05 * np.abs(first) * np.abs(shown[order])
    second = shown[order][beside][0] if beside.any() else 1j * first
    a, b = reduced(np.array([first]), np.array([second]))
    return np.array([[a[0].real, a[0].imag], [b[0].real, b[0].imag]])


def _second_grains(
    marks: Marks, library: Library, image: Prior, scale: Scale, single: list[Found], base: float
) -> list[Found]:
    """Two grains on top of each other: what the leading explanations leave, explained by a second grain."""
    order = sorted(single, key=lambda found: -found.weight)
    best = {found.candidate.phase: found for found in reversed(order)}  # zones of one phase must not crowd out others
    firsts = sorted([*best.values()], key=lambda found: -found.weight)[:_SECOND_FOR]
    out: list[Found] = []
    for first in [*firsts, *(found for found in order[:_SECOND_FOR] if found not in firsts)]:
        left = sum(role == "clutter" for role in first.candidate.role)
        if first.free is None or left < _SECOND_SPOTS or (~first.free).sum() < 2 or first.candidate.distortion is None:
            continue
        own, rest = marks.only(~first.free), marks.only(first.free)
        bank = library.bank.rows(np.array([first.row]))
        alone = match(bank, own, _search(scale))
        if not alone.row.size:
            continue
        value, evened = (
            float(log_sum(evidence(one, bank, image), 0)) + bank.log_prior[0]
            for one in (alone, by_places(alone, bank, own))
        )
        mean, covariance, _ = first.candidate.distortion
        shared = Prior(
            1.0, np.array([mean[0], 0.0, 0.0]), np.diag([covariance[0, 0] + 1e-6, scale.shear_sd**2, scale.shear_sd**2])
        )
        matches = match(library.bank, rest, shared, neutral=own.z)
        if not matches.row.size:
            continue
        each = evidence(matches, library.bank, shared) + library.bank.log_prior[matches.row]
        k = int(each.argmax())
        other = _candidate(matches, k, library, rest, shared, 0.0)
        if sum(role == "reflection" for role in other.role) < 2:
            continue
        weight = value + float(each[k]) + np.log(SHARES["second"])
        beside = by_places(matches, library.bank, rest, taken=own.z)
        places = weight + evened - value + float(beside.constant[k] - matches.constant[k])
        out.append(Found(weight, places, _union(first.candidate, other, first.free, weight - base)))
    return out


def _union(first: Candidate, other: Candidate, free: NDArray[np.bool_], log_evidence: float) -> Candidate:
    """Two grains as one explanation; matrix and lattice are those of the first."""
    twin = first.phase == other.phase and first.zone == other.zone
    hkl, role = np.array(first.hkl), np.array(first.role, dtype=object)
    hkl[free], role[free] = other.hkl, np.array(other.role, dtype=object)
    own_hkl, own_role = np.zeros_like(hkl), np.full(len(role), "clutter", dtype=object)
    own_hkl[free], own_role[free] = other.hkl, np.array(other.role, dtype=object)
    second = replace(other, hkl=own_hkl, role=tuple(own_role))
    return replace(
        first,
        phase=" + ".join(sorted((first.phase, other.phase))),
        kind="twin" if twin else "overlap",
        zone=first.zone if twin else None,
        log_evidence=log_evidence,
        hkl=hkl,
        role=tuple(role),
        grains=(first, second),
    )


def _ranked(found: list[Found], scale: Scale) -> Ranking:
    names = [one.candidate.phase for one in found]
    chances = _tempered(np.array([one.weight for one in found]), names)
    # a net has no strengths to lose: it takes part only where it is the answer
    nets = found[int(chances.argmax())].candidate.is_none
    kept = np.array([nets or not one.candidate.is_none for one in found])
    evened = np.zeros(len(found))
    evened[kept] = _tempered(np.array([one.by_places for one in found])[kept], list(np.array(names)[kept]))
    weighed = [
        replace(one.candidate, probability=float(p), by_places=float(q))
        for one, p, q in zip(found, chances, evened, strict=True)
    ]
    return Ranking.ranked(weighed, scale)


def _tempered(weights: FloatArray, phases: list[str]) -> FloatArray:
    """Probabilities: those of the phases are corrected by the temperature, zones within a phase keep their shares."""
    names = np.array(phases)
    totals = {name: float(log_sum(weights[names == name], 0)) for name in dict.fromkeys(phases)}
    norm = float(log_sum(np.array(list(totals.values())) / TEMPERATURE, 0))
    own = np.array([totals[name] for name in phases])
    return np.asarray(np.exp(weights - own + own / TEMPERATURE - norm))


def _other_priors(found: list[Found], matches: Matches, library: Library, scale: Scale) -> dict[float, str]:
    """First answer (of no grain but one) under priors of the scale a third and three times as wide."""
    bank = library.bank
    names = np.array([template.pattern.phase for template in bank.templates])[bank.source[matches.row]]
    nothing = {one.candidate.phase: one.weight for one in found if one.candidate.is_none}
    share = np.log(1 - SHARES["no lattice"] - SHARES["other lattice"] - SHARES["rings"])
    leading = {}
    for sd in (scale.sd / 3, scale.sd, min(3 * scale.sd, SEARCH_SD * 3)):
        each = evidence(matches, bank, image_prior(replace(scale, sd=sd))) + bank.log_prior[matches.row]
        totals = {str(name): float(log_sum(each[names == name], 0)) + share for name in np.unique(names)} | nothing
        leading[sd] = max(totals, key=lambda name: totals[name])
    return leading


def _over_all_spots(ranking: Ranking, use: NDArray[np.bool_]) -> Ranking:
    """Give indices and roles for every spot of the window, those on streaks included."""

    def spread(candidate: Candidate) -> Candidate:
        if candidate.hkl is None:
            return candidate
        hkl = np.zeros((use.size, 3), dtype=np.int64)
        hkl[use] = candidate.hkl
        role = np.full(use.size, "streak", dtype=object)
        role[use] = np.array(candidate.role, dtype=object) if candidate.role else "clutter"
        grains = tuple(replace(spread(one), probability=candidate.probability) for one in candidate.grains)
        return replace(candidate, hkl=hkl, role=tuple(role), grains=grains)

    return replace(ranking, candidates=tuple(spread(candidate) for candidate in ranking.candidates))
