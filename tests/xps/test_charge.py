"""The charge reference and how its error spreads."""

from __future__ import annotations

import numpy as np
import pytest
from layerscope.spectra.xps.charge import REFERENCES, ChargeReference, charge_shift, correct_positions

from layerscope.errors import DataError, RecipeError


def test_default_carbon_reference_is_contested_and_has_an_error() -> None:
    carbon = REFERENCES["C 1s"]
    assert (carbon.energy_eV, carbon.sigma_eV, carbon.contested) == (284.8, 0.2, True)
    assert not REFERENCES["F 1s LiF"].contested
    assert all(reference.sigma_eV > 0.0 and reference.source for reference in REFERENCES.values())


def test_shift_brings_the_reference_line_to_its_energy() -> None:
    measured = np.array([285.6, 285.1, 284.9])
    shift = charge_shift(REFERENCES["C 1s"], measured, [0.03, 0.02, 0.05])
    np.testing.assert_allclose(measured + shift.shift_eV, 284.8)
    np.testing.assert_allclose(shift.sigma_eV, np.sqrt(0.2**2 + np.array([0.03, 0.02, 0.05]) ** 2))
    assert shift.contested


def test_reference_error_is_common_to_levels_and_position_error_is_not() -> None:
    shift = charge_shift(REFERENCES["C 1s"], [285.0, 285.0], 0.05)
    np.testing.assert_allclose(shift.covariance, [[0.0425, 0.04], [0.04, 0.0425]])
    # so the distance between two levels is free of the reference
    difference = np.array([1.0, -1.0])
    assert difference @ shift.covariance @ difference == pytest.approx(2 * 0.05**2)


def test_corrected_positions_agree_with_a_simulation() -> None:
    rng = np.random.default_rng(17)
    n = 60_000
    truth, energy = 191.1, rng.normal(284.8, 0.2, n)
    reference = rng.normal(285.6, 0.04, n)
    line = rng.normal(truth + 0.8, 0.07, n)
    corrected = line + energy - reference
    shift = charge_shift(REFERENCES["C 1s"], [285.6], [0.04])
    position, sigma = correct_positions([truth + 0.8], [0.07], shift)
    assert position[0] == pytest.approx(corrected.mean(), abs=0.004)
    assert sigma[0] == pytest.approx(corrected.std(), rel=0.01)


def test_the_reference_line_itself_keeps_only_the_error_of_the_reference() -> None:
    shift = charge_shift(REFERENCES["C 1s"], [285.6], [0.04])
    position, sigma = correct_positions([285.6], [0.04], shift, correlation=1.0)
    assert (position[0], sigma[0]) == (pytest.approx(284.8), pytest.approx(0.2))


def test_several_components_per_level_take_the_shift_of_their_level() -> None:
    shift = charge_shift(REFERENCES["C 1s"], [285.8, 284.3], [0.0, 0.0])
    position, sigma = correct_positions([[192.0, 193.0], [192.0, 193.0]], np.full((2, 2), 0.1), shift)
    np.testing.assert_allclose(position, [[191.0, 192.0], [192.5, 193.5]])
    np.testing.assert_allclose(sigma, np.hypot(0.1, 0.2))


def test_no_reference_leaves_the_scale_with_the_stated_error() -> None:
    shift = charge_shift(ChargeReference(sigma_eV=0.1), [np.nan, np.nan])
    np.testing.assert_array_equal(shift.shift_eV, [0.0, 0.0])
    np.testing.assert_allclose(shift.sigma_eV, 0.1)


def test_a_level_without_the_reference_line_is_refused_with_its_number() -> None:
    with pytest.raises(DataError, match="level 1"):
        charge_shift(REFERENCES["C 1s"], [285.0, np.nan], 0.1)
    with pytest.raises(DataError, match="no error"):
        charge_shift(REFERENCES["C 1s"], [285.0])
    with pytest.raises(DataError, match="levels"):
        correct_positions([1.0, 2.0], [0.1, 0.1], charge_shift(REFERENCES["C 1s"], [285.0], 0.1))


@pytest.mark.parametrize(
    "arguments", [{"kind": "carbon"}, {"kind": "line", "line": "C 1s"}, {"kind": "none", "sigma_eV": -0.1}]
)
def test_an_incomplete_reference_is_a_recipe_error(arguments: dict[str, object]) -> None:
    with pytest.raises(RecipeError):
        ChargeReference(**arguments)  # type: ignore[arg-type]
