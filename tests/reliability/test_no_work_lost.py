"""A run that is killed, that finds the disk full, or that meets another run in its folder loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from layerscope.cli import main
from layerscope.errors import WriteError
from layerscope.runs.execute import execute
from layerscope.runs.ledger import Ended, Ledger
from layerscope.runs.validate import validate_run

SCRIPT = Path(__file__).with_name("faulty_runs.py")
DONE, REFUSED, HELD = 0, 10, 12

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked on this system")


def faulty(mode: str, recipe_folder: Path, tmp_path: Path) -> list[list[int]]:
    """Return what became of each run of a mode: how it ended with its fault, and how when it was resumed."""
    (tmp_path / mode).mkdir()
    command = [sys.executable, "-P", str(SCRIPT), mode, str(recipe_folder / "recipe.toml"), str(tmp_path / mode)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[list[int]] = json.loads(done.stdout)
    wrong = [number for number, codes in enumerate(found, 1) if codes[-1] != DONE]
    assert not wrong, f"not resumed to the same records: {wrong}\n{done.stderr}"
    return found


def test_a_run_killed_at_any_file_operation_is_resumed_to_the_same_records(recipe_folder: Path, tmp_path: Path) -> None:
    found = faulty("killed", recipe_folder, tmp_path)
    assert len(found) > 50
    assert {codes[0] for codes in found} == {-signal.SIGKILL}


def test_a_disk_that_is_full_at_any_operation_is_a_typed_error_and_spoils_nothing(
    recipe_folder: Path, tmp_path: Path
) -> None:
    found = faulty("full", recipe_folder, tmp_path)
    assert len(found) > 50
    assert {codes[0] for codes in found} <= {DONE, REFUSED}
    assert [codes[0] for codes in found].count(REFUSED) > len(found) / 2


def test_a_file_that_the_system_refuses_to_write_further_is_a_typed_error(recipe_folder: Path, tmp_path: Path) -> None:
    found = faulty("limited", recipe_folder, tmp_path)
    assert {codes[0] for codes in found} == {DONE, REFUSED}


def test_of_two_processes_on_one_folder_the_second_is_told_why_it_may_not(recipe_folder: Path, tmp_path: Path) -> None:
    for first, second, _ in faulty("two", recipe_folder, tmp_path):
        assert sorted((first, second)) in ([DONE, DONE], [DONE, HELD])


def test_a_run_in_a_pool_that_is_killed_leaves_no_process_and_is_resumed(recipe_folder: Path, tmp_path: Path) -> None:
    for number in range(4):
        (recipe_folder / f"file{number}.txt").write_text("wait\n" if number == 3 else f"0 {number}00 300\n")
    recipe = recipe_folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('"two.txt"', '"file0.txt", "file1.txt", "file2.txt", "file3.txt"'))
    command = [sys.executable, "-P", "-m", "layerscope", "run", str(recipe), "--out", str(tmp_path / "run"), "-j2"]
    with subprocess.Popen(command, start_new_session=True) as process:
        deadline = time.monotonic() + 60
        while len(list((tmp_path / "run" / "records").glob("*.json"))) < 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.5)  # what ended is noted in the ledger while the run waits for the last file
        process.kill()
    while in_session(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not in_session(process.pid), "a process of the pool outlived the run"
    (recipe_folder / "file3.txt").write_text("0 300 300\n")
    summary = execute(recipe, tmp_path / "run")
    assert (summary.exit_code, len(summary.run.records)) == (0, 6)
    assert summary.reused >= 3
    assert validate_run(tmp_path / "run") == []


def in_session(session: int) -> bool:
    """Tell whether any process is left of those that a process began."""
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_full_disk_stops_a_run_and_is_not_told_as_a_fault_of_the_data(
    recipe_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("layerscope.runs.nexus.add_fit", full)
    with pytest.raises(WriteError, match="No space left on device"):
        execute(recipe_folder / "recipe.toml", tmp_path / "run")
    assert list((tmp_path / "run" / "records").iterdir()) == []
    monkeypatch.undo()


@pytest.fixture
def study(recipe_folder: Path) -> Path:
    """A study whose only good recipe stands between others; tests fill in what is wrong with those."""
    path = recipe_folder.parent / "study.toml"
    path.write_text('layerscope = 1\nrecipes = ["bad/recipe.toml", "case/recipe.toml", "also_bad/recipe.toml"]\n')
    for name in ("bad", "also_bad"):
        (recipe_folder.parent / name).mkdir()
    return path


GOOD = 'layerscope = 1\npipeline = "toy"\nsample = "LRO"\nfiles = ["{}"]\n'


def a_loop_of_links(path: Path) -> None:
    path.symlink_to(path.name)


def a_folder(path: Path) -> None:
    path.mkdir()


def odd_bytes(path: Path) -> None:
    path.write_bytes(b'layerscope = 1\npipeline = "toy"\nsample = "\xff\xfe\x00"\n')


def a_name_too_long_for_a_file(path: Path) -> None:
    path.write_text(GOOD.format("x" * 300))


def an_input_that_is_a_loop_of_links(path: Path) -> None:
    (path.parent / "a.txt").symlink_to("b.txt")
    (path.parent / "b.txt").symlink_to("a.txt")
    path.write_text(GOOD.format("a.txt"))


def a_defect_of_its_pipeline(path: Path) -> None:
    path.write_text(GOOD.format("a.txt") + "regions = []\nscale = 1e400\n")


@pytest.mark.parametrize(
    "harm",
    [
        a_loop_of_links,
        a_folder,
        odd_bytes,
        a_name_too_long_for_a_file,
        an_input_that_is_a_loop_of_links,
        a_defect_of_its_pipeline,
    ],
    ids=lambda harm: harm.__name__,
)
def test_a_bad_member_never_ends_a_study(harm, study: Path, tmp_path: Path) -> None:
    for name in ("bad", "also_bad"):
        harm(study.parent / name / "recipe.toml")
    summary = execute(study, tmp_path / "run")
    assert summary.exit_code == 2
    assert [record.status for record in summary.run.records].count("ok") == 3
    assert len(summary.failed) == 2
    assert all(record.problem and record.problem.kind in ("recipe", "reader") for record in summary.failed)
    assert validate_run(tmp_path / "run") == []


def test_a_member_that_no_pipeline_foresaw_is_quarantined_as_a_defect(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import layerscope_toy

    plain = layerscope_toy.ToyPipeline.split

    def split(self, recipe):
        return plain(self, recipe) if len(recipe.files) == 2 else [][0]

    monkeypatch.setattr(layerscope_toy.ToyPipeline, "split", split)
    for name in ("bad", "also_bad"):
        (study.parent / name / "recipe.toml").write_text(GOOD.format("one.txt"))
    summary = execute(study, tmp_path / "run")
    assert summary.exit_code == 2
    assert {record.problem.kind for record in summary.failed if record.problem} == {"internal"}
    assert len(summary.run.select(status="ok")) == 3


def test_recipes_in_folders_of_one_name_keep_their_series_apart(study: Path, tmp_path: Path) -> None:
    for parent in ("a", "b"):
        folder = study.parent / parent / "case"
        folder.mkdir(parents=True)
        (folder / "one.txt").write_text(f"0 {len(parent)}00 {ord(parent)}\n")
        (folder / "recipe.toml").write_text(GOOD.format("one.txt"))
    study.write_text('layerscope = 1\nrecipes = ["a/case/recipe.toml", "b/case/recipe.toml"]\n')
    summary = execute(study, tmp_path / "run")
    assert summary.exit_code == 0
    assert {path.name for path in (tmp_path / "run" / "arrays").iterdir()} == {"case_one.nxs", "case_2_one.nxs"}
    assert validate_run(tmp_path / "run") == []


def test_a_study_of_two_recipes_that_are_alike_is_found_done(study: Path, recipe_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(recipe_folder, recipe_folder.parent / "twin")
    study.write_text('layerscope = 1\nrecipes = ["case/recipe.toml", "twin/recipe.toml"]\n')
    arrays = execute(study, tmp_path / "run").run.info["arrays"]
    summary = execute(study, tmp_path / "run")
    assert (summary.done, summary.exit_code, summary.run.info["arrays"]) == (0, 0, arrays)
    assert len(arrays) == 4


def test_a_recipe_with_a_byte_order_mark_is_a_recipe(recipe_folder: Path, tmp_path: Path) -> None:
    recipe = recipe_folder / "recipe.toml"
    recipe.write_bytes(b"\xef\xbb\xbf" + recipe.read_bytes())
    assert execute(recipe, tmp_path / "run").exit_code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are text")
def test_names_that_are_no_text_do_no_harm(recipe_folder: Path, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd\xff"))
    recipe_folder.rename(odd)
    (odd / "two.txt").write_text("")
    (odd / "recipe.toml").rename(odd / os.fsdecode(b"re\xffcipe.toml"))
    command = [sys.executable, "-P", "-m", "layerscope", "run", odd / os.fsdecode(b"re\xffcipe.toml")]
    done = subprocess.run([*command, "--out", odd / "run"], capture_output=True, check=False)
    assert done.returncode == 2, done.stderr
    assert b"is empty" in done.stderr
    summary = execute(odd / os.fsdecode(b"re\xffcipe.toml"), odd / "run")
    assert [record.problem.message for record in summary.failed if record.problem] == ["is empty"]
    assert validate_run(odd / "run") == []


@pytest.mark.parametrize("arguments", ["run {} --out new", "run case/recipe.toml --out {}", "show {}", "validate {}"])
@pytest.mark.parametrize("odd", ["loop", "x" * 300, "case/one.txt/below", "case/one.txt"])
def test_a_path_that_cannot_be_used_is_one_clear_line(
    arguments: str, odd: str, recipe_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(recipe_folder.parent)
    Path("loop").symlink_to("loop")
    assert main(arguments.format(odd).split()) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: {odd}: ")
    assert shown.count("\n") == 1
    assert "defect" not in shown


def test_no_job_is_noted_as_done_before_its_files_are_on_the_disk(
    recipe_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        (recipe_folder / f"file{number}.txt").write_text(f"0 {number + 1}00 300\n")
    recipe = recipe_folder / "recipe.toml"
    names = ", ".join(f'"file{number}.txt"' for number in range(8))
    recipe.write_text(recipe.read_text().replace('"two.txt"', names))
    flushed, noted, fsync, finish = set(), [], os.fsync, Ledger.finish_all

    def flush(handle: int) -> None:
        flushed.add(os.fstat(handle).st_ino)
        fsync(handle)

    def note(self: Ledger, ended: list[Ended]) -> None:
        for one in ended:
            files = [f"records/{key}.json" for key in one.records] + list(one.arrays)
            noted.extend(files)
            assert {(self.path.parent / file).stat().st_ino for file in files} <= flushed
        finish(self, ended)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(Ledger, "finish_all", note)
    summary = execute(recipe, tmp_path / "run", figures=False)
    assert len(noted) == len(summary.run.records) + 9


@pytest.mark.parametrize("jobs", [1, 2])
def test_files_that_a_power_cut_left_empty_are_made_again(recipe_folder: Path, tmp_path: Path, jobs: int) -> None:
    recipe, out = recipe_folder / "recipe.toml", tmp_path / "run"
    whole = execute(recipe, out, figures=False)
    ledger = Ledger(out / "ledger.sqlite")
    ledger.start({job.job_id: job.recipe for job in ledger.jobs()}, "2026-01-01T00:00:00+00:00")
    kept = {path: path.read_bytes() for part in ("records", "arrays") for path in (out / part).iterdir()}
    for path in kept:
        path.write_bytes(b"")
    again = execute(recipe, out, figures=False, jobs=jobs)
    assert [one.content_json() for one in again.run.records] == [one.content_json() for one in whole.run.records]
    assert all(path.read_bytes() == content for path, content in kept.items() if path.suffix == ".nxs")
    assert validate_run(out) == []


KILLED = """
import os, signal, sys
from layerscope_toy import PIPELINE
import layerscope.runs.execute as runs
runs.BATCH_S = 1e9  # nothing is noted in the ledger before the end
noted, left = runs._Execution._note, [int(sys.argv[3])]
def note(*given):
    noted(*given)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
