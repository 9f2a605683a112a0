"""Feldman-Cousins intervals: the published table, a brute-force construction, and coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from layerscope.errors import DataError
from layerscope.fitting.limits import feldman_cousins

# Feldman & Cousins 1998, Table X: measured mean x0, then the interval at 68.27, 90, 95 and 99 %.
TABLE = {
    -3.0: ((0.00, 0.04), (0.00, 0.26), (0.00, 0.42), (0.00, 0.80)),
    -1.0: ((0.00, 0.27), (0.00, 0.81), (0.00, 1.10), (0.00, 1.68)),
    0.0: ((0.00, 1.00), (0.00, 1.64), (0.00, 1.96), (0.00, 2.58)),
    1.0: ((0.24, 2.00), (0.00, 2.64), (0.00, 2.96), (0.00, 3.58)),
    2.0: ((1.00, 3.00), (0.58, 3.64), (0.35, 3.96), (0.00, 4.58)),
    3.0: ((2.00, 4.00), (1.37, 4.64), (1.14, 4.96), (0.67, 5.58)),
}


def by_brute_force(x0: float, confidence: float) -> tuple[float, float]:
    """Build the belt as the paper describes it: rank x by the likelihood ratio until the coverage is reached."""
    x = np.linspace(-12.0, 14.0, 26001)
    accepted = []
    for mu in np.arange(0.0, 7.0, 0.01):
        density = norm.pdf(x, mu)
        order = np.argsort(-density / norm.pdf(x, np.maximum(x, 0.0)), kind="stable")
        kept = order[: np.searchsorted(np.cumsum(density[order]) * (x[1] - x[0]), confidence) + 1]
        if x[kept].min() <= x0 <= x[kept].max():
            accepted.append(mu)
    return accepted[0], accepted[-1]


@pytest.mark.parametrize("x0", TABLE)
def test_intervals_are_those_of_the_published_table(x0: float) -> None:
    for confidence, expected in zip((0.6827, 0.90, 0.95, 0.99), TABLE[x0], strict=True):
        interval = feldman_cousins(x0, 1.0, confidence)
        # the table prints two decimals; 1.645 is printed as 1.64
        assert (float(interval.low), float(interval.high)) == pytest.approx(expected, abs=0.0061)


@pytest.mark.parametrize(("x0", "confidence"), [(-0.7, 0.9), (0.4, 0.6827), (1.5, 0.9), (2.4, 0.95)])
def test_closed_form_agrees_with_the_ranked_construction_on_a_grid(x0: float, confidence: float) -> None:
    low, high = by_brute_force(x0, confidence)
    interval = feldman_cousins(x0, 1.0, confidence)
    assert float(interval.low) == pytest.approx(low, abs=0.012)
    assert float(interval.high) == pytest.approx(high, abs=0.012)


@pytest.mark.parametrize("confidence", [0.6827, 0.90, 0.95])
@pytest.mark.parametrize("truth", [0.0, 0.3, 1.0, 2.2, 4.0])
def test_coverage_is_the_stated_one_at_and_off_the_bound(truth: float, confidence: float) -> None:
    draws = 20_000
    estimates = np.random.default_rng(11).normal(truth, 1.0, draws)
    interval = feldman_cousins(estimates, 1.0, confidence)
    covered = np.mean((interval.low <= truth) & (truth <= interval.high))
    assert covered == pytest.approx(confidence, abs=4.0 * np.sqrt(confidence * (1 - confidence) / draws))


def test_interval_scales_with_sigma_and_keeps_the_shape() -> None:
    values = np.array([[-0.01, 0.02], [0.05, 0.001]])
    unit = feldman_cousins(values / 0.02, 1.0, 0.95)
    scaled = feldman_cousins(values, 0.02, 0.95)
    assert scaled.high.shape == (2, 2)
    np.testing.assert_allclose(scaled.high, 0.02 * unit.high, rtol=1e-12)
    np.testing.assert_allclose(scaled.low, 0.02 * unit.low, rtol=1e-12)


def test_far_from_the_bound_the_interval_is_the_usual_one() -> None:
    interval = feldman_cousins(10.0, 0.5, 0.6826894921370859)
    assert float(interval.low) == pytest.approx(9.5)
    assert float(interval.high) == pytest.approx(10.5)
    assert not interval.one_sided


def test_upper_limit_never_falls_when_the_estimate_rises() -> None:
    limits = feldman_cousins(np.linspace(-7.5, 7.5, 400), 1.0, 0.9).high
    assert np.all(np.diff(limits) > 0.0)
    assert np.all(limits > 0.0)


@pytest.mark.parametrize(
    ("value", "sigma", "confidence", "words"),
    [
        (np.nan, 1.0, 0.95, "not finite"),
        (1.0, 0.0, 0.95, "must be positive"),
        (1.0, np.inf, 0.95, "not finite"),
        (1.0, 1.0, 95.0, "confidence"),
    ],
)
def test_a_meaningless_estimate_is_refused_with_its_reason(
    value: float, sigma: float, confidence: float, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        feldman_cousins(value, sigma, confidence)


def test_an_estimate_far_below_zero_costs_its_own_limit_and_no_other() -> None:
    interval = feldman_cousins([-72.0, -8.5, 0.0, 3.0], 1.0, 0.95)
    assert np.isnan(interval.high).tolist() == [True, True, False, False]
    alone = feldman_cousins([0.0, 3.0], 1.0, 0.95)
    np.testing.assert_array_equal(interval.high[2:], alone.high)
    np.testing.assert_array_equal(interval.low, [0.0, 0.0, *alone.low])
