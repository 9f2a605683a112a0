"""What a person reads: tables on narrow pages, the short end of a long run, filters, and what the library knows."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

import layerscope
from layerscope.cli import main
from layerscope.cli.render import print_run
from layerscope.runs.execute import RunSummary
from layerscope.runs.load import Run
from layerscope.runs.present import summary_tables
from layerscope.runs.summary import Column

REFERENCE = ("xps_b1s_lco_cei/recipe.toml", "insitu_lco_003/recipe.toml", "insitu_lco_003/recipe_rietveld.toml")


@pytest.mark.parametrize("recipe", REFERENCE)
@pytest.mark.parametrize("width", [80, 120])
def test_every_value_of_a_reference_run_stands_on_a_narrow_page(
    recipe: str,
    width: int,
    reference_run: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    folder = reference_run(recipe)
    assert main(["show", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    for table in summary_tables(layerscope.load_run(folder)):
        part = shown[shown.index(table.title) :]
        for row in table.rows:
            for column, cell in zip(table.fields, row, strict=True):
                assert column.kind != "value" or cell in part, (table.title, column.heading)
        assert "status" in part


@pytest.mark.parametrize("recipe", REFERENCE)
def test_all_shows_every_quantity_of_every_record(
    recipe: str,
    reference_run: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    folder = reference_run(recipe)
    assert main(["show", str(folder), "--all"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    for record in layerscope.load_run(folder).records:
        assert all(Column("").text(quantity) in shown for quantity in record.quantities)


def test_the_end_of_a_long_run_fits_on_a_page_and_says_how_to_see_the_rest(
    reference_run: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    runs = [layerscope.load_run(reference_run(recipe)) for recipe in REFERENCE]
    records = tuple(record for run in runs for record in run.records)
    counts = {"records": len(records), "ok": len(records), "warning": 0, "failed": 0}
    run = Run(runs[0].folder, records, {**runs[0].info, "counts": counts})
    print_run(RunSummary(runs[0].folder, run, 6, 0, changed=True))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 60
    for sample in {record.state.sample for record in records}:
        assert any(line.startswith(f"{sample} (") for line in lines)
    assert f"layerscope show {run.folder} (--sample, --region, " in " ".join(lines)
    composition = next(r for r in records if r.method == "xps.composition" and r.state.etch_time_s == 0)
    assert composition.get("composition.atomic_fraction", "C").text() in "\n".join(lines)


def test_however_many_samples_there_are_the_end_stays_short(
    recipe_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = []
    for number in range(70):
        (recipe_folder / f"{number}.toml").write_text(
            f'layerscope = 1\npipeline = "toy"\nsample = "sample {number}"\nfiles = ["one.txt"]\nscale = 1.{number}\n'
        )
        names.append(f'"{number}.toml"')
    (recipe_folder / "study.toml").write_text(f"layerscope = 1\nrecipes = [{', '.join(names)}]\n")
    assert main(["run", str(recipe_folder / "study.toml"), "-o", str(tmp_path / "run")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 60
    told = sum(line.startswith("sample ") for line in lines)
    assert f"... and {70 - told} more" in lines


def test_a_pipe_gets_lines_of_a_readable_width(
    recipe_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    (recipe_folder / "two.txt").write_text("0 crash\n")
    main(["run", str(recipe_folder / "recipe.toml"), "-o", str(tmp_path / "run"), "--quiet"])
    capsys.readouterr()
    main(["show", str(tmp_path / "run")])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert "division by zero" in " ".join(lines)


def test_show_is_narrowed_by_sample_technique_and_status(
    recipe_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (recipe_folder / "two.txt").write_text("")
    main(["run", str(recipe_folder / "recipe.toml"), "-o", str(tmp_path / "run"), "--quiet"])
    capsys.readouterr()
    assert main(["show", str(tmp_path / "run"), "--status", "failed"]) == 0
    shown = capsys.readouterr().out
    assert "is empty" in shown
    assert "0.25(3)" not in shown
    assert main(["show", str(tmp_path / "run"), "--sample", "lro", "--technique", "toy", "--status", "ok"]) == 0
    shown = capsys.readouterr().out
    assert "is empty" not in shown
    assert "0.25(3)" in shown
    assert main(["show", str(tmp_path / "run"), "--sample", "LCO"]) == 1
    assert "no record matches" in capsys.readouterr().err


def test_show_gives_programs_numbers_and_refuses_a_form_it_does_not_know(
    recipe_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", str(recipe_folder / "recipe.toml"), "-o", str(tmp_path / "run"), "--quiet"])
    capsys.readouterr()
    assert main(["show", str(tmp_path / "run"), "--format", "tsv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out), delimiter="\t"))
    assert [float(row["A"]) for row in rows] == [0.25, 0.5, 0.9]
    assert main(["show", str(tmp_path / "run"), "--format", "docx"]) == 1
    assert "one of text, csv, tsv, markdown, latex" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "there", "not_there"),
    [
        (["species", "B", "1s"], ("TM-O-B", "191.1", "10.1002/adma.202414195", "secondary"), "O 1s"),
        (["species", "P"], ("LixPOyFz",), "C 1s"),
        (["species", "fluoride"], ("LiF", "684.8–686.5"), "B2O3"),
        (["rsf", "O 1s"], ("scofield", "2.93", "Scofield, J. Electron", "wagner_1981"), "In 3d"),
        (["rsf", "In", "wagner_1981"], ("In 3d5/2", "15.6"), "kratos"),
        (["phases", "lco"], ("LiCoO2_O3", "2.8156", "R -3 m:H", "COD 4505482"), "Elcombe"),
    ],
)
def test_the_library_says_what_it_knows_and_from_where(
    arguments: list[str],
    there: tuple[str, ...],
    not_there: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert all(word in " ".join(shown.split()) for word in there)
    assert not_there not in shown


def test_what_the_library_does_not_know_is_said_with_exit_code_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["phases", "unobtainium"]) == 1
    assert capsys.readouterr().err == "nothing is known of 'unobtainium' (see: layerscope phases)\n"


@pytest.mark.parametrize(("topic", "rows"), [("species", 100), ("rsf", 20), ("phases", 15)])
def test_everything_that_is_known_is_listed_with_a_source(
    topic: str, rows: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([topic, "--format", "csv"]) == 0
    listed = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(listed) >= rows
    assert topic == "rsf" or all(row["source"] for row in listed)
