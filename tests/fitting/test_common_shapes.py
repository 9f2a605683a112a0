"""Lines that are the same in all patterns, and lines of one shape, are worked out once or together: same numbers."""

from __future__ import annotations

import numpy as np
import pytest

from layerscope.fitting import Component, PatternModel

X = np.linspace(186.0, 198.0, 121)


@pytest.mark.parametrize("active", ["none", "shirley"])
@pytest.mark.parametrize("equal", [True, False], ids=["equal rows", "rows of their own"])
def test_one_axis_for_all_rows_gives_what_an_axis_a_row_gives(active, equal):
    model = PatternModel([Component("a"), Component("b"), Component("c", "gaussian")], active=active)
    names, rows = model.nonlinear_names, 4
    start = {n: p.value for n, p in model.make_parameters().items()}
    start |= {"a_center": 191.0, "b_center": 192.5, "c_center": 194.0}
    q = np.tile([start[n] for n in names], (rows, 1))
    if not equal:
        q += np.random.default_rng(1).uniform(0.0, 0.05, q.shape)
    together = model.basis(X[None], q.copy())
    apart = model.basis(np.tile(X, (rows, 1)), q.copy())
    assert np.array_equal(together.columns, apart.columns)
    assert [(d.parameter, d.column) for d in together.derivatives] == [
        (d.parameter, d.column) for d in apart.derivatives
    ]
    for one, other in zip(together.derivatives, apart.derivatives, strict=True):
        assert np.array_equal(np.broadcast_to(one.values, other.values.shape), other.values)


def test_a_parameter_that_is_another_has_its_slope_wherever_that_one_runs():
    from layerscope.fitting import Series, fit_series

    model = PatternModel([Component("a"), Component("b")])
    truth = {"a_center": 191.0, "b_center": 193.5}
    q = np.array(
        [[{**truth, "a_fwhm": 1.3, "b_fwhm": 1.3}.get(n, 0.3 if "mixing" in n else 0.0) for n in model.nonlinear_names]]
    )
    y = np.array([[1000.0, 400.0, 50.0, 0.0]]) @ model.basis(X[None], q).columns[0]
    fits = []
    for tie in ("a_fwhm", "1.0 * a_fwhm + 0.0"):
        parameters = model.make_parameters()
        for name, value in truth.items():
            parameters[name].set(value=value + 0.1)
        parameters["b_fwhm"].set(expr=tie)
        fits.append(fit_series(model, parameters, Series(X, y, variance=np.ones_like(y)), weights="given"))
    plain, reckoned = fits
    assert float(plain.value("b_fwhm")[0]) == pytest.approx(1.3, abs=1e-8)
    for name in ("a_fwhm", "b_fwhm", "a_area"):
        assert float(plain.sigma(name)[0]) == pytest.approx(float(reckoned.sigma(name)[0]), rel=1e-9)


@pytest.mark.parametrize("patterns", [1, 3, 9])
@pytest.mark.parametrize("tie", ["a_fwhm", "1.1 * a_fwhm"])
@pytest.mark.parametrize("known", [False, True], ids=["no priors", "priors"])
def test_shapes_that_all_patterns_share_give_the_sums_that_each_pattern_gives_by_itself(patterns, tie, known):
    from layerscope.fitting.layout import Layout
    from layerscope.fitting.measured import Series, prepare
    from layerscope.fitting.rows import RowEvaluator

    rng = np.random.default_rng(patterns)
    model = PatternModel([Component("a"), Component("b"), Component("c", "gaussian")], active="shirley")
    parameters = model.make_parameters()
    for name, center in (("a", 190.5), ("b", 192.5), ("c", 195.0)):
        parameters[f"{name}_center"].set(value=center)
    parameters["b_fwhm"].set(expr=tie)
    y = rng.poisson(300.0, (patterns, X.size)).astype(float)
    priors = {"a_fwhm": (1.2, np.r_[0.1, np.full(patterns - 1, np.inf)]), "b_area": (20.0, 30.0)} if known else None
    data = prepare(Series(X, y, variance=rng.uniform(200.0, 400.0, y.shape), priors=priors))
    layout = Layout(parameters, model.nonlinear_names, patterns)
    evaluator = RowEvaluator(model, layout, None, (), data.prior_names)
    rows = data.rows(1.0 / np.sqrt(data.variance))
    shared = layout.start()[0][None] * 1.01
    together = evaluator._common(rows, shared)
    assert together is not None
    apart = evaluator._apart(rows, shared, np.zeros((1, patterns, 0)))
    assert layout.alike
    for name in ("chi2", "apart", "coefficients", "gradient", "curvature", "whole", "mixed", "gram"):
        one, other = getattr(together, name), getattr(apart, name)
        scale = np.abs(other).max()
        assert np.allclose(one, other, rtol=1e-9, atol=1e-11 * scale), name


@pytest.mark.parametrize("bounded", [False, True], ids=["free", "amounts at or above zero"])
def test_compiled_loops_give_what_numpy_gives_to_ten_digits(bounded):
    from layerscope.fitting import kernels

    loops = kernels.compiled(kernels.MANY_VALUES)
    if loops is None:
        pytest.skip("numba is not installed (the extra `fast`)")
    rng = np.random.default_rng(1)
    model = PatternModel([Component("a"), Component("b"), Component("c", "gaussian")], active="shirley")
    names, rows = model.nonlinear_names, 12
    start = {n: p.value for n, p in model.make_parameters().items()}
    start |= {"a_center": 191.0, "b_center": 192.5, "c_center": 194.0}
    q = np.tile([start[n] for n in names], (rows, 1)) + rng.uniform(0.0, 0.05, (rows, len(names)))
    q[3, names.index("b_center")] = q[3, names.index("a_center")] + 1e-7  # two lines in one place: left to numpy
    basis = model.basis(X[None], q)
    y, root_weight = rng.poisson(300.0, (rows, X.size)).astype(float), rng.uniform(0.04, 0.06, (rows, X.size))
    root_weight[:, 5] = 0.0
    routes = [[] if i == 7 else [(i % 6, rng.uniform(0.5, 1.0, rows) if i % 3 else None)] for i in range(len(names))]
    amounts = np.array([True] * 3 + [False] * 2) if bounded else None
    fast, plain = (kernels.project(basis, y, root_weight, amounts, routes, 6, loops=way) for way in (loops, None))
    for name in fast.__dataclass_fields__:
        one, other = getattr(fast, name), getattr(plain, name)
        assert np.allclose(one, other, rtol=1e-10, atol=1e-10 * np.abs(other).max()), name
