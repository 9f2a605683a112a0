"""Rietveld refinement of real powders against published values, with one engine or both.

Run: ``python benchmarks/rietveld_powders.py {licoo2|mixtures|lab6} [rietx|gsas2|both]``; the folder of measurements
is ``LAYERSCOPE_TEST_DATA`` or ``../shared/data``.
"""

from __future__ import annotations

import math
import os
import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from layerscope.diffraction.readers import read
from layerscope.diffraction.rietveld.compare import compare
from layerscope.diffraction.rietveld.engine import RefineOptions, refine
from layerscope.diffraction.rietveld.library import load_phase
from layerscope.diffraction.rietveld.model import Background, Instrument, PowderPattern, Problem
from layerscope.diffraction.rietveld.plan import RefinementPlan, Stage, full_plan
from layerscope.diffraction.rietveld.result import RietveldResult

DATA = Path(os.environ.get("LAYERSCOPE_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "xrd"


def load(path: Path) -> PowderPattern:
    return PowderPattern.from_dataset(read(path, radiation=1.5405929).frames[0])


def run(engine: str, pattern: PowderPattern, problem: Problem, plan: RefinementPlan) -> RietveldResult:
    folder = Path(tempfile.mkdtemp(prefix="rietveld-"))
    return refine(pattern, problem, engine=engine, plan=plan, options=RefineOptions(folder=folder))


def describe(result: RietveldResult) -> str:
    head = f"{result.engine:6s} Rwp {100 * result.rwp:.3f} % Rexp {100 * result.rexp:.3f} % gof {result.gof:.3f}"
    return f"{head} n {result.n_free} factor {result.serial_factor:.2f} {result.seconds:.1f} s {list(result.flags)}"


def licoo2(engines: list[str]) -> None:
    """Real LiCoO2 from three formats and from starts off by up to 2 %."""
    folder = DATA / "licoo2_lab"
    phase = load_phase("LiCoO2_O3")
    starts = [(1.0, 1.0), (0.98, 1.02), (1.02, 0.98), (1.02, 1.02), (0.98, 0.98), (1.01, 0.985)]
    jobs = [("LiCoO2.xye", s) for s in starts] + [("LiCoO2.UXD", starts[0]), ("LiCoO2.RAW", starts[0])]
    for name, (fa, fc) in jobs:
        pattern = load(folder / name)
        results = {}
        for engine in engines:
            problem = Problem((phase.scaled_cell(fa, fa, fc),), Instrument(), Background(10), (16.0, 136.0))
            results[engine] = found = run(engine, pattern, problem, full_plan())
            a, c = found.phases[0].cell["a"], found.phases[0].cell["c"]
            print(f"{name} start a*{fa} c*{fc} {pattern.two_theta.size} points: {describe(found)}")
            print(f"    a {a.value:.6f} raw {a.sigma:.6f} serial {a.sigma_serial:.6f}", end="  ")
            print(f"c {c.value:.5f} raw {c.sigma:.5f} serial {c.sigma_serial:.5f}", flush=True)
        if len(results) == 2:
            both = compare(results["rietx"], results["gsas2"])
            gap = [f"{k} {both.of(f'O3/cell/{k}').in_sigma:+.2f}" for k in ("a", "c")]
            print(f"    difference in sigma: {', '.join(gap)}; verdict: {both.verdict}: {both.message}", flush=True)


MIXTURES = {
    "TiO2": ("TiO2_anatase", "TiO2_rutile"),
    "ZnO": ("ZnO",),
    "V2O5": ("V2O5",),
    "Li2CO3": ("Li2CO3",),
    "ZrO2": ("ZrO2_monoclinic",),
}


def mixtures(engines: list[str]) -> None:
    """Weighed mixtures: refined against weighed fractions, in wt%."""
    for path in sorted((DATA / "weighed_mixtures").glob("*.xrdml")):
        parts = re.findall(r"([A-Z][A-Za-z0-9]*?)_(\d+p\d+)", path.stem)
        weighed = {name: float(value.replace("p", ".")) for name, value in parts}
        total = sum(weighed.values())
        phases = tuple(replace(load_phase(p), size_nm=200.0) for name in weighed for p in MIXTURES[name])
        pattern = load(path)
        limits = (max(15.0, float(pattern.two_theta[0])), float(pattern.two_theta[-1]))
        problem = Problem(phases, Instrument(), Background(12), limits)
        plan = RefinementPlan(
            (
                Stage("scale and background", ("scale", "background")),
                Stage("displacement", ("displacement",)),
                Stage("cell", ("cell",)),
                Stage("widths", ("w", "size")),
                Stage("texture", ("texture",)),
                Stage("axial", ("sh_l",)),
            )
        )
        for engine in engines:
            found = run(engine, pattern, problem, plan)
            print(f"{path.name}: {describe(found)}")
            for name, value in weighed.items():
                members = [load_phase(p).name for p in MIXTURES[name]]
                fraction, sigma = found.total_fraction(*members)
                wanted = value / total
                print(
                    f"    {name:7s} weighed {100 * wanted:6.2f} found {100 * fraction:6.2f}({100 * sigma:.2f})", end=""
                )
                print(f" difference {100 * (fraction - wanted):+.2f} wt%")
            for p in found.phases:
                print(f"        {p.name}: {100 * p.weight_fraction.value:.2f} wt%, r {p.march.value:.3f}", flush=True)


def lab6(engines: list[str]) -> None:
    """NIST SRM 660c: a at the certificate's temperature."""
    expansion = 7.2e-6
    path = DATA / "nist_660c" / "nist_srm660c_100a.cif"
    pattern = load(path)
    # post-specimen graphite: 1 / (1 + cos² 26.6°); radius of the NIST divergent-beam diffractometer
    instrument = Instrument(polarisation=1.0 / (1.0 + math.cos(math.radians(26.6)) ** 2), radius_mm=217.5)
    phase = replace(load_phase("LaB6"), size_nm=math.inf)
    problem = Problem((phase,), instrument, Background(8), (18.0, float(pattern.two_theta[-1])))
    for engine in engines:
        found = run(engine, pattern, problem, full_plan(texture=False))
        a = found.phases[0].cell["a"]
        certified = 4.156826 * (1.0 + expansion * (20.85 - 22.5))
        print(f"{describe(found)}")
        print(f"    a {a.value:.6f} raw {a.sigma:.6f} serial {a.sigma_serial:.6f} certified at 20.85 C {certified:.6f}")
        print(f"    difference {a.value - certified:+.1e} A", flush=True)


def main() -> None:
    what = sys.argv[1] if len(sys.argv) > 1 else "licoo2"
    engine = sys.argv[2] if len(sys.argv) > 2 else "both"
    engines = ["rietx", "gsas2"] if engine == "both" else [engine]
    {"licoo2": licoo2, "mixtures": mixtures, "lab6": lab6}[what](engines)


if __name__ == "__main__":
    main()
