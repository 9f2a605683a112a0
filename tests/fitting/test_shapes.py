"""What every shape promises: the contract, exact derivatives, running integrals, unit area."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import integrate

from layerscope.errors import FitError
from layerscope.fitting.shapes import AXIS_UNIT, Doublet, Multiplet, Shape, get_shape, shape_names

# Two or three rows each: broad and narrow, Gaussian- and Lorentzian-like, mild and strong asymmetry.
CASES: dict[str, list[list[float]]] = {
    "gaussian": [[191.3, 1.4], [192.0, 0.4]],
    "lorentzian": [[191.3, 1.4], [192.0, 0.4]],
    "pseudo_voigt": [[191.3, 1.4, 0.3], [191.0, 0.5, 0.9], [192.0, 1.1, 0.0]],
    "gl_product": [[191.3, 1.4, 0.3], [191.0, 0.5, 0.9], [192.0, 1.1, 0.01]],
    "voigt": [[191.3, 1.4, 0.3], [191.0, 0.3, 1.3], [192.0, 0.01, 0.9]],
    "doniach_sunjic": [[191.3, 0.5, 0.15, 0.8], [191.0, 1.3, 0.4, 0.3], [192.0, 0.05, 0.02, 0.9]],
    "casa_la": [[191.3, 0.9, 1.4, 1.7, 0.6], [191.0, 1.2, 0.8, 3.0, 0.1], [192.0, 0.06, 0.9, 1.3, 0.9]],
}
NAMES = sorted(CASES)
SHAPES = [*NAMES, "doublet", "multiplet", "multiplet of voigt", "doublet of multiplet"]


def make(name: str, stretch: float = 1.0) -> tuple[Shape, np.ndarray]:
    if name == "doublet":
        rows = [[*row, 2.1, 0.5] for row in CASES["pseudo_voigt"]]
        return Doublet(get_shape("pseudo_voigt")), np.array(rows)
    if "multiplet" in name:
        base = "voigt" if name.endswith("voigt") else "pseudo_voigt"
        offsets = [0.0, 1.1 * stretch, -0.4 * stretch]
        peaks = Multiplet(get_shape(base), offsets, [40.0, 25.0, 5.0], [1.0, 2.4, 0.8])
        if name.startswith("doublet"):
            return Doublet(peaks), np.array([[*row, 2.1, 0.5] for row in CASES[base]])
        return peaks, np.array(CASES[base])
    return get_shape(name), np.array(CASES[name])


def axes(rows: int, points: int = 60) -> np.ndarray:
    """Irregular axes, another one for each row."""
    rng = np.random.default_rng(7)
    return np.sort(rng.uniform(186.0, 198.0, (rows, points)), axis=1)


def differentiate(function: Callable[[np.ndarray], np.ndarray], p: np.ndarray, k: int, step: float) -> np.ndarray:
    """Central difference of eighth order with respect to parameter k."""
    result = 0.0
    for j, weight in ((1, 4 / 5), (2, -1 / 5), (3, 4 / 105), (4, -1 / 280)):
        up, down = p.copy(), p.copy()
        up[:, k] += j * step
        down[:, k] -= j * step
        result = result + weight * (function(up) - function(down)) / step
    return result


def running_integral(shape: Shape, x: np.ndarray, p: np.ndarray) -> np.ndarray:
    result = shape.evaluate(x, p, derivatives=False, integral=True).integral
    assert result is not None
    return result


def steps(shape: Shape, p: np.ndarray, k: int) -> float:
    """A step well inside the allowed range and below the narrowest width."""
    name = shape.parameters[k]
    if name in {"mixing", "alpha"}:
        return 1e-3
    widths = [p[:, i].min() for i, n in enumerate(shape.parameters) if n.endswith("fwhm")]
    return min(2e-3, 0.02 * min(widths)) if name.endswith("fwhm") else 2e-3 * min(1.0, min(widths) / 0.3 + 0.1)


def test_every_registered_shape_is_tested_here() -> None:
    assert tuple(NAMES) == shape_names()


@pytest.mark.parametrize("name", SHAPES)
def test_derivatives_of_the_value_are_exact(name: str) -> None:
    shape, p = make(name)
    if name in {"pseudo_voigt", "doublet", "multiplet", "doublet of multiplet"}:
        p[:, 2] = np.clip(p[:, 2], 0.1, 0.9)
    x = axes(len(p))
    jac = shape.evaluate(x, p).jac
    assert jac.shape == (len(p), len(shape.parameters), x.shape[1])
    for k in range(p.shape[1]):
        expected = differentiate(lambda q: shape.evaluate(x, q).value, p, k, steps(shape, p, k))
        for row in range(len(p)):
            scale = np.abs(expected[row]).max()
            np.testing.assert_allclose(
                jac[row, k], expected[row], rtol=1e-6, atol=1e-8 * scale, err_msg=shape.parameters[k]
            )


@pytest.mark.parametrize("name", SHAPES)
def test_derivatives_of_the_running_integral_are_exact(name: str) -> None:
    shape, p = make(name)
    x = axes(len(p))
    jac = shape.evaluate(x, p, integral=True).integral_jac
    assert jac is not None
    for k in range(p.shape[1]):
        expected = differentiate(lambda q: running_integral(shape, x, q), p, k, steps(shape, p, k))
        for row in range(len(p)):
            scale = np.abs(expected[row]).max()
            np.testing.assert_allclose(
                jac[row, k], expected[row], rtol=1e-6, atol=2e-7 * scale, err_msg=shape.parameters[k]
            )


def integral_by_quadrature(shape: Shape, p: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Integrate the value of one row from minus infinity to each end, adaptively."""

    def value(u: float) -> float:
        return float(shape.evaluate([u], p, derivatives=False).value[0, 0])

    def outside(s: float) -> float:  # u = start - s/(1 - s)
        return value(start - s / (1.0 - s)) / (1.0 - s) ** 2

    start = p[0] - 3.0
    below = integrate.quad(outside, 0.0, 1.0, limit=400, epsabs=1e-11)[0]
    result = []
    for end in ends:
        points = [u for u in (p[0] - 0.1, p[0], p[0] + 0.1) if start < u < end]
        result.append(below + integrate.quad(value, start, end, limit=800, epsabs=1e-11, points=points or None)[0])
    return np.array(result)


