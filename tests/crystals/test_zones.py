"""Zone axes and rings: electron structure factors, absences, spacings and angles, next Laue zone, changing cells."""

from __future__ import annotations

import json
import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from layerscope.crystals import Phase, Site, ZonePattern, load_phase, reflections, rings, zone_pattern, zone_patterns
from layerscope.errors import RecipeError

gemmi = pytest.importorskip("gemmi", reason="gemmi is not installed")

BARE = Phase("LiB6O9F", "P n a 21", (7.6555, 8.5318, 10.7894, 90.0, 90.0, 90.0), ())


Atoms = list[tuple[str, np.ndarray, float, float]]


def atoms_of(phase: Phase) -> Atoms:
    """Every atom of the cell, made with the operations of the space group alone."""
    group = gemmi.SpaceGroup(phase.space_group)
    found: Atoms = []
    for site in phase.sites:
        own: list[np.ndarray] = []
        for op in group.operations():
            at = np.mod(np.array(op.apply_to_xyz(list(site.xyz))), 1.0)
            if not any(np.allclose((at - other + 0.5) % 1.0, 0.5, atol=1e-4) for other in own):
                own.append(at)
        found += [(site.element, at, site.occupancy, site.b_iso) for at in own]
    return found


def naive_amplitude(atoms: Atoms, hkl: tuple[int, int, int], d: float) -> float:
    """|F| as a plain sum over the atoms, form factors as a sum of five Gaussians."""
    s2 = 1.0 / (4.0 * d * d)
    total = 0j
    for element, at, occupancy, b in atoms:
        coefficients = gemmi.Element(element).c4322.get_coefs()
        form = sum(p * math.exp(-q * s2) for p, q in zip(coefficients[:5], coefficients[5:], strict=True))
        total += occupancy * form * math.exp(-b * s2) * np.exp(2j * math.pi * float(np.dot(hkl, at)))
    return abs(total)


def found_in(pattern: ZonePattern, *hkl: int) -> int:
    rows = [k for k, index in enumerate(pattern.hkl.tolist()) if tuple(index) in (hkl, tuple(-v for v in hkl))]
    assert len(rows) == 1, f"{hkl} is not there once"
    return rows[0]


def spacing(pattern: ZonePattern, *hkl: int) -> float:
    return 10.0 / float(np.linalg.norm(pattern.g[found_in(pattern, *hkl)]))


def angle(pattern: ZonePattern, one: tuple[int, ...], other: tuple[int, ...]) -> float:
    a, b = (pattern.g[found_in(pattern, *h)] for h in (one, other))
    cosine = abs(a @ b) / np.linalg.norm(a) / np.linalg.norm(b)
    return math.degrees(math.acos(min(cosine, 1.0)))


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("LiCoO2_O3", (1, 0, 0)),
        ("Co3O4", (1, 1, 0)),
        ("Li2CO3", (0, 0, 1)),
        ("ZnO", (2, 1, 0)),
        ("ZrO2_monoclinic", (1, 0, 1)),
    ],
)
def test_electron_amplitudes_are_plain_sums_over_the_atoms(name: str, zone: tuple[int, int, int]) -> None:
    phase = load_phase(name)
    pattern, atoms = zone_pattern(phase, zone, g_max=8.0), atoms_of(phase)
    for hkl, g, amplitude in zip(pattern.hkl.tolist(), pattern.g, pattern.amplitude, strict=True):
        assert amplitude == pytest.approx(naive_amplitude(atoms, tuple(hkl), 10.0 / np.linalg.norm(g)), rel=1e-4)


def test_the_first_reflections_of_cobalt_spinel_are_as_strong_as_known() -> None:
    pattern = zone_pattern(load_phase("Co3O4"), (1, 1, 0))
    strong = [pattern.amplitude[found_in(pattern, *h)] for h in ((1, -1, 1), (2, -2, 0), (0, 0, 4))]
    assert strong == pytest.approx([19, 32, 59], abs=0.5)


def test_a_zone_holds_all_its_reflections_and_not_only_unique_ones() -> None:
    phase, zone = load_phase("Li2MnO3"), (1, 1, 2)
    pattern = zone_pattern(phase, zone, g_max=9.0, min_amplitude=0.0)
    cell = gemmi.UnitCell(*phase.cell)
    absent = gemmi.SpaceGroup(phase.space_group).operations().is_systematically_absent
    wanted = {
        h
        for h in product(range(-9, 10), repeat=3)
        if any(h) and np.dot(h, zone) == 0 and cell.calculate_d(h) >= 10.0 / 9.0 and not absent(h)
    }
    found = {tuple(h) for h in pattern.hkl.tolist()}
    assert not found & {tuple(-v for v in h) for h in found}
    assert found | {tuple(-v for v in h) for h in found} == wanted


