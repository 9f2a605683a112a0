"""What a result says: fractions, curves, criteria and flags."""

from __future__ import annotations

import lmfit
import numpy as np
import pytest
from expression_model import ExpressionModel
from fit_oracles import NAMES, axis, b1s_counts, b1s_model, b1s_parameters, pseudo_voigt
from scipy import stats

from layerscope.errors import FitError
from layerscope.fitting import PatternModel, Series, SeriesFit, fit_batch, fit_series
from layerscope.fitting.quality import durbin_watson, information_criteria, poisson_deviance, structured

AREAS = np.array([[3000.0, 900.0, 800.0], [2500.0, 1500.0, 700.0], [2000.0, 1800.0, 900.0]])
SHIFTS = np.array([0.0, 0.1, -0.07])
X = axis()
AREA_NAMES = [f"{n}_area" for n in NAMES]


def declared(model: PatternModel, names: tuple[str, ...] = NAMES) -> lmfit.Parameters:
    p = b1s_parameters(model, names)
    p["A_center"].set(value=192.0, vary=False)
    p["shift"].set(vary=True, min=-0.6, max=0.6)
    return p


def fitted(seed: int = 0, y: np.ndarray | None = None, **options: object) -> SeriesFit:
    if y is None:
        y = np.random.default_rng(seed).poisson(b1s_counts(AREAS, SHIFTS, step=0.04)).astype(float)
    model = b1s_model(active="shirley")
    return fit_series(model, declared(model), Series(X, y), scopes={"shift": "per_pattern"}, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fit() -> SeriesFit:
    return fitted()


def test_fractions_are_shares_of_the_sum(fit: SeriesFit) -> None:
    shares, covariance = fit.fractions(AREA_NAMES)
    areas = np.array([fit.value(n) for n in AREA_NAMES])
    np.testing.assert_allclose(shares, areas / areas.sum(axis=0), rtol=1e-12)
    # they sum to one, so that their errors cancel
    total = covariance.sum(axis=(0, 2))
    np.testing.assert_allclose(total, 0.0, atol=1e-12)


def test_errors_of_fractions_are_those_of_drawn_areas(fit: SeriesFit) -> None:
    _, covariance = fit.fractions(AREA_NAMES)
    areas = np.array([fit.value(n) for n in AREA_NAMES])
    full = fit.covariance(AREA_NAMES).reshape(9, 9)
    draws = np.random.default_rng(0).multivariate_normal(areas.ravel(), full * 1e-4, size=40000).reshape(-1, 3, 3)
    shares = (draws / draws.sum(axis=1, keepdims=True)).reshape(-1, 9)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance.reshape(9, 9))), np.std(shares, axis=0) * 100, rtol=0.02)
    correlation = np.corrcoef(shares.T)
    ours = covariance.reshape(9, 9)
    np.testing.assert_allclose(ours / np.sqrt(np.outer(np.diag(ours), np.diag(ours))), correlation, atol=0.03)


def test_component_curves_and_background_add_up_to_the_fit(fit: SeriesFit) -> None:
    lines, background = fit.component_curves()
    np.testing.assert_allclose(sum(lines.values()) + background, fit.expected, rtol=1e-12)
    for k, name in enumerate(NAMES):
        centre = {"A": 192.0, "B": fit.value("B_center")[1], "C": fit.value("C_center")[1]}[name] + fit.value("shift")[
            1
        ]
        expected = fit.value(AREA_NAMES[k])[1] * pseudo_voigt(
            X, centre, fit.value("A_fwhm")[1], fit.value("A_mixing")[1]
        )
        np.testing.assert_allclose(lines[name][1], expected, rtol=1e-9, atol=1e-9)


def test_chi2_is_the_sum_of_squared_residuals_over_the_model_variance(fit: SeriesFit) -> None:
    assert fit.chi2 == pytest.approx(np.sum((fit.y - fit.expected) ** 2 / fit.expected), rel=1e-8)
    assert fit.chi2 == pytest.approx(fit.pattern_chi2.sum(), rel=1e-12)
    assert fit.redchi == pytest.approx(fit.chi2 / (fit.n_data - fit.n_free))
    np.testing.assert_allclose(fit.residual, (fit.y - fit.expected) / np.sqrt(fit.expected), rtol=1e-6)
    assert fit.n_free == 5 + 3 * (1 + 3 + 2)


def test_criteria_are_built_on_the_deviance(fit: SeriesFit) -> None:
    deviance = 2 * np.sum(fit.y * np.log(fit.y / fit.expected) - fit.y + fit.expected)
    assert fit.misfit == pytest.approx(deviance, rel=1e-9)
    assert fit.aic == pytest.approx(deviance + 2 * fit.n_free)
    assert fit.bic == pytest.approx(deviance + fit.n_free * np.log(fit.n_data))


