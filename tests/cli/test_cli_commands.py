from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from layerscope.cli import main


@pytest.fixture
def out(recipe_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A finished run with one quarantined file."""
    (recipe_folder / "two.txt").write_text("")
    assert main(["run", str(recipe_folder / "recipe.toml"), "--out", str(tmp_path / "run")]) == 2
    capsys.readouterr()
    return tmp_path / "run"


@pytest.fixture(autouse=True)
def no_lines_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no run be told as a long one where the machine is busy."""
    monkeypatch.setattr("layerscope.cli.progress.LINE_EVERY_S", float("inf"))


def test_run_ends_with_the_table_and_where_everything_lies(
    recipe_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["run", str(recipe_folder / "recipe.toml"), "--out", str(tmp_path / "run")])
    shown = capsys.readouterr()
    assert code == 0
    assert shown.err == ""
    assert "0.25(3)" in shown.out  # 100 of 400 counts: 0.25 +- 0.025
    assert "0.50(4)" in shown.out
    assert "3 records (3 ok); tasks: 2 done now, 0 found done" in shown.out
    for place in ("records", "quantities.parquet", "arrays", "figures/toy.csv"):
        assert str(tmp_path / "run" / place) in shown.out
        assert (tmp_path / "run" / place).exists()


def test_a_quarantined_file_is_one_clear_line_and_exit_code_two(
    recipe_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (recipe_folder / "two.txt").write_text("")
    assert main(["run", str(recipe_folder / "recipe.toml"), "--out", str(tmp_path / "run")]) == 2
    shown = capsys.readouterr()
    assert shown.err == "error: two.txt: is empty (measure again)\n"
    assert "Quarantined" in shown.out
    assert "2 ok, 1 failed" in shown.out


def test_nothing_processed_is_exit_code_three(recipe_folder: Path, tmp_path: Path) -> None:
    for name in ("one.txt", "two.txt"):
        (recipe_folder / name).write_text("")
    assert main(["run", str(recipe_folder / "recipe.toml"), "-o", str(tmp_path / "run"), "--quiet"]) == 3


def test_a_wrong_key_is_one_line_that_names_the_right_one(
    recipe_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (recipe_folder / "recipe.toml").open("a") as stream:
        stream.write('[[regions]]\nname = "T 1s"\nbackgroud = "none"\n')
    expected = "error: recipe.toml: regions[0].backgroud: unknown key, did you mean 'background'?\n"
    for command in (["check"], ["run", "--out", str(tmp_path / "run")]):
        assert main([*command, str(recipe_folder / "recipe.toml")]) == 1
        assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["run"], "Missing argument 'RECIPE.toml'"),
        (["run", "absent.toml", "--out", "x"], "absent.toml: cannot be read: No such file or directory"),
        (["run", "absent.toml"], "Missing option '--out'"),
        (["run", "absent.toml", "--out", "x", "--jobs", "0"], "--jobs"),
        (["show", "absent"], "absent: there is no such folder"),
        (["show", "--colour", "x"], "No such option"),
        (["export", "absent", "--format", "docx"], "absent: there is no such folder"),
        (["validate", "."], "is no run folder"),
        (["figure", "absent"], "absent: there is no such folder"),
    ],
)
def test_usage_errors_are_one_line_and_exit_code_one(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ")
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback_wherever_it_stands(recipe_folder: Path, tmp_path: Path) -> None:
    (recipe_folder / "one.txt").write_text("0 crash\n")
    arguments = ["run", str(recipe_folder / "recipe.toml"), "--out", str(tmp_path / "run")]
    for line in (["--debug", *arguments], [*arguments, "--debug"]):
        with pytest.raises(ZeroDivisionError):
            main(line)
    assert main(arguments) == 2


def test_an_unforeseen_error_asks_to_be_reported(
    recipe_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr("layerscope.runs.plan.make_plan", broken)
    assert main(["check", str(recipe_folder / "recipe.toml")]) == 1
    assert "a defect: run again with --debug" in capsys.readouterr().err


def test_check_tells_what_it_found_and_what_is_missing(recipe_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(recipe_folder / "recipe.toml")]) == 0
    assert capsys.readouterr().out == "ok: recipe.toml: pipeline toy, 2 input files\n"
    (recipe_folder / "two.txt").unlink()
    assert main(["check", str(recipe_folder / "recipe.toml")]) == 1
    assert "error: recipe.toml: two.txt: there is no such file" in capsys.readouterr().err
    assert main(["check", str(recipe_folder / "recipe.toml"), "--data", str(recipe_folder / "absent")]) == 1
    assert "there is no such folder" in capsys.readouterr().err


def test_show_prints_the_same_tables_and_filters_them(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "0.25(3)" in shown
    assert "is empty" in shown
    assert main(["show", str(out), "--quantity", "signal", "--region", "t 1s"]) == 0
    shown = capsys.readouterr().out
    assert "400(20)" in shown
    assert "counts" in shown
    assert "species.fraction" not in shown
    assert main(["show", str(out), "--component", "B", "--all"]) == 0
    assert "0.75(4)" in capsys.readouterr().out
    assert main(["show", str(out), "--component", "none"]) == 1
    assert "no quantity matches" in capsys.readouterr().err


def test_export_writes_each_format_once_and_names_the_files(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(out)]) == 0
    assert capsys.readouterr().out == f"{out / 'export' / 'quantities.csv'}\n"
    arguments = ["export", str(out), "-f", "xlsx", "-f", "nexus", "-f", "xlsx", "--to", str(out.parent / "to")]
    assert main(arguments) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert {path.name for path in (out.parent / "to").iterdir()} == {"quantities.xlsx", "case_one.nxs"}


def test_export_refuses_a_format_that_the_run_does_not_know_before_it_writes(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(out), "--format", "docx"]) == 1
    message = capsys.readouterr().err
    assert "unknown format 'docx' for this run" in message
    assert "one of csv, xlsx, nexus" in message
    assert not (out / "export").exists()


