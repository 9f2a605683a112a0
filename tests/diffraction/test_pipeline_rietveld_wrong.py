"""What is wrong with a pattern or its recipe, end to end through the pipeline rietveld: named once, never silent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rietx", reason="rietx is not installed (pip install 'layerscope[xrd]')")

from layerscope.diffraction.rietveld.compare import compare
from layerscope.diffraction.rietveld.engines.interface import RefineOptions
from layerscope.diffraction.rietveld.model import PowderPattern, Problem
from layerscope.diffraction.rietveld.plan import RefinementPlan
from layerscope.diffraction.rietveld.refinement import refine
from layerscope.diffraction.rietveld.wavelength import likely_wavelength
from pipeline_refined import (
    GRID,
    H13,
    INSTRUMENT,
    O3,
    ONE,
    PLAN,
    WIDE,
    columns,
    counts,
    flags_of,
    pull,
    run_of,
    with_errors,
    write_recipe,
    write_series,
)

from layerscope.crystals import load_phase
from layerscope.records import Problem as RecordProblem
from layerscope.runs.load import Run

SERIES = '[[series]]\nfiles = ["p.xye"]\n'
ZNO, SI = load_phase("ZnO"), load_phase("Si")


def single(folder: Path, text: str, body: str = PLAN, radiation: str = '{ anode = "Cu" }', phases: str = ONE) -> Run:
    (folder / "p.xye").write_text(text)
    return run_of(write_recipe(folder, body, phases=phases, series=SERIES, radiation=radiation))


def only_problem(run: Run) -> RecordProblem:
    (record,) = run.records
    assert record.status == "failed"
    assert record.problem is not None
    return record.problem


@pytest.mark.parametrize(
    "radiation", ['{ anode = "Co" }', '{ anode = "Mo" }', '{ anode = "Cr" }', "{ wavelength = 0.4139 }"]
)
def test_a_wrong_wavelength_is_one_failed_record_that_names_the_right_one(tmp_path: Path, radiation: str) -> None:
    pattern = with_errors(WIDE, counts((O3,), (1.0,), 1, grid=WIDE))
    problem = only_problem(single(tmp_path, pattern, radiation=radiation))
    assert problem.kind == "data"
    assert "the wavelength is likely wrong" in problem.message
    assert "1.54" in problem.message
    assert "that of Cu" in problem.message
    assert problem.source == "p.xye"


def test_a_series_at_a_wrong_wavelength_is_one_failed_record_and_not_one_a_frame(tmp_path: Path) -> None:
    write_series(tmp_path, [with_errors(GRID, counts((O3, H13), (0.6, 0.4), k)) for k in range(3)])
    recipe = write_recipe(tmp_path, "[sequence]\nboth_directions = false", radiation='{ anode = "Co" }')
    problem = only_problem(run_of(recipe))
    assert "that of Cu" in problem.message
    assert problem.source == "s.zip"


@pytest.mark.parametrize(("anode", "wavelength"), [("Co", 1.789), ("Mo", 0.70932), ("Cu", 1.5405929)])
def test_the_wavelength_is_found_among_all_and_the_right_one_is_not_doubted(anode: str, wavelength: float) -> None:
    measured = Problem((O3, SI), INSTRUMENT)
    y = counts(measured.phases, (0.7, 0.3), 2, grid=WIDE)
    pattern = PowderPattern.from_counts(WIDE, y.astype(float))
    given = replace(measured, instrument=INSTRUMENT.model_copy(update={"wavelengths": (wavelength,)}))
    found = likely_wavelength(pattern, given)
    assert (found is None) == (anode == "Cu")
    if found is not None:
        assert found.value == pytest.approx(1.5418, abs=0.005)
        assert found.anode == "Cu"


def test_a_phase_that_is_not_there_gives_no_numbers_and_the_wavelength_is_not_blamed(tmp_path: Path) -> None:
    (record,) = single(tmp_path, with_errors(WIDE, counts((ZNO,), (1.0,), 3, grid=WIDE))).records
    assert record.status == "failed"
    assert record.problem is not None
    assert "O3 is not described" in record.problem.message
    assert "wavelength" not in record.problem.message
    assert record.quantities == ()
    assert record.arrays  # the curves that show why
    for flag in ("POOR_FIT", "GROSS_MISFIT"):
        assert any(f.startswith(flag) for f in flags_of(record))


def test_a_reduced_chi2_far_above_one_is_flagged_with_its_value(tmp_path: Path) -> None:
    y = counts((O3, SI), (0.8, 0.2), 4, grid=WIDE)
    (record,) = single(tmp_path, with_errors(WIDE, y)).records
    assert record.quality is not None
    assert record.quality.redchi is not None
    assert record.quality.redchi > 2
    assert f"OVERDISPERSED:{record.quality.redchi:.3g}" in flags_of(record)
    (tmp_path / "full").mkdir()
    both = PLAN + '\n[[phases]]\nname = "O3"\nlibrary = "LiCoO2_O3_delithiated"\ntexture = false\n'
    both += '[[phases]]\nname = "Si"\nlibrary = "Si"'
    (record,) = single(tmp_path / "full", with_errors(WIDE, y), both, phases="").records
    assert not any(f.startswith("OVERDISPERSED") for f in flags_of(record))


def test_rescaled_counts_are_flagged_and_their_noise_estimated_on_request(tmp_path: Path) -> None:
    y = counts((O3,), (1.0,), 5, grid=WIDE)
    runs = []
    for name, text, body in (
        ("counts", columns(WIDE, y), PLAN),
        ("taken_for_counts", columns(WIDE, np.round(4.0 * y)), PLAN),
        ("scaled", columns(WIDE, 0.37 * y), PLAN + '\nnoise = "scaled"'),
    ):
        (tmp_path / name).mkdir()
        runs.append(single(tmp_path / name, text, body).records[0])
    plain, mistaken, scaled = runs
    a, b, c = (r.get("lattice.c", "O3") for r in runs)
    assert any(f.startswith("NOT_COUNTS:") for f in flags_of(mistaken))
    assert mistaken.status == "warning"
    assert scaled.status == plain.status == "ok"
    assert scaled.quality is not None
    assert scaled.quality.gof == pytest.approx(1.0, abs=0.08)
    assert c.value == pytest.approx(a.value, abs=0.3 * (a.sigma or 0))
    assert c.sigma == pytest.approx(a.sigma, rel=0.08)
    assert abs(pull(plain, "lattice.c", "O3", O3.cell[2])) < 4
    assert b.sigma is not None


D20 = """XYDATA  Co2SiO4 8mmV 1.87A HiRes FullBeam 500K CF ROC
INTER        1       1       0     0.100000
TEMP       52.3450      51.0650      51.1020
! d20 23-Apr-08 09:22:09 Run 594842*d20_2008_04_5880
! Monitor/counts, Counting time/sec:       100000.      62.5111
"""


def test_neutrons_are_refused_where_intensities_matter_and_not_where_they_are_extracted(tmp_path: Path) -> None:
    pattern = with_errors(WIDE, counts((O3,), (1.0,), 6, grid=WIDE))
    by_recipe = '{ wavelength = 1.5406, probe = "neutron" }'
    cases = (
        ("header", D20 + pattern, "{ wavelength = 1.5406 }", "these are neutrons, says the header (d20)"),
        ("recipe", pattern, by_recipe, "X-ray form factors only"),
    )
    for name, text, radiation, words in cases:
        (tmp_path / name).mkdir()
        problem = only_problem(single(tmp_path / name, text, radiation=radiation))
        assert problem.kind == "recipe"
        assert words in problem.message
        assert "le_bail = true" in (problem.hint or "")
    (tmp_path / "cells").mkdir()
    (record,) = single(tmp_path / "cells", D20 + pattern, "le_bail = true", "{ wavelength = 1.5418 }").records
    assert record.get("lattice.a", "O3").sigma is not None
    (tmp_path / "x_ray").mkdir()
    override = '{ anode = "Cu", probe = "x-ray" }'
    (record,) = single(tmp_path / "x_ray", D20 + pattern, radiation=override).records
    assert record.status == "ok"


def test_an_instrument_for_neutrons_is_refused(tmp_path: Path) -> None:
    (tmp_path / "n.instprm").write_text(
        "#GSAS-II instrument parameter file\nType:PNC\nBank:1.0\nLam:1.5406\nZero:0.0\n"
    )
    (tmp_path / "p.xye").write_text(with_errors(WIDE, counts((O3,), (1.0,), 6, grid=WIDE)))
    recipe = write_recipe(
        tmp_path,
        PLAN,
        phases=ONE,
        series=SERIES,
        radiation="{ wavelength = 1.5406 }",
        instrument='instprm = "n.instprm"',
    )
    problem = only_problem(run_of(recipe))
    assert "for neutrons" in problem.message
    assert problem.source == "n.instprm"


def test_engines_that_find_different_phases_are_said_to_differ() -> None:
    y = counts((O3, H13), (0.6, 0.4), 7)
    pattern = PowderPattern.from_counts(GRID, y.astype(float))
    plan = RefinementPlan.of(("s", ("scale", "background")), ("c", ("cell",)))
    problem = Problem((O3, H13), INSTRUMENT)
    two = refine(pattern, problem, plan=plan, options=RefineOptions(prealign=False))
    one = refine(pattern, problem.only(["O3"]), plan=plan, options=RefineOptions(prealign=False))
    found = compare(two, one)
    assert found.verdict == "differ"
    assert "finds O3 and H1-3" in found.message
