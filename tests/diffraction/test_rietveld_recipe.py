"""What a Rietveld recipe resolves to is what the refinement used, and no key of it is lost on the way."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("gemmi", reason="gemmi is not installed")

from layerscope.diffraction.rietveld import pipeline as rietveld_pipeline
from layerscope.diffraction.rietveld.job import Job, make_job
from layerscope.diffraction.rietveld.pipeline import PIPELINE
from layerscope.diffraction.series import load_series

from layerscope.errors import RecipeError
from layerscope.runs.pipeline import RunContext
from layerscope.runs.recipe import parse_recipe

BARE: dict[str, Any] = {
    "layerscope": 1,
    "pipeline": "rietveld",
    "sample": "LCO",
    "radiation": {"anode": "Cu"},
    "phases": [{"name": "O3", "library": "LiCoO2_O3"}],
    "series": [{"files": ["p.xy"]}],
}
INSTPRM = """#GSAS-II instrument parameter file
Type:PXC
Lam1:1.540593
Lam2:1.544427
I(L2)/I(L1):0.5
Zero:0.0
Polariz.:0.7
U:2.0
V:-2.0
W:5.0
X:{x}
Y:2.0
SH/L:0.01
"""


def job_of(folder: Path, **tables: Any) -> Job:
    """Return what the pipeline makes of a recipe with these tables."""
    two_theta = np.arange(16.0, 60.0, 0.05)
    (folder / "p.xy").write_text("".join(f"{x:.4f} {100 + k % 7}\n" for k, x in enumerate(two_theta)))
    recipe = parse_recipe(PIPELINE.recipe_model, {**BARE, **tables}, "r.toml").located(folder)
    series = load_series(cast(Any, recipe), cast(Any, recipe).series[0])
    return make_job(cast(Any, recipe), RunContext(cast(Any, PIPELINE), recipe, {}), series)


def test_the_recipe_of_a_record_holds_every_value_of_geometry_and_instrument(tmp_path: Path) -> None:
    job = job_of(tmp_path, instrument={"x": 0.02, "geometry": {"divergence_deg": 0.5}})
    written, used = job.context.recipe.resolved()["instrument"], job.problem.instrument
    geometry = written.pop("geometry")
    assert geometry["divergence_deg"] == 0.5
    assert geometry["source_length_mm"] == 12.0
    for name, value in geometry.items():
        assert value == (list(used.geometry.refine) if name == "refine" else getattr(used.geometry, name)), name
    for name in set(written) - {"instprm", "instprm_member"}:
        assert written[name] == getattr(used, name), name
    assert job.context.recipe.identity()["instrument"]["geometry"] == geometry


def test_what_instrument_parameters_say_enters_the_recipe_and_its_identity(tmp_path: Path) -> None:
    identities = []
    for x in (1.0, 3.0):
        (tmp_path / "i.instprm").write_text(INSTPRM.format(x=x))
        job = job_of(tmp_path, instrument={"instprm": "i.instprm", "y": 0.05})
        written = job.context.recipe.resolved()["instrument"]
        assert written["x"] == pytest.approx(0.01 * x)
        assert written["polarisation"] == 0.7
        assert written["y"] == job.problem.instrument.y == 0.05  # the recipe's, over the file's
        assert job.problem.instrument.x == written["x"]
        again = parse_recipe(PIPELINE.recipe_model, job.context.recipe.resolved(), "r.toml")
        assert again.identity() == job.context.recipe.identity()
        identities.append(job.context.recipe.identity())
    assert identities[0] != identities[1]


def test_a_record_rests_on_the_structures_and_times_that_its_recipe_names(tmp_path: Path) -> None:
    identities = []
    structure = files("layerscope.reference_data").joinpath("phases", "LiCoO2_O3.toml").read_text("utf-8")
    for z in ("0.2602", "0.2610"):
        (tmp_path / "O3.toml").write_text(structure.replace("0.2602", z), "utf-8")
        (tmp_path / "v.csv").write_text("U\n4.2\n")
        job = job_of(
            tmp_path,
            phases=[{"name": "O3", "file": "O3.toml"}],
            series=[{"files": ["p.xy"], "frames": {"table": "v.csv", "voltage_V": "U"}}],
        )
        inputs = job.series.inputs("rietx", job.series.levels[0])
        assert [item.path for item in inputs] == ["p.xy", "v.csv", "O3.toml"]
        identities.append(job.context.record_id(inputs))
    assert identities[0] != identities[1]


def test_every_key_of_a_sequence_reaches_the_refinement_of_the_series(tmp_path: Path) -> None:
    given = {"always": ["O3"], "strong": 9.0, "bic_margin": 4.0, "persistence": 3, "chunk": 5, "workers": 2}
    given |= {"free": ["background"], "free_when_strong": ["size"], "both_directions": False}
    job = job_of(tmp_path, sequence=given)
    options = rietveld_pipeline._options(job, "rietx", job.recipe.sequence)
    for name, value in given.items():
        assert getattr(options, name) == (tuple(value) if isinstance(value, list) else value), name


def test_a_key_of_a_sequence_that_the_series_does_not_know_is_not_dropped(tmp_path: Path) -> None:
    job = job_of(tmp_path, sequence={})
    table = type(job.recipe.sequence)

    class Wider(table):  # type: ignore[misc, valid-type]
        patience: int = 3

    with pytest.raises(ValueError, match="patience"):
        rietveld_pipeline._options(job, "rietx", Wider())


@pytest.mark.parametrize(("key", "group"), [("free", "lattice"), ("free_when_strong", "background")])
def test_a_sequence_that_frees_what_is_not_known_is_refused_before_anything_runs(key: str, group: str) -> None:
    with pytest.raises(RecipeError, match=rf"sequence\.{key}: .*{group}"):
        parse_recipe(PIPELINE.recipe_model, {**BARE, "sequence": {key: [group]}}, "r.toml")
