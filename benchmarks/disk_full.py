"""A run on a disk that is full, or that may only be read: what it says, what it leaves, and whether it is resumed.

``python benchmarks/disk_full.py [N] [--jobs J] [--figures]``: a study of N (12) cheap files of XPS, XRD and sXAS is run
into file systems in memory of growing size, which are mounted for it (as root, on Linux; else the script says why it
does nothing). Each run must end with one line of error and exit code 1 or, where all fits, as it should; every record
that it left must be whole; and after the file system was enlarged the same command must give the records, arrays and
tables of a run with room. The same for one that is read-only from the start, and for one that became it after a run was
killed in it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batch_kills import BLAS, FINISHED, faults, records_of, write_files, written

REFUSED = 1
ENOUGH = "64m"
SIZES = ["16k", "64k", "128k", "256k", "384k", "512k", "768k", "1m"]
KILLED = "read-only after a kill"
READ_ONLY = ("read-only", KILLED)


@contextmanager
def mounted(where: Path, size: str) -> Iterator[None]:
    """Mount a file system of this size."""
    where.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(where)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(where)], check=True)


def remounted(where: Path, options: str) -> None:
    """Change the options of a mounted file system."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(where)], check=True, capture_output=True)


def command(study: Path, run: Path, asked: argparse.Namespace) -> list[str]:
    """Return the command of the run."""
    words = [sys.executable, "-m", "layerscope", "run", str(study), "-o", str(run), "-j", str(asked.jobs), "-q"]
    return words if asked.figures else [*words, "--no-figures"]


def ended(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Return how a run ended, and what it said on errors that are not those of corrupt files."""
    _, said = process.communicate()
    return process.returncode, [line for line in said.splitlines() if "cannot be" in line or "Traceback" in line]


def began(words: list[str]) -> subprocess.Popen[str]:
    """Start a run."""
    return subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, **BLAS}
    )


def spoilt(run: Path, whole: dict[str, bytes]) -> list[str]:
    """Return which records of a run are not those of a run with room; there may be fewer."""
    found = written(run) if run.is_dir() else {}
    return [name for name in found if name.startswith("records/") and not Path(name).name.startswith(".")
            and found[name] != whole.get(name)]  # fmt: skip


def tried(case: str, disk: Path, study: Path, asked: argparse.Namespace) -> tuple[int, list[str]]:
    """Run on a full or read-only disk, and return how that ended and what it said."""
    words = command(study, disk / "run", asked)
    if case == KILLED:
        process = began(words)
        while process.poll() is None and records_of(disk / "run") < 3:
            time.sleep(0.01)
        process.kill()
        process.wait()
        time.sleep(2.0)  # until its workers have ended too
    if case in READ_ONLY:
        remounted(disk, "ro")
    return ended(began(words))


def main() -> int:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="?", type=int, default=12)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--figures", action="store_true")
    parser.add_argument("--sizes", nargs="*", default=SIZES)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, disk = Path(name), Path(name) / "disk"
        study, bad = write_files(folder, asked.files, 2, 1)
        samples = {f"s{place:05d}" for place in range(asked.files)}
        try:
            with mounted(disk, ENOUGH):
                pass
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"not done: no file system can be mounted here ({error})")
            return 0
        whole = folder / "whole"
        ended(began(command(study, whole, asked)))
        expected, right = written(whole), 0
        print(f"{asked.files} files, {records_of(whole)} records with room")
        print(f"{'file system':24}{'exit':>5}{'kept':>6}  what it said")
        cases = [*asked.sizes, *READ_ONLY]
        for case in cases:
            with mounted(disk, ENOUGH if case in READ_ONLY else case):
                run = disk / "run"
                code, said = tried(case, disk, study, asked)
                kept, told = records_of(run), spoilt(run, expected)
                remounted(disk, f"rw,size={ENOUGH}")
                again, _ = ended(began(command(study, run, asked)))
                told += faults(run, whole, bad, samples)
            foreseen = code == FINISHED if not said else code == REFUSED and len(said) == 1
            sound = not told and again == FINISHED and foreseen
            right += sound
            short = " ".join(said).replace(str(disk), "").removeprefix("error: /run")
            print(f"{case:24}{code:5}{kept:6}  {short[:44]}{'' if sound else f' WRONG {told[:3]} {said}'}", flush=True)
        print(f"{right} of {len(cases)}: one line of error, records intact, resumed to the same")
    return int(right < len(cases))


if __name__ == "__main__":
    sys.exit(main())
