"""Bootstrap and profile likelihood: equal to the covariance where it is right, right where it is not."""

from __future__ import annotations

import lmfit
import numpy as np
import pytest
from expression_model import ExpressionModel
from fit_oracles import axis, b1s_counts, b1s_model, b1s_parameters
from pydantic import ValidationError

from layerscope.errors import FitError
from layerscope.fitting import Series, SeriesFit, fit_batch, fit_series
from layerscope.fitting import bootstrap as bootstrap_module
from layerscope.fitting.bootstrap import bootstrap
from layerscope.fitting.errors import ErrorsTable, with_errors
from layerscope.fitting.profile import profile_likelihood
from layerscope.options import RecipeModel

X = np.linspace(0.0, 4.0, 40)
DECAY = ExpressionModel({"amount": "exp(-rate*x)"})
NOISE = 0.25


def rate(**more: float) -> lmfit.Parameters:
    parameters = lmfit.Parameters()
    parameters.add("rate", value=1.0, **more)
    return parameters


def decays(seed: int, groups: int) -> np.ndarray:
    """Patterns whose rate is hardly known: its misfit is no parabola."""
    return np.exp(-1.5 * X) + NOISE * np.random.default_rng(seed).normal(size=(groups, 1, X.size))


def spread(values: np.ndarray) -> np.ndarray:
    """Half the width of what holds the middle 68.27 %."""
    low, high = np.quantile(values, [0.15865, 0.84135], axis=0)
    return np.asarray(0.5 * (high - low))


def straight_line(noise: float = 0.3, stated: float = 0.3, relative: bool | None = None) -> SeriesFit:
    y = 2.0 + 0.7 * X + noise * np.random.default_rng(1).normal(size=(3, X.size))
    model = ExpressionModel({"start": "1 + 0*x", "slope": "x"})
    series = Series(X, y, variance=stated**2, relative=relative)
    return fit_series(model, lmfit.Parameters(), series, weights="given")


def depth_profile(strength: float = 1.0) -> SeriesFit:
    areas = strength * np.array([[900.0, 300.0, 60.0], [700.0, 500.0, 40.0], [400.0, 700.0, 0.0]])
    y = np.random.default_rng(4).poisson(b1s_counts(areas, np.array([0.0, 0.1, -0.1]))).astype(float)
    model = b1s_model()
    parameters = b1s_parameters(model)
    parameters["A_center"].set(value=192.0, vary=False)
    parameters["shift"].set(vary=True, min=-0.6, max=0.6)
    return fit_series(model, parameters, Series(axis(), y), scopes={"shift": "per_pattern"})


def test_all_errors_of_a_straight_line_agree() -> None:
    fit = straight_line()
    repeated, profiled = bootstrap(fit, draws=2000), profile_likelihood(fit)
    for name in ("start", "slope"):
        np.testing.assert_allclose(repeated.sigma(name), fit.sigma(name), rtol=0.08)
        low, high = profiled.interval(name)  # type: ignore[misc]
        np.testing.assert_allclose(high - fit.value(name), fit.sigma(name), rtol=2e-3)
        np.testing.assert_allclose(fit.value(name) - low, fit.sigma(name), rtol=2e-3)
        np.testing.assert_array_equal(profiled.sigma(name), fit.sigma(name))


def test_errors_of_strong_lines_with_counting_noise_agree() -> None:
    fit = depth_profile(strength=20.0)
    repeated = bootstrap(fit, draws=300)
    for name in ("A_area", "B_area", "A_fwhm", "B_center", "shift"):
        np.testing.assert_allclose(repeated.sigma(name), fit.sigma(name), rtol=0.15)
    assert (repeated.sigma("A_center") == 0).all()  # held
    assert repeated.sigma_kind == "bootstrap"


