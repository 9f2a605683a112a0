"""What the machinery costs a file: N cheap files, each a series and a task of its own, into a run folder and again.

    python benchmarks/machinery.py 10 300 1000 3000

The technique does nothing but copy the curve into a record with one number and one array, so that what is left is
planning, hashing, reading, storing, the ledger, the table of quantities, ``run.json`` and the page. Each run is in a
process of its own: its CPU time with that of its workers, the most memory that it held, and the clock with one and with
two processes, which only tells on idle cores.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.measured.formats import Formats
from layerscope.measured.measurement import Measurement
from layerscope.measured.series import MeasuredSeries
from layerscope.runs.arrays import SeriesArrays
from layerscope.runs.build import measured, some
from layerscope.runs.execute import execute
from layerscope.runs.levels import array_name
from layerscope.runs.pipeline import PipelineOutput, RunContext
from layerscope.runs.recipe import SeriesRecipe
from layerscope.runs.technique import SeriesPipeline

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "contract" / "toy_technique"))
from layerscope_toy_line.readers import FORMATS  # type: ignore[import-not-found]

POINTS = 200


class CheapPipeline(SeriesPipeline[MeasuredSeries[Measurement]]):
    """One number and one curve a file."""

    name, version, technique, recipe_model = "cheap", "1", "toy", SeriesRecipe
    formats: Formats[Any] = FORMATS

    def analyse(self, series: MeasuredSeries[Measurement], context: RunContext) -> Iterator[PipelineOutput]:
        """Yield one record and one set of arrays."""
        level = series.levels[0]
        curve = level.measurement
        area = float(np.trapezoid(curve.intensity, curve.axis))
        record = context.record(
            state=series.state(None),
            inputs=series.inputs("line"),
            quantities=some([measured("peak.area", area, 1.0, "counts*eV", "line", role="derived")]),
        )
        rows = curve.intensity[None, :]
        arrays = SeriesArrays(
            name=array_name(context, series),
            technique="toy",
            title="",
            sample="S",
            axis=curve.axis,
            axis_name="energy",
            axis_unit="eV",
            levels=np.zeros(1),
            level_name="etch_time",
            level_unit="s",
            counts=rows,
            variance=np.maximum(rows, 1.0),
            fit=rows,
            background=np.zeros_like(rows),
            residual=np.zeros_like(rows),
        )
        yield PipelineOutput((record,), {arrays.name: arrays})

    def summary(self, records: Any) -> list[Any]:
        """Return no table."""
        return []

    def figures(self, run: Any, folder: Path) -> list[Path]:
        """Draw nothing."""
        return []


def write_files(folder: Path, count: int) -> Path:
    """Write the files and their recipe."""
    rng = np.random.default_rng(1)
    axis = np.linspace(0.0, 20.0, POINTS)
    lines = ["layerscope = 1", 'pipeline = "cheap"', 'sample = "S"', ""]
    for number in range(count):
        counts = rng.poisson(100.0 + 900.0 * np.exp(-((axis - 10.0) ** 2)))
        rows = "\n".join(f"{x:.3f} {y}" for x, y in zip(axis, counts, strict=True))
        (folder / f"f{number:05d}.txt").write_text(f"TOYLINE {POINTS} 2026-01-01T00:00:00\n{rows}\n")
        lines += ["[[series]]", f'name = "s{number:05d}"', f'files = ["f{number:05d}.txt"]', ""]
    recipe = folder / "recipe.toml"
    recipe.write_text("\n".join(lines))
    return recipe


def measured_run(recipe: Path, out: Path, jobs: int) -> dict[str, float]:
    """Run in this process, and return what it took: CPU and clock (s), and the most memory that it held (MB)."""
    start, clock = _cpu_s(), time.perf_counter()
    execute(recipe, out, figures=False, jobs=jobs, pipelines={"cheap": CheapPipeline()})
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"cpu": _cpu_s() - start, "clock": time.perf_counter() - clock, "memory": held}


def _cpu_s() -> float:
    """Return the CPU time of this process and of those that it began and that ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def apart(*arguments: object) -> dict[str, float]:
    """Measure a run in a process of its own, whose memory no other run has touched."""
    command = [sys.executable, __file__, "--run", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main(counts: Sequence[int]) -> None:
    """Print a row for each number of files, as soon as it is known."""
    print(f"{'':7s}{'CPU, ms a file':>22s}{'main, MB':>10s}{'clock, s':>18s}{'2 processes':>13s}")
    print(f"{'files':7s}{'first run':>11s}{'re-run':>11s}{'':>10s}{'1':>9s}{'2':>9s}{'gain':>13s}")
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            recipe = write_files(folder, count)
            first, again = (apart(recipe, folder / "run", 1) for _ in range(2))
            two = apart(recipe, folder / "two", 2)
            cpu = [1e3 * run["cpu"] / count for run in (first, again)]
            print(
                f"{count:<7d}{cpu[0]:11.2f}{cpu[1]:11.2f}{first['memory']:10.0f}"
                f"{first['clock']:9.1f}{two['clock']:9.1f}{first['clock'] / two['clock']:12.2f}x",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        print(json.dumps(measured_run(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))))
    else:
        main([int(count) for count in sys.argv[1:]] or [10, 300])
