"""Errors of calculated intensities: against layer sums of one's own, drawn over the structures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from layerscope.diffraction.peaks.components import lco_003
from layerscope.diffraction.peaks.fractions import factor_covariance, fractions_of, spread_of_factors

from layerscope.errors import DataError

pytest.importorskip("gemmi")

from layerscope.diffraction.peaks.structure import calculated_factors
from structure_errors import factor_errors, perturbed, structure_errors

from layerscope.crystals import check_phase, contacts, load_phase, scattering_power

CU = 1.5405929
MASS = {"Li": 6.94, "Co": 58.933, "O": 15.999}
DRAWS = 6000

STRUCTURES = {
    # a, c, Co-O, Li a layer and its sign (gap against slab), layers in c, order of the line, z of Co
    "O3": {"a": 2.8156, "c": 14.0542, "Co-O": None, "occupancy:Li": 1.0, "layers": 3, "l": 3, "oxygen": 0.2602},
    "O3p": {"a": 2.808, "c": 14.42, "Co-O": None, "occupancy:Li": 0.5, "layers": 3, "l": 3, "oxygen": 0.26388},
    "H13": {"a": 2.823, "c": 27.07, "Co-O": None, "occupancy:Li": 0.25, "layers": 6, "l": 6, "oxygen": 0.2828},
    "O1": {"a": 2.822, "c": 4.293, "Co-O": None, "occupancy:Li": 0.0, "layers": 1, "l": 1, "oxygen": 0.232},
}
SLAB = {"O3": 1 / 3, "O3p": 1 / 3, "H13": 2 / 3 - 0.4207, "O1": 0.0}
"""Height of the cobalt layer that the oxygen above is bonded to, in c."""


def form(element, s, b):
    """Form factor with isotropic displacement, elementwise over s."""
    grid = np.linspace(0.08, 0.14, 61)
    table = np.array([scattering_power(element, float(v)) for v in grid])
    return np.interp(s, grid, table) * np.exp(-b * s * s)


def intensity(name, **drawn):
    """Intensity per weight from sums over layers: slab and lithium gap, no symmetry, no reflection list."""
    known = STRUCTURES[name]
    height = abs(known["oxygen"] - SLAB[name]) * known["c"]
    bond0 = math.hypot(height, known["a"] / math.sqrt(3))
    b0 = {"Li": 1.0, "Co": 0.3, "O": 0.5}
    a, c = known["a"] + drawn.get("a", 0.0), known["c"] + drawn.get("c", 0.0)
    h = np.sqrt((bond0 + drawn.get("Co-O", 0.0)) ** 2 - a**2 / 3)
    lithium = np.maximum(known["occupancy:Li"] + drawn.get("occupancy:Li", 0.0), 0.0)
    d = c / known["l"]
    s = 1 / (2 * d)
    oxygen = [form("O", s, np.maximum(b0["O"] + drawn.get(f"b_iso:{k}", 0.0), 0.0)) for k in ("O", "O1", "O2")]
    oxygen = oxygen[0] if name != "H13" else 0.5 * (oxygen[1] + oxygen[2])
    cobalt = form("Co", s, np.maximum(b0["Co"] + drawn.get("b_iso:Co", 0.0), 0.0))
    slab = cobalt + 2 * oxygen * np.cos(2 * np.pi * h / d)
    gap = form("Li", s, np.maximum(b0["Li"] + drawn.get("b_iso:Li", 0.0), 0.0)) * lithium
    share = lithium
    if name == "H13":  # slabs a little off the even spacing, lithium in every other gap
        slab = slab * np.cos(2 * np.pi * 6 * (0.4207 + drawn.get("z:Co", 0.0)))
        gap, share = 0.5 * gap, 0.5 * lithium
        amplitude = slab + gap
    else:
        amplitude = slab - gap
    theta = np.arcsin(CU / (2 * d))
    lp = (1 + np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
    mass = MASS["Co"] + 2 * MASS["O"] + share * MASS["Li"]
    return amplitude**2 * lp / (mass * a**2 * c / known["layers"])


def drawn_intensities(rng):
    """Intensity per weight of every structure, drawn from the declared errors, shape (DRAWS,) each."""
    found = {}
    for name in STRUCTURES:
        rows = [r for r in structure_errors(lco_003()) if r.component == name]
        found[name] = intensity(name, **{r.parameter: rng.normal(0.0, r.sigma, DRAWS) for r in rows})
    return found


def test_sums_over_layers_give_the_calculated_factors():
    calculated = calculated_factors(lco_003(), CU)
    for name in STRUCTURES:
        assert intensity(name) / intensity("O3") == pytest.approx(calculated[name], rel=3e-3), name


def test_declared_errors_of_the_factors_are_those_of_the_structures_by_monte_carlo():
    components = lco_003()
    found = drawn_intensities(np.random.default_rng(17))
    computed = factor_errors(components, CU)
    for name, values in found.items():
        spread = float(np.std(np.log(values)))
        assert computed[name] == pytest.approx(spread, rel=0.05), name  # 6000 draws: 1 %; first order: the rest
        assert components[name].intensity_error == pytest.approx(computed[name], rel=0.03), name


def test_weight_fractions_scatter_over_the_structures_as_their_structure_factor_part_says():
    """Given areas and drawn structures: fractions must scatter by the propagated error, in every mixture."""
    components = lco_003()
    rng = np.random.default_rng(23)
    drawn = drawn_intensities(rng)
    factors = {name: float(intensity(name)) for name in STRUCTURES}
    factors["IG"] = 0.5 * (factors["O3p"] + factors["H13"])
    names = ("O3p", "IG", "H13")
    share = 0.5 + components["IG"].share_error * rng.standard_normal(DRAWS)
    drawn["IG"] = (1 - share) * drawn["O3p"] + share * drawn["H13"]
    weights = np.array([[0.98, 0.02, 0.0], [0.66, 0.21, 0.13], [0.33, 0.29, 0.38], [0.5, 0.0, 0.5]]).T  # (3, 4)
    areas = weights * np.array([factors[n] for n in names])[:, None]
    central, _ = fractions_of(areas, np.zeros((4, 3, 3)), np.array([factors[n] for n in names]))
    np.testing.assert_allclose(central, weights, atol=1e-12)
    covariance = spread_of_factors(central, factor_covariance(components, names, factors))
    for frame in range(4):
        amounts = areas[:, frame, None] / np.array([drawn[n] for n in names])
        scattered = amounts / amounts.sum(axis=0)
        expected = np.cov(scattered)
        # in the error itself 5 per cent: 6000 draws give 1, the first order of the propagation the rest
        np.testing.assert_allclose(covariance[frame], expected, atol=0.10 * np.diag(expected).max())
        total = scattered[1] + scattered[2]
        chosen = np.array([0.0, 1.0, 1.0])
        assert math.sqrt(chosen @ covariance[frame] @ chosen) == pytest.approx(total.std(), rel=0.05)
    np.testing.assert_allclose(covariance.sum(axis=2), 0.0, atol=1e-15)  # the fractions stay a whole


def test_a_phase_alone_owes_nothing_to_its_structure():
    components = lco_003()
    relative = factor_covariance(components, components.ids, dict.fromkeys(components.ids, 1.0))
    alone = np.zeros((5, 1))
    alone[1] = 1.0
    np.testing.assert_array_equal(spread_of_factors(alone, relative), 0.0)


def test_a_mixture_shares_the_errors_of_its_parts():
    components = lco_003()
    factors = {"O3": 1.0, "O3p": 1.2, "IG": 1.15, "H13": 1.1, "O1": 1.0}
    c = factor_covariance(components, ("O3p", "IG", "H13"), factors)
    parts = np.array([1.2, 1.1]) / 2.3
    own = np.array([components["O3p"].intensity_error, components["H13"].intensity_error])
    assert c[0, 2] == 0.0
    assert c[0, 1] == pytest.approx(parts[0] * own[0] ** 2)
    apart = (1.1 - 1.2) ** 2 + (1.2 * own[0]) ** 2 + (1.1 * own[1]) ** 2  # mean square of the difference of the parts
    assert c[1, 1] == pytest.approx((parts**2) @ own**2 + apart * (components["IG"].share_error / 1.15) ** 2)


@pytest.mark.parametrize("name", ["LiCoO2_O3", "LiCoO2_O3_delithiated", "LiCoO2_H1-3", "CoO2_O1"])
def test_a_shifted_structure_keeps_what_the_shift_leaves_alone(name):
    phase = load_phase(name)

    def bond(one):
        near = [c for c in contacts(one, 2.2) if c.first == "Co" and c.second.startswith("O")]
        return [c.distance for c in near for _ in range(c.count)]

    assert len(bond(phase)) == 6
    for parameter, shift in (("c", 0.1), ("a", 0.01)):
        assert bond(perturbed(phase, parameter, shift)) == pytest.approx(bond(phase), abs=1.1e-3)
    assert bond(perturbed(phase, "Co-O", 0.02)) == pytest.approx([d + 0.02 for d in bond(phase)], abs=1.1e-3)
    check_phase(perturbed(phase, "c", -0.1), source=name)


def test_slabs_move_as_a_whole():
    phase = load_phase("LiCoO2_H1-3")
    moved = perturbed(phase, "z:Co", 0.002)
    assert [s.z - o.z for s, o in zip(moved.sites, phase.sites, strict=True)] == pytest.approx(
        [0, 0.002, -0.002, 0.002]
    )


def test_a_parameter_that_a_structure_does_not_have_is_named():
    with pytest.raises(DataError, match="no site 'Mg'"):
        perturbed(load_phase("LiCoO2_O3"), "occupancy:Mg", 0.1)
    with pytest.raises(DataError, match="no parameter 'b'"):
        perturbed(load_phase("LiCoO2_O3"), "b", 0.1)
    with pytest.raises(DataError, match="no site 'Co'"):
        perturbed(load_phase("Al"), "c", 0.1)


def test_every_declared_error_has_a_source_and_says_whether_it_is_assumed():
    rows = structure_errors(lco_003())
    assert all(row.source for row in rows)
    assert {row.status for row in rows} == {"read", "assumed"}
    assert {row.component for row in rows} == set(STRUCTURES)
