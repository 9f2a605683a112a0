from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from layerscope.microscopy.image import Image
from layerscope.microscopy.layers.edges import Layers, measure_edges
from layerscope.microscopy.layers.model import Lattice
from layerscope.microscopy.layers.steps import fit_step
from numpy.typing import NDArray

from layerscope.errors import DataError

from .scenes import FIRST, PIXEL, SECOND, grid, speckle, waves

SKIN, BULK = Lattice.of("skin", FIRST), Lattice.of("bulk", SECOND)
NAMES = ("vacuum", "amorphous", "skin", "bulk")


def section(edges: tuple[float, float, float], turn: float = 0.0, rough: float = 0.0, seed: int = 0) -> Image:
    """Vacuum, amorphous film, skin and bulk; depths along the normal from the middle of the image."""
    x, y = grid(240, 560)
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    x0, y0 = 0.5 * 560 * PIXEL, 0.5 * 240 * PIXEL
    depth = (x - x0) * c + (y - y0) * s
    along = (y - y0) * c - (x - x0) * s
    depth = depth - rough * np.sqrt(2) * np.sin(2 * np.pi * along / 5.0)
    first, second, third = edges
    image = np.random.default_rng(seed).normal(0, 0.6, x.shape)
    image += speckle(x.shape, seed + 1) * ((depth > first) + 0.5 * (depth > second))
    image += np.where((depth > second) & (depth <= third), waves(FIRST, x, y, seed), 0.0)
    image += np.where(depth > third, waves(SECOND, x, y, seed + 1), 0.0)
    return Image((200 + 20 * image).astype(np.float32), (PIXEL, PIXEL))


def within(result: Layers, names: tuple[str, str], truth: float, nearest: float) -> bool:
    edge = next(e for e in result.edges if (e.outer, e.inner) == names)
    assert edge.position_nm == pytest.approx(truth, abs=nearest)
    return abs(edge.position_nm - truth) < 1.96 * edge.sigma_nm


def test_edges_and_thickness_come_back_within_their_intervals() -> None:
    result = measure_edges(section((-3.6, -1.1, 2.0)), ("vacuum", "amorphous", SKIN, BULK), normal_deg=0.0)
    assert within(result, ("vacuum", "amorphous"), -3.6, 0.15)
    assert within(result, ("amorphous", "skin"), -1.1, 0.15)
    assert within(result, ("skin", "bulk"), 2.0, 0.15)
    film, skin = result.layers
    assert film.present
    assert film.thickness_nm == pytest.approx(2.5, abs=1.96 * film.sigma_nm)
    assert skin.thickness_nm == pytest.approx(3.1, abs=1.96 * skin.sigma_nm)
    assert not result.flags


@pytest.mark.parametrize("turn", [173.0, 9.0])
def test_the_normal_is_found_with_its_sign(turn: float) -> None:
    result = measure_edges(section((-3.6, -1.6, 2.0), turn), ("vacuum", "amorphous", SKIN, BULK))
    off = (result.normal_deg - turn + 180) % 360 - 180
    assert abs(off) < 2.0 * result.normal_sigma_deg + 0.2
    assert within(result, ("skin", "bulk"), 2.0, 0.15)


def test_a_layer_that_is_not_there_is_not_invented_but_limited() -> None:
    result = measure_edges(section((-3.0, -3.0, -3.0)), ("vacuum", "amorphous", SKIN, BULK), normal_deg=0.0)
    assert [(e.outer, e.inner) for e in result.edges] == [("vacuum", "bulk")]
    assert within(result, ("vacuum", "bulk"), -3.0, 0.15)
    for layer in result.layers:
        assert not layer.present
        assert 0.0 < layer.limit_nm < 1.0
        assert np.isnan(layer.thickness_nm)


def test_roughness_is_what_is_left_without_noise() -> None:
    told = ("vacuum", "amorphous", SKIN, BULK)
    flat, rough = (measure_edges(section((-3.6, -1.1, 2.0), 0.0, r), told, normal_deg=0.0) for r in (0.0, 0.3))
    assert flat.edges[-1].roughness_nm < 0.08
    # A window of 2 nm leaves 0.57 of a wave of 5 nm.
    assert rough.edges[-1].roughness_nm == pytest.approx(0.57 * 0.3, abs=0.08)
    assert within(rough, ("skin", "bulk"), 2.0, 0.15)


