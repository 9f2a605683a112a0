"""Wall time of ``layerscope --help``: the median of five, after one that warms the disk cache.

Run as ``python benchmarks/cli_help.py``; the command next to this interpreter is timed.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPEATS = 5


def main() -> None:
    command = shutil.which("layerscope", path=str(Path(sys.executable).parent)) or shutil.which("layerscope")
    if command is None:
        raise SystemExit("layerscope is not installed")
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        subprocess.run([command, "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    timed = times[1:]
    print(f"layerscope --help: median {statistics.median(timed):.3f} s of {REPEATS}: {[round(t, 3) for t in timed]}")


if __name__ == "__main__":
    main()
