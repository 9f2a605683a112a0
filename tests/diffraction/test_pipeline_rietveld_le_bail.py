"""Le Bail through the pipeline rietveld: cells without atoms, from either engine, and recipes that ask for more."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("rietx", reason="rietx is not installed (pip install 'layerscope[xrd]')")

from layerscope.diffraction.exports import FORMATS
from layerscope.diffraction.rietveld.engines.gsas2_engine import find_interpreter
from layerscope.diffraction.rietveld.model import Instrument, Problem
from pipeline_refined import ONE, WIDE, columns, counts, pull, run_of, write_recipe

from layerscope.crystals import load_phase
from layerscope.errors import RecipeError
from layerscope.runs.export import FORMATS as CORE_FORMATS
from layerscope.runs.load import Run
from layerscope.runs.plan import check_plan, make_plan

ALL_FORMATS = {**CORE_FORMATS, **FORMATS}

GSAS2 = find_interpreter()
ENGINES = [
    "rietx",
    pytest.param("gsas2", marks=pytest.mark.skipif(GSAS2 is None, reason="GSAS-II is not installed on this machine")),
]
O3, SI = load_phase("LiCoO2_O3"), load_phase("Si")
SERIES = '[[series]]\nfiles = ["p.xy"]\n'
PHASES = """phases = [
  { name = "layered", space_group = "R -3 m", a = 2.8166, c = 14.0599 },
  { name = "Si", space_group = "F d -3 m", a = 5.4330 },
]"""


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two phases that are given by space group and cell alone, 0.04 % off."""
    folder = tmp_path_factory.mktemp("le_bail")
    (folder / "p.xy").write_text(columns(WIDE, counts((O3, SI), (0.8, 0.2), 3, grid=WIDE, strongest=8000.0)))
    body = f'engine = "{"rietx" if GSAS2 is None else "both"}"\nle_bail = true'
    return run_of(write_recipe(folder, body, phases=PHASES, series=SERIES))


@pytest.mark.parametrize("engine", ENGINES)
def test_cells_are_true_within_their_errors_though_no_atom_is_known(extracted: Run, engine: str) -> None:
    record = extracted.select(method=f"rietveld.{engine}").records[0]
    for name, phase, keys in (("layered", O3, ("a", "c")), ("Si", SI, ("a",))):
        for key in keys:
            truth = phase.cell[0 if key == "a" else 2]
            assert abs(pull(record, f"lattice.{key}", name, truth)) < 4, (name, key)
            assert (record.get(f"lattice.{key}", name).sigma or 1) < 1e-4 * truth


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_said_of_amounts_and_atoms(extracted: Run, engine: str) -> None:
    record = extracted.select(method=f"rietveld.{engine}").records[0]
    assert not [q.name for q in record.quantities if q.name.startswith(("phase.fraction", "atom.", "phase.scale"))]
    assert record.recipe["plan"]["kind"] == "le_bail"


def test_exports_hold_the_cells(extracted: Run, tmp_path: Path) -> None:
    written = [p for name in ("phases", "markdown", "pdcif") for p in ALL_FORMATS[name](extracted, tmp_path)]
    texts = {p.suffix: p.read_text() for p in written if p.suffix != ".parquet"}
    a = extracted.select(method="rietveld.rietx").records[0].get("lattice.a", "layered")
    assert "a_layered_angstrom_sigma" in texts[".csv"]
    assert f"| {a.text()} |" in texts[".md"]
    assert "_cell.length_a_su" in texts[".cif"]
    assert "_pd_phase_mass" not in texts[".cif"]
    assert "_atom_site" not in texts[".cif"]


@pytest.mark.parametrize(
    ("body", "phases", "words"),
    [
        ('le_bail = true\nplan = { kind = "full" }', ONE, "drop plan.kind = 'full'"),
        ('le_bail = true\nplan = { kind = "stages", stages = [{ name = "s", free = ["b_iso"] }] }', ONE, "drop b_iso"),
        ('plan = { kind = "le_bail" }', ONE, "goes with le_bail = true"),
        ("le_bail = true\n[sequence]", ONE, "single patterns"),
        ('le_bail = true\ntotal = ["O3"]', ONE, "no fractions"),
        ("", 'phases = [{ name = "X", space_group = "R -3 m", a = 2.8, c = 14.0 }]', "has no atoms"),
        ("le_bail = true", 'phases = [{ name = "X", space_group = "R -3 m", c = 14.0 }]', "needs the cell"),
    ],
)
def test_a_recipe_that_asks_le_bail_for_more_than_cells_is_refused(
    tmp_path: Path, body: str, phases: str, words: str
) -> None:
    with pytest.raises(RecipeError, match=re.escape(words)):
        make_plan(write_recipe(tmp_path, body, phases=phases, series=SERIES))


def test_a_structure_of_the_library_without_atoms_goes_with_le_bail_alone(tmp_path: Path) -> None:
    (tmp_path / "p.xy").write_text(columns(WIDE, counts((O3,), (1.0,), 3, grid=WIDE)))
    phases = 'phases = [{ name = "borate", library = "LiB6O9F" }]'
    path = write_recipe(tmp_path, "le_bail = true", phases=phases, series=SERIES)
    assert not check_plan(make_plan(path))
    with pytest.raises(RecipeError, match="no atoms: its intensities are not known"):
        Problem((load_phase("LiB6O9F"),), Instrument())
    path = write_recipe(tmp_path, "", phases=phases, series=SERIES)
    ((_, problem),) = check_plan(make_plan(path))
    assert "no atoms" in problem.message
    assert problem.source == "phases.borate"
    assert "le_bail = true" in (problem.hint or "")


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        ('space_group = "R -3 m", a = 2.8', "its cell needs c"),
        ('space_group = "P n m a", a = 4.8, c = 6.0', "its cell needs b"),
        ('space_group = "R -3 m", a = 2.8, c = 14.0, gamma = 90', "gamma is 120"),
        ('space_group = "R -3 q", a = 2.8, c = 14.0', "unknown space group"),
    ],
)
def test_a_cell_that_does_not_belong_to_its_space_group_is_found_by_check(
    tmp_path: Path, phase: str, words: str
) -> None:
    (tmp_path / "p.xy").write_text(columns(WIDE, counts((O3,), (1.0,), 3, grid=WIDE)))
    path = write_recipe(tmp_path, "le_bail = true", phases=f'phases = [{{ name = "X", {phase} }}]', series=SERIES)
    problems = [p for _, p in check_plan(make_plan(path))]
    assert len(problems) == 1
    assert words in problems[0].message
    assert problems[0].source == "phases.X"


def test_an_extraction_by_rietx_fits_to_the_noise_and_finds_the_background(extracted: Run) -> None:
    """Intensities held beside a free background left a goodness of fit of 1.6 and the background too low."""
    record = extracted.select(method="rietveld.rietx").records[0]
    assert record.quality is not None
    assert record.quality.gof == pytest.approx(1.0, abs=0.06)
    assert (record.quality.n_free or 0) > 4 + 1 + 3 + 3 + 20  # background, displacement, cells, widths, and the lines
    level = record.get("background.coefficient", "0")
    assert level.value == pytest.approx(80.0, abs=2.0)
    assert abs(pull(record, "background.coefficient", "0", 80.0)) < 4
