from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from layerscope.errors import ReaderError, RecipeError
from layerscope.options import RecipeModel, RecipePath
from layerscope.records import InputFile
from layerscope.runs.recipe import (
    MAX_RECIPE_BYTES,
    PipelineRecipe,
    SeriesRecipe,
    StudyRecipe,
    parse_recipe,
    read_toml,
    resolve_inside,
)


class Shirley(RecipeModel):
    kind: Literal["shirley"]
    strength: float = 0.0


class Tougaard(RecipeModel):
    kind: Literal["tougaard"]
    loss: float = 1643.0


class Region(RecipeModel):
    name: str
    background: Annotated[Shirley | Tougaard, Field(discriminator="kind")] | None = None
    components: tuple[str, ...] = ()


class Input(RecipeModel):
    file: RecipePath
    more: tuple[RecipePath, ...] = ()
    dark: RecipePath | None = None


class Recipe(PipelineRecipe):
    input: Input
    regions: tuple[Region, ...] = ()
    by_line: Annotated[dict[str, Region], Field(default_factory=dict)]
    mode: Literal["joint", "levels"] = "joint"


HEAD = {"layerscope": 1, "pipeline": "toy", "sample": "LRO"}


def raw(**tables: object) -> dict[str, object]:
    return {**HEAD, "input": {"file": "a.vms"}, **tables}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"regoins": []}, "regoins: unknown key, did you mean 'regions'?"),
        (
            {"regions": [{"name": "B 1s", "backgroud": {}}]},
            "regions[0].backgroud: unknown key, did you mean 'background'?",
        ),
        (
            {"regions": [{"name": "B 1s"}, {"name": "C 1s", "background": {"kind": "shirley", "strenght": 1}}]},
            "regions[1].background.strenght: unknown key, did you mean 'strength'?",
        ),
        (
            {"regions": [{"name": "B 1s", "background": {"kind": "tougaard", "strength": 1}}]},
            "regions[0].background.strength: unknown key; known here: kind, loss",
        ),
        ({"by_line": {"B 1s": {"nam": "x"}}}, "by_line.B 1s.nam: unknown key, did you mean 'name'?"),
        ({"regions": [{}]}, "regions[0].name: is missing"),
        ({"mode": "jont"}, "mode: 'jont' is not one of 'joint' or 'levels', did you mean 'joint'?"),
        ({"regions": "B 1s"}, "regions: input should be a valid tuple, not 'B 1s'"),
        ({"layerscope": 2}, "layerscope: 2 is not one of 1"),
        ({"input": {}}, "input.file: is missing"),
        ({"input": {"file": "/etc/passwd"}}, "input.file: a path is relative to the recipe's folder"),
        ({"input": {"file": "a.vms", "more": ["b", "../c"]}}, "input.more[1]: a path stays inside"),
        ({"input": {"file": "C:/data"}}, "input.file: a path is relative"),
        ({"input": {"file": "a\\b"}}, "input.file: a path is written with forward slashes"),
        (
            {"regions": [{"name": "B 1s", "background": {"kind": "shirley", "strength": float("nan")}}]},
            "regions[0].background.strength: input should be a finite number",
        ),
    ],
)
def test_a_wrong_key_is_named_by_its_full_path(tables: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(Recipe, raw(**tables), "recipe.toml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("recipe.toml: ")


def test_every_wrong_key_is_told_at_once_up_to_five() -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(Recipe, raw(**{f"unknown{index}": 1 for index in range(8)}), "recipe.toml")
    assert str(caught.value).count("unknown key") == 5
    assert "and 3 more" in str(caught.value)


def test_the_identity_of_a_recipe_holds_its_defaults_but_no_path() -> None:
    here = parse_recipe(Recipe, raw(), "a")
    there = parse_recipe(Recipe, raw(input={"file": "elsewhere/b.vms"}), "b")
    assert here.identity() == there.identity()
    assert here.identity()["mode"] == "joint"
    assert here.resolved()["input"]["file"] == "a.vms"
    other = parse_recipe(Recipe, raw(mode="levels"), "a")
    assert other.identity() != here.identity()
    assert here.located(Path("/somewhere")).identity() == here.identity()


def test_input_paths_are_found_wherever_they_stand() -> None:
    recipe = parse_recipe(
        Recipe, raw(input={"file": "a.vms", "more": ["d/b.vms", "./c.vms", "a.vms"], "dark": "e"}), "r"
    )
    assert recipe.input_paths() == ("a.vms", "d/b.vms", "c.vms", "e")
    assert isinstance(recipe.input.file, RecipePath)


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse_recipe(Recipe, raw(), "r").sample = "x"  # type: ignore[misc]


def test_located_leaves_the_original_where_it_was(tmp_path: Path) -> None:
    recipe = parse_recipe(Recipe, raw(), "r")
    (tmp_path / "a.vms").write_text("data")
    assert recipe.located(tmp_path).resolve("a.vms") == tmp_path / "a.vms"
    assert recipe.folder == Path()


def test_a_missing_file_and_a_link_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret").write_text("secret")
    (inside / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(RecipeError, match="leads out of the recipe's folder"):
        resolve_inside(inside, "link")
    with pytest.raises(RecipeError, match="leads out"):
        resolve_inside(inside, "../secret")
    with pytest.raises(ReaderError, match=r"^a\.vms: there is no such file"):
        resolve_inside(inside, "a.vms")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a = ", "not valid TOML"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a = " + b"[" * 50000, "nested too deeply|not valid TOML"),
        (b"#" * (MAX_RECIPE_BYTES + 1), "larger than"),
    ],
)
def test_what_is_no_recipe_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=reason) as caught:
        read_toml(path)
    assert caught.value.source == str(path)