def test_bootstrap_knows_the_scatter_at_a_bound_which_the_covariance_does_not() -> None:
    exact = fit_series(DECAY, rate(min=1.5), Series(X, np.exp(-1.5 * X), variance=NOISE**2), weights="given")
    many = fit_batch(DECAY, rate(min=1.5), Series(X, decays(7, 2000), variance=NOISE**2), weights="given")
    scatter = spread(many.value("rate")[many.converged])
    assert exact.sigma("rate")[0] > 1.5 * scatter
    assert bootstrap(exact, draws=2000).sigma("rate")[0] == pytest.approx(scatter, rel=0.12)


def test_profile_intervals_cover_the_truth_as_often_as_they_say() -> None:
    many = fit_batch(DECAY, rate(), Series(X, decays(3, 150), variance=NOISE**2), weights="given")
    inside = []
    for g in np.flatnonzero(many.converged):
        low, high = profile_likelihood(many[g], ["rate"]).interval("rate")  # type: ignore[misc]
        inside.append(low[0] <= 1.5 <= high[0])
    assert np.mean(inside) == pytest.approx(0.6827, abs=2.5 * np.sqrt(0.68 * 0.32 / len(inside)))


def test_ends_of_a_profile_are_where_the_misfit_has_risen_by_one() -> None:
    fit = fit_series(DECAY, rate(), Series(X, decays(3, 1)[0], variance=NOISE**2), weights="given")
    low, high = profile_likelihood(fit, ["rate"]).interval("rate")  # type: ignore[misc]
    assert high[0] - fit.value("rate")[0] > 1.1 * (fit.value("rate")[0] - low[0])
    for end in (low[0], high[0]):
        held = rate()
        held["rate"].set(value=end, vary=False)
        again = fit_series(DECAY, held, Series(X, decays(3, 1)[0], variance=NOISE**2), weights="given")
        assert again.chi2 - fit.chi2 == pytest.approx(0.99998, abs=5e-3)


def test_profile_of_a_series_pins_what_is_shared_in_all_levels_and_an_area_in_its_own() -> None:
    fit = depth_profile()
    profiled = profile_likelihood(fit, ["A_fwhm", "B_area", "C_area"])
    low, high = profiled.interval("A_fwhm")  # type: ignore[misc]
    assert np.ptp(high) == 0
    np.testing.assert_allclose(0.5 * (high - low), fit.sigma("A_fwhm"), rtol=0.1)
    low, high = profiled.interval("B_area")  # type: ignore[misc]
    np.testing.assert_allclose(0.5 * (high - low), fit.sigma("B_area"), rtol=0.1)
    assert profiled.interval("A_area") is None


def test_profile_ends_at_a_bound() -> None:
    y = np.random.default_rng(0).normal(size=X.size) * NOISE + 1.0
    fit = fit_series(DECAY, rate(min=0.0, max=3.0), Series(X, y, variance=NOISE**2), weights="given")
    low, high = profile_likelihood(fit, ["rate"]).interval("rate")  # type: ignore[misc]
    assert fit.value("rate")[0] < fit.sigma("rate")[0]
    assert low[0] == 0.0
    assert high[0] - fit.value("rate")[0] == pytest.approx(fit.sigma("rate")[0], rel=0.5)


def test_noise_that_is_known_but_for_a_factor_is_scaled_in_all_errors() -> None:
    fit = straight_line(noise=0.6, relative=True)
    np.testing.assert_allclose(bootstrap(fit, draws=1000).sigma("slope"), fit.sigma("slope"), rtol=0.1)
    low, high = profile_likelihood(fit, ["slope"]).interval("slope")  # type: ignore[misc]
    np.testing.assert_allclose(0.5 * (high - low), fit.sigma("slope"), rtol=2e-3)


def test_covariances_and_fractions_follow_the_bootstrap() -> None:
    fit, names = depth_profile(), ["A_area", "B_area", "C_area"]
    repeated = bootstrap(fit, draws=300)
    sigma = np.stack([repeated.sigma(n) for n in names])
    covariance = repeated.covariance(names)
    np.testing.assert_allclose(np.einsum("klkl->kl", covariance), sigma**2, rtol=1e-9)
    np.testing.assert_allclose(repeated.covariance_within(names), np.einsum("albl->lab", covariance), rtol=1e-9)
    assert (np.linalg.eigvalsh(covariance.reshape(9, 9)) > 0).all()
    values, covered = repeated.fractions(names)
    np.testing.assert_allclose(values, fit.fractions(names)[0])
    drawn = np.stack([repeated.draws[n] for n in names])
    np.testing.assert_allclose(
        np.sqrt(np.einsum("klkl->kl", covered)), spread(np.moveaxis(drawn / drawn.sum(axis=0), 1, 0)), rtol=1e-9
    )


