"""What do figures cost? CPU time of a depth profile of 100 levels and two regions, and of its figure.

    python benchmarks/figures_cost.py [--levels 100] [--keep FOLDER] [--profile]
    python benchmarks/figures_cost.py --run RUN
    python benchmarks/figures_cost.py --specs RUN

A B 1s and C 1s profile is simulated with the formula of the reference cases (`reference_data/_generate/`), written as
VAMAS and run as a user would run it. All times are CPU times of this process, linear algebra on one thread. Drawing
twice must give the same bytes. With --run, the figures of a finished run are drawn into a folder of their own. With
--specs, every specification under `docs/figures` is drawn from a run of the study: once, again, and in two processes.
"""

from __future__ import annotations

import argparse
import os
import sys

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import cProfile  # noqa: E402
import pstats  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterable  # noqa: E402
from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402

from layerscope.figures.specified import Source, draw_specified, read_spec  # noqa: E402
from layerscope.records import file_sha256  # noqa: E402
from layerscope.runs.drawing import redraw  # noqa: E402
from layerscope.runs.execute import execute  # noqa: E402
from layerscope.runs.load import load_run  # noqa: E402
from layerscope.runs.pipeline import find_pipeline  # noqa: E402
from layerscope.runs.pool import each_ended  # noqa: E402

SPECS = Path(__file__).resolve().parents[1] / "docs" / "figures"
DATA = Path(__file__).resolve().parents[1] / "reference_data"
sys.path.insert(0, str(DATA))
from _generate.li_rich import level  # noqa: E402
from _generate.vamas import VamasOptions, write_vamas  # noqa: E402

REGIONS = ("B 1s", "C 1s")
WANTED_S = 12.0
RECIPE = """
layerscope = 1
pipeline = "xps"
sample = "simulated profile"
single_level = true

[[series]]
files = ["profile.vms"]

[charge]
kind = "line"
region = "C 1s"
species = "C-C/C-H"
energy_eV = 284.8
sigma_eV = 0.2

[[regions]]
region = "B 1s"
components = [{ species = "B-O-B" }, { species = "TM-O-B", like = "B-O-B", optional = true }]

[[regions]]
region = "C 1s"

[[regions.components]]
species = "C-C/C-H"

[[regions.components]]
species = "C-O"
parameters.mixing = { expr = "C_C_C_H_mixing" }

[[regions.components]]
species = "CO3"
parameters.mixing = { expr = "C_C_C_H_mixing" }
"""


