"""What the choice of a background or of a minimum does to shares is part of their error, if the data leave it open."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from layerscope.spectra.xps.choices import ambiguous, shape_doubted, widths_doubted, with_choices
from layerscope.spectra.xps.energyscale import EnergyScale
from layerscope.spectra.xps.options import BackgroundTable, RegionTable
from layerscope.spectra.xps.quantify import QuantificationTable
from layerscope.spectra.xps.quantities import level_quantities
from layerscope.spectra.xps.regionfit import fit_region
from layerscope.spectra.xps.regionresult import RegionData, RegionFit

from layerscope.fitting.compare import model_weights

X = np.arange(184.0, 204.0, 0.1)
PLACES = (190.0, 193.0)
SHARES = np.array([0.7, 0.3])
REGION = {
    "region": "B 1s",
    "shift": "none",
    "components": [
        {"species": "A", "custom": True, "position_eV": PLACES[0]},
        {"species": "B", "custom": True, "position_eV": PLACES[1], "like": "A", "like_spread": 0},
    ],
}


def step(lines: np.ndarray) -> np.ndarray:
    return np.asarray(0.05 * np.cumsum(lines) * 0.1)


def losses(lines: np.ndarray) -> np.ndarray:
    lost = np.maximum(X[:, None] - X[None, :], 0.0)
    return np.asarray(3_500.0 * lost / (1643.0 + lost**2) ** 2 @ lines * 0.1)


def counts(seed: int, top: float, *, tougaard: bool) -> np.ndarray:
    lines = sum(
        share * np.exp(-4.0 * np.log(2) * ((X - at) / 1.4) ** 2) for share, at in zip(SHARES, PLACES, strict=True)
    )
    curve = lines + (losses(lines) if tougaard else step(lines)) + 0.2
    return np.random.default_rng(seed).poisson(top * curve).astype(float)[None]


@cache
def fitted(seed: int, top: float, *, tougaard: bool) -> tuple[RegionFit, RegionData]:
    data = RegionData(X, counts(seed, top, tougaard=tougaard), np.ones(1), np.zeros(1))
    return fit_region(RegionTable.model_validate(REGION), data), data


def with_background(seed: int, top: float, *, tougaard: bool) -> RegionFit:
    return with_choices(*fitted(seed, top, tougaard=tougaard))


def test_losses_under_a_step_are_within_the_error_that_the_choice_of_background_makes() -> None:
    fits = [with_background(seed, 200_000.0, tougaard=True) for seed in range(3)]
    miss = np.array([(f.shares[0] - SHARES[:, None]) / f.share_sigma for f in fits])
    alone = np.array([(f.shares[0] - SHARES[:, None]) / np.sqrt(np.einsum("klkl->kl", f.shares[1])) for f in fits])
    assert np.abs(alone).mean() > 2.0  # counting alone misses
    assert np.abs(miss).max() < 2.0
    likely = fits[0].choices["background"].fits["active tougaard_u2"][0]
    assert likely > fits[0].choices["background"].fits[""][0]


def test_a_background_that_the_data_rule_out_makes_no_error() -> None:
    result = with_background(0, 20_000.0, tougaard=False)
    choice = result.choices["background"]
    assert {"active tougaard_u2", "polynomial"} <= set(choice.beyond)
    fitted = np.sqrt(np.einsum("klkl->kl", result.shares[1]))
    assert (result.share_sigma < 1.3 * fitted).all()
    assert (np.abs(result.shares[0] - SHARES[:, None]) < 2.5 * result.share_sigma).all()


def test_parts_of_the_budget_add_up_and_the_same_number_is_stated_everywhere() -> None:
    result = with_background(0, 20_000.0, tougaard=True)
    unknown = EnergyScale(np.zeros(1), np.zeros(1), 0.0, known=False)
    stated = level_quantities(result, 0, unknown, intensity_unit="counts", confidence=0.95)
    amounts = [q for q in stated if q.name in ("peak.area", "species.fraction")]
    assert len(amounts) == 4
    for q in amounts:
        assert set(q.budget) == {"counting", "background", "line_shape"}
        assert q.sigma == pytest.approx(math.hypot(*q.budget.values()))
    share = next(q for q in amounts if q.name == "species.fraction" and q.component == "B")
    assert share.sigma == pytest.approx(result.share_sigma[1, 0])


def test_none_is_tried_where_the_recipe_names_none_or_nothing_rises() -> None:
    result, data = fitted(0, 20_000.0, tougaard=False)
    assert "background" not in with_choices(result, data, QuantificationTable(alternative_backgrounds=())).choices
    noise = RegionData(X, np.random.default_rng(1).poisson(50.0, (1, X.size)).astype(float), np.ones(1), np.zeros(1))
    assert not with_choices(fit_region(RegionTable.model_validate(REGION), noise), noise).choices


def test_the_degree_of_the_polynomial_is_a_choice_too() -> None:
    result, data = fitted(0, 20_000.0, tougaard=False)
    table = QuantificationTable(alternative_backgrounds=(BackgroundTable(kind="polynomial"),))
    choice = with_choices(result, data, table).choices["background"]
    assert set(choice.fits) == {"", "active shirley, degree 2"}
    assert choice.fits["active shirley, degree 2"][1].chi2 < result.fit.chi2


def test_weights_of_models_are_those_of_akaike() -> None:
    weights = model_weights([100.0, 102.0, 96.0], [3, 3, 5])
    np.testing.assert_allclose(weights, np.array([1.0, np.exp(-1.0), 1.0]) / (2.0 + np.exp(-1.0)))
    np.testing.assert_allclose(model_weights([100.0, 102.0], [3, 3], 4.0)[1] / 1.0, 1.0 / (1.0 + np.exp(0.25)))


def three_lines(seed: int, bound: float) -> RegionFit:
    """Fit three lines at 400 counts, 0.9 and 1 eV apart, which may move by `bound`."""
    places, shares = np.array([192.0, 191.1, 193.0]), np.array([0.5, 0.35, 0.15])
    lines = shares @ np.exp(-4.0 * np.log(2) * ((X - places[:, None]) / 1.3) ** 2)
    y = np.random.default_rng(seed).poisson(400.0 * (lines / lines.max() + 0.15)).astype(float)[None]
    components = [
        {"species": f"{k}", "custom": True, "position_eV": {"value": at, "min": at - bound, "max": at + bound}}
        | ({"like": "0"} if k else {})
        for k, at in enumerate(places)
    ]
    region = RegionTable.model_validate({"region": "B 1s", "shift": "none", "components": components})
    data = RegionData(X, y, np.ones(1), np.zeros(1))
    return with_choices(fit_region(region, data), data, QuantificationTable(alternative_backgrounds=()))


def test_minima_within_reach_are_kept_with_their_probability_and_widen_the_shares() -> None:
    fits = [three_lines(seed, 0.8) for seed in range(8)]
    several = [fit for fit in fits if fit.minima]
    assert several
    for fit in several:
        choice = fit.choices["alternatives"]
        assert len(choice.fits) == 1 + len(fit.minima)
        assert sum(weight for weight, _ in choice.fits.values()) == pytest.approx(1.0)
        distance = [other.chi2 - fit.fit.chi2 for _, other in choice.fits.values()]
        assert max(distance) <= 4.0
        for (weight, _), above in zip(choice.fits.values(), distance, strict=True):
            assert weight / choice.fits[""][0] == pytest.approx(np.exp(-0.5 * above))
        areas = [f"c_{k}_area" for k in range(3)]
        minimum = fit.fit.batch[0].fractions(areas)[0]
        apart = sum(w * (other.fractions(areas)[0] - minimum) ** 2 for w, other in choice.fits.values())
        np.testing.assert_allclose(choice.shares, apart, rtol=1e-6)
        assert (fit.share_sigma**2 >= apart).all()
    assert any(ambiguous(fit) for fit in several)
    assert not any(ambiguous(fit) for fit in fits if not fit.minima)


def test_lines_that_change_their_names_are_no_other_minimum_and_keep_the_order_of_their_starts() -> None:
    for seed in range(3):
        fit = three_lines(seed, 1.6)  # each may stand where any other does
        middle, low, high = places = [fit.fit.value(f"c_{k}_center")[0] for k in range(3)]
        assert low < middle < high
        for other in fit.minima:
            there = sorted(other.value(f"c_{k}_center")[0] for k in range(3))
            assert np.abs(np.subtract(there, sorted(places))).max() > 0.01


def with_widths(widths: np.ndarray) -> RegionFit:
    """Fit two lines that overlap at four levels, with given widths, shape (4, 2)."""
    amounts = np.array([[0.7, 0.6, 0.4, 0.3], [0.3, 0.4, 0.6, 0.7]])
    rows = [
        sum(
            a * np.exp(-4.0 * np.log(2) * ((X - at) / w) ** 2) / w
            for a, at, w in zip(part, (190.0, 191.4), ws, strict=True)
        )
        for part, ws in zip(amounts.T, widths, strict=True)
    ]
    y = np.random.default_rng(3).poisson(20_000.0 * np.array(rows) + 1_000.0).astype(float)
    components = [
        {"species": "A", "custom": True, "position_eV": 190.0},
        {"species": "B", "custom": True, "position_eV": 191.4, "like": "A"},
    ]
    region = RegionTable.model_validate({"region": "B 1s", "shift": "none", "components": components})
    data = RegionData(X, y, np.ones(4), np.arange(4.0))
    return with_choices(fit_region(region, data), data, QuantificationTable(alternative_backgrounds=()))


def test_lines_that_broaden_along_the_series_are_within_the_errors_and_the_record_says_which_is_likely() -> None:
    result = with_widths(np.tile(np.array([1.3, 1.34, 1.39, 1.45])[:, None], 2))
    truth = np.array([[0.7, 0.6, 0.4, 0.3], [0.3, 0.4, 0.6, 0.7]])
    alone = np.sqrt(np.einsum("klkl->kl", result.fit.batch[0].fractions(["A_area", "B_area"])[1]))
    miss = np.abs(result.shares[0] - truth)
    assert (miss / alone).max() > 3.0
    assert (miss / result.share_sigma).max() < 2.0
    assert result.choices["width_course"].fits[""][0] < 1e-3


def test_widths_less_alike_than_stated_are_likely_where_the_data_say_so_and_hardly_cost_where_not() -> None:
    far, alike = with_widths(np.tile([1.2, 1.7], (4, 1))), with_widths(np.full((4, 2), 1.3))
    stated = [each.choices["width_spread"].fits[""][0] for each in (far, alike)]
    assert stated[0] < 0.5 < 0.6 < stated[1]
    fitted = np.sqrt(np.einsum("klkl->kl", alike.fit.batch[0].fractions(["A_area", "B_area"])[1]))
    assert (alike.share_sigma < 1.3 * fitted).all()


def tailed(alpha: float, seed: int, top: float = 5_000.0) -> RegionFit:
    """Fit two lines 1.2 eV apart at three levels, with a tail as metals have it or without, by symmetric ones."""
    fine, shares = np.arange(-40.0, 40.0, 0.02), np.array([[0.7, 0.6, 0.5], [0.3, 0.4, 0.5]])
    half = 0.2
    line = np.cos(np.pi * alpha / 2 - (1 - alpha) * np.arctan(fine / half)) / (fine**2 + half**2) ** ((1 - alpha) / 2)
    broad = np.convolve(line, np.exp(-4.0 * np.log(2) * (fine / 1.0) ** 2), "same")
    lines = np.array([np.interp(X - at, fine, broad / broad.max()) for at in (191.0, 192.2)])
    curves = (lines + [step(one) for one in lines]).T @ shares
    y = np.random.default_rng(seed).poisson(top * (curves.T + 0.2)).astype(float)
    region = RegionTable.model_validate(
        {
            "region": "B 1s",
            "shift": "none",
            "components": [
                {"species": "A", "custom": True, "position_eV": 191.0},
                {"species": "B", "custom": True, "position_eV": 192.2, "like": "A"},
            ],
        }
    )
    data = RegionData(X, y, np.ones(3), np.arange(3.0))
    return with_choices(fit_region(region, data), data)


def test_lines_with_a_tail_under_symmetric_ones_are_told_and_their_shares_lie_within_the_error() -> None:
    shares = np.array([[0.7, 0.6, 0.5], [0.3, 0.4, 0.5]])
    result = tailed(0.08, 1)
    assert shape_doubted(result)
    miss = np.abs(result.shares[0] - shares)
    assert (miss < 2.0 * result.share_sigma).all()
    assert (miss > 2.0 * np.sqrt(result.share_sigma**2 - result.choices["line_shape"].shares)).any()


def test_a_tail_is_told_at_high_counts_too() -> None:
    assert shape_doubted(tailed(0.05, 3, 200_000.0))


def test_symmetric_lines_are_not_said_to_have_a_tail() -> None:
    result = tailed(0.0, 2)
    assert "line_shape" in result.choices
    assert not shape_doubted(result)


@cache
def of_widths(widths: tuple[float, float, float], seed: int) -> tuple[RegionFit, np.ndarray]:
    shares = np.array([np.linspace(0.75, 0.35, 4), np.linspace(0.1, 0.5, 4), np.full(4, 0.15)])
    places = (192.07, 191.17, 193.04)
    shapes = np.array(
        [
            0.7 * np.exp(-4 * np.log(2) * ((X - at) / w) ** 2) * np.sqrt(4 * np.log(2) / np.pi) / w
            + 0.3 * w / (2 * np.pi) / ((X - at) ** 2 + w**2 / 4)
            for at, w in zip(places, widths, strict=True)
        ]
    )
    curves = shares.T @ (shapes + 0.04 * np.cumsum(shapes, axis=1) * 0.1)
    y = np.random.default_rng(seed).poisson(3000.0 * (curves / curves.max(axis=1, keepdims=True) + 0.15)).astype(float)
    components = []
    for name, at in zip("ABC", (192.0, 191.1, 193.0), strict=True):
        place = {"value": at, "min": at - 0.4, "max": at + 0.4}
        components.append(
            {"species": name, "custom": True, "position_eV": place, **({"like": "A"} if name > "A" else {})}
        )
    region = RegionTable.model_validate({"region": "B 1s", "shift": "none", "components": components})
    data = RegionData(X, y, np.ones(4), np.arange(4.0))
    return with_choices(fit_region(region, data), data), shares


def test_widths_far_less_alike_than_stated_are_told_and_shares_lie_within_the_error() -> None:
    result, shares = of_widths((2.2, 1.28, 1.28), 0)
    assert widths_doubted(result)
    assert (np.abs(result.shares[0] - shares) < 3.0 * result.share_sigma).all()


def test_widths_as_alike_as_stated_are_not_doubted() -> None:
    assert not widths_doubted(of_widths((1.35, 1.25, 1.25), 0)[0])


def test_a_place_tied_to_a_width_leaves_the_shape_as_the_recipe_says() -> None:
    tied = {"value": PLACES[1], "expr": "A_center + 2.14 * A_fwhm"}
    components = [REGION["components"][0], {"species": "B", "custom": True, "position_eV": tied, "like": "A"}]
    data = RegionData(X, counts(0, 20_000.0, tougaard=False), np.ones(1), np.zeros(1))
    result = with_choices(fit_region(RegionTable.model_validate(REGION | {"components": components}), data), data)
    assert "background" in result.choices
    assert "line_shape" not in result.choices
    assert (np.abs(result.shares[0] - SHARES[:, None]) < 3.0 * result.share_sigma).all()
