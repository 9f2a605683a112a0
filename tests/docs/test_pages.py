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
BLOCK = re.compile(r"(?:`([\w.]+)`:\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
RUN = ("python", "console")
"""Kinds of blocks that are run, in the order of the page; `shell` is for the reader's own machine and files."""
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