def test_a_recipe_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        read_toml(tmp_path / "recipe.toml")
    with pytest.raises(RecipeError, match="cannot be read"):
        read_toml(tmp_path)


def test_a_study_names_at_least_one_recipe_and_only_inside_its_folder() -> None:
    assert parse_recipe(StudyRecipe, {"layerscope": 1, "recipes": ["a/r.toml"]}, "s").recipes == ("a/r.toml",)
    with pytest.raises(RecipeError, match="recipes: "):
        parse_recipe(StudyRecipe, {"layerscope": 1, "recipes": []}, "s")
    with pytest.raises(RecipeError, match=r"recipes\[0\]: a path stays inside"):
        parse_recipe(StudyRecipe, {"layerscope": 1, "recipes": ["../r.toml"]}, "s")


def test_unions_without_a_tag_are_narrowed_by_their_name() -> None:
    class One(BaseModel):
        model_config = ConfigDict(extra="forbid")
        alpha: int

    class Two(BaseModel):
        model_config = ConfigDict(extra="forbid")
        beta: int

    class Outer(RecipeModel):
        table: One | Two

    with pytest.raises(RecipeError, match=r"table\.bta: unknown key, did you mean 'beta'\?"):
        parse_recipe(Outer, {"table": {"bta": 1}}, "r")


def test_a_recipe_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_bytes("layerscope = 1\n".encode("utf-8-sig"))
    assert read_toml(tmp_path / "r.toml") == {"layerscope": 1}


def test_a_level_of_very_many_files_repeats_its_own_alone() -> None:
    names = [f"frame_{number:04d}.xy" for number in range(300)]
    raw = {"layerscope": 1, "pipeline": "xps", "sample": "A", "series": [{"files": names}]}
    recipe = parse_recipe(SeriesRecipe, raw, "recipe.toml")
    inputs = [InputFile(path=name, sha256="0" * 64, size=1, reader="a", reader_version="1") for name in names]
    assert recipe.resolved_for(inputs[7:8])["series"][0]["files"] == names[7:8]
    assert recipe.resolved_for(inputs) == recipe.resolved()
    assert recipe.resolved_for([]) == recipe.resolved()
