"""Simulated patterns and short recipes for tests of the pipeline rietveld: the truth is in the arguments."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from layerscope.diffraction.rietveld.engines.rietx_engine import simulate
from layerscope.diffraction.rietveld.model import Background, Instrument, Problem
from numpy.typing import NDArray

import layerscope
from layerscope.crystals import Phase, load_phase
from layerscope.records import ResultRecord
from layerscope.runs.execute import execute
from layerscope.runs.load import Run

FloatArray = NDArray[np.float64]
GRID = np.arange(17.0, 46.5, 0.05)
WIDE = np.arange(16.0, 80.0, 0.04)
INSTRUMENT = Instrument(sh_l=0.002, x=0.04, y=0.03)
O3 = replace(load_phase("LiCoO2_O3_delithiated"), name="O3", texture_axis=None)
H13 = replace(load_phase("LiCoO2_H1-3"), name="H1-3", texture_axis=None)
BOTH = """phases = [
  { name = "O3", library = "LiCoO2_O3_delithiated", texture = false },
  { name = "H1-3", library = "LiCoO2_H1-3", texture = false },
]"""
ONE = 'phases = [{ name = "O3", library = "LiCoO2_O3_delithiated", texture = false }]'
PLAN = """plan = { kind = "stages", stages = [
  { name = "scale", free = ["scale", "background"] },
  { name = "cell", free = ["cell"] },
] }"""


def counts(
    phases: Sequence[Phase],
    fractions: Sequence[float],
    seed: int,
    *,
    grid: FloatArray = GRID,
    strongest: float = 4000.0,
    instrument: Instrument = INSTRUMENT,
) -> NDArray[np.int64]:
    """Return Poisson counts of a mixture on a level of 80, shape (n,)."""
    kept = [(p, f) for p, f in zip(phases, fractions, strict=True) if f > 0]
    problem = Problem(tuple(p for p, _ in kept), instrument, Background(terms=4))
    truth = simulate(problem, grid, fractions=[f for _, f in kept], strongest=strongest, level=80.0)
    return np.random.default_rng(seed).poisson(truth)


def columns(x: FloatArray, y: NDArray[np.generic]) -> str:
    """Return a pattern as two columns."""
    return "".join(f"{a:.4f} {b:.8g}\n" for a, b in zip(x.tolist(), y.tolist(), strict=True))


def with_errors(x: FloatArray, y: NDArray[np.int64]) -> str:
    """Return a pattern as three columns, the last one the standard error of the counts."""
    return "".join(f"{a:.4f} {b} {max(b, 1) ** 0.5:.5f}\n" for a, b in zip(x.tolist(), y.tolist(), strict=True))


def write_series(folder: Path, frames: Sequence[str]) -> None:
    """Write ``s.zip`` with a member a frame and ``v.csv`` with the voltages, 4.2 V and 0.05 V a frame."""
    with zipfile.ZipFile(folder / "s.zip", "w") as archive:
        for k, text in enumerate(frames):
            archive.writestr(f"f{k}.xye", text)
    (folder / "v.csv").write_text("U\n" + "".join(f"{4.2 + 0.05 * k:.2f}\n" for k in range(len(frames))))


SERIES = '[[series]]\nfiles = ["s.zip"]\nframes = { table = "v.csv", voltage_V = "U" }\n'


def write_recipe(
    folder: Path,
    body: str,
    *,
    phases: str = BOTH,
    series: str = SERIES,
    radiation: str = '{ anode = "Cu" }',
    instrument: str = "sh_l = 0.002, x = 0.04, y = 0.03",
) -> Path:
    """Write recipe.toml; `body` holds keys of the recipe, and tables."""
    path = folder / "recipe.toml"
    path.write_text(
        f"""layerscope = 1
pipeline = "rietveld"
sample = "LCO"
radiation = {radiation}
instrument = {{ {instrument} }}
background = {{ terms = 4 }}
{phases}
{body}
{series}"""
    )
    return path


def run_of(recipe: Path, out: Path | None = None) -> Run:
    """Run a recipe without figures, as ``layerscope run`` does."""
    folder = out or recipe.parent / "run"
    execute(recipe, folder, figures=False)
    return layerscope.load_run(folder)


def by_frame(run: Run, engine: str = "rietx") -> dict[int, ResultRecord]:
    """Return the good records of one engine by frame."""
    return {
        r.state.frame: r
        for r in run.records
        if r.method == f"rietveld.{engine}" and r.status != "failed" and r.state.frame is not None
    }


def flags_of(record: ResultRecord) -> list[str]:
    """Return the flags of a record."""
    assert record.quality is not None
    return list(record.quality.flags)


def pull(record: ResultRecord, name: str, component: str, truth: float) -> float:
    """Return (found - truth) / standard error."""
    found = record.get(name, component)
    assert found.value is not None
    assert found.sigma is not None
    return (found.value - truth) / found.sigma
