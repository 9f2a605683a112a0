"""The page on the architecture names what is there: files, commits, tests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:layerscope|tests|benchmarks|docs)/[\w./]+)`", PAGE))))
def test_a_place_that_the_page_names_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:measured|fitting|runs|records|figures)/\w+\.py)`", PAGE)))
)
def test_a_module_of_the_core_that_the_page_names_exists(path: str) -> None:
    assert (ROOT / "layerscope" / path).is_file()


@pytest.mark.parametrize(("subject", "commit"), re.findall(r"\*([^*]+)\*\s*\(`([0-9a-f]{7})`\)", PAGE))
def test_a_commit_that_the_page_names_did_what_it_says(subject: str, commit: str) -> None:
    shown = subprocess.run(["git", "show", "-s", "--format=%s", commit], cwd=ROOT, capture_output=True, text=True)
    if shown.returncode != 0:
        pytest.skip("no history beside these files")
    assert " ".join(subject.split()) in shown.stdout
