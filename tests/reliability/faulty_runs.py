"""Runs a small study in children that meet a fault at one file operation after the other; a script of its own.

Everything is imported once, in a process without threads; each child is forked from it, so that a kill costs a fork and
not a start of Python. ``python faulty_runs.py MODE STUDY FOLDER [N]`` prints as JSON what became of each run, a list of
exit codes: of the run with its fault, and of a look at what it left and the run that resumed it. N: how often two
processes meet (12), or after how many operations the next fault is (1). Any study of installed pipelines will do.
"""

from __future__ import annotations

import gc
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

# all that a run loads when it needs it is loaded before the first fork
import h5py  # noqa: F401
import matplotlib.figure  # noqa: F401
import pandas  # noqa: F401
import pyarrow.parquet  # noqa: F401
from layerscope_toy import PIPELINE

import layerscope.runs.execute
import layerscope.runs.nexus
import layerscope.runs.table
from layerscope.errors import StoreError
from layerscope.records import ResultRecord
from layerscope.runs.execute import execute
from layerscope.runs.validate import validate_run

Fault = Callable[[int], None]

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "sqlite3.connect"}
CALLS = {"fsync", "ftruncate", "flock", "execute", "executemany", "commit", "close", "__exit__"}
DONE, REFUSED, WRONG, HELD, ESCAPED = 0, 10, 11, 12, 99


def start(work: Callable[[], int]) -> int:
    """Return the process number of a forked child that does `work` and exits with what it returns."""
    child = os.fork()
    if child == 0:
        code = ESCAPED
        try:
            code = work()
        finally:
            os._exit(code)
    return child


def end(child: int) -> int:
    """Wait for a child; return its exit code, or less than zero where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def watch(folder: Path, step: Callable[[], None]) -> None:
    """Call `step` right before every operation of this process that changes a file in `folder`, SQLite's included."""

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, str | bytes) and flags & WRITING and str(folder) in os.fsdecode(path):
                step()
        elif event in CHANGES:
            step()

    def profile(frame: Any, event: str, called: Any) -> None:
        if event == "c_call" and called.__name__ in CALLS:
            owner = type(getattr(called, "__self__", None)).__module__
            if owner == "sqlite3" or called.__module__ in ("posix", "fcntl"):
                step()

    sys.addaudithook(audit)
    sys.setprofile(profile)


def run(study: Path, out: Path, fault: Fault | None = None) -> int:
    """Run the study, and call `fault` with the number of each operation right before it; return the exit code."""
    seen = 0

    def step() -> None:
        nonlocal seen
        seen += 1
        if fault is not None:
            fault(seen)

    if fault is not None:
        watch(out, step)
    try:
        return execute(study, out, pipelines={"toy": PIPELINE}).exit_code
    except StoreError as error:
        print(error, file=sys.stderr)
        return HELD if "is being written by another process" in error.message else REFUSED


