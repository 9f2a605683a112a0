"""Two runs of one recipe are the same run, in one process or two, with the regions in any order."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import layerscope.spectra.xps.pipeline as xps_pipeline
import pytest

from layerscope.records import ResultRecord, file_sha256
from layerscope.runs.execute import execute
from layerscope.runs.outcome import RunSummary


def recipe_text(value: Any) -> str:
    """Write a value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {recipe_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(recipe_text(v) for v in value) + "]"
    return json.dumps(value)


def recipe_file(recipe: dict[str, Any]) -> str:
    return "\n".join(f"{k} = {recipe_text(v)}" for k, v in recipe.items())


@pytest.fixture(scope="module")
def case(reference_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two samples and two regions of a reference case."""
    folder, whole = tmp_path_factory.mktemp("case"), reference_data / "xps_in3d_null"
    recipe = tomllib.loads((whole / "recipe.toml").read_text(encoding="utf-8"))
    recipe["series"] = [series for series in recipe["series"] if series["name"] != "charged"]
    recipe["regions"] = [region for region in recipe["regions"] if region["region"] != "Cl 2p"]
    for series in recipe["series"]:
        shutil.copy(whole / series["files"][0], folder)
    (folder / "recipe.toml").write_text(recipe_file(recipe))
    return folder


@pytest.fixture(scope="module")
def first(case: Path, tmp_path_factory: pytest.TempPathFactory) -> RunSummary:
    return execute(case / "recipe.toml", tmp_path_factory.mktemp("first") / "run", figures=False)


def contents(folder: Path) -> dict[str, str]:
    """Return every record without its time, and the hash of every array and table, by name."""
    found = {}
    for file in sorted((folder / "records").glob("*.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        record.pop("created")
        found[file.name] = json.dumps(record, sort_keys=True)
    for file in sorted((folder / "arrays").glob("*.nxs")):
        found[file.name] = file_sha256(file)
    return found


def test_second_run_elsewhere_gives_the_same_ids_and_bytes(first: RunSummary, case: Path, tmp_path: Path) -> None:
    second = execute(case / "recipe.toml", tmp_path / "run", figures=False)
    assert second.done == first.done == 2
    assert contents(second.folder) == contents(first.folder)
    assert len(contents(first.folder)) > 12


def test_second_run_into_the_same_folder_does_nothing_and_changes_no_byte(first: RunSummary, case: Path) -> None:
    files = [f for f in first.folder.rglob("*") if f.is_file() and "ledger" not in f.name]
    before = {f: f.read_bytes() for f in files if f.suffix in (".json", ".nxs", ".parquet")}
    again = execute(case / "recipe.toml", first.folder, figures=False)
    assert (again.done, again.reused, again.changed) == (0, 2, False)
    assert {f: f.read_bytes() for f in before} == before


def test_records_written_in_blocks_are_those_written_at_once(
    first: RunSummary, case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xps_pipeline, "BLOCK", 2)
    blocks = execute(case / "recipe.toml", tmp_path / "run", figures=False)
    assert contents(blocks.folder) == contents(first.folder)


def test_two_processes_give_what_one_gives(first: RunSummary, case: Path, tmp_path: Path) -> None:
    parallel = execute(case / "recipe.toml", tmp_path / "run", figures=False, jobs=2)
    assert parallel.exit_code == 0
    assert contents(parallel.folder) == contents(first.folder)


def numbers(records: tuple[ResultRecord, ...]) -> dict[tuple[str, ...], tuple[float | None, float | None]]:
    return {
        (r.state.sample, r.method, str(r.state.region), q.name, str(q.component)): (q.value, q.sigma)
        for r in records
        for q in r.quantities
    }


def test_order_of_the_regions_changes_no_number(first: RunSummary, case: Path, tmp_path: Path) -> None:
    recipe = tomllib.loads((case / "recipe.toml").read_text(encoding="utf-8"))
    recipe["regions"].reverse()
    (tmp_path / "recipe.toml").write_text(recipe_file(recipe))
    turned = numbers(execute(tmp_path / "recipe.toml", tmp_path / "run", data=case, figures=False).run.records)
    plain = numbers(first.run.records)
    assert set(turned) == set(plain)
    for key, pair in plain.items():
        if "composition" in key[1]:  # sums in another order
            assert turned[key] == pytest.approx(pair, rel=1e-9, abs=1e-9), key
        else:
            assert turned[key] == pair, key