def test_the_course_of_a_film_on_a_crystal_is_followed_where_short_windows_show_nothing_of_the_crystal_alone() -> None:
    """Every reflection of the skin stands 0.25 /nm along the surface from one of the bulk: 5 nm tell them, 2 do not."""
    x, y = grid(240, 560)
    like, wave = SECOND + np.array([0.0, 0.25]), 0.25 * np.sqrt(2)
    depth = x - 7.0 - wave * np.sin(2 * np.pi * (y - 3.0) / 5.0)
    film = speckle(x.shape, 1) * ((depth > -3.6) + 0.5 * (depth > -1.0))
    image = np.random.default_rng(0).normal(0, 0.6, x.shape) + film
    image += np.where((depth > -1.0) & (depth <= 2.0), waves(like, x, y, 2), 0.0)
    image += np.where(depth > 2.0, waves(SECOND, x, y, 3), 0.0)
    told = ("vacuum", "amorphous", Lattice.of("skin", like), BULK)
    result = measure_edges(Image((200 + 20 * image).astype(np.float32), (PIXEL, PIXEL)), told, normal_deg=0.0)
    edge = next(e for e in result.edges if e.inner == "skin")
    assert within(result, ("amorphous", "skin"), -1.0, 0.15)
    # A window of 2 nm leaves 0.57 of a wave of 5 nm; at the rim of the image it sees one side of it only.
    course = -1.0 + 0.57 * wave * np.sin(2 * np.pi * edge.along / 5.0)
    assert np.abs(edge.positions - course)[1:-1].max() < 0.15
    assert edge.roughness_nm == pytest.approx(0.57 * 0.25, abs=0.08)


def test_an_edge_that_a_lens_displaces_for_fine_waves_is_placed_by_coarse_ones_and_not_said_to_be_sharp() -> None:
    """The two finer waves begin 0.4 and 1 nm outside the crystal; the coarsest, which is weak, begins where it does."""
    x, y = grid(240, 560)
    g = np.array([(4.0, 0.9), (1.5, 4.5), (5.2, 4.1)])
    image = np.random.default_rng(0).normal(0, 0.6, x.shape) + speckle(x.shape, 1) * (x - 7.0 > -2.0)
    for wave, height, displaced in zip(g, (0.7, 1.5, 1.0), (0.0, 0.4, 1.0), strict=True):
        image += height * np.where(x - 7.0 > -2.0 - displaced, waves(wave[None], x, y, 2), 0.0)
    told = ("vacuum", Lattice.of("bulk", g))
    (edge,) = measure_edges(Image((200 + 20 * image).astype(np.float32), (PIXEL, PIXEL)), told, normal_deg=0.0).edges
    assert abs(edge.position_nm + 2.0) < min(1.96 * edge.sigma_nm, 0.25)
    assert edge.sigma_nm > 0.1


def test_a_coarse_wave_that_only_a_wide_window_tells_from_the_bulk_places_an_edge_that_fine_ones_see_elsewhere() -> (
    None
):
    x, y = grid(240, 560)
    coarse, fine = np.array([[4.0, 0.9]]), np.array([[2.0, 6.6]])
    bulk = np.array([(5.75, 0.9), (1.2, 3.0), (2.8, -1.9)])
    depth = x - 7.0
    image = np.random.default_rng(0).normal(0, 0.6, x.shape) + speckle(x.shape, 1) * (depth > -4.0)
    image += np.where((depth > -2.0) & (depth <= 1.5), waves(coarse, x, y, 2), 0.0)
    image += np.where((depth > -2.9) & (depth <= 1.5), 1.5 * waves(fine, x, y, 3), 0.0)
    image += np.where(depth > 1.5, waves(bulk, x, y, 4), 0.0)
    told = ("vacuum", "amorphous", Lattice.of("skin", np.concatenate([coarse, fine])), Lattice.of("bulk", bulk))
    result = measure_edges(Image((200 + 20 * image).astype(np.float32), (PIXEL, PIXEL)), told, normal_deg=0.0)
    assert within(result, ("amorphous", "skin"), -2.0, 0.15)


