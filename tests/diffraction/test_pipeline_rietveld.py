"""The pipeline rietveld from files to records, against patterns of known truth and a real one."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rietx", reason="rietx is not installed (pip install 'layerscope[xrd]')")

from layerscope.diffraction.rietveld.engines.gsas2_engine import find_interpreter
from layerscope.diffraction.rietveld.engines.rietx_engine import simulate
from layerscope.diffraction.rietveld.model import Background, Instrument, Problem

import layerscope
from layerscope.crystals import load_phase
from layerscope.records import ResultRecord
from layerscope.runs.execute import execute
from layerscope.runs.load import Run
from layerscope.runs.plan import check_plan, make_plan
from layerscope.runs.present import summary_tables

needs_gsas2 = pytest.mark.skipif(find_interpreter() is None, reason="GSAS-II is not installed on this machine")
GRID = np.arange(16.0, 80.0, 0.03)
O3 = replace(load_phase("LiCoO2_O3"), texture_axis=None)
H13 = replace(load_phase("LiCoO2_H1-3"), texture_axis=None)
INSTRUMENT = Instrument(sh_l=0.002, x=0.03, y=0.03)
FRACTIONS = (0.0, 0.0, 0.0, 0.15, 0.3, 0.45)

HEAD = """layerscope = 1
pipeline = "rietveld"
sample = "LCO"
radiation = { anode = "Cu" }
instrument = { sh_l = 0.002, x = 0.03, y = 0.03 }
background = { terms = 4 }
plan = { kind = "stages", stages = [
  { name = "scale", free = ["scale", "background"] },
  { name = "cell", free = ["cell"] },
] }
phases = [{ name = "O3", library = "LiCoO2_O3", texture = false }PHASES]
"""
WITH_H13 = ', { name = "H1-3", library = "LiCoO2_H1-3", texture = false }'


def pattern(fraction: float, seed: int, strongest: float = 4000.0) -> str:
    phases = (O3, H13) if fraction > 0 else (O3,)
    shares = (1 - fraction, fraction) if fraction > 0 else (1.0,)
    problem = Problem(phases, INSTRUMENT, Background(terms=4))
    truth = simulate(problem, GRID, fractions=shares, strongest=strongest, level=100.0)
    counts = np.random.default_rng(seed).poisson(truth)
    return "".join(f"{x:.4f} {y}\n" for x, y in zip(GRID, counts, strict=True))


def run_of(recipe: Path) -> Run:
    execute(recipe, recipe.parent / "run", figures=False)
    return layerscope.load_run(recipe.parent / "run")


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("sequence")
    with zipfile.ZipFile(folder / "s.zip", "w") as archive:
        for i, w in enumerate(FRACTIONS):
            archive.writestr(f"s_{i}.xy", pattern(w, i))
        archive.writestr("s_6.xy", "".join(f"{x:.4f} 0\n" for x in GRID))
    (folder / "v.csv").write_text("U\n" + "".join(f"{4.2 + 0.05 * i}\n" for i in range(7)))
    text = (
        HEAD.replace("PHASES", WITH_H13)
        + """
