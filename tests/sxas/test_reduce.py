"""Noise, repeats, dose, alignment and normalisation against what was simulated, or another program found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from layerscope.spectra.sxas.align import Curve, shift_between
from layerscope.spectra.sxas.edges import edge_of_energies, find_edge, load_edges
from layerscope.spectra.sxas.noise import measured_noise
from layerscope.spectra.sxas.normalise import Definition, edge_step, normalise
from layerscope.spectra.sxas.options import EnergyTable
from layerscope.spectra.sxas.readers import read
from layerscope.spectra.sxas.reduce import Diode, Reduction, aligned, edge_of, reduce_scans
from layerscope.spectra.sxas.scan import Scan
from layerscope.spectra.sxas.sweeps import merge_sweeps

from layerscope.errors import DataError

X = np.arange(512.0, 580.0, 0.2)
O_K = find_edge("O K")
AREA = Definition("area", (513.0, 525.0), (552.0, 575.0), (525.0, 550.0), 536.5)


def mu(shift: float = 0.0, carbonate: float = 0.08) -> np.ndarray:
    e = X - shift
    edge = 0.4 + 0.2 / (1 + np.exp(-(e - 536.0))) + 0.1 * np.exp(-(((e - 530.5) / 0.8) ** 2))
    return np.asarray(edge + carbonate * np.exp(-(((e - 533.9) / 0.6) ** 2)))


def curve(rng: np.random.Generator, noise: float = 1e-3, **how: float) -> Curve:
    y = mu(**how)
    return X, y * (1 + noise * rng.normal(size=X.size)), noise * y


# --- noise ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", ["proportional", "counting", "constant"])
def test_noise_is_found_with_its_law_and_size(law: str) -> None:
    found, flux = [], np.full(X.size, 2e5)
    for seed in range(12):
        rng, y = np.random.default_rng(seed), mu() ** 3  # a spectrum of wide range, that laws differ
        if law == "counting":
            signal, i0 = rng.poisson(y * flux).astype(float), rng.poisson(flux).astype(float)
            noise = measured_noise(X, signal / i0, signal, i0)
            found.append(noise.of_counts or 0.0)
        else:
            size = 0.002 * y if law == "proportional" else np.full(X.size, 3e-4)
            noise = measured_noise(X, y + size * rng.normal(size=X.size))
            found.append(float(np.median(noise.sigma / size)))
    assert np.mean(found) == pytest.approx(1.0, abs=0.06)
    assert np.std(found) < 0.15


@pytest.mark.parametrize(
    ("file", "mode", "low", "high", "counting"),
    [
        ("Blank_C_tape.886", "tey", 0.015, 0.07, False),
        ("SigScan.25702", "tey", 0.02, 0.06, False),
        ("sxr129598.asc", "aey", 0.8, 1.3, True),
        ("htxs_scan.881", "aey", 3.5, 8.5, False),
    ],
)
def test_readings_of_beamlines_are_told_from_counts(
    file: str, mode: str, low: float, high: float, counting: bool, shared_data: Path
) -> None:
    scan = read(shared_data / "sxas" / file).scans[0]
    noise = measured_noise(scan.energy, scan.signal(mode), scan.channels[mode], scan.channels["i0"])
    assert noise.of_counts is not None
    assert low < noise.of_counts < high
    assert noise.is_counting is counting


# --- energies -------------------------------------------------------------------------------------------------------


def test_shifts_are_found_with_an_error_that_holds() -> None:
    off = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        true = rng.uniform(-0.5, 0.5)
        found = shift_between(curve(rng, 3e-3), curve(rng, 3e-3, shift=true), 1.5)
        off.append((found.value + true) / found.sigma)
    assert abs(np.mean(off)) < 0.4
    assert 0.7 < np.std(off) < 1.3


@pytest.mark.parametrize(
    ("reference", "other", "reach", "words"),
    [
        (np.sin(X * 2 * np.pi), np.sin(X * 2 * np.pi), 1.5, "hardly worse"),
        (0.5 + 0.001 * X, 0.5 + 0.001 * X, 1.5, "end of the reach|tells a shift|hardly worse"),
        (mu(), mu(shift=2.0), 1.0, "end of the reach"),
    ],
)
def test_an_ambiguous_alignment_is_refused(reference: np.ndarray, other: np.ndarray, reach: float, words: str) -> None:
    rng = np.random.default_rng(3)
    sigma = np.full(X.size, 1e-3)
    noisy = [(X, y + sigma * rng.normal(size=X.size), sigma) for y in (reference, other)]
    with pytest.raises(DataError, match=words):
        shift_between(noisy[0], noisy[1], reach)


def scan_with_reference(seed: int, shift: float, reference: bool = True) -> Scan:
    rng, i0 = np.random.default_rng(seed), np.full(X.size, 1e6)
    channels = {"i0": i0, "tey": i0 * mu(shift) * (1 + 1e-3 * rng.normal(size=X.size))}
    if reference:
        channels["reference"] = i0 * mu(shift, 0.3) * (1 + 2e-3 * rng.normal(size=X.size))
    return Scan.of(X, channels)


def test_samples_are_put_on_the_energies_of_the_first_by_their_reference_channels() -> None:
    samples = [reduce_scans([scan_with_reference(k, 0.3 * k)], Reduction(O_K, "tey")) for k in range(3)]
    placed, shifts = aligned(samples, EnergyTable(align="reference", known_eV=530.6))
    for k, shift in enumerate(shifts):
        if shift is not None:
            assert abs(shift.value + 0.3 * k) < 4 * shift.sigma
            assert placed[k].spectrum.shift_sigma_eV == shift.sigma < 0.02
    assert np.ptp([one.spectrum.energy[0] + 0.3 * k for k, one in enumerate(placed)]) < 0.03
    assert "530.6 eV" in placed[0].spectrum.metadata["convention"]


def test_a_sample_without_a_reference_keeps_its_energies_with_the_error_of_two_scans_and_is_flagged() -> None:
    samples = [reduce_scans([scan_with_reference(k, 0.0, reference=k == 0)], Reduction(O_K, "tey")) for k in range(2)]
    placed, _ = aligned(samples, EnergyTable(align="reference", repeat_eV=0.04))
    assert placed[1].spectrum.shift_sigma_eV == 0.04
    assert "NOT_ALIGNED:there is no reference channel" in placed[1].spectrum.flags


# --- repeats --------------------------------------------------------------------------------------------------------


def repeats(seed: int, dose: float, count: int = 3) -> list[Curve]:
    rng, found = np.random.default_rng(seed), []
    for k in range(count):
        x, y, sigma = curve(rng, carbonate=0.08 - dose * k, shift=0.02 * rng.normal())
        gain = 1 + 0.01 * rng.normal()
        found.append((x, gain * y, gain * sigma))
    return found


def has_dose(curves: Sequence[Curve]) -> bool:
    return any(flag.startswith("DOSE") for flag in merge_sweeps(curves).flags)


def test_repeats_that_drift_in_gain_and_energy_are_merged_and_no_dose_is_seen() -> None:
    assert sum(has_dose(repeats(seed, 0.0)) for seed in range(40)) == 0
    merged = merge_sweeps(repeats(5, 0.0))
    assert merged.used == (0, 1, 2)
    assert merged.scatter == pytest.approx(1.0, abs=0.3)
    x, y, sigma = merged.curve
    true = np.interp(x, X, mu())  # on the mean of the sweeps' energies, in their mean gain
    columns = np.stack([true, np.gradient(true, x)], axis=1) / sigma[:, None]
    found, *_ = np.linalg.lstsq(columns, y / sigma, rcond=None)
    assert np.std(y / sigma - columns @ found) == pytest.approx(1.0, abs=0.25)


def test_sweeps_that_lie_at_different_energies_are_moved_before_they_are_merged() -> None:
    rng = np.random.default_rng(2)
    shifts = np.array([0.25, -0.2, 0.1, -0.15])
    merged = merge_sweeps([curve(rng, shift=float(s)) for s in shifts])
    assert merged.used == (0, 1, 2, 3)
    assert not any(flag.startswith("DOSE") for flag in merged.flags)
    np.testing.assert_allclose(merged.shifts_eV, shifts - shifts.mean(), atol=0.01)
    assert merged.energy_sigma_eV == pytest.approx(shifts.std(ddof=1) / 2, abs=0.01)
    near = (merged.curve[0] > 530.0) & (merged.curve[0] < 531.0)
    alone = mu(float(shifts.mean()))
    assert merged.curve[1][near].max() == pytest.approx(alone.max(where=(X > 530) & (X < 531), initial=0.0), rel=0.004)


def test_a_band_that_decays_in_the_beam_is_told_and_repeats_are_then_not_merged() -> None:
    assert all(has_dose(repeats(seed, 0.003)) for seed in range(20))
    merged = merge_sweeps(repeats(1, 0.01))
    assert merged.used == (0,)
    (flag,) = [flag for flag in merged.flags if flag.startswith("DOSE")]
    assert 533.0 < float(flag.split(" at ")[1].split()[0]) < 535.0
    assert merge_sweeps(repeats(1, 0.01), force=True).used == (0, 1, 2)


def test_the_photodiode_gives_all_samples_the_same_error() -> None:
    rng = np.random.default_rng(0)
    diode = Diode((X, 2.0 + 0.0 * X, np.full(X.size, 0.01)), "diode.txt")
    scan = Scan.of(X, {"i0": np.full(X.size, 1e6), "tey": 1e6 * mu() * (1 + 1e-3 * rng.normal(size=X.size))})
    alone, divided = (reduce_scans([scan], Reduction(O_K, "tey", diode=d)).spectrum for d in (None, diode))
    np.testing.assert_allclose(divided.intensity, alone.intensity / 2.0)
    assert divided.common_variance is not None
    np.testing.assert_allclose(divided.common_variance, (divided.intensity * 0.005) ** 2)
    np.testing.assert_allclose(divided.variance, alone.variance / 4.0 + divided.common_variance)
    short = Diode((X[:100], 2.0 + 0.0 * X[:100], np.full(100, 0.01)), "diode.txt")
    with pytest.raises(DataError, match="only"):
        reduce_scans([scan], Reduction(O_K, "tey", diode=short))


def test_the_inverse_of_another_elements_fluorescence_is_an_absorption_free_of_saturation() -> None:
    rng, i0 = np.random.default_rng(0), np.full(X.size, 1e6)
    absorption = 1.0 + mu()  # all elements together: what another one's fluorescence is divided by
    other = i0 / absorption * (1 + 1e-3 * rng.normal(size=X.size))
    scan = Scan.of(X, {"i0": i0, "tey": i0 * mu(), "pfy_other": other})
    assert scan.modes == ("tey", "ipfy")
    spectrum = reduce_scans([scan], Reduction(O_K, "ipfy")).spectrum
    np.testing.assert_allclose(spectrum.intensity, absorption, rtol=6e-3)


# --- normalisation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["area", "step", "point"])
def test_normalisation_gives_the_true_number_with_an_error_that_holds(kind: str) -> None:
    how = Definition(kind, AREA.pre_eV, AREA.post_eV, AREA.area_eV, 545.0 if kind == "point" else 536.5)  # type: ignore[arg-type]
    true = normalise((X, mu(), np.full(X.size, 1e-9)), how).value
    pulls = []
    for seed in range(60):
        found = normalise(curve(np.random.default_rng(seed)), how)
        pulls.append((found.value - true) / found.budget["counting"])
    assert abs(np.mean(pulls)) < 0.4
    assert 0.75 < np.std(pulls) < 1.25


def test_a_range_that_the_scan_does_not_hold_is_refused_with_the_reason() -> None:
    cut = X > 520.0
    short = X[cut], mu()[cut], np.full(int(cut.sum()), 1e-3)
    with pytest.raises(DataError, match=r"pre_eV = \[513, 525\] does not fit the scan from 520"):
        normalise(short, AREA)
    with pytest.raises(DataError, match="not above zero"):
        normalise((X, -mu(), np.full(X.size, 1e-3)), AREA)


def test_steps_are_those_of_athena_for_all_37_groups(shared_data: Path) -> None:
    worst, fixed, count = 0.0, [], 0
    for file in ("S_CAMD.prj", "P_CAMD.prj"):
        for scan in read(shared_data / "sxas" / file).scans:
            given = scan.given
            e0 = given["e0"]
            ranges = [(e0 + given[a], e0 + given[b]) for a, b in (("pre1", "pre2"), ("nor1", "nor2"))]
            step = edge_step(scan.energy, scan.channels["mu"], e0, *ranges).value
            worst = max(worst, abs(step / given["fitted_step"] - 1))
            count += 1
            if abs(step / given["step"] - 1) > 1e-5:
                fixed.append((scan.sample, scan.flags))
    assert count == 37
    assert worst <= 1e-5
    assert fixed == [("Zn SO4 (6+)", ("FIXED_STEP:0.104931",))]


# --- edges ----------------------------------------------------------------------------------------------------------


def test_every_edge_of_the_table_lies_near_its_element_and_its_ranges_follow_one_another() -> None:
    for edge in load_edges().values():
        near = [abs(edge.search_eV[0] - e) for e in (edge.edge_eV, edge.edge_other_eV) if e]
        assert min(near) < 15.0, edge.name
        assert edge_of_energies(edge.pre_eV[0], edge.post_eV[1]) == edge


def test_a_scan_of_another_edge_or_cut_at_the_edge_is_refused() -> None:
    scan = Scan.of(X, {"mu": mu()}, ratios=frozenset({"mu"}))
    assert edge_of(scan, None) == O_K
    with pytest.raises(DataError, match="does not hold the edge Co L3"):
        edge_of(scan, find_edge("Co L2,3"))
    cut = Scan.of(X[X < 532], {"mu": mu()[X < 532]}, ratios=frozenset({"mu"}))
    with pytest.raises(DataError, match="no edge that is known"):
        edge_of(cut, None)
    with pytest.raises(DataError, match="does not hold the edge O K"):
        edge_of(cut, O_K)
