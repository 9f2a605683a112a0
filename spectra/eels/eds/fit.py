"""Net counts of lines by linear least squares, all lines and the background at once, in every member of the ensemble.

The weights are those of the sum of all places and the same for each, so that the counts of a line are one linear
function of the channels: free of bias however few counts a place has, their errors by counting exact, and a map of
a million places one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import ndtr

from layerscope.errors import DataError

from ..options import known_onsets
from .background import LAWS, kramers, splines
from .lines import Detector, Family

__all__ = ["Counted", "Design", "Tuned", "count_lines", "design", "tune"]

FloatArray = NDArray[np.float64]

SPACINGS = (0.8, 0.9, 1.0, 1.15, 1.3)
PHASES = (0.0, 0.2, 0.4, 0.6, 0.8)
"""Members of the ensemble: every spacing of the knots with every phase."""
ROUNDS = 3
STEPS = {"C K": 0.6, "N K": 0.1, "O K": 0.1, "Al K": 0.05, "Si K": 0.1}
"""Steps of the background where a polymer window, its coating and a dead layer of silicon absorb: shares, one sigma."""
LEAST_EXPECTED = 0.3
"""Counts of a channel of the sum that its weight assumes at least."""


@dataclass(frozen=True, eq=False)
class Tuned:
    """The detector as the sum of all places shows it.

    Attributes
    ----------
    detector : Detector
    covariance : ndarray, shape (4, 4)
        Of width (eV), offset (eV), stretch and tail.
    expected : ndarray, shape (n,)
        Fitted counts of the sum.
    background : ndarray, shape (n,)
        Its background.
    redchi : float
    freedom : int
    residual : ndarray, shape (n,)
        In standard deviations.
    """

    detector: Detector
    covariance: FloatArray
    expected: FloatArray
    background: FloatArray
    redchi: float
    freedom: int
    residual: FloatArray


@dataclass(frozen=True, eq=False)
class Counted:
    """Net counts of f families at L places.

    Attributes
    ----------
    value : ndarray, shape (L, f)
    counting : ndarray, shape (L, f, f)
        Covariance by counting.
    ensemble : ndarray, shape (L, f, m)
        Difference of every member to the mean.
    background : ndarray, shape (b, L, f)
        Half the difference of the two laws, and what each step of the background at an absorption edge changes.
    response : ndarray, shape (4, L, f)
        What one standard deviation of each independent combination of width, offset, stretch and tail changes.
    weights : ndarray, shape (f, n)
        The linear function: counts of the families are these times the spectrum.
    """

    value: FloatArray
    counting: FloatArray
    ensemble: FloatArray
    background: FloatArray
    response: FloatArray
    weights: FloatArray

    def parts(self) -> dict[str, FloatArray]:
        """Return the parts of the error, each of shape (L, f)."""
        return {
            "counting": np.sqrt(np.einsum("lff->lf", self.counting)),
            "ensemble": self.ensemble.std(axis=-1, ddof=1),
            "background": np.sqrt((self.background**2).sum(axis=0)),
            "response": np.sqrt((self.response**2).sum(axis=0)),
        }

    def ratio(self, above: int, below: int) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Return the ratio of two families at every place, shape (L,), and the parts of its error.

        Every part is taken of the ratio: what changes both alike cancels.
        """
        top, bottom = self.value[:, above], self.value[:, below]
        value = top / bottom
        g = np.zeros_like(self.value)
        g[:, above], g[:, below] = 1.0 / bottom, -value / bottom
        members = (self.ensemble * g[..., None]).sum(axis=1)
        parts = {
            "counting": np.sqrt(np.maximum(np.einsum("lf,lfg,lg->l", g, self.counting, g), 0.0)),
            "ensemble": members.std(axis=-1, ddof=1),
            "background": np.sqrt(((self.background * g).sum(axis=-1) ** 2).sum(axis=0)),
            "response": np.sqrt(((self.response * g).sum(axis=-1) ** 2).sum(axis=0)),
        }
        return value, parts


