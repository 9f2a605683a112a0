"""The species library and the competing assignments it gives."""

from __future__ import annotations

import math

import pytest
from layerscope.spectra.xps.knowledge import species
from layerscope.spectra.xps.species import (
    Species,
    competing,
    get_species,
    load_species,
    overlaps,
    parse_species,
    species_for,
)

from layerscope.errors import DataError, RecipeError
from layerscope.records import Assignment

ROW = {
    "id": "X",
    "line": "B 1s",
    "label": "test",
    "low_eV": 190.0,
    "high_eV": 191.0,
    "spread_eV": 0.1,
    "source": "somebody 2020",
    "status": "read",
}


def names(assignments: tuple[Assignment, ...]) -> set[tuple[str, str]]:
    return {(entry.species, entry.line) for entry in assignments}


def test_every_line_that_the_pipeline_needs_has_species() -> None:
    needed = [
        "B 1s",
        "P 2s",
        "P 2p",
        "C 1s",
        "F 1s",
        "O 1s",
        "In 3d",
        "Co 2p",
        "Ni 2p",
        "Mn 2p",
        "Mn 3s",
        "Li 1s",
        "Cl 2p",
        "Si 2p",
        "Sn 3d",
        *("Al 2p", "N 1s", "S 2p", "Na 1s", "Mg 1s", "Mg 2p", "Ti 2p", "Fe 2p", "Cu 2p"),
        *("Zr 3d", "Nb 3d", "La 3d", "W 4f"),
    ]
    assert {line: len(species_for(line)) for line in needed if len(species_for(line)) < 2} == {}


def test_the_assignments_of_the_two_papers_are_there_with_their_positions() -> None:
    expected = {"B-O": 191.7, "B-O-B": 192.0, "TM-O-B": 191.1, "B-F": 193.0}
    assert {name: get_species(name, "B 1s").position_eV for name in expected} == expected


def test_every_entry_has_a_source_and_an_honest_status() -> None:
    assert all(len(entry.source) > 10 for entry in load_species())
    unverified = {entry.id for entry in load_species() if entry.status == "unverified"}
    assert {entry.id for entry in load_species() if "no source" in entry.source} == unverified


@pytest.mark.parametrize(
    ("line", "species_id", "inside"),
    [
        ("F 1s", "LiF", (684.8, 686.5)),
        ("In 3d5/2", "In2O3", (444.8, 444.8)),
        ("In 3d5/2", "InF3", (446.35, 446.35)),
        ("C 1s", "CO3", (289.55, 289.8)),
        ("Ni 2p3/2", "Ni", (852.7, 852.7)),
    ],
)
def test_ranges_hold_the_values_of_the_nist_database(line: str, species_id: str, inside: tuple[float, float]) -> None:
    entry = get_species(species_id, line)
    assert entry.low_eV <= inside[0] <= inside[1] <= entry.high_eV


@pytest.mark.parametrize(
    ("line", "species_id", "value"),
    [  # not from NIST SRD 20, where the ranges come from: Thermo's pages, xpsfitting.com, ISO 15472, Biesinger 2010
        ("Ti 2p3/2", "Ti", 454.1),
        ("Ti 2p3/2", "TiN", 454.9),
        ("Ti 2p3/2", "TiO2", 458.6),
        ("Cu 2p3/2", "Cu(0)", 932.62),
        ("Cu 2p3/2", "Cu2O", 932.43),
        ("Cu 2p3/2", "CuO", 933.57),
        ("La 3d5/2", "La2O3", 834.5),
    ],
)
def test_ranges_of_coatings_and_dopants_hold_what_other_sources_give(line: str, species_id: str, value: float) -> None:
    entry = get_species(species_id, line)
    assert entry.low_eV <= value <= entry.high_eV


def test_lanthanum_competes_with_nickel_through_its_second_line() -> None:
    assert ("La2O3", "La 3d3/2") in names(competing("Ni 2p", 851.8, 0.05))


def test_the_two_lines_of_a_doublet_stand_in_the_statistical_ratio() -> None:
    expected = {"p": 1 / 2, "d": 2 / 3, "f": 3 / 4}
    for entry in load_species():
        if entry.ratio is not None and entry.partner is not None:
            assert entry.ratio == pytest.approx(expected[entry.line.split()[1][1]], abs=1e-3), entry.id
            assert entry.partner.split("/")[0][:-1] == entry.line.split("/")[0][:-1]


def test_tm_o_b_at_191_1_competes_with_boron_nitride_and_with_phosphate_p_2s() -> None:
    found = competing("B 1s", 191.1, 0.05, exclude="TM-O-B")
    assert ("BN", "B 1s") in names(found)
    assert ("orthophosphate", "P 2s") in names(found)
    assert ("TM-O-B", "B 1s") not in names(found)
    assert overlaps("B 1s", found) == ("P 2s",)


