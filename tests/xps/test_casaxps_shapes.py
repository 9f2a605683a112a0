from __future__ import annotations

import numpy as np
import pytest
from layerscope.spectra.xps.casaxps.lines import CasaLine
from layerscope.spectra.xps.casaxps.shapes import (
    end_level,
    linear_background,
    parse_line_shape,
    tougaard_background,
)
from scipy.special import voigt_profile

from layerscope.errors import DataError, FitError
from layerscope.fitting.backgrounds import static_shirley

ENERGY = np.linspace(1270.0, 1320.0, 5001)
POSITION, FWHM = 1295.0, 1.6
SHAPES = [
    "GL(30)",
    "GL(0)",
    "SGL(30)",
    "SGL(100)",
    "LA(1.53,243)",
    "LA(1.4,1.7,100)",
    "LF(0.9,1.1,50,300,3)",
    "LF(1,2,80,50)",
]


def curve(text: str, energy: np.ndarray = ENERGY) -> np.ndarray:
    return CasaLine(parse_line_shape(text)).evaluate(-energy, [-POSITION, FWHM], derivatives=False).value[0]


def test_gl_is_the_product_and_sgl_the_sum_of_the_two_curves() -> None:
    t = (ENERGY - POSITION) / FWHM
    product = np.exp(-4 * np.log(2) * 0.7 * t**2) / (1 + 4 * 0.3 * t**2)
    total = 0.7 * np.exp(-4 * np.log(2) * t**2) + 0.3 / (1 + 4 * t**2)
    for text, expected in (("GL(30)", product), ("SGL(30)", total)):
        assert curve(text) / curve(text).max() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("text", SHAPES)
def test_the_area_is_one(text: str) -> None:
    wide = np.linspace(POSITION - 2000.0, POSITION + 2000.0, 100_001)
    assert np.trapezoid(curve(text, wide), wide) == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("text", ["LA(1.53,243)", "LA(1.4,1.7,100)", "LF(0.54,10,80,100,6)", "LF(0.9,1.1,50,300,3)"])
def test_the_stored_width_is_twice_the_half_width_towards_high_kinetic_energy(text: str) -> None:
    values = curve(text)
    top = int(np.argmax(values))
    half = ENERGY[top:][np.argmax(values[top:] < values[top] / 2)]
    assert 2 * (half - ENERGY[top]) == pytest.approx(FWHM, abs=0.04)


def test_la_with_exponents_of_one_is_a_voigt_profile() -> None:
    # The ratio of the Gaussian's to the Lorentzian's width follows from m alone: sigma = f m/100/sqrt(12).
    values = curve("LA(1,1,150)")
    ratio = 1.5 / np.sqrt(12)
    u = np.linspace(0.0, 3.0, 30_001)
    profile = voigt_profile(u, ratio, 0.5)
    half = u[np.argmax(profile < profile[0] / 2)]
    f = FWHM / (2 * half)
    assert values == pytest.approx(voigt_profile(ENERGY - POSITION, ratio * f, 0.5 * f), rel=2e-3)


def test_the_first_exponent_governs_low_kinetic_energy_that_is_high_binding_energy() -> None:
    values = curve("LA(0.8,3,20)")
    assert values[ENERGY < POSITION - 5].sum() > 10 * values[ENERGY > POSITION + 5].sum()


def test_lf_has_weaker_tails_than_la() -> None:
    tail = ENERGY < POSITION - 15
    assert curve("LF(0.9,2,40,50)")[tail].sum() < 0.5 * curve("LA(0.9,2,50)")[tail].sum()


@pytest.mark.parametrize(
    "text", ["", "GL", "GL()", "GL(1,2)", "LA()", "LF(1,2)", "V(1)", "LA(nan,1,1)", "LF(1,1,50,10,1e9)"]
)
def test_other_shapes_are_typed_errors(text: str) -> None:
    with pytest.raises(DataError):
        parse_line_shape(text)


def test_the_ends_of_a_region_are_averaged_over_points_on_both_sides() -> None:
    counts = np.arange(10.0) ** 2
    assert end_level(counts, 5, 2) == pytest.approx((16 + 25 + 36) / 3)
    assert end_level(counts, 5, 1) == 25.0
    assert end_level(counts, 0, 2) == pytest.approx(0.5)


def test_the_shirley_background_rises_in_proportion_to_what_stands_above_it() -> None:
    energy = np.linspace(186.0, 198.0, 601)
    counts = 100.0 + 1000.0 * np.exp(-(((energy - 192.0) / 0.8) ** 2)) + 200.0 / (1 + np.exp(-(energy - 192.0) / 0.3))
    background = static_shirley(energy, counts, ends=(100.0, 300.0)).background[0]
    assert (background[0], background[-1]) == pytest.approx((100.0, 300.0))
    slope = np.gradient(background, energy)
    above = counts - background
    inner = above > 0.05 * above.max()
    assert slope[inner] / above[inner] == pytest.approx(np.full(inner.sum(), (slope / above)[300]), rel=0.01)
    with pytest.raises(FitError, match="does not stand above"):
        static_shirley(energy, 200.0 - counts, ends=(100.0, 300.0))


def test_the_tougaard_background_is_the_double_sum_of_its_definition() -> None:
    energy = np.linspace(186.0, 206.0, 81)
    counts = 50.0 + 500.0 * np.exp(-(((energy - 192.0) / 0.8) ** 2))
    expected = np.full(81, 50.0)
    for i, x in enumerate(energy):
        for j in range(i):
            loss = x - energy[j]
            if loss >= 3.0 - 1e-6:
                kernel = 300.0 * loss / ((551.0 - loss**2) ** 2 + 436.0 * loss**2)
                expected[i] += kernel * (counts[j] - 50.0) * 0.25
    assert tougaard_background(energy, counts, 50.0, 300.0, 551.0, 436.0, 3.0) == pytest.approx(expected)


def test_the_linear_background_joins_its_ends() -> None:
    assert linear_background(np.array([1.0, 2.0, 4.0]), 10.0, 40.0).tolist() == [10.0, 20.0, 40.0]
