"""Polynomial and Shirley backgrounds and running integrals, against naive loops, closed forms and synthetic truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, special

from layerscope.errors import FitError
from layerscope.fitting.backgrounds import cumulative_matrix, static_shirley
from layerscope.fitting.model import legendre
from layerscope.fitting.shapes import PseudoVoigt

BE = np.linspace(185.0, 200.0, 301)


def gaussian(x: np.ndarray, center: float = 191.0, fwhm: float = 1.5) -> np.ndarray:
    return np.exp(-4.0 * np.log(2.0) * ((x - center) / fwhm) ** 2)


def irregular(points: int) -> np.ndarray:
    rng = np.random.default_rng(11)
    return 185.0 + np.cumsum(rng.uniform(0.3, 1.7, points)) * 15.0 / points


def cumulative_integral(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray(y @ cumulative_matrix(x).T)


def naive_shirley(x: np.ndarray, y: np.ndarray, end_points: int, rounds: int) -> np.ndarray:
    """The textbook iteration as two nested loops."""
    low, high = sum(y[:end_points]) / end_points, sum(y[-end_points:]) / end_points
    b = [low + (high - low) * (xi - x[0]) / (x[-1] - x[0]) for xi in x]
    for _ in range(rounds):
        new = []
        for i in range(len(x)):
            left = total = 0.0
            for j in range(len(x) - 1):
                panel = 0.5 * (y[j] - b[j] + y[j + 1] - b[j + 1]) * (x[j + 1] - x[j])
                total += panel
                if j < i:
                    left += panel
            new.append(low + (high - low) * left / total)
        b = new
    return np.array(b)


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_polynomial_background_spans_all_polynomials_of_its_degree(degree: int) -> None:
    x = irregular(40)
    basis = legendre(x[None], degree)
    assert basis.shape == (1, degree + 1, 40)
    target = (x - 190.0) ** degree + 3.0
    coefficients = np.linalg.lstsq(basis[0].T, target, rcond=None)[0]
    np.testing.assert_allclose(basis[0].T @ coefficients, target, rtol=1e-10, atol=1e-9)


def test_polynomial_background_is_legendre_on_the_scaled_axis_of_each_row() -> None:
    x = np.stack([np.linspace(185.0, 200.0, 11), np.linspace(-3.0, 1.0, 11)])
    u = np.linspace(-1.0, 1.0, 11)
    basis = legendre(x, 2)
    for row in basis:
        np.testing.assert_allclose(row, [np.ones(11), u, 1.5 * u**2 - 0.5], atol=1e-12)


@pytest.mark.parametrize("points", [2, 3, 4, 9])
def test_cumulative_integral_is_exact_for_polynomials_up_to_the_third_degree(points: int) -> None:
    x = irregular(points)
    degree = min(points - 1, 3)
    polynomial = np.polynomial.Polynomial(np.arange(1.0, degree + 2.0)[: degree + 1])
    whole = polynomial.integ()
    expected = whole(x - 190.0) - whole(x[0] - 190.0)
    np.testing.assert_allclose(cumulative_integral(x, polynomial(x - 190.0)), expected, rtol=1e-9, atol=1e-9)


def test_cumulative_integral_converges_with_the_fourth_power_of_the_step() -> None:
    errors = []
    for points in (76, 151, 301):
        x = 185.0 + 15.0 * np.linspace(0.0, 1.0, points) ** 1.4  # uneven, refined as a whole
        scale = 2.0 * np.sqrt(np.log(2.0)) / 1.5
        exact = (
            (special.erf(scale * (x - 191.0)) - special.erf(scale * (x[0] - 191.0))) * np.sqrt(np.pi) / (2.0 * scale)
        )
        errors.append(np.abs(cumulative_integral(x, gaussian(x)) - exact).max())
    assert errors[0] / errors[1] > 12.0
    assert errors[1] / errors[2] > 12.0
    assert errors[2] < 1e-6


def test_cumulative_integral_refuses_an_axis_that_descends() -> None:
    with pytest.raises(FitError, match="ascend"):
        cumulative_matrix(BE[::-1])
    with pytest.raises(FitError, match="ascend"):
        cumulative_matrix(np.array([1.0, 1.0, 2.0]))


def test_static_shirley_is_the_textbook_iteration() -> None:
    x = irregular(50)
    y = np.random.default_rng(5).poisson(60.0 + 900.0 * gaussian(x) + 40.0 * special.ndtr(x - 191.0)).astype(float)
    ours = static_shirley(x, y, end_points=3, tolerance=1e-13)
    np.testing.assert_allclose(ours.background[0], naive_shirley(x, y, 3, int(ours.iterations[0])), rtol=1e-11)


@pytest.mark.parametrize("strength", [0.08, -0.03])
def test_static_shirley_finds_the_strength_of_an_active_background_of_either_sign(strength: float) -> None:
    peak = 1000.0 * gaussian(BE)
    truth = 50.0 + (60.0 if strength < 0 else 0.0) + strength * cumulative_integral(BE, peak)
    ours = static_shirley(BE, peak + truth)
    np.testing.assert_allclose(ours.background[0], truth, atol=0.05)
    assert ours.strength[0] == pytest.approx(strength, rel=1e-3)


def test_static_shirley_obeys_its_differential_equation() -> None:
    y = 50.0 + 1000.0 * PseudoVoigt().evaluate(BE, [[191.0, 1.5, 0.4]]).value[0] + 40.0 * special.ndtr(BE - 191.0)
    ours = static_shirley(BE, y, end_points=1)
    k = ours.strength[0]

    def slope(x: float, b: np.ndarray) -> np.ndarray:
        return k * (np.interp(x, BE, y) - b)

    solved = integrate.solve_ivp(slope, (BE[0], BE[-1]), [y[0]], t_eval=BE, rtol=1e-8, atol=1e-8, max_step=0.05)
    np.testing.assert_allclose(ours.background[0], solved.y[0], rtol=1e-4)


def test_static_shirley_treats_rows_apart_and_leaves_its_input_alone() -> None:
    y = np.stack([50.0 + a * gaussian(BE) + s * special.ndtr(BE - 191.0) for a, s in ((900, 80), (300, -20), (500, 0))])
    before = y.copy()
    together = static_shirley(BE, y)
    assert np.array_equal(y, before)
    for row in range(3):
        alone = static_shirley(BE, y[row])
        assert together.background[row].tobytes() == alone.background[0].tobytes()
        assert together.iterations[row] == alone.iterations[0]
    assert together.background.shape == (3, 301)


def test_static_shirley_scales_with_the_counts_and_follows_an_offset() -> None:
    y = 50.0 + 900.0 * gaussian(BE) + 80.0 * special.ndtr(BE - 191.0)
    base = static_shirley(BE, y).background
    np.testing.assert_allclose(static_shirley(BE, 7.0 * y).background, 7.0 * base, rtol=1e-9)
    np.testing.assert_allclose(static_shirley(BE, y + 1000.0).background, base + 1000.0, rtol=1e-9)


@pytest.mark.parametrize("spectrum", [np.full(301, 5.0), 500.0 - 100.0 * gaussian(BE)])
def test_static_shirley_refuses_a_spectrum_that_does_not_stand_above_its_background(spectrum: np.ndarray) -> None:
    good = 50.0 + 900.0 * gaussian(BE)
    with pytest.raises(FitError, match="spectrum 1 does not stand above"):
        static_shirley(BE, np.stack([good, spectrum]))


def test_static_shirley_says_when_it_does_not_settle() -> None:
    y = 50.0 + 900.0 * gaussian(BE) + 80.0 * special.ndtr(BE - 191.0)
    with pytest.raises(FitError, match="not settled after 2 iterations"):
        static_shirley(BE, y, max_iterations=2)


@pytest.mark.parametrize("end_points", [0, 200])
def test_static_shirley_refuses_ends_that_are_empty_or_overlap(end_points: int) -> None:
    with pytest.raises(FitError, match="cannot average"):
        static_shirley(BE, gaussian(BE), end_points=end_points)


def test_static_shirley_refuses_counts_that_are_not_numbers_and_axes_that_do_not_fit() -> None:
    bad = gaussian(BE)
    bad[7] = np.nan
    with pytest.raises(FitError, match="not finite"):
        static_shirley(BE, bad)
    with pytest.raises(FitError, match="does not fit"):
        static_shirley(BE[:-1], gaussian(BE))
    with pytest.raises(FitError, match="ascend"):
        static_shirley(BE[::-1], gaussian(BE))


def test_cumulative_integral_agrees_with_the_running_integral_of_the_shape() -> None:
    line = PseudoVoigt().evaluate(BE, [[191.0, 1.5, 0.4]], integral=True)
    assert line.integral is not None
    np.testing.assert_allclose(
        cumulative_integral(BE, line.value[0]), line.integral[0] - line.integral[0, 0], atol=8e-7
    )