@pytest.mark.parametrize(
    ("name", "zone", "hkl", "d", "degrees"),
    [
        ("LiCoO2_O3", (1, 0, 0), (0, 0, 3), 4.685, 0.0),
        ("LiCoO2_O3", (1, 0, 0), (0, 0, 6), 2.342, 0.0),
        ("LiCoO2_O3", (1, 0, 0), (0, 1, 2), 2.304, 70.9),
        ("LiCoO2_O3", (1, 0, 0), (0, 1, -4), 2.003, 55.2),
        ("LiCoO2_O3", (1, 0, 0), (0, 1, 8), 1.425, 35.8),
        ("LiCoO2_O3", (1, 0, 0), (0, 1, -1), 2.402, 80.2),
        ("LiCoO2_O3", (1, 0, 0), (0, 1, 5), 1.842, 49.1),
        ("LiCoO2_O3", (1, 0, 0), (0, 1, -7), 1.550, 39.5),
        ("Co3O4", (1, 1, 0), (1, -1, -1), 4.667, 70.5),
        ("Co3O4", (1, 1, 0), (0, 0, 4), 2.021, 54.7),
        ("Co3O4", (1, 1, 0), (2, -2, 0), 2.858, 35.3),
        ("Co3O4", (1, 1, 0), (1, -1, -3), 2.437, 80.0),
        ("CoO", (1, 1, 0), (1, -1, -1), 2.460, 70.5),
        ("CoO", (1, 1, 0), (0, 0, 2), 2.131, 54.7),
        ("CoO", (1, 1, 0), (2, -2, 0), 1.507, 35.3),
    ],
)
def test_spacings_and_angles_of_layered_spinel_and_rock_salt(
    name: str, zone: tuple[int, int, int], hkl: tuple[int, int, int], d: float, degrees: float
) -> None:
    pattern = zone_pattern(load_phase(name), zone)
    base = (0, 0, 3) if name.startswith("Li") else (1, -1, 1)
    assert spacing(pattern, *hkl) == pytest.approx(d, abs=6e-4)
    assert angle(pattern, base, hkl) == pytest.approx(degrees, abs=0.06)


def test_rock_salt_110_shows_the_next_laue_zone_where_images_show_it() -> None:
    pattern = zone_pattern(load_phase("CoO"), (1, 1, 0))
    assert (10.0 / np.linalg.norm(pattern.laue, axis=1))[:3] == pytest.approx([4.261, 3.013, 1.740], abs=1e-3)
    for point in pattern.laue:
        assert np.linalg.norm(pattern.g - point, axis=1).min() > 0.02


def test_the_projected_laue_zone_is_the_next_layer_without_its_part_along_the_beam() -> None:
    phase = load_phase("LiCoO2_O3")
    pattern = zone_pattern(phase, (1, 0, 0))
    cell = gemmi.UnitCell(*phase.cell)
    reciprocal = np.array(cell.frac.mat.tolist()) * 10.0
    beam = np.array(cell.orth.mat.tolist())[:, 0]
    beam /= np.linalg.norm(beam)
    for hkl in ((1, 0, 1), (1, 0, 4), (1, -1, 2)):  # hu + kv + lw = 1 and obverse
        g = np.array(hkl) @ reciprocal
        flat = np.linalg.norm(g - (g @ beam) * beam)
        lengths = np.linalg.norm(np.concatenate([pattern.laue, pattern.g]), axis=1)
        assert np.abs(lengths - flat).min() < 1e-6, hkl


def test_what_the_space_group_forbids_is_forbidden_and_stays_a_point_of_the_zone() -> None:
    pattern = zone_pattern(BARE, (1, 0, 0))
    assert (pattern.amplitude == 1.0).all()
    indices = {tuple(h) for h in pattern.hkl.tolist()}
    assert (0, 1, 1) in indices or (0, -1, -1) in indices
    assert not any((k + m) % 2 for _, k, m in indices)  # n glide across a
    spacings = np.concatenate([10.0 / np.linalg.norm(p, axis=1) for p in (pattern.forbidden, pattern.laue)])
    assert np.abs(spacings - 10.7894).min() < 1e-4


def test_heavy_columns_are_bright_in_a_dark_field_where_electrons_see_them_cancel() -> None:
    sites = tuple(Site(name, name, x, y, z, b_iso=0.0) for name, x, y, z in (("Sr", 0.5, 0.5, 0.5), ("Ti", 0, 0, 0)))
    oxygen = Site("O", "O", 0.5, 0.0, 0.0, b_iso=0.0)
    pattern = zone_pattern(
        Phase("SrTiO3", "P m -3 m", (3.905, 3.905, 3.905, 90.0, 90.0, 90.0), (*sites, oxygen)), (1, 1, 0)
    )
    strontium, titanium, light = (z**1.7 for z in (38, 22, 8))
    row = int((np.abs(pattern.hkl) == [0, 0, 2]).all(axis=1).argmax())
    assert pattern.contrast[row] == pytest.approx(strontium + titanium + 3 * light)
    first = int(np.linalg.norm(pattern.forbidden, axis=1).argmin())
    assert 10.0 / np.linalg.norm(pattern.forbidden[first]) == pytest.approx(3.905)
    assert pattern.forbidden_contrast[first] == pytest.approx(strontium - titanium - light)


