"""Atomic fractions: closed forms, Monte Carlo, closure, budget and limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from layerscope.spectra.xps.attenuation import EXPONENT_SIGMA_PER_PATH_SIGMA, get_material, imfp_tpp2m
from layerscope.spectra.xps.quantify import Alternatives, Lines, atomic_fractions
from layerscope.spectra.xps.rsf import get_rsf_set, load_rsf_sets

from layerscope.errors import DataError, RecipeError

LINES = ("C 1s", "O 1s", "Mn 2p", "B 1s")
ENERGY = 1486.6 - np.array([285.0, 530.0, 642.0, 192.0])
EXPONENT = 0.666
BUDGET_PARTS = ("counting", "background", "rsf_set", "charge_reference")
MEASURED = Lines(LINES, ENERGY, EXPONENT)
SCOFIELD = get_rsf_set("scofield")


def areas_of(fractions: np.ndarray, scale: float = 5_000.0) -> np.ndarray:
    return scale * np.asarray(fractions) * MEASURED.sensitivities(SCOFIELD)


TRUTH = np.array([[0.25, 0.45, 0.20, 0.10], [0.05, 0.60, 0.30, 0.05]])


def covariances(areas: np.ndarray) -> np.ndarray:
    sigma = np.sqrt(np.abs(areas) * 20.0)
    correlation = np.eye(4) + 0.3 * (np.diag(np.ones(3), 1) + np.diag(np.ones(3), -1))
    return sigma[:, :, None] * correlation * sigma[:, None, :]


def test_areas_made_from_a_composition_give_it_back_for_every_level() -> None:
    areas = areas_of(TRUTH)
    result = atomic_fractions(MEASURED, areas, covariances(areas), SCOFIELD)
    np.testing.assert_allclose(result.fraction, TRUTH, rtol=1e-12)
    assert result.elements == ("C", "O", "Mn", "B")


def test_hand_calculation_with_plain_factors() -> None:
    rsf = get_rsf_set("kratos").extended({"O 1s": 2.5}, "test")
    result = atomic_fractions(
        Lines(("C 1s", "O 1s"), np.array([1200.0, 950.0]), EXPONENT), [100.0, 500.0], np.diag([25.0, 100.0]), rsf
    )
    np.testing.assert_allclose(result.fraction, [[1 / 3, 2 / 3]])
    # x = a / (a + o/2.5): dx/da = (1 - x) / N, dx/do = -x / (2.5 N), N = 300
    variance = (2 / 3 / 300) ** 2 * 25.0 + (1 / 3 / 2.5 / 300) ** 2 * 100.0
    np.testing.assert_allclose(result.sigma, np.sqrt([[variance, variance]]))


def test_covariance_agrees_with_a_simulation() -> None:
    areas = areas_of(TRUTH[:1])
    covariance = covariances(areas)
    draws = np.random.default_rng(8).multivariate_normal(areas[0], covariance[0], 40_000)
    amounts = draws / MEASURED.sensitivities(SCOFIELD)
    simulated = np.cov((amounts / amounts.sum(axis=1, keepdims=True)).T)
    result = atomic_fractions(MEASURED, areas, covariance, SCOFIELD)
    np.testing.assert_allclose(result.parts["counting"][0], simulated, atol=0.05 * simulated.max())


def test_fractions_and_every_part_of_the_covariance_are_closed() -> None:
    areas = areas_of(TRUTH)
    result = atomic_fractions(
        replace(MEASURED, attenuation=get_material("LiCoO2")),
        areas,
        covariances(areas),
        SCOFIELD,
        Alternatives(
            {"background": areas * [0.05, 0.05, 0.1, 0.2]}, [get_rsf_set("amrsf"), get_rsf_set("wagner_1981")]
        ),
        charge_sigma_eV=0.3,
    )
    np.testing.assert_allclose(result.fraction.sum(axis=1), 1.0)
    assert tuple(result.parts) == (*BUDGET_PARTS, "attenuation")
    for part in result.parts.values():
        np.testing.assert_allclose(part.sum(axis=2), 0.0, atol=1e-15)
    np.testing.assert_allclose(sum(result.parts.values()), result.covariance)
    budget = result.budget(1, "B")
    assert tuple(budget) == tuple(result.parts)
    assert sum(value**2 for value in budget.values()) == pytest.approx(result.sigma[1, 3] ** 2)
    assert all(value > 0.0 for value in budget.values())


def test_rsf_part_is_the_standard_deviation_over_the_sets() -> None:
    areas = areas_of(TRUTH[:1])
    sets = [SCOFIELD, get_rsf_set("amrsf"), get_rsf_set("thermo_al")]
    alone = [atomic_fractions(MEASURED, areas, covariances(areas), rsf).fraction[0] for rsf in sets]
    result = atomic_fractions(MEASURED, areas, covariances(areas), sets[0], Alternatives(rsf_sets=sets[1:]))
    np.testing.assert_allclose(np.sqrt(np.diag(result.parts["rsf_set"][0])), np.std(alone, axis=0, ddof=1))


def test_background_part_is_what_its_errors_of_the_areas_make_of_the_fractions() -> None:
    areas = areas_of(TRUTH)
    errors = areas * [0.0, 0.01, 0.03, 0.0]
    draws = areas + errors * np.random.default_rng(4).standard_normal((2_000, 1, 4))
    fractions = np.stack([atomic_fractions(MEASURED, d, covariances(areas), SCOFIELD).fraction for d in draws])
    result = atomic_fractions(MEASURED, areas, covariances(areas), SCOFIELD, Alternatives({"background": errors}))
    found = np.sqrt(np.diagonal(result.parts["background"], axis1=1, axis2=2))
    np.testing.assert_allclose(found, fractions.std(axis=0), rtol=0.06)


def test_charge_part_is_tiny_and_zero_without_an_error() -> None:
    areas = areas_of(TRUTH)
    with_error = atomic_fractions(MEASURED, areas, covariances(areas), SCOFIELD, charge_sigma_eV=1.0)
    assert 0.0 < with_error.budget(0, "C")["charge_reference"] < 1e-3
    without = atomic_fractions(MEASURED, areas, covariances(areas), SCOFIELD)
    assert np.all(without.parts["charge_reference"] == 0.0)


def test_attenuation_part_is_what_a_wrong_slope_of_the_path_does() -> None:
    areas = areas_of(TRUTH)
    solid = replace(MEASURED, attenuation=get_material("LiCoO2"))
    result = atomic_fractions(solid, areas, covariances(areas), SCOFIELD, path_sigma=0.02)
    # slopes drawn from their distribution, each applied to the paths
    slopes = np.random.default_rng(5).normal(0.0, 0.02 * EXPONENT_SIGMA_PER_PATH_SIGMA, 4_000)
    amounts = areas[0] / (solid.sensitivities(SCOFIELD) * (ENERGY / 1000.0) ** slopes[:, None])
    simulated = np.cov((amounts / amounts.sum(axis=1, keepdims=True)).T)
    np.testing.assert_allclose(result.parts["attenuation"][0], simulated, atol=0.05 * simulated.max())
    assert result.budget(0, "B")["attenuation"] > 0.0


def test_sets_that_hold_the_attenuation_have_no_error_of_the_path_and_say_so() -> None:
    areas = areas_of(TRUTH)
    solid = replace(MEASURED, attenuation=get_material("LiCoO2"))
    average = get_rsf_set("amrsf")
    result = atomic_fractions(solid, areas, covariances(areas), average)
    assert result.budget(0, "B")["attenuation"] == 0.0
    np.testing.assert_array_equal(
        result.fraction, atomic_fractions(MEASURED, areas, covariances(areas), average).fraction
    )
    assert any("TPP-2M in LiCoO2" in note and "not applied" in note for note in result.notes)


def test_scale_of_areas_and_of_transmission_changes_nothing() -> None:
    areas = areas_of(TRUTH)
    curve = 3.0 * ENERGY**-0.7
    base = atomic_fractions(replace(MEASURED, transmission=curve), areas, covariances(areas), SCOFIELD)
    other = replace(MEASURED, transmission=ENERGY**-0.7)
    scaled = atomic_fractions(other, 7.0 * areas, 49.0 * covariances(areas), SCOFIELD)
    np.testing.assert_allclose(scaled.fraction, base.fraction, rtol=1e-12)
    np.testing.assert_allclose(scaled.sigma, base.sigma, rtol=1e-12)


def test_each_set_gets_exactly_the_corrections_it_lacks() -> None:
    curve = 2.0 * ENERGY**-0.5

    def ratios(values: np.ndarray) -> np.ndarray:
        return values / values[0]

    factors = {name: np.array([rsf.factor(line).value for line in LINES]) for name, rsf in load_rsf_sets().items()}
    expected = {
        "scofield": factors["scofield"] * ENERGY**EXPONENT * curve,
        "amrsf": factors["amrsf"] * curve,
        "wagner_1981": factors["wagner_1981"] * curve * ENERGY,
        "kratos": factors["kratos"],
    }
    for name, values in expected.items():
        got = replace(MEASURED, transmission=curve).sensitivities(get_rsf_set(name))
        np.testing.assert_allclose(got, ratios(values), err_msg=name)
    got = replace(MEASURED, attenuation=get_material("LiCoO2")).sensitivities(SCOFIELD)
    np.testing.assert_allclose(got, ratios(factors["scofield"] * imfp_tpp2m(ENERGY, get_material("LiCoO2"))))


def test_assumptions_are_stated() -> None:
    wagner = get_rsf_set("wagner_1981")
    result = atomic_fractions(
        Lines(("C 1s", "In 3d"), np.array([1200.0, 1040.0]), EXPONENT), [10.0, 900.0], np.eye(2), wagner
    )
    assert any("In 3d derived" in note for note in result.notes)
    assert any("1/E" in note for note in result.notes)


def test_an_element_that_is_not_there_gets_an_upper_limit_with_the_stated_coverage() -> None:
    truth = np.array([[0.3, 0.5, 0.2, 0.0]])
    areas = np.repeat(areas_of(truth), 4_000, axis=0)
    covariance = np.tile(np.diag([400.0, 900.0, 900.0, 2500.0]), (4_000, 1, 1))
    noisy = areas + np.random.default_rng(21).normal(size=areas.shape) * np.sqrt([400.0, 900.0, 900.0, 2500.0])
    result = atomic_fractions(MEASURED, noisy, covariance, SCOFIELD, confidence=0.9)
    assert np.mean(result.detected[:, 3]) == pytest.approx(0.10, abs=0.02)
    assert np.all(result.detected[:, :3])
    assert np.all(result.upper_limit[:, 3] > 0.0)
    assert np.any(result.fraction[:, 3] < 0.0)


@pytest.mark.parametrize(
    ("lines", "area", "covariance", "words"),
    [
        (("C 1s", "O 1s"), [1.0, np.nan], np.eye(2), "not finite"),
        (("C 1s", "O 1s"), [1.0, 2.0], np.diag([1.0, 0.0]), "no error"),
        (("C 1s", "O 1s"), [1.0, 2.0, 3.0], np.eye(2), "do not fit"),
        (("C 1s", "O 1s"), [-1.0, 0.5], np.eye(2), "no intensity at level 0"),
        (("C 1s",), [1.0], np.eye(1), "at least two"),
    ],
)
def test_unusable_areas_are_refused(
    lines: tuple[str, ...], area: list[float], covariance: np.ndarray, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        atomic_fractions(Lines(lines, np.full(len(lines), 1000.0), EXPONENT), area, covariance, SCOFIELD)


def test_two_lines_of_one_element_are_refused() -> None:
    with pytest.raises(RecipeError, match="P is quantified by two lines"):
        atomic_fractions(Lines(("P 2s", "P 2p"), np.array([1290.0, 1350.0]), EXPONENT), [1.0, 2.0], np.eye(2), SCOFIELD)


def test_wrong_transmission_and_background_are_refused() -> None:
    areas = areas_of(TRUTH)
    with pytest.raises(DataError, match="transmission"):
        atomic_fractions(
            replace(MEASURED, transmission=np.array([1.0, 1.0, 0.0, 1.0])), areas, covariances(areas), SCOFIELD
        )
    with pytest.raises(DataError, match="'linear'"):
        atomic_fractions(MEASURED, areas, covariances(areas), SCOFIELD, Alternatives({"linear": areas[0]}))
    with pytest.raises(DataError, match="kinetic"):
        atomic_fractions(Lines(LINES, ENERGY - 2000.0, EXPONENT), areas, covariances(areas), SCOFIELD)
