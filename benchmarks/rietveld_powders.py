"""Rietveld refinement of real powders against published values, with one engine or both.

Run: ``python benchmarks/rietveld_powders.py {licoo2|mixtures|lab6|geometry|fap} [rietx|gsas2|both]``; the folder of
measurements is ``LAYERSCOPE_TEST_DATA`` or ``../shared/data``.
"""

from __future__ import annotations

import math
import os
import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from layerscope.diffraction.radiation import tube_radiation
from layerscope.diffraction.readers import read
from layerscope.diffraction.rietveld.compare import compare, is_judged
from layerscope.diffraction.rietveld.discrepancy import with_discrepancy
from layerscope.diffraction.rietveld.divergent_beam.geometry_fit import GeometryFit, fit_geometry
from layerscope.diffraction.rietveld.divergent_beam.unbias import refine_unbiased
from layerscope.diffraction.rietveld.engines.interface import RefineOptions
from layerscope.diffraction.rietveld.geometry import Geometry
from layerscope.diffraction.rietveld.model import Background, Instrument, PowderPattern, PowderPhase, Problem
from layerscope.diffraction.rietveld.plan import RefinementPlan, full_plan
from layerscope.diffraction.rietveld.refinement import refine
from layerscope.diffraction.rietveld.result import RietveldResult

from layerscope.crystals import load_phase, phase_from_cif
from layerscope.measured.noise import noise_factor

