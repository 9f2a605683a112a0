"""Real measurements through the pipeline rietveld, opened as a user would: with a recipe and the folder of the data."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rietx", reason="rietx is not installed (pip install 'layerscope[xrd]')")

from pipeline_refined import flags_of, write_recipe

import layerscope
from layerscope.records import Problem
from layerscope.runs.execute import execute
from layerscope.runs.load import Run

RECIPES = Path(__file__).resolve().parents[2] / "docs" / "recipes"
LE_BAIL = 'phases = [{ name = "X", space_group = "P n m a", a = 10.30, b = 6.00, c = 4.78 }]'
STRUCTURE = 'phases = [{ name = "X", library = "LiCoO2_O3" }]'


def opened(recipe: Path, data: Path, out: Path) -> Run:
    if not data.is_dir():
        pytest.skip(f"{data.name} not found")
    execute(recipe, out, data=data, figures=False)
    return layerscope.load_run(out)


def one_problem(run: Run) -> Problem:
    (record,) = run.records
    assert record.status == "failed"
    assert record.problem is not None
    return record.problem


def test_the_weighed_mixture_of_the_documentation_is_found_as_it_was_weighed(shared_data: Path, tmp_path: Path) -> None:
    run = opened(RECIPES / "weighed_tio2_zno.toml", shared_data / "xrd" / "weighed_mixtures", tmp_path / "run")
    (record,) = run.records
    zinc_oxide = record.get("phase.fraction", "ZnO")
    assert zinc_oxide.value == pytest.approx(0.6010 / 1.0019, abs=0.01)
    assert abs((zinc_oxide.value or 0) - 0.6010 / 1.0019) < 1.96 * (zinc_oxide.sigma or 0)
    assert zinc_oxide.budget["counting"] < 0.003
    assert (zinc_oxide.sigma or 1) < 0.01
    assert record.get("phase.fraction", "anatase").value == pytest.approx(1 - (zinc_oxide.value or 0))
    assert not any(f.startswith(("BROAD_PHASE", "POOR_FIT")) for f in flags_of(record))


def test_the_real_series_of_neutrons_is_refused_before_anything_is_calculated(
    shared_data: Path, tmp_path: Path
) -> None:
    series = '[[series]]\nfiles = ["ed-26.zip"]\n'
    recipe = write_recipe(tmp_path, "", phases=STRUCTURE, series=series, radiation="{ wavelength = 1.87 }")
    problem = one_problem(opened(recipe, shared_data / "xrd" / "sequence_neutron", tmp_path / "run"))
    assert "these are neutrons, says the header (D20)".lower() in problem.message.lower()
    assert problem.source == "ed-26.zip"


def test_cells_of_the_real_series_of_neutrons_expand_with_temperature(shared_data: Path, tmp_path: Path) -> None:
    left_out = ", ".join(str(k) for k in range(46) if k not in (0, 20, 40))
    series = f'range_2theta = [20.0, 120.0]\n[[series]]\nfiles = ["ed-26.zip"]\nleave_out = [{left_out}]\n'
    recipe = write_recipe(
        tmp_path,
        "le_bail = true",
        phases=LE_BAIL,
        series=series,
        radiation="{ wavelength = 1.87 }",
        instrument="u = 0.2, v = -0.3, w = 0.3, x = 0.01, y = 0.01",
    )
    run = opened(recipe, shared_data / "xrd" / "sequence_neutron", tmp_path / "run")
    records = sorted(run.records, key=lambda r: r.state.frame or 0)
    assert [r.state.frame for r in records] == [0, 20, 40]
    temperatures = [r.state.temperature_K or 0.0 for r in records]
    assert 50 < temperatures[0] < temperatures[1] < temperatures[2]
    for key, about in (("a", 10.31), ("b", 6.00), ("c", 4.79)):
        values = [r.get(f"lattice.{key}", "X").value or 0.0 for r in records]
        assert values == sorted(values)
        assert values[0] == pytest.approx(about, abs=0.02)


def test_a_series_whose_files_do_not_say_the_wavelength_asks_for_it(shared_data: Path, tmp_path: Path) -> None:
    series = '[[series]]\nfiles = ["coincell8.zip"]\nmembers = "*.xye"\n'
    recipe = write_recipe(tmp_path, "", phases=STRUCTURE, series=series)
    recipe.write_text(recipe.read_text().replace('radiation = { anode = "Cu" }\n', ""))
    run = opened(recipe, shared_data / "xrd" / "operando_coin_cell", tmp_path / "run")
    problem = one_problem(run)
    assert "wavelength is not known" in problem.message
    assert "radiation" in (problem.hint or "")