runs._Execution._note = note
runs.execute(sys.argv[1], sys.argv[2], pipelines={"toy": PIPELINE}, figures=False)
"""


def test_a_run_killed_inside_a_batch_does_its_tasks_again_to_the_same_records(
    recipe_folder: Path, tmp_path: Path
) -> None:
    names = [f"{letter}.txt" for letter in "abcdef"]
    for number, name in enumerate(names):
        (recipe_folder / name).write_text(f"0 {number + 1}00 300\n")
    recipe = recipe_folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('"one.txt", "two.txt"', ", ".join(f'"{name}"' for name in names)))
    command = [sys.executable, "-P", "-c", KILLED, str(recipe), str(tmp_path / "run"), "4"]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    kept = {path.name: path.read_bytes() for path in (tmp_path / "run" / "records").iterdir()}
    assert len(kept) == 4
    summary = execute(recipe, tmp_path / "run", figures=False)
    assert (summary.done, summary.reused, summary.exit_code) == (6, 0, 0)
    for name, record in kept.items():
        assert (tmp_path / "run" / "records" / name).read_bytes() == record
    assert validate_run(tmp_path / "run") == []


FULL = """
import sys
from layerscope_toy import PIPELINE
import layerscope.runs.execute as runs
from layerscope.errors import WriteError
def full(*given):
    raise WriteError("cannot be written: No space left on device", source="ledger.sqlite")
