"""Inelastic mean free paths, attenuation and etch depth."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from layerscope.spectra.xps.attenuation import (
    MATERIALS,
    Material,
    attenuation_factor,
    depth_from_etch_time,
    effective_attenuation_length,
    get_material,
    imfp_tpp2m,
    information_depth,
)

from layerscope.errors import DataError, RecipeError

ATOMIC_MASS = {
    "Li": 6.94, "B": 10.81, "C": 12.011, "O": 15.999, "F": 18.998, "Al": 26.982, "Si": 28.085, "P": 30.974,
    "Cl": 35.45, "Mn": 54.938, "Co": 58.933, "In": 114.818, "Sn": 118.71, "Au": 196.967,
}  # fmt: skip
VALENCE = {
    "Li": 1, "B": 3, "C": 4, "O": 6, "F": 7, "Al": 3, "Si": 4, "P": 5,
    "Cl": 7, "Mn": 7, "Co": 9, "In": 3, "Sn": 4, "Au": 11,
}  # fmt: skip


def by_hand(energy: float, density: float, mass: float, electrons: int, gap: float) -> float:
    """TPP-2M in its second published form: nanometres, plasmon energy from 28.816 eV, without relativity."""
    plasmon = 28.816 * math.sqrt(electrons * density / mass)
    u = (plasmon / 28.816) ** 2
    beta = -1.0 + 9.44 / math.sqrt(plasmon**2 + gap**2) + 0.69 * density**0.1
    gamma = 0.191 * density**-0.5
    c, d = 19.7 - 9.1 * u, 534.0 - 208.0 * u
    return energy / (plasmon**2 * (beta * math.log(gamma * energy) - c / energy + d / energy**2))


@pytest.mark.parametrize("name", ["Si", "Au", "Al2O3", "LiCoO2"])
@pytest.mark.parametrize("energy", [200.0, 600.0, 1200.0])
def test_tpp2m_agrees_with_its_second_published_form(name: str, energy: float) -> None:
    m = MATERIALS[name]
    expected_nm = by_hand(energy, m.density_g_cm3, m.molar_mass_g_mol, m.valence_electrons, m.band_gap_eV)
    assert float(imfp_tpp2m(energy, m)) == pytest.approx(10.0 * expected_nm, rel=0.003)


def test_relativity_shortens_the_path_at_high_energy_as_it_should() -> None:
    # at 10 keV the factor (1 + E/2mc2) / (1 + E/mc2)^2 is 0.9712, weakened a little by the logarithm
    m = MATERIALS["Si"]
    ratio = float(imfp_tpp2m(10_000.0, m)) / (
        10.0 * by_hand(10_000.0, m.density_g_cm3, m.molar_mass_g_mol, m.valence_electrons, m.band_gap_eV)
    )
    assert 0.970 < ratio < 0.976


def test_paths_of_common_solids_follow_the_average_curve_of_many_materials() -> None:
    # average over many solids: 0.1997 * E^0.6659 angstrom (Tanuma, Powell, Penn, quoted in several toolboxes)
    energy = np.array([500.0, 1000.0, 1400.0])
    solids = [m for name, m in MATERIALS.items() if "Cl" not in name and "F" not in name]
    ratios = np.array([imfp_tpp2m(energy, m) / (0.1997 * energy**0.6659) for m in solids])
    assert np.median(ratios) == pytest.approx(1.15, abs=0.2)
    assert ratios.min() > 0.55
    assert ratios.max() < 1.8


def test_paths_grow_with_energy_and_shrink_with_density() -> None:
    energy = np.linspace(150.0, 1500.0, 60)
    for m in MATERIALS.values():
        assert np.all(np.diff(imfp_tpp2m(energy, m)) > 0.0)
    dense = Material("Si", 4.66, 28.085, 4, 1.1)
    assert float(imfp_tpp2m(1000.0, dense)) < float(imfp_tpp2m(1000.0, MATERIALS["Si"]))


@pytest.mark.parametrize("name", MATERIALS)
def test_molar_mass_and_valence_electrons_follow_from_the_formula(name: str) -> None:
    atoms = [(symbol, int(count or 1)) for symbol, count in re.findall(r"([A-Z][a-z]?)(\d*)", name)]
    assert MATERIALS[name].molar_mass_g_mol == pytest.approx(sum(ATOMIC_MASS[a] * n for a, n in atoms), abs=0.1)
    assert MATERIALS[name].valence_electrons == sum(VALENCE[a] * n for a, n in atoms)


def test_attenuation_and_information_depth_are_inverse_to_each_other() -> None:
    depth = information_depth(20.0, share=0.95, emission_angle_deg=60.0)
    assert float(depth) == pytest.approx(20.0 * 0.5 * math.log(20.0))
    assert float(attenuation_factor(depth, 20.0, 60.0)) == pytest.approx(0.05)


def test_elastic_scattering_shortens_the_attenuation_length() -> None:
    assert float(effective_attenuation_length(20.0, 0.0)) == 20.0
    assert float(effective_attenuation_length(20.0, 0.2)) == pytest.approx(20.0 * (1 - 0.147))


def test_the_error_of_the_etch_rate_is_common_to_all_levels() -> None:
    depth = depth_from_etch_time([0.0, 10.0, 50.0], 0.2, 0.04)
    np.testing.assert_allclose(depth.depth_nm, [0.0, 2.0, 10.0])
    np.testing.assert_allclose(depth.sigma_nm, [0.0, 0.4, 2.0])
    assert depth.covariance[1, 2] == pytest.approx(0.4 * 2.0)


def test_depth_errors_agree_with_a_simulation() -> None:
    rng = np.random.default_rng(3)
    times = np.array([0.0, 10.0, 40.0])
    rates = rng.normal(0.2, 0.03, (40_000, 1))
    jitter = rng.normal(0.0, 0.5, (40_000, 3)) * (times > 0)
    expected = depth_from_etch_time(times, 0.2, 0.03, time_sigma_s=0.5)
    simulated = np.cov((rates * times + 0.2 * jitter).T)
    np.testing.assert_allclose(expected.covariance, simulated, atol=0.03)


@pytest.mark.parametrize("energy", [20.0, 50_000.0, math.nan])
def test_energies_outside_the_formula_are_refused(energy: float) -> None:
    with pytest.raises(DataError, match="50 eV"):
        imfp_tpp2m(energy, MATERIALS["Si"])


def test_unusable_input_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"'LiCo02'.*LiCoO2"):
        get_material("LiCo02")
    with pytest.raises(DataError, match="positive"):
        Material("x", 0.0, 10.0, 4, 1.0)
    with pytest.raises(DataError, match="band gap"):
        Material("x", 1.0, 10.0, 4, -1.0)
    with pytest.raises(DataError, match="90"):
        attenuation_factor(1.0, 2.0, 90.0)
    with pytest.raises(DataError, match="share"):
        information_depth(20.0, share=1.0)
    with pytest.raises(DataError, match="albedo"):
        effective_attenuation_length(20.0, 1.0)
    with pytest.raises(DataError, match="etch times"):
        depth_from_etch_time([-1.0], 0.1, 0.01)
    with pytest.raises(DataError, match="etch rate"):
        depth_from_etch_time([1.0], 0.0, 0.01)