def test_validate_fails_when_a_single_digit_was_changed(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(out)]) == 0
    assert capsys.readouterr().out.startswith(f"ok: {out}: 3 records")
    path = sorted((out / "records").glob("*.json"))[0]
    text = path.read_text()
    path.write_text(text.replace('"sample": "LRO"', '"sample": "LRP"'))
    assert main(["validate", str(out)]) == 1
    assert f"error: {path}: was changed after the run" in capsys.readouterr().err


def test_validate_fails_on_an_array_a_record_and_a_file_that_do_not_belong(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info = json.loads((out / "run.json").read_text())
    name = next(iter(info["arrays"]))
    content = bytearray((out / name).read_bytes())
    at = content.index(b"\x00\x00\x00\x00\x00\x00\x59\x40")  # 100.0, a count
    content[at + 6] ^= 1
    (out / name).write_bytes(content)
    (out / "records" / "notes.json").write_text("{}")
    assert main(["validate", str(out)]) == 1
    errors = capsys.readouterr().err
    assert f"{out / name}: was changed after the run" in errors
    assert "is not the one of the record" in errors
    assert "notes.json: is no record file" in errors


def test_figure_draws_again(out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = (out / "run.json").read_bytes()
    (out / "figures" / "toy.csv").unlink()
    assert main(["figure", str(out)]) == 0
    assert "toy.csv" in capsys.readouterr().out
    assert (out / "run.json").read_bytes() == before
    monkeypatch.setenv("TOY_FIGURES", "fail")
    assert main(["figure", str(out)]) == 1
    assert capsys.readouterr().err == "warning: figures of pipeline 'toy': ValueError: no ink\n"


def test_long_tables_are_cut_with_a_word_and_shown_whole_on_request(
    recipe_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "".join(f"{time} 100 300\n" for time in range(70))
    (recipe_folder / "one.txt").write_text(lines)
    main(["run", str(recipe_folder / "recipe.toml"), "--out", str(tmp_path / "run")])
    capsys.readouterr()
    main(["show", str(tmp_path / "run")])
    assert "... and 11 rows more (layerscope show --all)" in capsys.readouterr().out
    main(["show", str(tmp_path / "run"), "--region", "T 1s"])
    assert "rows more" not in capsys.readouterr().out
    main(["show", str(tmp_path / "run"), "--all"])
    shown = capsys.readouterr().out
    totals = shown[shown.index("signal.total") :].splitlines()
    assert sum("400(20)" in line for line in totals) == 70
    assert sum("1000(30)" in line for line in totals) == 1


def test_doctor_and_version_answer(capsys: pytest.CaptureFixture[str], toy: Path) -> None:
    assert main(["doctor"]) in (0, 1)
    shown = capsys.readouterr().out
    assert "numpy" in shown
    assert "GSAS-II" in shown
    assert "toy" in shown
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("layerscope ")


def test_python_dash_m_gives_the_exit_code_to_the_shell(recipe_folder: Path, tmp_path: Path) -> None:
    (recipe_folder / "two.txt").write_text("")
    command = [sys.executable, "-P", "-m", "layerscope", "run", str(recipe_folder / "recipe.toml"), "--out", "run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "0.25(3)" in done.stdout


def test_a_terminal_sees_progress_and_unbroken_numbers(recipe_folder: Path, tmp_path: Path) -> None:
    parent, child = pty.openpty()
    command = [sys.executable, "-P", "-m", "layerscope", "run", str(recipe_folder / "recipe.toml"), "--out", "run"]
    environment = {**os.environ, "COLUMNS": "60", "TERM": "xterm"}
    with subprocess.Popen(command, cwd=tmp_path, stdout=child, stderr=child, env=environment) as process:
        os.close(child)
        seen = b""
        while True:
            try:
                piece = os.read(parent, 4096)
            except OSError:  # the other end has closed
                break
            if not piece:
                break
            seen += piece
    os.close(parent)
    assert process.returncode == 0
    assert b"recipes" in seen
    assert b"0.25(3)" in seen
