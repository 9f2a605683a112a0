"""Elimination of the linear coefficients against ordinary and non-negative least squares."""

from __future__ import annotations

import numpy as np
import pytest
from expression_model import ExpressionModel
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear, nnls

from layerscope.fitting.basis import BasisValues, Derivative
from layerscope.fitting.projection import eliminate, information, reduced


def problem(seed: int, rows: int = 4, m: int = 4, n: int = 30) -> tuple[BasisValues, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(rows, m, n)) + 0.5
    return BasisValues(columns, []), rng.normal(size=(rows, n)), rng.uniform(0.2, 3.0, size=(rows, n))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_coefficients_are_those_of_weighted_least_squares(seed: int, m: int) -> None:
    basis, y, w = problem(seed, m=m)
    solved = eliminate(basis, y, w, None)
    for row in range(len(y)):
        a = (basis.columns[row] * w[row]).T
        c, *_ = np.linalg.lstsq(a, y[row] * w[row], rcond=None)
        np.testing.assert_allclose(solved.coefficients[row], c, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(solved.residual[row], y[row] * w[row] - a @ c, atol=1e-10)
        np.testing.assert_allclose(solved.inverse[row], np.linalg.inv(a.T @ a), rtol=1e-8, atol=1e-12)
        assert solved.chi2[row] == pytest.approx(np.sum((y[row] * w[row] - a @ c) ** 2), rel=1e-10)


def test_ill_conditioned_columns_keep_half_the_digits_that_normal_equations_lose() -> None:
    x = np.linspace(0.0, 1.0, 50)
    columns = np.array([[x**k for k in range(7)]])
    truth = np.array([1.0, -2.0, 3.0, -4.0, 5.0, -6.0, 7.0])
    solved = eliminate(BasisValues(columns, []), truth @ columns[0][None], np.ones((1, 50)), None)
    np.testing.assert_allclose(solved.coefficients[0], truth, rtol=1e-7)


def test_point_of_no_weight_has_no_influence() -> None:
    basis, y, w = problem(1)
    w[:, 7] = 0.0
    first = eliminate(basis, y, w, None)
    y[:, 7] = 1e9
    second = eliminate(basis, y, w, None)
    np.testing.assert_array_equal(first.coefficients, second.coefficients)
    np.testing.assert_array_equal(second.residual[:, 7], 0.0)


def test_scale_of_a_column_only_divides_its_coefficient() -> None:
    basis, y, w = problem(2)
    scale = np.array([1e-9, 1.0, 1e6, 1e12])
    scaled = BasisValues(basis.columns * scale[:, None], [])
    np.testing.assert_allclose(
        eliminate(scaled, y, w, None).coefficients * scale, eliminate(basis, y, w, None).coefficients, rtol=1e-9
    )


def test_offset_is_taken_off_before_the_coefficients_are_found() -> None:
    basis, y, w = problem(3)
    offset = np.random.default_rng(0).normal(size=y.shape)
    with_offset = eliminate(BasisValues(basis.columns, [], offset), y, w, None)
    np.testing.assert_allclose(with_offset.coefficients, eliminate(basis, y - offset, w, None).coefficients, rtol=1e-12)


@pytest.mark.parametrize("kind", ["twice the same", "one is zero", "fewer points than columns"])
def test_undetermined_columns_still_give_the_smallest_residual(kind: str) -> None:
    basis, y, w = problem(4)
    columns = basis.columns.copy()
    if kind == "twice the same":
        columns[:, 3] = columns[:, 1]
    elif kind == "one is zero":
        columns[:, 2] = 0.0
    else:
        w[:, 3:] = 0.0
    solved = eliminate(BasisValues(columns, []), y, w, None)
    assert np.isfinite(solved.coefficients).all()
    for row in range(len(y)):
        a = (columns[row] * w[row]).T
        c, *_ = np.linalg.lstsq(a, y[row] * w[row], rcond=1e-10)
        assert solved.chi2[row] == pytest.approx(np.sum((y[row] * w[row] - a @ c) ** 2), rel=1e-6, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 7))
def test_bounded_coefficients_are_those_of_lawson_and_hanson(seed: int, m: int) -> None:
    basis, y, w = problem(seed, rows=3, m=m)
    solved = eliminate(basis, y, w, np.ones(m, bool))
    for row in range(3):
        c, norm = nnls((basis.columns[row] * w[row]).T, y[row] * w[row])
        np.testing.assert_allclose(solved.coefficients[row], c, rtol=1e-7, atol=1e-9)
        assert solved.chi2[row] == pytest.approx(norm**2, rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.booleans(), min_size=5, max_size=5))
def test_only_the_amounts_are_bounded(seed: int, bounded: list[bool]) -> None:
    basis, y, w = problem(seed, rows=2, m=5)
    solved = eliminate(basis, y, w, np.array(bounded))
    for row in range(2):
        low = np.where(bounded, 0.0, -np.inf)
        exact = lsq_linear((basis.columns[row] * w[row]).T, y[row] * w[row], (low, np.inf), method="bvls", tol=1e-14)
        np.testing.assert_allclose(solved.coefficients[row], exact.x, rtol=1e-6, atol=1e-8)
        held = (solved.coefficients[row] == 0) & np.array(bounded)
        assert (solved.inverse[row][held] == 0).all()


MODEL = ExpressionModel({"p": "exp(-k1*x)", "q": "x*exp(-k2*x)", "r": "1 + 0*x"}, offset="sin(k1*k2*x)")


