"""The page on XPS: its recipes are accepted, and its first steps do what it says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from layerscope.runs.pipeline import find_pipeline
from layerscope.runs.plan import make_plan
from layerscope.runs.recipe import parse_recipe

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "xps.md").read_text("utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
FIRST, SECOND, THIRD = BLOCKS[:3]


def test_its_first_recipe_tells_what_the_file_holds(tmp_path: Path, reference_data: Path) -> None:
    (tmp_path / "first.toml").write_text(FIRST)
    (planned,) = make_plan(tmp_path / "first.toml", data=reference_data / "xps_b1s_li_rich").recipes
    (problem,) = find_pipeline("xps").check(planned.recipe)
    assert f"{problem.message} ({problem.hint})" in PAGE


@pytest.mark.parametrize("text", [SECOND, THIRD], ids=["second", "third"])
def test_its_further_recipes_fit_the_file(text: str, tmp_path: Path, reference_data: Path) -> None:
    (tmp_path / "r.toml").write_text(text)
    (planned,) = make_plan(tmp_path / "r.toml", data=reference_data / "xps_b1s_li_rich").recipes
    assert find_pipeline("xps").check(planned.recipe) == []


def test_every_whole_recipe_on_it_is_accepted() -> None:
    whole = [block for block in BLOCKS if "pipeline" in block]
    assert len(whole) == 4
    for block in whole:
        content = tomllib.loads(block)
        parse_recipe(find_pipeline(content["pipeline"]).recipe_model, content, "docs/xps.md")


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
    heads = {
        re.sub(r"[^a-z -]", "", line[3:].lower()).replace(" ", "-") for line in PAGE.splitlines() if line[:3] == "## "
    }
    for anchor in re.findall(r"\]\(#([^)]+)\)", PAGE):
        assert anchor in heads, anchor
