"""A reflection that is not what the recipe says: the records of the series and of every frame warn, with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import layerscope.runs.execute as runs
from layerscope.runs.load import Run

AXIS = np.arange(35.0, 41.0, 0.02)
FRAMES, PLACES = 4, (37.5, 37.72)
RECIPE = """layerscope = 1
pipeline = "xrd_peaks"
sample = "S"
components = "none"
radiation = {{ wavelength = 1.5406 }}
reflections = [{{ name = "(101)", range_2theta = [36.0, 39.5], axial = false{more} }}]
[[series]]
name = "s"
files = ["f0.xy", "f1.xy", "f2.xy", "f3.xy"]
"""


def pseudo_voigt(center: float, width: float = 0.10, mixing: float = 0.4) -> np.ndarray:
    """Return a line of unit area."""
    t = (AXIS - center) / width
    gauss = 2 * np.sqrt(np.log(2) / np.pi) / width * np.exp(-4 * np.log(2) * t * t)
    return (1 - mixing) * gauss + mixing * 2 / np.pi / width / (1 + 4 * t * t)


def run_of(folder: Path, second: float, more: str = "", at: float = PLACES[1], only: int | None = None) -> Run:
    """Return the run of four frames with a moving line and a second one of the given area, in all or in one."""
    rng = np.random.default_rng(1)
    for k in range(FRAMES):
        other = second * pseudo_voigt(at) if only in (None, k) else 0.0
        expected = 300 + 4000 * pseudo_voigt(PLACES[0] + 0.01 * k) + other
        np.savetxt(folder / f"f{k}.xy", np.column_stack([AXIS, rng.poisson(expected)]), fmt="%.3f %d")
    (folder / "recipe.toml").write_text(RECIPE.format(more=more), encoding="utf-8")
    return runs.execute(folder / "recipe.toml", folder / "run", figures=False).run


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_of(tmp_path_factory.mktemp("wrong"), 3000.0)


def test_two_lines_fitted_as_one_warn_in_the_series_and_in_every_frame(wrong: Run) -> None:
    whole = next(r for r in wrong.records if r.method == "xrd_peaks.reflection")
    frames = [r for r in wrong.records if r.method == "xrd_peaks.shift"]
    assert len(frames) == FRAMES
    assert whole.quality is not None
    assert whole.quality.redchi is not None
    assert whole.quality.redchi > 500.0
    for record in (whole, *frames):
        assert record.status == "warning"
        assert f"OVERDISPERSED:{whole.quality.redchi:.3g}" in record.flags
    for k, record in enumerate(sorted(frames, key=lambda r: r.state.frame or 0)):
        assert "RESIDUAL_STRUCTURE" in record.flags
        assert f"RESIDUAL_STRUCTURE:{k}" in whole.flags


def test_records_name_their_series(wrong: Run) -> None:
    assert {record.state.series for record in wrong.records} == {"s"}


@pytest.mark.parametrize(("second", "more"), [(0.0, ""), (3000.0, f", neighbours = [{PLACES[1]}]")])
def test_the_right_model_does_not_warn(tmp_path: Path, second: float, more: str) -> None:
    run = run_of(tmp_path, second, more)
    assert [(r.status, r.flags) for r in run.records if r.status != "ok"] == []
    at = {r.state.frame: r.get("peak.position", "(101)") for r in run.records if r.method == "xrd_peaks.shift"}
    for k in range(FRAMES):
        assert abs((at[k].value or 0.0) - PLACES[0] - 0.01 * k) < 4.5 * (at[k].sigma or 0.0)


def test_a_line_that_does_not_describe_the_window_gives_no_numbers(tmp_path: Path) -> None:
    (record,) = run_of(tmp_path, 3000.0, at=38.8).records
    assert record.status == "failed"
    assert record.problem is not None
    assert "(101) is not described" in record.problem.message
    assert "38.8" in record.problem.message
    assert record.quantities == ()
    assert record.arrays
    assert any(flag.startswith("GROSS_MISFIT") for flag in record.flags)


def test_a_frame_that_is_not_described_fails_alone(tmp_path: Path) -> None:
    run = run_of(tmp_path, 3000.0, at=38.8, only=2)
    by_frame = {r.state.frame: r for r in run.records if r.method == "xrd_peaks.shift"}
    assert [by_frame[k].status == "failed" for k in range(FRAMES)] == [False, False, True, False]
    assert by_frame[2].quantities == ()
    (whole,) = [r for r in run.records if r.method == "xrd_peaks.reflection"]
    assert "FRAMES_FAILED:2" in whole.flags
    assert whole.status == "warning"
