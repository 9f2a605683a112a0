"""Joint fits through the public entrance against dense solutions of the same problem."""

from __future__ import annotations

import lmfit
import numpy as np
import pytest
from expression_model import ExpressionModel
from fit_oracles import (
    CENTRES,
    FWHM,
    MIXING,
    NAMES,
    axis,
    b1s_counts,
    b1s_model,
    b1s_parameters,
    baseline,
    dense_fit,
    numerical_jacobian,
    pseudo_voigt,
    running_integral,
)
from scipy import optimize

from layerscope.errors import FitError
from layerscope.fitting import Component, PatternModel, Series, Smooth, fit_batch, fit_series, weighting
from layerscope.fitting.layout import Scope
from layerscope.fitting.measured import known_once
from layerscope.fitting.solver import Tolerances, minimise

AREAS = np.array([[3000.0, 900.0, 800.0], [2500.0, 1500.0, 700.0], [2000.0, 1800.0, 900.0]])
SHIFTS = np.array([0.0, 0.1, -0.07])
L, X = 3, axis()


def profile(seed: int = 0, *, step: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    mu = b1s_counts(AREAS, SHIFTS, step=step)
    return np.random.default_rng(seed).poisson(mu).astype(float), mu


def anchored(model: PatternModel):
    p = b1s_parameters(model)
    p["A_center"].set(vary=False, value=CENTRES[0])
    p["shift"].set(vary=True, min=-0.6, max=0.6)
    return p


def curve(v: np.ndarray, level: int, *, step: float = 0.0) -> np.ndarray:
    """Return one level for v = (B_center, C_center, fwhm, mixing, k, then per level: shift, 3 areas, 2 background)."""
    own = v[5 + 6 * level : 11 + 6 * level]
    y = baseline(X, own[4], own[5])
    for area, centre in zip(own[1:4], (CENTRES[0], v[0], v[1]), strict=True):
        y = y + area * pseudo_voigt(X, centre + own[0], v[2], v[3])
        y = y + area * v[4] * running_integral(X, centre + own[0], v[2], v[3])
    return y


def start() -> np.ndarray:
    own = [np.r_[s, a, 200.0, 20.0] for s, a in zip(SHIFTS, AREAS, strict=True)]
    return np.r_[CENTRES[1], CENTRES[2], FWHM, MIXING, 0.0, np.concatenate(own)]


OWN = ("shift", "A_area", "B_area", "C_area", "background_0", "background_1")


def test_joint_fit_is_the_dense_least_squares_solution() -> None:
    y, mu = profile()
    model = b1s_model()
    fit = fit_series(
        model, anchored(model), Series(X, y, variance=mu), scopes={"shift": "per_pattern"}, weights="given"
    )
    at = np.delete(np.arange(5 + 6 * L), 4)  # no step here

    def residual(v: np.ndarray) -> np.ndarray:
        full = np.insert(v, 4, 0.0)
        return np.concatenate([(y[k] - curve(full, k)) / np.sqrt(mu[k]) for k in range(L)])

    dense = dense_fit(residual, start()[at])
    assert fit.converged
    assert fit.chi2 == pytest.approx(dense.chi2, rel=1e-10)
    assert fit.n_free == dense.values.size
    sigma = np.sqrt(np.diag(dense.covariance))
    for k, name in enumerate(("B_center", "C_center", "A_fwhm", "A_mixing")):
        assert fit.value(name)[0] == pytest.approx(dense.values[k], abs=1e-5 * sigma[k])
        assert fit.sigma(name)[0] == pytest.approx(sigma[k], rel=1e-5)
    for level in range(L):
        for k, name in enumerate(OWN):
            i = 4 + 6 * level + k
            assert fit.value(name)[level] == pytest.approx(dense.values[i], abs=1e-5 * sigma[i])
            assert fit.sigma(name)[level] == pytest.approx(sigma[i], rel=1e-5)


def test_active_shirley_is_the_dense_least_squares_solution() -> None:
    y, mu = profile(1, step=0.04)
    model = b1s_model(active="shirley")
    fit = fit_series(
        model, anchored(model), Series(X, y, variance=mu), scopes={"shift": "per_pattern"}, weights="given"
    )
    first = start()
    first[4] = 0.04
    dense = dense_fit(lambda v: np.concatenate([(y[k] - curve(v, k)) / np.sqrt(mu[k]) for k in range(L)]), first)
    assert fit.chi2 == pytest.approx(dense.chi2, rel=1e-10)
    sigma = np.sqrt(np.diag(dense.covariance))
    names = [("B_center", 0), ("C_center", 0), ("A_fwhm", 0), ("A_mixing", 0), ("shirley_k", 0)]
    names += [(n, level) for level in range(L) for n in OWN]
    for i, (name, level) in enumerate(names):
        assert fit.value(name)[level] == pytest.approx(dense.values[i], abs=1e-5 * sigma[i])
        assert fit.sigma(name)[level] == pytest.approx(sigma[i], rel=1e-5)


def test_active_shirley_recovers_the_truth_from_noise_free_counts() -> None:
    _, mu = profile(step=0.04)
    model = b1s_model(active="shirley")
    fit = fit_series(model, anchored(model), Series(X, mu), scopes={"shift": "per_pattern"})
    assert fit.value("shirley_k")[0] == pytest.approx(0.04, rel=1e-5)
    np.testing.assert_allclose(fit.value("shift"), SHIFTS, atol=1e-6)
    for k, name in enumerate(NAMES):
        np.testing.assert_allclose(fit.value(f"{name}_area"), AREAS[:, k], rtol=1e-5)


def loss_tail(x: np.ndarray, line, b: float, c: float, d: float, sign: float) -> np.ndarray:
    """Return B int K(x - x') line(x') dx' from the first point on, by a fine trapezoidal sum written anew."""
    fine = np.linspace(x[0], x[-1], 20 * (x.size - 1) + 1)
    h, values = fine[1] - fine[0], line(fine)
    result = []
    for end in range(0, fine.size, 20):
        t = fine[end] - fine[: end + 1]
        kernel = b * t / ((c + sign * t**2) ** 2 + d * t**2) * values[: end + 1]
        result.append(h * (kernel.sum() - 0.5 * (kernel[0] + kernel[-1])))
    return np.array(result)


@pytest.mark.parametrize("form", ["tougaard_u2", "tougaard_u3"])
def test_active_tougaard_recovers_the_truth(form: str) -> None:
    x = np.linspace(180.0, 260.0, 241)
    b, c, d, sign = (2000.0, 1643.0, 0.0, 1.0) if form == "tougaard_u2" else (450.0, 500.0, 400.0, -1.0)
    y = []
    for area in (4000.0, 9000.0):
        y.append(
            area * pseudo_voigt(x, 192.0, 2.0, 0.3)
            + area * loss_tail(x, lambda t: pseudo_voigt(t, 192.0, 2.0, 0.3), b, c, d, sign)
            + 150.0
        )
    model = PatternModel([Component("A")], polynomial=0, active=form)  # type: ignore[arg-type]
    p = model.make_parameters()
    p["A_center"].set(value=192.3, min=190, max=194)
    p["A_fwhm"].set(value=1.6, min=0.5, max=4)
    if form == "tougaard_u3":
        p["tougaard_c"].set(value=600.0, vary=True)
        p["tougaard_d"].set(value=300.0, vary=True)
    fit = fit_series(model, p, Series(x, np.array(y)))
    assert fit.value("tougaard_b")[0] == pytest.approx(b, rel=3e-3)
    np.testing.assert_allclose(fit.value("A_area"), [4000.0, 9000.0], rtol=3e-4)
    assert fit.value("A_fwhm")[0] == pytest.approx(2.0, rel=1e-3)
    if form == "tougaard_u3":
        assert fit.value("tougaard_c")[0] == pytest.approx(c, rel=1e-2)
        assert fit.value("tougaard_d")[0] == pytest.approx(d, rel=3e-2)


def test_sigma_of_an_active_tougaard_is_that_of_a_numerical_jacobian() -> None:
    x = np.linspace(180.0, 260.0, 121)
    mu = 4000 * pseudo_voigt(x, 192.0, 3.0, 0.3) + 150.0
    mu = mu + 4000 * loss_tail(x, lambda t: pseudo_voigt(t, 192.0, 3.0, 0.3), 450.0, 500.0, 400.0, -1.0)
    y = np.random.default_rng(4).poisson(mu).astype(float)
    model = PatternModel([Component("A")], polynomial=0, active="tougaard_u3")
    p = model.make_parameters()
    p["A_center"].set(value=192.3, min=190, max=194)
    p["A_fwhm"].set(value=2.5, min=0.5, max=5)
    p["tougaard_c"].set(value=550.0, vary=True)
    p["tougaard_d"].set(value=380.0, vary=True)
    fit = fit_series(model, p, Series(x, y, variance=mu), weights="given")
    names = ("A_center", "A_fwhm", "A_mixing", "tougaard_b", "tougaard_c", "tougaard_d", "A_area", "background_0")
    at = np.array([fit.value(n)[0] for n in names])

    def weighted(v: np.ndarray) -> np.ndarray:
        q = np.array([[v[0], v[1], v[2], 0.0, v[3], v[4], v[5]]])
        return (v[6:] @ model.basis(x[None], q, derivatives=False).columns[0]) / np.sqrt(mu)

    scale = np.maximum(np.abs(at), 0.1)
    jacobian = numerical_jacobian(weighted, at, scale) * scale
    sigma = np.sqrt(np.diag(np.linalg.inv(jacobian.T @ jacobian))) * scale
    np.testing.assert_allclose([fit.sigma(n)[0] for n in names], sigma, rtol=1e-4)
    gradient = jacobian.T @ (y / np.sqrt(mu) - weighted(at))
    # how far the minimum could still be moved, in units of sigma: also the model's own derivatives are exact then
    np.testing.assert_allclose(np.linalg.inv(jacobian.T @ jacobian) @ gradient * scale / sigma, 0.0, atol=1e-4)


def test_smooth_parameter_is_the_dense_least_squares_solution() -> None:
    time = np.array([0.0, 4.0, 10.0, 30.0, 50.0])
    widths = 1.2 + 0.01 * time
    rng = np.random.default_rng(5)
    y = np.array([2000 * pseudo_voigt(X, 192.0, w, MIXING) + 100 for w in widths]) + 10 * rng.normal(size=(5, X.size))
    model = PatternModel([Component("A")], polynomial=0)
    p = model.make_parameters()
    p["A_center"].set(value=192.1, min=191, max=193)
    fit = fit_series(
        model, p, Series(X, y, variance=100.0, variable=time), scopes={"A_fwhm": Smooth(2)}, weights="given"
    )

    def residual(v: np.ndarray) -> np.ndarray:
        out = []
        for k, t in enumerate(time):
            width = v[2] + (v[3] - v[2]) * t / 50.0
            out.append((y[k] - v[4 + 2 * k] * pseudo_voigt(X, v[0], width, v[1]) - v[5 + 2 * k]) / 10.0)
        return np.concatenate(out)

    dense = dense_fit(residual, np.r_[192.0, 0.3, 1.2, 1.7, np.tile([2000.0, 100.0], 5)])
    assert fit.chi2 == pytest.approx(dense.chi2, rel=1e-10)
    ends = fit.value("A_fwhm")[[0, -1]]
    np.testing.assert_allclose(ends, dense.values[2:4], rtol=1e-6)
    inner = np.outer(1 - time / 50.0, [1, 0]) + np.outer(time / 50.0, [0, 1])
    variance = np.einsum("li,ij,lj->l", inner, dense.covariance[2:4, 2:4], inner)
    np.testing.assert_allclose(fit.sigma("A_fwhm"), np.sqrt(variance), rtol=1e-5)


def test_smooth_with_a_knot_for_every_pattern_is_a_free_parameter() -> None:
    y, mu = profile(6)
    model = b1s_model()
    fits = [
        fit_series(model, anchored(model), Series(X, y, variance=mu), scopes={"shift": scope}, weights="given")
        for scope in ("per_pattern", Smooth(3))
    ]
    assert fits[0].chi2 == pytest.approx(fits[1].chi2, rel=1e-10)
    for name in ("shift", "B_area", "A_fwhm"):
        np.testing.assert_allclose(fits[0].value(name), fits[1].value(name), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(fits[0].sigma(name), fits[1].sigma(name), rtol=1e-4)


def test_tied_parameters_follow_their_formula_with_the_error_of_the_formula() -> None:
    y, mu = profile(7)
    model = b1s_model()
    p = anchored(model)
    p.add("gap", value=0.9, min=0.5, max=1.5)
    p.add("twice", expr="2*gap")
    p["B_center"].set(expr="A_center - gap")
    p["C_center"].set(expr="A_center + twice - 0.6")
    fit = fit_series(model, p, Series(X, y, variance=mu), scopes={"shift": "per_pattern"}, weights="given")

    def residual(v: np.ndarray) -> np.ndarray:
        full = np.r_[CENTRES[0] - v[0], CENTRES[0] + 2 * v[0] - 0.6, v[1:3], 0.0, v[3:]]
        return np.concatenate([(y[k] - curve(full, k)) / np.sqrt(mu[k]) for k in range(L)])

    dense = dense_fit(residual, np.r_[1.0, FWHM, MIXING, start()[5:]])
    sigma = np.sqrt(np.diag(dense.covariance))
    assert fit.chi2 == pytest.approx(dense.chi2, rel=1e-10)
    assert fit.value("gap")[0] == pytest.approx(dense.values[0], abs=1e-5 * sigma[0])
    for name, factor in (("gap", 1.0), ("twice", 2.0), ("B_center", 1.0), ("C_center", 2.0)):
        np.testing.assert_allclose(fit.sigma(name), factor * sigma[0], rtol=1e-5)
    np.testing.assert_allclose(fit.value("C_center"), 192.0 + 2 * fit.value("gap") - 0.6, rtol=1e-12)


def test_prior_is_one_more_measured_point() -> None:
    y, mu = profile(8)
    model = b1s_model()
    known = SHIFTS + np.array([0.02, -0.01, 0.015])
    fit = fit_series(
        model,
        anchored(model),
        Series(X, y, variance=mu, priors={"shift": (known, 0.02), "B_area": (1500.0, [50.0, 80.0, np.inf])}),
        scopes={"shift": "per_pattern"},
        weights="given",
    )

    def residual(v: np.ndarray) -> np.ndarray:
        full = np.insert(v, 4, 0.0)
        points = [(y[k] - curve(full, k)) / np.sqrt(mu[k]) for k in range(L)]
        shifts, areas = v[4::6][:L], v[6::6][:L]
        return np.concatenate([*points, (shifts - known) / 0.02, (areas[:2] - 1500.0) / np.array([50.0, 80.0])])

    dense = dense_fit(residual, np.delete(start(), 4))
    sigma = np.sqrt(np.diag(dense.covariance))
    assert fit.chi2 == pytest.approx(dense.chi2, rel=1e-10)
    assert fit.n_data == y.size + 5
    for level in range(L):
        for k, name in enumerate(OWN):
            i = 4 + 6 * level + k
            assert fit.value(name)[level] == pytest.approx(dense.values[i], abs=1e-5 * sigma[i])
            assert fit.sigma(name)[level] == pytest.approx(sigma[i], rel=1e-5)


def test_prior_of_no_error_fixes_and_of_infinite_error_says_nothing() -> None:
    y, mu = profile(9)
    model = b1s_model()

    def fit(priors=None, **series):
        p = anchored(model)
        if series:
            p["shift"].set(vary=False)
        data = Series(X, y, variance=mu, priors=priors)
        scopes = {} if series else {"shift": "per_pattern"}
        return fit_series(model, p, data, scopes=scopes, weights="given", **series)

    free, nothing = fit(), fit({"shift": (SHIFTS, np.inf)})
    sharp, fixed = fit({"shift": (SHIFTS, 1e-8)}), fit(starts={"shift": SHIFTS})
    for first, second in ((free, nothing), (sharp, fixed)):
        for name in ("B_area", "A_fwhm", "B_center"):
            np.testing.assert_allclose(first.value(name), second.value(name), rtol=1e-6)
            np.testing.assert_allclose(first.sigma(name), second.sigma(name), rtol=1e-5)
    np.testing.assert_allclose(sharp.value("shift"), SHIFTS, atol=1e-8)
    assert nothing.n_data == free.n_data
    assert sharp.sigma("B_area")[0] < 0.9 * free.sigma("B_area")[0]


def test_areas_held_at_zero_are_those_of_a_bounded_dense_fit() -> None:
    x = X
    rng = np.random.default_rng(10)
    mu = 3000 * pseudo_voigt(x, 192.0, FWHM, MIXING) + 200 - 60 * pseudo_voigt(x, 191.0, FWHM, MIXING)
    y = rng.normal(mu, np.sqrt(mu))  # the truth is a little below zero: the bound will be active
    model = b1s_model(("A", "B"), polynomial=0)
    p = b1s_parameters(model, ("A", "B"))
    p["B_center"].set(value=191.0, vary=False)
    fit = fit_series(model, p, Series(x, y, variance=mu), weights="given", nonnegative=True)

    def residual(v: np.ndarray) -> np.ndarray:
        lines = v[3] * pseudo_voigt(x, v[0], v[1], v[2]) + v[4] * pseudo_voigt(x, 191.0, v[1], v[2])
        return (y - lines - v[5]) / np.sqrt(mu)

    low = np.array([190, 0.4, 0.0, 0.0, 0.0, -np.inf])
    high = np.array([194, 4.0, 1.0, np.inf, np.inf, np.inf])
    exact = optimize.least_squares(
        residual, [192.0, 1.5, 0.3, 3000, 10.0, 200.0], bounds=(low, high), x_scale=[1, 1, 1, 1e3, 1e3, 1e2],
        xtol=1e-15, ftol=1e-15, gtol=1e-15,
    )  # fmt: skip
    assert fit.value("B_area")[0] == 0.0
    assert fit.chi2 == pytest.approx(2 * exact.cost, rel=1e-6)
    assert fit.value("A_area")[0] == pytest.approx(exact.x[3], rel=1e-4)
    assert "AT_BOUND:B_area[0]" in fit.flags()
    assert fit.sigma("B_area")[0] > 0


def negative_log_likelihood(v: np.ndarray, y: np.ndarray) -> float:
    own, shape = v[4:].reshape(2, 3), v[:4]
    total = 0.0
    for row, (a, b, c) in zip(y, own * np.array([1000.0, 1000.0, 10.0]), strict=True):
        mu = a * pseudo_voigt(X, shape[0], shape[2], shape[3]) + b * pseudo_voigt(X, shape[1], shape[2], shape[3]) + c
        if (mu <= 0).any():
            return 1e30
        total += float(np.sum(mu - row * np.log(mu)))
    return total


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_poisson_weights_give_the_maximum_of_the_likelihood(scale: float) -> None:
    truth = np.array([[1500.0, 800.0], [900.0, 1300.0]]) * scale
    lines = np.array([pseudo_voigt(X, c, FWHM, MIXING) for c in CENTRES[:2]])
    y = np.random.default_rng(11).poisson(truth @ lines + 40.0 * scale).astype(float)
    model = b1s_model(("A", "B"), polynomial=0)
    fit = fit_series(model, b1s_parameters(model, ("A", "B")), Series(X, y))
    v = np.r_[192.0, 191.0, FWHM, MIXING, np.c_[truth / 1000, [4.0 * scale] * 2].ravel()]
    for _ in range(4):
        v = optimize.minimize(
            negative_log_likelihood, v, args=(y,), method="Nelder-Mead",
            options={"xatol": 1e-10, "fatol": 1e-10, "maxiter": 40000, "maxfev": 40000, "adaptive": True},
        ).x  # fmt: skip
        v = optimize.minimize(negative_log_likelihood, v, args=(y,), method="BFGS", options={"gtol": 1e-7}).x
    found = [fit.value(n)[0] for n in ("A_center", "B_center", "A_fwhm", "A_mixing")]
    errors = [fit.sigma(n)[0] for n in ("A_center", "B_center", "A_fwhm", "A_mixing")]
    for a, b, s in zip(found, v, errors, strict=False):
        assert a == pytest.approx(b, abs=0.003 * s)
    ours = np.r_[
        found, np.c_[fit.value("A_area") / 1e3, fit.value("B_area") / 1e3, fit.value("background_0") / 10].ravel()
    ]
    assert negative_log_likelihood(ours, y) <= negative_log_likelihood(v, y) + 1e-6
    information = numerical_jacobian(
        lambda u: numerical_jacobian(lambda w: np.array([negative_log_likelihood(w, y)]), u, 10.0)[0], ours, 10.0
    )
    expected = np.sqrt(np.diag(np.linalg.inv(information)))[:4]
    np.testing.assert_allclose(errors, expected, rtol=0.15)  # observed against expected information


def test_counts_per_second_with_their_exposure_give_the_fit_of_the_counts() -> None:
    y, _ = profile(12)
    model = b1s_model()
    exposure = np.array([2.0, 0.5, 10.0])
    counts = fit_series(model, anchored(model), Series(X, y), scopes={"shift": "per_pattern"})
    rate = fit_series(
        model, anchored(model), Series(X, y / exposure[:, None], exposure=exposure), scopes={"shift": "per_pattern"}
    )
    assert rate.chi2 == pytest.approx(counts.chi2, rel=1e-9)
    assert rate.bic == pytest.approx(counts.bic, rel=1e-9)
    for name in ("A_area", "B_area", "background_0"):
        np.testing.assert_allclose(rate.value(name) * exposure, counts.value(name), rtol=1e-7)
        np.testing.assert_allclose(rate.sigma(name) * exposure, counts.sigma(name), rtol=1e-6)
    np.testing.assert_allclose(rate.sigma("B_center"), counts.sigma("B_center"), rtol=1e-6)


def unequal() -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(13)
    patterns = []
    for n, (low, high) in ((60, (188.0, 196.0)), (90, (187.0, 197.0)), (75, (187.5, 196.5))):
        x = np.linspace(low, high, n)
        patterns.append((x, rng.poisson(b1s_counts(AREAS[:1], SHIFTS[:1], x=x, step=0.03)[0]).astype(float)))
    return patterns


@pytest.mark.parametrize("active", ["none", "shirley", "tougaard_u2"])
def test_padded_patterns_of_unequal_length_are_fitted_like_each_by_itself(active: str) -> None:
    model = b1s_model(active=active)
    p = b1s_parameters(model)
    free = [n for n, q in p.items() if q.vary and not q.expr]
    joint = fit_series(model, p, Series.from_patterns(unequal()), scopes=dict.fromkeys(free, "per_pattern"))
    for k, (x, y) in enumerate(unequal()):
        single = fit_series(model, p, Series(x, y))
        assert joint.pattern_chi2[k] == pytest.approx(single.chi2, rel=1e-7)
        for name in (*free, "A_area", "background_1"):
            assert joint.value(name)[k] == pytest.approx(single.value(name)[0], abs=1e-4 * single.sigma(name)[0])
            assert joint.sigma(name)[k] == pytest.approx(single.sigma(name)[0], rel=1e-4)
    assert joint.n_data == 60 + 90 + 75


def test_point_not_in_use_is_as_if_it_had_not_been_measured() -> None:
    y, mu = profile(14)
    model = b1s_model(polynomial=0)
    use = np.ones(X.size, bool)
    use[[3, 40, 41, 80]] = False
    broken = y.copy()
    broken[:, ~use] = np.nan
    masked = fit_series(model, anchored(model), Series(X, broken, use=use), scopes={"shift": "per_pattern"})
    short = fit_series(model, anchored(model), Series(X[use], y[:, use]), scopes={"shift": "per_pattern"})
    assert masked.n_data == short.n_data == 3 * (X.size - 4)
    assert masked.chi2 == pytest.approx(short.chi2, rel=1e-8)
    for name in ("A_area", "shift", "B_center"):
        np.testing.assert_allclose(masked.value(name), short.value(name), rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(masked.sigma(name), short.sigma(name), rtol=1e-6)
    assert (masked.residual[:, ~use] == 0).all()
    assert np.isfinite(masked.bic)
    assert masked.bic == pytest.approx(short.bic, rel=1e-8)
    assert mu.shape == y.shape


def test_offset_is_subtracted_but_keeps_its_noise() -> None:
    y, mu = profile(15)
    model = b1s_model(polynomial=-1)
    known = np.array([baseline(X, 200.0, 20.0)] * L)
    given = fit_series(
        model,
        anchored(model),
        Series(X, y, variance=mu, offset=known),
        scopes={"shift": "per_pattern"},
        weights="given",
    )
    subtracted = fit_series(
        model, anchored(model), Series(X, y - known, variance=mu), scopes={"shift": "per_pattern"}, weights="given"
    )
    assert given.chi2 == pytest.approx(subtracted.chi2, rel=1e-10)
    np.testing.assert_allclose(given.value("B_area"), subtracted.value("B_area"), rtol=1e-8)
    np.testing.assert_allclose(given.expected, subtracted.expected + known, rtol=1e-8)
    poisson = fit_series(model, anchored(model), Series(X, y, offset=known), scopes={"shift": "per_pattern"})
    np.testing.assert_allclose(poisson.sigma("B_area"), given.sigma("B_area"), rtol=0.03)
    np.testing.assert_allclose(poisson.root_weight, 1 / np.sqrt(poisson.expected), rtol=1e-6)


def test_column_from_the_data_is_one_more_linear_term() -> None:
    y, mu = profile(16)
    model = b1s_model(polynomial=0)
    u = baseline(X, 0.0, 1.0)
    column = fit_series(
        model, anchored(model), Series(X, y, variance=mu, columns={"tilt": u}), scopes={"shift": "per_pattern"},
        weights="given",
    )  # fmt: skip
    line = b1s_model(polynomial=1)
    built_in = fit_series(
        line, anchored(line), Series(X, y, variance=mu), scopes={"shift": "per_pattern"}, weights="given"
    )
    assert column.chi2 == pytest.approx(built_in.chi2, rel=1e-10)
    assert "tilt" in column.names
    np.testing.assert_allclose(column.value("tilt"), built_in.value("background_1"), rtol=1e-6)
    np.testing.assert_allclose(column.sigma("tilt"), built_in.sigma("background_1"), rtol=1e-6)
    lines, background = column.component_curves()
    np.testing.assert_allclose(background, column.expected - sum(lines.values()), rtol=1e-12)


def test_doublet_is_two_tied_lines() -> None:
    x = np.linspace(440.0, 460.0, 160)
    truth = 3000 * (pseudo_voigt(x, 445.0, 1.3, 0.3) + 0.6667 * pseudo_voigt(x, 452.55, 1.3, 0.3)) + 100
    y = np.random.default_rng(17).poisson(truth).astype(float)
    model = PatternModel([Component("In", doublet=True)], polynomial=0)
    p = model.make_parameters()
    p["In_center"].set(value=445.2, min=443, max=447)
    p["In_splitting"].set(value=7.5, vary=True, min=7, max=8)
    p["In_ratio"].set(value=0.6667, vary=False)
    fit = fit_series(model, p, Series(x, y))
    assert abs(fit.value("In_splitting")[0] - 7.55) < 4 * fit.sigma("In_splitting")[0]
    two = b1s_model(("A", "B"), polynomial=0)
    q = two.make_parameters()
    q["A_center"].set(value=445.2, min=443, max=447)
    q["B_center"].set(value=452.5, min=450, max=455)
    q["B_fwhm"].set(expr="A_fwhm")
    q["B_mixing"].set(expr="A_mixing")
    free = fit_series(two, q, Series(x, y))
    assert free.chi2 <= fit.chi2 * (1 + 1e-9)
    assert fit.chi2 - free.chi2 < 12  # one parameter more
    assert fit.n_free == free.n_free - 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.zeros((2, 2, 2, 2))}, "series"),
        ({"x": np.arange(5.0)}, "points"),
        ({"y": np.full(X.size, np.nan)}, "not a number"),
        ({"x": np.full(X.size, np.inf)}, "not a number"),
        ({"variance": np.zeros(X.size)}, "variance"),
        ({"variance": np.ones(7)}, "variance"),
        ({"exposure": 0.0}, "exposure"),
        ({"offset": np.ones(3)}, "offset"),
        ({"columns": {"s": np.ones(3)}}, "column 's'"),
        ({"variable": np.ones(9)}, "variable"),
        ({"priors": {"A_center": (192.0, 0.0)}}, "prior"),
        ({"priors": {"nobody": (192.0, 1.0)}}, "nobody"),
    ],
)
def test_series_that_does_not_fit_together_is_refused(change: dict, message: str) -> None:
    y, _ = profile()
    model = b1s_model()
    with pytest.raises(FitError, match=message):
        fit_series(model, b1s_parameters(model), Series(**{"x": X, "y": y[0], **change}))


