"""Phases that a recipe names and a pattern may not hold: stated with a limit, and held so that they imitate nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("rietx", reason="rietx is not installed (pip install 'layerscope[xrd]')")

from layerscope.diffraction.rietveld.engines.gsas2_engine import find_interpreter
from layerscope.diffraction.rietveld.model import PowderPhase
from layerscope.diffraction.rietveld.plan import RefinementPlan
from layerscope.diffraction.rietveld.presence import _holding
from pipeline_refined import H13, INSTRUMENT, O3, WIDE, counts, flags_of, run_of, with_errors, write_recipe

from layerscope.cli.app import app
from layerscope.records import ResultRecord
from layerscope.runs.load import Run

ENGINES = [
    "rietx",
    pytest.param(
        "gsas2", marks=pytest.mark.skipif(find_interpreter() is None, reason="GSAS-II is not installed on this machine")
    ),
]
PLAN = """plan = { kind = "stages", stages = [
  { name = "scale", free = ["scale", "background"] },
  { name = "cell", free = ["cell", "displacement"] },
  { name = "size", free = ["size"] },
] }"""
PHASES = """phases = [
  { name = "O3", library = "LiCoO2_O3_delithiated", texture = false },
  { name = "H1-3", library = "LiCoO2_H1-3", texture = false, size_nm = 100.0 },
]"""


def mixture(folder: Path, engine: str, share: float, seed: int) -> Run:
    y = counts((O3, H13), (1.0 - share, share), seed, grid=WIDE, strongest=5000.0)
    (folder / "p.xye").write_text(with_errors(WIDE, y))
    series = '[[series]]\nfiles = ["p.xye"]\n'
    return run_of(write_recipe(folder, f'engine = "{engine}"\n{PLAN}', phases=PHASES, series=series))


def only(run: Run) -> ResultRecord:
    (record,) = run.records
    return record


@pytest.mark.parametrize("engine", ENGINES)
def test_a_phase_that_is_not_in_the_pattern_has_an_upper_limit_and_the_cell_it_started_with(
    tmp_path: Path, engine: str
) -> None:
    record = only(mixture(tmp_path, engine, 0.0, 1))
    amount = record.get("phase.fraction", "H1-3")
    assert amount.upper_limit is not None
    assert amount.limit_confidence == 0.95
    assert 0.0 < amount.upper_limit < 0.006
    for name, start in (("lattice.a", 2.823), ("lattice.c", 27.07), ("phase.crystallite_size", 100.0)):
        found = record.get(name, "H1-3")
        assert found.role == "fixed"
        assert found.sigma is None
        assert found.value == pytest.approx(start)
    assert {"NOT_DETECTED:H1-3", "HELD_MINOR_PHASE:H1-3/cell"} <= set(flags_of(record))
    assert record.get("phase.fraction", "O3").value == 1.0


def test_a_trace_of_a_phase_is_stated_as_an_amount_with_its_cell_held_or_refined(tmp_path: Path) -> None:
    record = only(mixture(tmp_path, "rietx", 0.01, 1))
    amount = record.get("phase.fraction", "H1-3")
    assert amount.upper_limit is None
    assert abs((amount.value or 0) - 0.01) < 3 * (amount.sigma or 0)
    assert record.get("lattice.c", "H1-3").value == pytest.approx(27.07, abs=0.06)
    assert "NOT_DETECTED:H1-3" not in flags_of(record)


def test_show_prints_the_limit_and_the_held_cell_beside_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    run = mixture(tmp_path, "rietx", 0.0, 1)
    limit = only(run).get("phase.fraction", "H1-3").text().partition("< ")[2].partition(" ")[0]
    shown = CliRunner().invoke(app, ["show", str(run.folder)]).output
    (row,) = (line for line in shown.splitlines() if line.startswith("H1-3"))
    assert f"< {limit}" in row
    assert "2.823 " in row
    assert "27.07" in row


@pytest.mark.parametrize("engine", ENGINES)
def test_lines_of_another_shape_than_the_refined_one_give_amounts_a_part_model_that_holds_the_truth(
    tmp_path: Path, engine: str
) -> None:
    spread = [replace(O3.with_cell(c=c), name=f"O3 {c}") for c in (14.37, 14.42, 14.47)]
    y = counts((*spread, H13), (0.2, 0.3, 0.2, 0.3), 4, grid=WIDE, strongest=20000.0)
    (tmp_path / "p.xye").write_text(with_errors(WIDE, y))
    series = '[[series]]\nfiles = ["p.xye"]\n'
    record = only(run_of(write_recipe(tmp_path, f'engine = "{engine}"\n{PLAN}', phases=PHASES, series=series)))
    for name, component, truth in (("phase.fraction", "H1-3", 0.3), ("lattice.c", "O3", 14.42)):
        found = record.get(name, component)
        assert set(found.budget) - {"geometry"} == {"counting", "model"}
        assert math.hypot(*found.budget.values()) == pytest.approx(found.sigma)
        assert found.budget["model"] > found.budget["counting"]
        assert abs((found.value or 0) - truth) < 2 * (found.sigma or 0)
    assert any("the shape of the lines is known to" in note for note in record.notes)


def test_a_held_phase_keeps_its_scale_alone_and_the_others_all_that_the_plan_frees() -> None:
    stages = (("one", ("scale", "background")), ("two", ("cell", "size:B", "size:A")), ("three", ("xyz:B",)))
    plan = RefinementPlan.of(*stages)
    held = _holding(plan, ["A", "B"], ["B"])
    assert [stage.free for stage in held.stages] == [("scale", "background"), ("cell:A", "size:A")]


def test_the_limit_of_an_absent_phase_holds_what_wrong_lines_of_the_others_leave(tmp_path: Path) -> None:
    spread = [replace(O3.with_cell(c=c), name=f"O3 {c}") for c in (14.37, 14.42, 14.47)]
    small = PowderPhase.of(H13.with_cell(c=27.04), size_nm=25.0)
    y = counts((*spread, small), (0.3, 0.399, 0.3, 0.001), 4, grid=WIDE, strongest=20000.0)
    (tmp_path / "p.xye").write_text(with_errors(WIDE, y))
    record = only(run_of(write_recipe(tmp_path, PLAN, phases=PHASES, series='[[series]]\nfiles = ["p.xye"]\n')))
    amount = record.get("phase.fraction", "H1-3")
    assert amount.budget["model"] > 0
    assert math.hypot(*amount.budget.values()) == pytest.approx(amount.sigma)
    assert amount.upper_limit is not None
    assert 0.001 < amount.upper_limit < 0.05


def test_a_shift_of_all_lines_by_axial_divergence_is_in_the_errors_of_cells_and_not_in_those_of_amounts(
    tmp_path: Path,
) -> None:
    instrument = INSTRUMENT.model_copy(update={"sh_l": 0.05})
    y = counts((O3, H13), (0.6, 0.4), 4, grid=WIDE, strongest=20000.0, instrument=instrument)
    (tmp_path / "p.xye").write_text(with_errors(WIDE, y))
    series = '[[series]]\nfiles = ["p.xye"]\n'
    plan = PLAN.replace('["cell"]', '["cell", "displacement", "sh_l"]')
    start = "sh_l = 0.05, x = 0.04, y = 0.03"
    record = only(run_of(write_recipe(tmp_path, plan, phases=PHASES, series=series, instrument=start)))
    for name, phase in (("lattice.a", "O3"), ("lattice.c", "H1-3"), ("lattice.volume", "O3")):
        found = record.get(name, phase)
        assert found.budget["geometry"] > found.budget["counting"]
        assert 2e-5 < found.budget["geometry"] / (found.value or 1) < 2e-3
    assert record.get("instrument.displacement", "displacement_mm").budget["geometry"] > 0.005
    assert "geometry" not in record.get("phase.fraction", "O3").budget
