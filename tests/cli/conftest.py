from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

TOY = Path(__file__).parents[1] / "runs" / "toy_package"


@pytest.fixture
def toy_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like site-packages, where a technique from outside is installed with its entry point."""
    site = tmp_path_factory.mktemp("site")
    shutil.copy(TOY / "layerscope_toy.py", site)
    info = site / "layerscope_toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: layerscope-toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[layerscope.pipelines]\ntoy = layerscope_toy:PIPELINE\n")
    return site


@pytest.fixture
def toy(toy_site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The technique from outside, installed for this process and its children."""
    monkeypatch.syspath_prepend(str(toy_site))
    monkeypatch.setenv("PYTHONPATH", str(toy_site))
    monkeypatch.delitem(sys.modules, "layerscope_toy", raising=False)
    return toy_site


@pytest.fixture
def recipe_folder(tmp_path: Path, toy: Path) -> Path:
    """A recipe for two good files."""
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "one.txt").write_text("0 100 300\n10 200 200\n")
    (folder / "two.txt").write_text("0 900 100\n")
    (folder / "recipe.toml").write_text(
        'layerscope = 1\npipeline = "toy"\ntitle = "Toy"\nsample = "LRO"\nfiles = ["one.txt", "two.txt"]\n'
    )
    return folder