@dataclass(frozen=True, eq=False)
class Design:
    """Channels and families of a spectrum, and what its columns are made of."""

    energy: FloatArray
    borders: FloatArray
    families: Sequence[Family]
    beam_eV: float
    start: Detector
    grounds: dict[tuple[float, float, str], FloatArray] = field(default_factory=dict)

    def ground(self, spacing: float, phase: float, law: str) -> FloatArray:
        """Return the columns of the background, shape (n, p); its knots rest on the width known beforehand."""
        key = spacing, phase, law
        if key not in self.grounds:
            made = splines(self.energy, self.start, spacing, phase)
            factor = kramers(self.energy, self.beam_eV)[:, None] if law == "Kramers" else 1.0
            self.grounds[key] = made * factor
        return self.grounds[key]

    def columns(self, detector: Detector, spacing: float, phase: float, law: str) -> FloatArray:
        """Return the families and then the background, shape (n, f + p)."""
        lines = [detector.spectrum(self.borders, one) for one in self.families]
        return np.column_stack([*lines, self.ground(spacing, phase, law)])


def design(energy: FloatArray, families: Sequence[Family], beam_eV: float, start: Detector) -> Design:
    """Return what the columns of a fit are made of.

    Parameters
    ----------
    energy : ndarray, shape (n,)
        Middles of the channels in eV.
    families : sequence of Family
    beam_eV : float
        Energy of the beam.
    start : Detector
        As far as it is known beforehand.
    """
    half = 0.5 * np.diff(energy)
    borders = np.concatenate([[energy[0] - half[0]], energy[:-1] + half, [energy[-1] + half[-1]]])
    return Design(energy, borders, families, beam_eV, start)


def _solve(columns: FloatArray, expected: FloatArray) -> FloatArray:
    """Return the matrix that makes coefficients of counts, by weighted least squares, shape (f + p, n)."""
    weight = 1.0 / np.maximum(expected, LEAST_EXPECTED)
    weighted = columns.T * weight
    normal = weighted @ columns
    norm = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    inverse = np.linalg.pinv(normal / np.outer(norm, norm), rcond=1e-12, hermitian=True) / np.outer(norm, norm)
    return np.asarray(inverse @ weighted)


