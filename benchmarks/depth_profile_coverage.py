"""Measure how often the intervals of a depth profile hold the truth, and how long a profile takes.

    python benchmarks/depth_profile_coverage.py [--profiles 150]

Profiles are drawn from known transitions with normal errors and given to `fit_depth_profile`. Per case and time:
how often the 68.27 % and the 95 % interval hold the true value, among the profiles whose chosen model states that time;
how often the true model was chosen; and how often anything was found in profiles where there is nothing.
An open end (None) counts as reaching beyond the profile, as it says.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import numpy.typing as npt
from layerscope.spectra.xps.depth import ChangePoint, fit_depth_profile
from scipy.special import ndtr

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A true profile: what it is, its errors, and the times that should be found."""

    name: str
    model: str
    time: FloatArray
    curve: Callable[[FloatArray], FloatArray]
    sigma: float
    truth: dict[str, float]
    error_scale: float = 1.0  # true over stated error


def ramp(first: float, second: float, low: float, high: float) -> Callable[[FloatArray], FloatArray]:
    """Return a ramp between two levels."""
    return lambda t: low + (high - low) * np.clip((t - first) / (second - first), 0.0, 1.0)


FINE, COARSE = np.linspace(0.0, 100.0, 21), np.arange(0.0, 60.0, 10.0)
CASES = (
    Case("ramp, 21", "ramp_up", FINE, ramp(22.0, 57.0, 0.0, 0.4), 0.03, {"onset": 22.0, "saturation": 57.0}),
    Case("ramp, 21, weak", "ramp_up", FINE, ramp(22.0, 57.0, 0.0, 0.4), 0.06, {"onset": 22.0, "saturation": 57.0}),
    Case("ramp, 6", "ramp_up", COARSE, ramp(8.0, 32.0, 0.0, 0.3), 0.02, {"onset": 8.0, "saturation": 32.0}),
    Case("li_rich, 6", "ramp_up", COARSE, ramp(0.0, 20.0, 0.0, 0.3), 0.02, {"onset": 0.0, "saturation": 20.0}),
    Case("two levels, 21", "two_level_fall", FINE, ramp(22.0, 57.0, 0.73, 0.12), 0.02, {"fall": 22.0, "settled": 57.0}),
    Case(
        "edge, 10",
        "two_level_edge_fall",
        np.arange(0.0, 300.0, 30.0),
        lambda t: 0.12 + 0.73 * ndtr((100.0 - t) / 47.0),
        0.01,
        {"half_time": 100.0, "edge_width": 94.0},
    ),
    Case(
        "edge, 10, errors x 4",
        "two_level_edge_fall",
        np.arange(0.0, 300.0, 30.0),
        lambda t: 0.12 + 0.73 * ndtr((100.0 - t) / 47.0),
        0.0025,
        {"half_time": 100.0, "edge_width": 94.0},
        4.0,
    ),
    Case(
        "decay, 10",
        "decay",
        np.arange(0.0, 300.0, 30.0),
        lambda t: 0.45 * np.exp(-t / 100.0),
        0.01,
        {"decay_time": 100.0},
    ),
    Case("approach, 6", "approach_rise", COARSE, lambda t: 0.75 - 0.45 * np.exp(-t / 15.0), 0.01, {"decay_time": 15.0}),
    Case("nothing, 21", "absent", FINE, lambda t: 0.0 * t, 0.03, {}),
    Case("nothing, 6", "absent", COARSE, lambda t: 0.0 * t, 0.03, {}),
    Case("constant, 10", "constant", np.arange(0.0, 300.0, 30.0), lambda t: 0.3 + 0.0 * t, 0.03, {}),
)


def contains(point: ChangePoint, truth: float) -> tuple[bool, bool]:
    """Whether the 68 % and the 95 % interval hold the truth; open ends reach beyond the profile."""

    def within(low: float | None, high: float | None) -> bool:
        return (low is None or low <= truth) and (high is None or truth <= high)

    return within(point.low_68, point.high_68), within(point.low_95, point.high_95)


def run(case: Case, profiles: int) -> None:
    """Draw, fit, print one case."""
    rng = np.random.default_rng([11, case.time.size, int(1e4 * case.sigma)])
    sigma, truth = np.full(case.time.size, case.sigma), case.curve(case.time)
    drawn = truth + case.error_scale * case.sigma * rng.standard_normal((profiles, case.time.size))
    begin = perf_counter()
    fits = [fit_depth_profile(case.time, values, sigma) for values in drawn]
    cost = 1e3 * (perf_counter() - begin) / profiles
    models = Counter(fit.model for fit in fits)
    shares = ", ".join(f"{name} {100 * count / profiles:.0f} %" for name, count in models.most_common(4))
    print(f"{case.name:22s} {cost:4.0f} ms   {shares}")
    for name, value in case.truth.items():
        hits = [contains(p, value) for fit in fits if (p := getattr(fit, name)) is not None]
        report(f"  {name}, chosen model", hits)


def report(label: str, hits: list[tuple[bool, bool]]) -> None:
    """Print a line of coverages with their standard error."""
    if hits:
        share = np.mean(np.array(hits), axis=0)
        error = np.sqrt(share * (1.0 - share) / len(hits))
        print(
            f"{label:34s} {len(hits):5d}   68 %: {share[0]:.3f}({error[0]:.3f})   95 %: {share[1]:.3f}({error[1]:.3f})"
        )


def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profiles", type=int, default=150, help="profiles per case")
    profiles = parser.parse_args().profiles
    for case in CASES:
        run(case, profiles)


if __name__ == "__main__":
    main()