def at(q: np.ndarray, y: np.ndarray, w: np.ndarray):
    x = np.linspace(0.0, 3.0, y.shape[-1])[None]
    basis = MODEL.basis(x, q)
    return basis, eliminate(basis, y, w, None)


def projected(q: np.ndarray) -> tuple:
    rng = np.random.default_rng(5)
    y, w = rng.normal(size=(2, 40)), rng.uniform(0.5, 2.0, size=(2, 40))
    basis, solved = at(q, y, w)
    routes = [[(0, None)], [(1, None)]]
    return y, w, solved, information(basis, solved, w, routes, 2)


def test_gradient_is_that_of_the_chi2_left_after_elimination() -> None:
    q = np.array([[0.7, 1.9], [1.1, 0.4]])
    y, w, _, info = projected(q)
    h = 1e-6
    for k in range(2):
        step = np.zeros((1, 2))
        step[0, k] = h
        up, down = (at(q + s * step, y, w)[1].chi2 for s in (1, -1))
        np.testing.assert_allclose(info.gradient[:, k], -(up - down) / (4 * h), rtol=1e-6, atol=1e-8)


def test_curvature_is_that_of_the_jacobian_with_the_columns_projected_out() -> None:
    q = np.array([[0.7, 1.9], [1.1, 0.4]])
    _, _, solved, info = projected(q)
    for row in range(2):
        a = solved.columns[row].T
        projector = np.eye(a.shape[0]) - a @ np.linalg.pinv(a)
        jacobian = info.jacobian[row].T
        np.testing.assert_allclose(reduced(info, solved).curvature[row], jacobian.T @ projector @ jacobian, rtol=1e-8)


@pytest.mark.parametrize("gap", [1e-3, 1e-4, 1e-5, 1e-6])
def test_slope_and_curvature_keep_their_digits_where_two_columns_are_nearly_alike(gap: float) -> None:
    x = np.linspace(0.0, 3.0, 40)
    model = ExpressionModel({"p": "exp(-k1*x)", "q": "exp(-k2*x)"})
    y = np.random.default_rng(3).normal(size=(1, 40))
    basis = model.basis(x[None], np.array([[0.7, 0.7 + gap]]))
    solved = eliminate(basis, y, np.ones((1, 40)), None)
    sums = reduced(information(basis, solved, np.ones((1, 40)), [[(0, None)], [(1, None)]], 2), solved)
    gradient, curvature, apart = sums.gradient, sums.curvature, sums.apart
    # the same span from columns that are not alike: the line and the difference quotient of the two
    line, quotient = np.exp(-0.7 * x), np.exp(-0.7 * x) * np.expm1(-gap * x) / gap
    span = np.linalg.qr(np.stack([line, quotient], axis=1))[0]
    along = np.linalg.lstsq(np.stack([line, quotient], axis=1), y[0], rcond=None)[0]
    c = np.array([along[0] - along[1] / gap, along[1] / gap])
    np.testing.assert_allclose(solved.coefficients[0], c, rtol=1e-14 / gap + 1e-9)
    jacobian = np.stack([-c[0] * x * line, -c[1] * x * (line + gap * quotient)])
    rest = jacobian - (jacobian @ span) @ span.T
    np.testing.assert_allclose(curvature[0], rest @ rest.T, rtol=5e-14 / gap**2 + 1e-9)
    np.testing.assert_allclose(gradient[0], rest @ y[0], rtol=5e-14 / gap**2 + 1e-9)
    assert apart[0] == pytest.approx(min(np.diag(rest @ rest.T) / np.diag(jacobian @ jacobian.T)), rel=1e-2)


def test_routes_carry_slopes_to_the_free_parameters() -> None:
    rng = np.random.default_rng(5)
    q, y, w = np.array([[0.7, 1.9], [1.1, 0.4]]), rng.normal(size=(2, 40)), np.ones((2, 40))
    basis, solved = at(q, y, w)
    plain = information(basis, solved, w, [[(0, None)], [(1, None)]], 2).jacobian
    slope = np.array([2.0, -3.0])
    tied = information(basis, solved, w, [[(0, None)], [(0, slope)]], 1).jacobian
    np.testing.assert_allclose(tied[:, 0], plain[:, 0] + slope[:, None] * plain[:, 1], rtol=1e-12)


def test_derivatives_of_the_columns_are_those_of_finite_differences() -> None:
    q = np.array([[0.7, 1.9], [1.1, 0.4]])
    x = np.linspace(0.1, 3.0, 9)[None]
    basis = MODEL.basis(x, q)
    assert all(isinstance(d, Derivative) for d in basis.derivatives)
    dense = np.zeros((2, 2, 3, 9))
    for parameter, column, values in basis.derivatives:
        dense[parameter, :, column] += values
    offset = np.zeros((2, 2, 9))
    for parameter, values in basis.offset_derivatives:
        offset[parameter] += values
    h = 1e-6
    for k in range(2):
        step = np.zeros((1, 2))
        step[0, k] = h
        up, down = (MODEL.basis(x, q + s * step, derivatives=False) for s in (1, -1))
        np.testing.assert_allclose(dense[k], (up.columns - down.columns) / (2 * h), atol=1e-8)
        np.testing.assert_allclose(offset[k], (up.offset - down.offset) / (2 * h), atol=1e-8)