def write_case(folder: Path, levels: int) -> Path:
    """Simulate the profile and write it with its recipe; return the recipe's path."""
    folder.mkdir(parents=True, exist_ok=True)
    shifts = np.random.default_rng(11).uniform(-0.15, 0.15, levels).round(3)
    made = []
    for number, (seconds, shift) in enumerate(zip(np.linspace(0.0, 60.0, levels), shifts, strict=True)):
        whole = level(number, round(float(seconds), 3), float(shift), quick=False)
        kept = tuple(region for region in whole.regions if region.window.region in REGIONS)
        made.append(replace(whole, regions=kept))
    options = VamasOptions("simulated profile", "profile", ("SIMULATED DATA: no measurement.",))
    (folder / "profile.vms").write_bytes(write_vamas(tuple(made), options))
    (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    return folder / "recipe.toml"


def run(folder: Path, levels: int, profile: bool) -> bool:
    """Run, draw, draw again; print what each took and return whether it is as wanted."""
    if (folder / "run").exists():
        sys.exit(f"{folder / 'run'} exists: its analysis would not be done again")
    recipe = write_case(folder / "case", levels)
    start = time.process_time()
    execute(recipe, folder / "run", figures=False, debug=True)
    analysed = time.process_time() - start
    profiler = cProfile.Profile(time.process_time)
    start = time.process_time()
    if profile:
        profiler.runcall(redraw, folder / "run", debug=True)
    else:
        redraw(folder / "run", debug=True)
    drawn = time.process_time() - start
    files = sorted((folder / "run" / "figures").iterdir())
    first = {path.name: file_sha256(path) for path in files}
    redraw(folder / "run", debug=True)
    same = first == {path.name: file_sha256(path) for path in files}
    print(f"{levels} levels, {len(REGIONS)} regions, {len(files)} files")
    print(f"  analysis        {analysed:7.1f} CPU-s")
    print(f"  figures         {drawn:7.1f} CPU-s, {100.0 * drawn / (analysed + drawn):.0f} % of the whole")
    print(f"  wanted          {WANTED_S:7.1f} CPU-s at most for the figures of 100 levels")
    print(f"  drawn again: {'the same bytes' if same else 'OTHER BYTES'}")
    if profile:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(60)
    return same and (profile or drawn <= WANTED_S * max(levels, 100) / 100.0)


def of_run(finished: Path, folder: Path) -> None:
    """Draw the figures of a run into a folder; print what those of each pipeline took."""
    whole, total = load_run(finished), 0.0
    print("pipeline      figures  CPU-s")
    for name in sorted(whole.info["pipelines"]):
        start, drawn = time.process_time(), 0
        chosen = whole.of_pipeline(name)
        for drawing in find_pipeline(name).figures(chosen, folder) if chosen.records else ():
            if not isinstance(drawing, Path):
                drawing.draw()
                drawn += 1
        took = time.process_time() - start
        total += took
        print(f"{name:12s}  {drawn:7d}  {took:5.1f}", flush=True)
    print(f"all                    {total:5.1f}")


def of_specs(finished: Path, folder: Path) -> bool:
    """Draw every committed specification three times; print what the first took and whether the bytes are the same."""
    specs, source = sorted(SPECS.glob("*.toml")), Source(load_run(finished))
    pieces = [(spec, finished, folder / "apart") for spec in specs]
    apart = dict(each_ended(_draw_apart, pieces, 2))
    print("specification         CPU-s  again  in two processes")
    whole = True
    for number, spec in enumerate(specs):
        start = time.process_time()
        first = _hashes(draw_specified(read_spec(spec), [source], folder / "once" / spec.stem))
        took = time.process_time() - start
        again = first == _hashes(draw_specified(read_spec(spec), [source], folder / "again" / spec.stem))
        whole &= again and first == apart[number]
        words = ("same" if same else "OTHER" for same in (again, first == apart[number]))
        print(f"{spec.stem:20s}  {took:5.1f}  " + "  ".join(f"{word:5s}" for word in words), flush=True)
    return whole


def _draw_apart(piece: tuple[Path, Path, Path]) -> dict[str, str]:
    spec, finished, folder = piece
    return _hashes(draw_specified(read_spec(spec), [Source(load_run(finished))], folder / spec.stem))


def _hashes(files: Iterable[Path]) -> dict[str, str]:
    return {file.name: file_sha256(file) for file in files}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", type=int, default=100)
    parser.add_argument("--keep", type=Path, help="folder for the case and the run, kept for a look at the figure")
    parser.add_argument("--profile", action="store_true", help="show where the time of the figures goes")
    parser.add_argument("--run", type=Path, help="draw the figures of this run instead")
    parser.add_argument("--specs", type=Path, help="draw the specifications of the documentation from this run")
    options = parser.parse_args()
    if options.specs is not None:
        with tempfile.TemporaryDirectory() as folder:
            return 0 if of_specs(options.specs, Path(folder)) else 1
    if options.run is not None:
        with tempfile.TemporaryDirectory() as folder:
            of_run(options.run, Path(folder))
        return 0
    if options.keep is not None:
        return 0 if run(options.keep, options.levels, options.profile) else 1
    with tempfile.TemporaryDirectory() as folder:
        return 0 if run(Path(folder), options.levels, options.profile) else 1


if __name__ == "__main__":
    sys.exit(main())
