"""From a file to a fitted table in Python: the same records as the command line gives, by no other way."""

from __future__ import annotations

import gc
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import layerscope
from layerscope.errors import DataError, ReaderError, RecipeError
from layerscope.interactive.changes import changed
from layerscope.interactive.run import recipe_from
from layerscope.runs.execute import execute
from layerscope.runs.pipeline import find_pipeline, installed_pipelines
from layerscope.runs.plan import make_plan

CARBON = {"C 1s": ["C-C/C-H", {"species": "C-O", "like": "C-C/C-H"}, {"species": "CO3", "like": "C-C/C-H"}]}


@pytest.fixture(scope="module")
def file() -> Path:
    return Path(__file__).resolve().parents[2] / "reference_data" / "xps_in3d_null" / "li3incl6_before.vms"


@pytest.fixture(scope="module")
def run(file: Path) -> layerscope.Run:
    return layerscope.read(file).run(regions=CARBON)


def test_a_file_is_read_whatever_its_technique(reference_data: Path) -> None:
    read = {
        "xps_b1s_lco_cei/lco_100_cycles.pro": ("xps", "binding_energy", "eV"),
        "sxas_bk_cei/pristine.txt": ("sxas", "photon_energy", "eV"),
        "eels_line_lco/place_00.msa": ("eels", "energy_loss", "eV"),
        "hrtem_cei_rings/cei.tif": ("hrtem", "column", "1"),
    }
    for name, (pipeline, axis, unit) in read.items():
        data = layerscope.read(reference_data / name)
        assert (data.pipeline, data[0].axis_name, data[0].axis_unit) == (pipeline, axis, unit)
        assert data[0].axis.size == data[0].intensity.size


def test_a_table_of_text_needs_the_technique(reference_data: Path) -> None:
    path = reference_data / "insitu_lco_003" / "p_lco_full_3.05V.xye"
    with pytest.raises(ReaderError, match="does not say what was measured"):
        layerscope.read(path)
    (pattern,) = layerscope.read(path, technique="xrd")
    assert (pattern.axis_name, pattern.axis_unit) == ("two_theta", "deg")


def test_columns_of_text_mean_what_the_map_says(tmp_path: Path) -> None:
    rows = "".join(f"{280 + 0.1 * k:.1f};{1000 + k}\n" for k in range(60))
    (tmp_path / "c1s.txt").write_text(rows)
    data = layerscope.read(tmp_path / "c1s.txt", technique="xps", columns={"region": "C 1s"})
    assert data.labels == ("C 1s",)
    assert data[0].axis[0] == pytest.approx(280.0)
    assert data.recipe(regions=CARBON).series[0].columns.region == "C 1s"


def test_what_nobody_reads_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)) * 8)
    with pytest.raises(ReaderError, match="no format that an installed technique reads"):
        layerscope.read(tmp_path / "noise.bin")
    with pytest.raises(ReaderError, match="does not exist"):
        layerscope.read(tmp_path / "absent.vms")
    with pytest.raises(ReaderError, match="no installed technique is called 'xrf'"):
        layerscope.read(tmp_path / "noise.bin", technique="xrf")


def test_a_dataset_lists_and_selects_what_it_holds(file: Path) -> None:
    data = layerscope.read(file)
    assert data.labels == ("In 3d", "Cl 2p", "C 1s")
    assert len(data["c1s"]) == 1
    assert data["C 1s"][0] is data[2]
    assert "C 1s" in repr(data)
    assert "<td>binding_energy</td>" in data._repr_html_()
    with pytest.raises(KeyError, match="it holds In 3d, Cl 2p, C 1s"):
        data["B 1s"]


def test_one_measurement_shows_itself_in_a_line_and_not_with_every_point(file: Path, reference_data: Path) -> None:
    spectrum = layerscope.read(file)["C 1s"][0]
    assert repr(spectrum) == (
        "<Spectrum C 1s, Li3InCl6 before charging: binding_energy 280 to 293 eV, 131 points in counts>"
    )
    image = layerscope.read(reference_data / "hrtem_cei_rings" / "cei.tif")[0]
    assert re.fullmatch(r"<Micrograph .*: \d+ × \d+ points>", repr(image))