@pytest.mark.parametrize("name", SHAPES)
def test_running_integral_is_the_integral_of_the_value(name: str) -> None:
    shape, p = make(name)
    x = axes(len(p))
    running = shape.evaluate(x, p, integral=True).integral
    assert running is not None
    some = [0, 25, 59]
    for row in range(len(p)):
        np.testing.assert_allclose(running[row, some], integral_by_quadrature(shape, p[row], x[row, some]), atol=1e-8)


@pytest.mark.parametrize("name", SHAPES)
def test_running_integral_does_not_depend_on_how_fine_the_axis_is(name: str) -> None:
    shape, p = make(name)
    fine = np.linspace(180.0, 204.0, 2401)
    whole = shape.evaluate(fine, p, integral=True)
    for stride in (10, 60, 400, 2400):  # from 0.1 to 24 eV
        coarse = shape.evaluate(fine[::stride], p, integral=True)
        assert coarse.integral is not None
        assert whole.integral is not None
        np.testing.assert_allclose(coarse.integral, whole.integral[:, ::stride], atol=2e-8)
        np.testing.assert_allclose(coarse.integral_jac, whole.integral_jac[..., ::stride], atol=2e-6)


@pytest.mark.parametrize("name", [n for n in SHAPES if n != "doniach_sunjic"])
def test_area_is_one(name: str) -> None:
    shape, p = make(name)
    running = shape.evaluate([-1e12, 190.0, 1e12], p, integral=True).integral
    assert running is not None
    # A tail with the exponent 0.8 (LA) still holds 1e-8 of the area out there.
    np.testing.assert_allclose(running[:, 0], 0.0, atol=1e-7)
    np.testing.assert_allclose(running[:, -1], 1.0, atol=1e-7)
    inside = shape.evaluate(np.linspace(100.0, 280.0, 3601), p, integral=True).integral
    assert inside is not None
    mirrored = p.copy()
    mirrored[:, 0] = -p[:, 0]
    if name == "casa_la":
        mirrored[:, [2, 3]] = mirrored[:, [3, 2]]
    if name.startswith("doublet"):
        mirrored[:, 0] -= p[:, 3]
        mirrored[:, 4] = 1.0 / p[:, 4]
    beyond = make(name, stretch=-1.0)[0].evaluate([-280.0, -279.9], mirrored, integral=True).integral
    assert beyond is not None
    # What lies below the last point, summed along the axis, and what the mirrored line has below it.
    np.testing.assert_allclose(inside[:, -1] + beyond[:, 0], 1.0, atol=5e-9)


