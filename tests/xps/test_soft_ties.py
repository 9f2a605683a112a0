"""Widths that are alike and not equal: the share's interval holds the truth, and the budget says what it is made of."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from layerscope.spectra.xps.energyscale import EnergyScale
from layerscope.spectra.xps.options import RegionTable
from layerscope.spectra.xps.quantities import level_quantities
from layerscope.spectra.xps.regionfit import fit_region
from layerscope.spectra.xps.regionresult import RegionData, RegionFit

X = np.arange(184.0, 200.0, 0.1)
WIDTHS = (1.1, 1.25, 1.4)
PLACES = (192.0, 191.1, 193.0)
SHARES = np.array([[0.7, 0.5, 0.35], [0.15, 0.35, 0.5], [0.15, 0.15, 0.15]])


def counts(seed: int) -> np.ndarray:
    """Draw three levels; from seed to seed the widths change places."""
    shapes = []
    for place, fwhm in zip(PLACES, np.roll(WIDTHS, seed), strict=True):
        t = (X - place) / fwhm
        gauss = np.exp(-4 * np.log(2) * t**2) * np.sqrt(4 * np.log(2) / np.pi) / fwhm
        shapes.append(0.7 * gauss + 0.3 * 2 / (np.pi * fwhm * (1 + 4 * t**2)))
    steps = 0.04 * np.cumsum(shapes, axis=1) * 0.1
    return np.random.default_rng(seed).poisson(4000.0 * (SHARES.T @ (np.array(shapes) + steps)) + 400.0).astype(float)


def region(**like: float) -> RegionTable:
    components: list[dict[str, object]] = []
    for number, place in enumerate(PLACES):
        at = {"value": place, "min": place - 0.4, "max": place + 0.4}
        tie = {"like": "line 0", **like} if number else {}
        components.append({"species": f"line {number}", "custom": True, "position_eV": at, **tie})
    return RegionTable.model_validate({"region": "B 1s", "components": components, "shift": "none"})


@cache
def fitted(seed: int, spread: float | None = None) -> RegionFit:
    like = {} if spread is None else {"like_spread": spread}
    return fit_region(region(**like), RegionData(X, counts(seed), np.ones(3), np.arange(3.0)))


def test_interval_of_a_share_holds_the_truth_where_widths_differ_and_equal_widths_would_miss_it() -> None:
    def held(spread: float | None) -> np.ndarray:
        fits = [fitted(seed, spread) for seed in range(12)]
        return sum((np.abs(f.shares[0] - SHARES) < 1.96 * f.share_sigma).astype(int) for f in fits)

    assert np.median(held(None)) >= 11
    assert held(None).min() >= 10
    assert np.median(held(0.0)) < 6


def test_a_tie_of_no_spread_is_an_equality_and_so_is_its_limit() -> None:
    equal, narrow = fitted(0, 0.0), fitted(0, 1e-6)
    assert "line_1_log_width" not in equal.fit.names
    np.testing.assert_allclose(narrow.fit.value("line_1_fwhm"), equal.fit.value("line_0_fwhm"), rtol=1e-4)
    np.testing.assert_allclose(narrow.shares[0], equal.shares[0], atol=1e-4)
    np.testing.assert_allclose(narrow.share_sigma, equal.share_sigma, rtol=1e-3)
    assert narrow.fit.n_estimated == equal.fit.n_estimated  # what is known beforehand costs no parameter


def test_widths_follow_the_data_where_these_know_better() -> None:
    fit = fitted(0).fit
    widths, sigmas = (np.array([f(f"line_{i}_fwhm")[0] for i in range(3)]) for f in (fit.value, fit.sigma))
    assert (np.abs(widths - WIDTHS) < 2.0 * sigmas).all()
    assert widths[0] < widths[1:].min()


def test_the_budget_of_areas_and_shares_tells_counting_from_shape() -> None:
    soft, equal = fitted(0), fitted(0, 0.0)
    unknown = EnergyScale(np.zeros(3), np.zeros(3), 0.0, known=False)
    found = level_quantities(soft, 1, unknown, intensity_unit="counts", confidence=0.95)
    stated = [q for q in found if q.name in ("peak.area", "species.fraction")]
    assert len(stated) == 6
    for q in stated:
        assert set(q.budget) == {"counting", "shape"}
        assert q.sigma == pytest.approx(np.hypot(*q.budget.values()))
    shares = [q.budget for q in stated if q.name == "species.fraction"]
    assert max(b["shape"] / b["counting"] for b in shares) > 1.0
    counting = np.array([b["counting"] for b in shares])
    np.testing.assert_allclose(counting, equal.share_sigma[:, 1], rtol=0.3)
    plain = level_quantities(equal, 1, unknown, intensity_unit="counts", confidence=0.95)
    assert all(not q.budget for q in plain if q.name in ("peak.area", "species.fraction"))


def test_other_parameters_of_the_shape_stay_equal() -> None:
    assert region().components[1].like_spread == 0.1
    fit = fitted(0).fit
    np.testing.assert_array_equal(fit.value("line_1_mixing"), fit.value("line_0_mixing"))
