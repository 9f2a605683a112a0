"""Errors of the files, gaps and stopped scans reach the fits and the records, and `check` refuses what `run` does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from layerscope.records import ResultRecord
from layerscope.runs.execute import execute
from layerscope.runs.load import Run
from layerscope.runs.plan import make_plan

AXIS = np.round(np.arange(35.0, 41.0, 0.02), 3)
PLACE, WIDTH, AREA = 37.5, 0.2, 400.0
RECIPE = """layerscope = 1
pipeline = "xrd_peaks"
sample = "S"
components = "none"
radiation = {{ wavelength = 1.5406 }}
reflections = [{{ name = "(101)", range_2theta = [36.0, 39.5], axial = false }}]
{more}
[[series]]
name = "s"
files = {files}
"""


def curve(place: float = PLACE) -> np.ndarray:
    shape = np.exp(-4 * np.log(2) * ((AXIS - place) / WIDTH) ** 2) * np.sqrt(4 * np.log(2) / np.pi) / WIDTH
    return 100.0 + AREA * shape


def write(folder: Path, name: str, *columns: np.ndarray) -> None:
    rows = zip(AXIS, *columns, strict=True)
    lines = (f"{x:.3f} " + " ".join(f"{v:.5g}" for v in values) for x, *values in rows)
    (folder / name).write_text("\n".join(lines) + "\n")


def recipe_in(folder: Path, files: str, more: str = "") -> Path:
    (folder / "recipe.toml").write_text(RECIPE.format(files=files, more=more))
    return folder / "recipe.toml"


def run(folder: Path, files: str, more: str = "") -> Run:
    return execute(recipe_in(folder, files, more), folder / "run", figures=False).run


def problems(folder: Path) -> list[str]:
    (planned,) = make_plan(folder / "recipe.toml").recipes
    return [problem.message for problem in planned.pipeline.check(planned.recipe)]


def places(found: Run) -> tuple[np.ndarray, np.ndarray]:
    rows = [
        (q.value, q.sigma)
        for r in found.records
        for q in r.quantities
        if r.method == "xrd_peaks.shift" and q.name == "peak.position"
    ]
    return np.array([v for v, _ in rows], float), np.array([s for _, s in rows], float)


def series_of(found: Run) -> ResultRecord:
    return next(r for r in found.records if r.method == "xrd_peaks.reflection")


@pytest.mark.parametrize("background", [0.0, 250.0], ids=["as normalised", "background subtracted"])
def test_the_errors_of_the_file_are_those_of_the_fit(background: float, tmp_path: Path) -> None:
    rng, scale = np.random.default_rng(5), 2.6
    for k in range(20):
        counts = rng.poisson(curve())
        write(tmp_path, f"f{k:02d}.xye", scale * counts - background, scale * np.sqrt(np.maximum(counts, 1)))
    found = run(tmp_path, '["f*.xye"]')
    whole = series_of(found)
    assert whole.status == "ok", whole.flags
    assert whole.quality is not None
    assert whole.quality.redchi == pytest.approx(1.0, abs=0.08)
    value, sigma = places(found)
    assert value.size == 20
    pull = (value - PLACE) / sigma
    assert pull.std() == pytest.approx(1.0, abs=0.4)
    assert abs(pull.mean()) < 0.8
    assert not problems(tmp_path)


def test_gaps_are_flagged_left_out_and_do_not_move_the_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    for k in range(4):
        counts = rng.poisson(curve()).astype(float)
        counts[(AXIS > 37.55) & (AXIS < 37.65)] = np.nan
        write(tmp_path, f"f{k}.xy", counts)
    found = run(tmp_path, '["f*.xy"]')
    whole = series_of(found)
    gap = int(((AXIS > 37.55) & (AXIS < 37.65)).sum())
    assert f"POINTS_MASKED:{4 * gap}" in whole.flags
    assert any("masked" in note for note in whole.notes)
    assert whole.quality is not None
    inside = int(((AXIS >= 36.0) & (AXIS <= 39.5)).sum())
    assert whole.quality.n_data == 4 * (inside - gap)
    value, sigma = places(found)
    assert (abs(value - PLACE) < 4 * sigma).all()
    (arrays,) = found.arrays.values()
    assert np.isnan(arrays.counts).sum() == 4 * gap


def test_a_stopped_scan_is_flagged_and_left_out_of_its_series(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    for k in range(4):
        counts = rng.poisson(curve()).astype(float)
        if k == 2:
            counts[AXIS > 37.4] = 0.0
        write(tmp_path, f"f{k}.xy", counts)
    found = run(tmp_path, '["f*.xy"]')
    assert places(found)[0].size == 3
    assert "FRAMES_FAILED:2" in series_of(found).flags
    assert "ZERO_TAIL:2" in series_of(found).flags
    alone = run(tmp_path, '["f2.xy"]', "")
    assert any("ZERO_TAIL:0" in r.flags or r.status == "failed" for r in alone.records)


def test_intensities_that_are_no_counts_and_have_no_errors_are_refused_by_check_as_by_run(tmp_path: Path) -> None:
    write(tmp_path, "f0.xy", np.random.default_rng(8).poisson(curve()) * 0.37)
    found = run(tmp_path, '["f0.xy"]')
    assert [r.status for r in found.records] == ["failed"]
    assert any("no counts" in text for text in problems(tmp_path))
    write(tmp_path, "f1.xye", curve() * 0.37, np.sqrt(curve()))
    recipe_in(tmp_path, '["f0.xy", "f1.xye"]')
    assert any("others come with errors" in text for text in problems(tmp_path))


def test_the_coin_cell_of_the_documentation_has_errors_frames_and_voltages(shared_data: Path, tmp_path: Path) -> None:
    recipe = Path(__file__).resolve().parents[2] / "docs" / "recipes" / "coincell8.toml"
    found = execute(recipe, tmp_path / "run", data=shared_data / "xrd" / "operando_coin_cell", figures=False).run
    frames = [r for r in found.records if r.method == "xrd_peaks.shift" and r.state.region == "Al (220)"]
    assert [r.state.frame for r in frames] == [0, 1, 2, 3, 4]
    assert ["BEFORE_RECORD" in r.flags for r in frames] == [True, False, False, False, False]
    assert [r.state.voltage_V is None for r in frames] == [True, False, False, False, False]
    cells = [r.get("lattice.a", "Al (220)") for r in frames]
    assert all(
        cell.value == pytest.approx(4.0495, rel=5e-4) for cell in cells
    )  # the wavelength is from five such lines
    assert not [r for r in found.records if r.status == "failed"]