def test_one_phase_alone_shows_no_edge() -> None:
    x, y = grid(240, 320)
    image = Image((100 + 10 * waves(SECOND, x, y) + speckle(x.shape, 1)).astype(np.float32), (PIXEL, PIXEL))
    with pytest.raises(DataError, match="no edge"):
        measure_edges(image, ("vacuum", "amorphous", SKIN, BULK), normal_deg=0.0)
    with pytest.raises(DataError, match="no edge"):
        measure_edges(image, ("vacuum", "amorphous", SKIN, BULK))


@pytest.mark.parametrize("told", [("vacuum",), ("vacuum", "vacuum"), ("vacuum", "unknown")])
def test_orders_of_layers_that_mean_nothing_are_refused(told: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="layers are two or more"):
        measure_edges(section((-3.6, -1.1, 2.0)), told)


def test_a_strip_too_narrow_for_a_window_is_refused() -> None:
    image = Image(np.random.default_rng(1).normal(0, 1, (4, 4096)).astype(np.float32), (PIXEL, PIXEL))
    with pytest.raises(DataError, match=r"smaller than the window|window too small"):
        measure_edges(image, ("vacuum", "amorphous", SKIN, BULK), normal_deg=0.0)


def steps(position: NDArray[np.float64], width: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from scipy.special import ndtr

    depth = np.arange(-4, 4.01, 0.05)
    return depth, 0.3 + 2.0 * ndtr((depth - position[:, None]) / width)


def test_a_step_is_placed_between_the_points_it_is_read_at() -> None:
    truth = np.array([-0.213, 0.0, 0.347])
    depth, profile = steps(truth, 0.25)
    found = fit_step(depth, profile, 0.1, 1.2, 0.2)
    assert found.position == pytest.approx(truth, abs=0.01)
    assert found.height == pytest.approx(2.0, abs=0.05)
    falling = fit_step(depth, 3.0 - profile, 0.1, 1.2, 0.2, falling=True)
    assert falling.position == pytest.approx(truth, abs=0.01)


def test_a_step_near_the_rim_of_the_image_is_placed_by_what_is_left_of_its_range() -> None:
    depth, profile = steps(np.array([-2.5, -2.5, -2.6]), 0.25)
    profile[:, depth < -3.5] = np.nan
    assert fit_step(depth, profile, -2.8, 1.8, 0.2).position == pytest.approx([-2.5, -2.5, -2.6], abs=0.01)


def test_where_nothing_steps_no_step_is_placed() -> None:
    depth = np.arange(-4, 4.01, 0.05)
    found = fit_step(depth, np.array([np.full(depth.size, np.nan), np.zeros(depth.size)]), 0.0, 1.2, 0.2)
    assert np.isnan(found.position).all()


def test_edges_of_the_simulated_section_are_right_to_0_15_nm_and_their_intervals_hold_the_truth(
    shared_data: Path,
) -> None:
    tifffile = pytest.importorskip("tifffile")
    folder = shared_data / "hrtem"
    truth = json.loads((folder / "truth.json").read_text())["composite_vac_am3_rs3_layered"]
    pixel = truth["px_true_nm"]
    values = tifffile.imread(folder / "composite_vac_am3_rs3_layered.tif").astype(np.float32)
    lattices = [
        Lattice.of(
            part["phase"],
            [(r["gx"], r["gy"]) for r in part["reflections"]],
            [r["F_kin"] * np.exp(-((r["gx"] ** 2 + r["gy"] ** 2) / 49)) for r in part["reflections"]],
        )
        for part in truth["regions"][2:]
    ]
    result = measure_edges(Image(values, (pixel, pixel)), ("vacuum", "amorphous", *lattices))
    normal = np.array([np.cos(np.radians(result.normal_deg)), np.sin(np.radians(result.normal_deg))])
    assert normal[0] > 0.999
    for edge, place in zip(result.edges, (4.0, 7.0, 10.0), strict=True):
        found = result.middle_nm[0] + edge.position_nm * normal[0]
        assert found == pytest.approx(place, abs=0.15)
        assert abs(found - place) < 1.96 * edge.sigma_nm
