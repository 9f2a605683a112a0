"""The scan of all places finds lines wherever they stand: counts drawn by code of its own, starts far off."""

from __future__ import annotations

import numpy as np
import pytest

from layerscope.fitting import Component, PatternModel, Series, anywhere
from layerscope.fitting.series import fit_series
from layerscope.fitting.start import scan_starts

SEEDS = range(5)


def line(x: np.ndarray, center: float, fwhm: float, mixing: float = 0.3) -> np.ndarray:
    u = x - center
    gauss = np.exp(-4 * np.log(2) * (u / fwhm) ** 2) * np.sqrt(4 * np.log(2) / np.pi) / fwhm
    lorentz = fwhm / (2 * np.pi) / (u**2 + fwhm**2 / 4)
    return (1 - mixing) * gauss + mixing * lorentz


def counts(x: np.ndarray, lines: list[tuple[float, float, float]], seed: int, step: float = 0.05) -> np.ndarray:
    """Draw counts of lines (centre, fwhm, area) on a step below each and a sloping floor."""
    curve = 60.0 + 0.5 * (x - x[0])
    for center, fwhm, area in lines:
        shape = line(x, center, fwhm)
        curve = curve + area * (shape + step * np.cumsum(shape) * (x[1] - x[0]))
    return np.random.default_rng(seed).poisson(curve).astype(float)


def c1s(low: float = 0.4) -> tuple[PatternModel, object]:
    model = PatternModel([Component("CC"), Component("CO"), Component("OCO")], active="shirley")
    parameters = model.make_parameters()
    for name, at in (("CC", 284.8), ("CO", 286.3), ("OCO", 288.6)):
        parameters[f"{name}_center"].set(value=at, min=at - low, max=at + low)
        parameters[f"{name}_fwhm"].set(value=1.5, min=0.4, max=5.0)
    parameters["CC_center"].set(vary=False)
    parameters["CO_fwhm"].set(expr="CC_fwhm")
    parameters["OCO_fwhm"].set(expr="CC_fwhm")
    parameters["shift"].set(vary=True, min=-14, max=14)
    return model, parameters


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shift", [-7.3, -4.0, 1.0, 6.2])
def test_charging_of_many_widths_is_found_from_the_pattern_of_the_lines(shift: float, seed: int) -> None:
    model, parameters = c1s()
    x = np.arange(272.0, 300.0, 0.1)
    areas = ((284.8, 1300.0), (286.3, 350.0), (288.6, 180.0))
    y = counts(x, [(c + shift, 1.25, area) for c, area in areas], seed)
    found = scan_starts(model, parameters, Series(x, y), reach=12.0)
    assert min(abs(start.values["shift"] - shift) for start in found[:6]) < 0.35


@pytest.mark.parametrize("seed", SEEDS)
def test_free_lines_are_found_across_their_bounds_and_named_in_the_order_of_their_starts(seed: int) -> None:
    model = PatternModel([Component("a"), Component("b")], active="shirley")
    parameters = model.make_parameters()
    for name, at in (("a", 187.0), ("b", 188.0)):
        parameters[f"{name}_center"].set(value=at, min=183.0, max=197.0)
        parameters[f"{name}_fwhm"].set(value=1.5, min=0.4, max=5.0)
    x = np.arange(180.0, 200.0, 0.1)
    y = counts(x, [(192.4, 1.1, 900.0), (190.6, 1.3, 500.0)], seed)
    best = scan_starts(model, parameters, Series(x, y))[0].values
    assert best["a_center"] == pytest.approx(190.6, abs=0.4)
    assert best["b_center"] == pytest.approx(192.4, abs=0.4)


def test_a_tied_line_stands_where_its_expression_puts_it() -> None:
    model = PatternModel([Component("a"), Component("b")])
    parameters = model.make_parameters()
    parameters["a_center"].set(value=100.0, min=90.0, max=110.0)
    parameters["b_center"].set(expr="a_center + 3")
    for name in "ab":
        parameters[f"{name}_fwhm"].set(value=1.0, min=0.3, max=3.0)
    x = np.arange(88.0, 116.0, 0.1)
    y = counts(x, [(96.0, 1.0, 500.0), (99.0, 1.0, 800.0)], 3, step=0.0)
    best = scan_starts(model, parameters, Series(x, y))[0].values
    assert best["a_center"] == pytest.approx(96.0, abs=0.25)
    assert "b_center" not in best


