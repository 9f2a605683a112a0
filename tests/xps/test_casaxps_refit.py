from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from casa_parity import Pair, parity
from layerscope.spectra.xps.casaxps.lines import CasaLine, TiedLines
from layerscope.spectra.xps.casaxps.model import build_model
from layerscope.spectra.xps.casaxps.pipeline import PIPELINE
from layerscope.spectra.xps.casaxps.refitted import CasaRefit, refit
from layerscope.spectra.xps.casaxps.shapes import gaussian_sigma, half_width, parse_line_shape
from layerscope.spectra.xps.casaxps.stored_fit import redraw, to_series_problem
from layerscope.spectra.xps.casaxps.weigh import StoredFit, weigh_stored
from layerscope.spectra.xps.dataset import Spectrum
from layerscope.spectra.xps.readers import read

from layerscope.errors import DataError
from layerscope.runs.execute import execute
from layerscope.runs.load import load_run
from layerscope.runs.present import summary_tables

HV = 1486.6
CELLULOSE = "cellulose_fitted_following_briggs.vms"


@pytest.fixture(scope="module")
def cellulose(shared_data: Path) -> Callable[[str], Spectrum]:
    dataset = read(shared_data / "xps" / CELLULOSE)
    return lambda region: dataset.levels(region)[0]


@pytest.fixture(scope="module")
def feo(shared_data: Path) -> Spectrum:
    return read(shared_data / "xps" / "FeO_analyzed.vms").levels("Fe 2p")[0]


def rows(result: CasaRefit) -> dict[str, Pair]:
    return parity(result.model.problem, result.values)


def areas(stored: StoredFit) -> list[Pair]:
    return list(parity(stored.problem, {(i, "area"): a for i, a in stored.areas.items()}).values())


def naive_la(kinetic: np.ndarray, position: float, fwhm: float, alpha: float, beta: float, gauss: float) -> np.ndarray:
    """The asymmetric Lorentzian of the manual, smoothed by brute force on a fine grid, of unit area."""
    shape = parse_line_shape(f"LA({alpha},{beta},{gauss})")
    f = fwhm / (2.0 * half_width(shape))
    u = np.linspace(-600.0, 600.0, 240_001)
    line = np.exp(-np.where(u <= 0, alpha, beta) * np.log1p(4.0 * u**2))
    sigma = gaussian_sigma(shape) / (u[1] - u[0])  # in points
    weight = np.exp(-0.5 * (np.arange(-int(8 * sigma), int(8 * sigma) + 1) / sigma) ** 2)
    smooth = np.convolve(line, weight / weight.sum(), mode="same")
    return np.interp((kinetic - position) / f, u, smooth) / (np.trapezoid(line, u) * f)


# ---- lines ----

SHAPES = ["GL(30)", "SGL(30)", "LA(1.4,1.7,100)", "LF(0.54,10,80,100,6)", "LF(1.2,1.1,30,50)"]


@pytest.mark.parametrize("text", SHAPES)
def test_a_line_of_the_fit_is_the_one_that_is_drawn(text: str) -> None:
    energy = np.linspace(690.0, 750.0, 601)
    ours = CasaLine(parse_line_shape(text)).evaluate(energy, [715.3, 3.0], derivatives=False).value[0]
    stored = (
        f"CASA region (*Fe 2p*) (*Linear*) {HV - 745} {HV - 695} 1 2 0 0",
        f"CASA comp (*a*) (*{text}*) Area 7 0 9 -1 1 MFWHM 3 1 9 -1 1 Position {HV - 715.3} 0 1e4 -1 1 RSF 1 "
        "MASS 55.8 INDEX -1 (*Fe 2p*)",
    )
    about = {"region": "Fe 2p", "region_label": "Fe 2p", "excitation_energy_eV": HV, "comments": stored}
    spectrum = Spectrum(energy, np.ones(601), **about)  # type: ignore[arg-type]
    spectrum = replace(spectrum, dwell_time_s=0.5, scans=4)
    drawn = redraw(spectrum).components[0] / (7 * 0.5 * 4)
    assert np.abs(ours - drawn).max() < 1e-9 * drawn.max()
    if text.startswith("LA"):
        naive = naive_la(HV - energy, HV - 715.3, 3.0, 1.4, 1.7, 100.0)
        assert np.abs(drawn - naive).max() < 1e-4 * naive.max()


