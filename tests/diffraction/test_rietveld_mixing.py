"""Mixed sites in both engines: constraints hold, the occupancy is true, weak contrast is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rietx", reason="rietx is not installed (pip install 'layerscope[xrd]')")

from layerscope.diffraction.rietveld.engines.gsas2_engine import find_interpreter
from layerscope.diffraction.rietveld.engines.interface import RefineOptions
from layerscope.diffraction.rietveld.engines.rietx_engine import simulate
from layerscope.diffraction.rietveld.model import Background, Instrument, PowderPattern, Problem
from layerscope.diffraction.rietveld.plan import RefinementPlan
from layerscope.diffraction.rietveld.refinement import refine

from layerscope.crystals import Phase, Site, SiteMixing, load_phase

GRID = np.arange(16.0, 80.0, 0.04)
PLAN = RefinementPlan.of(("s", ("scale", "background")), ("c", ("cell",)), ("o", ("occupancy",)), ("b", ("b_iso",)))


def mixed(guest: str, amount: float) -> Problem:
    base = replace(load_phase("LiCoO2_O3"), texture_axis=None)
    li, co, o = base.sites
    sites = (replace(li, occupancy=1.0 - amount), Site("G", guest, *li.xyz, amount, li.b_iso), co, o)
    phase = Phase("O3", base.space_group, base.cell, sites, (SiteMixing(("Li", "G")),))
    return Problem((phase,), Instrument(sh_l=0.002, x=0.03, y=0.03), Background(terms=4))


@pytest.mark.parametrize("engine", ["rietx", "gsas2"])
def test_nickel_on_the_lithium_site_is_found_and_the_site_stays_full(engine: str, tmp_path: Path) -> None:
    if engine == "gsas2" and find_interpreter() is None:
        pytest.skip("GSAS-II is not installed on this machine")
    clean = simulate(mixed("Ni", 0.06), GRID, fractions=(1.0,), strongest=8000.0, level=100.0)
    pattern = PowderPattern.from_counts(GRID, np.random.default_rng(8).poisson(clean).astype(float))
    options = RefineOptions(prealign=False, folder=tmp_path)
    found = refine(pattern, mixed("Ni", 0.02), engine=engine, plan=PLAN, options=options)
    guest, host = found.phases[0].sites["G"], found.phases[0].sites["Li"]
    assert guest["occupancy"].sigma is not None
    assert guest["occupancy"].sigma < 0.01
    assert abs(guest["occupancy"].value - 0.06) < 4 * guest["occupancy"].sigma
    assert guest["occupancy"].value + host["occupancy"].value == pytest.approx(1.0, abs=1e-6)
    assert guest["b_iso"].value == pytest.approx(host["b_iso"].value, abs=1e-6)
    assert not any(f.startswith("WEAK_CONTRAST") for f in found.flags)


def test_boron_on_the_lithium_site_is_flagged_and_its_error_exceeds_a_plausible_amount() -> None:
    clean = simulate(mixed("B", 0.054), GRID, fractions=(1.0,), strongest=8000.0, level=100.0)
    pattern = PowderPattern.from_counts(GRID, np.random.default_rng(8).poisson(clean).astype(float))
    found = refine(pattern, mixed("B", 0.02), plan=PLAN, options=RefineOptions(prealign=False))
    occupancy = found.phases[0].sites["G"]["occupancy"]
    assert any(f.startswith("WEAK_CONTRAST:O3/site/G") for f in found.flags)
    assert occupancy.sigma is not None
    assert occupancy.sigma > 0.02
    assert abs(occupancy.value - 0.054) < 4 * occupancy.sigma
