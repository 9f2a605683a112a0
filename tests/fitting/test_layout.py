"""How declared parameters run through a series, and what is refused."""

from __future__ import annotations

import lmfit
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BarycentricInterpolator

from layerscope.errors import FitError, RecipeError
from layerscope.fitting.layout import PER_PATTERN, Layout, Smooth


def declared(**settings_: dict) -> lmfit.Parameters:
    parameters = lmfit.Parameters()
    for name, given_ in settings_.items():
        parameters.add(name, **given_)
    return parameters


def test_each_scope_takes_its_number_of_free_values() -> None:
    p = declared(a={"value": 1.0}, b={"value": 2.0}, c={"value": 3.0}, d={"value": 4.0, "vary": False})
    layout = Layout(p, ("a", "b", "c", "d"), 5, scopes={"b": PER_PATTERN, "c": Smooth(3)})
    assert (layout.n_shared, layout.n_local) == (1 + 3, 1)
    assert layout.shared_labels == ["a", "c@0", "c@1", "c@2"]
    shared, local = layout.start()
    np.testing.assert_allclose(shared, [1.0, 3.0, 3.0, 3.0])
    np.testing.assert_allclose(local, np.full((5, 1), 2.0))


def test_values_of_every_pattern_follow_their_scope() -> None:
    p = declared(a={"value": 1.0}, b={"value": 2.0}, c={"value": 3.0}, d={"value": 4.0, "vary": False})
    time = np.array([0.0, 1.0, 5.0])
    layout = Layout(p, ("a", "b", "c", "d"), 3, scopes={"b": PER_PATTERN, "c": Smooth(2)}, variable=time)
    values, _ = layout.local_values(np.array([[7.0, 10.0, 20.0]]), np.array([[[0.1], [0.2], [0.3]]]))
    np.testing.assert_allclose(values["a"], [[7.0, 7.0, 7.0]])
    np.testing.assert_allclose(values["b"], [[0.1, 0.2, 0.3]])
    np.testing.assert_allclose(values["c"], [[10.0, 12.0, 20.0]])
    np.testing.assert_allclose(values["d"], [[4.0, 4.0, 4.0]])


@pytest.mark.parametrize("knots", [1, 2, 3, 4, 6])
def test_smooth_parameter_is_the_polynomial_through_its_knots(knots: int) -> None:
    u = np.array([0.0, 3.0, 7.0, 20.0, 21.0, 50.0, 49.0])
    coefficients = np.random.default_rng(1).normal(size=knots)
    nodes = 25.0 - 25.0 * np.cos(np.pi * np.arange(knots) / max(knots - 1, 1)) if knots > 1 else np.array([0.0])
    at_knots = np.polyval(coefficients, nodes)
    expected = BarycentricInterpolator(nodes, at_knots)(u) if knots > 1 else np.full(u.size, at_knots[0])
    np.testing.assert_allclose(Smooth(knots).matrix(u) @ at_knots, expected, rtol=1e-10, atol=1e-8)


def test_smooth_starts_are_the_best_polynomial_through_the_given_values() -> None:
    u = np.linspace(0.0, 10.0, 6)
    layout = Layout(
        declared(a={"value": 0.0}), ("a",), 6, scopes={"a": Smooth(2)}, variable=u, starts={"a": 3.0 + 0.5 * u}
    )
    np.testing.assert_allclose(layout.start()[0], [3.0, 8.0])


def test_starts_are_moved_into_the_bounds_that_apply_to_each_value() -> None:
    p = declared(a={"value": 0.5, "min": 0.0, "max": 1.0}, b={"value": 0.5, "min": 0.0, "max": 1.0})
    layout = Layout(p, ("a", "b"), 3, scopes={"b": PER_PATTERN}, starts={"a": 7.0, "b": [-1.0, 0.25, 9.0]})
    shared, local = layout.start()
    np.testing.assert_allclose(shared, [1.0])
    np.testing.assert_allclose(local[:, 0], [0.0, 0.25, 1.0])
    np.testing.assert_allclose(np.array(layout.bounds_shared()), [[0.0], [1.0]])
    np.testing.assert_allclose(np.array(layout.bounds_local()), [[0.0], [1.0]])


def test_fixed_parameter_can_differ_from_pattern_to_pattern() -> None:
    p = declared(a={"value": 0.0, "vary": False})
    values, _ = Layout(p, ("a",), 3, starts={"a": [1.0, 2.0, 3.0]}).local_values(np.zeros((2, 0)), np.zeros((2, 3, 0)))
    np.testing.assert_allclose(values["a"], [[1.0, 2.0, 3.0]] * 2)


