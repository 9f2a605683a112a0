"""What is written about recipes agrees with the models that check them."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from layerscope.runs.pipeline import find_pipeline
from layerscope.runs.recipe import PipelineRecipe, StudyRecipe, parse_recipe

ROOT = Path(__file__).resolve().parents[2]
PIPELINES = ("xps", "casaxps", "xps_survey", "xrd_peaks", "rietveld", "eels", "eds", "hrtem")


def tables_of(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield a model and all models inside it."""
    yield model
    waiting = [field.annotation for field in model.model_fields.values()]
    while waiting:
        one = waiting.pop()
        if isinstance(one, type) and issubclass(one, BaseModel):
            yield from tables_of(one)
        waiting += get_args(one)


def all_keys() -> set[str]:
    """Return every key that some recipe knows."""
    models = [StudyRecipe, *(find_pipeline(name).recipe_model for name in PIPELINES)]
    return {key for model in models for table in tables_of(model) for key in table.model_fields}


def test_the_page_of_all_keys_is_what_the_models_accept() -> None:
    script = ROOT / "docs" / "make_recipe_keys.py"
    made = subprocess.run([sys.executable, "-P", str(script)], capture_output=True, check=True).stdout.decode("utf-8")
    written = (ROOT / "docs" / "recipe_keys.md").read_text(encoding="utf-8")
    assert made == written, "run: python docs/make_recipe_keys.py > docs/recipe_keys.md"
    for key in all_keys():
        assert f"| `{key}` |" in written


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_every_key_of_a_recipe_says_what_it_means(pipeline: str) -> None:
    for table in tables_of(find_pipeline(pipeline).recipe_model):
        for key, field in table.model_fields.items():
            assert field.description, f"{table.__name__}.{key} has no description"


def test_the_guide_to_recipes_names_no_key_that_does_not_exist() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    guide = text.partition("\n# What ends up in a run folder")[0]
    first_cells = re.findall(r"^\| (`[^|]+) \|", guide, flags=re.MULTILINE)
    named = {
        word for cell in first_cells for code in re.findall(r"`([^`]+)`", cell) for word in re.findall(r"\w+", code)
    }
    assert len(named) > 60
    assert named <= all_keys()


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "recipes").glob("*.toml")), ids=lambda p: p.stem)
def test_every_recipe_of_the_documentation_is_accepted(path: Path) -> None:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    recipe = parse_recipe(find_pipeline(content["pipeline"]).recipe_model, content, path)
    assert isinstance(recipe, PipelineRecipe)
    assert recipe.title


def test_the_whole_recipes_in_the_guide_are_accepted() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    blocks = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)]
    whole = [block for block in blocks if "layerscope" in block]
    assert {block.get("pipeline") for block in whole} == {None, "xps", "casaxps", "xrd_peaks"}
    for block in whole:
        model = find_pipeline(block["pipeline"]).recipe_model if "pipeline" in block else StudyRecipe
        parse_recipe(model, block, "docs/recipes.md")
    mixture, gold, refinement = [block for block in blocks if "layerscope" not in block]
    for pipeline, part in (("xps", mixture), ("xps", gold), ("rietveld", refinement)):
        series = {"layerscope": 1, "pipeline": pipeline, "sample": "LCO", "series": [{"files": ["a.dat"]}]}
        parse_recipe(find_pipeline(pipeline).recipe_model, series | part, "docs/recipes.md")