@pytest.mark.parametrize("line", [*SHAPES, "tied"])
def test_derivatives_and_running_integral_of_a_line_are_those_of_finite_differences(line: str) -> None:
    energy = np.linspace(700.0, 735.0, 351)
    tied = TiedLines((CasaLine(parse_line_shape(SHAPES[0])), CasaLine(parse_line_shape(SHAPES[3]))), (1.0, 0.4))
    shape = tied if line == "tied" else CasaLine(parse_line_shape(line))
    p = np.array([[714.0, 2.4, 720.0, 3.1][: len(shape.parameters)]])
    values = shape.evaluate(energy, p, integral=True)
    assert values.integral is not None
    assert values.integral_jac is not None
    for i in range(p.size):
        step = np.zeros_like(p)
        step[0, i] = 1e-4
        up, down = (shape.evaluate(energy, p + sign * step, derivatives=False, integral=True) for sign in (1, -1))
        assert values.jac[0, i] == pytest.approx((up.value - down.value)[0] / 2e-4, abs=1e-6)
        assert up.integral is not None
        assert down.integral is not None
        assert values.integral_jac[0, i] == pytest.approx((up.integral - down.integral)[0] / 2e-4, abs=1e-6)
    steps = np.diff(values.integral[0])
    simpson = 0.1 * (values.value[0, :-1] + values.value[0, 1:]) / 2
    assert steps == pytest.approx(simpson, abs=2e-4)
    total = 1.4 if line == "tied" else 1.0
    assert values.integral[0, -1] - values.integral[0, 0] == pytest.approx(total, abs=0.06)


# ---- a file with a fit, written here ----

COMPONENT = (
    "CASA comp (*{name}*) (*{shape}*) Area {area} MFWHM {fwhm} Position {position} RSF 1 MASS 10.8 INDEX -1 "
    "(*B 1s*) CONST (**) UNCORRECTEDRSF 1"
)
START = (
    "Calib M = 285.2 A = 284.8 BE ADD",
    "CASA region (*B 1s*) (*Linear*) 1284 1306 1 2 0 0 40.4 -450 0 0 (*B 1s*) 10.8 0 1",
    COMPONENT.format(
        name="first", shape="GL(30)", area="900 0 1e5 -1 1", fwhm="1.3 0.2 5 -1 1", position="1294.9 1290 1300 -1 1"
    ),
    COMPONENT.format(
        name="second", shape="SGL(40)", area="300 0 1e5 0 0.4", fwhm="1.7 0.2 5 -1 1", position="1292.9 0 0 0 -2.5"
    ),
    COMPONENT.format(
        name="third", shape="LA(1.2,1.6,80)", area="500 0 1e5 -1 1", fwhm="1.8 0.2 5 -1 1", position="1299.3 0 1e4 -1 1"
    ),
)
# Calibrated binding energies and rates; the file's axis lies 0.4 eV higher.
TRUTH = {
    "first": {"position": HV - 1295.1, "fwhm": 1.5, "area": 1000.0},
    "second": {"position": HV - 1295.1 + 2.5, "fwhm": 1.4, "area": 400.0},
    "third": {"position": HV - 1299.0, "fwhm": 1.6, "area": 600.0},
}
AXIS = np.round(np.arange(178.0, 206.0001, 0.1), 6)
DWELL, SCANS = 0.5, 8


def naive_gl(x: np.ndarray, center: float, fwhm: float, m: float) -> np.ndarray:
    t = (x - center) / fwhm
    return np.exp(-4 * np.log(2) * (1 - m) * t**2) / (1 + 4 * m * t**2)


