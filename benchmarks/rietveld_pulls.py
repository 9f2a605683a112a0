"""Are the standard errors of two-phase refinements right? Pulls and coverage of fraction and cells against truth.

Run: ``python benchmarks/rietveld_pulls.py [rietx|gsas2] [frames] [rietx|gsas2]``: the engine that refines, how many
patterns, and the engine whose forward model makes them (default rietx). Nothing but the package is needed, and for
``gsas2`` GSAS-II.

The patterns are those of the O3 -> H1-3 series: same instrument, range, counts and phases, H1-3 between 0.002 and 0.99
of the weight. As in a series one stage refines scales, background and the cell of each phase that is strong enough to
have one; the start is off by what a frame differs from its neighbour. Errors are the raw ones.
"""

from __future__ import annotations

import itertools
import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from layerscope.diffraction.rietveld.engines.interface import Engine, RefineOptions
from layerscope.diffraction.rietveld.engines.registry import get_engine
from layerscope.diffraction.rietveld.engines.rietx_engine import simulate
from layerscope.diffraction.rietveld.model import Background, Instrument, PowderPattern, PowderPhase, Problem
from layerscope.diffraction.rietveld.plan import RefinementPlan
from layerscope.diffraction.rietveld.result import Estimate, RietveldResult

from layerscope.crystals import load_phase

GRID = np.arange(15.0, 75.005, 0.02)
INSTRUMENT = Instrument(x=0.02, y=0.02, sh_l=0.02)
STRONG = 0.02  # weight from which a phase's scale exceeds 12 esds, where a series lets its cell go
LOGITS = (math.log(0.002 / 0.998), math.log(0.99 / 0.01))
WANTED = (0.85, 1.2)
Pull = dict[str, tuple[float, float]]  # quantity -> (pull with the raw esd, raw over serial esd)


def truth_of(rng: np.random.Generator) -> Problem:
    """Cells of the series between 4.46 and 4.60 V."""
    o3 = load_phase("LiCoO2_O3_delithiated").with_cell(a=rng.uniform(2.808, 2.812), c=rng.uniform(14.17, 14.42))
    h13 = load_phase("LiCoO2_H1-3").with_cell(a=2.823, c=rng.uniform(26.95, 27.10))
    phases = [
        PowderPhase.of(p, name=name, texture_axis=None, size_nm=1000.0, microstrain_ppm=1000.0)
        for p, name in ((o3, "O3"), (h13, "H1-3"))
    ]
    return Problem(tuple(phases), INSTRUMENT, Background(terms=6))


def calculated(problem: Problem, fraction: float, by: Engine, folder: Path) -> tuple[np.ndarray, float]:
    """Noise-free pattern and the fraction that belongs to it."""
    clean = simulate(problem, GRID, fractions=(1.0 - fraction, fraction), strongest=8000.0, level=180.0)
    if by.name == "rietx":
        return clean, fraction
    # GSAS-II draws the pattern that it fits to rietx's: with all but scales and background held it is a forward model
    plan = RefinementPlan.of(("scales", ("scale", "background")))
    drawn = by.refine(PowderPattern.from_counts(GRID, clean), problem, plan, RefineOptions(folder=folder))
    return drawn.curves.calculated, drawn.phase("H1-3").weight_fraction.value


def start_of(problem: Problem, rng: np.random.Generator, strong: tuple[bool, ...]) -> Problem:
    """Cells as a neighbouring frame would hand them over; a weak phase's cell is held where it was last seen."""
    phases = []
    for phase, moves in zip(problem.phases, strong, strict=True):
        a, c = (
            phase.cell[0] + 1e-4 * rng.standard_normal(),
            phase.cell[2] + 5e-4 * phase.cell[2] * rng.standard_normal(),
        )
        phases.append(phase.with_cell(a=a, c=c) if moves else phase)
    return problem.with_phases(phases)


