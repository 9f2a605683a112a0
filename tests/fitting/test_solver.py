"""The bounded solver: against scipy, many series side by side, and what it says when it fails."""

from __future__ import annotations

import lmfit
import numpy as np
import pytest
from expression_model import ExpressionModel
from fit_oracles import FWHM, MIXING, axis, b1s_counts, b1s_model, b1s_parameters, pseudo_voigt
from scipy.optimize import least_squares

from layerscope.errors import FitError
from layerscope.fitting import Component, PatternModel, Series, fit_batch, fit_series
from layerscope.fitting import rows as rows_module
from layerscope.fitting.solver import Tolerances


def decay(seed: int = 0) -> tuple[np.ndarray, np.ndarray, ExpressionModel]:
    x = np.linspace(0.0, 4.0, 60)
    y = 3.0 * np.exp(-1.3 * x) + 0.4 + 0.05 * np.random.default_rng(seed).normal(size=60)
    return x, y, ExpressionModel({"amount": "exp(-rate*x)", "rest": "1 + 0*x"})


def rate(value: float = 0.5, **bounds: float) -> lmfit.Parameters:
    parameters = lmfit.Parameters()
    parameters.add("rate", value=value, **bounds)
    return parameters


@pytest.mark.parametrize(("low", "high"), [(-np.inf, np.inf), (0.1, 0.9), (1.6, 5.0), (0.0, 1.3)])
def test_bounded_minimum_is_that_of_scipy(low: float, high: float) -> None:
    x, y, model = decay()
    result = fit_series(model, rate(min=low, max=high), Series(x, y), weights="none")
    exact = least_squares(
        lambda p: p[1] * np.exp(-p[0] * x) + p[2] - y,
        [min(max(1.0, low + 1e-3), high - 1e-3), 2.0, 0.1],
        bounds=([low, -np.inf, -np.inf], [high, np.inf, np.inf]),
        xtol=1e-15, ftol=1e-15, gtol=1e-15,
    )  # fmt: skip
    assert result.converged
    assert result.chi2 == pytest.approx(2 * exact.cost, rel=1e-7)
    assert low <= result.value("rate")[0] <= high
    assert result.value("rate")[0] == pytest.approx(exact.x[0], rel=1e-5)


def test_bounded_minimum_in_two_correlated_parameters_is_that_of_scipy() -> None:
    x = axis()
    y = 900 * pseudo_voigt(x, 192.0, FWHM, 0.9) + 60
    y = y + np.random.default_rng(2).normal(size=x.size) * 5
    model = PatternModel([Component("A")], polynomial=0)
    p = model.make_parameters()
    p["A_center"].set(value=191.5, min=190, max=194)
    p["A_fwhm"].set(value=2.0, min=0.5, max=1.45)  # both bounds are active at the minimum
    p["A_mixing"].set(value=0.2, min=0.0, max=0.5)
    result = fit_series(model, p, Series(x, y, variance=25.0), weights="given")
    exact = least_squares(
        lambda q: (q[3] * pseudo_voigt(x, q[0], q[1], q[2]) + q[4] - y) / 5.0,
        [192.0, 1.4, 0.4, 800.0, 60.0],
        bounds=([190, 0.5, 0.0, -np.inf, -np.inf], [194, 1.45, 0.5, np.inf, np.inf]),
        x_scale=[1, 1, 1, 1000, 100], xtol=1e-15, ftol=1e-15, gtol=1e-15,
    )  # fmt: skip
    assert result.chi2 == pytest.approx(2 * exact.cost, rel=1e-7)
    assert {"A_fwhm", "A_mixing"} >= set(result.at_bound())
    assert result.at_bound()


@pytest.mark.parametrize("start", [0.01, 0.5, 5.0, 12.0])
def test_minimum_does_not_depend_on_the_start(start: float) -> None:
    x, y, model = decay()
    near = fit_series(model, rate(1.3), Series(x, y), weights="none")
    far = fit_series(model, rate(start), Series(x, y), weights="none")
    assert far.value("rate")[0] == pytest.approx(near.value("rate")[0], rel=1e-7)


