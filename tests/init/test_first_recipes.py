"""First recipes: what files hold becomes a recipe that passes its check, and says what was assumed."""

from __future__ import annotations

import shutil
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerscope.cli import main
from layerscope.errors import ReaderError, RecipeError
from layerscope.init import RecipeText, first_recipes
from layerscope.init.text import toml_value
from layerscope.runs.execute import execute
from layerscope.runs.plan import check_plan, make_plan

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "reference_data"
REAL = [
    ("xps/FeO_analyzed.vms", "xps"),
    ("xps/ARXPS.vms", "xps"),
    ("xps/Mn_references.vms", "xps"),
    ("xps/irregular.vms", "xps_survey"),
    ("sxas/SigScan.25702", "sxas"),
    ("sxas/SigScan75331-0001.txt", "sxas"),
    ("eels/eelsdb_YAG_O_K.msa", "eels"),
    ("eels/Co_edge.msa", "eels"),
    ("xrd/weighed_mixtures/TiO2_0p4009-ZnO_0p6010--2min.xrdml", "rietveld"),
    ("xrd/operando_coin_cell/coincell8.zip", "xrd_peaks"),
    ("hrtem/lco_100_r17.tif", "hrtem"),
]


def recipe_of(given: list[Path], out: Path, **how: Any) -> dict[str, Any]:
    first_recipes(given, out, **how)
    return tomllib.loads(out.read_text("utf-8"))


def problems_of(recipe: Path, data: Path) -> list[str]:
    return [problem.message for _, problem in check_plan(make_plan(recipe, data=data))]


@pytest.mark.parametrize(("name", "pipeline"), REAL)
def test_a_real_file_gives_a_recipe_that_passes_its_check(
    name: str, pipeline: str, shared_data: Path, tmp_path: Path
) -> None:
    file = shared_data / name
    made = recipe_of([file], tmp_path / "recipe.toml")
    assert made["pipeline"] == pipeline
    assert problems_of(tmp_path / "recipe.toml", file.parent) == []
    assert "assumed" in (tmp_path / "recipe.toml").read_text("utf-8")


def test_a_first_recipe_runs_to_records(tmp_path: Path) -> None:
    shutil.copy(CASES / "eels_line_lco" / "place_00.msa", tmp_path)
    made = recipe_of([tmp_path / "place_00.msa"], tmp_path / "recipe.toml")
    assert {edge["edge"] for edge in made["edges"]} >= {"O K", "Co L3"}
    summary = execute(tmp_path / "recipe.toml", tmp_path / "run", figures=False)
    assert summary.exit_code in (0, 2)
    assert {record.method for record in summary.run.records} == {"eels.edges", "eels.scan"}


def test_regions_charge_reference_and_species_of_a_depth_profile_are_found(tmp_path: Path) -> None:
    made = recipe_of([CASES / "xps_b1s_lco_cei" / "lco_pristine.vms"], tmp_path / "recipe.toml")
    assert {"B 1s", "C 1s", "O 1s", "F 1s", "P 2p"} <= {region["region"] for region in made["regions"]}
    assert made["charge"] == {"reference": "C 1s"}
    species = {region["region"]: region["components"][0]["species"] for region in made["regions"]}
    assert species["C 1s"] == "C-C/C-H"
    assert species["B 1s"] == "B-O"
    assert species["O 1s"] == "lattice oxide"
    assert "nothing stands out" in (tmp_path / "recipe.toml").read_text("utf-8")  # there is no fluorine yet


def test_series_are_paired_with_logs_and_cyclers_by_their_clocks(tmp_path: Path) -> None:
    case = CASES / "insitu_lco_003"
    names = ("p_lco_frames.zip", "b_lco_frames.zip", *(f"{s}_lco_{k}.csv" for s in "pb" for k in ("frames", "cycler")))
    made = recipe_of([case / name for name in names], tmp_path / "recipe.toml")
    assert made["components"] == "lco_003"
    for series, letter, day in zip(made["series"], "pb", (17, 18), strict=True):
        assert series["frames"] == {"log": f"{letter}_lco_frames.csv"}
        assert series["cycler"]["file"] == f"{letter}_lco_cycler.csv"
        assert series["cycler"]["start"] == datetime(2025, 9, day, 8, 9, 18)  # the record has no date of its own
    assert problems_of(tmp_path / "recipe.toml", case) == []


