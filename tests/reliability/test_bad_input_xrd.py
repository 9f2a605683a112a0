"""Bad diffraction input, end to end: one typed error or failed record each, and the rest of the series goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rietx", reason="rietx is not installed (pip install 'layerscope[xrd]')")

from layerscope.diffraction.rietveld.engines.rietx_engine import simulate
from layerscope.diffraction.rietveld.model import Background, Instrument, Problem

import layerscope
from layerscope.crystals import load_phase
from layerscope.errors import LayerscopeError
from layerscope.runs.execute import execute
from layerscope.runs.load import Run
from layerscope.runs.plan import check_plan, make_plan

GRID = np.arange(16.0, 70.0, 0.03)
PHASE = 'phases = [{ name = "O3", library = "LiCoO2_O3", texture = false }]'
CIF = """data_x
_cell_length_a 2.8155
_cell_length_b 2.8155
_cell_length_c 14.0495
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 120
SYMMETRY
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Li Li 0 0 0.5 1
Co Co 0 0 0 1
O O 0 0 OXYGEN 1
"""
SYMMETRY = "_symmetry_space_group_name_H-M 'R -3 m'"


def good(seed: int = 0) -> np.ndarray:
    """Return a pattern of LiCoO2, shape (n, 2)."""
    problem = Problem((load_phase("LiCoO2_O3"),), Instrument(sh_l=0.01, x=0.03, y=0.03), Background(terms=4))
    truth = simulate(problem, GRID, fractions=(1.0,), strongest=2000.0, level=80.0)
    return np.column_stack([GRID, np.random.default_rng(seed).poisson(truth)])


def write(path: Path, table: np.ndarray) -> None:
    path.write_text("".join(f"{x:.5f} {y:.0f}\n" for x, y in table))


def recipe(folder: Path, series: dict[str, str], *, head: str = "", phase: str = PHASE, radiation: str = "") -> Path:
    lines = "".join(f'[[series]]\nname = "{n}"\nsample = "{n}"\n{text}\n' for n, text in series.items())
    path = folder / "recipe.toml"
    path.write_text(
        f"""layerscope = 1