def test_given_weights_need_a_variance_and_a_batch_needs_its_shape() -> None:
    y, _ = profile()
    model = b1s_model()
    with pytest.raises(FitError, match="variance"):
        fit_series(model, b1s_parameters(model), Series(X, y), weights="given")
    with pytest.raises(FitError, match="batch"):
        fit_batch(model, b1s_parameters(model), Series(X, y))


@pytest.mark.parametrize("scope", ["shared", "per_pattern", Smooth(2)])
def test_prior_of_a_helper_enters_as_the_update_of_gaussians(scope: Scope) -> None:
    """Straight lines whose slope is twice a helper: the answer is that of linear algebra."""
    x, said, spread = np.linspace(0.0, 3.0, 7), np.array([0.4, 0.9, 0.5]), np.array([0.05, np.inf, 0.2])
    y = 1.2 * x + np.random.default_rng(3).normal(0.0, 0.3, (3, x.size))
    p = lmfit.Parameters()
    p.add("half", value=0.1)
    p.add("slope", expr="2 * half")
    fit = fit_series(
        ExpressionModel({}, offset="slope * x"),
        p,
        Series(x, y, variance=0.09, variable=[0.0, 1.0, 3.0], priors={"half": (said, spread)}),
        scopes={"half": scope},
        weights="given",
    )
    free = {"shared": np.ones((3, 1)), "per_pattern": np.eye(3)}
    nodes = free[scope] if isinstance(scope, str) else np.array([[1, 0], [2 / 3, 1 / 3], [0, 1]])
    design = np.concatenate([2.0 * np.kron(nodes, x[:, None]) / 0.3, nodes / spread[:, None]])
    covariance = np.linalg.inv(design.T @ design)
    half = nodes @ covariance @ design.T @ np.concatenate([y.ravel() / 0.3, said / spread])
    sigma = np.sqrt(np.diag(nodes @ covariance @ nodes.T))
    np.testing.assert_allclose(fit.value("half"), half, rtol=1e-7)
    np.testing.assert_allclose(fit.sigma("half"), sigma, rtol=1e-9)
    np.testing.assert_allclose(fit.sigma("slope"), 2.0 * sigma, rtol=1e-9)
    assert fit.n_data == y.size + 2