def test_a_doublet_is_placed_by_its_first_line() -> None:
    model = PatternModel([Component("In", doublet=True)], active="shirley")
    parameters = model.make_parameters()
    parameters["In_center"].set(value=450.0, min=440.0, max=456.0)
    parameters["In_fwhm"].set(value=1.2, min=0.4, max=4.0)
    parameters["In_splitting"].set(value=7.54)
    parameters["In_ratio"].set(value=0.667)
    x = np.arange(436.0, 466.0, 0.1)
    y = counts(x, [(444.8, 1.3, 2000.0), (444.8 + 7.54, 1.3, 1334.0)], 1)
    assert scan_starts(model, parameters, Series(x, y))[0].values["In_center"] == pytest.approx(444.8, abs=0.25)


def test_a_line_that_can_only_stand_outside_the_data_says_nothing_of_the_others() -> None:
    model = PatternModel([Component("here"), Component("far")])
    parameters = model.make_parameters()
    parameters["here_center"].set(value=285.0, min=280.0, max=290.0)
    parameters["far_center"].set(value=350.0, min=349.0, max=351.0)
    x = np.arange(278.0, 292.0, 0.1)
    best = scan_starts(model, parameters, Series(x, counts(x, [(287.0, 1.2, 900.0)], 2)))[0].values
    assert best["here_center"] == pytest.approx(287.0, abs=0.3)
    assert "far_center" not in best


def test_six_lines_are_placed_without_trying_every_set_of_amounts() -> None:
    names = [f"l{i}" for i in range(6)]
    model = PatternModel([Component(n) for n in names])
    parameters = model.make_parameters()
    truth = [101.0, 104.2, 107.1, 110.3, 113.0, 116.4]
    for name, at in zip(names, truth, strict=True):
        parameters[f"{name}_center"].set(value=at + 0.9, min=at - 1.4, max=at + 1.4)
        parameters[f"{name}_fwhm"].set(value=1.4, min=0.4, max=4.0)
    x = np.arange(98.0, 120.0, 0.1)
    y = counts(x, [(c, 1.3, 800.0) for c in truth], 4, step=0.0)
    best = scan_starts(model, parameters, Series(x, y))[0].values
    assert [best[f"{n}_center"] for n in names] == pytest.approx(truth, abs=0.35)


def test_patterns_of_a_series_are_weighed_together() -> None:
    model, parameters = c1s()
    x = np.arange(276.0, 298.0, 0.1)
    y = np.stack([counts(x, [(284.8 + 3.1, 1.3, 300.0 * k), (286.3 + 3.1, 1.3, 60.0 * k)], k) for k in range(1, 5)])
    found = scan_starts(model, parameters, Series(x, y), reach=8.0)
    assert min(abs(start.values["shift"] - 3.1) for start in found[:4]) < 0.35


def test_a_few_patterns_of_many_lead_the_others_to_the_same_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    model, parameters = c1s()
    x = np.arange(276.0, 298.0, 0.2)
    shifts = 2.5 + 0.2 * np.sin(np.arange(9))  # charging that no declared start knows of
    y = np.stack([counts(x, [(284.8 + s, 1.3, 900.0), (286.3 + s, 1.3, 300.0)], k) for k, s in enumerate(shifts)])
    series = Series(x, y, priors={"shift": (np.zeros(9), np.full(9, np.inf))})

    def found() -> anywhere.Found:
        scopes = {"shift": "per_pattern"}
        return anywhere.fit_from_anywhere(
            model,
            parameters,
            series,
            lambda starts: fit_series(model, parameters, series, scopes=scopes, starts=starts, nonnegative=True),
            scopes=scopes,
            reach=8.0,
        )

    whole = found().fit
    monkeypatch.setattr(anywhere, "MOST_PATTERNS", 3)
    few = found().fit
    assert few.chi2 == pytest.approx(whole.chi2, rel=1e-6)
    np.testing.assert_allclose(few.value("shift"), shifts, atol=0.15)
