"""Spots, their shapes, rings and speckle of images of known content, simulated and real."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from layerscope.microscopy.image import Image, Window
from layerscope.microscopy.readers import read_image
from layerscope.microscopy.spots import crystallinity, find_rings, find_spots, spot_shapes

pytest.importorskip("rsciio", reason="rosettasciio is not installed (pip install 'layerscope[em]')")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from hrtem_windows_simulation import counting, speckle


@pytest.fixture
def files(shared_data: Path) -> Path:
    return shared_data / "hrtem"


def of_file(path: Path, pixel_nm: float) -> Image:
    return read_image(path, pixel_nm=pixel_nm)


@pytest.mark.parametrize(("name", "pixel_nm"), [("amorphous_only.tif", 0.021), ("ucam_soot_HRTEM.tif", 0.02)])
def test_amorphous_carbon_and_soot_are_no_crystals(files: Path, name: str, pixel_nm: float) -> None:
    image = of_file(files / name, pixel_nm)
    assert find_spots(image).size == 0
    assert find_rings(image).g.size == 0
    speckled = crystallinity(image)
    assert abs(speckled.crystallinity) < 0.03
    assert speckled.crystallinity < 4.0 * speckled.crystallinity_sigma


def test_rings_of_lithium_fluoride_give_the_scale_to_three_parts_in_a_thousand(files: Path) -> None:
    rings = find_rings(of_file(files / "lif_nanopoly_rings.tif", 0.024))
    true = 1.0 / np.array([0.23246, 0.20131, 0.14235, 0.1214, 0.11623])
    nearest = true[np.abs(rings.g[:, None] - true).argmin(axis=1)]
    assert rings.g.size >= 4
    assert (np.abs(rings.g - nearest) < 3.0 * rings.g_sigma).all()
    weight = (nearest / rings.g_sigma) ** 2
    assert (weight * rings.g / nearest).sum() / weight.sum() == pytest.approx(1.0, abs=3e-3)


def test_rings_of_a_borate_are_told_from_the_amorphous_halo_below(reference_data: Path) -> None:
    rings = find_rings(of_file(reference_data / "hrtem_cei_rings" / "cei.tif", 0.028))
    for d in (0.50385, 0.29317, 0.2325, 0.20135, 0.14238):
        k = int(np.abs(rings.g * d - 1.0).argmin())
        assert rings.g[k] == pytest.approx(1.0 / d, rel=8e-3)
        assert abs(rings.g[k] - 1.0 / d) < 3.0 * rings.g_sigma[k]


def test_both_grains_of_graphene_are_seen_thirty_degrees_apart(files: Path) -> None:
    spots = find_spots(of_file(files / "hambach_graphene_defect_raw.tif", 0.02))
    assert spots.size == 6
    assert not spots.on_streak.any()
    angles = np.sort(np.degrees(np.arctan2(*spots.g.T[::-1])) % 180.0)
    apart = np.diff(np.append(angles, angles[0] + 180.0))
    assert ((apart > 27.0) & (apart < 33.0)).all()
    assert 29.0 < np.mean(angles[1::2] - angles[::2]) < 31.0


def test_all_spots_of_strontium_titanate_lie_on_one_lattice(files: Path) -> None:
    spots = find_spots(read_image(files / "atomap_ADF_cropped.hdf5", pixel_nm=0.00932627))
    basis = np.array([spots.g[np.abs(np.hypot(*spots.g.T) - g).argmin()] for g in (2.561, 3.622)])
    order = spots.g @ np.linalg.inv(basis)
    assert spots.size >= 12
    assert np.abs(order - np.rint(order)).max() < 0.03
    assert np.hypot(*basis.T) == pytest.approx([2.561, 3.622], rel=0.01)
    assert not spots.on_streak.any()


def test_streaks_of_a_scan_are_marked_and_its_lattice_is_not(files: Path) -> None:
    spots = find_spots(read_image(files / "ncem_16_STOimage_1.ser"))
    order = spots.g / 2.48
    lattice = np.abs(order - np.rint(order)).max(axis=1) < 0.08
    assert lattice[:6].all()
    assert not spots.on_streak[:6].any()
    assert spots.on_streak[~lattice].all()
    assert (~lattice).sum() > 8


def test_slipped_slabs_lengthen_their_spots_along_c_and_flat_ones_do_not(reference_data: Path) -> None:
    folder = reference_data / "hrtem_streaked"
    means = {}
    for name in ("flat", "slipped"):
        image = of_file(folder / f"{name}.tif", 0.02)
        spots = find_spots(image)
        shapes = spot_shapes(image, spots)
        means[name] = shapes.mean_elongation()
        strong = spots.power > 2e4
        basal = np.abs(np.cos(np.arctan2(*spots.g.T[::-1]) - np.radians(20.0))) > 0.99
        assert (np.abs(shapes.elongation - 1.0)[strong & basal] < 4.0 * shapes.elongation_sigma[strong & basal]).all()
    assert (shapes.elongation - 1.0)[strong & ~basal].min() > 5.0 * shapes.elongation_sigma[strong & ~basal].max()
    assert np.abs(shapes.direction_deg[strong & ~basal] - 20.0).max() < 5.0
    (flat, flat_sigma), (slipped, slipped_sigma) = means["flat"], means["slipped"]
    assert flat == pytest.approx(1.0, abs=0.01)
    assert slipped - flat > 5.0 * np.hypot(flat_sigma, slipped_sigma)


def test_turned_grains_spread_a_spot_along_its_arc_by_their_own_spread() -> None:
    rng = np.random.default_rng(3)
    n, pixel, spread = 500, 0.02, np.radians(1.5)
    y, x = np.arange(n)[:, None] * pixel, np.arange(n) * pixel
    # the direction turns smoothly from left to right, its standard deviation over the tapered window known
    turn = spread * np.sqrt(2.0) * np.sin(4 * np.pi * x / (n * pixel))
    phase = 2 * np.pi * 3.0 * y + 2 * np.pi * 3.0 * np.cumsum(-turn) * pixel + 0 * x
    image = Image((np.cos(phase) + rng.normal(0.0, 1.0, (n, n))).astype(np.float32), (pixel, pixel))
    spots = find_spots(image)
    shapes = spot_shapes(image, spots)
    assert shapes.arc_deg[0] == pytest.approx(np.degrees(spread), rel=0.1)
    assert shapes.radial[0] < 0.005


@pytest.mark.parametrize("draw", [speckle, counting])
def test_astigmatic_speckle_and_bare_counts_show_spots_as_rarely_as_stated(draw: object) -> None:
    rng = np.random.default_rng(8)
    alarms = 0
    for extent in np.linspace(2.0, 6.0, 40):
        data = draw(rng, int(extent / 0.02), 0.02)  # type: ignore[operator]
        alarms += find_spots(Image(data.astype(np.float32), (0.02, 0.02)), refine=False).size > 0
    assert alarms <= 3  # one window in a hundred is stated: four of forty have a probability of 1e-3


@pytest.mark.parametrize("extent", [2.0, 2.6, 5.0])
def test_small_amorphous_windows_show_no_ring(extent: float) -> None:
    data = speckle(np.random.default_rng(12), int(extent / 0.02), 0.02)
    assert find_rings(Image(data.astype(np.float32), (0.02, 0.02))).g.size == 0


def test_a_constant_window_is_no_crystal_and_has_no_ring() -> None:
    image = Image(np.full((128, 128), 3.0, np.float32), (0.02, 0.02))
    assert find_rings(image).g.size == 0
    assert crystallinity(image).crystallinity == 0.0
    assert spot_shapes(image, find_spots(image)).mean_elongation() == (1.0, np.inf)


@pytest.mark.parametrize("extent", [2.5, 4.0])
@pytest.mark.parametrize("name", ["lco_100_r17", "co3o4_110_rm23", "coo_110_r41"])
def test_small_windows_of_crystals_show_their_reflections_where_they_are(files: Path, name: str, extent: float) -> None:
    truth = json.loads((files / "truth.json").read_text())[name]
    pixel = truth["px_true_nm"]
    true = np.array([[r["gx"], r["gy"]] for r in truth["regions"][0]["reflections"]])
    image = of_file(files / f"{name}.tif", pixel)
    n = int(extent / pixel)
    pulls, strange, count = [], 0, 0
    for corner in (0, 512 - n):
        spots = find_spots(image.cut(Window(corner, corner, n, n)))
        assert np.count_nonzero(spots.on_streak) <= 1
        apart = np.hypot(*(spots.g[:, None] - true).transpose(2, 0, 1))
        known = apart.min(axis=1) < 0.5 / extent
        strange, count = strange + np.count_nonzero(~known), count + spots.size
        error = (spots.g - true[apart.argmin(axis=1)])[known]
        pulls.append(error / np.sqrt(np.diagonal(spots.covariance[known], axis1=1, axis2=2)))
    assert count >= 12
    assert strange <= 4  # a truncated crystal shows forbidden spots
    assert np.sqrt(np.mean(np.square(np.concatenate(pulls)))) < 1.4
