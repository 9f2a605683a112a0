"""The simulated cases: made again byte for byte, unchanged since, and distributed as their truth says.

The files are read here with a few lines of their own, and the truth is turned into spectra with another formula than
the generator's: the Shirley background by numerical integration instead of in closed form.
"""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import cumulative_simpson
from scipy.stats import cauchy, norm

CASES = ("xps_b1s_li_rich", "xps_b1s_lco_cei", "xps_in3d_null")
FILES = (
    ("xps_b1s_li_rich", "li_rich_5000.vms"),
    ("xps_b1s_li_rich", "li_rich_300.vms"),
    ("xps_b1s_lco_cei", "lco_pristine.vms"),
    ("xps_b1s_lco_cei", "lco_100_cycles.pro"),
    ("xps_in3d_null", "li3incl6_before.vms"),
    ("xps_in3d_null", "li3incl6_4.7V.vms"),
    ("xps_in3d_null", "li3incl6_4.7V_oxide.vms"),
)
FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))


def load_truth(folder: Path) -> dict[str, Any]:
    truth: dict[str, Any] = json.loads((folder / "truth.json").read_text(encoding="ascii"))
    return truth


def vamas_spectra(data: bytes) -> list[dict[str, Any]]:
    """Read back what the generator writes: no more of the format than that."""
    lines = iter(data.decode("ascii").split("\r\n"))

    def skip(count: int) -> None:
        for _ in range(count):
            next(lines)

    skip(5)
    skip(int(next(lines)))
    mapped = next(lines) == "MAP"
    regular = next(lines) == "REGULAR"
    skip(1 + 3 * mapped)
    variables = int(next(lines))
    skip(2 * variables + 4)
    spectra = [_vamas_block(lines, mapped, regular, variables) for _ in range(int(next(lines)))]
    assert next(lines) == "end of experiment"
    return spectra


def _vamas_block(lines: Iterator[str], mapped: bool, regular: bool, variables: int) -> dict[str, Any]:
    def take(count: int) -> list[str]:
        return [next(lines) for _ in range(count)]

    region = take(9)[0]
    take(int(next(lines)))
    take(1 + 2 * mapped)
    etch = [float(value) for value in take(variables)]
    hv = float(take(2)[1])
    take(3 + 2 * mapped + 2)
    take(9)
    take(3)
    axis = take(4) if regular else []
    labels = take(2 * int(next(lines)))[::2]
    _, dwell, scans = take(3)
    take(5)
    ordinates = int(next(lines))
    take(2 * len(labels))
    columns = np.array(take(ordinates), dtype=float).reshape(-1, len(labels)).T
    if regular:
        energy, label = float(axis[2]) + float(axis[3]) * np.arange(columns.shape[1]), axis[0]
    else:
        energy, label, columns = columns[0], labels[0], columns[1:]
    energy = hv - energy if label == "Kinetic Energy" else energy
    return {
        "region": region,
        "etch_time_s": etch[0] if etch else None,
        "energy": energy[::-1],
        "counts": columns[0][::-1],
        "transmission": columns[1][::-1] if len(columns) > 1 else None,
        "time": float(dwell) * int(scans),
    }


