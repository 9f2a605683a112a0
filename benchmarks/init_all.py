"""First recipes of every real file: how many are opened, how many recipes are written, pass the check, and run.

``python benchmarks/init_all.py [--only TEXT] [--no-run]``: the folder of real measurements is ``LAYERSCOPE_TEST_DATA``
or ``../shared/data``. Each file is tried alone, in a process of its own, with a limit of 15 minutes of processor time.
A file that no technique opens is not counted; one that is opened and gives no recipe is printed with the reason.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from layerscope.errors import LayerscopeError
from layerscope.init import first_recipes

ROOT = Path(os.environ.get("LAYERSCOPE_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
LIMIT_S = 900


def layerscope(*words: object) -> tuple[int, str, float]:
    """Run a command; return its exit code, its last words and the processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "layerscope", *map(str, words)]
    limit = lambda: resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S + 5))  # noqa: E731
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    words = [*done.stderr.strip().splitlines(), *done.stdout.strip().splitlines()] or [""]
    return done.returncode, words[-1] if done.returncode not in (0, 2) else "", spent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--no-run", action="store_true")
    asked = parser.parse_args()
    counts = dict.fromkeys(("opened", "written", "checked", "ran"), 0)
    print(f"{'file':42}{'pipeline':12}{'check':>6}{'run':>5}{'CPU s':>7}")
    for file in sorted(p for p in ROOT.rglob("*") if p.is_file() and asked.only in str(p.relative_to(ROOT))):
        name = str(file.relative_to(ROOT))[-41:]
        with tempfile.TemporaryDirectory() as folder:
            recipe = Path(folder) / "recipe.toml"
            start = time.process_time()
            try:
                written, _, data = first_recipes([file], recipe)
            except LayerscopeError as error:
                if opened(file):
                    counts["opened"] += 1
                    print(f"{name:42}no recipe: {error.message[:150]}", flush=True)
                continue
            counts["opened"] += 1
            counts["written"] += 1
            check, words, _ = layerscope("check", recipe, "--data", data)
            counts["checked"] += check == 0
            run, spent = "-", time.process_time() - start
            if check == 0 and not asked.no_run:
                code, words, spent = layerscope(
                    "run", recipe, "--data", data, "--out", Path(folder) / "run", "--no-figures", "-q"
                )
                counts["ran"] += code in (0, 2)
                run = str(code)
            print(f"{name:42}{written[0].pipeline:12}{check:6}{run:>5}{spent:7.1f}  {words[:160]}".rstrip(), flush=True)
    print(", ".join(f"{key} {value}" for key, value in counts.items()))


def opened(file: Path) -> bool:
    """Tell whether any technique reads a file."""
    from importlib.metadata import entry_points

    from layerscope.init import GROUP

    for point in entry_points(group=GROUP):
        try:
            point.load().read(file)
        except LayerscopeError:
            continue
        return True
    return False


if __name__ == "__main__":
    main()