def test_lib6o9f_has_its_two_rings_at_the_ratio_by_which_it_is_known() -> None:
    found = rings(BARE, g_max=5.0)
    one, other = (found.g[found.labels.index(name)] for name in ("111", "212"))
    assert 10.0 / one == pytest.approx(5.0385, abs=1e-4)
    assert 10.0 / other == pytest.approx(2.9317, abs=1e-4)
    assert other / one == pytest.approx(1.7186, abs=1e-4)


def test_a_ring_adds_what_lies_on_it() -> None:
    phase = load_phase("Si")
    found, single = rings(phase, g_max=10.0), reflections(phase, 1.0, probe="electron")
    assert "511+333" in found.labels or "333+511" in found.labels
    assert found.intensity.sum() == pytest.approx((single.multiplicity * single.f2).sum())
    assert (np.diff(found.g) > 0).all()


@pytest.mark.parametrize(("name", "rows"), [("Co3O4", [0]), ("LiCoO2_O3", [0, 2]), ("Li2CO3", [0, 1, 2])])
def test_patterns_and_rings_follow_the_cell_as_their_derivatives_say(name: str, rows: list[int]) -> None:
    phase, step = load_phase(name), 1e-5
    zone = (1, 0, 0) if name == "LiCoO2_O3" else (1, 1, 0)
    start, ring = zone_pattern(phase, zone), rings(phase, 6.0)
    assert [k for k in range(3) if start.strain_basis[k].any()] == rows
    assert [k for k in range(3) if start.log_range[k].any()] == rows
    for row in rows:
        key = "abc"[row]
        moved = phase.with_cell(**{key: phase.cell[row] * (1.0 + step)})
        far = {tuple(h): g for h, g in zip(*(lambda z: (z.hkl.tolist(), z.g))(zone_pattern(moved, zone)), strict=True)}
        both = [k for k, h in enumerate(start.hkl.tolist()) if tuple(h) in far]
        before = start.g[both]
        after = np.array([far[tuple(h)] for h in start.hkl[both].tolist()])
        change = start.strain_basis[row][both]
        found = (after @ after.T - before @ before.T) / step
        assert found == pytest.approx(before @ change.T + change @ before.T, abs=0.02)
        bare = rings(moved, 6.0)
        common = [(ring.labels.index(n), bare.labels.index(n)) for n in ring.labels if n in bare.labels]
        one, two = np.array(common).T
        measured = np.log(bare.g[two] / ring.g[one]) / step
        assert measured == pytest.approx(ring.strain_basis[row][one], abs=1e-3)


def test_the_main_zones_come_first_and_none_twice() -> None:
    layered, salt, spinel = (zone_patterns(load_phase(n)) for n in ("LiCoO2_O3", "CoO", "Co3O4"))
    assert layered[0].zone == (1, 0, 0)
    assert {(0, 0, 1)} <= {z.zone for z in layered}
    assert {z.zone for z in salt[:2]} == {(1, 0, 0), (1, 1, 0)}
    assert {z.zone for z in spinel[:2]} == {(1, 0, 0), (1, 1, 0)}
    assert any(z.zone == (4, -4, -1) for z in layered)  # [001] of the rock salt that layered oxides resemble
    for patterns in (layered, salt, spinel):
        assert len({tuple(sorted(map(abs, z.zone))) + tuple(np.sign(z.zone)) for z in patterns}) == len(patterns)


def test_a_zone_that_is_none_is_refused() -> None:
    with pytest.raises(RecipeError, match="no direction"):
        zone_pattern(BARE, (2, 0, 0))
    with pytest.raises(RecipeError, match="less than two directions"):
        zone_pattern(load_phase("CoO"), (7, 5, 3))
    with pytest.raises(RecipeError, match="no reflection"):
        zone_pattern(load_phase("CoO"), (1, 0, 0), g_max=1.0)


TRUTH = {"lco_100_r17": "LiCoO2_O3", "co3o4_110_rm23": "Co3O4", "coo_110_r41": "CoO"}


@pytest.mark.parametrize("image", sorted(TRUTH))
def test_reflections_of_simulated_images_are_those_of_their_zone(image: str, shared_data: Path) -> None:
    (region,) = json.loads((shared_data / "hrtem" / "truth.json").read_text())[image]["regions"]
    pattern = zone_pattern(load_phase(TRUTH[image]), region["zone"], g_max=11.0, min_amplitude=0.0)
    ratios = []
    for truth in region["reflections"]:
        row = next((k for k, h in enumerate(pattern.hkl.tolist()) if h == truth["hkl"]), None)
        if row is not None:  # of each Friedel pair one is there
            assert 1.0 / np.linalg.norm(pattern.g[row]) == pytest.approx(truth["d_nm"], rel=1e-4)
            ratios.append((truth["F_kin"], pattern.amplitude[row]))
    theirs, ours = np.array(ratios).T
    assert len(ratios) == len(region["reflections"]) // 2
    strong = theirs > 0.1 * theirs.max()
    assert ours[strong] == pytest.approx(theirs[strong], rel=0.11)  # their atoms vibrate a little more
