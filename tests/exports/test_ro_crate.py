"""A run as an RO-Crate: what it lists is there and unharmed, and roc-validator accepts it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from layerscope.runs.export import export_run
from layerscope.runs.load import load_run


@pytest.fixture(scope="module")
def run_folder(reference_run: Callable[[str], Path]) -> Path:
    return reference_run("xps_in3d_null/recipe.toml")


def entities(crate: Path) -> dict[str, dict[str, object]]:
    graph = json.loads((crate / "ro-crate-metadata.json").read_text("utf-8"))["@graph"]
    return {entity["@id"]: entity for entity in graph}


def test_every_file_of_the_run_is_in_the_crate_with_its_hash(run_folder: Path, tmp_path: Path) -> None:
    files = export_run(load_run(run_folder), "ro-crate", tmp_path)
    crate, known = tmp_path / "ro-crate", entities(tmp_path / "ro-crate")
    assert {path.relative_to(crate).as_posix() for path in files[1:]} == {
        name for name, entity in known.items() if entity["@type"] == "File"
    }
    for name in (path.relative_to(crate).as_posix() for path in files[1:]):
        assert hashlib.sha256((crate / name).read_bytes()).hexdigest() == known[name]["sha256"]
        assert (crate / name).read_bytes() == (run_folder / name).read_bytes()
    kinds = {Path(name).parts[0] for name in known if "/" in name and name != "./"}
    assert {"records", "arrays", "figures"} <= kinds
    assert {"quantities.parquet", "run.json", "report.html"} <= set(known)


def test_what_was_measured_is_named_by_its_hash(run_folder: Path, tmp_path: Path) -> None:
    run = load_run(run_folder)
    export_run(run, "ro-crate", tmp_path)
    known = entities(tmp_path / "ro-crate")
    for record in run.records:
        for item in record.inputs:
            assert known[f"#sha256-{item.sha256}"]["name"] == item.path
    assert known["#run"]["result"] == known["./"]["hasPart"]


def test_a_selection_takes_its_records_and_arrays_alone(run_folder: Path, tmp_path: Path) -> None:
    some = load_run(run_folder).select(region="Cl 2p")
    names = [path.relative_to(tmp_path / "ro-crate").as_posix() for path in export_run(some, "ro-crate", tmp_path)]
    assert sum(name.startswith("records/") for name in names) == len(some.records)
    assert all("Cl_2p" in name for name in names if name.startswith("arrays/"))
    assert not any(name.startswith("figures/") for name in names)


@pytest.mark.skipif(find_spec("rocrate_validator") is None, reason="roc-validator is not installed: extra verify")
@pytest.mark.parametrize("damage", [None, "license"])
def test_roc_validator_accepts_it_and_no_crate_with_a_part_missing(
    damage: str | None, run_folder: Path, tmp_path: Path
) -> None:
    import rocrate

    export_run(load_run(run_folder), "ro-crate", tmp_path)
    crate, context = tmp_path / "ro-crate", Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld"
    described = crate / "ro-crate-metadata.json"
    if damage is not None:
        graph = json.loads(described.read_text("utf-8"))
        for entity in graph["@graph"]:
            entity.pop(damage, None)
        described.write_text(json.dumps(graph), "utf-8")
    command = [sys.executable, "-P", str(Path(__file__).with_name("crate_verdict.py")), str(crate), str(context)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["judged"], done.stderr
    assert (done.stdout == "judged\n") is (damage is None), done.stdout