def test_difference_of_bic_is_that_of_the_likelihoods() -> None:
    y = np.random.default_rng(2).poisson(b1s_counts(AREAS, SHIFTS)).astype(float)
    results = []
    for names in (NAMES, NAMES[:2]):
        model = b1s_model(names)
        results.append(fit_series(model, declared(model, names), Series(X, y), scopes={"shift": "per_pattern"}))
    likelihood = [stats.poisson.logpmf(y, r.expected).sum() for r in results]
    expected = -2 * (likelihood[0] - likelihood[1]) + (results[0].n_free - results[1].n_free) * np.log(y.size)
    assert results[0].bic - results[1].bic == pytest.approx(expected, rel=1e-9)
    assert results[0].bic < results[1].bic - 100


def test_criteria_of_unknown_noise_use_the_logarithm_of_chi2() -> None:
    aic, bic = information_criteria(np.array(5.0), 40, 3, known_noise=False)
    assert aic == pytest.approx(40 * np.log(5 / 40) + 6)
    assert bic == pytest.approx(40 * np.log(5 / 40) + 3 * np.log(40))


def test_deviance_holds_for_no_counts_at_all() -> None:
    assert poisson_deviance(np.zeros(3), np.array([1.0, 2.0, 3.0])) == pytest.approx(12.0)
    assert poisson_deviance(np.array([4.0, 7.0]), np.array([4.0, 7.0])) == pytest.approx(0.0, abs=1e-12)


def test_good_fit_raises_no_flag(fit: SeriesFit) -> None:
    assert [f for f in fit.flags() if not f.startswith("CORRELATED")] == []


def test_shared_parameter_at_its_bound_is_named() -> None:
    model = b1s_model()
    p = declared(model)
    p["A_fwhm"].set(value=1.3, min=0.5, max=1.4)
    fit = fit_series(model, p, Series(X, b1s_counts(AREAS, SHIFTS)), scopes={"shift": "per_pattern"})
    assert fit.value("A_fwhm")[0] == 1.4
    assert fit.at_bound() == ["A_fwhm"]
    assert "AT_BOUND:A_fwhm" in fit.flags()


def test_parameter_of_one_pattern_at_its_bound_is_named_with_the_pattern() -> None:
    model = b1s_model()
    p = declared(model)
    p["shift"].set(min=-0.05)
    for name, centre in (("B", 191.0), ("C", 193.4)):
        p[f"{name}_center"].set(value=centre, vary=False)
    fit = fit_series(model, p, Series(X, b1s_counts(AREAS, SHIFTS)), scopes={"shift": "per_pattern"})
    assert fit.at_bound() == ["shift[2]"]


def test_area_at_zero_is_named_with_the_pattern_but_only_if_areas_are_bounded() -> None:
    model = b1s_model()
    p = declared(model)
    p["B_center"].set(value=191.0, vary=False)
    y = b1s_counts(AREAS * [1.0, 0.0, 1.0] + np.array([[0.0, 900, 0], [0, -40, 0], [0, 800, 0]]), SHIFTS)
    fits = [
        fit_series(model, p, Series(X, y), scopes={"shift": "per_pattern"}, nonnegative=bounded)
        for bounded in (True, False)
    ]
    assert fits[0].at_bound() == ["B_area[1]"]
    assert fits[0].value("B_area")[1] == 0.0
    assert fits[1].at_bound() == []
    assert fits[1].value("B_area")[1] == pytest.approx(-40.0, rel=1e-4)


def test_strong_correlation_is_named_with_its_value() -> None:
    x = np.linspace(0.0, 1.0, 50)
    model = ExpressionModel({"a": "exp(-k*x)", "b": "1 + 0*x"})
    p = lmfit.Parameters()
    p.add("k", value=0.1)
    y = 2 * np.exp(-0.15 * x) + 1 + 0.001 * np.random.default_rng(0).normal(size=50)
    fit = fit_series(model, p, Series(x, y, variance=1e-6), weights="given")
    flag = next(f for f in fit.flags() if f.startswith("CORRELATED"))
    assert "a~b" in " ".join(fit.flags())
    assert abs(float(flag.split()[-1])) > 0.95
    c = fit.covariance(["a", "b"])[:, 0, :, 0]
    np.testing.assert_allclose(fit.covariance_within(["a", "b"])[0], c, rtol=1e-12)
    assert f"CORRELATED:a~b {c[0, 1] / np.sqrt(c[0, 0] * c[1, 1]):.2f}" in fit.flags()


def test_doubts_and_errors_are_worked_out_once_for_all_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    model = b1s_model()
    fit = fit_series(model, declared(model), Series(X, b1s_counts(AREAS, SHIFTS)), scopes={"shift": "per_pattern"})
    flags, sigma = fit.flags(), fit.sigma("B_area")
    monkeypatch.setattr(type(fit.batch), "gradient", None)  # what both are built from
    assert fit.flags() is flags
    np.testing.assert_array_equal(fit.sigma("B_area"), sigma)


