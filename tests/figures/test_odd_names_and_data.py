"""Names that no font of figures has, names without end, and data without a rise leak no warning: the run says so."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerscope.runs.execute import execute


@pytest.fixture(scope="module")
def batch() -> dict[str, Any]:
    """Return the makers of cheap files and recipes of the benchmark of batches."""
    return runpy.run_path(str(Path(__file__).resolve().parents[2] / "benchmarks" / "batch_kills.py"))


def test_letters_without_a_font_and_names_without_room_are_told_by_the_run(
    batch: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text(batch["MADE"]["sxas"](np.random.default_rng(1)))
    parts = [
        f'[[series]]\nname = "{name}"\nsample = "{name}"\nfiles = ["a.txt"]\n' for name in ("試 \N{BATTERY}", "x" * 200)
    ]
    head = f'layerscope = 1\nsample = "s"\n{batch["HEADS"]["sxas"]}figures = {{ formats = ["png"] }}\n'
    (tmp_path / "recipe.toml").write_text(head + "\n".join(parts))
    summary = execute(tmp_path / "recipe.toml", tmp_path / "run")
    assert summary.run.figures
    assert any("no font of figures has 試 \N{BATTERY}: drawn as boxes" in said for said in summary.warnings)
    assert any("leave no room for its panels" in said for said in summary.warnings)
    assert not [said for said in summary.warnings if "of pipeline" in said]


def test_a_spectrum_without_a_rise_is_drawn(batch: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("".join(f"{x:.1f}\t5\n" for x in np.arange(188.0, 197.0, 0.1)))
    head = f'layerscope = 1\nsample = "s"\n{batch["HEADS"]["xps"]}[figures]\nformats = ["png"]\n'
    (tmp_path / "recipe.toml").write_text(f'{head}[[series]]\nfiles = ["a.txt"]\n{batch["SERIES"]["xps"]}')
    summary = execute(tmp_path / "recipe.toml", tmp_path / "run")
    assert summary.run.figures
    assert summary.warnings == ()
