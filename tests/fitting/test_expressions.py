"""The checked grammar of constraints: what it computes, its derivatives, and everything it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from layerscope.errors import RecipeError
from layerscope.fitting.expressions import Expression

VALUES = {"a": 1.7, "b": 0.4, "c": 2.3}

REFUSED = [
    "a.real", "a.__class__", "().__class__.__bases__", "a[0]", "a[:]", "lambda: 1", "(lambda x: x)(a)",
    "__import__('os')", "__import__('os').system('true')", "open('x')", "eval('1')", "min(a, b)", "exp.__call__(a)",
    "exp(a, b)", "exp(x=a)", "exp(*a)", "exp(**a)", "exp()", "'text'", "b'bytes'", "f'{a}'", "True", "None", "...",
    "1j", "1e400", "1" * 310, "a if b else c", "a and b", "not a", "a < b", "a == b", "a // b", "a % b", "a @ b",
    "a << b", "a & b", "~a", "[a]", "(a, b)", "{a}", "{a: b}", "[x for x in a]", "(x for x in a)", "(a := 1)",
    "a := 1", "a = 1", "import os", "a; b", "a b", "a +", "", "   ", "await a", "yield a", "*a", "\x00", "a\nb",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_anything_but_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(RecipeError):
        Expression(text)


@pytest.mark.parametrize("text", ["-" * 60 + "a", "+".join("a" * 60), "exp(" * 45 + "a" + ")" * 45, "a**" * 45 + "a"])
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="nesting"):
        Expression(text)


@pytest.mark.parametrize("text", ["a+" * 300 + "a", "(" * 450 + "a" + ")" * 450, "-" * 5000 + "a"])
def test_long_text_is_refused_before_it_is_parsed(text: str) -> None:
    with pytest.raises(RecipeError, match="longer"):
        Expression(text)


def test_refusal_names_the_expression_and_what_is_allowed() -> None:
    with pytest.raises(RecipeError) as caught:
        Expression("fwhm_1.real")
    assert "fwhm_1.real" in str(caught.value)
    assert "sqrt" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2*a + b", 2 * 1.7 + 0.4),
        ("-a**2", -(1.7**2)),
        ("a**-b", 1.7**-0.4),
        ("2**3**2", 512.0),
        ("a - b - c", 1.7 - 0.4 - 2.3),
        ("a / b / c", 1.7 / 0.4 / 2.3),
        ("+a*-b", -1.7 * 0.4),
        ("exp(-b*c)", math.exp(-0.4 * 2.3)),
        ("log(a) + sqrt(c)", math.log(1.7) + math.sqrt(2.3)),
        ("sin(a) + cos(b) - tan(b)", math.sin(1.7) + math.cos(0.4) - math.tan(0.4)),
        ("arctan(a/b)*2/pi", math.atan(1.7 / 0.4) * 2 / math.pi),
        ("abs(b - a)", 1.3),
        ("e**a", math.e**1.7),
        ("1000 * a", 1700.0),
    ],
)
def test_arithmetic_has_the_usual_meaning(text: str, value: float) -> None:
    assert Expression(text)(VALUES) == pytest.approx(value, rel=1e-14)


def test_names_are_those_used_without_constants_and_functions() -> None:
    assert Expression("b*exp(a) + pi*b - e").names == ("a", "b")


def test_expression_holds_for_arrays_of_any_shape() -> None:
    a = np.linspace(0.5, 2.0, 6).reshape(2, 3)
    dual = Expression("a**2 * b").gradient({"a": a, "b": 3.0})
    np.testing.assert_allclose(dual.value, 3.0 * a**2)
    np.testing.assert_allclose(dual.gradient["a"], 6.0 * a)
    np.testing.assert_allclose(dual.gradient["b"], a**2)


def test_gradient_can_be_limited_to_some_names() -> None:
    assert set(Expression("a*b + c").gradient(VALUES, frozenset({"b"})).gradient) == {"b"}


Pair = tuple[str, Callable[[dict[str, Any]], Any]]


def _unary(name: str, function: Callable[[Any], Any]) -> Callable[[Pair], Pair]:
    return lambda p: (f"{name}({p[0]})", lambda v: function(p[1](v)))


def _binary(op: str, function: Callable[[Any, Any], Any]) -> Callable[[tuple[Pair, Pair]], Pair]:
    return lambda pq: (f"({pq[0][0]}) {op} ({pq[1][0]})", lambda v: function(pq[0][1](v), pq[1][1](v)))


LEAVES = st.one_of(
    st.sampled_from(["a", "b", "c"]).map(lambda n: (n, lambda v: v[n])),
    st.floats(0.1, 5.0).map(lambda f: (repr(f), lambda v: np.float64(f))),
)


def _grow(inner: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    both = st.tuples(inner, inner)
    exponent = st.integers(-3, 4)
    return st.one_of(
        both.map(_binary("+", lambda x, y: x + y)),
        both.map(_binary("-", lambda x, y: x - y)),
        both.map(_binary("*", lambda x, y: x * y)),
        both.map(_binary("/", lambda x, y: x / y)),
        st.tuples(inner, exponent).map(lambda t: (f"({t[0][0]})**({t[1]})", lambda v: t[0][1](v) ** t[1])),
        inner.map(lambda p: (f"2.5**({p[0]})", lambda v: np.float64(2.5) ** p[1](v))),
        inner.map(_unary("-", lambda x: -x)),
        *(inner.map(_unary(n, getattr(np, n))) for n in ("exp", "sin", "cos", "tan", "arctan")),
        inner.map(lambda p: (f"log(({p[0]})**2 + 1)", lambda v: np.log(p[1](v) ** 2 + 1))),
        inner.map(lambda p: (f"sqrt(({p[0]})**2 + 1)", lambda v: np.sqrt(p[1](v) ** 2 + 1))),
    )


@settings(max_examples=200, deadline=None)
@given(pair=st.recursive(LEAVES, _grow, max_leaves=6), at=st.tuples(*(st.floats(0.2, 3.0),) * 3))
def test_gradient_is_that_of_a_complex_step(pair: Pair, at: tuple[float, float, float]) -> None:
    text, function = pair
    assume(len(text) <= 500)
    values = {n: np.float64(v) for n, v in zip("abc", at, strict=True)}
    with np.errstate(all="ignore"):
        expected = {n: np.imag(function({**values, n: values[n] + 1e-30j})) / 1e-30 for n in "abc"}
        value = function(values)
        assume(np.isfinite(value) and abs(value) < 1e12)
        assume(all(np.isfinite(d) and abs(d) < 1e12 for d in expected.values()))
        try:
            dual = Expression(text).gradient(values)
        except RecipeError as error:  # a part of numbers alone that overflows is refused, whatever stands around it
            assert "not finite" in str(error)  # noqa: PT017
            return
    assert dual.value == pytest.approx(value, rel=1e-12, abs=1e-300)
    for name in "abc":
        assert dual.gradient.get(name, 0.0) == pytest.approx(expected[name], rel=1e-9, abs=1e-9)


def test_gradient_of_powers_with_a_named_exponent_and_of_abs() -> None:
    expression = Expression("a**b + abs(b - a)")
    dual = expression.gradient(VALUES)
    h = 1e-6
    for name in ("a", "b"):
        up, down = (expression({**VALUES, name: VALUES[name] + s * h}) for s in (1, -1))
        assert dual.gradient[name] == pytest.approx((up - down) / (2 * h), rel=1e-8)


@pytest.mark.parametrize("text", ["9**9**9**9", "a + 1/0", "a*(-8)**(1/3)", "log(0)", "sqrt(-1)", "1/(1-1)"])
def test_numbers_without_a_finite_real_value_are_refused(text: str) -> None:
    with pytest.raises(RecipeError):
        Expression(text)
