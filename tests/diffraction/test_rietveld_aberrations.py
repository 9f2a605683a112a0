"""The geometry of a divergent-beam diffractometer: what it does to lines, and what it does to a refined cell."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from layerscope.diffraction.radiation import HC_KEV_ANGSTROM, TUBE_LINES
from layerscope.diffraction.readers import read
from layerscope.diffraction.rietveld.divergent_beam.aberrations import line_profile, ray_offsets
from layerscope.diffraction.rietveld.divergent_beam.emission import (
    CU_K_ALPHA,
    EmissionLine,
    spectral_density,
)
from layerscope.diffraction.rietveld.divergent_beam.geometry_fit import fit_geometry
from layerscope.diffraction.rietveld.divergent_beam.unbias import fundamental_pattern, refine_unbiased
from layerscope.diffraction.rietveld.engines.interface import RefineOptions
from layerscope.diffraction.rietveld.engines.registry import get_engine
from layerscope.diffraction.rietveld.geometry import Geometry
from layerscope.diffraction.rietveld.model import (
    Background,
    FloatArray,
    Instrument,
    PowderPattern,
    PowderPhase,
    Problem,
)
from layerscope.diffraction.rietveld.plan import RefinementPlan
from layerscope.diffraction.rietveld.recipe import InstrumentTable
from layerscope.diffraction.rietveld.refinement import refine

from layerscope.crystals import load_phase
from layerscope.errors import RecipeError
from layerscope.runs.recipe import parse_recipe

RADIUS = 217.5
POINT = Geometry(
    source_width_mm=1e-6,
    source_length_mm=1e-6,
    specimen_length_mm=1e-6,
    slit_width_mm=1e-6,
    slit_length_mm=1e-6,
    divergence_deg=1e-6,
)
DIFFRACTOMETER = Geometry(
    source_length_mm=12.0,
    specimen_length_mm=15.0,
    slit_length_mm=12.0,
    divergence_deg=1.0,
    soller_deg=5.0,
    attenuation_per_mm=20.0,
    tail_low_mm=1.2,
    tail_high_mm=1.0,
    tail_share=0.05,
)
PLAN = RefinementPlan.of(
    ("scale", ("scale", "background")), ("cell", ("cell", "displacement")), ("widths", ("u", "w", "x", "y", "sh_l"))
)


# Cu Kα1 and Kα2: Hölzer et al. 1997, Phys. Rev. A 56, 4554 (positions and FWHM in eV, heights)
def holzer(energy: float, width: float, height: float, member: int) -> EmissionLine:
    wavelength = 1e3 * HC_KEV_ANGSTROM / energy
    return EmissionLine(wavelength, wavelength * width / energy, height * width, member)


CU_K_ALPHA_1997: tuple[EmissionLine, ...] = (
    holzer(8047.8372, 2.285, 0.957, 1),
    holzer(8045.3672, 3.358, 0.090, 1),
    holzer(8027.9935, 2.666, 0.334, 2),
    holzer(8026.5041, 3.571, 0.111, 2),
)


def moments(geometry: Geometry, two_theta: float, height_mm: float = 0.0) -> tuple[float, float]:
    offset, weight = ray_offsets(geometry, two_theta, RADIUS, height_mm)
    mean = float(np.average(offset, weights=weight))
    return mean, float(np.sqrt(np.average((offset - mean) ** 2, weights=weight)))


def test_an_instrument_of_points_shifts_and_smears_nothing() -> None:
    mean, width = moments(POINT, 40.0)
    assert abs(mean) < 1e-7
    assert width < 1e-6


@pytest.mark.parametrize("two_theta", [21.4, 60.0, 148.7])
def test_a_flat_specimen_shifts_as_the_square_of_the_divergence(two_theta: float) -> None:
    # Wilson 1963, Mathematical Theory of X-ray Powder Diffractometry: centroid −α²/6 cot θ
    mean, _ = moments(POINT.model_copy(update={"divergence_deg": 1.05}), two_theta)
    expected = -(math.radians(1.05) ** 2) / 6.0 / math.tan(math.radians(two_theta / 2))
    assert mean == pytest.approx(math.degrees(expected), rel=0.01)


@pytest.mark.parametrize("two_theta", [21.4, 90.0, 148.7])
def test_transparency_shifts_as_the_depth_that_is_reached(two_theta: float) -> None:
    # centroid −sin 2θ / (2 μ R), and an exponential is as wide as its shift
    mean, width = moments(POINT.model_copy(update={"attenuation_per_mm": 20.0}), two_theta)
    expected = -math.degrees(math.sin(math.radians(two_theta)) / (2 * 20.0 * RADIUS))
    assert mean == pytest.approx(expected, rel=0.01)
    assert width == pytest.approx(-expected, rel=0.02)


@pytest.mark.parametrize("two_theta", [21.4, 70.0, 148.7])
def test_axial_divergence_has_the_centroid_of_its_second_order_theory(two_theta: float) -> None:
    # ε = −½ [(β² + γ²) cot 2θ − 2 β γ / sin 2θ] for axial angles β in and γ out (Eastabrook 1952; Cheary & Coelho 1998)
    source, specimen, slit = 12.0, 15.0, 9.0
    lengths = POINT.model_copy(
        update={"source_length_mm": source, "specimen_length_mm": specimen, "slit_length_mm": slit}
    )
    mean, _ = moments(lengths, two_theta)
    squares = (source**2 + specimen**2 + specimen**2 + slit**2) / 12.0 / RADIUS**2
    product = -(specimen**2) / 12.0 / RADIUS**2
    angle = math.radians(two_theta)
    expected = -0.5 * (squares / math.tan(angle) - 2.0 * product / math.sin(angle))
    assert mean == pytest.approx(math.degrees(expected), rel=0.02, abs=2e-5)


def test_soller_slits_take_axial_rays_away() -> None:
    wide = POINT.model_copy(update={"source_length_mm": 12.0, "specimen_length_mm": 12.0, "slit_length_mm": 12.0})
    shifts = [moments(wide.model_copy(update={"soller_deg": opening}), 25.0)[0] for opening in (None, 6.0, 3.0, 1.0)]
    assert shifts[0] < shifts[1] < shifts[2] < shifts[3] < 0.0
    assert shifts[3] > 0.05 * shifts[0]


def test_a_specimen_off_the_axis_shifts_as_the_engines_say() -> None:
    mean, _ = moments(POINT, 50.0, height_mm=0.1)
    assert mean == pytest.approx(math.degrees(2 * 0.1 / RADIUS * math.cos(math.radians(25.0))), rel=1e-3)
    x = np.linspace(49.0, 51.0, 4001)
    d = CU_K_ALPHA[0].wavelength / (2 * math.sin(math.radians(25.0)))
    still = line_profile(x, d, POINT, Instrument(radius_mm=RADIUS))
    moved = line_profile(
        x, d, POINT, Instrument(radius_mm=RADIUS, displacement_mm=-0.1)
    )  # below the axis counts positive
    assert x[moved.argmax()] - x[still.argmax()] == pytest.approx(mean, abs=1e-3)


def test_spectra_peak_where_the_wavelength_of_copper_is_defined() -> None:
    x = np.linspace(1.5402, 1.5410, 80001)
    for lines in (CU_K_ALPHA, CU_K_ALPHA_1997):
        peak = x[spectral_density(x, lines).argmax()]
        assert peak == pytest.approx(TUBE_LINES["Cu"].alpha1, abs=2e-6)
        second = sum(line.weight for line in lines if line.member == 2)
        first = sum(line.weight for line in lines if line.member == 1)
        assert second / first == pytest.approx(0.517, abs=0.006)  # Hölzer et al. 1997: 0.51


def test_a_passband_changes_the_ratio_of_the_doublet_by_its_slope() -> None:
    x = np.array([1.5405925, 1.5443873])
    flat, sloped = (spectral_density(x, CU_K_ALPHA, slope_per_ev=s) for s in (0.0, 0.002))
    assert (sloped / flat)[0] == pytest.approx(1.0)
    assert math.log((sloped / flat)[1]) == pytest.approx(-0.002 * 19.77, rel=0.01)  # the doublet is 19.8 eV wide


def test_a_profile_is_the_histogram_of_random_photons() -> None:
    # naive oracle: photons of random wavelength along random rays through random points of focus and slit
    d, shift, tail = 1.39, 0.06, DIFFRACTOMETER.tail_share
    rng = np.random.default_rng(3)
    count = 1_500_000
    lines = [line for line in CU_K_ALPHA if line.member == 1]
    share = np.array([line.weight for line in lines]) / sum(line.weight for line in lines)
    kind = rng.choice(len(lines), count, p=share)
    centre, half = (np.array([getattr(line, k) for line in lines])[kind] for k in ("wavelength", "fwhm"))
    wave = centre + 0.5 * half * rng.standard_cauchy(count)
    wave = wave[np.abs(wave / lines[0].wavelength - 1.0) < 0.018]
    angle = 2 * np.degrees(np.arcsin(wave / (2 * d)))
    at = 2 * math.degrees(math.asin(lines[0].wavelength / (2 * d)))
    offset, weight = ray_offsets(DIFFRACTOMETER, at, RADIUS)
    angle += rng.choice(offset, angle.size, p=weight / weight.sum())
    unit = math.degrees(1.0) / RADIUS
    beside = rng.random(angle.size) < tail
    focus = np.where(beside, rng.uniform(-1.2, 1.0, angle.size), rng.uniform(-0.02, 0.02, angle.size))
    angle += unit * (focus + rng.uniform(-0.1, 0.1, angle.size))
    angle += 2 * unit * shift * math.cos(math.radians(at / 2))
    edges = np.arange(at - 0.5, at + 0.5, 0.02)
    counts = np.histogram(angle, edges)[0]
    fine = np.arange(edges[0], edges[-1] + 1e-9, 0.001)
    curve = line_profile(fine, d, DIFFRACTOMETER, Instrument(radius_mm=RADIUS, displacement_mm=-shift), lines=lines)
    bins = np.add.reduceat(0.5 * (curve[1:] + curve[:-1]), np.arange(0, fine.size - 1, 20))[: counts.size]
    expected = bins * counts.sum() / bins.sum()
    pull = (counts - expected) / np.sqrt(expected)
    assert np.sqrt(np.mean(pull**2)) < 1.6  # the Lorentz factor, which the photons lack, is a slope of 1 % here
    mean_error = np.average(edges[:-1], weights=counts) - np.average(edges[:-1], weights=expected)
    assert abs(mean_error) < 1e-3


def test_broadening_is_as_wide_as_scherrer_says() -> None:
    x = np.linspace(30.0, 50.0, 40001)
    line = (EmissionLine(1.5405929, 1e-6, 1.0, 1),)
    d = 1.5405929 / (2 * math.sin(math.radians(20.0)))
    y = line_profile(x, d, POINT, Instrument(radius_mm=RADIUS), size_nm=20.0, lines=line)
    above = x[y > 0.5 * y.max()]
    expected = math.degrees(1.5405929 / (200.0 * math.cos(math.radians(20.0))))
    assert above[-1] - above[0] == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(
    "change",
    [
        {"divergence_deg": 0.0},
        {"slit_width_mm": -0.1},
        {"soller_deg": 0.0},
        {"attenuation_per_mm": 0.0},
        {"tail_share": 1.5},
        {"refine": ("radius_mm",)},
        {"refine": ("attenuation_per_mm",), "attenuation_per_mm": None},
    ],
)
def test_a_geometry_that_cannot_be_is_refused(change: dict[str, object]) -> None:
    table = {"geometry": {**dict(DIFFRACTOMETER), **change}}
    with pytest.raises(RecipeError, match="geometry.*" + next(iter(change))):
        parse_recipe(InstrumentTable, table, "r.toml")


# ---- refinements ----------------------------------------------------------------------------------------------------

TRUE_A = 4.156
DISPLACEMENT = -0.08
LAB6 = PowderPhase.of(load_phase("LaB6"))


def instrument(geometry: Geometry | None = None) -> Instrument:
    return Instrument(radius_mm=RADIUS, polarisation=0.55, w=0.002, geometry=geometry)


def scan(low: float, high: float, *, noise: int | None = None, step: float = 0.02) -> PowderPattern:
    """Pattern of a known cell on a known instrument; windows around the lines only, as NIST scans."""
    x = np.arange(low, high, step)
    true = instrument().model_copy(update={"displacement_mm": DISPLACEMENT})
    lines = fundamental_pattern(x, LAB6.with_cell(a=TRUE_A), true, DIFFRACTOMETER, size_nm=900.0)
    keep = lines > 2e-3 * lines.max()
    counts: FloatArray = 40.0 + 4e4 * lines[keep] / lines.max()
    if noise is not None:
        counts = np.random.default_rng(noise).poisson(counts).astype(np.float64)
    return PowderPattern.from_counts(x[keep], counts)


def problem(geometry: Geometry | None, limits: tuple[float, float]) -> Problem:
    return Problem((LAB6,), instrument(geometry), Background(terms=4), limits)


def test_a_standard_tells_its_cell_and_its_geometry() -> None:
    start = DIFFRACTOMETER.model_copy(
        update={"soller_deg": 4.3, "tail_share": 0.03, "refine": ("soller_deg", "tail_share")}
    )
    found = fit_geometry(scan(28.0, 118.0, noise=11), LAB6.with_cell(a=TRUE_A * 1.0001), instrument(), start)
    for name, true in (("a", TRUE_A), ("displacement_mm", DISPLACEMENT), ("soller_deg", 5.0), ("tail_share", 0.05)):
        assert abs(found.values[name] - true) < 4.0 * found.sigmas[name], name
    assert found.sigmas["a"] < 2e-5
    assert found.gof == pytest.approx(1.0, abs=0.06)
    assert found.geometry == DIFFRACTOMETER.model_copy(
        update={"soller_deg": found.values["soller_deg"], "tail_share": found.values["tail_share"]}
    )


def test_the_bias_of_an_analytic_profile_is_taken_out() -> None:
    pattern, engine = scan(28.0, 118.0), get_engine("rietx")
    asked = problem(DIFFRACTOMETER, (28.0, 118.0))
    found = refine_unbiased(pattern, asked, lambda p, q: engine.refine(p, q, PLAN, RefineOptions()))
    raw, corrected = found.raw.phases[0].cell["a"], found.result.phases[0].cell["a"]
    assert abs(raw.value - TRUE_A) > 3e-5  # more than three times the error that is asked for
    assert abs(corrected.value - TRUE_A) < 1e-5
    assert found.result.instrument["displacement_mm"].value == pytest.approx(DISPLACEMENT, abs=2e-3)
    assert corrected.value == pytest.approx(raw.value - found.bias["LaB6/cell/a"], abs=1e-12)
    assert found.result.phases[0].cell["b"].value == corrected.value
    assert found.result.phases[0].cell["volume"].value == pytest.approx(corrected.value**3, rel=1e-9)
    assert corrected.sigma == raw.sigma
    kept = next(flag for flag in found.result.flags if flag.startswith("INSTRUMENT_BIAS:LaB6/cell/a "))
    assert kept.endswith(f"{raw.value:.6f}")


def test_a_geometry_is_refused_where_it_cannot_be_used() -> None:
    pattern = scan(28.0, 60.0)
    two = replace(problem(DIFFRACTOMETER.model_copy(update={"refine": ("soller_deg",)}), (28.0, 60.0)))
    two = two.with_phases([LAB6, replace(LAB6, name="other")])
    with pytest.raises(RecipeError, match="one phase"):
        refine(pattern, two, options=RefineOptions(prealign=False))
    one = problem(DIFFRACTOMETER, (28.0, 60.0))
    with pytest.raises(RecipeError, match="Cu Kα1,2"):
        refine(pattern, replace(one, instrument=one.instrument.model_copy(update={"wavelengths": (0.7093, 0.7136)})))
    with pytest.raises(RecipeError, match="le_bail"):
        refine(pattern, replace(one, le_bail=True))


def test_the_standard_of_nist_has_its_certified_cell(shared_data: Path) -> None:
    pattern = PowderPattern.from_dataset(
        read(shared_data / "xrd/nist_660c/nist_srm660c_100a.cif").frames[0], name="100a"
    )
    thin = PowderPattern(pattern.two_theta[::3], pattern.counts[::3], pattern.sigma[::3], "every third point")
    stated = Geometry(
        source_width_mm=0.04,
        source_length_mm=12.0,
        specimen_length_mm=15.0,
        slit_width_mm=0.2,
        slit_length_mm=12.0,
        divergence_deg=1.05,
        soller_deg=6.776,
        attenuation_per_mm=67.0,
        tail_low_mm=1.0,
        tail_high_mm=1.0,
        tail_share=0.05,
        refine=("soller_deg", "attenuation_per_mm", "tail_low_mm", "tail_high_mm", "tail_share", "passband_per_ev"),
    )
    found = fit_geometry(thin, LAB6, instrument(), stated)
    certified = 4.156826 * (1.0 + 7.2e-6 * (20.85 - 22.5))
    assert abs(found.values["a"] - certified) < 5e-5
    assert found.gof < 1.2