total = ["H1-3"]
[sequence]
both_directions = false
[[series]]
files = ["s.zip"]
frames = { table = "v.csv", voltage_V = "U" }
"""
    )
    (folder / "recipe.toml").write_text(text)
    return run_of(folder / "recipe.toml")


def by_frame(run: Run, method: str = "rietveld.rietx") -> dict[int, ResultRecord]:
    return {
        r.state.frame: r
        for r in run.records
        if r.method == method and r.status != "failed" and r.state.frame is not None
    }


def test_fractions_and_cells_of_a_series_equal_the_truth_within_their_errors(sequence: Run) -> None:
    frames = by_frame(sequence)
    assert set(frames) == set(range(6))
    for i, w in enumerate(FRACTIONS):
        for name, truth in (("lattice.a", O3.cell[0]), ("lattice.c", O3.cell[2])):
            found = frames[i].get(name, "O3")
            assert abs((found.value or 0) - truth) < 5 * (found.sigma or 0)
        fraction = frames[i].get("phase.fraction", "H1-3")
        if w > 0:
            assert abs((fraction.value or 0) - w) < 5 * (fraction.sigma or 0)
            assert fraction.upper_limit is None
        else:
            assert fraction.upper_limit is not None
            assert fraction.upper_limit < 0.02
    quality = frames[4].quality
    assert quality is not None
    assert quality.gof == pytest.approx(1.0, abs=0.1)
    assert quality.rwp == pytest.approx((quality.rexp or 0) * (quality.gof or 0))


def test_the_frame_of_zeros_is_one_failed_record_and_the_series_goes_on(sequence: Run) -> None:
    failed = [r for r in sequence.records if r.status == "failed"]
    assert [r.state.frame for r in failed] == [6]
    assert failed[0].problem is not None
    assert "zero" in failed[0].problem.message


def test_the_series_record_says_when_the_phase_begins(sequence: Run) -> None:
    whole = sequence.select(method="rietveld.rietx.series").records[0]
    assert "H1-3: in frames 3 to 5" in whole.notes
    assert len(whole.parents) == 6


def test_curves_voltages_and_ticks_lie_in_the_arrays(sequence: Run) -> None:
    (name,) = list(sequence.arrays)
    arrays = sequence.arrays[name]
    assert arrays.counts.shape == (6, GRID.size)
    assert arrays.level_name == "voltage"
    np.testing.assert_allclose(arrays.residual, (arrays.counts - arrays.fit) / np.sqrt(arrays.variance), atol=1e-6)
    first = arrays.marks["O3"][0]
    expected = 2 * np.degrees(np.arcsin(1.5405929 / (2 * O3.cell[2] / 3)))
    assert first[0] == pytest.approx(expected, abs=0.02)


def test_the_table_has_a_row_a_frame_with_both_phases(sequence: Run) -> None:
    table = next(t for t in summary_tables(sequence) if "rietx" in t.title)
    assert len(table.rows) == 6
    assert {"H1-3: wt", "O3: a / Å", "Rwp / %", "gof"} <= set(table.columns)


def test_real_lithium_cobalt_oxide_fits_better_than_the_expert(shared_data: Path, tmp_path: Path) -> None:
    recipe = Path(__file__).resolve().parents[2] / "docs" / "recipes" / "licoo2_lab.toml"
    text = recipe.read_text(encoding="utf-8").replace('"both"', '"rietx"').replace("save_gpx = true", "")
    folder = shared_data / "xrd" / "licoo2_lab"
    (tmp_path / "recipe.toml").write_text(text)
    execute(tmp_path / "recipe.toml", tmp_path / "run", data=folder, figures=False)
    record = layerscope.load_run(tmp_path / "run").select(method="rietveld.rietx").records[0]
    assert record.quality is not None
    assert (record.quality.rwp or 1) <= 0.0700
    a, c = record.get("lattice.a", "O3"), record.get("lattice.c", "O3")
    assert a.value == pytest.approx(2.81547, abs=6e-5)
    assert c.value == pytest.approx(14.0495, abs=4e-4)
    assert (record.get("fit.serial_factor").value or 0) > 1


@pytest.fixture
def single(tmp_path: Path) -> Path:
    (tmp_path / "p.xy").write_text(pattern(0.0, 1))
    (tmp_path / "recipe.toml").write_text(HEAD.replace("PHASES", "") + '[[series]]\nfiles = ["p.xy"]\n')
    return tmp_path / "recipe.toml"


@needs_gsas2
def test_both_engines_give_two_records_a_comparison_and_the_project(single: Path) -> None:
    single.write_text(
        single.read_text().replace("layerscope = 1", 'layerscope = 1\nengine = "both"\nsave_gpx = true', 1)
    )
    run = run_of(single)
    assert {r.method for r in run.records} == {"rietveld.rietx", "rietveld.gsas2", "rietveld.comparison"}
    found = run.select(method="rietveld.comparison").records[0]
    assert found.notes[0].startswith("agree")
    a = found.get("comparison.difference", "O3/cell/a")
    assert abs((a.value or 1) / (a.sigma or 1)) < 1
    assert a.unit == "angstrom"
    kept = [n.removeprefix("kept: ") for n in run.select(method="rietveld.gsas2").records[0].notes if "kept" in n]
    assert kept
    assert all((run.folder / k).is_file() for k in kept)


def test_a_missing_engine_is_one_failed_record_that_says_how_to_get_it(
    single: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAYERSCOPE_GSAS2_PYTHON", str(single.parent / "no_python"))
    single.write_text(single.read_text().replace("layerscope = 1", 'layerscope = 1\nengine = "both"', 1))
    problems = [p for _, p in check_plan(make_plan(single))]
    assert any("GSAS-II is not installed" in p.message for p in problems)
    run = run_of(single)
    assert sorted((r.method, r.status) for r in run.records) == [("rietveld.gsas2", "failed"), ("rietveld.rietx", "ok")]
    problem = run.select(status="failed").records[0].problem
    assert problem is not None
    assert problem.kind == "dependency"
    assert "install" in (problem.hint or "")
