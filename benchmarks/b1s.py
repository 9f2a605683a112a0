"""Simulated B 1s depth profiles: expected counts written out independently of the engine that is to be judged.

Three overlapping pseudo-Voigt lines (B-O-B, TM-O-B, B-F) at six etch levels, each level charged by a shift of its own,
on an inelastic step and a sloping baseline. Everything here is plain NumPy and shares no code with the fit engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

FloatArray = NDArray[np.float64]

NAMES = ("BOB", "TMOB", "BF")
CENTRES = (192.0, 191.1, 193.3)
FWHM, MIXING = 1.5, 0.3
SHIFTS = (0.00, 0.06, -0.05, 0.08, 0.03, -0.07)
#: areas relative to the strongest line of the surface: TM-O-B grows over the first levels and then stays
SHARES = np.array(
    [
        [1.00, 0.20, 0.25],
        [0.85, 0.35, 0.25],
        [0.70, 0.50, 0.25],
        [0.70, 0.50, 0.25],
        [0.65, 0.45, 0.22],
        [0.6, 0.4, 0.2],
    ]
)
BASELINE = 0.35  # counts under the peak over its height, as in a boron line of an oxide
STEP = 0.04  # inelastic step of a line per eV, over its area


def pseudo_voigt(x: FloatArray, centre: float, fwhm: float, mixing: float) -> FloatArray:
    """Return the sum of a Gaussian and a Lorentzian of unit area, `mixing` being the Lorentzian's share of it."""
    t = (x - centre) / fwhm
    gauss = 2.0 * np.sqrt(np.log(2.0) / np.pi) / fwhm * np.exp(-4.0 * np.log(2.0) * t**2)
    return (1.0 - mixing) * gauss + mixing * 2.0 / (np.pi * fwhm * (1.0 + 4.0 * t**2))


def running_integral(x: FloatArray, centre: float, fwhm: float, mixing: float) -> FloatArray:
    """Return the integral of `pseudo_voigt` from minus infinity to x."""
    t = (x - centre) / fwhm
    gauss = 0.5 * (1.0 + erf(2.0 * np.sqrt(np.log(2.0)) * t))
    return (1.0 - mixing) * gauss + mixing * (0.5 + np.arctan(2.0 * t) / np.pi)


