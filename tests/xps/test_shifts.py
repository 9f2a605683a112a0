"""Levels that shift by an unknown amount: shares hold, or the series says that nothing tells its lines apart."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from layerscope.spectra.xps.energyscale import EnergyScale
from layerscope.spectra.xps.options import RegionTable
from layerscope.spectra.xps.quantities import level_quantities, shared_quantities
from layerscope.spectra.xps.regionfit import fit_region, single_level_shares
from layerscope.spectra.xps.regionresult import RegionData, RegionFit
from layerscope.spectra.xps.shifts import unidentified

from layerscope.fitting.sampling import SampledFit

X = np.arange(184.0, 200.0, 0.2)
PLACES = (192.0, 190.9)
SHARES = np.array([np.linspace(0.8, 0.4, 5), np.linspace(0.2, 0.6, 5)])
PATTERN = np.array([1.0, -0.8, 0.3, -1.3, 0.8])  # of the shifts: alternating, so that no share can follow it


def line(u: np.ndarray) -> np.ndarray:
    t = u / 1.3
    shape = 0.7 * np.exp(-4 * np.log(2) * t**2) * np.sqrt(4 * np.log(2) / np.pi) / 1.3
    shape += 0.3 * 2 / (np.pi * 1.3 * (1 + 4 * t**2))
    return np.asarray(shape + 0.04 * np.cumsum(shape) * 0.2)


@cache
def measured(seed: int, rms: float, policy: str = "auto") -> tuple[RegionTable, RegionData]:
    shifts = rms * np.roll(PATTERN, seed)
    lines = [np.stack([line(X - place - shift) for shift in shifts]) for place in PLACES]
    curve = SHARES[0][:, None] * lines[0] + SHARES[1][:, None] * lines[1]
    y = np.random.default_rng(seed).poisson(900.0 * curve + 100.0).astype(float)
    components: list[dict[str, object]] = []
    for number, place in enumerate(PLACES):
        at = {"value": place, "min": place - 0.4, "max": place + 0.4}
        tie = {"like": "line 0"} if number else {}
        components.append({"species": f"line {number}", "custom": True, "position_eV": at, **tie})
    region = RegionTable.model_validate({"region": "B 1s", "components": components, "shift": policy})
    return region, RegionData(X, y, np.ones(5), np.arange(5.0))


@cache
def fitted(seed: int, rms: float, policy: str = "auto") -> RegionFit:
    return fit_region(*measured(seed, rms, policy))


def held(policy: str) -> float:
    """Share of 95 % intervals that hold the truth."""
    fits = [fitted(seed, 0.2, policy) for seed in range(2)]
    return float(np.mean([np.abs(f.shares[0] - SHARES) < 1.96 * f.share_sigma for f in fits]))


def test_intervals_hold_the_truth_where_levels_shift_and_no_line_tells_the_charge() -> None:
    assert held("auto") > 0.85
    assert held("none") < 0.7


def test_levels_without_a_reference_shift_alike_within_a_spread_that_is_stated() -> None:
    result = fitted(0, 0.2)
    assert result.shift == "spread"
    (spread,) = (q for q in shared_quantities(result) if q.name == "charge.shift_spread")
    assert spread.value == pytest.approx(0.2, abs=0.1)
    assert spread.sigma_kind == "sampling"
    assert spread.low < spread.value < spread.high


def test_the_budget_of_a_share_tells_what_unknown_shifts_add() -> None:
    result = fitted(0, 0.2)
    scale = EnergyScale(np.zeros(5), np.zeros(5), 0.0, known=False)
    found = level_quantities(result, 2, scale, intensity_unit="counts", confidence=0.95)
    shares = [q for q in found if q.name == "species.fraction"]
    assert len(shares) == 2
    for q in shares:
        assert {"counting", "shift"} <= set(q.budget)
        assert q.sigma == pytest.approx(np.sqrt(sum(part**2 for part in q.budget.values())))
        assert q.confidence == pytest.approx(0.6827)
        assert q.low < q.value < q.high
    assert sum(q.value for q in shares) == pytest.approx(1.0)


def test_shifts_as_large_as_the_distance_of_the_lines_are_not_identified() -> None:
    assert fitted(0, 0.6).unidentified
    assert not fitted(0, 0.0).unidentified


def test_levels_that_shift_freely_under_lines_closer_than_they_are_wide_are_not_identified() -> None:
    assert fitted(0, 0.2, "free").unidentified
    assert not fitted(0, 0.2, "none").unidentified


def test_a_spread_small_beside_the_distance_of_the_lines_is_identified() -> None:
    result = fitted(0, 0.2)
    assert isinstance(result.fit, SampledFit)
    assert unidentified(result.fit, result.built, "spread") is result.unidentified
    assert not unidentified(result.fit, result.built, "charge")


def test_an_absent_line_is_not_stated_where_a_level_shifts_so_that_it_could_be_another() -> None:
    def at(place: float, fwhm: float) -> np.ndarray:
        return line((X - place) * 1.3 / fwhm) * 1.3 / fwhm

    shifts, first = (0.084, -0.088, -0.053, -0.207, 0.297, 0.034), np.linspace(0.7, 0.4, 6)
    curves = np.stack(
        [a * at(191.952 + s, 1.255) + (1 - a) * at(191.134 + s, 1.134) for a, s in zip(first, shifts, strict=True)]
    )
    counts = 560.0 * (curves / curves.max(axis=1, keepdims=True) + 0.15)
    y = np.random.default_rng(5).poisson(counts).astype(float)
    components: list[dict[str, object]] = []
    for number, place in enumerate((192.0, 191.1, 193.4)):
        tie = {"like": "line 0"} if number else {}
        where = {"value": place, "min": place - 0.4, "max": place + 0.4}
        components.append({"species": f"line {number}", "custom": True, "position_eV": where, **tie})
    region = RegionTable.model_validate({"region": "B 1s", "components": components})
    result = fit_region(region, RegionData(X, y, np.ones(6), np.arange(6.0)))
    assert "line_2" in result.absent
    assert (np.abs(result.shares[0][0] - first) < 3.0 * result.share_sigma[0]).all()


def test_levels_fitted_alone_side_by_side_are_what_each_of_them_is_by_itself() -> None:
    region, data = measured(1, 0.2, "free")
    found = single_level_shares(fitted(1, 0.2, "free"), data)
    for level, shares in enumerate(found):
        alone = fit_region(region, data.level(level)).fit.batch[0]
        values, variance = alone.fractions_within([f"{c.name}_area" for c in region.components])
        sigma = np.sqrt(variance[:, 0])
        assert shares is not None
        assert np.abs(shares[0] - values[:, 0]).max() < 1e-3 * sigma.min()
        np.testing.assert_allclose(shares[1], sigma, rtol=1e-3)
