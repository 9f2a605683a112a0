"""Layers, widths, fractions, calculated intensities: against sums, convolutions and propagated noise."""

from __future__ import annotations

import numpy as np
import pytest
from layerscope.diffraction.peaks.components import component_set, hardware_lines, lco_003
from layerscope.diffraction.peaks.fractions import fractions_of, intensity_per_weight
from layerscope.diffraction.peaks.layers import layer_fraction
from layerscope.diffraction.radiation import lorentz_polarisation
from layerscope.diffraction.widths import gaussian_and_lorentzian, tch_width_and_mixing, without_instrument
from scipy import optimize, special

from layerscope.errors import DataError

CU = 1.5405929


def random_stack_intensity(q, d_a, d_b, fraction):
    """Return the intensity of an endless random stack of layers of equal scattering power, (1 - |C|^2)/|1 - C|^2."""
    c = (1 - fraction) * np.exp(1j * q * d_a) + fraction * np.exp(1j * q * d_b)
    return (1 - np.abs(c) ** 2) / np.abs(1 - c) ** 2


def stacked_intensity(q, d_a, d_b, fraction, layers, stacks, seed):
    """Sum the waves of finite random stacks, layer by layer."""
    rng = np.random.default_rng(seed)
    total = np.zeros_like(q)
    for _ in range(stacks):
        height = np.concatenate([[0.0], np.cumsum(np.where(rng.random(layers - 1) < fraction, d_b, d_a))])
        total += np.abs(np.exp(1j * q[:, None] * height).sum(axis=1)) ** 2
    return total / (stacks * layers)


def test_closed_intensity_equals_the_sum_over_random_stacks():
    q = np.linspace(1.32, 1.42, 25)
    summed = stacked_intensity(q, 4.69, 4.53, 0.4, layers=600, stacks=150, seed=2)
    closed = random_stack_intensity(q, 4.69, 4.53, 0.4)
    np.testing.assert_allclose(summed, closed, rtol=0.35, atol=0.02 * closed.max())


@pytest.mark.parametrize("fraction", [0.1, 0.35, 0.5, 0.8])
def test_position_of_the_stack_line_gives_the_share_of_layers_back(fraction):
    best = optimize.minimize_scalar(
        lambda q: -random_stack_intensity(q, 4.69, 4.53, fraction), bounds=(1.34, 1.387), options={"xatol": 1e-11}
    )
    reading = layer_fraction([2 * np.pi / best.x], 4.69, 4.53, CU)
    assert reading.fraction[0] == pytest.approx(fraction, abs=1e-4)


def test_width_of_the_stack_line_is_that_of_its_intensity():
    reading = layer_fraction([4.6100], 4.69, 4.53, CU)
    q = np.linspace(1.34, 1.387, 200001)
    intensity = random_stack_intensity(q, 4.69, 4.53, float(reading.fraction[0]))
    half = q[intensity > intensity.max() / 2]
    two_theta = 2 * np.degrees(np.arcsin(np.array([half[0], half[-1]]) * CU / (4 * np.pi)))
    assert reading.fwhm_deg[0] == pytest.approx(np.ptp(two_theta), rel=0.01)


def test_error_of_the_layer_fraction_is_that_of_repeated_measurements():
    rng = np.random.default_rng(5)
    covariance = np.array([[4.0, 1.0, 0.5], [1.0, 2.0, 0.0], [0.5, 0.0, 3.0]]) * 1e-6
    d = rng.multivariate_normal([4.62, 4.69, 4.53], covariance, 20000)
    spread = layer_fraction(d[:, 0], d[:, 1], d[:, 2], CU).fraction.std()
    reading = layer_fraction([4.62], 4.69, 4.53, CU, covariance=covariance[None])
    assert reading.sigma[0] == pytest.approx(spread, rel=0.03)


def test_layers_of_one_spacing_are_refused():
    with pytest.raises(DataError, match="same spacing"):
        layer_fraction([4.6], 4.6, 4.6, CU)


def test_widths_of_a_pseudo_voigt_are_those_of_the_voigt_function_it_stands_for():
    gauss, lorentz = gaussian_and_lorentzian(0.1, 0.0)
    assert (gauss, lorentz) == (0.1, 0.0)
    gauss, lorentz = gaussian_and_lorentzian(0.1, 0.5)
    x = np.linspace(-0.3, 0.3, 60001)
    voigt = special.voigt_profile(x, gauss / 2.3548200450309493, lorentz / 2)
    assert np.ptp(x[voigt > voigt.max() / 2]) == pytest.approx(0.1, rel=0.01)