def naive_sgl(x: np.ndarray, center: float, fwhm: float, m: float) -> np.ndarray:
    t = (x - center) / fwhm
    return (1 - m) * np.exp(-4 * np.log(2) * t**2) + m / (1 + 4 * t**2)


def true_counts() -> np.ndarray:
    """Return expected counts from the formulas of the manual, normalised by brute force."""
    total = 300.0 + 0.5 * (AXIS - AXIS[0])
    far = np.concatenate([-np.geomspace(2e5, 1e-6, 200_000), np.geomspace(1e-6, 2e5, 200_000)])
    for name, shape, m in (("first", naive_gl, 0.3), ("second", naive_sgl, 0.4)):
        p = TRUTH[name]
        area = np.trapezoid(shape(far, 0.0, p["fwhm"], m), far)
        total = total + p["area"] * DWELL * SCANS * shape(AXIS, p["position"] + 0.4, p["fwhm"], m) / area
    p = TRUTH["third"]
    la = naive_la(HV - AXIS, HV - p["position"] - 0.4, p["fwhm"], 1.2, 1.6, 80.0)
    return total + p["area"] * DWELL * SCANS * la


def write_vamas(path: Path, counts: np.ndarray, comments: tuple[str, ...]) -> Path:
    """Write one REGULAR block on rising kinetic energy, parameter by parameter of ISO 14976."""
    head = ["VAMAS Surface Chemical Analysis Standard Data Transfer Format 1988 May 4", "lab", "XPS", "me", "B film"]
    head += ["0", "NORM", "REGULAR", "1", "0", "0", "0", "0", "0", "1"]
    block = ["B 1s", "film", "2024", "1", "2", "3", "4", "5", "0", str(len(comments)), *comments, "XPS", "Al", str(HV)]
    block += ["225", "700", "300", "54.7", "180", "FAT", "20", "1", "4.5", "0", "0", "0", "15", "0", "B", "1s", "-1"]
    block += ["Kinetic Energy", "eV", f"{HV - AXIS[-1]:.6f}", "0.1", "1", "Intensity", "d", "pulse counting"]
    block += [str(DWELL), str(SCANS), "0", "0", "0", "0", "0", str(counts.size), str(counts.min()), str(counts.max())]
    path.write_text("\r\n".join([*head, *block, *map(str, counts[::-1]), "end of experiment", ""]), newline="")
    return path


@pytest.fixture
def made(tmp_path: Path) -> Spectrum:
    counts = np.random.default_rng(5).poisson(true_counts())
    return read(write_vamas(tmp_path / "made.vms", counts, START)).levels("B 1s")[0]


def test_a_known_spectrum_is_recovered_from_its_file_within_errors(made: Spectrum) -> None:
    result = refit(made, background="active")
    assert result.fit.converged
    found = rows(result)
    for name, truth in TRUTH.items():
        for parameter, value in truth.items():
            row = found[f"{name} {parameter.replace('position', 'center')}"]
            assert row[1] == pytest.approx(value, abs=3.5 * row[2])
            assert row[2] < 0.02 * value
    assert found["first center"][0] == pytest.approx(HV - 1294.9)  # what the file says, in its own frame
    assert found["first area"][0] == 900.0


def test_errors_are_those_that_repeated_measurements_scatter_by(made: Spectrum) -> None:
    expected, rng, pulls = true_counts(), np.random.default_rng(8), []
    for _ in range(40):
        found = rows(refit(replace(made, intensity=rng.poisson(expected).astype(float)), background="active"))
        pulls.append(
            [
                (found[f"{name} {p.replace('position', 'center')}"][1] - v)
                / found[f"{name} {p.replace('position', 'center')}"][2]
                for name, truth in TRUTH.items()
                for p, v in truth.items()
                if (name, p) not in {("second", "position"), ("second", "area")}  # tied: no information of their own
            ]
        )
    scatter = np.array(pulls)
    assert np.abs(scatter.mean(axis=0)).max() < 3.5 / np.sqrt(40)
    assert 0.85 < np.sqrt((scatter**2).mean()) < 1.15


