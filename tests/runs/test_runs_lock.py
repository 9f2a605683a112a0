from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from layerscope.errors import StoreError, WriteError
from layerscope.runs.drawing import redraw
from layerscope.runs.execute import execute
from layerscope.runs.lock import hold

HOLDER = """
import sys
from pathlib import Path
from layerscope.runs.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(path: Path) -> subprocess.Popen[bytes]:
    """Start a process that holds a lock until it is killed."""
    command = [sys.executable, "-P", "-c", HOLDER, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_a_folder_that_is_held_is_refused_with_who_holds_it_and_left_as_it_is(
    recipe_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    execute(recipe_folder / "recipe.toml", out)
    before = (out / "run.json").read_bytes()
    (recipe_folder / "one.txt").write_text("0 1 2\n")
    with holder(out / ".lock") as process:
        who = rf"another process \({process.pid} on {socket.gethostname()}, since 20\d\d-"
        with pytest.raises(StoreError, match=who) as caught:
            execute(recipe_folder / "recipe.toml", out)
        assert caught.value.hint == "wait for it to end, or choose another --out"
        with pytest.raises(StoreError, match=who):
            redraw(out)
        process.kill()
    assert (out / "run.json").read_bytes() == before


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with holder(path) as process:
        process.kill()
    assert json.loads(path.read_text())["pid"] == process.pid
    with hold(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert path.read_bytes() == b""


def test_an_error_lets_go_of_the_lock(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with pytest.raises(OSError, match="mine"), hold(path):
        raise OSError("mine")
    with hold(path), pytest.raises(StoreError, match=f"another process \\({os.getpid()} on"), hold(path):
        pytest.fail("held twice")


def test_a_lock_that_cannot_be_written_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="cannot be written: No such file or directory"), hold(tmp_path / "a" / "b"):
        pytest.fail("there is no such folder")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows locks files on every file system")
@pytest.mark.parametrize(
    ("claim", "free"),
    [
        ("", True),
        ("{", True),
        ({"pid": "self", "host": "here"}, False),
        ({"pid": "dead", "host": "here"}, True),
        ({"pid": "dead", "host": "another"}, False),
    ],
)
def test_where_a_file_system_knows_no_locks_the_claim_of_a_living_process_counts(
    claim: str | dict[str, str], free: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    numbers = {"self": os.getpid(), "dead": dead.pid}
    hosts = {"here": socket.gethostname(), "another": "another"}
    path = tmp_path / ".lock"
    if isinstance(claim, dict):
        path.write_text(json.dumps({"pid": numbers[claim["pid"]], "host": hosts[claim["host"]], "since": "today"}))
    else:
        path.write_text(claim)
    if free:
        with hold(path):
            assert json.loads(path.read_text())["pid"] == os.getpid()
    else:
        with pytest.raises(StoreError, match=r"since today\)"), hold(path):
            pytest.fail("it is held")