DATA = Path(os.environ.get("LAYERSCOPE_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "xrd"


def load(path: Path) -> PowderPattern:
    return PowderPattern.from_dataset(read(path, radiation=1.5405929).frames[0], name=path.name)


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
            start = phase.with_cell(a=phase.cell[0] * fa, c=phase.cell[2] * fc)
            problem = Problem(
                (start,),
                Instrument(),
                Background(terms=10),
                (16.0, 136.0),
            )
            results[engine] = found = run(engine, pattern, problem, full_plan())
            a, c = found.phases[0].cell["a"], found.phases[0].cell["c"]
            print(f"{name} start a*{fa} c*{fc} {pattern.two_theta.size} points: {describe(found)}")
            print(f"    a {a.value:.6f} raw {a.sigma:.6f} serial {a.sigma_serial:.6f}", end="  ")
            print(f"c {c.value:.5f} raw {c.sigma:.5f} serial {c.sigma_serial:.5f}", flush=True)
        if len(results) == 2:
            both = compare(results["rietx"], results["gsas2"])
            gap = [f"{k} {both.of(f'O3/cell/{k}').in_sigma:+.2f}" for k in ("a", "c")]
            print(f"    difference in sigma: {', '.join(gap)}; verdict: {both.verdict}: {both.message}", flush=True)


def fluorapatite(engines: list[str]) -> None:
    """Fluorapatite from the first file of GSAS-II's tutorials: Rwp at most 8.7 %, engines within one sigma."""
    folder = DATA.parents[1] / "cases" / "xrd_files"
    frames = read(folder / "FAP.XRA", radiation=tube_radiation("Cu")).frames
    print(f"noise: {noise_factor(frames, 'poisson')}")
    pattern = PowderPattern.from_dataset(frames[0], name="FAP.XRA")
    problem = Problem((phase_from_cif(folder / "FAP.cif", name="FAP"),), Instrument(), Background(terms=12))
    results = {engine: run(engine, pattern, problem, full_plan()) for engine in engines}
    good = not noise_factor(frames, "poisson")[2] and all(found.rwp <= 0.087 for found in results.values())
    for found in results.values():
        print(describe(found), flush=True)
    if len(results) == 2:
        both = compare(results["rietx"], results["gsas2"])
        worst = max((d for d in both.differences if is_judged(d.name)), key=lambda d: abs(d.in_sigma))
        print(f"largest difference: {worst.name} {worst.in_sigma:+.2f} sigma; verdict: {both.verdict}: {both.message}")
        good &= abs(worst.in_sigma) <= 1.0
    sys.exit(not good)


MIXTURES = {
    "TiO2": ("TiO2_anatase", "TiO2_rutile"),
    "ZnO": ("ZnO",),
    "V2O5": ("V2O5",),
    "Li2CO3": ("Li2CO3",),
    "ZrO2": ("ZrO2_monoclinic",),
}


def mixtures(engines: list[str]) -> None:
    """Weighed mixtures: refined less weighed fractions in wt%, with the engine's errors and as stated."""
    for path in sorted((DATA / "weighed_mixtures").glob("*.xrdml")):
        parts = re.findall(r"([A-Z][A-Za-z0-9]*?)_(\d+p\d+)", path.stem)
        weighed = {name: float(value.replace("p", ".")) for name, value in parts}
        total = sum(weighed.values())
        phases = tuple(PowderPhase.of(load_phase(p), size_nm=200.0) for name in weighed for p in MIXTURES[name])
        pattern = load(path)
        limits = (max(15.0, float(pattern.two_theta[0])), float(pattern.two_theta[-1]))
        problem = Problem(phases, Instrument(), Background(terms=12), limits)
        plan = RefinementPlan.of(
            ("scale and background", ("scale", "background")),
            ("displacement", ("displacement",)),
            ("cell", ("cell",)),
            ("widths", ("w", "size")),
            ("texture", ("texture",)),
            ("axial", ("sh_l",)),
        )
        for engine in engines:
            raw = run(engine, pattern, problem, plan)
            found = with_discrepancy(raw)
            print(f"{path.name}: {describe(found)}")
            for name, value in weighed.items():
                members = [load_phase(p).name for p in MIXTURES[name]]
                wanted = value / total
                print(f"    {name:7s} weighed {100 * wanted:.2f} wt%", end="")
                for what, one in (("engine", raw), ("stated", found)):
                    stated = one.total_fraction(*members)
                    off, sigma = stated.value - wanted, stated.sigma or math.nan
                    print(f"  {what} {100 * off:+.2f}({100 * sigma:.2f}), {off / sigma:+.1f} sigma", end="")
                print()
            for p in found.phases:
                print(f"        {p.name}: {100 * p.weight_fraction.value:.2f} wt%, r {p.march.value:.3f}", flush=True)


NIST_660C = DATA / "nist_660c" / "nist_srm660c_100a.cif"
# post-specimen graphite: 1 / (1 + cos² 26.6°); radius of the NIST divergent-beam diffractometer
NIST_DBD = Instrument(polarisation=1.0 / (1.0 + math.cos(math.radians(26.6)) ** 2), radius_mm=217.5)
# stated in the file's block data_pd_instr: lengths along the axis, equatorial widths and divergence, Soller slits
STATED = Geometry(
    source_width_mm=0.04,
    source_length_mm=12.0,
    specimen_length_mm=15.0,
    slit_width_mm=0.2,
    divergence_deg=1.05,
    soller_deg=6.776,
    # not stated: a slit as long as the focus; LaB6 attenuates with 112 /mm (Elam 2002), packed to 0.6; tails of a tube
    slit_length_mm=12.0,
    attenuation_per_mm=67.0,
    tail_low_mm=1.0,
    tail_high_mm=1.0,
    tail_share=0.0,
)
NIST_A = 4.156780
"""Å, of NIST's own fit of this block, from the file's data_cell."""
TAILS = ("tail_low_mm", "tail_high_mm", "tail_share")
SPECTRUM = ("emission_width", "passband_per_ev")
FREE = (*TAILS, *SPECTRUM, "soller_deg", "slit_length_mm", "attenuation_per_mm")


def certified() -> float:
    """Certified a of SRM 660c in Å at the temperature of the scan, 20.85 °C; expansion 7.2e-6 /K."""
    return 4.156826 * (1.0 + 7.2e-6 * (20.85 - 22.5))


def lab6(engines: list[str]) -> None:
    """NIST SRM 660c: a at the certificate's temperature, before and after the instrument's bias is taken out."""
    geometry = STATED.model_copy(update={"tail_share": 0.03, "refine": FREE})
    pattern = load(NIST_660C)
    problem = Problem(
        (load_phase("LaB6"),),
        NIST_DBD.model_copy(update={"geometry": geometry}),
        Background(terms=8),
    )
    for engine in engines:
        found = refine_unbiased(
            pattern,
            problem,
            lambda p, q, name=engine: run(name, p, q, full_plan(texture=False)),  # type: ignore[misc]
        )
        print(describe(found.raw))
        for name, result in (("raw", found.raw), ("corrected", found.result)):
            a, gap = result.phases[0].cell["a"], result.phases[0].cell["a"].value - certified()
            print(f"    {name:9s} a {a.value:.6f} raw esd {a.sigma:.6f} serial {a.sigma_serial:.6f}", end=" ")
            print(f"certified {certified():.6f} difference {gap:+.1e} A", flush=True)
        for name in ("displacement_mm", "u", "v", "w", "x", "y", "sh_l"):
            real, made = found.raw.instrument[name], found.simulated.instrument[name]
            print(f"    {name} measured {real.value:.5f}({real.sigma or 0.0:.5f}) simulated {made.value:.5f}")
        if found.calibration is not None:
            report("fundamental parameters", found.calibration)
        # the same bias from somebody else's model: NIST's own calculated pattern, refined by this engine
        plain = replace(problem, instrument=NIST_DBD)
        other = run(engine, nist_calculation(pattern), plain, full_plan(texture=False)).phases[0].cell["a"].value
        print(f"    bias {found.bias['LaB6/cell/a']:+.1e} A; on NIST's calculation {other - NIST_A:+.1e} A", flush=True)


def report(name: str, fit: GeometryFit) -> None:
    shown = ", ".join(f"{k} {v:.5g}({fit.sigmas[k]:.1g})" for k, v in fit.values.items() if k != "a")
    a = fit.values["a"]
    print(f"    {name}: a {a:.6f}({fit.sigmas['a']:.6f}) difference {a - certified():+.1e} A", end=" ")
    print(f"Rwp {100 * fit.rwp:.3f} % gof {fit.gof:.3f}: {shown}", flush=True)


def nist_calculation(pattern: PowderPattern) -> PowderPattern:
    """NIST's own fit of the scan, which the file holds under the same axis; its a is 4.156780 Å."""
    text = NIST_660C.read_text().partition("_calc\n")[2]
    rows = [line.split() for line in text.splitlines() if re.fullmatch(r" +[\d.]+ +[\d.]+ +\S+ *", line)]
    return replace(pattern, counts=np.array([float(row[1]) for row in rows]), name="NIST's calculation")


def geometry_models(engines: list[str]) -> None:
    """Show what a of SRM 660c depends on: the same fit with more and more of the geometry told by the pattern."""
    del engines
    measured, phase = load(NIST_660C), load_phase("LaB6")
    tails, known = STATED.model_copy(update={"tail_share": 0.03}), SPECTRUM
    models: dict[str, tuple[Geometry, tuple[str, ...], bool]] = {
        "as stated": (STATED, known, False),
        "+ tails": (tails, (*known, *TAILS), False),
        "+ Soller": (tails, (*known, *TAILS, "soller_deg"), False),
        "+ attenuation": (tails, (*known, *TAILS, "soller_deg", "attenuation_per_mm"), False),
        "+ slit length": (tails, FREE, False),
        "+ zero": (tails, FREE, True),
        "zero, no attenuation": (tails, (*known, *TAILS, "soller_deg", "slit_length_mm"), True),
    }
    for pattern in (measured, nist_calculation(measured)):
        print(pattern.name)
        for name, (geometry, free, zero) in models.items():
            if pattern is not measured and name not in ("+ attenuation", "+ slit length", "+ zero"):
                continue
            report(
                name, fit_geometry(pattern, phase, NIST_DBD, geometry.model_copy(update={"refine": free}), zero=zero)
            )


def main() -> None:
    what = sys.argv[1] if len(sys.argv) > 1 else "licoo2"
    engine = sys.argv[2] if len(sys.argv) > 2 else "both"
    engines = ["rietx", "gsas2"] if engine == "both" else [engine]
    {"licoo2": licoo2, "mixtures": mixtures, "lab6": lab6, "geometry": geometry_models, "fap": fluorapatite}[what](
        engines
    )


if __name__ == "__main__":
    main()
