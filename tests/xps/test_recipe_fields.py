"""Every field of an XPS recipe does what its description says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layerscope.spectra.xps.dataset import Spectrum, XpsDataset
from layerscope.spectra.xps.energyscale import EnergyScale
from layerscope.spectra.xps.options import BackgroundTable, RegionTable, SeriesTable
from layerscope.spectra.xps.peakmodel import build_model
from layerscope.spectra.xps.pipeline import PIPELINE
from layerscope.spectra.xps.quantities import level_quantities
from layerscope.spectra.xps.readers import read
from layerscope.spectra.xps.regionfit import fit_region
from layerscope.spectra.xps.regionresult import RegionData, RegionFit
from layerscope.spectra.xps.series import level_kind, region_spectra
from numpy.typing import NDArray
from scipy.special import voigt_profile
from simulated_lines import LN2, Line, lines_with_step

from layerscope.errors import DataError, RecipeError
from layerscope.records import Quantity, ResultRecord
from layerscope.runs.execute import execute
from layerscope.runs.load import load_run
from layerscope.runs.plan import make_plan

FloatArray = NDArray[np.float64]

X = np.round(np.arange(185.0, 199.001, 0.1), 2)


def profile(levels: Sequence[Sequence[Line]], *, k: float = 0.03, base: float = 900.0, seed: int = 1) -> RegionData:
    """Draw a depth profile, one list of lines a level, 10 s between levels."""
    mu = np.array([base + 4.0 * (X - 192.0) + lines_with_step(X, lines, k) for lines in levels])
    counts = np.random.default_rng(seed).poisson(mu).astype(float)
    n = len(levels)
    return RegionData(X, counts, np.ones(n), 10.0 * np.arange(n))


def region(*components: Mapping[str, Any], **extra: Any) -> RegionTable:
    return RegionTable.model_validate({"region": "B 1s", "components": list(components)} | extra)


def one(center: float = 192.0, area: float = 20000.0) -> Line:
    return (center, 1.5, 0.3, area)


B_O_B = {"species": "B-O-B"}
TM_O_B = {"species": "TM-O-B", "like": "B-O-B"}
SHIFTS = (0.0, 0.12, -0.1, 0.06)


def shifted(shifts: Sequence[float], seed: int = 1) -> RegionData:
    return profile([[one(192.0 + s)] for s in shifts], seed=seed)


# --- shift ----------------------------------------------------------------------------------------------------------


def test_shift_none_gives_every_level_the_same_position() -> None:
    result = fit_region(region(B_O_B, shift="none"), shifted((0.0, 0.0, 0.0)))
    assert result.shift == "none"
    assert not result.fit.value("shift").any()
    assert abs(result.fit.value("B_O_B_center")[0] - 192.0) < 4.0 * result.fit.sigma("B_O_B_center")[0]


def test_shift_free_finds_each_levels_shift_against_the_first() -> None:
    result = fit_region(region(B_O_B, shift="free"), shifted(SHIFTS))
    assert result.shift == "free"
    difference = result.fit.value("shift") - np.array(SHIFTS)
    assert np.abs(difference[1:] / result.fit.sigma("shift")[1:]).max() < 4.0
    assert abs(result.fit.value("shift")[0]) < 1e-4


def test_shift_charge_takes_the_shifts_of_the_reference_line() -> None:
    data = shifted(SHIFTS)
    known = np.array(SHIFTS) + 0.3  # the whole scale is 0.3 eV off
    given = RegionData(data.x, data.y, data.exposure, data.variable, known, np.full(4, 0.005))
    result = fit_region(region(B_O_B, shift="charge"), given)
    assert result.shift == "charge"
    assert result.fit.value("B_O_B_center")[0] == pytest.approx(191.7, abs=0.02)


def test_shift_charge_without_a_reference_means_no_shift() -> None:
    assert fit_region(region(B_O_B, shift="charge"), shifted((0.0, 0.0))).shift == "none"


@pytest.mark.parametrize(("shifts", "chosen"), [((0.0,) * 4, "none"), (SHIFTS, "free")])
def test_shift_auto_of_a_line_alone_takes_what_bic_prefers(shifts: Sequence[float], chosen: str) -> None:
    result = fit_region(region(B_O_B), shifted(shifts))
    assert result.shift == chosen
    asked = [a for question, a in result.alternatives if question == "shift of the levels"]
    assert {a.name for a in asked} == {"shift none", "shift free"}
    assert [a.name for a in asked if a.chosen] == [f"shift {chosen}"]


def test_shift_auto_leaves_the_reference_when_the_lines_do_not_follow_it() -> None:
    data = shifted((0.0, 0.0, 0.0, 0.0))
    wrong = RegionData(data.x, data.y, data.exposure, data.variable, np.array(SHIFTS) * 4, np.full(4, 0.005))
    assert fit_region(region(B_O_B), wrong).shift == "none"


# --- components -----------------------------------------------------------------------------------------------------


def two(share: float = 0.3, area: float = 20000.0) -> list[list[Line]]:
    return [[one(192.0, area * (1 - share * k / 3)), one(190.6, area * share * k / 3)] for k in range(4)]


def test_like_shares_width_and_shape_but_not_what_is_stated() -> None:
    result = fit_region(region(B_O_B, TM_O_B | {"like_spread": 0}, shift="none"), profile(two()))
    assert result.fit.value("TM_O_B_fwhm")[0] == result.fit.value("B_O_B_fwhm")[0]
    assert result.fit.value("TM_O_B_mixing")[0] == result.fit.value("B_O_B_mixing")[0]
    own = TM_O_B | {"parameters": {"fwhm": {"value": 1.5, "min": 1.0, "max": 2.0}}}
    result = fit_region(region(B_O_B, own, shift="none"), profile(two()))
    assert result.fit.value("TM_O_B_fwhm")[0] != result.fit.value("B_O_B_fwhm")[0]
    assert result.fit.value("TM_O_B_mixing")[0] == result.fit.value("B_O_B_mixing")[0]


@pytest.mark.parametrize(("share", "kept"), [(0.3, True), (0.0, False)])
def test_optional_component_stays_only_if_the_data_need_it(share: float, kept: bool) -> None:
    result = fit_region(region(B_O_B, TM_O_B | {"optional": True}, shift="none"), profile(two(share)))
    assert ("TM-O-B" in [c.species for c in result.components]) is kept
    asked = {a.name: a.chosen for question, a in result.alternatives if question == "need of TM-O-B"}
    assert asked == {"with TM-O-B": kept, "without TM-O-B": not kept}


def test_foreign_component_is_fitted_but_is_no_part_of_the_element() -> None:
    table = region(B_O_B, TM_O_B | {"foreign": True}, shift="none")
    result = fit_region(table, profile(two()))
    assert [c.species for c in result.own] == ["B-O-B"]
    total, _ = result.total_area()
    assert total == pytest.approx(result.fit.batch[0].value("B_O_B_area"))
    scale = EnergyScale(np.zeros(4), np.zeros(4), 0.0, known=False)
    names = {
        (q.name, q.component) for q in level_quantities(result, 3, scale, intensity_unit="counts", confidence=0.95)
    }
    assert ("overlap.area", "TM-O-B") in names
    assert ("peak.area", "TM-O-B") not in names
    assert not [n for n in names if n[0] == "species.fraction"]


def test_number_is_a_start_value_and_vary_false_holds_it() -> None:
    held = B_O_B | {"parameters": {"fwhm": {"value": 1.7, "vary": False}, "mixing": 0.5}}
    result = fit_region(region(held, shift="none"), shifted((0.0, 0.0)))
    assert result.fit.value("B_O_B_fwhm")[0] == 1.7
    assert result.fit.sigma("B_O_B_fwhm")[0] == 0.0
    assert result.built.parameters["B_O_B_mixing"].init_value == 0.5
    assert result.fit.sigma("B_O_B_mixing")[0] > 0.0


def test_bounds_are_kept_and_reported() -> None:
    narrow = B_O_B | {"parameters": {"fwhm": {"value": 1.2, "min": 1.1, "max": 1.3}}}
    result = fit_region(region(narrow, shift="none"), shifted((0.0, 0.0)))
    assert result.fit.value("B_O_B_fwhm")[0] == pytest.approx(1.3, abs=1e-6)
    assert "AT_BOUND:B_O_B_fwhm" in result.fit.flags()


def test_expression_ties_a_parameter() -> None:
    tied = {"species": "TM-O-B", "position_eV": {"expr": "B_O_B_center - 1.4"}, "like": "B-O-B"}
    result = fit_region(region(B_O_B, tied, shift="none"), profile(two()))
    difference = result.fit.value("B_O_B_center") - result.fit.value("TM_O_B_center")
    assert np.allclose(difference, 1.4, rtol=0, atol=1e-12)


def test_scope_level_finds_a_position_at_each_level() -> None:
    centers = (192.0, 192.3, 191.9, 192.15)
    table = region({"species": "B-O-B", "position_eV": {"value": 192.0, "scope": "level"}}, shift="none")
    result = fit_region(table, profile([[one(c)] for c in centers]))
    difference = result.fit.value("B_O_B_center") - np.array(centers)
    assert np.abs(difference / result.fit.sigma("B_O_B_center")).max() < 4.0


def test_scope_smooth_follows_a_slow_change_with_fewer_parameters() -> None:
    centers = 192.0 + 0.04 * np.arange(8)
    levels = [[one(c)] for c in centers]
    results = {
        scope: fit_region(
            region({"species": "B-O-B", "position_eV": {"value": 192.0, "scope": scope, "knots": 2}}, shift="none"),
            profile(levels),
        )
        for scope in ("smooth", "level", "shared")
    }
    smooth = results["smooth"].fit
    assert np.abs((smooth.value("B_O_B_center") - centers) / smooth.sigma("B_O_B_center")).max() < 4.0
    free = {scope: r.fit.n_estimated for scope, r in results.items()}
    assert free["level"] - free["smooth"] == 6
    assert free["smooth"] - free["shared"] == 1
    assert smooth.sigma("B_O_B_center").max() < results["level"].fit.sigma("B_O_B_center").max()


def test_a_doublet_of_one_s_own_needs_its_splitting_and_ratio() -> None:
    own: dict[str, Any] = {"species": "Pb(II)", "custom": True, "position_eV": 138.5, "doublet": True}
    region = {"region": "Pb 4f", "components": [own]}
    with pytest.raises(RecipeError, match="no splitting and ratio for 'Pb\\(II\\)'"):
        build_model(RegionTable.model_validate(region), BackgroundTable(), "none")
    own["parameters"] = {"splitting": {"value": 4.86}, "ratio": {"value": 0.75}}
    built = build_model(RegionTable.model_validate(region), BackgroundTable(), "none")
    assert built.parameters["Pb_II_splitting"].value == 4.86


def test_doublet_has_splitting_and_ratio_of_the_library_unless_they_are_given() -> None:
    x = np.round(np.arange(128.0, 141.0, 0.1), 2)
    lines = [(133.5, 1.4, 0.3, 20000.0), (134.5, 1.4, 0.3, 11000.0)]
    mu = 900.0 + lines_with_step(x, lines, 0.0)
    counts = np.random.default_rng(4).poisson(mu)[None].astype(float)
    data = RegionData(x, counts, np.ones(1), np.zeros(1))

    def fitted(parameters: dict[str, Any]) -> RegionFit:
        component = {"species": "LixPOyFz", "doublet": True, "parameters": parameters}
        return fit_region(RegionTable.model_validate({"region": "P 2p", "components": [component]}), data)

    held = fitted({})
    assert held.fit.sigma("LixPOyFz_splitting")[0] == 0.0
    assert held.fit.value("LixPOyFz_ratio")[0] == 0.5
    free = fitted(
        {"splitting": {"value": 0.87, "min": 0.5, "max": 1.5}, "ratio": {"value": 0.5, "min": 0.3, "max": 0.9}}
    )
    for name, truth in (("splitting", 1.0), ("ratio", 0.55)):
        value, sigma = free.fit.value(f"LixPOyFz_{name}")[0], free.fit.sigma(f"LixPOyFz_{name}")[0]
        assert sigma > 0
        assert abs(value - truth) < 4.0 * sigma
    assert abs(free.fit.value("LixPOyFz_area")[0] - 31000.0) < 4.0 * free.fit.sigma("LixPOyFz_area")[0]
    assert free.fit.chi2 < held.fit.chi2 - 50.0


def test_custom_species_needs_no_library() -> None:
    custom = {"species": "my line", "custom": True, "position_eV": 192.1}
    result = fit_region(region(custom, shift="none"), shifted((0.0, 0.0)))
    assert abs(result.fit.value("my_line_center")[0] - 192.0) < 4.0 * result.fit.sigma("my_line_center")[0]


# --- shapes ---------------------------------------------------------------------------------------------------------


SHAPE_PARAMETERS = {
    "gaussian": {"center", "fwhm"},
    "lorentzian": {"center", "fwhm"},
    "pseudo_voigt": {"center", "fwhm", "mixing"},
    "gl_product": {"center", "fwhm", "mixing"},
    "voigt": {"center", "gaussian_fwhm", "lorentzian_fwhm"},
    "doniach_sunjic": {"center", "gaussian_fwhm", "lorentzian_fwhm", "alpha"},
    "casa_la": {"center", "gaussian_fwhm", "lorentzian_fwhm", "alpha", "beta"},
}


def truth_shape(name: str) -> FloatArray:
    """Return a line of height one at 192 eV, 1.5 eV wide, by a formula of its own."""
    t = (X - 192.0) / 1.5
    gauss, lorentz = np.exp(-4.0 * LN2 * t**2), 1.0 / (1.0 + 4.0 * t**2)
    if name == "gl_product":
        m = 0.3
        return np.exp(-4.0 * LN2 * (1 - m) * t**2) / (1.0 + 4.0 * m * t**2)
    if name in ("voigt", "doniach_sunjic"):
        curve = voigt_profile(X - 192.0, 1.2 / (2 * math.sqrt(2 * LN2)), 0.25)
        return np.asarray(curve / curve.max())
    return {"gaussian": gauss, "lorentzian": lorentz, "casa_la": lorentz}.get(name, 0.7 * gauss + 0.3 * lorentz)


@pytest.mark.parametrize("shape", SHAPE_PARAMETERS)
def test_every_shape_can_be_named_and_follows_a_line_of_its_kind(shape: str) -> None:
    component = B_O_B | {"shape": shape}
    if shape == "doniach_sunjic":
        component |= {"parameters": {"alpha": {"value": 0.0, "vary": False}}}
    if shape == "casa_la":
        component |= {"parameters": {n: {"value": 1.0, "vary": False} for n in ("alpha", "beta")}}
    table = region(component, shift="none", background={"kind": "polynomial"})
    counts = np.random.default_rng(9).poisson(900.0 + 9000.0 * truth_shape(shape))[None].astype(float)
    result = fit_region(table, RegionData(X, counts, np.ones(1), np.zeros(1)))
    names = {n.removeprefix("B_O_B_") for n in result.built.parameters if n.startswith("B_O_B_")}
    assert names == SHAPE_PARAMETERS[shape]
    assert abs(result.fit.value("B_O_B_center")[0] - 192.0) < 4.0 * result.fit.sigma("B_O_B_center")[0]
    assert result.fit.redchi < 1.0 + 5.0 * math.sqrt(2.0 / X.size)


def test_voigt_recovers_both_widths() -> None:
    table = region(B_O_B | {"shape": "voigt"}, shift="none", background={"kind": "polynomial"})
    counts = np.random.default_rng(9).poisson(900.0 + 30000.0 * truth_shape("voigt"))[None].astype(float)
    fit = fit_region(table, RegionData(X, counts, np.ones(1), np.zeros(1))).fit
    for name, truth in (("gaussian_fwhm", 1.2), ("lorentzian_fwhm", 0.5)):
        assert abs(fit.value(f"B_O_B_{name}")[0] - truth) < 4.0 * fit.sigma(f"B_O_B_{name}")[0]


# --- backgrounds ----------------------------------------------------------------------------------------------------


BACKGROUNDS = [
    ({"kind": "shirley"}, {"shirley_k"}),
    ({"kind": "shirley", "mode": "static"}, set()),
    ({"kind": "tougaard_u2"}, {"tougaard_b"}),
    ({"kind": "tougaard_u2", "mode": "static"}, set()),
    ({"kind": "tougaard_u3"}, {"tougaard_b", "tougaard_c", "tougaard_d"}),
    ({"kind": "tougaard_u3", "mode": "static"}, set()),
    ({"kind": "polynomial", "polynomial": 2}, set()),
]


@pytest.mark.parametrize(("background", "parameters"), BACKGROUNDS)
def test_every_background_can_be_named_and_active_ones_have_parameters(
    background: dict[str, Any], parameters: set[str]
) -> None:
    table = region(B_O_B, background=background, shift="none")
    result = fit_region(table, shifted((0.0, 0.0)))
    found = {n for n in result.built.parameters if n.startswith(("shirley", "tougaard"))}
    assert found == parameters
    area = result.fit.value("B_O_B_area")
    # the truth is an active Shirley step of 3 % per eV: every other background is off by some percent, none by a lot
    assert np.all(np.abs(area / 20000.0 - 1.0) < (0.03 if background == {"kind": "shirley"} else 0.25))


def test_active_shirley_recovers_its_strength_and_the_area() -> None:
    result = fit_region(region(B_O_B, shift="none"), profile([[one()]] * 4, k=0.05))
    assert abs(result.fit.value("shirley_k")[0] - 0.05) < 4.0 * result.fit.sigma("shirley_k")[0]
    pulls = (result.fit.value("B_O_B_area") - 20000.0) / result.fit.sigma("B_O_B_area")
    assert np.abs(pulls).max() < 4.0


def test_polynomial_degree_counts_its_coefficients() -> None:
    free = []
    for degree in (0, 1, 2, 3):
        table = region(B_O_B, background={"kind": "polynomial", "polynomial": degree}, shift="none")
        free.append(fit_region(table, profile([[one()]], k=0.0)).fit.n_estimated)
    assert np.diff(free).tolist() == [1, 1, 1]


# --- noise ----------------------------------------------------------------------------------------------------------


def test_scaled_noise_multiplies_errors_by_the_root_of_reduced_chi_square() -> None:
    data = profile([[one()]] * 2)
    rough = data.y + np.random.default_rng(2).normal(0.0, 3.0 * np.sqrt(data.y))
    fits = [
        fit_region(
            region(B_O_B, shift="none"),
            RegionData(data.x, np.maximum(rough, 0), data.exposure, data.variable, scaled=scaled),
        ).fit
        for scaled in (False, True)
    ]
    assert fits[0].redchi > 5.0
    ratio = fits[1].sigma("B_O_B_area") / fits[0].sigma("B_O_B_area")
    assert np.allclose(ratio, math.sqrt(fits[0].redchi), rtol=1e-6)
    assert np.allclose(fits[1].value("B_O_B_area"), fits[0].value("B_O_B_area"))


def test_exposure_sets_the_error_of_rates() -> None:
    data = profile([[one()]] * 2)
    rates = data.y / 50.0
    for exposure in (50.0, 200.0):
        scaled = RegionData(data.x, rates, np.full(2, exposure), data.variable)
        fit = fit_region(region(B_O_B, shift="none"), scaled).fit
        whole = fit_region(region(B_O_B, shift="none"), data).fit
        assert np.allclose(fit.value("B_O_B_area") * 50.0, whole.value("B_O_B_area"), rtol=1e-3)
        expected = whole.sigma("B_O_B_area") / 50.0 * math.sqrt(50.0 / exposure)
        assert np.allclose(fit.sigma("B_O_B_area"), expected, rtol=0.02)


# --- series ---------------------------------------------------------------------------------------------------------


def spectrum(level: int, sample: str, *, time: float | None = None, unit: str = "counts", seed: int = 0) -> Spectrum:
    counts = np.random.default_rng(seed + level).poisson(1000.0 + lines_with_step(X, [one()], 0.0)).astype(float)
    return Spectrum(
        region="B 1s",
        region_label="B 1s",
        level=level,
        axis=X,
        intensity=counts,
        intensity_unit=unit,  # type: ignore[arg-type]
        dwell_time_s=None if unit == "counts/s" else 0.2,
        scans=None if unit == "counts/s" else 10,
        etch_time_s=time,
        sample=sample,
        block=level,
    )


def dataset(spectra: Sequence[Spectrum]) -> XpsDataset:
    return XpsDataset(Path("file.vms"), "vamas", "test", "1", "0" * 64, 10, tuple(spectra))


def test_select_sample_chooses_among_several() -> None:
    both = dataset([spectrum(0, "left", seed=1), spectrum(0, "right", seed=5)])
    series = SeriesTable.model_validate({"files": ["file.vms"], "select_sample": "right"})
    found = region_spectra([both], region(B_O_B), series)
    assert [s.sample for s in found.spectra] == ["right"]
    with pytest.raises(DataError, match="several samples"):
        region_spectra([both], region(B_O_B), SeriesTable.model_validate({"files": ["file.vms"]}))


def test_range_leaves_out_what_lies_beyond() -> None:
    series = SeriesTable.model_validate({"files": ["file.vms"]})
    found = region_spectra([dataset([spectrum(0, "s")])], region(B_O_B, range_eV=(189.0, 195.0)), series)
    assert found.x[0] == 189.0
    assert found.x[-1] == 195.0
    assert found.y.shape == (1, 61)


def test_recipe_times_go_over_those_of_the_file() -> None:
    levels = dataset([spectrum(k, "s", time=100.0 * k) for k in range(3)])
    series = SeriesTable.model_validate({"files": ["file.vms"], "etch_times_s": [1.0, 2.0, 4.0]})
    found = region_spectra([levels], region(B_O_B), series)
    assert found.times is not None
    assert found.times.tolist() == [1.0, 2.0, 4.0]


def test_rates_need_an_exposure_and_take_it() -> None:
    rates = dataset([spectrum(0, "s", unit="counts/s")])
    with pytest.raises(DataError, match=r"series\.exposure|counting error"):
        region_spectra([rates], region(B_O_B), SeriesTable.model_validate({"files": ["file.vms"]}))
    series = SeriesTable.model_validate({"files": ["file.vms"], "exposure": 12.5})
    assert region_spectra([rates], region(B_O_B), series).exposure.tolist() == [12.5]


# --- through the pipeline -------------------------------------------------------------------------------------------


HEAD = """
layerscope = 1
pipeline = "xps"
sample = "recipe's sample"
"""
REGION = """
[[regions]]
region = "B 1s"
[[regions.components]]
species = "B-O-B"
[[regions.components]]
species = "TM-O-B"
like = "B-O-B"
position_eV = 190.6
"""
EXACT = REGION.replace('"B 1s"', '"B 1s"\nshift = "none"').replace('like = "B-O-B"', 'like = "B-O-B"\nlike_spread = 0')
COLUMNS = 'columns = { region = "B 1s", dwell_time_s = 0.1, scans = 5, excitation_energy_eV = 1486.6 }'


def run(folder: Path, series: str, *, top: str = "", tail: str = "", regions: str = REGION) -> tuple[ResultRecord, ...]:
    data = profile(two())
    for level in range(4):
        rows = "".join(f"{e:.2f} {c:.0f}\n" for e, c in zip(data.x, data.y[level], strict=True))
        (folder / f"b{level}.txt").write_text(rows)
    (folder / "recipe.toml").write_text(HEAD + top + "[[series]]\n" + series + regions + tail)
    return execute(folder / "recipe.toml", folder / "out", figures=False).run.records


FILES = 'files = ["b0.txt", "b1.txt", "b2.txt", "b3.txt"]\n' + COLUMNS + "\n"


def quantities(records: Sequence[ResultRecord], name: str) -> list[Quantity]:
    return [q for r in records for q in r.quantities if q.name == name]


def test_state_of_the_series_stands_in_every_record(tmp_path: Path) -> None:
    state = 'sample = "own sample"\ncycle = 3\nvoltage_V = 4.5\nstep = "charge"\netch_times_s = [0, 10, 20, 30]\n'
    records = run(tmp_path, FILES + state, tail="[depth]\netch_rate_nm_s = 0.5\nsigma_nm_s = 0.1\n")
    assert len(records) == 5
    for record in records:
        assert record.status != "failed"
        s = record.state
        assert (s.sample, s.cycle, s.voltage_V, s.step, s.elapsed_s) == ("own sample", 3, 4.5, "charge", None)
    levels = sorted((r.state.etch_time_s, r.state.depth_nm) for r in records if r.method == "xps.region")
    assert levels == [(0.0, 0.0), (10.0, 5.0), (20.0, 10.0), (30.0, 15.0)]


def test_depth_carries_the_error_of_the_etch_rate(tmp_path: Path) -> None:
    tail = "[depth]\netch_rate_nm_s = 0.5\nsigma_nm_s = 0.1\n"
    records = run(tmp_path, FILES + "etch_times_s = [0, 10, 20, 30]\n", tail=tail)
    depths = [q for r in records for q in r.quantities if q.name.endswith("_depth") and q.budget]
    for q in depths:
        assert q.sigma == pytest.approx(math.hypot(*q.budget.values()), rel=1e-6)
        assert q.value is not None
        assert q.budget["etch_rate"] == pytest.approx(abs(q.value) * 0.2)


def test_times_are_moments_and_not_etch_steps(tmp_path: Path) -> None:
    records = run(tmp_path, FILES + "times_s = [5, 6, 8, 12]\n")
    levels = sorted(r.state.elapsed_s for r in records if r.method == "xps.region" and r.state.elapsed_s is not None)
    assert levels == [5.0, 6.0, 8.0, 12.0]
    assert all(r.state.etch_time_s is None for r in records)


def test_levels_may_be_emission_angles(tmp_path: Path) -> None:
    records = run(tmp_path, FILES + "angles_deg = [60, 0, 40, 20]\n")
    levels = [r for r in records if r.method == "xps.region"]
    assert sorted(r.state.angle_deg for r in levels if r.state.angle_deg is not None) == [0.0, 20.0, 40.0, 60.0]
    assert all(r.state.etch_time_s is None and r.state.elapsed_s is None for r in records)
    # the file of each angle is that of the recipe
    assert {r.state.angle_deg: r.inputs[0].path for r in levels} == {
        60: "b0.txt",
        0: "b1.txt",
        40: "b2.txt",
        20: "b3.txt",
    }
    assert not quantities(records, "species.onset_time")
    found = load_run(tmp_path / "out")
    (arrays,) = found.arrays.values()
    assert (arrays.level_name, arrays.level_unit, arrays.levels.tolist()) == ("angle", "deg", [0.0, 20.0, 40.0, 60.0])
    shown = PIPELINE.summary(records)
    assert any("angle" in " ".join(map(str, table.columns)) for table in shown)


def test_angles_of_a_real_file_are_its_levels(shared_data: Path) -> None:
    data = read(shared_data / "xps" / "ARXPS.vms")
    series = SeriesTable.model_validate({"files": ["ARXPS.vms"]})
    assert level_kind([data], series) == "angle"
    table = RegionTable.model_validate(
        {"region": "Al 2p", "components": [{"species": "Al2O3", "custom": True, "position_eV": 75.5}]}
    )
    found = region_spectra([data], table, series)
    assert found.times is not None
    assert found.times.tolist() == [0.0, 40.0, 55.0, 63.0, 70.0]


def test_equal_angles_or_two_kinds_of_levels_are_refused(shared_data: Path) -> None:
    data = read(shared_data / "xps" / "ARXPS.vms")
    same = SeriesTable.model_validate({"files": ["ARXPS.vms"], "angles_deg": [0, 10, 10, 20, 30]})
    table = RegionTable.model_validate(
        {"region": "Al 2p", "components": [{"species": "Al2O3", "custom": True, "position_eV": 75.5}]}
    )
    with pytest.raises(DataError, match="do not differ in their emission angles"):
        region_spectra([data], table, same)
    few = SeriesTable.model_validate({"files": ["ARXPS.vms"], "angles_deg": [0, 10]})
    with pytest.raises(DataError, match="2 angles for 5 levels"):
        region_spectra([data], table, few)
    with pytest.raises(ValueError, match="give one"):
        SeriesTable.model_validate({"files": ["a.vms"], "angles_deg": [0, 10], "times_s": [0, 10]})


def test_single_level_and_confidence_do_what_they_say(tmp_path: Path) -> None:
    records = run(tmp_path, FILES + "etch_times_s = [0, 10, 20, 30]\n", top="single_level = true\nconfidence = 0.9\n")
    alone = quantities(records, "species.fraction_single_level")
    joint = quantities(records, "species.fraction")
    assert len(alone) >= 6
    assert np.median([q.sigma for q in alone if q.sigma]) > np.median([q.sigma for q in joint if q.sigma])
    limits = [q for r in records for q in r.quantities if q.upper_limit is not None]
    assert limits
    assert {q.limit_confidence for q in limits} == {0.9}
    (tmp_path / "plain").mkdir()
    plain = run(tmp_path / "plain", FILES + "etch_times_s = [0, 10, 20, 30]\n")
    assert not quantities(plain, "species.fraction_single_level")
    assert {q.limit_confidence for r in plain for q in r.quantities if q.upper_limit is not None} == {0.95}


def test_noise_scaled_through_the_pipeline_changes_errors_only(tmp_path: Path) -> None:
    found = []
    for noise in ("poisson", "scaled"):
        folder = tmp_path / noise
        folder.mkdir()
        times = FILES + "etch_times_s = [0, 10, 20, 30]\n"
        records = run(folder, times, top=f'noise = "{noise}"\n', regions=EXACT)
        redchi = next(r.quality.redchi for r in records if r.method == "xps.series" and r.quality)
        found.append((redchi, quantities(records, "peak.area")))
    for plain, scaled in zip(found[0][1], found[1][1], strict=True):
        assert scaled.value == pytest.approx(plain.value, rel=1e-3, abs=5.0)
        assert plain.sigma is not None
        # what another background, shape or width would change is no noise
        assert plain.budget is not None
        assert scaled.budget is not None
        by_noise = plain.budget["counting"] * math.sqrt(found[0][0] or 1.0)
        assert scaled.budget["counting"] == pytest.approx(by_noise, rel=1e-3)


def test_unknown_species_of_a_single_recipe_is_refused_with_file_key_and_nearest_name(
    reference_data: Path, tmp_path: Path
) -> None:
    text = (reference_data / "xps_in3d_null" / "recipe.toml").read_text().replace("In2O3", "In2O4", 1)
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(RecipeError, match=r"^mine\.toml: regions\[0\].*'In2O4'.*did you mean.*'In2O3'"):
        make_plan(tmp_path / "mine.toml", data=reference_data / "xps_in3d_null")