if sys.argv[3] == "ledger":
    runs.Ledger.finish_all = full
held = None
try:
    runs.execute(sys.argv[1], sys.argv[2], pipelines={"toy": PIPELINE}, figures=False, jobs=2)
except WriteError as error:
    held = error  # with all that its traceback holds, until the interpreter ends
    print(error, file=sys.stderr)
    sys.exit(1)
"""


@pytest.mark.parametrize("where", ["ledger", "worker"])
def test_a_run_in_a_pool_that_finds_the_disk_full_ends(where: str, recipe_folder: Path, tmp_path: Path) -> None:
    for number in range(4):
        (recipe_folder / f"file{number}.txt").write_text(f"0 {number + 1}00 300\n")
    recipe = recipe_folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('"two.txt"', '"file0.txt", "file1.txt", "file2.txt", "file3.txt"'))
    if where == "worker":
        (recipe_folder / "file0.txt").write_text("full\n")
    command = [sys.executable, "-P", "-c", FULL, str(recipe), str(tmp_path / "run"), where]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True) as process:
        try:
            _, said = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail("it waits for processes that wait for it")
    assert process.returncode == 1
    assert "No space left on device" in said
    (recipe_folder / "file0.txt").write_text("0 100 300\n")
    assert execute(recipe, tmp_path / "run", figures=False).exit_code == 0