@dataclass(frozen=True)
class Profile:
    """A depth profile with known truth.

    Attributes
    ----------
    height : float
        Counts of the strongest line at its maximum, above the background.
    background : {"linear", "static", "active"}
        Linear baseline alone; with a step of known shape and free height; with a step that moves with the lines.
    shares : ndarray, shape (6, 3)
        Areas relative to the strongest line.
    charge_reference : bool
        Whether the shift of each level is known from another region (C 1s), with the error `reference_sigma`; if not,
        B 1s has to find it alone.
    """

    height: float
    background: str
    charge_reference: bool = True
    shares: FloatArray = field(default_factory=lambda: SHARES)
    x: FloatArray = field(default_factory=lambda: np.linspace(186.0, 198.0, 201))

    @property
    def levels(self) -> int:
        """Number of etch levels."""
        return len(self.shares)

    @property
    def reference_sigma(self) -> float:
        """Error of the shift from the charge reference in eV: 0.005 at 5 000 counts, growing as counts get fewer."""
        return 0.005 * float(np.sqrt(5000.0 / self.height))

    @property
    def truth(self) -> dict[str, FloatArray]:
        """Free parameters by name, one value or one a level; the order is that of the Fisher matrix."""
        scale = self.height / pseudo_voigt(np.zeros(1), 0.0, FWHM, MIXING)[0]
        values = {f"{name}_area": scale * self.shares[:, j] for j, name in enumerate(NAMES)}
        values["background_0"] = np.full(self.levels, BASELINE * self.height)
        values["background_1"] = np.full(self.levels, 0.02 * self.height)
        if self.background == "static":
            values["step_height"] = np.full(self.levels, 0.06 * self.height)
        values["shift"] = np.array(SHIFTS[: self.levels])
        values["TMOB_center"], values["BF_center"] = np.array([CENTRES[1]]), np.array([CENTRES[2]])
        values["BOB_fwhm"], values["BOB_mixing"] = np.array([FWHM]), np.array([MIXING])
        if self.background == "active":
            values["shirley_k"] = np.array([STEP])
        return values

    def step_shape(self) -> FloatArray:
        """Return the known shape of a static step, shape (6, n): the running integral of the true lines, 0 to 1."""
        rows = []
        for share, shift in zip(self.shares, SHIFTS[: self.levels], strict=True):
            row = sum(
                a * running_integral(self.x, c + shift, FWHM, MIXING) for a, c in zip(share, CENTRES, strict=True)
            )
            rows.append(row / share.sum())
        return np.array(rows)

    def expected(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """Return the expected counts, shape (6, n), at given parameters."""
        x, u = self.x, (2.0 * self.x - self.x[0] - self.x[-1]) / (self.x[-1] - self.x[0])
        fwhm, mixing = float(values["BOB_fwhm"][0]), float(values["BOB_mixing"][0])
        centres = (CENTRES[0], float(values["TMOB_center"][0]), float(values["BF_center"][0]))
        step = self.step_shape() if self.background == "static" else None
        rows = []
        for level in range(self.levels):
            row = values["background_0"][level] + values["background_1"][level] * u
            for name, centre in zip(NAMES, centres, strict=True):
                place = centre + values["shift"][level]
                line = pseudo_voigt(x, place, fwhm, mixing)
                if self.background == "active":
                    line = line + values["shirley_k"][0] * running_integral(x, place, fwhm, mixing)
                row = row + values[f"{name}_area"][level] * line
            if step is not None:
                row = row + values["step_height"][level] * step[level]
            rows.append(row)
        return np.array(rows)

    def draw(self, seeds: int, seed: int = 20250101) -> tuple[FloatArray, FloatArray]:
        """Return Poisson counts (seeds, 6, n) and measured shifts (seeds, 6); one generator, no seed left out."""
        rng = np.random.default_rng([seed, int(self.height), ("linear", "static", "active").index(self.background)])
        counts = rng.poisson(self.expected(self.truth), size=(seeds, self.levels, self.x.size)).astype(float)
        return counts, rng.normal(self.truth["shift"], self.reference_sigma, size=(seeds, self.levels))


def flatten(values: Mapping[str, FloatArray]) -> tuple[FloatArray, list[str]]:
    """Return all parameters as one vector, with a name for each entry."""
    names = [f"{k}[{i}]" for k, v in values.items() for i in range(v.size)]
    return np.concatenate([v.ravel() for v in values.values()]), names


def unflatten(vector: FloatArray, like: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Undo `flatten`."""
    result, at = {}, 0
    for name, v in like.items():
        result[name] = vector[at : at + v.size]
        at += v.size
    return result


def cramer_rao(profile: Profile) -> FloatArray:
    """Return the Cramér-Rao bound on the covariance of all free parameters, at the truth, for Poisson counts.

    The Fisher information is J' diag(1/expected) J with J by central differences of the expected counts, plus
    1/sigma^2 for a shift that the charge reference measures.
    """
    truth = profile.truth
    vector, names = flatten(truth)
    mu = profile.expected(truth).ravel()
    jacobian = np.empty((mu.size, vector.size))
    for k, name in enumerate(names):
        h = 1e-4 * max(abs(vector[k]), 1e-2 * profile.height if "area" in name or "background" in name else 0.1)
        up, down = vector.copy(), vector.copy()
        up[k] += h
        down[k] -= h
        difference = profile.expected(unflatten(up, truth)) - profile.expected(unflatten(down, truth))
        jacobian[:, k] = difference.ravel() / (2.0 * h)
    scale = np.sqrt((jacobian**2 / mu[:, None]).sum(axis=0))
    scaled = jacobian / np.sqrt(mu)[:, None] / scale
    information = scaled.T @ scaled
    if profile.charge_reference:
        known = np.array([name.startswith("shift") for name in names])
        information += np.diag(known / (profile.reference_sigma * scale) ** 2)
    return np.linalg.inv(information) / np.outer(scale, scale)


def fraction_covariance(profile: Profile, covariance: FloatArray) -> FloatArray:
    """Carry a covariance of all parameters over to the fractions of the lines, shape (3 * 6, 3 * 6)."""
    truth = profile.truth
    areas = np.stack([truth[f"{n}_area"] for n in NAMES])
    k = areas.size
    total = areas.sum(axis=0)
    jacobian = np.zeros((k, covariance.shape[0]))
    for level in range(profile.levels):
        for a in range(3):
            for b in range(3):
                at = (a * profile.levels + level, b * profile.levels + level)
                jacobian[at] = ((a == b) - areas[a, level] / total[level]) / total[level]
    return jacobian @ covariance @ jacobian.T