pipeline = "rietveld"
sample = "S"
{radiation or 'radiation = { anode = "Cu" }'}
{head}
instrument = {{ sh_l = 0.01, x = 0.03, y = 0.03 }}
background = {{ terms = 4 }}
plan = {{ kind = "stages", stages = [
  {{ name = "scale", free = ["scale", "background"] }},
  {{ name = "cell", free = ["cell"] }},
] }}
{phase}
{lines}"""
    )
    return path


def run_of(path: Path) -> Run:
    execute(path, path.parent / "run", figures=False)
    return layerscope.load_run(path.parent / "run")


def reasons(run: Run) -> dict[str, str]:
    """Return message and hint of the failed records by sample; one a sample."""
    failed = [r for r in run.records if r.status == "failed"]
    assert len({r.state.sample for r in failed}) == len(failed)
    assert all(r.problem is not None and r.problem.kind != "internal" for r in failed), [r.problem for r in failed]
    return {r.state.sample: f"{r.problem.message} {r.problem.hint}" for r in failed if r.problem is not None}


def test_each_faulty_pattern_is_one_failed_record_and_the_sound_one_is_refined(tmp_path: Path) -> None:
    table = good()
    write(tmp_path / "sound.xy", table)
    write(tmp_path / "zeros.xy", table * [1, 0])
    write(tmp_path / "radians.xy", np.column_stack([np.radians(table[:, 0]), table[:, 1]]))
    write(tmp_path / "short.xy", table[:30])
    write(tmp_path / "negative.xy", table * [1, -1])
    (tmp_path / "text.xy").write_text("this is no pattern\n" * 20)
    (tmp_path / "cut.xy").write_text((tmp_path / "sound.xy").read_text()[:-9] + "nan")
    names = ("sound", "zeros", "radians", "short", "negative", "text", "cut")
    series = {n: f'files = ["{n}.xy"]' for n in names} | {"absent": 'files = ["absent.xy"]'}
    run = run_of(recipe(tmp_path, series))
    assert [r.state.sample for r in run.records if r.status != "failed"] == ["sound"]
    found = reasons(run)
    expected = {
        "zeros": "zero",
        "radians": "radians",
        "short": "points",
        "negative": "negative",
        "absent": "no such file",
    }
    assert set(found) == {*names, "absent"} - {"sound"}
    for name, word in expected.items():
        assert word in found[name], found[name]


def test_frames_of_different_lengths_are_refined_each_by_itself(tmp_path: Path) -> None:
    table = good()
    write(tmp_path / "f0.xy", table)
    write(tmp_path / "f1.xy", table[:1500])
    run = run_of(recipe(tmp_path, {"two": 'files = ["f0.xy", "f1.xy"]'}))
    assert [r.status for r in run.records] == ["ok", "ok"] or all(r.status != "failed" for r in run.records)
    assert sorted(a.counts.shape for a in run.arrays.values()) == [(1, 1500), (1, GRID.size)]


def test_a_wavelength_that_is_not_that_of_the_pattern_is_no_silent_success(tmp_path: Path) -> None:
    write(tmp_path / "p.xy", good())
    run = run_of(recipe(tmp_path, {"p": 'files = ["p.xy"]'}, radiation='radiation = { anode = "Co" }'))
    assert "wavelength of 1.54" in reasons(run)["p"]
    assert "(that of Cu)" in reasons(run)["p"]


def test_a_file_that_names_another_wavelength_than_the_recipe_is_refused(tmp_path: Path) -> None:
    table = good()
    lines = "".join(f"{y:8.0f}\n" for y in table[:, 1])
    (tmp_path / "p.uxd").write_text(
        "; made by hand\n_FILEVERSION=2\n_WL1 = 1.540600\n_WL2 = 1.544390\n_WLRATIO = 0.500\n_DRIVE='COUPLED'\n"
        f"_STEPTIME = 1.0\n_STEPSIZE = 0.03\n_STEPMODE = 'C'\n_START = 16.0\n_2THETA = 16.0\n"
        f"_STEPCOUNT = {GRID.size}\n_COUNTS\n{lines}"
    )
    run = run_of(recipe(tmp_path, {"p": 'files = ["p.uxd"]'}, radiation='radiation = { anode = "Mo" }'))
    assert "the file says 1.5406" in reasons(run)["p"]


@pytest.mark.parametrize(
    ("symmetry", "oxygen", "words"),
    [
        ("", "0.2603", "symmetry"),
        (SYMMETRY, "0.02", "overlap"),
        (SYMMETRY, "0.2397", "the same compound"),
        (SYMMETRY, "0.2603", ""),
    ],
)
def test_a_cif_without_symmetry_with_overlapping_atoms_or_of_another_origin_is_refused(
    tmp_path: Path, symmetry: str, oxygen: str, words: str
) -> None:
    (tmp_path / "x.cif").write_text(CIF.replace("SYMMETRY", symmetry).replace("OXYGEN", oxygen))
    write(tmp_path / "p.xy", good())
    path = recipe(tmp_path, {"p": 'files = ["p.xy"]'}, phase='phases = [{ name = "O3", file = "x.cif" }]')
    problems = [p for _, p in check_plan(make_plan(path))]
    run = run_of(path)
    if not words:
        assert not problems
        (record,) = run.records
        assert record.status == "ok"
        return
    assert len(problems) == 1
    assert words in reasons(run)["p"]
    assert run.records[0].problem is not None
    assert run.records[0].problem.source == "x.cif"


@pytest.mark.parametrize(
    ("body", "message"), [("sleep 60", "gave no answer within"), ("kill -9 $$", "ended unexpectedly")]
)
def test_an_engine_that_hangs_or_dies_loses_its_frame_and_not_the_other_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, message: str
) -> None:
    script = tmp_path / "python"
    script.write_text(
        '#!/bin/sh\ncase "$2" in -c) exit 0;; esac\n'
        'echo \'{"ready": true, "version": "fake"}\'\nread line\n' + body + "\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("LAYERSCOPE_GSAS2_PYTHON", str(script))
    write(tmp_path / "p.xy", good())
    run = run_of(recipe(tmp_path, {"p": 'files = ["p.xy"]'}, head='engine = "both"\ntime_limit_s = 3.0'))
    status = {r.method: r.status for r in run.records}
    assert status["rietveld.gsas2"] == "failed"
    problem = run.select(status="failed").records[0].problem
    assert problem is not None
    assert problem.kind == "fit"
    assert message in problem.message
    assert str(tmp_path.parents[1]) not in f"{problem.source} {problem.hint}"
    assert status["rietveld.rietx"] != "failed"


def test_a_missing_record_of_the_cycler_is_named_and_the_other_series_goes_on(tmp_path: Path) -> None:
    write(tmp_path / "p.xy", good())
    cycler = '[series.cycler]\nfile = "none.csv"\nclock_sigma_s = 1.0\n'
    series = {"with": f'files = ["p.xy"]\n{cycler}', "without": 'files = ["p.xy"]'}
    run = run_of(recipe(tmp_path, series))
    assert set(reasons(run)) == {"with"}
    failed = run.select(status="failed").records[0]
    assert failed.problem is not None
    assert failed.problem.source == "none.csv"
    assert any(r.state.sample == "without" and r.status != "failed" for r in run.records)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('library = "LiCoO2_O3"', 'library = "LiCoO2_O4"'), "LiCoO2_O4"),
        (('free = ["cell"]', 'free = ["cells"]'), "cells"),
        (('anode = "Cu"', 'anode = "Xx"'), "Xx"),
        (("background = {", "backgruond = {"), "background"),
        (('library = "LiCoO2_O3"', 'library = "LiCoO2_O3", file = "x.cif"'), "either library or file"),
    ],
)
def test_a_wrong_recipe_is_refused_by_check_with_the_word_that_is_wrong(
    tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    write(tmp_path / "p.xy", good())
    path = recipe(tmp_path, {"p": 'files = ["p.xy"]'})
    path.write_text(path.read_text().replace(*change))
    try:
        found = " ".join(f"{p.message} {p.hint}" for _, p in check_plan(make_plan(path)))
    except LayerscopeError as error:
        found = f"{error} {error.hint}"
    assert words in found
