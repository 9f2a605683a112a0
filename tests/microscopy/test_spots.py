from __future__ import annotations

import numpy as np
import pytest
from layerscope.microscopy.image import Image
from layerscope.microscopy.spots import find_rings, find_spots, spot_shapes
from numpy.typing import NDArray

from layerscope.errors import DataError

PX = 0.02
WAVES = np.array([[1.1, 2.2], [-2.9, 1.7], [0.4, 4.2]])


def window(rng: np.random.Generator, extent: float, amplitude: float, pixel: tuple[float, float] = (PX, PX)) -> Image:
    """Three waves over white noise of variance 1."""
    ny, nx = (round(extent / p) for p in pixel)
    y, x = np.arange(ny)[:, None] * pixel[0], np.arange(nx) * pixel[1]
    data = rng.normal(0.0, 1.0, (ny, nx))
    for gx, gy in WAVES:
        data += amplitude * np.cos(2 * np.pi * (gx * x + gy * y) + rng.uniform(0, 6.3))
    return Image(data.astype(np.float32), pixel)


def nearest(found: NDArray[np.float64]) -> NDArray[np.intp]:
    apart = np.hypot(*(found[None] - WAVES[:, None]).transpose(2, 0, 1))
    assert (apart.min(axis=1) < 0.2).all()
    return np.asarray(apart.argmin(axis=1))


@pytest.mark.parametrize(("extent", "amplitude"), [(2.0, 1.0), (4.0, 0.3)])
def test_places_reach_the_cramer_rao_bound_and_their_errors_hold(extent: float, amplitude: float) -> None:
    rng = np.random.default_rng(3)
    errors, pulls = [], []
    for _ in range(40):
        spots = find_spots(window(rng, extent, amplitude))
        at = nearest(spots.g)
        errors.append(spots.g[at] - WAVES)
        pulls.append(errors[-1] / np.sqrt(np.diagonal(spots.covariance[at], axis1=1, axis2=2)))
    bound = np.sqrt(24.0) / (amplitude * (extent / PX) ** 2) / (2 * np.pi) / PX
    assert 0.85 < np.sqrt(np.mean(np.square(errors))) / bound < 1.15
    assert 0.85 < np.sqrt(np.mean(np.square(pulls))) < 1.15


def test_pixels_that_are_not_square_and_holes_in_the_window_move_no_spot() -> None:
    rng = np.random.default_rng(4)
    pulls = []
    for _ in range(10):
        image = window(rng, 4.0, 0.5, (0.02, 0.031))
        valid = np.ones(image.shape, bool)
        valid[150:190, 20:90] = False
        image.intensity[~valid] = 400.0
        spots = find_spots(Image(image.intensity, image.pixel_nm, valid=valid))
        at = nearest(spots.g)
        pulls.append((spots.g[at] - WAVES) / np.sqrt(np.diagonal(spots.covariance[at], axis1=1, axis2=2)))
    assert 0.7 < np.sqrt(np.mean(np.square(pulls))) < 1.3


def test_the_transform_alone_places_spots_with_twice_the_error_and_says_so() -> None:
    rng = np.random.default_rng(5)
    image = window(rng, 6.0, 0.5)
    fitted, placed = find_spots(image), find_spots(image, refine=False)
    ratio = np.sqrt(np.trace(placed.covariance[nearest(placed.g)], axis1=1, axis2=2))
    ratio /= np.sqrt(np.trace(fitted.covariance[nearest(fitted.g)], axis1=1, axis2=2))
    assert ((ratio > 1.5) & (ratio < 2.4)).all()
    assert fitted.amplitude == pytest.approx([0.5, 0.5, 0.5], abs=0.03)


def test_without_a_pixel_size_the_same_spots_are_found_in_units_of_pixels() -> None:
    image = window(np.random.default_rng(9), 5.0, 0.5)
    spots = find_spots(Image(image.intensity, (1.0, 1.0)), band=(0.02, 0.45))
    at = nearest(spots.g / PX)
    assert spots.size == 3
    assert np.abs(spots.g[at] / PX - WAVES).max() < 0.01
    assert find_rings(Image(image.intensity, (1.0, 1.0)), band=(0.02, 0.45)).g.size == 0
    elongation, sigma = spot_shapes(image, find_spots(image)).mean_elongation()
    assert abs(elongation - 1.0) < 4.0 * sigma


def test_a_window_without_contrast_and_one_of_noise_alone_show_no_spot() -> None:
    for value in (7.0, 0.1):
        assert find_spots(Image(np.full((128, 128), value, np.float32), (PX, PX))).size == 0
    assert find_spots(Image(np.random.default_rng(6).normal(size=(128, 128)).astype(np.float32), (PX, PX))).size == 0


def test_lines_of_a_scan_that_jump_are_marked_and_not_the_lattice() -> None:
    rng = np.random.default_rng(7)
    image = window(rng, 6.0, 0.7)
    image.intensity[:] += rng.normal(0.0, 0.8, (image.shape[0], 1))
    spots = find_spots(image, false_alarm=0.05)
    assert not spots.on_streak[nearest(spots.g)].any()
    on_axis = np.abs(spots.g[:, 0]) < 0.3
    assert on_axis.any()
    assert spots.on_streak[on_axis].all()


@pytest.mark.parametrize(
    ("data", "pixel", "says"),
    [
        (np.full((64, 64), np.nan, np.float32), (PX, PX), "not finite"),
        (np.zeros((1, 4096), np.float32), (PX, PX), "too small"),
        (np.zeros((128, 128), np.float32), (0.3, 0.3), "too coarse"),
        (np.zeros((64, 64), np.float32), (0.0, 0.0), "pixel of 0"),
        (np.zeros((20, 20), np.float32), (0.01, 0.01), "too small"),
    ],
)
def test_what_shows_no_lattice_whatever_is_in_it_is_refused(
    data: NDArray[np.float32], pixel: tuple[float, float], says: str
) -> None:
    with pytest.raises(DataError, match=says):
        find_spots(Image(data, pixel))


def test_the_slanting_edge_of_a_film_to_vacuum_is_no_row_of_spots() -> None:
    rng = np.random.default_rng(10)
    y, x = np.mgrid[:320, :320] * PX
    counts = np.where(x * np.cos(0.83) + y * np.sin(0.83) > 4.1, 40.0, 52.0)
    spots = find_spots(Image(rng.poisson(counts).astype(np.float32), (PX, PX)), false_alarm=0.05)
    assert spots.size > 0
    assert spots.on_streak.all()


@pytest.mark.parametrize("seed", [0, 2, 7, 13, 20])
def test_noise_of_lines_of_a_scan_shows_no_spot_on_their_axis(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, (360, 360)) + rng.normal(0, 0.1, (360, 1))
    assert find_spots(Image(noise.astype(np.float32), (0.02, 0.02)), false_alarm=0.01).on_streak.all()
