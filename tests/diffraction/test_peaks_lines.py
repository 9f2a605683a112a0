"""Line shapes of diffraction: against brute-force convolution, Bragg's law and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from layerscope.diffraction.peaks.axial import axial_rule
from layerscope.diffraction.peaks.bragg import d_from_two_theta, second_line, two_theta_from_d
from layerscope.diffraction.peaks.lines import DiffractionLine
from layerscope.diffraction.radiation import Radiation, tube_radiation
from layerscope.diffraction.widths import tch_width_and_mixing
from scipy import integrate, special

from layerscope.errors import DataError, FitError
from layerscope.fitting import Component, PatternModel, Series, fit_series

CU = tube_radiation("Cu")
ONE = Radiation(1.5405929)


def pseudo_voigt(t, width, mixing):
    g = 2 / width * np.sqrt(np.log(2) / np.pi) * np.exp(-4 * np.log(2) * (t / width) ** 2)
    return (1 - mixing) * g + mixing * 2 / (np.pi * width) / (1 + 4 * (t / width) ** 2)


def finger_cox_jephcoat(x, center, width, mixing, axial):
    """The profile as the paper writes it: an integral over 2phi of D(2phi) P(x - 2phi), with S = H."""
    b = np.radians(center)
    low = np.degrees(np.arccos(np.cos(b) * np.sqrt((2 * axial) ** 2 + 1)))

    def height(phi):
        return np.sqrt(max(np.cos(np.radians(phi)) ** 2 / np.cos(b) ** 2 - 1, 0.0))

    def weight(v):  # phi = center - (center - low) v^2 takes the singularity at v = 0 away
        phi = center - (center - low) * v * v
        h = height(phi)
        return phi, 2 * v * (2 * axial - h) / (h * np.cos(np.radians(phi))) if h > 0 else (phi, 0.0)

    def integral(f):
        return integrate.quad(lambda v: f(*weight(v)), 1e-9, 1, limit=400, epsabs=0, epsrel=1e-9)[0]

    norm = integral(lambda phi, w: w)
    return np.array([integral(lambda phi, w, p=p: w * pseudo_voigt(p - phi, width, mixing)) for p in x]) / norm


@pytest.mark.parametrize(("center", "axial"), [(19.0, 0.015), (19.0, 0.02), (9.8, 0.008), (45.0, 0.03)])
def test_line_equals_the_integral_of_finger_cox_and_jephcoat(center, axial):
    x = center + np.array([-0.35, -0.2, -0.12, -0.06, -0.03, 0.0, 0.02, 0.06, 0.2])
    line = DiffractionLine(ONE)
    ours = line.evaluate(x, [center, 0.1, 0.4, axial]).value[0]
    oracle = finger_cox_jephcoat(x, center, 0.1, 0.4, axial)
    np.testing.assert_allclose(ours, oracle, atol=3e-5 * oracle.max())


def test_axial_divergence_points_to_low_angles_below_90_and_to_high_angles_above():
    for center, sign in ((20.0, -1.0), (140.0, 1.0)):
        rule = axial_rule(np.array([center]), np.array([0.03]), 8)
        assert sign * ((rule.position * rule.weight).sum() - center) > 0.01
        assert rule.weight.sum() == pytest.approx(1.0, abs=1e-14)


def test_a_cone_that_misses_the_slit_is_refused():
    with pytest.raises(FitError, match="misses the slit"):
        axial_rule(np.array([1.0]), np.array([0.05]), 8)


def test_second_line_lies_where_braggs_law_puts_it():
    two_theta = np.array([10.0, 18.93, 60.0, 120.0])
    position, slope = second_line(two_theta, CU.alpha2 / CU.alpha1)
    d, _ = d_from_two_theta(two_theta, CU.alpha1)
    np.testing.assert_allclose(position, two_theta_from_d(d, CU.alpha2), rtol=1e-13)
    step = (second_line(two_theta + 1e-4, CU.alpha2 / CU.alpha1)[0] - position) / 1e-4
    np.testing.assert_allclose(slope, step, rtol=1e-5)


def test_doublet_is_two_lines_in_the_ratio_of_the_radiation():
    x = np.linspace(63.0, 67.0, 801)
    p = [65.0, 0.12, 0.3, 0.01]
    second, _ = second_line(np.array([65.0]), CU.alpha2 / CU.alpha1)
    line = DiffractionLine(ONE)
    wanted = (line.evaluate(x, p).value + 0.5 * line.evaluate(x, [second[0], *p[1:]]).value) / 1.5
    np.testing.assert_allclose(DiffractionLine(CU).evaluate(x, p).value, wanted, rtol=1e-12)


@pytest.mark.parametrize("profile", ["pseudo_voigt", "tch"])
@pytest.mark.parametrize("axial", [True, False])
def test_derivatives_equal_finite_differences(profile, axial):
    x = np.linspace(18.0, 20.0, 101)
    line = DiffractionLine(CU, profile=profile, axial=axial)
    p = np.array([[18.93, 0.09, 0.4, 0.018], [19.2, 0.14, 0.08, 0.011]])[:, : len(line.parameters)]
    jac = line.evaluate(x, p).jac
    for i in range(len(line.parameters)):
        h = 1e-6
        up, down = p.copy(), p.copy()
        up[:, i] += h
        down[:, i] -= h
        numeric = (line.evaluate(x, up).value - line.evaluate(x, down).value) / (2 * h)
        np.testing.assert_allclose(jac[:, i], numeric, atol=2e-6 * np.abs(numeric).max())


def test_area_is_one_and_the_value_is_the_same_without_derivatives():
    line = DiffractionLine(CU)
    x = np.linspace(5.0, 35.0, 30001)
    values = line.evaluate(x, [19.0, 0.1, 0.0, 0.02])
    assert np.trapezoid(values.value[0], x) == pytest.approx(1.0, abs=1e-9)
    bare = line.evaluate(x, [19.0, 0.1, 0.0, 0.02], derivatives=False)
    np.testing.assert_allclose(values.value, bare.value, rtol=1e-12)
    assert bare.jac.shape[1] == 0


def test_many_rows_equal_single_rows_and_input_is_unchanged():
    rng = np.random.default_rng(1)
    line = DiffractionLine(CU)
    x = np.sort(rng.uniform(17, 21, (40, 200)), axis=1)
    p = np.column_stack(
        [rng.uniform(18, 20, 40), rng.uniform(0.05, 0.3, 40), rng.uniform(0, 1, 40), rng.uniform(0.002, 0.02, 40)]
    )
    kept_x, kept_p = x.copy(), p.copy()
    many = line.evaluate(x, p)
    for i in (0, 7, 39):
        one = line.evaluate(x[i], p[i])
        np.testing.assert_allclose(many.value[i], one.value[0], rtol=1e-12)
        np.testing.assert_allclose(many.jac[i], one.jac[0], rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(x, kept_x)
    np.testing.assert_array_equal(p, kept_p)


def test_tch_stands_for_the_voigt_function():
    x = np.linspace(-1.0, 1.0, 201)
    for g, h in ((0.1, 0.01), (0.08, 0.06), (0.02, 0.12)):
        width, mixing, _ = tch_width_and_mixing(np.array([g]), np.array([h]))
        voigt = special.voigt_profile(x, g / 2.3548200450309493, h / 2)
        assert np.abs(pseudo_voigt(x, width[0], mixing[0]) - voigt).max() < 0.013 * voigt.max()


def test_a_width_law_shared_over_lines_is_an_expression():
    """Size broadening: one width at theta = 0, over cos(theta) at every line."""
    line = DiffractionLine(CU, axial=False)
    model = PatternModel([Component("a", line), Component("b", line)], polynomial=0)
    x = np.arange(60.0, 110.0, 0.05)
    truth = 0.2

    def width(center):
        return truth / np.cos(np.radians(center / 2))

    y = 50 + sum(4e3 * line.evaluate(x, [c, width(c), 0.3]).value[0] for c in (70.0, 100.0))
    parameters = model.make_parameters()
    parameters.add("size_width", value=0.3, min=0.01, max=2)
    for name, c in (("a", 70.05), ("b", 99.95)):
        parameters[f"{name}_center"].set(value=c)
        parameters[f"{name}_fwhm"].set(expr=f"size_width / cos({name}_center * pi / 360)")
    parameters["b_mixing"].set(expr="a_mixing")
    fit = fit_series(model, parameters, Series(x, y))
    assert fit.converged
    assert fit.value("size_width")[0] == pytest.approx(truth, rel=1e-6)
    assert fit.value("b_area")[0] == pytest.approx(4e3, rel=1e-6)


def test_error_of_d_follows_braggs_law():
    d, sigma = d_from_two_theta([18.93], 1.5405929, [0.01])
    moved, _ = d_from_two_theta([18.94], 1.5405929)
    assert d[0] == pytest.approx(4.6841, abs=2e-3)
    assert sigma[0] == pytest.approx(d[0] - moved[0], rel=1e-3)
    with pytest.raises(DataError):
        d_from_two_theta([200.0], 1.54)


def test_an_integral_or_a_width_of_zero_is_refused():
    line = DiffractionLine(CU)
    with pytest.raises(FitError, match="inelastic"):
        line.evaluate([19.0], [19.0, 0.1, 0.3, 0.01], integral=True)
    with pytest.raises(FitError, match="fwhm"):
        line.evaluate([19.0], [19.0, 0.0, 0.3, 0.01])
    with pytest.raises(FitError, match="unknown profile"):
        DiffractionLine(CU, profile="split")


@pytest.mark.parametrize(("fwhm", "axial"), [(0.1, 0.01), (0.1, 0.02), (0.06, 0.02), (0.1, 0.03)])
def test_nodes_follow_the_smear(fwhm, axial):
    x = np.linspace(18.0, 20.0, 401)
    p = [19.0, fwhm, 0.4, axial]
    fine = DiffractionLine(CU, nodes=80).evaluate(x, p).value
    line = DiffractionLine(CU)
    assert np.abs(line.resolved(19.0, fwhm, axial).evaluate(x, p).value - fine).max() < 3e-4 * fine.max()
    rough = line.searching(19.0, fwhm, axial)
    assert rough.nodes <= line.resolved(19.0, fwhm, axial).nodes
    values = rough.evaluate(x, p)
    assert np.abs(values.value - fine).max() < 0.05 * fine.max()
    moved = rough.evaluate(x, [19.0 + 1e-6, *p[1:]]).value - rough.evaluate(x, [19.0 - 1e-6, *p[1:]]).value
    np.testing.assert_allclose(values.jac[0, 0], moved[0] / 2e-6, atol=1e-5 * np.abs(values.jac[0, 0]).max())
    assert not values.jac[0, 1:].any()
