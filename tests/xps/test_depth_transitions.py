"""Transitions between two levels, smooth ones, and profiles that no model describes."""

from __future__ import annotations

import numpy as np
import pytest
from layerscope.spectra.xps.depth import DepthProfileFit, fit_depth_profile
from scipy.special import ndtr

FINE = np.linspace(0.0, 100.0, 21)
TEN = np.arange(0.0, 300.0, 30.0)


def two_levels(time: np.ndarray, first: float, second: float, start: float, end: float) -> np.ndarray:
    return start + (end - start) * np.clip((time - first) / (second - first), 0.0, 1.0)


def edge(time: np.ndarray) -> np.ndarray:
    # half at 100 s, standard deviation 140 / 3 s: so from 16 to 84 % in twice that
    return 0.12 + 0.73 * ndtr((100.0 - time) * 3.0 / 140.0)


def stated(fit: DepthProfileFit) -> set[str]:
    names = ["onset", "rise_start", "saturation", "fall", "gone", "settled", "half_time", "edge_width", "decay_time"]
    return {name for name in names if getattr(fit, name) is not None}


def test_a_fall_to_a_level_above_zero_settles_and_is_never_gone() -> None:
    fit = fit_depth_profile(FINE, two_levels(FINE, 22.0, 57.0, 0.73, 0.12), np.full(21, 0.005))
    assert fit.model == "two_level_fall"
    assert stated(fit) == {"fall", "settled"}
    assert fit.fall is not None
    assert fit.settled is not None
    assert fit.fall.value == pytest.approx(22.0, abs=0.2)
    assert fit.settled.value == pytest.approx(57.0, abs=0.2)
    assert (fit.surface_level, fit.deep_level) == (pytest.approx(0.73, abs=1e-3), pytest.approx(0.12, abs=1e-3))
    assert fit.level == fit.deep_level
    assert fit.rising is False
    assert {"PRESENT_FROM_START", "NEVER_GONE"} <= set(fit.flags)


def test_a_rise_from_a_level_above_zero_has_a_start_but_no_onset() -> None:
    fit = fit_depth_profile(FINE, two_levels(FINE, 22.0, 57.0, 0.2, 0.6), np.full(21, 0.005))
    assert fit.model == "two_level_rise"
    assert stated(fit) == {"rise_start", "saturation"}
    assert fit.rise_start is not None
    assert fit.rise_start.value == pytest.approx(22.0, abs=0.3)
    assert fit.rising is True
    assert "PRESENT_FROM_START" in fit.flags


def test_levels_of_a_step_that_is_clear_have_the_error_of_their_means() -> None:
    fit = fit_depth_profile(FINE, np.where(FINE < 48.0, 0.7, 0.1), np.full(21, 0.01))
    assert fit.model == "two_level_fall"
    assert fit.surface_level_sigma == pytest.approx(0.01 / np.sqrt(10), rel=0.15)
    assert fit.deep_level_sigma == pytest.approx(0.01 / np.sqrt(11), rel=0.15)


def test_a_smooth_edge_gives_half_time_and_width_and_no_kinks() -> None:
    values = edge(TEN) + np.random.default_rng(4).normal(0.0, 0.001, 10)
    fit = fit_depth_profile(TEN, values, np.full(10, 0.001))
    assert fit.model == "two_level_edge_fall"
    assert stated(fit) == {"half_time", "edge_width"}
    assert fit.half_time is not None
    assert fit.edge_width is not None
    for point, truth in ((fit.half_time, 100.0), (fit.edge_width, 280.0 / 3.0)):
        assert point.low_95 is not None
        assert point.high_95 is not None
        assert point.low_95 < truth < point.high_95
        assert point.high_95 - point.low_95 < 3.0
    assert fit.inflation == 1.0


def test_a_sharp_edge_has_an_upper_bound_on_its_width_only() -> None:
    fit = fit_depth_profile(TEN, np.where(TEN < 100.0, 0.85, 0.12) + 1e-4 * (-1.0) ** np.arange(10), np.full(10, 0.001))
    assert fit.model == "two_level_fall"  # it says the same as the edge, and no more than the levels do
    assert fit.fall is not None
    assert fit.settled is not None
    assert fit.fall.low_68 == pytest.approx(90.0, abs=0.5)
    assert fit.settled.high_68 == pytest.approx(120.0, abs=0.5)


def test_exponentials_give_their_decay_time_and_the_level_they_reach() -> None:
    decay = fit_depth_profile(TEN, 0.45 * np.exp(-TEN / 100.0), np.full(10, 0.003))
    assert decay.model == "decay"
    assert decay.decay_time is not None
    assert decay.decay_time.value == pytest.approx(100.0, abs=0.5)
    assert decay.level is None
    approach = fit_depth_profile(TEN, 0.85 - 0.3 * np.exp(-TEN / 60.0), np.full(10, 0.003))
    assert approach.model == "approach_rise"
    assert approach.decay_time is not None
    assert approach.decay_time.value == pytest.approx(60.0, abs=0.5)
    assert approach.deep_level == pytest.approx(0.85, abs=1e-3)
    assert approach.surface_level == pytest.approx(0.55, abs=1e-3)
    assert approach.onset is None