def test_pictures_of_files_and_fits_are_drawn_with_their_units(file: Path, reference_data: Path) -> None:
    curves = layerscope.read(file).plot()
    assert [axes.get_title() for axes in curves.axes[:3]] == ["In 3d", "Cl 2p", "C 1s"]
    assert curves.axes[0].get_xlabel() == "Binding energy / eV"
    assert curves.axes[0].xaxis_inverted()
    image = layerscope.read(reference_data / "hrtem_cei_rings" / "cei.tif").plot()
    assert image._repr_png_()[:4] == b"\x89PNG"


def test_a_fit_from_python_is_the_record_of_the_command_line(file: Path, run: layerscope.Run, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(
        'layerscope = 1\npipeline = "xps"\nsample = "Li3InCl6 before charging"\n'
        '[[series]]\nfiles = ["li3incl6_before.vms"]\n[[regions]]\nregion = "C 1s"\n'
        '[[regions.components]]\nspecies = "C-C/C-H"\n'
        '[[regions.components]]\nspecies = "C-O"\nlike = "C-C/C-H"\n'
        '[[regions.components]]\nspecies = "CO3"\nlike = "C-C/C-H"\n'
    )
    told = execute(tmp_path / "recipe.toml", tmp_path / "run", data=file.parent, figures=False).run
    assert [record.record_id for record in told.records] == [record.record_id for record in run.records]
    assert [record.quantities for record in told.records] == [record.quantities for record in run.records]


def test_a_fit_has_its_table_its_picture_and_its_recipe(run: layerscope.Run) -> None:
    fit = run.fit("C 1s")
    assert fit.table.loc[fit.table["quantity"] == "species.fraction", "value"].sum() == pytest.approx(1.0)
    assert "C-C/C-H" in repr(fit)
    assert "<table>" in fit._repr_html_()
    assert "<table>" in run._repr_html_()
    assert fit.plot().axes[1].get_xlabel() == "Binding energy / eV"
    assert fit.to_recipe().identity() == fit.records[0].recipe | {"series": fit.to_recipe().identity()["series"]}
    with pytest.raises(DataError, match="one of Li3InCl6_before_charging_C_1s"):
        run.fit("B 1s")


def test_fits_are_compared_by_their_criterion(run: layerscope.Run) -> None:
    quality = run.fit("C 1s").quality
    assert quality is not None
    assert quality.bic is not None
    assert quality.chi2 is not None
    assert quality.bic > quality.chi2


def test_a_figure_for_a_paper_is_drawn_of_what_is_chosen(run: layerscope.Run, tmp_path: Path) -> None:
    kept = run.figure(region="C 1s", width="85mm", formats=["svg"], out=tmp_path / "c1s")
    assert {path.name for path in kept.files} == {"c1s.svg", "c1s.csv", "c1s.json"}
    shown = run.figure(region="C 1s", formats=["png"])
    assert (shown._repr_png_() or b"")[:4] == b"\x89PNG"
    with pytest.raises(DataError, match="nothing of the runs matches"):
        run.figure(region="O 1s")


def test_the_report_of_a_run_goes_where_it_is_wanted(run: layerscope.Run, tmp_path: Path) -> None:
    page = run.report(tmp_path / "report.html").read_text("utf-8")
    assert "C-C/C-H" in page
    assert run.report() == run.folder / "report.html"


def test_a_fit_is_done_again_with_other_settings_and_the_old_one_stays(run: layerscope.Run) -> None:
    fit = run.fit()
    again = fit.refit("C-O", fwhm={"value": 1.2, "vary": False})
    wanted = [component.parameters.get("fwhm") for component in again.to_recipe().regions[0].components]
    assert [None if one is None else one.value for one in wanted] == [None, 1.2, None]
    widths = again.table[again.table["quantity"] == "peak.fwhm"].set_index("component")
    assert widths.loc["C-O", "value"] == pytest.approx(1.2)
    assert widths.loc["C-O", "role"] == "fixed"
    assert fit.table[fit.table["quantity"] == "peak.fwhm"].set_index("component").loc["C-O", "role"] != "fixed"


def test_a_key_is_changed_where_the_series_has_it_else_above(run: layerscope.Run) -> None:
    recipe = run.records[0].recipe
    assert changed(recipe, {"C 1s"}, None, {"range": (281, 292)})["regions"][0]["range_eV"] == (281, 292)
    assert changed(recipe, {"C 1s"}, None, {"noise": "scaled"})["noise"] == "scaled"
    shapes = changed(recipe, {"C 1s"}, "CO3", {"shape": "voigt"})["regions"][0]["components"]
    assert [component["shape"] for component in shapes] == ["pseudo_voigt", "pseudo_voigt", "voigt"]
    with pytest.raises(RecipeError, match="no key 'shape' of 'Li2CO3'"):
        changed(recipe, {"C 1s"}, "Li2CO3", {"shape": "voigt"})


def test_a_temporary_run_goes_with_the_last_of_its_objects(file: Path) -> None:
    run = layerscope.read(file).run(regions={"Mn 3s": [{"species": "?", "custom": True, "position_eV": 84}]})
    assert "no region 'Mn 3s'" in run.failed[0].problem.message
    folder, some = run.folder, run.select(status="failed")
    del run
    gc.collect()
    assert folder.is_dir()
    del some
    gc.collect()
    assert not folder.exists()


def test_recipes_of_every_technique_are_models_of_the_package() -> None:
    for name in installed_pipelines():
        model = find_pipeline(name).recipe_model
        assert getattr(layerscope, model.__name__) is model
        assert model.model_fields["pipeline"].default == name
    with pytest.raises(AttributeError, match="ToyRecipe"):
        layerscope.ToyRecipe  # noqa: B018


def test_the_recipe_of_a_record_is_a_recipe_again(reference_data: Path) -> None:
    for path in sorted(reference_data.glob("*/recipe*.toml")):
        for task in make_plan(path).tasks:
            assert recipe_from(task.recipe.resolved()).resolved() == task.recipe.resolved()
            assert recipe_from(tomllib.loads(task.recipe.to_toml())).resolved() == task.recipe.resolved()


def test_wrong_keys_are_named_as_in_a_file() -> None:
    with pytest.raises(RecipeError, match=r"regions\[0\]\.backgroud: unknown key, did you mean 'background'"):
        layerscope.run({"pipeline": "xps", "sample": "S", "series": "a.vms", "regions": [_wrong()]})
    with pytest.raises(RecipeError, match="pipeline: is missing"):
        layerscope.run({"sample": "S"})


def _wrong() -> dict[str, Any]:
    return {"region": "C 1s", "components": ["C-C/C-H"], "backgroud": {}}


def test_a_run_folder_is_loaded_with_its_fits_and_fitted_again_where_its_data_are(file: Path, tmp_path: Path) -> None:
    recipe = layerscope.XpsRecipe(sample="S", series=file.name, regions=CARBON)
    made = layerscope.run(recipe, out=tmp_path / "run", data=file.parent, figures=False)
    loaded = layerscope.load_run(tmp_path / "run", data=file.parent)
    assert list(loaded.fits) == list(made.fits)
    assert np.array_equal(loaded.fit().arrays.counts, made.fit().arrays.counts)
    with pytest.raises(RecipeError, match="not known where the data are"):
        layerscope.load_run(tmp_path / "run").fit().refit(noise="scaled")


def test_the_table_is_a_plain_frame_and_hides_nothing_of_pandas(run: layerscope.Run) -> None:
    frame = run.table
    assert type(frame) is pd.DataFrame
    for name in frame.columns:
        own = getattr(pd.DataFrame, name, None)
        if callable(own):  # sample, min, max: the columns are frame["sample"]
            assert getattr(frame, name).__func__ is own
