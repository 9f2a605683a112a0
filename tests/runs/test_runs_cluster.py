"""A cluster does what processes side by side do, and loses nothing when a worker dies."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from layerscope.errors import LayerscopeError
from layerscope.runs.execute import execute

distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL does not exist on Windows"),
    pytest.mark.filterwarnings("ignore"),  # of Dask and of the sockets that a killed worker leaves
]


def content(folder: Path) -> dict[str, bytes]:
    """Return arrays, and records without the time of writing."""
    from layerscope.runs.load import load_run

    found = {record.record_id: record.content_json().encode() for record in load_run(folder).records}
    return found | {path.name: path.read_bytes() for path in (folder / "arrays").iterdir()}


@pytest.fixture
def recipe(recipe_folder: Path) -> Path:
    """A recipe of six files."""
    names = [f"{letter}.txt" for letter in "abcdef"]
    for number, name in enumerate(names):
        (recipe_folder / name).write_text(f"0 {number + 1}00 300\n")
    path = recipe_folder / "recipe.toml"
    path.write_text(path.read_text().replace('"one.txt", "two.txt"', ", ".join(f'"{name}"' for name in names)))
    return path


def test_a_local_cluster_gives_the_records_of_one_process(recipe: Path, tmp_path: Path) -> None:
    execute(recipe, tmp_path / "one", figures=False)
    summary = execute(recipe, tmp_path / "two", figures=False, jobs=2, scheduler="local")
    assert (summary.done, summary.exit_code) == (6, 0)
    assert content(tmp_path / "two") == content(tmp_path / "one")


def test_a_worker_that_is_killed_in_mid_task_costs_one_retry(recipe: Path, tmp_path: Path) -> None:
    flag = tmp_path / "killed"
    (recipe.parent / "c.txt").write_text(f"kill once {flag}\n0 300 300\n")
    summary = execute(recipe, tmp_path / "two", figures=False, jobs=2, scheduler="local")
    assert flag.exists()
    assert (summary.done, summary.exit_code) == (6, 0)
    execute(recipe, tmp_path / "one", figures=False)
    assert content(tmp_path / "two") == content(tmp_path / "one")


def test_a_scheduler_that_is_not_there_is_told_by_its_address(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layerscope.runs.cluster.CONNECT", "1s")
    with pytest.raises(LayerscopeError, match=r"no scheduler at tcp://127\.0\.0\.1:9"):
        execute(recipe, tmp_path / "run", figures=False, scheduler="tcp://127.0.0.1:9")