def test_errors_of_a_linear_parameter_agree_with_a_full_covariance() -> None:
    sigma = 0.003
    fit = fit_depth_profile(TEN, 0.85 - 0.3 * np.exp(-TEN / 60.0), np.full(10, sigma))
    decayed = np.exp(-TEN / 60.0)
    jacobian = np.stack([1.0 - decayed, decayed, -0.3 * decayed * TEN / 60.0**2]) / sigma
    end, start, tau = np.sqrt(np.diag(np.linalg.inv(jacobian @ jacobian.T)))
    assert fit.deep_level_sigma == pytest.approx(end, rel=0.05)
    assert fit.surface_level_sigma == pytest.approx(start, rel=0.05)
    assert fit.decay_time is not None
    assert fit.decay_time.low_68 is not None
    assert fit.decay_time.high_68 is not None
    # thresholds come from simulation and are not below those of the normal law
    assert tau * 0.98 < 0.5 * (fit.decay_time.high_68 - fit.decay_time.low_68) < tau * 1.25


def test_a_misfit_widens_the_intervals_and_is_flagged() -> None:
    noise = np.random.default_rng(8).normal(0.0, 0.02, 21)
    values = two_levels(FINE, 22.0, 57.0, 0.73, 0.12) + noise
    honest, proud = (fit_depth_profile(FINE, values, np.full(21, sigma)) for sigma in (0.02, 0.005))
    assert honest.inflation == 1.0
    assert proud.model == honest.model == "two_level_fall"
    assert proud.inflation == pytest.approx(16.0 * honest.chi2 / honest.dof, rel=0.01)
    assert [f for f in proud.flags if f.startswith("POOR_PROFILE_MODEL:")]
    assert proud.fall is not None
    assert honest.fall is not None
    widths = [f.high_68 - f.low_68 for f in (proud.fall, honest.fall) if f.high_68 and f.low_68]
    # errors four times too small, set right by the misfit: the same width, up to the spread of the misfit itself
    assert widths[0] == pytest.approx(widths[1], rel=0.35)
    by_name = {a.name: a for a in proud.alternatives}
    least = min(a.chi2 / (21 - (a.n_free or 0)) for a in proud.alternatives if a.chi2 is not None)
    bics = [by_name[name] for name in ("constant", "two_level_fall")]
    difference = (bics[0].chi2 - bics[1].chi2) / least - 3.0 * np.log(21)  # type: ignore[operator]
    assert bics[0].bic - bics[1].bic == pytest.approx(difference)  # type: ignore[operator]


def test_times_of_a_gross_misfit_are_not_stated() -> None:
    values = 0.4 + 0.3 * (-1.0) ** np.arange(10) * (TEN < 280.0)
    fit = fit_depth_profile(TEN, values, np.full(10, 0.001))
    assert stated(fit) == set()
    flag = next(f for f in fit.flags if f.startswith("POOR_PROFILE_MODEL:"))
    assert float(flag.split(":")[1]) > 25.0


def test_levels_with_huge_errors_change_nothing() -> None:
    values, sigma = 0.45 * np.exp(-TEN / 100.0), np.full(10, 0.003)
    values[7:], sigma[7:] = (40.0, -1.2e4, 900.0), (1e3, 1e6, 1e9)
    rng = np.random.default_rng(3)
    mixing = np.eye(10) + 0.05 * rng.normal(size=(10, 10))
    correlation = mixing @ mixing.T
    scale = sigma / np.sqrt(np.diag(correlation))
    for covariance in (sigma, correlation * np.outer(scale, scale)):
        fit = fit_depth_profile(TEN, values, covariance)
        assert fit.decay_time is not None
        assert fit.decay_time.value == pytest.approx(100.0, abs=3.0)
        assert np.isfinite(fit.curve).all()


def test_a_mean_far_below_zero_is_flagged_and_has_no_limit() -> None:
    fit = fit_depth_profile(FINE, np.full(21, -0.05), np.full(21, 0.01))
    assert fit.upper_limit is None
    assert "NEGATIVE_FRACTION" in fit.flags


def test_intervals_of_a_smooth_edge_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(99)
    runs, hits = 120, np.zeros(2)
    for _ in range(runs):
        fit = fit_depth_profile(TEN, edge(TEN) + rng.normal(0.0, 0.005, 10), np.full(10, 0.005))
        point = fit.half_time
        assert point is not None
        hits += (
            point.low_68 is not None and point.high_68 is not None and point.low_68 <= 100.0 <= point.high_68,
            point.low_95 is not None and point.high_95 is not None and point.low_95 <= 100.0 <= point.high_95,
        )
    # three standard errors of the simulation: 0.128 and 0.060
    assert np.all(np.abs(hits / runs - (0.683, 0.95)) < (0.128, 0.06)), hits / runs
