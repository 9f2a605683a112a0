"""Errors that allow for wrong shapes, on lines whose shape the fit does not know."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from layerscope.fitting import Component, PatternModel, Series, SeriesFit, fit_series
from layerscope.fitting.discrepancy import Discrepancy, estimate, generalised, linear

FloatArray = NDArray[np.float64]
X = np.linspace(-4.0, 4.0, 90)
ROWS = np.arange(30)


def gaussian(center: float, fwhm: float) -> FloatArray:
    y = np.exp(-4 * np.log(2) * ((X - center) / fwhm) ** 2)
    return np.asarray(y / (y.sum() * (X[1] - X[0])))


def lines(rng: np.random.Generator, wrong: float) -> FloatArray:
    """Return counts of two lines whose shapes are off by smooth errors, other ones in each pattern."""
    far = X[:, None] - X
    root = np.linalg.cholesky(np.exp(-0.5 * (far / 0.5) ** 2) + 1e-9 * np.eye(X.size))
    out = []
    for _ in ROWS:
        total = np.full(X.size, 40.0)
        for c in (-0.6, 0.6):
            shape = gaussian(c, 1.2)
            part = shape * (1 + wrong * root @ rng.standard_normal(X.size))
            total = total + 1500.0 * part * shape.sum() / part.sum()
        out.append(rng.poisson(total))
    return np.array(out, float)


def fitted(y: FloatArray) -> SeriesFit:
    model = PatternModel([Component("a", "gaussian"), Component("b", "gaussian")], polynomial=0)
    parameters = model.make_parameters()
    for name, center in (("a", -0.6), ("b", 0.6)):
        parameters[f"{name}_center"].set(value=center, min=center - 0.5, max=center + 0.5)
        parameters[f"{name}_fwhm"].set(value=1.2)
    return fit_series(model, parameters, Series(X, y, variance=np.maximum(y, 1.0)), weights="given")


def corrected(fit: SeriesFit) -> tuple[SeriesFit, Discrepancy]:
    at, (curves, _) = linear(fit), fit.component_curves()
    total = np.asarray(sum(curves.values()))
    found = estimate(at, total, ROWS)
    return generalised(fit, at, [found.roots(at, curve) for curve in curves.values()]), found


def coverage(fit: SeriesFit) -> float:
    pulls = [(fit.value(n) - 1500.0) / fit.sigma(n) for n in ("a_area", "b_area")]
    return float(np.mean(np.abs(pulls) < 1.96))


def test_smooth_errors_of_the_shapes_are_found_and_covered() -> None:
    rng = np.random.default_rng(3)
    plain, allowed = [], []
    for _ in range(4):
        fit = fitted(lines(rng, 0.25))
        better, found = corrected(fit)
        assert 0.1 < found.amplitude < 0.5
        assert 0.2 < found.length < 1.2
        plain.append(coverage(fit))
        allowed.append(coverage(better))
    assert np.mean(plain) < 0.4
    assert np.mean(allowed) > 0.8


def test_where_the_shapes_are_right_errors_stay_what_they_were() -> None:
    fit = fitted(lines(np.random.default_rng(5), 0.0))
    better, found = corrected(fit)
    assert found.amplitude < 0.08
    assert np.all(better.sigma("a_area") < 1.25 * fit.sigma("a_area"))
    assert np.all(np.abs(better.value("a_area") - fit.value("a_area")) < 0.5 * fit.sigma("a_area"))


def test_a_step_without_discrepancy_leaves_the_fit_and_its_errors_alone() -> None:
    fit = fitted(lines(np.random.default_rng(6), 0.0))
    at = linear(fit)
    same = generalised(fit, at, [Discrepancy(0.0, 1.0).roots(at, fit.y)])
    assert np.allclose(same.value("a_area"), fit.value("a_area"), rtol=1e-5)
    assert np.allclose(same.sigma("b_area"), fit.sigma("b_area"), rtol=1e-8)


def test_a_discrepancy_moves_counts_about_and_makes_none() -> None:
    fit = fitted(lines(np.random.default_rng(7), 0.0))
    at, curves = linear(fit), fit.component_curves()[0]
    roots = Discrepancy(0.3, 0.5).roots(at, curves["a"])
    assert np.allclose((roots / fit.root_weight[:, :, None]).sum(axis=1), 0.0, atol=1e-8 * curves["a"].sum())
