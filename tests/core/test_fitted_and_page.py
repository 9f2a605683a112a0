from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from layerscope.figures import Column, Curve, Page
from layerscope.fitting import Component, PatternModel, Series, SeriesFit, fit_series
from layerscope.runs.fitted import fit_quality, record_flag


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
    found = fit_quality(fit, ("AT_BOUND:A_fwhm",))
    # center and fwhm shared, area and straight background a level; the prior is one more measurement of one of them
    assert found.n_data == 3 * 56
    assert found.n_free == 2 + 3 * (1 + 2) - 1
    assert found.flags == ("AT_BOUND:A_fwhm",)
    assert found.converged
    assert found.chi2 == pytest.approx(0.0, abs=1e-6)
    assert found.durbin_watson is not None
    assert 0.0 <= found.durbin_watson <= 4.0


def test_the_variance_of_a_poisson_fit_is_the_fitted_curve_and_zero_where_nothing_is_used(fit: SeriesFit) -> None:
    np.testing.assert_allclose(fit.variance[:, :-5], fit.expected[:, :-5], rtol=1e-6)
    assert (fit.variance[:, -5:] == 0.0).all()


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("NOT_CONVERGED", "NOT_CONVERGED"),
        ("OVERDISPERSED 2.3", "OVERDISPERSED:2.3"),
        ("CORRELATED:a~b 0.98", "CORRELATED:a~b 0.98"),
    ],
)
def test_flags_of_the_engine_take_the_form_of_the_record(text: str, flag: str) -> None:
    assert record_flag(text) == flag


def test_a_page_letters_its_panels_in_turn_and_keeps_every_point() -> None:
    page = Page(Figure())
    axes = page.figure.subplots(1, 2)
    assert [page.letter(axes[0]), page.letter(axes[1], "B 1s")] == ["a", "b"]
    assert (axes[0].get_title("left"), axes[1].get_title("left"), axes[1].get_title()) == ("a", "b", "B 1s")
    page.curves.append(Curve("a", "data", np.array([1.0, 2.0]), np.array([3.0, 4.0]), "energy", "eV", "counts", "1"))
    page.columns.append(Column.numbers("a: offset", "1", np.array([0.5])))
    columns = page.table.columns
    assert [list(map(float, c.cells)) for c in columns] == [[1.0, 2.0], [3.0, 4.0], [0.5]]
    assert page.letter(axes[0]) == "c"
