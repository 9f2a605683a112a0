"""The simulation of micrographs against what is known without it: kinematic theory, energy, bonds, places of spots."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
from scipy.spatial import cKDTree

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "reference_data"))

from _generate import hrtem_crystals as crystals
from _generate import hrtem_multislice as multislice
from _generate import hrtem_scenes as scenes
from _generate import hrtem_streaked
from _generate.cases import checksums

SMALL = scenes.View(shape=(160, 192), pixel_nm=0.025, thickness_nm=14 * 0.15066, film_nm=0.0)


def thin(crystal: crystals.Crystal, cells: int, points: int) -> np.ndarray:
    """Return the wave behind one cell of a crystal along [001], commensurate with the grid."""
    length = crystal.a * cells
    grid = multislice.Grid(points, points, length / points)
    along = crystals.Orientation.of(crystal, (0, 0, 1), (1, 0, 0), 0.0)
    end = length - 1e-6
    atoms = crystals.fill(crystal, along, (0, 0, 0), (end, end, crystal.a - 1e-6), (0.01,) * 3)
    assert len(atoms.position) == len(crystal.atoms) * cells**2
    return multislice.exit_wave(atoms, grid, crystal.a, multislice.Microscope())


@pytest.mark.parametrize(("crystal", "cells"), [(crystals.COO, 6), (crystals.CO3O4, 3)])
def test_a_thin_crystal_scatters_as_kinematic_theory_says(crystal: crystals.Crystal, cells: int) -> None:
    wave = thin(crystal, cells, 192)
    scope = multislice.Microscope()
    spots = scipy.fft.fft2(wave) / wave.size
    for hkl in ((2, 2, 0), (4, 0, 0), (4, 4, 0)):
        g = np.array([np.linalg.norm(hkl) / crystal.a])
        total = sum(
            multislice.form_factor(element, g)[0] * np.exp(2j * np.pi * np.dot(hkl, place))
            for element, *place in crystal.atoms
        )
        kinematic = scope.gamma * scope.wavelength * abs(total) / crystal.a**2
        assert abs(spots[hkl[1] * cells, hkl[0] * cells]) == pytest.approx(kinematic, rel=0.02)
    assert np.abs(spots[cells, 0]) < 1e-3 * np.abs(spots[0, 4 * cells])


def test_no_electron_is_lost_but_beyond_the_band() -> None:
    for crystal, cells in ((crystals.COO, 6), (crystals.CO3O4, 3)):
        wave = thin(crystal, cells, 192)
        assert np.mean(np.abs(wave) ** 2) == pytest.approx(1.0, abs=1e-3)
    assert multislice.Microscope(kilovolt=300.0).wavelength == pytest.approx(0.019687, rel=1e-4)


def test_vacuum_is_one_and_counts_are_poisson() -> None:
    grid = multislice.Grid(64, 64, 0.2)
    nothing = multislice.Atoms(np.zeros((0, 3)), np.zeros(0, dtype="<U2"))
    scope = multislice.Microscope()
    image = multislice.expected_image(multislice.exit_wave(nothing, grid, 20.0, scope), grid, scope)
    assert np.allclose(image, 1.0)
    counts = multislice.detect(np.random.default_rng(0), image, 0.2, 1000.0, gain=10.0, dark=50.0)
    electrons = (counts.astype(float) - 50.0) / 10.0
    assert electrons.mean() == pytest.approx(40.0, abs=4 * np.sqrt(40.0 / 4096))
    assert electrons.var() == pytest.approx(40.0, rel=0.1)


@pytest.mark.parametrize(
    ("crystal", "bond"),
    [
        (crystals.LICOO2, 1.923),
        (crystals.COO, 2.131),
        (crystals.CO3O4, 1.92),
        (crystals.LICO2O4, 1.90),
        (crystals.LIF, 2.0135),
    ],
)
def test_bonds_of_the_crystals_are_those_of_their_structures(crystal: crystals.Crystal, bond: float) -> None:
    along = crystals.Orientation.random(np.random.default_rng(1))
    assert np.allclose(along.matrix @ along.matrix.T, np.eye(3))
    atoms = crystals.fill(crystal, along, (0, 0, 0), (25, 25, 25), (1.0, 2.0, 3.0))
    distances = cKDTree(atoms.position).query(atoms.position, k=2)[0][:, 1]
    inner = ((atoms.position > 4) & (atoms.position < 21)).all(axis=1)
    assert distances[inner].min() == pytest.approx(bond, abs=0.03)
    volume = abs(np.linalg.det(crystal.axes)) / len(crystal.atoms)
    assert len(atoms.position) * volume == pytest.approx(25.0**3, rel=0.03)


def test_no_two_atoms_of_the_amorphous_layer_touch() -> None:
    atoms = crystals.amorphous(np.random.default_rng(2), (0, 0, 0), (30, 30, 30))
    assert cKDTree(atoms.position).query(atoms.position, k=2)[0][:, 1].min() > 1.4
    assert len(atoms.position) == round(27000 * 0.085)


def test_spots_lie_where_the_truth_says_and_not_at_their_mirror_images() -> None:
    along = scenes.layered_along(12.0)
    rng = np.random.default_rng(3)
    image = scenes.photograph(rng, SMALL, scenes.single(rng, SMALL, crystals.LICOO2, along)).astype(float)
    y, x = SMALL.pixel_nm * np.mgrid[: image.shape[0], : image.shape[1]]
    taper = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])

    def amplitude(gx: float, gy: float) -> float:
        return float(abs(np.sum(taper * (image - image.mean()) * np.exp(-2j * np.pi * (gx * x + gy * y)))))

    for hkl in ((0, 0, 3), (0, 1, -4), (0, 1, 2)):
        gx, gy, gz = along.reflection(crystals.LICOO2, hkl)
        assert gz == pytest.approx(0.0, abs=1e-9)
        assert amplitude(gx, gy) > 4.0 * amplitude(gx, -gy)
    angle = np.degrees(np.arctan2(*along.reflection(crystals.LICOO2, (0, 0, 3))[1::-1]))
    assert angle == pytest.approx(12.0)


def test_twins_share_014_and_their_003_stand_69_6_degrees_apart() -> None:
    first = scenes.layered_along(10.0)
    shared = first.reflection(crystals.LICOO2, (0, 1, -4))
    second = first.mirrored(float(np.degrees(np.arctan2(shared[1], shared[0]))))
    assert second.reflection(crystals.LICOO2, (0, -1, 4)) == pytest.approx(shared)
    a, b = (o.reflection(crystals.LICOO2, (0, 0, 3)) for o in (first, second))
    between = np.degrees(np.arccos(abs(a @ b) / (np.linalg.norm(a) * np.linalg.norm(b))))
    assert between == pytest.approx(69.6, abs=0.1)


def test_layers_grow_on_each_other_with_their_close_packed_planes_in_common() -> None:
    layered, cubic = scenes.layered_along(-55.2), scenes.cubic_along(-55.2, crystals.CO3O4)
    for ours, theirs in (((0, 0, 3), (1, -1, -1)), ((0, -1, 4), (0, 0, -4))):
        a = layered.reflection(crystals.LICOO2, ours)
        b = cubic.reflection(crystals.CO3O4, theirs)
        assert np.degrees(np.arccos(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))) < 0.7


def test_layers_end_where_the_truth_says() -> None:
    layers = [
        scenes.Layer("vacuum", 1.0, 0.1),
        scenes.Layer("CoO", 2.5, 0.1, crystals.COO, scenes.cubic_along(17.0, crystals.COO)),
        scenes.Layer("amorphous", 3.5, 0.0),
        scenes.Layer("vacuum"),
    ]
    atoms, about = scenes.stack(np.random.default_rng(4), SMALL, layers)
    assert [a["kind"] for a in about] == ["vacuum", "CoO", "amorphous", "vacuum"]
    for before, after in pairwise(about):
        assert before["to_nm"] == after["from_nm"]
    metal = atoms.element == "Co"
    here = atoms.position[metal, 0] / 10.0 - (SMALL.margin - 0.5) * SMALL.pixel_nm
    assert here.min() == pytest.approx(about[1]["from_nm"], abs=0.4)
    count = about[1]["thickness_nm"] * SMALL.size[1] * SMALL.size[2] / 100.0 * 4000.0 / crystals.COO.a**3
    assert metal.sum() == pytest.approx(count, rel=0.05)
    assert atoms.position[:, 0].max() / 10.0 < 3.5 + SMALL.margin * SMALL.pixel_nm


def test_the_generator_makes_the_same_bytes_again(reference_data: Path) -> None:
    files = hrtem_streaked.build(only=("flat",))
    folder = reference_data / hrtem_streaked.NAME
    assert files["flat.tif"] == (folder / "flat.tif").read_bytes()


@pytest.mark.parametrize("case", ["hrtem_lco_coated", "hrtem_cei_rings", "hrtem_streaked"])
def test_the_files_of_a_case_are_those_that_were_drawn_and_small(reference_data: Path, case: str) -> None:
    folder = reference_data / case
    sums = (folder / "SHA256SUMS").read_text("ascii").splitlines()
    names = [line.split()[1] for line in sums]
    assert checksums({n: (folder / n).read_bytes() for n in names}).decode("ascii").splitlines() == sums
    assert all((folder / n).stat().st_size < 1_000_000 for n in names)