def test_what_is_convolved_with_the_instrument_is_found_again():
    """Voigt functions convolve by adding squares of Gaussian and plain Lorentzian widths."""
    g0, h0, g1, h1 = 0.05, 0.02, 0.06, 0.04
    seen = tch_width_and_mixing(np.array([np.hypot(g0, g1)]), np.array([h0 + h1]))
    own = tch_width_and_mixing(np.array([g1]), np.array([h1]))
    instrument = tch_width_and_mixing(np.array([g0]), np.array([h0]))
    width, sigma = without_instrument(seen[0], seen[1], float(instrument[0][0]), float(instrument[1][0]), sigma=[0.001])
    assert width[0] == pytest.approx(own[0][0], rel=0.02)
    up, _ = without_instrument(seen[0] + 0.001, seen[1], float(instrument[0][0]), float(instrument[1][0]))
    assert sigma[0] == pytest.approx(up[0] - width[0], rel=0.05)
    narrow, _ = without_instrument([0.03], [0.3], 0.05, 0.3)
    assert narrow[0] == 0.0


def test_fractions_and_their_covariance_are_those_of_repeated_measurements():
    rng = np.random.default_rng(3)
    mean = np.array([600.0, 250.0, 100.0])
    covariance = np.array([[90.0, -20.0, -5.0], [-20.0, 70.0, -15.0], [-5.0, -15.0, 40.0]])
    factor = np.array([1.2, 1.165, 1.13])
    draws = rng.multivariate_normal(mean, covariance, 40000).T
    amounts = draws / factor[:, None]
    expected = np.cov(amounts / amounts.sum(axis=0))
    value, c = fractions_of(mean[:, None], covariance[None], factor)
    np.testing.assert_allclose(value[:, 0], mean / factor / (mean / factor).sum(), rtol=1e-12)
    np.testing.assert_allclose(c[0], expected, atol=0.03 * np.abs(expected).max())
    np.testing.assert_allclose(c[0].sum(axis=1), 0.0, atol=1e-12)  # fractions sum to one


def test_intensity_per_weight_undoes_the_quantitative_formula():
    """I = S m |F|^2 LP and w ~ S M V, the formula of Rietveld quantification, must give equal weights back."""
    m, f2, mass, volume, angle = [6, 6], [3000.0, 9000.0], [293.6, 541.0], [96.4, 186.8], [18.93, 19.6]
    scale = 1.0 / (np.array(mass) * np.array(volume))  # equal weights
    intensity = scale * np.array(m) * np.array(f2) * lorentz_polarisation(angle)
    np.testing.assert_allclose(intensity, intensity_per_weight(m, f2, mass, volume, angle), rtol=1e-12)
    with pytest.raises(DataError, match="positive"):
        intensity_per_weight(1, 1, 0, 1, 20)


def test_declared_factors_agree_with_those_of_the_structures():
    pytest.importorskip("gemmi")
    from layerscope.diffraction.peaks.structure import calculated_factors

    components = lco_003()
    calculated = calculated_factors(components, CU)
    for c in components.components:  # cells, sites and lithium contents of charged phases are not known better
        assert calculated[c.id] == pytest.approx(c.intensity_per_weight, rel=0.07), c.id


def test_components_are_declared_in_the_order_of_the_charge_with_sources():
    components = lco_003()
    assert components.ids == ("O3", "O3p", "IG", "H13", "O1")
    assert components["IG"].mixture == ("O3p", "H13")
    assert all(c.source and c.status in ("read", "secondary", "derived", "unverified") for c in components.components)
    with pytest.raises(DataError, match="no component"):
        components["O2"]
    with pytest.raises(DataError, match="missing"):
        component_set("nothing")


def test_hardware_lines_are_those_of_the_range_with_sources():
    near = {h.id for h in hardware_lines(4.2, 5.2)}
    assert near == {"PTFE_100"}
    assert all(h.source for h in hardware_lines())
    assert {"Al_111", "Be_100", "steel_111"} <= {h.id for h in hardware_lines()}
