from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from layerscope.records import Quantity, ResultRecord
from layerscope.runs.execute import execute
from layerscope.runs.load import Run
from layerscope.runs.plan import make_plan

pytest.importorskip("rsciio", reason="rosettasciio is not installed (pip install 'layerscope[em]')")

CASE = Path(__file__).resolve().parents[2] / "reference_data" / "eels_line_lco"


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """Return a copy of the reference case."""
    return Path(shutil.copytree(CASE, tmp_path / "case"))


def of(record: ResultRecord, name: str) -> Quantity:
    return next(q for q in record.quantities if q.name == name)


def places(run: Run) -> list[ResultRecord]:
    return [r for r in run.records if r.method == "eels.edges"]


def problems(recipe: Path) -> list[str]:
    (planned,) = make_plan(recipe).recipes
    return [str(problem.message) for problem in planned.pipeline.check(planned.recipe)]


def test_the_reference_case_is_recovered_within_its_errors(case: Path) -> None:
    run = execute(case / "recipe.toml", case / "run", figures=False).run
    truth = json.loads((CASE / "truth.json").read_text())["places"]
    pulls = []
    bulk = np.mean([place["maximum_eV"] for place in truth[7:]])
    for record, place in zip(places(run), truth, strict=True):
        assert record.state.depth_nm == pytest.approx(place["depth_nm"])
        for name, true in (
            ("edge.share", place["share"]),
            ("edge.maximum", place["maximum_eV"]),
            ("edge.maximum_change", place["maximum_eV"] - bulk),
        ):
            found = of(record, name)
            assert found.value is not None
            assert found.sigma
            assert set(found.budget) == {"counting", "ensemble", "background", "energy_scale"}
            assert found.sigma == pytest.approx(np.sqrt(sum(part**2 for part in found.budget.values())))
            pulls.append((found.value - true) / found.sigma)
    assert np.abs(pulls).max() < 3.2
    assert np.sqrt(np.mean(np.square(pulls))) < 1.4


def test_the_scan_states_its_axis_and_the_members_of_the_ensemble(case: Path) -> None:
    run = execute(case / "recipe.toml", case / "run", figures=False).run
    (scan,) = [r for r in run.records if r.method == "eels.scan"]
    truth = json.loads((CASE / "truth.json").read_text())["axis"]
    stretch = of(scan, "instrument.dispersion")
    assert stretch.value == pytest.approx(0.4 * (1 + truth["stretch"]), abs=3 * float(stretch.sigma or 0))
    assert sum("25 windows of the background" in note for note in scan.notes) == 2


def test_the_generator_gives_the_committed_bytes_again(tmp_path: Path) -> None:
    script = CASE.parent / "generate_eels_cases.py"
    subprocess.run([sys.executable, "-B", str(script), "--out", str(tmp_path)], check=True, capture_output=True)
    for path in (tmp_path / CASE.name).iterdir():
        assert (CASE / path.name).read_bytes() == path.read_bytes(), path.name


def test_one_bad_file_costs_itself_and_check_says_so_before(case: Path) -> None:
    bad = case / "place_03.msa"
    bad.write_bytes(bad.read_bytes()[:3000])
    assert any("no end of data" in text for text in problems(case / "recipe.toml"))
    found = execute(case / "recipe.toml", case / "run", figures=False)
    assert found.exit_code == 2
    assert len(found.failed) == 1
    assert len(places(found.run)) == 10


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()


@pytest.mark.parametrize("harm", ["nan", "vacuum", "cut before the edge"])
def test_bad_spectra_are_refused_alone_and_alike_by_check_and_run(case: Path, harm: str) -> None:
    path = case / "place_05.msa"
    lines = lines_of(path)
    begin = next(k for k, line in enumerate(lines) if line.startswith("#SPECTRUM")) + 1
    if harm == "nan":
        lines[begin + 4] = "nan, " + lines[begin + 4].partition(", ")[2]
    elif harm == "vacuum":
        lines[begin:-1] = ["1., 0., 2., 1., 0."] * (len(lines) - 1 - begin)
    else:
        kept = lines[begin : begin + 12]
        lines = [line.replace("1000.", "60.") for line in lines[:begin]] + kept + lines[-1:]
    path.write_text("\n".join(lines) + "\n")
    told = problems(case / "recipe.toml")
    found = execute(case / "recipe.toml", case / "run", figures=False)
    assert len(found.failed) == len(told) == 1
    assert found.failed[0].problem is not None
    assert found.failed[0].problem.message == told[0]


def test_a_wrong_edge_is_a_limit_and_an_edge_outside_the_data_is_refused(case: Path) -> None:
    recipe = case / "recipe.toml"
    text = recipe.read_text()
    recipe.write_text(text + '\n[[edges]]\nedge = "Fe L3"\narea_eV = [706, 730]\nmaximum_eV = [704, 714]\n')
    run = execute(recipe, case / "run", figures=False).run
    for record in places(run):
        iron = [q for q in record.quantities if q.component == "Fe L3"]
        assert all(q.name == "edge.area" for q in iron)
        assert iron[0].upper_limit is not None
        assert "NOT_DETECTED:Fe L3" in record.flags
    recipe.write_text(text + '\n[[edges]]\nedge = "Cu L3"\n')
    assert any("Cu L3" in text for text in problems(recipe))
    found = execute(recipe, case / "other", figures=False)
    assert found.failed
    assert not places(found.run) or all(r.status == "failed" for r in places(found.run))


