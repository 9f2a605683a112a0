"""Phases are ranked by their probability, and what is none of them is said to be none."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from layerscope.microscopy.image import Scale
from layerscope.microscopy.indexing import Library, index_spots, library_of
from layerscope.microscopy.spots import Spots, find_spots

from layerscope.crystals import Phase, Site, load_phase

NAMES = {
    "LiCoO2_O3": "LiCoO2",
    "Co3O4": "Co3O4",
    "CoO": "CoO",
    "LiF": "LiF",
    "Li2MnO3": "Li2MnO3",
    "Li2CO3": "Li2CO3",
}


def strontium_titanate() -> Phase:
    sites = (Site("Sr", "Sr", 0.5, 0.5, 0.5), Site("Ti", "Ti", 0.0, 0.0, 0.0), Site("O", "O", 0.5, 0.0, 0.0))
    return Phase("SrTiO3", "P m -3 m", (3.905, 3.905, 3.905, 90.0, 90.0, 90.0), sites)


@cache
def library(*more: str) -> Library:
    phases = [load_phase(file, name=name) for file, name in NAMES.items()]
    return library_of([*phases, *([strontium_titanate()] if "SrTiO3" in more else [])])


def spot_list(g: np.ndarray, power: np.ndarray | float = 1e4, sigma: float = 0.006, window: float = 8.0) -> Spots:
    """Spots at given places, strongest first; each in the upper half plane."""
    g = np.where(((g[:, 1] < 0) | ((g[:, 1] == 0) & (g[:, 0] < 0)))[:, None], -g, g)
    strength = np.broadcast_to(np.asarray(power, float), len(g))
    order = np.argsort(-strength, kind="stable")
    ones = np.ones(len(g))
    return Spots(
        g=g[order],
        covariance=np.eye(2) * sigma**2 * ones[:, None, None],
        amplitude=np.sqrt(strength[order]),
        power=strength[order],
        band=(1.6, 9.0),
        window_nm=(window, window),
        false_alarm=0.01,
        passband=9.0,
        on_streak=np.zeros(len(g), bool),
    )


def turned(g: np.ndarray, degrees: float, factor: float = 1.0) -> np.ndarray:
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return factor * g @ matrix.T


def rocksalt_110(a_nm: float) -> np.ndarray:
    """111, 1-1-1, 002, 220, 113 and 222 of a rocksalt along [1 -1 0]; x along 110, y along 001."""
    s = np.sqrt(2.0)
    indices = [(s, 1), (-s, 1), (0, 2), (2 * s, 0), (s, 3), (-s, 3), (2 * s, 2), (-2 * s, 2)]
    return np.array(indices) / a_nm


ROCKSALT_POWER = np.array([3e3, 3e3, 1e4, 6e3, 5e2, 5e2, 1e3, 1e3])


def layered_100(a_nm: float, c_nm: float) -> np.ndarray:
    """00l and 01l of LiCoO2 along [1 0 0]; x along c*, and 01l at k*/2-spaced heights."""
    b = 2 / (np.sqrt(3) * a_nm)
    axis = [(3 / c_nm, 0), (6 / c_nm, 0), (9 / c_nm, 0)]
    return np.array(axis + [(ell / c_nm, b) for ell in (1, -2, 4, -5, 7, -8)])


def test_rocksalt_is_named_with_its_zone_axis_whatever_its_orientation() -> None:
    for degrees in (0.0, 41.0, 133.0):
        ranking = index_spots(spot_list(turned(rocksalt_110(0.42612), degrees), ROCKSALT_POWER), library(), Scale())
        assert ranking.first.name == "CoO [1 1 0]"
        assert {c.phase for c in ranking.ambiguity_set} >= {"CoO"}


def test_two_rocksalts_are_told_apart_by_the_scale_alone() -> None:
    spots = spot_list(turned(rocksalt_110(0.4027), 20.0), ROCKSALT_POWER)
    wide, sharp = (index_spots(spots, library(), Scale(sd=sd, shear_sd=0.003)) for sd in (0.06, 0.003))
    assert {"CoO", "LiF"} <= {candidate.phase for candidate in wide.ambiguity_set}
    assert "calibration" in wide.would_decide
    assert sharp.first.name == "LiF [1 1 0]"
    assert sharp.first.probability > wide.by_phase()["LiF"]


def test_the_lattice_is_that_of_the_zone_and_neither_a_harmonic_nor_a_pair_of_arbitrary_spots() -> None:
    ranking = index_spots(spot_list(layered_100(0.28156, 1.40542), 1e3), library(), Scale())
    assert ranking.first.name == "LiCoO2 [1 0 0]"
    lattice = ranking.first.lattice
    assert lattice is not None
    assert abs(np.linalg.det(lattice)) == pytest.approx(3 / 1.40542 * 2 / (np.sqrt(3) * 0.28156), rel=0.01)
    harmonic = index_spots(spot_list(rocksalt_110(0.42612)[2:], 1e3), library(), Scale())
    assert harmonic.first.phase != "another lattice"


def test_a_lattice_that_is_not_in_the_library_is_called_another_lattice() -> None:
    a, b = np.array([2.75, 0.3]), np.array([0.9, 3.37])
    points = [(1, 0), (0, 1), (1, 1), (-1, 1), (2, 0), (0, 2), (2, 1), (-1, 2)]
    ranking = index_spots(spot_list(np.array([h * a + k * b for h, k in points])), library(), Scale())
    assert ranking.first.phase == "another lattice"
    assert not ranking.indexable
    assert "not in the library" in ranking.reasons[0]


def test_spots_without_any_order_are_no_phase() -> None:
    rng = np.random.default_rng(7)
    for _ in range(5):
        g = rng.uniform(1.7, 8.0, 3)[:, None] * np.exp(1j * rng.uniform(0, np.pi, 3))[:, None]
        ranking = index_spots(spot_list(np.c_[g.real, g.imag], 14.0), library(), Scale())
        assert not ranking.ambiguity_set[0].in_set or ranking.first.probability < 0.9 or ranking.first.is_none


def test_no_spot_is_no_lattice_with_its_reason() -> None:
    ranking = index_spots(spot_list(np.zeros((0, 2))), library(), Scale())
    assert ranking.first.phase == "no lattice"
    assert ranking.reasons == ("no spot above the noise",)


def test_one_fringe_leaves_every_phase_that_has_such_a_spacing() -> None:
    ranking = index_spots(spot_list(np.array([[1.9, 0.965]]), 1e3), library(), Scale())
    assert {"LiCoO2", "Co3O4", "Li2MnO3"} <= {candidate.phase for candidate in ranking.ambiguity_set}
    assert any(flag == "ONE_FRINGE" for flag in ranking.flags)
    assert "a second fringe" in ranking.would_decide


def test_probabilities_sum_to_one_and_the_set_is_the_smallest_that_covers() -> None:
    ranking = index_spots(spot_list(rocksalt_110(0.415), ROCKSALT_POWER), library(), Scale())
    weights = [candidate.probability for candidate in ranking.candidates]
    assert sum(weights) == pytest.approx(1.0, abs=0.02)
    inside = [candidate.probability for candidate in ranking.ambiguity_set]
    assert sum(inside) >= 0.95 > sum(inside[:-1])


def test_indices_stand_beside_their_spots() -> None:
    g = turned(rocksalt_110(0.42612), 30.0)
    spots = spot_list(g, ROCKSALT_POWER)
    ranking = index_spots(spots, library(), Scale())
    assert ranking.first.hkl is not None
    length = np.hypot(*spots.g.T)
    assert np.allclose(np.linalg.norm(ranking.first.hkl, axis=1) / 0.42612, length, rtol=0.01)


def test_the_prior_on_the_scale_is_named_where_it_decides() -> None:
    points = [(1, 0), (0, 1), (1, 1), (-1, 1), (2, 0), (0, 2)]
    power = np.array([2e2, 2e2, 2e3, 2e3, 3e3, 3e3])
    g = np.array(points) / 0.3905 * 0.965
    three, one = (index_spots(spot_list(g, power), library("SrTiO3"), Scale(sd=sd)) for sd in (0.03, 0.01))
    assert three.first.name == "SrTiO3 [1 0 0]"
    assert three.first.scale == pytest.approx(0.965, abs=0.003)
    assert one.first.phase != "SrTiO3" or one.first.probability < three.first.probability
    assert any(flag.startswith("SCALE_PRIOR_DECIDES") for flag in one.flags)


SIMULATED = {"lco_100_r17": "LiCoO2 [1 0 0]", "co3o4_110_rm23": "Co3O4 [1 1 0]", "coo_110_r41": "CoO [1 1 0]"}


@pytest.mark.parametrize("name", SIMULATED)
def test_simulated_crystals_are_named_with_zone_axis_and_scale(shared_data: Path, name: str) -> None:
    pytest.importorskip("rsciio", reason="rosettasciio is not installed (pip install 'layerscope[em]')")
    from layerscope.microscopy.readers import read_image

    ranking = index_spots(find_spots(read_image(shared_data / "hrtem" / f"{name}.tif")), library(), Scale())
    assert ranking.first.name == SIMULATED[name]
    assert ranking.first.pattern_scale == pytest.approx(1.0, abs=1e-3)
