"""The story of a sample in a report: its claims with their evidence, and techniques side by side along depth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from layerscope.spectra.sxas.report import yield_depth

import layerscope
from layerscope.report import report_page
from layerscope.report.story import story_sections
from layerscope.runs.execute import execute
from layerscope.runs.load import Run

CLAIM = """
[[samples]]
name = "S"
states.early = ["LRO"]

[[claims]]
says = "A is at the surface <b>of</b> S"
of = "S: early"
evidence = [
    { technique = "toy", quantity = "species.fraction", component = "A", at = {etch_time_s = 10}, expects = "greater" },
    { technique = "eels", quantity = "species.fraction", component = "A", expects = "greater" },
]
"""


def test_a_study_ends_with_its_claims_in_the_report(recipe_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(f'layerscope = 1\nrecipes = ["case/recipe.toml"]\n{CLAIM}')
    execute(tmp_path / "study.toml", tmp_path / "run")
    run = layerscope.load_run(tmp_path / "run")
    claims, evidence = story_sections(run)[0].tables
    assert claims.rows[0][1] == "stands"
    assert claims.rows[0][-1] == "toy, eels (not tested)"
    assert evidence.rows[0][4] == "0.50(4)"
    assert evidence.records[0] == run.select(lambda r: r.state.etch_time_s == 10).records[0].record_id
    assert "not tested: no record of LRO by eels" in evidence.rows[1][-2]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "<b>of</b>" not in page
    assert page == report_page(run)
    before = page
    study = tmp_path / "study.toml"
    study.write_text(study.read_text().replace('expects = "greater" },\n    { tech', 'expects = "less" },\n    { tech'))
    again = execute(study, tmp_path / "run")
    assert again.reused == 2
    assert (tmp_path / "run" / "report.html").read_text(encoding="utf-8") != before


def test_a_run_without_samples_of_a_study_has_no_story(invented_run_of_nothing: Run) -> None:
    assert story_sections(invented_run_of_nothing) == []


def test_techniques_stand_along_the_depth_from_the_surface_down(reference_run: Callable[[str], Path]) -> None:
    run = layerscope.load_run(reference_run("xps_b1s_lco_cei/recipe.toml"))
    told = {"samples": [{"name": "B-LCO", "states": {"pristine": ["B-LCO, pristine"]}}], "claims": []}
    (section,) = story_sections(Run(run.folder, run.records, {**run.info, "story": told}))
    (table,) = section.tables
    tops = [row[1] for row in table.cells]
    assert tops == sorted(tops)
    assert len(tops) == 10
    assert 8.0 < table.cells[0][2] - table.cells[0][1] < 11.0  # three path lengths of 1.2 keV
    assert "B 16(3) %" in table.rows[0][5]
    assert "F < 0.025 %" in table.rows[0][5]  # a limit, and not beside the value that it replaces


def test_a_yield_looks_as_deep_as_was_measured_through_chromium() -> None:
    assert yield_depth(77.0) == 1.5
    assert abs(yield_depth(929.0) - 14.1) < 1e-9
    assert yield_depth(77.0) < yield_depth(194.0) < yield_depth(531.0) < yield_depth(929.0)
    assert yield_depth(2000.0) == yield_depth(929.0)
