"""Parameters are declared, read and changed as those of lmfit are."""

from __future__ import annotations

import copy
import math

import lmfit
import numpy as np
import pytest

from layerscope.errors import FitError, RecipeError
from layerscope.fitting import Component, Parameters, PatternModel, Series, fit_series

STEPS = [
    {"value": 3.0},
    {"min": 0.5, "max": 2.0, "value": 5.0},
    {"vary": False},
    {"expr": "2 * b + 1"},
    {"expr": "2 * b", "max": 1.5},
    {"expr": "b", "vary": False},
    {"expr": "b", "value": 0.7},
    {"expr": ""},
    {"min": -math.inf, "value": -4.0},
]


def declared(kind: type) -> Parameters:
    p = kind()
    p.add("b", value=0.8)
    p.add("a", value=1.0, min=-1.0, max=9.0)
    return p


@pytest.mark.parametrize("changes", [[step] for step in STEPS] + [STEPS, STEPS[::-1], [STEPS[3], {"vary": True}]])
def test_changes_do_what_they_do_in_lmfit(changes: list[dict]) -> None:
    ours, theirs = declared(Parameters), declared(lmfit.Parameters)
    for change in changes:
        for p in (ours, theirs):
            p["a"].set(**change)
        for name in ("value", "min", "max", "vary", "expr", "init_value"):
            assert getattr(ours["a"], name) == getattr(theirs["a"], name), (change, name)
    assert ours.valuesdict() == theirs.valuesdict()


def test_a_tie_follows_what_it_is_tied_to_also_in_a_copy() -> None:
    p = declared(Parameters)
    p["a"].expr = "2 * b"
    for one in (p, p.copy(), copy.deepcopy(p)):
        one["b"].value = 1.5
        assert float(one["a"]) == 3.0
        assert not one["a"].vary
        one["a"].vary = True
        assert one["a"].expr is None
    q = p.copy()
    q["b"].set(value=7.0)
    assert p["b"].value == 1.5


def test_a_name_that_is_none_and_a_tie_to_nothing_are_refused() -> None:
    p = declared(Parameters)
    with pytest.raises(FitError, match="cannot name a parameter"):
        p.add("a b")
    p["a"].set(expr="2 * nobody")
    with pytest.raises(FitError, match="nobody"):
        p["a"].value  # noqa: B018
    p["a"].set(expr="__import__('os')")
    with pytest.raises(RecipeError):
        p["a"].value  # noqa: B018


def test_parameters_of_lmfit_give_the_same_fit() -> None:
    x = np.linspace(0.0, 10.0, 80)
    model = PatternModel([Component("a"), Component("b")])
    ours, theirs = model.make_parameters(), lmfit.Parameters()
    for name, center in (("a", 4.0), ("b", 6.5)):
        ours[f"{name}_center"].set(value=center, min=0.0, max=10.0)
    ours["b_fwhm"].set(expr="a_fwhm")
    for p in ours.values():
        theirs.add(p.name, p.value, p.vary, p.min, p.max)
    theirs["b_fwhm"].set(expr="a_fwhm")
    q = np.array([[theirs[name].value for name in model.nonlinear_names]])
    y = np.random.default_rng(1).poisson(np.array([900.0, 500.0, 60.0, 3.0]) @ model.basis(x[None], q).columns[0])
    one, other = (fit_series(model, p, Series(x, y)) for p in (ours, theirs))
    assert all(np.array_equal(one.value(name), other.value(name)) for name in one.names)
