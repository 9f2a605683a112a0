"""What does the joint fit gain? The TM-O-B fraction of a B 1s profile, six levels jointly against level by level.

    python benchmarks/joint_vs_level.py [--profiles 100]

Two lines, B-O-B 192.0 and TM-O-B 191.1 eV, FWHM 1.5 eV, at six etch levels with a charging shift each, on an active
background; boron falls to 40 % over the profile, as in the case `xps_b1s_li_rich`. Jointly, positions, width and mixing
belong to all levels and the shift of each is known from C 1s to 0.005 eV. Level by level there is nothing to share:
every level finds the positions, the width and the mixing of its own spectrum (the shift is then not separable from the
positions and is left out). Printed: the error of the fraction as stated and as found (root mean square), how often BIC
prefers two lines to one, and how often it does so wrongly when there is no TM-O-B at all.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import lmfit
import numpy as np
from b1s import BASELINE, FWHM, MIXING, SHIFTS, STEP, FloatArray, pseudo_voigt, running_integral

from layerscope.fitting import BatchFit, Component, PatternModel, Series, fit_batch

X = np.linspace(186.5, 197.5, 221)
LINES = {"BOB": 192.0, "TMOB": 191.1}
ETCH_TIME_S = np.array([0.0, 10.0, 20.0, 30.0, 40.0, 50.0])
FRACTION = np.array([0.0, 0.15, 0.30, 0.30, 0.30, 0.30])
BORON = (0.04 + 0.16 * np.exp(-ETCH_TIME_S / 35.0)) / 0.20  # boron signal over that of the surface
REFERENCE_SIGMA = 0.005


@dataclass(frozen=True)
class Drawn:
    """Simulated profiles: counts (G, L, n) and measured shifts (G, L)."""

    counts: FloatArray
    shifts: FloatArray


def simulate(height: float, fraction: FloatArray, profiles: int) -> Drawn:
    """Draw profiles; `height` is that of the whole line at the surface in counts above the background."""
    area = height / pseudo_voigt(np.zeros(1), 0.0, FWHM, MIXING)[0]
    rows = []
    for share, shift, boron in zip(fraction, SHIFTS, BORON, strict=True):
        row = BASELINE * height + 0.005 * height * (X - 192.0)
        for part, centre in zip((1.0 - share, share), LINES.values(), strict=True):
            place = centre + shift
            line = pseudo_voigt(X, place, FWHM, MIXING) + STEP * running_integral(X, place, FWHM, MIXING)
            row = row + area * boron * part * line
        rows.append(row)
    rng = np.random.default_rng([3, int(height), int(1000 * fraction.sum())])
    counts = rng.poisson(np.array(rows), size=(profiles, len(rows), X.size)).astype(float)
    return Drawn(counts, rng.normal(SHIFTS, REFERENCE_SIGMA, size=(profiles, len(rows))))


def declared(lines: tuple[str, ...]) -> tuple[PatternModel, lmfit.Parameters]:
    """Return a model of the lines with width and mixing tied."""
    model = PatternModel([Component(n) for n in lines], polynomial=1, active="shirley")
    parameters = model.make_parameters()
    parameters["BOB_center"].set(value=191.9, min=191.5, max=192.6)
    parameters["BOB_fwhm"].set(value=1.4, min=0.8, max=2.5)
    parameters["BOB_mixing"].set(value=0.3, min=0.0, max=1.0)
    for name in lines[1:]:
        parameters[f"{name}_center"].set(value=191.0, min=190.4, max=191.5)
        parameters[f"{name}_fwhm"].set(expr="BOB_fwhm")
        parameters[f"{name}_mixing"].set(expr="BOB_mixing")
    return model, parameters


def fit_jointly(drawn: Drawn, lines: tuple[str, ...]) -> BatchFit:
    """Fit every profile jointly over its levels."""
    model, parameters = declared(lines)
    parameters["shift"].set(value=0.0, vary=True, min=-1.0, max=1.0)
    series = Series(X, drawn.counts, priors={"shift": (drawn.shifts, REFERENCE_SIGMA)})
    return fit_batch(model, parameters, series, scopes={"shift": "per_pattern"})


def fit_levels(drawn: Drawn, lines: tuple[str, ...]) -> BatchFit:
    """Fit every level of every profile by itself."""
    model, parameters = declared(lines)
    return fit_batch(model, parameters, Series(X, drawn.counts.reshape(-1, 1, X.size)))


def fractions(batch: BatchFit, shape: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """Return the TM-O-B fraction and its error, each of shape (G, L)."""
    pairs = [batch[g].fractions(["BOB_area", "TMOB_area"]) for g in range(len(batch))]
    value = np.array([f[1] for f, _ in pairs])
    sigma = np.array([np.sqrt(np.diag(c[1, :, 1, :])) for _, c in pairs])
    return value.reshape(shape), sigma.reshape(shape)


def preferred(two: BatchFit, one: BatchFit) -> FloatArray:
    """Return in which fits BIC prefers two lines."""
    return np.array([a.bic < b.bic for a, b in ((two[g], one[g]) for g in range(len(two)))])


def report(height: float, profiles: int) -> None:
    """Print one table."""
    drawn = simulate(height, FRACTION, profiles)
    joint, single = fit_jointly(drawn, ("BOB", "TMOB")), fit_levels(drawn, ("BOB", "TMOB"))
    shape = drawn.shifts.shape
    (value_j, sigma_j), (value_s, sigma_s) = fractions(joint, shape), fractions(single, shape)
    joint_one, single_one = fit_jointly(drawn, ("BOB",)), fit_levels(drawn, ("BOB",))
    found_s = preferred(single, single_one).reshape(shape).mean(axis=0)
    found_j = preferred(joint, joint_one).mean()
    print(f"\n{height:g} counts, {profiles} profiles; errors of the TM-O-B fraction in percentage points")
    print("level  truth   joint: stated  rms   level by level: stated   rms   ratio of stated   BIC finds it alone")
    for k, truth in enumerate(FRACTION):
        stated_j, stated_s = 100 * np.median(sigma_j[:, k]), 100 * np.median(sigma_s[:, k])
        rms_j, rms_s = (100 * np.sqrt(((v[:, k] - truth) ** 2).mean()) for v in (value_j, value_s))
        print(
            f"{k:5d}  {100 * truth:4.0f} %  {stated_j:13.2f} {rms_j:5.2f} {stated_s:23.2f} {rms_s:6.2f}"
            f" {stated_s / stated_j:16.1f} x {100 * found_s[k]:17.0f} %"
        )
    null = simulate(height, np.zeros_like(FRACTION), profiles)
    false_j = preferred(fit_jointly(null, ("BOB", "TMOB")), fit_jointly(null, ("BOB",))).mean()
    false_s = preferred(fit_levels(null, ("BOB", "TMOB")), fit_levels(null, ("BOB",))).mean()
    print(
        f"BIC finds TM-O-B: jointly {100 * found_j:.0f} %, level by level {100 * found_s.mean():.0f} %;"
        f" where there is none: jointly {100 * false_j:.1f} %, level by level {100 * false_s:.1f} %"
    )
    good = min(float(joint.converged.mean()), float(single.converged.mean()))
    print(f"converged: at least {100 * good:.1f} %")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profiles", type=int, default=100)
    options = parser.parse_args()
    for height in (5000.0, 300.0):
        report(height, options.profiles)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
