"""The bands of B K on spectra drawn like those of an oxide and of an oxidised nitride: which lines are found."""

from __future__ import annotations

import numpy as np
import pytest
from layerscope.spectra.sxas.ensemble import default_members
from layerscope.spectra.sxas.features import EdgeFit, fit_edge
from layerscope.spectra.sxas.model import EdgeData, find_bands
from scipy.special import erf

E = np.concatenate([np.arange(180, 190, 0.5), np.arange(1900, 2060) / 10.0, np.arange(206, 226, 0.5)])
LADDER = {"pi_bn3": 192.24, "pi_bn2o": 192.90, "pi_bno2": 193.52, "pi_bo3": 194.27}


def fitted(lines: dict[str, float]) -> EdgeFit:
    y = 0.4 + 0.5 * (1.0 + erf((E - 197.0) / 1.7)) + 1.6 * np.exp(-2.77 * ((E - 202.4) / 4.0) ** 2)
    y += 0.8 * np.exp(-2.77 * ((E - 206.0) / 5.0) ** 2)
    for center, height in zip(lines.values(), (2.0, 1.1, 0.8, 0.8), strict=False):
        y += height * np.exp(-2.77 * ((E - center) / 0.45) ** 2)
    noise = 2e-3 * y
    y = y + noise * np.random.default_rng(4).normal(size=y.size)
    bands = find_bands("B K")
    data = EdgeData.of([(E, y, noise**2, None)], bands, [0.0], 0.1)
    return fit_edge(data, bands, (190.0, 210.0), members=default_members(bands)[:1])


def test_every_line_of_the_ladder_of_an_oxidised_nitride_is_found_at_its_place() -> None:
    fit = fitted(LADDER)
    for name, place in LADDER.items():
        assert fit.find("position", name).value == pytest.approx(place, abs=0.02)
        assert fit.find("amount", name).value > 5 * fit.find("amount", name).sigma


def test_an_oxide_has_the_line_of_three_oxygens_alone() -> None:
    fit = fitted({"pi_bo3": 194.34})
    assert {b.name for b in fit.bands.band} == {"pi_bo3", "sigma_1", "sigma_2"}
    assert fit.find("position", "pi_bo3").value == pytest.approx(194.34, abs=0.01)


def test_a_ratio_to_a_band_that_may_not_be_there_is_not_stated() -> None:
    bands = find_bands("B K")
    y = 0.4 + 0.5 * (1.0 + erf((E - 197.0) / 1.7)) + 1.6 * np.exp(-2.77 * ((E - 202.4) / 4.0) ** 2)
    y += 2.0 * np.exp(-2.77 * ((E - 194.2) / 0.6) ** 2)
    rng, noise = np.random.default_rng(6), 2e-3
    grown = y + 1.0 * np.exp(-2.77 * ((E - 199.3) / 1.8) ** 2)
    curves = [(E, c * (1.0 + noise * rng.normal(size=E.size)), (noise * c) ** 2, None) for c in (y, grown)]
    data = EdgeData.of(curves, bands, [0.0, 0.03], 0.1)
    fit = fit_edge(data, bands, (190.0, 210.0), members=default_members(bands)[:1])
    assert fit.find("ratio", "pi_bo3", 1).value == pytest.approx(0.89, abs=0.08)
    assert fit.find("amount", "bo4_2", 1).value > 5 * fit.find("amount", "bo4_2", 1).sigma
    with pytest.raises(KeyError):
        fit.find("ratio", "bo4_2", 1)
