"""Each shape against an independent form of itself: formulas, brute-force convolutions, limits, exported curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, special

from layerscope.errors import FitError
from layerscope.fitting.shapes import (
    CasaLA,
    DoniachSunjic,
    Doublet,
    Gaussian,
    GLProduct,
    Lorentzian,
    Multiplet,
    PseudoVoigt,
    Voigt,
    sgl_to_mixing,
)
from layerscope.fitting.shapes.voigt import faddeeva_derivatives

LN2 = np.log(2.0)
X = np.linspace(-8.0, 9.0, 101)


def convolved(kernel, point: float, gaussian_fwhm: float, breaks: tuple[float, ...] = (0.0,)) -> float:
    """Kernel convolved with a unit-area Gaussian, by adaptive quadrature."""
    sigma = gaussian_fwhm / (2.0 * np.sqrt(2.0 * LN2))
    low, high = point - 9.0 * sigma, point + 9.0 * sigma
    inside = [b for b in (*breaks, point) if low < b < high]

    def integrand(u: float) -> float:
        return kernel(u) * np.exp(-0.5 * ((point - u) / sigma) ** 2) / (sigma * np.sqrt(2.0 * np.pi))

    return float(integrate.quad(integrand, low, high, points=inside, limit=800, epsabs=1e-14, epsrel=1e-12)[0])


def test_fwhm_is_the_full_width_at_half_maximum() -> None:
    for shape in (Gaussian(), Lorentzian()):
        top, half, other = shape.evaluate([3.0, 3.0 + 0.7, 3.0 - 0.7], [[3.0, 1.4]]).value[0]
        assert half == pytest.approx(0.5 * top, rel=1e-12)
        assert other == pytest.approx(0.5 * top, rel=1e-12)
    top, half = PseudoVoigt().evaluate([3.0, 3.7], [[3.0, 1.4, 0.4]]).value[0]
    assert half == pytest.approx(0.5 * top, rel=1e-12)


def test_pseudo_voigt_is_the_weighted_sum_of_its_parts() -> None:
    whole = PseudoVoigt().evaluate(X, [[0.3, 1.2, 0.35]], integral=True)
    gauss = Gaussian().evaluate(X, [[0.3, 1.2]], integral=True)
    lorentz = Lorentzian().evaluate(X, [[0.3, 1.2]], integral=True)
    np.testing.assert_allclose(whole.value, 0.65 * gauss.value + 0.35 * lorentz.value, rtol=1e-12)
    np.testing.assert_allclose(whole.integral, 0.65 * gauss.integral + 0.35 * lorentz.integral, rtol=1e-11)


@pytest.mark.parametrize("p", [0.0, 30.0, 75.0, 100.0])
def test_sgl_of_casaxps_is_the_pseudo_voigt_of_the_converted_mixing(p: float) -> None:
    q, t = p / 100.0, (X - 0.3) / 1.2
    sgl = (1.0 - q) * np.exp(-4.0 * LN2 * t**2) + q / (1.0 + 4.0 * t**2)
    ours = PseudoVoigt().evaluate(X, [[0.3, 1.2, sgl_to_mixing(p)]]).value[0]
    np.testing.assert_allclose(ours / ours.max(), sgl / sgl.max(), rtol=1e-11, atol=1e-15)


def test_sgl_curves_that_casaxps_exported_are_met_point_by_point(shared_data: Path) -> None:
    table = []
    for line in (shared_data / "xps" / "FeO_analyzed_lineshapes_cols.txt").read_text().splitlines():
        cells = [c for c in line.split("\t") if c.strip()]
        try:
            numbers = [float(c) for c in cells]
        except ValueError:
            continue
        if len(numbers) == 16:
            table.append(numbers)
    columns = np.array(table).T
    energy, background = columns[8], columns[14]
    # Position (1486.61 eV minus the stored kinetic energy), width and area of the two SGL(30) components.
    for column, kinetic, fwhm, area in ((11, 770.61, 8.0, 35837.064), (13, 756.72212, 7.8295407, 17705.155)):
        exported = columns[column] - background
        shape = PseudoVoigt().evaluate(energy, [[1486.61 - kinetic, fwhm, sgl_to_mixing(30.0)]])
        assert np.abs(area * shape.value[0] - exported).max() < 0.002 * exported.max()


@pytest.mark.parametrize("mixing", [0.0, 0.002, 0.3, 0.8, 1.0])
def test_gl_product_is_the_formula_of_casaxps_at_unit_area(mixing: float) -> None:
    def product(t: float) -> float:
        return float(np.exp(-4.0 * LN2 * (1.0 - mixing) * t * t) / (1.0 + 4.0 * mixing * t * t))

    area = 2.0 * 1.2 * integrate.quad(product, 0.0, np.inf, limit=500, epsabs=1e-14)[0]
    expected = np.array([product((x - 0.3) / 1.2) for x in X]) / area
    np.testing.assert_allclose(GLProduct().evaluate(X, [[0.3, 1.2, mixing]]).value[0], expected, rtol=1e-11, atol=1e-18)


def test_gl_product_area_and_its_slope_are_smooth_where_the_series_takes_over() -> None:
    jac = GLProduct().evaluate(X, [[0.0, 1.0, 0.005 - 1e-9], [0.0, 1.0, 0.005 + 1e-9]]).jac
    np.testing.assert_allclose(jac[0, 2], jac[1, 2], rtol=1e-6, atol=1e-9)


def test_gl_product_limits_are_gaussian_and_lorentzian() -> None:
    ours = GLProduct().evaluate(X, [[0.3, 1.2, 0.0], [0.3, 1.2, 1.0]], integral=True)
    for row, shape in enumerate((Gaussian(), Lorentzian())):
        other = shape.evaluate(X, [[0.3, 1.2]], integral=True)
        np.testing.assert_allclose(ours.value[row], other.value[0], rtol=1e-11, atol=1e-18)
        assert ours.integral is not None
        assert other.integral is not None
        np.testing.assert_allclose(ours.integral[row], other.integral[0], atol=1e-9)
    assert np.isfinite(ours.jac).all()


def test_gl_product_refuses_a_mixing_beyond_one() -> None:
    with pytest.raises(FitError, match="within 0 and 1"):
        GLProduct().evaluate(X, [[0.0, 1.0, 1.1]])


def test_faddeeva_derivatives_agree_with_contour_integrals() -> None:
    z = np.array([0.1 + 0.2j, 3.0 + 0.01j, -7.0 + 1.0j, 11.99 + 0.5j, 12.01 + 0.5j, 80.0 + 3.0j, -2e4 + 5e3j])
    radius = 0.01 * np.maximum(np.abs(z), 0.05)[:, np.newaxis]
    angle = np.exp(2j * np.pi * np.arange(32) / 32.0)[np.newaxis, :]
    circle = special.wofz(z[:, np.newaxis] + radius * angle)
    for order, ours in enumerate(faddeeva_derivatives(z)):
        cauchy = np.array([1, 1, 2, 6])[order] * (circle / (radius * angle) ** order).mean(axis=1)
        # Cauchy's integral loses (z/radius)^order of the precision
        np.testing.assert_allclose(ours, cauchy, rtol=1e-12 * 100.0**order + 1e-13)


@pytest.mark.parametrize(("gauss", "lorentz"), [(1.0, 0.4), (0.2, 1.3), (0.01, 0.9), (1.2, 0.002)])
def test_voigt_is_the_convolution_of_its_parts(gauss: float, lorentz: float) -> None:
    def lorentzian(u: float) -> float:
        return (lorentz / 2.0) / np.pi / (u * u + (lorentz / 2.0) ** 2)

    points = np.array([-6.0, -1.0, -0.2, 0.0, 0.05, 0.7, 3.0, 40.0])
    ours = Voigt().evaluate(points, [[0.0, gauss, lorentz]]).value[0]
    expected = [convolved(lorentzian, e, gauss, (-lorentz, 0.0, lorentz)) for e in points]
    np.testing.assert_allclose(ours, expected, rtol=1e-8)


@pytest.mark.parametrize(
    ("lorentz", "alpha", "gauss"),
    [(0.5, 0.2, 0.7), (1.2, 0.5, 0.1), (0.05, 0.1, 0.9), (0.3, 0.0, 0.6), (0.4, 0.72, 0.5)],
)
def test_doniach_sunjic_is_the_convolution_of_the_line_with_a_gaussian(
    lorentz: float, alpha: float, gauss: float
) -> None:
    g = 0.5 * lorentz

    def line(e: float) -> float:
        angle = 0.5 * np.pi * alpha - (1.0 - alpha) * np.arctan(e / g)
        return float(np.cos(angle) / (np.pi * g * (1.0 + (e / g) ** 2) ** (0.5 * (1.0 - alpha))))

    points = np.array([-20.0, -3.0, -0.5, 0.0, 0.1, 0.6, 2.0, 5.0, 30.0])
    ours = DoniachSunjic().evaluate(100.0 + points, [[100.0, lorentz, alpha, gauss]]).value[0]
    expected = [convolved(line, e, gauss, (-g, 0.0, g)) for e in points]
    np.testing.assert_allclose(ours, expected, rtol=1e-9)


def test_doniach_sunjic_at_alpha_zero_is_a_voigt_function() -> None:
    ours = DoniachSunjic().evaluate(X, [[0.3, 0.4, 0.0, 0.7]], integral=True)
    voigt = Voigt().evaluate(X, [[0.3, 0.7, 0.4]], integral=True)
    np.testing.assert_allclose(ours.value, voigt.value, rtol=1e-11)
    np.testing.assert_allclose(ours.jac[:, [0, 1, 3]], voigt.jac[:, [0, 2, 1]], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(ours.integral, voigt.integral, atol=1e-9)


def test_doniach_sunjic_rows_that_differ_in_their_center_are_each_what_they_are_alone() -> None:
    rows = [[center, 0.3, 0.12, 0.8] for center in (-3.0, 0.25, 4.0)]
    together = DoniachSunjic().evaluate(X, rows, integral=True)  # some points are far from one center and near another
    for k, row in enumerate(rows):
        alone = DoniachSunjic().evaluate(X, [row], integral=True)
        for name in ("value", "jac", "integral", "integral_jac"):
            np.testing.assert_allclose(getattr(together, name)[k], getattr(alone, name)[0], rtol=1e-11, atol=1e-13)


def test_doniach_sunjic_derivatives_are_continuous_through_alpha_zero() -> None:
    jac = DoniachSunjic().evaluate(X, [[0.3, 0.4, a, 0.7] for a in (-1e-8, 0.0, 1e-8)], integral=True)
    assert jac.integral_jac is not None
    for array in (jac.jac, jac.integral_jac):
        np.testing.assert_allclose(array[0], array[1], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(array[2], array[1], rtol=1e-5, atol=1e-7)


def test_doniach_sunjic_has_its_tail_towards_high_binding_energy() -> None:
    low, high = DoniachSunjic().evaluate([181.0, 201.0], [[191.0, 0.4, 0.15, 0.6]]).value[0]
    assert high > 5.0 * low


def test_doniach_sunjic_has_no_seam_between_quadrature_and_series() -> None:
    gauss, lorentz = 0.8, 0.3
    sigma = gauss / (2.0 * np.sqrt(2.0 * LN2))
    edge = np.sqrt((12.0 * sigma) ** 2 - (0.5 * lorentz) ** 2)
    x = np.array([edge * (1 - 1e-9), edge * (1 + 1e-9), -edge * (1 - 1e-9), -edge * (1 + 1e-9)])
    result = DoniachSunjic().evaluate(x, [[0.0, lorentz, 0.3, gauss]], integral=True)
    for array in vars(result).values():
        np.testing.assert_allclose(array[..., 0], array[..., 1], rtol=1e-8, atol=1e-13)
        np.testing.assert_allclose(array[..., 2], array[..., 3], rtol=1e-8, atol=1e-13)


def test_doniach_sunjic_refuses_an_alpha_out_of_range() -> None:
    with pytest.raises(FitError, match="alpha must lie within"):
        DoniachSunjic().evaluate(X, [[0.0, 0.4, 0.9, 0.7]])


@pytest.mark.parametrize(
    ("width", "alpha", "beta", "gauss"),
    [(0.9, 1.4, 1.7, 0.6), (1.2, 0.8, 3.0, 0.05), (0.02, 0.9, 1.3, 1.0), (1.0, 0.54, 10.0, 0.8)],
)
def test_casa_la_is_the_convolution_of_the_powers_with_a_gaussian(
    width: float, alpha: float, beta: float, gauss: float
) -> None:
    def kernel(u: float) -> float:
        return float((1.0 + 4.0 * (u / width) ** 2) ** -(alpha if u > 0 else beta))

    # Substituting u = width/2 sinh(v) makes the slow tail of a small exponent integrable by machine.
    area = sum(
        integrate.quad(lambda v, e=e: 0.5 * width * np.cosh(v) ** (1.0 - 2.0 * e), 0.0, 600.0, limit=800, epsabs=1e-13)[
            0
        ]
        for e in (alpha, beta)
    )
    points = np.array([-8.0, -1.0, -0.3, 0.0, 0.02, 0.4, 1.0, 2.5, 20.0])
    ours = CasaLA().evaluate(points, [[0.0, width, alpha, beta, gauss]]).value[0]
    expected = [convolved(kernel, e, gauss, (-width, 0.0, width)) / area for e in points]
    np.testing.assert_allclose(ours, expected, rtol=1e-7)


def test_casa_la_with_both_exponents_one_is_a_voigt_function() -> None:
    ours = CasaLA().evaluate(X, [[0.3, 0.4, 1.0, 1.0, 0.7]], integral=True)
    voigt = Voigt().evaluate(X, [[0.3, 0.7, 0.4]], integral=True)
    np.testing.assert_allclose(ours.value, voigt.value, rtol=1e-10)
    np.testing.assert_allclose(ours.jac[:, [0, 1, 4]], voigt.jac[:, [0, 2, 1]], rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(ours.integral, voigt.integral, atol=1e-8)


def test_casa_la_small_alpha_is_a_tail_towards_high_binding_energy() -> None:
    low, high = CasaLA().evaluate([-6.0, 6.0], [[0.0, 0.8, 0.9, 2.0, 0.5]]).value[0]
    assert high > 5.0 * low


def test_casa_la_refuses_a_tail_without_a_finite_area() -> None:
    with pytest.raises(FitError, match=r"above 0\.5"):
        CasaLA().evaluate(X, [[0.0, 0.8, 0.5, 2.0, 0.5]])


def test_doublet_coefficient_is_the_area_of_both_lines() -> None:
    base, double = PseudoVoigt(), Doublet(PseudoVoigt())
    ours = double.evaluate(X, [[-1.0, 0.8, 0.3, 2.5, 0.5]], integral=True)
    first = base.evaluate(X, [[-1.0, 0.8, 0.3]], integral=True)
    second = base.evaluate(X, [[1.5, 0.8, 0.3]], integral=True)
    np.testing.assert_allclose(ours.value, (first.value + 0.5 * second.value) / 1.5, rtol=1e-12)
    np.testing.assert_allclose(ours.integral, (first.integral + 0.5 * second.integral) / 1.5, rtol=1e-12)
    assert double.parameters == ("center", "fwhm", "mixing", "splitting", "ratio")


def test_doublet_with_ratio_zero_is_its_first_line() -> None:
    ours = Doublet(Voigt()).evaluate(X, [[0.0, 0.8, 0.3, 2.5, 0.0]]).value
    np.testing.assert_allclose(ours, Voigt().evaluate(X, [[0.0, 0.8, 0.3]]).value, rtol=1e-14)


def test_doublet_refuses_a_ratio_without_a_total_area() -> None:
    with pytest.raises(FitError, match="ratio"):
        Doublet(Gaussian()).evaluate(X, [[0.0, 0.8, 2.5, -1.0]])


def test_multiplet_is_the_sum_of_its_peaks_with_the_areas_as_shares() -> None:
    base, shares = PseudoVoigt(), np.array([0.6, 0.3, 0.1])
    shape = Multiplet(base, [0.0, 1.5, 4.0], 10.0 * shares, [1.0, 2.0, 0.5])
    ours = shape.evaluate(X, [[-1.0, 0.8, 0.3]], integral=True)
    peaks = base.evaluate(X, [[-1.0, 0.8, 0.3], [0.5, 1.6, 0.3], [3.0, 0.4, 0.3]], integral=True)
    np.testing.assert_allclose(ours.value[0], shares @ peaks.value, rtol=1e-12)
    np.testing.assert_allclose(ours.integral[0], shares @ peaks.integral, rtol=1e-12)


def test_multiplet_of_one_peak_is_that_peak() -> None:
    ours = Multiplet(Voigt(), [0.0], [17.0], [1.0])
    assert ours.parameters == Voigt().parameters
    for one, other in zip(
        vars(ours.evaluate(X, [[0.0, 0.8, 0.3]], integral=True)).values(),
        vars(Voigt().evaluate(X, [[0.0, 0.8, 0.3]], integral=True)).values(),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-14)


@pytest.mark.parametrize(
    ("peaks", "words"),
    [
        (([], [], []), "at least one"),
        (([0.0, 1.0], [1.0], [1.0, 1.0]), "as many offsets as areas"),
        (([0.0, 1.0], [1.0, -1.0], [1.0, 1.0]), "above zero"),
        (([0.0, 1.0], [1.0, 1.0], [1.0, 0.0]), "above zero"),
        (([0.0, np.nan], [1.0, 1.0], [1.0, 1.0]), "finite"),
        (([0.5, 1.0], [1.0, 1.0], [1.0, 1.0]), "first peak"),
        (([0.0, 1.0], [1.0, 1.0], [2.0, 1.0]), "first peak"),
    ],
)
def test_multiplet_refuses_peaks_that_make_none(peaks: tuple[list[float], ...], words: str) -> None:
    with pytest.raises(FitError, match=words):
        Multiplet(PseudoVoigt(), *peaks)
