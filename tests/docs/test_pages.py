"""The pages of the documentation: every block of tutorials and how-to pages is run, and every link leads somewhere."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from layerscope.diffraction.peaks.components import read_set
from pydantic import ValidationError, create_model

from layerscope.cli import main
from layerscope.crystals import load_phase
from layerscope.errors import LayerscopeError
from layerscope.figures.specified.spec import read_spec
from layerscope.runs.pipeline import find_pipeline, installed_pipelines
from layerscope.runs.recipe import PipelineRecipe, StudyRecipe, parse_recipe, read_toml

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
BLOCK = re.compile(r"(?:`([\w.]+)`:\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
RUN = ("python", "console")
"""Kinds of blocks that are run, in the order of the page."""
CHECKED = ("toml", "json")
"""Kinds that are held against the models that they are written for."""
FENCE = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: \S.{10,} -->\n+\Z")
"""What stands before a block that a test does not run, with the reason: commands for another machine, or a drawing."""
EVERYWHERE = (*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md")
PROGRESS = re.compile(r"\d+/\d+ tasks")
"""Signs of life, of which a slow machine gives more."""
INSTALLS = ("python -m pip",)
"""Commands that .ci/run runs, and a test must not."""


def named_blocks(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield name, kind and text of blocks; one has a name if the text before it ends with it: ``first.toml``:."""
    yield from BLOCK.findall(path.read_text("utf-8"))


def blocks(path: Path) -> Iterator[tuple[str, str]]:
    yield from ((kind, text) for _, kind, text in named_blocks(path))


def name_of(path: Path) -> str:
    return path.relative_to(DOCS).as_posix()


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the root of the repository, to write into."""
    (tmp_path / "reference_data").symlink_to(ROOT / "reference_data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.mark.parametrize("page", [path for path in PAGES if any(kind in RUN for kind, _ in blocks(path))], ids=name_of)
def test_every_block_does_what_the_page_says(page: Path, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space: dict[str, object] = {}
    for name, kind, text in named_blocks(page):
        if kind == "python":
            exec(compile(text, str(page), "exec"), space)  # noqa: S102 - the repository's own pages
        elif kind == "console":
            run_console(text, capsys)
        elif kind == "toml" and name:
            (workplace / name).write_text(text, "utf-8")


def run_console(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Run the commands after ``$``, and compare what they print with what stands below; ``...`` is anything.

    White space does not count. A command fails where an error is shown, and nowhere else.
    """
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        program, *words = shlex.split(command, comments=True)
        if command.startswith(INSTALLS):
            continue
        capsys.readouterr()
        fails = re.search("^error: ", shown, re.MULTILINE) is not None
        if program == "cp":
            shutil.copy(*words)
        else:
            assert program == "layerscope", command
            assert (main(words) == 0) is not fails or words == ["doctor"], command
        out, err = capsys.readouterr()
        errors = [line for line in err.splitlines() if not PROGRESS.match(line)] if fails else []
        printed = " ".join(" ".join([out, *errors]).split())
        pieces = re.split(r"^\.\.\.$", shown, flags=re.MULTILINE) if shown.strip() else ["", ""]
        pattern = ".*".join(re.escape(" ".join(piece.split())) for piece in pieces)
        assert re.fullmatch(pattern.replace(".*", " ?.* ?"), printed), f"{command}\n{printed}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_block_that_is_not_run_says_why(page: Path) -> None:
    text = page.read_text("utf-8")
    for found in FENCE.finditer(text):
        kind = found[1]
        if kind in RUN or kind in CHECKED or kind in ("{toctree}", "{eval-rst}"):
            continue
        assert NOT_RUN.search(text[: found.start()]), f"{kind or 'block'}: {found[2][:60]!r}"


