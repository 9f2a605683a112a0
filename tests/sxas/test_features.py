"""The whole-edge fit against simulated pairs: numbers, the parts of their errors, bands that BIC adds, refusals."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from layerscope.spectra.sxas.ensemble import default_members
from layerscope.spectra.sxas.features import EdgeFit, fit_edge
from layerscope.spectra.sxas.model import EdgeData, find_bands
from scipy.special import erf

from layerscope.errors import DataError

AREA = (525.0, 550.0)
X = np.unique(np.round(np.concatenate([np.arange(513, 527, 1.0), np.arange(527, 552, 0.2), np.arange(552, 560.0)]), 2))
SHIFT, RATIO = 0.12, 0.8


def line(x: np.ndarray, center: float, width: float, area: float) -> np.ndarray:
    gauss = 0.93944 / width * np.exp(-2.77259 * ((x - center) / width) ** 2)
    return area * (0.8 * gauss + 0.2 * 0.63662 / width / (1.0 + 4.0 * ((x - center) / width) ** 2))


def edge(k: int, further: float = 0.0) -> np.ndarray:
    mu = (
        0.5 * (1.0 + erf((X - 536.5) / 1.6))
        + line(X, 537.1, 4.3, 4.0)
        + line(X, 541.2, 5.2, 6.0)
        + line(X, 545.2, 7.0, 4.0)
    )
    mu += line(X, 530.5 + SHIFT * k, 1.3, 1.0 if k == 0 else RATIO) + line(X, 533.9, 1.3, 0.6 - 0.4 * k)
    return mu + line(X, 539.1, 2.4, further) + 1.1 + 0.05 * k * (X - 530.0) / 20.0


def data(samples: int = 2, further: float = 0.0, noise: float = 1e-3, seed: int = 1) -> EdgeData:
    rng = np.random.default_rng(seed)
    curves = []
    for k in range(samples):
        y = edge(k % 2, further)
        curves.append((X, y * (1.0 + noise * rng.normal(size=X.size)), (noise * y) ** 2, None))
    return EdgeData.of(curves, find_bands("O K"), [0.0, *[0.03] * (samples - 1)], 0.1)


@lru_cache(maxsize=1)
def pair() -> EdgeFit:
    return fit_edge(data(), find_bands("O K"), AREA)


def test_a_pair_of_samples_gives_the_true_shift_and_ratio_within_their_errors() -> None:
    inside = (AREA[0] <= X) & (AREA[1] >= X)
    above = [edge(k) - 1.1 - 0.05 * k * (X - 530.0) / 20.0 for k in (0, 1)]
    area = [float(np.trapezoid(y[inside], X[inside])) for y in above]
    shift, ratio = pair().find("shift", "eg", 1), pair().find("ratio", "eg", 1)
    assert abs(shift.value - SHIFT) < 4 * np.hypot(shift.budget["counting"], shift.budget["background"]) + 1e-3
    assert abs(ratio.value - RATIO * area[0] / area[1]) < 4 * ratio.sigma
    assert pair().find("amount", "eg", 0).value == pytest.approx(1.0 / area[0], rel=0.04)


def test_every_part_of_an_error_has_its_name_and_they_add_up() -> None:
    shift, place, amount = (pair().find(kind, "eg", 1) for kind in ("shift", "position", "amount"))
    assert set(amount.budget) == set(shift.budget) == {"counting", "background", "ensemble", "energy_scale"}
    assert shift.budget["energy_scale"] == pytest.approx(0.03)
    assert place.budget["energy_scale"] == pytest.approx(np.hypot(0.03, 0.1))
    assert shift.sigma == pytest.approx(np.sqrt(sum(part**2 for part in shift.budget.values())))


def test_amounts_hold_what_an_error_of_the_energies_cuts_off_at_fixed_limits() -> None:
    moved, bands = data(), find_bands("O K")
    moved = replace(moved, energy=moved.energy + np.array([[0.0], [0.1]]))
    before, after = (fit_edge(d, bands, AREA, members=default_members(bands)[:1]) for d in (data(), moved))
    sigma = 0.03  # eV; of the second sample's energies, against 0.1 eV of move
    for kind, component in (("ratio", "eg"), ("share_change", "535–545 eV")):
        one, two = (fit.find(kind, component, 1) for fit in (before, after))
        assert one.budget["energy_scale"] == pytest.approx(abs(two.value - one.value) * sigma / 0.1, rel=0.3)


def test_the_error_of_a_shift_is_that_of_the_energy_scale_and_not_that_of_the_fit() -> None:
    shift = pair().find("shift", "eg", 1)
    assert shift.budget["counting"] < 0.2 * shift.budget["energy_scale"]


def test_all_members_are_recorded_and_vary_neither_area_nor_bands() -> None:
    fit, members = pair(), default_members(find_bands("O K"))
    assert len(members) >= 25
    assert len(set(members)) == len(members)
    assert fit.weight.sum() == pytest.approx(1.0)
    assert fit.weight.size == len(fit.members) == len(members)
    assert {m.shapes for m in members} == {("erf", "pseudo_voigt"), ("arctan", "pseudo_voigt"), ("erf", "voigt")}
    assert {m.order for m in members} == {2, 3}


def test_a_sound_pair_needs_no_further_band() -> None:
    assert not any(band.name.startswith("further") for band in pair().bands.band)
    assert not any(flag.startswith(("FURTHER_BAND", "RESIDUAL_STRUCTURE")) for flag in pair().flags)


def test_a_band_that_the_table_lacks_is_added_and_told() -> None:
    bands = find_bands("O K")
    fit = fit_edge(data(further=1.5), bands, AREA, members=default_members(bands)[:1])
    assert [b.name for b in fit.bands.band if b.name.startswith("further")]
    assert any(flag.startswith("FURTHER_BAND:further_1") for flag in fit.flags)


def test_a_band_that_a_known_one_stood_in_for_is_found_where_the_residual_wants_less_and_not_more() -> None:
    bands = find_bands("O K")
    fit = fit_edge(data(further=1.2, seed=2), bands, AREA, members=default_members(bands)[:1])
    assert [b.name for b in fit.bands.band if b.name.startswith("further")] == ["further_1"]
    assert fit.central.redchi == pytest.approx(1.0, abs=0.2)
    assert not any(flag.startswith("RESIDUAL_STRUCTURE") for flag in fit.flags)


def test_saturation_has_a_part_of_its_own() -> None:
    bands = find_bands("O K")
    fit = fit_edge(data(), bands, AREA, members=default_members(bands)[:1], lost=0.05)
    assert fit.find("amount", "eg", 0).budget["saturation"] > 0.0
    assert fit.find("shift", "eg", 1).budget["saturation"] < 0.01


def test_curves_of_the_bands_and_the_step_make_up_the_fit() -> None:
    curves = pair().curves(1)
    bands = sum(curves[b.name] for b in pair().bands.band) + curves["edge"]
    np.testing.assert_allclose(bands, curves["fit"], atol=1e-9)
    inside = (curves["energy"] >= AREA[0]) & (curves["energy"] <= AREA[1])
    assert np.trapezoid(curves["fit"][inside], curves["energy"][inside]) == pytest.approx(1.0, abs=5e-3)


def test_one_sample_alone_has_positions_and_amounts_only() -> None:
    bands = find_bands("O K")
    fit = fit_edge(data(1), bands, AREA, members=default_members(bands)[:1])
    assert {f.kind for f in fit.features} == {"position", "amount", "share"}


def test_a_scan_that_ends_at_the_edge_is_refused() -> None:
    with pytest.raises(DataError, match="does not reach over"):
        EdgeData.of([(X[X < 540], edge(0)[X < 540], np.ones((X < 540).sum()), None)], find_bands("O K"), [0.0])


def test_a_spectrum_with_a_negative_edge_is_refused() -> None:
    with pytest.raises(DataError, match="does not rise"):
        EdgeData.of([(X, -edge(0), np.ones(X.size), None)], find_bands("O K"), [0.0])