def test_b_f_at_193_0_competes_with_boron_oxide_and_boric_acid() -> None:
    found = names(competing("B 1s", 193.0, 0.05, exclude=("B-F",)))
    assert {("B2O3", "B 1s"), ("H3BO3", "B 1s"), ("P2O5", "P 2s")} <= found
    assert ("BF4-", "B 1s") not in found


def test_distance_is_the_gap_to_the_range_in_combined_standard_deviations() -> None:
    entry = get_species("BF4-", "B 1s")
    position = entry.low_eV - 0.5
    [found] = [a for a in competing("B 1s", position, 0.3, k=3.0, charge_sigma_eV=0.2) if a.species == "BF4-"]
    assert found.distance_sigma == pytest.approx(0.5 / math.sqrt(0.3**2 + 0.2**2 + entry.spread_eV**2))
    assert (found.low_eV, found.high_eV, found.source) == (entry.low_eV, entry.high_eV, entry.source)


def test_a_larger_charge_error_never_loses_an_assignment() -> None:
    for position in (190.2, 191.7, 192.5, 194.0):
        sharp, vague = (names(competing("B 1s", position, 0.05, charge_sigma_eV=s)) for s in (0.0, 0.4))
        assert sharp <= vague
    assert len(competing("B 1s", 192.5, 0.05, charge_sigma_eV=0.4)) > len(competing("B 1s", 192.5, 0.05))


def test_the_second_line_of_a_doublet_competes_too() -> None:
    entry = get_species("In2O3", "In 3d5/2")
    assert entry.splitting_eV is not None
    found = names(competing("In 3d", entry.position_eV + entry.splitting_eV, 0.05))
    assert ("In2O3", "In 3d3/2") in found


def test_assignments_come_nearest_first_and_own_line_before_foreign() -> None:
    found = competing("B 1s", 191.5, 0.1)
    distances = [entry.distance_sigma or 0.0 for entry in found]
    assert distances == sorted(distances)
    inside = [entry.line == "B 1s" for entry in found if entry.distance_sigma == 0.0]
    assert inside == sorted(inside, reverse=True)


def test_an_unknown_species_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(RecipeError, match=r"unknown species 'TM-O-Bo' for B 1s.*'TM-O-B'"):
        get_species("TM-O-Bo", "b1s")
    with pytest.raises(RecipeError, match="known with F 1s"):
        get_species("PVDF", "C 1s")
    with pytest.raises(RecipeError, match="several lines"):
        get_species("B-F")


@pytest.mark.parametrize(("position", "sigma"), [(math.nan, 0.1), (191.0, math.inf), (191.0, -0.1)])
def test_a_position_that_is_no_number_is_not_assigned(position: float, sigma: float) -> None:
    with pytest.raises(DataError):
        competing("B 1s", position, sigma)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"low_eV": 192.0}, "not in order"),
        ({"status": "guess"}, "status"),
        ({"source": ""}, "source"),
        ({"spread_eV": 0.0}, "spread_eV"),
        ({"positon_eV": 190.5}, "unknown key 'positon_eV'"),
        ({"splitting_eV": 0.9}, "go together"),
        ({"high_eV": math.inf}, "finite number 'high_eV'"),
    ],
)
def test_a_faulty_table_is_refused_with_its_entry(change: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        parse_species({"mine": {"species": [ROW | change]}})


def test_missing_key_and_double_entry_are_refused() -> None:
    with pytest.raises(DataError, match="twice"):
        parse_species({"mine": {"species": [ROW, ROW]}})
    with pytest.raises(DataError, match=r"mine.toml.*missing key 'source'"):
        parse_species({"mine": {"species": [{key: value for key, value in ROW.items() if key != "source"}]}})


def test_position_is_the_middle_of_the_range_unless_stated() -> None:
    [entry] = parse_species({"mine": {"species": [ROW]}})
    assert entry.position_eV == 190.5
    assert set(Species.model_fields) >= set(ROW)


def test_a_position_that_could_not_be_verified_says_so_in_its_source() -> None:
    unverified = [entry for entry in load_species() if entry.status == "unverified"]
    assert unverified
    assert all("opened" in entry.source for entry in unverified)


@pytest.mark.parametrize("asked", ["I 3d", "pb4f", "U"])
def test_a_line_that_the_library_lacks_is_no_word_to_look_for(asked: str) -> None:
    assert not species(asked.split()).rows
    assert species(["fluoride"]).rows
