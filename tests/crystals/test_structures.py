"""Structures: the library and the user's files, bonds, overlaps, formulas, reflections, phases without atoms."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from layerscope.crystals import (
    Phase,
    available_phases,
    cell_content,
    check_phase,
    contacts,
    load_phase,
    phase_from_cif,
    phase_from_table,
    read_phase_table,
    reflections,
    scattering_power,
    zone_pattern,
)
from layerscope.errors import DataError, ReaderError, RecipeError

pytest.importorskip("gemmi", reason="gemmi is not installed")

O3_CIF = """data_LCO
_cell_length_a 2.8156
_cell_length_b 2.8156
_cell_length_c 14.0542
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 120
{symmetry}
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Li Li 0 0 0.5 1
Co Co 0 0 0 1
O O 0 0 {z} 1
"""


def write_cif(folder: Path, *, symmetry: str = "_symmetry_space_group_name_H-M 'R -3 m:H'", z: str = "0.2602") -> Path:
    path = folder / "phase.cif"
    path.write_text(O3_CIF.format(symmetry=symmetry, z=z))
    return path


def test_co_o_bond_of_licoo2_follows_from_cell_and_z() -> None:
    phase = load_phase("LiCoO2_O3")
    a, c, z = 2.8156, 14.0542, 0.2602
    expected = math.sqrt(a * a / 3.0 + ((1.0 / 3.0 - z) * c) ** 2)
    shell = [k for k in contacts(phase) if (k.first, k.second) == ("Co", "O")]
    assert shell[0].distance == pytest.approx(expected, abs=1e-3)
    assert shell[0].count == 6


@pytest.mark.parametrize(
    ("name", "density"),
    [
        ("LiCoO2_O3", 5.05),
        ("Co3O4", 6.06),
        ("Si", 2.329),
        ("Al", 2.699),
        ("ZnO", 5.675),
        ("TiO2_anatase", 3.893),
        ("TiO2_rutile", 4.25),
        ("LaB6", 4.711),
        ("LiF", 2.64),
        ("V2O5", 3.37),
        ("ZrO2_monoclinic", 5.81),
        ("Li2CO3", 2.10),
        ("Li2O", 2.013),
        ("LiOH", 1.46),
        ("SrTiO3", 5.117),
        ("Al2O3_corundum", 3.987),
        ("Cu", 8.935),
        ("graphite", 2.26),
    ],
)
def test_library_phases_have_the_density_of_the_mineral(name: str, density: float) -> None:
    mass, volume = cell_content(load_phase(name))
    assert mass / volume * 1.66054 == pytest.approx(density, rel=0.004)


def test_every_library_phase_names_its_source_and_passes_its_checks() -> None:
    assert len(available_phases()) >= 15
    for name in available_phases():
        assert load_phase(name).source


def test_reflections_of_silicon_obey_the_extinctions_and_multiplicities_of_diamond() -> None:
    found = reflections(load_phase("Si"), 1.0)
    table = {
        tuple(sorted(np.abs(h).astype(int), reverse=True)): (m, f)
        for h, m, f in zip(found.hkl, found.multiplicity, found.f2, strict=True)
    }
    assert table[(1, 1, 1)][0] == 8
    assert table[(2, 2, 0)][0] == 12
    assert table[(3, 1, 1)][0] == 24
    assert table[(2, 0, 0)][1] < 1e-6 * table[(2, 2, 0)][1] if (2, 0, 0) in table else True
    assert table[(2, 2, 2)][1] < 1e-3 * table[(2, 2, 0)][1]


def test_structure_factor_of_aluminium_is_four_form_factors_at_every_allowed_reflection() -> None:
    phase = load_phase("Al")
    found = reflections(phase, 1.1)
    for d, f2 in zip(found.d, found.f2, strict=True):
        s = 1.0 / (2.0 * d)
        amplitude = 4.0 * scattering_power("Al", s) * math.exp(-phase.sites[0].b_iso * s * s)
        assert f2 == pytest.approx(amplitude**2, rel=1e-6)


def test_cif_is_read_with_its_symmetry_cell_and_sites(tmp_path: Path) -> None:
    phase = phase_from_cif(write_cif(tmp_path))
    assert phase.cell == pytest.approx((2.8156, 2.8156, 14.0542, 90, 90, 120))
    assert [s.element for s in phase.sites] == ["Li", "Co", "O"]
    assert phase.space_group.replace(" ", "").startswith("R-3m")


def test_cif_without_symmetry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no symmetry"):
        phase_from_cif(write_cif(tmp_path, symmetry=""))


def test_cif_with_overlapping_atoms_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="overlap"):
        phase_from_cif(write_cif(tmp_path, z="0.03"))


def test_cif_with_a_wrong_bond_is_refused_with_the_distance(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Co–O is 1\.6"):
        phase_from_cif(write_cif(tmp_path, z="0.31"))


def test_text_that_is_no_cif_is_a_reader_error(tmp_path: Path) -> None:
    path = tmp_path / "x.cif"
    path.write_text("loop_ of nonsense")
    with pytest.raises(ReaderError):
        phase_from_cif(path)


def test_a_structure_whose_atoms_are_not_those_of_its_formula_is_refused(tmp_path: Path) -> None:
    table = read_phase_table("LiCoO2_O3")
    phase_from_table(table, source="O3")
    without = {**table, "sites": [row for row in table["sites"] if row["element"] != "O"]}
    with pytest.raises(DataError, match="the atoms have no O"):
        phase_from_table(without, source="O3")
    half = [{**row, "occupancy": 0.5} if row["element"] == "Li" else row for row in table["sites"]]
    with pytest.raises(DataError, match=r"25 % Li\), the atoms have 14"):
        phase_from_table({**table, "sites": half}, source="O3")
    with pytest.raises(DataError, match="which it does not name"):
        phase_from_table({**table, "formula": "CoO2"}, source="O3")
    phase_from_table({**table, "formula": "LiCoO2H2"}, source="O3")  # X-rays hardly see hydrogen, and many leave it out
    path = write_cif(tmp_path)
    path.write_text(path.read_text().replace("_cell_length_a", "_chemical_formula_sum 'Co Li O3'\n_cell_length_a"))
    with pytest.raises(DataError, match="the formula is Co Li O3"):
        phase_from_cif(path)


def test_a_phase_file_may_be_utf_16_as_windows_writes_it(tmp_path: Path) -> None:
    import layerscope.reference_data

    text = (Path(layerscope.reference_data.__file__).parent / "phases" / "LiCoO2_O3.toml").read_text(encoding="utf-8")
    (tmp_path / "phase.toml").write_text(text, encoding="utf-16")
    assert load_phase(str(tmp_path / "phase.toml")) == load_phase("LiCoO2_O3")


def moved(phase: Phase, label: str, **to: float) -> Phase:
    return replace(phase, sites=tuple(replace(s, **to) if s.label == label else s for s in phase.sites))


def test_every_structure_of_the_library_states_its_bonds() -> None:
    for name in available_phases():
        phase = load_phase(name)
        elements = {phase.site(label).element for bond in phase.bonds for label in (bond.first, bond.second)}
        assert elements == {s.element for s in phase.sites}, name


def test_oxygen_of_the_other_origin_is_refused() -> None:
    phase = load_phase("LiCoO2_O3")
    check_phase(moved(phase, "O", z=0.2602 + 0.001))
    with pytest.raises(DataError, match=r"Co–O is 2\.093 Å, it is known to be 1\.923 Å"):
        check_phase(moved(phase, "O", z=0.2395))


@pytest.mark.parametrize(
    ("name", "label", "to"),
    [
        ("Co3O4", "O", {"x": 0.2591, "y": 0.2591, "z": 0.2591}),
        ("LaB6", "B", {"x": 0.205}),
        ("Li2CO3", "O2", {"x": 0.1559}),
        ("ZnO", "O", {"z": 0.3721}),
    ],
)
def test_a_shipped_structure_is_held_to_its_bonds_within_a_few_hundredths(
    name: str, label: str, to: dict[str, float]
) -> None:
    with pytest.raises(DataError, match="it is known to be"):
        check_phase(moved(load_phase(name), label, **to))


def test_a_file_of_a_known_compound_is_held_to_the_bonds_of_the_library(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Co–O is 2\.09. Å, but 1\.923 Å in O3 of the library, the same compound"):
        phase_from_cif(write_cif(tmp_path, z="0.2395"))
    phase_from_cif(write_cif(tmp_path, z="0.2630"))  # another refinement: Co-O 1.901 Å


def test_a_phase_without_atoms_has_lines_but_no_intensities() -> None:
    phase = load_phase("LiB6O9F")
    assert not phase.sites
    found = reflections(phase, 2.0)
    assert (found.f2 == 1.0).all()
    assert len(found.d) == 52
    assert (zone_pattern(phase, (1, 0, 0)).amplitude == 1.0).all()


def test_among_shipped_phases_only_lithium_phosphate_has_two_rings_like_lib6o9f_at_another_scale() -> None:
    wanted = 5.0385 / 2.9317
    for name in available_phases():
        d = np.unique(np.round(reflections(load_phase(name), 2.0).d, 5))
        ratio = d[:, None] / d[None, :]
        near = (np.abs(d[:, None] / 5.0385 - 1.0) < 0.06) & (np.abs(ratio / wanted - 1.0) < 0.004)
        assert near.any() == (name in ("LiB6O9F", "Li3PO4")), name  # 020 and 200 of Li3PO4, at a scale 4 % off


def test_a_cell_has_a_range_with_a_reason_and_lies_in_it() -> None:
    skin = load_phase("CoO")
    assert np.exp(skin.log_range()[0]) * skin.cell[0] == pytest.approx([3.98, 4.27])
    assert np.abs(load_phase("Li2O").log_range()).max() == pytest.approx(0.002)
    table = read_phase_table("CoO")
    row = {"constant": "a", "low": 4.3, "high": 4.4, "reason": "charge"}
    with pytest.raises(RecipeError, match=r"a is 4\.2612 Å, outside its range 4\.3 to 4\.4 Å"):
        phase_from_table({**table, "cell_range": [row]}, source="CoO")
    tied = {"constant": "b", "low": 4.2, "high": 4.3, "reason": "charge"}
    with pytest.raises(RecipeError, match="b follows from a by symmetry"):
        phase_from_table({**table, "cell_range": [tied]}, source="CoO")
    with pytest.raises(RecipeError, match="low < high and a reason"):
        phase_from_table({**table, "cell_range": [{**row, "reason": ""}]}, source="CoO")


@pytest.mark.parametrize(
    ("bonds", "message"),
    [({"Co-N": [2.1]}, "has no site 'N'"), ({"Co-O": []}, "one length or more"), (["Co-O"], "incomplete phase")],
)
def test_bonds_that_mean_nothing_are_refused(bonds: object, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        phase_from_table({**read_phase_table("CoO"), "bonds": bonds}, source="CoO")


def test_spinels_differ_in_the_reflection_of_what_sits_in_the_tetrahedra() -> None:
    known = {"Co3O4": (19, 32, 59), "LiCo2O4": (38, 8, 77), "Li2Co2O4": (31, 0.4, 91)}
    for name, amplitudes in known.items():
        pattern = zone_pattern(load_phase(name), (1, 1, 0), min_amplitude=0.0)
        by_index = dict(zip(map(tuple, np.abs(pattern.hkl).tolist()), pattern.amplitude, strict=True))
        found = [by_index[h] for h in ((1, 1, 1), (2, 2, 0), (0, 0, 4))]
        assert found == pytest.approx(amplitudes, abs=1.0), name