def test_ties_hold_in_the_refit_and_carry_their_leaders_error(made: Spectrum) -> None:
    found = rows(refit(made, background="active"))
    assert found["second area"][1] == pytest.approx(0.4 * found["first area"][1], rel=1e-12)
    assert found["second area"][2] == pytest.approx(0.4 * found["first area"][2], rel=1e-12)
    assert found["second center"][1] == pytest.approx(found["first center"][1] + 2.5, abs=1e-9)
    assert found["second center"][2] == pytest.approx(found["first center"][2], rel=1e-9)


def test_a_chain_of_ties_follows_its_first_link(made: Spectrum) -> None:
    third = COMPONENT.format(
        name="third", shape="GL(30)", area="1 0 1e5 1 1.5", fwhm="1 0.2 5 1 1.1", position="1299 0 0 1 6.4"
    )
    found = rows(refit(replace(made, comments=(*START[:4], third)), background="active"))
    assert found["third area"][1] == pytest.approx(0.6 * found["first area"][1], rel=1e-12)
    assert found["third fwhm"][1] == pytest.approx(1.1 * found["second fwhm"][1], rel=1e-9)
    assert found["third center"][1] == pytest.approx(found["first center"][1] + 2.5 - 6.4, abs=1e-9)


@pytest.mark.parametrize("bounds", ["0 950", "1100 1e5"])
@pytest.mark.parametrize("weights", ["poisson", "equal"])
def test_an_area_stays_within_its_bounds_and_is_flagged(made: Spectrum, bounds: str, weights: str) -> None:
    comments = tuple(c.replace("900 0 1e5", f"1000 {bounds}") for c in START)
    result = refit(replace(made, comments=comments), background="active", weights=weights)  # type: ignore[arg-type]
    bound = 950.0 if bounds.startswith("0") else 1100.0
    assert rows(result)["first area"][1] == pytest.approx(bound, rel=1e-4)
    assert result.states[0, "area"] == "at bound"
    assert "AT_BOUND:first area" in result.flags
    free = refit(made, background="active", weights=weights)  # type: ignore[arg-type]
    assert free.states[0, "area"] == "refined"
    assert rows(result)["first area"][2] == pytest.approx(rows(free)["first area"][2], rel=1e-6)


def test_what_casaxps_held_is_held_and_has_no_error(made: Spectrum) -> None:
    comments = tuple(c.replace("1.3 0.2 5", "1.5 1.5 1.5").replace("500 0 1e5", "600 600 600") for c in START)
    result = refit(replace(made, comments=comments), background="active")
    for name, value in (("first fwhm", 1.5), ("third area", 600.0)):
        assert rows(result)[name][1] == pytest.approx(value, rel=1e-4)
        assert np.isnan(rows(result)[name][2])
    assert (result.states[0, "fwhm"], result.states[2, "area"]) == ("held", "held")


def test_a_width_at_its_bound_is_flagged_by_the_name_casaxps_gives_it(made: Spectrum) -> None:
    comments = tuple(c.replace("1.3 0.2 5", "1.3 0.2 1.35") for c in START)
    result = refit(replace(made, comments=comments), background="active")
    assert "AT_BOUND:first fwhm" in result.flags
    assert rows(result)["first fwhm"][1] == 1.35


def test_rates_give_the_same_refit_as_the_counts_behind_them(made: Spectrum) -> None:
    rates = replace(made, intensity=made.counts / (DWELL * SCANS), intensity_unit="counts/s")
    in_counts, as_rates = rows(refit(made)), rows(refit(rates))
    assert list(in_counts) == list(as_rates)
    for a, b in zip(in_counts.values(), as_rates.values(), strict=True):
        assert a.ours == pytest.approx(b.ours, rel=1e-6)
        assert a.sigma == pytest.approx(b.sigma, rel=1e-4)


