"""Walls that a reader of the design expects, beyond what import-linter sees under the import names."""

from __future__ import annotations

import ast
import runpy
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WINGS = ("spectra", "diffraction", "microscopy")


def imported(path: Path) -> Iterator[str]:
    """Yield every module that a file imports by an absolute name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


@pytest.mark.parametrize("path", sorted((ROOT / "layerscope").rglob("*.py")), ids=lambda p: p.stem)
def test_the_core_imports_no_wing(path: Path) -> None:
    names = list(imported(path))
    assert not [n for n in names if n.startswith(tuple(f"layerscope.{w}" for w in WINGS)) or n.split(".")[0] in WINGS]


@pytest.mark.parametrize("wing", WINGS)
def test_a_wing_imports_itself_relatively_and_no_other(wing: str) -> None:
    for path in (ROOT / wing).rglob("*.py"):
        bad = [n for n in imported(path) if n.startswith(tuple(f"layerscope.{w}" for w in WINGS)) or n in WINGS]
        assert not bad, f"{path}: {bad}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    house = runpy.run_path(str(ROOT / "benchmarks" / "house.py"))
    assert house["circles"](house["modules"](ROOT)) == []


def test_nothing_is_unpickled_or_evaluated() -> None:
    for folder in ("layerscope", *WINGS):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            calls = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
            assert not calls & {"eval", "exec", "compile"}, path
            assert not {n.split(".")[0] for n in imported(path)} & {"pickle", "marshal", "shelve", "dill"}, path


def test_the_two_commands_of_the_readme_are_the_agreed_ones() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert 'python -m pip install ".[all]" && layerscope run reference_data/study.toml --out study_run\n' in readme
    assert 'python -m pip install ".[all,test]" && python -m pytest\n' in readme


def test_the_study_lists_every_reference_case() -> None:
    study = tomllib.loads((ROOT / "reference_data" / "study.toml").read_text(encoding="utf-8"))
    cases = {f"{p.parent.name}/{p.name}" for p in (ROOT / "reference_data").glob("*/recipe*.toml")}
    assert set(study["recipes"]) == cases