@pytest.mark.parametrize("name", SHAPES)
def test_inputs_are_not_modified_and_a_repeat_gives_the_same_bits(name: str) -> None:
    shape, p = make(name)
    x = axes(len(p))
    x0, p0 = x.copy(), p.copy()
    first = shape.evaluate(x, p, integral=True)
    second = shape.evaluate(x, p, integral=True)
    assert np.array_equal(x, x0)
    assert np.array_equal(p, p0)
    for one, other in zip(vars(first).values(), vars(second).values(), strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("name", SHAPES)
def test_rows_do_not_know_of_each_other(name: str) -> None:
    shape, p = make(name)
    x = axes(len(p))
    together = shape.evaluate(x, p, integral=True)
    for row in range(len(p)):
        alone = shape.evaluate(x[row], p[row], integral=True)
        for one, other in zip(vars(together).values(), vars(alone).values(), strict=True):
            np.testing.assert_allclose(one[row], other[0], rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("name", SHAPES)
def test_order_of_the_points_does_not_matter(name: str) -> None:
    shape, p = make(name)
    x = axes(len(p))
    order = np.random.default_rng(3).permutation(x.shape[1])
    for index in (slice(None, None, -1), order):
        straight = shape.evaluate(x, p, integral=True)
        shuffled = shape.evaluate(x[:, index], p, integral=True)
        for one, other in zip(vars(straight).values(), vars(shuffled).values(), strict=True):
            np.testing.assert_allclose(other, one[..., index], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", SHAPES)
def test_unit_of_the_axis_only_scales(name: str) -> None:
    shape, p = make(name)
    x = axes(len(p))
    hints = shape.defaults()
    lengths = np.array([hints[n].unit == AXIS_UNIT for n in shape.parameters])
    factor = 1000.0  # eV to meV
    here = shape.evaluate(x, p, integral=True)
    there = make(name, stretch=factor)[0].evaluate(x * factor, np.where(lengths, p * factor, p), integral=True)
    per = np.where(lengths, 1.0 / factor, 1.0)[np.newaxis, :, np.newaxis]
    np.testing.assert_allclose(there.value * factor, here.value, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(there.jac * factor, here.jac * per, rtol=1e-7, atol=1e-9 * np.abs(here.jac * per).max())
    assert here.integral is not None
    assert there.integral is not None
    np.testing.assert_allclose(there.integral, here.integral, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", SHAPES)
def test_one_axis_serves_all_rows_and_nothing_unasked_is_computed(name: str) -> None:
    shape, p = make(name)
    x = np.linspace(186.0, 198.0, 50)
    full = shape.evaluate(np.repeat(x[np.newaxis, :], len(p), axis=0), p)
    bare = shape.evaluate(x, p, derivatives=False)
    np.testing.assert_allclose(bare.value, full.value, rtol=1e-13)
    assert bare.jac.shape == (len(p), 0, 50)
    assert bare.integral is None
    assert bare.integral_jac is None


@pytest.mark.parametrize("name", SHAPES)
def test_defaults_cover_the_parameters_and_can_be_evaluated(name: str) -> None:
    shape, _ = make(name)
    hints = shape.defaults()
    assert tuple(hints) == shape.parameters
    assert shape.parameters[0] == "center"
    assert isinstance(shape, Shape)
    for hint in hints.values():
        assert hint.min <= hint.value <= hint.max
    values = shape.evaluate(np.linspace(-5, 5, 11), [[h.value for h in hints.values()]])
    assert np.isfinite(values.value).all()
    assert np.isfinite(values.jac).all()


@pytest.mark.parametrize("name", SHAPES)
def test_values_far_from_the_line_are_finite_and_small(name: str) -> None:
    shape, p = make(name)
    result = shape.evaluate(np.array([-1e5, 0.0, 5e3, 1e5]), p, integral=True)
    for array in vars(result).values():
        assert np.isfinite(array).all()
    assert np.abs(result.value).max() < 1e-2


@pytest.mark.parametrize("name", NAMES)
def test_a_width_of_zero_is_refused_by_name(name: str) -> None:
    shape, p = make(name)
    k = next(i for i, parameter in enumerate(shape.parameters) if parameter.endswith("fwhm"))
    p[0, k] = 0.0
    with pytest.raises(FitError, match=f"{shape.parameters[k]} must be above zero"):
        shape.evaluate([190.0], p)


def test_wrong_number_of_parameters_is_refused_with_their_names() -> None:
    with pytest.raises(FitError, match=r"3 parameters expected \(center, fwhm, mixing\), 2 given"):
        get_shape("pseudo_voigt").evaluate([190.0], [[190.0, 1.0]])


def test_axes_that_do_not_fit_the_rows_are_refused() -> None:
    with pytest.raises(FitError, match="2 axes but 3 rows"):
        get_shape("gaussian").evaluate(np.zeros((2, 4)), np.ones((3, 2)))


def test_parameter_that_is_not_a_number_is_refused_by_name() -> None:
    with pytest.raises(FitError, match="fwhm is not finite"):
        get_shape("gaussian").evaluate([190.0], [[190.0, np.nan]])


@pytest.mark.parametrize(
    ("typed", "meant"), [("pseudovoigt", "pseudo_voigt"), ("Gausian", "gaussian"), ("doniach-sunjic", "doniach_sunjic")]
)
def test_unknown_shape_names_the_nearest_one(typed: str, meant: str) -> None:
    with pytest.raises(FitError, match=f"did you mean '{meant}'"):
        get_shape(typed)