def phi_spectra(data: bytes) -> list[dict[str, Any]]:
    """Read back the .pro file, ordered by level and then region like the VAMAS files."""
    text, binary = data.split(b"EOFH\r\n", 1)
    definitions = [line.split()[3:] for line in text.decode("ascii").splitlines() if line.startswith("SpectralRegDef:")]
    entries = [struct.unpack_from("<24I", binary, 16 + 96 * n) for n in range(struct.unpack_from("<4I", binary)[1])]
    etch_entry = next(entry for entry in entries if entry[4] == 8)
    etch = np.frombuffer(binary, "<f4", etch_entry[19] // 4, etch_entry[20]).reshape(len(definitions), -1)
    found = []
    for number, (name, _, points, step, start, *rest) in enumerate(definitions):
        entry = entries[number]
        rates = np.frombuffer(binary, "<f4", entry[19] // 4, entry[20]).reshape(entry[6], entry[5])
        assert entry[5] == int(points)
        energy = float(start) + float(step) * np.arange(int(points))
        time = float(rest[3])
        for level, rate in enumerate(rates):
            spectrum = {"region": f"{name[:-2]} {name[-2:]}", "etch_time_s": etch[number, level], "time": time}
            spectrum |= {"energy": energy[::-1], "counts": rate[::-1].astype(float) * time, "transmission": None}
            found.append((level, number, spectrum))
    return [spectrum for _, _, spectrum in sorted(found, key=lambda item: item[:2])]


def spectra_with_truth(folder: Path, name: str) -> list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Pair every spectrum of a file with the truth of its region and of its level."""
    data = (folder / name).read_bytes()
    spectra = phi_spectra(data) if name.endswith(".pro") else vamas_spectra(data)
    levels = load_truth(folder)["files"][name]["levels"]
    truths = [(region, truth, level) for level in levels for region, truth in level["regions"].items()]
    assert [spectrum["region"] for spectrum in spectra] == [region for region, _, _ in truths]
    return [(spectrum, truth, level) for spectrum, (_, truth, level) in zip(spectra, truths, strict=True)]


def expected_counts(energy: np.ndarray, truth: dict[str, Any]) -> np.ndarray:
    """Return the expectation from the truth: the peak on a fine grid, its Shirley background integrated by Simpson."""
    background = truth["background"]
    grid = np.linspace(energy[0] - 30.0, energy[-1] + 5.0, 12001)
    peak = np.zeros_like(grid)
    below = 0.0
    for line in truth["lines"]:
        center, fwhm, eta = line["position_measured_eV"], line["fwhm_eV"], line["mixing"]
        gauss, lorentz = norm(center, fwhm / FWHM_PER_SIGMA), cauchy(center, fwhm / 2.0)
        peak += line["area_counts_eV"] * ((1.0 - eta) * gauss.pdf(grid) + eta * lorentz.pdf(grid))
        below += line["area_counts_eV"] * ((1.0 - eta) * gauss.cdf(grid[0]) + eta * lorentz.cdf(grid[0]))
    step = background["shirley_k_per_eV"] * (below + cumulative_simpson(peak, x=grid, initial=0.0))
    straight = background["baseline_counts"] + background["baseline_slope_counts_per_eV"] * (
        energy - background["reference_eV"]
    )
    return np.asarray(np.interp(energy, grid, peak + step) + straight)


@pytest.fixture(scope="module")
def regenerated(tmp_path_factory: pytest.TempPathFactory, reference_data: Path) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    script = reference_data / "generate_xps_cases.py"
    subprocess.run([sys.executable, "-B", str(script), "--out", str(folder)], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("case", CASES)
def test_generator_gives_the_committed_bytes_again(regenerated: Path, reference_data: Path, case: str) -> None:
    made = {path.name: path.read_bytes() for path in (regenerated / case).iterdir()}
    assert made
    for name, data in made.items():
        assert (reference_data / case / name).read_bytes() == data, name


@pytest.mark.parametrize("case", CASES)
def test_checksums_match_and_cover_every_data_file(reference_data: Path, case: str) -> None:
    folder = reference_data / case
    listed = {}
    for line in (folder / "SHA256SUMS").read_text(encoding="ascii").splitlines():
        digest, name = line.split("  ")
        listed[name] = digest
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    assert set(listed) == {name for owner, name in FILES if owner == case} | {"truth.json"}


def test_generator_uses_nothing_of_layerscope(reference_data: Path) -> None:
    sources = [reference_data / "generate_xps_cases.py", *(reference_data / "_generate").glob("*.py")]
    assert len(sources) > 5
    for path in sources:
        lines = path.read_text(encoding="utf-8").splitlines()
        imports = [line for line in lines if line.lstrip().startswith(("import ", "from "))]
        assert not [line for line in imports if "layerscope" in line], path.name


@pytest.mark.parametrize(("case", "name"), FILES)
def test_counts_scatter_about_the_truth_like_poisson_counts(reference_data: Path, case: str, name: str) -> None:
    chi2, points = 0.0, 0
    for spectrum, truth, level in spectra_with_truth(reference_data / case, name):
        expected = expected_counts(spectrum["energy"], truth)
        where = f"{spectrum['region']} level {level['level']}"
        assert expected.sum() == pytest.approx(truth["expected_total_counts"], rel=2e-6), where
        assert abs(spectrum["counts"].sum() - expected.sum()) < 4.5 * np.sqrt(expected.sum()), where
        chi2 += float(((spectrum["counts"] - expected) ** 2 / expected).sum())
        points += expected.size
    # The truth has no free parameter, so chi2 has one degree of freedom a point and a deviation of sqrt(2 n).
    assert abs(chi2 - points) < 4.0 * np.sqrt(2.0 * points)


@pytest.mark.parametrize(("case", "name"), FILES)
def test_files_hold_the_axes_times_and_etch_times_of_the_truth(reference_data: Path, case: str, name: str) -> None:
    exponent = load_truth(reference_data / case)["files"][name]["transmission_exponent"]
    for spectrum, truth, level in spectra_with_truth(reference_data / case, name):
        energy = spectrum["energy"]
        assert energy.size == truth["points"]
        assert energy[[0, -1]] == pytest.approx([truth["low_eV"], truth["high_eV"]], abs=1e-6)
        assert spectrum["time"] == pytest.approx(truth["live_time_s"])
        assert spectrum["etch_time_s"] == level["etch_time_s"]
        assert np.abs(spectrum["counts"] - spectrum["counts"].round()).max() < 0.01
        if exponent:
            assert spectrum["transmission"] == pytest.approx(((1486.6 - energy) / 1000.0) ** -exponent, rel=2e-6)
        else:
            assert spectrum["transmission"] is None


@pytest.mark.parametrize(("case", "name"), FILES)
def test_areas_follow_from_the_composition_and_the_stated_factors(reference_data: Path, case: str, name: str) -> None:
    truth = load_truth(reference_data / case)
    exponent, flux = (truth["files"][name][key] for key in ("transmission_exponent", "flux_counts_eV_per_s"))
    for level in truth["files"][name]["levels"]:
        atomic = level["atomic_fraction"]
        assert sum(atomic.values()) == pytest.approx(1.0, abs=1e-8)
        found: dict[str, float] = {}
        for region, part in level["regions"].items():
            for line in part["lines"]:
                assert line["position_measured_eV"] == pytest.approx(line["position_eV"] + level["charge_shift_eV"])
                kinetic = 1486.6 - line["position_measured_eV"]
                transmission = (kinetic / 1000.0) ** -exponent
                share = line["area_counts_eV"] / (line["rsf"] * transmission * flux * part["live_time_s"])
                element = line["line"].split()[0]
                key = element if line["fraction"] is not None else f"{element} in {region}"
                found[key] = found.get(key, 0.0) + share
        for element, fraction in atomic.items():
            assert found.get(element, 0.0) == pytest.approx(fraction, abs=1e-7), (element, level["level"])
        assert found.get("P in B 1s", 0.0) == pytest.approx(atomic.get("P", 0.0), abs=1e-7)


def test_li_rich_truth_is_the_profile_of_the_brief(reference_data: Path) -> None:
    truth = load_truth(reference_data / "xps_b1s_li_rich")
    for name, height in (("li_rich_5000.vms", 5000), ("li_rich_300.vms", 300)):
        levels = truth["files"][name]["levels"]
        assert [level["etch_time_s"] for level in levels] == [0, 10, 20, 30, 40, 50]
        fractions = [level["species_fraction"]["B 1s"]["TM-O-B"] for level in levels]
        saturated = truth["summary"]["tm_o_b_saturated_fraction"]
        assert fractions == pytest.approx([0.0, saturated / 2, *[saturated] * 4])
        areas = [level["regions"]["B 1s"]["area_counts_eV"] for level in levels]
        assert areas == sorted(areas, reverse=True)
        splittings = [level["mn_3s_splitting_eV"] for level in levels]
        assert splittings == sorted(splittings)
        spectrum = vamas_spectra((reference_data / "xps_b1s_li_rich" / name).read_bytes())[0]
        peak = spectrum["counts"].max() - spectrum["counts"][:40].mean()
        assert peak == pytest.approx(height, rel=0.25)


def test_boron_fluoride_and_phosphorus_come_with_cycling_only(reference_data: Path) -> None:
    files = load_truth(reference_data / "xps_b1s_lco_cei")["files"]
    for level in files["lco_pristine.vms"]["levels"]:
        assert set(level["species_fraction"]["B 1s"]) == {"B-O"}
        assert not level["regions"]["P 2p"]["lines"]
        assert not level["regions"]["F 1s"]["lines"]
    for level in files["lco_100_cycles.pro"]["levels"]:
        assert set(level["species_fraction"]["B 1s"]) == {"B-O", "B-F"}
        p_2s = [line for line in level["regions"]["B 1s"]["lines"] if line["line"] == "P 2s"]
        assert len(p_2s) == 1
        assert p_2s[0]["fraction"] is None


def test_oxide_is_in_the_twin_only(reference_data: Path) -> None:
    files = load_truth(reference_data / "xps_in3d_null")["files"]
    found = {name: file["levels"][0]["species_fraction"]["In 3d"].get("In2O3", 0.0) for name, file in files.items()}
    assert found == {"li3incl6_before.vms": 0.0, "li3incl6_4.7V.vms": 0.0, "li3incl6_4.7V_oxide.vms": 0.05}


@pytest.mark.parametrize(("case", "name"), FILES)
def test_readers_of_layerscope_see_what_was_simulated(reference_data: Path, case: str, name: str) -> None:
    from layerscope.spectra.xps.readers import read

    dataset = read(reference_data / case / name)
    file = load_truth(reference_data / case)["files"][name]
    assert set(dataset.regions()) == set(file["levels"][0]["regions"])
    for region in dataset.regions():
        for spectrum, level in zip(dataset.levels(region), file["levels"], strict=True):
            truth = level["regions"][region]
            assert (spectrum.level, spectrum.etch_time_s) == (level["level"], level["etch_time_s"])
            assert spectrum.sample == file["sample"]
            assert spectrum.excitation_energy_eV == file["excitation_energy_eV"]
            assert spectrum.pass_energy_eV == file["pass_energy_eV"]
            assert spectrum.work_function_eV == pytest.approx(file["work_function_eV"])
            assert spectrum.exposure_s == pytest.approx(truth["live_time_s"])
            assert (spectrum.transmission is not None) == bool(file["transmission_exponent"])
            energy = spectrum.binding_energy
            counts = spectrum.counts * (1.0 if spectrum.intensity_unit == "counts" else truth["live_time_s"])
            expected = expected_counts(energy, truth)
            assert energy.size == truth["points"]
            chi2 = float(((counts - expected) ** 2 / expected).sum())
            assert abs(chi2 - energy.size) < 5.0 * np.sqrt(2.0 * energy.size), (region, level["level"])
