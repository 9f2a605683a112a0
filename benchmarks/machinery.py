"""What the machinery costs a file: N cheap files, each a series and a task of its own, into a run folder and again.

    python benchmarks/machinery.py 3000

The technique does nothing but copy the curve into a record with one number and one array, so that what is left is
planning, hashing, reading, storing, the ledger, the table of quantities and ``run.json``. CPU time of this process.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
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


def main(count: int) -> None:
    """Print the cost of a run and of its repetition."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recipe = write_files(folder, count)
        pipelines = {"cheap": CheapPipeline()}
        for what in ("first run", "re-run"):
            start, wall = time.process_time(), time.perf_counter()
            summary = execute(recipe, folder / "run", figures=False, pipelines=pipelines)
            used = time.process_time() - start
            print(
                f"{what:10s} {count} files: {1e3 * used / count:6.2f} ms CPU a file"
                f" ({time.perf_counter() - wall:.1f} s; done {summary.done}, looked up {summary.reused})"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
