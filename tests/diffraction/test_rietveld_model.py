"""The neutral model, its checks and the pure numerics: known geometry, naive oracles, typed refusals."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from layerscope.diffraction.rietveld.agreement import agreement, serial_correlation_factor, strong_correlations
from layerscope.diffraction.rietveld.gsas_prm import is_prm, to_instprm
from layerscope.diffraction.rietveld.model import EIGHT_LN2, Instrument, PowderPattern, Problem
from layerscope.diffraction.rietveld.plan import PlanTable, full_plan

from layerscope.crystals import (
    Phase,
    Site,
    SiteMixing,
    check_phase,
    load_phase,
    reflections,
)
from layerscope.errors import DataError, RecipeError
from layerscope.runs.recipe import parse_recipe

gemmi = pytest.importorskip("gemmi", reason="gemmi is not installed")

from layerscope.diffraction.rietveld.contrast import contrast_warnings  # noqa: E402
from layerscope.diffraction.rietveld.frame import intensity_per_weight  # noqa: E402
from layerscope.diffraction.rietveld.prealign import prealign  # noqa: E402


def test_intensity_per_weight_does_not_depend_on_the_choice_of_cell() -> None:
    """O3 described in a doubled cell (same atoms) must scatter the same per gram."""
    base = load_phase("LiCoO2_O3")
    a, c = base.cell[0], base.cell[2]
    primitive = 3  # formula units in the hexagonal cell
    doubled = Phase(
        "2a",
        "P 1",
        (2 * a, a, c, 90.0, 90.0, 120.0),
        tuple(
            Site(f"{s.label}{n}{k}", s.element, 0.5 * (x + n), y, z, s.occupancy, s.b_iso)
            for s in base.sites
            for n in (0, 1)
            for k, (x, y, z) in enumerate(images(s))
        ),
    )
    assert len(doubled.sites) == 2 * primitive * 4
    limits = (15.0, 60.0)
    ours = intensity_per_weight(base, Instrument(), limits)
    assert intensity_per_weight(doubled, Instrument(), limits) == pytest.approx(ours, rel=1e-4)


def images(site: Site) -> list[tuple[float, float, float]]:
    """All atoms of one R-3m site (0, 0, z) in the hexagonal cell."""
    heights = {round(v % 1.0, 6) for v in (site.z, -site.z)}
    centring = ((0.0, 0.0, 0.0), (2 / 3, 1 / 3, 1 / 3), (1 / 3, 2 / 3, 2 / 3))
    return [(x, y, (z + height) % 1.0) for height in heights for x, y, z in centring]


def test_occupancies_of_a_mixed_site_must_fill_its_total() -> None:
    base = load_phase("LiCoO2_O3")
    sites = (*base.sites, Site("B", "B", 0.0, 0.0, 0.5, 0.05))
    phase = Phase("O3", base.space_group, base.cell, sites, (SiteMixing(("Li", "B")),))
    with pytest.raises(RecipeError, match=r"1\.05"):
        Problem((phase,), Instrument())


def test_boron_on_the_lithium_layer_is_announced_as_hardly_visible() -> None:
    base = load_phase("LiCoO2_O3")
    li, co, o = base.sites
    mixed = (Site("Li", "Li", *li.xyz, 0.95), Site("B", "B", *li.xyz, 0.05), co, o)
    phase = Phase("O3", base.space_group, base.cell, mixed, (SiteMixing(("Li", "B")),))
    check_phase(phase)
    (warning,) = contrast_warnings(phase)
    assert warning.site == "B"
    assert warning.contrast < 0.15
    said = re.search(r"empty looks like ([-+.\d]+) % B, 1 % Co on it like ([-+.\d]+) %", warning.message)
    assert said is not None
    # electrons alone: a vacancy takes 3 away and cobalt brings 24, boron 2
    assert float(said[1]) == pytest.approx(-3 / 2, rel=0.25)
    assert float(said[2]) == pytest.approx(24 / 2, rel=0.25)
    nickel = (Site("Li", "Li", *li.xyz, 0.95), Site("Ni", "Ni", *li.xyz, 0.05), co, o)
    assert not contrast_warnings(Phase("O3", base.space_group, base.cell, nickel, (SiteMixing(("Li", "Ni")),)))


def test_instprm_variances_become_fwhm_squared() -> None:
    text = "Type:PXC\nLam1:1.540593\nLam2:1.544427\nPolariz.:0.5\nI(L2)/I(L1):0.5\nU:2.0\nV:-2.0\nW:5.0\nX:2.0\nY:2.0\n"
    instrument = Instrument.from_instprm(text + "SH/L:0.02\n")
    # a variance of 5 centidegree² is a standard deviation of sqrt(5)/100 degree
    assert math.sqrt(instrument.w) == pytest.approx(math.sqrt(EIGHT_LN2) * math.sqrt(5.0) / 100.0)
    assert instrument.x == pytest.approx(0.02)
    assert instrument.sh_l == 0.02


@pytest.mark.parametrize("change", ["radians", "nan", "zeros", "short", "descending", "lengths"])
def test_unusable_patterns_are_refused(change: str) -> None:
    x = np.linspace(10.0, 90.0, 800)
    y = np.full(800, 50.0)
    sigma = np.sqrt(y)
    if change == "radians":
        x = np.radians(x)
    elif change == "nan":
        y[5] = np.nan
    elif change == "zeros":
        y[:] = 0.0
    elif change == "short":
        x, y, sigma = x[:20], y[:20], sigma[:20]
    elif change == "descending":
        x = x[::-1]
    else:
        y = y[:-1]
    with pytest.raises(DataError):
        PowderPattern.from_counts(x, y, sigma)


def test_wavelength_in_nanometres_is_refused() -> None:
    with pytest.raises(RecipeError, match="wavelength"):
        Problem((load_phase("Si"),), Instrument(wavelengths=(0.0154,)))


def test_unknown_group_in_a_plan_is_refused() -> None:
    stages = [{"name": "s", "free": ["lattice"]}]
    with pytest.raises(RecipeError, match=r"stages\[0\]\.free: unknown parameter group 'lattice'"):
        parse_recipe(PlanTable, {"kind": "stages", "stages": stages}, "r.toml")
    assert full_plan().frees("cell")
    assert not full_plan(atoms=False).frees("b_iso")


def naive_serial_factor(a: np.ndarray) -> float:
    """Equations 10–12 of Bérar & Lelann, point by point."""
    z = [0.0]
    for i in range(1, len(a)):
        q = math.sqrt(2 * math.pi * (a[i] ** 2 + a[i - 1] ** 2))
        z.append(q / (2 + q) if a[i] * a[i - 1] > 0 else 0.0)
    total, run = 0.0, 0.0
    for i in range(len(a)):
        if z[i] == 0.0:
            total += run**2
            run = 0.0
        run += z[i] * a[i]
        total += (1 - z[i] ** 2) * a[i] ** 2
    return math.sqrt((total + run**2) / sum(v * v for v in a))


def test_serial_correlation_factor_agrees_with_a_loop_and_is_1_13_for_white_noise() -> None:
    rng = np.random.default_rng(1)
    white = rng.normal(size=400_000)
    smooth = np.convolve(white, np.ones(8) / np.sqrt(8.0), mode="same")
    for residual in (white[:500], smooth[:500]):
        assert serial_correlation_factor(residual) == pytest.approx(naive_serial_factor(residual), rel=1e-12)
    assert serial_correlation_factor(white) == pytest.approx(1.127, abs=0.005)
    assert serial_correlation_factor(smooth) > 1.8
    assert serial_correlation_factor(np.zeros(10)) == 1.0


def test_agreement_indices_follow_their_definition() -> None:
    observed = np.array([100.0, 400.0, 100.0])
    calculated = np.array([110.0, 380.0, 100.0])
    found = agreement(observed, calculated, np.sqrt(observed), 1)
    assert found.rwp == pytest.approx(math.sqrt((1.0 + 1.0) / 600.0))
    assert found.rexp == pytest.approx(math.sqrt(2.0 / 600.0))
    assert found.gof == pytest.approx(found.rwp / found.rexp)


def test_only_strong_correlations_are_listed_strongest_first() -> None:
    sd = np.array([1.0, 2.0, 3.0])
    rho = np.array([[1.0, 0.96, 0.94], [0.96, 1.0, -0.99], [0.94, -0.99, 1.0]])
    found = strong_correlations(["p", "q", "r"], rho * np.outer(sd, sd))
    assert [(a, b) for a, b, _ in found] == [("q", "r"), ("p", "q")]
    assert found[0][2] == pytest.approx(-0.99)


@pytest.mark.parametrize("factors", [(0.98, 0.98, 1.02), (1.02, 1.02, 0.985), (1.0, 1.0, 1.0)])
def test_cells_two_per_cent_off_are_found_again_before_the_fit(factors: tuple[float, float, float]) -> None:
    phase = load_phase("LiCoO2_O3")
    instrument = Instrument()
    x = np.arange(16.0, 100.0, 0.03)
    y = np.full_like(x, 100.0)
    lines = reflections(phase, 1.0)
    for where, power in zip(lines.two_theta(instrument.wavelengths[0]), lines.f2 * lines.multiplicity, strict=True):
        if np.isfinite(where):
            lorentz = 1.0 / math.sin(math.radians(where / 2)) ** 2
            y += 1e-2 * power * lorentz * np.exp(-0.5 * ((x - where) / 0.06) ** 2)
    pattern = PowderPattern.from_counts(x, y)
    start = phase.with_cell(**{k: phase.cell[i] * f for k, i, f in zip("abc", range(3), factors, strict=True)})
    (found,) = prealign(pattern, Problem((start,), instrument)).phases
    assert found.cell[0] == pytest.approx(phase.cell[0], rel=1.5e-3)
    assert found.cell[2] == pytest.approx(phase.cell[2], rel=1.5e-3)
    assert found.cell[1] == found.cell[0]


PRM = """            123456789012345678901234567890123456789012345678901234567890
INS   BANK      1
INS   HTYPE   PXCR
INS  1 IRAD     3
INS  1 ICONS  1.540500  1.544300       1.5         0       0.7    0       0.5
INS  1I HEAD  DUMMY INCIDENT SPECTRUM FOR X-RAY DIFFRACTOMETER
INS  1PRCF1     2    6      0.01
INS  1PRCF11   9.000000E+00  -9.000000E+00   9.000000E+00   9.000000E+00
INS  1PRCF2     3    8      0.01
INS  1PRCF21   2.000000E+00  -2.000000E+00   5.000000E+00   0.100000E+00
INS  1PRCF22   3.000000E+00   4.000000E+00   0.150000E-01   0.250000E-01
"""


def test_instrument_parameters_of_the_old_gsas_are_those_of_gsas_2() -> None:
    modern = "Type:PXC\nLam1:1.5405\nLam2:1.5443\nI(L2)/I(L1):0.5\nZero:0.015\nPolariz.:0.7\n"
    modern += "U:2\nV:-2\nW:5\nX:3\nY:4\nSH/L:0.04\n"
    assert is_prm(PRM)
    assert not is_prm(modern)
    assert Instrument.from_instprm(to_instprm(PRM)) == Instrument.from_instprm(modern)
    single = Instrument.from_instprm(to_instprm(PRM.replace("1.544300", "0.000000")))
    assert single.wavelengths == (1.5405,)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("PXCR", "PNTR", "time of flight"),
        ("0.7    0 ", "0.7    1 ", "polarisation"),
        ("0.100000E+00", "0.400000E+01", "GP = 4"),
        ("INS  1 ICONS", "INS  2 ICONS", "ICONS"),
        ("-2.000000E+00", "-2.0000oE+00", "cannot be read"),
    ],
)
def test_old_instrument_parameters_that_cannot_be_said_anew_are_refused(old: str, new: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        to_instprm(PRM.replace(old, new))
