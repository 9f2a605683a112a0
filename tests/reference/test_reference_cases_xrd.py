"""The simulated charge of LiCoO2: made again byte for byte, unchanged since, and distributed as its truth says.

The truth is turned into patterns with other formulas than the generator's: Gaussian and Lorentzian of scipy, the axial
smear as a sum over the height on the slit instead of a quadrature, |F|^2 by gemmi instead of sums over the cell.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import sys
import tomllib
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import cauchy, norm

CASE = "insitu_lco_003"
SAMPLES = {"P-LCO": "p_lco", "B-LCO": "b_lco"}
VOLTAGES = ("3.05", "4.20", "4.55", "4.60")
FULL = [(sample, v) for sample in SAMPLES for v in range(len(VOLTAGES))]
FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))


@pytest.fixture(scope="module")
def folder(reference_data: Path) -> Path:
    return reference_data / CASE


@pytest.fixture(scope="module")
def truth(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "truth.json").read_text(encoding="ascii"))
    return found


def columns_of(data: bytes) -> np.ndarray:
    rows = [line for line in data.decode("ascii").splitlines() if line[0].isdigit() and " " in line and line[1] != "t"]
    return np.array([[float(v) for v in row.split()] for row in rows])


def frames_of(folder: Path, sample: str) -> list[np.ndarray]:
    with zipfile.ZipFile(folder / f"{SAMPLES[sample]}_frames.zip") as archive:
        return [columns_of(archive.read(name)) for name in sorted(archive.namelist())]


def smeared(x: np.ndarray, bragg: float, fwhm: float, mixing: float, axial: float) -> np.ndarray:
    """One wavelength: every height h on the slit, seen from every height on the sample, sends its own line."""
    u = (np.arange(200) + 0.5) / 200.0 * 2.0 * axial
    angle = np.degrees(np.arccos(np.cos(np.radians(bragg)) * np.hypot(1.0, u)))
    weight = (2.0 * axial - u) / (1.0 + u**2) / np.sin(np.radians(angle))
    weight /= weight.sum()
    lines = (1.0 - mixing) * norm(angle, fwhm / FWHM_PER_SIGMA).pdf(x[:, None])
    lines += mixing * cauchy(angle, fwhm / 2.0).pdf(x[:, None])
    return np.asarray(lines @ weight)


def doublet(
    x: np.ndarray, position: float, fwhm: float, model: dict[str, Any], radiation: dict[str, Any]
) -> np.ndarray:
    first, second = radiation["wavelengths_A"]
    ratio = radiation["alpha2_over_alpha1"]
    other = np.degrees(2.0 * np.arcsin(second / first * np.sin(np.radians(position / 2.0))))
    parts = [smeared(x, at, fwhm, model["mixing"], model["axial_S_over_L"]) for at in (position, other)]
    return (parts[0] + ratio * parts[1]) / (1.0 + ratio)


def expected_frame(x: np.ndarray, frame: dict[str, Any], hardware: dict[str, Any], truth: dict[str, Any]) -> np.ndarray:
    model = truth["series_model"]
    b = model["background_counts"]
    t = (x - 20.0) / 5.0
    total = frame["background_factor"] * (b[0] + b[1] * t + b[2] * t * t)
    for line in [*frame["lines"], *hardware.values()]:
        shape = doublet(x, line["two_theta_deg"], line["fwhm_deg"], model, truth["radiation"])
        total = total + line["area_counts_deg"] * shape
    return np.asarray(total)


# --- bytes ----------------------------------------------------------------------------------------------------------


def test_xrd_generator_gives_the_committed_bytes_again(tmp_path: Path, reference_data: Path, folder: Path) -> None:
    script = reference_data / "generate_xrd_cases.py"
    subprocess.run([sys.executable, "-B", str(script), "--out", str(tmp_path)], check=True, capture_output=True)
    made = {path.name: path.read_bytes() for path in (tmp_path / CASE).iterdir()}
    assert len(made) == 16
    for name, data in made.items():
        assert (folder / name).read_bytes() == data, name


def test_xrd_checksums_match_and_cover_every_data_file(folder: Path, truth: dict[str, Any]) -> None:
    listed = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text("ascii").splitlines())
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    assert set(listed) == {name for s in truth["samples"].values() for name in s["files"]} | {"truth.json"}
    assert sum((folder / name).stat().st_size for name in listed) < 3_000_000


# --- the (003) series -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", SAMPLES)
def test_frames_scatter_about_the_truth_like_poisson_counts(folder: Path, truth: dict[str, Any], sample: str) -> None:
    own = truth["samples"][sample]
    chi2, points = 0.0, 0
    data = frames_of(folder, sample)
    assert len(data) == len(own["frames"]) == 60
    for columns, frame in zip(data[3::8], own["frames"][3::8], strict=True):
        x, counts = columns.T
        assert (x.size, x[0], x[-1]) == (501, 15.0, 25.0)
        expected = expected_frame(x, frame, own["hardware"], truth)
        assert expected.sum() == pytest.approx(frame["expected_total_counts"], rel=1e-5)
        chi2 += float(((counts - expected) ** 2 / expected).sum())
        points += x.size
    # The truth has no free parameter, so chi2 has one degree of freedom a point and a deviation of sqrt(2 n).
    assert abs(chi2 - points) < 4.0 * np.sqrt(2.0 * points)


@pytest.mark.parametrize("sample", SAMPLES)
def test_areas_follow_from_weights_and_the_stated_factors(truth: dict[str, Any], sample: str) -> None:
    model = truth["series_model"]
    for frame in truth["samples"][sample]["frames"]:
        areas = {line["phase"]: line["area_counts_deg"] for line in frame["lines"]}
        assert sum(line["weight_fraction"] for line in frame["lines"]) == pytest.approx(1.0, abs=1e-8)
        for line in frame["lines"]:
            factor = model["scale_counts_deg"] * frame["texture_factor"] * model["intensity_per_weight"][line["phase"]]
            assert line["area_counts_deg"] == pytest.approx(factor * line["weight_fraction"], rel=1e-7)
            assert line["area_fraction"] == pytest.approx(areas[line["phase"]] / sum(areas.values()), rel=1e-7)
            half = np.radians(line["two_theta_deg"] / 2.0)
            assert 2.0 * line["d_A"] * np.sin(half) == pytest.approx(truth["radiation"]["wavelengths_A"][0], rel=1e-8)


@pytest.mark.parametrize("sample", SAMPLES)
def test_intergrowth_stands_at_the_mean_spacing_of_its_layers(truth: dict[str, Any], sample: str) -> None:
    for frame in truth["samples"][sample]["frames"]:
        d = {line["phase"]: line["d_A"] for line in frame["lines"]}
        assert ("IG" in d) == ("intergrowth" in frame)
        if "IG" in d:
            mix = frame["intergrowth"]
            share = (mix["o3p_layer_spacing_A"] - d["IG"]) / (mix["o3p_layer_spacing_A"] - mix["h13_layer_spacing_A"])
            assert share == pytest.approx(mix["h13_layer_fraction"], abs=1e-6)
            assert mix["o3p_layer_spacing_A"] == d["O3p"]
            assert d.get("H13", mix["h13_layer_spacing_A"]) == mix["h13_layer_spacing_A"]


@pytest.mark.parametrize("sample", SAMPLES)
def test_events_are_where_the_frames_change(truth: dict[str, Any], sample: str) -> None:
    own = truth["samples"][sample]
    frames, events = own["frames"], own["summary"]["events"]
    angle = [frame["lines"][0]["two_theta_deg"] for frame in frames]
    assert abs(int(np.argmin(angle)) - events["O3p"]["onset"]["frame"]) < 1.0
    for phase, event in events.items():
        there = [frame["frame"] for frame in frames if phase in frame["phases"]]
        if event["onset"] is not None:
            assert there[0] == event["onset"]["first_frame"]
            before, after = (frames[there[0] - k]["voltage_V"] for k in (1, 0))
            assert before < event["onset"]["voltage_V"] <= after
        assert there[-1] == (59 if event["end"] is None else event["end"]["first_frame"] - 1)
        assert there == list(range(there[0], there[-1] + 1))


def test_coated_sample_transforms_later_and_less_and_both_end_at_the_published_angles(truth: dict[str, Any]) -> None:
    plain, coated = (truth["samples"][name]["summary"] for name in SAMPLES)
    for phase in ("IG", "H13"):
        late, early = (s["events"][phase]["onset"]["voltage_V"] for s in (coated, plain))
        assert late - early >= 0.02
    assert plain["last_frame"]["intergrowth_plus_h13"] > coated["last_frame"]["intergrowth_plus_h13"] + 0.2
    assert coated["fwhm_deg_at_19"]["O3p"] > plain["fwhm_deg_at_19"]["O3p"]
    for summary in (plain, coated):
        found = summary["last_frame"]["two_theta_deg"]
        assert [found[p] for p in ("O3p", "IG", "H13")] == pytest.approx([18.9, 19.2, 19.6], abs=0.07)
        assert summary["smallest_angle_deg"] == pytest.approx(18.44, abs=0.03)


def test_first_frame_has_the_stated_3000_counts(folder: Path, truth: dict[str, Any]) -> None:
    x, counts = frames_of(folder, "P-LCO")[0].T
    assert counts.max() - counts[(x > 19.8) & (x < 20.8)].mean() == pytest.approx(3000.0, rel=0.07)


# --- clocks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", SAMPLES)
def test_cycler_agrees_with_the_frames_once_the_clocks_are_set(
    folder: Path, truth: dict[str, Any], sample: str
) -> None:
    key, clocks = SAMPLES[sample], truth["clocks"]
    rows = list(csv.reader(io.StringIO((folder / f"{key}_cycler.csv").read_text("ascii"))))
    assert rows[0] == ["Time [s]", "Voltage [V]", "Current [mA]", "Capacity [mAh/g]", "Step"]
    time, voltage, current, capacity, _ = np.array(rows[1:], dtype=float).T
    assert (np.diff(time) > 0).all()
    mass = truth["samples"][sample]["active_mass_mg"] / 1000.0
    charge = np.trapezoid(current, time) / 3600.0 / mass
    assert charge == pytest.approx(capacity[-1], rel=2e-3)
    assert voltage.max() == pytest.approx(4.60, abs=5e-4)
    zero = datetime.fromisoformat(clocks["cycler_start"][sample]).timestamp() + clocks["clock_offset_s"] * -1.0
    log = list(csv.DictReader(io.StringIO((folder / f"{key}_frames.csv").read_text("ascii"))))
    for row, frame in zip(log, truth["samples"][sample]["frames"], strict=True):
        start, end = (datetime.fromisoformat(row[k]).timestamp() - zero for k in ("start_time", "end_time"))
        assert end - start == pytest.approx(clocks["frame_duration_s"], abs=2e-3)
        middle = 0.5 * (start + end)
        assert np.interp(middle, time, voltage) == pytest.approx(
            frame["voltage_V"], abs=4e-4 if row != log[0] else 5e-3
        )
        assert np.interp(middle, time, capacity) == pytest.approx(frame["capacity_mAh_g"], abs=0.01)
        inside = np.interp(np.linspace(start, end, 2000), time, voltage).mean()
        assert inside == pytest.approx(frame["voltage_mean_V"], abs=4e-4)


# --- full patterns --------------------------------------------------------------------------------------------------


def neutral_f_squared(phase: dict[str, Any], hkl: list[int]) -> float:
    """|F|^2 by gemmi: its own symmetry, form factors and dispersion."""
    gemmi = pytest.importorskip("gemmi", reason="gemmi is not installed (layerscope[xrd])")
    small = gemmi.SmallStructure()
    cubic = phase["phase"] == "Al"
    small.cell = gemmi.UnitCell(phase["a_A"], phase["a_A"], phase["c_A"], 90, 90, 90 if cubic else 120)
    small.spacegroup = gemmi.SpaceGroup("F m -3 m" if cubic else "R -3 m:H")
    for row in phase["sites"]:
        site = gemmi.SmallStructure.Site()
        site.label, site.type_symbol, site.element = row["label"], row["element"], gemmi.Element(row["element"])
        site.fract = gemmi.Fractional(0, 0, row["z"])
        site.occ, site.u_iso = row["occupancy"], row["b_iso_A2"] / (8.0 * np.pi**2)
        small.add_site(site)
    small.setup_cell_images()
    small.change_occupancies_to_crystallographic()
    calculator = gemmi.StructureFactorCalculatorX(small.cell)
    energy = gemmi.hc / 1.5405929
    real, imaginary = 0j, 0j
    f_prime = {
        row["element"]: gemmi.cromer_liberman(gemmi.Element(row["element"]).atomic_number, energy)
        for row in phase["sites"]
    }
    for element, (f1, _) in f_prime.items():
        calculator.addends.set(gemmi.Element(element), f1)
    real = calculator.calculate_sf_from_small_structure(small, hkl)
    for element, (_, f2) in f_prime.items():
        calculator.addends.set(gemmi.Element(element), f_prime[element][0] + f2)
    imaginary = calculator.calculate_sf_from_small_structure(small, hkl) - real
    return float(abs(real + 1j * imaginary) ** 2)


@pytest.mark.parametrize(("sample", "number"), FULL)
def test_structure_factors_agree_with_gemmi(truth: dict[str, Any], sample: str, number: int) -> None:
    for phase in truth["samples"][sample]["full_patterns"][number]["phases"]:
        for line in phase["first_reflections"]:
            assert line["f_squared"] == pytest.approx(neutral_f_squared(phase, line["hkl"]), rel=2e-4, abs=0.05), line


def test_cells_differ_from_the_models_and_atoms_do_not(reference_data: Path, truth: dict[str, Any]) -> None:
    for sample in SAMPLES:
        for pattern in truth["samples"][sample]["full_patterns"]:
            for phase in pattern["phases"]:
                model = tomllib.loads((reference_data / phase["model"]).read_text(encoding="utf-8"))
                sites = [(s["label"], s["element"], s["z"], s["occupancy"], s["b_iso"]) for s in model["sites"]]
                keys = ("label", "element", "z", "occupancy", "b_iso_A2")
                assert [tuple(s[k] for k in keys) for s in phase["sites"]] == sites
                assert [phase["a_A"], phase["c_A"]] == pytest.approx([model["cell"][0], model["cell"][2]], rel=0.03)


@pytest.mark.parametrize("sample", SAMPLES)
def test_full_patterns_and_series_tell_of_the_same_cell(truth: dict[str, Any], sample: str) -> None:
    own = truth["samples"][sample]
    for pattern in own["full_patterns"][2:]:
        near = min(own["frames"], key=lambda frame: abs(frame["voltage_V"] - pattern["voltage_V"]))
        phases = {phase["phase"]: phase for phase in pattern["phases"]}
        assert phases["O3'"]["c_A"] / 3.0 == pytest.approx(near["lines"][0]["d_A"], abs=0.005)
        weights = {line["phase"]: line["weight_fraction"] for line in near["lines"]}
        layers = weights.get("H13", 0.0) + weights["IG"] * near["intergrowth"]["h13_layer_fraction"]
        assert phases["H1-3"]["weight_fraction_without_Al"] == pytest.approx(layers, abs=0.04)
        assert sum(p["weight_fraction"] for p in pattern["phases"]) == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize(("sample", "number"), FULL)
def test_first_lines_of_full_patterns_have_the_area_of_the_truth(
    folder: Path, truth: dict[str, Any], sample: str, number: int
) -> None:
    """The lines at 18 to 20 degrees: their summed counts above the background, from weights and |F|^2."""
    pattern, model = truth["samples"][sample]["full_patterns"][number], truth["full_model"]
    x, counts, sigma = columns_of((folder / pattern["file"]).read_bytes()).T
    assert (x.size, x[0], x[-1]) == (4201, 15.0, 120.0)
    assert sigma == pytest.approx(np.sqrt(np.maximum(counts, 1.0)), abs=6e-4)
    assert abs(counts.sum() - pattern["expected_total_counts"]) < 4.5 * np.sqrt(pattern["expected_total_counts"])
    background = np.polynomial.chebyshev.Chebyshev(model["background_chebyshev_counts"], domain=[15.0, 120.0])(x)
    use = x < 27.0
    found = float((counts - background)[use].sum()) * model["step_deg"]
    expected, march = 0.0, pattern["march_coefficient"]
    for phase in pattern["phases"]:
        for line in phase["first_reflections"]:
            if phase["phase"] != "Al" and 4.0 < line["d_A"] < 5.0:  # (00l): the texture factor is r^-3
                strength = line["intensity_per_weight"] * march**-3
                expected += model["scale"] * phase["weight_fraction"] * strength
    # Lorentzian tails beyond the range hold up to 1.2 per cent of the broad lines of H1-3.
    assert found == pytest.approx(expected, rel=0.016)


def test_intensity_per_weight_of_the_series_follows_from_the_structures(truth: dict[str, Any]) -> None:
    factors = truth["series_model"]["intensity_per_weight"]
    own = truth["samples"]["P-LCO"]["full_patterns"]

    def factor(pattern: int, phase: str, hkl: list[int]) -> float:
        found = next(p for p in own[pattern]["phases"] if p["phase"] == phase)
        return float(next(x["intensity_per_weight"] for x in found["first_reflections"] if x["hkl"] == hkl))

    unit = factor(0, "O3", [0, 0, 3])
    assert factor(3, "O3'", [0, 0, 3]) / unit == pytest.approx(factors["O3p"], rel=3e-3)
    assert factor(3, "H1-3", [0, 0, 6]) / unit == pytest.approx(factors["H13"], rel=3e-3)
    assert factors["IG"] == pytest.approx(0.5 * (factors["O3p"] + factors["H13"]), abs=1e-4)


# --- layerscope -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", SAMPLES)
def test_readers_and_alignment_of_layerscope_see_what_was_simulated(
    folder: Path, truth: dict[str, Any], sample: str
) -> None:
    from layerscope.diffraction.readers import read

    from layerscope.cycler import CyclerColumnsTable, align, read_cycler, read_frame_log, with_log

    key, own, clocks = SAMPLES[sample], truth["samples"][sample], truth["clocks"]
    series = read(folder / f"{key}_frames.zip")
    assert (len(series), len({f.axis.tobytes() for f in series.frames}), series.problems, series.skipped) == (
        60,
        1,
        (),
        (),
    )
    assert {frame.intensity_unit for frame in series.frames} == {"counts"}
    assert {frame.radiation.alpha1 for frame in series.frames if frame.radiation} == {1.5405929}
    for frame, columns in zip(series.frames, frames_of(folder, sample), strict=True):
        assert np.array_equal(np.stack([frame.axis, frame.intensity], axis=1), columns)
    timed = with_log(series.frames, read_frame_log(folder / f"{key}_frames.csv"))
    columns = CyclerColumnsTable(
        time="Time [s]",
        voltage="Voltage [V]",
        current="Current [mA]",
        capacity="Capacity [mAh/g]",
        step="Step",
        capacity_is_net=True,
    )
    cycler = read_cycler(folder / f"{key}_cycler.csv", columns=columns).measurements[0]
    start = {"cycler_start": datetime.fromisoformat(clocks["cycler_start"][sample])}
    offset = {"clock_offset_s": clocks["clock_offset_s"], "clock_sigma_s": clocks["clock_sigma_s"], **start}
    assert cycler.capacity_unit == "mAh/g"

    def voltages(states):
        return np.array([state.voltage_V.value for state in states])

    voltage = np.array([frame["voltage_mean_V"] for frame in own["frames"]])
    assert np.abs(voltages(align(timed, cycler, **offset)) - voltage).max() < 1e-4
    late = voltages(align(timed, cycler, clock_offset_s=0.0, clock_sigma_s=2.0, **start))
    assert np.abs(late - voltage)[1:].max() > 3e-4  # who forgets the offset notices


@pytest.mark.parametrize(("sample", "number"), FULL)
def test_readers_open_the_full_patterns_with_their_errors(
    folder: Path, truth: dict[str, Any], sample: str, number: int
) -> None:
    from layerscope.diffraction.readers import read

    pattern = read(folder / truth["samples"][sample]["full_patterns"][number]["file"]).frames[0]
    assert pattern.intensity_unit == "counts"
    assert pattern.axis.size == 4201
    assert pattern.sigma() == pytest.approx(np.sqrt(np.maximum(pattern.intensity, 1.0)), abs=6e-4)
