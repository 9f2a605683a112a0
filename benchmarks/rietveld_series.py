"""The simulated O3 -> H1-3 series with both engines against its truth: fractions, onset, pulls, time per core.

Run: ``python benchmarks/rietveld_series.py [rietx|gsas2] [forward|both] [workers]``. The archive
``xrd/sequence_o3_h13.zip`` is looked for in ``LAYERSCOPE_TEST_DATA`` or ``../shared/data``. For GSAS-II's speed with
its own (coarser) axial profile set ``LAYERSCOPE_GSAS2_OWN_AXIAL=1``. On a busy machine two processor times of one run
can be set beside each other: that of a frame of the series and of one refined alone, from afar (rietx). Exits with 1 if
a wanted figure is missed.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from layerscope.diffraction.rietveld.engines.interface import RefineOptions
from layerscope.diffraction.rietveld.model import Background, Instrument, PowderPattern, Problem
from layerscope.diffraction.rietveld.options import SeriesOptions
from layerscope.diffraction.rietveld.plan import RefinementPlan
from layerscope.diffraction.rietveld.sequence import FrameResult, calibrate, refine_series

from layerscope.crystals import phase_from_cif

ROOT = Path(os.environ.get("LAYERSCOPE_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
CALIBRATION = RefinementPlan.of(
    ("a", ("scale", "background")), ("b", ("cell", "displacement")), ("c", ("size", "strain"))
)


def load(folder: Path) -> tuple[list[PowderPattern], Problem, np.ndarray]:
    with zipfile.ZipFile(ROOT / "xrd" / "sequence_o3_h13.zip") as archive:
        for name in ("O3.cif", "H13.cif", "cu.instprm", "truth.csv"):
            (folder / name).write_bytes(archive.read(name))
        patterns = []
        for k in range(50):
            with archive.open(f"f{k:02d}.xye") as lines:
                x, y, s = np.loadtxt(lines).T
            patterns.append(PowderPattern.from_counts(x, y, s, name=f"f{k:02d}"))
    phases = tuple(phase_from_cif(folder / f, name=n) for f, n in (("O3.cif", "O3"), ("H13.cif", "H1-3")))
    instrument = Instrument.from_instprm((folder / "cu.instprm").read_text())
    truth = np.loadtxt(folder / "truth.csv", delimiter=",", skiprows=1)[:, 1]
    return patterns, Problem(phases, instrument, Background(terms=6)), truth


def estimate(frame: FrameResult) -> tuple[float, float]:
    """Fraction and raw esd of H1-3; where it is absent, what the linear test says."""
    if "H1-3" in frame.active:
        value, sigma = frame.fraction("H1-3")
        return value, sigma or np.nan
    tried = frame.tested["H1-3"]
    return tried.fraction, tried.sigma or np.nan


def main() -> None:
    engine = sys.argv[1] if len(sys.argv) > 1 else "rietx"
    both = len(sys.argv) > 2 and sys.argv[2] == "both"
    workers = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    folder = Path(tempfile.mkdtemp(prefix="rietveld-series-"))
    patterns, problem, truth = load(folder)
    known = calibrate(
        patterns[0],
        problem.only(["O3"]),
        CALIBRATION,
        engine=engine,
        options=RefineOptions(folder=folder / "calibration"),
    )
    o3 = known.phases[0]
    h13 = replace(problem.phases[1], size_nm=o3.size_nm, microstrain_ppm=o3.microstrain_ppm)
    options = SeriesOptions(engine=engine, both_directions=both, workers=workers, folder=folder / "frames")
    started, used = time.perf_counter(), os.times()
    found = refine_series(patterns, known.with_phases([o3, h13]), options)
    wall, now = time.perf_counter() - started, os.times()
    cpu = sum(now[:4]) - sum(used[:4])
    alone = time.process_time()
    if engine == "rietx":
        calibrate(patterns[0], problem.only(["O3"]), CALIBRATION, engine=engine)
    alone = time.process_time() - alone
    fraction = np.array([f.fraction("H1-3")[0] for f in found.frames])
    error = fraction - truth
    tried = np.array([estimate(f) for f in found.frames])
    pull = (tried[:, 0] - truth) / tried[:, 1]
    gap = [f.direction_sigma for f in found.frames if f.direction_sigma is not None]
    print(f"{engine}: 50 frames, {'both directions' if both else 'forward'}, {workers} worker(s)")
    print(f"  wall {wall:.1f} s, processor {cpu:.1f} s", end="")
    print(f", a frame {cpu / 50 / alone:.2f} of a frame refined alone ({alone:.2f} s)" if alone > 0 else "")
    print(f"  RMS error of the H1-3 weight fraction {np.sqrt(np.mean(error**2)):.5f} (frames with H1-3: ", end="")
    print(f"{np.sqrt(np.mean(error[32:] ** 2)):.5f})")
    print(f"  false H1-3 in the first 32 frames: {int((fraction[:32] > 0).sum())}; onset frame {found.onset('H1-3')}")
    print(f"  pulls: mean {pull.mean():+.3f}, SD {pull.std():.3f}; with H1-3 only SD {pull[32:].std():.3f}")
    print(f"  frames in which the directions differ by more than 3 sigma: {sum(g > 3 for g in gap)} of {len(gap)}")
    rms = float(np.sqrt(np.mean(error**2)))
    reached = rms <= 0.0015 and not (fraction[:32] > 0).any() and found.onset("H1-3") == 32
    worst = max(o.sigma for o in found.overlaps)
    print(f"  {len(found.overlaps)} frames refined twice, by chunk and milestone: at most {worst:.2g} sigma apart")
    sys.exit(0 if reached and 0.85 <= pull.std() <= 1.2 else 1)


if __name__ == "__main__":
    main()
