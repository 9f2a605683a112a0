"""Where templates fit the spots, and how well: every discrete match with rotation, scale and distortion integrated out.

A match is a pairing of reflections with spots. Around each the places are linear in (θ, s, e1, e2), so that the
integral over a Gaussian prior of scale and distortion is in closed form (Laplace), whatever that prior is: the match
keeps the information matrix of the places alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .detection import INCOHERENT, SHELLS, WEAK, Marks, incoherent_marks, log_sum, reflection_marks, unmatched_marks
from .templates import Bank, Prior, turned_distortion

__all__ = ["Matches", "by_places", "evidence", "match", "posterior"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
ComplexArray = NDArray[np.complex128]

REFERENCES = 5
"""Spots, the strongest, of which at least one belongs to the lattice that is looked for."""
KEPT = 8
"""Matches of one template that are followed up."""
_BATCH = 4000
_LOG_HALF_TURN = np.log(np.pi)


@dataclass(frozen=True, eq=False)
class Matches:
    """Matches of all templates.

    Attributes
    ----------
    row : ndarray of int, shape (k,)
        Of the bank.
    at : ndarray of float64, shape (k, 4)
        (θ, s, e1, e2) about which each is linear.
    assigned : ndarray of int, shape (k, n)
        Spot of each reflection, -1 where it is missed.
    ghostly : ndarray of bool, shape (k, m)
        Spots at a forbidden point.
    information : ndarray of float64, shape (k, 4, 4)
        Of the places alone.
    pull : ndarray of float64, shape (k, 4)
        Information times the step to the best fit of the places alone.
    constant : ndarray of float64, shape (k,)
        Log probability of marks, misses, clutter and places at `at`.
    rest : ndarray of float64, shape (k, 2, gains, cuts)
        Log probability of the spots that no reflection explains.
    """

    row: IntArray
    at: FloatArray
    assigned: IntArray
    ghostly: NDArray[np.bool_]
    information: FloatArray
    pull: FloatArray
    constant: FloatArray
    rest: FloatArray


def _of_matches(bank: Bank, image: Prior, row: IntArray, angle: FloatArray) -> tuple[Prior, FloatArray, FloatArray]:
    """Prior of the image in the frames of some matches, and mean (k, c, 3) and covariance with the cells' shares.

    The image's alone has its mean (k, 1, 3) and covariance (k, 1, 3, 3).
    """
    turn = turned_distortion(angle)[:, None]
    own = Prior(image.weight, image.mean @ turn, turn.swapaxes(2, 3) @ image.covariance @ turn)
    return own, own.mean + bank.cell_mean[row], own.covariance + bank.cell_covariance[row]


def _overall(bank: Bank, image: Prior) -> tuple[FloatArray, FloatArray]:
    """Mean (t, 3) and covariance (t, 3, 3) of the whole mixture, the image's distortion as wide in all directions."""
    variance = np.diag(image.covariance)
    wide = np.diag([variance[0], variance[1:].mean(), variance[1:].mean()])
    mean, covariance = image.mean + bank.cell_mean, wide + bank.cell_covariance
    weight = bank.cell_weight / bank.cell_weight.sum(axis=1, keepdims=True)
    centre = np.einsum("tc,tci->ti", weight, mean)
    off = mean - centre[:, None]
    return centre, np.einsum("tc,tcij->tij", weight, covariance + off[..., :, None] * off[..., None, :])


def place(at: FloatArray, z: ComplexArray) -> ComplexArray:
    """Reflections z (k, n) under (θ, s, e1, e2) (k, 4)."""
    return np.exp(at[:, 1] + 1j * at[:, 0])[:, None] * (z + (at[:, 2] + 1j * at[:, 3])[:, None] * z.conj())


def nearest(predicted: ComplexArray, marks: Marks, tolerance: FloatArray) -> IntArray:
    """Spot of each prediction, where both are each other's nearest and within the tolerance; -1 elsewhere.

    A spot stands for its Friedel mate too. Shapes: predicted (k, n), tolerance (m,) or (k, m), result (k, n).
    """
    along = np.abs(predicted.real[..., None] * marks.z.real + predicted.imag[..., None] * marks.z.imag)
    squared = (np.abs(predicted) ** 2)[..., None] + np.abs(marks.z) ** 2 - 2 * along
    spot = squared.argmin(axis=2)
    reflection = squared.argmin(axis=1)
    mutual = np.take_along_axis(reflection, spot, axis=1) == np.arange(predicted.shape[1])
    distance = np.take_along_axis(squared, spot[..., None], axis=2)[..., 0]
    limit = np.take_along_axis(np.broadcast_to(tolerance, (predicted.shape[0], marks.size)), spot, axis=1)
    return np.where(mutual & (distance < limit**2), spot, -1)