def test_the_clock_of_a_real_cycler_is_used(shared_data: Path, tmp_path: Path) -> None:
    made = recipe_of([shared_data / "xrd/operando_coin_cell/coincell8.zip"], tmp_path / "recipe.toml")
    (series,) = made["series"]
    assert series["frames"]["log_member"].endswith("reduced.csv")
    assert series["cycler"]["member"].endswith(".ndax")
    assert "start" not in series["cycler"]


@pytest.mark.parametrize(
    ("name", "phases"),
    [
        ("xrd/licoo2_lab/LiCoO2.UXD", ["LiCoO2_O3"]),
        ("xrd/nist_660c/nist_srm660c_100a.cif", ["LaB6"]),
        ("xrd/weighed_mixtures/V2O5_0p6008-ZnO_0p4010--8min.xrdml", ["V2O5", "ZnO"]),
    ],
)
def test_phases_of_the_library_are_recognised(name: str, phases: list[str], shared_data: Path, tmp_path: Path) -> None:
    made = recipe_of([shared_data / name], tmp_path / "recipe.toml")
    assert sorted(phase["library"] for phase in made["phases"]) == phases


def test_files_of_several_kinds_need_a_study_and_make_one(tmp_path: Path) -> None:
    shutil.copy(CASES / "xps_in3d_null" / "li3incl6_before.vms", tmp_path)
    shutil.copy(CASES / "sxas_bk_cei" / "pristine.txt", tmp_path)
    (tmp_path / "notes.txt").write_text("nothing to see\n")
    with pytest.raises(RecipeError, match=r"make 2 recipes: .*--study"):
        first_recipes([tmp_path], tmp_path / "study.toml")
    written, left, _ = first_recipes([tmp_path], tmp_path / "study.toml", study=True)
    study = tomllib.loads((tmp_path / "study.toml").read_text("utf-8"))
    assert study["recipes"] == ["study_sxas.toml", "study_xps.toml"]
    assert [one.pipeline for one in written] == ["sxas", "xps", "study"]
    assert [path.name for path in left] == ["notes.txt"]
    assert problems_of(tmp_path / "study.toml", tmp_path) == []


def test_many_files_become_a_pattern_and_not_all_are_opened(tmp_path: Path) -> None:
    x = np.arange(10.0, 30.0, 0.05)
    for number in range(60):
        y = 200 + 3000 * np.exp(-(((x - 18.9 - 0.001 * number) / 0.1) ** 2))
        rows = "".join(f"{a:.2f} {int(b)}\n" for a, b in zip(x, y, strict=True))
        (tmp_path / f"scan_{number:03d}.xy").write_text(rows)
    made = recipe_of([tmp_path], tmp_path / "recipe.toml")
    assert [series["files"] for series in made["series"]] == [["scan_*.xy"]]
    assert made["radiation"] == {"anode": "Cu"}


def test_nothing_is_written_over_and_missing_files_are_named(tmp_path: Path) -> None:
    file = CASES / "sxas_bk_cei" / "pristine.txt"
    (tmp_path / "recipe.toml").write_text("mine")
    with pytest.raises(RecipeError, match="is there already"):
        first_recipes([file], tmp_path / "recipe.toml")
    assert (tmp_path / "recipe.toml").read_text() == "mine"
    with pytest.raises(ReaderError, match="no such file"):
        first_recipes([tmp_path / "absent.vms"], tmp_path / "other.toml")
    with pytest.raises(RecipeError, match="did you mean 'sxas'"):
        first_recipes([file], tmp_path / "other.toml", technique="sxaz")


def test_the_command_says_what_comes_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "recipe.toml"
    assert main(["init", str(CASES / "sxas_bk_cei" / "pristine.txt"), "-o", str(out)]) == 0
    assert f"next: layerscope run {out} --data" in capsys.readouterr().out


@pytest.mark.parametrize(
    "value",
    [True, 3, 1.5, 1e-12, 'a"b\\c\nü\x7f', [1, [2.5, "x"]], {"a": 1, "b c": [True]}, datetime(2026, 1, 2, 3, 4, 5)],
)
def test_values_come_back_from_toml_as_they_were(value: object) -> None:
    assert tomllib.loads(f"key = {toml_value(value)}") == {"key": value}


def test_a_comment_cannot_break_out_of_its_line() -> None:
    text = RecipeText("xps", "s", "t")
    text.note('first\nsample = "other"')
    text.table("[x]")
    text.key("a", 1, "one\nb = 2 \x1b[31m")
    assert tomllib.loads(text.text()) == {
        "layerscope": 1,
        "pipeline": "xps",
        "title": "t",
        "sample": "s",
        "x": {"a": 1},
    }
