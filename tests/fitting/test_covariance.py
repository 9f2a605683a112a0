"""The full covariance, linear parameters and different patterns included, against the dense one."""

from __future__ import annotations

import lmfit
import numpy as np
import pytest
from expression_model import ExpressionModel
from fit_oracles import NAMES, axis, b1s_counts, b1s_model, b1s_parameters, numerical_jacobian

from layerscope.fitting import Component, PatternModel, Series, SeriesFit, Smooth, fit_batch, fit_series

AREAS = np.array([[3000.0, 900.0, 800.0], [2500.0, 1500.0, 700.0], [2000.0, 1800.0, 900.0], [1500.0, 1700.0, 900.0]])
SHIFTS = np.array([0.0, 0.1, -0.07, 0.04])
X, L = axis(), 4
SHARED = ("B_center", "C_center", "A_fwhm", "A_mixing", "shirley_k")
OWN = ("shift", "A_area", "B_area", "C_area", "background_0", "background_1")


def data(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(b1s_counts(AREAS, SHIFTS, step=0.04)).astype(float)


def fitted(seed: int = 0, relative: bool | None = None) -> SeriesFit:
    model = b1s_model(active="shirley")
    p = b1s_parameters(model)
    p["A_center"].set(value=192.0, vary=False)
    p["shift"].set(vary=True, min=-0.6, max=0.6)
    return fit_series(model, p, Series(X, data(seed), relative=relative), scopes={"shift": "per_pattern"})


def dense_covariance(fit: SeriesFit) -> np.ndarray:
    """Return the covariance of (SHARED, then OWN level by level) from the Jacobian of all levels at once."""
    model = b1s_model(active="shirley")
    order = model.nonlinear_names

    def expected(v: np.ndarray) -> np.ndarray:
        rows = []
        for level in range(L):
            own = v[5 + 6 * level : 11 + 6 * level]
            values = dict(zip(SHARED, v[:5], strict=True)) | {"shift": own[0], "A_center": 192.0}
            for name in NAMES[1:]:
                values |= {f"{name}_fwhm": v[2], f"{name}_mixing": v[3]}
            q = np.array([[values[n] for n in order]])
            rows.append(own[1:] @ model.basis(X[None], q, derivatives=False).columns[0] * fit.root_weight[level])
        return np.concatenate(rows)

    at = np.r_[[fit.value(n)[0] for n in SHARED], np.array([fit.value(n) for n in OWN]).T.ravel()]
    scale = np.maximum(np.abs(at), 0.05)
    jacobian = numerical_jacobian(expected, at, scale) * scale
    return np.linalg.inv(jacobian.T @ jacobian) * np.outer(scale, scale)


@pytest.fixture(scope="module")
def fit() -> SeriesFit:
    return fitted()


def test_covariance_between_all_parameters_of_all_patterns_is_the_dense_one(fit: SeriesFit) -> None:
    dense = dense_covariance(fit)
    sigma = np.sqrt(np.diag(dense))
    ours = fit.covariance([*SHARED, *OWN])  # (K, L, K, L)
    np.testing.assert_allclose(
        fit.covariance_within([*SHARED, *OWN]), np.einsum("albl->lab", ours), rtol=1e-9, atol=1e-12
    )
    assert ours.shape == (11, L, 11, L)
    index = np.array([[k] * L for k in range(5)] + [[5 + 6 * level + k for level in range(L)] for k in range(6)])
    expected = dense[index[:, :, None, None], index[None, None]]
    scale = sigma[index]
    np.testing.assert_allclose(
        ours / scale[:, :, None, None] / scale[None, None],
        expected / scale[:, :, None, None] / scale[None, None],
        atol=2e-5,
    )


def test_different_patterns_are_correlated_through_what_they_share(fit: SeriesFit) -> None:
    c = fit.covariance(["B_area"])[0, :, 0, :]
    correlation = c[0, 1] / np.sqrt(c[0, 0] * c[1, 1])
    assert correlation > 0.05
    own = fit.covariance(["background_1"])[0, :, 0, :]
    assert abs(own[0, 1]) < own[0, 0]


def test_covariance_is_symmetric_and_has_no_negative_eigenvalue(fit: SeriesFit) -> None:
    c = fit.covariance([*SHARED, *OWN]).reshape(11 * L, 11 * L)
    np.testing.assert_allclose(c, c.T, rtol=1e-9, atol=1e-12 * np.abs(c).max())
    scale = np.sqrt(np.diag(c))
    eigenvalues = np.linalg.eigvalsh(c / np.outer(scale, scale))
    assert eigenvalues.min() > -1e-9


def test_sigma_is_the_root_of_the_diagonal(fit: SeriesFit) -> None:
    c = fit.covariance([*SHARED, *OWN])
    for k, name in enumerate((*SHARED, *OWN)):
        np.testing.assert_allclose(fit.sigma(name), np.sqrt([c[k, level, k, level] for level in range(L)]), rtol=1e-9)


def test_tied_parameter_has_the_covariance_of_what_it_is_tied_to(fit: SeriesFit) -> None:
    np.testing.assert_allclose(fit.covariance(["B_fwhm", "A_area"]), fit.covariance(["A_fwhm", "A_area"]), rtol=1e-12)
    assert (fit.sigma("A_center") == 0).all()


def test_covariance_of_a_smooth_parameter_follows_its_knots() -> None:
    model = b1s_model(active="shirley")
    p = b1s_parameters(model)
    p["A_center"].set(value=192.0, vary=False)
    p["shift"].set(vary=True, min=-0.6, max=0.6)
    fits = fit_series(model, p, Series(X, data()), scopes={"shift": Smooth(4)})
    free = fitted()
    np.testing.assert_allclose(
        fits.covariance(["shift", "B_area"]), free.covariance(["shift", "B_area"]), rtol=1e-4, atol=1e-9
    )


def test_scaling_multiplies_the_covariance_by_the_reduced_chi2() -> None:
    plain, scaled = fitted(), fitted(relative=True)
    np.testing.assert_allclose(
        scaled.covariance(["B_area", "shift"]), plain.covariance(["B_area", "shift"]) * plain.redchi, rtol=1e-10
    )


def test_error_falls_with_the_root_of_the_number_of_patterns() -> None:
    sigmas = []
    for repeat in (1, 16):
        y = np.tile(b1s_counts(AREAS[:1], SHIFTS[:1]), (repeat, 1))
        model = b1s_model()
        sigmas.append(fit_series(model, b1s_parameters(model), Series(X, y)).sigma("B_center")[0])
    assert sigmas[0] / sigmas[1] == pytest.approx(4.0, rel=1e-5)


def test_stated_errors_are_the_scatter_of_repeated_measurements() -> None:
    mu = b1s_counts(AREAS[:2], SHIFTS[:2])
    y = np.random.default_rng(1).poisson(mu, size=(400, *mu.shape)).astype(float)
    model = b1s_model()
    p = b1s_parameters(model)
    p["shift"].set(vary=True, min=-0.6, max=0.6)
    p["A_center"].set(value=192.0, vary=False)
    batch = fit_batch(model, p, Series(X, y), scopes={"shift": "per_pattern"})
    for name, truth in (("B_area", AREAS[:2, 1]), ("shift", SHIFTS[:2]), ("A_fwhm", 1.5)):
        pulls = (batch.value(name) - truth) / batch.sigma(name)
        assert abs(pulls.mean()) < 0.2  # four standard deviations of a mean of 400
        assert 0.86 < pulls.std() < 1.14


@pytest.mark.parametrize("weights", ["poisson", "none"])
def test_direction_that_the_data_do_not_determine_is_flagged(weights: str) -> None:
    y = b1s_counts(AREAS[:1], SHIFTS[:1])
    model = PatternModel([Component("A"), Component("T")], polynomial=0)
    p = model.make_parameters()
    for name in ("A", "T"):  # the same line twice
        p[f"{name}_center"].set(value=192.0, vary=False)
    p["A_fwhm"].set(value=1.4, min=0.5, max=3.0)
    p["T_fwhm"].set(expr="A_fwhm")
    p["T_mixing"].set(expr="A_mixing")
    fit = fit_series(model, p, Series(X, y), weights=weights)  # type: ignore[arg-type]
    assert "UNDETERMINED" in fit.flags()
    assert np.isfinite(fit.value("A_area")).all()


def test_free_shift_and_free_positions_cannot_both_be_determined() -> None:
    model = b1s_model()
    p = b1s_parameters(model)
    p["shift"].set(vary=True, min=-0.6, max=0.6)
    fit = fit_series(model, p, Series(X, b1s_counts(AREAS, SHIFTS)), scopes={"shift": "per_pattern"})
    assert "UNDETERMINED" in fit.flags()


def test_single_line_with_a_free_shift_and_a_free_position_is_flagged() -> None:
    model = b1s_model(("A",), polynomial=0)
    p = b1s_parameters(model, ("A",))
    p["shift"].set(vary=True, min=-0.6, max=0.6)
    y = np.random.default_rng(2).poisson(b1s_counts(AREAS[:, :1], SHIFTS)).astype(float)
    fit = fit_series(model, p, Series(X, y), scopes={"shift": "per_pattern"})
    assert "UNDETERMINED" in fit.flags()


def test_fewer_points_than_parameters_are_flagged() -> None:
    model = ExpressionModel({"a": "1 + 0*x", "b": "x", "c": "x**2", "d": "exp(-k*x)"})
    p = lmfit.Parameters()
    p.add("k", value=1.0)
    fit = fit_series(model, p, Series(np.arange(4.0), np.array([1.0, 3.0, 2.0, 5.0]), variance=1.0), weights="given")
    assert "UNDETERMINED" in fit.flags()
