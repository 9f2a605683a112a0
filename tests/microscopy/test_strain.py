from __future__ import annotations

import numpy as np
import pytest
from layerscope.microscopy.image import Image, Window
from layerscope.microscopy.layers.maps import phase_map
from layerscope.microscopy.layers.model import Kernel, Lattice
from layerscope.microscopy.layers.strain import Strain, bragg_filtered, strain
from numpy.typing import NDArray

from layerscope.errors import DataError

from .scenes import FIRST, PIXEL, SECOND, grid, waves

G = np.array([(3.1, 1.2), (-1.0, 3.4)])
SHAPE = (400, 480)


def picture(values: NDArray[np.float64], noise: float = 0.0, pixel: tuple[float, float] = (PIXEL, PIXEL)) -> Image:
    values = values + np.random.default_rng(4).normal(0, noise, values.shape) if noise else values
    return Image((100 + 10 * values).astype(np.float32), pixel)


def inner(found: Strain, part: NDArray[np.float64], margin: float = 1.2) -> NDArray[np.float64]:
    """Away from the rim of the image."""
    x, y = np.meshgrid(found.x, found.y)
    x0, y0, x1, y1 = 0.0, 0.0, SHAPE[1] * PIXEL, SHAPE[0] * PIXEL
    return part[(x > x0 + margin) & (x < x1 - margin) & (y > y0 + margin) & (y < y1 - margin)]


@pytest.mark.parametrize("told", [G, G * 1.01, G @ np.array([[1.0, 0.008], [-0.008, 1.0]])])
def test_a_perfect_lattice_shows_no_strain_even_if_its_vectors_are_told_wrongly(told: NDArray[np.float64]) -> None:
    found = strain(picture(waves(G, *grid(*SHAPE))), told)
    for part in (found.exx, found.eyy, found.exy):
        assert np.abs(inner(found, part)).max() < 1e-3
    assert np.abs(inner(found, found.rotation_deg)).max() < 0.05
    assert found.reference == pytest.approx(G, abs=1e-3)
    assert not found.flags


def test_a_step_of_two_percent_comes_back_with_its_sign_and_on_its_axis() -> None:
    x, y = grid(*SHAPE)
    middle = 0.5 * SHAPE[1] * PIXEL
    # Right of the middle the lattice is 2 % longer along x: the wave runs slower.
    stretched = np.where(x > middle, middle + (x - middle) / 1.02, x)
    found = strain(picture(waves(G, stretched, y)), G, reference=Window(0, 0, SHAPE[0], 200))
    right = found.x > middle + 1.5
    rows = (found.y > 1.2) & (found.y < SHAPE[0] * PIXEL - 1.2)
    part = np.ix_(rows, right & (found.x < SHAPE[1] * PIXEL - 1.2))
    assert np.abs(found.exx[part] - 0.02).max() < 0.001
    assert np.abs(found.eyy[part]).max() < 0.001
    left = np.ix_(rows, (found.x < middle - 1.5) & (found.x > 1.2))
    assert np.abs(found.exx[left]).max() < 0.001


def test_strain_is_given_across_and_along_a_surface() -> None:
    x, y = grid(*SHAPE)
    c, s = np.cos(np.radians(30)), np.sin(np.radians(30))
    across, along = (x * c + y * s) / 1.02, y * c - x * s
    found = strain(picture(waves(G, across * c - along * s, across * s + along * c)), G, reference=G, axis_deg=30.0)
    assert inner(found, found.exx) == pytest.approx(0.02, abs=5e-4)
    assert inner(found, found.eyy) == pytest.approx(0.0, abs=5e-4)
    assert inner(found, found.exy) == pytest.approx(0.0, abs=5e-4)


def test_a_turned_lattice_is_turned_and_not_strained() -> None:
    x, y = grid(*SHAPE)
    c, s = np.cos(np.radians(2)), np.sin(np.radians(2))
    turned = picture(waves(G, x * c + y * s, y * c - x * s))
    found = strain(turned, G, reference=G)
    assert inner(found, found.rotation_deg) == pytest.approx(2.0, abs=0.02)
    assert np.abs(inner(found, found.exx)).max() < 1e-3
    assert np.abs(inner(found, found.exy)).max() < 1e-3


