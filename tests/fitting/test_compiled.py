"""Compiled loops and numpy give the same numbers to ten digits, and everything works where numba is not installed."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import numpy as np
import pytest

from layerscope.fitting import Component, PatternModel, Series, SeriesFit, fit_series, kernels, use_compiled

X = np.linspace(186.0, 198.0, 121)
MODELS: dict[str, dict[str, Any]] = {
    "pseudo-Voigts on a step": {"active": "shirley"},
    "gaussians": {"shape": "gaussian"},
    "lorentzians on a step": {"shape": "lorentzian", "active": "shirley", "polynomial": 0},
    "Voigts on a step": {"shape": "voigt", "active": "shirley"},
    "tails": {"shape": "doniach_sunjic", "polynomial": 2},
    "of several shapes": {"shape": "gaussian", "other": "pseudo_voigt", "active": "shirley"},
    "doublets": {"doublet": True},
    "Tougaard": {"active": "tougaard_u2"},
}


@pytest.fixture(scope="module")
def loops() -> Any:
    found = kernels.compiled(kernels.MANY_VALUES)
    if found is None:
        pytest.skip("numba is not installed (the extra `fast`)")
    return found


def fitted(
    levels: int,
    *,
    shape: str = "pseudo_voigt",
    other: str = "",
    doublet: bool = False,
    tie: str = "{}",
    known: bool = False,
    bounded: bool = False,
    **model: Any,
) -> SeriesFit:
    rng = np.random.default_rng(levels)
    lines = [Component("a", shape, doublet=doublet), Component("b", other or shape), Component("c", shape)]
    pattern = PatternModel(lines, **model)
    parameters = pattern.make_parameters()
    for name, center in (("a", 190.3), ("b", 192.4), ("c", 195.1)):
        parameters[f"{name}_center"].set(value=center, min=186.0, max=198.0)
    width = lines[1].line.parameters[1]
    parameters[f"b_{width}"].set(expr=tie.format(f"a_{width}"))
    if doublet:
        parameters["a_splitting"].set(value=1.1)
        parameters["a_ratio"].set(value=0.5)
    q = np.array([[parameters[name].value for name in pattern.nonlinear_names]])
    q[0, [pattern.nonlinear_names.index(f"{name}_center") for name in "abc"]] += [0.05, -0.04, 0.03]
    c = rng.uniform(300.0, 900.0, (levels, len(pattern.linear_names)))
    if bounded and levels > 1:
        c[0, 2] = 0.0  # of one level alone the shape of a line that is not there would be anything
    mu = c @ pattern.basis(X[None], q).columns[0] + 200.0
    y = rng.normal(mu, np.sqrt(np.abs(mu)))
    priors = {"a_fwhm": (1.2, np.r_[0.1, np.full(levels - 1, np.inf)]), "b_area": (600.0, 300.0)} if known else None
    series = Series(X, y, variance=np.abs(mu), priors=priors)
    return fit_series(pattern, parameters, series, weights="given", nonnegative=bounded)


END = 1e-6  # sigma: whether a step of this size is still taken at the end is for the last digit, thus the processor


def assert_the_same(one: SeriesFit, other: SeriesFit) -> None:
    """Hold two fits to one minimum; `test_common_shapes` holds what both work out at one place to ten digits."""
    assert one.converged == other.converged
    assert one.chi2 == pytest.approx(other.chi2, rel=1e-10)
    for name in one.names:
        sigma = other.sigma(name)
        assert np.allclose(one.value(name), other.value(name), rtol=1e-10, atol=END * sigma.max()), name
        assert np.allclose(one.sigma(name), sigma, rtol=END, atol=0.0), name


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("levels", [1, 6])
def test_a_fit_by_compiled_loops_is_that_by_numpy(
    model: str, levels: int, loops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(kernels.VARIABLE, "1")
    fast = fitted(levels, **MODELS[model])
    monkeypatch.setenv(kernels.VARIABLE, "0")
    assert_the_same(fast, fitted(levels, **MODELS[model]))


@pytest.mark.parametrize("levels", [1, 6, 40])
@pytest.mark.parametrize("more", [{"known": True}, {"tie": "1.1 * {}"}, {"bounded": True}], ids=str)
def test_priors_ties_and_bounds_enter_compiled_loops_as_they_enter_numpy(
    more: dict[str, Any], levels: int, loops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(kernels.VARIABLE, "1")
    fast = fitted(levels, active="shirley", **more)
    monkeypatch.setenv(kernels.VARIABLE, "0")
    assert_the_same(fast, fitted(levels, active="shirley", **more))


def test_compiled_loops_are_what_a_fit_of_that_form_uses(loops: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(loops, "common", lambda *arrays, plain=loops.common: asked.append(1) or plain(*arrays))
    monkeypatch.setenv(kernels.VARIABLE, "1")
    fitted(1)
    assert asked
    asked.clear()
    use_compiled(False)  # the fixture puts back what the variable was
    fitted(1)
    assert not asked


def test_everything_works_where_numba_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setenv(kernels.VARIABLE, "0")
    plain = fitted(6, active="shirley")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "numba" else found(name, *more)
    )
    monkeypatch.setattr(kernels, "MANY_VALUES", 100)
    kernels._loops.cache_clear()
    try:
        monkeypatch.setenv(kernels.VARIABLE, "1")
        without = fitted(6, active="shirley")
        assert kernels.compiled(10**9) is None
    finally:
        kernels._loops.cache_clear()
    assert without.chi2 == plain.chi2
    assert all(np.array_equal(without.value(name), plain.value(name)) for name in plain.names)


def test_fits_are_left_to_numpy_where_machine_code_cannot_be_kept(loops: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "CACHED", False)
    kernels._loops.cache_clear()
    try:
        assert kernels.compiled(kernels.MANY_VALUES) is None
    finally:
        kernels._loops.cache_clear()
    monkeypatch.undo()
    assert kernels.compiled(kernels.MANY_VALUES) is loops


def test_a_task_of_a_run_does_not_load_compiled_loops_for_small_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    from layerscope.runs import work

    monkeypatch.delenv(kernels.VARIABLE, raising=False)
    with work._small_fits_by_numpy():
        assert kernels.compiled(kernels.MANY_VALUES - 1) is None
    assert kernels.VARIABLE not in os.environ
    monkeypatch.setenv(kernels.VARIABLE, "1")
    with work._small_fits_by_numpy():
        assert os.environ[kernels.VARIABLE] == "1"