def content(folder: Path) -> dict[str, Any]:
    """Return what a run left, without the times of writing and the hashes of what holds them."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith("ledger.sqlite"):
            found[name] = path.read_bytes()
        if name.endswith(".json"):
            found[name] = {key: value for key, value in json.loads(found[name]).items() if key != "created"}
        if name == "run.json":
            found[name]["records"] = sorted(found[name]["records"])
            for key in ("figures_of", "report_of"):  # hashes of what holds the times
                found[name].pop(key, None)
    return found


def left(out: Path, expected: dict[str, Any]) -> int:
    """Tell whether every record that a run left is whole and as it should be; there may be fewer."""
    for path in (out / "records").glob("[!.]*.json") if out.is_dir() else ():
        record = ResultRecord.model_validate_json(path.read_bytes()).model_dump(mode="json", exclude={"created"})
        if record != expected[f"records/{path.name}"]:
            return WRONG
    return DONE


def resumed(study: Path, out: Path, expected: dict[str, Any]) -> int:
    """Look at what a run left, run again without a fault, and compare."""
    if left(out, expected) != DONE:
        return WRONG
    run(study, out)
    problems, found = validate_run(out), content(out)
    wrong = [name for name in sorted({*found, *expected}) if found.get(name) != expected.get(name)]
    if wrong or problems:
        print(out.name, wrong, problems, file=sys.stderr)
        return WRONG
    return DONE


def met(fault: Callable[[], int], study: Path, out: Path, expected: dict[str, Any]) -> tuple[int, int]:
    """Let a run meet its fault, look at what it left, and resume it."""
    code = end(start(fault))
    again = end(start(lambda: resumed(study, out, expected)))
    shutil.rmtree(out)
    return code, again


def at_each_operation(
    fault: Callable[[int], Fault], study: Path, folder: Path, expected: dict[str, Any]
) -> Iterator[tuple[int, ...]]:
    """Meet a fault at one operation after the other."""
    counted = folder / "operations"

    def count() -> int:
        seen: list[int] = []
        run(study, folder / "counted", seen.append)
        sys.setprofile(None)
        counted.write_text(str(len(seen)))
        return DONE

    end(start(count))
    for number in range(1, int(counted.read_text()) + 1, given(1)):
        out = folder / f"{fault.__name__}_{number}"
        yield met(lambda out=out, number=number: run(study, out, fault(number)), study, out, expected)  # type: ignore[misc]


def given(default: int) -> int:
    """Return the number N of the command."""
    return int(sys.argv[4]) if len(sys.argv) > 4 else default


def killed(number: int) -> Fault:
    """Kill the process at this operation."""
    return lambda seen: os.kill(os.getpid(), signal.SIGKILL) if seen == number else None


def full(number: int) -> Fault:
    """Let this operation fail for want of space or of the right to write, and all that follow where it is even."""

    def fault(seen: int) -> None:
        if seen == number or (seen > number and number % 2 == 0):
            raise OSError(*((30, "Read-only file system") if number % 3 == 0 else (28, "No space left on device")))

    return fault


def limited(study: Path, folder: Path, expected: dict[str, Any]) -> Iterator[tuple[int, ...]]:
    """Let the system refuse to write any file beyond a size: what HDF5 and SQLite write themselves is met too."""
    for limit in (0, 500, 2500, 10_000, 20_000, 25_000, 40_000, 1_000_000):  # the report is the largest
        out = folder / f"limited_{limit}"

        def work(out: Path = out, limit: int = limit) -> int:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            return run(study, out)

        yield met(work, study, out, expected)


def two(study: Path, folder: Path, expected: dict[str, Any]) -> Iterator[tuple[int, ...]]:
    """Start a second process on the folder of a first one, at random delays over the time that a run takes and more."""
    draw = random.Random(1)
    begun = time.monotonic()
    end(start(lambda: run(study, folder / "timed")))
    longest = 1.2 * (time.monotonic() - begun)
    for number in range(given(12)):
        out = folder / f"two_{number}"
        first = start(lambda out=out: run(study, out))  # type: ignore[misc]
        time.sleep(draw.uniform(0.0, longest))
        second = start(lambda out=out: run(study, out))  # type: ignore[misc]
        yield end(first), end(second), end(start(lambda out=out: resumed(study, out, expected)))  # type: ignore[misc]


def main(mode: str, study: Path, folder: Path) -> None:
    """Run a mode, and print what it yields."""
    gc.freeze()  # so that children share these objects
    layerscope.runs.execute.BATCH_S = 1e9  # operations come in one order, however busy the machine is
    out = folder / "expected"
    if end(start(lambda: run(study, out))) != DONE:
        raise SystemExit("the study does not run without a fault")
    modes = {
        "killed": partial(at_each_operation, killed),
        "full": partial(at_each_operation, full),
        "limited": limited,
        "two": two,
    }
    print(json.dumps([list(found) for found in modes[mode](study, folder, content(out))]))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