def test_a_lattice_stretched_by_half_against_a_reference_is_so_exactly() -> None:
    x, y = grid(*SHAPE)
    found = strain(picture(waves(G, x / 1.5, y)), G @ np.diag([1 / 1.5, 1.0]), reference=G)
    assert inner(found, found.exx) == pytest.approx(0.5, abs=1e-3)
    assert inner(found, found.eyy) == pytest.approx(0.0, abs=1e-3)


def test_a_part_stretched_by_half_is_another_lattice_and_gets_no_number() -> None:
    x, y = grid(*SHAPE)
    middle = 0.5 * SHAPE[1] * PIXEL
    stretched = np.where(x > middle, middle + (x - middle) / 1.5, x)
    found = strain(picture(waves(G, stretched, y)), G, reference=Window(0, 0, SHAPE[0], 200))
    assert np.isnan(found.exx[:, found.x > middle + 0.8]).all()
    assert "STRAIN_ACROSS_PHASES" in found.flags
    rows = (found.y > 1.2) & (found.y < SHAPE[0] * PIXEL - 1.2)
    sure = found.exx[np.ix_(rows, (found.x > 1.2) & (found.x < middle - 2.0))]
    assert np.abs(sure).max() < 1e-3
    assert found.changes[:, np.abs(found.x - middle) < 0.5].all()


def test_it_warns_where_the_phase_changes_though_the_waves_go_on() -> None:
    x, y = grid(*SHAPE)
    middle = 0.5 * SHAPE[1] * PIXEL
    # Both share the two waves that are read; the second has others besides.
    values = waves(G, x, y) + np.where(x > middle, waves(SECOND, x, y), 0.0)
    image = picture(values, 0.3)
    lattices = (Lattice.of("first", G), Lattice.of("second", np.concatenate([G, SECOND])))
    phases = phase_map(image, lattices, kernel=Kernel(1.5, 1.5), step_nm=0.5)
    window = Window(0, 0, SHAPE[0], 180)
    alone, warned = strain(image, G, reference=window), strain(image, G, reference=window, phases=phases)
    assert "STRAIN_ACROSS_PHASES" in warned.flags
    assert not alone.flags
    assert warned.changes[:, np.abs(warned.x - middle) < 0.4].mean() > 0.9
    assert np.isnan(warned.exx[:, warned.x > middle + 1.5]).mean() > 0.9


def test_the_stated_error_is_that_of_noise() -> None:
    image = picture(waves(G, *grid(*SHAPE)), 2.0)
    found = strain(image, G, reference=G, width_nm=1.5)
    pulls = np.stack([inner(found, found.exx), inner(found, found.eyy)]) / inner(found, found.sigma)
    assert 0.6 < np.sqrt(np.mean(pulls**2)) < 1.2


def test_pixels_that_are_no_squares_do_not_strain_a_lattice() -> None:
    y, x = np.mgrid[:400, :480] + 0.5
    x, y = x * 0.02, y * 0.03
    found = strain(picture(waves(G, x, y), pixel=(0.03, 0.02)), G)
    keep = (found.y[:, None] > 1.2) & (found.y[:, None] < 10.8) & (found.x > 1.2) & (found.x < 8.4)
    assert np.abs(found.exx[keep]).max() < 1e-3
    assert np.abs(found.eyy[keep]).max() < 1e-3


def test_what_cannot_be_strained_is_refused() -> None:
    image = picture(waves(G, *grid(*SHAPE)), 0.5)
    with pytest.raises(DataError, match="on one line"):
        strain(image, [G[0], 2 * G[0]])
    with pytest.raises(DataError, match="not seen"):
        strain(image, FIRST[:2])
    with pytest.raises(DataError, match="no whole window"):
        strain(image, G, reference=Window(0, 0, 4, 4))
    with pytest.raises(DataError, match="smaller than the window"):
        strain(image, G, width_nm=40.0)


def test_an_image_of_one_lattice_holds_its_waves_alone() -> None:
    x, y = grid(*SHAPE)
    own = waves(FIRST, x, y)
    filtered = bragg_filtered(picture(own + waves(SECOND, x, y, 1)), FIRST, width_nm=2.0)
    inside = np.s_[100:-100, 100:-100]
    assert filtered.shape == SHAPE
    assert filtered[inside] == pytest.approx(10 * own[inside], abs=0.5)