def tune(made: Design, total: FloatArray, sigmas: tuple[float, float, float, float]) -> Tuned:
    """Return width and tail of the lines, offset and stretch of the axis that the sum of all places shows.

    Parameters
    ----------
    made : Design
    total : ndarray, shape (n,)
        Counts of the sum.
    sigmas : (float, float, float, float)
        How well width (eV), offset (eV), stretch and tail are known beforehand.

    Raises
    ------
    DataError
        If the fit does not end.
    """
    prior = np.array(sigmas)
    expected = np.maximum(total, LEAST_EXPECTED)
    expected = np.convolve(np.pad(expected, 4, mode="edge"), np.full(9, 1 / 9), mode="valid")
    p, start = np.zeros(4), made.start

    def detector(values: FloatArray) -> Detector:
        width, offset, stretch, tail = (float(value) for value in values * prior)
        return start.changed(width, offset, stretch, tail)

    def model(values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        columns = made.columns(detector(values), 1.0, 0.0, LAWS[0])
        return columns, _solve(columns, expected) @ total, 1.0 / np.sqrt(np.maximum(expected, LEAST_EXPECTED))

    def residual(values: FloatArray) -> FloatArray:
        columns, found, root = model(values)
        return np.concatenate([(total - columns @ found) * root, values])

    for _ in range(ROUNDS):
        result = least_squares(residual, p, method="lm", diff_step=np.full(4, 1e-3), max_nfev=60)
        p = result.x
        columns, found, _ = model(p)
        expected = np.maximum(columns @ found, LEAST_EXPECTED)
    if not np.isfinite(p).all() or detector(p).fwhm_eV <= 0:
        raise DataError("the lines of the sum of all places tell no width", hint="give fwhm_eV, and its error")
    jacobian = np.asarray(result.jac, dtype=np.float64)
    covariance = np.linalg.inv(jacobian.T @ jacobian) * np.outer(prior, prior)
    columns, found, root = model(p)
    known = np.asarray(covariance, dtype=np.float64)
    left = (total - columns @ found) * root
    freedom = max(total.size - columns.shape[1] - 4, 1)
    ground = columns[:, len(made.families) :] @ found[len(made.families) :]
    redchi = float((left**2).sum() / freedom)
    return Tuned(detector(p), known, columns @ found, ground, redchi, freedom, left)


def count_lines(made: Design, counts: FloatArray, tuned: Tuned, noise: float) -> Counted:
    """Return the net counts of every family at every place.

    Parameters
    ----------
    made : Design
    counts : ndarray, shape (L, n)
    tuned : Tuned
    noise : float
        Variance over mean of the counts.
    """
    number = len(made.families)

    def weights(detector: Detector, spacing: float, phase: float, law: str) -> FloatArray:
        return _solve(made.columns(detector, spacing, phase, law), tuned.expected)[:number]

    members = [(spacing, phase) for spacing in SPACINGS for phase in PHASES]
    by_law = [np.stack([weights(tuned.detector, *member, law) for member in members]) for law in LAWS]
    every = 0.5 * (by_law[0] + by_law[1])
    mean = every.mean(axis=0)
    found = np.einsum("mfn,ln->lfm", every, counts)
    laws = 0.5 * (counts @ (by_law[0].mean(axis=0) - by_law[1].mean(axis=0)).T)
    value = counts @ mean.T
    # what is expected at a place: the sum of all places, scaled, is smooth where a place has hardly any counts
    share = counts.sum(axis=1) / max(float(tuned.expected.sum()), 1.0)
    variance = noise * np.maximum(0.5 * counts + 0.5 * share[:, None] * tuned.expected, 0.0)
    covariance = np.einsum("fn,ln,gn->lfg", mean, variance, mean)
    # of few counts the error upwards is larger (N. Gehrels, Astrophys. J. 303, 336 (1986), equation 7)
    own = np.arange(number)
    covariance[:, own, own] = noise * (1.0 + np.sqrt(covariance[:, own, own] / noise + 0.75)) ** 2
    moved = _responses(counts, tuned, weights)
    steps = [np.outer(share, mean @ one) for one in _steps(made, tuned)]
    return Counted(value, covariance, found - value[..., None], np.stack([laws, *steps]), moved, mean)


def _steps(made: Design, tuned: Tuned) -> list[FloatArray]:
    """Return what steps at absorption edges would add to the background of the sum, each of shape (n,).

    A line lies right below the edge of its own element, and no smooth curve follows a step there.
    """
    onsets = known_onsets()
    return [
        share * tuned.background * ndtr((made.energy - onsets[edge]) / (tuned.detector.fwhm(onsets[edge]) / 2.3548))
        for edge, share in STEPS.items()
    ]


def _responses(counts: FloatArray, tuned: Tuned, weights: Callable[..., FloatArray]) -> FloatArray:
    """Return what one standard deviation of each independent combination of the detector's numbers changes."""
    values, vectors = np.linalg.eigh(tuned.covariance)
    how = SPACINGS[len(SPACINGS) // 2], PHASES[0], LAWS[0]
    centre = weights(tuned.detector, *how)
    changes = []
    for size, vector in zip(np.sqrt(np.maximum(values, 0.0)), vectors.T, strict=True):
        width, offset, stretch, tail = (float(value) for value in size * vector)
        changes.append(counts @ (weights(tuned.detector.changed(width, offset, stretch, tail), *how) - centre).T)
    return np.stack(changes)