def test_what_all_levels_have_in_common_cancels_in_the_bootstrap_as_well() -> None:
    # where the four lines lie together is hardly known, by how much they lie apart is known well
    own = np.array([0.0, 0.3, -0.2, 0.1])
    y = 50.0 * np.exp(-((X - 2.0 - own[:, None]) ** 2)) + np.random.default_rng(2).normal(size=(4, X.size))
    parameters = lmfit.Parameters()
    parameters.add("zero", value=2.0)
    parameters.add("own", value=0.0)
    fit = fit_series(
        ExpressionModel({"height": "exp(-(x - zero - own)**2)"}),
        parameters,
        Series(X, y, variance=1.0, priors={"own": (0.0, 0.5)}),
        scopes={"own": "per_pattern"},
        weights="given",
    )
    difference = np.array([-1.0, 1.0, 0.0, 0.0])
    plain, drawn = (difference @ f.covariance(["own"])[0, :, 0] @ difference for f in (fit, bootstrap(fit)))
    assert plain < 0.01 * fit.sigma("own")[0] ** 2
    assert drawn == pytest.approx(plain, rel=0.4)


def test_repetitions_depend_on_the_seed_and_on_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = straight_line()
    once, other = bootstrap(fit, draws=60, seed=5), bootstrap(fit, draws=60, seed=6)
    monkeypatch.setattr(bootstrap_module, "VALUES_AT_ONCE", 500)
    pieces = bootstrap(fit, draws=60, seed=5)
    np.testing.assert_allclose(pieces.draws["slope"], once.draws["slope"], rtol=1e-12)
    assert not np.allclose(other.draws["slope"], once.draws["slope"])


def test_what_a_prior_says_counts_in_all_errors() -> None:
    model = ExpressionModel({"start": "1 + 0*x", "slope": "x"})
    y = 2.0 + 0.7 * X + 0.3 * np.random.default_rng(1).normal(size=X.size)
    series = Series(X, y, variance=0.09, priors={"slope": (0.75, 0.03)})
    fit = fit_series(model, lmfit.Parameters(), series, weights="given")
    alone = fit_series(model, lmfit.Parameters(), Series(X, y, variance=0.09), weights="given")
    assert fit.sigma("slope")[0] < 0.8 * alone.sigma("slope")[0]
    np.testing.assert_allclose(bootstrap(fit, draws=1000).sigma("slope"), fit.sigma("slope"), rtol=0.1)
    low, high = profile_likelihood(fit).interval("slope")  # type: ignore[misc]
    np.testing.assert_allclose(high - fit.value("slope"), fit.sigma("slope"), rtol=2e-3)
    np.testing.assert_allclose(fit.value("slope") - low, fit.sigma("slope"), rtol=2e-3)


def test_parameter_that_is_held_has_no_profile() -> None:
    with pytest.raises(FitError, match="held"):
        profile_likelihood(depth_profile(), ["A_center"])


class Recipe(RecipeModel):
    """A recipe with the key."""

    errors: ErrorsTable = ErrorsTable()


def test_recipe_asks_for_errors_by_their_kind() -> None:
    fit = straight_line()
    assert with_errors(fit, ErrorsTable()) is fit
    assert with_errors(fit, ErrorsTable(kind="bootstrap", draws=50)).sigma_kind == "bootstrap"
    assert with_errors(fit, ErrorsTable(kind="profile")).interval("slope") is not None
    with pytest.raises(ValidationError):
        ErrorsTable(kind="guess")  # type: ignore[arg-type]