def _starts(
    bank: Bank, marks: Marks, mean: FloatArray, sd: FloatArray, shear: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Row and (θ, s) of the promising ways to lay one reflection of a template on one strong spot."""
    order = np.argsort(-marks.mark)[:REFERENCES]
    with np.errstate(divide="ignore"):
        length = np.where(bank.index >= 0, np.log(np.abs(bank.z)), np.inf)
    ratio = np.log(np.abs(marks.z[order]))[:, None, None] - length
    use = (np.abs(ratio - mean[:, None]) < 3 * sd[:, None]) & (bank.log_amplitude > np.log(0.08))
    spot, row, reflection = np.nonzero(use)
    s = ratio[spot, row, reflection]
    turn = np.mod(np.angle(marks.z[order][spot] * bank.z[row, reflection].conj()), np.pi)
    parts = [
        _score(bank, marks, shear, row[i : i + _BATCH], turn[i : i + _BATCH], s[i : i + _BATCH])
        for i in range(0, row.size, _BATCH)
    ]
    score = np.concatenate([np.zeros(0), *parts])
    ranked = np.lexsort((-score, row))
    key = np.stack([row, np.round(turn / 0.03), np.round(s / 0.01)], axis=1)[ranked].astype(np.int64)
    _, first = np.unique(key, axis=0, return_index=True)
    ranked = ranked[np.sort(first)]
    _, begin, count = np.unique(row[ranked], return_index=True, return_counts=True)
    place_in_row = np.arange(ranked.size) - np.repeat(begin, count)
    best = ranked[place_in_row < KEPT]
    return row[best], np.stack([turn[best], s[best]], axis=1)


def _score(bank: Bank, marks: Marks, shear: FloatArray, row: IntArray, turn: FloatArray, s: FloatArray) -> FloatArray:
    """How promising each start is by the leading reflections of its template alone."""
    lead = bank.lead[row]
    there = np.take_along_axis(bank.index[row], lead, axis=1) >= 0
    predicted = np.exp(s + 1j * turn)[:, None] * np.take_along_axis(bank.z[row], lead, axis=1)
    reach = 2.5 * marks.sigma + (4.5 * shear[row] + 0.005)[:, None] * np.abs(marks.z)
    assigned = np.where(there, nearest(predicted, marks, reach), -1)
    matched = assigned >= 0
    gain = np.where(matched, marks.mark[np.maximum(assigned, 0)] - marks.threshold + 2.0, 0.0).sum(axis=1)
    strong = np.exp(2 * np.take_along_axis(bank.log_amplitude[row], lead, axis=1))
    radius = np.abs(predicted)
    missed = np.where(~matched & there & (radius > marks.low) & (radius < marks.high), strong, 0.0).sum(axis=1)
    return np.asarray(gain - 4.0 * missed / strong.sum(axis=1))


def linear(
    at: FloatArray, z: ComplexArray, marks: Marks, assigned: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Information, pull and log probability of the places about `at`, for the pairs that are assigned."""
    factor = np.exp(at[:, 1] + 1j * at[:, 0])[:, None]
    mirrored = factor * z.conj()
    there = factor * z + (at[:, 2] + 1j * at[:, 3])[:, None] * mirrored
    matched = assigned >= 0
    spot = np.maximum(assigned, 0)
    seen = marks.z[spot]
    residual = np.where((there * seen.conj()).real >= 0, seen, -seen) - there
    sigma = marks.sigma[spot]
    weight = np.where(matched, sigma**-2.0, 0.0)
    slope = np.stack([1j * there, there, mirrored, 1j * mirrored], axis=1)
    scaled = slope * np.sqrt(weight)[:, None]
    flat = np.concatenate([scaled.real, scaled.imag], axis=2)
    off = np.sqrt(weight) * residual
    information = flat @ flat.transpose(0, 2, 1)
    pull = (flat @ np.concatenate([off.real, off.imag], axis=1)[..., None])[..., 0]
    constant = np.where(matched, -0.5 * weight * np.abs(residual) ** 2 - np.log(2 * np.pi * sigma**2), 0.0)
    return information, pull, constant.sum(axis=1)


def match(bank: Bank, marks: Marks, image: Prior, *, neutral: ComplexArray | None = None) -> Matches:
    """Find every way in which a template explains the spots.

    Parameters
    ----------
    bank : Bank
        The templates.
    marks : Marks
        The spots, at least one.
    image : Prior
        Of scale and distortion of the image; it bounds the search (three standard deviations) and steadies the fit.
    neutral : ndarray of complex, optional
        Places already explained by another grain: a reflection that falls on one is neither seen nor missed.
    """
    mean, covariance = _overall(bank, image)
    sd = np.maximum(np.sqrt(covariance[:, 0, 0]), 0.005)
    shear = np.sqrt(np.maximum(covariance[:, 1, 1], covariance[:, 2, 2]))
    row, start = _starts(bank, marks, mean[:, 0], sd, shear)
    precision = np.zeros((len(sd), 4, 4))
    precision[:, 1:, 1:] = np.linalg.inv(covariance)
    centre = np.column_stack([np.zeros(len(mean)), mean])
    at = np.column_stack([start, mean[row, 1:]])
    z, there = bank.z[row], bank.index[row] >= 0
    for factor, floor in ((4.5, 0.005), (2.0, 0.0), (0.0, 0.002)):
        slack = (factor * shear[row] + floor)[:, None] * np.abs(marks.z)
        assigned = np.where(there, nearest(place(at, z), marks, 4 * marks.sigma + slack), -1)
        information, pull, _ = linear(at, z, marks, assigned)
        toward = pull + ((centre[row] - at)[:, None, :] @ precision[row])[:, 0]
        at = at + np.linalg.solve(information + precision[row] + 1e-9 * np.eye(4), toward[..., None])[..., 0]
    some = (assigned >= 0).any(axis=1)
    row, at, assigned = row[some], at[some], assigned[some]
    row, at, assigned = _distinct(row, at, assigned)
    information, pull, constant = linear(at, bank.z[row], marks, assigned)
    marked, ghostly, rest = _marks_of_matches(bank, marks, row, at, assigned, neutral)
    return Matches(row, at, assigned, ghostly, information, pull, constant + marked, rest)


def _distinct(row: IntArray, at: FloatArray, assigned: IntArray) -> tuple[IntArray, FloatArray, IntArray]:
    """Leave out matches that became the same on their way."""
    key = np.column_stack([row, assigned, np.round(np.mod(at[:, 0], np.pi) / 0.02).astype(np.int64)])
    _, first = np.unique(key, axis=0, return_index=True)
    return row[first], at[first], assigned[first]


def _marks_of_matches(
    bank: Bank, marks: Marks, row: IntArray, at: FloatArray, assigned: IntArray, neutral: ComplexArray | None
) -> tuple[FloatArray, NDArray[np.bool_], FloatArray]:
    """Log probability of marks, misses and clutter of each match; the spots at forbidden points; and `Matches.rest`."""
    inside = _inside(place(at, bank.z[row]), bank.index[row] >= 0, marks, neutral)
    grid = reflection_marks(marks, bank.log_amplitude[row], np.abs(bank.z[row]), assigned, inside, bank.known[row])
    free = _unexplained(assigned, marks.size)
    rest, distance = _rest(bank, marks, row, at, free)
    # structure factors that are unknown leave no forbidden points: full and half empty nets are equally probable
    coherent = log_sum(grid + rest, (1, 2, 3))
    incoherent = _incoherent(bank, marks, row, at, assigned, inside, neutral)
    total = np.where(bank.known[row], np.logaddexp(coherent, incoherent), coherent - np.log1p(-INCOHERENT))
    return total, free & (distance < 4.0), rest


def _rest(
    bank: Bank, marks: Marks, row: IntArray, at: FloatArray, free: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """Log probability of spots that no reflection explains, and how far each is from a forbidden point, in sigma."""
    near, shown = zip(*(_closest(at, ghosts[row], marks) for ghosts in (bank.forbidden, bank.laue)), strict=True)
    distance = np.minimum(np.array(near) / marks.sigma, 1e3)
    radius = np.abs(marks.z) * np.exp(-at[:, 1:2])
    return unmatched_marks(marks, free, radius, distance, np.array(shown)), distance.min(axis=0)


def _inside(
    there: ComplexArray, real: NDArray[np.bool_], marks: Marks, neutral: ComplexArray | None
) -> NDArray[np.bool_]:
    """Whether the absence of a reflection tells anything: in the band, and not where another grain has a spot."""
    radius = np.abs(there)
    inside = real & (radius > marks.low) & (radius < marks.high)
    if neutral is not None and neutral.size:
        off = np.minimum(np.abs(there[..., None] - neutral), np.abs(there[..., None] + neutral)).min(axis=-1)
        inside &= off > 0.02 * radius
    return np.asarray(inside)


def _unexplained(assigned: IntArray, size: int) -> NDArray[np.bool_]:
    """Spots that no reflection explains, shape (k, m)."""
    free = np.ones((len(assigned), size), dtype=bool)
    k, n = np.nonzero(assigned >= 0)
    free[k, assigned[k, n]] = False
    return free


def _incoherent(
    bank: Bank,
    marks: Marks,
    row: IntArray,
    at: FloatArray,
    assigned: IntArray,
    inside: NDArray[np.bool_],
    neutral: ComplexArray | None,
) -> FloatArray:
    """Log probability of the marks in an incoherent image, where some forbidden points are reflections.

    Their places count at `at` and do not move the match, as those of all forbidden points.
    """
    bright, real = bank.bright[row], bank.bright[row] != 0
    log_contrast, z, where = bank.log_contrast[row], bank.z[row], 0.0
    if bright.shape[1]:
        there = place(at, bright)
        spot = np.where(real, nearest(there, marks, 4 * marks.sigma), -1)
        spot[(spot >= 0) & ~np.take_along_axis(_unexplained(assigned, marks.size), spot, axis=1)] = -1
        off = np.minimum(np.abs(there - marks.z[spot]), np.abs(there + marks.z[spot])) / marks.sigma[spot]
        where = np.where(spot >= 0, -0.5 * off**2 - np.log(2 * np.pi * marks.sigma[spot] ** 2), 0.0).sum(axis=1)
        assigned, z = np.concatenate([assigned, spot], axis=1), np.concatenate([z, bright], axis=1)
        inside = np.concatenate([inside, _inside(there, real, marks, neutral)], axis=1)
        log_contrast = np.concatenate([log_contrast, bank.log_bright[row]], axis=1)
    free = _unexplained(assigned, marks.size)
    return np.asarray(where + incoherent_marks(marks, log_contrast, np.abs(z), assigned, inside, free))


def _closest(at: FloatArray, ghosts: ComplexArray, marks: Marks) -> tuple[FloatArray, IntArray]:
    """Distance from each spot to the nearest of some points of the pattern, and the number in the band by shells.

    A spot at the edge of the band may lie a little beyond it, and so may its point.
    """
    there = place(at, ghosts)
    length = np.abs(there)
    shown = (length > marks.low) & (length < marks.high)
    k, n = np.nonzero(shown)
    shell = np.abs(np.abs(ghosts[k, n])[:, None] - SHELLS).argmin(axis=1)
    count = np.bincount(k * SHELLS.size + shell, minlength=len(at) * SHELLS.size).reshape(len(at), SHELLS.size)
    if not there.shape[1]:
        return np.full((len(at), marks.size), 1e3), count
    along = np.abs(there.real[..., None] * marks.z.real + there.imag[..., None] * marks.z.imag)
    squared = (length**2)[..., None] + np.abs(marks.z) ** 2 - 2 * along
    return np.sqrt(np.maximum(np.where(length[..., None] > 0, squared, 1e6).min(axis=1), 0.0)), count


def evidence(matches: Matches, bank: Bank, image: Prior) -> FloatArray:
    """Log evidence of each match with (θ, s, e1, e2) integrated over their prior; shape (k,).

    The rotation is flat over the half turn.
    """
    _, mean, covariance = _of_matches(bank, image, matches.row, matches.at[:, 0])
    weight = bank.cell_weight[matches.row]
    with np.errstate(divide="ignore"):
        parts = np.stack(
            [np.log(weight[:, c]) + _integral(matches, mean[:, c], covariance[:, c]) for c in range(weight.shape[1])]
        )
    return np.asarray(matches.constant + log_sum(np.array(parts), 0) - _LOG_HALF_TURN)


def _step(
    matches: Matches, mean: FloatArray, covariance: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Total information, its solution, what pulls there, and the cost of standing off the prior's mean."""
    precision = np.zeros((len(mean), 4, 4))
    precision[:, 1:, 1:] = np.linalg.inv(covariance)
    off = np.zeros((len(mean), 4))
    off[:, 1:] = mean - matches.at[:, 1:]
    held = (precision @ off[..., None])[..., 0]
    total = matches.information + precision
    toward = matches.pull + held
    step = np.asarray(np.linalg.solve(total, toward[..., None])[..., 0], dtype=np.float64)
    return total, step, toward, np.asarray((held * off).sum(axis=1))


def _integral(matches: Matches, mean: FloatArray, covariance: FloatArray) -> FloatArray:
    """Log of the integral of the places' likelihood (over its value at `at`) times one Gaussian of the prior each."""
    total, step, toward, cost = _step(matches, mean, covariance)
    value = 0.5 * (toward * step).sum(axis=1) - 0.5 * cost
    size = np.linalg.slogdet(total)[1] + np.linalg.slogdet(covariance)[1]
    return np.asarray(value - 0.5 * size + 0.5 * np.log(2 * np.pi))


def posterior(matches: Matches, k: int, bank: Bank, image: Prior) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Where scale and distortion stand in one match: the pattern's (θ, s, e1, e2), and those of the image alone.

    Returns
    -------
    pattern : ndarray, shape (4,)
        Posterior mean.
    mean, covariance : ndarrays, shapes (3,) and (3, 3)
        Of the image's own (s, e1, e2), in the frame of the pattern, with the cell's share taken out.
    """
    row = matches.row[k]
    own, means, covariances = _of_matches(bank, image, matches.row[k : k + 1], matches.at[k : k + 1, 0])
    parts = np.flatnonzero(bank.cell_weight[row] > 0)
    one = Matches(
        *(np.repeat(getattr(matches, name)[k : k + 1], parts.size, axis=0) for name in Matches.__dataclass_fields__)
    )
    prior_mean, prior_covariance = means[0, parts], covariances[0, parts]
    log_weight = np.log(bank.cell_weight[row, parts]) + _integral(one, prior_mean, prior_covariance)
    weight = np.exp(log_weight - log_sum(log_weight, 0))
    total, step, _, _ = _step(one, prior_mean, prior_covariance)
    here = one.at + step
    spread = np.linalg.inv(total)[:, 1:, 1:]
    gain = own.covariance[0] @ np.linalg.inv(prior_covariance)
    off = own.mean[0] + (gain @ (here[:, 1:] - prior_mean)[..., None])[..., 0]
    width = own.covariance[0] - gain @ (prior_covariance - spread) @ gain.transpose(0, 2, 1)
    mean = weight @ off
    off = off - mean
    covariance = np.einsum("k,kij->ij", weight, width + off[:, :, None] * off[:, None, :])
    return weight @ here, mean, covariance


def by_places(matches: Matches, bank: Bank, marks: Marks, *, taken: ComplexArray | None = None) -> Matches:
    """Return the matches as they are where strengths of reflections tell nothing.

    Scattering again and again makes strong reflections dark and absent ones bright. Here every reflection of a zone is
    equally strong (but those below 3 % of the strongest, which are waited for the less the weaker they are), absences
    of the space group still hold, and forbidden points may show: what is left to tell explanations apart are places,
    and how many reflections of a zone are seen.

    Parameters
    ----------
    matches : Matches
        Of the bank with the spots.
    bank : Bank
        The templates.
    marks : Marks
        The spots.
    taken : ndarray of complex, optional
        Places that another grain explains: a reflection that falls on one is neither seen nor missed.
    """
    row, at, assigned = matches.row, matches.at, matches.assigned
    inside = _inside(place(at, bank.z[row]), bank.index[row] >= 0, marks, taken)
    length = np.abs(bank.z[row])
    level = np.minimum(bank.log_amplitude[row] - WEAK, 0.0)
    even = reflection_marks(marks, level, length, assigned, inside, np.zeros(len(row), dtype=bool))
    told = log_sum(log_sum(even, 1) + log_sum(matches.rest, 1), (1, 2)) - np.log(even.shape[1] * (1 - INCOHERENT))
    return replace(matches, constant=linear(at, bank.z[row], marks, assigned)[2] + told)
