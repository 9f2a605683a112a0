"""Are the errors honest? Simulated depth profiles against the Cramér-Rao bound, with the coverage of the intervals.

    python benchmarks/cramer_rao.py [--seeds 200] [--heights 300 1000 5000]

Every series is a six-level B 1s profile of three overlapping lines, fitted jointly with default settings. A level has
a shift of its own, which a charge reference (C 1s) has also measured, as in the pipeline. The bound comes from the
Fisher information at the truth (numerical derivatives of the expected counts, `b1s.py`), not from the engine. Printed
by class of parameter, each with the standard deviation of the figure itself (bootstrap over seeds):

    rms/bound   root mean square error over the bound           wanted: <= 1.15
    68 %, 95 %  share of truths inside value +- z sigma         wanted: 64-72, 93-97
    pull        mean of (value - truth)/sigma                    wanted: +-0.1

A figure out of range by less than twice its own spread is marked ``?`` and decided by more seeds. A further block has
an area whose truth lies at its bound, zero: value and sigma of the unbounded estimate go into the unified interval of
Feldman and Cousins, whose coverage is printed, next to what cutting the estimate at zero would give.

Last, for information, B 1s without a charge reference: the shift of a level and the share of TM-O-B then imitate each
other along a curved valley, and at 300 counts no error from a local covariance describes it (the maximum-likelihood
estimate itself misses the bound).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
from b1s import NAMES, SHARES, SHIFTS, FloatArray, Profile, cramer_rao, flatten, fraction_covariance

from layerscope.fitting import BatchFit, Component, PatternModel, Series, fit_batch
from layerscope.fitting.limits import feldman_cousins

CLASSES = {
    "areas": ("BOB_area", "TMOB_area", "BF_area"),
    "fractions": ("fractions",),
    "positions": ("shift", "TMOB_center", "BF_center"),
    "widths": ("BOB_fwhm", "BOB_mixing"),
    "background": ("background_0", "background_1", "step_height", "shirley_k"),
}
LEVELS = {"68": (1.0, 0.64, 0.72), "95": (1.959964, 0.93, 0.97)}
RMS_LIMIT, PULL_LIMIT = 1.15, 0.1


@dataclass(frozen=True)
class Estimates:
    """Errors of many simulated fits: (seeds, parameters), with the bound of each parameter."""

    names: list[str]
    deviation: FloatArray
    sigma: FloatArray
    bound: FloatArray


def fit(profile: Profile, drawn: tuple[FloatArray, FloatArray], *, nonnegative: bool = False) -> BatchFit:
    """Fit all simulated series as a user would."""
    active = "shirley" if profile.background == "active" else "none"
    model = PatternModel([Component(n) for n in NAMES], polynomial=1, active=active)
    parameters = model.make_parameters()
    parameters["BOB_center"].set(value=192.0, vary=False)
    parameters["TMOB_center"].set(value=191.0, min=190.0, max=191.7)
    parameters["BF_center"].set(value=193.1, min=192.5, max=194.5)
    parameters["BOB_fwhm"].set(value=1.3, min=0.5, max=3.0)
    parameters["BOB_mixing"].set(value=0.2, min=0.0, max=1.0)
    for name in NAMES[1:]:
        parameters[f"{name}_fwhm"].set(expr="BOB_fwhm")
        parameters[f"{name}_mixing"].set(expr="BOB_mixing")
    parameters["shift"].set(value=0.0, vary=True, min=-1.0, max=1.0)
    columns = {"step_height": profile.step_shape()} if profile.background == "static" else None
    counts, shifts = drawn
    priors = {"shift": (shifts, profile.reference_sigma)} if profile.charge_reference else None
    series = Series(profile.x, counts, columns=columns, priors=priors)
    return fit_batch(model, parameters, series, scopes={"shift": "per_pattern"}, nonnegative=nonnegative)


def estimates(profile: Profile, batch: BatchFit) -> Estimates:
    """Set values and errors of every parameter beside the truth and the bound."""
    truth = profile.truth
    vector, names = flatten(truth)
    covariance = cramer_rao(profile)
    take = {name: slice(None) if truth[name].size > 1 else slice(0, 1) for name in truth}
    value = np.concatenate([batch.value(n)[:, take[n]] for n in truth], axis=1)
    sigma = np.concatenate([batch.sigma(n)[:, take[n]] for n in truth], axis=1)
    areas = [f"{n}_area" for n in NAMES]
    found = [batch[g].fractions(areas) for g in range(len(batch))]
    shares = np.stack([truth[a] for a in areas])
    shares = (shares / shares.sum(axis=0)).ravel()
    k = shares.size
    value_f = np.array([f.ravel() for f, _ in found])
    sigma_f = np.sqrt(np.array([np.diag(c.reshape(k, k)) for _, c in found]))
    bound = np.sqrt(np.concatenate([np.diag(covariance), np.diag(fraction_covariance(profile, covariance))]))
    names += [f"fractions[{i}]" for i in range(k)]
    deviation = np.concatenate([value - vector, value_f - shares], axis=1)
    return Estimates(names, deviation, np.concatenate([sigma, sigma_f], axis=1), bound)


def figures(deviation: FloatArray, sigma: FloatArray, bound: FloatArray) -> FloatArray:
    """Return rms/bound, the two coverages and the mean pull of a class of parameters."""
    pull = deviation / sigma
    inside = [(np.abs(pull) <= z).mean() for z, _, _ in LEVELS.values()]
    return np.array([np.sqrt((deviation**2 / bound**2).mean()), *inside, pull.mean()])


def with_spread(e: Estimates, which: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return the figures of a class and their standard deviation by bootstrap over the seeds."""
    d, s, b = e.deviation[:, which], e.sigma[:, which], e.bound[which]
    draws = []
    for _ in range(60):
        pick = rng.integers(0, len(d), len(d))
        draws.append(figures(d[pick], s[pick], b))
    return figures(d, s, b), np.std(draws, axis=0)


