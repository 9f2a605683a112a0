"""The library of charge references and how a recipe asks for one."""

from __future__ import annotations

import pytest
from layerscope.spectra.xps.charge import ChargeTable, get_reference, load_references
from layerscope.spectra.xps.knowledge import charge_references, materials
from layerscope.spectra.xps.species import competing, get_species
from pydantic import ValidationError

from layerscope.errors import RecipeError


def test_default_carbon_reference_is_contested_and_has_an_error() -> None:
    carbon = ChargeTable(reference="C 1s")
    assert (carbon.kind, carbon.region, carbon.species) == ("line", "C 1s", "C-C/C-H")
    assert (carbon.energy_eV, carbon.sigma_eV) == (284.8, 0.2)
    assert "contested" in carbon.text
    assert "contested" not in ChargeTable(reference="F 1s LiF").text


@pytest.mark.parametrize("name", load_references())
def test_every_reference_is_a_species_of_the_library_within_its_range(name: str) -> None:
    entry = get_reference(name)
    species = get_species(entry.species, entry.region)
    assert species.low_eV <= entry.energy_eV <= species.high_eV
    assert entry.sigma_eV > 0.0


@pytest.mark.parametrize("region", ["C 1s", "C1s", "c 1s"])
def test_carbon_is_contested_however_the_region_is_written(region: str) -> None:
    own = ChargeTable(kind="line", region=region, species="C-C/C-H", energy_eV=284.8)
    assert own.text == "energies refer to C-C/C-H at 284.8 eV (contested for alkali-bearing samples)"


def test_the_resolved_table_holds_the_values_of_the_library_and_resolves_to_itself() -> None:
    gold = ChargeTable.model_validate({"reference": "Au 4f7/2"})
    resolved = gold.model_dump()
    assert resolved == {
        "reference": "Au 4f7/2",
        "kind": "line",
        "region": "Au 4f",
        "species": "Au",
        "energy_eV": 83.96,
        "sigma_eV": 0.02,
    }
    assert ChargeTable.model_validate(resolved) == gold


def test_what_the_recipe_says_goes_over_the_library() -> None:
    own = ChargeTable.model_validate(
        {"reference": "Au 4f7/2", "region": "Au 4f7/2", "energy_eV": 84.0, "sigma_eV": 0.1}
    )
    assert (own.region, own.species, own.energy_eV, own.sigma_eV) == ("Au 4f7/2", "Au", 84.0, 0.1)
    assert "ISO" not in own.text
    assert "ISO" in ChargeTable(reference="Au 4f7/2").text


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"kind": "carbon"}, "none"),
        ({"kind": "line", "region": "C 1s"}, "needs region, species and energy_eV"),
        ({"kind": "none", "sigma_eV": -0.1}, "greater than or equal"),
        ({"reference": "Au 4f"}, "unknown charge reference 'Au 4f'.*Au 4f7/2"),
        ({"reference": "Au 4f7/2", "kind": "none"}, "leaves energies as measured"),
        ({"reference": "Au 4f7/2", "energy_eV": 84.0}, "give sigma_eV"),
    ],
)
def test_an_incomplete_or_contradictory_reference_is_refused(table: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ChargeTable.model_validate(table)


def test_an_unknown_reference_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"Au 4f7/2"):
        get_reference("Au 4f5/2")


def test_a_standard_competes_with_no_assignment() -> None:
    assert not any(entry.species == "Au" for entry in competing("Mn 3s", 84.0, 0.1))


def test_references_and_solids_can_be_looked_up_by_what_a_recipe_calls_them() -> None:
    assert [row[0] for row in charge_references(()).rows] == list(load_references())
    assert [row[:4] for row in charge_references(("au", "ISO")).rows] == [("Au 4f7/2", "Au 4f", "Au", "83.96")]
    assert [row[0] for row in materials(("licoo2",)).rows] == ["LiCoO2"]
