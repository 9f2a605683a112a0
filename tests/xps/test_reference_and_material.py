"""A profile whose scale rests on gold, and one whose paths are those of its own solid, through the whole pipeline."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerscope.records import Quantity, ResultRecord
from layerscope.runs.execute import execute

SHIFTS = (0.31, -0.24, 0.12, 0.47)  # charging of each level, eV
BORON_EV, OXYGEN_EV = 192.05, 529.55
RSF = {"B 1s": 0.486, "O 1s": 2.93, "Co 2p": 19.16}  # Scofield's
ATOMS = {"B": 0.10, "O": 0.60, "Co": 0.30}

RECIPE = """
layerscope = 1
pipeline = "xps"
sample = "gold on LiCoO2"
[[series]]
files = ["profile.vms"]
[charge]
reference = "Au 4f7/2"
{charge}
[[regions]]
region = "Au 4f"
quantify = false
[[regions.components]]
species = "Au"
doublet = true
[[regions]]
region = "B 1s"
[[regions.components]]
species = "B-O-B"
[[regions]]
region = "O 1s"
[[regions.components]]
species = "lattice oxide"
[[regions]]
region = "Co 2p"
[[regions.components]]
species = "Co"
custom = true
position_eV = 780.0
[quantification]
{quantification}
"""


def path_nm(energy: float) -> float:
    """TPP-2M for LiCoO2, 5.05 g/cm3, 22 valence electrons, 2.7 eV, without relativity: written again."""
    plasmon = 28.816 * math.sqrt(22 * 5.05 / 97.87)
    u = (plasmon / 28.816) ** 2
    beta = -1.0 + 9.44 / math.hypot(plasmon, 2.7) + 0.69 * 5.05**0.1
    loss = beta * math.log(0.191 * 5.05**-0.5 * energy) - (19.7 - 9.1 * u) / energy + (534.0 - 208.0 * u) / energy**2
    return energy / (plasmon**2 * loss)


@pytest.fixture(scope="module")
def vamas(reference_data: Path) -> Iterator[bytes]:
    """A simulated profile of four levels: gold, boron, oxygen and cobalt, attenuated as in LiCoO2."""
    sys.path.insert(0, str(reference_data))
    from _generate.simulation import Level, Line, Window, measure
    from _generate.vamas import VamasOptions, write_vamas

    gold = tuple(Line("Au", "Au 4f", 83.96 + d, 0.9, 0.3, a, None, 1.0) for d, a in ((0.0, 8e4), (3.67, 6e4)))

    def one(species: str, line: str, position: float, fwhm: float) -> tuple[Line, ...]:
        area = 3e6 * ATOMS[line.split()[0]] * RSF[line] * path_nm(1486.6 - position) / 10.0
        return (Line(species, line, position, fwhm, 0.3, area, 1.0, RSF[line]),)

    regions = (
        (Window("Au 4f", 79.0, 93.0, 0.1, 0.2, 5, 0.01, 2000.0, 0.0), gold),
        (Window("B 1s", 186.0, 198.0, 0.1, 0.2, 5, 0.01, 2000.0, 0.0), one("B-O-B", "B 1s", BORON_EV, 1.5)),
        (Window("O 1s", 524.0, 536.0, 0.1, 0.2, 5, 0.01, 2000.0, 0.0), one("oxide", "O 1s", OXYGEN_EV, 1.4)),
        (Window("Co 2p", 770.0, 790.0, 0.1, 0.2, 5, 0.01, 2000.0, 0.0), one("Co", "Co 2p", 780.0, 2.2)),
    )
    levels = [
        Level(
            10.0 * k,
            None,
            shift,
            ATOMS,
            tuple(measure(w, lines, shift=shift, stream=(90, k, n)) for n, (w, lines) in enumerate(regions)),
        )
        for k, shift in enumerate(SHIFTS)
    ]
    yield write_vamas(levels, VamasOptions("gold on LiCoO2", "test", ("simulated",)))
    sys.path.remove(str(reference_data))


def run(folder: Path, data: bytes, charge: str = "", quantification: str = "") -> tuple[ResultRecord, ...]:
    (folder / "profile.vms").write_bytes(data)
    (folder / "recipe.toml").write_text(RECIPE.format(charge=charge, quantification=quantification))
    records = execute(folder / "recipe.toml", folder / "out", figures=False).run.records
    assert not [r for r in records if r.status == "failed"]
    return records


def found(records: tuple[ResultRecord, ...], name: str, component: str) -> list[Quantity]:
    levels = sorted((r for r in records if r.state.etch_time_s is not None), key=lambda r: r.state.etch_time_s or 0.0)
    return [q for r in levels for q in r.quantities if (q.name, q.component) == (name, component)]


@pytest.fixture(scope="module")
def plain(vamas: bytes, tmp_path_factory: pytest.TempPathFactory) -> tuple[ResultRecord, ...]:
    return run(tmp_path_factory.mktemp("plain"), vamas)


@pytest.fixture(scope="module")
def solid(vamas: bytes, tmp_path_factory: pytest.TempPathFactory) -> tuple[ResultRecord, ...]:
    words = 'material = "LiCoO2"\nemission_angle_deg = 60\n'
    return run(tmp_path_factory.mktemp("solid"), vamas, quantification=words)


def test_gold_brings_back_the_binding_energies_with_the_error_of_its_own(plain: tuple[ResultRecord, ...]) -> None:
    for component, truth in (("B-O-B", BORON_EV), ("lattice oxide", OXYGEN_EV)):
        positions = found(plain, "peak.position", component)
        assert len(positions) == 4
        for q in positions:
            assert q.value is not None
            assert q.sigma is not None
            fitted = q.budget["fit"]
            assert q.budget["charge_reference"] == 0.02
            assert q.sigma == pytest.approx(math.hypot(fitted, 0.02))
            assert abs(q.value - truth) < 4.0 * fitted  # the reference of the simulation is exact
    shifts = found(tuple(r for r in plain if r.state.region == "Au 4f"), "charge.shift", "Au")
    for q, shift in zip(shifts, SHIFTS, strict=True):
        assert q.value is not None
        assert abs(q.value + shift) < 4.0 * q.budget["fit"]


def test_the_record_says_what_its_energies_rest_on_and_its_recipe_holds_the_numbers(
    plain: tuple[ResultRecord, ...],
) -> None:
    (whole,) = (r for r in plain if r.method == "xps.series" and r.state.region == "B 1s")
    assert any("Au at 83.96 eV, standard error 0.02 eV; ISO 15472" in note for note in whole.notes)
    assert whole.recipe["charge"]["energy_eV"] == 83.96
    assert whole.recipe["charge"]["sigma_eV"] == 0.02


def test_an_energy_of_the_users_own_moves_all_positions_and_brings_its_own_error(
    plain: tuple[ResultRecord, ...], vamas: bytes, tmp_path: Path
) -> None:
    other = run(tmp_path, vamas, charge="energy_eV = 84.06\nsigma_eV = 0.15\n")
    for name in ("B-O-B", "lattice oxide"):
        for before, after in zip(found(plain, "peak.position", name), found(other, "peak.position", name), strict=True):
            assert before.value is not None
            assert after.value == pytest.approx(before.value + 0.1, abs=1e-3)
            assert after.budget["charge_reference"] == 0.15


def test_paths_of_the_solid_give_back_the_atoms_and_an_exponent_does_not(
    plain: tuple[ResultRecord, ...], solid: tuple[ResultRecord, ...]
) -> None:
    misfit = {"solid": 0.0, "plain": 0.0}
    for element, truth in ATOMS.items():
        for name, records in (("solid", solid), ("plain", plain)):
            for q in found(records, "composition.atomic_fraction", element):
                assert q.value is not None
                misfit[name] += ((q.value / 100.0 - truth) / (q.budget["counting"] / 100.0)) ** 2
                assert ("attenuation" in q.budget) == (name == "solid")
    assert misfit["solid"] < 30.0  # chi2 of 4 levels x 3 elements of which two are independent: 8
    assert misfit["plain"] > 100.0


def test_the_error_of_the_path_is_a_part_of_the_budget(solid: tuple[ResultRecord, ...]) -> None:
    # x = a / (a + b) of two lines: a slope s moves ln(a/b) by s ln(E_a/E_b); three elements in closed form here
    energies = {"B": 1486.6 - BORON_EV, "O": 1486.6 - OXYGEN_EV, "Co": 1486.6 - 780.0}
    mean = sum(ATOMS[e] * math.log(energies[e]) for e in ATOMS)
    slope = 0.11 * math.sqrt(12.0) / math.log(40.0)
    for element, truth in ATOMS.items():
        expected = truth * abs(math.log(energies[element]) - mean) * slope
        for q in found(solid, "composition.atomic_fraction", element):
            assert q.budget["attenuation"] / 100.0 == pytest.approx(expected, rel=0.03)
            assert q.sigma == pytest.approx(math.hypot(*q.budget.values()))


def test_the_angle_of_the_file_holds_where_the_recipe_says_none(vamas: bytes, tmp_path: Path) -> None:
    written, tilted = b"\r\n300\r\n700\r\n0\r\n0\r\n", b"\r\n300\r\n700\r\n60\r\n0\r\n"
    assert written in vamas  # widths of the analysed area, take-off angle and azimuth
    records = run(tmp_path, vamas.replace(written, tilted), quantification='material = "LiCoO2"\n')
    (length,) = {q.value for q in found(records, "attenuation.length", "O 1s")}
    (depth,) = {q.value for q in found(records, "attenuation.probing_depth", "O 1s")}
    assert depth == pytest.approx(3.0 * 0.5 * (length or 0.0), rel=0.002)


def test_lengths_and_probing_depths_stand_in_the_composition(
    plain: tuple[ResultRecord, ...], solid: tuple[ResultRecord, ...]
) -> None:
    for line, position in (("B 1s", BORON_EV), ("O 1s", OXYGEN_EV)):
        (length,) = {(q.value, q.sigma, q.unit) for q in found(solid, "attenuation.length", line)}
        assert length[0] == pytest.approx(path_nm(1486.6 - position), rel=0.005)
        assert length[1] == pytest.approx(0.11 * (length[0] or 0.0))
        (depth,) = {(q.value, q.unit) for q in found(solid, "attenuation.probing_depth", line)}
        assert depth == (pytest.approx(3.0 * 0.5 * (length[0] or 0.0), rel=0.002), "nm")
    assert not found(plain, "attenuation.length", "B 1s")
    composition = next(r for r in solid if r.method == "xps.composition")
    assert any("TPP-2M in LiCoO2" in note for note in composition.notes)
    assert composition.recipe["quantification"]["material"]["density_g_cm3"] == 5.05


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ('material = "LiCoO3"', "LiCoO2"),
        ("path_sigma = 0.2", "name a material"),
        ('material = "LiCoO2"\nattenuation_exponent = 0.7', "either"),
        ("material = { formula = 'LiCoX2', density_g_cm3 = 5, valence_electrons = 22, band_gap_eV = 2 }", "no element"),
    ],
)
def test_a_material_that_cannot_be_used_is_refused_before_any_work(
    words: str, message: str, vamas: bytes, tmp_path: Path
) -> None:
    from layerscope.errors import RecipeError

    with pytest.raises(RecipeError, match=message):
        run(tmp_path, vamas, quantification=words)
