"""The pages of the documentation: every block of tutorials and how-to pages is run, and every link leads somewhere."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerscope.cli import main

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
RUN = ("python", "console")
"""Kinds of blocks that are run, in the order of the page; `shell` is for the reader's own machine and files."""
INSTALLS = ("python -m pip",)
"""Commands that .ci/run runs, and a test must not."""


def blocks(path: Path) -> Iterator[tuple[str, str]]:
    yield from BLOCK.findall(path.read_text("utf-8"))


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
    for kind, text in blocks(page):
        if kind == "python":
            exec(compile(text, str(page), "exec"), space)  # noqa: S102 - the repository's own pages
        elif kind == "console":
            run_console(text, capsys)


def run_console(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Run the commands after ``$``, and compare what they print with what stands below; ``...`` is anything."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        program, *words = shlex.split(command)
        if command.startswith(INSTALLS):
            continue
        capsys.readouterr()
        if program == "cp":
            shutil.copy(*words)
        else:
            assert program == "layerscope", command
            code = main(words)
            assert code == 0 or words == ["doctor"], command
        printed = capsys.readouterr().out
        pieces = [re.escape(piece.strip("\n")) for piece in re.split(r"^\.\.\.$", shown, flags=re.MULTILINE)]
        pattern = r"[\s\S]*".join(pieces) if shown.strip() else r"[\s\S]*"
        assert re.fullmatch(pattern, printed.strip("\n")), f"{command}\n{printed}"


def test_every_toml_block_is_toml_and_every_python_block_python() -> None:
    for page in PAGES:
        for kind, text in blocks(page):
            if kind == "toml":
                tomllib.loads(text)
            elif kind == "python":
                compile(text, str(page), "exec")
            elif kind == "json":
                json.loads(text)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda path: path.stem)
def test_every_local_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
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
