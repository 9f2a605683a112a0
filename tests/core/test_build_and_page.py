from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from matplotlib.figure import Figure

from layerscope.figures import Column, Curve, Page
from layerscope.fitting import Component, PatternModel, Series, SeriesFit, fit_series
from layerscope.flags import inherited_flags
from layerscope.runs.build import interval, measured, quality_of, upper_limit


@pytest.fixture(scope="module")
def fit() -> SeriesFit:
    """Three levels of a Gaussian on a flat background, without noise, the last points of each not in use."""
    x = np.linspace(-3.0, 3.0, 61)
    line = np.sqrt(4.0 * np.log(2.0) / np.pi) * np.exp(-4.0 * np.log(2.0) * x**2)
    y = np.array([100.0, 400.0, 900.0])[:, None] * line + 50.0
    model = PatternModel([Component("A", "gaussian")])
    use = np.ones_like(y, dtype=bool)
    use[:, -5:] = False
    return fit_series(
        model, model.make_parameters(), Series(x, y, use=use, priors={"A_center": (0.0, [0.1, np.inf, np.inf])})
    )


def test_the_quality_of_a_fit_counts_points_and_parameters_without_priors(fit: SeriesFit) -> None:
    found = quality_of(fit, ("WIDTH_TIED:A",))
    # center and fwhm shared, area and straight background a level; the prior is one more measurement of one of them
    assert found.n_data == 3 * 56
    assert found.n_free == 2 + 3 * (1 + 2) - 1
    assert found.flags == (*fit.flags(), "WIDTH_TIED:A")
    assert found.converged
    assert found.chi2 == pytest.approx(0.0, abs=1e-6)
    assert found.durbin_watson is not None
    assert 0.0 <= found.durbin_watson <= 4.0


def test_the_variance_of_a_poisson_fit_is_the_fitted_curve_and_zero_where_nothing_is_used(fit: SeriesFit) -> None:
    np.testing.assert_allclose(fit.variance[:, :-5], fit.expected[:, :-5], rtol=1e-6)
    assert (fit.variance[:, -5:] == 0.0).all()


def test_the_quality_of_a_level_is_that_of_its_own_points_with_the_flags_of_the_series(fit: SeriesFit) -> None:
    found = quality_of(fit, ("NOT_DETECTED:A",), 1)
    assert found.n_data == 56
    assert found.chi2 == pytest.approx(0.0, abs=1e-6)
    assert found.rwp is None
    assert found.flags == (*inherited_flags(fit.flags(), 1), "NOT_DETECTED:A")
    factors = quality_of(fit, (), 1, r_factors=True)
    assert factors.rwp == pytest.approx(0.0, abs=1e-6)
    signal = float(fit.y[1, :-5].sum())  # of counts: the sum of y^2 / y
    free = (2 + 3 * (1 + 2) - 1) // 3
    assert factors.rexp == pytest.approx(np.sqrt((56 - free) / signal), rel=1e-5)


@dataclass(frozen=True)
class Point:
    value: float | None
    low_68: float | None
    high_68: float | None
    low_95: float | None
    high_95: float | None


def test_an_interval_has_a_best_value_only_where_its_95_percent_are_closed() -> None:
    closed = interval("phase.onset_voltage", Point(4.0, 3.9, 4.2, 3.7, 4.5), "V", "H1-3")
    assert closed is not None
    assert (closed.value, closed.sigma, closed.low, closed.high) == (4.0, pytest.approx(0.15), 3.9, 4.2)
    half_open = interval("phase.onset_voltage", Point(4.0, 3.9, 4.2, None, 4.5), "V", "H1-3")
    assert half_open is not None
    assert (half_open.value, half_open.sigma, half_open.low, half_open.high) == (None, None, 3.9, 4.2)
    assert interval("phase.onset_voltage", Point(4.0, None, None, None, None), "V") is None


def test_the_95_percent_interval_is_kept_beside_that_of_68_and_shown() -> None:
    found = interval("phase.onset_voltage", Point(4.0, 3.9, 4.2, 3.7, 4.5), "V", "H1-3")
    assert found is not None
    assert (found.low_95, found.high_95) == (3.7, 4.5)
    assert found.intervals() == "3.9 to 4.2 (68.3 %), 3.7 to 4.5 (95 %)"
    half_open = interval("phase.onset_voltage", Point(4.0, 3.9, 4.2, None, 4.5), "V", "H1-3")
    assert half_open is not None
    assert half_open.intervals() == "3.9 to 4.2 (68.3 %), < 4.5 (95 %)"
    wider = interval("phase.onset_voltage", Point(4.0, 3.97, 4.03, 3.9, 4.1), "V", part="voltage", extra=0.04)
    assert wider is not None
    assert wider.high_95 == pytest.approx(4.0 + np.hypot(0.1, 1.96 * 0.04), abs=1e-4)


def test_a_further_error_widens_an_interval_and_stands_in_the_budget() -> None:
    found = interval("phase.onset_voltage", Point(4.0, 3.97, 4.03, 3.9, 4.1), "V", part="voltage", extra=0.04)
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(3.95), pytest.approx(4.05))
    assert found.budget == {"fit": pytest.approx(0.03), "voltage": 0.04}


@pytest.mark.parametrize(("value", "sigma"), [(np.nan, 1.0), (1.0, np.inf), (1.0, 0.0), (1.0, np.nan)])
def test_what_has_no_finite_error_is_no_measured_value(value: float, sigma: float) -> None:
    assert measured("peak.area", value, sigma, "counts*eV") is None


def test_a_limit_is_stated_for_an_amount_that_is_not_above_zero() -> None:
    assert upper_limit(5.0, 1.0, 0.95) == {}
    assert upper_limit(5.0, 1.0, 0.95, always=True)["upper_limit"] == pytest.approx(6.96, abs=0.01)
    assert upper_limit(0.0, 1.0, 0.95)["upper_limit"] == pytest.approx(1.96, abs=0.01)  # Feldman and Cousins, table X
    assert upper_limit(-9.0, 1.0, 0.95) == {}  # no noise around nothing


def test_a_page_letters_its_panels_in_turn_and_keeps_every_point() -> None:
    page = Page(Figure())
    axes = page.figure.subplots(1, 2)
    assert [page.panel(axes[0]).letter, page.panel(axes[1], "B 1s").letter] == ["a", "b"]
    assert (axes[0].get_title("left"), axes[1].get_title("left"), axes[1].get_title()) == ("a", "b", "B 1s")
    page.curves.append(Curve("a", "data", np.array([1.0, 2.0]), np.array([3.0, 4.0]), "energy", "eV", "counts", "1"))
    page.columns.append(Column.numbers("a: offset", "1", np.array([0.5])))
    columns = page.table.columns
    assert [list(map(float, c.cells)) for c in columns] == [[1.0, 2.0], [3.0, 4.0], [0.5]]
    assert page.panel(axes[0]).letter == "c"