def test_missing_component_shows_as_structure_in_the_residual() -> None:
    model = b1s_model(NAMES[:1])
    y = np.random.default_rng(3).poisson(b1s_counts(AREAS, SHIFTS)).astype(float)
    fit = fit_series(model, declared(model, NAMES[:1]), Series(X, y), scopes={"shift": "per_pattern"})
    flags = fit.flags()
    assert {"RESIDUAL_STRUCTURE:0", "RESIDUAL_STRUCTURE:1", "RESIDUAL_STRUCTURE:2"} <= set(flags)
    assert any(f.startswith("OVERDISPERSED") for f in flags)


def test_a_misfit_that_is_alike_in_all_patterns_is_seen_in_their_sum() -> None:
    model = b1s_model(NAMES[:1])
    areas = np.tile([3000.0, 0.0, 100.0], (20, 1))
    y = np.random.default_rng(3).poisson(b1s_counts(areas, np.zeros(20))).astype(float)
    flags = fit_series(model, declared(model, NAMES[:1]), Series(X, y), scopes={"shift": "per_pattern"}).flags()
    assert "RESIDUAL_STRUCTURE:all together" in flags
    assert len([flag for flag in flags if flag.startswith("RESIDUAL_STRUCTURE")]) < 4  # hardly in any by itself


def test_a_pattern_that_scatters_too_much_is_named() -> None:
    y = np.random.default_rng(4).poisson(b1s_counts(AREAS, SHIFTS, step=0.04)).astype(float)
    bare = fitted(y=y)
    scatter = np.sqrt(1.75 / (bare.residual[1] ** 2).mean())
    y[1] = bare.expected[1] + scatter * (y[1] - bare.expected[1])
    flags = fitted(y=y).flags()
    assert [flag[-3:] for flag in flags if flag.startswith("OVERDISPERSED") and flag.endswith("]")] == ["[1]"]


def test_counts_that_were_rescaled_are_noticed() -> None:
    y = np.random.default_rng(4).poisson(b1s_counts(AREAS, SHIFTS, step=0.04)).astype(float)
    assert any(f.startswith("OVERDISPERSED") for f in fitted(y=y * 5).flags())
    assert any(f.startswith("UNDERDISPERSED") for f in fitted(y=y / 5).flags())


def test_false_alarms_of_the_residual_test_are_as_rare_as_stated() -> None:
    rng = np.random.default_rng(5)
    alarms = np.mean([structured(rng.normal(size=200), level=0.05) for _ in range(2000)])
    assert 0.03 < alarms < 0.07
    assert structured(np.sin(np.linspace(0, 12, 200)) + rng.normal(size=200))


def test_durbin_watson_knows_its_extremes() -> None:
    assert durbin_watson(np.tile([1.0, -1.0], 50)) == pytest.approx(4.0, rel=0.02)
    assert durbin_watson(np.ones(50)) == 0.0
    assert durbin_watson(np.random.default_rng(6).normal(size=20000)) == pytest.approx(2.0, abs=0.06)


def test_each_pattern_has_its_own_durbin_watson(fit: SeriesFit) -> None:
    np.testing.assert_allclose(fit.durbin_watson(), [durbin_watson(r) for r in fit.residual])


def test_unknown_name_is_refused_with_the_known_ones(fit: SeriesFit) -> None:
    with pytest.raises(FitError, match="B_center"):
        fit.value("B_centre")
    with pytest.raises(FitError):
        fit.sigma("nobody")


def test_names_are_all_that_can_be_asked_for(fit: SeriesFit) -> None:
    for name in fit.names:
        assert fit.value(name).shape == fit.sigma(name).shape == (3,)
    assert {"A_center", "B_fwhm", "shift", "shirley_k", "A_area", "background_1"} <= set(fit.names)


def test_batch_hands_out_its_series_in_order() -> None:
    y = np.random.default_rng(7).poisson(b1s_counts(AREAS, SHIFTS)).astype(float)
    model = b1s_model()
    batch = fit_batch(model, declared(model), Series(X, np.stack([y, y[::-1]])), scopes={"shift": "per_pattern"})
    assert len(batch) == 2
    np.testing.assert_allclose(batch[1].value("A_area"), batch.value("A_area")[1])
    np.testing.assert_allclose(batch[-1].y, y[::-1])
    with pytest.raises(IndexError):
        batch[2]


def test_only_patterns_of_components_have_component_curves() -> None:
    model = ExpressionModel({"a": "exp(-k*x)"})
    p = lmfit.Parameters()
    p.add("k", value=0.1)
    x = np.linspace(0, 1, 20)
    with pytest.raises(FitError, match="components"):
        fit_series(model, p, Series(x, np.exp(-x)), weights="none").component_curves()