def test_components_of_one_name_are_numbered(made: Spectrum) -> None:
    comments = tuple(c.replace("second", "first") for c in START)
    assert to_series_problem(replace(made, comments=comments)).labels == ("first #1", "first #2", "third")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("1e5 -1 1 MFWHM 1.3", "1e5 1 2 MFWHM 1.3", "area of component 'first' is tied in a circle"),
        ("1290 1300 -1 1", "1290 1300 1 1", "center of component 'first' is tied in a circle"),
        ("CASA comp", "CASA none", "no components"),
        ("1284 1306", "1294.9 1295.4", "points for 7 free"),
        ("LA(1.2,1.6,80)", "LF(0.3,0.4,inf,80)", "finite area"),
    ],
)
def test_what_cannot_be_refitted_is_a_typed_error(made: Spectrum, old: str, new: str, reason: str) -> None:
    with pytest.raises(DataError, match=re.escape(reason)):
        refit(replace(made, comments=tuple(c.replace(old, new) for c in START)))


def test_a_background_without_an_active_form_is_refused(made: Spectrum) -> None:
    problem = to_series_problem(replace(made, comments=tuple(c.replace("Linear", "None") for c in START)))
    with pytest.raises(DataError, match="no active form"):
        build_model(problem, background="active")
    assert build_model(problem).background == "stored none"


# ---- redrawn ----


def test_counting_errors_of_drawn_areas_are_those_of_a_linear_fit(made: Spectrum) -> None:
    stored = weigh_stored(made)
    inside = stored.curves.inside
    first, second, third = stored.curves.components[:, inside]
    columns = np.array([first / 3600.0 + second / 3600.0, third / 2000.0])  # a tied line moves with its leader
    covariance = np.linalg.inv((columns / stored.variance) @ columns.T)
    assert stored.areas[0][1] == pytest.approx(np.sqrt(covariance[0, 0]))
    assert stored.areas[1][1] == pytest.approx(0.4 * np.sqrt(covariance[0, 0]))
    assert stored.areas[2][1] == pytest.approx(np.sqrt(covariance[1, 1]))
    assert stored.n_free == 7


@pytest.mark.parametrize("region", ["C 1s", "O 1s"])
def test_areas_of_the_redrawn_cellulose_components_are_the_stored_ones(
    cellulose: Callable[[str], Spectrum], region: str
) -> None:
    stored = weigh_stored(cellulose(region))
    for row, outside in zip(areas(stored), stored.outside, strict=True):
        assert row.ours == pytest.approx(row.casaxps, rel=1e-4)  # with the tails beyond the spectrum
        assert row.ours * (1 - outside) == pytest.approx(row.casaxps, rel=0.015)  # without them
    area, sigma = stored.net_area
    assert area == pytest.approx(stored.net_area_drawn, abs=max(4 * sigma, 0.005 * area))


def test_the_redrawn_feo_fit_has_the_stored_areas_and_the_sgl_curves_of_casaxps(
    feo: Spectrum, shared_data: Path
) -> None:
    lines = (shared_data / "xps" / "FeO_analyzed_lineshapes_cols.txt").read_text().splitlines()
    exported = np.array([line.split("\t")[:8] for line in lines if line[:1].isdigit()], dtype=float)[::-1, 1:]
    stored = weigh_stored(feo)
    for i, row in enumerate(areas(stored)):
        theirs, ours = exported[:, 1 + i] - exported[:, 5], stored.curves.components[i]
        assert row.ours == pytest.approx(row.casaxps, rel=1e-4)
        assert float(ours @ theirs / (ours @ ours)) == pytest.approx(1.0, abs=0.01)
        if "SGL" in stored.problem.components[i].line_shape:
            assert np.abs(ours - theirs).max() < 0.002 * theirs.max()


# ---- refitted ----


