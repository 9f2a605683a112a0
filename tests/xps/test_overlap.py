"""P 2s foretold from P 2p."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from layerscope.spectra.xps.overlap import predict_p2s
from layerscope.spectra.xps.pipeline import _foretell_p2s
from layerscope.spectra.xps.recipe import XpsRecipe
from layerscope.spectra.xps.rsf import get_rsf_set

from layerscope.errors import DataError

EXPONENT = 0.75
SCOFIELD = get_rsf_set("scofield")
OTHERS = [get_rsf_set("amrsf"), get_rsf_set("thermo_al")]


def test_ratio_is_that_of_the_factors_corrected_for_attenuation() -> None:
    p2s = predict_p2s([1000.0], [30.0], 133.5, 0.1, SCOFIELD, EXPONENT)
    expected = 1.18 / 1.192 * ((1486.6 - 133.5 - 57.45) / (1486.6 - 133.5)) ** EXPONENT
    assert p2s.area_ratio == pytest.approx(expected)
    assert p2s.area[0] == pytest.approx(1000.0 * expected)
    assert p2s.sigma[0] == pytest.approx(30.0 * expected)


def test_average_matrix_factors_are_used_as_they_stand() -> None:
    assert predict_p2s([1.0], [0.1], 133.5, 0.1, OTHERS[0], EXPONENT).area_ratio == pytest.approx(1.48 / 1.80)


def test_position_is_that_of_p2p_plus_the_distance_and_carries_both_errors() -> None:
    p2s = predict_p2s([1.0, 1.0], [0.1, 0.1], [133.0, 134.2], [0.05, 0.1], SCOFIELD, EXPONENT)
    np.testing.assert_allclose(p2s.position_eV, [190.45, 191.65])
    np.testing.assert_allclose(p2s.position_sigma_eV, np.hypot([0.05, 0.1], 0.22))


def test_disagreement_of_the_sets_is_an_error_common_to_all_levels() -> None:
    area = np.array([500.0, 1000.0])
    p2s = predict_p2s(area, [10.0, 10.0], 133.5, 0.1, SCOFIELD, EXPONENT, alternative_sets=OTHERS)
    ratios = [predict_p2s(area, [10.0, 10.0], 133.5, 0.1, rsf, EXPONENT).area_ratio for rsf in (SCOFIELD, *OTHERS)]
    assert p2s.area_ratio_sigma == pytest.approx(np.std(ratios, ddof=1))
    np.testing.assert_allclose(p2s.sigma**2, p2s.counting**2 + p2s.ratio**2)
    assert p2s.covariance[0, 1] == pytest.approx(p2s.area_ratio_sigma**2 * 500.0 * 1000.0)


def test_the_recipes_factors_and_paths_foretell_p2s_as_they_quantify() -> None:
    recipe = XpsRecipe.model_validate(
        {
            "layerscope": 1,
            "pipeline": "xps",
            "sample": "CEI",
            "series": [{"files": ["a.vms"]}],
            "regions": [
                {"region": "P 2p", "components": [{"species": "P", "custom": True, "position_eV": 133.5}]},
                {"region": "B 1s", "components": [{"species": "B-O"}, {"species": "P 2s", "foreign": True}]},
            ],
            "overlap": {},
            "quantification": {
                "factors": {"P 2s": 1.4, "P 2p": 1.3},
                "factors_source": "measured",
                "attenuation_exponent": 0.5,
            },
        }
    )
    fit = SimpleNamespace(value=lambda name: np.array([133.5]), sigma=lambda name: np.array([0.1]))
    result = SimpleNamespace(
        total_area=lambda: (np.array([1000.0]), np.array([[900.0]])), own=[SimpleNamespace(name="P")], fit=fit
    )
    measured = SimpleNamespace(live_time_s=np.ones(1), spectra=[SimpleNamespace(excitation_energy_eV=1486.6)])
    profile = SimpleNamespace(recipe=recipe, p2s=None)
    _foretell_p2s(profile, recipe.regions[0], result, measured)  # type: ignore[arg-type]
    expected = 1.4 / 1.3 * ((1486.6 - 133.5 - 57.45) / (1486.6 - 133.5)) ** 0.5
    assert profile.p2s is not None
    assert profile.p2s.area_ratio == pytest.approx(expected)


def test_unusable_input_is_refused() -> None:
    with pytest.raises(DataError, match="positive variance"):
        predict_p2s([100.0], [0.0], 133.5, 0.1, SCOFIELD, EXPONENT)
    with pytest.raises(DataError, match="not finite"):
        predict_p2s([np.nan], [1.0], 133.5, 0.1, SCOFIELD, EXPONENT)
