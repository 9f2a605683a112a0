"""The edge step: the height, the derivatives, the middle, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from layerscope.errors import FitError
from layerscope.fitting import Component, PatternModel, Series, fit_series
from layerscope.fitting.shapes import EdgeStep, Gaussian, Lorentzian, PseudoVoigt, Voigt

LINES = {
    "gaussian": (Gaussian(), [536.5, 2.5]),
    "lorentzian": (Lorentzian(), [536.5, 1.5]),
    "pseudo_voigt": (PseudoVoigt(), [536.0, 2.0, 0.4]),
    "voigt": (Voigt(), [537.0, 1.4, 0.8]),
}


@pytest.mark.parametrize("name", LINES)
def test_derivatives_of_a_step_agree_with_differences(name: str) -> None:
    line, p = LINES[name]
    step, par, x = EdgeStep(line), np.array([p, p]), np.linspace(520.0, 550.0, 91)
    exact = step.evaluate(x, par).jac
    for k in range(par.shape[1]):
        h = np.zeros_like(par)
        h[:, k] = 1e-4
        above, below = (step.evaluate(x, par + sign * h, derivatives=False).value for sign in (1, -1))
        near = (above - below) / 2e-4
        np.testing.assert_allclose(exact[:, k], near, atol=2e-7)


@pytest.mark.parametrize("name", LINES)
def test_a_step_rises_from_zero_to_one_and_is_half_at_its_center(name: str) -> None:
    line, p = LINES[name]
    low, middle, high = EdgeStep(line).evaluate(np.array([p[0] - 1e6, p[0], p[0] + 1e6]), np.array([p])).value[0]
    assert low == pytest.approx(0.0, abs=1e-5)
    assert middle == pytest.approx(0.5, abs=1e-9)
    assert high == pytest.approx(1.0, abs=1e-5)


def test_the_step_of_a_gaussian_is_an_error_function() -> None:
    x, width = np.linspace(530.0, 543.0, 27), 2.5
    sigma = width / np.sqrt(8.0 * np.log(2.0))
    step = EdgeStep(Gaussian()).evaluate(x, np.array([[536.5, width]])).value[0]
    np.testing.assert_allclose(step, 0.5 * (1.0 + special.erf((x - 536.5) / (np.sqrt(2.0) * sigma))), atol=1e-12)


def test_a_fit_finds_the_height_and_place_of_a_step_under_a_line() -> None:
    x = np.linspace(515.0, 560.0, 226)
    y = 0.3 + 0.8 * (0.5 + np.arctan((x - 537.0) / 0.9) / np.pi) + 2.0 * np.exp(-(((x - 531.0) / 0.7) ** 2))
    model = PatternModel([Component("line", "gaussian"), Component("edge", EdgeStep(Lorentzian()))], polynomial=0)
    parameters = model.make_parameters()
    parameters["line_center"].set(value=530.6)
    parameters["edge_center"].set(value=536.0)
    fit = fit_series(model, parameters, Series(x, y[None]), weights="none")
    assert fit.value("edge_area")[0] == pytest.approx(0.8, abs=1e-6)
    assert fit.value("edge_center")[0] == pytest.approx(537.0, abs=1e-6)
    assert fit.value("edge_fwhm")[0] == pytest.approx(1.8, abs=1e-6)


def test_a_step_refuses_a_running_integral_of_its_own() -> None:
    with pytest.raises(FitError, match="never ends"):
        EdgeStep(Gaussian()).evaluate(np.arange(3.0), np.array([[1.0, 1.0]]), integral=True)