def test_what_all_patterns_share_is_known_once() -> None:
    value, sigma = known_once(0.5, 0.1, 4)
    np.testing.assert_array_equal(value, 0.5)
    np.testing.assert_array_equal(sigma, [0.1, np.inf, np.inf, np.inf])


def test_share_of_a_variance_that_a_parameter_causes_is_what_holding_it_removes() -> None:
    y, mu = profile(11)
    model = b1s_model()
    free = anchored(model)
    free["shift"].set(vary=False, value=0.0)
    fit = fit_series(model, free, Series(X, y, variance=mu), weights="given")
    held = free.copy()
    held["A_fwhm"].set(vary=False, value=float(fit.value("A_fwhm")[0]))
    known = fit_series(model, held, Series(X, y, variance=mu), weights="given")
    areas = [f"{name}_area" for name in NAMES]
    for fractions in (False, True):
        ends = [
            np.einsum("klkl->kl", one.fractions(areas)[1] if fractions else one.covariance(areas))
            for one in (fit, known)
        ]
        share = fit.due_to(["A_fwhm"], areas, fractions=fractions)
        np.testing.assert_allclose(1.0 - share, ends[1] / ends[0], rtol=1e-3)
        assert share.max() > 0.01
    np.testing.assert_array_equal(fit.due_to([], areas), 0.0)


def test_a_fit_whose_weights_do_not_settle_ends_after_a_bounded_number_of_rounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = np.linspace(186.0, 198.0, 121)
    mu = 200.0 + 9000.0 * np.exp(-4.0 * np.log(2.0) * ((x - 192.0) / 1.2) ** 2)
    model = PatternModel([Component("a")])
    parameters = model.make_parameters()
    parameters["a_center"].set(value=190.2, min=188.0, max=196.0)
    parameters["a_fwhm"].set(value=3.0, min=0.3, max=5.0)
    rounds = []
    monkeypatch.setattr(weighting, "minimise", lambda *given: rounds.append(1) or minimise(*given))
    few = Tolerances(max_iterations=1, retries=False)
    fit = fit_series(model, parameters, Series(x, np.random.default_rng(3).poisson(mu).astype(float)), tolerances=few)
    assert not fit.converged
    assert len(rounds) <= weighting.BUDGET + 1
