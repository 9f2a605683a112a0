"""What the doctor says of engines is what a refinement meets, for both ask the engines."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from layerscope.diffraction.rietveld.engines.gsas2_engine import ENVIRONMENT_VARIABLE, Gsas2Engine, find_interpreter
from layerscope.diffraction.rietveld.job import missing_engine

from layerscope.errors import MissingDependencyError
from layerscope.runs.doctor import examine
from layerscope.runs.hooks import Finding


def script(path: Path, code: int) -> Path:
    """Write an interpreter that has GSAS-II (0) or has not."""
    path.write_text(f"#!/bin/sh\nexit {code}\n")
    path.chmod(0o755)
    return path


def doctor() -> Finding:
    (found,) = (finding for finding in examine() if finding.name == "GSAS-II")
    return found


def a_path(folder: Path) -> str:
    return str(script(folder / "a_path", 0))


def a_command(folder: Path) -> str:
    return script(folder / "gsas2-python", 0).name


def a_relative_path(folder: Path) -> str:
    return os.path.relpath(script(folder / "a_relative_path", 0))


def in_the_home_folder(folder: Path) -> str:
    return f"~/{script(folder / 'in_home', 0).name}"


def with_blanks(folder: Path) -> str:
    return str(script(folder / "with blanks", 0))


def without_gsas2(folder: Path) -> str:
    return str(script(folder / "without", 1))


def not_there(folder: Path) -> str:
    return str(folder / "not_there")


def a_folder(folder: Path) -> str:
    return str(folder)


def not_executable(folder: Path) -> str:
    path = script(folder / "not_executable", 0)
    path.chmod(0o644)
    return str(path)


def no_program(folder: Path) -> str:
    path = script(folder / "no_program", 0)
    path.write_bytes(b"\0\1\2")
    return str(path)


GOOD = (a_path, a_command, a_relative_path, in_the_home_folder, with_blanks)
BAD = (without_gsas2, not_there, a_folder, not_executable, no_program)


@pytest.mark.skipif(os.name == "nt", reason="the interpreters of this test are shell scripts")
@pytest.mark.parametrize("odd", [*GOOD, *BAD], ids=lambda odd: odd.__name__)
def test_the_doctor_and_the_engine_agree_on_a_named_interpreter(
    odd: Callable[[Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, odd(tmp_path))
    finding, engine = doctor(), Gsas2Engine()
    assert finding.state == ("ok" if odd in GOOD else "broken")
    if odd in GOOD:
        assert str(find_interpreter()) in finding.detail
        assert Path(str(find_interpreter())).is_absolute(), "it is started in another folder"
        assert missing_engine("gsas2") is None
    else:
        assert os.environ[ENVIRONMENT_VARIABLE] in finding.detail
        assert ENVIRONMENT_VARIABLE in finding.hint
        assert missing_engine("gsas2") is not None
        with pytest.raises(MissingDependencyError, match="GSAS-II was not found"):
            engine.open(tmp_path)


def test_without_a_named_interpreter_they_agree_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    assert (doctor().state == "ok") == (find_interpreter() is not None)
    monkeypatch.setattr("layerscope.diffraction.rietveld.engines.gsas2_engine._has_gsas2", lambda _: False)
    assert doctor().state == "missing"
    assert missing_engine("gsas2") is not None