@pytest.mark.parametrize("region", ["C 1s", "O 1s"])
def test_the_cellulose_refit_with_equal_weights_finds_the_minimum_that_casaxps_stored(
    cellulose: Callable[[str], Spectrum], region: str
) -> None:
    result = refit(cellulose(region), weights="equal")
    assert result.fit.converged
    for row in rows(result).values():
        assert np.isnan(row.pull) or abs(row.pull) < 1.5
    main = rows(result)[f"{region} 1 area"]
    assert main[1] == pytest.approx(main[0], rel=0.003)
    center = rows(result)[f"{region} 1 center"]
    assert center[1] == pytest.approx(center[0], abs=0.001)
    fwhm = rows(result)[f"{region} 1 fwhm"]
    assert fwhm[1] == pytest.approx(fwhm[0], rel=0.003)


@pytest.mark.parametrize("region", ["C 1s", "O 1s"])
def test_the_cellulose_refit_by_counting_statistics_explains_the_counts_better(
    cellulose: Callable[[str], Spectrum], region: str
) -> None:
    result = refit(cellulose(region))
    assert result.fit.converged
    assert result.fit.misfit < result.stored.deviance - 20.0
    main = rows(result)[f"{region} 1 area"]
    assert main[1] == pytest.approx(main[0], rel=0.01)
    for (i, name), state in result.states.items():
        parameter, value = result.model.problem.components[i].parameters[name], result.values[i, name][0]
        if state in ("refined", "at bound"):
            assert parameter.min <= value <= parameter.max
    assert np.abs(result.components.sum(axis=0) + result.background - result.fit.expected[0]).max() < 1e-6


def test_the_feo_refit_with_equal_weights_finds_what_casaxps_stored(feo: Spectrum) -> None:
    result = refit(feo, weights="equal")
    assert result.fit.converged
    for name, row in rows(result).items():
        wide = {"center": 0.02, "fwhm": 0.003 * row.casaxps, "area": 0.01 * row.casaxps}[name.split()[-1]]
        assert row.ours == pytest.approx(row.casaxps, abs=wide)
    assert "AT_BOUND:Fe 2p #2 position" in result.flags
    assert "AT_BOUND:Fe 2p #2 fwhm" in result.flags


def test_the_feo_refit_by_counting_statistics_converges_and_says_that_the_noise_is_not_poisson(feo: Spectrum) -> None:
    result, scaled = refit(feo), refit(feo, scale_errors=True)
    assert result.fit.converged
    assert result.fit.misfit < result.stored.deviance
    assert any(flag.startswith("OVERDISPERSED:") for flag in result.flags)
    ratio = rows(scaled)["Fe 2p #1 area"][2] / rows(result)["Fe 2p #1 area"][2]
    assert ratio == pytest.approx(np.sqrt(result.fit.redchi), rel=1e-6)


def test_an_active_background_fits_the_cellulose_better_than_the_static_one(
    cellulose: Callable[[str], Spectrum],
) -> None:
    static, active = refit(cellulose("O 1s")), refit(cellulose("O 1s"), background="active")
    assert active.fit.converged
    assert active.model.background == "active shirley"
    assert active.fit.misfit < static.fit.misfit


# ---- the pipeline ----

RECIPE = """layerscope = 1
pipeline = "casaxps"
sample = "film"
files = [{files}]
{more}
"""


def write_recipe(folder: Path, *files: str, more: str = "") -> Path:
    path = folder / "casa.toml"
    path.write_text(RECIPE.format(files=", ".join(f'"{f}"' for f in files), more=more))
    return path


