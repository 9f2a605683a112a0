"""Draws of parameters and amounts: laws with a closed form, and simulated series whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from layerscope.errors import FitError
from layerscope.fitting import Component, PatternModel, Series, fit_series, own_parameter
from layerscope.fitting.marginal import Amounts, Marginal
from layerscope.fitting.sampling import SampledFit, normality, sample
from layerscope.fitting.series_fit import SeriesFit
from layerscope.fitting.spreads import WIDER, Alike, CommonWidth

X = np.arange(184.0, 200.0, 0.2)
PLACES = (190.0, 194.0)
SHIFTS = np.array([-0.25, 0.1, 0.3, -0.05, 0.2, -0.3])


def line(u: np.ndarray) -> np.ndarray:
    gauss = np.exp(-4 * np.log(2) * (u / 1.4) ** 2) * np.sqrt(4 * np.log(2) / np.pi) / 1.4
    return np.asarray(0.7 * gauss + 0.3 / (1.4 * np.pi / 2 * (1 + 4 * (u / 1.4) ** 2)))


def counts(areas: tuple[float, float], seed: int, shifts: np.ndarray) -> np.ndarray:
    curves = [sum(a * line(X - p - s) for a, p in zip(areas, PLACES, strict=True)) + 100.0 for s in shifts]
    return np.random.default_rng(seed).poisson(curves).astype(float)


def fitted(y: np.ndarray, *, shift: float | None = None) -> SeriesFit:
    model = PatternModel([Component("a"), Component("b")])
    parameters = model.make_parameters()
    for name, at in zip("ab", PLACES, strict=True):
        parameters[f"{name}_center"].set(value=at, min=at - 0.5, max=at + 0.5)
        parameters[f"{name}_fwhm"].set(value=1.4, min=0.8, max=2.2)
    parameters["b_mixing"].set(expr="a_mixing")
    if shift is None:
        return fit_series(model, parameters, Series(X, y))
    parameters["shift"].set(vary=True, min=-5.0, max=5.0)
    known = {"shift": (np.zeros(len(y)), np.full(len(y), shift))}
    return fit_series(model, parameters, Series(X, y, priors=known), scopes={"shift": "per_pattern"})


def test_draws_of_well_determined_lines_are_those_of_the_covariance() -> None:
    fit = fitted(counts((4000.0, 3000.0), 1, np.zeros(2)))
    drawn = sample(fit)
    assert drawn.ess > 150
    assert drawn.acceptance > 0.5
    for name in ("a_center", "b_fwhm", "a_area", "b_area"):
        assert np.abs(drawn.value(name) - fit.value(name)).max() < 0.2 * fit.sigma(name).max()
        np.testing.assert_allclose(drawn.sigma(name), fit.sigma(name), rtol=0.15)
    names = ["a_area", "b_area"]
    np.testing.assert_allclose(drawn.fractions(names)[0], fit.fractions(names)[0], atol=0.005)
    assert np.abs(drawn.covariance(names) - fit.covariance(names)).max() < 0.2 * fit.covariance(names).max()


def test_draws_tell_whether_the_covariance_tells_the_distribution() -> None:
    assert normality(fitted(counts((4000.0, 3000.0), 1, np.zeros(2)))) > 0.8
    weak = fitted(counts((60.0, 40.0), 1, np.zeros(2)))
    assert normality(weak) < 0.6


def test_the_likelihood_at_the_fit_is_its_chi2() -> None:
    fit = fitted(counts((4000.0, 3000.0), 1, np.zeros(2)))
    shared = fit.batch.solution.shared
    height, amounts = Marginal(fit)(shared, None)
    np.testing.assert_allclose(height[0, :, 0], -0.5 * fit.pattern_chi2, rtol=1e-9)
    np.testing.assert_allclose(amounts.best[:, 0, :, 0], [fit.value("a_area"), fit.value("b_area")], rtol=1e-9)


@pytest.mark.parametrize("correlation", [-0.8, 0.0, 0.6])
def test_probability_of_no_negative_amount_is_that_of_an_orthant(correlation: float) -> None:
    information = np.linalg.inv([[1.0, correlation], [correlation, 1.0]])
    factor = np.linalg.cholesky(information)[:, :, None]
    amounts = Amounts(np.zeros((2, 1)), factor, np.array([True, True]))
    exact = 0.25 + np.arcsin(correlation) / (2 * np.pi)
    assert np.exp(amounts.log_positive()[0]) == pytest.approx(exact, rel=0.02)
    many = Amounts(np.zeros((2, 4000)), np.repeat(factor, 4000, axis=2), np.array([True, True]))
    drawn = many.draw(np.random.default_rng(0))
    assert drawn.min() >= 0
    free = np.random.default_rng(1).multivariate_normal(np.zeros(2), [[1.0, correlation], [correlation, 1.0]], 200_000)
    free = free[(free > 0).all(axis=1)]
    np.testing.assert_allclose(drawn.mean(axis=1), free.mean(axis=0), atol=0.04)
    np.testing.assert_allclose(drawn.std(axis=1), free.std(axis=0), atol=0.04)


def test_an_amount_that_is_not_there_is_drawn_above_zero() -> None:
    fit = fitted(counts((4000.0, 0.0), 3, np.zeros(2)))
    drawn = sample(fit)
    assert drawn.draws["b_area"].min() >= 0
    low, high = drawn.interval("b_area") or (np.inf, 0.0)
    assert (low <= drawn.value("b_area")).all()
    assert (drawn.value("b_area") <= high).all()


def test_the_same_seed_gives_the_same_draws() -> None:
    fit = fitted(counts((400.0, 300.0), 1, np.zeros(2)))
    once, again, other = sample(fit, seed=4), sample(fit, seed=4), sample(fit, seed=5)
    np.testing.assert_array_equal(once.draws["a_area"], again.draws["a_area"])
    assert not np.array_equal(once.draws["a_area"], other.draws["a_area"])


@cache
def shifted() -> SampledFit:
    fit = fitted(counts((800.0, 600.0), 2, SHIFTS), shift=0.15)
    return sample(fit, CommonWidth("shift", 0.15, 1.5))


def test_the_common_width_of_shifts_is_drawn_with_them() -> None:
    drawn = shifted()
    assert drawn.width is not None
    low, high = np.percentile(drawn.width, [2.5, 97.5])
    assert low < np.sqrt((SHIFTS**2).mean()) < high
    moved = drawn.value("shift") + drawn.value("a_center") - PLACES[0]
    assert np.abs(moved - SHIFTS).max() < 0.2  # a few standard errors


def test_what_shifts_add_to_an_error_is_told_from_the_rest() -> None:
    drawn = shifted()
    part = drawn.due_to(["shift"], ["a_area", "a_center"])
    assert part.shape == (2, len(SHIFTS))
    assert part[0].max() < 0.2 < part[1].min()  # areas of lines apart know nothing of shifts, places do
    assert drawn.due_to([], ["a_area"]).max() == 0.0


def test_two_parameters_of_each_pattern_are_refused() -> None:
    fit = fitted(counts((4000.0, 3000.0), 1, np.zeros(2)))
    setup = fit.batch.setup
    scopes = {"a_center": "per_pattern", "b_center": "per_pattern"}
    more = fit_series(setup.model, setup.parameters, setup.series, scopes=scopes)  # type: ignore[arg-type]
    with pytest.raises(FitError, match="one parameter of their own"):
        sample(more)


def test_few_draws_are_flagged_and_make_errors_wider() -> None:
    drawn = sample(fitted(counts((400.0, 300.0), 1, np.zeros(2))))
    assert not any(flag.startswith("FEW_DRAWS") for flag in drawn.flags())
    few = SampledFit(drawn.batch, drawn.group, drawn.draws, drawn.base, 12.0, 0.01, 0.1)
    assert "FEW_DRAWS:12" in few.flags()


def test_the_prior_of_parameters_that_are_alike_is_as_often_a_wider_one() -> None:
    fit = fitted(counts((400.0, 300.0), 1, np.zeros(2)))
    names = [p.name for p in fit.batch.evaluator.layout.shared]
    shared = np.zeros((3, len(names)))
    shared[:, names.index("a_mixing")] = [0.0, 0.1, 0.4]
    x = shared[:, names.index("a_mixing")] / 0.1
    normal, wide = np.exp(-0.5 * x**2), np.exp(-0.5 * (x / WIDER) ** 2) / WIDER
    found = Alike({"a_mixing": 0.1, "elsewhere": 1.0}).log_ratio(fit, shared)
    np.testing.assert_allclose(found, np.log(0.5 * (normal + wide) / normal))
    assert (Alike({}).log_ratio(fit, shared) == 0.0).all()


def test_an_error_reaches_as_far_as_a_tail_of_the_draws() -> None:
    drawn = shifted()
    rng = np.random.default_rng(0)
    shape = drawn.draws["a_area"].shape
    draws = {"a_area": rng.exponential(1.0, shape), "b_area": rng.standard_normal(shape)}
    drawn = replace(drawn, draws=draws)
    np.testing.assert_allclose(drawn.sigma("b_area"), 1.0, atol=0.2)
    reach = (np.log(1.0 / 0.005) - 1.0) / 2.58  # from the mean of an exponential distribution to its 99.5 % point
    assert drawn.sigma("a_area").mean() == pytest.approx(reach, rel=0.1)
    np.testing.assert_allclose(np.diag(drawn.covariance(["a_area"])[0, :, 0, :]), drawn.sigma("a_area") ** 2, rtol=0.01)
    np.testing.assert_allclose(drawn.covariance_within(["a_area"])[:, 0, 0], drawn.sigma("a_area") ** 2, rtol=0.01)


def test_many_patterns_that_share_their_places_are_drawn_as_each_is_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    shifts = np.random.default_rng(5).uniform(-0.3, 0.3, 20)
    y = np.concatenate([counts((150.0, a), k, shifts[k : k + 1]) for k, a in enumerate(np.linspace(0.0, 90.0, 20))])
    fit = fitted(y, shift=0.3)
    alone = sample(fit)
    monkeypatch.setattr(own_parameter, "MANY_PATTERNS", 10)
    together = sample(fit)
    assert together.ess == pytest.approx(alone.ess, rel=0.01)  # the likelihood is the same
    for name in ("a_area", "b_area", "shift", "b_center", "a_fwhm"):
        away = (together.value(name) - alone.value(name)) / alone.sigma(name)
        assert abs(away.mean()) < 0.03
        assert np.abs(away).max() < 0.25
        np.testing.assert_allclose((together.sigma(name) / alone.sigma(name)).mean(), 1.0, atol=0.05)
    shares, variance = together.fractions_within(["a_area", "b_area"])
    truth = np.linspace(0.0, 90.0, 20) / (150.0 + np.linspace(0.0, 90.0, 20))
    assert np.mean(np.abs(shares[1] - truth) < 1.96 * np.sqrt(variance[1])) >= 0.8