def pulls(found: RietveldResult, truth: Problem, fraction: float) -> Pull:
    """Deviation from truth in standard errors for each quantity that was refined."""
    wanted: dict[str, tuple[Estimate, float]] = {
        "fraction H1-3": (found.phase("H1-3").weight_fraction, fraction),
    }
    for phase in truth.phases:
        for k, name in ((0, "a"), (2, "c")):
            wanted[f"{name} {phase.name}"] = (found.phase(phase.name).cell[name], phase.cell[k])
    out = {}
    for name, (estimate, value) in wanted.items():
        if estimate.sigma and estimate.sigma_serial and math.isfinite(estimate.value):
            out[name] = ((estimate.value - value) / estimate.sigma, estimate.sigma_serial / estimate.sigma)
    return out


def experiments(engine: Engine, by: Engine, frames: int, folder: Path) -> Iterator[tuple[float, RietveldResult, Pull]]:
    """Make, refine and judge ``frames`` patterns."""
    for k in range(frames):
        rng = np.random.default_rng([20, k])
        logit = LOGITS[0] + (LOGITS[1] - LOGITS[0]) * (k + 0.5) / frames
        fraction = 1.0 / (1.0 + math.exp(-logit))
        truth = truth_of(rng)
        clean, fraction = calculated(truth, fraction, by, folder / f"truth_{k:04d}")
        strong = (1.0 - fraction > STRONG, fraction > STRONG)
        cells = [f"cell:{p.name}" for p, moves in zip(truth.phases, strong, strict=True) if moves]
        pattern = PowderPattern.from_counts(GRID, rng.poisson(clean).astype(float))
        start = start_of(truth, rng, strong)
        plan = RefinementPlan.of(("frame", ("scale", "background", *cells)))
        found = engine.refine(pattern, start, plan, RefineOptions(folder=folder / f"frame_{k:04d}"))
        yield fraction, found, pulls(found, truth, fraction)


def row(name: str, values: np.ndarray, serial: np.ndarray) -> bool:
    """Print one line; whether the SD misses the wanted range by more than three times its own error."""
    count, sd = values.size, float(np.sqrt(np.mean(values**2) - np.mean(values) ** 2))
    error = sd / math.sqrt(2.0 * (count - 1))
    inside = [100.0 * float(np.mean(np.abs(values) < z)) for z in (1.0, 1.959964)]
    missed = max(WANTED[0] - sd, sd - WANTED[1])
    print(
        f"  {name:24s} {count:4d}  mean {values.mean():+.2f} +- {sd / math.sqrt(count):.2f}  SD {sd:.3f} +- {error:.3f}"
        f"  68 %: {inside[0]:5.1f}  95 %: {inside[1]:5.1f}  SD with serial esds {np.std(values / serial):.3f}"
        f"{'' if missed <= 0 else ' ?' if missed < 3 * error else ' MISSED'}",
        flush=True,
    )
    return missed > 3 * error


def main() -> int:
    name = sys.argv[1] if len(sys.argv) > 1 else "rietx"
    frames = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    maker = sys.argv[3] if len(sys.argv) > 3 else "rietx"
    engine = get_engine(name)
    by = engine if maker == name else get_engine(maker)
    engines = {e.name: e for e in (engine, by)}
    with tempfile.TemporaryDirectory(prefix="rietveld-pulls-") as place:
        for used in engines.values():
            used.open(Path(place))
        try:
            runs = list(experiments(engine, by, frames, Path(place)))
        finally:
            for used in engines.values():
                used.close()
    print(f"{frames} two-phase patterns drawn by {maker}, refined by {name}")
    unsound = sum(not found.converged for _, found, _ in runs)
    print(f"  not converged: {unsound}; goodness of fit {np.mean([found.gof for _, found, _ in runs]):.4f}")
    missed = False
    for quantity in ("fraction H1-3", "a O3", "c O3", "a H1-3", "c H1-3"):
        rows = [(f, *p[quantity]) for f, _, p in runs if quantity in p]
        if len(rows) < 2:
            continue
        fraction, pull, serial = np.array(rows).T
        missed |= row(quantity, pull, serial)
        if quantity == "fraction H1-3":
            for low, high in itertools.pairwise((0.0, STRONG, 0.3, 1.0)):
                part = (fraction > low) & (fraction <= high)
                if part.sum() > 1:
                    row(f"  {low} to {high}", pull[part], serial[part])
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
