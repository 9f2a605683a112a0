"""The doctor finds each fault in the real file that has it, and leaves sound scans alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from layerscope.spectra.sxas.doctor import diagnose, glitches
from layerscope.spectra.sxas.edges import find_edge
from layerscope.spectra.sxas.readers import read
from layerscope.spectra.sxas.reduce import Reduction, edge_of, reduce_scans
from layerscope.spectra.sxas.scan import Scan
from layerscope.spectra.sxas.sweeps import sums_among

from layerscope.flags import FLAGS, name_of

O_K = find_edge("O K")
SOUND = ("S_CAMD.prj", "P_CAMD.prj")


def flags_of(path: Path, mode: str = "tey", *, monitor: str = "i0") -> dict[str, str]:
    scan = read(path).scans[0]
    found = diagnose(scan, edge_of(scan, None), mode, monitor=monitor)
    return {name_of(flag): flag.partition(":")[2] for flag in found}


@pytest.mark.parametrize(
    ("file", "mode", "flag", "words"),
    [
        ("htxs_scan.881", "tey", "NEGATIVE_EDGE", "-0.12 of the signal before it; readings before it go as 8.1e+03"),
        ("htxs_scan.881", "tey", "ENCODER_OFFSET", "encoder minus axis +0.196 ± 0.041 eV"),
        (
            "SigScan75331-0001.txt",
            "tey",
            "DWELL_CHANGED",
            "x2 from 777.5, x0.5 from 782.5, x2 from 792.5, x",
        ),
        ("SigScan75331-0001.txt", "tey", "YIELDS_DISAGREE", "tey and tfy, maxima -0.60 eV"),
        ("SigScan75331-0001.txt", "tey", "SHORT_PRE_EDGE", "775.0 to 775.0 of 768 to 775 eV"),
        ("SigScan75331-0001.txt", "tey", "SHORT_POST_EDGE", "802.0 to 803.5 of 802 to 812 eV"),
        ("SigScan75331-Sum.txt", "tey", "SUM_UNEQUAL", "said to be 3 sweeps"),
        ("SigScan.25702", "tey", "MONITOR_STRUCTURE", "4.7 % at 534.0 eV"),
        ("SigScan74369.txt", "tey", "MONITOR_STRUCTURE", "6.2 % at 192.5 eV"),
        ("sxr129598.asc", "tey", "MONITOR_STRUCTURE", "5.5 % at 542.2 eV"),
        ("SigScan74380.txt", "tey", "MONITORS_DISAGREE", "Counter 0 and Counter 3, their ratio changes by 65 %"),
        ("Blank_C_tape.886", "tey", "SUBSTRATE_SIGNAL", "maximum at 532.28 eV"),
        ("236463.dat", "tey", "YIELDS_DISAGREE", "tey and tfy, maxima +0.61 eV"),
    ],
)
def test_each_fault_is_found_in_the_real_file_that_has_it(
    file: str, mode: str, flag: str, words: str, shared_data: Path
) -> None:
    found = flags_of(shared_data / "sxas" / file, mode)
    assert flag in found
    assert words in found[flag]


def test_the_dark_level_taken_off_mends_the_edge(shared_data: Path) -> None:
    scan = read(shared_data / "sxas" / "htxs_scan.881").scans[0]
    reduced = reduce_scans([scan], Reduction(O_K, "tey", dark={"tey": 7500.0}))
    assert not any(flag.startswith("NEGATIVE_EDGE") for flag in reduced.spectrum.flags)


def test_on_sound_scans_nothing_is_told_but_what_is_true_of_them(shared_data: Path) -> None:
    told = []
    count = 0
    for file in SOUND:
        for scan in read(shared_data / "sxas" / file).scans:
            if scan.edge not in ("S K", "P K"):
                continue  # four records of that project name another element
            count += 1
            told += [flag for flag in diagnose(scan, edge_of(scan, None), "mu") if name_of(flag) != "FIXED_STEP"]
    assert count == 33
    assert told == []


def test_the_sum_of_three_sweeps_is_taken_apart_and_left_out(shared_data: Path) -> None:
    names = ("0001", "0002", "0003", "Sum")
    scans = [read(shared_data / "sxas" / f"SigScan75331-{name}.txt").scans[0] for name in names]
    assert sums_among(scans) == {
        3: "SUM_UNEQUAL:said to be 3 sweeps, holds 1 from 775.0, 2 from 798.1, 3 from 803.5 eV; "
        "left out, its sweeps are used"
    }
    reduced = reduce_scans(scans, Reduction(find_edge("Co L3"), "tey"))
    assert reduced.spectrum.scans == (0, 1, 2)
    assert any(flag.startswith("GAIN_DRIFT:1.9 %") for flag in reduced.spectrum.flags)


def scan(seed: int = 0, *, noise: float = 1e-3) -> Scan:
    """Return a sound O K scan with known parts."""
    rng, x = np.random.default_rng(seed), np.arange(512.0, 580.0, 0.2)
    i0 = 1e6 * (1 + 0.002 * (x - 512.0))
    mu = 0.4 + 0.3 / (1 + np.exp(-(x - 536.0))) + 0.15 * np.exp(-(((x - 530.5) / 0.9) ** 2))
    mu += 0.1 * np.exp(-(((x - 540.0) / 4.0) ** 2))
    return Scan.of(x, {"i0": i0, "tey": i0 * mu * (1 + noise * rng.normal(size=x.size))})


def spoilt(role: str, factor: np.ndarray) -> Scan:
    one = scan()
    return replace(one, channels={**one.channels, role: one.channels[role] * factor})


X = scan().energy
BUMP = np.exp(-(((X - 535.0) / 2.0) ** 2))


@pytest.mark.parametrize("seed", range(10))
def test_ten_simulated_sound_scans_are_told_nothing_of(seed: int) -> None:
    assert diagnose(scan(seed), O_K, "tey") == ()


def test_structure_of_the_monitor_is_told_with_its_place() -> None:
    (flag,) = diagnose(spoilt("i0", 1 + 0.08 * BUMP), O_K, "tey")
    assert flag.startswith("MONITOR_STRUCTURE:")
    assert 533.0 < float(flag.split(" at ")[1].split()[0]) < 537.0


def test_of_two_monitors_the_one_that_follows_the_edge_is_called_wrong() -> None:
    one = scan()
    drifting = one.channels["i0"] * (1 - 0.3 / (1 + np.exp(-(X - 536.0))))
    both = replace(one, channels={**one.channels, "i0_other": drifting})
    assert any(f.startswith("MONITORS_DISAGREE") for f in diagnose(both, O_K, "tey"))
    assert any(f.startswith("WRONG_MONITOR") for f in diagnose(both, O_K, "tey", monitor="i0_other"))


def test_a_single_point_off_is_told_masked_and_named_but_a_sharp_line_is_not() -> None:
    factor = np.ones(X.size)
    factor[[50, 200]] = 1.05, 0.9
    bad = spoilt("tey", factor)
    assert np.flatnonzero(glitches(bad.energy, bad.signal("tey"))).tolist() == [50, 200]
    reduced = reduce_scans([bad], Reduction(O_K, "tey"))
    assert reduced.spectrum.use is not None
    assert np.flatnonzero(~reduced.spectrum.use).tolist() == [50, 200]
    assert any(flag.startswith(f"GLITCH:{X[50]:.2f}, {X[200]:.2f}") for flag in reduced.spectrum.flags)
    sharp = spoilt("tey", 1 + np.exp(-(((X - 530.5) / 0.25) ** 2)))
    assert not glitches(sharp.energy, sharp.signal("tey")).any()


def test_an_unequal_sum_alone_is_told_from_a_dwell_that_changes_and_comes_back() -> None:
    up = np.where(X > 550.0, 2.0, 1.0)
    back = np.where((X > 530.0) & (X < 545.0), 2.0, 1.0)
    for factor, sweeps, name in ((up, 3, "SUM_UNEQUAL"), (back, 3, "DWELL_CHANGED"), (up, 1, "DWELL_CHANGED")):
        one = scan()
        channels = {role: values * factor for role, values in one.channels.items()}
        (flag,) = diagnose(replace(one, channels=channels, sweeps=sweeps), O_K, "tey")
        assert name_of(flag) == name


def test_every_flag_of_a_scan_is_in_the_list() -> None:
    assert {"DOSE", "SUM_UNEQUAL", "WRONG_MONITOR", "NOT_ALIGNED", "GLITCH"} <= set(FLAGS)


def test_a_file_that_names_another_element_is_told(shared_data: Path) -> None:
    scans = [one for one in read(shared_data / "sxas" / "P_CAMD.prj").scans if one.edge == "Y L3"]
    assert len(scans) == 4
    for one in scans:
        assert (
            "EDGE_DIFFERS:the file says Y L3" in reduce_scans([one], Reduction(edge_of(one, None), "mu")).spectrum.flags
        )
