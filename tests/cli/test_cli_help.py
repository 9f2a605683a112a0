"""The help of the commands: whole sentences on a page of 80 columns."""

from __future__ import annotations

import re

import pytest

from layerscope.cli import main


def help_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*words, "--help"]) == 0
    return capsys.readouterr().out


def test_no_help_is_cut_or_wider_than_the_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    first = help_of([], capsys)
    commands = re.findall(r"^  ([a-z]+)  ", first.partition("Commands:")[2], re.MULTILINE)
    assert {"run", "check", "init", "show", "figure", "report", "export", "rebuild", "species"} <= set(commands)
    for words in [[], *([name] for name in commands)]:
        shown = help_of(words, capsys)
        assert max(map(len, shown.splitlines())) <= 80, words
        said = [line for line in shown.splitlines() if not line.startswith("Usage:")]  # there dots mean: and more
        cut = [line for line in said if "…" in line or line.endswith("...")]
        assert cut == [], words


def test_every_option_of_every_command_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for name in re.findall(r"^  ([a-z]+)  ", help_of([], capsys).partition("Commands:")[2], re.MULTILINE):
        options = help_of([name], capsys).partition("Options:")[2]
        bare = re.findall(r"^  (-\S+(?:, --\S+)?(?: [A-Z<]\S*)?)$(?!\n {10})", options, re.MULTILINE)
        assert bare == [], name
