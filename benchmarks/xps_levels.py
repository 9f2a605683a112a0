"""What does a depth profile cost with its number of levels? CPU time and peak memory of the whole pipeline.

    python benchmarks/xps_levels.py 100 300 1000 3000 10000 [--profile]

The profile of two regions is that of `figures_cost.py`: B 1s and C 1s, drawn by the formula of the reference cases and
written as VAMAS. Each number of levels is run in a process of its own, without its figure and on one thread: CPU time
from reading the recipe to the table of quantities, highest resident memory, size of the run folder, and the exponent
of the time against the row before, and of the last row against the first.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures_cost import write_case  # sets the number of threads before numpy is loaded
from numpy import log


def one(levels: int, profile: bool) -> None:
    """Simulate and run one profile in this process; print what it took as JSON."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recipe = write_case(folder, levels)
        from layerscope.runs.execute import execute

        watch = cProfile.Profile()
        if profile:
            watch.enable()
        start = time.process_time()
        summary = execute(recipe, folder / "run", figures=False, jobs=1)
        used = time.process_time() - start
        watch.disable()
        size = sum(file.stat().st_size for file in summary.folder.rglob("*") if file.is_file())
        if profile:
            pstats.Stats(watch, stream=sys.stderr).sort_stats("cumulative").print_stats(60)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"cpu_s": used, "peak_bytes": peak, "disk_bytes": size, "records": len(summary.run.records)}))


def main() -> None:
    """Run each number of levels in its own process and print a row for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("levels", type=int, nargs="*", default=[100, 300])
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        one(given.levels[0], given.profile)
        return
    rows: list[tuple[int, float]] = []
    print(f"{'levels':>7}{'CPU s':>9}{'exponent':>10}{'peak MB':>9}{'disk MB':>9}{'records':>9}")
    for levels in given.levels:
        words = [sys.executable, __file__, str(levels), "--here", *(["--profile"] if given.profile else [])]
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        cpu, peak, disk = found["cpu_s"], found["peak_bytes"] / 1e6, found["disk_bytes"] / 1e6
        rows.append((levels, cpu))
        exponent = "" if len(rows) < 2 else f"{_exponent(*rows[-2:]):.2f}"
        print(f"{levels:>7}{cpu:>9.2f}{exponent:>10}{peak:>9.0f}{disk:>9.1f}{found['records']:>9}", flush=True)
    if len(rows) > 2:
        print(f"exponent from {rows[0][0]} to {rows[-1][0]} levels: {_exponent(rows[0], rows[-1]):.2f}")


def _exponent(first: tuple[int, float], last: tuple[int, float]) -> float:
    """Return the power of the number of levels that the CPU time grows with from one row to another."""
    return float(log(last[1] / first[1]) / log(last[0] / first[0]))


if __name__ == "__main__":
    main()
