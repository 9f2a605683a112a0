"""The wheel holds every sub-package and the data that the code needs at run time, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WINGS = ("layerscope", "spectra", "diffraction", "microscopy")


def packages_in_tree() -> set[str]:
    """Return every folder with an ``__init__.py`` under its import name."""
    found = set()
    for wing in WINGS:
        for init in (ROOT / wing).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT).parts
            found.add(".".join(parts if wing == "layerscope" else ("layerscope", *parts)))
    return found


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Build the wheel from a copy of the tree and return the names in it."""
    source = tmp_path_factory.mktemp("source")
    for name in (*WINGS, "reference_data"):
        ignored = shutil.ignore_patterns("__pycache__", "*.nxs")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(out)]
    subprocess.run([*command, str(source)], check=True, capture_output=True, cwd=out)
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_contains_every_sub_package(wheel_names: set[str]) -> None:
    built = {str(Path(n).parent).replace("/", ".") for n in wheel_names if n.endswith("__init__.py")}
    assert packages_in_tree() <= built


def test_the_wheel_contains_every_module(wheel_names: set[str]) -> None:
    for wing in WINGS:
        for module in (ROOT / wing).rglob("*.py"):
            inside = module.relative_to(ROOT).as_posix()
            assert (inside if wing == "layerscope" else f"layerscope/{inside}") in wheel_names


def test_the_wheel_contains_the_data_needed_at_run_time(wheel_names: set[str]) -> None:
    files = [file for file in (ROOT / "reference_data").glob("*/*.toml") if not file.name.startswith("recipe")]
    assert {file.parent.name for file in files} >= {"species", "rsf", "phases", "peaks", "materials", "charge"}
    for file in files:
        assert f"layerscope/reference_data/{file.parent.name}/{file.name}" in wheel_names
    assert "layerscope/py.typed" in wheel_names
    assert "layerscope/records/result_record.schema.json" in wheel_names
    assert any(n.endswith(".mplstyle") for n in wheel_names)


def test_the_wheel_installs_no_other_top_level_name(wheel_names: set[str]) -> None:
    tops = {n.split("/")[0] for n in wheel_names if ".dist-info/" not in n}
    assert tops == {"layerscope"}
    assert not any(n.startswith("layerscope/reference_data/_generate") for n in wheel_names)
    assert not any(n.endswith((".vms", ".pro")) for n in wheel_names)