def verdict(value: FloatArray, spread: FloatArray) -> tuple[bool, str]:
    """Return whether all figures are in range within twice their own spread, and which are out (``?``: by chance)."""
    limits = [(0.0, RMS_LIMIT), *(v[1:] for v in LEVELS.values()), (-PULL_LIMIT, PULL_LIMIT)]
    out, fine = [], True
    for name, v, s, (low, high) in zip(("rms", "68", "95", "pull"), value, spread, limits, strict=True):
        excess = max(low - v, v - high)
        if excess > 0:
            out.append(name if excess > 2 * s else f"{name}?")
            fine &= bool(excess <= 2 * s)
    return fine, "out: " + " ".join(out) if out else "ok"


def report(profile: Profile, seeds: int) -> bool:
    """Simulate, fit and print one block; return whether every class is in range."""
    started = time.perf_counter()
    batch = fit(profile, profile.draw(seeds))
    elapsed = time.perf_counter() - started
    e = estimates(profile, batch)
    free = "" if profile.charge_reference else ", no charge reference"
    print(
        f"\n{profile.background} background, {profile.height:g} counts{free}, {seeds} series:"
        f" {elapsed:.1f} s, converged {100 * batch.converged.mean():.1f} %, redchi {batch.redchi.mean():.4f}"
    )
    rng = np.random.default_rng(1)
    fine = True
    for label, members in CLASSES.items():
        which = np.array([i for i, n in enumerate(e.names) if n.split("[")[0] in members])
        value, spread = with_spread(e, which, rng)
        good, word = verdict(value, spread)
        fine &= good
        cells = [f"{value[0]:6.3f}({spread[0]:.3f})"]
        cells += [f"{100 * v:6.1f}({100 * s:.1f}) %" for v, s in zip(value[1:3], spread[1:3], strict=True)]
        print(
            f"  {label:11s} {len(which):3d} " + "  ".join([*cells, f"{value[3]:+.3f}({spread[3]:.3f})"]) + f"  {word}"
        )
    return fine


def report_zero(height: float, seeds: int) -> bool:
    """One area is truly zero: print the coverage of its intervals, and of all other parameters as before."""
    shares = SHARES.copy()
    shares[0, 1] = 0.0
    profile = Profile(height, "active", shares=shares)
    drawn = profile.draw(seeds)
    batch, cut = fit(profile, drawn), fit(profile, drawn, nonnegative=True)
    value, sigma = batch.value("TMOB_area")[:, 0], batch.sigma("TMOB_area")[:, 0]
    bounded = cut.value("TMOB_area")[:, 0]
    print(f"\nactive background, {height:g} counts, TM-O-B truly zero at the first level, {seeds} series")
    fine = True
    for confidence, (z, low, high) in zip((0.6827, 0.95), LEVELS.values(), strict=True):
        interval = feldman_cousins(value, sigma, confidence)
        covered = (interval.low <= 0.0).mean()
        spread = np.sqrt(covered * (1 - covered) / seeds)
        fine &= bool(low - 2 * spread <= covered <= high + 2 * spread)
        naive = (np.abs(bounded) <= z * cut.sigma("TMOB_area")[:, 0]).mean()
        print(
            f"  zero area: Feldman-Cousins {100 * confidence:.0f} % covers {100 * covered:.1f}({100 * spread:.1f}) %;"
            f" estimate cut at zero +- {z:.2f} sigma {100 * naive:.1f} %"
        )
    others = [i for i in range(len(NAMES) * len(SHIFTS)) if i != len(SHIFTS)]
    e = estimates(profile, batch)
    v, s = with_spread(e, np.array(others), np.random.default_rng(1))
    print(
        f"  other areas: rms/bound {v[0]:.3f}({s[0]:.3f}), 68 % {100 * v[1]:.1f}, 95 % {100 * v[2]:.1f},"
        f" pull {v[3]:+.3f}"
    )
    print(f"  held at zero when areas are bounded: {100 * (bounded <= 0).mean():.1f} % of the series (half expected)")
    return fine and verdict(v, s)[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--heights", type=float, nargs="+", default=[300.0, 1000.0, 5000.0])
    options = parser.parse_args()
    fine = [
        report(Profile(height, background), options.seeds)
        for background in ("linear", "static", "active")
        for height in options.heights
    ]
    fine += [report_zero(height, options.seeds) for height in options.heights]
    for height in options.heights:
        report(Profile(height, "active", charge_reference=False), options.seeds)
    print(f"\n{sum(fine)} of {len(fine)} blocks in range (those without a charge reference are not counted)")
    return 0 if all(fine) else 1


if __name__ == "__main__":
    raise SystemExit(main())