@pytest.mark.parametrize("page", EVERYWHERE, ids=lambda path: path.stem)
def test_commands_for_another_machine_are_commands_with_options_that_exist(
    page: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    texts = [text for kind, text in FENCE.findall(page.read_text("utf-8")) if kind in ("", "shell")]
    for line in "\n".join(texts).splitlines():
        if line.startswith("layerscope ") or " && layerscope " in line:
            _, command, *words = shlex.split(line[line.index("layerscope ") :], comments=True)
            assert main([command, "--help"]) == 0, line
            told = re.findall(r"(?<![\w-])--?[a-z][\w-]*", capsys.readouterr().out)
            assert {word.partition("=")[0] for word in words if re.match("--?[a-z]", word)} <= set(told), line


def test_what_the_first_page_shows_of_a_run_in_python_is_right(
    reference_run: Callable[[str], Path], workplace: Path
) -> None:
    (workplace / "study_run").symlink_to(reference_run("xps_in3d_null/recipe.toml"))
    shown = [text for kind, text in FENCE.findall((ROOT / "README.md").read_text("utf-8")) if kind == "python"]
    for text in shown:
        exec(compile(text, "README.md", "exec"), {})  # noqa: S102 - the repository's own page
    assert shown


def test_python_for_another_machine_is_python() -> None:
    for page in EVERYWHERE:
        for kind, text in FENCE.findall(page.read_text("utf-8")):
            if kind.endswith("python"):
                compile(text, str(page), "exec")


@pytest.mark.parametrize("page", [path for path in PAGES if "```toml" in path.read_text("utf-8")], ids=name_of)
def test_every_table_in_toml_is_as_what_reads_it_wants_it(page: Path, tmp_path: Path) -> None:
    for kind, text in FENCE.findall(page.read_text("utf-8")):
        if kind == "toml":
            faults = {name: fault(take, text, tmp_path / "mine.toml") for name, take in takers().items()}
            assert "" in faults.values(), f"{text}\n{json.dumps(faults, indent=1)}"
        elif kind == "json":
            json.loads(text)


def fault(take: Callable[[Path], object], text: str, file: Path) -> str:
    """Return why a part of layerscope does not take a file of this text; nothing if it does."""
    file.write_text(text, "utf-8")
    try:
        take(file)
    except (LayerscopeError, ValidationError, KeyError) as error:
        return f"{type(error).__name__}: {error}"[:300]
    return ""


def takers() -> dict[str, Callable[[Path], object]]:
    """Return what reads a file of TOML: recipes of each pipeline, studies, figures, structures, lists of components."""
    recipes = {name: find_pipeline(name).recipe_model for name in installed_pipelines()}
    found: dict[str, Callable[[Path], object]] = {name: partial(of_recipe, model) for name, model in recipes.items()}
    found |= {"study": partial(of_recipe, StudyRecipe), "figure": read_spec, "entry points": of_project}
    components = partial(read_set, source="mine.toml")
    return found | {"phase": lambda file: load_phase(file.name, folder=file.parent), "components": components}


def of_recipe(model: type[PipelineRecipe | StudyRecipe], file: Path) -> object:
    """Check a recipe, or some of its tables, each by what the model says of it."""
    table = read_toml(file)
    if table.keys() & {"layerscope", "pipeline"}:
        return parse_recipe(model, table, file.name)
    fields: Any = {name: (model.model_fields[name].annotation, model.model_fields[name]) for name in table}
    return create_model("Part", **fields)(**table)


def of_project(file: Path) -> None:
    """Check entry points of a package of one's own."""
    for group in read_toml(file)["project"]["entry-points"]:
        if not entry_points(group=group):
            raise KeyError(group)


@pytest.mark.parametrize("page", EVERYWHERE, ids=lambda path: path.stem)
def test_every_local_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            assert re.fullmatch(r"https://[\w.-]+\.[a-z]{2,}(/[^\s<>\"]*)?|mailto:\S+@\S+", target), target
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), target


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub and the site give the headings of a page."""
    heads = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_page_has_its_place_in_the_site() -> None:
    placed = {DOCS / "index.md"}
    for page in PAGES:
        for tree in re.findall(r"^```\{toctree\}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            names = [line for line in tree.splitlines() if line and not line.startswith(":")]
            placed |= {Path(os.path.normpath(page.parent / f"{name}.md")) for name in names}
    assert placed == set(PAGES)


def test_every_page_is_within_reach_of_the_first_one() -> None:
    reached, waiting = set[Path](), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        text = page.read_text("utf-8")
        for target in LINK.findall(text):
            file = Path(os.path.normpath(page.parent / target.partition("#")[0]))
            if file.suffix == ".md" and file.is_file() and file.is_relative_to(DOCS):
                waiting.append(file)
    assert set(PAGES) <= reached
