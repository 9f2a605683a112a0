"""Oxidation state of manganese from Mn 3s."""

from __future__ import annotations

import numpy as np
import pytest
from layerscope.spectra.xps.valence import LAWS, mn_valence

from layerscope.errors import DataError, RecipeError


@pytest.mark.parametrize(("law", "expected"), [("galakhov", 8.956 - 1.126 * 4.7), ("beyreuther", 9.67 - 1.27 * 4.7)])
def test_each_law_gives_its_own_value_under_its_own_name(law: str, expected: float) -> None:
    result = mn_valence(4.7, 0.05, law)
    assert float(result.value) == pytest.approx(expected)
    assert result.law == law
    assert float(result.by_law[law]) == pytest.approx(expected)
    assert set(result.by_law) == set(LAWS)


def test_reference_oxides_come_out_near_their_oxidation_state() -> None:
    # splittings of MnO, Mn2O3, MnO2 (xpsfitting.com); the laws scatter by a few tenths, which the error must cover
    result = mn_valence([6.0, 5.3, 4.7], 0.1)
    assert np.all(np.abs(result.value - np.array([2.0, 3.0, 4.0])) < 2.5 * result.sigma)


def test_error_is_statistics_and_spread_between_laws_in_quadrature() -> None:
    result = mn_valence(5.0, 0.08, "galakhov")
    difference = float(result.by_law["galakhov"] - result.by_law["beyreuther"])
    assert float(result.statistical) == pytest.approx(1.126 * 0.08)
    assert float(result.law_spread) == pytest.approx(abs(difference) / np.sqrt(2.0))
    assert float(result.sigma) == pytest.approx(np.hypot(1.126 * 0.08, difference / np.sqrt(2.0)))


def test_statistical_error_agrees_with_a_simulation() -> None:
    draws = mn_valence(np.random.default_rng(2).normal(5.2, 0.06, 50_000), 0.0).value
    assert float(mn_valence(5.2, 0.06).statistical) == pytest.approx(draws.std(), rel=0.02)


def test_splittings_outside_the_oxides_are_flagged() -> None:
    result = mn_valence([4.2, 4.8, 5.5, 6.4], 0.05)
    np.testing.assert_array_equal(result.out_of_range, [True, False, False, True])


def test_unusable_input_is_refused() -> None:
    with pytest.raises(RecipeError, match="known: galakhov"):
        mn_valence(5.0, 0.1, "linear")
    with pytest.raises(DataError, match="positive"):
        mn_valence([5.0, np.nan], 0.1)
    with pytest.raises(DataError, match="error"):
        mn_valence(5.0, -0.1)
