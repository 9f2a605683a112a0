"""Inelastic mean free paths and the depth that a line probes."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from layerscope.spectra.xps.attenuation import (
    EXPONENT_SIGMA_PER_PATH_SIGMA,
    Material,
    get_material,
    imfp_tpp2m,
    information_depth,
    load_materials,
    molar_mass,
)
from pydantic import ValidationError

from layerscope.errors import DataError, RecipeError
from layerscope.reference import read_tables

MATERIALS = load_materials()
ATOMIC_MASS = {
    "Li": 6.94, "B": 10.81, "C": 12.011, "O": 15.999, "F": 18.998, "Al": 26.982, "Si": 28.085, "P": 30.974,
    "Cl": 35.45, "Mn": 54.938, "Co": 58.933, "In": 114.818, "Sn": 118.71, "Au": 196.967,
}  # fmt: skip
VALENCE = {
    "Li": 1, "B": 3, "C": 4, "O": 6, "F": 7, "Al": 3, "Si": 4, "P": 5,
    "Cl": 7, "Mn": 7, "Co": 9, "In": 3, "Sn": 4, "Au": 11,
}  # fmt: skip


def by_hand(energy: float, density: float, mass: float, electrons: float, gap: float) -> float:
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
    expected_nm = by_hand(energy, m.density_g_cm3, molar_mass(name), m.valence_electrons, m.band_gap_eV)
    assert float(imfp_tpp2m(energy, m)) == pytest.approx(expected_nm, rel=0.003)


def test_relativity_shortens_the_path_at_high_energy_as_it_should() -> None:
    # at 10 keV the factor (1 + E/2mc2) / (1 + E/mc2)^2 is 0.9712, weakened a little by the logarithm
    m = MATERIALS["Si"]
    ratio = float(imfp_tpp2m(10_000.0, m)) / by_hand(
        10_000.0, m.density_g_cm3, molar_mass("Si"), m.valence_electrons, m.band_gap_eV
    )
    assert 0.970 < ratio < 0.976


def test_paths_of_common_solids_follow_the_average_curve_of_many_materials() -> None:
    # average over many solids: 0.01997 * E^0.6659 nm (Tanuma, Powell, Penn, quoted in several toolboxes)
    energy = np.array([500.0, 1000.0, 1400.0])
    solids = [m for name, m in MATERIALS.items() if "Cl" not in name and "F" not in name]
    ratios = np.array([imfp_tpp2m(energy, m) / (0.01997 * energy**0.6659) for m in solids])
    assert np.median(ratios) == pytest.approx(1.15, abs=0.2)
    assert ratios.min() > 0.55
    assert ratios.max() < 1.8


def test_paths_grow_with_energy_and_shrink_with_density() -> None:
    energy = np.linspace(150.0, 1500.0, 60)
    for m in MATERIALS.values():
        assert np.all(np.diff(imfp_tpp2m(energy, m)) > 0.0)
    dense = MATERIALS["Si"].model_copy(update={"density_g_cm3": 4.66})
    assert float(imfp_tpp2m(1000.0, dense)) < float(imfp_tpp2m(1000.0, MATERIALS["Si"]))


@pytest.mark.parametrize("name", MATERIALS)
def test_molar_mass_and_valence_electrons_follow_from_the_formula(name: str) -> None:
    atoms = [(symbol, int(count or 1)) for symbol, count in re.findall(r"([A-Z][a-z]?)(\d*)", name)]
    assert molar_mass(name) == pytest.approx(sum(ATOMIC_MASS[a] * n for a, n in atoms), abs=0.1)
    assert MATERIALS[name].valence_electrons == sum(VALENCE[a] * n for a, n in atoms)


def test_masses_are_those_of_an_independent_table() -> None:
    gemmi = pytest.importorskip("gemmi")
    masses = read_tables("elements")["masses"]["values"]
    assert len(masses) == 98
    for symbol, mass in masses.items():
        assert mass == pytest.approx(gemmi.Element(symbol).weight, rel=1e-5)


def test_formulas_with_fractions_are_weighed_and_others_refused() -> None:
    mass = 1.2 * 6.94 + 0.54 * 54.938 + 0.13 * (58.693 + 58.933) + 2 * 15.999
    assert molar_mass("Li1.2Mn0.54Ni0.13Co0.13O2") == pytest.approx(mass, abs=0.01)
    for wrong in ("", "Li(OH)", "licoo2", "LiXx2"):
        with pytest.raises(ValueError, match=r"formula|no element"):
            molar_mass(wrong)


def test_the_information_depth_holds_its_share_of_an_exponential() -> None:
    depth = float(information_depth(20.0, share=0.95, emission_angle_deg=60.0))
    assert depth == pytest.approx(20.0 * 0.5 * math.log(20.0))
    assert math.exp(-depth / (20.0 * 0.5)) == pytest.approx(0.05)


def test_the_error_of_the_exponent_makes_up_the_whole_deviation_of_the_path() -> None:
    energies = np.exp(np.linspace(math.log(50.0), math.log(2000.0), 10_001))
    deviation = 0.11 * EXPONENT_SIGMA_PER_PATH_SIGMA * np.log(energies)
    assert np.std(deviation) == pytest.approx(0.11, rel=1e-3)


@pytest.mark.parametrize("energy", [20.0, 50_000.0, math.nan])
def test_energies_outside_the_formula_are_refused(energy: float) -> None:
    with pytest.raises(DataError, match="50 eV"):
        imfp_tpp2m(energy, MATERIALS["Si"])


def test_unusable_input_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"'LiCo02'.*LiCoO2"):
        get_material("LiCo02")
    with pytest.raises(ValidationError, match="greater than 0"):
        Material(formula="Si", density_g_cm3=0.0, valence_electrons=4, band_gap_eV=1.0)
    with pytest.raises(ValidationError, match="band_gap_eV"):
        Material(formula="Si", density_g_cm3=1.0, valence_electrons=4, band_gap_eV=-1.0)
    with pytest.raises(DataError, match="90"):
        information_depth(20.0, emission_angle_deg=90.0)
    with pytest.raises(DataError, match="share"):
        information_depth(20.0, share=1.0)
