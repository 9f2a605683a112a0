"""Tougaard kernels, operators and static backgrounds, against naive loops, quadrature and synthetic truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate

from layerscope.errors import FitError
from layerscope.fitting.shapes import Gaussian
from layerscope.fitting.tougaard import TOUGAARD_KERNELS, TougaardKernel, static_tougaard, tougaard_operator

BE = np.linspace(185.0, 235.0, 501)
NAMES = sorted(TOUGAARD_KERNELS)


def loss(kernel: TougaardKernel, t: float) -> float:
    if kernel.form == "U2":
        return t / (kernel.c + t * t) ** 2
    return t / ((kernel.c - t * t) ** 2 + kernel.d * t * t)


def irregular(points: int) -> np.ndarray:
    rng = np.random.default_rng(4)
    return 185.0 + np.cumsum(rng.uniform(0.5, 1.5, points)) * 40.0 / points


@pytest.mark.parametrize("name", NAMES)
def test_kernel_is_its_formula_and_its_source_is_stated(name: str) -> None:
    kernel = TOUGAARD_KERNELS[name]
    t = np.linspace(0.0, 80.0, 33)
    np.testing.assert_allclose(kernel.evaluate(t)[0], [loss(kernel, v) for v in t], rtol=1e-13)
    assert kernel.source
    assert "doi" in kernel.source or "unverified" in kernel.source


@pytest.mark.parametrize("name", NAMES)
def test_operator_is_the_integral_over_all_lower_energies(name: str) -> None:
    kernel = TOUGAARD_KERNELS[name]
    x = irregular(400)
    line = Gaussian()
    operator = tougaard_operator(x, kernel)
    ours = operator.matrix @ line.evaluate(x, [[192.0, 1.6]]).value[0]

    def integrand(u: float, at: float) -> float:
        return loss(kernel, at - u) * float(line.evaluate([u], [[192.0, 1.6]], derivatives=False).value[0, 0])

    for i in (60, 150, 280, 399):
        expected = integrate.quad(integrand, x[0], x[i], args=(x[i],), points=[min(192.0, x[i])], epsabs=1e-16)[0]
        assert ours[i] == pytest.approx(expected, rel=2e-4, abs=1e-3 * ours.max() * 1e-2)


def test_operator_is_close_to_the_naive_trapezoid_loop() -> None:
    kernel = TOUGAARD_KERNELS["universal"]
    x = irregular(120)
    s = np.exp(-(((x - 193.0) / 2.0) ** 2))
    naive = np.zeros(120)
    for i in range(120):
        for j in range(i):
            low, high = loss(kernel, x[i] - x[j]) * s[j], loss(kernel, x[i] - x[j + 1]) * s[j + 1]
            naive[i] += 0.5 * (low + high) * (x[j + 1] - x[j])
    np.testing.assert_allclose(tougaard_operator(x, kernel).matrix @ s, naive, atol=5e-3 * naive.max())


def test_operator_converges_with_the_fourth_power_of_the_step() -> None:
    kernel = TOUGAARD_KERNELS["silicon"]

    def at_the_end(points: int) -> float:
        x = 185.0 + 30.0 * np.linspace(0.0, 1.0, points) ** 1.2
        return float((tougaard_operator(x, kernel).matrix @ np.exp(-(((x - 192.0) / 1.5) ** 2)))[-1])

    exact = at_the_end(1201)
    coarse, fine = abs(at_the_end(101) - exact), abs(at_the_end(201) - exact)
    assert coarse / fine > 10.0


@pytest.mark.parametrize("name", ["universal", "polymer", "aluminium"])
def test_derivatives_for_c_and_d_are_exact(name: str) -> None:
    kernel = TOUGAARD_KERNELS[name]
    x = irregular(60)
    operator = tougaard_operator(x, kernel)

    def matrix(c: float, d: float) -> np.ndarray:
        return tougaard_operator(x, TougaardKernel(kernel.form, 1.0, c, d)).matrix

    def derivative(c_step: float, d_step: float) -> np.ndarray:
        near, far = (
            matrix(kernel.c + k * c_step, kernel.d + k * d_step) - matrix(kernel.c - k * c_step, kernel.d - k * d_step)
            for k in (1, 2)
        )
        return (8.0 * near - far) / (12.0 * (c_step + d_step))

    for ours, numeric in (
        (operator.d_c, derivative(1e-3 * kernel.c, 0.0)),
        (operator.d_d, derivative(0.0, 1e-3 * max(kernel.d, 1.0))),
    ):
        np.testing.assert_allclose(ours, numeric, rtol=1e-5, atol=1e-7 * np.abs(numeric).max())


@pytest.mark.parametrize("name", NAMES)
def test_static_background_finds_b_where_the_measured_spectrum_makes_its_own_losses(name: str) -> None:
    kernel = TOUGAARD_KERNELS[name]
    primary = 1000.0 * np.exp(-(((BE - 192.0) / 1.2) ** 2))
    matrix = tougaard_operator(BE, kernel).matrix
    b = 0.4 * kernel.b
    # measured = primary + B T[measured], so that multiple losses are included
    measured = np.linalg.solve(np.eye(BE.size) - b * matrix, primary) + 70.0
    ours = static_tougaard(BE, measured, kernel)
    assert ours.b[0] == pytest.approx(b, rel=1e-3)
    assert ours.offset[0] == pytest.approx(70.0, rel=1e-3)
    np.testing.assert_allclose(measured - ours.background[0], primary, atol=2.0)


def test_static_background_scales_with_the_counts_and_follows_an_offset() -> None:
    kernel = TOUGAARD_KERNELS["universal"]
    y = 900.0 * np.exp(-(((BE - 192.0) / 1.2) ** 2)) + 2.0 * np.clip(BE - 192.0, 0.0, None)
    base = static_tougaard(BE, y, kernel)
    scaled = static_tougaard(BE, np.stack([3.0 * y, y + 500.0]), kernel)
    np.testing.assert_allclose(scaled.background[0], 3.0 * base.background[0], rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(scaled.background[1], base.background[0] + 500.0, rtol=1e-10)
    np.testing.assert_allclose(scaled.b, base.b[0], rtol=1e-9)


def test_static_background_meets_the_data_at_the_high_end() -> None:
    y = 900.0 * np.exp(-(((BE - 192.0) / 1.2) ** 2)) + 2.0 * np.clip(BE - 192.0, 0.0, None)
    ours = static_tougaard(BE, y, TOUGAARD_KERNELS["polymer"], end_points=7)
    assert ours.background[0, -7:].mean() == pytest.approx(y[-7:].mean(), rel=1e-12)


def test_static_background_refuses_a_spectrum_without_losses() -> None:
    with pytest.raises(FitError, match="no losses"):
        static_tougaard(BE, 500.0 - 100.0 * np.exp(-(((BE - 192.0) / 1.2) ** 2)), TOUGAARD_KERNELS["universal"])


def test_static_background_refuses_arrays_that_do_not_fit_or_are_not_numbers() -> None:
    kernel = TOUGAARD_KERNELS["universal"]
    with pytest.raises(FitError, match="does not fit"):
        static_tougaard(BE[:-1], np.ones(BE.size), kernel)
    with pytest.raises(FitError, match="not finite"):
        static_tougaard(BE, np.full(BE.size, np.inf), kernel)
    with pytest.raises(FitError, match="ascend"):
        tougaard_operator(BE[::-1], kernel)