def test_a_refit_runs_to_two_records_with_both_numbers_arrays_and_tables(tmp_path: Path, made: Spectrum) -> None:
    recipe = write_recipe(tmp_path, "made.vms", more='mode = "refit"\nbackground = "active"')
    execute(recipe, tmp_path / "out")
    run = load_run(tmp_path / "out")
    by_method = {r.method: r for r in run.records}
    assert set(by_method) == {"xps.casaxps_redraw", "xps.casaxps_refit"}
    again = by_method["xps.casaxps_refit"]
    assert again.parents == (by_method["xps.casaxps_redraw"].record_id,)
    ours, theirs = again.get("peak.area", "first"), again.get("x.casaxps_area", "first")
    assert ours.value == pytest.approx(1000.0, abs=4 * (ours.sigma or 0.0))
    assert (theirs.value, theirs.unit, theirs.sigma) == (900.0, "counts/s*eV", None)
    assert (ours.initial, ours.min, ours.max) == (900.0, 0.0, 1e5)
    position = again.get("peak.position", "first")
    assert position.value == pytest.approx(TRUTH["first"]["position"], abs=4 * (position.sigma or 0.0))
    assert position.initial == pytest.approx(HV - 1294.9)
    assert again.get("peak.area", "second").role == "constrained"
    assert again.get("charge.shift").value == pytest.approx(-0.4)
    (file,) = {Path(ref.file) for ref in again.arrays}
    assert file.name.endswith("_made_0_refit.nxs")
    series = run.arrays[file.stem]
    assert series.fit == pytest.approx(series.background + sum(series.components.values()))
    titles = [t.title for t in summary_tables(run)]
    assert titles == [
        "film, made.vms: parity with CasaXPS, redrawn, nothing fitted",
        "film, made.vms: parity with CasaXPS, refitted",
    ]


def test_the_table_of_the_cellulose_gives_casaxps_ours_and_the_difference(tmp_path: Path, shared_data: Path) -> None:
    recipe = write_recipe(tmp_path, CELLULOSE, more='mode = "refit"\nblocks = ["O1s"]')
    execute(recipe, tmp_path / "out", data=shared_data / "xps")
    refitted = summary_tables(load_run(tmp_path / "out"))[1]
    found = {(row[1], row[2]): dict(zip(refitted.columns, row, strict=True)) for row in refitted.rows}
    assert len(found) == 6
    area = found["O 1s 1", "area"]
    assert area["CasaXPS"] == "8068.9509"
    ours = re.fullmatch(r"(\d+)\((\d+)\)", area["ours"])
    assert ours is not None
    assert float(ours[1]) - 8068.95 == pytest.approx(float(area["difference"]), abs=1.0)
    assert float(area["difference"]) / float(area["sigma"]) == pytest.approx(float(area["difference / sigma"]), abs=0.2)
    assert found["O 1s 2", "area"]["remark"] == "tied"
    assert found["O 1s 1", "area"]["remark"] == ""


def test_a_file_without_a_stored_fit_is_one_failed_record_and_the_rest_is_done(
    tmp_path: Path, made: Spectrum, shared_data: Path
) -> None:
    assert made.comments
    (tmp_path / "bare.vms").write_bytes((shared_data / "xps" / "ARXPS.vms").read_bytes())
    recipe = write_recipe(tmp_path, "bare.vms", "made.vms")
    summary = execute(recipe, tmp_path / "out")
    assert summary.exit_code == 2
    records = load_run(tmp_path / "out").records
    failed = [r for r in records if r.status == "failed"]
    assert [r.method for r in records if r.status != "failed"] == ["xps.casaxps_redraw"]
    assert len(failed) == 1
    assert failed[0].problem is not None
    assert (failed[0].problem.kind, failed[0].problem.source) == ("data", "bare.vms")
    assert "no fit of CasaXPS" in failed[0].problem.message


def test_check_names_a_block_without_a_fit_and_those_with_one(tmp_path: Path, made: Spectrum) -> None:
    assert made.block == 0
    recipe = PIPELINE.recipe_model(
        layerscope=1, pipeline="casaxps", sample="film", files=("made.vms",), blocks=(3,)
    ).located(tmp_path)
    (problem,) = PIPELINE.check(recipe)
    assert "block 3" in problem.message
    assert problem.hint == "blocks with a fit: 0 (B 1s)"
