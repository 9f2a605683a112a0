"""Wall time of ``layerscope --help`` beside a bare start of the interpreter: medians of starts that take turns.

Run as ``python benchmarks/cli_help.py``; the command next to this interpreter is timed. Exits with 1 if it takes more
than eight starts.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPEATS = 15
MOST_STARTS = 8.0


def main() -> None:
    """Time both, print the medians and their ratio."""
    command = shutil.which("layerscope", path=str(Path(sys.executable).parent)) or shutil.which("layerscope")
    if command is None:
        raise SystemExit("layerscope is not installed")
    lines = {"python -c pass": [sys.executable, "-c", "pass"], "layerscope --help": [command, "--help"]}
    times: dict[str, list[float]] = {name: [] for name in lines}
    for _ in range(REPEATS + 1):
        for name, line in lines.items():
            start = time.perf_counter()
            subprocess.run(line, check=True, capture_output=True)
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(measured[1:]) for name, measured in times.items()}  # the first warms the disk
    for name, median in medians.items():
        print(f"{name}: median {median:.3f} s of {REPEATS}")
    ratio = medians["layerscope --help"] / medians["python -c pass"]
    print(f"{ratio:.1f} starts of the interpreter (at most {MOST_STARTS:g} wanted)")
    raise SystemExit(ratio > MOST_STARTS)


if __name__ == "__main__":
    main()
