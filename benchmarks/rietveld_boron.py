"""Boron on the Li layer of R-3m + C2/m: the occupancy against truth, and what X-rays cannot tell.

Run: ``python benchmarks/rietveld_boron.py [patterns]``. Each pattern is refined twice: with the true displacement
parameters held, and with them refined.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
from layerscope.diffraction.rietveld.checks import contrast_warnings
from layerscope.diffraction.rietveld.engine import RefineOptions, get_engine
from layerscope.diffraction.rietveld.library import load_phase
from layerscope.diffraction.rietveld.model import (
    Background,
    Instrument,
    Phase,
    PowderPattern,
    Problem,
    Site,
    SiteMixing,
)
from layerscope.diffraction.rietveld.plan import RefinementPlan, Stage
from layerscope.diffraction.rietveld.rietx_engine import simulate

TRUTH = 0.054


def with_boron(name: str, host: str, amount: float) -> Phase:
    """Put boron on one lithium site; the two fill it together."""
    base = replace(load_phase(name), texture_axis=None)
    sites = []
    for site in base.sites:
        if site.label == host:
            sites.append(replace(site, occupancy=1.0 - amount))
            sites.append(Site("B", "B", *site.xyz, amount, site.b_iso))
        else:
            sites.append(site)
    return replace(base, sites=tuple(sites), mixing=(SiteMixing((host, "B")),))


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 6
    grid = np.arange(16.0, 110.0, 0.03)
    instrument = Instrument(sh_l=0.002, x=0.04, y=0.04)
    phases = (with_boron("LiCoO2_O3", "Li", TRUTH), with_boron("Li2MnO3", "Li1", TRUTH))
    truth = Problem(phases, instrument, Background(4))
    clean = simulate(truth, grid, fractions=(0.6, 0.4), strongest=20000.0, level=200.0)
    start = Problem(
        (with_boron("LiCoO2_O3", "Li", 0.02), with_boron("Li2MnO3", "Li1", 0.02)), instrument, Background(4)
    )
    first = (Stage("scale", ("scale", "background")), Stage("cell", ("cell",)))
    plans = {
        "Biso held at truth": RefinementPlan((*first, Stage("occ", ("occupancy",)))),
        "Biso refined": RefinementPlan((*first, Stage("biso", ("b_iso",)), Stage("occ", ("occupancy",)))),
    }
    for phase in phases:
        for warning in contrast_warnings(phase):
            print(warning.message)
    rng = np.random.default_rng(4)
    patterns = [PowderPattern.from_counts(grid, rng.poisson(clean).astype(float)) for _ in range(count)]
    for title, plan in plans.items():
        rows: dict[str, list[tuple[float, float]]] = {p.name: [] for p in phases}
        strong: list[str] = []
        for pattern in patterns:
            found = get_engine("rietx").refine(pattern, start, plan, RefineOptions())
            for p in found.phases:
                occupancy = p.sites["B"]["occupancy"]
                rows[p.name].append((occupancy.value, occupancy.sigma or np.nan))
            strong = [f"{a}~{b} {r:+.2f}" for a, b, r in found.correlations]
        print(title)
        for name, values in rows.items():
            occ, sigma = np.array(values).T
            pull = (occ - TRUTH) / sigma
            print(
                f"  {name}: occupancy {occ.mean():.4f}, scatter {occ.std(ddof=1):.4f}, esd {sigma.mean():.4f}", end=""
            )
            print(f", pulls {pull.mean():+.2f} +- {pull.std(ddof=1):.2f}, truth {TRUTH}")
        print(f"  correlations above 0.9: {strong}", flush=True)


if __name__ == "__main__":
    main()
