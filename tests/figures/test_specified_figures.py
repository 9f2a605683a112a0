"""Figures by specification: panels of several techniques and runs, one colour a name, the same bytes again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner

from layerscope.cli.app import app
from layerscope.errors import DataError, RecipeError
from layerscope.figures import PALETTE
from layerscope.figures.specified import (
    Colours,
    PanelOptions,
    Source,
    draw_specified,
    installed_kinds,
    read_spec,
    spec_for,
    usual_panels,
)
from layerscope.runs.load import load_run
from layerscope.runs.pipeline import installed_pipelines

ROOT = Path(__file__).resolve().parents[2]
CASES = {
    "absorption_b_k": "sxas_bk_cei/recipe.toml",
    "absorption_o_k": "sxas_ok_lco/recipe.toml",
    "b1s_etch_depth": "xps_b1s_li_rich/recipe.toml",
    "eels_line": "eels_line_lco/recipe.toml",
    "insitu_003": "insitu_lco_003/recipe.toml",
    "micrographs": "hrtem_lco_coated/recipe.toml",
    "reflections_shift": "insitu_lco_003/recipe_rietveld.toml",
    "rietveld": "insitu_lco_003/recipe_rietveld.toml",
    "xps_cycling": "xps_b1s_lco_cei/recipe.toml",
}


@pytest.fixture
def source(reference_run: Callable[[str], Path]) -> Callable[[str], Source]:
    return lambda case: Source(load_run(reference_run(case)))


def test_every_committed_specification_is_tried() -> None:
    assert {path.stem for path in (ROOT / "docs" / "figures").glob("*.toml")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_committed_specification_gives_its_figure_and_the_same_bytes_again(
    name: str, source: Callable[[str], Source], tmp_path: Path
) -> None:
    case = source(CASES[name])
    spec = read_spec(ROOT / "docs" / "figures" / f"{name}.toml", dpi=100)
    files = draw_specified(spec, [case], tmp_path / "a" / name)
    assert [file.suffix for file in files] == [".pdf", ".svg", ".png", ".csv", ".json"]
    told = json.loads((tmp_path / "a" / f"{name}.json").read_text("utf-8"))
    assert told["records"]
    assert told["inputs"]
    assert told["size_mm"][0] == pytest.approx(spec.width)
    shown = re.findall(r">([^<>]+)</t", (tmp_path / "a" / f"{name}.svg").read_text("utf-8"))
    assert shown
    assert not [text for text in shown if re.search(r"\d\(\d+\).*&lt;", text)], "a value beside its limit"
    again = draw_specified(spec, [case], tmp_path / "b" / name)
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in files]


def test_the_page_of_all_keys_of_figures_is_what_the_models_accept() -> None:
    made = subprocess.run([sys.executable, ROOT / "docs" / "make_figure_keys.py"], capture_output=True, check=True)
    assert made.stdout.decode("utf-8") == (ROOT / "docs" / "figure_keys.md").read_text("utf-8")


def test_every_key_of_a_panel_is_described_and_every_kind_belongs_to_a_pipeline() -> None:
    usual = [kind.pipeline for kind in installed_kinds().values() if kind.usual]
    assert len(usual) == len(set(usual))
    for kind in installed_kinds().values():
        assert kind.pipeline in installed_pipelines()
        assert all(field.description for field in kind.options.model_fields.values()), kind.name
        assert kind.options.__doc__ != PanelOptions.__doc__, kind.name


def test_a_name_has_one_colour_and_two_names_have_two_as_long_as_colours_last() -> None:
    colours = Colours({"B-F": "#123456"})
    first = colours.of(["B-O", "B-F"], PALETTE)
    second = colours.of(["C-C", "B-O", "C-O"], PALETTE)
    assert first["B-F"] == "#123456"
    assert second["B-O"] == first["B-O"]
    assert len({*first.values(), *second.values()}) == 4


def test_two_runs_stand_side_by_side_and_their_inputs_are_told_apart(
    source: Callable[[str], Source], tmp_path: Path
) -> None:
    one, two = source("sxas_bk_cei/recipe.toml"), source("sxas_ok_lco/recipe.toml")
    panels = [{"kind": "sxas.spectra", "run": k} for k in (1, 2)]
    draw_specified(spec_for(panels, formats=["png"], dpi=72, letters="a"), [one, two], tmp_path / "both")
    inputs = json.loads((tmp_path / "both.json").read_text("utf-8"))["inputs"]
    assert {name.split("/")[0] for name in inputs} == {one.run.folder.name, two.run.folder.name}
    with pytest.raises(DataError, match="no run 2"):
        draw_specified(spec_for(panels), [one], tmp_path / "one")


def test_limits_labels_titles_words_and_shared_axes_are_as_specified(
    source: Callable[[str], Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[Figure] = []
    monkeypatch.setattr(
        "layerscope.figures.specified.compose.save_figure", lambda figure, *more: pages.append(figure) or ()
    )
    common: dict[str, Any] = {"kind": "sxas.spectra", "region": "B K", "samples": ["pristine"]}
    words = {"text": "B2O3", "x": 0.5, "y": 0.5}
    panels = [{**common, "x": [190.0, 200.0], "title": "B2O3", "annotations": [words]}, {**common, "y": [0.0, 9.0]}]
    spec = spec_for(panels, share_y="row", letters="xy", legend="below", labels={"pristine": "before"})
    draw_specified(spec, [source("sxas_bk_cei/recipe.toml")], tmp_path / "figure")
    (page,) = pages
    left, right = page.axes
    assert left.get_xlim() == (190.0, 200.0)
    assert left.get_ylim() == right.get_ylim()
    assert left.get_ylim()[1] == 9.0
    assert (left.get_title(), left.get_title(loc="left"), right.get_title(loc="left")) == ("B₂O₃", "x", "y")
    assert [text.get_text() for text in left.texts] == ["B₂O₃"]
    assert left.get_legend() is None
    assert len(page.legends) == 1


@pytest.mark.parametrize(
    ("panel", "words"),
    [
        ({"kind": "sxas.spectrum"}, "sxas.spectra"),
        ({"kind": "sxas.spectra", "regoin": "B K"}, "region"),
        ({"kind": "sxas.spectra", "region": "Fe L"}, "pristine"),
        ({"kind": "sxas.spectra", "row": 1, "column": 1}, "taken"),
        ({"kind": "xps.region"}, "panel 2"),
    ],
)
def test_a_wrong_panel_is_named_with_what_there_is(
    panel: dict[str, Any], words: str, source: Callable[[str], Source], tmp_path: Path
) -> None:
    first = {"kind": "sxas.spectra", "row": 1, "column": 1}
    with pytest.raises((RecipeError, DataError)) as caught:
        draw_specified(spec_for([first, panel]), [source("sxas_bk_cei/recipe.toml")], tmp_path / "figure")
    assert words in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_without_a_specification_everything_that_matches_stands_beside_each_other(
    reference_run: Callable[[str], Path], tmp_path: Path
) -> None:
    run = reference_run("xps_b1s_li_rich/recipe.toml")
    panels = usual_panels([Source(load_run(run))], region="b 1s", level=0)
    assert [(one["kind"], one["level"]) for one in panels] == [("xps.region", 0)] * 2
    assert len({one["sample"] for one in panels}) == 2
    command = ["figure", str(run), "--region", "B 1s", "--level", "0", "--width", "85mm", "--format", "svg"]
    result = CliRunner().invoke(app, [*command, "-o", str(tmp_path / "b1s")])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b1s.csv", "b1s.json", "b1s.svg"]
    with pytest.raises(DataError, match="nothing"):
        usual_panels([Source(load_run(run))], region="Fe 2p")
