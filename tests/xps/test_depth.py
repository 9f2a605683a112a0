"""Change-point models of a species' fraction against etch time."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from layerscope.spectra.xps.depth import ChangePoint, fit_depth_profile, shapes
from layerscope.spectra.xps.depth.intervals import Levels, describe
from layerscope.spectra.xps.depth.models import Optimum, coarse, optimum
from layerscope.spectra.xps.depth.shapes import SPECS, Data
from layerscope.spectra.xps.depth.zoom import zoom
from scipy.optimize import minimize

from layerscope.errors import DataError
from layerscope.fitting.covariance import LevelCovariance
from layerscope.fitting.limits import feldman_cousins

TIMES = np.linspace(0.0, 100.0, 21)


def ramp(time: np.ndarray, first: float, second: float, plateau: float) -> np.ndarray:
    return plateau * np.clip((time - first) / (second - first), 0.0, 1.0)


def ramp_data(time: np.ndarray, values: np.ndarray, sigma: float | np.ndarray) -> Data:
    covariance = np.diag(np.full(time.size, sigma) ** 2) if np.ndim(sigma) == 0 else np.asarray(sigma)
    return Data.of(time, values, covariance)


def fit_ramp(data: Data, key: str = "ramp_up") -> tuple[Optimum, Levels]:
    """The ramp alone, whatever the other models say: its best fit and its intervals."""
    best = optimum(data, SPECS[key], coarse(data, "ramp"))
    return best, describe(data, key, best, {}, 1.0, (1.0, 3.841458820694124))


def contains(low: float | None, high: float | None, truth: float) -> bool:
    return (low is None or low <= truth) and (high is None or truth <= high)


def naive_chi2(values: np.ndarray, sigma: float, first: float, second: float) -> float:
    shape = ramp(TIMES, first, second, 1.0)
    plateau = max(float(shape @ values) / float(shape @ shape), 0.0)
    return float(np.sum((values - plateau * shape) ** 2)) / sigma**2


def test_noise_free_ramp_gives_its_kinks_and_its_plateau_back() -> None:
    best, fit = fit_ramp(ramp_data(TIMES, ramp(TIMES, 22.0, 57.0, 0.4), 0.005))
    assert fit.first.value == pytest.approx(22.0, abs=0.1)
    assert fit.second.value == pytest.approx(57.0, abs=0.1)
    assert fit.end == pytest.approx(0.4, abs=1e-3)
    assert best.chi2 < 0.01


def test_optimum_and_interval_agree_with_a_general_minimiser() -> None:
    sigma = 0.03
    values = ramp(TIMES, 22.0, 57.0, 0.4) + np.random.default_rng(6).normal(0.0, sigma, 21)
    data = ramp_data(TIMES, values, sigma)
    optimal, fit = fit_ramp(data)
    raised = zoom(data, SPECS["ramp_up"], optimal, 8.0).bartlett[0]  # thresholds over those of the normal law

    def lowest(fixed: float | None) -> float:
        starts = [(10.0, 50.0), (20.0, 55.0), (25.0, 60.0), (30.0, 70.0), (22.0, 40.0)]
        if fixed is None:
            runs = [minimize(lambda p: naive_chi2(values, sigma, p[0], p[1]), s, method="Nelder-Mead") for s in starts]
        else:
            runs = [
                minimize(lambda p: naive_chi2(values, sigma, fixed, p[0]), s[1:], method="Nelder-Mead") for s in starts
            ]
        return min(float(run.fun) for run in runs)

    best = lowest(None)
    assert optimal.chi2 == pytest.approx(best, abs=0.005)
    rises = raised[0], raised[0], 3.84 * raised[1]
    for end, rise in zip((fit.first.low_68, fit.first.high_68, fit.first.high_95), rises, strict=True):
        assert end is not None
        assert lowest(end) - best == pytest.approx(rise, abs=0.08)


def test_intervals_cover_the_true_kinks_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2024)
    runs, hits = 200, np.zeros((2, 2))
    for _ in range(runs):
        values = ramp(TIMES, 22.0, 57.0, 0.4) + rng.normal(0.0, 0.03, 21)
        _, fit = fit_ramp(ramp_data(TIMES, values, 0.03))
        for row, (point, truth) in enumerate(((fit.first, 22.0), (fit.second, 57.0))):
            hits[row] += contains(point.low_68, point.high_68, truth), contains(point.low_95, point.high_95, truth)
    coverage = hits / runs
    # three standard errors of the simulation: 0.099 and 0.046
    assert np.all(np.abs(coverage[:, 0] - 0.683) < 0.099), coverage
    assert np.all(np.abs(coverage[:, 1] - 0.95) < 0.046), coverage


def test_a_step_between_two_levels_is_located_between_them_and_no_better() -> None:
    values = np.where(TIMES > 42.0, 0.3, 0.0)
    _, fit = fit_ramp(ramp_data(TIMES, values, 0.002))
    for point in (fit.first, fit.second):
        assert point.value is not None
        assert 40.0 <= point.value <= 45.0
    assert fit.first.low_68 == pytest.approx(40.0, abs=0.2)
    assert fit.second.high_68 == pytest.approx(45.0, abs=0.2)


def test_six_levels_of_the_reference_case_hold_the_truth_in_their_intervals() -> None:
    # with one level inside the ramp, onset and saturation are known to one side only: that must be said, not hidden
    times = np.arange(0.0, 60.0, 10.0)
    fit = fit_depth_profile(times, ramp(times, 0.0, 20.0, 0.4), np.full(6, 0.02))
    assert fit.model == "ramp_up"
    assert fit.onset is not None
    assert fit.saturation is not None
    assert contains(fit.onset.low_95, fit.onset.high_95, 0.0)
    assert contains(fit.saturation.low_95, fit.saturation.high_95, 20.0)
    assert fit.saturation.high_95 is not None
    assert fit.saturation.high_95 < 26.0
    assert "ONSET_OPEN" in fit.flags
    assert "PRESENT_FROM_START" not in fit.flags
    assert fit.level == pytest.approx(0.4, abs=0.01)


def test_a_species_there_from_the_start_has_no_onset() -> None:
    fit = fit_depth_profile(TIMES, 0.2 + ramp(TIMES, 0.0, 50.0, 0.3), np.full(21, 0.01))
    assert fit.model == "ramp_up"
    assert fit.onset is None  # it never appears within the profile
    assert fit.rise_start == ChangePoint(None, None, 0.0, None, 0.0)
    assert "PRESENT_FROM_START" in fit.flags
    assert fit.saturation is not None
    assert fit.saturation.value == pytest.approx(50.0, abs=1.0)


def test_a_species_that_still_grows_at_the_end_has_an_open_saturation() -> None:
    fit = fit_depth_profile(TIMES, ramp(TIMES, 60.0, 140.0, 0.8), np.full(21, 0.01))
    assert fit.saturation is not None
    assert fit.onset is not None
    assert (fit.saturation.high_68, fit.saturation.high_95) == (None, None)
    assert "NEVER_SATURATES" in fit.flags
    assert fit.onset.value == pytest.approx(60.0, abs=1.0)


def test_a_falling_species_is_gone_at_its_time() -> None:
    values = 0.5 - ramp(TIMES, 10.0, 65.0, 0.5)
    fit = fit_depth_profile(TIMES, values, np.full(21, 0.01))
    assert fit.model == "ramp_down"
    assert fit.fall is not None
    assert fit.gone is not None
    assert fit.fall.value == pytest.approx(10.0, abs=1.0)
    assert fit.gone.value == pytest.approx(65.0, abs=1.0)
    assert fit.level == pytest.approx(0.5, abs=0.01)
    assert fit.onset is None
    np.testing.assert_allclose(fit.curve, values, atol=0.01)


def test_falling_is_rising_backwards_in_time() -> None:
    values = ramp(TIMES, 22.0, 57.0, 0.4) + np.random.default_rng(9).normal(0.0, 0.02, 21)
    covariance = 0.02**2 * (np.eye(21) + 0.2 * (np.eye(21, k=1) + np.eye(21, k=-1)))
    best_up, up = fit_ramp(ramp_data(TIMES, values, covariance))
    best_down, down = fit_ramp(ramp_data(TIMES, values[::-1], covariance), "ramp_down")
    assert best_down.chi2 == pytest.approx(best_up.chi2, abs=0.01)
    assert up.first.value is not None
    assert down.second.value == pytest.approx(100.0 - up.first.value, abs=0.3)
    assert up.second.low_95 is not None
    assert down.first.high_95 == pytest.approx(100.0 - up.second.low_95, abs=0.3)


def test_a_species_that_is_not_there_gets_an_upper_limit_never_zero() -> None:
    values = np.random.default_rng(12).normal(0.0, 0.02, 21)
    fit = fit_depth_profile(TIMES, values, np.full(21, 0.02), confidence=0.9)
    assert fit.model == "absent"
    assert "NOT_DETECTED" in fit.flags
    assert fit.mean == pytest.approx(values.mean())
    assert fit.mean_sigma == pytest.approx(0.02 / np.sqrt(21))
    assert fit.upper_limit == pytest.approx(float(feldman_cousins(values.mean(), 0.02 / np.sqrt(21), 0.9).high))
    assert fit.level is None


def test_a_constant_and_a_line_are_recognised() -> None:
    rng = np.random.default_rng(30)
    constant = fit_depth_profile(TIMES, 0.3 + rng.normal(0.0, 0.02, 21), np.full(21, 0.02))
    assert constant.model == "constant"
    assert constant.level == pytest.approx(0.3, abs=0.02)
    assert constant.level_sigma == pytest.approx(0.02 / np.sqrt(21))
    line = fit_depth_profile(TIMES, 0.2 + 0.003 * TIMES + rng.normal(0.0, 0.02, 21), np.full(21, 0.02))
    assert line.model == "linear"
    assert line.slope == pytest.approx(0.003, abs=0.0006)
    assert line.slope_sigma == pytest.approx(0.02 / np.sqrt(np.sum((TIMES - 50.0) ** 2)))
    assert {"PRESENT_FROM_START", "NEVER_SATURATES"} <= set(line.flags)


def test_false_alarms_are_rare_and_true_ramps_are_found() -> None:
    rng = np.random.default_rng(77)
    empty = [fit_depth_profile(TIMES, rng.normal(0.0, 0.03, 21), np.full(21, 0.03)).model for _ in range(40)]
    ramps = [
        fit_depth_profile(TIMES, ramp(TIMES, 22.0, 57.0, 0.4) + rng.normal(0.0, 0.03, 21), np.full(21, 0.03)).model
        for _ in range(25)
    ]
    assert empty.count("absent") >= 32
    assert not {"ramp_up", "linear"} & set(empty) or empty.count("ramp_up") + empty.count("linear") <= 2
    assert ramps.count("ramp_up") >= 23


def test_every_alternative_is_kept_with_its_bic() -> None:
    values = ramp(TIMES, 22.0, 57.0, 0.4) + np.random.default_rng(1).normal(0.0, 0.03, 21)
    fit = fit_depth_profile(TIMES, values, np.full(21, 0.03))
    by_name = {entry.name: entry for entry in fit.alternatives}
    assert set(by_name) == {
        "absent", "constant", "linear", "ramp_up", "ramp_down", "two_level_rise", "edge_up", "edge_down",
        "two_level_edge_rise", "decay", "approach_rise",
    }  # fmt: skip
    assert [name for name, entry in by_name.items() if entry.chosen] == [fit.model]
    assert by_name["absent"].chi2 == pytest.approx(np.sum((values / 0.03) ** 2))
    for entry in fit.alternatives:
        assert entry.bic == pytest.approx(entry.chi2 + (entry.n_free or 0) * np.log(21))
        assert entry.delta_bic >= 0.0


def test_correlated_levels_are_weighted_with_their_full_covariance() -> None:
    rng = np.random.default_rng(5)
    root = rng.normal(0.0, 0.01, (21, 21)) + 0.03 * np.eye(21)
    covariance = root @ root.T
    values = 0.3 + root @ rng.normal(size=21)
    fit = fit_depth_profile(TIMES, values, covariance)
    inverse, ones = np.linalg.inv(covariance), np.ones(21)
    variance = 1.0 / (ones @ inverse @ ones)
    assert fit.mean == pytest.approx(variance * (ones @ inverse @ values))
    assert fit.mean_sigma == pytest.approx(np.sqrt(variance))


def test_units_of_time_and_of_fraction_do_not_matter() -> None:
    values = ramp(TIMES, 22.0, 57.0, 0.4) + np.random.default_rng(14).normal(0.0, 0.03, 21)
    best, base = fit_ramp(ramp_data(TIMES, values, 0.03))
    best_scaled, scaled = fit_ramp(ramp_data(TIMES / 60.0, 100.0 * values, 3.0))
    assert base.first.value is not None
    assert scaled.first.value == pytest.approx(base.first.value / 60.0, rel=1e-6)
    assert scaled.end == pytest.approx(100.0 * base.end)
    assert best_scaled.chi2 == pytest.approx(best.chi2)


def test_same_input_gives_bit_identical_results() -> None:
    values = ramp(TIMES, 22.0, 57.0, 0.4) + np.random.default_rng(15).normal(0.0, 0.03, 21)
    first, second = (fit_ramp(ramp_data(TIMES, values, 0.03)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("time", "values", "covariance", "words"),
    [
        ([0.0, 1.0], [1.0, 1.0], [0.1, 0.1], "three levels"),
        ([0.0, 1.0, 1.0], [1.0, 1.0, 1.0], [0.1, 0.1, 0.1], "ascend"),
        ([0.0, 1.0, 2.0], [1.0, np.nan, 1.0], [0.1, 0.1, 0.1], "not finite"),
        ([0.0, 1.0, 2.0], [1.0, 1.0, 1.0], [0.1, 0.0, 0.1], "positive definite"),
        ([0.0, 1.0, 2.0], [1.0, 1.0], [0.1, 0.1, 0.1], "3 etch times"),
    ],
)
def test_unusable_profiles_are_refused(
    time: list[float], values: list[float], covariance: list[float], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        fit_depth_profile(time, values, covariance)


def test_many_levels_are_whitened_in_parts_as_by_their_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    time = np.arange(40.0)
    covariance = LevelCovariance(rng.normal(size=(40, 3)), np.diag([0.2, 0.1, 0.0]), rng.uniform(0.5, 2.0, 40))
    rows = rng.normal(size=(5, 40))
    whole = Data.of(time, rows[0], covariance)
    monkeypatch.setattr(shapes, "_MOST_IN_A_MATRIX", 10)
    parts = Data.of(time, rows[0], covariance)
    assert parts.whitener.ndim == 1
    np.testing.assert_allclose(parts.whiten(rows) @ parts.whiten(rows).T, whole.whiten(rows) @ whole.whiten(rows).T)
    np.testing.assert_allclose(parts.whiten(rows) @ parts.ones, whole.whiten(rows) @ whole.ones)
    np.testing.assert_allclose(parts.target @ parts.target, whole.target @ whole.target)


def test_the_course_of_a_thousand_levels_is_found_without_matrices_of_them() -> None:
    rng = np.random.default_rng(4)
    time = np.linspace(0.0, 100.0, 1000)
    common = LevelCovariance(np.ones((1000, 1)), np.array([[1e-6]]), np.full(1000, 0.03**2))
    drawn = 0.4 * np.clip((time - 22.0) / 35.0, 0.0, 1.0) + rng.normal(0.0, 0.03, 1000) + rng.normal(0.0, 1e-3)
    tracemalloc.start()
    fit = fit_depth_profile(time, drawn, common)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300e6
    for found, true in ((fit.onset, 22.0), (fit.saturation, 57.0)):
        assert found is not None
        assert found.low_95 < true < found.high_95
