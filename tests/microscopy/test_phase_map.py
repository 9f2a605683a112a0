from __future__ import annotations

import numpy as np
import pytest
from layerscope.microscopy.image import Image, Window
from layerscope.microscopy.layers.lockin import LockIn
from layerscope.microscopy.layers.maps import phase_map, regions
from layerscope.microscopy.layers.model import Kernel, Lattice, PhaseMap
from numpy.typing import NDArray

from layerscope.errors import DataError

from .scenes import FIRST, FOREIGN, PIXEL, SECOND, grid, speckle, waves

LATTICES = (Lattice.of("first", FIRST), Lattice.of("second", SECOND))
STRIPS = ("vacuum", "amorphous", "first", "second", "none")
WIDTH = 6.0


def strips() -> NDArray[np.float32]:
    """Vacuum, amorphous, first, second and a foreign lattice, 6 nm each, from left to right."""
    x, y = grid(200, 1200)
    part = (x // WIDTH).astype(int)
    image = np.random.default_rng(1).normal(0, 0.3, x.shape) + 0.5 * speckle(x.shape, 2) * (part > 0)
    for n, g in enumerate((FIRST, SECOND, FOREIGN)):
        image += np.where(part == n + 2, waves(g, x, y, n), 0.0)
    return (100 + 10 * image).astype(np.float32)


@pytest.fixture(scope="module")
def image() -> Image:
    return Image(strips(), (PIXEL, PIXEL))


@pytest.fixture(scope="module")
def phases(image: Image) -> PhaseMap:
    return phase_map(image, LATTICES, step_nm=0.5)


@pytest.mark.parametrize(("n", "name"), list(enumerate(STRIPS)))
def test_windows_show_what_stands_there_and_what_fits_nothing_is_none(phases: PhaseMap, n: int, name: str) -> None:
    inner = (phases.x > n * WIDTH + 1.6) & (phases.x < (n + 1) * WIDTH - 1.6)
    best = phases.best()[:, inner]
    right = np.mean(best[best >= 0] == phases.classes.index(name))
    assert right > (0.97 if name in ("first", "second", "none") else 0.85)


def test_probabilities_sum_to_one_and_windows_over_the_rim_are_not_assessed(phases: PhaseMap) -> None:
    known = np.isfinite(phases.contrast)
    assert np.allclose(phases.probability[known].sum(axis=-1), 1.0, atol=1e-5)
    assert np.isnan(phases.probability[~known]).all()
    assert not known[:, 0].any()
    assert (phases.best()[~known] == -1).all()


def test_two_workers_give_the_map_of_one(image: Image, phases: PhaseMap) -> None:
    again = phase_map(image, LATTICES, step_nm=0.5, workers=2)
    assert np.array_equal(again.probability, phases.probability, equal_nan=True)


def test_regions_have_the_areas_of_the_strips(phases: PhaseMap) -> None:
    found = regions(phases, least_nm2=2.0)
    for name in ("first", "second"):
        largest = next(r for r in found if r.phase == name)
        assert largest.share == pytest.approx(WIDTH / (1200 * PIXEL - 1.6), abs=0.08)
        left = STRIPS.index(name) * WIDTH
        assert largest.box_nm[0] == pytest.approx(left, abs=1.5)
        assert largest.box_nm[2] == pytest.approx(left + WIDTH, abs=1.5)
        assert largest.probability > 0.9
    assert sum(r.share for r in regions(phases)) == pytest.approx(1.0)


def test_a_window_of_vacuum_that_is_given_sets_the_level_where_the_camera_damps_noise(image: Image) -> None:
    transform = np.fft.rfft2(image.intensity)
    fy, fx = np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])
    damped = np.fft.irfft2(transform * np.exp(-(fx**2 + fy**2) / 0.25**2), s=image.shape).astype(np.float32)
    blurred = Image(damped, image.pixel_nm)
    given = phase_map(blurred, LATTICES, step_nm=0.8, vacuum=Window(20, 20, 160, 180))
    inner = (given.x > 1.6) & (given.x < WIDTH - 1.6)
    best = given.best()[:, inner]
    assert np.mean(best[best >= 0] == 0) > 0.85
    assert "VACUUM_BY_WHITE_NOISE" in phase_map(blurred, LATTICES, step_nm=0.8).flags
    assert not given.flags


def test_a_patch_of_the_transform_reads_what_a_window_moved_over_the_image_does() -> None:
    ny, nx, kernel = 90, 120, Kernel(0.5, 0.9, 25.0)
    pixel = (0.03, 0.02)
    values = np.random.default_rng(3).normal(5, 1, (ny, nx)).astype(np.float32)
    reader = LockIn(Image(values, pixel), kernel)
    g = np.array([(3.3, -1.7)])
    found = reader.amplitude(g, phase=True)[0]
    y, x = np.mgrid[:ny, :nx] + 0.5
    x, y = x * pixel[1], y * pixel[0]
    for j, i in ((5, 6), (len(reader.y) // 2, len(reader.x) // 2), (8, 3)):
        off = np.stack([x - reader.x[i], y - reader.y[j]], axis=-1) @ kernel.axes.T / kernel.sigma
        weight = np.exp(-0.5 * np.sum(off**2, axis=-1))
        wave = np.exp(-2j * np.pi * (g[0, 0] * x + g[0, 1] * y))
        expected = np.sum(weight * (values - values.mean()) * wave) / weight.sum()
        assert found[j, i] == pytest.approx(expected, abs=2e-3)


def test_a_lattice_takes_one_of_each_friedel_pair_and_is_turned_into_the_image() -> None:
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    lattice = Lattice.of("a", [(2.0, 0.0), (-2.0, 0.0), (0.0, 1.0)], [1.0, 1.0, 4.0], quarter)
    assert lattice.g.tolist() == [[1.0, 0.0], [0.0, 2.0]]
    assert lattice.weight.tolist() == [1.0, 0.25]


@pytest.mark.parametrize(
    ("values", "pixel", "message"),
    [
        (np.ones((200, 200)), 0.02, "constant"),
        (np.full((200, 200), np.nan), 0.02, "not finite"),
        (np.eye(30), 0.02, "smaller than the window"),
        (np.eye(200), 0.5, "too coarse"),
    ],
)
def test_images_that_cannot_be_mapped_are_refused(values: NDArray[np.float64], pixel: float, message: str) -> None:
    with pytest.raises(DataError, match=message):
        phase_map(Image(values.astype(np.float32), (pixel, pixel)), LATTICES)


def test_lattices_without_a_name_of_their_own_are_refused(image: Image) -> None:
    with pytest.raises(DataError, match="names of their own"):
        phase_map(image, (LATTICES[0], LATTICES[0]))


def test_an_image_of_vacuum_alone_is_vacuum() -> None:
    values = np.random.default_rng(5).poisson(200, (240, 240)).astype(np.float32)
    phases = phase_map(Image(values, (PIXEL, PIXEL)), LATTICES, step_nm=0.6)
    best = phases.best()
    assert np.mean(best[best >= 0] == 0) > 0.85