def test_an_axis_that_nothing_calibrates_says_so_and_has_its_error(case: Path) -> None:
    recipe = case / "recipe.toml"
    text = recipe.read_text()
    head, _, rest = text.partition("[calibration]")
    recipe.write_text(head + rest[rest.index("[[edges]]") :].replace("775, 785", "770, 785"))
    run = execute(recipe, case / "run", figures=False).run
    found = of(places(run)[4], "edge.maximum")
    assert found.budget["energy_scale"] > 1.0
    assert any(flag.startswith("AXIS_UNCALIBRATED") for flag in places(run)[4].flags)
    assert of(places(run)[4], "edge.maximum_change").budget["energy_scale"] < 0.1


def test_ratio_of_white_lines_always_carries_its_caveat(case: Path) -> None:
    run = execute(case / "recipe.toml", case / "run", figures=False).run
    assert all("PLURAL_SCATTERING" in record.flags for record in places(run))


def test_swapped_names_are_flagged_through_the_pipeline(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(
        'layerscope = 1\npipeline = "eels"\nsample = "NMC"\nbackground = "taken off"\n'
        '[[series]]\nfiles = ["Co_edge.msa"]\n[[edges]]\nedge = "Co L3"\nonset_eV = 830\nmaximum_eV = [825, 845]\n'
    )
    shutil.copy(shared_data / "eels" / "Co_edge.msa", tmp_path)
    run = execute(tmp_path / "recipe.toml", tmp_path / "run", figures=False).run
    (record,) = places(run)
    assert record.status == "warning"
    assert any(flag.startswith("NAME_DISAGREES") for flag in record.flags)
    assert "BACKGROUND_TAKEN_OFF" in record.flags
    assert of(record, "edge.maximum").value == pytest.approx(834.9, abs=0.6)


def test_a_real_spectrum_image_shows_its_surface(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(
        'layerscope = 1\npipeline = "eels"\nsample = "NMC"\nreference = [14, 15, 16, 17, 18, 19, 20]\n'
        '[[series]]\nfiles = ["scan.dm3"]\n[calibration]\nedges = [\n'
        '{ edge = "O K main", near_eV = [524, 536], energy_eV = 541, sigma_eV = 0.5 },\n'
        '{ edge = "Mn L3", near_eV = [626, 636], energy_eV = 642, sigma_eV = 0.4 },\n]\n'
        '[[edges]]\nedge = "O K"\nonset_eV = 528\narea_eV = [526, 566]\nprepeak_eV = [527, 533]\n'
        '[[edges]]\nedge = "Mn L3"\narea_eV = [636, 666]\nmaximum_eV = [638, 648]\n'
    )
    shutil.copy(shared_data / "eels" / "TM+O_EELS_Spectrum_Image.dm3", tmp_path / "scan.dm3")
    run = execute(tmp_path / "recipe.toml", tmp_path / "run", figures=False).run
    found = places(run)
    assert len(found) == 21
    second, middle = found[1], found[10]
    for name in ("edge.share_change", "edge.maximum_change"):
        near, deep = of(second, name), of(middle, name)
        assert near.value is not None
        assert near.value < -2 * float(near.sigma or 1)
        assert abs(float(deep.value or 0)) < 2.5 * float(deep.sigma or 0)


def test_a_map_holds_the_area_of_every_place_and_its_profile(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(
        'layerscope = 1\npipeline = "eels"\nsample = "NMC"\n[[series]]\nfiles = ["scan.dm3"]\nmap = true\n'
        '[[edges]]\nedge = "Mn L3"\nonset_eV = 628\narea_eV = [625, 654]\n'
    )
    shutil.copy(shared_data / "eels" / "TM+O_EELS_Spectrum_Image.dm3", tmp_path / "scan.dm3")
    found = execute(tmp_path / "recipe.toml", tmp_path / "run")
    assert not found.warnings
    assert any(name.endswith("_maps.png") for name in found.run.info["figures"])
    (kept,) = [one for one in (lazy.load() for lazy in found.run.arrays.values()) if one.metadata["fit"] == "map"]
    assert kept.counts.shape == (2, 21)
    profile = np.array([of(record, "edge.area").value for record in places(found.run)], float)
    assert kept.counts.sum(axis=0)[5:] == pytest.approx(profile[5:], rel=0.02)


def test_noise_has_no_maximum(case: Path) -> None:
    recipe = case / "recipe.toml"
    recipe.write_text(
        recipe.read_text() + '\n[[edges]]\nedge = "Fe L3"\narea_eV = [700, 730]\nmaximum_eV = [704, 714]\n'
    )
    run = execute(recipe, case / "run", figures=False).run
    stated = [q for r in places(run) for q in r.quantities if q.component == "Fe L3" and q.name == "edge.maximum"]
    assert not stated


def test_a_spike_is_replaced_and_named(case: Path) -> None:
    clean = execute(case / "recipe.toml", case / "clean", figures=False).run
    path = case / "place_06.msa"
    lines = lines_of(path)
    begin = next(k for k, line in enumerate(lines) if line.startswith("#SPECTRUM")) + 1
    row = lines[begin + 30].split(", ")  # channel 150 of 1000, in the pre-peak
    row[0] = f"{2 * float(row[0]):.0f}."
    lines[begin + 30] = ", ".join(row)
    path.write_text("\n".join(lines) + "\n")
    run = execute(case / "recipe.toml", case / "run", figures=False).run
    assert [flag for flag in places(run)[6].flags if flag.startswith("GLITCH")] == ["GLITCH:530.0 eV"]
    before, after = (of(places(one)[6], "edge.share") for one in (clean, run))
    assert before.value == pytest.approx(float(after.value or 0), abs=float(after.sigma or 0))
    assert not [f for k, r in enumerate(places(run)) if k != 6 for f in r.flags if f.startswith("GLITCH")]
