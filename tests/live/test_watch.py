"""A folder that is watched: files count when they are settled and whole, and the run is what a run would have given."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from layerscope.errors import RecipeError
from layerscope.live import serve
from layerscope.runs.execute import execute
from layerscope.runs.watch import Seen, Watch, WatchedFile


def content(run: Path) -> dict[str, Any]:
    """Return what a run holds, without times of writing and what rests on them."""
    found: dict[str, Any] = {}
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        if path.is_file() and name.split("/")[0] in ("records", "arrays", "superseded", "quarantine.json"):
            found[name] = path.read_bytes()
            if name.startswith("records/"):
                found[name] = {key: value for key, value in json.loads(found[name]).items() if key != "created"}
    return found


@pytest.fixture
def recipe(recipe_folder: Path) -> Path:
    """The recipe, apart from its files."""
    path = recipe_folder.parent / "recipes" / "recipe.toml"
    path.parent.mkdir()
    shutil.move(recipe_folder / "recipe.toml", path)
    return path


def followed(watch: Watch, steps: Callable[[Callable[[Callable[[Seen], bool]], None]], None]) -> None:
    """Follow a folder in a thread while steps are taken; they wait until something is seen."""
    stop = threading.Event()
    thread = threading.Thread(target=watch.follow, args=(stop,), kwargs={"poll_s": 0.05})
    thread.start()

    def until(fits: Callable[[Seen], bool]) -> None:
        deadline = time.monotonic() + 60
        while not fits(watch.seen):
            assert time.monotonic() < deadline, watch.seen
            time.sleep(0.02)

    try:
        steps(until)
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


def test_a_watched_run_ends_as_a_run_that_was_never_watched(recipe: Path, recipe_folder: Path, tmp_path: Path) -> None:
    second = (recipe_folder / "two.txt").read_bytes()
    (recipe_folder / "two.txt").unlink()

    def steps(until: Callable[[Callable[[Seen], bool]], None]) -> None:
        until(lambda seen: seen.version == 1)
        (recipe_folder / "two.tmp").write_bytes(second)
        (recipe_folder / "two.tmp").rename(recipe_folder / "two.txt")  # as many programs write
        until(lambda seen: seen.version == 2)
        (recipe_folder / "one.txt").write_text("0 500 300\n10 600 200\n20 100 50\n")  # replaced
        until(lambda seen: seen.version >= 3 and all(file.state == "taken" for file in seen.files))

    followed(Watch(recipe_folder, recipe, tmp_path / "run", quiet_s=0.2), steps)
    summary = execute(recipe, tmp_path / "run", data=recipe_folder, figures=False)
    assert (summary.done, summary.reused) == (0, 2)
    execute(recipe, tmp_path / "batch", data=recipe_folder, figures=False)
    assert content(tmp_path / "run") == content(tmp_path / "batch")


def test_a_file_is_not_read_while_it_is_written(recipe: Path, recipe_folder: Path, tmp_path: Path) -> None:
    watch = Watch(recipe_folder, recipe, tmp_path / "run", quiet_s=1000.0)
    copies = tmp_path / "copies"
    copies.mkdir()
    assert not watch.look(copies)
    assert not watch.look(copies)
    assert {file.state for file in watch.seen.files} == {"writing"}
    watch.quiet_s = 0.0
    assert watch.look(copies)
    with (recipe_folder / "one.txt").open("a") as stream:
        stream.write("20 1 1\n")
    assert watch.look(copies)  # it left the run
    assert not (copies / "one.txt").exists()
    (recipe_folder / "one.txt").unlink()
    watch.look(copies)
    assert [file.name for file in watch.seen.files] == ["two.txt"]


def test_a_file_without_its_end_waits_and_is_quarantined_in_the_end(tmp_path: Path) -> None:
    case = Path(__file__).resolve().parents[2] / "reference_data" / "xps_in3d_null"
    whole = (case / "li3incl6_before.vms").read_bytes()
    (tmp_path / "data").mkdir()
    (tmp_path / "recipe.toml").write_text(
        'layerscope = 1\npipeline = "xps_survey"\nsample = "s"\n[[series]]\nfiles = ["*.vms"]\n'
    )
    (tmp_path / "data" / "a.vms").write_bytes(whole[: len(whole) // 2])
    watch = Watch(tmp_path / "data", tmp_path / "recipe.toml", tmp_path / "run", quiet_s=0.0, broken_after_s=1000.0)
    copies = tmp_path / "copies"
    copies.mkdir()
    watch.look(copies)
    assert not watch.look(copies)
    (file,) = watch.seen.files
    assert file.state == "incomplete"
    watch.broken_after_s = 0.0
    assert watch.look(copies)
    assert watch.seen.files[0].state == "broken"
    (tmp_path / "data" / "a.vms").write_bytes(whole)
    watch.look(copies)
    assert watch.look(copies)
    assert watch.seen.files == (WatchedFile("a.vms", "taken"),)


def test_a_study_is_watched_in_the_folders_of_its_recipes(recipe_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(recipe_folder, tmp_path / "other")
    (tmp_path / "other" / "one.txt").write_text("0 500 300\n")
    study = tmp_path / "study.toml"
    study.write_text('layerscope = 1\nrecipes = ["case/recipe.toml", "other/recipe.toml"]\n')
    late = b"0 700 300\n"
    (tmp_path / "other" / "two.txt").unlink()

    def steps(until: Callable[[Callable[[Seen], bool]], None]) -> None:
        until(lambda seen: seen.version == 1)
        assert [file.name for file in watch.seen.files] == ["case/one.txt", "case/two.txt", "other/one.txt"]
        (tmp_path / "other" / "two.txt").write_bytes(late)
        until(lambda seen: seen.version == 2)

    watch = Watch(tmp_path, study, tmp_path / "run", quiet_s=0.2)
    followed(watch, steps)
    assert execute(study, tmp_path / "run", data=tmp_path, figures=False).done == 0
    execute(study, tmp_path / "batch", data=tmp_path, figures=False)
    assert content(tmp_path / "run") == content(tmp_path / "batch")


def test_a_folder_that_is_missing_and_a_study_with_a_bad_recipe_are_refused(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such folder"):
        Watch(tmp_path / "absent", recipe, tmp_path / "run")
    study = recipe.with_name("study.toml")
    study.write_text('layerscope = 1\nrecipes = ["recipe.toml", "bad.toml"]\n')
    recipe.with_name("bad.toml").write_text('layerscope = 1\npipeline = "toys"\n')
    with pytest.raises(RecipeError, match="toys"):
        Watch(tmp_path, study, tmp_path / "run")


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_the_command_stops_cleanly(kind: signal.Signals, tmp_path: Path) -> None:
    case = Path(__file__).resolve().parents[2] / "reference_data" / "eels_line_lco"
    shutil.copy(case / "place_00.msa", tmp_path)
    (tmp_path / "recipe.toml").write_text(
        'layerscope = 1\npipeline = "eels"\nsample = "s"\n[[series]]\nfiles = ["place_*.msa"]\n'
        '[[edges]]\nedge = "Co L3"\nonset_eV = 775.0\n'
    )
    words = ["watch", str(tmp_path), str(tmp_path / "recipe.toml"), "-o", str(tmp_path / "run"), "--quiet", "0.2"]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-P", "-m", "layerscope", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert "1 files, 2 records" in process.stdout.readline()
        process.send_signal(kind)
        rest = process.stdout.read()
    assert process.returncode == 0
    assert "stopped" in rest


def fetched(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=20) as answer:  # noqa: S310
            return answer.status, answer.read(100_000).decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_the_page_serves_the_run_and_nothing_else(recipe: Path, recipe_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    execute(recipe, run, data=recipe_folder, figures=False)
    (run / "arrays" / "link.json").symlink_to(recipe)
    seen = Seen((WatchedFile("<b>.txt", "taken"),), 3, "2 files")
    with serve(run, lambda: seen) as served:
        base = served.address.rstrip("/")
        assert base.startswith("http://127.0.0.1:")
        for path, there in (("/", 200), ("/live.js", 200), ("/run/report.html", 200), ("/run/run.json", 200)):
            assert fetched(base + path)[0] == there
        for path in ("/run/../recipes/recipe.toml", "/run/%2e%2e/recipes/recipe.toml", "/run//etc/passwd",
                     "/run/arrays/link.json", "/run/ledger.sqlite", "/run/.lock", "/etc/passwd"):  # fmt: skip
            assert fetched(base + path)[0] == 404
        with urllib.request.urlopen(base + "/events", timeout=20) as stream:  # noqa: S310
            told = json.loads(stream.readline().decode().removeprefix("data: "))
        assert (told["version"], told["report"], told["files"][0]["name"]) == (3, True, "<b>.txt")
        foreign = urllib.request.Request(base + "/", headers={"Host": "evil.example"})  # noqa: S310
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(foreign, timeout=20)  # noqa: S310


def test_another_address_asks_for_the_token_that_was_printed(tmp_path: Path) -> None:
    with serve(tmp_path, Seen, host="0.0.0.0") as served:  # noqa: S104
        address = f"http://127.0.0.1:{served.port}/"
        assert fetched(address)[0] == 403
        assert fetched(address + "?token=wrong")[0] == 403
        assert fetched(address + "?" + served.address.partition("?")[2])[0] == 200