def several(groups: int = 7, levels: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    areas = rng.uniform(500, 3000, size=(groups, levels, 3))
    shifts = rng.uniform(-0.15, 0.15, size=(groups, levels))
    y = np.array([b1s_counts(a, s) for a, s in zip(areas, shifts, strict=True)])
    return axis(), rng.poisson(y).astype(float)


@pytest.mark.parametrize("weights", ["poisson", "none"])
def test_series_fitted_side_by_side_are_those_fitted_one_by_one(weights: str) -> None:
    x, y = several()
    model = b1s_model()
    p = b1s_parameters(model)
    p["A_center"].set(vary=False, value=192.0)
    p["shift"].set(vary=True, min=-0.5, max=0.5)
    batch = fit_batch(model, p, Series(x, y), scopes={"shift": "per_pattern"}, weights=weights)  # type: ignore[arg-type]
    for g in range(len(y)):
        one = fit_series(model, p, Series(x, y[g]), scopes={"shift": "per_pattern"}, weights=weights)  # type: ignore[arg-type]
        for name in batch.names:
            np.testing.assert_allclose(batch[g].value(name), one.value(name), rtol=1e-7, atol=1e-7)
            np.testing.assert_allclose(batch[g].sigma(name), one.sigma(name), rtol=1e-6, atol=1e-9)


def test_size_of_a_chunk_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = several()
    model = b1s_model()
    p = b1s_parameters(model)
    whole = fit_batch(model, p, Series(x, y))
    monkeypatch.setattr(rows_module, "CHUNK_VALUES", 100)
    pieces = fit_batch(model, p, Series(x, y))
    for name in whole.names:
        np.testing.assert_allclose(pieces.value(name), whole.value(name), rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(pieces.sigma(name), whole.sigma(name), rtol=1e-7, atol=1e-12)


def test_too_few_iterations_are_reported() -> None:
    x, y, model = decay()
    result = fit_series(model, rate(12.0), Series(x, y), weights="none", tolerances=Tolerances(max_iterations=1))
    assert not result.converged
    assert "NOT_CONVERGED" in result.flags()


def test_model_that_is_not_finite_at_the_start_is_refused() -> None:
    x, y, _ = decay()
    model = ExpressionModel({"amount": "log(rate - x)"})
    with pytest.raises(FitError, match="finite"):
        fit_series(model, rate(0.5), Series(x, y), weights="none")


def test_step_out_of_the_domain_of_a_formula_is_taken_back() -> None:
    x = np.linspace(0.0, 4.0, 50)
    y = 2.0 * np.log(4.2 - x)
    model = ExpressionModel({"amount": "log(edge - x)"})
    parameters = lmfit.Parameters()
    parameters.add("edge", value=9.0)
    result = fit_series(model, parameters, Series(x, y), weights="none")
    assert result.value("edge")[0] == pytest.approx(4.2, rel=1e-7)


def test_model_without_free_parameters_is_a_linear_fit() -> None:
    x, y, model = decay()
    parameters = rate(1.3)
    parameters["rate"].set(vary=False)
    result = fit_series(model, parameters, Series(x, y), weights="none")
    a = np.stack([np.exp(-1.3 * x), np.ones(60)], axis=1)
    c, rss, *_ = np.linalg.lstsq(a, y, rcond=None)
    assert result.converged
    assert result.chi2 == pytest.approx(rss[0], rel=1e-10)
    assert [result.value("amount")[0], result.value("rest")[0]] == pytest.approx(list(c), rel=1e-10)
    errors = np.sqrt(np.diag(np.linalg.inv(a.T @ a)) * rss[0] / 58)
    assert [result.sigma("amount")[0], result.sigma("rest")[0]] == pytest.approx(list(errors), rel=1e-8)
    assert result.sigma("rate")[0] == 0.0


def test_model_without_linear_coefficients_is_fitted_as_well() -> None:
    x = np.linspace(0.0, 4.0, 60)
    y = np.exp(-1.3 * x) / (1 + 0.4 * x) + 0.01 * np.random.default_rng(1).normal(size=60)
    model = ExpressionModel({}, offset="exp(-rate*x)/(1 + c*x)")
    parameters = rate(0.7)
    parameters.add("c", value=0.1)
    result = fit_series(model, parameters, Series(x, y), weights="none")
    exact = least_squares(
        lambda p: np.exp(-p[0] * x) / (1 + p[1] * x) - y, [0.7, 0.1], xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    assert [result.value("rate")[0], result.value("c")[0]] == pytest.approx(list(exact.x), rel=1e-6)


def test_mixing_at_its_bound_leaves_the_other_parameters_at_their_minimum() -> None:
    x = axis()
    y = 2000 * pseudo_voigt(x, 192.0, FWHM, 0.0) + 100 + np.random.default_rng(8).normal(size=x.size) * 10
    model = PatternModel([Component("A")], polynomial=0)
    p = model.make_parameters()
    p["A_center"].set(value=192.3, min=190, max=194)
    p["A_mixing"].set(value=MIXING, min=0.05, max=1.0)  # the truth lies beyond the bound
    bounded = fit_series(model, p, Series(x, y, variance=100.0), weights="given")
    p["A_mixing"].set(value=0.05, vary=False)
    fixed = fit_series(model, p, Series(x, y, variance=100.0), weights="given")
    assert "A_mixing" in bounded.at_bound()
    assert bounded.chi2 == pytest.approx(fixed.chi2, rel=1e-9)
    assert bounded.value("A_fwhm")[0] == pytest.approx(fixed.value("A_fwhm")[0], rel=1e-6)
