"""The candidates for a depth profile: every model fitted, and the choice between them by BIC."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
from scipy.special import gammaincc

from layerscope.records import Alternative

from ..dataset import FloatArray
from .models import Optimum, coarse, optimum
from .profile import ModelName
from .shapes import SPECS, Data, rise

__all__ = [
    "UNDECIDED",
    "Candidate",
    "Line",
    "alternatives",
    "bic_of",
    "choose",
    "curve_of",
    "fit_candidates",
    "improbable",
    "straight_line",
]

# chi2 of lower probability says that the model does not describe the data
_IMPROBABLE = 1e-3
# Difference in BIC below which the data do not tell two models apart
UNDECIDED = 2.0


@dataclass(frozen=True)
class Candidate:
    """One model that was fitted.

    Attributes
    ----------
    name : str
    n_free : int
        Free parameters.
    chi2 : float
    curve : ndarray, shape (L,)
        Fraction at the measured times.
    key : str
        Of `SPECS`; empty for nothing, a constant and a line.
    best : Optimum or None
        Of the models in `SPECS`.
    allowed : bool
        Whether it may be chosen.
    """

    name: ModelName
    n_free: int
    chi2: float
    curve: FloatArray
    key: str = ""
    best: Optimum | None = None
    allowed: bool = True


@dataclass(frozen=True)
class Line:
    """A constant or a line: parameters, shape (k,), and their covariance, shape (k, k)."""

    parameters: FloatArray
    covariance: FloatArray


def straight_line(data: Data, degree: int) -> Line:
    """Generalised least squares of a constant (0) or a line (1), about the middle of the profile against rounding."""
    design = data.whiten(np.stack([np.ones(data.time.size), data.time - data.time.mean()])[: degree + 1])
    covariance = np.linalg.inv(design @ design.T)
    return Line(covariance @ (design @ data.target), np.asarray(covariance))


def curve_of(data: Data, key: str, best: Optimum) -> FloatArray:
    """Return the fraction by a model at the measured times, shape (L,)."""
    shape = rise(SPECS[key].kind, data.time, np.array([best.first]), np.array([best.second]))[0]
    return np.asarray(best.start * (1.0 - shape) + best.end * shape)


def fit_candidates(data: Data, constant: Line, line: Line) -> dict[str, Candidate]:
    """Fit every model; of the two directions between two levels only the better one is kept."""
    n = data.time.size

    def simple(name: ModelName, n_free: int, curve: FloatArray, *, allowed: bool = True) -> Candidate:
        return Candidate(name, n_free, float(np.sum((data.target - data.whiten(curve)) ** 2)), curve, allowed=allowed)

    level = float(constant.parameters[0])
    straight = line.parameters[0] + line.parameters[1] * (data.time - data.time.mean())
    # a constant or a line below zero is no species: "absent" says the same with fewer parameters
    found = [
        simple("absent", 0, np.zeros(n)),
        simple("constant", 1, np.full(n, level), allowed=level > 0.0),
        simple("linear", 2, straight, allowed=level > 0.0),
    ]
    maps = {kind: coarse(data, kind) for kind in ("ramp", "edge", "approach")}
    for key, spec in SPECS.items():
        best = optimum(data, spec, maps[spec.kind])
        name = key if spec.levels != "between" else f"{key}_{'rise' if best.end >= best.start else 'fall'}"
        curve = curve_of(data, key, best)
        found.append(Candidate(name, spec.n_free, best.chi2, curve, key, best, spec.n_free < n))  # type: ignore[arg-type]
    return {c.name: c for c in found}


def bic_of(candidates: dict[str, Candidate], n: int, dispersion: float) -> dict[str, float]:
    """Return BIC of all models that are allowed; of the quasi-likelihood, if the dispersion is not 1."""
    return {k: c.chi2 / dispersion + c.n_free * log(n) for k, c in candidates.items() if c.allowed}


def choose(candidates: dict[str, Candidate], bic: dict[str, float]) -> Candidate:
    """Take the lowest BIC; a smooth model only where it is better than all others by more than data can leave open."""

    def lowest(names: list[str]) -> str:
        return min(names, key=lambda name: (bic[name], candidates[name].n_free))

    smooth = {name for name in bic if candidates[name].key and SPECS[candidates[name].key].smooth}
    plain, best = lowest([name for name in bic if name not in smooth]), lowest(list(bic))
    return candidates[best if bic[best] < bic[plain] - UNDECIDED else plain]


def improbable(candidate: Candidate, n: int) -> bool:
    """Whether a model does not describe the data of n levels: its chi2 is too large."""
    dof = n - candidate.n_free
    return float(gammaincc(0.5 * dof, 0.5 * candidate.chi2)) < _IMPROBABLE


def alternatives(candidates: dict[str, Candidate], bic: dict[str, float], chosen: ModelName) -> tuple[Alternative, ...]:
    """List every model; one that is not allowed has no BIC."""
    return tuple(
        Alternative(
            name=name,
            bic=bic.get(name),
            delta_bic=bic[name] - min(bic.values()) if name in bic else None,
            chi2=max(c.chi2, 0.0),
            n_free=c.n_free,
            chosen=name == chosen,
        )
        for name, c in candidates.items()
    )
