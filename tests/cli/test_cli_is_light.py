from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"numpy", "scipy", "pandas", "matplotlib", "lmfit", "h5py", "pyarrow", "pydantic", "openpyxl", "sqlite3"}
PROBE = """
import contextlib, io, json, sys
from layerscope.cli import main
with contextlib.redirect_stdout(io.StringIO()) as shown:
    code = main({arguments!r})
print(json.dumps([code, shown.getvalue(), sorted({{name.partition(".")[0] for name in sys.modules}})]))
"""


def probe(arguments: list[str], folder: Path) -> tuple[int, str, set[str]]:
    command = [sys.executable, "-P", "-c", PROBE.format(arguments=arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    code, shown, modules = json.loads(done.stdout)
    return code, shown, set(modules)


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    # typer itself takes pydantic to describe the types of a command's options
    [(["--help"], set()), (["--version"], set()), (["run", "--help"], {"pydantic"})],
)
def test_help_imports_nothing_heavy(arguments: list[str], allowed: set[str], tmp_path: Path) -> None:
    code, shown, modules = probe(arguments, tmp_path)
    assert code == 0
    assert shown
    assert "layerscope" in modules
    assert not (HEAVY - allowed) & modules


def test_help_names_every_command(tmp_path: Path) -> None:
    _, shown, _ = probe(["--help"], tmp_path)
    commands = ("run", "check", "show", "figure", "export", "validate", "doctor", "species", "rsf", "phases")
    for command in commands:
        assert f"\n  {command} " in shown
    assert "3 nothing could be" in shown


def test_showing_a_run_loads_what_reads_records_and_not_what_makes_them() -> None:
    names = ("xps", "xrd_peaks", "rietveld", "sxas", "eels", "eds", "hrtem")
    code = f"from layerscope.runs.present import _maker\nfor name in {names}: _maker(name, None)\n"
    command = [sys.executable, "-P", "-c", f"{code}import sys\nprint(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not (HEAVY - {"pydantic"}) & {name.partition(".")[0] for name in done.stdout.split()}


def test_the_program_alone_and_the_package_as_a_program_show_the_help(tmp_path: Path) -> None:
    code, shown, _ = probe([], tmp_path)
    command = [sys.executable, "-P", "-m", "layerscope"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert code == 0
    assert done.stdout == shown
    assert shown.startswith("Usage: layerscope ")


def test_a_shell_is_offered_the_commands_that_a_word_begins(tmp_path: Path) -> None:
    words = {"COMP_WORDS": "layerscope ex", "COMP_CWORD": "1", "_LAYERSCOPE_COMPLETE": "complete_bash"}
    command = [sys.executable, "-P", "-m", "layerscope"]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, **words}, capture_output=True, text=True)
    assert done.stdout.split() == ["export"]