def test_parameter_that_nothing_uses_is_not_free() -> None:
    p = declared(a={"value": 1.0}, helper={"value": 2.0}, unused={"value": 3.0})
    p.add("b", expr="2*helper")
    layout = Layout(p, ("a", "b"), 2)
    assert layout.free_names == ("a", "helper")


def test_single_pattern_needs_no_local_parameters() -> None:
    layout = Layout(declared(a={"value": 1.0}), ("a",), 1, scopes={"a": PER_PATTERN})
    assert (layout.n_shared, layout.n_local) == (1, 0)


def chained() -> lmfit.Parameters:
    p = declared(
        base={"value": 1.3}, wide={"value": 0.7}, local={"value": 0.2}, line={"value": 2.0}, fix={"value": 3.0}
    )  # fmt: skip
    p["fix"].set(vary=False)
    for name in ("last", "second", "first"):  # declared before what they use
        p.add(name, value=0.0)
    p["first"].set(expr="base*wide + sqrt(line)")
    p["second"].set(expr="first*fix + exp(-local)")
    p["last"].set(expr="second**2 - local*line")
    return p


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.2, 2.0), min_size=8, max_size=8))
def test_slopes_of_chained_constraints_are_total_derivatives(numbers: list[float]) -> None:
    names = ("base", "wide", "local", "line", "first", "second", "last", "fix")
    layout = Layout(chained(), names, 3, scopes={"local": PER_PATTERN, "line": Smooth(2)})
    assert layout.shared_labels == ["base", "wide", "line@0", "line@1"]
    shared, local = np.array([numbers[:4]]), np.array(numbers[4:7]).reshape(1, 3, 1)
    values, slopes = layout.local_values(shared, local)
    np.testing.assert_allclose(values["first"], values["base"] * values["wide"] + np.sqrt(values["line"]))
    h = 1e-6
    for k in range(4):
        step = np.zeros((1, 4))
        step[0, k] = h
        up, down = (layout.local_values(shared + s * step, local)[0] for s in (1, -1))
        spread = layout.spread[:, :, k]  # (L, V): what the k-th number does to the shared parameters
        for tied in ("first", "second", "last"):
            analytic = sum(
                slopes[tied].get(b.name, np.zeros((1, 3))) * spread[:, v] for v, b in enumerate(layout.shared)
            )
            np.testing.assert_allclose(analytic, (up[tied] - down[tied]) / (2 * h), rtol=1e-6, atol=1e-7)
    up, down = (layout.local_values(shared, local + s * h)[0] for s in (1, -1))
    for tied in ("second", "last"):
        np.testing.assert_allclose(slopes[tied]["local"], (up[tied] - down[tied]) / (2 * h), rtol=1e-6, atol=1e-7)
    assert "local" not in slopes["first"]


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (lambda p: Layout(p, ("a", "missing"), 2), "missing"),
        (lambda p: Layout(p, ("a",), 2, scopes={"nobody": "shared"}), "nobody"),
        (lambda p: Layout(p, ("a",), 2, starts={"nobody": np.zeros(2)}), "nobody"),
        (lambda p: Layout(p, ("a",), 2, scopes={"a": "sometimes"}), "scope"),
        (lambda p: Layout(p, ("a", "t"), 2, scopes={"t": PER_PATTERN}), "tied"),
        (lambda p: Layout(p, ("a",), 2, scopes={"a": Smooth(0)}), "knot"),
        (lambda p: Layout(p, ("a",), 2, scopes={"a": Smooth(2)}, variable=np.ones(2)), "varies"),
        (lambda p: Layout(p, ("a",), 2, starts={"a": np.array([1.0, np.nan])}), "start"),
    ],
)
def test_impossible_declarations_are_refused(problem, message: str) -> None:
    p = declared(a={"value": 1.0})
    p.add("t", expr="2*a")
    with pytest.raises(FitError, match=message):
        problem(p)


def test_constraints_in_a_circle_are_refused() -> None:
    p = declared(a={"value": 1.0}, b={"value": 1.0}, c={"value": 1.0})
    p["b"]._expr, p["c"]._expr = "c + a", "2*b"  # lmfit itself recurses without end on such a pair
    with pytest.raises(FitError, match="circle"):
        Layout(p, ("a", "b", "c"), 2)


def test_constraint_outside_the_grammar_is_refused_although_lmfit_takes_it() -> None:
    p = declared(a={"value": 1.0})
    p.add("b", expr="max(a, 2)")
    with pytest.raises(RecipeError, match="call"):
        Layout(p, ("a", "b"), 2)
