"""``files`` of a recipe takes folders and patterns in every technique, and each stands in the records as one input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layerscope.diffraction.peaks.pipeline import PIPELINE as PEAKS
from layerscope.diffraction.series import load_series

from layerscope.measured.files import fingerprint
from layerscope.runs.execute import execute

X = np.arange(280.0, 292.0, 0.1)


def spectra(folder: Path) -> None:
    (folder / "in").mkdir()
    rng = np.random.default_rng(4)
    for level in range(3):
        counts = rng.poisson(300.0 + 4000.0 * np.exp(-4 * np.log(2) * ((X - 284.8) / 1.3) ** 2))
        rows = "".join(f"{x:.1f},{c}\n" for x, c in zip(X, counts, strict=True))
        (folder / "in" / f"level_{level}.csv").write_text(rows)


@pytest.mark.parametrize("files", ["in", "in/level_*.csv"])
def test_the_levels_of_a_profile_may_lie_in_a_folder(tmp_path: Path, files: str) -> None:
    spectra(tmp_path)
    recipe = f"""
layerscope = 1
pipeline = "xps"
sample = "carbon"
[[series]]
files = ["{files}"]
times_s = [0, 10, 20]
columns = {{ region = "C 1s" }}
[[regions]]
region = "C 1s"
[[regions.components]]
species = "C-C/C-H"
"""
    (tmp_path / "r.toml").write_text(recipe)
    summary = execute(tmp_path / "r.toml", tmp_path / "out", figures=False)
    levels = [r for r in summary.run.records if r.method == "xps.region"]
    assert [r.state.elapsed_s for r in levels] == [0.0, 10.0, 20.0]
    assert {(i.path, i.sha256) for r in levels for i in r.inputs} == {(files, fingerprint(tmp_path / files)[0])}
    assert execute(tmp_path / "r.toml", tmp_path / "out", figures=False).reused == 1


@pytest.mark.parametrize("files", ["in", "in/frame_*.xy"])
def test_the_frames_of_a_series_may_lie_in_a_folder(tmp_path: Path, files: str) -> None:
    (tmp_path / "in").mkdir()
    axis = np.arange(15.0, 25.0, 0.05)
    for frame in range(12):
        (tmp_path / "in" / f"frame_{frame}.xy").write_text("".join(f"{x:.2f} {100 + frame}\n" for x in axis))
    table = {"files": [files], "radiation": {"anode": "Cu"}}
    recipe = PEAKS.recipe_model.model_validate(
        {"layerscope": 1, "pipeline": "xrd_peaks", "sample": "s", "series": [table], "components": "lco_003"}
    ).located(tmp_path)
    series = load_series(recipe, recipe.series[0])  # type: ignore[attr-defined,arg-type]
    assert [f.measurement.intensity[0] for f in series.levels] == [100.0 + frame for frame in range(12)]
    (entry,) = series.inputs("all")
    assert (entry.path, entry.sha256) == (files, fingerprint(tmp_path / files)[0])
